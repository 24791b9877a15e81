"""The orchard: one to five fruits and vegetables on grass, wood, cloth, or a ledge in the sky."""

import numpy as np

from . import fruit, grounds
from .colours import Kind, Mode, Palette
from .drawing import BACKDROP, GROUND, Canvas, Light, Patch, column, nearest, noise, sample, smooth
from .draws import Draws
from .scene import Scene
from .world import World

GREEN, YELLOW, RED = Mode("green", 122, 0.62), Mode("yellow", 88, 0.80), Mode("red", 34, 0.74)
ANY_COLOUR = tuple(
    Mode(name, hue, share)
    for name, hue, share in [
        ("white", 90, 0.05), ("red", 32, 0.62), ("orange", 62, 0.66), ("yellow", 92, 0.66),
        ("lime", 118, 0.60), ("green", 148, 0.58), ("turquoise", 190, 0.70), ("sky", 245, 0.62),
        ("blue", 278, 0.60), ("violet", 308, 0.52), ("pink", 345, 0.52), ("rose", 8, 0.55),
    ]
)  # fmt: skip

# Fruits: their modes, how often they occur, size, lightness, and how far they may tilt.
FRUIT = {
    "apple": (
        (RED, GREEN, Mode("yellow", 90, 0.78)), (0.5, 0.3, 0.2), 0.125, 1.0, (60, 71), 0.12
    ),
    "orange": ((Mode("orange", 62, 0.90),), (1.0,), 0.125, 0.97, (60, 70), 0.3),
    "lemon": ((Mode("yellow", 97, 0.84),), (1.0,), 0.12, 1.02, (74, 84), 0.3),
    "pear": (
        (Mode("green", 112, 0.66), Mode("yellow", 88, 0.74), Mode("red", 30, 0.60)),
        (0.56, 0.4, 0.04), 0.11, 1.12, (58, 72), 0.1,
    ),
    "plum": (
        (Mode("purple", 325, 0.42), Mode("red", 14, 0.58), Mode("blue", 286, 0.44)),
        (0.6, 0.3, 0.1), 0.11, 0.86, (34, 46), 0.3,
    ),
    "pepper": (
        (Mode("red", 36, 0.86), Mode("green", 132, 0.74), Mode("yellow", 82, 0.90),
         Mode("purple", 318, 0.40)),
        (0.4, 0.34, 0.22, 0.04), 0.11, 1.05, (60, 71), 0.12,
    ),
    "banana": (
        (Mode("yellow", 91, 0.82), Mode("green", 116, 0.62)), (0.85, 0.15), 0.10, 1.0, (72, 82), 0.2
    ),
    "grapes": (
        (Mode("purple", 312, 0.40), Mode("green", 116, 0.58)), (0.5, 0.5), 0.1, 1.15, (40, 56), 0.12
    ),
    "strawberry": ((Mode("red", 31, 0.86),), (1.0,), 0.10, 0.92, (48, 56), 0.2),
    "melon": ((Mode("green", 128, 0.58),), (1.0,), 0.03, 1.42, (50, 62), 0.15),
}  # fmt: skip
_STUFF = (
    Kind("stem", (Mode("brown", 72, 0.40),)),
    Kind("leaf", (Mode("green", 124, 0.66),)),
    Kind("grass", (Mode("green", 124, 0.66), Mode("straw", 88, 0.50)), (0.9, 0.1)),
    Kind("wood", (Mode("brown", 66, 0.46), Mode("pale", 78, 0.30), Mode("mahogany", 50, 0.34)),
         (0.6, 0.25, 0.15)),
    Kind("cloth", ANY_COLOUR, (0.12,) + (0.08,) * 11),
    Kind("stone", (Mode("gray", 80, 0.06), Mode("sandstone", 70, 0.30)), (0.7, 0.3)),
    Kind("sky", (Mode("blue", 256, 0.66), Mode("overcast", 255, 0.12), Mode("sunset", 50, 0.42)),
         (0.75, 0.17, 0.08)),
    Kind("wall", (Mode("white", 80, 0.08), Mode("ochre", 78, 0.36), Mode("sage", 140, 0.20),
                  Mode("blue", 255, 0.34), Mode("rose", 20, 0.28)), (0.3, 0.2, 0.2, 0.2, 0.1)),
)  # fmt: skip
f = np.float32
PALETTE = Palette((*(Kind(name, row[0], row[1]) for name, row in FRUIT.items()), *_STUFF))
_DRAW = tuple(getattr(fruit, name) for name in FRUIT)
_OFTEN, _LARGE, _TILT = (np.array([row[k] for row in FRUIT.values()]) for k in (2, 3, 5))
_LIGHT = np.array([row[4] for row in FRUIT.values()])
_LIES = np.array([0.80, 0.86, 0.62, 0.98, 0.84, 0.92, 0.42, 0.92, 0.86, 0.76])  # centre over foot

GROUNDS = ("grass", "wood", "cloth", "stone")
_HORIZON = np.array([(0.16, 0.36), (0.14, 0.32), (-0.7, -0.4), (0.52, 0.64)])
_BEHIND = ("sky", "wall", "wall", "sky")
MOST = 5
FIRST, PARTS = 2, 3  # slots: ground, backdrop, then three parts a fruit


def _layout(d: Draws, n: int, count: np.ndarray, kind: np.ndarray, horizon: np.ndarray):
    """Where fruits lie, without hiding each other too much: x, y of the centre, radius; (n, 5)."""
    slot = np.argsort(d.uniform(0, 1, MOST) + 10.0 * (np.arange(MOST) >= count[:, None]), axis=1)
    rank = np.argsort(slot, axis=1)
    x = (rank + d.uniform(0.2, 0.8, MOST)) / count[:, None]
    x = 0.13 + 0.74 * x
    top = np.maximum(horizon, 0.16)[:, None]
    near = d.uniform(0, 1, MOST)
    foot = top + (0.97 - top) * (0.22 + 0.76 * near)
    slant = np.clip((foot - horizon[:, None]) / (1 - horizon[:, None]), 0, 1)
    radius = (0.205 - 0.014 * count[:, None]) * _LARGE[kind] * (0.72 + 0.32 * slant)
    radius = radius * d.uniform(0.92, 1.12, MOST)
    radius[np.arange(MOST) >= count[:, None]] = 1e-3
    for _ in range(14):  # move what overlaps too much apart, and back into the picture
        dx, dy = x[:, :, None] - x[:, None, :], (foot[:, :, None] - foot[:, None, :]) * 1.25
        apart = np.sqrt(dx * dx + dy * dy) + 1e-3
        want = 0.88 * (radius[:, :, None] + radius[:, None, :])
        push = np.clip(want - apart, 0, None) / apart * 0.3
        push[:, np.arange(MOST), np.arange(MOST)] = 0
        x, foot = x + _total(push * dx), foot + _total(push * dy)
        x = np.clip(x, 0.06 + 0.6 * radius, 0.94 - 0.6 * radius)
        foot = np.clip(foot, np.minimum(top + 0.5 * radius, 0.9), 0.985)
    return x, foot - radius * _LIES[kind], foot, radius


def _total(moves: np.ndarray) -> np.ndarray:
    """Sum over the last axis, in one order on every platform."""
    total = moves[..., 0]
    for k in range(1, MOST):
        total = total + moves[..., k]
    return total


def _background(canvas: Canvas, d: Draws, where: np.ndarray, horizon: np.ndarray, light: Light):
    """Draw ground and backdrop of every picture."""
    names = ("shift", "tone", "pattern", "clouds")
    near, far = (
        {name: d.uniform() for name in names} | {"side": np.sign(light.x)} for _ in range(2)
    )
    for g, name in enumerate(GROUNDS):
        rows = np.flatnonzero(where == g)
        if len(rows):
            skyline = _hills if name == "grass" else lambda view, draws: 0 * view.x  # straight
            parts = getattr(grounds, name), getattr(grounds, _BEHIND[g]), skyline
            grounds.compose(canvas, rows, horizon, near, far, parts)
    x = ((np.arange(canvas.size) + 0.5) / canvas.size - 0.5).astype(f)[None, None]
    canvas.lightness *= 1 + column(near["side"]) * x * f(0.16)


def _hills(view: grounds.View, draws: dict[str, np.ndarray]) -> np.ndarray:
    """The edge of a meadow: hills and tufts."""
    shift = column(draws["shift"] * 512)
    tufts = nearest(noise(), view.x * 60 + shift, view.horizon) * f(0.003)
    return sample(noise(), view.x * 22 + shift, view.horizon) * f(0.012) + tufts


def _shadows(canvas, light, x, y, foot, radius, horizon, there) -> None:
    """Cast every fruit's shadow on the ground: dark at its foot, soft further away."""
    i, k = np.nonzero(there)
    r, lamp, size = radius[i, k], light[i], canvas.size
    px, py = x[i, k] - lamp.x * 0.75 * r, foot[i, k] - 0.16 * r
    wide, high = (int(np.ceil(2 * reach * r.max() * size)) + 2 for reach in (1.95, 0.63))
    left = np.floor(px * size - wide / 2).astype(int)
    top = np.floor(py * size - high / 2).astype(int)
    u = ((left[:, None] + np.arange(wide) + 0.5) / size - px[:, None]) / r[:, None]
    v = (py[:, None] - (top[:, None] + np.arange(high) + 0.5) / size) / r[:, None]
    beside = (u - 0.75 * lamp.x[:, None]) / 0.95
    floor = smooth(0.0, -0.12, v + ((horizon[i] - py) / r)[:, None])
    u, v, beside, below, floor = (
        a.astype(np.float32) for a in (u / 1.55, v / 0.5, beside, (v + 0.06) / 0.34, floor)
    )
    cast = (u * u)[:, None, :] + (v * v)[:, :, None]
    touch = (beside * beside)[:, None, :] + (below * below)[:, :, None]
    amount = np.clip(1 - cast * f(0.64), 0, 1)
    amount *= amount * f(0.5)
    amount += (1 - amount) * np.square(np.clip(1 - touch * f(0.75), 0, 1)) * f(0.55)
    amount *= floor[:, :, None]
    for j in range(len(i)):
        canvas.dim(int(i[j]), amount[j], int(left[j]), int(top[j]))


def draw(index: np.ndarray, size: int, seed: int) -> Scene:
    """Draw the pictures numbered `index` (n,)."""
    n = len(index)
    d = Draws(seed, "orchard", index)
    where = d.choice((0.27, 0.25, 0.25, 0.23))
    low, high = _HORIZON[where].T
    horizon = low + (high - low) * d.uniform()
    light = Light.draw(d)
    count = 1 + d.choice((0.16, 0.22, 0.24, 0.21, 0.17))
    kind = d.choice(_OFTEN / _OFTEN.sum(), MOST)
    x, y, foot, radius = _layout(d, n, count, kind, horizon)
    order = np.argsort(foot + 10.0 * (np.arange(MOST) >= count[:, None]), axis=1, kind="stable")
    x, y, foot, radius, kind = (np.take_along_axis(a, order, 1) for a in (x, y, foot, radius, kind))
    there = np.arange(MOST) < count[:, None]
    tilt = d.uniform(-1, 1, MOST) * _TILT[kind]
    q = d.uniform(0, 1, MOST, 12)
    tone = _LIGHT[kind, 0] + (_LIGHT[kind, 1] - _LIGHT[kind, 0]) * d.uniform(0, 1, MOST)
    canvas = Canvas(n, size)
    _background(canvas, d, where, horizon, light)
    _shadows(canvas, light, x, y, foot, radius, horizon, there)
    painted = {}
    for k, paint in enumerate(_DRAW):
        i, j = np.nonzero(there & (kind == k))
        if len(i):
            patch = Patch.around(
                x[i, j], y[i, j], radius[i, j], tilt[i, j], (1.7, 1.7), size, light[i]
            )
            layers = paint(patch, q[i, j], column(tone[i, j]))
            painted |= {(a, b): (layers, c) for c, (a, b) in enumerate(zip(i, j, strict=True))}
    for a, b in sorted(painted):
        layers, c = painted[a, b]
        canvas.place(int(a), layers, c, FIRST + PARTS * int(b))
    slots = np.full((n, FIRST + PARTS * MOST), -1)
    slots[:, GROUND] = np.array([PALETTE.number(name) for name in GROUNDS])[where]
    slots[:, BACKDROP] = np.array([PALETTE.number(name) for name in _BEHIND])[where]
    for part, name in enumerate((None, "stem", "leaf")):
        which = kind if name is None else PALETTE.number(name)
        slots[:, FIRST + part :: PARTS] = np.where(there, which, -1)
    return Scene.finish(canvas, PALETTE, slots)


def orchard(n: int, size: int = 64, seed: int = 0) -> World:
    """Fruits and vegetables whose colours are drawn after their lightness.

    Parameters
    ----------
    n : int
        Number of pictures.
    size : int
        Side in pixels, 32 to 256. The same (seed, i) is the same scene at any size.
    seed : int
        0 or more; picture i depends on (seed, i) alone.

    Examples
    --------
    >>> world = orchard(2, size=32)
    >>> world.rgb.shape, world.objects(0)[0].kind
    (torch.Size([2, 3, 32, 32]), 'grass')
    """
    return World("orchard", n, size, seed, draw, PALETTE, things=tuple(FRUIT))

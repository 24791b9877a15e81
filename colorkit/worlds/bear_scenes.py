"""Bears: does a network follow the animal's shape, its brightness, or just a large thing?"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from . import animals, grounds
from .colours import Kind, Mode, Palette
from .drawing import BACKDROP, GROUND, Canvas, Light, Patch, column, ellipse, smooth
from .draws import Draws
from .scene import Scene
from .world import World

KINDS = ("brown", "polar", "patch", "none")
GROUNDS = ("woods", "snow")
BRIGHTNESS = ("dark", "bright")
POSITIONS = ("centre", "anywhere")
THINGS = ("brown bear", "polar bear", "boulder")
PALETTE = Palette(
    (
        Kind("brown bear", (Mode("brown", 62, 0.46), Mode("cinnamon", 57, 0.52)), (0.8, 0.2)),
        Kind("polar bear", (Mode("ivory", 88, 0.13), Mode("white", 250, 0.03)), (0.7, 0.3)),
        Kind("boulder", (Mode("gray", 260, 0.05), Mode("mossy", 118, 0.34)), (0.7, 0.3)),
        Kind("dark", (Mode("dark", 60, 0.05),)),
        Kind("moss", (Mode("green", 118, 0.52), Mode("autumn", 72, 0.52)), (0.8, 0.2)),
        Kind("leaves", (Mode("green", 128, 0.46), Mode("autumn", 70, 0.60)), (0.75, 0.25)),
        Kind("trunks", (Mode("brown", 66, 0.34), Mode("gray", 85, 0.08)), (0.7, 0.3)),
        Kind("snow", (Mode("blue", 262, 0.16), Mode("white", 250, 0.02)), (0.6, 0.4)),
        Kind("mountains", (Mode("blue", 262, 0.24), Mode("violet", 300, 0.14)), (0.7, 0.3)),
        Kind("sky", (Mode("blue", 255, 0.46), Mode("gray", 255, 0.06), Mode("dusk", 20, 0.26)),
             (0.6, 0.25, 0.15)),
    )
)  # fmt: skip
_PAINT = (animals.brown, animals.polar, animals.boulder)
_FACE = 2  # slot of the thing's fur; the next is its eyes and nose


def _factor(name: str, value, allowed: Sequence[str], d: Draws) -> np.ndarray:
    """One level for each picture, drawn evenly among those asked for: int (n,)."""
    levels = [value] if isinstance(value, str) else list(value)
    wrong = [level for level in levels if level not in allowed]
    if wrong or not levels:
        raise ValueError(f"{name} must be one or several of {tuple(allowed)}, got {value!r}")
    numbers = np.array([allowed.index(level) for level in levels])
    return numbers[d.choice(np.full(len(numbers), 1 / len(numbers)))]


def _plan(d: Draws, kind, ground, brightness) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kind, ground and brightness; those that are None follow the kind, as in nature."""
    kinds = _factor("kind", kind, KINDS, d)
    spare = d.choice((0.5, 0.5)), d.choice((0.5, 0.5))
    grounds_ = np.select([kinds == 0, kinds == 1], [0, 1], spare[0])
    bright = np.select([kinds == 0, kinds == 1], [0, 1], spare[1])
    if ground is not None:
        grounds_ = _factor("ground", ground, GROUNDS, d)
    if brightness is not None:
        bright = _factor("brightness", brightness, BRIGHTNESS, d)
    return kinds, grounds_, bright


def draw(
    index: np.ndarray, size: int, seed: int, plan: tuple, extent: tuple[float, float],
    position: str,
) -> Scene:  # fmt: skip
    """Draw the pictures numbered `index` (n,)."""
    n = len(index)
    d, choice = Draws(seed, "bears", index), Draws(seed, "bears plan", index)
    kind, ground, bright = _plan(choice, *plan)
    light = Light.draw(d)
    canvas = Canvas(n, size)
    horizon = d.uniform(0.34, 0.46)
    land = {name: d.uniform() for name in ("shift", "tone", "clouds")} | {"side": np.sign(light.x)}
    for g, parts in enumerate(((grounds.moss, grounds.trees), (grounds.snow, grounds.ice))):
        rows = np.flatnonzero(ground == g)
        if len(rows):
            grounds.compose(canvas, rows, horizon, land, land, (*parts, grounds.ridge))
    half = (extent[0] + (extent[1] - extent[0]) * d.uniform()) / 2.3
    x, sway = 0.5 + d.uniform(-0.03, 0.03), d.uniform(-1, 1)
    y = np.maximum(horizon + 0.16, d.uniform(0.52, 0.58))
    if position == "anywhere":
        room = np.clip(0.5 - 0.8 * half, 0.02, None)
        x, y = 0.5 + sway * room, np.clip(horizon + d.uniform(0.04, 0.34), None, 0.9 - 0.7 * half)
    mirror, q = d.sign(), d.uniform(0, 1, 4)
    tone = np.where(bright == 1, d.uniform(76, 86), d.uniform(34, 46))
    for k, paint in enumerate(_PAINT):
        i = np.flatnonzero(kind == k)
        if not len(i):
            continue
        patch = Patch.around(x[i], y[i], half[i], np.zeros(len(i)), (1.9, 1.15), size, light[i])
        cast = ellipse(patch.u + patch.light.x * 0.5, patch.v + np.float32(0.74), 1.25, 0.26)
        shadow = np.float32(0.42) * smooth(1.2, 0.2, cast)
        patch.u = patch.u * column(mirror[i])
        layers = paint(patch, q[i], column(tone[i]))
        for c, row in enumerate(i):
            canvas.dim(int(row), shadow[c], int(patch.left[c]), int(patch.top[c]))
            canvas.place(int(row), layers, c, _FACE)
    slots = np.full((n, 5), -1)
    for slot, names in ((GROUND, ("moss", "snow")), (BACKDROP, ("leaves", "sky")),
                        (grounds.INNER, ("trunks", "mountains"))):  # fmt: skip
        slots[:, slot] = np.array([PALETTE.number(name) for name in names])[ground]
    slots[:, _FACE] = np.where(kind < 3, kind, -1)
    slots[:, _FACE + 1] = np.where(kind < 2, PALETTE.number("dark"), -1)
    facts = {"kind": kind, "ground": ground, "brightness": bright, "x": x, "size": half * 2.3}
    return Scene.finish(canvas, PALETTE, slots, facts=facts)


def bears(
    n: int,
    size: int = 64,
    seed: int = 0,
    kind: str | Sequence[str] = ("brown", "polar"),
    ground: str | Sequence[str] | None = None,
    brightness: str | Sequence[str] | None = None,
    extent: float | tuple[float, float] = (0.6, 0.8),
    position: str = "centre",
) -> World:
    """Brown bears and polar bears in woods and on snow, and what could be mistaken for them.

    A factor with several levels draws among them evenly and independently of all others. Left at
    None, ground and brightness follow the bear as in nature: brown bears are dark and in woods,
    polar bears bright and on snow; boulders and empty pictures take either.

    Parameters
    ----------
    n, size, seed : int
        As in `orchard`.
    kind : "brown", "polar", "patch" (a boulder as large as a bear), "none", or several
    ground : "woods", "snow", or both, optional
    brightness : "dark", "bright", or both, optional
        Of the bear or boulder.
    extent : float or (float, float)
        Length of the bear as a share of the picture's side, 0.2 to 0.95, or its range.
    position : "centre" or "anywhere"

    Examples
    --------
    >>> world = bears(4, size=32, kind="polar", ground="woods", brightness=("dark", "bright"))
    >>> {"polar bear", "moss", "leaves"} <= {thing.kind for thing in world.objects(0)}
    True
    """
    extent = (extent, extent) if isinstance(extent, int | float) else tuple(extent)
    if not 0.2 <= extent[0] <= extent[1] <= 0.95:
        raise ValueError(f"extent must lie in 0.2 to 0.95, the smaller first, got {extent}")
    if position not in POSITIONS:
        raise ValueError(f"position must be one of {POSITIONS}, got {position!r}")
    _plan(Draws(seed, "check", np.arange(1)), kind, ground, brightness)
    plan = (kind, ground, brightness)
    return World(
        "bears", n, size, seed, partial(draw, plan=plan, extent=extent, position=position),
        PALETTE, THINGS, labels=lambda scene, modes: scene.facts["kind"], label_names=KINDS,
    )  # fmt: skip

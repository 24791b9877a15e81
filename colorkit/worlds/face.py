"""A stylised face in gray: backdrop, clothes, hair and head, then eyes, brows, nose and mouth.

Coordinates are the head's: u to the right, v up, the head reaches from v = -1 (chin) to 1.
"""

from dataclasses import dataclass, fields

import numpy as np

from .drawing import (
    Canvas,
    Layers,
    Light,
    Patch,
    bump,
    column,
    ellipse,
    lit,
    nearest,
    noise,
    outline,
    sample,
    smooth,
    solid,
    speckle,
    wave,
)
from .draws import Draws

BACKDROP, CLOTHES, HAIR, SKIN, BROWS, LIPS, IRIS, WHITE, LASH = range(1, 10)  # slots
SHORT, BOB, LONG, CURLY, BUN = range(5)  # styles of hair
EYES, NOSE, MOUTH = 0.02, -0.30, -0.55  # heights
f = np.float32


@dataclass
class Looks:
    """What a face looks like, apart from its colours and brightness: arrays (n,)."""

    style: np.ndarray  # of hair
    fringe: np.ndarray  # height of the hairline
    parting: np.ndarray  # its slant
    wide: np.ndarray  # half the face's width
    jaw: np.ndarray  # how much it narrows downwards
    turn: np.ndarray  # of the head, to the right
    open: np.ndarray  # half the eye's height
    arch: np.ndarray  # of the brows
    smile: np.ndarray
    full: np.ndarray  # lips
    beard: np.ndarray  # 1 or 0
    freckles: np.ndarray  # 1 or 0
    collar: np.ndarray  # 0..1
    cloth: np.ndarray  # lightness of the clothes
    pattern: np.ndarray  # 0..1
    iris: np.ndarray  # lightness
    shift: np.ndarray  # of textures

    @classmethod
    def draw(cls, d: Draws) -> "Looks":
        style = d.choice((0.3, 0.18, 0.22, 0.18, 0.12))
        beard = (d.uniform() < 0.35) & (style == SHORT)
        return cls(
            style=style, fringe=d.uniform(0.40, 0.66), parting=d.uniform(-0.16, 0.16),
            wide=d.uniform(0.71, 0.79), jaw=d.uniform(0.12, 0.22), turn=d.uniform(-0.09, 0.09),
            open=d.uniform(0.085, 0.115), arch=d.uniform(0.02, 0.06), smile=d.uniform(0.5, 1.4),
            full=d.uniform(0.85, 1.25), beard=beard * 1.0, freckles=(d.uniform() < 0.12) * 1.0,
            collar=d.uniform(), cloth=d.uniform(28, 72), pattern=d.uniform(),
            iris=d.uniform(26, 46), shift=d.uniform() * 512,
        )  # fmt: skip

    def columns(self) -> "Looks":
        """The same as float32 (n, 1, 1)."""
        return Looks(*(column(getattr(self, item.name)) for item in fields(self)))


def head(p: Patch, looks: Looks, backdrop: np.ndarray, skin, hair) -> Layers:
    """Backdrop, hair behind, shoulders, head, hair before: whole pictures."""
    look, layers = looks.columns(), Layers(p)
    layers.paint(np.ones_like(p.u), backdrop, BACKDROP)
    locks = _locks(p, looks, hair)
    _hair_behind(layers, looks, locks)
    size = p.u.shape[1]
    low, high = (slice(int(a * size), int(b * size)) for a, b in ((0.55, 1), (0.08, 0.86)))
    middle = slice(int(0.15 * size), int(0.85 * size) + 1)
    _body(layers.cut(low, slice(None)), look, skin)
    window = layers.cut(high, middle)
    low = smooth(0.25, -1.05, window.patch.v)  # round above, narrower at the jaw
    rho = ellipse(window.patch.u / (look.wide - look.jaw * low), window.patch.v, 1, 1)
    _face(window, look, rho, skin)
    _cap(layers, looks, locks, skin)
    _beard(window, looks, locks[:, high, middle], rho)
    return layers


def _locks(p: Patch, looks: Looks, hair) -> np.ndarray:
    """Lightness of hair: strands that fall from the crown, a band of sheen; or curls."""
    shift, curly = column(looks.shift), np.flatnonzero(looks.style == CURLY)
    arc = p.u / (np.sqrt(np.clip(f(1.6) - p.v * p.v * f(0.8), f(0.25), 2)) + f(0.25))
    strands = sample(noise(), arc * 105 + shift, p.v * 9 + shift) * f(0.8)
    curls = p.u[curly] * 38 + shift[curly], p.v[curly] * 38
    strands[curly] = sample(speckle(), *curls) * f(0.55)
    sheen = bump(ellipse(p.u, p.v - f(0.1), 1, 1) - f(0.92), f(0.22))
    sheen *= smooth(-0.5, 0.9, p.v + p.u * p.light.x)
    shade = smooth(-1.2, 1.0, p.v) * f(0.16) + f(0.10) * p.light.x * p.u + f(0.80)
    return hair * shade * (1 + strands * f(0.13)) + sheen * (f(9) + f(0.14) * hair)


def _hair_behind(layers: Layers, looks: Looks, locks: np.ndarray) -> None:
    p, style = layers.patch, looks.style
    rho = ellipse(p.u, p.v - f(0.12), 0.80, 1.0)
    rows = np.flatnonzero(style == CURLY)
    u, v, shift = p.u[rows], p.v[rows], column(looks.shift[rows])
    ripple = sample(speckle(), u * 20 + shift, v * 20)
    rho[rows] = ellipse(u, v - f(0.22), 1.14, 1.10) * (1 + ripple * f(0.035))
    rows = np.flatnonzero((style == BOB) | (style == LONG))
    u, v = p.u[rows], p.v[rows]
    end = column(np.where(style[rows] == LONG, -1.75, -0.80))
    u = u / (f(0.90) + f(0.10) * smooth(0.4, -0.8, v))
    fall = np.where(v > 0, ellipse(u, np.maximum(v, 0), 1, 1.12), np.abs(u))
    rho[rows] = fall + smooth(0, 0.16, end - v) * f(0.6)
    rows = np.flatnonzero(style == BUN)
    rho[rows] = np.minimum(rho[rows], ellipse(p.u[rows], p.v[rows] - f(1.16), 0.36, 0.33))
    inner = f(1) - f(0.38) * smooth(0.95, 0.5, np.abs(p.u)) * smooth(0.9, 0.5, p.v)
    layers.paint(outline(rho), locks * inner * (1 - f(0.25) * smooth(0.8, 1.0, rho)), HAIR)


def _body(layers: Layers, look: Looks, skin) -> None:
    """Neck and shoulders, with a round or pointed neckline."""
    p = layers.patch
    half = f(0.36) + f(0.10) * smooth(-1.1, -1.6, p.v)
    neck = solid(np.abs(p.u) / half + smooth(-0.5, -0.2, p.v))
    under = bump(p.v + f(0.98) - f(0.1) * p.u * p.u, f(0.26)) * f(0.34)
    layers.paint(neck.cover * (p.v < -0.3), lit(neck, p.light, skin * f(0.98)) * (1 - under), SKIN)
    slope = f(-1.32) - f(0.42) * p.u * p.u * (1 - f(0.12) * p.u * p.u)
    top = solid(np.clip(1 + (p.v - slope) * f(0.5), 0, 3), flat=0.2)
    depth = np.where(look.collar < 0.4, f(0.85), f(0.28))
    pointed = np.abs(p.u) / f(0.46) + np.abs(p.v + f(1.22)) / depth
    round_ = ellipse(p.u, p.v + f(1.2), 0.46, 0.30)
    neckline = np.where(look.collar < 0.4, pointed, round_)
    gap = solid(neckline)
    cover = np.minimum(top.cover, 1 - gap.cover)
    folds = sample(noise(), p.u * 16 + look.shift, p.v * 10 + look.shift)
    stripes = np.where(
        look.pattern < 0.25, wave(p.v * f(4)), np.where(look.pattern < 0.4, wave(p.u * f(4)), 0)
    )
    bend = f(1.05) + f(0.16) * p.u * p.light.x - f(0.16) * np.abs(p.u)
    cloth = look.cloth * bend + folds * f(3) + smooth(-0.3, 0.3, stripes) * f(9)
    rim = bump(neckline - f(1.1), f(0.12))
    chin = f(1) - f(0.28) * bump(ellipse(p.u, p.v + f(1.15), 0.8, 0.5), f(0.8))
    layers.paint(cover, cloth * (1 - rim * f(0.22)) * chin, CLOTHES)


def _face(layers: Layers, look: Looks, rho: np.ndarray, skin) -> None:
    p = layers.patch
    beside = np.abs(p.u) - look.wide
    ear = solid(ellipse(beside - f(0.02), p.v + f(0.06), 0.12, 0.24))
    inner = bump(ellipse(beside - f(0.03), p.v + f(0.05), 0.06, 0.13), f(1))
    layers.paint(ear.cover, lit(ear, p.light, skin * f(0.96)) * (1 - inner * f(0.25)), SKIN)
    ball = solid(rho, flat=0.30)
    shine = lit(ball, p.light, skin * f(1.01), f(0.08), 3)
    layers.paint(ball.cover, shine * _relief(p, look), SKIN)


def _relief(p: Patch, look: Looks) -> np.ndarray:
    """Light and shade of sockets, nose, cheeks and chin, as a factor."""
    u, side = p.u - look.turn, np.sign(p.light.x)
    sockets = bump(ellipse(np.abs(u) - f(0.32), p.v - f(EYES + 0.09), 0.26, 0.16), f(1)) * f(0.13)
    nu = u - look.turn * f(0.7)
    along = smooth(0.22, -0.12, p.v) * smooth(-0.44, -0.30, p.v)
    flank = bump(nu + side * f(0.115), f(0.06)) * along * f(0.17)
    ridge = bump(nu - side * f(0.02), f(0.05)) * along * f(0.07)
    tip = bump(ellipse(nu - side * f(0.02), p.v - f(NOSE), 0.09, 0.08), f(1)) * f(0.10)
    under = bump(nu, f(0.13)) * bump(p.v - f(NOSE - 0.11), f(0.035)) * f(0.24)
    holes = bump(np.abs(nu) - f(0.075), f(0.03)) * bump(p.v - f(NOSE - 0.085), f(0.026)) * f(0.38)
    cheek = bump(ellipse(np.abs(u) - f(0.42), p.v + f(0.20), 0.2, 0.16), f(1)) * f(0.05)
    chin = bump(u, f(0.2)) * bump(p.v - f(MOUTH - 0.20), f(0.05)) * f(0.13)
    spots = smooth(0.6, 1.4, nearest(speckle(), p.u * 90 + look.shift, p.v * 90)) * look.freckles
    spots = spots * bump(ellipse(np.abs(u) - f(0.3), p.v + f(0.2), 0.3, 0.16), f(1)) * f(0.25)
    return 1 - sockets - flank + ridge + tip - under - holes + cheek - chin - spots


def _cap(layers: Layers, looks: Looks, locks: np.ndarray, skin) -> None:
    """Hair above the hairline, and its shade on the forehead."""
    rows = slice(0, int(0.62 * layers.patch.u.shape[1]))
    layers, locks = layers.cut(rows, slice(None)), locks[:, rows]
    p, look = layers.patch, looks.columns()
    u = p.u / look.wide
    u2 = u * u
    line = look.fringe + look.parting * u - f(0.10) * u2 - f(0.52) * u2 * u2 * u2
    line += nearest(noise(), p.u * 60 + look.shift, look.shift) * f(0.016)
    cap = ellipse(p.u, p.v - f(0.14), 0.84, 1.0)
    curly = np.flatnonzero(looks.style == CURLY)
    cap[curly] = ellipse(p.u[curly], p.v[curly] - f(0.22), 1.1, 1.05)
    above = p.v - line
    cover = np.minimum(outline(cap), np.clip(above / p.px + f(0.5), 0, 1))
    shade = bump(np.clip(above, -1, 0), f(0.16)) * f(0.16)
    layers.darken(np.where(layers.part == SKIN, shade, 0))
    edge = f(1) - f(0.20) * bump(np.clip(above, 0, 2), f(0.10))
    layers.paint(cover, locks * edge, HAIR)


def _beard(layers: Layers, looks: Looks, locks: np.ndarray, rho: np.ndarray) -> None:
    """A beard along the jaw and around the mouth, of those who wear one."""
    rows = np.flatnonzero(looks.beard)
    p, rho = layers.patch, rho[rows]
    u, v = p.u[rows] - column(looks.turn[rows]), p.v[rows]
    jaw = smooth(0.40, 0.62, rho) * smooth(-0.08, -0.34, v)
    chin = smooth(MOUTH - 0.06, MOUTH - 0.16, v)
    lip = bump(ellipse(u, v - f(MOUTH + 0.135), 0.30, 0.05), f(1)) * f(1.5)
    mouth = smooth(0.8, 1.15, ellipse(u, v - f(MOUTH), 0.27, 0.10))
    where = np.clip(np.maximum(np.maximum(jaw, chin), lip), 0, 1) * mouth
    where = smooth(0.15, 0.75, where * outline(rho * f(0.985)))
    cover = np.zeros_like(p.u)
    cover[rows] = where
    layers.paint(cover, locks * f(0.86), BROWS)


def features(canvas: Canvas, place: tuple, light: Light, looks: Looks, skin, hair) -> None:
    """Eyes, brows and mouth, each on a small patch."""
    x, y, radius, tilt = place
    square = tilt * tilt
    cos, sin = (1 - square) / (1 + square), 2 * tilt / (1 + square)
    look = looks.columns()
    for u, v, reach, paint in (
        (-0.32, EYES + 0.08, 0.40, _eye),
        (0.32, EYES + 0.08, 0.40, _eye),
        (0.0, MOUTH, 0.45, _mouth),
    ):
        u = u + looks.turn
        px, py = x + radius * (cos * u - sin * v), y - radius * (sin * u + cos * v)
        patch = Patch.around(px, py, radius, tilt, (reach, reach), canvas.size, light)
        layers = paint(patch, look, column(skin), column(hair))
        for i in range(len(x)):
            canvas.place(i, layers, i, 1)


def _eye(p: Patch, look: Looks, skin, hair) -> Layers:
    layers = Layers(p)
    u, v = p.u, p.v + f(0.08)
    t = u / f(0.195)
    t = t * t
    lid = np.where(v > 0, v / look.open, v / (look.open * f(-0.72))) + t
    ball = solid(lid)
    layers.paint(ball.cover, f(84) - f(26) * smooth(-0.1, 0.9, v / look.open) - t * 12, WHITE)
    ring = ellipse(u - look.turn * f(0.3), v - f(0.008), 0.098, 0.098)
    inside = ball.cover
    glow = look.iris * (f(1.2) - v * f(5)) * (1 - f(0.4) * smooth(0.75, 1.0, ring))
    layers.paint(np.minimum(solid(ring).cover, inside), glow, IRIS)
    pupil = solid(ring * f(2.0))
    layers.paint(np.minimum(pupil.cover, inside), f(7), LASH)
    spark = ellipse(
        u - look.turn * f(0.3) - p.light.x * f(0.08), v - p.light.y * f(0.07), 0.032, 0.032
    )
    layers.paint(np.minimum(solid(spark).cover, inside), f(95), WHITE)
    upper = look.open * (1 - t)
    lash = np.clip(1 - np.abs(v - upper) / f(0.030) + f(0.2), 0, 1) * (t < 1.15)
    layers.paint(lash, np.minimum(f(14) + 0 * v, skin), LASH)
    fold = np.clip(1 - np.abs(v - upper - f(0.075)) / f(0.05), 0, 1)
    crease = fold * fold * smooth(1.2, 0.7, t) * f(0.5)
    layers.paint(crease * (layers.cover < 0.5), skin * f(0.62), SKIN)
    b = u / f(0.25)
    arc = v - f(0.245) + b * b * (f(0.03) + look.arch)
    thick = f(0.042) * (f(1.05) - f(0.5) * b * b)
    brow = solid(np.maximum(np.abs(arc) / thick, np.abs(b)))
    layers.paint(brow.cover * f(0.92), np.minimum(hair * f(0.85), skin * f(0.75)), BROWS)
    return layers


def _mouth(p: Patch, look: Looks, skin, hair) -> Layers:
    layers = Layers(p)
    u = p.u / f(0.27)
    u2 = u * u
    v = p.v - (u2 - f(0.35)) * look.smile * f(0.075)
    bow = f(1) - f(0.26) * bump(u, f(0.16)) - f(0.1) * u2
    rho = np.where(v > 0, v / (f(0.085) * look.full * bow), v / (f(-0.115) * look.full)) + u2
    lips = solid(rho)
    low = v < 0
    shine = skin * f(0.80) * np.where(low, f(1.04), f(0.86)) - f(1.0)
    gleam = bump(ellipse(u, v + f(0.055), 0.4, 0.03), f(1)) * f(8)
    line = bump(v, f(0.020)) * smooth(1.15, 0.8, np.abs(u)) * f(0.55)
    layers.paint(lips.cover, (shine + gleam) * (1 - line), LIPS)
    return layers

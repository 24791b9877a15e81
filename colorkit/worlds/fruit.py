"""Ten fruits and vegetables in gray, told apart by outline, shading and texture.

Each function takes a patch of m things, m rows of random numbers in [0, 1), and their lightness
(m, 1, 1), and gives the paint. Part 1 is the fruit, part 2 its stem, part 3 its leaves.
"""

import numpy as np

from .drawing import (
    Layers,
    Patch,
    Surface,
    bump,
    column,
    ellipse,
    lit,
    nearest,
    noise,
    sample,
    smooth,
    solid,
    speckle,
    wave,
)

f = np.float32


def _norm(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.sqrt(u * u + v * v)


def _body(p: Patch, rho: np.ndarray, strength: float = 0.42) -> tuple[Layers, Surface]:
    """The skin of a solid, and layers to paint it on, which darken what lies behind it."""
    layers = Layers(p)
    layers.shade_around(rho, strength)
    return layers, solid(rho)


def _over_skin(p: Patch, rho: np.ndarray, scale: float, q: np.ndarray) -> tuple:
    """Texture coordinates that wrap around a ball: stretched towards its outline."""
    depth = np.sqrt(np.clip(1 - rho * rho, 0, 1)) + f(0.35)
    shift = column(q * 512)
    return p.u / depth * f(scale) + shift, p.v / depth * f(scale) + shift


def _stem(layers: Layers, foot: float, tip: tuple[float, float], width: float, q) -> None:
    """A short stem that bends from (0, foot) to `tip`."""
    p = layers.patch
    t = np.clip((p.v - f(foot)) / f(tip[1] - foot), 0, 1)
    middle = column((q - 0.5) * 0.3 + tip[0]) * t * t
    away = (p.u - middle) / (f(width) * (f(1.15) - f(0.3) * t + bump(t - 1, f(0.25)) * f(0.5)))
    ends = np.maximum(f(foot) - p.v, p.v - f(tip[1])) / f(width) + 1
    skin = solid(np.maximum(np.abs(away), ends))
    layers.paint(skin.cover, lit(skin, p.light, f(40)), 2)


def _leaf(layers: Layers, root: tuple[float, float], angle: tuple, length: float, width: float):
    """A leaf from `root` along the unit vector `angle` (cos, sin): pointed, with a midrib."""
    p = layers.patch
    u, v = p.u - f(root[0]), p.v - f(root[1])
    cos, sin = (np.asarray(a, np.float32) for a in angle)
    t = (u * cos + v * sin) / f(length)
    s = (v * cos - u * sin) / f(width) + (t * t - t) * f(0.45)
    rho = np.abs(s) + (2 * t - 1) * (2 * t - 1)
    skin = solid(rho, flat=0.55)
    rib = bump(s, f(0.13)) * f(0.22)
    half = f(1) + np.where(s > 0, f(0.10), f(-0.10))
    layers.paint(skin.cover, lit(skin, p.light, f(50) * half, f(0.25), 3) * (1 - rib), 3)


def _lean(q: np.ndarray, low: float, high: float) -> tuple:
    """A unit vector whose half-angle tangent lies in [low, high]."""
    t = column(low + q * (high - low))
    return (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)


def apple(p: Patch, q: np.ndarray, albedo: np.ndarray) -> Layers:
    """Round and smooth, with a hollow at the stem, a leaf, and a sharp highlight."""
    s = p.v / (_norm(p.u, p.v) + f(1e-6))
    up, down = np.clip(s, 0, 1), np.clip(-s, 0, 1)
    up4, down4 = (up * up) * (up * up), (down * down) * (down * down)
    outline = f(1) + f(0.05) * up - f(0.27) * up4 * up4 * up4 - f(0.10) * down4
    outline = outline + f(0.03) * (down4 - down4 * down4) * 4
    rho = _norm(p.u, p.v) / outline
    layers, skin = _body(p, rho)
    shine = lit(skin, p.light, albedo, f(0.8), 5)
    hollow = bump(p.u, f(0.30)) * bump(p.v - f(0.62), f(0.16))
    streaks = wave(
        p.u / (np.sqrt(np.clip(1 - p.v * p.v, 0, 1)) + f(0.3)) * f(4.1) + column(q[:, 0])
    )
    shine = shine * (1 - f(0.55) * hollow) + streaks * f(1.6)
    layers.paint(skin.cover, shine, 1)
    _stem(layers, 0.50, (0.10, 1.18), 0.075, q[:, 1])
    part = layers.part.copy()
    _leaf(layers, (0.04, 0.84), _lean(q[:, 3], 0.05, 0.35), 0.85, 0.24)
    # One leaf in four is drawn but owns no pixel: it has the colour of what is behind it.
    layers.part = np.where(column(q[:, 2] < 0.75) > 0, layers.part, part)
    return layers


def orange(p: Patch, q: np.ndarray, albedo: np.ndarray) -> Layers:
    """A ball with a pored skin, a broad highlight broken by the pores, and a star-shaped scar."""
    rho = _norm(p.u, p.v * f(1.04))
    layers, skin = _body(p, rho)
    pores = sample(speckle(), *_over_skin(p, rho, 56, q[:, 0]))
    shine = lit(skin, p.light, albedo, f(0.42) * (1 + pores * f(0.4)), 3)
    su, sv = p.u - column(q[:, 1] * 0.6 - 0.3), p.v - f(0.42)
    scar = bump(_norm(su, sv), f(0.13))
    shine = shine * (1 + pores * f(0.06)) * (1 - scar * f(0.5))
    layers.paint(skin.cover, shine, 1)
    return layers


def lemon(p: Patch, q: np.ndarray, albedo: np.ndarray) -> Layers:
    """An oval with a nipple at each end, finely pored."""
    layers = Layers(p)
    c = np.abs(p.u) / (_norm(p.u, p.v * f(1.35)) + f(1e-6))
    tip = c * c
    tip = tip * tip
    tip = tip * tip * tip * tip
    rho = _norm(p.u, p.v * f(1.42)) / (f(0.92) + f(0.30) * tip * tip * tip)
    layers.shade_around(ellipse(p.u, p.v, 1.05, 0.72))
    skin = solid(rho)
    pores = sample(speckle(), *_over_skin(p, rho, 34, q[:, 0]))
    shine = lit(skin, p.light, albedo, f(0.5), 3) * (1 + pores * f(0.03))
    ends = smooth(0.86, 1.05, np.abs(p.u))
    layers.paint(skin.cover, shine * (1 - ends * f(0.22)), 1)
    return layers


def pear(p: Patch, q: np.ndarray, albedo: np.ndarray) -> Layers:
    """A wide foot and a narrow neck, freckled, with a long stem."""
    wide = f(0.82) - f(0.46) * smooth(-0.35, 0.62, p.v)
    rho = _norm(p.u / wide, p.v * f(0.93))
    layers, skin = _body(p, rho)
    x, y = _over_skin(p, rho, 62, q[:, 0])
    freckles = smooth(1.1, 1.9, sample(speckle(), x, y))
    shine = lit(skin, p.light, albedo, f(0.35), 3) * (1 - freckles * f(0.17))
    layers.paint(skin.cover, shine, 1)
    _stem(layers, 0.95, (0.16, 1.5), 0.065, q[:, 1])
    return layers


def plum(p: Patch, q: np.ndarray, albedo: np.ndarray) -> Layers:
    """A dark oval with a seam from pole to pole and a dull bloom."""
    rho = _norm(p.u * f(1.14), p.v)
    layers, skin = _body(p, rho)
    round_ = np.sqrt(np.clip(1 - p.v * p.v, 0, 1))
    side = column(np.where(q[:, 2] < 0.5, -0.30, 0.30))
    seam = bump(p.u - side * round_, f(0.085)) * smooth(1.0, 0.7, -p.v)
    ridge = bump(p.u - side * round_ * f(1.65), f(0.16))
    bloom = sample(noise(), *_over_skin(p, rho, 26, q[:, 0]))
    shine = lit(skin, p.light, albedo, f(0.34), 2) * (1 + bloom * f(0.05))
    shine = shine * (1 - f(0.62) * seam) + ridge * f(7) * round_
    layers.paint(skin.cover, shine, 1)
    _stem(layers, 0.90, (0.04, 1.2), 0.07, q[:, 1])
    return layers


def pepper(p: Patch, q: np.ndarray, albedo: np.ndarray) -> Layers:
    """Blocky, with three glossy lobes, deep furrows, and a thick stem."""
    v = p.v * f(0.96)
    u = p.u / (f(0.80) + f(0.12) * v - f(0.10) * v * v)
    cross = (u + column(q[:, 0] * 0.16 - 0.08)) * f(1.5)
    furrow = smooth(0.25, -1.0, wave(cross))  # 0 amid a lobe, 1 between two
    square = u * u + v * v
    box = np.sqrt(np.sqrt(square * square - f(1.1) * u * u * v * v))
    rho = box * (1 + furrow * (f(0.03) + f(0.13) * smooth(-0.3, -0.9, v)))
    layers, skin = _body(p, rho)
    bulge = (cross - np.floor(cross + f(0.5))) * f(1.3)
    skin.x = skin.x * f(0.5) + bulge * (1 - rho * f(0.3))
    skin.z = np.sqrt(np.clip(1 - skin.x * skin.x - skin.y * skin.y, f(0.02), 1))
    shine = lit(skin, p.light, albedo, f(0.85), 5) * (1 - furrow * f(0.48))
    layers.paint(skin.cover, shine, 1)
    crown = solid(_norm(p.u / f(0.34), (p.v - f(0.90)) / f(0.13)))
    layers.paint(crown.cover, lit(crown, p.light, f(44)), 2)
    _stem(layers, 0.9, (0.14, 1.42), 0.12, q[:, 1])
    return layers


def banana(p: Patch, q: np.ndarray, albedo: np.ndarray) -> Layers:
    """A curved, tapering, edged rod with dark ends and brown freckles."""
    long = p.u / f(1.25)
    bent = p.v + f(0.30) - f(0.62) * p.u * p.u * (1 - f(0.12) * p.u * p.u)
    slope = f(1.24) * p.u
    across = bent / np.sqrt(1 + slope * slope)
    l2 = long * long
    thick = f(0.335) * (1 - f(0.55) * l2 * l2)
    rho = np.sqrt((across / thick) ** 2 + l2 * l2 * l2 * l2)
    layers, skin = _body(p, rho, 0.3)
    edge = across / thick
    face = np.where(edge > f(0.18), f(1.07), f(0.90))
    line = bump(edge - f(0.18), f(0.10))
    shift = column(q[:, 0] * 512)
    dots = smooth(1.2, 2.0, sample(speckle(), p.u * 26 + shift, across * 40 + shift))
    shine = lit(skin, p.light, albedo * face, f(0.3), 3) + line * f(5)
    ends = smooth(0.84, 0.97, np.abs(long))
    shine = shine * (1 - dots * f(0.26)) * (1 - ends * f(0.6))
    layers.paint(skin.cover, shine, 1)
    return layers


_BUNCH = (
    (-0.58, 0.48), (0.02, 0.56), (0.60, 0.46), (-0.36, 0.14), (0.32, 0.16), (-0.62, 0.05),
    (0.64, 0.02), (-0.02, -0.12), (-0.36, -0.34), (0.34, -0.32), (0.0, -0.66),
)  # fmt: skip


def grapes(p: Patch, q: np.ndarray, albedo: np.ndarray) -> Layers:
    """A bunch of eleven glossy balls that narrows downwards, on a stem."""
    layers = Layers(p)
    layers.shade_around(_norm(p.u / f(0.95), (p.v + f(0.05)) / f(1.0)))
    _stem(layers, 0.55, (0.05, 1.15), 0.07, q[:, 11])
    for k, (x, y) in enumerate(_BUNCH):
        du = p.u - column(x + (q[:, k] - 0.5) * 0.12)
        dv = p.v - column(y + (q[:, (k + 5) % 12] - 0.5) * 0.12)
        rho = _norm(du, dv) / f(0.335)
        layers.darken(np.clip(f(1.55) - rho, 0, 1) * f(0.5))
        skin = solid(rho)
        glow = bump(_norm(du + p.light.x * f(0.12), dv + p.light.y * f(0.12)), f(0.22)) * f(5)
        layers.paint(skin.cover, lit(skin, p.light, albedo, f(0.9), 5) + glow, 1)
    return layers


def strawberry(p: Patch, q: np.ndarray, albedo: np.ndarray) -> Layers:
    """Wide above and pointed below, studded with seeds, with a crown of leaves."""
    wide = f(0.66) + f(0.34) * p.v
    rho = _norm(p.u / wide, p.v * f(0.98) + f(0.02))
    layers, skin = _body(p, rho)
    depth = np.sqrt(np.clip(1 - rho * rho, 0, 1)) * f(0.5) + f(0.5)
    a = p.u / depth * f(2.3) + column(q[:, 0])
    b = p.v / depth * f(2.3) + column(q[:, 1])
    studs = wave(a + b) + wave(a - b)
    seed, pit = smooth(1.35, 1.8, studs), smooth(0.5, 1.3, studs)
    shine = lit(skin, p.light, albedo, f(0.55), 4)
    shine = shine * (1 - pit * f(0.42)) + seed * f(34) * (skin.z * f(0.6) + f(0.4))
    layers.paint(skin.cover, shine, 1)
    for low in (-0.30, -0.05, 0.55, 1.35, 2.2):
        _leaf(layers, (0, 0.86), _lean(q[:, 2], low, low + 0.15), 0.62, 0.16)
    _stem(layers, 0.86, (0.1, 1.28), 0.06, q[:, 3])
    return layers


def melon(p: Patch, q: np.ndarray, albedo: np.ndarray) -> Layers:
    """Large and oval, with jagged dark stripes from end to end."""
    rho = _norm(p.u * f(0.98), p.v * f(1.2))
    layers, skin = _body(p, rho)
    belt = p.v * f(1.2) / np.sqrt(np.clip(1 - p.u * p.u * f(0.92), f(0.05), 1))
    shift = column(q[:, 0] * 512)
    jagged = nearest(speckle(), p.u * 30 + shift, belt * 12 + shift) * f(0.09)
    stripes = smooth(-0.25, 0.35, wave(belt * f(2.2) + jagged + column(q[:, 1])))
    shine = lit(skin, p.light, albedo * (f(1.12) - f(0.62) * stripes), f(0.45), 4)
    layers.paint(skin.cover, shine, 1)
    return layers

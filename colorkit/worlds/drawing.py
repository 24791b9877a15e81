"""Drawing in gray, for a whole chunk of pictures at once: solids, light, textures, soft edges.

Lightness is drawn with ``+``, ``-``, ``*``, ``/`` and square roots alone, which IEEE 754 rounds
the same way everywhere. So the pictures, and which object owns a pixel, are the same on every
platform; sines and exponentials, which differ by the library, do not occur.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from .draws import Draws

TILE = 512  # side of a texture tile, a power of two
GROUND, BACKDROP = 0, 1  # slots that every picture has; no shade falls on the backdrop
_SOFT = 0.02  # coverage closer than this to 0 or 1 counts as 0 or 1


def smooth(low, high, x: np.ndarray) -> np.ndarray:
    """Smoothstep: 0 below low, 1 above high, a cubic between (high may lie below low)."""
    t = x - low
    t /= high - low
    np.clip(t, 0, 1, out=t)
    square = t * t
    t *= -2
    t += 3
    t *= square
    return t


def bump(x: np.ndarray, width) -> np.ndarray:
    """A bell of height 1 at x = 0 that falls to 1/4 at `width`: 1 / (1 + (x / width)^2)^2."""
    x = x / width
    x *= x
    x += 1
    x *= x
    return np.divide(1, x, out=x)


def wave(x: np.ndarray) -> np.ndarray:
    """A smooth wave of period 1 between -1 and 1, near a cosine, made of parabolas."""
    t = x - np.floor(x)
    t -= np.float32(0.5)
    np.abs(t, out=t)
    t *= 4
    t -= 1
    size = np.abs(t)
    np.subtract(2, size, out=size)
    t *= size
    return t


def ellipse(u: np.ndarray, v: np.ndarray, wide: float, high: float) -> np.ndarray:
    """Distance from the origin that is 1 on the ellipse with these half-axes."""
    u, v = u * np.float32(1 / wide), v * np.float32(1 / high)
    u *= u
    v *= v
    u = u + v if u.shape != np.broadcast_shapes(u.shape, v.shape) else np.add(u, v, out=u)
    return np.sqrt(u, out=u)


def column(x: np.ndarray) -> np.ndarray:
    """(m,) numbers as float32 (m, 1, 1), to meet (m, H, W) arrays."""
    return np.asarray(x, np.float32)[:, None, None]


@cache
def noise() -> np.ndarray:
    """Fractal noise with mean 0 and deviation 1, periodic: float32 (TILE, TILE)."""
    total = np.zeros((TILE, TILE), np.float32)
    for octave, cells in enumerate((8, 16, 32, 64, 128, 256)):
        grid = Draws(octave, "noise", np.arange(cells)).uniform(-1, 1, cells).astype(np.float32)
        total += _enlarge(grid) * np.float32(0.6**octave)
    return (total - total.mean()) / total.std()


@cache
def speckle() -> np.ndarray:
    """Fine noise (features of 4 tile pixels), mean 0, deviation 1: float32 (TILE, TILE)."""
    grid = Draws(0, "speckle", np.arange(128)).uniform(-1, 1, 128).astype(np.float32)
    fine = _enlarge(grid)
    return fine / fine.std()


def _enlarge(grid: np.ndarray) -> np.ndarray:
    """A periodic (c, c) grid smoothly enlarged to (TILE, TILE)."""
    for axis in (0, 1):
        cells = grid.shape[axis]
        x = (np.arange(TILE, dtype=np.float32) + 0.5) * np.float32(cells / TILE)
        i = x.astype(np.int64)
        t = (x - i).astype(np.float32)
        t = (t * t * (3 - 2 * t)).reshape((-1, 1) if axis == 0 else (1, -1))
        a, b = grid.take(i % cells, axis), grid.take((i + 1) % cells, axis)
        grid = a + (b - a) * t
    return grid


def sample(tile: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A periodic tile at (x, y) in tile pixels, between pixels linearly."""
    fx, fy = np.floor(x), np.floor(y)
    i, j = fx.astype(np.int32), fy.astype(np.int32)
    x, y = x - fx, y - fy
    row, below = (j & (TILE - 1)) * TILE, ((j + 1) & (TILE - 1)) * TILE
    i, right = i & (TILE - 1), (i + 1) & (TILE - 1)
    flat = tile.ravel()
    top = flat.take(row + i)
    top += (flat.take(row + right) - top) * x
    bottom = flat.take(below + i)
    bottom += (flat.take(below + right) - bottom) * x
    return top + (bottom - top) * y


def nearest(tile: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A periodic tile at the pixel that holds (x, y): four times as fast as `sample`."""
    i = np.floor(x).astype(np.int32) & (TILE - 1)
    j = np.floor(y).astype(np.int32) & (TILE - 1)
    return tile.ravel().take(j * TILE + i)


@dataclass
class Light:
    """Directions of light, one a picture, pointing to the lamp; y is up, z towards us."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray

    @classmethod
    def draw(cls, draws: Draws) -> "Light":
        """From the upper left or right, in front."""
        x = draws.uniform(0.3, 0.6) * draws.sign()
        y = draws.uniform(0.45, 0.68)
        return cls(x, y, np.sqrt(1 - x * x - y * y))

    def __getitem__(self, rows: np.ndarray) -> "Light":
        return Light(self.x[rows], self.y[rows], self.z[rows])


@dataclass
class Patch:
    """Squares of pixels around m things: where each pixel lies in the thing's own coordinates.

    u points to the thing's right, v up, and 1 is its radius; px is a pixel's width in them.
    """

    u: np.ndarray
    v: np.ndarray
    px: np.ndarray
    left: np.ndarray
    top: np.ndarray
    light: Light

    @classmethod
    def around(cls, x, y, radius, tilt, reach, size: int, light: Light) -> "Patch":
        """Patches that reach (wide, high) radii from (x, y); tilt: tangent of half the angle."""
        wide, high = (int(np.ceil(2 * r * float(radius.max()) * size)) + 2 for r in reach)
        left = np.floor(x * size - wide / 2).astype(np.int64)
        top = np.floor(y * size - high / 2).astype(np.int64)
        return cls._at(x, y, radius, tilt, left, top, (wide, high), size, light)

    @classmethod
    def whole(cls, x, y, radius, tilt, size: int, light: Light) -> "Patch":
        """The whole picture, in coordinates around (x, y)."""
        zero = np.zeros(len(x), np.int64)
        return cls._at(x, y, radius, tilt, zero, zero, (size, size), size, light)

    @classmethod
    def _at(cls, x, y, radius, tilt, left, top, sides, size, light) -> "Patch":
        steps, lower = (np.arange(side) + 0.5 for side in sides)
        right = (((left[:, None] + steps) / size - x[:, None]) / radius[:, None])[:, None, :]
        up = ((y[:, None] - (top[:, None] + lower) / size) / radius[:, None])[:, :, None]
        square = tilt * tilt
        cos = ((1 - square) / (1 + square))[:, None, None]
        sin = (2 * tilt / (1 + square))[:, None, None]
        u = (cos * right + sin * up).astype(np.float32)
        v = (cos * up - sin * right).astype(np.float32)
        lamp = Light(column(light.x), column(light.y), column(light.z))
        return cls(u, v, column(1 / (radius * size)), left, top, lamp)

    def cut(self, rows: slice, cols: slice) -> "Patch":
        """The same patches, less some rows and columns."""
        u, v = self.u[:, rows, cols], self.v[:, rows, cols]
        left, top = self.left + (cols.start or 0), self.top + (rows.start or 0)
        return Patch(u, v, self.px, left, top, self.light)


@dataclass
class Surface:
    """What a solid shows: how much of a pixel it covers, and where its skin faces (y up)."""

    cover: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray


def solid(rho: np.ndarray, flat: float = 0.0) -> Surface:
    """A rounded solid from a function that grows from 0 inside to 1 at its outline.

    Its edge is soft over one pixel; `flat` in 0..1 turns the skin towards us, as on a leaf.
    """
    rho = np.minimum(rho, np.float32(1.7))  # far away it may grow by more than 1 a pixel
    dx, dy = np.empty_like(rho), np.empty_like(rho)  # central differences, to the right and up
    np.subtract(rho[:, :, 2:], rho[:, :, :-2], out=dx[:, :, 1:-1])
    np.subtract(rho[:, :-2], rho[:, 2:], out=dy[:, 1:-1])
    dx[:, :, 0], dx[:, :, -1] = dx[:, :, 1], dx[:, :, -2]
    dy[:, 0], dy[:, -1] = dy[:, 1], dy[:, -2]
    dx *= np.float32(0.5)
    dy *= np.float32(0.5)
    steep = dx * dx
    steep += dy * dy
    np.sqrt(steep, out=steep)
    steep += np.float32(1e-6)
    cover = 1 - rho
    cover /= steep
    cover += np.float32(0.5)
    np.clip(cover, 0, 1, out=cover)
    lean = np.minimum(rho, 1, out=rho)
    lean *= np.float32(1 - flat)
    np.divide(lean, steep, out=steep)
    dx *= steep
    dy *= steep
    lean *= lean
    np.subtract(1, lean, out=lean)
    return Surface(cover, dx, dy, np.sqrt(lean, out=lean))


def outline(rho: np.ndarray) -> np.ndarray:
    """How much of each pixel a solid covers, without its shading."""
    return solid(rho).cover


def lit(skin: Surface, light: Light, albedo, gloss=0.0, sharp: int = 4) -> np.ndarray:
    """Lightness of a skin under lamp and sky, with a highlight, the narrower the larger `sharp`."""
    toward = skin.x * light.x
    toward += skin.y * light.y
    shine = skin.z * light.z
    shine += toward
    np.clip(shine, 0, 1, out=shine)
    shine *= np.float32(0.62)
    shine += skin.y * np.float32(0.10)
    shine += np.float32(0.46)
    shine = shine * albedo
    if np.any(gloss):
        toward += skin.z * (light.z + 1)  # light + eye; the eye looks along z
        toward /= np.sqrt(2 + 2 * light.z)
        np.clip(toward, 0, 1, out=toward)
        for _ in range(sharp):
            toward *= toward
        shine += (97 - shine) * (toward * gloss)
    return shine


class Layers:
    """Paint on a patch, back to front: lightness, how much it covers, and whose it is."""

    def __init__(self, patch: Patch):
        self.patch, self.halo = patch, None
        self.cover, self.lightness = np.zeros_like(patch.u), np.zeros_like(patch.u)
        self.part = np.zeros(patch.u.shape, np.uint8)
        self.soft = np.zeros(patch.u.shape, bool)

    def cut(self, rows: slice, cols: slice) -> "Layers":
        """A window on these layers: what is painted in it is painted here."""
        window = Layers(self.patch.cut(rows, cols))
        for name in ("cover", "lightness", "part", "soft"):
            setattr(window, name, getattr(self, name)[:, rows, cols])
        return window

    def paint(self, cover: np.ndarray, lightness: np.ndarray, part: int) -> None:
        """Lay `lightness` over what is there; a pixel belongs to who covers at least half of it."""
        self.lightness += (lightness - self.lightness) * cover
        self.cover += (1 - self.cover) * cover
        np.copyto(self.part, np.uint8(part), where=cover >= 0.5)
        self.soft |= cover > _SOFT
        self.soft &= cover < 1 - _SOFT

    def darken(self, amount: np.ndarray) -> None:
        """Multiply what is painted so far by 1 - amount."""
        self.lightness *= 1 - amount

    def shade_around(self, rho: np.ndarray, strength: float = 0.42) -> None:
        """Darken what lies behind, close to this thing."""
        near = np.clip(np.float32(2.05) - rho * np.float32(1.33), 0, 1)
        self.halo = near * near * np.float32(strength)


class Canvas:
    """A chunk of pictures being drawn: lightness, the owner of each pixel, and soft edges."""

    def __init__(self, n: int, size: int):
        self.size = size
        self.lightness = np.zeros((n, size, size), np.float32)
        self.owner = np.zeros((n, size, size), np.uint8)
        self.soft = np.zeros((n, size, size), bool)

    def cover(self, layers: Layers) -> None:
        """Take whole pictures, painted from border to border; their parts are the slots."""
        self.lightness, self.owner, self.soft = layers.lightness, layers.part, layers.soft

    def _cut(self, left: int, top: int, wide: int, high: int) -> tuple[slice, slice, slice, slice]:
        """Rows and columns of a patch in the picture, and of the picture in the patch."""
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + wide, self.size), min(top + high, self.size)
        x1, y1 = max(x0, x1), max(y0, y1)
        return (
            slice(y0, y1), slice(x0, x1), slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        )  # fmt: skip

    def place(self, i: int, layers: Layers, k: int, first: int) -> None:
        """Lay thing k of `layers` over picture i; its part p owns as number first + p - 1."""
        p = layers.patch
        rows, cols, ys, xs = self._cut(int(p.left[k]), int(p.top[k]), *p.u.shape[:0:-1])
        cover = layers.cover[k, ys, xs]
        below, owner = self.lightness[i, rows, cols], self.owner[i, rows, cols]
        if layers.halo is not None:
            below *= 1 - layers.halo[k, ys, xs] * (owner != BACKDROP)
        below *= 1 - cover
        below += layers.lightness[k, ys, xs]
        part = layers.part[k, ys, xs]
        np.copyto(owner, part + np.uint8(first - 1), where=part > 0)
        soft = self.soft[i, rows, cols]
        np.logical_or(soft, cover > _SOFT, out=soft)
        inner = cover >= 1 - _SOFT
        np.copyto(soft, layers.soft[k, ys, xs], where=inner)

    def dim(self, i: int, amount: np.ndarray, left: int, top: int) -> None:
        """Cast a shadow (h, w), whose corner lies at (left, top), on picture i."""
        high, wide = amount.shape
        rows, cols, ys, xs = self._cut(left, top, wide, high)
        self.lightness[i, rows, cols] *= 1 - amount[ys, xs]

"""A made world: pictures drawn on demand, and all that is known about their colours."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from colorkit.color import join_lab, lab_to_rgb

from .colours import Mode, Palette
from .scene import Scene

CHUNK_PIXELS = 32 * 64 * 64  # drawn at once: what a cache holds
KEPT_SCENES = 256  # objects, posterior and oracle_mean ask for the same ones, often again
SIZES = (32, 256)


@dataclass(frozen=True)
class Thing:
    """A thing in a picture, or a ground: its kind, drawn colour, and what is seen of it.

    `mode` is the number of `colour` among the kind's modes. `visible` bool (1, 1, H, W) are the
    pixels that it owns: seen, and at least half covered. `pixels` is how many these are, `scored`
    whether they are enough for scores: 60 at 64 x 64, in proportion at other sizes.
    """

    kind: str
    mode: int
    colour: Mode
    visible: Tensor
    pixels: int
    scored: bool


@dataclass(frozen=True)
class Posterior:
    """The colours that a thing can have, given the scene.

    `probs` float64 (K,) says how probable each of its K modes is; `ab` float32 (K, 2, H, W) is the
    colour of each at each pixel's L, meant where `visible`, bool (1, 1, H, W).
    """

    kind: str
    probs: Tensor
    ab: Tensor
    visible: Tensor


class Batch(NamedTuple):
    """Drawn pictures: L (n, 1, H, W) and ab (n, 2, H, W) before 8 bits, rgb uint8 (n, 3, H, W).

    `kinds` uint8 (n, 1, H, W) is the number in `world.kinds` of the thing at each pixel; `scored`
    bool (n, 1, H, W) says which pixels scores count; `labels` int64 (n,) is as in the world.
    """

    L: Tensor
    ab: Tensor
    rgb: Tensor
    kinds: Tensor
    scored: Tensor
    labels: Tensor


class World:
    """n pictures with known colours, drawn when asked for.

    Parameters
    ----------
    name : str
    n, size, seed : int
        Number of pictures, side in pixels (32 to 256), seed (0 or more).
    draw : callable
        (index, size, seed) -> Scene.
    palette : Palette
        The kinds and their colours.
    things : tuple of str
        The kinds that are things rather than surroundings.
    labels : callable, optional
        (scene, modes (n, P)) -> int (n,). By default the kind with the most visible pixels.
    label_names : tuple of str, optional
        What the labels mean; by default `things`.
    """

    def __init__(
        self,
        name: str,
        n: int,
        size: int,
        seed: int,
        draw: Callable[[np.ndarray, int, int], Scene],
        palette: Palette,
        things: tuple[str, ...],
        labels: Callable[[Scene, np.ndarray], np.ndarray] | None = None,
        label_names: tuple[str, ...] | None = None,
    ):
        if n < 1:
            raise ValueError(f"a world needs at least one picture, got n={n}")
        if not SIZES[0] <= size <= SIZES[1]:
            raise ValueError(f"size must lie between {SIZES[0]} and {SIZES[1]} pixels, got {size}")
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        self.name, self.n, self.size, self.seed = name, n, size, seed
        self.palette, self.things = palette, things
        self.kinds = palette.names
        self.label_names = label_names or things
        self._draw, self._labels = draw, labels or self._largest
        self._one = lru_cache(KEPT_SCENES)(lambda i: self.scene(i, i + 1))

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        return f"{self.name}(n={self.n}, size={self.size}, seed={self.seed})"

    # Pictures -----------------------------------------------------------------------------

    def scene(self, start: int, stop: int) -> Scene:
        """What pictures start..stop-1 show, without colours."""
        if not 0 <= start < stop <= self.n:
            raise IndexError(f"{self!r} has no pictures {start} to {stop - 1}")
        return self._draw(np.arange(start, stop), self.size, self.seed)

    def batches(self) -> Iterator[Batch]:
        """All pictures in order, as many at a time as a cache holds."""
        count = max(1, CHUNK_PIXELS // self.size**2)
        for start in range(0, self.n, count):
            yield self.batch(start, min(start + count, self.n))

    def batch(self, start: int, stop: int) -> Batch:
        """Draw pictures start..stop-1."""
        scene = self.scene(start, stop)
        modes = scene.draw_modes(self.seed, np.arange(start, stop))
        number = (self.palette.first[scene.kind] + modes).astype(np.int32)
        L = _pixels(scene.lightness)
        ab = _two(self.palette.ab(scene.lightness, scene.of_owner(number)))
        return Batch(
            L=L,
            ab=ab,
            rgb=lab_to_rgb(join_lab(L, ab)).mul_(255).round_().clamp_(0, 255).to(torch.uint8),
            kinds=_pixels(scene.of_owner(scene.kind.astype(np.uint8))),
            scored=_pixels(scene.scored()),
            labels=torch.from_numpy(np.asarray(self._labels(scene, modes), np.int64)),
        )

    @cached_property
    def _all(self) -> Batch:
        """Everything drawn together at the first use and kept: who asks for L asks for ab."""
        return Batch(*map(torch.cat, zip(*self.batches(), strict=True)))

    @property
    def rgb(self) -> Tensor:
        """All pictures: uint8 (N, 3, H, W)."""
        return self._all.rgb

    @property
    def L(self) -> Tensor:
        """Lightness before 8 bits, in [0, 100]: float32 (N, 1, H, W)."""
        return self._all.L

    @property
    def ab(self) -> Tensor:
        """Colours before 8 bits: float32 (N, 2, H, W)."""
        return self._all.ab

    @property
    def kind_map(self) -> Tensor:
        """The number in `kinds` of the thing at each pixel: uint8 (N, 1, H, W)."""
        return self._all.kinds

    @property
    def labels(self) -> Tensor:
        """One class a picture, a number in `label_names`: int64 (N,)."""
        return self._all.labels

    def _largest(self, scene: Scene, modes: np.ndarray) -> np.ndarray:
        pixels = scene.pixels() * (scene.kind >= 0) * (scene.kind < len(self.things))
        return np.take_along_axis(scene.kind, pixels.argmax(1)[:, None], 1)[:, 0]

    # What is known ------------------------------------------------------------------------

    def objects(self, i: int) -> list[Thing]:
        """The things of picture i that can be seen, ground and backdrop first."""
        i = range(self.n)[i]
        scene = self._one(i)
        modes, pixels = scene.draw_modes(self.seed, np.array([i]))[0], scene.pixels()[0]
        things = []
        for slot in np.flatnonzero(pixels):
            kind = self.palette.kinds[scene.kind[0, slot]]
            things.append(
                Thing(
                    kind=kind.name,
                    mode=int(modes[slot]),
                    colour=kind.modes[modes[slot]],
                    visible=_pixels(scene.owner == slot),
                    pixels=int(pixels[slot]),
                    scored=bool(pixels[slot] >= scene.least),
                )
            )
        return things

    def posterior(self, i: int) -> list[Posterior]:
        """p(ab | L, scene) of picture i, for the things of `objects(i)`, in their order."""
        scene = self._one(range(self.n)[i])
        found = []
        for slot in np.flatnonzero(scene.pixels()[0]):
            number = int(scene.kind[0, slot])
            kind = self.palette.kinds[number]
            count = len(kind.modes)
            modes = np.arange(count, dtype=np.int32) + np.int32(self.palette.first[number])
            found.append(
                Posterior(
                    kind=kind.name,
                    probs=torch.from_numpy(scene.probs[0, slot, :count].copy()),
                    ab=_two(self.palette.ab(scene.lightness, modes[:, None, None])),
                    visible=_pixels(scene.owner == slot),
                )
            )
        return found

    def oracle_mean(self, i: int) -> Tensor:
        """The best prediction for squared error, E[ab | L, scene]: float32 (1, 2, H, W)."""
        scene = self._one(range(self.n)[i])
        mean = np.zeros(scene.lightness.shape, np.complex64)
        for k in range(self.palette.most):
            share = scene.of_owner(scene.probs[..., k].astype(np.float32))
            where = share > 0
            number = scene.of_owner((self.palette.first[scene.kind] + k).astype(np.int32))[where]
            mean[where] += share[where] * self.palette.ab(scene.lightness[where], number)
        return _two(mean)


def _pixels(values: np.ndarray) -> Tensor:
    """(n, H, W) as a tensor (n, 1, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(values))[:, None]


def _two(ab: np.ndarray) -> Tensor:
    """a + bi (n, H, W) as a tensor (n, 2, H, W)."""
    return torch.from_numpy(np.stack([ab.real, ab.imag], 1))

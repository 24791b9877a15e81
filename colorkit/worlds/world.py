"""A made world: pictures drawn on demand, and all that is known about their colours."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from colorkit.color import join_lab, lab_to_rgb

from .colours import Mode, Palette
from .scene import MIN_PIXELS, Scene

CHUNK_PIXELS = 32 * 64 * 64  # drawn at once: what a cache holds
KEPT_SCENES = 256
SIZES = (32, 256)


@dataclass(frozen=True)
class Thing:
    """A thing in a picture.

    Attributes
    ----------
    kind : str
        Such as "apple", or "grass" for a ground.
    mode : int
        The number of the colour that was drawn, among the kind's modes.
    colour : Mode
        Its name, hue in degrees and share of the largest chroma.
    mask : Tensor
        float32 (1, 1, H, W): how much of each pixel it covers where nothing stands before it.
        For grounds, backdrops and all of a portrait, this is what is seen of them, 0 or 1.
    visible : Tensor
        bool (1, 1, H, W): the pixels that it owns: seen, and at least half covered.
    pixels : int
        How many these are.
    scored : bool
        Whether they are enough for scores: 60 at 64 x 64, in proportion at other sizes.
    """

    kind: str
    mode: int
    colour: Mode
    mask: Tensor
    visible: Tensor
    pixels: int
    scored: bool


@dataclass(frozen=True)
class Posterior:
    """The colours that a thing can have, given the scene.

    Attributes
    ----------
    kind : str
    names : tuple of str
        Names of its K modes.
    probs : Tensor
        float64 (K,): how probable each is.
    ab : Tensor
        float32 (K, 2, H, W): the colour of each at each pixel's L; meant where it is visible.
    visible : Tensor
        bool (1, 1, H, W)
    """

    kind: str
    names: tuple[str, ...]
    probs: Tensor
    ab: Tensor
    visible: Tensor


@dataclass(frozen=True)
class Batch:
    """Drawn pictures: L (n, 1, H, W), ab (n, 2, H, W), rgb uint8 (n, 3, H, W), and the masks.

    `kinds` int64 (n, 1, H, W) is the number in `world.kinds` of the thing at each pixel; `scored`
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
        (index, size, seed, masks=False, **options) -> Scene.
    palette : Palette
        The kinds and their colours.
    things : tuple of str
        The kinds that are things rather than surroundings.
    labels : callable, optional
        (scene, modes (n, P)) -> int (n,). By default the kind with the most visible pixels.
    label_names : tuple of str, optional
        What the labels mean; by default `things`.
    options : dict
        Handed to `draw`.
    """

    def __init__(
        self,
        name: str,
        n: int,
        size: int,
        seed: int,
        draw: Callable[..., Scene],
        palette: Palette,
        things: tuple[str, ...],
        labels: Callable[[Scene, np.ndarray], np.ndarray] | None = None,
        label_names: tuple[str, ...] | None = None,
        options: dict | None = None,
    ):
        _check(n, size, seed)
        self.name, self.n, self.size, self.seed = name, n, size, seed
        self.palette, self.things = palette, things
        self.kinds = palette.names
        self.label_names = label_names or things
        self._draw, self._labels, self._options = draw, labels or self._largest, options or {}
        self._scenes: dict[int, Scene] = {}

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        return f"{self.name}(n={self.n}, size={self.size}, seed={self.seed})"

    # Pictures -----------------------------------------------------------------------------

    def scene(self, start: int, stop: int, masks: bool = False) -> Scene:
        """What pictures start..stop-1 show, without colours."""
        if not 0 <= start < stop <= self.n:
            raise IndexError(f"{self!r} has no pictures {start} to {stop - 1}")
        index = np.arange(start, stop)
        return self._draw(index, self.size, self.seed, masks=masks, **self._options)

    def batches(self, count: int | None = None) -> Iterator[Batch]:
        """All pictures in order, `count` at a time; by default as many as a cache holds."""
        for start, stop in self._chunks(count):
            yield self.batch(start, stop)

    def _chunks(self, count: int | None = None) -> Iterator[tuple[int, int]]:
        count = count or max(1, CHUNK_PIXELS // self.size**2)
        for start in range(0, self.n, count):
            yield start, min(start + count, self.n)

    def batch(self, start: int, stop: int) -> Batch:
        """Draw pictures start..stop-1."""
        scene, modes = self._drawn(start, stop)
        L, ab = self._colour(scene, modes)
        return Batch(
            L=L,
            ab=ab,
            rgb=_to_bytes(L, ab),
            kinds=_pixels(scene.of_owner(scene.kind)).long(),
            scored=_pixels(scene.scored()),
            labels=self._labelled(scene, modes),
        )

    def _drawn(self, start: int, stop: int) -> tuple[Scene, np.ndarray]:
        scene = self.scene(start, stop)
        return scene, scene.draw_modes(self.seed, np.arange(start, stop))

    def _labelled(self, scene: Scene, modes: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(self._labels(scene, modes), np.int64))

    def _colour(self, scene: Scene, modes: np.ndarray) -> tuple[Tensor, Tensor]:
        number = (self.palette.first[scene.kind] + modes).astype(np.int32)
        ab = self.palette.ab(scene.lightness, scene.of_owner(number))
        return _pixels(scene.lightness), _two(ab)

    @cached_property
    def rgb(self) -> Tensor:
        """All pictures: uint8 (N, 3, H, W). Drawn at the first use, then kept."""
        return torch.cat([batch.rgb for batch in self.batches()])

    @cached_property
    def _planes(self) -> tuple[Tensor, Tensor, Tensor]:
        """L, ab and kinds of all pictures: drawn together, as who asks for one asks for others."""
        parts = []
        for chunk in self._chunks():
            scene, modes = self._drawn(*chunk)
            kinds = _pixels(scene.of_owner(scene.kind.astype(np.uint8)))
            parts.append((*self._colour(scene, modes), kinds))
        return tuple(torch.cat(part) for part in zip(*parts, strict=True))

    @property
    def L(self) -> Tensor:
        """Lightness before 8 bits, in [0, 100]: float32 (N, 1, H, W). Drawn once, then kept."""
        return self._planes[0]

    @property
    def ab(self) -> Tensor:
        """Colours before 8 bits: float32 (N, 2, H, W). Drawn once, then kept."""
        return self._planes[1]

    @property
    def kind_map(self) -> Tensor:
        """The number in `kinds` of the thing at each pixel: uint8 (N, 1, H, W). Drawn once."""
        return self._planes[2]

    @cached_property
    def labels(self) -> Tensor:
        """One class a picture, a number in `label_names`: int64 (N,)."""
        return torch.cat([self._labelled(*self._drawn(*chunk)) for chunk in self._chunks()])

    def _largest(self, scene: Scene, modes: np.ndarray) -> np.ndarray:
        pixels = scene.pixels() * (scene.kind >= 0) * (scene.kind < len(self.things))
        return np.take_along_axis(scene.kind, pixels.argmax(1)[:, None], 1)[:, 0]

    # What is known ------------------------------------------------------------------------

    def _one(self, i: int) -> Scene:
        """The scene of picture i, without masks; the last ones are kept, as many ask for them."""
        i = range(self.n)[i]
        if i not in self._scenes:
            if len(self._scenes) == KEPT_SCENES:
                del self._scenes[next(iter(self._scenes))]
            self._scenes[i] = self.scene(i, i + 1)
        return self._scenes[i]

    def _seen(self, scene: Scene) -> list[int]:
        """Slots whose thing has at least one pixel."""
        return [int(slot) for slot in np.flatnonzero(scene.pixels()[0])]

    def objects(self, i: int) -> list[Thing]:
        """The things of picture i that can be seen, ground and backdrop first."""
        i = range(self.n)[i]
        scene = self.scene(i, i + 1, masks=True)
        modes, pixels = scene.draw_modes(self.seed, np.array([i]))[0], scene.pixels()[0]
        things = []
        for slot in self._seen(scene):
            kind = self.palette.kinds[scene.kind[0, slot]]
            visible = scene.owner[0] == slot
            mask = scene.masks[0, slot]
            mask = mask if mask.any() else visible.astype(np.float32)
            things.append(
                Thing(
                    kind=kind.name,
                    mode=int(modes[slot]),
                    colour=kind.modes[modes[slot]],
                    mask=_pixels(mask[None]),
                    visible=_pixels(visible[None]),
                    pixels=int(pixels[slot]),
                    scored=bool(pixels[slot] >= MIN_PIXELS * self.size**2 / 64**2),
                )
            )
        return things

    def posterior(self, i: int) -> list[Posterior]:
        """p(ab | L, scene) of picture i, for the things of `objects(i)`, in their order."""
        scene = self._one(i)
        return [self._posterior(scene, slot) for slot in self._seen(scene)]

    def _posterior(self, scene: Scene, slot: int) -> Posterior:
        number = int(scene.kind[0, slot])
        kind = self.palette.kinds[number]
        count = len(kind.modes)
        modes = np.arange(count, dtype=np.int32) + np.int32(self.palette.first[number])
        ab = self.palette.ab(scene.lightness, modes[:, None, None])
        return Posterior(
            kind=kind.name,
            names=tuple(mode.name for mode in kind.modes),
            probs=torch.from_numpy(scene.probs[0, slot, :count].copy()),
            ab=_two(ab),
            visible=_pixels(scene.owner == slot),
        )

    def oracle_mean(self, i: int) -> Tensor:
        """The best prediction for squared error, E[ab | L, scene]: float32 (1, 2, H, W)."""
        return _two(self._moments(self._one(i))[0])

    def oracle_mode(self, i: int) -> Tensor:
        """The most probable colour at each pixel: float32 (1, 2, H, W)."""
        scene = self._one(i)
        number = (self.palette.first[scene.kind] + scene.probs.argmax(-1)).astype(np.int32)
        return _two(self.palette.ab(scene.lightness, scene.of_owner(number)))

    def _moments(self, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
        """Mean a + bi and mean squared distance from it, at each pixel: (n, H, W)."""
        mean = np.zeros(scene.lightness.shape, np.complex64)
        square = np.zeros(scene.lightness.shape, np.float32)
        for k in range(self.palette.most):
            share = scene.of_owner(scene.probs[..., k].astype(np.float32))
            where = share > 0
            number = scene.of_owner((self.palette.first[scene.kind] + k).astype(np.int32))[where]
            ab = self.palette.ab(scene.lightness[where], number)
            mean[where] += share[where] * ab
            square[where] += share[where] * (ab.real * ab.real + ab.imag * ab.imag)
        spread = square - mean.real * mean.real - mean.imag * mean.imag
        return mean, np.maximum(spread, 0)

    def unavoidable_mse(self) -> float:
        """The squared error that no model can avoid: of `oracle_mean` on scored pixels, in ab².

        A mean over pixels and both channels, as torch's mse_loss: half the mean squared distance.
        """
        return self._scored_mean(lambda scene, start, stop: self._moments(scene)[1])

    def gray_mse(self) -> float:
        """The squared error of predicting gray, ab = 0, on the same pixels, in ab²."""

        def square(scene: Scene, start: int, stop: int) -> np.ndarray:
            ab = self._colour(scene, scene.draw_modes(self.seed, np.arange(start, stop)))[1]
            return (ab * ab).sum(1).numpy()

        return self._scored_mean(square)

    def _scored_mean(self, of: Callable[[Scene, int, int], np.ndarray]) -> float:
        total, pixels = 0.0, 0
        for start, stop in self._chunks():
            scene = self.scene(start, stop)
            scored = scene.scored()
            total += float(of(scene, start, stop)[scored].sum(dtype=np.float64))
            pixels += int(scored.sum())
        return total / 2 / pixels


def _check(n: int, size: int, seed: int) -> None:
    if n < 1:
        raise ValueError(f"a world needs at least one picture, got n={n}")
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"size must lie between {SIZES[0]} and {SIZES[1]} pixels, got {size}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")


def _pixels(values: np.ndarray) -> Tensor:
    """(n, H, W) as a tensor (n, 1, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(values))[:, None]


def _two(ab: np.ndarray) -> Tensor:
    """a + bi (n, H, W) as a tensor (n, 2, H, W)."""
    return torch.from_numpy(np.stack([ab.real, ab.imag], 1))


def _to_bytes(L: Tensor, ab: Tensor) -> Tensor:
    """The pictures as 8-bit sRGB: uint8 (n, 3, H, W)."""
    rgb = lab_to_rgb(join_lab(L, ab))
    return rgb.mul_(255).round_().clamp_(0, 255).to(torch.uint8)

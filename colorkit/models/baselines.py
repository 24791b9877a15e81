"""What a network has to beat, and what it cannot: colorizers without training.

Each is one idea: no colour, one colour for all, one colour for each lightness, some other
picture's colours, the most similar picture's colours. The oracle of a made world is the other end:
the best that anybody can do who sees the scene but not the colours.
"""

from collections.abc import Iterable
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from colorkit.models.colorizer import Colorizer, picture_key

Batches = Iterable[tuple[Tensor, Tensor]]
"""(L (N, 1, H, W), ab (N, 2, H, W)) of training pictures; an end is needed."""

LEVELS = 101  # of lightness: 0, 1, ..., 100
_THUMBNAIL = 16  # side in pixels of what is compared to find a similar picture
_SAME = 1.0  # mean difference of L up to which two pictures are the same: 8 bits cost 0.1 to 0.3


class Gray(Colorizer):
    """No colour: ab = 0. Hard to beat in raw AuC, since most pixels are nearly gray."""

    def predict(self, L: Tensor) -> Tensor:
        return L.new_zeros(L.shape[0], 2, *L.shape[2:])


class MeanColor(Colorizer):
    """One colour for all pixels: the best constant for squared error.

    Parameters
    ----------
    batches : iterable of (L, ab)
        Training pictures; each pixel counts the same.
    """

    def __init__(self, batches: Batches) -> None:
        total, pixels = torch.zeros(2, dtype=torch.float64), 0
        for _, ab in batches:
            total += ab.sum((0, 2, 3), dtype=torch.float32).double().cpu()
            pixels += ab.numel() // 2
        _check_any(pixels)
        self.color = (total / pixels).float()

    def predict(self, L: Tensor) -> Tensor:
        return self.color.to(L).view(1, 2, 1, 1).expand(L.shape[0], 2, *L.shape[2:])


class MeanColorByLightness(Colorizer):
    """The mean colour of each lightness, between whole numbers of L interpolated.

    What a model can know that sees single pixels and no shapes.

    Parameters
    ----------
    batches : iterable of (L, ab)
        Training pictures. A lightness that they lack takes the nearest one's colour.
    """

    def __init__(self, batches: Batches) -> None:
        totals, counts = torch.zeros(LEVELS, 2, dtype=torch.float64), torch.zeros(LEVELS)
        counts = counts.double()
        for L, ab in batches:
            level = L.round().clamp(0, 100).long().flatten().cpu()
            colors = ab.movedim(1, -1).reshape(-1, 2).cpu().double()
            totals.index_add_(0, level, colors)
            counts += torch.bincount(level, minlength=LEVELS)
        _check_any(counts.sum())
        seen = counts.nonzero().flatten()
        nearest = seen[(torch.arange(LEVELS)[:, None] - seen).abs().argmin(1)]
        self.colors = (totals[nearest] / counts[nearest, None]).float()

    def predict(self, L: Tensor) -> Tensor:
        colors, L = self.colors.to(L), L[:, 0].clamp(0, 100)
        low = L.floor().clamp_max(LEVELS - 2)
        share = (L - low)[..., None]
        low = low.long()
        return (colors[low] * (1 - share) + colors[low + 1] * share).movedim(-1, 1)


class RandomPicture(Colorizer):
    """The colours of a training picture drawn at random, resized.

    The draw depends on the picture and the seed alone, so that results are repeatable and do not
    hang on the size or order of batches.

    Parameters
    ----------
    batches : iterable of (L, ab)
        Training pictures; their ab is kept.
    seed : int
    """

    def __init__(self, batches: Batches, seed: int = 0) -> None:
        self.pictures = _gather(batches)[1]
        self.seed = seed

    def draw(self, L: Tensor) -> int:
        """Number of the training picture that L (1, H, W) gets."""
        return int(np.random.default_rng([self.seed, picture_key(L)]).integers(len(self.pictures)))

    def predict(self, L: Tensor) -> Tensor:
        return torch.cat([_resized(self.pictures[self.draw(x)], x) for x in L])


class NearestNeighbor(Colorizer):
    """The colours of the training picture whose lightness is most similar, resized.

    Pictures are compared as thumbnails of 16 x 16, by the squared difference of L.

    Parameters
    ----------
    batches : iterable of (L, ab)
        Training pictures; their ab is kept.
    """

    def __init__(self, batches: Batches) -> None:
        self.thumbnails, self.pictures = _gather(batches)

    def predict(self, L: Tensor) -> Tensor:
        nearest = torch.cdist(_thumbnails(L), self.thumbnails).argmin(1).tolist()
        return torch.cat([_resized(self.pictures[i], x) for i, x in zip(nearest, L, strict=True)])


class MadeWorld(Protocol):
    """What the oracle needs of a world, such as `colorkit.worlds.orchard_scenes(...)`."""

    def __len__(self) -> int: ...
    def batches(self) -> Iterable: ...
    def oracle_mean(self, i: int) -> Tensor: ...
    def oracle_mode(self, i: int) -> Tensor: ...


class Oracle(Colorizer):
    """The best prediction for a made world, from its known distribution of colours.

    It recognises the world's pictures by their L, stored in 8 bits or not.

    Parameters
    ----------
    world : MadeWorld
    best : {"mean", "mode"}
        "mean", E[ab | L, scene], is the best for squared error; "mode" is the most probable.

    Raises
    ------
    ValueError
        When it is asked for a picture that is not of this world.
    """

    def __init__(self, world: MadeWorld, best: Literal["mean", "mode"] = "mean") -> None:
        if best not in ("mean", "mode"):
            raise ValueError(f'best must be "mean" or "mode", got {best!r}')
        self.world, self.best = world, best
        self.thumbnails = torch.cat([_thumbnails(batch.L) for batch in world.batches()])

    def predict(self, L: Tensor) -> Tensor:
        oracle = self.world.oracle_mean if self.best == "mean" else self.world.oracle_mode
        distances, numbers = (torch.cdist(_thumbnails(L), self.thumbnails) / _THUMBNAIL).min(1)
        if distances.max() > _SAME:  # a root mean square of L
            worst = int(distances.argmax())
            raise ValueError(
                f"picture {worst} of the batch is not of {self.world!r}: its L is "
                f"{distances[worst]:.1f} from the nearest one. The oracle knows the world's own "
                "pictures only, neither flipped nor cropped"
            )
        return torch.cat([_of_size(oracle(i), L) for i in numbers.tolist()]).to(L)


def _of_size(ab: Tensor, L: Tensor) -> Tensor:
    if ab.shape[2:] != L.shape[2:]:
        raise ValueError(
            f"the world's pictures are {ab.shape[2]} x {ab.shape[3]}, these {L.shape[2]} x "
            f"{L.shape[3]}: the oracle knows its own size only"
        )
    return ab


def _gather(batches: Batches) -> tuple[Tensor, list[Tensor]]:
    """Thumbnails (N, 256) of L, and each picture's ab (1, 2, H, W), on the CPU."""
    thumbnails, pictures = [], []
    for L, ab in batches:
        thumbnails.append(_thumbnails(L))
        pictures += ab.detach().float().cpu().split(1)
    _check_any(len(pictures))
    return torch.cat(thumbnails), pictures


def _thumbnails(L: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(L.detach().float().cpu(), _THUMBNAIL).flatten(1)


def _resized(ab: Tensor, L: Tensor) -> Tensor:
    ab, size = ab.to(L), tuple(L.shape[-2:])
    if ab.shape[2:] == size:
        return ab
    return F.interpolate(ab, size, mode="bilinear", align_corners=False, antialias=True)


def _check_any(count: Tensor | int) -> None:
    if not count:
        raise ValueError("no training picture: were the batches used up before?")

"""What a network has to beat, and what it cannot: colorizers without training.

Each is one idea. The oracle of a made world is the other end: the best that anybody can do who sees
the scene, not the colours. Training pictures are batches of L (N, 1, H, W) and ab (N, 2, H, W).
"""

from collections.abc import Iterable
from zlib import crc32

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from colorkit.models.colorizer import Colorizer
from colorkit.worlds import World

Pairs = Iterable[tuple[Tensor, Tensor]]


class Gray(Colorizer):
    """No colour: ab = 0. Hard to beat in raw AuC, since most pixels are nearly gray."""

    def predict(self, L: Tensor) -> Tensor:
        return L.new_zeros(L.shape[0], 2, *L.shape[2:])


class MeanColor(Colorizer):
    """One colour for all pixels: the best constant for squared error."""

    def __init__(self, batches: Pairs) -> None:
        total, pixels = torch.zeros(2, dtype=torch.float64), 0
        for _, ab in batches:
            total += ab.sum((0, 2, 3), dtype=torch.float32).double().cpu()
            pixels += ab.numel() // 2
        _check_any(pixels)
        self.color = (total / pixels).float()

    def predict(self, L: Tensor) -> Tensor:
        return self.color.to(L).view(1, 2, 1, 1).expand(L.shape[0], 2, *L.shape[2:])


class MeanColorByLightness(Colorizer):
    """The mean colour of each L, or of the nearest: what can be known without seeing shapes."""

    def __init__(self, batches: Pairs) -> None:
        totals, counts = torch.zeros(101, 2).double(), torch.zeros(101).double()
        for L, ab in batches:
            level = L.round().clamp(0, 100).long().flatten().cpu()
            totals.index_add_(0, level, ab.movedim(1, -1).reshape(-1, 2).cpu().double())
            counts += torch.bincount(level, minlength=101)
        _check_any(int(counts.sum()))
        seen = counts.nonzero().flatten()
        nearest = seen[(torch.arange(101)[:, None] - seen).abs().argmin(1)]
        self.colors = (totals[nearest] / counts[nearest, None]).float()

    def predict(self, L: Tensor) -> Tensor:
        colors, L = self.colors.to(L), L[:, 0].clamp(0, 100)
        low = L.floor().clamp_max(99)
        share = (L - low)[..., None]
        low = low.long()
        return (colors[low] * (1 - share) + colors[low + 1] * share).movedim(-1, 1)


class RandomPicture(Colorizer):
    """The colours of a training picture, resized: drawn by seed and picture, whatever the batch."""

    def __init__(self, batches: Pairs, seed: int = 0) -> None:
        self.pictures, self.seed = _gather(batches)[1], seed

    def predict(self, L: Tensor) -> Tensor:
        draws = [np.random.default_rng([self.seed, crc32(picture_key(x))]) for x in L]
        numbers = [int(draw.integers(len(self.pictures))) for draw in draws]
        return torch.cat([_resized(self.pictures[i], x) for i, x in zip(numbers, L, strict=True)])


class NearestNeighbor(Colorizer):
    """The colours of the training picture whose lightness, at 16 x 16, is most similar, resized."""

    def __init__(self, batches: Pairs) -> None:
        self.thumbnails, self.pictures = _gather(batches)

    def predict(self, L: Tensor) -> Tensor:
        nearest = torch.cdist(_thumbnails(L), self.thumbnails).argmin(1).tolist()
        return torch.cat([_resized(self.pictures[i], x) for i, x in zip(nearest, L, strict=True)])


class GroundTruth(Colorizer):
    """The true colours ab (N, 2, H, W) of known pictures, which it recognises by L (N, 1, H, W)."""

    def __init__(self, L: Tensor, ab: Tensor) -> None:
        self.numbers, self.ab = {picture_key(x): i for i, x in enumerate(L)}, ab

    def predict(self, L: Tensor) -> Tensor:
        keys = [picture_key(x) for x in L]
        if unknown := [i for i, key in enumerate(keys) if key not in self.numbers]:
            raise ValueError(
                f"picture {unknown[0]} of the batch is none of the {len(self.numbers)} that are "
                "known: give them whole, neither flipped nor cropped nor resized"
            )
        return self.ab[[self.numbers[key] for key in keys]].to(L)


class Oracle(GroundTruth):
    """The best prediction for squared error in a made world, E[ab | L, scene], of its pictures."""

    def __init__(self, world: World) -> None:
        super().__init__(world.L, torch.cat([world.oracle_mean(i) for i in range(len(world))]))


def picture_key(L: Tensor) -> bytes:
    """What tells a picture L (1, H, W) from others: its pixels, in whole units."""
    return L.round().to(torch.uint8).cpu().numpy().tobytes()


def _gather(batches: Pairs) -> tuple[Tensor, list[Tensor]]:
    """Thumbnails (N, 256) of L, and each picture's ab (1, 2, H, W), on the CPU."""
    thumbnails, pictures = [], []
    for L, ab in batches:
        thumbnails.append(_thumbnails(L))
        pictures += ab.detach().float().cpu().split(1)
    _check_any(len(pictures))
    return torch.cat(thumbnails), pictures


def _thumbnails(L: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(L.detach().float().cpu(), 16).flatten(1)


def _resized(ab: Tensor, L: Tensor) -> Tensor:
    ab, size = ab.to(L), L.shape[1:]
    if ab.shape[2:] == size:
        return ab
    return F.interpolate(ab, size, mode="bilinear", align_corners=False, antialias=True)


def _check_any(count: int) -> None:
    if not count:
        raise ValueError("no training picture: were the batches used up before?")

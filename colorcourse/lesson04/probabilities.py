"""How probable a model holds the colours that an object can have, beside the known distribution.

A distribution over an object's K possible colours and "none of them" is float32 (K + 1,), adding
up to 1; distributions of M objects are a tuple of M such tensors.
"""

from collections.abc import Iterator

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from colorkit.metrics import nearest_bin
from colorkit.models import Classifier
from colorkit.objects import ObjectColors
from colorkit.worlds import World

WITHIN = 25.0  # ab units: what is farther from all possible colours is none of them


def predicted(world: World, objects: ObjectColors, net: Classifier) -> tuple[Tensor, ...]:
    """The distributions that a classifier predicts, mean over the pixels that its logits stand for.

    Each predicted bin counts for the nearest colour that the pixel could have, if that lies within
    25 units. NaN where no logit stands for any of the object's pixels.
    """
    found: list[Tensor] = []
    kept, p = -1, torch.empty(0)
    for picture, cells, possible in _at_logits(world, objects, net.scale):
        if picture != kept:  # one picture at a time: Q numbers a pixel of many would be gigabytes
            kept, p = picture, net.distribution(world.L[picture : picture + 1])[0].cpu()
        own = p.flatten(1)[:, cells]  # (Q, n)
        # The exact way: cdist's default loses digits in a matrix product. (n, K, Q)
        exact = "donot_use_mm_for_euclid_dist"
        near, number = torch.cdist(possible, net.bins.cpu(), compute_mode=exact).min(1)
        number = torch.where(near <= WITHIN, number, possible.shape[1])
        mass = own.new_zeros(own.shape[1], possible.shape[1] + 1).scatter_add_(1, number, own.T)
        found.append(mass.mean(0))
    return tuple(found)


def rebalanced(
    world: World, objects: ObjectColors, net: Classifier, weights: Tensor
) -> tuple[Tensor, ...]:
    """What a classifier trained with weights (Q,) should learn: q, proportional to p times w."""
    found: list[Tensor] = []
    cells = _at_logits(world, objects, net.scale)
    for p, (_, _, possible) in zip(objects.probs, cells, strict=True):
        bin_ = nearest_bin(possible.permute(2, 1, 0)[None], net.bins.cpu())[0].T  # (n, K)
        q = p * weights.cpu()[bin_]
        found.append(F.pad((q / q.sum(1, keepdim=True)).mean(0), (0, 1)))
    return tuple(found)


def of_one_colour(objects: ObjectColors, name: str) -> tuple[Tensor, ...]:
    """A model's one colour of each object as a distribution: all on the nearest possible colour."""
    numbers, distances = objects.nearest(name)
    return tuple(
        F.one_hot(number if distance <= WITHIN else torch.tensor(len(p)), len(p) + 1).float()
        for p, number, distance in zip(objects.probs, numbers, distances, strict=True)
    )


def total_variation(
    objects: ObjectColors, predicted: tuple[Tensor, ...], true: tuple[Tensor, ...] | None = None
) -> pd.Series:
    """Half the summed difference to the world's (or other) distributions: 0 equal, 1 disjoint."""
    true = tuple(F.pad(p, (0, 1)) for p in objects.probs) if true is None else true
    half = [0.5 * float((a - b).abs().sum()) for a, b in zip(predicted, true, strict=True)]
    return pd.Series(half, objects.table.index)


def _at_logits(
    world: World, objects: ObjectColors, scale: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Of each object: picture, cells (n,) whose middle it has, its colours there (n, K, 2)."""
    middle = slice(scale // 2, None, scale)
    kept, posteriors = -1, {}
    for row, at in enumerate(objects.table.itertuples()):
        if at.picture != kept:  # rows come picture by picture
            kept, posteriors = at.picture, {}
            for posterior in world.posterior(kept):
                posteriors[posterior.visible.flatten().nonzero()[0].item()] = posterior
        visible = objects.visible[row]
        own = posteriors[visible.flatten().nonzero()[0].item()]
        cells = visible[0, middle, middle].flatten().nonzero().flatten()
        yield kept, cells, own.ab[:, :, middle, middle].flatten(2)[:, :, cells].permute(2, 0, 1)

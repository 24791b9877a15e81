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


def predicted(
    world: World, objects: ObjectColors, net: Classifier, weights: Tensor | None = None
) -> tuple[Tensor, ...]:
    """The distributions that a classifier predicts, mean over the pixels that its logits stand for.

    Each predicted bin counts for the nearest colour that the pixel could have, if that lies within
    25 units. NaN where no logit stands for any of the object's pixels.

    Parameters
    ----------
    weights : Tensor, optional
        (Q,): the predicted probabilities are divided by these, and normalised again.
    """
    found: list[Tensor] = []
    kept, p = -1, torch.empty(0)
    for picture, cells, possible in _at_logits(world, objects, net.scale):
        if picture != kept:  # one picture at a time: Q numbers a pixel of many would be gigabytes
            kept, p = picture, net.distribution(world.L[picture : picture + 1])[0].cpu()
            if weights is not None:
                p = p / weights.cpu().view(-1, 1, 1)
                p = p / p.sum(0)
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
    """Half the summed difference of two distributions, for each object: 0 equal, 1 disjoint.

    By default `true` are the probabilities of the world.
    """
    true = tuple(F.pad(p, (0, 1)) for p in objects.probs) if true is None else true
    half = [0.5 * float((a - b).abs().sum()) for a, b in zip(predicted, true, strict=True)]
    return pd.Series(half, objects.table.index)


def variation_by_kind(objects: ObjectColors, predicted: tuple[Tensor, ...]) -> pd.Series:
    """Total variation of what is predicted for a kind, averaged over all its pixels.

    Where single objects are wrong to either side, this is lower than the mean of
    `total_variation`, which also asks that each object by itself be right. Objects whose
    prediction is NaN are left out.
    """
    kinds, off = objects.table.kind.to_numpy(), {}
    for kind in sorted(set(kinds)):
        rows = [i for i in (kinds == kind).nonzero()[0] if predicted[i].isfinite().all()]
        pixels = torch.tensor(objects.table.pixels.to_numpy()[rows], dtype=torch.float32)
        share = pixels / pixels.sum()
        said = share @ torch.stack([predicted[i] for i in rows])
        true = share @ torch.stack([F.pad(objects.probs[i], (0, 1)) for i in rows])
        off[kind] = 0.5 * float((said - true).abs().sum())
    return pd.Series(off)


def chroma_ratio(objects: ObjectColors, ab: Tensor, truth: Tensor) -> float:
    """Chroma inside the objects, as a share of the truth's: 1 is as vivid as things are.

    ab and truth are (N, 2, H, W), of all pictures of the world. Means are over pixels, then over
    objects.
    """
    picture = objects.table.picture.tolist()
    where = objects.visible.float()  # (M, 1, H, W)
    pixels = where.sum((1, 2, 3))
    chroma = [
        ((plane.norm(dim=1, keepdim=True)[picture] * where).sum((1, 2, 3)) / pixels).mean()
        for plane in (ab, truth)
    ]
    return (chroma[0] / chroma[1]).item()


def _at_logits(
    world: World, objects: ObjectColors, scale: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Of each object: its picture, the cells (n,) whose middle it has, its colours there (n, K, 2).

    An object without any such pixel gets none: n is 0, and means over it are NaN.
    """
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

"""A made world, object by object: one colour for each, beside all that it could have been.

Means over pixels hide what happens to a thing. Here each thing of a picture that can be seen well
enough gets one row: the mean ab over its pixels in the truth, for the oracle and for each model,
and the mean ab that each of its possible colours would have had.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from colorkit.evaluate import HasColorize
from colorkit.metrics import nearest_bin
from colorkit.models.classifier import Classifier
from colorkit.worlds import World

_EXACT = "donot_use_mm_for_euclid_dist"
FAILURES = ("bias", "desaturation", "inconsistency", "bleeding", "edges")


@dataclass(frozen=True)
class ObjectColors:
    """Colours of M objects.

    Attributes
    ----------
    table : DataFrame
        M rows: ``picture``, ``kind``, ``drawn`` (the number of the colour it has), ``colors`` (how
        many it could have), ``surest`` (probability of the most probable one), ``pixels``.
    ab : dict of str to Tensor
        float32 (M, 2) for "truth", "oracle" and each model, in ab units.
    possible : tuple of Tensor
        For each object (K, 2): the mean ab of each colour it could have.
    probs : tuple of Tensor
        For each object float32 (K,): how probable these are.
    visible : Tensor
        bool (M, 1, H, W): the pixels of each.
    """

    table: pd.DataFrame
    ab: dict[str, Tensor]
    possible: tuple[Tensor, ...]
    probs: tuple[Tensor, ...]
    visible: Tensor

    def __len__(self) -> int:
        return len(self.table)

    def distance(self, a: str, b: str) -> Tensor:
        """Euclidean distance between two columns of `ab`, (M,) in ab units."""
        return (self.ab[a] - self.ab[b]).norm(dim=1)

    def nearest(self, name: str) -> tuple[Tensor, Tensor]:
        """The nearest possible colour: its number int64 (M,), and its distance (M,)."""
        pairs = [
            (colors - ab).norm(dim=1).min(0)
            for colors, ab in zip(self.possible, self.ab[name], strict=True)
        ]
        return torch.stack([p.indices for p in pairs]), torch.stack([p.values for p in pairs])


def object_colors(
    world: World,
    colorizers: Mapping[str, HasColorize],
    *,
    things: bool = True,
    several: bool = True,
) -> ObjectColors:
    """The colours that models give the objects of a world, beside truth and oracle.

    Parameters
    ----------
    world : World
    colorizers : mapping of str to colorizer
    things : bool
        Leave out grounds, backdrops, stems and leaves.
    several : bool
        Leave out what can have one colour only.

    Returns
    -------
    ObjectColors
        Of the objects with enough visible pixels to be scored.
    """
    every = _every_object(world)
    wanted = every.table.kind.isin(world.things if things else world.kinds)
    if several:
        wanted &= every.table.colors > 1
    rows = wanted.to_numpy().nonzero()[0]
    if not len(rows):
        raise ValueError(f"no object of {world!r} is of the kind that is asked for")
    table, visible = every.table.iloc[rows].reset_index(drop=True), every.visible[rows]
    ab = {name: column[rows] for name, column in every.ab.items()}
    for name, model in colorizers.items():
        planes = _all_colors(model, world)
        pairs = zip(table.picture, visible[:, 0], strict=True)
        ab[name] = torch.stack([planes[i][:, where].mean(1) for i, where in pairs])
    possible, probs = (tuple(part[row] for row in rows) for part in (every.possible, every.probs))
    return ObjectColors(table, ab, possible, probs, visible)


# What models have no part in: drawn object by object, and asked for several times in a lesson.
_KNOWN: WeakKeyDictionary[World, ObjectColors] = WeakKeyDictionary()


def _every_object(world: World) -> ObjectColors:
    """All objects that can be scored, with the colours of truth and oracle."""
    if world not in _KNOWN:
        _KNOWN[world] = _draw_objects(world)
    return _KNOWN[world]


def _draw_objects(world: World) -> ObjectColors:
    rows, colors, possible, probs, visible = [], [], [], [], []
    for i in range(len(world)):
        for thing, posterior in zip(world.objects(i), world.posterior(i), strict=True):
            if not thing.scored:
                continue
            where, p = thing.visible[0, 0], posterior.probs.float()
            possible.append(posterior.ab[:, :, where].mean(2))
            colors.append(torch.stack([world.ab[i][:, where].mean(1), p @ possible[-1]]))
            probs.append(p)
            visible.append(thing.visible)
            rows.append((i, thing.kind, thing.mode, len(p), float(p.max()), thing.pixels))
    if not rows:
        raise ValueError(f"no object of {world!r} is large enough to be scored")
    table = pd.DataFrame(rows, columns=["picture", "kind", "drawn", "colors", "surest", "pixels"])
    ab = dict(zip(("truth", "oracle"), torch.stack(colors).unbind(1), strict=True))
    return ObjectColors(table, ab, tuple(possible), tuple(probs), torch.cat(visible))


def chroma_ratio(objects: ObjectColors, ab: Tensor, truth: Tensor) -> float:
    """Chroma inside the objects, as a share of the truth's: 1 is as vivid as things are.

    Parameters
    ----------
    ab, truth : Tensor
        (N, 2, H, W), of all pictures of the world. Means are over pixels, then over objects.
    """
    picture = objects.table.picture.tolist()
    where = objects.visible.float()  # (M, 1, H, W)
    pixels = where.sum((1, 2, 3))
    chroma = [
        ((plane.norm(dim=1, keepdim=True)[picture] * where).sum((1, 2, 3)) / pixels).mean()
        for plane in (ab, truth)
    ]
    return (chroma[0] / chroma[1]).item()


def failures(
    world: World, objects: ObjectColors, name: str, colorizer: HasColorize
) -> pd.DataFrame:
    """How badly a model fails on each object, by the five names that failures have.

    Returns
    -------
    DataFrame
        A row an object, in ab units, larger is worse:
        ``bias``: how much nearer to the most probable colour than to the true one, where these
        differ; ``desaturation``: chroma missing. The other three are measured against the oracle,
        so that chance does not count: ``inconsistency``: spread of the distance within the object;
        ``bleeding``: distance just outside the object less that farther out; ``edges``: distance
        just inside its edge less that of its middle.
    """
    rows = []
    given = _all_colors(colorizer, world)
    for row, (_, at) in enumerate(objects.table.iterrows()):
        away = given[at.picture] - world.oracle_mean(at.picture)[0]
        where = objects.visible[row : row + 1]
        error = away.norm(dim=0)
        inside, outside = _shrunk(where), _grown(where)
        mean, true = objects.ab[name][row], objects.possible[row][at.drawn]
        likely = objects.possible[row][objects.probs[row].argmax()]
        spread = away[:, where[0, 0]].std(dim=1, correction=0).norm()
        rows.append(
            {
                "bias": (mean - true).norm() - (mean - likely).norm(),
                "desaturation": true.norm() - mean.norm(),
                "inconsistency": spread,
                "bleeding": _mean(error, outside & ~where) - _mean(error, ~outside),
                "edges": _mean(error, where & ~inside) - _mean(error, inside),
            }
        )
    return pd.DataFrame(rows, columns=list(FAILURES)).astype(float)


def predicted_probabilities(
    world: World,
    objects: ObjectColors,
    net: Classifier,
    weights: Tensor | None = None,
    within: float = 25.0,
) -> tuple[Tensor, ...]:
    """How probable a classifier holds each colour that an object can have.

    Looked at are the pixels that the logits stand for: the middle of each cell. Each predicted bin
    counts for the nearest colour that the pixel could have, if that lies within 25 units.

    Parameters
    ----------
    weights : Tensor, optional
        (Q,): the predicted probabilities are divided by these, and normalised again.
    within : float
        In ab units.

    Returns
    -------
    tuple of Tensor
        For each object float32 (K + 1,), adding up to 1: its possible colours, and the rest. NaN
        where no logit stands for any of its pixels.
    """
    found: list[Tensor] = []
    kept, predicted = -1, torch.empty(0)
    for picture, cells, possible in _at_logits(world, objects, net.scale):
        if picture != kept:  # one picture at a time: Q numbers a pixel of many would be gigabytes
            kept, predicted = picture, net.distribution(world.L[picture : picture + 1])[0].cpu()
            if weights is not None:
                predicted = predicted / weights.cpu().view(-1, 1, 1)
                predicted = predicted / predicted.sum(0)
        p = predicted.flatten(1)[:, cells]  # (Q, n)
        # The exact way: cdist's own loses digits in a matrix product. (n, K, Q)
        distance = torch.cdist(possible, net.bins.cpu(), compute_mode=_EXACT)
        near, number = distance.min(1)
        number = torch.where(near <= within, number, possible.shape[1])
        mass = p.new_zeros(p.shape[1], possible.shape[1] + 1).scatter_add_(1, number, p.T)
        found.append(mass.mean(0))
    return tuple(found)


def rebalanced_probabilities(
    world: World, objects: ObjectColors, net: Classifier, weights: Tensor
) -> tuple[Tensor, ...]:
    """What a classifier trained with weights should learn: q, proportional to p times w.

    Returns
    -------
    tuple of Tensor
        For each object float32 (K + 1,), as `predicted_probabilities`; the rest is 0.
    """
    found: list[Tensor] = []
    for p, (_, _, possible) in zip(
        objects.probs, _at_logits(world, objects, net.scale), strict=True
    ):
        bin_ = nearest_bin(possible.permute(2, 1, 0)[None], net.bins.cpu())[0].T  # (n, K)
        q = p * weights.cpu()[bin_]
        found.append(F.pad((q / q.sum(1, keepdim=True)).mean(0), (0, 1)))
    return tuple(found)


def nearest_probabilities(
    objects: ObjectColors, name: str, within: float = 25.0
) -> tuple[Tensor, ...]:
    """A model's one colour of each object as a distribution: all on the nearest possible colour.

    Returns
    -------
    tuple of Tensor
        For each object float32 (K + 1,), as `predicted_probabilities`.
    """
    numbers, distances = objects.nearest(name)
    return tuple(
        F.one_hot(number if distance <= within else torch.tensor(len(p)), len(p) + 1).float()
        for p, number, distance in zip(objects.probs, numbers, distances, strict=True)
    )


def total_variation(objects: ObjectColors, predicted: tuple[Tensor, ...], true=None) -> pd.Series:
    """Half the summed difference of two distributions, for each object: 0 equal, 1 disjoint.

    Parameters
    ----------
    predicted : tuple of Tensor
        (K + 1,) each, from `predicted_probabilities`.
    true : tuple of Tensor, optional
        (K + 1,) each; None: the probabilities of the world, and nothing for the rest.
    """
    true = tuple(F.pad(p, (0, 1)) for p in objects.probs) if true is None else true
    half = [0.5 * float((a - b).abs().sum()) for a, b in zip(predicted, true, strict=True)]
    return pd.Series(half, objects.table.index)


def variation_by_kind(objects: ObjectColors, predicted: tuple[Tensor, ...]) -> pd.Series:
    """Total variation to the dice of what is predicted for a kind, averaged over all its pixels.

    Where single objects are wrong to either side, this is lower than the mean of
    `total_variation`, which also asks that each object by itself be right.

    Parameters
    ----------
    predicted : tuple of Tensor
        (K + 1,) each, from `predicted_probabilities`. Objects without a number are left out.
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


def near_edges(kinds: Tensor, reach: int = 1) -> Tensor:
    """Pixels at most `reach` from a pixel of another kind.

    Parameters
    ----------
    kinds : Tensor
        Integers (N, 1, H, W), as in `colorkit.worlds.Batch`.
    reach : int
        In pixels, along rows, columns and diagonals.

    Returns
    -------
    Tensor
        bool (N, 1, H, W).

    Examples
    --------
    >>> kinds = torch.tensor([0, 0, 0, 1, 1]).expand(1, 1, 1, 5)
    >>> near_edges(kinds).int().flatten().tolist()
    [0, 0, 1, 1, 0]
    """
    kinds, side = kinds.float(), 2 * reach + 1
    highest = F.max_pool2d(kinds, side, 1, reach)
    lowest = -F.max_pool2d(-kinds, side, 1, reach)
    return highest != lowest


def _all_colors(colorizer: HasColorize, world: World) -> Tensor:
    return torch.cat([colorizer.colorize(L) for L in world.L.split(50)]).cpu()


def _grown(mask: Tensor, reach: int = 2) -> Tensor:
    return F.max_pool2d(mask.float(), 2 * reach + 1, 1, reach) > 0


def _shrunk(mask: Tensor) -> Tensor:
    return ~_grown(~mask)


def _mean(error: Tensor, where: Tensor) -> float:
    values = error[where[0, 0]]
    return float(values.mean()) if len(values) else 0.0

"""A made world, object by object: one colour for each, beside all that it could have been.

Means over pixels hide what happens to a thing. Here each thing of a picture that can be seen well
enough gets one row: the mean ab over its pixels in the truth, for the oracle and for each model,
and the mean ab that each of its possible colours would have had.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from colorkit.data.worlds import World
from colorkit.evaluate import HasColorize

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
    rows, colors, possible, probs, visible = [], [], [], [], []
    given = {name: _all_colors(model, world) for name, model in colorizers.items()}
    for i in range(len(world)):
        planes = [world.ab[i], *(ab[i] for ab in given.values())]
        for thing, posterior in zip(world.objects(i), world.posterior(i), strict=True):
            wanted = thing.scored and (not things or thing.kind in world.things)
            if not wanted or (several and len(posterior.probs) < 2):
                continue
            where, p = thing.visible[0, 0], posterior.probs.float()
            possible.append(posterior.ab[:, :, where].mean(2))
            truth, *models = (ab[:, where].mean(1) for ab in planes)
            colors.append(torch.stack([truth, p @ possible[-1], *models]))
            probs.append(p)
            visible.append(thing.visible)
            rows.append((i, thing.kind, thing.mode, len(p), float(p.max()), thing.pixels))
    if not rows:
        raise ValueError(f"{world!r} has no object that can be scored and asked for")
    table = pd.DataFrame(rows, columns=["picture", "kind", "drawn", "colors", "surest", "pixels"])
    ab = dict(zip(("truth", "oracle", *given), torch.stack(colors).unbind(1), strict=True))
    return ObjectColors(table, ab, tuple(possible), tuple(probs), torch.cat(visible))


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


def near_edges(kinds: Tensor, reach: int = 1) -> Tensor:
    """Pixels at most `reach` from a pixel of another kind.

    Parameters
    ----------
    kinds : Tensor
        Integers (N, 1, H, W), as in `colorkit.data.worlds.Batch`.
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

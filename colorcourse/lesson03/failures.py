"""Where colours go wrong: five kinds of failure, object by object, and pixels next to edges."""

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from colorkit.models import Colorizer
from colorkit.objects import ObjectColors
from colorkit.worlds import World

REACH = 2  # pixels to each side of an object's outline


def failures(world: World, objects: ObjectColors, name: str, colorizer: Colorizer) -> pd.DataFrame:
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
    given = torch.cat([colorizer.colorize(L) for L in world.L.split(50)]).cpu()
    for row, at in enumerate(objects.table.itertuples()):
        away = given[at.picture] - world.oracle_mean(at.picture)[0]
        where = objects.visible[row : row + 1]
        error = away.norm(dim=0)
        inside, outside = ~_grown(~where), _grown(where)
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
    return pd.DataFrame(rows).astype(float)


def _grown(mask: Tensor) -> Tensor:
    return F.max_pool2d(mask.float(), 2 * REACH + 1, 1, REACH) > 0


def _mean(error: Tensor, where: Tensor) -> float:
    values = error[where[0, 0]]
    return float(values.mean()) if len(values) else 0.0


def boundary_mask(kinds: Tensor) -> Tensor:
    """Pixels next to a pixel of another kind, diagonals counted: bool (N, 1, H, W).

    `kinds` are integers (N, 1, H, W), as in `World.kind_map`.

    Examples
    --------
    >>> kinds = torch.tensor([0, 0, 0, 1, 1]).expand(1, 1, 1, 5)
    >>> boundary_mask(kinds).int().flatten().tolist()
    [0, 0, 1, 1, 0]
    """
    kinds = kinds.float()
    highest, lowest = F.max_pool2d(kinds, 3, 1, 1), -F.max_pool2d(-kinds, 3, 1, 1)
    return highest != lowest

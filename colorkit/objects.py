"""A made world, object by object: one colour for each, beside all that it could have been.

Means over pixels hide what happens to a thing. Here each thing of a picture that can be seen well
enough gets one row: the mean ab over its pixels in the truth, for the oracle and for each model,
and the mean ab that each of its possible colours would have had.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import pandas as pd
import torch
from torch import Tensor

from colorkit.models.colorizer import Colorizer
from colorkit.worlds import World


@dataclass(frozen=True)
class ObjectColors:
    """Colours of M objects.

    The table has the columns ``picture``, ``kind``, ``drawn`` (the number of the colour it has),
    ``colors`` (how many it could have) and ``pixels``.
    """

    table: pd.DataFrame  # M rows
    ab: dict[str, Tensor]  # (M, 2) in ab units, for "truth", "oracle" and each model
    possible: tuple[Tensor, ...]  # for each object (K, 2), the mean ab of each possible colour
    probs: tuple[Tensor, ...]  # for each object (K,), how probable these are
    visible: Tensor  # bool (M, 1, H, W), the pixels of each

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


def object_colors(world: World, colorizers: Mapping[str, Colorizer]) -> ObjectColors:
    """The colours that models give the things of a world, beside truth and oracle.

    Of the things with several possible colours and enough visible pixels to be scored; grounds,
    stems and leaves are none.
    """
    if world not in _KNOWN:
        _KNOWN[world] = _things(world)
    known = _KNOWN[world]
    ab = dict(known.ab)
    for name, model in colorizers.items():
        planes = torch.cat([model.colorize(L) for L in world.L.split(50)]).cpu()
        pairs = zip(known.table.picture, known.visible[:, 0], strict=True)
        ab[name] = torch.stack([planes[i][:, where].mean(1) for i, where in pairs])
    return replace(known, table=known.table.copy(), ab=ab)


# What models have no part in: drawn object by object, and asked for several times in a lesson.
_KNOWN: WeakKeyDictionary[World, ObjectColors] = WeakKeyDictionary()


def _things(world: World) -> ObjectColors:
    """All things of several colours that can be scored, with the colours of truth and oracle."""
    rows, colors, possible, probs, visible = [], [], [], [], []
    for i in range(len(world)):
        for thing, posterior in zip(world.objects(i), world.posterior(i), strict=True):
            several = len(posterior.probs) > 1
            if not (several and thing.scored and thing.kind in world.things):
                continue
            where, p = thing.visible[0, 0], posterior.probs.float()
            possible.append(posterior.ab[:, :, where].mean(2))
            colors.append(torch.stack([world.ab[i][:, where].mean(1), p @ possible[-1]]))
            probs.append(p)
            visible.append(thing.visible)
            rows.append((i, thing.kind, thing.mode, len(p), thing.pixels))
    if not rows:
        raise ValueError(f"no thing of {world!r} is seen well enough and has several colours")
    table = pd.DataFrame(rows, columns=["picture", "kind", "drawn", "colors", "pixels"])
    ab = dict(zip(("truth", "oracle"), torch.stack(colors).unbind(1), strict=True))
    return ObjectColors(table, ab, tuple(possible), tuple(probs), torch.cat(visible))

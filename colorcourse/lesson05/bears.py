"""What did a network learn that saw brown bears only? Bears and boulders, painted brown or not.

A network that was trained on brown bears alone gives them brown. Whether it saw the animal, the
dark, the woods, or just a large object, brown bears cannot tell: there all of these go together. So
each is varied by itself, in the same drawn pictures.
"""

from itertools import product

import pandas as pd
import torch
from torch import Tensor

from colorkit.worlds import World
from colorkit.worlds import bears as draw_bears
from colorkit.worlds.bear_scenes import BRIGHTNESS, GROUNDS, PALETTE

SHAPES = {"brown bear": "brown", "polar bear": "polar", "boulder": "patch"}
NEAR = 10.0  # ab units from a colour; brown and a polar bear's ivory are about 20 apart
VERDICTS = ("brown", "its own colour", "neither")


def colour_of(world: World, kind: str, mode: int = 0) -> Tensor:
    """The ab (N, 2, H, W) of a colour mode of a kind at each pixel's lightness."""
    number = torch.full(world.L.shape[:1] + world.L.shape[2:], PALETTE.first[PALETTE.number(kind)])
    ab = PALETTE.ab(world.L[:, 0].numpy(), (number + mode).int().numpy())
    return torch.stack([torch.from_numpy(ab.real), torch.from_numpy(ab.imag)], 1)


def verdicts(world: World, ab: Tensor) -> list[str]:
    """For each picture how its bear or boulder was painted: one of `VERDICTS`.

    The mean ab over the object is compared with the brown bear's colours and with those that the
    object itself can have, at the same lightness: the nearest counts, if it is within `NEAR`.
    """
    browns, said = [colour_of(world, "brown bear", mode) for mode in (0, 1)], []
    for i in range(len(world)):
        pairs = zip(world.objects(i), world.posterior(i), strict=True)
        thing, own = next((t, p) for t, p in pairs if t.kind in SHAPES)
        where = thing.visible[0, 0]
        painted = ab[i][:, where].mean(1)
        to_brown = min((plane[i][:, where].mean(1) - painted).norm() for plane in browns)
        to_own = (own.ab[:, :, where].mean(2) - painted).norm(dim=1).min()
        if min(to_brown, to_own) > NEAR:
            said.append("neither")
        else:
            said.append("brown" if to_brown <= to_own else "its own colour")
    return said


def crossed(count: int, size: int, seed: int) -> dict[tuple[str, str, str], World]:
    """(shape, brightness, ground) to so many pictures: the same ones but for what differs."""
    return {
        (shape, tone, ground): draw_bears(
            count, size, seed, kind=SHAPES[shape], brightness=tone, ground=ground
        )
        for shape, tone, ground in product(SHAPES, BRIGHTNESS, GROUNDS)
    }


def ruler_table(count: int, size: int, seed: int) -> pd.DataFrame:
    """The ruler tried on colours that are known: the share of each shape that it calls brown."""
    rows = {shape: {} for shape in SHAPES}
    for (shape, *_), world in crossed(count, size, seed).items():
        planes = {"its true colours": world.ab, "brown": colour_of(world, "brown bear")}
        planes |= {"moss green": colour_of(world, "moss"), "gray": 0 * world.ab}
        for name, ab in planes.items():
            rows[shape].setdefault(name, []).extend(v == "brown" for v in verdicts(world, ab))
    frame = pd.DataFrame(rows).T.map(lambda said: sum(said) / len(said))
    return frame.rename_axis("shape, painted in")

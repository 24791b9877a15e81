"""Structure or brightness? Bears in a factorial design, and what makes a network colour them brown.

A network that was trained on brown bears alone gives them brown. Whether it saw the animal, the
dark, the woods, or just something large in the middle, brown bears cannot tell: there all of these
go together. So each is varied by itself, with all else as it was, in the same drawn pictures.
"""

from itertools import product

import pandas as pd
import torch
from torch import Tensor

from colorkit.color import max_chroma
from colorkit.evaluate import paired_difference
from colorkit.models import Colorizer
from colorkit.worlds import World
from colorkit.worlds.bear_scenes import PALETTE, THINGS, bears

FACTORS: dict[str, dict[str, dict]] = {
    "shape": {
        "brown bear": {"kind": "brown"},
        "polar bear": {"kind": "polar"},
        "boulder": {"kind": "patch"},
        "nothing": {"kind": "none"},
    },
    "brightness": {"dark": {"brightness": "dark"}, "bright": {"brightness": "bright"}},
    "ground": {"woods": {"ground": "woods"}, "snow": {"ground": "snow"}},
    "size": {"large": {"extent": 0.7}, "small": {"extent": 0.4}},
    "place": {"centre": {"position": "centre"}, "anywhere": {"position": "anywhere"}},
}
"""Factor to level to arguments of `colorkit.worlds.bear_scenes`. The first was trained on."""

_BROWN = PALETTE.kinds[0].modes[0]  # of the brown bear


def brownness(ab: Tensor, L: Tensor, where: Tensor) -> Tensor:
    """Colour in the direction of a brown bear's, as a share of the brown bear's: 1 is as brown.

    ab (N, 2, H, W), L and the pixels that count (N, 1, H, W) give (N,), NaN where no pixel counts.
    Below 0 is the opposite colour.
    """
    hue = torch.deg2rad(torch.tensor(float(_BROWN.hue)))
    direction = torch.stack([hue.cos(), hue.sin()]).view(1, 2, 1, 1)
    brown = _BROWN.share * max_chroma(L, hue.expand_as(L))
    along = (ab.to(L) * direction).sum(1, keepdim=True)
    total = [(plane * where).sum((1, 2, 3)) for plane in (along, brown)]
    return total[0] / total[1]


def bear_masks(world: World) -> Tensor:
    """Where the bear or the boulder is: bool (N, 1, H, W), nowhere in pictures without."""
    masks = torch.zeros(len(world), 1, world.size, world.size, dtype=torch.bool)
    for i in range(len(world)):
        for thing in world.objects(i):
            if thing.kind in THINGS:
                masks[i] |= thing.visible[0]
    return masks


def factorial(colorizer: Colorizer, pictures: int, size: int, seed: int) -> pd.DataFrame:
    """How brown a network makes what is there, in all combinations of the levels of `FACTORS`.

    There are so many `pictures` of each combination, `size` pixels wide; those of the same number
    are the same but for the levels. Where there is nothing, the place counts where the brown bear
    would be. A row a picture: a column a factor, ``picture``, ``brown``.
    """
    rows: list[dict] = []
    for names in product(*FACTORS.values()):
        levels = dict(zip(FACTORS, names, strict=True))
        options = [FACTORS[factor][level] for factor, level in levels.items()]
        options = {name: value for option in options for name, value in option.items()}
        if options["kind"] == "none" and levels["brightness"] != "dark":
            continue  # nothing has no brightness
        world = bears(pictures, size, seed, **options)
        there = world if options["kind"] != "none" else bears(
            pictures, size, seed, **(options | {"kind": "brown"})
        )  # fmt: skip
        brown = brownness(colorizer.colorize(world.L), world.L, bear_masks(there))
        rows += [levels | {"picture": i, "brown": value} for i, value in enumerate(brown.tolist())]
    return pd.DataFrame(rows)


def effects(frame: pd.DataFrame) -> pd.DataFrame:
    """What each level changes in the table of `factorial`, against the first one of its factor.

    A row a level: ``difference`` in brownness, all else equal, ``low`` and ``high`` of its 95%
    interval over pictures (means over all combinations of the other factors).
    """
    rows = {}
    for factor, levels in FACTORS.items():
        first, *others = levels
        for level in others:
            both = frame[frame[factor].isin([first, level])].dropna()
            if level == "nothing":  # it is drawn in one brightness only
                both = both[both.brightness == "dark"]
            elif factor != "shape":
                both = both[both["shape"] != "nothing"]
            means = both.groupby([factor, "picture"]).brown.mean().unstack(factor).dropna()
            difference = paired_difference(means[level].tolist(), means[first].tolist())
            rows[f"{factor}: {level}, not {first}"] = difference._asdict()
    return pd.DataFrame(rows).T

"""The study of lesson 3: errors on seen and on unseen pictures, over how many were seen."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from colorkit.batches import Batches
from colorkit.data.pictures import Pictures
from colorkit.device import seed_everything
from colorkit.fit import fit
from colorkit.losses import l2, regression
from colorkit.models import UNet

RECORDED = Path(__file__).parents[1] / "recorded"


def memorising(
    pictures: Pictures, counts: Sequence[int], seeds: Sequence[int], steps: int
) -> pd.DataFrame:
    """Errors of a U-Net on the pictures that it saw and on others, for each count and seed.

    Every run takes the same number of steps of 16 pictures; smaller sets are repeated. What differs
    is how many *different* pictures they are: the first ones of a random order, one for each seed.
    Rows of pictures, seed, train_mse, test_mse (ab², on all pixels).
    """
    rows, options = [], {"lr": 3e-3, "schedule": "one-cycle", "callbacks": ()}
    for seed in seeds:
        order = torch.randperm(len(pictures.train[0]), generator=seed_everything(seed))
        for count in counts:
            seen = tuple(plane[order[:count]] for plane in pictures.train)
            repeated = tuple(plane.repeat(-(-16 // count), 1, 1, 1) for plane in seen)
            seed_everything(seed)
            net = UNet(16, 3)
            data = Batches(repeated, 16, seed=seed)
            fit(net, regression(l2), data, steps, seed=seed, **options)
            rows.append((count, seed, mean_error(net, seen), mean_error(net, pictures.test)))
    return pd.DataFrame(rows, columns=["pictures", "seed", "train_mse", "test_mse"])


@torch.no_grad()
def mean_error(net: UNet, pair: tuple[Tensor, Tensor]) -> float:
    """MSE of ab over all pixels of (L, ab), before colours are fitted to the gamut."""
    errors = [
        mse_loss(net.predict(L).cpu(), ab).item() * len(L)
        for L, ab in zip(pair[0].split(50), pair[1].split(50), strict=True)
    ]
    return sum(errors) / len(pair[0])


def recorded() -> pd.DataFrame:
    """The study as `scripts/study.py` recorded it; ``.attrs["about"]`` says how it was made."""
    path = RECORDED / "memorising.csv"
    frame = pd.read_csv(path, comment="#")
    frame.attrs["about"] = path.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")
    return frame

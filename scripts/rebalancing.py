"""Rebalance, or not, from five seeds: the study that lesson 4 shows.

    python scripts/rebalancing.py

A row of the CSV is one measure of one network. The first line says how it was made.
"""

import sys
from pathlib import Path

import pandas as pd
import torch

from colorcourse.lesson04.comparisons import RECORDED, kept, rare_and_common
from colorkit.batches import Batches
from colorkit.bins import ab_bins, estimate_prior, rebalancing_weights
from colorkit.data.pictures import lesson_pictures
from colorkit.device import pick_device, seed_everything
from colorkit.files import write_whole
from colorkit.fit import fit
from colorkit.losses import Classification
from colorkit.models import Classifier, UNet
from colorkit.worlds.portrait_scenes import portraits

SIZE, BATCH, SPREAD = 64, 16, 14.0
BINS = ab_bins()


def train(pair, weights, seed, steps):
    """A small classifier, trained with weights of the bins."""
    seed_everything(seed)
    net = Classifier(UNet(8, 3), BINS, scale=2)
    options = {"lr": 4e-3, "schedule": "one-cycle", "callbacks": ()}
    loss = Classification(BINS, weights.to(pick_device()))
    fit(net, loss, Batches(pair, BATCH, seed=seed), steps, seed=seed, **options)
    return net


def of_colours(seeds, count, steps):
    """Rare and common colours of the orchard, over lambda."""
    for seed in seeds:
        pictures = lesson_pictures("orchard", count, 200, SIZE, 100 + seed)
        p = estimate_prior(pictures.batches("train"), BINS).p
        for lam in (0.1, 0.5, 1.0):
            net = train(pictures.train, rebalancing_weights(p, lam), seed, steps)
            found = rare_and_common({"net": net}, pictures.test, p, BINS).loc["net"]
            yield from (("orchard", lam, seed, *pair) for pair in found.items())


def of_groups(seeds, count, steps):
    """What heads keep, by the shares of two tones in the training set, plain and rebalanced."""
    judged = portraits(400, SIZE, 7, {"tone 2": 0.5, "tone 5": 0.5}, spread=SPREAD)
    for seed in seeds:
        for name, share in (("90/10", 0.9), ("50/50", 0.5)):
            tones = {"tone 2": share, "tone 5": 1 - share}
            seen = portraits(count, SIZE, 100 + seed, tones, spread=SPREAD)
            p = estimate_prior([(seen.L, seen.ab)], BINS).p
            for lam in (0.5, 1.0):
                net = train((seen.L, seen.ab), rebalancing_weights(p, lam), seed, steps)
                found = kept(judged, {"net": net})["net"]
                yield from ((name, lam, seed, *pair) for pair in found.items())


def main(count: int = 1500, steps: int = 300, seeds: int = 5) -> None:
    rows = [*of_groups(range(seeds), count, steps), *of_colours(range(seeds), count, steps)]
    frame = pd.DataFrame(rows, columns=["data", "lambda", "seed", "measure", "value"])
    about = (
        f"# U-Net(8, 3) with a head over the bins, {count} pictures of {SIZE} x {SIZE}, {steps} "
        f"steps of {BATCH}, seeds 0 to {seeds - 1}; device {pick_device().type}, "
        f"torch {torch.__version__.split('+')[0]}\n"
    )
    text = about + frame.round(4).to_csv(index=False, lineterminator="\n")
    write_whole(Path(RECORDED), text)
    print(text)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""Lesson 2's recorded study: batches of 1, 4 and 16 crops, with each normalisation and without.

    python scripts/crops.py

Writes colorcourse/recorded/crops.csv; its first line says how it was made.
"""

import argparse
import platform

import pandas as pd
import torch

from colorcourse.lesson02.exercises import fit
from colorcourse.lesson02.overfit import NORMS, RECORDED, batch_runs, batch_table, replace_norms
from colorkit.color import rgb_to_lab
from colorkit.data.pictures import photograph
from colorkit.device import pick_device
from colorkit.files import write_whole
from colorkit.models.cnn import DilatedCNN


def crops(seeds: int, steps: int) -> None:
    """Run the study and write its CSV: half a minute a seed on two cores."""
    device, rows = pick_device(), []
    lab = rgb_to_lab(photograph("astronaut", 128).to(device))
    for name, norm in NORMS.items():
        for seed in range(seeds):
            runs = batch_runs(
                fit, lambda norm=norm: replace_norms(DilatedCNN(16), norm).to(device),
                lab, 32, steps, seed,
            )  # fmt: skip
            for count, errors in batch_table(runs).items():
                rows.append({"norm": name, "crops": count, "seed": seed, **errors})
    versions = f"torch {torch.__version__.split('+')[0]}, Python {platform.python_version()}"
    about = (
        f"# DilatedCNN(16) on crops of 32 x 32 of the astronaut at 128 x 128, Adam 2e-3, {steps} "
        f"steps (4 times as many with 1 crop), ab MSE; device {device.type}, {versions}\n"
    )
    table = pd.DataFrame(rows).round(2).to_csv(index=False, lineterminator="\n")
    write_whole(RECORDED, about + table)
    print(f"wrote {RECORDED}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=crops.__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200)
    crops(**vars(parser.parse_args()))

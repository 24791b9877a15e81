"""Record lesson 3's study of seen and unseen pictures: how many, batch norm, augmentation.

    python scripts/generalisation.py

A U-Net is trained for 2,000 steps, long enough to overfit few pictures, in 30 runs: on 1 to 2,000
pictures, and on 100 of them also with flips, with flips and crops, and without batch norm. Errors
are noted on the way, so that the lesson can ask where one should have stopped.
"""

import argparse
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from colorkit.data.pictures import Pair, lesson_pictures
from colorkit.device import pick_device, seed_everything
from colorkit.files import write_whole
from colorkit.models import UNet

OUT = Path(__file__).parents[1] / "colorcourse" / "recorded" / "generalisation.csv"
COUNTS, SEEDS, STEPS, BATCH, LR = (1, 10, 20, 40, 100, 400, 2000), (0, 1, 2), 2000, 16, 1e-3
MARKS = (25, 50, 100, 150, 200, 300, 400, 500, 600, 800, 1000, 1200, 1400, 1600, 1800, 2000)
OF_100 = (("with", "flips"), ("with", "flips and crops"), ("without", "flips"))
COLUMNS = ["pictures", "batch_norm", "augmentation", "seed", "step", "seen", "validation", "test"]


def plan() -> list[tuple]:
    """The runs: pictures, batch norm, augmentation, seed; the longest to evaluate first."""
    runs = [(count, "with", "none") for count in sorted(COUNTS, reverse=True)]
    runs += [(100, *options) for options in OF_100]
    return [(*run, seed) for run in runs for seed in SEEDS]


def augmented(L: Tensor, ab: Tensor, augmentation: str, draw: torch.Generator) -> Pair:
    """Flipped left to right by chance, and with crops a square of 70% to 100% of the side."""
    if augmentation == "none":
        return L, ab
    n, theta = len(L), torch.zeros(len(L), 2, 3)
    size = 1 - 0.3 * torch.rand(n, generator=draw) if "crops" in augmentation else torch.ones(n)
    flip = 1 - 2 * (torch.rand(n, generator=draw) < 0.5).float()
    theta[:, 0, 0], theta[:, 1, 1] = flip * size, size
    theta[:, :, 2] = (1 - size)[:, None] * (2 * torch.rand(n, 2, generator=draw) - 1)
    lab = torch.cat([L, ab], 1)
    grid = F.affine_grid(theta.to(L), lab.shape, align_corners=False)
    lab = F.grid_sample(lab, grid, padding_mode="reflection", align_corners=False)
    return lab[:, :1], lab[:, 1:]


@torch.no_grad()
def mean_error(net: UNet, pair: Pair) -> float:
    """MSE of ab in evaluation mode, of the first 400 pictures of (L, ab), in ab²."""
    L, ab = (plane[:400] for plane in pair)
    return F.mse_loss(net.predict(L), ab).item()


def run(task: tuple, steps: int = STEPS, width: int = 16) -> list[tuple]:
    """One training: a row of `COLUMNS` at each of the marks."""
    count, norm, augmentation, seed = task
    device, parts = pick_device(), _pictures()
    order = torch.randperm(len(parts["train"][0]), generator=torch.Generator().manual_seed(seed))
    seen = tuple(plane[order[:count]].to(device) for plane in parts["train"])
    held_out = [tuple(plane.to(device) for plane in parts[part]) for part in ("val", "test")]
    draw = seed_everything(seed)
    net = UNet(width, 3, batch_norm=norm == "with").to(device)
    optimizer, rows = torch.optim.AdamW(net.parameters()), []
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, steps, cycle_momentum=False)
    for step in range(1, steps + 1):
        net.train()
        at = torch.randint(count, (BATCH,), generator=draw)
        L, ab = augmented(*(plane[at.to(device)] for plane in seen), augmentation, draw)
        loss = F.mse_loss(net(L), ab)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step in MARKS:
            rows.append((*task, step, *(mean_error(net, pair) for pair in (seen, *held_out))))
    return rows


def _pictures() -> dict[str, Pair]:
    if not _KEPT:
        torch.set_num_threads(1)
        made = lesson_pictures("orchard", max(COUNTS), 400, size=32)
        _KEPT.update({part: getattr(made, part) for part in ("train", "val", "test")})
    return _KEPT


_KEPT: dict[str, Pair] = {}  # drawn once a process


def study(workers: int, steps: int, out: str) -> None:
    """Run the study and write its CSV; its first line says how it was made."""
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        found = pool.map(run, plan(), [steps] * len(plan()))
        frame = pd.DataFrame([row for rows in found for row in rows], columns=COLUMNS)
    versions = f"torch {torch.__version__.split('+')[0]}, Python {platform.python_version()}"
    about = (
        f"# U-Net(16, 3) on orchard 32 x 32, {steps} steps of {BATCH} pictures, AdamW, one cycle "
        f"to {LR}, seeds 0 to 2; MSE of ab in ab2; device {pick_device().type}, {versions}\n"
    )
    write_whole(Path(out), about + frame.round(2).to_csv(index=False, lineterminator="\n"))
    print(f"wrote {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=study.__doc__)
    parser.add_argument("--workers", type=int, default=min(10, os.cpu_count() or 1))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", default=str(OUT))
    study(**vars(parser.parse_args()))

"""Studies that take longer than a lesson: run once by a command, kept as small CSV files.

A file begins with a comment that names device, versions and settings; a lesson shows the recorded
numbers, or runs a smaller study of its own with the same function.
"""

import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from colorkit.batches import Batches
from colorkit.data.pictures import Pictures, lesson_pictures
from colorkit.device import pick_device, seed_everything
from colorkit.files import write_whole
from colorkit.losses import l2
from colorkit.models import UNet
from colorkit.training.fit import fit
from colorkit.training.objectives import Regression
from colorkit.training.options import Options

RECORDED = Path(__file__).parents[1] / "recorded"


def memorising(
    pictures: Pictures,
    counts: Sequence[int],
    seeds: Sequence[int] = (0,),
    *,
    width: int = 16,
    depth: int = 3,
    steps: int = 400,
    batch: int = 16,
    lr: float = 3e-3,
) -> pd.DataFrame:
    """Errors of a U-Net on the pictures that it saw and on others, over how many it saw.

    Every run takes the same number of steps and, from `batch` pictures on, sees as many pictures:
    what differs is how many *different* ones they are.

    Parameters
    ----------
    pictures : Pictures
    counts : sequence of int
        Sizes of the training sets: the first pictures of one random order for each seed.
    seeds : sequence of int
        Of the order, the network's first weights and the batches.
    width, depth, steps, batch, lr
        As in `UNet` and `Options`; smaller sets are repeated within a batch.

    Returns
    -------
    DataFrame
        Rows of pictures, seed, train_mse, test_mse (ab², on all pixels), seconds.
    """
    rows, device = [], pick_device()
    for seed in seeds:
        order = torch.randperm(len(pictures.train[0]), generator=seed_everything(seed))
        for count in counts:
            begin = time.perf_counter()
            seen = tuple(plane[order[:count]] for plane in pictures.train)
            seed_everything(seed)
            net = UNet(width, depth)
            options = Options(steps=steps, lr=lr, schedule="one-cycle", seed=seed)
            data = Batches(_repeated(seen, batch), batch, seed=seed)
            fit(net, Regression(l2), data, options, callbacks=(), device=device)
            error, other = (mean_error(net, pair) for pair in (seen, pictures.test))
            rows.append((count, seed, error, other, time.perf_counter() - begin))
    return pd.DataFrame(rows, columns=["pictures", "seed", "train_mse", "test_mse", "seconds"])


def mean_error(net: UNet, pair: tuple[Tensor, Tensor]) -> float:
    """MSE of ab over all pixels of (L, ab), before colours are fitted to the gamut."""
    with torch.no_grad():
        errors = [
            mse_loss(net.predict(L).cpu(), ab).item() * len(L)
            for L, ab in zip(pair[0].split(50), pair[1].split(50), strict=True)
        ]
    return sum(errors) / len(pair[0])


def recorded(name: str) -> pd.DataFrame:
    """A recorded study, as from `memorising`; ``.attrs["about"]`` says how it was made."""
    path = RECORDED / f"{name}.csv"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in RECORDED.glob("*.csv")))
        raise FileNotFoundError(f"no study {name!r} is recorded: there are {known}")
    frame = pd.read_csv(path, comment="#")
    frame.attrs["about"] = path.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")
    return frame


def run_memorising(steps: int = 400) -> str:
    """The study of lesson 3 in full, as CSV with a line that says how it was made."""
    pictures = lesson_pictures("orchard", 2000, 400, size=32)
    frame = memorising(pictures, (1, 10, 20, 40, 100, 400, 2000), (0, 1, 2), steps=steps)
    return _csv(
        frame.drop(columns="seconds"),
        f"U-Net(16, 3) on orchard 32 x 32, {steps} steps of 16 pictures",
    )


STUDIES: dict[str, Callable[[], str]] = {"memorising": run_memorising}


@click.command()
@click.argument("name", type=click.Choice(sorted(STUDIES)))
@click.option("--out", type=click.Path(dir_okay=False), help="Where to; by default in its place.")
def study(name: str, out: str | None) -> None:
    """Run a study of a lesson again and write its CSV; this takes many minutes."""
    path = Path(out) if out else RECORDED / f"{name}.csv"
    write_whole(path, STUDIES[name]())
    click.echo(f"wrote {path}")


def _csv(frame: pd.DataFrame, what: str) -> str:
    versions = f"torch {torch.__version__.split('+')[0]}, Python {platform.python_version()}"
    about = f"# {what}; device {pick_device().type}, {versions}\n"
    return about + frame.round(3).to_csv(index=False, lineterminator="\n")


def _repeated(pair: tuple[Tensor, Tensor], batch: int) -> tuple[Tensor, ...]:
    """At least one batch of pictures."""
    times = -(-batch // len(pair[0]))
    return tuple(plane.repeat(times, 1, 1, 1) for plane in pair)

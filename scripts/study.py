"""Run a study that takes too long for a lesson, and write its CSV.

    python scripts/study.py memorising

The first line of the file says how it was made; a lesson shows it beside a smaller run of its own.
"""

import platform
from pathlib import Path

import click
import torch

from colorcourse.lesson03.studies import RECORDED, memorising
from colorkit.data.pictures import lesson_pictures
from colorkit.device import pick_device
from colorkit.files import write_whole


def run_memorising(steps: int = 400) -> str:
    """The study of lesson 3 in full, as CSV."""
    pictures = lesson_pictures("orchard", 2000, 400, size=32)
    frame = memorising(pictures, (1, 10, 20, 40, 100, 400, 2000), (0, 1, 2), steps)
    versions = f"torch {torch.__version__.split('+')[0]}, Python {platform.python_version()}"
    about = (
        f"# U-Net(16, 3) on orchard 32 x 32, {steps} steps of 16 pictures; "
        f"device {pick_device().type}, {versions}\n"
    )
    return about + frame.round(3).to_csv(index=False, lineterminator="\n")


STUDIES = {"memorising": run_memorising}


@click.command()
@click.argument("name", type=click.Choice(sorted(STUDIES)))
@click.option("--out", type=click.Path(dir_okay=False), help="Where to; by default in its place.")
def study(name: str, out: str | None) -> None:
    """Run a study of a lesson again and write its CSV; this takes many minutes."""
    path = Path(out) if out else RECORDED / f"{name}.csv"
    write_whole(path, STUDIES[name]())
    click.echo(f"wrote {path}")


if __name__ == "__main__":
    study()

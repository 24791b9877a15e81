"""Grace Hopper in gray, as the colorizer that comes along sees her, and as she was.

    python scripts/hopper.py docs/hopper.webp

The photograph comes with matplotlib and is in the public domain: James S. Davis, US Navy, 1984.
"""

import io
from pathlib import Path

import click
import torch
from PIL import Image
from torch.nn import functional as F

from colorkit.color import fit_gamut, join_lab, lab_to_rgb, rgb_to_lab, split_lab
from colorkit.data.pictures import photograph
from colorkit.files import write_whole
from colorkit.models import load_colorizer

SMALL, SHOWN = (150, 128), (420, 358)  # rows and columns in which colours are predicted, and shown


def resized(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
def main(out: Path) -> None:
    """Write the three, side by side, to OUT, a WebP."""
    L, true = split_lab(rgb_to_lab(photograph("grace_hopper")))
    ours = resized(load_colorizer().colorize(resized(L, SMALL)), SHOWN)
    L, true = resized(L, SHOWN), resized(true, SHOWN)
    found = [lab_to_rgb(join_lab(L, fit_gamut(L, ab))) for ab in (0 * true, ours, true)]
    pixels = (torch.cat(found, 3)[0].movedim(0, -1) * 255).round().byte()
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(file, "WEBP", quality=80, method=6)
    write_whole(out, file.getvalue())


if __name__ == "__main__":
    main()

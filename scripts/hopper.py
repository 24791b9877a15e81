"""Grace Hopper in gray, as the colorizer that comes along sees her, and as she was.

    python scripts/hopper.py docs/hopper.webp

The photograph comes with matplotlib and is in the public domain: James S. Davis, US Navy, 1984.
"""

import io
from pathlib import Path

import click
import torch
from PIL import Image
from torchvision.transforms.v2.functional import resize

from colorkit.color import lab_to_rgb, rgb_to_lab
from colorkit.data.pictures import photograph
from colorkit.files import write_whole
from colorkit.photo import colorize

SHOWN = [420, 358]  # rows and columns


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
def main(out: Path) -> None:
    """Write the three, side by side, to OUT, a WebP."""
    true = photograph("grace_hopper").float() / 255
    gray = lab_to_rgb(rgb_to_lab(true) * torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1))
    found = [resize(x, SHOWN, antialias=True) for x in (gray, colorize(true), true)]
    pixels = (torch.cat(found, 3)[0].movedim(0, -1).clamp(0, 1) * 255).round().byte()
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(file, "WEBP", quality=80, method=6)
    write_whole(out, file.getvalue())


if __name__ == "__main__":
    main()

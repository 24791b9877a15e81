"""The photographs of the first lessons: four that scikit-image ships, or any file of one's own."""

from pathlib import Path

import numpy as np
import torch
from torchvision.transforms import v2

from colorkit.data.images import decode, explained, open_image

BUNDLED = ("astronaut", "chelsea", "coffee", "rocket")


def photograph(name: str | Path, size: int | None = None) -> torch.Tensor:
    """A photograph as an RGB picture, uint8 (1, 3, H, W).

    `name` is one of scikit-image's own ("astronaut", "chelsea", "coffee", "rocket"; no download) or
    the path of an image file. With a size, its centre square is resized to that many pixels.

    Examples
    --------
    >>> photograph("chelsea", size=64).shape
    torch.Size([1, 3, 64, 64])
    """
    path = Path(name).expanduser()
    if str(name) in BUNDLED:
        from skimage import data

        rgb = torch.from_numpy(getattr(data, name)())
    elif path.is_file():
        with explained(path), open_image(path) as image:
            rgb = torch.from_numpy(np.array(decode(image)))
    else:
        raise FileNotFoundError(
            f"there is no photograph {str(name)!r}: give the path of an image file, or one of "
            f"{', '.join(BUNDLED)} (looked in {Path.cwd()})"
        )
    rgb = rgb.permute(2, 0, 1)[None].contiguous()
    if size is None:
        return rgb
    side = min(rgb.shape[-2:])
    square = v2.functional.center_crop(rgb, [side, side])
    return v2.functional.resize(square, [size, size], antialias=True)

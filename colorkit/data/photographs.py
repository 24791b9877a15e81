"""The photographs of the first lessons: four that scikit-image ships, or any file of one's own."""

from pathlib import Path

import torch
from torchvision.transforms import v2

from colorkit.data.images import read_rgb

BUNDLED = ("astronaut", "chelsea", "coffee", "rocket")


def photograph(name: str | Path, size: int | None = None) -> torch.Tensor:
    """A photograph as an RGB picture.

    Parameters
    ----------
    name : str or Path
        One of scikit-image's own ("astronaut", "chelsea", "coffee", "rocket"; no download), or the
        path of an image file.
    size : int, optional
        The centre square is resized to ``size`` x ``size`` pixels. None keeps the picture as it is.

    Returns
    -------
    Tensor
        uint8 of shape (1, 3, H, W).

    Raises
    ------
    FileNotFoundError
        Where `name` is neither of these.

    Examples
    --------
    >>> photograph("chelsea", size=64).shape
    torch.Size([1, 3, 64, 64])
    """
    rgb = _bundled(str(name)) if str(name) in BUNDLED else read_rgb(_existing(name))
    return rgb if size is None else centre_square(rgb, size)


def centre_square(rgb: torch.Tensor, size: int) -> torch.Tensor:
    """The largest centred square of uint8 pictures (N, 3, H, W), resized with antialiasing."""
    side = min(rgb.shape[-2:])
    square = v2.functional.center_crop(rgb, [side, side])
    return v2.functional.resize(square, [size, size], antialias=True)


def _bundled(name: str) -> torch.Tensor:
    from skimage import data

    return torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)[None].contiguous()


def _existing(name: str | Path) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no photograph {str(name)!r}: give the path of an image file, or one of "
            f"{', '.join(BUNDLED)} (looked in {Path.cwd()})"
        )
    return path

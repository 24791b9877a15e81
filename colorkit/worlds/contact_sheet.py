"""A sheet of pictures of a world, to look at."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .bear_scenes import bears
from .orchard_scenes import orchard
from .portrait_scenes import portraits
from .world import World

WORLDS: dict[str, Callable[..., World]] = {
    "orchard": orchard,
    "portraits": portraits,
    "bears": bears,
}


def sheet(name: str, n: int = 48, size: int = 64, seed: int = 0) -> Tensor:
    """Draw the first n pictures of a world side by side.

    Parameters
    ----------
    name : "orchard", "portraits" or "bears"
    n, size, seed : int
        As in `orchard`.

    Returns
    -------
    Tensor
        uint8 (1, 3, H, W), about three columns of pictures for two rows; places left over are
        white.

    Raises
    ------
    ValueError
        If there is no such world.

    Examples
    --------
    >>> sheet("bears", n=6, size=32).shape
    torch.Size([1, 3, 64, 96])
    """
    if name not in WORLDS:
        raise ValueError(f"no world called {name!r}: choose among {tuple(WORLDS)}")
    pictures = WORLDS[name](n, size=size, seed=seed).rgb
    columns = min(n, round(math.sqrt(n * 1.5)) or 1)
    rows = math.ceil(n / columns)
    blank = torch.full((rows * columns - n, 3, size, size), 255, dtype=torch.uint8)
    grid = torch.cat([pictures, blank]).reshape(rows, columns, 3, size, size)
    return grid.permute(2, 0, 3, 1, 4).reshape(1, 3, rows * size, columns * size)

"""The pictures of the lessons: photographs one by one, a made world or a store in three parts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from colorkit.color import rgb_to_lab, split_lab
from colorkit.data.cards import FOLDER
from colorkit.data.images import decode, explained, open_image
from colorkit.data.store import Store
from colorkit.worlds import WORLDS, World

OURS = (
    *("aitzgorri", "friends", "life", "picosdeeuropa", "picture_0b", "picture_1a"),
    *("seeding", "sunset", "wine"),
)
"""In datasets/photographs: its README names authors and licences."""
BUNDLED = ("astronaut", "chelsea", "coffee", "rocket")
PHOTOGRAPHS = (*OURS, *BUNDLED, "grace_hopper", "motorcycle")
Pair = tuple[Tensor, Tensor]


def photograph(name: str | Path, size: int | None = None) -> Tensor:
    """A photograph as an RGB picture, uint8 (1, 3, H, W).

    `name` is one of `PHOTOGRAPHS`, our own, scikit-image's and matplotlib's (no download), or the
    path of an image file. With a size, its centre square is resized to that many pixels.
    """
    path = Path(name).expanduser()
    if str(name) in OURS:
        path = FOLDER / "photographs" / f"{name}.webp"
    elif str(name) == "grace_hopper":
        from matplotlib.cbook import get_sample_data

        path = Path(get_sample_data("grace_hopper.jpg", asfileobj=False))
    if str(name) in (*BUNDLED, "motorcycle"):
        from skimage import data

        pixels = data.stereo_motorcycle()[0] if name == "motorcycle" else getattr(data, name)()
        rgb = torch.from_numpy(pixels)
    elif path.is_file():
        with explained(path), open_image(path) as image:
            rgb = torch.from_numpy(np.array(decode(image)))
    else:
        raise FileNotFoundError(
            f"there is no photograph {str(name)!r}: give the path of an image file, or one of "
            f"{', '.join(PHOTOGRAPHS)} (looked in {Path.cwd()})"
        )
    rgb = rgb.permute(2, 0, 1)[None].contiguous()
    if size is None:
        return rgb
    side = min(rgb.shape[-2:])
    square = v2.functional.center_crop(rgb, [side, side])
    return v2.functional.resize(square, [size, size], antialias=True)


@dataclass(frozen=True)
class Pictures:
    """Three sets that share no picture: L (N, 1, H, W) and ab (N, 2, H, W) each, on the CPU.

    `worlds` holds the made worlds behind "train", "val" and "test"; it is empty for photographs.
    """

    train: Pair
    val: Pair
    test: Pair
    worlds: dict[str, World]

    def batches(self, part: str = "test", count: int = 50) -> Iterator[Pair]:
        """(L, ab) of a part in order, `count` pictures at a time."""
        L, ab = getattr(self, part)
        yield from zip(L.split(count), ab.split(count), strict=True)


def lesson_pictures(
    source: str | Path, train: int, held_out: int, size: int, seed: int = 0
) -> Pictures:
    """Training, validation and test pictures.

    The source is the name of a made world, or the folder of a store; a store may hold fewer, and
    its photographs have the size that they were prepared in. `held_out` are validation's and test's
    each.
    """
    counts = {"train": train, "val": held_out, "test": held_out}
    if str(source) in WORLDS:
        draw = WORLDS[str(source)]
        parts = enumerate(counts.items(), 10 * seed + 1)  # with seeds of their own
        worlds = {part: draw(n, size, own) for own, (part, n) in parts}
        return Pictures(**{part: (w.L, w.ab) for part, w in worlds.items()}, worlds=worlds)
    try:
        store = Store(source)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{source} is neither a made world ({', '.join(WORLDS)}) nor a prepared store; for a "
            f"folder of photographs run: colorkit data prepare {source} --out STORE, and give STORE"
        ) from error
    parts = {}
    for part, count in counts.items():
        rows = store.rows(part)
        if len(rows) == 0:
            raise ValueError(f"{source} has no picture in its split {part!r}")
        # A store keeps the order of its source, class by class: a part of it is drawn, not cut off.
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:count])
        parts[part] = split_lab(rgb_to_lab(torch.from_numpy(store.pictures(rows))))
    return Pictures(**parts, worlds={})

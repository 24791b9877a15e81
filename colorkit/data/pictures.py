"""The pictures of the lessons: photographs one by one, a made world or a store in three parts."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from colorkit.color import rgb_to_lab, split_lab
from colorkit.data.cards import FOLDER, cards, data_root, find_card, size_text, source_of
from colorkit.data.images import decode, explained, open_image
from colorkit.data.store import MANIFEST, Store
from colorkit.notebook import in_notebook
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


def prepared(name: str, size: int) -> Path:
    """The store of a dataset in squares of `size` pixels: stores/NAME-SIZE below the data root.

    Where it is not there, whoever sits at a terminal or notebook is asked, and it is fetched and
    prepared. A FileNotFoundError names the command that does so where nobody agrees.
    """
    card = find_card(name)
    out = data_root() / "stores" / f"{card.name}-{size}"
    if (out / MANIFEST).exists():
        return out
    lacking = (
        f"{card.name} is not prepared at {size} pixels; its download, once, has about "
        f"{size_text(card.size_mb)} (licence: {card.licence})"
    )
    answer = ""
    if in_notebook() or (sys.stdin is not None and sys.stdin.isatty()):
        with suppress(EOFError, NotImplementedError):  # a notebook that runs without a person
            answer = input(f"{lacking}.\nFetch and prepare it into {out}? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise FileNotFoundError(
            f"{lacking}. This fetches and prepares it: "
            f"colorkit data prepare {card.name} --out {out} --size {size} --split {card.split}"
        )
    from colorkit.data.download import fetch
    from colorkit.data.prepare import prepare

    print(prepare(source_of(card, fetch(card)), out, size, card.split)[0])
    return out


def lesson_pictures(
    source: str | Path, train: int, held_out: int, size: int, seed: int = 0
) -> Pictures:
    """Training, validation and test pictures.

    The source is the name of a made world; the folder of a store, whose photographs have the size
    that they were prepared in; or the name of a dataset, see `prepared`. Photographs may be fewer.
    `held_out` are validation's and test's each.
    """
    counts = {"train": train, "val": held_out, "test": held_out}
    name = str(source).lower()
    if name in WORLDS:
        draw = WORLDS[name]
        parts = enumerate(counts.items(), 10 * seed + 1)  # with seeds of their own
        worlds = {part: draw(n, size, own) for own, (part, n) in parts}
        return Pictures(**{part: (w.L, w.ab) for part, w in worlds.items()}, worlds=worlds)
    if name in cards() and not Path(source).exists():
        source = prepared(name, size)
    try:
        store = Store(source)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{source} is neither a made world ({', '.join(WORLDS)}), nor a prepared store, nor a "
            "dataset (colorkit data list); for a folder of photographs run: "
            f"colorkit data prepare {source} --out STORE, and give STORE"
        ) from error
    parts = {}
    for part, count in counts.items():
        rows = store.rows(part)
        if len(rows) == 0:
            raise ValueError(f"{source} has no picture in its split {part!r}")
        # In random order: a store keeps that of its source, and the first pictures are shown.
        rows = np.random.default_rng(seed).permutation(rows)[:count]
        parts[part] = split_lab(rgb_to_lab(torch.from_numpy(store.pictures(rows))))
    return Pictures(**parts, worlds={})

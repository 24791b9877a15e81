"""The pictures that a lesson trains and tests on: a made world, or photographs of one's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from colorkit.color import rgb_to_lab, split_lab
from colorkit.data.store import Store
from colorkit.worlds import WORLDS, World

Pair = tuple[Tensor, Tensor]


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

    Examples
    --------
    >>> pictures = lesson_pictures("orchard", train=4, held_out=2, size=32)
    >>> [tuple(ab.shape) for L, ab in (pictures.train, pictures.val, pictures.test)]
    [(4, 2, 32, 32), (2, 2, 32, 32), (2, 2, 32, 32)]
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

"""Where pictures come from: a folder of files, arrays of L and ab, or pictures in memory.

A source is a list of items with their names. An item is small, can be sent to another process, and
opens its own picture, so that a damaged one harms no other. Its `stamp` changes when it does.
"""

import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from colorkit.data.images import open_image

SPLIT_FOLDERS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class FileItem:
    """A picture in a file of its own."""

    path: str

    def open(self) -> Image.Image:
        return open_image(self.path)

    def stamp(self) -> tuple:
        try:
            status = os.stat(self.path)
        except OSError:
            return (0, 0)
        return status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class PairItem:
    """Row `index` of an array of L (N, H, W) and one of ab (n, H, W, 2) that begins at `offset`."""

    lightness: str
    ab: str
    index: int
    offset: int

    def open(self) -> Image.Image:
        import torch

        from colorkit.color import lab_to_rgb

        every = _mapped(self.lightness)
        L = np.asarray(every[self.index], np.float32).reshape(every.shape[1:3])
        ab = np.asarray(_mapped(self.ab)[self.index - self.offset], np.float32)
        # OpenCV's bytes are L times 2.55 and ab plus 128; numbers above 100 are no L, either.
        if every.dtype.kind in "ui" or every[:16].max() > 100.5:
            L, ab = L / 2.55, ab - 128
        lab = torch.from_numpy(np.concatenate([L[None], ab.transpose(2, 0, 1)]))
        rgb = (lab_to_rgb(lab[None])[0].clamp(0, 1) * 255).round().byte()
        return Image.fromarray(rgb.permute(1, 2, 0).numpy())

    def stamp(self) -> tuple:
        return FileItem(self.lightness).stamp() + FileItem(self.ab).stamp() + (self.index,)


@dataclass(frozen=True)
class ArrayItem:
    """A picture in memory, uint8 (H, W, 3)."""

    picture: np.ndarray

    def open(self) -> Image.Image:
        return Image.fromarray(self.picture)

    def stamp(self) -> int:
        return zlib.crc32(self.picture.tobytes())


@lru_cache(maxsize=16)
def _mapped(path: str) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path} is no complete .npy array ({error}): copy it again") from error


@dataclass
class Source:
    """Pictures to be prepared, in the order of their names.

    Labels are numbers in `classes`, or -1. Pictures of one group must not be divided between
    splits: a group is an identity where it is known, else the name. `splits` are the source's own
    train, val and test, or "".
    """

    names: list[str]
    items: list
    labels: list[int]
    groups: list[str]
    splits: list[str]
    classes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    def select(self, rows: list[int]) -> "Source":
        """Only some of the pictures, in the given order."""
        columns = self.names, self.items, self.labels, self.groups, self.splits
        return Source(*([column[i] for i in rows] for column in columns), self.classes)


def open_source(path: str | Path, identity: str | None = None, labels: str = "folder") -> Source:
    """A folder of pictures, or of .npy files with L and ab, as a source.

    Folders train, val and test at the top give splits, class folders give labels, unless these are
    "none". The identity is "folder" if each folder holds one person or object, or a regular
    expression whose first group, searched in the name, is the identity.
    """
    root = Path(path)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder of pictures, and no dataset of that name")
    names = sorted(_walk(root))
    if not names:
        raise ValueError(f"{root} is empty: give a folder that holds pictures")
    pairs = _find_pairs(root, names)
    if pairs is not None:
        return pairs
    splits, folders, groups = [], [], []
    pattern = {None: "(.*)", "folder": "(.*)/"}.get(identity, identity)
    for name in names:
        *above, _ = name.split("/")
        splits.append(SPLIT_FOLDERS.get(above[0].lower(), "") if above else "")
        folders.append("".join(above[1:2] if splits[-1] else above[:1]))
        match = re.search(pattern, name, re.DOTALL)
        groups.append(match[1] if match else name)
    classes = sorted(set(folders) - {""}) if labels == "folder" else []
    number = {name: i for i, name in enumerate(classes)}
    items = [FileItem(os.path.join(root, name)) for name in names]
    return Source(names, items, [number.get(f, -1) for f in folders], groups, splits, classes)


def _walk(root: Path) -> Iterator[str]:
    """Names of all files below the folder, with / between; links are followed, loops are not."""
    seen = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = [] if real in seen else sorted(folders)
        if real not in seen:
            yield from ((Path(folder).relative_to(root) / name).as_posix() for name in files)
        seen.add(real)


def _find_pairs(root: Path, names: list[str]) -> Source | None:
    """Arrays of L and ab among the files, as in the Kaggle colorization set; None without any.

    L is (N, H, W) in gray*.npy or l*.npy; ab is (n, H, W, 2) in one or several ab*.npy that follow
    each other in the order of their numbers: ab1.npy, ab2.npy, ..., ab10.npy.
    """
    light = [n for n in names if re.fullmatch(r"(.*/)?(gray|grey|l)[^/]*\.npy", n, re.IGNORECASE)]
    colour = [n for n in names if re.fullmatch(r"(.*/)?ab[^/]*\.npy", n, re.IGNORECASE)]
    colour.sort(key=lambda n: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", n)])
    if not light or not colour:
        return None
    if len(light) > 1:
        raise ValueError(f"{root} holds several arrays of L ({', '.join(light)}): leave one")
    L, start, items = _mapped(str(root / light[0])), 0, []
    for name in colour:
        ab = _mapped(str(root / name))
        if ab.ndim != 4 or ab.shape[3] != 2 or ab.shape[1:3] != L.shape[1:3]:
            raise ValueError(
                f"{root / name} has the shape {ab.shape}, which does not fit {light[0]} {L.shape}: "
                "expected ab (n, H, W, 2) and L (N, H, W)"
            )
        files = str(root / light[0]), str(root / name)
        items += [PairItem(*files, i, start) for i in range(start, min(start + len(ab), len(L)))]
        start += len(ab)
    n = len(items)
    names = [f"{Path(light[0]).stem}/{i:07d}" for i in range(n)]
    return Source(names, items, [-1] * n, names, [""] * n)

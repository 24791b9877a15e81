"""Where pictures come from: a folder of files, arrays of L and ab, or a torchvision dataset.

A source is a list of items with their names; items are small, can be sent to another process, and
each opens its own picture, so that a damaged one harms no other.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from colorkit.data.images import open_image

SPLIT_FOLDERS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class FileItem:
    """A picture in a file of its own."""

    path: str

    def open(self) -> Image.Image:
        return open_image(self.path)

    def stamp(self) -> tuple:
        """What changes when the file does: size and time."""
        try:
            status = os.stat(self.path)
        except OSError:
            return (0, 0)
        return status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class PairItem:
    """Row `index` of an array of L (N, H, W) and one of ab (N, H, W, 2), as OpenCV writes them."""

    lightness: str
    ab: str
    index: int
    offset: int = 0  # of the row in the ab array: large sets keep ab in several files

    def open(self) -> Image.Image:
        L = np.asarray(_mapped(self.lightness)[self.index], np.float32)
        ab = np.asarray(_mapped(self.ab)[self.index - self.offset], np.float32)
        return _opened(pair_to_rgb(L.reshape(L.shape[:2]), ab, _is_opencv(self.lightness)))

    def stamp(self) -> tuple:
        return FileItem(self.lightness).stamp() + FileItem(self.ab).stamp() + (self.index,)


@dataclass(frozen=True)
class DatasetItem:
    """Picture `index` of a torchvision dataset that keeps its pictures in archives of its own."""

    loader: str
    root: str
    options: tuple
    index: int

    def open(self) -> Image.Image:
        return _opened(_dataset(self.loader, self.root, self.options)[self.index][0])

    def stamp(self) -> tuple:
        return self.loader, self.options, self.index


@dataclass
class Source:
    """Pictures to be prepared, in the order of their names.

    Attributes
    ----------
    names : list of str
        Unique names, sorted.
    items : list
        What opens each picture.
    labels : list of int
        Index into `classes`, or -1.
    groups : list of str
        What must not be divided between splits: an identity where it is known, else the name.
    splits : list of str
        The source's own split of each picture, or "".
    """

    names: list[str]
    items: list
    labels: list[int]
    classes: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    def select(self, rows: list[int]) -> "Source":
        """Only some of the pictures, in the given order."""
        columns = self.names, self.items, self.labels, self.groups, self.splits
        names, items, labels, groups, splits = ([c[i] for i in rows] for c in columns)
        return Source(names, items, labels, self.classes, groups, splits)

    def joined(self, other: "Source") -> "Source":
        """This source's pictures, then the other's, which has the same classes."""
        return Source(
            self.names + other.names,
            self.items + other.items,
            list(self.labels) + list(other.labels),
            self.classes,
            self.groups + other.groups,
            self.splits + other.splits,
        )


def open_source(path: str | Path, identity: str | None = None, labels: str = "folder") -> Source:
    """A folder of pictures, or of .npy files with L and ab, as a source.

    Parameters
    ----------
    path : path
        Class subfolders give labels. Folders train, val and test at the top give splits.
    identity : str, optional
        ``"folder"`` if each folder holds one person or object, or a regular expression whose first
        group, searched in the name, is the identity.
    labels : str
        ``"folder"`` or ``"none"``.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder.
    ValueError
        If it holds no file.
    """
    root = Path(path)
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such folder, and no dataset of that name")
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is a file: give the folder that holds the pictures")
    names = sorted(_walk(root))
    if not names:
        raise ValueError(f"{root} is empty: give a folder that holds pictures")
    pairs = find_pairs(root, names)
    if pairs is not None:
        return pairs
    items = [FileItem(os.path.join(root, name)) for name in names]
    splits, folders = zip(*(_split_and_class(name) for name in names), strict=True)
    classes = sorted({f for f in folders if f}) if labels == "folder" else []
    index = {name: i for i, name in enumerate(classes)}
    return Source(
        names,
        items,
        [index.get(folder, -1) for folder in folders],
        classes,
        [identity_of(name, identity) for name in names],
        list(splits),
    )


def _walk(root: Path) -> Iterator[str]:
    """Names of all files below the folder, with / between; links are followed, loops are not."""
    seen = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = [] if real in seen else sorted(folders)
        if real not in seen:
            prefix = os.path.relpath(folder, root).replace(os.sep, "/")
            yield from (name if prefix == "." else f"{prefix}/{name}" for name in files)
        seen.add(real)


def _split_and_class(name: str) -> tuple[str, str]:
    folders = name.split("/")[:-1]
    split = SPLIT_FOLDERS.get(folders[0].lower(), "") if folders else ""
    if split:
        folders = folders[1:]
    return split, folders[0] if folders else ""


def identity_of(name: str, identity: str | None) -> str:
    """The identity in a picture's name, or the name itself.

    Examples
    --------
    >>> identity_of("12/nm0000012_rm57_1908.jpg", r"(nm\\d+)_")
    'nm0000012'
    >>> identity_of("subject7/3.png", "folder")
    'subject7'
    """
    if identity is None:
        return name
    if identity == "folder":
        return name.rpartition("/")[0] or name
    match = re.search(identity, name)
    return match[1] if match else name


# --- L and ab as arrays ---------------------------------------------------------------------------


def find_pairs(root: Path, names: list[str]) -> Source | None:
    """Arrays of L and ab among the files, as in the Kaggle colorization set; None without any.

    L is (N, H, W) in gray*.npy or l*.npy; ab is (n, H, W, 2) in one or several ab*.npy that follow
    each other in the order of their names.

    Raises
    ------
    ValueError
        If shapes do not fit together; the message names the files.
    """
    arrays = [name for name in names if name.lower().endswith(".npy")]
    # ab1.npy, ab2.npy, ..., ab10.npy: in the order of the numbers
    arrays.sort(key=lambda n: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", n)])
    light = [n for n in arrays if re.match(r"(gray|grey|l)", Path(n).name.lower())]
    colour = [n for n in arrays if Path(n).name.lower().startswith("ab")]
    if not light or not colour:
        return None
    if len(light) > 1:
        raise ValueError(f"{root} holds several arrays of L ({', '.join(light)}): leave one")
    return _pairs(root, light[0], colour)


def _pairs(root: Path, light: str, colour: list[str]) -> Source:
    L, start, items = _mapped(str(root / light)), 0, []
    for name in colour:
        ab = _mapped(str(root / name))
        if ab.ndim != 4 or ab.shape[3] != 2 or ab.shape[1:3] != L.shape[1:3]:
            raise ValueError(
                f"{root / name} has the shape {ab.shape}, which does not fit {light} {L.shape}: "
                "expected ab (n, H, W, 2) and L (N, H, W)"
            )
        stop = min(start + len(ab), len(L))
        files = str(root / light), str(root / name)
        items += [PairItem(*files, i, start) for i in range(start, stop)]
        start += len(ab)
    names = [f"{Path(light).stem}/{i:07d}" for i in range(len(items))]
    return Source(names, items, [-1] * len(names), [], list(names), [""] * len(names))


@lru_cache(maxsize=16)
def _mapped(path: str) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path} is no complete .npy array ({error}): copy it again") from error


@lru_cache(maxsize=16)
def _is_opencv(path: str) -> bool:
    """Whether L is stored as bytes 0..255 with ab shifted by 128 (OpenCV), not in Lab units."""
    array = _mapped(path)
    return array.dtype.kind in "ui" or float(np.max(array[: min(16, len(array))])) > 100.5


def pair_to_rgb(L: np.ndarray, ab: np.ndarray, opencv: bool) -> np.ndarray:
    """L (H, W) and ab (H, W, 2), in Lab units or as OpenCV's bytes, as uint8 RGB (H, W, 3)."""
    import torch

    from colorkit.color import lab_to_rgb

    if opencv:
        L, ab = L / 2.55, ab - 128
    lab = torch.from_numpy(np.concatenate([L[None], ab.transpose(2, 0, 1)]).astype(np.float32))
    rgb = lab_to_rgb(lab[None]).clamp(0, 1)[0]
    return (rgb * 255).round().byte().permute(1, 2, 0).numpy()


def _opened(picture: np.ndarray | Image.Image) -> Image.Image:
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    image.full_size = image.size
    return image


# --- torchvision ----------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _dataset(loader: str, root: str, options: tuple):
    import torchvision

    return getattr(torchvision.datasets, loader)(root, download=False, **dict(options))

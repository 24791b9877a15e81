"""Where pictures come from: a folder of files, arrays of L and ab, or pictures in memory.

A source is a list of items with their names. An item is small, can be sent to another process, and
opens its own picture, so that a damaged one harms no other. Its `stamp` changes when it does.
"""

import os
import re
import stat
import zlib
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
    train, val and test, or "". `aside` has what was not looked at: name, verdict and reason.
    """

    names: list[str]
    items: list
    labels: list[int]
    groups: list[str]
    splits: list[str]
    classes: list[str] = field(default_factory=list)
    aside: list[tuple[str, str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    def select(self, rows: list[int]) -> "Source":
        """Only some of the pictures, in the given order."""
        columns = self.names, self.items, self.labels, self.groups, self.splits
        return Source(*([column[i] for i in rows] for column in columns), self.classes)


def open_source(
    path: str | Path, identity: str | None = None, labels: str = "folder", only: str = ""
) -> Source:
    """A folder of pictures, or of .npy files with L and ab, as a source.

    Folders train, val and test give splits if the top has no others. `labels` are "folder", the
    uppermost below these; "parent", the one that a picture lies in; or "none". What belongs to
    systems and tools is set aside, and names that do not begin with the expression `only` are not
    looked at. The identity is "folder" if each folder holds one person or object, or a regular
    expression whose first group, searched in the name, is the identity.
    """
    root = Path(os.path.expanduser(path))
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder of pictures, and no dataset of that name")
    names, aside = _walk(root)
    names = [name for name in names if re.match(only, name)]
    if not names:
        why = "; ".join(f"{root / name}: {reason}" for name, _, reason in aside[:3])
        raise ValueError(f"{root} is empty: give a folder that holds pictures. {why}".rstrip())
    pairs = _find_pairs(root, names)
    if pairs is not None:
        return pairs
    splits, folders, groups = [], [], []
    tops = {name.split("/")[0].lower() for name in names if "/" in name}
    known = SPLIT_FOLDERS if tops <= set(SPLIT_FOLDERS) else {}  # a class may be called "train"
    pattern = {None: "(.*)", "folder": "(.*)/"}.get(identity, identity)
    for name in names:
        *above, _ = name.split("/")
        splits.append(known.get(above[0].lower(), "") if above else "")
        below = above[1:] if splits[-1] else above
        folders.append("".join(below[-1:] if labels == "parent" else below[:1]))
        match = re.search(pattern, name, re.DOTALL)
        groups.append(match[1] if match else name)
    classes = sorted(set(folders) - {""}) if labels != "none" else []
    number = {name: i for i, name in enumerate(classes)}
    items = [FileItem(os.path.join(root, name)) for name in names]
    columns = [number.get(f, -1) for f in folders], groups, splits, classes
    return Source(names, items, *columns, aside)


# What file managers, clouds, notebooks and version control leave beside pictures, often copies.
_NOT_OURS = re.compile(
    r"\.|__MACOSX$|__pycache__$|@eaDir$|#recycle$|\$RECYCLE\.BIN$|System Volume Information$"
    r"|lost\+found$|(eh)?thumbs(_vista)?\.db$|desktop\.ini$|Icon\r$",
    re.IGNORECASE,
)


def _walk(root: Path) -> tuple[list[str], list[tuple[str, str, str]]]:
    """Names of all files below the folder, with / between, in order, and what is set aside.

    Links are followed, loops are not. Only regular files are ever opened: a pipe would wait.
    """
    names, aside, seen, todo = [], [], set(), [("", False)]
    while todo:
        folder, passed_over = todo.pop()
        here = os.path.join(root, folder)
        if (real := os.path.realpath(here)) in seen:
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            if not passed_over:
                aside.append((folder, "no access", f"cannot be opened: {error.strerror}"))
            continue
        for entry in entries:
            name, passed = folder + entry.name, passed_over or bool(_NOT_OURS.match(entry.name))
            try:
                kind = entry.stat().st_mode
            except OSError as error:  # a link that leads nowhere, or round and round
                aside.append((name, "no access", f"cannot be read: {error.strerror}"))
                continue
            if stat.S_ISDIR(kind):
                todo.append((f"{name}/", passed))
            elif passed:
                aside.append((name, "passed over", "it belongs to the system or a tool"))
            elif stat.S_ISREG(kind):
                names.append(name)
            else:
                aside.append((name, "passed over", "no regular file, but a pipe or device"))
    return sorted(names), sorted(aside)


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

"""Prepared pictures on disk: one array of 8-bit RGB that is mapped into memory, never read whole.

A store is a folder::

    manifest.json   size, classes, counts, a checksum; written last
    pictures.npy    uint8 (M, size, size, 3), a row for each file of the source
    index.npy       what was kept (N,), in the order of the names: row, label and split as numbers
    names.txt       the name of each kept picture in its source, one a line, as JSON strings
    audit.csv       what was left out, with its verdict and reason
"""

import json
import os
from pathlib import Path

import numpy as np

FORMAT = "colorkit-store 2"
MANIFEST, PICTURES, LOG = "manifest.json", "pictures.npy", "log.jsonl"
INDEX = np.dtype([("row", np.int64), ("label", np.int32), ("split", np.uint8)])
SPLITS = ("train", "val", "test")


class Store:
    """Open a prepared store; no picture is read.

    Pictures have `size` x `size` pixels; `labels`, int32 (N,), are numbers in `classes`, or -1.
    A FileNotFoundError says that it is no store or was not finished, a ValueError that it is
    damaged or of another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path = Path(os.path.expanduser(path))
        try:
            self.manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            hint = "make one with: colorkit data prepare SOURCE --out STORE"
            if (path / LOG).exists():
                hint = "it was not finished: run the same prepare again, it goes on"
            raise FileNotFoundError(f"{path} is no store of prepared pictures; {hint}") from None
        except ValueError as error:
            raise ValueError(f"{path / MANIFEST} is damaged ({error}): prepare it again") from error
        if self.manifest.get("format") != FORMAT:
            raise ValueError(
                f"{path} has the format {self.manifest.get('format')!r}, this colorkit reads "
                f"{FORMAT!r}: prepare it again, into a new folder"
            )
        self.size: int = self.manifest["size"]
        self.classes: list[str] = self.manifest["classes"]
        self._index = self._map("index.npy")
        self._pictures = self._map(PICTURES)
        self.labels = self._index["label"]

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        counts = ", ".join(f"{n:,} {s}" for s, n in self.manifest["splits"].items())
        return f"Store({str(self.path)!r}: {counts}, {self.size} x {self.size})"

    def _map(self, name: str) -> np.ndarray:
        path = self.path / name
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} is missing or damaged ({error}): prepare it again") from error
        return mapped.view(np.ndarray)  # a memmap's own indexing is several times slower

    def rows(self, split: str) -> np.ndarray:
        """Numbers of the pictures of "train", "val", "test" or "all": int64 (n,)."""
        if split == "all":
            return np.arange(len(self))
        if split not in SPLITS:
            raise ValueError(f"{split!r} is no split: take one of {', '.join(SPLITS)} or all")
        return np.flatnonzero(self._index["split"] == SPLITS.index(split))

    def pictures(self, numbers: np.ndarray) -> np.ndarray:
        """Pictures by number, uint8 (n, 3, size, size)."""
        found = self._pictures[self._index["row"][numbers]]
        return np.ascontiguousarray(found.transpose(0, 3, 1, 2))

    def names(self) -> list[str]:
        """The name of every picture in its source; read on demand, for it may be long."""
        with open(self.path / "names.txt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

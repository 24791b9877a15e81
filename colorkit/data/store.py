"""Prepared pictures on disk: shards of 8-bit RGB that are mapped into memory, never read whole.

A store is a folder::

    manifest.json    sizes, classes, counts, SHA-256 of every file; written last
    shard-0000.npy   uint8 (n, size, size, 3), in the order of the names; further shards follow
    labels.npy       int32 (N,), index into the classes, -1 without one
    splits.npy       uint8 (N,), 0 train, 1 val, 2 test
    names.txt        the name of each picture in its source, one a line, as JSON strings
    audit.csv        what was left out, with its verdict and reason
"""

import hashlib
import json
from pathlib import Path

import numpy as np

FORMAT, VERSION = "colorkit-store", 1
MANIFEST = "manifest.json"
SPLITS = ("train", "val", "test")


class Store:
    """Open a prepared store; nothing but the manifest is read.

    Parameters
    ----------
    path : path
        The folder that ``colorkit data prepare`` has written.

    Attributes
    ----------
    size : int
        Side of the pictures in pixels.
    classes : list of str
    labels : ndarray
        int32 (N,), mapped.

    Raises
    ------
    FileNotFoundError
        If it is no store, or was not finished.
    ValueError
        If it was written by a newer version, or a file is missing or has another size.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.manifest = read_manifest(self.path)
        self.size: int = self.manifest["size"]
        self.classes: list[str] = self.manifest["classes"]
        self.checksum: str = self.manifest["checksum"]
        self.labels = self._map("labels.npy", (len(self),))
        self._splits = self._map("splits.npy", (len(self),))
        side = self.size
        self._shards = [
            self._map(shard["file"], (shard["pictures"], side, side, 3))
            for shard in self.manifest["shards"]
        ]
        self._ends = np.cumsum([shard["pictures"] for shard in self.manifest["shards"]])

    def __len__(self) -> int:
        return self.manifest["pictures"]

    def __repr__(self) -> str:
        counts = ", ".join(f"{n:,} {s}" for s, n in self.manifest["splits"].items())
        return f"Store({str(self.path)!r}: {counts}, {self.size} x {self.size})"

    def _map(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        path = self.path / name
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} is missing or damaged ({error}): prepare it again") from error
        if mapped.shape != shape:
            raise ValueError(f"{path} has the shape {mapped.shape}, not {shape}: prepare it again")
        return mapped.view(np.ndarray)  # a memmap's own indexing is several times slower

    def rows(self, split: str) -> np.ndarray:
        """Numbers of the pictures of a split, ``"train"``, ``"val"``, ``"test"`` or ``"all"``.

        Returns
        -------
        ndarray
            int32 (n,), ascending.
        """
        if split == "all":
            return np.arange(len(self), dtype=np.int32)
        if split not in SPLITS:
            raise ValueError(f"{split!r} is no split: take one of {', '.join(SPLITS)} or all")
        return np.flatnonzero(self._splits == SPLITS.index(split)).astype(np.int32)

    def pictures(
        self, rows: np.ndarray, corners: np.ndarray | None = None, crop: int | None = None
    ) -> np.ndarray:
        """Pictures by number, uint8 (n, 3, crop, crop).

        Parameters
        ----------
        rows : ndarray
            Integers (n,).
        corners : ndarray, optional
            (n, 2): the first row and column of the part that is wanted of each.
        crop : int, optional
            Side of that part; by default the whole picture.
        """
        crop = self.size if crop is None else crop
        out = np.empty((len(rows), 3, crop, crop), np.uint8)
        shards = np.searchsorted(self._ends, rows, side="right")
        for k, (shard, row) in enumerate(
            zip(shards.tolist(), np.asarray(rows).tolist(), strict=True)
        ):
            start = int(self._ends[shard - 1]) if shard else 0
            y, x = (0, 0) if corners is None else corners[k].tolist()
            out[k] = self._shards[shard][row - start, y : y + crop, x : x + crop].transpose(2, 0, 1)
        return out

    def names(self) -> list[str]:
        """The name of every picture in its source; read on demand, for it may be long."""
        with open(self.path / "names.txt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def verify(self) -> None:
        """Compare every file with its SHA-256.

        Raises
        ------
        ValueError
            Naming the files that differ.
        """
        wanted = dict(self.manifest["files"])
        wanted |= {shard["file"]: shard["sha256"] for shard in self.manifest["shards"]}
        wrong = [name for name, sum_ in wanted.items() if sha256(self.path / name) != sum_]
        if wrong:
            raise ValueError(f"{self.path}: {', '.join(wrong)} changed since: prepare it again")


def read_manifest(path: Path) -> dict:
    """The manifest of a finished store."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        begun = (path / "work").is_dir()
        hint = (
            "it was not finished: run the same prepare again, it goes on"
            if begun
            else ("make one with: colorkit data prepare SOURCE --out STORE")
        )
        raise FileNotFoundError(f"{path} is no store of prepared pictures; {hint}") from None
    except ValueError as error:
        raise ValueError(f"{path / MANIFEST} is damaged ({error}): prepare it again") from error
    if manifest.get("format") != FORMAT:
        raise ValueError(f"{path / MANIFEST} is not the manifest of a store")
    if manifest.get("version") != VERSION:
        raise ValueError(
            f"{path} has version {manifest.get('version')}, this colorkit reads {VERSION}: "
            "prepare it again"
        )
    return manifest


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_of(manifest: dict) -> str:
    """One sum for all that a store holds: equal for equal pictures, labels and splits."""
    parts = {key: manifest[key] for key in ("version", "size", "classes", "shards", "files")}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

"""Prepare photographs: audit, crop, resize and split them into a store, in several processes.

The work is divided into pieces of 128 pictures. Each piece is finished by renaming a file, so that
a run that is killed leaves only finished pieces and goes on where it was; the store's content
depends on the source and the settings alone. ``manifest.json`` is written last: a folder without
one is not yet a store.
"""

import csv
import errno
import hashlib
import io
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from colorkit.data.audit import (
    Report,
    Seen,
    Summary,
    Task,
    choose_workers,
    gather,
    look,
    lost,
    mark_duplicates,
    tasks_of,
    write_whole,
)
from colorkit.data.lock import Lock
from colorkit.data.pool import work
from colorkit.data.sources import Source, open_source
from colorkit.data.store import (
    FORMAT,
    MANIFEST,
    SPLITS,
    VERSION,
    Store,
    checksum_of,
    read_manifest,
    sha256,
)
from colorkit.data.verdicts import OK

SHARD_BYTES = 2**30
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)


@dataclass(frozen=True)
class Settings:
    """What, beside the source, decides a store's content."""

    size: int
    min_side: int
    split: str
    seed: int


def prepare(
    source: str | Path | Source,
    out: str | Path,
    size: int = 128,
    split: str = "80/10/10",
    seed: int = 0,
    min_side: int | None = None,
    workers: int | None = None,
    identity: str | None = None,
    labels: str = "folder",
    progress: bool = True,
) -> tuple[Store, Report | None]:
    """Prepare a source into a store; go on if an earlier run was interrupted.

    Parameters
    ----------
    source : path or Source
        See :func:`colorkit.data.sources.open_source`, also for `identity` and `labels`.
    out : path
        The store's folder: new, empty, or of an earlier run with the same settings.
    size : int
        Side of the stored squares.
    split : str
        Shares of train, val and test; ``"keep"`` keeps the source's own train, val and test.
    min_side : int, optional
        Pictures with a shorter side are left out; by default half of `size`.
    workers : int, optional
        Processes; by default one for each core.

    Returns
    -------
    Store
    Report or None
        None if the store was finished before.

    Raises
    ------
    ValueError
        For settings that make no sense, or differ from those of the store in `out`, or if no
        picture is left.
    OSError
        If the disk is full: what was done stays, and the same command goes on.
    LockedError
        If another process prepares the same store.
    """
    settings = Settings(size, size // 2 if min_side is None else min_side, split, seed)
    check_settings(settings)
    out = Path(out)
    if not isinstance(source, Source):
        source = open_source(source, identity, labels)
    _check_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with Lock(out / "lock") as lock:
            return _Run(source, out, settings, lock).run(workers, progress)
    except OSError as error:
        if error.errno in FULL:
            raise OSError(error.errno, _full(out, len(source), size)) from error
        raise


def check_settings(settings: Settings) -> None:
    """Raise a ValueError that names the setting that makes no sense."""
    if not 8 <= settings.size <= 1024:
        raise ValueError(f"size {settings.size}: take 8 to 1024 pixels")
    if settings.split != "keep":
        shares_of(settings.split)


def shares_of(split: str) -> tuple[float, ...]:
    """Shares of train, val and test, which sum to 1.

    Examples
    --------
    >>> shares_of("80/10/10")
    (0.8, 0.1, 0.1)
    """
    try:
        shares = [float(part) for part in split.split("/")]
    except ValueError:
        shares = []
    if len(shares) != 3 or min(shares) < 0 or not 0 < sum(shares) < float("inf"):
        raise ValueError(f"split {split!r}: give three shares, as in 80/10/10, or keep")
    return tuple(share / sum(shares) for share in shares)


def assign_splits(groups: list[str], split: str, seed: int, own: list[str]) -> np.ndarray:
    """Split of each picture, uint8 (N,): 0 train, 1 val, 2 test.

    Pictures of one group stay together. Groups are ordered by a keyed hash of their names, so that
    the order depends on nothing else, and cut where the shares are reached.
    """
    if split == "keep":
        if not all(own):
            raise ValueError("split keep: not every picture lies below a folder train, val or test")
        return np.array([SPLITS.index(s) for s in own], np.uint8)
    _, train, val = np.cumsum([0, *shares_of(split)])[:3]
    number: dict[str, int] = {}
    member = np.array([number.setdefault(group, len(number)) for group in groups], np.int64)
    key = str(seed).encode()
    hashed = [hashlib.blake2b(_bytes(g), digest_size=8, key=key).digest() for g in number]
    order = np.array(sorted(range(len(hashed)), key=hashed.__getitem__), np.int64)
    counts = np.bincount(member, minlength=len(number))[order]
    middle = (np.cumsum(counts) - counts / 2) / max(len(groups), 1)  # of each group, in [0, 1]
    of_group = np.empty(len(number), np.uint8)
    of_group[order] = np.searchsorted([train, val + 1e-12], middle)
    return of_group[member] if len(groups) else np.empty(0, np.uint8)


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"{out} is a file: give a folder for the store")
    if not out.is_dir() or (out / MANIFEST).exists() or (out / "work").is_dir():
        return
    foreign = [p.name for p in out.iterdir() if p.name != "lock" and not p.name.startswith("lock.")]
    if foreign:
        raise ValueError(f"{out} holds other files ({foreign[0]}, ...): give a new folder")


def _full(out: Path, pictures: int, size: int) -> str:
    return (
        f"the disk of {out} is full ({_gb(shutil.disk_usage(out).free)} free; up to "
        f"{_gb(pictures * size * size * 3)} are needed): make room and run the same command "
        "again, it goes on where it was"
    )


def _gb(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 5e7 else f"{size / 1e6:,.1f} MB"


# --- pieces ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece(Task):
    """A task whose result goes to files: `file`.npy with the squares that are ok, `file`.npz."""

    file: str = ""

    def part(self, start: int, stop: int) -> Task:
        return replace(super().part(start, stop), file="")


def look_and_keep(piece: Piece) -> Seen:
    """Look at a piece and write its files; parts of a piece are given back instead."""
    seen = look(piece)
    if piece.file:
        write_piece(piece.file, seen)
        seen.squares = None
    return seen


def write_piece(file: str, seen: Seen) -> None:
    """Write the squares, then what was seen, which marks the piece as done."""
    fine = np.array([verdict == OK for verdict, _ in seen.verdicts])
    squares = seen.squares[fine]
    write_whole(f"{file}.npy", squares.tobytes())
    s = seen.summary
    facts = {
        "verdicts": seen.verdicts,
        "summary": [s.pictures, s.chroma, s.near_gray, s.hues.tolist()],
        "crc": zlib.crc32(squares),
    }
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    np.savez(buffer, hashes=seen.hashes, colours=seen.colours, facts=text)
    write_whole(f"{file}.npz", buffer.getvalue())


def read_piece(file: str) -> tuple[Seen, int]:
    """What was seen of a piece, and the checksum of its squares."""
    with np.load(f"{file}.npz", allow_pickle=False) as data:
        facts = json.loads(data["facts"].tobytes())
        hashes, colours = data["hashes"], data["colours"]
    *numbers, hues = facts["summary"]
    verdicts = [(verdict, reason) for verdict, reason in facts["verdicts"]]
    return Seen(verdicts, hashes, colours, Summary(*numbers, np.array(hues))), facts["crc"]


class _Run:
    """One run of prepare on a locked folder."""

    def __init__(self, source: Source, out: Path, settings: Settings, lock: Lock) -> None:
        self.source, self.out, self.settings, self.lock = source, out, settings, lock
        self.work = out / "work"
        self.pieces = list(self._pieces())
        names = hashlib.sha256("\n".join(p.file for p in self.pieces).encode())
        others = [settings.split, settings.seed, source.labels, source.classes, source.groups]
        names.update(json.dumps(others).encode())
        self.fingerprint = names.hexdigest()

    def _pieces(self) -> Iterator[Piece]:
        size, least = self.settings.size, self.settings.min_side
        for task in tasks_of(self.source, size, least, keep=True):
            stamps = [item.stamp() for item in task.items]
            content = json.dumps([VERSION, size, least, task.names, stamps])
            key = hashlib.sha256(content.encode()).hexdigest()[:16]
            file = str(self.work.resolve() / f"{task.number:06d}-{key}")
            yield Piece(**vars(task) | {"file": file})

    def run(self, workers: int | None, progress: bool) -> tuple[Store, Report | None]:
        if (self.out / MANIFEST).exists():
            return self._finished(), None
        self.work.mkdir(exist_ok=True)
        self._tidy()
        if not self._is_merging():
            self._decode(workers, progress)
        parts = [read_piece(piece.file) for piece in self.pieces]
        verdicts, hashes, colours, summary = gather([seen for seen, _ in parts])
        found = [verdict == OK for verdict, _ in verdicts]
        mark_duplicates(self.source.names, verdicts, hashes, colours)
        report = Report(self.source.names, verdicts, summary, self.source.items)
        kept = np.array([verdict == OK for verdict, _ in verdicts])
        if not kept.any():
            self._give_up(report)
        write_whole(self.work / "merge", self.fingerprint.encode())
        shards = self._merge(np.array(found), kept, [crc for _, crc in parts])
        self._finish(report, kept, shards)
        return Store(self.out), report

    def _finished(self) -> Store:
        manifest = read_manifest(self.out)
        if manifest["fingerprint"] != self.fingerprint:
            raise ValueError(
                f"{self.out} is a finished store of another source or other settings "
                f"({manifest['settings']}): give another folder, or delete it"
            )
        shutil.rmtree(self.work, ignore_errors=True)
        return Store(self.out)

    def _tidy(self) -> None:
        """Remove what an interrupted run left half-written, and pieces of another source."""
        merging = self._is_merging()
        wanted = {Path(piece.file).name for piece in self.pieces}
        for path in self.work.iterdir():
            if (path.name != "merge" and path.name.split(".")[0] not in wanted) or _is_part(path):
                path.unlink(missing_ok=True)
        for path in self.out.iterdir():
            shard = path.name.startswith("shard-") and not merging
            if path.is_file() and (_is_part(path) or shard):
                path.unlink(missing_ok=True)
        if not merging:
            (self.work / "merge").unlink(missing_ok=True)

    def _is_merging(self) -> bool:
        try:
            return (self.work / "merge").read_text() == self.fingerprint
        except OSError:
            return False

    def _decode(self, workers: int | None, progress: bool) -> None:
        todo = [piece for piece in self.pieces if not _is_done(piece)]
        left = sum(len(piece.items) for piece in todo)
        self._check_room(left)
        n = choose_workers(workers, left)
        with tqdm(total=len(self.source), unit=" pictures", disable=not progress) as bar:
            bar.update(len(self.source) - left)
            for piece, seen in work(look_and_keep, todo, n, lost):
                if seen.squares is not None:  # a picture killed its process: parts came back
                    write_piece(piece.file, seen)
                self.lock.renew()
                bar.update(len(piece.items))

    def _check_room(self, pictures: int) -> None:
        needed = pictures * self.settings.size**2 * 3
        needed += min(needed, SHARD_BYTES)  # a shard is whole before its pieces go
        if shutil.disk_usage(self.out).free < needed:
            raise OSError(errno.ENOSPC, "too little room")

    def _give_up(self, report: Report) -> None:
        write_whole(self.work.parent / "audit.csv", _csv_of(report))
        counts = ", ".join(f"{n} {verdict}" for verdict, n in report.counts().items())
        raise ValueError(f"no picture is left ({counts}): see {self.out / 'audit.csv'}")

    def _merge(self, found: np.ndarray, kept: np.ndarray, sums: list[int]) -> list[dict]:
        """Join the squares of all pieces into shards; a piece goes once its shards are whole."""
        side = self.settings.size
        each = max(1, SHARD_BYTES // (side**2 * 3))
        starts = np.cumsum([0] + [len(piece.items) for piece in self.pieces])
        before = np.concatenate([[0], np.cumsum(kept)])[starts]  # kept before each piece
        shards = []
        for first in range(0, int(kept.sum()), each):
            last = min(first + each, int(kept.sum()))
            path = self.out / f"shard-{first // each:04d}.npy"
            held = np.flatnonzero((before[1:] > first) & (before[:-1] < last))
            if not path.exists():
                rows = (
                    self._squares(k, found, kept, starts, sums[k])[
                        max(0, first - before[k]) : last - before[k]
                    ]
                    for k in held.tolist()
                )
                _write_shard(path, rows, (last - first, side, side, 3))
            for k in np.flatnonzero(before[1:] <= last).tolist():
                Path(f"{self.pieces[k].file}.npy").unlink(missing_ok=True)
            self.lock.renew()
            shards.append({"file": path.name, "pictures": last - first, "sha256": sha256(path)})
        return shards

    def _squares(
        self, k: int, found: np.ndarray, kept: np.ndarray, starts: np.ndarray, crc: int
    ) -> np.ndarray:
        """The squares of piece k that stay, uint8 (n, 3 * size^2)."""
        path = Path(f"{self.pieces[k].file}.npy")
        squares = np.fromfile(path, np.uint8).reshape(-1, self.settings.size**2 * 3)
        if zlib.crc32(squares) != crc:
            Path(f"{self.pieces[k].file}.npz").unlink()  # so that the next run makes it anew
            (self.work / "merge").unlink()
            raise ValueError(f"{path} was damaged on disk: run the same command again")
        part = slice(starts[k], starts[k + 1])
        return squares[kept[part][found[part]]]

    def _finish(self, report: Report, kept: np.ndarray, shards: list[dict]) -> None:
        """Write the small files, then the manifest, then remove the pieces."""
        rows = np.flatnonzero(kept).tolist()
        source, settings = self.source, self.settings
        own = [source.splits[i] for i in rows] if settings.split == "keep" else []
        groups = [source.groups[i] for i in rows]
        splits = assign_splits(groups, settings.split, settings.seed, own)
        files = {
            "labels.npy": _npy(np.array([source.labels[i] for i in rows], np.int32)),
            "splits.npy": _npy(splits),
            "names.txt": "".join(json.dumps(source.names[i]) + "\n" for i in rows).encode(),
            "audit.csv": _csv_of(report),
        }
        for name, data in files.items():
            write_whole(self.out / name, data)
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "size": settings.size,
            "pictures": len(rows),
            "classes": source.classes,
            "splits": {name: int((splits == i).sum()) for i, name in enumerate(SPLITS)},
            "settings": vars(settings),
            "audit": report.counts(),
            "colours": str(report.summary),
            "shards": shards,
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
            "fingerprint": self.fingerprint,
        }
        manifest["checksum"] = checksum_of(manifest)
        write_whole(self.out / MANIFEST, json.dumps(manifest, indent=1).encode() + b"\n")
        shutil.rmtree(self.work, ignore_errors=True)


def _is_part(path: Path) -> bool:
    return path.name.endswith(".tmp")


def _is_done(piece: Piece) -> bool:
    return Path(f"{piece.file}.npz").exists() and Path(f"{piece.file}.npy").exists()


def _write_shard(path: Path, pieces: Iterator[np.ndarray], shape: tuple[int, ...]) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    try:
        with open(part, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for rows in pieces:
                file.write(rows)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _csv_of(report: Report) -> bytes:
    """What was left out, as CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["file", "verdict", "reason"])
    for name, (verdict, reason) in zip(report.names, report.verdicts, strict=True):
        if verdict != OK:
            writer.writerow([name, verdict, reason])
    return buffer.getvalue().encode("utf-8", "surrogateescape")

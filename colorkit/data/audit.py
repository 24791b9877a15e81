"""Look at every picture of a source, say which are of no use for learning colours, and why."""

import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from tqdm.auto import tqdm

from colorkit.data.images import ImageError, image_size, naming, square
from colorkit.data.pool import default_workers, work
from colorkit.data.sources import FileItem, Source, open_source
from colorkit.data.verdicts import (
    DUPLICATE,
    NEAR_GRAY,
    OK,
    THUMB,
    VERDICTS,
    duplicates,
    fingerprints,
    judge,
    lab_of,
)
from colorkit.files import write_whole

CHUNK = 128  # pictures that a process takes at a time
CRASHED = "unreadable", "its data crashes the decoder: remove it or save it anew"


@dataclass(frozen=True)
class Task:
    """Some items of a source, to be looked at with squares of `size`."""

    number: int
    names: tuple[str, ...]
    items: tuple
    size: int
    min_side: int
    keep: bool = False  # whether the squares are wanted

    def part(self, start: int, stop: int) -> "Task":
        """Only some of the items."""
        return replace(self, names=self.names[start:stop], items=self.items[start:stop])


@dataclass
class Seen:
    """What a process saw of a task of n items.

    Attributes
    ----------
    verdicts : list of (str, str)
        Verdict and reason of each.
    hashes, colours : ndarray
        (n,) and (n, 48), from :func:`colorkit.data.verdicts.fingerprints`.
    summary : Summary
        Of the pictures that are ok.
    squares : ndarray, optional
        uint8 (n, size, size, 3); black where nothing could be decoded.
    """

    verdicts: list[tuple[str, str]]
    hashes: np.ndarray
    colours: np.ndarray
    summary: "Summary"
    squares: np.ndarray | None = None


def look(task: Task) -> Seen:
    """Decode and judge the items of a task; nothing that is wrong with a picture raises."""
    n, size = len(task.items), task.size
    verdicts = [(OK, "")] * n
    thumbs, squares = np.zeros((n, THUMB, THUMB, 3), np.uint8), None
    if task.keep:
        squares = np.zeros((n, size, size, 3), np.uint8)
    for i, (name, item) in enumerate(zip(task.names, task.items, strict=True)):
        try:
            picture = _square_of(name, item, size, task.min_side)
        except ImageError as error:
            verdicts[i] = error.verdict, error.reason
        except OSError as error:
            verdicts[i] = "unreadable", f"cannot be read: {error.strerror or error}"
        else:
            thumbs[i] = picture.resize((THUMB, THUMB), Image.Resampling.BOX)
            if squares is not None:
                squares[i] = picture
    lab = lab_of(thumbs)
    decoded = [i for i, (verdict, _) in enumerate(verdicts) if verdict == OK]
    for i, verdict in zip(decoded, judge(thumbs[decoded], lab[decoded]), strict=True):
        verdicts[i] = verdict
    summary = Summary()
    summary.add(lab[[verdict == OK for verdict, _ in verdicts]])
    return Seen(verdicts, *fingerprints(thumbs), summary, squares)


def _square_of(name: str, item: object, size: int, min_side: int) -> Image.Image:
    path = item.path if isinstance(item, FileItem) else name
    try:
        with naming(path, isinstance(item, FileItem)), item.open() as image:
            width, height = image_size(image)
            if min(width, height) < min_side:
                reason = f"{width} x {height}: the shorter side is below {min_side} pixels"
                raise ImageError(path, "too small", reason)
            return square(image, size)
    except ImageError as error:
        foreign = isinstance(item, FileItem) and not _claims_to_be_a_picture(name)
        if error.verdict == "unreadable" and foreign:
            raise ImageError(path, "not a picture", "by its name and content: ignored") from error
        raise


def _claims_to_be_a_picture(name: str) -> bool:
    base = name.rpartition("/")[2]
    return Path(base).suffix.lower() in Image.registered_extensions() and base[:1] != "."


def lost(task: Task, attempt: Callable) -> Seen:
    """Results for a task whose process died: the picture at fault is found by halving."""
    try:
        return attempt(task)
    except BrokenProcessPool:
        n = len(task.items)
        if n > 1:
            return _joined(lost(task.part(0, n // 2), attempt), lost(task.part(n // 2, n), attempt))
        blank = np.zeros((1, task.size, task.size, 3), np.uint8) if task.keep else None
        none = np.zeros(1, np.uint64), np.zeros((1, 48), np.uint8)
        return Seen([CRASHED], *none, Summary(), blank)


def _joined(a: Seen, b: Seen) -> Seen:
    a.summary.merge(b.summary)
    squares = None if a.squares is None else np.concatenate([a.squares, b.squares])
    hashes = np.concatenate([a.hashes, b.hashes])
    return Seen(
        a.verdicts + b.verdicts, hashes, np.concatenate([a.colours, b.colours]), a.summary, squares
    )


def tasks_of(source: Source, size: int, min_side: int | None, keep: bool = False) -> Iterator[Task]:
    """The source in pieces, in order."""
    least = size // 2 if min_side is None else min_side
    for number, start in enumerate(range(0, len(source), CHUNK)):
        part = slice(start, start + CHUNK)
        names, items = tuple(source.names[part]), tuple(source.items[part])
        yield Task(number, names, items, size, max(1, least), keep)


# --- the report -----------------------------------------------------------------------------------


@dataclass
class Summary:
    """Colours of the pictures that may stay, summed up while they pass by."""

    pictures: int = 0
    chroma: float = 0.0
    near_gray: float = 0.0
    hues: np.ndarray = field(default_factory=lambda: np.zeros(12))

    def add(self, lab: np.ndarray) -> None:
        """Add pictures, Lab (n, 3, h, w)."""
        chroma = np.hypot(lab[:, 1], lab[:, 2])
        hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) % 360
        coloured = chroma >= NEAR_GRAY
        self.pictures += len(lab)
        self.chroma += float(chroma.mean((1, 2)).sum())
        self.near_gray += float((~coloured).mean((1, 2)).sum())
        sector = ((hue[coloured] + 15) // 30).astype(int) % 12
        self.hues += np.bincount(sector, minlength=12)

    def merge(self, other: "Summary") -> None:
        """Add what another summary has seen."""
        self.pictures += other.pictures
        self.chroma += other.chroma
        self.near_gray += other.near_gray
        self.hues = self.hues + other.hues

    def __str__(self) -> str:
        if not self.pictures:
            return "no picture left: nothing to say about colours"
        share = 100 * self.hues / max(self.hues.sum(), 1)
        names = " ".join(f"{30 * i}°" for i in range(12)).split()
        hues = "  ".join(f"{n} {s:.0f}%" for n, s in zip(names, share, strict=True))
        return (
            f"mean chroma {self.chroma / self.pictures:.1f} (Lab units), near-gray pixels "
            f"{100 * self.near_gray / self.pictures:.0f}%\nhues in Lab of the others: {hues}"
        )


@dataclass
class Report:
    """Verdict and reason of each file, in the order of the names."""

    names: list[str]
    verdicts: list[tuple[str, str]]
    summary: Summary
    items: list

    def counts(self) -> dict[str, int]:
        """Pictures by verdict, in the order in which verdicts are judged."""
        counted = Counter(verdict for verdict, _ in self.verdicts)
        return {verdict: counted[verdict] for verdict in VERDICTS if counted[verdict]}

    def records(self) -> list[dict[str, str]]:
        """One dictionary a file: ``{"file": ..., "verdict": ..., "reason": ...}``."""
        rows = zip(self.names, self.verdicts, strict=True)
        return [{"file": n, "verdict": v, "reason": r} for n, (v, r) in rows]

    def table(self) -> str:
        """Counts, then the summary of the colours."""
        return f"{count_table(self.counts())}\n\n{self.summary}"

    def save_json(self, path: str | Path) -> None:
        """Write the records, the whole file or nothing."""
        write_whole(path, json.dumps(self.records(), indent=1).encode() + b"\n")

    def save_sheet(self, path: str | Path, each: int = 8, size: int = 128) -> None:
        """Write a picture with up to `each` examples of every verdict, with the names below."""
        path = Path(path)
        picture = io.BytesIO()
        self._sheet(each, size).save(picture, format=path.suffix.lstrip(".") or "png")
        write_whole(path, picture.getvalue())

    def _sheet(self, each: int, size: int) -> Image.Image:
        rows = list(self.counts())
        cell, gap = size + 30, 8
        sheet = Image.new(
            "RGB", (each * (size + gap) + gap, max(1, len(rows)) * (cell + 22)), "white"
        )
        draw = ImageDraw.Draw(sheet)
        for row, verdict in enumerate(rows):
            top = row * (cell + 22) + 4
            chosen = [i for i, v in enumerate(self.verdicts) if v[0] == verdict]
            draw.text((gap, top), f"{verdict}: {len(chosen)}", fill="black", font_size=14)
            step = max(1, math.ceil(len(chosen) / each))
            for column, i in enumerate(chosen[::step][:each]):
                at = gap + column * (size + gap), top + 20
                sheet.paste(example(self.names[i], self.items[i], size), at)
                caption = _printable(self.names[i].rpartition("/")[2])
                draw.text((at[0], at[1] + size + 2), _fitting(caption, 22), fill="black")
        return sheet


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _fitting(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def example(name: str, item: object, size: int) -> Image.Image:
    """The picture, or a crossed-out box where there is none to show."""
    try:
        return _square_of(name, item, size, 1)
    except (ImageError, OSError):
        box = Image.new("RGB", (size, size), "#dddddd")
        ImageDraw.Draw(box).line([(0, 0), (size, size)], fill="#aaaaaa", width=2)
        ImageDraw.Draw(box).line([(0, size), (size, 0)], fill="#aaaaaa", width=2)
        return box


def count_table(counts: dict[str, int]) -> str:
    """Counts as lines of text, with shares of the whole.

    Examples
    --------
    >>> print(count_table({"ok": 3, "gray": 1}))
    ok             3   75.0%
    gray           1   25.0%
    total          4
    """
    total = sum(counts.values())
    width = max(6, len(f"{total:,}"))
    lines = [f"{v:<{20 - width}}{n:>{width - 4},}{n / total:>8.1%}" for v, n in counts.items()]
    return "\n".join([*lines, f"{'total':<{20 - width}}{total:>{width - 4},}"])


# --- auditing -------------------------------------------------------------------------------------


def audit(
    folder: str | Path | Source,
    size: int = 128,
    min_side: int | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Report:
    """Look at every file of a folder, without writing anything.

    Parameters
    ----------
    folder : path or Source
        What :func:`colorkit.data.sources.open_source` takes.
    size : int
        The size for which the pictures are wanted; one whose shorter side is below `min_side`
        (default: half of it) is too small.
    workers : int, optional
        Processes; by default one for each core, and one where the folder is small.

    Examples
    --------
    >>> report = audit("photographs")  # doctest: +SKIP
    >>> print(report.table())  # doctest: +SKIP
    """
    source = folder if isinstance(folder, Source) else open_source(folder)
    results: dict[int, Seen] = {}
    with tqdm(total=len(source), unit=" pictures", disable=not progress) as bar:
        tasks = tasks_of(source, size, min_side)
        for task, seen in work(look, tasks, choose_workers(workers, len(source)), lost):
            results[task.number] = seen
            bar.update(len(task.items))
    verdicts, hashes, colours, summary = gather([results[k] for k in sorted(results)])
    mark_duplicates(source.names, verdicts, hashes, colours)
    return Report(source.names, verdicts, summary, source.items)


def gather(parts: list[Seen]) -> tuple[list, np.ndarray, np.ndarray, Summary]:
    """Verdicts, hashes, coarse colours and summary of all parts, which are in order."""
    summary = Summary()
    for part in parts:
        summary.merge(part.summary)
    verdicts = [verdict for part in parts for verdict in part.verdicts]
    hashes = np.concatenate([part.hashes for part in parts])
    return verdicts, hashes, np.concatenate([part.colours for part in parts]), summary


def choose_workers(workers: int | None, pictures: int) -> int:
    """As asked; else one process for each core, but only this one for a few hundred pictures."""
    if workers is not None:
        return max(1, workers)
    return default_workers() if pictures > 4 * CHUNK else 1


def mark_duplicates(
    names: list[str], verdicts: list, hashes: np.ndarray, colours: np.ndarray
) -> None:
    """Change the verdict of each picture that repeats an earlier one that is ok."""
    fine = np.array([i for i, (verdict, _) in enumerate(verdicts) if verdict == "ok"], np.int64)
    original = duplicates(hashes[fine], colours[fine])
    for k in np.flatnonzero(original >= 0):
        verdicts[fine[k]] = DUPLICATE, f"nearly the same as {names[fine[original[k]]]}"

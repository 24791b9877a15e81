"""Look at every picture of a source, say which are of no use for learning colours, and why."""

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from tqdm.auto import tqdm

from colorkit.data.images import ImageError, image_size, naming, square
from colorkit.data.pool import default_workers, work
from colorkit.data.sources import FileItem, Source, open_source

THUMB = 32
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
    out: str | None = None  # a file for the squares, uint8 (n, size, size, 3)

    def part(self, start: int, stop: int) -> "Task":
        """Only some of the items, and no file written."""
        chosen = slice(start, stop)
        return Task(0, self.names[chosen], self.items[chosen], self.size, self.min_side)


@dataclass
class Seen:
    """What a process saw of a task: thumbs (n, 32, 32, 3), and a verdict and reason each."""

    thumbs: np.ndarray
    verdicts: list[tuple[str, str]]
    squares: np.ndarray | None = None


def look(task: Task) -> Seen:
    """Decode the items of a task; nothing that is wrong with a picture raises."""
    n, size = len(task.items), task.size
    seen = Seen(np.zeros((n, THUMB, THUMB, 3), np.uint8), [("ok", "")] * n)
    squares = np.zeros((n, size, size, 3), np.uint8)
    for i, (name, item) in enumerate(zip(task.names, task.items, strict=True)):
        try:
            picture = _square_of(name, item, size, task.min_side)
        except ImageError as error:
            seen.verdicts[i] = error.verdict, error.reason
        except OSError as error:
            seen.verdicts[i] = "unreadable", f"cannot be read: {error.strerror or error}"
        else:
            squares[i] = picture
            thumb = picture.resize((THUMB, THUMB), Image.Resampling.BOX)
            seen.thumbs[i] = thumb
    seen.squares = squares
    return seen


def look_only(task: Task) -> Seen:
    """As :func:`look`, without the squares, which an audit does not need."""
    seen = look(task)
    seen.squares = None
    return seen


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
        if error.verdict == "unreadable" and not _claims_to_be_a_picture(name):
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
        if n == 1:
            blank = np.zeros((1, task.size, task.size, 3), np.uint8)
            return Seen(np.zeros((1, THUMB, THUMB, 3), np.uint8), [CRASHED], blank)
        halves = [lost(task.part(0, n // 2), attempt), lost(task.part(n // 2, n), attempt)]
        return Seen(
            np.concatenate([half.thumbs for half in halves]),
            halves[0].verdicts + halves[1].verdicts,
            None
            if halves[0].squares is None
            else np.concatenate([half.squares for half in halves]),
        )


def tasks_of(source: Source, size: int, min_side: int | None, chunk: int = CHUNK) -> Iterator[Task]:
    """The source in pieces, in order."""
    least = size // 2 if min_side is None else min_side
    for number, start in enumerate(range(0, len(source), chunk)):
        part = slice(start, start + chunk)
        names, items = tuple(source.names[part]), tuple(source.items[part])
        yield Task(number, names, items, size, max(1, least))


# --- the report -----------------------------------------------------------------------------------


@dataclass
class Summary:
    """Colours of the pictures that may stay, summed up while they pass by."""

    pictures: int = 0
    chroma: float = 0.0
    near_gray: float = 0.0
    hues: np.ndarray = field(default_factory=lambda: np.zeros(12))

    def add(self, lab: np.ndarray, near_gray: float) -> None:
        """Add pictures, Lab (n, 3, h, w)."""
        chroma = np.hypot(lab[:, 1], lab[:, 2])
        hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) % 360
        coloured = chroma >= near_gray
        self.pictures += len(lab)
        self.chroma += float(chroma.mean((1, 2)).sum())
        self.near_gray += float((~coloured).mean((1, 2)).sum())
        sector = ((hue[coloured] + 15) // 30).astype(int) % 12
        self.hues += np.bincount(sector, minlength=12)

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
        from colorkit.data.verdicts import VERDICTS

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
        part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        self._sheet(each, size).save(part, format=path.suffix.lstrip(".") or "png")
        os.replace(part, path)

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
                sheet.paste(_example(self.names[i], self.items[i], size), at)
                caption = _printable(self.names[i].rpartition("/")[2])
                draw.text((at[0], at[1] + size + 2), _fitting(caption, 22), fill="black")
        return sheet


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _fitting(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _example(name: str, item: object, size: int) -> Image.Image:
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


def write_whole(path: str | Path, data: bytes) -> None:
    """Write beside and rename, so that the file is there whole or not at all."""
    path = Path(path)
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


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
    from colorkit.data.verdicts import NEAR_GRAY, duplicates, fingerprints, judge, lab_of

    source = folder if isinstance(folder, Source) else open_source(folder)
    workers = choose_workers(workers, len(source))
    verdicts: list = [None] * len(source)
    hashes, colours = np.zeros(len(source), np.uint64), np.zeros((len(source), 48), np.uint8)
    summary = Summary()
    with tqdm(total=len(source), unit=" pictures", disable=not progress) as bar:
        tasks = tasks_of(source, size, min_side)
        for task, seen in work(look_only, tasks, workers, lost):
            start, n = task.number * CHUNK, len(task.items)
            verdicts[start : start + n] = combine(seen, judge)
            hashes[start : start + n], colours[start : start + n] = fingerprints(seen.thumbs)
            fine = [v[0] == "ok" for v in verdicts[start : start + n]]
            summary.add(lab_of(seen.thumbs[fine]), NEAR_GRAY)
            bar.update(n)
    mark_duplicates(source.names, verdicts, hashes, colours, duplicates)
    return Report(source.names, verdicts, summary, source.items)


def choose_workers(workers: int | None, pictures: int) -> int:
    """As asked; else one process for each core, but only this one for a few hundred pictures."""
    if workers is not None:
        return max(1, workers)
    return default_workers() if pictures > 4 * CHUNK else 1


def combine(seen: Seen, judge: Callable) -> list[tuple[str, str]]:
    """The verdicts of decoding, and of looking at what could be decoded."""
    verdicts = list(seen.verdicts)
    fine = [i for i, (verdict, _) in enumerate(verdicts) if verdict == "ok"]
    for i, verdict in zip(fine, judge(seen.thumbs[fine]), strict=True):
        verdicts[i] = verdict
    return verdicts


def mark_duplicates(
    names: list[str], verdicts: list, hashes: np.ndarray, colours: np.ndarray, find: Callable
) -> None:
    """Change the verdict of each picture that repeats an earlier one that is ok."""
    fine = np.array([i for i, (verdict, _) in enumerate(verdicts) if verdict == "ok"], np.int64)
    original = find(hashes[fine], colours[fine])
    for k in np.flatnonzero(original >= 0):
        verdicts[fine[k]] = "duplicate", f"nearly the same as {names[fine[original[k]]]}"

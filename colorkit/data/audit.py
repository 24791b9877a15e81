"""Look at every picture of a source, say which are of no use for learning colours, and why."""

import io
import multiprocessing
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Container, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image, ImageDraw
from skimage.color import rgb2lab
from tqdm.auto import tqdm

from colorkit.data import verdicts
from colorkit.data.images import ImageError, decode, explained
from colorkit.data.sources import FileItem, Source, open_source
from colorkit.data.verdicts import OK, THUMB
from colorkit.files import write_whole

CRASHED = "unreadable", "its data crashes the decoder: remove it or save it anew"
# What duplicates are told by, pixels of the whole; mean chroma, share of near-gray pixels, pixels
# of the thumb in 12 sectors of hue.
FACTS = np.dtype(
    [("print", verdicts.FINGERPRINT), ("pixels", np.int64), ("colours", np.float32, 14)]
)
Seen = tuple[list[tuple[str, str]], np.ndarray]  # of n pictures verdict and reason, FACTS (n,)


def joined(seen: dict[int, Seen]) -> Seen:
    """What was seen of all parts, given by the number of the first picture of each."""
    found, facts = zip(*(seen[start] for start in sorted(seen)), strict=True)
    return list(chain(*found)), np.concatenate(facts)


def inspect(
    start: int, part: Source, size: int, min_side: int | None = None, file: str | None = None
) -> Seen:
    """Decode and judge pictures as squares of `size`; nothing that is wrong with one raises.

    One whose shorter side is below `min_side`, by default half of the size, is too small. Squares
    that are ok are written to the rows of `file`, an .npy array (N, size, size, 3), from
    `start` on.
    """
    n, least = len(part), size // 2 if min_side is None else min_side
    found, facts = [(OK, "")] * n, np.zeros(n, FACTS)
    thumbs, squares = np.zeros((n, THUMB, THUMB, 3), np.uint8), [b""] * n
    for i, (name, item) in enumerate(zip(part.names, part.items, strict=True)):
        try:
            picture, facts["pixels"][i] = square_of(name, item, size, least)
        except ImageError as error:
            found[i] = error.verdict, error.reason
        else:
            thumbs[i] = picture.resize((THUMB, THUMB), Image.Resampling.BOX)
            squares[i] = picture.tobytes() if file else b""
    lab = np.moveaxis(rgb2lab(thumbs), 3, 1)
    decoded = [i for i, (verdict, _) in enumerate(found) if verdict == OK]
    for i, verdict in zip(decoded, verdicts.judge(thumbs[decoded], lab[decoded]), strict=True):
        found[i] = verdict
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    sector = (np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) + 15) // 30 % 12
    near_gray = chroma < verdicts.NEAR_GRAY
    hues = [((sector == k) & ~near_gray).sum((1, 2)) for k in range(12)]
    facts["print"] = verdicts.fingerprints(thumbs)
    facts["colours"] = np.stack([chroma.mean((1, 2)), near_gray.mean((1, 2)), *hues], 1)
    if file:
        # Not through a mapping: on a full disk that would kill the process.
        offset = np.load(file, mmap_mode="r").offset
        with open(file, "r+b") as array:
            for i in [i for i in decoded if found[i][0] == OK]:
                array.seek(offset + (start + i) * len(squares[i]))
                array.write(squares[i])
            array.flush()
            os.fsync(array.fileno())
    return found, facts


def square_of(name: str, item: object, size: int, min_side: int) -> tuple[Image.Image, int]:
    """The centre square of an item, and the pixels of the whole, or an ImageError.

    A file that neither is nor claims to be a picture is "not a picture".
    """
    path = item.path if isinstance(item, FileItem) else name
    try:
        with explained(path), item.open() as image:
            width, height = image.size
            if min(width, height) < min_side:
                reason = f"the shorter side is below {min_side} pixels"
                raise ImageError(path, "too small", f"{width} x {height}: {reason}")
            return decode(image, size), width * height
    except ImageError as error:
        claims = Path(name).suffix.lower() in Image.registered_extensions()
        if error.verdict == "unreadable" and isinstance(item, FileItem) and not claims:
            raise ImageError(path, "not a picture", "by its name and content: ignored") from error
        raise


def look(
    source: Source, workers: int | None, done: Container[int] = (), **options: object
) -> Iterator[tuple[int, Seen]]:
    """Inspect parts of 128 pictures: the first one's number and what was seen, in any order.

    Parts whose number is in `done` are passed over; the options are those of `inspect`. By default
    there is a process for each core, but for a few hundred pictures this one alone.
    """
    work, n = partial(inspect, **options), len(source)
    parts = {k: source.select(range(k, min(k + 128, n))) for k in range(0, n, 128) if k not in done}
    if workers is None:
        mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        workers = mine if len(parts) > 4 else 1
    found = ((start, work(start, part)) for start, part in parts.items())
    if workers > 1:
        found = _in_processes(work, parts, workers)
    with tqdm(total=sum(map(len, parts.values())), unit=" pictures", disable=None) as bar:
        for start, seen in found:
            yield start, seen
            bar.update(len(seen[0]))


def _in_processes(
    work: Callable[[int, Source], Seen], parts: dict[int, Source], workers: int
) -> Iterator[tuple[int, Seen]]:
    """A picture that kills its process costs itself alone: it is found by trying each on its own.

    Parts go out in order: it is in one of the first that were not done, as many as processes. Where
    processes cannot even be started, which is no picture's fault, this one does the work.
    """
    todo = dict(parts)
    # "spawn" is the one way that exists everywhere and is safe beside torch's threads.
    spawn = multiprocessing.get_context("spawn")
    while todo:
        with ProcessPoolExecutor(workers, spawn, initializer=_end_with_parent) as pool:
            futures = {}
            try:
                with _no_main_module():
                    ready = pool.submit(os.getpid)
                ready.result()
            except (BrokenProcessPool, OSError) as error:
                print(f"no further processes here ({error}): this one does the work alone")
                yield from ((start, work(start, part)) for start, part in todo.items())
                return
            try:
                with suppress(BrokenProcessPool):
                    for start, part in todo.items():
                        futures[pool.submit(work, start, part)] = start
                for future in as_completed(futures):
                    if not isinstance(future.exception(), BrokenProcessPool):
                        yield futures[future], future.result()
                        del todo[futures[future]]
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        for start, part in list(todo.items())[:workers]:
            seen = [CRASHED], np.zeros(1, FACTS)
            if len(part) > 1:
                ones = {start + i: part.select([i]) for i in range(len(part))}
                seen = joined(dict(_in_processes(work, ones, 1)))
            yield start, seen
            del todo[start]


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Processes that start in this block do not run the program's own file again.

    "spawn" imports it in each of them, where a script without ``if __name__ == "__main__":`` would
    begin anew. What they do here is all in this package.
    """
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _end_with_parent() -> None:
    """End this process with the one that started it, also when that was killed."""

    def follow() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


class Report:
    """Verdict and reason of each file of a source, in order; of duplicates the largest stays."""

    def __init__(self, source: Source, seen: Seen) -> None:
        self.source, (self.verdicts, self.facts) = source, seen
        fine = np.flatnonzero([verdict == OK for verdict, _ in self.verdicts])
        self.colours = self.facts["colours"][fine].astype(float)
        fine = fine[np.argsort(-self.facts["pixels"][fine], kind="stable")]
        original = verdicts.duplicates(self.facts["print"][fine])
        for k in np.flatnonzero(original >= 0):
            reason = f"nearly the same as {source.names[fine[original[k]]]}"
            self.verdicts[fine[k]] = verdicts.DUPLICATE, reason

    def counts(self) -> dict[str, int]:
        """Files by verdict, in the order in which verdicts are judged."""
        counted = Counter(record["verdict"] for record in self.records())
        return {verdict: counted[verdict] for verdict in verdicts.VERDICTS if counted[verdict]}

    def records(self) -> list[dict[str, str]]:
        """One dictionary a file, with its "file" name, "verdict" and "reason"."""
        rows = [(n, *v) for n, v in zip(self.source.names, self.verdicts, strict=True)]
        return [{"file": n, "verdict": v, "reason": r} for n, v, r in rows + self.source.aside]

    def unread(self) -> str:
        """What was left out though it may be sound, each with its remedy; empty without any."""
        lost = [r for r in self.records() if r["verdict"] in ("no access", "unsupported")]
        lost.sort(key=lambda record: record["verdict"])
        lines = [f"  {r['file']}: {r['reason']}" for r in lost[:10]]
        lines += [f"  and {len(lost) - 10:,} more"] if len(lost) > 10 else []
        return "\n".join([f"{len(lost):,} could not be read:", *lines]) if lost else ""

    def table(self) -> str:
        """Counts with shares of the whole, then the colours of the pictures that may stay."""
        rows = [*self.counts().items(), ("total", total := len(self.records()))]
        lines = [*(f"{v:<13}{n:>11,}{n / total:>8.1%}" for v, n in rows), ""]
        if not len(self.colours):
            return "\n".join([*lines, "no picture left: nothing to say about colours"])
        chroma, near_gray = self.colours[:, :2].mean(0)
        shares = self.colours[:, 2:].sum(0) / max(self.colours[:, 2:].sum(), 1)
        hues = "  ".join(f"{30 * k}° {share:.0%}" for k, share in enumerate(shares))
        colours = f"mean chroma {chroma:.1f} (Lab units), near-gray pixels {near_gray:.0%}"
        return "\n".join([*lines, colours, f"hues in Lab of the others: {hues}"])

    def save_sheet(self, path: str | Path, each: int = 8, size: int = 128) -> None:
        """Write a picture with up to `each` examples of every verdict, a row each, with names."""
        tiles = []
        for verdict in self.counts():
            rows = [i for i, (found, _) in enumerate(self.verdicts) if found == verdict]
            if not rows:  # they were set aside
                continue
            rows = rows[:: -(-len(rows) // each)]
            for i in rows + [None] * (each - len(rows)):
                tile = Image.new("RGB", (size + 4, size + 36), "white")
                if i is not None:
                    tile.paste(example(self.source, i, size))
                    name = Path(self.source.names[i]).name.encode("utf-8", "replace").decode()
                    ImageDraw.Draw(tile).text((0, size), f"{verdict}\n{name}", "black")
                tiles.append(tile)
        save_sheet(path, tiles, each)


def example(source: Source, i: int, size: int) -> Image.Image:
    """Picture i as a square, or a gray box where there is none to show."""
    try:
        return square_of(source.names[i], source.items[i], size, 1)[0]
    except ImageError:
        return Image.new("RGB", (size, size), "#dddddd")


def save_sheet(path: str | Path, pictures: list[Image.Image], columns: int) -> None:
    """Write pictures of one size side by side on white, as PNG or what the name says."""
    from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image
    from torchvision.utils import make_grid

    grid = make_grid([pil_to_tensor(p) for p in pictures], columns, padding=0, pad_value=255)
    buffer = io.BytesIO()
    to_pil_image(grid).save(buffer, Path(path).suffix.lstrip(".") or "png")
    write_whole(path, buffer.getvalue())


def audit(
    folder: str | Path | Source,
    size: int = 128,
    min_side: int | None = None,
    workers: int | None = None,
) -> Report:
    """Look at every file of a folder, without writing anything; see `inspect` and `look`."""
    source = folder if isinstance(folder, Source) else open_source(folder)
    seen = look(source, workers, size=size, min_side=min_side)
    return Report(source, joined(dict(seen)))

"""Prepare photographs: audit, crop, resize and split them into a store, in several processes.

The array of pictures is made at its full length, and each part of the source is written to its
rows. Then a line in a log says what was seen of it; a run that was killed goes on with the parts
that are not in the log, and ends with the same store. ``manifest.json`` is written last: a folder
without one is not yet a store.
"""

import base64
import errno
import hashlib
import io
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from colorkit.data.audit import FACTS, Report, Seen, joined, look
from colorkit.data.sources import Source, open_source
from colorkit.data.store import FORMAT, INDEX, LOG, MANIFEST, PICTURES, SPLITS, Store
from colorkit.data.verdicts import OK
from colorkit.files import locked, write_whole

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)


def prepare(
    source: str | Path | Source,
    out: str | Path,
    size: int = 128,
    split: str = "80/10/10",
    seed: int = 0,
    min_side: int | None = None,
    workers: int | None = None,
) -> tuple[Store, Report | None]:
    """Prepare a source into a store; go on if an earlier run was interrupted.

    The folder `out` is new, empty, or of an earlier run with the same settings; the report is None
    if that had finished it. `size` is the side of the squares, 8 to 1,024. `split` gives the shares
    of train, val and test, or "keep" keeps the source's own. The others are as in `audit`.

    A ValueError names what makes no sense, or is not as in the store that is there; an OSError says
    that the disk is full: what was done stays, and the same command goes on.
    """
    out = Path(os.path.expanduser(out))
    if not 8 <= size <= 1024:
        raise ValueError(f"size {size}: take 8 to 1024 pixels")
    if split != "keep":
        shares_of(split)
    if out.is_dir() and not any((out / name).exists() for name in (MANIFEST, LOG)):
        foreign = [path.name for path in out.iterdir() if path.name != ".lock"]
        if foreign:
            raise ValueError(f"{out} holds other files ({foreign[0]}, ...): give a new folder")
    source = source if isinstance(source, Source) else open_source(source)
    settings = {"size": size, "min_side": min_side, "split": split, "seed": seed}
    work = _hash([FORMAT, size, min_side, source.names, [i.stamp() for i in source.items]])
    columns = source.labels, source.groups, source.splits, source.classes
    fingerprint = _hash([work, settings, columns])
    out.mkdir(parents=True, exist_ok=True)
    with locked(out):
        if (out / MANIFEST).exists():
            store = Store(out)
            if store.manifest["fingerprint"] != fingerprint:
                raise ValueError(
                    f"{out} is a finished store of another source or other settings "
                    f"({store.manifest['settings']}): give another folder, or delete it"
                )
            (out / LOG).unlink(missing_ok=True)
            return store, None
        try:
            seen, length = _resume(out, work.encode(), (len(source), size, size, 3))
            with open(out / LOG, "r+b") as log:
                log.truncate(length)
                log.seek(length)
                options = {"size": size, "min_side": min_side, "file": str(out / PICTURES)}
                for start, (verdicts, facts) in look(source, workers, set(seen), **options):
                    seen[start] = verdicts, facts
                    line = json.dumps([start, verdicts, base64.b64encode(facts).decode()])
                    log.write(b"\n" + line.encode())
                    log.flush()
                    os.fsync(log.fileno())
            return _finish(out, Report(source, joined(seen)), settings, fingerprint)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise OSError(
                error.errno,
                f"the disk of {out} is full (up to {len(source) * size**2 * 3e-9:,.2f} GB are "
                "needed): make room and run the same command again, it goes on where it was",
            ) from error


def _resume(out: Path, head: bytes, shape: tuple[int, ...]) -> tuple[dict[int, Seen], int]:
    """What the log says was seen of each part, and its sound length; begun anew for other work."""
    lines = (out / LOG).read_bytes().split(b"\n") if (out / LOG).exists() else [b""]
    if lines[0] != head or not (out / PICTURES).exists():
        if shutil.disk_usage(out).free < np.prod(shape, dtype=float):
            raise OSError(errno.ENOSPC, "too little room")
        (out / LOG).write_bytes(b"")  # the first line stands there once the array is whole
        np.lib.format.open_memmap(out / PICTURES, "w+", np.uint8, shape)
        (out / LOG).write_bytes(head)
        lines = [head]
    seen, length = {}, len(head)
    for line in lines[1:]:
        try:
            start, verdicts, facts = json.loads(line)
        except ValueError:  # half-written when the run was killed
            break
        facts = np.frombuffer(base64.b64decode(facts), FACTS)
        seen[start] = [tuple(verdict) for verdict in verdicts], facts
        length += 1 + len(line)
    return seen, length


def shares_of(split: str) -> tuple[float, ...]:
    """Shares of train, val and test, which sum to 1: of "80/10/10", (0.8, 0.1, 0.1)."""
    try:
        shares = [float(part) for part in split.split("/")]
    except ValueError:
        shares = []
    if len(shares) != 3 or min(shares) < 0 or not 0 < sum(shares) < float("inf"):
        raise ValueError(f"split {split!r}: give three shares, as in 80/10/10, or keep")
    return tuple(share / sum(shares) for share in shares)


def assign_splits(groups: list[str], split: str, seed: int) -> np.ndarray:
    """Split of each picture by shares, uint8 (N,): 0 train, 1 val, 2 test.

    Pictures of one group stay together. Groups are ordered by a keyed hash of their names, so that
    the order depends on nothing else, and cut where the shares are reached.
    """
    train, val, _ = np.cumsum(shares_of(split))
    counts, key = Counter(groups), str(seed).encode()
    order = sorted(
        counts, key=lambda g: hashlib.blake2b(os.fsencode(g), digest_size=8, key=key).digest()
    )
    sizes = np.array([counts[group] for group in order])
    middles = (np.cumsum(sizes) - sizes / 2) / len(groups)  # of the groups, in [0, 1]
    splits = np.searchsorted([train, val + 1e-12], middles).tolist()
    split_of = dict(zip(order, splits, strict=True))
    return np.array([split_of[group] for group in groups], np.uint8)


def _finish(out: Path, report: Report, settings: dict, fingerprint: str) -> tuple[Store, Report]:
    """Write the small files, then the manifest, which makes a store of the folder."""
    left_out = pd.DataFrame(report.records()).query("verdict != 'ok'").to_csv(index=False)
    write_whole(out / "audit.csv", left_out.encode("utf-8", "surrogateescape"))
    kept = [i for i, (verdict, _) in enumerate(report.verdicts) if verdict == OK]
    if not kept:
        counts = ", ".join(f"{n} {verdict}" for verdict, n in report.counts().items())
        raise ValueError(f"no picture is left ({counts}): see {out / 'audit.csv'}")
    part = report.source.select(kept)
    if settings["split"] != "keep":
        splits = assign_splits(part.groups, settings["split"], settings["seed"])
    elif all(part.splits):
        splits = np.array([SPLITS.index(split) for split in part.splits])
    else:
        raise ValueError("split keep: not every picture lies below a folder train, val or test")
    index, buffer = np.empty(len(part), INDEX), io.BytesIO()
    index["row"], index["label"], index["split"] = kept, part.labels, splits
    np.save(buffer, index)
    write_whole(out / "index.npy", buffer.getvalue())
    write_whole(out / "names.txt", "".join(json.dumps(name) + "\n" for name in part.names))
    prints = report.facts["print"][kept].tobytes().hex()
    manifest = {
        "format": FORMAT,
        "size": settings["size"],
        "pictures": len(part),
        "classes": part.classes,
        "splits": {name: int((splits == i).sum()) for i, name in enumerate(SPLITS)},
        "settings": settings,
        "audit": report.counts(),
        "fingerprint": fingerprint,
        "checksum": _hash([part.names, part.classes, part.labels, splits.tolist(), prints]),
    }
    write_whole(out / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    (out / LOG).unlink()
    return Store(out), report


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()

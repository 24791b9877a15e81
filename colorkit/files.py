"""Files that are there whole or not at all, and folders that one process at a time works in."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write beside `path`, flush to disk, then rename: a reader sees the old file or the new one.

    Missing folders are made; text is stored as UTF-8; nothing half-written stays behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode("utf-8") if isinstance(content, str) else content
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder until this process ends or is killed; RuntimeError if another one holds it."""
    try:
        held = FileLock(folder / ".lock").acquire(timeout=0)
    except Timeout:
        raise RuntimeError(
            f"{folder} is in use by another process: wait until it has ended, or choose another "
            f"folder. If none runs (a container that died left it), delete {folder / '.lock'}"
        ) from None
    with held:
        yield

"""Files that are there whole or not at all."""

import os
from pathlib import Path


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

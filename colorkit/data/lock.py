"""A lock file that two runs on one folder respect, on any system, and that outlives no process."""

import json
import os
import socket
import time
import uuid
from pathlib import Path

import psutil

SILENT_SECONDS = 3600.0  # after this time without a sign of life, another machine's lock is stale


class LockedError(RuntimeError):
    """Another process works on the same folder."""


class Lock:
    """Hold `path` as a lock file: ``with Lock(path): ...``.

    Raises
    ------
    LockedError
        If a living process holds it. A lock whose process has ended, or one from another machine
        that was not renewed for an hour, is taken over.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.token = uuid.uuid4().hex

    def __enter__(self) -> "Lock":
        for _ in range(20):
            if self._create():
                return self
            self._remove_if_stale()
        raise LockedError(f"{self.path} keeps changing: another run has just begun; try again")

    def __exit__(self, *_: object) -> None:
        if self._read().get("token") == self.token:
            self.path.unlink(missing_ok=True)

    def renew(self) -> None:
        """Show that this process still works."""
        if self.path.exists():
            os.utime(self.path)

    def _create(self) -> bool:
        process = psutil.Process()
        owner = {
            "pid": process.pid,
            "born": process.create_time(),
            "host": socket.gethostname(),
            "token": self.token,
        }
        try:
            with open(self.path, "x", encoding="utf-8") as file:
                json.dump(owner, file)
        except FileExistsError:
            return False
        return True

    def _read(self) -> dict:
        try:
            return json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # gone, or just being written
            return {}

    def _remove_if_stale(self) -> None:
        owner = self._read()
        try:
            silent = time.time() - self.path.stat().st_mtime
        except OSError:
            return  # released meanwhile
        if not owner and silent < 5:
            time.sleep(0.3)  # its owner is about to write it
            return
        if owner and _lives(owner, silent):
            raise LockedError(
                f"{self.path.parent} is in use by process {owner.get('pid')} on "
                f"{owner.get('host')}: wait until it has ended, or choose another folder"
            )
        aside = self.path.with_name(f"{self.path.name}.{self.token}")
        try:
            os.replace(self.path, aside)  # of several processes that try this, one succeeds
        except OSError:
            return
        aside.unlink(missing_ok=True)


def _lives(owner: dict, silent: float) -> bool:
    if owner.get("host") != socket.gethostname():
        return silent < SILENT_SECONDS
    try:
        process = psutil.Process(int(owner["pid"]))
        same = abs(process.create_time() - float(owner["born"])) < 2
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:
        return True
    except (psutil.Error, KeyError, ValueError, TypeError):
        return False

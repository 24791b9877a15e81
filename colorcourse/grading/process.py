"""A process in which answers run, from the side of the grader: it is started, watched and asked."""

import ast
import contextlib
import io
import os
import pickle
import secrets
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil

from colorcourse import checking
from colorcourse.exercises import Remote
from colorcourse.grading import child
from colorcourse.grading.extract import bundle
from colorcourse.grading.screen import tampering

LATE = "This took longer than {:g} seconds and was stopped. Does a loop never end?"
JUDGING = threading.RLock()  # references run one at a time: torch's random state is the process's
MEMORY = 4 << 30  # bytes that a process may hold, torch and all
Name = tuple[str, str]  # a module, and what is called so in it


class Process:
    """A fresh Python in which answers to one lesson run; it ends when the block does.

    `imports` are loaded before the process locks itself; what lies below the folders `hidden` it
    cannot read.
    """

    def __init__(self, imports: Iterable[str], optimizer: bool, hidden: list[str]):
        self.known: set[Name] = {("colorcourse.checking", "run_case")}
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        keep = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
        variables = {name: os.environ[name] for name in keep if name in os.environ}
        variables |= dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP"), self.folder.name)
        variables |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        path = [p for p in sys.path if p and not any(Path(p).is_relative_to(h) for h in hidden)]
        variables |= {"PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", child.__file__], env=variables, cwd=self.folder.name,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=os.name == "posix",
        )  # fmt: skip
        self._send((list(imports), optimizer, bundle(self.known), hidden))
        self.ask(120, "modules", [])  # so that no limit counts what it takes to start

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.folder.cleanup()

    def _send(self, request: Any) -> None:
        pickle.dump(request, self.process.stdin)
        self.process.stdin.flush()

    def _all(self) -> list[psutil.Process]:
        """The process and all that it started."""
        with contextlib.suppress(psutil.Error):
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        return []

    def kill(self) -> None:
        """End the process and all that it started."""
        for process in self._all()[1:]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if os.name == "posix":
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()

    def ask(self, seconds: float, method: str, *arguments: Any) -> Any:
        """What a method of the process gives; :class:`checking.Runaway` where it comes to no end.

        The process itself keeps the limit, of processor time. Where it does not come back, it is
        ended after twice as much and two seconds, or by the clock: four times and half a minute.
        """
        nonce, got = secrets.token_bytes(16), []

        def talk() -> None:
            with contextlib.suppress(OSError, ValueError, struct.error, MemoryError):
                self._send((nonce, seconds, method, arguments))
                head = self.process.stdout.read(24)
                size = struct.unpack("<Q", head[16:])[0]
                if head[:16] == nonce and size <= child.MOST:
                    got.append(self.process.stdout.read(size))

        JUDGING.release()  # others may judge while we wait
        try:
            begun, worked = time.monotonic(), self._used()[0]
            thread = threading.Thread(target=talk, daemon=True)
            thread.start()
            why = "Your code ended its process, or wrote where it must not."
            while thread.is_alive():
                thread.join(0.03)
                used, memory = self._used()
                if memory > MEMORY:
                    why = "Your code takes more memory than there is for it."
                elif used - worked > 2 * seconds + 2 or time.monotonic() - begun > 4 * seconds + 30:
                    why = LATE.format(seconds)
                else:
                    continue
                self.kill()
                thread.join(5)
                break
        finally:
            JUDGING.acquire()
        try:
            value, kind, text = child.decode(got[0])
        except Exception:  # nothing came, or bytes that may be anything
            self.kill()
            raise checking.Runaway(why) from None
        if kind is not None:
            raise checking.Runaway(text) if kind == "Runaway" else RuntimeError(f"{kind}: {text}")
        return value

    def _used(self) -> tuple[float, int]:
        """Processor seconds and bytes of the process with all that it started."""
        seconds, memory = 0.0, 0
        for process in self._all():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                seconds += times.user + times.system
                memory += process.memory_info().rss
        return seconds, memory

    def teach(self, names: Iterable[Name]) -> None:
        """Tell the process functions and classes of the course."""
        if new := {*names} - self.known:
            self.known |= new
            self.ask(20, "modules", bundle(sorted(new)))

    def data(self, value: Any) -> bytes:
        """Arguments as bytes, after the process was told what of the course is among them."""
        found: set[Name] = set()

        class Pickler(pickle.Pickler):
            def persistent_id(self, thing: Any) -> None:
                named = isinstance(thing, type | types.FunctionType)
                if named and thing.__module__.startswith("colorcourse"):
                    found.add((thing.__module__, thing.__qualname__))

        file = io.BytesIO()
        Pickler(file).dump(value)
        self.teach(found)
        return file.getvalue()


class Answer(Remote):
    """The answer that a process has defined, for a judge to call."""

    def __init__(self, process: Process, limit: float):
        self.process, self.limit = process, limit

    def __call__(self, *args: Any) -> Any:
        data = self.process.data(args)
        value, problem, after = self.process.ask(self.limit, "call", data)
        if problem:
            raise RuntimeError(str(problem))
        for old, new in zip(args, after, strict=True):  # what was changed in place
            if hasattr(old, "copy_") and old.shape == new.shape:
                old.detach().copy_(new)
        return value

    def beside(self, function: Callable, *args: Any) -> Any:
        for text in (x for x in args if isinstance(x, str)):  # a line of a program, in a clinic
            with contextlib.suppress(SyntaxError):
                if why := tampering([ast.parse(text.strip())]):
                    raise RuntimeError(f"The line {text!r} was not run: {why}.")
        name = (function.__module__, function.__qualname__)
        self.process.teach([name])
        value, problem = self.process.ask(self.limit, "beside", name, self.process.data(args))
        if problem:
            raise RuntimeError(str(problem))
        return value

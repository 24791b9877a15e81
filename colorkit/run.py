"""A run of training: its history, its checkpoints, and how it goes on after a stop."""

import io
import math
import os
import pickle
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from colorkit import distributed
from colorkit.files import locked, write_whole

# What may differ in a run that goes on; with anything else it would be another run.
MAY_CHANGE = {"steps", "lr", "schedule", "patience", "precision", "lam"}


class Diverged(RuntimeError):
    """A loss or a gradient is no number any more."""


@dataclass
class Run:
    """A run as it stands: what callbacks see, and what `fit` returns.

    A row of the history has step, epoch, lr, loss, norm (of the gradient; both are means since the
    row before), seconds, and validation where it was measured; ``pandas.DataFrame(run.history)`` is
    a table of them. ``stopped`` is "finished", "early stop" or "interrupted" at the end.
    """

    model: nn.Module
    steps: int
    parts: dict[str, nn.Module | torch.optim.Optimizer]  # all that has a state
    arguments: dict
    folder: str | Path | None = None
    step: int = 0
    epoch: int = 0
    stopped: str = ""
    history: list[dict] = field(default_factory=list)
    warnings: dict[str, str] = field(default_factory=dict)  # those of colorkit.gan
    saved: int = 0  # step of the last checkpoint
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.folder = self.folder and Path(os.path.expanduser(self.folder))
        for name, value in self.arguments.items():
            self.arguments[name] = plain(value, name)

    @property
    def best(self) -> tuple[float, int] | None:
        """The lowest validation and its step."""
        checks = [(row["validation"], row["step"]) for row in self.history if "validation" in row]
        return min((check for check in checks if math.isfinite(check[0])), default=None)

    @contextmanager
    def underway(self, resume: bool | Collection[str]) -> Iterator[Callable[[], bool]]:
        """Hold the folder, go on from its checkpoint, hear signals; RuntimeError if it is held."""
        with ExitStack() as stack:
            if self.folder is not None and distributed.is_main():
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.folder))
            self.take_up(resume)
            yield stack.enter_context(distributed.stop_signal())

    def take_up(self, resume: bool | Collection[str]) -> None:
        """Go on from the folder's last checkpoint, if there is one."""
        distributed.all_reduce(torch.zeros(1))  # waits for the process that writes
        if self.folder is None or not (path := self.folder / "last.pt").exists():
            return
        for left in self.folder.glob("*.tmp"):  # by a process that was killed while it wrote
            left.unlink(missing_ok=True)
        if not resume:
            raise ValueError(f"{self.folder} holds a run: resume it, or take another folder")
        on_purpose = set() if resume is True else set(resume)
        if fixed := sorted(on_purpose - MAY_CHANGE):
            raise ValueError(f"a run goes on with other {sorted(MAY_CHANGE)} only, not {fixed}")
        state = read_checkpoint(path)
        was, now = state["arguments"], self.arguments
        changed = {x for x in {**was, **now} if was.get(x) != now.get(x)}
        if others := sorted(changed - on_purpose):
            changes = (f"{x} was {was.get(x)!r}, is now {now.get(x)!r}" for x in others)
            raise ValueError(f"{path} is of another run: {'; '.join(changes)}")
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self.history, self.warnings = state["history"], state["warnings"]
        self.step = self.saved = self.history[-1]["step"]
        self.begun -= self.history[-1]["seconds"]
        early = "early stop" if state["stopped"] == "early stop" and not changed else ""
        self.stopped = "finished" if self.step >= self.steps else early

    def record(self, row: dict) -> None:
        """Add a row to the history; stop early and write checkpoints where that is due."""
        row["seconds"] = round(time.monotonic() - self.begun, 3)
        self.history.append({"step": self.step, "epoch": self.epoch} | row)
        if self.best and (patience := self.arguments.get("patience")):
            later = sum("validation" in x and x["step"] > self.best[1] for x in self.history)
            self.stopped = self.stopped or ("early stop" if later >= patience else "")
        if self.stopped and "validation" in row and not self.best and distributed.is_main():
            text = "the validation was never a number, so no step is best: look for 0 / 0 in it"
            warnings.warn(text, stacklevel=3)
        best = self.best is not None and self.best[1] == self.step
        waited = self.step - self.saved >= max(1, min(500, self.steps // 10))
        if self.folder is None or not (self.stopped or waited or best):
            return
        self.saved = self.step
        if distributed.is_main():
            state = {name: part.state_dict() for name, part in self.parts.items()}
            names = ("arguments", "history", "warnings", "stopped")
            torch.save(state | {x: getattr(self, x) for x in names}, file := io.BytesIO())
            if best:
                write_whole(self.folder / "best.pt", file.getvalue())
            write_whole(self.folder / "last.pt", file.getvalue())
            write_whole(self.folder / "history.csv", pd.DataFrame(self.history).to_csv(index=False))


def read_checkpoint(path: Path) -> dict:
    """A checkpoint, opened without running code; a ValueError says that it is none."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not {"arguments", "model"} <= set(state):
            raise TypeError("no arguments or no model in it")
    except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is damaged or no checkpoint: {error}") from error
    return state


def plain(value: object, name: str) -> object:
    """A value that a checkpoint can give back (no NumPy number can); TypeError if it is none."""
    if isinstance(value, (list, tuple)):
        return type(value)(plain(x, name) for x in value)
    if isinstance(value, dict):
        return {key: plain(x, f"{name}[{key!r}]") for key, x in value.items()}
    value = os.fspath(value) if isinstance(value, os.PathLike) else value
    value = value.item() if getattr(value, "ndim", 1) == 0 else value
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(
        f"{name} is a {type(value).__name__}: give numbers, strings, lists, dictionaries"
    )

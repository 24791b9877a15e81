"""Checkpoints: everything from which a run goes on as if it had never stopped.

Written beside the file and renamed, so that a process that is killed while writing leaves the one
before; loaded with ``weights_only=True``, so that opening someone's checkpoint runs no code.
"""

import os
import pickle
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import nn

FORMAT = 1


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or belongs to another run."""


def write_beside(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under another name in the same folder, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(beside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def save(path: str | Path, state: Mapping) -> None:
    """Write a checkpoint: plain containers, numbers, strings and tensors only."""
    path = Path(path)
    for stale in path.parent.glob(f".{path.name}.*.part"):  # left by a process that was killed
        stale.unlink(missing_ok=True)
    write_beside(path, lambda file: torch.save({"format": FORMAT, **state}, file))


def load(path: str | Path) -> dict:
    """Read a checkpoint onto the CPU.

    Raises
    ------
    CheckpointError
        If the file is not a whole checkpoint of this library.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged or no checkpoint: {error}") from error
    if not isinstance(state, dict) or "format" not in state:
        raise CheckpointError(f"{path} is no checkpoint of colorkit's training")
    if state["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has format {state['format']}, this version reads {FORMAT}: "
            "use the version of colorkit that wrote it"
        )
    return state


def load_weights(path: str | Path, model: nn.Module) -> dict:
    """Put a checkpoint's weights into a model of the same shape; return the whole checkpoint."""
    state = load(path)
    check_model(model, state["model"], path)
    model.load_state_dict(state["model"])
    return state


def check_model(model: nn.Module, weights: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Raise CheckpointError, naming the first differences, unless the weights fit the model."""
    ours = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    theirs = {name: tuple(value.shape) for name, value in weights.items()}
    differences = [
        f"{name}: checkpoint {theirs.get(name, 'has none')}, model {ours.get(name, 'has none')}"
        for name in [*ours, *(name for name in theirs if name not in ours)]
        if ours.get(name) != theirs.get(name)
    ]
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise CheckpointError(
            f"{path} is of another model: {'; '.join(differences[:3])}{more}. "
            "Build the model with the checkpoint's configuration, or choose another folder"
        )


def check_settings(ours: Mapping, theirs: Mapping, path: str | Path, what: str) -> None:
    """Raise CheckpointError, naming each setting that differs."""
    differences = [
        f"{name} was {theirs.get(name)!r}, is now {ours.get(name)!r}"
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    ]
    if differences:
        raise CheckpointError(
            f"{path} was trained with other {what}: {'; '.join(differences)}. "
            "Take the former values, or another folder"
        )


def random_states() -> dict:
    """The states of Python's, NumPy's and torch's generators, as weights_only can load them."""
    version, keys, gauss = random.getstate()
    name, numbers, *rest = np.random.get_state()  # noqa: NPY002 - libraries draw from it
    states = {
        "python": [version, list(keys), gauss],
        "numpy": [name, torch.from_numpy(numbers.astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_random_states(states: Mapping) -> None:
    """Set the generators as `random_states` found them."""
    version, keys, gauss = states["python"]
    random.setstate((version, tuple(keys), gauss))
    name, numbers, *rest = states["numpy"]
    np.random.set_state((name, numbers.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])

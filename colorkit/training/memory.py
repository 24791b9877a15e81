"""How much memory a batch needs, and the largest that fits."""

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn

from colorkit.training.checkpoint import random_states, restore_random_states

# No network of the course keeps more than this many bytes for each byte of a batch: below it there
# is no need to measure.
_SURELY_BELOW = 2000
_SHARE = 0.9  # of the available memory that a batch may take


class BatchTooLarge(RuntimeError):
    """A batch whose training step does not fit into memory."""


def available_memory() -> int:
    """Bytes that this process can still take, within its container's limit if it has one."""
    free = psutil.virtual_memory().available
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text()
        return free if limit == "max" else min(free, int(limit) - int(used))
    except (OSError, ValueError):
        return free


def check_fits(objective: Callable[[tuple], Tensor], model: nn.Module, batch: tuple) -> None:
    """Raise BatchTooLarge if a step on the CPU would take more memory than there is.

    Linux ends such a process without a word, so this is estimated beforehand: the tensors that
    autograd keeps for one or two pictures, times the size of the batch. Nothing is measured where
    the batch is small beside the memory.
    """
    count, free = _count(batch), available_memory()
    if count < 2 or sum(map(_bytes, batch)) * _SURELY_BELOW < free * _SHARE:
        return
    each = kept_bytes(objective, model, head(batch, 2)) / 2
    fixed = 3 * sum(_bytes(p) for p in model.parameters() if p.requires_grad)
    needed = fixed + each * count
    if needed > free * _SHARE:
        fits = int((free * _SHARE - fixed) / each)
        advice = (
            f"about {fits} fit: set batch = {fits}" if fits >= 1 else "not even one picture fits"
        )
        raise BatchTooLarge(
            f"a step with a batch of {count} needs about {_size(needed)}, "
            f"but {_size(free)} are free; {advice}"
        )


def kept_bytes(objective: Callable[[tuple], Tensor], model: nn.Module, batch: tuple) -> int:
    """Bytes that autograd keeps between forward and backward, and the largest of them once more.

    Weights are not counted; a tensor that is kept twice counts once. The model's buffers and the
    random generators are as before afterwards.
    """
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    storages: dict[int, Tensor] = {}  # holding them keeps their addresses from being used again

    def keep(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in weights:
            storages[address] = tensor
        return tensor

    with undisturbed(model), torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        objective(batch)
    sizes = [tensor.untyped_storage().nbytes() for tensor in storages.values()]
    return sum(sizes) + max(sizes, default=0)  # a gradient of that size lives beside them


def largest_that_fits(try_step: Callable[[tuple], None], batch: tuple) -> int:
    """The largest part of a batch with which a step succeeds, by bisection; 0 if none does."""
    fits, fails = 0, _count(batch)
    while fails - fits > max(1, fits // 16):
        middle = (fits + fails) // 2
        try:
            try_step(head(batch, middle))
        except torch.OutOfMemoryError:
            fails = middle
        else:
            fits = middle
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return fits


def head(batch: tuple, count: int) -> tuple:
    """The first pictures of a batch."""
    return tuple(value[:count] if isinstance(value, Tensor) else value for value in batch)


@contextmanager
def undisturbed(model: nn.Module):
    """Put the model's buffers and the random generators back at the end."""
    states = random_states()
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        restore_random_states(states)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def _count(batch: tuple) -> int:
    return next((len(value) for value in batch if isinstance(value, Tensor)), 0)


def _bytes(value: object) -> int:
    return value.numel() * value.element_size() if isinstance(value, Tensor) else 0


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"

"""Several processes as one: what torchrun started, and sums over all of it.

With one process every function here is the identity, so the loop has no second version.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


def world_size() -> int:
    """Number of processes that train together."""
    return distributed.get_world_size() if _running() else 1


def rank() -> int:
    """This process's number, from 0."""
    return distributed.get_rank() if _running() else 0


def is_main() -> bool:
    """Whether this process writes files and prints: the one with rank 0."""
    return rank() == 0


@contextmanager
def process_group(device: str | None = None) -> Iterator[None]:
    """Join the processes that torchrun started, until the end of the block.

    nccl where CUDA is there and wanted, else gloo. Without torchrun, or with one process, nothing
    happens.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or _running():
        yield
        return
    cuda = torch.cuda.is_available() and device in (None, "cuda")
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(minutes=10))
    try:
        yield
    finally:
        distributed.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """This process's own GPU, where several share a machine."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def wrap(model: nn.Module, device: torch.device) -> nn.Module:
    """The model whose gradients are averaged over the processes; itself if there is one."""
    if world_size() == 1 or not any(p.requires_grad for p in model.parameters()):
        return model
    return DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)


def all_reduce(sums: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    if _running():
        distributed.all_reduce(sums)
    return sums


def gather(value: object) -> list:
    """One value of each process, in the order of their ranks, on every process."""
    if not _running():
        return [value]
    values = [None] * world_size()
    distributed.all_gather_object(values, value)
    return values


def share(batch: Tensor) -> Tensor:
    """This process's part of a global batch: every world_size()-th row, from its rank.

    Raises
    ------
    ValueError
        If the batch does not divide by the number of processes: their means would differ in weight.
    """
    if len(batch) % world_size():
        raise ValueError(
            f"a batch of {len(batch)} cannot be shared by {world_size()} processes: "
            f"choose a multiple of {world_size()}"
        )
    return batch[rank() :: world_size()]


def _running() -> bool:
    return distributed.is_available() and distributed.is_initialized()

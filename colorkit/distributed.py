"""Several processes, started by torchrun, that train as one. Alone, each function does nothing."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn


def _running() -> bool:
    return distributed.is_available() and distributed.is_initialized()


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
def process_group(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started, if it did, until the end of the block."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=timedelta(minutes=10))
    try:
        yield
    finally:
        distributed.destroy_process_group()


def wrap(model: nn.Module) -> nn.Module:
    """The model whose gradients are averaged over the processes."""
    if world_size() == 1 or not any(p.requires_grad for p in model.parameters()):
        return model
    return nn.parallel.DistributedDataParallel(model)


def all_reduce(sums: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    if _running():
        moved = sums.cuda() if distributed.get_backend() == "nccl" else sums
        distributed.all_reduce(moved)
        sums.copy_(moved)
    return sums


@contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Whether any process was asked to stop: Ctrl-C, a closed terminal, a cluster, docker stop.

    Alone, a second request breaks off at once.
    """
    heard: list[int] = []

    def handle(number: int, frame: object) -> None:
        if heard and world_size() == 1:
            raise KeyboardInterrupt
        heard.append(number)

    before = {}
    if threading.current_thread() is threading.main_thread():  # only it hears signals
        for number in {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:
            handler = signal.getsignal(number)
            if number == signal.SIGINT or handler != signal.SIG_IGN:  # nohup ignores the hang-up
                before[number] = handler or signal.SIG_DFL
                signal.signal(number, handle)
    try:
        yield lambda: bool(all_reduce(torch.tensor(float(len(heard)))))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

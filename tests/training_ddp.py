"""What two processes do in the tests of distributed training: started by torchrun."""

import signal
import sys
from pathlib import Path

import torch
from torch import nn

from colorkit import distributed
from colorkit.batches import Batches
from colorkit.fit import fit
from colorkit.gan import fit_gan
from colorkit.losses import Classification
from colorkit.models import PatchDiscriminator
from tests.training_demo import Net, mse, pictures

DOUBLE = {"lr": 0.01, "precision": "float64", "callbacks": (), "device": "cpu", "log_every": 5}


def weighted(model, batch):
    """Light pictures weigh more, so that the shares of a batch differ in weight."""
    L, ab = batch
    weight = (L.mean((1, 2, 3)) / 5).exp()
    errors = (model(L) - ab).square().mean((1, 2, 3))
    return (weight * errors).sum(), weight.sum()


def train(name: str, folder: Path):
    """Twenty steps in float64 of one of the runs that two processes and one have to agree on."""
    torch.manual_seed(1)
    net, data = Net(norm=False, dropout=0.0), Batches(pictures(), 4)
    if name == "gan":
        turns = {"turns": ("D", "G"), "lam": 0.02}
        return fit_gan(net, PatchDiscriminator(4, 16), data, 20, folder=folder, **DOUBLE, **turns)
    loss = weighted
    if name == "classes":
        layers = nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.GELU(), nn.Conv2d(6, 313, 1)
        net, loss = nn.Sequential(*layers), Classification(weights=torch.linspace(0.1, 3, 313))
    return fit(net, loss, data, 20, folder=folder, **DOUBLE)


def interrupt_one(run):
    """Ctrl-C that only the second process hears."""
    if run.step == 5 and distributed.rank() == 1:
        signal.raise_signal(signal.SIGINT)


def dropout_run(folder: Path, *callbacks):
    """A run in which each process draws its own random numbers."""
    torch.manual_seed(1)
    held_out = Batches(pictures(5), 3, in_order=True)  # shares of 2 and 1, then of 1 and 1
    return fit(
        Net(norm=False, dropout=0.5), mse, Batches(pictures(), 4), 12, validation=held_out,
        callbacks=callbacks, folder=folder, resume=True, device="cpu", precision="float32",
    )  # fmt: skip


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with distributed.process_group(torch.device("cpu")):
        for name in ("weighted", "classes", "gan"):
            train(name, folder / name)
        stopped = dropout_run(folder / "stopped", interrupt_one)
        whole, resumed = dropout_run(folder / "whole"), dropout_run(folder / "stopped")
        pairs = zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
        result = {
            "stopped": (stopped.stopped, stopped.step),
            "resumed": all(torch.equal(a, b) for a, b in pairs),
            "draw": torch.rand(1).item(),  # after the last step, which seeded each process
            "validation": whole.best[0],
            "writes": distributed.is_main(),
        }
        torch.save(result, folder / f"result{distributed.rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A tiny task for the tests of training, and the runs that they kill in processes of their own."""

import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from colorkit.batches import Batches
from colorkit.fit import fit
from colorkit.gan import fit_gan
from colorkit.losses import regression
from colorkit.models import PatchDiscriminator

mse = regression(F.mse_loss)


class Net(nn.Module):
    """Two convolutions with dropout and, if wanted, batch norm; L to ab."""

    def __init__(self, width: int = 6, norm: bool = True, dropout: float = 0.2) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width) if norm else nn.Identity()
        self.drop = nn.Dropout(dropout)
        self.last = nn.Conv2d(width, 2, 3, padding=1)

    def forward(self, L):
        return 50 * self.last(self.drop(F.gelu(self.norm(self.first(L / 50 - 1)))))

    def colorize(self, L):
        return self(L).detach()


def pictures(count: int = 24, side: int = 8, seed: int = 0) -> torch.Tensor:
    """Smooth coloured pictures (count, 3, side, side) uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 2, 2, generator=generator)
    return (F.interpolate(coarse, size=side, mode="bilinear") * 255).round().to(torch.uint8)


def train(folder=None, steps=30, model=None, loss=mse, **options):
    """A run with all that has a state: dropout, batch norm, rows between two checkpoints."""
    torch.manual_seed(1)
    options = {"log_every": 4, "callbacks": (), "resume": True, "precision": "float32"} | options
    held_out = Batches(pictures(7, seed=9), 3, in_order=True)
    data = Batches(pictures(), 5, seed=3)
    options |= {"validation": held_out, "folder": folder, "device": "cpu"}
    return fit(model or Net(), loss, data, steps, **options)


def train_gan(folder=None, steps=30, discriminator=None, generator=None, **options):
    """The same for two players."""
    torch.manual_seed(1)
    options = {"lr": 1e-3, "discriminator_lr": 2e-3, "lam": 0.2, "log_every": 3} | options
    options = {"callbacks": (), "resume": True, "precision": "float32"} | options
    players = generator or Net(), discriminator or PatchDiscriminator(4, 16)
    data = Batches(pictures(), 5, seed=3)
    return fit_gan(*players, data, steps, folder=folder, device="cpu", **options)


def same_weights(run, other):
    """Whether all networks of two runs are equal, bit for bit."""
    return all(
        torch.equal(a, b)
        for name, part in run.parts.items()
        if isinstance(part, nn.Module)
        for a, b in zip(
            part.state_dict().values(), other.parts[name].state_dict().values(), strict=True
        )
    )


def rows(run):
    """The history without times, which differ."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.history]


class Crash(Exception):
    pass


def crash_at(step: int):
    """A callback that breaks off there."""

    def crash(run):
        if run.step == step:
            raise Crash

    return crash


def slowly(log: Path, seconds: float = 0.005):
    """A callback: steps last long enough to be killed in any part of one, and are counted."""

    def slow(run):
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{run.step}\n")
        time.sleep(seconds)

    return slow


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    start = train_gan if sys.argv[2:] == ["gan"] else train
    start(folder, steps=200, callbacks=[slowly(folder / "steps.txt")])

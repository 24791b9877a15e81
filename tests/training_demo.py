"""A tiny task for the tests of training, and programs that they start in processes of their own."""

import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from colorkit.batches import Batches
from colorkit.models import PatchDiscriminator
from colorkit.training.adversarial import Rules, fit_adversarial
from colorkit.training.fit import Weighted, fit
from colorkit.training.objectives import Classification
from colorkit.training.options import Options


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
        return self(L)


def pictures(count: int = 24, side: int = 8, seed: int = 0) -> torch.Tensor:
    """Smooth coloured pictures (count, 3, side, side) uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 2, 2, generator=generator)
    return (F.interpolate(coarse, size=side, mode="bilinear") * 255).round().to(torch.uint8)


def mse(model, batch):
    L, ab = batch
    return F.mse_loss(model(L), ab)


def train(folder, *, steps=30, resume=True, callbacks=(), seed=0, **changes):
    """The run whose weights the tests compare: dropout, batch norm, two kinds of rows."""
    torch.manual_seed(1)
    options = Options(
        steps=steps, seed=seed, validate_every=10, **{"checkpoint_every": 4} | changes
    )
    return fit(
        Net(),
        mse,
        Batches(pictures(), 5, seed=3),
        options,
        validation=Batches(pictures(7, seed=9), 3, in_order=True),
        callbacks=callbacks,
        folder=folder,
        resume=resume,
        device="cpu",
    )


def play(
    folder=None, *, schedule="both", steps=30, callbacks=(), resume=True, limits=None, **changes
):
    """A game of two tiny players, with everything that has a state: dropout, norms."""
    torch.manual_seed(1)
    rules = {"critic_lr": 2e-3, "lam": 0.2} | changes.pop("rules", {})
    options = {"lr": 1e-3, "validate_every": 10, "checkpoint_every": 4, "log_every": 3} | changes
    return fit_adversarial(
        Net(),
        PatchDiscriminator(4, 16),
        Batches(pictures(), 5, seed=3),
        Options(steps=steps, **options),
        Rules(schedule=schedule, **rules),
        limits=limits,
        validation=Batches(pictures(7, seed=9), 3, in_order=True),
        callbacks=callbacks,
        folder=folder,
        resume=resume and folder is not None,
        device="cpu",
    )


class Slow:
    """Makes steps long enough for a signal to hit any part of one; counts them in a file."""

    def __init__(self, log: Path, seconds: float = 0.005) -> None:
        self.log, self.seconds = log, seconds

    def stepped(self, run) -> None:
        with open(self.log, "a", encoding="utf-8") as file:
            file.write(f"{run.step}\n")
        time.sleep(self.seconds)


def weighted_mse(model, batch):
    """Light pictures weigh more, so that the shares of a batch differ in weight."""
    L, ab = (plane.double() for plane in batch)
    weight = (L.mean((1, 2, 3)) / 5).exp()
    errors = (model(L) - ab).square().mean((1, 2, 3))
    return Weighted((weight * errors).sum(), weight.sum())


def plain_mse(model, batch):
    return mse(model, [plane.double() for plane in batch])


def double_net() -> Net:
    return Net(norm=False, dropout=0.0).double()


def double_classes_net() -> nn.Module:
    """L to logits over the 313 bins, at half of the size."""
    layers = nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.GELU(), nn.Conv2d(6, 313, 1)
    return nn.Sequential(*layers).double()


class DoubleClassification(Classification):
    """Rebalanced classes, in float64."""

    def __init__(self) -> None:
        super().__init__(weights=torch.linspace(0.1, 3, 313))

    def __call__(self, model, batch):
        return super().__call__(model, [plane.double() for plane in batch])


def double_game(folder: Path):
    """A game that alternates, in float64; 8-bit pictures become float32 Lab, so these are cast."""
    torch.manual_seed(1)
    data = Batches(pictures(), 4)
    return fit_adversarial(
        double_net(),
        PatchDiscriminator(4, 16).double(),
        lambda epoch, start: ([x.double() for x in batch] for batch in data(epoch, start)),
        Options(steps=20, lr=0.01, precision="float32", log_every=5),
        Rules(schedule="alternate", lam=0.02),
        callbacks=(),
        folder=folder,
        device="cpu",
    )


def tensor_batches(**options) -> Batches:
    return Batches(pictures(), **options)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    log = folder / "steps.txt"
    if sys.argv[2:] == ["game"]:
        play(folder, schedule="alternate", steps=100, callbacks=[Slow(log, 0.05)])
    else:
        train(folder, steps=200, callbacks=[Slow(log)])

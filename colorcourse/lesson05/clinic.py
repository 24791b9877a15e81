"""Lesson 5's clinic: five short games, four of them sick, and no error says so."""

import copy
import math
import warnings
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from colorcourse.clinic import HEALTHY, Clinic
from colorkit.batches import Batches
from colorkit.fit import fit
from colorkit.gan import GanWarning, fit_gan
from colorkit.losses import l1, regression
from colorkit.models import ImageDiscriminator, PatchDiscriminator, UNet
from colorkit.worlds import orchard

SYMPTOMS = {
    "discriminator has won": "how little the discriminator errs, and how large the generator's "
    "adversarial loss is",
    "discriminator is never updated": "how well the discriminator tells true from gray, and ln 2",
    "lam masks the discriminator": "the adversarial share of the gradient",
    "labels swapped for the generator": "both adversarial losses: they are small together, "
    "though one player's gain should be the other's loss",
    HEALTHY: "all of it again: nothing is wrong with this one",
}
SIGNS = {  # what would be seen if the name that was given were right
    "discriminator has won": "G's adversarial loss would be far above ln 2, and rise",
    "discriminator is never updated": "D would not know gray, and its loss would stay at ln 2",
    "lam masks the discriminator": "D would know gray, and only the share would be near 0",
    "labels swapped for the generator": "both adversarial losses would fall together",
    HEALTHY: "the share would be between 0 and 1, and neither loss far from ln 2",
}


@dataclass
class Log:
    """What the instruments noted of one game: the rows of its history."""

    rows: list[dict]

    def late(self, column: str) -> float:
        """The mean of a column over the last third of the training."""
        rows = self.rows[-(len(self.rows) // 3) :]
        return sum(row[column] for row in rows) / len(rows)

    def readings(self) -> dict[str, float]:
        return {
            "discriminator right, true or generated": self.late("accuracy"),
            "discriminator right, true or gray": self.late("gray"),
            "discriminator's loss": self.late("discriminator_loss"),
            "generator's adversarial loss": self.late("adversarial"),
            "generator's pixel loss": self.late("pixel"),
            "adversarial share of the gradient": self.late("share"),
        }


class Swapped(nn.Module):
    """A discriminator whose answers are turned round where the generator asks, and only there."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, L: Tensor, ab: Tensor) -> Tensor:
        logits = self.discriminator(L, ab)
        return -logits if ab.requires_grad else logits  # only the generator wants a gradient


@cache
def _world() -> tuple[Tensor, Tensor]:
    world = orchard(64, 32, 71)
    return world.L, world.ab


@cache
def _players(seed: int) -> tuple[UNet, PatchDiscriminator, ImageDiscriminator]:
    """A generator trained by the pixel loss alone; a fresh discriminator of patches, and a larger
    one that sees whole pictures, and has the weights to remember them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator, patches = UNet(8, 3), PatchDiscriminator(8, 16)
        options = {"lr": 5e-3, "seed": seed, "device": "cpu", "callbacks": ()}
        fit(generator, regression(l1), Batches(_world(), 8, seed=seed), 60, **options)
        torch.manual_seed(seed)
        return generator, patches, ImageDiscriminator(16)


def run(fault: str, seed: int = 0, steps: int = 120) -> Log:
    """Train a generator against a discriminator with a fault (a few seconds)."""
    generator, discriminator, large = copy.deepcopy(_players(seed))
    options = {"lr": 2e-3, "discriminator_lr": 1e-3, "lam": 0.3, "seed": seed, "log_every": 10}
    if fault == "discriminator has won":
        discriminator = large
        options["lr"] = 2e-5
    elif fault == "discriminator is never updated":
        options["discriminator_lr"] = 1e-12
    elif fault == "lam masks the discriminator":
        options["lam"] *= 300
    elif fault == "labels swapped for the generator":
        discriminator = Swapped(discriminator)
    batches = Batches(_world(), 8, seed=seed)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", GanWarning)  # it would name the fault
        history = fit_gan(
            generator, discriminator, batches, steps, device="cpu", callbacks=(), **options
        ).history
    return Log(history)


RULE = (  # what `diagnosis` does, in words
    "The rule, on means of the last third: never updated, if D's loss is within 0.02 of ln 2 "
    "and D is right about gray in less than 55%; else L1 masks D, if the share is below 0.03; "
    "else labels are swapped, if G's loss less lambda times L1 is below 0.4; else D has won, "
    "if that is above 2.4; else the game is healthy."
)


def diagnosis(log: Log) -> str:
    """The fault that a log shows, or ``"healthy"``."""
    if abs(log.late("discriminator_loss") - math.log(2)) < 0.02 and log.late("gray") < 0.55:
        return "discriminator is never updated"  # it knows as little as at the start, also of gray
    if log.late("share") < 0.03:
        return "lam masks the discriminator"
    if log.late("adversarial") < 0.4:
        return "labels swapped for the generator"  # content, though the discriminator is not fooled
    if log.late("adversarial") > 2.4:
        return "discriminator has won"
    return HEALTHY


def draw(axes, log: Log) -> None:
    """How often the discriminator is right, the adversarial losses, the share of the gradient."""
    curves = (  # the range, and the lines: column, colour and style, label
        ((0, 1.05), [("accuracy", "#31688e", "generated"), ("gray", "#777777", "gray")]),
        ((0.01, 15), [("adversarial", "#b3261e", "G"), ("discriminator_loss", "#31688e", "D")]),
        ((0, 1), [("share", "black", None)]),
    )
    steps = [row["step"] for row in log.rows]
    for ax, (limits, lines) in zip(axes, curves, strict=True):
        for column, colour, label in lines:
            style = "--" if label in ("gray", "D") else "-"
            values = [row[column] for row in log.rows]
            ax.plot(steps, values, style, color=colour, lw=1.6, label=label)
        ax.set(ylim=limits)
        ax.tick_params(labelsize=8)
        ax.grid(alpha=0.3)
        if label and ax.get_subplotspec().is_first_col():
            ax.legend(fontsize=8)
    axes[1].set_yscale("log")
    axes[1].axhline(math.log(2), color="gray", lw=0.8, ls=":")
    axes[-1].set_xlabel("step", fontsize=8)


gan_clinic = Clinic(
    runs={
        "A": "lam masks the discriminator",
        "B": "labels swapped for the generator",
        "C": "discriminator is never updated",
        "D": HEALTHY,
        "E": "discriminator has won",
    },
    symptoms=SYMPTOMS,
    signs=SIGNS,
    run=run,
    diagnosis=diagnosis,
    rows={"D is right": 1.6, "adversarial losses (log)": 1.9, "share of gradient": 1.6},
    draw=draw,
)

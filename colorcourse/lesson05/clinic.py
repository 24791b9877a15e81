"""The clinic of games: five short games against a critic, four of them sick.

Nothing fails in them, and a loss that falls proves nothing. :func:`examine` plays a ward's game and
reads the instruments of `colorkit.training.adversarial`; :func:`diagnose` reads its chart, and a
test proves that it can.
"""

import copy
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from colorkit.batches import Batches
from colorkit.color import join_lab, lab_to_rgb
from colorkit.losses import l1
from colorkit.models import ImageDiscriminator, PatchDiscriminator, UNet
from colorkit.plots import draw_picture
from colorkit.training.adversarial import GameWarning, Rules, fit_adversarial
from colorkit.training.fit import fit
from colorkit.training.objectives import Regression
from colorkit.training.options import Options
from colorkit.worlds import orchard

PICTURES, SIZE, BATCH, BEFORE, STEPS, ROW = 64, 32, 8, 60, 120, 10
HEALTHY = "healthy"
FAULTS = (
    "critic has won",
    "critic is never updated",
    "lam masks the critic",
    "labels swapped for the generator",
)
# The order is shuffled, so that a letter says nothing.
WARDS = {
    "A": "lam masks the critic",
    "B": "labels swapped for the generator",
    "C": "critic is never updated",
    "D": HEALTHY,
    "E": "critic has won",
}
RULES = Rules(lam=0.3, critic_lr=1e-3)
RATE = 2e-3  # the generator's


@dataclass
class Chart:
    """What the instruments read of one game: the rows of its history, and pictures."""

    rows: list[dict] = field(default_factory=list)
    made: Tensor | None = None  # four pictures as the generator colours them, RGB (1, 3, H, W)
    true: Tensor | None = None

    def late(self, column: str) -> float:
        """The mean of a column over the last third of the game."""
        rows = self.rows[-(len(self.rows) // 3) :]
        return sum(row[column] for row in rows) / len(rows)

    def readings(self) -> dict[str, float]:
        """Means over the last third, in the order in which one looks at them."""
        return {
            "critic right, true or generated": self.late("accuracy"),
            "critic right, true or gray": self.late("gray"),
            "critic's loss": self.late("critic_loss"),
            "generator's adversarial loss": self.late("adversarial"),
            "generator's pixel loss": self.late("pixel"),
            "adversarial share of the gradient": self.late("share"),
        }


class Swapped(nn.Module):
    """A critic whose answers are turned round where the generator asks, and only there."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, L: Tensor, ab: Tensor) -> Tensor:
        """As the critic's; only the generator wants a gradient by ab."""
        logits = self.critic(L, ab)
        return -logits if ab.requires_grad else logits


@cache
def _world() -> tuple[Tensor, Tensor]:
    world = orchard(PICTURES, SIZE, 71)
    return world.L, world.ab


@lru_cache(maxsize=4)
def _players(seed: int) -> tuple[UNet, PatchDiscriminator]:
    """Those of all wards: a generator trained by the pixel loss alone, and a fresh critic."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator, critic = UNet(8, 3), PatchDiscriminator(8, 16)
        options = Options(steps=BEFORE, lr=5e-3, seed=seed)
        fit(generator, Regression(l1), _batches(seed), options, device="cpu", callbacks=())
    return generator, critic


def _large_critic(seed: int) -> ImageDiscriminator:
    """One that sees whole pictures, and has the weights to remember them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ImageDiscriminator(16)


def _batches(seed: int) -> Batches:
    return Batches(_world(), BATCH, seed=seed)


def examine(letter: str, seed: int = 0, steps: int = STEPS) -> Chart:
    """Play the game of a ward (a few seconds) and read the instruments.

    Raises
    ------
    ValueError
        If there is no such ward.
    """
    if letter not in WARDS:
        raise ValueError(f"there is no ward {letter!r}: choose from {', '.join(WARDS)}")
    fault, rules, rate = WARDS[letter], RULES, RATE
    generator, critic = copy.deepcopy(_players(seed))
    if fault == "critic has won":
        critic = _large_critic(seed)
        rate, rules = RATE / 100, replace(RULES, critic_lr=2 * RULES.critic_lr)
    elif fault == "critic is never updated":
        rules = replace(RULES, critic_lr=1e-12)
    elif fault == "lam masks the critic":
        rules = replace(RULES, lam=300 * RULES.lam)
    elif fault == "labels swapped for the generator":
        critic = Swapped(critic)
    return _play(generator, critic, rules, rate, seed, steps)


def _play(generator, critic, rules: Rules, rate: float, seed: int, steps: int) -> Chart:
    options = Options(steps=steps, lr=rate, schedule="constant", seed=seed, log_every=ROW)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", GameWarning)  # it would name the fault
        run = fit_adversarial(
            generator, critic, _batches(seed), options, rules, device="cpu", callbacks=()
        )
    L, ab = (plane[:4] for plane in _world())
    with torch.no_grad():
        return Chart(run.history.rows, _square(L, generator.eval()(L)), _square(L, ab))


def _square(L: Tensor, ab: Tensor) -> Tensor:
    """Four pictures in a square: RGB (1, 3, 2 H, 2 W)."""
    rows = [torch.cat(list(half), dim=-1) for half in lab_to_rgb(join_lab(L, ab)).split(2)]
    return torch.cat(rows, dim=-2)[None].clamp(0, 1)


def clinic(seed: int = 0) -> dict[str, Chart]:
    """The charts of all wards."""
    return {letter: examine(letter, seed) for letter in WARDS}


def diagnose(chart: Chart) -> str:
    """The fault that a chart shows, or ``"healthy"``."""
    if abs(chart.late("critic_loss") - math.log(2)) < 0.02 and chart.late("gray") < 0.65:
        return "critic is never updated"  # it knows as little as at the start, also of gray
    if chart.late("share") < 0.03:
        return "lam masks the critic"
    if chart.late("adversarial") < 0.4:
        return "labels swapped for the generator"  # content, although the critic is not fooled
    if chart.late("adversarial") > 2.4:
        return "critic has won"
    return HEALTHY


def readings(charts: Mapping[str, Chart]) -> pd.DataFrame:
    """The readings of several charts, a column a ward."""
    return pd.DataFrame({letter: chart.readings() for letter, chart in charts.items()})


CURVES = (  # rows of the figure: its label, its range, and column -> line
    ("critic right", (0, 1.05), {"accuracy": ("generated", "-"), "gray": ("gray", ":")}),
    ("losses", (0, 7), {"adversarial": ("generator", "-"), "critic_loss": ("critic", ":")}),
    ("share", (1e-4, 1), {"share": ("", "-")}),
)


def plot_charts(charts: Mapping[str, Chart]) -> Figure:
    """For each ward a column: the critic's accuracy, losses, the share, pictures, true ones."""
    fig, axes = plt.subplots(
        5, len(charts), figsize=(1.7 * len(charts), 7), squeeze=False, layout="constrained",
        height_ratios=[1, 1, 1, 1.6, 1.6],
    )  # fmt: skip
    for column, (letter, chart) in zip(axes.T, charts.items(), strict=True):
        column[0].set_title(letter, fontsize=10)
        for ax, (_, limits, lines) in zip(column, CURVES, strict=False):
            for name, (label, style) in lines.items():
                ax.plot([row[name] for row in chart.rows], style, lw=1.2, label=label)
            ax.set(ylim=limits, xticks=[], yscale="log" if limits[0] else "linear")
            ax.tick_params(labelsize=7, labelleft=ax in axes[:, 0])
        draw_picture(column[3], chart.made)
        draw_picture(column[4], chart.true)
    for ax in axes[:2, 0]:
        ax.legend(fontsize=6, frameon=False)
    for ax, (label, *_) in zip(axes[:, 0], (*CURVES, ("generated",), ("true",)), strict=True):
        x = -0.35 if ax.axison else -0.1  # beside the numbers of a scale
        ax.text(x, 0.5, label, rotation=90, va="center", ha="right", transform=ax.transAxes)
    return fig

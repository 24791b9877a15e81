"""The clinic on generalisation: six runs of one program, and five mistakes that raise no error.

Lesson 2's clinic breaks a line of the training. Here the training is right, and the *data* or the
*judging* is wrong, so that a loss curve alone tells nothing. :func:`examine` runs a ward's program
under instruments; :func:`diagnose` reads its chart, and a test proves that it can.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import mse_loss

from colorkit.color import join_lab, lab_to_rgb
from colorkit.models import UNet
from colorkit.plots import draw_picture
from colorkit.worlds import orchard

TRAIN, HELD_OUT, SIZE, BATCH, STEPS = 32, 32, 32, 8, 240
HEALTHY = "healthy"
FAULTS = (
    "leaked validation set",
    "batch norm in training mode",
    "colour jitter",
    "L flipped, ab not",
    "sorted, not shuffled",
)
# The order is shuffled, so that a letter says nothing.
WARDS = {
    "A": "batch norm in training mode",
    "B": "sorted, not shuffled",
    "C": HEALTHY,
    "D": "L flipped, ab not",
    "E": "leaked validation set",
    "F": "colour jitter",
}

Pair = tuple[Tensor, Tensor]


@dataclass
class Chart:
    """What the instruments read of one run; errors are MSE of ab in ab²."""

    losses: list[float] = field(default_factory=list)
    validation: float = 0.0
    test: float = 0.0  # pictures that somebody else kept
    moved: float = 0.0  # how far colours move when a picture is judged alone, in ab units
    kinds: float = 0.0  # different main things in a batch, mean over batches
    hue_off: float = 0.0  # distance of the batch's mean colours from the store's, in ab units
    misplaced: float = 0.0  # distance of ab from the store's at the same place of the same L
    batch: Tensor | None = None  # the first pictures of a batch, RGB (1, 3, H, W)
    stored: Tensor | None = None  # the same pictures as they are in the store

    def readings(self) -> dict[str, float]:
        """The readings as numbers, in the order in which one looks at them."""
        return {
            "loss, last 20": sum(self.losses[-20:]) / 20,
            "validation": self.validation,
            "test": self.test,
            "moved when alone": self.moved,
            "kinds in a batch": self.kinds,
        }


@cache
def _store() -> tuple[Pair, Pair, Pair, Tensor, Tensor]:
    """Training (by label), validation and test pictures; labels of the first two."""
    worlds = [orchard(n, SIZE, seed) for n, seed in ((TRAIN, 71), (HELD_OUT, 75), (HELD_OUT, 77))]
    order = worlds[0].labels.argsort(stable=True)  # as in folders, a class a folder
    train, val, test = ((w.L, w.ab) for w in worlds)
    return (train[0][order], train[1][order]), val, test, worlds[0].labels[order], worlds[1].labels


def examine(letter: str, seed: int = 0, steps: int = STEPS) -> Chart:
    """Run the program of a ward (a few seconds) and read the instruments.

    Raises
    ------
    ValueError
        If there is no such ward.
    """
    if letter not in WARDS:
        raise ValueError(f"there is no ward {letter!r}: choose from {', '.join(WARDS)}")
    fault = WARDS[letter]
    judged_in_training = fault == "batch norm in training mode"  # its training is the healthy one
    net, chart = copy.deepcopy(_trained(HEALTHY if judged_in_training else fault, seed, steps))
    _, val, test, *_ = _store()
    net.train(judged_in_training)
    chart.validation, chart.test = _error(net, val), _error(net, test)
    chart.moved = _moved(net, test[0])
    return chart


@lru_cache(maxsize=8)
def _trained(fault: str, seed: int, steps: int) -> tuple[UNet, Chart]:
    """The network after the training of a ward, and what was read on the way."""
    train, val, _, labels, val_labels = _store()
    if fault == "leaked validation set":
        train = tuple(torch.cat(planes) for planes in zip(train, val, strict=True))
        labels = torch.cat([labels, val_labels])
    chart, draw = Chart(), torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = UNet(8, 3)
        _train(net, train, labels, fault, draw, chart, steps)
    return net, chart


def clinic(seed: int = 0) -> dict[str, Chart]:
    """The charts of all wards."""
    return {letter: examine(letter, seed) for letter in WARDS}


def _train(net, train: Pair, labels: Tensor, fault: str, draw, chart: Chart, steps: int) -> None:
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    # At a constant rate the last steps decide the errors by luck; decayed, every seed ends alike.
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, total_iters=steps)
    kinds, order = [], torch.arange(0)
    for step in range(steps):
        if len(order) < BATCH:
            order = torch.arange(len(labels))
            if fault != "sorted, not shuffled":
                order = order[torch.randperm(len(labels), generator=draw)]
        rows, order = order[:BATCH], order[BATCH:]
        stored = tuple(plane[rows] for plane in train)
        L, ab, flips = _augment(stored, fault, draw)
        loss = mse_loss(net(L), ab)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
        chart.losses.append(loss.item())
        kinds.append(len(labels[rows].unique()))
        if step == 0:
            _look(chart, stored, (L, ab), flips)
    chart.kinds = sum(kinds) / len(kinds)


def _augment(stored: Pair, fault: str, draw) -> tuple[Tensor, Tensor, Tensor]:
    """Half of the pictures flipped; and what the fault does."""
    L, ab = stored
    flips = torch.rand(len(L), 1, 1, 1, generator=draw) < 0.5
    angle = 6.283 * torch.rand(len(L), 1, 1, generator=draw)
    L = torch.where(flips, L.flip(-1), L)
    if fault != "L flipped, ab not":
        ab = torch.where(flips, ab.flip(-1), ab)
    if fault == "colour jitter":
        a, b = ab.unbind(1)
        cos, sin = angle.cos(), angle.sin()
        ab = torch.stack([cos * a - sin * b, sin * a + cos * b], 1)
    return L, ab, flips


def _look(chart: Chart, stored: Pair, batch: Pair, flips: Tensor) -> None:
    """Compare a batch with the same pictures in the store."""
    true, ab = stored[1], batch[1]
    same_place = torch.where(flips, true.flip(-1), true)
    means = (ab.mean((2, 3)) - true.mean((2, 3))).norm(dim=1)
    chart.hue_off = means.mean().item()
    chart.misplaced = (ab - same_place).norm(dim=1).mean().item()
    chart.batch, chart.stored = _strip(batch), _strip(stored)


def _strip(pair: Pair) -> Tensor:
    """The first four pictures in a square: RGB (1, 3, 2 H, 2 W)."""
    rgb = lab_to_rgb(join_lab(*pair))[:4]
    rows = [torch.cat(list(half), dim=-1) for half in rgb.split(2)]
    return torch.cat(rows, dim=-2)[None]


@torch.no_grad()
def _error(net: UNet, pair: Pair) -> float:
    L, ab = pair
    return mse_loss(net(L), ab).item()


@torch.no_grad()
def _moved(net: UNet, L: Tensor) -> float:
    """How much a picture's colours depend on the pictures that are judged with it."""
    alone = torch.cat([net(picture) for picture in L.split(1)])
    return (alone - net(L)).norm(dim=1).mean().item()


def diagnose(chart: Chart) -> str:
    """The fault that a chart shows, or ``"healthy"``: the batch first, then the judging."""
    if chart.hue_off > 5:
        return "colour jitter"
    if chart.misplaced > 1:
        return "L flipped, ab not"
    if chart.kinds < 3.5:
        return "sorted, not shuffled"
    if chart.moved > 0.5:
        return "batch norm in training mode"
    if chart.validation < 0.72 * chart.test:
        return "leaked validation set"
    return HEALTHY


def readings(charts: Mapping[str, Chart]) -> pd.DataFrame:
    """The readings of several charts, a column a ward."""
    return pd.DataFrame({letter: chart.readings() for letter, chart in charts.items()})


def plot_charts(charts: Mapping[str, Chart]) -> Figure:
    """For each ward a column: its loss, part of a batch, and those pictures in the store."""
    size = (1.65 * len(charts), 4.4)
    fig, axes = plt.subplots(
        3,
        len(charts),
        figsize=size,
        squeeze=False,
        layout="constrained",
        height_ratios=[1, 2, 2],
    )
    for column, (letter, chart) in zip(axes.T, charts.items(), strict=True):
        column[0].plot(chart.losses, lw=0.8)
        column[0].set_title(letter, fontsize=10)
        column[0].set(ylim=(0, 1000), xticks=[], yticks=[])
        draw_picture(column[1], chart.batch)
        draw_picture(column[2], chart.stored)
    for ax, label in zip(axes[:, 0], ("loss", "a batch", "in the store"), strict=True):
        ax.text(-0.06, 0.5, label, rotation=90, va="center", ha="right", transform=ax.transAxes)
    return fig

"""Figures of lesson 5: a toy game, the instruments of a game, seeds, and chosen colours."""

import math
from collections.abc import Mapping, Sequence

import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure

from colorcourse.lesson04.figures import side_by_side
from colorcourse.lesson05.clinic import gan_clinic  # noqa: F401 - the lesson takes it from here
from colorcourse.lesson05.comparisons import TOY_GRID, ToySnapshot
from colorkit.widgets import Drawing, explore

TRUE, MADE = "#31688e", "#b3261e"  # of the discriminator's curves and of the generator's
PAINT = {"red": "#c0392b", "green": "#6aa84f", "yellow": "#f1c232", "purple": "#8e5aa8",
         "blue": "#4a78c2", "none of them": "#dddddd"}  # fmt: skip


def toy_figure(snapshots: Mapping[int, ToySnapshot], true: torch.Tensor) -> Figure:
    """A GAN of one dimension at several steps; `true` (n,) are numbers of the true distribution."""
    fig, axes = side_by_side(len(snapshots), 3.0, 2.8, sharey=True)
    edges = torch.linspace(-4.5, 4.5, 46).tolist()
    outline = {"histtype": "step", "color": MADE, "lw": 1.8}
    for ax, (step, at) in zip(axes, snapshots.items(), strict=True):
        ax.hist(true.flatten().numpy(), edges, density=True, color="#bbbbbb", label="true")
        ax.hist(at.made.numpy(), edges, density=True, label="generated", **outline)
        ax.plot(TOY_GRID, at.believes, color=TRUE, lw=1.8, label="D(x)")
        ax.axhline(0.5, color="gray", lw=0.7, ls=":")
        losses = "loss of D {:.2f}, of G {:.2f}".format(*at.losses)
        ax.set_title(f"step {step}\n{losses}", fontsize=9)
        ax.set(ylim=(0, 1.25), xlabel="number", xticks=[-4, -2, 0, 2, 4])
    axes[0].legend(fontsize=8, loc="upper right")
    axes[0].set_ylabel("density, or D(x)")
    return fig


def toy_slider(snapshots: Mapping[int, ToySnapshot], true: torch.Tensor) -> None:
    """A slider through a GAN of one dimension; arguments as `toy_figure`."""
    first, last = min(snapshots), max(snapshots)

    def draw(step: int) -> Drawing:
        made = snapshots[step].made
        alt = (
            f"Three moments of the training: its beginning, step {step}, its end. True numbers "
            f"form two hills. At step {step} the generated ones have mean {made.mean():.1f} and "
            f"standard deviation {made.std():.1f}; the discriminator's answer is drawn as a curve."
        )
        return toy_figure({n: snapshots[n] for n in sorted({first, step, last})}, true), alt

    steps = sorted(snapshots)
    slider = ipywidgets.SelectionSlider(
        options=steps, value=steps[len(steps) // 4], description="step", layout={"width": "32em"}
    )
    explore(draw, step=slider)


def game_curves(log: Sequence[Mapping[str, float]]) -> Figure:
    """Both losses of a game and its three instruments, over the steps."""
    frame = pd.DataFrame(log).set_index("step")
    fig, (losses, right, share) = side_by_side(3, 3.3, 2.8)
    losses.plot(frame.loss_D, color=TRUE, label="discriminator's")
    losses.plot(frame.loss_G, color=MADE, label="generator's, with lambda x L1")
    losses.axhline(math.log(2), color="gray", lw=0.8, ls=":")
    losses.set(title="losses", ylim=(0, None))
    right.plot(frame.right, color=TRUE, label="true or generated")
    right.plot(frame.gray, "--", color="#777777", label="true or gray")
    right.set(title="discriminator is right", ylim=(0.4, 1.03))
    share.plot(frame["share"], color="black")
    share.set(title="adversarial share of the gradient", ylim=(0, 1))
    for ax in (losses, right):
        ax.legend(fontsize=8)
    for ax in (losses, right, share):
        ax.set_xlabel("step")
        ax.grid(alpha=0.3)
    return fig


def seeds_figure(frame: pd.DataFrame, columns: Mapping[str, str]) -> Figure:
    """A dot a seed and a line at their mean: a row a model, a panel a column with its title."""
    models = list(dict.fromkeys(frame.model.astype(str)))
    height = 0.33 * len(models) + 1.0
    fig, axes = side_by_side(len(columns), 7.6 / len(columns) + 0.6, height, sharey=True)
    for ax, (column, title) in zip(axes, columns.items(), strict=True):
        for y, model in enumerate(models):
            values = frame[frame.model.astype(str) == model][column]
            ax.plot(values, [y] * len(values), "o", color=TRUE, ms=5, alpha=0.6)
            ax.plot([values.mean()] * 2, [y - 0.3, y + 0.3], color=MADE, lw=2)
        ax.set(title=title, ylim=(len(models) - 0.5, -0.5))
        ax.set_yticks(range(len(models)), models)
        ax.grid(alpha=0.3)
    return fig


def frequency_figure(frame: pd.DataFrame, names: Mapping[tuple[str, int], str]) -> Figure:
    """How often each kind gets each of its colours: a panel a kind, a stacked bar a model.

    `frame` is that of `comparisons.chosen`, `names` those of its colours; the last, "none of them",
    is hatched. Each part that is large enough bears its name.
    """
    kinds = frame.index.unique("kind")
    fig, axes = side_by_side(len(kinds), 3.2, 3.4, sharey=True)
    for ax, kind in zip(axes, kinds, strict=True):
        bottom = 0 * frame.loc[kind].iloc[0]
        for number, row in frame.loc[kind].iterrows():
            name = names.get((kind, number), "none of them")
            hatch = "///" if name == "none of them" else None
            ax.bar(row.index, row, bottom=bottom, color=PAINT[name], hatch=hatch, edgecolor="white")
            for x, (low, part) in enumerate(zip(bottom, row, strict=True)):
                if part > 0.1:
                    words = {"ha": "center", "va": "center", "fontsize": 8}
                    ax.text(x, low + part / 2, name.split()[0], **words)
            bottom = bottom + row
        ax.tick_params(axis="x", rotation=30)
        ax.set(title=kind, ylim=(0, 1))
    axes[0].set_ylabel("share of the objects")
    return fig


def bears_figure(frame: pd.DataFrame) -> Figure:
    """The share painted brown: a panel a shape, a row a brightness and ground, a dot a seed."""
    frame = frame.assign(model=frame.brightness + ", " + frame.ground)
    shapes = list(dict.fromkeys(frame["shape"]))
    fig, axes = plt.subplots(
        1, len(shapes), figsize=(8.4, 2.4), sharey=True, sharex=True, layout="constrained"
    )
    rows = list(dict.fromkeys(frame.model))
    for ax, shape in zip(axes, shapes, strict=True):
        for y, row in enumerate(rows):
            values = frame[(frame["shape"] == shape) & (frame.model == row)].brown
            ax.plot(values, [y] * len(values), "o", color=TRUE, ms=6, alpha=0.5)
        ax.set(title=shape, xlim=(-0.05, 1.05), xlabel="share painted brown")
        ax.set_yticks(range(len(rows)), rows)
        ax.invert_yaxis() if ax is axes[0] else None
        ax.grid(alpha=0.3)
    return fig

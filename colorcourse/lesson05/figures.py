"""Figures of lesson 5: a toy game, the instruments of a game, seeds, and chosen colours."""

import math
from collections.abc import Mapping, Sequence

import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from colorcourse.lesson03.photographs import left_out, on_photographs  # noqa: F401 - the latter for cells
from colorcourse.lesson04.figures import side_by_side
from colorcourse.lesson05 import comparisons
from colorcourse.lesson05.clinic import gan_clinic  # noqa: F401 - the lesson takes it from here
from colorcourse.lesson05.comparisons import POSSIBLE, TOY_GRID, ToySnapshot
from colorkit.data.pictures import Pictures
from colorkit.models import Colorizer
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
            f"Beginning, step {step} and end of a training. True numbers form two hills; at "
            f"step {step} generated ones have mean {made.mean():.1f}, deviation {made.std():.1f}."
        )
        return toy_figure({n: snapshots[n] for n in sorted({first, step, last})}, true), alt

    steps = sorted(snapshots)
    slider = ipywidgets.SelectionSlider(
        options=steps, value=steps[1], description="step", layout={"width": "32em"}
    )
    explore(draw, step=slider)


def game_curves(log: Sequence[Mapping[str, float]], lam: float) -> Figure:
    """The losses of a game and its three instruments, over the steps."""
    frame = pd.DataFrame(log).set_index("step")
    fig, (losses, right, share) = side_by_side(3, 3.3, 2.8)
    losses.plot(frame.loss_D, color=TRUE, label="D's loss")
    losses.plot(frame.adversarial, color=MADE, label="-log D, of G")
    losses.plot(lam * frame.pixel, ":", color="black", label="lambda x L1, of G")
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


def seeds_figure(frame: pd.DataFrame, columns: Mapping[str, str], label: str = "") -> Figure:
    """A dot a seed and a line at their mean: a row a model, a panel a column with its title.

    Dots of one seed are joined; `label` says what the models differ in.
    """
    frame = frame.assign(model=frame.model.astype(str))
    models = list(dict.fromkeys(frame.model))
    height = 0.33 * len(models) + 1.0
    fig, axes = side_by_side(len(columns), 7.6 / len(columns) + 0.6, height, sharey=True)
    for ax, (column, title) in zip(axes, columns.items(), strict=True):
        for _, own in frame.groupby("seed"):
            ax.plot(own[column], own.model.map(models.index), color="#999999", lw=0.7, zorder=1)
        for y, model in enumerate(models):
            values = frame[frame.model == model][column]
            ax.plot(values, [y] * len(values), "o", color=TRUE, ms=5, alpha=0.6)
            ax.plot([values.mean()] * 2, [y - 0.3, y + 0.3], color=MADE, lw=2)
        ax.set(title=title, ylim=(len(models) - 0.5, -0.5))
        ax.set_yticks(range(len(models)), models)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel(label)
    return fig


def plane_figure(kind: str, nets: Mapping[str, Colorizer], pictures: Pictures) -> Figure | None:
    """The ab plane: what `comparisons.colours_of` finds, possible colours as discs."""
    if not pictures.worlds:
        return left_out()
    possible, given = comparisons.colours_of(kind, nets, pictures)
    fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, (p, at) in possible.items():
        ax.add_patch(Circle(at.tolist(), POSSIBLE, color=PAINT[name], alpha=0.45))
        ax.text(*at.tolist(), f"{name}\n{p:.0%}", ha="center", va="center", fontsize=9)
    for (name, at), marker in zip(given.items(), "X^sD", strict=True):
        ax.plot(*at, marker, ms=8, mec="white", label=name)
    ax.set(xlabel="a", ylabel="b", aspect="equal")
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return fig


def choices(
    nets: Mapping[str, Colorizer], pictures: Pictures
) -> tuple[str, Figure, str] | tuple[None, None, None]:
    """What the GAN gives most apples; how often fruits get each colour, as figure and in words."""
    if not pictures.worlds:
        left_out()
        return None, None, None
    often, names = comparisons.chosen_by(nets, pictures), comparisons.colour_names(pictures)
    some = often.loc[["apple", "pepper", "plum"]]
    return comparisons.favourite(often), frequency_figure(some, names), shares_alt(some, names)


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


def shares_alt(often: pd.DataFrame, names: Mapping[tuple[str, int], str]) -> str:
    """What the last bars show: written in the cell, it would answer the question before."""
    shares = ", ".join(f"{kind} {share:.0%} {names.get((kind, number), 'none of them')}"
                       for (kind, number), share in often.iloc[:, -1].items())  # fmt: skip
    return f"Stacked bars: the true shares of colours, and those of each network. GAN: {shares}."

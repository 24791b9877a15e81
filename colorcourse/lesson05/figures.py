"""Figures of adversarial training, and of how often each colour is chosen."""

import math
from collections.abc import Mapping, Sequence

import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure

from colorcourse.lesson04.figures import side_by_side
from colorcourse.lesson05.comparisons import TOY_GRID, ToySnapshot
from colorkit.widgets import Drawing, explore

TRUE, MADE = "#31688e", "#b3261e"  # colours of the discriminator's curves and of the generator's


def toy_figure(snapshots: Mapping[int, ToySnapshot], true: torch.Tensor) -> Figure:
    """A GAN of one dimension at several steps; `true` (n,) are numbers of the true distribution."""
    fig, axes = side_by_side(len(snapshots), 2.6, 2.6, sharey=True)
    edges = torch.linspace(-4.5, 4.5, 46).tolist()
    outline = {"histtype": "step", "color": MADE, "lw": 1.5}
    for ax, (step, at) in zip(axes, snapshots.items(), strict=True):
        ax.hist(true.flatten().numpy(), edges, density=True, color="#bbbbbb", label="true")
        ax.hist(at.made.numpy(), edges, density=True, label="made", **outline)
        ax.plot(TOY_GRID, at.believes, color=TRUE, lw=1.5, label="D")
        ax.axhline(0.5, color="gray", lw=0.7, ls=":")
        losses = "loss of D {:.2f}, of G {:.2f}".format(*at.losses)
        ax.set_title(f"step {step}\n{losses}", fontsize=9)
        ax.set(ylim=(0, 1.25), xlabel="number", xticks=[-4, -2, 0, 2, 4])
    axes[0].legend(fontsize=7, loc="upper right")
    return fig


def toy_slider(snapshots: Mapping[int, ToySnapshot], true: torch.Tensor) -> None:
    """A slider through a GAN of one dimension; arguments as `toy_figure`."""
    first, last = min(snapshots), max(snapshots)

    def draw(step: int) -> Drawing:
        made = snapshots[step].made
        alt = (
            f"Three moments of the training: its beginning, step {step}, its end. True numbers "
            f"form two hills. At step {step} the made ones have mean {made.mean():.1f} and "
            f"standard deviation {made.std():.1f}; the discriminator's answer is drawn as a curve."
        )
        return toy_figure({n: snapshots[n] for n in sorted({first, step, last})}, true), alt

    steps = sorted(snapshots)
    slider = ipywidgets.SelectionSlider(
        options=steps, value=steps[len(steps) // 3], description="step", layout={"width": "32em"}
    )
    explore(draw, step=slider)


def gan_curves(rows: Sequence[dict]) -> Figure:
    """A history's accuracies, losses and the adversarial share of the gradient, over the steps."""
    frame = pd.DataFrame(rows).set_index("step")
    fig, (right, losses, share) = plt.subplots(
        3, 1, figsize=(6.4, 6), sharex=True, layout="constrained"
    )
    right.plot(frame.accuracy, color=TRUE, label="true or generated")
    right.plot(frame.gray, color="gray", ls=":", label="true or gray")
    right.axhline(0.5, color="gray", lw=0.7)
    right.set(ylabel="discriminator right", ylim=(0.4, 1.03))
    losses.plot(frame.adversarial, color=MADE, label="generator's, adversarial")
    losses.plot(frame.discriminator_loss, color=TRUE, label="discriminator's")
    losses.axhline(math.log(2), color="gray", lw=0.7)  # both, of one that answers 1/2
    losses.set_ylabel("losses")
    share.semilogy(frame["share"], color="black")
    share.set(xlabel="step", ylabel="adversarial\nshare", ylim=(1e-3, 1.2))
    for ax in (right, losses):
        ax.legend(fontsize=8)
    return fig


def share_figure(frames: Mapping[str, pd.DataFrame]) -> Figure:
    """The adversarial part over lambda, of the loss and of the gradient: a panel a table.

    The tables, by their titles, are those of `colorcourse.lesson05.comparisons.shares`.
    """
    fig, axes = side_by_side(len(frames), 3.2, 2.8, sharey=True)
    for ax, (title, frame) in zip(axes, frames.items(), strict=True):
        for column, style in zip(frame, ("o:", "o-"), strict=True):
            ax.semilogx(frame.index, frame[column], style, color="#31688e", ms=4, label=column)
        ax.set(title=title, xlabel="lambda", ylim=(-0.02, 1.02))
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("adversarial share")
    axes[-1].legend(fontsize=8)
    return fig


def frequency_figure(
    frame: pd.DataFrame, colours: Mapping[tuple[str, int], Sequence[float]]
) -> Figure:
    """How often each kind gets each of its colours: a panel a kind, a stacked bar a model.

    `frame` is that of `colorcourse.lesson05.comparisons.chosen`; `colours` are RGB by kind and
    number, and what has none there ("none of them") is hatched gray.
    """
    kinds = frame.index.unique("kind")
    fig, axes = side_by_side(len(kinds), 2.15, 2.9, sharey=True)
    for ax, kind in zip(axes, kinds, strict=True):
        part, bottom = frame.loc[kind], torch.zeros(frame.shape[1]).numpy()
        for number, row in part.iterrows():
            known = colours.get((kind, number))
            style = {"color": known} if known is not None else {"color": "#dddddd", "hatch": "///"}
            ax.bar(
                range(len(row)), row, bottom=bottom, width=0.8, edgecolor="white", lw=0.5, **style
            )
            bottom = bottom + row.to_numpy()
        ax.set_xticks(range(len(row)), row.index, rotation=60, ha="right", fontsize=8)
        ax.set(title=kind, ylim=(0, 1))
    axes[0].set_ylabel("share of the objects")
    return fig

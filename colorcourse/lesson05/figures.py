"""Figures of games between a generator and a critic."""

import math
from collections.abc import Mapping, Sequence

import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure

from colorkit.widgets import Drawing, explore

KNOWS_NOTHING = math.log(2)  # both losses of a critic that answers 1/2


def toy_figure(snapshots: Mapping[int, object], true: torch.Tensor) -> Figure:
    """A game of one dimension at several moments.

    Parameters
    ----------
    snapshots : mapping of int to ToySnapshot
        Step to what `colorcourse.lesson05.contests.toy_snapshot` kept.
    true : Tensor
        (n,) numbers of the true distribution.
    """
    fig, axes = plt.subplots(
        1, len(snapshots), figsize=(2.6 * len(snapshots), 2.6), squeeze=False, sharey=True,
        layout="constrained",
    )  # fmt: skip
    edges = torch.linspace(-4.5, 4.5, 46).tolist()
    for ax, (step, at) in zip(axes[0], snapshots.items(), strict=True):
        ax.hist(true.flatten().numpy(), edges, density=True, color="#bbbbbb", label="true")
        ax.hist(
            at.made.numpy(),
            edges,
            density=True,
            histtype="step",
            color="#b3261e",
            lw=1.5,
            label="made",
        )
        ax.plot(at.grid, at.believes, color="#31688e", lw=1.5, label="critic: D")
        ax.axhline(0.5, color="gray", lw=0.7, ls=":")
        critic, generator = at.losses
        ax.set_title(f"step {step}\ncritic {critic:.2f}, generator {generator:.2f}", fontsize=9)
        ax.set(ylim=(0, 1.25), xlabel="number", xticks=[-4, -2, 0, 2, 4])
    axes[0, 0].legend(fontsize=7, loc="upper right")
    return fig


def toy_slider(snapshots: Mapping[int, object], true: torch.Tensor) -> None:
    """A slider through a game of one dimension; arguments as `toy_figure`."""
    first, last = min(snapshots), max(snapshots)

    def draw(step: int) -> Drawing:
        made = snapshots[step].made
        alt = (
            f"Three moments of the game: its beginning, step {step}, its end. True numbers form "
            f"two hills. At step {step} the made ones have mean {made.mean():.1f} and standard "
            f"deviation {made.std():.1f}; the critic's answer is drawn as a curve."
        )
        return toy_figure({n: snapshots[n] for n in sorted({first, step, last})}, true), alt

    steps = sorted(snapshots)
    slider = ipywidgets.SelectionSlider(
        options=steps, value=steps[len(steps) // 3], description="step", layout={"width": "32em"}
    )
    explore(draw, step=slider)


def game_curves(games: Mapping[str, Sequence[dict]]) -> Figure:
    """What the instruments read: a column a game; accuracy, both losses, the gradient's share.

    Parameters
    ----------
    games : mapping of str to sequence of dict
        Name to the rows of the game's history.
    """
    fig, axes = plt.subplots(
        3, len(games), figsize=(max(3.2 * len(games), 6.4), 6), squeeze=False, sharex="col",
        sharey="row", layout="constrained",
    )  # fmt: skip
    for column, (name, rows) in zip(axes.T, games.items(), strict=True):
        frame = pd.DataFrame(rows).set_index("step")
        column[0].set_title(name, fontsize=10)
        column[0].plot(frame.accuracy, color="#31688e", label="true or generated")
        column[0].plot(frame.gray, color="gray", ls=":", label="true or gray")
        column[0].axhline(0.5, color="gray", lw=0.7)
        column[1].plot(frame.adversarial, color="#b3261e", label="generator's, adversarial")
        column[1].plot(frame.critic_loss, color="#31688e", label="critic's")
        column[1].axhline(KNOWS_NOTHING, color="gray", lw=0.7)
        column[2].semilogy(frame["share"], color="black")
        column[2].set(xlabel="step", ylim=(1e-3, 1.2))
    for ax, label in zip(axes[:, 0], ("critic right", "losses", "adversarial\nshare"), strict=True):
        ax.set_ylabel(label)
    axes[0, 0].set_ylim(0.4, 1.03)
    axes[0, 0].legend(fontsize=8)
    axes[1, 0].legend(fontsize=8)
    return fig


def share_figure(frames: Mapping[str, pd.DataFrame]) -> Figure:
    """The adversarial part over lambda, of the loss and of the gradient: a panel a title.

    Parameters
    ----------
    frames : mapping of str to DataFrame
        From `colorcourse.lesson05.contests.shares`.
    """
    fig, axes = plt.subplots(
        1, len(frames), figsize=(3.2 * len(frames), 2.8), squeeze=False, sharey=True,
        layout="constrained",
    )  # fmt: skip
    for ax, (title, frame) in zip(axes[0], frames.items(), strict=True):
        for column, style in zip(frame, ("o:", "o-"), strict=True):
            ax.semilogx(frame.index, frame[column], style, color="#31688e", ms=4, label=column)
        ax.set(title=title, xlabel="lambda", ylim=(-0.02, 1.02))
        ax.grid(alpha=0.3)
    axes[0, 0].set_ylabel("adversarial share")
    axes[0, -1].legend(fontsize=8)
    return fig


def frequency_figure(
    frame: pd.DataFrame, colours: Mapping[tuple[str, int], Sequence[float]]
) -> Figure:
    """How often each kind gets each of its colours: a panel a kind, a stacked bar a model.

    Parameters
    ----------
    frame : DataFrame
        From `colorcourse.lesson05.contests.chosen`.
    colours : mapping of (kind, number) to RGB
        Others, for "none of them", are hatched gray.
    """
    kinds = frame.index.unique("kind")
    fig, axes = plt.subplots(
        1, len(kinds), figsize=(2.1 * len(kinds) + 0.6, 2.9), sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for ax, kind in zip(axes[0], kinds, strict=True):
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
    axes[0, 0].set_ylabel("share of the objects")
    return fig

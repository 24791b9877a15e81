"""Figures of lesson 3: error curves, the U, a training, recorded studies, swatches."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from colorcourse.lesson03.photographs import left_out, on_photographs  # noqa: F401 - the latter for cells
from colorkit import evaluate
from colorkit.objects import ObjectColors
from colorkit.plots import error_figure, fitted_rgb

# P. Tol's bright scheme, which the colour-blind can tell apart.
TINTS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#aa3377", "#66ccee")


def error_curves(scores: evaluate.Scores) -> Figure:
    """Cumulative errors, a line a model, gray dotted."""
    fig = error_figure(evaluate.error_curves(scores))
    for line, tint in zip(fig.axes[0].lines[1:], TINTS, strict=False):
        line.set(color=tint, lw=1.8)
    fig.axes[0].legend(fontsize=8, loc="lower right")
    return fig


def unet_diagram(width: int, depth: int, size: int) -> Figure:
    """The U: a box of features for each level, with channels and side, and the ways between."""
    fig, ax = plt.subplots(figsize=(8.6, 0.85 * depth + 1.5), layout="constrained")
    text = {"ha": "center", "va": "center", "fontsize": 9}
    for x in range(2 * depth + 1):
        level = min(x, 2 * depth - x)
        label = f"{width * 2**level} channels\n{size // 2**level} x {size // 2**level}"
        box = {"boxstyle": "round", "fc": "#dde8f3", "ec": TINTS[0]}
        ax.text(x, -level, label, bbox=box, **text)
    arrow = {"arrowstyle": "->", "lw": 1.6, "shrinkA": 16, "shrinkB": 16}
    for k in range(depth):
        join = 2 * depth - k - 0.8  # left of the box that the block makes of what is joined here
        for (x, y, to_x, to_y), tint, end in (
            ((k, -k, k + 1, -k - 1), "black", 16),
            ((2 * depth - k - 1, -k - 1, join, -k), "black", 5),
            ((k + 0.3, -k, join, -k), TINTS[1], 5),
            ((join, -k, 2 * depth - k - 0.4, -k), "black", 0),
        ):
            ways = arrow | {"color": tint, "shrinkB": end}
            ax.annotate("", (to_x, to_y), (x, y), arrowprops=ways | {"shrinkA": end and 16})
        ax.plot(join, -k, "o", color="black", ms=7)
        ax.text(depth - 0.3, 0.13 - k, "skip", color=TINTS[1], **text)
        ax.text(k + 0.4, -k - 0.57, "pool,\ndowns", **text | {"ha": "right"})
        up = width * 2**k
        label = f"join: {2 * up} + {up} = {3 * up}\nups: {up}"
        ax.text(2 * depth - k - 0.7, -k - 0.5, label, **text | {"ha": "left"})
    for x, name in ((-0.75, "first"), (2 * depth + 0.75, "50 x head")):
        ax.text(x, 0, name, **text)
    ax.set(xlim=(-1.1, 2 * depth + 1.1), ylim=(-depth - 0.4, 0.5))
    ax.axis("off")
    return fig


def training(losses: Mapping[str, Sequence[float]], rates: Sequence[float], level: float) -> Figure:
    """Losses, each a mean of the last 20, the oracle's level, and below them the learning rate."""
    shape = {"height_ratios": (2, 1), "layout": "constrained"}
    fig, axes = plt.subplots(2, 1, sharex=True, figsize=(8, 4.2), **shape)
    for (name, values), tint in zip(losses.items(), TINTS, strict=False):
        axes[0].plot(pd.Series(values).rolling(20, min_periods=1).mean(), color=tint, label=name)
    if level > 0:  # not nan
        axes[0].axhline(level, color="dimgray", ls=":", label="oracle, training pictures")
    axes[0].set(ylabel="training loss (ab²),\nmean of 20 steps", ylim=(0, None))
    axes[0].legend(fontsize=9)
    axes[1].plot(rates, color="black")
    axes[1].set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    return fig


def seen_and_unseen(frame: pd.DataFrame, levels: Mapping[str, float]) -> Figure:
    """Error on seen and on unseen pictures over how many were seen; dotted lines for levels."""
    fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    for label, tint in (("unseen", TINTS[1]), ("seen", TINTS[0])):
        ax.semilogx(frame.pictures, frame[label], "o", ms=4, color=tint, alpha=0.5)
        mean = frame.groupby("pictures")[label].mean()
        ax.semilogx(mean, color=tint, label=f"{label} pictures, mean of three seeds")
    ax.plot([], [], "o", ms=4, color="gray", label="one seed")
    for label, level in levels.items():
        ax.axhline(level, color="dimgray", ls=":", lw=1.2)
        ax.text(2000, level, label, fontsize=9, color="dimgray", ha="right", va="bottom")
    ax.set(xlabel="training pictures", ylabel="ab MSE (ab²)", ylim=(0, 900))
    ax.legend(fontsize=9, loc="upper right")
    return fig


def over_steps(groups: Mapping[str, pd.DataFrame], level: float) -> Figure:
    """Errors over the steps, a panel a group: each seed thin, their mean thick."""
    fig, axes = plt.subplots(1, len(groups), figsize=(9, 3.6), sharey=True, layout="constrained")
    for ax, (name, frame) in zip(axes, groups.items(), strict=True):
        for label, tint in (("unseen", TINTS[1]), ("seen", TINTS[0])):
            for _, run in frame.groupby("seed"):
                ax.plot(run.step, run[label], color=tint, lw=0.7, alpha=0.6)
            mean = frame.groupby("step")[label].mean()
            ax.plot(mean, color=tint, lw=2, label=f"{label}, mean of three seeds")
        ax.plot([], [], color="gray", lw=0.7, label="one seed")
        ax.axhline(level, color="dimgray", ls=":", lw=1.2, label="oracle")
        ax.set(title=name, xlabel="step", ylim=(0, 620))
    axes[0].set_ylabel("ab MSE (ab²)")
    axes[0].legend(fontsize=9)
    return fig


def colours_of_fruit(objects: ObjectColors | None, kinds: Sequence[str]) -> Figure | None:
    """Swatches of seven fruits of each kind: true, by "network", by the oracle."""
    if objects is None:
        return left_out()
    found = objects.table.kind
    some = [i for kind in dict.fromkeys(kinds) for i in found.index[found == kind][:7]]
    patches = {name: objects.ab[name][some] for name in ("truth", "network", "oracle")}
    return swatches(patches, found[some].tolist())


def swatches(ab: Mapping[str, Tensor], titles: Sequence[str] = ()) -> Figure:
    """Rows of colours (M, 2) at L = 66, by their labels; equal neighbours and titles are one."""
    rows = torch.stack(list(ab.values())).movedim(-1, 0)[None].float()  # (1, 2, rows, M)
    rgb = fitted_rgb(torch.full_like(rows[:, :1], 66.0), rows)
    count = rows.shape[-1]
    fig, ax = plt.subplots(figsize=(9.5, 0.55 * len(ab) + 0.5), layout="constrained")
    ax.imshow(rgb[0].movedim(0, -1).clamp(0, 1).numpy(), interpolation="nearest", aspect="auto")
    ax.set_yticks(range(len(ab)), list(ab), fontsize=9)
    ax.set_xticks([])
    ax.hlines([k + 0.5 for k in range(len(ab) - 1)], -0.5, count - 0.5, color="white", lw=3)
    differ = (rows[0].diff(dim=-1).abs().amax(0) > 0).tolist()  # from the left neighbour
    for k, title in enumerate(titles):
        new = k == 0 or titles[k - 1] != title
        if new:
            ax.text(k - 0.5, -0.62, title, fontsize=9, va="bottom")
        for y in [y for y in range(len(ab)) if k and differ[y][k - 1]]:
            ax.vlines(k - 0.5, y - 0.5, y + 0.5, color="white", lw=4 if new else 0.7)
    ax.spines[:].set_visible(False)
    return fig

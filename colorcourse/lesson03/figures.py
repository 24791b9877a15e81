"""Figures of lesson 3: runs of several seeds, errors over the number of pictures, swatches."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from colorkit.plots import fitted_rgb


def history_curves(runs: Mapping[str, Sequence]) -> Figure:
    """Training loss (thin) and validation (thick, dots); runs of one label differ in their seed."""
    fig, ax = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
    tints = plt.get_cmap("viridis")
    for i, (label, group) in enumerate(runs.items()):
        tint = tints(0.75 * i / max(len(runs) - 1, 1))
        for k, run in enumerate(group):
            frame = pd.DataFrame(run.history).set_index("step")
            ax.semilogy(frame.loss, color=tint, lw=0.7, alpha=0.7)
            name = f"{label}: held-out (thin: training)" if k == 0 else None
            ax.semilogy(frame.validation.dropna(), "o-", ms=3, color=tint, label=name)
    ax.set(xlabel="step", ylabel="ab MSE (ab²)")
    ax.legend(fontsize=8)
    return fig


def study_curves(frame: pd.DataFrame, levels: Mapping[str, float]) -> Figure:
    """Training and held-out error over the number of pictures, with every seed as a dot.

    `frame` is that of `colorcourse.lesson03.studies.memorising`; `levels` are labelled lines.
    """
    fig, ax = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
    columns = {"train_mse": ("pictures it saw", "#4477aa"), "test_mse": ("others", "#cc3311")}
    for column, (label, tint) in columns.items():
        ax.loglog(frame.pictures, frame[column], "o", ms=4, color=tint, alpha=0.5)
        mean = frame.groupby("pictures")[column].mean()
        ax.loglog(mean.index, mean, color=tint, label=label)
    for label, level in levels.items():
        ax.axhline(level, color="gray", ls=":", lw=1)
        ax.text(ax.get_xlim()[0], level, f" {label}", va="bottom", fontsize=8, color="dimgray")
    ax.set(xlabel="training pictures", ylabel="ab MSE (ab²)")
    ax.legend(fontsize=8)
    return fig


def swatches(ab: Mapping[str, Tensor], titles: Sequence[str] = ()) -> Figure:
    """Rows of colour patches at L = 62, a column an object.

    `ab` maps the label of a row to colours (M, 2). M `titles` stand over the columns; the same one
    twice in a row is written once.
    """
    rows = torch.stack(list(ab.values())).movedim(-1, 0)[None].float()  # (1, 2, rows, M)
    rgb = fitted_rgb(torch.full_like(rows[:, :1], 62.0), rows)
    count = rows.shape[-1]
    fig, ax = plt.subplots(figsize=(9.5, 0.55 * len(ab) + 0.5), layout="constrained")
    ax.imshow(rgb[0].movedim(0, -1).clamp(0, 1).numpy(), interpolation="nearest", aspect="auto")
    ax.set_yticks(range(len(ab)), list(ab), fontsize=9)
    ax.set_xticks([])
    ax.hlines([k + 0.5 for k in range(len(ab) - 1)], -0.5, count - 0.5, color="white", lw=3)
    ax.vlines([k + 0.5 for k in range(count - 1)], -0.5, len(ab) - 0.5, color="white", lw=0.7)
    for k, title in enumerate(titles):
        if k == 0 or titles[k - 1] != title:
            ax.text(k - 0.5, -0.62, title, fontsize=9, va="bottom")
            ax.axvline(k - 0.5, color="white", lw=4)
    ax.spines[:].set_visible(False)
    return fig

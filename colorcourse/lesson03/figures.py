"""Figures of lesson 3: runs that differ in their seed, and errors over the number of pictures."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure


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

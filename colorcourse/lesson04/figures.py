"""Figures of distributions of colours: on the ab plane, over an object's colours, over a number."""

from collections.abc import Callable, Mapping, Sequence

import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from torch import Tensor

from colorkit.bins import LIMIT, PER_UNIT
from colorkit.color import fit_gamut, join_lab, lab_to_rgb
from colorkit.models import Classifier
from colorkit.plots import colour_alone, draw_picture
from colorkit.widgets import Drawing, explore

OTHER = "0.75"  # the gray of "no possible colour"


def side_by_side(count: int, width: float, height: float, **how) -> tuple[Figure, Sequence]:
    """A figure with so many axes in a row, each of that size in inches."""
    size = (width * count, height)
    fig, axes = plt.subplots(1, count, figsize=size, squeeze=False, layout="constrained", **how)
    return fig, axes[0]


def histograms_with_bins(histograms: Mapping[str, Tensor], bins: Tensor) -> Figure:
    """How often each ab occurs, in log scale, with the bins (Q, 2) as dots.

    The counts, by their titles, are those of `colorkit.bins.ab_histogram`.
    """
    fig, axes = side_by_side(len(histograms), 4.6, 4.2)
    for ax, (title, histogram) in zip(axes, histograms.items(), strict=True):
        side = 2 * LIMIT
        units = histogram.view(side, PER_UNIT, side, PER_UNIT).sum((1, 3)).double()
        share = (units / units.sum()).masked_fill(units == 0, torch.nan).T.numpy()
        drawn = ax.imshow(
            share, origin="lower", extent=(-LIMIT, LIMIT) * 2, norm=LogNorm(1e-6, 0.1),
            cmap="viridis", interpolation="nearest",
        )  # fmt: skip
        ax.plot(*bins.T.tolist(), ".", ms=2, color="#b3261e")
        ax.set(title=title, xlabel="a: green to red", ylabel="b: blue to yellow")
    fig.colorbar(drawn, ax=axes, label="share of pixels", shrink=0.8)
    return fig


def on_bins(
    values: Mapping[str, Tensor],
    bins: Tensor,
    *,
    log: bool = True,
    around: Tensor | None = None,
) -> Figure:
    """Numbers (Q,), by their titles, as squares at the places of bins (Q, 2); 0 is left white.

    A colour `around` (2,) is marked, and only what is within 30 of it is shown.
    """
    fig, axes = side_by_side(len(values), 3.5, 3.2)
    middle, half = ((0.0, 0.0), 115) if around is None else (around.tolist(), 30)
    a, b = bins.cpu().T.tolist()
    for ax, (title, value) in zip(axes, values.items(), strict=True):
        value = value.detach().cpu().double()
        some = value[value > 0]
        lowest = max(some.min(), 1e-6 * some.max())  # what is less is drawn as that
        norm = LogNorm(lowest, some.max(), clip=True) if log else Normalize(0, some.max())
        drawn = ax.scatter(
            a, b, c=value.masked_fill(value <= 0, torch.nan).numpy(), marker="s", norm=norm,
            s=(22 if around is None else 900), edgecolors="0.8", linewidths=0.4,
            plotnonfinite=False,
        )  # fmt: skip
        ax.set(
            title=title, aspect="equal",
            xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half),
        )  # fmt: skip
        if around is not None:
            ax.plot(*middle, "+", ms=14, mew=2, color="#b3261e")
        fig.colorbar(drawn, ax=ax, shrink=0.75)
    return fig


def weight_maps(L: Tensor, ab: Tensor, weights: Mapping[str, Tensor]) -> Figure:
    """Pictures, and below them how much each of their pixels counts, in log scale.

    The weights, by the label of their row, are (N, 1, H, W).
    """
    rows = len(weights) + 1
    fig, axes = plt.subplots(
        rows, len(L), figsize=(1.4 * len(L) + 1, 1.4 * rows), squeeze=False, layout="constrained"
    )
    for ax, picture in zip(axes[0], lab_to_rgb(join_lab(L, ab)).split(1), strict=True):
        draw_picture(ax, picture)
    every = torch.cat(list(weights.values()))
    norm = LogNorm(every.min(), every.max())
    for row, (label, planes) in zip(axes[1:], weights.items(), strict=True):
        for ax, plane in zip(row, planes.cpu(), strict=True):
            drawn = ax.imshow(plane[0].numpy(), norm=norm, cmap="magma", interpolation="nearest")
            ax.axis("off")
        row[0].text(-0.06, 0.5, label, va="center", ha="right", transform=row[0].transAxes)
    fig.colorbar(drawn, ax=axes[1:], label="weight")
    return fig


def panels(frame: pd.DataFrame, columns: Mapping[str, Sequence[str]]) -> Figure:
    """Columns of a table over its index: a panel for each label of a y axis and its columns."""
    fig, axes = side_by_side(len(columns), 3.7, 2.9)
    tints = plt.get_cmap("viridis")
    for ax, (label, names) in zip(axes, columns.items(), strict=True):
        for k, name in enumerate(names):
            tint = tints(0.85 * k / max(len(names) - 1, 1))
            ax.plot(frame.index, frame[name], "o-", ms=3.5, label=str(name), color=tint)
        ax.set(xlabel=frame.index.name, ylabel=label)
        ax.grid(alpha=0.3)
        if len(names) > 1:
            ax.legend(fontsize=8)
    return fig


def object_by_models(
    L: Tensor,
    planes: Mapping[str, Tensor],
    outline: Tensor,
    colours: Tensor,
    distributions: Mapping[str, Tensor],
    known: Tensor,
) -> Figure:
    """One object in several colourings; below each, its distribution beside the known one.

    Parameters
    ----------
    L : Tensor
        (1, 1, H, W).
    planes : mapping of str to Tensor
        Title to ab (1, 2, H, W).
    outline : Tensor
        bool (1, 1, H, W): the object; the picture is cut out around it.
    colours, known : Tensor
        (K, 2) and (K,): the colours that it could have and their probabilities, drawn as frames.
    distributions : mapping of str to Tensor
        Some of the titles to (K + 1,): the colours' predicted probabilities and the rest.
    """
    rows, columns = (
        slice(max(int(line.min()) - 5, 0), int(line.max()) + 6)
        for line in outline[0, 0].nonzero(as_tuple=True)
    )
    fig, axes = plt.subplots(
        2, len(planes), figsize=(2.3 * len(planes), 4.2), height_ratios=(2, 1.2),
        squeeze=False, layout="constrained",
    )  # fmt: skip
    ab = colours.float()[:, :, None, None]
    lightness = torch.full_like(ab[:, :1], 62.0)
    rgb = lab_to_rgb(join_lab(lightness, fit_gamut(lightness, ab)))[:, :, 0, 0].tolist()
    for (title, ab), (top, below) in zip(planes.items(), axes.T, strict=True):
        picture = lab_to_rgb(join_lab(L, fit_gamut(L, ab.to(L))))
        draw_picture(top, picture[..., rows, columns], title)
        top.contour(outline[0, 0, rows, columns].float(), [0.5], colors="white", linewidths=1)
        x = range(len(known) + 1)
        if title in distributions:
            below.bar(x, distributions[title].tolist(), color=[*rgb, OTHER])
        frame = [*known.tolist(), 0]
        below.bar(x, frame, fill=False, edgecolor="black", lw=1.2)
        below.set(ylim=(0, 1.02), xticks=[])
        below.spines[["top", "right"]].set_visible(False)
    axes[1, 0].set_ylabel("probability")
    return fig


def probabilities_figure(groups: Mapping[str, tuple[Tensor, Tensor]], xlabel: str) -> Figure:
    """Predicted probabilities over those that they should be: on the diagonal they are right.

    A panel for each title and its (x, y), (M,) each.
    """
    fig, axes = side_by_side(len(groups), 3.6, 3.4)
    for ax, (title, (x, y)) in zip(axes, groups.items(), strict=True):
        ax.plot([0, 1], [0, 1], color="gray", lw=1, ls=":")
        ax.plot(x, y, "o", ms=3, alpha=0.25, color="#31688e", mec="none")
        ax.set(title=title, xlabel=xlabel, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        for value in x.unique() if len(x.unique()) < 20 else ():
            ax.plot(value, y[x == value].mean(), "_", ms=14, mew=2.5, color="#b3261e")
    axes[0].set_ylabel("predicted probability")
    return fig


def reliability_figure(curves: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """How often it happened over how probable it was said to be; calibrated is the diagonal.

    A line for each label and its (mean prediction, share that happened), of each bin or NaN.
    """
    fig, ax = plt.subplots(figsize=(4.4, 4), layout="constrained")
    ax.plot([0, 1], [0, 1], color="gray", lw=1, ls=":")
    tints = plt.get_cmap("viridis")
    for k, (label, (said, happened)) in enumerate(curves.items()):
        said, happened = torch.as_tensor(said), torch.as_tensor(happened)
        some = ~(said.isnan() | happened.isnan())
        tint = tints(0.9 * k / max(len(curves) - 1, 1))
        ax.plot(said[some], happened[some], "o-", ms=4, label=label, color=tint)
    ax.set(xlabel="mean predicted probability", ylabel="share that happened", aspect="equal")
    ax.legend(fontsize=8)
    return fig


def temperature_slider(net: Classifier, L: Tensor, decode: Callable[..., Tensor]) -> None:
    """A slider from the mode to the mean: pictures at one temperature, and how vivid they are.

    ``decode(logits, bins, temperature)`` gives ab (N, 2, h, w).
    """
    L, logits = L.cpu(), net.logits(L).cpu()  # computed once; a slider decodes only

    def draw(temperature: float) -> Drawing:
        ab = fit_gamut(L, net.enlarge(decode(logits, net.bins.to(logits), temperature), L))
        chroma = ab.norm(dim=1).mean().item()
        size = (1.6 * len(L), 3.4)
        fig, axes = plt.subplots(2, len(L), figsize=size, squeeze=False, layout="constrained")
        rows = lab_to_rgb(join_lab(L, ab)), colour_alone(L, ab)
        for row, pictures in zip(axes, rows, strict=True):
            for ax, picture in zip(row, pictures.split(1), strict=True):
                draw_picture(ax, picture)
        fig.suptitle(f"T = {temperature:.2f}, mean chroma {chroma:.1f}", fontsize=10)
        alt = (
            f"{len(L)} pictures coloured at temperature {temperature:.2f}, below them their "
            f"colours at one lightness. The mean chroma is {chroma:.1f}."
        )
        return fig, alt

    options = [0.02, 0.05, 0.1, 0.2, 0.3, 0.38, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    slider = ipywidgets.SelectionSlider(
        options=options, value=0.38, description="T", layout={"width": "28em"}
    )
    explore(draw, temperature=slider)

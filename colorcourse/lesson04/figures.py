"""Figures of distributions of colours: on the ab plane, over an object's colours, over a number."""

from collections.abc import Callable, Mapping, Sequence

import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from torch import Tensor
from torch.nn import functional as F

from colorcourse.lesson03.photographs import left_out, on_photographs  # noqa: F401 - the latter for cells
from colorcourse.lesson04.comparisons import reshaped_weights
from colorkit.bins import LIMIT, PER_UNIT, ab_histogram, pixel_weights, soft_encode
from colorkit.color import fit_gamut, join_lab, lab_to_rgb, rgb_to_lab, split_lab
from colorkit.data.pictures import BUNDLED, photograph
from colorkit.models import Classifier, Colorizer
from colorkit.objects import ObjectColors, object_colors
from colorkit.plots import colorings, draw_picture, fitted_rgb, picture_grid
from colorkit.widgets import Drawing, explore
from colorkit.worlds import World

OTHER = "0.75"  # the gray of "no possible colour"
TINTS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito's, for the colour-blind too
STYLES = {1.0: (TINTS[0], "o"), 0.5: (TINTS[1], "s"), 0.1: (TINTS[3], "^")}  # by lambda


def side_by_side(count: int, width: float, height: float, **how) -> tuple[Figure, Sequence]:
    """A figure with so many axes in a row, each of that size in inches."""
    size = (width * count, height)
    fig, axes = plt.subplots(1, count, figsize=size, squeeze=False, layout="constrained", **how)
    return fig, axes[0]


def histograms_with_bins(histogram: Tensor, bins: Tensor, size: int) -> Figure:
    """How often each ab occurs, in log scale, with the bins (Q, 2) as dots.

    Of training pictures (a `colorkit.bins.ab_histogram`) and of photographs of `size` pixels.
    """
    pairs = [split_lab(rgb_to_lab(photograph(name, size))) for name in BUNDLED]
    histograms = {"training pictures": histogram, "four photographs": ab_histogram(pairs)}
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
        ax.set_ylim(-115, LIMIT)  # the lowest bins lie at -110
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
            title=title, aspect="equal", xlabel="a", ylabel="b",
            xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half),
        )  # fmt: skip
        if around is not None:
            ax.plot(*middle, "+", ms=14, mew=2, color="#b3261e")
        few = log and some.max() < 100 * lowest  # else the decades are enough
        ticks = {"ticks": LogLocator(subs=(1, 2, 5)), "format": "{x:g}"} if few else {}
        fig.colorbar(drawn, ax=ax, shrink=0.75, **ticks).minorticks_off()
    return fig


def weight_maps(L: Tensor, ab: Tensor, bins: Tensor, weights: Tensor) -> Figure:
    """Pictures, and below them how much A and B let each of their pixels count, in log scale."""
    targets = soft_encode(ab, bins.cpu())
    maps = {"A": reshaped_weights(targets, weights), "B": pixel_weights(targets, weights)}
    size = (1.6 * len(L) + 1, 4.8)
    fig, axes = plt.subplots(3, len(L), figsize=size, squeeze=False, layout="constrained")
    for ax, picture in zip(axes[0], lab_to_rgb(join_lab(L, ab)).split(1), strict=True):
        draw_picture(ax, picture)
    norm = LogNorm(weights.min().item(), weights.max().item())
    for row, (label, planes) in zip(axes[1:], maps.items(), strict=True):
        for ax, plane in zip(row, planes.cpu(), strict=True):
            drawn = ax.imshow(plane[0].numpy(), norm=norm, cmap="magma", interpolation="nearest")
            ax.axis("off")
        text = f"{label}\nmean {planes.mean():.2f}"
        row[0].text(-0.06, 0.5, text, va="center", ha="right", transform=row[0].transAxes)
    ticks = {"ticks": LogLocator(subs=(1, 2, 5)), "format": "{x:g}"}
    fig.colorbar(drawn, ax=axes[1:], label="weight of the pixel", **ticks).minorticks_off()
    return fig


def one_apple(world: World | None) -> Figure | None:
    """The largest apple of a world: gray, in each colour that it can have, and in their mean."""
    if world is None:
        return left_out()
    looks = object_colors(world, {})
    best = looks.table[looks.table.kind == "apple"].pixels.idxmax()
    at, where = int(looks.table.picture[best]), looks.visible[best]
    posterior = next(x for x in world.posterior(at) if torch.equal(x.visible[0], where))
    modes = world.palette.kinds[world.palette.number("apple")].modes
    L, ab = world.L[at : at + 1], world.ab[at : at + 1]
    probs = posterior.probs.float()
    mean = torch.einsum("k,kchw->chw", probs, posterior.ab)
    planes = {f"{m.name}, {p:.0%}": x for m, p, x in zip(modes, probs, posterior.ab, strict=True)}
    row = {"what the network sees": L}
    for title, colours in (planes | {"the mean of the three": mean}).items():
        row[title] = fitted_rgb(L, torch.where(where[None], colours, ab))
    return picture_grid([row], 2.0)


def largest_apple(
    world: World | None,
    objects: ObjectColors | None,
    nets: Mapping[str, Colorizer],
    distributions: Mapping[str, Sequence[Tensor]] | None,
) -> Figure | None:
    """The largest apple, true and by networks; below, distributions, the known one as frames.

    Dotted frames: "r w" of the distributions, over what the network "rebalanced" predicts. The bar
    of "L2" stands where its one colour counts, and has that colour.
    """
    if world is None:
        return left_out()
    number = int(objects.table[objects.table.kind == "apple"].pixels.idxmax())
    at, outline = int(objects.table.picture[number]), objects.visible[number]
    L = world.L[at : at + 1]
    planes = {"truth": world.ab[at : at + 1]} | {k: net.colorize(L) for k, net in nets.items()}
    known, kind = objects.probs[number], objects.table.kind[number]
    names = [mode.name for mode in world.palette.kinds[world.palette.number(kind)].modes]
    lines = outline[0].nonzero(as_tuple=True)
    rows, columns = (slice(max(int(x.min()) - 5, 0), int(x.max()) + 6) for x in lines)
    fig, axes = plt.subplots(
        2, len(planes), figsize=(2.5 * len(planes), 4.6), height_ratios=(2, 1.2),
        squeeze=False, layout="constrained",
    )  # fmt: skip

    def tint(ab: Tensor) -> list[float]:
        ab = ab.float().view(1, 2, 1, 1)
        return fitted_rgb(torch.full_like(ab[:, :1], 62.0), ab).flatten().tolist()

    tints = [*map(tint, objects.possible[number]), OTHER]
    for (title, ab), (top, below) in zip(planes.items(), axes.T, strict=True):
        draw_picture(top, fitted_rgb(L, ab)[..., rows, columns], title)
        top.contour(outline[0, rows, columns].float(), [0.5], colors="white", linewidths=1)
        below.spines[["top", "right"]].set_visible(False)
        below.set(ylim=(0, 1.05))
        shares = distributions[title][number] if title in distributions else F.pad(known, (0, 1))
        own = tint(objects.ab["L2"][number]) if title == "L2" else tints
        below.bar([*names, "other"], shares.tolist(), color=own)
        frame = [*known.tolist(), 0]
        below.bar([*names, "other"], frame, fill=False, edgecolor="black", lw=1.2)
        if title == "rebalanced":
            asked = distributions["r w"][number].tolist()
            below.bar([*names, "other"], asked, width=0.6, fill=False, ls=":", lw=2)
    axes[1, 0].set_ylabel("probability")
    return fig


def over_seeds(
    frame: pd.DataFrame, measures: Sequence[str], xlabel: str, gray: pd.Series | None = None
) -> Figure:
    """The recorded study: a panel a training set, a row a measure, a dot a network, a line a seed.

    `gray`: what pictures without colour get in each measure, as a bar across its row.
    """
    sets = list(frame[frame.measure.isin(measures)].groupby("data", sort=False))
    size = (7.6 / len(sets), 0.55 * len(measures) + 1.4)
    fig, axes = side_by_side(len(sets), *size, sharey=True)
    right = 1.03 if gray is not None else 1.1 * max(own.value.max() for _, own in sets)
    for ax, (title, own) in zip(axes, sets, strict=True):
        own = own.assign(y=own.measure.map(measures.index)).sort_values("lambda")
        own.y += 0.2 * (own["lambda"].rank(method="dense") - 1.5)
        for _, part in own.groupby(["measure", "seed"]):
            ax.plot(part.value, part.y, color="0.75", lw=0.7, zorder=1)
        for lam, part in own.groupby("lambda", sort=True):
            label = "lambda 1: not rebalanced" if lam == 1 else f"lambda {lam:g}"
            tint, mark = STYLES[lam]
            ax.plot(part.value, part.y, mark, ms=5, alpha=0.8, color=tint, label=label, mec="none")
        if gray is not None:
            x, y = [gray[name] for name in measures], range(len(measures))
            ax.plot(x, y, "|", ms=19, mew=2.5, color="0.45", label="no colour", zorder=1)
        ax.set(title=f"trained on {title}", xlabel=xlabel, xlim=(-0.03, right))
        ax.set_yticks(range(len(measures)), measures)
        ax.set_ylim(len(measures) - 0.4, -0.6)
        ax.grid(alpha=0.3)
    handles = axes[-1].get_legend_handles_labels()
    fig.legend(*handles, loc="outside upper center", ncols=3, fontsize=8)
    return fig


def temperature_slider(net: Classifier, L: Tensor, decode: Callable[..., Tensor]) -> None:
    """Pictures in the colours ``decode(logits, bins, T)`` of one T, with a slider to choose it."""
    logits, bins = net.logits(L), net.bins.cpu()  # computed once; a slider decodes only

    def draw(temperature: float) -> Drawing:
        ab = fit_gamut(L, net.enlarge(decode(logits, bins, temperature), L))
        alt = f"{len(L)} pictures, gray and coloured at temperature {temperature:g}: their "
        alt += f"mean chroma is {ab.norm(dim=1).mean().item():.1f}."
        return colorings(L, {f"T = {temperature:g}": ab}, 1.6), alt

    options = [0.02, 0.05, 0.1, 0.2, 0.3, 0.38, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    slider = ipywidgets.SelectionSlider(options=options, value=0.38, description="T")
    explore(draw, temperature=slider)

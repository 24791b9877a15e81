"""Figures of lesson 6: photographs beside each other, hints, damages, curves with their seeds."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from colorcourse.lesson04.figures import TINTS, side_by_side
from colorcourse.lesson05.figures import seeds_figure
from colorcourse.lesson06.studies import damages, middle, planes
from colorkit.metrics import ab_error
from colorkit.models import Colorizer, HintUNet
from colorkit.notebook import in_notebook
from colorkit.objects import object_colors
from colorkit.plots import colorings, draw_picture, fitted_rgb
from colorkit.widgets import display_widget
from colorkit.worlds import World

MARKS = ("o", "s", "^", "D")


def rows_of(pictures: Mapping[str, Mapping[str, Tensor]], height: float = 1.9) -> Figure:
    """Pictures in rows and columns, by name of the row and of the column; any shapes, one a row."""
    first = next(iter(pictures.values()))
    shape = next(iter(first.values())).shape
    width = height * shape[-1] / shape[-2]
    size = (width * len(first) + 0.3, (height + 0.2) * len(pictures))
    fig, axes = plt.subplots(
        len(pictures), len(first), figsize=size, squeeze=False, layout="constrained"
    )
    for number, (row, (name, columns)) in enumerate(zip(axes, pictures.items(), strict=True)):
        for ax, (title, picture) in zip(row, columns.items(), strict=True):
            draw_picture(ax, picture, "" if number else title)
        label = {"rotation": 90, "va": "center", "ha": "right", "fontsize": 9}
        row[0].text(-0.04, 0.5, name, transform=row[0].transAxes, **label)
    return fig


def settled(net: Colorizer, hint_planes: Callable, world: World) -> Figure:
    """The largest apple of a world, without a hint and after one click with each of its colours."""
    objects = object_colors(world, {})
    best = objects.table[objects.table.kind == "apple"].pixels.idxmax()
    at, where = int(objects.table.picture[best]), objects.visible[best]
    L, ab = world.L[at : at + 1], world.ab[at : at + 1]
    row = {"gray": L, "no hint": fitted_rgb(L, net.colorize(L))}
    names = [mode.name for mode in world.palette.kinds[world.palette.number("apple")].modes]
    for name, colour in zip(names, objects.possible[best], strict=True):
        painted = torch.where(where[None], colour.view(1, 2, 1, 1), ab)
        hints = hint_planes(painted, [(0, *middle(where), 3)])
        row[f"click: {name}"] = fitted_rgb(L, net.colorize(L, hints=hints))
    return rows_of({"": row}, 1.8)


def damaged(net: Colorizer, film: Callable, rgb: Tensor, seed: int) -> Figure:
    """A photograph, RGB uint8 (1, 3, H, W), with each damage: gray above, coloured below."""
    L = damages(film, rgb, seed)
    coloured = {name: fitted_rgb(x, net.colorize(x)) for name, x in L.items()}
    return rows_of({"gray": L, "coloured": coloured}, 1.6)


def worst(net: Colorizer, names: Sequence[str], size: int, count: int) -> Figure:
    """The photographs with the largest error: gray, coloured, true."""
    L, ab = planes(names, size)
    chosen = ab_error(net.colorize(L), ab).mean((1, 2)).argsort(descending=True)[:count]
    L, ab = L[chosen], ab[chosen]
    return colorings(L, {"coloured": net.colorize(L), "true": ab}, 1.6)


def seed_curves(
    frame: pd.DataFrame, x: str, y: str, levels: Mapping[str, float], **labels: str
) -> Figure:
    """A line a model through the means over the seeds, a dot a seed; levels are dotted."""
    fig, (ax,) = side_by_side(1, 6.4, 3.4)
    for model, tint, mark in zip(dict.fromkeys(frame.model), TINTS, MARKS, strict=False):
        part = frame[frame.model == model]
        ax.plot(part[x], part[y], mark, color=tint, alpha=0.5, ms=5)
        ax.plot(part.groupby(x)[y].mean(), color=tint, marker=mark, label=model)
    for name, level in levels.items():
        ax.axhline(level, color="gray", ls=":")
        ax.text(frame[x].max(), level, name, ha="right", va="bottom", fontsize=9, color="dimgray")
    ax.set(xscale="log", **labels)
    ax.set_xticks(sorted(set(frame[x])), [str(n) for n in sorted(set(frame[x]))])
    ax.minorticks_off()
    ax.grid(alpha=0.3)
    ax.legend(fontsize=9)
    return fig


def groups_figure(groups: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Shares by group: a panel a loss, a dot a seed. No line joins groups, which have no order."""
    fig = seeds_figure(groups.assign(seed=range(len(groups))), panels)
    for ax in fig.axes:
        ax.set_xlim(0, 1)
        ax.axhline(2.5, color="gray", lw=0.8)  # above are faces, below colours
    return fig


def hint_painter(picture: Tensor, net: HintUNet) -> None:
    """Colour RGB (1, 3, H, W) uint8 with a network: click a place, choose a colour, see it spread.

    Colours are chosen on the ab plane, among those that sRGB can show at that lightness; Save
    writes the picture at its full size. It needs anywidget: ``pip install 'colorkit[lab]'``.
    """
    from colorcourse.lesson06.painter import Painter

    painter = Painter(picture, net)
    if in_notebook():
        display_widget(painter, painter.canvas.html() + painter.plane.html())

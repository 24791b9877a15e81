"""Figures of lesson 2: truth and prediction without lightness, snapshots, activations."""

from collections.abc import Mapping, Sequence

import ipywidgets
import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from colorkit.color import join_lab, lab_to_rgb, split_lab
from colorkit.plots import colour_alone, draw_picture, picture_grid
from colorkit.widgets import Drawing, explore


def truth_beside(L: Tensor, truth: Tensor, predictions: Mapping[str, Tensor]) -> Figure:
    """Truth beside predictions of ab; below them the same without lightness.

    L is (1, 1, H, W); truth and predictions, by their titles, are (1, 2, H, W).
    """
    columns = {"truth": truth, **predictions}
    coloured = {t: lab_to_rgb(join_lab(L, ab)) for t, ab in columns.items()}
    alone = {f"{t}, L averaged out": colour_alone(L, ab) for t, ab in columns.items()}
    blank = torch.full_like(L, 100.0)
    return picture_grid([{"L, the input": L, **coloured}, {" ": blank, **alone}])


def draw_snapshot(
    step: int, lab: Tensor, snapshots: Mapping[int, Tensor], losses: Sequence[float]
) -> Drawing:
    """What a network had learned after `step` steps, beside the truth, and where its loss was.

    Parameters
    ----------
    step : int
        A key of `snapshots`.
    lab : Tensor
        The photograph, (1, 3, H, W).
    snapshots : mapping of int to Tensor
        Steps done to the network's ab, (1, 2, H, W).
    losses : sequence of float
        The loss of each step.
    """
    L, truth = split_lab(lab)
    ab = snapshots[step]
    error = (ab - truth).square().mean().item()
    fig, axes = plt.subplots(
        1, 4, figsize=(9.6, 2.5), width_ratios=(1, 1, 1, 1.3), layout="constrained"
    )
    draw_picture(axes[0], lab_to_rgb(lab), "truth")
    draw_picture(axes[1], lab_to_rgb(join_lab(L, ab)), f"after {step} steps")
    draw_picture(axes[2], colour_alone(L, ab), "colour alone")
    axes[3].semilogy(range(1, len(losses) + 1), losses, color="#31688e", lw=1.2)
    axes[3].plot(step, error, "o", color="#b3261e")
    axes[3].set(xlabel="step", title=f"ab MSE {error:.3g}")
    alt = (
        f"The photograph, the network's colours after {step} steps, the same with lightness "
        f"averaged out, and the loss curve with this step marked: ab MSE {error:.3g}."
    )
    return fig, alt


def snapshot_scrubber(
    lab: Tensor, snapshots: Mapping[int, Tensor], losses: Sequence[float]
) -> None:
    """A slider through the snapshots of a training; arguments as `draw_snapshot`."""
    if not snapshots:
        raise ValueError("there is no snapshot to show: keep the network's ab at some steps")
    kept = {n: ab.detach().cpu().clone() for n, ab in snapshots.items()}  # training may go on

    def draw(step: int) -> Drawing:
        return draw_snapshot(step, lab.cpu(), kept, losses)

    slider = ipywidgets.SelectionSlider(
        options=sorted(kept), value=max(kept), description="steps", layout={"width": "32em"}
    )
    explore(draw, step=slider)


def activation_grid(layers: Mapping[str, Sequence[Tensor]], count: int = 4) -> Figure:
    """The channels of largest variance, a row a layer group, side by side for several networks.

    Parameters
    ----------
    layers : mapping of str to sequence of Tensor
        Network to what its layer groups give, each (1, C, H, W).
    count : int
        Channels of each, drawn on their own scales.
    """
    depth = len(next(iter(layers.values())))
    columns = len(layers) * (count + 1) - 1  # an empty column between two networks
    size = (1.1 * columns, 1.15 * depth + 0.3)
    fig, axes = plt.subplots(depth, columns, figsize=size, squeeze=False, layout="constrained")
    for k, (name, outputs) in enumerate(layers.items()):
        own = axes[:, k * (count + 1) :]
        for row, output in zip(own, outputs, strict=True):
            varied = output[0].flatten(1).var(1).argsort(descending=True)[:count]
            for ax, channel in zip(row, output[0, varied].cpu(), strict=False):
                ax.imshow(channel.numpy(), cmap="gray")
        own[0, 0].set_title(name, fontsize=10, loc="left")
    for i, row in enumerate(axes):
        row[0].text(-0.12, 0.5, f"group {i + 1}", rotation=90, va="center", ha="center",
                    fontsize=8, transform=row[0].transAxes)  # fmt: skip
    for ax in axes.flat:
        ax.axis("off")
    return fig

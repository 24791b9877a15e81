"""Figures of lesson 7: possible colourings, straight lines, and numbers on their way."""

from collections.abc import Callable, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from colorcourse.lesson04.figures import side_by_side
from colorcourse.lesson05.comparisons import toy_numbers
from colorcourse.lesson05.figures import (  # noqa: F401 - the lesson takes them from here
    MADE,
    TRUE,
    frequency_figure,
    seeds_figure,
)
from colorcourse.lesson07.studies import known_draws
from colorkit.device import seed_everything
from colorkit.flow import Velocity
from colorkit.plots import colorings
from colorkit.worlds import World

AXES = {"xlabel": "time t", "xticks": [0, 0.5, 1], "ylim": (-4, 4)}


def possible_colourings(world: World, count: int, seed: int) -> Figure:
    """The pictures of a world in colours that they could have had."""
    return colorings(world.L, dict(enumerate(known_draws(world, count, seed), 1)), 1.2)


def lines(interpolate: Callable, seed: int) -> Figure:
    """Straight lines from 60 random numbers to 60 of two hills; those to the upper hill are red."""
    seed_everything(seed)
    noise, data = torch.randn(60, 1), toy_numbers(60)
    times = torch.linspace(0, 1, 21)
    ways = torch.stack([interpolate(noise, data, t.expand(60))[0][:, 0] for t in times])
    fig, (ax,) = side_by_side(1, 6.4, 3.0)
    for way, end in zip(ways.T, data, strict=True):
        ax.plot(times, way, color=MADE if end > 0 else TRUE, lw=0.8, alpha=0.7)
    ax.set(**AXES, ylabel="x", title="noise at t = 0, data at t = 1")
    return fig


def paths(velocity: Velocity, sampler: Callable, steps: Sequence[int], seed: int) -> Figure:
    """Numbers on their way by a sampler of so many steps, a panel each; beside it where they end.

    Gray bars are true numbers, outlines are drawn ones.
    """
    fig, axes = side_by_side(len(steps), 2.6, 3.0, sharey=True)
    for ax, n in zip(axes, steps, strict=True):
        seed_everything(seed)
        noise, asked = torch.randn(3000, 1), []

        def spy(x: Tensor, t: Tensor, asked: list = asked) -> Tensor:
            asked.append((t[0].item(), x[:40, 0]))
            return velocity(x, t)

        end = sampler(spy, noise, n)
        times, points = zip(*asked, (1.0, end[:40, 0]), strict=True)
        ax.plot(times, torch.stack(points), color=TRUE, lw=0.7, alpha=0.7)
        edges = torch.linspace(-4, 4, 41).tolist()
        beside = ax.inset_axes((1.0, 0, 0.3, 1), sharey=ax)
        bars = {"orientation": "horizontal", "density": True}
        beside.hist(toy_numbers(3000)[:, 0], edges, color="#bbbbbb", **bars)
        beside.hist(end[:, 0], edges, histtype="step", color=MADE, lw=1.4, **bars)
        beside.axis("off")
        ax.set(**AXES, title=f"{n} step{'s' * (n > 1)}")
    axes[0].set_ylabel("x")
    return fig

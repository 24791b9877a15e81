"""What lesson 2 measures and draws: convolutions, first steps, loss curves, crops, activations."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from colorcourse.recording import record
from colorkit.color import join_lab, lab_to_rgb, split_lab
from colorkit.models.colorizer import evaluating
from colorkit.plots import colour_alone, loss_curves, picture_grid
from colorkit.widgets import Drawing, explore

RECORDED = Path(__file__).parents[1] / "recorded" / "crops.csv"
TINTS = ("black", "#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00")
NORMS = {"none": nn.Identity, "batch": nn.BatchNorm2d}
NORMS["instance"] = partial(nn.InstanceNorm2d, affine=True)


noted: dict[str, tuple[float, str]] = {}  # numbers by name, with their units, for `record_all`


def record_all() -> None:
    """Record what the lesson has measured: at its end, for a record shows as a line."""
    for key, (value, unit) in noted.items():
        record(key, value, unit)


class Conv(NamedTuple):
    """One convolution: square kernels, the same numbers along both sides."""

    channels_in: int
    channels_out: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    dilation: int = 1


# --- pictures -------------------------------------------------------------------------------------


def spoiled(lab: Tensor, errors: Sequence[float], generator: torch.Generator) -> Figure:
    """A photograph, then its colours faded, turned and noisy: a row each, a column an MSE of ab."""
    L, ab = split_lab(lab)
    rows = {kind: {"the truth": lab_to_rgb(lab)} for kind in ("faded", "turned", "noise")}
    for mse in errors:
        for (kind, row), wrong in zip(rows.items(), perturb(ab, mse, generator), strict=True):
            row[f"{kind}, MSE {mse:g}"] = lab_to_rgb(join_lab(L, wrong))
    return picture_grid(list(rows.values()), height=1.5)


def perturb(ab: Tensor, mse: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Three versions of ab (N, 2, H, W) with exactly this error: faded, hue turned, noise.

    >>> ab = torch.randn(1, 2, 9, 9) * 20
    >>> [round(F.mse_loss(wrong, ab).item()) for wrong in perturb(ab, 50, torch.Generator())]
    [50, 50, 50]
    """
    power = ab.square().mean()
    if not 0 <= mse <= power:
        raise ValueError(f"an MSE of {mse:g} is not between 0 and that of gray, {power:.4g}")
    share = (mse / power).sqrt()
    angle = 2 * torch.asin(share / 2)  # a turn by this angle moves ab by share * |ab|
    a, b = ab.split(1, dim=1)
    turned = torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], 1)
    noise = torch.randn(ab.shape, generator=generator).to(ab.device)
    return ab * (1 - share), turned, ab + noise * (mse / noise.square().mean()).sqrt()


def by_hand(picture: Tensor, kernel: Tensor, response: Tensor) -> Figure:
    """A small picture, a kernel, its response and that after ReLU, with their numbers written."""
    panels = {"picture": picture, "kernel": kernel, "response": response}
    panels["response after ReLU"] = response.relu()
    sizes = [values.shape[1] for values in panels.values()]
    fig, axes = plt.subplots(1, 4, figsize=(10, 3.4), width_ratios=sizes, layout="constrained")
    for ax, (title, values) in zip(axes, panels.items(), strict=True):
        ax.imshow(values.numpy(), cmap="PuOr", vmin=-6, vmax=6)
        for y, x in product(*map(range, values.shape)):
            ax.text(x, y, f"{values[y, x].item():g}", ha="center", va="center", fontsize=11)
        ax.set(title=title, xticks=[], yticks=[])
    return fig


def truth_beside(L: Tensor, truth: Tensor, predictions: Mapping[str, Tensor]) -> Figure:
    """Truth beside predictions of ab; below them the same without lightness.

    L is (1, 1, H, W); truth and predictions, by their titles, are (1, 2, H, W).
    """
    columns = {"truth": truth, **predictions}
    coloured = {title: lab_to_rgb(join_lab(L, ab)) for title, ab in columns.items()}
    alone = {f"{title}, alone": colour_alone(L, ab) for title, ab in columns.items()}
    blank = torch.full_like(L, 100.0)
    return picture_grid([{"L, the input": L, **coloured}, {" ": blank, **alone}])


def snapshot_scrubber(lab: Tensor, snapshots: Mapping[int, Tensor]) -> None:
    """A slider through what a network had learned: its ab (1, 2, H, W) by the steps done."""
    import ipywidgets  # not where the study is recorded

    kept = {n: ab.detach().cpu().clone() for n, ab in snapshots.items()}  # training may go on
    L, truth = split_lab(lab.cpu())

    def draw(step: int) -> Drawing:
        title = f"step {step}, MSE {F.mse_loss(kept[step], truth).item():.3g}"
        alt = f"The photograph and the network's colours at {title}; below, the same colours alone."
        return truth_beside(L, truth, {title: kept[step]}), alt

    slider = ipywidgets.SelectionSlider(
        options=sorted(kept), value=min(kept), description="steps", layout={"width": "32em"}
    )
    explore(draw, step=slider)


def error_table(guesses: Mapping[str, Tensor], ab: Tensor, **recorded: str) -> pd.DataFrame:
    """MSE of several ab; `recorded` maps the name of a number to the guess whose error it is."""
    errors = {name: F.mse_loss(guess, ab).item() for name, guess in guesses.items()}
    noted.update({key: (errors[name], "ab²") for key, name in recorded.items()})
    return pd.DataFrame({"MSE": errors}).round(1)


# --- gradients and curves -------------------------------------------------------------------------


@torch.no_grad()
def downhill(net: nn.Module, L: Tensor, ab: Tensor, rates: Sequence[float]) -> pd.DataFrame:
    """Steps of several sizes against the gradient in ``p.grad``: promised and measured losses.

    A step of rate r promises a loss lower by r |gradient|². The network is left as it is.
    """
    before = F.mse_loss(net(L), ab).item()
    squared = sum(float(p.grad.square().sum()) for p in net.parameters())
    rows = {}
    for rate in rates:
        moved = copy.deepcopy(net)
        for p, own in zip(moved.parameters(), net.parameters(), strict=True):
            p -= rate * own.grad
        after = F.mse_loss(moved(L), ab).item()
        rows[f"{rate:.0e}"] = {"promised": before - rate * squared, "measured": after}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("learning rate")


def scales(net: nn.Module, L: Tensor) -> pd.DataFrame:
    """Each convolution's largest weight, and the standard deviation of its output for L."""
    bare, columns = replace_norms(copy.deepcopy(net), nn.Identity), {}
    for title, each in {"std of the output": net, "std, no normalisation": bare}.items():
        convs = [m for m in each.modules() if isinstance(m, nn.Conv2d)]
        columns["largest weight"] = [m.weight.abs().max().item() for m in convs]
        columns[title] = [out.std().item() for out in outputs(each, convs, L)]
    return pd.DataFrame(columns, [str(tuple(m.weight.shape)) for m in convs]).round(3)


def step_sizes(net: nn.Module, lr: float) -> pd.DataFrame:
    """How far single weights move in a first step by ``p.grad``: gradient descent and Adam."""
    gradient = torch.cat([p.grad.flatten() for p in net.parameters()])
    moved = copy.deepcopy(net)
    for p, own in zip(moved.parameters(), net.parameters(), strict=True):
        p.grad = own.grad.clone()
    torch.optim.Adam(moved.parameters(), lr=lr).step()
    pairs = zip(moved.parameters(), net.parameters(), strict=True)
    adam = torch.cat([(p - own).detach().flatten() for p, own in pairs])
    shares = torch.tensor([0.1, 0.5, 0.9], device=adam.device)
    rows = {"gradient descent": lr * gradient, "Adam": adam}
    table = {name: x.abs().quantile(shares).tolist() for name, x in rows.items()}
    columns = ["10th percentile", "median", "90th percentile"]
    return pd.DataFrame.from_dict(table, orient="index", columns=columns).rename_axis(f"lr {lr:g}")


def tinted(fig: Figure, curves: Sequence, levels: Sequence) -> Figure:
    """The figure of `loss_curves` with these colours of its curves and of its levels."""
    (ax,) = fig.axes
    for line, tint in zip(ax.lines, (*curves, *levels), strict=True):
        line.set_color(tint)
    for text, tint in zip(ax.texts, levels, strict=True):
        text.set_color(tint)
    ax.legend(fontsize=8)
    return fig


def learning_figure(curves: Mapping[str, Sequence[float]], blind: Mapping[str, Mapping]) -> Figure:
    """Loss curves of two photographs on logarithmic axes, and the errors of blind guesses."""
    kinds, tints = ("mean colour", "coarse colour"), ("#d55e00", "#0072b2")
    fig = loss_curves(curves, {f"{name}, {k}": blind[name][k] for name in curves for k in kinds})
    fig.axes[0].set(xlim=(1, fig.axes[0].get_xlim()[1]), xscale="log")
    return tinted(fig, tints, [tint for tint in tints for _ in kinds])


def rates_figure(curves: Mapping[str, Sequence[float]], ab: Tensor) -> Figure:
    """Loss curves on one ab (1, 2, H, W), with the errors of gray and of the mean colour."""
    flat = ab.var((2, 3), correction=0).mean().item()
    fig = loss_curves(curves, {"gray\n": ab.square().mean().item(), "\nmean colour": flat})
    return tinted(fig, TINTS[: len(curves)], ["dimgray"] * 2)


def rates_table(curves: Mapping[str, Sequence[float]], ab: Tensor) -> pd.DataFrame:
    """Four readings of the loss curve of each learning rate, of at least 40 losses on one ab."""
    rows, gray = {}, ab.square().mean().item()
    for name, losses in curves.items():
        last, before = fmean(losses[-20:]), fmean(losses[-40:-20])
        rows[name] = {
            "steps to beat gray": next((i for i, x in enumerate(losses) if x < gray), float("nan")),
            "highest / first": max(losses) / losses[0],
            "mean of last 20": last,
            "still falling": last < 0.95 * before,
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    steps, leaps = table["steps to beat gray"], table["highest / first"]
    if steps.notna().all():  # a short run at the smallest rate may never beat gray
        noted["steps_of_smallest_rate"] = steps.iloc[0] / steps.iloc[1], "times the next's"
    noted["best_rate"] = float(table["mean of last 20"].idxmin().removeprefix("lr ")), ""
    noted["leap_of_good_rates"] = leaps.iloc[:4].max(), "times the first loss"
    noted["leap_of_high_rates"] = leaps.iloc[4:].min(), "times the first loss"
    table.loc["one mean colour", "mean of last 20"] = ab.var((2, 3), correction=0).mean().item()
    return table.round(2)


# --- crops ----------------------------------------------------------------------------------------


def random_crops(lab: Tensor, count: int, size: int, generator: torch.Generator) -> Tensor:
    """Crops at random places of one picture (1, C, H, W): (count, C, size, size)."""
    height, width = lab.shape[-2:]
    tops = torch.randint(height - size + 1, (count,), generator=generator).tolist()
    lefts = torch.randint(width - size + 1, (count,), generator=generator).tolist()
    corners = zip(tops, lefts, strict=True)
    return torch.cat([lab[..., y : y + size, x : x + size] for y, x in corners])


def replace_norms(net: nn.Module, norm: Callable[[int], nn.Module]) -> nn.Module:
    """Put norm(channels) in the place of each instance normalisation of a network."""
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.InstanceNorm2d):
                setattr(module, name, norm(child.num_features))
    return net


def crops_run(
    fit: Callable, net: nn.Module, lab: Tensor, count: int, size: int, steps: int, every: int
) -> list[float]:
    """Train on `count` random crops a step; `every` so many steps, the error on the photograph.

    It is measured in evaluation mode on crops that cover it: what the network saw in training.
    """
    side = lab.shape[-1] // size * size
    rows = lab[:, :, :side, :side].split(size, 2)
    tiles = torch.cat([tile for row in rows for tile in row.split(size, 3)])
    draw, errors = torch.Generator().manual_seed(torch.initial_seed()), []

    def measure(step: int) -> None:
        if step % every == 0:
            with torch.no_grad(), evaluating(net):
                errors.append(F.mse_loss(net(tiles[:, :1]), tiles[:, 1:]).item())

    fit(net, lambda: split_lab(random_crops(lab, count, size, draw)), steps, after=measure)
    return errors


def batch_runs(
    fit: Callable, make: Callable[[], nn.Module], lab: Tensor, size: int, steps: int, seed: int
) -> dict[int, list[float]]:
    """`crops_run` of networks for 1, 4, 16 crops a batch: that of 1 takes four times the steps."""
    runs = {}
    for count, length in ((1, 4 * steps), (4, steps), (16, steps)):
        torch.manual_seed(seed)
        runs[count] = crops_run(fit, make(), lab, count, size, length, max(1, steps // 40))
    return runs


def batch_table(runs: Mapping[int, Sequence[float]]) -> pd.DataFrame:
    """Errors of `batch_runs` at equal steps and at equal crops, means of three of 40 each."""
    thin = {count: len(errors) // 40 for count, errors in runs.items()}
    runs = {count: errors[thin[count] - 1 :: thin[count]] for count, errors in runs.items()}
    quarter, end = slice(7, 10), slice(-3, None)
    at = {
        "after equal steps": {1: quarter, 4: end, 16: end},
        "after equal crops": {1: end, 4: end, 16: quarter},
    }
    rows = {key: {k: fmean(runs[k][part]) for k, part in x.items()} for key, x in at.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="crops a batch")


def batch_answer(table: pd.DataFrame) -> str:
    """Which batch size is best at equal crops; how 16 crops compare with 1 is recorded."""
    for name, errors in table.iterrows():
        key = name.removeprefix("after ").replace(" ", "_")
        noted[f"batch_16_{key}"] = errors[16] / errors[1], "times the error of 1"
    return "1 crop" if (best := table.iloc[1].idxmin()) == 1 else f"{best} crops"


def batch_figure(runs: Mapping[int, Sequence[float]], steps: int) -> Figure:
    """Errors of `batch_runs` twice: against steps, and against crops seen."""
    fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.6), sharey=True, layout="constrained")
    for (count, errors), colour in zip(runs.items(), ("#d55e00", "#0072b2", "black"), strict=True):
        apart = (4 if count == 1 else 1) * steps / len(errors)
        for ax, scale in zip(axes, (1, count), strict=True):
            x = [(i + 1) * apart * scale for i in range(len(errors))]
            ax.semilogy(x, errors, color=colour, label=f"{count} crop{'s' * (count > 1)} a batch")
    axes[0].set(xlabel="step", xlim=(0, steps), ylabel="ab MSE (ab²)", title="at equal steps")
    axes[1].set(xlabel="crops seen", xlim=(0, 4 * steps), title="at equal crops")
    axes[0].legend(fontsize=9)
    return fig


def recorded_batches() -> pd.DataFrame:
    """The recorded study of scripts/crops.py: mean error and range over seeds, a row a norm."""
    frame = pd.read_csv(RECORDED, comment="#").melt(("norm", "crops", "seed"), var_name="after")
    groups = frame.groupby(["norm", "after", "crops"]).value
    texts = groups.agg(lambda x: f"{x.mean():.0f} ({x.min():.0f} to {x.max():.0f})")
    table = texts.unstack(["after", "crops"])
    return table.loc[list(NORMS), ["after equal steps", "after equal crops"]]


# --- inside the network ---------------------------------------------------------------------------


@torch.no_grad()
def outputs(net: nn.Module, layers: Iterable[nn.Module], L: Tensor) -> list[Tensor]:
    """What each of a network's layers gives for L."""
    seen: list[Tensor] = []
    hooks = [x.register_forward_hook(lambda *call: seen.append(call[-1])) for x in layers]
    net(L)
    for hook in hooks:
        hook.remove()
    return seen


def activation_grid(nets: Mapping[str, nn.Module], L: Tensor) -> Figure:
    """The channel of largest variance of each block of ``net.groups``, on its own scale."""
    rows = []
    for name, net in nets.items():
        best = [out[out.flatten(1).var(1).argmax()] for (out,) in outputs(net, net.groups, L)]
        rows.append({f"{name}, block {i}": 100 * x[None] / x.max() for i, x in enumerate(best, 1)})
    return picture_grid(rows)

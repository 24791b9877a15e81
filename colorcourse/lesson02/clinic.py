"""The debugging clinic: one short program, seven ways to break it, and the instruments to tell.

Each patient is the same program with one line broken. :func:`examine` runs it under instruments and
returns a :class:`Chart`; :func:`diagnose` reads a chart. A student names the fault of each patient
and writes the line as it should be; the mended program is then run and read in the same way, so
that any line that cures is right.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.color import join_lab, lab_to_rgb, rgb_to_lab
from colorkit.models.cnn import DilatedCNN
from colorkit.plots import draw_picture

STEPS = 60
PROGRAM = (
    "lab = rgb_to_lab(picture.permute(0, 3, 1, 2))",
    "L, ab = lab[:, :1], lab[:, 1:]",
    "net = DilatedCNN(kernels=16)",
    "optimizer = Adam(net.parameters(), lr=5e-3)",
    "for step in range(steps):",
    "    prediction = net(L)",
    "    loss = mse_loss(prediction, ab)",
    "    optimizer.zero_grad()",
    "    loss.backward()",
    "    look(net, L, ab, prediction, loss)",
    "    optimizer.step()",
)

FAULTS = (
    "ReLU on the output",
    "a and b swapped",
    "learning rate too high",
    "zero_grad forgotten",
    "optimizer of another model",
    "target scaled, prediction not",
    "NHWC read as NCHW",
)
HEALTHY = "healthy"


@dataclass(frozen=True)
class Patient:
    """A broken program: its fault, the number of the broken line (from 1), and that line."""

    fault: str
    number: int
    line: str


# The order is shuffled, so that a patient's letter says nothing.
PATIENTS: dict[str, Patient] = {
    "A": Patient("zero_grad forgotten", 8, "# optimizer.zero_grad()"),
    "B": Patient("target scaled, prediction not", 7, "loss = mse_loss(prediction, ab / 110)"),
    "C": Patient(
        "optimizer of another model",
        4,
        "optimizer = Adam(net.parameters(), lr=5e-3); net = DilatedCNN(kernels=16)",
    ),
    "D": Patient("a and b swapped", 2, "L, ab = lab[:, :1], lab[:, [2, 1]]"),
    "E": Patient("learning rate too high", 4, "optimizer = Adam(net.parameters(), lr=5)"),
    "F": Patient(
        "NHWC read as NCHW", 1, "lab = rgb_to_lab(picture.view(1, 3, *picture.shape[1:3]))"
    ),
    "G": Patient("ReLU on the output", 6, "prediction = net(L).relu()"),
}


@dataclass
class Chart:
    """What the instruments read while a program ran."""

    gray: float  # MSE of ab when everything is gray: what the loss must beat
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)  # length of the whole gradient, each step
    changed: float = 0.0  # share of the network's weights that differ from their first value
    low: float = 0.0  # lowest and highest value of the last prediction, Lab units
    high: float = 0.0
    lightness_error: float = 0.0  # mean distance of the batch's L from the photograph's
    colour_error: float = 0.0  # and of its ab
    batch: Tensor | None = None  # the batch as a picture, RGB (1, 3, H, W)
    result: Tensor | None = None  # the last prediction as a picture

    @property
    def norm_growth(self) -> float:
        """Gradient norm of the last ten steps over that of the first ten."""
        return sum(self.norms[-10:]) / max(sum(self.norms[:10]), 1e-12)

    def readings(self) -> dict[str, float]:
        """The readings as numbers, in the order in which one looks at them."""
        return {
            "loss, first": self.losses[0],
            "loss, highest": max(self.losses),
            "loss, last": self.losses[-1],
            "gradient norm, last / first": self.norm_growth,
            "weights changed, %": 100 * self.changed,
            "prediction, lowest": self.low,
            "prediction, highest": self.high,
        }


def source(letter: str | None = None, cure: tuple[int, str] | None = None) -> list[str]:
    """The lines of a patient's program (None: the healthy one), with one line mended if asked.

    Raises
    ------
    ValueError
        If there is no such patient or line.

    Examples
    --------
    >>> source("G")[5], source("G", cure=(6, "prediction = net(L)"))[5]
    ('    prediction = net(L).relu()', '    prediction = net(L)')
    """
    lines = list(PROGRAM)
    if letter is not None:
        if letter not in PATIENTS:
            raise ValueError(f"there is no patient {letter!r}: choose from {', '.join(PATIENTS)}")
        lines = _replace(lines, PATIENTS[letter].number, PATIENTS[letter].line)
    return lines if cure is None else _replace(lines, *cure)


def _replace(lines: list[str], number: int, line: str) -> list[str]:
    if not isinstance(number, int) or not 1 <= number <= len(lines):
        raise ValueError(f"there is no line {number!r}: lines are numbered 1 to {len(lines)}")
    old = lines[number - 1]
    indent = old[: len(old) - len(old.lstrip())]
    return [*lines[: number - 1], indent + line.strip(), *lines[number:]]


def print_program(letter: str | None = None) -> None:
    """Print a patient's program with numbered lines."""
    for number, line in enumerate(source(letter), 1):
        print(f"{number:2d}  {line}")


def examine(
    picture: Tensor,
    letter: str | None = None,
    cure: tuple[int, str] | None = None,
    seed: int = 0,
    steps: int = STEPS,
) -> Chart:
    """Run a patient's program on a photograph under instruments.

    Parameters
    ----------
    picture : Tensor
        RGB, uint8, (1, H, W, 3): as a file decoder gives it, channels last.
    letter : str, optional
        The patient; None runs the healthy program.
    cure : (int, str), optional
        The number of a line and the line as it should be.
    seed, steps : int

    Raises
    ------
    ValueError
        For an unknown patient or line.
    Exception
        Whatever the program itself raises.
    """
    text = "\n".join(source(letter, cure))
    truth = rgb_to_lab(picture.permute(0, 3, 1, 2))
    chart = Chart(gray=truth[:, 1:].square().mean().item())
    first: list[Tensor] = []

    def look(net: nn.Module, L: Tensor, ab: Tensor, prediction: Tensor, loss: Tensor) -> None:
        _read(chart, net, L, ab, prediction, loss, first, truth)

    names = {
        "picture": picture,
        "steps": steps,
        "look": look,
        "rgb_to_lab": rgb_to_lab,
        "DilatedCNN": DilatedCNN,
        "Adam": torch.optim.Adam,
        "mse_loss": F.mse_loss,
        "torch": torch,
        "F": F,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        exec(compile(text, f"<patient {letter or HEALTHY}>", "exec"), names)
    if not chart.losses:
        raise ValueError("the program never reached look(...): no reading was taken")
    return chart


@torch.no_grad()
def _read(chart, net, L, ab, prediction, loss, first, truth) -> None:
    weights = [p.detach() for p in net.parameters()]
    if not first:
        first.extend(copy.deepcopy(weights))
    chart.losses.append(float(loss.detach()))
    squares = [p.grad.square().sum() for p in net.parameters() if p.grad is not None]
    chart.norms.append(float(sum(squares)) ** 0.5)
    differ = sum(int((a != b).sum()) for a, b in zip(weights, first, strict=True))
    chart.changed = differ / sum(w.numel() for w in weights)
    chart.low, chart.high = float(prediction.min()), float(prediction.max())
    chart.lightness_error = float((L - truth[:, :1]).abs().mean())
    chart.colour_error = float((ab - truth[:, 1:]).abs().mean())
    chart.batch = lab_to_rgb(join_lab(L, ab))
    chart.result = lab_to_rgb(join_lab(L, prediction.nan_to_num().clamp(-200, 200)))


def diagnose(chart: Chart) -> str:
    """The fault that a chart shows, ``"healthy"``, or ``"unknown"``.

    The order is the one in which to look: the data first, then whether anything moves, then how.
    The thresholds lie far from all readings over several seeds and photographs; a test proves it.
    """
    if chart.lightness_error > 2:
        return "NHWC read as NCHW"
    if chart.colour_error > 2:
        return "a and b swapped"
    if chart.changed == 0:
        return "optimizer of another model"
    if max(chart.losses) > 10 * max(chart.losses[0], chart.gray):
        return "learning rate too high"
    if chart.low >= 0:
        return "ReLU on the output"
    if chart.norm_growth > 0.7:
        return "zero_grad forgotten"
    if max(-chart.low, chart.high) < 10:
        return "target scaled, prediction not"
    return HEALTHY if chart.losses[-1] < chart.gray / 2 else "unknown"


def treat(picture: Tensor, table: Mapping[str, tuple[str, int, str]]) -> dict[str, Chart]:
    """The charts of the mended patients; a program that stops with an error is named and left out.

    Parameters
    ----------
    picture : Tensor
        As in :func:`examine`.
    table : mapping
        Patient to (fault, number of the line, the line as it should be).
    """
    charts = {}
    for letter, (_, number, line) in table.items():
        try:
            charts[letter] = examine(picture, letter, (number, line))
        except Exception as error:  # the student's own line may raise anything
            print(f"patient {letter} stops with {type(error).__name__}: {error}")
    return charts or {HEALTHY: examine(picture)}


def print_readings(charts: Mapping[str, Chart]) -> None:
    """Print the readings of several charts as a table, a column a chart."""
    print(" " * 28, *(f"{name:>9.9}" for name in charts))
    tables = [chart.readings() for chart in charts.values()]
    for reading in tables[0]:
        print(f"{reading:28}", *(f"{table[reading]:9.3g}" for table in tables))


def plot_charts(charts: Mapping[str, Chart]) -> Figure:
    """For each chart a column: loss, gradient norm, the batch as a picture, and the prediction."""
    fig, axes = plt.subplots(
        4, len(charts), figsize=(1.15 * len(charts), 4.9), squeeze=False, layout="constrained"
    )
    for column, (name, chart) in zip(axes.T, charts.items(), strict=True):
        _draw_chart(column, name, chart)
    for row in axes[:2]:
        _share_scale(row)
    for ax, label in zip(axes[:, 0], ("loss", "gradient norm", "batch", "prediction"), strict=True):
        ax.text(-0.45, 0.5, label, rotation=90, va="center", ha="center", transform=ax.transAxes)
    return fig


def _draw_chart(column, name: str, chart: Chart) -> None:
    column[0].semilogy(chart.losses, color="tab:blue")
    column[0].axhline(chart.gray, color="gray", ls=":", lw=1)
    column[0].set_title(name, fontsize=10)
    column[1].semilogy(chart.norms, color="tab:red")
    for ax in column[:2]:
        ax.tick_params(labelsize=6)
        ax.set_xticks([])
    draw_picture(column[2], chart.batch)
    draw_picture(column[3], chart.result)


def _share_scale(row) -> None:
    low = min(ax.get_ylim()[0] for ax in row)
    high = max(ax.get_ylim()[1] for ax in row)
    for number, ax in enumerate(row):
        ax.set_ylim(low, high)
        if number:
            ax.set_yticklabels([])

"""Lesson 2's clinic: one short program, seven ways to break one of its lines, and instruments.

A student names the fault of each run and writes the line as it should be. The mended program is
then run and read in the same way, so that any line that cures is right.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from colorcourse.clinic import HEALTHY, Clinic
from colorkit.color import join_lab, lab_to_rgb, rgb_to_lab
from colorkit.models.cnn import DilatedCNN
from colorkit.plots import draw_picture

PROGRAM = (
    "lab = rgb_to_lab(picture.permute(0, 3, 1, 2))",
    "L, ab = lab[:, :1], lab[:, 1:]",
    "net = DilatedCNN(16)",
    "optimizer = Adam(net.parameters(), lr=5e-3)",
    "for step in range(steps):",
    "    prediction = net(L)",
    "    loss = mse_loss(prediction, ab)",
    "    optimizer.zero_grad()",
    "    loss.backward()",
    "    look(net, L, ab, prediction, loss)",
    "    optimizer.step()",
)
ON_ITS_SIDE, TOO_SLOW = "rows and columns swapped", "unknown: the loss hardly falls"
READINGS = ("batch", "weights", "loss", "gradient norm", "prediction")
BROKEN = {  # fault: its line's number, from 1; that line; readings that show it; where in them
    "zero_grad not called": (8, "optimizer.zero_grad", ("gradient norm",),
        "its gradient norm: how it changes from the first step to the last"),
    "target scaled, prediction not": (7, "loss = mse_loss(prediction, ab / 110)",
        ("prediction", "loss"), "its tiny loss together with the range of its prediction"),
    "optimizer of another model": (
        4, "optimizer = Adam(net.parameters(), lr=5e-3); net = DilatedCNN(16)", ("weights",),
        "the share of its weights that changed"),
    "a and b swapped": (2, "L, ab = lab[:, :1], lab[:, [2, 1]]", ("batch",),
        "the colours of its batch, beside the photograph's"),
    "learning rate too high": (4, "optimizer = Adam(net.parameters(), lr=5)",
        ("loss", "gradient norm"), "the highest loss of its run"),
    "NHWC read as NCHW": (1, "lab = rgb_to_lab(picture.view(1, 3, *picture.shape[1:3]))",
        ("batch",), "its batch: is that the photograph?"),
    "ReLU on the output": (6, "prediction = net(L).relu()", ("prediction",),
        "the lowest value of its prediction"),
}  # fmt: skip


def numbered(lines: Iterable[str]) -> str:
    """Lines of a program behind their numbers, from 1."""
    return "\n".join(f"{number:2d}  {line}" for number, line in enumerate(lines, 1))


RUNS = zip("ABCDEFG", BROKEN.values(), strict=True)
BROKEN_LINES = "\n".join(f"{run}  {line[0]:2d}  {line[1]}" for run, line in RUNS)
WHY = f"""\
A, C  The gradient norm grows in both, since C's zero_grad() empties the gradients of another
      network. But none of C's weights changed. (Its first loss is another random draw.)
B     The loss is low, but the prediction is nearly gray, and gray itself would score less. Losses
      in different units cannot be compared.
D, F  The batch: its colours are wrong in D, whose loss looks healthy; in F it is no photograph.
E     The loss leaps far above its first value, and the gradient norm with it.
G     No prediction is below 0. On a ginger cat, mostly of positive a and b, that might pass.

The program as it should be:
{numbered(PROGRAM)}

The broken lines, by run:
{BROKEN_LINES}"""
solved = False  # whether the latest diagnosis that was checked was right


def program(fault: str, mended: tuple[int, str] | None = None) -> list[str]:
    """The lines of the program with a fault; `mended` puts a line in place of that number's.

    >>> program("ReLU on the output")[5], program("healthy")[5]
    ('    prediction = net(L).relu()', '    prediction = net(L)')
    """
    lines, broken = list(PROGRAM), BROKEN.get(fault)
    for number, line in filter(None, (broken and broken[:2], mended)):
        if not isinstance(number, int) or not 1 <= number <= len(lines):
            raise ValueError(f"there is no line {number!r}: lines are numbered 1 to {len(lines)}")
        indent = "    " if PROGRAM[number - 1].startswith(" ") else ""
        lines[number - 1] = indent + line.strip()
    return lines


def print_program(letter: str, named: str) -> None:
    """Print a run's program with numbered lines if its fault is named, else where to look."""
    if hint := training_clinic.hint(training_clinic.names(**{letter: named})):
        print(hint)
        return
    print(numbered(program(training_clinic.fault(letter))))


@dataclass
class Log:
    """What the instruments noted while a program ran."""

    gray: float  # MSE of ab when everything is gray: what the loss must beat
    target_gray: float = 0.0  # the same for the target that the program compares with
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)  # length of the whole gradient, each step
    changed: float = 0.0  # share of the network's weights that differ from their first value
    low: float = 0.0  # lowest and highest value of the last prediction, Lab units
    high: float = 0.0
    lightness_error: float = 0.0  # mean distance of the batch's L from the photograph's
    side_error: float = 0.0  # the same for the photograph with rows and columns swapped
    colour_error: float = 0.0  # and of its ab
    batch: Tensor | None = None  # the batch as a picture, RGB (1, 3, H, W)
    result: Tensor | None = None  # the last prediction as a picture

    @property
    def norm_growth(self) -> float:
        """Gradient norm of the last ten steps over that of the first ten."""
        return sum(self.norms[-10:]) / max(sum(self.norms[:10]), 1e-12)

    def readings(self) -> dict[str, float]:
        return {
            "loss, first": self.losses[0],
            "loss, highest": max(self.losses),
            "loss, last": self.losses[-1],
            "gradient norm, last ten / first ten": self.norm_growth,
            "weights changed, %": 100 * self.changed,
            "prediction, lowest": self.low,
            "prediction, highest": self.high,
        }


def run(
    fault: str, picture: Tensor, mended: tuple[int, str] | None = None, seed: int = 0,
    steps: int = 60,
) -> Log:  # fmt: skip
    """Run the program with a fault, or with a line mended, under instruments.

    `picture` is RGB, uint8, (1, H, W, 3): as a file decoder gives it, channels last. Raises
    whatever the program itself raises, and ValueError where it takes no reading.
    """
    true = rgb_to_lab(picture.permute(0, 3, 1, 2))
    log = Log(gray=true[:, 1:].square().mean().item())
    first: list[Tensor] = []

    def mse_loss(prediction: Tensor, target: Tensor) -> Tensor:
        log.target_gray = target.detach().square().mean().item()
        return F.mse_loss(prediction, target)

    @torch.no_grad()
    def look(net: nn.Module, L: Tensor, ab: Tensor, prediction: Tensor, loss: Tensor) -> None:
        weights = [p.detach() for p in net.parameters()]
        first.extend(() if first else copy.deepcopy(weights))
        log.losses.append(float(loss.detach()))
        squares = [p.grad.square().sum() for p in net.parameters() if p.grad is not None]
        log.norms.append(float(sum(squares)) ** 0.5)
        differ = sum(int((a != b).sum()) for a, b in zip(weights, first, strict=True))
        log.changed = differ / sum(w.numel() for w in weights)
        log.low, log.high = float(prediction.min()), float(prediction.max())
        log.lightness_error = float((L - true[:, :1]).abs().mean())
        log.side_error = float((L.mT - true[:, :1]).abs().mean())
        log.colour_error = float((ab - true[:, 1:]).abs().mean())
        log.batch = lab_to_rgb(join_lab(L, ab))
        log.result = lab_to_rgb(join_lab(L, prediction.nan_to_num().clamp(-200, 200)))

    names = {
        "picture": picture, "steps": steps, "look": look, "rgb_to_lab": rgb_to_lab,
        "DilatedCNN": DilatedCNN, "Adam": torch.optim.Adam, "mse_loss": mse_loss, "torch": torch,
        "F": F,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        exec(compile("\n".join(program(fault, mended)), f"<{fault}>", "exec"), names)
    if not log.losses:
        raise ValueError("the program never reached look(...): no reading was taken")
    return log


def mended(_: object, fault: str, picture: Tensor, number: int, line: str) -> tuple[str, Log]:
    """What stopped the program with a student's line, if anything did, and what was noted."""
    try:
        return "", run(fault, picture, (number, line), steps=40)
    except Exception as error:
        return f"{type(error).__name__}: {error}", Log(0.0)


def diagnosis(log: Log) -> str:
    """The fault that a log shows, ``"healthy"``, or what else is wrong with a mended program.

    The order is the one in which to look: the data first, then whether anything moves, then how.
    The thresholds lie far from all readings over several seeds and photographs; a test proves it.
    """
    if log.lightness_error > 2:
        return ON_ITS_SIDE if log.side_error < 2 else "NHWC read as NCHW"
    if log.colour_error > 2:
        return "a and b swapped"
    if log.changed == 0:
        return "optimizer of another model"
    if max(log.losses) > 10 * max(log.losses[0], log.gray):
        return "learning rate too high"
    if log.low >= 0:
        return "ReLU on the output"
    if log.norm_growth > 1.2:
        return "zero_grad not called"
    if max(-log.low, log.high) < 10:
        return "target scaled, prediction not"
    return HEALTHY if log.losses[-1] < log.gray / 2 else TOO_SLOW


def draw(axes, log: Log) -> None:
    """Loss and gradient norm over the steps, the batch, and the last prediction."""
    axes[0].semilogy(log.losses, color="tab:blue")
    axes[0].axhline(log.target_gray, color="gray", ls=":", lw=1)
    axes[1].semilogy(log.norms, color="tab:red")
    for ax in axes[:2]:
        ax.tick_params(labelsize=6)
        ax.set_xticks([0, len(log.losses)])
    draw_picture(axes[2], log.batch)
    draw_picture(axes[3], log.result)


training_clinic = Clinic(
    runs=dict(zip("ABCDEFG", BROKEN, strict=True)),
    symptoms={fault: shows for fault, (*_, shows) in sorted(BROKEN.items())},
    run=run,
    diagnosis=diagnosis,
    rows={"loss": 1.2, "gradient norm": 1.2, "batch": 1.2, "prediction": 1.2},
    draw=draw,
)


def figure(logs: Mapping[str, Log]) -> Figure:
    """The clinic's figure: gray, the first log's curves; an arrow where a curve leaves the axes."""
    fig, first = training_clinic.figure(logs), next(iter(logs.values()))
    for i, log in enumerate(logs.values()):
        rows = ((log.losses, first.losses, 1e4, 0.61), (log.norms, first.norms, 1e6, 0.85))
        for ax, (own, healthy, top, y) in zip(fig.axes[i :: len(logs)], rows, strict=False):
            ax.plot(healthy, color="0.7", lw=2.5, zorder=0)
            ax.set_ylim(top=top)
            if max(own) > top:
                ax.text(0.35, y, f"\u2191 to {max(own):.0e}", size=7, transform=ax.transAxes)
    return fig

"""What lesson 5 measures: a game of one dimension, shares, chosen colours, and a quiz."""

import html
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count

import matplotlib.pyplot as plt
import pandas as pd
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from colorkit.adversarial import accuracy
from colorkit.batches import Batches
from colorkit.color import fit_gamut, join_lab, lab_to_rgb
from colorkit.data.pictures import Pair
from colorkit.evaluate import paired_difference
from colorkit.models.colorizer import evaluating
from colorkit.notebook import in_notebook
from colorkit.objects import ObjectColors
from colorkit.plots import figure_html, picture_row
from colorkit.training.adversarial import GameWarning, Rules, fit_adversarial
from colorkit.training.fit import Run
from colorkit.training.options import Options

POSSIBLE = 10.0  # ab units around a possible colour


# --- a game of one dimension -------------------------------------------------------------------


def toy_numbers(n: int) -> Tensor:
    """(n, 1) numbers: 70% around -2 and 30% around 2, both with a standard deviation of 0.5."""
    return torch.where(torch.rand(n, 1) < 0.7, -2.0, 2.0) + 0.5 * torch.randn(n, 1)


@dataclass(frozen=True)
class ToySnapshot:
    """What the players do at one moment: numbers made (n,), and the critic's answers on a grid."""

    made: Tensor
    grid: Tensor
    believes: Tensor  # D in 0..1
    losses: tuple[float, float]  # the critic's, the generator's


def toy_snapshot(generator: nn.Module, critic: nn.Module, losses: Sequence[Tensor]) -> ToySnapshot:
    """Keep a moment of the game."""
    grid = torch.linspace(-4.5, 4.5, 91)
    with torch.no_grad():
        made = generator(torch.randn(2000, 1))[:, 0]
        believes = critic(grid[:, None])[:, 0].sigmoid()
    return ToySnapshot(made, grid, believes, tuple(loss.item() for loss in losses))


# --- games --------------------------------------------------------------------------------------


def play(generator, critic, data, options: Options, rules: Rules) -> Run:
    """`fit_adversarial` in silence: what the game warns of is read from ``run.game.watch``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GameWarning)
        return fit_adversarial(generator, critic, data, options, rules, callbacks=())


def late(run: Run, column: str, last: float = 1 / 3) -> pd.Series:
    """A column of the history over the last part of the game's steps."""
    frame = pd.DataFrame(run.history.rows)
    return frame.loc[frame.step > (1 - last) * frame.step.max(), column].dropna()


@torch.no_grad()
def tells(critic: nn.Module, pair: Pair, others: Mapping[str, Tensor]) -> pd.Series:
    """How often a critic is right on true colours against others: its balanced accuracy.

    Parameters
    ----------
    pair : (L, ab)
    others : mapping of str to Tensor
        Name to ab (N, 2, H, W) that are not the true ones.
    """
    L, ab = (plane.to(next(critic.parameters()).device) for plane in pair)
    with evaluating(critic):
        true = critic(L, ab)
        return pd.Series(
            {name: accuracy(true, critic(L, x.to(L))).item() for name, x in others.items()}
        )


def learn_pairs(
    critic: nn.Module, pair: Pair, loss: Callable, steps: int, batch: int = 16, seed: int = 0
) -> nn.Module:
    """Train a critic alone to tell a picture's own true colours from those of another picture.

    Parameters
    ----------
    pair : (L, ab)
    loss : callable
        ``loss(true, others)`` of logits to a scalar.
    """
    device = next(critic.parameters()).device
    optimizer = torch.optim.Adam(critic.parameters(), 1e-3)
    data = Batches(pair, batch, seed=seed)
    batches = chain.from_iterable(data(epoch, 0) for epoch in count())
    for step, (L, ab) in zip(range(steps), batches, strict=False):
        L, ab = L.to(device), ab.to(device)
        answer = loss(critic(L, ab), critic(L, ab.roll(1 + step % (batch - 1), 0)))
        optimizer.zero_grad(set_to_none=True)
        answer.backward()
        optimizer.step()
    return critic.eval()


def shares(
    generator: nn.Module,
    critic: nn.Module,
    pair: Pair,
    losses: tuple[Callable, Callable],
    lambdas: Sequence[float],
    share_of_gradient: Callable,
) -> pd.DataFrame:
    """How large the adversarial part is, of the loss and of the gradient, for several lambda.

    Parameters
    ----------
    losses : (adversarial, pixel)
        ``adversarial(logits)`` and ``pixel(made, ab)``, both to a scalar.
    share_of_gradient : callable
        ``share_of_gradient(made, adversarial, pixel, lam)`` to a number from 0 to 1.

    Returns
    -------
    DataFrame
        A row a lambda: ``of the loss`` and ``of the gradient``.
    """
    device = next(generator.parameters()).device
    L, ab = (plane.to(device) for plane in pair)
    with evaluating(generator), evaluating(critic.to(device)):
        made = generator(L).detach().requires_grad_()
        adversarial, pixel = losses[0](critic(L, made)), losses[1](made, ab)
        rows = {}
        for lam in lambdas:
            rows[lam] = {
                "of the loss": (adversarial / (adversarial + lam * pixel)).item(),
                "of the gradient": float(share_of_gradient(made, adversarial, pixel, lam)),
            }
    return pd.DataFrame(rows).T.rename_axis("lambda")


# --- which colours are chosen -------------------------------------------------------------------


def possible(things: ObjectColors, name: str) -> Tensor:
    """Whether a model gives each object a colour it could have: float32 (M,) of 0 and 1."""
    return (things.nearest(name)[1] <= POSSIBLE).float()


def chosen(things: ObjectColors, names: Sequence[str]) -> pd.DataFrame:
    """How often each kind gets each of its colours, by a model, beside the known dice.

    Returns
    -------
    DataFrame
        A row for each kind and number of a colour (the last: none of them), the column ``dice``
        and one for each name.
    """
    columns = {"dice": things.probs}
    for name in names:
        numbers, distances = things.nearest(name)
        columns[name] = [
            torch.eye(len(p) + 1)[int(n) if d <= POSSIBLE else -1]
            for p, n, d in zip(things.probs, numbers, distances, strict=True)
        ]
    frames = []
    for name, values in columns.items():
        rows = [
            (kind, number, float(share))
            for kind, p in zip(things.table.kind, values, strict=True)
            for number, share in enumerate(p)
        ]
        frame = pd.DataFrame(rows, columns=["kind", "colour", name])
        frames.append(frame.groupby(["kind", "colour"])[name].mean())
    return pd.concat(frames, axis=1).fillna(0.0)


def mode_colours(things: ObjectColors) -> dict[tuple[str, int], list[float]]:
    """(kind, number of a colour) to its mean RGB, at L = 60: for `colorcourse.lesson05.figures`."""
    sums: dict[tuple[str, int], list[Tensor]] = {}
    for kind, colours in zip(things.table.kind, things.possible, strict=True):
        for number, ab in enumerate(colours):
            sums.setdefault((kind, number), []).append(ab)
    keys, ab = list(sums), torch.stack([torch.stack(values).mean(0) for values in sums.values()])
    plane = ab.T[None, :, :, None]
    L = torch.full_like(plane[:, :1], 60.0)
    rgb = lab_to_rgb(join_lab(L, fit_gamut(L, plane)))[0, :, :, 0].T.clamp(0, 1)
    return dict(zip(keys, rgb.tolist(), strict=True))


def frequency_error(frame: pd.DataFrame) -> pd.Series:
    """Total variation between chosen frequencies and the dice, mean over kinds, for each model."""
    off = frame.drop(columns="dice").sub(frame.dice, axis=0).abs()
    return off.groupby("kind").sum().mean() / 2


def leads(values: Mapping[str, Tensor], pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Paired differences of pictures or objects: a row a pair, with its 95% interval."""
    rows = {f"{a} - {b}": paired_difference(values[a], values[b])._asdict() for a, b in pairs}
    return pd.DataFrame(rows).T


# --- predicted or original? ---------------------------------------------------------------------


@dataclass
class Quiz:
    """Pairs of the same picture, one with its own colours, one with predicted ones.

    Parameters
    ----------
    pairs : sequence of (Tensor, Tensor)
        RGB (1, 3, H, W) each: original, predicted.
    seed : int
        Decides which stands at the left.
    """

    pairs: Sequence[tuple[Tensor, Tensor]]
    seed: int = 0
    answers: list[bool] = field(default_factory=list)  # right or wrong, one a pair

    def __post_init__(self) -> None:
        draw = torch.Generator().manual_seed(self.seed)
        self.original_left = (torch.rand(len(self.pairs), generator=draw) < 0.5).tolist()

    @property
    def done(self) -> bool:
        """Whether all pairs are answered."""
        return len(self.answers) == len(self.pairs)

    def shown(self) -> tuple[Tensor, Tensor]:
        """The pair to be judged now: left, right."""
        original, predicted = self.pairs[len(self.answers)]
        left = self.original_left[len(self.answers)]
        return (original, predicted) if left else (predicted, original)

    def answer(self, predicted: str) -> None:
        """Say which one is predicted, ``"left"`` or ``"right"``; the next pair comes up."""
        if predicted not in ("left", "right"):
            raise ValueError(f"the predicted one is 'left' or 'right', not {predicted!r}")
        if self.done:
            raise ValueError(f"all {len(self.pairs)} pairs are answered")
        self.answers.append((predicted == "right") == self.original_left[len(self.answers)])

    def score(self) -> tuple[int, int, float, float]:
        """Right answers, answers, and the 95% interval of the share of right ones (Wilson's)."""
        right, count = sum(self.answers), len(self.answers)
        interval = binomtest(right, count).proportion_ci(method="wilson")
        return right, count, float(interval.low), float(interval.high)

    def verdict(self) -> str:
        """The score in words."""
        right, count, low, high = self.score()
        told = "You can tell them apart." if low > 0.5 else "That may be guessing."
        told = "You are fooled: you take the predicted ones for true." if high < 0.5 else told
        return f"{right} of {count} right; the share lies in {low:.0%} to {high:.0%}. {told}"


def quiz_pairs(L: Tensor, ab: Tensor, made: Tensor, count: int = 20) -> list[tuple[Tensor, Tensor]]:
    """Pairs (original, predicted) of the first pictures: L (N, 1, H, W), the abs (N, 2, H, W)."""
    true, guess = (lab_to_rgb(join_lab(L, x.to(L))).clamp(0, 1) for x in (ab, made))
    return list(zip(true[:count].split(1), guess[:count].split(1), strict=True))


def show_quiz(quiz: Quiz) -> None:
    """The quiz as a widget: a pair, two buttons, and the score at the end."""
    if not in_notebook():
        print(f"a quiz of {len(quiz.pairs)} pairs: run it in Jupyter")
        return
    import ipywidgets
    from IPython.display import display

    picture, words = ipywidgets.HTML(), ipywidgets.HTML()
    buttons = {
        side: ipywidgets.Button(description=f"{side} is predicted") for side in ("left", "right")
    }

    def draw() -> str:
        left, right = quiz.shown()
        alt = f"Pair {len(quiz.answers) + 1}: the same picture twice, in two colourings."
        figure = picture_row({"left": left, "right": right}, 2.6)
        try:
            return figure_html(figure, alt)
        finally:
            plt.close(figure)  # else Jupyter shows it once more, below the cell

    def redraw() -> None:
        words.value = html.escape(
            quiz.verdict() if quiz.done else f"pair {len(quiz.answers) + 1} of {len(quiz.pairs)}"
        )
        picture.value = "" if quiz.done else draw()
        for button in buttons.values():
            button.disabled = quiz.done

    def on_click(side: str) -> Callable:
        def react(_: object) -> None:
            quiz.answer(side)
            redraw()

        return react

    for side, button in buttons.items():
        button.on_click(on_click(side))
    redraw()
    box = ipywidgets.VBox([words, picture, ipywidgets.HBox(list(buttons.values()))])
    bundle = dict(box._repr_mimebundle_())
    bundle["text/html"] = picture.value  # what a stored notebook shows, where no kernel runs
    bundle["text/plain"] = "a quiz: predicted or original?"
    display(bundle, raw=True)

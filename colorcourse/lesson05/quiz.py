"""Predicted or original? A quiz of pairs of the same picture, with its score."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import torch
from scipy.stats import binomtest
from torch import Tensor

from colorkit.color import join_lab, lab_to_rgb
from colorkit.notebook import in_notebook
from colorkit.plots import figure_html, picture_row


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

"""Predicted or original? A quiz of pairs of the same picture, with its score."""

import html
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import torch
from scipy.stats import binomtest
from torch import Tensor

from colorkit.color import join_lab, lab_to_rgb
from colorkit.notebook import in_notebook
from colorkit.plots import figure_html, picture_grid


@dataclass
class Quiz:
    """Pairs (original, predicted) of the same picture, RGB (1, 3, H, W); `seed` shuffles sides."""

    pairs: list[tuple[Tensor, Tensor]]
    seed: int = 0
    answers: list[bool] = field(default_factory=list)  # right or wrong, one a pair

    def __post_init__(self) -> None:
        draw = torch.Generator().manual_seed(self.seed)
        self.original_left = (torch.rand(len(self.pairs), generator=draw) < 0.5).tolist()

    @property
    def done(self) -> bool:
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

    def verdict(self) -> str:
        """The score in words, with the 95% interval of the share of right answers (Wilson's)."""
        right, count = sum(self.answers), len(self.answers)
        low, high = binomtest(right, count).proportion_ci(method="wilson")
        told = "You can tell them apart." if low > 0.5 else "That may be guessing."
        told = "You are fooled: you take the predicted ones for true." if high < 0.5 else told
        return f"{right} of {count} right; the share lies in {low:.0%} to {high:.0%}. {told}"


def quiz_pairs(L: Tensor, ab: Tensor, made: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Pairs (original, predicted) of L (N, 1, H, W) with both ab (N, 2, H, W)."""
    true, guess = (lab_to_rgb(join_lab(L, x.to(L))).split(1) for x in (ab, made))
    return list(zip(true, guess, strict=True))


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

    def redraw() -> None:
        for button in buttons.values():
            button.disabled = quiz.done
        if quiz.done:
            words.value, picture.value = html.escape(quiz.verdict()), ""
            return
        number = len(quiz.answers) + 1
        words.value = f"pair {number} of {len(quiz.pairs)}"
        figure = picture_grid([dict(zip(("left", "right"), quiz.shown(), strict=True))], 2.6)
        alt = f"Pair {number}: the same picture twice, in two colourings."
        picture.value = figure_html(figure, alt)
        plt.close(figure)  # else Jupyter shows it once more, below the cell

    def react(button: ipywidgets.Button) -> None:
        quiz.answer("left" if button is buttons["left"] else "right")
        redraw()

    for button in buttons.values():
        button.on_click(react)
    redraw()
    box = ipywidgets.VBox([words, picture, ipywidgets.HBox(list(buttons.values()))])
    bundle = dict(box._repr_mimebundle_())
    bundle["text/html"] = picture.value  # what a stored notebook shows, where no kernel runs
    bundle["text/plain"] = "a quiz: predicted or original?"
    display(bundle, raw=True)

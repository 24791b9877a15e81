"""The quiz at the end of a lesson: five questions, and for each option why it is right or wrong."""

import html
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from colorkit import notebook


@dataclass(frozen=True)
class Option:
    """One answer to choose from, and what those who choose it are told."""

    text: str
    why: str
    right: bool = False

    @property
    def state(self) -> notebook.State:
        return "right" if self.right else "wrong"


def questions(lesson: str) -> dict[str, list[Option]]:
    """Each question of lesson "NN" and its options, from ``colorcourse/lessonNN/quiz.toml``."""
    path = files("colorcourse") / f"lesson{lesson}" / "quiz.toml"
    if not path.is_file():
        raise ValueError(
            f"no quiz for lesson {lesson!r}: name the lesson by its number, as in '01'"
        )
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return {q["ask"]: [Option(**option) for option in q["option"]] for q in table["question"]}


def quiz(lesson: str) -> None:
    """Ask the questions of lesson "NN"; each choice is answered at once by its reason.

    Radio buttons in a notebook with a kernel; without one, options that unfold.
    """
    asked = questions(lesson)
    if notebook.in_notebook():
        from IPython.display import display

        static = {"text/html": unfolding(asked), "text/plain": "\n".join(asked)}
        display(_buttons(asked)._repr_mimebundle_() | static, raw=True)
        return
    for number, (ask, options) in enumerate(asked.items(), 1):
        print(f"{number}. {ask}", *(f"  - {option.text}" for option in options), sep="\n")


def unfolding(asked: dict[str, list[Option]]) -> str:
    """The quiz as HTML that needs no kernel and no script."""
    parts = []
    for number, (ask, options) in enumerate(asked.items(), 1):
        parts.append(f'<p style="margin:.9em 0 .2em"><b>{number}. {html.escape(ask)}</b></p>')
        for option in options:
            told = notebook.Feedback(option.state, f"question {number}", option.why)._repr_html_()
            summary = f"<summary>{html.escape(option.text)}</summary>"
            parts.append(f"<details>{summary}{told}</details>")
    return f"<div>{''.join(parts)}</div>"


def _buttons(asked: dict[str, list[Option]]) -> Any:
    """The quiz as widgets."""
    import ipywidgets

    def row(number: int, ask: str, options: list[Option]) -> Any:
        choice = ipywidgets.RadioButtons(
            options=[option.text for option in options], value=None, layout={"width": "max-content"}
        )
        answer = ipywidgets.HTML()

        def tell(change: Any) -> None:
            chosen = next(option for option in options if option.text == change["new"])
            told = notebook.Feedback(chosen.state, f"question {number}", chosen.why)
            answer.value = told._repr_html_()

        choice.observe(tell, names="value")
        title = ipywidgets.HTML(f"<b>{number}. {html.escape(ask)}</b>")
        return ipywidgets.VBox([title, choice, answer])

    rows = (row(number, *question) for number, question in enumerate(asked.items(), 1))
    return ipywidgets.VBox(list(rows))

"""Predict first: a question whose answer locks before the result shows."""

import html
from dataclasses import dataclass, field
from typing import Any

from colorkit import notebook


@dataclass
class Prediction:
    """A question, the options, and what was chosen before the result was shown."""

    question: str
    options: tuple[str, ...]
    choice: str | None = None
    controls: list[Any] = field(default_factory=list)

    def lock(self, _: Any = None) -> None:
        """Keep the choice: from now on the controls do nothing."""
        for control in self.controls:
            control.disabled = True

    def show(self) -> None:
        """Radio buttons and a button that locks; plain HTML where no kernel runs."""
        import ipywidgets
        from IPython.display import display

        layout = {"width": "max-content"}
        choice = ipywidgets.RadioButtons(options=self.options, value=None, layout=layout)
        choice.observe(lambda change: setattr(self, "choice", change["new"]), names="value")
        button = ipywidgets.Button(description="Lock my answer", icon="lock")
        button.on_click(self.lock)
        self.controls = [choice, button]
        question = f"<b>Predict first.</b> {html.escape(self.question)}"
        box = ipywidgets.VBox([ipywidgets.HTML(question), choice, button])
        options = "".join(f"<li>{html.escape(option)}</li>" for option in self.options)
        static = {"text/html": f"{question}<ul>{options}</ul>", "text/plain": self.question}
        display(box._repr_mimebundle_() | static, raw=True)


_predictions: dict[str, Prediction] = {}


def predict(name: str, question: str, options: list[str]) -> None:
    """Ask a question before the cell that answers it. Running on without an answer is fine."""
    _predictions[name] = Prediction(question, tuple(options))
    if notebook.in_notebook():
        _predictions[name].show()
    else:
        print(question, *(f"  - {option}" for option in options), sep="\n")


def reveal(name: str, answer: str | None, why: str) -> None:
    """Lock the prediction called `name`, then show it beside the measured answer, if any."""
    prediction = _predictions.get(name)
    if prediction is None:
        raise KeyError(f"no prediction {name!r} was asked; asked so far: {sorted(_predictions)}")
    if answer is None:
        return prediction.lock()
    if answer not in prediction.options:
        raise ValueError(f"{answer!r} is none of the options {prediction.options}")
    prediction.lock()
    if prediction.choice == answer:
        yours = f"You predicted “{answer}”, and so it is."
    elif prediction.choice is None:
        yours = f"You made no prediction. Measured: “{answer}”."
    else:
        yours = f"You predicted “{prediction.choice}”. Measured: “{answer}”."
    notebook.tell("info", "Prediction", f"{yours} {why}")

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
    locked: bool = False
    controls: list[Any] = field(default_factory=list)

    def lock(self) -> None:
        """Keep the choice: from now on the controls do nothing."""
        self.locked = True
        for control in self.controls:
            control.disabled = True


_predictions: dict[str, Prediction] = {}


def predict(name: str, question: str, options: list[str]) -> None:
    """Ask a question before the cell that answers it. Running on without an answer is fine."""
    prediction = Prediction(question, tuple(options))
    _predictions[name] = prediction
    if notebook.in_notebook():
        _show_controls(prediction)
    else:
        print(question, *(f"  - {option}" for option in options), sep="\n")


def _show_controls(prediction: Prediction) -> None:
    import ipywidgets
    from IPython.display import display

    choice = ipywidgets.RadioButtons(
        options=prediction.options, value=None, layout={"width": "max-content"}
    )
    button = ipywidgets.Button(description="Lock my answer", icon="lock")
    prediction.controls = [choice, button]

    def note(change: Any) -> None:
        if not prediction.locked:
            prediction.choice = change["new"]

    choice.observe(note, names="value")
    button.on_click(lambda _: prediction.lock())
    question = ipywidgets.HTML(f"<b>Predict first.</b> {html.escape(prediction.question)}")
    box = ipywidgets.VBox([question, choice, button])
    options = "".join(f"<li>{html.escape(option)}</li>" for option in prediction.options)
    static = f"<b>Predict first.</b> {html.escape(prediction.question)}<ul>{options}</ul>"
    bundle = dict(box._repr_mimebundle_())
    bundle["text/html"] = static  # for readers of a stored notebook, where no kernel runs
    bundle["text/plain"] = prediction.question
    display(bundle, raw=True)


def reveal(name: str, answer: str, why: str) -> None:
    """Lock the prediction called `name`, then show it beside the answer that was measured."""
    prediction = _predictions.get(name)
    if prediction is None:
        raise KeyError(f"no prediction {name!r} was asked; asked so far: {sorted(_predictions)}")
    if answer not in prediction.options:
        raise ValueError(f"{answer!r} is none of the options {prediction.options}")
    prediction.lock()
    if prediction.choice is None:
        yours = "You made no prediction."
    elif prediction.choice == answer:
        yours = f"You predicted “{answer}”, and so it is."
    else:
        yours = f"You predicted “{prediction.choice}”. Measured: “{answer}”."
    if prediction.choice is None:
        yours += f" Measured: “{answer}”."
    notebook.tell("info", "Prediction", f"{yours} {why}")

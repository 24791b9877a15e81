"""Interactive figures: a plain drawing function with ipywidgets around it.

A drawing function takes plain values and returns a figure and its alt text. Where no front end runs
(a stored notebook, a test) the figure is drawn once, with its first values.
"""

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from colorkit.notebook import STAND_INS, Feedback, in_notebook
from colorkit.plots import figure_html, show, stamp

Drawing = tuple[Figure, str]


def explore(draw: Callable[..., Drawing], **controls: Any) -> None:
    """Show a drawing function with a control, an ipywidget, for each of its arguments by name.

    An error in the first drawing stops the cell; later ones are shown in place of the figure.
    """
    if not in_notebook():
        show(*draw(**{name: control.value for name, control in controls.items()}))
        return
    import ipywidgets

    exercises = sorted(STAND_INS)  # as they are now: a control may be moved much later

    def drawn() -> str:
        fig, alt = draw(**{name: control.value for name, control in controls.items()})
        stamp(fig, exercises)
        try:
            return figure_html(fig, alt)
        finally:
            plt.close(fig)

    def redraw(_: Any) -> None:
        try:
            picture.value = drawn()
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            picture.value = Feedback("wrong", draw.__name__, message)._repr_html_()

    picture = ipywidgets.HTML(drawn())
    for control in controls.values():
        control.observe(redraw, names="value")
    display_widget(ipywidgets.VBox([*controls.values(), picture]), picture.value)


def display_widget(widget: Any, stored: str) -> None:
    """Show an ipywidget, and as HTML what a stored notebook shows, where no kernel runs."""
    from IPython.display import display

    bundle = dict(widget._repr_mimebundle_())
    bundle["text/html"], bundle["text/plain"] = stored, "an interactive figure"
    display(bundle, raw=True)

"""What a student is told: a small box with symbol, colour and words; plain text elsewhere."""

import html
import sys
from typing import Literal

# Exercises for which colorkit's own answer stood in: figures are stamped with their names, so that
# nobody takes them for their own work. The course adds and removes; the library only reads.
STAND_INS: set[str] = set()

State = Literal["not done", "wrong", "right", "info"]

# Symbol, border, background, text. The pairs of text and background have a contrast above 7:1 and
# set both colours, so that the box reads alike in light and dark themes.
STYLE: dict[str, tuple[str, str, str, str]] = {
    "not done": ("○", "#8a6d00", "#fff6d6", "#443600"),
    "wrong": ("✗", "#b3261e", "#fdeceb", "#5c110c"),
    "right": ("✓", "#1b6e3c", "#e7f6ec", "#0d3b20"),
    "info": ("›", "#2f5d9b", "#eaf1fb", "#16345c"),
}


def in_notebook() -> bool:
    """Whether output goes to a Jupyter kernel's front end."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class Feedback:
    """A message that Jupyter shows as a box and everything else as one line of text."""

    def __init__(self, state: State, name: str, message: str):
        self.state, self.name, self.message = state, name, message

    def __repr__(self) -> str:
        label = "" if self.state == "info" else f" {self.state}."
        return f"{STYLE[self.state][0]} {self.name}:{label} {self.message}"

    def _repr_html_(self) -> str:
        symbol, border, background, text = STYLE[self.state]
        label = "" if self.state == "info" else f"<b>{self.state}</b>. "
        body = html.escape(self.message).replace("\n", "<br>")
        return (
            f'<div role="status" style="border-left:5px solid {border};background:{background};'
            f"color:{text};padding:.5em .8em;margin:.2em 0;border-radius:3px;max-width:60em;"
            f'line-height:1.45">'
            f'<span aria-hidden="true" style="font-weight:bold;margin-right:.5em">{symbol}</span>'
            f'<code style="color:inherit;background:none">{html.escape(self.name)}</code> '
            f"{label}{body}</div>"
        )


def tell(state: State, name: str, message: str) -> None:
    """Show a message where the student looks; never on stderr, which graders count as a failure."""
    note = Feedback(state, name, message)
    if in_notebook():
        from IPython.display import display

        display(note)
    else:
        encoding = sys.stdout.encoding or "utf-8"
        print(str(note).encode(encoding, errors="replace").decode(encoding))

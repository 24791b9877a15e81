"""A debugging clinic: runs of one program, most of them with a fault that raises no error.

A student reads their logs and names the fault of each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

HEALTHY = "healthy"


@dataclass(frozen=True, eq=False)
class Clinic:
    """Runs, their logs (any object with ``readings()``, numbers by name), hints to a diagnosis."""

    runs: Mapping[str, str]  # letter to fault or "healthy", shuffled: a letter says nothing
    symptoms: Mapping[str, str]  # every name that may be given, to where it shows in a log
    run: Callable[..., Any]  # run(fault, ...) runs the program with that fault, gives its log
    diagnosis: Callable[[Any], str]  # the fault that a log shows: a test proves that it can be told
    rows: Mapping[str, float]  # label to height of each row of the figure, in inches
    draw: Callable[[Any, Any], None]  # draw(axes, log) draws a log into a column of the figure
    signs: Mapping[str, str] = field(default_factory=dict)  # name to what it would have shown

    def fault(self, letter: str) -> str:
        """The fault of a run; ValueError where there is none of that letter."""
        if letter not in self.runs:
            raise ValueError(f"there is no run {letter!r}: choose from {', '.join(self.runs)}")
        return self.runs[letter]

    def log(self, letter: str, *arguments, **options) -> Any:
        """Run the program of a letter."""
        return self.run(self.fault(letter), *arguments, **options)

    def logs(self, *arguments) -> dict[str, Any]:
        """The logs of all runs."""
        return {letter: self.log(letter, *arguments) for letter in self.runs}

    def readings(self, logs: Mapping[str, Any]) -> pd.DataFrame:
        """The numbers of several logs, a column each."""
        return pd.DataFrame({letter: log.readings() for letter, log in logs.items()})

    def figure(self, logs: Mapping[str, Any]) -> Figure:
        """The curves and pictures of several logs, a column each."""
        heights = list(self.rows.values())
        fig, axes = plt.subplots(
            len(heights), len(logs), figsize=(1.3 * len(logs) + 0.5, sum(heights) + 0.3),
            height_ratios=heights, sharey="row", squeeze=False, layout="constrained",
        )  # fmt: skip
        for column, (letter, log) in zip(axes.T, logs.items(), strict=True):
            column[0].set_title(letter, fontsize=10)
            self.draw(column, log)
        for ax, label in zip(axes[:, 0], self.rows, strict=True):
            x = -0.4 if ax.axison and len(ax.get_yticks()) else -0.1  # beside its numbers
            ax.text(x, 0.5, label, rotation=90, va="center", ha="right", transform=ax.transAxes)
        return fig

    def names(self, **wrong: str) -> dict[str, str]:
        """The right name of every run, but for those that are given."""
        return {**self.runs, **wrong}

    def hint(self, names: Any) -> str | None:
        """What to say of a table of letter to fault; None where all names are right."""
        if not isinstance(names, dict):
            return 'Return a dict: {"A": "name of the fault", ...}.'
        if missing := [letter for letter in self.runs if letter not in names]:
            return f"Still to be named: run {', '.join(missing)}."
        for letter, right in self.runs.items():
            name = str(names[letter]).strip().lower()  # capitals do not matter
            if name not in map(str.lower, self.symptoms):
                return f"{letter}: {names[letter]!r} is not one of {list(self.symptoms)}."
            if name != right.lower():
                sign = f", where {self.signs[name]}" if name in self.signs else ""
                return f"{letter}: not {names[letter]!r}{sign}. Look at {self.symptoms[right]}."
        return None

"""What a run leaves to be read: tables for the terminal, and an index page."""

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from colorcourse.recording import bounds_text, value_text

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: auto; padding: 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .3rem .8rem; border-bottom: 1px solid #8886; }}
</style></head>
<body><h1>{title}</h1>
{lessons}
<h2>Recorded numbers</h2>
{numbers}
<p>Seed {seed}. {versions}.</p>
<p>All of it as data: <a href="results.json">results.json</a>.</p>
</body></html>
"""


def tables(results: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The lessons with minutes and memory, and their numbers beside what was expected."""
    lessons, numbers = [], []
    for name, entry in results["lessons"].items():
        state = "✓ ok" if entry["ok"] else "✗ FAILED"
        lessons.append((name, state, f"{entry['seconds'] / 60:.1f}", memory_text(entry)))
        for key, number in entry["numbers"].items():
            bounds = bounds_text(number) or "no bounds"
            state = "✓" if number["ok"] else "✗ not as expected"
            numbers.append((name, key, value_text(number), bounds, state))
    return (
        pd.DataFrame(lessons, columns=["lesson", "result", "minutes", "peak MB"]),
        pd.DataFrame(numbers, columns=["lesson", "number", "value", "expected", ""]),
    )


def memory_text(entry: Mapping[str, Any]) -> str:
    """A lesson's peak in MB; a question mark where its kernel was killed."""
    return "?" if entry["peak_mb"] is None else f"{entry['peak_mb']:.0f}"


def describe_error(error: Mapping[str, Any]) -> str:
    """Lesson, cell and message of a failure in one line."""
    cell = "" if error["cell"] is None else f", cell {error['cell']}"
    return f"{error['lesson']}{cell}: {error['message']}"


def summary(results: Mapping[str, Any]) -> str:
    """The tables as text, and how many lessons are as they should be."""
    entries = results["lessons"].values()
    minutes = sum(entry["seconds"] for entry in entries) / 60
    good = sum(entry["ok"] for entry in entries)
    lessons, numbers = (frame.to_string(index=False) for frame in tables(results))
    return f"{numbers}\n\n{lessons}\n\n{good} of {len(entries)} lessons ok, {minutes:.1f} minutes"


def index_page(results: Mapping[str, Any], students: bool) -> str:
    """The tables as a page, each lesson with a link to its notebook and what stopped it."""
    what = "The lessons, undone," if students else "The solutions"
    lessons, numbers = tables(results)
    errors = [entry.get("error") for entry in results["lessons"].values()]
    lessons["lesson"] = [
        f'<a href="{name}.html">{name}</a>'
        + (f"<br><code>{escape(describe_error(error))}</code>" if error else "")
        for name, error in zip(lessons["lesson"], errors, strict=True)
    ]
    return _PAGE.format(
        title=f"{what} at profile {results['profile']}, on {results['device']}",
        lessons=lessons.to_html(index=False, border=0, escape=False),
        numbers=numbers.to_html(index=False, border=0),
        seed=results["seed"],
        versions=escape(", ".join(f"{k} {v}" for k, v in results["versions"].items())),
    )

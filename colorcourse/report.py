"""What a run leaves to be read: tables for the terminal, and an index page."""

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from colorcourse.recording import number_texts

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
        state = "ok" if entry["ok"] else "FAILED"
        lessons.append((name, state, f"{entry['seconds'] / 60:.1f}", entry["peak_mb"]))
        numbers += [(name, key, *number_texts(n)) for key, n in entry["numbers"].items()]
    return (
        pd.DataFrame(lessons, columns=["lesson", "result", "minutes", "peak MB"]),
        pd.DataFrame(numbers, columns=["lesson", "number", "value", "expected"]),
    )


def describe(name: str, entry: Mapping[str, Any]) -> str:
    """A lesson's seconds and peak, or lesson, cell and message of what stopped it."""
    if error := entry.get("error"):
        cell = "" if error["cell"] is None else f", cell {error['cell']}"
        return f"{name}{cell}: FAILED after {entry['seconds']:.1f} s: {error['message']}"
    return f"{name}: done in {entry['seconds']:.1f} s, peak {entry['peak_mb']} MB"


def summary(results: Mapping[str, Any]) -> str:
    """The tables as text, and how many lessons are as they should be."""
    entries = results["lessons"].values()
    minutes = sum(entry["seconds"] for entry in entries) / 60
    good = sum(entry["ok"] for entry in entries)
    lessons, numbers = (frame.to_string(index=False) for frame in tables(results))
    ended = f"{good} of {len(entries)} lessons ok, {minutes:.1f} minutes, {setting(results)}"
    return f"{numbers}\n\n{lessons}\n\n{ended}"


def setting(results: Mapping[str, Any]) -> str:
    """Where and how the numbers were made: device, precision, threads, version of torch."""
    machine = f"{results['device']}, {results['precision']}, {results['threads']} threads"
    return f"{machine}, torch {results['versions']['torch']}"


def index_page(results: Mapping[str, Any], students: bool) -> str:
    """The tables as a page, each lesson with a link to its notebook and what stopped it."""
    what = "The lessons, undone," if students else "The solutions"
    lessons, numbers = tables(results)
    lessons["lesson"] = [
        f'<a href="{name}.html">{name}</a>'
        + ("" if entry["ok"] else f"<br><code>{escape(describe(name, entry))}</code>")
        for name, entry in results["lessons"].items()
    ]
    return _PAGE.format(
        title=f"{what} at profile {results['profile']}, on {setting(results)}",
        lessons=lessons.to_html(index=False, border=0, escape=False),
        numbers=numbers.to_html(index=False, border=0),
        seed=results["seed"],
        versions=escape(", ".join(f"{k} {v}" for k, v in results["versions"].items())),
    )

"""The pages that a run leaves: an index with minutes, memory and numbers, and every lesson."""

import html
from collections.abc import Mapping
from typing import Any

from nbconvert import HTMLExporter
from nbformat import NotebookNode

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem; border-bottom: 1px solid #8886; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.bad { font-weight: 600; color: #c62828; }
@media (prefers-color-scheme: dark) { .bad { color: #ff8a80; } }
code { font-size: .9em; }
"""
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head>
<body>
{body}
</body>
</html>
"""


def index_page(results: Mapping[str, Any], students: bool) -> str:
    """The page with one row a lesson, then its recorded numbers."""
    what = "The lessons, undone," if students else "The solutions"
    title = f"{what} at profile {results['profile']}, on {results['device']}"
    parts = [f"<h1>{html.escape(title)}</h1>", _lessons(results["lessons"])]
    parts += ["<h2>Recorded numbers</h2>", _numbers(results["lessons"])]
    versions = ", ".join(f"{k} {v}" for k, v in results["versions"].items())
    parts.append(f"<p>Seed {results['seed']}. {html.escape(versions)}.</p>")
    parts.append('<p>All of it as data: <a href="results.json">results.json</a>.</p>')
    return _PAGE.format(title=html.escape(title), style=_STYLE, body="\n".join(parts))


def _lessons(lessons: Mapping[str, Any]) -> str:
    rows = []
    for name, entry in lessons.items():
        state = "✓ ok" if entry["ok"] else '<span class="bad">✗ failed</span>'
        error = entry.get("error")
        text = ""
        if error:
            cell = "" if error["cell"] is None else f"cell {error['cell']}: "
            text = f"<br><code>{html.escape(cell + error['message'])}</code>"
        rows.append(
            f'<tr><td><a href="{name}.html">{name}</a>{text}</td><td>{state}</td>'
            f'<td class="n">{entry["seconds"] / 60:.1f}</td>'
            f'<td class="n">{entry["peak_mb"]:.0f}</td></tr>'
        )
    head = '<th>Lesson</th><th>Result</th><th class="n">Minutes</th><th class="n">Peak MB</th>'
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _numbers(lessons: Mapping[str, Any]) -> str:
    rows = []
    for name, entry in lessons.items():
        for key, number in entry["numbers"].items():
            value = "–" if number["value"] is None else f"{number['value']:.4g}"
            bounds = "none given"
            if number["low"] is not None:
                bounds = f"{number['low']:g} to {number['high']:g}"
            state = "✓" if number["ok"] else '<span class="bad">✗ not as expected</span>'
            rows.append(
                f"<tr><td>{name}</td><td><code>{html.escape(key)}</code></td>"
                f'<td class="n">{value}</td><td>{html.escape(number["unit"])}</td>'
                f"<td>{bounds}</td><td>{state}</td></tr>"
            )
    heads = ("Lesson", "Number", "Value", "Unit", "Expected", "")
    head = "".join(f"<th{' class=n' if h == 'Value' else ''}>{h}</th>" for h in heads)
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>" if rows else "<p>None.</p>"


def lesson_page(name: str, entry: Mapping[str, Any], notebook: NotebookNode) -> str:
    """The executed notebook as a page, under a line with its minutes and memory."""
    page, _ = HTMLExporter().from_notebook_node(notebook, {"metadata": {"name": name}})
    line = (
        '<p style="font: 14px system-ui; margin: 1rem">'
        '<a href="index.html" style="text-decoration: underline">All lessons</a> · '
        f"{name} · {entry['seconds'] / 60:.1f} minutes · {entry['peak_mb']:.0f} MB</p>"
    )
    head, tag, rest = page.partition("<main>")
    return f"{head}{line}{tag}{rest}" if tag else line + page

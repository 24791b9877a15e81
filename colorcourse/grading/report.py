"""What grading leaves: a table of points, a page for each student, and a summary of the class."""

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable
from html import escape
from pathlib import Path

from colorcourse.grading.grade import Mark, Student
from colorkit.files import write_whole

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: auto; padding: 1rem; }}
table {{ border-collapse: collapse; width: 100%; text-align: left; }}
th, td {{ padding: .3rem .8rem; border-bottom: 1px solid #8886; vertical-align: top; }}
</style></head>
<body><h1>{title}</h1>
{body}
</body></html>
"""


def _table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """An HTML table; every text in it is escaped."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    lines = ("".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows)
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><tr>{head}</tr>\n{body}</table>"


def exercises_of(students: list[Student]) -> dict[str, int]:
    """The exercises of all lessons that anybody handed in, with their points."""
    return {mark.exercise: mark.most for s in students for mark in s.marks.values()}


def points_table(students: list[Student]) -> str:
    """CSV: a row a student, a column an exercise, the sum, and notes."""
    exercises, file = exercises_of(students), io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["student", *exercises, "sum", "notes"])
    for student in students:
        points = {name: mark.points for name, mark in student.marks.items()}
        # A spreadsheet takes a cell that begins so for a formula.
        name, notes = (re.sub(r"^(?=[=+\-@\t\r])", "'", text)
                       for text in (student.name, "; ".join(student.notes)))  # fmt: skip
        numbers = [f"{points.get(exercise, 0):g}" for exercise in exercises]
        writer.writerow([name, *numbers, f"{student.points:g}", notes])
    return file.getvalue()


def student_page(student: Student) -> str:
    """One student's verdicts, hints, cases and seconds."""
    marks = list(student.marks.values())
    rows = [
        (m.exercise, m.state, f"{m.points:g} of {m.most}", f"{m.passed} of {m.cases}", m.hint,
         f"{m.seconds:.1f}") for m in marks
    ]  # fmt: skip
    heads = ("exercise", "verdict", "points", "cases passed", "hint", "seconds")
    total = f"{student.points:g} of {sum(m.most for m in marks)} points."
    body = "".join(f"<p>{escape(text)}</p>\n" for text in (total, *student.notes))
    body += _table(heads, rows) if rows else ""
    return _PAGE.format(title=escape(student.name), body=body)


def summary(students: list[Student]) -> tuple[list[tuple], list[tuple]]:
    """Rows of verdicts by exercise, and of mistakes: exercise, mistake, how many students."""
    states = ("right", "partly right", "wrong", "refused", "not done", "missing")
    verdicts, mistakes = [], Counter()
    for exercise, most in exercises_of(students).items():
        marks = [s.marks.get(exercise, Mark(exercise, most)) for s in students]
        count = Counter(mark.state for mark in marks)
        mean = sum(mark.points for mark in marks) / len(marks)
        verdicts.append((exercise, *(count[state] for state in states), f"{mean:.2f} of {most}"))
        for mark in marks:
            if mark.hint and mark.state != "right":  # without numbers, two hints are one mistake
                mistakes[exercise, re.sub(r"[-+]?\d[\d.,e+-]*", "…", mark.hint)[:300]] += 1
    counted = [(exercise, number, hint) for (exercise, hint), number in mistakes.most_common()]
    return [("exercise", *states, "mean"), *verdicts], counted


def write_reports(students: list[Student], out: Path) -> Path:
    """Write the table to `out`, and the pages to a folder beside it; that folder's index.html."""
    folder, links = out.with_name(f"{out.stem}-reports"), []
    for student in students:
        safe = re.sub(r"[^\w-]", "_", student.name)[:40]
        file = f"{safe}-{hashlib.sha256(student.name.encode()).hexdigest()[:8]}.html"
        write_whole(folder / file, student_page(student))
        links.append(f'<li><a href="{file}">{escape(student.name)}</a>: {student.points:g}</li>')
    (heads, *verdicts), mistakes = summary(students)
    body = f"<p>{len(students)} students. Most points: {sum(exercises_of(students).values())}.</p>"
    body += _table(heads, verdicts) + "<h2>Mistakes</h2>"
    body += _table(("exercise", "students", "hint"), mistakes)
    body += f"<h2>Students</h2><ul>{''.join(links)}</ul>"
    write_whole(folder / "index.html", _PAGE.format(title="The class", body=body))
    write_whole(out, "\ufeff" + points_table(students))  # the mark tells spreadsheets: UTF-8
    return folder / "index.html"


def summary_text(students: list[Student]) -> str:
    """The summary for a terminal: verdicts by exercise, and the ten most frequent mistakes."""
    import pandas as pd

    (heads, *verdicts), mistakes = summary(students)
    table = pd.DataFrame(verdicts, columns=list(heads)).to_string(index=False)
    lines = [f"{number:4d}  {exercise}: {hint[:150]}" for exercise, number, hint in mistakes[:10]]
    return "\n".join([table, *(["", "The most frequent mistakes:", *lines] if lines else [])])

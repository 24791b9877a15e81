"""A student's own copies of the lessons: made once, never overwritten, set beside what changed.

The id of a lesson's cell is a hash of its content as it was built, and stays when the cell is
edited. So a copy tells by itself which cells it was made from, and nothing else is stored.
"""

import hashlib
import json
import re
from pathlib import Path

from colorkit.files import write_whole

OURS = re.compile(r"([0-9a-f]{12})(-\d+)?")  # ids that the builder gave
EXERCISE = re.compile(r'^@exercise\("([^"]+)"\)', re.MULTILINE)
EARLIER = "**Your answer to this exercise as it was** (from {}):\n\n~~~~python\n{}\n~~~~"


def copy_lessons(source: Path, own: Path) -> dict[str, str | None]:
    """Copy every lesson of `source` that `own` lacks; None for each that was copied.

    What is there already is the student's work, and is never overwritten; for each of these, how
    the lesson has changed since (see `changes`).
    """
    notebooks = sorted(source.glob("*.ipynb"))
    if not notebooks:
        raise FileNotFoundError(f"no lesson in {source}: run `colorkit notebooks build`")
    found: dict[str, str | None] = {}
    for path in notebooks:
        if (own / path.name).exists():
            found[path.name] = changes(path, own / path.name)
        else:
            write_whole(own / path.name, path.read_bytes())
            found[path.name] = None
    return found


def cells_by_id(path: Path) -> dict[str, dict]:
    """A notebook's cells, each source one string; empty where the file is no notebook.

    A cell that lost its id, as in another editor, has its number instead.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return {
            str(cell.get("id", number)): {**cell, "source": "".join(cell["source"])}
            for number, cell in enumerate(cells)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def exercises_of(cell: dict) -> list[str]:
    """The exercises that a cell answers; for a written question what nbgrader calls it."""
    grading = cell.get("metadata", {}).get("nbgrader", {})
    written = [grading["grade_id"]] if grading.get("solution") else []
    return EXERCISE.findall("".join(cell["source"])) or written


def changes(lesson: Path, copy: Path) -> str:
    """How a lesson differs from the one that `copy` was made from; empty where it does not.

    A cell that the student deleted counts as one that the copy lacks, since it does.
    """
    now, then = cells_by_id(lesson), cells_by_id(copy)
    if not then:
        return "it cannot be read as a notebook"
    new = [cell for key, cell in now.items() if key not in then]
    gone = sum(bool(OURS.fullmatch(key)) for key in then if key not in now)
    if not new and not gone:
        return ""
    exercises = [name for cell in new for name in exercises_of(cell)]
    names = f" (exercise {', '.join(exercises)})" if exercises else ""
    return f"the lesson has changed; new cells: {len(new)}{names}, old ones in yours: {gone}"


def write_beside(lesson: Path, copy: Path, target: Path) -> str:
    """Write the new `lesson` to `target` beside `copy` and say so; a file there is left as it is.

    It is the current lesson. Each cell that did not change is as the student left it, without
    outputs; before an exercise stand the answers to it that could not be put in its cell. Cells
    that are the student's own stay in `copy`.
    """
    if target.exists():
        return f"kept   {target.parent.name}/{target.name} (rename it first, to get another one)"
    notebook, then = json.loads(lesson.read_text(encoding="utf-8")), cells_by_id(copy)
    answers: dict[str, list[tuple[str, str]]] = {}
    for key, cell in then.items():
        digest = hashlib.sha256(f"{cell['cell_type']}\n{cell['source']}".encode()).hexdigest()
        if not key.startswith(digest[:12]):  # not the stub as it was handed out
            for name in exercises_of(cell):
                answers.setdefault(name, []).append((key, cell["source"]))
    cells = []
    for cell in notebook["cells"]:
        for name in exercises_of(cell):
            for key, answer in answers.get(name, []):
                if key != cell["id"]:
                    text = EARLIER.format(copy.name, answer)
                    earlier = {"id": f"earlier-{len(cells)}", "cell_type": "markdown"}
                    cells.append(earlier | {"metadata": {}, "source": text})
        mine = then.get(cell["id"], cell)
        if mine["cell_type"] == cell["cell_type"]:
            cell["source"] = mine["source"]
        cells.append(cell)
    text = json.dumps(notebook | {"cells": cells}, indent=1, ensure_ascii=False, sort_keys=True)
    write_whole(target, f"{text}\n")
    return f"wrote  {target.parent.name}/{target.name}: the current lesson, with your answers"

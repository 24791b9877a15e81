"""Build the student's notebook and the solution from one source a lesson, and find drift.

The source is ``solutions/NN_name.py`` (jupytext's py:percent). From it come
``lessons/NN_name.ipynb``, with the answers taken out, and ``solutions/NN_name.ipynb``, with them
and with outputs. The bytes depend on the source alone, so that a change shows as a small
difference and a hand edit is found.
"""

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from difflib import unified_diff
from itertools import zip_longest
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from colorcourse.checkout import LESSONS, SOURCES, lesson_ids, project_table, select_lessons
from colorcourse.exercises import all_exercises
from colorkit.files import write_whole

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
STUB = "...  # your code here"
WRITE, WRITTEN_POINTS = "Your answer here.", 4  # for a written question, graded by a person
AGAIN = "run `colorkit notebooks build`"
# The first cell of every lesson; pip installs from git+URL where it finds no checkout.
BOOTSTRAP = """\
# Installs colorkit where it is missing: from this checkout, else from its repository.
import importlib.util
import subprocess
import sys
from pathlib import Path

if importlib.util.find_spec("colorkit") is None:
    wanted = ["colorkit[lab] @ git+{url}"]
    for folder in (Path.cwd(), *Path.cwd().parents):
        project = folder / "pyproject.toml"
        if project.is_file() and 'name = "colorkit"' in project.read_text(encoding="utf-8"):
            wanted = ["-e", f"{{folder}}[lab]"]
            sys.path.insert(0, str(folder))  # this kernel started before the installation
            break
    print("Installing colorkit; this takes some minutes, once.")
    command = [sys.executable, "-m", "pip", "install", "--quiet", *wanted]
    pip = subprocess.run(command, capture_output=True, text=True)
    if pip.returncode:
        raise RuntimeError(f"{{' '.join(command)}} failed:\\n{{pip.stderr[-2000:]}}")
    importlib.invalidate_caches()"""


@dataclass(frozen=True)
class Lesson:
    """The two notebooks that a lesson's source makes (the solution with kept outputs)."""

    name: str
    student: NotebookNode
    solution: NotebookNode


def build_lesson(root: Path, name: str) -> Lesson:
    """Read ``solutions/NAME.py`` under `root` and build both notebooks; nothing is written.

    ValueError if a cell's solution markers do not pair up; it names file and cell.
    """
    path = Path(root) / SOURCES / f"{name}.py"
    cells = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent").cells
    url = project_table(root).get("urls", {}).get("Repository")
    if not url:
        raise ValueError(f"{Path(root) / 'pyproject.toml'} has no Repository in [project.urls]")
    solution = _notebook(cells, url, name)
    for number, cell in enumerate(cells, 1):
        try:
            written = "answer" in cell.metadata.get("tags", [])
            cell.source = WRITE if written else without_answers(cell.source)
        except ValueError as error:
            raise ValueError(f"{path}, cell {number}: {error}") from None
    if old := read_notebook(path.with_suffix(".ipynb")):
        keep_outputs(solution, old)
    return Lesson(name, _notebook(cells, url, name), solution)


def without_answers(source: str) -> str:
    """The source with each region, markers included, replaced by the stub at its indent."""
    lines, begin = [], 0  # the line in which a region begins; 0 outside of one
    for number, line in enumerate(source.split("\n"), 1):
        text = line.strip()
        if text == (BEGIN if begin else END):
            raise ValueError(f"{text!r} in line {number} has no partner")
        if text == BEGIN:
            begin = number
            lines.append(line.rstrip().replace(BEGIN, STUB))
        elif text == END:
            begin = 0
        elif not begin:
            lines.append(line)
    if begin:
        raise ValueError(f"{BEGIN!r} in line {begin} has no partner")
    return "\n".join(lines)


def _notebook(cells: list[NotebookNode], url: str, name: str) -> NotebookNode:
    """A notebook without outputs; a cell's id is a hash of its content, equal cells are counted."""
    built, ids, graded, written = [], Counter(), set(), 0
    for cell in cells:
        tags = list(cell.metadata.get("tags", []))
        metadata, source = {"tags": tags} if tags else {}, cell.source
        source = BOOTSTRAP.format(url=url) if "bootstrap" in tags else source
        if {"bootstrap", "imports"} & {*tags}:  # folded, so that a lesson opens with its picture
            metadata["jupyter"] = {"source_hidden": True}
        if cell.cell_type == "code" and (nbgrader := _nbgrader(source, graded)):
            metadata["nbgrader"] = nbgrader
        if "answer" in tags:
            written += 1
            metadata["nbgrader"] = _manual(f"written-{name[:2]}-{written}")
        digest = hashlib.sha256(f"{cell.cell_type}\n{source}".encode()).hexdigest()[:12]
        ids[digest] += 1
        identity = digest if ids[digest] == 1 else f"{digest}-{ids[digest]}"
        make = getattr(nbformat.v4, f"new_{cell.cell_type}_cell")
        built.append(make(source, metadata=metadata, id=identity))
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=built, metadata=metadata, nbformat_minor=5)


def _nbgrader(source: str, graded: set[str]) -> dict | None:
    """nbgrader's metadata of an answer or a check cell; None for the others.

    A second check of the same exercise is a plain cell: points are given once.
    """
    answers = re.findall(r'^@exercise\("([^"]+)"\)', source, flags=re.MULTILINE)
    checks = re.findall(r'^check\("([^"]+)"\)', source, flags=re.MULTILINE)
    checks = [name for name in checks if f"check {name}" not in graded]
    kind, names = ("answer", answers) if answers else ("check", checks)
    if not names or any(f"{kind} {name}" in graded for name in names):
        return None
    graded.update(f"{kind} {name}" for name in names)
    metadata = {
        "grade": kind == "check",
        "grade_id": "-".join([kind, *names]).replace(".", "-"),
        "locked": kind == "check",
        "schema_version": 3,
        "solution": kind == "answer",
        "task": False,
    }
    if kind == "check":
        specs = all_exercises()
        metadata["points"] = sum(specs[name].points for name in names if name in specs)
    return metadata


def _manual(grade_id: str) -> dict:
    """nbgrader's metadata of an answer in prose, which a person grades by the rubric."""
    kinds = {"grade": True, "locked": False, "solution": True, "task": False}
    return {"grade_id": grade_id, "points": WRITTEN_POINTS, "schema_version": 3, **kinds}


def _executed_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells but the bootstrap cell, which installs, or does nothing."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell for cell in code if "bootstrap" not in cell.metadata.get("tags", [])]


def code_hash(notebook: NotebookNode) -> str:
    """A hash of all that is executed: not of prose, nor of the address that a fork sets."""
    sources = [cell.source for cell in _executed_cells(notebook)]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def keep_outputs(built: NotebookNode, old: NotebookNode) -> None:
    """Copy the outputs of `old` into `built` if the same code made them, and number the cells."""
    made = old.metadata.get("colorkit", {})
    if made.get("executed") != code_hash(built) or code_hash(old) != code_hash(built):
        return
    for new, cell in zip(_executed_cells(built), _executed_cells(old), strict=True):
        new.outputs = cell.outputs
    code = (cell for cell in built.cells if cell.cell_type == "code")
    for count, cell in enumerate(code, 1):
        cell.execution_count = count
    built.metadata["colorkit"] = made


def notebook_text(notebook: NotebookNode) -> str:
    """The notebook as it is stored: sorted keys, validated, one newline at the end."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def read_notebook(path: Path) -> NotebookNode | None:
    """A stored notebook, or None where there is none or it cannot be read."""
    try:
        return nbformat.read(path, as_version=4)
    except Exception:  # nbformat lets through what json, the schema and the file system raise
        return None


def build_all(root: Path, wanted: str = "") -> list[Lesson]:
    """Build the wanted lessons (default: all) and write only what changed, for open editors."""
    names = select_lessons(lesson_ids(root), wanted)
    lessons = [build_lesson(root, name) for name in names]
    for lesson in lessons:
        for folder, notebook in ((LESSONS, lesson.student), (SOURCES, lesson.solution)):
            path, text = Path(root) / folder / f"{lesson.name}.ipynb", notebook_text(notebook)
            if not path.is_file() or path.read_bytes() != text.encode("utf-8"):
                write_whole(path, text)
    return lessons


def difference(path: Path, built: NotebookNode) -> str:
    """How a stored notebook differs from the built one; the empty string where it does not.

    Compared is what the builder decides: kernel, and kind, id, own metadata and source of each
    cell; not outputs, nor what editors add.
    """
    where = f"{path.parent.name}/{path.name}"
    stored = read_notebook(path)
    if stored is None:
        return f"{where} is missing or no notebook: {AGAIN}"
    texts = []
    for notebook in (stored, built):
        texts.append([json.dumps(notebook.metadata.get("kernelspec"), sort_keys=True)])
        for cell in notebook.cells:
            decided = ("jupyter", "nbgrader", "tags")
            own = {key: value for key, value in cell.metadata.items() if key in decided}
            head = f"# %% {cell.cell_type} {cell.get('id')} {json.dumps(own, sort_keys=True)}"
            texts[-1] += [head, *cell.source.split("\n")]
    if texts[0] == texts[1]:
        return ""
    first = next(i for i, (a, b) in enumerate(zip_longest(*texts)) if a != b)
    cell = sum(line.startswith("# %%") for line in texts[0][: first + 1])
    lines = unified_diff(*texts, "stored", "made from its source", lineterm="", n=1)
    return "\n".join([f"{where}, cell {cell}: differs from its source: {AGAIN}", *lines])


def check_all(root: Path, wanted: str = "") -> list[str]:
    """Each stored notebook that is not what its source makes, and each file that is no lesson's.

    Outputs are never compared; that a solution's outputs come from the present code is.
    """
    root, problems, known = Path(root), [], lesson_ids(root)
    for path in [*root.glob(f"{LESSONS}/*.ipynb"), *root.glob(f"{SOURCES}/*")]:
        if path.suffix in (".py", ".ipynb") and path.stem not in known:
            text = f"delete it, or give it a source {SOURCES}/NN_name.py, in small letters"
            problems.append(f"{path.parent.name}/{path.name} belongs to no lesson: {text}")
    for name in select_lessons(known, wanted):
        lesson, path = build_lesson(root, name), root / SOURCES / f"{name}.ipynb"
        drift = difference(path, lesson.solution)
        if not drift and "colorkit" not in lesson.solution.metadata:  # none were kept
            drift = f"{SOURCES}/{path.name}: its outputs do not come from the present code: "
            drift += "run `colorkit notebooks execute`"
        problems += filter(None, [difference(root / LESSONS / path.name, lesson.student), drift])
    return problems

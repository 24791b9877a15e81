"""Build the student's notebook and the solution from one source a lesson, and check them.

The source is ``solutions/NN_name.py`` (jupytext's py:percent). From it come
``lessons/NN_name.ipynb``, with the answers taken out, and ``solutions/NN_name.ipynb``, with them
and with outputs. The bytes depend on the source alone, so that a change shows as a small
difference and a hand edit is found.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

from colorcourse.bootstrap import bootstrap_text
from colorcourse.cells import checked_exercises, defined_exercises, parse, without_answers
from colorcourse.checkout import (
    LESSONS,
    SOURCES,
    lesson_ids,
    repository_url,
    select_lessons,
)
from colorkit.files import write_whole

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


@dataclass(frozen=True)
class Problem:
    """One finding: where it is, what is wrong and what to do. A warning does not fail a build."""

    file: str
    cell: int | None
    text: str
    warning: bool = False

    def __str__(self) -> str:
        where = self.file if self.cell is None else f"{self.file}, cell {self.cell}"
        return f"{where}: {'warning: ' if self.warning else ''}{self.text}"


def read_source(path: Path) -> list[NotebookNode]:
    """The cells of a py:percent source: type, source and tags, nothing else.

    Raises
    ------
    ValueError
        If a cell's solution markers do not pair up; the message names file and cell.
    """
    notebook = jupytext.reads(Path(path).read_text(encoding="utf-8"), fmt="py:percent")
    cells = []
    for number, cell in enumerate(notebook.cells, 1):
        tags = list(cell.metadata.get("tags", []))
        cells.append(_cell(cell.cell_type, cell.source, {"tags": tags} if tags else {}))
        try:
            without_answers(cell.source)
        except ValueError as error:
            raise ValueError(f"{path}, cell {number}: {error}") from None
    return cells


def _cell(kind: str, source: str, metadata: dict[str, Any]) -> NotebookNode:
    cell = {"cell_type": kind, "source": source, "metadata": metadata, "id": ""}
    if kind == "code":
        cell |= {"outputs": [], "execution_count": None}
    return nbformat.from_dict(cell)


def build_notebook(
    cells: list[NotebookNode], url: str, exercises: Mapping[str, Any], answers: bool
) -> NotebookNode:
    """One of a lesson's two notebooks, without outputs.

    Parameters
    ----------
    cells : list of NotebookNode
        From `read_source`; not changed.
    url : str
        The repository's address, for the bootstrap cell.
    exercises : mapping
        Specifications by name; only `points` is read here.
    answers : bool
        Whether the answers stay in.
    """
    built, ids = [], Counter()
    graded: set[str] = set()
    for cell in cells:
        metadata = dict(cell.metadata)
        source = cell.source
        if "bootstrap" in metadata.get("tags", []):
            source = bootstrap_text(url)
        if cell.cell_type == "code" and (nbgrader := _nbgrader(source, exercises, graded)):
            metadata["nbgrader"] = nbgrader
        new = _cell(cell.cell_type, source if answers else without_answers(source), metadata)
        new.id = _cell_id(new, ids)
        built.append(new)
    notebook = nbformat.v4.new_notebook(
        cells=built, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}}
    )
    notebook.nbformat_minor = 5
    return notebook


def _cell_id(cell: NotebookNode, seen: Counter) -> str:
    """A hash of type and source; equal cells are told apart by a counter."""
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
    seen[digest] += 1
    return digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def _nbgrader(source: str, exercises: Mapping[str, Any], graded: set[str]) -> dict | None:
    """nbgrader's metadata of an answer or a check cell; None for the others.

    A second check of the same exercise is a plain cell: points are given once.
    """
    try:
        tree = parse(source)
    except SyntaxError:  # named by the lint
        return None
    answers = [name for name, _ in defined_exercises(tree)]
    checks = [name for name in checked_exercises(tree) if f"check {name}" not in graded]
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
        metadata["points"] = sum(_points(exercises.get(name)) for name in names)
    return metadata


def _points(spec: Any) -> int:
    return 1 if spec is None else spec.points


def code_hash(notebook: NotebookNode) -> str:
    """A hash of all that is executed, the bootstrap cell left out (it installs, or does nothing).

    Outputs are current while it is unchanged, so prose can be corrected, or a fork's address set,
    without executing again.
    """
    sources = [cell.source for cell in _executed_cells(notebook)]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def _executed_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and "bootstrap" not in cell.metadata.get("tags", [])
    ]


def keep_outputs(built: NotebookNode, old: NotebookNode) -> bool:
    """Copy the outputs of `old` into `built` where the same code made them; True if it did."""
    made = old.metadata.get("colorkit", {})
    if made.get("executed") != code_hash(built) or code_hash(old) != code_hash(built):
        return False
    for new, cell in zip(_executed_cells(built), _executed_cells(old), strict=True):
        new.outputs = cell.outputs
    number_cells(built)
    built.metadata["colorkit"] = made
    return True


def number_cells(notebook: NotebookNode) -> None:
    """Give code cells and their results the counts of a run from first to last."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    for count, cell in enumerate(cells, 1):
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count


def notebook_text(notebook: NotebookNode) -> str:
    """The notebook as it is stored: sorted keys, validated, one newline at the end."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def read_notebook(path: Path) -> NotebookNode | None:
    """A stored notebook, or None where there is none or it cannot be read."""
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        return None
    except Exception:  # nbformat lets through what json, the schema and the file system raise
        return None


def registered_exercises() -> Mapping[str, Any]:
    """All specified exercises by name."""
    from colorcourse.exercises import all_exercises

    return all_exercises()


@dataclass(frozen=True)
class Lesson:
    """A lesson's source and the two notebooks that it makes (the solution with kept outputs)."""

    name: str
    cells: list[NotebookNode]
    student: NotebookNode
    solution: NotebookNode


def build_lesson(root: Path, name: str, exercises: Mapping[str, Any]) -> Lesson:
    """Read ``solutions/NAME.py`` under `root` and build both notebooks; nothing is written."""
    root = Path(root)
    cells = read_source(root / SOURCES / f"{name}.py")
    url = repository_url(root)
    student = build_notebook(cells, url, exercises, answers=False)
    solution = build_notebook(cells, url, exercises, answers=True)
    if old := read_notebook(root / SOURCES / f"{name}.ipynb"):
        keep_outputs(solution, old)
    return Lesson(name, cells, student, solution)


def build_all(
    root: Path,
    wanted: str | list[str] | None = None,
    exercises: Mapping[str, Any] | None = None,
) -> list[Lesson]:
    """Build the wanted lessons (default: all) and write what changed."""
    exercises = registered_exercises() if exercises is None else exercises
    lessons = [
        build_lesson(root, name, exercises) for name in select_lessons(lesson_ids(root), wanted)
    ]
    for lesson in lessons:
        for folder, notebook in ((LESSONS, lesson.student), (SOURCES, lesson.solution)):
            _write_changed(Path(root) / folder / f"{lesson.name}.ipynb", notebook_text(notebook))
    return lessons


def _write_changed(path: Path, text: str) -> None:
    """Leave an equal file alone, so that an open editor need not reload it."""
    if not path.is_file() or path.read_bytes() != text.encode("utf-8"):
        write_whole(path, text)


def check_all(
    root: Path,
    exercises: Mapping[str, Any] | None = None,
    wanted: str | list[str] | None = None,
) -> list[Problem]:
    """Each difference between the stored notebooks and what their sources make.

    Outputs are never compared; that the solution's outputs come from the present code is.
    """
    root = Path(root)
    exercises = registered_exercises() if exercises is None else exercises
    problems = [] if wanted else _extra_files(root)
    for name in select_lessons(lesson_ids(root), wanted):
        lesson = build_lesson(root, name, exercises)
        problems += _compare(root, f"{LESSONS}/{name}.ipynb", lesson.student)
        problems += _compare(root, f"{SOURCES}/{name}.ipynb", lesson.solution)
        problems += _stale_outputs(root, f"{SOURCES}/{name}.ipynb", lesson.solution)
    return problems


def _extra_files(root: Path) -> list[Problem]:
    """Notebooks without a source, and sources whose names make them no lesson."""
    known = set(lesson_ids(root))
    found = []
    for folder, kind in ((LESSONS, "ipynb"), (SOURCES, "ipynb"), (SOURCES, "py")):
        for path in sorted((root / folder).glob(f"*.{kind}")):
            text = f"has no source {SOURCES}/{path.stem}.py: delete it"
            if kind == "py":
                text = "is no lesson: call it NN_name.py, in small letters, or move it away"
            if path.stem not in known:
                found.append(Problem(f"{folder}/{path.name}", None, text))
    return found


def _compare(root: Path, file: str, built: NotebookNode) -> list[Problem]:
    again = "run `colorkit notebooks build`"
    if not (root / file).is_file():
        return [Problem(file, None, f"is missing: {again}")]
    stored = read_notebook(root / file)
    if stored is None:
        return [Problem(file, None, f"is no readable notebook: {again}")]
    problems = _compare_cells(file, stored.cells, built.cells)
    if any(stored.metadata.get(key) != built.metadata[key] for key in ("kernelspec",)):
        problems.append(Problem(file, None, f"has another kernel in its metadata: {again}"))
    return problems


def _compare_cells(
    file: str, stored: list[NotebookNode], built: list[NotebookNode]
) -> list[Problem]:
    old, new = ([_content(cell) for cell in cells] for cells in (stored, built))
    problems = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        both = min(i2 - i1, j2 - j1)
        for i, j in zip(range(i1, i1 + both), range(j1, j1 + both), strict=True):
            problems.append(Problem(file, i + 1, _difference(stored[i], built[j])))
        for i in range(i1 + both, i2):
            problems.append(Problem(file, i + 1, f"is not in the source ({_title(stored[i])})"))
        for j in range(j1 + both, j2):
            problems.append(Problem(file, j + 1, f"is missing ({_title(built[j])})"))
    return problems


def _content(cell: NotebookNode) -> tuple:
    metadata = repr(sorted(_plain(cell.metadata).items()))
    return cell.cell_type, cell.source, cell.get("id", ""), metadata


def _plain(metadata: NotebookNode) -> dict[str, Any]:
    """The metadata that the builder writes: editors add their own, which are not compared."""
    plain = {key: metadata[key] for key in ("tags", "nbgrader") if key in metadata}
    return {k: sorted(v.items()) if isinstance(v, dict) else list(v) for k, v in plain.items()}


def _difference(stored: NotebookNode, built: NotebookNode) -> str:
    title = _title(stored)
    if stored.cell_type != built.cell_type:
        return f"is {stored.cell_type}, in the source {built.cell_type} ({title})"
    if stored.source == built.source:
        return f"has another id or metadata than its source gives ({title})"
    pairs = zip(stored.source.split("\n"), built.source.split("\n"), strict=False)
    for number, (here, there) in enumerate(pairs, 1):
        if here != there:
            return f"differs from its source in line {number}: {here!r}, in the source {there!r}"
    return f"differs from its source in its number of lines ({title})"


def _title(cell: NotebookNode) -> str:
    lines = cell.source.strip().splitlines()
    return repr(lines[0][:60]) if lines else "empty"


def _stale_outputs(root: Path, file: str, built: NotebookNode) -> list[Problem]:
    stored = read_notebook(root / file)
    if stored is None or not _executed_cells(built):
        return []
    if stored.metadata.get("colorkit", {}).get("executed") == code_hash(built):
        return []
    text = "its outputs do not come from the present code: run `colorkit notebooks execute`"
    return [Problem(file, None, text)]

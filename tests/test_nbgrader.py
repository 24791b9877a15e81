"""nbgrader, from release to grade: the stub earns nothing, nor does a wrong answer; ours earns all.

The solutions are released as the builder leaves them, with the repository's nbgrader_config.py.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from colorcourse.build import build_all, read_notebook
from tests.demo import EXERCISES, make_checkout

pytest.importorskip("nbgrader", reason="nbgrader is not installed: it comes with colorkit[dev]")
ROOT = Path(__file__).resolve().parents[1]
SOLUTIONS = {"01_demo": None} | {p.stem: p for p in sorted(ROOT.glob("solutions/01_*.ipynb"))}


def nbgrader(folder, *words):
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel of this Python
        "HOME": str(folder),
    }
    environment.pop("COLORKIT_STRICT", None)  # the configuration's business
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def solution_of(name, folder):
    """The built solution `name`: the demo is built here, the course's own is taken as it is."""
    if SOLUTIONS[name] is not None:
        return SOLUTIONS[name]
    folder.mkdir()
    build_all(make_checkout(folder), exercises=EXERCISES)
    return folder / "solutions" / f"{name}.ipynb"


def submit(course, student, name, notebook):
    path = course / "submitted" / student / "ps" / f"{name}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)


def with_answers(released, solution, change):
    """The released notebook with each answer cell's source from the solution, changed."""
    sources = {
        cell.metadata.nbgrader["grade_id"]: cell.source
        for cell in solution.cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }
    for cell in released.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = change(sources[cell.metadata.nbgrader["grade_id"]])
    return released


def wrong(source):
    """Bodies that return None: an answer, and none of the exercises' right ones."""
    lines, inside = [], False
    for line in source.splitlines():
        if line.strip() == "### BEGIN SOLUTION":
            lines.append(line.replace("### BEGIN SOLUTION", "return None"))
        inside = (inside or "BEGIN SOLUTION" in line) and "END SOLUTION" not in line
        if not inside and "END SOLUTION" not in line:
            lines.append(line)
    return "\n".join(lines)


def scores(course):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        return {s.student.id: (s.score, s.max_score) for s in book.assignment_submissions("ps")}


@pytest.mark.notebooks
@pytest.mark.parametrize("name", SOLUTIONS)
def test_stub_and_wrong_answers_earn_nothing_and_the_solution_everything(
    name, tmp_path, monkeypatch
):
    scripts = str(Path(sys.executable).parent)  # nbgrader starts alembic by its bare name
    monkeypatch.setenv("PATH", scripts + os.pathsep + os.environ["PATH"])
    course = tmp_path / "course"
    (course / "source" / "ps").mkdir(parents=True)
    shutil.copy(ROOT / "nbgrader_config.py", course)
    path = solution_of(name, tmp_path / "checkout")
    shutil.copy(path, course / "source" / "ps")
    nbgrader(course, "generate_assignment", "ps")
    released = course / "release" / "ps" / f"{name}.ipynb"
    solution = read_notebook(path)
    lesson = read_notebook(path.parents[1] / "lessons" / path.name)
    assert [c.source for c in read_notebook(released).cells] == [c.source for c in lesson.cells]
    submit(course, "stub", name, read_notebook(released))
    submit(course, "wrong", name, with_answers(read_notebook(released), solution, wrong))
    submit(course, "right", name, with_answers(read_notebook(released), solution, str))
    nbgrader(course, "autograde", "ps")
    full = sum(cell.metadata.get("nbgrader", {}).get("points", 0) for cell in solution.cells)
    assert full > 0
    assert scores(course) == {"stub": (0, full), "wrong": (0, full), "right": (full, full)}

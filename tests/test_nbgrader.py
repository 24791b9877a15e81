"""nbgrader, from release to grade: a stub earns nothing, nor does a wrong answer; ours earns all.

Neither does tampering; copied and deleted cells are mended, and stop nobody.

Lesson 1 is released as the builder leaves it, with the repository's nbgrader_config.py.
"""

import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest

from colorcourse.build import build_lesson, read_notebook
from tests.conftest import ROOT, python

pytest.importorskip("nbgrader", reason="nbgrader is not installed: it comes with colorkit[dev]")
NAME = "01_lab"


def nbgrader(folder, *words):
    variables = {"JUPYTER_PREFER_ENV_PATH": "1", "HOME": str(folder)}  # the kernel of this Python
    done = python("-m", "nbgrader", *words, folder=folder, **variables)
    assert done.returncode == 0, done.stderr[-3000:]


def answer_cells(notebook):
    """The cells in which students write, by nbgrader's name for them."""
    cells = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("solution")]
    return {cell.metadata.nbgrader["grade_id"]: cell for cell in cells}


def wrong(source):
    """Bodies that return None: an answer, and none of the exercises' right ones."""
    region = r"### BEGIN SOLUTION.*?### END SOLUTION"
    return re.sub(region, "return None", source, flags=re.DOTALL)


TAMPERING = {
    "strict": "import os\nos.environ['COLORKIT_STRICT'] = '0'",
    "check": "def check(name):\n    pass",
    "patch": "import colorcourse.checking as c\nc.grade = lambda name: c.Verdict('right', '')",
    "register": "from colorcourse import exercises as e\n"
    "for spec in e.all_exercises().values():\n    e.submissions[spec.name] = spec.reference, ()",
}


@pytest.mark.notebooks
def test_only_right_answers_earn_points_and_all_of_them_earn_all(tmp_path, monkeypatch):
    from nbgrader.api import Gradebook

    scripts = str(Path(sys.executable).parent)  # nbgrader starts alembic by its bare name
    monkeypatch.setenv("PATH", scripts + os.pathsep + os.environ["PATH"])
    monkeypatch.delenv("COLORKIT_STRICT", raising=False)  # the configuration's business
    (tmp_path / "source" / "ps").mkdir(parents=True)
    shutil.copy(ROOT / "nbgrader_config.py", tmp_path)
    lesson = build_lesson(ROOT, NAME)
    nbformat.write(lesson.solution, tmp_path / "source" / "ps" / f"{NAME}.ipynb")
    nbgrader(tmp_path, "generate_assignment", "ps")
    released = tmp_path / "release" / "ps" / f"{NAME}.ipynb"
    assert [c.source for c in read_notebook(released).cells] == [
        c.source for c in lesson.student.cells
    ]
    # One student answers all; the other the first three, and then leaves some and gets some wrong.
    # Of the third the cells were copied and deleted; the others tamper with undone notebooks.
    points = {
        c.metadata.nbgrader["grade_id"].removeprefix("check-"): c.metadata.nbgrader["points"]
        for c in lesson.solution.cells
        if c.metadata.get("nbgrader", {}).get("grade") and c.cell_type == "code"
    }
    solved = {"all": set(points), "three": set(list(points)[:3]), "copies": set(list(points)[1:])}
    solved |= {student: set() for student in TAMPERING}
    for student, own in solved.items():
        notebook = read_notebook(released)
        sources = {key: cell.source for key, cell in answer_cells(lesson.solution).items()}
        for number, (key, cell) in enumerate(answer_cells(notebook).items()):
            if key.removeprefix("answer-") in own:
                cell.source = sources[key]
            elif number % 2 and student not in TAMPERING:
                cell.source = wrong(sources[key])
        if student == "copies":
            found = {c.metadata.get("nbgrader", {}).get("grade_id"): c for c in notebook.cells}
            first, second, third = (name.removeprefix("check-") for name in list(points)[:3])
            for gone in (f"answer-{first}", f"check-{first}", f"check-{second}"):
                notebook.cells.remove(found[gone])
            for name in (f"answer-{third}", f"check-{third}"):
                notebook.cells.insert(5, nbformat.from_dict({**found[name], "id": f"copy-{name}"}))
        if student in TAMPERING:
            for at in (0, len(notebook.cells)):
                notebook.cells.insert(at, nbformat.v4.new_code_cell(TAMPERING[student]))
        path = tmp_path / "submitted" / student / "ps" / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    nbgrader(tmp_path, "autograde", "ps")
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        scores = {s.student.id: (s.score, s.max_score) for s in book.assignment_submissions("ps")}
    graded = [c for c in lesson.solution.cells if c.metadata.get("nbgrader", {}).get("grade")]
    full = sum(c.metadata.nbgrader["points"] for c in graded)  # a person grades the written ones
    assert {student for student, (score, _) in scores.items() if not score} == set(TAMPERING)
    assert 0 < sum(points[name] for name in solved["three"]) < full
    assert scores == {
        student: (sum(points[name] for name in own), full) for student, own in solved.items()
    }

"""The course's own notebooks: in step with their sources, and they run.

Each is run once: the solutions strictly with papermill, the lessons undone with nbval.
"""

import nbformat
import pytest

from colorcourse.build import build_lesson, check_all, notebook_text
from colorcourse.checkout import lesson_ids
from colorcourse.execute import execute_notebook
from colorcourse.lesson03.photographs import LEFT_OUT
from colorcourse.report import describe
from colorcourse.run import Plan, run_course
from tests.conftest import ROOT, python

LESSONS = lesson_ids(ROOT)


def test_every_built_notebook_is_in_step_with_its_source():
    assert check_all(ROOT) == []


@pytest.mark.parametrize("name", LESSONS)
def test_an_executed_solution_holds_what_can_be_seen_and_nothing_else(name):
    """A warning tells everybody where it was executed; a figure left open is drawn twice."""
    path = ROOT / "solutions" / f"{name}.ipynb"
    assert "application/vnd.jupyter.widget" not in path.read_text(encoding="utf-8")
    cells = nbformat.read(path, as_version=4).cells
    for output in [output for cell in cells for output in cell.get("outputs", [])]:
        assert output.get("name") != "stderr", output.text
        assert "image/png" not in output.get("data", {})


@pytest.mark.notebooks
@pytest.mark.parametrize("name", LESSONS)
def test_a_solution_runs_strictly_and_its_numbers_are_as_expected(name, tmp_path):
    plan = Plan(ROOT, "ci", tmp_path, strict=True)
    entry = run_course(plan, name)["lessons"][name]
    assert entry["ok"], describe(name, entry)


@pytest.mark.notebooks
@pytest.mark.parametrize("name", LESSONS)
def test_an_undone_lesson_runs_to_its_last_cell(name):
    command = ["-m", "pytest", "--nbval-lax", "--nbval-current-env", "-q"]
    command += ["-p", "no:cacheprovider", "--nbval-cell-timeout=300", f"lessons/{name}.ipynb"]
    done = python(*command, COLORKIT_PROFILE="ci", COLORKIT_STRICT="0")
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.notebooks
@pytest.mark.parametrize("name", LESSONS[2:5])
def test_a_lesson_runs_on_photographs_and_says_once_a_cell_what_is_left_out(
    name, small_store, tmp_path
):
    notebook = build_lesson(ROOT, name).solution
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    cell.source += f"\nsource = {str(small_store.path)!r}"
    (tmp_path / "in.ipynb").write_text(notebook_text(notebook), encoding="utf-8")
    run = execute_notebook(tmp_path / "in.ipynb", "ci", strict=True)
    assert run.failure is None, run.failure
    said = [sum(LEFT_OUT in str(o) for o in c.get("outputs", [])) for c in run.notebook.cells]
    assert said.count(1) >= 3
    assert max(said) == 1
    assert "missed" not in str(run.notebook.cells)

"""The course's own notebooks: in step with their sources, within the rules, and they run.

Each is run once: the solutions strictly with papermill, the lessons undone with nbval.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from colorcourse.build import build_lesson, check_all, registered_exercises
from colorcourse.checkout import lesson_ids
from colorcourse.lint import expected_of, lint_lessons
from colorcourse.run import Plan, describe_error, run_course

ROOT = Path(__file__).resolve().parents[1]
LESSONS = lesson_ids(ROOT)


def test_every_built_notebook_is_in_step_with_its_source():
    assert [str(problem) for problem in check_all(ROOT)] == []


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_keeps_the_rules(name):
    lesson = build_lesson(ROOT, name, registered_exercises())
    found = lint_lessons([lesson], expected=expected_of(ROOT))
    assert [str(problem) for problem in found if not problem.warning] == []


def test_notebooks_are_small_and_hold_no_widget_state():
    for path in ROOT.glob("*/[0-9][0-9]_*.ipynb"):
        text = path.read_text(encoding="utf-8")
        assert len(text.encode()) <= 1_000_000, f"{path.name} is larger than 1 MB"
        assert "application/vnd.jupyter.widget" not in text, path.name


@pytest.mark.notebooks
@pytest.mark.parametrize("name", LESSONS)
def test_a_solution_runs_strictly_and_its_numbers_are_as_expected(name, tmp_path):
    plan = Plan(ROOT, "ci", strict=True, out=tmp_path)
    entry = run_course(plan, [name], expected_of(ROOT))["lessons"][name]
    assert entry["ok"], describe_error(entry["error"])


@pytest.mark.notebooks
@pytest.mark.parametrize("name", LESSONS)
def test_an_undone_lesson_runs_to_its_last_cell(name):
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-q"]
    command += ["-p", "no:cacheprovider", "--nbval-cell-timeout=300", f"lessons/{name}.ipynb"]
    variables = {"COLORKIT_PROFILE": "ci", "COLORKIT_STRICT": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]

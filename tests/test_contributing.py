"""The worked example of CONTRIBUTING.md does what the page says."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest

from colorcourse.build import build_lesson
from colorcourse.checking import grade_answer, known_answers
from colorcourse.exercises import _specs, all_exercises
from colorcourse.exercises import _submissions as submissions
from colorcourse.lint import lint_lessons
from colorcourse.recording import Expected

ROOT = Path(__file__).parents[1]


def examples() -> dict[str, str]:
    """Path to code of every block of the page that starts with a path."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = re.findall(
        r"^```(?:python|toml)\n# (\S+)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL
    )
    return dict(blocks)


def run_file(path: Path) -> None:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the example alone; its exercise is known for the time of the test."""
    all_exercises()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, code in examples().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code, encoding="utf-8")
    run_file(tmp_path / "colorcourse/lesson99/exercises.py")
    yield tmp_path
    del _specs["example.gray"]
    submissions.pop("example.gray", None)


def test_the_exercise_tells_its_wrong_answers_from_its_right_ones(checkout):
    answers = list(known_answers(_specs["example.gray"]))
    assert {state for state, _ in answers} >= {"wrong", "right"}
    for state, answer in answers:
        verdict = grade_answer(_specs["example.gray"], answer.answer)
        assert verdict.state == state, (answer.name, verdict.message)
        assert answer.hint in verdict.message


def test_the_lesson_builds_and_breaks_no_rule(checkout):
    lesson = build_lesson(checkout, "99_gray", all_exercises())
    expected = Expected.load(checkout / "colorcourse/expected.toml")
    assert [str(p) for p in lint_lessons([lesson], all_exercises(), expected)] == []


@pytest.mark.parametrize(("kind", "shown"), [("student", "not done"), ("solution", "right")])
def test_both_notebooks_run_and_the_check_says_what_it_should(checkout, capsys, kind, shown):
    lesson = build_lesson(checkout, "99_gray", all_exercises())
    notebook = getattr(lesson, kind)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert any("your code here" in source for source in code) == (kind == "student")
    script = checkout / f"{kind}.py"
    script.write_text("\n\n".join(code), encoding="utf-8")
    run_file(script)
    printed = capsys.readouterr().out.lower()
    assert shown in printed
    assert "torch.size([2, 1, 8, 8])" in printed

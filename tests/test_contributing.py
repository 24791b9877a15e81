"""The worked example of CONTRIBUTING.md does what the page says."""

import re
import runpy
import shutil
import tomllib
from pathlib import Path

import pytest

from colorcourse.build import build_lesson
from colorcourse.checking import grade_answer
from colorcourse.exercises import _specs, all_exercises, submissions
from tests.conftest import ROOT
from tests.demo import known_answers
from tests.test_lesson_rules import broken, draft_of


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the example alone; its exercise is known for the time of the test."""
    all_exercises()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = r"^```(?:python|toml)\n# (\S+)\n(.*?)^```"  # each that starts with a path
    for name, code in re.findall(blocks, text, flags=re.MULTILINE | re.DOTALL):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code, encoding="utf-8")
    runpy.run_path(str(tmp_path / "colorcourse/lesson99/exercises.py"))
    yield tmp_path
    del _specs["example.gray"]
    submissions.pop("example.gray", None)


def test_the_exercise_tells_its_wrong_answers_from_its_right_ones(checkout):
    answers = known_answers(_specs["example.gray"])
    assert {state for state, _ in answers} == {"wrong", "right"}
    for state, answer in answers:
        verdict = grade_answer(_specs["example.gray"], answer.answer)
        assert verdict.state == state, (answer.name, verdict.message)
        assert answer.hint in verdict.message


def test_the_lesson_breaks_no_rule(checkout):
    expected = tomllib.loads((checkout / "colorcourse/expected.toml").read_text())
    seconds = expected["99_gray"]["laptop"]["cpu"]["seconds"]
    assert broken(draft_of(checkout, "99_gray", all_exercises(), seconds)) == []


@pytest.mark.parametrize(("kind", "shown"), [("student", "not done"), ("solution", "right")])
def test_both_notebooks_run_and_the_check_says_what_it_should(checkout, capsys, kind, shown):
    notebook = getattr(build_lesson(checkout, "99_gray"), kind)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert any("your code here" in source for source in code) == (kind == "student")
    script = checkout / f"{kind}.py"
    script.write_text("\n\n".join(code), encoding="utf-8")
    runpy.run_path(str(script))
    printed = capsys.readouterr().out.lower()
    assert shown in printed
    assert "torch.size([2, 1, 8, 8])" in printed

"""A student's copies: made once, never overwritten, and set beside a lesson that has changed."""

import json

import nbformat
import pytest
from click.testing import CliRunner

from colorcourse import exercises
from colorcourse.build import build_all
from colorcourse.cli import lessons
from tests.demo import DOUBLE, SOURCE, make_checkout

ANSWER = '@exercise("demo.double")\ndef double(x):\n    """Twice x."""\n    return x + x  # mine'
LOSSES = {"lost ids": lambda cell: cell.pop("id"), "edited": lambda cell: None}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """The demo course, built, copied to my-lessons/; the current folder."""
    monkeypatch.setitem(exercises._specs, "demo.double", DOUBLE)
    monkeypatch.chdir(make_checkout(tmp_path))
    build_all(tmp_path)
    assert run() == ["copied my-lessons/01_demo.ipynb"]
    return tmp_path


def run(*options: str) -> list[str]:
    """What ``colorkit lessons`` prints."""
    result = CliRunner().invoke(lessons, options, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout.splitlines()


def solve(checkout, lose=LOSSES["edited"]):
    """Write the answer, a note and a cell of one's own into the copy."""
    path = checkout / "my-lessons/01_demo.ipynb"
    notebook = json.loads(path.read_text())
    cells = notebook["cells"]
    (at,) = [i for i, cell in enumerate(cells) if "def double" in "".join(cell["source"])]
    cells[at]["source"] = ANSWER.splitlines(keepends=True)
    cells[-1]["source"] = ["print('my own end')"]
    cells.append({**cells[-1], "id": "0f1e2d3c-aaaa-bbbb-cccc-ddddeeeeffff", "source": ["7"]})
    for cell in cells:
        lose(cell)
    path.write_text(json.dumps(notebook))
    return path


def change(checkout, old, new):
    """A later edition of the lesson."""
    assert old in SOURCE
    (checkout / "solutions/01_demo.py").write_text(SOURCE.replace(old, new))
    build_all(checkout)


def sources(checkout):
    notebook = nbformat.read(checkout / "my-lessons/01_demo-new.ipynb", as_version=4)
    nbformat.validate(notebook)
    return [cell.source for cell in notebook.cells]


def test_what_a_student_wrote_is_kept_and_is_no_change_of_the_lesson(checkout):
    path = solve(checkout)
    before = path.read_bytes()
    assert run() == ["kept   my-lessons/01_demo.ipynb (yours)"]
    assert run("--new") == ["kept   my-lessons/01_demo.ipynb (yours)"]
    assert path.read_bytes() == before
    assert [path.name for path in (checkout / "my-lessons").iterdir()] == ["01_demo.ipynb"]


def test_a_changed_text_is_told_and_the_new_lesson_has_the_answers(checkout):
    path = solve(checkout)
    before = path.read_bytes()
    change(checkout, "Three plain words", "Other prose")
    told = run()[0]
    assert told.endswith("the lesson has changed; new cells: 1, old ones in yours: 1)")
    assert not (checkout / "my-lessons/01_demo-new.ipynb").exists()
    assert "wrote  my-lessons/01_demo-new.ipynb" in run("--new")[1]
    found = sources(checkout)
    assert "Other prose" in found[0]
    assert found.count(ANSWER) == 1
    assert found[-1] == "print('my own end')"
    assert not any("as it was" in source for source in found)
    assert path.read_bytes() == before


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_where_an_exercise_changed_the_earlier_answer_stands_before_it(checkout, lose):
    solve(checkout, lose)
    change(checkout, "Twice x.", "Two times x.")
    assert "demo.double" in run()[0]
    run("--new")
    found = sources(checkout)
    (at,) = [i for i, source in enumerate(found) if "Two times" in source]
    assert found[at].endswith("...  # your code here")
    assert ANSWER in found[at - 1]
    assert "01_demo.ipynb" in found[at - 1]


def test_an_undone_exercise_that_changed_has_no_earlier_answer(checkout):
    change(checkout, "Twice x.", "Two times x.")
    run("--new")
    assert not any("as it was" in source for source in sources(checkout))


def test_a_new_copy_is_not_overwritten_either(checkout):
    solve(checkout)
    change(checkout, "Three plain words", "Other prose")
    run("--new")
    new = checkout / "my-lessons/01_demo-new.ipynb"
    new.write_text("mine")
    assert run()[1].endswith("see my-lessons/01_demo-new.ipynb")
    assert "rename it first" in run("--new")[1]
    assert new.read_text() == "mine"


@pytest.mark.parametrize("content", ["{ half", "[]", '{"cells": [3]}', ""])
def test_a_copy_that_is_no_notebook_is_told_kept_and_gets_a_sound_one_beside(checkout, content):
    (checkout / "my-lessons/01_demo.ipynb").write_text(content)
    assert "cannot be read as a notebook" in run()[0]
    run("--new")
    assert (checkout / "my-lessons/01_demo.ipynb").read_text() == content
    assert any("def double" in source for source in sources(checkout))

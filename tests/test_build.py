"""The builder: two notebooks from one source, and the check that finds drift."""

import json
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest

from colorcourse import exercises
from colorcourse.build import build_all, check_all, code_hash, keep_outputs, read_notebook
from tests.demo import DOUBLE, SOURCE, make_checkout


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """The demo course, its exercise known."""
    monkeypatch.setitem(exercises._specs, "demo.double", DOUBLE)
    return make_checkout(tmp_path)


def drift(root):
    """What the check finds, stale outputs left out: the tests here execute nothing."""
    return [problem for problem in check_all(root) if "its outputs" not in problem]


def cell_of(notebook, text):
    return next(cell for cell in notebook.cells if text in cell.source)


def test_answers_leave_the_lesson_and_stay_in_the_solution(checkout):
    build_all(checkout)
    lesson = read_notebook(checkout / "lessons/01_demo.ipynb")
    solution = read_notebook(checkout / "solutions/01_demo.ipynb")
    assert cell_of(lesson, "def double").source == (
        '@exercise("demo.double")\ndef double(x):\n    """Twice x."""\n    ...  # your code here'
    )
    assert "return y" in cell_of(solution, "def double").source
    assert "SOLUTION" not in (checkout / "lessons/01_demo.ipynb").read_text()
    nbformat.validate(lesson)
    nbformat.validate(solution)


@pytest.mark.parametrize("lost", ["### BEGIN SOLUTION", "### END SOLUTION"])
def test_a_marker_without_partner_is_named_with_file_and_cell(tmp_path, lost):
    root = make_checkout(tmp_path, **{"01_demo": SOURCE.replace(f"    {lost}\n", "")})
    with pytest.raises(ValueError, match=r"01_demo\.py, cell 5: .*no partner"):
        build_all(root)


def test_building_again_gives_the_same_bytes_and_ids_are_unique(checkout):
    ids = [cell.id for cell in build_all(checkout)[0].student.cells]
    assert len(set(ids)) == len(ids)
    files = sorted(checkout.rglob("*.ipynb"))
    before = [path.read_bytes() for path in files]
    for path in files:
        path.unlink()
    build_all(checkout)
    assert len(files) == 2
    assert [path.read_bytes() for path in files] == before
    assert not list(checkout.rglob("*.tmp"))


@pytest.mark.parametrize("inside", [True, False])
def test_the_bootstrap_cell_installs_from_the_checkout_around_it_or_the_repository(
    checkout, monkeypatch, tmp_path_factory, inside
):
    cells = build_all(checkout)[0].student.cells
    source = next(c.source for c in cells if "bootstrap" in c.metadata.get("tags", []))
    commands = []
    monkeypatch.chdir(checkout / "solutions" if inside else tmp_path_factory.mktemp("hosted"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = SimpleNamespace(returncode=0)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command) or done)
    monkeypatch.setattr(sys, "path", [])
    exec(source, {})
    hosted = ["colorkit[lab] @ git+https://example.org/fork"]
    wanted = ["-e", f"{checkout}[lab]"] if inside else hosted
    assert [c[1:] for c in commands] == [["-m", "pip", "install", "--quiet", *wanted]]


def test_changed_added_removed_and_retagged_cells_are_found_and_named(checkout):
    build_all(checkout)
    assert drift(checkout) == []
    path = checkout / "lessons/01_demo.ipynb"
    built = path.read_text()
    path.write_text(built.replace("Three plain words", "Three plain wards"))
    (problem,) = drift(checkout)
    assert problem.startswith("lessons/01_demo.ipynb, cell 1: differs from its source")
    assert "\n-Three plain wards.\n+Three plain words." in problem
    notebook = json.loads(built)
    del notebook["cells"][10]
    notebook["cells"][2]["metadata"]["tags"] = ["extra"]
    path.write_text(json.dumps(notebook))
    (problem,) = drift(checkout)
    assert problem.startswith("lessons/01_demo.ipynb, cell 3: differs")
    assert '+print("the end")' in problem


def test_missing_extra_and_broken_files_are_named(checkout):
    build_all(checkout)
    (checkout / "lessons/01_demo.ipynb").unlink()
    (checkout / "lessons/07_gone.ipynb").write_text("{}")
    (checkout / "solutions/Lesson3.py").write_text("# %%")
    (checkout / "solutions/01_demo.ipynb").write_text("{ half")
    found = dict(problem.split(" ", 1) for problem in drift(checkout))
    assert "is missing" in found["lessons/01_demo.ipynb"]
    assert "belongs to no lesson" in found["solutions/Lesson3.py"]
    assert "belongs to no lesson" in found["lessons/07_gone.ipynb"]
    assert "or no notebook" in found["solutions/01_demo.ipynb"]


def executed(root):
    """Store the solution as if it had been executed, with an output in every cell."""
    built = build_all(root)[0].solution
    done = nbformat.from_dict(json.loads(json.dumps(built)))
    for cell in done.cells:
        if cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="seen")]
    done.metadata["colorkit"] = {"executed": code_hash(done), "profile": "ci"}
    keep_outputs(built, done)
    nbformat.write(built, root / "solutions/01_demo.ipynb")


@pytest.mark.parametrize("current", [True, False])
def test_outputs_are_kept_while_the_code_stands_and_else_dropped_and_reported(checkout, current):
    executed(checkout)
    assert check_all(checkout) == []
    source = checkout / "solutions/01_demo.py"
    old, new = ("Three plain words", "Other prose") if current else ("double(21)", "double(20)")
    source.write_text(source.read_text().replace(old, new))
    build_all(checkout)
    assert ("seen" in (checkout / "solutions/01_demo.ipynb").read_text()) == current
    text = "solutions/01_demo.ipynb: its outputs do not come from the present code: run `colorkit "
    assert check_all(checkout) == ([] if current else [f"{text}notebooks execute`"])

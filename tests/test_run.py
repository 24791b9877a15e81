"""The runner and the executor, on a tiny course: what fails is named, the rest still runs."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from click.testing import CliRunner

from colorcourse import execute
from colorcourse.build import build_all, check_all, read_notebook
from colorcourse.checkout import copy_lessons
from colorcourse.execute import (
    Failure,
    Run,
    clean_notebook,
    execute_notebook,
    execute_solutions,
)
from colorcourse.profiles import PROFILES, settings
from colorcourse.recording import MIME, Expected, judge_numbers, record, recorded
from colorcourse.run import Plan, run_course, succeeded, table, write_report
from colorkit.cli import colorkit
from tests.demo import EXERCISES, EXPECTED, make_checkout

# A lesson that imports nothing heavy, so that the runs here take seconds.
LIGHT = """\
# %% [markdown]
# # A light lesson

# %%
import os
from IPython.display import display
KIND = "application/vnd.colorkit.record+json"

# %%
number = {"key": "answer", "value": 42.0, "unit": "", "text": "42.0"}
display({KIND: number, "text/plain": "answer = 42"}, raw=True)
print(os.environ["COLORKIT_PROFILE"], os.environ["COLORKIT_STRICT"])
"""
BROKEN = LIGHT + "\n# %%\nraise ValueError('a planned fault')\n"
LIMITS = {"cell_seconds": 60, "lesson_seconds": 120}
BOUNDS = Expected({"01_light": {"ci": {"cpu": {"answer": [41, 43]}}}})


def run(root, expected=BOUNDS, lessons=None, **options):
    lines = []
    plan = Plan(root, "ci", **(LIMITS | options))
    results = run_course(plan, lessons, expected, exercises={}, say=lines.append)
    return plan, results, "\n".join(lines)


@pytest.fixture(scope="module")
def two_lessons(tmp_path_factory):
    """A run of a good lesson and a broken one: the plan, the results and what was said."""
    root = make_checkout(
        tmp_path_factory.mktemp("course"), **{"00_broken": BROKEN, "01_light": LIGHT}
    )
    build_all(root, exercises={})
    plan, results, said = run(root)
    write_report(plan, results)
    return plan, results, said


def test_a_failure_names_lesson_cell_and_error_and_the_rest_still_runs(two_lessons):
    _, results, said = two_lessons
    broken, light = results["lessons"]["00_broken"], results["lessons"]["01_light"]
    assert broken["error"] == {
        "lesson": "00_broken",
        "cell": 4,
        "message": "ValueError: a planned fault",
    }
    assert not broken["ok"]
    assert light["ok"]
    assert not succeeded(results)
    assert "00_broken, cell 4: ValueError: a planned fault" in said


def test_results_have_the_promised_form(two_lessons):
    plan, results, _ = two_lessons
    assert json.loads((plan.folder / "results.json").read_text(encoding="utf-8")) == results
    assert set(results) == {"profile", "device", "seed", "versions", "lessons"}
    light = results["lessons"]["01_light"]
    assert set(light) == {"ok", "seconds", "peak_mb", "numbers"}
    number = {"value": 42.0, "unit": "", "low": 41, "high": 43, "ok": True}
    assert light["numbers"] == {"answer": number}
    assert light["seconds"] > 0
    assert 10 < light["peak_mb"] < 2000
    assert {"colorkit", "python", "torch"} <= set(results["versions"])


def test_the_profile_and_strictness_reach_the_kernel(two_lessons):
    plan, _, _ = two_lessons
    assert "ci 1" in str(read_notebook(plan.folder / "01_light.ipynb"))


def test_the_report_links_every_lesson_and_says_what_failed(two_lessons):
    plan, _, _ = two_lessons
    index = (plan.folder / "index.html").read_text(encoding="utf-8")
    for name in ("00_broken", "01_light"):
        assert f'href="{name}.html"' in index
        assert "<html" in (plan.folder / f"{name}.html").read_text(encoding="utf-8")
    assert "cell 4: ValueError: a planned fault" in index
    assert "answer" in index


def test_the_table_shows_numbers_beside_their_bounds(two_lessons):
    lines = table(two_lessons[1]).splitlines()
    assert lines[0].split() == ["lesson", "minutes", "peak", "MB", "number", "value", "expected"]
    assert "41 to 43" in next(line for line in lines if line.startswith("01_light"))
    assert "FAILED" in next(line for line in lines if line.startswith("00_broken"))


@pytest.fixture
def endless(tmp_path):
    """A checkout whose one lesson starts a process, writes its number to `pid`, and never ends."""
    child = "import os, subprocess, sys, time\n"
    child += "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    child += "open('beside', 'w').write(str(p.pid))\nos.replace('beside', 'pid')\ntime.sleep(600)\n"
    root = make_checkout(tmp_path, **{"01_endless": f"# %%\n{child}"})
    build_all(root, exercises={})
    return root


def test_an_endless_lesson_is_killed_with_its_children(endless):
    path = endless / "solutions/01_endless.ipynb"
    result = execute_notebook(path, cell_seconds=600, lesson_seconds=20)
    assert "killed after 20 s" in result.failure.message
    assert result.failure.cell == 1
    assert not psutil.pid_exists(int((endless / "solutions/pid").read_text()))


def test_the_peak_is_measured_and_a_process_that_does_not_grow_is_left_in_peace(monkeypatch):
    counted, count = [], execute.tree_bytes
    monkeypatch.setattr(execute, "SAMPLE_SECONDS", 0.05)
    monkeypatch.setattr(execute, "tree_bytes", lambda tree: counted.append(tree) or count(tree))
    code = "import time; time.sleep(1); x = b'x' * 100_000_000; time.sleep(2); del x; time.sleep(1)"
    finished, peak = execute._watch(subprocess.Popen([sys.executable, "-c", code]), 60)
    assert finished
    assert 100e6 < peak < 200e6
    assert 0 < len(counted) < 20  # of 80 samples


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
def test_a_run_that_is_terminated_leaves_no_process_behind(endless):
    code = "import sys; from pathlib import Path; from colorcourse.execute import *; "
    code += "execute_notebook(Path(sys.argv[1]), cell_seconds=600, lesson_seconds=600)"
    path, pid = endless / "solutions/01_endless.ipynb", endless / "solutions/pid"
    runner = subprocess.Popen([sys.executable, "-c", code, str(path)])
    try:
        for _ in range(600):
            if pid.exists() or runner.poll() is not None:
                break
            time.sleep(0.1)
        child = psutil.Process(int(pid.read_text()))
        runner.terminate()
        assert runner.wait(30) == 143
        psutil.wait_procs([child], timeout=10)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    finally:
        runner.kill()


def test_a_cell_over_its_limit_is_a_failure_of_that_cell(tmp_path):
    source = "# %%\n1\n\n# %%\nimport time\ntime.sleep(60)\n"
    root = make_checkout(tmp_path, **{"01_slow": source})
    build_all(root, exercises={})
    _, results, _ = run(root, cell_seconds=2)
    message = "stopped after 2 s, the limit of a cell"
    error = {"lesson": "01_slow", "cell": 2, "message": message}
    assert results["lessons"]["01_slow"]["error"] == error


def test_a_number_out_of_bounds_or_never_recorded_fails(two_lessons):
    bounds = {"answer": (0.0, 1.0), "lost": (0.0, 1.0)}
    numbers = recorded(read_notebook(two_lessons[0].folder / "01_light.ipynb"))
    judged = judge_numbers(numbers, bounds, strict=False)
    assert {key: number["ok"] for key, number in judged.items()} == {"answer": False, "lost": False}


@pytest.mark.parametrize(("strict", "ok"), [(False, True), (True, False)])
def test_a_number_without_bounds_fails_only_where_strict(strict, ok):
    judged = judge_numbers({"free": {"value": 1.0, "unit": ""}}, {}, strict)
    assert judged["free"] == {"value": 1.0, "unit": "", "low": None, "high": None, "ok": ok}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_fail_whatever_the_bounds(value):
    judged = judge_numbers({"x": {"value": value, "unit": ""}}, {"x": (-1e300, 1e300)}, False)
    assert not judged["x"]["ok"]
    json.dumps(judged, allow_nan=False)


def test_recorded_values_survive_json_even_when_not_finite():
    data = {"key": "x", "value": None, "unit": "", "text": "nan"}
    output = nbformat.v4.new_output("display_data", {MIME: data})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[output])])
    assert math.isnan(recorded(notebook)["x"]["value"])


@pytest.mark.parametrize(("key", "value"), [("a b", 1), ("seconds", 1), ("x", "many"), ("x", [1])])
def test_record_refuses_what_is_no_named_number(key, value):
    with pytest.raises(ValueError, match="number"):
        record(key, value)


def test_a_device_without_bounds_takes_those_of_the_cpu():
    tables = {"cpu": {"seconds": 9, "a": [0, 1], "b": [0, 1]}, "cuda": {"b": [2, 3]}}
    expected = Expected({"01_x": {"gpu": tables}})
    assert expected.bounds("01_x", "gpu", "cuda") == {"a": (0, 1), "b": (2, 3)}
    assert expected.bounds("01_x", "gpu", "mps") == {"a": (0, 1), "b": (0, 1)}
    assert expected.seconds("01_x", "gpu", "mps") == 9


@pytest.mark.parametrize(
    "bad", ["a = [2, 1]", "a = 1", "a = [0, inf]", "seconds = 0", 'a = ["0", "1"]']
)
def test_a_malformed_bound_is_named(tmp_path, bad):
    path = tmp_path / "expected.toml"
    path.write_text(f"[01_x.ci.cpu]\n{bad}\n")
    with pytest.raises(ValueError, match=r"\[01_x.ci.cpu\]: "):
        Expected.load(path)


def test_the_course_s_own_bounds_can_be_read():
    Expected.load()


def test_unknown_lessons_and_profiles_are_refused_with_the_known_ones(monkeypatch):
    with pytest.raises(ValueError, match="ci, laptop, gpu"):
        settings("01_lab", "huge")
    with pytest.raises(ValueError, match="no settings for lesson '99_none': known are"):
        settings("99_none", "ci")
    monkeypatch.setenv("COLORKIT_PROFILE", "tiny")
    with pytest.raises(ValueError, match="COLORKIT_PROFILE"):
        settings("01_lab")


def test_every_lesson_has_settings_for_every_profile(monkeypatch):
    from colorcourse.profiles import _tables

    lessons = {"01_x": {"size": 8, "ci": {"steps": 1}, "laptop": {}, "gpu": {}}}
    for name, table_ in _tables().items():
        assert name == "defaults" or all(isinstance(table_.get(p), dict) for p in PROFILES), name
    monkeypatch.setattr("colorcourse.profiles._tables", lambda: {"defaults": {}} | lessons)
    monkeypatch.setenv("COLORKIT_PROFILE", "ci")
    cfg = settings("01_x")
    assert (cfg.size, cfg.steps, cfg.profile) == (8, 1, "ci")


def test_execute_stores_outputs_once_and_the_check_is_then_content(tmp_path):
    root = make_checkout(tmp_path)
    lessons = build_all(root, exercises=EXERCISES)
    ((name, first),) = execute_solutions(root, lessons, "ci")
    assert name == "01_demo"
    assert first.failure is None
    assert check_all(root, EXERCISES) == []
    stored = (root / "solutions/01_demo.ipynb").read_bytes()
    assert list(execute_solutions(root, build_all(root, exercises=EXERCISES), "ci")) == [
        ("01_demo", None)
    ]
    assert (root / "solutions/01_demo.ipynb").read_bytes() == stored
    notebook = read_notebook(root / "solutions/01_demo.ipynb")
    assert recorded(notebook) == {"twice": {"value": 42.0, "unit": "ab"}}
    assert "papermill" not in stored.decode()
    assert "iopub" not in stored.decode()
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    plan = Plan(root, "ci", students=True, **LIMITS)
    results = run_course(plan, None, EXPECTED, EXERCISES, say=lambda line: None)
    assert plan.folder.name == "ci-students"
    assert succeeded(results)  # undone, to its last cell, with colorkit's own answer standing in
    assert "not done" in str(read_notebook(plan.folder / "01_demo.ipynb"))


def refused_execution(tmp_path, monkeypatch, change):
    """The path of a solution, and its bytes, before a run whose outcome is `change(notebook)`."""

    def pretend(path, **_):
        return change(read_notebook(path))

    monkeypatch.setattr("colorcourse.execute.execute_notebook", pretend)
    lessons = build_all(make_checkout(tmp_path), exercises=EXERCISES)
    path = tmp_path / "solutions/01_demo.ipynb"
    return path, path.read_bytes(), execute_solutions(tmp_path, lessons, "ci")


def test_a_failed_execution_leaves_the_stored_solution_alone(tmp_path, monkeypatch):
    failed = Run(None, 1.0, 1.0, Failure(4, "ValueError"))
    path, before, runs = refused_execution(tmp_path, monkeypatch, lambda notebook: failed)
    assert list(runs) == [("01_demo", failed)]
    assert path.read_bytes() == before


def test_a_solution_above_one_megabyte_is_refused_and_its_cell_named(tmp_path, monkeypatch):
    def large(notebook):
        text = "x" * 1_100_000
        notebook.cells[6].outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
        return Run(notebook, 1.0, 1.0, None)

    path, before, runs = refused_execution(tmp_path, monkeypatch, large)
    ((_, outcome),) = runs
    assert outcome.failure.cell == 7
    assert "has 1.10 MB" in outcome.failure.message
    assert path.read_bytes() == before


def test_widgets_leave_what_can_be_seen_without_a_kernel(tmp_path):
    (lesson,) = build_all(make_checkout(tmp_path), exercises=EXERCISES)
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    done = nbformat.from_dict(json.loads(json.dumps(lesson.solution)))
    done.metadata["widgets"] = {"state": {}}
    shown = [{"text/plain": "VBox()"}, {"text/plain": "VBox()", "text/html": "<img alt='a'>"}]
    last = done.cells[-1]
    last.outputs = [nbformat.v4.new_output("display_data", view | data) for data in shown]
    cleaned = clean_notebook(done, lesson.solution)
    assert "widget-view" not in str(cleaned)
    assert "widgets" not in cleaned.metadata
    first, second = (output.data for output in cleaned.cells[-1].outputs)
    assert "run this cell" in first["text/plain"]
    assert second["text/html"] == "<img alt='a'>"


def test_lessons_are_copied_once_and_never_overwritten(tmp_path):
    root = make_checkout(tmp_path)
    build_all(root, exercises=EXERCISES)
    assert copy_lessons(root) == (["01_demo.ipynb"], [])
    own = root / "my-lessons/01_demo.ipynb"
    own.write_text("mine")
    assert copy_lessons(root) == ([], ["01_demo.ipynb"])
    assert own.read_text() == "mine"


def command(folder, *words):
    package = str(Path(__file__).resolve().parents[1])
    return subprocess.run(
        [sys.executable, "-m", "colorkit", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": package},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_outside_a_checkout_the_command_says_so_in_one_line(tmp_path):
    done = command(tmp_path, "course", "run")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "not inside a checkout" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_imports_no_torch(tmp_path):
    code = "import sys; from colorkit.cli import colorkit; colorkit(['--help'], standalone_mode=0)"
    code += "; assert 'torch' not in sys.modules"
    package = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": package},
        check=True,
        capture_output=True,
        text=True,
    )
    for name in ("notebooks", "course", "lab", "data", "doctor"):
        assert name in done.stdout


def test_build_and_check_exit_1_where_a_rule_is_broken(tmp_path, monkeypatch):
    root = make_checkout(tmp_path, **{"01_light": LIGHT})  # it has no bootstrap cell
    monkeypatch.chdir(root / "solutions")
    for words in (["build"], ["build", "--check"]):
        done = CliRunner().invoke(colorkit, ["notebooks", *words])
        assert done.exit_code == 1
        assert "solutions/01_light.py, cell 2: the first code cell" in done.stderr


def test_execute_says_what_it_did_and_exits_1_on_a_failure(tmp_path, monkeypatch):
    root = make_checkout(tmp_path, **{"00_broken": LIGHT})
    monkeypatch.chdir(root)
    failed = Run(None, 1.0, 1.0, Failure(4, "ValueError: a planned fault"))
    monkeypatch.setattr("colorcourse.execute.execute_notebook", lambda *_, **__: failed)
    done = CliRunner().invoke(colorkit, ["notebooks", "execute", "--profile", "ci"])
    assert done.exit_code == 1
    assert "00_broken, cell 4: ValueError: a planned fault" in done.stderr

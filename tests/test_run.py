"""The runner and the executor, on a tiny course: what fails is named, the rest still runs."""

import json
import math
import re
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from click.testing import CliRunner

from colorcourse import execute, recording
from colorcourse.build import build_all, check_all, read_notebook
from colorcourse.checkout import select_lessons
from colorcourse.execute import Failure, Run, execute_notebook, execute_solutions
from colorcourse.profiles import PROFILES, settings, tables
from colorcourse.recording import MIME, expected_bounds, judge_numbers, record, recorded
from colorcourse.report import summary
from colorcourse.run import Plan, run_course
from colorkit.cli import colorkit, main
from tests.conftest import ROOT, python
from tests.demo import make_checkout

# Lessons that import nothing heavy, so that the runs here take seconds.
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

# %%
large = b"x" * 150_000_000
del large
{last}
"""
BROKEN = LIGHT.replace("{last}", "raise ValueError('a planned fault')")
LIGHT = LIGHT.replace("{last}", "os.getpid()")
SLOW = "# %%\n1\n\n# %%\nimport time\ntime.sleep(60)\n"
LEAVES = "# %%\n1\n\n# %%\nimport sys\nsys.exit()\n\n# %%\n2\n"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A run of a good lesson, a broken and a slow one: the plan, the results and what was said."""
    sources = {"00_broken": BROKEN, "01_light": LIGHT, "02_slow": SLOW, "03_leaves": LEAVES}
    root = make_checkout(tmp_path_factory.mktemp("course"), **sources)
    build_all(root)
    (root / "expected.toml").write_text("[01_light.ci.cpu]\nanswer = [41, 43]\n")
    lines, plan = [], Plan(root, "ci", root / "build")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(execute.LIMITS, "ci", (5, 120))
        patch.setattr(recording, "EXPECTED", root / "expected.toml")
        results = run_course(plan, say=lines.append)
    return plan, results, "\n".join(lines)


@pytest.mark.parametrize(
    ("lesson", "cell", "message"),
    [
        ("00_broken", 4, "ValueError: a planned fault"),
        ("02_slow", 2, "stopped after 5 s, the limit of a cell"),
        ("03_leaves", 2, "SystemExit:"),
    ],
)
def test_a_failure_is_located_and_the_rest_still_runs(course, lesson, cell, message):
    plan, results, said = course
    error = {"lesson": lesson, "cell": cell, "message": message}
    assert results["lessons"][lesson]["error"] == error
    assert not results["lessons"][lesson]["ok"]
    assert results["lessons"]["01_light"]["ok"]
    assert re.search(rf"{lesson}, cell {cell}: FAILED after .* s: {message}", said)
    assert f"s: {message}" in (plan.folder / "index.html").read_text(encoding="utf-8")


def test_results_have_the_promised_form(course):
    plan, results, _ = course
    assert json.loads((plan.folder / "results.json").read_text(encoding="utf-8")) == results
    setting = {"profile", "device", "precision", "threads", "seed", "versions"}
    assert set(results) == {*setting, "lessons"}
    assert "ci 1" in str(read_notebook(plan.folder / "01_light.ipynb"))  # profile and strictness
    light = results["lessons"]["01_light"]
    assert set(light) == {"ok", "seconds", "peak_mb", "numbers"}
    number = {"value": 42.0, "unit": "", "low": 41, "high": 43, "ok": True}
    assert light["numbers"] == {"answer": number}
    assert light["seconds"] > 0
    assert {"colorkit", "python", "torch"} <= set(results["versions"])


def test_the_peak_is_the_kernels_and_counts_what_was_given_back(course):
    for name in ("00_broken", "01_light"):  # a failure is measured too
        assert 150 < course[1]["lessons"][name]["peak_mb"] < 300


def test_the_report_links_every_lesson_and_the_summary_shows_numbers_beside_their_bounds(course):
    plan, results, _ = course
    index = (plan.folder / "index.html").read_text(encoding="utf-8")
    for name in results["lessons"]:
        assert f'href="{name}.html"' in index
        assert "<html" in (plan.folder / f"{name}.html").read_text(encoding="utf-8")
    lines = [line.split() for line in summary(results).splitlines()]
    assert ["01_light", "answer", "42", "41", "to", "43"] in lines
    assert any(line[:2] == ["00_broken", "FAILED"] for line in lines)
    assert " ".join(lines[-1]).startswith("1 of 4 lessons ok")


def test_students_get_the_lessons_with_stand_ins(tmp_path, monkeypatch):
    root = make_checkout(tmp_path, **{"01_light": LIGHT})
    build_all(root)
    asked = []

    def pretend(path, profile, strict):
        asked.append((path, profile, strict))
        return Run(read_notebook(path), 1.0, 1.0, None)

    monkeypatch.setattr("colorcourse.run.execute_notebook", pretend)
    run_course(Plan(root, "ci", root / "build", students=True))
    assert asked == [(root / "lessons/01_light.ipynb", "ci", False)]
    assert (root / "build/results.json").is_file()


@pytest.fixture
def endless(tmp_path):
    """A notebook that starts a process, writes its number to `pid`, and never ends."""
    child = "import os, subprocess, sys, time\n"
    child += "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    child += "open('beside', 'w').write(str(p.pid))\nos.replace('beside', 'pid')\ntime.sleep(600)\n"
    root = make_checkout(tmp_path, **{"01_endless": f"# %%\n{child}"})
    build_all(root)
    return root / "solutions/01_endless.ipynb"


def test_an_endless_lesson_is_killed_with_its_children(endless, monkeypatch):
    pid = endless.parent / "pid"
    limit = 10
    monkeypatch.setitem(execute.LIMITS, "ci", (600, limit))
    wait = subprocess.Popen.wait

    def wait_for_child(process, timeout=None):
        """The limit counts from when the cell runs: a busy machine starts kernels slowly."""
        while timeout == limit and not pid.exists():
            time.sleep(0.1)
        return wait(process, 2 if timeout == limit else timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", wait_for_child)
    result = execute_notebook(endless, "ci", strict=True)
    assert result.failure == Failure(1, f"killed after {limit} s, the lesson's limit")
    assert not psutil.pid_exists(int(pid.read_text()))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
def test_a_run_that_is_terminated_leaves_no_process_behind(endless):
    code = "import sys; from pathlib import Path; from colorcourse.execute import *; "
    code += "execute_notebook(Path(sys.argv[1]), 'ci', strict=True)"
    pid = endless.parent / "pid"
    runner = subprocess.Popen([sys.executable, "-c", code, str(endless)], cwd=ROOT)
    try:
        while not pid.exists() and runner.poll() is None:
            time.sleep(0.1)
        child = psutil.Process(int(pid.read_text()))
        runner.terminate()
        assert runner.wait(30) == 143
        psutil.wait_procs([child], timeout=10)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    finally:
        runner.kill()


@pytest.mark.parametrize(
    ("value", "bounds", "strict", "ok"),
    [
        (1.0, (0, 1), True, True),
        (1.0, (2, 3), False, False),
        (None, (0, 1), False, False),  # never recorded
        (1.0, None, False, True),
        (1.0, None, True, False),
        (math.nan, (-1e300, 1e300), False, False),
    ],
)
def test_a_number_is_judged_by_its_bounds(value, bounds, strict, ok):
    numbers = {} if value is None else {"x": {"value": value, "unit": "m"}}
    judged = judge_numbers(numbers, {} if bounds is None else {"x": bounds}, strict)
    assert judged["x"]["ok"] == ok
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


def test_a_device_without_bounds_takes_those_of_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "EXPECTED", tmp_path / "expected.toml")
    recording.EXPECTED.write_text(
        "[01_x.gpu.cpu]\nseconds = 9\na = [0, 1]\nb = [0, 1]\n[01_x.gpu.cuda]\nb = [2, 3]\n"
    )
    assert expected_bounds("01_x", "gpu", "cuda") == {"a": (0, 1), "b": (2, 3)}
    assert expected_bounds("01_x", "gpu", "mps") == {"a": (0, 1), "b": (0, 1)}


def test_the_courses_own_bounds_are_well_formed():
    for lesson, profiles in recording.read_expected().items():
        assert profiles["laptop"]["cpu"]["seconds"] > 0
        for profile, devices in profiles.items():
            assert profile in PROFILES
            assert set(devices) <= {"cpu", "cuda", "mps"}
            for device in devices:
                for key, (low, high) in expected_bounds(lesson, profile, device).items():
                    assert -math.inf < low <= high < math.inf, (lesson, profile, device, key)


def test_unknown_lessons_and_profiles_are_refused_with_the_known_ones(monkeypatch):
    with pytest.raises(ValueError, match="ci, laptop, gpu"):
        settings("01_lab", "huge")
    with pytest.raises(ValueError, match="no settings for lesson '99_none': known are"):
        settings("99_none", "ci")
    monkeypatch.setenv("COLORKIT_PROFILE", "tiny")
    with pytest.raises(ValueError, match="COLORKIT_PROFILE"):
        settings("01_lab")


def test_every_lesson_has_settings_for_every_profile(monkeypatch):
    for name, table in tables().items():
        assert name == "defaults" or set(PROFILES) <= set(table), name
    lessons = {"01_x": {"size": 8, "ci": {"steps": 1}, "laptop": {}, "gpu": {}}}
    monkeypatch.setattr("colorcourse.profiles.tables", lambda: {"defaults": {}} | lessons)
    monkeypatch.setenv("COLORKIT_PROFILE", "ci")
    cfg = settings("01_x")
    assert (cfg.size, cfg.steps, cfg.profile) == (8, 1, "ci")


def test_execute_stores_outputs_once_and_the_check_is_then_content(tmp_path):
    root = make_checkout(tmp_path, **{"01_light": LIGHT})
    path = root / "solutions/01_light.ipynb"
    ((_, first),) = execute_solutions(root, build_all(root), "ci")
    assert first.failure is None
    assert check_all(root) == []
    stored = path.read_bytes()
    assert list(execute_solutions(root, build_all(root), "ci")) == [("01_light", None)]
    assert path.read_bytes() == stored
    notebook = read_notebook(path)
    assert recorded(notebook) == {"answer": {"value": 42.0, "unit": ""}}
    assert "papermill" not in stored.decode()
    assert "iopub" not in stored.decode()


def failed(path):
    return Run(None, 1.0, 1.0, Failure(3, "ValueError: planned"))


def large(path):
    notebook = read_notebook(path)
    text = "x" * 1_100_000
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    return Run(notebook, 1.0, 1.0, None)


@pytest.mark.parametrize(
    ("outcome", "message"),
    [(failed, "ValueError: planned"), (large, "not stored: 1.10 MB, at most 1 is allowed")],
)
def test_a_failed_or_too_large_execution_is_said_and_leaves_the_stored_solution_alone(
    tmp_path, monkeypatch, outcome, message
):
    root = make_checkout(tmp_path, **{"01_light": LIGHT})
    path = root / "solutions/01_light.ipynb"
    build_all(root)
    before = path.read_bytes()
    monkeypatch.setattr(execute, "execute_notebook", lambda path, *_, **__: outcome(path))
    monkeypatch.chdir(root)
    done = CliRunner().invoke(colorkit, ["notebooks", "execute", "--profile", "ci"])
    assert done.exit_code == 1
    assert f"01_light, cell 3: {message}" in done.stderr
    assert path.read_bytes() == before


def test_widgets_leave_what_can_be_seen_without_a_kernel():
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
    shown = [{"text/plain": "VBox()"}, {"text/plain": "VBox()", "text/html": "<img alt='a'>"}]
    outputs = [nbformat.v4.new_output("display_data", view | data) for data in shown]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(outputs=outputs)], metadata={"widgets": {"state": {}}}
    )
    execute.without_widgets(notebook)
    assert "widget-view" not in str(notebook)
    assert "widgets" not in notebook.metadata
    first, second = (output.data for output in notebook.cells[0].outputs)
    assert "run this cell" in first["text/plain"]
    assert second["text/html"] == "<img alt='a'>"


def test_outside_a_checkout_the_command_says_so_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["colorkit", "course", "run"])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert re.fullmatch("Error: .*not inside a checkout.*\n", capsys.readouterr().err)


def test_help_imports_no_torch():
    code = "import colorkit, sys; assert 'numpy' not in sys.modules\n"
    code += "from colorkit.cli import colorkit; colorkit(['--help'], standalone_mode=0)\n"
    code += "assert 'torch' not in sys.modules"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    for name in ("notebooks", "course", "lab", "data", "doctor"):
        assert name in done.stdout


def test_the_check_of_build_exits_1_where_a_notebook_differs(tmp_path, monkeypatch):
    root = make_checkout(tmp_path, **{"01_light": LIGHT})
    monkeypatch.chdir(root / "solutions")
    assert CliRunner().invoke(colorkit, ["notebooks", "build"]).exit_code == 0
    (root / "lessons/01_light.ipynb").unlink()
    checked = CliRunner().invoke(colorkit, ["notebooks", "build", "--check"])
    assert checked.exit_code == 1
    assert "lessons/01_light.ipynb is missing" in checked.stderr


def test_further_options_of_lab_are_jupyterlabs(tmp_path, monkeypatch):
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons/01_light.ipynb").write_text("{}")
    monkeypatch.setattr("colorcourse.cli.find_root", lambda: tmp_path)
    calls = []
    monkeypatch.setattr(subprocess, "call", lambda command, cwd: calls.append(command) or 0)
    ran = CliRunner().invoke(colorkit, ["lab", "--allow-root", "--port", "9000"])
    assert ran.exit_code == 0, ran.output
    assert calls[0][-3:] == ["--allow-root", "--port", "9000"]


def test_lessons_are_chosen_by_number_and_name_in_their_order():
    known = ["01_lab", "02_overfit", "03_x"]
    assert select_lessons(known, "overfit,1") == ["01_lab", "02_overfit"]
    assert select_lessons(known, None) == known
    with pytest.raises(ValueError, match="no lesson 'lob': the lessons are 01_lab"):
        select_lessons(known, "lob")

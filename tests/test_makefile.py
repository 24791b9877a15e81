"""The Makefile's own logic, tried with a Python that only writes down how it was called."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import ROOT

pytestmark = [
    pytest.mark.skipif(shutil.which("make") is None, reason="GNU make is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows: docs/install.md, without make"),
]

# Says that it is new enough unless TOO_OLD is set; `-m venv` copies it; `-m pip` leaves a mark that
# stands for the installed colorkit.
FAKE_PYTHON = """#!/bin/sh
here=$(dirname "$0")
case "$*" in
  --version) echo "Python 3.9.2" ;;
  "-I -c"*) [ -e "$here/installed" ] && echo True ;;
  *version_info*) [ -z "$TOO_OLD" ] ;;
  *) echo "$(basename "$0") $*" >> "$LOG" ;;
esac || exit 1
case "$*" in
  "-m venv"*)
    [ -z "$NO_VENV" ] || exit 1
    for folder; do :; done
    mkdir -p "$folder/bin" && cp "$0" "$folder/bin/python" ;;
  "-m pip"*)
    [ -z "$NO_PIP" ] || exit 1
    touch "$here/installed" ;;
esac
"""


class Checkout:
    """A folder with the Makefile, and a PATH on which the fake is the only Python."""

    def __init__(self, folder: Path):
        self.folder = folder / "a checkout"  # with a space, as students' folders have
        programs = folder / "bin"
        for path in (self.folder / "colorkit", programs):
            path.mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.folder)
        tools = ("sh", "sed", "awk", "touch", "mkdir", "cp", "rm", "mv", "find", "make")
        tools += ("dirname", "basename", "tail", "echo")
        for name in filter(shutil.which, tools):
            (programs / name).symlink_to(shutil.which(name))
        (programs / "python3").write_text(FAKE_PYTHON)
        (programs / "python3").chmod(0o755)
        self.log = folder / "log"
        self.environment = {"PATH": str(programs), "LOG": str(self.log)}

    def make(self, *arguments: str, **environment: str) -> tuple[list[str], str, int]:
        """The calls of Python that do something, what make printed, its exit status."""
        self.log.write_text("")
        options = {"cwd": self.folder, "env": self.environment | environment, "timeout": 60}
        done = subprocess.run(["make", *arguments], capture_output=True, text=True, **options)
        return self.log.read_text().splitlines(), done.stdout + done.stderr, done.returncode


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_course_from_nothing_makes_an_environment_installs_lab_once_and_runs(checkout):
    calls, printed, status = checkout.make("course")
    assert status == 0, printed
    assert calls[0] == "python3 -m venv --clear .venv"
    assert calls[1].startswith("python -m pip install")
    assert calls[1].endswith("--editable .[lab]")
    assert calls[2:] == ["python -m colorkit course run --profile laptop"]
    calls, _, _ = checkout.make("course", "PROFILE=ci")
    assert calls == ["python -m colorkit course run --profile ci"]


def test_tests_need_dev_on_top_of_lab_which_it_covers(checkout):
    checkout.make("lab")
    calls, _, _ = checkout.make("test")
    assert not any("venv" in call for call in calls)
    assert calls[0].endswith("--editable .[dev]")
    assert calls[-1].startswith("python -m pytest -n logical")
    assert checkout.make("lab")[0] == ["python -m colorkit lab"]


def test_a_newer_pyproject_or_constraints_install_again(checkout):
    checkout.make("course")
    calls, _, _ = checkout.make("course", "CONSTRAINTS=constraints.txt")
    assert "--constraint constraints.txt" in calls[0]
    later = (checkout.folder / ".venv/.lab").stat().st_mtime + 5
    os.utime(checkout.folder / "pyproject.toml", (later, later))
    calls, _, _ = checkout.make("course", "CONSTRAINTS=constraints.txt")
    assert calls[0].startswith("python -m pip install")


@pytest.mark.parametrize(
    ("lost", "first"),
    [("installed", "python -m pip install"), ("python", "python3 -m venv --clear .venv")],
)
def test_an_environment_that_lost_its_python_or_its_colorkit_is_mended(checkout, lost, first):
    checkout.make("course")
    (checkout.folder / ".venv/bin" / lost).unlink()
    calls, _, status = checkout.make("course")
    assert status == 0
    assert calls[0].startswith(first)


@pytest.mark.parametrize("moved", [None, "colorkit", "colorcourse"])
def test_both_packages_must_be_those_of_the_folder(tmp_path, monkeypatch, capsys, moved):
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    code = next(line for line in text.splitlines() if line.startswith("OWN := "))
    for name in ("colorkit", "colorcourse"):
        for folder in (tmp_path / "here" / name, tmp_path / "elsewhere" / name):
            folder.mkdir(parents=True)
        home = tmp_path / ("elsewhere" if name == moved else "here") / name
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(__path__=[home], __name__=name))
    monkeypatch.chdir(tmp_path / "here")
    exec(code.removeprefix("OWN := "), {})
    assert capsys.readouterr().out.strip() == str(moved is None)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("TOO_OLD", "Python 3.11 or later; python3 is Python 3.9.2"),
        ("NO_VENV", "apt-get install python3-venv"),
    ],
)
def test_a_python_that_will_not_do_gets_the_remedy_and_leaves_nothing(checkout, fault, message):
    _, printed, status = checkout.make("course", **{fault: "1"})
    assert status != 0
    assert message in printed
    assert not (checkout.folder / ".venv").exists()


def test_a_failed_installation_stops_and_the_next_call_goes_on(checkout):
    calls, printed, status = checkout.make("course", NO_PIP="1")
    assert status != 0
    assert "installation failed" in printed
    assert not any("colorkit course" in call for call in calls)
    calls, _, status = checkout.make("course")
    assert status == 0
    assert calls[-1] == "python -m colorkit course run --profile laptop"


def test_help_names_every_target(checkout):
    _, printed, _ = checkout.make()
    names = re.search(r"^\.PHONY: help (.+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in names[1].split():
        assert f"make {target} " in printed

"""The doctor finds each thing that can be wrong, names its remedy, and never falls over itself."""

import base64
import os
import re
import sys
from types import SimpleNamespace

import click.testing
import jupyter_core.paths
import pytest

from colorcourse import doctor
from colorkit import device, plots
from tests.conftest import ROOT, python

probe_fit = doctor.probe_fit


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """No kernel, no fit and no file outside the test's folder."""
    monkeypatch.setenv("COLORKIT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(doctor, "probe_kernel", lambda: "not tried")
    monkeypatch.setattr(doctor, "probe_fit", lambda: "not tried")
    monkeypatch.setattr(doctor, "FIT_STEPS", 10)


def report(status: int) -> list[str]:
    """The lines that the command prints, its exit status checked."""
    result = click.testing.CliRunner().invoke(doctor.doctor, [])
    assert result.exit_code == status, result.output
    return result.stdout.splitlines()


def failure(probe: str) -> str:
    """What the doctor found wrong with one probe alone, and the remedy below it."""
    lines = report(1)
    (at,) = [i for i, line in enumerate(lines) if line.startswith("FAIL")]
    assert lines[at].split()[1] == probe
    return f"{lines[at]}\n{lines[at + 1]}"


def raises(error):
    def fail(*_, **__):
        raise error

    return fail


def test_a_sound_machine_passes_and_the_report_is_short_plain_text(quick):
    lines = report(0)
    assert lines[-1] == "all is well"
    assert len(lines) == len(doctor.PROBES) + 2
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("probe", doctor.PROBES)
@pytest.mark.parametrize("error", [RuntimeError("boom"), SystemExit(3), OSError(126, "no DLL")])
def test_whatever_a_probe_raises_is_a_finding_with_its_remedy(monkeypatch, probe, error):
    for name in doctor.PROBES:
        monkeypatch.setattr(doctor, f"probe_{name}", lambda: "not tried")
    monkeypatch.setattr(doctor, f"probe_{probe}", raises(error))
    found = failure(probe)
    assert type(error).__name__ in found
    assert found.endswith(f"what to do: {doctor.PROBES[probe]}")
    assert report(1)[-1] == f"1 of {len(doctor.PROBES)} failed"


PAGE = f'<img alt="a rising line" src="data:image/webp;base64,{base64.b64encode(b"no").decode()}">'
FULL = SimpleNamespace(free=5e8)
FAULTS = {
    "old driver": (device, "pick_device", lambda: "no-such-device", "torch", "no-such-device"),
    "no extension": (jupyter_core.paths, "jupyter_path", lambda _: [], "widgets", "not on Jupyter"),
    "no alt text": (plots, "figure_html", lambda *_: "<img>", "figure", "alt text"),
    "broken data": (plots, "figure_html", lambda *_: PAGE, "figure", "UnidentifiedImageError"),
    "no renaming": (os, "replace", raises(PermissionError("in use")), "data", "PermissionError"),
    "full disk": (doctor.shutil, "disk_usage", lambda _: FULL, "data", "only 0.5 GB"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_named(quick, monkeypatch, tmp_path, fault):
    owner, name, value, probe, words = FAULTS[fault]
    monkeypatch.setattr(owner, name, value)
    assert words in failure(probe)
    assert not list(tmp_path.glob("data/*"))


def test_a_data_folder_that_cannot_be_made_is_a_finding(quick, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COLORKIT_DATA", str(tmp_path / "file" / "data"))
    assert "set COLORKIT_DATA to a folder" in failure("data")


def test_a_fit_that_does_not_learn_is_a_finding(quick, monkeypatch):
    import torch

    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: None)
    monkeypatch.setattr(doctor, "probe_fit", probe_fit)
    assert "the loss went from" in failure("fit")


def test_minutes_are_the_reference_seconds_scaled_by_the_speed(quick, monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "EXPECTED", tmp_path / "expected.toml")
    doctor.EXPECTED.write_text(
        "[doctor]\nreference_steps_per_second = 20.0\n[01_lab.laptop.cpu]\nseconds = 90\n"
    )
    clock = iter([0.0, 1.0])
    monkeypatch.setattr(doctor.time, "perf_counter", lambda: next(clock))
    assert probe_fit() == "10.0 steps a second; minutes at profile laptop: 01_lab 3.0"


def test_the_report_holds_no_home_folder(quick, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert any(f"~{os.sep}data can be written" in line for line in report(0))


def test_a_kernel_whose_slider_does_not_follow_or_of_another_python_is_a_finding(monkeypatch):
    assert "was seen in the kernel" in doctor.probe_kernel()
    first, second = doctor.SLIDER_CELLS
    monkeypatch.setattr(doctor, "SLIDER_CELLS", (first.split("slider.observe")[0], second))
    with pytest.raises(RuntimeError, match="gave \\[\\] in the kernel"):
        doctor.probe_kernel()
    monkeypatch.setattr(sys, "prefix", "/elsewhere")
    with pytest.raises(RuntimeError, match="but colorkit runs in"):
        doctor.probe_kernel()


def test_the_command_runs_without_torch_for_a_user_without_a_name_or_home(tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('[WinError 126] c10.dll')")
    code = (
        "import os, sys\n"
        "if sys.platform != 'win32':\n"
        "    import pwd\n"
        "    pwd.getpwuid = pwd.getpwnam = {}.__getitem__  # KeyError, as for an unknown number\n"
        "    for name in ('HOME', 'USER', 'LOGNAME'): os.environ.pop(name, None)\n"
        "from colorcourse import doctor\n"
        "doctor.probe_kernel = lambda: 'not tried'\n"
        "from colorkit.cli import main\n"
        "import sys; sys.argv = ['colorkit', 'doctor']; main()"
    )
    done = python("-c", code, PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    assert done.returncode == 1
    assert "FAIL  torch   OSError: [WinError 126] c10.dll" in done.stdout, done.stderr
    assert re.search(r"(?m)^\d of 6 failed$", done.stdout)

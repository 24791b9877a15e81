"""The doctor finds each thing that can be wrong, names its remedy, and never falls over itself."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click.testing
import pytest

from colorcourse import doctor

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def quick_and_private(monkeypatch, tmp_path):
    """No kernel, no long fit and no file outside the test's folder, unless a test asks."""
    monkeypatch.setenv("COLORKIT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(doctor, "probe_kernel", lambda: "not tried")
    monkeypatch.setattr(doctor, "fit_speed", lambda: 10.0)


def found(probe: str) -> doctor.Finding:
    (finding,) = [f for f in doctor.examine().findings if f.probe == probe]
    return finding


def block_import(monkeypatch, name: str, error: Exception) -> None:
    real = doctor.importlib.import_module

    def import_module(wanted: str):
        if wanted == name:
            raise error
        return real(wanted)

    monkeypatch.setattr(doctor.importlib, "import_module", import_module)


def test_a_sound_machine_passes_and_the_report_is_short_plain_text():
    result = click.testing.CliRunner().invoke(doctor.doctor, [])
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.stdout
    assert result.stdout.rstrip().endswith("all is well")
    assert len(result.stdout.splitlines()) == len(doctor.PROBES) + 2


def test_json_holds_the_same_findings():
    result = click.testing.CliRunner().invoke(doctor.doctor, ["--json"])
    report = json.loads(result.stdout)
    assert report["ok"] is True
    assert [f["probe"] for f in report["findings"]] == [name for name, _, _ in doctor.PROBES]
    assert report["steps_per_second"] == 10.0


def test_any_failure_sets_the_exit_status_and_shows_the_remedy(monkeypatch):
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (99, 0))
    result = click.testing.CliRunner().invoke(doctor.doctor, [])
    assert result.exit_code == 1
    assert "FAIL Python" in result.stdout
    assert "what to do: install Python 99.0 or later" in result.stdout
    assert result.stdout.rstrip().endswith("1 of 8 failed")


@pytest.mark.parametrize(("name", "function", "remedy"), doctor.PROBES)
@pytest.mark.parametrize("error", [RuntimeError("boom"), SystemExit(3), OSError(126, "no DLL")])
def test_whatever_a_probe_raises_is_a_finding_with_its_remedy(
    monkeypatch, name, function, remedy, error
):
    def fail(*_):
        raise error

    target = {"probe_fit": "fit_speed", "probe_minutes": "estimate_minutes"}.get(function, function)
    monkeypatch.setattr(doctor, target, fail)
    finding = found(name)
    assert not finding.ok
    assert type(error).__name__ in finding.found
    assert finding.remedy == remedy


def test_a_torch_that_does_not_load_is_a_finding_and_the_others_are_still_tried(monkeypatch):
    block_import(monkeypatch, "torch", OSError("c10.dll"))
    report = doctor.examine()
    failed = {f.probe: f for f in report.findings if not f.ok}
    assert set(failed) == {"torch"}
    assert "c10.dll" in failed["torch"].found
    assert "Visual C++" in failed["torch"].remedy


def test_an_old_torch_is_told_to_upgrade(monkeypatch):
    monkeypatch.setattr(doctor, "OLDEST_TORCH", (99, 1))
    assert 'install --upgrade "torch>=99.1"' in found("torch").remedy


def test_a_device_that_cannot_compute_is_a_finding(monkeypatch):
    from colorkit import device

    monkeypatch.setattr(device, "pick_device", lambda: "no-such-device")
    assert not found("torch").ok


def test_intel_macs_are_told_that_torch_does_not_support_them(monkeypatch):
    monkeypatch.setattr(doctor.sys, "platform", "darwin")
    monkeypatch.setattr(doctor.platform, "machine", lambda: "x86_64")
    with pytest.raises(doctor.Fault) as caught:
        doctor.probe_python()
    assert "Apple silicon" in caught.value.remedy


@pytest.mark.parametrize("missing", ["jupyterlab", "ipywidgets", "jupyterlab_widgets"])
def test_a_missing_half_of_the_widgets_is_named(monkeypatch, missing):
    real = doctor.installed
    monkeypatch.setattr(doctor, "installed", lambda name: None if name == missing else real(name))
    finding = found("widgets")
    assert f"{missing} missing" in finding.found
    assert "pip install -e .[lab]" in finding.remedy


def test_widgets_of_two_generations_are_told_to_upgrade(monkeypatch):
    versions = {"jupyterlab": "4.2", "ipywidgets": "8.1", "jupyterlab_widgets": "1.0"}
    monkeypatch.setattr(doctor, "installed", versions.get)
    assert "upgrade ipywidgets jupyterlab_widgets" in found("widgets").remedy


def test_a_front_end_half_that_jupyterlab_does_not_find_is_a_finding(monkeypatch):
    monkeypatch.setattr(doctor, "extension_folders", list)
    assert "not on its path" in found("widgets").found


def test_a_figure_without_alt_text_is_a_finding(monkeypatch):
    from colorkit import plots

    monkeypatch.setattr(plots, "figure_html", lambda figure, alt: "<img>")
    finding = found("figure")
    assert "alt text" in finding.found
    assert "matplotlib pillow" in finding.remedy


def test_a_figure_whose_data_is_broken_is_a_finding(monkeypatch):
    from colorkit import plots

    data = base64.b64encode(b"no picture").decode()
    page = f'<img alt="a rising line" src="data:image/webp;base64,{data}">'
    monkeypatch.setattr(plots, "figure_html", lambda figure, alt: page)
    assert "UnidentifiedImageError" in found("figure").found


def test_a_data_folder_that_cannot_be_made_is_a_finding(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COLORKIT_DATA", str(tmp_path / "file" / "data"))
    finding = found("data folder")
    assert not finding.ok
    assert "COLORKIT_DATA" in finding.remedy


def test_a_disk_that_cannot_rename_is_a_finding_and_nothing_stays(monkeypatch, tmp_path):
    def replace(*_):
        raise PermissionError("in use")

    monkeypatch.setattr(doctor.os, "replace", replace)
    assert "PermissionError" in found("data folder").found
    assert not (tmp_path / "data").exists()


def test_a_full_disk_is_told_how_much_to_free(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=5e8))
    finding = found("data folder")
    assert "only 0.5 GB" in finding.found
    assert finding.remedy.startswith("free 2 GB")


def test_the_data_probe_leaves_a_folder_as_it_was(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine").write_text("kept")
    assert found("data folder").ok
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mine"]


def test_a_fit_that_does_not_learn_is_a_finding(monkeypatch):
    import torch

    monkeypatch.undo()
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: None)
    with pytest.raises(RuntimeError, match="the loss went from"):
        doctor.fit_speed(0.0)


def test_minutes_are_the_reference_seconds_scaled_by_the_speed(monkeypatch, tmp_path):
    expected = tmp_path / "expected.toml"
    expected.write_text(
        "[doctor]\nreference_steps_per_second = 20.0\n[01_lab.laptop.cpu]\nseconds = 90\n"
        "[02_overfit.ci.cpu]\nseconds = 5\n"
    )
    monkeypatch.setattr(doctor, "EXPECTED", expected)
    assert doctor.estimate_minutes(10.0) == {"01_lab": 3.0}
    assert "01_lab 3.0" in found("minutes").found


def test_the_shipped_reference_can_be_read():
    assert doctor.estimate_minutes(10.0) is not None


def test_a_failed_fit_leaves_no_estimate(monkeypatch):
    def fail():
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(doctor, "fit_speed", fail)
    report = doctor.examine()
    assert [f.probe for f in report.findings if not f.ok] == ["fit", "minutes"]
    assert report.minutes == {}


def test_the_report_holds_no_user_name_and_no_home_folder(monkeypatch, tmp_path):
    home = tmp_path / "home" / "grace"
    home.mkdir(parents=True)
    monkeypatch.setattr(doctor.Path, "home", lambda: home)
    monkeypatch.setattr(doctor.getpass, "getuser", lambda: "grace")
    monkeypatch.setenv("COLORKIT_DATA", str(home / "data"))
    text = doctor.as_text(doctor.examine())
    assert f"~{os.sep}data can be written" in text
    assert "grace" not in text
    assert doctor.discreet("/mnt/grace/x, /tmp/of-of-grace") == "/mnt/USER/x, /tmp/of-of-USER"
    assert doctor.discreet("grace is a word") == "grace is a word"


def test_a_remedy_does_not_name_the_user_either(monkeypatch):
    def fail():
        raise doctor.Fault("x", f"look into {Path.home() / 'x'}")

    monkeypatch.setattr(doctor, "probe_python", fail)
    assert found("Python").remedy == f"look into ~{os.sep}x"


@pytest.mark.notebooks
def test_a_slider_moved_from_outside_is_seen_in_a_real_kernel(monkeypatch):
    monkeypatch.undo()
    assert "seen in the kernel" in doctor.probe_kernel()


@pytest.mark.notebooks
def test_a_kernel_that_ignores_the_slider_is_a_finding(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(doctor, "SLIDER_CODE", doctor.SLIDER_CODE.split("slider.observe")[0])
    with pytest.raises(doctor.Fault, match="gave \\[\\] in the kernel"):
        doctor.probe_kernel()


def test_a_kernel_of_another_python_is_told_to_be_installed_here(tmp_path):
    with pytest.raises(doctor.Fault) as caught:
        doctor.check_same_python(str(tmp_path))
    assert "ipykernel install --sys-prefix" in caught.value.remedy


def test_the_command_runs_where_torch_cannot_be_imported(tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('[WinError 126] c10.dll')")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    code = (
        "from colorcourse import doctor\n"
        "doctor.probe_kernel = lambda: 'not tried'\n"
        "from colorkit.cli import main\n"
        "import sys; sys.argv = ['colorkit', 'doctor']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "FAIL torch" in done.stdout, done.stderr
    assert "c10.dll" in done.stdout
    assert "ok   widgets" in done.stdout

"""What must hold for the repository as a whole: style, sizes, one list of dependencies, set-up."""

import base64
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.conftest import ROOT, python

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def tracked_files() -> list[Path]:
    """Files that git tracks or would add; without git, all but what .gitignore keeps out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git is needed to tell the repository's files from others")
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("arguments", [("check", "."), ("format", "--check", ".")])
def test_ruff_is_content(arguments):
    done = python("-m", "ruff", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_are_small():
    sizes = {path: path.stat().st_size for path in tracked_files()}
    weights = {".pt", ".pth", ".safetensors", ".ckpt", ".npz", ".npy", ".onnx"}
    most = {path: 1e7 if path.suffix in weights else 1e6 for path in sizes}
    assert {path: size for path, size in sizes.items() if size > most[path]} == {}
    assert sum(size for path, size in sizes.items() if path.suffix in weights) <= 2.5e7


def test_no_file_names_a_package_registry():
    # Written in two pieces, so that this file passes its own test.
    names = ["pypi" + ".org", "python" + "hosted.org", "download." + "pytorch.org"]
    names += ["ana" + "conda.org", "registry." + "npmjs", "index" + "-url", "find" + "-links"]
    found = []
    for path in tracked_files():
        content = path.read_bytes().lower()
        found += [f"{path.name}: {name}" for name in names if name.encode() in content]
    assert found == []


def test_every_dependency_has_a_lower_bound_and_an_exact_constraint_that_satisfies_it():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins), "no address either"
    pinned = {canonicalize_name(pin.split("==")[0]): pin.split("==")[1] for pin in pins}
    assert "colorkit" not in pinned
    extras = PROJECT["optional-dependencies"].values()
    for requirement in map(Requirement, sum(extras, PROJECT["dependencies"])):
        if requirement.name != "colorkit":
            assert [spec.operator for spec in requirement.specifier] == [">="], requirement
            version = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version, prereleases=True), requirement


def test_the_oldest_torch_that_ci_tests_is_the_oldest_that_is_allowed():
    lines = (ROOT / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    oldest = [line for line in lines if not line.startswith("#")]
    allowed = [r for r in PROJECT["dependencies"] if re.match("torch(vision)?>", r)]
    assert oldest == [f"{r.replace('>=', '==')}.*" for r in allowed]


def test_conda_environment_lists_nothing_that_pyproject_does_not_govern():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    nested = [item for item in environment["dependencies"] if isinstance(item, dict)]
    plain = [Requirement(item) for item in environment["dependencies"] if isinstance(item, str)]
    assert sorted(r.name for r in plain) == ["pip", "python"]
    python = next(r for r in plain if r.name == "python")
    assert python.specifier == SpecifierSet(PROJECT["requires-python"])
    assert nested == [{"pip": ["-e .[dev]"]}]
    binder = yaml.safe_load((ROOT / ".binder/environment.yml").read_text(encoding="utf-8"))
    allowed = [r for r in PROJECT["dependencies"] if re.match("torch(vision)?>", r)]
    taken = [item.replace("pytorch-cpu", "torch") for item in binder["dependencies"]]
    assert [item for item in taken if item.startswith("torch")] == allowed


def test_citation_change_log_and_pages_agree_with_pyproject():
    pages = [(ROOT / f"docs/{name}.md").read_text("utf-8") for name in ("install", "jupyterhub")]
    said = re.findall(r'(?:@v|/colorkit:|tag: ")(\d+\.\d+\.\d+)', "".join(pages))
    assert len(said) == 3
    assert {*said} == {PROJECT["version"]}
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (version, day), *_ = re.findall(r"^## \[(\d.*)\] - (\d{4}-\d\d-\d\d)$", changes, re.MULTILINE)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == version == PROJECT["version"]
    assert str(citation["date-released"]) == day
    assert citation["license"] == PROJECT["license"]
    assert citation["repository-code"] == PROJECT["urls"]["Repository"]
    assert citation["authors"] == PROJECT["authors"]


PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("instructor/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_and_links_of_a_page_lead_somewhere(page):
    from colorkit.cli import colorkit

    text = page.read_text(encoding="utf-8")
    code = re.findall(r"^```.*?^```|`[^`\n]+`", text, flags=re.MULTILINE | re.DOTALL)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):(?!=)", makefile, flags=re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", "\n".join(code))) <= targets
    commands = re.findall(r"(?:^|`|-m )colorkit((?: [a-z]+)+)", "\n".join(code), re.MULTILINE)
    for words in set(commands):
        group = colorkit
        for word in words.split():
            if not isinstance(group, click.Group):
                break  # the rest are arguments
            group = group.get_command(click.Context(group), word)
            assert group is not None, f"`colorkit{words}`"
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_shows_results_and_pictures_of_the_executed_lesson():
    from colorcourse.lesson05.comparisons import recorded

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    means = recorded("losses").groupby("model").mean(numeric_only=True)
    columns = ["auc", "within_10", "colorfulness_ratio", "possible"]
    rows = re.findall(r"^\| ([\w ,]+) \|((?: \d\.\d{3} \|){4})$", text, re.MULTILINE)
    assert len(rows) == 8
    for model, cells in rows:
        found = [float(cell) for cell in cells.strip("| ").split("|")]
        assert found == pytest.approx(means.loc[model, columns].tolist(), abs=6e-4)
    sheet = base64.b64encode((ROOT / "docs/models.webp").read_bytes()).decode()
    assert sheet in (ROOT / "solutions/05_adversarial.ipynb").read_text(encoding="utf-8")


def test_the_list_of_lessons_that_gpu_runs_is_what_stands_in_the_folder():
    jobs = yaml.safe_load((ROOT / ".github/workflows/gpu.yml").read_text(encoding="utf-8"))["jobs"]
    (listing,) = [step["run"] for step in jobs["lessons"]["steps"] if "run" in step]
    code = re.search(r"python3 - <<'EOF'[^\n]*\n(.*?)\nEOF", listing, flags=re.DOTALL).group(1)
    done = python("-c", code)
    lessons = sorted(path.stem for path in (ROOT / "lessons").glob("[0-9]*.ipynb"))
    assert yaml.safe_load(done.stdout.split("=", 1)[1]) == lessons


@pytest.mark.skipif(sys.platform == "win32", reason="a bash script")
def test_ci_run_is_an_executable_bash_script_that_stops_at_errors():
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (options,) = re.findall(r"^PARALLEL := (.*)$", makefile, flags=re.MULTILINE)
    assert options in lines[-1], "make test and .ci/run do the same"
    assert options in (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0

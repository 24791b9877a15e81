"""Run the lessons at a profile: a progress line each, numbers against their bounds, a report."""

import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from colorcourse.build import Problem, check_all, notebook_text, read_notebook
from colorcourse.checkout import LESSONS, SOURCES, lesson_ids, select_lessons
from colorcourse.execute import LIMITS, Run, execute_notebook, without_widgets
from colorcourse.profiles import default_seed
from colorcourse.recording import Expected, judge_numbers, recorded
from colorkit.device import pick_device
from colorkit.files import write_whole

PACKAGES = ("colorkit", "torch", "torchvision", "numpy", "scikit-image", "papermill", "ipywidgets")


@dataclass(frozen=True)
class Plan:
    """What to run and how."""

    root: Path
    profile: str = "laptop"
    students: bool = False
    strict: bool = False
    out: Path = Path("build/course")
    cell_seconds: float | None = None
    lesson_seconds: float | None = None

    @property
    def folder(self) -> Path:
        """Where results and executed notebooks go."""
        name = f"{self.profile}-students" if self.students else self.profile
        return self.root / self.out / name

    @property
    def notebooks(self) -> Path:
        """Where the notebooks are."""
        return self.root / (LESSONS if self.students else SOURCES)


def run_course(
    plan: Plan,
    wanted: str | list[str] | None = None,
    expected: Expected | None = None,
    exercises: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Run the wanted lessons (default: all), whatever fails, and write results and report.

    Parameters
    ----------
    plan : Plan
    wanted : str or list of str, optional
        Numbers or names.
    expected : Expected, optional
        Bounds of the recorded numbers; default: colorkit's own.
    exercises : mapping, optional
        Specifications by name; default: colorkit's own.
    say : callable
        Takes each line of progress.

    Returns
    -------
    dict
        What ``results.json`` holds.

    Raises
    ------
    ValueError
        If there is no such lesson.
    FileNotFoundError
        If a lesson was not built.
    """
    names = select_lessons(lesson_ids(plan.root), wanted)
    paths = [plan.notebooks / f"{name}.ipynb" for name in names]
    if not names:
        raise FileNotFoundError(f"there is no lesson in {plan.root / SOURCES}")
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: run `colorkit notebooks build`")
    _warn_of_drift(plan, check_all(plan.root, exercises, names), say)
    expected = Expected.load() if expected is None else expected
    results = _header(plan)
    for number, path in enumerate(paths, 1):
        say(f"[{number}/{len(paths)}] {path.stem}: started")
        entry = _run_lesson(plan, path, expected, results["device"])
        results["lessons"][path.stem] = entry
        write_whole(plan.folder / "results.json", _json(results))
        say(f"[{number}/{len(paths)}] {_outcome(path.stem, entry)}")
    return results


def _warn_of_drift(plan: Plan, problems: list[Problem], say: Callable[[str], None]) -> None:
    """A run of notebooks that differ from their sources proves little; say so."""
    folder = f"{plan.notebooks.name}/"
    stale = {p.file for p in problems if p.file.startswith(folder) and p.cell is not None}
    for file in sorted(stale):
        say(f"warning: {file} differs from its source: run `colorkit notebooks build`")


def _header(plan: Plan) -> dict[str, Any]:
    return {
        "profile": plan.profile,
        "device": pick_device().type,
        "seed": default_seed(),
        "versions": _versions(),
        "lessons": {},
    }


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _json(results: Mapping[str, Any]) -> str:
    return json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _run_lesson(plan: Plan, path: Path, expected: Expected, device: str) -> dict[str, Any]:
    limits = LIMITS[plan.profile]
    variables = {
        "COLORKIT_PROFILE": plan.profile,
        "COLORKIT_STRICT": "0" if plan.students else "1",
    }
    run = execute_notebook(
        path,
        cell_seconds=plan.cell_seconds or limits[0],
        lesson_seconds=plan.lesson_seconds or limits[1],
        environment=variables,
    )
    numbers = {}
    if run.notebook is not None:
        text = notebook_text(without_widgets(run.notebook))
        write_whole(plan.folder / path.name, text)
        numbers = recorded(run.notebook)
    bounds = expected.bounds(path.stem, plan.profile, device)
    if run.failure is not None:  # what it did not reach is not missing besides
        bounds = {key: bound for key, bound in bounds.items() if key in numbers}
    judged = judge_numbers(numbers, bounds, plan.strict)
    return _entry(path.stem, run, judged)


def _entry(name: str, run: Run, numbers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    wrong = [key for key, number in numbers.items() if not number["ok"]]
    entry: dict[str, Any] = {
        "ok": run.failure is None and not wrong,
        "seconds": round(run.seconds, 2),
        "peak_mb": round(run.peak_mb, 1),
        "numbers": numbers,
    }
    if run.failure is not None:
        entry["error"] = {"lesson": name, "cell": run.failure.cell, "message": run.failure.message}
    elif wrong:
        text = "; ".join(describe_number(key, numbers[key]) for key in wrong)
        entry["error"] = {"lesson": name, "cell": None, "message": text}
    return entry


def describe_number(key: str, number: Mapping[str, Any]) -> str:
    """A number, its unit and its bounds in words.

    Examples
    --------
    >>> describe_number("mse", {"value": 5.0, "unit": "ab²", "low": 0, "high": 4, "ok": False})
    'mse = 5 ab² is outside [0, 4]'
    """
    if number["value"] is None:
        return f"{key} was not recorded, or is not finite"
    value = f"{key} = {number['value']:.4g} {number['unit']}".rstrip()
    if number["low"] is None:
        return f"{value} has no bounds in expected.toml"
    place = "is within" if number["ok"] else "is outside"
    return f"{value} {place} [{number['low']:g}, {number['high']:g}]"


def _outcome(name: str, entry: Mapping[str, Any]) -> str:
    state = "done" if entry["ok"] else "FAILED"
    text = f"{name}: {state} in {entry['seconds']:.1f} s, peak {entry['peak_mb']:.0f} MB"
    if "error" in entry:
        text += f"\n    {describe_error(entry['error'])}"
    return text


def describe_error(error: Mapping[str, Any]) -> str:
    """Lesson, cell and message of a failure in one line."""
    cell = "" if error["cell"] is None else f", cell {error['cell']}"
    return f"{error['lesson']}{cell}: {error['message']}"


def succeeded(results: Mapping[str, Any]) -> bool:
    """Whether every lesson ran and every number is as expected."""
    return all(entry["ok"] for entry in results["lessons"].values())


def table(results: Mapping[str, Any]) -> str:
    """Lessons, minutes, peak memory, numbers and bounds as text in columns."""
    rows = [("lesson", "", "minutes", "peak MB", "number", "value", "expected")]
    for name, entry in results["lessons"].items():
        first = (name, "ok" if entry["ok"] else "FAILED", f"{entry['seconds'] / 60:.1f}")
        first = (*first, f"{entry['peak_mb']:.0f}")
        numbers = [_columns(key, number) for key, number in entry["numbers"].items()]
        for row, columns in enumerate(numbers or [("", "", "")]):
            rows.append((*(first if row == 0 else ("",) * 4), *columns))
    lines = _aligned(rows, right={2, 3})
    minutes = sum(entry["seconds"] for entry in results["lessons"].values()) / 60
    good = sum(entry["ok"] for entry in results["lessons"].values())
    total = f"{good} of {len(results['lessons'])} lessons ok, {minutes:.1f} minutes"
    return "\n".join([*lines, lines[1], total])


def _columns(key: str, number: Mapping[str, Any]) -> tuple[str, str, str]:
    value = "-" if number["value"] is None else f"{number['value']:.4g} {number['unit']}".rstrip()
    bounds = "no bounds"
    if number["low"] is not None:
        bounds = f"{number['low']:g} to {number['high']:g}"
    return key, value, bounds if number["ok"] else f"{bounds}  <-- not ok"


def _aligned(rows: list[tuple[str, ...]], right: Iterable[int]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            text.rjust(width) if index in right else text.ljust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def wants_strict(strict: bool) -> bool:
    """Whether a number without bounds fails: asked for, or running in CI."""
    return strict or os.environ.get("CI", "").lower() not in ("", "0", "false")


def write_report(plan: Plan, results: Mapping[str, Any]) -> Path:
    """Write ``index.html`` and one page a lesson beside ``results.json``; the index's path."""
    from colorcourse.report import index_page, lesson_page

    for name, entry in results["lessons"].items():
        notebook = read_notebook(plan.folder / f"{name}.ipynb")
        if notebook is not None:
            write_whole(plan.folder / f"{name}.html", lesson_page(name, entry, notebook))
    index = plan.folder / "index.html"
    write_whole(index, index_page(results, plan.students))
    return index

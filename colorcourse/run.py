"""Run the lessons at a profile: a progress line each, numbers against their bounds, a report."""

import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from nbconvert import HTMLExporter

from colorcourse.build import build_lesson, difference, notebook_text
from colorcourse.checkout import LESSONS, SOURCES, lesson_ids, select_lessons
from colorcourse.execute import Failure, execute_notebook
from colorcourse.profiles import seed
from colorcourse.recording import expected_bounds, judge_numbers, number_texts, recorded
from colorcourse.report import describe, index_page
from colorkit.device import pick_device, pick_precision
from colorkit.files import write_whole

PACKAGES = ("colorkit", "torch", "torchvision", "numpy", "scikit-image", "papermill", "ipywidgets")


@dataclass(frozen=True)
class Plan:
    """What to run and how; `strict` fails a number without bounds."""

    root: Path
    profile: str
    folder: Path  # where results and executed notebooks go
    students: bool = False
    strict: bool = False


def run_course(
    plan: Plan, wanted: str | None = None, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Run the wanted lessons (default: all), whatever fails; write and return the results.

    ValueError if there is no such lesson, FileNotFoundError if one was not built.
    """
    names = select_lessons(lesson_ids(plan.root), wanted)
    if not names:
        raise FileNotFoundError(f"there is no lesson in {plan.root / SOURCES}")
    folder = plan.root / (LESSONS if plan.students else SOURCES)
    for name in names:
        path, lesson = folder / f"{name}.ipynb", build_lesson(plan.root, name)
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: run `colorkit notebooks build`")
        if drift := difference(path, lesson.student if plan.students else lesson.solution):
            say(f"warning: {drift.splitlines()[0]}")  # a run of it proves little
    device = pick_device()
    results = {
        "profile": plan.profile,
        "device": device.type,
        "precision": "bf16" if pick_precision(device).bf16 else "float32",
        "threads": torch.get_num_threads(),
        "seed": seed(),
        "versions": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            **{package: version(package) for package in PACKAGES},
        },
        "lessons": {},
    }
    for number, name in enumerate(names, 1):
        say(f"[{number}/{len(names)}] {name}: started")
        entry = _run_lesson(plan, folder / f"{name}.ipynb", results["device"])
        results["lessons"][name] = entry
        text = json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False)
        write_whole(plan.folder / "results.json", f"{text}\n")
        say(f"[{number}/{len(names)}] {describe(name, entry)}")
    write_whole(plan.folder / "index.html", index_page(results, plan.students))
    return results


def _run_lesson(plan: Plan, path: Path, device: str) -> dict[str, Any]:
    """What results.json holds of a lesson; its notebook and its page are written."""
    run = execute_notebook(path, plan.profile, strict=not plan.students)
    numbers = {} if run.notebook is None else recorded(run.notebook)
    bounds = expected_bounds(path.stem, plan.profile, device)
    if run.failure is not None:  # what it did not reach is not missing besides
        bounds = {key: bound for key, bound in bounds.items() if key in numbers}
    judged = judge_numbers(numbers, bounds, plan.strict)
    wrong = [f"{key} = {' '.join(number_texts(n))}" for key, n in judged.items() if not n["ok"]]
    failure = run.failure
    if failure is None and wrong:
        failure = Failure(None, "; ".join(wrong))
    entry: dict[str, Any] = {
        "ok": failure is None,
        "seconds": round(run.seconds, 2),
        "peak_mb": run.peak_mb and round(run.peak_mb),
        "numbers": judged,
    }
    if failure is not None:
        entry["error"] = {"lesson": path.stem, **asdict(failure)}
    if run.notebook is not None:
        write_whole(plan.folder / path.name, notebook_text(run.notebook))
        page, _ = HTMLExporter().from_notebook_node(run.notebook)
        write_whole(plan.folder / f"{path.stem}.html", page)
    return entry

"""Execute notebooks: a process tree each, two time limits, the peak of the kernel's memory."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from nbformat import NotebookNode

from colorcourse import build
from colorcourse.checkout import SOURCES
from colorkit.files import write_whole

# Seconds for a cell and for a lesson: far above what either takes, and below for ever.
LIMITS = {"ci": (300, 900), "laptop": (1800, 5400), "gpu": (6 * 3600, 12 * 3600)}
MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Failure:
    """Where a run stopped: the cell's number in the notebook (None: outside any), and why."""

    cell: int | None
    message: str


@dataclass(frozen=True)
class Run:
    """What one execution gave."""

    notebook: NotebookNode | None  # without the state of its widgets; None where none was left
    seconds: float
    peak_mb: float | None  # of the kernel; None where it was killed
    failure: Failure | None


def execute_notebook(path: Path, profile: str, strict: bool) -> Run:
    """Execute a stored notebook with papermill, in its folder; the file itself is not changed.

    Widgets hang notebook clients now and then, so each cell has a time limit, and a second limit
    around the whole kills every process of the run. `strict` lets nothing stand in for an answer.
    """
    cell_seconds, lesson_seconds = LIMITS[profile]
    with tempfile.TemporaryDirectory(prefix="colorkit-run-") as folder:
        output, log, peak = (Path(folder) / name for name in (path.name, "log", "peak"))
        command = [sys.executable, "-m", "papermill", str(path.resolve()), str(output)]
        command += ["--kernel", build.KERNEL["name"], "--cwd", str(path.resolve().parent)]
        command += ["--execution-timeout", str(cell_seconds), "--no-progress-bar"]
        variables = _own_kernel(Path(folder), peak)
        variables |= {"COLORKIT_PROFILE": profile, "COLORKIT_STRICT": str(int(strict))}
        started = time.monotonic()
        # SIGTERM, which would end Python at once, unwinds it as Ctrl-C does.
        before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        with log.open("wb") as stream:
            pipes = {"stdin": subprocess.DEVNULL, "stdout": stream, "stderr": subprocess.STDOUT}
            process = subprocess.Popen(command, **pipes, env=os.environ | variables)
            try:
                failed = process.wait(timeout=lesson_seconds) != 0
                lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
                reason = next(filter(None, map(str.strip, reversed(lines))), "papermill was silent")
            except subprocess.TimeoutExpired:
                failed, reason = True, f"killed after {lesson_seconds} s, the lesson's limit"
            finally:  # also on Ctrl-C and SIGTERM: leave no kernel behind
                _kill_tree(process)
                signal.signal(signal.SIGTERM, before)
        seconds = time.monotonic() - started
        notebook = build.read_notebook(output)
        cells = [] if notebook is None else notebook.cells  # papermill lets sys.exit() pass
        failed |= any(o.output_type == "error" for cell in cells for o in cell.get("outputs", []))
        failure = _failure(notebook, reason, cell_seconds) if failed else None
        if notebook is not None:
            without_widgets(notebook)
        peak_mb = int(peak.read_text()) / 1e6 if peak.exists() else None
        return Run(notebook, seconds, peak_mb, failure)


def _own_kernel(folder: Path, peak: Path) -> dict[str, str]:
    """Variables for a kernel of this Python, with the colorkit that is running first on its path.

    An installed kernel called python3 may belong to another Python, so the run brings its own.
    """
    launch = [sys.executable, "-m", "colorcourse.kernel", str(peak), "-f", "{connection_file}"]
    file = folder / "jupyter" / "kernels" / build.KERNEL["name"] / "kernel.json"
    write_whole(file, json.dumps({**build.KERNEL, "argv": launch}))
    return {
        "JUPYTER_PATH": str(folder / "jupyter"),
        "PYTHONPATH": f"{Path(__file__).parents[1]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "PYTHONUTF8": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }


def _kill_tree(process: subprocess.Popen) -> None:
    """End a process, if it still runs, and all its descendants, found before the first goes."""
    with suppress(psutil.NoSuchProcess):
        tree = [psutil.Process(process.pid)]
        tree += tree[0].children(recursive=True)
        for member in tree:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(tree, timeout=10)
    process.wait()


def _failure(notebook: NotebookNode | None, reason: str, cell_seconds: float) -> Failure:
    """The error of the cell that ran last; of one that was killed in the middle, `reason`."""
    if notebook is None:
        return Failure(None, reason)
    # papermill adds banners to a notebook that failed; all other cells it has marked.
    notebook.cells = [cell for cell in notebook.cells if "papermill" in cell.metadata]
    for number, cell in reversed(list(enumerate(notebook.cells, 1))):
        for output in cell.get("outputs", []):
            if output.output_type == "error" and output.ename == "KeyboardInterrupt":
                return Failure(number, f"stopped after {cell_seconds} s, the limit of a cell")
            if output.output_type == "error":
                return Failure(number, f"{output.ename}: {output.evalue}".strip())
        if cell.metadata.papermill.status == "running":
            return Failure(number, reason)
    return Failure(None, reason)


def without_widgets(notebook: NotebookNode) -> None:
    """Take out the state and the views of widgets; what can be seen without a kernel stays."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            view = data.pop("application/vnd.jupyter.widget-view+json", None)
            if view is not None and set(data) <= {"text/plain"}:  # a Python repr
                data["text/plain"] = "An interactive control: run this cell to use it."
            if "metadata" in output:
                output.metadata = NotebookNode()


def execute_solutions(
    root: Path, lessons: Iterable[build.Lesson], profile: str, force: bool = False
) -> Iterator[tuple[str, Run | None]]:
    """Execute the solutions whose code changed and store them with their outputs.

    Yields (name, Run), or (name, None) where the outputs are current, from this profile. A run that
    failed, or needs more than 1 MB, leaves the stored file alone; its `failure` says why.
    """
    for lesson in lessons:
        made = lesson.solution
        if made.metadata.get("colorkit", {}).get("profile") == profile and not force:
            yield lesson.name, None
            continue
        path = Path(root) / SOURCES / f"{lesson.name}.ipynb"
        run = execute_notebook(path, profile, strict=True)
        if run.failure is None:
            done = {"executed": build.code_hash(run.notebook), "profile": profile}
            run.notebook.metadata["colorkit"] = done
            build.keep_outputs(made, run.notebook)
            text = build.notebook_text(made)
            if len(text.encode()) <= MAX_BYTES:
                write_whole(path, text)
            else:
                sizes = [len(json.dumps(cell.get("outputs", []))) for cell in made.cells]
                found = f"not stored: {len(text) / 1e6:.2f} MB, at most 1 is allowed"
                asks = f"outputs take {max(sizes) / 1e3:.0f} KB: show smaller or fewer pictures"
                failure = Failure(sizes.index(max(sizes)) + 1, f"{found}; this cell's {asks}")
                run = replace(run, failure=failure)
        yield lesson.name, run

"""Execute notebooks: one process tree each, two time limits, the peak of its memory measured."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from nbformat import NotebookNode

import colorkit
from colorcourse.build import (
    KERNEL,
    Lesson,
    code_hash,
    notebook_text,
    number_cells,
    read_notebook,
)
from colorcourse.checkout import SOURCES
from colorkit.files import write_whole

MAX_BYTES = 1_000_000
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
INTERACTIVE = "An interactive control: run this cell to use it."
SAMPLE_SECONDS = 0.5
CHANGE = 0.01  # of a process tree's memory, at which it is counted again


@dataclass(frozen=True)
class Failure:
    """Where a run stopped: the cell's number in the notebook (None: outside any), and why."""

    cell: int | None
    message: str


@dataclass(frozen=True)
class Run:
    """What one execution gave. `notebook` is None where none was left."""

    notebook: NotebookNode | None
    seconds: float
    peak_mb: float
    failure: Failure | None


def execute_notebook(
    path: Path,
    *,
    cell_seconds: float,
    lesson_seconds: float,
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Execute a stored notebook with papermill; the file itself is not changed.

    Widgets hang notebook clients now and then, so each cell has a time limit, and a second limit
    around the whole kills every process of the run.

    Parameters
    ----------
    path : Path
        The notebook; its folder is the working folder.
    cell_seconds, lesson_seconds : float
        The limits.
    environment : mapping of str to str, optional
        Variables on top of this process's.
    """
    with tempfile.TemporaryDirectory(prefix="colorkit-run-") as folder:
        output, log = Path(folder) / path.name, Path(folder) / "papermill.log"
        command = [sys.executable, "-m", "papermill", str(path.resolve()), str(output)]
        command += ["--kernel", KERNEL["name"], "--cwd", str(path.resolve().parent)]
        command += ["--execution-timeout", str(max(1, round(cell_seconds))), "--no-progress-bar"]
        started = time.monotonic()
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=_environment(Path(folder), environment or {}),
            )
            with _terminated_as_interrupted():
                finished, peak = _watch(process, lesson_seconds)
        seconds = time.monotonic() - started
        notebook = read_notebook(output)
        failure = None
        if not finished:
            failure = _stopped(notebook, f"killed after {lesson_seconds:.0f} s, the lesson's limit")
        elif process.returncode:
            text = log.read_text(encoding="utf-8", errors="replace")
            failure = _failure(notebook, text, cell_seconds)
        return Run(_without_banners(notebook), seconds, peak / 1e6, failure)


def _environment(folder: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """This interpreter as the kernel, and the colorkit that is running first on its path.

    An installed kernel called python3 may belong to another Python, so the run brings its own.
    """
    kernel = folder / "jupyter" / "kernels" / KERNEL["name"]
    kernel.mkdir(parents=True)
    launch = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({**KERNEL, "argv": launch}), encoding="utf-8")
    package = Path(colorkit.__file__).resolve().parents[1]
    return {
        **os.environ,
        "JUPYTER_PATH": _joined(folder / "jupyter", os.environ.get("JUPYTER_PATH")),
        "PYTHONPATH": _joined(package, os.environ.get("PYTHONPATH")),
        "PYTHONUTF8": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        **extra,
    }


def _joined(first: Path, rest: str | None) -> str:
    return os.pathsep.join([str(first), *([rest] if rest else [])])


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM, which would end Python at once, unwinds it as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _watch(process: subprocess.Popen, limit: float) -> tuple[bool, float]:
    """Wait at most `limit` seconds; (whether it ended by itself, peak bytes of its tree)."""
    tree = psutil.Process(process.pid)
    peak, counted_at = 0.0, 0.0
    stop = threading.Event()

    def sample() -> None:
        nonlocal peak, counted_at
        while not stop.wait(SAMPLE_SECONDS):
            # What a process shares with none is counted page by page, while a process that asks for
            # memory waits. Resident memory, which is never less, is at hand.
            resident = sum(map(_resident_bytes, _tree(tree)))
            if resident > peak and abs(resident - counted_at) > CHANGE * counted_at:
                counted_at = resident
                peak = max(peak, tree_bytes(tree))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    finished = False
    try:
        process.wait(timeout=limit)
        finished = True
    except subprocess.TimeoutExpired:
        pass
    finally:  # also on Ctrl-C and SIGTERM: leave no kernel behind
        stop.set()
        sampler.join()
        if not finished:
            kill_tree(tree)
            process.wait()
    return finished, peak


def _tree(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return [process, *process.children(recursive=True)]
    return []


def tree_bytes(process: psutil.Process) -> float:
    """Memory of a process and its descendants, pages that they share not counted where known."""
    return sum(map(_own_bytes, _tree(process)))


def _own_bytes(process: psutil.Process) -> float:
    try:
        return process.memory_full_info().uss
    except (psutil.Error, AttributeError, OSError):
        return _resident_bytes(process)


def _resident_bytes(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        return process.memory_info().rss
    return 0.0


def kill_tree(process: psutil.Process) -> None:
    """End a process and all its descendants, found before the first of them goes."""
    tree = _tree(process)
    for member in tree:
        with suppress(psutil.Error):
            member.kill()
    psutil.wait_procs(tree, timeout=10)


def _own_cells(notebook: NotebookNode | None) -> list[NotebookNode]:
    """The cells without the banners that papermill adds to a failed notebook."""
    cells = notebook.cells if notebook else []
    return [cell for cell in cells if not _is_banner(cell)]


def _is_banner(cell: NotebookNode) -> bool:
    return any(tag.startswith("papermill-error") for tag in cell.metadata.get("tags", []))


def _without_banners(notebook: NotebookNode | None) -> NotebookNode | None:
    if notebook is not None:
        notebook.cells = _own_cells(notebook)
    return notebook


def _failure(notebook: NotebookNode | None, log: str, cell_seconds: float) -> Failure:
    for number, cell in enumerate(_own_cells(notebook), 1):
        for output in cell.get("outputs", []):
            if output.output_type != "error":
                continue
            if output.ename == "KeyboardInterrupt":  # how papermill ends a cell
                return Failure(number, f"stopped after {cell_seconds:.0f} s, the limit of a cell")
            return Failure(number, f"{output.ename}: {output.evalue}".strip())
    lines = [line for line in log.splitlines() if line.strip()]
    return _stopped(notebook, lines[-1].strip() if lines else "papermill said nothing")


def _stopped(notebook: NotebookNode | None, message: str) -> Failure:
    """A failure without an error in any output: in the cell that was running."""
    for number, cell in enumerate(_own_cells(notebook), 1):
        if cell.metadata.get("papermill", {}).get("status") in ("running", "failed"):
            return Failure(number, message)
    return Failure(None, message)


def clean_notebook(notebook: NotebookNode, built: NotebookNode) -> NotebookNode:
    """`built` with the outputs of `notebook`, without widget state, timings and the like.

    Raises
    ------
    ValueError
        If the executed notebook has other cells than the built one.
    """
    if [cell.source for cell in notebook.cells] != [cell.source for cell in built.cells]:
        raise ValueError("the executed notebook has other cells than the one that was built")
    for new, old in zip(built.cells, notebook.cells, strict=True):
        if new.cell_type == "code" and "bootstrap" not in new.metadata.get("tags", []):
            new.outputs = list(map(_clean_output, old.outputs))
    number_cells(built)
    return built


def without_widgets(notebook: NotebookNode) -> NotebookNode:
    """The notebook itself, with the state and the views of its widgets taken out."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = list(map(_clean_output, cell.outputs))
    return notebook


def _clean_output(output: NotebookNode) -> NotebookNode:
    """Drop the widget's view, which means nothing without its state; keep what can be seen."""
    data = output.get("data", {})
    if data.pop(WIDGET_VIEW, None) is not None and not set(data) - {"text/plain"}:
        data["text/plain"] = INTERACTIVE  # its text is only a Python repr
    if "metadata" in output:
        output.metadata = NotebookNode()
    return output


def execute_solutions(
    root: Path, lessons: Iterable[Lesson], profile: str = "laptop", force: bool = False
) -> Iterator[tuple[str, Run | None]]:
    """Execute the solutions whose code changed and store them with their outputs.

    Yields
    ------
    (name, Run or None)
        None for a lesson whose outputs are current, from this profile. A run that failed, or that
        would be stored with more than 1 MB, leaves the stored file alone; its `failure` says why.
    """
    for lesson in lessons:
        current = lesson.solution.metadata.get("colorkit", {}).get("profile") == profile
        if current and not force:
            yield lesson.name, None
        else:
            yield lesson.name, _execute_solution(Path(root), lesson, profile)


def _execute_solution(root: Path, lesson: Lesson, profile: str) -> Run:
    path = root / SOURCES / f"{lesson.name}.ipynb"
    cell_seconds, lesson_seconds = LIMITS[profile]
    run = execute_notebook(
        path,
        cell_seconds=cell_seconds,
        lesson_seconds=lesson_seconds,
        environment={"COLORKIT_STRICT": "1", "COLORKIT_PROFILE": profile},
    )
    if run.failure is not None:
        return run
    done = clean_notebook(run.notebook, lesson.solution)
    done.metadata["colorkit"] = {"executed": code_hash(done), "profile": profile}
    text = notebook_text(done)
    if failure := _too_large(text, done):
        return replace(run, failure=failure)
    write_whole(path, text)
    return run


# Seconds for a cell and for a lesson: far above what either takes, and below for ever.
LIMITS = {"ci": (300, 900), "laptop": (1800, 5400), "gpu": (6 * 3600, 12 * 3600)}


def _too_large(text: str, notebook: NotebookNode) -> Failure | None:
    """A failure that names the cells with the largest outputs, where all is above 1 MB."""
    size = len(text.encode("utf-8"))
    if size <= MAX_BYTES:
        return None
    cells = enumerate(notebook.cells, 1)
    sizes = sorted(((len(json.dumps(c.get("outputs", []))), n) for n, c in cells), reverse=True)
    largest = ", ".join(f"cell {n} ({b / 1e3:.0f} KB)" for b, n in sizes[:3])
    return Failure(
        sizes[0][1],
        f"not stored, for it has {size / 1e6:.2f} MB and at most 1 is allowed; the largest "
        f"outputs: {largest}. Show smaller or fewer pictures",
    )

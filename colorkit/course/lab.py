"""Copy the lessons to a folder of the student's own, and open JupyterLab there."""

import os
import subprocess
import sys
from pathlib import Path

from colorkit.course.checkout import LESSONS

OWN = "my-lessons"


def copy_lessons(root: Path) -> tuple[list[str], list[str]]:
    """Copy every lesson that ``my-lessons/`` lacks; (names copied, names kept).

    What is there already is the student's work, and is never overwritten.
    """
    source, own = Path(root) / LESSONS, Path(root) / OWN
    notebooks = sorted(source.glob("*.ipynb"))
    if not notebooks:
        raise FileNotFoundError(f"no lesson in {source}: run `colorkit notebooks build`")
    own.mkdir(exist_ok=True)
    copied, kept = [], []
    for path in notebooks:
        (copied if _copy_new(path, own / path.name) else kept).append(path.name)
    return copied, kept


def _copy_new(source: Path, target: Path) -> bool:
    """Copy unless `target` exists; a copy that was cut short leaves nothing."""
    try:
        stream = target.open("xb")
    except FileExistsError:
        return False
    try:
        with stream:
            stream.write(source.read_bytes())
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return True


def open_jupyterlab(root: Path) -> int:
    """Start JupyterLab in ``my-lessons/``; returns its exit status when it ends."""
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={Path(root) / OWN}"]
    try:
        return subprocess.call(command, cwd=Path(root) / OWN, env=os.environ.copy())
    except KeyboardInterrupt:  # Ctrl-C is how one leaves
        return 0

"""The one first cell of every lesson: it installs colorkit where it is missing."""

_TEXT = """\
# Installs colorkit where it is missing: from this checkout, else from its repository.
import importlib.util
import subprocess
import sys
from pathlib import Path

if importlib.util.find_spec("colorkit") is None:
    wanted = ["colorkit[lab] @ git+{url}"]
    for folder in (Path.cwd(), *Path.cwd().parents):
        project = folder / "pyproject.toml"
        if project.is_file() and 'name = "colorkit"' in project.read_text(encoding="utf-8"):
            wanted = ["-e", f"{{folder}}[lab]"]
            sys.path.insert(0, str(folder))  # this kernel started before the installation
            break
    print("Installing colorkit; this takes some minutes, once.")
    command = [sys.executable, "-m", "pip", "install", "--quiet", *wanted]
    pip = subprocess.run(command, capture_output=True, text=True)
    if pip.returncode:
        raise RuntimeError(f"{{' '.join(command)}} failed:\\n{{pip.stderr[-2000:]}}")
    importlib.invalidate_caches()"""


def bootstrap_text(url: str) -> str:
    """The source of the cell; pip installs ``git+URL`` where it finds no checkout."""
    return _TEXT.format(url=url)

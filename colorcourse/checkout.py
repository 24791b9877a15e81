"""Find the course's checkout and the lessons in it."""

import re
import tomllib
from pathlib import Path

from colorkit.files import write_whole

SOURCES, LESSONS, OWN = "solutions", "lessons", "my-lessons"


def find_root() -> Path:
    """The folder at or above the current one whose pyproject.toml is colorkit's."""
    start = Path.cwd().resolve()
    for folder in (start, *start.parents):
        if project_table(folder).get("name") == "colorkit":
            return folder
    raise FileNotFoundError(
        f"{start} is not inside a checkout of colorkit (no pyproject.toml with "
        'name = "colorkit" here or above): change into the cloned folder and try again'
    )


def project_table(folder: Path) -> dict:
    """The `[project]` table of the folder's pyproject.toml; empty where none can be read."""
    try:
        text = (Path(folder) / "pyproject.toml").read_text(encoding="utf-8")
        return tomllib.loads(text).get("project", {})
    except (OSError, tomllib.TOMLDecodeError):  # another project's business on the way up
        return {}


def lesson_ids(root: Path) -> list[str]:
    """The lessons that have a source, in order: ``["01_lab", ...]``."""
    stems = (path.stem for path in (Path(root) / SOURCES).glob("*.py"))
    return sorted(stem for stem in stems if re.fullmatch(r"\d\d_[a-z0-9_]+", stem))


def select_lessons(known: list[str], wanted: str | None) -> list[str]:
    """The known lessons that are wanted; all where none is named, ValueError for an unknown one.

    `wanted` holds numbers or names, with commas between.
    """
    words = [Path(word.strip()).stem for word in (wanted or "").split(",") if word.strip()]
    chosen: set[str] = set() if words else set(known)
    for word in words:
        found = {name for name in known if word in (name, name[:2], name[:2].lstrip("0"), name[3:])}
        if not found:
            raise ValueError(f"no lesson {word!r}: the lessons are {', '.join(known) or 'none'}")
        chosen |= found
    return [name for name in known if name in chosen]


def copy_lessons(root: Path) -> dict[str, bool]:
    """Copy every lesson that ``my-lessons/`` lacks; for each its name and whether it was copied.

    What is there already is the student's work, and is never overwritten.
    """
    source, own = Path(root) / LESSONS, Path(root) / OWN
    notebooks = sorted(source.glob("*.ipynb"))
    if not notebooks:
        raise FileNotFoundError(f"no lesson in {source}: run `colorkit notebooks build`")
    copied = {path.name: not (own / path.name).exists() for path in notebooks}
    for path in notebooks:
        if copied[path.name]:
            write_whole(own / path.name, path.read_bytes())
    return copied

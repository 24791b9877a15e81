"""Find the course's checkout and the lessons in it."""

import re
import tomllib
from pathlib import Path

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


def student_folders() -> tuple[Path, Path]:
    """Where the lessons are, and where a student's copies go: both in the checkout around here.

    Outside a checkout: the lessons that came with the wheel, and my-lessons/ in this folder (or
    this folder, if that is what it is called).
    """
    try:
        root = find_root()
        return root / LESSONS, root / OWN
    except FileNotFoundError:
        brought, here = Path(__file__).with_name(LESSONS), Path.cwd()
        if not brought.is_dir():  # an editable installation, whose lessons are in its checkout
            raise
        return brought, here if here.name == OWN else here / OWN


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

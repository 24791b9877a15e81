"""Find the course's checkout and the lessons in it."""

import re
import tomllib
from pathlib import Path

from colorkit.files import write_whole

SOURCES, LESSONS, OWN = "solutions", "lessons", "my-lessons"
LESSON_ID = re.compile(r"\d\d_[a-z0-9_]+")


def find_root(start: Path | None = None) -> Path:
    """The folder at or above `start` (default: the current one) whose pyproject.toml is colorkit's.

    FileNotFoundError outside a checkout says what to do.
    """
    start = Path(start or Path.cwd()).resolve()
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


def repository_url(root: Path) -> str:
    """`[project.urls] Repository` of the checkout, from which hosted notebooks install."""
    url = project_table(root).get("urls", {}).get("Repository")
    if not url:
        raise ValueError(f"{Path(root) / 'pyproject.toml'} has no Repository in [project.urls]")
    return url


def lesson_ids(root: Path) -> list[str]:
    """The lessons that have a source, in order: ``["01_lab", ...]``."""
    stems = (path.stem for path in (Path(root) / SOURCES).glob("*.py"))
    return sorted(stem for stem in stems if LESSON_ID.fullmatch(stem))


def select_lessons(known: list[str], wanted: str | list[str] | None) -> list[str]:
    """The known lessons that are wanted, by number or name; all where none is named.

    Commas separate lessons in a string. ValueError for one that is not known.

    Examples
    --------
    >>> select_lessons(["01_lab", "02_overfit"], "overfit,1")
    ['01_lab', '02_overfit']
    """
    words = wanted.split(",") if isinstance(wanted, str) else list(wanted or [])
    words = [Path(word.strip()).stem for word in words if word.strip()]
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

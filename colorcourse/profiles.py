"""Sizes, steps and data of each lesson: one scale switch for a whole notebook."""

import os
import tomllib
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

PROFILES = ("ci", "laptop", "gpu")
_FILE = Path(__file__).with_name("profiles.toml")


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def chosen_profile(profile: str | None = None) -> str:
    """`profile`, else the environment variable COLORKIT_PROFILE, else ``"laptop"``.

    Raises
    ------
    ValueError
        If there is no such profile; the message lists those that there are.

    Examples
    --------
    >>> chosen_profile("ci")
    'ci'
    """
    variable = os.environ.get("COLORKIT_PROFILE") or None
    name = profile or variable or "laptop"
    if name not in PROFILES:
        source = "" if profile else " (from the environment variable COLORKIT_PROFILE)"
        raise ValueError(f"no profile {name!r}{source}: choose from {', '.join(PROFILES)}")
    return name


def settings(lesson: str, profile: str | None = None) -> SimpleNamespace:
    """The sizes and steps of a lesson at a profile, from ``profiles.toml``.

    Parameters
    ----------
    lesson : str
        As in ``"02_overfit"``.
    profile : str, optional
        ``"ci"``, ``"laptop"`` or ``"gpu"``; None asks COLORKIT_PROFILE, else takes laptop.

    Returns
    -------
    SimpleNamespace
        The lesson's own names, and `profile` and `seed`.

    Raises
    ------
    ValueError
        For an unknown lesson or profile; the message lists the known ones.
    """
    name = chosen_profile(profile)
    tables = _tables()
    lessons = [key for key in tables if key != "defaults"]
    if lesson not in lessons:
        raise ValueError(f"no settings for lesson {lesson!r}: known are {', '.join(lessons)}")
    if name not in tables[lesson]:
        raise ValueError(f"{_FILE.name} has no table [{lesson}.{name}]: add it")
    common = {key: value for key, value in tables[lesson].items() if key not in PROFILES}
    return SimpleNamespace(**(tables["defaults"] | common | tables[lesson][name]), profile=name)


def default_seed() -> int:
    """The seed of every lesson that sets no other."""
    return int(_tables()["defaults"]["seed"])

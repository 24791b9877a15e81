"""Sizes, steps and data of each lesson: one scale switch for a whole notebook."""

import os
import tomllib
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

PROFILES = ("ci", "laptop", "gpu")


@cache
def tables() -> dict[str, Any]:
    """The tables of ``profiles.toml``: ``defaults``, then the lessons with one for each profile."""
    file = Path(__file__).with_name("profiles.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def settings(lesson: str, profile: str | None = None) -> SimpleNamespace:
    """The sizes and steps of a lesson (``"02_overfit"``) at a profile, and `profile` and `seed`.

    `profile` is ``"ci"``, ``"laptop"`` or ``"gpu"``; None asks the environment variable
    COLORKIT_PROFILE, else takes laptop. ValueError for an unknown one lists those that there are.
    """
    name = profile or os.environ.get("COLORKIT_PROFILE") or "laptop"
    if name not in PROFILES:
        source = "" if profile else " (from the environment variable COLORKIT_PROFILE)"
        raise ValueError(f"no profile {name!r}{source}: choose from {', '.join(PROFILES)}")
    lessons = {key: table for key, table in tables().items() if key != "defaults"}
    if lesson not in lessons:
        raise ValueError(f"no settings for lesson {lesson!r}: known are {', '.join(lessons)}")
    common = {key: value for key, value in lessons[lesson].items() if key not in PROFILES}
    defaults = tables()["defaults"] | {"seed": seed()}
    return SimpleNamespace(**(defaults | common | lessons[lesson][name]), profile=name)


def seed() -> int:
    """The seed of all lessons: COLORKIT_SEED, else that of ``profiles.toml``."""
    return int(os.environ.get("COLORKIT_SEED") or tables()["defaults"].get("seed", 0))

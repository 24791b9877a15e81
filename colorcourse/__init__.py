"""What the notebooks of the course use: exercises, checks, predictions, quizzes, sizes, numbers."""

from importlib import import_module
from typing import Any

_HOMES = {
    "check": "checking",
    "exercise": "exercises",
    "predict": "predictions",
    "quiz": "quizzes",
    "record": "recording",
    "reveal": "predictions",
    "settings": "profiles",
    "show_records": "recording",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Imported on use: the command line and the doctor must start where torch cannot."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

"""colorkit: the library behind a course that gives gray photographs their colours back."""

__all__ = ["colorize"]


def __getattr__(name: str):
    """`colorkit.colorize`, imported when it is asked for: torch comes with it."""
    if name != "colorize":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from colorkit.photo import colorize

    return colorize

"""colorkit: the library behind a course that gives gray photographs their colours back."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("colorkit")
except PackageNotFoundError:  # imported from a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]

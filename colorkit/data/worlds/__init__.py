"""Made worlds: pictures drawn by code, whose distribution of colours given L is known exactly."""

from .bears import bears
from .orchard import orchard
from .portraits import portraits

__all__ = ["bears", "orchard", "portraits"]

"""Made worlds: pictures drawn by code, whose distribution of colours given L is known exactly."""

from .orchard import orchard
from .portraits import portraits

__all__ = ["orchard", "portraits"]

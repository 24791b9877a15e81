"""The networks, each one file to read in one sitting."""

from colorkit.models.first import FirstNet

__all__ = ["FirstNet"]

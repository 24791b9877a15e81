"""Colorizers: the networks, each one file to read in one sitting, and what they have to beat."""

from colorkit.models.baselines import (
    Gray,
    MeanColor,
    MeanColorByLightness,
    NearestNeighbor,
    Oracle,
    RandomPicture,
)
from colorkit.models.colorizer import Colorizer, Network
from colorkit.models.first import FirstNet

__all__ = [
    "Colorizer",
    "FirstNet",
    "Gray",
    "MeanColor",
    "MeanColorByLightness",
    "NearestNeighbor",
    "Network",
    "Oracle",
    "RandomPicture",
]

"""Colorizers: the networks, each one file to read in one sitting, and what they have to beat."""

from colorkit.models.baselines import (
    Gray,
    MeanColor,
    MeanColorByLightness,
    NearestNeighbor,
    Oracle,
    RandomPicture,
)
from colorkit.models.classifier import Classifier
from colorkit.models.cnn import FirstNet
from colorkit.models.colorizer import Colorizer, Network
from colorkit.models.discriminators import PatchCritic, WholeCritic
from colorkit.models.memory import FeatureMemory
from colorkit.models.naive import NaiveCNN
from colorkit.models.resnet import ResNetColorizer
from colorkit.models.unet import UNet
from colorkit.models.zhang import EightGroups

__all__ = [
    "Classifier",
    "Colorizer",
    "EightGroups",
    "FeatureMemory",
    "FirstNet",
    "Gray",
    "MeanColor",
    "MeanColorByLightness",
    "NaiveCNN",
    "NearestNeighbor",
    "Network",
    "Oracle",
    "PatchCritic",
    "RandomPicture",
    "ResNetColorizer",
    "UNet",
    "WholeCritic",
]

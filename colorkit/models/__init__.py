"""Colorizers: the networks, each one file to read in one sitting, and what they have to beat."""

from colorkit.models.baselines import (
    Gray,
    GroundTruth,
    MeanColor,
    MeanColorByLightness,
    NearestNeighbor,
    Oracle,
    RandomPicture,
)
from colorkit.models.classifier import Classifier
from colorkit.models.cnn import DilatedCNN
from colorkit.models.colorizer import Colorizer, Network
from colorkit.models.decoder import EncoderColorizer
from colorkit.models.discriminators import ImageDiscriminator, PatchDiscriminator
from colorkit.models.encoder_decoder import EncoderDecoder
from colorkit.models.features import FeatureMemory
from colorkit.models.hints import HintUNet
from colorkit.models.lite0 import EfficientNetLite0, Lite0Colorizer
from colorkit.models.loading import load_colorizer, pretrained
from colorkit.models.resnet import ResNetColorizer
from colorkit.models.unet import UNet
from colorkit.models.zhang import ZhangNet

__all__ = [
    "Classifier",
    "Colorizer",
    "DilatedCNN",
    "EfficientNetLite0",
    "EncoderColorizer",
    "EncoderDecoder",
    "FeatureMemory",
    "Gray",
    "GroundTruth",
    "HintUNet",
    "ImageDiscriminator",
    "Lite0Colorizer",
    "MeanColor",
    "MeanColorByLightness",
    "NearestNeighbor",
    "Network",
    "Oracle",
    "PatchDiscriminator",
    "RandomPicture",
    "ResNetColorizer",
    "UNet",
    "ZhangNet",
    "load_colorizer",
    "pretrained",
]

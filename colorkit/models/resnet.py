"""A ResNet as encoder, with weights from another task.

Transfer: what a network learnt about shapes from labelled pictures need not be learnt again from
few (K. He et al., "Deep residual learning", CVPR 2016). The encoder is torchvision's, block by
block and name by name, so that its weights load; only the first convolution sees one channel
instead of three, and the width is free.
"""

from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import ResNet18_Weights, ResNet50_Weights
from torchvision.models.resnet import BasicBlock, Bottleneck

from colorkit.models.decoder import EncoderColorizer, gray_of

LAYOUTS = {18: (BasicBlock, (2, 2, 2, 2)), 50: (Bottleneck, (3, 4, 6, 3))}
IMAGENET = {18: ResNet18_Weights.IMAGENET1K_V1, 50: ResNet50_Weights.IMAGENET1K_V1}
WORLDS = Path(__file__).with_name("weights") / "resnet18_width16.pt"
RGB_MEAN, RGB_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of its training
GRAY_MEAN, GRAY_STD = 0.449, 0.226  # what one gray channel is normalised with here


class Encoder(nn.Module):
    """torchvision's ResNet of 18 or 50 layers without its classifier, for one channel.

    Its first convolution has `width` channels; the five features, at 1/2 to 1/32, `channels`.
    """

    def __init__(self, layers: int = 18, width: int = 64) -> None:
        super().__init__()
        block, counts = LAYOUTS[layers]
        self.conv1 = nn.Conv2d(1, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.channels = [width]
        for number, count in enumerate(counts):
            planes, stride, before = width * 2**number, 2 if number else 1, self.channels[-1]
            after, shortcut = planes * block.expansion, None
            if stride != 1 or before != after:
                projection = nn.Conv2d(before, after, 1, stride, bias=False)
                shortcut = nn.Sequential(projection, nn.BatchNorm2d(after))
            rest = (block(after, planes) for _ in range(count - 1))
            stage = nn.Sequential(block(before, planes, stride, shortcut), *rest)
            self.add_module(f"layer{number + 1}", stage)
            self.channels.append(after)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 1, h, w), normalised gray, to the five features, the largest first."""
        features = [torch.relu(self.bn1(self.conv1(x)))]
        x = F.max_pool2d(features[0], 3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            features.append(x)
        return features


def for_one_channel(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights for RGB turned into weights that give the same on gray pictures in one channel.

    A gray picture has the same value in all three, so their kernels add up; the three means that
    RGB was normalised with differ from the one for gray, which the batch norm after it absorbs.
    The features are the same but for the outermost pixels, where padding stands for another gray.
    """
    kernels, state = state["conv1.weight"], dict(state)
    std, mean = (kernels.new_tensor(x).view(1, 3, 1, 1) for x in (RGB_STD, RGB_MEAN))
    state["conv1.weight"] = (kernels * GRAY_STD / std).sum(1, keepdim=True)
    offset = (kernels * (GRAY_MEAN - mean) / std).sum((1, 2, 3))
    state["bn1.running_mean"] = state["bn1.running_mean"] - offset
    return state


def unpack(packed: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """A state dict from one whose convolutions are in 8 bits, with scales: scripts/pretrain.py."""
    scales = packed["scales"]
    return {k: v * scales[k] if k in scales else v for k, v in packed["model"].items()}


def load_weights(layers: int, weights: str | PathLike) -> dict[str, Tensor]:
    """An `Encoder`'s state dict: "imagenet", torchvision's, downloaded at first use; "worlds", ours
    of ResNet-18 and width 16, learnt from the labels of made worlds; or that of a file."""
    if weights == "imagenet":
        try:
            state = IMAGENET[layers].get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise RuntimeError(
                f"the ImageNet weights of ResNet-{layers} could not be downloaded ({error}): "
                'connect to the internet once, or take weights="worlds", a file, or None'
            ) from error
        return for_one_channel({k: v for k, v in state.items() if not k.startswith("fc.")})
    path = Path(WORLDS if weights == "worlds" else weights)
    if not path.is_file():
        raise FileNotFoundError(f'no file {path}: give a path, "imagenet", "worlds" or None')
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = unpack(state) if "scales" in state else state
        state = {k: v for k, v in state.items() if not k.startswith("fc.")}
        return for_one_channel(state) if state["conv1.weight"].shape[1] == 3 else state
    except Exception as error:
        raise ValueError(f"{path} holds no weights of a ResNet ({error})") from error


class ResNetColorizer(EncoderColorizer):
    """A ResNet as encoder of an `EncoderColorizer`, whose options it takes too.

    The encoder has 18 or 50 layers and starts from `load_weights`, or from random weights; its
    first convolution has `encoder_width` channels, 64 if not given, or what the weights have.
    """

    def __init__(
        self,
        layers: int = 18,
        weights: str | PathLike | None = None,
        *,
        encoder_width: int | None = None,
        **options: Any,
    ) -> None:
        if layers not in LAYOUTS:
            raise ValueError(f"layers must be 18 or 50, got {layers}")
        state = None if weights is None else load_weights(layers, weights)
        own = len(state["conv1.weight"]) if state else 64
        encoder = Encoder(layers, encoder_width or own)
        try:
            if state:
                encoder.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(
                f"{str(weights)!r} does not fit a ResNet-{layers} of width {encoder_width or own}: "
                f"leave encoder_width out, its own is {own}, or take other layers ({error})"
            ) from error
        super().__init__(encoder, **options)

    @staticmethod
    def encoder_input(L: Tensor) -> Tensor:
        return (gray_of(L) - GRAY_MEAN) / GRAY_STD

"""A ResNet as encoder, with weights from another task, and a decoder that gives colours.

Transfer: what a network learnt about shapes from labelled pictures need not be learnt again from
few (K. He et al., "Deep residual learning", CVPR 2016). The encoder is torchvision's, block by
block and name by name, so that its weights load; only the first convolution sees one channel
instead of three, and the width is free.
"""

from os import PathLike
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import ResNet18_Weights, ResNet50_Weights
from torchvision.models.resnet import BasicBlock, Bottleneck

from colorkit.color import lab_to_rgb
from colorkit.models.colorizer import AB_SCALE, Network, conv_of_both, level_of, pad
from colorkit.models.features import FeatureMemory

LAYOUTS = {18: (BasicBlock, (2, 2, 2, 2)), 50: (Bottleneck, (3, 4, 6, 3))}
IMAGENET = {18: ResNet18_Weights.IMAGENET1K_V1, 50: ResNet50_Weights.IMAGENET1K_V1}
WORLDS = Path(__file__).with_name("weights") / "resnet18_width16.pt"
RGB_MEAN, RGB_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of its training
GRAY_MEAN, GRAY_STD = 0.449, 0.226  # what one gray channel is normalised with here


class Encoder(nn.Module):
    """torchvision's ResNet without its classifier, for one channel and any width.

    Parameters
    ----------
    layers : {18, 50}
    width : int
        Channels of the first convolution, 64 in the paper.

    Attributes
    ----------
    channels : tuple of int
        Of the five features: at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size. With 50 layers and
        width 64 the last has 2,048.
    """

    def __init__(self, layers: int = 18, width: int = 64) -> None:
        super().__init__()
        if layers not in LAYOUTS:
            raise ValueError(f"layers must be 18 or 50, got {layers}")
        block, counts = LAYOUTS[layers]
        self.conv1 = nn.Conv2d(1, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        before, channels = width, [width]
        for number, count in enumerate(counts):
            planes = width * 2**number
            stage = _stage(block, before, planes, count, stride=1 if number == 0 else 2)
            self.add_module(f"layer{number + 1}", stage)
            before = planes * block.expansion
            channels.append(before)
        self.channels = tuple(channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 1, h, w) to the five features, the largest first."""
        features = [torch.relu(self.bn1(self.conv1(x)))]
        x = F.max_pool2d(features[0], 3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            features.append(x)
        return features


def _stage(block: type, before: int, planes: int, count: int, stride: int) -> nn.Sequential:
    after, shortcut = planes * block.expansion, None
    if stride != 1 or before != after:
        shortcut = nn.Sequential(
            nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
        )
    rest = (block(after, planes) for _ in range(count - 1))
    return nn.Sequential(block(before, planes, stride, shortcut), *rest)


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


def imagenet_weights(layers: int) -> dict[str, Tensor]:
    """torchvision's ImageNet weights, for one channel; downloaded at first use.

    Raises
    ------
    RuntimeError
        If they are not on this machine and cannot be downloaded.
    """
    try:
        state = IMAGENET[layers].get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise RuntimeError(
            f"the ImageNet weights of ResNet-{layers} could not be downloaded ({error}): connect "
            'to the internet once, or go on with weights="worlds", which come with colorkit, '
            "weights=None, or a file of your own"
        ) from error
    return for_one_channel({k: v for k, v in state.items() if not k.startswith("fc.")})


def saved_weights(path: str | PathLike) -> dict:
    """What torch.save wrote into a file of weights; "worlds" is the file that comes with us."""
    path = Path(WORLDS if path == "worlds" else path)
    if not path.is_file():
        raise FileNotFoundError(
            f'there is no file of weights {path}: give a path, "imagenet", "worlds" or None'
        )
    try:
        state = dict(torch.load(path, map_location="cpu", weights_only=True))
        return {**state, "model": unpack(state)} if "scales" in state else state
    except Exception as error:
        raise ValueError(f"{path} holds no weights of a ResNet ({error})") from error


def pack(state: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """A quarter of the size: convolutions in 8 bits, with a scale for each output channel."""
    kernels = {name: value for name, value in state.items() if value.ndim == 4}
    scales = {k: v.abs().amax((1, 2, 3), keepdim=True) / 127 + 1e-12 for k, v in kernels.items()}
    rounded = {k: (v / scales[k]).round().to(torch.int8) for k, v in kernels.items()}
    return {"model": {**state, **rounded}, "scales": scales}


def unpack(packed: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """The state dict that `pack` made smaller, up to half a step of its scales."""
    scales = packed["scales"]
    return {k: v * scales[k] if k in scales else v for k, v in packed["model"].items()}


def own_weights(path: str | PathLike) -> dict[str, Tensor]:
    """An encoder's state dict from a file that torch.save wrote; a classifier `fc` is left out.

    A checkpoint has it as "model". Weights for three channels are turned into weights for one.
    """
    state = saved_weights(path)
    try:
        state = {k: v for k, v in state.get("model", state).items() if not k.startswith("fc.")}
        three = state["conv1.weight"].shape[1] == 3
    except Exception as error:
        raise ValueError(f"{path} holds no weights of a ResNet ({error})") from error
    return for_one_channel(state) if three else state


class ResNetColorizer(Network):
    """ResNet encoder, decoder of enlarging convolutions: raw L in, raw ab out, any size.

    Parameters
    ----------
    layers : {18, 50}
    weights : "imagenet", "worlds", path or None
        Of the encoder: torchvision's (a download at first use); ours of ResNet-18 and width 16,
        learnt from the labels of made worlds (`colorkit.models.pretrain`); a file made by
        ``torch.save(encoder.state_dict(), path)``; or random ones.
    encoder_width : int, optional
        Channels of the first convolution: 64 if not given, or what the file's weights have.
    width : int
        Channels of the decoder at full size; each size below has twice as many, up to 16 times.
    frozen : bool
        Keep the encoder's weights as they are, and its batch norm in evaluation mode always.
    memory : FeatureMemory, optional
        Of a frozen encoder: where the features of training pictures are kept for later epochs,
        and for other networks with the same encoder.
    dropout : float
        Share of the last features that are left out during training.
    skips : bool
        Give the decoder the encoder's features of each size, or only the last ones: 2,048 of
        4 x 4 for ResNet-50 and 128 x 128 pixels, as in the report on synthetic faces.
    """

    stride = 32

    def __init__(
        self,
        layers: int = 18,
        weights: str | PathLike | None = None,
        *,
        encoder_width: int | None = None,
        width: int = 16,
        frozen: bool = False,
        dropout: float = 0.0,
        skips: bool = True,
        memory: FeatureMemory | None = None,
    ) -> None:
        super().__init__()
        if memory is not None and not frozen:
            raise ValueError("only a frozen encoder has features to remember: set frozen=True")
        state = _load(layers, weights)
        known = len(state["conv1.weight"]) if state else 64
        self.encoder = Encoder(layers, encoder_width or known)
        if state:
            _fill(self.encoder, state, weights)
        self.frozen, self.skips, self.memory = frozen, skips, memory
        self.encoder.requires_grad_(not frozen)
        self.dropout = nn.Dropout2d(dropout)
        self.decoder = self._decoder(width)
        self.head = nn.Conv2d(width, 2, 3, padding=1)
        self.train()

    def _decoder(self, width: int) -> nn.ModuleList:
        """Five steps up, from 1/32 of the size to the whole."""
        *sides, before = self.encoder.channels
        steps = nn.ModuleList()
        for level, side in zip((4, 3, 2, 1, 0), [*reversed(sides), 1], strict=True):
            after = width * 2**level
            steps.append(
                nn.Sequential(
                    nn.Conv2d(before + side * self.skips, after, 3, padding=1, bias=False),
                    nn.BatchNorm2d(after),
                    nn.ReLU(),
                )
            )
            before = after
        return steps

    def train(self, mode: bool = True) -> "ResNetColorizer":
        """As in any module, but a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def prepare(self, L: Tensor) -> Tensor:
        """L (N, 1, H, W) as `compute` takes it: padded, and normalised as the encoder's weights."""
        return encoder_input(pad(L, self.stride))

    def features(self, x: Tensor) -> Tensor:
        """What `compute` takes, to the last features before the head."""
        *sides, last = self._encode(x)
        sides, last = [*reversed(sides), x], self.dropout(last)
        for step, side in zip(self.decoder, sides, strict=False):
            last = F.interpolate(last, scale_factor=2, mode="bilinear", align_corners=False)
            last = step[1:](conv_of_both(step[0], last, side)) if self.skips else step(last)
        return last

    def _encode(self, x: Tensor) -> list[Tensor]:
        if self.memory is None or not self.training or x.requires_grad:
            return self.encoder(x)
        return self.memory(self.encoder, x)

    def cut(self, scale: int) -> int:
        """Leave out the head and what works above 1/scale of the size; channels of `features`."""
        levels = level_of(scale, len(self.decoder))
        channels = self.head.in_channels * scale
        self.decoder, self.head = self.decoder[: len(self.decoder) - levels], nn.Identity()
        return channels

    def compute(self, x: Tensor) -> Tensor:
        return AB_SCALE * self.head(self.features(x))


def encoder_input(L: Tensor) -> Tensor:
    """L in [0, 100] as the encoder takes it: the gray's sRGB value, less its mean, over its std."""
    return (gray_value(L) - GRAY_MEAN) / GRAY_STD


def gray_value(L: Tensor) -> Tensor:
    """The sRGB value in [0, 1] of a gray with this L: not L / 100, but up to 0.034 from it."""
    lab = torch.cat([L, L.new_zeros(L.shape[0], 2, *L.shape[2:])], dim=1)
    return lab_to_rgb(lab)[:, :1]


def _load(layers: int, weights: str | PathLike | None) -> dict[str, Tensor] | None:
    if layers not in LAYOUTS:
        raise ValueError(f"layers must be 18 or 50, got {layers}")
    if weights is None:
        return None
    return imagenet_weights(layers) if weights == "imagenet" else own_weights(weights)


def _fill(encoder: Encoder, state: dict[str, Tensor], source: str | PathLike) -> None:
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        width, own = len(state["conv1.weight"]), encoder.conv1.out_channels
        what = "ResNet-18 of width 16" if source == "worlds" else f"a ResNet of width {width}"
        raise ValueError(
            f"the weights {str(source)!r} do not fit this encoder of width {own}: they are of "
            f"{what}, so leave encoder_width out and take the layers that they have ({error})"
        ) from error

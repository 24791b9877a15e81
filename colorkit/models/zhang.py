"""Eight groups of convolutions, after Zhang, Isola, Efros, "Colorful image colorization" (2016).

Three halvings, then dilation instead of more of them, so that the view widens at an eighth of the
size; colour is predicted at a quarter of the size, since the eye resolves it coarsely, and then
enlarged. Batch norm follows each group but the last. With kernels = 64 it is the published trunk.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.models.colorizer import AB_SCALE, Network, normalize, pad

ENLARGE = 4  # from the size of the colours to that of the picture


def group(
    channels: Sequence[int], stride: int = 1, dilation: int = 1, norm: bool = True
) -> nn.Sequential:
    """Convolutions 3 x 3 with ReLU, the last with the stride, then batch norm.

    Parameters
    ----------
    channels : sequence of int
        Of the input, then of each convolution's output.
    """
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(channels), start=2):
        step = stride if number == len(channels) else 1
        layers += [nn.Conv2d(before, after, 3, step, dilation, dilation), nn.ReLU()]
    return nn.Sequential(*layers, *([nn.BatchNorm2d(channels[-1])] if norm else []))


class Trunk(nn.Module):
    """The eight groups: (N, 1, h, w) to features (N, 4 kernels, h / 4, w / 4).

    Regression puts two channels on it, classification as many as there are bins.

    Attributes
    ----------
    groups : Sequential
        The eight, in order.
    channels : int
        Of the features: 4 kernels.
    """

    def __init__(self, kernels: int) -> None:
        super().__init__()
        k = kernels
        last = group([4 * k, 4 * k, 4 * k], norm=False)
        enlarging = nn.ConvTranspose2d(8 * k, 4 * k, 4, stride=2, padding=1)
        self.groups = nn.Sequential(
            group([1, k, k], stride=2),
            group([k, 2 * k, 2 * k], stride=2),
            group([2 * k, 4 * k, 4 * k, 4 * k], stride=2),
            group([4 * k, 8 * k, 8 * k, 8 * k]),
            group([8 * k, 8 * k, 8 * k, 8 * k], dilation=2),
            group([8 * k, 8 * k, 8 * k, 8 * k], dilation=2),
            group([8 * k, 8 * k, 8 * k, 8 * k]),
            nn.Sequential(enlarging, nn.ReLU(), *last),
        )
        self.channels = 4 * k

    def forward(self, x: Tensor) -> Tensor:
        return self.groups(x)


class ZhangNet(Network):
    """Regression with the trunk of eight groups: raw L in, raw ab out, any size.

    Parameters
    ----------
    kernels : int
        Channels of the first group, such as 16, 32 or 64; the middle has 8 times as many.
    """

    stride = 8

    def __init__(self, kernels: int = 32) -> None:
        super().__init__()
        self.trunk = Trunk(kernels)
        self.head = nn.Conv2d(self.trunk.channels, 2, 1)

    def quarter(self, L: Tensor) -> Tensor:
        """ab at a quarter of the size that L has once padded to multiples of 8.

        A loss here is cheaper than one at full size, and hardly worse.
        """
        return AB_SCALE * self.head(self.trunk(normalize(pad(L, self.stride))))

    def features(self, x: Tensor) -> Tensor:
        """What `compute` takes, to features at a quarter of its size: (N, 4 kernels, h/4, w/4)."""
        return self.trunk(x)

    def cut(self, scale: int) -> int:
        """Leave the head out; the channels of `features`. The scale can be 4 only."""
        if scale != ENLARGE:
            raise ValueError(f"the eight groups end at 1/4 of the size: scale is 4, not {scale}")
        self.head = nn.Identity()
        return self.trunk.channels

    def compute(self, x: Tensor) -> Tensor:
        ab = AB_SCALE * self.head(self.trunk(x))
        return F.interpolate(ab, scale_factor=ENLARGE, mode="bilinear", align_corners=False)

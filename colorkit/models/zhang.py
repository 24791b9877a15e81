"""The network of R. Zhang, P. Isola, A. A. Efros, "Colorful image colorization" (ECCV 2016).

Eight groups of convolutions: three halvings, then dilation instead of more of them, so that the
view widens at an eighth of the size. Colour is predicted at a quarter of the size, since the eye
resolves it coarsely, and then enlarged. Batch norm follows each group but the last.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.models.colorizer import AB_SCALE, Network


def group(*channels: int, stride: int = 1, dilation: int = 1) -> list[nn.Module]:
    """Convolutions 3 x 3 with ReLU through these channels, the last one with the stride."""
    layers: list[nn.Module] = []
    steps = [1] * (len(channels) - 2) + [stride]
    for (before, after), step in zip(pairwise(channels), steps, strict=True):
        layers += [nn.Conv2d(before, after, 3, step, dilation, dilation), nn.ReLU()]
    return layers


class ZhangNet(Network):
    """Raw L in, raw ab out, any size. `kernels` multiplies all channels, 64 as published."""

    stride = 8

    def __init__(self, kernels: int = 32) -> None:
        super().__init__()
        k = kernels
        groups = [
            group(1, k, k, stride=2),
            group(k, 2 * k, 2 * k, stride=2),
            group(2 * k, 4 * k, 4 * k, 4 * k, stride=2),
            group(4 * k, 8 * k, 8 * k, 8 * k),
            group(8 * k, 8 * k, 8 * k, 8 * k, dilation=2),
            group(8 * k, 8 * k, 8 * k, 8 * k, dilation=2),
            group(8 * k, 8 * k, 8 * k, 8 * k),
        ]
        normed = (nn.Sequential(*x, nn.BatchNorm2d(x[-2].out_channels)) for x in groups)
        enlarge = nn.ConvTranspose2d(8 * k, 4 * k, 4, stride=2, padding=1)
        last = nn.Sequential(enlarge, nn.ReLU(), *group(4 * k, 4 * k, 4 * k))
        self.groups = nn.Sequential(*normed, last)
        self.head = nn.Conv2d(4 * k, 2, 1)

    def features(self, x: Tensor) -> Tensor:
        """What `compute` takes, to (N, 4 kernels, h/4, w/4)."""
        return self.groups(x)

    def cut(self, scale: int) -> int:
        """Leave the head out; the channels of `features`. The scale can be 4 only."""
        if scale != 4:
            raise ValueError(f"Zhang's groups end at 1/4 of the size: scale is 4, not {scale}")
        channels, self.head = self.head.in_channels, nn.Identity()
        return channels

    def compute(self, x: Tensor) -> Tensor:
        ab = AB_SCALE * self.head(self.features(x))
        return F.interpolate(ab, scale_factor=4, mode="bilinear", align_corners=False)

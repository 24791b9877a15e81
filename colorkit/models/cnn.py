"""The network of lesson 2: 3 x 3 convolutions at full size, of growing dilation.

Each output pixel sees a neighbourhood of 33 x 33, while every layer keeps the size of the picture
(F. Yu, V. Koltun, "Multi-scale context aggregation by dilated convolutions", ICLR 2016). Nothing
is subsampled: it is the simplest network that can colour a photograph, and not the cheapest.
"""

from torch import Tensor, nn

from colorkit.models.colorizer import AB_SCALE, Network


def group(channels_in: int, channels_out: int, dilation: int) -> nn.Sequential:
    """Convolution that keeps the size, normalisation of each channel, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=dilation, dilation=dilation),
        nn.InstanceNorm2d(channels_out, affine=True),
        nn.ReLU(),
    )


class DilatedCNN(Network):
    """Raw L in, raw ab out: groups of `kernels` channels, dilated 1, 2, 4, 8, 1; a linear head."""

    def __init__(self, kernels: int = 32) -> None:
        super().__init__()
        later = (group(kernels, kernels, dilation) for dilation in (2, 4, 8, 1))
        self.groups = nn.Sequential(group(1, kernels, 1), *later)
        self.head = nn.Conv2d(kernels, 2, 1)

    def compute(self, x: Tensor) -> Tensor:
        return AB_SCALE * self.head(self.groups(x))

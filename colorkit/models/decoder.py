"""A decoder that gives colours, on any encoder that gives features at several sizes.

The encoder brings what was learnt about shapes from other pictures; the decoder learns colours.
"""

from abc import abstractmethod
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.color import lab_to_rgb
from colorkit.models.colorizer import AB_SCALE, Network, conv_of_both, level_of, pad
from colorkit.models.features import FeatureMemory


def gray_of(L: Tensor) -> Tensor:
    """The sRGB value in [0, 1] of the gray of L (N, 1, h, w), up to 0.034 from L / 100."""
    lab = torch.cat([L, L.new_zeros(L.shape[0], 2, *L.shape[2:])], dim=1)
    return lab_to_rgb(lab)[:, :1].to(L.dtype)


class EncoderColorizer(Network):
    """Encoder, decoder of enlarging convolutions: raw L in, raw ab out, any size.

    The encoder gives five features, at 1/2 to 1/32 of the size, the largest first, and says in
    `channels` how many each has. A `frozen` one keeps its weights, its batch norm in evaluation
    mode, and in `memory` what it gave for training pictures. The decoder has `width` channels at
    full size and twice as many at each size below, up to 16 times; with `skips` it gets the
    encoder's features of each size. `dropout` is the share of the last features that are left out
    during training.
    """

    stride = 32

    def __init__(
        self,
        encoder: nn.Module,
        *,
        width: int = 16,
        frozen: bool = False,
        dropout: float = 0.0,
        skips: bool = True,
        memory: FeatureMemory | None = None,
    ) -> None:
        super().__init__()
        if memory is not None and not frozen:
            raise ValueError("only a frozen encoder has features to remember: set frozen=True")
        self.encoder = encoder.requires_grad_(not frozen)
        self.frozen, self.skips, self.memory = frozen, skips, memory
        self.dropout = nn.Dropout2d(dropout)
        *sides, before = encoder.channels
        self.decoder = nn.ModuleList()  # five steps up, from 1/32 of the size to the whole
        for level, side in zip((4, 3, 2, 1, 0), [*reversed(sides), 1], strict=True):
            after = width * 2**level
            conv = nn.Conv2d(before + side * skips, after, 3, padding=1, bias=False)
            self.decoder.append(nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU()))
            before = after
        self.head = nn.Conv2d(width, 2, 3, padding=1)
        self.train()

    @staticmethod
    @abstractmethod
    def encoder_input(L: Tensor) -> Tensor:
        """L (N, 1, h, w) as the encoder takes it."""

    def train(self, mode: bool = True) -> Self:
        """As in any module, but a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def prepare(self, L: Tensor) -> Tensor:
        return self.encoder_input(pad(L, self.stride))

    def features(self, x: Tensor) -> Tensor:
        """What `compute` takes, to the last features before the head."""
        remembered = self.memory is not None and self.training and not x.requires_grad
        *sides, last = self.memory(self.encoder, x) if remembered else self.encoder(x)
        last = self.dropout(last)
        for step, side in zip(self.decoder, [*reversed(sides), x], strict=False):  # after a cut
            last = F.interpolate(last, scale_factor=2, mode="bilinear", align_corners=False)
            last = step[1:](conv_of_both(step[0], last, side)) if self.skips else step(last)
        return last

    def cut(self, scale: int) -> int:
        """Leave out the head and what works above 1/scale of the size; channels of `features`."""
        levels = level_of(scale, len(self.decoder))
        channels = self.head.in_channels * scale
        self.decoder, self.head = self.decoder[: len(self.decoder) - levels], nn.Identity()
        return channels

    def compute(self, x: Tensor) -> Tensor:
        return AB_SCALE * self.head(self.features(x))

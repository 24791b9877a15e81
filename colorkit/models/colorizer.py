"""What every colorizer shares: raw L in, raw ab out, and colours that sRGB can show.

A colorizer is anything with ``colorize(L) -> ab`` at the resolution of L; evaluation and figures
know only that. `Colorizer.colorize` is the one place where colours are brought into the gamut, so
that L, which is never touched, survives the way to a picture: clipping RGB instead would move it.
`Network` adds the other things that are easily forgotten: normalisation inside the network, any
size of picture, evaluation mode while colouring.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.color import fit_gamut

AB_SCALE = 50.0
"""ab of most photographs lies within +-50, so the last layer works with about +-1."""


class Colorizer(ABC):
    """Gives colours to lightness. Subclasses write `predict`."""

    side = 192  # pixels of the longer side at which photographs are coloured: docs/colorizer.md

    @abstractmethod
    def predict(self, L: Tensor, **options: Any) -> Tensor:
        """L (N, 1, H, W) in [0, 100] to ab (N, 2, H, W), inside the gamut or not."""

    @torch.no_grad()
    def colorize(self, L: Tensor, **options: Any) -> Tensor:
        """The colours of L (N, 1, H, W): ab, float32 (N, 2, H, W), inside sRGB, on L's device.

        The options are those of `predict`, such as the temperature of a classifier. A ValueError
        says if the shape is another, L leaves [0, 100], or a colour is not finite.
        """
        check_lightness(L)
        return fit_gamut(L.float(), self.predict(L, **options).to(L.device, torch.float32))


class Network(nn.Module, Colorizer):
    """A network that maps normalised L to ab, of any size. Subclasses write `compute`."""

    stride = 1  # sides are padded to multiples of it, and the result is cropped

    def compute(self, x: Tensor) -> Tensor:
        """(N, 1, h, w) of about unit variance to ab (N, 2, h, w) in Lab units."""
        raise NotImplementedError

    def prepare(self, L: Tensor) -> Tensor:
        """L (N, 1, H, W) as `compute` takes it: padded and normalised."""
        return normalize(pad(L, self.stride))

    def forward(self, L: Tensor) -> Tensor:
        """L (N, 1, H, W) in [0, 100] to ab (N, 2, H, W) in Lab units, of any size."""
        return self.compute(self.prepare(L))[..., : L.shape[2], : L.shape[3]]

    def predict(self, L: Tensor) -> Tensor:
        """As forward, in evaluation mode, on the device and in the dtype of the weights."""
        with evaluating(self):
            return self(L.to(next(self.parameters())))


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, and afterwards each part's own mode again.

    In training mode batch norm would mix the pictures of a batch, and learn from them.
    """
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def normalize(L: Tensor) -> Tensor:
    """L of [0, 100] to [-2, 2]: about unit variance for most photographs."""
    return (L - 50) / 25


def pad(L: Tensor, stride: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples of the stride."""
    check_lightness(L)
    height, width = L.shape[2:]
    return F.pad(L, (0, -width % stride, 0, -height % stride), mode="replicate")


def check_lightness(L: Tensor) -> None:
    """Refuse what is no L; values are checked where colours are fitted to the gamut."""
    if not isinstance(L, Tensor) or not L.is_floating_point():
        kind = L.dtype if isinstance(L, Tensor) else type(L).__name__
        raise TypeError(f"L must be a floating tensor in [0, 100], got {kind}")
    if L.ndim != 4 or L.shape[1] != 1 or 0 in L.shape[2:]:
        raise ValueError(
            f"L has shape {tuple(L.shape)}; it must be (N, 1, H, W): add the batch with L[None], "
            "and take L alone from Lab with colorkit.color.split_lab"
        )


def conv_of_both(conv: nn.Conv2d, x: Tensor, side: Tensor) -> Tensor:
    """``conv(torch.cat([x, side], 1))`` without the copy, and without a gradient none asks for."""
    own, other = conv.weight.split([x.shape[1], side.shape[1]], dim=1)
    first = F.conv2d(x, own, conv.bias, padding=conv.padding)
    return first + F.conv2d(side, other, padding=conv.padding)


def level_of(scale: int, depth: int) -> int:
    """How often 1/scale halves the size: 0 for 1, 1 for 2, 2 for 4, less than the depth."""
    level = scale.bit_length() - 1
    if scale != 2**level or not 0 <= level < depth:
        raise ValueError(f"the scale is a power of 2 from 1 to {2 ** (depth - 1)}, not {scale}")
    return level

"""What a frozen encoder said of pictures, kept for the next time that they are trained on."""

from itertools import chain
from weakref import WeakKeyDictionary
from zlib import crc32

import torch
from torch import Tensor, nn


class FeatureMemory:
    """Remembers the features of pictures, so that a frozen encoder sees each of them once.

    Its weights do not change, so it says the same of a picture in each epoch; and networks that
    are trained on the same encoder can share a memory. One picture of 64 x 64 takes 96 kB with
    ResNet-18 of width 16; a flipped one is another picture.

    Parameters
    ----------
    most : int
        Pictures that are kept. Others are computed each time.

    Examples
    --------
    >>> from colorkit.models import ResNetColorizer
    >>> memory = FeatureMemory()
    >>> net = ResNetColorizer(encoder_width=4, width=2, frozen=True, memory=memory)
    >>> net(torch.rand(3, 1, 32, 32)).shape, len(memory)
    (torch.Size([3, 2, 32, 32]), 3)
    """

    def __init__(self, most: int = 8192) -> None:
        self.most = most
        self._kept: dict[tuple, list[Tensor]] = {}
        self._weights: WeakKeyDictionary[nn.Module, tuple[list[int], int]] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._kept)

    def __deepcopy__(self, _: dict) -> "FeatureMemory":
        return self  # what a copied network knows is the same

    def __reduce__(self) -> tuple:
        return FeatureMemory, (self.most,)  # pictures do not belong into a file of weights

    def clear(self) -> None:
        """Forget all pictures."""
        self._kept.clear()

    @torch.compiler.disable
    def __call__(self, encoder: nn.Module, x: Tensor) -> list[Tensor]:
        """What ``encoder(x)`` gives for pictures x (N, 1, H, W): a list of (N, C, h, w)."""
        cast = torch.is_autocast_enabled(x.device.type) and torch.get_autocast_dtype(x.device.type)
        alike = self._number(encoder), x.device, cast, x.shape[1:]
        pictures = x.detach().cpu().contiguous().flatten(1).view(torch.uint8).numpy()
        keys = [(*alike, hash(picture.tobytes())) for picture in pictures]
        new = [i for i, key in enumerate(keys) if key not in self._kept]
        found = dict(zip(new, _one_by_one(encoder, x[new]), strict=True)) if new else {}
        for i in new[: max(0, self.most - len(self._kept))]:
            self._kept[keys[i]] = found[i]
        each = [found[i] if i in found else self._kept[key] for i, key in enumerate(keys)]
        return [torch.cat(level) for level in zip(*each, strict=True)]

    def _number(self, encoder: nn.Module) -> int:
        """A number of the encoder's weights, computed anew when something wrote into them."""
        tensors = [*chain(encoder.parameters(), encoder.buffers())]
        versions = [tensor._version for tensor in tensors]
        known = self._weights.get(encoder)
        if known is None or known[0] != versions:
            number = 0
            for tensor in tensors:
                number = crc32(tensor.detach().cpu().contiguous().numpy().tobytes(), number)
            known = self._weights[encoder] = versions, number
        return known[1]


@torch.no_grad()
def _one_by_one(encoder: nn.Module, x: Tensor) -> list[list[Tensor]]:
    """Of each picture its features, (1, C, h, w) each, in the memory format they came in."""
    return [list(levels) for levels in zip(*(f.split(1) for f in encoder(x)), strict=True)]

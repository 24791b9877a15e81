"""What a frozen encoder gives for pictures, kept for the next time that they are trained on."""

import torch
from torch import Tensor, nn

MOST = 8192  # pictures that are kept; others are computed each time


class FeatureMemory:
    """Remembers a frozen encoder's features, so that it sees each training picture once.

    For one run, or several with encoders of the same weights: others are refused. One picture of
    64 x 64 takes 96 kB with ResNet-18 of width 16; a flipped one is another picture.
    """

    def __init__(self) -> None:
        self.kept: dict[int, list[Tensor]] = {}
        self.weight: Tensor | None = None  # the encoder's first, to tell it from others

    def clear(self) -> None:
        """Forget all pictures."""
        self.kept.clear()

    @torch.no_grad()
    def __call__(self, encoder: nn.Module, x: Tensor) -> list[Tensor]:
        """What ``encoder(x)`` gives for pictures x (N, 1, H, W): a list of (N, C, h, w)."""
        weight = next(encoder.parameters())
        self.weight = weight.clone() if self.weight is None else self.weight
        if not torch.equal(self.weight, weight):
            raise ValueError("a FeatureMemory is of one encoder, and this has other weights")
        keys = [hash((x.shape[2:], picture.tobytes())) for picture in x.cpu().numpy()]
        found = {key: self.kept[key] for key in keys if key in self.kept}
        if new := [i for i, key in enumerate(keys) if key not in found]:
            for i, *levels in zip(new, *(level.split(1) for level in encoder(x[new])), strict=True):
                found[keys[i]] = levels
                if len(self.kept) < MOST:
                    self.kept[keys[i]] = levels
        return [torch.cat(level) for level in zip(*(found[key] for key in keys), strict=True)]

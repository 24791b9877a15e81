"""Colours with hints: a few clicks say what nobody can see in L.

A red apple and a green one look alike in gray, so a network without hints can only guess. This one
also takes the colours of a few places, and learns to spread them over what belongs together: R.
Zhang et al., "Real-time user-guided image colorization with learned deep priors", SIGGRAPH 2017.
Hints are (N, 3, H, W): ab in Lab units, and a mask that is 1 where ab is given; both are 0
elsewhere.
"""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from colorkit.models.colorizer import AB_SCALE, evaluating
from colorkit.models.unet import UNet, double_conv

WEIGHTS = Path(__file__).with_name("weights") / "hints.pt"


class HintUNet(UNet):
    """A `UNet` that also sees hints: raw L and hints in, raw ab out, any size."""

    side = 64  # that of its training: in larger pictures hints do not reach far enough

    def __init__(self, width: int = 12, depth: int = 4) -> None:
        super().__init__(width, depth)
        self.first = double_conv(4, width, norm=True)

    @classmethod
    def trained(cls) -> "HintUNet":
        """The network that comes along, in evaluation mode: scripts/pretrain_hints.py made it."""
        file = torch.load(WEIGHTS, map_location="cpu", weights_only=True)
        net = cls(**file["config"])
        net.load_state_dict(file["model"])
        return net.eval()

    def forward(self, L: Tensor, hints: Tensor | None = None) -> Tensor:
        """L (N, 1, H, W) and hints (N, 3, H, W), by default none, to ab (N, 2, H, W)."""
        x, (height, width) = self.prepare(L), L.shape[2:]
        wanted = len(L), 3, height, width
        hints = L.new_zeros(wanted) if hints is None else hints
        if hints.shape != wanted:
            got = tuple(hints.shape)
            raise ValueError(f"hints {got} must be {wanted}: ab and mask at the size of L")
        hints = F.pad(hints, (0, -width % self.stride, 0, -height % self.stride))
        x = torch.cat([x, hints[:, :2] / AB_SCALE, hints[:, 2:]], dim=1)
        return self.compute(x)[..., :height, :width]

    def predict(self, L: Tensor, hints: Tensor | None = None) -> Tensor:
        """As forward, in evaluation mode, on the device and in the dtype of the weights."""
        weight = self.head.weight
        with evaluating(self):
            return self(L.to(weight), None if hints is None else hints.to(weight))

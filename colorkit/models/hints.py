"""Colours with hints: a few clicks say what nobody can see in L.

A red apple and a green one look alike in gray, so a network without hints can only guess. This one
also takes the colours of a few places, and learns to spread them over what belongs together: R.
Zhang et al., "Real-time user-guided image colorization with learned deep priors", SIGGRAPH 2017.
Hints are (N, 3, H, W): ab in Lab units, and a mask that is 1 where ab is given; both are 0
elsewhere.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.models.colorizer import AB_SCALE, evaluating
from colorkit.models.unet import UNet, double_conv

WEIGHTS = Path(__file__).with_name("weights") / "hints.pt"
STOP = 1 / 8  # the chance that a simulated user stops before the next hint
LARGEST = 9  # pixels, the side of the largest simulated patch


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
        if hints is None:
            hints = L.new_zeros(len(L), 3, height, width)
        if hints.shape != (len(L), 3, height, width):
            got, wanted = tuple(hints.shape), (len(L), 3, height, width)
            raise ValueError(f"hints {got} must be {wanted}: ab and mask at the size of L")
        hints = F.pad(hints, (0, -width % self.stride, 0, -height % self.stride))
        x = torch.cat([x, hints[:, :2] / AB_SCALE, hints[:, 2:]], dim=1)
        return self.compute(x)[..., :height, :width]

    def predict(self, L: Tensor, hints: Tensor | None = None) -> Tensor:
        """As forward, in evaluation mode, on the device of the weights."""
        device = self.head.weight.device
        with evaluating(self):
            return self(L.to(device), None if hints is None else hints.to(device))


def simulate_hints(
    ab: Tensor, count: int | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Hints (N, 3, H, W) that a user could give who knows the true ab (N, 2, H, W).

    As in the paper: each picture has `count` of them, or a number from the geometric distribution
    0, 1, 2, ... that stops with probability 1/8 before each, 7 on average. A hint is a square of 1
    to 9 pixels a side, with the mean of its ab; squares lie around the middle of the picture, with
    a standard deviation of a quarter of its sides, and never outside. Later ones cover earlier
    ones. The generator is one of the CPU, by default torch's own.
    """
    hints = ab.new_zeros(len(ab), 3, *ab.shape[2:])
    counts = torch.empty(len(ab)).geometric_(STOP, generator=generator).int() - 1
    room = torch.tensor(ab.shape[2:])
    for colors, hint, drawn in zip(ab, hints, counts.tolist(), strict=True):
        number = drawn if count is None else count
        sides = torch.randint(1, min(LARGEST, *room.tolist()) + 1, (number, 1), generator=generator)
        free = room - sides
        corners = free / 2 + torch.randn(number, 2, generator=generator) * free / 4
        corners = torch.minimum(corners.round().int().clamp_min(0), free)
        for (side,), (top, left) in zip(sides.tolist(), corners.tolist(), strict=True):
            rows, columns = slice(top, top + side), slice(left, left + side)
            hint[:2, rows, columns] = colors[:, rows, columns].mean((1, 2), keepdim=True)
            hint[2, rows, columns] = 1
    return hints


def hinted(criterion: Callable[[Tensor, Tensor], Tensor]) -> Callable:
    """The objective of a `HintUNet`: ``criterion(model(L, hints), ab)`` with simulated hints."""

    def objective(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        L, ab = batch
        return criterion(model(L, simulate_hints(ab)), ab)

    return objective

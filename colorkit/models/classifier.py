"""Colour as classification: any trunk, with a head over the bins instead of two channels.

A regression must answer with one colour, and for an apple that can be red or green the best one is
brown. A classifier answers with a distribution over the bins of the ab plane (R. Zhang, P. Isola,
A. A. Efros, "Colorful image colorization", ECCV 2016), at a quarter of the size, since the eye
resolves colour coarsely; what one colour to show is decided afterwards.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.bins import TEMPERATURE, ab_bins, annealed_mean, sample
from colorkit.color import fit_gamut
from colorkit.models.colorizer import Network, check_lightness, evaluating


class Classifier(Network):
    """Raw L in, logits over the bins out; `colorize` decodes them.

    Parameters
    ----------
    trunk : Network
        A `ZhangNet`, `UNet` or `EncoderColorizer`. It is taken over: its own head, and what
        works above 1/scale of the size, are left out.
    bins : Tensor, optional
        (Q, 2), by default the 313 of `colorkit.bins.ab_bins`. They are stored with the weights.
    scale : {4, 2, 1}
        Logits are at 1/scale of the size.
    hidden : int
        Channels of one more layer between trunk and logits, for narrow trunks; 0: none.
    """

    bins: Tensor

    def __init__(
        self, trunk: Network, bins: Tensor | None = None, scale: int = 4, hidden: int = 0
    ) -> None:
        super().__init__()
        if not hasattr(trunk, "cut"):
            raise TypeError(
                f"a {type(trunk).__name__} has no trunk to put a head on: take a ZhangNet, "
                "a UNet or an EncoderColorizer"
            )
        self.register_buffer("bins", ab_bins() if bins is None else bins.detach().float())
        self.stride, self.scale, self.trunk = trunk.stride, scale, trunk
        channels = trunk.cut(scale)
        self.hidden = nn.Conv2d(channels, hidden, 1, bias=False) if hidden else None
        self.norm = nn.BatchNorm2d(hidden) if hidden else None
        self.head = nn.Conv2d(hidden or channels, len(self.bins), 1)

    def forward(self, L: Tensor) -> Tensor:
        """L (N, 1, H, W) to logits (N, Q, H/scale, W/scale), rounded up, of any size."""
        features = self.trunk.features(self.trunk.prepare(L))
        height, width = ((side + self.scale - 1) // self.scale for side in L.shape[2:])
        if self.hidden is not None:
            features = self.norm(_pointwise(self.hidden, features)).relu()
        return _pointwise(self.head, features)[..., :height, :width]

    @torch.no_grad()
    def logits(self, L: Tensor) -> Tensor:
        """As forward, in evaluation mode: float32, on the device of L."""
        check_lightness(L)
        with evaluating(self):
            return self(L.to(self.bins)).to(L.device, torch.float32)

    def predict(self, L: Tensor, temperature: float = TEMPERATURE) -> Tensor:
        """The annealed mean, enlarged: at temperature 1 the mean, at 0.01 about the mode."""
        return self.enlarge(annealed_mean(self.logits(L), self.bins, temperature), L)

    def distribution(self, L: Tensor) -> Tensor:
        """The predicted probabilities of the bins: float32 (N, Q, H/scale, W/scale)."""
        return self.logits(L).softmax(1)

    @torch.no_grad()
    def samples(self, L: Tensor, n: int, seed: int = 0) -> Tensor:
        """n possible colourings, each with colours that hold together: ab (n, N, 2, H, W).

        One random number a picture and sample goes through `colorkit.bins.sample`, so pixels whose
        distributions are alike take the same colour.
        """
        logits = self.logits(L)
        numbers = torch.rand(n, len(L), 1, 1, 1, generator=torch.Generator().manual_seed(seed))
        drawn = (self.enlarge(sample(logits, self.bins, u), L) for u in numbers)
        return torch.stack([fit_gamut(L.float(), ab) for ab in drawn])

    def enlarge(self, ab: Tensor, L: Tensor) -> Tensor:
        """Colours at 1/scale of the size, bilinearly to the size of L.

        A cell's colour belongs to the pixel that training took for it, the one below on the right
        of the cell's middle: with half a pixel of shift, edges would lose colour.
        """
        height, width = (self.scale * (side - 1) + 1 for side in ab.shape[2:])
        between = F.interpolate(ab, (height, width), mode="bilinear", align_corners=True)
        before = self.scale // 2
        after = self.scale - 1 - before
        whole = F.pad(between, (before, after) * 2, mode="replicate")
        return whole[..., : L.shape[2], : L.shape[3]]


def _pointwise(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution of 1 x 1 as a product of matrices: on CPUs 3 times as fast for 313 channels."""
    weight, pixels = layer.weight.flatten(1).expand(len(x), -1, -1), x.flatten(2)
    if layer.bias is None:
        return torch.bmm(weight, pixels).unflatten(2, x.shape[2:])
    return torch.baddbmm(layer.bias[:, None], weight, pixels).unflatten(2, x.shape[2:])

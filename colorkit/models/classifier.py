"""Colour as classification: any trunk, with a head over the bins instead of two channels.

A regression must answer with one colour, and for an apple that can be red or green the best one is
brown. A classifier answers with a distribution over the bins of the ab plane (R. Zhang, P. Isola,
A. A. Efros, "Colorful image colorization", ECCV 2016), at a quarter of the size, since the eye
resolves colour coarsely; what one colour to show is decided afterwards.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.bins import TEMPERATURE, ab_bins, annealed_mean, entropy, sample
from colorkit.models.colorizer import Network, check_lightness, evaluating, picture_key, shown

_MODE_RADIUS = 20.0  # Lab units: of one colour, with its shades, and not of two


class Classifier(Network):
    """Raw L in, logits over the bins out; `colorize` decodes them.

    Parameters
    ----------
    trunk : Network
        A `ZhangNet`, `UNet` or `ResNetColorizer`. It is taken over: its own head, and what
        works above 1/scale of the size, are left out.
    bins : Tensor, optional
        (Q, 2), by default the 313 of `colorkit.bins.ab_bins`. They are stored with the weights.
    scale : {4, 2, 1}
        Logits are at 1/scale of the size.
    hidden : int, optional
        Channels of one more layer between trunk and logits: 1 x 1, batch norm, ReLU; for narrow
        trunks. None: no such layer, the logits are a linear function of the trunk's channels.

    Examples
    --------
    >>> from colorkit.models import ZhangNet
    >>> net = Classifier(ZhangNet(kernels=2))
    >>> net(torch.zeros(1, 1, 30, 32)).shape, net.colorize(torch.zeros(1, 1, 30, 32)).shape
    (torch.Size([1, 313, 8, 8]), torch.Size([1, 2, 30, 32]))
    """

    bins: Tensor

    def __init__(
        self,
        trunk: Network,
        bins: Tensor | None = None,
        scale: int = 4,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        if hidden is not None and hidden < 1:
            raise ValueError(f"hidden is a number of channels, 1 or more, or None, got {hidden}")
        if not hasattr(trunk, "cut"):
            raise TypeError(
                f"a {type(trunk).__name__} has no trunk to put a head on: take a ZhangNet, "
                "a UNet or a ResNetColorizer"
            )
        self.register_buffer("bins", ab_bins() if bins is None else bins.detach().float())
        self.stride, self.scale, self.trunk = trunk.stride, scale, trunk
        channels = trunk.cut(scale)
        self.hidden = nn.Conv2d(channels, hidden, 1, bias=False) if hidden else None
        self.norm = nn.BatchNorm2d(hidden) if hidden else None
        self.head = nn.Conv2d(hidden or channels, len(self.bins), 1)

    def forward(self, L: Tensor) -> Tensor:
        """L (N, 1, H, W) to logits (N, Q, H/scale, W/scale), rounded up, of any size."""
        height, width = (-(-side // self.scale) for side in L.shape[2:])
        features = self.trunk.features(self.trunk.prepare(L))
        if self.hidden is not None:
            features = self.norm(_pointwise(self.hidden, features)).relu()
        return _pointwise(self.head, features)[..., :height, :width]

    @torch.no_grad()
    def logits(self, L: Tensor) -> Tensor:
        """As forward, in evaluation mode: float32, on the device of L."""
        check_lightness(L)
        with evaluating(self):
            return self(L.to(self.bins.device)).to(L.device, torch.float32)

    def predict(self, L: Tensor, temperature: float = TEMPERATURE) -> Tensor:
        """The annealed mean, enlarged to the size of L: first decoded, then enlarged."""
        return self.enlarge(annealed_mean(self.logits(L), self.bins, temperature), L)

    @torch.no_grad()
    def colorize(self, L: Tensor, temperature: float = TEMPERATURE) -> Tensor:
        """The colours of L: ab (N, 2, H, W), float32, fitted to the gamut.

        Parameters
        ----------
        L : Tensor
            (N, 1, H, W) float in [0, 100].
        temperature : float
            Above 0: 1 shows the mean of the distribution, 0.38 the paper's choice, 0.01 about the
            mode.
        """
        check_lightness(L)
        return shown(L, self.predict(L, temperature))

    def distribution(self, L: Tensor) -> Tensor:
        """The predicted probabilities of the bins: float32 (N, Q, H/scale, W/scale)."""
        return self.logits(L).softmax(1)

    def uncertainty(self, L: Tensor) -> Tensor:
        """Entropy of the distribution in nats, 0 to ln Q: float32 (N, 1, H/scale, W/scale)."""
        return entropy(self.logits(L))

    @torch.no_grad()
    def samples(self, L: Tensor, n: int, seed: int = 0, mass: float = 0.9) -> Tensor:
        """n possible colourings, each with colours that hold together: ab (n, N, 2, H, W).

        One random number a picture and sample goes through the inverse of the cumulative
        distribution of every pixel, bins ordered by hue (`colorkit.bins.sample`). So pixels of
        one thing, whose distributions are alike, take the same colour, and over many samples each
        pixel has the predicted distribution, less its tail. Then the predicted colours within 20
        units of the one drawn are averaged: else neighbours would step from bin to bin. Two things
        that can have the same colours take the same one in a picture, whatever they would do.

        The n numbers are spread evenly over [0, 1) and shuffled, so that few samples show what
        there is. They depend on the picture and the seed, not on the batch.

        Parameters
        ----------
        mass : float
            In (0, 1]: the least likely bins of each pixel, beyond this much of its distribution,
            are never drawn (nucleus sampling: A. Holtzman et al., ICLR 2020). Drawn for a whole
            picture at once, the tail of a network that trained briefly would tint all of it. 1
            draws from all bins.
        """
        if n < 1 or not 0 < mass <= 1:
            raise ValueError(f"n is 1 or more and mass in (0, 1], got {n} and {mass}")
        logits, drawn = _nucleus(self.logits(L), mass), []
        uniform = torch.stack([self._uniform(x, n, seed) for x in L], dim=1).to(L.device)
        for numbers in uniform.view(n, len(L), 1, 1, 1):
            colour = self._mode_around(logits, sample(logits, self.bins, numbers))
            drawn.append(shown(L, self.enlarge(colour, L)))
        return torch.stack(drawn)

    @staticmethod
    def _uniform(L: Tensor, n: int, seed: int) -> Tensor:
        generator = np.random.default_rng([seed, picture_key(L)])
        numbers = (generator.permutation(n) + generator.random()) / n
        return torch.from_numpy(numbers).float().clamp_max(1 - 1e-6)

    def _mode_around(self, logits: Tensor, chosen: Tensor) -> Tensor:
        """Mean colour of the distribution within a circle about the chosen one."""
        bins = self.bins.to(logits)
        squared = (bins.view(1, -1, 2, 1, 1) - chosen[:, None]).square().sum(2)
        return annealed_mean(logits.masked_fill(squared > _MODE_RADIUS**2, -torch.inf), bins, 1.0)

    def enlarge(self, ab: Tensor, L: Tensor) -> Tensor:
        """Colours at 1/scale of the size, bilinearly to the size of L.

        A cell's colour belongs to the pixel that training took for it
        (`colorkit.training.objectives.middle_pixels`), not to the point in the cell's middle: with
        half a pixel of shift, edges would lose colour.
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


def _nucleus(logits: Tensor, mass: float) -> Tensor:
    """The logits, minus infinity where more likely bins hold that much of the mass already."""
    p, order = logits.softmax(1).sort(dim=1, descending=True)
    beyond = p.cumsum(1) - p >= mass
    return logits.masked_fill(torch.zeros_like(beyond).scatter(1, order, beyond), -torch.inf)

"""Flow matching: noise moves along straight lines to colours, and each draw is another colouring.

A classifier gives every pixel a distribution of its own; here a whole colouring is drawn from the
distribution of colourings. A network learns the velocity with which a point between noise and data
moves (Y. Lipman et al., "Flow matching for generative modeling"; X. Liu et al., "Flow straight and
fast", both ICLR 2023); to draw, noise follows that velocity from time 0 to time 1.

Colours are drawn small, x (N, 2, h, w) at half of L's sides and in units of SCALE, then enlarged.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.color import fit_gamut
from colorkit.models.colorizer import Colorizer, check_lightness, evaluating
from colorkit.models.decoder import EncoderColorizer
from colorkit.models.loading import PHOTOGRAPHS, load_colorizer
from colorkit.models.velocity import VelocityNet

WEIGHTS = PHOTOGRAPHS.with_name("flow.pt")
SCALE = 50.0
"""ab units: with it colours deviate by about 0.5, somewhat less than the noise, with its 0.6."""
Velocity = Callable[[Tensor, Tensor], Tensor]
"""velocity(x, t) of points x (N, ...) at times t (N,) in [0, 1], of the shape of x."""


def interpolate(noise: Tensor, data: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Where a point is at time t on its straight way from noise to data, and how fast it moves.

    noise and data are (N, ...), t is (N,) in [0, 1]; points and velocities have the shape of data.

    >>> interpolate(torch.tensor([[1.0]]), torch.tensor([[5.0]]), torch.tensor([0.25]))
    (tensor([[2.]]), tensor([[4.]]))
    """
    t = t.view(-1, *[1] * (data.ndim - 1))
    return (1 - t) * noise + t * data, data - noise


def noise_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Noise of the shape of x (N, 2, h, w), even sides: neighbours share most of it.

    A flow may begin at any noise. Noise of each pixel's own averages out over an object, so that
    its colour shows at small t already; with smooth noise it is chosen in the middle of the way.
    """
    size = *x.shape[:2], x.shape[2] // 2, x.shape[3] // 2
    like = {"generator": generator, "device": x.device, "dtype": x.dtype}
    coarse, own = torch.randn(size, **like), torch.randn(x.shape, **like)
    return 0.7 * F.interpolate(coarse, scale_factor=2, mode="bicubic") + 0.1 * own


def begin(data: Tensor) -> tuple[Tensor, Tensor]:
    """Noise for a batch of small colours to begin at, and a time for each: (N, 2, h, w) and (N,).

    Times from the middle of the way are the most frequent, since most is decided there (P. Esser
    et al., "Scaling rectified flow transformers", ICML 2024).
    """
    return noise_like(data), torch.randn(len(data), device=data.device, dtype=data.dtype).sigmoid()


def velocity_loss(
    model: Callable,
    data: Tensor,
    given: Tensor | None,
    draw: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> Tensor:
    """The mean squared error of model(x, t, given) as a velocity; noise and t from draw(data).

    Many lines cross at a point, and under squared error the network learns their mean velocity.
    That mean moves noise to data all the same: it carries as much probability as the lines do.
    """
    noise, t = draw(data)
    x, target = interpolate(noise, data, t)
    return (model(x, t, given).float() - target).square().mean()


def flow_matching(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """The objective of a `FlowColorizer` on a batch of L and ab, for `colorkit.fit.fit`."""
    L, ab = batch
    return velocity_loss(model, shrink(ab), L, begin)


def euler(velocity: Velocity, x: Tensor, steps: int) -> Tensor:
    """Follow the velocity from x at time 0 to time 1, each step along the velocity at its start.

    The error falls as 1 / steps.
    """
    for k in range(steps):
        x = x + velocity(x, x.new_full((len(x),), k / steps)) / steps
    return x


def heun(velocity: Velocity, x: Tensor, steps: int) -> Tensor:
    """As `euler`, with the mean of the velocities at the step's start and at its supposed end.

    The error falls as 1 / steps²; a step asks the network twice.
    """
    for k in range(steps):
        t = x.new_full((len(x),), k / steps)
        start = velocity(x, t)
        x = x + (start + velocity(x + start / steps, t + 1 / steps)) / (2 * steps)
    return x


def shrink(ab: Tensor) -> Tensor:
    """ab (N, 2, H, W) to x (N, 2, h, w): means of 2 x 2 pixels, in units of SCALE.

    Before that its last row and column are repeated, as those of L are for the encoder.
    """
    (height, width), stride = ab.shape[2:], EncoderColorizer.stride
    whole = F.pad(ab, (0, -width % stride, 0, -height % stride), mode="replicate")
    return F.avg_pool2d(whole, 2) / SCALE


def enlarge(x: Tensor, L: Tensor) -> Tensor:
    """x (N, 2, h, w) to ab (N, 2, H, W) of the size of L, bilinearly."""
    ab = F.interpolate(SCALE * x, scale_factor=2, mode="bilinear")
    return ab[..., : L.shape[2], : L.shape[3]]


class FlowColorizer(VelocityNet, Colorizer):
    """Draws colourings of L from a distribution that it has learnt by `flow_matching`.

    Parameters
    ----------
    trunk : EncoderColorizer
        Its encoder, frozen, looks at L.
    sampler : callable
        ``sampler(velocity, x, steps)``, such as `heun`.
    steps : int
        Of the sampler.
    guidance : float
        1 draws from what was learnt; more follows L further, and leaves the learnt distribution.
    options
        Those of `VelocityNet`.
    """

    side = 64  # that of its training

    def __init__(
        self,
        trunk: EncoderColorizer,
        *,
        sampler: Callable[[Velocity, Tensor, int], Tensor] = heun,
        steps: int = 8,
        guidance: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(trunk, **options)
        self.sampler, self.steps, self.guidance = sampler, steps, guidance

    @classmethod
    def trained(cls) -> "FlowColorizer":
        """The network for photographs that comes along: scripts/pretrain_flow.py made it.

        It looks through the encoder of ``load_colorizer("photographs")``, so that its file holds
        only what was trained.
        """
        file = torch.load(WEIGHTS, map_location="cpu", weights_only=True)
        net = cls(load_colorizer().trunk, **file["config"])
        net.load_state_dict(net.state_dict() | file["model"])
        return net.eval()

    def predict(self, L: Tensor, seed: int = 0) -> Tensor:
        """One drawn colouring, always the same for a seed."""
        return self.draw(L, 1, seed)[0]

    def samples(self, L: Tensor, n: int, seed: int = 0) -> Tensor:
        """n drawn colourings of L (N, 1, H, W) inside sRGB: ab (n, N, 2, H, W), on L's device."""
        check_lightness(L)
        drawn = self.draw(L, n, seed).to(L.device, torch.float32)
        return torch.stack([fit_gamut(L.float(), ab) for ab in drawn])

    @torch.no_grad()
    def draw(self, L: Tensor, n: int, seed: int) -> Tensor:
        """n colourings of L, inside the gamut or not: ab (n, N, 2, H, W)."""
        if n < 1 or self.steps < 1:
            raise ValueError(f"{n} samples in {self.steps} steps: take at least 1 of each")
        generator, weight = torch.Generator().manual_seed(seed), self.begin.weight
        with evaluating(self):
            L = L.to(weight)
            velocity, like = self.field(L), shrink(L.expand(-1, 2, -1, -1)).cpu()
            noise = (noise_like(like, generator).to(weight) for _ in range(n))
            return torch.stack([enlarge(self.sampler(velocity, x, self.steps), L) for x in noise])

    def field(self, L: Tensor) -> Velocity:
        """The velocity given L, which is looked at once, with classifier-free guidance."""
        seen = self.see(L)

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            given = self.velocity(x, t, seen)
            if self.guidance == 1:
                return given
            blind = self.velocity(x, t, torch.zeros_like(seen))
            return blind + self.guidance * (given - blind)

        return velocity

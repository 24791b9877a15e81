"""The first network: 3 x 3 convolutions at full size, and the arithmetic of convolutions.

A stack of groups (convolution, normalisation, ReLU) of growing dilation, so that each output pixel
sees a neighbourhood of 33 x 33 while every layer keeps the size of the picture (Yu, Koltun 2016,
"Multi-scale context aggregation by dilated convolutions"). Nothing is subsampled: it is the
simplest network that can colour a photograph, and not the cheapest.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DILATIONS = (1, 2, 4, 8, 1)
AB_SCALE = 50.0  # ab of most photographs lies within +-50, so the last layer works with about +-1


class Conv(NamedTuple):
    """One convolution: square kernels, the same numbers along both sides."""

    channels_in: int
    channels_out: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    dilation: int = 1


def arithmetic(size: int, layers: Sequence[Conv]) -> tuple[int, int, int]:
    """Output size, number of parameters and receptive field of a stack of convolutions.

    Parameters
    ----------
    size : int
        Height and width of the input.
    layers : sequence of Conv
        In the order in which they run; each has one bias an output channel.

    Returns
    -------
    tuple of int
        Height and width of the output; weights and biases together; and how many pixels of the
        input, along one side, one pixel of the output sees.

    Examples
    --------
    >>> arithmetic(128, [Conv(1, 16, padding=0)])
    (126, 160, 3)
    >>> arithmetic(128, [Conv(1, 16, stride=2), Conv(16, 2)])
    (64, 450, 7)
    """
    parameters, field, step = 0, 1, 1
    for conv in layers:
        span = conv.dilation * (conv.kernel - 1) + 1
        size = (size + 2 * conv.padding - span) // conv.stride + 1
        parameters += conv.channels_out * (conv.channels_in * conv.kernel**2 + 1)
        field += (span - 1) * step  # neighbours lie `step` input pixels apart
        step *= conv.stride
    return size, parameters, field


def group(channels_in: int, channels_out: int, dilation: int) -> nn.Sequential:
    """Convolution that keeps the size, normalisation of each channel, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=dilation, dilation=dilation),
        nn.InstanceNorm2d(channels_out, affine=True),
        nn.ReLU(),
    )


class DilatedCNN(nn.Module):
    """Colours from lightness at full size: raw L in, raw ab out.

    Parameters
    ----------
    kernels : int
        Channels of every group.
    dilations : sequence of int
        One group for each.
    """

    def __init__(self, kernels: int = 32, dilations: Sequence[int] = DILATIONS) -> None:
        super().__init__()
        widths = [1] + [kernels] * len(dilations)
        self.groups = nn.Sequential(
            *(group(a, b, d) for a, b, d in zip(widths, widths[1:], dilations, strict=False))
        )
        self.head = nn.Conv2d(kernels, 2, 1)

    def forward(self, L: Tensor) -> Tensor:
        """L (N, 1, H, W) in [0, 100] to ab (N, 2, H, W) in Lab units."""
        return AB_SCALE * self.head(self.groups((L - 50) / 25))

    @torch.no_grad()
    def colorize(self, L: Tensor) -> Tensor:
        """As forward, without a graph."""
        return self(L)


Batch = Callable[[], tuple[Tensor, Tensor]]


def fit(
    net: nn.Module,
    batch: Batch,
    steps: int,
    lr: float = 2e-3,
    after: Callable[[int], object] = lambda step: None,
) -> list[float]:
    """Train a network with Adam on the mean squared error of ab.

    Parameters
    ----------
    net : Module
        L (N, 1, H, W) to ab (N, 2, H, W); trained in place.
    batch : callable
        Gives (L, ab) anew at each call.
    steps : int
    lr : float
        Adam's step size.
    after : callable
        Called at the end of each step with the number of steps done: 1, 2, ..., steps.

    Returns
    -------
    list of float
        The loss of each step, measured before the weights change.
    """
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    losses = []
    for step in range(1, steps + 1):
        L, ab = batch()
        loss = F.mse_loss(net(L), ab)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        after(step)
    return losses


def random_crops(lab: Tensor, count: int, size: int, generator: torch.Generator) -> Tensor:
    """Crops of size x size at random places of one picture.

    Parameters
    ----------
    lab : Tensor
        (1, C, H, W), any C.
    count, size : int
        The crops overlap where chance has it.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor
        (count, C, size, size).

    Examples
    --------
    >>> random_crops(torch.rand(1, 3, 50, 60), 4, 32, torch.Generator()).shape
    torch.Size([4, 3, 32, 32])
    """
    height, width = lab.shape[-2:]
    if size > min(height, width):
        raise ValueError(f"crops of {size} x {size} do not fit into a {height} x {width} picture")
    tops = torch.randint(height - size + 1, (count,), generator=generator).tolist()
    lefts = torch.randint(width - size + 1, (count,), generator=generator).tolist()
    corners = zip(tops, lefts, strict=True)
    return torch.cat([lab[:, :, y : y + size, x : x + size] for y, x in corners])


def spoil(ab: Tensor, mse: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Three versions of ab with exactly this error: faded, hue turned, noise.

    Parameters
    ----------
    ab : Tensor
        (N, 2, H, W).
    mse : float
        In ab², from 0 to the mean square of `ab` (where all is faded to gray).
    generator : torch.Generator
        On the CPU; for the noise.

    Raises
    ------
    ValueError
        If fading cannot make so large an error.

    Examples
    --------
    >>> ab = torch.randn(1, 2, 9, 9) * 20
    >>> {k: round(F.mse_loss(v, ab).item()) for k, v in spoil(ab, 50, torch.Generator()).items()}
    {'faded': 50, 'turned': 50, 'noise': 50}
    """
    power = ab.square().mean()
    if not 0 <= mse <= power:
        raise ValueError(f"an MSE of {mse:g} is not between 0 and that of gray, {power:.4g}")
    share = (mse / power).sqrt()
    angle = 2 * torch.asin(share / 2)  # a turn by this angle moves ab by share * |ab|
    a, b = ab.split(1, dim=1)
    turned = torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], 1)
    noise = torch.randn(ab.shape, generator=generator).to(ab.device)
    noise = noise * (mse / noise.square().mean()).sqrt()
    return {"faded": ab * (1 - share), "turned": turned, "noise": ab + noise}


@torch.no_grad()
def activations(net: nn.Module, L: Tensor) -> list[Tensor]:
    """What each layer group gives for L, in order.

    The groups are the members of ``net.groups`` where there are any, else all convolutions but the
    last.

    Returns
    -------
    list of Tensor
        (N, channels, H, W) each.
    """
    layers = list(getattr(net, "groups", []))
    layers = layers or [m for m in net.modules() if isinstance(m, nn.Conv2d)][:-1]
    seen: list[Tensor] = []
    hooks = [m.register_forward_hook(lambda _m, _x, out: seen.append(out)) for m in layers]
    try:
        net(L)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def liveliest(activation: Tensor, count: int) -> Tensor:
    """The `count` channels of (1, C, H, W) with the largest variance over the picture, in order.

    Examples
    --------
    >>> liveliest(torch.tensor([0.0, 3.0, 1.0]).view(1, 3, 1, 1) * torch.rand(1, 3, 9, 9), 2).shape
    torch.Size([1, 2, 9, 9])
    """
    variance = activation[0].flatten(1).var(1)
    return activation[:, variance.argsort(descending=True)[:count]]

"""What lesson 2 uses: the arithmetic of convolutions, the plain loop, crops, perturbed colours."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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

    The input has `size` pixels a side; each convolution has one bias an output channel; the field
    is how many pixels of the input, along one side, one pixel of the output sees.

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


def fit(
    net: nn.Module,
    batch: Callable[[], tuple[Tensor, Tensor]],
    steps: int,
    lr: float = 2e-3,
    after: Callable[[int], object] = lambda step: None,
) -> list[float]:
    """Train a network with Adam on the mean squared error of ab; the loss of each step.

    `batch` gives (L, ab) anew at each call; `after` is called at the end of each step with the
    number of steps done. A loss is measured before the weights change.
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
    """Crops at random places of one picture (1, C, H, W): (count, C, size, size)."""
    height, width = lab.shape[-2:]
    if size > min(height, width):
        raise ValueError(f"crops of {size} x {size} do not fit into a {height} x {width} picture")
    tops = torch.randint(height - size + 1, (count,), generator=generator).tolist()
    lefts = torch.randint(width - size + 1, (count,), generator=generator).tolist()
    corners = zip(tops, lefts, strict=True)
    return torch.cat([lab[:, :, y : y + size, x : x + size] for y, x in corners])


def perturb(ab: Tensor, mse: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Three versions of ab (N, 2, H, W) with exactly this error: faded, hue turned, noise.

    The error can be at most the mean square of ab, where all is faded to gray.

    Examples
    --------
    >>> ab = torch.randn(1, 2, 9, 9) * 20
    >>> {k: round(F.mse_loss(v, ab).item()) for k, v in perturb(ab, 50, torch.Generator()).items()}
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
    """What each layer group gives for L, in order: (N, channels, H, W) each.

    The groups are the members of ``net.groups`` where there are any, else all convolutions but the
    last.
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

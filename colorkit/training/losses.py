"""Losses for regression of ab: squared and absolute error, structure, and switching between them.

Each takes raw ab (N, 2, H, W) in Lab units, prediction first, and gives one number to minimise, a
float32 tensor with a gradient. Colours are compared in Lab units, never in a scaled copy, so that
the numbers of two models mean the same: 100 ab² is a typical distance of 10 in a and in b.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

__all__ = [
    "LOSSES",
    "Loss",
    "Switch",
    "l1",
    "l2",
    "loss_by_name",
    "masked_mean",
    "masked_sum",
    "ssim_loss",
]

Loss = Callable[[Tensor, Tensor], Tensor]
"""(prediction, target), both (N, 2, H, W) in Lab units, to a scalar."""

SSIM_WINDOW = 11
"""Side in pixels of the Gaussian window of SSIM (sigma 1.5, cut at 3.5 sigma)."""


def masked_sum(values: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Weighted sum and the sum of the weights: what several processes add up before dividing.

    Parameters
    ----------
    values : Tensor
        (N, C, H, W).
    mask : Tensor, optional
        (N, 1, H, W): bool, or weights of 0 or more. It counts for each channel. By default all
        pixels weigh 1.

    Returns
    -------
    tuple of Tensor
        Sum of mask times value, and sum of the mask over pixels and channels; scalars.

    Raises
    ------
    ValueError
        If the mask's shape is another.
    """
    if mask is None:
        return values.sum(), values.new_tensor(values.numel())
    expected = (values.shape[0], 1, *values.shape[2:])
    if mask.shape != expected:
        raise ValueError(
            f"the mask has shape {tuple(mask.shape)}; values of shape {tuple(values.shape)} need "
            f"{expected}: one weight a pixel, the same for each channel"
        )
    # where, not a product: 0 times a NaN or infinity that the mask hides would be NaN
    kept = torch.where(mask > 0, values * mask.to(values.dtype), 0)
    return kept.sum(), mask.to(values.dtype).sum() * values.shape[1]


def masked_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean over the pixels of the mask and all channels; 0 where nothing counts.

    The denominator is the sum of the mask times the number of channels, not the number of pixels:
    an all-ones mask of any size gives the plain mean, and doubling the mask changes nothing.

    Parameters
    ----------
    values : Tensor
        (N, C, H, W).
    mask : Tensor, optional
        (N, 1, H, W): bool, or weights of 0 or more.

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> values = torch.tensor([1.0, 2.0, 30.0]).view(1, 1, 1, 3)
    >>> masked_mean(values, torch.tensor([True, True, False]).view(1, 1, 1, 3))
    tensor(1.5000)
    """
    total, weight = masked_sum(values, mask)
    return total / torch.where(weight > 0, weight, 1)


def l2(prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean squared error, in ab²: a mean over pixels and both channels.

    Its best constant is the mean. It is a mean of squares, not of norms, whose gradient is not a
    number at an exact match.

    Parameters
    ----------
    prediction, target : Tensor
        (N, 2, H, W) in Lab units.
    mask : Tensor, optional
        (N, 1, H, W): which pixels count, or how much.

    Returns
    -------
    Tensor
        A float32 scalar (float64 for float64).

    Examples
    --------
    >>> l2(torch.zeros(1, 2, 1, 1), torch.tensor([3.0, 4.0]).view(1, 2, 1, 1))
    tensor(12.5000)
    """
    prediction, target = _check_pair(prediction, target)
    return masked_mean((prediction - target).square(), mask)


def l1(prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute error (MAE), in ab units: a mean over pixels and both channels.

    Its best constant is the median of a and the median of b.

    Parameters and result are those of `l2`.

    Examples
    --------
    >>> l1(torch.zeros(1, 2, 1, 1), torch.tensor([3.0, -4.0]).view(1, 2, 1, 1))
    tensor(3.5000)
    """
    prediction, target = _check_pair(prediction, target)
    return masked_mean((prediction - target).abs(), mask)


def ssim_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """1 - SSIM of the two colour channels, each scaled to (ab + 128) / 255, data range 1.

    Computed in float32 also under autocast: variances are differences of nearly equal numbers,
    of which bf16 leaves nothing.

    Parameters
    ----------
    prediction, target : Tensor
        (N, 2, H, W) in Lab units, at least 11 x 11 pixels.

    Returns
    -------
    Tensor
        A float32 scalar in [0, 2]: 0 for equal pictures.

    Raises
    ------
    ValueError
        If shapes differ or the pictures are smaller than the window.

    References
    ----------
    Z. Wang et al., "Image quality assessment: from error visibility to structural similarity",
    IEEE Transactions on Image Processing 13 (2004).
    """
    prediction, target = _check_pair(prediction, target)
    if min(prediction.shape[2:]) < SSIM_WINDOW:
        raise ValueError(
            f"SSIM needs pictures of at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels, got "
            f"{prediction.shape[2]} x {prediction.shape[3]}"
        )
    x, y = ((ab.float() + 128) / 255 for ab in (prediction, target))
    with torch.autocast(x.device.type, enabled=False):
        return 1 - structural_similarity_index_measure(x, y, data_range=1.0)


LOSSES: dict[str, Loss] = {"l2": l2, "l1": l1, "ssim": ssim_loss}
"""The losses that a configuration can name."""


def loss_by_name(name: str) -> Loss:
    """The loss of that name.

    Raises
    ------
    ValueError
        If there is none; the message lists them.
    """
    if name not in LOSSES:
        raise ValueError(f"there is no loss {name!r}: take one of {', '.join(LOSSES)}")
    return LOSSES[name]


class Switch:
    """Losses that take turns by epoch, such as absolute error first and SSIM after it.

    Parameters
    ----------
    schedule : mapping of int to str or Loss
        First epoch, counted from 0, to the loss that holds from then on. One starts at 0.

    Raises
    ------
    ValueError
        If none starts at 0, an epoch is no natural number, or there is no loss of a name.

    Examples
    --------
    >>> switch = Switch({0: "l1", 5: "ssim"})
    >>> [switch(epoch).__name__ for epoch in (0, 4, 5, 99)]
    ['l1', 'l1', 'ssim_loss', 'ssim_loss']
    """

    def __init__(self, schedule: Mapping[int, str | Loss]) -> None:
        if 0 not in schedule:
            raise ValueError(f"no loss for epoch 0: the schedule starts at {sorted(schedule)}")
        bad = [epoch for epoch in schedule if not isinstance(epoch, int) or epoch < 0]
        if bad:
            raise ValueError(f"epochs must be whole numbers of 0 or more, got {bad}")
        self.starts = sorted(schedule)
        chosen = [schedule[start] for start in self.starts]
        self.losses = [loss_by_name(x) if isinstance(x, str) else x for x in chosen]

    def __call__(self, epoch: int) -> Loss:
        """The loss that holds in this epoch."""
        if epoch < 0:
            raise ValueError(f"epochs count from 0, got {epoch}")
        return self.losses[bisect_right(self.starts, epoch) - 1]


def _check_pair(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float32 or better; broadcasting (N, 2, H, W) against another shape hides mistakes."""
    if prediction.shape != target.shape or prediction.ndim != 4 or prediction.shape[1] != 2:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} must both be "
            "(N, 2, H, W): ab in Lab units"
        )
    return _at_least_float32(prediction), _at_least_float32(target)


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()

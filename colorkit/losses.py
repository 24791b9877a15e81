"""Losses: what a network minimises, alone or against a discriminator.

Criteria compare two ab tensors (N, 2, H, W) in Lab units, prediction first, so that the numbers of
two models mean the same: 100 ab² is a typical distance of 10 in a and in b. Objectives are what
`colorkit.fit.fit` takes, ``loss(model, batch)``. All give a scalar, in float32 or better also where
the network computes in bf16.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.bins import SoftEncoder, pixel_weights, soft_cross_entropy
from colorkit.metrics import structural_similarity


def l2(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error in ab², over pixels and both channels. Its best constant is the mean.

    A mean of squares, not of norms, whose gradient is no number at an exact match.

    >>> l2(torch.zeros(1, 2, 1, 1), torch.tensor([3.0, 4.0]).view(1, 2, 1, 1))
    tensor(12.5000)
    """
    prediction, target = _pair(prediction, target)
    return _mean((prediction - target).square())


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error in ab units. Its best constant is the median of a and that of b.

    >>> l1(torch.zeros(1, 2, 1, 1), torch.tensor([3.0, -4.0]).view(1, 2, 1, 1))
    tensor(3.5000)
    """
    prediction, target = _pair(prediction, target)
    return _mean((prediction - target).abs())


def ssim_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """1 - SSIM of both channels, each scaled to (ab + 128) / 255, data range 1: from 0 to 2."""
    x, y = ((ab + 128) / 255 for ab in _pair(prediction, target))
    return 1 - structural_similarity(x, y).mean()


def _pair(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float32 or better; broadcasting (N, 2, H, W) against another shape hides mistakes."""
    if prediction.shape != target.shape or prediction.ndim != 4 or prediction.shape[1] != 2:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} must both be "
            "(N, 2, H, W): ab in Lab units"
        )
    return _full(prediction), _full(target)


def _mean(errors: Tensor) -> Tensor:
    """Unlike that of .mean(), its gradient keeps the order in memory, such as channels_last."""
    return errors.sum() / errors.numel()


def _full(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def regression(criterion: Callable[[Tensor, Tensor], Tensor]) -> Callable:
    """The objective of a model that gives ab: ``criterion(model(L), ab)``."""

    def objective(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        L, ab = batch
        return criterion(model(L), ab)

    return objective


class Classification:
    """The objective of a model that gives logits over the bins: cross-entropy with soft targets.

    Of each cell of the logits the pixel in its middle is encoded, not the cell's mean: the mean of
    two colours that meet at an edge is a colour that neither has, which is what a classifier is
    there to avoid. The published code does so too, and encodes 16 times fewer pixels than there
    are.

    `bins` (Q, 2) are those of the model, by default the 313; `weights` (Q,) are the bins', from
    `colorkit.bins.rebalancing_weights`. The loss is a mean over the pixels, weighted or not, so the
    mean over several processes is that of the whole batch.
    """

    def __init__(self, bins: Tensor | None = None, weights: Tensor | None = None) -> None:
        self.encoder = SoftEncoder(bins)
        count = len(self.encoder.bins)
        if weights is not None and weights.shape != (count,):
            raise ValueError(
                f"weights {tuple(weights.shape)} must be ({count},): one a bin, not one a pixel"
            )
        self.weights = weights

    def __call__(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        L, ab = batch
        logits = model(L)
        targets = self.encoder(middle_pixels(ab, logits.shape[2:]))
        weights = None if self.weights is None else pixel_weights(targets, self.weights)
        return soft_cross_entropy(logits, targets, weights, in_place=True)


def middle_pixels(ab: Tensor, size: tuple[int, int]) -> Tensor:
    """The pixel in the middle of each cell: ab (N, 2, H, W) to (N, 2, h, w).

    Cells have 1, 2, 4, 8 or 16 pixels a side, and the last ones may reach beyond the picture. Of
    the four pixels about a middle it is the one below, on the right.
    """
    for scale in (1, 2, 4, 8, 16):
        if all(-(-whole // scale) == part for whole, part in zip(ab.shape[2:], size, strict=True)):
            rows, columns = (
                (torch.arange(part, device=ab.device) * scale + scale // 2).clamp_max(whole - 1)
                for part, whole in zip(size, ab.shape[2:], strict=True)
            )
            return ab[:, :, rows[:, None], columns]
    raise ValueError(
        f"logits of {size[0]} x {size[1]} are no 1, 1/2, 1/4, 1/8 or 1/16 of the colours' "
        f"{ab.shape[2]} x {ab.shape[3]}"
    )


def discriminator_loss(true: Tensor, generated: Tensor) -> Tensor:
    """Cross-entropy of logits of any shape, mean of its halves on true and on generated pictures.

    A discriminator that has learned nothing has logits of 0, so that both players' losses start at
    ln 2 (I. Goodfellow et al., NeurIPS 2014).

    >>> discriminator_loss(torch.zeros(4, 1, 6, 6), torch.zeros(4, 1, 6, 6))
    tensor(0.6931)
    """
    return (F.softplus(-_full(true)).mean() + F.softplus(_full(generated)).mean()) / 2


def generator_loss(generated: Tensor) -> Tensor:
    """-log D(generated): unlike log(1 - D) it has a gradient where the discriminator is sure."""
    return F.softplus(-_full(generated)).mean()


def accuracy(true: Tensor, generated: Tensor) -> Tensor:
    """Balanced: the mean of the shares of true and of generated logits on the right side of 0.

    >>> accuracy(torch.tensor([1.0, 2.0, 3.0, -1.0]), torch.tensor([-1.0, 1.0]))
    tensor(0.6250)
    """
    return ((true > 0).float().mean() + (generated <= 0).float().mean()) / 2

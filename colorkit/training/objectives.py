"""From a loss of (prediction, target) to the ``loss(model, batch)`` that `fit` takes."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from colorkit.bins import SoftEncoder, pixel_weights, soft_cross_entropy


class Regression:
    """``criterion(model(L), ab)``: the model gives ab, and is compared with the true ab.

    Parameters
    ----------
    criterion : callable
        ``criterion(prediction, target)``, both (N, 2, H, W), gives a scalar.

    Examples
    --------
    >>> import torch
    >>> objective = Regression(torch.nn.functional.l1_loss)
    >>> batch = torch.zeros(1, 1, 4, 4), torch.full((1, 2, 4, 4), 3.0)
    >>> objective(torch.nn.Conv2d(1, 2, 1, bias=False), batch).item()
    3.0
    """

    def __init__(self, criterion: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.criterion = criterion

    def __call__(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        L, ab = batch
        return self.criterion(model(L), ab)


class SwitchingRegression(Regression):
    """A regression whose criterion depends on the epoch, also in a run that was resumed.

    Parameters
    ----------
    switch : callable
        ``switch(epoch)`` gives the criterion of an epoch, such as `colorkit.losses.Switch`.
        For early stopping give `fit` a metric that does not change.
    """

    def __init__(self, switch: Callable[[int], Callable[[Tensor, Tensor], Tensor]]) -> None:
        super().__init__(switch(0))
        self.switch = switch

    def epoch_started(self, run: object) -> None:
        """Take the criterion of the run's epoch; `fit` calls this."""
        self.criterion = self.switch(run.epoch)


class Classification:
    """Cross-entropy over the bins: the model gives logits, the targets are made of the true ab.

    Of each cell of the logits the pixel in its middle is encoded, not the cell's mean: the mean of
    two colours that meet at an edge is a colour that neither has, which is what a classifier is
    there to avoid. The published code does so too, and encodes 16 times fewer pixels than there
    are.

    The loss is a mean over the pixels, weighted or not (`colorkit.bins.soft_cross_entropy`), so
    the mean over several processes is that of the whole batch.

    Parameters
    ----------
    bins : Tensor, optional
        (Q, 2), by default the 313; those of the model.
    weights : Tensor, optional
        (Q,), of the bins, from `colorkit.bins.rebalancing_weights`; None: all the same.
    neighbours, sigma
        Of the soft encoding (`colorkit.bins.SoftEncoder`).
    """

    def __init__(
        self,
        bins: Tensor | None = None,
        weights: Tensor | None = None,
        neighbours: int = 10,
        sigma: float = 5.0,
    ) -> None:
        self.encoder = SoftEncoder(bins, neighbours, sigma)
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

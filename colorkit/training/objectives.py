"""From a loss of (prediction, target) to the ``loss(model, batch)`` that `fit` takes."""

from collections.abc import Callable

from torch import Tensor, nn


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

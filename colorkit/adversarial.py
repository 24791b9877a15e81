"""Losses of a GAN, by name: what the critic minimises, and what the generator does.

Logits may have any shape: one number a picture, or one a patch. Losses are means, in float32 also
where the networks compute in bf16. The critic's is the mean of its two halves, on true and on
generated pictures, so that neither grows with the other's number.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["GAN_LOSSES", "CrossEntropy", "Hinge", "LeastSquares", "accuracy", "gan_loss"]


@dataclass(frozen=True)
class CrossEntropy:
    """Is it true? as a logistic regression (I. Goodfellow et al., "GAN", NeurIPS 2014).

    The generator minimises -log D(generated), which has a gradient also where the critic is sure;
    the game's own log(1 - D) has none there. A critic that knows nothing has logits of 0, so both
    losses start at ln 2.

    Examples
    --------
    >>> know_nothing = torch.zeros(4, 1, 6, 6)
    >>> loss = CrossEntropy()
    >>> loss.critic(know_nothing, know_nothing), loss.generator(know_nothing)
    (tensor(0.6931), tensor(0.6931))
    """

    threshold: ClassVar[float] = 0.0

    def critic(self, true: Tensor, generated: Tensor, smooth: float = 0.0) -> Tensor:
        """Mean over both halves; `smooth` lowers the label of true pictures from 1."""
        true, generated = _full(true), _full(generated)
        # -(1 - s) log D - s log(1 - D), and softplus(x) = -log(1 - D) = x - log D
        return ((F.softplus(-true) + smooth * true).mean() + F.softplus(generated).mean()) / 2

    def generator(self, generated: Tensor) -> Tensor:
        """-log D(generated), the non-saturating loss."""
        return F.softplus(-_full(generated)).mean()


@dataclass(frozen=True)
class LeastSquares:
    """Logits of 1 for true and 0 for generated, by regression (X. Mao et al., ICCV 2017).

    A generated picture that is far on the true side is still pulled back, towards 1.
    """

    threshold: ClassVar[float] = 0.5

    def critic(self, true: Tensor, generated: Tensor, smooth: float = 0.0) -> Tensor:
        """Mean over both halves; `smooth` lowers the label of true pictures from 1."""
        away = (_full(true) - (1 - smooth)).square().mean()
        return (away + _full(generated).square().mean()) / 2

    def generator(self, generated: Tensor) -> Tensor:
        """Half the mean square of what is missing to 1."""
        return (_full(generated) - 1).square().mean() / 2


@dataclass(frozen=True)
class Hinge:
    """A margin of 1 on each side, and nothing to win beyond (J. H. Lim, J. C. Ye, 2017)."""

    threshold: ClassVar[float] = 0.0

    def critic(self, true: Tensor, generated: Tensor, smooth: float = 0.0) -> Tensor:
        """Mean over both halves. There are no labels, so nothing to smooth."""
        if smooth:
            raise ValueError(f"the hinge loss has no labels to smooth: smooth is 0, not {smooth}")
        return (F.relu(1 - _full(true)).mean() + F.relu(1 + _full(generated)).mean()) / 2

    def generator(self, generated: Tensor) -> Tensor:
        """Minus the mean logit."""
        return -_full(generated).mean()


GanLoss = CrossEntropy | LeastSquares | Hinge
GAN_LOSSES: dict[str, GanLoss] = {
    "cross-entropy": CrossEntropy(),
    "least-squares": LeastSquares(),
    "hinge": Hinge(),
}


def gan_loss(name: str) -> GanLoss:
    """The loss of that name; where there is none, a ValueError lists them."""
    if name not in GAN_LOSSES:
        raise ValueError(f"there is no GAN loss {name!r}: take one of {', '.join(GAN_LOSSES)}")
    return GAN_LOSSES[name]


def accuracy(true: Tensor, generated: Tensor, threshold: float = 0.0) -> Tensor:
    """Balanced accuracy: the mean of the shares of true and of generated logits that are right.

    Examples
    --------
    >>> accuracy(torch.tensor([1.0, 2.0, 3.0, -1.0]), torch.tensor([-1.0, 1.0]))
    tensor(0.6250)
    """
    return ((true > threshold).float().mean() + (generated <= threshold).float().mean()) / 2


def _full(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()

"""How much brightness tells of colour: p(brightness | mode), and what follows from it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Link:
    """Brightness levels and colour modes, drawn jointly with exactly known shares.

    Each mode has a bell of brightness. A world draws brightness first, from the mixture of the
    bells, then the mode from p(mode | brightness) by Bayes' rule. So the modes keep their shares
    (sum 1), and L tells of the mode what `information` says, no more. `centres` and `spread` are
    the bells' means and their standard deviation, in L; `low` to `high` is the range of the 40
    levels of brightness.

    Examples
    --------
    >>> link = Link(("dark", "light"), (0.5, 0.5), (40.0, 70.0), 1.0)
    >>> round(link.information, 3)
    1.0
    """

    names: tuple[str, ...]
    shares: tuple[float, ...]
    centres: tuple[float, ...]
    spread: float
    low: float = 30.0
    high: float = 82.0

    def __post_init__(self):
        if len(self.shares) != len(self.names):
            raise ValueError(f"{len(self.names)} shares are needed, for {self.names}")
        if min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"shares must be 0 or more with sum 1, got {self.shares}")
        if self.spread <= 0:
            raise ValueError(f"spread must be above 0, got {self.spread}")

    @cached_property
    def levels(self) -> np.ndarray:
        """The brightness levels: float64 (40,)."""
        return np.linspace(self.low, self.high, 40)

    @cached_property
    def joint(self) -> np.ndarray:
        """p(level, mode): float64 (40, K)."""
        away = (self.levels[:, None] - np.array(self.centres)) / self.spread
        bells = np.exp(-0.5 * away * away) + 1e-300
        return bells / bells.sum(0) * np.array(self.shares)

    @cached_property
    def conditional(self) -> np.ndarray:
        """p(mode | level): float64 (40, K), rows with sum 1."""
        return self.joint / self.joint.sum(1, keepdims=True)

    @cached_property
    def information(self) -> float:
        """Mutual information of brightness level and mode, in bits."""
        outer = self.joint.sum(1, keepdims=True) * self.joint.sum(0)
        seen = self.joint > 0
        return float((self.joint[seen] * np.log2(self.joint[seen] / outer[seen])).sum())

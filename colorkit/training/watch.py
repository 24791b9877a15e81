"""A look at the game that the losses do not give: has a player won, died, or never begun?

Both losses falling, or both staying, proves nothing in a GAN. `Watch` reads the measures of each
step and says in words what they mean.
"""

import warnings
from dataclasses import dataclass, field

from torch import Tensor

from colorkit.training import distributed

MEASURES = (
    "adversarial",
    "pixel",
    "accuracy",
    "share",
    "generator_norm",
    "critic_norm",
    "variety",
)
"""Of a step, the columns of the table that `Watch.see` takes: no number where nobody played."""


class GameWarning(UserWarning):
    """Something is wrong with the game that the losses do not show."""


@dataclass(frozen=True)
class Limits:
    """When to warn: from which means on.

    ``won`` and ``beaten`` are accuracies of the critic on true against generated, ``gray`` one on
    true against gray pictures; ``share`` is the adversarial share of the gradient, ``variety`` how
    much generated colours vary from picture to picture, 1 being as much as the true ones. Means
    are over the last ``steps`` steps, and of a victory over ``won_steps``.
    """

    won: float = 0.95
    beaten: float = 0.55
    gray: float = 0.6
    share: float = 0.03
    variety: float = 0.1
    steps: int = 100
    won_steps: int = 20


SIGNS = {
    "won": "the critic has won: {accuracy:.0%} of its answers are right while the generator "
    "trains, which then learns little from it. Lower critic_lr, let the critic train in every "
    "k-th epoch only, make it narrower, or smooth its labels",
    "beaten": "the critic is beaten: {accuracy:.0%} of its answers are right on true against "
    "generated, but {gray:.0%} on true against gray, so it works and is fooled. If the colours "
    "are not right yet, make it wider, raise critic_lr or let it see L",
    "dead": "the critic is dead: {accuracy:.0%} of its answers are right on true against "
    "generated, and {gray:.0%} on true against gray, which any critic can learn. What it tells "
    "the generator is noise. Change critic_lr, or start it anew",
    "collapsed": "the generator has collapsed: from picture to picture its colours vary "
    "{variety:.1%} as much as the true ones, so they hardly depend on L. Raise lam, lower the "
    "learning rates, or start from a generator trained by the pixel loss",
    "masked": "lam masks the adversarial term, which is {share:.1%} of the gradient at the "
    "generator's output: this is training by the pixel loss. Lower lam",
}


@dataclass
class Watch:
    """Looks at the game row by row, and warns once of each thing in `SIGNS`.

    The critic's victories count where the generator trains, its defeats where it trains itself. Of
    a critic with fewer than `Limits.steps` steps only a victory means something.
    """

    limits: Limits = field(default_factory=Limits)
    warnings: dict[str, str] = field(default_factory=dict)
    recent: dict[str, list[float]] = field(default_factory=dict)
    practice: int = 0  # steps of the critic

    def see(self, step: int, row: dict, table: Tensor) -> None:
        """Take in a row of the history and the steps in it, (n, 7) as in `MEASURES`."""
        at, limits = dict(zip(MEASURES, table.unbind(1), strict=True)), self.limits
        judged = ~at["accuracy"].isnan()
        playing, learning = (
            judged & ~at[f"{player}_norm"].isnan() for player in ("generator", "critic")
        )
        self.practice += int(learning.sum())
        won = self._mean("won", at["accuracy"][playing], limits.won_steps)
        if won is not None and won >= limits.won:
            self._warn("won", step, accuracy=won)
        if self.practice <= limits.steps:
            return
        low = self._mean("low", at["accuracy"][learning], limits.steps)
        gray = self._mean("gray", learning[learning] * row.get("gray", 0.0), limits.steps)
        if low is not None and low <= limits.beaten:
            name = "beaten" if gray >= limits.gray else "dead"
            self._warn(name, step, accuracy=low, gray=gray)
        for name, measure in (("collapsed", "variety"), ("masked", "share")):
            mean = self._mean(name, at[measure][playing], limits.steps)
            if mean is not None and mean < getattr(limits, measure):
                self._warn(name, step, **{measure: mean})

    def _mean(self, name: str, values: Tensor, steps: int) -> float | None:
        """The mean of the last steps; None where they are too few."""
        self.recent[name] = [*self.recent.get(name, ()), *values.tolist()][-steps:]
        enough = len(values) and len(self.recent[name]) == steps
        return sum(self.recent[name]) / steps if enough else None

    def _warn(self, name: str, step: int, **numbers: float) -> None:
        if name in self.warnings:
            return
        self.warnings[name] = f"step {step}: {SIGNS[name].format(**numbers)}."
        if distributed.is_main():
            warnings.warn(self.warnings[name], GameWarning, stacklevel=2)

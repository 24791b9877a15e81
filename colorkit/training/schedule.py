"""Learning rates as functions of the step, so that a schedule has no state to lose."""

import math

SCHEDULES = ("cosine", "one-cycle", "constant")
_START, _END, _RISE = 25, 25e4, 0.3  # one-cycle: lr / 25, up over 30% of the steps, lr / 250,000


def factor(schedule: str, step: int, steps: int, warmup: int = 0) -> float:
    """Share of the learning rate at a step.

    Parameters
    ----------
    schedule : {"cosine", "one-cycle", "constant"}
        Half a cosine from 1 to 0 (Loshchilov, Hutter 2017); up and down again (Smith 2018), the
        learning rate alone, without cycling the momentum; or 1.
    step : int
        From 0.
    steps : int
        Length of the run.
    warmup : int
        Steps of a linear rise before "cosine" and "constant".

    Examples
    --------
    >>> [round(factor("cosine", step, 4), 3) for step in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    if schedule == "one-cycle":
        return _one_cycle(step, steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    return _half_cosine(1.0, 0.0, (step - warmup) / max(1, steps - warmup))


def _one_cycle(step: int, steps: int) -> float:
    top = _RISE * steps - 1
    if step <= top:
        return _half_cosine(1 / _START, 1.0, step / top)
    return _half_cosine(1.0, 1 / _END, (step - top) / max(1, steps - 1 - top))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2

"""Models x metrics on the same pictures, with paired intervals of differences.

Only ``colorize(L) -> ab`` is known of a model. All models see each batch in turn, so that they
are compared on the same pictures and batches may come from a generator; nothing but one number a
picture (and the sums of the bins) is kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from colorkit import metrics
from colorkit.color import fit_gamut, join_lab, lab_to_rgb
from colorkit.metrics import THRESHOLDS, Score
from colorkit.models.baselines import Gray

__all__ = [
    "METRICS",
    "Difference",
    "Scores",
    "compare",
    "error_curves",
    "evaluate",
    "paired_difference",
    "score_models",
    "skill_score",
    "table",
]

METRICS = {
    "mse": "ab², lower is better",
    "rmse": "ab units, lower is better: the root of mse",
    "within_10": "share of pixels with a Euclidean ab error of at most 10",
    "within_10_channels": "share of pixels with a and b each within 10",
    "auc": "mean of the cumulative error over thresholds 0..150",
    "auc_rebalanced": "the same, each occupied bin of the true colour counting as much",
    "psnr": "dB, of the RGB picture",
    "ssim": "of the RGB picture; gray alone is near 0.9",
    "ciede2000": "mean colour difference as the eye sees it, lower is better",
    "colorfulness": "of Hasler and Suesstrunk, mean over pictures",
    "colorfulness_ratio": "mean colorfulness over the truth's; 1 is as vivid",
}
"""The columns of the table, in order, and what they mean."""

_CHUNK = 256  # resampled sets at a time


class HasColorize(Protocol):
    """A colorizer: anything that gives ab (N, 2, H, W) for L (N, 1, H, W)."""

    def colorize(self, L: Tensor) -> Tensor: ...


@dataclass
class Scores:
    """What one model scored on a set of pictures.

    Attributes
    ----------
    metrics : dict of str to Score
        By the names of `METRICS`.
    curve : Score
        Cumulative error: K = 151 thresholds, the parts are pixels within.
    mean_error : Score
        Mean Euclidean ab error of each picture.
    """

    metrics: dict[str, Score] = field(default_factory=lambda: _empty_scores())
    curve: Score = field(default_factory=Score)
    mean_error: Score = field(default_factory=Score)

    def __len__(self) -> int:
        return len(self.mean_error)


class Batch(NamedTuple):
    """What all models are compared with: computed once a batch."""

    L: Tensor  # (N, 1, H, W)
    truth: Tensor  # ab (N, 2, H, W)
    real: Tensor  # RGB (N, 3, H, W)
    vivid: Tensor  # colorfulness (N,)
    bin_: Tensor  # number of the true colour's bin (N, H, W)
    bins: int  # how many there are


class Difference(NamedTuple):
    """A difference with its 95% interval; both in the metric's unit."""

    difference: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


def evaluate(
    colorizers: Mapping[str, HasColorize],
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    random: HasColorize | None = None,
    oracle: HasColorize | None = None,
    bins: Tensor | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Score models on the same pictures.

    Parameters
    ----------
    colorizers : mapping of str to colorizer
        One row each, in this order, after gray and random.
    batches : iterable of (L, ab)
        L (N, 1, H, W) and the true ab (N, 2, H, W), all pictures that count, each once.
    random : colorizer, optional
        Its row is called "random": `RandomPicture` of the training pictures.
    oracle : colorizer, optional
        Its row is called "oracle" and comes last: `Oracle` of a made world.
    bins : Tensor, optional
        (Q, 2) centres for the rebalanced AuC; by default the grid of step 10, in which each sRGB
        colour has the same nearest centre as among the 313 bins.
    progress : bool
        Show a progress bar.

    Returns
    -------
    DataFrame
        Models x metrics, indexed by "model", columns as in `METRICS`; the row "gray" is always
        first. Each number is a mean over pictures but for rmse, the root of mse; auc_rebalanced,
        which pools pixels; and colorfulness_ratio, a ratio of means.

    Raises
    ------
    ValueError
        If there is no picture, a name is taken, or colours have another shape or are NaN.
    """
    named = _with_references(colorizers, random, oracle)
    return table(score_models(named, batches, bins=bins, progress=progress))


def score_models(
    colorizers: Mapping[str, HasColorize],
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    bins: Tensor | None = None,
    progress: bool = False,
) -> dict[str, Scores]:
    """What `evaluate` shows, picture by picture: for `table`, `compare` and `error_curves`.

    No row is added here: put ``"gray": Gray()`` among the colorizers.
    """
    bins = metrics.ab_grid() if bins is None else bins
    scores = {name: Scores() for name in colorizers}
    for L, truth in tqdm(batches, "evaluate", disable=not progress):
        real = lab_to_rgb(join_lab(L, truth))
        vivid = metrics.colorfulness(real)
        bin_ = metrics.nearest_bin(truth, bins)
        for name, colorizer in colorizers.items():
            ab = _colors(name, colorizer, L)
            _add(scores[name], Batch(L, truth, real, vivid, bin_, len(bins)), ab)
    if not all(len(s) for s in scores.values()):
        raise ValueError("no picture was evaluated: were the batches used up before?")
    return scores


def table(scores: Mapping[str, Scores]) -> pd.DataFrame:
    """Models x metrics, as from `evaluate`."""
    rows = {
        name: {metric: s.metrics[metric].value() for metric in METRICS}
        for name, s in scores.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(METRICS)).rename_axis("model")


def skill_score(frame: pd.DataFrame, metric: str = "mse") -> pd.Series:
    """Share of the way from gray to the oracle that each model goes: 0 gray, 1 oracle.

    Parameters
    ----------
    frame : DataFrame
        From `evaluate`, with the rows "gray" and "oracle".
    metric : str
        A column; by default the squared error, for which the oracle's mean is the best.
    """
    missing = [row for row in ("gray", "oracle") if row not in frame.index]
    if missing:
        raise ValueError(f"the table has no row {missing[0]!r}: its rows are {[*frame.index]}")
    column = frame[metric]
    share = (column["gray"] - column) / (column["gray"] - column["oracle"])
    return share.rename(f"{metric}_skill_score")


def paired_difference(
    a: Score | Tensor | Sequence[float],
    b: Score | Tensor | Sequence[float],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Difference:
    """a - b with a 95% interval, resampling pictures and keeping pairs together.

    Overlap of two separate intervals says little: pictures differ more than models do, and that
    part cancels in pairs. The interval is the percentile bootstrap's.

    Parameters
    ----------
    a, b : Score, or (N,) numbers
        Of the same pictures in the same order; numbers are averaged.
    resamples : int
        Bootstrap sets.
    seed : int

    Returns
    -------
    Difference
        difference, low, high.

    Raises
    ------
    ValueError
        If a and b have other numbers of pictures, fewer than 2, or a number is not finite.

    References
    ----------
    B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Examples
    --------
    >>> d = paired_difference([3.0, 5.0, 8.0, 9.0], [1.0, 3.0, 6.0, 7.0])
    >>> d, d.excludes_zero
    (Difference(difference=2.0, low=2.0, high=2.0), True)
    """
    a, b = _as_score(a), _as_score(b)
    count = len(a)
    if count != len(b) or count < 2:
        raise ValueError(
            f"pairs need the same pictures, two or more: a has {count}, b has {len(b)}"
        )
    generator = torch.Generator().manual_seed(seed)
    values = []
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        drawn = torch.randint(count, (size, count), generator=generator)
        times = torch.zeros(size, count, dtype=torch.float64)
        times.scatter_add_(1, drawn, torch.ones_like(times))
        values.append(a.resampled(times) - b.resampled(times))
    low, high = np.nanquantile(torch.cat(values).numpy(), [0.025, 0.975])
    return Difference(a.value() - b.value(), float(low), float(high))


def compare(
    scores: Mapping[str, Scores], a: str, b: str, *, resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """a - b in every metric with its 95% interval.

    Returns
    -------
    DataFrame
        Indexed by metric: difference, low, high, excludes_zero.
    """
    for name in (a, b):
        if name not in scores:
            raise ValueError(f"no model {name!r} was scored: there are {', '.join(scores)}")
    rows = {}
    for metric in METRICS:
        pair = (scores[name].metrics[metric] for name in (a, b))
        d = paired_difference(*pair, resamples=resamples, seed=seed)
        rows[metric] = {**d._asdict(), "excludes_zero": d.excludes_zero}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")


def error_curves(scores: Mapping[str, Scores], of: str = "pixels") -> pd.DataFrame:
    """Cumulative error curves: which share lies within each threshold.

    Parameters
    ----------
    scores : mapping
        From `score_models`.
    of : {"pixels", "pictures"}
        "pixels": share of all pixels whose Euclidean ab error is at most t. "pictures": share of
        pictures whose mean error is at most t.

    Returns
    -------
    DataFrame
        Indexed by "threshold" 0, 1, ..., 150 in ab units; one column a model.
    """
    thresholds = torch.arange(THRESHOLDS)
    if of == "pixels":
        curves = {name: s.curve.parts.sum(0) / s.curve.weights.sum(0) for name, s in scores.items()}
    elif of == "pictures":
        curves = {
            name: (s.mean_error.parts <= thresholds).double().mean(0) for name, s in scores.items()
        }
    else:
        raise ValueError(f'of must be "pixels" or "pictures", got {of!r}')
    index = pd.Index(thresholds.numpy(), name="threshold")
    return pd.DataFrame({name: curve.numpy() for name, curve in curves.items()}, index)


def _empty_scores() -> dict[str, Score]:
    return {name: Score(torch.sqrt) if name == "rmse" else Score() for name in METRICS}


def _with_references(
    colorizers: Mapping[str, HasColorize],
    random: HasColorize | None,
    oracle: HasColorize | None,
) -> dict[str, HasColorize]:
    """Gray and random before the models, the oracle after them."""
    given = {name: c for name, c in (("random", random), ("oracle", oracle)) if c is not None}
    taken = [name for name in given if name in colorizers]
    if taken:
        raise ValueError(f"{taken[0]!r} is given twice: as a colorizer and as a reference row")
    named = {"gray": colorizers.get("gray", Gray())}
    if random is not None:
        named["random"] = random
    named |= {name: c for name, c in colorizers.items() if name != "gray"}
    return named | ({"oracle": oracle} if oracle is not None else {})


def _colors(name: str, colorizer: HasColorize, L: Tensor) -> Tensor:
    with torch.no_grad():
        ab = colorizer.colorize(L)
    expected = (L.shape[0], 2, *L.shape[2:])
    if tuple(ab.shape) != expected:
        raise ValueError(
            f"{name!r} gave colours of shape {tuple(ab.shape)} for L of {tuple(L.shape)}; "
            f"they must be {expected}"
        )
    return ab.to(L.device, torch.float32)


def _add(scores: Scores, batch: Batch, ab: Tensor) -> None:
    """Score a batch: errors of ab as predicted, pictures of what sRGB can show at this L."""
    L, truth, real = batch.L, batch.truth, batch.real
    error = metrics.ab_error(ab, truth)
    rgb = lab_to_rgb(join_lab(L, fit_gamut(L, ab)))
    colorful = metrics.colorfulness(rgb)
    squared = metrics.mse(ab, truth)
    curve = metrics.cumulative_error(ab, truth)
    values = {
        "mse": (squared,),
        "rmse": (squared,),
        "within_10": (metrics.share_within(ab, truth),),
        "within_10_channels": (metrics.share_within_channels(ab, truth),),
        "auc": (curve.mean(1),),
        "auc_rebalanced": metrics.auc_by_bin(ab, truth, batch.bin_, batch.bins),
        "psnr": (metrics.psnr(rgb, real),),
        "ssim": (metrics.ssim(rgb, real),),
        "ciede2000": (metrics.ciede2000_mean(L, ab, truth),),
        "colorfulness": (colorful,),
        "colorfulness_ratio": (colorful, batch.vivid),
    }
    for name, parts in values.items():
        scores.metrics[name].update(*parts)
    pixels = error[0].numel()
    scores.curve.update(pixels * curve, torch.full_like(curve, pixels))
    scores.mean_error.update(error.mean((1, 2)))


def _as_score(values: Score | Tensor | Sequence[float]) -> Score:
    if isinstance(values, Score):
        return values
    values = torch.as_tensor(values, dtype=torch.float64)
    if values.ndim != 1 or not values.isfinite().all():
        raise ValueError(f"needed is one finite number a picture, got shape {(*values.shape,)}")
    score = Score()
    score.update(values)
    return score

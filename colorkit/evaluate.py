"""Models x metrics on the same pictures, with paired intervals of differences.

Only ``colorize(L) -> ab`` is known of a model. All models see each batch in turn, so that they
are compared on the same pictures and batches may come from a generator; nothing but one number a
picture (and the sums of the bins) is kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from colorkit import metrics
from colorkit.color import fit_gamut, join_lab, lab_to_rgb
from colorkit.metrics import Score
from colorkit.models.colorizer import Colorizer

OF_AB = {
    "mse": metrics.mse,  # ab², lower is better
    "within_10": metrics.share_within,  # share of pixels with an ab error of at most 10
    "auc": metrics.auc,  # mean of the cumulative error over thresholds 0..150
    "auc_rebalanced": metrics.auc_by_bin,  # each occupied bin of the true colour counts as much
}
OF_RGB = {
    "ssim": metrics.ssim,  # gray alone is near 0.9
    # Mean colorfulness over the truth's: 1 is as vivid.
    "colorfulness_ratio": lambda rgb, true: (metrics.colorfulness(rgb), metrics.colorfulness(true)),
}
METRICS = OF_AB | OF_RGB
"""By name, functions of prediction and truth that give what `Score.update` takes. Errors are of ab
as predicted, pictures are what sRGB can show of it at this L."""


def _curve(ab: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Of each picture the pixels within 0, 1, ..., 150 ab units, and all: float64 (N, 151) each."""
    share = metrics.cumulative_error(ab, truth)
    pixels = torch.full_like(share, truth[0, 0].numel())
    return pixels * share, pixels


Scores = Mapping[str, Mapping[str, Score]]
"""Model to name of a metric, or "curve", to its score."""


def score_models(
    colorizers: Mapping[str, Colorizer],
    batches: Iterable[tuple[Tensor, Tensor]],
    names: Sequence[str] = tuple(METRICS),
) -> dict[str, dict[str, Score]]:
    """Score models picture by picture, for `table`, `compare` and `error_curves`.

    Beside a model put one that knows nothing, ``"gray": Gray()``, and one that knows all. Batches
    are L (N, 1, H, W) and the true ab (N, 2, H, W), each picture once; names are of `METRICS`.
    """
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ValueError(f"no metric {unknown[0]!r}: there are {', '.join(METRICS)}")
    functions = METRICS | {"curve": _curve}
    scores = {model: {name: Score() for name in (*names, "curve")} for model in colorizers}
    for L, truth in batches:
        real = lab_to_rgb(join_lab(L, truth))
        for model, colorizer in colorizers.items():
            ab = _colors(model, colorizer, L)
            rgb = lab_to_rgb(join_lab(L, fit_gamut(L, ab)))
            for name, score in scores[model].items():
                pair = (rgb, real) if name in OF_RGB else (ab, truth)
                value = functions[name](*pair)
                score.update(*value if isinstance(value, tuple) else (value,))
    if not all(len(own["curve"]) for own in scores.values()):
        raise ValueError("no picture was evaluated: were the batches used up before?")
    return scores


def _colors(model: str, colorizer: Colorizer, L: Tensor) -> Tensor:
    with torch.no_grad():
        ab = colorizer.colorize(L)
    expected = (L.shape[0], 2, *L.shape[2:])
    if tuple(ab.shape) != expected:
        raise ValueError(
            f"{model!r} gave colours of shape {tuple(ab.shape)} for L of {tuple(L.shape)}; "
            f"they must be {expected}"
        )
    return ab.to(L.device, torch.float32)


def table(scores: Scores) -> pd.DataFrame:
    """Models x metrics, from `score_models`."""
    rows = {
        model: {name: score.value() for name, score in own.items() if name in METRICS}
        for model, own in scores.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def skill_score(frame: pd.DataFrame) -> pd.Series:
    """Skill score of the squared error: the share of the way from gray, 0, to the oracle, 1.

    `frame` is a `table` with the rows "gray" and "oracle" and the column "mse".
    """
    missing = {"gray", "oracle"} - {*frame.index}
    if missing:
        raise ValueError(f"the table has no row {min(missing)!r}: its rows are {[*frame.index]}")
    return (frame.mse["gray"] - frame.mse) / (frame.mse["gray"] - frame.mse["oracle"])


class Difference(NamedTuple):
    """A difference with its 95% interval; both in the metric's unit."""

    difference: float
    low: float
    high: float


def paired_difference(
    a: Score | Tensor | Sequence[float], b: Score | Tensor | Sequence[float]
) -> Difference:
    """a - b with a 95% interval, resampling pictures and keeping pairs together.

    Both are of the same pictures in the same order: scores, or (N,) finite numbers, which are
    averaged. Overlap of two separate intervals says little: pictures differ more than models do,
    and that part cancels in pairs. The interval is the percentile bootstrap's, of 2,000 resampled
    sets: B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    a, b = _as_score(a), _as_score(b)
    count = len(a)
    if count != len(b) or count < 2:
        raise ValueError(
            f"pairs need the same pictures, two or more: a has {count}, b has {len(b)}"
        )
    generator, values = torch.Generator().manual_seed(0), []
    for _ in range(8):  # 250 sets at a time: 2,000 of many pictures would fill the memory
        drawn = torch.randint(count, (250, count), generator=generator)
        times = torch.stack([torch.bincount(row, minlength=count) for row in drawn])
        values.append(a.resampled(times) - b.resampled(times))
    low, high = np.nanquantile(torch.cat(values).numpy(), [0.025, 0.975])
    return Difference(a.value() - b.value(), float(low), float(high))


def _as_score(values: Score | Tensor | Sequence[float]) -> Score:
    if isinstance(values, Score):
        return values
    values = torch.as_tensor(values, dtype=torch.float64)
    if values.ndim != 1 or not values.isfinite().all():
        raise ValueError(f"needed is one finite number a picture, got shape {(*values.shape,)}")
    score = Score()
    score.update(values)
    return score


def compare(scores: Scores, a: str, b: str) -> pd.DataFrame:
    """a - b in every metric that was scored: a row each, with difference, low and high."""
    names = [name for name in scores[a] if name in METRICS]
    rows = {name: paired_difference(scores[a][name], scores[b][name]) for name in names}
    return pd.DataFrame(rows, index=Difference._fields).T.rename_axis("metric")


def error_curves(scores: Scores) -> pd.DataFrame:
    """Cumulative error: which share of all pixels is within 0, 1, ..., 150 ab units of the truth.

    A column a model. The pixels of a large picture count as much as those of a small one.
    """
    sums = {model: [x.sum(0) for x in own["curve"].joined()] for model, own in scores.items()}
    curves = {model: (within / count).numpy() for model, (within, count) in sums.items()}
    return pd.DataFrame(curves).rename_axis("threshold")

"""The table, its rows and its intervals, against metrics of the whole and against SciPy."""

import numpy as np
import pytest
import torch
from scipy.stats import bootstrap

from colorkit import metrics
from colorkit.color import fit_gamut, join_lab, lab_to_rgb, rgb_to_lab, split_lab
from colorkit.evaluate import (
    METRICS,
    compare,
    error_curves,
    paired_difference,
    score_models,
    skill_score,
    table,
)
from colorkit.models import Gray


class Known:
    """Not one of colorkit's classes: all that is known is colorize."""

    def __init__(self, L, ab, factor=1.0):
        self.known = {x.numpy().tobytes(): factor * y for x, y in zip(L, ab, strict=True)}

    def colorize(self, L):
        return torch.stack([self.known[x.numpy().tobytes()] for x in L])


@pytest.fixture(scope="module")
def pictures():
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(7, 3, 4, 4, generator=generator)
    rgb = torch.nn.functional.interpolate(coarse, (16, 20), mode="bilinear")
    return split_lab(rgb_to_lab(rgb))


def in_batches(L, ab, size=3):
    yield from zip(L.split(size), ab.split(size), strict=True)


@pytest.fixture(scope="module")
def models(pictures):
    return {"gray": Gray(), "half": Known(*pictures, factor=0.5), "oracle": Known(*pictures)}


@pytest.fixture(scope="module")
def scores(pictures, models):
    return score_models(models, in_batches(*pictures))


def test_a_generator_of_batches_scores_as_the_whole_does(scores, pictures, models):
    frame, (L, truth) = table(scores), pictures
    ab = models["half"].colorize(L)
    rgb, real = (lab_to_rgb(join_lab(L, fit_gamut(L, x))) for x in (ab, truth))
    sums, counts = (x.sum(0) for x in metrics.auc_by_bin(ab, truth))
    expected = {
        "mse": (ab - truth).double().square().mean(),
        "within_10": ((ab - truth).norm(dim=1) <= 10).double().mean(),
        "auc": metrics.auc(ab, truth).mean(),
        "auc_rebalanced": (sums / counts)[counts > 0].mean(),
        "ssim": metrics.ssim(rgb, real).mean(),
        "colorfulness_ratio": metrics.colorfulness(rgb).sum() / metrics.colorfulness(real).sum(),
    }
    assert [*frame.columns] == [*expected] == [*METRICS]
    for name, value in expected.items():
        assert frame.loc["half", name] == pytest.approx(value.item(), abs=1e-5), name
    assert frame.loc["oracle"].tolist() == pytest.approx([0, 1, 1, 1, 1, 1], abs=1e-6)


def test_only_what_is_asked_for_is_scored_whatever_the_batch(pictures, models, scores):
    few = table(score_models(models, in_batches(*pictures, size=1), ["ssim", "mse"]))
    np.testing.assert_allclose(few, table(scores)[["ssim", "mse"]], rtol=1e-5)
    with pytest.raises(ValueError, match="no metric 'psnr': there are mse, "):
        score_models(models, in_batches(*pictures), ["psnr"])


def test_skill_counts_gray_as_0_and_the_oracle_as_1(scores):
    frame = table(scores)  # half the colour is a quarter of the error
    assert skill_score(frame).tolist() == pytest.approx([0, 0.75, 1], abs=1e-5)
    with pytest.raises(ValueError, match="no row 'oracle'"):
        skill_score(frame.drop("oracle"))


def test_error_curves_by_hand_of_pictures_of_several_sizes(pictures):
    L, ab = pictures
    mixed = [(L[:2], ab[:2]), (L[2:3, :, :12], ab[2:3, :, :12])]
    scores = score_models({"gray": Gray()}, mixed, [])
    error = torch.cat([x.norm(dim=0).flatten() for _, batch in mixed for x in batch])
    curve = error_curves(scores)["gray"]
    expected = [(error <= t).double().mean().item() for t in range(151)]
    np.testing.assert_allclose(curve, expected, atol=1e-6)
    assert curve.index.tolist() == list(range(151))


def test_intervals_agree_with_scipy():
    rng = np.random.default_rng(0)
    hard = rng.normal(0.6, 0.2, 120)  # pictures differ more than the models
    a, b = hard + rng.normal(0.03, 0.05, 120), hard + rng.normal(0, 0.05, 120)
    ours = paired_difference(torch.from_numpy(a), b.tolist())
    reference = bootstrap((a - b,), np.mean, n_resamples=4000, method="percentile", rng=rng)
    assert ours.difference == pytest.approx((a - b).mean())
    np.testing.assert_allclose([*ours[1:]], [*reference.confidence_interval], atol=1.5e-3)
    mirrored, one = paired_difference(b, a), paired_difference(a, b)
    assert one == paired_difference(a, b)
    assert (mirrored.difference, mirrored.low) == pytest.approx((-one.difference, -one.high))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0, 2.0], [1.0], "a has 2, b has 1"),
        ([1.0], [1.0], "two or more"),
        ([1.0, float("nan")], [1.0, 2.0], "one finite number a picture"),
        ([[1.0, 2.0]], [[1.0, 2.0]], r"got shape \(1, 2\)"),
    ],
)
def test_pairs_that_are_none_are_refused(a, b, message):
    with pytest.raises(ValueError, match=message):
        paired_difference(a, b)


def test_compare_covers_every_metric_with_its_own_statistic(scores):
    rows, frame = compare(scores, "half", "gray"), table(scores)
    assert [*rows.index] == [*METRICS]
    np.testing.assert_allclose(rows.difference, frame.loc["half"] - frame.loc["gray"])
    assert (rows.low <= rows.difference + 1e-12).all()
    assert (rows.difference <= rows.high + 1e-12).all()
    assert rows.high["mse"] < 0


def test_pictures_are_what_srgb_shows_of_the_colours_errors_are_of_colours_as_given(pictures):
    class Outside:
        def colorize(self, L):
            return torch.full((len(L), 2, *L.shape[2:]), 150.0)

    class Fitted(Outside):
        def colorize(self, L):
            return fit_gamut(L, super().colorize(L))

    rivals = {"outside": Outside(), "fitted": Fitted()}
    frame = table(score_models(rivals, in_batches(*pictures), ["ssim", "mse"]))
    assert frame.ssim["outside"] == pytest.approx(frame.ssim["fitted"], rel=1e-6)
    assert frame.mse["outside"] > frame.mse["fitted"]


def test_mistakes_are_named(pictures):
    class Wrong:
        def colorize(self, L):
            return L

    with pytest.raises(ValueError, match=r"'wrong' gave colours of shape \(3, 1, 16, 20\)"):
        score_models({"wrong": Wrong()}, in_batches(*pictures))
    with pytest.raises(ValueError, match="no picture was evaluated"):
        score_models({"gray": Gray()}, iter(()))

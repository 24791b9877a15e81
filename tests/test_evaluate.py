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
    evaluate,
    paired_difference,
    score_models,
    skill_score,
    table,
)
from colorkit.models import Colorizer, Gray, RandomPicture


class Truth:
    """Not one of colorkit's classes: all that is known is colorize."""

    def __init__(self, L, ab, factor=1.0):
        self.known = {x.numpy().tobytes(): factor * y for x, y in zip(L, ab, strict=True)}

    def colorize(self, L):
        return torch.stack([self.known[x.numpy().tobytes()] for x in L])


class Vivid(Colorizer):
    def predict(self, L):
        return torch.full((len(L), 2, *L.shape[2:]), 150.0)


@pytest.fixture(scope="module")
def pictures():
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(7, 3, 4, 4, generator=generator)
    rgb = torch.nn.functional.interpolate(coarse, (16, 20), mode="bilinear")
    return split_lab(rgb_to_lab(rgb))


def in_batches(L, ab, size=3):
    yield from zip(L.split(size), ab.split(size), strict=True)


@pytest.fixture(scope="module")
def half(pictures):
    return Truth(*pictures, factor=0.5)


@pytest.fixture(scope="module")
def frame(pictures, half):
    references = {"random": RandomPicture([pictures], 3), "oracle": Truth(*pictures)}
    return evaluate({"half": half, "vivid": Vivid()}, in_batches(*pictures), **references)


def test_rows_and_columns(frame):
    assert [*frame.index] == ["gray", "random", "half", "vivid", "oracle"]
    assert [*frame.columns] == [*METRICS]
    assert frame.notna().all(axis=None)


def test_a_generator_of_batches_scores_as_the_whole_does(frame, pictures, half):
    L, truth = pictures
    ab = half.colorize(L)
    rgb, real = (lab_to_rgb(join_lab(L, fit_gamut(L, x))) for x in (ab, truth))
    expected = {
        "mse": (ab - truth).double().square().mean().item(),
        "rmse": (ab - truth).double().square().mean().sqrt().item(),
        "within_10": ((ab - truth).norm(dim=1) <= 10).double().mean().item(),
        "auc": metrics.auc(ab, truth).mean().item(),
        "psnr": metrics.psnr(rgb, real).mean().item(),
        "ssim": metrics.ssim(rgb, real).mean().item(),
        "colorfulness_ratio": (
            metrics.colorfulness(rgb).sum() / metrics.colorfulness(real).sum()
        ).item(),
    }
    for name, value in expected.items():
        assert frame.loc["half", name] == pytest.approx(value, abs=1e-5), name


def test_the_truth_scores_full_marks(frame):
    oracle = frame.loc["oracle"]
    assert oracle[["mse", "rmse", "ciede2000"]].abs().max() < 1e-5
    perfect = ["within_10", "within_10_channels", "auc", "auc_rebalanced", "ssim"]
    np.testing.assert_allclose(oracle[perfect].astype(float), 1, atol=1e-6)
    assert oracle["psnr"] == metrics.PSNR_LIMIT
    assert oracle["colorfulness_ratio"] == pytest.approx(1)


def test_skill_score_counts_gray_as_0_and_the_oracle_as_1(frame):
    share = skill_score(frame)
    assert share["gray"] == 0
    assert share["oracle"] == 1
    assert share["half"] == pytest.approx(0.75, abs=1e-5)  # half the colour: a quarter of the error
    with pytest.raises(ValueError, match="no row 'oracle'"):
        skill_score(frame.drop("oracle"))


def test_bins_may_be_any_centres(pictures, half):
    one = evaluate({"half": half}, in_batches(*pictures), bins=torch.zeros(1, 2))
    np.testing.assert_allclose(one["auc_rebalanced"], one["auc"])  # all pixels in one bin


def test_size_of_batches_changes_nothing(frame, pictures, half):
    alone = evaluate({"half": half}, in_batches(*pictures, size=1))
    np.testing.assert_allclose(alone.loc["half"], frame.loc["half"], rtol=1e-5)


def test_pictures_of_several_sizes_are_evaluated_together(pictures):
    L, ab = pictures
    mixed = [(L[:2], ab[:2]), (L[2:3, :, :12], ab[2:3, :, :12])]
    scores = score_models({"gray": Gray()}, mixed)["gray"]
    assert len(scores) == 3
    curve = error_curves({"gray": scores})["gray"]
    errors = torch.cat([x.norm(dim=1).flatten() for _, x in mixed])
    assert curve[20] == pytest.approx((errors <= 20).double().mean().item())


@pytest.mark.parametrize("of", ["pixels", "pictures"])
def test_error_curves_by_hand(of, pictures, half):
    scores = score_models({"gray": Gray(), "half": half}, in_batches(*pictures))
    curves = error_curves(scores, of)
    errors = (pictures[1] / 2).norm(dim=1).flatten(1)
    errors = errors.flatten() if of == "pixels" else errors.mean(1)
    expected = [(errors <= t).double().mean().item() for t in range(151)]
    np.testing.assert_allclose(curves["half"], expected, atol=1e-6)
    assert curves.index.name == "threshold"
    assert (curves["half"] >= curves["gray"]).all()


def test_error_curves_of_something_else_are_refused():
    with pytest.raises(ValueError, match='"pixels" or "pictures"'):
        error_curves({}, "objects")


def test_intervals_agree_with_scipy():
    rng = np.random.default_rng(0)
    hard = rng.normal(0.6, 0.2, 120)  # pictures differ more than the models
    a, b = hard + rng.normal(0.03, 0.05, 120), hard + rng.normal(0, 0.05, 120)
    ours = paired_difference(torch.from_numpy(a), b.tolist(), resamples=4000)
    reference = bootstrap((a - b,), np.mean, n_resamples=4000, method="percentile", rng=rng)
    assert ours.difference == pytest.approx((a - b).mean())
    np.testing.assert_allclose([*ours[1:]], [*reference.confidence_interval], atol=1.5e-3)
    assert ours.excludes_zero
    alone = [bootstrap((x,), np.mean, n_resamples=999, rng=rng) for x in (a, b)]
    (low, _), (_, high) = (x.confidence_interval for x in alone)
    assert low < high  # separate intervals overlap, and would have hidden the difference


def test_intervals_are_repeatable_and_signed():
    a, b = torch.rand(30), torch.rand(30)
    one = paired_difference(a, b, seed=1)
    assert one == paired_difference(a, b, seed=1) != paired_difference(a, b, seed=2)
    mirrored = paired_difference(b, a, seed=1)
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


def test_compare_covers_every_metric_with_its_own_statistic(pictures, half):
    scores = score_models({"gray": Gray(), "half": half}, in_batches(*pictures))
    rows, frame = compare(scores, "half", "gray", resamples=300), table(scores)
    assert [*rows.index] == [*METRICS]
    expected = frame.loc["half"] - frame.loc["gray"]
    np.testing.assert_allclose(rows["difference"].astype(float), expected)
    assert (rows["low"] <= rows["difference"] + 1e-12).all()
    assert (rows["difference"] <= rows["high"] + 1e-12).all()
    assert rows.loc["mse", "excludes_zero"]
    with pytest.raises(ValueError, match="no model 'unet' was scored: there are gray, half"):
        compare(scores, "unet", "gray")


def test_colors_that_srgb_cannot_show_keep_their_l(pictures):
    """The picture of a foreign colorizer is fitted, not clipped, before it is scored."""

    class Outside:
        def colorize(self, L):
            return torch.full((len(L), 2, *L.shape[2:]), 150.0)

    frame = evaluate({"outside": Outside(), "fitted": Vivid()}, in_batches(*pictures))
    assert frame.loc["outside", "psnr"] == pytest.approx(frame.loc["fitted", "psnr"], rel=1e-6)
    assert frame.loc["outside", "mse"] > frame.loc["fitted", "mse"]  # errors are of ab as given


def test_mistakes_are_named(pictures, half):
    class Wrong:
        def colorize(self, L):
            return L

    with pytest.raises(ValueError, match=r"'wrong' gave colours of shape \(3, 1, 16, 20\)"):
        evaluate({"wrong": Wrong()}, in_batches(*pictures))
    with pytest.raises(ValueError, match="no picture was evaluated"):
        evaluate({"half": half}, iter(()))
    with pytest.raises(ValueError, match="'random' is given twice"):
        evaluate({"random": half}, in_batches(*pictures), random=half)

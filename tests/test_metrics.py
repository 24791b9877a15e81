"""Metrics against scikit-image, torchmetrics, NumPy by hand and closed forms."""

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio as torchmetrics_psnr

from colorkit import metrics
from colorkit.metrics import Score


@pytest.fixture
def ab():
    generator = torch.Generator().manual_seed(5)
    return tuple(30 * torch.randn(3, 2, 16, 12, generator=generator) for _ in range(2))


@pytest.fixture
def pictures():
    rng = np.random.default_rng(2)
    truth = torch.from_numpy(rng.random((3, 3, 32, 28), dtype=np.float32))
    return (truth + 0.2 * torch.rand(3, 3, 32, 28)).clamp(0, 1), truth


def at(distance_a, distance_b=0.0):
    """One pixel that is so far off."""
    return torch.tensor([distance_a, distance_b]).view(1, 2, 1, 1), torch.zeros(1, 2, 1, 1)


def distances(ab, truth):
    return np.hypot(*(ab - truth).double().movedim(1, 0).numpy())


def by_bin(ab, truth, bins):
    return metrics.auc_by_bin(ab, truth, metrics.nearest_bin(truth, bins), len(bins))


def test_errors_of_ab_by_hand(ab):
    difference = (ab[0] - ab[1]).double().numpy()
    expected = [np.mean(picture**2) for picture in difference]
    np.testing.assert_allclose(metrics.mse(*ab), expected)
    np.testing.assert_allclose(metrics.rmse(*ab), np.sqrt(expected))
    np.testing.assert_allclose(metrics.ab_error(*ab), distances(*ab))


def test_share_within_is_a_disc_and_per_channel_a_square(ab):
    disc = [(d <= 25).mean() for d in distances(*ab)]
    square = [(np.abs(d) <= 25).all(0).mean() for d in (ab[0] - ab[1]).numpy()]
    np.testing.assert_allclose(metrics.share_within(*ab, threshold=25), disc)
    np.testing.assert_allclose(metrics.share_within_channels(*ab, threshold=25), square)
    assert metrics.share_within(*at(6.0, 8.0)) == 1  # exactly 10 counts
    assert metrics.share_within(*at(10.0, 0.5)) == 0
    assert metrics.share_within_channels(*at(10.0, -10.0)) == 1


def test_cumulative_error_and_auc_by_hand(ab):
    thresholds = np.arange(0, 151)
    for i, error in enumerate(distances(*ab)):
        curve = [(error <= t).mean() for t in thresholds]
        np.testing.assert_allclose(metrics.cumulative_error(*ab)[i], curve, atol=1e-12)
        assert metrics.auc(*ab)[i].item() == pytest.approx(np.mean(curve), abs=1e-12)


@pytest.mark.parametrize(
    ("distance", "thresholds"), [(0, 151), (0.5, 150), (1, 150), (149, 2), (150, 1), (150.5, 0)]
)
def test_auc_has_the_151_thresholds_from_0_to_150(distance, thresholds):
    assert metrics.auc(*at(float(distance))).item() == pytest.approx(thresholds / 151)
    assert metrics.cumulative_error(*at(float(distance))).sum().item() == thresholds


def test_a_whole_distance_is_within_its_threshold_in_float32():
    """3-4-5 triangles in many directions: rounding must not push them beyond."""
    for k in range(1, 30):
        assert metrics.share_within(*at(3.0 * k, -4.0 * k), threshold=5 * k) == 1


def test_rebalanced_auc_weighs_pixels_by_one_over_the_share_of_their_bin(ab):
    bins = metrics.ab_grid(20)
    error = torch.from_numpy(distances(*ab)).flatten()
    truth = ab[1].movedim(1, -1).reshape(-1, 2)
    bin_ = torch.cdist(truth, bins).argmin(1)
    share = torch.bincount(bin_, minlength=len(bins)).double() / len(bin_)
    weight = (1 / share)[bin_]
    area = torch.stack([(error <= t).double() for t in range(151)]).mean(0)
    expected = ((weight * area).sum() / weight.sum()).item()

    score = Score()
    for i in range(3):  # one picture at a time: bins are pooled over the set
        score.update(*by_bin(ab[0][i : i + 1], ab[1][i : i + 1], bins))
    assert score.value() == pytest.approx(expected, abs=1e-12)


def test_rebalanced_auc_counts_only_occupied_bins():
    truth = torch.zeros(1, 2, 1, 4)
    truth[0, 0, 0, 3] = 60
    score = Score()
    score.update(*by_bin(torch.zeros_like(truth), truth, metrics.ab_grid()))
    gray, red = 1, (151 - 60) / 151
    assert score.value() == pytest.approx((gray + red) / 2)


def test_the_grid_and_any_part_of_it_around_the_gamut_bin_alike(ab):
    grid = metrics.ab_grid()
    near = grid[grid.norm(dim=1) < 190].flip(0)
    truth = ab[1].clamp(-100, 100)
    chosen = grid[metrics.nearest_bin(truth, grid)]
    torch.testing.assert_close(near[metrics.nearest_bin(truth, near)], chosen)
    torch.testing.assert_close(chosen, (truth / 10).round().movedim(1, -1) * 10)


def test_bins_of_another_shape_are_refused(ab):
    with pytest.raises(ValueError, match=r"bins must be \(Q, 2\)"):
        metrics.nearest_bin(ab[0], torch.zeros(2, 313))


def test_psnr_agrees_with_scikit_image_and_torchmetrics(pictures):
    ours = metrics.psnr(*pictures)
    for i, (rgb, truth) in enumerate(zip(*pictures, strict=True)):
        reference = peak_signal_noise_ratio(truth.numpy(), rgb.numpy(), data_range=1)
        assert ours[i].item() == pytest.approx(reference, abs=1e-4)
        assert ours[i].item() == pytest.approx(
            torchmetrics_psnr(rgb, truth, data_range=1.0).item(), abs=1e-4
        )


def test_psnr_of_equal_pictures_is_finite(pictures):
    assert metrics.psnr(pictures[1], pictures[1]).tolist() == [60] * 3


def test_ssim_agrees_with_scikit_image(pictures):
    """In a constant frame, so that how borders are padded makes no difference."""
    framed = [torch.nn.functional.pad(x, (6,) * 4, value=0.4) for x in pictures]
    ours = metrics.ssim(*framed)
    for i, pair in enumerate(zip(*framed, strict=True)):
        arrays = [x.movedim(0, -1).double().numpy() for x in pair]
        _, full = structural_similarity(
            *arrays, data_range=1, channel_axis=-1, full=True, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )  # fmt: skip
        assert ours[i].item() == pytest.approx(full.mean(), abs=1e-4)


def test_ssim_of_one_picture_is_one_number(pictures):
    assert metrics.ssim(pictures[0][:1], pictures[0][:1]).tolist() == pytest.approx([1])


def test_colorfulness_takes_signed_means():
    """Two halves with opposite colours: the means cancel, absolute values would not."""
    rgb = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    rgb[:, 0, :2], rgb[:, 1, 2:] = 200, 200  # red, then green
    # rg = +-200: sd 200, mean 0; yb = 100 throughout: sd 0, mean 100
    assert metrics.colorfulness(rgb).item() == pytest.approx(200 + 0.3 * 100)


def test_colorfulness_by_hand(pictures):
    for ours, picture in zip(metrics.colorfulness(pictures[0]), pictures[0], strict=True):
        red, green, blue = picture.double().numpy() * 255
        rg, yb = red - green, (red + green) / 2 - blue
        expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
        assert ours.item() == pytest.approx(expected)


def test_gray_has_no_colorfulness():
    assert metrics.colorfulness(torch.rand(2, 1, 5, 5).expand(-1, 3, -1, -1)).tolist() == [0, 0]


def test_ciede2000_agrees_with_scikit_image(ab):
    L = 100 * torch.rand(3, 1, 16, 12)
    labs = [torch.cat([L, x], 1).movedim(1, -1).double().numpy() for x in ab]
    expected = deltaE_ciede2000(*labs).mean((1, 2))
    np.testing.assert_allclose(metrics.ciede2000_mean(L, *ab), expected, atol=1e-4)


AB = [metrics.mse, metrics.rmse, metrics.share_within, metrics.share_within_channels, metrics.auc]


@pytest.mark.parametrize("metric", AB, ids=lambda m: m.__name__)
def test_metrics_give_one_number_a_picture_whatever_the_batch(metric, ab):
    whole = metric(*ab)
    alone = torch.cat([metric(ab[0][[i]], ab[1][[i]]) for i in range(3)])
    assert whole.shape == (3,)
    torch.testing.assert_close(whole, alone)


@pytest.mark.parametrize("metric", AB, ids=lambda m: m.__name__)
def test_metrics_refuse_nan_and_other_shapes(metric, ab):
    broken = ab[0].clone()
    broken[1, 0, 3, 3] = torch.nan
    with pytest.raises(ValueError, match="the prediction holds NaN"):
        metric(broken, ab[1])
    with pytest.raises(ValueError, match=r"must both be \(N, 2, H, W\)"):
        metric(ab[0], ab[1][:1])


def test_pictures_in_another_range_are_refused(pictures):
    with pytest.raises(ValueError, match=r"spans .*divide 0..255 by 255"):
        metrics.psnr(255 * pictures[0], pictures[1])
    with pytest.raises(ValueError, match=r"undo \[-1, 1\]"):
        metrics.colorfulness(2 * pictures[0] - 1)


def test_scores_of_batches_are_scores_of_the_whole(ab):
    whole, parts = Score(torch.sqrt), Score(torch.sqrt)
    values = metrics.mse(*ab)
    whole.update(values)
    for piece in (values[:1], values[1:]):
        parts.update(piece)
    assert parts.value() == whole.value() == pytest.approx(values.mean().sqrt().item())
    assert len(parts) == 3


def test_resampling_a_mean_or_a_ratio_equals_scoring_the_repeated_pictures(ab):
    score, repeated = Score(torch.sqrt), Score(torch.sqrt)
    values, weights = metrics.mse(*ab), torch.tensor([1.0, 5.0, 2.0])
    score.update(values, weights)
    repeated.update(values[[0, 0, 2]], weights[[0, 0, 2]])
    resampled = score.resampled(torch.tensor([[2, 0, 1], [1, 1, 1]]))
    torch.testing.assert_close(resampled, torch.tensor([repeated.value(), score.value()]).double())


def test_resampling_rebalanced_auc_keeps_the_weights_of_the_whole_set(ab):
    """By pixels: each weighs 1 / p of its true colour, p of the three pictures."""
    bins = metrics.ab_grid()
    sums, counts = by_bin(*ab, bins)
    score = Score()
    score.update(sums, counts)
    area = np.stack([[(d <= t) for t in range(151)] for d in distances(*ab)]).mean(1)
    bin_ = metrics.nearest_bin(ab[1], bins).numpy()
    weight = 1 / np.bincount(bin_.ravel(), minlength=len(bins))[bin_]
    chosen = [0, 0, 2]
    expected = np.average(area[chosen], weights=weight[chosen])
    whole = np.average(area, weights=weight)
    resampled = score.resampled(torch.tensor([[2, 0, 1], [1, 1, 1]]))
    np.testing.assert_allclose(resampled, [expected, whole])
    assert score.value() == pytest.approx(whole)


def test_a_score_without_pictures_says_so():
    with pytest.raises(ValueError, match="no picture has been scored"):
        Score().value()

"""Metrics against scikit-image, NumPy by hand and closed forms."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from colorkit import metrics
from colorkit.metrics import Score


@pytest.fixture
def ab():
    return tuple(30 * torch.randn(3, 2, 16, 12) for _ in range(2))


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


def test_errors_of_ab_by_hand(ab):
    difference = (ab[0] - ab[1]).double().numpy()
    np.testing.assert_allclose(metrics.mse(*ab), [np.mean(picture**2) for picture in difference])
    np.testing.assert_allclose(metrics.ab_error(*ab), distances(*ab))
    within = [(d <= 25).mean() for d in distances(*ab)]
    np.testing.assert_allclose(metrics.share_within(*ab, threshold=25), within)
    for k in range(1, 30):  # a whole distance is within, although float32 may round it up
        assert metrics.share_within(*at(3.0 * k, -4.0 * k), threshold=5 * k) == 1


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
    assert metrics.cumulative_error(*at(float(distance))).sum().item() == thresholds
    assert metrics.auc(*at(float(distance))).item() == pytest.approx(thresholds / 151)
    sums, counts = metrics.auc_by_bin(*at(float(distance)))
    assert (sums.sum() / counts.sum()).item() == pytest.approx(thresholds / 151)


def test_rebalanced_auc_weighs_pixels_by_one_over_the_share_of_their_bin(ab):
    ab[1][0, :, 0] *= 6  # beyond the grid the bin on its border is the nearest
    score, bins = Score(), metrics.ab_grid()
    for i in range(3):  # one picture at a time: bins are pooled over the set
        score.update(*metrics.auc_by_bin(ab[0][i : i + 1], ab[1][i : i + 1]))
    area = np.stack([(distances(*ab) <= t) for t in range(151)]).mean(0).reshape(3, -1)
    away = ab[1].movedim(1, -1).reshape(-1, 1, 2) - bins
    bin_ = away.square().sum(2).argmin(1).numpy()
    weight = 1 / np.bincount(bin_, minlength=len(bins))[bin_].reshape(3, -1)
    whole = np.average(area, weights=weight)
    assert score.value() == pytest.approx(whole, abs=1e-12)
    # Resampled sets keep the weights of the whole one.
    some = np.average(area[[0, 0, 2]], weights=weight[[0, 0, 2]])
    resampled = score.resampled(torch.tensor([[2, 0, 1], [1, 1, 1]]))
    np.testing.assert_allclose(resampled, [some, whole])


def test_the_grid_and_any_part_of_it_around_the_gamut_bin_alike(ab):
    grid = metrics.ab_grid()
    near = grid[grid.norm(dim=1) < 190].flip(0)
    truth = ab[1].clamp(-100, 100)
    chosen = grid[metrics.nearest_bin(truth, grid)]
    torch.testing.assert_close(near[metrics.nearest_bin(truth, near)], chosen)
    torch.testing.assert_close(chosen, (truth / 10).round().movedim(1, -1) * 10)


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
    assert metrics.ssim(framed[0][:1], framed[1][:1]).tolist() == pytest.approx(ours[:1].tolist())


def test_colorfulness_by_hand(pictures):
    for ours, picture in zip(metrics.colorfulness(pictures[0]), pictures[0], strict=True):
        red, green, blue = picture.double().numpy() * 255
        rg, yb = red - green, (red + green) / 2 - blue
        expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
        assert ours.item() == pytest.approx(expected)
    red = torch.tensor([200, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    assert metrics.colorfulness(red).item() == pytest.approx(0.3 * np.hypot(200, 100))
    assert metrics.colorfulness(torch.rand(2, 1, 5, 5).expand(-1, 3, -1, -1)).tolist() == [0, 0]


@pytest.mark.parametrize("metric", [metrics.mse, metrics.share_within, metrics.auc])
def test_metrics_give_one_number_a_picture_and_refuse_nan_and_other_shapes(metric, ab):
    whole = metric(*ab)
    alone = torch.cat([metric(ab[0][[i]], ab[1][[i]]) for i in range(3)])
    assert whole.shape == (3,)
    torch.testing.assert_close(whole, alone)
    with pytest.raises(ValueError, match=r"\(3, 2, 16, 12\) and truth \(1, 2, 16, 12\) differ"):
        metric(ab[0], ab[1][:1])
    ab[0][1, 0, 3, 3] = torch.nan
    with pytest.raises(ValueError, match="ab must be finite"):
        metric(*ab)


def test_what_cannot_be_scored_is_refused(pictures, ab):
    with pytest.raises(ValueError, match=r"RGB must be in \[0, 1\]"):
        metrics.ssim(255 * pictures[0], pictures[1])
    with pytest.raises(ValueError, match=r"RGB must be in \[0, 1\]"):
        metrics.colorfulness(2 * pictures[0] - 1)
    with pytest.raises(ValueError, match=r"bins must be \(Q, 2\)"):
        metrics.nearest_bin(ab[0], torch.zeros(2, 313))
    with pytest.raises(ValueError, match="no picture has been scored"):
        Score().value()

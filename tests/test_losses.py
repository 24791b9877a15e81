"""Losses against closed forms, NumPy and scikit-image."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch.nn import functional as F

from colorkit.losses import LOSSES, Switch, l1, l2, loss_by_name, masked_mean, masked_sum, ssim_loss


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(3)
    return tuple(40 * torch.randn(2, 2, 24, 20, generator=generator) for _ in range(2))


def best_constant(loss, values):
    """The constant that gradient-free search finds for a's distribution, on a grid of 0.25."""
    target = torch.tensor(values).repeat(2, 1).view(1, 2, 1, -1)
    grid = torch.arange(-60, 60.25, 0.25)
    errors = [loss(torch.full_like(target, c), target).item() for c in grid.tolist()]
    return grid[int(np.argmin(errors))].item()


def test_l2_and_l1_are_torchs(pair):
    assert l2(*pair) == pytest.approx(F.mse_loss(*pair).item())
    assert l1(*pair) == pytest.approx(F.l1_loss(*pair).item())


def test_the_best_constant_is_the_mean_for_l2_and_the_median_for_l1():
    values = [-40.0, -40.0, -40.0, 20.0, 50.0]
    assert best_constant(l2, values) == -10
    assert best_constant(l1, values) == -40


@pytest.mark.parametrize("name", LOSSES)
def test_an_exact_match_has_no_loss_and_a_finite_gradient(name, pair):
    prediction = pair[0].clone().requires_grad_()
    loss = loss_by_name(name)(prediction, pair[0])
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert prediction.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_other_shapes_are_refused_instead_of_broadcast(name, pair):
    with pytest.raises(ValueError, match=r"\(2, 2, 24, 20\) and target \(2, 1, 24, 20\)"):
        loss_by_name(name)(pair[0], pair[1][:, :1])


def test_masked_mean_divides_by_what_the_mask_holds():
    values = torch.arange(24.0).view(2, 3, 2, 2)
    mask = torch.zeros(2, 1, 2, 2, dtype=torch.bool)
    mask[1, 0, 0, 1] = mask[0, 0, 1, 1] = True
    chosen = [values[1, c, 0, 1].item() for c in range(3)]
    chosen += [values[0, c, 1, 1].item() for c in range(3)]
    assert masked_mean(values, mask).item() == pytest.approx(np.mean(chosen))
    weights = torch.rand(2, 1, 2, 2)
    by_hand = np.average(values, weights=weights.expand_as(values))
    assert masked_mean(values, weights).item() == pytest.approx(by_hand)
    assert masked_mean(values, 7 * weights).item() == pytest.approx(by_hand)


def test_masked_sums_of_parts_add_up_to_the_whole():
    values, mask = torch.rand(4, 2, 3, 3), torch.rand(4, 1, 3, 3) > 0.7
    parts = [masked_sum(values[i], mask[i]) for i in ([0], [1, 2, 3])]
    total, weight = (sum(p[k] for p in parts) for k in (0, 1))
    assert (total / weight).item() == pytest.approx(masked_mean(values, mask).item())


def test_an_empty_mask_gives_zero_and_what_it_hides_does_no_harm(pair):
    prediction = pair[0].clone().requires_grad_()
    nothing = torch.zeros(2, 1, 24, 20)
    l2(prediction, pair[1], nothing).backward()
    assert (prediction.grad == 0).all()
    broken = pair[1].clone()
    broken[:, :, 0, 0] = torch.nan
    mask = torch.ones(2, 1, 24, 20)
    mask[:, :, 0, 0] = 0
    assert l2(pair[0], broken, mask).isfinite()


def test_a_mask_of_another_shape_is_refused(pair):
    with pytest.raises(ValueError, match=r"need \(2, 1, 24, 20\)"):
        l2(*pair, torch.ones(2, 2, 24, 20))


def test_ssim_agrees_with_scikit_image_on_ab_scaled_to_one():
    """A constant frame of 6 pixels, so that how each pads its borders makes no difference."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.full((2, 1, 2, 40, 36), 12.0)
    x[..., 6:-6, 6:-6] += 60 * torch.randn(1, 2, 28, 24, generator=generator)
    y[..., 6:-6, 6:-6] = 0.5 * x[..., 6:-6, 6:-6] + 9
    scaled = [((ab[0].movedim(0, -1) + 128) / 255).double().numpy() for ab in (x, y)]
    _, full = structural_similarity(
        *scaled, data_range=1, channel_axis=-1, full=True, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False,
    )  # fmt: skip
    # float32 cancels in the variances of the flat frame: 4e-4 a pixel there, 5e-13 in float64
    assert ssim_loss(x, y).item() == pytest.approx(1 - full.mean(), abs=1e-4)


def test_ssim_stays_in_float32_under_autocast(pair):
    plain = ssim_loss(*pair)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = ssim_loss(*pair)
    assert mixed.dtype == torch.float32
    assert mixed.item() == plain.item()


def test_losses_of_bf16_predictions_are_computed_in_float32(pair):
    prediction = pair[0].bfloat16()
    for loss in LOSSES.values():
        assert loss(prediction, pair[1]).item() == loss(prediction.float(), pair[1]).item()


def test_ssim_refuses_pictures_smaller_than_its_window():
    with pytest.raises(ValueError, match="at least 11 x 11 pixels, got 8 x 20"):
        ssim_loss(torch.zeros(1, 2, 8, 20), torch.zeros(1, 2, 8, 20))


def test_a_switch_changes_at_its_epochs():
    switch = Switch({3: l2, 0: "l1", 5: "ssim"})
    assert [switch(e) for e in range(7)] == [l1] * 3 + [l2] * 2 + [ssim_loss] * 2


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({1: "l1"}, "no loss for epoch 0"),
        ({0: "mae"}, "no loss 'mae': take one of l2, l1, ssim"),
        ({0: "l1", -2: "l2"}, r"got \[-2\]"),
        ({0: "l1", 1.5: "l2"}, r"got \[1.5\]"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(schedule, message):
    with pytest.raises(ValueError, match=message):
        Switch(schedule)

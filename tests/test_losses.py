"""Losses against closed forms, NumPy and scikit-image."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from colorkit.losses import discriminator_loss, generator_loss, l1, l2, regression, ssim_loss
from colorkit.metrics import ssim

CRITERIA = [l2, l1, ssim_loss]


@pytest.fixture
def pair():
    return tuple(40 * torch.randn(2, 2, 24, 20) for _ in range(2))


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


@pytest.mark.parametrize("criterion", CRITERIA)
def test_an_exact_match_has_no_loss_and_a_finite_gradient(criterion, pair):
    prediction = pair[0].clone().requires_grad_()
    loss = criterion(prediction, pair[0])
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert prediction.grad.isfinite().all()


@pytest.mark.parametrize("criterion", CRITERIA)
def test_other_shapes_are_refused_instead_of_broadcast(criterion, pair):
    with pytest.raises(ValueError, match=r"\(2, 2, 24, 20\) and target \(2, 1, 24, 20\)"):
        criterion(pair[0], pair[1][:, :1])


@pytest.mark.parametrize("criterion", CRITERIA)
def test_bf16_is_compared_in_float32_also_under_autocast(criterion, pair):
    prediction = pair[0].bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = criterion(prediction, pair[1])
    assert mixed.dtype == torch.float32
    assert mixed.item() == criterion(prediction.float(), pair[1]).item()


@pytest.mark.parametrize("criterion", [l2, l1])
def test_the_gradient_keeps_the_order_in_memory(criterion, pair):
    """Else every convolution's backward pass would have to change it, and rounds differently."""
    prediction = pair[0].contiguous(memory_format=torch.channels_last).requires_grad_()
    (gradient,) = torch.autograd.grad(criterion(prediction, pair[1]), prediction)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_the_loss_by_ssim_is_what_the_metric_lacks_on_ab_scaled_to_one(pair):
    """The metric, which agrees with scikit-image, takes three channels: the third is alike."""
    x, y = (F.pad((ab / 2 + 128) / 255, (0, 0, 0, 0, 0, 1)) for ab in pair)
    expected = 1.5 * (1 - ssim(x, y).mean().item())
    assert ssim_loss(*(ab / 2 for ab in pair)).item() == pytest.approx(expected, abs=1e-5)


def test_ssim_refuses_pictures_smaller_than_its_window():
    with pytest.raises(ValueError, match=r"at least 11 x 11 pixels, got \(8, 20\)"):
        ssim_loss(torch.zeros(1, 2, 8, 20), torch.zeros(1, 2, 8, 20))


def test_a_regression_compares_what_the_model_gives():
    batch = torch.zeros(1, 1, 4, 4), torch.full((1, 2, 4, 4), 3.0)
    assert regression(l1)(torch.nn.Conv2d(1, 2, 1, bias=False), batch).item() == 3


# Against a discriminator


def test_both_players_losses_are_those_of_the_paper():
    true, fake = (torch.randn(3, 1, 5, 5).double() * 2 for _ in range(2))
    halves = [
        F.binary_cross_entropy(torch.sigmoid(true), torch.ones_like(true)),
        F.binary_cross_entropy(torch.sigmoid(fake), torch.zeros_like(fake)),
    ]
    torch.testing.assert_close(discriminator_loss(true, fake), sum(halves) / 2)
    torch.testing.assert_close(generator_loss(fake), -torch.sigmoid(fake).log().mean())


def test_the_generators_gradient_does_not_vanish_where_the_discriminator_is_sure():
    logits = torch.tensor([-30.0], requires_grad=True)
    generator_loss(logits).backward()
    assert float(logits.grad) == pytest.approx(-1)


def test_logits_in_bf16_are_judged_in_float32():
    logits = torch.zeros(4, dtype=torch.bfloat16)
    for loss in (discriminator_loss(logits, logits), generator_loss(logits)):
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(math.log(2))

"""Colorizers without training, against NumPy and against what is known of made worlds."""

import numpy as np
import pytest
import torch

from colorkit.color import out_of_gamut, rgb_to_lab, split_lab
from colorkit.models import (
    Colorizer,
    Gray,
    GroundTruth,
    MeanColor,
    MeanColorByLightness,
    NearestNeighbor,
    Oracle,
    RandomPicture,
)
from colorkit.worlds import orchard


def pictures(count, size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rgb = torch.rand(count, 3, size, size, generator=generator)
    return split_lab(rgb_to_lab(rgb))


@pytest.fixture
def training():
    L, ab = pictures(5)
    return [(L[:3], ab[:3]), (L[3:], ab[3:])]


class Vivid(Colorizer):
    def predict(self, L):
        return torch.tensor([90.0, -20.0]).view(1, 2, 1, 1).expand(len(L), 2, *L.shape[2:])


def test_colorize_fits_the_gamut_and_leaves_l_alone():
    L = torch.linspace(0, 100, 20 * 30).view(1, 1, 20, 30)
    before = L.clone()
    ab = Vivid().colorize(L)
    assert not out_of_gamut(L, ab).any()
    assert out_of_gamut(L, Vivid().predict(L)).any()
    assert torch.equal(L, before)
    colored = ab.norm(dim=1) > 1  # the hue is kept wherever there is a colour
    hues = torch.atan2(ab[:, 1], ab[:, 0])[colored]
    torch.testing.assert_close(hues, torch.full_like(hues, np.arctan2(-20, 90)))


@pytest.mark.parametrize(
    ("L", "error", "message"),
    [
        (torch.zeros(2, 8, 8), ValueError, r"must be \(N, 1, H, W\)"),
        (torch.zeros(1, 3, 8, 8), ValueError, "split_lab"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), TypeError, "torch.uint8"),
        (torch.full((1, 1, 8, 8), 140.0), ValueError, r"L must be in \[0, 100\]"),
        (np.zeros((1, 1, 8, 8)), TypeError, "ndarray"),
    ],
)
def test_what_is_no_lightness_is_refused(L, error, message):
    with pytest.raises(error, match=message):
        Gray().colorize(L)


def test_mean_color_is_the_mean_over_pixels(training):
    expected = torch.cat([ab for _, ab in training]).double().mean((0, 2, 3))
    found = MeanColor(training).predict(training[0][0])[0, :, 3, 3]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_mean_color_by_lightness_is_the_conditional_mean():
    L = torch.tensor([20.0, 20.2, 40.0, 40.0]).view(1, 1, 2, 2)
    ab = torch.tensor([[10.0, 30.0, 0.0, -8.0], [0.0, 0.0, 4.0, 4.0]]).view(1, 2, 2, 2)
    model = MeanColorByLightness([(L, ab)])
    asked = torch.tensor([0.0, 20.0, 29.9, 40.0, 100.0, 30.5]).view(1, 1, 1, 6)
    a, b = model.predict(asked)[0, :, 0].tolist()
    assert a[:2] == [20, 20]
    assert a[3:5] == [-4, -4]
    assert b == pytest.approx([0, 0, 0, 4, 4, 2], abs=1e-5)  # 30.5: halfway between 30 and 31
    assert a[5] == pytest.approx(8)


def test_a_random_picture_s_colors_are_repeatable_and_do_not_hang_on_the_batch(training):
    model = RandomPicture(training, seed=4)
    L, _ = pictures(12, seed=9)
    whole = model.colorize(L)
    torch.testing.assert_close(whole, torch.cat([model.colorize(x[None]) for x in L]))
    pool = torch.cat([ab for _, ab in training])
    draws = [(model.predict(x[None]) == pool).flatten(1).all(1).tolist() for x in L]
    assert all(sum(draw) == 1 for draw in draws)
    assert len({draw.index(True) for draw in draws}) > 1
    assert not torch.equal(model.predict(L), RandomPicture(training, seed=5).predict(L))


@pytest.mark.parametrize("make", [RandomPicture, NearestNeighbor])
def test_colors_of_another_size_are_resized(make, training):
    assert make(training).colorize(torch.full((2, 1, 40, 24), 50.0)).shape == (2, 2, 40, 24)


def test_nearest_neighbor_finds_a_training_picture_again(training):
    L, ab = training[1]
    noisy = (L + torch.randn(L.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 100)
    torch.testing.assert_close(NearestNeighbor(training).predict(noisy), ab)


@pytest.mark.parametrize("make", [MeanColor, MeanColorByLightness, RandomPicture, NearestNeighbor])
def test_no_training_pictures_is_an_error(make):
    with pytest.raises(ValueError, match="no training picture"):
        make(iter(()))


def test_truth_and_oracle_answer_for_each_picture_of_their_own_alone():
    world = orchard(6, 32, 1)
    order = [4, 0, 5]
    truth, oracle = GroundTruth(world.L, world.ab), Oracle(world)
    assert torch.equal(truth.predict(world.L[order]), world.ab[order])
    means = torch.cat([world.oracle_mean(i) for i in order])
    assert torch.equal(oracle.predict(world.L[order]), means)
    error = (oracle.colorize(world.L) - world.ab).square().mean()
    assert error < 0.6 * world.ab.square().mean()
    with pytest.raises(ValueError, match=r"picture 1 of the batch is none of the 6 .* flipped"):
        oracle.colorize(torch.cat([world.L[:1], world.L[:1].flip(-1)]))

"""Predicted probabilities of an object's colours, against a network that knows them."""

import pytest
import torch

from colorcourse.lesson04 import probabilities
from colorkit.bins import ab_bins, rebalancing_weights
from colorkit.metrics import nearest_bin
from colorkit.models import Gray
from colorkit.models.baselines import picture_key
from colorkit.objects import object_colors
from colorkit.worlds import orchard

SCALE, BINS = 2, ab_bins()


@pytest.fixture(scope="module")
def world():
    return orchard(12, 32, seed=5)


@pytest.fixture(scope="module")
def fruits(world):
    return object_colors(world, {"gray": Gray()})


class Knowing:
    """A classifier that predicts each thing's true probabilities, times weights of the bins."""

    scale, bins = SCALE, BINS

    def __init__(self, world, weights=None):
        weights = torch.ones(len(BINS)) if weights is None else weights
        self.found = {}
        for i in range(len(world)):
            side = world.L.shape[-1] // SCALE
            p = torch.zeros(len(BINS), side, side)
            p[BINS.norm(dim=1).argmin()] = 1
            for thing in world.posterior(i):
                middle = (..., slice(SCALE // 2, None, SCALE), slice(SCALE // 2, None, SCALE))
                where, ab = thing.visible[middle][0, 0], thing.ab[middle]
                p[:, where] = 0
                for colour, share in zip(ab, thing.probs.float(), strict=True):
                    number = nearest_bin(colour[None], BINS)[0][where]
                    p[number, where.nonzero()[:, 0], where.nonzero()[:, 1]] += share
            p = p * weights.view(-1, 1, 1)
            self.found[picture_key(world.L[i])] = p / p.sum(0)

    def distribution(self, L):
        return torch.stack([self.found[picture_key(x)] for x in L])


def test_a_network_that_knows_the_distribution_is_read_right(world, fruits):
    plain = probabilities.predicted(world, fruits, Knowing(world))
    assert all(abs(float(p.sum()) - 1) < 1e-4 for p in plain)
    # Two colours of a thing may share a bin where it is dark; then one of them gets both.
    variation = probabilities.total_variation(fruits, plain)
    assert variation.median() < 0.05
    assert variation.mean() < 0.15

    prior = torch.bincount(nearest_bin(world.ab, BINS).flatten(), minlength=len(BINS)) + 1.0
    weights = rebalancing_weights(prior / prior.sum(), 0.1)
    net = Knowing(world, weights)
    wanted = probabilities.rebalanced(world, fruits, net, weights)
    tilted = probabilities.predicted(world, fruits, net)
    assert probabilities.total_variation(fruits, tilted, wanted).median() < 0.05
    assert probabilities.total_variation(fruits, tilted).mean() > 0.1  # the weights matter


def test_one_colour_is_a_distribution_that_is_sure(fruits):
    sure = probabilities.of_one_colour(fruits, "truth")
    assert [int(p.argmax()) for p in sure] == fruits.table.drawn.tolist()
    gray = probabilities.of_one_colour(fruits, "gray")
    far = fruits.nearest("gray")[1] > 25  # none of the colours: the rest
    assert 0 < far.sum() < len(far)
    assert [bool(p[-1]) for p in gray] == far.tolist()


def test_total_variation_is_half_the_difference(fruits):
    rest = tuple(torch.cat([torch.zeros_like(p), p.new_ones(1)]) for p in fruits.probs)
    assert probabilities.total_variation(fruits, rest).eq(1).all()
    assert probabilities.total_variation(fruits, rest, rest).eq(0).all()

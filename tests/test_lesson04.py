"""What lesson 4 measures, against pictures whose answer is known."""

import pytest
import torch

from colorcourse.lesson04 import comparisons
from colorcourse.lesson04.recogniser import recognised_right, train_recogniser
from colorkit import models
from colorkit.batches import Batches
from colorkit.bins import ab_bins, pixel_weights, rebalancing_weights, soft_encode
from colorkit.evaluate import score_models, table
from colorkit.fit import fit
from colorkit.losses import Classification
from colorkit.objects import object_colors
from colorkit.worlds import orchard

BINS = ab_bins()


@pytest.fixture(scope="module")
def world():
    return orchard(80, 32, seed=5)


@pytest.fixture(scope="module")
def base():
    return Classification(BINS)


def small_net():
    torch.manual_seed(0)
    return models.Classifier(models.ResNetColorizer(18, None, width=4), BINS)


def test_the_recogniser_names_by_colour(world):
    recogniser = train_recogniser(world, steps=120)
    things = object_colors(world, {}, several=False)
    gray = torch.zeros_like(world.ab)
    named = recognised_right(recogniser, world, things, {"truth": world.ab, "gray": gray})
    assert len(named["truth"]) == len(things)
    assert named["truth"].mean() > 0.6 > named["gray"].mean() + 0.2


def test_rare_pixels_are_those_of_the_rarest_bins():
    bins = torch.tensor([[0.0, 0.0], [50.0, 0.0]])
    ab = torch.zeros(2, 2, 16, 16)
    ab[0, 0, 0] = 50.0  # 16 of 512 pixels
    L = torch.full((2, 1, 16, 16), 50.0) + torch.arange(2).view(2, 1, 1, 1)
    rivals = {"gray": models.Gray(), "truth": models.GroundTruth(L, ab)}
    frame = comparisons.rare_and_common(rivals, (L, ab), torch.tensor([496, 16]) / 512, bins)
    assert frame.loc["gray", ["rare", "common"]].tolist() == [0, 1]


def test_weights_that_were_reshaped_are_not_those_of_the_pixels(world):
    targets = soft_encode(world.ab[:4], BINS)
    p = torch.ones(len(BINS)).index_fill(0, BINS.norm(dim=1).argsort()[:40], 100.0)
    weights = rebalancing_weights(p / p.sum(), 0.5)
    right, wrong = pixel_weights(targets, weights), comparisons.reshaped_weights(targets, weights)
    assert right.shape == wrong.shape == (4, 1, 32, 32)
    assert set(wrong.unique().tolist()) <= set(weights.tolist())
    assert (right != wrong).float().mean() > 0.3
    flat = torch.ones(len(BINS))  # the mistake cannot be seen where all weights are alike
    assert torch.equal(pixel_weights(targets, flat), comparisons.reshaped_weights(targets, flat))


def test_weighted_with_the_usual_rule_is_classification(world, base):
    weights, net, batch = torch.linspace(0.5, 2, len(BINS)), small_net(), (world.L, world.ab)
    ours = comparisons.weighted(base, weights)(net, batch)
    usual = Classification(BINS, weights)(net, batch)
    assert ours.item() == pytest.approx(usual.item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(ours, net.head.bias)
    assert torch.allclose(gradient, torch.autograd.grad(usual, net.head.bias)[0], atol=1e-6)


def test_watching_does_not_change_the_run(world, base):
    pair = world.L[:16], world.ab[:16]
    runs = {}
    for name in ("watched", "alone"):
        net = small_net()
        watch = comparisons.Watch(base, pair, (world.L[16:24], world.ab[16:24]), every=2)
        fit(
            net, base, Batches(pair, 8, seed=1), 4, seed=1,
            callbacks=[watch] if name == "watched" else (),
        )  # fmt: skip
        runs[name] = net.state_dict()
        if name == "watched":
            frame = watch.frame()
            scores = table(score_models({"net": net}, [(world.L[16:24], world.ab[16:24])]))
    assert frame.index.tolist() == [2, 4]
    assert {"seen", "unseen"} < set(frame)
    for score in ("within_10", "colorfulness_ratio"):
        assert frame[score].iloc[-1] == pytest.approx(scores.loc["net", score], abs=1e-4)
    assert all(torch.equal(runs["watched"][key], value) for key, value in runs["alone"].items())

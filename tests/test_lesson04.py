"""What lesson 4 measures, against pictures whose answer is known."""

import pytest
import torch

from colorcourse.lesson04 import comparisons, figures
from colorcourse.lesson04.exercises import class_loss
from colorkit import models
from colorkit.bins import ab_bins, pixel_weights, rebalancing_weights, soft_encode
from colorkit.objects import object_colors
from colorkit.worlds import orchard
from colorkit.worlds.portrait_scenes import portraits

BINS = ab_bins()


@pytest.fixture(scope="module")
def world():
    return orchard(80, 32, seed=5)


def test_rare_pixels_are_those_of_the_rarest_bins():
    bins = torch.tensor([[0.0, 0.0], [50.0, 0.0]])
    ab = torch.zeros(2, 2, 16, 16)
    ab[0, 0, 0] = 50.0  # 16 of 512 pixels
    L = torch.full((2, 1, 16, 16), 50.0) + torch.arange(2).view(2, 1, 1, 1)
    rivals = {"gray": models.Gray(), "truth": models.GroundTruth(L, ab)}
    frame = comparisons.rare_and_common(rivals, (L, ab), torch.tensor([496, 16]) / 512, bins)
    assert frame.loc["gray"].tolist() == [0, 1]
    assert frame.loc["truth"].tolist() == [1, 1]


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
    fig = figures.weight_maps(world.L[:4], world.ab[:4], BINS, weights)
    labels = [text.get_text() for ax in fig.axes for text in ax.texts]
    assert labels == [f"A\nmean {wrong.mean():.2f}", f"B\nmean {right.mean():.2f}"]


def test_the_loss_of_the_exercise_is_that_of_the_library(world):
    torch.manual_seed(0)
    net = models.Classifier(models.UNet(4, 2), BINS, scale=2)
    pair, weights = (world.L[:8], world.ab[:8]), torch.linspace(0.5, 2, len(BINS))
    frame = comparisons.beside_the_library(class_loss, net, pair, BINS, weights)
    assert frame["loss in nats"].diff().abs().iloc[1] < 0.01
    losses = comparisons.riddle(lambda *_: "yours", BINS, torch.ones(len(BINS)))
    assert losses["B"](net, pair) == "yours"
    equal = class_loss(net.eval(), *pair, BINS, torch.ones(len(BINS)))
    assert losses["A"](net, pair).item() == pytest.approx(equal.item(), abs=0.01)


def test_heads_keep_their_colour_in_truth_and_gray_ones_without_colour():
    faces = portraits(60, 32, seed=3)
    rivals = {"not rebalanced": models.GroundTruth(faces.L, faces.ab), "rebalanced": models.Gray()}
    frame, answer = comparisons.kept_by_two(faces, rivals)
    assert frame["not rebalanced"].eq(1).all()
    assert frame.rebalanced["brown hair"] == frame.rebalanced["blond hair"] == 0
    assert frame.rebalanced["gray hair"] > 0.9
    assert answer == ("about as many" if frame.rebalanced["black hair"] > 0.9 else "fewer")
    assert len(comparisons.heads(faces, "black", "gray", count=2)) == 4


def test_frequencies_of_the_truth_are_about_those_of_the_world(world):
    rivals = {"truth": [world.ab], "gray": [0 * world.ab]}
    rivals["one draw per picture"] = rivals["truth"]
    predicted = [torch.tensor([0.5, 0.3, 0.1, 0.1])] * len(object_colors(world, {}).table)
    frame = comparisons.frequencies(world, rivals, {"classes": predicted})
    assert frame.loc["predicted"].tolist() == pytest.approx([0.5, 0.3, 0.1, 0.1])
    assert frame.loc["the world"].tolist() == pytest.approx([0.5, 0.3, 0.2, 0])
    assert frame.loc["truth", "none of these"] == 0
    assert frame.loc["truth", "red"] == pytest.approx(0.5, abs=0.25)
    assert frame.loc["gray", "none of these"] == 1


def test_the_recorded_study_says_how_it_was_made_and_shows_what_the_lesson_says():
    frame = comparisons.recorded()
    assert "seeds 0 to 4" in frame.attrs["about"]
    by = frame.groupby(["data", "measure", "lambda"]).value
    low, high = by.min(), by.max()
    assert by.count().eq(5).all()
    assert low["orchard", "rare", 0.5] > high["orchard", "rare", 1.0]
    assert high["orchard", "common", 0.5] < low["orchard", "common", 1.0]
    assert high["90/10", "black hair", 0.5] == high["50/50", "black hair", 0.5] == 0
    mean = by.mean().round(2)
    assert list(mean["orchard"]) == [0.35, 0.44, 0.54, 0.28, 0.23, 0.01]
    assert list(mean["90/10"][["brown hair", "tone 5"]]) == [0.95, 0.42, 0.03, 0]
    assert list(mean["50/50"][["tone 2", "tone 5"]]) == [0.16, 0.91, 0.95, 0.52]

"""What lesson 5 measures, against networks, colours and bears whose answer is known."""

import copy
import math

import pandas as pd
import pytest
import torch
from torch import nn

from colorcourse.exercises import find
from colorcourse.lesson05 import bears, comparisons
from colorkit.data.pictures import Pictures
from colorkit.losses import generator_loss, l1
from colorkit.models import GroundTruth, Oracle, PatchDiscriminator, UNet
from colorkit.worlds import orchard


def test_the_ruler_of_brown_passes_true_bears_and_fails_green_at_any_brightness():
    table = bears.ruler_table(4, 32, 1)
    assert (table["brown"] == 1).all()
    assert table["its true colours"].to_dict() == {"brown bear": 1, "polar bear": 0, "boulder": 0}
    assert (table[["moss green", "gray"]] == 0).all(axis=None)


def test_bears_that_keep_their_colour_are_told_from_those_of_no_bear():
    world = bears.crossed(4, 32, 2)["polar bear", "bright", "snow"]
    assert set(bears.verdicts(world, world.ab)) == {"its own colour"}
    assert set(bears.verdicts(world, bears.colour_of(world, "moss"))) == {"neither"}
    other = bears.crossed(4, 32, 2)["boulder", "bright", "snow"]
    ground = world.kind_map == world.kinds.index("sky")
    assert torch.equal(world.L[ground], other.L[ground])  # all but the object is the same


class OfTruth(nn.Module):
    """Answers whether ab is the true one; its weight is there to be trained."""

    def __init__(self, ab):
        super().__init__()
        self.ab, self.weight = ab, nn.Parameter(torch.ones(1))

    def forward(self, L, ab):
        off = (ab - self.ab[: len(L)]).abs().mean((1, 2, 3), keepdim=True)
        return self.weight * (1 - off)


def test_instruments_know_a_perfect_discriminator_and_change_no_player():
    world = orchard(6, 32, 3)
    torch.manual_seed(0)
    G, D = UNet(4, 2), OfTruth(world.ab)
    before = copy.deepcopy(G.state_dict())
    readings = comparisons.instruments(G, D, (world.L, world.ab), 0.5)
    assert (readings["right"], readings["gray"]) == (1.0, 1.0)
    assert all(torch.equal(value, before[name]) for name, value in G.state_dict().items())
    assert all(p.grad is None for p in (*G.parameters(), *D.parameters()))


def test_the_share_is_that_of_both_gradients_and_falls_with_lambda():
    torch.manual_seed(0)
    L, ab = 100 * torch.rand(2, 1, 32, 32), 20 * torch.randn(2, 2, 32, 32)
    made = torch.zeros_like(ab).requires_grad_()
    loss = generator_loss(PatchDiscriminator(4, 16)(L, made))
    pull = torch.autograd.grad(loss, made, retain_graph=True)[0].norm().item()
    shares = []
    for lam in (0.01, 0.1, 1.0):
        shares.append(comparisons.gradient_share(made, loss, l1(made, ab), lam))
        hold = lam / ab.numel() ** 0.5  # each of n absolute values has a gradient of 1 / n
        assert shares[-1] == pytest.approx(pull / (pull + hold), rel=1e-3)
    assert shares == sorted(shares, reverse=True)


def test_the_truth_chooses_as_the_colours_occur_and_the_oracle_does_not():
    world = orchard(150, 32, 4)
    pair = (world.L, world.ab)
    pictures = Pictures(pair, pair, pair, {"test": world})
    frame = comparisons.judged({"known": GroundTruth(*pair), "oracle": Oracle(world)}, pictures)
    assert frame.possible["known"] > 0.98 > 0.6 > frame.possible["oracle"]
    assert frame.l1["known"] == pytest.approx(0, abs=1e-3)
    assert frame.red["known"] == pytest.approx(0.5, abs=0.15)
    often = comparisons.chosen_by({"oracle": Oracle(world)}, pictures)
    assert often.groupby("kind").sum().to_numpy() == pytest.approx(1.0, abs=1e-5)
    assert comparisons.by_kind({"oracle": Oracle(world)}, pictures).oracle["apple"] == 0
    assert comparisons.colour_names(pictures)["apple", 2] == "yellow"


@pytest.mark.parametrize(
    ("low", "left"),
    [((0.3, 0, 0.1), "nothing"), ((0.3, 0.1, 0.1), "a part"), ((0.3, 0.1, 0), "prac")],
)
def test_what_is_left_over_the_control_is_told_by_the_intervals(low, left):
    assert comparisons.part_left(pd.DataFrame({"low": low})).startswith(left)


def test_the_toy_plays_with_the_losses_that_it_is_given(capsys):
    losses = [find(f"adversarial.{x}_loss").reference for x in ("discriminator", "generator")]
    kept = comparisons.play_toy(*losses, 40, 0)
    assert list(kept) == list(range(0, 41, 2))
    assert kept[0].losses[0] == pytest.approx(0.69, abs=0.1)
    assert "toy_between" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("study", "seeds", "rows"),
    [("losses", 5, 12), ("starts", 3, 4), ("lambdas", 3, 3), ("bears", 5, 12)],
)
def test_recorded_studies_are_whole_and_say_how_they_were_made(study, seeds, rows):
    frame = comparisons.recorded(study)
    assert frame.groupby("seed").size().tolist() == [rows] * seeds
    assert "64 x 64 pixels" in frame.attrs["about"]


def test_the_recorded_games_give_most_apples_the_colour_in_between_and_none_the_most_frequent():
    study = comparisons.recorded("losses")
    game, control = (study[study.model == m].set_index("seed") for m in ("GAN", "control"))
    assert game.red.max() < 0.05 < 0.5 < game.yellow.min()
    assert (game.l1 - control.l1).between(0.3, 0.5).all()


@pytest.mark.parametrize(
    ("state", "changed"),
    [
        ("healthy", {}),
        ("discriminator is never updated", {"loss_D": math.log(2), "gray": 0.52}),
        ("healthy", {"loss_D": math.log(2), "gray": 0.62}),  # nearly beaten, and has learned
        ("lam masks the discriminator", {"share": 0.01}),
        ("labels swapped for the generator", {"loss_G": 2.1, "adversarial": 2.2}),
        ("discriminator has won", {"loss_G": 5.0}),
    ],
)
def test_a_game_is_named_by_what_its_generator_really_minimised(state, changed):
    row = {"right": 0.57, "gray": 0.7, "share": 0.3, "adversarial": 0.9, "pixel": 10.0}
    row |= {"loss_D": 0.63, "loss_G": 2.9} | changed
    assert comparisons.state_of([row] * 6, lam=0.2)[0] == state

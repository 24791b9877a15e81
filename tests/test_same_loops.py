"""The new loops train as the old ones do, bit for bit: while both are there."""

import warnings

import pytest
import torch

from colorkit import losses
from colorkit.batches import Batches
from colorkit.fit import fit
from colorkit.gan import fit_gan
from colorkit.models import PatchDiscriminator, UNet
from colorkit.training import adversarial, objectives
from colorkit.training import fit as old
from colorkit.training.options import Options
from colorkit.worlds import orchard


@pytest.fixture(scope="module")
def world():
    return orchard(64, 32, 0)


def players():
    torch.manual_seed(0)
    return UNet(8, 3), PatchDiscriminator(8, 16)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.values(), other.values(), strict=True))


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle", "constant"])
def test_forty_steps_give_the_same_losses(world, schedule):
    (ours, _), (theirs, _) = players(), players()
    data, held_out = Batches(world, 8, seed=1), Batches(world, 10, in_order=True)
    options = {"lr": 3e-3, "schedule": schedule, "precision": "float32"}
    new = fit(ours, losses.regression(losses.l2), data, 40, **options, callbacks=(),
              validation=held_out)  # fmt: skip
    run = old.fit(theirs, objectives.Regression(losses.l2), data, Options(steps=40, **options),
                  callbacks=(), validation=held_out)  # fmt: skip
    for column in ("loss", "validation"):
        values = [row[column] for row in new.history if column in row]
        assert values == pytest.approx(run.history.curve(column)[1], rel=1e-6)
    assert same(ours.state_dict(), theirs.state_dict())


@pytest.mark.parametrize(
    ("schedule", "turns"),
    [
        ("both", {}),
        ("alternate", {"turns": ("D", "G")}),
        ("critic_every_k", {"turns": ("GD", "G")}),
        ("nogan", {"first": ("D",)}),
    ],
)
def test_two_players_end_with_the_same_weights(world, schedule, turns):
    data, ours, theirs = Batches(world, 8, seed=1), players(), players()
    options = {"lr": 2e-3, "schedule": "cosine", "precision": "float32", "log_every": 3}
    rules = adversarial.Rules(schedule=schedule, pretrain=0, lam=0.2, critic_lr=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new = fit_gan(*ours, data, 40, lam=0.2, discriminator_lr=1e-3, callbacks=(), **options,
                      **turns)  # fmt: skip
        run = adversarial.fit_adversarial(*theirs, data, Options(steps=40, **options), rules,
                                          callbacks=())  # fmt: skip
    for column in ("loss", "adversarial", "pixel", "accuracy", "share", "variety", "gray"):
        values = [row[column] for row in new.history]
        assert values == pytest.approx(run.history.curve(column)[1], rel=1e-6)
    for one, other in zip(ours, theirs, strict=True):
        assert same(one.state_dict(), other.state_dict())

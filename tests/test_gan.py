"""The loop for two players: what it computes, resumes, and warns of."""

import math
import re
import warnings
from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from colorkit.batches import Batches
from colorkit.fit import Diverged, fit
from colorkit.gan import GanWarning, fit_gan
from colorkit.losses import l2
from colorkit.models import ImageDiscriminator, PatchDiscriminator, UNet
from tests.training_demo import Crash, Net, crash_at, mse, pictures, rows, same_weights, train_gan

pytestmark = pytest.mark.usefixtures("one_thread")
TURNS = {  # options, and who trains in the first three epochs
    "both": ({}, "GD GD GD"),
    "alternate": ({"turns": ("D", "G"), "pixel": torch.nn.L1Loss()}, "D G D"),
    "every second epoch": ({"turns": ("GD", "G")}, "GD G GD"),
    "discriminator first": ({"first": ("D",)}, "D GD GD"),
}


def test_a_run_equals_the_loop_that_anyone_would_write():
    torch.manual_seed(0)
    players = [Net(norm=False, dropout=0.0), ImageDiscriminator(4)]
    copies = [Net(norm=False, dropout=0.0).double(), ImageDiscriminator(4).double()]
    for one, other in zip(copies, players, strict=True):
        one.load_state_dict(other.state_dict())
    data = Batches(pictures(), 6)
    options = {"lr": 1e-3, "discriminator_lr": 4e-4, "lam": 0.3, "precision": "float64"}
    run = fit_gan(*players, data, 9, **options, callbacks=(), device="cpu")
    net, judge = copies
    of_net, of_judge = (
        torch.optim.AdamW(network.parameters(), lr, betas=(0.5, 0.999))
        for network, lr in ((net, 1e-3), (judge, 4e-4))
    )
    cross_entropy, right = F.binary_cross_entropy_with_logits, []
    for step in range(9):
        L, ab = (plane.double() for plane in list(data(step // 4, 0))[step % 4])
        fake = net(L)
        true_logits, fake_logits = judge(L, ab), judge(L, fake.detach())
        right.append(((true_logits > 0).float().mean() + (fake_logits <= 0).float().mean()) / 2)
        one, zero = torch.ones_like(true_logits), torch.zeros_like(true_logits)
        of_judge.zero_grad()
        ((cross_entropy(true_logits, one) + cross_entropy(fake_logits, zero)) / 2).backward()
        torch.nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
        of_judge.step()
        of_net.zero_grad()
        (cross_entropy(judge(L, fake), one) + 0.3 * F.l1_loss(fake, ab)).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        of_net.step()
    for mine, theirs in zip(players, copies, strict=True):
        assert not mine.training
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    assert [row["accuracy"] for row in run.history] == pytest.approx([float(x) for x in right])


def test_the_share_is_that_of_the_gradients_at_the_generators_output():
    torch.manual_seed(0)
    net, discriminator = UNet(2, 1, batch_norm=False), ImageDiscriminator(4)
    before = [p.detach().clone() for p in discriminator.parameters()]
    data = Batches(pictures(6), 6)
    L, ab = next(data())
    fake = net(L).detach().requires_grad_()
    (pull,) = torch.autograd.grad(F.softplus(-discriminator(L, fake)).mean(), fake)
    (hold,) = torch.autograd.grad(0.01 * l2(fake, ab), fake)
    run = fit_gan(
        net, discriminator, data, 1, lam=0.01, pixel=l2, callbacks=(), device="cpu",
        discriminator_lr=0.0, precision="float32",  # so that it is the same afterwards
    )  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(before, discriminator.parameters(), strict=True))
    expected = float(pull.norm() / (pull.norm() + hold.norm()))
    assert run.history[0]["share"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("turns", TURNS)
def test_a_run_that_broke_off_ends_with_the_same_weights(tmp_path, turns):
    options, _ = TURNS[turns]
    whole = train_gan(steps=20, **options)
    for step in (2, 6, 11, 17):
        with pytest.raises(Crash):
            train_gan(tmp_path, steps=20, callbacks=[crash_at(step)], **options)
    run = train_gan(tmp_path, steps=20, **options)
    assert same_weights(run, whole)
    assert rows(run) == rows(whole)
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == ["history.csv", "last.pt"]


@pytest.mark.parametrize("turns", TURNS)
def test_who_trains_in_an_epoch(turns):
    options, expected = TURNS[turns]
    weights = []

    def remember(run):
        players = run.parts["model"].last.weight, run.parts["discriminator"].layers[-1].bias
        weights.append([w.detach().clone() for w in players])

    run = train_gan(steps=12, log_every=1, callbacks=[remember], **options)
    told = [expected.split()[epoch] for epoch in (0, 1, 2) for _ in range(4)]  # 24 pictures, by 5
    assert [row["players"] for row in run.history] == told
    moved = [
        "".join(p for p, x, y in zip("GD", one, other, strict=True) if not torch.equal(x, y))
        for one, other in pairwise(weights)
    ]
    assert moved == told[1:]


def test_what_cannot_be_trained_is_refused(tmp_path):
    class Broken(ImageDiscriminator):
        def forward(self, L, ab):
            return super().forward(L, ab) * math.nan

    with pytest.raises(Diverged, match="'discriminator_loss': nan"):
        train_gan(discriminator=Broken(2))
    with pytest.raises(ValueError, match=r"'G', 'D' and 'GD', not \(\) and \('GG',\)"):
        train_gan(turns=("GG",))
    train_gan(tmp_path, steps=4)
    with pytest.raises(ValueError, match=r"lam was 0\.2, is now 0\.5"):
        train_gan(tmp_path, steps=4, lam=0.5)
    with pytest.raises(ValueError, match="of another run"):
        fit(Net(), mse, Batches(pictures(), 5), 4, callbacks=(), folder=tmp_path, resume=True)


# The five signs


def sick(steps=144, *, generator=None, discriminator=None, **options):
    """What a run of 48 steps an epoch warned of, in the run and in Python's way."""
    torch.manual_seed(0)
    players = generator or Net(), discriminator or PatchDiscriminator(8, 16)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = fit_gan(*players, Batches(pictures(192, 16), 4), steps, log_every=4, callbacks=(),
                      device="cpu", precision="float32", **options)  # fmt: skip
    said = [str(w.message) for w in caught if issubclass(w.category, GanWarning)]
    assert said == list(run.warnings.values())
    return run.warnings


def test_a_discriminator_that_is_made_to_win_is_named_within_one_epoch():
    said = sick(48, discriminator=ImageDiscriminator(8), lr=1e-7, discriminator_lr=5e-3, lam=0.0)
    assert list(said) == ["won"]
    assert re.search(r"has won: (9\d|100)% of its answers are right", said["won"])


class Blind(ImageDiscriminator):
    """Answers by L alone, so it knows no colour."""

    def forward(self, L, ab):
        return super().forward(L, 0 * ab)


class Truth(Net):
    """Gives the true colours, by heart."""

    def forward(self, L):
        index = (self.L - L[:, None]).abs().sum((2, 3, 4)).argmin(1)
        return self.ab[index] + 0 * super().forward(L)


class Grayish(Net):
    def forward(self, L):
        return 0 * super().forward(L)


def test_a_dead_discriminator_is_told_from_a_beaten_one():
    dead = sick(discriminator=Blind(4), lr=1e-6, discriminator_lr=1e-3)
    assert "dead" in dead
    assert "beaten" not in dead
    net, discriminator = Truth(), ImageDiscriminator(8)
    planes = next(Batches(pictures(192, 16), 192, in_order=True)())
    net.L, net.ab = (torch.cat([x, x.flip(-1)]) for x in planes)
    sick(96, generator=Grayish(), discriminator=discriminator, discriminator_lr=5e-3, lam=0.0)
    beaten = sick(generator=net, discriminator=discriminator, discriminator_lr=1e-6)
    assert "dead" not in beaten
    assert "on true against gray, so it works and is fooled" in beaten["beaten"]


def test_a_generator_that_ignores_its_input_is_named():
    class Constant(Net):
        def forward(self, L):
            return super().forward(0 * L)

    said = sick(generator=Constant(norm=False, dropout=0.0), lam=0.0)
    assert "they hardly depend on L" in said["collapsed"]


def test_a_lambda_that_masks_the_discriminator_is_named_once_also_in_a_resumed_run(tmp_path):
    with pytest.raises(Crash), pytest.warns(GanWarning, match="lam masks"):
        train_gan(tmp_path, steps=150, lam=1000.0, callbacks=[crash_at(140)])
    with warnings.catch_warnings():
        warnings.simplefilter("error", GanWarning)
        run = train_gan(tmp_path, steps=150, lam=1000.0)
    assert "Lower lam" in run.warnings["masked"]
    assert "masked" not in sick(lam=0.01)

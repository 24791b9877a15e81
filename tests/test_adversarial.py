"""Critics, GAN losses and the game: what they compute, resume, and warn of."""

import math
import os
import re
import subprocess
import sys
import time
import warnings
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from colorkit.adversarial import GAN_LOSSES, gan_loss
from colorkit.batches import Batches
from colorkit.losses import l1, l2
from colorkit.models import ImageDiscriminator, PatchDiscriminator, UNet
from colorkit.training import checkpoint
from colorkit.training.adversarial import (
    SCHEDULES,
    Game,
    GameWarning,
    Limits,
    Rules,
    fit_adversarial,
)
from colorkit.training.fit import Diverged, fit
from colorkit.training.history import History
from colorkit.training.objectives import Regression
from colorkit.training.options import Options
from tests.training_demo import Net, pictures, play

ROOT = Path(__file__).parents[1]
CRITICS = [
    ImageDiscriminator(4),
    PatchDiscriminator(4, 16),
    PatchDiscriminator(4, 34),
    PatchDiscriminator(4, 70),
]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# Critics


@pytest.mark.parametrize("field", [16, 34, 70])
def test_a_logit_depends_on_just_its_field(field):
    torch.manual_seed(0)
    critic = PatchDiscriminator(2, field)
    L, ab = torch.rand(1, 1, 160, 160) * 100, torch.randn(1, 2, 160, 160).requires_grad_()
    logits = critic(L, ab)
    middle = logits.shape[2] // 2
    logits[0, 0, middle, middle].backward()
    rows, columns = ab.grad.abs().sum((0, 1)).nonzero().unbind(1)
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == field


def test_patches_are_laid_out_as_in_pix2pix():
    layers = [x for x in PatchDiscriminator().layers if isinstance(x, torch.nn.Conv2d)]
    assert [(x.out_channels, x.kernel_size[0], x.stride[0]) for x in layers] == [
        (64, 4, 2),
        (128, 4, 2),
        (256, 4, 2),
        (512, 4, 1),
        (1, 4, 1),
    ]
    assert (
        PatchDiscriminator(1)(torch.zeros(1, 1, 256, 256), torch.zeros(1, 2, 256, 256)).shape[2]
        == 30
    )


@pytest.mark.parametrize("size", [(1, 1), (17, 40), (64, 64)])
def test_a_critic_of_the_whole_gives_one_number_that_any_pixel_can_change(size):
    torch.manual_seed(0)
    ab = torch.randn(2, 2, *size).requires_grad_()
    logits = ImageDiscriminator(8)(torch.full((2, 1, *size), 50.0), ab)
    assert logits.shape == (2, 1, 1, 1)
    logits[1].sum().backward()
    assert (ab.grad[1].abs().sum(0) > 0).all()
    assert (ab.grad[0] == 0).all()


@pytest.mark.parametrize("kind", [ImageDiscriminator, PatchDiscriminator])
def test_a_critic_sees_what_it_is_told_to(kind):
    L, ab = torch.rand(1, 1, 32, 32) * 100, torch.randn(1, 2, 32, 32) * 20
    for sees, differs in (("ab", False), ("Lab", True)):
        critic = kind(4, sees=sees)
        assert torch.equal(critic(L, ab), critic(100 - L, ab)) is not differs
        assert not torch.equal(critic(L, ab), critic(L, -ab))


def test_what_a_critic_cannot_judge_is_refused():
    L, ab = torch.zeros(1, 1, 16, 16), torch.zeros(1, 2, 16, 16)
    with pytest.raises(ValueError, match="one of ab, Lab, not 'L'"):
        ImageDiscriminator(sees="L")
    with pytest.raises(ValueError, match="one of 16, 34, 70, not 32"):
        PatchDiscriminator(field=32)
    with pytest.raises(ValueError, match=r"at least 24 x 24 pixels, got 16 x 16"):
        PatchDiscriminator(2)(L, ab)
    with pytest.raises(ValueError, match=r"ab \(1, 2, 16, 8\) does not belong"):
        ImageDiscriminator(2)(L, ab[..., :8])


@pytest.mark.parametrize("critic", CRITICS, ids=lambda c: f"{type(c).__name__}")
def test_the_first_losses_are_those_of_knowing_nothing(critic):
    L, ab = torch.rand(4, 1, 32, 32) * 100, torch.randn(4, 2, 32, 32) * 20
    with torch.no_grad():
        true, fake = critic(L, ab), critic(L, torch.zeros_like(ab))
    assert float(gan_loss("cross-entropy").critic(true, fake)) == pytest.approx(
        math.log(2), abs=0.15
    )


# Losses


def independent(name, true, fake, smooth):
    """The three pairs of losses, from the papers' formulas."""
    if name == "cross-entropy":
        labels = torch.full_like(true, 1 - smooth)
        halves = [
            F.binary_cross_entropy(torch.sigmoid(true), labels),
            F.binary_cross_entropy(torch.sigmoid(fake), torch.zeros_like(fake)),
        ]
        return sum(halves) / 2, -torch.sigmoid(fake).log().mean()
    if name == "least-squares":
        halves = [F.mse_loss(true, torch.full_like(true, 1 - smooth)), (fake**2).mean()]
        return sum(halves) / 2, 0.5 * ((fake - 1) ** 2).mean()
    halves = [-torch.minimum(torch.zeros(()), x - 1).mean() for x in (true, -fake)]
    return sum(halves) / 2, -fake.mean()


@pytest.mark.parametrize("name", GAN_LOSSES)
@pytest.mark.parametrize("smooth", [0.0, 0.1])
def test_losses_are_those_of_the_papers(name, smooth):
    generator = torch.Generator().manual_seed(0)
    true, fake = (torch.randn(3, 1, 5, 5, generator=generator).double() * 2 for _ in range(2))
    if name == "hinge" and smooth:
        with pytest.raises(ValueError, match="no labels to smooth"):
            gan_loss(name).critic(true, fake, smooth)
        return
    critic, generated = independent(name, true, fake, smooth)
    torch.testing.assert_close(gan_loss(name).critic(true, fake, smooth), critic)
    torch.testing.assert_close(gan_loss(name).generator(fake), generated)


def test_the_generators_gradient_does_not_vanish_where_the_critic_is_sure():
    logits = torch.tensor([-30.0], requires_grad=True)
    gan_loss("cross-entropy").generator(logits).backward()
    assert float(logits.grad) == pytest.approx(-1)


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_logits_in_bf16_are_judged_in_float32(name):
    logits = torch.full((4,), 0.5, dtype=torch.bfloat16)
    loss = gan_loss(name)
    assert loss.critic(logits, logits).dtype == loss.generator(logits).dtype == torch.float32


def test_a_loss_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="no GAN loss 'wasserstein'"):
        gan_loss("wasserstein")


# The game


def equal(one, other):
    return all(
        torch.equal(a, b)
        for x, y in ((one.model, other.model), (one.game.network, other.game.network))
        for a, b in zip(x.state_dict().values(), y.state_dict().values(), strict=True)
    )


def without_time(run):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.history.rows]


class Crash(Exception):
    pass


class CrashAt:
    def __init__(self, step):
        self.step = step

    def stepped(self, run):
        if run.step == self.step:
            raise Crash


def test_a_game_equals_the_loop_that_anyone_would_write():
    torch.manual_seed(0)
    players = [Net(norm=False, dropout=0.0), ImageDiscriminator(4)]
    copies = [Net(norm=False, dropout=0.0), ImageDiscriminator(4)]
    for one, other in zip(copies, players, strict=True):
        one.load_state_dict(other.state_dict())
    data = Batches(pictures(), 6)
    options = Options(steps=9, lr=1e-3, clip=None, schedule="constant", precision="float32")
    rules = Rules(lam=0.3, critic_lr=4e-4, smooth=0.1)
    run = fit_adversarial(*players, data, options, rules, callbacks=(), device="cpu")
    net, critic = copies
    rates = ((net, 1e-3), (critic, 4e-4))
    optimizers = [torch.optim.AdamW(m.parameters(), lr, betas=(0.5, 0.999)) for m, lr in rates]
    right = []
    for step in range(9):
        L, ab = list(data(step // 4, 0))[step % 4]
        fake = net(L)
        true_logits, fake_logits = critic(L, ab), critic(L, fake.detach())
        right.append(((true_logits > 0).float().mean() + (fake_logits <= 0).float().mean()) / 2)
        optimizers[1].zero_grad()
        sure = torch.full_like(true_logits, 0.9)
        loss = F.binary_cross_entropy_with_logits(true_logits, sure)
        loss = loss + F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(sure))
        (loss / 2).backward()
        optimizers[1].step()
        logits = critic(L, fake)
        adversarial = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
        optimizers[0].zero_grad()
        (adversarial + 0.3 * F.l1_loss(fake, ab)).backward()
        optimizers[0].step()
    for mine, theirs in zip(players, copies, strict=True):
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert run.history.curve("accuracy")[1] == pytest.approx([float(x) for x in right], abs=1e-6)
    gradients = torch.cat([p.grad.flatten() for p in net.parameters()])
    assert run.history.rows[-1]["generator_norm"] == pytest.approx(float(gradients.norm()), 1e-3)


def test_the_share_is_that_of_the_gradients_at_the_generators_output():
    torch.manual_seed(0)
    net, critic = UNet(2, 1, batch_norm=False), ImageDiscriminator(4)
    L, ab = next(Batches(pictures(), 6)(0, 0))
    fake = net(L).detach().requires_grad_()
    (pull,) = torch.autograd.grad(F.softplus(-critic(L, fake)).mean(), fake)
    (pixel,) = torch.autograd.grad(0.01 * l2(fake, ab), fake)
    run = fit_adversarial(
        net,
        critic,
        lambda epoch, start: [(L, ab)],
        Options(steps=1, precision="float32"),
        Rules(lam=0.01, pixel="l2", critic_lr=1e-12),  # so that the critic is the same afterwards
        callbacks=(),
        device="cpu",
    )
    expected = float(pull.norm() / (pull.norm() + pixel.norm()))
    assert run.history.rows[0]["share"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("step", [2, 6, 11, 17])
def test_a_game_that_broke_off_ends_with_the_same_weights(tmp_path, schedule, step):
    whole = play(schedule=schedule, steps=20)
    with pytest.raises(Crash):
        play(tmp_path, schedule=schedule, steps=20, callbacks=[CrashAt(step)])
    run = play(tmp_path, schedule=schedule, steps=20)
    assert equal(run, whole)
    assert without_time(run) == without_time(whole)
    assert run.game.watch == whole.game.watch


def test_killed_in_an_alternation_a_game_ends_with_the_same_weights(tmp_path):
    log = tmp_path / "steps.txt"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.training_demo", str(tmp_path), "game"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    while process.poll() is None and (not log.exists() or log.stat().st_size < 60):
        time.sleep(0.002)
    process.kill()
    assert process.wait() not in (0, None)
    run = play(tmp_path, schedule="alternate", steps=100)
    assert equal(run, play(schedule="alternate", steps=100))


def test_in_an_alternation_one_player_trains_and_the_other_waits():
    weights = []

    class Remember:
        def stepped(self, run):
            pair = (run.model.last.weight, run.game.network.layers[-1].bias)
            weights.append([w.detach().clone() for w in pair])

    run = play(schedule="alternate", steps=12, callbacks=[Remember()])
    moved = [
        [not torch.equal(a, b) for a, b in zip(one, other, strict=True)]
        for one, other in pairwise(weights)
    ]
    epoch = [step // 4 for step in range(1, 12)]  # 24 pictures, 5 a batch
    assert moved == [[e % 2 == 1, e % 2 == 0] for e in epoch]
    at = {row["step"]: set(row) for row in run.history.rows}
    assert "critic_norm" in at[3]
    assert "generator_norm" not in at[3]
    assert "generator_norm" in at[6]  # of steps 4 to 6, of which the last two are its own


def test_schedules_give_turns():
    rules = Rules(k=3, pretrain=2, pretrain_critic=1)
    turns = {name: [turn(e, rules)[:2] for e in range(4)] for name, turn in SCHEDULES.items()}
    g, c, both = (True, False), (False, True), (True, True)
    assert turns == {
        "both": [both] * 4,
        "alternate": [c, g, c, g],
        "critic_every_k": [both, g, g, both],
        "nogan": [g, g, c, both],
    }


def test_nogan_starts_as_fit_by_the_pixel_loss():
    torch.manual_seed(1)
    net = Net()
    data, options = Batches(pictures(), 6), Options(steps=8)
    torch.manual_seed(1)
    other = Net()
    fit(other, Regression(l1), data, options, callbacks=(), device="cpu")
    rules = Rules(schedule="nogan", pretrain=2, lam=0.1, beta1=0.9)
    run = fit_adversarial(
        net, ImageDiscriminator(2), data, options, rules, callbacks=(), device="cpu"
    )
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert run.history.curve("accuracy") == ([], [])


def test_the_history_and_the_checkpoint_hold_both_players(tmp_path):
    run = play(tmp_path, steps=12)
    read = History.read_csv(tmp_path / "history.csv")
    assert read == run.history
    assert set(Game.columns) <= set(read.rows[-1])
    net, state = Net(), checkpoint.load(tmp_path / "last.pt")
    checkpoint.load_weights(tmp_path / "last.pt", net)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), run.model.parameters()))  # noqa: B905
    assert state["game"]["critic"].keys() == run.game.network.state_dict().keys()
    assert sorted(x.name for x in tmp_path.iterdir()) == ["best.pt", "history.csv", "last.pt"]
    assert not run.game.network.training


def test_another_game_is_not_taken_up(tmp_path):
    play(tmp_path, steps=4)
    with pytest.raises(checkpoint.CheckpointError, match=r"rules\.lam was 0\.2, is now 0\.5"):
        play(tmp_path, steps=4, rules={"lam": 0.5})
    data, options = Batches(pictures(), 5), Options(steps=4)
    with pytest.raises(checkpoint.CheckpointError, match="other options"):
        fit(Net(), Regression(l1), data, options, callbacks=(), folder=tmp_path, resume=True)


@pytest.mark.parametrize("clip", [0.5, None])
def test_clipping_and_norms_are_of_each_player(clip):
    run = play(steps=3, log_every=1, clip=clip)
    rows = run.history.rows
    assert all(row["generator_norm"] > 0 and row["critic_norm"] > 0 for row in rows)


def test_bf16_keeps_losses_and_weights_in_float32():
    run = play(steps=4, precision="bf16")
    assert all(p.dtype == torch.float32 for p in run.game.network.parameters())
    assert 0.5 < run.history.rows[0]["critic_loss"] < 0.9


def test_a_critic_that_gives_no_number_ends_the_run():
    class Broken(ImageDiscriminator):
        def forward(self, L, ab):
            return super().forward(L, ab) * math.nan

    with pytest.raises(Diverged, match="loss is nan at step 0"):
        fit_adversarial(
            Net(),
            Broken(2),
            Batches(pictures(), 6),
            Options(steps=3),
            callbacks=(),
            device="cpu",
        )


def test_a_critic_that_cannot_take_the_pictures_is_described():
    with pytest.raises(ValueError, match=r"\(6, 1, 8, 8\).*at least 24 x 24"):
        fit_adversarial(
            Net(),
            PatchDiscriminator(2),
            Batches(pictures(), 6),
            Options(steps=3),
            callbacks=(),
            device="cpu",
        )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"schedule": "never"}, "both, alternate, critic_every_k, nogan"),
        ({"loss": "lsgan"}, "no GAN loss 'lsgan'"),
        ({"pixel": "l3"}, "no loss 'l3'"),
        ({"loss": "hinge", "smooth": 0.1}, "no labels to smooth"),
        ({"lam": -1.0}, "lam is 0 or more"),
        ({"critic_lr": 0.0}, "critic_lr is above 0"),
        ({"k": 0}, "k is 1 or more"),
    ],
)
def test_rules_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Rules(**wrong)


# The watch


def sick(epochs=1, *, net=None, critic=None, lr=1e-3, steps=8, log_every=4, **rules):
    """A game on 48 steps an epoch; what it warned of, in the run and in Python's way."""
    torch.manual_seed(0)
    data = Batches(pictures(192, 16), 4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = fit_adversarial(
            net or Net(),
            critic or PatchDiscriminator(8, 16),
            data,
            Options(steps=epochs * len(data), lr=lr, schedule="constant", log_every=log_every),
            Rules(**rules),
            limits=Limits(steps=steps, won_steps=12),
            callbacks=(),
            device="cpu",
        )
    said = [str(w.message) for w in caught if issubclass(w.category, GameWarning)]
    assert said == list(run.game.watch.warnings.values())
    return run, run.game.watch.warnings


def test_a_critic_that_is_made_to_win_is_named_within_one_epoch():
    run, said = sick(critic=ImageDiscriminator(8), lr=1e-7, critic_lr=5e-3, lam=0.0)
    assert run.step == 48
    assert list(said) == ["won"]
    assert re.search(r"the critic has won: (9\d|100)% of its answers are right", said["won"])


class Blind(ImageDiscriminator):
    """Answers by L alone, so it knows no colour."""

    def forward(self, L, ab):
        return super().forward(L, 0 * ab)


def test_a_dead_critic_is_told_from_a_beaten_one():
    _, dead = sick(critic=Blind(4), lr=1e-6, critic_lr=1e-3, lam=0.9)
    assert "dead" in dead
    assert "beaten" not in dead

    class Truth(Net):
        """Gives the true colours, by heart."""

        def forward(self, L):
            index = (self.L - L[:, None]).abs().sum((2, 3, 4)).argmin(1)
            return self.ab[index] + 0 * super().forward(L)

    net = Truth()
    planes = next(Batches(pictures(192, 16), 192, in_order=True)(0, 0))
    net.L, net.ab = (torch.cat([x, x.flip(-1)]) for x in planes)

    class Grayish(Net):
        def forward(self, L):
            return 0 * super().forward(L)

    critic = ImageDiscriminator(8)
    sick(2, net=Grayish(), critic=critic, critic_lr=5e-3, lam=0.0)
    _, beaten = sick(net=net, critic=critic, critic_lr=1e-6)
    assert "beaten" in beaten
    assert "dead" not in beaten
    assert "on true against gray, so it works and is fooled" in beaten["beaten"]


def test_a_generator_that_ignores_its_input_is_named():
    class Constant(Net):
        def forward(self, L):
            return super().forward(0 * L)

    _, said = sick(net=Constant(norm=False, dropout=0.0), lam=0.0)
    assert "collapsed" in said
    assert "they hardly depend on L" in said["collapsed"]


def test_a_lambda_that_masks_the_critic_is_named():
    _, said = sick(lam=1000.0)
    assert "masked" in said
    assert "Lower lam" in said["masked"]
    _, said = sick(lam=0.01)
    assert "masked" not in said


def test_a_warning_comes_once_also_in_a_run_that_is_resumed(tmp_path):
    game = {"steps": 60, "rules": {"lam": 1000.0}, "limits": Limits(steps=10)}
    with pytest.raises(Crash), pytest.warns(GameWarning, match="lam masks"):
        play(tmp_path, callbacks=[CrashAt(45)], **game)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = play(tmp_path, **game)
    assert not [w for w in caught if "masks" in str(w.message)]
    assert "masked" in run.game.watch.warnings


def test_the_live_plot_shows_the_game():
    from colorkit.training.progress import LivePlot, summary

    run = play(steps=12)
    figure = LivePlot().figure(run)
    labels = [line.get_label() for ax in figure.axes for line in ax.lines]
    assert "critic's accuracy" in labels
    assert "accuracy" in summary(run.history.rows[-1])

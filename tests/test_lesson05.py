"""What lesson 5 measures, against networks, colours and bears whose answer is known."""

import math

import pytest
import torch
from torch import nn

from colorcourse.exercises import find
from colorcourse.lesson05 import bears, comparisons
from colorcourse.lesson05.quiz import Quiz, show_quiz
from colorkit.color import max_chroma
from colorkit.losses import l2
from colorkit.models import Oracle
from colorkit.models.colorizer import Colorizer
from colorkit.objects import object_colors
from colorkit.plots import plt
from colorkit.worlds import bears as draw_bears
from colorkit.worlds import orchard

HUE = math.radians(62)  # of a brown bear


class ByLightness(Colorizer):
    """Paints what is dark as brown as a brown bear, and all else gray."""

    def predict(self, L):
        ab = torch.zeros(len(L), 2, *L.shape[2:])
        brown = 0.46 * max_chroma(L, torch.tensor(HUE).expand_as(L)) * (L < 60)
        ab[:, :1], ab[:, 1:] = brown * math.cos(HUE), brown * math.sin(HUE)
        return ab


def test_brownness_is_one_on_brown_bears_and_nought_on_gray():
    world = draw_bears(30, 32, 1, kind="brown")
    where = bears.bear_masks(world)
    assert where.any((1, 2, 3)).all()
    brown = bears.brownness(world.ab, world.L, where)
    assert brown.median() == pytest.approx(1.0, abs=0.12)  # a fifth of them is cinnamon
    assert bears.brownness(torch.zeros_like(world.ab), world.L, where).abs().max() == 0


def test_the_factorial_finds_what_a_network_follows():
    frame = bears.factorial(ByLightness(), 3, 32, 2)
    assert len(frame) == 3 * (3 * 2**4 + 2**3)  # every combination once
    assert not frame.duplicated([*bears.FACTORS, "picture"]).any()
    effects = bears.effects(frame)
    bright = effects.loc["brightness: bright, not dark"]
    assert bright.high < -0.3  # some fur of a bright bear lies in shadow, below L = 60
    others = effects.difference.drop("brightness: bright, not dark")
    others = others[~others.index.str.startswith("shape: nothing")]
    assert others.abs().max() < 0.35 * abs(bright.difference)


def test_only_a_discriminator_of_pairs_tells_colours_of_another_picture():
    class Pairs(nn.Module):
        def __init__(self, sees):
            super().__init__()
            self.sees, self.unused = sees, nn.Parameter(torch.zeros(1))

        def forward(self, L, ab):
            belongs = (L[:, :1, :1, :1] == ab[:, :1, :1, :1]).float() - 0.5
            return belongs if self.sees else torch.ones_like(belongs)

    L = torch.rand(6, 1, 4, 4) * 100
    ab = L.expand(-1, 2, -1, -1).clone()
    for sees, right in ((True, 1.0), (False, 0.5)):
        told = comparisons.tells(Pairs(sees), (L, ab), {"another's": ab.roll(1, 0)})
        assert told["another's"] == right


def test_shares_fall_with_lambda_and_leave_no_gradient():
    world = orchard(4, 32, 3)

    class Net(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.layer = nn.Conv2d(channels, 2, 3, padding=1)

        def forward(self, L, ab=None):
            return self.layer(L / 100 if ab is None else torch.cat([L, ab], 1) / 100)

    torch.manual_seed(0)
    generator, discriminator = Net(1), Net(3)
    losses = (lambda logits: nn.functional.softplus(-logits).mean(), l2)
    share = find("adversarial.lambda_share").reference
    frame = comparisons.shares(
        generator, discriminator, (world.L, world.ab), losses, (0.001, 0.1, 10.0), share
    )
    for column in frame:
        assert frame[column].is_monotonic_decreasing
        assert frame[column].between(0, 1).all()
    assert all(p.grad is None for net in (generator, discriminator) for p in net.parameters())


def test_the_truth_chooses_as_the_dice_do_and_the_oracle_does_not():
    world = orchard(150, 32, 4)
    things = object_colors(world, {"oracle again": Oracle(world)})
    chosen = comparisons.chosen(things, ["truth", "oracle"])
    assert chosen.groupby("kind").sum().to_numpy() == pytest.approx(1.0, abs=1e-5)
    off = comparisons.frequency_error(chosen)
    assert off["truth"] < 0.15 < 0.4 < off["oracle"]
    assert comparisons.possible(things, "truth").mean() > 0.98
    assert comparisons.possible(things, "oracle").mean() < 0.5


def pairs(count):
    return [(torch.full((1, 3, 4, 4), 0.2 * k), torch.ones(1, 3, 4, 4)) for k in range(count)]


def test_a_quiz_counts_right_answers_and_knows_its_interval():
    quiz = Quiz(pairs(5), seed=1)
    with pytest.raises(ValueError, match="'left' or 'right', not 'up'"):
        quiz.answer("up")
    assert len(set(quiz.original_left)) == 2
    while not quiz.done:
        left, _ = quiz.shown()
        quiz.answer("left" if bool((left == 1).all()) else "right")
    assert quiz.verdict() == (  # Wilson: from n / (n + z²)
        "5 of 5 right; the share lies in 57% to 100%. You can tell them apart."
    )
    with pytest.raises(ValueError, match="all 5 pairs are answered"):
        quiz.answer("left")


def test_quiz_buttons_lead_to_the_verdict(monkeypatch):
    shown, open_before = [], plt.get_fignums()
    monkeypatch.setattr("colorcourse.lesson05.quiz.in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    quiz = Quiz(pairs(2))
    show_quiz(quiz)
    assert "Pair 1" in shown[0]["text/html"]
    import ipywidgets

    view = shown[0]["application/vnd.jupyter.widget-view+json"]["model_id"]
    box = ipywidgets.widgets.widget._instances[view]
    words, picture, row = box.children
    for _ in quiz.pairs:
        assert not row.children[0].disabled
        row.children[0].click()
    assert "of 2 right" in words.value
    assert picture.value == ""
    assert row.children[0].disabled
    assert plt.get_fignums() == open_before

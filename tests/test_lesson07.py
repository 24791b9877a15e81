"""What lesson 7 measures, against draws whose distribution is known."""

import pytest
import torch

from colorcourse.lesson07 import figures, studies
from colorcourse.lesson07.exercises import count_colours
from colorkit import flow
from colorkit.models import Gray, Oracle, ResNetColorizer
from colorkit.objects import object_colors
from colorkit.worlds import orchard

pytestmark = pytest.mark.usefixtures("figures_closed")


@pytest.fixture(scope="module")
def world():
    return orchard(60, 32, seed=5)


@pytest.fixture(scope="module")
def known(world):
    return studies.known_draws(world, 64, seed=1)


def test_draws_from_the_known_distribution_are_true_coherent_and_average_to_the_oracle(
    world, known
):
    objects = object_colors(world, {})
    often = studies.by_kind(
        world, {"known": known, "gray": studies.answers(Gray(), world)}, count_colours
    )
    assert often.groupby("kind").sum().to_numpy() == pytest.approx(1.0, abs=1e-5)
    off = studies.total_variation(often)
    assert off.known["mean"] < 0.05 < 0.9 < off.gray["mean"]
    assert studies.variation_of_objects(objects, known, count_colours).mean() < 0.1
    within, same = studies.coherence(world, known)
    assert within == pytest.approx(1, abs=1e-3)
    table = objects.table.assign(alike=[(p @ p).item() for p in objects.probs])
    pairs = table.groupby(["picture", "kind"]).alike.agg(["first", "size"])
    number = pairs["size"] * (pairs["size"] - 1) / 2
    assert same == pytest.approx((pairs["first"] * number).sum() / number.sum(), abs=0.05)
    many = studies.of_many(world, known, (1, 4, 64))
    assert many["mean to oracle"].is_monotonic_decreasing
    assert many["mean to oracle"][64] < 6
    assert many["best to truth"][64] < 0.1


def test_independent_pixels_are_neither_coherent_nor_possible(world, known):
    mixed = torch.where(torch.rand(64, len(world), 1, 32, 32) < 0.5, known, known.roll(1, 0))
    assert studies.coherence(world, mixed).within < 0.9
    assert studies.coherence(world, studies.answers(Gray(), world)).same > 0.99
    one = studies.answers(Oracle(world), world)
    assert studies.of_many(world, one, (1,))["mean to oracle"][1] < 1
    objects = object_colors(world, {})
    best = torch.stack([1 - p.max() for p in objects.probs])
    alone = studies.variation_of_objects(objects, one, count_colours)
    assert (alone >= best - 1e-5).all()  # no single answer is nearer to a distribution


def test_numbers_are_learnt_by_the_loss_and_one_step_ends_at_their_mean(capsys):
    velocity = studies.learn_numbers(flow.velocity_loss, 300, 0)
    ends = studies.drawn_numbers(velocity, flow.euler, (1, 50), 0)
    assert studies.where_one_step_ends(ends) == "all near the mean of the data"
    assert ends["right hill"]["50 steps"] == pytest.approx(0.3, abs=0.08)
    assert "toy_right_hill" in capsys.readouterr().out


def test_quality_is_measured_over_a_setting_and_the_setting_comes_back(world):
    torch.manual_seed(0)
    eyes = ResNetColorizer(encoder_width=4, width=2)
    net, few = flow.FlowColorizer(eyes, width=8, steps=3), studies.first(world, 4)
    assert torch.equal(few.L, world.L[:4])
    table = studies.over("steps", (1, 2), net, few, count_colours, 2, 0)
    assert table.index.tolist() == [1, 2]
    assert table["total variation"].between(0, 1).all()
    with pytest.raises(ZeroDivisionError):
        studies.over("steps", (1, 2), net, few, lambda *arguments: 1 / 0, 2, 0)
    assert net.steps == 3
    drawn = studies.draws(net, few, 2, 0)
    assert torch.equal(drawn, studies.draws(net, few, 2, 0))
    assert not torch.equal(drawn, studies.drawn_in(1, net, few, 2, 0))


def test_hints_are_where_the_apples_are_and_the_rest_is_counted(world):
    eyes = ResNetColorizer(encoder_width=4, width=2)
    net = flow.FlowColorizer(eyes, width=8)

    def everywhere(velocity, x, known, mask, steps, times):
        assert velocity(x, torch.zeros(len(x))).shape == x.shape
        assert mask.sum() in (0, 8 * 4 * 4)
        return known.expand_as(x)

    table = studies.apples_under_hints(net, world, everywhere, count_colours, 2, 0)
    for times in (1, 4):
        followed = table.loc[times].loc[["red", "green", "yellow"]].to_numpy().diagonal()
        assert followed == pytest.approx(1.0)


def test_going_back_in_time_keeps_the_noise_that_belongs_to_it():
    noise, data = flow.noise_like(torch.zeros(400, 2, 16, 16)), torch.full((400, 2, 16, 16), 3.0)
    later, _ = flow.interpolate(noise, data, torch.full((400,), 0.5))
    earlier, x = torch.full((400,), 0.25), studies.back(later, 0.5, 0.25)
    wanted, _ = flow.interpolate(flow.noise_like(data), data, earlier)
    assert x.mean().item() == pytest.approx(wanted.mean().item(), abs=0.02)
    assert x.std().item() == pytest.approx(wanted.std().item(), rel=0.03)
    last = studies.back(data, 1.0, 0.25)
    assert last.std().item() == pytest.approx(wanted.std().item(), rel=0.03)


def test_figures_are_drawn(world):
    few = studies.first(world, 2)
    assert len(figures.possible_colourings(few, 3, 0).axes) == 2 * 4
    assert figures.lines(flow.interpolate, 0).axes[0].lines
    straight = lambda x, t: torch.ones_like(x)  # noqa: E731
    panels = figures.paths(straight, flow.euler, (1, 3), 0).axes
    assert [len(ax.lines[0].get_xdata()) for ax in panels if ax.lines] == [2, 4]

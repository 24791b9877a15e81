"""The instruments of the clinic of games tell its faults apart, on three seeds."""

import math

import pytest
import torch

from colorcourse.lesson05.clinic import (
    FAULTS,
    HEALTHY,
    WARDS,
    diagnose,
    examine,
    plot_charts,
    readings,
)
from colorkit.plots import plt

SEEDS = range(3)


@pytest.fixture(scope="module")
def charts():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield {(letter, seed): examine(letter, seed) for letter in WARDS for seed in SEEDS}
    torch.set_num_threads(threads)


def test_every_fault_has_one_ward_and_one_is_healthy():
    assert sorted(WARDS.values()) == sorted([*FAULTS, HEALTHY])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("letter", WARDS)
def test_the_chart_names_the_fault(charts, letter, seed):
    assert diagnose(charts[letter, seed]) == WARDS[letter]


def test_readings_lie_a_factor_apart(charts):
    def of(fault, column):
        letter = next(k for k, name in WARDS.items() if name == fault)
        return [charts[letter, seed].late(column) for seed in SEEDS]

    healthy = {x: of(HEALTHY, x) for x in ("share", "adversarial", "accuracy", "gray")}
    assert max(of("lam masks the critic", "share")) < 0.1 * min(healthy["share"])
    swapped = "labels swapped for the generator"
    assert max(of(swapped, "adversarial")) < 0.5 * min(healthy["adversarial"])
    assert max(of(swapped, "critic_loss")) < 0.5  # both fall, though the critic is not fooled
    won = "critic has won"
    assert min(of(won, "adversarial")) > 3 * max(healthy["adversarial"])
    assert 1 - min(of(won, "accuracy")) < 0.5 * (1 - max(healthy["accuracy"]))
    assert min(of(won, "share")) > 0.1  # lam masks nothing here
    dead = "critic is never updated"
    assert max(of(dead, "gray")) < 0.65 < min(healthy["gray"])
    untaught, taught = (
        [abs(x - math.log(2)) for x in of(f, "critic_loss")] for f in (dead, HEALTHY)
    )
    assert max(untaught) < 0.2 * min(taught)
    assert all(0.55 < x < 0.92 for x in healthy["accuracy"])


def test_nothing_fails_and_no_warning_names_the_fault(recwarn):
    state = torch.get_rng_state()
    chart = examine("A", steps=20)
    assert not recwarn.list
    assert torch.equal(torch.get_rng_state(), state)
    again = examine("A", steps=20)
    assert [row["loss"] for row in again.rows] == [row["loss"] for row in chart.rows]


def test_figure_and_table_have_a_column_a_ward(charts):
    first = {letter: charts[letter, 0] for letter in WARDS}
    figure = plot_charts(first)
    assert len(figure.axes) == 5 * len(WARDS)
    plt.close(figure)
    table = readings(first)
    assert list(table.columns) == list(WARDS)
    assert not table.isna().any().any()


def test_an_unknown_ward_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"no ward 'Z'.*A, B"):
        examine("Z")

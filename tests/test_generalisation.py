"""The instruments of the second clinic tell its faults apart, on three seeds."""

import pytest

from colorcourse.lesson03.clinic import (
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
    return {(letter, seed): examine(letter, seed) for letter in WARDS for seed in SEEDS}


def test_every_fault_has_one_ward_and_one_is_healthy():
    assert sorted(WARDS.values()) == sorted([*FAULTS, HEALTHY])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("letter", WARDS)
def test_the_chart_names_the_fault(charts, letter, seed):
    assert diagnose(charts[letter, seed]) == WARDS[letter]


def test_readings_leave_room_between_faulty_and_healthy(charts):
    def of(fault):
        letter = next(k for k, name in WARDS.items() if name == fault)
        return [charts[letter, seed] for seed in SEEDS]

    healthy = of(HEALTHY)
    assert max(c.validation / c.test for c in of("leaked validation set")) < 0.8 * min(
        c.validation / c.test for c in healthy
    )
    assert min(c.moved for c in of("batch norm in training mode")) > 2
    assert all(c.moved < 1e-3 for c in healthy)
    assert max(c.kinds for c in of("sorted, not shuffled")) < 0.6 * min(c.kinds for c in healthy)
    assert all(c.hue_off < 1e-3 and c.misplaced < 1e-3 for c in healthy)
    assert all(c.hue_off < 1e-3 < c.misplaced for c in of("L flipped, ab not"))


def test_the_batch_is_shown_beside_the_store_where_hues_were_changed(charts):
    letter = next(k for k, name in WARDS.items() if name == "colour jitter")
    chart = charts[letter, 0]
    assert (chart.batch - chart.stored).abs().mean() > 0.05


def test_figure_and_table_have_a_column_a_ward(charts):
    first = {letter: charts[letter, 0] for letter in WARDS}
    figure = plot_charts(first)
    assert len(figure.axes) == 3 * len(WARDS)
    plt.close(figure)
    assert list(readings(first).columns) == list(WARDS)


def test_an_unknown_ward_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"no ward 'Z'.*A, B"):
        examine("Z")

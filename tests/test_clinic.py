"""The instruments of the three clinics tell their faults apart, on two seeds, with room."""

import math

import pytest
import torch

from colorcourse.clinic import HEALTHY
from colorcourse.lesson02 import clinic as lesson02
from colorcourse.lesson02.clinic import training_clinic
from colorcourse.lesson03.clinic import data_clinic
from colorcourse.lesson05.clinic import gan_clinic
from colorkit.data.pictures import photograph
from colorkit.plots import plt

SEEDS = range(2)
PICTURE = photograph("astronaut", 32).permute(0, 2, 3, 1).contiguous()
CLINICS = {training_clinic: (PICTURE,), data_clinic: (), gan_clinic: ()}  # and what a run takes
IDS = ["training", "data", "gan"]


def diagnosed(clinic, *faults, options=None):
    """The logs of each fault, a seed each, once it is known that they name it.

    `options` are for those faults that fewer steps show as well.
    """
    logs = {
        fault: [
            clinic.run(fault, *CLINICS[clinic], seed=seed, **(options or {}).get(fault, {}))
            for seed in SEEDS
        ]
        for fault in (*clinic.symptoms, *faults)
    }
    named = {fault: [clinic.diagnosis(log) for log in logs[fault]] for fault in logs}
    assert named == {fault: [fault] * len(SEEDS) for fault in logs}
    return logs


def of(logs, fault, value):
    return [value(log) for log in logs[fault]]


def test_logs_name_the_broken_line_with_room():
    logs = diagnosed(training_clinic, HEALTHY)

    def highest(log):
        return max(log.losses)

    healthy = logs[HEALTHY]
    growth = of(logs, "zero_grad not called", lambda log: log.norm_growth)
    assert min(growth) > 10 * max(log.norm_growth for log in healthy)
    high = of(logs, "target scaled, prediction not", lambda log: log.high)
    assert max(high) < 0.2 * min(log.high for log in healthy)
    assert min(of(logs, "learning rate too high", highest)) > 100 * max(map(highest, healthy))
    assert min(of(logs, "ReLU on the output", lambda log: log.low)) >= 0
    assert max(log.low for log in healthy) < -10
    assert set(of(logs, "optimizer of another model", lambda log: log.changed)) == {0.0}
    assert min(log.changed for log in healthy) > 0.5


def test_logs_name_what_is_wrong_with_data_and_judging_with_room():
    by_their_batches = ("colour jitter", "L flipped, ab not", "sorted, not shuffled")
    logs = diagnosed(data_clinic, options={key: {"steps": 20} for key in by_their_batches})

    def optimism(log):
        return log.validation / log.test

    healthy = logs[HEALTHY]
    assert max(of(logs, "leaked validation set", optimism)) < 0.8 * min(map(optimism, healthy))
    assert min(of(logs, "batch norm in training mode", lambda log: log.moved)) > 2
    assert all(log.moved < 1e-3 for log in healthy)
    kinds = of(logs, "sorted, not shuffled", lambda log: log.kinds)
    assert max(kinds) < 0.6 * min(log.kinds for log in healthy)
    assert all(log.hue_off < 1e-3 and log.misplaced < 1e-3 for log in healthy)
    assert all(of(logs, "L flipped, ab not", lambda log: log.hue_off < 1e-3 < log.misplaced))


def test_logs_of_adversarial_trainings_name_the_fault_with_room():
    logs = diagnosed(gan_clinic)

    def late(fault, column):
        return [log.late(column) for log in logs[fault]]

    healthy = {x: late(HEALTHY, x) for x in ("share", "adversarial", "accuracy", "gray")}
    assert max(late("lam masks the discriminator", "share")) < 0.1 * min(healthy["share"])
    swapped, won = "labels swapped for the generator", "discriminator has won"
    assert max(late(swapped, "adversarial")) < 0.5 * min(healthy["adversarial"])
    assert max(late(swapped, "discriminator_loss")) < 0.5  # both fall, though it is not fooled
    assert min(late(won, "adversarial")) > 3 * max(healthy["adversarial"])
    assert 1 - min(late(won, "accuracy")) < 0.5 * (1 - max(healthy["accuracy"]))
    assert min(late(won, "share")) > 0.1  # lam masks nothing here
    dead = "discriminator is never updated"
    assert max(late(dead, "gray")) < 0.65 < min(healthy["gray"])
    untaught, taught = (
        [abs(x - math.log(2)) for x in late(fault, "discriminator_loss")]
        for fault in (dead, HEALTHY)
    )
    assert max(untaught) < 0.2 * min(taught)
    assert all(0.55 < x < 0.92 for x in healthy["accuracy"])


@pytest.mark.parametrize(("clinic", "arguments"), CLINICS.items(), ids=IDS)
def test_figure_and_table_have_a_column_a_run_and_runs_repeat_themselves(
    clinic, arguments, recwarn
):
    assert sorted(clinic.runs.values()) == sorted(clinic.symptoms)
    state = torch.get_rng_state()
    logs = {letter: clinic.log(letter, *arguments, steps=30) for letter in clinic.runs}
    assert torch.equal(torch.get_rng_state(), state)
    assert not recwarn.list  # a warning would name the fault
    figure = clinic.figure(logs)
    assert len(figure.axes) == len(clinic.rows) * len(logs)
    figure.canvas.draw()
    plt.close(figure)
    table = clinic.readings(logs)
    assert list(table.columns) == list(clinic.runs)
    assert not table.isna().any().any()
    assert clinic.log("A", *arguments, steps=30).readings() == logs["A"].readings()


def test_a_mended_program_reads_like_the_healthy_one_and_no_other_line_or_run_is_known():
    line = lesson02.PROGRAM[7]
    log = training_clinic.log("A", PICTURE, (8, line), steps=20)
    healthy = training_clinic.run(HEALTHY, PICTURE, steps=20)
    assert log.losses == pytest.approx(healthy.losses, rel=1e-2)
    with pytest.raises(ValueError, match="no line 99"):
        training_clinic.log("A", PICTURE, (99, line))
    with pytest.raises(ValueError, match=r"no run 'Z'.*A, B"):
        data_clinic.log("Z")

"""The instruments tell the clinic's faults apart, on three seeds, with room on both sides."""

import pytest
import torch

from colorcourse.lesson02 import clinic
from colorcourse.lesson02.clinic import FAULTS, HEALTHY, PATIENTS, diagnose, examine, source, treat
from colorkit.data.photographs import photograph


@pytest.fixture(scope="module")
def picture():
    return photograph("astronaut", 32).permute(0, 2, 3, 1).contiguous()


@pytest.fixture(scope="module")
def charts(picture):
    return {
        (letter, seed): examine(picture, letter, seed=seed)
        for letter in (None, *PATIENTS)
        for seed in range(3)
    }


def test_every_fault_has_one_patient():
    assert sorted(p.fault for p in PATIENTS.values()) == sorted(FAULTS)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("letter", [None, *PATIENTS])
def test_the_chart_names_the_fault(charts, letter, seed):
    expected = PATIENTS[letter].fault if letter else HEALTHY
    assert diagnose(charts[letter, seed]) == expected


def of(charts, fault):
    letter = next((k for k, p in PATIENTS.items() if p.fault == fault), None)
    return [chart for (name, _), chart in charts.items() if name == letter]


def test_readings_of_different_patients_lie_far_apart(charts):
    healthy = of(charts, HEALTHY)
    assert min(c.norm_growth for c in of(charts, "zero_grad forgotten")) > 10 * max(
        c.norm_growth for c in healthy
    )
    assert max(c.high for c in of(charts, "target scaled, prediction not")) < 0.2 * min(
        c.high for c in healthy
    )
    assert min(max(c.losses) for c in of(charts, "learning rate too high")) > 100 * max(
        max(c.losses) for c in healthy
    )
    assert all(c.low >= 0 for c in of(charts, "ReLU on the output"))
    assert max(c.low for c in healthy) < -10
    assert {c.changed for c in of(charts, "optimizer of another model")} == {0.0}
    assert min(c.changed for c in healthy) > 0.5


def test_batches_as_pictures_show_what_was_done_to_the_data(charts):
    truth = of(charts, HEALTHY)[0].batch
    swapped = of(charts, "a and b swapped")[0].batch
    scrambled = of(charts, "NHWC read as NCHW")[0].batch
    assert (swapped - truth).abs().mean() > 0.02
    assert (scrambled - truth).abs().mean() > 2 * (swapped - truth).abs().mean()


def test_patients_differ_from_the_healthy_program_in_one_line():
    for letter, patient in PATIENTS.items():
        differ = [
            n for n, (a, b) in enumerate(zip(source(), source(letter), strict=True), 1) if a != b
        ]
        assert differ == [patient.number]


def test_the_mended_program_reads_like_the_healthy_one(picture, charts):
    for letter, patient in list(PATIENTS.items())[:2]:
        cure = (patient.number, clinic.PROGRAM[patient.number - 1])
        chart = examine(picture, letter, cure)
        assert chart.losses == pytest.approx(charts[None, 0].losses, rel=1e-2)


def test_examining_leaves_the_random_state_alone(picture):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    examine(picture, steps=2)
    assert torch.equal(torch.rand(3), expected)


def test_a_program_that_stops_is_named_and_left_out(picture, capsys):
    table = {"A": ("", 8, "optimizer.zero_gard()"), "G": ("", 6, "prediction = net(L)")}
    assert list(treat(picture, table)) == ["G"]
    assert "patient A stops with AttributeError" in capsys.readouterr().out


def test_unknown_patients_and_lines_are_refused():
    with pytest.raises(ValueError, match="no patient 'Z': choose from A, B"):
        source("Z")
    with pytest.raises(ValueError, match="no line 99"):
        source("A", (99, "pass"))

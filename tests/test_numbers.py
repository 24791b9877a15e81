"""Sentences, recorded numbers, their ranges and what was measured hold together."""

import math
import re
import tomllib
from itertools import product

import pytest

from colorcourse.checkout import lesson_ids
from colorcourse.recording import EXPECTED, expected_bounds
from scripts.spread import FEWEST, bounds, expected, read_table
from tests.conftest import ROOT

LESSONS = lesson_ids(ROOT)


def outcomes(lesson: str) -> list[dict]:
    """The sentences of a lesson that state an outcome: number, phrase, low and high."""
    path = ROOT / "tests" / "outcomes" / f"{lesson}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))["outcome"]


def prose(lesson: str) -> str:
    """The source with white space folded, cells' comment signs and joints of strings removed."""
    source = (ROOT / "solutions" / f"{lesson}.py").read_text(encoding="utf-8")
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    return " ".join(re.sub(r"^# ?", "", source, flags=re.MULTILINE).split())


@pytest.mark.parametrize("lesson", LESSONS)
def test_sentences_stand_in_the_lesson_and_ranges_stay_within_what_they_say(lesson):
    ranges, text = expected_bounds(lesson, "laptop", "cpu"), prose(lesson)
    printed = (ROOT / "solutions" / f"{lesson}.ipynb").read_text(encoding="utf-8")
    for outcome in outcomes(lesson):
        assert " ".join(outcome["phrase"].split()) in text
        asked = outcome.get("low", -math.inf), outcome.get("high", math.inf)
        low, high = ranges[outcome["number"]]
        assert asked != (-math.inf, math.inf)
        assert asked[0] <= low <= high <= asked[1], outcome
        assert f"{low:g} to {high:g}" in printed, "run the lesson again, or write the ranges before"
    # A number exists because a sentence leans on it; other profiles take other numbers of steps.
    assert set(ranges) == {outcome["number"] for outcome in outcomes(lesson)}
    kinds = {re.sub(r"\d+", "N", key) for key in ranges}
    for profile in ("ci", "gpu"):
        assert {re.sub(r"\d+", "N", k) for k in expected_bounds(lesson, profile, "cpu")} <= kinds


def test_every_range_holds_what_was_seen_and_is_not_much_wider():
    reasons = set()  # (lesson, profile, number) of each range with a reason in its line
    for section in EXPECTED.read_text(encoding="utf-8").split("\n[")[1:]:
        by_hand = re.findall(r"^(\w+) = \[.*\] *# \w", section, re.MULTILINE)
        reasons |= {(*section.partition("]")[0].split(".")[:2], number) for number in by_hand}
    table, expected_of = read_table(), {}
    for row in table.itertuples():
        key = row.lesson, row.profile
        ranges = expected_of.setdefault(key, expected_bounds(*key, "cpu"))
        low, high = ranges.pop(row.number)
        assert low <= row.lowest <= row.highest <= high, row
        spread = max(3 * (row.highest - row.lowest), 0.06 * max(abs(low), abs(high)))
        assert high - low <= spread + 1e-5 or (*key, row.number) in reasons, row
        assert row.runs >= FEWEST[row.profile], row
    assert not any(expected_of.values()), "numbers that were never measured"
    assert set(expected_of) == set(product(LESSONS, FEWEST))


def test_ranges_are_written_with_a_margin_and_within_what_sentences_ask():
    assert bounds(1.0, 2.0) == (0.1, 2.9)
    assert bounds(1.0, 2.0, least=0.9) == (0.9, 2.9)
    assert bounds(100.0, 100.0) == (98.0, 102.0)
    text = EXPECTED.read_text(encoding="utf-8")
    written = expected(text, ROOT)
    assert expected(written, ROOT) == written
    assert re.findall("seconds = .*", written) == re.findall("seconds = .*", text)
    assert re.findall("#.*", written) == re.findall("#.*", text)

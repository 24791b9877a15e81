"""Every exercise of the course against the stub, its reference, and every answer people give."""

import pytest

from colorcourse.checking import grade_answer
from colorcourse.exercises import all_exercises
from tests.demo import known_answers

SPECS = list(all_exercises().values())
ANSWERS = [
    pytest.param(spec, state, answer, id=f"{spec.name}-{state}-{answer.name}")
    for spec in SPECS
    for state, answer in known_answers(spec)
]


@pytest.mark.parametrize(("spec", "state", "answer"), ANSWERS)
def test_known_answers_get_their_verdict(spec, state, answer):
    verdict = grade_answer(spec, answer.answer)
    assert verdict.state == state, verdict.message
    assert answer.hint in verdict.message


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_hints_differ_so_that_each_names_one_mistake(spec):
    assert all(answer.hint for answer in spec.wrong)
    assert len(spec.wrong) >= 2, "list the mistakes that people make"
    hints = [answer.hint for answer in spec.wrong]
    assert len(set(hints)) == len(hints)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_an_answer_that_returns_its_argument_or_a_constant_is_wrong(spec):
    assert grade_answer(spec, lambda *args: args[0] if args else 0).state == "wrong"
    assert grade_answer(spec, lambda *args: 0.0).state == "wrong"

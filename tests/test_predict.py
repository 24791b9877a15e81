"""A prediction locks before the result shows, and running on without one is fine."""

from types import SimpleNamespace

import pytest

from colorcourse import predict, reveal
from colorcourse.predictions import _predictions


@pytest.fixture
def asked():
    predict("toy.question", "Red or green?", ["red", "green"])
    yield _predictions["toy.question"]
    _predictions.pop("toy.question")


CHOICES = {
    None: "You made no prediction. Measured: “red”. It is 3.",
    "red": "You predicted “red”, and so it is. It is 3.",
    "green": "You predicted “green”. Measured: “red”. It is 3.",
}


@pytest.mark.parametrize("choice", CHOICES)
def test_the_choice_is_locked_and_stands_beside_what_was_measured(asked, choice, capsys):
    asked.choice, control = choice, SimpleNamespace(disabled=False)
    asked.controls = [control]
    reveal("toy.question", "red", "It is 3.")
    assert CHOICES[choice] in capsys.readouterr().out
    assert control.disabled


def test_an_answer_that_was_no_option_and_a_question_never_asked_are_named(asked):
    with pytest.raises(ValueError, match="none of the options"):
        reveal("toy.question", "blue", "")
    with pytest.raises(KeyError, match=r"no prediction 'toy\.other'"):
        reveal("toy.other", "red", "")

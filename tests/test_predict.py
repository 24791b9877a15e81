"""A prediction locks before the result shows, and running on without one is fine."""

import pytest

from colorcourse import predict as predict_function
from colorcourse import reveal
from colorcourse.predictions import Prediction, _predictions


@pytest.fixture(autouse=True)
def asked():
    predict_function("toy.question", "Red or green?", ["red", "green"])
    yield _predictions["toy.question"]
    _predictions.pop("toy.question")


def test_running_on_without_an_answer_is_fine(capsys):
    reveal("toy.question", "red", "Measured: 3.")
    assert "You made no prediction" in capsys.readouterr().out


@pytest.mark.parametrize(("choice", "words"), [("red", "so it is"), ("green", "Measured: “red”")])
def test_the_choice_stands_beside_what_was_measured(asked, choice, words, capsys):
    asked.choice = choice
    reveal("toy.question", "red", "")
    out = capsys.readouterr().out
    assert f"You predicted “{choice}”" in out
    assert words in out


def test_revealing_locks_the_controls():
    class Control:
        disabled = False

    prediction = Prediction("?", ("red",), controls=[Control()])
    prediction.lock()
    assert prediction.locked
    assert prediction.controls[0].disabled


def test_an_answer_that_was_no_option_is_the_authors_mistake():
    with pytest.raises(ValueError, match="none of the options"):
        reveal("toy.question", "blue", "")


def test_a_question_that_was_never_asked_is_named():
    with pytest.raises(KeyError, match=r"no prediction 'toy\.other'"):
        reveal("toy.other", "red", "")

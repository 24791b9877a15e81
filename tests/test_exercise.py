"""The decorator, the check and its messages, on a small exercise made for the purpose."""

import contextlib
import io
import signal
import time
import warnings
from dataclasses import replace

import pytest
import torch

from colorcourse import check, exercise
from colorcourse.checking import difference, grade, grade_answer
from colorcourse.exercises import (
    Answer,
    Case,
    Exercise,
    ExerciseError,
    _specs,
    register,
    submissions,
)
from colorkit import notebook


def double(x):
    return 2 * x


class Doubler(torch.nn.Module):
    def __init__(self, scale=2.0):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(scale))

    def forward(self, x):
        return self.scale * x


def judge_doubler(cls):
    return None if cls()(torch.ones(1)).item() == 2 else "It does not double."


@pytest.fixture(autouse=True)
def toy():
    """Two exercises that exist only here: ``toy.double`` and the class ``toy.net``."""
    cases = (
        Case("a row", lambda: (torch.arange(4.0),)),
        Case("a picture", lambda: (torch.ones(1, 3, 2, 2),)),
    )
    register(
        Exercise(
            "toy.double",
            "00_toy",
            1,
            double,
            cases,
            wrong=(Answer("squared", lambda x: x**2, "That is the square."),),
            right=(Answer("sum", lambda x: x + x),),
            time_limit=0.2,
        )
    )
    register(Exercise("toy.net", "00_toy", 1, Doubler, judge=judge_doubler, methods=("forward",)))
    yield
    for name in ("toy.double", "toy.net"):
        _specs.pop(name)
        submissions.pop(name, None)


def verdict(answer):
    return grade_answer(_specs["toy.double"], answer)


def write_stub():
    @exercise("toy.double")
    def twice(x):
        """Twice x."""
        ...  # your code here

    return twice


def test_a_stub_is_not_done_and_the_reference_stands_in(capsys):
    twice = write_stub()
    assert twice(torch.ones(2)).tolist() == [2, 2]
    assert twice(torch.ones(2)).tolist() == [2, 2]
    assert capsys.readouterr().out.count("stands in") == 1
    assert grade("toy.double").state == "not done"


def test_a_body_that_returns_none_is_an_answer_with_a_mistake():
    @exercise("toy.double")
    def twice(x):
        x = 2 * x

    assert twice(torch.ones(2)) is None
    assert grade("toy.double").state == "wrong"
    assert "`return` missing" in grade("toy.double").message


def test_a_wrong_answer_is_not_replaced():
    @exercise("toy.double")
    def twice(x):
        return x**2

    assert twice(torch.tensor(3.0)).item() == 9
    assert grade("toy.double").message == "That is the square."


def test_answering_again_takes_the_last_answer():
    write_stub()

    @exercise("toy.double")
    def twice(x):
        return x + x

    assert grade("toy.double").state == "right"


def test_an_undone_class_is_replaced_as_a_whole_and_names_what_is_missing():
    @exercise("toy.net")
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()

        def forward(self, x):
            """Double it."""
            ...  # your code here

    assert Net()(torch.ones(1)).item() == 2
    assert "forward" in grade("toy.net").message
    assert grade("toy.net").state == "not done"


def test_strict_allows_no_stand_in_and_raises(monkeypatch):
    monkeypatch.setenv("COLORKIT_STRICT", "1")
    twice = write_stub()
    with pytest.raises(ExerciseError, match=r"toy\.double"):
        twice(torch.ones(1))
    with pytest.raises(ExerciseError, match="not done"):
        check("toy.double")


def shape(x):
    return 2 * x.flatten()[:1]


def raises(x):
    return x.no_such_method()


def forever(x):
    while True:
        pass


def in_place(x):
    return x.mul_(2)


def nan(x):
    return x * float("nan")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (shape, "the shape is (1,), but (4,)"),
        (lambda x: (2 * x).double(), "dtype is torch.float64"),
        (lambda x: (2 * x).numpy(), "NumPy array"),
        (lambda x: torch.empty(x.shape, device="meta"), "on meta"),
        (lambda x: "two", "a tensor was asked for, but this is a str"),
        (nan, "are NaN"),
        (raises, "AttributeError"),
        (forever, "longer than 0.2 seconds"),
        (in_place, "changed its argument number 1"),
        (lambda x: 2 * x + 1, "yours is 1, right is 0"),
    ],
)
def test_each_kind_of_failure_has_its_own_message(answer, words):
    found = verdict(answer)
    assert found.state == "wrong"
    assert words in found.message
    assert "Traceback" not in found.message


@pytest.mark.parametrize("options", [{}, {"form": lambda value, args: value}, {"judge": raises}])
def test_an_error_names_the_line_of_the_answer(options):
    line = raises.__code__.co_firstlineno + 1
    spec = replace(_specs["toy.double"], **options)
    if spec.judge:
        spec = replace(spec, cases=(), judge=lambda answer: answer(1))
    assert f"(line {line} of your cell)" in grade_answer(spec, raises).message


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (double, "Well done."),
        (lambda x: (2 * x).tolist(), "Well done."),
        (lambda x: x**2, "That is the square."),
        (lambda x: 3 * x, "On a row: value 2: the result is 3"),
        (lambda x: "two", "On a row: your code stopped with"),
        (lambda x: None, "Is `return` missing?"),
    ],
)
def test_a_form_makes_results_of_several_kinds_comparable(answer, message):
    spec = replace(_specs["toy.double"], form=lambda value, args: torch.as_tensor(value).tolist())
    assert message in grade_answer(spec, answer).message


def test_a_form_sees_the_arguments_after_the_call():
    def gradient(value, args):
        value.sum().backward()
        return args[0].grad

    def exponent(x):
        return x.exp()

    cases = (Case("a row", lambda: (torch.arange(4.0).requires_grad_(),)),)
    spec = Exercise("toy.exp", "00_toy", 1, exponent, cases, form=gradient)
    assert grade_answer(spec, lambda x: x.exp()).state == "right"
    assert "yours is" in grade_answer(spec, lambda x: x.exp().detach() + 0 * x).message


def test_calling_the_reference_is_noticed():
    def answer(x):
        return double(x)

    assert "which is the answer itself" in verdict(answer).message


def test_importing_a_library_answer_is_noticed():
    def answer(x):
        from skimage.color import rgb2lab

        return rgb2lab(x)

    assert "skimage.color.rgb2lab" in verdict(answer).message


def test_a_check_is_quiet_and_leaves_the_random_state_alone():
    @exercise("toy.double")
    def noisy(x):
        print("look")
        warnings.warn("careful", stacklevel=1)
        torch.rand(3)
        return 2 * x

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        check("toy.double")
    assert torch.rand(1) == expected
    assert err.getvalue() == ""
    assert "look" not in out.getvalue()


def test_the_limit_holds_where_interrupts_are_ignored():
    def forever(x):
        while True:
            pass

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as after `nohup ... &`
    try:
        assert "Does a loop never end?" in verdict(forever).message
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_does_not_arrive_late():
    verdict(lambda x: 2 * x)
    time.sleep(0.4)  # longer than the limit: a timer left behind would raise here


def test_unknown_names_get_the_nearest_ones(capsys):
    assert grade("toy.duble").message.startswith("There is no exercise 'toy.duble'. Did you mean")
    assert "'toy.double'" in grade("toy.duble").message

    @exercise("toy.duble")
    def answer(x):
        return x

    assert answer(1) == 1
    assert "toy.double" in capsys.readouterr().out


def test_one_name_cannot_be_defined_twice():
    with pytest.raises(ValueError, match="defined twice"):
        register(Exercise("toy.double", "00_toy", 1, abs, (Case("one", lambda: (1,)),)))


def test_an_exercise_without_a_check_is_refused():
    with pytest.raises(ValueError, match="nothing checks it"):
        register(Exercise("toy.none", "00_toy", 1, abs))


def test_figures_are_stamped_from_the_first_stand_in_until_the_exercise_is_done():
    @exercise("toy.double")
    def double(x):
        """Twice x."""
        ...

    assert set() == notebook.STAND_INS
    double(1)
    assert {"toy.double"} == notebook.STAND_INS

    @exercise("toy.double")
    def double(x):
        return 2 * x

    assert set() == notebook.STAND_INS


def test_a_number_in_a_graph_is_compared_without_a_warning():
    number = torch.tensor(1.0, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert difference(number, number.exp().log(), 1e-6, 0) == ""

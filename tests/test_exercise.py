"""The decorator, the check and its messages, on a small exercise made for the purpose."""

import _thread
import contextlib
import inspect
import linecache
import signal
import sys
import time
import warnings
from dataclasses import replace

import pytest
import torch

from colorcourse import check, exercise, exercises
from colorcourse.checking import grade, grade_answer
from colorcourse.exercises import Answer, Case, Exercise, ExerciseError, register
from colorkit import notebook


def double(x):
    return 2 * x


class Doubler(torch.nn.Module):
    def __init__(self, scale=2.0):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(scale))

    def forward(self, x):
        return self.scale * x


ROW = Case("a row", lambda: (torch.arange(4.0),))
PICTURE = Case("a picture", lambda: (torch.ones(1, 3, 2, 2),))
SQUARED = Answer("squared", lambda x: x**2, "That is the square.")
TOY = Exercise("toy.double", "00_toy", 1, double, (ROW, PICTURE), wrong=(SQUARED,), time_limit=0.2)
NET = Exercise(
    "toy.net",
    "00_toy",
    1,
    Doubler,
    judge=lambda cls: None if cls()(torch.ones(1)).item() == 2 else "It does not double.",
    methods=("forward",),
)


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    """Two exercises that exist only here."""
    for spec in (TOY, NET):
        monkeypatch.setitem(exercises._specs, spec.name, spec)
    for table in ("submissions", "stand_ins", "put_aside"):
        monkeypatch.setattr(exercises, table, {})


def stub(x):
    """Twice x."""
    ...  # your code here


def raises(x):
    return x.no_such_method()


def forever(x):
    while True:
        pass


def catches_everything(x):
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(0.01)


def leaves(x):
    sys.exit(f"with {x}")


def ends_its_thread(x):
    _thread.exit()


def by_skimage(x):
    from skimage.color import rgb2lab

    return rgb2lab(x)


def by_reference(x):
    return double(x)


def test_the_reference_stands_in_for_a_stub_says_so_once_and_stamps_figures(capsys):
    twice = exercise("toy.double")(stub)
    assert set() == notebook.STAND_INS
    assert twice(torch.ones(2)).tolist() == twice(torch.ones(2)).tolist() == [2, 2]
    assert {"toy.double"} == notebook.STAND_INS
    assert capsys.readouterr().out.count("stands in") == 1
    assert grade("toy.double").state == "not done"
    exercise("toy.double")(lambda x: x + x)  # answered: nothing stands in any more
    assert set() == notebook.STAND_INS
    assert grade("toy.double").state == "right"


@pytest.mark.parametrize(
    ("answer", "value", "message"),
    [(lambda x: None, None, "`return` missing"), (lambda x: x**2, 9, "That is the square.")],
)
def test_a_wrong_answer_is_not_replaced(answer, value, message):
    assert exercise("toy.double")(answer)(3) == value
    assert grade("toy.double").state == "wrong"
    assert message in grade("toy.double").message


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
    with pytest.raises(ExerciseError, match=r"toy\.double"):
        exercise("toy.double")(stub)(torch.ones(1))
    with pytest.raises(ExerciseError, match="not done"):
        check("toy.double")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: 2 * x.flatten()[:1], "the shape is (1,), but (4,)"),
        (lambda x: (2 * x).double(), "dtype is torch.float64"),
        (lambda x: (2 * x).numpy(), "NumPy array"),
        (lambda x: torch.empty(x.shape, device="meta"), "on meta"),
        (lambda x: "two", "a tensor was asked for, but this is a str"),
        (lambda x: x * float("nan"), "are NaN"),
        (raises, "AttributeError"),
        (forever, "longer than 0.2 seconds"),
        (catches_everything, "longer than 0.2 seconds"),
        (leaves, "Your code ends the program"),
        (ends_its_thread, "Your code ends the program"),
        (lambda x: x.mul_(2), "changed its argument number 1"),
        (lambda x: 2 * x + 1, "yours is 1, right is 0"),
        (by_reference, "calls double, which is the answer itself"),
        (by_skimage, "calls skimage.color.rgb2lab, which is the answer itself"),
    ],
)
def test_each_kind_of_failure_has_its_own_message(answer, words):
    found = grade_answer(TOY, answer)
    assert found.state == "wrong"
    assert words in found.message
    assert "Traceback" not in found.message


@pytest.mark.parametrize(
    "options",
    [{}, {"form": lambda value, args: value}, {"cases": (), "judge": lambda answer: answer(1)}],
)
def test_an_error_names_the_line_of_the_answer(options):
    line = raises.__code__.co_firstlineno + 1
    message = grade_answer(replace(TOY, **options), raises).message
    assert f"(line {line} of your cell)" in message


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: (2 * x).tolist(), "Well done."),
        (lambda x: x**2, "That is the square."),
        (lambda x: 3 * x, "On a row: value 2: the result is 3"),
        (lambda x: "two", "On a row: your code stopped with"),
    ],
)
def test_a_form_makes_results_of_several_kinds_comparable(answer, message):
    spec = replace(TOY, form=lambda value, args: torch.as_tensor(value).tolist())
    assert message in grade_answer(spec, answer).message


def test_a_form_sees_the_arguments_after_the_call():
    def gradient(value, args):
        value.sum().backward()
        return args[0].grad

    row = Case("a row", lambda: (torch.arange(4.0).requires_grad_(),))
    spec = replace(TOY, reference=lambda x: x.exp(), cases=(row,), form=gradient, wrong=())
    assert grade_answer(spec, lambda x: torch.e**x).state == "right"
    assert "yours is" in grade_answer(spec, lambda x: x.exp().detach() + 0 * x).message


def test_a_check_is_quiet_and_leaves_the_random_state_alone(capsys):
    @exercise("toy.double")
    def noisy(x):
        print("look")
        warnings.warn("careful", stacklevel=1)
        torch.rand(3)
        return 2 * x

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    check("toy.double")
    assert torch.rand(1) == expected
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "look" not in printed.out


def test_the_limit_holds_where_interrupts_are_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as after `nohup ... &`
    try:
        assert "Does a loop never end?" in grade_answer(TOY, forever).message
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("answer", [forever, leaves])
def test_an_answer_that_never_ends_or_leaves_is_not_called_again(answer, capsys):
    cells = {"exercise": exercise, "check": check, "time": time, "sys": sys}
    source = inspect.getsource(answer).replace(answer.__name__, "twice")

    def run(text):
        exec(text, cells)
        return capsys.readouterr().out

    linecache.cache["<cell>"] = (0, None, source.splitlines(True), "<cell>")
    exec(compile(source, "<cell>", "exec"), cells)
    assert "wrong" in run('twice = exercise("toy.double")(twice); check("toy.double")')
    begun = time.monotonic()
    assert "stands in" in run("assert twice(4) == 8")
    assert "colorkit's own answer is used" in run('check("toy.double")')
    assert time.monotonic() - begun < 0.15
    cells["twice"] = exercise("toy.double")(lambda x: x + x)
    assert "right" in run('check("toy.double")')


def test_a_lost_line_above_an_answer_is_named(capsys):
    cells = {"exercise": exercise, "check": check, "__name__": "__main__", "In": ["", "", ""]}

    def run(text):
        cells["In"] = [*cells["In"][:-1], text, 'check("toy.double")']
        exec(text, cells)
        exec('check("toy.double")', cells)
        return capsys.readouterr().out

    line = '@exercise("toy.double")\n'
    lost = 'The line @exercise("toy.double") above twice is missing'
    assert lost in run("def twice(x):\n    return 2 * x")
    assert "right" in run(f"{line}def twice(x):\n    return 2 * x")
    assert lost in run("def twice(x):\n    return 3 * x")
    assert "wrong" in run(f"{line}def twice(x):\n    return 3 * x")


def test_an_interrupt_does_not_arrive_late():
    grade_answer(TOY, lambda x: 2 * x)
    time.sleep(0.4)  # longer than the limit: a thread left behind would raise here


def test_a_right_answer_may_wait_for_a_busy_processor_but_not_for_ever():
    def waits(seconds):
        return lambda x: (time.sleep(seconds), 2 * x)[1]

    assert grade_answer(TOY, waits(0.5)).state == "right"  # the limit is .2 s of computing
    assert "longer than 0.2 seconds" in grade_answer(TOY, waits(3600)).message


def test_unknown_names_get_the_nearest_ones(capsys):
    assert grade("toy.duble").message.startswith("There is no exercise 'toy.duble'. Did you mean")
    assert "'toy.double'" in grade("toy.duble").message
    assert exercise("toy.duble")(abs)(-1) == 1
    assert "toy.double" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [({"reference": abs}, "defined twice"), ({"name": "toy.none", "cases": ()}, "nothing checks")],
)
def test_an_exercise_defined_twice_or_without_a_check_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        register(replace(TOY, **change))

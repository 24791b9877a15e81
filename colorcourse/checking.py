"""Checking an answer: not done, wrong with a hint that names the mistake, or right."""

import _thread
import ast
import contextlib
import functools
import io
import math
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from colorcourse.exercises import (
    Answer,
    Case,
    Exercise,
    ExerciseError,
    find,
    is_strict,
    source_tree,
    submission,
    written_functions,
)
from colorkit import notebook


@dataclass(frozen=True)
class Verdict:
    """What a check found: the state, and one message for the student."""

    state: notebook.State
    message: str


@dataclass(frozen=True)
class Outcome:
    """What came of calling an answer once: a value, or the reason why there is none."""

    value: Any = None
    problem: str = ""
    changed: tuple[int, ...] = ()


def check(name: str) -> None:
    """Check the student's answer to an exercise and say what was found.

    It tests only the student's answer, never the stand-in, and neither raises nor writes to stderr.
    With ``COLORKIT_STRICT=1`` an undone or wrong answer raises :class:`ExerciseError`.
    """
    verdict = grade(name)
    notebook.tell(verdict.state, str(name), verdict.message)
    if is_strict() and verdict.state != "right":
        raise ExerciseError(f"{name} is {verdict.state}: {verdict.message}")


def grade(name: str) -> Verdict:
    """The verdict on the latest answer decorated with ``@exercise(name)``."""
    try:
        spec = find(name)
    except KeyError as error:
        return Verdict("wrong", error.args[0])
    given = submission(name)
    if given is None:
        return Verdict("not done", "Run the cell that holds your answer first.")
    if given.undone:
        parts = "" if not spec.methods else f" ({', '.join(given.undone)} still to be written)"
        return Verdict(
            "not done", f"Replace the dots with your answer{parts}, then run both cells."
        )
    return grade_answer(spec, given.answer)


def grade_answer(spec: Exercise, answer: Callable | type) -> Verdict:
    """The verdict on one answer. Whatever the answer does, this returns."""
    try:
        hint = _borrowed(spec, answer) or _try_cases(spec, answer) or _try_judge(spec, answer)
    except Exception as error:  # an answer may return an object that fails when it is looked at
        hint = f"Your answer could not be checked: {type(error).__name__}: {error}"
    return Verdict("wrong", hint) if hint else Verdict("right", "Well done.")


# --- the answer must be the student's own ---------------------------------------------------------


def _borrowed(spec: Exercise, answer: Callable | type) -> str | None:
    if answer is spec.reference:
        return None
    for function in written_functions(spec, answer).values():
        tree = source_tree(function)
        if tree is None:
            continue
        names = [_dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        imported = [name for node in ast.walk(tree) for name in _imported(node)]
        for name in filter(None, names + imported):
            if _is_library_answer(spec, name, getattr(function, "__globals__", {})):
                return f"This calls {name}, which is the answer itself. Write the steps yourself."
    return None


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := _dotted(node.value)):
        return f"{base}.{node.attr}"
    return ""


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def _is_library_answer(spec: Exercise, name: str, scope: dict[str, Any]) -> bool:
    own = (spec.reference, *spec.own)
    if name.split(".")[0] in ("skimage", "kornia", "colorkit"):
        others = name.split(".")[0] != "colorkit"
        return others or name.split(".")[-1] in {f.__name__ for f in own}
    target: Any = scope.get(name.split(".")[0])
    for part in name.split(".")[1:]:
        target = getattr(target, part, None)
    module = getattr(target, "__module__", "") or ""
    return any(target is f for f in own) or module.startswith(("skimage.", "kornia."))


# --- cases ----------------------------------------------------------------------------------------


def _try_cases(spec: Exercise, answer: Callable) -> str | None:
    """The hint for the first case on which the answer differs from the reference, or None."""
    outcomes = []
    for case in spec.cases:
        outcome = run_case(spec, answer, case)
        outcomes.append(outcome)
        if "longer than" in outcome.problem:
            return outcome.problem
    faults = [
        fault
        for case, outcome in zip(spec.cases, outcomes, strict=True)
        if (fault := _fault(spec, case, outcome))
    ]
    if not faults:
        return None
    return _known_mistake(spec, outcomes) or faults[0]


def run_case(spec: Exercise, answer: Callable, case: Case) -> Outcome:
    """Call an answer on a case: quietly, seeded, timed, and with an eye on its arguments."""
    args = case.args()
    tensors = {i: arg for i, arg in enumerate(args) if isinstance(arg, torch.Tensor)}
    before = {i: arg.detach().clone() for i, arg in tensors.items() if i not in spec.mutates}

    def attempt() -> Any:
        value = answer(*args)
        return value if value is None or spec.form is None else spec.form(value, args)

    value, problem = call_quietly(attempt, time_limit=spec.time_limit, written=answer)
    changed = tuple(i for i, old in before.items() if difference(old, tensors[i], 0, 0))
    return Outcome(value, problem, changed)


@functools.cache
def known_outcome(spec: Exercise, answer: Callable, case: Case) -> Outcome:
    """What a listed answer or the reference gives on a case, computed once."""
    return run_case(spec, answer, case)


def _fault(spec: Exercise, case: Case, outcome: Outcome) -> str | None:
    if outcome.problem:
        return f"On {case.label}: {outcome.problem}"
    if outcome.value is None:
        return "Your function returned None. Is `return` missing?"
    expected = known_outcome(spec, spec.reference, case).value
    if text := difference(expected, outcome.value, spec.atol, spec.rtol):
        return f"On {case.label}: {text}"
    if outcome.changed:
        return (
            f"The result is right, but your function changed its argument number "
            f"{outcome.changed[0] + 1} in place. Work on a new tensor: `x = x.clone()` makes one."
        )
    return None


def _known_mistake(spec: Exercise, outcomes: list[Outcome]) -> str | None:
    """The hint of the listed wrong answer that gives the same outcomes, if there is one."""
    for mistake in spec.wrong:
        theirs = [known_outcome(spec, mistake.answer, case) for case in spec.cases]
        if all(_same(spec, a, b) for a, b in zip(outcomes, theirs, strict=True)):
            return mistake.hint
    return None


def _same(spec: Exercise, a: Outcome, b: Outcome) -> bool:
    if a.problem or b.problem or a.value is None or b.value is None:
        return a.value is b.value and a.problem.split(" (line")[0] == b.problem.split(" (line")[0]
    same_value = not difference(b.value, a.value, spec.atol, spec.rtol, nan_equal=True)
    return same_value and a.changed == b.changed


def _try_judge(spec: Exercise, answer: Callable | type) -> str | None:
    if spec.judge is None:
        return None
    hint, problem = call_quietly(spec.judge, answer, time_limit=spec.time_limit, written=answer)
    return hint or problem or None


# --- calling what somebody else wrote -------------------------------------------------------------


def call_quietly(
    function: Callable, *args, time_limit: float, written: Callable | type
) -> tuple[Any, str]:
    """Call a function; return its value and, if there is none, what went wrong in one sentence.

    An error is placed in the code of `written`, the student's answer. Nothing that is printed or
    warned is shown, and the random state is as before afterwards.
    """
    late = threading.Event()
    try:
        with _quiet(), _seeded(), _deadline(time_limit, late):
            return function(*args), ""
    except KeyboardInterrupt:
        if not late.is_set():
            return None, "you stopped the check before it was finished. Run it again."
        return (
            None,
            f"this took longer than {time_limit:g} seconds and was stopped. Does a loop never end?",
        )
    except Exception as error:
        return None, _explain(error, written)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    sink = io.StringIO()
    with (
        contextlib.redirect_stdout(sink),
        contextlib.redirect_stderr(sink),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@contextlib.contextmanager
def _deadline(seconds: float, late: threading.Event) -> Iterator[None]:
    """Interrupt the main thread after so many seconds, as the stop button would.

    Best effort: a call that never comes back to Python cannot be interrupted. A note is then shown
    that says what to do. Outside the main thread there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt() -> None:
        late.set()
        _thread.interrupt_main()

    timers = [threading.Timer(seconds, interrupt), threading.Timer(seconds + 5, _say_stuck)]
    # A shell starts what runs in its background with interrupts ignored: nothing would then stop.
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _say_stuck() -> None:
    notebook.tell(
        "wrong",
        "check",
        "Your answer does not stop by itself. Use Interrupt Kernel (the square button), then look "
        "for a loop that never ends.",
    )


def _explain(error: BaseException, written: Callable | type) -> str:
    """An error in one sentence, with the line of the student's code where it arose."""
    functions = (written, *getattr(written, "__dict__", {}).values())  # or the methods of a class
    codes = [f.__code__ for f in functions if hasattr(f, "__code__")]
    file = codes[0].co_filename if codes else None
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    where = f" (line {lines[-1]} of your cell)" if lines else ""
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return f"your code stopped with {type(error).__name__}: {first}{where}"


# --- comparing values -----------------------------------------------------------------------------


def difference(expected: Any, got: Any, atol: float, rtol: float, nan_equal: bool = False) -> str:
    """How `got` differs from `expected`, in words; the empty string where it does not.

    Tensors, numbers, strings, and tuples, lists and dicts of these. A tensor of one element and a
    number count as the same kind of thing.

    Examples
    --------
    >>> difference(2.0, 2.0, 0, 0)
    ''
    >>> difference(torch.zeros(2, 3), torch.zeros(3, 2), 0, 0)
    'the shape is (3, 2), but (2, 3) was asked for.'
    """
    if isinstance(expected, dict):
        return _difference_of_dicts(expected, got, atol, rtol, nan_equal)
    if isinstance(expected, tuple | list):
        return _difference_of_sequences(expected, got, atol, rtol, nan_equal)
    if isinstance(expected, bool | str) or expected is None:
        return "" if got == expected else f"the answer is {got!r}, which is not right."
    if _is_number(expected):
        return _difference_of_numbers(_number(expected), got, atol, rtol, nan_equal)
    return _difference_of_tensors(expected, got, atol, rtol, nan_equal)


def _number(value: Any) -> float:
    """A number's value; of a tensor in a graph too, which float() warns of on stderr."""
    return value.item() if isinstance(value, torch.Tensor) else float(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        return value.ndim == 0
    return isinstance(value, int | float)


def _difference_of_dicts(expected, got, atol, rtol, nan_equal) -> str:
    if not isinstance(got, dict):
        return f"a dict was asked for, but this is {_kind(got)}."
    if missing := [key for key in expected if key not in got]:
        return f"the key {missing[0]!r} is missing."
    parts = ((k, difference(v, got[k], atol, rtol, nan_equal)) for k, v in expected.items())
    return next((f"{key!r}: {text}" for key, text in parts if text), "")


def _difference_of_sequences(expected, got, atol, rtol, nan_equal) -> str:
    if not isinstance(got, tuple | list):
        return f"{len(expected)} values were asked for, but this is {_kind(got)}."
    if len(got) != len(expected):
        return f"{len(expected)} values were asked for, but these are {len(got)}."
    pairs = zip(expected, got, strict=True)
    parts = ((i, difference(e, g, atol, rtol, nan_equal)) for i, (e, g) in enumerate(pairs))
    return next((f"value {i + 1}: {text}" for i, text in parts if text), "")


def _difference_of_numbers(expected: float, got: Any, atol, rtol, nan_equal) -> str:
    if not _is_number(got):
        return f"one number was asked for, but this is {_kind(got)}."
    value = _number(got)
    if math.isnan(value) and not (nan_equal and math.isnan(expected)):
        return "the result is NaN (not a number). Look for 0 / 0, or a root or log of a negative."
    if value == expected or abs(value - expected) <= atol + rtol * abs(expected):
        return ""
    if math.isnan(value):
        return ""
    return f"the result is {value:.6g}, which is not right."


def _difference_of_tensors(expected: torch.Tensor, got: Any, atol, rtol, nan_equal) -> str:
    if isinstance(got, np.ndarray):
        return "this is a NumPy array, but a torch tensor was asked for (torch.from_numpy helps)."
    if not isinstance(got, torch.Tensor):
        return f"a tensor was asked for, but this is {_kind(got)}."
    if got.shape != expected.shape:
        return f"the shape is {tuple(got.shape)}, but {tuple(expected.shape)} was asked for."
    if got.dtype != expected.dtype:
        return f"the dtype is {got.dtype}, but {expected.dtype} was asked for."
    if got.device.type != expected.device.type:
        return f"the result is on {got.device}, but the arguments were on {expected.device}."
    a, b = expected.detach().double(), got.detach().double()
    if b.isnan().any() and not (nan_equal and (a.isnan() == b.isnan()).all()):
        n = int(b.isnan().sum())
        return f"{n} of {b.numel()} values are NaN. Look for 0 / 0, or a root or log of a negative."
    return _worst(a.nan_to_num(), b.nan_to_num(), atol, rtol)


def _worst(expected: torch.Tensor, got: torch.Tensor, atol: float, rtol: float) -> str:
    excess = (got - expected).abs() - (atol + rtol * expected.abs())
    bad = excess > 0
    if not bad.any():
        return ""
    at = tuple(int(i) for i in np.unravel_index(int(excess.argmax()), excess.shape))
    return (
        f"{int(bad.sum())} of {bad.numel()} values differ. The largest difference is at {at}: "
        f"yours is {got[at]:.6g}, right is {expected[at]:.6g}."
    )


def _kind(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def known_answers(spec: Exercise) -> Iterator[tuple[str, Answer]]:
    """Every listed answer with the verdict that it must get, for the tests."""
    yield from (("wrong", answer) for answer in spec.wrong)
    yield from (("right", answer) for answer in spec.right)
    yield "right", Answer("reference", spec.reference)

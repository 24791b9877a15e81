"""Checking an answer: not done, wrong with a hint that names the mistake, or right."""

import _thread
import ast
import contextlib
import functools
import io
import itertools
import math
import re
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from colorcourse import exercises
from colorcourse.exercises import Case, Exercise, ExerciseError, is_strict, written_functions
from colorkit import notebook


class Runaway(Exception):
    """An answer that comes to no end, or leaves Python: it is not called again."""


@dataclass(frozen=True)
class Verdict:
    """What a check found: the state, and one message for the student."""

    state: notebook.State
    message: str


@dataclass(frozen=True)
class Outcome:
    """What came of calling an answer once."""

    value: Any
    problem: str  # why there is no value
    changed: tuple[int, ...]  # positions of the arguments that were changed in place


def check(name: str) -> None:
    """Check the student's answer to an exercise and say what was found.

    It tests only the student's answer, never the stand-in, and neither raises nor writes to stderr.
    With ``COLORKIT_STRICT=1`` an undone or wrong answer raises :class:`ExerciseError`.
    """
    verdict = _undecorated(name, sys._getframe(1).f_globals) or grade(name)
    notebook.tell(verdict.state, str(name), verdict.message)
    if is_strict() and verdict.state != "right":
        raise ExerciseError(f"{name} is {verdict.state}: {verdict.message}")


def _undecorated(name: str, cells: dict[str, Any]) -> Verdict | None:
    """The verdict where the line ``@exercise(name)`` above the answer has gone.

    A function or class of the notebook has then the name of an earlier answer, or stands in the
    cell that ran before, without the line.
    """
    answer, _ = exercises.submissions.get(name, (None, ()))
    if answer is None:
        before = cells.get("In", [""])[:-1] or [""]  # IPython's sources of the cells that ran
        found = re.search(r"^(?:def|class) (\w+)", before[-1], re.MULTILINE)
        lost = found[1] if found and "@exercise" not in before[-1] else ""
    else:
        now, lost = cells.get(answer.__name__, answer), answer.__name__
        own = {id(answer), id(exercises.stand_ins.get(answer))}
        if id(now) in own or getattr(now, "__module__", "") != cells.get("__name__"):
            lost = ""
    text = f'The line @exercise("{name}") above {lost} is missing: put it back and run that cell.'
    text = text if answer else f"Run the cell that holds your answer first. Is it {lost}? {text}"
    return Verdict("not done", text) if lost else None


def grade(name: str) -> Verdict:
    """The verdict on the latest answer decorated with ``@exercise(name)``."""
    try:
        spec = exercises.find(name)
    except KeyError as error:
        return Verdict("wrong", error.args[0])
    if name not in exercises.submissions:
        return Verdict("not done", "Run the cell that holds your answer first.")
    answer, undone = exercises.submissions[name]
    if undone:
        parts = f" ({', '.join(undone)} still to be written)" if spec.methods else ""
        text = f"Replace the dots with your answer{parts}, then run both cells."
        return Verdict("not done", text)
    return grade_answer(spec, answer)


def grade_answer(spec: Exercise, answer: Callable | type) -> Verdict:
    """The verdict on one answer. Whatever the answer does, this returns."""
    if answer in exercises.put_aside:
        return Verdict("wrong", exercises.put_aside[answer])
    try:
        hint = _borrowed(spec, answer) or _try_cases(spec, answer)
        if spec.judge is not None and not hint:
            hint, problem = _call(spec, answer, spec.judge, answer)
            hint = hint or problem
    except KeyboardInterrupt:
        hint = "You stopped the check before it was finished. Run it again."
    except Runaway as runaway:
        hint = f"{runaway} Until you change it, colorkit's own answer is used."
        exercises.put_aside[answer] = hint
        exercises.replace(spec, answer)
    except Exception as error:  # an answer may return an object that fails when it is looked at
        hint = f"Your answer could not be checked: {type(error).__name__}: {error}"
    return Verdict("wrong", hint) if hint else Verdict("right", "Well done.")


def _borrowed(spec: Exercise, answer: Callable | type) -> str | None:
    """The hint for an answer that calls or imports what is itself the answer."""
    if answer is spec.reference:
        return None
    own = (spec.reference, *spec.own)
    for function in written_functions(spec, answer).values():
        nodes = list(ast.walk(exercises.source_tree(function) or ast.Module([], [])))
        names = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                home = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                names += [home + alias.name for alias in node.names]
        for name in names:
            first, *rest = name.split(".")
            target = getattr(function, "__globals__", {}).get(first)
            for part in rest:
                target = getattr(target, part, None)
            home = (getattr(target, "__module__", None) or "").split(".")[0]
            ours = any(target is f for f in own)
            ours |= first == "colorkit" and name.split(".")[-1] in {f.__name__ for f in own}
            if ours or {first, home} & {"skimage", "kornia"}:
                return f"This calls {name}, which is the answer itself. Write the steps yourself."
    return None


def _try_cases(spec: Exercise, answer: Callable) -> str | None:
    """The hint for an answer that differs from the reference, or None.

    It is that of the listed mistake which gives the same outcomes, else it tells the first fault.
    """
    return hint_of(spec, [(case, run_case(spec, answer, case)) for case in spec.cases])


def hint_of(spec: Exercise, pairs: list[tuple[Case, Outcome]]) -> str | None:
    """The hint for what an answer gave on cases, or None where all of it is right."""
    fault = next((text for pair in pairs if (text := fault_of(spec, *pair))), None)
    if fault is None:
        return None
    for mistake in spec.wrong:
        if all(_same(spec, got, listed_outcome(spec, mistake.answer, case)) for case, got in pairs):
            return mistake.hint
    return fault


def run_case(spec: Exercise, answer: Callable, case: Case) -> Outcome:
    """Call an answer on a case: quietly, seeded, timed, and with an eye on its arguments."""
    args = case.args()
    before = {i: x.detach().clone() for i, x in enumerate(args) if isinstance(x, torch.Tensor)}

    def attempt() -> Any:
        value = answer(*args)
        return value if value is None or spec.form is None else spec.form(value, args)

    value, problem = _call(spec, answer, attempt)
    changed = tuple(i for i, old in before.items() if difference(old, args[i], 0, 0))
    return Outcome(value, problem, changed)


# What the reference or a listed answer gives on a case, computed once.
listed_outcome = functools.cache(run_case)


def fault_of(spec: Exercise, case: Case, outcome: Outcome) -> str | None:
    """What is wrong with an outcome; None where it is as the reference's."""
    if outcome.problem:
        return f"On {case.label}: {outcome.problem}"
    if outcome.value is None:
        return "Your function returned None. Is `return` missing?"
    expected = listed_outcome(spec, spec.reference, case).value
    fault = difference(expected, outcome.value, spec.atol, spec.rtol)
    if not outcome.changed:
        return f"On {case.label}: {fault}" if fault else None
    text = f"On {case.label}: {fault} And" if fault else "The result is right, but"
    text += f" your function changed its argument number {outcome.changed[0] + 1} in place."
    return f"{text} Work on a new tensor: `x = x.clone()` makes one."


def _same(spec: Exercise, a: Outcome, b: Outcome) -> bool:
    if a.problem or b.problem or a.value is None or b.value is None:
        return a.value is b.value and a.problem.split(" (line")[0] == b.problem.split(" (line")[0]
    same_value = not difference(b.value, a.value, spec.atol, spec.rtol, nan_equal=True)
    return same_value and a.changed == b.changed


def _call(spec: Exercise, answer: Callable | type, function: Callable, *args) -> tuple[Any, str]:
    """Call a function that calls the answer: its value and, if there is none, what went wrong.

    Nothing that is printed or warned is shown, and the random state is as before afterwards. An
    error is told in one sentence, with the line of the answer where it arose.
    """
    late, sink = threading.Event(), io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(sink),
            contextlib.redirect_stderr(sink),
            warnings.catch_warnings(),
            torch.random.fork_rng(),
        ):
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            with _deadline(spec.time_limit, late):
                return function(*args), ""
    except KeyboardInterrupt:
        if not late.is_set():
            raise
        text = f"This took longer than {spec.time_limit:g} seconds and was stopped."
        raise Runaway(f"{text} Does a loop never end?") from None
    except (SystemExit, GeneratorExit):
        text = "Your code ends the program (exit, quit, sys.exit). Give a result with `return`."
        raise Runaway(text) from None
    except Exception as error:
        functions = (answer, *getattr(answer, "__dict__", {}).values())  # or a class's methods
        files = [f.__code__.co_filename for f in functions if hasattr(f, "__code__")][:1]
        trace = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in trace if frame.filename in files]
        where = f" (line {lines[-1]} of your cell)" if lines else ""
        first = (str(error).strip().splitlines() or ["no message"])[0]
        return None, f"your code stopped with {type(error).__name__}: {first}{where}"


@contextlib.contextmanager
def _deadline(seconds: float, late: threading.Event) -> Iterator[None]:
    """Interrupt the main thread after so many seconds of its work, as the stop button would.

    The processor's time counts, so that a busy machine wrongs nobody; the clock allows 20 times as
    much. A call that never comes back to Python gets a note. Other threads have no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    begun, worked, done = time.monotonic(), _processor_time(), threading.Event()

    def watch() -> None:
        while _processor_time() - worked < seconds and time.monotonic() - begun < 20 * seconds:
            if done.wait(0.05):
                return
        late.set()
        for tenths in itertools.count():
            if hasattr(signal, "pthread_kill"):  # wakes also what sleeps
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            else:
                _thread.interrupt_main()
            if done.wait(0.1):
                return
            if tenths == 50:
                notebook.tell("wrong", "check", "It does not stop: use Interrupt Kernel (square).")

    def insist(frame: Any, event: str, value: Any) -> Callable:
        if event == "line":
            raise KeyboardInterrupt
        return insist

    def interrupt(number: int, frame: Any) -> None:
        """Also an answer that catches everything ends: the next line of it raises again."""
        if late.is_set():
            while frame.f_code.co_filename != __file__:
                frame.f_trace, frame = insist, frame.f_back
            if frame.f_code.co_name == "_deadline":  # it has ended by itself
                return
            sys.settrace(lambda *_: None)
        raise KeyboardInterrupt

    # A shell starts what runs in its background with interrupts ignored: nothing would then stop.
    before, trace = signal.signal(signal.SIGINT, interrupt), sys.gettrace()
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()
        sys.settrace(trace)
        signal.signal(signal.SIGINT, before)


def _processor_time() -> float:
    """Seconds that the main thread has computed; on Windows all threads."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.process_time()
    return time.clock_gettime(time.pthread_getcpuclockid(threading.main_thread().ident))


def difference(expected: Any, got: Any, atol: float, rtol: float, nan_equal: bool = False) -> str:
    """How `got` differs from `expected`, in words; the empty string where it does not.

    Tensors, numbers, strings, and tuples, lists and dicts of these. A tensor of one element and a
    number count as the same kind of thing.
    """

    def first(parts: Iterable[tuple[str, Any, Any]]) -> str:
        texts = ((name, difference(e, g, atol, rtol, nan_equal)) for name, e, g in parts)
        return next((f"{name}: {text}" for name, text in texts if text), "")

    if isinstance(expected, dict):
        if not isinstance(got, dict):
            return f"a dict was asked for, but this is {_kind(got)}."
        if missing := [key for key in expected if key not in got]:
            return f"the key {missing[0]!r} is missing."
        return first((repr(key), value, got[key]) for key, value in expected.items())
    if isinstance(expected, tuple | list):
        if not isinstance(got, tuple | list):
            return f"{len(expected)} values were asked for, but this is {_kind(got)}."
        if len(got) != len(expected):
            return f"{len(expected)} values were asked for, but these are {len(got)}."
        pairs = enumerate(zip(expected, got, strict=True), 1)
        return first((f"value {number}", *pair) for number, pair in pairs)
    if isinstance(expected, bool | str) or expected is None:
        return "" if got == expected else f"the answer is {got!r}, which is not right."
    if not _is_number(expected):
        return _difference_of_tensors(expected, got, atol, rtol, nan_equal)
    if not _is_number(got):
        return f"one number was asked for, but this is {_kind(got)}."
    # .item(), for float() warns on stderr of a tensor in a graph.
    a, b = (x.item() if isinstance(x, torch.Tensor) else float(x) for x in (expected, got))
    if math.isnan(b) and not (nan_equal and math.isnan(a)):
        return "the result is NaN (not a number). Look for 0 / 0, or a root or log of a negative."
    if math.isnan(b) or a == b or abs(b - a) <= atol + rtol * abs(a):
        return ""
    return f"the result is {b:.6g}, which is not right."


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or getattr(value, "ndim", None) == 0


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
    a, b = a.nan_to_num(), b.nan_to_num()
    excess = (b - a).abs() - (atol + rtol * a.abs())
    if not (excess > 0).any():
        return ""
    at = tuple(int(i) for i in np.unravel_index(int(excess.argmax()), excess.shape))
    return (
        f"{int((excess > 0).sum())} of {b.numel()} values differ. The largest difference is at "
        f"{at}: yours is {b[at]:.6g}, right is {a[at]:.6g}."
    )


def _kind(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"

"""Exercises: what a student is asked to write, and what stands in while it is not written.

One :class:`Exercise` says everything about one exercise: the reference, the cases on which an
answer is tried, the wrong answers that people really give with the hint that each earns, and other
right ways to do it. Notebooks use the decorator :func:`exercise` and `colorcourse.checking.check`.
"""

import ast
import functools
import importlib
import inspect
import os
import pkgutil
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from colorkit import notebook


class ExerciseError(Exception):
    """An exercise that is undone or wrong, where ``COLORKIT_STRICT=1`` asks for an error."""


@dataclass(frozen=True)
class Case:
    """Arguments on which an answer is tried, made anew at each call so that changes show."""

    label: str
    args: Callable[[], tuple]


@dataclass(frozen=True)
class Answer:
    """An answer that people give: a wrong one with the hint that it earns, or another right one."""

    name: str
    answer: Callable | type
    hint: str = ""


@dataclass(frozen=True, eq=False)
class Exercise:
    """The one place where an exercise is specified."""

    name: str  # as in "lab.linearize"
    lesson: str  # as in "01_lab"
    minutes: float  # that a student needs
    reference: Callable | type  # colorkit's own answer: it stands in while the exercise is undone
    cases: tuple[Case, ...] = ()  # answers are within atol + rtol * |reference| of the reference
    points: int = 1
    core: bool = True
    atol: float = 1e-4
    rtol: float = 1e-4
    wrong: tuple[Answer, ...] = ()  # known mistakes, recognised because they give the same values
    right: tuple[Answer, ...] = ()
    # `form(value, args)` of what any answer returned (not of None) is compared instead, with the
    # arguments as they are after the call: to bring results of several kinds (a sparse and a dense
    # tensor) into one, to compare gradients too, or to see what the call has left behind.
    form: Callable[[Any, tuple], Any] | None = None
    # For what cases cannot say: takes an answer that has passed them; the hint, or None if right.
    judge: Callable[[Any], str | None] | None = None
    methods: tuple[str, ...] = ()  # of a class: what the student writes
    own: tuple[Callable, ...] = ()  # functions that are the answer, beside the reference
    time_limit: float = 10.0  # seconds for a case, and for the judge
    # Arguments made from a number: graders' further cases, which no student has seen. A judge that
    # takes a second argument `seed` is called again with such numbers instead.
    fresh: Callable[[int], tuple] | None = None


class Remote:
    """An answer that lives in another process, when it is graded. Called, it takes plain data."""

    def beside(self, function: Callable, *args) -> Any:
        """What ``function(answer, *args)`` gives there."""
        raise NotImplementedError


def beside(answer: Callable | type, function: Callable, *args) -> Any:
    """``function(answer, *args)``, where the answer lives: here, or in a process of its own.

    A judge reaches so what it cannot pass as data: what a network does inside, or a loop with
    callbacks. `function` stands at the top of its module, uses no reference, and returns numbers,
    texts, tensors, and tuples, lists, dicts or dataclasses of these.
    """
    if isinstance(answer, Remote):
        return answer.beside(function, *args)
    return function(answer, *args)


_specs: dict[str, Exercise] = {}
# The latest answer to each exercise, and the names of its parts that are still the stub.
submissions: dict[str, tuple[Callable | type, tuple[str, ...]]] = {}
stand_ins: dict[Callable | type, Callable | type] = {}  # what is called instead of an answer
put_aside: dict[Callable | type, str] = {}  # what must not be called again, with the verdict


def register(spec: Exercise) -> Exercise:
    """Make an exercise known by its name. Two exercises of one name are an error."""
    known = _specs.get(spec.name)
    if known is not None and known.reference is not spec.reference:
        raise ValueError(f"exercise {spec.name!r} is defined twice; give one of them another name")
    if not spec.cases and spec.judge is None:
        raise ValueError(f"exercise {spec.name!r} has neither cases nor a judge: nothing checks it")
    _specs[spec.name] = spec
    return spec


def all_exercises() -> dict[str, Exercise]:
    """Every exercise of the course by name."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name.startswith("lesson"):
            importlib.import_module(f"colorcourse.{module.name}.exercises")
    return dict(_specs)


def find(name: str) -> Exercise:
    """The exercise called `name`; KeyError with the nearest names where there is none."""
    specs = all_exercises()
    if name in specs:
        return specs[name]
    near = get_close_matches(str(name), specs, n=3, cutoff=0.4) or sorted(specs)[:5]
    raise KeyError(f"There is no exercise {name!r}. Did you mean {' or '.join(map(repr, near))}?")


def is_strict() -> bool:
    """Whether undone and wrong answers raise (``COLORKIT_STRICT=1``: CI and graders)."""
    return os.environ.get("COLORKIT_STRICT", "0") not in ("", "0")


def source_tree(function: Callable) -> ast.FunctionDef | None:
    """The parsed source of a function, or None where Python has no source for it."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    return next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)), None)


def is_stub(function: Callable) -> bool:
    """Whether a function's body is still a docstring and ``...`` or ``pass``.

    The source decides, not what the function returns: a body that returns None is an answer.
    """
    tree = source_tree(function)
    return tree is not None and all(
        isinstance(node, ast.Pass)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in tree.body
    )


def written_functions(spec: Exercise, answer: Callable | type) -> dict[str, Callable]:
    """The functions that the student wrote: the answer itself, or the marked methods of a class."""
    if not inspect.isclass(answer):
        return {getattr(answer, "__name__", spec.name): answer}
    return {name: vars(answer)[name] for name in spec.methods if name in vars(answer)}


def exercise(name: str) -> Callable:
    """Mark a function or class as the answer to an exercise.

    While its source is still the stub, calls go to colorkit's own answer and say so once, and
    figures drawn after such a call are stamped "reference". With ``COLORKIT_STRICT=1`` they raise
    :class:`ExerciseError` instead. It never raises itself.
    """

    def decorate(answer: Callable | type) -> Callable | type:
        try:
            spec = find(name)
        except KeyError as error:
            notebook.tell("wrong", str(name), error.args[0])
            return answer
        parts = written_functions(spec, answer)
        undone = tuple(part for part, function in parts.items() if is_stub(function))
        submissions[name] = answer, undone
        if undone:
            return _stand_in(spec, answer)
        notebook.STAND_INS.discard(name)
        return answer

    return decorate


def replace(spec: Exercise, answer: Callable | type) -> None:
    """Call colorkit's own answer in the notebook instead of one that must not be called again."""
    for function in written_functions(spec, answer).values():
        submitted = submissions.get(spec.name, (None,))[0] is answer
        if submitted and function.__globals__.get(answer.__name__) is answer:
            function.__globals__[answer.__name__] = _stand_in(spec, answer)


def _stand_in(spec: Exercise, stub: Callable | type) -> Callable | type:
    """colorkit's own answer under the name of the stub, or of an answer that was put aside."""
    once = ["colorkit's own answer stands in until you write yours."]

    def call(*args, **kwargs) -> Any:
        if is_strict():
            text = f"{spec.name} is not done yet, and COLORKIT_STRICT=1 allows no stand-in"
            raise ExerciseError(text)
        notebook.STAND_INS.add(spec.name)
        if once:
            notebook.tell("not done", spec.name, once.pop())
        return function(*args, **kwargs)

    if inspect.isclass(stub):
        function = spec.reference.__init__
        made = {"__init__": call, "__doc__": stub.__doc__, "__module__": stub.__module__}
        stand_ins[stub] = type(stub.__name__, (spec.reference,), made)
    else:
        function = spec.reference
        stand_ins[stub] = functools.wraps(stub)(call)
    return stand_ins[stub]

"""Rules that every lesson keeps: text for every picture, short cells, known exercises, 90 minutes.

A rule is a function of a `Draft`; it yields what it finds, naming file and cell.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colorcourse.build import Lesson, Problem, registered_exercises
from colorcourse.cells import (
    BEGIN,
    END,
    Definition,
    Part,
    called,
    calls,
    checked_exercises,
    count_words,
    defined_exercises,
    extra_flags,
    first_text,
    parse,
    regions,
)
from colorcourse.checkout import SOURCES
from colorcourse.recording import Expected

MAX_LINES = 30
MAX_CELLS = 60
MAX_CORE_EXERCISES = 5
MAX_CORE_MINUTES = 90
WORDS_A_MINUTE = 180
# What pyplot may be called for: to make a figure, or to set how all figures look.
PYPLOT_FIGURES = {"subplots", "figure", "subplot_mosaic"}
PYPLOT_ALLOWED = PYPLOT_FIGURES | {"close", "get_cmap", "rc", "rc_context", "setp", "Normalize"}


@dataclass(frozen=True)
class Cell:
    """A cell of the source with its number (from 1); `tree` is None for markdown."""

    number: int
    source: str
    extra: bool
    tree: ast.Module | None


@dataclass(frozen=True)
class Draft:
    """All that the rules look at."""

    lesson: str
    cells: tuple[Cell, ...]
    exercises: Mapping[str, Any]
    expected: Expected

    def problem(self, cell: Cell | None, text: str, warning: bool = False) -> Problem:
        """A finding in the lesson's source."""
        file = f"{SOURCES}/{self.lesson}.py"
        return Problem(file, cell.number if cell else None, text, warning)

    def code(self) -> list[Cell]:
        """The cells that hold code which can be read."""
        return [cell for cell in self.cells if cell.tree is not None]


def lint_lessons(
    lessons: list[Lesson],
    exercises: Mapping[str, Any] | None = None,
    expected: Expected | None = None,
) -> list[Problem]:
    """Everything that the rules find in the lessons, warnings included."""
    exercises = registered_exercises() if exercises is None else exercises
    expected = Expected.load() if expected is None else expected
    problems = []
    for lesson in lessons:
        draft, unreadable = _draft(lesson, exercises, expected)
        problems += unreadable
        problems += [problem for rule in RULES for problem in rule(draft)]
    return sorted(problems, key=lambda p: (p.file, p.cell or 0))


def _draft(
    lesson: Lesson, exercises: Mapping[str, Any], expected: Expected
) -> tuple[Draft, list[Problem]]:
    notebook = lesson.solution.cells
    flags = extra_flags(
        Part(c.cell_type == "markdown", c.source, "extra" in c.metadata.get("tags", []))
        for c in notebook
    )
    cells, problems = [], []
    for number, (cell, extra) in enumerate(zip(notebook, flags, strict=True), 1):
        tree = None
        if cell.cell_type == "code":
            try:
                tree = parse(cell.source)
            except SyntaxError as error:
                text = f"is no Python: {error.msg} in line {error.lineno}"
                problems.append(Problem(f"{SOURCES}/{lesson.name}.py", number, text))
                tree = ast.Module([], [])
        cells.append(Cell(number, cell.source, extra, tree))
    return Draft(lesson.name, tuple(cells), exercises, expected), problems


def pictures_have_text(draft: Draft) -> Iterator[Problem]:
    """Markdown pictures, HTML pictures and IPython's `Image` say what is to be seen."""
    for cell in draft.cells:
        if cell.tree is None:
            for match in re.finditer(r"!\[(\s*)\][\[(]([^\])]*)", cell.source):
                yield draft.problem(cell, f"picture {match.group(2)!r} has no alt text")
        for tag in re.findall(r"<img\b[^>]*", cell.source):
            if not re.search(r"\balt\s*=\s*(\S*\{|\\?[\"']?\s*[^\s\"'>])", tag):
                yield draft.problem(cell, f"picture {tag[:50]!r} has no alt text")


def figures_have_text(draft: Draft) -> Iterator[Problem]:
    """`show` gets an alt text that is not empty."""
    for cell in draft.code():
        for call in filter(_is_show, calls(cell.tree, "show")):
            given = [k.value for k in call.keywords if k.arg == "alt"] + call.args[1:2]
            if not given:
                yield draft.problem(cell, f"line {call.lineno}: show(...) without alt=...")
            elif isinstance(given[0], ast.Constant) and not str(given[0].value or "").strip():
                yield draft.problem(cell, f"line {call.lineno}: show(...) with an empty alt text")


def _is_show(call: ast.Call) -> bool:
    """Whether this is colorkit's `show`, not another object's method of that name."""
    function = call.func
    if isinstance(function, ast.Name):
        return True
    owner = function.value
    return isinstance(owner, ast.Name | ast.Attribute) and ast.unparse(owner).endswith("plots")


def _is_pyplot(call: ast.Call) -> bool:
    function = call.func
    owner = function.value if isinstance(function, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id in ("plt", "pyplot")


def figures_go_through_show(draft: Draft) -> Iterator[Problem]:
    """pyplot makes figures only; `show` displays them, so that each has alt text."""
    for cell in draft.code():
        pyplot = [c for c in ast.walk(cell.tree) if isinstance(c, ast.Call) and _is_pyplot(c)]
        for call in pyplot:
            if called(call) not in PYPLOT_ALLOWED:
                text = f"line {call.lineno}: plt.{called(call)} draws past show(fig, alt=...)"
                yield draft.problem(cell, text)
        figures = [c for c in pyplot if called(c) in PYPLOT_FIGURES]
        if _outside_functions(cell.tree, figures) and not calls(cell.tree, "show"):
            text = f"line {figures[0].lineno}: a figure that never reaches show(fig, alt=...)"
            yield draft.problem(cell, text)


def _outside_functions(tree: ast.Module, figures: list[ast.Call]) -> bool:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    functions = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    return any(not any(_within(figure, f) for f in functions) for figure in figures)


def _within(inner: ast.AST, outer: ast.AST) -> bool:
    return outer.lineno <= inner.lineno and inner.end_lineno <= outer.end_lineno


def cells_are_short(draft: Draft) -> Iterator[Problem]:
    """Code cells have at most 30 lines, the markers of an answer not counted."""
    for cell in draft.code():
        lines = [x for x in cell.source.splitlines() if x.strip() not in (BEGIN, END)]
        if len(lines) > MAX_LINES:
            yield draft.problem(cell, f"has {len(lines)} lines; at most {MAX_LINES}: split it")


def cells_are_few(draft: Draft) -> Iterator[Problem]:
    """A warning above 60 cells."""
    if len(draft.cells) > MAX_CELLS:
        text = f"has {len(draft.cells)} cells; aim at {MAX_CELLS} at most"
        yield draft.problem(None, text, warning=True)


def exercises_are_known(draft: Draft) -> Iterator[Problem]:
    """Names in `@exercise` and `check` are specified, and for this lesson."""
    for cell in draft.code():
        defined = [name for name, _ in defined_exercises(cell.tree)]
        for name in dict.fromkeys(defined + checked_exercises(cell.tree)):
            spec = draft.exercises.get(name)
            if spec is None:
                yield draft.problem(cell, f"there is no exercise {name!r} in colorkit's course")
            elif spec.lesson != draft.lesson:
                yield draft.problem(cell, f"exercise {name!r} belongs to lesson {spec.lesson}")


def exercises_are_defined_once(draft: Draft) -> Iterator[Problem]:
    """One definition and at least one check, after it, of each exercise of the lesson."""
    defined, checked = {}, {}
    for cell in draft.code():
        for name, _ in defined_exercises(cell.tree):
            if name in defined:
                text = f"defines {name!r} again, after cell {defined[name].number}"
                yield draft.problem(cell, text)
            defined.setdefault(name, cell)
        checked |= dict.fromkeys(checked_exercises(cell.tree), cell)
    for name, cell in defined.items():
        if name not in checked:
            yield draft.problem(cell, f"exercise {name!r} is never checked: add check({name!r})")
        elif checked[name].number < cell.number:
            yield draft.problem(checked[name], f"checks {name!r} before cell {cell.number}")
    for name, cell in checked.items():
        if name not in defined:
            yield draft.problem(cell, f"checks {name!r}, which no cell defines")
    for name, spec in draft.exercises.items():
        if spec.lesson == draft.lesson and name not in defined:
            yield draft.problem(None, f"exercise {name!r} is specified but no cell defines it")


def core_is_marked(draft: Draft) -> Iterator[Problem]:
    """At most five core exercises, none of them under an `extra` heading, and the reverse."""
    core = 0
    for cell in draft.code():
        for name, _ in defined_exercises(cell.tree):
            spec = draft.exercises.get(name)
            if spec is None:
                continue
            core += spec.core
            if spec.core == cell.extra:
                kinds = ("core", "an extra") if spec.core else ("extra", "a core")
                text = f"exercise {name!r} is specified as {kinds[0]} but stands in {kinds[1]} cell"
                yield draft.problem(cell, text)
    if core > MAX_CORE_EXERCISES:
        yield draft.problem(None, f"has {core} core exercises; at most {MAX_CORE_EXERCISES}")


def regions_are_whole(draft: Draft) -> Iterator[Problem]:
    """What a student writes is the whole body after the docstring, and nothing else is cut out."""
    for cell in draft.code():
        cut, claimed = regions(cell.source), []
        for name, node in defined_exercises(cell.tree):
            spec = draft.exercises.get(name)
            for function in _answer_functions(node, cut, getattr(spec, "methods", ())):
                if isinstance(function, str):
                    yield draft.problem(cell, f"exercise {name!r} has no method {function!r}")
                    continue
                region = _region_of(function, cut, cell.source)
                if region is None:
                    text = f"{name!r}: {BEGIN} ... {END} must enclose the whole body of "
                    text += f"{function.name} after its docstring"
                    yield draft.problem(cell, text)
                claimed.append(region)
        for begin, _ in set(cut) - set(claimed):
            if None not in claimed:
                yield draft.problem(cell, f"line {begin}: {BEGIN} outside an exercise's body")


def _answer_functions(
    node: Definition, cut: list[tuple[int, int]], methods: tuple[str, ...]
) -> list[ast.FunctionDef | str]:
    """The functions to be written; a name where the class lacks the method."""
    if not isinstance(node, ast.ClassDef):
        return [node]
    found = {f.name: f for f in node.body if isinstance(f, ast.FunctionDef)}
    marked = [n for n, f in found.items() if any(f.lineno < b < f.end_lineno for b, _ in cut)]
    return [found.get(name, name) for name in dict.fromkeys([*methods, *marked])]


def _region_of(
    function: ast.FunctionDef, cut: list[tuple[int, int]], source: str
) -> tuple[int, int] | None:
    """The region that encloses the body after the docstring, or None."""
    body = function.body
    start = max([function.lineno, *_header_lines(function)])
    if ast.get_docstring(function) is not None:
        start, body = body[0].end_lineno, body[1:]
    if not body:
        return None
    first = min(s.lineno for s in (body[0], *getattr(body[0], "decorator_list", [])))
    lines = source.splitlines()
    for begin, end in cut:
        between = [line.strip("),: \t") for line in lines[start : begin - 1]]
        if start < begin < first and body[-1].end_lineno < end and not any(between):
            return begin, end
    return None


def _header_lines(function: ast.FunctionDef) -> Iterator[int]:
    """The last lines of the parameters and of the return type."""
    parts = [*ast.walk(function.args), *([function.returns] if function.returns else [])]
    return (part.end_lineno for part in parts if hasattr(part, "end_lineno"))


def predictions_are_revealed(draft: Draft) -> Iterator[Problem]:
    """Each `predict` has its `reveal`, later, and the reverse."""
    asked = {first_text(c): cell for cell in draft.code() for c in calls(cell.tree, "predict")}
    told = {first_text(c): cell for cell in draft.code() for c in calls(cell.tree, "reveal")}
    for name, cell in asked.items():
        if name is not None and (name not in told or told[name].number < cell.number):
            yield draft.problem(cell, f"prediction {name!r} is never revealed afterwards")
    for name, cell in told.items():
        if name is not None and name not in asked:
            yield draft.problem(cell, f"reveals {name!r}, which was never predicted")


def core_minutes(draft: Draft) -> tuple[float, float, float]:
    """Minutes of reading, of exercises and of laptop compute in the core."""
    markdown = [cell.source for cell in draft.cells if cell.tree is None and not cell.extra]
    names = Counter(name for cell in draft.code() for name, _ in defined_exercises(cell.tree))
    specs = [draft.exercises[name] for name in names if name in draft.exercises]
    return (
        sum(map(count_words, markdown)) / WORDS_A_MINUTE,
        float(sum(spec.minutes for spec in specs if spec.core)),
        (draft.expected.seconds(draft.lesson, "laptop", "cpu") or 0) / 60,
    )


def core_fits(draft: Draft) -> Iterator[Problem]:
    """Reading, exercises and laptop compute of the core stay within 90 minutes."""
    if draft.expected.seconds(draft.lesson, "laptop", "cpu") is None:
        text = f"expected.toml has no seconds in [{draft.lesson}.laptop.cpu]: measure them"
        yield draft.problem(None, text)
    read, write, compute = core_minutes(draft)
    if read + write + compute > MAX_CORE_MINUTES:
        text = (
            f"the core takes {read + write + compute:.0f} minutes (reading {read:.0f}, exercises "
            f"{write:.0f}, compute {compute:.0f}); at most {MAX_CORE_MINUTES}: make parts extra"
        )
        yield draft.problem(None, text)


def has_bootstrap(draft: Draft) -> Iterator[Problem]:
    """The first code cell is the bootstrap cell, so that the notebook runs anywhere."""
    first = next(iter(draft.code()), None)
    if first is None or "colorkit[lab]" not in first.source:
        yield draft.problem(first, 'the first code cell must be tagged "bootstrap"')


RULES = (
    has_bootstrap,
    pictures_have_text,
    figures_have_text,
    figures_go_through_show,
    cells_are_short,
    cells_are_few,
    exercises_are_known,
    exercises_are_defined_once,
    core_is_marked,
    regions_are_whole,
    predictions_are_revealed,
    core_fits,
)


def measure_minutes(lesson: Lesson, exercises: Mapping[str, Any], expected: Expected) -> float:
    """The minutes of a lesson's core, as the lint counts them."""
    return sum(core_minutes(_draft(lesson, exercises, expected)[0]))


def expected_of(root: Path) -> Expected:
    """The expected numbers that belong to a checkout; colorkit's own where it has none."""
    own = Path(root) / "colorcourse" / "expected.toml"
    return Expected.load(own if own.is_file() else None)

"""Rules that every lesson keeps: text for every picture, short cells, known exercises, 90 minutes.

A rule is a function of a `Draft`; it yields a cell's number (or None) and what is wrong there.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from colorcourse.build import BEGIN, END, STUB, build_lesson
from colorcourse.checkout import lesson_ids
from colorcourse.exercises import Exercise, all_exercises
from colorcourse.recording import read_expected
from tests.demo import DOUBLE, SOURCE, make_checkout

ROOT = Path(__file__).parents[1]
LESSONS = lesson_ids(ROOT)
Found = Iterator[tuple[int | None, str]]
# What pyplot may be called for: to make a figure, or to set how all figures look.
FIGURES = {"subplots", "figure", "subplot_mosaic"}
ALLOWED = FIGURES | {"close", "get_cmap", "rc", "rc_context", "setp", "Normalize"}


def called(call: ast.Call) -> str:
    """The last part of the called name: ``show`` for ``plots.show(...)``; "" for the rest."""
    function = call.func
    return getattr(function, "attr", getattr(function, "id", ""))


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    """The calls of `name` or `something.name` in the tree."""
    return [n for n in ast.walk(tree) if isinstance(n, ast.Call) and called(n) == name]


def first_text(call: ast.Call) -> str:
    """The call's first argument where that is a plain string, else its source."""
    first = call.args[0]
    return str(first.value) if isinstance(first, ast.Constant) else ast.unparse(first)


def count_words(markdown: str) -> int:
    """Words that a reader reads: without code fences, addresses, tags and table rules.

    >>> count_words("# Two words\\n![a photograph](x.png) and [a link](http://a.b/c) | --- |")
    7
    """
    text = re.sub(r"```.*?```", " ", markdown, flags=re.DOTALL)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"<[^>]+>|https?://\S+", " ", text)
    return sum(any(c.isalnum() for c in word) for word in text.split())


def defined(tree: ast.Module) -> list[tuple[str, ast.AST]]:
    """Name and definition of each function or class decorated with ``@exercise(name)``."""
    return [
        (first_text(decorator), node)
        for node in ast.walk(tree)
        for decorator in getattr(node, "decorator_list", [])
        if isinstance(decorator, ast.Call) and called(decorator) == "exercise"
    ]


def parse(source: str) -> ast.Module:
    """The cell's syntax tree, magic commands read as `pass`; its source stays with it."""
    tree = ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE))
    tree.source = source
    return tree


@dataclass(frozen=True)
class Draft:
    """A lesson: its cells by number (from 1), those of code parsed, and the course around it."""

    lesson: str
    sources: dict[int, str]
    code: dict[int, ast.Module]
    stubs: dict[int, ast.Module]  # the same without the answers
    extra: set[int]
    exercises: dict[str, Exercise]
    laptop_seconds: float

    def defined(self) -> list[tuple[int, str, ast.AST]]:
        """Cell, name and definition of each ``@exercise``."""
        return [(number, *found) for number, tree in self.code.items() for found in defined(tree)]

    def checked(self) -> list[tuple[int, str]]:
        """Cell and name of each ``check``."""
        trees = self.code.items()
        return [(n, first_text(call)) for n, tree in trees for call in calls(tree, "check")]

    def minutes(self) -> tuple[float, float, float]:
        """What the core takes: reading at 180 words a minute, the exercises, and compute."""
        prose = [s for n, s in self.sources.items() if n not in self.code and n not in self.extra]
        specs = [self.exercises[name] for _, name, _ in self.defined() if name in self.exercises]
        return (
            sum(map(count_words, prose)) / 180,
            float(sum(spec.minutes for spec in specs if spec.core)),
            self.laptop_seconds / 60,
        )


def draft_of(root: Path, name: str, exercises: dict[str, Exercise], seconds: float) -> Draft:
    """Cells are extra that are tagged so, or stand under a tagged heading."""
    sources, code, stubs, extra, covering = {}, {}, {}, set(), 0
    lesson = build_lesson(root, name)
    pairs = zip(lesson.solution.cells, lesson.student.cells, strict=True)
    for number, (cell, stub) in enumerate(pairs, 1):
        sources[number], level = cell.source, 0
        if cell.cell_type == "code":
            code[number], stubs[number] = parse(cell.source), parse(stub.source)
        elif heading := re.match(r"\s*(#{1,6})\s", cell.source):
            level = len(heading.group(1))
        if 0 < level <= covering:
            covering = 0
        tagged = "extra" in cell.metadata.get("tags", [])
        if tagged and level and not covering:
            covering = level
        if tagged or covering:
            extra.add(number)
    return Draft(name, sources, code, stubs, extra, exercises, seconds)


def pictures_have_text(draft: Draft) -> Found:
    """Pictures of markdown and of HTML say what is to be seen."""
    for number, source in draft.sources.items():
        if number not in draft.code:
            for name in re.findall(r"!\[\s*\][\[(]([^\])]*)", source):
                yield number, f"picture {name!r} has no alt text"
        for tag in re.findall(r"<img\b[^>]*", source):
            if not re.search(r"\balt\s*=\s*(\S*\{|\\?[\"']?\s*[^\s\"'>])", tag):
                yield number, f"picture {tag[:50]!r} has no alt text"


def is_show(call: ast.Call) -> bool:
    """Whether this is colorkit's `show`, not another object's method of that name."""
    function = call.func
    return isinstance(function, ast.Name) or ast.unparse(function.value).endswith("plots")


def is_pyplot(call: ast.Call) -> bool:
    return re.match(r"(plt|pyplot)\.", ast.unparse(call.func)) is not None


def figures_go_through_show(draft: Draft) -> Found:
    """pyplot makes figures only; `show` displays each, with an alt text that is not empty."""
    for number, tree in draft.code.items():
        for call in filter(is_show, calls(tree, "show")):
            given = [k.value for k in call.keywords if k.arg == "alt"] + call.args[1:2]
            if not given:
                yield number, f"line {call.lineno}: show(...) without alt=..."
            elif isinstance(given[0], ast.Constant) and not str(given[0].value or "").strip():
                yield number, f"line {call.lineno}: show(...) with an empty alt text"
        nodes = list(ast.walk(tree))
        pyplot = [n for n in nodes if isinstance(n, ast.Call) and is_pyplot(n)]
        functions = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.Lambda)]
        inside = {node for function in functions for node in ast.walk(function)}
        for call in pyplot:
            if called(call) not in ALLOWED:
                yield number, f"line {call.lineno}: plt.{called(call)} draws past show(fig, alt)"
        figures = [call for call in pyplot if called(call) in FIGURES and call not in inside]
        if figures and not calls(tree, "show"):
            yield number, "a figure that never reaches show(fig, alt=...)"


def cells_are_short_and_few(draft: Draft) -> Found:
    """At most 60 cells, those of code at most 30 lines, the markers of an answer not counted."""
    for number in draft.code:
        lines = [x for x in draft.sources[number].splitlines() if x.strip() not in (BEGIN, END)]
        if len(lines) > 30:
            yield number, f"has {len(lines)} lines; at most 30: split it"
    if len(draft.sources) > 60:
        yield None, f"has {len(draft.sources)} cells; at most 60"


def exercises_are_known(draft: Draft) -> Found:
    """Names in `@exercise` and `check` are specified, for this lesson, and seen by the builder."""
    for number, tree in draft.code.items():
        seen = re.findall(r'^(?:@exercise|check)\("', draft.sources[number], flags=re.MULTILINE)
        if len(seen) != len(calls(tree, "exercise")) + len(calls(tree, "check")):
            yield number, 'write @exercise("name") and check("name") at the start of a line'
    for number, name in [(n, name) for n, name, _ in draft.defined()] + draft.checked():
        if name not in draft.exercises:
            yield number, f"there is no exercise {name!r} in colorkit's course"
        elif draft.exercises[name].lesson != draft.lesson:
            yield number, f"exercise {name!r} belongs to lesson {draft.exercises[name].lesson}"


def exercises_are_defined_once_then_checked(draft: Draft) -> Found:
    """One definition and at least one check, after it, of each exercise of the lesson."""
    defined: dict[str, int] = {}
    checked = {name: number for number, name in draft.checked()}
    for number, name, _ in draft.defined():
        if name in defined:
            yield number, f"defines {name!r} again, after cell {defined[name]}"
        defined.setdefault(name, number)
        if checked.get(name, 0) < number:
            yield number, f"exercise {name!r} is never checked afterwards: add check({name!r})"
    for name, number in checked.items():
        if name not in defined:
            yield number, f"checks {name!r}, which no cell defines"
    for name, spec in draft.exercises.items():
        if spec.lesson == draft.lesson and name not in defined:
            yield None, f"exercise {name!r} is specified but no cell defines it"


def core_is_marked_and_fits(draft: Draft) -> Found:
    """Core exercises are at most five, in core cells; the core stays within 90 minutes."""
    core = 0
    for number, name, _ in draft.defined():
        spec = draft.exercises.get(name)
        core += bool(spec and spec.core)
        if spec and spec.core == (number in draft.extra):
            kinds = ("core", "an extra") if spec.core else ("extra", "a core")
            yield number, f"{name!r} is specified as {kinds[0]} but stands in {kinds[1]} cell"
    if core > 5:
        yield None, f"has {core} core exercises; at most 5"
    minutes = draft.minutes()
    if sum(minutes) > 90:
        parts = "reading {:.0f}, exercises {:.0f}, compute {:.0f}".format(*minutes)
        yield None, f"the core takes {sum(minutes):.0f} minutes ({parts}); at most 90"


def regions_are_whole(draft: Draft) -> Found:
    """A student writes whole bodies: a docstring and the stub are left, and no other stub."""
    for number, tree in draft.stubs.items():
        written = []
        for name, node in defined(tree):
            functions = [node]
            if isinstance(node, ast.ClassDef):  # the named methods, and those with a stub in them
                wanted = draft.exercises[name].methods if name in draft.exercises else ()
                functions = [f for f in node.body if isinstance(f, ast.FunctionDef)]
                for missing in set(wanted) - {f.name for f in functions}:
                    yield number, f"exercise {name!r} has no method {missing!r}"
                has_stub = {f for f in functions if STUB in ast.get_source_segment(tree.source, f)}
                functions = [f for f in functions if f.name in wanted or f in has_stub]
            written += functions
        for function in written:
            body = function.body[ast.get_docstring(function) is not None :]
            text = ast.get_source_segment(tree.source, function)
            comment = re.search(r"^\s*#", text, flags=re.MULTILINE)
            if [ast.unparse(node) for node in body] != ["..."] or comment:
                text = f"{BEGIN} ... {END} must enclose the whole body of {function.name}"
                yield number, f"{text} after its docstring"
        if tree.source.count(STUB) > len(written):
            yield number, f"{BEGIN} outside an exercise's body"


def predictions_are_revealed(draft: Draft) -> Found:
    """Each `predict` has its `reveal`, later, and the reverse."""
    asked, told = (
        {first_text(call): n for n, tree in draft.code.items() for call in calls(tree, name)}
        for name in ("predict", "reveal")
    )
    for name, number in asked.items():
        if told.get(name, 0) < number:
            yield number, f"prediction {name!r} is never revealed afterwards"
    for name, number in told.items():
        if name not in asked:
            yield number, f"reveals {name!r}, which was never predicted"


def begins_with_the_bootstrap_cell(draft: Draft) -> Found:
    """So that the notebook runs anywhere."""
    first = min(draft.code, default=None)
    if first is None or "colorkit[lab]" not in draft.sources[first]:
        yield first, 'the first code cell must be tagged "bootstrap"'


RULES = (
    begins_with_the_bootstrap_cell,
    pictures_have_text,
    figures_go_through_show,
    cells_are_short_and_few,
    exercises_are_known,
    exercises_are_defined_once_then_checked,
    core_is_marked_and_fits,
    regions_are_whole,
    predictions_are_revealed,
)


def broken(draft: Draft) -> list[str]:
    """What all rules find, as text."""
    return [f"cell {number}: {text}" for rule in RULES for number, text in rule(draft)]


def draft_of_course(name: str) -> Draft:
    seconds = read_expected()[name]["laptop"]["cpu"]["seconds"]
    return draft_of(ROOT, name, all_exercises(), seconds)


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_keeps_the_rules(name):
    assert broken(draft_of_course(name)) == []


@pytest.mark.parametrize("name", LESSONS)
def test_the_readme_tells_how_long_the_core_of_a_lesson_takes(name):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| {int(name[:2])} .*\| (\d+) min \| (\d+) \|$", text, re.MULTILINE)
    assert int(row[1]) == pytest.approx(sum(draft_of_course(name).minutes()), abs=5)
    core = [spec for spec in all_exercises().values() if spec.lesson == name and spec.core]
    assert int(row[2]) == len(core)


# --- that each rule finds what breaks it ----------------------------------------------------------


def find(tmp_path, source, exercises=None, seconds=60):
    """What the rules find in the demo lesson made of this source."""
    root = make_checkout(tmp_path, **{"01_demo": source})
    return broken(draft_of(root, "01_demo", exercises or {"demo.double": DOUBLE}, seconds))


def test_a_good_lesson_breaks_no_rule(tmp_path):
    assert find(tmp_path, SOURCE) == []


PICTURE = "# %% [markdown]\n# {}\n"
CODE = "# %%\n{}\n"
FAULTS = {
    "picture": (PICTURE.format("![](a.png)"), "'a.png' has no alt text"),
    "html picture": (PICTURE.format("<img src='a.png'>"), "has no alt text"),
    "show": (CODE.format("show(fig)"), "without alt"),
    "empty alt": (CODE.format('show(fig, alt=" ")'), "empty alt"),
    "plt.imshow": (CODE.format("plt.imshow(x)"), "plt.imshow draws past show"),
    "figure": (CODE.format("fig, ax = plt.subplots()\nax.plot(x)"), "never reaches show"),
    "long": (CODE.format("x = 1\n" * 31), "has 31 lines"),
    "unknown": (CODE.format('check("demo.treble")'), "no exercise 'demo.treble'"),
    "unrevealed": (CODE.format('predict("a", "b", ["c"])'), "never revealed"),
    "unasked": (CODE.format('reveal("a", "b", "c")'), "never predicted"),
    "in a block": (CODE.format('if x:\n    check("demo.double")'), "at the start of a line"),
    "stray": (CODE.format(f"x = 1\n{BEGIN}\nx = 2\n{END}"), "### BEGIN SOLUTION outside"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_its_cell_named(tmp_path, fault):
    cell, text = FAULTS[fault]
    (problem, *_) = find(tmp_path, f"{SOURCE}\n{cell}")
    assert problem.startswith("cell 12: ")
    assert text in problem


FINE = {
    "picture": PICTURE.format("![a cat](a.png)"),
    "show": CODE.format('fig, ax = plt.subplots()\nshow(fig, alt="a line")'),
    "named alt": CODE.format("show(fig, alt=text)"),
    "drawing function": CODE.format("def draw():\n    fig, ax = plt.subplots()\n    return fig"),
    "magic": CODE.format("%timeit 1 + 1"),
    "30 lines": CODE.format("x = 1\n" * 30),
}


@pytest.mark.parametrize("good", FINE)
def test_what_is_allowed_breaks_no_rule(tmp_path, good):
    assert find(tmp_path, f"{SOURCE}\n{FINE[good]}") == []


CHANGES = {
    "defined twice": (
        "# %%\n1 + 1\n\n# %%\n1 + 1",
        '# %%\n@exercise("demo.double")\ndef double(x):\n    ### BEGIN SOLUTION\n    return x\n'
        '    ### END SOLUTION\n\n# %%\ncheck("demo.double")',
        "cell 7: defines 'demo.double' again, after cell 5",
    ),
    "never checked": ('check("demo.double")', "2", "cell 5: exercise 'demo.double' is never check"),
    "marker late": (
        "    ### BEGIN SOLUTION\n    y = x + x\n",
        "    y = x + x\n    ### BEGIN SOLUTION\n",
        "must enclose the whole body of double",
    ),
    "marker early": (
        "    return y\n    ### END SOLUTION\n",
        "    ### END SOLUTION\n    return y\n",
        "must enclose the whole body of double",
    ),
    "comment above": (
        "    ### BEGIN SOLUTION\n",
        "    # A comment outside.\n    ### BEGIN SOLUTION\n",
        "must enclose the whole body of double",
    ),
    "core under extra": (
        "# %% [markdown]\n",
        '# %% [markdown] tags=["extra"]\n',
        "is specified as core but stands in an extra cell",
    ),
    "many cells": ("# %%\n1 + 1\n", "# %%\n1\n" * 51, "has 61 cells; at most 60"),
    "no bootstrap": ('tags=["bootstrap"]', "", "cell 2: the first code cell must be tagged"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_breaks_a_rule_is_found(tmp_path, change):
    old, new, text = CHANGES[change]
    (problem,) = find(tmp_path, SOURCE.replace(old, new, 1))
    assert text in problem


def test_a_region_after_a_header_of_several_lines_is_whole(tmp_path):
    header = "def double(\n    x: float,\n) -> float:"
    assert find(tmp_path, SOURCE.replace("def double(x):", header)) == []


def test_core_minutes_count_words_exercises_and_compute(tmp_path):
    prose = SOURCE.replace("# Three plain words.", "# " + "word " * 180 * 60)
    extra = prose.replace("# Four words of extra.", "# " + "word " * 180 * 60)
    (problem,) = find(tmp_path, extra, seconds=1800)
    assert "the core takes 95 minutes (reading 60, exercises 5, compute 30)" in problem


def test_an_exercise_of_another_lesson_is_found(tmp_path):
    (problem, *_) = find(tmp_path, SOURCE, {"demo.double": replace(DOUBLE, lesson="02_other")})
    assert "belongs to lesson 02_other" in problem


def test_more_than_five_core_exercises_are_found(tmp_path):
    cell = '# %%\n@exercise("demo.{0}")\ndef f{0}(x):\n    ### BEGIN SOLUTION\n    return x\n'
    cell += '    ### END SOLUTION\n\n# %%\ncheck("demo.{0}")\n'
    specs = {"demo.double": DOUBLE}
    specs |= {f"demo.{i}": replace(DOUBLE, name=f"demo.{i}") for i in range(5)}
    core, extra, rest = SOURCE.partition("# %% [markdown] tags")
    (problem,) = find(tmp_path, core + "".join(map(cell.format, range(5))) + extra + rest, specs)
    assert "has 6 core exercises; at most 5" in problem


NETWORK = """\
# %%
@exercise("demo.double")
class Net:
    \"\"\"A network.\"\"\"

    def __init__(self):
        \"\"\"Make the layers.\"\"\"
        ### BEGIN SOLUTION
        self.layers = []
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION
        return x
        ### END SOLUTION

    def size(self):
        return 0

"""


@pytest.mark.parametrize(
    ("methods", "problems"),
    [
        (("__init__", "forward"), []),
        (("__init__", "size"), ["the whole body of size"]),
        (("__init__", "forward", "loss"), ["has no method 'loss'"]),
    ],
)
def test_methods_of_a_class_are_regions(tmp_path, methods, problems):
    start, end = SOURCE.index('# %%\n@exercise("demo'), SOURCE.index("# %%\ncheck")
    spec = replace(DOUBLE, methods=methods)
    found = find(tmp_path, SOURCE[:start] + NETWORK + SOURCE[end:], {"demo.double": spec})
    assert len(found) == len(problems)
    assert all(text in problem for text, problem in zip(problems, found, strict=True))

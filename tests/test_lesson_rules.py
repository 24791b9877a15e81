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
# The quiz and the written questions come after the lesson, in class or as homework: what limits the
# lesson's own cells does not count theirs.
AFTER = {"quiz", "written", "answer"}
Found = Iterator[tuple[int | None, str]]
# What pyplot may be called for: to make a figure, or to set how all figures look.
FIGURES = {"subplots", "figure", "subplot_mosaic"}
ALLOWED = FIGURES | {"close", "get_cmap", "rc", "rc_context", "setp", "Normalize"}
# What makes prose read like a translation, and home-made words for the field's (docs/glossary.md).
PHRASES = r"""\b(some|no)body\b
\bthings?\b
\b(the|one|another) ((faces|portraits) )?report\b
(?-i:\bWho\b)[^?.]*\.
\b(oracle|network|model|critic|generator|discriminator)s?,? who\b
\b(from nothing|by turns|of the truth's|all dice|spread 1|what no network|hardly a)\b
\b(perceptually even|(un)?evenness|more even than|likeness(es)?|unavoidable|liveliest)\b
\b(half|third|quarter|eighth) (of )?the size\b
\bnow \w+, now\b"""
WORST = re.compile(PHRASES.replace("\n", "|"), re.IGNORECASE)


def calls(tree: ast.AST, pattern: str) -> list[ast.Call]:
    """The calls (and calls as decorators) in the tree of what the pattern matches as a whole."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in found if re.fullmatch(pattern, ast.unparse(call.func))]


def named(code: dict[int, ast.Module], function: str) -> list[tuple[int, str]]:
    """Cell and first argument (a plain string, else its source) of each call of the function."""
    found = []
    for number, tree in code.items():
        for call in calls(tree, rf"(.*\.)?{function}"):
            first = call.args[0]
            name = first.value if isinstance(first, ast.Constant) else ast.unparse(first)
            found.append((number, str(name)))
    return found


def count_words(markdown: str) -> int:
    """Words that a reader reads: without code fences, addresses, tags and table rules.

    >>> count_words("# Two words\\n![a photograph](x.png) and [a link](http://a.b/c) | --- |")
    7
    """
    text = re.sub(r"```.*?```", " ", markdown, flags=re.DOTALL)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"<[^>]+>|https?://\S+", " ", text)
    return sum(any(c.isalnum() for c in word) for word in text.split())


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
    after: set[int]
    exercises: dict[str, Exercise]
    laptop_seconds: float

    def prose(self) -> list[str]:
        """The core's markdown."""
        return [s for n, s in self.sources.items() if n not in self.code and n not in self.extra]

    def minutes(self) -> tuple[float, float, float]:
        """What the core takes: reading at 180 words a minute, the exercises, and compute."""
        specs = [self.exercises.get(name) for _, name in named(self.code, "exercise")]
        return (
            sum(map(count_words, self.prose())) / 180,
            float(sum(spec.minutes for spec in specs if spec and spec.core)),
            self.laptop_seconds / 60,
        )


def draft_of(root: Path, name: str, exercises: dict[str, Exercise], seconds: float) -> Draft:
    """Cells are extra that are tagged so, or stand under a tagged heading."""
    sources, code, stubs, extra, after, covering = {}, {}, {}, set(), set(), 0
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
        tags = cell.metadata.get("tags", [])
        tagged = "extra" in tags
        covering = covering or level * tagged
        if tagged or covering:
            extra.add(number)
        if AFTER & {*tags}:
            after.add(number)
    return Draft(name, sources, code, stubs, extra, after, exercises, seconds)


def begins_with_the_bootstrap_cell(draft: Draft) -> Found:
    """So that the notebook runs anywhere."""
    first = min(draft.code, default=None)
    if first is None or "colorkit[lab]" not in draft.sources[first]:
        yield first, 'the first code cell must be tagged "bootstrap"'


def pictures_have_text(draft: Draft) -> Found:
    """Pictures of markdown and of HTML say what is to be seen."""
    for number, source in draft.sources.items():
        if number not in draft.code:
            for name in re.findall(r"!\[\s*\][\[(]([^\])]*)", source):
                yield number, f"picture {name!r} has no alt text"
        for tag in re.findall(r"<img\b[^>]*", source):
            if not re.search(r"\balt\s*=\s*(\S*\{|\\?[\"']?\s*[^\s\"'>])", tag):
                yield number, f"picture {tag[:50]!r} has no alt text"


def figures_go_through_show(draft: Draft) -> Found:
    """pyplot makes figures only; `show` displays each, with an alt text that is not empty."""
    for number, tree in draft.code.items():
        shows = calls(tree, r"(.*plots\.)?show")
        for call in shows:
            given = [k.value for k in call.keywords if k.arg == "alt"] + call.args[1:2]
            if not given:
                yield number, f"line {call.lineno}: show(...) without alt=..."
            elif isinstance(given[0], ast.Constant) and not str(given[0].value or "").strip():
                yield number, f"line {call.lineno}: show(...) with an empty alt text"
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.Lambda)]
        inside = {node for function in functions for node in ast.walk(function)}
        for call in calls(tree, r"(plt|pyplot)\..*"):
            name = ast.unparse(call.func).rpartition(".")[2]
            if name not in ALLOWED:
                yield number, f"line {call.lineno}: plt.{name} draws past show(fig, alt)"
            if name in FIGURES and call not in inside and not shows:
                yield number, "a figure that never reaches show(fig, alt=...)"


def a_lesson_is_short(draft: Draft) -> Found:
    """Few cells, short ones, few words, few imports; no blank line, marker or bootstrap counts."""
    sizes, names = {}, {"colorkit": 0, "colorcourse": 0}
    for number, tree in sorted(draft.code.items())[1:]:
        if number in draft.after:
            continue
        lines = [line.strip() for line in draft.sources[number].splitlines()]
        sizes[number] = sum(line not in ("", BEGIN, END) for line in lines)
        for node in ast.walk(tree):
            package = node.module.split(".")[0] if isinstance(node, ast.ImportFrom) else ""
            if package in names:
                names[package] += len(node.names)
    ordered = sorted(sizes.values()) or [0]
    for number, size in sizes.items():
        if size > 25:
            yield number, f"has {size} lines; at most 25: split it"
    for what, found, limit in (
        ("cells", len(draft.sources) - len(draft.after), 60),
        ("words in its core", sum(map(count_words, draft.prose())), 2000),
        ("lines of code", sum(ordered), 300),
        ("lines in the median cell", ordered[len(ordered) // 2], 5),
        ("lines in one cell of ten", ordered[(len(ordered) - 1) * 9 // 10], 15),
        ("names of colorkit", names["colorkit"], 12),
        ("names of colorcourse", names["colorcourse"], 9),
    ):
        if found > limit:
            yield None, f"has {found} {what}; at most {limit}"


def exercises_are_known_and_defined_once(draft: Draft) -> Found:
    """Those of the lesson and no others, and written so that the builder sees them."""
    names = named(draft.code, "exercise")
    for number in draft.code:
        seen = re.findall(r'^(?:@exercise|check)\("', draft.sources[number], flags=re.MULTILINE)
        if len(seen) != [n for n, _ in named(draft.code, "(exercise|check)")].count(number):
            yield number, 'write @exercise("name") and check("name") at the start of a line'
    for at, (number, name) in enumerate(names):
        if name not in draft.exercises:
            yield number, f"there is no exercise {name!r} in colorkit's course"
        elif draft.exercises[name].lesson != draft.lesson:
            yield number, f"exercise {name!r} belongs to lesson {draft.exercises[name].lesson}"
        if name in [earlier for _, earlier in names[:at]]:
            yield number, f"defines {name!r} again"
    for name, spec in draft.exercises.items():
        if spec.lesson == draft.lesson and name not in [name for _, name in names]:
            yield None, f"exercise {name!r} is specified but no cell defines it"


def what_is_asked_is_answered_later(draft: Draft) -> Found:
    """An exercise has its check after it, a prediction its reveal; and the reverse."""
    for asks, answers in (("exercise", "check"), ("predict", "reveal")):
        asked, answered = named(draft.code, asks), named(draft.code, answers)
        for number, name in asked:
            if not any(name == other and later >= number for later, other in answered):
                yield number, f"{asks}({name!r}) is not followed by {answers}({name!r})"
        for number, name in answered:
            if name not in [other for _, other in asked]:
                yield number, f"{answers}({name!r}) is without {asks}({name!r})"


def core_is_marked_and_fits(draft: Draft) -> Found:
    """Core exercises are at most five, in core cells; the core stays within 90 minutes."""
    core = 0
    for number, name in named(draft.code, "exercise"):
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
        for node in ast.walk(tree):
            decorators = ast.Module(getattr(node, "decorator_list", []), [])
            for _, name in named({number: decorators}, "exercise"):
                wanted = draft.exercises[name].methods if name in draft.exercises else ()
                inner = {f.name: f for f in node.body if isinstance(f, ast.FunctionDef)}
                for missing in set(wanted) - set(inner):
                    yield number, f"exercise {name!r} has no method {missing!r}"
                written += [inner[x] for x in wanted if x in inner] if wanted else [node]
        for function in written:
            body = function.body[ast.get_docstring(function) is not None :]
            text = ast.get_source_segment(tree.source, function)
            comment = re.search(r"^\s*#", text, flags=re.MULTILINE)
            if [ast.unparse(node) for node in body] != ["..."] or comment:
                text = f"{BEGIN} ... {END} must enclose the whole body of {function.name}"
                yield number, f"{text} after its docstring"
        if tree.source.count(STUB) > len(written):
            yield number, f"{BEGIN} outside an exercise's body"


def words_are_plain(draft: Draft) -> Found:
    """None of the worst phrases in markdown, nor in a cell's strings, such as an alt text."""
    for number, source in draft.sources.items():
        nodes = ast.walk(draft.code[number]) if number in draft.code else [ast.Constant(source)]
        for text in [str(node.value) for node in nodes if isinstance(node, ast.Constant)]:
            for found in WORST.finditer(" ".join(text.split())):
                yield number, f"{found[0]!r}: say it in plain English, in the field's terms"


RULES = (
    begins_with_the_bootstrap_cell,
    pictures_have_text,
    figures_go_through_show,
    a_lesson_is_short,
    exercises_are_known_and_defined_once,
    what_is_asked_is_answered_later,
    core_is_marked_and_fits,
    regions_are_whole,
    words_are_plain,
)


def broken(draft: Draft) -> list[str]:
    """What all rules find, as text."""
    return [f"cell {number}: {text}" for rule in RULES for number, text in rule(draft)]


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_keeps_the_rules_and_the_readme_tells_how_long_its_core_takes(name):
    seconds = read_expected()[name]["laptop"]["cpu"]["seconds"]
    draft = draft_of(ROOT, name, all_exercises(), seconds)
    assert broken(draft) == []
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| {int(name[:2])} .*\| (\d+) min \| (\d+) \|$", text, re.MULTILINE)
    said = [row[1], *re.findall(r"core takes about (\d+) minutes", " ".join(draft.prose()))]
    assert all(int(m) == pytest.approx(sum(draft.minutes()), abs=5) for m in said)
    assert int(row[2]) == sum(s.lesson == name and s.core for s in draft.exercises.values())
    assert [found[0] for found in WORST.finditer(" ".join(text.split()))] == []


# --- that each rule finds what breaks it ----------------------------------------------------------


def find(tmp_path, source, exercises=None, seconds=60):
    """What the rules find in the demo lesson made of this source."""
    root = make_checkout(tmp_path, **{"01_demo": source})
    return broken(draft_of(root, "01_demo", exercises or {"demo.double": DOUBLE}, seconds))


PICTURE = "# %% [markdown]\n# {}\n"
CODE = "# %%\n{}\n"
CELLS = {
    "picture": (PICTURE.format("![](a.png)"), "'a.png' has no alt text"),
    "html picture": (PICTURE.format("<img src='a.png'>"), "has no alt text"),
    "show": (CODE.format("show(fig)"), "without alt"),
    "empty alt": (CODE.format('show(fig, alt=" ")'), "empty alt"),
    "plt.imshow": (CODE.format("plt.imshow(x)"), "plt.imshow draws past show"),
    "figure": (CODE.format("fig, ax = plt.subplots()\nax.plot(x)"), "never reaches show"),
    "long": (CODE.format("x = 1\n" * 26), "has 26 lines; at most 25"),
    "unknown": (CODE.format('check("demo.treble")'), "without exercise('demo.treble')"),
    "unrevealed": (CODE.format('predict("a", "b", ["c"])'), "not followed by reveal('a')"),
    "unasked": (CODE.format('reveal("a", "b", "c")'), "without predict('a')"),
    "in a block": (CODE.format('if x:\n    check("demo.double")'), "at the start of a line"),
    "stray": (CODE.format(f"x = 1\n{BEGIN}\nx = 2\n{END}"), "### BEGIN SOLUTION outside"),
    "somebody": (PICTURE.format("Somebody knows."), "'Somebody': say it in plain English"),
    "headless": (PICTURE.format("Who\n# knows it is right."), "'Who knows it is right.': say it"),
    "alt": (CODE.format('show(fig, alt="a" f"{x} thing")'), "'thing': say it in plain English"),
    "good question": (PICTURE.format("Who reports it? Nothing the paper reports."), None),
    "good picture": (PICTURE.format("![a cat](a.png)"), None),
    "good show": (CODE.format('fig, ax = plt.subplots()\nshow(fig, alt="a line")'), None),
    "named alt": (CODE.format("show(fig, alt=text)"), None),
    "function": (CODE.format("def draw():\n    fig, ax = plt.subplots()\n    return fig"), None),
    "magic": (CODE.format("%timeit 1 + 1"), None),
    "25 lines": (CODE.format("x = 1\n" * 25 + "\n"), None),
}


BODY = f"(self, x):\n    {BEGIN}\n    return x\n    {END}\n\n"
DEFINED_AGAIN = f'# %%\n@exercise("demo.double")\ndef double{BODY}# %%\ncheck("demo.double")'
WHOLE_BODY = "must enclose the whole body of double"
CHANGES = {
    "defined twice": ("# %%\n1 + 1\n\n# %%\n1 + 1", DEFINED_AGAIN, "cell 7: defines 'demo.double'"),
    "never checked": ('check("demo.double")', "2", "not followed by check('demo.double')"),
    "marker late": (f"    {BEGIN}\n    y = x + x\n", f"    y = x + x\n    {BEGIN}\n", WHOLE_BODY),
    "marker early": (f"    return y\n    {END}\n", f"    {END}\n    return y\n", WHOLE_BODY),
    "comment above": (BEGIN, f"# A comment outside.\n    {BEGIN}", WHOLE_BODY),
    "core under extra": ("[markdown]\n", '[markdown] tags=["extra"]\n', "stands in an extra cell"),
    "good header of several lines": ("double(x):", "double(\n    x: float,\n) -> float:", None),
    "many cells": ("# %%\n1 + 1\n", "# %%\n1\n" * 51, "has 61 cells; at most 60"),
    "many names": ("1 + 1", f"from colorkit import {'x, ' * 12}x", "has 13 names of colorkit"),
    "many words": ("# Three", f"# {'word ' * 2000}", "words in its core; at most 2000"),
    "no bootstrap": ('tags=["bootstrap"]', "", "cell 2: the first code cell must be tagged"),
}


FAULTS = [(f"{SOURCE}\n{cell}", r"cell 12: .*", text) for cell, text in CELLS.values()]
FAULTS += [(SOURCE.replace(old, new, 1), ".*", text) for old, new, text in CHANGES.values()]


@pytest.mark.parametrize(("source", "start", "text"), FAULTS, ids=[*CELLS, *CHANGES])
def test_a_fault_is_found_and_its_cell_named_and_what_is_good_breaks_no_rule(
    tmp_path, source, start, text
):
    found = find(tmp_path, source)
    assert len(found) == (text is not None)
    assert all(re.match(start + re.escape(text), problem) for problem in found)


OTHER, BOTH = replace(DOUBLE, lesson="02_other"), {"demo.double": DOUBLE, "demo.treble": DOUBLE}
LONG = {"demo.double": replace(DOUBLE, minutes=65)}


SPECS = {f"demo.{i}": replace(DOUBLE, name=f"demo.{i}") for i in range(5)} | {"demo.double": DOUBLE}
AGAIN = "\n".join(DEFINED_AGAIN.replace("demo.double", name) for name in [*SPECS][:5])
SIX = SOURCE.replace("# %% [markdown] tags", f"{AGAIN}\n# %% [markdown] tags")
METHODS = [
    f"    def {name}{BODY}".replace("\n    ", "\n        ") for name in ("__init__", "forward")
]
NETWORK = "class Net:\n" + "".join(METHODS) + "    def size(self):\n        return 0\n\n"
NETWORK = SOURCE.replace(SOURCE[SOURCE.index("def double") : SOURCE.index("# %%\ncheck")], NETWORK)
METHODS = {
    more: replace(DOUBLE, methods=("__init__", "forward", *more.split()))
    for more in ("", "size", "loss")
}


@pytest.mark.parametrize(
    ("source", "specs", "text"),
    [
        (SOURCE, {"demo.double": OTHER}, "belongs to lesson 02_other"),
        (SOURCE, {"demo.treble": OTHER}, "there is no exercise 'demo.double'"),
        (SOURCE, BOTH, "'demo.treble' is specified but no cell"),
        (SOURCE, LONG, "the core takes 95 minutes (reading 0, exercises 65, compute 30)"),
        (SIX, SPECS, "has 6 core exercises; at most 5"),
        (NETWORK, {"demo.double": METHODS[""]}, ""),
        (NETWORK, {"demo.double": METHODS["size"]}, "the whole body of size"),
        (NETWORK, {"demo.double": METHODS["loss"]}, "has no method 'loss'"),
    ],
)
def test_faults_of_exercises_and_a_long_core_are_found(tmp_path, source, specs, text):
    found = find(tmp_path, source, specs, seconds=1800)
    assert len(found) == (text != "")
    assert all(text in problem for problem in found)

"""``colorkit grade``: points for submitted notebooks, from processes that no notebook can reach.

A student's notebook is never executed. Its answers run in a process of their own
(:mod:`colorcourse.grading.child`), which is told arguments and tells what came of them; this
process has the references and judges, so that nothing an answer does can change its verdict.
"""

import ast
import contextlib
import functools
import hashlib
import inspect
import json
import os
import re
import secrets
import sys
import time
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import nbformat

from colorcourse.checking import Outcome, Runaway, fault_of, hint_of
from colorcourse.checkout import SOURCES
from colorcourse.exercises import Case, Exercise, all_exercises
from colorcourse.grading.extract import (
    COURSE,
    DEFINED,
    Cells,
    closure,
    is_stub,
    read_cells,
    solution,
)
from colorcourse.grading.process import JUDGING, Answer, Name, Process
from colorcourse.grading.screen import borrowed, is_allowed, tampering
from colorkit.files import write_whole

FRESH = 3  # further cases of an exercise that are made from the private seed
LARGEST = 100 << 20  # bytes of a notebook
OTHERS = "It is right on the cases of the check, but not on others like them."  # which stay secret


@dataclass
class Mark:
    """What one exercise of one student earned, and why."""

    exercise: str
    most: int
    state: str = "missing"  # or: not done, refused, wrong, partly right, right
    passed: int = 0
    cases: int = 1
    hint: str = ""
    seconds: float = 0.0

    @property
    def points(self) -> float:
        return round(self.most * self.passed / self.cases, 2)


@dataclass
class Student:
    """A row: a student's marks by exercise, and what else is to be said."""

    name: str
    marks: dict[str, Mark] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def points(self) -> float:
        return sum(mark.points for mark in self.marks.values())


@dataclass
class Program:
    """An answer and what it needs in order to run."""

    answer: ast.stmt
    nodes: list[ast.stmt]  # definitions in order, the answer last
    lost: set[str]  # names that it uses and nothing defines
    helpers: set[Name]  # functions of the course's modules that it may call


def seeds(secret: str, exercise: str) -> list[int]:
    """Numbers that only who knows the secret can tell, for further cases of an exercise."""
    digests = (hashlib.sha256(f"{secret} {exercise} {n}".encode()).digest() for n in range(FRESH))
    return [int.from_bytes(digest[:4], "big") % 10**9 for digest in digests] if secret else []


def grade_lesson(
    cells: Cells, lesson: str, secret: str = "", hidden: Iterable[str] = (), patience: float = 1.0
) -> dict[str, Mark]:
    """The marks of one lesson, from the cells of one notebook.

    An earlier answer that another one calls is the student's own if it is right, else the course's,
    so that one mistake costs once. `patience` scales the limits of time.
    """
    hidden = [*hidden, str(COURSE.parent / SOURCES), str(COURSE)]
    course, specs = solution(lesson), all_exercises()
    marks: dict[str, Mark] = {}
    right: dict[str, ast.stmt] = {}  # the student's own answers that are right
    process: Process | None = None
    with JUDGING, contextlib.ExitStack() as stack:
        for name in course.answers:
            begun = time.monotonic()
            marks[name] = mark = Mark(name, specs[name].points)
            try:
                program = _find(mark, cells, course, right)
                if program is not None:
                    if process is None or process.process.poll() is not None:
                        needs = _imports(lesson, cells, course)
                        process = stack.enter_context(Process(*needs, hidden))
                    numbers, limit = seeds(secret, name), specs[name].time_limit * patience
                    _try(mark, specs[name], program, process, numbers, limit)
                    if mark.state == "right":
                        right[program.answer.name] = program.answer
            except Runaway as error:
                mark.state, mark.hint = "wrong", str(error)
            except Exception as error:
                text = f"It could not be graded: {type(error).__name__}: {error}"
                mark.state, mark.hint = "wrong", text[:500]
            mark.seconds = time.monotonic() - begun
    return marks


def _imports(lesson: str, cells: Cells, course: Cells) -> tuple[list[str], bool]:
    """The modules that a process for answers to a lesson loads; whether they use an optimizer."""
    text = (COURSE / f"lesson{lesson[:2]}" / "exercises.py").read_text(encoding="utf-8")
    answers = [n for table in (course, cells) for found in table.answers.values() for n in found]
    used = {x.id for node in answers for x in ast.walk(node) if isinstance(x, ast.Name)}
    nodes = [(node, None) for node in ast.parse(text).body]
    nodes += [(node, used) for table in (cells, course) for node in table.names.values()]
    found = []
    for node, names in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0):
            for alias in node.names:
                if names is None or (alias.asname or alias.name.split(".")[0]) in names:
                    home = getattr(node, "module", alias.name)
                    found += [home, *([f"{home}.{alias.name}"] if home == "colorkit" else [])]
    return [name for name in found if is_allowed(name)], "optim" in text


def _find(mark: Mark, cells: Cells, course: Cells, right: dict[str, ast.stmt]) -> Program | None:
    """What is to be run for an exercise; None, with the mark filled in, where there is nothing."""
    spec, target = all_exercises()[mark.exercise], course.answers[mark.exercise][0]
    candidates = cells.answers.get(spec.name, [])
    if not candidates and isinstance(cells.names.get(target.name), DEFINED):
        candidates, mark.hint = [cells.names[target.name]], "Its line @exercise(...) was missing. "
    done = [node for node in candidates if not is_stub(spec, node)]
    if not done:
        mark.state = "not done" if candidates else "missing"
        if not candidates and spec.name in cells.broken:
            mark.state, mark.hint = "wrong", f"Its cell is no Python: {cells.broken[spec.name]}."
        return None
    node = done[-1]
    if len(candidates) > 1:
        mark.hint += f"{len(candidates)} cells answer it: the last that is done was graded. "
    if spec.name in cells.broken:
        mark.hint += "Another cell of it is no Python. "
    # Which definitions may be used: the student's, but for answers that are not right; then those
    # of the lesson, with the answers to earlier exercises, but never to this or to a later one.
    answers = [n for nodes in cells.answers.values() for n in nodes]
    names = list(course.answers)
    later = [n for name in names[names.index(spec.name) :] for n in course.answers[name]]
    own = {k: n for k, n in cells.names.items() if n not in answers} | right | {node.name: node}
    given = {k: n for k, n in course.names.items() if n not in later}
    nodes, lost = closure(node.name, [own, given])
    students = [n for n in nodes if n not in course.names.values()]
    helpers = _helpers(target, course)
    if why := tampering(students, helpers):
        mark.state, mark.hint = "refused", f"{mark.hint}Not run, for {why}: no answer needs that."
        return None
    if name := borrowed(spec, students):
        mark.state = "wrong"
        mark.hint += f"This uses {name}, which is the answer itself. Write the steps yourself."
        return None
    return Program(node, nodes, lost, helpers)


def _helpers(target: ast.stmt, course: Cells) -> set[Name]:
    """The functions of the course's modules that the lesson's own answer calls."""
    found = set()
    for node in ast.walk(target):
        home = course.names.get(getattr(getattr(node, "value", None), "id", ""))
        ours = isinstance(home, ast.ImportFrom) and home.module.startswith("colorcourse.")
        if ours and isinstance(node, ast.Attribute):
            found.add((f"{home.module}.{node.value.id}", node.attr))
    return found


def _try(
    mark: Mark, spec: Exercise, program: Program, process: Process, numbers: list[int], limit: float
) -> None:
    """Run an answer in a process and judge it: the mark's cases, state and hint."""
    process.teach(program.helpers)
    tree = ast.Module(program.nodes, [])
    own: list[Name] = []  # what is to work no more; the course's own code may need it, though
    if "colorkit" in ast.unparse(tree):
        names = [(f.__module__, f.__qualname__) for f in (spec.reference, *spec.own)]
        own = [(m, name) for m, name in names if m.startswith("colorkit") and "<" not in name]
    process.ask(limit, "define", tree, program.answer.name, own)
    hint = (_by_cases if spec.cases else _by_judge)(mark, spec, process, numbers, limit)
    shares = {0: "wrong", mark.cases: "right"}
    mark.state = shares.get(mark.passed, "partly right")
    if "NameError" in hint and program.lost:
        names = " or ".join(sorted(program.lost))
        hint += f" Nothing at the notebook's top level is called {names}."
    mark.hint += hint[:1000]


def _by_cases(
    mark: Mark, spec: Exercise, process: Process, numbers: list[int], limit: float
) -> str:
    """Try the cases of the student's check, then fresh ones; count them, and give the hint."""
    fresh = [_fresh(spec, number) for number in numbers if spec.fresh]
    pairs, mark.cases, late = [], len(spec.cases) + len(fresh), ""
    form = spec.form and (spec.form.__module__, spec.form.__qualname__)
    process.teach([form] if form else [])
    for case in (*spec.cases, *fresh):
        data = process.data(case.args())
        try:
            value, problem, changed = process.ask(limit, "case", form, data)
        except Runaway as error:
            late = str(error)
            break
        except RuntimeError as error:  # an answer may return what fails when it is looked at
            value, problem, changed = None, str(error), ()
        pairs.append((case, Outcome(value, str(problem), tuple(map(int, changed)))))
    wrong = [case for case, outcome in pairs if fault_of(spec, case, outcome)]
    mark.passed = len(pairs) - len(wrong)
    hint = late or hint_of(spec, pairs[: len(spec.cases)]) or ""
    if not hint and wrong:
        hint = _public(spec, hint_of(spec, pairs) or "")
    return hint


@functools.cache
def _fresh(spec: Exercise, seed: int) -> Case:
    """The same case each time, so that what the reference gives is computed once."""
    return Case("a case of the grader's", partial(spec.fresh, seed))


def _public(spec: Exercise, hint: str) -> str:
    """The hint where it is a listed one: any other would tell a secret case."""
    return hint if hint in {mistake.hint for mistake in spec.wrong} else OTHERS


def _by_judge(
    mark: Mark, spec: Exercise, process: Process, numbers: list[int], limit: float
) -> str:
    """Ask the judge, and again with seeds where it takes one; count what passed."""
    takes_seed = "seed" in inspect.signature(spec.judge).parameters
    tries = [(), *((n,) for n in numbers if takes_seed)]
    mark.cases, hints = len(tries), []
    for seed in tries:
        try:
            hints.append(spec.judge(Answer(process, limit), *seed))
        except Runaway as error:
            return str(error)
        except Exception as error:  # the answer's own, or it gave what no judge expects
            hints.append(str(error) or type(error).__name__)
    mark.passed = hints.count(None)
    hint = next(filter(None, hints), "")
    return _public(spec, hint) if hint and hints[0] is None else hint


# --- a folder of submissions ----------------------------------------------------------------------


def notebooks_in(folder: Path) -> Iterator[tuple[str, str, float, bytes]]:
    """Each notebook below a folder, also in zip files: student, where it is, time, content.

    The student is the first folder below `folder`, else the file's name without the lesson's. The
    content is empty where it is too large or cannot be read.
    """
    for path in sorted(folder.rglob("*")):
        where, kind = path.relative_to(folder), path.suffix.lower()
        if kind not in (".ipynb", ".zip") or not path.is_file():
            continue
        if ".ipynb_checkpoints" in where.parts:
            continue
        own = re.sub(r"(?<=.)[-_ ]*\d\d_[a-z]+.*$", "", path.stem)
        name = unicodedata.normalize("NFC", where.parts[0] if len(where.parts) > 1 else own)
        when = path.stat().st_mtime
        if kind == ".ipynb":
            small = path.stat().st_size < LARGEST
            yield name, str(where), when, path.read_bytes() if small else b""
            continue
        try:
            with zipfile.ZipFile(path) as archive:
                for entry in archive.infolist():
                    if entry.filename.endswith(".ipynb") and entry.file_size < LARGEST:
                        with archive.open(entry) as file:
                            yield name, f"{where}/{entry.filename}", when, file.read(LARGEST)
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError):
            yield name, str(where), when, b""


def read(content: bytes) -> tuple[Cells, str]:
    """The definitions of a notebook and its lesson; ValueError where it is none of the course."""
    try:
        notebook = nbformat.reads(content.decode("utf-8-sig"), as_version=4)
        texts = ["".join(c.source) for c in notebook.cells if c.cell_type == "code"]
    except Exception as error:  # nbformat lets through what json and its schema raise
        why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:100]}"
        raise ValueError(f"is damaged or no notebook ({why})") from None
    cells, specs = read_cells(texts), all_exercises()
    named = [name for name in (*cells.answers, *cells.broken) if name in specs]
    if not named:
        raise ValueError("holds no exercise of the course: nothing says which lesson it is")
    return cells, Counter(specs[name].lesson for name in named).most_common(1)[0][0]


def grade_folder(
    folder: Path, secret: str = "", say: Callable[[str], None] = print, patience: float = 1.0,
    hidden: Iterable[Path] = (),
) -> list[Student]:  # fmt: skip
    """The marks of all students whose notebooks lie below a folder, in the order of their names."""
    students: dict[str, Student] = {}
    handed: dict[tuple[str, str], list[tuple[float, str, Cells]]] = {}
    for name, where, when, content in notebooks_in(folder):
        student = students.setdefault(name, Student(name))
        try:
            cells, lesson = read(content)
            handed.setdefault((name, lesson), []).append((when, where, cells))
        except ValueError as error:
            student.notes.append(f"{where} {error}")
    if not students:
        raise ValueError(f"{folder} holds no notebook (*.ipynb, also in folders and zip files)")
    paths = [path.resolve() for path in (folder, *hidden)]
    needed = [Path(sys.prefix).resolve(), COURSE]  # what a process itself has to read
    paths = [str(path) for path in paths if not any(x.is_relative_to(path) for x in needed)]

    def work(student: Student) -> None:
        begun = time.monotonic()
        for (name, lesson), found in sorted(handed.items()):
            if name != student.name:
                continue
            *earlier, (_, where, cells) = sorted(found, key=lambda entry: entry[:2])
            if earlier:
                text = f"{lesson}: handed in {len(found)} times; graded was the latest file, "
                student.notes.append(text + where)
            try:
                student.marks |= grade_lesson(cells, lesson, secret, paths, patience)
            except Exception as error:  # one submission never stops the others
                text = f"{where} was not graded: {type(error).__name__}: {error}"
                student.notes.append(text)
        seconds = time.monotonic() - begun
        said = f"{student.name}: {student.points:g} points, {seconds:.1f} s"
        say("; ".join([said, *student.notes]))

    ordered = [students[name] for name in sorted(students)]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 2)) as pool:
        list(pool.map(work, ordered))
    return ordered


def new_private(path: Path) -> None:
    """Write a file with a secret of which fresh cases are made; FileExistsError if it is there."""
    if path.exists():
        raise FileExistsError(
            f"{path} exists: another secret would give other cases. Choose another name."
        )
    write_whole(path, json.dumps({"colorkit grade": 1, "seed": secrets.token_hex(16)}) + "\n")


def read_private(path: Path) -> str:
    """The secret in a file of :func:`new_private`; ValueError where it holds none."""
    try:
        secret = json.loads(path.read_text(encoding="utf-8"))["seed"]
    except (ValueError, KeyError, TypeError):
        secret = None
    if not isinstance(secret, str) or len(secret) < 16:
        raise ValueError(f"{path} holds no seed: make one with colorkit grade --new-private FILE")
    return secret

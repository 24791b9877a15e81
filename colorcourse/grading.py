"""``colorkit grade``: points for submitted notebooks, from processes that no notebook can reach.

A student's notebook is never executed. Its answers run in a process of their own
(:mod:`colorcourse.grading_child`), which is told arguments and tells what came of them; this
process has the references and judges, so that nothing an answer does can change its verdict.
"""

import ast
import contextlib
import hashlib
import inspect
import io
import json
import os
import pickle
import re
import secrets
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import psutil

from colorcourse import checking, grading_child
from colorcourse import grading_source as source
from colorcourse.checkout import SOURCES
from colorcourse.exercises import Case, Exercise, Remote, all_exercises
from colorkit.files import write_whole

FRESH = 3  # further cases of an exercise that are made from the private seed
LARGEST = 100 << 20  # bytes of a notebook
LATE = "This took longer than {:g} seconds and was stopped. Does a loop never end?"
OTHERS = "It is right on the cases of the check, but not on others like them."  # which stay secret
JUDGING = threading.RLock()  # references run one at a time: torch's random state is the process's
PROCESS_MEMORY = 4 << 30  # bytes that a process may hold, torch and all


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
    seconds: float = 0.0


class Process:
    """A fresh Python in which answers to one lesson run; it ends when the block does."""

    def __init__(self, lesson: str, imports: Iterable[str], hidden: list[str]):
        self.known: set[tuple[str, str]] = set()
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        path = [p for p in sys.path if p and not any(Path(p).is_relative_to(h) for h in hidden[:1])]
        keep = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
        variables = {name: os.environ[name] for name in keep if name in os.environ}
        variables |= {"PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"}
        variables |= {"COLORKIT_STRICT": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        variables |= dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP"), self.folder.name)
        group = {"start_new_session": True} if os.name == "posix" else {}
        self.process = subprocess.Popen(
            [sys.executable, "-P", grading_child.__file__], env=variables, cwd=self.folder.name,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **group,
        )  # fmt: skip
        own = source.COURSE / f"lesson{lesson[:2]}" / "exercises.py"
        text = own.read_text(encoding="utf-8")
        modules = source.bundle([("colorcourse.checking", "run_case")])
        self.known.add(("colorcourse.checking", "run_case"))
        setup = {
            "imports": [*_imports(ast.parse(text).body), *imports],
            "optimizer": "optim" in text,
            "modules": modules,
            "hidden": hidden,
        }
        self._send(setup)
        self.ask(120, "ready")

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.folder.cleanup()

    def _send(self, request: Any) -> None:
        pickle.dump(request, self.process.stdin)
        self.process.stdin.flush()

    def kill(self) -> None:
        """End the process and all that it started."""
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
        if os.name == "posix":
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()

    def ask(self, seconds: float, method: str, *arguments: Any) -> Any:
        """What a method of the process gives; :class:`checking.Runaway` where it comes to no end.

        The limit is of processor time; the clock allows four times as much and half a minute.
        """
        nonce, got = secrets.token_bytes(16), []

        def talk() -> None:
            with contextlib.suppress(OSError, ValueError, struct.error, MemoryError):
                self._send((nonce, method, arguments))
                head = self.process.stdout.read(24)
                size = struct.unpack("<Q", head[16:])[0]
                if head[:16] == nonce and size <= grading_child.MOST:
                    got.append(self.process.stdout.read(size))

        JUDGING.release()  # others may judge while we wait
        try:
            begun, worked = time.monotonic(), self._used()[0]
            thread = threading.Thread(target=talk, daemon=True)
            thread.start()
            why = "Your code ended its process, or wrote where it must not."
            while thread.is_alive():
                thread.join(0.03)
                used, memory = self._used()
                if memory > PROCESS_MEMORY:
                    why = "Your code takes more memory than there is for it."
                elif used - worked > 2 * seconds + 2 or time.monotonic() - begun > 4 * seconds + 30:
                    why = LATE.format(seconds)
                else:
                    continue
                self.kill()
                thread.join(5)
                break
        finally:
            JUDGING.acquire()
        try:
            done, value = grading_child.decode(got[0])
            if not done:
                kind, text = value
                raise (
                    checking.Runaway(text) if kind == "Runaway" else RuntimeError(f"{kind}: {text}")
                )
        except (
            IndexError,
            ValueError,
            KeyError,
            TypeError,
            struct.error,
            RecursionError,
            AttributeError,
        ):
            self.kill()
            raise checking.Runaway(why) from None
        return value

    def _used(self) -> tuple[float, int]:
        """Processor seconds and bytes of the process with all that it started."""
        seconds, memory = 0.0, 0
        with contextlib.suppress(psutil.Error):
            own = psutil.Process(self.process.pid)
            for process in (own, *own.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    seconds += times.user + times.system
                    memory += process.memory_info().rss
        return seconds, memory

    def data(self, value: Any, *functions: Callable) -> bytes:
        """Arguments as bytes, after the process was told the course's functions and classes."""
        wanted = {(f.__module__, f.__qualname__) for f in functions}

        class Pickler(pickle.Pickler):
            def persistent_id(self, thing: Any) -> None:
                if isinstance(thing, type) and thing.__module__.startswith("colorcourse"):
                    wanted.add((thing.__module__, thing.__qualname__))

        file = io.BytesIO()
        Pickler(file).dump(value)
        if new := wanted - self.known:
            self.known |= new
            self.ask(20, "modules", source.bundle(sorted(new)))
        return file.getvalue()


class Answer(Remote):
    """The answer that a process has defined, for a judge to call."""

    def __init__(self, process: Process, limit: float):
        self.process, self.limit = process, limit

    def __call__(self, *args: Any) -> Any:
        data = self.process.data(args)
        value, problem, after = self.process.ask(self.limit, "call", data, self.limit)
        if problem:
            raise RuntimeError(str(problem))
        for old, new in zip(args, after, strict=True):  # what was changed in place
            if hasattr(old, "copy_") and old.shape == new.shape:
                old.detach().copy_(new)
        return value

    def beside(self, function: Callable, *args: Any) -> Any:
        for text in (x for x in args if isinstance(x, str)):  # a line of a program, in a clinic
            with contextlib.suppress(SyntaxError):
                if why := source.tampering([ast.parse(text.strip())], set()):
                    raise RuntimeError(f"The line {text!r} was not run: {why}.")
        name = (function.__module__, function.__qualname__)
        data = self.process.data(args, function)
        value, problem = self.process.ask(self.limit, "beside", name, data, self.limit)
        if problem:
            raise RuntimeError(str(problem))
        return value


def _imports(nodes: Iterable[ast.stmt]) -> list[str]:
    """The modules outside of the course that imports among the nodes name."""
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [
                node.module,
                *(f"{node.module}.{a.name}" for a in node.names if node.module == "colorkit"),
            ]
    return [name for name in found if name.split(".")[0] in source.MODULES]


def solution(lesson: str) -> source.Cells:
    """The definitions of a lesson's source; FileNotFoundError where there is no checkout."""
    path = source.COURSE.parent / SOURCES / f"{lesson}.py"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: grade with colorkit installed from a checkout")
    return source.module_cells(path)


def seeds(secret: str, exercise: str) -> list[int]:
    """Numbers that only who knows the secret can tell, for further cases of an exercise."""
    digests = (hashlib.sha256(f"{secret} {exercise} {n}".encode()).digest() for n in range(FRESH))
    return [int.from_bytes(digest[:4], "big") % 10**9 for digest in digests] if secret else []


def grade_lesson(
    cells: source.Cells, lesson: str, secret: str = "", hidden: list[str] | None = None,
    patience: float = 1.0,
) -> dict[str, Mark]:  # fmt: skip
    """The marks of one lesson, from the cells of one notebook.

    An earlier answer that another one calls is the student's own if it is right, else the course's,
    so that one mistake costs once. `patience` scales the limits of time.
    """
    with JUDGING, contextlib.ExitStack() as stack:
        course, specs = solution(lesson), all_exercises()
        marks: dict[str, Mark] = {}
        chosen: dict[str, ast.stmt] = {}  # the definition that was graded
        hidden = [*(hidden or []), str(source.COURSE.parent / SOURCES), str(source.COURSE)]
        process: list[Process] = []

        def running() -> Process:
            if not process or process[-1].process.poll() is not None:
                nodes = [node for table in (cells, course) for node in table.names.values()]
                kept = [n for name in course.answers for n in course.answers[name]]
                used = {
                    x for n in (*kept, *(a[-1] for a in cells.answers.values())) for x in _roots(n)
                }
                imports = [n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]
                imports = [_only(n, used) for n in imports]
                process.append(stack.enter_context(
                    Process(lesson, _imports(n for n in imports if n), hidden)))  # fmt: skip
            return process[-1]

        for name in course.answers:
            begun = time.monotonic()
            right = {k: n for k, n in chosen.items() if marks[k].state == "right"}
            marks[name] = mark = Mark(name, specs[name].points)
            try:
                chosen |= _grade(mark, specs[name], cells, course, right, running, secret, patience)
            except checking.Runaway as error:
                mark.state, mark.hint = "wrong", str(error)
            except Exception as error:
                mark.state, mark.hint = (
                    "wrong",
                    f"It could not be graded: {type(error).__name__}: {error}"[:500],
                )
            mark.seconds = time.monotonic() - begun
        return marks


def _roots(node: ast.stmt) -> set[str]:
    return {x.id for x in ast.walk(node) if isinstance(x, ast.Name)}


def _only(node: ast.stmt, names: set[str]) -> ast.stmt | None:
    """An import without what is not used, None where nothing is left; other statements as is."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return node
    aliases = [
        a for a in node.names if (a.asname or a.name.split(".")[0]) in names or a.name == "*"
    ]
    fields = dict(ast.iter_fields(node)) | {"names": aliases}
    return ast.copy_location(type(node)(**fields), node) if aliases else None


def _grade(
    mark, spec: Exercise, cells, course, right: dict, running, secret: str, patience: float
) -> dict[str, ast.stmt]:
    """Fill in the mark of one exercise; its name with the definition that was graded, if any."""
    target = course.answers[spec.name][0]
    candidates = cells.answers.get(spec.name, [])
    if not candidates and isinstance(cells.names.get(target.name), source.DEFINED):
        candidates, mark.hint = [cells.names[target.name]], "Its line @exercise(...) was missing. "
    if not candidates:
        if spec.name in cells.broken:
            mark.state, mark.hint = "wrong", f"Its cell is no Python: {cells.broken[spec.name]}."
        return {}
    done = [node for node in candidates if not source.is_stub(spec, node)]
    if not done:
        mark.state = "not done"
        return {}
    node = done[-1]
    if len(candidates) > 1:
        mark.hint += f"{len(candidates)} cells answer it: the last that is done was graded. "
    if spec.name in cells.broken:
        mark.hint += "Another cell of it is no Python. "
    # Which definitions may be used: the student's, but for answers that are not right; then those
    # of the lesson, with the answers to earlier exercises, but never to this or to a later one.
    answers = {id(n) for nodes in cells.answers.values() for n in nodes}
    names = list(course.answers)
    later = {id(n) for name in names[names.index(spec.name) :] for n in course.answers[name]}
    own = {k: n for k, n in cells.names.items() if id(n) not in answers}
    own |= {n.name: n for n in right.values()} | {node.name: node}
    given = {k: n for k, n in course.names.items() if id(n) not in later}
    nodes, lost = source.closure(node, [own, given])
    used = {name for n in nodes for name in _roots(n)}
    nodes = [n for n in (_only(n, used) for n in nodes) if n is not None]
    theirs = {id(n) for n in course.names.values()}
    students = [n for n in nodes if id(n) not in theirs]
    helpers = _helpers(target, course)
    if why := source.tampering(students, set(helpers)):
        mark.state, mark.hint = "refused", f"{mark.hint}Not run, for {why}: no answer needs that."
        return {spec.name: node}
    if name := source.borrowed(spec, students):
        mark.state, mark.hint = (
            "wrong",
            f"{mark.hint}This uses {name}, which is the answer itself. Write the steps yourself.",
        )
        return {spec.name: node}
    process, limit = running(), spec.time_limit * patience
    process.data((), *helpers.values())
    library = any(x.startswith("colorkit") for x in _imports(y for n in nodes for y in ast.walk(n)))
    gutted = [
        (f.__module__, f.__qualname__)
        for f in (spec.reference, *spec.own)
        if library and f.__module__.startswith("colorkit") and "<" not in f.__qualname__
    ]
    process.ask(limit, "define", ast.Module(nodes, []), node.name, gutted)
    hint = (_by_cases if spec.cases else _by_judge)(
        mark, spec, process, seeds(secret, spec.name), limit
    )
    mark.state = (
        "right" if mark.passed == mark.cases else "partly right" if mark.passed else "wrong"
    )
    if hint and "NameError" in hint and lost:
        hint += f" Nothing at the notebook's top level is called {' or '.join(sorted(lost))}."
    mark.hint += hint[:1000]
    return {spec.name: node}


def _helpers(target: ast.stmt, course: source.Cells) -> dict[str, Callable]:
    """The functions of the course's modules that the lesson's own answer calls, by dotted name."""
    import importlib

    found = {}
    for node in ast.walk(target):
        home = course.names.get(getattr(getattr(node, "value", None), "id", ""))
        if (
            isinstance(node, ast.Attribute)
            and isinstance(home, ast.ImportFrom)
            and home.module.startswith("colorcourse.")
        ):
            module = importlib.import_module(f"{home.module}.{node.value.id}")
            function = partial(getattr(module, node.attr))
            function.__module__, function.__qualname__ = module.__name__, node.attr
            found[f"{node.value.id}.{node.attr}"] = function
    return found


def _by_cases(
    mark: Mark, spec: Exercise, process: Process, numbers: list[int], limit: float
) -> str:
    """Try the cases of the student's check, then fresh ones; count them, and give the hint."""
    fresh = [Case("a case of the grader's", _fresh(spec, n)) for n in numbers if spec.fresh]
    pairs, mark.cases, late = [], len(spec.cases) + len(fresh), ""
    form = spec.form and (spec.form.__module__, spec.form.__qualname__)
    for case in (*spec.cases, *fresh):
        data = process.data(case.args(), *filter(None, [spec.form]))
        try:
            value, problem, changed = process.ask(limit, "case", form, data, limit)
        except checking.Runaway as error:
            late = str(error)
            break
        except RuntimeError as error:  # an answer may return what fails when it is looked at
            value, problem, changed = None, str(error), ()
        pairs.append((case, checking.Outcome(value, str(problem), tuple(map(int, changed)))))
    wrong = [case for case, outcome in pairs if checking.fault_of(spec, case, outcome)]
    mark.passed = len(pairs) - len(wrong)
    public = [pair for pair in pairs if pair[0] not in fresh]
    hint = late or checking.hint_of(spec, public) or ""
    if not hint and wrong:
        hint = checking.hint_of(spec, pairs) or ""
        if hint not in {mistake.hint for mistake in spec.wrong}:  # it would tell a secret case
            hint = OTHERS
    return hint


_made: dict[tuple[str, int], Callable[[], tuple]] = {}


def _fresh(spec: Exercise, seed: int) -> Callable[[], tuple]:
    """The same function each time, so that what the reference gives is computed once."""
    return _made.setdefault((spec.name, seed), partial(spec.fresh, seed))


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
        except checking.Runaway as error:
            return str(error)
        except Exception as error:  # the answer's own, or it gave what no judge expects
            hints.append(str(error) or type(error).__name__)
    mark.passed = hints.count(None)
    hint = next(filter(None, hints), "")
    if hints[0] is None and hint not in {mistake.hint for mistake in spec.wrong}:
        return hint and OTHERS
    return hint


# --- a folder of submissions ----------------------------------------------------------------------


def notebooks_in(folder: Path) -> Iterator[tuple[str, str, float, bytes]]:
    """Each notebook below a folder, also in zip files: student, where it is, time, content.

    The student is the first folder below `folder`, else the file's name without the lesson's.
    """
    for path in sorted(folder.rglob("*")):
        where = path.relative_to(folder)
        if (
            path.suffix.lower() not in (".ipynb", ".zip")
            or not path.is_file()
            or ".ipynb_checkpoints" in where.parts
        ):
            continue
        name = (
            where.parts[0]
            if len(where.parts) > 1
            else re.sub(r"(?<=.)[-_ ]*\d\d_[a-z]+.*$", "", path.stem)
        )
        name, time_of = unicodedata.normalize("NFC", name), path.stat().st_mtime
        if path.suffix.lower() == ".ipynb":
            yield (
                name,
                str(where),
                time_of,
                path.read_bytes() if path.stat().st_size < LARGEST else b"",
            )
            continue
        try:
            with zipfile.ZipFile(path) as archive:
                for entry in archive.infolist():
                    if entry.filename.endswith(".ipynb") and entry.file_size < LARGEST:
                        with archive.open(entry) as file:
                            yield name, f"{where}/{entry.filename}", time_of, file.read(LARGEST)
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError):
            yield name, str(where), time_of, b""


def read(content: bytes) -> tuple[source.Cells, str]:
    """The definitions of a notebook and its lesson; ValueError where it is none of the course."""
    try:
        notebook = nbformat.reads(content.decode("utf-8-sig"), as_version=4)
        texts = ["".join(c.source) for c in notebook.cells if c.cell_type == "code"]
    except Exception as error:  # nbformat lets through what json and its schema raise
        text = str(error).splitlines() or [""]
        raise ValueError(
            f"is damaged or no notebook ({type(error).__name__}: {text[0][:100]})"
        ) from None
    cells, specs = source.read_cells(texts), all_exercises()
    lessons = Counter(
        specs[name].lesson for name in (*cells.answers, *cells.broken) if name in specs
    )
    if not lessons:
        raise ValueError("holds no exercise of the course: nothing says which lesson it is")
    return cells, lessons.most_common(1)[0][0]


def grade_folder(
    folder: Path, secret: str = "", say: Callable[[str], None] = print, patience: float = 1.0,
    hidden: Iterable[Path] = (),
) -> list[Student]:  # fmt: skip
    """The marks of all students whose notebooks lie below a folder, in the order of their names."""
    students: dict[str, Student] = {}
    handed: dict[tuple[str, str], list[tuple[float, str, source.Cells]]] = {}
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
    needed = [Path(sys.prefix).resolve(), source.COURSE]  # what a process itself has to read
    paths = [str(path) for path in paths if not any(x.is_relative_to(path) for x in needed)]

    def work(name: str) -> None:
        student, begun = students[name], time.monotonic()
        for (whose, lesson), found in sorted(handed.items()):
            if whose == name:
                found.sort(key=lambda entry: entry[:2])
                if len(found) > 1:
                    text = f"{lesson}: handed in {len(found)} times; graded was the latest file, "
                    student.notes.append(text + found[-1][1])
                try:
                    student.marks |= grade_lesson(found[-1][2], lesson, secret, paths, patience)
                except Exception as error:  # one submission never stops the others
                    student.notes.append(
                        f"{found[-1][1]} was not graded: {type(error).__name__}: {error}"
                    )
        student.seconds = time.monotonic() - begun
        points = sum(mark.points for mark in student.marks.values())
        said = [f"{name}: {points:g} points, {student.seconds:.1f} s", *student.notes]
        say("; ".join(said))

    with ThreadPoolExecutor(min(8, os.cpu_count() or 2)) as pool:
        list(pool.map(work, sorted(students)))
    return [students[name] for name in sorted(students)]


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

"""colorkit grade and collect: a folder of submissions, honest and not, each with what it earns."""

import csv
import html
import json
import os
import subprocess
import sys
import zipfile

import nbformat
import pytest
from click.testing import CliRunner

from colorcourse.build import build_lesson
from colorcourse.checkout import lesson_ids
from colorcourse.exercises import all_exercises
from colorcourse.grading import child, cli, grade, process, report
from colorcourse.grading.extract import bundle, closure, is_stub, read_cells, solution
from colorcourse.grading.screen import borrowed, tampering
from tests.conftest import ROOT

NAME, TASK = "01_lab", "lab.linearize"
LESSON = build_lesson(ROOT, NAME)
RIGHT = """bright = ((srgb + 0.055) / 1.055) ** 2.4
    return torch.where(srgb <= 0.04045, srgb / 12.92, bright)"""
LOOP = "while True:\n        pass"
LISTEN = "numpy.loadtxt('http://127.0.0.1:9/x')"


def answer(body=RIGHT, head="def linearize(srgb):", before=""):
    """A cell that answers lab.linearize."""
    return f'{before}@exercise("{TASK}")\n{head}\n    {body}\n'


def notebook(*cells, solved=False, change=lambda source: source):
    """Lesson 1, undone or solved, with its cell of lab.linearize replaced by others."""
    made = nbformat.from_dict(LESSON.solution if solved else LESSON.student).copy()
    made.cells = []
    for cell in (LESSON.solution if solved else LESSON.student).cells:
        ours = cell.cell_type == "code" and f'@exercise("{TASK}")' in cell.source
        texts = cells if ours and cells else [cell.source]
        for text in map(change, texts):
            make = (
                nbformat.v4.new_code_cell
                if cell.cell_type == "code"
                else nbformat.v4.new_markdown_cell
            )
            made.cells.append(make(text))
    return nbformat.writes(made)


def front(text, **options):
    """An undone notebook with one more cell at its beginning, and one at its end."""
    made = nbformat.reads(notebook(**options), as_version=4)
    made.cells.insert(0, nbformat.v4.new_code_cell(text))
    made.cells.append(nbformat.v4.new_code_cell(text))
    return nbformat.writes(made)


def without(*words):
    """A solved notebook without the cells that hold one of the words."""
    made = nbformat.reads(notebook(solved=True), as_version=4)
    made.cells = [c for c in made.cells if not any(word in c.source for word in words)]
    return nbformat.writes(made)


def loud():
    """Right answers that print 5 MB, and 5 MB of outputs in the notebook."""
    made = nbformat.reads(
        notebook(answer(f"print('x' * 5_000_000)\n    {RIGHT}"), solved=True), as_version=4
    )
    made.cells[2].outputs = [nbformat.v4.new_output("stream", text="x" * 5_000_000)]
    return nbformat.writes(made)


# Student: the notebook (or the body of lab.linearize in an undone one), the sum of points, and
# words of the hint or the notes. The whole lesson has six points.
HONEST = {
    "right": (notebook(solved=True), 6, ""),
    "wrong": (answer("return srgb**2.2"), 0, "rule of thumb"),
    "undone": (notebook(), 0, ""),
    "one wrong": (notebook(answer("return srgb / 12.92"), solved=True), 5, "Values above 0.04045"),
    "syntax error": (notebook(answer("return srgb **"), solved=True), 5, "invalid syntax, line 3"),
    "endless loop": (notebook(answer(LOOP), solved=True), 5, "longer than"),
    "catches everything": (answer("while True:\n        try:\n            srgb + 1\n        except BaseException:\n            pass"), 0, "longer than"),
    "never back in Python": (answer("return 10 ** 10 ** 10"), 0, "longer than"),
    "sleeps": (answer("time.sleep(1000)", before="import time\n"), 0, "longer than"),
    "leaves": (answer("raise SystemExit"), 0, "ends the program"),
    "sys.exit": (answer("sys.exit(0)", before="import sys\n"), 0, "imports sys"),
    "memory": (answer("return torch.ones(10**11)"), 0, "RuntimeError"),
    "renamed": (notebook(answer(head="def mine(srgb):"), solved=True), 6, ""),
    "lost line": (notebook(answer().split("\n", 1)[1], solved=True), 6, "line @exercise(...) was missing"),
    "deleted cells": (without("check(", "import torch", "lab_f(t)", "RGB_TO_XYZ = "), 6, ""),
    "copied cells": (notebook(answer("return srgb"), answer(), answer("..."), solved=True), 6, "3 cells answer it"),
    "its own helper": (answer("return power(srgb)", before=f"def power(srgb):\n    {RIGHT}\n\n\n"), 1, ""),
    "magics": (notebook(answer(before="%matplotlib inline\n!ls\n")), 1, ""),
    "IPython's lines": (answer(f"n = (7\n    % 3)\n    {RIGHT}\nfiles = !ls\nlinearize?", before="%%time\n"), 1, ""),
    "another language": (notebook("%%bash\nlinearize=2", answer()), 1, ""),
    "a dataclass": (answer(before="@dataclasses.dataclass\nclass Curve:\n    gamma: float = 2.4\n\n\nimport dataclasses\n").replace("2.4\n    return", "Curve().gamma\n    return"), 1, ""),
    "5 MB": (loud(), 6, ""),
    "in place": (answer("srgb *= 0.9\n    " + RIGHT), 0, "in place"),
    "damaged": ('{"cells": [{"cell_type": "code"', 0, "damaged or no notebook"),
    "of no lesson": (nbformat.writes(nbformat.v4.new_notebook()), 0, "holds no exercise"),
    "Zoë Müller 张伟": (notebook(solved=True), 6, ""),
    "=1+cmd & co": (notebook(answer("return '<script>alert(1)</script>'")), 0, "str"),
}  # fmt: skip
TAMPERING = {
    "sets strict": (front("import os\nos.environ['COLORKIT_STRICT'] = '0'"), 0, ""),
    "replaces check": (front("def check(name):\n    print('right')"), 0, ""),
    "patches the checker": (front("import colorcourse.checking as c\nc.grade = lambda name: c.Verdict('right', '')"), 0, ""),
    "registers the reference": (front(
        "from colorcourse import exercises\nspec = exercises.find('lab.linearize')\n"
        "exercises.submissions[spec.name] = spec.reference, ()"), 0, ""),
    "answers by assignment": (front("from colorkit.color import linearize\nexercise('lab.linearize')(linearize)"), 0, ""),
    "imports the reference": (answer("from colorcourse.lesson01 import exercises as e\n    return e.color.linearize(srgb)"), 0, "imports colorcourse"),
    "calls the library": (answer("return color.linearize(srgb)", before="from colorkit import color\n"), 0, "the answer itself"),
    "by another name": (answer("c = [color][0]\n    return c.linearize(srgb)", before="from colorkit import color\n"), 0, "the answer itself"),
    "by a neighbour": (answer("gray = color.rgb_to_lab(srgb)\n    return color.to_xyz(srgb)", before="from colorkit import color\n"), 0, ""),
    "calls its own solution": (notebook(answer("return linearize(srgb)", head="def other(srgb):")), 0, "NameError"),
    "calls a later solution": (notebook(answer("return decode(srgb, srgb)", head="def other(srgb):")), 0, "NameError"),
    "by getattr": (answer("return getattr(color, 'line' + 'arize')(srgb)", before="from colorkit import color\n"), 0, "getattr"),
    "by getattr's other name": (answer("g = getattr\n    return g(linearize, '_'+'_globals_'+'_')"), 0, "uses getattr without"),
    "patches by setattr": (answer("setattr(torch.Tensor, 'isnan', lambda x: x)\n    return srgb"), 0, "setattr"),
    "runs a pickle": (answer("torch.load(torch.serialization.io.BytesIO(b'x'), weights_only=False)"), 0, "uses load"),
    "runs a text": (answer("numpy.testing.runstring('x = 1', {})\n    " + RIGHT, before="import numpy\n"), 0, "uses runstring"),
    "patches in its body": (answer("import colorcourse.checking as c\n    c.difference = lambda *a, **k: ''\n    return srgb"), 0, "imports colorcourse"),
    "patches when defined": (answer("return srgb", head="def linearize(srgb, c=__import__('colorcourse.checking')):"), 0, "uses __import__"),
    "by a decorator": (answer("return srgb", before="@register\n").replace("@register\n@ex", "@ex").replace("\ndef", "\n@register\ndef"), 0, "uses register"),
    "patches torch": (answer("torch.equal = torch.allclose = lambda *a, **k: True\n    return srgb"), 0, "changes torch"),
    "patches a tensor": (answer("torch.Tensor.isnan = lambda x: x\n    return srgb"), 0, "changes torch"),
    "sets the environment": (answer("import os\n    os.environ['COLORKIT_STRICT'] = '0'\n    return srgb"), 0, "imports os"),
    "prints the verdict": (answer("print('✓ lab.linearize: right. Well done.')\n    return srgb"), 0, "differ"),
    "equals everything": (answer("return Yes()", before="class Yes:\n    ndim = 0\n    def __eq__(self, x): return True\n    def __float__(self): return 0.0\n\n\n"), 0, "a tensor was asked for"),
    "a false tensor": (answer("class T(torch.Tensor):\n        def __sub__(self, x): return 0 * srgb\n    return srgb.as_subclass(T)"), 0, "differ"),
    "opens a file": (answer("open('/tmp/here', 'w')\n    return srgb"), 0, "uses open"),
    "saves a file": (answer("torch.save(srgb, 'here.pt')\n    return srgb"), 0, "RuntimeError"),
    "walks frames": (answer("try:\n        1 / 0\n    except Exception as e:\n        return e.__traceback__"), 0, "uses __traceback__"),
    "walks the garbage": (answer("import gc\n    return gc.get_objects()"), 0, "imports gc"),
    "hides a name": (answer("return '{0.__globals__}'.format(linearize)"), 0, "holds __globals__"),
    "by a pattern": (answer("match linearize:\n        case object(__globals__=g):\n            return g"), 0, "uses __globals__"),
    "network": (answer(f"return {LISTEN}", before="import numpy\n"), 0, "grading allows no"),
    "fork": (answer("torch.multiprocessing.Process(target=print).start()"), 0, "uses multiprocessing"),
    "by a private module": (answer("return random._os.getpid()", before="import random\n"), 0, "which is private"),
    "ends the process": (answer("return numpy.lib.stride_tricks.as_strided(numpy.zeros(1), (10**9,), (800,)).sum()", before="import numpy\n"), 0, "ended its process"),
    "floods": (answer("while True:\n        print('x' * 10**6)"), 0, ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """All of them graded at once, with a private file: students by name, and the folder."""
    root = tmp_path_factory.mktemp("class")
    folder = root / "handed in"
    for number, (student, (content, *_)) in enumerate((HONEST | TAMPERING).items()):
        path = (
            folder
            / student.replace("/", "_")
            / ("abgabe" if number % 2 else "тетрадь")
            / "my answers.ipynb"
        )
        path.parent.mkdir(parents=True)
        text = content if content.startswith("{") else notebook(content)
        path.write_text(text, encoding="utf-8")
    # One student twice, the other as a flat file, the third in a zip file.
    again = folder / "twice"
    again.mkdir()
    (again / "a.ipynb").write_text(notebook(answer("return srgb**2.2")), encoding="utf-8")
    (again / "z.ipynb").write_text(notebook(answer()), encoding="utf-8")
    os.utime(again / "z.ipynb", (1e9, 1e9))
    (folder / "flat_01_lab.ipynb").write_text(notebook(answer()), encoding="utf-8")
    with zipfile.ZipFile(folder / "packed.zip", "w") as archive:
        archive.writestr("x/y.ipynb", notebook(answer()))
    secret = root / "private.json"
    done = CliRunner().invoke(cli.grade, ["--new-private", str(secret)])
    assert done.exit_code == 0, done.output
    students = grade.grade_folder(
        folder, grade.read_private(secret), lambda _: None, 0.05, [secret]
    )
    return {student.name: student for student in students}, root


def points(student):
    return sum(mark.points for mark in student.marks.values())


@pytest.mark.parametrize("name", HONEST | TAMPERING)
def test_each_submission_earns_what_it_should_and_is_told_why(graded, name):
    student, (_, expected, words) = graded[0][name], (HONEST | TAMPERING)[name]
    said = " ".join([*student.notes, *(mark.hint for mark in student.marks.values())])
    assert points(student) == expected, said
    assert words in said


@pytest.mark.parametrize(
    "body",
    [
        "[F][0].conv2d(x, k)", "torch.ops.aten.conv2d(x, k)", "getattr(F, 'conv2d')(x, k)",
        "torch.convolution(x, k)", "torch.nn.Conv2d(1, 1, 3)(x)", "signal.correlate2d(x, k)",
    ],
)  # fmt: skip
def test_a_librarys_function_that_is_the_answer_is_found_by_name(body):
    head = "import torch\nfrom torch.nn import functional as F\nfrom scipy import signal\n"
    source = f'{head}@exercise("overfit.convolve")\ndef convolve(x, k):\n    return {body}\n'
    mark = grade.grade_lesson(read_cells([source]), "02_overfit")["overfit.convolve"]
    assert (mark.points, mark.state) == (0, "refused" if "signal" in body else "wrong")
    assert "the answer itself" in mark.hint or "imports scipy.signal" in mark.hint


def test_who_hands_in_twice_is_told_which_counts(graded):
    twice = graded[0]["twice"]
    assert points(twice) == 0
    assert "handed in 2 times" in twice.notes[0]
    assert "a.ipynb" in twice.notes[0]
    assert points(graded[0]["flat"]) == points(graded[0]["packed"]) == 1


def test_what_an_answer_knew_by_heart_earns_a_share_of_the_cases():
    known = {f"{x.double().sum():.6f}": y.tolist() for x, y in (
        (args[0], all_exercises()[TASK].reference(*args))
        for args in (case.args() for case in all_exercises()[TASK].cases))}  # fmt: skip
    body = f"known = {known!r}\n    return torch.tensor(known.get(f'{{srgb.double().sum():.6f}}', [0.0]))"
    cells = read_cells([answer(body, before="import torch\n")])
    mark = grade.grade_lesson(cells, NAME, "a secret of the grader")[TASK]
    assert (mark.state, mark.passed, mark.cases, mark.points) == ("partly right", 3, 6, 0.5)
    assert "not on others like them" in mark.hint


def test_reports_are_whole_escaped_and_readable_by_a_spreadsheet(graded):
    students, root = graded
    index = report.write_reports(list(students.values()), root / "grades.csv")
    text = (root / "grades.csv").read_text(encoding="utf-8-sig")
    rows = {row["student"]: row for row in csv.DictReader(text.splitlines())}
    assert len(rows) == len(students) == len(HONEST | TAMPERING) + 3
    assert rows["Zoë Müller 张伟"]["sum"] == rows["right"]["sum"] == "6"
    assert rows["one wrong"][TASK] == "0"
    assert [name for name in rows if name.startswith("=")] == []
    pages = {page.name: page.read_text(encoding="utf-8") for page in index.parent.glob("*.html")}
    assert len(pages) == len(students) + 1
    assert not any("<script" in page or "<b>" in page for page in pages.values())
    assert any(html.escape("=1+cmd & co") in page for page in pages.values())
    assert "rule of thumb" in pages["index.html"]
    assert "most frequent mistakes" in report.summary_text(list(students.values()))


def test_a_private_file_is_never_written_over_and_a_bad_one_is_named(tmp_path):
    path = tmp_path / "secret.json"
    grade.new_private(path)
    with pytest.raises(FileExistsError, match=r"secret\.json exists"):
        grade.new_private(path)
    assert grade.seeds(grade.read_private(path), TASK) != grade.seeds("other", TASK)
    path.write_text(json.dumps({"seed": 3}))
    with pytest.raises(ValueError, match="holds no seed"):
        grade.read_private(path)
    with pytest.raises(ValueError, match="holds no notebook"):
        grade.grade_folder(tmp_path)


def test_the_process_of_answers_reads_no_hidden_file_and_writes_none(tmp_path):
    for name in ("secret.json", "other.json"):
        (tmp_path / name).write_text("{}")
    tries = ["open('secret.json')", "io.FileIO(pathlib.Path('secret.json'))", "open('new', 'w')",
             "os.open('new', os.O_CREAT)", "os.system('true')", "__import__('kornia')",
             "sys.modules.get('_posixsubprocess', os).fork_exec", "open('other.json')"]  # fmt: skip
    program = f"""
import io, os, pathlib, runpy, subprocess, sys
runpy.run_path({child.__file__!r})["lock"](["secret.json"])
for text in {tries}:
    try:
        eval(text)
        print("done")
    except (PermissionError, AttributeError):
        print("refused")
"""
    run = [sys.executable, "-c", program]
    said = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said.split() == ["refused"] * 7 + ["done"]


def test_a_process_that_holds_too_much_memory_is_ended(monkeypatch):
    monkeypatch.setattr(process, "MEMORY", 1 << 20)
    mark = grade.grade_lesson(read_cells([answer()]), NAME)[TASK]
    assert (mark.points, mark.hint[:32]) == (0, "Your code takes more memory than")


@pytest.mark.parametrize("name", [s.name for s in all_exercises().values()])
def test_every_solution_is_pulled_out_whole_and_taken_for_no_tampering(name):
    spec = all_exercises()[name]
    course = solution(spec.lesson)
    node = course.answers[name][0]
    nodes, lost = closure(node.name, [{node.name: node}, course.names])
    assert (lost, is_stub(spec, node)) == (set(), False)
    assert tampering(nodes, grade._helpers(node, course)) == ""
    assert borrowed(spec, nodes) == ""


@pytest.mark.parametrize("name", lesson_ids(ROOT))
def test_a_solved_lesson_earns_all_its_points(name):
    cells = nbformat.from_dict(build_lesson(ROOT, name).solution).cells
    solved = read_cells(cell.source for cell in cells if cell.cell_type == "code")
    marks = grade.grade_lesson(solved, name, patience=4.0)
    assert {mark.state for mark in marks.values()} == {"right"}, marks
    assert marks.keys() == {s.name for s in all_exercises().values() if s.lesson == name}


def test_what_goes_to_the_process_holds_no_reference():
    sources = dict(
        bundle(
            [
                ("colorcourse.lesson05.exercises", "_what_it_did"),
                ("colorcourse.lesson05.exercises", "_Pairs"),
            ]
        )
    )
    assert list(sources) == ["colorcourse.lesson05.exercises"]
    text = sources["colorcourse.lesson05.exercises"]
    assert "class _Pairs" in text
    assert "def play" not in text
    assert "register" not in text


def test_collect_packs_all_with_sums_and_the_report_and_names_what_is_undone(tmp_path, monkeypatch):
    import hashlib

    from colorcourse import doctor

    monkeypatch.setattr(doctor, "PROBES", {"figure": "mend it"})
    lessons = tmp_path / "my-lessons"
    lessons.mkdir()
    (lessons / "01_lab.ipynb").write_text(notebook(answer()), encoding="utf-8")
    done = CliRunner().invoke(cli.collect, [str(lessons), "--out", str(tmp_path / "me.zip")])
    assert done.exit_code == 0, done.output
    assert "undone: lab.rgb_to_lab" in done.output
    assert TASK not in done.output
    with zipfile.ZipFile(tmp_path / "me.zip") as archive:
        data = archive.read("01_lab.ipynb")
        assert hashlib.sha256(data).hexdigest() in archive.read("SHA256SUMS").decode()
        assert "doctor's report" in archive.read("doctor.txt").decode()

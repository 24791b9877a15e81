"""The builder: two notebooks from one source, the check that finds drift, the lessons' rules."""

import json
from dataclasses import replace

import nbformat
import pytest

from colorcourse.build import build_all, check_all, code_hash, read_notebook
from colorcourse.cells import without_answers
from colorcourse.checkout import find_root
from colorcourse.execute import clean_notebook
from colorcourse.lint import lint_lessons
from colorcourse.recording import Expected
from tests.demo import DOUBLE, EXERCISES, EXPECTED, SOURCE, make_checkout


@pytest.fixture
def checkout(tmp_path):
    return make_checkout(tmp_path)


def build(root):
    return build_all(root, exercises=EXERCISES)


def drift(root):
    """What the check finds, stale outputs left out: the tests here execute nothing."""
    return [p for p in check_all(root, EXERCISES) if "outputs" not in p.text]


def lint(tmp_path, source, exercises=EXERCISES, expected=EXPECTED):
    root = make_checkout(tmp_path, **{"01_demo": source})
    problems = lint_lessons(build_all(root, exercises=exercises), exercises, expected)
    return [str(problem) for problem in problems]


def cell_of(notebook, text):
    return next(cell for cell in notebook.cells if text in cell.source)


def test_answers_leave_the_lesson_and_stay_in_the_solution(checkout):
    build(checkout)
    lesson = read_notebook(checkout / "lessons/01_demo.ipynb")
    solution = read_notebook(checkout / "solutions/01_demo.ipynb")
    assert cell_of(lesson, "def double").source == (
        '@exercise("demo.double")\ndef double(x):\n    """Twice x."""\n    ...  # your code here'
    )
    assert "return y" in cell_of(solution, "def double").source
    assert "SOLUTION" not in (checkout / "lessons/01_demo.ipynb").read_text()
    nbformat.validate(lesson)
    nbformat.validate(solution)


def test_a_region_of_a_method_becomes_a_stub_at_its_indent():
    source = "class Net:\n    def f(self):\n        ### BEGIN SOLUTION\n        return 1\n"
    source += "        ### END SOLUTION\n\n    def g(self):\n        return 2"
    assert without_answers(source) == (
        "class Net:\n    def f(self):\n        ...  # your code here\n\n"
        "    def g(self):\n        return 2"
    )


@pytest.mark.parametrize("lost", ["### BEGIN SOLUTION", "### END SOLUTION"])
def test_a_marker_without_partner_is_named_with_file_and_cell(tmp_path, lost):
    root = make_checkout(tmp_path, **{"01_demo": SOURCE.replace(f"    {lost}\n", "")})
    with pytest.raises(ValueError, match=r"01_demo\.py, cell 5: .*no partner"):
        build(root)


def test_ids_are_stable_unique_and_follow_the_source(checkout):
    first, second = build(checkout)[0], build(checkout)[0]
    ids = [cell.id for cell in first.student.cells]
    assert ids == [cell.id for cell in second.student.cells]
    assert len(set(ids)) == len(ids)
    twins = [cell.id for cell in first.student.cells if cell.source == "1 + 1"]
    assert twins[1] == f"{twins[0]}-2"


def test_building_again_gives_the_same_bytes(checkout):
    build(checkout)
    files = sorted(checkout.rglob("*.ipynb"))
    before = [path.read_bytes() for path in files]
    for path in files:
        path.unlink()
    build(checkout)
    assert len(files) == 2
    assert [path.read_bytes() for path in files] == before
    assert not list(checkout.rglob("*.tmp"))


def test_nbgrader_metadata_mark_answers_and_checks(checkout):
    solution = build(checkout)[0].solution
    answer = cell_of(solution, "def double").metadata.nbgrader
    check = cell_of(solution, 'check("demo').metadata.nbgrader
    assert (answer.grade, answer.solution, answer.locked) == (False, True, False)
    assert (check.grade, check.solution, check.locked, check.points) == (True, False, True, 3)
    assert answer.schema_version == check.schema_version == 3
    assert answer.grade_id != check.grade_id


def test_the_bootstrap_cell_installs_from_the_repository_of_pyproject(checkout):
    lesson = build(checkout)[0].student
    source = next(c.source for c in lesson.cells if "bootstrap" in c.metadata.get("tags", []))
    assert "colorkit[lab] @ git+https://example.org/fork" in source
    compile(source, "bootstrap", "exec")


def bootstrap_commands(checkout, folder, monkeypatch):
    """The commands that the bootstrap cell starts in `folder` when colorkit is missing."""
    source = next(
        c.source
        for c in build(checkout)[0].student.cells
        if "bootstrap" in c.metadata.get("tags", [])
    )
    commands = []

    class Done:
        returncode = 0

    monkeypatch.chdir(folder)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("subprocess.run", lambda command, **_: commands.append(command) or Done)
    monkeypatch.setattr("sys.path", [])
    exec(source, {})
    return commands


def test_the_bootstrap_cell_prefers_the_checkout_around_it(checkout, monkeypatch):
    commands = bootstrap_commands(checkout, checkout / "solutions", monkeypatch)
    assert [command[1:] for command in commands] == [
        ["-m", "pip", "install", "--quiet", "-e", f"{checkout}[lab]"]
    ]


def test_the_bootstrap_cell_outside_a_checkout_takes_the_repository(
    checkout, monkeypatch, tmp_path_factory
):
    commands = bootstrap_commands(checkout, tmp_path_factory.mktemp("hosted"), monkeypatch)
    assert commands[0][-1] == "colorkit[lab] @ git+https://example.org/fork"


def test_check_passes_after_a_build(checkout):
    build(checkout)
    assert drift(checkout) == []


def test_one_changed_character_names_file_and_cell(checkout):
    build(checkout)
    path = checkout / "lessons/01_demo.ipynb"
    path.write_text(path.read_text().replace("Three plain words", "Three plain wards"))
    (problem,) = drift(checkout)
    assert (problem.file, problem.cell) == ("lessons/01_demo.ipynb", 1)
    assert "wards" in str(problem)


def test_missing_extra_and_broken_files_are_named(checkout):
    build(checkout)
    (checkout / "lessons/01_demo.ipynb").unlink()
    (checkout / "lessons/07_gone.ipynb").write_text("{}")
    (checkout / "solutions/Lesson3.py").write_text("# %%")
    (checkout / "solutions/01_demo.ipynb").write_text("{ half")
    found = {problem.file: problem.text for problem in drift(checkout)}
    assert "missing" in found["lessons/01_demo.ipynb"]
    assert "no lesson" in found["solutions/Lesson3.py"]
    assert "delete" in found["lessons/07_gone.ipynb"]
    assert "readable" in found["solutions/01_demo.ipynb"]


def test_added_removed_and_retagged_cells_are_named(checkout):
    build(checkout)
    path = checkout / "lessons/01_demo.ipynb"
    notebook = json.loads(path.read_text())
    del notebook["cells"][10]
    notebook["cells"][2]["metadata"]["tags"] = ["extra"]
    path.write_text(json.dumps(notebook))
    found = {(p.cell, p.text.split(" (")[0]) for p in drift(checkout)}
    assert found == {(11, "is missing"), (3, "has another id or metadata than its source gives")}


def executed(root):
    """Store the solution as if it had been executed, with an output in every cell."""
    (lesson,) = build(root)
    notebook = nbformat.from_dict(json.loads(json.dumps(lesson.solution)))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="seen")]
    done = clean_notebook(notebook, lesson.solution)
    done.metadata["colorkit"] = {"executed": code_hash(done), "profile": "ci"}
    nbformat.write(done, root / "solutions/01_demo.ipynb")


def test_outputs_are_never_compared_and_kept_while_the_code_stands(checkout):
    executed(checkout)
    assert check_all(checkout, EXERCISES) == []
    source = checkout / "solutions/01_demo.py"
    source.write_text(source.read_text().replace("Three plain words", "Other prose"))
    build(checkout)
    assert "seen" in (checkout / "solutions/01_demo.ipynb").read_text()
    assert check_all(checkout, EXERCISES) == []


def test_outputs_of_other_code_are_dropped_and_reported(checkout):
    executed(checkout)
    source = checkout / "solutions/01_demo.py"
    source.write_text(source.read_text().replace("double(21)", "double(20)"))
    build(checkout)
    assert "seen" not in (checkout / "solutions/01_demo.ipynb").read_text()
    (problem,) = check_all(checkout, EXERCISES)
    assert problem.file == "solutions/01_demo.ipynb"
    assert "notebooks execute" in problem.text


def test_the_root_is_found_from_inside_and_missed_outside(checkout, tmp_path_factory):
    assert find_root(checkout / "solutions") == checkout
    with pytest.raises(FileNotFoundError, match="not inside a checkout"):
        find_root(tmp_path_factory.mktemp("elsewhere"))


def test_a_good_lesson_has_no_problems(tmp_path):
    assert lint(tmp_path, SOURCE) == []


PICTURE = "# %% [markdown]\n# {}\n"
CODE = "# %%\n{}\n"
FAULTS = {
    "picture": (PICTURE.format("![](a.png)"), "'a.png' has no alt text"),
    "html picture": (PICTURE.format("<img src='a.png'>"), "has no alt text"),
    "show": (CODE.format("show(fig)"), "without alt"),
    "empty alt": (CODE.format('show(fig, alt=" ")'), "empty alt"),
    "plt.show": (CODE.format("plt.show()"), "plt.show draws past show"),
    "plt.imshow": (CODE.format("plt.imshow(x)"), "plt.imshow draws past show"),
    "figure": (CODE.format("fig, ax = plt.subplots()\nax.plot(x)"), "never reaches show"),
    "long": (CODE.format("x = 1\n" * 31), "has 31 lines"),
    "unknown": (CODE.format('check("demo.treble")'), "no exercise 'demo.treble'"),
    "syntax": (CODE.format("def f(:"), "is no Python"),
    "unrevealed": (CODE.format('predict("a", "b", ["c"])'), "never revealed"),
    "unasked": (CODE.format('reveal("a", "b", "c")'), "never predicted"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_its_cell_named(tmp_path, fault):
    cell, text = FAULTS[fault]
    (problem, *_) = lint(tmp_path, SOURCE + "\n" + cell)
    assert problem.startswith("solutions/01_demo.py, cell 12: ")
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
def test_what_is_allowed_raises_no_problem(tmp_path, good):
    assert lint(tmp_path, SOURCE + "\n" + FINE[good]) == []


def test_two_definitions_of_one_exercise_are_found(tmp_path):
    start, end = SOURCE.index('# %%\n@exercise("demo'), SOURCE.index('# %%\ncheck("demo')
    (problem,) = lint(tmp_path, SOURCE[:end] + SOURCE[start:])
    assert problem == "solutions/01_demo.py, cell 6: defines 'demo.double' again, after cell 5"


def test_an_exercise_that_is_never_checked_is_found(tmp_path):
    (problem,) = lint(tmp_path, SOURCE.replace('check("demo.double")', "2"))
    assert "cell 5: exercise 'demo.double' is never checked" in problem


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    ### BEGIN SOLUTION\n    y = x + x\n", "    y = x + x\n    ### BEGIN SOLUTION\n"),
        ("    return y\n    ### END SOLUTION\n", "    ### END SOLUTION\n    return y\n"),
        ("    ### BEGIN SOLUTION\n", "    # A comment outside.\n    ### BEGIN SOLUTION\n"),
    ],
)
def test_a_region_that_is_not_the_whole_body_is_found(tmp_path, old, new):
    (problem,) = lint(tmp_path, SOURCE.replace(old, new))
    assert "must enclose the whole body of double" in problem


def test_a_region_after_a_header_of_several_lines_is_whole(tmp_path):
    header = "def double(\n    x: float,\n) -> float:"
    assert lint(tmp_path, SOURCE.replace("def double(x):", header)) == []


def test_core_minutes_count_words_exercises_and_compute(tmp_path):
    slow = Expected({"01_demo": {"laptop": {"cpu": {"seconds": 1800}}}})
    prose = SOURCE.replace("# Three plain words.", "# " + "word " * 180 * 60)
    extra = prose.replace("# Four words of extra.", "# " + "word " * 180 * 60)
    (problem,) = lint(tmp_path, extra, expected=slow)
    assert "the core takes 95 minutes (reading 60, exercises 5, compute 30)" in problem


def test_a_lesson_without_measured_seconds_is_found(tmp_path):
    (problem,) = lint(tmp_path, SOURCE, expected=Expected({}))
    assert "no seconds in [01_demo.laptop.cpu]" in problem


def test_core_exercise_under_an_extra_heading_is_found(tmp_path):
    source = SOURCE.replace("# %% [markdown]\n", '# %% [markdown] tags=["extra"]\n', 1)
    (problem,) = lint(tmp_path, source)
    assert "is specified as core but stands in an extra cell" in problem


def test_an_exercise_of_another_lesson_is_found(tmp_path):
    other = {"demo.double": replace(DOUBLE, lesson="02_other")}
    (problem, *_) = lint(tmp_path, SOURCE, other)
    assert "belongs to lesson 02_other" in problem


def test_more_than_five_core_exercises_are_found(tmp_path):
    cell = '# %%\n@exercise("demo.{0}")\ndef f{0}(x):\n    ### BEGIN SOLUTION\n    return x\n'
    cell += '    ### END SOLUTION\n\n# %%\ncheck("demo.{0}")\n'
    specs = EXERCISES | {f"demo.{i}": replace(DOUBLE, name=f"demo.{i}") for i in range(5)}
    core, extra, rest = SOURCE.partition("# %% [markdown] tags")
    source = core + "".join(map(cell.format, range(5))) + extra + rest
    (problem,) = lint(tmp_path, source, specs)
    assert "has 6 core exercises; at most 5" in problem


def test_many_cells_are_a_warning(tmp_path):
    root = make_checkout(tmp_path, **{"01_demo": SOURCE + "\n# %%\n2\n" * 50})
    (problem,) = lint_lessons(build(root), EXERCISES, EXPECTED)
    assert problem.warning
    assert "61 cells" in problem.text


NETWORK = """
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

# %%
check("demo.double")
"""


def with_network(methods, source=NETWORK):
    """The demo with a class as its exercise, and the specification that fits it."""
    start, end = SOURCE.index('# %%\n@exercise("demo'), SOURCE.index("# %%\n1 + 1")
    return SOURCE[:start] + source + SOURCE[end:], {"demo.double": replace(DOUBLE, methods=methods)}


def test_methods_of_a_class_are_regions(tmp_path):
    source, specs = with_network(("__init__", "forward"))
    assert lint(tmp_path, source, specs) == []


def test_a_marked_method_without_a_region_and_a_missing_one_are_found(tmp_path):
    source, specs = with_network(("__init__", "forward", "size", "loss"))
    problems = lint(tmp_path, source, specs)
    assert any("the whole body of size" in problem for problem in problems)
    assert any("has no method 'loss'" in problem for problem in problems)


def test_a_region_outside_any_exercise_is_found(tmp_path):
    stray = "\n# %%\nx = 1\n### BEGIN SOLUTION\nx = 2\n### END SOLUTION\n"
    (problem,) = lint(tmp_path, SOURCE + stray)
    assert "cell 12: line 2: ### BEGIN SOLUTION outside an exercise's body" in problem

"""Quizzes and written questions: whole, told why at each choice, and such as nbgrader takes."""

import re

import nbformat
import pytest

from colorcourse.build import WRITE, WRITTEN_POINTS, build_lesson
from colorcourse.checkout import lesson_ids
from colorcourse.quizzes import _buttons, questions, quiz, unfolding
from tests.conftest import ROOT
from tests.test_lesson_rules import WORST

LESSONS = lesson_ids(ROOT)


@pytest.mark.parametrize("name", LESSONS)
def test_a_quiz_has_five_questions_with_one_right_option_and_a_reason_for_each(name):
    asked = questions(name[:2])
    assert len(asked) == 5
    for options in asked.values():
        assert len({option.text for option in options}) == len(options) >= 3
        assert [option.right for option in options].count(True) == 1
        assert all(20 < len(option.why) < 200 for option in options)
    texts = [*asked, *(t for options in asked.values() for o in options for t in (o.text, o.why))]
    assert [found[0] for text in texts for found in WORST.finditer(text)] == []
    places = [[o.right for o in options].index(True) for options in asked.values()]
    assert len(set(places)) > 2  # the right one does not give itself away by its place


@pytest.mark.parametrize("name", LESSONS)
def test_each_choice_is_answered_by_its_reason_as_widget_and_without_a_kernel(name):
    asked = questions(name[:2])
    for (ask, options), row in zip(asked.items(), _buttons(asked).children, strict=True):
        _, choice, answer = row.children
        assert (choice.value, answer.value) == (None, "")
        for option in options:
            choice.value = option.text
            assert f"<b>{option.state}</b>" in answer.value
            assert unfolding({ask: [option]}).count(answer.value.split("</code>")[1]) == 1


@pytest.mark.parametrize("name", LESSONS)
def test_the_stored_solution_shows_the_quiz_as_it_is_now(name):
    stored = nbformat.read(ROOT / "solutions" / f"{name}.ipynb", as_version=4)
    (cell,) = (c for c in stored.cells if c.source.startswith("quiz("))
    assert cell.outputs[0].data["text/html"] == unfolding(questions(name[:2]))


def test_without_a_notebook_a_quiz_is_printed_and_an_unknown_one_is_named(capsys):
    quiz("01")
    assert capsys.readouterr().out.count("\n  - ") == 20
    with pytest.raises(ValueError, match="no quiz for lesson '77'"):
        quiz("77")


@pytest.mark.parametrize("name", LESSONS)
def test_written_questions_are_graded_by_hand_and_have_a_rubric_of_as_many_points(name):
    lesson = build_lesson(ROOT, name)
    pairs = zip(lesson.student.cells, lesson.solution.cells, strict=True)
    answers = [(own, ours) for own, ours in pairs if "answer" in own.metadata.get("tags", [])]
    for number, (own, ours) in enumerate(answers, 1):
        told = own.metadata.nbgrader
        assert (told.grade, told.solution, told.locked) == (True, True, False)
        assert told.grade_id == f"written-{name[:2]}-{number}"
        assert own.source == WRITE
        assert len(ours.source.split()) > 50
    page = (ROOT / "instructor" / f"{name[:2]}.md").read_text(encoding="utf-8")
    pattern = r"^\*\*(?:Question \d|Model card)\.\*\*(.*?)\n\n"
    rubrics = re.findall(pattern, page, re.DOTALL | re.MULTILINE)
    points = [sum(map(int, re.findall(r"\((\d)\)", rubric))) for rubric in rubrics]
    assert points == [WRITTEN_POINTS] * len(answers) == [WRITTEN_POINTS] * (2 + ("06" in name))


@pytest.mark.parametrize("name", LESSONS)
def test_nbgrader_finds_the_built_notebooks_valid(name):
    preprocessors = pytest.importorskip("nbgrader.preprocessors")
    from nbgrader.nbgraderformat import MetadataValidator

    lesson = build_lesson(ROOT, name)
    for notebook in (lesson.solution, lesson.student):
        MetadataValidator().validate_nb(notebook)
        copy = nbformat.from_dict(notebook)
        preprocessors.CheckCellMetadata().preprocess(copy, {})  # ids are unique, points are there

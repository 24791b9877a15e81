"""What instructors hand out: slides without a network, figures, captions, sizes of lessons."""

import base64
import re

import nbformat
import pandas as pd
from nbconvert import SlidesExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from colorcourse.checkout import lesson_ids
from scripts.figures import figures_of
from scripts.sizes import PAGE, PLACE, SIZES, table
from scripts.slides import deck
from tests.conftest import ROOT

PICTURE = base64.b64encode(b"a picture").decode()
FIGURE = f'<img src="data:image/webp;base64,{PICTURE}" alt="a &lt; b">'
LESSON = new_notebook(
    cells=[
        new_markdown_cell(
            "# L\n\nFirst.\n\nSecond.\n\nYou can\n\n- $x^2$", metadata={"tags": ["slide"]}
        ),
        new_code_cell("hidden()", outputs=[new_output("stream", text="unseen")]),
        new_code_cell(
            "show(fig)",
            metadata={"tags": ["slide"]},
            outputs=[
                new_output("stream", text="printed"),
                new_output("display_data", data={"text/html": FIGURE}),
            ],
        ),
        new_markdown_cell("Look at b.\n\n## Next\nUnmarked."),
        new_code_cell("loop()", metadata={"tags": ["slide"]}),
    ]
)


def test_a_deck_shows_marked_cells_in_short_with_the_prose_as_notes():
    cells = [(c.metadata.slideshow.slide_type, c.source) for c in deck(LESSON).cells]
    kinds = ["slide", "notes", "slide", "-", "notes", "slide", "-"]
    assert [kind for kind, _ in cells] == kinds
    assert "Second." not in cells[0][1]
    assert "First." in cells[0][1]
    assert "You can\n\n- <math" in cells[0][1]
    assert "Second." in cells[1][1]
    assert [cells[i][1] for i in (2, 3, 5, 6)] == ["## L", "", "## Next", "loop()"]
    assert cells[4][1].strip() == "Look at b."


def test_a_deck_is_one_file_that_asks_for_no_other():
    exporter = SlidesExporter(extra_template_basedirs=[str(ROOT / "scripts")], template_name="deck")
    page, _ = exporter.from_notebook_node(deck(LESSON), {"metadata": {"name": "L"}})
    assert page.count("<section>") == 6  # nbconvert puts each slide into a stack of one
    assert "unseen" not in page
    assert page.count(PICTURE) == page.count('alt="a &lt; b"') == 1
    outside = r'<(?:script|link|img|iframe)\b[^>]*(?:src|href)="(?!data:)|@import'
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)  # reveal.js, and a call of it
    assert len(own) < len(page) - 1e5
    assert re.findall(outside, own) == []


def test_each_lesson_marks_at_least_eight_slides():
    for path in sorted((ROOT / "solutions").glob("*.py")):
        marked = re.findall(r'^# %%.*"slide"', path.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(marked) >= 8, path.name


def test_every_figure_of_a_lesson_is_found_with_its_caption():
    assert figures_of(LESSON) == [("webp", "a < b", b"a picture")]
    stored = nbformat.read(ROOT / "solutions/01_lab.ipynb", as_version=4)
    assert min(len(caption) for _, caption, _ in figures_of(stored)) > 20


def test_the_table_of_minutes_and_memory_is_made_from_what_was_measured():
    sizes = pd.read_csv(SIZES, comment="#")
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert PLACE.search(page)[0] == table(sizes)
    laptop = sizes[sizes.profile == "laptop"]
    assert list(laptop.lesson) == lesson_ids(ROOT)
    assert f" {laptop.peak_mb.max():,.0f} |" in table(sizes).splitlines()[-3]

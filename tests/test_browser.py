"""Lessons in JupyterLab, in a real browser: run all, move a slider, look at what is shown."""

import shutil
from pathlib import Path

import nbformat
import pytest

from tests.browser import LabNotebook, browser, find_browser, lab_server, why_no_browser

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.browser
needs_browser = pytest.mark.skipif(why_no_browser() is not None, reason=str(why_no_browser()))

# A notebook with a slider that changes a picture: what the lesson's widgets are, in one cell.
SLIDER = """
import base64, io
import ipywidgets
from PIL import Image

slider = ipywidgets.IntSlider(50, 0, 100, description="L")
picture = ipywidgets.HTML()

def draw(change=None):
    file = io.BytesIO()
    Image.new("L", (64, 64), slider.value).save(file, "WEBP")
    data = base64.b64encode(file.getvalue()).decode()
    picture.value = f'<img alt="a gray square" src="data:image/webp;base64,{data}">'

slider.observe(draw, "value")
draw()
ipywidgets.VBox([slider, picture])
"""


@pytest.fixture(scope="module")
def open_notebook(tmp_path_factory):
    """A function that opens a file of one JupyterLab in one browser."""
    folder = tmp_path_factory.mktemp("lab")
    cells = [
        SLIDER,
        "from IPython.display import HTML\nHTML('<img src=\"data:,\">')",
        "",
        *["print('a cell far below the window')"] * 30,
        "1 / 0",
        "print('never reached')",
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nodes = [nbformat.v4.new_code_cell(cell) for cell in cells]
    tiny = nbformat.v4.new_notebook(cells=nodes, metadata={"kernelspec": kernel})
    nbformat.write(tiny, folder / "tiny.ipynb")
    shutil.copy(ROOT / "lessons/01_lab.ipynb", folder)
    with lab_server(folder) as address, browser() as chromium:
        yield lambda name: LabNotebook(chromium.new_page(), address, name)


def test_the_named_browser_is_taken_before_any_other(monkeypatch, tmp_path):
    monkeypatch.setenv("COLORKIT_BROWSER", str(tmp_path / "no-such-browser"))
    assert find_browser() is None
    assert "COLORKIT_BROWSER" in why_no_browser() or "playwright" in why_no_browser()


@needs_browser
def test_the_instrument_sees_a_moved_slider_a_missing_alt_and_an_error(open_notebook):
    lab = open_notebook("tiny.ipynb")
    lab.run_all()
    cell = lab.cell_with_slider()
    before = lab.figures(cell)
    lab.move_slider(cell)
    after = lab.figures(cell)
    assert [figure.alt for figure in lab.figures()] == ["a gray square", ""]
    assert [figure.width for figure in lab.figures()] == [64, 0]
    assert before[0].src != after[0].src
    assert ["ZeroDivisionError" in error for error in lab.errors()] == [True]


@needs_browser
def test_lesson_1_runs_and_its_gamut_slider_changes_the_picture(open_notebook):
    lab = open_notebook("01_lab.ipynb")
    lab.run_all()
    assert lab.errors() == []
    lab.move_slider(lab.cell_with_slider())
    assert lab.errors() == []
    figures = lab.figures()
    assert figures
    assert [figure.src[:60] for figure in figures if not figure.alt] == []
    assert [figure.alt for figure in figures if figure.width == 0] == []

"""Lessons in JupyterLab, in a real browser: run all, move a slider, look at what is shown."""

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
sync_api = pytest.importorskip("playwright.sync_api")
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
NAMES = (os.environ["COLORKIT_BROWSER"],) if os.environ.get("COLORKIT_BROWSER") else NAMES
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
START_SECONDS = 120  # a cold JupyterLab on a busy machine
RUN_SECONDS = 600  # a whole lesson at profile ci on two cores

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason=f"not on the PATH: {', '.join(NAMES)}"),
]

SETTINGS = {  # every cell is in the page, and no news cover it
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@contextlib.contextmanager
def lab_server(folder: Path, private: Path) -> Iterator[str]:
    """JupyterLab over `folder`, profile ci; yields its address with ``{path}`` to fill in.

    Its settings and its log are in `private`; its kernels import this checkout.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.root_dir={folder}", f"--ServerApp.port={port}"]
    command += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    command += ["--LabApp.expose_app_in_browser=True"]
    for setting, content in SETTINGS.items():
        path = private / "LAB_SETTINGS" / "@jupyterlab" / f"{setting}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    variables = {"COLORKIT_PROFILE": "ci", "PYTHONPATH": paths}
    for part in ("_CONFIG", "_RUNTIME", "LAB_SETTINGS", "LAB_WORKSPACES"):
        variables[f"JUPYTER{part}_DIR"] = str(private / part)
    log = private / "log"
    with log.open("wb") as output:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, env=os.environ | variables, cwd=folder, **pipes)
    try:
        limit, address = time.monotonic() + START_SECONDS, f"http://127.0.0.1:{port}"
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=5).close()
                break
            if time.monotonic() > limit or process.poll() is not None:
                tail = log.read_text(encoding="utf-8", errors="replace")[-3000:]
                raise RuntimeError(f"JupyterLab did not start. Its log ends:\n{tail}")
            time.sleep(0.2)
        yield f"{address}/lab/tree/{{path}}?reset&token={token}"
    finally:  # it ends its kernels; insist if it does not
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


class Figure(NamedTuple):
    """One <img> in a notebook's outputs; its width as decoded, 0 if the browser could not."""

    src: str
    alt: str
    width: int


class LabNotebook:
    """A notebook open in JupyterLab; ``page`` is Playwright's."""

    def __init__(self, page, address: str, name: str):
        self.page = page
        page.goto(address.format(path=name), timeout=START_SECONDS * 1000)
        self.panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        self.panel.locator(".jp-Cell").first.wait_for(timeout=START_SECONDS * 1000)
        # "Idle" shows before the kernel is connected, and Run does nothing until then.
        page.wait_for_function(_KERNEL_IS_READY, timeout=START_SECONDS * 1000)
        if page.locator(".jp-Dialog").count():
            raise RuntimeError(f"JupyterLab asks: {page.locator('.jp-Dialog').all_inner_texts()}")

    def run_all(self) -> None:
        """Menu Run, Run All Cells; return when every code cell has run, or one shows an error."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name=re.compile("^Run All Cells")).first.click()
        self.page.wait_for_function(_ALL_HAVE_RUN, timeout=RUN_SECONDS * 1000)
        # Outputs and widgets are drawn after the kernel is idle.
        self.page.wait_for_timeout(1000)

    def errors(self) -> list[str]:
        """Each error that a cell shows: the kernel's, one inside an Output widget, a widget's."""
        found = self.page.evaluate(_ERRORS)
        outputs = self.panel.locator(".jupyter-widgets [data-mime-type$='.stderr']")
        found += [text for text in outputs.all_inner_texts() if "Traceback" in text]
        return found + self.panel.locator(".jupyter-widgets-error-widget").all_inner_texts()

    def figures(self, within=None) -> list[Figure]:
        """Every <img> in the outputs of the page, or of one locator."""
        images = (within or self.panel).locator(".jp-OutputArea-output img")
        found = images.evaluate_all(
            "all => all.map(i => [i.src, i.getAttribute('alt') || '', i.naturalWidth])"
        )
        # JupyterLab writes "Image" where a picture has no alt text of its own.
        return [Figure(src, "" if alt == "Image" else alt.strip(), w) for src, alt, w in found]

    def move_slider(self) -> None:
        """Move the page's first slider by its handle and the keyboard, as a student can.

        Returns when the pictures of its cell have changed, and raises if they do not in 30 s.
        """
        handle = self.panel.locator(".jp-CodeCell .noUi-handle").first
        handle.wait_for(timeout=30_000)
        cell = handle.locator("xpath=ancestor::*[contains(@class, 'jp-CodeCell')][1]")
        before = [figure.src for figure in self.figures(cell)]
        handle.scroll_into_view_if_needed()
        handle.focus()
        for _ in range(10):
            self.page.keyboard.press("ArrowRight")
        for _ in range(150):
            now = [figure.src for figure in self.figures(cell)]
            if now and now != before:
                return
            self.page.wait_for_timeout(200)
        raise AssertionError("no picture changed within 30 s after the slider moved")


_KERNEL_IS_READY = """() => {
  if (document.querySelector('.jp-Dialog')) return true;
  const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
  const kernel = context?.session?.kernel;
  return !!context?.isReady && kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""

_CELLS = "window.jupyterapp.shell.currentWidget.content.model.toJSON().cells"

_ERRORS = f"""() => {_CELLS}.flatMap(cell => cell.outputs || [])
  .filter(output => output.output_type === 'error')
  .map(output => output.ename + ': ' + output.evalue)"""

_ALL_HAVE_RUN = f"""() => {_CELLS}.every(cell => {{
  const text = Array.isArray(cell.source) ? cell.source.join('') : cell.source;
  return cell.cell_type !== 'code' || text.trim() === '' || cell.execution_count !== null;
}}) && window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'
  || ({_ERRORS})().length > 0"""

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
PAINTER = """
from colorcourse.lesson06.figures import hint_painter
from colorkit.data.pictures import photograph
from colorkit.models import HintUNet
hint_painter(photograph("coffee"), HintUNet.trained())
"""
NO_ALT = "from IPython.display import HTML\nHTML('<img src=\"data:,\">')"
FAR = "print('a cell far below the window')"


@pytest.fixture(scope="module")
def open_notebook(tmp_path_factory):
    """A function that opens a file of one JupyterLab in one browser."""
    folder = tmp_path_factory.mktemp("lab")
    cells = [SLIDER, NO_ALT, "", *[FAR] * 30, "1 / 0", "print('never reached')"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for name, sources in {"tiny": cells, "painter": [PAINTER]}.items():
        nodes = [nbformat.v4.new_code_cell(source) for source in sources]
        notebook = nbformat.v4.new_notebook(cells=nodes, metadata={"kernelspec": kernel})
        nbformat.write(notebook, folder / f"{name}.ipynb")
    shutil.copy(ROOT / "lessons/01_lab.ipynb", folder)
    private = tmp_path_factory.mktemp("private")
    with lab_server(folder, private) as address, sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield lambda name: LabNotebook(chromium.new_page(), address, name)
        chromium.close()


def test_the_instrument_sees_a_moved_slider_a_missing_alt_and_an_error(open_notebook):
    lab = open_notebook("tiny.ipynb")
    lab.run_all()
    before = lab.figures()
    lab.move_slider()
    after = lab.figures()
    assert [figure.alt for figure in after] == ["a gray square", ""]
    assert [figure.width for figure in after] == [64, 0]
    assert before[0].src != after[0].src
    assert ["ZeroDivisionError" in error for error in lab.errors()] == [True]


def test_lesson_1_runs_and_its_gamut_slider_changes_the_picture(open_notebook):
    lab = open_notebook("01_lab.ipynb")
    lab.run_all()
    assert lab.errors() == []
    lab.move_slider()
    assert lab.errors() == []
    figures = lab.figures()
    assert figures
    assert [figure.src[:60] for figure in figures if not figure.alt] == []
    assert [figure.alt for figure in figures if figure.width == 0] == []


def test_the_hint_painter_colours_by_mouse_and_keyboard_undoes_and_saves(open_notebook, tmp_path):
    lab = open_notebook("painter.ipynb")
    lab.run_all()
    pictures, expect = lab.panel.locator(".jp-OutputArea-output img"), sync_api.expect
    canvas, plane = pictures.nth(0), pictures.nth(1)
    expect(canvas).to_have_attribute("alt", re.compile("hints: 0"), timeout=60_000)
    fields = [lab.panel.get_by_label(name, exact=True) for name in ("x", "y", "b: blue to yellow")]
    buttons = lab.panel.locator(".jp-OutputArea-output").get_by_role("button")

    def fill(*values):
        for field, value in zip(fields, values, strict=False):
            field.fill(str(value))
            lab.page.keyboard.press("Tab")

    canvas.click(position={"x": 100, "y": 200})
    expect(canvas).to_have_attribute("alt", re.compile(r"x = 12\d, y = 2[45]\d"))
    expect(plane).to_have_attribute("alt", re.compile("What sRGB can show at L = "))
    without, place = canvas.get_attribute("src"), [field.input_value() for field in fields[:2]]
    plane.click(position={"x": 150, "y": 110})
    expect(canvas).to_have_attribute("alt", re.compile("hints: 1"))
    assert canvas.get_attribute("src") != without
    fill(300, 100, 25)
    buttons.filter(has_text="Colour this place").press("Enter")
    expect(canvas).to_have_attribute("alt", re.compile("hints: 2; marked is x = 300, y = 100"))
    path = tmp_path / "red.png"
    lab.panel.get_by_label("as", exact=True).fill(str(path))
    lab.page.keyboard.press("Tab")
    buttons.filter(has_text="Save").click()
    expect(lab.panel.get_by_role("status").last).to_contain_text(f"saved as {path}")
    assert Image.open(path).size == (600, 400)
    assert all(figure.alt and figure.width for figure in lab.figures())
    for left in (1, 0):
        buttons.filter(has_text="Undo").click()
        expect(canvas).to_have_attribute("alt", re.compile(f"hints: {left}"))
    fill(*place)
    expect(canvas).to_have_attribute("src", without)
    assert lab.errors() == []

"""JupyterLab in a headless browser: start both, open a notebook, run it, look at its figures."""

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
START_SECONDS = 120  # a cold JupyterLab on a busy machine
RUN_SECONDS = 600  # a whole lesson at profile ci on two cores


def find_browser() -> str | None:
    """The browser named by COLORKIT_BROWSER, else the first of the usual names on the PATH."""
    named = os.environ.get("COLORKIT_BROWSER")
    return next(filter(None, map(shutil.which, [named] if named else NAMES)), None)


def why_no_browser() -> str | None:
    """Why no browser can be driven here, or None if one can."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError as error:
        return f"playwright cannot be imported: {error}"
    if find_browser() is None:
        return f"none of {', '.join(NAMES)} is on the PATH and COLORKIT_BROWSER names none"
    return None


class Figure(NamedTuple):
    """One <img> in a notebook's outputs; its width as decoded, 0 if the browser could not."""

    src: str
    alt: str
    width: int


SETTINGS = {  # every cell is in the page, and no news cover it
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@contextlib.contextmanager
def lab_server(folder: Path) -> Iterator[str]:
    """JupyterLab over `folder`, profile ci; yields its address with ``{path}`` to fill in.

    Its own folders are temporary ones; its kernels import this checkout.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.root_dir={folder}", f"--ServerApp.port={port}"]
    command += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    command += ["--LabApp.expose_app_in_browser=True"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        private = Path(name)
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
            process = subprocess.Popen(
                command, env=os.environ | variables, cwd=folder, stdout=output, stderr=output
            )
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


@contextlib.contextmanager
def browser() -> Iterator:
    """A headless browser (Playwright's, synchronous)."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)


class LabNotebook:
    """A notebook open in JupyterLab; ``page`` is Playwright's."""

    def __init__(self, page, address: str, name: str):
        self.page = page
        page.goto(address.format(path=name), timeout=START_SECONDS * 1000)
        self.panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        self.panel.wait_for(timeout=START_SECONDS * 1000)
        self._wait("() => document.querySelectorAll('.jp-NotebookPanel .jp-Cell').length > 0")
        # "Idle" shows before the kernel is connected, and Run does nothing until then.
        self._wait(_KERNEL_IS_READY)
        if page.locator(".jp-Dialog").count():
            raise RuntimeError(f"JupyterLab asks: {page.locator('.jp-Dialog').all_inner_texts()}")

    def _wait(self, expression: str, seconds: float = START_SECONDS) -> None:
        self.page.wait_for_function(expression, timeout=seconds * 1000)

    def run_all(self) -> None:
        """Menu Run, Run All Cells; return when every code cell has run, or one shows an error."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name=re.compile("^Run All Cells")).first.click()
        self._wait(_ALL_HAVE_RUN, RUN_SECONDS)
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

    def cell_with_slider(self):
        """The code cell that holds the page's first slider."""
        handle = self.panel.locator(".jp-CodeCell .noUi-handle").first
        handle.wait_for(timeout=30_000)
        return handle.locator("xpath=ancestor::*[contains(@class, 'jp-CodeCell')][1]")

    def move_slider(self, cell) -> None:
        """Move the first slider of a cell by its handle and the keyboard, as a student can.

        Returns when the pictures of that cell have changed, and raises if they do not in 30 s.
        """
        before = [figure.src for figure in self.figures(cell)]
        handle = cell.locator(".noUi-handle").first
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

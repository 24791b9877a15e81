"""Screenshots of a notebook in JupyterLab: run all, move a slider if asked, save what is shown.

python -m tests.screenshots lessons/01_lab.ipynb OUT.png --theme dark --slider 0
"""

import argparse
import sys
from pathlib import Path

from tests.browser import RUN_SECONDS, LabNotebook, open_notebook, why_no_browser

MOST_PIXELS = 16_000  # higher pages are cut: Chromium draws no taller window
_SCROLLER = (
    "document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer')"
)
_HEIGHT = f"() => {_SCROLLER}.scrollHeight"


def screenshot(lab: LabNotebook, out: Path, whole: bool) -> None:
    """Save the notebook's panel; ``whole`` makes the window as tall as the notebook first."""
    if whole:
        height = lab.page.evaluate(_HEIGHT)
        width = lab.page.viewport_size["width"]
        lab.page.set_viewport_size({"width": width, "height": min(int(height) + 150, MOST_PIXELS)})
        lab.page.evaluate(f"() => {{ {_SCROLLER}.scrollTop = 0 }}")
        lab.page.wait_for_timeout(1500)
    out.parent.mkdir(parents=True, exist_ok=True)
    lab.panel.screenshot(path=str(out))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A screenshot of a notebook in JupyterLab.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("out", type=Path, help="a PNG")
    parser.add_argument("--theme", choices=["light", "dark"], default="light")
    parser.add_argument("--profile", default="ci")
    parser.add_argument("--slider", type=int, help="move this slider of the page, from 0")
    parser.add_argument("--cell", type=int, help="only this cell, from 0, instead of the whole")
    parser.add_argument("--width", type=int, default=1400)
    parser.add_argument("--window", action="store_true", help="only the window, at the slider")
    options = parser.parse_args(arguments)
    if (reason := why_no_browser()) is not None:
        parser.error(reason)
    with open_notebook(options.notebook, options.profile, options.theme, options.width) as lab:
        lab.run_all(RUN_SECONDS)
        if options.slider is not None:
            lab.move_slider(lab.cell_with_slider(options.slider))
        if options.cell is not None:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            lab.panel.locator(".jp-Cell").nth(options.cell).screenshot(path=str(options.out))
        else:
            screenshot(lab, options.out, whole=not options.window)
        errors = lab.errors()
    print("\n".join(errors) or f"{options.out}: no error")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())

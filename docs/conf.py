"""The site's settings for Sphinx. `docs/make_site.py` writes the pages and calls Sphinx."""

import shutil
import sys
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from colorcourse.checkout import project_table  # noqa: E402

REPOSITORY = project_table(ROOT)["urls"]["Repository"]
project, author = "colorkit", "The colorkit authors"
copyright = f"{author}. Text and figures CC BY 4.0, code BSD 3-Clause"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_design",
    "sphinx_copybutton",
]
# .rst first: autosummary writes its pages with the first suffix.
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}
templates_path = [str(ROOT / "docs/_templates")]  # autosummary looks from the pages
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = True  # the download button's notebooks

# Notebooks come executed, and without widgets: no script for these is fetched from elsewhere.
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = "Show {type}", "Hide {type}"
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath", "html_image"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
add_module_names = False  # each page is one module
numpydoc_show_class_members = False

html_theme = "sphinx_book_theme"
html_title = "colorkit"
html_theme_options = {
    "repository_url": REPOSITORY,
    "repository_branch": "main",
    "use_repository_button": True,
    "use_issues_button": True,
    "use_download_button": True,
    # A lesson's page is called as the student's notebook, so that is what these open.
    "launch_buttons": {
        "binderhub_url": "https://mybinder.org",
        "notebook_interface": "jupyterlab",
    },
    "navbar_persistent": [],  # the search field stands in the sidebar
    "show_navbar_depth": 1,
    "home_page_in_toc": True,
}
if REPOSITORY.startswith("https://github.com/"):
    html_theme_options["launch_buttons"]["colab_url"] = "https://colab.research.google.com"


def formula(self, node: nodes.Element, display: str) -> None:
    """A formula as MathML: needs no script, and screen readers read it."""
    text = convert(node.astext(), display=display)
    if display == "block":  # wide ones scroll, also by keyboard
        text = f'<div class="math" tabindex="0" role="group" aria-label="formula">{text}</div>'
    self.body.append(text)
    raise nodes.SkipNode


def finish(app, error) -> None:
    """The download button gives the student's notebook, and the theme's arrows get names."""
    if error:
        return
    for path in (ROOT / "lessons").glob("*.ipynb"):
        shutil.copy(path, app.outdir / "_sources/lessons")
    arrow = '<summary><span class="toctree-toggle"'
    named = arrow.replace("<summary", '<summary aria-label="pages of this section"')
    for path in app.outdir.rglob("*.html"):
        path.write_text(path.read_text("utf-8").replace(arrow, named), encoding="utf-8")


def setup(app) -> None:
    inline = (lambda self, node: formula(self, node, "inline"), None)
    app.add_html_math_renderer("mathml", inline, (lambda s, n: formula(s, n, "block"), None))
    app.config.html_math_renderer = "mathml"
    app.config.html_extra_path = [str(app.srcdir / "_extra")]
    app.connect("build-finished", finish)

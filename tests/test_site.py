"""The site: built once without a warning, small, whole without a network, open to everybody."""

import importlib.util
import os
import re
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from filelock import FileLock

from tests.conftest import ROOT, python

NEEDED = ["sphinx", "myst_nb", "sphinx_book_theme", "numpydoc", "sphinx_design"]
NEEDED += ["sphinx_copybutton", "latex2mathml"]
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.site,
    pytest.mark.skipif(bool(MISSING), reason=f"install .[docs] for {', '.join(MISSING)}"),
]
LESSONS = sorted(path.stem for path in (ROOT / "solutions").glob("*.ipynb"))
AXE = ["index", "lessons/01_lab", "api/colorkit.color", "_modules/colorkit/device"]
FETCHED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href"}
ELSEWHERE = re.compile(r"(url\(|@import)\s*['\"]?(https?:)?//")


class Page(HTMLParser):
    """The start tags of a page, each with its attributes."""

    def __init__(self, path: Path):
        super().__init__()
        self.path, self.tags = path, []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str, attribute: str) -> list[str]:
        """That attribute of each such tag that has it."""
        return [found[attribute] for name, found in self.tags if name == tag and attribute in found]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder of the site; of several processes of a test run, one builds it."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    log = folder / "site.log"
    with FileLock(folder / "site.lock"):
        if not log.exists():
            done = python("docs/make_site.py", folder / "site")
            log.write_text(f"{done.returncode}\n{done.stdout}{done.stderr}", encoding="utf-8")
    status, output = log.read_text(encoding="utf-8").split("\n", 1)
    assert (status, output) == ("0", "")
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path) for path in site.rglob("*.html")}


def test_the_site_is_small_and_has_every_lesson_with_its_take_away(site, pages):
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 30e6
    for lesson in LESSONS:
        assert f"lessons/{lesson}.html" in pages
        assert "<figure>" in pages[f"takeaways/{lesson}.html"].text


def test_nothing_is_fetched_from_elsewhere_and_every_picture_has_an_alt_text(site, pages):
    for name, page in pages.items():
        for tag, attribute in FETCHED.items():
            elsewhere = [url for url in page.all(tag, attribute) if urlsplit(url).netloc]
            assert elsewhere == [], name
        assert not ELSEWHERE.search(page.text), name
        pictures = [found for tag, found in page.tags if tag == "img"]
        assert [found for found in pictures if not (found.get("alt") or "").strip()] == [], name
    for path in site.rglob("*.css"):
        assert not ELSEWHERE.search(path.read_text("utf-8")), path


def test_every_link_inside_the_site_leads_somewhere(site, pages):
    ids = {name: {found.get("id") for _, found in page.tags} for name, page in pages.items()}
    broken = []
    for name, page in pages.items():
        for link in {*page.all("a", "href"), *page.all("img", "src")}:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            path = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            target = path.relative_to(site.resolve()).as_posix() if path.is_file() else None
            if target is None or (parts.fragment and target in ids):
                lost = target is None or unquote(parts.fragment) not in ids[target]
                broken += [f"{name}: {link}"] if lost else []
    assert broken == []


@pytest.mark.parametrize("lesson", LESSONS)
def test_launch_and_download_give_the_notebook_of_the_student(site, pages, lesson):
    links = pages[f"lessons/{lesson}.html"].all("a", "href")
    for service in ("colab.research.google.com", "mybinder.org"):
        found = [link for link in links if service in link]
        assert found
        assert all(link.endswith(f"lessons/{lesson}.ipynb") for link in found)
    download = f"_sources/lessons/{lesson}.ipynb"
    assert f"../{download}" in links
    assert (site / download).read_bytes() == (ROOT / f"lessons/{lesson}.ipynb").read_bytes()


def test_each_lesson_links_the_terms_that_it_introduces_to_the_glossary(pages):
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^- \*\*(.+?)\*\* \[([\d, ]+)\]", text, flags=re.MULTILINE)
    ids = pages["guides/glossary.html"].all("dt", "id")
    assert len(ids) == len(terms) > 80
    missing = []
    for (term, lessons), name in zip(terms, ids, strict=True):
        for number in lessons.split(", "):
            lesson = next(lesson for lesson in LESSONS if int(lesson[:2]) == int(number))
            links = pages[f"lessons/{lesson}.html"].all("a", "href")
            if f"../guides/glossary.html#{name}" not in links:
                missing.append(f"{term} in {lesson}")
    assert missing == []


@pytest.fixture(scope="module")
def browser():
    """Chromium; skipped where it or axe is missing."""
    sync_api = pytest.importorskip("playwright.sync_api")
    pytest.importorskip("axe_playwright_python")
    from tests.test_browser import BROWSER, FLAGS

    if BROWSER is None:
        pytest.skip("no browser on the PATH")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(site) -> Iterator[str]:
    """The site, served to this machine alone."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_no_page_asks_another_machine(browser, address, scheme):
    from axe_playwright_python.sync_playwright import Axe

    context, asked, found = browser.new_context(color_scheme=scheme), [], []
    context.on("request", lambda request: asked.append(request.url))
    for name in AXE:
        page = context.new_page()
        page.goto(f"{address}/{name}.html")
        assert page.locator("html").get_attribute("data-theme") == scheme
        for image in page.locator("article img").all()[:1]:  # a dark page must not change colours
            assert image.evaluate("i => getComputedStyle(i).filter") == "none"
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                places = [node["html"][:90] for node in violation["nodes"]]
                found.append(f"{name}: {violation['id']}: {places[:5]}")
    context.close()
    assert found == []
    assert [url for url in asked if not url.startswith((address, "data:"))] == []


@pytest.mark.browser
def test_search_finds_the_annealed_mean_and_the_keyboard_reaches_search_theme_and_pages(
    browser, address
):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{address}/search.html?q=annealed+mean")
    page.locator("#search-results li a").first.wait_for()
    page.wait_for_function("!document.querySelector('.search-summary')?.innerText.includes('...')")
    links = page.locator("#search-results li a").evaluate_all("all => all.map(a => a.href)")
    assert any("lessons/04_classes.html" in link for link in links)
    assert any("guides/glossary.html#term-Annealed-mean" in link for link in links)
    page.goto(f"{address}/index.html")
    reached = []
    for _ in range(120):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.outerHTML.slice(0, 300)"))
    for wanted in ("#main-content", "search-button", "theme-switch", "lessons/01_lab.html"):
        assert any(wanted in element for element in reached), wanted
    page.close()

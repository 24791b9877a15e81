"""``python docs/make_site.py [FOLDER]``: the course as a site, by default in ``build/site``.

The pages are written from what stands in the repository (executed solutions, guides, cards of data
sets, the instructor's pages, the glossary) into ``FOLDER-source``, and Sphinx makes HTML of them.
Nothing is fetched, here or by a reader; every warning is an error.
"""

import html
import io
import re
import shutil
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image
from sphinx.cmd.build import main as sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from colorcourse.build import BEGIN, END, without_answers  # noqa: E402
from colorcourse.checkout import SOURCES, project_table  # noqa: E402
from colorkit.data.cards import cards, data_root  # noqa: E402
from scripts.figures import EMBEDDED, figure_of  # noqa: E402
from scripts.slides import executed  # noqa: E402

REPOSITORY = project_table(ROOT)["urls"]["Repository"]
# Folders of pages as they stand in the repository, and in the site.
FOLDERS = {
    "": "project",
    "docs": "guides",
    "instructor": "instructor",
    "datasets/photographs": "data",
}
NOT_PROSE = r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$|\[[^\]]*\]\([^)]*\)|<[^>]+>|^#.*?$|\{\w+\}"


def site_pages() -> dict[Path, str]:
    """Each file of the repository that is a page of the site, and the page's name."""
    pages = {}
    for folder, name in FOLDERS.items():
        for path in sorted((ROOT / folder).glob("*.md")):
            pages[path] = f"{name}/{path.stem.lower()}"
    pages[ROOT / "docs/index.md"] = "index"
    pages[ROOT / "instructor/README.md"] = "instructor/index"
    for path in sorted((ROOT / SOURCES).glob("*.ipynb")):
        for file in (path, path.with_suffix(".py"), ROOT / "lessons" / path.name):
            pages[file] = f"lessons/{path.stem}"
    return pages


def relink(text: str, source: Path, pages: dict[Path, str], target: Path) -> str:
    """The text of file `source` with its relative links made right for a page of the site.

    A link to a page leads to it, pictures are copied beside the pages under `target`, and any
    other file of the repository is linked where the repository is published.
    """
    up = "../" * pages[source].count("/")

    def moved(match: re.Match) -> str:
        before, link, anchor = match.group(1), match.group(2), match.group(3) or ""
        path = (source.parent / link).resolve()
        if path in pages:
            suffix = ".ipynb" if pages[path].startswith("lessons/") else ".md"
            return f"{before}{up}{pages[path]}{suffix}{anchor}"
        if path.suffix in (".webp", ".png", ".svg") and path.is_file():
            shutil.copy(path, target / "images")
            return f"{before}{up}images/{path.name}"
        if path.exists():
            kind = "tree" if path.is_dir() else "blob"
            where = path.relative_to(ROOT).as_posix()
            return f"{before}{REPOSITORY}/{kind}/main/{where}{anchor}"
        return match.group(0)

    link = r'(\]\(|^\[[^\]]+\]: |src="|href=")(?![a-z]+:|#)([^)\s"#]+)(#[^)\s"]*)?'
    parts = re.split(r"(^```.*?^```|`[^`\n]*`)", text, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [re.sub(link, moved, part, flags=re.MULTILINE) for part in parts[::2]]
    return "".join(parts)


def glossary() -> dict[str, tuple[list[int], str]]:
    """Each term of docs/glossary.md: the lessons that introduce it, and what it means."""
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    found = re.findall(r"^- \*\*(.+?)\*\* \[([\d, ]+)\]: (.+)$", text, flags=re.MULTILINE)
    return {term: ([int(n) for n in lessons.split(",")], body) for term, lessons, body in found}


def first_use(term: str, cells: list) -> tuple[NotebookNode, re.Match] | None:
    """The cell and the place where prose introduces a term: in bold, else where it stands first.

    "Light, linear" is also "linear light", "Overfitting" is "overfits", and, if nothing else is
    found, a bold "Bayes-optimal" is the "Bayes-optimal prediction".
    """
    first, *rest = [part for part in re.split(r", | \(|\)", term) if part]
    forms = [*(f"{part} {first}" for part in rest), first, *rest]
    escaped = [re.escape(form).replace("\\ ", r"\s+") for form in forms]
    words = "|".join(re.sub(r"(?<=\w{3})(.)\1?(?:ing|ation|y)$", r"\1\1?", w) for w in escaped)
    words = rf"(?:{words})(?:e?d|e|ies|ing|y|at(?:ed|ion))?(?:e?s)?"
    plain = rf"(?<=\*){words}(?=\*)" if len(first) == 1 else rf"(?<![\w-]){words}(?![\w-])"
    alone = re.escape(first.split()[0])
    for pattern in (rf"(?<=\*\*){words}(?=\*\*)", plain, rf"(?<=\*\*){alone}(?=\*\*)"):
        search = re.compile(f"{NOT_PROSE}|({pattern})", re.IGNORECASE | re.MULTILINE | re.DOTALL)
        for cell in cells:
            for match in search.finditer(cell.source):
                if match.group(1):
                    return cell, match
    return None


def link_terms(cells: list, lesson: int) -> None:
    """Link each term that the lesson introduces to the glossary, where it is used first."""
    for term, (lessons, _) in glossary().items():
        if lesson in lessons and (found := first_use(term, cells)):
            cell, match = found
            role = f"{{term}}`{' '.join(match.group(1).split())} <{term}>`"
            cell.source = cell.source[: match.start(1)] + role + cell.source[match.end(1) :]


def lesson_page(
    path: Path, notebook: NotebookNode, pages: dict[Path, str], target: Path
) -> list[dict]:
    """Write one executed lesson, which stood at `path`, as a page; return its figures.

    Setup is taken out, an answer is folded below the stub that the student finds, and each
    figure becomes a file of its own, so that pages are light and the gallery can show it.
    """
    figures, cells, extra = [], [], 0
    for cell in notebook.cells:
        tags = set(cell.metadata.pop("tags", []))
        if "bootstrap" in tags:
            continue
        if BEGIN in cell.source:
            stub = f"```python\n{without_answers(cell.source)}\n```"
            cells.append(nbformat.v4.new_markdown_cell(stub, id=f"{cell.id}-stub"))
            lines = [line for line in cell.source.split("\n") if line.strip() not in (BEGIN, END)]
            cell.source = "\n".join(lines)
            tags.add("answer")
        elif "answer" in tags:  # to a written question
            cell.source = f"::::{{dropdown}} Show an answer\n{cell.source}\n::::"
        if folded := sorted(tags & {"answer", "imports", "parameters"}):
            words = "an answer" if folded == ["answer"] else f"the {folded[0]}"
            cell.metadata["mystnb"] = {"code_prompt_show": f"Show {words}"}
            cell.metadata["mystnb"]["code_prompt_hide"] = f"Hide {words}"
            cell.metadata["tags"] = ["hide-input"]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            data.pop("application/vnd.colorkit.record+json", None)  # for machines
            if "text/html" in data:
                data["text/html"] = take_figures(data["text/html"], path.stem, figures, target)
        if heading := re.match("#+", cell.source) if cell.cell_type == "markdown" else None:
            level = len(heading.group(0))
            extra = level if "extra" in tags else extra if level > extra else 0
        for figure in figures:
            figure.setdefault("extra", extra > 0)
        cells.append(cell)
    prose = [cell for cell in cells if cell.cell_type == "markdown"]
    for cell in prose:
        cell.source = relink(cell.source, path, pages, target)
    link_terms(prose, int(path.stem[:2]))
    notebook.cells = [cells[0], nbformat.v4.new_markdown_cell(ways_in(path.stem)), *cells[1:]]
    nbformat.write(notebook, target / "lessons" / path.name)
    return figures


def take_figures(text: str, lesson: str, figures: list[dict], target: Path) -> str:
    """HTML with each embedded picture moved into a file; the figures found are appended."""

    def file_of(match: re.Match) -> str:
        kind, alt, content = figure_of(match)
        name = f"{lesson}-{len(figures) + 1}.{kind}"
        (target / "_extra/figures" / name).write_bytes(content)
        width, height = Image.open(io.BytesIO(content)).size
        figures.append({"file": name, "alt": alt, "size": f'width="{width}" height="{height}"'})
        source = f'src="../figures/{name}" {figures[-1]["size"]}'
        tag = re.sub(r'src="[^"]*"', source, match.group(0))
        return tag.replace("<img", f'<img id="figure-{len(figures)}" loading="lazy"')

    return EMBEDDED.sub(file_of, text)


def ways_in(lesson: str) -> str:
    """What stands under a lesson's title: where to work through it, and its take-away."""
    path = f"lessons/{lesson}.ipynb"
    places = [f'<a href="../_sources/{path}" download>download it</a>']
    if REPOSITORY.startswith("https://github.com/"):
        name = REPOSITORY.removeprefix("https://github.com/")
        binder = f"https://mybinder.org/v2/gh/{name}/main?urlpath=lab/tree/{path}"
        colab = f"https://colab.research.google.com/github/{name}/blob/main/{path}"
        places = [f"[open it in Colab]({colab})", f"[in Binder]({binder})", *places]
    return (
        "```{note}\nThis page shows the lesson as it ran, with answers folded. To work through it, "
        f"take your own notebook: {', '.join(places[:-1])} or {places[-1]}. "
        f"[The take-away](../takeaways/{lesson}.md) is half a page to print.\n```"
    )


def figure_html(figure: dict, link: str = "") -> str:
    """A figure with its alt text as its caption, which screen readers need not read twice."""
    image = f'<img src="../figures/{figure["file"]}" {figure["size"]} loading="lazy"'
    image += f' alt="{html.escape(figure["alt"])}">'
    image = f'<a href="{link}">{image}</a>' if link else image
    caption = f'<figcaption aria-hidden="true">{html.escape(figure["alt"])}</figcaption>'
    return f"<figure>{image}{caption}</figure>\n"


def takeaway(title: str, prose: str, figures: list[dict]) -> str:
    """Half a page to print: the recap of a lesson, its display formulas, first and last figure."""
    recap = re.search(r"^## Recap\n+(- .+?)\n\n", f"{prose}\n\n", re.MULTILINE | re.DOTALL)
    text, heading = f"# {title.replace('Lesson', 'Take-away')}\n\n{recap.group(1)}\n\n", ""
    for name, formula in re.findall(r"^#+ ([^\n]+)|\$\$(.+?)\$\$", prose, re.MULTILINE | re.DOTALL):
        if formula:
            text, heading = f"{text}{heading}$$\n{formula}\n$$\n\n", ""
        else:
            heading = re.sub(r"Exercise \d+\. | \(.*minutes\)", "", name) + ":\n\n"
    core = [figure for figure in figures if not figure["extra"]]
    shown = "".join(figure_html(figure) for figure in core[:1] + core[1:][-1:])
    return f'{text}<div class="pair">\n{shown}</div>\n'


def gallery(figures: dict[tuple[str, str], list[dict]]) -> str:
    """All figures by the name and title of their lesson; each leads to its place."""
    text = "# Gallery\n\nEvery figure of the executed lessons. A click leads to where it stands.\n"
    for (lesson, title), found in figures.items():
        links = (f"../lessons/{lesson}.html#figure-{i}" for i in range(1, len(found) + 1))
        items = "".join(map(figure_html, found, links))
        text += f'\n## {title}\n\n<div class="gallery">\n{items}</div>\n'
    return text


def glossary_page(pages: dict[Path, str]) -> str:
    """docs/glossary.md as definitions to which the lessons link, and which link back."""
    lessons = {int(name[8:10]): name for name in pages.values() if name.startswith("lessons/")}
    text = (
        "# Glossary\n\nThe terms of the lessons. Each links to the lesson that introduces it.\n\n"
    )
    text += "```{glossary}\n"
    for term, (numbers, body) in glossary().items():
        links = (f"[lesson {n}](../{lessons[n]}.ipynb)" for n in numbers)
        text += f"{term}\n  {body[0].upper()}{body[1:]} ({', '.join(links)})\n\n"
    return text + "```\n"


def cards_page() -> str:
    """The cards of the data sets, as `colorkit data show` prints them, each as a table."""
    text = (
        "# Data sets\n\n`colorkit data list` names these sets, `colorkit data get` fetches one.\n"
    )
    for card in cards().values():
        facts, _, by_hand = card.describe().partition("\n\n")
        facts = re.sub(r"(https?://[^\s|]+)", r"<\1>", facts)
        rows = [f"| {fact.replace(':', ' | ', 1)} |" for fact in facts.split("\n")]
        text += "\n".join([f"\n## {card.name}\n", rows[0], "|---|---|", *rows[1:], ""])
        text += "\n" + by_hand.replace(str(data_root()), r"\$COLORKIT_DATA") + "\n"
    return text


def main(folder: Path) -> int:
    """Write all pages beside `folder`, then build the site there; Sphinx's exit status."""
    source, pages = folder.with_name(f"{folder.name}-source"), site_pages()
    written, figures = {}, {}
    for old in (source, folder):
        shutil.rmtree(old, ignore_errors=True)
    for part in ("lessons", "images", "_extra/figures"):
        (source / part).mkdir(parents=True)
    for path, name in pages.items():
        if path.suffix == ".md" and path.is_file():
            written[name] = relink(path.read_text(encoding="utf-8"), path, pages, source)
    for name, title, lesson in executed(ROOT):
        prose = "\n\n".join(cell.source for cell in lesson.cells if cell.cell_type == "markdown")
        found = lesson_page(ROOT / SOURCES / f"{name}.ipynb", lesson, pages, source)
        figures[name, title], written[f"takeaways/{name}"] = found, takeaway(title, prose, found)
    written |= {"guides/glossary": glossary_page(pages), "guides/gallery": gallery(figures)}
    written["data/cards"] = cards_page()
    for name, text in written.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / f"{name}.md").write_text(text, encoding="utf-8")
    options = ["-W", "--keep-going", "-q", "-j", "auto", "-d", f"{source}/_doctrees"]
    return sphinx(["-c", str(ROOT / "docs"), *options, str(source), str(folder)])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/site").resolve()))

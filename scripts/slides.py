"""``python -m scripts.slides``: a deck of slides for each lesson, in ``build/slides``.

A cell of the executed solution with the tag "slide" is a slide. Prose gives its heading, first
paragraph, lists and formulas; code gives its figures and tables or, where it shows none, itself.
All of the prose of a slide, and what follows it up to the next heading, is in the speaker's notes
(key S). Each deck is one file that needs no network: reveal.js is inside (scripts/deck/static).
"""

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from nbconvert import SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from colorcourse.build import BEGIN, END
from colorcourse.checkout import SOURCES, find_root
from colorcourse.recording import MIME
from colorkit.files import write_whole


def executed(root: Path) -> Iterator[tuple[str, str, NotebookNode]]:
    """Name, title and notebook of each solution; SystemExit where one has not been executed."""
    for path in sorted((root / SOURCES).glob("*.ipynb")):
        lesson = nbformat.read(path, as_version=4)
        if not any(cell.get("outputs") for cell in lesson.cells):
            raise SystemExit(f"{path} has no outputs: run `make notebooks`, then this again")
        yield path.stem, lesson.cells[0].source.split("\n")[0].lstrip("# "), lesson


def with_formulas(text: str) -> str:
    """The text with its formulas as MathML, which needs no script."""

    def mathml(match: re.Match) -> str:
        display = "block" if match[1] else "inline"
        return convert((match[1] or match[2]).strip(), display=display)

    return re.sub(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", mathml, text, flags=re.DOTALL)


def in_short(section: str) -> str:
    """Heading, the paragraph below it, what introduces a list, and all that is no paragraph."""
    blocks = re.split(r"\n\s*\n(?=\S)", section)
    special = [bool(re.match(r"#|[-*] |\d+\. |\$\$|\||```|!\[", block)) for block in blocks]
    following = [*special[1:], False]
    kept = [b for i, b in enumerate(blocks) if i < 2 or special[i] or following[i]]
    return "\n\n".join(kept)


def as_slide(cell: NotebookNode) -> NotebookNode:
    """A code cell: its figures, else its tables, else what it printed, else its code."""
    shown = [o for o in cell.outputs if "text/html" in o.get("data", {})]
    shown = [o for o in shown if MIME not in o.data and 'role="status"' not in o.data["text/html"]]
    figures = [o for o in shown if "<img" in o.data["text/html"]]
    outputs = figures or shown or [o for o in cell.outputs if o.output_type == "stream"]
    lines = [line for line in cell.source.split("\n") if line.strip() not in (BEGIN, END)]
    source, tags = ("", ["figure"]) if outputs else ("\n".join(lines), [])
    return new_code_cell(source, outputs=outputs, metadata={"tags": tags})


def deck(lesson: NotebookNode) -> NotebookNode:
    """The notebook whose cells are the slides and notes of an executed lesson."""
    cells, heading = [], ""

    def add(kind: str, cell: NotebookNode) -> None:
        cell.metadata["slideshow"] = {"slide_type": kind}
        cells.append(cell)

    for cell in lesson.cells:
        marked = "slide" in cell.metadata.get("tags", [])
        if cell.cell_type == "code":
            if marked:
                add("slide", new_markdown_cell(with_formulas(f"## {heading}")))
                add("-", as_slide(cell))
            continue
        before, *sections = re.split(r"^(?=#+ )", cell.source, flags=re.MULTILINE)
        if before.strip() and cells:
            add("notes", new_markdown_cell(with_formulas(before)))
        for section in sections:
            first = section.split("\n")[0].lstrip("# ")
            heading = heading if first.startswith("Exercise") else first
            if marked:
                add("slide", new_markdown_cell(with_formulas(in_short(section))))
                add("notes", new_markdown_cell(with_formulas(section)))
    return nbformat.v4.new_notebook(cells=cells, metadata=lesson.metadata)


def main() -> None:
    """Write the decks and say where."""
    root = find_root()
    templates = str(Path(__file__).parent)
    exporter = SlidesExporter(
        extra_template_basedirs=[templates], template_name="deck", exclude_anchor_links=True
    )
    for name, title, lesson in executed(root):
        page, _ = exporter.from_notebook_node(deck(lesson), {"metadata": {"name": title}})
        write_whole(root / "build/slides" / f"{name}.html", page)
        print(f"build/slides/{name}.html: {page.count('<section>') // 2} slides")


if __name__ == "__main__":
    main()

"""``python -m scripts.figures``: every figure of the executed lessons as a file, with an index.

They come to ``build/figures``; ``index.html`` there has each with its caption and its licence.
"""

import base64
import html
import re

import nbformat

from colorcourse.checkout import find_root
from colorkit.files import write_whole
from scripts.slides import executed

LICENCE = (
    "The colorkit authors, CC BY 4.0 (LICENSE-TEXT). Photographs in it keep their own licence: "
    "see datasets/photographs/README.md for ours, and scikit-image and Matplotlib for theirs."
)
PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Figures</title><style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: auto; padding: 1rem; }}
figure {{ margin: 2rem 0; }} img {{ max-width: 100%; background: white; }}
</style></head>
<body><h1>Figures of the executed lessons</h1>
{figures}
</body></html>
"""


EMBEDDED = re.compile(r'<img\b[^>]*src="data:image/(\w+);base64,([^"]+)"[^>]*>')


def figure_of(tag: re.Match) -> tuple[str, str, bytes]:
    """Kind ("webp"), alt text and content of an embedded picture."""
    return tag[1], html.unescape(re.search(r'alt="([^"]*)"', tag[0])[1]), base64.b64decode(tag[2])


def figures_of(lesson: nbformat.NotebookNode) -> list[tuple[str, str, bytes]]:
    """What `figure_of` gives of each figure in the outputs, in order."""
    outputs = (output for cell in lesson.cells for output in cell.get("outputs", []))
    texts = (output.get("data", {}).get("text/html", "") for output in outputs)
    return [figure_of(tag) for text in texts for tag in EMBEDDED.finditer(text)]


def main() -> None:
    """Write the files and the index, and say where."""
    root, parts = find_root(), []
    for lesson, title, notebook in executed(root):
        parts.append(f"<h2>{html.escape(title)}</h2>")
        for number, (kind, caption, content) in enumerate(figures_of(notebook), 1):
            name, caption = f"{lesson}-{number:02}.{kind}", html.escape(caption)
            write_whole(root / "build/figures" / name, content)
            text = f"<code>{name}</code>. {caption}<br><small>{LICENCE}</small>"
            image = f'<img src="{name}" alt="{caption}" loading="lazy">'
            parts.append(f"<figure>{image}<figcaption>{text}</figcaption></figure>")
    write_whole(root / "build/figures/index.html", PAGE.format(figures="\n".join(parts)))
    print("build/figures/index.html")


if __name__ == "__main__":
    main()

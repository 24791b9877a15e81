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


def figures_of(lesson: nbformat.NotebookNode) -> list[tuple[str, str, bytes]]:
    """Kind ("webp"), caption and content of each figure in the outputs, in order."""
    found = []
    for cell in lesson.cells:
        for output in cell.get("outputs", []):
            for tag in re.findall(r"<img\b[^>]*>", output.get("data", {}).get("text/html", "")):
                source = re.search(r'src="data:image/(\w+);base64,([^"]+)"', tag)
                caption = html.unescape(re.search(r'alt="([^"]*)"', tag)[1])
                found.append((source[1], caption, base64.b64decode(source[2])))
    return found


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

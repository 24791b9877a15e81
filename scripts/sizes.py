"""``python -m scripts.sizes build/course/*/results.json``: minutes and memory for instructors.

What `make course` measured replaces the rows of its profile in recorded/sizes.csv, and the table in
instructor/README.md is made from all rows. Without a file, the table alone is made anew.
"""

import json
import re
import sys
from pathlib import Path

import pandas as pd

from colorcourse.checkout import find_root, lesson_ids
from colorcourse.recording import EXPECTED
from colorcourse.report import setting
from colorkit.files import write_whole

SIZES = EXPECTED.parent / "recorded" / "sizes.csv"
LAST = "longest, largest"
PAGE = "instructor/README.md"
PLACE = re.compile(r"(?<=<!-- made by scripts/sizes.py -->\n).*?(?=<!-- end -->)", re.DOTALL)


def measured(path: Path) -> pd.DataFrame:
    """A row for each lesson of a results.json; ValueError if a lesson failed or was left out."""
    results = json.loads(path.read_text(encoding="utf-8"))
    bad = [name for name, entry in results["lessons"].items() if not entry["ok"]]
    if bad or set(results["lessons"]) != set(lesson_ids(find_root())):
        raise ValueError(f"{path}: {bad or 'not all lessons'}; run `make course` to its end first")
    machine = setting(results)
    rows = [
        (results["profile"], machine, name, entry["seconds"], entry["peak_mb"])
        for name, entry in results["lessons"].items()
    ]
    return pd.DataFrame(rows, columns=["profile", "machine", "lesson", "seconds", "peak_mb"])


def table(sizes: pd.DataFrame) -> str:
    """The rows as a table in Markdown: a line a lesson, a pair of columns a profile."""
    groups = list(sizes.groupby("profile", sort=False))
    head = "".join(f" {profile}: minutes | MB |" for profile, _ in groups)
    lines = [f"| lesson |{head}", "|---|" + "---:|" * 2 * len(groups)]
    for lesson in [*sizes.lesson.unique(), LAST]:
        line = f"| {lesson} |"
        for _, rows in groups:
            row = rows[rows.lesson == lesson] if lesson != LAST else rows
            line += f" {row.seconds.max() / 60:.1f} | {row.peak_mb.max():,.0f} |"
        lines.append(line)
    machines = "; ".join(f"{profile} on {rows.machine.iloc[0]}" for profile, rows in groups)
    return "\n".join([*lines, "", f"Measured: {machines}.", ""])


def main() -> None:
    """Add the results named on the command line, and write the table."""
    sizes = pd.read_csv(SIZES, comment="#")
    for name in sys.argv[1:]:
        new = measured(Path(name))
        sizes = pd.concat([sizes[sizes.profile != new.profile.iloc[0]], new])
    order = {"ci": 0, "laptop": 1, "gpu": 2}
    sizes = sizes.sort_values(["profile", "lesson"], key=lambda c: c.replace(order))
    page = find_root() / PAGE
    text = PLACE.sub(lambda _: table(sizes), page.read_text(encoding="utf-8"))
    write_whole(
        SIZES, f"# python -m scripts.sizes build/course/*/results.json\n{sizes.to_csv(index=False)}"
    )
    write_whole(page, text)


if __name__ == "__main__":
    main()

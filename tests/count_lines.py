"""``python -m tests.count_lines``: how large each part of the code is; exit 1 where one is over.

Lines are counted as they stand in the file, blank lines and docstrings too. A part that is full
asks what can go, not for a larger limit.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Part: its files, the folders among them that are parts of their own, and its limit.
PARTS: dict[str, tuple[str, tuple[str, ...], int]] = {
    "colorkit, the core": ("colorkit/**/*.py", ("colorkit/worlds/", "colorkit/data/"), 4650),
    "colorkit/fit.py": ("colorkit/fit.py", (), 180),
    "colorkit/gan.py": ("colorkit/gan.py", (), 220),
    "colorkit/color.py": ("colorkit/color.py", (), 350),
    "colorkit/bins.py": ("colorkit/bins.py", (), 280),
    "colorkit/data": ("colorkit/data/**/*.py", (), 1800),
    "colorkit/worlds": ("colorkit/worlds/**/*.py", (), 2300),
    "colorcourse, the machinery": (
        "colorcourse/**/*.py",
        ("colorcourse/lesson", "colorcourse/grading/"),
        2170,
    ),
    "colorcourse, the grader": ("colorcourse/grading/*.py", (), 1420),
    "colorcourse, the lessons": ("colorcourse/lesson*/**/*.py", (), 7090),
    "docs, the site": ("docs/*.py", (), 380),
    "tests": ("tests/**/*.py", (), 10450),
}


def count(pattern: str, others: tuple[str, ...]) -> int:
    """Lines of all files that match, without those whose path begins with one of the others."""
    paths = {path.relative_to(ROOT).as_posix(): path for path in ROOT.glob(pattern)}
    own = [path for name, path in paths.items() if not name.startswith(others)]
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in own)


def main() -> int:
    """Print the table; 1 where a part is over its limit or has no file at all, else 0."""
    bad = 0
    for part, (pattern, others, limit) in PARTS.items():
        lines = count(pattern, others)
        verdict = "no such file" if lines == 0 else "too large" if lines > limit else ""
        bad += bool(verdict)
        print(f"{part:28}{lines:7,} of {limit:6,}  {verdict}".rstrip())
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())

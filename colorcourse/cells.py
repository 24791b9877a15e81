"""Read a notebook cell's source: the answers in it, and the exercises that it names."""

import re

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
STUB = "...  # your code here"


def regions(source: str) -> list[tuple[int, int]]:
    """The line numbers (from 1) of each pair of solution markers; ValueError for a lone marker."""
    found, begin = [], None
    for number, line in enumerate(source.splitlines(), 1):
        text = line.strip()
        if text not in (BEGIN, END):
            continue
        if (text == BEGIN) != (begin is None):
            raise ValueError(f"{text!r} in line {number} has no partner")
        if text == END:
            found.append((begin, number))
        begin = number if text == BEGIN else None
    if begin is not None:
        raise ValueError(f"{BEGIN!r} in line {begin} has no partner")
    return found


def without_answers(source: str) -> str:
    """The source with each region, markers included, replaced by the stub at its indent.

    Examples
    --------
    >>> print(without_answers("def f():\\n    ### BEGIN SOLUTION\\n    return 1\\n"
    ...                       "    ### END SOLUTION"))
    def f():
        ...  # your code here
    """
    lines = source.split("\n")
    for begin, end in reversed(regions(source)):
        indent = re.match(r"\s*", lines[begin - 1]).group()
        lines[begin - 1 : end] = [indent + STUB]
    return "\n".join(lines)


def defined_exercises(source: str) -> list[str]:
    """The names in lines like ``@exercise("lab.linearize")``."""
    return re.findall(r'^@exercise\("([^"]+)"\)', source, flags=re.MULTILINE)


def checked_exercises(source: str) -> list[str]:
    """The names in lines like ``check("lab.linearize")``."""
    return re.findall(r'^check\("([^"]+)"\)', source, flags=re.MULTILINE)

"""Read a notebook cell's source: the answers in it, the exercises that it names, its words."""

import ast
import re

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
STUB = "...  # your code here"

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


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


def parse(source: str) -> ast.Module:
    """The cell's syntax tree, with magic commands read as `pass`. SyntaxError where it is none."""
    return ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE))


def called(call: ast.Call) -> str:
    """The last part of the called name: ``show`` for ``plots.show(...)``; "" for the rest."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    """The calls of `name` or `something.name` in the tree, in the order of the text."""
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and called(n) == name]
    return sorted(found, key=lambda call: (call.lineno, call.col_offset))


def first_text(call: ast.Call) -> str | None:
    """The call's first argument where that is a plain string."""
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def defined_exercises(tree: ast.AST) -> list[tuple[str, Definition]]:
    """(name, definition) for every function or class decorated with ``@exercise("name")``."""
    return [
        (first_text(decorator) or "", node)
        for node in ast.walk(tree)
        for decorator in getattr(node, "decorator_list", [])
        if isinstance(decorator, ast.Call) and called(decorator) == "exercise"
    ]


def checked_exercises(tree: ast.AST) -> list[str]:
    """The names given to ``check(...)``."""
    return [first_text(call) or "" for call in calls(tree, "check")]


def count_words(markdown: str) -> int:
    """Words that a reader reads: without code fences, addresses, tags and table rules.

    Examples
    --------
    >>> count_words("# Two words\\n![a photograph](x.png) and [a link](http://a.b/c) | --- |")
    7
    """
    text = re.sub(r"```.*?```", " ", markdown, flags=re.DOTALL)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"<[^>]+>|https?://\S+", " ", text)
    return sum(any(c.isalnum() for c in word) for word in text.split())

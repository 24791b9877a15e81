"""Which variables of a notebook were made with an undone exercise.

While an exercise is undone colorkit's own answer stands in for it. Figures made with that answer
are stamped "reference", so that nobody takes them for their own work. The figure is often drawn in
a later cell than the one that called the stand-in, so we follow names: a cell that called a
stand-in, or that read a name so marked, marks every name that it assigns.
"""

import ast
import sys
from typing import Any

_marked: dict[str, frozenset[str]] = {}  # variable -> the undone exercises it came from
_called: set[str] = set()  # undone exercises called in the running cell
_reads: frozenset[str] = frozenset()  # names that the running cell reads


def mark(exercise: str) -> None:
    """Note that the stand-in of an exercise was called in the running cell."""
    _called.add(exercise)


def undone_exercises() -> list[str]:
    """The undone exercises that the running cell depends on, sorted."""
    inherited = (_marked.get(name, frozenset()) for name in _reads)
    return sorted(_called.union(*inherited))


def names_in(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names that a cell reads and those that it assigns or changes.

    Examples
    --------
    >>> reads, writes = names_in("y = f(x)\\nz[0] = y")
    >>> sorted(reads), sorted(writes)
    (['f', 'x', 'y', 'z'], ['y', 'z'])
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return frozenset(), frozenset()
    reads, writes = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (reads if isinstance(node.ctx, ast.Load) else writes).add(node.id)
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            base = node.value
            while isinstance(base, ast.Subscript | ast.Attribute):
                base = base.value
            if isinstance(base, ast.Name):
                writes.add(base.id)
    return frozenset(reads), frozenset(writes)


def start_cell(source: str) -> None:
    """Begin a cell: forget what the last one called, remember what this one reads."""
    global _reads
    _called.clear()
    _reads, _ = names_in(source)


def end_cell(source: str) -> None:
    """End a cell: mark, or clear, every name that it assigned."""
    made_with = frozenset(undone_exercises())
    for name in names_in(source)[1]:
        if made_with:
            _marked[name] = made_with
        else:
            _marked.pop(name, None)


def _plain(info: Any) -> str:
    shell = sys.modules["IPython"].get_ipython()
    return shell.input_transformer_manager.transform_cell(info.raw_cell or "")


def watch() -> None:
    """Follow the cells of the running IPython shell, if there is one; again is harmless."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or getattr(shell, "_colorkit_watched", False):
        return
    shell._colorkit_watched = True
    shell.events.register("pre_run_cell", lambda info: start_cell(_plain(info)))
    shell.events.register("post_run_cell", lambda result: end_cell(_plain(result.info)))

"""What grading takes from a notebook: the answers, and of the other cells only what they use.

Nothing is executed here. An answer is the function or class below ``@exercise("name")``; with it go
the imports, functions, classes and constants of the student's cells whose names it uses, directly
or through each other. What a student's cells lack comes from the lesson's source.
"""

import ast
import builtins
import functools
import re
import symtable
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from colorcourse.checkout import SOURCES
from colorcourse.exercises import Exercise

COURSE = Path(__file__).parents[1]
# Lines of IPython's own: %time, !ls, ?name, files = !ls, name?. `% 3` and `!= 3` continue Python.
MAGIC = re.compile(
    r"^([ \t]*)(?:(?:[\w, ]+=[ \t]*)?(?:%%?[a-z]|!(?!=)).*|\?.*|[\w.]+\?\??[ \t]*)$", re.MULTILINE
)
DEFINED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass
class Cells:
    """Top-level definitions of a notebook, or of a module, by name; the last of a name counts."""

    names: dict[str, ast.stmt] = field(default_factory=dict)
    answers: dict[str, list[ast.stmt]] = field(default_factory=dict)  # by exercise, in order
    broken: dict[str, str] = field(default_factory=dict)  # exercise to its cell's syntax error

    def add(self, source: str) -> None:
        """The definitions of one more cell; where it is no Python, the exercises named in it."""
        try:
            if len(source) > 10**6:
                raise ValueError("a cell of more than a million characters")
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            text, line = getattr(error, "msg", str(error)), getattr(error, "lineno", None)
            text += f", line {line} of its cell" if line else ""
            self.broken |= dict.fromkeys(re.findall(r"""exercise\(\s*["']([\w.]+)""", source), text)
            return
        for node in tree.body:
            names = []
            if isinstance(node, DEFINED):
                names, others = [node.name], []
                for decorator in node.decorator_list:
                    text = ast.unparse(decorator)
                    if found := re.match(r"(?:\w+\.)*exercise\('([\w.]+)'", text):
                        self.answers.setdefault(found[1], []).append(node)
                    elif "exercise(" not in text:
                        others.append(decorator)
                node.decorator_list = others
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.asname or a.name.split(".")[0] for a in node.names]
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [n.id for t in targets for n in ast.walk(t)
                         if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]  # fmt: skip
            self.names |= dict.fromkeys(names, node)


def read_cells(sources: Iterable[str]) -> Cells:
    """The definitions in the code cells of a notebook; lines of IPython's own are passed over.

    So is a cell in another language, as below ``%%bash``.
    """
    cells = Cells()
    for source in sources:
        if re.match(r"\s*(?!%%(?:time|timeit|capture|prun)\b)%%", source) is None:
            cells.add(MAGIC.sub(r"\1pass", source))
    return cells


@functools.cache
def module_cells(path: Path) -> Cells:
    """The definitions of a module of the course, or of a lesson's source."""
    cells = Cells()
    cells.add(path.read_text(encoding="utf-8"))
    return cells


def solution(lesson: str) -> Cells:
    """The definitions of a lesson's source; FileNotFoundError where there is no checkout."""
    path = COURSE.parent / SOURCES / f"{lesson}.py"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: grade with colorkit installed from a checkout")
    return module_cells(path)


def is_stub(spec: Exercise, node: ast.stmt) -> bool:
    """Whether an answer, or one of the methods that the student writes, is still the stub."""
    parts = [node]
    if isinstance(node, ast.ClassDef):
        parts = [x for x in node.body if isinstance(x, DEFINED) and x.name in spec.methods]

    def empty(x: ast.stmt) -> bool:
        text = isinstance(x, ast.Expr) and isinstance(x.value, ast.Constant)
        return text or isinstance(x, ast.Pass)

    return any(all(map(empty, part.body)) for part in parts)


@functools.lru_cache(maxsize=4096)
def uses(node: ast.stmt) -> frozenset[str]:
    """The names outside of it that a definition uses; annotations do not count."""
    found, source = set(), f"from __future__ import annotations\n{ast.unparse(node)}"
    tables = [symtable.symtable(source, "cell", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        top = table.get_type() == "module"
        found |= {s.get_name() for s in table.get_symbols()
                  if s.is_global() or (top and s.is_referenced())}  # fmt: skip
    return frozenset(found - {"annotations"})


def closure(start: str, tables: list[Mapping[str, ast.stmt]]) -> tuple[list[ast.stmt], set[str]]:
    """The definition of a name after all that it uses, in order; and names that nothing defines.

    A name is looked up in the tables in their order. Imports are cut down to what is used.
    """
    order: list[ast.stmt] = []
    seen: set[int] = set()
    used: set[str] = set()
    lost: set[str] = set()

    def visit(name: str) -> None:
        used.add(name)
        node = next((table[name] for table in tables if name in table), None)
        if node is None and not hasattr(builtins, name):
            lost.add(name)
        elif node is not None and id(node) not in seen:
            seen.add(id(node))
            if not isinstance(node, ast.Import | ast.ImportFrom):
                for other in sorted(uses(node)):
                    visit(other)
            order.append(node)

    visit(start)
    return [_cut(node, used) for node in order], lost


def _cut(node: ast.stmt, used: set[str]) -> ast.stmt:
    """An import without the names that are not used; any other statement as it is."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return node
    fields = dict(ast.iter_fields(node))
    fields["names"] = [a for a in node.names if (a.asname or a.name.split(".")[0]) in used]
    return ast.copy_location(type(node)(**fields), node)


def bundle(wanted: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Sources of the course's modules that hold just the wanted functions, and what these use.

    `wanted` are pairs of a module and a name in it. A module comes after those that it imports, so
    that a process can be given single functions of a module that also holds references.
    """
    parts: dict[str, list[ast.stmt]] = {}
    seen: set[tuple[str, str]] = set()

    def visit(module: str, name: str) -> None:
        seen.add((module, name))
        path = COURSE.parent.joinpath(*module.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        nodes, _ = closure(name, [module_cells(path).names])
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("colorcourse"):
                for alias in node.names:
                    if (node.module, alias.name) not in seen:
                        visit(node.module, alias.name)
        own = parts.setdefault(module, [])
        own += [node for node in nodes if node not in own]

    for module, name in wanted:
        if (module, name) not in seen:
            visit(module, name)
    head = "from __future__ import annotations\n"
    return [(module, head + ast.unparse(ast.Module(own, []))) for module, own in parts.items()]

"""What grading takes from a notebook: the answers, and of the other cells only what they use.

Nothing is executed here. An answer is the function or class below ``@exercise("name")``; with it go
the imports, functions, classes and constants of the student's cells whose names it uses, directly
or through each other. What a student's cells lack comes from the lesson's source.
"""

import ast
import builtins
import functools
import importlib
import re
import symtable
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from colorcourse.exercises import Exercise

COURSE = Path(__file__).parent
DEFINED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# What an answer may import. All the rest would reach beyond it, or is of no use in it.
_MODULES = """
    __future__ abc bisect cmath collections colorkit contextlib copy dataclasses decimal enum
    fractions functools heapq itertools math numbers numpy operator random re scipy statistics time
    torch torchvision typing warnings
"""
MODULES = frozenset(_MODULES.split())
# Names by which Python's own machinery, files and other processes are reached.
_FORBIDDEN = """
    __import__ eval exec compile open globals locals vars breakpoint exit quit sys os gc inspect
    importlib builtins ctypes subprocess socket threading multiprocessing pickle pathlib shutil
    tempfile get_type_hints ForwardRef attrgetter methodcaller environ putenv from_file fromfile
    tofile memmap hub load_library cpp_extension f_back f_globals f_locals f_code tb_frame gi_frame
    cr_frame ag_frame mro register submissions get_ipython settrace
"""
FORBIDDEN = frozenset(_FORBIDDEN.split())
DUNDER = re.compile(r"__[a-z_]+__")
_HARMLESS = """
    init call name class len iter next getitem setitem contains enter exit repr str eq ne lt le gt
    ge hash add radd sub rsub mul rmul matmul truediv rtruediv pow neg abs float int bool index doc
    post_init annotations future
"""
HARMLESS = frozenset(f"__{name}__" for name in _HARMLESS.split())


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
            line = getattr(error, "lineno", None)
            text = f"{getattr(error, 'msg', error)}" + (
                f", line {line} of its cell" if line else ""
            )
            self.broken |= dict.fromkeys(re.findall(r"""exercise\(\s*["']([\w.]+)""", source), text)
            return
        for node in tree.body:
            if isinstance(node, DEFINED):
                names = [node.name]
                for call in node.decorator_list:
                    if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("exercise"):
                        name = call.args[0] if call.args else None
                        if isinstance(name, ast.Constant) and isinstance(name.value, str):
                            self.answers.setdefault(name.value, []).append(node)
                marks = [d for d in node.decorator_list if "exercise(" not in ast.unparse(d)]
                node.decorator_list = marks
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.asname or a.name.split(".")[0] for a in node.names]
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [n.id for t in targets for n in ast.walk(t)
                         if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]  # fmt: skip
            else:
                names = []
            self.names |= dict.fromkeys(names, node)


def read_cells(sources: Iterable[str]) -> Cells:
    """The definitions in the code cells of a notebook; lines of IPython's own are passed over."""
    cells = Cells()
    for source in sources:
        if not source.lstrip().startswith("%%"):
            cells.add(re.sub(r"^([ \t]*)[%!?].*$", r"\1pass", source, flags=re.MULTILINE))
    return cells


@functools.cache
def module_cells(path: Path) -> Cells:
    """The definitions of a module of the course, or of a lesson's source."""
    cells = Cells()
    cells.add(path.read_text(encoding="utf-8"))
    return cells


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
def _uses(node: ast.stmt) -> frozenset[str]:
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


def closure(
    node: ast.stmt, tables: list[Mapping[str, ast.stmt]]
) -> tuple[list[ast.stmt], set[str]]:
    """A definition after all that it uses, each before what uses it; and names found nowhere.

    A name is looked up in the tables in their order.
    """
    done: dict[int, ast.stmt | None] = {}
    lost: set[str] = set()

    def visit(stmt: ast.stmt) -> None:
        done[id(stmt)] = None
        if not isinstance(stmt, ast.Import | ast.ImportFrom):
            for name in sorted(_uses(stmt)):
                found = next((table[name] for table in tables if name in table), None)
                if found is None and not hasattr(builtins, name):
                    lost.add(name)
                elif found is not None and id(found) not in done:
                    visit(found)
        del done[id(stmt)]
        done[id(stmt)] = stmt

    visit(node)
    return [stmt for stmt in done.values() if stmt is not None], lost


def tampering(nodes: Iterable[ast.stmt], helpers: set[str]) -> str:
    """What in definitions no answer needs, because it reaches beyond it; empty if there is nothing.

    `helpers` are the functions of the course's modules that this answer may call, as in
    ``studies.by_hue``. This reads the text alone, so it is a sieve and no wall.
    """
    imported: set[str] = set()
    for node in (x for stmt in nodes for x in ast.walk(stmt)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            home = getattr(node, "module", None)
            for alias in node.names:
                imported.add(alias.asname or alias.name.split(".")[0])
                name = f"{home}.{alias.name}" if home else alias.name
                ours = name.split(".")[0] == "colorcourse" and {alias.name} & {
                    helper.split(".")[0] for helper in helpers
                }
                if getattr(node, "level", 0) or alias.name == "*":
                    return f"it has `{ast.unparse(node)}`"
                if name.split(".")[0] not in MODULES and not ours:
                    return f"it imports {name}"
                if {*name.split(".")} & FORBIDDEN or alias.name.startswith("_"):
                    return f"it imports {name}"
    for node in (x for stmt in nodes for x in ast.walk(stmt)):
        names = [getattr(node, key, None) for key in ("id", "attr", "name", "arg")]
        names += [*getattr(node, "names", ()), *getattr(node, "kwd_attrs", ())]
        for name in filter(lambda name: isinstance(name, str), names):
            if name in FORBIDDEN or (DUNDER.fullmatch(name) and name not in HARMLESS):
                return f"it uses {name}"
        private = isinstance(node, ast.Attribute) and re.match("_(?!_)", node.attr)
        if private and getattr(node.value, "id", "") not in ("self", "cls"):
            return f"it uses {ast.unparse(node)[:80]}, which is private"
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            if hidden := [x for x in DUNDER.findall(text) if x not in HARMLESS]:
                return f"a text in it holds {hidden[0]}"
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
            "getattr",
            "setattr",
            "delattr",
        ):
            target, name = [*node.args, None, None][:2]
            fixed = isinstance(name, ast.Constant) and str(name.value) not in FORBIDDEN
            if not fixed and getattr(target, "id", "") != "self":
                return f"it has `{ast.unparse(node)[:80]}`"
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            root = node.value
            while isinstance(root, ast.Attribute):
                root = root.value
            if getattr(root, "id", "") in imported:
                return f"it changes {ast.unparse(node)}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            roots = {helper.split(".")[0] for helper in helpers}
            if node.value.id in roots and f"{node.value.id}.{node.attr}" not in helpers:
                return f"it uses {node.value.id}.{node.attr} of the course"
    return ""


def borrowed(spec: Exercise, nodes: list[ast.stmt]) -> str:
    """The name by which definitions reach for what is itself the answer; empty if none does."""
    homes: dict[str, str] = {}
    for node in (x for stmt in nodes for x in ast.walk(stmt)):
        if isinstance(node, ast.Import):
            homes |= {a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0]
                      for a in node.names}  # fmt: skip
        elif isinstance(node, ast.ImportFrom):
            homes |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    own = [spec.reference, *spec.own]
    names = {f.__name__ for f in own if f.__module__.split(".")[0] == "colorkit"}
    for node in (x for stmt in nodes for x in ast.walk(stmt)):
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        first, *rest = ast.unparse(node).split(".")
        target = _resolve(".".join([homes[first], *rest])) if first in homes else None
        if any(target is f for f in own if target is not None):
            return ast.unparse(node)
        alias = isinstance(node, ast.Attribute) and target is None and first != "self"
        if alias and node.attr in names and "colorkit" in {h.split(".")[0] for h in homes.values()}:
            return ast.unparse(node)
    return ""


@functools.cache
def _resolve(path: str) -> object:
    """The object of a dotted name in colorkit or torch, which alone are imported for it."""
    parts = path.split(".")
    if parts[0] not in ("colorkit", "torch"):
        return None
    target: object = importlib.import_module(parts[0])
    for number, part in enumerate(parts[1:], 2):
        if not hasattr(target, part):
            try:
                importlib.import_module(".".join(parts[:number]))
            except ImportError:
                return None
        target = getattr(target, part, None)
    return target


def bundle(wanted: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Sources of the course's modules that hold just the wanted functions, and what these use.

    `wanted` are pairs of a module and a name in it. A module comes after those that it imports, so
    that a process can be given single functions of a module that also holds references.
    """
    parts: dict[str, dict[int, ast.stmt]] = {}

    def visit(module: str, name: str) -> None:
        path = COURSE.parent.joinpath(*module.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        table = module_cells(path).names
        nodes, _ = closure(table[name], [table])
        for node in nodes:
            home = getattr(node, "module", None) or ""
            if isinstance(node, ast.ImportFrom) and home.split(".")[0] == "colorcourse":
                used = {n for other in nodes if other is not node for n in _names(other)}
                for alias in node.names:
                    if (alias.asname or alias.name) in used or alias.name == name:
                        visit(home, alias.name)
        parts.setdefault(module, {}).update({id(node): node for node in nodes})

    def _names(node: ast.stmt) -> frozenset[str]:
        return frozenset() if isinstance(node, ast.Import | ast.ImportFrom) else _uses(node)

    for module, name in wanted:
        visit(module, name)
    head = "from __future__ import annotations\n"
    sources = []
    for module, nodes in parts.items():
        known = {name for part in parts for name in [part]}
        kept = []
        for node in nodes.values():
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("colorcourse"):
                names = {n for other in nodes.values() for n in _names(other)} | {
                    n for m, n in wanted if m == module
                }
                aliases = [a for a in node.names if (a.asname or a.name) in names]
                if node.module not in known or not aliases:
                    continue
                node = ast.ImportFrom(node.module, aliases, 0)
            kept.append(node)
        sources.append(
            (module, head + ast.unparse(ast.fix_missing_locations(ast.Module(kept, []))))
        )
    return sources

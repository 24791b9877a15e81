"""What the text of an answer shows before it runs: a reach beyond it, or the answer itself.

This is the first of three layers (docs/grading.md); it is a sieve and no wall, and the one layer
that can say what was wrong, and where.
"""

import ast
import functools
import re
import sys
from collections.abc import Iterable

from colorcourse.exercises import Exercise

# What an answer may import. All the rest would reach beyond it, or is of no use in it.
_MODULES = """
    __future__ abc bisect cmath collections colorkit contextlib copy dataclasses decimal enum
    fractions functools heapq itertools math numbers numpy operator random re scipy.special
    scipy.stats statistics time torch torchvision typing warnings
"""
MODULES = frozenset(_MODULES.split())
# Names by which Python's own machinery, files and other processes are reached.
_FORBIDDEN = """
    __import__ eval exec compile open globals locals vars breakpoint exit quit sys os gc inspect
    importlib builtins ctypes subprocess socket threading multiprocessing pickle pathlib shutil
    tempfile get_type_hints ForwardRef attrgetter methodcaller environ putenv from_file fromfile
    tofile memmap hub load_library cpp_extension f_back f_globals f_locals f_code tb_frame gi_frame
    cr_frame ag_frame mro register submissions get_ipython settrace load loads runstring myeval
    benchmark
"""
FORBIDDEN = frozenset(_FORBIDDEN.split())
DUNDER = re.compile(r"__[a-z_]+__")
_HARMLESS = """
    init call name class len iter next getitem setitem contains enter exit repr str eq ne lt le gt
    ge hash add radd sub rsub mul rmul matmul truediv rtruediv pow neg abs float int bool index doc
    post_init annotations future
"""
HARMLESS = frozenset(f"__{name}__" for name in _HARMLESS.split())


def is_allowed(module: str) -> bool:
    """Whether an answer may import a module: it, or the package that it is in, is in the list."""
    first, *rest = module.split(".")
    return first in MODULES or ".".join([first, *rest[:1]]) in MODULES


def _is_forbidden(name: str) -> bool:
    return name in FORBIDDEN or bool(DUNDER.fullmatch(name) and name not in HARMLESS)


def tampering(nodes: Iterable[ast.stmt], helpers: Iterable[tuple[str, str]] = ()) -> str:
    """What in definitions no answer needs, because it reaches beyond it; empty if there is nothing.

    `helpers` are the functions of the course, by module and name, that this answer may call.
    """
    ours = {module for module, _ in helpers}
    every = [x for node in nodes for x in ast.walk(node)]
    called = {id(node.func) for node in every if isinstance(node, ast.Call)}
    imported: set[str] = set()
    for node in (x for x in every if isinstance(x, ast.Import | ast.ImportFrom)):
        home = getattr(node, "module", None)
        for alias in node.names:
            imported.add(alias.asname or alias.name.split(".")[0])
            parts = f"{home}.{alias.name}".split(".") if home else alias.name.split(".")
            allowed = is_allowed(".".join(parts)) or ".".join(parts) in ours
            if (
                not allowed
                or getattr(node, "level", 0)
                or FORBIDDEN & {*parts}
                or alias.name.startswith(("_", "*"))
            ):
                return f"it imports {'.'.join(parts)}"
    for node in every:
        names = [getattr(node, key, None) for key in ("id", "attr", "name", "arg")]
        names += [*getattr(node, "names", ()), *getattr(node, "kwd_attrs", ())]
        if found := [name for name in names if isinstance(name, str) and _is_forbidden(name)]:
            return f"it uses {found[0]}"
        match node:
            case ast.Constant(value=str() | bytes() as text):  # as in "{0.__globals__}".format
                text = text if isinstance(text, str) else text.decode("latin-1")
                if found := [x for x in DUNDER.findall(text) if x not in HARMLESS]:
                    return f"a text in it holds {found[0]}"
            case ast.Name(id="getattr" | "setattr" | "delattr" as name) if id(node) not in called:
                return f"it uses {name} without calling it"
            case ast.Call(func=ast.Name(id="getattr" | "setattr" | "delattr" as function)):
                target, name = [*node.args, None, None][:2]
                fixed = isinstance(name, ast.Constant) and str(name.value) not in FORBIDDEN
                fixed &= function == "getattr"
                if not fixed and getattr(target, "id", "") != "self":
                    return f"it has `{ast.unparse(node)[:80]}`"
            case ast.Attribute():
                whole, owner = ast.unparse(node)[:80], getattr(node.value, "id", "")
                if re.match("_(?!_)", node.attr) and owner not in ("self", "cls"):
                    return f"it uses {whole}, which is private"
                if not isinstance(node.ctx, ast.Load) and whole.split(".")[0] in imported:
                    return f"it changes {whole}"
    return ""


def borrowed(spec: Exercise, nodes: list[ast.stmt]) -> str:
    """The name by which definitions reach for what is itself the answer; empty if none does."""
    every = [x for node in nodes for x in ast.walk(node)]
    homes: dict[str, str] = {}
    for node in every:
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                homes[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            homes |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    # What is not colorkit's does not fail when it is called: its name alone has to be enough.
    others = {f.__name__ for f in spec.own if not (f.__module__ or "").startswith("color")}
    for node in every:
        match node:
            case ast.Attribute(value=ast.Name(id="self")):
                continue
            case ast.Attribute(attr=name) | ast.Constant(value=name) if name in others:
                return ast.unparse(node)
    for node in (x for x in every if isinstance(x, ast.Name | ast.Attribute)):
        first, *rest = ast.unparse(node).split(".")
        home, *between = homes.get(first, "").split(".")
        found = functools.reduce(lambda x, part: getattr(x, part, None), [*between, *rest],
                                 sys.modules.get(home))  # fmt: skip
        if any(found is f for f in (spec.reference, *spec.own)):
            return ast.unparse(node)
    return ""

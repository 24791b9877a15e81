"""The architecture: what imports what, what an import costs, and how large each part is."""

import ast
import re

import pytest

from tests import count_lines
from tests.conftest import ROOT, python

MODULE = re.compile(r"[a-z]\w*(\.\w+)*(:\w+)?")  # as in "package.module:name"
LIBRARY = sorted((ROOT / "colorkit").rglob("*.py"))


def imports(source: str) -> set[str]:
    """Every module that code imports, at the top, inside functions, or by name as a string."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Constant) and MODULE.fullmatch(str(node.value)):
            found.add(str(node.value))  # what import_module and entry points are given
    return found


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_library_never_imports_the_course(path):
    names = imports(path.read_text(encoding="utf-8"))
    assert [name for name in names if re.split(r"[.:]", name)[0] == "colorcourse"] == []


def test_the_ruler_for_imports_sees_each_way_to_import():
    inside = "def f():\n    from colorcourse import check"
    for way in ("import colorcourse.run", inside, "import_module('colorcourse.run')"):
        assert any(name.startswith("colorcourse") for name in imports(way))


def test_importing_the_library_has_no_side_effect_and_no_name_hides_a_module():
    """No course, no hook in IPython, no other number of threads, no seed set."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in LIBRARY]
    names = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    packages = ("colorkit", "colorkit.worlds", "colorkit.models", "colorkit.data", "colorcourse")
    done = python(
        "-c",
        "import importlib, pkgutil, sys, threading, torch\n"
        "torch.manual_seed(1)\n"
        "before = torch.get_num_threads(), threading.active_count(), torch.initial_seed()\n"
        f"for name in {names}: importlib.import_module(name)\n"
        "after = torch.get_num_threads(), threading.active_count(), torch.initial_seed()\n"
        "assert after == before, (before, after)\n"
        "found = [m for m in sys.modules if m.split('.')[0] in ('colorcourse', 'IPython')]\n"
        "assert not found, found\n"
        f"for package in map(importlib.import_module, {packages}):\n"
        "    for found in pkgutil.iter_modules(package.__path__):\n"
        "        if found.name != '__main__':\n"
        "            module = importlib.import_module(f'{package.__name__}.{found.name}')\n"
        "            assert getattr(package, found.name) is module, module\n",
    )
    assert done.returncode == 0, done.stderr


def test_each_part_keeps_within_its_limit(capsys):
    status = count_lines.main()
    assert status == 0, capsys.readouterr().out


def test_the_count_of_lines_notices_a_part_that_is_too_large(monkeypatch, capsys):
    monkeypatch.setattr(count_lines, "PARTS", {"small": ("tests/count_lines.py", (), 3)})
    assert count_lines.main() == 1
    assert "too large" in capsys.readouterr().out

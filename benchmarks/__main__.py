"""Run every module of this package that has a function ``run()``, or those that are named."""

import importlib
import pkgutil
import sys

import benchmarks


def discover() -> dict[str, object]:
    """Benchmark modules by name: those with a function ``run``."""
    found = {}
    for info in pkgutil.iter_modules(benchmarks.__path__):
        if info.name == "__main__":
            continue
        module = importlib.import_module(f"benchmarks.{info.name}")
        if callable(getattr(module, "run", None)):
            found[info.name] = module
    return found


def main(names: list[str]) -> int:
    """Run the named benchmarks, all if none is named; 2 if a name does not exist."""
    modules = discover()
    unknown = [name for name in names if name not in modules]
    if unknown:
        print(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(modules)}")
        return 2
    for name in names or modules:
        modules[name].run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The process in which grading runs one student's answers: it computes, and never judges.

The grader sends an answer and arguments; what the answer gives for them goes back as plain data,
and is judged there. No reference is in this process: it is a script, so that the course is not
imported, and gets of the course's modules only those functions that a request needs. Nothing in it
is trusted; what it locks keeps honest mistakes and plain tampering from doing harm.
"""

import __future__

import contextlib
import importlib
import io
import json
import os
import pickle
import struct
import sys
import types
from dataclasses import fields, is_dataclass
from typing import Any

MOST = 1 << 26  # bytes of one reply
MEMORY = 3 << 30  # bytes beyond those that torch takes
PLAIN = (type(None), bool, int, float, str)
DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
]
# Audit events (their list stands in Python's documentation) that no answer has a use for.
_REFUSED = """
    socket. subprocess. ctypes.dlopen shutil. webbrowser. urllib. http. ftplib. smtplib. sqlite3.
    tempfile. os.exec os.fork os.posix_spawn os.spawn os.system os.startfile os.kill os.putenv
    os.unsetenv os.remove os.rename os.rmdir os.mkdir os.link os.symlink os.truncate os.chmod
    os.chown gc.get_objects gc.get_referrers sys.addaudithook
"""
REFUSED = tuple(_REFUSED.split())
HIDDEN = ("colorcourse", "skimage", "kornia")  # packages that hold answers


def encode(value: Any) -> bytes:
    """Plain data with tensors and arrays in it, as bytes; of anything else only its type's name."""
    import numpy as np
    import torch

    blobs: list[bytes] = []

    def tree(x: Any, depth: int = 0) -> Any:
        if depth > 30:
            return {"kind": "deeply nested object"}
        if type(x) in PLAIN:
            return x if not isinstance(x, int | str) or len(str(x)) < 10**5 else {"kind": "giant"}
        if isinstance(x, torch.Tensor) and x.device.type == "cpu" and x.layout == torch.strided:
            x = x.detach().resolve_conj().resolve_neg().contiguous()
            name = str(x.dtype).removeprefix("torch.")
            if name in DTYPES:
                flat = x.reshape(-1).view(torch.uint8)
                blobs.append(flat.numpy().tobytes())
                return {"tensor": [name, list(x.shape), len(blobs[-1])]}
        if isinstance(x, torch.Tensor):
            return {"kind": f"tensor on {x.device}, {x.layout}"}
        if isinstance(x, np.generic) and isinstance(x.item(), PLAIN):
            return x.item()
        if isinstance(x, np.ndarray):
            return {"array": None}
        if isinstance(x, tuple | list):
            return {
                type(x).__name__ if type(x) is list else "tuple": [tree(y, depth + 1) for y in x]
            }
        if isinstance(x, dict):
            return {"dict": [[tree(k, depth + 1), tree(v, depth + 1)] for k, v in x.items()]}
        if is_dataclass(x) and not isinstance(x, type):
            return {"fields": {f.name: tree(getattr(x, f.name), depth + 1) for f in fields(x)}}
        return {"kind": type(x).__name__}

    text = json.dumps(tree(value)).encode()
    return struct.pack("<I", len(text)) + text + b"".join(blobs)


def decode(data: bytes) -> Any:
    """What :func:`encode` made; ValueError, KeyError and the like where the bytes are not that.

    Nothing is executed: data of another process may hold what it likes.
    """
    import numpy as np
    import torch

    (length,) = struct.unpack_from("<I", data)
    at = 4 + length

    def tree(x: Any) -> Any:
        nonlocal at
        if not isinstance(x, dict):
            return x
        ((key, inner),) = x.items()
        if key == "tensor":
            name, shape, size = inner
            dtype = getattr(torch, DTYPES[DTYPES.index(name)])
            raw, at = bytearray(data[at : at + size]), at + size
            flat = torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)
            return flat.reshape(shape)
        if key == "array":
            return np.zeros(0)
        if key in ("tuple", "list"):
            return (tuple if key == "tuple" else list)(tree(y) for y in inner)
        if key == "dict":
            return {tree(k): tree(v) for k, v in inner}
        if key == "fields":
            return types.SimpleNamespace(**{k: tree(v) for k, v in inner.items()})
        return type(str(inner)[:60], (), {})()

    return tree(json.loads(data[4:at]))


def lock(hidden: list[str]) -> None:
    """Refuse from now on network, processes, writing, and reading below the `hidden` folders.

    An audit hook cannot be taken away from Python; it does not see what native code does. Limits
    of the system come beside it where there are any.
    """
    folders = tuple(os.path.join(os.path.realpath(folder), "") for folder in hidden)
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    devnull, realpath, fspath = os.devnull, os.path.realpath, os.fsdecode

    def hook(event: str, args: tuple) -> None:
        if event.startswith(REFUSED):
            raise PermissionError(f"grading allows no {event}")
        if event == "import" and args[0].split(".")[0] in HIDDEN:
            raise PermissionError(f"grading allows no import of {args[0]}")
        if event == "open" and isinstance(args[0], str | bytes) and args[0] != devnull:
            if (args[2] or 0) & writing:
                raise PermissionError(f"grading lets no answer write ({args[0]!r})")
            if realpath(fspath(args[0])).startswith(folders):
                raise PermissionError("grading hides the course's files")

    with contextlib.suppress(ImportError):
        import _posixsubprocess

        del _posixsubprocess.fork_exec
    with contextlib.suppress(ImportError):  # Windows has none: there the grader watches alone
        import resource

        import psutil

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        most = psutil.Process().memory_info().vms + MEMORY
        with contextlib.suppress(ValueError, OSError):  # macOS refuses a limit of addresses
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
    sys.addaudithook(hook)


class Server:
    """The answer that is being graded, and the requests about it."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.gutted: list[tuple[Any, Any]] = []

    def ready(self) -> bool:
        """Asked first, so that no limit counts what it takes to start."""
        return True

    def modules(self, sources: list[tuple[str, str]]) -> None:
        """Make parts of the course's modules known: a name and a source each."""
        for name, source in sources:
            package = ""
            for part in name.split("."):
                parent, package = package, f"{package}.{part}".strip(".")
                if package not in sys.modules:
                    sys.modules[package] = types.ModuleType(package)
                    sys.modules[package].__path__ = []
                    if parent:
                        setattr(sys.modules[parent], part, sys.modules[package])
            vars(sys.modules[name])["__file__"] = f"<{name}>"  # as its frames name it
            exec(compile(source, f"<{name}>", "exec"), vars(sys.modules[name]))

    def define(self, tree: Any, name: str, own: list[tuple[str, str]]) -> None:
        """Run definitions; the answer is the one called `name`. What is `own` works no more."""
        for function, code in self.gutted:
            function.__code__ = code
        self.gutted.clear()
        for module, path in own:
            function = importlib.import_module(module)
            for part in path.split("."):
                function = getattr(function, part)
            function = function.__init__ if isinstance(function, type) else function
            code = getattr(function, "__code__", None)
            if code and not code.co_freevars:
                self.gutted.append((function, code))
                function.__code__ = _own.__code__
        cells = {"__name__": "answer", "__builtins__": __builtins__}
        exec(compile(tree, "<answer>", "exec", __future__.annotations.compiler_flag), cells)
        self.answer = cells[name]

    def case(self, form: tuple[str, str] | None, args: bytes, limit: float) -> tuple:
        """What came of calling the answer once: value, problem, positions changed in place."""
        checking = sys.modules["colorcourse.checking"]
        function = form and getattr(sys.modules[form[0]], form[1])
        spec = types.SimpleNamespace(form=function, time_limit=limit)
        case = types.SimpleNamespace(args=lambda: pickle.loads(args))
        outcome = checking.run_case(spec, self.answer, case)
        return outcome.value, outcome.problem, outcome.changed

    def call(self, args: bytes, limit: float) -> tuple:
        """What the answer gives, why it gives nothing, and its arguments as they are afterwards."""
        values = pickle.loads(args)
        return *self._call(limit, self.answer, values), values

    def beside(self, function: tuple[str, str], args: bytes, limit: float) -> tuple:
        """What a function of the course gives that takes the answer first; and the problem."""
        course = getattr(sys.modules[function[0]], function[1])
        return self._call(limit, course, (self.answer, *pickle.loads(args)))

    def _call(self, limit: float, function: Any, args: tuple) -> tuple:
        spec = types.SimpleNamespace(time_limit=limit)
        return sys.modules["colorcourse.checking"]._call(spec, self.answer, function, *args)


def _own(*_: Any, **__: Any) -> Any:
    raise PermissionError("This calls what is the answer itself. Write the steps yourself.")


def main() -> None:
    """Serve requests (a nonce, a method of :class:`Server`, its arguments) until there are none."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    sys.stdin = sys.stdout = sys.stderr = io.TextIOWrapper(
        io.FileIO(null, "r+"), write_through=True
    )
    setup = pickle.load(requests)
    import torch

    torch.set_num_threads(1)
    for name in setup["imports"]:
        importlib.import_module(name)
    if setup["optimizer"]:  # torch imports more at the first step, and must not be refused then
        torch.optim.Adam([torch.ones(1, requires_grad=True)]).step()
    server = Server()
    server.modules(setup["modules"])
    lock(setup["hidden"])
    while True:
        try:
            nonce, method, arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            reply = encode((True, getattr(server, method)(*arguments)))
        except BaseException as error:  # SystemExit too: an answer may raise what it likes
            text = (str(error).strip().splitlines() or [""])[0][:500]
            reply = encode((False, (type(error).__name__, text)))
        replies.write(nonce + struct.pack("<Q", len(reply)) + reply)
        replies.flush()


if __name__ == "__main__":
    main()

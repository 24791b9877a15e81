"""The process in which grading runs one student's answers: it computes, and never judges.

The grader sends an answer and arguments; what the answer gives for them goes back as plain data,
and is judged there. No reference is in this process: it is a script, so that the course is not
imported, and gets of the course's modules only those functions that a request needs. Nothing in it
is trusted; what it locks keeps honest mistakes and plain tampering from doing harm.
"""

import __future__

import base64
import contextlib
import importlib
import io
import json
import operator
import os
import pickle
import struct
import sys
import types
from dataclasses import fields, is_dataclass
from typing import Any

MOST = 1 << 26  # bytes of one reply
MEMORY = 3 << 30  # bytes beyond those that torch takes
_DTYPES = """
    bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64
"""
DTYPES = frozenset(_DTYPES.split())
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
    """Plain data with tensors in it, as JSON; of anything else only its type's name."""
    import numpy as np
    import torch

    def tree(x: Any) -> Any:
        if type(x) in (type(None), bool, int, float, str):
            return x
        if isinstance(x, np.generic):
            return tree(x.item())
        if isinstance(x, torch.Tensor):
            name = str(x.dtype).removeprefix("torch.")
            if name not in DTYPES or x.device.type != "cpu" or x.layout != torch.strided:
                return {"kind": f"tensor of {x.dtype} on {x.device}, {x.layout}"}
            flat = x.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
            data = base64.b64encode(flat.view(torch.uint8).numpy().tobytes()).decode()
            return {"tensor": [name, list(x.shape), data]}
        if isinstance(x, tuple | list):
            return {"list" if type(x) is list else "tuple": [tree(y) for y in x]}
        if isinstance(x, dict):
            return {"dict": [[tree(k), tree(v)] for k, v in x.items()]}
        if is_dataclass(x) and not isinstance(x, type):
            return {"fields": {f.name: tree(getattr(x, f.name)) for f in fields(x)}}
        return {"array" if isinstance(x, np.ndarray) else "kind": type(x).__name__}

    return json.dumps(tree(value)).encode()


def decode(data: bytes) -> Any:
    """What :func:`encode` made; an error of any kind where the bytes are not that.

    Nothing is executed: data of another process may hold what it likes.
    """
    import numpy as np
    import torch

    def tree(x: Any) -> Any:
        if not isinstance(x, dict):
            return x
        ((key, inner),) = x.items()
        if key == "tensor":
            name, shape, text = inner
            raw = bytearray(base64.b64decode(text))
            dtype = getattr(torch, name) if name in DTYPES else None
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

    return tree(json.loads(data))


def lock(hidden: list[str]) -> None:
    """Refuse from now on network, processes, writing, and reading `hidden` files and folders.

    An audit hook cannot be taken away from Python; it does not see what native code does. Limits
    of the system come beside it where there are any.
    """
    folders = tuple(os.path.join(os.path.realpath(folder), "") for folder in hidden)
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    devnull, realpath, join, fspath = os.devnull, os.path.realpath, os.path.join, os.fsdecode

    def hook(event: str, args: tuple) -> None:
        if event.startswith(REFUSED):
            raise PermissionError(f"grading allows no {event}")
        if event == "import" and args[0].split(".")[0] in HIDDEN:
            raise PermissionError(f"grading allows no import of {args[0]}")
        if event == "open" and not isinstance(args[0], int) and args[0] != devnull:
            if not isinstance(args[0], str | bytes):  # an object may give another path next time
                raise PermissionError("grading opens files by their names alone")
            if (args[2] or 0) & writing:
                raise PermissionError(f"grading lets no answer write ({args[0]!r})")
            if join(realpath(fspath(args[0])), "").startswith(folders):  # or is such a file
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
        self.limit = 0.0  # seconds of processor time for the request
        self.gutted: list[tuple[Any, Any]] = []

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
            function = operator.attrgetter(path)(importlib.import_module(module))
            function = function.__init__ if isinstance(function, type) else function
            code = getattr(function, "__code__", None)
            if code and not code.co_freevars:
                self.gutted.append((function, code))
                function.__code__ = _own.__code__
        module = sys.modules["answer"] = types.ModuleType("answer")  # dataclass looks there
        code = compile(tree, "<answer>", "exec", __future__.annotations.compiler_flag)
        exec(code, vars(module))
        self.answer = getattr(module, name)

    def case(self, form: tuple[str, str] | None, args: bytes) -> tuple:
        """What came of calling the answer once: value, problem, positions changed in place."""
        function = form and getattr(sys.modules[form[0]], form[1])
        spec = types.SimpleNamespace(form=function, time_limit=self.limit)
        case = types.SimpleNamespace(args=lambda: pickle.loads(args))
        outcome = sys.modules["colorcourse.checking"].run_case(spec, self.answer, case)
        return outcome.value, outcome.problem, outcome.changed

    def call(self, args: bytes) -> tuple:
        """What the answer gives, why it gives nothing, and its arguments as they are afterwards."""
        values = pickle.loads(args)
        return *self._call(self.answer, *values), values

    def beside(self, function: tuple[str, str], args: bytes) -> tuple:
        """What a function of the course gives that takes the answer first; and the problem."""
        course = getattr(sys.modules[function[0]], function[1])
        return self._call(course, self.answer, *pickle.loads(args))

    def _call(self, function: Any, *args: Any) -> tuple:
        spec = types.SimpleNamespace(time_limit=self.limit)
        return sys.modules["colorcourse.checking"]._call(spec, self.answer, function, *args)


def _own(*_: Any, **__: Any) -> Any:
    raise PermissionError("This calls what is the answer itself. Write the steps yourself.")


def main() -> None:
    """Serve requests (a nonce, seconds, a method of :class:`Server`, its arguments) to the end."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    silent = io.TextIOWrapper(io.FileIO(null, "r+"), write_through=True)
    sys.stdin = sys.stdout = sys.stderr = silent
    imports, optimizer, modules, hidden = pickle.load(requests)
    import torch

    torch.set_num_threads(1)
    for name in imports:
        with contextlib.suppress(ImportError):  # the answer that needs it will say so
            importlib.import_module(name)
    if optimizer:  # torch imports more at the first step, and must not be refused then
        torch.optim.Adam([torch.ones(1, requires_grad=True)]).step()
    server = Server()
    server.modules(modules)
    lock(hidden)
    while True:
        try:
            nonce, server.limit, method, arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            reply = encode((getattr(server, method)(*arguments), None, ""))
        except BaseException as error:  # SystemExit too: an answer may raise what it likes
            text = (str(error).strip().splitlines() or [""])[0][:500]
            reply = encode((None, type(error).__name__, text))
        replies.write(nonce + struct.pack("<Q", len(reply)) + reply)
        replies.flush()


if __name__ == "__main__":
    main()

"""``colorkit doctor``: try what a lesson needs on this machine, and print one report to paste.

This module imports nothing but click and the standard library at its top, and it does not lie in
``colorcourse``, whose modules import torch: where torch cannot be imported, the doctor must
still be able to say so.
"""

import getpass
import importlib
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

OLDEST_PYTHON = (3, 11)
OLDEST_TORCH = (2, 10)
FREE_GIGABYTES = 2.0  # what lessons 1 and 2 may write, with room to spare
KERNEL_SECONDS = 60.0  # for a kernel's start, and for each answer of it
FIT_SECONDS = 5.0
EXPECTED = Path(__file__).parent / "expected.toml"
INSTALL = "in the course's folder: python -m pip install -e .[lab] (or: make course)"


class Fault(Exception):
    """What a probe found wrong, where it knows a better remedy than its usual one."""

    def __init__(self, found: str, remedy: str):
        super().__init__(found)
        self.remedy = remedy


@dataclass(frozen=True)
class Finding:
    """What one probe found; ``remedy`` is empty where all is well."""

    probe: str
    ok: bool
    found: str
    remedy: str = ""


@dataclass
class Report:
    """All findings, the speed of a fit (None if it failed) and minutes for each lesson."""

    findings: list[Finding] = field(default_factory=list)
    steps_per_second: float | None = None
    minutes: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return all(finding.ok for finding in self.findings)


def probe_python() -> str:
    """The version of Python, and whether it is new enough."""
    found = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        raise Fault(found, f"install Python {wanted} or later, then make .venv anew with it")
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        remedy = "torch supports Apple silicon only: take a Python for arm64, or another machine"
        raise Fault(found, remedy)
    return found


def probe_torch() -> str:
    """torch, its device, the device's memory, and the threads that torch uses."""
    torch = importlib.import_module("torch")
    torchvision = importlib.import_module("torchvision")
    found = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    if tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2]) < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        raise Fault(found, f'python -m pip install --upgrade "torch>={oldest}" torchvision')
    device = importlib.import_module("colorkit.device").pick_device()
    torch.ones(2, device=device).sum().item()  # a driver that is too old shows only in use
    return f"{found}; {describe_device(torch, device)}"


def describe_device(torch: Any, device: Any) -> str:
    """Name, memory and threads of a torch device."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"cuda: {properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    psutil = importlib.import_module("psutil")
    memory = psutil.virtual_memory()
    gigabytes = f"{memory.total / 2**30:.0f} GiB, {memory.available / 2**30:.0f} GiB free"
    threads = f"{torch.get_num_threads()} of {os.cpu_count()} threads"
    return f"{device.type}: {processor_name()}, {gigabytes}, {threads}"


def processor_name() -> str:
    """The processor's name as its maker writes it, or the machine's type where none is told."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        name = re.search(r"model name\s*:\s*(.+)", listing.read_text(errors="replace"))
        return name.group(1).strip() if name else platform.machine()
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    return platform.processor() or platform.machine()


def probe_widgets() -> str:
    """The two halves of the widgets are installed and of one generation."""
    versions = {
        name: installed(name) for name in ("jupyterlab", "ipywidgets", "jupyterlab_widgets")
    }
    found = ", ".join(f"{name} {number or 'missing'}" for name, number in versions.items())
    if None in versions.values():
        raise Fault(found, INSTALL)
    upgrade = "python -m pip install --upgrade ipywidgets jupyterlab_widgets, restart JupyterLab"
    major = [int(versions[name].split(".")[0]) for name in ("ipywidgets", "jupyterlab_widgets")]
    if major[0] < 8 or major[1] < 3:
        raise Fault(f"{found}: too old for each other or for the course", upgrade)
    if not extension_folders():
        raise Fault(f"{found}, but JupyterLab's extension for widgets is not on its path", upgrade)
    return found


def installed(name: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def extension_folders() -> list[Path]:
    """Where JupyterLab would find the front-end half of ipywidgets."""
    jupyter_path = importlib.import_module("jupyter_core.paths").jupyter_path
    folders = [Path(folder) / "@jupyter-widgets" for folder in jupyter_path("labextensions")]
    return [folder for folder in folders if (folder / "jupyterlab-manager").is_dir()]


# Runs in the kernel: a slider whose picture is its square.
SLIDER_CODE = """
import sys
import ipywidgets
slider = ipywidgets.IntSlider(3)
seen = []
slider.observe(lambda change: seen.append(change["new"] ** 2), "value")
"""


def probe_kernel() -> str:
    """A widget's round trip: move a slider as a front end does, see that the kernel reacts."""
    manager = importlib.import_module("jupyter_client.manager")
    kernel, client = manager.start_new_kernel(
        kernel_name="python3", startup_timeout=KERNEL_SECONDS, stderr=subprocess.DEVNULL
    )
    try:
        answer = evaluate(client, SLIDER_CODE, ["sys.prefix", "slider.model_id"])
        check_same_python(answer["sys.prefix"])
        content = {
            "comm_id": answer["slider.model_id"],
            "data": {"method": "update", "state": {"value": 7}, "buffer_paths": []},
        }
        client.shell_channel.send(client.session.msg("comm_msg", content))
        seen = evaluate(client, "", ["seen"])["seen"]
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    if seen != [49]:
        remedy = f"the kernel has another ipywidgets than this Python? {INSTALL}"
        raise Fault(f"a moved slider gave {seen} in the kernel, not [49]", remedy)
    return "a slider moved from outside was seen in the kernel"


def evaluate(client: Any, code: str, expressions: list[str]) -> dict[str, Any]:
    """Execute code in a kernel, with a time-out; the values of the expressions after it."""
    reply = client.execute(
        code,
        silent=True,
        user_expressions={text: f"__import__('json').dumps({text})" for text in expressions},
        reply=True,
        timeout=KERNEL_SECONDS,
    )["content"]
    if reply["status"] != "ok":
        raise RuntimeError(f"{reply['ename']}: {reply['evalue']}")
    values = {}
    for text, result in reply["user_expressions"].items():
        if result["status"] != "ok":
            raise RuntimeError(f"{result['ename']}: {result['evalue']}")
        quoted = result["data"]["text/plain"]  # the repr of a JSON text
        values[text] = json.loads(importlib.import_module("ast").literal_eval(quoted))
    return values


def check_same_python(prefix: str) -> None:
    """Raise if the kernel "python3" is not the Python that colorkit was started with."""
    if Path(prefix).resolve() == Path(sys.prefix).resolve():
        return
    found = f"the kernel python3 runs {prefix}, but colorkit runs in {sys.prefix}"
    raise Fault(found, "python -m ipykernel install --sys-prefix --name python3")


def probe_figure() -> str:
    """A figure becomes an HTML picture with alt text, and the data can be decoded."""
    base64, io = importlib.import_module("base64"), importlib.import_module("io")
    # Not through pyplot: the doctor must leave the choice of a backend alone.
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1], [0, 1])
    page = importlib.import_module("colorkit.plots").figure_html(figure, "a rising line")
    if 'alt="a rising line"' not in page:
        raise RuntimeError("the picture has lost its alt text")
    kind, data = re.search(r"data:image/(\w+);base64,([^\"]+)", page).groups()
    picture = importlib.import_module("PIL.Image").open(io.BytesIO(base64.b64decode(data)))
    picture.load()
    return f"a figure of {picture.width} x {picture.height} pixels as {kind}, with alt text"


def probe_data() -> str:
    """The data folder takes a file, written beside and renamed, and the disk has room."""
    from colorkit.data.cards import data_root

    folder = data_root().resolve()
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="doctor-", dir=folder) as name:
            beside, target = Path(name, "probe.tmp"), Path(name, "probe")
            target.write_bytes(b"old")
            beside.write_bytes(b"new")
            os.replace(beside, target)
            if target.read_bytes() != b"new":
                raise OSError("a file renamed over another one kept its old content")
        free = shutil.disk_usage(folder).free / 1e9
    finally:
        if made:
            folder.rmdir()
    found = f"{folder} can be written, {free:.0f} GB free"
    if free < FREE_GIGABYTES:
        remedy = f"free {FREE_GIGABYTES:.0f} GB there, or set COLORKIT_DATA to another folder"
        raise Fault(f"{folder} can be written, but only {free:.1f} GB are free", remedy)
    return found


def fit_speed(seconds: float = FIT_SECONDS) -> float:
    """Steps a second of a small convolutional network that learns ab from L; checks that it learns.

    Four layers of 32 kernels, batches of 8 random pictures of 64 x 64, Adam: what lesson 2 does,
    small.
    """
    torch = importlib.import_module("torch")
    device = importlib.import_module("colorkit.device").pick_device()
    generator = torch.Generator().manual_seed(0)
    light = torch.rand(8, 1, 64, 64, generator=generator).to(device)
    target = torch.cat([light * 2 - 1, 1 - light], dim=1)
    network = small_network(torch).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def step() -> float:
        loss = torch.nn.functional.mse_loss(network(light), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()  # waits for the device

    first, *_, last = (step() for _ in range(3))  # three steps warm up
    steps, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds or steps < 10:
        last = step()
        steps += 1
    if not last < first:
        raise RuntimeError(f"the loss went from {first:.4f} to {last:.4f} in {steps} steps")
    return steps / elapsed


def small_network(torch: Any) -> Any:
    """Four 3 x 3 convolutions with 32 kernels between L and ab, the same on every machine."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers, channels = [], [1, 32, 32, 32]
        for before, after in itertools.pairwise(channels):
            layers += [torch.nn.Conv2d(before, after, 3, padding=1), torch.nn.ReLU()]
        return torch.nn.Sequential(*layers, torch.nn.Conv2d(32, 2, 3, padding=1))


def estimate_minutes(steps_per_second: float, profile: str = "laptop") -> dict[str, float]:
    """Minutes of each lesson here: the reference machine's, scaled by the speed of the fit.

    ``expected.toml`` holds both: ``[doctor] reference_steps_per_second`` and, for each lesson,
    ``[NN_name.PROFILE.cpu] seconds``.
    """
    tables = tomllib.loads(EXPECTED.read_text(encoding="utf-8"))
    ratio = tables["doctor"]["reference_steps_per_second"] / steps_per_second
    minutes = {}
    for lesson, profiles in tables.items():
        seconds = lesson != "doctor" and profiles.get(profile, {}).get("cpu", {}).get("seconds")
        if seconds:
            minutes[lesson] = seconds * ratio / 60
    return minutes


# Name, what to call, and what to do where it fails without a better idea.
PROBES: tuple[tuple[str, str, str], ...] = (
    ("Python", "probe_python", "install Python 3.11 or later"),
    (
        "torch",
        "probe_torch",
        "python -m pip install --upgrade --force-reinstall torch torchvision; on Windows also "
        "install Microsoft's Visual C++ Redistributable; with a GPU, update its driver",
    ),
    ("widgets", "probe_widgets", INSTALL),
    (
        "kernel",
        "probe_kernel",
        f"close other kernels and try again; then {INSTALL}; a firewall must allow 127.0.0.1",
    ),
    (
        "figure",
        "probe_figure",
        "python -m pip install --upgrade --force-reinstall matplotlib pillow",
    ),
    (
        "data folder",
        "probe_data",
        "set COLORKIT_DATA to a folder that you may write to, on a disk with free space",
    ),
    (
        "fit",
        "probe_fit",
        "mend torch first, if it failed above; else close other programs, or unset "
        "CUDA_VISIBLE_DEVICES, and try again",
    ),
    (
        "minutes",
        "probe_minutes",
        f"mend the fit first, if it failed above; else install colorkit anew, {INSTALL}",
    ),
)


def examine(say: Callable[[str], None] = lambda line: None) -> Report:
    """Run every probe; one that fails in any way becomes a finding with its remedy."""
    report = Report()
    calls = globals() | {
        "probe_fit": lambda: _fit(report),
        "probe_minutes": lambda: _minutes(report),
    }
    for name, function, remedy in PROBES:
        say(f"trying {name} ...")
        report.findings.append(_guarded(name, calls[function], remedy))
    return report


def _guarded(name: str, probe: Callable[[], str], remedy: str) -> Finding:
    try:
        return Finding(name, True, discreet(probe()))
    except Fault as fault:
        return Finding(name, False, discreet(str(fault)), discreet(fault.remedy))
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())[:300]
        return Finding(name, False, discreet(f"{type(error).__name__}: {text}"), remedy)


def _fit(report: Report) -> str:
    report.steps_per_second = fit_speed()
    return f"{report.steps_per_second:.1f} steps a second for {FIT_SECONDS:.0f} s"


def _minutes(report: Report) -> str:
    if report.steps_per_second is None:
        raise RuntimeError("no estimate without the speed of a fit")
    report.minutes = estimate_minutes(report.steps_per_second)
    lines = [f"{lesson} {minutes:.1f}" for lesson, minutes in report.minutes.items()]
    return "profile laptop: " + (", ".join(lines) or "no lesson has a reference yet")


def discreet(text: str) -> str:
    """The text without the user's name and home folder, so that it can be posted.

    Examples
    --------
    >>> discreet(f"{Path.home() / 'course'} is full") == f"~{os.sep}course is full"
    True
    """
    for home in {str(Path.home()), str(Path.home().resolve()), Path.home().as_posix()}:
        if len(home) > 1:
            text = re.sub(re.escape(home) + r"(?![\w.-])", "~", text, flags=re.IGNORECASE)
    try:
        user = re.escape(getpass.getuser())
    except (OSError, KeyError, ImportError):  # no name, nothing to hide
        return text
    # As a part of a path only: a user may be called "torch".
    return re.sub(rf"(?<=[/\\]){user}(?![\w.])|(?<=-of-){user}(?!\w)", "USER", text)


def as_text(report: Report) -> str:
    """The report as a student pastes it: plain text, one line a finding, remedies below them."""
    lines = [f"colorkit {installed('colorkit') or 'not installed'}: doctor's report"]
    width = max(len(finding.probe) for finding in report.findings)
    for finding in report.findings:
        mark = "ok  " if finding.ok else "FAIL"
        lines.append(f"{mark} {finding.probe:{width}}  {finding.found}")
        if not finding.ok:
            lines.append(f"     {'':{width}}  what to do: {finding.remedy}")
    failed = sum(not finding.ok for finding in report.findings)
    lines.append(f"{failed} of {len(report.findings)} failed" if failed else "all is well")
    return "\n".join(lines)


def as_json(report: Report) -> str:
    """The report for programs; the keys are those of the dataclasses, and ``ok`` for the whole."""
    content = {"colorkit": installed("colorkit"), "ok": report.ok, **asdict(report)}
    return json.dumps(content, indent=2, ensure_ascii=False)


@click.command()
@click.option("--json", "json_", is_flag=True, help="Print the report as JSON.")
def doctor(json_: bool) -> None:
    """Try what a lesson needs on this machine, and print a report to paste into a question.

    Takes about 20 seconds. The exit status is 1 if anything failed; each failure comes with its
    remedy. The report holds no user name and no home folder.
    """
    report = examine(say=lambda line: click.echo(line, err=True))
    click.echo(as_json(report) if json_ else as_text(report))
    if not report.ok:
        raise SystemExit(1)

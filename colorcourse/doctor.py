"""``colorkit doctor``: try what a lesson needs on this machine, and print one report to paste.

Nothing that needs torch is imported at the top: where it cannot be imported, the doctor must still
be able to say so.
"""

import base64
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import tomllib
from importlib.metadata import version
from pathlib import Path

import click

FIT_STEPS = 60
EXPECTED = Path(__file__).with_name("expected.toml")


def probe_torch() -> str:
    """torch, its device, the device's memory, and the threads that torch uses."""
    import psutil
    import torch
    import torchvision

    from colorkit.device import pick_device, pick_precision

    found = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    device = pick_device()
    torch.ones(2, device=device).sum().item()  # a driver that is too old shows only in use
    found += f", {'bf16' if pick_precision(device).bf16 else 'float32'}"
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        return f"{found}; cuda: {card.name}, {card.total_memory / 2**30:.0f} GiB"
    memory = psutil.virtual_memory()
    gigabytes = f"{memory.total / 2**30:.0f} GiB, {memory.available / 2**30:.0f} GiB free"
    threads = f"{torch.get_num_threads()} of {os.cpu_count()} threads"
    return f"{found}; {device.type}: {gigabytes}, {threads}"


def probe_widgets() -> str:
    """Both halves of the widgets are installed, and JupyterLab finds the one that it runs."""
    from jupyter_core.paths import jupyter_path

    names = ("jupyterlab", "ipywidgets", "jupyterlab_widgets")
    found = ", ".join(f"{name} {version(name)}" for name in names)
    folders = [Path(folder, "@jupyter-widgets") for folder in jupyter_path("labextensions")]
    if not any((folder / "jupyterlab-manager").is_dir() for folder in folders):
        raise RuntimeError(f"{found}, but the widgets' extension is not on JupyterLab's path")
    return found


# Two cells for a kernel: a slider and what it moves; then the message with which a front end moves
# it, and what came of it.
SLIDER_CELLS = (
    "import json, sys, ipywidgets\n"
    "slider, seen = ipywidgets.IntSlider(3), []\n"
    'slider.observe(lambda change: seen.append(change["new"] ** 2), "value")',
    'update = {"method": "update", "state": {"value": 7}, "buffer_paths": []}\n'
    'slider.comm.handle_msg({"content": {"data": update}, "buffers": []})\n'
    "print(json.dumps([sys.prefix, seen]))",
)


def probe_kernel() -> str:
    """A kernel of this Python starts, and a widget in it follows a front end."""
    import nbclient
    import nbformat

    cells = [nbformat.v4.new_code_cell(source) for source in SLIDER_CELLS]
    limits = {"timeout": 60, "startup_timeout": 60}
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(notebook, kernel_name="python3", **limits)
    outputs = client.execute(stderr=subprocess.DEVNULL).cells[-1].outputs
    prefix, seen = json.loads(next(o.text for o in outputs if o.get("name") == "stdout"))
    if Path(prefix).resolve() != Path(sys.prefix).resolve():
        raise RuntimeError(f"the kernel python3 runs {prefix}, but colorkit runs in {sys.prefix}")
    if seen != [49]:
        raise RuntimeError(f"a moved slider gave {seen} in the kernel, not [49]")
    return "a moved slider was seen in the kernel"


def probe_figure() -> str:
    """A figure becomes an HTML picture with alt text, and the data can be decoded."""
    from matplotlib.figure import Figure
    from PIL import Image

    from colorkit.plots import figure_html

    figure = Figure(figsize=(2, 1))  # not through pyplot, which would choose a backend
    figure.subplots().plot([0, 1], [0, 1])
    page = figure_html(figure, "a rising line")
    if 'alt="a rising line"' not in page:
        raise RuntimeError("the picture has lost its alt text")
    data = re.search(r"base64,([^\"]+)", page).group(1)
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    picture.load()
    return f"a {picture.format} of {picture.width} x {picture.height} pixels, with alt text"


def probe_data() -> str:
    """The data folder takes a file, written beside and renamed, and the disk has room."""
    from colorkit.data.cards import data_root
    from colorkit.files import write_whole

    folder = data_root().resolve()
    for content in ("old", "new"):
        write_whole(folder / "doctor-was-here", content)
    (folder / "doctor-was-here").unlink()
    free = shutil.disk_usage(folder).free / 1e9
    if free < 2:  # what lessons 1 and 2 may write, with room to spare
        raise OSError(f"{folder} can be written, but only {free:.1f} GB are free, 2 are wanted")
    return f"{folder} can be written, {free:.0f} GB free"


def probe_fit() -> str:
    """The speed of a small fit, which must learn, and from it the minutes of each lesson here.

    What lesson 2 does, small: four layers of 32 kernels learn ab from L, batches of 8 random
    pictures of 64 x 64, Adam. ``expected.toml`` holds what a reference machine measured.
    """
    import torch
    from torch import nn

    from colorcourse.lesson02.exercises import fit
    from colorkit.device import pick_device

    device = pick_device()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        light = torch.rand(8, 1, 64, 64).to(device)
        layers = []
        for channels in (1, 32, 32):
            layers += [nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU()]
        network = nn.Sequential(*layers, nn.Conv2d(32, 2, 3, padding=1)).to(device)
    batch = light, torch.cat([light * 2 - 1, 1 - light], dim=1)
    losses = fit(network, lambda: batch, 3, lr=1e-3)  # the first steps warm up
    started = time.perf_counter()
    losses += fit(network, lambda: batch, FIT_STEPS, lr=1e-3)  # reading a loss waits for the device
    speed = FIT_STEPS / (time.perf_counter() - started)
    if not losses[-1] < losses[0]:
        raise RuntimeError(f"the loss went from {losses[0]:.4f} to {losses[-1]:.4f}")
    tables = tomllib.loads(EXPECTED.read_text(encoding="utf-8"))
    ratio = tables.pop("doctor")["reference_steps_per_second"] / speed
    seconds = {lesson: table["laptop"]["cpu"]["seconds"] for lesson, table in tables.items()}
    minutes = [f"{lesson} {ratio * s / 60:.1f}" for lesson, s in seconds.items()]
    return f"{speed:.1f} steps a second; minutes at profile laptop: {', '.join(minutes)}"


# Name, and what to do where the probe fails.
PROBES = {
    "torch": "python -m pip install --upgrade --force-reinstall torch torchvision; on Windows also "
    "install Microsoft's Visual C++ Redistributable; with a GPU, update its driver",
    "widgets": "python -m pip install --force-reinstall jupyterlab ipywidgets jupyterlab_widgets, "
    "then restart JupyterLab",
    "kernel": "python -m ipykernel install --sys-prefix --name python3; close other kernels; a "
    "firewall must allow 127.0.0.1",
    "figure": "python -m pip install --upgrade --force-reinstall matplotlib pillow",
    "data": "set COLORKIT_DATA to a folder that you may write to, on a disk with free space",
    "fit": "mend torch first, if it failed above; else close other programs, or unset "
    "CUDA_VISIBLE_DEVICES, and try again",
}


@click.command()
def doctor() -> None:
    """Try what a lesson needs on this machine, and print a report to paste into a question.

    Takes about 20 seconds. The exit status is 1 if anything failed; each failure comes with its
    remedy. Your home folder, and with it your name, is written ~.
    """
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    lines, failed = [f"colorkit {version('colorkit')}, {machine}: doctor's report"], 0
    for name, remedy in PROBES.items():
        click.echo(f"trying {name} ...", err=True)
        try:
            lines.append(f"ok    {name:8}{globals()[f'probe_{name}']()}")
        except (Exception, SystemExit) as error:
            failed += 1
            text = " ".join(str(error).split())[:300]
            lines.append(f"FAIL  {name:8}{type(error).__name__}: {text}")
            lines.append(f"              what to do: {remedy}")
    lines.append(f"{failed} of {len(PROBES)} failed" if failed else "all is well")
    home = os.path.expanduser("~")  # "~" where there is none, "/" where it is nobody's
    click.echo("\n".join(lines).replace(home if len(home) > 1 else "~", "~"))
    raise SystemExit(1 if failed else 0)

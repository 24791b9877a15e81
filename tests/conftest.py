"""Fixtures for all tests."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]

if "PYTEST_XDIST_WORKER" in os.environ:  # a process a core: each, and what it starts, one thread
    os.environ["OMP_NUM_THREADS"] = "1"
# Where numbers are compared, whether the processor multiplies bf16 must not matter: "auto" is
# float32 in tests. A test about bf16 asks for it; COLORKIT_PRECISION=bf16 runs all tests in it.
os.environ.setdefault("COLORKIT_PRECISION", "float32")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """What a test draws without a generator is the same each time, alone or after others."""
    import torch  # not above: it reads the number of threads when it is imported

    from colorkit import notebook

    torch.manual_seed(0)
    notebook.STAND_INS.clear()


@pytest.fixture
def one_thread():
    """So that sums are the same bits in every process."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def figures_closed():
    """Whatever figure a test leaves open is closed after it."""
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def python(*arguments: object, folder: Path = ROOT, **variables: str):
    """What a Python with these arguments did: its exit status and all that it printed."""
    command = [sys.executable, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    options = {"cwd": folder, "env": environment, "timeout": 900}
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of real photographs for tests; they are not part of the project."""
    beside = ROOT.parent / "shared" / "data"
    folder = Path(os.environ.get("COLORKIT_TEST_PHOTOS", beside))
    if not folder.is_dir():
        pytest.skip(f"no photographs in {folder}: set COLORKIT_TEST_PHOTOS to a folder of them")
    return folder


def colourful(seed: int, size: tuple[int, int] = (80, 64)) -> Image.Image:
    """A smooth picture of random colours, different for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def made_photographs(tmp_path_factory) -> Path:
    """A folder of 600 made pictures in three classes, with a few broken ones among them."""
    folder = tmp_path_factory.mktemp("made") / "photographs"
    for i in range(600):
        path = folder / f"class{i % 3}" / f"{i:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        colourful(i).save(path, quality=90)
    colourful(0).save(folder / "class0" / "0000-again.png")
    colourful(7).convert("L").save(folder / "class1" / "gray.jpg")
    whole = (folder / "class2" / "0002.jpg").read_bytes()
    (folder / "class2" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture(scope="session")
def store(made_photographs, tmp_path_factory):
    """The made pictures, prepared at 32 x 32: 480 to train, 60 to validate, 60 to test."""
    from colorkit.data.prepare import prepare

    out = tmp_path_factory.mktemp("store") / "made"
    return prepare(made_photographs, out, size=32, workers=1)[0]


@pytest.fixture(scope="session")
def small_store(tmp_path_factory):
    """A store of 24 made pictures, 32 x 32."""
    from colorkit.data.prepare import prepare

    folder = tmp_path_factory.mktemp("small")
    for i in range(24):
        colourful(i).save(folder / f"{i:02d}.png")
    return prepare(folder, tmp_path_factory.mktemp("stores") / "small", size=32, workers=1)[0]

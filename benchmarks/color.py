"""sRGB to Lab beside scikit-image and kornia; Lab to sRGB and the gamut beside scikit-image.

64 photographs of 256 x 256, 8-bit, on one thread. They are crops of those in COLORKIT_TEST_PHOTOS
if that folder holds 64 of this size or more, else of scikit-image's own four photographs.
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import color as sk
from skimage import data

from benchmarks.timing import Timing, interleaved, one_thread, table
from colorkit import color

COUNT, SIDE = 64, 256
WANTED = {  # way: (baseline, at least so many times as fast)
    "colorkit, batch, eager": [("scikit-image, one by one", 2.3), ("kornia, batch", 4.0)],
    "colorkit, one by one, eager": [("scikit-image, one by one", 3.0)],
    "colorkit, one by one, compiled": [("scikit-image, one by one", 4.5)],
}


def photographs() -> torch.Tensor:
    """64 different pictures with the statistics of photographs: (64, 3, 256, 256) uint8."""
    folder = os.environ.get("COLORKIT_TEST_PHOTOS")
    sources = _from_folder(Path(folder)) if folder else []
    if len(sources) < COUNT:
        sources = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    rng = np.random.default_rng(0)
    crops = [_crop(sources[i % len(sources)], rng) for i in range(COUNT)]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()


def _from_folder(folder: Path) -> list[np.ndarray]:
    found = []
    for path in sorted(folder.rglob("*")):
        if len(found) == COUNT or path.suffix.lower() not in {".jpg", ".jpeg", ".png"}:
            continue
        try:
            with Image.open(path) as image:
                if min(image.size) >= SIDE:
                    found.append(np.asarray(image.convert("RGB")))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # a folder of test photographs holds broken files on purpose
    return found


def _crop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    top, left = (rng.integers(0, size - SIDE + 1) for size in picture.shape[:2])
    return picture[top : top + SIDE, left : left + SIDE, :3]


def _one_by_one(function: Callable, pictures: list) -> Callable[[], None]:
    def way() -> None:
        for picture in pictures:
            function(picture)

    return way


def _compiled(function: Callable) -> Callable | None:
    """The function under torch.compile; None, with the reason printed, where it cannot."""
    compiled = torch.compile(function, dynamic=False)
    try:
        compiled(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    except Exception as error:  # many reasons, for instance no C++ compiler
        print(f"torch.compile does not work here: {type(error).__name__}: {str(error)[:200]}")
        return None
    return torch.compile(function, dynamic=False)


def _to_lab_ways(pictures: torch.Tensor) -> dict[str, Callable[[], object]]:
    arrays = list(pictures.permute(0, 2, 3, 1).contiguous().numpy())
    singles = list(pictures.split(1))
    ways = {
        "scikit-image, one by one": _one_by_one(sk.rgb2lab, arrays),
        "colorkit, batch, eager": lambda: color.rgb_to_lab(pictures),
        "colorkit, one by one, eager": _one_by_one(color.rgb_to_lab, singles),
    }
    compiled = _compiled(color.rgb_to_lab)
    if compiled:
        ways["colorkit, batch, compiled"] = lambda: compiled(pictures)
        ways["colorkit, one by one, compiled"] = _one_by_one(compiled, singles)
    try:
        from kornia.color import rgb_to_lab as kornia_lab
    except ImportError:
        print("kornia is not installed: its rows are left out (pip install -e .[dev])")
        return ways
    ways["kornia, batch"] = lambda: kornia_lab(pictures.float() / 255)
    ways["kornia, one by one"] = _one_by_one(lambda x: kornia_lab(x.float() / 255), singles)
    return ways


def _row(name: str, timing: Timing) -> list[str]:
    rate = COUNT * SIDE * SIDE / timing.seconds / 1e6
    return [name, f"{timing.seconds * 1e3:.0f}", f"{rate:.1f}", f"{timing.ratio:.2f}"]


def _wanted_rows(timings: dict[str, Timing]) -> list[list[str]]:
    rows = []
    for name, goals in WANTED.items():
        for baseline, least in goals:
            if name in timings and baseline in timings:
                ratio = timings[name].ratio / timings[baseline].ratio
                verdict = "yes" if ratio >= least else "NO"
                rows.append([f"{name} : {baseline}", f"{ratio:.2f}", f"{least:.1f}", verdict])
    return rows


def _back_ways(pictures: torch.Tensor) -> dict[str, Callable[[], object]]:
    lab = color.rgb_to_lab(pictures)
    arrays = list(lab.permute(0, 2, 3, 1).contiguous().numpy())
    L, ab = color.split_lab(lab)
    vivid = ab * 4
    share = color.out_of_gamut(L, vivid).float().mean().item()
    return {
        "scikit-image lab2rgb, one by one": _one_by_one(sk.lab2rgb, arrays),
        "lab_to_rgb, batch": lambda: color.lab_to_rgb(lab),
        "out_of_gamut, batch": lambda: color.out_of_gamut(L, ab),
        "fit_gamut, all inside": lambda: color.fit_gamut(L, ab),
        f"fit_gamut, {share:.0%} outside (ab x 4)": lambda: color.fit_gamut(L, vivid),
    }


def run() -> None:
    """Print the tables."""
    pictures = photographs()
    columns = [f"{COUNT} pictures of {SIDE} x {SIDE}", "ms", "Mpixel/s", "x scikit-image"]
    with one_thread(), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        timings = interleaved(_to_lab_ways(pictures), "scikit-image, one by one")
        rows = [_row(*item) for item in timings.items()]
        print(table("sRGB to Lab, one thread", columns, rows), end="\n\n")
        wanted = ["ratio", "measured", "at least", "reached"]
        print(table("Wanted", wanted, _wanted_rows(timings)), end="\n\n")
        timings = interleaved(_back_ways(pictures), "scikit-image lab2rgb, one by one", rounds=5)
        rows = [_row(*item) for item in timings.items()]
        print(table("Lab to sRGB and the gamut, one thread", columns, rows))

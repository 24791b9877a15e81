"""Preparing and batching photographs, beside what one would write without colorkit.

Photographs are made here (1,024 x 768 JPEG, smooth colours with texture), so that everybody
measures the same. Each figure is a ratio within one run.
"""

import json
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image

from benchmarks.timing import interleaved, table
from colorkit.batches import Batches
from colorkit.data.prepare import prepare
from colorkit.data.store import FORMAT, INDEX, MANIFEST, PICTURES, Store

SIZE = 128


def photograph(seed: int, size: tuple[int, int]) -> Image.Image:
    """A picture about as hard to decode as a photograph of that size."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.int16)
    grain = rng.integers(-12, 13, (size[1] // 2, size[0] // 2), dtype=np.int8)
    texture = np.asarray(Image.fromarray(grain.astype(np.uint8)).resize(size), np.int8)
    return Image.fromarray((smooth + texture[..., None]).clip(0, 255).astype(np.uint8))


def make_folder(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """`count` JPEG files in four classes."""
    for i in range(count):
        path = folder / f"class{i % 4}" / f"{i:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photograph(i, size).save(path, quality=90)
    return folder


def plain_loop(folder: Path) -> None:
    """What the textbook does: open, convert, crop, resize, to Lab, one after the other."""
    from skimage.color import rgb2lab
    from skimage.transform import resize

    kept = []
    for path in sorted(folder.rglob("*.jpg")):
        rgb = np.asarray(Image.open(path).convert("RGB"))
        side = min(rgb.shape[:2])
        top, left = (rgb.shape[0] - side) // 2, (rgb.shape[1] - side) // 2
        square = resize(rgb[top : top + side, left : left + side], (SIZE, SIZE), anti_aliasing=True)
        kept.append(rgb2lab(square).astype(np.float32))


def plain_pillow_loop(folder: Path) -> None:
    """The same with Pillow's own resize, which is much faster than scikit-image's."""
    from skimage.color import rgb2lab

    kept = []
    for path in sorted(folder.rglob("*.jpg")):
        image = Image.open(path).convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).resize(
            (SIZE, SIZE), Image.Resampling.LANCZOS
        )
        kept.append(rgb2lab(np.asarray(square)).astype(np.float32))


def preparing(folder: Path, scratch: Path) -> str:
    """Pictures a second of prepare with two processes beside the two loops."""
    count, stores = len(list(folder.rglob("*.jpg"))), cycle(range(10**6))

    def ours() -> None:
        out = scratch / f"store{next(stores)}"
        prepare(folder, out, SIZE, workers=2)

    ways = {
        "Pillow, scikit-image's resize and rgb2lab": lambda: plain_loop(folder),
        "Pillow's resize, scikit-image's rgb2lab": lambda: plain_pillow_loop(folder),
        "colorkit prepare, 2 processes, with audit": ours,
    }
    timed = interleaved(ways, next(iter(ways)), rounds=1)
    rows = [[n, f"{count / t.seconds:.0f}", f"{t.ratio:.2f}"] for n, t in timed.items()]
    return table(f"Preparing {count} photographs of 1,024 x 768", ["", "a second", "ratio"], rows)


class _LabFolder(torch.utils.data.Dataset):
    """An ImageFolder that decodes and converts each picture when it is asked for."""

    def __init__(self, folder: Path) -> None:
        from torchvision.datasets import ImageFolder
        from torchvision.transforms import CenterCrop, Compose, Resize

        self.folder = ImageFolder(str(folder), Compose([Resize(SIZE), CenterCrop(SIZE)]))

    def __len__(self) -> int:
        return len(self.folder)

    def __getitem__(self, i: int) -> torch.Tensor:
        from skimage.color import rgb2lab

        lab = rgb2lab(np.asarray(self.folder[i][0]))
        return torch.from_numpy(lab.astype(np.float32)).permute(2, 0, 1)


def _loader(folder: Path) -> torch.utils.data.DataLoader:
    options = {"shuffle": True, "num_workers": 2, "persistent_workers": True}
    return torch.utils.data.DataLoader(_LabFolder(folder), 32, **options)


def batching(scratch: Path, count: int = 1024) -> str:
    """Pictures a second of batches beside an ImageFolder with two workers."""
    large = make_folder(scratch / "large", count, (500, 375))
    squares = make_folder(scratch / "squares", count, (SIZE, SIZE))
    store, _ = prepare(large, scratch / "large-store", SIZE, workers=1)
    data = Batches(store, 32, device="cpu")
    loaders = {
        "ImageFolder, rgb2lab, 2 workers, files of 500 x 375": _loader(large),
        f"the same, files of {SIZE} x {SIZE}": _loader(squares),
    }
    rates: dict[str, list[float]] = {name: [] for name in (*loaders, "colorkit batches")}
    for _ in range(4):  # the first round warms up; an epoch of ours is too short to time alone
        for name in rates:
            start, seen = time.perf_counter(), 0
            if name in loaders:
                seen = sum(len(lab) for lab in loaders[name])
            else:
                seen = sum(len(L) for epoch in range(5) for L, _ in data(epoch))
            rates[name].append(seen / (time.perf_counter() - start))
    slow, rows = next(iter(rates.values())), []
    for name, rate in rates.items():
        ratio = median(a / b for a, b in zip(rate[1:], slow[1:], strict=True))
        rows.append([name, f"{median(rate[1:]):.0f}", f"{ratio:.1f}"])
    return table(f"Batches of 32 pictures of {SIZE} x {SIZE}", ["", "a second", "ratio"], rows)


def small_unet(width: int = 32) -> torch.nn.Module:
    """Three levels with skips, enough to be as slow as what the lessons train."""

    def block(i: int, o: int) -> torch.nn.Sequential:
        layers = [torch.nn.Conv2d(i, o, 3, padding=1), torch.nn.ReLU()]
        return torch.nn.Sequential(*layers, torch.nn.Conv2d(o, o, 3, padding=1), torch.nn.ReLU())

    class UNet(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            w = width
            self.down = torch.nn.ModuleList([block(1, w), block(w, 2 * w), block(2 * w, 4 * w)])
            self.up = torch.nn.ModuleList([block(6 * w, 2 * w), block(3 * w, w)])
            self.head = torch.nn.Conv2d(w, 2, 1)

        def forward(self, L: torch.Tensor) -> torch.Tensor:
            x = a = self.down[0](L / 100)
            x = b = self.down[1](torch.nn.functional.max_pool2d(x, 2))
            x = self.down[2](torch.nn.functional.max_pool2d(x, 2))
            for stage, skip in zip(self.up, (b, a), strict=True):
                x = torch.nn.functional.interpolate(x, scale_factor=2)
                x = stage(torch.cat([x, skip], 1))
            return self.head(x) * 100

    return UNet()


def training(squares: Path, scratch: Path, steps: int = 10, rounds: int = 9) -> str:
    """Steps a second on batches from a store, as a share of those on one cached batch."""
    store, _ = prepare(squares, scratch / "small-store", 64, workers=1)
    data = Batches(store, 16, device="cpu")
    model = small_unet()
    optimizer = torch.optim.Adam(model.parameters())
    flowing = (batch for epoch in range(10**6) for batch in data(epoch))
    cached = next(flowing)

    def seconds(source) -> float:
        start = time.perf_counter()
        for L, ab in islice(source, steps):
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.mse_loss(model(L), ab).backward()
            optimizer.step()
        return time.perf_counter() - start

    seconds(cycle([cached]))
    shares = []
    for k in range(rounds):  # in turn, each first in every other round
        order = [cycle([cached]), flowing][:: 1 if k % 2 else -1]
        took = {id(source): seconds(source) for source in order}
        still = next(t for s, t in took.items() if s != id(flowing))
        shares.append(still / took[id(flowing)])
    rows = [["share of the speed on one cached batch", f"{median(shares):.3f}"]]
    return table("A small U-Net on batches of 16 at 64 x 64", ["", "ratio"], rows)


def sparse_store(path: Path, count: int, size: int) -> Path:
    """A store of `count` black pictures, written as holes."""
    path.mkdir(parents=True)
    np.lib.format.open_memmap(path / PICTURES, "w+", np.uint8, (count, size, size, 3))
    index = np.zeros(count, INDEX)
    index["row"] = np.arange(count)
    np.save(path / "index.npy", index)
    manifest = {
        "format": FORMAT, "size": size, "pictures": count,
        "classes": [], "splits": {"train": count},
    }  # fmt: skip
    (path / MANIFEST).write_text(json.dumps(manifest))
    return path


_ITERATE = """
import os, sys, psutil
from pathlib import Path
from colorkit.batches import Batches
for L, ab in Batches(sys.argv[1], 100, device='cpu')():
    pass
status = Path('/proc/self/status')
if status.exists():
    print(next(l.split()[1] for l in status.read_text().splitlines() if l.startswith('RssAnon')))
else:
    info = psutil.Process().memory_full_info()
    print(info.uss // 1024)
"""


def memory(scratch: Path, counts: tuple[int, int] = (2_000, 200_000), size: int = 32) -> str:
    """Anonymous resident memory after one epoch over each store."""
    used = []
    for count in counts:
        store = sparse_store(scratch / f"sparse{count}", count, size)
        ran = subprocess.run(
            [sys.executable, "-c", _ITERATE, str(store)], capture_output=True, text=True, check=True
        )
        used.append(int(ran.stdout.split()[-1]) / 1024)
    rows = [[f"{n:,} pictures", f"{mb:.0f}"] for n, mb in zip(counts, used, strict=True)]
    rows.append(["difference", f"{used[1] - used[0]:.0f}"])
    return table("Anonymous memory of a process that iterates", ["", "MB"], rows)


def growth(scratch: Path, counts: tuple[int, ...] = (1_000, 5_000, 20_000)) -> str:
    """Processor seconds of preparing more and more files, and the exponent of their growth."""
    folder = make_folder(scratch / "many", counts[-1], (96, 72))
    files = sorted(folder.rglob("*.jpg"))
    took = []
    for count in counts:
        part = scratch / f"part{count}"
        part.mkdir()
        for file in files[:count]:
            (part / file.name).hardlink_to(file)
        start = time.process_time()  # one process: not disturbed by others
        prepare(part, scratch / f"grown{count}", 64, workers=1)
        took.append(time.process_time() - start)
    exponent = np.polyfit(np.log(counts), np.log(took), 1)[0]
    rows = [[f"{n:,} files", f"{s:.1f}", f"{n / s:.0f}"] for n, s in zip(counts, took, strict=True)]
    rows.append(["exponent", f"{exponent:.3f}", ""])
    return table("Preparing files of 96 x 72, one process", ["", "seconds", "a second"], rows)


def integer_lab(store: Store) -> str:
    """8-bit RGB beside integer Lab, as a report stored it in HDF5: size and colour error."""
    from colorkit.color import lab_to_rgb, rgb_to_lab

    exact = torch.from_numpy(store.pictures(store.rows("all")[:200])).double() / 255
    noise = torch.rand(exact.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    exact = (exact + noise / 255).clamp(0, 1)  # what was there before it became 8 bits
    lab = rgb_to_lab(exact.float())
    as_rgb = rgb_to_lab((exact * 255).round().byte())
    as_lab = lab.round()
    rows = []
    for name, stored, size in (
        ("8-bit RGB (uint8)", as_rgb, 3),
        ("integer Lab (int8)", as_lab, 3),
        ("integer Lab (int32)", as_lab, 12),
    ):
        error = (lab - stored).norm(dim=1).flatten()
        back = (lab_to_rgb(stored) * 255).round() - (exact * 255).round()
        changed = (back.abs().amax(1) > 0).double().mean()
        figures = [f"{size * SIZE**2 / 1e3:.0f}", f"{error.mean():.2f}", f"{error.max():.2f}"]
        rows.append([name, *figures, f"{changed:.0%}"])
    columns = ["", "KB a picture", "mean dE76", "max dE76", "pixels changed"]
    return table(f"What storing costs, {SIZE} x {SIZE}", columns, rows)


def run() -> None:
    """Print all tables."""
    with tempfile.TemporaryDirectory(prefix="colorkit-bench-") as folder:
        scratch = Path(folder)
        photographs = make_folder(scratch / "photographs", 400, (1024, 768))
        print(preparing(photographs, scratch), flush=True)
        print(batching(scratch), flush=True)
        store = Store(scratch / "large-store")
        print(training(scratch / "squares", scratch), flush=True)
        print(integer_lab(store), flush=True)
        print(memory(scratch), flush=True)
        print(growth(scratch), flush=True)


if __name__ == "__main__":
    run()

"""Training steps a second beside the loop of tutorials, peak memory, and the quality of bf16.

The same U-Net with batch norm on the same 8-bit pictures. "Tutorial" is the loop that most
tutorials on colorization show: a DataLoader over a dataset that converts picture after picture with
scikit-image, float32, Adam, clipping, ``loss.item()``. "Tutorial, Lab ready" has its Lab tensors in
memory beforehand: what is left is the network alone. "Bare loop" is the step of `fit` with nothing
about it: the same batches, layout, precision and optimizer.
"""

import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import psutil
import torch
from skimage import color as sk
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from benchmarks.timing import interleaved, one_thread, table
from colorkit.batches import Batches
from colorkit.color import rgb_to_lab, split_lab
from colorkit.device import has_fast_bf16, pick_precision
from colorkit.fit import fit
from colorkit.losses import regression
from colorkit.worlds import orchard

BATCH, SIDE, STEPS, WIDTH = 16, 64, 6, 16
WANTED = {True: 2.2, False: 1.1}  # with bf16 in hardware, without: times the tutorial's loop
CPU = torch.device("cpu")


def block(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """Three times down and up again, with skip connections."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.stem = nn.Sequential(block(1, width), block(width, width))
        self.down = nn.ModuleList(
            nn.Sequential(block(a, b, 2), block(b, b)) for a, b in pairwise(widths)
        )
        self.up = nn.ModuleList(block(a + b, a) for a, b in pairwise(widths))
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, L: Tensor) -> Tensor:
        """L (N, 1, H, W) to ab (N, 2, H, W)."""
        kept = [self.stem(L / 50 - 1)]
        for down in self.down:
            kept.append(down(kept[-1]))
        x = kept.pop()
        for up in reversed(self.up):
            x = up(torch.cat([F.interpolate(x, scale_factor=2), kept.pop()], 1))
        return 50 * self.head(x)


class Pictures(Dataset):
    """What tutorials write: one picture at a time, converted by scikit-image."""

    def __init__(self, rgb: Tensor) -> None:
        self.arrays = rgb.permute(0, 2, 3, 1).numpy()

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        lab = sk.rgb2lab(self.arrays[i]).astype(np.float32)
        lab = torch.from_numpy(lab).permute(2, 0, 1)
        return lab[:1], lab[1:]


def tutorial(dataset: Dataset) -> Callable[[], None]:
    """A way that trains for STEPS steps as tutorials do."""
    torch.manual_seed(0)
    model = UNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(dataset, BATCH, shuffle=True, drop_last=True)

    def way() -> None:
        model.train()
        total = 0.0
        for L, ab in loader:
            optimizer.zero_grad()
            loss = F.mse_loss(model(L), ab)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item()

    return way


def ours(rgb: Tensor, precision: str = "auto") -> Callable[[], None]:
    """A way that trains for STEPS steps with `fit`."""
    torch.manual_seed(0)
    model, data, loss = UNet(), Batches(rgb, BATCH), regression(F.mse_loss)

    def way() -> None:
        fit(model, loss, data, STEPS, callbacks=(), device="cpu", precision=precision)

    return way


def bare(rgb: Tensor) -> Callable[[], None]:
    """A way that trains for STEPS steps with the innermost lines of `fit` alone."""
    torch.manual_seed(0)
    precision = pick_precision(CPU)
    model = UNet().to(memory_format=precision.layout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    data = Batches(rgb, BATCH)

    def way() -> None:
        for batch in data():
            L, ab = precision.place(batch)
            optimizer.zero_grad()
            with precision.autocast():
                loss = F.mse_loss(model(L), ab)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    return way


def ways(rgb: Tensor) -> dict[str, Callable[[], Callable[[], None]]]:
    """What is compared; each is made when it is called."""
    made = {
        "tutorial": lambda: tutorial(Pictures(rgb)),
        "tutorial, Lab ready": lambda: tutorial(TensorDataset(*split_lab(rgb_to_lab(rgb)))),
        "fit": lambda: ours(rgb),
        "bare loop": lambda: bare(rgb),
    }
    if has_fast_bf16(CPU):
        made["fit, float32"] = lambda: ours(rgb, precision="float32")
    return made


def steps_a_second(rgb: Tensor) -> None:
    """Print steps a second of each way, and whether the wanted ratio is reached."""
    timings = interleaved({name: make() for name, make in ways(rgb).items()}, "tutorial")
    rows = [
        [name, f"{STEPS / timing.seconds:.2f}", f"{timing.ratio:.2f}"]
        for name, timing in timings.items()
    ]
    what = f"{BATCH} pictures of {SIDE} x {SIDE} a step"
    threads = torch.get_num_threads()
    print(table(f"Training, {threads} thread(s)", [what, "steps/s", "x tutorial"], rows))
    least, ratio = WANTED[has_fast_bf16(CPU)], timings["fit"].ratio
    print(f"fit : tutorial {ratio:.2f}, at least {least}: {'yes' if ratio >= least else 'NO'}\n")


def peak_memory() -> None:
    """Print the memory that each way takes while it trains, each in a process of its own."""
    rows = []
    for name in ways(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)):
        command = [sys.executable, "-m", "benchmarks.training", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append([name, done.stdout.strip()])
    print(
        table("Peak memory of training, above what is there before", ["", "MiB"], rows), end="\n\n"
    )


def peak_above_now(way: Callable[[], None]) -> int:
    """The most memory in bytes that the process has while a way runs, above what it has before.

    Sampled: the system's own peak of a process counts what its parent had.
    """
    process, over = psutil.Process(), threading.Event()
    before = process.memory_info().rss
    seen = [before]

    def watch() -> None:
        while not over.wait(0.002):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    way()
    over.set()
    watcher.join()
    return max(seen) - before


def quality(steps: int = 100, width: int = 8) -> None:
    """Print the validation error after training in float32 and in bf16, for three seeds."""
    train, held_out = orchard(512, 32, seed=0), orchard(256, 32, seed=1)
    rows = []
    for seed in range(3):
        errors = []
        for precision in ("float32", "bf16"):
            torch.manual_seed(seed)
            run = fit(
                UNet(width),
                regression(F.mse_loss),
                Batches(train, BATCH, seed=seed),
                steps,
                lr=3e-3,
                seed=seed,
                validation=Batches(held_out, 64, in_order=True),
                callbacks=(),
                device="cpu",
                precision=precision,
            )
            errors.append(run.history[-1]["validation"])
        plain, bf16 = errors
        rows.append([f"seed {seed}", f"{plain:.1f}", f"{bf16:.1f}", f"{bf16 / plain - 1:+.1%}"])
    columns = [f"ab MSE, orchard, {steps} steps", "float32", "bf16", "difference"]
    print(table("Quality of bf16", columns, rows))


def run() -> None:
    """Print the tables."""
    rgb = orchard(BATCH * STEPS, SIDE, seed=0).rgb
    with one_thread():
        steps_a_second(rgb)
        peak_memory()
        quality()


def main(name: str) -> None:
    """Run one way, print the MiB that it took."""
    torch.set_num_threads(1)
    rgb = orchard(BATCH * STEPS, SIDE, seed=0).rgb
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # the first optimizer imports 100 MB
    sk.rgb2lab(np.zeros((1, 1, 3), np.uint8))  # the first conversion imports too
    way = ways(rgb)[name]()
    print(f"{peak_above_now(way) / 2**20:.0f}")


if __name__ == "__main__":
    main(sys.argv[1])

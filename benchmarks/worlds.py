"""Made worlds: pictures a second, and whether L alone tells the things apart.

``python -m benchmarks worlds`` draws 1,024 pictures of each world on one thread, and trains a small
network on L alone to name the kind of every visible thing (under two minutes on two cores).
"""

import time
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.worlds import WORLDS, World

STEPS = {"orchard": 400, "portraits": 80, "bears": 100}
OPTIONS = {
    "bears": {
        "kind": ("brown", "polar", "patch"),
        "ground": ("woods", "snow"),
        "brightness": ("dark", "bright"),
        "position": "anywhere",
    }
}
BATCH = 48


class Recogniser(nn.Module):
    """Names the kind at every second pixel, from L (N, 1, H, W): logits (N, K, H/2, W/2)."""

    def __init__(self, kinds: int, width: int = 24):
        super().__init__()
        self.first = nn.Sequential(nn.PixelUnshuffle(2), _conv(4, width), _conv(width, width))
        self.second = nn.Sequential(_conv(width, 2 * width, 2), _conv(2 * width, 2 * width))
        self.third = nn.Sequential(
            _conv(2 * width, 4 * width, 2), _conv(4 * width, 4 * width), _conv(4 * width, 2 * width)
        )
        self.join = _conv(4 * width, 2 * width)
        self.name = nn.Conv2d(3 * width, kinds, 1)

    def forward(self, L: Tensor) -> Tensor:
        fine = self.first((L - 50) / 25)
        middle = self.second(fine)
        coarse = F.interpolate(self.third(middle), scale_factor=2)
        middle = self.join(torch.cat([middle, coarse], 1))
        middle = F.interpolate(middle, scale_factor=2, mode="bilinear", align_corners=False)
        return self.name(torch.cat([fine, middle], 1))


def _conv(before: int, after: int, stride: int = 1) -> nn.Sequential:
    layers = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    return nn.Sequential(*layers)


def targets(world: World) -> tuple[Tensor, Tensor]:
    """L (N, 1, H, W), and the kind at every second pixel, -1 where scores do not count."""
    lightness, kinds = [], []
    for start in range(0, len(world), BATCH):
        scene = world.scene(start, min(start + BATCH, len(world)))
        kind = np.where(scene.scored(), scene.of_owner(scene.kind), -1)
        lightness.append(torch.from_numpy(scene.lightness)[:, None])
        kinds.append(torch.from_numpy(kind[:, 1::2, 1::2].astype(np.int8)))
    return torch.cat(lightness), torch.cat(kinds)


def train(world: World, steps: int) -> Recogniser:
    """A network that names the things of a world, trained on L alone."""
    torch.manual_seed(0)
    L, kinds = targets(world)
    model = Recogniser(len(world.kinds)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    weight = torch.ones(len(world.kinds))
    weight[: len(world.things)] = 4.0
    for _ in range(steps):
        pick = torch.randint(len(L), (BATCH,))
        light, kind = L[pick], kinds[pick].long()
        if torch.rand(()) < 0.5:
            light, kind = light.flip(-1), kind.flip(-1)
        loss = F.cross_entropy(model(light), kind, weight, ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def confusion(model: Recogniser, world: World) -> Tensor:
    """How often things of kind (row) are given the name (column): int64 (K, K).

    A thing's name is the one with the largest summed log-probability over its own pixels.
    """
    table = torch.zeros(len(world.kinds), len(world.kinds), dtype=torch.int64)
    for start in range(0, len(world), BATCH):
        scene = world.scene(start, min(start + BATCH, len(world)))
        logits = model(torch.from_numpy(scene.lightness)[:, None]).log_softmax(1)
        logits = F.interpolate(logits, scale_factor=2).numpy()
        least = 60 * world.size**2 / 64**2
        for i, slot in np.argwhere(scene.pixels() >= least):
            own = (scene.owner[i] == slot) & ~scene.soft[i]
            own = own if own.any() else scene.owner[i] == slot
            table[scene.kind[i, slot], int(logits[i][:, own].sum(1).argmax())] += 1
    return table


def naming(name: str, pictures: int = 5000, tests: int = 800) -> None:
    """Print how many visible things L alone names rightly, and which it takes for which."""
    start = time.perf_counter()
    options = OPTIONS.get(name, {})
    model = train(WORLDS[name](pictures, seed=1, **options), STEPS[name])
    world = WORLDS[name](tests, seed=2, **options)
    table = confusion(model, world)
    things = table[: len(world.things)]
    print(
        f"{name}: kind named right for {_share(things):.4f} of {int(things.sum())} things of at "
        f"least 60 pixels, {_share(table):.4f} with grounds, {time.perf_counter() - start:.0f} s"
    )
    for row, kind in enumerate(world.kinds):
        if table[row].sum() > table[row, row]:
            others = [(int(c), world.kinds[k]) for k, c in enumerate(table[row]) if c and k != row]
            taken = ", ".join(f"{other} {count}" for count, other in sorted(others, reverse=True))
            print(f"  {kind}: {int(table[row, row])} of {int(table[row].sum())}; taken for {taken}")


def _share(table: Tensor) -> float:
    return float(table.diagonal().sum() / table.sum()) if len(table) else 0.0


def speed(name: str, pictures: int = 1024) -> None:
    """Print pictures a second on one thread, with conversion to 8 bits."""
    world = WORLDS[name](pictures)
    world.batch(0, 32)  # textures and tables are made once
    marks = [time.process_time()]
    for _ in world.batches():
        marks.append(time.process_time())
    seconds = float(np.median([b - a for a, b in pairwise(marks)])) / 32
    print(f"{name}: {1 / seconds:.0f} pictures of 64 x 64 a second on one core")


def run(names: tuple[str, ...] = tuple(WORLDS)) -> None:
    """Measure every world."""
    threads = torch.get_num_threads()
    for name in names:
        torch.set_num_threads(1)
        speed(name)
        torch.set_num_threads(threads)
        naming(name)

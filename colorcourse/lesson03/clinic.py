"""Lesson 3's clinic: six runs of one program, and five mistakes that raise no error.

Lesson 2's clinic breaks a line of the training. Here the training is right, and the *data* or the
*judging* is wrong, so that a loss curve alone tells nothing.
"""

import copy
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from torchvision.utils import make_grid

from colorcourse.clinic import HEALTHY, Clinic
from colorkit.color import join_lab, lab_to_rgb
from colorkit.models import UNet
from colorkit.plots import draw_picture
from colorkit.worlds import orchard

BATCH = 8
SYMPTOMS = {
    "leaked validation set": "its validation beside its test error",
    "batch norm in training mode": "how far its colours move when a picture is judged alone",
    "colour jitter": "the colours of its batch, beside the store's",
    "L flipped, ab not": "where the colours of its batch lie, beside the fruit",
    "sorted, not shuffled": "how many kinds a batch has, and the teeth of its loss",
    HEALTHY: "all of it again: nothing is wrong with this one",
}

Pair = tuple[Tensor, Tensor]


@dataclass
class Log:
    """What the instruments noted of one run; errors are MSE of ab in ab²."""

    losses: list[float] = field(default_factory=list)
    validation: float = 0.0
    test: float = 0.0  # pictures that were kept apart
    moved: float = 0.0  # how far colours move when a picture is judged alone, in ab units
    kinds: float = 0.0  # different kinds of main fruit in a batch, mean over batches
    hue_off: float = 0.0  # distance of the batch's mean colours from the store's, in ab units
    misplaced: float = 0.0  # distance of ab from the store's at the same place of the same L
    batch: Tensor | None = None  # the first four pictures of a batch, RGB (3, 2 H, 2 W)
    stored: Tensor | None = None  # the same pictures as they are in the store

    def readings(self) -> dict[str, float]:
        return {
            "loss, last 20": sum(self.losses[-20:]) / 20,
            "validation": self.validation,
            "test": self.test,
            "moved when alone": self.moved,
            "kinds in a batch": self.kinds,
        }


@cache
def _store() -> tuple[list[Pair], list[Tensor]]:
    """Training (32, sorted by label, as in folders), validation (32), test (128), with labels."""
    worlds = [orchard(count, 32, seed) for count, seed in ((32, 71), (32, 75), (128, 77))]
    order = worlds[0].labels.argsort(stable=True)
    pairs, labels = [(w.L, w.ab) for w in worlds], [w.labels for w in worlds]
    pairs[0], labels[0] = tuple(plane[order] for plane in pairs[0]), labels[0][order]
    return pairs, labels


def run(fault: str, seed: int = 0, steps: int = 240) -> Log:
    """Train and judge a U-Net with a fault (a few seconds), under instruments."""
    judged_in_training = fault == "batch norm in training mode"  # its training is the healthy one
    net, log = copy.deepcopy(_trained(HEALTHY if judged_in_training else fault, seed, steps))
    (_, val, test), _ = _store()
    net.train(judged_in_training)
    with torch.no_grad():
        log.validation, log.test = (mse_loss(net(L), ab).item() for L, ab in (val, test))
        alone = torch.cat([net(picture) for picture in test[0][:32].split(1)])
        log.moved = (alone - net(test[0][:32])).norm(dim=1).mean().item()
    return log


@cache
def _trained(fault: str, seed: int, steps: int) -> tuple[UNet, Log]:
    """The network after a training with a fault, and what was noted on the way."""
    (train, val, _), (labels, val_labels, _) = _store()
    if fault == "leaked validation set":
        train = tuple(torch.cat(planes) for planes in zip(train, val, strict=True))
        labels = torch.cat([labels, val_labels])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = UNet(8, 3)
    log, draw = Log(), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    # At a constant rate the last steps decide the errors by luck; decayed, every seed ends alike.
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, total_iters=steps)
    kinds, order = [], torch.arange(0)
    for step in range(steps):
        if len(order) < BATCH:
            order = torch.arange(len(labels))
            if fault != "sorted, not shuffled":
                order = order[torch.randperm(len(labels), generator=draw)]
        rows, order = order[:BATCH], order[BATCH:]
        stored = tuple(plane[rows] for plane in train)
        L, ab, flips = _augment(stored, fault, draw)
        loss = mse_loss(net(L), ab)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
        log.losses.append(loss.item())
        kinds.append(len(labels[rows].unique()))
        if step == 0:
            true = stored[1]
            log.hue_off = (ab.mean((2, 3)) - true.mean((2, 3))).norm(dim=1).mean().item()
            same_place = torch.where(flips, true.flip(-1), true)
            log.misplaced = (ab - same_place).norm(dim=1).mean().item()
            log.batch, log.stored = (
                make_grid(lab_to_rgb(join_lab(*pair))[:4], 2, padding=0)
                for pair in ((L, ab), stored)
            )
    log.kinds = sum(kinds) / len(kinds)
    return net, log


def _augment(stored: Pair, fault: str, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """L and ab with half of the pictures flipped, and what the fault does; which were flipped."""
    L, ab = stored
    flips = torch.rand(len(L), 1, 1, 1, generator=draw) < 0.5
    angle = 6.283 * torch.rand(len(L), 1, 1, generator=draw)
    L = torch.where(flips, L.flip(-1), L)
    if fault != "L flipped, ab not":
        ab = torch.where(flips, ab.flip(-1), ab)
    if fault == "colour jitter":
        a, b = ab.unbind(1)
        cos, sin = angle.cos(), angle.sin()
        ab = torch.stack([cos * a - sin * b, sin * a + cos * b], 1)
    return L, ab, flips


def diagnosis(log: Log) -> str:
    """The fault that a log shows, or ``"healthy"``: the batch first, then the judging."""
    if log.hue_off > 5:
        return "colour jitter"
    if log.misplaced > 1:
        return "L flipped, ab not"
    if log.kinds < 3.5:
        return "sorted, not shuffled"
    if log.moved > 0.5:
        return "batch norm in training mode"
    if log.validation < 0.72 * log.test:
        return "leaked validation set"
    return HEALTHY


def draw(axes, log: Log) -> None:
    """The loss over the steps, part of a batch, and those pictures in the store."""
    axes[0].plot(log.losses, lw=0.8)
    axes[0].set(ylim=(0, 1000), xticks=[], yticks=[])
    draw_picture(axes[1], log.batch)
    draw_picture(axes[2], log.stored)


data_clinic = Clinic(
    runs={
        "A": "batch norm in training mode",
        "B": "sorted, not shuffled",
        "C": HEALTHY,
        "D": "L flipped, ab not",
        "E": "leaked validation set",
        "F": "colour jitter",
    },
    symptoms=SYMPTOMS,
    run=run,
    diagnosis=diagnosis,
    rows={"loss": 0.8, "a batch": 1.3, "in the store": 1.3},
    draw=draw,
)

"""Colour as classes: soft encoding, the loss, and a training step, each beside the usual way.

One thread. Encoding and its quality are measured on 131,072 pixels of photographs, the loss on 32
pictures of 64 x 64 with 313 classes, a training step on the network of eight groups.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.color import photographs
from benchmarks.timing import interleaved, one_thread, table
from benchmarks.training import peak_above_now
from colorkit.bins import SoftEncoder, Targets, ab_bins, soft_cross_entropy, soft_encode
from colorkit.color import rgb_to_lab, split_lab
from colorkit.device import Precision, pick_precision
from colorkit.losses import Classification
from colorkit.models import Classifier, ZhangNet
from colorkit.worlds import orchard

BATCH, SIDE, KERNELS = 32, 64, 16
WANTED = ["measured", "wanted", "reached"]


def _verdict(name: str, value: float, limit: float, least: bool = True) -> list[str]:
    reached = value >= limit if least else value <= limit
    word = "at least" if least else "at most"
    return [name, f"{value:.4g}", f"{word} {limit:g}", "yes" if reached else "NO"]


def dense(targets: Targets, count: int = 313) -> Tensor:
    """Targets as most code stores them: float32 (N, Q, H, W)."""
    n, _, h, w = targets.indices.shape
    zeros = torch.zeros(n, count, h, w)
    return zeros.scatter_add_(1, targets.indices, targets.weights.float())


def scikit_encoder(neighbours: int) -> Callable[[Tensor], Targets] | None:
    """Soft encoding with scikit-learn's nearest neighbours, as in the published code."""
    try:
        from sklearn.neighbors import NearestNeighbors
    except ImportError:
        print("scikit-learn is not installed: no encoding beside it (pip install -e .[dev])")
        return None
    tree = NearestNeighbors(n_neighbors=neighbours, algorithm="ball_tree").fit(ab_bins().numpy())

    def encode(ab: Tensor) -> Targets:
        pixels = ab.movedim(1, -1).reshape(-1, 2).numpy()
        distances, indices = tree.kneighbors(pixels)
        weights = np.exp(-(distances**2) / (2 * 5**2))
        weights /= weights.sum(1, keepdims=True)
        shape = (ab.shape[0], *ab.shape[2:], neighbours)
        planes = (torch.from_numpy(x).view(shape).movedim(-1, 1) for x in (indices, weights))
        return Targets(*planes)

    return encode


def encoding(ab: Tensor, neighbours: int) -> None:
    """Print times and quality of the table."""
    theirs, ours = scikit_encoder(neighbours), SoftEncoder(neighbours=neighbours)
    if theirs is None:
        return
    ways = {"scikit-learn": lambda: theirs(ab), "table": lambda: ours(ab)}
    timings = interleaved(ways, "scikit-learn")
    rows = [[n, f"{t.seconds * 1e3:.1f}", f"{t.ratio:.1f}"] for n, t in timings.items()]
    title = f"Soft encoding, {neighbours} neighbours, {ab[:, 0].numel():,} pixels, one thread"
    print(table(title, ["", "ms", "x scikit-learn"], rows))
    p, q = dense(soft_encode(ab, ours.bins, neighbours)), dense(ours(ab))
    same = (p.argmax(1) == q.argmax(1)).float().mean().item()
    rows = [
        _verdict("table : scikit-learn", timings["table"].ratio, 40),
        _verdict("table, share with the same top bin", same, 0.999),
        _verdict(
            "table, mean total variation", float((p - q).abs().sum(1).mean() / 2), 0.015, False
        ),
    ]
    print(table("Wanted", ["", *WANTED], rows), end="\n\n")


def _backward(loss: Callable[[Tensor], Tensor], logits: Tensor) -> Callable[[], None]:
    def way() -> None:
        logits.grad = None
        loss(logits).backward()

    return way


def losses() -> None:
    """Print time and memory of the loss, forward and backward."""
    torch.manual_seed(0)
    logits = torch.randn(BATCH, 313, SIDE, SIDE, requires_grad=True)
    targets = SoftEncoder()(20 * torch.randn(BATCH, 2, SIDE, SIDE))
    full = dense(targets)
    own = logits.detach().clone().requires_grad_()  # overwritten; to compute, any number will do
    ways = {
        "torch, dense": _backward(lambda x: F.cross_entropy(x, full), logits),
        "by hand, dense": _backward(lambda x: -(full * F.log_softmax(x, 1)).sum(1).mean(), logits),
        "colorkit, sparse": _backward(lambda x: soft_cross_entropy(x, targets), logits),
        "colorkit, sparse, in place": _backward(
            lambda x: soft_cross_entropy(x, targets, in_place=True), own
        ),
    }
    timings, memory = interleaved(ways, "torch, dense"), {}
    for name, way in ways.items():
        logits.grad = own.grad = None
        memory[name] = peak_above_now(way) / 2**20
    rows = [
        [name, f"{t.seconds * 1e3:.0f}", f"{t.ratio:.2f}", f"{memory[name]:.0f}"]
        for name, t in timings.items()
    ]
    title = f"Cross-entropy, {BATCH} x 313 x {SIDE} x {SIDE}, float32, forward and backward"
    print(table(title, ["targets and logits there before", "ms", "x dense", "MiB more"], rows))
    trained = "colorkit, sparse, in place"  # what training does
    share = memory[trained] / memory["torch, dense"]
    rows = [
        _verdict("time, in place : dense", timings[trained].ratio, 2.5),
        _verdict("extra memory, in place : dense", share, 1 / 3, least=False),
    ]
    print(table("Wanted", ["", *WANTED], rows), end="\n\n")


def _training(loss: Callable, precision: Precision) -> Callable[[], None]:
    """A step of AdamW of the eight groups with 313 classes."""
    torch.manual_seed(0)
    model = Classifier(ZhangNet(KERNELS)).to(memory_format=precision.layout).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    world = orchard(BATCH, SIDE, seed=0)
    batch = precision.place((world.L, world.ab))

    def step() -> None:
        optimizer.zero_grad()
        loss(model, batch).backward()
        optimizer.step()

    return step


def steps() -> None:
    """Print pictures a second at a quarter of the size, and at full size with dense targets."""
    encoder = SoftEncoder()

    def at_full_size(model: torch.nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        L, ab = batch
        features = model.trunk.features(model.trunk.prepare(L))
        features = F.interpolate(features, scale_factor=4, mode="bilinear", align_corners=False)
        return F.cross_entropy(model.head(features), dense(encoder(ab)))

    cpu = torch.device("cpu")
    ways = {
        "full size, dense targets": _training(at_full_size, Precision(cpu)),
        "a quarter, sparse targets": _training(Classification(), pick_precision(cpu, "float32")),
    }
    timings = interleaved(ways, "full size, dense targets", rounds=5)
    rows = [[n, f"{BATCH / t.seconds:.1f}", f"{t.ratio:.2f}"] for n, t in timings.items()]
    title = f"Training, eight groups of {KERNELS} kernels, 313 classes, float32"
    print(table(title, [f"{BATCH} of {SIDE} x {SIDE} a step", "pictures/s", "x"], rows))
    rows = [_verdict("quarter : full", timings["a quarter, sparse targets"].ratio, 4)]
    print(table("Wanted", ["", *WANTED], rows))


def run() -> None:
    """Print the tables."""
    ab = split_lab(rgb_to_lab(photographs()[::2, :, 96:160, 96:160]))[1].contiguous()
    with one_thread():
        for neighbours in (5, 10):
            encoding(ab, neighbours)
        losses()
        steps()

"""The ab plane as classes: bins, soft encoding, prior, rebalancing, decoding, and the loss.

After R. Zhang, P. Isola, A. A. Efros, "Colorful image colorization", ECCV 2016, here "the paper".
Colours are ab (N, 2, H, W) in Lab units, bins (Q, 2); logits are (N, Q, H, W). Targets are sparse,
since a dense one of 313 channels holds 303 zeros. Everything is computed in float32 (float64 for
float64): in bf16 neither a colour nor a sum of 313 exponentials is exact to 1%.
"""

from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import NamedTuple

import torch
from scipy.spatial import ConvexHull, cKDTree
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from colorkit import distributed
from colorkit.color import rgb_to_lab
from colorkit.metrics import ab_grid, nearest_bin

TEMPERATURE = 0.38  # of the annealed mean in the paper: between the mean (1) and the mode (0)
SIGMA = 5.0  # ab units: of soft encoding and of the smoothed prior, as in the paper
LIMIT, PER_UNIT = 110, 3  # the ab plane from -110 to 110 in square cells, three a unit
_CELLS = 2 * LIMIT * PER_UNIT  # a side
Data = Iterable[tuple[Tensor, Tensor]] | Callable  # batches of (L, ab), or a source, as for `fit`


class Targets(NamedTuple):
    """Sparse soft targets: of each pixel its K nearest bins, in no order to count on."""

    indices: Tensor  # int64 (N, K, H, W), numbers of bins
    weights: Tensor  # float (N, K, H, W), at least 0, adding up to 1 over K


class Prior(NamedTuple):
    """How frequent colours are."""

    p: Tensor  # float32 (Q,), the smoothed distribution over the bins, adding up to 1
    counts: Tensor  # float64 (Q,), pixels in each bin
    support: int  # bins that hold a pixel
    histogram: Tensor  # int64 (660, 660), as `ab_histogram` gives it


def ab_bins(step: float = 10) -> Tensor:
    """Centres of the bins, sorted by a, then b: float32 (Q, 2), at a step of 10 the paper's 313.

    They are the points of a square grid in the convex hull of all sRGB colours' ab, widened by one
    step to each side (a Minkowski sum with a square). "In gamut", as the paper calls them,
    overstates it: 52 of the 313 are the nearest bin of no 8-bit colour.
    """
    ab = _surface()[0].flatten(1).T.double().numpy()
    ab = torch.from_numpy(ab[ConvexHull(ab).vertices])
    corners = step * torch.tensor([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype=torch.float64)
    sides = torch.from_numpy(ConvexHull((ab[:, None] + corners).view(-1, 2).numpy()).equations)
    grid = ab_grid(step, limit=LIMIT + step)
    return grid[(grid.double() @ sides[:, :2].T + sides[:, 2] <= 1e-6).all(1)]


@cache
def _surface() -> Tensor:
    """ab (1, 2, 1536, 256) of the six faces of the 8-bit RGB cube: its inside has no other."""
    square = torch.cartesian_prod(*[torch.arange(256, dtype=torch.uint8)] * 2)
    faces = [F.pad(square, (0, 1), value=v).roll(k, 1) for k in range(3) for v in (0, 255)]
    return rgb_to_lab(torch.cat(faces).T.reshape(1, 3, -1, 256))[:, 1:]


def soft_encode(ab: Tensor, bins: Tensor, neighbours: int = 10, sigma: float = SIGMA) -> Targets:
    """Soft encoding as it is defined: ab (N, 2, H, W), distances to all bins (Q, 2).

    The weight of each of the K nearest bins is proportional to exp(-d² / 2 sigma²), with d the
    distance of the pixel's colour from the bin; the K weights add up to 1. The paper says K = 5,
    its published code takes 10. `SoftEncoder` gives about the same, faster.
    """
    parts = []
    for block in _checked(ab, 2, "ab").movedim(1, -1).reshape(-1, 2).split(16_384):
        squared = (block[:, None] - bins.to(block)).square().sum(2)  # torch.cdist loses digits
        parts.append(torch.topk(squared, neighbours, dim=1, largest=False))
    squared, indices = (torch.cat(part) for part in zip(*parts, strict=True))
    return Targets(_as_planes(indices, ab), _as_planes(_normalised(squared, sigma), ab))


class SoftEncoder:
    """Soft encoding of ab (N, 2, H, W) from a table of the ab plane in square cells.

    A pixel gets the encoding of the middle of its cell: the top bin of `soft_encode` but on the
    very border between two, and weights that differ by a total variation of about 0.01.
    """

    def __init__(self, bins: Tensor | None = None, neighbours: int = 10) -> None:
        self.bins = ab_bins() if bins is None else bins.detach().float().cpu()
        self.tables = _tables(self.bins.numpy().tobytes(), neighbours)

    def __call__(self, ab: Tensor) -> Targets:
        cells = _cell(_checked(ab, 2, "ab"))
        self.tables = tuple(table.to(ab.device) for table in self.tables)
        return Targets(*(_as_planes(table.index_select(0, cells), ab) for table in self.tables))


@lru_cache(maxsize=4)
def _tables(places: bytes, neighbours: int) -> tuple[Tensor, Tensor]:
    """Indices and weights of each cell, made once for all encoders: it takes about a second."""
    bins = torch.frombuffer(bytearray(places), dtype=torch.float32).view(-1, 2).numpy()
    # Of bins equally far the tree takes others if it looks for more; results stand on these.
    near = cKDTree(bins).query(_cell_middles().numpy(), list(range(1, neighbours + 8)))
    distances, indices = (torch.from_numpy(x[:, :neighbours]).contiguous() for x in near)
    return indices, _normalised(distances.square().float())


def _cell_middles() -> Tensor:
    """ab of the middles of all cells: (cells, 2), a first."""
    line = (torch.arange(_CELLS).float() + 0.5) / PER_UNIT - LIMIT
    return torch.cartesian_prod(line, line)


def _cell(ab: Tensor) -> Tensor:
    """The number of each pixel's cell: int32 (N H W,). Beyond the plane it is the nearest cell."""
    place = (ab.float() + LIMIT).mul_(PER_UNIT).clamp_(0, _CELLS - 1).to(torch.int32)
    return torch.add(place[:, 1], place[:, 0], alpha=_CELLS).flatten()


def _normalised(squared: Tensor, sigma: float = SIGMA) -> Tensor:
    """Weights of each row, from its squared distances less one of them: far away too no 0 / 0."""
    weights = torch.exp((squared.amin(1, keepdim=True) - squared) / (2 * sigma**2))
    return weights.div_(weights.sum(1, keepdim=True))


def _as_planes(rows: Tensor, ab: Tensor) -> Tensor:
    """(N H W, K) as (N, K, H, W), a view."""
    return rows.view(ab.shape[0], *ab.shape[2:], -1).movedim(-1, 1)


def ab_histogram(data: Data) -> Tensor:
    """Pixels in each cell of the ab plane, in one pass over the batches: int64 (660, 660).

    ``histogram[i, j]`` counts a from -110 + i / 3 on, b from -110 + j / 3 on. Several processes
    add up what each has counted.
    """
    total = torch.zeros(_CELLS**2, dtype=torch.int64)
    for _, ab in data() if callable(data) else data:
        total = torch.bincount(_cell(ab), minlength=_CELLS**2).add_(total.to(ab.device))
    if not distributed.all_reduce(total).any():
        raise ValueError("no pixel to count: were the batches used up before?")
    return total.view(_CELLS, _CELLS).cpu()


def estimate_prior(data: Data, bins: Tensor | None = None) -> Prior:
    """The distribution of colours over the bins, by default the 313, in one pass over the batches.

    Each pixel counts in its nearest bin: borders between bins of an even step are cells' borders.
    """
    bins = ab_bins() if bins is None else bins.detach().float().cpu()
    histogram = ab_histogram(data)
    nearest = nearest_bin(_cell_middles().T[None, :, None], bins).flatten()
    counts = torch.bincount(nearest, histogram.flatten().double(), minlength=len(bins))
    return Prior(smooth_prior(counts, bins), counts, int((counts > 0).sum()), histogram)


def smooth_prior(counts: Tensor, bins: Tensor) -> Tensor:
    """Smooth counts (Q,) of the bins by a Gaussian in the ab plane: float32 (Q,), of sum 1.

    Each bin hands all its mass on to the bins in proportion to exp(-d² / 2 SIGMA²), d being the
    distance in the ab plane: along the *numbers* of the bins, neighbours in b only would mix. So
    no mass is lost at the edge, and an edge bin keeps more of its own.
    """
    if counts.shape != bins.shape[:1] or not counts.sum() > 0 or counts.min() < 0:
        raise ValueError(f"counts are {len(bins)} numbers, one a bin, 0 or more and not all 0")
    counts, places = counts.cpu().double(), bins.cpu().double()
    squared = (places[:, None] - places).square().sum(2)
    kernel = torch.exp(-squared / (2 * SIGMA**2))
    return (kernel @ (counts / counts.sum() / kernel.sum(0))).float().to(bins.device)


def rebalancing_weights(p: Tensor, lam: float = 0.5) -> Tensor:
    """Weights of the bins that make rare colours count more: float32 (Q,).

    w is proportional to 1 / ((1 - lam) p + lam / Q), p being a smoothed prior (Q,), with sum of
    p w = 1, so that the mean weight of a pixel is 1. lam = 1 gives all bins the weight 1.
    """
    if not 0 < lam <= 1:
        raise ValueError(f"lam is above 0 and at most 1, got {lam}: at 0 a weight can be infinite")
    if p.ndim != 1 or p.min() < 0 or abs(float(p.sum()) - 1) > 1e-4:
        raise ValueError(f"a prior is (Q,), 0 or more, and adds up to 1, not {float(p.sum()):.6g}")
    weights = 1 / ((1 - lam) * p.double() + lam / len(p))
    return (weights / (p * weights).sum()).float()


def pixel_weights(targets: Targets, weights: Tensor) -> Tensor:
    """The weight of each pixel, that of its most likely bin: float32 (N, 1, H, W)."""
    top = targets.indices.gather(1, targets.weights.argmax(1, keepdim=True))
    return weights.to(top.device, torch.float32)[top]


def annealed_mean(logits: Tensor, bins: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """The mean colour after softmax(logits / T): ab (N, 2, H, W); near T = 0 it is the mode.

    Decode first and enlarge then: to enlarge 313 channels is more work, and mixes distributions.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature is above 0, got {temperature}: near 0 is the mode")
    p = torch.softmax(_checked(logits, len(bins), "logits") / temperature, dim=1)
    with torch.autocast(p.device.type, enabled=False):
        return torch.einsum("nqhw,qc->nchw", p, bins.to(p))


def sample(logits: Tensor, bins: Tensor, uniform: Tensor) -> Tensor:
    """Colours drawn from the predicted distribution: ab (N, 2, H, W), each the centre of a bin.

    The inverse of the cumulative distribution, bins ordered by hue, at u uniform in [0, 1). One u
    for a whole picture, (N, 1, 1, 1), makes pixels with alike distributions take alike colours;
    one a pixel, (N, 1, H, W), is noise.
    """
    bins = bins.to(logits.device)
    order = torch.atan2(bins[:, 1], bins[:, 0]).argsort()
    p = torch.softmax(_checked(logits, len(bins), "logits"), dim=1)
    cumulative = p[:, order].cumsum(1)
    passed = cumulative <= uniform.to(p) * cumulative[:, -1:]
    return bins[order[passed.sum(1).clamp_max(len(bins) - 1)]].movedim(-1, 1)


def soft_cross_entropy(
    logits: Tensor, targets: Targets, weights: Tensor | None = None, *, in_place: bool = False
) -> Tensor:
    """Mean over the pixels of w times the cross-entropy -sum z log p, in nats: a scalar.

    `weights` (N, 1, H, W) are w at each *pixel*, as `pixel_weights` gives it. The denominator is
    the number of pixels, not the sum of w: the scale of w is set already by the prior, so this is
    an unbiased estimate of the weighted loss whatever the batch, and a batch of rare colours does
    count more. in_place writes the gradient over the logits, which are lost, and allocates nothing
    of their size; should an operation before need them for its own gradient, torch raises.
    """
    weights = logits.new_ones(1).expand_as(logits[:, :1]) if weights is None else weights
    shapes = [x.shape for x in (logits, *targets, weights)]
    if len({shape[:1] + shape[2:] for shape in shapes}) > 1 or weights.shape[1] != 1:
        raise ValueError(
            f"targets and weights, one a pixel, must be at the size of the logits, not {shapes}"
        )
    return _SoftCrossEntropy.apply(logits, *targets, weights, in_place)


class _SoftCrossEntropy(torch.autograd.Function):
    """The gradient, w (p - z) / pixels, is made with the loss, over the exponentials."""

    @staticmethod
    def forward(ctx, logits, indices, z, weights, in_place):
        dtype = torch.promote_types(logits.dtype, torch.float32)
        in_place = in_place and ctx.needs_input_grad[0]
        ctx.gradient = logits.detach().to(dtype, copy=not in_place)
        total = logits.new_zeros((), dtype=dtype)
        tensors = ctx.gradient, indices, z.to(dtype), weights.to(dtype) / max(weights.numel(), 1)
        on_cpu = logits.device.type == "cpu"  # there picture by picture, which a cache holds
        count = 1 if on_cpu else max(len(logits), 1)
        for p, index, target, w in zip(*(x.split(count) for x in tensors), strict=True):
            target, at_targets, shift = target * w, p.gather(1, index), 0
            if not on_cpu or (p.numel() and p.abs().max() > 80):  # where exponentials overflow
                p.sub_(shift := p.amax(1, keepdim=True))
            sums = p.exp_().sum(1, keepdim=True)
            total -= (target * (at_targets - (sums.log() + shift))).sum()
            p.mul_(w / sums).scatter_add_(1, index, target.neg_())
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, outer):
        gradient, ctx.gradient = ctx.gradient, None  # given away: whoever gets it may write to it
        if gradient is None:
            raise RuntimeError("the gradient is spent: a second backward needs another forward")
        return gradient.mul_(outer), None, None, None, None


def _checked(x: Tensor, channels: int, what: str) -> Tensor:
    """The tensor in float32, or float64."""
    if x.ndim != 4 or x.shape[1] != channels or not x.is_floating_point():
        raise ValueError(f"{what} must be (N, {channels}, H, W) float, got {[*x.shape]} {x.dtype}")
    return x.to(torch.promote_types(x.dtype, torch.float32))

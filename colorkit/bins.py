"""The ab plane as classes: bins, soft encoding, prior, rebalancing, decoding, and the loss.

After R. Zhang, P. Isola, A. A. Efros, "Colorful image colorization", ECCV 2016, here "the paper".
Colours are ab (N, 2, H, W) in Lab units; logits are (N, Q, H, W), one channel a bin. Targets are
sparse: of each pixel K numbers of bins and K weights, (N, K, H, W) each, since a dense target of
313 channels holds 303 zeros. Everything is computed in float32 (float64 for float64), whatever the
dtype that comes in: in bf16 neither a colour nor a sum of 313 exponentials is exact to 1%.
"""

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

import torch
from scipy.spatial import ConvexHull, cKDTree
from torch import Tensor
from torch.autograd.function import once_differentiable

from colorkit import distributed
from colorkit.color import rgb_to_lab
from colorkit.metrics import ab_grid, nearest_bin

__all__ = [
    "LIMIT",
    "PER_UNIT",
    "TEMPERATURE",
    "Prior",
    "SoftEncoder",
    "Targets",
    "ab_bins",
    "ab_histogram",
    "annealed_mean",
    "entropy",
    "estimate_prior",
    "mode",
    "pixel_weights",
    "reachable_bins",
    "rebalancing_weights",
    "sample",
    "smooth_prior",
    "soft_cross_entropy",
    "soft_encode",
]

TEMPERATURE = 0.38
"""Of the annealed mean in the paper: between the mean (1) and the mode (0)."""

LIMIT, PER_UNIT = 110, 3
"""The ab plane from -110 to 110 in square cells, 3 a unit: all of sRGB lies within. The borders
between bins of an even step are borders of cells."""

_CELLS = 2 * LIMIT * PER_UNIT  # a side
_SPARE = 6  # bins beyond the K nearest of a cell's middle that may be of the K nearest in a corner
_BLOCK = 16_384  # pixels of a dense computation at once


# The bins -------------------------------------------------------------------------------------


def ab_bins(step: float = 10) -> Tensor:
    """Centres of the bins, sorted by a, then b: at a step of 10 the 313 of the paper.

    They are the points of a square grid that lie in the convex hull of all sRGB colours' ab,
    widened by a square that reaches one step to each side (a Minkowski sum). "In gamut", as the
    paper calls them, overstates it: 52 of the 313 are the nearest bin of no 8-bit colour
    (`reachable_bins`).

    Returns
    -------
    Tensor
        float32 (Q, 2), in Lab units.

    Examples
    --------
    >>> ab_bins().shape, ab_bins()[0]
    (torch.Size([313, 2]), tensor([-90.,  50.]))
    """
    if not 1 <= step <= LIMIT:
        raise ValueError(f"the step between bins is 1 to {LIMIT} Lab units, got {step}")
    # ab along straight edges of the cube spans the hull: its corners and bulges are there.
    ramp = torch.linspace(0, 1, 257)
    edges = [
        torch.stack([ramp, torch.full_like(ramp, x), torch.full_like(ramp, y)]).roll(axis, 0)
        for axis in range(3)
        for x in (0.0, 1.0)
        for y in (0.0, 1.0)
    ]
    ab = rgb_to_lab(torch.cat(edges, dim=1)[None, :, None])[0, 1:, 0].T.double()
    corners = step * torch.tensor([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype=torch.float64)
    hull = ConvexHull((ab[:, None] + corners).reshape(-1, 2).numpy())
    sides = torch.from_numpy(hull.equations)
    grid = ab_grid(step, limit=LIMIT + step)
    inside = (grid.double() @ sides[:, :2].T + sides[:, 2] <= 1e-6).all(1)
    return grid[inside]


def reachable_bins(bins: Tensor) -> Tensor:
    """Which bins are the nearest of some 8-bit sRGB colour: bool (Q,); 261 of the 313.

    The colours on the six faces of the RGB cube suffice: a line of constant ab through the solid
    leaves it through its surface.
    """
    byte = torch.arange(256, dtype=torch.uint8)
    square = torch.cartesian_prod(byte, byte)
    faces = [
        torch.cat([square, torch.full_like(square[:, :1], value)], dim=1).roll(axis, 1)
        for axis in range(3)
        for value in (0, 255)
    ]
    ab = rgb_to_lab(torch.cat(faces).T.reshape(1, 3, -1, 256))[:, 1:]
    return torch.bincount(nearest_bin(ab, bins).flatten(), minlength=len(bins)) > 0


# Soft encoding --------------------------------------------------------------------------------


class Targets(NamedTuple):
    """Sparse soft targets: of each pixel its K nearest bins, in no order to count on.

    indices : int64 (N, K, H, W), numbers of bins.
    weights : float (N, K, H, W), at least 0, adding up to 1 over K.
    """

    indices: Tensor
    weights: Tensor


def soft_encode(ab: Tensor, bins: Tensor, neighbours: int = 10, sigma: float = 5.0) -> Targets:
    """Soft encoding as it is defined: distances to all bins. `SoftEncoder` gives the same, faster.

    The weight of each of the K nearest bins is proportional to exp(-d² / 2 sigma²), with d the
    distance of the pixel's colour from the bin; the K weights add up to 1. The paper says K = 5,
    its published code takes 10.

    Parameters
    ----------
    ab : Tensor
        (N, 2, H, W).
    bins : Tensor
        (Q, 2).
    """
    _check(ab, bins, neighbours, sigma)
    ab, bins = _in_float32(ab), bins.to(ab.device)
    squared, indices = _nearest_of_all(_as_pixels(ab), bins, neighbours)
    return _targets(squared, indices, ab, sigma)


def _nearest_of_all(pixels: Tensor, bins: Tensor, count: int) -> tuple[Tensor, Tensor]:
    parts = []
    for block in pixels.split(_BLOCK):  # not torch.cdist, which loses digits in a matrix product
        squared = (block[:, None] - bins.to(block)).square().sum(2)
        parts.append(torch.topk(squared, count, dim=1, largest=False))
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


class SoftEncoder:
    """Soft encoding from a table of the ab plane in square cells, three a unit.

    Calling it looks up the encoding of the middle of a pixel's cell. The top bin is that of the
    exact encoding but for colours on the very border between two; the weights differ by a total
    variation of about 0.01. `exact` computes distances to the few bins that are near the cell: the
    same as `soft_encode`. Any device; the table moves there once.

    Parameters
    ----------
    bins : Tensor, optional
        (Q, 2), by default the 313.
    neighbours : int
        K: 5 in the paper, 10 in its code.
    sigma : float
        In Lab units.
    """

    def __init__(
        self, bins: Tensor | None = None, neighbours: int = 10, sigma: float = 5.0
    ) -> None:
        bins = ab_bins() if bins is None else bins.detach().float().cpu()
        _check(_cell_middles().T[None, :, None], bins, neighbours, sigma)
        self.bins, self.neighbours, self.sigma = bins, neighbours, sigma
        tables = _tables(bins.numpy().tobytes(), neighbours, float(sigma))
        self.candidates, self.indices, self.weights, self.complete, self.settled = tables

    def __call__(self, ab: Tensor) -> Targets:
        """The encoding of ab (N, 2, H, W), from the table."""
        self._prepare(ab)
        cells = _cell(ab)
        found = (table.index_select(0, cells) for table in (self.indices, self.weights))
        return Targets(*(_as_planes(part, ab) for part in found))

    def exact(self, ab: Tensor) -> Targets:
        """The encoding of ab (N, 2, H, W) as `soft_encode` gives it."""
        self._prepare(ab)
        ab = _in_float32(ab)
        pixels, cells = _as_pixels(ab), _cell(ab)
        indices = self.indices.index_select(0, cells)
        squared = _squared(pixels, self.bins, indices)
        open_ = (~self.settled[cells]).nonzero().flatten()
        if len(open_):
            nearest = self.candidates[cells[open_]].long()
            distances = _squared(pixels[open_], self.bins, nearest)
            distances, order = torch.topk(distances, self.neighbours, dim=1, largest=False)
            squared[open_], indices[open_] = distances, nearest.gather(1, order)
        beyond = ~self.complete[cells] | (pixels.abs() > LIMIT).any(1)
        if beyond.any():  # of the sRGB gamut, far
            nearest = _nearest_of_all(pixels[beyond], self.bins, self.neighbours)
            squared[beyond], indices[beyond] = nearest
        return _targets(squared, indices, ab, self.sigma)

    def _prepare(self, ab: Tensor) -> None:
        _check(ab, self.bins, self.neighbours, self.sigma)
        if self.bins.device != ab.device:
            for name in ("bins", "candidates", "complete", "settled", "indices", "weights"):
                setattr(self, name, getattr(self, name).to(ab.device))


@lru_cache(maxsize=4)
def _tables(places: bytes, neighbours: int, sigma: float) -> tuple[Tensor, ...]:
    """What a `SoftEncoder` of these bins looks up; made once for all, as it takes over a second."""
    bins = torch.frombuffer(bytearray(places), dtype=torch.float32).view(-1, 2)
    count = min(neighbours + _SPARE + 1, len(bins))
    tree = cKDTree(bins.numpy())
    distances, nearest = tree.query(_cell_middles().numpy(), list(range(1, count + 1)))
    distances, nearest = torch.from_numpy(distances), torch.from_numpy(nearest).long()
    candidates = nearest[:, : neighbours + _SPARE].short()
    indices = nearest[:, :neighbours].contiguous()
    weights = _normalised(distances[:, :neighbours].square().float(), sigma)
    # A point of the cell is half a diagonal from its middle at most, so a bin that is a whole
    # diagonal farther than the K-th is none of its K nearest.
    reach = distances[:, neighbours - 1] + math.sqrt(2) / PER_UNIT + 1e-3
    complete = (distances[:, -1] > reach) | (len(bins) <= neighbours + _SPARE)
    settled = complete & _settled(bins[candidates.long()], distances.square().float(), neighbours)
    return candidates, indices, weights, complete, settled


def _settled(places: Tensor, squared: Tensor, k: int) -> Tensor:
    """Cells that no border between the k nearest and others crosses: all points have those k.

    The squared distances of two bins differ linearly over the cell.
    """
    settled = torch.ones(len(squared), dtype=torch.bool)
    for inner in range(k):
        for outer in range(k, places.shape[1]):
            slope = (places[:, outer] - places[:, inner]).abs().sum(1)
            settled &= squared[:, outer] - squared[:, inner] > slope / PER_UNIT + 1e-3
    return settled


def _cell_middles() -> Tensor:
    """ab of the middles of all cells: (cells, 2), a first."""
    line = (torch.arange(_CELLS) + 0.5) / PER_UNIT - LIMIT
    return torch.cartesian_prod(line, line)


def _cell(ab: Tensor) -> Tensor:
    """The number of each pixel's cell: int32 (N H W,). Beyond the plane it is the nearest cell."""
    place = (ab.float() + LIMIT).mul_(PER_UNIT).clamp_(0, _CELLS - 1).to(torch.int32)
    return torch.add(place[:, 1], place[:, 0], alpha=_CELLS).flatten()


def _targets(squared: Tensor, indices: Tensor, ab: Tensor, sigma: float) -> Targets:
    return Targets(_as_planes(indices, ab), _as_planes(_normalised(squared, sigma), ab))


def _normalised(squared: Tensor, sigma: float) -> Tensor:
    """Weights of each row, from its squared distances less one of them: far away too no 0 / 0."""
    weights = torch.exp((squared.amin(1, keepdim=True) - squared) / (2 * sigma**2))
    return weights.div_(weights.sum(1, keepdim=True))


def _squared(pixels: Tensor, bins: Tensor, indices: Tensor) -> Tensor:
    """Squared distances of each pixel (n, 2) to its own bins (n, K)."""
    total = 0
    for axis in (0, 1):  # planes, not pairs: five times as fast
        places = bins[:, axis].to(pixels.dtype).index_select(0, indices.flatten())
        total = total + places.view(indices.shape).sub_(pixels[:, axis, None]).square_()
    return total


def _as_pixels(ab: Tensor) -> Tensor:
    return ab.movedim(1, -1).reshape(-1, 2)


def _as_planes(rows: Tensor, ab: Tensor) -> Tensor:
    """(N H W, K) as (N, K, H, W), a view."""
    return rows.view(ab.shape[0], *ab.shape[2:], -1).movedim(-1, 1)


# Prior and rebalancing ------------------------------------------------------------------------


class Prior(NamedTuple):
    """How frequent colours are.

    p : float32 (Q,), the smoothed distribution over the bins, adding up to 1.
    counts : float64 (Q,), pixels in each bin.
    support : int, bins that hold a pixel.
    pixels : int, how many were counted.
    histogram : int64 (660, 660), pixels in each cell of the ab plane, a first.
    """

    p: Tensor
    counts: Tensor
    support: int
    pixels: int
    histogram: Tensor


Data = Iterable[tuple[Tensor, Tensor]] | Callable[[], Iterable[tuple[Tensor, Tensor]]]
"""Batches of (L, ab), or a data source that `colorkit.fit` takes."""


def ab_histogram(data: Data) -> Tensor:
    """Pixels in each cell of the ab plane, in one pass over the batches: int64 (660, 660).

    ``histogram[i, j]`` counts a from -110 + i / 3 on, b from -110 + j / 3 on. Several processes
    add up what each has counted.
    """
    total = None
    for _, ab in data() if callable(data) else data:
        counts = torch.bincount(_cell(ab), minlength=_CELLS**2)
        total = counts if total is None else total.add_(counts)
    if total is None or not distributed.all_reduce(total).any():
        raise ValueError("no pixel to count: were the batches used up before?")
    return total.view(_CELLS, _CELLS).cpu()


def estimate_prior(data: Data, bins: Tensor | None = None, sigma: float = 5.0) -> Prior:
    """The distribution of colours over the bins, in one pass over the batches.

    Each pixel counts in its nearest bin. No cell of the histogram is parted by a border between
    bins, if their step is even, so for sRGB colours that is exact, but for
    rounding on the border itself.

    Parameters
    ----------
    data : iterable or data source
        Batches of (L, ab), such as ``Batches(store, 100, in_order=True)``.
    bins : Tensor, optional
        (Q, 2), by default the 313.
    sigma : float
        Of `smooth_prior`.
    """
    bins = ab_bins() if bins is None else bins.detach().float().cpu()
    histogram = ab_histogram(data)
    nearest = torch.from_numpy(cKDTree(bins.numpy()).query(_cell_middles().numpy())[1])
    counts = torch.bincount(nearest, histogram.flatten().double(), minlength=len(bins))
    p = smooth_prior(counts, bins, sigma)
    return Prior(p, counts, int((counts > 0).sum()), int(histogram.sum()), histogram)


def smooth_prior(counts: Tensor, bins: Tensor, sigma: float = 5.0) -> Tensor:
    """Smooth a distribution over the bins by a Gaussian in the ab plane.

    Each bin hands its mass on to all bins in proportion to exp(-d² / 2 sigma²), d being the
    distance in the ab plane: along the *numbers* of the bins, neighbours in b only would mix. At
    the edge the kernel is divided by what of it falls on bins, bin by bin that gives: so all mass
    stays on bins, none is lost, and an edge bin keeps more of its own.

    Parameters
    ----------
    counts : Tensor
        (Q,), at least 0, of any sum above 0.

    Returns
    -------
    Tensor
        float32 (Q,), adding up to 1.
    """
    if counts.shape != bins.shape[:1] or not counts.sum() > 0 or counts.min() < 0:
        raise ValueError(
            f"counts {tuple(counts.shape)} are one number a bin ({len(bins)}), 0 or more, "
            "and not all 0"
        )
    counts = counts.cpu().double()
    places = bins.cpu().double()
    squared = (places[:, None] - places).square().sum(2)
    kernel = torch.exp(-squared / (2 * sigma**2))
    return (kernel @ (counts / counts.sum() / kernel.sum(0))).float().to(bins.device)


def rebalancing_weights(prior: Prior | Tensor, lam: float = 0.5) -> Tensor:
    """Weights of the bins that make rare colours count more: float32 (Q,).

    w is proportional to 1 / ((1 - lam) p + lam / Q), with sum of p w = 1, so that the mean weight
    of a pixel is 1. lam = 1 gives all the weight 1.

    Parameters
    ----------
    prior : Prior or Tensor
        p (Q,), smoothed, adding up to 1.
    lam : float
        In (0, 1]: the share of the uniform distribution that is mixed in. At 0 the weight of a
        colour that nobody has would be infinite.
    """
    p = (prior.p if isinstance(prior, Prior) else prior).double()
    if not 0 < lam <= 1:
        raise ValueError(f"lam is above 0 and at most 1, got {lam}: at 0 a weight can be infinite")
    if p.ndim != 1 or p.min() < 0 or abs(float(p.sum()) - 1) > 1e-4:
        raise ValueError(f"a prior is (Q,), 0 or more, and adds up to 1, not {float(p.sum()):.6g}")
    weights = 1 / ((1 - lam) * p + lam / len(p))
    return (weights / (p * weights).sum()).float()


def pixel_weights(targets: Targets, weights: Tensor) -> Tensor:
    """The weight of each pixel, that of its most likely bin: float32 (N, 1, H, W)."""
    top = targets.indices.gather(1, targets.weights.argmax(1, keepdim=True))
    return weights.to(top.device, torch.float32)[top]


# Decoding -------------------------------------------------------------------------------------


def annealed_mean(logits: Tensor, bins: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """The mean colour after softmax(logits / T): ab (N, 2, H, W). Differentiable.

    T = 1 gives the mean, T near 0 the mode. Decode first and enlarge then: 313 channels enlarged
    four times are 16 times the work, and mix distributions.
    """
    _check_logits(logits, bins)
    if not temperature > 0:
        raise ValueError(f"the temperature is above 0, got {temperature}: `mode` is its limit")
    p = torch.softmax(_in_float32(logits) / temperature, dim=1)
    with torch.autocast(p.device.type, enabled=False):
        return torch.einsum("nqhw,qc->nchw", p, bins.to(p))


def mode(logits: Tensor, bins: Tensor) -> Tensor:
    """The most likely bin's colour: ab (N, 2, H, W)."""
    _check_logits(logits, bins)
    return bins.to(logits.device)[logits.argmax(1)].movedim(-1, 1)


def sample(logits: Tensor, bins: Tensor, uniform: Tensor) -> Tensor:
    """Colours drawn from the predicted distribution: ab (N, 2, H, W), each the centre of a bin.

    The inverse of the cumulative distribution, bins ordered by hue: with u uniform in [0, 1), each
    pixel's colour has the predicted distribution. One u for a whole picture, (N, 1, 1, 1), makes
    pixels with alike distributions take alike colours; one a pixel, (N, 1, H, W), is noise.
    """
    _check_logits(logits, bins)
    bins = bins.to(logits.device)
    order = torch.atan2(bins[:, 1], bins[:, 0]).argsort()
    p = torch.softmax(_in_float32(logits), dim=1)[:, order]
    cumulative = p.cumsum(1)
    passed = cumulative <= uniform.to(p) * cumulative[:, -1:]
    return bins[order[passed.sum(1).clamp_max(len(bins) - 1)]].movedim(-1, 1)


def entropy(logits: Tensor) -> Tensor:
    """Entropy of the predicted distribution in nats: (N, 1, H, W), 0 to ln Q. Differentiable."""
    log_p = torch.log_softmax(_in_float32(logits), dim=1)
    return -(log_p.exp() * log_p).sum(1, keepdim=True)


# The loss -------------------------------------------------------------------------------------


def soft_cross_entropy(
    logits: Tensor, targets: Targets, weights: Tensor | None = None, *, in_place: bool = False
) -> Tensor:
    """Mean over the pixels of w times the cross-entropy -sum z log p, in nats.

    The denominator is the *number of pixels*, not the sum of w: the scale of w is set
    already by the prior, so this is an unbiased estimate of the weighted loss whatever the batch,
    the mean of several processes' shares is that of their batch, and a batch of rare colours does
    count more. With equal logits it is ln Q times the batch's mean weight.

    Parameters
    ----------
    logits : Tensor
        (N, Q, H, W), of any floating dtype; the gradient has the same.
    targets : Targets
        Indices and weights (N, K, H, W); no gradient flows to them.
    weights : Tensor, optional
        (N, 1, H, W), w: at each *pixel*, as `pixel_weights` gives it.
    in_place : bool
        Write the gradient over the logits, where one is wanted: they are lost, nothing else is
        allocated, and the graph cannot be gone through twice. For logits that nobody else needs;
        should an operation before need them for its own gradient, torch raises.

    Returns
    -------
    Tensor
        A float32 scalar (float64 for float64).

    Notes
    -----
    The gradient is w (p - z) / pixels. It is written while the loss is computed, over the
    exponentials, picture by picture on a CPU, so that one buffer of the size of the logits is all
    that is needed, or none; log p is never cut off.
    """
    indices, z = targets
    pixels = (logits.shape[0], *logits.shape[2:])
    if indices.shape != z.shape or (z.shape[0], *z.shape[2:]) != pixels:
        raise ValueError(
            f"targets {tuple(indices.shape)}, {tuple(z.shape)} do not fit logits "
            f"{tuple(logits.shape)}: all are (N, ., H, W), at the size of the logits"
        )
    if weights is None:
        weights = logits.new_ones(1, dtype=torch.float32).expand(pixels[0], 1, *pixels[1:])
    elif weights.shape != (pixels[0], 1, *pixels[1:]):
        raise ValueError(
            f"weights {tuple(weights.shape)} must be (N, 1, H, W) = "
            f"{(pixels[0], 1, *pixels[1:])}: one a pixel, `pixel_weights` looks them up"
        )
    return _SoftCrossEntropy.apply(logits, indices, z, weights, in_place)


class _SoftCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, logits: Tensor, indices: Tensor, z: Tensor, weights: Tensor, in_place: bool
    ) -> Tensor:
        ctx.gradient = None
        if ctx.needs_input_grad[0]:
            ctx.gradient = logits.detach() if in_place else torch.empty_like(logits)
        if not in_place:
            ctx.save_for_backward(logits, indices, z, weights)
        return _loss_and_gradient(logits, indices, z, weights, ctx.gradient)

    @staticmethod
    @once_differentiable
    def backward(ctx, outer: Tensor) -> tuple[Tensor | None, ...]:
        gradient, ctx.gradient = ctx.gradient, None  # given away: whoever gets it may write to it
        if gradient is None:  # a second backward of a graph that was retained
            if not ctx.saved_tensors:
                raise RuntimeError("in_place has no second backward: the logits are overwritten")
            gradient = torch.empty_like(ctx.saved_tensors[0])
            _loss_and_gradient(*ctx.saved_tensors, gradient)
        if outer.device.type != "cpu" or outer != 1:  # to ask a GPU would be to wait for it
            gradient *= outer.to(gradient.dtype)
        return gradient, None, None, None, None


def _loss_and_gradient(
    logits: Tensor, indices: Tensor, z: Tensor, weights: Tensor, gradient: Tensor | None
) -> Tensor:
    """The loss; its gradient is written into `gradient`, if given, which may be the logits."""
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    count = max(weights.numel(), 1)
    total = logits.new_zeros((), dtype=dtype)
    at_once = 1 if logits.device.type == "cpu" else max(len(logits), 1)  # what a cache holds
    for start in range(0, len(logits), at_once):
        part = slice(start, start + at_once)
        x, index, target = logits[part].detach().to(dtype), indices[part], z[part].to(dtype)
        target = target * (share := weights[part].to(dtype) / count)
        direct = gradient is not None and gradient.dtype == dtype
        at_targets = x.gather(1, index)
        p, sums, log_sums = _exponentials(x, gradient[part] if direct else None)
        total -= (target * (at_targets - log_sums)).sum()
        if gradient is not None:
            p.mul_(share / sums).scatter_add_(1, index, target.neg_())
            if not direct:
                gradient[part] = p
    return total


def _exponentials(x: Tensor, out: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """exp(x - c), its sums over the bins, and log sum exp(x); c is 0 or the largest of a pixel.

    The shift keeps exponentials finite and their sums above 0. Where neither is in danger, it is
    left out.
    """
    if x.device.type == "cpu" and x.numel():
        low, high = x.aminmax()
        if low > -80 and high < 80:
            p = torch.exp(x, out=out)
            sums = p.sum(1, keepdim=True)
            return p, sums, sums.log()
    top = x.amax(1, keepdim=True)
    p = torch.sub(x, top, out=out).exp_()
    sums = p.sum(1, keepdim=True)
    return p, sums, sums.log().add_(top)


# Checks ---------------------------------------------------------------------------------------


def _in_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _check(ab: Tensor, bins: Tensor, neighbours: int, sigma: float) -> None:
    if ab.ndim != 4 or ab.shape[1] != 2 or not ab.is_floating_point():
        raise ValueError(f"ab must be (N, 2, H, W) float, got {tuple(ab.shape)} {ab.dtype}")
    if bins.ndim != 2 or bins.shape[1] != 2:
        raise ValueError(f"bins must be (Q, 2), their centres in ab units; got {(*bins.shape,)}")
    if not 1 <= neighbours <= len(bins) or not sigma > 0:
        raise ValueError(
            f"neighbours is 1 to {len(bins)} and sigma above 0, got {neighbours} and {sigma}"
        )


def _check_logits(logits: Tensor, bins: Tensor) -> None:
    if logits.ndim != 4 or logits.shape[1] != len(bins) or bins.shape != (len(bins), 2):
        raise ValueError(
            f"logits {tuple(logits.shape)} must be (N, Q, H, W) for bins (Q, 2), here "
            f"{tuple(bins.shape)}: the channels are the bins"
        )

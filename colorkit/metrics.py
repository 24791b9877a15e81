"""How good colours are: one number a picture, from tensors.

Metrics of ab take prediction and truth, both (N, 2, H, W) in Lab units; metrics of pictures take
RGB, both (N, 3, H, W), float in [0, 1] or uint8. Each gives float64 (N,), so that pictures weigh
the same whatever their size and models can be compared picture by picture. `Score` adds them up
over batches. Shares are shares, 0 to 1, not percent.
"""

import math
from dataclasses import dataclass, field

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from colorkit.color import check_tensor

THRESHOLDS = 151
"""Thresholds of the cumulative error: 0, 1, ..., 150 ab units, both ends included."""


def ab_error(ab: Tensor, truth: Tensor) -> Tensor:
    """Euclidean distance in the ab plane at each pixel: float64 (N, H, W).

    In float64, because a distance that is a whole number must not fall beyond its threshold by
    rounding. Raises ValueError if shapes differ or are not (N, 2, H, W), or a value is NaN.
    """
    _check("ab", ab, truth)
    return _double(ab).sub_(_double(truth)).square_().sum(1).sqrt_()


def mse(ab: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error over pixels and both channels, in ab²: half the mean squared distance."""
    _check("ab", ab, truth)
    return (_double(ab) - _double(truth)).square().mean((1, 2, 3))


def share_within(ab: Tensor, truth: Tensor, threshold: float = 10) -> Tensor:
    """Share of pixels whose Euclidean ab error is at most the threshold."""
    return (ab_error(ab, truth) <= threshold).double().mean((1, 2))


def cumulative_error(ab: Tensor, truth: Tensor) -> Tensor:
    """Share of pixels whose error is at most t = 0, 1, ..., 150: float64 (N, 151)."""
    error = ab_error(ab, truth).flatten(1)
    first = error.ceil().clamp_max(THRESHOLDS).long()  # the first threshold that holds the pixel
    counts = error.new_zeros(len(error), THRESHOLDS + 1)
    counts.scatter_add_(1, first, torch.ones_like(error))
    return counts[:, :THRESHOLDS].cumsum(1) / error.shape[1]


def auc(ab: Tensor, truth: Tensor) -> Tensor:
    """Raw AuC: the mean of the cumulative error over its 151 thresholds.

    R. Zhang, P. Isola, A. A. Efros, "Colorful image colorization", ECCV 2016, section 3.1.
    """
    return cumulative_error(ab, truth).mean(1)


def auc_by_bin(ab: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Sums for the rebalanced AuC: of each picture and bin of the *true* colour.

    The rebalanced AuC of a set weighs each pixel by 1 / p of its true colour, p being the share
    of its bin in that set. That is the mean over occupied bins of the mean in each: divide sums
    by counts, both added up over the pictures, and average over the bins with a count, as `Score`
    does. The bins are the 23 x 23 of `ab_grid`: every sRGB colour has the same nearest centre
    there as among Zhang's 313, which are those that lie in or near the gamut. Both results are
    float64 (N, 529): the sum over a bin's pixels of their own AuC, and how many they are.
    """
    error = ab_error(ab, truth).flatten(1)
    area = (THRESHOLDS - error.ceil()).clamp_min(0) / THRESHOLDS  # thresholds that hold the pixel
    a, b = (_double(truth) / 10).round().clamp(-11, 11).long().flatten(2).unbind(1)
    bin_ = 23 * (a + 11) + b + 11
    sums = area.new_zeros(len(area), 23 * 23).scatter_add_(1, bin_, area)
    counts = torch.zeros_like(sums).scatter_add_(1, bin_, torch.ones_like(area))
    return sums, counts


def ab_grid(step: float = 10, limit: float = 110) -> Tensor:
    """Centres of a square grid in the ab plane, a first: float32 (Q, 2), 529 by default."""
    line = step * torch.arange(-math.floor(limit / step), math.floor(limit / step) + 1).float()
    return torch.cartesian_prod(line, line)


def nearest_bin(ab: Tensor, bins: Tensor) -> Tensor:
    """Number of the nearest of bins (Q, 2), centres in ab units, at each pixel: int64 (N, H, W)."""
    if bins.ndim != 2 or bins.shape[1] != 2:
        raise ValueError(f"bins must be (Q, 2), their centres in ab units; got {(*bins.shape,)}")
    pixels = ab.detach().movedim(1, -1).reshape(-1, 2).cpu().numpy()
    nearest = cKDTree(bins.cpu().numpy()).query(pixels)[1]
    return torch.from_numpy(nearest).long().view(ab.shape[0], *ab.shape[2:]).to(ab.device)


def ssim(rgb: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity of RGB pictures: `structural_similarity`, a number each.

    When L is kept, gray alone scores about 0.92 on natural photographs: read it beside that row.
    """
    _check("RGB", rgb, truth)
    return structural_similarity(_unit(rgb), _unit(truth)).detach().double()


def structural_similarity(x: Tensor, y: Tensor) -> Tensor:
    """SSIM, its Gaussian window, of pictures (N, C, H, W) in [0, 1], 11 x 11 pixels or more: (N,).

    Never in bf16, which leaves nothing of the variances, differences of nearly equal numbers.
    Z. Wang et al., "Image quality assessment: from error visibility to structural similarity",
    IEEE Transactions on Image Processing 13 (2004).
    """
    if min(x.shape[2:]) < 11:
        raise ValueError(f"SSIM needs at least 11 x 11 pixels, got {(*x.shape[2:],)}")
    from torchmetrics.functional.image import structural_similarity_index_measure  # slow to import

    with torch.autocast(x.device.type, enabled=False):
        values = structural_similarity_index_measure(x, y, reduction="none", data_range=1.0)
    return values.view(len(x))


def colorfulness(rgb: Tensor) -> Tensor:
    """Colorfulness M3 of Hasler and Suesstrunk: float64 (N,); 0 for gray, about 100 is extreme.

    With rg = R - G and yb = (R + G) / 2 - B on 0..255: sqrt(sd_rg² + sd_yb²) +
    0.3 sqrt(mean_rg² + mean_yb²). The means are signed: absolute values would count the spread
    twice. It rewards vivid nonsense, so look at its ratio to the truth's.

    D. Hasler, S. Suesstrunk, "Measuring colourfulness in natural images", SPIE 5007 (2003).
    """
    check_tensor(rgb, "RGB", 3)
    red, green, blue = _double(_unit(rgb)).mul(255).flatten(2).unbind(1)
    opponents = torch.stack([red - green, (red + green) / 2 - blue])  # (2, N, pixels)
    variance = opponents.var(-1, correction=0).sum(0)
    return variance.sqrt() + 0.3 * opponents.mean(-1).square().sum(0).sqrt()


@dataclass
class Score:
    """A metric over a set of pictures, added up batch by batch.

    Its value is the mean over k of (sum of parts[:, k]) / (sum of weights[:, k]), where the sums
    run over pictures and the mean over those k whose weight is not 0. With K = 1 and weights of 1
    it is the mean over pictures; with bins as k it is a macro-average; with the truth's
    colorfulness as weight it is a ratio. So all metrics can be resampled by picture in one way.
    """

    batches: list[tuple[Tensor, Tensor]] = field(default_factory=list, repr=False)

    def update(self, parts: Tensor, weights: Tensor | None = None) -> None:
        """Add a batch: (N,) or (N, K) each; by default weights of 1."""
        weights = torch.ones_like(parts) if weights is None else weights
        pair = (x.detach().cpu().double().reshape(len(x), -1) for x in (parts, weights))
        self.batches.append(tuple(pair))

    def __len__(self) -> int:
        return sum(len(parts) for parts, _ in self.batches)

    def joined(self) -> tuple[Tensor, Tensor]:
        """Parts and weights of all pictures: float64 (N, K) each."""
        if not self.batches:
            raise ValueError("no picture has been scored yet: were the batches used up before?")
        if len(self.batches) > 1:
            self.batches[:] = [tuple(map(torch.cat, zip(*self.batches, strict=True)))]
        return self.batches[0]

    def value(self) -> float:
        """The value of the set; NaN where nothing counts."""
        return self.resampled(torch.ones(1, len(self))).item()

    def resampled(self, times: Tensor) -> Tensor:
        """The value of resampled sets: float64 (R,) for times (R, N), how often each picture is in.

        Each k keeps the importance that it has in the whole set, 1 / its weight there: for bins,
        p is that of the evaluated set. If each set were averaged over its own bins instead, bins
        of few pictures would drop out of some, and the interval would lie beside the value.
        """
        parts, weights = self.joined()
        total, times = weights.sum(0), times.double()
        importance = torch.where(total > 0, 1 / total, 0)
        return (times @ (parts @ importance)) / (times @ (weights @ importance))


def _double(x: Tensor) -> Tensor:
    """A copy in float64, without gradient; on the CPU if its device has no float64."""
    x = x.detach()
    return (x.cpu() if x.device.type == "mps" else x).to(torch.float64, copy=True)


def _check(what: str, x: Tensor, truth: Tensor) -> None:
    for values in (x, truth):
        check_tensor(values, what, {"ab": 2, "RGB": 3}[what])
    if x.shape != truth.shape:
        raise ValueError(f"prediction {(*x.shape,)} and truth {(*truth.shape,)} differ in shape")


def _unit(rgb: Tensor) -> Tensor:
    """RGB as float32 in [0, 1]."""
    return rgb.float() / 255 if rgb.dtype == torch.uint8 else rgb.detach().float()

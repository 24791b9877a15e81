"""Exercises of lesson 4, colours as classes: encoding, prior, weights, loss, decoding."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from colorcourse.exercises import Answer, Case, Exercise, register
from colorcourse.lesson04.comparisons import dense_targets
from colorkit import bins as library
from colorkit.metrics import ab_grid

LESSON = "04_classes"


def _random(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _share(x: Tensor) -> Tensor:
    return x / x.sum()


# --- soft encoding --------------------------------------------------------------------------------


def _encode(
    kernel=lambda d, sigma: torch.exp(-(d**2) / (2 * sigma**2)),
    farthest=False,
    normalised=True,
    everywhere=False,
) -> Callable:
    """Weights of the pixels ab (M, 2) on the bins (Q, 2): (M, Q); or with one mistake put in."""

    def answer(ab, bins, neighbours=10, sigma=5.0):
        d = torch.cdist(ab, bins)
        count = len(bins) if everywhere else neighbours
        near, indices = d.topk(count, dim=1, largest=farthest)
        weights = kernel(near, sigma)
        if normalised:
            weights = weights / weights.sum(1, keepdim=True)
        return torch.zeros_like(d).scatter(1, indices, weights)

    return answer


def _sparse_pair(ab, bins, neighbours=10, sigma=5.0):
    squared = ((ab[:, None] - bins) ** 2).sum(2)
    near, indices = squared.topk(neighbours, largest=False)
    return indices, torch.softmax(-near / (2 * sigma**2), dim=1)


def _encode_in_loops(ab, bins, neighbours=10, sigma=5.0):
    out = torch.zeros(len(ab), len(bins))
    for i, colour in enumerate(ab):
        d2 = ((bins - colour) ** 2).sum(1)
        for j in d2.argsort()[:neighbours]:
            out[i, j] = torch.exp(-d2[j] / (2 * sigma**2))
        out[i] /= out[i].sum()
    return out


def _encode_from_the_end(ab, bins, neighbours=10, sigma=5.0):
    """Right: among equally near bins the last ones come first."""
    d = torch.cdist(ab, bins.flip(0))
    order = d.argsort(dim=1, stable=True)[:, :neighbours]
    mask = torch.zeros_like(d).scatter(1, order, 1.0).flip(1)
    weights = mask * torch.exp(-(d.flip(1) ** 2) / (2 * sigma**2))
    return weights / weights.sum(1, keepdim=True)


def _some_bins() -> Tensor:
    """22 bins of step 10: a square without a corner. None is so far that its weight is lost."""
    return ab_grid(10, limit=20)[3:]


# No colour lies as far from its K-th bin as from the next: which of the two to take is free.
register(Exercise(
    name="classes.soft_encoding", lesson=LESSON, minutes=9,
    reference=_encode(), own=(library.soft_encode, library.SoftEncoder),
    form=lambda value, args: dense_targets(value, args[1]),
    cases=(
        Case("any colours", lambda: (50 * _random(12, 2, seed=1) - 25, _some_bins())),
        Case("centres of bins, 5 neighbours", lambda: (_some_bins()[[9, 14, 10]], _some_bins(), 5)),
        Case("between four bins", lambda: (torch.tensor([[5.0, 5], [-5, 15]]), _some_bins(), 4, 8.0)),
    ),
    wrong=(
        Answer("d not squared", _encode(lambda d, sigma: torch.exp(-d / (2 * sigma**2))),
               "The weights fall too slowly: a Gaussian falls with the square of the distance."),
        Answer("not normalised", _encode(normalised=False),
               "The weights of a pixel do not add up to 1."),
        Answer("farthest", _encode(farthest=True),
               "These are the farthest bins. topk takes the largest values unless told otherwise."),
        Answer("one-hot", lambda ab, bins, *_: F.one_hot(torch.cdist(ab, bins).argmin(1), len(bins)).float(),
               "This is a hard encoding: the nearest bin gets everything. Share it among the neighbours."),
        Answer("without the 2", _encode(lambda d, sigma: torch.exp(-(d**2) / sigma**2)),
               "The weights fall too fast: the Gaussian has 2 sigma squared below d squared."),
        Answer("all bins", _encode(everywhere=True),
               "Every bin gets a weight. Only the nearest neighbours may; all others get 0."),
    ),
    right=(Answer("cdist, topk and scatter", _encode()), Answer("a sparse pair", _sparse_pair),
           Answer("loops", _encode_in_loops), Answer("ties from the end", _encode_from_the_end)),
))  # fmt: skip

# --- the prior ------------------------------------------------------------------------------------


def _gaussian(bins, sigma):
    return torch.exp(-(torch.cdist(bins, bins) ** 2) / (2 * sigma**2))


def _along_the_index(bins, sigma):
    i = torch.arange(len(bins), dtype=torch.float32)
    return torch.exp(-((i[:, None] - i) ** 2) / (2 * sigma**2))


def _smooth(kernel=_gaussian, apply=lambda k, p: k @ (p / k.sum(0))) -> Callable:
    """The smoothing with one mistake put in."""

    def answer(counts, bins, sigma=5.0):
        return apply(kernel(bins, sigma), _share(counts))

    return answer


def _smooth_in_loops(counts, bins, sigma=5.0):
    out = torch.zeros_like(counts)
    for place, count in zip(bins, counts, strict=True):
        given = torch.exp(-((bins - place) ** 2).sum(1) / (2 * sigma**2))
        out += count * given / given.sum()
    return out / out.sum()


def _counts(seed: int) -> Tensor:
    """Pixels in each of the 313 bins: many at gray, some anywhere, none in every third."""
    bins = library.ab_bins()
    counts = 5000 * torch.exp(-bins.norm(dim=1) / 15) + 20 * _random(len(bins), seed=seed)
    return torch.where(_random(len(bins), seed=seed + 1) < 0.3, 0.0, counts).round()


register(Exercise(
    name="classes.prior", lesson=LESSON, minutes=7,
    reference=library.smooth_prior,
    cases=(
        Case("counts of many pictures", lambda: (_counts(2), library.ab_bins())),
        Case("one bin at the edge", lambda: (100 * torch.eye(313)[0], library.ab_bins())),
        Case("sigma 12", lambda: (_counts(3), library.ab_bins(), 12.0)),
    ),
    atol=1e-6, rtol=1e-3,
    wrong=(
        Answer("along the index", _smooth(_along_the_index),
               "Bins with neighbouring numbers were mixed: these are neighbours in b only. Measure in the ab plane."),
        Answer("sigma in bins", _smooth(lambda bins, sigma: _gaussian(bins / 10, sigma)),
               "Ten times too smooth: sigma is in ab units, and bins lie 10 of these apart."),
        Answer("not renormalised", _smooth(apply=lambda k, p: k @ p),
               "The result adds up to more than 1: the Gaussian itself must be divided by its sum."),
        Answer("rows, not columns", _smooth(apply=lambda k, p: k @ p / k.sum(1)),
               "The rows were divided by their sums: what a bin receives. Divide the columns: what it gives."),
        Answer("divided at the end", _smooth(apply=lambda k, p: _share(k @ p)),
               "The sum is 1, but edge bins lost mass to where no bins are. Normalise the Gaussian of each bin that gives."),
        Answer("a mean of the neighbours", _smooth(apply=lambda k, p: _share(k @ p / k.sum(1))),
               "Here each bin takes a mean of its neighbours. The text asks what each hands on: all that it had."),
        Answer("pixels, not shares", lambda counts, *rest: counts.sum() * _smooth()(counts, *rest),
               "These are still pixels. Shares add up to 1."),
        Answer("add-one", lambda counts, bins, sigma=5.0: _share(counts + 1),
               "Add-one treats all empty bins alike. Smoothing gives more to those with full neighbours."),
        Answer("no smoothing", lambda counts, bins, sigma=5.0: _share(counts),
               "These are the shares as counted: the Gaussian is missing."),
    ),
    right=(Answer("one matrix", _smooth()), Answer("loops", _smooth_in_loops)),
))  # fmt: skip

# --- the weights ----------------------------------------------------------------------------------


def _weigh(
    mixed: Callable = lambda p, lam: (1 - lam) * p + lam / len(p),
    scaled: Callable = lambda p, w: w / (p * w).sum(),
) -> Callable:
    """The weights with one mistake put in."""
    return lambda p, lam=0.5: scaled(p, 1 / mixed(p, lam))


def _shares(count: int, seed: int, empty: int = 0) -> Tensor:
    p = _random(count, seed=seed) ** 4 + 1e-3
    p[:empty] = 0
    return _share(p)


register(Exercise(
    name="classes.weights", lesson=LESSON, minutes=5,
    reference=library.rebalancing_weights,
    cases=(
        Case("six bins", lambda: (_shares(6, 4),)),
        Case("lam 0.2", lambda: (_shares(9, 5), 0.2)),
        Case("empty bins, lam 0.9", lambda: (_shares(40, 6, empty=7), 0.9)),
    ),
    wrong=(
        Answer("1/p", _weigh(lambda p, lam: p),
               "This is 1/p: infinite where a bin is empty. Mix in some of the uniform distribution first."),
        Answer("sum of w is 1", _weigh(scaled=lambda p, w: w / w.sum()),
               "The weights add up to 1. The sum of p w should: the mean weight of a pixel."),
        Answer("mean of w is 1", _weigh(scaled=lambda p, w: w / w.mean()),
               "The mean over the bins is 1. Over the pixels it should be: frequent bins count more."),
        Answer("not scaled", _weigh(scaled=lambda p, w: w),
               "The proportions are right, the scale is missing: a loss would be far larger."),
        Answer("lam without 1/Q", _weigh(lambda p, lam: (1 - lam) * p + lam),
               "Nearly all weights are alike: each bin of the uniform distribution has 1/Q, not 1."),
        Answer("lam swapped", _weigh(lambda p, lam: lam * p + (1 - lam) / len(p)),
               "lam and 1 - lam have changed places: lam = 1 should give equal weights."),
    ),
    right=(Answer("vectors", _weigh()),
           Answer("a dot product", _weigh(scaled=lambda p, w: w / torch.dot(p, w)))),
))  # fmt: skip

# --- the loss -------------------------------------------------------------------------------------


def with_gradients(loss: Any, args: tuple) -> Any:
    """A loss together with its gradients by all arguments that ask for one."""
    if not isinstance(loss, Tensor) or loss.ndim or not loss.requires_grad:
        return {"the loss": loss}
    leaves = [x for x in args if isinstance(x, Tensor) and x.requires_grad]
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    return {"the loss": loss.detach(), "its gradients": gradients}


def _log_softmax(logits):
    return F.log_softmax(logits, dim=1)


def _top_weight(weights, logits, indices, z):
    return weights[indices.gather(1, z.argmax(1, keepdim=True))].squeeze(1)


def _loss(log=_log_softmax, weigh=_top_weight, total=lambda x, w: (w * x).mean()) -> Callable:
    """Mean over the pixels of w times the cross-entropy; or with one mistake put in."""

    def answer(logits, indices, z, weights):
        loss = -(z * log(logits).gather(1, indices)).sum(1)
        return total(loss, weigh(weights, logits, indices, z))

    return answer


def _rows(x, permuted=True):
    return (x.movedim(1, -1) if permuted else x).reshape(-1, x.shape[1])


def _loss_by_rows(logits_permuted=True, targets_permuted=True) -> Callable:
    def answer(logits, indices, z, weights):
        x = _rows(logits, logits_permuted)
        i, t = (_rows(y, targets_permuted) for y in (indices, z))
        loss = -(_log_softmax(x).gather(1, i) * t).sum(1)
        return (_top_weight(weights, x, i, t) * loss).mean()

    return answer


def _loss_of_each_bin(logits, indices, z, weights):
    return -(weights[indices] * z * _log_softmax(logits).gather(1, indices)).sum(1).mean()


def _dense_loss(logits, indices, z, weights):
    target = torch.zeros_like(logits).scatter(1, indices, z)
    return (weights[target.argmax(1)] * F.cross_entropy(logits, target, reduction="none")).mean()


def _batch(seed: int, scale: float = 4.0, bins: int = 7) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, sparse targets on 3 of the bins, and weights of the bins."""
    shape = (2, bins, 3, 4)
    logits = (scale * (_random(*shape, seed=seed) - 0.5)).requires_grad_()
    indices = _random(*shape, seed=seed + 1).argsort(1)[:, :3]
    z = torch.softmax(4 * _random(2, 3, 3, 4, seed=seed + 2), dim=1)
    return logits, indices, z, 0.2 + 3 * _random(bins, seed=seed + 3)


register(Exercise(
    name="classes.cross_entropy", lesson=LESSON, minutes=9,
    reference=_loss(), own=(library.soft_cross_entropy,), form=with_gradients,
    cases=(
        Case("a few pixels", lambda: _batch(10)),
        Case("a network that is sure, and often wrong", lambda: _batch(20, scale=40.0)),
        Case("a network so sure that probabilities are rounded to 0", lambda: _batch(20, scale=400.0)),
        Case("12 bins", lambda: _batch(30, bins=12)),
    ),
    atol=1e-5, rtol=1e-3,
    wrong=(
        Answer("logits reshaped", _loss_by_rows(False),
               "Your rows of logits mix pixels: a reshape does not bring the bins to the end. Yet nothing fails."),
        Answer("all reshaped", _loss_by_rows(False, False),
               "Logits, bins and shares were all cut into rows across pixels. A row must hold the bins of one pixel."),
        Answer("softmax along a row of pixels", _loss(lambda x: F.log_softmax(x, dim=-1)),
               "The softmax runs along a row of pixels. It is the bins of one pixel that compete."),
        Answer("softmax twice", _loss(lambda x: _log_softmax(x.softmax(1))),
               "Probabilities were taken for logits: the softmax is applied twice."),
        Answer("no weights", _loss(weigh=lambda w, *_: torch.ones(())),
               "The weights are not used: a rare colour counts no more than gray."),
        Answer("each bin's weight", _loss_of_each_bin,
               "Each bin was given its own weight. A pixel has one: that of the bin with its largest share."),
        Answer("weight of the prediction", _loss(weigh=lambda w, logits, indices, z: w[logits.argmax(1)]),
               "The weight is that of the predicted bin. It must come from the true colour, from the largest share z."),
        Answer("place for bin", _loss(weigh=lambda w, logits, indices, z: w[z.argmax(1)]),
               "The place of the largest share, 0 to K - 1, is not yet the number of its bin."),
        Answer("divided by the weights", _loss(total=lambda loss, w: (w * loss).sum() / w.sum()),
               "Divided by the sum of the weights. Divide by the number of pixels: rare colours are to count more."),
        Answer("mean over K too", lambda *args: _loss()(*args) / args[2].shape[1],
               "Too small by a factor of K: within a pixel add over the bins, then take the mean over pixels."),
        Answer("weights of all pictures", _loss(
                   weigh=lambda w, logits, indices, z: w[indices.gather(1, z.argmax(1, keepdim=True))]),
               "Weights (N, 1, h, w) times costs (N, h, w) is (N, N, h, w): each picture's weights meet all pictures' costs."),
        Answer("log of the softmax", _loss(lambda x: x.softmax(1).log()),
               "Where a network is very sure, p is rounded to 0: its logarithm is infinite. log_softmax never forms p."),
        Answer("log of p + 1e-5", _loss(lambda x: torch.log(x.softmax(1) + 1e-5)),
               "A number was added to p. Where p is smaller, the gradient vanishes: the worst mistakes teach least."),
        Answer("a number", lambda *args: _loss()(*args).item(),
               "The loss has no gradient: return the tensor itself, not a number made of it."),
    ),
    right=(Answer("gather", _loss()), Answer("permuted, then rows", _loss_by_rows()),
           Answer("F.cross_entropy on dense targets", _dense_loss)),
))  # fmt: skip

# --- the annealed mean ----------------------------------------------------------------------------


def _decode(p=lambda x, t: torch.softmax(x / t, dim=1), centres=lambda bins: bins) -> Callable:
    """The decoding with one mistake put in."""

    def answer(logits, bins, temperature=0.38):
        return torch.einsum("nqhw,qc->nchw", p(logits, temperature), centres(bins))

    return answer


def _decode_by_powers(logits, bins, temperature=0.38):
    p = torch.softmax(logits, dim=1) ** (1 / temperature)
    p = p / p.sum(1, keepdim=True)
    return (p.permute(0, 2, 3, 1) @ bins).permute(0, 3, 1, 2)


def _decode_by_convolution(logits, bins, temperature=0.38):
    return F.conv2d(torch.softmax(logits / temperature, 1), bins.T[:, :, None, None])


register(Exercise(
    name="classes.annealed_mean", lesson=LESSON, minutes=6,
    reference=library.annealed_mean,
    cases=(
        Case("T = 0.38", lambda: (0.5 + 4 * _random(2, 22, 3, 4, seed=40), _some_bins())),
        Case("T = 1", lambda: (8 * _random(2, 22, 3, 4, seed=41) - 4, _some_bins(), 1.0)),
        Case("T = 0.1", lambda: (4 * _random(2, 22, 3, 4, seed=42) - 2, _some_bins(), 0.1)),
    ),
    atol=1e-3,
    wrong=(
        Answer("times T", _decode(lambda x, t: torch.softmax(x * t, dim=1)),
               "Right at T = 1 only: below 1 your colours get duller. A low temperature should sharpen the distribution."),
        Answer("argmax", lambda x, bins, t=0.38: bins[x.argmax(1)].movedim(-1, 1),
               "This is the most probable bin, which the mean comes to only as T goes to 0."),
        Answer("log of logits", _decode(lambda x, t: torch.softmax(x.log() / t, dim=1)),
               "The logarithm of logits was taken. They are logarithms already, but for a constant."),
        Answer("softmax along a row", _decode(lambda x, t: torch.softmax(x / t, dim=-1)),
               "The softmax runs over pixels. The probabilities of one pixel's bins add up to 1."),
        Answer("a and b mixed", _decode(centres=lambda bins: bins.reshape(2, -1).T),
               "a and b are mixed up: a reshape to (2, Q) cuts the list in half, it does not turn it."),
        Answer("T not used", _decode(lambda x, t: torch.softmax(x, dim=1)),
               "Right at T = 1, but the temperature is not used."),
        Answer("powers not renormalised", _decode(lambda x, t: torch.softmax(x, dim=1) ** (1 / t)),
               "Raised to a power, the probabilities no longer add up to 1."),
    ),
    right=(Answer("einsum", _decode()), Answer("powers, matmul", _decode_by_powers),
           Answer("a 1 x 1 convolution", _decode_by_convolution)),
))  # fmt: skip

# --- extra: calibration ---------------------------------------------------------------------------


def split_nan(value: Any, args: tuple) -> Any:
    """Two results with NaN as numbers and a mask: NaN is a right answer here."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        return value
    mean, share = (torch.as_tensor(part, dtype=torch.float32) for part in value)
    return {
        "mean predicted": mean.nan_to_num(0),
        "share happened": share.nan_to_num(0),
        "NaN": mean.isnan() & share.isnan(),
    }


def _reliable(
    mean=lambda p, low, high: p.mean(),
    share=lambda h, m: h.mean(),
    empty=torch.nan,
    closed=True,
    pair=lambda mean, share: (mean, share),
) -> Callable:
    """Mean prediction and share that happened, (B,) each, in the bins between edges (B + 1,).

    NaN where a bin is empty; or with one mistake put in.
    """

    def answer(predicted, happened, edges):
        out = torch.full((2, len(edges) - 1), empty)
        for i, (low, high) in enumerate(pairwise(edges)):
            inside = (predicted >= low) & (predicted < high)
            if closed and i == len(edges) - 2:
                inside |= predicted == high
            if inside.any():
                out[0, i] = mean(predicted[inside], low, high)
                out[1, i] = share(happened[inside].float(), len(predicted))
        return pair(*out)

    return answer


def _forecast(seed: int, low: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Predictions above `low` that came true too rarely, in five bins; certainty is among them."""
    p = torch.cat([low + (1 - low) * _random(40, seed=seed), torch.ones(3)])
    return p, _random(43, seed=seed + 1) < p**2, torch.linspace(0, 1, 6)


register(Exercise(
    name="classes.calibration", lesson=LESSON, minutes=6, core=False,
    reference=_reliable(), form=split_nan,
    cases=(
        Case("five bins", lambda: _forecast(50)),
        Case("empty bins", lambda: _forecast(60, low=0.45)),
    ),
    wrong=(
        Answer("middles", _reliable(mean=lambda p, low, high: (low + high) / 2),
               "These are the middles of the bins. Take the mean of what was predicted within each."),
        Answer("0 where empty", _reliable(empty=0.0),
               "An empty bin has no mean: NaN leaves a gap in the plot, 0 draws a false point."),
        Answer("counts", _reliable(share=lambda h, m: h.sum()),
               "This is how many things happened. Divide by how many were predicted in that bin."),
        Answer("share of all", _reliable(share=lambda h, m: h.sum() / m),
               "Divided by all predictions. Each bin is judged by its own predictions alone."),
        Answer("1.0 dropped", _reliable(closed=False),
               "A probability of exactly 1 is lost: the last bin holds its upper edge too."),
        Answer("turned round", _reliable(pair=lambda mean, share: (share, mean)),
               "The two results have changed places: what was predicted comes first."),
    ),
    right=(Answer("a loop", _reliable()),
           Answer("lists", _reliable(pair=lambda mean, share: [mean.tolist(), share.tolist()]))),
))  # fmt: skip

# --- extra: the weights divided out ---------------------------------------------------------------


def undo_rebalancing(q: Tensor, w: Tensor) -> Tensor:
    """The probabilities (M, Q) without the weights w (Q,): proportional to q / w, rows sum to 1."""
    return F.normalize(q / w, p=1, dim=1)


def _predictions(seed: int) -> tuple[Tensor, Tensor]:
    return torch.softmax(5 * _random(6, 6, seed=seed), dim=1), 0.2 + 3 * _random(6, seed=seed + 1)


register(Exercise(
    name="classes.divide_out", lesson=LESSON, minutes=4, core=False,
    reference=undo_rebalancing,
    cases=(Case("six pixels", lambda: _predictions(70)), Case("others", lambda: _predictions(80))),
    wrong=(
        Answer("times w", lambda q, w: q * w / (q * w).sum(1, keepdim=True),
               "Rare colours became more probable still: the weights were applied once more."),
        Answer("not renormalised", lambda q, w: q / w,
               "The rows no longer add up to 1."),
        Answer("over the pixels", lambda q, w: q / w / (q / w).sum(0),
               "The columns add up to 1. It is the bins of one pixel that must."),
        Answer("one sum for all", lambda q, w: q / w / (q / w).sum(),
               "All pixels together add up to 1. Each of them must."),
        Answer("weights along the pixels", lambda q, w: F.normalize(q / w[:, None], p=1, dim=1),
               "Nothing has changed: w was divided out of the rows, but each column is a bin."),
    ),
    right=(Answer("a sum", lambda q, w: q / w / (q / w).sum(1, keepdim=True)),
           Answer("logarithms", lambda q, w: torch.softmax(q.log() - w.log(), dim=1)),
           Answer("einsum", lambda q, w: q / w / torch.einsum("mq,q->m", q, 1 / w)[:, None])),
))  # fmt: skip

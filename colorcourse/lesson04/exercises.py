"""Exercises of lesson 4, colours as classes: decoding, encoding, weights, loss, all of it at once."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorcourse.exercises import Answer, Case, Exercise, register
from colorkit import bins as library
from colorkit.losses import Classification, middle_pixels
from colorkit.metrics import ab_grid

LESSON = "04_classes"


def _random(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _share(x: Tensor) -> Tensor:
    return x / x.sum()


def _some_bins() -> Tensor:
    """22 bins of step 10: a square without a corner. None is so far that its weight is lost."""
    return ab_grid(10, limit=20)[3:]


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
    fresh=lambda seed: (6 * _random(2, 22, 3, 4, seed=seed) - 2, _some_bins(), 0.2 + seed % 9 / 10),
    cases=(
        Case("T = 0.38", lambda: (0.5 + 4 * _random(2, 22, 3, 4, seed=40), _some_bins())),
        Case("T = 1", lambda: (8 * _random(2, 22, 3, 4, seed=41) - 4, _some_bins(), 1.0)),
        Case("T = 0.1", lambda: (4 * _random(2, 22, 3, 4, seed=42) - 2, _some_bins(), 0.1)),
        Case("T = 0.1, a network that is sure", lambda: (60 * _random(2, 22, 3, 4, seed=43) - 30, _some_bins(), 0.1)),
    ),
    atol=1e-3,
    wrong=(
        Answer("times T", _decode(lambda x, t: torch.softmax(x * t, dim=1)),
               "Right at T = 1 only: below 1 your colours get duller. A low temperature should sharpen the distribution."),
        Answer("argmax", lambda x, bins, t=0.38: bins[x.argmax(1)].movedim(-1, 1), "This is the most probable bin, which the mean comes to only as T goes to 0."),
        Answer("log of logits", _decode(lambda x, t: torch.softmax(x.log() / t, dim=1)),
               "The logarithm of logits was taken. They are logarithms already, but for a constant."),
        Answer("softmax along a row", _decode(lambda x, t: torch.softmax(x / t, dim=-1)),
               "The softmax runs over pixels. The probabilities of one pixel's bins add up to 1."),
        Answer("a and b mixed", _decode(centres=lambda bins: bins.reshape(2, -1).T),
               "a and b are mixed up: a reshape to (2, Q) cuts the list in half, it does not turn it."),
        Answer("exp overflows", _decode(lambda x, t: (x / t).exp() / (x / t).exp().sum(1, keepdim=True)),
               "exp of a large logit overflows to infinity, and infinity / infinity is not a number. Use softmax."),
        Answer("pixels mixed", lambda x, bins, t=0.38: (torch.softmax(x / t, 1).movedim(1, -1) @ bins).reshape(len(x), 2, *x.shape[2:]),
               "reshape of (N, h, w, 2) to (N, 2, h, w) deals one pixel's a and b out to others. Move the last dimension."),
        Answer("softmax twice", _decode(lambda x, t: torch.softmax(torch.softmax(x, 1) / t, dim=1)),
               "Softmax was applied twice. Divide the logits by T, and take the softmax once."),
        Answer("probabilities divided", _decode(lambda x, t: torch.softmax(x, dim=1) / t),
               "The probabilities were divided by T, so they add up to 1 / T. Divide the logits."),
        Answer("T not used", _decode(lambda x, t: torch.softmax(x, dim=1)), "Right at T = 1, but the temperature is not used."),
        Answer("powers not renormalised", _decode(lambda x, t: torch.softmax(x, dim=1) ** (1 / t)), "Raised to a power, the probabilities no longer add up to 1."),
    ),
    right=(Answer("einsum", _decode()), Answer("powers, matmul", _decode_by_powers),
           Answer("a 1 x 1 convolution", _decode_by_convolution)),
))  # fmt: skip

# --- soft encoding --------------------------------------------------------------------------------


def _on_bins(value: Any, args: tuple) -> dict[str, Any]:
    """A pair (indices, z), (M, K) each, as weights (M, Q): the order of the K bins is free."""
    tensors = isinstance(value, tuple | list) and all(isinstance(x, Tensor) for x in value)
    if not tensors or [x.is_floating_point() for x in value] != [False, True]:
        raise ValueError("return two dense torch tensors: indices (M, K) and z (M, K)")
    indices, z = value
    dense = z.new_zeros(len(z), len(args[1])).scatter_add(1, indices.long(), z)
    return {"z on the bins": dense, "the number of neighbours": indices.shape[1]}


def _gauss(d, sigma):
    return torch.exp(-(d**2) / (2 * sigma**2))


def _normalise(weights):
    return weights / weights.sum(1, keepdim=True)


def _encode(
    kernel=_gauss, farthest=False, total=_normalise, count=lambda k, q: k,
    give=lambda indices, z, q: (indices, z),
) -> Callable:  # fmt: skip
    """Bins (M, K) of the pixels ab (M, 2) and their weights (M, K); or with one mistake put in."""

    def answer(ab, bins, neighbours=10, sigma=5.0):
        d = torch.cdist(ab, bins)
        near, indices = d.topk(count(neighbours, len(bins)), dim=1, largest=farthest)
        return give(indices, total(kernel(near, sigma)), len(bins))

    return answer


def _cut_afterwards(ab, bins, neighbours=10, sigma=5.0):
    z, indices = _normalise(_gauss(torch.cdist(ab, bins), sigma)).topk(neighbours, dim=1)
    return indices, z


def _encode_by_city_blocks(ab, bins, neighbours=10, sigma=5.0):
    near, indices = torch.cdist(ab, bins, p=1.0).topk(neighbours, dim=1, largest=False)
    return indices, _normalise(_gauss(near, sigma))


def _encode_in_loops(ab, bins, neighbours=10, sigma=5.0):
    rows = []
    for colour in ab:
        d2 = ((bins - colour) ** 2).sum(1)
        indices = d2.argsort()[:neighbours]
        rows.append((indices, torch.softmax(-d2[indices] / (2 * sigma**2), dim=0)))
    return tuple(torch.stack(part) for part in zip(*rows, strict=True))


def _encode_from_the_end(ab, bins, neighbours=10, sigma=5.0):
    d = torch.cdist(ab, bins.flip(0))
    order = d.argsort(dim=1, stable=True)[:, :neighbours]
    return len(bins) - 1 - order, _normalise(_gauss(d.gather(1, order), sigma))


# No colour lies as far from its K-th bin as from the next: which of the two to take is free.
register(Exercise(
    name="classes.soft_encoding", lesson=LESSON, minutes=9,
    reference=_encode(), own=(library.soft_encode, library.SoftEncoder), form=_on_bins,
    fresh=lambda seed: (50 * _random(11, 2, seed=seed) - 25, _some_bins(), 4 + seed % 5, 4.0 + seed % 4),
    cases=(
        Case("any colours", lambda: (50 * _random(12, 2, seed=1) - 25, _some_bins())),
        Case("centres of bins, 5 neighbours", lambda: (_some_bins()[[9, 14, 10]], _some_bins(), 5)),
        Case("6 neighbours, sigma 8", lambda: (50 * _random(9, 2, seed=2) - 25, _some_bins(), 6, 8.0)),
    ),
    wrong=(
        Answer("a matrix", _encode(give=lambda i, z, q: torch.zeros(len(i), q).scatter(1, i, z)),
               "Return the pair (indices, z) in this order, two dense torch tensors (M, K): no matrix (M, Q), nothing sparse."),
        Answer("d not squared", _encode(lambda d, sigma: torch.exp(-d / (2 * sigma**2))), "The weights fall too slowly: a Gaussian falls with the square of the distance."),
        Answer("sigma not squared", _encode(lambda d, sigma: torch.exp(-(d**2) / (2 * sigma))),
               "The weights fall too fast: sigma is not squared. d and sigma are lengths, and both are squared."),
        Answer("without the 2", _encode(lambda d, sigma: torch.exp(-(d**2) / sigma**2)), "The weights fall too fast: the Gaussian has 2 sigma squared below d squared."),
        Answer("times sigma squared", _encode(lambda d, sigma: torch.exp(-(d**2) / 2 * sigma**2)),
               "-d**2 / 2 * sigma**2 multiplies by sigma squared. Put the denominator, 2 * sigma**2, in brackets."),
        Answer("times sigma squared, softmax", _encode(lambda d, sigma: -(d**2) / 2 * sigma**2, total=lambda x: x.softmax(1)),
               "-d**2 / 2 * sigma**2 multiplies by sigma squared. Put 2 * sigma**2 in brackets, in the softmax too."),
        Answer("sigma not used", _encode(lambda d, sigma: _gauss(d, 5.0)), "Right at sigma = 5 only: the argument sigma is not used."),
        Answer("neighbours not used", _encode(count=lambda k, q: 10), "There are always 10 neighbours: the argument neighbours is not used."),
        Answer("no minus", _encode(lambda d, sigma: torch.exp(d**2 / (2 * sigma**2))), "The farther a bin, the larger its weight: the minus in the exponent is missing."),
        Answer("not normalised", _encode(total=lambda weights: weights), "The weights of a pixel do not add up to 1."),
        Answer("normalised over the pixels", _encode(total=lambda weights: weights / weights.sum(0)),
               "The columns add up to 1. It is the weights of one pixel, a row, that must."),
        Answer("normalised, then cut", _cut_afterwards, "The weights were normalised over all bins and then cut, so they miss a part. Choose the neighbours first."),
        Answer("equal weights", _encode(lambda d, sigma: torch.ones_like(d)), "All K bins get the same weight. A nearer bin gets more: apply the Gaussian to the distances."),
        Answer("city-block distance", _encode_by_city_blocks, "These distances add |a| and |b|. The Euclidean one is the root of the sum of squares."),
        Answer("farthest", _encode(farthest=True), "These are the farthest bins. topk takes the largest values unless told otherwise."),
        Answer("one-hot", _encode(count=lambda k, q: 1), "This is a hard encoding: the nearest bin gets everything. Share it among the neighbours."),
        Answer("all bins", _encode(count=lambda k, q: q), "Every bin gets a weight. Only the nearest neighbours may."),
        Answer("places", _encode(give=lambda i, z, q: (torch.arange(i.shape[1]).expand_as(i), z)),
               "These indices are places in the sorted list, 0 to K - 1. The loss needs the numbers of the bins."),
    ),
    right=(Answer("cdist and topk", _encode()), Answer("loops, softmax", _encode_in_loops),
           Answer("ties from the end", _encode_from_the_end)),
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
    fresh=lambda seed: (_shares(5 + seed % 30, seed, empty=seed % 3), 0.1 + seed % 8 / 10),
    cases=(
        Case("six bins", lambda: (_shares(6, 4),)),
        Case("lam 0.2", lambda: (_shares(9, 5), 0.2)),
        Case("empty bins, lam 0.9", lambda: (_shares(40, 6, empty=7), 0.9)),
    ),
    wrong=(
        Answer("1/p", _weigh(lambda p, lam: p), "This is 1/p: infinite where a bin is empty. Mix in some of the uniform distribution first."),
        Answer("sum of w is 1", _weigh(scaled=lambda p, w: w / w.sum()), "The weights add up to 1. The sum of p w should."),
        Answer("mean of w is 1", _weigh(scaled=lambda p, w: w / w.mean()), "The mean over the bins is 1. Over the pixels it should be: frequent bins count more."),
        Answer("not scaled", _weigh(scaled=lambda p, w: w), "The proportions are right, the scale is missing: a loss would be far larger."),
        Answer("lam without 1/Q", _weigh(lambda p, lam: (1 - lam) * p + lam), "Nearly all weights are alike: each bin of the uniform distribution has 1/Q, not 1."),
        Answer("no reciprocal", _weigh(lambda p, lam: 1 / ((1 - lam) * p + lam / len(p))), "Frequent colours got the largest weights: the reciprocal is missing."),
        Answer("mean of p w is 1", _weigh(scaled=lambda p, w: w / (p * w).mean()),
               "The mean of p w is 1, so its sum is the number of bins. The sum should be 1: p is a weight already."),
        Answer("313 bins", _weigh(lambda p, lam: (1 - lam) * p + lam / 313), "313 is written into the code. The number of bins is len(p)."),
        Answer("lam not used", _weigh(lambda p, lam: 0.5 * p + 0.5 / len(p)), "Right at lam = 0.5 only: the argument lam is not used."),
        Answer("lam swapped", _weigh(lambda p, lam: lam * p + (1 - lam) / len(p)), "lam and 1 - lam have changed places: lam = 1 should give equal weights."),
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


def _hard_labels(logits, indices, z, weights):
    top = indices.gather(1, z.argmax(1, keepdim=True))[:, 0]
    return (weights[top] * F.cross_entropy(logits, top, reduction="none")).mean()


def _divergence(logits, indices, z, weights):
    w = _top_weight(weights, logits, indices, z)
    return (w * (z * (z.log() - _log_softmax(logits).gather(1, indices))).sum(1)).mean()


register(Exercise(
    name="classes.cross_entropy", lesson=LESSON, minutes=10,
    reference=_loss(), own=(library.soft_cross_entropy,), form=with_gradients,
    fresh=lambda seed: _batch(seed, scale=10.0, bins=6 + seed % 7),
    cases=(
        Case("a few pixels", lambda: _batch(10)),
        Case("a network that is sure, and often wrong", lambda: _batch(20, scale=40.0)),
        Case("a network so sure that probabilities are rounded to 0", lambda: _batch(20, scale=400.0)),
        Case("12 bins", lambda: _batch(30, bins=12)),
    ),
    atol=1e-5, rtol=1e-3,
    wrong=(
        Answer("logits reshaped", _loss_by_rows(False), "Your rows of logits mix pixels: a reshape does not bring the bins to the end. Yet nothing fails."),
        Answer("all reshaped", _loss_by_rows(False, False), "Logits, bins and shares were all cut into rows across pixels. A row must hold the bins of one pixel."),
        Answer("softmax along a row of pixels", _loss(lambda x: F.log_softmax(x, dim=-1)),
               "The softmax runs along a row of pixels. It is the bins of one pixel that compete."),
        Answer("softmax twice", _loss(lambda x: _log_softmax(x.softmax(1))), "Probabilities were taken for logits: the softmax is applied twice."),
        Answer("no weights", _loss(weigh=lambda w, *_: torch.ones(())), "The weights are not used: a rare colour counts no more than gray."),
        Answer("each bin's weight", _loss_of_each_bin, "Each bin was given its own weight. A pixel has one: that of the bin with its largest share."),
        Answer("weight of the prediction", _loss(weigh=lambda w, logits, indices, z: w[logits.argmax(1)]),
               "The weight is that of the predicted bin. It must come from the true colour, from the largest share z."),
        Answer("the first bin", _loss(weigh=lambda w, logits, indices, z: w[indices[:, 0]]),
               "The weight is that of the first of the K bins. Their order is free: look for the largest z."),
        Answer("hard labels", _hard_labels, "Only the bin with the largest share counts: that is cross-entropy with hard labels."),
        Answer("KL divergence", _divergence, "This is the KL divergence: the entropy of z was taken off. Its gradient is the same, its value is not."),
        Answer("one a pixel", _loss(total=lambda loss, w: w * loss), "This is a loss for each pixel. Return one number: their mean."),
        Answer("softmax over the K bins", lambda x, i, z, w: (_top_weight(w, x, i, z) * -(z * _log_softmax(x.gather(1, i))).sum(1)).mean(),
               "The softmax runs over the K gathered logits only. Take log_softmax over all Q bins first, then gather."),
        Answer("no logarithm", _loss(lambda x: x.softmax(1)), "These are probabilities. The cross-entropy needs their logarithms, log_softmax."),
        Answer("divided by N", lambda *args: _loss()(*args) * args[2][0, 0].numel(),
               "Divided by the number of pictures. Divide by that of all pixels, N h w: take the mean."),
        Answer("clamped", _loss(lambda x: x.softmax(1).clamp_min(1e-8).log()),
               "q was clamped before its logarithm: below that limit the gradient is 0. log_softmax needs no clamp."),
        Answer("z not used", lambda x, i, z, w: -(_top_weight(w, x, i, z) * _log_softmax(x).gather(1, i).sum(1)).mean(),
               "All K bins count alike: multiply each log q by its z."),
        Answer("a sum over pixels", _loss(total=lambda loss, w: (w * loss).sum()),
               "This is the sum over the pixels. Take their mean, so that it does not grow with the batch."),
        Answer("without the minus", lambda *args: -_loss()(*args), "The minus is missing: training would make the true colours less probable."),
        Answer("place for bin", _loss(weigh=lambda w, logits, indices, z: w[z.argmax(1)]), "The place of the largest share, 0 to K - 1, is not yet the number of its bin."),
        Answer("divided by the weights", _loss(total=lambda loss, w: (w * loss).sum() / w.sum()),
               "Divided by the sum of the weights. Divide by the number of pixels: rare colours are to count more."),
        Answer("mean over K too", lambda *args: _loss()(*args) / args[2].shape[1], "Too small by a factor of K: within a pixel add over the bins, then take the mean over pixels."),
        Answer("weights of all pictures", _loss(
                   weigh=lambda w, logits, indices, z: w[indices.gather(1, z.argmax(1, keepdim=True))]),
               "Weights (N, 1, h, w) times costs (N, h, w) is (N, N, h, w): each picture's weights meet all pictures' costs."),
        Answer("log of the softmax", _loss(lambda x: x.softmax(1).log()),
               "Where a network is very sure, q is rounded to 0: its logarithm is infinite. log_softmax never forms q."),
        Answer("log of p + 1e-5", _loss(lambda x: torch.log(x.softmax(1) + 1e-5)),
               "A number was added to q. Where q is smaller, the gradient vanishes: the worst mistakes teach least."),
        Answer("a number", lambda *args: _loss()(*args).item(), "The loss has no gradient: return the tensor itself, not a number made of it."),
    ),
    right=(Answer("gather", _loss()), Answer("permuted, then rows", _loss_by_rows()),
           Answer("F.cross_entropy on dense targets", _dense_loss)),
))  # fmt: skip

# --- all of it: the loss of a network on a batch --------------------------------------------------


def class_loss(net: nn.Module, L: Tensor, ab: Tensor, bins: Tensor, weights: Tensor) -> Tensor:
    """The loss of a network on a batch: L (N, 1, H, W), ab (N, 2, H, W), weights (Q,) -> scalar."""
    logits = net(L).float()
    targets = library.soft_encode(middle_pixels(ab, logits.shape[2:]), bins)
    pixels = library.pixel_weights(targets, weights)
    return library.soft_cross_entropy(logits, targets, pixels)


def _objective(
    pick=lambda ab: ab[:, :, 1::2, 1::2],
    rows=lambda ab: ab.movedim(1, -1).reshape(-1, 2),
    back=lambda x, n, h, w: x.view(n, h, w, -1).movedim(-1, 1),
    see=lambda net, L: net(L),
    weigh=lambda w: w,
) -> Callable:
    """The loss of a batch with one mistake put in."""

    def answer(net, L, ab, bins, weights):
        small = pick(ab)
        size = (len(small), *small.shape[2:])
        indices, z = (back(x, *size) for x in _encode()(rows(small), bins))
        return _loss()(see(net, L), indices, z, weigh(weights))

    return answer


def _training_batch(seed: int, *size: int) -> tuple[nn.Module, Tensor, Tensor, Tensor, Tensor]:
    """A network with logits at half of the size, a batch of 2 pictures, bins and weights."""
    bins, net = _some_bins(), nn.Conv2d(1, 22, 2, stride=2)
    with torch.no_grad():
        net.weight.copy_(0.04 * _random(22, 1, 2, 2, seed=seed) - 0.02)
        net.bias.zero_()
    L, ab = 100 * _random(2, 1, *size, seed=seed + 1), 50 * _random(2, 2, *size, seed=seed + 2) - 25
    return net, L, ab, bins, 0.2 + 3 * _random(22, seed=seed + 3)


def _with_weights(value: Any, args: tuple) -> Any:
    return with_gradients(value, tuple(args[0].parameters()))


register(Exercise(
    name="classes.objective", lesson=LESSON, minutes=12,
    reference=class_loss, own=(Classification, library.soft_encode, library.soft_cross_entropy),
    form=_with_weights, fresh=lambda seed: _training_batch(seed, 6, 8),
    cases=(Case("square pictures", lambda: _training_batch(90, 8, 8)),
           Case("wide pictures", lambda: _training_batch(95, 4, 10))),
    atol=1e-4, rtol=2e-3,
    wrong=(
        Answer("full size", _objective(pick=lambda ab: ab), "The colours have the full size, the logits half of it: take one pixel of each 2 x 2 cell first."),
        Answer("upper left", _objective(pick=lambda ab: ab[:, :, ::2, ::2]), "These are the upper left pixels of the 2 x 2 cells. Take the lower right ones."),
        Answer("the mean of a cell", _objective(pick=lambda ab: F.avg_pool2d(ab, 2)),
               "The mean of a cell mixes the colours that meet at an edge. Take the pixel at its lower right."),
        Answer("colours reshaped", _objective(rows=lambda ab: ab.reshape(-1, 2)),
               "reshape(-1, 2) of (N, 2, h, w) pairs one pixel's a with the next pixel's a. Move the channels to the end first."),
        Answer("targets reshaped", _objective(back=lambda x, n, h, w: x.reshape(n, -1, h, w)),
               "reshape of (M, K) to (N, K, h, w) deals the bins of one pixel out to others. Make (N, h, w, K), then move K."),
        Answer("another column", _objective(pick=lambda ab: ab[:, :, 1::2, ::2]), "Right rows, left columns: of each 2 x 2 cell, take the lower right pixel."),
        Answer("another row", _objective(pick=lambda ab: ab[:, :, ::2, 1::2]), "Right columns, upper rows: of each 2 x 2 cell, take the lower right pixel."),
        Answer("logits enlarged", _objective(pick=lambda ab: ab, see=lambda net, L: F.interpolate(net(L), scale_factor=2)),
               "The logits were enlarged to the picture's size. Leave them, and take one pixel of ab in each 2 x 2 cell."),
        Answer("height for width", _objective(back=lambda x, n, h, w: x.view(n, w, h, -1).permute(0, 3, 2, 1)),
               "Height and width have changed places: rows of pixels come first."),
        Answer("probabilities", _objective(see=lambda net, L: net(L).softmax(1)), "Your loss takes logits, and does its own softmax. Give it what the network returns."),
        Answer("L scaled", _objective(see=lambda net, L: net(L / 100)), "The network takes L as it is, from 0 to 100: it scales L itself."),
        Answer("no weights", _objective(weigh=torch.ones_like), "The weights are not used: all colours count alike."),
        Answer("no gradient", _objective(see=lambda net, L: net(L).detach()), "The loss has no gradient: do not detach the logits, and return the tensor itself."),
    ),
    right=(Answer("movedim and view", _objective()),
           Answer("permute", _objective(back=lambda x, n, h, w: x.reshape(n, h, w, -1).permute(0, 3, 1, 2))),
           Answer("in float32", _objective(see=lambda net, L: net(L).float()))),
))  # fmt: skip

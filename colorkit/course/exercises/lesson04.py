"""Exercises of lesson 4, colours as classes: encoding, prior, weights, loss, decoding."""

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from colorkit import bins as library
from colorkit.course.check import grade_answer
from colorkit.course.exercise import Answer, Case, Exercise, register
from colorkit.metrics import ab_grid

LESSON = "04_classes"


def _random(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- results that may take several forms ----------------------------------------------------------


class Formed:
    """An answer whose results are brought into one form, so that they can be compared.

    It shows the code of the answer, for errors name the line of the student's cell.
    """

    def __init__(self, answer: Callable, form: Callable[[Any, tuple], Any]) -> None:
        update_wrapper(self, answer)
        self.answer, self.form = answer, form
        self.__code__ = getattr(answer, "__code__", None)

    def __call__(self, *args) -> Any:
        value = self.answer(*args)
        return None if value is None else self.form(value, args)


def judge_formed(
    form: Callable[[Any, tuple], Any],
    reference: Callable,
    cases: Sequence[Case],
    mistakes: Sequence[Answer],
    atol: float = 1e-4,
) -> Callable[[Callable], str | None]:
    """A judge that compares ``form(result, arguments)`` with that of the reference."""
    known = tuple(Answer(m.name, Formed(m.answer, form), m.hint) for m in mistakes)
    target = Formed(reference, form)
    inner = Exercise("", LESSON, 0, target, tuple(cases), atol=atol, rtol=1e-3, wrong=known)

    def judge(answer: Callable) -> str | None:
        verdict = grade_answer(inner, Formed(answer, form))
        return None if verdict.state == "right" else verdict.message

    return judge


# --- soft encoding --------------------------------------------------------------------------------


def soft_encode(ab: Tensor, bins: Tensor, neighbours: int = 10, sigma: float = 5.0) -> Tensor:
    """Weights of the pixels ab (M, 2) on the bins (Q, 2): (M, Q), 0 but for the nearest."""
    sparse = library.soft_encode(ab.T[None, :, :, None], bins, neighbours, sigma)
    indices, weights = (part[0, :, :, 0].T for part in sparse)
    return weights.new_zeros(len(ab), len(bins)).scatter(1, indices, weights)


def dense(value: Any, args: tuple) -> Any:
    """A pair (indices, weights), (M, K) each, as weights (M, Q); all else as it is."""
    pair = isinstance(value, tuple | list) and len(value) == 2
    if not pair or not all(isinstance(part, Tensor) for part in value):
        return value
    indices, weights = value
    if indices.is_floating_point() or indices.shape != weights.shape or indices.ndim != 2:
        raise ValueError("a pair is (indices, weights), both (M, K), indices as whole numbers")
    return weights.new_zeros(len(weights), len(args[1])).scatter_add(1, indices.long(), weights)


def _encode(
    kernel: Callable = lambda d, sigma: torch.exp(-(d**2) / (2 * sigma**2)),
    farthest: bool = False,
    normalised: bool = True,
    everywhere: bool = False,
) -> Callable:
    """The encoding with one mistake put in."""

    def answer(ab, bins, neighbours=10, sigma=5.0):
        d = torch.cdist(ab, bins)
        count = len(bins) if everywhere else neighbours
        near, indices = d.topk(count, dim=1, largest=farthest)
        weights = kernel(near, sigma)
        if normalised:
            weights = weights / weights.sum(1, keepdim=True)
        return torch.zeros_like(d).scatter(1, indices, weights)

    return answer


def _one_hot(ab, bins, neighbours=10, sigma=5.0):
    return F.one_hot(torch.cdist(ab, bins).argmin(1), len(bins)).float()


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
SOFT_CASES = (
    Case("any colours", lambda: (50 * _random(12, 2, seed=1) - 25, _some_bins())),
    Case(
        "colours at the centre of a bin, 5 neighbours",
        lambda: (torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]), _some_bins(), 5),
    ),
    Case(
        "colours between four bins, 4 neighbours, sigma 8",
        lambda: (torch.tensor([[5.0, 5.0], [-5.0, 15.0], [4.0, 7.0]]), _some_bins(), 4, 8.0),
    ),
)
SOFT_MISTAKES = (
    Answer(
        "d not squared",
        _encode(lambda d, sigma: torch.exp(-d / (2 * sigma**2))),
        "The weights fall too slowly: a Gaussian falls with the square of the distance.",
    ),
    Answer(
        "not normalised",
        _encode(normalised=False),
        "The weights of a pixel do not add up to 1.",
    ),
    Answer(
        "farthest",
        _encode(farthest=True),
        "These are the farthest bins. topk takes the largest values unless told otherwise.",
    ),
    Answer(
        "one-hot",
        _one_hot,
        "This is a hard encoding: the nearest bin gets everything. Share it among the neighbours.",
    ),
    Answer(
        "without the 2",
        _encode(lambda d, sigma: torch.exp(-(d**2) / sigma**2)),
        "The weights fall too fast: the Gaussian has 2 sigma squared below d squared.",
    ),
    Answer(
        "sigma not squared",
        _encode(lambda d, sigma: torch.exp(-(d**2) / (2 * sigma))),
        "sigma is a distance, as d is: square it too.",
    ),
    Answer(
        "all bins",
        _encode(everywhere=True),
        "Every bin gets a weight. Only the nearest neighbours may; all others get 0.",
    ),
)

register(
    Exercise(
        name="classes.soft_encoding",
        lesson=LESSON,
        minutes=9,
        reference=soft_encode,
        own=(library.soft_encode, library.SoftEncoder),
        judge=judge_formed(dense, soft_encode, SOFT_CASES, SOFT_MISTAKES),
        wrong=SOFT_MISTAKES,
        right=(
            Answer("cdist, topk and scatter", _encode()),
            Answer("a sparse pair", _sparse_pair),
            Answer("loops", _encode_in_loops),
            Answer("ties from the end", _encode_from_the_end),
        ),
    )
)

# --- the prior ------------------------------------------------------------------------------------


def _gaussian(bins, sigma):
    return torch.exp(-(torch.cdist(bins, bins) ** 2) / (2 * sigma**2))


def _along_the_index(bins, sigma):
    i = torch.arange(len(bins), dtype=torch.float32)
    return torch.exp(-((i[:, None] - i) ** 2) / (2 * sigma**2))


def _share(x: Tensor) -> Tensor:
    return x / x.sum()


def _smooth(
    kernel: Callable = _gaussian,
    apply: Callable = lambda k, p: k @ (p / k.sum(0)),
    start: Callable = _share,
) -> Callable:
    """The smoothing with one mistake put in."""

    def answer(counts, bins, sigma=5.0):
        return apply(kernel(bins, sigma), start(counts))

    return answer


def _smooth_in_loops(counts, bins, sigma=5.0):
    out = torch.zeros_like(counts)
    for place, count in zip(bins, counts, strict=True):
        given = torch.exp(-((bins - place) ** 2).sum(1) / (2 * sigma**2))
        out += count * given / given.sum()
    return out / out.sum()


def _smooth_by_softmax(counts, bins, sigma=5.0):
    squared = (bins[:, None] - bins[None]).square().sum(-1)
    handed = torch.softmax(-squared.double() / (2 * sigma**2), dim=1)
    return torch.einsum("ij,i->j", handed, (counts / counts.sum()).double()).float()


def _counts(seed: int) -> Tensor:
    """Pixels in each of the 313 bins: many at gray, some anywhere, none in every third."""
    bins = library.ab_bins()
    counts = 5000 * torch.exp(-bins.norm(dim=1) / 15) + 20 * _random(len(bins), seed=seed)
    return torch.where(_random(len(bins), seed=seed + 1) < 0.3, 0.0, counts).round()


def _one_bin(number: int) -> Tensor:
    return 100 * F.one_hot(torch.tensor(number), 313).float()


register(
    Exercise(
        name="classes.prior",
        lesson=LESSON,
        minutes=7,
        reference=library.smooth_prior,
        cases=(
            Case("counts of many pictures", lambda: (_counts(2), library.ab_bins())),
            Case("one bin at the edge", lambda: (_one_bin(0), library.ab_bins())),
            Case("sigma 12", lambda: (_counts(3), library.ab_bins(), 12.0)),
        ),
        atol=1e-6,
        rtol=1e-3,
        wrong=(
            Answer(
                "along the index",
                _smooth(_along_the_index),
                "Bins with neighbouring numbers were mixed, but these are neighbours in b only. "
                "Measure distances in the ab plane.",
            ),
            Answer(
                "sigma in bins",
                _smooth(lambda bins, sigma: _gaussian(bins / 10, sigma)),
                "Ten times too smooth: sigma is in ab units, and bins lie 10 of these apart.",
            ),
            Answer(
                "not renormalised",
                _smooth(apply=lambda k, p: k @ p),
                "The result adds up to more than 1: the Gaussian itself must be divided by its sum.",
            ),
            Answer(
                "divided at the end",
                _smooth(apply=lambda k, p: _share(k @ p)),
                "The sum is 1, but bins at the edge have lost mass to where no bins are. Divide "
                "the Gaussian of each giving bin by its own sum over the bins.",
            ),
            Answer(
                "a mean of the neighbours",
                _smooth(apply=lambda k, p: _share(k @ p / k.sum(1))),
                "Here each bin takes the mean of its neighbours. The text asks what each bin "
                "hands on: what it gives adds up to what it had.",
            ),
            Answer(
                "pixels, not shares",
                _smooth(start=lambda counts: counts),
                "These are still pixels. Shares add up to 1.",
            ),
            Answer(
                "add-one",
                lambda counts, bins, sigma=5.0: _share(counts + 1),
                "Adding one to each bin treats all empty bins alike. Here a bin gets more where "
                "its neighbours in the plane have more.",
            ),
            Answer(
                "no smoothing",
                lambda counts, bins, sigma=5.0: _share(counts),
                "These are the shares as counted: the Gaussian is missing.",
            ),
        ),
        right=(
            Answer("one matrix", _smooth()),
            Answer("loops", _smooth_in_loops),
            Answer("a softmax, einsum", _smooth_by_softmax),
        ),
    )
)

# --- the weights ----------------------------------------------------------------------------------


def _weigh(
    mixed: Callable = lambda p, lam: (1 - lam) * p + lam / len(p),
    scaled: Callable = lambda p, w: w / (p * w).sum(),
) -> Callable:
    """The weights with one mistake put in."""
    return lambda p, lam=0.5: scaled(p, 1 / mixed(p, lam))


def _weights_in_loops(p, lam=0.5):
    w = [1 / ((1 - lam) * float(x) + lam / len(p)) for x in p]
    mean = sum(float(x) * v for x, v in zip(p, w, strict=True))
    return torch.tensor([v / mean for v in w])


def _shares(count: int, seed: int, empty: int = 0) -> Tensor:
    p = _random(count, seed=seed) ** 4 + 1e-3
    p[:empty] = 0
    return _share(p)


register(
    Exercise(
        name="classes.weights",
        lesson=LESSON,
        minutes=5,
        reference=library.rebalancing_weights,
        cases=(
            Case("six bins", lambda: (_shares(6, 4),)),
            Case("lam 0.2", lambda: (_shares(9, 5), 0.2)),
            Case("empty bins, lam 0.9", lambda: (_shares(40, 6, empty=7), 0.9)),
        ),
        wrong=(
            Answer(
                "1/p",
                _weigh(lambda p, lam: p),
                "This is 1/p: infinite where a bin is empty. Mix some of the uniform distribution "
                "in first.",
            ),
            Answer(
                "sum of w is 1",
                _weigh(scaled=lambda p, w: w / w.sum()),
                "The weights add up to 1. It is the sum of p w that should be 1: the mean weight "
                "of a pixel.",
            ),
            Answer(
                "mean of w is 1",
                _weigh(scaled=lambda p, w: w / w.mean()),
                "The mean over the bins is 1. Take the mean over the pixels: frequent bins count "
                "more in it.",
            ),
            Answer(
                "not scaled",
                _weigh(scaled=lambda p, w: w),
                "The proportions are right, the scale is missing: a loss would be far larger.",
            ),
            Answer(
                "lam without 1/Q",
                _weigh(lambda p, lam: (1 - lam) * p + lam),
                "Nearly all weights are alike: each bin of the uniform distribution has 1/Q, not 1.",
            ),
            Answer(
                "lam swapped",
                _weigh(lambda p, lam: lam * p + (1 - lam) / len(p)),
                "lam and 1 - lam have changed places: lam = 1 should give equal weights.",
            ),
        ),
        right=(
            Answer("vectors", _weigh()),
            Answer("a dot product", _weigh(scaled=lambda p, w: w / torch.dot(p, w))),
            Answer("loops", _weights_in_loops),
        ),
    )
)

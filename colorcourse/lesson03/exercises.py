"""Lesson 3, networks that generalise: AuC, the block, the skip, the best constant, the clinic."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from colorcourse.checking import difference
from colorcourse.exercises import Answer, Case, Exercise, register
from colorcourse.lesson03.clinic import data_clinic
from colorkit import losses, metrics

LESSON = "03_networks"


def _noise(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- AuC ------------------------------------------------------------------------------------------


def _auc(thresholds=range(151), power=0.5, per_channel=False, factor=1.0, strict=False) -> Callable:
    """The share of pixels within t, mean over the thresholds t; or with one mistake put in."""

    def answer(prediction: Tensor, truth: Tensor) -> Tensor:
        squares = (prediction - truth).square()
        error = (squares if per_channel else squares.sum(1)) ** power
        within = [(error < t if strict else error <= t).float().mean() for t in thresholds]
        return factor * sum(within) / len(within)

    return answer


def _auc_closed(prediction: Tensor, truth: Tensor) -> float:
    error = (prediction - truth).pow(2).sum(1).sqrt()
    return 1 - float(error.ceil().clamp(max=151).mean()) / 151


def _auc_sorted(prediction: Tensor, truth: Tensor) -> Tensor:
    error = torch.linalg.vector_norm(prediction - truth, dim=1).flatten().sort().values
    t = torch.arange(151.0)
    return (torch.searchsorted(error, t, right=True) / len(error)).mean()


def _grid_errors() -> tuple[Tensor, Tensor]:
    """Errors that are whole numbers, some of them 0: 3-4-5 triangles."""
    truth = _noise(1, 2, 8, 8, seed=3).round()
    step = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1) * torch.arange(8.0).view(1, 1, 1, 8)
    return truth + step, truth


register(Exercise(
    name="networks.auc", lesson=LESSON, minutes=6,
    reference=_auc(), own=(metrics.auc, metrics.cumulative_error),
    cases=(
        Case("errors of 0, 5, 10, ..., 35", _grid_errors),
        Case("three pictures with small and large errors",
             lambda: (_noise(3, 2, 9, 7, seed=1, scale=60), _noise(3, 2, 9, 7, seed=2, scale=9))),
        Case("errors beyond 150",
             lambda: (torch.full((1, 2, 4, 4), 120.0), torch.zeros(1, 2, 4, 4))),
    ),
    wrong=(
        Answer("0 to 149", _auc(range(150)), "150 is the last threshold: there are 151 of them."),
        Answer("squared", _auc(power=1.0), "squared distance: take the root"),
        Answer("per channel", _auc(per_channel=True),
               "one distance over a and b together, Euclidean"),
        Answer("percent", _auc(factor=100), "A share lies between 0 and 1, not in percent."),
        Answer("below", _auc(strict=True), "An error of exactly t is within t."),
        Answer("1 to 150", _auc(range(1, 151)),
               "0 is a threshold too: pixels that are exactly right."),
        Answer("mean error", lambda p, t: (p - t).square().sum(1).sqrt().mean(),
               "That is the mean distance, in ab units."),
    ),
    right=(Answer("closed form", _auc_closed), Answer("sorting", _auc_sorted)),
))  # fmt: skip

# --- the strided block ----------------------------------------------------------------------------


def _block(a: int, b: int, stride: int = 2, padding: int = 1, norm=nn.BatchNorm2d, act=nn.ReLU):
    """Half the height and width, from a channels to b; or with one mistake put in."""
    layers = [nn.Conv2d(a, b, 3, stride=stride, padding=padding)]
    return nn.Sequential(*layers, *([norm(b)] if norm else []), *([act()] if act else []))


SIDES = {
    32: "Height and width stay as they are. What makes each step skip a pixel?",
    15: "One pixel is missing: the kernel needs padding to start at the border.",
    8: "That is a quarter of the size: halve it once only.",
}


def judge_block(answer: Callable) -> str | None:
    """The hint for a block; None where it halves, learns, normalises and bends."""
    block = answer(3, 8)
    if not isinstance(block, nn.Module):
        return f"Return a torch module, not {type(block).__name__}."
    x = _noise(4, 3, 32, 32)
    try:
        out = block(x)
    except (RuntimeError, ValueError):
        return "It does not take `channels_in` channels. Which number belongs where?"
    if out.shape[1] != 8:
        return f"With channels_out = 8 it gives {out.shape[1]} channels."
    if tuple(out.shape[2:]) != (16, 16):
        side = out.shape[2]
        return SIDES.get(side, f"32 x 32 pixels become {side} x {out.shape[3]}, not 16 x 16.")
    if tuple(block(_noise(2, 3, 20, 28)).shape[2:]) != (10, 14):
        return "32 x 32 is halved, but 20 x 28 does not become 10 x 14."
    return _judge_learning(block, x)


def _judge_learning(block: nn.Module, x: Tensor) -> str | None:
    block.train()
    kernels = [p for p in block.parameters() if p.ndim > 1]
    if not kernels:
        return "It halves the size, but there are no kernels in it: nothing that could be learnt."
    (block(x) * _noise(4, 8, 16, 16, seed=5)).sum().backward()
    if any(p.grad is None or not p.grad.abs().sum() for p in kernels):
        return "Some of its kernels get no gradient: they are made, but not used."
    with torch.no_grad():
        if block(10 * x).std() > 3 * block(x).std():
            return "Ten times the input gives ten times the output: the normalisation is missing."
        block.eval()
        y = _noise(4, 3, 32, 32, seed=9)
        both, middle = (block(x) + block(y)) / 2, block((x + y) / 2)
    if (both - middle).abs().max() < 1e-3 * both.abs().max():
        return "It is linear: two of them are no more than one. What bends it?"
    return None


class _Pooled(nn.Module):
    """Right: a convolution that keeps the size, then pooling; batch norm after the ReLU."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(a, b, 3, padding="same", bias=False), nn.BatchNorm2d(b)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.max_pool2d(F.leaky_relu(self.conv(x), 0.1), 2))


def _four_wide(a: int, b: int) -> nn.Module:
    conv = nn.Conv2d(a, b, 4, stride=2, padding=1)
    return nn.Sequential(conv, nn.InstanceNorm2d(b, affine=True), nn.ReLU())


register(Exercise(
    name="networks.strided_block", lesson=LESSON, minutes=6,
    reference=_block, judge=judge_block,
    wrong=(
        Answer("no stride", lambda a, b: _block(a, b, stride=1), "What makes each step skip"),
        Answer("no padding", lambda a, b: _block(a, b, padding=0), "One pixel is missing"),
        Answer("halved twice", lambda a, b: nn.Sequential(_block(a, b), nn.AvgPool2d(2)),
               "a quarter of the size"),
        Answer("channels swapped", lambda a, b: _block(b, a), "Which number belongs where?"),
        Answer("channels kept", lambda a, b: _block(a, a), "it gives 3 channels"),
        Answer("no ReLU", lambda a, b: _block(a, b, act=None), "It is linear"),
        Answer("no norm", lambda a, b: _block(a, b, norm=None), "normalisation is missing"),
        Answer("pooling only",
               lambda a, b: nn.Sequential(nn.AvgPool2d(2), nn.ZeroPad3d((0, 0, 0, 0, 0, b - a)),
                                          nn.BatchNorm2d(b), nn.ReLU()),
               "nothing that could be learnt"),
    ),
    right=(Answer("convolution, then pooling", _Pooled),
           Answer("kernel 4, instance norm", _four_wide)),
))  # fmt: skip


# --- the skip connection --------------------------------------------------------------------------


def join_skip(deep: Tensor, skip: Tensor) -> Tensor:
    """deep (N, C1, h, w), enlarged to skip's size, joined with skip: (N, C1 + C2, H, W)."""
    deep = F.interpolate(deep, skip.shape[-2:], mode="bilinear", align_corners=False)
    return torch.cat([deep, skip], dim=1)


def judge_skip(answer: Callable) -> str | None:
    """The hint for a skip connection; None where both parts arrive, each in its own channels."""
    for channels, small, large in (((3, 5), (8, 8), (16, 16)), ((4, 4), (7, 5), (13, 9))):
        deep, skip = _noise(2, channels[0], *small), _noise(2, channels[1], *large, seed=1)
        try:
            out = answer(deep, skip)
        except RuntimeError:
            if small == (8, 8):
                return "Tensors of other sizes cannot be joined or added: before that, `deep` must have the height and width of `skip`."
            return f"It works for 8 -> 16, but not for {small} -> {large}: take skip's own size."
        if out is None:
            return "Your function returned None. Is `return` missing?"
        if hint := _judge_joined(out, deep, skip):
            return hint
    return None


def _judge_joined(out: Tensor, deep: Tensor, skip: Tensor) -> str | None:
    c1, c2 = deep.shape[1], skip.shape[1]
    wanted = (len(deep), c1 + c2, *skip.shape[2:])
    if tuple(out.shape) != wanted:
        if out.shape[0] != len(deep) or out.shape[2:] not in (skip.shape[2:], deep.shape[2:]):
            return "They are joined along the wrong dimension: channels are the second one, dim=1."
        if out.shape[2:] == deep.shape[2:]:
            return (
                "The result has the size of `deep`: its edges are lost again. Enlarge deep instead."
            )
        return f"{c1} and {c2} channels should become {c1 + c2}, not {out.shape[1]}: adding is another idea."
    for deep_part, skip_part in ((out[:, :c1], out[:, c1:]), (out[:, c2:], out[:, :c2])):
        if torch.allclose(skip_part, skip, atol=1e-5):
            near = F.interpolate(deep, skip.shape[-2:], mode="nearest")
            likeness = torch.corrcoef(torch.stack([near.flatten(), deep_part.flatten()]))[0, 1]
            return None if likeness > 0.6 else "The enlarged `deep` does not look like `deep`."
    return "`skip` should arrive unchanged in channels of its own."


def _up(deep: Tensor, **how) -> Tensor:
    return F.interpolate(deep, scale_factor=2, **how)


register(Exercise(
    name="networks.skip", lesson=LESSON, minutes=5,
    reference=join_skip, judge=judge_skip,
    wrong=(
        Answer("added",
               lambda d, s: F.interpolate(d.repeat(1, 2, 1, 1)[:, : s.shape[1]], s.shape[-2:]) + s,
               "adding is another idea"),
        Answer("along the height",
               lambda d, s: torch.cat([F.interpolate(d, s.shape[-2:])[:, :3], s[:, :3]], dim=2),
               "along the wrong dimension"),
        Answer("not enlarged", lambda d, s: torch.cat([d, s], 1), "before that, `deep` must have"),
        Answer("skip made small",
               lambda d, s: torch.cat([d, F.adaptive_avg_pool2d(s, d.shape[-2:])], 1),
               "has the size of `deep`"),
        Answer("always twice", lambda d, s: torch.cat([_up(d), s], 1), "take skip's own size"),
        Answer("skip lost",
               lambda d, s: torch.cat([_up(d), _up(d)[:, :1].expand_as(s)], 1),
               "arrive unchanged in channels of its own"),
    ),
    right=(
        Answer("skip first, nearest",
               lambda d, s: torch.cat([s, F.interpolate(d, size=s.shape[2:])], 1)),
        Answer("aligned corners",
               lambda d, s: torch.hstack([
                   F.interpolate(d, s.shape[-2:], mode="bilinear", align_corners=True), s])),
    ),
))  # fmt: skip

# --- the best constant ----------------------------------------------------------------------------


def _mean(colours: Tensor, p: Tensor) -> Tensor:
    return (p[:, None] * colours).sum(0)


def _mode(colours: Tensor, p: Tensor) -> Tensor:
    return colours[p.argmax()]


def _median(colours: Tensor, p: Tensor) -> Tensor:
    values, order = colours.sort(0)
    half = (p[order].cumsum(0) >= 0.5 - 1e-6).int().argmax(0)
    return values.gather(0, half[None])[0]


def _constant(l2=_mean, l1=_median, zero_one=_mode) -> Callable:
    """The constant (2,) of least expected loss; or with one mistake put in."""
    ways = {"l2": l2, "l1": l1, "0-1": zero_one}
    return lambda colours, p, loss: ways[loss](colours, p)


def _equally(way: Callable) -> Callable:
    return lambda colours, p: way(colours, torch.full_like(p, 1 / len(p)))


CONSTANT_CASES = {  # colours (K, 2) and their probabilities
    "an apple": ([[48, 30], [-29, 46], [2, 60]], [0.5, 0.3, 0.2]),
    "a pepper": ([[55, 40], [-40, 44], [12, 70], [24, -20]], [0.4, 0.34, 0.22, 0.04]),
    "grapes": ([[30, -25], [-20, 40]], [0.65, 0.35]),
    "five colours": ([[-60, 10], [-10, -50], [4, 3], [70, 66], [15, -33]], [0.36, 0.09, 0.2, 0.23, 0.12]),
}  # fmt: skip
CONSTANT_MISTAKES = {
    "l2": (
        Answer("unweighted mean", _constant(l2=_equally(_mean)), "Not all colours are equally probable"),
        Answer("mode for L2", _constant(l2=_mode), "squared distance punishes the far ones most"),
    ),
    "l1": (
        Answer("mode for L1", _constant(l1=_mode), "the most probable colour: that is 0-1's answer"),
        Answer("mean for L1", _constant(l1=_mean), "the mean: one far colour pulls it, and L1"),
        Answer("unweighted median", _constant(l1=_equally(_median)),
               "balances probability, not the number of colours"),
    ),
    "0-1": (
        Answer("mean for 0-1", _constant(zero_one=_mean), "is never exactly right: it is nobody's"),
        Answer("median for 0-1", _constant(zero_one=_median), "mixes a of one colour with b of another"),
    ),
}  # fmt: skip


def _expected_loss(guess: Tensor, colours: Tensor, p: Tensor, loss: str) -> float:
    away = colours - guess
    if loss == "0-1":
        return float((p * (away.abs().amax(1) > 1e-3)).sum())
    return float((p * (away.square() if loss == "l2" else away.abs()).sum(1)).sum())


def judge_constant(answer: Callable) -> str | None:
    """The hint for a best constant; any one of least expected loss is right."""
    cases = {k: (torch.tensor(c).float(), torch.tensor(p)) for k, (c, p) in CONSTANT_CASES.items()}
    for loss, mistakes in CONSTANT_MISTAKES.items():
        given, worse = {}, {}
        for name, (colours, p) in cases.items():
            value = answer(colours.clone(), p.clone(), loss)
            if value is None:
                return f"Your function returned None for {loss!r}. Is `return` missing?"
            given[name] = torch.as_tensor(value).detach().float()
            if tuple(given[name].shape) != (2,):
                return f"For {loss!r} the result has shape {tuple(given[name].shape)}, not (2,)."
            cost = _expected_loss(given[name], colours, p, loss)
            best = _expected_loss(_constant()(colours, p, loss), colours, p, loss)
            if cost > best * 1.0001 + 1e-4:
                worse[name] = f"your constant costs {cost:.4g} on average, the best {best:.4g}"
        for mistake in mistakes if worse else ():
            known = {name: mistake.answer(*case, loss) for name, case in cases.items()}
            if not difference(known, given, 1e-3, 1e-3):
                return f"{loss!r}: {mistake.hint}."
        if worse:
            name, cost = next(iter(worse.items()))
            return f"{loss!r}, {name}: {cost}."
    return None


def _median_between(colours: Tensor, p: Tensor) -> Tensor:
    """Another median where two are right: the middle between them."""
    low, high = _median(colours, p), -_median(-colours, p)
    return (low + high) / 2


def _by_search(colours: Tensor, p: Tensor) -> Tensor:
    """Right: try a fine grid for each channel."""
    grid = torch.linspace(-80, 80, 1601)
    cost = (p[:, None, None] * (colours[:, :, None] - grid).abs()).sum(0)
    return grid[cost.argmin(1)]


register(Exercise(
    name="networks.best_constant", lesson=LESSON, minutes=8,
    reference=_constant(), judge=judge_constant,
    wrong=tuple(answer for group in CONSTANT_MISTAKES.values() for answer in group),
    right=(
        Answer("the middle median", _constant(l1=_median_between)),
        Answer("matmul and a search", _constant(l2=lambda c, p: p @ c, l1=_by_search)),
    ),
))  # fmt: skip

# --- the clinic -----------------------------------------------------------------------------------

register(Exercise(
    name="networks.clinic", lesson=LESSON, minutes=8,
    reference=data_clinic.names, judge=lambda answer: data_clinic.hint(answer()),
    own=(data_clinic.diagnosis,),
    wrong=(
        Answer("nothing named", lambda: {}, "Still to be named: run A, B"),
        Answer("leak for healthy", lambda: data_clinic.names(E="healthy"),
               "its validation beside its test error"),
        Answer("healthy for a leak", lambda: data_clinic.names(C="leaked validation set"),
               "nothing is wrong with"),
        Answer("jitter for flip", lambda: data_clinic.names(D="colour jitter"),
               "where the colours of its batch lie"),
        Answer("flip for jitter", lambda: data_clinic.names(F="L flipped, ab not"),
               "the colours of its batch, beside"),
        Answer("leak for batch norm", lambda: data_clinic.names(A="leaked validation set"),
               "when a picture is judged alone"),
        Answer("healthy for sorted", lambda: data_clinic.names(B="healthy"),
               "the teeth of its loss"),
        Answer("invented name", lambda: data_clinic.names(B="bad luck"),
               "'bad luck' is not one of"),
    ),
    right=(Answer("in another order", lambda: dict(reversed(data_clinic.names().items()))),),
))  # fmt: skip

# --- extra ----------------------------------------------------------------------------------------


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """values and mask (bool), both (N, 1, H, W): mean where the mask is set, (N,), 0 where empty."""
    count = mask.sum((1, 2, 3))
    return (values * mask).sum((1, 2, 3)) / count.clamp_min(1)


def _masked(seed: int, empty: bool = False) -> tuple[Tensor, Tensor]:
    mask = _noise(3, 1, 6, 5, seed=seed) > 0.3
    if empty:
        mask[1] = False
    return _noise(3, 1, 6, 5, seed=seed + 1, scale=10) + 20, mask


def _masked_loop(values: Tensor, mask: Tensor) -> Tensor:
    parts = [v[m] for v, m in zip(values, mask, strict=True)]
    return torch.stack([x.mean() if len(x) else x.new_zeros(()) for x in parts])


register(Exercise(
    name="networks.masked_mean", lesson=LESSON, minutes=4, core=False,
    reference=masked_mean,
    cases=(
        Case("three pictures", lambda: _masked(1)),
        Case("an empty mask", lambda: _masked(5, empty=True)),
    ),
    wrong=(
        Answer("over all pixels", lambda v, m: (v * m).mean((1, 2, 3)),
               "Divide by the pixels of the mask, not by all."),
        Answer("NaN where empty", lambda v, m: (v * m).sum((1, 2, 3)) / m.sum((1, 2, 3)),
               "A picture whose mask is empty gives 0 / 0."),
        Answer("one number", lambda v, m: v[m].mean(),
               "One mean for each picture, not one for all together."),
        Answer("sum", lambda v, m: (v * m).sum((1, 2, 3)), "That is the sum, not the mean."),
    ),
    right=(Answer("a loop", _masked_loop),),
))  # fmt: skip


def _ssim(shift=128.0, scale=255.0, span=1.0, flip=True) -> Callable:
    """The loss with one mistake put in."""

    def answer(prediction: Tensor, truth: Tensor) -> Tensor:
        value = ssim((prediction + shift) / scale, (truth + shift) / scale, data_range=span)
        return 1 - value if flip else value

    return answer


def _colour_pair(seed: int, noise: float) -> tuple[Tensor, Tensor]:
    truth = F.interpolate(_noise(2, 2, 4, 4, seed=seed, scale=30), (24, 24), mode="bilinear")
    return truth + _noise(2, 2, 24, 24, seed=seed + 1, scale=noise), truth


register(Exercise(
    name="networks.ssim_loss", lesson=LESSON, minutes=6, core=False,
    reference=losses.ssim_loss, atol=1e-4,
    cases=(
        Case("noisy colours", lambda: _colour_pair(1, 10.0)),
        Case("nearly the same", lambda: _colour_pair(4, 1.0)),
    ),
    wrong=(
        Answer("not turned round", _ssim(flip=False), "SSIM is high where pictures are alike"),
        Answer("range 255", _ssim(span=255.0), "after dividing by 255 the data range is 1"),
        Answer("range not given", _ssim(span=None), "guesses it from each batch"),
        Answer("raw ab", _ssim(shift=0.0, scale=1.0), "Bring ab to [0, 1] first"),
        Answer("not shifted", _ssim(shift=0.0), "a and b start at -128: shift them"),
    ),
    right=(
        Answer("picture by picture",
               lambda p, t: torch.stack([
                   _ssim()(a, b) for a, b in zip(p.split(1), t.split(1), strict=True)]).mean()),
    ),
))  # fmt: skip


def _reading(by=lambda t, v: v, gap=False, first=False, best=True) -> Callable:
    """A verdict by the validation errors and where they are lowest; or with one mistake put in."""

    def answer(training: Sequence[float], validation: Sequence[float]) -> tuple[str, int]:
        curve = by(training, validation)
        rising = curve[-1] > 1.1 * (curve[0] if first else min(curve))
        if gap:
            rising = validation[-1] > 1.5 * training[-1]
        end = "too short" if curve[-1] < 0.95 * curve[-2] else "settled"
        index = list(curve).index(min(curve)) if best else len(curve) - 1
        return ("memorising" if rising else end), index

    return answer


_CURVES = {
    "a run that overfits": ([500, 300, 150, 60, 20], [510.0, 380.0, 330.0, 360.0, 420.0]),
    "a run that was stopped early": ([500, 420, 340, 280, 230], [520.0, 440, 370, 320, 280]),
    "a run with a wide gap that settles": ([500, 200, 100, 90, 88], [510.0, 340, 300, 292, 290]),
    "a run that settles": ([500, 300, 260, 252, 250], [510.0, 310.0, 270.0, 261.0, 262.0]),
}

register(Exercise(
    name="networks.curves", lesson=LESSON, minutes=4, core=False,
    reference=_reading(),
    cases=tuple(Case(name, lambda c=c: (list(c[0]), list(c[1]))) for name, c in _CURVES.items()),
    wrong=(
        Answer("by training error", _reading(by=lambda t, v: t),
               "The training error falls even while a network memorises."),
        Answer("by the gap", _reading(gap=True),
               "A gap between the curves is no rise of the validation"),
        Answer("against the first", _reading(first=True),
               "Compare with the lowest validation, not with the first."),
        Answer("the last is best", _reading(best=False), "The best moment need not be the last."),
    ),
    right=(
        Answer("by argmin",
               lambda t, v: (
                   "memorising" if v[-1] / min(v) > 1.1 else
                   "too short" if v[-1] / v[-2] < 0.95 else "settled",
                   int(torch.tensor(v).argmin()))),
    ),
))  # fmt: skip

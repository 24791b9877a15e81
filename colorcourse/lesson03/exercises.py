"""Lesson 3: AuC, the best constant, batch norm, the skip, the U-Net; extra: the clinic."""

from collections.abc import Callable
from functools import partial, partialmethod
from itertools import pairwise, product
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import grad
from torch.nn import functional as F

from colorcourse.checking import difference
from colorcourse.exercises import Answer, Case, Exercise, beside, register
from colorcourse.lesson03.clinic import data_clinic
from colorkit import metrics, models

LESSON = "03_networks"
EACH_CHANNEL = (1, -1, 1, 1)
_up = partial(F.interpolate, scale_factor=2)


def _noise(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _auc(thresholds=range(151), power=0.5, per_channel=False, factor=1.0, strict=False) -> Callable:
    """The share of pixels within t, mean over the thresholds t; or with one mistake put in."""

    def answer(prediction: Tensor, truth: Tensor) -> Tensor:
        squares = (prediction - truth).square()
        error = (squares if per_channel else squares.sum(1)) ** power
        within = [(error < t if strict else error <= t).float().mean() for t in thresholds]
        return factor * sum(within) / len(within)

    return answer


def _grid_errors() -> tuple[Tensor, Tensor]:
    """Errors that are whole numbers, some of them 0: 3-4-5 triangles."""
    truth = _noise(1, 2, 8, 8, seed=3).round()
    step = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1) * torch.arange(8.0).view(1, 1, 1, 8)
    return truth + step, truth


register(Exercise(
    name="networks.auc", lesson=LESSON, minutes=6, reference=_auc(), own=(metrics.auc, metrics.cumulative_error),
    fresh=lambda seed: (_noise(3, 2, 8, 7, seed=seed, scale=50), _noise(3, 2, 8, 7, seed=seed + 1, scale=9)),
    cases=(
        Case("errors of 0, 5, 10, ..., 35", _grid_errors),
        Case("three pictures with small and large errors", lambda: (_noise(3, 2, 9, 7, seed=1, scale=60), _noise(3, 2, 9, 7, seed=2, scale=9))),
        Case("errors beyond 150", lambda: (torch.full((1, 2, 4, 4), 120.0), torch.zeros(1, 2, 4, 4))),
    ),
    wrong=(
        Answer("0 to 149", _auc(range(150)), "150 is the last threshold: there are 151 of them."),
        Answer("squared", _auc(power=1.0), "That is the squared distance: take the root."),
        Answer("mean of squares", lambda p, t: _auc()((p - t) / 2**0.5, 0 * t), "Add the squares of a and b: their mean is half of that."),
        Answer("per channel", _auc(per_channel=True), "Take one Euclidean distance over a and b together."),
        Answer("sum", _auc(factor=151), "Take the mean of the 151 shares, not their sum."),
        Answer("norm over the width", lambda p, t: sum(((p - t).norm(dim=-1) <= k).float().mean() for k in range(151)) / 151, "dim=-1 is the width: take the distance over a and b, dim=1."),
        Answer("percent", _auc(factor=100), "A share lies between 0 and 1, not in percent."),
        Answer("below", _auc(strict=True), "An error of exactly t is within t."),
        Answer("1 to 150", _auc(range(1, 151)), "0 is a threshold too: what is exactly right."),
        Answer("mean error", lambda p, t: (p - t).norm(dim=1).mean(), "That is the mean distance: the AuC is a mean of shares."),
        Answer("sum of a and b", lambda p, t: _auc()((p - t).abs().sum(1, True), 0 * t[:, :1]), "|a| + |b| is another distance: take the Euclidean one."),
        Answer("beyond", lambda p, t: 1 - _auc()(p, t), "That is the share beyond t: take the share within t."),
        Answer("divided by 150", _auc(factor=151 / 150), "From 0 to 150 there are 151 thresholds."),
        Answer("one norm", lambda p, t: sum(((p - t).norm() <= k).float() for k in range(151)) / 151, "You take one norm over everything: norm(dim=1) gives a distance for each pixel."),
        Answer("approximation", lambda p, t: 1 - (p - t).norm(dim=1).mean() / 151, "1 - mean / 151 is an approximation: count the shares within each threshold."),
    ),
    right=(Answer("closed form", lambda p, t: 1 - float((p - t).pow(2).sum(1).sqrt().ceil().clamp(max=151).mean()) / 151),),
))  # fmt: skip


def _mean(colours: Tensor, p: Tensor) -> Tensor:
    return (p[:, None] * colours).sum(0)


def _mode(colours: Tensor, p: Tensor) -> Tensor:
    return colours[p.argmax()]


def _median(colours: Tensor, p: Tensor) -> Tensor:
    values, order = colours.sort(0)
    half = (p[order].cumsum(0) >= 0.5 - 1e-6).int().argmax(0)
    return values.gather(0, half[None])[0]


def _row(colours: Tensor, p: Tensor, channel: int) -> Tensor:
    order = colours[:, channel].argsort()
    return colours[order[(p[order].cumsum(0) >= 0.5 - 1e-6).int().argmax()]]


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
        Answer("unweighted mean", _constant(l2=_equally(_mean)), "your mean counts all colours equally, but they are not equally probable"),
        Answer("mode for L2", _constant(l2=_mode), "you give the most probable colour, but a squared distance punishes the far ones most"),
        Answer("median for L2", _constant(l2=_median), "you give the median, which is least for L1"),
        Answer("mean divided", _constant(l2=lambda c, p: _mean(c, p) / len(c)), "divide by nothing: the probabilities add up to 1 already"),
        Answer("one of them for L2", _constant(l2=lambda c, p: _medoid(c, p, "l2")), "you choose one of the given colours; the best constant may lie between them"),
    ),
    "l1": (
        Answer("mode for L1", _constant(l1=_mode), "you give the most probable colour, which is least for the 0-1 loss"),
        Answer("mean for L1", _constant(l1=_mean), "you give the mean, which one far colour can pull away; L1 is least at a median"),
        Answer("order forgotten", _constant(l1=lambda c, p: c.sort(0).values[(p.cumsum(0) >= 0.5 - 1e-6).int().argmax()]), "you sort the values, but leave the probabilities in their old order"),
        Answer("unweighted median", _constant(l1=_equally(_median)), "your median has half of the colours on each side; it needs half of the probability"),
        Answer("one of them for L1", _constant(l1=lambda c, p: _medoid(c, p, "l1")), "you choose one of the given colours; a and b have a median each"),
        *(Answer(f"whole colour by {'ab'[k]}", _constant(l1=partial(_row, channel=k)), f"you give one whole colour, the median in {'ab'[k]}; a and b have a median each") for k in (0, 1)),
        Answer("not sorted", _constant(l1=lambda c, p: c[(p.cumsum(0) >= 0.5 - 1e-6).int().argmax()]), "you add up probabilities in the given order; sort the values of a first, and those of b"),
    ),
    "0-1": (
        Answer("mean for 0-1", _constant(zero_one=_mean), "you give the mean, which equals none of the colours, so that this loss is always 1"),
        Answer("median for 0-1", _constant(zero_one=_median), "you give the median, which may take a of one colour and b of another and then equals none"),
        Answer("least probable", _constant(zero_one=lambda c, p: c[p.argmin()]), "you give the least probable colour"),
    ),
}  # fmt: skip


def _medoid(colours: Tensor, p: Tensor, loss: str) -> Tensor:
    """The one of the colours that costs least."""
    return min(colours, key=lambda colour: _expected_loss(colour, colours, p, loss))


def _expected_loss(guess: Tensor, colours: Tensor, p: Tensor, loss: str) -> float:
    away = colours - guess
    if loss == "0-1":
        return float((p * (away.abs().amax(1) > 1e-3)).sum())
    return float((p * (away.square() if loss == "l2" else away.abs()).sum(1)).sum())


def judge_constant(answer: Callable, seed: int | None = None) -> str | None:
    """The hint for a best constant; any one of least expected loss is right."""
    cases = {k: (torch.tensor(c).float(), torch.tensor(p)) for k, (c, p) in CONSTANT_CASES.items()}
    if seed is not None:
        draws = range(seed, seed + 4)
        cases = {
            f"case {s - seed}": (
                _noise(5, 2, seed=s, scale=40).round().clamp(-75, 75),
                _noise(5, seed=s).softmax(0),
            )
            for s in draws
        }
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
                return f"For {loss!r} {mistake.hint}."
        if worse:
            name, cost = next(iter(worse.items()))
            return f"For {loss!r} and {name} {cost}."
    return None


def _by_search(colours: Tensor, p: Tensor) -> Tensor:
    """Right: try a fine grid for each channel."""
    grid = torch.linspace(-80, 80, 1601)
    cost = (p[:, None, None] * (colours[:, :, None] - grid).abs()).sum(0)
    return grid[cost.argmin(1)]


register(Exercise(
    name="networks.best_constant", lesson=LESSON, minutes=8, reference=_constant(), judge=judge_constant,
    wrong=tuple(answer for group in CONSTANT_MISTAKES.values() for answer in group),
    right=(Answer("the middle median", _constant(l1=lambda c, p: (_median(c, p) - _median(-c, p)) / 2)), Answer("matmul and a search", _constant(l2=lambda c, p: p @ c, l1=_by_search))),
))  # fmt: skip


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation of (N, C, H, W). Changes in upper case are mistakes that people make."""

    OVER, ROOT, AFFINE, EPS, NEW = (0, 2, 3), 0.5, True, 1e-5, 0.1
    MEAN, VAR, SWAPPED, CORRECTION, VAR_OVER = True, True, False, 0, None
    DEVIATION, ALWAYS_BATCH, NEVER_BATCH, TRACKS_IN_EVAL = False, False, False, False
    CONSTANT, GRAPH, SHAPE, BIAS, FIRST = False, False, EACH_CHANNEL, True, False

    def forward(self, x: Tensor) -> Tensor:
        running = self.running_mean, self.running_var
        mean = x.mean(self.OVER, keepdim=True)
        var = x.var(self.VAR_OVER or self.OVER, correction=self.CORRECTION, keepdim=True)
        mean, var = (mean.detach(), var.detach()) if self.CONSTANT else (mean, var)
        if self.training or self.TRACKS_IN_EVAL:
            with torch.set_grad_enabled(self.GRAPH):
                new = x.mean((0, 2, 3)), x.var((0, 2, 3)) ** (0.5 if self.DEVIATION else 1)
                self.running_mean = self.running_mean.lerp(new[0], self.MEAN * self.NEW)
                self.running_var = self.running_var.lerp(new[1], self.VAR * self.NEW)
        running = (self.running_mean, self.running_var) if self.FIRST else running
        if self.NEVER_BATCH or not (self.training or self.ALWAYS_BATCH):
            mean, var = (v.view(EACH_CHANNEL) for v in running)
        x = (x - mean) / (var + self.EPS) ** self.ROOT
        weight, bias = (p.view(self.SHAPE) for p in (self.weight, self.bias))
        weight, bias = (bias, weight) if self.SWAPPED else (weight, bias)
        return (weight * x if self.AFFINE else x) + (bias if self.BIAS else 0)


_broken_norm = partial(type, "BatchNorm", (BatchNorm,))  # of the changes
NORM_MISTAKES = {  # what is changed, and its hint
    "instance norm": ({"OVER": (2, 3)}, "You average within each picture: that is instance norm."),
    "layer norm": ({"OVER": (1, 2, 3)}, "You average over the channels too: each channel has statistics of its own."),
    "over pictures only": ({"OVER": 0}, "You average over the pictures, but not over their pixels."),
    "one for all": ({"OVER": (0, 1, 2, 3)}, "One mean for everything: each channel has statistics of its own."),
    "no root": ({"ROOT": 1.0}, "Divide by the root of the variance, not by the variance."),
    "no weight": ({"AFFINE": False}, "self.weight is not used."),
    "no bias": ({"BIAS": False}, "self.bias is not added."),
    "neither": ({"AFFINE": False, "BIAS": False}, "Neither self.weight nor self.bias is used."),
    "swapped": ({"SWAPPED": True}, "Weight and bias are swapped: multiply by self.weight, then add self.bias."),
    "running in training": ({"NEVER_BATCH": True}, "In training mode use the batch's own mean and variance."),
    "moved, then used": ({"NEVER_BATCH": True, "FIRST": True}, "That is how evaluation mode works: in training mode use the batch's own mean and variance."),
    "two roots": ({"ROOT": 0.25}, "Divide by the standard deviation, one root of the variance: you take the root twice."),
    "variance of each picture": ({"VAR_OVER": (2, 3)}, "Your variance is that of each picture: take it over the batch, as the mean."),
    "no epsilon": ({"EPS": 0.0}, "A channel that is constant gives 0 / 0: add 1e-5 to the variance."),
    "mean not tracked": ({"MEAN": False}, "Training leaves self.running_mean as it was: move it towards the batch's mean."),
    "variance not tracked": ({"VAR": False}, "Training leaves self.running_var as it was: move it towards the batch's variance."),
    "turned round": ({"NEW": 0.9}, "Turned round: take 0.9 of the old average and 0.1 of the new statistics."),
    "replaced": ({"NEW": 1.0}, "The new statistics replace the running ones: take 0.9 of the old and 0.1 of the new."),
    "deviation": ({"DEVIATION": True}, "self.running_var averages variances, not their roots."),
    "graph": ({"GRAPH": True}, "The running averages carry a graph: compute them inside `with torch.no_grad():`."),
    "always the batch": ({"ALWAYS_BATCH": True}, "In evaluation mode the output still depends on the batch: self.training is False there, so use the running averages."),
    "tracked in eval": ({"TRACKS_IN_EVAL": True}, "Evaluation changes the running averages: move them in training mode only."),
    "moved in eval, then used": ({"TRACKS_IN_EVAL": True, "FIRST": True}, "Evaluation moves the running averages and then uses them: move them in training mode only."),
    "constant statistics": ({"CONSTANT": True}, "No gradient flows through the batch's mean and variance: leave them in the graph."),
}  # fmt: skip


def _prepared(answer: Callable) -> nn.Module:
    layer = answer(3)
    nn.init.uniform_(layer.weight, 0.5, 2)
    nn.init.uniform_(layer.bias, -1, 1)
    return layer.train()


def _norm_trace(answer: Callable, seed: int = 0) -> dict[str, Any]:
    """What a layer does, in the order in which a student should look."""
    torch.manual_seed(seed)
    layer = _prepared(answer)
    if not isinstance(layer(_noise(8, 3, 6, 6)), Tensor):
        return {}
    torch.manual_seed(seed)
    layer = _prepared(answer)
    x = _noise(8, 3, 6, 6, seed=seed) * torch.tensor([1.0, 3.0, 0.2]).view(EACH_CHANNEL) + 2
    x.requires_grad_()
    out = layer(x)
    trace = {"the output in training mode": out.detach()}
    trace["the running mean after a batch"] = layer.running_mean.detach().clone()
    trace["the running variance after a batch"] = layer.running_var.detach().clone()
    trace["whether the running averages carry a graph"] = layer.running_mean.requires_grad
    trace["the gradient"] = grad((out * _noise(8, 3, 6, 6, seed=5)).sum(), x)[0]
    layer.eval()
    trace["the output in evaluation mode"] = layer(x[:2] + 1).detach()
    trace["the running mean after evaluation"] = layer.running_mean.detach().clone()
    layer.train()
    trace["the output for a constant channel"] = layer(torch.ones(2, 3, 4, 4)).detach()
    return trace


def judge_norm(answer: Callable, seed: int = 0) -> str | None:
    """The hint for a batch norm: that of the mistake whose first difference it shares."""
    try:
        got, right = beside(answer, _norm_trace, seed), _norm_trace(BatchNorm, seed)
    except RuntimeError as error:
        if "must match the size" in str(error):
            return "A tensor (C,) lines up with the width, the last dimension: make it (C, 1, 1)."
        raise
    if not got:
        return "forward should return a tensor. Is `return` missing?"
    for part, expected in right.items():
        if text := difference(expected, got[part], 2e-3, 2e-3):
            for n, (changes, hint) in product((0, 1), NORM_MISTAKES.values()):
                theirs = _norm_trace(_broken_norm(changes | {"CORRECTION": n}), seed)
                same = not difference(theirs[part], got[part], 2e-3, 2e-3, nan_equal=True)
                if same and difference(expected, theirs[part], 2e-3, 2e-3):
                    return hint
            return f"{part.capitalize()}: {text}"
    return None


class _OnePass(BatchNorm):  # right: a mean of squares, buffers changed in place, one factor
    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean = x.mean((0, 2, 3))
            var = x.square().mean((0, 2, 3)) - mean**2
            self.running_mean.mul_(0.9).add_(0.1 * mean.detach())
            self.running_var.mul_(0.9).add_(0.1 * var.detach())
        factor = self.weight / (var + 1e-5).sqrt()
        return x * factor.view(EACH_CHANNEL) + (self.bias - mean * factor).view(EACH_CHANNEL)


register(Exercise(
    name="networks.batch_norm", lesson=LESSON, minutes=12, points=2, reference=BatchNorm, methods=("forward",), judge=judge_norm,
    own=(F.batch_norm, torch.native_batch_norm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    wrong=(*(Answer(k, _broken_norm(v), hint) for k, (v, hint) in NORM_MISTAKES.items()),
           Answer("evaluated by the batch, n - 1", _broken_norm({"ALWAYS_BATCH": True, "CORRECTION": 1}), "self.training is False there"), Answer("shape", _broken_norm({"SHAPE": (-1,)}), "lines up with the width")),
    right=(Answer("one pass, in place", _OnePass), Answer("PyTorch's", nn.BatchNorm2d)),
))  # fmt: skip


def join_skip(deep: Tensor, skip: Tensor) -> Tensor:
    """deep (N, C1, h, w), enlarged to skip's size, joined with skip: (N, C1 + C2, H, W)."""
    deep = F.interpolate(deep, skip.shape[-2:], mode="bilinear", align_corners=False)
    return torch.cat([deep, skip], dim=1)


def _to_join(seed: int) -> list[tuple[Tensor, Tensor]]:
    """Pairs (deep, skip); equal channels first: there also sums have a shape."""
    sizes = (((4, 4), (8, 8), (16, 16)), ((3, 5), (8, 8), (16, 16)), ((4, 4), (7, 5), (13, 9)))
    return [
        (_noise(2, a, *small, seed=seed).requires_grad_(), _noise(2, b, *large, seed=seed + 1).requires_grad_())
        for (a, b), small, large in sizes
    ]  # fmt: skip


def observe_skip(answer: Callable, seed: int) -> list[tuple[Any, bool, bool]]:
    """For each pair the result, or the error, and whether gradients reach deep and skip."""
    seen = []
    for deep, skip in _to_join(seed):
        try:
            out = answer(deep, skip)
        except RuntimeError as error:
            seen.append((str(error), False, False))
        else:
            one = isinstance(out, Tensor)
            seen.append(
                (
                    out if one else [type(out).__name__],
                    *(one and _reached(out, x) for x in (deep, skip)),
                )
            )
    return seen


def judge_skip(answer: Callable, seed: int = 0) -> str | None:
    """The hint for a skip connection; None where both parts arrive, each in its own channels."""
    seen = beside(answer, observe_skip, seed)
    for (deep, skip), (out, to_deep, to_skip) in zip(_to_join(seed), seen, strict=True):
        if isinstance(out, str):
            if deep.shape[2:] == (7, 5):
                return "It works for 8 -> 16, not for (7, 5) -> (13, 9): take skip's own size."
            if deep.shape[1] == skip.shape[1]:
                return "Tensors of different sizes cannot be joined: before that, `deep` must have the height and width of `skip`."
            return f"It works with 4 and 4 channels, but not with 3 and 5: {out}"
        if not isinstance(out, Tensor):
            return f"Return a tensor, not {out[0]}. Is `return` missing?"
        if hint := _judge_joined(out, deep, skip, to_skip):
            return hint
        if not (to_skip and to_deep):
            return f"No gradient reaches `{'deep' if to_skip else 'skip'}`: leave out detach and no_grad."
    return None


def _reached(out: Tensor, x: Tensor) -> bool:
    """Whether a gradient flows from `out` to `x`."""
    return out.requires_grad and grad(out.sum(), x, None, True, allow_unused=True)[0] is not None


def _judge_joined(out: Tensor, deep: Tensor, skip: Tensor, to_skip: bool) -> str | None:
    c1, c2 = deep.shape[1], skip.shape[1]
    if out.shape[0] != len(deep):
        return "They are joined as if they were further pictures: channels are the second dimension, dim=1."
    if out.shape[2:] == deep.shape[2:]:
        return "The result has the size of `deep`: its edges are lost again. Enlarge deep instead."
    if out.shape[2:] != skip.shape[2:]:
        return "They are joined along the height or width: channels are the second one, dim=1."
    if out.shape[1] != c1 + c2:
        if not to_skip:
            return "`skip` is missing in the result: concatenate the enlarged `deep` and `skip`."
        return f"{c1} and {c2} channels should become {c1 + c2}, not {out.shape[1]}. Adding them would be a residual connection; here they are concatenated."
    for deep_part, skip_part in ((out[:, :c1], out[:, c1:]), (out[:, c2:], out[:, :c2])):
        if torch.allclose(skip_part, skip, atol=1e-5):
            near = F.interpolate(deep, skip.shape[-2:], mode="nearest")
            alike = torch.corrcoef(torch.stack([near.flatten(), deep_part.flatten()]))[0, 1]
            return None if alike > 0.6 else "The enlarged `deep` does not look like `deep`."
    return "`skip` should arrive unchanged in channels of its own."


register(Exercise(
    name="networks.skip", lesson=LESSON, minutes=4, reference=join_skip, judge=judge_skip,
    wrong=(
        Answer("added", lambda d, s: F.interpolate(d, s.shape[-2:]) + s, "a residual connection"),
        Answer("omitted", lambda d, s: F.interpolate(d, s.shape[-2:]), "`skip` is missing"),
        Answer("along the pictures", lambda d, s: torch.cat([F.interpolate(d, s.shape[-2:]), s], 0), "further pictures"),
        Answer("along the height", lambda d, s: torch.cat([F.interpolate(d, s.shape[-2:]), s], 2), "height or width"),
        Answer("detached", lambda d, s: join_skip(d, s.detach()), "No gradient reaches `skip`"),
        Answer("deep detached", lambda d, s: join_skip(d.detach(), s), "No gradient reaches `deep`"),
        Answer("not enlarged", lambda d, s: torch.cat([d, s], 1), "before that, `deep` must have"),
        Answer("skip made small", lambda d, s: torch.cat([d, F.adaptive_avg_pool2d(s, d.shape[-2:])], 1), "has the size of `deep`"),
        Answer("always twice", lambda d, s: torch.cat([_up(d), s], 1), "take skip's own size"),
        Answer("skip lost", lambda d, s: torch.cat([_up(d), _up(d)[:, :1].expand_as(s)], 1), "arrive unchanged in channels of its own"),
    ),
    right=(Answer("skip first, nearest", lambda d, s: torch.cat([s, F.interpolate(d, size=s.shape[2:])], 1)),),
))  # fmt: skip


def enlarge(deep: Tensor, skip: Tensor) -> Tensor:
    """deep (N, C1, h, w) alone, enlarged to skip's size: what a network without skips passes on."""
    return F.interpolate(deep, skip.shape[-2:], mode="bilinear", align_corners=False)


def _double_conv(a: int, b: int) -> nn.Sequential:
    layers = []
    for before in (a, b):
        layers += [nn.Conv2d(before, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers)


class SkipUNet(models.Network):
    """The lesson's U-Net, with skips or without; `compute` is what the student writes."""

    def __init__(self, width: int = 16, depth: int = 3, skips: bool = True) -> None:
        super().__init__()
        self.stride, self.join = 2**depth, join_skip if skips else enlarge
        pairs = list(pairwise([width * 2**k for k in range(depth + 1)]))
        self.first = _double_conv(1, width)
        self.downs = nn.ModuleList(_double_conv(a, b) for a, b in pairs)
        ups = [(b + a * skips, a) for a, b in reversed(pairs)]
        self.ups = nn.ModuleList(_double_conv(a, b) for a, b in ups)
        self.head = nn.Conv2d(width, 2, 1)

    def compute(self, x: Tensor) -> Tensor:
        return _compute(self, x)


def _compute(
    net: nn.Module, x: Tensor, pool: Callable = F.max_pool2d, pool_last: bool = False,
    scale: float = 50.0, end: Callable = lambda x: x, head: bool = True, order: int = -1,
    kept_input: bool = False, keep_deepest: bool = False, direct: bool = False, turned: bool = False, block_first: bool = False,
) -> Tensor:  # fmt: skip
    """Down, up and the head; or with one mistake put in."""
    kept = [x if kept_input else net.first(x)]
    for down in net.downs:
        now = net.first(x) if kept_input and len(kept) == 1 else kept[-1]
        kept.append(pool(down(now), 2) if pool_last else down(pool(now, 2)))
    deep = kept[-1] if keep_deepest else kept.pop()
    for up in net.ups:
        skip = kept.pop(order)
        join = join_skip if direct else net.join
        pair = (skip, deep) if turned else (deep, skip)
        deep = join(up(deep), skip) if block_first else up(join(*pair))
    return end(scale * net.head(deep)) if head else deep


UNET_MISTAKES = {  # what is changed, and its hint; the last ones stop with an error
    "no pooling": ({"pool": lambda x, _: x}, "Nothing is made smaller on the way down"),
    "mean pooling": ({"pool": F.avg_pool2d}, "The way down takes means: max_pool2d was asked for"),
    "pooled afterwards": ({"pool_last": True}, "Halve first, then convolve"),
    "not scaled": ({"scale": 1.0}, "Multiply by 50 at the end"),
    "bounded": ({"end": lambda x: 50 * torch.tanh(x / 50)}, "Leave out tanh: it limits ab to ±50"),
    "ReLU at the end": ({"end": F.relu}, "Leave out the ReLU at the end: a and b may be negative"),
    "no head": ({"head": False}, "The head is missing"),
    "turned round": ({"turned": True}, "The order is self.join(deep, skip): the first is enlarged"),
}
UNET_ERRORS = {
    "oldest first": ({"order": 0}, "last in, first out"),
    "input kept": ({"kept_input": True}, "You keep the input"),
    "deepest kept": ({"keep_deepest": True}, "take them out of the list first"),
    "block before join": ({"block_first": True}, "Join first, then apply the block"),
    "joined directly": ({"direct": True}, "Call self.join"),
}


def _unet(**changes) -> type:
    return type("UNet", (SkipUNet,), {"compute": partialmethod(_compute, **changes)})


def _unet_parts(depth: int, skips: bool, seed: int) -> nn.ModuleDict:
    """The blocks of a U-Net of width 8, without batch norm, for that of a student may be wrong."""
    torch.manual_seed(seed)
    pairs = list(pairwise([8 * 2**k for k in range(depth + 1)]))
    block = lambda a, b: nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU())  # noqa: E731
    downs = [block(a, b) for a, b in pairs]
    ups = [block(b + a * skips, a) for a, b in reversed(pairs)]
    lists = {"downs": nn.ModuleList(downs), "ups": nn.ModuleList(ups)}
    return nn.ModuleDict({"first": block(1, 8), **lists, "head": nn.Conv2d(8, 2, 1)})


def observe_unet(answer: Callable, depth: int, skips: bool, seed: int) -> tuple[Any, str, bool]:
    """What `compute` gives with known blocks, what stopped it, and whether it called self.join."""
    torch.manual_seed(0)
    net, called = answer(8, depth, skips), []
    if not isinstance(net, nn.Module):
        return None, f"Return a torch module, not {type(net).__name__}.", False
    for name, part in _unet_parts(depth, skips, seed).items():
        setattr(net, name, part)

    def join(deep: Tensor, skip: Tensor) -> Tensor:
        called.append(True)
        deep = F.interpolate(deep, skip.shape[-2:], mode="bilinear", align_corners=False)
        return torch.cat([deep, skip], 1) if skips else deep

    net.eval().join = join
    try:
        return net.compute(_noise(2, 1, 16, 24, seed=seed)), "", bool(called)
    except RecursionError:
        return None, "compute calls itself: self(x) calls compute again.", False
    except (RuntimeError, IndexError) as error:
        return None, f"torch: {error}", False


def judge_unet(answer: Callable, seed: int = 0) -> str | None:
    """The hint for a U-Net's `compute`; None where it gives what the reference gives."""
    for depth, skips in ((2, True), (3, True), (2, False)):
        out, error, called = beside(answer, observe_unet, depth, skips, seed)
        if error:
            return _unet_error(error[7:], depth) if error.startswith("torch: ") else error
        if not isinstance(out, Tensor):
            return f"Return a tensor, not {type(out).__name__}. Is `return` missing?"
        if not called:
            return "Call self.join(deep, skip), not join_skip: __init__ chose the function."
        net, x = SkipUNet(8, depth, skips), _noise(2, 1, 16, 24, seed=seed)
        for name, part in _unet_parts(depth, skips, seed).items():
            setattr(net, name, part)
        if not difference(_compute(net, x), out, 1e-3, 1e-3):
            continue
        for changes, hint in UNET_MISTAKES.values():
            if not difference(_compute(net, x, **changes), out, 1e-3, 1e-3):
                return f"{hint}."
        return f"With depth {depth}: {difference(_compute(net, x), out, 1e-3, 1e-3)}"
    return None


def _unet_error(error: str, depth: int) -> str:
    numbers = [int(word) for word in error.split() if word.isdigit()] if "channels" in error else []
    expected, got = numbers[:2] or (0, 0)
    if got == 2 * 8 * 2**depth:
        return "The deepest features are joined with themselves: take them out of the list first, for example by kept.pop()."
    if got == 17:
        return "You keep the input itself: the first features to keep are those of self.first."
    if got == 8 * 2**depth:
        return "The deepest features reach a block without a skip. Join first, then apply the block: up(self.join(deep, skip))."
    if got == 8 * 2**depth + 8:
        return "The wrong features meet. What was kept last is needed first: last in, first out."
    if got:
        return f"A block got {got} channels and expected {expected}: check what you join, and in which order."
    return f"With depth {depth} it stops: {error}"


class _Zipped(SkipUNet):
    def compute(self, x: Tensor) -> Tensor:
        x, kept = self.first(x), []
        for down in self.downs:
            kept.append(x)
            x = down(nn.MaxPool2d(2)(x))
        for up, skip in zip(self.ups, reversed(kept), strict=True):
            x = up(self.join(x, skip))
        return self.head(x) * 50


register(Exercise(
    name="networks.unet", lesson=LESSON, minutes=15, points=3, reference=SkipUNet, methods=("compute",), judge=judge_unet, own=(models.UNet,),
    wrong=tuple(Answer(k, _unet(**v), x) for k, (v, x) in (UNET_MISTAKES | UNET_ERRORS).items()),
    right=(Answer("without a stack", _Zipped),),
))  # fmt: skip


CLINIC_MISTAKES = (  # run, what it is called, what the hint points at
    ("E", "healthy", "its validation beside its test error"),
    ("C", "leaked validation set", "nothing is wrong with"),
    ("D", "colour jitter", "where the colours of its batch lie"),
    ("F", "L flipped, ab not", "the colours of its batch, beside"),
    ("A", "leaked validation set", "when a picture is judged alone"),
    ("B", "healthy", "the teeth of its loss"),
    ("B", "bad luck", "'bad luck' is not one of"),
)

register(Exercise(
    name="networks.clinic", lesson=LESSON, minutes=8, core=False, reference=data_clinic.names, judge=lambda answer: data_clinic.hint(answer()),
    own=(data_clinic.diagnosis,),
    wrong=(
        Answer("nothing named", lambda: {}, "Still to be named: run A, B"),
        *(Answer(f"{name} for {run}", partial(data_clinic.names, **{run: name}), hint)for run, name, hint in CLINIC_MISTAKES),
    ),
    right=(Answer("in another order", lambda: dict(reversed(data_clinic.names().items()))), Answer("capitals", lambda: data_clinic.names(C="Healthy"))),
))  # fmt: skip

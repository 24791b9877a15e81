"""Lesson 2, overfit one photograph: the arithmetic, the network, the loop, a curve, the clinic."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_pre_hook

from colorcourse.checking import difference
from colorcourse.clinic import HEALTHY
from colorcourse.exercises import Answer, Case, Exercise, register
from colorcourse.lesson02 import clinic
from colorcourse.lesson02.clinic import training_clinic
from colorcourse.lesson02.overfit import Conv, arithmetic, fit
from colorkit.data.pictures import photograph
from colorkit.models.cnn import DilatedCNN, group
from colorkit.models.colorizer import AB_SCALE

LESSON = "02_overfit"

# --- several numbers at once ----------------------------------------------------------------------


def judge_parts(
    reference: Callable, cases: Sequence[Case], mistakes: Sequence[Answer], parts: Sequence[str]
) -> Callable[[Callable], str | None]:
    """A judge of answers of several numbers: each is compared on its own with known mistakes.

    So two mistakes at once are still told, one after the other.
    """

    def judge(answer: Callable) -> str | None:
        given = [answer(*case.args()) for case in cases]
        if any(values is None for values in given):
            return "Your function returned None. Is `return` missing?"
        if bad := [v for v in given if not isinstance(v, tuple | list) or len(v) != len(parts)]:
            return f"Return {len(parts)} values: {', '.join(parts)}. Yours returned {bad[0]!r:.60}."
        right = [reference(*case.args()) for case in cases]
        for i, part in enumerate(parts):
            mine, wanted = ([v[i] for v in values] for values in (given, right))
            if not difference(wanted, mine, 1e-4, 1e-4):
                continue
            for mistake in mistakes:
                known = [mistake.answer(*case.args())[i] for case in cases]
                wrong = difference(wanted, known, 1e-4, 1e-4)
                if wrong and not difference(known, mine, 1e-4, 1e-4):
                    return mistake.hint
            pairs = zip(cases, wanted, mine, strict=True)
            case, text = next((c, t) for c, w, m in pairs if (t := difference(w, m, 1e-4, 1e-4)))
            return f"On {case.label}, {part}: {text}"
        return None

    return judge


# --- arithmetic -----------------------------------------------------------------------------------


def _arithmetic(
    sides: int = 2,
    one: int = 1,
    dilated: bool = True,
    bias: int = 1,
    shared: bool = True,
    strided: bool = True,
    squared: bool = True,
    whole: bool = True,
) -> Callable[[int, Sequence[Conv]], tuple[int, int, int]]:
    """The arithmetic with one mistake put in."""

    def answer(size: int, layers: Sequence[Conv]) -> tuple[int, int, int]:
        parameters, seen, step = 0, 1, 1
        for c in layers:
            span = (c.dilation if dilated else 1) * (c.kernel - 1) + 1
            size = (size + sides * c.padding - span) / c.stride + one
            size = math.floor(size) if whole else size
            weights = c.channels_out * (c.channels_in * c.kernel ** (2 if squared else 1) + bias)
            parameters += weights if shared else weights * size * size
            seen += (span - 1) * step
            step *= c.stride if strided else 1
        return size, parameters, seen

    return answer


def _sum_of_kernels(size: int, layers: Sequence[Conv]) -> tuple[int, int, int]:
    size_out, parameters, _ = _arithmetic()(size, layers)
    return size_out, parameters, sum(c.dilation * (c.kernel - 1) + 1 for c in layers)


def _backwards(size: int, layers: Sequence[Conv]) -> tuple[int, int, int]:
    """Another right way: the receptive field from the last layer to the first."""
    seen = 1
    for c in reversed(layers):
        seen = seen * c.stride + (c.dilation * (c.kernel - 1) + 1 - c.stride)
    for c in layers:
        size = math.floor((size + 2 * c.padding - c.dilation * (c.kernel - 1) - 1) / c.stride + 1)
    kernels = sum(c.channels_in * c.channels_out * c.kernel * c.kernel for c in layers)
    return size, kernels + sum(c.channels_out for c in layers), seen


def _by_torch(size: int, layers: Sequence[Conv]) -> tuple[int, int, int]:
    """Another right way: build the layers and look."""
    convs = [nn.Conv2d(c[0], c[1], c[2], c[3], c[4], c[5]) for c in layers]
    x = torch.zeros(1, layers[0].channels_in, size, size)
    for conv in convs:
        x = conv(x)
    count = sum(p.numel() for conv in convs for p in conv.parameters())
    return x.shape[-1], count, _backwards(size, layers)[2]


ARITHMETIC_CASES = (
    Case("one 3 x 3 layer without padding", lambda: (32, (Conv(1, 16, 3, padding=0),))),
    Case("one padded 3 x 3 layer", lambda: (32, (Conv(1, 16, 3),))),
    Case("a 5 x 5 layer of dilation 3", lambda: (40, (Conv(3, 8, 5, 1, 4, 3),))),
    Case("stride 2, then 3 x 3", lambda: (34, (Conv(1, 4, 3, 2, 1), Conv(4, 2, 3)))),
    Case("three layers",
         lambda: (64, (Conv(1, 8, 7, 2, 3), Conv(8, 8, 3, 1, 2, 2), Conv(8, 2, 1, 1, 0)))),
)  # fmt: skip
ARITHMETIC_MISTAKES = (
    Answer("padding once", _arithmetic(sides=1),
           "Padding is added on both sides: it counts twice."),
    Answer("plus one forgotten", _arithmetic(one=0),
           "Count the positions of the kernel, not the steps between them: one more."),
    Answer("dilation ignored", _arithmetic(dilated=False),
           "A dilated kernel spans d (k - 1) + 1 pixels"),
    Answer("parameters times pixels", _arithmetic(shared=False),
           "The same weights are used at every pixel: the size of the picture does not matter."),
    Answer("bias forgotten", _arithmetic(bias=0), "Each output channel also has one bias."),
    Answer("stride left out of the field", _arithmetic(strided=False),
           "After a layer of stride 2 neighbouring pixels lie 2 input pixels apart, and what follows reaches twice as far."),
    Answer("fields added whole", _sum_of_kernels,
           "Each layer adds its span minus one: the centre pixel was counted already"),
    Answer("kernel not squared", _arithmetic(squared=False),
           "A kernel is a square of k x k weights for each pair of channels."),
    Answer("not rounded down", _arithmetic(whole=False),
           "Where the stride does not divide, the last position is dropped: round down."),
)  # fmt: skip

register(Exercise(
    name="overfit.arithmetic", lesson=LESSON, minutes=9,
    reference=arithmetic, wrong=ARITHMETIC_MISTAKES, judge=judge_parts(
        arithmetic, ARITHMETIC_CASES, ARITHMETIC_MISTAKES,
        ("output size", "number of parameters", "receptive field"),
    ),
    right=(Answer("from the last layer", _backwards), Answer("by torch", _by_torch)),
))  # fmt: skip

# --- the network ----------------------------------------------------------------------------------

_ERRORS = (  # what torch says, and what to make of it
    ("cannot assign module before", "`super().__init__()` must be the first line of `__init__`."),
    ("has no attribute '_modules'", "`super().__init__()` must be the first line of `__init__`."),
    ("channels, but got", "A layer gets another number of channels than it was made for: the first gets one, the others `kernels`."),
    ("Expected more than 1 spatial", "The picture shrinks away: convolutions must keep the size."),
)  # fmt: skip


def _plain_words(error: Exception) -> str:
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    hint = next((hint for part, hint in _ERRORS if part in text), "")
    return f"{hint} (torch said: {text})" if hint else f"{type(error).__name__}: {text}"


def judge_net(answer: type) -> str | None:
    """The hint for a network class, judged by what its networks do; None where it is right."""
    try:
        torch.manual_seed(0)
        net, wider = answer(8), answer(16)
        out = net(_test_picture()[0])
    except Exception as error:
        return _plain_words(error)
    return _wrong_shape(out) or _wrong_weights(net, wider) or _wrong_behaviour(net)


@cache
def _test_picture() -> tuple[Tensor, Tensor]:
    """L and ab of a picture in which colour depends on the surroundings, far beyond +-1."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(44.0), indexing="ij")
    L = 50 + 30 * torch.sin(x / 3) * torch.cos(y / 4)
    ab = torch.stack([60 * torch.cos(x / 5), 60 * torch.sin(y / 6) - 10])
    return L[None, None], ab[None]


def _wrong_shape(out: object) -> str | None:
    if not isinstance(out, Tensor):
        return "forward must return a tensor. Is `return` missing?"
    if out.ndim != 4 or out.shape[1] != 2:
        return f"The output has shape {tuple(out.shape)}, but ab has two channels: (N, 2, H, W) was asked for."
    if out.shape[-2:] != (40, 44):
        return f"A picture of 40 x 44 comes out as {out.shape[-2]} x {out.shape[-1]}. Pad each convolution so that it keeps the size: by its dilation, for 3 x 3 kernels."
    return None


def _wrong_weights(net: nn.Module, wider: nn.Module) -> str | None:
    count, more = (sum(p.numel() for p in n.parameters()) for n in (net, wider))
    if count == 0:
        return "The network has no parameters that torch knows of. Layers in a plain list are not registered: use nn.Sequential or nn.ModuleList."
    if more <= 1.5 * count:
        return "The number of kernels makes no difference: use the argument `kernels`."
    L, ab = _test_picture()
    F.mse_loss(net(L), ab).backward()
    idle = [name for name, p in net.named_parameters() if p.grad is None]
    if idle:
        return f"No gradient reaches {idle[0]}: forward does not use that layer."
    if count < 1500:
        return f"With 8 kernels your network has {count} parameters; five groups of 3 x 3 kernels make about 2,500. Are layers missing, or left in a plain list where torch cannot find them?"
    return None


def _wrong_behaviour(net: nn.Module) -> str | None:
    L, ab = _test_picture()
    if _is_affine(net):
        return "Convolutions in a row, with nothing between them, make one big convolution. Put a ReLU after each group."
    if (field := _measured_field(net)) < 20:
        return f"A pixel of the output depends on {field} x {field} pixels of L only. Use the given dilations: they should make 33 x 33."
    losses = fit(net, lambda: (L, ab), 50, 1e-2)
    with torch.no_grad():
        out = net(L)
    if out.min() >= 0:
        return "The output is never negative, so half of the ab plane cannot be reached. The last layer needs no ReLU."
    if out.abs().max() < 30:
        return f"After 50 steps the output still lies between {out.min():.1f} and {out.max():.1f}, where ab was asked for in Lab units. Multiply by {AB_SCALE:g} at the end, with no activation after the last layer."
    if losses[-1] > 0.25 * float(ab.square().mean()):
        return f"The network hardly learns: after 50 steps the loss is {losses[-1]:.0f}, and gray scores {ab.square().mean():.0f}. Is each convolution followed by a normalisation and a ReLU, and is L brought to about -2 ... 2 first?"
    return None


NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


@contextmanager
def _bare(net: nn.Module) -> Iterator[None]:
    """Norms pass their input on (they mix the whole picture a little), and biases are zero.

    Without norms the small signal of a fresh network would drown in its biases.
    """
    handles = [
        m.register_forward_hook(lambda _m, x, _out: x[0])
        for m in net.modules()
        if isinstance(m, NORMS)
    ]
    biases = [p for name, p in net.named_parameters() if name.endswith("bias")]
    kept = [p.detach().clone() for p in biases]
    try:
        for p in biases:
            p.data.zero_()
        yield
    finally:
        for p, value in zip(biases, kept, strict=True):
            p.data.copy_(value)
        for handle in handles:
            handle.remove()


def _measured_field(net: nn.Module) -> int:
    """The height of the region of L that one output pixel depends on, by its gradient.

    Few paths survive the ReLUs of one pixel, so the largest region over some noise pictures counts.
    """
    generator = torch.Generator().manual_seed(0)
    heights = []
    for _ in range(8):
        probe = (100 * torch.rand(1, 1, 44, 44, generator=generator)).requires_grad_()
        with _bare(net):
            net(probe)[0, :, 22, 22].abs().sum().backward()
        rows = probe.grad[0, 0].abs().sum(1)
        seen = (rows > 0).nonzero().flatten()
        heights.append(int(seen[-1] - seen[0] + 1) if len(seen) else 0)
    net.zero_grad()
    return max(heights)


@torch.no_grad()
def _is_affine(net: nn.Module) -> bool:
    """Whether the network gives the mean of two pictures the mean of their colours."""
    one, two = 100 * torch.rand(2, 1, 1, 24, 24, generator=torch.Generator().manual_seed(1))
    with _bare(net):
        both, middle = (net(one) + net(two)) / 2, net((one + two) / 2)
    return bool((both - middle).abs().max() < 1e-3 * both.abs().max())


class _Then(nn.Module):
    """The network, and what is done to its output."""

    def __init__(self, then: Callable, kernels: int) -> None:
        super().__init__()
        self.net, self.then = DilatedCNN(kernels), then

    def forward(self, L):
        return self.then(self.net(L))


class _PlainList(DilatedCNN):
    def __init__(self, kernels=32):
        super().__init__(kernels)
        self.layers, self.groups = list(self.groups), None

    def forward(self, L):
        x = (L - 50) / 25
        for layer in self.layers:
            x = layer(x)
        return AB_SCALE * self.head(x)


class _NoSuper(DilatedCNN):
    def __init__(self, kernels=32):
        self.groups = group(1, kernels, 1)


def _changed(kernels: int, change: Callable[[DilatedCNN], object]) -> DilatedCNN:
    net = DilatedCNN(kernels)
    change(net)
    return net


class _Functional(nn.Module):
    """Right: one layer after the other, functional activations, no bias before the norm."""

    def __init__(self, kernels=32):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(1 if d == 0 else kernels, kernels, 3, padding=p, dilation=p, bias=False)
            for d, p in enumerate((1, 2, 4, 8, 1))
        )
        self.norms = nn.ModuleList(nn.InstanceNorm2d(kernels, affine=True) for _ in range(5))
        self.last = nn.Conv2d(kernels, 2, 3, padding=1)

    def forward(self, L):
        x = L / 50 - 1
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), 0.1)
        return self.last(x) * 50


class _BatchNorm(nn.Module):
    """Right: batch normalisation, "same" padding, another scale."""

    def __init__(self, kernels=32):
        super().__init__()
        layers, before = [], 1
        for d in (1, 2, 4, 8, 1):
            conv = nn.Conv2d(before, kernels, 3, padding="same", dilation=d)
            layers += [conv, nn.BatchNorm2d(kernels), nn.ReLU()]
            before = kernels
        self.body = nn.Sequential(*layers, nn.Conv2d(kernels, 2, 1))

    def forward(self, L):
        return 110 * self.body(L / 100)


register(Exercise(
    name="overfit.net", lesson=LESSON, minutes=12, points=2,
    reference=DilatedCNN, methods=("__init__", "forward"), judge=judge_net,
    time_limit=30,
    wrong=(
        Answer("output not scaled", lambda k: _Then(lambda x: x / AB_SCALE, k),
               "Multiply by 50 at the end"),
        Answer("ReLU on the output", lambda k: _Then(F.relu, k),
               "half of the ab plane cannot be reached"),
        Answer("tanh at the end", lambda k: _Then(lambda x: torch.tanh(x / AB_SCALE), k),
               "where ab was asked for in Lab units"),
        Answer("padding 1 everywhere",
               lambda k: _changed(k, lambda x: [setattr(g[0], "padding", 1) for g in x.groups]),
               "Pad each convolution so that it keeps"),
        Answer("no dilation", lambda k: DilatedCNN(k, dilations=(1, 1, 1, 1, 1)),
               "depends on 11 x 11 pixels"),
        Answer("a plain list", _PlainList, "Are layers missing, or left in a plain list"),
        Answer("no super().__init__()", _NoSuper, "must be the first line of `__init__`"),
        Answer("no return", lambda k: _Then(lambda x: None, k), "Is `return` missing?"),
        Answer("three channels",
               lambda k: _changed(k, lambda x: setattr(x, "head", nn.Conv2d(k, 3, 1))),
               "but ab has two channels"),
        Answer("kernels ignored", lambda k: DilatedCNN(8), "use the argument `kernels`"),
        Answer("no activation", lambda k: _changed(k, lambda x: [g.pop(2) for g in x.groups]),
               "make one big convolution"),
    ),
    right=(Answer("functional style", _Functional),
           Answer("batch norm, one Sequential", _BatchNorm)),
))  # fmt: skip

# --- the loop -------------------------------------------------------------------------------------


@dataclass
class _Trace:
    """What a training loop did to a tiny model: nothing in it depends on how it was written."""

    losses: list[float] = field(default_factory=list)
    final: float = 0.0
    seen: list[int] = field(default_factory=list)  # the numbers given to `after`
    gradients: list = field(default_factory=list)  # of each backward()
    steps: list = field(default_factory=list)  # of each optimizer.step()
    problem: str = ""


class _Line(nn.Module):
    """ab = weight * L: one weight, so that its path shows everything."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, L: Tensor) -> Tensor:
        return (self.weight * L).expand(-1, 2, -1, -1)


def trace_loop(answer: Callable) -> _Trace:
    """Run a training loop on a model with one weight and note all that can be seen from outside."""
    net, trace = _Line(), _Trace()
    generator = torch.Generator().manual_seed(0)

    def batch() -> tuple[Tensor, Tensor]:
        L = torch.rand(2, 1, 3, 3, generator=generator) + 0.5
        return L, (1.5 * L).expand(-1, 2, -1, -1).clone()

    net.weight.register_hook(lambda gradient: trace.gradients.append(gradient))
    handle = register_optimizer_step_pre_hook(lambda *step: trace.steps.append(step))
    try:
        losses = answer(net, batch, 12, 0.1, lambda step: trace.seen.append(int(step)))
    except Exception as error:
        trace.problem = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        return trace
    finally:
        handle.remove()
    trace.final = net.weight.item()
    losses = losses.tolist() if isinstance(losses, Tensor) else losses
    if losses is None:
        trace.problem = "Your function returned None. Is `return` missing?"
    elif not isinstance(losses, list | tuple):
        trace.problem = "Return the list of all losses, one a step, not only the last."
    else:
        trace.losses = [v.item() if isinstance(v, Tensor) else float(v) for v in losses]
    return trace


def _same_trace(a: _Trace, b: _Trace, parts: tuple[str, ...]) -> bool:
    return a.problem.split(":")[0] == b.problem.split(":")[0] and all(
        not difference(getattr(a, p), getattr(b, p), 1e-5, 1e-4, nan_equal=True) for p in parts
    )


PATH = ("losses", "final")  # what training did, however it was watched
_PROBLEMS = (
    ("has no attribute 'backward'", ".item() gives a number without a graph: backward() first."),
    ("does not require grad", "The loss has no graph. Compute it from net(L), without no_grad, detach or .item() in between."),
    ("backward through the graph a second time", "backward() is called twice on one graph: the forward pass belongs into the loop."),
)  # fmt: skip


def judge_loop(answer: Callable) -> str | None:
    """The hint for a training loop, judged by the path of a weight; None where it is right."""
    trace, right = trace_loop(answer), trace_loop(fit)
    if trace.problem:
        return next((hint for part, hint in _PROBLEMS if part in trace.problem), trace.problem)
    if trace.final == _Line().weight.item():
        if not trace.gradients:
            return NO_BACKWARD
        return STANDS_STILL if trace.steps else NO_STEP
    for mistake in LOOP_MISTAKES:
        theirs = trace_loop(mistake.answer)
        only_watched = _same_trace(theirs, right, PATH)  # trains rightly, calls after wrongly
        if _same_trace(trace, theirs, (*PATH, "seen") if only_watched else PATH):
            return mistake.hint
    if len(trace.losses) != 12:
        return f"For 12 steps 12 losses were expected, but these are {len(trace.losses)}."
    if trace.seen != right.seen:
        return f"after(step) should get 1, 2, ..., 12; it got {trace.seen or 'no call'}."
    if difference(right.losses, trace.losses, 1e-4, 1e-3):
        return f"The losses differ from those of Adam with the given learning rate: the first three are {_three(trace.losses)}, expected {_three(right.losses)}."
    if difference(right.final, trace.final, 1e-4, 1e-3):
        return "The losses are right, but the last weights are not: is a step missing or too many?"
    return None


def _three(values: list[float]) -> str:
    return ", ".join(f"{v:.3g}" for v in values[:3])


def _loop(
    zero: str = "first",
    inside: bool = False,
    once: bool = False,
    backward: bool = True,
    step: bool = True,
    optimizer: type = torch.optim.Adam,
    measure: Callable = F.mse_loss,
    fixed_lr: float | None = None,
    start: int = 1,
    keep: Callable = lambda loss: loss.item(),
    call_after: bool = True,
) -> Callable:
    """A training loop with one thing changed."""

    def answer(net, batch, steps, lr, after):
        rate = lr if fixed_lr is None else fixed_lr
        opt, losses = optimizer(net.parameters(), lr=rate), []
        data = batch() if once else None
        for i in range(start, start + steps):
            L, ab = data if once else batch()
            if inside:
                opt = optimizer(net.parameters(), lr=rate)
            loss = measure(net(L), ab)
            if zero == "first":
                opt.zero_grad()
            if backward:
                loss.backward()
            if zero == "between":
                opt.zero_grad(set_to_none=False)
            if step:
                opt.step()
            if zero == "last":
                opt.zero_grad()
            losses.append(keep(loss))
            if call_after:
                after(i)
        return losses

    return answer


def _by_hand(net, batch, steps, lr, after):
    """Right: gradients by torch.autograd.grad, losses collected in a tensor."""
    parameters = list(net.parameters())
    optimizer, losses = torch.optim.Adam(parameters, lr), torch.zeros(steps)
    for i in range(steps):
        L, ab = batch()
        loss = ((net(L) - ab) ** 2).mean()
        for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            p.grad = g
        optimizer.step()
        losses[i] = loss.detach()
        after(i + 1)
    return losses


STANDS_STILL = (
    "The weights stand still: zero_grad() between backward() and step() throws the gradient away."
)
NO_BACKWARD = "No gradient was ever computed: loss.backward() is missing."
NO_STEP = "The weights never change: optimizer.step() is missing."
LOOP_MISTAKES = (
    Answer("no zero_grad", _loop(zero="never"),
           "Gradients add up from step to step: their norm grows. Empty them with zero_grad() once a step."),
    Answer("zero_grad between", _loop(zero="between"), STANDS_STILL),
    Answer("no step", _loop(step=False), NO_STEP),
    Answer("optimizer inside", _loop(inside=True),
           "A new optimizer at each step forgets its memory of past gradients: make it once, before the loop."),
    Answer("one batch", _loop(once=True),
           "Call batch() inside the loop: each step gets a new one."),
    Answer("SGD", _loop(optimizer=torch.optim.SGD),
           "This is plain gradient descent; Adam was asked for."),
    Answer("L1", _loop(measure=F.l1_loss),
           "This is the mean absolute error; the mean squared error was asked for."),
    Answer("summed", _loop(measure=lambda p, t: F.mse_loss(p, t, reduction="sum")),
           "The squared errors are summed; take their mean."),
    Answer("own rate", _loop(fixed_lr=1e-3), "The argument lr is not used."),
    Answer("counts from 0", _loop(start=0),
           "after(step) gets the number of steps done: 1, 2, ..., not from 0."),
    Answer("after not called", _loop(call_after=False),
           "after(step) is never called: the lesson keeps its snapshots with it."),
)  # fmt: skip

register(Exercise(
    name="overfit.loop", lesson=LESSON, minutes=10, points=2,
    reference=fit, judge=judge_loop,
    wrong=(
        *LOOP_MISTAKES,
        Answer("item before backward", _loop(measure=lambda p, t: F.mse_loss(p, t).item()),
               ".item() gives a number without a graph"),
        Answer("no backward", _loop(backward=False), NO_BACKWARD),
        Answer("under no_grad", torch.no_grad()(_loop()), "The loss has no graph"),
        Answer("only the last loss", lambda *args: _loop()(*args)[-1],
               "Return the list of all losses"),
    ),
    right=(
        Answer("zero_grad last", _loop(zero="last")),
        Answer("losses as tensors", _loop(keep=lambda loss: loss)),
        Answer("autograd.grad and a tensor of losses", _by_hand),
    ),
))  # fmt: skip

# --- reading a curve ------------------------------------------------------------------------------


def read_curve(losses: Sequence[float], baseline: float) -> tuple[int, float, bool]:
    """Three readings of a curve of at least 40 losses.

    The index of the first loss below the baseline (-1 where there is none); the mean of the last 20
    losses; whether that mean is below 0.95 times the mean of the 20 before: still falling.

    >>> read_curve([100.0] * 30 + [10.0] * 40, baseline=50)
    (30, 10.0, False)
    """
    below = [i for i, loss in enumerate(losses) if loss < baseline]
    last, before = sum(losses[-20:]) / 20, sum(losses[-40:-20]) / 20
    return (below[0] if below else -1), last, last < 0.95 * before


def _curve(slope: float, noise: float, steps: int = 80, floor: float = 2.0) -> list[float]:
    generator = torch.Generator().manual_seed(steps)
    t = torch.arange(steps)
    wobble = 1 + noise * (torch.rand(steps, generator=generator) - 0.5)
    return ((floor + 500 * torch.exp(-slope * t)) * wobble).tolist()


def _reading(first="baseline", end="mean", falling="ratio", never=-1) -> Callable:
    """The reading with one mistake put in."""

    def answer(losses, baseline):
        bar = losses[0] if first == "first loss" else baseline
        below = [i for i, loss in enumerate(losses) if loss < bar]
        at = below[0] if below else never
        if first == "counts":
            at = len(below)
        elif first == "from one" and below:
            at += 1
        elif first == "end" and not below:
            at = len(losses) - 1
        last, before = sum(losses[-20:]) / 20, sum(losses[-40:-20]) / 20
        ends = {"mean": last, "last": losses[-1], "lowest": min(losses)}
        fall = {
            "ratio": last < 0.95 * before,
            "any": last < before,
            "difference": before - last > 0.95,
            "ends": losses[-1] < 0.95 * losses[-21],
            "from the start": last < 0.95 * losses[0],
        }
        return at, ends[end], fall[falling]

    return answer


def _by_tensor(losses, baseline):
    """Right: tensors all the way."""
    x = torch.tensor(list(losses))
    hits = torch.nonzero(x < baseline).flatten()
    last, before = x[-20:].mean(), x[-40:-20].mean()
    return int(hits[0]) if len(hits) else -1, last, bool(last / before < 0.95)


CURVE_CASES = (
    Case("a curve that still falls", lambda: (_curve(0.03, 0.1), 200.0)),
    Case("a curve that fell and is flat", lambda: (_curve(0.5, 0.2), 100.0)),
    Case("a curve that never beats the baseline", lambda: (_curve(0.0, 0.3), 40.0)),
    Case("a slow, noisy curve", lambda: (_curve(0.02, 0.6, 200), 300.0)),
    Case("a curve that falls by 3%", lambda: (_curve(0.0015, 0.0, 100), 480.0)),
)  # fmt: skip
CURVE_MISTAKES = (
    Answer("against the first loss", _reading(first="first loss"),
           "Compare with the baseline, not with the first loss"),
    Answer("last loss", _reading(end="last"), "One loss is noisy: average the last 20."),
    Answer("lowest loss", _reading(end="lowest"), "The lowest loss is luck: average the last 20."),
    Answer("any fall", _reading(falling="any"), "A fall of 1% is noise: ask for 5%"),
    Answer("difference", _reading(falling="difference"),
           "Compare by ratio: a fall by 1 is much at 10 and nothing at 1000"),
    Answer("two single losses", _reading(falling="ends"),
           "Two single losses say little: compare two means of 20"),
    Answer("since the start", _reading(falling="from the start"),
           "Every run fell at first: compare the last 20 with the 20 before"),
    Answer("counts", _reading(first="counts"), "This counts the losses below the baseline"),
    Answer("from one", _reading(first="from one"), "Indices start at 0"),
    Answer("zero for never", _reading(never=0), "0 means below from the start: use -1"),
    Answer("the end for never", _reading(first="end"),
           "Where no loss is below the baseline, your loop ran to its end: return -1 then."),
)  # fmt: skip

register(Exercise(
    name="overfit.curve", lesson=LESSON, minutes=7,
    reference=read_curve, wrong=CURVE_MISTAKES, judge=judge_parts(
        read_curve, CURVE_CASES, CURVE_MISTAKES,
        ("index of the first loss below", "mean of the last 20", "still falling"),
    ),
    right=(Answer("tensors", _by_tensor),),
))  # fmt: skip

# --- the clinic -----------------------------------------------------------------------------------


def diagnosis(**entries: tuple[str, int, str]) -> dict[str, tuple[str, int, str]]:
    """Fault, number of the line and the line as it should be for each run, but for those given."""
    right = {}
    for letter, fault in training_clinic.runs.items():
        number, *_ = clinic.BROKEN[fault]
        right[letter] = fault, number, clinic.PROGRAM[number - 1].strip()
    return right | entries


def judge_clinic(answer: Callable) -> str | None:
    """The hint for a table of diagnoses: names first, then each mended program is run."""
    table = answer()
    if not isinstance(table, dict):
        return "Return a dict: run -> (fault, number of the line, the line as it should be)."
    for letter, entry in table.items():
        if not isinstance(entry, tuple | list) or len(entry) != 3:
            return f"Run {letter}: give three things: fault, number of the line, the mended line."
    if hint := training_clinic.hint({letter: entry[0] for letter, entry in table.items()}):
        return hint
    entries = ((letter, *table[letter]) for letter in training_clinic.runs)
    return next((hint for entry in entries if (hint := _judge_line(*entry))), None)


def _judge_line(letter: str, fault: str, number: int, line: str) -> str | None:
    if "look" in str(line):
        return f"Run {letter}: mend the program, not the instruments."
    named = f"Run {letter}: named rightly, but"
    try:
        log = training_clinic.log(
            letter, photograph("astronaut", 32).permute(0, 2, 3, 1), (number, str(line)), steps=40
        )
    except Exception as error:
        return f"{named} with your line {number} the program stops with {type(error).__name__}: {error}"
    found = training_clinic.diagnosis(log)
    if found == HEALTHY:
        return None
    if found == fault:
        return f"{named} the log of the mended program still shows {found!r}. Is line {number} the broken one?"
    return f"{named} your line {number} brings something new: the log of the mended program reads {found!r}."


register(Exercise(
    name="overfit.clinic", lesson=LESSON, minutes=14, points=2,
    reference=diagnosis, judge=judge_clinic, own=(clinic.diagnosis,), time_limit=90,
    wrong=(
        Answer("nothing named", lambda: {}, "Still to be named: run A, B"),
        Answer("A for a rate",
               lambda: diagnosis(A=("learning rate too high", 4, clinic.PROGRAM[3])),
               "Look at its gradient norm"),
        Answer("B for a dead optimizer",
               lambda: diagnosis(B=("optimizer of another model", 4, clinic.PROGRAM[3])),
               "Look at its tiny loss together with the range"),
        Answer("zero_grad after backward",
               lambda: diagnosis(A=("zero_grad forgotten", 10, "optimizer.zero_grad()")),
               "no reading was taken"),
        Answer("A's wrong line", lambda: diagnosis(A=("zero_grad forgotten", 4, clinic.PROGRAM[3])),
               "still shows 'zero_grad forgotten'"),
        Answer("D swapped twice over",
               lambda: diagnosis(D=("a and b swapped", 6, "prediction = net(L).flip(1)")),
               "still shows 'a and b swapped'"),
        Answer("E still too high",
               lambda: diagnosis(
                   E=("learning rate too high", 4, "optimizer = Adam(net.parameters(), 3)")),
               "still shows 'learning rate too high'"),
        Answer("G with a typing error",
               lambda: diagnosis(G=("ReLU on the output", 6, "prediction = nett(L)")),
               "the program stops with NameError"),
        Answer("invented name", lambda: diagnosis(C=("bad luck", 4, clinic.PROGRAM[3])),
               "'bad luck' is not one of"),
    ),
    right=(
        Answer("other cures",
               lambda: diagnosis(
                   A=("zero_grad forgotten", 8, "net.zero_grad()"),
                   B=("target scaled, prediction not", 7,
                      "loss = mse_loss(prediction / 110, ab / 110)"),
                   C=("optimizer of another model", 4,
                      "net = DilatedCNN(kernels=16); optimizer = Adam(net.parameters(), lr=5e-3)"),
                   D=("a and b swapped", 2, "L, ab = lab.split([1, 2], dim=1)"),
                   E=("learning rate too high", 4, "optimizer = Adam(net.parameters(), lr=0.01)"),
                   F=("NHWC read as NCHW", 1, "lab = rgb_to_lab(picture.movedim(3, 1))"),
                   G=("ReLU on the output", 6, "    prediction = net(L) * 1.0"))),
    ),
))  # fmt: skip

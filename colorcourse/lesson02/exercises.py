"""Lesson 2, overfit one photograph: a convolution, its arithmetic, the network, the loop, the clinic."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_pre_hook

from colorcourse.checking import difference
from colorcourse.clinic import HEALTHY
from colorcourse.exercises import Answer, Case, Exercise, beside, register
from colorcourse.lesson02 import clinic
from colorcourse.lesson02.clinic import training_clinic
from colorcourse.lesson02.overfit import Conv
from colorkit.data.pictures import photograph
from colorkit.models.cnn import DilatedCNN

LESSON = "02_overfit"

# --- a convolution by hand ------------------------------------------------------------------------


def convolve(picture: Tensor, kernel: Tensor) -> Tensor:
    """The kernel's response (H - k + 1, W - k + 1) on a picture (H, W), without padding."""
    return F.conv2d(picture[None, None], kernel[None, None])[0, 0]


def _slide(
    change: Callable = lambda kernel: kernel,
    combine: Callable = lambda part, kernel: (part * kernel).sum(), more: int = 1, step: int = 1, short: int = 0,
    corner: Callable = lambda y, x: (y, x), put: Callable = lambda y, x: (y, x),
) -> Callable[[Tensor, Tensor], Tensor]:  # fmt: skip
    """The sliding kernel with one mistake put in."""

    def answer(picture: Tensor, kernel: Tensor) -> Tensor:
        k, kernel = len(kernel), change(kernel)
        rows, columns = ((side - k) // step + more for side in picture.shape)
        out = torch.zeros(rows, columns)
        for y in range(rows - short):
            for x in range(columns - short):
                top, left = corner(step * y, step * x)
                out[put(y, x)] = combine(picture[top : top + k, left : left + k], kernel)
        return out

    return answer


def _noise(*shape: int, seed: int | None = None) -> Tensor:
    seed = sum(shape) if seed is None else seed
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


register(Exercise(
    name="overfit.convolve", lesson=LESSON, minutes=10, reference=convolve,
    own=(F.conv2d, F.conv3d, nn.Conv2d, nn.Conv3d, torch.convolution),
    cases=(
        Case("a square picture", lambda: (_noise(6, 6), _noise(3, 3))),
        Case("a picture wider than high", lambda: (_noise(5, 8), _noise(3, 3))),
        Case("a kernel of 2 x 2", lambda: (_noise(4, 5), _noise(2, 2))),
    ),
    fresh=lambda seed: (_noise(5 + seed % 3, 7, seed=seed), _noise(3, 3, seed=seed + 1)),
    wrong=(
        Answer("flipped", _slide(change=lambda k: k.flip(0, 1)), "The kernel is mirrored; use it as it is."),
        Answer("transposed", _slide(change=lambda k: k.T), "The kernel's rows and columns are swapped."),
        Answer("x for y", lambda p, k: _slide()(p, k).T, "Rows and columns of the result are swapped: it is out[y, x]."),
        Answer("squares at picture[x, y]", _slide(corner=lambda y, x: (x, y)), "Rows come first: the square's corner is picture[y, x], not picture[x, y]."),
        Answer("into out[x, y]", _slide(put=lambda y, x: (x, y)), "Rows come first in the result too: write to out[y, x], not to out[x, y]."),
        Answer("begun outside", lambda p, k: _slide()(F.pad(p, (1, 1, 1, 1)), k)[:-2, :-2], "The first square begins outside the picture, on zeros; it begins at picture[0, 0]."),
        Answer("as large as the picture", lambda p, k: F.pad(_slide()(p, k), (0, len(k) - 1) * 2), "The result is as large as the picture; there are only H - k + 1 by W - k + 1 positions."),
        Answer("one too few", _slide(more=0), "Count the positions, not the steps between them: H - k + 1 rows, W - k + 1 columns."),
        Answer("loops one short", _slide(short=1), "The last row and column stay 0: the loops end one position early."),
        Answer("padded", lambda p, k: _slide()(F.pad(p, (len(k) // 2, (len(k) - 1) // 2) * 2), k), "The picture was padded, but the kernel has to lie wholly inside it."),
        Answer("mean", _slide(combine=lambda part, k: (part * k).mean()), "Sum the products; their mean is smaller by the number of weights."),
        Answer("matrix product", _slide(combine=lambda part, k: (part @ k).sum()), "@ is a matrix product; multiply pixel by pixel with *."),
        Answer("no weights", _slide(combine=lambda part, k: part.sum()), "This sums the pixels; each has to be multiplied by its weight first."),
        Answer("in blocks", lambda p, k: _slide(step=len(k))(p, k), "The kernel jumps by its own width; it slides on by one pixel."),
        Answer("with ReLU", lambda p, k: convolve(p, k).relu(), "Negative responses are missing: no ReLU yet."),
    ),
    right=(Answer("two loops", _slide()), Answer("unfold", lambda p, k: torch.einsum("yxij,ij->yx", p.unfold(0, len(k), 1).unfold(1, len(k), 1), k))),
))  # fmt: skip

# --- arithmetic -----------------------------------------------------------------------------------


def _arithmetic(
    sides: int = 2, one: int = 1, span: Callable = lambda c: c.dilation * (c.kernel - 1) + 1,
    bias: int = 1, shared: bool = True, centre: int = 1, strided: bool = True,
    early: bool = False, squared: bool = True, whole: bool = True, product: bool = True,
) -> Callable[[int, Sequence[Conv]], tuple[int, int, int]]:  # fmt: skip
    """The arithmetic of a stack of convolutions, with one mistake put in."""

    def answer(size: int, layers: Sequence[Conv]) -> tuple[int, int, int]:
        parameters, seen, step = 0, centre, 1
        for c in layers:
            size = (size + sides * c.padding - span(c)) / c.stride + one
            size = math.floor(size) if whole else size
            weights = c.channels_out * (c.channels_in * c.kernel ** (2 if squared else 1) + bias)
            parameters += weights if shared else weights * size * size
            jump = c.stride if strided else 1
            seen += (span(c) - centre) * (step * jump if early else step)
            step = step * jump if product else jump
        return size, parameters, seen

    return answer


def _backwards(size: int, layers: Sequence[Conv]) -> tuple[int, int, int]:
    """Another right way: the receptive field from the last layer to the first."""
    seen = 1
    for c in reversed(layers):
        seen = seen * c.stride + c.dilation * (c.kernel - 1) + 1 - c.stride
    return *_arithmetic()(size, layers)[:2], seen


arithmetic = _arithmetic()

STACKS = (
    (32, (Conv(1, 16, 3, padding=0),)), (32, (Conv(1, 16, 3),)), (40, (Conv(3, 8, 5, 1, 4, 3),)),
    (34, (Conv(1, 4, 3, 2, 1), Conv(4, 2, 3))), (9, (Conv(1, 2, 3, 2, 0),)),
    (32, (Conv(1, 4, 3, 2), Conv(4, 4, 3, 2), Conv(4, 2, 3))), (64, (Conv(1, 8, 7, 2, 3), Conv(8, 8, 3, 1, 2, 2), Conv(8, 2, 1, 1, 0))),
)  # fmt: skip


def _stacks(draw: random.Random) -> list[tuple[int, tuple[Conv, ...]]]:
    """Six stacks of three layers whose pictures stay large enough."""

    def layer() -> Conv:
        return Conv(
            *draw.choices(range(1, 20), k=2),
            *(draw.choice(x) for x in ((1, 3, 5), (1, 2), (0, 1, 2), (1, 2))),
        )

    return [(draw.randint(60, 90), (layer(), layer(), layer())) for _ in range(6)]


ARITHMETIC_MISTAKES = (
    Answer("padding once", _arithmetic(sides=1), "Padding is added on both sides: it counts twice."),
    Answer("plus one forgotten", _arithmetic(one=0), "Count the positions of the kernel, not the steps between them: one more."),
    Answer("the one left out of both", lambda n, layers: (reduce(lambda n, c: (n + 2 * c.padding - c.dilation * (c.kernel - 1)) // c.stride, layers, n), *_arithmetic()(n, layers)[1:]),
           "The number of steps is rounded down, then one is added: (size + 2 p - span) // s + 1, where span = d (k - 1) + 1."),
    Answer("distance replaced", _arithmetic(product=False), "The new distance is the old one *times* the stride; you replaced it."),
    Answer("dilation ignored", _arithmetic(span=lambda c: c.kernel), "A dilated kernel spans d (k - 1) + 1 pixels."),
    Answer("span d k", _arithmetic(span=lambda c: c.dilation * c.kernel), "Between k weights there are k - 1 gaps, so a kernel spans d (k - 1) + 1 pixels, not d k."),
    Answer("span d k - 1", _arithmetic(span=lambda c: c.dilation * c.kernel - 1), "Between k weights there are k - 1 gaps: d (k - 1) + 1 pixels, not d k - 1."),
    Answer("parameters times pixels", _arithmetic(shared=False), "The same weights are used at every pixel: the size of the picture does not matter."),
    Answer("bias forgotten", _arithmetic(bias=0), "Each output channel also has one bias."),
    Answer("stride left out of the field", _arithmetic(strided=False), "After a layer of stride 2 neighbouring pixels lie 2 input pixels apart, and what follows reaches twice as far."),
    Answer("stride counted before its own layer", _arithmetic(early=True), "A layer's own stride spreads only the layers after it: add its span first, then update the distance."),
    Answer("channels in left out", lambda n, layers: _arithmetic()(n, [c._replace(channels_in=1) for c in layers]), "An output channel has one kernel for each input channel: multiply by channels_in."),
    Answer("fields added whole", _arithmetic(centre=0), "Each layer adds its span minus one: the centre pixel was counted already."),
    Answer("field from 0", lambda n, layers: (*_arithmetic()(n, layers)[:2], _arithmetic()(n, layers)[2] - 1), "The receptive field starts at 1, the pixel itself, not at 0."),
    Answer("kernel not squared", _arithmetic(squared=False), "A kernel is a square of k x k weights for each pair of channels."),
    Answer("not rounded down", _arithmetic(whole=False), "Where the stride does not divide, the last position is dropped: round down."),
)  # fmt: skip


def judge_arithmetic(answer: Callable, seed: int | None = None) -> str | None:
    """The hint for the three values one after the other, so that two mistakes are both told."""
    stacks = STACKS if seed is None else _stacks(random.Random(seed))
    given, right = ([f(*stack) for stack in stacks] for f in (answer, arithmetic))
    if bad := [v for v in given if not isinstance(v, tuple | list) or len(v) != 3]:
        return f"Return output size, parameters and receptive field. Yours returned {bad[0]!r:.60}."
    for i, part in enumerate(("output size", "number of parameters", "receptive field")):
        mine, wanted = ([float(v[i]) for v in values] for values in (given, right))
        for mistake in ARITHMETIC_MISTAKES:
            if mine == [mistake.answer(*stack)[i] for stack in stacks] != wanted:
                return f"{part.capitalize()}: {mistake.hint}"
        for (size, layers), got, value in zip(stacks, mine, wanted, strict=True):
            if got != value:
                stack = ", ".join(f"Conv{tuple(conv)}" for conv in layers)
                return f"On {size} pixels and {stack}, the {part} is {value:g}; yours is {got:g}."
    return None


register(Exercise(
    name="overfit.arithmetic", lesson=LESSON, minutes=12, reference=arithmetic, judge=judge_arithmetic, wrong=ARITHMETIC_MISTAKES,
    right=(Answer("from the last layer", _backwards),),
))  # fmt: skip

# --- the network ----------------------------------------------------------------------------------

DILATIONS = (1, 2, 4, 8, 1)
_ERRORS = (  # what torch says, and what to make of it
    ("cannot assign module", "`super().__init__()` must be the first line of `__init__`."),
    ("channels, but got", "A layer gets another number of channels than it was made for: the first gets one, the others `channels`."),
    ("Expected more than 1 spatial", "The picture shrinks away: convolutions must keep the size."),
)  # fmt: skip


def judge_net(answer: type, seed: int | None = None) -> str | None:
    """The hint for a network class, judged by what its networks do; None where it is right."""
    L = TEST_PICTURES if seed is None else _test_pictures(seed)
    net = beside(answer, observe_net, L)
    if "error" in net:
        hint = next((hint for part, hint in _ERRORS if part in net["error"]), "")
        return f"{hint} (torch said: {net['text']})" if hint else net["error"]
    if net["changed"]:
        return "forward changes L in place. Leave its argument as it is: x = (L - 50) / 25."
    hint = _wrong_shape(net["out"]) or _wrong_weights(net)
    return hint or _wrong_layers(net) or _wrong_ends(net, L)


def _test_pictures(seed: int) -> Tensor:
    """Two pictures, L (2, 1, 40, 44) from 0 to 100."""
    phase = torch.tensor(float(seed % 100))
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(44.0), indexing="ij")
    waves = 50 + 50 * torch.sin(x / 3 + phase) * torch.cos(y / 4 + phase)
    return torch.stack([waves, 100 - waves.flip(0) / 2])[:, None]


TEST_PICTURES = _test_pictures(0)
_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


def observe_net(answer: type, L: Tensor) -> dict[str, object]:
    """What a network class's networks do with L: all layers that are called, and the output."""
    try:
        torch.manual_seed(0)
        net, wider = answer(8), answer(16)
        x, layers, before = L.clone(), [], []

        def watch(m: nn.Module, args: tuple, out: Tensor) -> None:
            conv, norm = isinstance(m, nn.Conv2d), isinstance(m, _NORMS)
            if conv or norm:
                layers.append({
                    "kind": "conv" if conv else type(m).__name__, "instance": isinstance(m, nn.InstanceNorm2d),
                    "affine": bool(getattr(m, "affine", True)), "dilation": conv and m.dilation[0], "side": conv and m.kernel_size[0],
                    "low": args[0].min(), "high": args[0].max(), "out": out.detach().clone(),
                })  # fmt: skip

        for module in net.modules():
            if not list(module.children()):
                module.register_forward_hook(watch)
        out = net(x)
        seen = {"layers": list(layers), "out": out, "changed": bool((x != L).any()), "idle": ""}
        if not isinstance(out, Tensor):
            return seen
        convs = sum(isinstance(m, nn.Conv2d) for m in net.modules())
        count, more = (sum(p.numel() for p in n.parameters()) for n in (net, wider))
        seen |= {"convs": convs, "wider": more > 1.5 * count, "learns": out.requires_grad}
        if out.requires_grad:
            out.square().mean().backward()
            idle = [name for name, p in net.named_parameters() if p.grad is None]
            seen["idle"] = idle[0] if idle else ""
        blocks = list(getattr(net, "groups", None) or [])
        if len(blocks) == 5:
            for block in blocks:
                block.register_forward_hook(lambda _m, _x, out: before.append(out.min()))
            net(L)
        return seen | {"blocks": len(blocks), "lowest": before}
    except Exception as error:
        text = (str(error).strip().splitlines() or [""])[0]
        return {"error": f"{type(error).__name__}: {text}", "text": text}


def _wrong_shape(out: object) -> str | None:
    if not isinstance(out, Tensor):
        return "forward must return a tensor. Is `return` missing?"
    if out.ndim != 4 or out.shape[1] != 2:
        return f"The output has shape {tuple(out.shape)}, but ab has two channels: (N, 2, H, W) was asked for."
    if out.shape[-2:] != (40, 44):
        return f"A picture of 40 x 44 comes out as {out.shape[-2]} x {out.shape[-1]}. Pad each convolution so that it keeps the size: by its dilation, for 3 x 3 kernels."
    return None


def _wrong_weights(net: dict) -> str | None:
    if net["convs"] < 6:
        return f"torch knows of {net['convs']} nn.Conv2d in your network, but six were asked for. Layers in a plain list are not registered: use nn.Sequential."
    if not net["wider"]:
        return "The number of channels makes no difference: use the argument `channels`."
    if not net["learns"]:
        return "No gradient can reach the weights: no_grad, detach or .item() cuts them off."
    if net["idle"]:
        return f"No gradient reaches {net['idle']}: forward does not use that layer."
    return None


def _wrong_layers(net: dict) -> str | None:
    order = net["layers"]
    convs, norms = (
        [c for c in order if (c["kind"] == "conv") == is_conv] for is_conv in (True, False)
    )
    if (got := tuple(c["dilation"] for c in convs[:-1])) != DILATIONS:
        return f"The dilations are {got}, but {DILATIONS} were asked for, and then the last layer."
    if (sides := [c["side"] for c in convs]) != [3] * 5 + [1]:
        return f"The kernels have sides {sides}; five of 3 and at the end one of 1 were asked for."
    if other := [norm["kind"] for norm in norms if not norm["instance"]]:
        return f"{other[0]} is another normalisation; nn.InstanceNorm2d, which treats each picture and channel on its own, was asked for."
    if len(norms) != 5:
        return f"nn.InstanceNorm2d belongs into each of the five blocks; forward calls {len(norms)} of them."
    if not all(norm["affine"] for norm in norms):
        return "The normalisation has no scale and shift to learn: affine=True was asked for."
    if [c["kind"] == "conv" for c in order[:10]] != [True, False] * 5:
        return "Each block is a convolution, then the normalisation, then ReLU."
    if net["blocks"] > 5:
        return f"self.groups has {net['blocks']} members: put each block's convolution, normalisation and ReLU into an nn.Sequential of their own."
    if net["blocks"] != 5:
        return "Keep the five blocks in a Sequential called self.groups: the lesson looks into it."
    if all(norm["low"] >= 0 for norm in norms):
        return "The ReLU stands before the normalisation; it comes after it."
    if all(low < 0 for low in net["lowest"]):
        return "No block ends with a ReLU. With nothing between them, convolutions in a row make one big convolution; leaky and smooth variants were not asked for."
    if any(low < 0 for low in net["lowest"]):
        return "A block has negative outputs, but each of the five ends with a ReLU."
    return None


def _wrong_ends(net: dict, L: Tensor) -> str | None:
    """What is wrong with the scaling of L before the first layer and of ab after the last."""
    convs = [c for c in net["layers"] if c["kind"] == "conv"]
    last, out = convs[-1]["out"], net["out"].detach()
    wanted = [(x.item() - 50) / 25 for x in L.aminmax()]
    if difference(wanted, [convs[0]["low"], convs[0]["high"]], 1e-3, 1e-3):
        return f"L from {L.min():.3g} to {L.max():.3g} reaches the first convolution as {convs[0]['low']:.3g} to {convs[0]['high']:.3g}: begin with (L - 50) / 25."
    if not difference(50 * last, out, 1e-3, 1e-3):
        return None
    if not difference(last, out, 1e-4, 1e-3):
        return "The last layer's output lies within about -1 to 1, but ab is asked for in Lab units. Multiply by 50 at the end."
    if out.min() >= 0:
        return "The output is never negative, so half of the ab plane cannot be reached. The last layer needs no ReLU."
    return "Between the last convolution and the output there must only be a multiplication by 50: no activation such as tanh, which cuts colours off at 50, and no other factor."


def _variant(
    norm: Callable = lambda k: nn.InstanceNorm2d(k, affine=True),
    begin: Callable = lambda L: (L - 50) / 25, end: Callable = lambda x: 50 * x,
    block: Callable = lambda conv, norm: nn.Sequential(conv, norm, nn.ReLU()),
    keep: Callable = lambda blocks: nn.Sequential(*blocks), head: tuple[int, int, int] = (2, 1, 0),
    dilations: Sequence[int] = DILATIONS, **options: object,
) -> type:  # fmt: skip
    """The network with one thing changed; options are those of its convolutions."""

    class Variant(nn.Module):
        def __init__(self, channels: int = 32) -> None:
            super().__init__()
            widths = (1, *[channels] * 4)
            given = [{"padding": d, "dilation": d, **options} for d in dilations]
            convs = [nn.Conv2d(c, channels, 3, **o) for c, o in zip(widths, given, strict=True)]
            self.groups = keep([block(conv, norm(channels)) for conv in convs])
            self.head = nn.Conv2d(channels, head[0], head[1], padding=head[2])

        def forward(self, L: Tensor) -> Tensor:
            x = begin(L)
            for part in self.groups:
                x = part(x)
            return end(self.head(x))

    return Variant


class _NoSuper(DilatedCNN):
    def __init__(self, channels=32):
        self.groups = nn.Conv2d(1, channels, 3)


register(Exercise(
    name="overfit.net", lesson=LESSON, minutes=14, points=2, reference=DilatedCNN, methods=("__init__", "forward"), judge=judge_net,
    wrong=(
        Answer("output not scaled", _variant(end=lambda x: x), "Multiply by 50 at the end"),
        Answer("ReLU on the output", _variant(end=lambda x: 50 * x.relu()), "half of the ab plane cannot be reached"),
        Answer("tanh at the end", _variant(end=lambda x: 50 * x.tanh()), "no activation such as tanh"),
        Answer("padding 1 everywhere", _variant(padding=1), "Pad each convolution so that it keeps"),
        Answer("no dilation", _variant(dilations=(1,) * 5), "The dilations are (1, 1, 1, 1, 1)"),
        Answer("a plain list", _variant(keep=list), "Layers in a plain list are not registered"),
        Answer("no super().__init__()", _NoSuper, "must be the first line of `__init__`"),
        Answer("no return", _variant(end=lambda x: None), "Is `return` missing?"),
        Answer("three channels", _variant(head=(3, 1, 0)), "but ab has two channels"),
        Answer("a 3 x 3 head", _variant(head=(2, 3, 1)), "at the end one of 1"),
        Answer("channels ignored", lambda k: DilatedCNN(8), "use the argument `channels`"),
        Answer("15 layers in a row", _variant(keep=lambda blocks: nn.Sequential(*[m for b in blocks for m in b])), "self.groups has 15 members"),
        Answer("no activation", _variant(block=nn.Sequential), "make one big convolution"),
        Answer("ReLU before the norm", _variant(block=lambda c, norm: nn.Sequential(c, nn.ReLU(), norm)), "The ReLU stands before the normalisation"),
        Answer("one ReLU forgotten", _variant(block=lambda c, n: nn.Sequential(c, n, *[nn.ReLU()] * (c.dilation[0] < 8))), "A block has negative outputs"),
        Answer("norm before the convolution", _variant(block=lambda conv, norm: nn.Sequential(nn.InstanceNorm2d(conv.in_channels, affine=True), conv, nn.ReLU())), "Each block is a convolution, then"),
        Answer("no normalisation", _variant(norm=lambda k: nn.Identity()), "forward calls 0 of them"),
        Answer("nothing to learn in it", _variant(norm=nn.InstanceNorm2d), "affine=True was asked for"),
        Answer("batch norm", _variant(norm=nn.BatchNorm2d), "BatchNorm2d is another normalisation"),
        Answer("L not scaled", _variant(begin=lambda L: L), "begin with (L - 50) / 25"),
        Answer("L over 50", _variant(begin=lambda L: L / 50 - 1), "as -1 to 1: begin with"),
        Answer("L from 0 to 1", _variant(begin=lambda L: L / 100), "to 1: begin with"),
    ),
    right=(Answer("no bias before the norm", _variant(bias=False)), Answer("same padding", _variant(padding="same")), Answer("a module list", _variant(keep=nn.ModuleList))),
))  # fmt: skip

# --- the loop -------------------------------------------------------------------------------------


@dataclass
class _Trace:
    """What a training loop did to a tiny model: nothing in it depends on how it was written."""

    losses: list[float] = field(default_factory=list)
    final: float = 0.0
    seen: list[int] = field(default_factory=list)  # the numbers given to `after`
    weights: list[float] = field(default_factory=list)  # the weight when `after` was called
    gradients: list = field(default_factory=list)  # of each backward()
    steps: list = field(default_factory=list)  # gradients computed before each optimizer.step()
    problem: str = ""


class _Line(nn.Module):
    """ab = weight * L: one weight, so that its path shows everything."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, L: Tensor) -> Tensor:
        return (self.weight * L).expand(-1, 2, -1, -1)


def trace_loop(answer: Callable, seed: int = 0) -> _Trace:
    """Run a training loop on a model with one weight and note all that can be seen from outside."""
    net, trace = _Line(), _Trace()
    generator = torch.Generator().manual_seed(seed)

    def batch() -> tuple[Tensor, Tensor]:
        L = torch.rand(2, 1, 3, 3, generator=generator) + 0.5
        return L, (1.5 * L).expand(-1, 2, -1, -1).clone()

    def after(step: int) -> None:
        trace.seen.append(int(step))
        trace.weights.append(net.weight.item())

    net.weight.register_hook(lambda gradient: trace.gradients.append(gradient))
    handle = register_optimizer_step_pre_hook(lambda *_: trace.steps.append(len(trace.gradients)))
    try:
        losses = answer(net, batch, 12, 0.1, after)
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
    elif any(isinstance(v, Tensor) and v.requires_grad for v in losses):
        trace.problem = "Keep loss.item(), a float: a tensor keeps its graph, and so memory."
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
    ("cannot unpack non-iterable function", "batch is a function: call it, `L, ab = batch()`."),
    ("backward through the graph a second time", "backward() is called twice on one graph: the forward pass belongs into the loop."),
)  # fmt: skip


def judge_loop(answer: Callable, seed: int = 0) -> str | None:
    """The hint for a training loop, judged by the path of a weight; None where it is right."""
    trace, right = beside(answer, trace_loop, seed), trace_loop(fit, seed)
    if trace.problem:
        return next((hint for part, hint in _PROBLEMS if part in trace.problem), trace.problem)
    if trace.gradients and trace.steps[:1] == [0]:
        return "optimizer.step() comes before backward(): it has no gradient yet, or that of the step before."
    if trace.final == _Line().weight.item():
        if not trace.gradients:
            return NO_BACKWARD
        return STANDS_STILL if trace.steps else NO_STEP
    for mistake in LOOP_MISTAKES:
        theirs = trace_loop(mistake.answer, seed)
        only_watched = _same_trace(theirs, right, PATH)  # trains rightly, calls after wrongly
        if _same_trace(trace, theirs, (*PATH, "seen", "weights") if only_watched else PATH):
            return mistake.hint
    if len(trace.losses) != 12:
        return f"For 12 steps 12 losses were expected, but these are {len(trace.losses)}."
    if trace.seen != right.seen:
        return f"after(step) should get 1, 2, ..., 12; it got {trace.seen or 'no call'}."
    if difference(right.losses, trace.losses, 1e-4, 1e-3):
        return f"The losses differ from those of Adam with this learning rate: the last is {trace.losses[-1]:.4g}, expected {right.losses[-1]:.4g}."
    if difference(right.weights, trace.weights, 1e-4, 1e-3):
        return AFTER_EARLY
    if difference(right.final, trace.final, 1e-4, 1e-3):
        return "The losses are right, but the last weights are not: is a step missing or too many?"
    return None


def _loop(
    zero: str = "first", inside: bool = False, once: bool = False, backward: bool = True,
    step: str = "last", optimizer: type = torch.optim.Adam, measure: Callable = F.mse_loss,
    target: Callable = lambda L, ab: ab, fixed_lr: float | None = None, start: int = 1,
    keep: Callable = lambda loss: loss.item(), call: str = "at the end", again: bool = False,
) -> Callable:  # fmt: skip
    """The training loop of the lesson, or that loop with one thing changed."""

    def answer(net, batch, steps, lr=2e-3, after=lambda step: None):
        rate = lr if fixed_lr is None else fixed_lr
        opt, losses = optimizer(net.parameters(), lr=rate), []
        data = batch() if once else None
        for i in range(start, start + steps):
            L, ab = data if once else batch()
            if inside:
                opt = optimizer(net.parameters(), lr=rate)
            loss = measure(net(L), target(L, ab))
            if zero == "first":
                opt.zero_grad()
            if step == "early":
                opt.step()
            if backward:
                loss.backward()
            if zero == "between":
                opt.zero_grad(set_to_none=False)
            if call == "early":
                after(i)
            if step == "last":
                opt.step()
            if zero == "last":
                opt.zero_grad()
            losses.append(keep(measure(net(L), target(L, ab)) if again else loss))
            if call == "at the end":
                after(i)
        return losses

    return answer


fit = _loop()
STANDS_STILL = "The weights stand still: zero_grad() after backward() throws the gradient away."
NO_BACKWARD = "No gradient was ever computed: loss.backward() is missing."
NO_STEP = "The weights never change: optimizer.step() is missing."
AFTER_EARLY = "after(step) is called before the weights have moved: call it at the end of a step."
LOOP_MISTAKES = (
    Answer("no zero_grad", _loop(zero="never"), "Gradients add up from step to step: their norm grows. Empty them with zero_grad() once a step."),
    Answer("zero_grad between", _loop(zero="between"), STANDS_STILL),
    Answer("no step", _loop(step="never"), NO_STEP),
    Answer("optimizer inside", _loop(inside=True), "A new optimizer at each step forgets its memory of past gradients: make it once, before the loop."),
    Answer("one batch", _loop(once=True), "Call batch() inside the loop: each step gets a new one."),
    Answer("SGD", _loop(optimizer=torch.optim.SGD), "This is plain gradient descent; Adam was asked for."),
    Answer("AdamW", _loop(optimizer=torch.optim.AdamW), "AdamW also shrinks the weights at each step; plain Adam was asked for."),
    Answer("loss of the new weights", _loop(again=True), "This is the loss measured again after the step; keep the loss that you called backward() on."),
    Answer("after before the step", _loop(call="early"), AFTER_EARLY),
    Answer("L1", _loop(measure=F.l1_loss), "This is the mean absolute error; the mean squared error was asked for."),
    Answer("summed", _loop(measure=lambda p, t: F.mse_loss(p, t, reduction="sum")), "The squared errors are summed; take their mean."),
    Answer("target L", _loop(target=lambda L, ab: L.expand_as(ab)), "The target is L, which the network is given; it has to predict ab."),
    Answer("own rate", _loop(fixed_lr=1e-3), "The argument lr is not used."),
    Answer("counts from 0", _loop(start=0), "after(step) gets the number of steps done: 1, 2, ..., not from 0."),
    Answer("after not called", _loop(call="never"), "after(step) is never called: the lesson keeps its snapshots with it."),
)  # fmt: skip

register(Exercise(
    name="overfit.loop", lesson=LESSON, minutes=14, points=2, reference=fit, judge=judge_loop,
    wrong=(
        *LOOP_MISTAKES,
        Answer("item before backward", _loop(measure=lambda p, t: F.mse_loss(p, t).item()), ".item() gives a number without a graph"),
        Answer("step before backward", _loop(step="early"), "optimizer.step() comes before"),
        Answer("graphs kept", _loop(keep=lambda loss: loss), "a tensor keeps its graph"),
        Answer("no backward", _loop(backward=False), NO_BACKWARD),
        Answer("batch not called", lambda net, batch, *rest: [L for L, ab in [batch]], "batch is a function"),
        Answer("under no_grad", torch.no_grad()(_loop()), "The loss has no graph"),
        Answer("only the last loss", lambda *args: _loop()(*args)[-1], "Return the list of all losses"),
    ),
    right=(Answer("zero_grad last", _loop(zero="last")), Answer("losses as tensors", _loop(keep=lambda loss: loss.detach())), Answer("a tensor of losses", lambda *args: torch.tensor(fit(*args)))),
))  # fmt: skip

# --- the clinic -----------------------------------------------------------------------------------


def diagnosis(**entries: tuple[str, str, int, str]) -> dict[str, tuple[str, str, int, str]]:
    """Fault, reading, number of the line, the line as it should be: of each run, but those given."""
    right = {}
    for letter, fault in training_clinic.runs.items():
        number, _, (reading, *_), _ = clinic.BROKEN[fault]
        right[letter] = fault, reading, number, clinic.PROGRAM[number - 1].strip()
    return right | entries


def judge_clinic(answer: Callable) -> str | None:
    """The hint for a table of diagnoses: names first, then each mended program is run."""
    table = answer()
    if not isinstance(table, dict):
        return (
            "Return a dict: run -> (fault, reading, number of the line, the line as it should be)."
        )
    for letter, entry in table.items():
        if not isinstance(entry, tuple | list) or len(entry) != 4:
            return f"Run {letter}: give the fault, the reading, the number of the line, and the line as it should be."
    if hint := training_clinic.hint({letter: entry[0] for letter, entry in table.items()}):
        return hint
    entries = ((letter, *table[letter][1:]) for letter in training_clinic.runs)
    hint = next((hint for entry in entries if (hint := _judge_entry(answer, *entry))), None)
    clinic.solved = hint is None
    return hint


def _judge_entry(answer: Callable, letter: str, reading: str, number: int, line: str) -> str | None:
    if "look" in str(line):
        return f"Run {letter}: fix the program, not the instruments."
    named, fault = f"Run {letter}: named rightly, but", training_clinic.fault(letter)
    if (given := str(reading).strip().lower()) not in clinic.READINGS:
        return f"{named} {reading!r} is none of the readings {', '.join(clinic.READINGS)}."
    if given not in clinic.BROKEN[fault][2]:
        return f"{named} its {given} alone does not tell this fault. Look at {training_clinic.symptoms[fault]}."
    picture = photograph("astronaut", 32).permute(0, 2, 3, 1)
    problem, log = beside(answer, clinic.mended, fault, picture, number, str(line))
    if problem:
        return f"{named} with your line {number} the program stops with {problem}"
    log = clinic.Log(**vars(log))
    found = training_clinic.diagnosis(log)
    if found == HEALTHY:
        return None
    if found == clinic.ON_ITS_SIDE:
        return f"{named} your line {number} swaps rows and columns too: the batch lies on its side."
    if found == clinic.TOO_SLOW:
        return f"{named} with your line {number} the loss hardly falls: after {len(log.losses)} steps it is still {log.losses[-1]:.0f}. Is the learning rate too low now?"
    if found == fault and number == clinic.BROKEN[fault][0]:
        return f"{named} the log still shows {found!r}. Line {number} is the broken one, but this line does not cure it."
    if found == fault:
        return f"{named} the log of the changed program still shows {found!r}. Is line {number} the broken one?"
    return f"{named} your line {number} brings something new: look at {training_clinic.symptoms[found]}."


_HIGH, _adam = "learning rate too high", "optimizer = Adam(net.parameters(), {})".format
register(Exercise(
    name="overfit.clinic", lesson=LESSON, minutes=22, points=2, reference=diagnosis, judge=judge_clinic, own=(clinic.diagnosis,), time_limit=90,
    wrong=(
        Answer("nothing named", lambda: {}, "Still to be named: run A, B"),
        Answer("A for a rate", lambda: diagnosis(A=(_HIGH, "loss", 4, clinic.PROGRAM[3])), "Look at its gradient norm"),
        Answer("B for a dead optimizer", lambda: diagnosis(B=("optimizer of another model", "weights", 4, clinic.PROGRAM[3])), "Look at its tiny loss together with the range"),
        Answer("zero_grad after backward", lambda: diagnosis(A=("zero_grad not called", "gradient norm", 10, "optimizer.zero_grad()")), "no reading was taken"),
        Answer("A's wrong line", lambda: diagnosis(A=("zero_grad not called", "gradient norm", 4, clinic.PROGRAM[3])), "Is line 4 the broken one?"),
        Answer("D swapped twice over", lambda: diagnosis(D=("a and b swapped", "batch", 6, "prediction = net(L).flip(1)")), "Is line 6 the broken one?"),
        Answer("E still too high", lambda: diagnosis(E=(_HIGH, "loss", 4, _adam(3))), "Line 4 is the broken one, but this line"),
        Answer("E too low", lambda: diagnosis(E=(_HIGH, "loss", 4, _adam(1e-5))), "Is the learning rate too low now?"),
        Answer("F on its side", lambda: diagnosis(F=("NHWC read as NCHW", "batch", 1, "lab = rgb_to_lab(picture.transpose(1, 3))")), "the batch lies on its side"),
        Answer("G with a typing error", lambda: diagnosis(G=("ReLU on the output", "prediction", 6, "prediction = nett(L)")), "the program stops with NameError"),
        Answer("C by its norm", lambda: diagnosis(C=("optimizer of another model", "gradient norm", 4, clinic.PROGRAM[3])), "its gradient norm alone does not tell"),
        Answer("invented reading", lambda: diagnosis(E=(_HIGH, "luck", 4, clinic.PROGRAM[3])), "'luck' is none of"),
        Answer("invented name", lambda: diagnosis(C=("bad luck", "loss", 4, clinic.PROGRAM[3])), "'bad luck' is not one of"),
    ),
    right=(
        Answer("other cures", lambda: diagnosis(A=("zero_grad not called", "gradient norm", 8, "net.zero_grad()"),
                   B=("target scaled, prediction not", "loss", 7, "loss = mse_loss(prediction / 110, ab / 110)"),
                   C=("optimizer of another model", "weights", 4, "net = DilatedCNN(kernels=16); optimizer = Adam(net.parameters(), lr=5e-3)"),
                   D=("a and b swapped", "batch", 2, "L, ab = lab.split([1, 2], dim=1)"), E=("learning rate too high", "Gradient norm", 4, "optimizer = Adam(net.parameters(), lr=0.01)"),
                   F=("NHWC read as NCHW", "batch", 1, "lab = rgb_to_lab(picture.movedim(3, 1))"), G=("relu on the output ", "prediction", 6, "    prediction = net(L) * 1.0"))),
    ),
))  # fmt: skip

"""Exercises of lesson 7, flows: a point on the way, the loss, Euler, attention, counting draws."""

from collections.abc import Callable
from functools import reduce
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorcourse.exercises import Answer, Case, Exercise, beside, register
from colorkit import flow as library

LESSON = "07_flow"


def _noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _as(t: Tensor, x: Tensor) -> Tensor:
    """t (N,) with the number of dimensions of x."""
    return t.view(-1, *[1] * (x.ndim - 1))


# --- a point on the way, and its velocity ---------------------------------------------------------


def _line(
    point: Callable = lambda noise, data, t: (1 - t) * noise + t * data,
    velocity: Callable = lambda noise, data, x, t: data - noise,
    shaped: Callable = _as,
    result: Callable = lambda x, v: (x, v),
) -> Callable:
    """Where a point is, and its velocity; or with one mistake put in."""

    def answer(noise: Tensor, data: Tensor, t: Tensor) -> Any:
        t = shaped(t, data)
        x = point(noise, data, t)
        return result(x, velocity(noise, data, x, t))

    return answer


def _named(value: Any, args: tuple) -> Any:
    """The two tensors by name; all that is no pair is alike, so that one hint serves it."""
    pair = isinstance(value, tuple | list) and len(value) == 2
    return {"x": value[0], "the velocity": value[1]} if pair else "no pair"


def _ends(seed: int, times: tuple[float, ...], *shape: int) -> tuple[Tensor, Tensor, Tensor]:
    n = len(times)
    return _noise(n, *shape, seed=seed), 2 + _noise(n, *shape, seed=seed + 1), torch.tensor(times)


register(Exercise(
    name="flow.interpolate", lesson=LESSON, minutes=5, reference=_line(), own=(library.interpolate,), form=_named,
    cases=(
        Case("numbers (N, 1)", lambda: _ends(1, (0.1, 0.5, 0.8), 1)),
        Case("four pictures of 4 x 4", lambda: _ends(3, (0.2, 0.9, 0.4, 0.7), 2, 4, 4)),
        Case("t = 0 and t = 1", lambda: _ends(5, (0.0, 1.0), 2, 2)),
    ),
    wrong=(
        Answer("ends swapped", _line(lambda noise, data, t: t * noise + (1 - t) * data), "The ends have changed places: at t = 0 a point is noise, at t = 1 it is data."),
        Answer("both swapped", _line(lambda noise, data, t: t * noise + (1 - t) * data, lambda noise, data, x, t: noise - data), "This goes from data to noise, as many papers on diffusion do. Here noise is at t = 0, data at t = 1."),
        Answer("velocity backwards", _line(velocity=lambda noise, data, x, t: noise - data), "The velocity points back to the noise: it is where the point goes, less where it comes from."),
        Answer("velocity to the end", _line(velocity=lambda noise, data, x, t: data - x), "data - x is the rest of the way, which shrinks with t. The velocity is the same all along the line."),
        Answer("velocity so far", _line(velocity=lambda noise, data, x, t: x - noise), "x - noise is the way so far. The velocity is the whole way, which takes a time of 1."),
        Answer("rest over time", _line(velocity=lambda noise, data, x, t: (data - x) / (1 - t)), "Right for t < 1, but 0 / 0 at t = 1. The same velocity has a form without a division."),
        Answer("way over time", _line(velocity=lambda noise, data, x, t: (x - noise) / t), "Right for t > 0, but 0 / 0 at t = 0. The same velocity has a form without a division."),
        Answer("data as velocity", _line(velocity=lambda noise, data, x, t: data), "This predicts the data. The velocity also depends on where the line begins."),
        Answer("noise on top", _line(lambda noise, data, t: data + (1 - t) * noise), "The noise fades, but the data are there in full from the beginning: at t = 0 nothing of them must be seen."),
        Answer("data on top", _line(lambda noise, data, t: noise + t * data), "The data come, but the noise never fades: at t = 1 none of it must be left."),
        Answer("a curve", _line(lambda noise, data, t: (1 - t**2).sqrt() * noise + t * data), "This is a curved path, as diffusion models take it. The lines here are straight: the shares are 1 - t and t."),
        Answer("t not shaped", _line(shaped=lambda t, x: t), "t (N,) meets the last dimension of data. Give it as many dimensions as data has: (N, 1) for numbers, (N, 1, 1, 1) for pictures."),
        Answer("t for numbers", _line(shaped=lambda t, x: t[:, None]), "t became (N, 1), which is right for numbers only. It needs as many dimensions as data has."),
        Answer("t for pictures", _line(shaped=lambda t, x: t.view(-1, 1, 1, 1)), "t became (N, 1, 1, 1), which is right for pictures only. It needs as many dimensions as data has."),
        Answer("t for both", _line(shaped=lambda t, x: t[:, None] if x.ndim == 2 else t.view(-1, 1, 1, 1)), "Right for numbers and for pictures, but data may have another number of dimensions: make as many for t."),
        Answer("one t for all", _line(shaped=lambda t, x: t[0]), "All pictures got the first t. Each has a time of its own."),
        Answer("mean t", _line(shaped=lambda t, x: t.mean()), "All pictures got the mean of t. Each has a time of its own."),
        Answer("pair swapped", _line(result=lambda x, v: (v, x)), "The pair is the wrong way round: first the point, then its velocity."),
        Answer("point only", _line(result=lambda x, v: x), "Return two tensors: the point and its velocity."),
    ),
    right=(Answer("one formula", _line(lambda noise, data, t: noise + t * (data - noise))),
           Answer("lerp", _line(torch.lerp))),
))  # fmt: skip

# --- the loss of a training step ------------------------------------------------------------------


def _loss(
    begin: Callable = lambda noise, t, data: (noise, t),
    point: Callable = library.interpolate,
    ask: Callable = lambda net, x, t, given: net(x, t, given),
    error: Callable = lambda v, target, x, noise, data: (v - target).square().mean(),
) -> Callable:
    """The loss of a training step; or with one mistake put in."""

    def answer(net: Callable, data: Tensor, given: Any, draw: Callable) -> Tensor:
        start, t = begin(*draw(data), data)
        x, target = point(start, data, t)
        return error(ask(net, x, t, given), target, x, start, data)

    return answer


class _Spy(nn.Module):
    """A network that writes down what it is asked, and answers with noise of its own, in bf16."""

    def __init__(self) -> None:
        super().__init__()
        self.gain, self.asked = nn.Parameter(torch.ones(())), []

    def forward(self, x: Tensor, t: Tensor, given: Any) -> Tensor:
        self.asked.append((x.detach().clone(), t, given))
        return self.gain * _noise(*x.shape, seed=9).bfloat16()


def _judge_loss(answer: Callable) -> str | None:
    """The hint for a loss, on pictures and then on numbers."""
    if hint := _judge_batch(answer, _noise(16, 1, 8, 8, seed=2), 16, 2, 4, 4):
        return hint
    where = "On numbers, with data (N, 1) and None for given"
    try:
        hint = _judge_batch(answer, None, 16, 1)
    except Exception as error:
        error.args = (f"{error}. {where}",)
        raise
    return hint and f"{where}: {hint}"


def observe_loss(answer: Callable, given: Tensor | None, *shape: int) -> dict[str, Any]:
    """What a loss asks of draw and of the network, and what it gives."""
    data = 3 + 2 * _noise(*shape, seed=1)
    spy, drawn, batch = _Spy(), [], data.clone()

    def draw(x: Tensor) -> tuple[Tensor, Tensor]:
        drawn.append((torch.randn_like(x), 0.05 + 0.9 * torch.rand(len(x))))
        return drawn[-1]

    loss = answer(spy, batch, given, draw)
    number = isinstance(loss, Tensor) and not loss.ndim
    asked = [(x, t if isinstance(t, Tensor) else type(t).__name__) for x, t, _ in spy.asked]
    third = [x for *_, x in spy.asked]
    return {
        "data": data,
        "drawn": drawn,
        "asked": asked,
        "given": all(x is given for x in third),
        "swapped": any(x is t for x in third for _, t in drawn),
        "changed": not batch.equal(data),
        "backward": spy.gain.grad is not None,
        "gradient": number and loss.requires_grad,
        "loss": loss.detach() if number else None,
    }


def _judge_batch(answer: Callable, given: Tensor | None, *shape: int) -> str | None:
    """The hint for a loss, by what it asks of the network and what it makes of the answer."""
    found = beside(answer, observe_loss, given, *shape)
    if (times := len(found["asked"])) != 1:
        return f"The network is asked {times} times. Ask it once, with x, t and given."
    if (times := len(found["drawn"])) != 1:
        return f"draw is called {times} times: once gives the noise and the times that belong together."
    if found["changed"]:
        return "Your loss changes data in place, so that the next epoch learns other data. Work on a new tensor."
    if found["swapped"]:
        return "t and given have changed places: the network takes x, t, given."
    if not found["given"]:
        return "The network does not get `given`, so it cannot know what it colours."
    if found["backward"]:
        return "Do not call `backward` on the loss: the training loop does."
    (asked,), (drawn,), data = found["asked"], found["drawn"], found["data"]
    if hint := _judge_asked(*asked, data, *drawn):
        return hint
    if found["loss"] is None:
        return "Return one number in a tensor: the mean over all pictures, channels and pixels."
    if not found["gradient"]:
        return (
            "The loss has no gradient: do not detach the network's answer, and return the tensor."
        )
    return _judge_value(found["loss"], asked[0], data, drawn[0])


def _judge_asked(x: Tensor, t: Any, data: Tensor, noise: Tensor, times: Tensor) -> str | None:
    if not isinstance(t, Tensor) or t.shape != times.shape:
        shape = tuple(t.shape) if isinstance(t, Tensor) else t
        return f"The network got {shape} for t. It takes the times of draw(data), (N,)."
    if len(t.unique()) == 1:
        return "All examples of the batch have the same time: hand all of t on."
    if not t.allclose(times):
        return "The network got other times than those of draw(data)."
    if x.shape != data.shape:
        shape = tuple(x.shape)
        return f"The network got x of shape {shape}, not that of data, {tuple(data.shape)}."
    s = _as(t, data)
    if x.allclose(data - noise, atol=1e-4):
        return "The network got the velocity for x: `interpolate` gives first the point, then its velocity."
    if x.allclose((1 - s) * data + s * noise, atol=1e-4):
        return "Data stand at t = 0 and noise at t = 1: the ends have changed places."
    if not x.allclose((1 - s) * noise + s * data, atol=1e-4):
        return "The network got another x than the point of your `interpolate` between draw(data)'s noise and the data."
    return None


def _judge_value(loss: Tensor, x: Tensor, data: Tensor, noise: Tensor) -> str | None:
    v = _noise(*x.shape, seed=9).bfloat16().float()
    off = v - (data - noise)
    if abs(off.square().mean() - loss) <= 1e-5 * loss:
        return None
    values = {
        "The loss was computed in bf16, which has three digits. Only the network's answer is bf16: convert it by `.float()`.": off.square().mean(),
        "This is a sum. Take the mean, so that the loss does not grow with the batch.": off.square().sum(),
        "These are sums over each picture. Take the mean over everything.": off.square().flatten(1).sum(1).mean(),
        "These are absolute errors, whose best answer is a median. The flow needs the mean: square them.": off.abs().mean(),
        "A root was taken: its gradient is another. Return the mean squared error.": off.square().mean().sqrt(),
        "The target has the wrong sign: the velocity is data - noise.": (v + data - noise).square().mean(),
        "The target is the data. Here the network predicts the velocity.": (v - data).square().mean(),
        "The target is the noise, as in denoising. Here the network predicts the velocity.": (v - noise).square().mean(),
        "The answer was compared with x. Compare it with the velocity, the second value of `interpolate`.": (v - x).square().mean(),
        "Half of the squared error was returned. Return the mean squared error itself.": off.square().mean() / 2,
    }  # fmt: skip
    near = min(values, key=lambda text: abs(values[text] - loss))
    if not abs(values[near] - loss) <= 3e-3 * values[near]:  # nor if it is NaN
        near = f"The loss is {loss.item():.4g}, not the mean of (answer - target) squared."
    return near


def _about(change: Callable) -> Callable:
    """The squared error of the answer from something else than the velocity."""
    return lambda v, target, x, noise, data: (v - change(x, noise, data)).square().mean()


register(Exercise(
    name="flow.loss", lesson=LESSON, minutes=7, reference=_loss(), judge=_judge_loss, own=(library.velocity_loss, library.flow_matching),
    wrong=(
        Answer("one time", _loss(lambda noise, t, data: (noise, t[:1].expand(len(t)))), "have the same time"),
        Answer("a time of shape (1,)", _loss(lambda noise, t, data: (noise, t[:1])), "It takes the times of draw(data)"),
        Answer("times of its own", _loss(lambda noise, t, data: (noise, torch.rand(len(data)))), "other times"),
        Answer("noise of its own", _loss(lambda noise, t, data: (torch.randn_like(data), t)), "another x"),
        Answer("drawn twice", lambda net, data, given, draw: _loss(lambda noise, t, data: (noise, draw(data)[1]))(net, data, given, draw), "draw is called 2 times"),
        Answer("ends swapped", _loss(point=lambda noise, data, t: _line()(data, noise, t)), "the ends have changed places"),
        Answer("pair swapped", _loss(point=lambda noise, data, t: _line()(noise, data, t)[::-1]), "got the velocity for x"),
        Answer("given before t", _loss(ask=lambda net, x, t, given: net(x, given, t)), "t and given have changed places"),
        Answer("interpolate for pictures", _loss(point=_line(shaped=lambda t, x: t.view(-1, 1, 1, 1))), "On numbers, with data (N, 1) and None for given: The network got x of shape (16, 1, 16, 1)"),
        Answer("given left out", _loss(ask=lambda net, x, t, given: net(x, t, None)), "does not get `given`"),
        Answer("asked twice", _loss(ask=lambda net, x, t, given: (net(x, t, given) + net(x, t, given)) / 2), "asked 2 times"),
        Answer("never asked", _loss(ask=lambda net, x, t, given: x), "asked 0 times"),
        Answer("the data shown", _loss(ask=lambda net, x, t, given: net(torch.cat([x, x], 1), t, given)[:, :2]), "not that of data"),
        Answer("a sum", _loss(error=lambda v, target, *_: (v - target).square().sum()), "This is a sum"),
        Answer("absolute errors", _loss(error=lambda v, target, *_: (v - target).abs().mean()), "absolute errors"),
        Answer("a root", _loss(error=lambda v, target, *_: (v - target).square().mean().sqrt()), "A root was taken"),
        Answer("sign", _loss(error=lambda v, target, *_: (v + target).square().mean()), "the wrong sign"),
        Answer("the data as target", _loss(error=_about(lambda x, noise, data: data)), "The target is the data"),
        Answer("the noise as target", _loss(error=_about(lambda x, noise, data: noise)), "The target is the noise"),
        Answer("x as target", _loss(error=_about(lambda x, noise, data: x)), "compared with x"),
        Answer("one a picture", _loss(error=lambda v, target, *_: (v - target).square().mean((1, 2, 3))), "Return one number in a tensor"),
        Answer("mean of pictures", _loss(error=lambda v, target, *_: (v - target).square().mean((1, 2, 3)).mean()), ". On numbers, with data (N, 1) and None for given"),
        Answer("bf16", _loss(error=lambda v, target, *_: (v - target.bfloat16()).square().mean().float()), "computed in bf16"),
        Answer("backward", _loss(error=lambda v, target, *_: (loss := (v - target).square().mean()).backward() or loss), "Do not call `backward`"),
        Answer("data changed", _loss(error=lambda v, target, x, noise, data: (v - data.sub_(noise)).square().mean()), "changes data in place"),
        Answer("detached", _loss(error=lambda v, target, *_: (v.detach() - target).square().mean()), "has no gradient"),
    ),
    right=(Answer("F.mse_loss", _loss(error=lambda v, target, *_: F.mse_loss(v.float(), target))),),
))  # fmt: skip

# --- Euler's sampler ------------------------------------------------------------------------------


def _steps(
    time: Callable = lambda k, n: k / n,
    size: Callable = lambda n: 1 / n,
    count: Callable = range,
    at: Callable = lambda velocity, x, t, h: velocity(x, t),
    shaped: Callable = lambda t, x: x.new_full((len(x),), t),
    result: Callable = lambda xs: xs[-1],
) -> Callable:
    """Steps along the velocity from time 0 to 1; or with one mistake put in."""

    def answer(velocity: Callable, x: Tensor, steps: int) -> Any:
        xs = [x]
        for k in count(steps):
            t, h = shaped(time(k, steps), x), size(steps)
            xs.append(xs[-1] + h * at(velocity, xs[-1], t, h))
        return result(xs)

    return answer


def _each(t: Any, x: Tensor) -> Tensor:
    """t with the number of dimensions of x, if it is one time for each point."""
    if not isinstance(t, Tensor) or t.shape != x.shape[:1]:
        got = tuple(t.shape) if isinstance(t, Tensor) else type(t).__name__
        raise ValueError(f"velocity got {got} for t and {tuple(x.shape)} for x. t has to be (N,)")
    return _as(t, x)


def _shrinking(x: Tensor, t: Tensor) -> Tensor:
    """A velocity that depends on the point and the time of each picture."""
    return (1 + _each(t, x)) * (3 - x)


def _wave(x: Tensor, t: Tensor) -> Tensor:
    return x.sin() + 4 * _each(t, x).square()


register(Exercise(
    name="flow.euler", lesson=LESSON, minutes=7, reference=_steps(), own=(library.euler, library.heun),
    cases=(Case("numbers, 5 steps", lambda: (_shrinking, _noise(6, 1, seed=1), 5)),
           Case("pictures, 6 steps", lambda: (_wave, _noise(3, 2, 4, 4, seed=2), 6)),
           Case("one step", lambda: (_shrinking, _noise(2, 2, 3, 3, seed=3), 1))),
    wrong=(
        Answer("step of 1", _steps(size=lambda n: 1), "Each step is as long as the whole way: multiply the velocity by 1 / steps."),
        Answer("time at the end", _steps(time=lambda k, n: (k + 1) / n), "The velocity was asked at the end of each step. Euler asks at its start: t = 0 comes first."),
        Answer("time in the middle", _steps(time=lambda k, n: (k + 0.5) / n), "t is the middle of each step. Euler asks for the velocity at its start."),
        Answer("time never moves", _steps(time=lambda k, n: 0.0), "The network is told t = 0 in every step. Time moves on by 1 / steps."),
        Answer("time in steps", _steps(time=lambda k, n: float(k)), "t is the number of the step here. Time goes from 0 to 1: divide by steps."),
        Answer("backwards", _steps(time=lambda k, n: 1 - k / n), "Time runs backwards here. Noise is at t = 0, and data at t = 1."),
        Answer("n - 1 gaps", _steps(time=lambda k, n: k / max(n - 1, 1)), "The last step asks at t = 1, where there is nowhere left to go. Steps begin at 0, 1/n, ... (n - 1)/n."),
        Answer("minus", _steps(size=lambda n: -1 / n), "The steps go against the velocity."),
        Answer("from the start", lambda velocity, x, steps: x + sum(velocity(x, x.new_full((len(x),), k / steps)) for k in range(steps)) / steps, "Every velocity was asked at the first x. Each step goes on from where the last one ended."),
        Answer("each from the start", lambda velocity, x, steps: reduce(lambda y, k: x + velocity(y, x.new_full((len(x),), k / steps)) / steps, range(steps), x), "Every step was added to the first x, so that only the last one counts. Add it to where the one before ended."),
        Answer("x lost", _steps(at=lambda v, x, t, h: v(x, t) - x / h), "x is replaced by the step. Add the step to x."),
        Answer("first step only", _steps(count=lambda n: range(1)), "Only the first step was taken. Does `return` stand inside the loop?"),
        Answer("steps not used", _steps(count=lambda n: range(1), size=lambda n: 1), "This is a single step from t = 0 to t = 1: the argument steps is not used."),
        Answer("first step missing", _steps(count=lambda n: range(1, n)), "The first step, at t = 0, is missing."),
        Answer("time added up", _steps(count=lambda n: range(1 + sum(t < 1 for t in accumulate([1 / n] * n)))), "Adding up 1 / steps may end a little below 1, as with 6 steps, and the loop then goes round once more. Count the steps instead."),
        Answer("one step more", _steps(count=lambda n: range(n + 1)), "There is one step too many: the point runs on beyond t = 1."),
        Answer("one step less", _steps(count=lambda n: range(n - 1)), "One step is missing: the point stops before t = 1."),
        Answer("midpoint", _steps(at=lambda v, x, t, h: v(x + h / 2 * v(x, t), t + h / 2)), "This is the midpoint rule, which asks twice a step. Euler goes along the velocity at the start."),
        Answer("Heun", _steps(at=lambda v, x, t, h: (v(x, t) + v(x + h * v(x, t), t + h)) / 2), "This is Heun's method, which asks twice a step: better, but Euler's was asked for."),
        Answer("t as a number", _steps(shaped=lambda t, x: t), "t is one number here. The network takes a tensor (N,), the same time for each picture."),
        Answer("t of shape ()", _steps(shaped=lambda t, x: torch.tensor(t)), "t is a tensor of one number, without a dimension. The network takes one time for each example, (N,)."),
        Answer("t of shape (1,)", _steps(shaped=lambda t, x: x.new_full((1,), t)), "t has the shape (1,): the network takes one time for each picture, (N,)."),
        Answer("t with x's dimensions", _steps(shaped=lambda t, x: _as(x.new_full((len(x),), t), x)), "t has as many dimensions as x. The network takes (N,), and does the rest itself."),
        Answer("the velocity", _steps(result=lambda xs: xs[-1] - xs[0]), "This is the way that was gone. Return the point where it ends."),
        Answer("the whole path", _steps(result=torch.stack), "This is the whole path. Return its last point."),
    ),
    right=(Answer("linspace", _steps(time=lambda k, n: torch.linspace(0, 1, n + 1)[k])),
           Answer("t as a product", _steps(shaped=lambda t, x: t * torch.ones(len(x))))),
))  # fmt: skip

# --- attention ------------------------------------------------------------------------------------


def _attend(
    scores: Callable = lambda q, k: q @ k.transpose(-2, -1),
    scale: Callable = lambda q: q.shape[-1] ** -0.5,
    weights: Callable = lambda s: s.softmax(-1),
    result: Callable = lambda a, v: a @ v,
) -> Callable:
    """Means of the values, weighted by how well keys fit queries; or with one mistake put in."""
    return lambda q, k, v: result(weights(scores(q, k) * scale(q)), v)


def _einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = (torch.einsum("nhpc,nhrc->nhpr", q, k) / q.shape[3] ** 0.5).softmax(3)
    return torch.einsum("nhpr,nhrc->nhpc", weights, v)


def _three(seed: int, *shape: int, size: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(size * _noise(*shape, seed=seed + i) for i in range(3))


register(Exercise(
    name="flow.attention", lesson=LESSON, minutes=8, reference=_attend(), own=(F.scaled_dot_product_attention,),
    cases=(Case("two pictures, three heads, five places, four channels", lambda: _three(1, 2, 3, 5, 4)),
           Case("as many places as channels", lambda: _three(5, 2, 2, 4, 4, size=1.5)),
           Case("very sure heads", lambda: _three(9, 1, 2, 6, 3, size=30.0))),
    wrong=(
        Answer("not scaled", _attend(scale=lambda q: 1), "The scores are not divided by the root of C: with many channels softmax would see only one place."),
        Answer("divided by C", _attend(scale=lambda q: 1 / q.shape[-1]), "Divided by C. The sum of C products of unit variance has the deviation root of C."),
        Answer("times the root", _attend(scale=lambda q: q.shape[-1] ** 0.5), "Multiplied by the root of C. Divide by it."),
        Answer("root of the places", _attend(scale=lambda q: q.shape[-2] ** -0.5), "Divided by the root of the number of places. C is the number of channels, over which the products are summed."),
        Answer("root of the heads", _attend(scale=lambda q: q.shape[1] ** -0.5), "Divided by the root of the number of heads. C is the number of channels, the last dimension."),
        Answer("over the queries", _attend(weights=lambda s: s.softmax(-2)), "The weights that one place gives do not add up to 1: softmax runs over the keys, the last dimension."),
        Answer("over the heads", _attend(weights=lambda s: s.softmax(1)), "Softmax runs over the heads. It runs over the keys, the last dimension."),
        Answer("over the pictures", _attend(weights=lambda s: s.softmax(0)), "Softmax runs over the pictures of the batch. It runs over the keys, the last dimension."),
        Answer("over all scores", _attend(weights=lambda s: s.flatten(2).softmax(-1).view_as(s)), "Softmax runs over all P x P scores at once. The weights of each query add up to 1."),
        Answer("no softmax", _attend(weights=lambda s: s), "There is no softmax: scores can be negative and add up to anything."),
        Answer("exp overflows", _attend(weights=lambda s: s.exp() / s.exp().sum(-1, keepdim=True)), "exp of a large score overflows, and infinity / infinity is not a number. Use softmax."),
        Answer("sigmoid", _attend(weights=lambda s: s.sigmoid()), "A sigmoid gives each place a weight of its own. They have to add up to 1: softmax."),
        Answer("the best only", _attend(weights=lambda s: F.one_hot(s.argmax(-1), s.shape[-1]).float()), "Only the best place answers, and no gradient goes through argmax. Use softmax."),
        Answer("equal weights", _attend(weights=lambda s: torch.full_like(s, 1 / s.shape[-1])), "All places count alike: the queries are not used."),
        Answer("a mask", _attend(weights=lambda s: s.masked_fill(torch.ones_like(s).triu(1).bool(), -torch.inf).softmax(-1)), "Places do not see those after them: that mask belongs to text. A picture has no order."),
        Answer("q and k swapped", _attend(scores=lambda q, k: k @ q.transpose(-2, -1)), "Queries and keys have changed places: row i holds what query i says of all keys."),
        Answer("k not turned", _attend(scores=lambda q, k: q @ k), "k was not transposed: each query has to meet each key."),
        Answer("k.T", _attend(scores=lambda q, k: q @ k.T), "Not only the last two dimensions of k change places: `.T` turns all four, and dimension 1 holds the heads."),
        Answer("k reshaped", _attend(scores=lambda q, k: q @ k.reshape(*k.shape[:2], *k.shape[:1:-1])), "A new shape leaves the numbers in their order, which mixes places with channels. k has to be transposed."),
        Answer("q with q", _attend(scores=lambda q, k: q @ q.mT), "The queries meet each other, and the keys are not used."),
        Answer("channels", lambda q, k, v: v @ ((q.transpose(-2, -1) @ k) / q.shape[-1] ** 0.5).softmax(-1), "These are weights between channels, (C, C). Places attend to places, (P, P)."),
        Answer("weights turned", _attend(result=lambda a, v: a.transpose(-2, -1) @ v), "The weights were transposed: row i holds what place i takes from all others."),
        Answer("weights only", _attend(result=lambda a, v: a), "These are the weights. Return the values' means with them: weights @ v."),
        Answer("scaled afterwards", lambda q, k, v: (q @ k.transpose(-2, -1)).softmax(-1) / q.shape[-1] ** 0.5 @ v, "The scale stands after the softmax, so the weights add up to less than 1. Scale the scores."),
        Answer("keys for values", lambda q, k, v: _attend()(q, k, k), "These are means of the keys. The values are what is averaged."),
        Answer("values added", _attend(result=lambda a, v: v + a @ v), "The values were added once more. The network adds the input itself, outside of attention."),
    ),
    right=(Answer("einsum", _einsum), Answer("q scaled", lambda q, k, v: ((q / q.shape[-1] ** 0.5) @ k.mT).softmax(-1) @ v)),
))  # fmt: skip

# --- counting the draws ---------------------------------------------------------------------------


def _distances(drawn: Tensor, possible: Tensor) -> Tensor:
    return (drawn[:, None] - possible).norm(dim=2)


def _count(
    distance: Callable = _distances,
    none: Callable = lambda near, within: near > within,
    shares: Callable = lambda counts, drawn: counts / len(drawn),
    pick: Callable = lambda d: d.min(1),
    order: Callable = lambda counts: counts,
    tally: Callable = lambda number, k: torch.bincount(number, minlength=k + 1),
) -> Callable:
    """The share of the draws nearest to each possible colour; or with one mistake put in."""

    def answer(drawn: Tensor, possible: Tensor, within: float = 15.0) -> Tensor:
        near, number = pick(distance(drawn, possible))
        number = torch.where(none(near, within), len(possible), number)
        return order(shares(tally(number, len(possible)).float(), drawn))

    return answer


count_colours = _count()


def _count_in_a_loop(drawn: Tensor, possible: Tensor, within: float = 15.0) -> Tensor:
    counts = [0.0] * (len(possible) + 1)
    for colour in drawn:
        d = (possible - colour).norm(dim=1)
        counts[int(d.argmin()) if d.min() <= within else -1] += 1
    return torch.tensor(counts) / len(drawn)


def _all_within(drawn: Tensor, possible: Tensor, within: float = 15.0) -> Tensor:
    near = _distances(drawn, possible) <= within
    return torch.cat([near.float().mean(0), (~near.any(1)).float().mean(0, keepdim=True)])


def _some_draws(seed: int, count: int, *within: float) -> tuple:
    """Draws about three colours, two of which are close to each other, and some far from all."""
    possible = torch.tensor([[50.0, 30.0], [-40.0, 40.0], [38.0, 42.0], [0.0, -60.0]])
    number = torch.randint(3, (count,), generator=torch.Generator().manual_seed(seed))
    far = 9 * _noise(count, 2, seed=seed + 1)
    far[::5] += torch.tensor([-30.0, -25.0])
    return possible[number] + far, possible, *within


register(Exercise(
    name="flow.dice", lesson=LESSON, minutes=7, reference=count_colours,
    cases=(Case("forty draws", lambda: _some_draws(1, 40)), Case("within 8", lambda: _some_draws(3, 30, 8.0)),
           Case("within 200", lambda: _some_draws(7, 20, 200.0)),
           Case("a colour that is never drawn", lambda: (torch.tensor([[1.0, 0], [9, 12], [0, 90]]), torch.tensor([[0.0, 0], [40, 0], [0, 50]])))),
    wrong=(
        Answer("none never counted", _count(none=lambda near, within: near > torch.inf), "Every draw counts for some colour, even brown. Those farther than `within` from all count last."),
        Answer("within not used", _count(none=lambda near, within: near > 15), "Right at 15 only: the argument within is not used."),
        Answer("counted twice", _all_within, "A draw within reach of two colours counts for both, so that the shares add up to more than 1. Only the nearest counts."),
        Answer("counts", _count(shares=lambda counts, drawn: counts), "These are counts. Divide by the number of draws."),
        Answer("shares of the good ones", _count(shares=lambda counts, drawn: counts / counts[:-1].sum()), "Divided by the draws that got a possible colour. Divide by all of them."),
        Answer("mean of the draws", lambda drawn, possible, within=15.0: _count()(drawn.mean(0, keepdim=True), possible, within), "The draws were averaged first: the mean of red and green is no colour of the apple. Count each draw."),
        Answer("squared distance", _count(lambda drawn, possible: _distances(drawn, possible).square()), "These are squared distances, compared with a distance: take the root."),
        Answer("city blocks", _count(lambda drawn, possible: (drawn[:, None] - possible).abs().sum(2)), "|a| and |b| were added. The Euclidean distance is the root of the sum of squares."),
        Answer("larger of a and b", _count(lambda drawn, possible: (drawn[:, None] - possible).abs().amax(2)), "Only the larger of the differences in a and b counts here. Take the Euclidean distance."),
        Answer("by a alone", _count(lambda drawn, possible: (drawn[:, None] - possible)[..., 0].abs()), "Only a is compared: yellow and gray would be alike. Take the distance in both."),
        Answer("farthest", _count(pick=lambda d: d.max(1)), "This is the farthest colour. A draw counts for the nearest."),
        Answer("none first", _count(order=lambda counts: counts.roll(1)), "The share of none comes first here. It is the last of K + 1."),
        Answer("none left out", _count(order=lambda counts: counts[:-1]), "The last share is missing: K colours, and then none of them."),
        Answer("never drawn left out", _count(tally=lambda number, k: number.unique(return_counts=True)[1]), "Colours that were never drawn have no entry. They have the share 0: K + 1 numbers always."),
        Answer("as long as needed", _count(tally=lambda number, k: torch.bincount(number)), "The shares end with the last colour that was drawn. Those after it have the share 0: K + 1 numbers always."),
        Answer("K at least", _count(tally=lambda number, k: torch.bincount(number, minlength=k)), "The last share is missing where every draw is near a colour: it is 0 then."),
        Answer("once for each", _count(tally=lambda number, k: F.one_hot(number, k + 1).amax(0)), "Each colour was counted once at most: `out[i] += 1` adds 1 only once, however often a number occurs in i."),
        Answer("good by good", _count(shares=lambda counts, drawn: torch.cat([counts[:-1] / counts[:-1].sum(), counts[-1:] / len(drawn)])), "Only the last share was divided by all draws, the others by the good ones. Divide all by the same number."),
        Answer("last share 0", _count(order=lambda counts: torch.cat([counts[:-1], 0 * counts[-1:]])), "The last share is always 0. Draws near no colour count there."),
        Answer("renormalised", _count(shares=lambda counts, drawn: torch.cat([counts[:-1], 0 * counts[-1:]]) / counts[:-1].sum()), "Draws near no colour were left out, and the shares of the others add up to 1. They are draws, too, and count last."),
        Answer("over the draws", _count(pick=lambda d: d.min(0)), "The minimum runs over the draws, and finds the nearest draw of each colour. Each draw needs its nearest colour."),
        Answer("nearer than within", _count(none=lambda near, within: near >= within), "A draw exactly `within` away counts for its colour: at most means <=."),
        Answer("within as least", _count(none=lambda near, within: near <= within), "Those within reach count as none here, and the far ones for a colour: turn the comparison."),
        Answer("whole numbers", _count(shares=lambda counts, drawn: (counts / len(drawn)).long()), "The shares were cut to whole numbers."),
    ),
    right=(Answer("a loop", _count_in_a_loop), Answer("cdist", _count(lambda drawn, possible: torch.cdist(drawn, possible)))),
))  # fmt: skip

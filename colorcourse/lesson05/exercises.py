"""Exercises of lesson 5, a loss that is learnt: both losses, PatchGAN, lambda, the clinic."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorcourse.exercises import Answer, Case, Exercise, register
from colorcourse.lesson04.exercises import with_gradients
from colorcourse.lesson05.clinic import gan_clinic
from colorkit import losses as library
from colorkit.models import ImageDiscriminator, PatchDiscriminator

LESSON = "05_adversarial"
OWN_LOSSES = (library.discriminator_loss, library.generator_loss)


def _noise(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _log_of_sigmoid(x: Tensor, label: float) -> Tensor:
    """Cross-entropy of one half, by way of the probability: infinite where that is 0 in float32."""
    p = x.sigmoid()
    return -(label * p.log() + (1 - label) * (1 - p).log()).mean()


def _cross_entropy(x: Tensor, label: float, **how) -> Tensor:
    return F.binary_cross_entropy_with_logits(x, torch.full_like(x, label), **how)


# --- the discriminator's loss ---------------------------------------------------------------------


def _mean_of_halves(true: Tensor, generated: Tensor) -> Tensor:
    return (true + generated) / 2


def _discriminator(
    labels=lambda s: (1 - s, 0.0), half=_cross_entropy, total=_mean_of_halves
) -> Callable:
    """The discriminator's loss, of logits; or with one mistake put in."""

    def answer(true, generated, smooth=0.1):
        one, zero = labels(smooth)
        return total(half(true, one), half(generated, zero))

    return answer


def _discriminator_at_once(true, generated, smooth=0.1):
    labels = torch.cat([torch.full_like(true, 1 - smooth), torch.zeros_like(generated)])
    return F.binary_cross_entropy_with_logits(torch.cat([true, generated]), labels)


def _discriminator_by_softplus(true, generated, smooth=0.1):
    fooled = (1 - smooth) * F.softplus(-true) + smooth * F.softplus(true)
    return 0.5 * (fooled.mean() + F.softplus(generated).mean())


def _logits(seed: int, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    pair = _noise(2, 3, 1, 4, 5, seed=seed, scale=scale)
    return tuple(x.clone().requires_grad_() for x in pair)


register(Exercise(
    name="adversarial.discriminator_loss", lesson=LESSON, minutes=6,
    reference=_discriminator(), own=OWN_LOSSES, form=with_gradients,
    cases=(
        Case("a few logits", lambda: _logits(1)),
        Case("labels not smoothed", lambda: (*_logits(2), 0.0)),
        Case("a discriminator that is very sure", lambda: (*_logits(3, 30.0), 0.2)),
    ),
    atol=1e-5, rtol=1e-3,
    wrong=(
        Answer("labels swapped", _discriminator(lambda s: (0.0, 1 - s)),
               "The labels have changed places: true pictures are 1, generated ones 0."),
        Answer("both smoothed", _discriminator(lambda s: (1 - s, s)),
               "Both sides were smoothed. Only the label of true pictures is lowered; generated ones stay at 0."),
        Answer("generated smoothed", _discriminator(lambda s: (1.0, s)),
               "The label of generated pictures was raised. Lower that of the true ones instead."),
        Answer("label is smooth", _discriminator(lambda s: (s, 0.0)),
               "The label of true pictures is `smooth` itself. It should be just below 1."),
        Answer("not smoothed", _discriminator(lambda s: (1.0, 0.0)),
               "Right without smoothing, but `smooth` is not used."),
        Answer("true half only", _discriminator(total=lambda a, b: a / 2),
               "Only true pictures count: a discriminator that always says yes would be perfect."),
        Answer("generated half only", _discriminator(total=lambda a, b: b / 2),
               "Only generated pictures count: a discriminator that always says no would be perfect."),
        Answer("sum of the halves", _discriminator(total=lambda a, b: a + b),
               "Twice too large: take the mean of the two halves, so that it starts at ln 2."),
        Answer("sum over the patches", _discriminator(half=lambda x, y: _cross_entropy(x, y, reduction="sum")),
               "Summed over all patches: the loss would grow with the size of the pictures. Take means."),
        Answer("sigmoid twice", _discriminator(half=lambda x, y: _cross_entropy(x.sigmoid(), y)),
               "The sigmoid is applied twice: a loss that takes logits has it inside."),
        Answer("no logarithm", _discriminator(half=lambda x, y: (x.sigmoid() - y).abs().mean()),
               "These are means of probabilities. Cross-entropy has their logarithm."),
        Answer("squares", _discriminator(half=lambda x, y: (x - y).square().mean()),
               "This is least squares on the logits, another GAN's loss. Cross-entropy was asked for."),
        Answer("hinge", lambda true, fake, s=0.1: (F.relu(1 - true).mean() + F.relu(1 + fake).mean()) / 2,
               "This is the hinge loss, another GAN's: the extra exercise asks for it. Cross-entropy was asked for here."),
        Answer("log of the sigmoid", _discriminator(half=_log_of_sigmoid),
               "Where the discriminator is very sure, the probability is 0 or 1 in float32 and its logarithm is lost. Start from logits."),
        Answer("cross-entropy of the sigmoid",
               _discriminator(half=lambda x, y: F.binary_cross_entropy(x.sigmoid(), torch.full_like(x, y))),
               "Where the discriminator is very sure, this loss is cut off at 100. A loss that takes logits loses nothing."),
        Answer("logits detached", lambda true, fake, s=0.1: _discriminator()(true, fake.detach(), s),
               "The discriminator learns nothing from generated pictures: their logits were detached. It is the picture that must be, before the discriminator sees it."),
        Answer("a number", lambda *args: _discriminator()(*args).item(),
               "The loss has no gradient: return the tensor itself, not a number made of it."),
    ),
    right=(Answer("with logits", _discriminator()), Answer("both at once", _discriminator_at_once),
           Answer("softplus", _discriminator_by_softplus)),
))  # fmt: skip

# --- the generator's loss -------------------------------------------------------------------------


def _absolute(prediction: Tensor, truth: Tensor) -> Tensor:
    return (prediction - truth).abs().mean()


def _generator(
    fooled=lambda x: _cross_entropy(x, 1.0),
    pixel=_absolute,
    total=lambda fooled, pixel, lam: fooled + lam * pixel,
) -> Callable:
    """The generator's loss, -log D and lam times L1; or with one mistake put in."""

    def answer(logits, prediction, truth, lam=0.9):
        return total(fooled(logits), pixel(prediction, truth), lam)

    return answer


def _generated(seed: int, scale: float = 2.0) -> tuple[Tensor, Tensor, Tensor]:
    logits, made = _noise(2, 1, 4, 5, seed=seed, scale=scale), _noise(2, 2, 8, 8, seed=seed + 1)
    return logits.requires_grad_(), made.requires_grad_(), _noise(2, 2, 8, 8, seed=seed + 2)


register(Exercise(
    name="adversarial.generator_loss", lesson=LESSON, minutes=5,
    reference=_generator(), own=OWN_LOSSES, form=with_gradients,
    cases=(
        Case("a few patches", lambda: _generated(10)),
        Case("lam = 0.2", lambda: (*_generated(20), 0.2)),
        Case("a discriminator that is very sure", lambda: (*_generated(30, 60.0), 3.0)),
    ),
    atol=1e-5, rtol=1e-3,
    wrong=(
        Answer("saturating", _generator(lambda x: -_cross_entropy(x, 0.0)),
               "This is log(1 - D): the game's own loss, but its gradient vanishes where the discriminator is sure. Minimise -log D."),
        Answer("labels swapped", _generator(lambda x: _cross_entropy(x, 0.0)),
               "This generator helps the discriminator: it wants its pictures to be called generated."),
        Answer("sign", _generator(lambda x: -_cross_entropy(x, 1.0)),
               "The sign is wrong: log D grows as the discriminator is fooled, and losses are minimised."),
        Answer("lam on the wrong term", _generator(total=lambda f, p, lam: lam * f + p),
               "lam stands at the wrong term: it weighs the pixel loss."),
        Answer("lam on both", _generator(total=lambda f, p, lam: lam * (f + p)),
               "lam multiplies both terms, so it only scales the whole. It weighs the pixel loss alone."),
        Answer("lam not used", _generator(total=lambda f, p, lam: f + p),
               "lam is not used: both terms count alike."),
        Answer("lam and 1 - lam", _generator(total=lambda f, p, lam: (1 - lam) * f + lam * p),
               "The adversarial term was given 1 - lam. Its weight is 1, whatever lam is."),
        Answer("no discriminator", _generator(total=lambda f, p, lam: lam * p),
               "The discriminator's answer is missing: this is training by the pixel loss alone."),
        Answer("no pixel loss", _generator(total=lambda f, p, lam: f),
               "The pixel loss is missing: nothing holds the colours near the true ones."),
        Answer("L2", _generator(pixel=F.mse_loss),
               "These are squares: L1 is the absolute difference."),
        Answer("summed L1", _generator(pixel=lambda p, t: (p - t).abs().sum()),
               "The absolute differences were added up: the loss would grow with the pictures. Take their mean."),
        Answer("distance over a and b", _generator(pixel=lambda p, t: (p - t).abs().sum(1).mean()),
               "Twice too large: the mean runs over both channels too."),
        Answer("Euclidean distance", _generator(pixel=lambda p, t: (p - t).norm(dim=1).mean()),
               "These are distances in the ab plane. L1 takes a and b apart: the mean of the absolute differences."),
        Answer("ab / 110", _generator(pixel=lambda p, t: _absolute(p, t) / 110),
               "The difference was divided by 110. lam is per ab unit here, so nothing is scaled."),
        Answer("100 / 110", _generator(total=lambda f, p, lam: f + 100 / 110 * p),
               "lam is not used: its value was written into the formula."),
        Answer("always 0.9", _generator(total=lambda f, p, lam: f + 0.9 * p),
               "lam is not used: 0.9 stands where it should, so another lam changes nothing."),
        Answer("smoothed", _generator(lambda x: _cross_entropy(x, 0.9)),
               "The generator's label was smoothed too. Smoothing is for the discriminator; here the label is 1."),
        Answer("sigmoid twice", _generator(lambda x: _cross_entropy(x.sigmoid(), 1.0)),
               "The sigmoid is applied twice: a loss that takes logits has it inside."),
        Answer("log of the sigmoid", _generator(lambda x: -x.sigmoid().log().mean()),
               "Where the discriminator is very sure, D is 0 in float32, and the gradient is lost just where it is needed. Start from logits."),
        Answer("mean logit", _generator(lambda x: -x.mean()),
               "This is minus the mean logit, as in the hinge game. Cross-entropy was asked for."),
        Answer("prediction detached", _generator(pixel=lambda p, t: _absolute(p.detach(), t)),
               "The value is right, but the prediction was detached: the pixel loss teaches nothing."),
        Answer("logits detached", _generator(lambda x: _cross_entropy(x.detach(), 1.0)),
               "The value is right, but the logits were detached: the generator never hears of the discriminator."),
        Answer("a number", lambda *args: _generator()(*args).item(),
               "The loss has no gradient: return the tensor itself, not a number made of it."),
    ),
    right=(Answer("with logits", _generator(pixel=F.l1_loss)),
           Answer("softplus", _generator(lambda x: F.softplus(-x).mean())),
           Answer("logsigmoid", _generator(lambda x: -F.logsigmoid(x).mean()))),
))  # fmt: skip

# --- PatchGAN -------------------------------------------------------------------------------------

FIELD, SIDE = 16, 96


def _patches(width=16, strides=(2, 1, 1), first=3, last=(), act=nn.LeakyReLU, **how):
    """Convolutions 4 x 4, padded by 1: from L and ab (N, 3, H, W) to logits (N, 1, h, w)."""
    widths = [first, *(width * 2**level for level in range(len(strides) - 1)), 1]
    layers: list[nn.Module] = []
    for level, stride in enumerate(strides):
        layers.append(nn.Conv2d(widths[level], widths[level + 1], 4, stride, 1, **how))
        if level < len(strides) - 1:
            layers += [act()]
    return nn.Sequential(*layers, *last)


def judge_patches(answer: Callable) -> str | None:
    """The hint for a discriminator; None where each logit of a map depends on just 16 x 16 pixels."""
    discriminator = answer(8)
    if not isinstance(discriminator, nn.Module):
        return f"Return a torch module, not {type(discriminator).__name__}."
    discriminator.eval()  # so that batch norm, as pix2pix has it, does not tie the patches together
    x = _noise(4, 3, SIDE, SIDE).requires_grad_()
    try:
        logits = discriminator(x)
    except (RuntimeError, ValueError):
        return "It does not take L and ab together, 3 channels. Or a later layer does not fit the one before it."
    if logits.ndim != 4 or logits.shape[2] * logits.shape[3] == 1:
        return "It gives one answer a picture. A PatchGAN gives a map: one logit for each patch."
    if logits.shape[1] != 1:
        return f"It gives {logits.shape[1]} channels. A patch is true or not: one logit."
    return _judge_field(x, logits) or _judge_logits(discriminator, x)


def _judge_field(x: Tensor, logits: Tensor) -> str | None:
    """By the gradient of logits in the middle."""
    row, column = (side // 2 for side in logits.shape[2:])
    (gradient,) = torch.autograd.grad(logits[:, 0, row, column].sum(), x)
    seen = gradient.abs().sum(0)
    if not seen[0].any():
        return "L has no influence: it knows which colours there are, not what they belong to."
    if not seen[1:].any():
        return "ab has no influence: it judges a gray picture."
    rows, columns = seen.sum(0).nonzero().unbind(1)
    height, width = (int(i.max() - i.min()) + 1 for i in (rows, columns))
    if height >= SIDE:
        return "A logit depends on the whole picture. Is there a pooling, or a norm that ties all patches together?"
    if (height, width) == (FIELD, FIELD):
        return None
    if (height, width) == (34, 34):
        return "A logit sees 34 x 34 pixels: one convolution too many halves the size."
    size = "small" if height < FIELD else "large"
    return f"A logit sees {height} x {width} pixels: too {size}. From the last layer back to the first, a field r becomes (r - 1) * stride + kernel."


def _judge_logits(discriminator: nn.Module, x: Tensor) -> str | None:
    with torch.no_grad():
        far, y = discriminator(1000 * x), _noise(4, 3, SIDE, SIDE, seed=1)
        if far.min() >= 0 and far.max() <= 1:
            return "All answers lie between 0 and 1: there is a sigmoid. The loss takes logits."
        if far.abs().max() <= 1:
            return "All answers lie between -1 and 1: something bounds them. A logit has no bounds."
        both, middle = (discriminator(x) + discriminator(y)) / 2, discriminator((x + y) / 2)
    if (both - middle).abs().max() < 1e-3 * both.abs().max():
        return "It is linear: three layers are no more than one. What bends it?"
    return None


def _blind(discriminator: nn.Sequential) -> nn.Sequential:
    """It takes L, and does not look at it."""
    discriminator[0].weight.data[:, 0] = 0
    return discriminator


register(Exercise(
    name="adversarial.patch", lesson=LESSON, minutes=8,
    reference=_patches, judge=judge_patches, own=(PatchDiscriminator, ImageDiscriminator),
    wrong=(
        Answer("field of 10", lambda w: _patches(w, (2, 1)), "10 x 10 pixels: too small"),
        Answer("no stride", lambda w: _patches(w, (1, 1, 1)), "10 x 10 pixels: too small. From the last"),
        Answer("field of 34", lambda w: _patches(w, (2, 2, 1, 1)), "one convolution too many halves"),
        Answer("field of 22", lambda w: _patches(w, (2, 2, 1)), "22 x 22 pixels: too large"),
        Answer("field of 70", lambda w: _patches(w, (2, 2, 2, 1, 1)), "70 x 70 pixels: too large"),
        Answer("dilated", lambda w: _patches(w, dilation=2), "pixels: too large. From the last"),
        Answer("pooled", lambda w: _patches(w, last=[nn.AdaptiveAvgPool2d(1)]), "one answer a picture"),
        Answer("flattened", lambda w: _patches(w, last=[nn.Flatten()]), "A PatchGAN gives a map"),
        Answer("instance norm", lambda w: _patches(w, last=[nn.InstanceNorm2d(1)]), "a norm that ties"),
        Answer("sigmoid", lambda w: _patches(w, last=[nn.Sigmoid()]), "there is a sigmoid"),
        Answer("tanh", lambda w: _patches(w, last=[nn.Tanh()]), "between -1 and 1"),
        Answer("ab alone", lambda w: _patches(w, first=2), "does not take L and ab together"),
        Answer("L not used", lambda w: _blind(_patches(w)), "L has no influence"),
        Answer("all channels", lambda w: _patches(w)[:-1], "It gives 16 channels"),
        Answer("linear", lambda w: _patches(w, act=nn.Identity), "It is linear"),
    ),
    right=(
        Answer("ReLU, no bias", lambda w: _patches(w, act=nn.ReLU, bias=False)),
        Answer("no padding, batch norm, stride in the second layer",
               lambda w: nn.Sequential(
                   nn.Conv2d(3, w, 2, bias=False), nn.BatchNorm2d(w), nn.ReLU(),
                   nn.Conv2d(w, w, 3, 2), nn.ReLU(), nn.Conv2d(w, w, 4), nn.ReLU(), nn.Conv2d(w, 1, 4))),
        Answer("four layers, stride in the first",
               lambda w: nn.Sequential(
                   nn.Conv2d(3, w, 4, 2), nn.ELU(), nn.Conv2d(w, w, 3), nn.ELU(),
                   nn.Conv2d(w, w, 3), nn.ELU(), nn.Conv2d(w, 1, 3))),
    ),
))  # fmt: skip

# --- lambda ---------------------------------------------------------------------------------------


def _gradients(made, adversarial, pixel, keep=True):
    return [torch.autograd.grad(loss, made, retain_graph=keep)[0] for loss in (adversarial, pixel)]


def _share_of(share: Callable, **how) -> Callable:
    """The share by both gradients at `made`; or with one mistake put in."""

    def answer(made, adversarial, pixel, lam):
        pull, hold = _gradients(made, adversarial, pixel, **how)
        return share(pull, lam * hold)

    return answer


def _by_norm(norm: Callable) -> Callable:
    return lambda pull, hold: norm(pull) / (norm(pull) + norm(hold))


def _by_backward(clear: bool) -> Callable:
    def answer(made, adversarial, pixel, lam):
        made.retain_grad()
        norms = []
        for loss in (adversarial, lam * pixel):
            loss.backward(retain_graph=True)
            norms.append(made.grad.norm())
            made.grad = None if clear else made.grad
        return norms[0] / (norms[0] + norms[1])

    return answer


def _small_gan(seed: int, lam: float) -> tuple[Tensor, Tensor, Tensor, float]:
    """A generator and a discriminator of one convolution each, and both losses."""
    weights = _noise(2, 1, 3, 3, seed=seed).requires_grad_()
    patches = _noise(1, 2, 4, 4, seed=seed + 1, scale=0.3).requires_grad_()
    made = F.conv2d(_noise(2, 1, 10, 10, seed=seed + 2), weights) * 10
    adversarial = F.softplus(-F.conv2d(made.tanh(), patches, stride=2)).mean()
    made.weights = weights, patches  # of both networks, for `and_what_is_left`
    return made, adversarial, _absolute(made, 9 * _noise(2, 2, 8, 8)), lam


def and_what_is_left(share: Any, args: tuple) -> dict[str, Any]:
    """The share, and whether the training can go on after the measurement."""
    made, adversarial, pixel, lam = args
    left = any(x.grad is not None for x in made.weights)
    try:
        (adversarial + lam * pixel).backward()
    except RuntimeError:
        return {"the share": float(share), "the graph afterwards": "gone"}
    return {"the share": float(share), "gradients left in the weights": left}


register(Exercise(
    name="adversarial.lambda_share", lesson=LESSON, minutes=7,
    reference=_share_of(_by_norm(torch.norm)), form=and_what_is_left, atol=1e-6, rtol=1e-3,
    cases=(
        Case("lam = 0.9", lambda: _small_gan(1, 0.9)),
        Case("lam = 0.05", lambda: _small_gan(2, 0.05)),
        Case("lam = 20.0", lambda: _small_gan(3, 20.0)),
    ),
    wrong=(
        Answer("in per cent", _share_of(lambda pull, hold: 100 * _by_norm(torch.norm)(pull, hold)),
               "A share from 0 to 1 was asked for, not per cent."),
        Answer("of the losses", lambda made, a, p, lam: a / (a + lam * p),
               "This is the share of the losses. How large a loss is does not say how hard it pulls."),
        Answer("lam forgotten", lambda made, a, p, lam: _share_of(_by_norm(torch.norm))(made, a, p, 1.0),
               "lam is missing: the pixel gradient pulls with lam times its norm."),
        Answer("lam on the wrong side",
               lambda made, a, p, lam: _share_of(_by_norm(torch.norm))(made, a * lam, p, 1.0),
               "lam stands at the adversarial gradient. It weighs the pixel loss."),
        Answer("the other share", _share_of(lambda a, p: p.norm() / (a.norm() + p.norm())),
               "This is the share of the pixel loss, 1 minus what is asked."),
        Answer("a ratio", _share_of(lambda a, p: a.norm() / p.norm()),
               "This is a ratio of the two, which may exceed 1. A share is a part of the sum of both norms."),
        Answer("of the added gradient", _share_of(lambda a, p: a.norm() / (a + p).norm()),
               "Below stands the norm of the added gradients, where both may cancel. Add the two norms."),
        Answer("squared norms", _share_of(_by_norm(lambda x: x.square().sum())),
               "These are squared norms: take the roots."),
        Answer("absolute values", _share_of(_by_norm(lambda x: x.abs().sum())),
               "Absolute values were added up. The norm is the root of the sum of squares."),
        Answer("accumulated", _by_backward(clear=False),
               "The second gradient was added to the first: .grad accumulates. torch.autograd.grad returns each by itself."),
        Answer("backward", _by_backward(clear=True),
               "The share is right, but `backward` left gradients in the weights of both players, and the next step would add to them."),
        Answer("graph freed", _share_of(_by_norm(torch.norm), keep=False),
               "The share is right, but the graph is gone: the training step after it cannot go back. Retain it."),
    ),
    right=(Answer("autograd.grad", _share_of(_by_norm(torch.norm))),
           Answer("a float", lambda *args: _share_of(_by_norm(torch.linalg.vector_norm))(*args).item())),
))  # fmt: skip

# --- the clinic -----------------------------------------------------------------------------------

register(Exercise(
    name="adversarial.clinic", lesson=LESSON, minutes=8,
    reference=gan_clinic.names, judge=lambda answer: gan_clinic.hint(answer()), own=(gan_clinic.diagnosis,),
    wrong=(
        Answer("nothing named", lambda: {}, "Still to be named: run A, B"),
        Answer("won for masked", lambda: gan_clinic.names(A="discriminator has won"), "Look at the adversarial share"),
        Answer("healthy for swapped", lambda: gan_clinic.names(B="healthy"), "they are small together"),
        Answer("won for dead", lambda: gan_clinic.names(C="discriminator has won"), "true from gray, and ln 2"),
        Answer("a fault for healthy", lambda: gan_clinic.names(D="lam masks the discriminator"), "nothing is wrong with"),
        Answer("swapped for won", lambda: gan_clinic.names(E="labels swapped for the generator"), "how little the discriminator errs"),
        Answer("invented name", lambda: gan_clinic.names(B="mode collapse"), "'mode collapse' is not one of"),
    ),
    right=(Answer("in another order", lambda: dict(reversed(gan_clinic.names().items()))),),
))  # fmt: skip

# --- extra: hinge ---------------------------------------------------------------------------------


def _hinge(margins=(1.0, 1.0), bend=F.relu, half=2.0, generator=lambda x: -x.mean(), order=1):
    """The hinge losses of the discriminator and of the generator; or with one mistake put in."""

    def answer(true, generated):
        high, low = bend(margins[0] - true), bend(margins[1] + generated)
        return ((high.mean() + low.mean()) / half, generator(generated))[::order]

    return answer


register(Exercise(
    name="adversarial.hinge", lesson=LESSON, minutes=5, core=False,
    reference=_hinge(), own=OWN_LOSSES,
    cases=(Case("a few logits", lambda: _logits(50)), Case("others", lambda: _logits(60, 0.7))),
    wrong=(
        Answer("no hinge", _hinge(bend=lambda x: x),
               "Nothing stops at the margin: the discriminator gains for ever by making its logits larger."),
        Answer("no margin", _hinge((0.0, 0.0)),
               "The margin is missing: a logit barely on the right side is not yet enough."),
        Answer("margin of generated", _hinge((1.0, -1.0)),
               "Generated logits below +1 are called good enough. They should be below -1."),
        Answer("sides swapped", lambda t, g: _hinge()(g, t)[:1] + _hinge()(t, g)[1:],
               "The discriminator wants true logits low and generated ones high here: the sides are swapped."),
        Answer("sum of the halves", _hinge(half=1.0),
               "The discriminator's loss is twice too large: take the mean of the two halves."),
        Answer("squared", _hinge(bend=lambda x: F.relu(x).square()),
               "The discriminator's loss is squared: the hinge is a straight line below its margin."),
        Answer("hinge for the generator", _hinge(generator=lambda x: F.relu(1 - x).mean()),
               "The generator has no hinge: it always wants higher logits."),
        Answer("sign of the generator", _hinge(generator=torch.mean),
               "The generator's sign is wrong: as it is minimised, its logits fall."),
        Answer("turned round", _hinge(order=-1), "The two have changed places: the discriminator's loss comes first."),
    ),
    right=(Answer("relu", _hinge()),
           Answer("clamp", _hinge(bend=lambda x: x.clamp(min=0))),
           Answer("minimum", lambda t, g: (-((t - 1).clamp(max=0).mean() + (-g - 1).clamp(max=0).mean()) / 2,
                                           -g.mean()))),
))  # fmt: skip

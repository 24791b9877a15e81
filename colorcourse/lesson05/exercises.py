"""Exercises of lesson 5, a learned loss: both losses, PatchGAN, the clinic, the game."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorcourse.exercises import Answer, Case, Exercise, beside, register
from colorcourse.lesson04.exercises import with_gradients
from colorcourse.lesson05.clinic import gan_clinic
from colorkit import losses as library
from colorkit.gan import fit_gan
from colorkit.models import ImageDiscriminator, PatchDiscriminator

LESSON = "05_adversarial"
OWN_LOSSES = (library.discriminator_loss, library.generator_loss)


def _noise(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _log_of_sigmoid(x: Tensor, label: float, eps: float = 0.0) -> Tensor:
    """Cross-entropy of one half, by way of the probability: infinite where that is 0 in float32."""
    p = x.sigmoid()
    return -(label * (p + eps).log() + (1 - label) * (1 - p + eps).log()).mean()


def _cross_entropy(x: Tensor, label: float, **how) -> Tensor:
    return F.binary_cross_entropy_with_logits(x, torch.full_like(x, label), **how)


# --- the discriminator's loss ---------------------------------------------------------------------


def _mean_of_halves(true: Tensor, generated: Tensor) -> Tensor:
    return (true + generated) / 2


def _discriminator(labels=(1.0, 0.0), half=_cross_entropy, total=_mean_of_halves) -> Callable:
    """The discriminator's loss, of logits; or with one mistake put in."""

    def answer(true, generated):
        return total(half(true, labels[0]), half(generated, labels[1]))

    return answer


def _discriminator_at_once(true, generated):
    labels = torch.cat([torch.ones_like(true), torch.zeros_like(generated)])
    return F.binary_cross_entropy_with_logits(torch.cat([true, generated]), labels)


def _discriminator_by_softplus(true, generated):
    return 0.5 * (F.softplus(-true).mean() + F.softplus(generated).mean())


def _logits(seed: int, scale: float = 2.0, generated: int = 3) -> tuple[Tensor, Tensor]:
    pair = _noise(2, 3, 1, 4, 5, seed=seed, scale=scale)
    return tuple(x.clone().requires_grad_() for x in (pair[0], pair[1, :generated]))


register(Exercise(
    name="adversarial.discriminator_loss", lesson=LESSON, minutes=4,
    reference=_discriminator(), own=OWN_LOSSES, form=with_gradients,
    fresh=lambda seed: _logits(seed, 3.0, generated=1 + seed % 3),
    cases=(
        Case("a few logits", lambda: _logits(1)),
        Case("three true pictures, one generated (each half has its own mean)", lambda: _logits(2, generated=1)),
        Case("a very sure discriminator (from logits, without sigmoid, log, epsilon)", lambda: _logits(3, 30.0)),
    ),
    atol=1e-5, rtol=1e-3,
    wrong=(
        Answer("labels swapped", _discriminator((0.0, 1.0)), "The labels have changed places: true pictures are 1, generated ones 0."),
        Answer("sign", _discriminator(total=lambda a, b: -(a + b) / 2), "The sign is wrong: this is the mean of log D and log(1 - D), which grows as D learns."),
        Answer("all at once", _discriminator_at_once, "All logits were averaged together. If there are more true pictures than generated ones, they count more: take the mean of each half first."),
        Answer("true half only", _discriminator(total=lambda a, b: a / 2), "Only true pictures count: a discriminator that always says yes would be perfect."),
        Answer("generated half only", _discriminator(total=lambda a, b: b / 2), "Only generated pictures count: a discriminator that always says no would be perfect."),
        Answer("true half, not halved", _discriminator(total=lambda a, b: a), "Only true pictures count: the half of the generated ones is missing, and the mean of both."),
        Answer("generated half, not halved", _discriminator(total=lambda a, b: b), "Only generated pictures count: the half of the true ones is missing, and the mean of both."),
        Answer("mean of the logits first", _discriminator(half=lambda x, y: _cross_entropy(x.mean(), y)), "The logits were averaged before the loss: a sure patch then hides a wrong one. Average the losses."),
        Answer("epsilon", _discriminator(half=lambda x, y: _log_of_sigmoid(x, y, 1e-7)), "An epsilon in the logarithm bends the loss where the discriminator is sure, and its gradient is lost there. Start from logits."),
        Answer("sum of the halves", _discriminator(total=lambda a, b: a + b), "Twice too large: take the mean of the two halves, so that it starts at ln 2."),
        Answer("sum over the patches", _discriminator(half=lambda x, y: _cross_entropy(x, y, reduction="sum")), "Summed over all patches: the loss would grow with the size of the pictures. Take means."),
        Answer("sigmoid twice", _discriminator(half=lambda x, y: _cross_entropy(x.sigmoid(), y)), "The sigmoid is applied twice: a loss that takes logits has it inside."),
        Answer("no logarithm", _discriminator(half=lambda x, y: (x.sigmoid() - y).abs().mean()), "These are means of probabilities. Cross-entropy has their logarithm."),
        Answer("squares", _discriminator(half=lambda x, y: (x - y).square().mean()), "This is least squares on the logits, another GAN's loss. Cross-entropy was asked for."),
        Answer("hinge", lambda true, fake: (F.relu(1 - true).mean() + F.relu(1 + fake).mean()) / 2, "This is the hinge loss, another GAN's. Cross-entropy was asked for here."),
        Answer("log of the sigmoid", _discriminator(half=_log_of_sigmoid), "Where the discriminator is very sure, the probability is 0 or 1 in float32 and its logarithm is lost. Start from logits."),
        Answer("cross-entropy of the sigmoid", _discriminator(half=lambda x, y: F.binary_cross_entropy(x.sigmoid(), torch.full_like(x, y))), "Where the discriminator is very sure, this loss is cut off at 100. A loss that takes logits loses nothing."),
        Answer("logits detached", lambda true, fake: _discriminator()(true, fake.detach()), "The discriminator learns nothing from generated pictures: their logits were detached. It is the picture that must be, before the discriminator sees it."),
        Answer("a number", lambda *args: _discriminator()(*args).item(), "The loss has no gradient: return the tensor itself, not a number made of it."),
    ),
    right=(Answer("with logits", _discriminator()), Answer("softplus", _discriminator_by_softplus)),
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
    fresh=lambda seed: (*_generated(seed, 3.0), 0.1 + seed % 20 / 10),
    cases=(
        Case("a few patches", lambda: _generated(10)),
        Case("lam = 0.2", lambda: (*_generated(20), 0.2)),
        Case("a very sure discriminator (from logits, without sigmoid, log, epsilon)", lambda: (*_generated(30, 60.0), 3.0)),
    ),
    atol=1e-5, rtol=1e-3,
    wrong=(
        Answer("saturating", _generator(lambda x: -_cross_entropy(x, 0.0)), "This is log(1 - D): the game's own loss, but its gradient vanishes where the discriminator is sure. Minimise -log D."),
        Answer("saturating, by log(1 - sigmoid)", _generator(lambda x: (1 - x.sigmoid()).log().mean()), "This is log(1 - D), whose gradient vanishes where the discriminator is sure. Minimise -log D, from logits."),
        Answer("labels swapped", _generator(lambda x: _cross_entropy(x, 0.0)), "This generator helps the discriminator: it wants its pictures to be called generated."),
        Answer("sign", _generator(lambda x: -_cross_entropy(x, 1.0)), "The sign is wrong: log D grows as the discriminator is fooled, and losses are minimised."),
        Answer("lam on the wrong term", _generator(total=lambda f, p, lam: lam * f + p), "lam stands at the wrong term: it weighs the pixel loss."),
        Answer("lam on both", _generator(total=lambda f, p, lam: lam * (f + p)), "lam multiplies both terms, so it only scales the whole. It weighs the pixel loss alone."),
        Answer("lam not used", _generator(total=lambda f, p, lam: f + p), "lam is not used: both terms count alike."),
        Answer("lam and 1 - lam", _generator(total=lambda f, p, lam: (1 - lam) * f + lam * p), "The adversarial term was given 1 - lam. Its weight is 1, whatever lam is."),
        Answer("no discriminator", _generator(total=lambda f, p, lam: lam * p), "The discriminator's answer is missing: this is training by the pixel loss alone."),
        Answer("no pixel loss", _generator(total=lambda f, p, lam: f), "The pixel loss is missing: nothing holds the colours near the true ones."),
        Answer("L2", _generator(pixel=F.mse_loss), "These are squares: L1 is the absolute difference."),
        Answer("summed L1", _generator(pixel=lambda p, t: (p - t).abs().sum()), "The absolute differences were added up: the loss would grow with the pictures. Take their mean."),
        Answer("distance over a and b", _generator(pixel=lambda p, t: (p - t).abs().sum(1).mean()), "Twice too large: the mean runs over both channels too."),
        Answer("Euclidean distance", _generator(pixel=lambda p, t: (p - t).norm(dim=1).mean()), "These are distances in the ab plane. L1 takes a and b apart: the mean of the absolute differences."),
        Answer("ab / 110", _generator(pixel=lambda p, t: _absolute(p, t) / 110), "The difference was divided by 110. lam is per ab unit here, so nothing is scaled."),
        Answer("100 / 110", _generator(total=lambda f, p, lam: f + 100 / 110 * p), "lam is not used: its value was written into the formula."),
        Answer("always 0.9", _generator(total=lambda f, p, lam: f + 0.9 * p), "lam is not used: 0.9 stands where it should, so another lam changes nothing."),
        Answer("always 100", _generator(total=lambda f, p, lam: f + 100 * p), "lam is not used: 100 stands where it should. pix2pix has 100, for ab divided by 110."),
        Answer("mean of the logits first", _generator(lambda x: _cross_entropy(x.mean(), 1.0)), "The logits were averaged before the loss: a fooled patch then hides one that is not. Average the losses."),
        Answer("epsilon", _generator(lambda x: _log_of_sigmoid(x, 1.0, 1e-7)), "An epsilon in the logarithm caps the loss, and its gradient is lost just where it is needed. Start from logits."),
        Answer("sigmoid twice", _generator(lambda x: _cross_entropy(x.sigmoid(), 1.0)), "The sigmoid is applied twice: a loss that takes logits has it inside."),
        Answer("log of the sigmoid", _generator(lambda x: -x.sigmoid().log().mean()), "Where the discriminator is very sure, D is 0 in float32, and the gradient is lost just where it is needed. Start from logits."),
        Answer("mean logit", _generator(lambda x: -x.mean()), "This is minus the mean logit, as in the hinge game. Cross-entropy was asked for."),
        Answer("prediction detached", _generator(pixel=lambda p, t: _absolute(p.detach(), t)), "The value is right, but the prediction was detached: the pixel loss teaches nothing."),
        Answer("logits detached", _generator(lambda x: _cross_entropy(x.detach(), 1.0)), "The value is right, but the logits were detached: the generator never hears of the discriminator."),
        Answer("a number", lambda *args: _generator()(*args).item(), "The loss has no gradient: return the tensor itself, not a number made of it."),
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


def observe_patches(answer: Callable, seed: int) -> dict[str, Any]:
    """What a discriminator gives for L and ab, what a logit in the middle depends on, and more."""
    discriminator = answer(8)
    if not isinstance(discriminator, nn.Module):
        return {"hint": f"Return a torch module, not {type(discriminator).__name__}."}
    discriminator.eval()  # batch norm, as pix2pix has it, then ties no patches together
    x, y = (
        _noise(4, 3, SIDE, SIDE, seed=seed).requires_grad_(),
        _noise(4, 3, SIDE, SIDE, seed=seed + 1),
    )
    try:
        logits = discriminator(x)
    except (RuntimeError, ValueError):
        return {
            "hint": "It does not take L and ab together, 3 channels. Or a later layer does not fit the one before it."
        }
    if logits.ndim != 4 or logits.shape[2] * logits.shape[3] == 1:
        return {
            "hint": "It gives one answer a picture. A PatchGAN gives a map: one logit for each patch."
        }
    if logits.shape[1] != 1:
        return {"hint": f"It gives {logits.shape[1]} channels. A patch is true or not: one logit."}
    row, column = (side // 2 for side in logits.shape[2:])
    (gradient,) = torch.autograd.grad(logits[:, 0, row, column].sum(), x)
    with torch.no_grad():
        far, of_both = discriminator(1000 * x), (discriminator(x) + discriminator(y)) / 2
        middle = discriminator((x + y) / 2)
    end = "activation" in type(list(discriminator.modules())[-1]).__module__
    return {
        "seen": gradient.abs().sum(0),
        "far": far,
        "both": of_both,
        "middle": middle,
        "end": end,
    }


def judge_patches(answer: Callable, seed: int = 0) -> str | None:
    """The hint for a discriminator; None where each logit of a map depends on just 16 x 16 pixels."""
    found = beside(answer, observe_patches, seed)
    return found.get("hint") or _judge_field(found["seen"]) or _judge_logits(found)


def _judge_field(seen: Tensor) -> str | None:
    """By the gradient of logits in the middle, (3, H, W)."""
    if not seen[0].any():
        return "L has no influence: it knows which colours there are, not what they belong to."
    if not seen[1:].any():
        return "ab has no influence: it judges a gray picture."
    rows, columns = seen.sum(0).nonzero().unbind(1)
    height, width = (int(i.max() - i.min()) + 1 for i in (rows, columns))
    if height >= SIDE:
        return "A logit depends on the whole picture. Is there a pooling, or a norm (instance, group, layer) that ties all patches together?"
    if (height, width) == (FIELD, FIELD):
        return None
    if (height, width) == (34, 34):
        return "A logit sees 34 x 34 pixels: one convolution too many halves the size."
    size = "small" if height < FIELD else "large"
    return f"A logit sees {height} x {width} pixels: too {size}. From the last layer back to the first, a field r becomes (r - 1) * stride + kernel."


def _judge_logits(found: dict[str, Any]) -> str | None:
    far, both, middle = (found[name] for name in ("far", "both", "middle"))
    if far.min() >= 0 and far.max() <= 1:
        return "All answers lie between 0 and 1: there is a sigmoid. The loss takes logits."
    if far.min() >= 0 or far.max() <= 0:
        word, call = ("below", "generated") if far.min() >= 0 else ("above", "true")
        return f"No logit is ever {word} 0, so it can never say {call!r}. Nothing follows the last convolution."
    if far.abs().max() <= 1:
        return "All answers lie between -1 and 1: something bounds them. A logit has no bounds."
    if (both - middle).abs().max() < 1e-3 * both.abs().max():
        return "It is linear: without an activation between them, all convolutions are no more than one."
    return (
        "An activation is the last layer. Nothing follows the last convolution."
        if found["end"]
        else None
    )


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
        Answer("instance norm", lambda w: _patches(w, last=[nn.InstanceNorm2d(1)]), "a norm (instance"),
        Answer("sigmoid", lambda w: _patches(w, last=[nn.Sigmoid()]), "there is a sigmoid"),
        Answer("tanh", lambda w: _patches(w, last=[nn.Tanh()]), "between -1 and 1"),
        Answer("ReLU at the end", lambda w: _patches(w, last=[nn.ReLU()]), "ever below 0, so it can never say"),
        Answer("log of a sigmoid at the end", lambda w: _patches(w, last=[nn.LogSigmoid()]), "ever above 0"),
        Answer("LeakyReLU at the end", lambda w: _patches(w, last=[nn.LeakyReLU(0.2)]), "An activation is the last layer"),
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

# --- the clinic -----------------------------------------------------------------------------------

register(Exercise(
    name="adversarial.clinic", lesson=LESSON, minutes=8,
    reference=gan_clinic.names, judge=lambda answer: gan_clinic.hint(answer()), own=(gan_clinic.diagnosis,),
    wrong=(
        Answer("nothing named", lambda: {}, "Still to be named: run A, B"),
        Answer("won for masked", lambda: gan_clinic.names(A="discriminator has won"), "far above ln 2, and rise. Look at the adversarial share"),
        Answer("dead for masked", lambda: gan_clinic.names(A="discriminator is never updated"), "A: not 'discriminator is never updated', where D would not know gray"),
        Answer("masked for dead", lambda: gan_clinic.names(C="lam masks the discriminator"), "where D would know gray"),
        Answer("healthy for swapped", lambda: gan_clinic.names(B="healthy"), "they are small together"),
        Answer("won for dead", lambda: gan_clinic.names(C="discriminator has won"), "true from gray, and ln 2"),
        Answer("a fault for healthy", lambda: gan_clinic.names(D="lam masks the discriminator"), "nothing is wrong with"),
        Answer("swapped for won", lambda: gan_clinic.names(E="labels swapped for the generator"), "how little the discriminator errs"),
        Answer("invented name", lambda: gan_clinic.names(B="mode collapse"), "'mode collapse' is not one of"),
    ),
    right=(Answer("in another order", lambda: dict(reversed(gan_clinic.names().items()))), Answer("a capital", lambda: gan_clinic.names(D="Healthy"))),
))  # fmt: skip

# --- the game -------------------------------------------------------------------------------------


def play(G, D, of_G, of_D, batches, lam, adversarial=True) -> list[tuple[float, float]]:
    """The reference of the exercise: a step of D and a step of G on each batch; their losses."""
    losses = []
    for L, ab in batches:
        made = G(L)
        loss_D = library.discriminator_loss(D(L, ab), D(L, made.detach()))
        of_D.zero_grad()
        loss_D.backward()
        of_D.step()
        loss_G = adversarial * library.generator_loss(D(L, made)) + lam * library.l1(made, ab)
        of_G.zero_grad()
        loss_G.backward()
        of_G.step()
        losses.append((loss_D.item(), loss_G.item()))
    return losses


class _Pairs(nn.Module):
    """A discriminator of L and ab without state but its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3))

    def forward(self, L, ab):
        return self.layers(torch.cat([L, ab], 1))


def _players(seed: int, lam: float, *adversarial: bool) -> tuple:
    """Small players, their optimizers, three batches and lambda."""
    torch.manual_seed(seed)
    G, D = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Tanh()), _Pairs()
    of_G, of_D = (torch.optim.SGD(net.parameters(), rate) for net, rate in ((G, 0.5), (D, 0.3)))
    batches = [(_noise(2, 1, 9, 9, seed=i), _noise(2, 2, 9, 9, seed=i + 9)) for i in range(3)]
    return G, D, of_G, of_D, batches, lam, *adversarial


def _what_it_did(value: Any, args: tuple) -> dict[str, Any]:
    """The weights of both players afterwards, and the losses as pairs of floats."""
    G, D, *_ = args
    weights = [torch.cat([p.detach().flatten() for p in net.parameters()]) for net in (G, D)]
    try:
        losses = [tuple(float(torch.as_tensor(x).detach()) for x in pair) for pair in value]
        if any(getattr(x, "requires_grad", False) for pair in value for x in pair):
            losses = "tensors with their graphs"
    except (TypeError, ValueError, RuntimeError):
        losses = "not a list of pairs of numbers"
    return {"the discriminator's weights": weights[1], "the generator's weights": weights[0],
            "the losses": losses}  # fmt: skip


def _game(order="DG", clear="each", shown=Tensor.detach, swap=False,
          fooled=lambda D, L, ab, made: library.generator_loss(D(L, made)),
          lam_of=lambda lam: lam, keep=False, first=False, steps=("D", "G"), again=False,
          late=False, result=lambda losses: losses, control="L1") -> Callable:  # fmt: skip
    """The game on batches; or with one mistake put in."""

    def answer(G, D, of_G, of_D, batches, lam, adversarial=True):
        losses, of = [], {"D": of_D, "G": of_G}
        for L, ab in batches:
            made, loss = G(L), {}
            for player in order:
                if clear == "at the start" and player == order[0]:
                    of_D.zero_grad(), of_G.zero_grad()
                if player == "D":
                    pair = D(L, ab), D(L, shown(made))
                    loss["D"] = library.discriminator_loss(*pair[:: -1 if swap else 1])
                else:
                    loss["G"] = lam_of(lam) * _absolute(made, ab)
                    if adversarial or control == "ignored":
                        loss["G"] = fooled(D, L, ab, made) + loss["G"]
                    elif control == "without lam":
                        loss["G"] = _absolute(made, ab)
                if clear in ("each", player):
                    of[player].zero_grad()
                loss[player].backward(retain_graph=keep)
                still = control == "D rests" and player == "D" and not adversarial
                if not still and not late and (mover := of.get(steps["DG".index(player)])):
                    mover.step()
                if clear == "after":
                    of[player].zero_grad()
            if again or late:
                of_D.step(), late and of_G.step()
            losses.append((loss["D"].item(), loss["G"].item()))
            if first:
                break
        return result(losses)

    return answer


def _old_answer(G, D, of_G, of_D, batches, lam, adversarial=True):
    losses = []
    for L, ab in batches:
        made = G(L)
        answer = D(L, made)
        loss_D = library.discriminator_loss(D(L, ab), D(L, made.detach()))
        of_D.zero_grad(), loss_D.backward(), of_D.step()
        loss_G = adversarial * library.generator_loss(answer) + lam * _absolute(made, ab)
        of_G.zero_grad(), loss_G.backward(), of_G.step()
        losses.append((loss_D.item(), loss_G.item()))
    return losses


def _one_sum(G, D, of_G, of_D, batches, lam, adversarial=True):
    losses = []
    for L, ab in batches:
        made = G(L)
        loss_D = library.discriminator_loss(D(L, ab), D(L, made))
        loss_G = adversarial * library.generator_loss(D(L, made)) + lam * _absolute(made, ab)
        of_D.zero_grad(), of_G.zero_grad(), (loss_D + loss_G).backward()
        of_D.step(), of_G.step()
        losses.append((loss_D.item(), loss_G.item()))
    return losses


def _tensors(G, D, of_G, of_D, batches, lam, adversarial=True):
    losses = []
    for L, ab in batches:
        with torch.no_grad():
            made = G(L)
        loss_D = library.discriminator_loss(D(L, ab), D(L, made))
        of_D.zero_grad(), loss_D.backward(), of_D.step()
        D.requires_grad_(False)
        made = G(L)
        loss_G = adversarial * library.generator_loss(D(L, made)) + lam * _absolute(made, ab)
        of_G.zero_grad(), loss_G.backward(), of_G.step()
        D.requires_grad_(True)
        losses.append((loss_D.detach(), loss_G.detach()))
    return losses


register(Exercise(
    name="adversarial.play", lesson=LESSON, minutes=18, points=2,
    reference=play, form=_what_it_did, own=(fit_gan,), atol=1e-5, rtol=1e-3,
    fresh=lambda seed: _players(seed, 0.2 + seed % 10 / 10),
    cases=(Case("three batches", lambda: _players(0, 0.9)), Case("lam = 0.1", lambda: _players(1, 0.1)),
           Case("the control, adversarial=False", lambda: _players(2, 0.5, False))),
    wrong=(
        Answer("not detached", _game(shown=lambda x: x), "The discriminator's loss went back into the generator, whose graph is then gone. Detach the generated colours where D learns."),
        Answer("not detached, graph kept", _game(shown=lambda x: x, keep=True, clear="at the start"), "The generator was also moved by the discriminator's loss, which wants it caught. Detach the generated colours where D learns."),
        Answer("detached for the generator", _game(fooled=lambda D, L, ab, made: library.generator_loss(D(L, made.detach()))), "The generator never hears the discriminator: its colours were detached in its own loss. Only L1 moves it."),
        Answer("never zeroed", _game(clear="no"), "Gradients add up from batch to batch: nothing was set to zero before `backward`."),
        Answer("D never zeroed", _game(clear="G"), "D's step still contains what the generator's `backward` left in D. Clear of_D just before D's own `backward`."),
        Answer("G never zeroed", _game(clear="D"), "G's gradients add up from batch to batch: clear of_G before G's `backward`."),
        Answer("both backwards, then both steps", _game(late=True), "Both `backward` came before both steps: D stepped on G's gradients too, or G was judged by the old D. Finish D's step first."),
        Answer("zeroed too early", _game(clear="after"), "D's gradients were cleared before the generator's loss went back through D and filled them again. Clear them just before D's own `backward`."),
        Answer("the generator first", _game(order="GD"), "The generator moved first. The discriminator's step comes first, and the generator is judged by the new one."),
        Answer("an old answer", _old_answer, "The generator was judged by an answer that D gave before its step. Ask the new D: call it again."),
        Answer("both at once", _one_sum, "Both losses were added and minimised together. Each player minimises its own: two backward passes, two steps."),
        Answer("labels swapped", _game(swap=True), "D learns that generated colours are true: the logits of the true ones come first in its loss."),
        Answer("wrong optimizer", _game(steps=("G", "G")), "D stands still: of_G took both steps. Each player has its own optimizer."),
        Answer("only D moves", _game(steps=("D", "D")), "G stands still, and D also takes a step on G's loss. Each player has its own optimizer."),
        Answer("judged by true colours", _game(fooled=lambda D, L, ab, made: library.generator_loss(D(L, ab))), "In G's loss D was shown the true colours. It has to judge those that G made."),
        Answer("minus D's loss", _game(fooled=lambda D, L, ab, made: -library.discriminator_loss(D(L, ab), D(L, made))), "G minimises minus D's loss here, which saturates where D is sure. Use your generator_loss."),
        Answer("D never steps", _game(steps=("", "G")), "D stands still: of_D never takes a step."),
        Answer("G never steps", _game(steps=("D", "")), "G stands still: of_G takes no step, or `detach` in both halves left it no gradient."),
        Answer("no control", _game(control="ignored"), "`adversarial` is not used: in the control -log D must not count in G's loss."),
        Answer("D rests in the control", _game(control="D rests"), "D must learn in the control too: only -log D is left out, of G's loss."),
        Answer("control without lam", _game(control="without lam"), "In the control L1 keeps its factor lam."),
        Answer("D steps twice", _game(again=True), "After G's `backward` D took a step too, towards being fooled. Only of_G steps on G's loss."),
        Answer("lam not used", _game(lam_of=lambda lam: 0.9), "lam is not used: hand it on to the generator's loss."),
        Answer("no pixel loss", _game(lam_of=lambda lam: 0.0), "The generator's loss has no L1 part: nothing ties its colours to the true ones."),
        Answer("first batch only", _game(first=True), "Only the first batch was played: `return` stands inside the loop."),
        Answer("losses swapped", _game(result=lambda losses: [pair[::-1] for pair in losses]), "Both players moved rightly, but the pairs of losses hold G's first. D's comes first."),
        Answer("graphs kept", _game(result=lambda losses: [[torch.tensor(x, requires_grad=True) for x in pair] for pair in losses]), "Both players moved rightly, but the losses are tensors that keep their graphs in memory. Return floats: `.item()`."),
        Answer("last losses only", _game(result=lambda losses: losses[-1]), "Both players moved rightly, but one pair of losses for each batch was asked for, in a list."),
    ),
    right=(Answer("zeroed at the start", _game(clear="at the start")),
           Answer("no_grad, D frozen, tensors", _tensors)),
))  # fmt: skip

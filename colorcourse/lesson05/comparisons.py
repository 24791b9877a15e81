"""What lesson 5 measures: a toy GAN, discriminators, shares of the gradient, chosen colours."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, count
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from colorkit.batches import Batches
from colorkit.color import fit_gamut, join_lab, lab_to_rgb
from colorkit.data.pictures import Pair
from colorkit.evaluate import paired_difference
from colorkit.gan import GanWarning, fit_gan
from colorkit.losses import accuracy
from colorkit.models.colorizer import evaluating
from colorkit.objects import ObjectColors
from colorkit.run import Run

POSSIBLE = 10.0  # ab units around a possible colour
TOY_GRID = torch.linspace(-4.5, 4.5, 91)


# --- a GAN of one dimension -----------------------------------------------------------------------


def toy_numbers(n: int) -> Tensor:
    """(n, 1) numbers: 70% around -2 and 30% around 2, both with a standard deviation of 0.5."""
    return torch.where(torch.rand(n, 1) < 0.7, -2.0, 2.0) + 0.5 * torch.randn(n, 1)


class ToySnapshot(NamedTuple):
    """What both networks do at one moment."""

    made: Tensor  # (2000,) numbers
    believes: Tensor  # D, from 0 to 1, at TOY_GRID
    losses: tuple[float, float]  # the discriminator's, the generator's


@torch.no_grad()
def toy_snapshot(G: nn.Module, D: nn.Module, losses: Sequence[Tensor]) -> ToySnapshot:
    """Keep a moment of the training; the losses are the discriminator's and the generator's."""
    made, believes = G(torch.randn(2000, 1))[:, 0], D(TOY_GRID[:, None])[:, 0].sigmoid()
    return ToySnapshot(made, believes, tuple(loss.item() for loss in losses))


# --- discriminators -------------------------------------------------------------------------------


def train_gan(generator, discriminator, data, steps: int, **options) -> Run:
    """`fit_gan` in silence: what it warns of is read from ``run.warnings``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GanWarning)
        return fit_gan(generator, discriminator, data, steps, callbacks=(), **options)


def late(run: Run, column: str) -> pd.Series:
    """A column of the history over the last third of the steps."""
    frame = pd.DataFrame(run.history)
    return frame.loc[3 * frame.step > 2 * frame.step.max(), column].dropna()


@torch.no_grad()
def tells(discriminator: nn.Module, pair: Pair, others: Mapping[str, Tensor]) -> pd.Series:
    """Balanced accuracy of a discriminator on true colours against others, by name.

    `pair` is (L, ab) and `others` are ab (N, 2, H, W) that are not the true ones.
    """
    L, ab = (plane.to(next(discriminator.parameters()).device) for plane in pair)
    with evaluating(discriminator):
        true = discriminator(L, ab)
        return pd.Series(
            {name: accuracy(true, discriminator(L, x.to(L))).item() for name, x in others.items()}
        )


def learn_pairs(
    discriminator: nn.Module, pair: Pair, loss: Callable, steps: int, batch: int
) -> None:
    """Train it alone to tell a picture's own true colours from those of another picture.

    ``loss(true, others)`` takes logits and gives a scalar.
    """
    device = next(discriminator.parameters()).device
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-3)
    data = Batches(pair, batch)
    batches = chain.from_iterable(data(epoch, 0) for epoch in count())
    for step, (L, ab) in zip(range(steps), batches, strict=False):
        L, ab = L.to(device), ab.to(device)
        others = ab.roll(1 + step % (batch - 1), 0)
        cost = loss(discriminator(L, ab), discriminator(L, others))
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
    discriminator.eval()


def shares(
    generator: nn.Module,
    discriminator: nn.Module,
    pair: Pair,
    losses: tuple[Callable, Callable],
    lambdas: Sequence[float],
    share_of_gradient: Callable,
) -> pd.DataFrame:
    """How large the adversarial part is, of the loss and of the gradient: a row a lambda.

    Parameters
    ----------
    losses : (adversarial, pixel)
        ``adversarial(logits)`` and ``pixel(made, ab)``, both to a scalar.
    share_of_gradient : callable
        ``share_of_gradient(made, adversarial, pixel, lam)`` to a number from 0 to 1.
    """
    device = next(generator.parameters()).device
    L, ab = (plane.to(device) for plane in pair)
    with evaluating(generator), evaluating(discriminator.to(device)):
        made = generator(L).detach().requires_grad_()
        adversarial, pixel = losses[0](discriminator(L, made)), losses[1](made, ab)
        rows = {
            lam: {
                "of the loss": (adversarial / (adversarial + lam * pixel)).item(),
                "of the gradient": float(share_of_gradient(made, adversarial, pixel, lam)),
            }
            for lam in lambdas
        }
    return pd.DataFrame(rows).T.rename_axis("lambda")


# --- which colours are chosen ---------------------------------------------------------------------


def possible(things: ObjectColors, name: str) -> Tensor:
    """Whether a model gives each object a colour it could have: float32 (M,) of 0 and 1."""
    return (things.nearest(name)[1] <= POSSIBLE).float()


def chosen(things: ObjectColors, names: Sequence[str]) -> pd.DataFrame:
    """How often each kind gets each of its colours, by a model, beside the known dice.

    A row for each kind and number of a colour (the last: none of them), the column ``dice`` and one
    for each name.
    """
    columns = {"dice": things.probs}
    for name in names:
        numbers, distances = things.nearest(name)
        columns[name] = [
            torch.eye(len(p) + 1)[int(n) if d <= POSSIBLE else -1]
            for p, n, d in zip(things.probs, numbers, distances, strict=True)
        ]
    kinds = things.table.kind
    rows = [
        {"kind": kind, "colour": number, name: float(share)}
        for name, values in columns.items()
        for kind, p in zip(kinds, values, strict=True)
        for number, share in enumerate(p)
    ]
    return pd.DataFrame(rows).groupby(["kind", "colour"])[list(columns)].mean().fillna(0.0)


def mode_colours(things: ObjectColors) -> dict[tuple[str, int], list[float]]:
    """(kind, number of a colour) to its mean RGB, at L = 60: for `figures.frequency_figure`."""
    sums: dict[tuple[str, int], list[Tensor]] = {}
    for kind, colours in zip(things.table.kind, things.possible, strict=True):
        for number, ab in enumerate(colours):
            sums.setdefault((kind, number), []).append(ab)
    ab = torch.stack([torch.stack(values).mean(0) for values in sums.values()])[:, :, None, None]
    L = torch.full_like(ab[:, :1], 60.0)
    rgb = lab_to_rgb(join_lab(L, fit_gamut(L, ab)))[:, :, 0, 0].clamp(0, 1)
    return dict(zip(sums, rgb.tolist(), strict=True))


def frequency_error(frame: pd.DataFrame) -> pd.Series:
    """Total variation between chosen frequencies and the dice, mean over kinds, for each model."""
    off = frame.drop(columns="dice").sub(frame.dice, axis=0).abs()
    return off.groupby("kind").sum().mean() / 2


def leads(values: Mapping[str, Tensor], pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Paired differences of pictures or objects: a row a pair, with its 95% interval."""
    rows = {f"{a} - {b}": paired_difference(values[a], values[b])._asdict() for a, b in pairs}
    return pd.DataFrame(rows).T

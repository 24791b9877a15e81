"""The training loop for two: a generator gives colours, a discriminator tells them from true ones.

The generator minimises generator_loss + lam * pixel, the discriminator its cross-entropy (P. Isola
et al., "Image-to-image translation with conditional adversarial networks", CVPR 2017). All that is
not said here is as in `colorkit.fit`, on which this loop is built.
"""

import math
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from colorkit import distributed
from colorkit.device import pick_device, pick_precision, reseed
from colorkit.fit import Data, batches, means, rate_share
from colorkit.losses import accuracy, discriminator_loss, generator_loss, l1
from colorkit.models.colorizer import evaluating
from colorkit.progress import progress
from colorkit.run import Run


def fit_gan(
    generator: nn.Module,
    discriminator: nn.Module,
    data: Data,
    steps: int,
    *,
    lr: float = 2e-4,
    discriminator_lr: float | None = None,
    betas: tuple[float, float] = (0.5, 0.999),
    schedule: str = "constant",
    pixel: Callable[[Tensor, Tensor], Tensor] = l1,
    lam: float = 0.9,
    first: Sequence[str] = (),
    turns: Sequence[str] = ("GD",),
    seed: int = 0,
    log_every: int | None = None,
    callbacks: Iterable[Callable[[Run], None]] | None = None,
    folder: str | Path | None = None,
    resume: bool | Collection[str] = False,
    device: str | torch.device | None = None,
    precision: str = "auto",
) -> Run:
    """Train ``generator(L) -> ab`` and ``discriminator(L, ab) -> logits``, both in place.

    Parameters
    ----------
    lr, discriminator_lr : float
        Of the generator and, if not the same, of the discriminator; the schedule scales both.
    pixel, lam
        The generator's other loss on raw ab, and its weight: per ab unit for l1, per ab² for l2.
        pix2pix has 100 on ab / 110, which is 100 / 110 = 0.9 here.
    first, turns : sequence of str
        Who trains in an epoch: "G", "D" or both, "GD". After the epochs of `first` those of
        `turns` come over and over: ("G", "D") alternates, ("GD", "G") trains the discriminator in
        every second epoch, and first=("D",) lets it learn alone for an epoch (NoGAN, DeOldify).

    Returns
    -------
    Run
        Its model is the generator, ``parts["discriminator"]`` the other. The history has, beside
        `fit`'s columns, the parts of the loss, ``adversarial`` and ``pixel``; discriminator_loss;
        the discriminator's ``accuracy`` on true against generated pictures, and on true against
        ``gray`` ones; the adversarial ``share`` of the gradient at the generator's output;
        ``variety``, how much colours differ from picture to picture, 1 being as much as the true
        ones; and ``players``. ``warnings`` says what these show to be wrong: see `SIGNS`.
    """
    if not all(player in ("G", "D", "GD") for player in (*first, *turns)) or not turns:
        raise ValueError(f"first and turns hold 'G', 'D' and 'GD', not {first!r} and {turns!r}")
    steps, seed, betas = int(steps), int(seed), tuple(map(float, betas))
    rates = {"G": float(lr), "D": float(lr if discriminator_lr is None else discriminator_lr)}
    arguments = {"steps": steps, "steps_per_epoch": len(data), "lr": rates, "betas": betas}
    arguments |= {"pixel": getattr(pixel, "__name__", type(pixel).__name__), "lam": lam}
    arguments |= {"schedule": schedule, "first": tuple(first), "turns": tuple(turns), "seed": seed}
    arguments |= {"precision": precision}
    precision = pick_precision(pick_device(device), precision)
    networks, optimizers = {"G": generator, "D": discriminator}, {}
    for player, network in networks.items():
        network.to(precision.device, precision.dtype, memory_format=precision.layout).train()
        optimizers[player] = torch.optim.AdamW(network.parameters(), betas=betas, fused=True)
    parts = {"model": generator, "discriminator": discriminator, **optimizers}
    run = Run(generator, steps, parts, arguments, folder)
    callbacks = [progress()] if callbacks is None else callbacks
    G, D = (distributed.wrap(network) for network in networks.values())
    log_every = log_every or max(1, steps // 200)
    window: list[dict[str, Tensor]] = []

    def update(player: str) -> Tensor:
        """A step of the player's optimizer; the norm of its gradient, which is clipped to 1."""
        for group in optimizers[player].param_groups:
            group["lr"] = rates[player] * rate_share(schedule, run.step, steps)
        norm = nn.utils.clip_grad_norm_(networks[player].parameters(), 1.0)
        optimizers[player].step()
        optimizers[player].zero_grad()
        return norm

    with run.underway(resume) as asked:
        for batch in batches(data, run):
            L, ab = precision.place(batch)
            reseed(precision.device, seed + 1_000_003 * run.step + distributed.rank())
            later = run.epoch - len(first)
            players = first[run.epoch] if later < 0 else turns[later % len(turns)]
            norm = torch.zeros((), device=L.device)

            # The discriminator learns from detached colours, in one pass for both halves.
            with torch.set_grad_enabled("G" in players), precision.autocast():
                made = G(L)
            fake = made.detach().to(ab.dtype).requires_grad_()
            with torch.set_grad_enabled("D" in players), precision.autocast():
                true, generated = D(torch.cat([L, L]), torch.cat([ab, fake.detach()])).chunk(2)
            loss_D = discriminator_loss(true, generated)
            if "D" in players:
                loss_D.backward()
                norm = norm + update("D")

            # The generator learns through the new discriminator. The gradients of both parts of its
            # loss are taken at its output, to see the share of each, and go back from there as one.
            with precision.autocast():
                logits = discriminator(L, fake)
            adversarial, distance = generator_loss(logits), pixel(fake, ab)
            (pull,) = torch.autograd.grad(adversarial, fake)
            (hold,) = torch.autograd.grad(lam * distance, fake)
            if "G" in players:
                made.backward((hold + pull).to(made.dtype))
                norm = norm + update("G")

            window.append(
                {
                    "loss": (adversarial + lam * distance).detach(),
                    "norm": norm,
                    "adversarial": adversarial.detach(),
                    "pixel": distance.detach(),
                    "discriminator_loss": loss_D.detach(),
                    "accuracy": accuracy(true, generated),
                    "share": pull.norm() / (pull.norm() + hold.norm()).clamp_min(1e-30),
                    "variety": spread(fake.detach()) / spread(ab).clamp_min(1e-6),
                }
            )
            run.step += 1
            run.stopped = "finished" if run.step >= steps else "interrupted" if asked() else ""
            if run.stopped or run.step % log_every == 0:
                with evaluating(discriminator), torch.no_grad(), precision.autocast():
                    gray = accuracy(D(L, ab), D(L, torch.zeros_like(ab)))
                row = {"lr": optimizers["G"].param_groups[0]["lr"], "players": players}
                row |= means(window, run) | means([{"gray": gray}], run)
                warn(run, row)
                run.record(row)
                window.clear()
            for callback in callbacks:
                callback(run)
    generator.eval(), discriminator.eval()
    return run


def spread(ab: Tensor) -> Tensor:
    """How far colours lie from the mean colour of their place over the batch, in ab units."""
    return ab.float().var(0, correction=0).mean().sqrt()


class GanWarning(UserWarning):
    """Something is wrong with a GAN that its losses do not show."""


SIGNS = {
    "won": "the discriminator has won: {accuracy:.0%} of its answers are right while the "
    "generator trains, which then learns little from it. Lower discriminator_lr, let it train in "
    "every second epoch only, or make it narrower",
    "beaten": "the discriminator is beaten: {accuracy:.0%} of its answers are right on true "
    "against generated, but {gray:.0%} on true against gray, so it works and is fooled. If the "
    "colours are not right yet, make it wider, raise discriminator_lr or let it see L",
    "dead": "the discriminator is dead: {accuracy:.0%} of its answers are right on true against "
    "generated, and {gray:.0%} on true against gray, which any discriminator can learn. What it "
    "tells the generator is noise. Change discriminator_lr, or start it anew",
    "collapsed": "the generator has collapsed: from picture to picture its colours vary "
    "{variety:.1%} as much as the true ones, so they hardly depend on L. Raise lam, lower the "
    "learning rates, or start from a generator trained by the pixel loss",
    "masked": "lam masks the adversarial loss, which is {share:.1%} of the gradient at the "
    "generator's output: this is training by the pixel loss. Lower lam",
}


def warn(run: Run, row: dict) -> None:
    """Warn once of each sign that the last steps show, up to the row that is being added.

    Both losses falling, or both staying, proves nothing. The discriminator's victories count over
    20 steps in which the generator trained, its defeats over 100 in which it trained itself.
    """
    rows = [{"step": 0}, *run.history, row | {"step": run.step}]

    def late(column: str, player: str, steps: int = 100) -> float:
        """The mean over the last steps in which a player trained; nan while they are too few."""
        total = count = 0
        for before, at in reversed(list(pairwise(rows))):
            if player in at["players"] and count < steps:
                total += at[column] * (at["step"] - before["step"])
                count += at["step"] - before["step"]
        return total / count if count >= steps else math.nan

    won = late("accuracy", "G", 20)
    seen = {"accuracy": late("accuracy", "D"), "gray": late("gray", "D")}
    seen |= {"variety": late("variety", "G"), "share": late("share", "G")}
    learned, fooled = seen["accuracy"] > 0, seen["accuracy"] <= 0.55
    found = {
        "won": won >= 0.95,
        "beaten": fooled and seen["gray"] >= 0.6,
        "dead": fooled and seen["gray"] < 0.6,
        "collapsed": learned and seen["variety"] < 0.1,
        "masked": learned and seen["share"] < 0.03,
    }
    for sign in (sign for sign, shown in found.items() if shown and sign not in run.warnings):
        numbers = seen | ({"accuracy": won} if sign == "won" else {})
        run.warnings[sign] = f"step {run.step}: {SIGNS[sign].format(**numbers)}."
        if distributed.is_main():
            warnings.warn(run.warnings[sign], GanWarning, stacklevel=3)

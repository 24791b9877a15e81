"""Training against a critic, on the loop of `colorkit.training.fit`.

The generator is the run's model; the critic is a second player, whose weights, optimizer and
records go into the same checkpoints. A step is a batch of the data, whoever trains on it.
"""

import math
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from colorkit.adversarial import accuracy, gan_loss
from colorkit.models.colorizer import evaluating
from colorkit.training import checkpoint, distributed
from colorkit.training.fit import (
    Batch,
    Data,
    Loss,
    Run,
    adamw,
    conduct,
    default_callbacks,
    equip,
    guarded,
    note,
    prepare,
    set_rates,
    sums_of,
    update,
)
from colorkit.training.history import COLUMNS, History
from colorkit.training.losses import loss_by_name
from colorkit.training.objectives import Regression
from colorkit.training.options import Options
from colorkit.training.watch import MEASURES, GameWarning, Limits, Watch

__all__ = ["SCHEDULES", "Game", "GameWarning", "Limits", "Rules", "Turn", "fit_adversarial"]


class Turn(NamedTuple):
    """Who trains in an epoch, and whether the generator hears of the critic at all."""

    generator: bool = True
    critic: bool = True
    adversarial: bool = True


def both(epoch: int, rules: "Rules") -> Turn:
    """Both on the same batch, the critic first (pix2pix)."""
    return Turn()


def alternate(epoch: int, rules: "Rules") -> Turn:
    """An epoch for the critic, an epoch for the generator, and so on."""
    return Turn(generator=epoch % 2 == 1, critic=epoch % 2 == 0)


def critic_every_k(epoch: int, rules: "Rules") -> Turn:
    """The generator always, the critic in every k-th epoch, from the first on."""
    return Turn(critic=epoch % rules.k == 0)


def nogan(epoch: int, rules: "Rules") -> Turn:
    """The generator by the pixel loss alone, the critic on its output, then both (DeOldify)."""
    if epoch < rules.pretrain:
        return Turn(critic=False, adversarial=False)
    return Turn(generator=epoch >= rules.pretrain + rules.pretrain_critic)


SCHEDULES: dict[str, Callable[[int, "Rules"], Turn]] = {
    "both": both,
    "alternate": alternate,
    "critic_every_k": critic_every_k,
    "nogan": nogan,
}


@dataclass(frozen=True)
class Rules:
    """The rules of the game. The generator minimises adversarial + lam * pixel.

    Parameters
    ----------
    loss : {"cross-entropy", "least-squares", "hinge"}
    pixel : {"l1", "l2", "ssim"}
    lam : float
        Weight of the pixel loss on raw ab: per ab unit for "l1", per ab² for "l2". pix2pix has
        100 on ab / 110, which is 100 / 110 = 0.9 here; for "l2" it would be 100 / 110².
    schedule : {"both", "alternate", "critic_every_k", "nogan"}
    k : int
        Of "critic_every_k", in epochs.
    pretrain, pretrain_critic : int
        Of "nogan": epochs of the generator alone, by the pixel loss without `lam`, and then of the
        critic alone.
    critic_lr : float, optional
        None: the learning rate of the options, which is the generator's. The options' schedule
        scales both.
    beta1 : float
        Momentum of both optimizers: a moving target wants less than AdamW's 0.9.
    smooth : float
        The critic's label of true pictures is 1 - smooth.

    Examples
    --------
    >>> rules = Rules(schedule="nogan", pretrain=2)
    >>> [nogan(epoch, rules)[:2] for epoch in range(4)]
    [(True, False), (True, False), (False, True), (True, True)]
    """

    loss: str = "cross-entropy"
    pixel: str = "l1"
    lam: float = 0.9
    schedule: str = "both"
    k: int = 2
    pretrain: int = 1
    pretrain_critic: int = 1
    critic_lr: float | None = None
    beta1: float = 0.5
    smooth: float = 0.0

    def __post_init__(self) -> None:
        loss_by_name(self.pixel)
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f"there is no schedule {self.schedule!r}: take one of {', '.join(SCHEDULES)}"
            )
        if self.lam < 0 or not 0 <= self.smooth < 1 or not 0 <= self.beta1 < 1:
            raise ValueError(
                "lam is 0 or more, smooth and beta1 are 0 or more and below 1, "
                f"not {self.lam}, {self.smooth}, {self.beta1}"
            )
        if self.critic_lr is not None and not self.critic_lr > 0:
            raise ValueError(f"critic_lr is above 0, not {self.critic_lr}")
        if min(self.k, self.pretrain + 1, self.pretrain_critic + 1) < 1:
            raise ValueError("k is 1 or more epochs, pretrain and pretrain_critic are 0 or more")
        gan_loss(self.loss).critic(torch.zeros(1), torch.zeros(1), self.smooth)  # may refuse it


class Game:
    """The critic's side of a run, and the step that replaces `fit`'s own.

    Attributes
    ----------
    network : nn.Module
        The critic.
    watch : Watch
        ``watch.warnings`` keeps what it warned of.
    """

    columns = (*MEASURES, "critic_loss", "gray")

    def __init__(self, run: Run, critic: nn.Module, rules: Rules, limits: Limits) -> None:
        self.network, self.rules, self.watch = critic, rules, Watch(limits)
        self.gan, self.pixel = gan_loss(rules.loss), loss_by_name(rules.pixel)
        options = replace(run.options, lr=rules.critic_lr or run.options.lr)
        make = partial(adamw, betas=(rules.beta1, 0.999))
        self.optimizer = equip(critic, options, make, run.device, run.precision)
        self.wrapped = distributed.wrap(critic, run.device)
        self.losses: list[float] = []
        self.window: list[Tensor] = []
        self.last: Batch | None = None  # for the probe, where the critic plays

    def play(self, run: Run, batch: Batch, stop: threading.Event) -> None:
        """One step: the critic's move, then the generator's, each if it is its turn."""
        set_rates(run, self.optimizer)
        seen = guarded(run, batch, lambda: self._moves(run, batch, stop))
        self.window.append(distributed.all_reduce(seen) / distributed.world_size())

    def _moves(self, run: Run, batch: Batch, stop: threading.Event) -> Tensor:
        L, ab = batch
        turn = SCHEDULES[self.rules.schedule](run.epoch, self.rules)
        with torch.set_grad_enabled(turn.generator), run.precision.autocast(run.device):
            made = run.network(L)
        fake = made.detach().to(ab.dtype)
        seen = {"variety": _variety(fake) / _variety(ab)}
        if turn.adversarial:
            seen |= self._critic_move(run, L, ab, fake, turn.critic)
        seen |= self._generator_move(run, (L, ab), made, turn, stop)
        self.last = batch if turn.adversarial else None
        values = [seen.get(name, math.nan) for name in MEASURES]
        return torch.stack([torch.as_tensor(x, device=run.device).float() for x in values])

    def _critic_move(self, run: Run, L: Tensor, ab: Tensor, fake: Tensor, trains: bool) -> dict:
        critic = self.wrapped if trains else self.network
        with nullcontext() if trains else evaluating(critic), torch.set_grad_enabled(trains):
            # One pass for both halves: two would be two rounds of the processes' messages.
            logits = self._judge(run, critic, torch.cat([L, L]), torch.cat([ab, fake]))
            true, generated = logits.chunk(2)
            loss = self.gan.critic(true, generated, self.rules.smooth)
        seen = {"accuracy": accuracy(true, generated, self.gan.threshold)}
        sums = sums_of(run, loss, (L,))
        if not trains:
            note(run, self.optimizer, sums, None, self.losses)
            return seen
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = update(run, self.network, self.optimizer, sums, self.losses)
        return seen | {"critic_norm": _norm(self.network) if norm is None else norm}

    def _generator_move(
        self, run: Run, batch: Batch, made: Tensor, turn: Turn, stop: threading.Event
    ) -> dict:
        """The gradient is made at the generator's output, where each part's share can be seen."""
        L, ab = batch
        leaf = made.detach().to(ab.dtype).requires_grad_()
        pixel = self.pixel(leaf, ab)
        loss = pixel * self.rules.lam if turn.adversarial else pixel
        (gradient,) = torch.autograd.grad(loss, leaf)
        seen = {"pixel": pixel.detach()}
        if turn.adversarial:
            with evaluating(self.network):
                fooled = self.gan.generator(self._judge(run, self.network, L, leaf))
            (pull,) = torch.autograd.grad(fooled, leaf)
            norms = torch.stack([pull.norm(), gradient.norm()])
            seen |= {
                "adversarial": fooled.detach(),
                "share": norms[0] / norms.sum().clamp_min(1e-30),
            }
            loss, gradient = loss.detach() + fooled.detach(), gradient + pull
        sums = sums_of(run, loss, (L,), stop.is_set())
        if not turn.generator:
            note(run, run.optimizer, sums, None, run._window)
            return seen
        run.optimizer.zero_grad(set_to_none=True)
        made.backward(gradient.to(made.dtype))
        norm = update(run, run.model, run.optimizer, sums, run._window)
        return seen | {"generator_norm": _norm(run.model) if norm is None else norm}

    def _judge(self, run: Run, critic: nn.Module, L: Tensor, ab: Tensor) -> Tensor:
        with run.precision.autocast(run.device):
            return critic(L, ab)

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """The generator's whole loss, by which `fit` estimates memory."""
        L, ab = batch
        made = model(L)
        return self.gan.generator(self.network(L, made)) + self.rules.lam * self.pixel(made, ab)

    @torch.no_grad()
    def row(self, run: Run) -> dict:
        """The columns of a row: means over its steps, and the probe on the last batch."""
        table = torch.stack(self.window).cpu()
        means = dict(zip(MEASURES, table.nanmean(0).tolist(), strict=True))
        row = {name: value for name, value in means.items() if not math.isnan(value)}
        if self.last:
            row["gray"] = self._probe(run, *self.last)
        if self.losses:
            row["critic_loss"] = sum(self.losses) / len(self.losses)
        self.watch.see(run.step, row, table)
        self.window.clear()
        self.losses.clear()
        return row

    def _probe(self, run: Run, L: Tensor, ab: Tensor) -> float:
        """The critic's accuracy on true against gray pictures."""
        with evaluating(self.network):
            true, gray = (self._judge(run, self.network, L, x) for x in (ab, torch.zeros_like(ab)))
        share = accuracy(true, gray, self.gan.threshold)
        return float(distributed.all_reduce(share)) / distributed.world_size()

    def state_dict(self) -> dict:
        """For the checkpoint: all that the steps to come depend on."""
        return {
            "critic": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "window": [values.tolist() for values in self.window],
            "losses": list(self.losses),
            "watch": {
                name: getattr(self.watch, name) for name in ("warnings", "recent", "practice")
            },
        }

    def load_state_dict(self, state: dict, path: Path) -> None:
        """Go on from a checkpoint; `path` is named where it is another critic's."""
        checkpoint.check_model(self.network, state["critic"], path)
        self.network.load_state_dict(state["critic"])
        self.optimizer.load_state_dict(state["optimizer"])
        device = next(self.network.parameters()).device
        self.window = [torch.tensor(values, device=device) for values in state["window"]]
        self.losses = state["losses"]
        self.watch = Watch(self.watch.limits, **state["watch"])


def fit_adversarial(
    generator: nn.Module,
    critic: nn.Module,
    data: Data,
    options: Options | None = None,
    rules: Rules | None = None,
    *,
    limits: Limits | None = None,
    validation: Data | None = None,
    metric: Loss | None = None,
    optimizer: Callable[[nn.Module, Options], Optimizer] | None = None,
    callbacks: Sequence[object] | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    device: str | torch.device | None = None,
    config: dict | None = None,
) -> Run:
    """Train a generator against a critic.

    What is not named here is as in `colorkit.training.fit.fit`.

    Parameters
    ----------
    generator : nn.Module
        ``generator(L)`` gives ab: any regression network, fresh or trained before.
    critic : nn.Module
        ``critic(L, ab)`` gives logits, as those of `models.discriminators`. Trained in place too.
    options : Options, optional
        ``lr`` is the generator's, ``clip`` bounds the gradient of each player by itself. None: the
        defaults, with the rate of pix2pix, 2e-4, held constant.
    rules : Rules, optional
    limits : Limits, optional
        When to warn.
    metric : callable, optional
        What is validated; None: the pixel loss, by which a GAN need not win.
    optimizer : callable, optional
        The generator's; None: AdamW with ``rules.beta1``.

    Returns
    -------
    Run
        ``model`` is the generator, ``game.network`` the critic, ``game.watch.warnings`` what was
        warned of. The history has these columns beside `fit`'s, means since the row before:
        ``adversarial`` and ``pixel``, the two parts of ``loss`` before `lam`; ``critic_loss``;
        ``accuracy``, the critic's on true against generated logits, balanced; ``gray``, the same
        on true against gray pictures; ``share``, the adversarial part of the gradient at the
        generator's output, as norms; ``generator_norm`` and ``critic_norm``, of the gradients of
        the weights before clipping; ``variety``, as in `Limits`. ``gray`` is of the last batch.
        Where nobody plays, a column is empty.

    Warns
    -----
    GameWarning
        Once each, when the critic has won, is beaten or dead, the generator has collapsed, or
        `lam` masks the adversarial term.
    """
    rules = rules or Rules()
    run = prepare(
        generator,
        options or Options(lr=2e-4, schedule="constant"),
        optimizer or partial(adamw, betas=(rules.beta1, 0.999)),
        device,
        loss=None,
        data=data,
        validation=validation,
        metric=metric or Regression(loss_by_name(rules.pixel)),
        folder=None if folder is None else Path(folder),
        config=(config or {}) | {f"rules.{name}": value for name, value in asdict(rules).items()},
        listeners=default_callbacks() if callbacks is None else callbacks,
    )
    run.loss = run.game = Game(run, critic, rules, limits or Limits())
    run.history = History(columns=(*COLUMNS[:-1], *Game.columns, COLUMNS[-1]))
    try:
        return conduct(run, resume)
    finally:
        critic.eval()


def _variety(ab: Tensor) -> Tensor:
    """How far colours lie from the mean colour of their place over the batch, in ab units."""
    return ab.float().var(0, correction=0).mean().sqrt()


def _norm(model: nn.Module) -> Tensor:
    return nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])

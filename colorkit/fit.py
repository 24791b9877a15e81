"""The training loop: one for every network, to be read from top to bottom.

It knows nothing of the task. A *loss* is any ``loss(model, batch)``: a mean over the batch or,
where batches differ in weight, a pair (sum, weight). *Data* are called: ``data(epoch, start_step)``
yields an epoch's batches from a step on, always the same ones; ``len(data)`` is their number.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from colorkit import distributed
from colorkit.device import Precision, pick_device, pick_precision, reseed
from colorkit.models.colorizer import evaluating
from colorkit.progress import progress
from colorkit.run import Diverged, Run

Batch = tuple[Tensor, ...]
Data = Callable[[int, int], Iterable[Batch]]
Loss = Callable[[nn.Module, Batch], Tensor | tuple[Tensor, Tensor]]


def fit(
    model: nn.Module,
    loss: Loss | Mapping[int, Loss],
    data: Data,
    steps: int,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    schedule: str = "cosine",
    seed: int = 0,
    validation: Data | None = None,
    metric: Loss | None = None,
    patience: int | None = None,
    log_every: int | None = None,
    callbacks: Iterable[Callable[[Run], None]] | None = None,
    folder: str | Path | None = None,
    resume: bool | Collection[str] = False,
    config: Mapping | None = None,
    device: str | torch.device | None = None,
    precision: str = "auto",
) -> Run:
    """Train a model in place with AdamW; it ends on its device, in eval mode.

    Parameters
    ----------
    loss : callable, or mapping of int to callable
        It calls the model that it is given, and no method of it, so that several processes can
        share the work. A mapping {0: one, 500: another} changes the loss at a step.
    schedule : {"cosine", "one-cycle", "constant"}
    seed : int
        Of dropout and whatever else draws from torch while training; data have their own.
    validation, metric, patience
        Ten times in a run: the mean of the metric, by default the loss, over epoch 0 of these data.
        The run stops after so many in a row without a new best one.
    log_every : int, optional
        Steps between rows of the history; by default there are 200 in a run.
    callbacks : iterable of callable, optional
        ``callback(run)`` after each step; by default `colorkit.progress.progress()`.
    folder : path, optional
        Where last.pt, best.pt and history.csv go. With `resume` the run in it goes on, if its
        arguments and `config` (numbers, strings, lists) were the same; `resume` may also name those
        that differ on purpose, as in ("steps", "lr").
    device, precision
        As in `colorkit.device`.
    """
    steps, seed, lr, betas = int(steps), int(seed), float(lr), tuple(map(float, betas))
    arguments = {"steps": steps, "steps_per_epoch": len(data), "lr": lr, "betas": betas}
    arguments |= {"schedule": schedule, "seed": seed, "patience": patience, "precision": precision}
    arguments |= {"weights": sum(p.numel() for p in model.parameters()), **(config or {})}
    precision = pick_precision(pick_device(device), precision)
    model.to(precision.device, precision.dtype, memory_format=precision.layout).train()
    network, weights = distributed.wrap(model), [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr, betas, fused=True)
    run = Run(model, steps, {"model": model, "optimizer": optimizer}, arguments, folder)
    callbacks = [progress()] if callbacks is None else callbacks
    losses = loss if isinstance(loss, Mapping) else {0: loss}
    log_every, check_every = log_every or max(1, steps // 200), max(1, steps // 10)
    window: list[dict[str, Tensor]] = []  # loss and norm of the gradient since the last row
    with run.underway(resume) as asked:
        for batch in batches(data, run):
            reseed(precision.device, seed + 1_000_003 * run.step + distributed.rank())
            for group in optimizer.param_groups:
                group["lr"] = lr * rate_share(schedule, run.step, steps)
            loss = losses[max((first for first in losses if first <= run.step), default=0)]
            optimizer.zero_grad()
            with precision.autocast():
                value = loss(network, precision.place(batch))
            if isinstance(value, tuple):  # the wrapped network averages over the processes
                weight = distributed.all_reduce(value[1].detach().clone())
                value = value[0] * (distributed.world_size() / weight)
            value.backward()
            norm = nn.utils.clip_grad_norm_(weights, 1.0)
            window.append({"loss": value.detach(), "norm": norm})
            run.step += 1
            if precision.device.type == "cpu":  # reading numbers would make a GPU wait
                means(window[-1:], run)
            optimizer.step()
            run.stopped = "finished" if run.step >= steps else "interrupted" if asked() else ""
            checking = validation is not None and (run.step % check_every == 0 or run.step >= steps)
            if run.stopped or checking or run.step % log_every == 0:
                row = {"lr": optimizer.param_groups[0]["lr"]} | means(window, run)
                if checking:
                    row["validation"] = validate(model, metric or loss, validation, precision)
                run.record(row)
                window.clear()
            for callback in callbacks:
                callback(run)
    model.eval()
    return run


def batches(data: Data, run: Run) -> Iterator[Batch]:
    """Epoch after epoch, from the run's step on, until it stops."""
    while not run.stopped:
        first = run.step
        run.epoch, start = divmod(first, max(1, len(data)))
        for batch in data(run.epoch, start):
            yield batch
            if run.stopped:
                return
        if run.step == first:
            raise ValueError(f"data gave no batch in epoch {run.epoch}: is the batch too large?")


def means(window: list[dict[str, Tensor]], run: Run) -> dict[str, float]:
    """The mean of each measure over the last steps and all processes; all have to be numbers."""
    table = torch.stack([torch.stack(list(measures.values())) for measures in window]).float()
    table = distributed.all_reduce(table).cpu() / distributed.world_size()
    rows = [dict(zip(window[0], values, strict=True)) for values in table.tolist()]
    for step, row in enumerate(rows, run.step - len(rows) + 1):
        if not math.isfinite(sum(row.values())):
            raise Diverged(
                f"step {step} gave {row}: look at that batch, or lower lr; "
                f"the last checkpoint is of step {run.saved}"
            )
    return {name: sum(row[name] for row in rows) / len(rows) for name in window[0]}


@torch.no_grad()
def validate(model: nn.Module, loss: Loss, data: Data, precision: Precision) -> float:
    """The mean loss over epoch 0 of data, in which each picture counts the same."""
    sums = torch.zeros(2, dtype=torch.float64)
    with evaluating(model):
        for batch in data(0, 0):
            if count := len(batch[0]):  # the share of a process may be empty
                with precision.autocast():
                    value = loss(model, precision.place(batch))
                pair = value if isinstance(value, tuple) else (value * count, count)
                sums += torch.tensor([float(x) for x in pair], dtype=torch.float64)
    total, weight = distributed.all_reduce(sums).tolist()
    return total / weight


def rate_share(schedule: str, step: int, steps: int) -> float:
    """Share of the learning rate at a step: half a cosine, one cycle (L. N. Smith, 2018), or 1."""
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return half_cosine(1.0, 0.0, step / steps)
    if schedule != "one-cycle":
        raise ValueError(f"the schedule is cosine, one-cycle or constant, not {schedule!r}")
    top = 0.3 * steps - 1  # up from 1/25, and down to 1/250,000
    if step <= top:
        return half_cosine(1 / 25, 1.0, step / top)
    return half_cosine(1.0, 1 / 25e4, (step - top) / max(1, steps - 1 - top))


def half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2

"""The training loop: one for every network, and to be read from top to bottom.

It knows nothing of the task. A *loss* is any ``loss(model, batch)`` that gives a mean over the
batch, or a `Weighted` pair; *data* is any ``data(epoch, start_step)`` that yields batches.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from colorkit.training import checkpoint, distributed, memory
from colorkit.training.device import Precision, pick_device, pick_precision, seed_everything
from colorkit.training.history import History
from colorkit.training.options import Options
from colorkit.training.schedule import factor

Batch = tuple[Tensor, ...]
Data = Callable[[int, int], Iterable[Batch]]
LAST, BEST, CSV = "last.pt", "best.pt", "history.csv"


class Weighted(NamedTuple):
    """A loss as a sum and the weights in it, for losses whose weights differ from batch to batch.

    Several processes add up both before they divide; a mean of means would be another loss.
    """

    total: Tensor
    weight: Tensor


Loss = Callable[[nn.Module, Batch], Tensor | Weighted]


class Game(Protocol):
    """A second player, whose step replaces that of `fit`: see `colorkit.training.adversarial`."""

    columns: tuple[str, ...]  # of its own in the history
    network: nn.Module

    def play(self, run: "Run", batch: Batch, stop: threading.Event) -> None: ...
    def row(self, run: "Run") -> dict: ...
    def state_dict(self) -> dict: ...
    def load_state_dict(self, state: dict, path: Path) -> None: ...


class Diverged(RuntimeError):
    """The loss or the gradient is no number any more."""


@dataclass
class Run:
    """A run as it stands: what callbacks see, and what `fit` returns.

    ``step`` counts optimizer steps done, ``position`` batches used of the epoch, ``stopped`` is
    "finished", "early stop" or "interrupted" at the end. ``best`` is the lowest validation, at
    ``best_step``.
    """

    model: nn.Module
    loss: Loss
    data: Data
    options: Options
    device: torch.device
    precision: Precision
    optimizer: Optimizer
    network: nn.Module  # the model as it is called: wrapped for several processes, compiled
    validation: Data | None = None
    metric: Loss | None = None
    folder: Path | None = None
    config: dict = field(default_factory=dict)
    listeners: Sequence[object] = ()
    game: Game | None = None
    step: int = 0
    epoch: int = 0
    position: int = 0
    history: History = field(default_factory=History)
    best: float = math.inf
    best_step: int | None = None
    worse: int = 0  # validations in a row without a new best
    stopped: str | None = None
    seconds: float = 0.0
    best_weights: dict | None = None
    _window: list[float] = field(default_factory=list)  # losses since the last row
    _pending: list[tuple] = field(default_factory=list)  # losses that are not read yet
    _all_stop: bool = False  # some process was asked to stop
    _checked: bool = False  # data and model have met
    _saved: int | None = None  # step of the last checkpoint
    _clock: float = 0.0

    @property
    def lr(self) -> float:
        """The learning rate of the step to come, of the first group of weights."""
        return self.optimizer.param_groups[0]["base_lr"] * self.lr_share

    @property
    def lr_share(self) -> float:
        """What the schedule leaves of the learning rates at the step to come."""
        options = self.options
        return factor(options.schedule, self.step, options.steps, options.warmup)

    def tell(self, event: str, *details: object) -> None:
        """Call the method of that name on each callback that has it."""
        for listener in self.listeners:
            method = getattr(listener, event, None)
            if method is not None:
                method(self, *details)


def fit(
    model: nn.Module,
    loss: Loss,
    data: Data,
    options: Options | None = None,
    *,
    validation: Data | None = None,
    metric: Loss | None = None,
    optimizer: Callable[[nn.Module, Options], Optimizer] | None = None,
    callbacks: Sequence[object] | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    device: str | torch.device | None = None,
    config: dict | None = None,
) -> Run:
    """Train a model.

    Parameters
    ----------
    model : nn.Module
        Trained in place, moved to the device, and left there in eval mode.
    loss : callable
        ``loss(model, batch)``: a mean over the batch, or `Weighted`. It calls the model it is
        given, ``model(L)``, and no method of it, so that several processes can share the work.
    data : callable
        ``data(epoch, start_step)`` yields an epoch's batches (tuples of tensors) from a step on,
        always the same ones, and nothing where the epoch is over. With several processes, each
        yields its share of the batch. `Batches` is one.
    options : Options, optional
    validation : callable, optional
        As `data`; its epoch 0 is gone through at each validation.
    metric : callable, optional
        What is measured there, as `loss`, smaller being better; None: the loss.
    optimizer : callable, optional
        ``optimizer(model, options)``; None: AdamW. Groups of weights may have learning rates of
        their own; the schedule scales all of them.
    callbacks : sequence, optional
        Objects with any of the methods ``started(run)``, ``epoch_started(run)``,
        ``stepped(run)``, ``logged(run, row)``, ``validated(run, value)``, ``ended(run)``;
        the loss is told too. None: a live plot in a notebook, a progress bar elsewhere.
    folder : path, optional
        Where last.pt, best.pt and history.csv go; None: nothing is written.
    resume : bool
        Go on from last.pt of the folder, if there is one. A run that is over returns at once.
    device : optional
        None: `pick_device()`.
    config : dict, optional
        Kept in the checkpoints: numbers, strings, lists and dicts.

    Returns
    -------
    Run

    Raises
    ------
    Diverged
        If loss or gradient is no number.
    BatchTooLarge
        If a step does not fit into memory.
    CheckpointError
        If the folder holds a run and `resume` is off, or holds another run.
    ValueError
        If data and model do not go together, or there are no data.

    Notes
    -----
    All random generators are seeded at the start. Ctrl-C (the stop button) ends the run after the
    step at hand: the checkpoint is written, the model holds its weights, and `fit` returns. A
    second one, two seconds later, raises KeyboardInterrupt at once.
    """
    run = prepare(
        model,
        options or Options(),
        optimizer,
        device,
        loss=loss,
        data=data,
        validation=validation,
        metric=metric,
        folder=None if folder is None else Path(folder),
        config=config or {},
        listeners=[loss, *(default_callbacks() if callbacks is None else callbacks)],
    )
    return conduct(run, resume)


def conduct(run: Run, resume: bool) -> Run:
    """Train what `prepare` made ready."""
    _resume(run, resume)
    with _stop_signal() as stop:
        run._clock = time.monotonic() - run.seconds
        run.tell("started")
        try:
            _train(run, stop)
        finally:
            run.seconds = time.monotonic() - run._clock
            _write_history(run)
            run.tell("ended")
    if run.options.keep == "best":
        _take_best(run)
    run.model.eval()
    return run


def _train(run: Run, stop: threading.Event) -> None:
    if run.step >= run.options.steps:
        run.stopped = "finished"
    while run.stopped is None:
        run.tell("epoch_started")
        start = run.position
        for batch in run.data(run.epoch, start):
            set_rates(run, run.optimizer)
            (run.game.play if run.game else _step)(run, arrange(run, batch), stop)
            run.step += 1
            run.position += 1
            run.tell("stepped")
            _after_step(run, stop)
            if run.stopped is not None:
                return
        if run.position == 0:
            raise ValueError(f"data gave no batch in epoch {run.epoch}: is the batch too large?")
        run.epoch, run.position = run.epoch + 1, 0


def _step(run: Run, batch: Batch, stop: threading.Event) -> None:
    """One optimizer step."""
    run.optimizer.zero_grad(set_to_none=True)
    sums = guarded(run, batch, lambda: _forward_backward(run, batch, stop))
    update(run, run.model, run.optimizer, sums, run._window)


def set_rates(run: Run, optimizer: Optimizer) -> None:
    """The learning rates of the step to come."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * run.lr_share


def update(
    run: Run, model: nn.Module, optimizer: Optimizer, sums: Tensor, window: list[float]
) -> Tensor | None:
    """Clip the gradient, see that it and the loss are numbers, and step; the norm, if clipped."""
    norm = None
    if run.options.clip is not None:
        norm = nn.utils.clip_grad_norm_(model.parameters(), run.options.clip)
    note(run, optimizer, sums, norm, window)
    optimizer.step()
    return norm


def note(
    run: Run, optimizer: Optimizer, sums: Tensor, norm: Tensor | None, window: list[float]
) -> None:
    """Remember a loss, to be read into the window before the next row at the latest."""
    run._pending.append((run.step, optimizer.param_groups[0]["lr"], sums, norm, window))
    if run.device.type == "cpu" or len(run._pending) >= 20:  # reading makes an accelerator wait
        _read_pending(run)


def _after_step(run: Run, stop: threading.Event) -> None:
    """Validation, a row of the history, a checkpoint and the end, in this order, where due."""
    options = run.options
    over = run.step >= options.steps
    asked = run._all_stop if distributed.world_size() > 1 else stop.is_set()
    every = options.validate_every or max(1, options.steps // 10)
    validating = run.validation is not None and (over or run.step % every == 0)
    value = _validate(run) if validating else None
    if validating or over or asked or run.step % _log_every(options) == 0:
        _log(run, value)
    if over:
        run.stopped = "finished"
    elif options.patience is not None and run.worse >= options.patience:
        run.stopped = "early stop"
    elif asked:
        run.stopped = "interrupted"
    if run.stopped or validating or run.step % options.checkpoint_every == 0:
        _save(run)


def guarded(run: Run, batch: Batch, work: Callable[[], Tensor]) -> Tensor:
    """Do the first step's work with an eye on memory, and say what of data and model clashes."""
    if not run._checked and run.device.type == "cpu":
        memory.check_fits(lambda part: _local_mean(run, part), run.model, batch)
    try:
        result = work()
    except torch.OutOfMemoryError:
        result = None
    except (RuntimeError, ValueError) as error:
        if run._checked or isinstance(error, Diverged):
            raise
        raise ValueError(_mismatch(batch, error)) from error
    if result is None:  # not in the except block, whose traceback holds the tensors in memory
        raise _too_large(run, batch)
    run._checked = True
    return result


def _forward_backward(run: Run, batch: Batch, stop: threading.Event) -> Tensor:
    """Leave the gradient in the weights; return what `sums_of` does."""
    loss = _call(run.loss, run.network, run, batch)
    sums = sums_of(run, loss, batch, stop.is_set())
    if distributed.world_size() == 1 and not isinstance(loss, Weighted):
        objective = loss
    else:  # the wrapped model averages gradients over the processes
        total, _ = _as_weighted(loss, batch)
        objective = total * (distributed.world_size() / sums[1].to(total.dtype))
    objective.backward()
    return sums


def sums_of(run: Run, loss: Tensor | Weighted, batch: Batch, stop: bool = False) -> Tensor:
    """[Sum of losses, of weights, of wishes to stop] over all processes."""
    total, weight = _as_weighted(loss, batch)
    dtype = torch.float32 if run.device.type == "mps" else torch.float64
    wish = torch.tensor(float(stop), device=run.device)
    return distributed.all_reduce(
        torch.stack([x.detach().to(run.device, dtype) for x in (total, weight, wish)])
    )


def _as_weighted(loss: Tensor | Weighted, batch: Batch) -> Weighted:
    """A mean counts as many times as there are pictures."""
    if isinstance(loss, Weighted):
        return loss
    count = torch.tensor(float(len(batch[0])), device=loss.device, dtype=loss.dtype)
    return Weighted(loss * count, count)


def _call(loss: Loss, network: nn.Module, run: Run, batch: Batch) -> Tensor | Weighted:
    with run.precision.autocast(run.device):
        return loss(network, batch)


def _local_mean(run: Run, batch: Batch) -> Tensor:
    """The loss of this process alone, on the model that is not wrapped: no other one waits."""
    total, weight = _as_weighted(_call(run.loss, run.model, run, batch), batch)
    return total / weight


def arrange(run: Run, batch: Batch) -> Batch:
    """The batch on the device, in its memory format."""
    if not isinstance(batch, tuple | list) or not all(isinstance(x, Tensor) for x in batch):
        raise ValueError(
            f"data yields tuples of tensors such as (L, ab), not {type(batch).__name__}"
        )
    moved = (value.to(run.device, non_blocking=True) for value in batch)
    return tuple(run.precision.arrange(value) for value in moved)


def _mismatch(batch: Batch, error: Exception) -> str:
    shapes = ", ".join(f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}" for x in batch)
    return f"model and loss do not take the data's batch ({shapes}): {error}"


def _too_large(run: Run, batch: Batch) -> memory.BatchTooLarge:
    def try_step(part: Batch) -> None:
        run.optimizer.zero_grad(set_to_none=True)
        _local_mean(run, part).backward()

    count = len(batch[0])
    with memory.undisturbed(run.model):
        fits = memory.largest_that_fits(try_step, batch)
    run.optimizer.zero_grad(set_to_none=True)
    processes = distributed.world_size()
    advice = f"{fits} fit: set batch = {fits * processes}" if fits else "not even one fits"
    return memory.BatchTooLarge(
        f"a batch of {count} pictures does not fit into the memory of {run.device}; {advice}"
    )


def _read_pending(run: Run) -> None:
    """Read the losses that wait, and see that they are numbers."""
    for step, lr, sums, norm, window in run._pending:
        total, weight, wishes = sums.tolist()
        loss = total / weight if weight else math.nan
        if not math.isfinite(loss):
            raise Diverged(_divergence(run, f"the loss is {loss}", step, lr))
        if norm is not None and not math.isfinite(norm):
            raise Diverged(_divergence(run, f"the norm of the gradient is {norm:g}", step, lr))
        window.append(loss)
        run._all_stop = run._all_stop or wishes > 0
    run._pending.clear()


def _divergence(run: Run, what: str, step: int, lr: float) -> str:
    if run._saved is None:
        good = "There is no checkpoint yet"
    else:
        good = f"The last good checkpoint is {run.folder / LAST}, of step {run._saved}"
    return f"{what} at step {step}, lr {lr:.3g}. {good}. Look at that batch, or lower lr"


@torch.no_grad()
def _validate(run: Run) -> float:
    """The mean of the metric over the validation data; the modes of all modules are kept."""
    modes = [(module, module.training) for module in run.model.modules()]
    run.model.eval()
    sums = torch.zeros(3, dtype=torch.float64)
    for batch in run.validation(0, 0):
        if len(batch[0]):  # the share of a process may be empty
            batch = arrange(run, batch)
            loss = _call(run.metric or run.loss, run.model, run, batch)
            total, weight = _as_weighted(loss, batch)
            sums += torch.tensor([float(total), float(weight), 0.0], dtype=torch.float64)
    for module, mode in modes:
        module.training = mode
    total, weight, _ = distributed.all_reduce(sums.to(_reducing_device(run))).tolist()
    if not weight:
        raise ValueError("validation gave no batch")
    value = total / weight
    run.worse += 1
    if value < run.best:
        run.best, run.best_step, run.worse = value, run.step, 0
        if run.options.keep == "best":
            run.best_weights = {k: v.clone() for k, v in run.model.state_dict().items()}
    run.tell("validated", value)
    return value


def _reducing_device(run: Run) -> torch.device:
    """nccl adds on the GPU only; elsewhere the CPU has float64."""
    return run.device if run.device.type == "cuda" else torch.device("cpu")


def _log(run: Run, validation: float | None) -> None:
    lr = run.optimizer.param_groups[0]["lr"]
    _read_pending(run)
    loss = sum(run._window) / len(run._window)
    run.seconds = time.monotonic() - run._clock
    row = {"step": run.step, "epoch": run.epoch, "lr": lr, "loss": loss}
    if validation is not None:
        row["validation"] = validation
    if run.game:
        row |= run.game.row(run)
    run.history.add(**row, seconds=round(run.seconds, 3))
    run._window.clear()
    run.tell("logged", run.history.rows[-1])


def _log_every(options: Options) -> int:
    return options.log_every or max(1, options.steps // 200)


def _save(run: Run) -> None:
    """Write the checkpoint, as best.pt too if it is the best."""
    _read_pending(run)
    weights = [*run.model.parameters(), *(run.game.network.parameters() if run.game else ())]
    if not all(bool(torch.isfinite(p).all()) for p in weights):
        lr = run.optimizer.param_groups[0]["lr"]
        raise Diverged(_divergence(run, "a weight is no number", run.step - 1, lr))
    if run.folder is None:
        return
    run.seconds = time.monotonic() - run._clock
    state = _state(run)  # by all processes: each has its random state
    if distributed.is_main():
        if run.best_step == run.step:
            checkpoint.save(run.folder / BEST, state)
        checkpoint.save(run.folder / LAST, state)
    _write_history(run)
    run._saved = run.step


COUNTERS = ("step", "epoch", "position", "best", "best_step", "worse", "stopped", "seconds")


def _state(run: Run) -> dict:
    return {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "random": distributed.gather(checkpoint.random_states()),
        "options": asdict(run.options),
        "config": run.config,
        "history": run.history.rows,
        "window": list(run._window),
        "counters": {name: getattr(run, name) for name in COUNTERS},
        "game": run.game.state_dict() if run.game else None,
    }


def _write_history(run: Run) -> None:
    if run.folder is not None and distributed.is_main():
        run.history.write_csv(run.folder / CSV)


def prepare(
    model: nn.Module,
    options: Options,
    optimizer: Callable[[nn.Module, Options], Optimizer] | None,
    device: str | torch.device | None,
    **rest: object,
) -> Run:
    """A run before its first step, with all random generators seeded."""
    seed_everything(options.seed + distributed.rank())  # so that processes drop different units
    device = distributed.own_device(pick_device(str(device) if device else None))
    precision = pick_precision(device, options.precision, options.channels_last)
    made = equip(model, options, optimizer, device, precision)
    network = distributed.wrap(model, device)
    if options.compile:
        network = torch.compile(network)
    return Run(
        model=model,
        options=options,
        device=device,
        precision=precision,
        optimizer=made,
        network=network,
        **rest,
    )


def equip(
    model: nn.Module,
    options: Options,
    optimizer: Callable[[nn.Module, Options], Optimizer] | None,
    device: torch.device,
    precision: Precision,
) -> Optimizer:
    """Put a model on its device, to be trained, and make its optimizer."""
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("the model has no weights to train: all have requires_grad=False")
    precision.arrange(model.to(device)).train()
    made = (optimizer or adamw)(model, options)
    for group in made.param_groups:
        group.setdefault("base_lr", group["lr"])
    return made


def adamw(
    model: nn.Module, options: Options, betas: tuple[float, float] = (0.9, 0.999)
) -> Optimizer:
    """AdamW on the weights that are trained, in one fused pass over memory where torch has it."""
    weights = [p for p in model.parameters() if p.requires_grad]
    fused = all(p.device.type in ("cpu", "cuda", "mps") for p in weights)
    return torch.optim.AdamW(
        weights, lr=options.lr, betas=betas, weight_decay=options.weight_decay, fused=fused
    )


def _resume(run: Run, resume: bool) -> None:
    """Take up the folder's run, or see that there is none."""
    path = run.folder / LAST if run.folder is not None else None
    if path is None or not path.exists():
        if resume and run.folder is None:
            raise ValueError("to resume, fit needs the folder of the run")
        return
    if not resume:
        raise checkpoint.CheckpointError(
            f"{run.folder} holds a run already: pass resume=True to go on, or another folder"
        )
    state = checkpoint.load(path)
    checkpoint.check_model(run.model, state["model"], path)
    theirs = Options(**state["options"]).binding()
    checkpoint.check_settings(run.options.binding(), theirs, path, "options")
    checkpoint.check_settings(run.config, state["config"], path, "configuration")
    _restore(run, state, path)


def _restore(run: Run, state: dict, path: Path) -> None:
    run.model.load_state_dict(state["model"])
    try:
        run.optimizer.load_state_dict(state["optimizer"])
    except (ValueError, KeyError) as error:
        raise checkpoint.CheckpointError(f"{path} is of another optimizer: {error}") from error
    for name in COUNTERS:
        setattr(run, name, state["counters"][name])
    if run.stopped == "interrupted":
        run.stopped = None
    run.history.rows = state["history"]
    run._window, run._saved = state["window"], run.step
    if run.game:
        run.game.load_state_dict(state["game"], path)
    states = state["random"]
    if len(states) == distributed.world_size():
        checkpoint.restore_random_states(states[distributed.rank()])
    else:  # another number of processes: new random numbers, the same for the same step
        seed_everything(run.options.seed + 1_000_003 * run.step + distributed.rank())


def _take_best(run: Run) -> None:
    if run.best_weights is None and run.best_step is not None and run.folder is not None:
        distributed.gather(None)  # wait until the file is written
        run.best_weights = checkpoint.load(run.folder / BEST)["model"]
    if run.best_weights is not None:
        run.model.load_state_dict(run.best_weights)


def default_callbacks() -> list:
    """What one sees of a run, of the first process alone."""
    from colorkit.training.progress import progress

    return [progress()] if distributed.is_main() else []


@contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets; several processes are also stopped by torchrun's SIGTERM."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread hears signals
        return
    several = distributed.world_size() > 1
    first: list[float] = []

    def handle(number: int, frame: object) -> None:
        first.append(time.monotonic())
        stop.set()
        if not several and first[-1] - first[0] > 2:
            raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM] if several else [signal.SIGINT]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)

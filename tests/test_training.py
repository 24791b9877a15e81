"""The training loop: what it learns, writes, resumes, refuses and survives."""

import csv
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from colorkit.batches import Batches
from colorkit.training import checkpoint, memory
from colorkit.training.fit import Diverged, Weighted, fit
from colorkit.training.history import History
from colorkit.training.options import Options
from colorkit.training.schedule import factor
from tests.training_demo import Net, Slow, mse, pictures, train

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Crash(Exception):
    pass


class Do:
    """Calls a function after a step."""

    def __init__(self, step, action):
        self.step, self.action = step, action

    def stepped(self, run):
        if run.step == self.step:
            self.action()


def crash():
    raise Crash


def same_weights(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def quiet(data, options, model=None, loss=mse, **rest):
    model = model or Net()
    return fit(model, loss, data, options, callbacks=(), device="cpu", **rest)


# The loop


def test_a_run_equals_the_loop_that_anyone_would_write():
    torch.manual_seed(0)
    model, data = Net(norm=False, dropout=0.0), Batches(pictures(), 6)
    reference = Net(norm=False, dropout=0.0)
    reference.load_state_dict(model.state_dict())
    options = Options(steps=9, lr=0.01, clip=0.5, weight_decay=0.1, precision="float32")
    run = quiet(data, options, model)
    optimizer = torch.optim.AdamW(reference.parameters(), lr=0.01, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 9)
    for step in range(9):
        L, ab = list(data(step // 4, 0))[step % 4]
        optimizer.zero_grad()
        nn.functional.mse_loss(reference(L), ab).backward()
        nn.utils.clip_grad_norm_(reference.parameters(), 0.5)
        optimizer.step()
        schedule.step()
    assert (run.step, run.epoch, run.stopped) == (9, 2, "finished")
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_training_lowers_the_loss_and_the_validation():
    run = train(None, steps=120, resume=False, lr=0.01, log_every=10)
    losses, values = run.history.curve("loss")[1], run.history.curve("validation")[1]
    assert losses[-1] < 0.8 * losses[0]
    assert run.best == min(values) < values[0]
    assert not run.model.training


@pytest.mark.parametrize("steps", [7, 40])
def test_one_cycle_is_torchs(steps):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=steps)
    for step in range(steps):
        assert 0.3 * factor("one-cycle", step, steps) == pytest.approx(
            theirs.get_last_lr()[0], rel=1e-9
        )
        optimizer.step()
        theirs.step()


def test_warmup_rises_to_the_rate_and_the_cosine_starts_there():
    shares = [factor("cosine", step, 10, warmup=3) for step in range(10)]
    assert shares[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert all(a > b for a, b in pairwise(shares[3:]))


def test_groups_keep_the_ratio_of_their_rates():
    def two_rates(model, options):
        groups = [{"params": model.first.parameters(), "lr": 0.1 * options.lr}]
        groups += [{"params": model.last.parameters()}]
        return torch.optim.SGD(groups, lr=options.lr)

    run = quiet(Batches(pictures(), 6), Options(steps=3, lr=1e-3), optimizer=two_rates)
    first, last = run.optimizer.param_groups
    assert first["lr"] == pytest.approx(0.1 * last["lr"])
    assert last["lr"] == pytest.approx(1e-3 * factor("cosine", 2, 3))


def test_frozen_weights_stay_and_validation_keeps_modes():
    model = Net()
    model.first.requires_grad_(False)
    before = model.first.weight.clone()
    seen = []

    class Watch:
        def logged(self, run, row):
            seen.append(run.model.training)

    fit(
        model,
        mse,
        Batches(pictures(), 6),
        Options(steps=4, validate_every=1),
        validation=Batches(pictures(3), 2, in_order=True),
        callbacks=[Watch()],
        device="cpu",
    )
    assert torch.equal(model.first.weight, before)
    assert seen == [True] * 4


def test_validation_weighs_pictures_alike_in_an_incomplete_batch():
    torch.manual_seed(0)
    held_out = pictures(7, seed=5)
    validation = Batches(held_out, 3, in_order=True)
    run = quiet(Batches(pictures(), 6), Options(steps=1), validation=validation)
    with torch.no_grad():
        whole = mse(run.model, next(Batches(held_out, 7, in_order=True)(0, 0)))
    assert run.history.curve("validation")[1][0] == pytest.approx(float(whole), rel=1e-5)


def test_a_weighted_loss_is_divided_by_its_weights():
    torch.manual_seed(0)
    model = Net(norm=False, dropout=0.0)
    weighted = lambda m, batch: Weighted(3 * mse(m, batch), torch.tensor(3.0))  # noqa: E731
    other = Net(norm=False, dropout=0.0)
    other.load_state_dict(model.state_dict())
    data, options = Batches(pictures(), 6), Options(steps=3)
    quiet(data, options, model, weighted)
    quiet(data, options, other)
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_early_stop_and_best_weights(tmp_path):
    values = iter([5.0, 3.0, 4.0, 3.5, 9.0, 9.0])
    weights = {}

    class Remember:
        def validated(self, run, value):
            weights[run.step] = [p.detach().clone() for p in run.model.parameters()]

    run = fit(
        Net(),
        mse,
        Batches(pictures(), 6),
        Options(steps=60, validate_every=10, patience=2, keep="best"),
        validation=lambda epoch, start: [(torch.zeros(1, 1, 4, 4), torch.zeros(1, 2, 4, 4))],
        metric=lambda model, batch: torch.tensor(next(values)),
        callbacks=[Remember()],
        folder=tmp_path,
        device="cpu",
    )
    assert (run.stopped, run.step, run.best, run.best_step) == ("early stop", 40, 3.0, 20)
    for ours, best in zip(run.model.parameters(), weights[20], strict=True):
        assert torch.equal(ours, best)
    loaded = Net()
    assert checkpoint.load_weights(tmp_path / "best.pt", loaded)["counters"]["step"] == 20
    assert same_weights(loaded, run.model)
    assert checkpoint.load(tmp_path / "last.pt")["counters"]["step"] == 40


# Stopping and going on


@pytest.mark.parametrize("step", [1, 4, 5, 11, 19, 20, 29])
def test_a_run_that_broke_off_ends_with_the_same_weights(tmp_path, step):
    whole = train(None, resume=False)
    with pytest.raises(Crash):
        train(tmp_path, callbacks=[Do(step, crash)])
    run = train(tmp_path)
    assert same_weights(run.model, whole.model)
    without_time = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in r.history.rows]
        for r in (run, whole)
    ]
    assert without_time[0] == without_time[1]


def test_killed_at_random_moments_the_run_ends_with_the_same_weights(tmp_path):
    log, rng = tmp_path / "steps.txt", random.Random(time.time_ns())
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.training_demo", str(tmp_path)]
    killed_at = []
    for part in (0, 1):
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
        wanted = rng.randint(1 + 90 * part, 90 + 90 * part)
        while process.poll() is None and _last_step(log) < wanted:
            time.sleep(0.002)
        process.kill()
        assert process.wait() not in (0, None), f"not killed in time, wanted step {wanted}"
        killed_at.append(_last_step(log))
    run = train(tmp_path, steps=200)
    whole = train(None, steps=200, resume=False)
    assert same_weights(run.model, whole.model), f"killed at {killed_at}"


def _last_step(log):
    lines = log.read_text(encoding="utf-8").split("\n")[:-1] if log.exists() else []
    return int(lines[-1]) if lines else 0


def test_ctrl_c_keeps_what_was_learnt(tmp_path):
    interrupt = Do(13, lambda: signal.raise_signal(signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    run = train(tmp_path, callbacks=[interrupt])
    assert signal.getsignal(signal.SIGINT) is before
    assert (run.stopped, run.step) == ("interrupted", 13)
    state = checkpoint.load(tmp_path / "last.pt")
    assert all(torch.equal(run.model.state_dict()[k], v) for k, v in state["model"].items())
    assert run.history.rows[-1]["step"] == 13
    assert History.read_csv(tmp_path / "history.csv").rows == run.history.rows
    assert same_weights(train(tmp_path).model, train(None, resume=False).model)


def test_the_stop_button_of_a_notebook_keeps_what_was_learnt(tmp_path):
    import _thread

    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    run = train(tmp_path, steps=100_000, callbacks=[Slow(tmp_path / "steps.txt")])
    assert run.stopped == "interrupted"
    assert 0 < run.step < 100_000


def test_a_thread_can_train():
    results = []
    thread = threading.Thread(target=lambda: results.append(train(None, steps=3, resume=False)))
    thread.start()
    thread.join()
    assert results[0].stopped == "finished"


def test_a_finished_run_returns_at_once_with_its_weights(tmp_path):
    run = train(tmp_path, steps=10)
    again = train(tmp_path, steps=10, callbacks=[Do(11, crash)])
    assert again.stopped == "finished"
    assert same_weights(run.model, again.model)


def test_another_seed_gives_another_run_and_the_same_seed_the_same():
    one, two, other = (train(None, steps=8, resume=False, seed=s).model for s in (0, 0, 1))
    assert same_weights(one, two)
    assert not same_weights(one, other)


# Checkpoints


def test_random_states_are_put_back_exactly(tmp_path):
    random.gauss(0, 1)
    np.random.standard_normal()  # noqa: NPY002
    checkpoint.save(tmp_path / "a.pt", {"random": checkpoint.random_states()})

    def draw():
        numbers = np.random.standard_normal(3).tolist()  # noqa: NPY002
        return [random.random(), random.gauss(0, 1), numbers, torch.rand(3).tolist()]

    drawn = draw()
    checkpoint.restore_random_states(checkpoint.load(tmp_path / "a.pt")["random"])
    assert draw() == drawn


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "a.pt", {"value": 1})

    def half(state, file):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(tmp_path / "a.pt", {"value": 2})
    assert checkpoint.load(tmp_path / "a.pt")["value"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_what_a_killed_writer_left_is_removed(tmp_path):
    (tmp_path / ".a.pt.123.part").write_bytes(b"half")
    checkpoint.save(tmp_path / "a.pt", {"value": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


class Evil:
    def __reduce__(self):
        return print, ("code ran",)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", "truncated", "evil", "other"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content, capsys):
    path = tmp_path / "last.pt"
    if content == "evil":
        torch.save({"format": 1, "model": Evil()}, path)
    elif content == "other":
        torch.save([1, 2], path)
    elif content == "truncated":
        checkpoint.save(path, {"value": torch.zeros(1000)})
        path.write_bytes(path.read_bytes()[:700])
    else:
        path.write_bytes(content)
    with pytest.raises(checkpoint.CheckpointError, match=r"last\.pt"):
        checkpoint.load(path)
    assert "code ran" not in capsys.readouterr().out


def test_another_run_is_not_taken_up(tmp_path):
    train(tmp_path, steps=10)
    with pytest.raises(checkpoint.CheckpointError, match="holds a run already"):
        train(tmp_path, steps=10, resume=False)
    with pytest.raises(checkpoint.CheckpointError, match=r"lr was 0\.001, is now 0\.5"):
        train(tmp_path, steps=10, lr=0.5)
    data = Batches(pictures(), 6)
    with pytest.raises(
        checkpoint.CheckpointError, match=r"first\.weight: checkpoint \(6, 1, 3, 3\)"
    ):
        quiet(data, Options(steps=10), Net(width=4), folder=tmp_path, resume=True)
    same = Options(steps=10, validate_every=10)
    with pytest.raises(checkpoint.CheckpointError, match="store was None, is now 'b'"):
        quiet(data, same, folder=tmp_path, resume=True, config={"store": "b"})


def test_the_configuration_and_the_options_are_in_the_checkpoint(tmp_path):
    config = {"model": {"width": 6}, "store": "stores/a"}
    options = Options(steps=2, lr=0.002)
    quiet(Batches(pictures(), 6), options, folder=tmp_path, config=config)
    state = checkpoint.load(tmp_path / "last.pt")
    assert state["config"] == config
    assert Options(**state["options"]) == options


# Errors


def test_a_loss_that_is_no_number_is_reported_with_the_last_good_checkpoint(tmp_path):
    def fails(model, batch):
        calls.append(0)
        return mse(model, batch) * (math.nan if len(calls) == 9 else 1)

    calls, model = [], Net()
    data, options = Batches(pictures(), 6), Options(steps=20, checkpoint_every=5)
    with pytest.raises(
        Diverged, match=r"loss is nan at step 8, lr 0\.0006\d+.*last\.pt, of step 5"
    ):
        quiet(data, options, model, fails, folder=tmp_path)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    checkpoint.load_weights(tmp_path / "last.pt", Net())
    assert len(History.read_csv(tmp_path / "history.csv").rows) == 8


def test_a_gradient_that_is_no_number_is_reported_before_it_spoils_the_weights():
    class Root(Net):
        def forward(self, L):
            return (super().forward(L) * 0).square().sqrt()  # finite; its gradient is not

    model = Root()
    with pytest.raises(Diverged, match=r"norm of the gradient is nan at step 0.*no checkpoint yet"):
        quiet(Batches(pictures(), 6), Options(steps=3), model)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_weights_that_are_no_numbers_are_never_saved(tmp_path):
    def poison(run):
        with torch.no_grad():
            run.model.last.weight[0] = math.inf

    class Poison:
        def stepped(self, run):
            if run.step == 10:
                poison(run)

    options = Options(steps=10, checkpoint_every=5, clip=None)
    with pytest.raises(Diverged, match=r"weight is no number.*of step 5"):
        fit(
            Net(),
            mse,
            Batches(pictures(), 6),
            options,
            folder=tmp_path,
            callbacks=[Poison()],
            device="cpu",
        )
    assert checkpoint.load(tmp_path / "last.pt")["counters"]["step"] == 5


def test_data_that_do_not_match_the_model_are_described():
    three = lambda epoch, start: [(torch.zeros(2, 3, 8, 8), torch.zeros(2, 2, 8, 8))]  # noqa: E731
    with pytest.raises(ValueError, match=r"\(2, 3, 8, 8\) float32.*expected input.*1 channels"):
        quiet(three, Options(steps=2))
    small = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.Unflatten(1, (2, 4, 4)))
    with pytest.raises(ValueError, match=r"do not take the data's batch \(\(6, 1, 8, 8\)"):
        quiet(Batches(pictures(), 6), Options(steps=2), small)
    with pytest.raises(ValueError, match="tuples of tensors such as"):
        quiet(lambda epoch, start: [torch.zeros(2)], Options(steps=2))
    with pytest.raises(ValueError, match="no batch in epoch 0"):
        quiet(lambda epoch, start: [], Options(steps=2))


def test_a_model_without_weights_to_train_is_refused():
    with pytest.raises(ValueError, match="no weights to train"):
        quiet(Batches(pictures(), 6), Options(steps=2), Net().requires_grad_(False))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps is a whole number of 1 or more, not 0"),
        ({"lr": 0.0}, "lr and clip are above 0"),
        ({"schedule": "linear"}, "cosine, one-cycle, constant, not 'linear'"),
        ({"steps": 5, "warmup": 5}, "warmup is 0 to 4"),
        ({"keep": "first"}, "last, best"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Options(**wrong)


# Memory


def test_kept_bytes_are_those_of_a_count_by_hand():
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Sigmoid(), nn.Conv2d(8, 2, 1))
    L = torch.zeros(2, 1, 16, 16)
    kept = memory.kept_bytes(lambda batch: model(batch[0]).sum(), model, (L,))
    plane = 2 * 16 * 16 * 4  # bytes of a channel: the input, what the sigmoid gives, and again
    assert kept == plane + 8 * plane + 8 * plane


def test_a_batch_above_the_free_memory_is_refused_with_one_that_fits(monkeypatch):
    model, data = Net(), Batches(pictures(24, 32), 24)
    plain = Options(steps=2, precision="float32", channels_last=False)
    L, ab = next(data(0, 0))
    each = memory.kept_bytes(lambda b: mse(model, b), model, (L[:2], ab[:2])) / 2
    monkeypatch.setattr(memory, "available_memory", lambda: int(10 * each / 0.9))
    with pytest.raises(memory.BatchTooLarge, match=r"batch of 24 needs about .* about 9 fit"):
        quiet(data, plain, model)
    assert quiet(Batches(pictures(24, 32), 9), plain).stopped == "finished"


def test_estimating_memory_changes_nothing(monkeypatch):
    whole = train(None, steps=6, resume=False)
    monkeypatch.setattr(memory, "_SURELY_BELOW", 1e15)
    assert same_weights(train(None, steps=6, resume=False).model, whole.model)


def test_an_accelerator_that_is_full_gets_the_largest_batch_that_fits():
    def full_above_thirteen(model, batch):
        if len(batch[0]) > 13:
            raise torch.OutOfMemoryError("out of memory")
        return mse(model, batch)

    with pytest.raises(memory.BatchTooLarge, match=r"batch of 24 .* 13 fit: set batch = 13"):
        quiet(Batches(pictures(), 24), Options(steps=2), loss=full_above_thirteen)


# History


def test_the_history_is_a_csv_that_any_program_reads(tmp_path):
    run = train(tmp_path, steps=20, log_every=5)
    with open(tmp_path / "history.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["5", "10", "15", "20"]
    assert [bool(row["validation"]) for row in rows] == [False, True, False, True]
    assert float(rows[-1]["loss"]) == run.history.rows[-1]["loss"]


def test_a_column_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no column 'los'"):
        History().add(step=1, los=2.0)

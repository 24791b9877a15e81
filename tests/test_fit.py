"""The training loop: what it learns, writes, resumes, refuses and survives."""

import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from colorkit.batches import Batches
from colorkit.fit import Diverged, fit, rate_share
from colorkit.run import Run
from tests.training_demo import Crash, Net, crash_at, mse, pictures, rows, same_weights, train

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.usefixtures("one_thread")


# The loop


def test_a_run_equals_the_loop_that_anyone_would_write():
    torch.manual_seed(0)
    model, data = Net(norm=False, dropout=0.0), Batches(pictures(), 6)
    reference = Net(norm=False, dropout=0.0).double()
    reference.load_state_dict(model.state_dict())
    run = fit(model, mse, data, 9, lr=0.01, betas=(0.8, 0.99), callbacks=(), device="cpu",
              precision="float64")  # fmt: skip
    optimizer = torch.optim.AdamW(reference.parameters(), lr=0.01, betas=(0.8, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 9)
    for step in range(9):
        L, ab = (plane.double() for plane in list(data(step // 4, 0))[step % 4])
        optimizer.zero_grad()
        nn.functional.mse_loss(reference(L), ab).backward()
        nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    assert (run.step, run.epoch, run.stopped) == (9, 2, "finished")
    assert not model.training
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("steps", [7, 40])
def test_one_cycle_is_torchs(steps):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=steps)
    for step in range(steps):
        share = rate_share("one-cycle", step, steps)
        assert 0.3 * share == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        theirs.step()


def test_training_lowers_the_loss_and_the_validation_and_keeps_what_is_frozen():
    model = Net()
    model.first.requires_grad_(False)
    before, modes = model.first.weight.clone(), []
    run = train(steps=120, model=model, lr=0.02, callbacks=[lambda r: modes.append(model.training)])
    frame = pd.DataFrame(run.history)
    assert frame.loss.iloc[-1] < 0.8 * frame.loss.iloc[0]
    checked = frame.validation.dropna()
    assert len(checked) == 10
    assert run.best == (checked.min(), frame.step[checked.idxmin()])
    assert checked.iloc[-1] < checked.iloc[0]
    assert torch.equal(model.first.weight, before)
    assert all(modes)  # validation puts back the mode


def test_a_sum_is_divided_by_its_weight():
    def pair(model, batch):
        weight = torch.tensor(3.0 * len(batch[0]))
        return weight * mse(model, batch), weight

    one, other = train(steps=3), train(steps=3, loss=pair)
    assert [row["loss"] for row in rows(one)] == pytest.approx([row["loss"] for row in rows(other)])
    assert one.best == pytest.approx(other.best)


def test_a_mapping_changes_the_loss_at_its_steps_also_in_a_resumed_run(tmp_path):
    def seen(name):
        def loss(model, batch):
            if model.training:
                calls.append(name)
            return mse(model, batch)

        return loss

    calls, losses = [], {5: seen("b"), 0: seen("a"), 8: seen("c")}
    with pytest.raises(Crash):
        train(tmp_path, steps=10, loss=losses, callbacks=[crash_at(6)])
    train(tmp_path, steps=10, loss=losses)
    assert "".join(calls[-4:]) == "bbcc"
    assert "".join(calls[:6]) == "aaaaab"


def test_early_stop_and_the_best_weights_in_the_folder(tmp_path):
    values = iter([5.0, 3.0, 4.0, 3.5, 9.0, 9.0])
    weights = {}

    def remember(run):
        weights[run.step] = {k: v.clone() for k, v in run.model.state_dict().items()}

    held_out = Batches(pictures(2), 2, in_order=True)
    run = fit(
        Net(), mse, Batches(pictures(), 6), 60, patience=2, validation=held_out,
        metric=lambda model, batch: torch.tensor(next(values)),
        callbacks=[remember], folder=tmp_path, device="cpu",
    )  # fmt: skip
    assert (run.stopped, run.step, run.best) == ("early stop", 24, (3.0, 12))
    best = torch.load(tmp_path / "best.pt", weights_only=True)["model"]
    assert all(torch.equal(value, weights[12][name]) for name, value in best.items())
    again = fit(
        Net(), mse, Batches(pictures(), 6), 60, patience=2, validation=held_out,
        callbacks=[crash_at(25)], folder=tmp_path, resume=True, device="cpu",
    )  # fmt: skip
    assert (again.stopped, again.step) == ("early stop", 24)


def test_the_best_weights_are_kept_also_where_no_checkpoint_is_due(tmp_path):
    """A long run writes every 500 steps, and validates in between."""
    model = nn.Linear(1, 1)
    run = Run(model, 6000, {"model": model}, {}, tmp_path)
    for run.step in range(30, 2000, 30):
        nn.init.constant_(model.weight, run.step)
        run.record({"loss": 1.0} | ({} if run.step % 600 else {"validation": run.step}))
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert best["model"]["weight"].item() == run.best[1] == 600


def test_another_seed_gives_another_run_and_the_same_seed_the_same():
    one, two, other = (train(steps=8, seed=s) for s in (0, 0, 1))
    assert same_weights(one, two)
    assert not same_weights(one, other)


def test_bf16_trains_weights_in_float32():
    run = train(steps=4, precision="bf16")
    assert all(p.dtype == torch.float32 for p in run.model.parameters())
    assert not same_weights(run, train(steps=4))
    assert run.best[0] == pytest.approx(train(steps=4).best[0], rel=0.05)


# Stopping and going on


@pytest.mark.parametrize("breaks", [(1, 29), (3, 12), (4, 20), (5, 11)])
def test_a_run_that_broke_off_twice_ends_with_the_same_weights(tmp_path, breaks):
    for step in breaks:
        with pytest.raises(Crash):
            train(tmp_path, callbacks=[crash_at(step)])
    run, whole = train(tmp_path), train()
    assert same_weights(run, whole)
    assert rows(run) == rows(whole)


@pytest.mark.parametrize("kind", ["", "gan"])
def test_killed_at_a_random_moment_a_run_ends_with_the_same_weights(tmp_path, kind):
    from tests.training_demo import train_gan

    start = train_gan if kind else train
    log, rng = tmp_path / "steps.txt", random.Random(time.time_ns())
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.training_demo", str(tmp_path), kind]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    wanted = rng.randint(1, 120)
    while process.poll() is None and _last_step(log) < wanted:
        time.sleep(0.002)
    process.kill()
    assert process.wait() not in (0, None), f"not killed in time, wanted step {wanted}"
    killed_at = _last_step(log)
    assert same_weights(start(tmp_path, steps=200), start(steps=200)), f"killed at {killed_at}"
    assert not list(tmp_path.glob("*.tmp"))


def _last_step(log):
    lines = log.read_text(encoding="utf-8").split("\n")[:-1] if log.exists() else []
    return int(lines[-1]) if lines else 0


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_request_to_stop_keeps_what_was_learned(tmp_path, name, request):
    if not hasattr(signal, name):
        pytest.skip(f"no {name} here")
    number = getattr(signal, name)
    if signal.getsignal(number) is signal.SIG_IGN:  # under nohup, which training respects
        request.addfinalizer(lambda: signal.signal(number, signal.SIG_IGN))
        signal.signal(number, signal.SIG_DFL)
    before = signal.getsignal(number)
    run = train(tmp_path, callbacks=[lambda run: run.step == 13 and signal.raise_signal(number)])
    assert signal.getsignal(number) is before
    assert (run.stopped, run.step) == ("interrupted", 14)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert all(torch.equal(run.model.state_dict()[k], v) for k, v in state["model"].items())
    frame = pd.read_csv(tmp_path / "history.csv")
    assert frame.step.tolist() == [3, 4, 6, 8, 9, 12, 14]
    assert frame.loss.tolist() == pytest.approx([row["loss"] for row in run.history])
    assert same_weights(train(tmp_path), train())


def test_a_second_ctrl_c_breaks_off_at_once():
    def press_twice(run):
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(callbacks=[press_twice])


def test_a_thread_can_train():
    results = []
    thread = threading.Thread(target=lambda: results.append(train(steps=3)))
    thread.start()
    thread.join()
    assert results[0].stopped == "finished"


# What is refused


def test_a_finished_run_is_given_back_at_once_and_another_is_not_taken_up(tmp_path):
    run = train(tmp_path, steps=10)
    assert same_weights(run, train(tmp_path, steps=10, callbacks=[crash_at(11)]))
    with pytest.raises(ValueError, match="holds a run"):
        train(tmp_path, steps=10, resume=False)
    with pytest.raises(ValueError, match=r"last\.pt .*lr was 0\.001, is now 0\.5"):
        train(tmp_path, steps=10, lr=0.5)
    with pytest.raises(ValueError, match="store was None, is now 'b'"):
        train(tmp_path, steps=10, config={"store": "b"})
    with pytest.raises(ValueError, match=r"last\.pt .*weights was 182, is now 122"):
        train(tmp_path, steps=10, model=Net(width=4))


def test_a_run_goes_on_otherwise_where_that_is_meant(tmp_path):
    train(tmp_path, steps=10)
    run = train(tmp_path, steps=14, lr=0.5, schedule="constant", resume=("steps", "lr", "schedule"))
    assert (run.step, run.stopped, run.history[-1]["lr"]) == (14, "finished", 0.5)
    assert [row["step"] for row in run.history if row["lr"] < 0.5][-1] == 10
    with pytest.raises(ValueError, match=r"goes on with other .*'lr'.* only, not \['seed'\]"):
        train(tmp_path, steps=14, seed=5, resume=("seed",))


def test_what_could_not_be_read_back_is_made_plain_or_refused(tmp_path):
    numbers = {"lr": np.float64(0.01), "seed": np.int64(3), "betas": np.array([0.9, 0.99])}
    config = {"lam": np.float32(0.5), "where": Path("a"), "sizes": (1, np.int8(2))}
    train(tmp_path, steps=np.int64(10), config=config, **numbers)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert state["arguments"]["sizes"] == (1, 2)
    assert train(tmp_path, steps=10, config=config, **numbers).stopped == "finished"
    with pytest.raises(TypeError, match="store is a object"):
        train(steps=10, config={"store": object()})


def test_a_second_run_on_a_folder_is_refused(tmp_path):
    def second(run):
        with pytest.raises(RuntimeError, match=r"in use by another process.*delete .*\.lock"):
            train(tmp_path, steps=2)

    assert train(tmp_path, steps=2, callbacks=[second]).stopped == "finished"


def test_a_validation_that_is_never_a_number_is_said(tmp_path):
    with pytest.warns(UserWarning, match="never a number"):
        run = train(tmp_path, steps=4, metric=lambda model, batch: torch.tensor(torch.nan))
    assert run.best is None
    assert not (tmp_path / "best.pt").exists()


class Evil:
    def __reduce__(self):
        return print, ("code ran",)


@pytest.mark.parametrize("content", ["empty", "truncated", "evil", "other"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content, capsys):
    path = tmp_path / "last.pt"
    torch.save({"arguments": Evil()} if content == "evil" else [1, 2], path)
    if content in ("empty", "truncated"):
        os.truncate(path, 0 if content == "empty" else 700)
    with pytest.raises(ValueError, match=r"last\.pt is damaged"):
        train(tmp_path, steps=2)
    assert "code ran" not in capsys.readouterr().out


def test_a_loss_that_is_no_number_is_reported_and_leaves_the_weights(tmp_path):
    def fails(model, batch):
        calls.append(0)
        return mse(model, batch) * (math.nan if len(calls) == 9 else 1)

    calls, model = [], Net()
    with pytest.raises(
        Diverged, match=r"step 9 gave .*'loss': nan.*lower lr.*checkpoint is of step 8"
    ):
        fit(model, fails, Batches(pictures(), 6), 20, folder=tmp_path, callbacks=(), device="cpu")
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_a_gradient_that_is_no_number_is_reported_before_it_spoils_the_weights():
    class Root(Net):
        def forward(self, L):
            return (super().forward(L) * 0).square().sqrt()  # finite; its gradient is not

    model = Root()
    with pytest.raises(Diverged, match=r"step 1 gave .*'loss': [\d.]+, 'norm': nan"):
        train(steps=3, model=model)
    assert all(torch.isfinite(p).all() for p in model.parameters())


class Nothing(list):
    def __call__(self, epoch, start_step):
        return []


def test_arguments_that_make_no_sense_are_refused():
    for wrong, message in [
        ({"schedule": "linear"}, "not 'linear'"),
        ({"precision": "fp16"}, "not 'fp16'"),
        ({"model": Net().requires_grad_(False)}, "empty parameter list"),
    ]:
        with pytest.raises(ValueError, match=message):
            train(**{"steps": 10} | wrong)
    with pytest.raises(ValueError, match="no batch in epoch 0"):
        fit(Net(), mse, Nothing(), 3, callbacks=(), device="cpu")

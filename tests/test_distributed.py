"""Two processes train as one: the same weights, one writer, one decision to stop."""

import os
import subprocess
import sys

import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from colorkit.batches import Batches
from colorkit.cli import colorkit
from tests import training_ddp
from tests.conftest import ROOT
from tests.training_demo import Net, mse, pictures

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
    reason="this torch has no gloo",
)


def torchrun(*command):
    """Start a module in two processes."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [*start, "--nproc-per-node", "2", "-m", *map(str, command)], cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def train_command(store):
    """What trains on a store, the same in one process and in two."""
    options = ["train", store.path, "--model", "cnn", "--width", 4, "--batch", 4]
    options += ["--epochs", 5, "--device", "cpu", "--precision", "float64"]
    return [str(option) for option in options]


def equal(folder, other):
    """Whether two runs ended with the same weights in float64, and saw the same losses."""
    states = [torch.load(path / "last.pt", weights_only=True) for path in (folder, other)]
    for name in {"model", "discriminator"} & set(states[0]):
        for key, value in states[0][name].items():
            assert value.dtype == torch.float64
            assert (value - states[1][name][key]).abs().max() < 1e-9
    for one, two in zip(*(state["history"] for state in states), strict=True):
        for key in set(one) - {"seconds", "players", "share", "variety"}:  # these are of a share
            assert one[key] == pytest.approx(two[key], rel=1e-5), key
    return True


@pytest.fixture(scope="module")
def both(small_store, tmp_path_factory):
    """The folder in which two processes trained, by a script and by the command."""
    folder = tmp_path_factory.mktemp("two")
    command = ["colorkit", *train_command(small_store), "--folder", folder / "command"]
    for process in (torchrun("tests.training_ddp", folder), torchrun(*command)):
        said = process.communicate(timeout=300)[0]
        assert process.returncode == 0, said
    assert said.count(", finished, ") == 1
    return folder


@pytest.fixture(scope="module")
def results(both):
    return [torch.load(both / f"result{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("name", ["weighted", "classes", "gan"])
def test_twenty_steps_of_two_processes_are_those_of_one(both, tmp_path, name):
    training_ddp.train(name, tmp_path)
    assert equal(both / name, tmp_path)


def test_the_command_trains_in_two_processes_as_in_one(both, small_store, tmp_path):
    one = CliRunner().invoke(colorkit, [*train_command(small_store), "--folder", str(tmp_path)])
    assert one.exit_code == 0, one.output
    assert equal(both / "command", tmp_path)


def test_only_the_first_process_writes(both, results):
    assert [result["writes"] for result in results] == [True, False]
    assert sorted(p.name for p in (both / "weighted").glob("[!.]*")) == ["history.csv", "last.pt"]


def test_a_wish_to_stop_of_one_process_stops_both_at_one_step(results):
    assert [result["stopped"] for result in results] == [("interrupted", 6)] * 2


def test_processes_draw_their_own_numbers_and_resume_with_them(results):
    assert all(result["resumed"] for result in results)
    assert results[0]["draw"] != results[1]["draw"]


def test_validation_counts_every_picture_once(both, results):
    model = Net(norm=False, dropout=0.5).eval()
    model.load_state_dict(torch.load(both / "whole" / "best.pt", weights_only=True)["model"])
    with torch.no_grad():
        whole = float(mse(model, next(Batches(pictures(5), 5, in_order=True)())))
    best = pd.read_csv(both / "whole" / "history.csv").validation.min()
    assert best == results[0]["validation"] == pytest.approx(whole, rel=1e-5)

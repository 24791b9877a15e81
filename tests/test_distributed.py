"""Two processes train as one: the same weights, one writer, one decision to stop."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from colorkit.batches import Batches
from colorkit.training import checkpoint
from colorkit.training.config import read, train_config
from colorkit.training.history import History

ROOT = Path(__file__).parents[1]
CONFIG = """
folder = '{folder}'
[model]
factory = "tests.training_demo:{net}"
[loss]
{loss}
[data]
factory = "tests.training_demo:tensor_batches"
batch = 4
[training]
steps = 20
lr = 0.01
precision = "float32"
"""
MODELS_AND_LOSSES = {
    "plain": ("double_net", 'function = "tests.training_demo:plain_mse"'),
    "weighted": ("double_net", 'function = "tests.training_demo:weighted_mse"'),
    "classes": ("double_classes_net", 'factory = "tests.training_demo:DoubleClassification"'),
}

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
    reason="this torch has no gloo",
)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The folder in which two processes trained."""
    folder = tmp_path_factory.mktemp("two")
    for name, (net, loss) in MODELS_AND_LOSSES.items():
        text = CONFIG.format(folder=(folder / name).as_posix(), net=net, loss=loss)
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "tests.training_ddp", str(folder)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, checkpoint.load(folder / "result.pt")


@pytest.mark.parametrize("name", MODELS_AND_LOSSES)
def test_twenty_steps_of_two_processes_are_those_of_one(both, tmp_path, name):
    folder, _ = both
    config = read(folder / f"{name}.toml") | {"folder": str(tmp_path)}
    one = train_config(config, device="cpu")
    two = checkpoint.load(folder / name / "last.pt")["model"]
    for key, value in one.model.state_dict().items():
        assert value.dtype == torch.float64
        assert (value - two[key]).abs().max() < 1e-9
    ours = one.history.curve("loss")[1]
    assert History.read_csv(folder / name / "history.csv").curve("loss")[1] == pytest.approx(ours)


def test_a_game_of_two_processes_is_that_of_one(both, tmp_path):
    from tests.training_demo import double_game

    folder, _ = both
    one = double_game(tmp_path)
    state = checkpoint.load(folder / "game" / "last.pt")
    pairs = ((one.model, state["model"]), (one.game.network, state["game"]["critic"]))
    for player, two in pairs:
        for key, value in player.state_dict().items():
            assert (value - two[key]).abs().max() < 1e-9
    theirs = History.read_csv(folder / "game" / "history.csv")
    for column in ("loss", "critic_loss", "adversarial", "pixel", "accuracy", "gray"):
        assert theirs.curve(column)[1] == pytest.approx(one.history.curve(column)[1], rel=1e-5)


def test_a_mean_of_means_would_have_been_another_run(both):
    """The shares do weigh differently: else the test of the normaliser would prove nothing."""
    from tests.training_demo import double_net, pictures, weighted_mse

    model, batch = double_net(), next(Batches(pictures(), 4)(0, 0))
    with torch.no_grad():
        shares = [weighted_mse(model, [x[rank::2] for x in batch]) for rank in (0, 1)]
        whole = weighted_mse(model, batch)
    mean_of_means = sum(share.total / share.weight for share in shares) / 2
    assert abs(mean_of_means / (whole.total / whole.weight) - 1) > 0.01


def test_only_the_first_process_writes(both):
    folder, result = both
    assert result["writers"] == [True, False]
    assert sorted(p.name for p in (folder / "plain").iterdir()) == ["history.csv", "last.pt"]


def test_a_wish_to_stop_of_one_process_stops_both_at_one_step(both):
    _, result = both
    (how, step), other = result["stopped"]
    assert how == "interrupted"
    assert (how, step) == tuple(other)
    assert 5 <= step <= 6


def test_processes_draw_their_own_numbers_and_resume_with_them(both):
    _, result = both
    assert result["same"] == [True, True]
    assert result["draws"][0] != result["draws"][1]


def test_validation_counts_every_picture_once(both):
    from tests.training_demo import Net, mse, pictures

    folder, result = both
    model = Net(norm=False, dropout=0.5).eval()
    state = checkpoint.load_weights(folder / "whole" / "best.pt", model)
    with torch.no_grad():
        whole = float(mse(model, next(Batches(pictures(5), 5, in_order=True)(0, 0))))
    assert state["counters"]["best"] == result["validation"] == pytest.approx(whole, rel=1e-5)

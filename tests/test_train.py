"""``colorkit train STORE``: what it builds, trains, resumes, and says of a wrong choice."""

import shutil

import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from colorkit.cli import colorkit
from colorkit.data.prepare import prepare
from colorkit.models import UNet, load_colorizer
from tests.conftest import colourful


def train(store, *arguments):
    options = ["--device", "cpu", "--precision", "float32", "--batch", "4", "--width", "2"]
    return CliRunner().invoke(colorkit, ["train", str(store.path), *options, *map(str, arguments)])


def test_the_command_trains_writes_and_resumes(small_store, tmp_path):
    folder, steps = tmp_path / "run", 3 * (len(small_store.rows("train")) // 4)
    done = train(small_store, "--epochs", 3, "--lr", 0.01, "--folder", folder)
    assert done.exit_code == 0, done.output
    assert f"{folder}: step {steps} of {steps}, finished" in done.output
    assert sorted(p.name for p in folder.glob("[!.]*")) == ["best.pt", "history.csv", "last.pt"]
    frame = pd.read_csv(folder / "history.csv")
    assert frame.step.iloc[-1] == steps
    assert f"best validation {frame.validation.min():.4g}" in done.output
    UNet(2).load_state_dict(torch.load(folder / "best.pt", weights_only=True)["model"])
    again = ["--epochs", 3, "--lr", 0.01, "--folder", folder]
    assert "holds a run" in str(train(small_store, *again).exception)
    assert train(small_store, *again, "--resume").exit_code == 0
    changed = train(small_store, *again, "--resume", "--loss", "l1").exception
    assert "loss was 'l2', is now 'l1'" in str(changed)


def test_a_run_goes_on_longer_after_its_store_has_moved_and_another_begins_from_it(
    small_store, tmp_path
):
    one, moved = tmp_path / "one", tmp_path / "moved"
    assert train(small_store, "--steps", 4, "--lr", 0.01, "--folder", one).exit_code == 0
    shutil.copytree(small_store.path, moved)
    arguments = ["train", str(moved), "--device", "cpu", "--folder", str(one), "--resume"]
    done = CliRunner().invoke(colorkit, [*arguments, "--steps", "6", "--schedule", "constant"])
    assert "step 6 of 6, finished" in done.output, done.exception
    assert pd.read_csv(one / "history.csv").lr.iloc[-1] == 0.01  # as it was, for it was not given
    (moved / "manifest.json").write_text(
        (moved / "manifest.json").read_text().replace(small_store.manifest["checksum"], "0" * 64)
    )
    done = CliRunner().invoke(colorkit, [*arguments, "--steps", "8"])
    assert f"store was '{small_store.manifest['checksum']}'" in str(done.exception)

    done = train(
        small_store, "--from", one, "--steps", 1, "--lr", 1e-9, "--folder", tmp_path / "two"
    )
    assert done.exit_code == 0, done.output
    before, after = (
        torch.load(folder / "last.pt", weights_only=True)["model"]
        for folder in (one, tmp_path / "two")
    )
    name = next(name for name, x in before.items() if name.endswith("weight") and x.ndim == 4)
    assert torch.allclose(before[name], after[name], atol=1e-6)
    again = train(small_store, "--steps", 2, "--folder", tmp_path / "two", "--resume")
    assert "step 2 of 2, finished" in again.output, again.exception
    other = ["--from", one, "--model", "cnn", "--folder", tmp_path / "three"]
    assert "state_dict" in str(train(small_store, *other).exception)


@pytest.mark.parametrize(
    "options",
    [
        ["--model", "cnn", "--loss", "l1"],
        ["--model", "encoder-decoder", "--schedule", "one-cycle"],
        ["--model", "resnet18", "--weights", "worlds"],
        ["--model", "unet", "--loss", "classes"],
        ["--model", "zhang", "--loss", "classes", "--lam", "0.5", "--patience", "3"],
    ],
)
def test_each_model_trains_and_its_run_loads_as_a_colorizer(small_store, tmp_path, options):
    done = train(small_store, *options, "--epochs", 1, "--folder", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "finished" in done.output
    trained = torch.load(tmp_path / "run" / "best.pt", weights_only=True)["model"]
    net = load_colorizer(tmp_path / "run")
    assert all(torch.equal(v, trained[k]) for k, v in net.state_dict().items())
    assert not net.training
    assert net.colorize(torch.full((1, 1, 32, 32), 50.0)).shape == (1, 2, 32, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weights", "worlds"], "--weights is for a ResNet"),
        (["--lam", "0.5"], "--lam is for --loss classes"),
        (["--steps", "2", "--epochs", "1"], "both say how long"),
        (["--model", "cnn", "--loss", "classes"], "is for unet, zhang, lite0 and ResNets, not cnn"),
        (["--model", "transformer"], "'transformer' is not one of 'cnn'"),
    ],
)
def test_what_does_not_go_together_is_refused(small_store, options, message):
    done = train(small_store, *options)
    assert done.exit_code == 2
    assert message in done.output


def test_patience_is_refused_where_nothing_validates(tmp_path):
    for i in range(4):
        colourful(i).save(tmp_path / f"{i}.png")
    store, _ = prepare(tmp_path, tmp_path / "all", size=32, split="100/0/0", workers=1)
    done = train(store, "--patience", "3")
    assert (done.exit_code, "has no split val" in done.output) == (2, True)

"""The weights that come with us: made by the script, better than the commonest kind."""

import signal

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from colorkit.fit import fit
from colorkit.models import ResNetColorizer, resnet
from colorkit.worlds import orchard
from scripts import pretrain
from scripts.pretrain import KINDS, SEED, KindClassifier, draw, measure


def load(path):
    """The classifier of a file that the script wrote, and how it was made."""
    file = torch.load(path, weights_only=True)
    model = KindClassifier()
    model.load_state_dict(resnet.unpack(file))
    return model.eval(), file["made"]


@pytest.fixture(scope="module")
def classifier():
    return load(resnet.WORLDS)


@pytest.fixture(scope="module")
def held_out():
    return draw(64, SEED + 2)


def test_cells_are_labelled_with_their_commonest_kind():
    L, cells = draw(8, seed=5)
    world = orchard(4, 64, seed=5)
    torch.testing.assert_close(L[:4], world.L)
    for i, row, column in ((0, 0, 0), (1, 8, 8), (2, 12, 3), (3, 15, 15)):
        cell = world.batch(i, i + 1).kinds[0, 0, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4]
        kinds, counts = np.unique(cell, return_counts=True)
        commonest = {world.kinds[kind] for kind in kinds[counts == counts.max()]}
        assert KINDS[cells[i, row, column]] in commonest


def test_measure_counts_cells_and_kinds():
    class Always(KindClassifier):
        def forward(self, L):
            score = torch.zeros(len(L), len(KINDS), 1, 2)
            score[:, 3] = 1
            return score

    cells = torch.tensor([[[3, 3]], [[3, 7]]], dtype=torch.uint8)
    found = measure(Always(2), torch.zeros(2, 1, 4, 8), cells)
    assert found == {"accuracy": 0.75, "mean_recall": 0.5, "majority": 0.75}


def test_our_weights_know_what_held_out_pictures_show(classifier, held_out):
    model, made = classifier
    found = measure(model, *held_out)
    assert found["majority"] < 0.25
    assert 0.9 < found["accuracy"] <= 1
    assert abs(found["accuracy"] - made["accuracy"]) < 0.02
    assert tuple(made["kinds"]) == KINDS, "a world has other kinds now: pretrain again"
    assert {"command", "torch", "seconds", "mean_recall"} <= set(made)


def test_our_weights_see_shapes_and_not_lightness_alone(classifier, held_out):
    L, cells = held_out
    order = torch.randperm(64 * 64, generator=torch.Generator().manual_seed(0))
    shuffled = L.flatten(2)[..., order].reshape(L.shape)
    assert measure(classifier[0], shuffled, cells)["accuracy"] < 0.4


def test_worlds_fills_the_encoder_of_a_colorizer(classifier):
    found = ResNetColorizer(18, "worlds", width=2).encoder.state_dict()
    expected = {k: v for k, v in classifier[0].state_dict().items() if not k.startswith("fc.")}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[k], v) for k, v in expected.items())
    assert all(v.dtype == torch.float32 for k, v in found.items() if "num_batches" not in k)


def test_the_script_makes_a_file_that_a_colorizer_takes_and_none_of_half_a_run(
    tmp_path, monkeypatch
):
    out = tmp_path / "own" / "weights.pt"
    options = ["--steps=20", "--pictures=64", "--device=cpu"]
    monkeypatch.setattr(pretrain, "HELD_OUT", 16)
    said = CliRunner().invoke(pretrain.main, [str(out), *options])
    assert said.exit_code == 0, said.output
    assert "of held-out cells right" in said.output
    model, made = load(out)
    assert made["command"] == "python scripts/pretrain.py OUT --steps 20 --pictures 64"
    found = ResNetColorizer(18, out, width=2).encoder.conv1.weight
    assert torch.equal(found, model.conv1.weight)
    scale = torch.load(out, weights_only=True)["scales"]["conv1.weight"]
    steps = found / scale  # 8 bits, with a scale for each output channel
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert 126.5 < steps.abs().amax((1, 2, 3)).min() <= steps.abs().max() < 127.5

    def interrupted(*arguments, **options):
        stop = lambda run: signal.raise_signal(signal.SIGINT) if run.step == 1 else None  # noqa: E731
        return fit(*arguments, **options, callbacks=[stop])

    monkeypatch.setattr(pretrain, "fit", interrupted)
    said = CliRunner().invoke(pretrain.main, [str(tmp_path / "half.pt"), *options])
    assert said.exit_code == 1
    assert "stopped at step 2 of 20" in said.output
    assert [p.name for p in tmp_path.rglob("*.*")] == ["weights.pt"]

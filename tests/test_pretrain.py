"""The weights that come with us: made by the command, better than the commonest kind, frozen."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from colorkit.models import ResNetColorizer, resnet
from colorkit.models.pretrain import (
    KINDS,
    SEED,
    KindClassifier,
    command,
    draw,
    load_classifier,
    measure,
    pretrain,
)
from colorkit.models.resnet import pack, unpack
from colorkit.training import fit as engine
from colorkit.worlds import orchard


@pytest.fixture(scope="module")
def classifier():
    return load_classifier(resnet.WORLDS)


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


def test_our_weights_know_what_held_out_pictures_show(classifier):
    model, made = classifier
    found = measure(model, *draw(64, SEED + 2))
    assert found["majority"] < 0.25
    assert 0.9 < found["accuracy"] <= 1
    assert abs(found["accuracy"] - made["accuracy"]) < 0.02
    assert tuple(made["kinds"]) == KINDS, "a world has other kinds now: pretrain again"
    assert {"command", "torch", "seconds", "mean_recall"} <= set(made)


def test_our_weights_see_shapes_and_not_lightness_alone(classifier):
    L, cells = draw(64, SEED + 2)
    order = torch.randperm(64 * 64, generator=torch.Generator().manual_seed(0))
    shuffled = L.flatten(2)[..., order].reshape(L.shape)
    assert measure(classifier[0], shuffled, cells)["accuracy"] < 0.4


def test_worlds_fills_the_encoder_of_a_colorizer(classifier):
    encoder = ResNetColorizer(18, "worlds", width=2).encoder
    expected = {k: v for k, v in classifier[0].state_dict().items() if not k.startswith("fc.")}
    found = encoder.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[k], v) for k, v in expected.items())
    assert all(v.dtype == torch.float32 for k, v in found.items() if "num_batches" not in k)


@pytest.mark.parametrize(("layers", "width"), [(18, 64), (50, 16)])
def test_worlds_fits_one_encoder_alone(layers, width):
    with pytest.raises(ValueError, match=r"'worlds' do not fit .* ResNet-18 of width 16"):
        ResNetColorizer(layers, "worlds", encoder_width=width)


def test_frozen_keeps_weights_and_statistics_of_batch_norm():
    net = ResNetColorizer(18, "worlds", width=2, frozen=True).train()
    before = {k: v.clone() for k, v in net.encoder.state_dict().items()}
    optimizer = torch.optim.AdamW(net.parameters(), 0.1)
    net(orchard(2).L).square().mean().backward()
    optimizer.step()
    assert all(torch.equal(v, before[k]) for k, v in net.encoder.state_dict().items())
    assert not any(module.training for module in net.encoder.modules())
    tuned = ResNetColorizer(18, "worlds", width=2)
    tuned(orchard(2).L)
    assert not torch.equal(tuned.encoder.bn1.running_mean, before["bn1.running_mean"])


def test_packed_weights_are_within_half_a_step():
    torch.manual_seed(0)
    state = {"a.weight": torch.randn(4, 3, 5, 5), "b": torch.randn(7), "n": torch.tensor(3)}
    state["a.weight"][1] = 0
    back = unpack(pack(state))
    step = state["a.weight"].abs().amax((1, 2, 3), keepdim=True) / 127
    assert ((back["a.weight"] - state["a.weight"]).abs() <= step * 0.501).all()
    assert torch.equal(back["b"], state["b"])
    assert torch.equal(back["n"], state["n"])


def test_the_command_makes_a_file_that_a_colorizer_takes(tmp_path):
    out = tmp_path / "own" / "weights.pt"
    said = CliRunner().invoke(command, [str(out), "--steps=20", "--pictures=64", "--device=cpu"])
    assert said.exit_code == 0, said.output
    assert "of held-out cells right" in said.output
    model, made = load_classifier(out)
    assert made["command"] == "colorkit pretrain OUT --steps 20 --pictures 64 --seed 90000"
    net = ResNetColorizer(18, out, width=2)
    assert torch.equal(net.encoder.conv1.weight, model.conv1.weight)
    assert [path.name for path in out.parent.iterdir()] == ["weights.pt"]


def test_half_a_run_is_not_written(tmp_path, monkeypatch):
    def stopped_at_once(*arguments, **options):
        return engine.Run(*[None] * 7, network=None, stopped="interrupted", step=2)

    monkeypatch.setattr(engine, "fit", stopped_at_once)
    with pytest.raises(RuntimeError, match=r"stopped at step 2 of 20: .*half.pt was not written"):
        pretrain(tmp_path / "half.pt", steps=20, pictures=64)
    assert not list(tmp_path.iterdir())

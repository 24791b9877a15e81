"""Training on a prepared store and on a made world: the same batches, whole or resumed."""

import numpy as np
import pytest
import torch

from colorkit import distributed
from colorkit.data.prepare import prepare
from colorkit.training.batches import StoreBatches, in_order, world_batches
from colorkit.training.fit import fit
from colorkit.training.options import Options
from colorkit.worlds import orchard
from tests.conftest import colourful
from tests.training_demo import Net, mse


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for i in range(24):
        colourful(i).save(folder / f"{i:02d}.png")
    out = tmp_path_factory.mktemp("stores") / "small"
    return prepare(folder, out, size=32, workers=1, progress=False)[0]


def test_a_store_resumes_at_any_step_of_any_epoch(store):
    data = StoreBatches(store, batch=4, crop=16, seed=3, device="cpu")
    assert len(data) == len(store.rows("train")) // 4
    for epoch in (0, 2):
        whole = list(data(epoch, 0))
        assert len(whole) == len(data)
        for start in range(len(data) + 1):
            rest = list(data(epoch, start))
            assert len(rest) == len(data) - start
            for one, other in zip(rest, whole[start:], strict=True):
                assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(next(data(0, 0))[0], next(data(1, 0))[0])


def test_two_processes_share_each_batch_of_a_store(store, monkeypatch):
    data = StoreBatches(store, batch=4, seed=3, device="cpu")
    whole = next(data(0, 0))[1]
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    shares = []
    for rank in (0, 1):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        shares.append(next(data(0, 0))[1])
    assert torch.equal(torch.stack(shares, 1).flatten(0, 1), whole)


def test_training_on_a_store_goes_on_where_it_broke_off(store, tmp_path):
    class Crash:
        def stepped(self, run):
            if run.step == 7:
                raise KeyError("crash")

    def train(folder, callbacks=()):
        torch.manual_seed(0)
        data = StoreBatches(store, batch=4, crop=16, device="cpu")
        held_out = StoreBatches(store, "val", batch=4, augment=False, device="cpu")
        options = Options(steps=12, checkpoint_every=3, validate_every=6)
        return fit(
            Net(),
            mse,
            data,
            options,
            validation=held_out,
            callbacks=callbacks,
            folder=folder,
            resume=folder is not None,
            device="cpu",
        )

    whole = train(None)
    with pytest.raises(KeyError, match="crash"):
        train(tmp_path, [Crash()])
    resumed = train(tmp_path)
    assert np.isfinite(whole.best)
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_world_gives_its_exact_colours():
    L, ab = next(world_batches("orchard", 3, 32, seed=5, batch=3, augment=False)(0, 0))
    world = orchard(3, 32, 5)
    assert torch.equal(L, world.L)
    assert torch.equal(ab, world.ab)
    rounded = next(in_order(world.rgb, 3)(0, 0))[0]
    assert not torch.equal(L, rounded)


def test_a_world_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="no world 'garden': take one of orchard"):
        world_batches("garden", 3)

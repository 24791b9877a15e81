"""Batches hold the pictures as L and ab, in an order that seed, epoch and step alone decide."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from colorkit import batches as module
from colorkit.batches import Batches
from colorkit.color import rgb_to_lab
from colorkit.worlds import orchard
from tests.training_demo import pictures


@pytest.fixture
def sources(store):
    world = orchard(9, 32, seed=5)
    labels = torch.arange(9 * 64, dtype=torch.uint8).reshape(9, 8, 8)
    return {"tensor": pictures(), "world": world, "labels": (world.L, labels), "store": store}


def test_in_order_every_picture_of_a_split_once_in_lab(store):
    data = Batches(store, 7, split="val", in_order=True, device="cpu")
    found = list(data())
    L, ab = torch.cat([L for L, _ in found]), torch.cat([ab for _, ab in found])
    stored = store.pictures(store.rows("val")).transpose(0, 2, 3, 1)
    expected = rgb2lab(stored).transpose(0, 3, 1, 2)
    assert L.shape == (60, 1, 32, 32)
    assert np.abs(L.numpy() - expected[:, :1]).max() < 1e-2
    assert np.abs(ab.numpy() - expected[:, 1:]).max() < 1e-2
    assert len(found) == len(data) == 9
    by_path = Batches(str(store.path), 7, split="val", in_order=True)
    assert torch.equal(found[0][0], next(by_path())[0])


def test_an_epoch_shows_each_picture_once_in_another_order_half_of_them_flipped():
    L = torch.arange(400.0).reshape(400, 1, 1, 1) + torch.tensor([0, 0.25])
    data = Batches((L, L.repeat(1, 2, 1, 1)), 40, seed=1)
    epochs = []
    for epoch in range(2):
        shown, ab = (torch.cat(planes) for planes in zip(*data(epoch), strict=True))
        assert torch.equal(shown.expand_as(ab), ab)
        assert 150 < (shown[..., 0] > shown[..., 1]).sum() < 250
        epochs.append(shown.amin((1, 2, 3)).tolist())
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(400))
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("kind", ["tensor", "world", "labels", "store"])
def test_batches_resume_at_any_step_of_any_epoch(sources, kind):
    data = Batches(sources[kind], 4 if kind != "store" else 100, seed=3, device="cpu")
    for epoch in (0, 2):
        whole = list(data(epoch))
        assert len(whole) == len(data) >= 2
        for start in range(len(data) + 1):
            rest = list(data(epoch, start))
            assert len(rest) == len(data) - start
            for one, other in zip(rest, whole[start:], strict=True):
                assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    other = Batches(sources[kind], data.batch, seed=4, device="cpu")
    assert not torch.equal(next(data(0))[0], next(data(1))[0])
    assert not torch.equal(next(data(0))[0], next(other(0))[0])


@pytest.mark.parametrize("kind", ["tensor", "labels", "store"])
def test_two_processes_share_each_batch(sources, kind, monkeypatch):
    data = Batches(sources[kind], 4, seed=3, device="cpu")
    in_order = Batches(sources[kind], 5, in_order=True, device="cpu")
    whole, validated = next(data())[1], next(in_order())[1]
    monkeypatch.setattr(module.distributed, "world_size", lambda: 2)
    shares, held_out = [], []
    for rank in (0, 1):
        monkeypatch.setattr(module.distributed, "rank", lambda rank=rank: rank)
        shares.append(next(data())[1])
        held_out.append(next(in_order())[1])
    assert torch.equal(torch.stack(shares, 1).flatten(0, 1), whole)
    assert torch.equal(held_out[0], validated[0::2])
    assert torch.equal(held_out[1], validated[1::2])
    with pytest.raises(ValueError, match="batch of 5 cannot be shared by 2 processes"):
        next(Batches(sources[kind], 5)())


def test_a_world_gives_its_exact_colours_and_bytes_become_the_lab_of_the_library():
    world = orchard(3, 32, 5)
    L, ab = next(Batches(world, 3, in_order=True)())
    assert torch.equal(L, world.L)
    assert torch.equal(ab, world.ab)
    rounded = torch.cat(next(Batches(world.rgb, 3, in_order=True)()), 1)
    assert torch.equal(rounded, rgb_to_lab(world.rgb))
    assert not torch.equal(rounded[:, :1], L)


def test_what_cannot_be_batches_is_refused(store):
    pair = torch.zeros(4, 1, 8, 8), torch.zeros(3, 2, 8, 8)
    for given, batch, message in [
        (torch.zeros(4, 3, 8, 8), 2, "uint8 or a tuple"),
        (torch.zeros(4, 1, 8, 8, dtype=torch.uint8), 2, r"\(4, 1, 8, 8\)"),
        (pair, 2, r"equally many pictures, not \(4, 1, 8, 8\) and \(3, 2, 8, 8\)"),
        (pictures(), 25, "batch of 25 from 24 pictures: choose 1 to 24"),
        (pictures(), 0, "batch of 0"),
        (store, 481, "batch of 481 from 480"),
    ]:
        with pytest.raises(ValueError, match=message):
            Batches(given, batch)
    with pytest.raises(ValueError, match="batch of 3 from 0 pictures"):
        Batches(pictures()[:0], 3, in_order=True)
    with pytest.raises(ValueError, match="'training' is no split"):
        Batches(store, 4, split="training")

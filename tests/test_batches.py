"""Batches hold the store's pictures as L and ab, in an order that the seed alone decides."""

import shutil
import subprocess
import sys
import threading
import time
from itertools import islice

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from colorkit.data.batches import batches, steps_per_epoch
from colorkit.data.prepare import prepare
from colorkit.data.store import Store


@pytest.fixture(scope="module")
def store(made_photographs, tmp_path_factory) -> Store:
    out = tmp_path_factory.mktemp("store") / "made"
    return prepare(made_photographs, out, size=32, workers=1, progress=False)[0]


def lab_of(store: Store, split: str) -> np.ndarray:
    pictures = store.pictures(store.rows(split)).transpose(0, 2, 3, 1)
    return rgb2lab(pictures).transpose(0, 3, 1, 2)


def test_without_augmentation_every_picture_once_in_order(store):
    found = list(batches(store, "val", 7, "cpu", augment=False))
    L, ab = torch.cat([L for L, _ in found]), torch.cat([ab for _, ab in found])
    expected = lab_of(store, "val")
    assert L.shape == (60, 1, 32, 32)
    assert np.abs(L.numpy() - expected[:, :1]).max() < 1e-2
    assert np.abs(ab.numpy() - expected[:, 1:]).max() < 1e-2
    assert len(found) == steps_per_epoch(store, "val", 7, augment=False) == 9


def test_augmented_every_picture_once_an_epoch_some_flipped(store):
    L = torch.cat([L for L, _ in batches(store, "train", 32, "cpu", epochs=2)]).numpy()
    expected = lab_of(store, "train")[:, :1].astype(np.float32)
    straight = {row.tobytes(): i for i, row in enumerate(np.round(expected).astype(np.int8))}
    turned = {
        row.tobytes(): i for i, row in enumerate(np.round(expected[..., ::-1]).astype(np.int8))
    }
    seen = [np.round(row).astype(np.int8).tobytes() for row in L]
    found = [straight.get(key, turned.get(key)) for key in seen]
    assert None not in found
    first, second = found[:480], found[480:]
    assert sorted(first) == sorted(second) == list(range(480))
    assert first != second
    assert 400 < sum(key in turned for key in seen) < 560  # of 960


def test_crops_are_parts_of_the_pictures(store):
    L, _ = next(batches(store, "val", 16, "cpu", seed=3, crop=24))
    expected = torch.tensor(lab_of(store, "val")[:, :1], dtype=torch.float32)
    windows = expected.unfold(2, 24, 1).unfold(3, 24, 1).flatten(1, 3)
    both = torch.cat([windows, windows.flip(-1)], dim=1)
    places = set()
    for crop in L[:, 0]:
        distance = (both - crop).abs().amax((2, 3))
        assert distance.min() < 1e-2
        places.add(int(distance.min(0).values.argmin()))
    assert len(places) > 8
    middle, _ = next(batches(store, "val", 4, "cpu", augment=False, crop=24))
    assert torch.allclose(middle, expected[:4, :, 4:28, 4:28], atol=1e-2)


def test_resumed_batches_are_those_that_would_have_come(store):
    options = {"size": 50, "device": "cpu", "seed": 5, "crop": 16}
    through = list(islice(batches(store, "train", epochs=None, **options), 25))
    resumed = list(islice(batches(store, "train", epochs=None, start_step=13, **options), 12))
    for (L, ab), (again_L, again_ab) in zip(through[13:], resumed, strict=True):
        assert torch.equal(L, again_L)
        assert torch.equal(ab, again_ab)
    other = next(batches(store, "train", **(options | {"seed": 6})))
    assert not torch.equal(other[0], through[0][0])


def test_augmented_batches_all_have_one_shape_yet_a_tiny_split_gives_some(store):
    assert {len(L) for L, _ in batches(store, "train", 100, "cpu")} == {100}
    assert [len(L) for L, _ in batches(store, "test", 1000, "cpu")] == [60]


def test_senseless_requests_are_refused(store):
    for wrong in ({"crop": 33}, {"size": 0}, {"start_step": 99}, {"start_step": -1}):
        with pytest.raises(ValueError, match=r"crop|start_step"):
            next(batches(store, "train", **({"device": "cpu"} | wrong)))
    with pytest.raises(ValueError, match="no split"):
        next(batches(store, "training"))


def test_an_error_in_the_thread_arrives_and_leaving_early_ends_it(store, monkeypatch):
    before = threading.active_count()
    for _ in islice(batches(store, "train", 8, "cpu", epochs=None), 3):
        pass
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before

    def broken(*_):
        raise OSError("the disk has gone")

    monkeypatch.setattr(Store, "pictures", broken)
    with pytest.raises(OSError, match="disk has gone"):
        list(batches(store, "train", 8, "cpu"))


def test_store_says_what_is_wrong_with_it(store, tmp_path):
    with pytest.raises(FileNotFoundError, match="no store"):
        Store(tmp_path)
    copy = shutil.copytree(store.path, tmp_path / "copy")
    shard = copy / "shard-0000.npy"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ValueError, match=r"shard-0000\.npy changed"):
        Store(copy).verify()
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"shard-0000\.npy is missing or damaged"):
        Store(copy)
    (copy / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        Store(copy)


def test_threads_are_left_as_they_were(store):
    code = (
        "import sys, torch\n"
        "from colorkit.data.batches import batches\n"
        "torch.set_num_threads(3)\n"
        "from threading import Thread\n"
        "for _ in batches(sys.argv[1], 'val', 8, 'cpu'): pass\n"
        "later = []\n"
        "t = Thread(target=lambda: later.append(torch.get_num_threads())); t.start(); t.join()\n"
        "print(torch.get_num_threads(), later[0])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(store.path)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["3", "3"]


def test_a_maker_that_begins_while_another_does_sets_back_what_the_caller_had():
    code = (
        "from threading import Thread\n"
        "import torch\n"
        "from colorkit.data.batches import _use_one_thread\n"
        "torch.set_num_threads(1)  # as another maker has just done\n"
        "t = Thread(target=_use_one_thread, args=(3,)); t.start(); t.join()\n"
        "t = Thread(target=lambda: print(torch.get_num_threads())); t.start(); t.join()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["3"]

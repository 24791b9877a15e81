"""Every dataset has a complete card, and is read from files in its true layout."""

import dataclasses
import inspect
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torchvision
from click.testing import CliRunner
from PIL import Image

from colorkit.data import cards as module
from colorkit.data.cards import cards, data_root, find_card, source_of
from colorkit.data.commands import data
from colorkit.data.prepare import prepare
from tests.conftest import colourful

EXPECTED = {
    "orchard", "portraits", "bears", "imagenette", "flowers102", "oxfordiiitpet", "stl10",
    "celeba", "places365", "cifar10", "digiface1m", "imdbwiki", "fruits360", "lfw",
    "kaggle-colorization", "official-portraits", "grocery-store",
}  # fmt: skip


def test_there_is_a_complete_card_for_every_dataset():
    assert set(cards()) == EXPECTED
    for name, card in cards().items():
        assert find_card(name.upper()) == card
        for field in dataclasses.fields(card):
            assert getattr(card, field.name) != "" or field.default == "", field.name
        assert card.kind in ("made", "torchvision", "download", "manual")
        assert "http" in card.source or card.kind == "made"
        for file in card.files:
            assert {"url", "checksum"} <= set(file) <= {"url", "checksum", "to", "unpack", "marker"}
            assert re.fullmatch(r"(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})?", file["checksum"])
        if card.kind == "manual":
            assert str(data_root() / name) in card.instructions()


def test_checksums_are_torchvision_s_or_none():
    """A sum that neither torchvision nor the source publishes would be an invention."""
    for card in cards().values():
        for file in filter(lambda file: file["checksum"], card.files):
            loader = getattr(torchvision.datasets, card.torchvision["loader"])
            code = inspect.getsource(inspect.getmodule(loader))
            assert file["checksum"].removeprefix("md5:") in code
            assert file["url"].rpartition("/")[2] in code


def test_a_wrong_card_names_itself(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="imagenette"):
        find_card("imagenet")
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    (tmp_path / "bad.toml").write_text('title = "no more"')
    with pytest.raises(ValueError, match=r"bad\.toml.*missing.*kind"):
        cards()


def test_commands_list_and_show():
    listed = CliRunner().invoke(data, ["list"]).output
    assert all(name in listed for name in EXPECTED)
    shown = CliRunner().invoke(data, ["show", "CelebA"]).output
    assert "licence" in shown
    assert "img_align_celeba" in shown


# --- reading --------------------------------------------------------------------------------------


def picture(path, seed: int, size=(64, 64), **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colourful(seed, size).save(path, **options)


@pytest.fixture
def unchecked(monkeypatch):
    """Loaders that compare MD5 sums take the small files of a test, too."""
    sets = torchvision.datasets

    def exists(path, md5=None):
        return Path(path).exists()

    for loader in (sets.flowers102, sets.stl10, sets.cifar, sets.celeba, sets.places365):
        monkeypatch.setattr(loader, "check_integrity", exists)


def test_imagenette(tmp_path):
    for i, wnid in enumerate(["n01440764", "n02102040", "n02979186"]):
        picture(tmp_path / "imagenette2-320/train" / wnid / f"{wnid}_{i}.JPEG", i, format="JPEG")
        picture(tmp_path / "imagenette2-320/val" / wnid / f"{wnid}_9{i}.JPEG", i + 9, format="JPEG")
    source = source_of(find_card("imagenette"), tmp_path)
    assert len(source) == 6
    assert source.labels == [0, 1, 2, 0, 1, 2]
    assert set(source.splits) == {"train", "test"}
    store, _ = prepare(source, tmp_path / "out", 32, split="keep", workers=1)
    assert store.manifest["splits"] == {"train": 3, "val": 0, "test": 3}


def test_flowers102(tmp_path, unchecked):
    from scipy.io import savemat

    folder = tmp_path / "flowers-102"
    for i in range(1, 7):
        picture(folder / "jpg" / f"image_{i:05d}.jpg", i)
    savemat(folder / "imagelabels.mat", {"labels": np.array([1, 2, 3, 1, 2, 3])})
    sets = {"trnid": np.array([1, 2]), "valid": np.array([3, 4]), "tstid": np.array([5, 6])}
    savemat(folder / "setid.mat", sets)
    source = source_of(find_card("flowers102"), tmp_path)
    by_file = {name.rpartition("/")[2]: i for i, name in enumerate(source.names)}
    assert [source.labels[by_file[f"image_{i:05d}.jpg"]] for i in range(1, 7)] == [0, 1, 2] * 2
    assert sorted(source.splits) == ["test"] * 2 + ["train"] * 2 + ["val"] * 2


def test_oxford_pets(tmp_path):
    folder = tmp_path / "oxford-iiit-pet"
    lines = []
    for i, breed in enumerate(["Abyssinian", "beagle"]):
        for k in (1, 2):
            picture(folder / "images" / f"{breed}_{k}.jpg", 10 * i + k)
            lines.append(f"{breed}_{k} {i + 1} 1 1")
    annotations = folder / "annotations"
    annotations.mkdir()
    (annotations / "trainval.txt").write_text("\n".join(lines[::2]) + "\n")
    (annotations / "test.txt").write_text("\n".join(lines[1::2]) + "\n")
    source = source_of(find_card("oxfordiiitpet"), tmp_path)
    assert len(source) == 4
    assert source.classes == ["Abyssinian", "Beagle"]
    assert sorted(source.labels) == [0, 0, 1, 1]


def test_stl10_and_what_is_said_before_it_is_there(tmp_path, unchecked):
    with pytest.raises(FileNotFoundError, match="colorkit data get stl10"):
        source_of(find_card("stl10"), tmp_path)
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    rgb = np.stack([np.asarray(colourful(i, (96, 96))) for i in range(6)])
    stored = rgb.transpose(0, 3, 2, 1)  # columns first, as the set has them
    for i, part in enumerate(["train", "test", "unlabeled"]):
        stored[2 * i : 2 * i + 2].tofile(folder / f"{part}_X.bin")
        np.array([1, 10], np.uint8).tofile(folder / f"{part}_y.bin")
    (folder / "class_names.txt").write_text("\n".join("abcdefghij") + "\n")
    source = source_of(find_card("stl10"), tmp_path)
    assert len(source) == 6
    assert sorted(source.labels) == [-1, -1, 0, 0, 9, 9]
    store, _ = prepare(source, tmp_path / "out", 96, workers=1)
    found = {p.tobytes() for p in store.pictures(store.rows("all")).transpose(0, 2, 3, 1)}
    assert found == {p.tobytes() for p in rgb}


def test_cifar10(tmp_path, unchecked):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    parts = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for i, part in enumerate(parts):
        rgb = np.asarray(colourful(i, (32, 32))).transpose(2, 0, 1).reshape(1, -1)
        (folder / part).write_bytes(pickle.dumps({"data": rgb, "labels": [i]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    source = source_of(find_card("cifar10"), tmp_path)
    store, _ = prepare(source, tmp_path / "out", 32, split="keep", workers=1)
    assert store.manifest["splits"] == {"train": 5, "val": 0, "test": 1}
    found = store.pictures(np.array([store.names().index("test/0000000")]))[0]
    assert np.array_equal(found.transpose(1, 2, 0), np.asarray(colourful(5, (32, 32))))


def test_celeba_keeps_identities_together(tmp_path, unchecked):
    folder = tmp_path / "celeba"
    files = [f"{i:06d}.jpg" for i in range(1, 10)]
    for i, file in enumerate(files):
        picture(folder / "img_align_celeba" / file, i)

    def table(name, columns, header=""):
        lines = [f"{file} {column}\n" for file, column in zip(files, columns, strict=True)]
        (folder / name).write_text(header + "".join(lines))

    table("list_eval_partition.txt", [i // 3 for i in range(9)])
    table("identity_CelebA.txt", [i // 3 + 1 for i in range(9)])
    table("list_attr_celeba.txt", [1] * 9, "9\nSmiling\n")
    table("list_bbox_celeba.txt", ["0 0 9 9"] * 9, "9\nx_1 y_1 width height\n")
    table("list_landmarks_align_celeba.txt", ["0 0"] * 9, "9\nlefteye_x lefteye_y\n")
    source = source_of(find_card("celeba"), tmp_path)
    assert len(source) == 9
    for name, group in zip(source.names, source.groups, strict=True):
        assert int(group) == (int(name[-10:-4]) - 1) // 3 + 1
    assert prepare(source, tmp_path / "out", 32, workers=1)[0].size == 32


def test_places365(tmp_path, unchecked):
    (tmp_path / "categories_places365.txt").write_text("/a/airfield 0\n/b/beach 1\n")
    lines = []
    for i in range(4):
        picture(tmp_path / "val_256" / f"Places365_val_{i:08d}.jpg", i)
        lines.append(f"Places365_val_{i:08d}.jpg {i % 2}")
    (tmp_path / "places365_val.txt").write_text("\n".join(lines) + "\n")
    source = source_of(find_card("places365"), tmp_path)
    assert source.labels == [0, 1, 0, 1]
    assert source.classes == ["/a/airfield", "/b/beach"]


def test_digiface_takes_one_picture_of_each_identity_on_white(tmp_path):
    for k in range(6):
        face = colourful(k, (112, 112)).convert("RGBA")
        face.paste((0, 0, 0, 0), (0, 0, 112, 20))
        path = tmp_path / f"subjects/10000{k // 3}/{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        face.save(path)
    source = source_of(find_card("digiface1m"), tmp_path)
    assert source.names == ["100000/0.png", "100001/3.png"]
    assert source.groups == ["100000", "100001"]
    store, _ = prepare(source, tmp_path / "out", 96, workers=1)
    assert (store.pictures(np.array([0]))[0, :, :12] == 255).all()


def test_an_identity_is_in_the_file_name_or_is_the_folder(tmp_path):
    for i, person in enumerate(["nm0000100", "nm0000100", "nm0000200"]):
        picture(tmp_path / f"imdb_crop/0{i}/{person}_rm{i}_1955-1-6_2003.jpg", i)
        picture(tmp_path / f"fruits-360-100x100-main/Training/Banana {i % 2}/{i}_100.jpg", i)
    imdb, fruits = (source_of(find_card(name), tmp_path) for name in ("imdbwiki", "fruits360"))
    assert imdb.groups == ["nm0000100", "nm0000100", "nm0000200"]
    assert imdb.labels == [-1, -1, -1]
    assert fruits.groups == ["Training/Banana 0", "Training/Banana 0", "Training/Banana 1"]
    assert [fruits.classes[i] for i in fruits.labels] == ["Banana 0", "Banana 0", "Banana 1"]


def test_lfw_and_kaggle_say_what_to_do_then_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORKIT_DATA", str(tmp_path))
    from colorkit.data.download import fetch

    for name in ("lfw", "kaggle-colorization"):
        with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / name))):
            fetch(find_card(name))
    picture(tmp_path / "lfw/lfw/Aaron_Eckhart/Aaron_Eckhart_0001.jpg", 1)
    source = source_of(find_card("lfw"), fetch(find_card("lfw")))
    assert source.groups == ["Aaron_Eckhart"]
    folder = tmp_path / "kaggle-colorization/kaggle-colorization"
    (folder / "l").mkdir(parents=True)
    (folder / "ab/ab").mkdir(parents=True)
    np.save(folder / "l/gray_scale.npy", np.zeros((4, 224, 224), np.uint8))
    for i in (1, 2):
        np.save(folder / f"ab/ab/ab{i}.npy", np.full((2, 224, 224, 2), 128, np.uint8))
    card = find_card("kaggle-colorization")
    source = source_of(card, fetch(card))
    assert len(source) == 4
    with source.items[3].open() as image:
        assert image.size == (224, 224)
        assert isinstance(image, Image.Image)

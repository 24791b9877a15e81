"""Pictures of a lesson, and the studies that are recorded."""

import pytest
import torch
from click.testing import CliRunner

from colorcourse.lesson03 import studies
from colorkit.data.pictures import lesson_pictures
from scripts import study as script


@pytest.fixture(scope="module")
def pictures():
    return lesson_pictures("orchard", train=24, held_out=8, size=32)


def test_parts_of_a_world_share_no_picture(pictures):
    parts = [torch.cat([L for L, _ in pictures.batches(x, 7)]) for x in ("train", "val", "test")]
    L = torch.cat(parts).flatten(1)
    distances = torch.cdist(L, L) + 1e6 * torch.eye(len(L))
    assert distances.min() > 1
    assert torch.equal(pictures.worlds["test"].L, pictures.test[0])
    assert torch.equal(parts[0], pictures.train[0])


def test_photographs_come_from_a_store(store):
    found = lesson_pictures(store.path, train=20, held_out=6, size=64)
    assert found.worlds == {}
    assert tuple(found.train[0].shape) == (20, 1, 32, 32)
    assert tuple(found.test[1].shape) == (6, 2, 32, 32)


def test_one_picture_is_learned_by_heart_and_says_little_of_others(pictures):
    frame = studies.memorising(pictures, (1, 24), seeds=(0,), steps=60)
    one, many = frame.train_mse
    assert frame.pictures.tolist() == [1, 24]
    assert one < 0.5 * many
    assert frame.test_mse[0] > frame.test_mse[1]


def test_the_recorded_study_says_how_it_was_made_and_shows_what_the_lesson_says():
    frame = studies.recorded()
    assert "torch" in frame.attrs["about"]
    mean = frame.groupby("pictures")[["train_mse", "test_mse"]].mean()
    assert mean.index.tolist() == [1, 10, 20, 40, 100, 400, 2000]
    assert frame.groupby("pictures").seed.nunique().eq(3).all()
    assert mean.train_mse.is_monotonic_increasing
    assert mean.test_mse.loc[2000] < mean.test_mse.loc[10]


def test_the_script_records_what_the_lesson_reads(tmp_path, monkeypatch, pictures):
    monkeypatch.setattr(script, "lesson_pictures", lambda *_, **__: pictures)
    monkeypatch.setattr(script, "memorising", lambda *_: studies.recorded())
    done = CliRunner().invoke(script.study, ["memorising", "--out", str(tmp_path / "m.csv")])
    assert done.exit_code == 0, done.output
    monkeypatch.setattr(studies, "RECORDED", tmp_path)
    (tmp_path / "m.csv").rename(tmp_path / "memorising.csv")
    again = studies.recorded()
    assert again.attrs["about"].startswith("U-Net(16, 3) on orchard 32 x 32, 400 steps")
    assert again.columns.tolist() == ["pictures", "seed", "train_mse", "test_mse"]

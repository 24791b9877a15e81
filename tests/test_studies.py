"""Pictures of a lesson, and the studies that are recorded."""

from itertools import pairwise

import pytest
import torch

from colorcourse.lesson03 import studies
from colorkit.data.pictures import Pictures, lesson_pictures
from colorkit.worlds import orchard
from scripts import generalisation as script
from scripts.spread import read_table


@pytest.fixture(scope="module")
def pictures():
    return lesson_pictures("orchard", train=24, held_out=8, size=32)


def test_parts_of_a_world_share_no_picture(pictures):
    parts = [torch.cat([L for L, _ in pictures.batches(x, 7)]) for x in ("train", "val", "test")]
    assert torch.pdist(torch.cat(parts).flatten(1)).min() > 1
    assert torch.equal(pictures.worlds["test"].L, pictures.test[0])
    assert torch.equal(parts[0], pictures.train[0])


def test_photographs_come_from_a_store(store):
    found = lesson_pictures(store.path, train=20, held_out=6, size=64)
    assert found.worlds == {}
    assert tuple(found.train[0].shape) == (20, 1, 32, 32)
    assert tuple(found.test[1].shape) == (6, 2, 32, 32)


def test_the_pictures_that_are_shown_hold_the_kinds_that_the_text_names(pictures):
    world = pictures.worlds["val"]
    kinds = ("apple", "plum", "pepper")
    L, _ = studies.telling(pictures, kinds)
    numbers = [int((one == world.L).flatten(1).all(1).nonzero()) for one in L]
    assert len(set(numbers)) == len(kinds)
    for number, kind in zip(numbers, kinds, strict=True):
        assert kind in [thing.kind for thing in world.objects(number)]
    photographs = Pictures(pictures.train, pictures.val, pictures.test, {})
    assert torch.equal(studies.telling(photographs, kinds)[0], pictures.val[0][:3])


def test_the_recorded_study_shows_what_the_lesson_says():
    runs = studies.recorded()
    assert "2000 steps" in runs.attrs["about"]
    assert len(runs) == len(script.plan()) * len(script.MARKS)
    of = {key: part.set_index("seed") for key, part in runs.groupby(
        ["batch_norm", "augmentation", "pictures", "step"])}  # fmt: skip
    plain = [of["with", "none", count, 2000] for count in script.COUNTS]
    for fewer, more in pairwise(plain):
        assert fewer.seen.mean() < more.seen.mean() < studies.LEVELS["oracle"]
        assert fewer.unseen.mean() > more.unseen.mean()
    flips, without = (of[norm, "flips", 100, 2000] for norm in ("with", "without"))
    assert (flips[["seen", "unseen"]] < without[["seen", "unseen"]]).all(axis=None)
    assert (of["without", "flips", 100, 600].unseen < without.unseen).all()
    assert (of["with", "none", 2000, 500].seen > studies.LEVELS["oracle"]).all()
    assert (flips.unseen < of["with", "none", 100, 2000].unseen).all()
    assert plain[-1].unseen.max() < runs[(runs.pictures == 100) & (runs.step > 300)].unseen.min()


def test_the_levels_of_the_study_are_those_of_its_pictures():
    test = orchard(400, 32, seed=3)
    mean = torch.cat([test.oracle_mean(i) for i in range(len(test))])
    found = {"gray": test.ab.square().mean(), "oracle": (test.ab - mean).square().mean()}
    assert found == pytest.approx(studies.LEVELS, abs=0.1)


def test_the_script_trains_and_judges_a_run_and_flips_and_crops_keep_colours_in_place(pictures):
    script._KEPT.update({part: getattr(pictures, part) for part in ("train", "val", "test")})
    rows = script.run((4, "with", "flips and crops", 0), steps=50, width=4)
    assert [row[:5] for row in rows] == [(4, "with", "flips and crops", 0, k) for k in (25, 50)]
    assert rows[1][5] < rows[0][5]
    L, draw = pictures.test[0], torch.Generator().manual_seed(0)
    moved, ab = script.augmented(L, L.expand(-1, 2, -1, -1), "flips and crops", draw)
    assert torch.allclose(ab, moved.expand(-1, 2, -1, -1), atol=1e-4)
    assert not torch.allclose(moved, L, atol=1.0)


def test_skips_and_dense_layers_change_more_than_a_seed_in_all_runs_of_lesson_3():
    table = read_table().set_index(["lesson", "profile", "number"]).loc["03_networks", "laptop"]
    assert table.runs["lead_skips"] == 7  # the lesson says so
    assert table.lowest["lead_seed"] < 0 < table.highest["lead_seed"]
    seed = table.loc["lead_seed", ["lowest", "highest"]].abs().max()
    found = table.lowest["lead_skips"], -table.highest["lead_dense"], seed
    assert found == pytest.approx((0.0051, 0.0096, 0.0034), abs=5e-5)  # as the lesson says

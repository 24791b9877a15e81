"""Objects of a made world: their colours, against what the world itself says."""

import pytest
import torch

from colorkit.models import Gray, Oracle
from colorkit.objects import FAILURES, failures, near_edges, object_colors
from colorkit.worlds import orchard


@pytest.fixture(scope="module")
def world():
    return orchard(12, 32, seed=5)


@pytest.fixture(scope="module")
def objects(world):
    return object_colors(world, {"gray": Gray(), "best": Oracle(world)})


class Painted:
    """Gives every picture its true colours, spoilt by a function of (picture number, ab)."""

    def __init__(self, world, spoil):
        self.world, self.spoil = world, spoil

    def colorize(self, L):
        hits = (self.world.L[:, None] - L[None]).abs().amax((2, 3, 4)).argmin(0)
        return torch.stack([self.spoil(int(i), self.world.ab[i].clone()) for i in hits])


def test_the_oracle_s_colour_is_the_mean_of_its_picture_over_the_object(world, objects):
    for row, at in enumerate(objects.table.itertuples()):
        where = objects.visible[row, 0]
        mean = world.oracle_mean(at.picture)[0][:, where].mean(1)
        assert torch.allclose(objects.ab["oracle"][row], mean, atol=1e-4)


def test_a_colorizer_that_knows_all_is_at_no_distance(objects):
    # In the gamut already up to rounding, so fitting moves it by little.
    assert objects.distance("best", "oracle").max() < 0.1
    assert torch.equal(objects.distance("gray", "truth"), objects.ab["truth"].norm(dim=1))


def test_the_drawn_colour_is_the_nearest_possible_one_to_the_truth(objects):
    number, distance = objects.nearest("truth")
    assert number.tolist() == objects.table.drawn.tolist()
    assert distance.max() < 1e-3


def test_only_things_with_several_colours_are_kept(world, objects):
    assert set(objects.table.kind) <= set(world.things)
    assert objects.table.colors.min() >= 2
    everything = object_colors(world, {}, things=False, several=False)
    assert len(everything) > len(objects)


def test_each_failure_is_largest_where_it_was_made(world, objects):
    row = int(objects.table.pixels.to_numpy().argmax())
    at, where = objects.table.iloc[row], objects.visible[row, 0]

    def dull(i, ab):
        if i == at.picture:
            ab[:, where] *= 0.2
        return ab

    def patchy(i, ab):
        if i == at.picture:
            half = where.clone()
            half[:, where.nonzero()[:, 1].float().median().int() :] = False
            ab[:, half] += 40
        return ab

    for name, spoil in (("desaturation", dull), ("inconsistency", patchy)):
        model = Painted(world, spoil)
        scored = object_colors(world, {"m": model})
        table = failures(world, scored, "m", model)
        assert list(table.columns) == list(FAILURES)
        assert table[name].idxmax() == row


def test_a_world_without_such_objects_is_refused():
    world = orchard(1, 32, seed=0)
    world.things = ()
    with pytest.raises(ValueError, match="no object"):
        object_colors(world, {})


def test_objects_are_drawn_once_however_often_they_are_asked_for(monkeypatch):
    world, drawn = orchard(3, 32, seed=2), []
    draw = world.objects
    monkeypatch.setattr(world, "objects", lambda i: drawn.append(i) or draw(i))
    every = object_colors(world, {}, things=False, several=False)
    few = object_colors(world, {"gray": Gray()})
    assert drawn == [0, 1, 2]
    kept = (every.table.kind.isin(world.things) & (every.table.colors > 1)).to_numpy().nonzero()[0]
    assert 0 < len(kept) == len(few) < len(every)
    assert few.table.index.tolist() == list(range(len(few)))
    for row, at in enumerate(kept):
        assert few.table.kind[row] == every.table.kind[at]
        assert torch.equal(few.possible[row], every.possible[at])
        assert torch.equal(few.visible[row], every.visible[at])
        assert torch.equal(few.ab["truth"][row], every.ab["truth"][at])


def test_near_edges_reaches_as_far_as_asked():
    kinds = torch.zeros(1, 1, 7, 7, dtype=torch.long)
    kinds[..., 3:] = 5
    assert near_edges(kinds, 1)[0, 0, 0].tolist() == [False, False, True, True, False, False, False]
    assert near_edges(kinds, 2)[0, 0, 0].tolist() == [False, True, True, True, True, False, False]

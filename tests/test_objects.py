"""Objects of a made world: their colours, and how models fail, against what the world says."""

import pytest
import torch

from colorkit.models import Gray, Oracle
from colorkit.objects import object_colors
from colorkit.worlds import orchard


@pytest.fixture(scope="module")
def world():
    return orchard(12, 32, seed=5)


@pytest.fixture(scope="module")
def objects(world):
    return object_colors(world, {"gray": Gray(), "best": Oracle(world)})


def test_the_oracle_s_colour_is_the_mean_of_its_picture_over_the_object(world, objects):
    for row, at in enumerate(objects.table.itertuples()):
        where = objects.visible[row, 0]
        mean = world.oracle_mean(at.picture)[0][:, where].mean(1)
        assert torch.allclose(objects.ab["oracle"][row], mean, atol=1e-4)


def test_distances_are_to_what_is_known_of_an_object(objects):
    # In the gamut already up to rounding, so fitting moves it by little.
    assert objects.distance("best", "oracle").max() < 0.1
    assert torch.equal(objects.distance("gray", "truth"), objects.ab["truth"].norm(dim=1))
    number, distance = objects.nearest("truth")
    assert number.tolist() == objects.table.drawn.tolist()
    assert distance.max() < 1e-3


def test_things_are_drawn_once_and_those_of_one_colour_left_out(monkeypatch):
    world, drawn = orchard(3, 32, seed=2), []
    draw = world.objects
    monkeypatch.setattr(world, "objects", lambda i: drawn.append(i) or draw(i))
    first = object_colors(world, {})
    first.table["extra"] = 0  # what is kept does not change with what was handed out
    second = object_colors(world, {"gray": Gray()})
    assert drawn == [0, 1, 2]
    assert "extra" not in second.table
    assert set(second.table.kind) <= set(world.things)
    assert second.table.colors.min() > 1
    kinds = {kind.name: len(kind.modes) for kind in world.palette.kinds}
    seen = [t.kind for i in range(3) for t in draw(i) if t.scored and t.kind in world.things]
    assert second.table.kind.tolist() == [kind for kind in seen if kinds[kind] > 1]
    assert len(second) < len(seen)
    world = orchard(1, 32, seed=0)
    world.things = ()
    with pytest.raises(ValueError, match="no thing of"):
        object_colors(world, {})

"""What lesson 6 measures, against colourings and networks whose answer is known."""

import numpy as np
import pandas as pd
import pytest
import torch

from colorcourse.exercises import find
from colorcourse.lesson06 import figures, studies
from colorkit.metrics import Score
from colorkit.models import Classifier, Gray, UNet
from colorkit.worlds import orchard
from scripts.losses import pooled, tables
from tests.conftest import ROOT

draw = find("photographs.draw").reference
hint_planes = find("photographs.hints").reference
film = find("photographs.orthochromatic").reference
power = find("photographs.power").reference


def test_film_that_is_blind_to_red_keeps_white_and_darkens_red_more_than_the_eye_does():
    colours = torch.tensor([[255, 255, 255], [200, 0, 0], [0, 0, 255]]).T.reshape(1, 3, 1, 3)
    L = film(colours.byte())[0, 0, 0]
    assert L[0] == pytest.approx(100, abs=0.01)
    assert L[1] == pytest.approx(0, abs=0.01)  # the eye sees L 42
    assert L[2] > 60  # the eye sees L 32


def test_damages_are_lightnesses_of_the_same_size_and_all_differ():
    rgb = studies.squares(["chelsea"], 48)
    found = studies.damages(film, rgb, 0)
    assert {x.shape for x in found.values()} == {(1, 1, 48, 48)}
    assert all(x.min() >= 0 and x.max() <= 100 for x in found.values())
    whole = found.pop("as it is")
    assert min((x - whole).abs().mean() for x in found.values()) > 0.5
    table = studies.damage_table(Gray(), film, rgb, 0)
    assert table.MSE.nunique() == 1
    assert (table.moved == 0).all()


def test_crops_are_as_many_as_asked_and_follow_from_the_seed():
    (L, ab), (again, _), (other, _) = (studies.crops(["coffee"], 4, 32, seed) for seed in (1, 1, 2))
    assert (L.shape, ab.shape) == ((4, 1, 32, 32), (4, 2, 32, 32))
    assert torch.equal(L, again)
    assert not torch.equal(L, other)


def test_random_patches_are_inside_the_picture_and_seven_on_average():
    ab, generator = torch.zeros(400, 2, 12, 20), torch.Generator().manual_seed(0)
    patches = torch.tensor(studies.random_patches(ab, generator))
    number, row, column, side = patches.T
    assert (row.min(), column.min(), side.min(), side.max()) == (0, 0, 1, 9)
    assert (row + side).max() == 12
    assert (column + side).max() == 20
    assert len(patches) / 400 == pytest.approx(7, abs=1)
    assert number.unique().numel() < 400  # some have none
    assert len(studies.random_patches(ab, generator, 2)) == 800


def test_a_draw_for_each_pixel_is_noisier_than_one_for_each_picture():
    torch.manual_seed(0)
    net, pair = Classifier(UNet(4, 3)).eval(), studies.planes(["coffee", "rocket"], 32)
    table = studies.ways_to_draw(net, draw, pair, 1.0, 0)
    assert table.neighbours["one u a pixel"] > 2 * table.neighbours["one u a picture"]
    assert (table["best of 8"] <= table["error"]).all()
    assert table.loc["truth"].tolist()[1:] == pytest.approx([0, 0, 0], abs=1e-4)


class Told:
    """Gives each picture the hinted colour everywhere, gray without a hint."""

    def colorize(self, L, hints=None):
        if hints is None:
            return Gray().colorize(L)
        mask = hints[:, 2:].sum((2, 3), keepdim=True).clamp_min(1)
        return (hints[:, :2].sum((2, 3), keepdim=True) / mask).expand(-1, 2, *L.shape[2:])


def test_a_click_settles_the_colour_for_a_network_that_does_as_it_is_told():
    world = orchard(12, 32, 3)
    shares = studies.settle(Told(), hint_planes, world)
    assert shares["no click"] < 0.3 < 0.8 < shares["one click"]
    assert figures.settled(Told(), hint_planes, world).axes


def test_the_least_number_of_portraits_is_read_off_the_study():
    rows = [("borrowed", n, mse) for n, mse in ((25, 130), (100, 120), (820, 110))]
    rows += [("from scratch", n, mse) for n, mse in ((25, 150), (100, 140), (820, 119))]
    study = pd.DataFrame(rows, columns=["model", "count", "mse"])
    assert studies.portraits_needed(study) == "820"
    study.loc[5, "mse"] = 121
    assert studies.portraits_needed(study) == "not with all 820"


def test_groups_have_one_axis_and_no_line_joins_them():
    groups = studies.by_group(studies.recorded("faces"))
    axes = figures.groups_figure(groups, studies.PANELS).axes
    assert {ax.get_xlim() for ax in axes} == {(0, 1)}
    assert all(np.ptp(line.get_ydata()) < 1 for ax in axes for line in ax.lines)


def test_twenty_pairs_find_a_share_of_60_percent_in_an_eighth_of_all_cases():
    assert power(20, 0.6) == pytest.approx(1 / 8, abs=0.01)
    assert power(100, 0.6) < 0.8 < power(200, 0.6)
    assert power(50, 0.5) <= 0.05


@pytest.mark.parametrize(
    ("study", "seeds", "rows"), [("pictures", 3, 6), ("old", 3, 4), ("faces", 5, 21)]
)
def test_recorded_studies_are_whole_and_say_how_they_were_made(study, seeds, rows):
    frame = studies.recorded(study)
    frame = frame[frame.model != "gray"]
    assert frame.groupby("seed").size().tolist() == [rows] * seeds
    assert "scripts/photographs.py" in frame.attrs["about"]


def test_the_card_shows_the_recorded_table_of_losses():
    frame = studies.recorded("losses")
    trained = frame[frame.model.isin(["L2", "classes", "rebalanced"])].filter(like="seed ")
    assert (len(trained), trained.isna().sum().sum()) == (3 * (5 + 4 + 4), 0)
    card = (ROOT / "docs/colorizer.md").read_text(encoding="utf-8")
    assert [line for line in tables(frame).splitlines() if line not in card] == []


def test_networks_of_several_seeds_are_pooled_picture_by_picture():
    scores = [Score(), Score()]
    for score, parts in zip(scores, ([1.0, 2.0], [3.0, 6.0]), strict=True):
        score.update(torch.tensor(parts), torch.tensor([1.0, 3.0]))
    assert pooled(scores).joined()[0].flatten().tolist() == [2, 4]
    assert pooled(scores).value() == pytest.approx((scores[0].value() + scores[1].value()) / 2)

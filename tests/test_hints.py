"""Hints: simulated as in the paper, taken by the network, refused where they cannot be."""

import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from colorkit.batches import Batches
from colorkit.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab
from colorkit.data.pictures import photograph
from colorkit.fit import fit
from colorkit.losses import l1
from colorkit.models import HintUNet, hints, load_colorizer
from colorkit.photo import hint_planes
from scripts import pretrain_hints
from scripts.pretrain_hints import simulate_hints


@pytest.fixture(scope="module")
def trained():
    return HintUNet.trained()


@pytest.fixture(scope="module")
def cat():
    return split_lab(rgb_to_lab(photograph("chelsea", 64)))


def test_simulated_counts_are_geometric(monkeypatch):
    monkeypatch.setattr(pretrain_hints, "LARGEST", 1)  # single pixels, which rarely meet
    given = simulate_hints(torch.zeros(1000, 2, 64, 64), generator=torch.Generator().manual_seed(0))
    counts = given[:, 2].sum((1, 2))
    assert counts.mean().item() == pytest.approx(7, abs=0.7)  # (1 - 1/8) / (1/8)
    assert (counts == 0).float().mean().item() == pytest.approx(1 / 8, abs=0.03)


def test_a_simulated_hint_is_the_mean_of_a_square_near_the_middle():
    ab = 100 * torch.rand(600, 2, 64, 48) - 50
    sides, middles = [], []
    for colors, given in zip(ab, simulate_hints(ab, count=1), strict=True):
        where = given[2].bool()
        rows, columns = (where.any(axis).nonzero().flatten() for axis in (1, 0))
        sides.append(len(rows))
        middles.append([rows.float().mean(), columns.float().mean()])
        assert where.sum() == len(columns) * len(rows) == sides[-1] ** 2
        mean = colors[:, where].mean(1, keepdim=True).expand(2, sides[-1] ** 2)
        torch.testing.assert_close(given[:2, where], mean, atol=1e-4, rtol=0)
        assert not given[:, ~where].any()
    assert set(sides) == set(range(1, 10))
    middles = torch.tensor(middles)
    torch.testing.assert_close(middles.mean(0), torch.tensor([31.5, 23.5]), atol=2, rtol=0)
    torch.testing.assert_close(middles.std(0), torch.tensor([14.0, 10.5]), atol=1.5, rtol=0)


def test_simulated_hints_follow_their_generator_and_fit_into_tiny_pictures():
    seeds = (torch.Generator().manual_seed(seed) for seed in (1, 1, 2))
    one, two, other = (simulate_hints(torch.ones(3, 2, 5, 7), 4, seed) for seed in seeds)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert (one[:, 2].amax((1, 2)) == 1).all()


def test_hints_teach_what_lightness_cannot_tell():
    """Pictures of one colour each and no structure: only a hint says which."""
    colors = (60 * torch.rand(64, 2, 1, 1) - 30).expand(-1, -1, 16, 16).contiguous()
    L = torch.full((64, 1, 16, 16), 60.0)
    net = HintUNet(4, 2)
    fit(
        net,
        pretrain_hints.objective,
        Batches((L, colors), 16),
        200,
        lr=1e-2,
        callbacks=(),
        device="cpu",
    )
    given = simulate_hints(colors, 3, torch.Generator().manual_seed(5))
    assert l1(net.colorize(L, hints=given), colors) < l1(net.colorize(L), colors) / 2


@pytest.mark.parametrize("color", [(50.0, 30.0), (-40.0, 35.0), (15.0, -45.0)])
def test_a_hint_moves_the_colour_at_its_place_towards_it(trained, cat, color):
    L, _ = cat
    before = trained.colorize(L)
    hint = {"x": 32, "y": 32, "ab": color}
    after = trained.colorize(L, hints=hint_planes([hint], (64, 64), (64, 64)))
    wanted = torch.tensor(color)
    near, far = (slice(30, 35), slice(30, 35)), (slice(0, 4), slice(0, 4))
    gap = [(ab[0][:, *near].mean((1, 2)) - wanted).norm() for ab in (before, after)]
    assert gap[1] < 0.7 * gap[0]
    moved = (after - before)[0].norm(dim=0)
    assert moved[near].mean() > moved[far].mean()


def test_the_network_with_hints_is_loaded_by_name(trained, cat):
    net = load_colorizer("hints")
    assert not net.training
    assert torch.equal(net.colorize(cat[0]), trained.colorize(cat[0]))


def test_no_hint_is_a_hint_of_nothing_and_another_answer(trained, cat):
    L, ab = cat
    none = trained.colorize(L)
    assert torch.equal(none, trained.colorize(L, hints=torch.zeros(1, 3, 64, 64)))
    given = simulate_hints(ab, 10, torch.Generator().manual_seed(0))
    assert (trained.colorize(L, hints=given) - ab).norm() < 0.9 * (none - ab).norm()


def test_lightness_is_kept_under_the_most_vivid_hints(trained, cat):
    L, _ = cat
    wild = [
        {"x": 30 * i, "y": 32, "ab": ab} for i, ab in enumerate(((99, -99), (-99, 99), (99, 0)))
    ]
    ab = trained.colorize(L, hints=hint_planes(wild, (64, 64), (64, 64)))
    rgb = lab_to_rgb(join_lab(L, ab))
    torch.testing.assert_close(rgb_to_lab(rgb)[:, :1], L, atol=0.02, rtol=0)


@pytest.mark.parametrize("shape", [(1, 2, 32, 32), (1, 3, 32, 16), (2, 3, 32, 32)])
def test_hints_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"hints .* must be \(1, 3, 32, 32\)"):
        HintUNet(2, 1).colorize(torch.zeros(1, 1, 32, 32), hints=torch.zeros(shape))


def test_the_weights_that_come_along_are_small_and_say_how_they_were_made():
    assert hints.WEIGHTS.stat().st_size < 2e6
    file = torch.load(hints.WEIGHTS, weights_only=True)
    assert {v.dtype for k, v in file["model"].items() if "num" not in k} == {torch.float16}
    assert {"command", "stores", "minutes", "torch"} <= set(file["made"])


def test_the_recorded_curve_falls_with_every_click():
    frame = pd.read_csv(pretrain_hints.RECORDED, comment="#")
    assert ((frame.low <= frame.value) & (frame.value <= frame.high)).all()
    whole = (
        frame[frame.pictures == "all"].set_index(["metric", "model", "clicks"]).value.sort_index()
    )
    for metric in ("auc", "within_10"):
        curve = whole[metric, "HintUNet"]
        assert tuple(curve.index) == pretrain_hints.CLICKS
        assert curve.is_monotonic_increasing
        assert curve.iloc[0] > whole[metric, "gray", 0]


def test_the_script_makes_weights_and_a_curve(store, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain_hints, "CONFIG", {"width": 2, "depth": 2})
    out, table = tmp_path / "hints.pt", tmp_path / "hints.csv"
    options = ["--steps=10", "--device=cpu", f"--table={table}"]
    said = CliRunner().invoke(pretrain_hints.main, [str(out), str(store.path), *options])
    assert said.exit_code == 0, said.output
    frame = pd.read_csv(table, comment="#")
    assert len(frame) == 2 * 2 * 7  # all and this store, two metrics, gray and six curves
    assert set(frame["count"]) == {len(store.rows("test"))}
    monkeypatch.setattr(hints, "WEIGHTS", out)
    L = torch.full((1, 1, 16, 16), 50.0)
    assert HintUNet.trained().colorize(L).shape == (1, 2, 16, 16)

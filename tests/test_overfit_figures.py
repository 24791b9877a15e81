"""Figures of lesson 2: colour without lightness, snapshots, curves, activations."""

import ipywidgets
import matplotlib.pyplot as plt
import pytest
import torch

from colorkit import color, plots, widgets


@pytest.fixture
def lab():
    L = torch.linspace(20, 80, 12 * 12).view(1, 1, 12, 12)
    ab = torch.stack([torch.full((12, 12), 12.0), torch.linspace(-9, 9, 144).view(12, 12)])[None]
    return color.join_lab(L, ab)


def test_colour_alone_has_one_lightness_and_the_same_colours(lab):
    L, ab = color.split_lab(lab)
    flat = color.rgb_to_lab(plots.colour_alone(L, ab))
    assert flat[:, :1] == pytest.approx(float(L.mean()), abs=0.05)
    assert torch.allclose(flat[:, 1:], ab, atol=0.1)


def test_snapshot_says_its_step_and_its_error(lab):
    ab = lab[:, 1:]
    fig, alt = widgets.draw_snapshot(20, lab, {20: ab + 3}, [50.0, 20.0, 9.0])
    plt.close(fig)
    assert "after 20 steps" in alt
    assert "ab MSE 9." in alt or alt.rstrip(".").endswith("ab MSE 9")


def test_scrubber_offers_every_snapshot_and_starts_at_the_last(lab, monkeypatch):
    shown = {}
    monkeypatch.setattr(widgets, "explore", lambda draw, **c: shown.update(draw=draw, **c))
    kept = {400: lab[:, 1:], 100: torch.zeros(1, 2, 12, 12)}
    widgets.snapshot_scrubber(lab, kept, [3.0, 2.0])
    slider = shown["step"]
    assert isinstance(slider, ipywidgets.SelectionSlider)
    assert list(slider.options) == [100, 400]
    assert slider.value == 400
    kept[100] += 50  # training on must not change what was kept
    fig, alt = shown["draw"](100)
    plt.close(fig)
    error = lab[:, 1:].square().mean().item()
    assert f"{error:.3g}" in alt


def test_scrubber_without_snapshots_says_what_to_do(lab):
    with pytest.raises(ValueError, match="keep the network's ab"):
        widgets.snapshot_scrubber(lab, {}, [1.0])


def test_curves_are_drawn_at_their_own_pace_with_baselines():
    fig = plots.loss_curves({"a": [9, 4, 2], "b": [8, 3]}, {"gray": 5}, every={"b": 4})
    first, second, level = fig.axes[0].get_lines()
    assert list(first.get_xdata()) == [1, 2, 3]
    assert list(second.get_xdata()) == [4, 8]
    assert set(level.get_ydata()) == {5}
    plt.close(fig)


def test_activations_of_two_networks_stand_side_by_side():
    layers = [torch.rand(1, 6, 8, 8), torch.rand(1, 6, 8, 8)]
    fig = plots.activation_grid({"one": layers, "two": layers}, count=3)
    assert sum(bool(ax.images) for ax in fig.axes) == 2 * 2 * 3
    plt.close(fig)


def test_truth_and_prediction_stand_above_their_colours_alone(lab):
    L, ab = color.split_lab(lab)
    fig = plots.truth_beside(L, ab, {"guess": ab * 0})
    titles = [ax.get_title() for ax in fig.axes]
    plt.close(fig)
    assert "guess, L averaged out" in titles
    assert "truth, L averaged out" in titles

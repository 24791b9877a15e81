"""Figures of lessons 1 to 3: the gamut, mixed channels, snapshots, activations, swatches."""

import matplotlib.pyplot as plt
import pytest
import torch

from colorcourse.lesson01 import figures as first
from colorcourse.lesson02 import overfit as second
from colorcourse.lesson03 import figures as third
from colorkit.color import out_of_gamut, rgb_to_lab, split_lab

pytestmark = pytest.mark.usefixtures("figures_closed")


def test_the_explorer_shows_the_gamut_and_says_whether_a_colour_fits():
    plane, inside = first.draw_plane(plt.figure().subplots(), 60, size=33)
    assert inside[0, 0, 16, 16]  # gray is always inside
    assert not inside[0, 0, 0, 0]
    assert torch.allclose(plane[0, :, 0, 0], torch.full((3,), 0.75))
    assert "is inside" in first.draw_gamut(60, 10, 0)[1]
    assert "is outside" in first.draw_gamut(60, 120, 0)[1]


def test_the_mixer_never_touches_lightness_and_keeps_to_the_gamut():
    lab = rgb_to_lab(torch.rand(1, 3, 8, 8))
    mixed = first.mix_channels(lab, scale_a=-2.0, scale_b=1.5, turn=40)
    assert torch.equal(mixed[:, :1], lab[:, :1])
    assert not out_of_gamut(*split_lab(mixed)).any()
    torch.testing.assert_close(first.mix_channels(lab, 1, 1, turn=360), lab, atol=1e-3, rtol=0)


def test_scrubber_offers_every_snapshot_and_starts_at_the_first(monkeypatch):
    lab, shown = torch.rand(1, 3, 12, 12), {}
    monkeypatch.setattr(second, "explore", lambda draw, **c: shown.update(draw=draw, **c))
    kept = {400: lab[:, 1:], 100: torch.zeros(1, 2, 12, 12)}
    second.snapshot_scrubber(lab, kept)
    assert (shown["step"].options, shown["step"].value) == ((100, 400), 100)
    kept[100] += 50  # training on must not change what was kept
    fig, alt = shown["draw"](100)
    assert f"step 100, MSE {lab[:, 1:].square().mean().item():.3g}" in alt
    assert "step 100" in [ax.get_title() for ax in fig.axes][2]


def test_activations_of_two_networks_show_the_most_varied_channel_of_each_block():
    net = torch.nn.Module()
    net.groups = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 1, bias=False), torch.nn.ReLU())
    net.forward = net.groups.forward
    net.groups[0].weight.data = torch.tensor([0.5, 3, 1]).view(3, 1, 1, 1)
    L = torch.rand(1, 1, 8, 8)
    fig = second.activation_grid({"one": net, "two": net}, L)
    drawn = [torch.tensor(ax.images[0].get_array()) for ax in fig.axes if ax.images]
    torch.testing.assert_close(drawn[3], 100 * L[0, 0] / L.max())


def test_swatches_are_the_colours_and_a_title_is_written_once():
    ab = torch.tensor([[40.0, 20.0], [-30.0, 30.0], [0.0, 0.0]])
    (ax,) = third.swatches({"truth": ab, "gray": 0 * ab}, ["apple", "apple", "plum"]).axes
    rgb = torch.tensor(ax.images[0].get_array()).movedim(-1, 0)[None]
    assert torch.allclose(rgb_to_lab(rgb)[0, 1:, 0].T, ab, atol=0.1)
    assert [text.get_text() for text in ax.texts] == ["apple", "plum"]

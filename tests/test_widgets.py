"""Interactive figures: drawn once without a front end, redrawn by a control, errors shown."""

import ipywidgets
import matplotlib.pyplot as plt
import pytest
import torch

from colorkit import color, widgets


@pytest.fixture
def displayed(monkeypatch):
    """Pretend to be a notebook; return what is displayed there."""
    bundles = []
    monkeypatch.setattr(widgets, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: bundles.append(bundle))
    return bundles


def draw_number(n):
    if n == 13:
        raise ValueError("thirteen is unlucky")
    fig, ax = plt.subplots(figsize=(1, 1))
    ax.text(0.5, 0.5, str(n))
    return fig, f"the number {n}"


def test_without_a_front_end_the_figure_is_drawn_once(monkeypatch):
    shown = []
    monkeypatch.setattr(widgets, "show", lambda fig, alt: shown.append(alt))
    widgets.explore(draw_number, n=ipywidgets.IntSlider(7))
    assert shown == ["the number 7"]


def test_a_stored_notebook_keeps_the_first_figure(displayed):
    widgets.explore(draw_number, n=ipywidgets.IntSlider(7))
    assert 'alt="the number 7"' in displayed[0]["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in displayed[0]


def picture_of(bundle):
    model = bundle["application/vnd.jupyter.widget-view+json"]["model_id"]
    from ipywidgets.widgets.widget import _instances

    return _instances[model].children[-1]


def test_moving_a_control_changes_the_picture_and_its_alt_text(displayed):
    slider = ipywidgets.IntSlider(7)
    widgets.explore(draw_number, n=slider)
    before = picture_of(displayed[0]).value
    slider.value = 8
    after = picture_of(displayed[0]).value
    assert 'alt="the number 8"' in after
    assert before.split("base64,")[1] != after.split("base64,")[1]


def test_an_error_while_moving_is_shown_in_place_and_passes(displayed):
    slider = ipywidgets.IntSlider(7)
    widgets.explore(draw_number, n=slider)
    slider.value = 13
    assert "thirteen is unlucky" in picture_of(displayed[0]).value
    slider.value = 12
    assert 'alt="the number 12"' in picture_of(displayed[0]).value


def test_an_error_in_the_first_drawing_stops_the_cell(displayed):
    with pytest.raises(ValueError, match="unlucky"):
        widgets.explore(draw_number, n=ipywidgets.IntSlider(13))


def test_the_gamut_plane_shows_what_is_inside_and_nothing_else():
    plane, inside = widgets.gamut_plane(60, size=33)
    assert inside[0, 0, 16, 16]  # gray is always inside
    assert not inside[0, 0, 0, 0]
    assert torch.allclose(plane[0, :, 0, 0], torch.full((3,), 0.93))


@pytest.mark.parametrize(("a", "word"), [(10, "is inside"), (120, "is outside")])
def test_the_explorer_says_whether_a_colour_fits(a, word):
    fig, alt = widgets.draw_gamut(60, a, 0)
    plt.close(fig)
    assert word in alt


def test_the_mixer_never_touches_lightness():
    rgb = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    lab = color.rgb_to_lab(rgb)
    mixed = widgets.mix_channels(lab, scale_a=-2.0, scale_b=1.5, turn=40)
    assert torch.equal(mixed[:, :1], lab[:, :1])
    assert not color.out_of_gamut(*color.split_lab(mixed)).any()


def test_turning_by_a_full_circle_changes_nothing():
    rgb = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    lab = color.rgb_to_lab(rgb)
    torch.testing.assert_close(widgets.mix_channels(lab, turn=360), lab, atol=1e-3, rtol=0)

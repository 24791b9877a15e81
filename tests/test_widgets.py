"""Interactive figures: drawn once without a front end, redrawn by a control, errors shown."""

import ipywidgets
import matplotlib.pyplot as plt
import pytest

from colorkit import notebook, widgets


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


def picture_of(bundle):
    model = bundle["application/vnd.jupyter.widget-view+json"]["model_id"]
    return ipywidgets.widgets.widget._instances[model].children[-1]


def test_without_a_front_end_the_figure_is_drawn_once(monkeypatch):
    shown = []
    monkeypatch.setattr(widgets, "show", lambda fig, alt: shown.append(alt))
    widgets.explore(draw_number, n=ipywidgets.IntSlider(7))
    assert shown == ["the number 7"]


def test_a_control_redraws_the_picture_but_not_what_is_stored(displayed):
    notebook.STAND_INS.add("lab.linearize")
    slider, open_before = ipywidgets.IntSlider(7), plt.get_fignums()
    widgets.explore(draw_number, n=slider)
    picture = picture_of(displayed[0])
    first = picture.value
    slider.value = 8
    eighth = picture.value
    assert 'alt="the number 8"' in eighth
    assert first.split("base64,")[1] != eighth.split("base64,")[1]
    assert displayed[0]["text/html"] == first
    assert 'alt="the number 7"' in first
    assert plt.get_fignums() == open_before
    notebook.STAND_INS.clear()  # the stamp stays that of the moment when the cell ran
    slider.value = 7
    slider.value = 8
    assert picture.value == eighth


def test_an_error_stops_the_cell_at_first_and_is_shown_in_place_later(displayed):
    with pytest.raises(ValueError, match="unlucky"):
        widgets.explore(draw_number, n=ipywidgets.IntSlider(13))
    slider = ipywidgets.IntSlider(7)
    widgets.explore(draw_number, n=slider)
    slider.value = 13
    assert "thirteen is unlucky" in picture_of(displayed[0]).value
    slider.value = 12
    assert 'alt="the number 12"' in picture_of(displayed[0]).value

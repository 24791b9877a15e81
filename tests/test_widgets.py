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
    from ipywidgets.widgets.widget import _instances

    return _instances[model].children[-1]


def test_without_a_front_end_the_figure_is_drawn_once(monkeypatch):
    shown = []
    monkeypatch.setattr(widgets, "show", lambda fig, alt: shown.append(alt))
    widgets.explore(draw_number, n=ipywidgets.IntSlider(7))
    assert shown == ["the number 7"]


def test_a_control_changes_the_picture_but_not_what_is_stored(displayed):
    slider, open_before = ipywidgets.IntSlider(7), plt.get_fignums()
    widgets.explore(draw_number, n=slider)
    before = picture_of(displayed[0]).value
    slider.value = 8
    after = picture_of(displayed[0]).value
    assert 'alt="the number 8"' in after
    assert before.split("base64,")[1] != after.split("base64,")[1]
    assert displayed[0]["text/html"] == before
    assert 'alt="the number 7"' in before
    assert plt.get_fignums() == open_before


def test_the_stamp_is_that_of_the_moment_when_the_cell_ran(displayed):
    notebook.STAND_INS.add("lab.linearize")
    slider = ipywidgets.IntSlider(7)
    widgets.explore(draw_number, n=slider)
    slider.value = 8
    stamped = picture_of(displayed[0]).value
    notebook.STAND_INS.clear()
    slider.value = 7
    slider.value = 8
    assert picture_of(displayed[0]).value == stamped


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

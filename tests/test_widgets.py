"""Interactive figures: drawn once without a front end, redrawn by a control, errors shown."""

import base64
import io
from pathlib import Path

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from colorcourse.lesson06 import figures
from colorcourse.lesson06.painter import Painter
from colorkit import notebook, widgets
from colorkit.color import fit_gamut, out_of_gamut, rgb_to_lab
from colorkit.data.pictures import photograph
from colorkit.models import HintUNet


@pytest.fixture
def displayed(monkeypatch):
    """Pretend to be a notebook; return what is displayed there."""
    bundles = []
    for module in (widgets, figures):
        monkeypatch.setattr(module, "in_notebook", lambda: True)
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


class Flood:
    """A colorizer whose every pixel takes the mean of the hints, or gray."""

    side = 64

    def colorize(self, L, hints=None):
        mask = torch.zeros(1) if hints is None else hints[:, 2:]
        mean = 0 if not mask.any() else (hints[:, :2] * mask).sum((2, 3)) / mask.sum()
        return fit_gamut(L, torch.zeros(1, 2, *L.shape[2:]) + torch.as_tensor(mean).view(-1, 1, 1))


@pytest.fixture
def painter():
    gray = torch.full((1, 3, 90, 120), 119, dtype=torch.uint8)  # L = 50
    return Painter(gray, Flood())


def click(picture, x, y):
    picture._handle_custom_msg({"x": x, "y": y}, [])


def shown(picture):
    return Image.open(io.BytesIO(base64.b64decode(picture.source.split("base64,")[1])))


def test_two_clicks_colour_the_picture_and_undo_takes_them_back(painter):
    _, undo, _ = painter.buttons
    before = painter.canvas.source
    click(painter.canvas, 0.75, 0.5)
    assert [field.value for field in painter.fields] == [90, 45, 0, 0]
    assert "x = 90, y = 45" in painter.canvas.alt
    chosen = painter.canvas.source
    click(painter.plane, 0.7, 0.35)  # a reddish colour
    (hint,) = painter.states[-1]
    assert (hint["x"], hint["y"]) == (90, 45)
    assert min(hint["ab"]) > 10
    red, green, blue = shown(painter.canvas).getpixel((20, 20))
    assert red > green > blue
    assert "hints: 1" in painter.canvas.alt
    undo.click()
    assert painter.canvas.source == chosen != before
    undo.click()  # there is nothing left to undo
    assert painter.states == [()]


def test_a_colour_that_srgb_cannot_show_becomes_one_that_it_can(painter):
    click(painter.plane, 0, 0.5)  # as green as the plane is wide
    (hint,) = painter.states[-1]
    assert hint["ab"][0] < -20
    L, ab = torch.full((1, 1, 1, 1), 50.03), torch.tensor(hint["ab"]).view(1, 2, 1, 1)
    assert not out_of_gamut(L, ab).any()


def test_keys_do_what_clicks_do_and_a_place_has_one_colour(painter):
    put, _, _ = painter.buttons
    for field, value in zip(painter.fields, (30, 60, 20, -10), strict=True):
        field.value = value
    put.click()
    assert painter.states[-1] == ({"x": 30, "y": 60, "ab": [20, -10]},)
    painter.b.value = 15
    put.click()
    assert painter.states[-1] == ({"x": 30, "y": 60, "ab": [20, 15]},)
    painter.x.value = 500  # kept inside the picture
    assert "x = 119" in painter.canvas.alt


def test_save_keeps_size_and_lightness_and_never_overwrites(painter, tmp_path):
    _, undo, save = painter.buttons
    click(painter.plane, 0.7, 0.35)
    painter.path.value = str(tmp_path / "new" / "red.png")
    save.click()
    rgb = torch.from_numpy(np.array(Image.open(painter.path.value))).movedim(-1, 0)[None]
    assert rgb.shape == painter.picture.shape
    L = rgb_to_lab(torch.cat([rgb, painter.picture]))[:, :1]
    assert (L[0] - L[1]).abs().max() < 0.25
    assert rgb[0, 0].float().mean() > rgb[0, 2].float().mean() + 10
    written = Path(painter.path.value).read_bytes()
    undo.click()
    save.click()
    assert "exists: choose another name" in painter.message.value
    assert Path(painter.path.value).read_bytes() == written
    painter.path.value = str(tmp_path / "red.xyz")
    save.click()
    assert "not saved" in painter.message.value
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_stored_notebook_shows_what_the_painter_showed_first(monkeypatch, displayed):
    gray = torch.full((1, 3, 90, 120), 119, dtype=torch.uint8)
    figures.hint_painter(gray, Flood())
    (bundle,) = displayed
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/html"].count("<img alt=") == 2
    assert "hints: 0" in bundle["text/html"]
    figures.hint_painter(photograph("coffee"), HintUNet.trained())
    assert displayed[1]["text/html"] != bundle["text/html"]
    monkeypatch.setattr(figures, "in_notebook", lambda: False)
    figures.hint_painter(gray, Flood())
    assert len(displayed) == 2
    with pytest.raises(ValueError, match=r"RGB must be \(N, 3, H, W\)"):
        figures.hint_painter(gray[:, :1], Flood())

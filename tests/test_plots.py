"""Figures carry alt text and say when they were made with a stand-in."""

import base64
import io
import re

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch
from PIL import Image

from colorkit import notebook, plots
from colorkit.color import rgb_to_lab

pytestmark = pytest.mark.usefixtures("figures_closed")


def test_a_figure_is_webp_in_an_img_with_escaped_alt_text():
    fig, _ = plt.subplots()
    page = plots.figure_html(fig, 'a "red" <line>')
    assert 'alt="a &quot;red&quot; &lt;line&gt;"' in page
    data = re.search(r"base64,([^\"]+)", page).group(1)
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.format == "WEBP"


def test_a_figure_without_alt_text_and_several_pictures_at_once_are_refused():
    fig, _ = plt.subplots()
    with pytest.raises(ValueError, match="alt text"):
        plots.show(fig, " ")
    with pytest.raises(ValueError, match="one picture"):
        plots.picture_grid([{"two": torch.zeros(2, 3, 4, 4)}])


@pytest.mark.parametrize("undone", [[], ["lab.linearize"]])
def test_show_stamps_what_stand_ins_made_and_closes_it(undone):
    notebook.STAND_INS.update(undone)
    fig, _ = plt.subplots()
    plots.show(fig, "an empty figure")
    assert [text.get_text().split()[-1] for text in fig.texts] == undone
    assert not plt.fignum_exists(fig.number)


def test_one_channel_is_drawn_as_lightness_and_three_as_colour():
    gray, rgb = torch.full((1, 1, 4, 4), 50.0), torch.zeros(3, 4, 4, dtype=torch.uint8)
    fig = plots.picture_grid([{"L": gray, "black": rgb}])
    images = [ax.images[0] for ax in fig.axes]
    assert images[0].get_clim() == (0, 100)
    assert images[1].get_array().shape == (4, 4, 3)


def test_colour_alone_has_one_lightness_and_the_same_colours():
    L = torch.linspace(20, 80, 144).view(1, 1, 12, 12)
    ab = torch.stack([torch.full((12, 12), 12.0), torch.linspace(-9, 9, 144).view(12, 12)])[None]
    flat = rgb_to_lab(plots.colour_alone(L, ab))
    assert flat[:, :1] == pytest.approx(float(L.mean()), abs=0.05)
    assert torch.allclose(flat[:, 1:], ab, atol=0.1)


def test_colorings_are_a_row_each_below_lightness_within_the_gamut():
    L, ab = torch.full((2, 1, 8, 8), 50.0), torch.zeros(2, 2, 8, 8)
    fig = plots.colorings(L, {"gray": ab, "vivid": ab + 150}, titles=["one", "two"])
    rows = [fig.axes[k : k + 2] for k in (0, 2, 4)]
    assert [row[0].texts[0].get_text() for row in rows] == ["L", "gray", "vivid"]
    assert [ax.get_title() for ax in fig.axes] == ["one", "two", "", "", "", ""]
    red = torch.tensor(rows[2][1].images[0].get_array()).movedim(-1, 0)[None]
    assert rgb_to_lab(red)[:, :1] == pytest.approx(50, abs=0.1)


def test_curves_are_drawn_with_baselines():
    fig = plots.loss_curves({"a": [9, 4, 2], "b": [8, 3]}, {"gray": 5})
    first, second, level = fig.axes[0].get_lines()
    assert list(first.get_xdata()) == [1, 2, 3]
    assert list(second.get_xdata()) == [1, 2]
    assert set(level.get_ydata()) == {5}


def test_differences_are_drawn_with_their_intervals():
    frame = pd.DataFrame({"difference": [0.1], "low": [0.0], "high": [0.3]}, index=["a - b"])
    ax = plots.intervals(frame, "difference").axes[0]
    (bar,) = ax.collections
    assert bar.get_segments()[0][:, 0] == pytest.approx([0.0, 0.3])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a - b"]

"""Figures carry alt text and say when they were made with a stand-in."""

import base64
import io
import re

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image

from colorkit import plots


def test_a_figure_is_webp_in_an_img_with_escaped_alt_text():
    fig, _ = plt.subplots()
    page = plots.figure_html(fig, 'a "red" <line>')
    assert 'alt="a &quot;red&quot; &lt;line&gt;"' in page
    data = re.search(r"base64,([^\"]+)", page).group(1)
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.format == "WEBP"


def test_a_figure_without_alt_text_is_refused():
    fig, _ = plt.subplots()
    with pytest.raises(ValueError, match="alt text"):
        plots.show(fig, " ")


def test_show_closes_the_figure():
    fig, _ = plt.subplots()
    plots.show(fig, "an empty figure")
    assert not plt.fignum_exists(fig.number)


def test_a_figure_made_with_a_stand_in_is_stamped():
    fig, _ = plt.subplots()
    plots.stamp(fig, ["lab.linearize"])
    assert "reference" in fig.texts[0].get_text()
    assert "lab.linearize" in fig.texts[0].get_text()


def test_a_figure_of_ones_own_is_not_stamped():
    fig, _ = plt.subplots()
    plots.stamp(fig, [])
    assert not fig.texts


def test_one_channel_is_drawn_as_lightness_and_three_as_colour():
    gray, rgb = torch.full((1, 1, 4, 4), 50.0), torch.zeros(3, 4, 4, dtype=torch.uint8)
    fig = plots.picture_row({"L": gray, "black": rgb})
    images = [ax.images[0] for ax in fig.axes]
    assert images[0].get_clim() == (0, 100)
    assert images[1].get_array().shape == (4, 4, 3)


def test_several_pictures_at_once_are_refused():
    with pytest.raises(ValueError, match="one picture"):
        plots.picture_array(torch.zeros(2, 3, 4, 4))


def test_the_ab_plane_shows_counts_in_log_scale_and_every_bin():
    from colorkit.bins import ab_bins, estimate_prior
    from colorkit.plots import ab_plane, draw_bins

    ab = torch.tensor([30.5, -20.5]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    prior = estimate_prior([(None, ab)])
    fig = ab_plane(prior.histogram, ab_bins())
    image, squares = fig.axes[0].images[0], fig.axes[0].collections[0]
    assert image.get_array()[110 - 21, 110 + 30] == 16  # row b, column a
    assert image.get_array().count() == 1
    assert len(squares.get_paths()) == 313
    assert draw_bins(fig.axes[0], ab_bins(), prior.p).get_clim()[0] > 1e-7

"""What one sees of a run: lines, a bar, and in a notebook a live plot with alt text."""

import matplotlib.pyplot as plt
import pytest
import torch

from colorkit.batches import Batches
from colorkit.training import progress
from tests.training_demo import pictures, train


def test_outside_a_notebook_a_log_gets_lines(capsys):
    assert isinstance(progress.progress(), progress.Lines)
    train(None, steps=40, resume=False, callbacks=[progress.Lines()])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("step     10 of 40: loss ")
    assert "validation" in lines[0]
    assert lines[-1].startswith("step 40 of 40, finished, ")


def test_a_terminal_gets_a_bar(capsys):
    train(None, steps=20, resume=False, callbacks=[progress.Bar()])
    shown = capsys.readouterr().err
    assert "20/20" in shown
    assert "loss " in shown


def test_a_notebook_gets_one_figure_that_is_drawn_anew(monkeypatch):
    shown = []

    class Handle:
        def update(self, html):
            shown.append(html.data)

    def display(html, display_id=False):
        shown.append(html.data)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    samples = next(Batches(pictures(2), 2, in_order=True)(0, 0))
    plot = progress.progress(samples)
    plot.seconds = 0.0
    before = plt.get_fignums()
    train(None, steps=20, resume=False, log_every=10, callbacks=[plot])
    assert len(shown) == 3  # two rows and the end
    assert plt.get_fignums() == before
    assert shown[-1].startswith('<img alt="Training loss from ')
    assert "at step 20 of 20; validation " in shown[-1]


def test_the_plot_shows_the_curves_and_the_pictures():
    samples = next(Batches(pictures(2), 2, in_order=True)(0, 0))
    run = train(None, steps=20, resume=False, log_every=10)
    figure = progress.LivePlot(samples).figure(run)
    curves, *shown = figure.axes
    loss, validation = curves.get_lines()[:2]
    assert list(loss.get_xdata()) == list(validation.get_xdata()) == [10, 20]
    assert list(loss.get_ydata()) == run.history.curve("loss")[1]
    assert len(shown) == 4
    plt.close(figure)


def test_pictures_keep_the_mode_of_the_model_and_the_random_numbers():
    run = train(None, steps=2, resume=False)
    run.model.train()
    before = torch.get_rng_state()
    samples = next(Batches(pictures(2), 2, in_order=True)())
    (truth, guess), _ = progress.sample_pictures(run.model, samples)
    assert run.model.training
    assert run.model.drop.training
    assert torch.equal(torch.get_rng_state(), before)
    assert truth.shape == guess.shape == (1, 3, 8, 8)
    expected = pictures(2)[:1].float() / 255
    assert (truth - expected).abs().max() < 1e-3


@pytest.mark.parametrize("row", [{"loss": 2.5}, {"loss": 2.5, "validation": 3.0}])
def test_a_row_in_words(row):
    words = progress.summary(row)
    assert ("validation 3" in words) == ("validation" in row)

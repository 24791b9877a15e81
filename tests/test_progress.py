"""What one sees of a run: lines, a bar, and in a notebook a live plot with alt text."""

import matplotlib.pyplot as plt
import pytest
import torch

from colorkit import progress
from colorkit.batches import Batches
from tests.training_demo import pictures, train, train_gan


@pytest.fixture
def samples():
    return next(Batches(pictures(2), 2, in_order=True)())


def test_outside_a_notebook_a_log_gets_ten_lines(capsys):
    assert progress.progress() is progress.lines
    train(steps=40, callbacks=None)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("step      4 of 40: loss ")
    assert "validation" in lines[0]
    assert lines[-1].startswith("step     40 of 40: loss ")


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    train(steps=20, callbacks=None)
    shown = capsys.readouterr().err
    assert "20/20" in shown
    assert "loss " in shown


def test_a_notebook_gets_one_figure_that_is_drawn_anew(monkeypatch, samples):
    shown = []

    class Handle:
        def update(self, html):
            shown.append(html.data)

    def display(html, display_id=False):
        shown.append(html.data)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    assert isinstance(progress.progress(), progress.LivePlot)
    before = plt.get_fignums()
    train(steps=3, log_every=2, callbacks=[progress.LivePlot(samples, seconds=0.0)])
    assert len(shown) == 3  # at each validation
    assert plt.get_fignums() == before
    assert shown[-1].startswith('<img alt="Training curves, from loss ')
    assert "step 3 of 3, finished" in shown[-1]


def test_the_plot_shows_the_curves_and_the_pictures(samples):
    run = train(steps=20, log_every=10)
    figure = progress.LivePlot(samples).figure(run)
    curves, *shown = figure.axes
    loss, validation = curves.get_lines()[:2]
    assert list(loss.get_xdata()) == list(validation.get_xdata()) == list(range(2, 21, 2))
    assert list(loss.get_ydata()) == [row["loss"] for row in run.history]
    assert len(shown) == 4
    plt.close(figure)
    truth = torch.from_numpy(shown[0].images[0].get_array()).movedim(-1, 0)
    assert (truth - pictures(2)[0].float() / 255).abs().max() < 5e-3


def test_of_a_gan_the_discriminators_accuracy_is_shown():
    run = train_gan(steps=12)
    figure = progress.LivePlot().figure(run)
    assert any("discriminator's accuracy" in ax.get_ylabel() for ax in figure.axes)
    assert "discriminator's accuracy" in progress.summary(run.history[-1])
    plt.close(figure)


def test_pictures_leave_the_random_numbers_of_the_run(samples):
    plain, shown = train(steps=4), train(steps=4, callbacks=[progress.LivePlot(samples).figure])
    for one, other in zip(plain.model.parameters(), shown.model.parameters(), strict=True):
        assert torch.equal(one, other)

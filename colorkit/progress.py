"""What one sees of a run: a live plot in a notebook, a bar in a terminal, lines in a log."""

import sys
import time
from collections.abc import Callable

import pandas as pd
from torch import Tensor
from tqdm import tqdm

from colorkit import distributed
from colorkit.notebook import in_notebook


def progress() -> Callable[[object], None]:
    """The callback that suits the place; of several processes only the first shows anything."""
    if not distributed.is_main():
        return lambda run: None
    if in_notebook():
        return LivePlot()
    return Bar() if sys.stderr.isatty() else lines


class Bar:
    """A progress bar on the error stream."""

    bar: tqdm | None = None

    def __call__(self, run) -> None:
        if self.bar is None:
            self.bar = tqdm(total=run.steps, initial=run.step - 1, unit="step", dynamic_ncols=True)
        if ends_row(run):
            self.bar.set_postfix_str(summary(run.history[-1]), refresh=False)
        self.bar.update()
        if run.stopped:
            self.bar.close()


def lines(run) -> None:
    """Ten lines in a run, for logs."""
    before = run.history[-2]["step"] if len(run.history) > 1 else 0
    tenths = 10 * run.step // run.steps - 10 * before // run.steps
    if ends_row(run) and (tenths or run.stopped):
        print(f"step {run.step:>6} of {run.steps}: {summary(run.history[-1])}", flush=True)


class LivePlot:
    """Curves, and if given pictures, that are drawn anew while the model trains.

    Parameters
    ----------
    samples : tuple of Tensor, optional
        L (N, 1, H, W) and ab (N, 2, H, W) of a few pictures.
    seconds : float
        Between two drawings at least.
    """

    def __init__(self, samples: tuple[Tensor, Tensor] | None = None, seconds: float = 3.0) -> None:
        self.samples, self.seconds = samples, seconds
        self.handle, self.drawn = None, -float("inf")

    def __call__(self, run) -> None:
        """Show the figure, in the place of the one before."""
        if not ends_row(run) or (not run.stopped and time.monotonic() < self.drawn + self.seconds):
            return
        from IPython.display import HTML, display

        from colorkit.plots import figure_html, plt

        figure, first = self.figure(run), run.history[0]
        alt = f"Training curves, from loss {first['loss']:.3g} at step {first['step']} to "
        html = HTML(figure_html(figure, f"{alt}{summary(run.history[-1])} at {closing(run)}."))
        plt.close(figure)
        if self.handle is None:
            self.handle = display(html, display_id=True)
        else:
            self.handle.update(html)
        self.drawn = time.monotonic()

    def figure(self, run):
        """Loss, validation and a GAN's accuracy; below them the truth and the model's colours."""
        from colorkit.color import join_lab, lab_to_rgb
        from colorkit.plots import draw_picture, plt

        heights = [3, 1.7, 1.7] if self.samples else [3]
        columns = len(self.samples[0]) if self.samples else 1
        figure = plt.figure(figsize=(9, sum(heights)), layout="constrained")
        grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
        ax, frame = figure.add_subplot(grid[0, :]), pd.DataFrame(run.history).set_index("step")
        ax.plot(frame.loss, color="#4477aa", lw=1.2, label="loss (training)")
        if run.best:
            ax.plot(frame.validation.dropna(), "o-", color="#cc3311", ms=4, label="validation")
            ax.plot(run.best[1], run.best[0], "o", ms=10, mfc="none", mec="#cc3311", label="best")
        if "accuracy" in frame:
            right = ax.twinx()
            right.plot(frame.accuracy, color="#228833", lw=1.2)
            right.set(ylim=(0, 1), ylabel="discriminator's accuracy (green)")
        ax.set(xlabel="step", xlim=(0, run.steps), title=closing(run))
        ax.set_yscale("log" if frame.loss.min() > 0 else "linear")
        ax.legend(loc="upper right", fontsize=9)
        if self.samples:
            L, ab = (plane.cpu().float() for plane in self.samples)
            for row, name, colours in ((1, "truth", ab), (2, "model", run.model.colorize(L))):
                for column, picture in enumerate(lab_to_rgb(join_lab(L, colours)).split(1)):
                    draw_picture(
                        figure.add_subplot(grid[row, column]), picture, name if column == 0 else ""
                    )
        return figure


def ends_row(run) -> bool:
    """Whether the step that was just done ended with a row of the history."""
    return bool(run.history) and run.history[-1]["step"] == run.step


def summary(row: dict) -> str:
    """A row of the history in a few words."""
    words = [f"loss {row['loss']:.4g}"]
    if "validation" in row:
        words.append(f"validation {row['validation']:.4g}")
    if "accuracy" in row:
        words.append(f"discriminator's accuracy {row['accuracy']:.0%}")
    return ", ".join(words)


def closing(run) -> str:
    """Where the run stands, in a sentence."""
    best = ", best validation {:.4g} at step {}".format(*run.best) if run.best else ""
    stopped, seconds = run.stopped or "running", run.history[-1]["seconds"]
    return f"step {run.step} of {run.steps}, {stopped}, {seconds:.0f} s{best}"

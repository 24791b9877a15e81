"""What one sees of a run: a live plot in a notebook, a bar in a terminal, lines in a log."""

import sys
import time
from collections.abc import Callable

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
    return Bar() if sys.stderr.isatty() else Lines()


class Bar:
    """A progress bar on the error stream."""

    bar: tqdm | None = None

    def __call__(self, run) -> None:
        if self.bar is None:
            self.bar = tqdm(total=run.steps, initial=run.step - 1, unit="step", dynamic_ncols=True)
        if new_row(run):
            self.bar.set_postfix_str(summary(run.history[-1]), refresh=False)
        self.bar.update()
        if run.stopped:
            self.bar.close()


class Lines:
    """Ten lines in a run, for logs."""

    shown = 0

    def __call__(self, run) -> None:
        tenth = 10 * run.step // run.steps
        if new_row(run) and (tenth > self.shown or run.stopped):
            self.shown = tenth
            print(f"step {run.step:>6} of {run.steps}: {summary(run.history[-1])}", flush=True)


class LivePlot:
    """Curves of loss and validation and, if given, pictures, drawn anew while the model trains.

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
        if new_row(run) and (run.stopped or time.monotonic() - self.drawn >= self.seconds):
            self.draw(run)

    def draw(self, run) -> None:
        """Show the figure, in the place of the one before."""
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
        """The curves, and below them the truth and the model's colours."""
        from colorkit.plots import draw_picture, plt

        pictures = sample_pictures(run.model, self.samples) if self.samples else []
        heights = [3, 1.7, 1.7] if pictures else [3]
        figure = plt.figure(figsize=(9, sum(heights)), layout="constrained")
        grid = figure.add_gridspec(len(heights), max(1, len(pictures)), height_ratios=heights)
        draw_curves(figure.add_subplot(grid[0, :]), run)
        for column, (truth, guess) in enumerate(pictures):
            draw_picture(figure.add_subplot(grid[1, column]), truth, "" if column else "truth")
            draw_picture(figure.add_subplot(grid[2, column]), guess, "" if column else "model")
        return figure


def draw_curves(ax, run) -> None:
    """Loss and validation over steps, with the best validation marked, and a GAN's accuracy."""
    curves = {
        name: [(row["step"], row[name]) for row in run.history if name in row]
        for name in ("loss", "validation", "accuracy")
    }
    ax.plot(*zip(*curves["loss"], strict=True), color="#4477aa", lw=1.2, label="loss (training)")
    if run.best:
        style = {"color": "#cc3311", "marker": "o", "ms": 4, "lw": 1.5}
        ax.plot(*zip(*curves["validation"], strict=True), **style, label="validation")
        ax.plot(*run.best[::-1], "o", ms=10, mfc="none", mec="#cc3311", label="best")
    if min(value for name in ("loss", "validation") for _, value in curves[name]) > 0:
        ax.set_yscale("log")
    ax.set(xlabel="step", xlim=(0, run.steps), title=closing(run))
    ax.grid(alpha=0.3)
    ax.legend(loc="upper right", fontsize=9)
    if curves["accuracy"]:
        right = ax.twinx()
        right.plot(*zip(*curves["accuracy"], strict=True), color="#228833", lw=1.2)
        right.axhline(0.5, color="#228833", lw=0.8, ls=":")
        right.set(ylim=(0, 1))
        right.set_ylabel("discriminator's accuracy", color="#228833")


def sample_pictures(model, samples: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Truth and the model's colours as RGB (1, 3, H, W), for each sample."""
    from colorkit.color import join_lab, lab_to_rgb

    L, ab = (plane.cpu().float() for plane in samples)
    rgb = [lab_to_rgb(join_lab(L, colours)).split(1) for colours in (ab, model.colorize(L))]
    return list(zip(*rgb, strict=True))


def new_row(run) -> bool:
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
    words = [f"step {run.step} of {run.steps}", *filter(None, [run.stopped])]
    words.append(f"{run.history[-1]['seconds']:.0f} s")
    if run.best:
        words.append("best validation {:.4g} at step {}".format(*run.best))
    return ", ".join(words)

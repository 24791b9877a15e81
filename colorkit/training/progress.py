"""What one sees of a run: a live plot in a notebook, a bar in a terminal, lines in a log."""

import sys
import time

import torch
from torch import Tensor
from tqdm import tqdm

from colorkit.notebook import in_notebook


def progress(samples: tuple[Tensor, Tensor] | None = None) -> object:
    """The callback that suits the place: `LivePlot`, `Bar` or `Lines`.

    Parameters
    ----------
    samples : tuple of Tensor, optional
        L and ab of a few pictures, which the live plot shows as the model colours them.
    """
    if in_notebook():
        return LivePlot(samples)
    return Bar() if sys.stderr.isatty() else Lines()


class Bar:
    """A progress bar on the error stream."""

    def started(self, run) -> None:
        self.bar = tqdm(total=run.options.steps, initial=run.step, unit="step", dynamic_ncols=True)

    def stepped(self, run) -> None:
        self.bar.update()

    def logged(self, run, row: dict) -> None:
        self.bar.set_postfix_str(summary(row))

    def ended(self, run) -> None:
        self.bar.close()
        print(closing(run), file=sys.stderr)


class Lines:
    """A line a validation, or ten in a run without any, for logs."""

    def started(self, run) -> None:
        self.last = run.step

    def logged(self, run, row: dict) -> None:
        tenth = max(1, run.options.steps // 10)
        due = row["step"] // tenth > self.last // tenth
        if "validation" in row or (run.validation is None and due):
            self.last = row["step"]
            print(f"step {row['step']:>6} of {run.options.steps}: {summary(row)}", flush=True)

    def ended(self, run) -> None:
        print(closing(run), flush=True)


class LivePlot:
    """Curves of loss and validation and, if given, pictures, drawn anew while the model trains.

    Parameters
    ----------
    samples : tuple of Tensor, optional
        L (N, 1, H, W) and ab (N, 2, H, W) of a few pictures. The model needs ``colorize(L)``.
    seconds : float
        Between two drawings at least.
    log : bool
        Whether the loss has a logarithmic axis.
    """

    def __init__(
        self,
        samples: tuple[Tensor, Tensor] | None = None,
        seconds: float = 3.0,
        log: bool = True,
    ) -> None:
        self.samples, self.seconds, self.log = samples, seconds, log
        self.handle, self.drawn = None, -float("inf")

    def logged(self, run, row: dict) -> None:
        # Drawing takes a tenth of a second: no more than a tenth of the time may go into it.
        if time.monotonic() - self.drawn >= self.seconds:
            self.draw(run)

    def ended(self, run) -> None:
        if run.history.rows:
            self.draw(run)

    def draw(self, run) -> None:
        """Show the figure, in the place of the one before."""
        from IPython.display import HTML, display

        from colorkit.plots import figure_html, plt

        figure = self.figure(run)
        html = HTML(figure_html(figure, alt_text(run)))
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
        columns = max(1, len(pictures))
        figure = plt.figure(figsize=(9, 3 + (3.4 if pictures else 0)), layout="constrained")
        grid = figure.add_gridspec(
            3 if pictures else 1, columns, height_ratios=[3, 1.7, 1.7] if pictures else [1]
        )
        draw_curves(figure.add_subplot(grid[0, :]), run, self.log)
        for column, (truth, guess) in enumerate(pictures):
            draw_picture(figure.add_subplot(grid[1, column]), truth, "" if column else "truth")
            draw_picture(figure.add_subplot(grid[2, column]), guess, "" if column else "model")
        return figure


def draw_curves(ax, run, log: bool = True) -> None:
    """Loss and validation over steps, with the best validation marked."""
    steps, losses = run.history.curve("loss")
    ax.plot(steps, losses, color="#4477aa", lw=1.2, label="loss (training)")
    steps, values = run.history.curve("validation")
    if values:
        ax.plot(steps, values, color="#cc3311", marker="o", ms=4, lw=1.5, label="validation")
        if run.best_step in steps:
            ax.plot(run.best_step, run.best, "o", ms=10, mfc="none", mec="#cc3311", label="best")
    if log and min([*losses, *values], default=0) > 0:
        ax.set_yscale("log")
    ax.set(xlabel="step", xlim=(0, run.options.steps), title=closing(run))
    ax.grid(alpha=0.3)
    ax.legend(loc="upper right", fontsize=9)
    steps, shares = run.history.curve("accuracy")
    if shares:
        right = ax.twinx()
        right.plot(steps, shares, color="#228833", lw=1.2, label="critic's accuracy")
        right.axhline(0.5, color="#228833", lw=0.8, ls=":")
        right.set(ylim=(0, 1))
        right.set_ylabel("critic's accuracy", color="#228833")


@torch.no_grad()
def sample_pictures(model, samples: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Truth and prediction as RGB (1, 3, H, W), for each sample; the model's modes are kept."""
    from colorkit.color import fit_gamut, join_lab, lab_to_rgb

    L, ab = (plane.cpu().float() for plane in samples)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    guess = model.colorize(L.to(next(model.parameters()).device)).cpu().float()
    for module, mode in modes:
        module.training = mode
    truth = lab_to_rgb(join_lab(L, ab))
    rgb = lab_to_rgb(join_lab(L, fit_gamut(L, guess)))
    return list(zip(truth.split(1), rgb.split(1), strict=True))


def summary(row: dict) -> str:
    """A row of the history in a few words."""
    words = [f"loss {row['loss']:.4g}"]
    if "validation" in row:
        words.append(f"validation {row['validation']:.4g}")
    if "accuracy" in row:
        words.append(f"critic's accuracy {row['accuracy']:.0%}")
    return ", ".join(words)


def closing(run) -> str:
    """Where the run stands, in a sentence."""
    words = [f"step {run.step} of {run.options.steps}"]
    if run.stopped:
        words.append(run.stopped)
    words.append(f"{run.seconds:.0f} s")
    if run.best_step is not None:
        words.append(f"best validation {run.best:.4g} at step {run.best_step}")
    return ", ".join(words)


def alt_text(run) -> str:
    """What the live plot shows, for those who cannot see it."""
    first, last = run.history.rows[0], run.history.rows[-1]
    text = f"Training loss from {first['loss']:.3g} at step {first['step']} "
    text += f"to {last['loss']:.3g} at step {last['step']} of {run.options.steps}"
    steps, values = run.history.curve("validation")
    if steps:
        text += f"; validation {values[-1]:.3g}, at best {run.best:.3g} at step {run.best_step}"
    steps, shares = run.history.curve("accuracy")
    if steps:
        text += f"; the critic's accuracy {shares[-1]:.0%}"
    return text + "."

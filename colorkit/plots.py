"""Figures: drawn with matplotlib, shown with alt text, small enough to store in a notebook."""

import base64
import html
import io
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from colorkit import color, notebook

DPI = 110  # a figure 9 inches wide fills a notebook's column on an ordinary screen


def show(fig: Figure, alt: str) -> None:
    """Show a figure in the notebook with alt text, then close it.

    A figure made with an exercise that is not done yet is stamped "reference". Outside a notebook
    the figure is only closed.

    Parameters
    ----------
    fig : Figure
    alt : str
        What is to be seen, for those who cannot see it. It must not be empty.
    """
    if not alt or not alt.strip():
        raise ValueError("show needs alt text: say in one sentence what is to be seen")
    stamp(fig, sorted(notebook.STAND_INS))
    if notebook.in_notebook():
        from IPython.display import HTML, display

        display(HTML(figure_html(fig, alt)))
    plt.close(fig)


def stamp(fig: Figure, exercises: Sequence[str]) -> None:
    """Write "reference" across the foot of a figure that undone exercises went into."""
    if exercises:
        note = f"reference: made with colorkit's own {', '.join(exercises)}"
        fig.text(
            0.5, -0.02, note, ha="center", va="top", fontsize=9, color="#8a6d00", weight="bold"
        )


def figure_html(fig: Figure, alt: str) -> str:
    """An HTML ``<img>`` with the figure as WebP data and its alt text.

    Jupyter's own image output has no alt text, and PNG is about ten times as large for photographs.
    """
    buffer = io.BytesIO()
    fig.savefig(
        buffer,
        format="webp",
        dpi=DPI,
        bbox_inches="tight",
        facecolor="white",
        pil_kwargs={"quality": 82, "method": 4},
    )
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<img alt="{html.escape(alt, quote=True)}" style="max-width:100%;height:auto" '
        f'src="data:image/webp;base64,{data}">'
    )


def picture_array(rgb: torch.Tensor):
    """One picture (1, 3, H, W) or (3, H, W), float in [0, 1] or uint8, as an array for imshow."""
    if rgb.ndim == 4 and rgb.shape[0] != 1:
        raise ValueError(f"one picture was expected, but the shape is {tuple(rgb.shape)}")
    picture = rgb.detach().reshape(rgb.shape[-3:]).permute(1, 2, 0).cpu()
    return picture.numpy() if picture.dtype == torch.uint8 else picture.clamp(0, 1).numpy()


def picture_row(pictures: Mapping[str, torch.Tensor], height: float = 2.3) -> Figure:
    """Pictures side by side under their titles.

    Parameters
    ----------
    pictures : mapping of str to Tensor
        Title to picture: RGB (1, 3, H, W), or one channel (1, 1, H, W) in [0, 100], drawn gray.
    height : float
        Height of a picture in inches.
    """
    return picture_grid([pictures], height)


def picture_grid(rows: Sequence[Mapping[str, torch.Tensor]], height: float = 2.3) -> Figure:
    """Rows of pictures, each row a mapping of titles to pictures as in :func:`picture_row`."""
    columns = max(len(row) for row in rows)
    shape = next(iter(rows[0].values())).shape
    width = height * shape[-1] / shape[-2]
    fig, axes = plt.subplots(
        len(rows),
        columns,
        figsize=(width * columns, (height + 0.3) * len(rows)),
        squeeze=False,
        layout="constrained",
    )
    for ax in axes.flat:
        ax.axis("off")
    for row, row_axes in zip(rows, axes, strict=True):
        for (title, picture), ax in zip(row.items(), row_axes, strict=False):
            draw_picture(ax, picture, title)
    return fig


def draw_picture(ax, picture: torch.Tensor, title: str = "") -> None:
    """Draw one picture on matplotlib axes: RGB, or one channel in [0, 100] as gray."""
    if picture.shape[-3] == 1:
        plane = picture.detach().reshape(picture.shape[-2:]).cpu().numpy()
        ax.imshow(plane, cmap="gray", vmin=0, vmax=100, interpolation="nearest")
    else:
        ax.imshow(picture_array(picture), interpolation="nearest")
    ax.set_title(title, fontsize=10)
    ax.axis("off")


def colour_alone(L: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
    """A picture with its lightness averaged out, so that only colour is left to compare.

    Every pixel gets the mean of L; what sRGB cannot show there is brought inside the gamut.

    Parameters
    ----------
    L, ab : Tensor
        (N, 1, H, W) and (N, 2, H, W).

    Returns
    -------
    Tensor
        RGB (N, 3, H, W).
    """
    flat = L.mean(dim=(2, 3), keepdim=True).expand_as(L)
    return color.lab_to_rgb(color.join_lab(flat, color.fit_gamut(flat, ab)))


def colorings(
    L: torch.Tensor,
    planes: Mapping[str, torch.Tensor],
    height: float = 1.4,
    *,
    titles: Sequence[str] = (),
    outlines: torch.Tensor | None = None,
) -> Figure:
    """The same pictures in several colourings: a row each, its name at the left; L comes first.

    Parameters
    ----------
    L : Tensor
        (N, 1, H, W): N columns.
    planes : mapping of str to Tensor
        Name to ab (N, 2, H, W).
    height : float
        Height of a picture in inches.
    titles : sequence of str
        N names, written over the columns.
    outlines : Tensor, optional
        bool (N, 1, H, W): the outline of what is to be looked at in each.
    """
    rows = {"L": L} | {
        name: color.lab_to_rgb(color.join_lab(L, color.fit_gamut(L, ab.to(L))))
        for name, ab in planes.items()
    }
    width = height * L.shape[-1] / L.shape[-2]
    size = (width * len(L) + 0.4, height * len(rows))
    fig, axes = plt.subplots(len(rows), len(L), figsize=size, squeeze=False, layout="constrained")
    for row, (name, pictures) in zip(axes, rows.items(), strict=True):
        for k, (ax, picture) in enumerate(zip(row, pictures.split(1), strict=True)):
            draw_picture(ax, picture, titles[k] if titles and name == "L" else "")
            if outlines is not None:
                ax.contour(outlines[k, 0].float().cpu(), [0.5], colors="white", linewidths=1)
        row[0].text(
            -0.06, 0.5, name, rotation=90, va="center", ha="right", fontsize=9,
            transform=row[0].transAxes,
        )  # fmt: skip
    return fig


def loss_curves(
    curves: Mapping[str, Sequence[float]],
    levels: Mapping[str, float] | None = None,
    every: Mapping[str, float] | None = None,
    xlabel: str = "step",
) -> Figure:
    """Losses against steps on a logarithmic scale, with dotted lines for what needs no network.

    Parameters
    ----------
    curves : mapping of str to sequence of float
        Label to losses.
    levels : mapping of str to float, optional
        Label to baseline.
    every : mapping of str to float, optional
        Label to the width of one step on the x axis (default 1), for axes other than steps.
    xlabel : str
    """
    fig, ax = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
    colours = plt.get_cmap("viridis")
    for i, (label, losses) in enumerate(curves.items()):
        width = (every or {}).get(label, 1)
        x = [(step + 1) * width for step in range(len(losses))]
        tint = colours(0.9 * i / max(len(curves) - 1, 1))
        ax.semilogy(x, losses, label=label, color=tint, lw=1.4)
    for label, level in (levels or {}).items():
        ax.axhline(level, color="gray", ls=":", lw=1)
        ax.text(ax.get_xlim()[1], level, f" {label}", va="center", fontsize=8, color="dimgray")
    ax.set(xlabel=xlabel, ylabel="ab MSE (ab²)")
    ax.legend(fontsize=8)
    return fig


def error_figure(curves, upto: int = 100) -> Figure:
    """Cumulative error: a line a model, the share of pixels within each threshold.

    Parameters
    ----------
    curves : DataFrame
        From `colorkit.evaluate.error_curves`: thresholds x models.
    upto : int
        Largest threshold shown.
    """
    fig, ax = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
    tints = plt.get_cmap("viridis")
    for i, name in enumerate(curves.columns):
        plain = {"gray": ("gray", ":"), "oracle": ("black", "--")}
        tint, dash = plain.get(name, (tints(0.9 * i / max(len(curves.columns) - 1, 1)), "-"))
        ax.plot(curves.index, curves[name], label=name, color=tint, ls=dash)
    ax.set(xlim=(0, upto), ylim=(0, 1), xlabel="ab error t", ylabel="share of pixels within t")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, loc="lower right")
    return fig


def swatches(
    ab: Mapping[str, torch.Tensor], titles: Sequence[str] | None = None, L: float = 62.0
) -> Figure:
    """Rows of colour patches at one lightness, a column an object.

    Parameters
    ----------
    ab : mapping of str to Tensor
        Label of a row to colours (M, 2).
    titles : sequence of str, optional
        M names, written over the columns; the same name twice in a row is written once.
    L : float
    """
    rows = torch.stack(list(ab.values())).movedim(-1, 0)[None].float()  # (1, 2, rows, M)
    lightness = torch.full_like(rows[:, :1], L)
    rgb = color.lab_to_rgb(color.join_lab(lightness, color.fit_gamut(lightness, rows)))
    count = rows.shape[-1]
    fig, ax = plt.subplots(figsize=(9.5, 0.55 * len(ab) + 0.5), layout="constrained")
    ax.imshow(picture_array(rgb), interpolation="nearest", aspect="auto")
    ax.set_yticks(range(len(ab)), list(ab), fontsize=9)
    ax.set_xticks([])
    ax.hlines([k + 0.5 for k in range(len(ab) - 1)], -0.5, count - 0.5, color="white", lw=3)
    ax.vlines([k + 0.5 for k in range(count - 1)], -0.5, len(ab) - 0.5, color="white", lw=0.7)
    for k, title in enumerate(titles or []):
        if k == 0 or titles[k - 1] != title:
            ax.text(k - 0.5, -0.62, title, fontsize=9, va="bottom")
            ax.axvline(k - 0.5, color="white", lw=4)
    ax.spines[:].set_visible(False)
    return fig


def intervals(frame, xlabel: str) -> Figure:
    """Differences with their intervals: a row each, the line of no difference dotted.

    Parameters
    ----------
    frame : DataFrame
        Columns difference, low, high.
    """
    fig, ax = plt.subplots(figsize=(7.2, 0.38 * len(frame) + 0.8), layout="constrained")
    y = range(len(frame))[::-1]
    below, above = frame.difference - frame.low, frame.high - frame.difference
    ax.errorbar(frame.difference, y, xerr=[below, above], fmt="o", color="#31688e", capsize=3)
    ax.axvline(0, color="gray", ls=":")
    ax.set_yticks(list(y), [str(name) for name in frame.index], fontsize=9)
    ax.set(xlabel=xlabel, ylim=(-0.7, len(frame) - 0.3))
    ax.grid(axis="x", alpha=0.3)
    return fig

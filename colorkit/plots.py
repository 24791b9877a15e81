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


def truth_beside(
    L: torch.Tensor, truth: torch.Tensor, predictions: Mapping[str, torch.Tensor]
) -> Figure:
    """Truth beside predictions of ab; below them the same without lightness.

    Parameters
    ----------
    L, truth : Tensor
        (1, 1, H, W) and (1, 2, H, W).
    predictions : mapping of str to Tensor
        Title to ab (1, 2, H, W).
    """
    columns = {"truth": truth, **predictions}
    show_ab = {t: color.lab_to_rgb(color.join_lab(L, ab)) for t, ab in columns.items()}
    alone = {f"{t}, L averaged out": colour_alone(L, ab) for t, ab in columns.items()}
    return picture_grid([{"L, the input": L, **show_ab}, {" ": torch.full_like(L, 100.0), **alone}])


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


def activation_grid(layers: Mapping[str, Sequence[torch.Tensor]], count: int = 4) -> Figure:
    """The liveliest channels of each layer, a row a network and layer, each on its own scale.

    Parameters
    ----------
    layers : mapping of str to sequence of Tensor
        Network to what its layer groups give, each (1, C, H, W).
    count : int
        Channels of each, those of largest variance.
    """
    from colorkit.models.cnn import liveliest

    depth = len(next(iter(layers.values())))
    columns = len(layers) * (count + 1) - 1  # an empty column between two networks
    fig, axes = plt.subplots(
        depth,
        columns,
        figsize=(1.1 * columns, 1.15 * depth + 0.3),
        squeeze=False,
        layout="constrained",
    )
    for k, (name, outputs) in enumerate(layers.items()):
        own = axes[:, k * (count + 1) :]
        for row, output in zip(own, outputs, strict=True):
            for ax, channel in zip(row, liveliest(output, count)[0].cpu(), strict=False):
                ax.imshow(channel.numpy(), cmap="gray")
        own[0, 0].set_title(name, fontsize=10, loc="left")
    for i, row in enumerate(axes):
        row[0].text(-0.12, 0.5, f"group {i + 1}", rotation=90, va="center", ha="center",
                    fontsize=8, transform=row[0].transAxes)  # fmt: skip
    for ax in axes.flat:
        ax.axis("off")
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


def history_curves(runs: Mapping[str, Sequence]) -> Figure:
    """Training loss (thin) and validation (thick, dots) of several runs.

    Parameters
    ----------
    runs : mapping of str to sequence of Run
        Label to runs of it that differ in their seed; they share a colour.
    """
    fig, ax = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
    tints = plt.get_cmap("viridis")
    for i, (label, group) in enumerate(runs.items()):
        tint = tints(0.75 * i / max(len(runs) - 1, 1))
        for k, run in enumerate(group):
            ax.semilogy(*run.history.curve("loss"), color=tint, lw=0.7, alpha=0.7)
            name = f"{label}: held-out (thin: training)" if k == 0 else None
            ax.semilogy(*run.history.curve("validation"), "o-", ms=3, color=tint, label=name)
    ax.set(xlabel="step", ylabel="ab MSE (ab²)")
    ax.legend(fontsize=8)
    return fig


def study_curves(frame, levels: Mapping[str, float] | None = None) -> Figure:
    """Training and held-out error over the number of pictures, with every seed as a dot.

    Parameters
    ----------
    frame : DataFrame
        From `colorcourse.lesson03.studies.memorising`.
    levels : mapping of str to float, optional
        Label to a horizontal line.
    """
    fig, ax = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
    columns = {"train_mse": ("pictures it saw", "#4477aa"), "test_mse": ("others", "#cc3311")}
    for column, (label, tint) in columns.items():
        ax.loglog(frame.pictures, frame[column], "o", ms=4, color=tint, alpha=0.5)
        mean = frame.groupby("pictures")[column].mean()
        ax.loglog(mean.index, mean, color=tint, label=label)
    for label, level in (levels or {}).items():
        ax.axhline(level, color="gray", ls=":", lw=1)
        ax.text(ax.get_xlim()[0], level, f" {label}", va="bottom", fontsize=8, color="dimgray")
    ax.set(xlabel="training pictures", ylabel="ab MSE (ab²)")
    ax.legend(fontsize=8)
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


def ab_plane(histogram: torch.Tensor, bins: torch.Tensor | None = None, title: str = "") -> Figure:
    """How many pixels have each ab, in log scale, with the bins drawn over it as squares.

    Parameters
    ----------
    histogram : Tensor
        (660, 660), from `colorkit.bins.ab_histogram` or a prior's `histogram`.
    bins : Tensor, optional
        (Q, 2), their centres.
    title : str
    """
    from colorkit.bins import LIMIT

    counts = histogram.double().reshape(2 * LIMIT, histogram.shape[0] // (2 * LIMIT), 2 * LIMIT, -1)
    counts = counts.sum((1, 3))  # a cell a unit
    fig, ax = plt.subplots(figsize=(5.6, 5), layout="constrained")
    image = ax.imshow(
        counts.where(counts > 0, torch.nan).T.numpy(),
        origin="lower",
        extent=(-LIMIT, LIMIT, -LIMIT, LIMIT),
        norm="log",
        cmap="viridis",
        interpolation="nearest",
    )
    fig.colorbar(image, label="pixels in a square of 1 x 1", shrink=0.8)
    if bins is not None:
        draw_bins(ax, bins)
    ax.set(xlabel="a (green to red)", ylabel="b (blue to yellow)", title=title)
    return fig


def draw_bins(ax, bins: torch.Tensor, values: torch.Tensor | None = None):
    """Draw the bins of the ab plane as squares: outlines, or filled by a value each in log scale.

    Parameters
    ----------
    bins : Tensor
        (Q, 2), centres on a square grid.
    values : Tensor, optional
        (Q,), such as a prior or weights; 0 and less stay empty, below a millionth of the largest
        all look the same.

    Returns
    -------
    PatchCollection
        For a colour bar.
    """
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    step = float(bins[:, 1].unique().diff().min())
    squares = [Rectangle((a - step / 2, b - step / 2), step, step) for a, b in bins.tolist()]
    if values is None:
        made = PatchCollection(squares, facecolor="none", edgecolor="gray", linewidth=0.4)
    else:
        made = PatchCollection(squares, norm="log", cmap="viridis", edgecolor="white", lw=0.3)
        made.set_array(values.double().where(values > 0, torch.nan).cpu().numpy())
        made.set_clim(vmin=max(float(values[values > 0].min()), 1e-6 * float(values.max())))
    ax.add_collection(made)
    ax.set_aspect("equal")
    ax.autoscale_view()
    return made

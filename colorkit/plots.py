"""Figures: drawn with matplotlib, shown with alt text, small enough to store in a notebook."""

import base64
import html
import io
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from colorkit import color
from colorkit.course import provenance
from colorkit.course.feedback import in_notebook

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
    stamp(fig, provenance.undone_exercises())
    if in_notebook():
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
    from colorkit.models.first import liveliest

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

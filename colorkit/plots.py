"""Figures: drawn with matplotlib, shown with alt text, small enough to store in a notebook."""

import base64
import html
import io
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

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
        plane = picture.detach().reshape(picture.shape[-2:]).cpu()
        ax.imshow(plane.numpy(), cmap="gray", vmin=0, vmax=100, interpolation="nearest")
    else:
        ax.imshow(picture_array(picture), interpolation="nearest")
    ax.set_title(title, fontsize=10)
    ax.axis("off")

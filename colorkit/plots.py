"""Figures: drawn with matplotlib, shown with alt text, small enough to store in a notebook."""

import base64
import html
import io
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from colorkit import notebook
from colorkit.color import fit_gamut, join_lab, lab_to_rgb

DPI = 110  # a figure 9 inches wide fills a notebook's column on an ordinary screen


def show(fig: Figure | None, alt: str | None) -> None:
    """Show a figure in the notebook, then close it; outside a notebook, only close it.

    `alt` says what is to be seen, for those who cannot see it. A figure made with an exercise that
    is not done yet is stamped "reference". No figure, None, shows nothing.
    """
    if fig is None:
        return
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
        style = {"fontsize": 9, "color": "#8a6d00", "weight": "bold"}
        fig.text(0.5, -0.02, note, ha="center", va="top", **style)


def figure_html(fig: Figure, alt: str) -> str:
    """An HTML ``<img>`` with the figure as WebP data and its alt text.

    Jupyter's own image output has no alt text, and PNG is about ten times as large for photographs.
    """
    buffer = io.BytesIO()
    quality = {"quality": 82, "method": 4}
    fig.savefig(
        buffer, format="webp", dpi=DPI, bbox_inches="tight", facecolor="white", pil_kwargs=quality
    )
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<img alt="{html.escape(alt, quote=True)}" style="max-width:100%;height:auto" '
        f'src="data:image/webp;base64,{data}">'
    )


def draw_picture(ax, picture: Tensor, title: str = "") -> None:
    """Draw one picture on matplotlib axes.

    It is (1, C, H, W) or (C, H, W): RGB in [0, 1] or uint8, or one channel in [0, 100] as gray.
    """
    if picture.ndim == 4 and len(picture) != 1:
        raise ValueError(f"one picture was expected, but the shape is {tuple(picture.shape)}")
    array = picture.detach().reshape(picture.shape[-3:]).movedim(0, -1).cpu()
    if array.shape[-1] == 1:
        ax.imshow(array.numpy(), cmap="gray", vmin=0, vmax=100, interpolation="nearest")
    else:
        array = array if array.dtype == torch.uint8 else array.clamp(0, 1)
        ax.imshow(array.numpy(), interpolation="nearest")
    ax.set_title(title, fontsize=10)
    ax.axis("off")


def picture_grid(rows: Sequence[Mapping[str, Tensor]], height: float = 2.3) -> Figure:
    """Rows of pictures, each a mapping of titles to pictures as :func:`draw_picture` takes them.

    All are drawn as large as the first, `height` in inches; a row may be shorter than others.
    """
    columns = max(len(row) for row in rows)
    shape = next(iter(rows[0].values())).shape
    size = (height * shape[-1] / shape[-2] * columns, (height + 0.3) * len(rows))
    fig, axes = plt.subplots(len(rows), columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat:
        ax.axis("off")
    for row, row_axes in zip(rows, axes, strict=True):
        for (title, picture), ax in zip(row.items(), row_axes, strict=False):
            draw_picture(ax, picture, title)
    return fig


def fitted_rgb(L: Tensor, ab: Tensor) -> Tensor:
    """RGB of L (N, 1, H, W) and ab (N, 2, H, W), brought inside the gamut."""
    return lab_to_rgb(join_lab(L, fit_gamut(L, ab.to(L))))


def colour_alone(L: Tensor, ab: Tensor) -> Tensor:
    """RGB of ab (N, 2, H, W) where every pixel has the mean of L (N, 1, H, W): colour alone."""
    return fitted_rgb(L.mean(dim=(2, 3), keepdim=True).expand_as(L), ab)


def colorings(
    L: Tensor,
    planes: Mapping[str, Tensor],
    height: float = 1.4,
    *,
    titles: Sequence[str] = (),
) -> Figure:
    """The same pictures in several colourings: a row each, its name at the left; L comes first.

    L is (N, 1, H, W), `planes` maps names to ab (N, 2, H, W); `height` of a picture is in inches.
    N `titles` stand over the columns.
    """
    rows = {"L": L} | {name: fitted_rgb(L, ab) for name, ab in planes.items()}
    size = (height * L.shape[-1] / L.shape[-2] * len(L) + 0.4, height * len(rows))
    fig, axes = plt.subplots(len(rows), len(L), figsize=size, squeeze=False, layout="constrained")
    for row, (name, pictures) in zip(axes, rows.items(), strict=True):
        for k, (ax, picture) in enumerate(zip(row, pictures, strict=True)):
            draw_picture(ax, picture, titles[k] if titles and name == "L" else "")
        row[0].text(
            -0.06, 0.5, name, rotation=90, va="center", ha="right", fontsize=9,
            transform=row[0].transAxes,
        )  # fmt: skip
    return fig


def loss_curves(curves: Mapping[str, Sequence[float]], levels: Mapping[str, float]) -> Figure:
    """Losses on a logarithmic scale, by their labels, and dotted levels to compare them with."""
    fig, ax = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
    for i, (label, losses) in enumerate(curves.items()):
        style = {"color": _tint(i, len(curves)), "ls": ("-", "--")[i % 2]}
        ax.semilogy(range(1, len(losses) + 1), losses, label=label, **style)
    for label, level in levels.items():
        ax.axhline(level, color="gray", ls=":", lw=1)
        ax.text(ax.get_xlim()[1], level, f" {label}", va="center", fontsize=8, color="dimgray")
    ax.set(xlabel="step", ylabel="ab MSE (ab²)")
    ax.legend(fontsize=8)
    return fig


def error_figure(curves) -> Figure:
    """Cumulative errors, a line a model: a frame from `colorkit.evaluate.error_curves`."""
    fig, ax = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
    plain = {"gray": ("gray", ":"), "oracle": ("black", "--")}
    for i, name in enumerate(curves.columns):
        tint, dash = plain.get(name, (_tint(i, len(curves.columns)), "-"))
        ax.plot(curves.index, curves[name], label=name, color=tint, ls=dash)
    ax.set(xlim=(0, 100), ylim=(0, 1), xlabel="ab error t", ylabel="share of pixels within t")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, loc="lower right")
    return fig


def _tint(i: int, count: int) -> tuple[float, ...]:
    return plt.get_cmap("viridis")(0.9 * i / max(count - 1, 1))


def intervals(frame, xlabel: str) -> Figure:
    """Differences with their intervals: a row each, the line of no difference dotted.

    `frame` has the columns difference, low, high.
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

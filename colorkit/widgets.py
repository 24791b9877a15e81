"""Interactive figures. Each is a plain drawing function with ipywidgets around it.

A drawing function takes plain values and returns a figure and its alt text. :func:`explore` puts
controls around it. Where no front end runs (a stored notebook, a test) the figure is drawn
once with its first values, and an error in a drawing function is shown, never swallowed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from colorkit import color
from colorkit.models.classifier import Classifier
from colorkit.notebook import STAND_INS, Feedback, in_notebook
from colorkit.plots import colour_alone, draw_picture, figure_html, show, stamp

Drawing = tuple[Figure, str]


def explore(draw: Callable[..., Drawing], **controls: Any) -> None:
    """Show a drawing function with a control for each of its arguments.

    Parameters
    ----------
    draw : callable
        Takes the controls' values by name; returns a figure and its alt text.
    **controls : ipywidgets.Widget
        One widget with a ``value`` for each argument.
    """
    if not in_notebook():
        show(*draw(**{name: control.value for name, control in controls.items()}))
        return
    import ipywidgets
    from IPython.display import display

    picture = ipywidgets.HTML()
    exercises = sorted(STAND_INS)

    def redraw(_: Any = None) -> None:
        values = {name: control.value for name, control in controls.items()}
        picture.value = _drawn(draw, values, exercises)

    first = _html(
        draw, {n: c.value for n, c in controls.items()}, exercises
    )  # an error raises here
    picture.value = first
    for control in controls.values():
        control.observe(redraw, names="value")
    bundle = dict(ipywidgets.VBox([*controls.values(), picture])._repr_mimebundle_())
    bundle["text/html"] = first  # what a stored notebook shows, where no kernel runs
    bundle["text/plain"] = "an interactive figure"
    display(bundle, raw=True)


def _html(draw: Callable[..., Drawing], values: dict[str, Any], exercises: list[str]) -> str:
    fig, alt = draw(**values)
    stamp(fig, exercises)
    try:
        return figure_html(fig, alt)
    finally:
        plt.close(fig)


def _drawn(draw: Callable[..., Drawing], values: dict[str, Any], exercises: list[str]) -> str:
    try:
        return _html(draw, values, exercises)
    except Exception as error:
        message = f"{type(error).__name__}: {error} (with {values})"
        return Feedback("wrong", draw.__name__, message)._repr_html_()


# --- lesson 1: the gamut --------------------------------------------------------------------------

REACH = 128  # the ab plane is drawn from -REACH to REACH


def gamut_plane(L: float, size: int = 192) -> tuple[torch.Tensor, torch.Tensor]:
    """The ab plane at one L: RGB (1, 3, size, size), and a mask of what sRGB can show.

    Row 0 is b = +REACH, column 0 is a = -REACH. Outside the gamut the picture is light gray.
    """
    axis = torch.linspace(-REACH, REACH, size)
    b, a = torch.meshgrid(-axis, axis, indexing="ij")
    ab = torch.stack([a, b])[None]
    lightness = torch.full((1, 1, size, size), float(L))
    inside = ~color.out_of_gamut(lightness, ab)
    rgb = color.lab_to_rgb(color.join_lab(lightness, ab))
    return torch.where(inside, rgb, torch.full_like(rgb, 0.93)), inside


def draw_gamut(L: float, a: float, b: float) -> Drawing:
    """The ab plane inside sRGB at one L, with one colour picked on it and shown as a patch."""
    plane, inside = gamut_plane(L)
    lightness, ab = (
        torch.full((1, 1, 1, 1), float(L)),
        torch.tensor([a, b]).view(1, 2, 1, 1).float(),
    )
    fitted = color.fit_gamut(lightness, ab)
    rgb = color.lab_to_rgb(color.join_lab(lightness, fitted)).flatten()
    fits = not bool(color.out_of_gamut(lightness, ab))
    fig, (left, right) = plt.subplots(
        1, 2, figsize=(8.4, 4.2), width_ratios=(3, 2), layout="constrained"
    )
    _draw_plane(left, plane, L)
    left.plot(a, b, "o", mfc="none", mec="black", ms=11, mew=2)
    if not fits:
        left.plot(*fitted.flatten().tolist(), "x", color="black", ms=9, mew=2)
    code = "#" + "".join(f"{round(255 * float(v)):02x}" for v in rgb)
    right.imshow(rgb.view(1, 1, 3).numpy())
    right.axis("off")
    fit = "inside sRGB" if fits else "outside sRGB: the patch is the nearest chroma that fits (×)"
    right.set_title(f"L {L:.0f}, a {a:.0f}, b {b:.0f}\nRGB {code}\n{fit}", fontsize=9, wrap=True)
    share = 100 * inside.float().mean().item()
    alt = (
        f"The ab plane at L = {L:.0f}: sRGB covers {share:.0f}% of the square from -128 to 128. "
        f"The picked colour a = {a:.0f}, b = {b:.0f} is {'inside' if fits else 'outside'}; its "
        f"patch is {code}."
    )
    return fig, alt


def _draw_plane(ax: Any, plane: torch.Tensor, L: float) -> None:
    extent = (-REACH, REACH, -REACH, REACH)
    ax.imshow(plane[0].permute(1, 2, 0).numpy(), extent=extent)
    ax.axhline(0, color="gray", lw=0.5)
    ax.axvline(0, color="gray", lw=0.5)
    ax.set(xlabel="a: green to red", ylabel="b: blue to yellow", title=f"sRGB at L = {L:.0f}")


def gamut_explorer() -> None:
    """Lesson 1: a slider for L, and two that pick a colour in the ab plane."""
    import ipywidgets

    wide = {"layout": {"width": "28em"}}
    explore(
        draw_gamut,
        L=ipywidgets.IntSlider(60, 0, 100, 1, description="L", **wide),
        a=ipywidgets.IntSlider(40, -REACH, REACH, 1, description="a", **wide),
        b=ipywidgets.IntSlider(30, -REACH, REACH, 1, description="b", **wide),
    )


# --- lesson 1: the channel mixer ------------------------------------------------------------------


def mix_channels(
    lab: torch.Tensor, scale_a: float = 1.0, scale_b: float = 1.0, turn: float = 0.0
) -> torch.Tensor:
    """Lab with a and b scaled, the hue turned by `turn` degrees, and the gamut fitted; L stays."""
    L, ab = color.split_lab(lab)
    ab = ab * torch.tensor([scale_a, scale_b]).view(1, 2, 1, 1)
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    turned = torch.cat([c * ab[:, :1] - s * ab[:, 1:], s * ab[:, :1] + c * ab[:, 1:]], dim=1)
    return color.join_lab(L, color.fit_gamut(L, turned))


def channel_mixer(rgb: torch.Tensor, other: torch.Tensor) -> None:
    """Lesson 1: scale a and b of a photograph, turn its hue, or take the ab of another one.

    Parameters
    ----------
    rgb, other : Tensor
        Two pictures (1, 3, H, W) of one size.
    """
    if rgb.shape != other.shape:
        raise ValueError(f"two pictures of one size, please: {rgb.shape} and {other.shape}")
    import ipywidgets

    labs = {"its own": color.rgb_to_lab(rgb), "the other photograph's": color.rgb_to_lab(other)}

    def draw_mix(colours: str, scale_a: float, scale_b: float, turn: float) -> Drawing:
        lab = color.join_lab(labs["its own"][:, :1], labs[colours][:, 1:])
        mixed = mix_channels(lab, scale_a, scale_b, turn)
        fig, axes = plt.subplots(1, 3, figsize=(8.4, 3.1), layout="constrained")
        draw_picture(axes[0], rgb, "the photograph")
        draw_picture(axes[1], mixed[:, :1], "L: never touched")
        draw_picture(axes[2], color.lab_to_rgb(mixed), "the same L, mixed colours")
        alt = (
            f"A photograph, its L, and the same L with {colours} colours: a times {scale_a:.1f}, "
            f"b times {scale_b:.1f}, hue turned by {turn:.0f} degrees."
        )
        return fig, alt

    wide = {"layout": {"width": "28em"}, "style": {"description_width": "7em"}}
    late = {"continuous_update": False, **wide}
    explore(
        draw_mix,
        colours=ipywidgets.Dropdown(options=list(labs), description="colours of", **wide),
        scale_a=ipywidgets.FloatSlider(1, min=-2, max=2, step=0.1, description="a times", **late),
        scale_b=ipywidgets.FloatSlider(1, min=-2, max=2, step=0.1, description="b times", **late),
        turn=ipywidgets.IntSlider(0, 0, 360, 5, description="turn hue by °", **late),
    )


# --- lesson 2: snapshots of a training ------------------------------------------------------------


def draw_snapshot(
    step: int, lab: torch.Tensor, snapshots: Mapping[int, torch.Tensor], losses: Sequence[float]
) -> Drawing:
    """What a network had learned after `step` steps, beside the truth, and where its loss was.

    Parameters
    ----------
    step : int
        A key of `snapshots`.
    lab : Tensor
        The photograph, (1, 3, H, W).
    snapshots : mapping of int to Tensor
        Steps done to the network's ab, (1, 2, H, W).
    losses : sequence of float
        The loss of each step.
    """
    L, truth = color.split_lab(lab)
    ab = snapshots[step].to(lab.device)
    error = (ab - truth).square().mean().item()
    fig, axes = plt.subplots(
        1, 4, figsize=(9.6, 2.5), width_ratios=(1, 1, 1, 1.3), layout="constrained"
    )
    draw_picture(axes[0], color.lab_to_rgb(lab), "truth")
    draw_picture(axes[1], color.lab_to_rgb(color.join_lab(L, ab)), f"after {step} steps")
    draw_picture(axes[2], colour_alone(L, ab), "colour alone")
    axes[3].semilogy(range(1, len(losses) + 1), losses, color="#31688e", lw=1.2)
    axes[3].plot(step, error, "o", color="#b3261e")
    axes[3].set(xlabel="step", title=f"ab MSE {error:.3g}")
    alt = (
        f"The photograph, the network's colours after {step} steps, the same with lightness "
        f"averaged out, and the loss curve with this step marked: ab MSE {error:.3g}."
    )
    return fig, alt


def snapshot_scrubber(
    lab: torch.Tensor, snapshots: Mapping[int, torch.Tensor], losses: Sequence[float]
) -> None:
    """Lesson 2: a slider through the snapshots of a training; arguments as `draw_snapshot`."""
    import ipywidgets

    if not snapshots:
        raise ValueError("there is no snapshot to show: keep the network's ab at some steps")
    kept = {n: ab.detach().cpu().clone() for n, ab in snapshots.items()}  # training may go on

    def draw(step: int) -> Drawing:
        return draw_snapshot(step, lab.cpu(), kept, losses)

    slider = ipywidgets.SelectionSlider(
        options=sorted(kept), value=max(kept), description="steps", layout={"width": "32em"}
    )
    explore(draw, step=slider)


# --- lesson 4: from the mean to the mode ----------------------------------------------------------


def draw_temperature(
    temperature: float,
    L: torch.Tensor,
    logits: torch.Tensor,
    net: Classifier,
    decode: Callable[..., torch.Tensor],
) -> Drawing:
    """What a classifier shows at one temperature: pictures, colour alone, and how vivid it is.

    Parameters
    ----------
    temperature : float
    L : Tensor
        (N, 1, H, W).
    logits : Tensor
        The classifier's, (N, Q, h, w).
    net : Classifier
        It knows the bins, and enlarges.
    decode : callable
        ``decode(logits, bins, temperature)`` to ab (N, 2, h, w).
    """
    ab = color.fit_gamut(L, net.enlarge(decode(logits, net.bins.to(logits), temperature), L))
    chroma = ab.norm(dim=1).mean().item()
    fig, axes = plt.subplots(
        2, len(L), figsize=(1.6 * len(L), 3.4), squeeze=False, layout="constrained"
    )
    rows = color.lab_to_rgb(color.join_lab(L, ab)), colour_alone(L, ab)
    for row, pictures in zip(axes, rows, strict=True):
        for ax, picture in zip(row, pictures.split(1), strict=True):
            draw_picture(ax, picture)
    fig.suptitle(f"T = {temperature:.2f}, mean chroma {chroma:.1f}", fontsize=10)
    alt = (
        f"{len(L)} pictures coloured at temperature {temperature:.2f}, below them their colours at "
        f"one lightness. The mean chroma is {chroma:.1f}."
    )
    return fig, alt


def temperature_slider(
    net: Classifier, L: torch.Tensor, decode: Callable[..., torch.Tensor]
) -> None:
    """Lesson 4: a slider from the mode to the mean; arguments as `draw_temperature`."""
    import ipywidgets

    L, logits = L.cpu(), net.logits(L).cpu()  # computed once; a slider decodes only

    def draw(temperature: float) -> Drawing:
        return draw_temperature(temperature, L, logits, net, decode)

    options = [0.02, 0.05, 0.1, 0.2, 0.3, 0.38, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    slider = ipywidgets.SelectionSlider(
        options=options, value=0.38, description="T", layout={"width": "28em"}
    )
    explore(draw, temperature=slider)


# --- lesson 5: a game of one dimension ----------------------------------------------------------


def toy_slider(snapshots: Mapping[int, Any], true: torch.Tensor) -> None:
    """Lesson 5: a slider through a game; arguments as `colorcourse.lesson05.figures.toy_figure`."""
    import ipywidgets

    from colorcourse.lesson05.figures import toy_figure

    first, last = min(snapshots), max(snapshots)

    def draw(step: int) -> Drawing:
        made = snapshots[step].made
        alt = (
            f"Three moments of the game: its beginning, step {step}, its end. True numbers form "
            f"two hills. At step {step} the made ones have mean {made.mean():.1f} and standard "
            f"deviation {made.std():.1f}; the critic's answer is drawn as a curve."
        )
        return toy_figure({n: snapshots[n] for n in sorted({first, step, last})}, true), alt

    steps = sorted(snapshots)
    slider = ipywidgets.SelectionSlider(
        options=steps, value=steps[len(steps) // 3], description="step", layout={"width": "32em"}
    )
    explore(draw, step=slider)

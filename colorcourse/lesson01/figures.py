"""Figures of lesson 1: a photograph taken apart, steps as the eye sees them, what sRGB can show."""

import math

import ipywidgets
import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from colorkit import color
from colorkit.plots import draw_picture, fitted_rgb, picture_grid
from colorkit.widgets import Drawing, explore

REACH = 128  # the ab plane is drawn from -REACH to REACH; sRGB has |a|, |b| below 108
_WIDE = {"layout": {"width": "28em"}, "style": {"description_width": "7em"}}


def gamut_plane(L: float, size: int = 192, reach: float = REACH) -> tuple[Tensor, Tensor]:
    """What sRGB can show at one L on the ab plane from -reach to reach, the rest in gray.

    Returns RGB (1, 3, size, size), in which a rises by column and b falls by row, and the mask of
    what is inside (1, 1, size, size).
    """
    axis = torch.linspace(-reach, reach, size)
    b, a = torch.meshgrid(-axis, axis, indexing="ij")
    lab = torch.stack([torch.full_like(a, float(L)), a, b])[None]
    inside = ~color.out_of_gamut(*color.split_lab(lab))
    return torch.where(inside, color.lab_to_rgb(lab), 0.75), inside


def taken_apart(rgb: Tensor, lab: Tensor) -> Figure:
    """Photographs (N, 3, H, W), their Lab channel by channel, and the channels joined: a row each.

    a and b are shown at an L of 65, the other one at 0.
    """
    L, ab = color.split_lab(lab)
    light, alone = torch.full_like(L, 65), torch.eye(2).view(2, 1, 2, 1, 1)
    pictures = {
        "photograph": rgb,
        "L: black to white": L,
        "a: green to red": fitted_rgb(light, ab * alone[0]),
        "b: blue to yellow": fitted_rgb(light, ab * alone[1]),
        "L, a and b joined": color.lab_to_rgb(lab),
    }
    return picture_grid([{k: x[i] for k, x in pictures.items()} for i in range(len(rgb))], 2.0)


def side_by_side(pictures: dict[str, Tensor]) -> Figure:
    """Pictures (3, 110, 110) without gaps; each pixel is 2 x 2 of the figure's."""
    fig, axes = plt.subplots(1, len(pictures), figsize=(2 * len(pictures), 2.3))
    fig.subplots_adjust(0, 0, 1, 2 / 2.3, wspace=0)
    for ax, (title, picture) in zip(axes, pictures.items(), strict=True):
        draw_picture(ax, picture, title)
    return fig


def step_histogram(seen: dict[str, Tensor]) -> Figure:
    """How long steps look in each space, relative to the mean there."""
    fig, ax = plt.subplots(figsize=(7.2, 3), layout="constrained")
    for (space, steps), dash in zip(seen.items(), ("--", "-"), strict=True):
        relative, style = (
            (steps / steps.mean()).clamp(max=2.99),
            {"histtype": "step", "lw": 2, "ls": dash},
        )
        ax.hist(relative.numpy(), bins=60, range=(0, 3), label=space, **style)
    ax.axvline(1, color="black", lw=0.8, label="a uniform space")
    ax.set(xlabel="seen length of a step over the mean (the last bin: and above)", ylabel="steps")
    ax.set_title("Steps of equal length do not look equally long")
    ax.legend()
    return fig


def draw_plane(ax: Axes, L: float, size: int = 192) -> tuple[Tensor, Tensor]:
    """Draw what sRGB can show at one L on the ab plane, the rest in gray.

    Returns what is drawn, RGB (1, 3, size, size), and the mask of what is inside; b falls by row.
    """
    plane, inside = gamut_plane(L, size)
    ax.imshow(plane[0].movedim(0, -1).numpy(), extent=(-REACH, REACH, -REACH, REACH))
    ax.axhline(0, color="gray", lw=0.5)
    ax.axvline(0, color="gray", lw=0.5)
    ax.set(xlabel="a: green to red", ylabel="b: blue to yellow", title=f"sRGB at L = {L:.0f}")
    return plane, inside


def draw_gamut(L: float, a: float, b: float) -> Drawing:
    """The ab plane inside sRGB at one L, with one colour picked on it and shown as a patch."""
    lab = torch.tensor([L, a, b]).view(1, 3, 1, 1).float()
    fitted = color.join_lab(lab[:, :1], color.fit_gamut(*color.split_lab(lab)))
    rgb = color.lab_to_rgb(fitted)
    fits = torch.equal(fitted, lab)
    fig, (left, right) = plt.subplots(
        1, 2, figsize=(8.4, 4.2), width_ratios=(3, 2), layout="constrained"
    )
    share = draw_plane(left, L)[1].float().mean().item()
    left.plot(a, b, "o", mfc="none", mec="black", ms=11, mew=2)
    if not fits:
        left.plot(*fitted[0, 1:, 0, 0].tolist(), "x", color="black", ms=9, mew=2)
    code = "#" + "".join(f"{round(255 * value):02x}" for value in rgb.flatten().tolist())
    fit = (
        "inside the gamut"
        if fits
        else "outside the gamut: the patch is the nearest chroma that fits (×)"
    )
    draw_picture(right, rgb, f"L {L:.0f}, a {a:.0f}, b {b:.0f}\nRGB {code}\n{fit}")
    alt = (
        f"The ab plane at L = {L:.0f}: sRGB covers {share:.0%} of the square from -128 to 128. "
        f"The picked colour a = {a:.0f}, b = {b:.0f} is {'inside' if fits else 'outside'}; its "
        f"patch is {code}."
    )
    return fig, alt


def gamut_explorer() -> None:
    """A slider for L, and two that pick a colour in the ab plane."""
    ranges = {"L": (60, 0, 100), "a": (40, -REACH, REACH), "b": (30, -REACH, REACH)}
    sliders = {k: ipywidgets.IntSlider(*v, description=k, **_WIDE) for k, v in ranges.items()}
    explore(draw_gamut, **sliders)


def mix_channels(lab: Tensor, scale_a: float, scale_b: float, turn: float) -> Tensor:
    """Lab with a and b scaled, the hue turned by `turn` degrees, and the gamut fitted; L stays."""
    L, ab = color.split_lab(lab)
    a, b = scale_a * ab[:, :1], scale_b * ab[:, 1:]
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    turned = torch.cat([cos * a - sin * b, sin * a + cos * b], dim=1)
    return color.join_lab(L, color.fit_gamut(L, turned))


def channel_mixer(rgb: Tensor, other: Tensor) -> None:
    """Scale a and b of a photograph, turn its hue, or take the ab of another one.

    Both pictures are (1, 3, H, W), of one size.
    """
    labs = {"its own": color.rgb_to_lab(rgb), "the other photograph's": color.rgb_to_lab(other)}

    def draw_mix(colours: str, scale_a: float, scale_b: float, turn: float) -> Drawing:
        lab = color.join_lab(labs["its own"][:, :1], labs[colours][:, 1:])
        mixed = mix_channels(lab, scale_a, scale_b, turn)
        pictures = {
            "the photograph": rgb,
            "its L": mixed[:, :1],
            "new colours": color.lab_to_rgb(mixed),
        }
        alt = (
            f"A photograph, its L, and the same L with {colours} colours: a times {scale_a:.1f}, "
            f"b times {scale_b:.1f}, hue turned by {turn:.0f} degrees."
        )
        return picture_grid([pictures], 2.8), alt

    late = {"continuous_update": False, **_WIDE}
    explore(
        draw_mix,
        colours=ipywidgets.Dropdown(options=list(labs), description="colours of", **_WIDE),
        scale_a=ipywidgets.FloatSlider(1, min=-2, max=2, step=0.1, description="a times", **late),
        scale_b=ipywidgets.FloatSlider(1, min=-2, max=2, step=0.1, description="b times", **late),
        turn=ipywidgets.IntSlider(40, 0, 360, 5, description="turn hue by °", **late),
    )

"""Figures of lesson 1 with controls: the gamut at one L, and the channels of a photograph mixed."""

import math

import ipywidgets
import matplotlib.pyplot as plt
import torch
from torch import Tensor

from colorkit.color import (
    fit_gamut,
    join_lab,
    lab_to_rgb,
    out_of_gamut,
    rgb_to_lab,
    split_lab,
)
from colorkit.plots import draw_picture
from colorkit.widgets import Drawing, explore

REACH = 128  # the ab plane is drawn from -REACH to REACH
_WIDE = {"layout": {"width": "28em"}, "style": {"description_width": "7em"}}


def gamut_plane(L: float, size: int = 192) -> tuple[Tensor, Tensor]:
    """The ab plane at one L: RGB (1, 3, size, size), and a mask of what sRGB can show.

    Row 0 is b = +REACH, column 0 is a = -REACH. Outside the gamut the picture is light gray.
    """
    axis = torch.linspace(-REACH, REACH, size)
    b, a = torch.meshgrid(-axis, axis, indexing="ij")
    ab = torch.stack([a, b])[None]
    lightness = torch.full((1, 1, size, size), float(L))
    inside = ~out_of_gamut(lightness, ab)
    rgb = lab_to_rgb(join_lab(lightness, ab))
    return torch.where(inside, rgb, torch.full_like(rgb, 0.93)), inside


def draw_gamut(L: float, a: float, b: float) -> Drawing:
    """The ab plane inside sRGB at one L, with one colour picked on it and shown as a patch."""
    plane, inside = gamut_plane(L)
    lightness = torch.full((1, 1, 1, 1), float(L))
    ab = torch.tensor([a, b]).view(1, 2, 1, 1).float()
    fitted = fit_gamut(lightness, ab)
    rgb = lab_to_rgb(join_lab(lightness, fitted)).flatten()
    fits = not bool(out_of_gamut(lightness, ab))
    fig, (left, right) = plt.subplots(
        1, 2, figsize=(8.4, 4.2), width_ratios=(3, 2), layout="constrained"
    )
    left.imshow(plane[0].permute(1, 2, 0).numpy(), extent=(-REACH, REACH, -REACH, REACH))
    left.axhline(0, color="gray", lw=0.5)
    left.axvline(0, color="gray", lw=0.5)
    left.set(xlabel="a: green to red", ylabel="b: blue to yellow", title=f"sRGB at L = {L:.0f}")
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


def gamut_explorer() -> None:
    """A slider for L, and two that pick a colour in the ab plane."""
    explore(
        draw_gamut,
        L=ipywidgets.IntSlider(60, 0, 100, 1, description="L", **_WIDE),
        a=ipywidgets.IntSlider(40, -REACH, REACH, 1, description="a", **_WIDE),
        b=ipywidgets.IntSlider(30, -REACH, REACH, 1, description="b", **_WIDE),
    )


def mix_channels(lab: Tensor, scale_a: float, scale_b: float, turn: float) -> Tensor:
    """Lab with a and b scaled, the hue turned by `turn` degrees, and the gamut fitted; L stays."""
    L, ab = split_lab(lab)
    a, b = scale_a * ab[:, :1], scale_b * ab[:, 1:]
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    turned = torch.cat([cos * a - sin * b, sin * a + cos * b], dim=1)
    return join_lab(L, fit_gamut(L, turned))


def channel_mixer(rgb: Tensor, other: Tensor) -> None:
    """Scale a and b of a photograph, turn its hue, or take the ab of another one.

    Both pictures are (1, 3, H, W), of one size.
    """
    if rgb.shape != other.shape:
        raise ValueError(f"two pictures of one size, please: {rgb.shape} and {other.shape}")
    labs = {"its own": rgb_to_lab(rgb), "the other photograph's": rgb_to_lab(other)}

    def draw_mix(colours: str, scale_a: float, scale_b: float, turn: float) -> Drawing:
        lab = join_lab(labs["its own"][:, :1], labs[colours][:, 1:])
        mixed = mix_channels(lab, scale_a, scale_b, turn)
        fig, axes = plt.subplots(1, 3, figsize=(8.4, 3.1), layout="constrained")
        draw_picture(axes[0], rgb, "the photograph")
        draw_picture(axes[1], mixed[:, :1], "L: never touched")
        draw_picture(axes[2], lab_to_rgb(mixed), "the same L, mixed colours")
        alt = (
            f"A photograph, its L, and the same L with {colours} colours: a times {scale_a:.1f}, "
            f"b times {scale_b:.1f}, hue turned by {turn:.0f} degrees."
        )
        return fig, alt

    late = {"continuous_update": False, **_WIDE}
    explore(
        draw_mix,
        colours=ipywidgets.Dropdown(options=list(labs), description="colours of", **_WIDE),
        scale_a=ipywidgets.FloatSlider(1, min=-2, max=2, step=0.1, description="a times", **late),
        scale_b=ipywidgets.FloatSlider(1, min=-2, max=2, step=0.1, description="b times", **late),
        turn=ipywidgets.IntSlider(0, 0, 360, 5, description="turn hue by °", **late),
    )

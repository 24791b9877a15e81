"""Lessons 3 to 5 and photographs: what is left out of these, and two that all networks colour."""

from collections.abc import Mapping

import torch

from colorkit.color import rgb_to_lab, split_lab
from colorkit.data.pictures import Pictures, photograph
from colorkit.models import Colorizer, Oracle
from colorkit.notebook import tell
from colorkit.plots import fitted_rgb, picture_grid, show
from colorkit.worlds import World

LEFT_OUT = (
    "Left out: this needs to know which colours were possible and how probable each was, as in the "
    "orchard, which the text and the descriptions of figures are about."
)
SHOWN = {
    "grace_hopper": "an officer in a dark uniform before a flag, Grace Hopper",
    "astronaut": "an astronaut in an orange suit beside a flag, Eileen Collins",
}


def left_out() -> None:
    """Say, in place of a result, that photographs do not allow it."""
    tell("info", "photographs", LEFT_OUT)


def oracle_of(world: World | None) -> dict[str, Oracle]:
    """A made world's oracle under that name; of photographs none, and why."""
    if world is None:
        left_out()
        return {}
    return {"oracle": Oracle(world)}


def on_photographs(nets: Mapping[str, Colorizer], pictures: Pictures, seen: str = "") -> None:
    """Show two photographs that come along, as large as a lesson's pictures, by its networks.

    `seen` is added to the alt text: what there is to see in this lesson.
    """
    size = pictures.test[0].shape[-1]
    L, ab = split_lab(rgb_to_lab(torch.cat([photograph(name, size) for name in SHOWN])))
    planes = {"true": ab} | {name: net.colorize(L).cpu() for name, net in nets.items()}
    rgb = {name: fitted_rgb(L, plane) for name, plane in planes.items()}
    rows = [{"gray": L[i]} | {name: x[i] for name, x in rgb.items()} for i in range(len(L))]
    chroma = {n: rgb_to_lab(x)[:, 1:].norm(dim=1).mean().item() for n, x in rgb.items()}
    alt = f"Two photographs, {'; '.join(SHOWN.values())}: gray, in true colours, and by "
    alt += f"{', '.join(nets)}. How vivid they are, as mean chroma: "
    alt += ", ".join(f"{n} {c:.0f}" for n, c in chroma.items())
    show(picture_grid(rows, 1.8), f"{alt}. {seen}".strip())

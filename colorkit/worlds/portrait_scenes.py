"""Portraits: stylised faces whose tones of skin and hair have known, adjustable shares."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from . import face, grounds
from .colours import Kind, Mode, Palette
from .drawing import Canvas, Light, Patch, column
from .draws import Draws
from .link import Link
from .orchard_scenes import ANY_COLOUR
from .scene import Scene
from .world import World

# Tones are numbered from the lightest to the deepest; their colours overlap in brightness.
TONES = {
    "tone 1": (Mode("tone 1", 40, 0.30), 77.0, 0.2),
    "tone 2": (Mode("tone 2", 66, 0.34), 71.0, 0.2),
    "tone 3": (Mode("tone 3", 50, 0.44), 64.0, 0.2),
    "tone 4": (Mode("tone 4", 67, 0.42), 56.0, 0.15),
    "tone 5": (Mode("tone 5", 54, 0.52), 47.0, 0.15),
    "tone 6": (Mode("tone 6", 45, 0.36), 39.0, 0.1),
}
HAIR = {
    "black": (Mode("black", 285, 0.10), 17.0, 0.32),
    "brown": (Mode("brown", 62, 0.48), 28.0, 0.30),
    "red": (Mode("red", 53, 0.60), 42.0, 0.08),
    "blond": (Mode("blond", 82, 0.52), 62.0, 0.18),
    "gray": (Mode("gray", 260, 0.05), 60.0, 0.12),
}
PALETTE = Palette(
    (
        Kind("clothes", ANY_COLOUR, (0.12,) + (0.08,) * 11),
        Kind("hair", tuple(row[0] for row in HAIR.values()), tuple(r[2] for r in HAIR.values())),
        Kind("skin", tuple(row[0] for row in TONES.values()), tuple(r[2] for r in TONES.values())),
        Kind("lips", (Mode("rose", 16, 0.40), Mode("brown", 38, 0.40), Mode("red", 28, 0.72),
                      Mode("plum", 346, 0.38)), (0.45, 0.3, 0.17, 0.08)),
        Kind("iris", (Mode("brown", 60, 0.52), Mode("blue", 255, 0.42), Mode("green", 135, 0.30),
                      Mode("gray", 250, 0.08)), (0.6, 0.22, 0.1, 0.08)),
        Kind("eye", (Mode("white", 80, 0.06),)),
        Kind("lashes", (Mode("dark", 50, 0.12),)),
        Kind("backdrop", (Mode("gray", 80, 0.06), Mode("blue", 250, 0.36), Mode("sage", 145, 0.26),
                          Mode("ochre", 78, 0.40), Mode("rose", 15, 0.30), Mode("teal", 200, 0.44)),
             (0.3, 0.2, 0.15, 0.15, 0.1, 0.1)),
    )
)  # fmt: skip
_SLOTS = {
    face.BACKDROP: "backdrop", face.CLOTHES: "clothes", face.HAIR: "hair", face.SKIN: "skin",
    face.BROWS: "hair", face.LIPS: "lips", face.IRIS: "iris", face.WHITE: "eye",
    face.LASH: "lashes",
}  # fmt: skip


def _link(what: str, rows: dict, shares: Mapping[str, float] | None, spread: float, *ends) -> Link:
    """The link of the modes in `rows`, with shares by name; a name left out has share 0."""
    if shares is None:
        shares = {name: share for name, (_, _, share) in rows.items()}
    unknown = set(shares) - set(rows)
    if unknown:
        raise ValueError(f"no {what} called {sorted(unknown)}: choose among {list(rows)}")
    each = tuple(float(shares.get(name, 0)) for name in rows)
    return Link(tuple(rows), each, tuple(centre for _, centre, _ in rows.values()), spread, *ends)


def draw(index: np.ndarray, size: int, seed: int, links: tuple[Link, Link]) -> Scene:
    """Draw the portraits numbered `index` (n,)."""
    n = len(index)
    d = Draws(seed, "portraits", index)
    levels = tuple(d.choice(link.joint.sum(1)) for link in links)
    skin, hair = (link.levels[level] for link, level in zip(links, levels, strict=True))
    light = Light.draw(d)
    x, y = 0.5 + d.uniform(-0.035, 0.035), d.uniform(0.45, 0.48)
    radius, tilt = d.uniform(0.295, 0.325), d.uniform(-0.04, 0.04)
    looks = face.Looks.draw(d)
    q = {name: d.uniform() for name in ("shift", "tone")} | {"side": np.sign(light.x)}
    q["tone"] = q["tone"] * 0.9
    view = grounds.View(size, np.full(n, 1.5))
    patch = Patch.whole(x, y, radius, tilt, size, light)
    canvas = Canvas(n, size)
    canvas.cover(face.head(patch, looks, grounds.wall(view, q), column(skin), column(hair)))
    face.features(canvas, (x, y, radius, tilt), light, looks, skin, hair)
    kind = np.full((n, 10), -1)
    for slot, name in _SLOTS.items():
        kind[:, slot] = PALETTE.number(name)
    probs = np.where(kind[..., None] >= 0, PALETTE.probs[kind], 0)
    for slot, which in ((face.SKIN, 0), (face.HAIR, 1), (face.BROWS, 1)):
        probs[:, slot, : len(links[which].names)] = links[which].conditional[levels[which]]
    twin = np.arange(10)
    twin[face.BROWS] = face.HAIR
    facts = {"skin_level": levels[0], "hair_level": levels[1]}
    return Scene.finish(canvas, PALETTE, kind, probs, twin, facts)


class Portraits(World):
    """A world of faces that also knows how brightness and colour hang together.

    `skin` and `hair` hold p(tone | brightness) and p(hair colour | brightness).
    """

    skin: Link
    hair: Link


def portraits(
    n: int,
    size: int = 64,
    seed: int = 0,
    tones: Mapping[str, float] | None = None,
    hair: Mapping[str, float] | None = None,
    spread: float = 8.0,
) -> Portraits:
    """Stylised faces; brightness is drawn first, then the tone from p(tone | brightness).

    Parameters
    ----------
    n, size, seed : int
        As in `orchard`.
    tones : mapping, optional
        Shares of "tone 1" (lightest on average) to "tone 6", with sum 1; those left out are 0.
    hair : mapping, optional
        Shares of "black", "brown", "red", "blond" and "gray".
    spread : float
        Standard deviation of brightness within a tone, in L: the larger, the less L tells.

    Examples
    --------
    >>> world = portraits(2, size=32, tones={"tone 1": 0.9, "tone 6": 0.1})
    >>> 0 < world.skin.information < 1
    True
    """
    links = (
        _link("tone", TONES, tones, spread), _link("hair", HAIR, hair, spread, 12.0, 72.0)
    )  # fmt: skip
    world = Portraits(
        "portraits", n, size, seed, partial(draw, links=links), PALETTE,
        things=("clothes", "hair", "skin"),
        labels=lambda scene, modes: modes[:, face.SKIN], label_names=tuple(TONES),
    )  # fmt: skip
    world.skin, world.hair = links
    return world

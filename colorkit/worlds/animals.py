"""Brown bears, polar bears and boulders in gray, from the side."""

import numpy as np

from . import drawing
from .drawing import Layers, Patch, bump, column, ellipse, lit, noise, sample, solid

FUR, DARK = 1, 2  # parts: fur (or rock), and eyes, nose and claws
f = np.float32


def _blend(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """The smaller of two, rounded where they meet."""
    h = np.clip(f(0.5) + (b - a) * f(0.5 / width), 0, 1)
    return b + (a - b) * h - f(width) * h * (1 - h)


def _limb(u, v, foot: tuple, top: tuple, low: float, high: float) -> np.ndarray:
    """A leg from `foot` to `top`, tapering from `high` to `low`: below 1 inside."""
    du, dv = top[0] - foot[0], top[1] - foot[1]
    along = np.clip(
        ((u - f(foot[0])) * f(du) + (v - f(foot[1])) * f(dv)) / f(du * du + dv * dv), 0, 1
    )
    away = np.sqrt((u - f(foot[0]) - f(du) * along) ** 2 + (v - f(foot[1]) - f(dv) * along) ** 2)
    return away / (f(low) + f(high - low) * along)


def brown(p: Patch, q: np.ndarray, albedo: np.ndarray) -> Layers:
    """A brown bear: a hump over the shoulder, a big round head with a dished face, round ears."""
    u, v = p.u, p.v
    trunk = ellipse(u + f(0.14), v + f(0.06), 0.70, 0.42)
    trunk = _blend(trunk, ellipse(u - f(0.26), v - f(0.20), 0.36, 0.36), 0.2)  # the hump
    trunk = _blend(trunk, ellipse(u + f(0.55), v + f(0.04), 0.36, 0.42), 0.2)
    head = _blend(ellipse(u - f(0.76), v - f(0.12), 0.27, 0.26),
                  ellipse(u - f(1.00), v + f(0.00), 0.17, 0.12), 0.14)  # fmt: skip
    ears = np.minimum(ellipse(u - f(0.60), v - f(0.36), 0.10, 0.11),
                      ellipse(u - f(0.85), v - f(0.36), 0.085, 0.10))  # fmt: skip
    return _bear(p, q, albedo, trunk, _blend(head, ears, 0.08), 0.19, (0.88, 0.17, 1.15, 0.04))


def polar(p: Patch, q: np.ndarray, albedo: np.ndarray) -> Layers:
    """A polar bear: no hump, a high rump, a long neck, and a small, long, flat head."""
    u, v = p.u, p.v
    trunk = ellipse(u + f(0.20), v + f(0.02), 0.68, 0.38)
    trunk = _blend(trunk, ellipse(u + f(0.52), v - f(0.06), 0.38, 0.42), 0.2)
    neck = _limb(u, v, (0.88, 0.29), (0.22, 0.04), 0.14, 0.31)
    head = _blend(ellipse(u - f(0.94), v - f(0.31), 0.20, 0.135),
                  ellipse(u - f(1.13), v - f(0.24), 0.15, 0.08), 0.14)  # fmt: skip
    ears = ellipse(u - f(0.83), v - f(0.45), 0.05, 0.055)
    head = _blend(_blend(head, neck, 0.2), ears, 0.06)
    return _bear(p, q, albedo, trunk, head, 0.18, (1.00, 0.335, 1.27, 0.245))


def _legs(u, v, feet: tuple, step, paw: float, scale: float) -> np.ndarray:
    """Two legs with broad paws: hind and fore."""
    fore = _limb(u - step, v, (feet[0], -0.64), (feet[0] - 0.06, 0.0), paw * 0.82, 0.30 * scale)
    hind = _limb(u + step, v, (feet[1], -0.64), (feet[1] + 0.04, 0.02), paw * 0.85, 0.38 * scale)
    toes = np.minimum(
        ellipse(u - step - f(feet[0] + 0.06), v + f(0.69), paw * 1.15, paw * 0.72),
        ellipse(u + step - f(feet[1] + 0.06), v + f(0.69), paw * 1.15, paw * 0.72),
    )
    return _blend(np.minimum(fore, hind), toes, 0.25)


def _bear(p, q, albedo, trunk, head, paw: float, marks: tuple) -> Layers:
    """Far legs, trunk and near legs, head, eye and nose."""
    layers = Layers(p)
    u, v, shift = p.u, p.v, column(q[:, 0] * 512)
    # back and down
    strands = sample(drawing.speckle(), u * 44 + v * 20 + shift, v * 22 - u * 8 + shift)
    fur = 1 + (strands * f(0.06) + drawing.nearest(noise(), u * 40 + shift, v * 40) * f(0.03))
    tufts = (fur - 1) * f(0.55)  # ragged outlines
    step = column(q[:, 1] * 0.14 - 0.07)
    far = _legs(u, v + f(-0.05), (0.46, -0.36), -step, paw * 0.9, 0.9) + tufts
    layers.shade_around(np.minimum(trunk, far), 0.25)
    skin = solid(far, flat=0.2)
    layers.paint(skin.cover, lit(skin, p.light, albedo * f(0.66)) * fur, FUR)
    near = _legs(u, v, (0.22, -0.62), step, paw, 1.0)
    skin = solid(np.clip(_blend(trunk, near, 0.30) + tufts, 0, 2), flat=0.22)
    belly = bump(v + f(0.42), f(0.22)) * f(0.18)
    layers.paint(skin.cover, lit(skin, p.light, albedo * f(0.95)) * fur * (1 - belly), FUR)
    near_head = drawing.smooth(1.7, 1.0, head) * f(0.22)
    layers.darken(near_head * (head > 1))
    skin = solid(np.clip(head + tufts, 0, 2), flat=0.22)
    layers.paint(skin.cover, lit(skin, p.light, albedo) * fur, FUR)
    eu, ev, nu, nv = (f(x) for x in marks)
    eye = solid(ellipse(u - eu, v - ev, 0.035, 0.035))
    nose = solid(ellipse(u - nu, v - nv, 0.05, 0.042))
    mouth = bump(v - nv + f(0.075) + (u - nu) * f(0.15), f(0.015)) * bump(u - nu + f(0.08), f(0.07))
    layers.darken(mouth * f(0.5))
    layers.paint(np.maximum(eye.cover, nose.cover), np.minimum(albedo * 0 + f(9), albedo), DARK)
    glint = bump(u - eu + f(0.01), f(0.012)) * bump(v - ev - f(0.012), f(0.012))
    layers.lightness += glint * f(40) * (layers.part == DARK)
    return layers


def boulder(p: Patch, q: np.ndarray, albedo: np.ndarray) -> Layers:
    """A boulder of about a bear's size: facets, cracks, no limbs."""
    layers = Layers(p)
    shift = column(q[:, 0] * 512)
    lumps = sample(noise(), p.u * 18 + shift, p.v * 18 + shift)
    u = p.u - column(q[:, 1] * 0.5 - 0.25) * p.v
    rho = ellipse(u, p.v + f(0.22), 1.0, 0.72) + lumps * f(0.085)
    rho = np.maximum(rho, (f(-0.72) - p.v) * f(4) + 1)
    layers.shade_around(rho, 0.25)
    skin = solid(rho)
    grain = sample(noise(), p.u * 90 + shift, p.v * 90)
    cracks = bump(sample(noise(), p.u * 22 + shift, p.v * 40 + shift), f(0.07)) * f(0.3)
    shine = lit(skin, p.light, albedo) * (1 + grain * f(0.07) + lumps * f(0.07)) * (1 - cracks)
    layers.paint(skin.cover, shine, FUR)
    return layers

"""sRGB and CIE Lab on tensors: conversion, colour differences, and the edge of the gamut.

Lab here is CIE 1976 L*a*b* for the white D65 and the 2 degree observer, with the same matrix and
white point as scikit-image (``skimage.color.colorconv``), so that numbers agree with it.

Shapes are those of the whole library: RGB ``(N, 3, H, W)``, uint8 in 0..255 or float in [0, 1];
L ``(N, 1, H, W)`` in [0, 100]; ab ``(N, 2, H, W)`` in Lab units; Lab ``(N, 3, H, W)``. Anything
else raises. Checks of *values* (range, NaN) are left out while ``torch.compile`` traces, since a
compiled graph cannot raise on them.

References
----------
IEC 61966-2-1:1999 (sRGB); CIE 15:2004 (Lab, with the exact cut (6/29)^3); G. Sharma, W. Wu,
E. N. Dalal, "The CIEDE2000 color-difference formula", Color Research & Application 30 (2005).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "GAMUT_TOLERANCE",
    "WHITE_D65",
    "XYZ_FROM_RGB",
    "ciede2000",
    "delinearize",
    "delta_e76",
    "fit_gamut",
    "join_lab",
    "lab_to_rgb",
    "linearize",
    "max_chroma",
    "out_of_gamut",
    "rgb_to_lab",
    "split_lab",
]

WHITE_D65 = (0.95047, 1.0, 1.08883)
"""XYZ of the white D65, 2 degree observer, as in ``skimage.color.xyz_tristimulus_values``."""

XYZ_FROM_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
"""Linear sRGB to XYZ, as in ``skimage.color.colorconv.xyz_from_rgb`` (BT.709 primaries, D65)."""

GAMUT_TOLERANCE = 1e-4
"""How far linear light may leave [0, 1] and still count as inside: white itself is 1.00008."""

PICTURE_TOLERANCE = 1e-4
"""How far a float picture may leave [0, 1] before it is refused (rounding, not overshoot)."""

L_TOLERANCE = 0.01
"""How far L may leave [0, 100] before it is refused: what PICTURE_TOLERANCE becomes in L."""

_GAMMA_CUT, _LINEAR_CUT = 0.04045, 0.0031308  # where sRGB's straight piece ends, both sides
_DELTA = 6 / 29  # where the cube root of Lab gives way to its tangent
_SLOPE = 3 * _DELTA**2
_SRGB_TO_T = tuple(
    tuple(m / white for m in row) for row, white in zip(XYZ_FROM_RGB, WHITE_D65, strict=True)
)
_T_TO_SRGB = tuple(map(tuple, np.linalg.inv(np.array(_SRGB_TO_T)).tolist()))
_BLOCK = 16_384  # pixels: three channels of float32 and a few temporaries stay in the L2 cache
_CHROMA_LIMIT = 200.0  # no sRGB colour has a chroma above 134
_BISECTIONS = 30  # 200 / 2^30 is 2e-7, below the rounding of a chroma in float32


# Conversion -----------------------------------------------------------------------------------


def linearize(srgb: Tensor) -> Tensor:
    """Undo the sRGB gamma: encoded values to linear light.

    Parameters
    ----------
    srgb : Tensor
        Any shape; uint8 in 0..255 or float in [0, 1] (tolerance 1e-4).

    Returns
    -------
    Tensor
        Same shape, float32, 0 for black and 1 for white. Differentiable for floats.

    Raises
    ------
    TypeError
        If the dtype is neither uint8 nor floating.
    ValueError
        If a float is outside [0, 1] or not a number.

    Examples
    --------
    >>> linearize(torch.tensor([0, 128, 255], dtype=torch.uint8))
    tensor([0.0000, 0.2159, 1.0000])
    """
    _check_picture_values(srgb)
    return _linearize(_as_unit_float(srgb))


def delinearize(linear: Tensor) -> Tensor:
    """Apply the sRGB gamma: linear light to encoded values.

    Parameters
    ----------
    linear : Tensor
        Any shape, float; [0, 1] inside the gamut. Values outside are continued: below 0 along
        the straight piece, above 1 along the power.

    Returns
    -------
    Tensor
        Same shape, float32, [0, 1] inside the gamut. Differentiable.

    Raises
    ------
    TypeError
        If the dtype is not floating.
    ValueError
        If a value is not finite.

    Examples
    --------
    >>> delinearize(torch.tensor([0.0, 0.2140, 1.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    _check_float(linear, "linear light")
    _check_finite(linear, "linear light")
    return _delinearize(linear.float())


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert sRGB pictures to Lab.

    Parameters
    ----------
    rgb : Tensor
        (N, 3, H, W), uint8 in 0..255 or float in [0, 1] (tolerance 1e-4), any device.

    Returns
    -------
    Tensor
        (N, 3, H, W) float32: L in [0, 100] to rounding, a and b in about [-108, 98].
        Differentiable for floats, black included.

    Raises
    ------
    TypeError
        If `rgb` is no tensor, or neither uint8 nor floating.
    ValueError
        If the shape is not (N, 3, H, W), or a float is outside [0, 1] or not a number.

    Examples
    --------
    >>> red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    >>> rgb_to_lab(red).flatten()
    tensor([53.2406, 80.0923, 67.2028])
    """
    _check_shape(rgb, 3, "an RGB picture")
    _check_picture_values(rgb)
    if _wants_plain_formula(rgb):
        return _rgb_to_lab(rgb if rgb.dtype == torch.uint8 else rgb.float())
    return _in_blocks(_encode_block, rgb)


def lab_to_rgb(lab: Tensor, *, clip: bool = True) -> Tensor:
    """Convert Lab to sRGB.

    Parameters
    ----------
    lab : Tensor
        (N, 3, H, W) float, L in [0, 100] (tolerance 0.01), any device.
    clip : bool
        Clip the result to [0, 1], the default. Clipping a colour outside sRGB changes its L: use
        `fit_gamut` first to keep L. False returns what the formula gives, below 0 or above 1
        outside sRGB.

    Returns
    -------
    Tensor
        (N, 3, H, W) float32. Differentiable (where clipped, the gradient is 0).

    Raises
    ------
    TypeError
        If `lab` is no floating tensor.
    ValueError
        If the shape is not (N, 3, H, W), L is outside [0, 100], or a value is not finite.

    Examples
    --------
    >>> lab_to_rgb(torch.tensor([53.2406, 80.0923, 67.2028]).view(1, 3, 1, 1)).flatten().round()
    tensor([1., 0., 0.])
    """
    _check_lab(lab)
    if _wants_plain_formula(lab):
        rgb = _delinearize(_lab_to_linear(lab.float()))
        return rgb.clamp(0, 1) if clip else rgb
    return _in_blocks(_decode_clipped_block if clip else _decode_block, lab)


def split_lab(lab: Tensor) -> tuple[Tensor, Tensor]:
    """Split Lab (N, 3, H, W) into L (N, 1, H, W) and ab (N, 2, H, W), both views.

    Raises
    ------
    TypeError
        If `lab` is no floating tensor.
    ValueError
        If the shape is not (N, 3, H, W).
    """
    _check_shape(lab, 3, "Lab")
    _check_float(lab, "Lab")
    return lab[:, :1], lab[:, 1:]


def join_lab(L: Tensor, ab: Tensor) -> Tensor:
    """Join L (N, 1, H, W) and ab (N, 2, H, W) to Lab (N, 3, H, W).

    Raises
    ------
    TypeError
        If one of the two is no floating tensor.
    ValueError
        If the shapes are others, or differ in N, H or W.
    """
    _check_pair(L, ab)
    return torch.cat([L, ab], dim=1)


# Colour differences ---------------------------------------------------------------------------


def delta_e76(lab1: Tensor, lab2: Tensor) -> Tensor:
    """Delta E 1976: the Euclidean distance in Lab.

    Parameters
    ----------
    lab1, lab2 : Tensor
        (N, 3, H, W) float, equal shapes.

    Returns
    -------
    Tensor
        (N, 1, H, W) in Lab units; float64 if one of the two is, else float32. Differentiable;
        the gradient at an exact match is 0.

    Raises
    ------
    TypeError
        If one of the two is no floating tensor.
    ValueError
        If the shapes are others or differ, or a value is not finite.

    Examples
    --------
    >>> gray = torch.tensor([50.0, 0.0, 0.0]).view(1, 3, 1, 1)
    >>> delta_e76(gray, torch.tensor([50.0, 3.0, 4.0]).view(1, 3, 1, 1)).item()
    5.0
    """
    lab1, lab2 = _check_two_labs(lab1, lab2)
    return _safe_sqrt((lab1 - lab2).square().sum(dim=1, keepdim=True))


def ciede2000(lab1: Tensor, lab2: Tensor) -> Tensor:
    """CIEDE2000, the difference as the eye sees it (kL = kC = kH = 1).

    Parameters
    ----------
    lab1, lab2 : Tensor
        (N, 3, H, W) float, equal shapes.

    Returns
    -------
    Tensor
        (N, 1, H, W), about 1 for a just visible difference; float64 if one of the two is, else
        float32. Symmetric. Differentiable; the gradient at an exact match is 0.

    Raises
    ------
    TypeError
        If one of the two is no floating tensor.
    ValueError
        If the shapes are others or differ, or a value is not finite.

    References
    ----------
    Sharma, Wu, Dalal (2005), equations 2 to 22.

    Examples
    --------
    >>> one = torch.tensor([50.0, 2.6772, -79.7751]).view(1, 3, 1, 1)
    >>> two = torch.tensor([50.0, 0.0, -82.7485]).view(1, 3, 1, 1)
    >>> round(ciede2000(one, two).item(), 3)
    2.042
    """
    lab1, lab2 = _check_two_labs(lab1, lab2)
    L1, chroma1, hue1, L2, chroma2, hue2 = _adjusted_polar(lab1, lab2)
    turn = hue2 - hue1
    turn = turn - 2 * math.pi * (turn > math.pi) + 2 * math.pi * (turn < -math.pi)
    product = chroma1 * chroma2
    turn = torch.where(product > 0, turn, 0)
    d_hue = 2 * _safe_sqrt(product) * torch.sin(turn / 2)
    mean_L, mean_chroma = (L1 + L2) / 2, (chroma1 + chroma2) / 2
    mean_hue = _mean_hue(hue1, hue2, product)
    lightness = (L2 - L1) / _lightness_weight(mean_L)
    chroma = (chroma2 - chroma1) / (1 + 0.045 * mean_chroma)
    hue = d_hue / (1 + 0.015 * mean_chroma * _hue_weight(mean_hue))
    rotation = _rotation(mean_chroma, mean_hue)
    return _safe_sqrt(lightness**2 + chroma**2 + hue**2 + rotation * chroma * hue)


def _adjusted_polar(lab1: Tensor, lab2: Tensor) -> tuple[Tensor, ...]:
    """L, chroma and hue in [0, 2 pi) of both, after a is stretched near gray (eq. 2 to 7)."""
    L1, a1, b1 = lab1.split(1, dim=1)
    L2, a2, b2 = lab2.split(1, dim=1)
    mean = (_safe_sqrt(a1**2 + b1**2) + _safe_sqrt(a2**2 + b2**2)) / 2
    stretch = 1.5 - 0.5 * _chroma_step(mean)
    a1, a2 = a1 * stretch, a2 * stretch
    chroma1, chroma2 = _safe_sqrt(a1**2 + b1**2), _safe_sqrt(a2**2 + b2**2)
    return L1, chroma1, _hue(a1, b1, chroma1), L2, chroma2, _hue(a2, b2, chroma2)


def _hue(a: Tensor, b: Tensor, chroma: Tensor) -> Tensor:
    """Hue angle in [0, 2 pi); 0 for gray, where atan2 has no gradient."""
    angle = torch.atan2(torch.where(chroma > 0, b, 0), torch.where(chroma > 0, a, 1))
    return torch.where(angle < 0, angle + 2 * math.pi, angle)


def _mean_hue(hue1: Tensor, hue2: Tensor, product: Tensor) -> Tensor:
    """Mean hue the short way round; the sum where one colour is gray (eq. 14)."""
    total = hue1 + hue2
    wrapped = torch.where(total < 2 * math.pi, total + 2 * math.pi, total - 2 * math.pi)
    mean = torch.where((hue1 - hue2).abs() > math.pi, wrapped, total) / 2
    return torch.where(product > 0, mean, total)


def _chroma_step(chroma: Tensor) -> Tensor:
    """sqrt(C^7 / (C^7 + 25^7)), which rises from 0 to 1 about a chroma of 25."""
    scaled = (chroma / 25) ** 7  # scaled first: C^7 itself leaves half of float32's range behind
    return _safe_sqrt(scaled / (scaled + 1))


def _lightness_weight(mean_L: Tensor) -> Tensor:
    off = (mean_L - 50) ** 2
    return 1 + 0.015 * off / torch.sqrt(20 + off)


def _hue_weight(hue: Tensor) -> Tensor:
    return (
        1
        - 0.17 * torch.cos(hue - math.radians(30))
        + 0.24 * torch.cos(2 * hue)
        + 0.32 * torch.cos(3 * hue + math.radians(6))
        - 0.20 * torch.cos(4 * hue - math.radians(63))
    )


def _rotation(mean_chroma: Tensor, mean_hue: Tensor) -> Tensor:
    """Interaction of chroma and hue in the blues (eq. 18 to 21)."""
    away = (mean_hue - math.radians(275)) / math.radians(25)
    angle = math.radians(60) * torch.exp(-(away**2))
    return -torch.sin(angle) * 2 * _chroma_step(mean_chroma)


def _safe_sqrt(x: Tensor) -> Tensor:
    """Square root whose gradient at 0 is 0, not infinite."""
    return torch.where(x > 0, torch.sqrt(torch.where(x > 0, x, 1)), 0)


# The gamut ------------------------------------------------------------------------------------


def out_of_gamut(L: Tensor, ab: Tensor) -> Tensor:
    """Mark the colours that sRGB cannot show.

    Parameters
    ----------
    L : Tensor
        (N, 1, H, W) float in [0, 100].
    ab : Tensor
        (N, 2, H, W) float in Lab units.

    Returns
    -------
    Tensor
        (N, 1, H, W) bool: True where a channel of linear light leaves [0, 1] by more than 1e-4
        (`GAMUT_TOLERANCE`).

    Raises
    ------
    TypeError
        If one of the two is no floating tensor.
    ValueError
        If a shape is another, L is outside [0, 100], or a value is not finite.

    Examples
    --------
    >>> L = torch.tensor([50.0, 50.0]).view(2, 1, 1, 1)
    >>> ab = torch.tensor([[20.0, 20.0], [90.0, -20.0]]).view(2, 2, 1, 1)
    >>> out_of_gamut(L, ab).flatten()
    tensor([False,  True])
    """
    _check_pair(L, ab)
    _check_lightness(L)
    _check_finite(ab, "ab")
    with torch.no_grad():
        return _outside(L.detach(), ab.detach())


def fit_gamut(L: Tensor, ab: Tensor) -> Tensor:
    """Bring colours into sRGB without touching L or the hue angle in Lab.

    Inside sRGB ab comes back bit for bit. Outside, the result is the largest chroma below the
    given one, at the same hue angle, that is inside. Near yellow (L 93 to 98, hue 98 to 105
    degrees) a ray of constant hue leaves the gamut and enters it again; there the outer part
    counts where it lies below the given chroma. `max_chroma` stops at the first exit instead.

    Parameters
    ----------
    L : Tensor
        (N, 1, H, W) float in [0, 100]; never changed.
    ab : Tensor
        (N, 2, H, W) float in Lab units, of any finite size.

    Returns
    -------
    Tensor
        (N, 2, H, W); float64 if `ab` is, else float32. Inside for `out_of_gamut`. At L = 0 and
        L = 100 what is outside becomes exactly gray. Gradients do not flow through it: the
        result is detached.

    Raises
    ------
    TypeError
        If one of the two is no floating tensor.
    ValueError
        If a shape is another, L is outside [0, 100], or a value is not finite.

    Notes
    -----
    Along a ray of constant L and hue each channel of linear light is a sum of two pieces, each
    cubic or straight in the chroma, so the chromas where it turns have a closed form. Between
    neighbouring turning points of all three channels the inside is one interval, whose upper end
    bisection finds in float64; taking the outermost interval is exact, with any number of exits.

    Examples
    --------
    >>> L, ab = torch.full((1, 1, 1, 1), 50.0), torch.tensor([90.0, -20.0]).view(1, 2, 1, 1)
    >>> fit_gamut(L, ab).flatten()
    tensor([ 80.5734, -17.9052])
    """
    _check_pair(L, ab)
    _check_lightness(L)
    _check_finite(ab, "ab")
    with torch.no_grad():
        fitted = ab.detach().to(_kept_dtype(ab), copy=True)
        outside = _outside(L.detach(), fitted)[:, 0].nonzero(as_tuple=True)
        if outside[0].numel():
            batch, row, column = outside
            L_out, ab_out = L.detach()[batch, 0, row, column], fitted[batch, :, row, column]
            fitted[batch, :, row, column] = _shrink(L_out, ab_out)
        return fitted


def max_chroma(L: Tensor | float, hue: Tensor | float) -> Tensor:
    """Chroma at which a ray of constant L and hue first leaves sRGB.

    Every smaller chroma is inside, so ``share * max_chroma(L, hue)`` is a colour that sRGB can
    show for every share in [0, 1]. This is not the largest chroma inside: near yellow a ray may
    enter the gamut again (see `fit_gamut`, which uses that part too).

    Parameters
    ----------
    L : Tensor or float
        Lightness in [0, 100]; any shape that broadcasts with `hue`.
    hue : Tensor or float
        Hue angle in Lab, radians, any finite value: a = chroma cos(hue), b = chroma sin(hue).

    Returns
    -------
    Tensor
        Broadcast shape; float64 if an argument is a float64 tensor, else float32. 0 at L = 0 and
        L = 100.

    Raises
    ------
    ValueError
        If L is outside [0, 100] or a value is not finite.

    Examples
    --------
    >>> max_chroma(50.0, torch.tensor([0.0, math.pi / 2]))
    tensor([79.0105, 56.0229])
    """
    L, hue = _as_float_tensors(L, hue)
    _check_lightness(L)
    _check_finite(hue, "hue")
    with torch.no_grad():
        L, hue = torch.broadcast_tensors(L.detach(), hue.detach())
        dtype = torch.float64 if torch.float64 in (L.dtype, hue.dtype) else torch.float32
        L64, hue64 = (_as_float64(x).reshape(-1) for x in (L, hue))
        limit = torch.full_like(L64, _CHROMA_LIMIT)
        chroma = _solve_in_blocks(_first_exit, L64, hue64.cos(), hue64.sin(), limit)
        return chroma.to(L.device, dtype).reshape(L.shape)


def _outside(L: Tensor, ab: Tensor) -> Tensor:
    dtype = _kept_dtype(ab)
    lab = torch.cat([L.to(dtype), ab.to(dtype)], dim=1)
    if _wants_plain_formula(lab) or dtype == torch.float64:
        linear = _lab_to_linear(lab)
    else:
        linear = _in_blocks(_decode_linear_block, lab)
    low, high = -GAMUT_TOLERANCE, 1 + GAMUT_TOLERANCE
    return (linear.amin(1, keepdim=True) < low) | (linear.amax(1, keepdim=True) > high)


def _shrink(L: Tensor, ab: Tensor) -> Tensor:
    """Fit ab (P, 2), all outside, at L (P,)."""
    L64, ab64 = _as_float64(L), _as_float64(ab)
    chroma = torch.hypot(ab64[:, 0], ab64[:, 1])
    cos, sin = (ab64 / chroma[:, None]).unbind(1)
    fitted = _solve_in_blocks(_last_exit, L64, cos, sin, chroma.clamp_max(_CHROMA_LIMIT))
    return torch.stack([fitted * cos, fitted * sin], dim=1).to(ab.device, ab.dtype)


class _Segments(NamedTuple):
    """Rays of constant L and hue, cut where a channel of linear light may turn or change formula.

    A channel's excess is how far it is beyond the middle of its range, 0.5, in the direction in
    which it moves along the segment: it rises from start to end by construction. A colour is
    inside while every excess lies within plus and minus `_SOLVE_HALF_WIDTH`.
    """

    fy: Tensor  # (P,) f(Y), constant along the ray
    x_step: Tensor  # (P,) how f(X) grows with chroma
    z_step: Tensor  # (P,) how f(Z) grows with chroma
    chroma: Tensor  # (S + 1, P) the cuts, ascending
    sign: Tensor  # (S, 3, P) +1 where the channel rises, -1 where it falls
    start_low: Tensor  # (S, P) at the start no excess is above the upper bound
    end_low: Tensor  # (S, P) nor at the end
    end_high: Tensor  # (S, P) at the end no excess is below the lower bound


# Inside the public tolerance by more than float32's rounding, so that what is fitted stays inside.
_SOLVE_HALF_WIDTH = 0.5 + GAMUT_TOLERANCE - 5e-6


def _linear_along(fy: Tensor, x_step: Tensor, z_step: Tensor, chroma: Tensor) -> Tensor:
    """Linear light at the chroma (S, P) of each ray: (S, 3, P)."""
    x, z = _f_inverse(fy + x_step * chroma), _f_inverse(fy + z_step * chroma)
    y = _f_inverse(fy)
    return torch.stack([m[0] * x + m[1] * y + m[2] * z for m in _T_TO_SRGB], dim=1)


def _turning_points(fy: Tensor, x_step: Tensor, z_step: Tensor) -> list[Tensor]:
    """Chromas where a channel may turn or its formula changes: some not, which does no harm."""
    points = [(_DELTA - fy) / x_step, (_DELTA - fy) / z_step]
    slope = z_step / x_step
    for x_weight, _, z_weight in _T_TO_SRGB:
        # derivative 0: x_weight x_step f'(X) + z_weight z_step f'(Z) = 0, f' = 3 f^2 or constant
        ratio = torch.sqrt(slope * (-z_weight / x_weight))  # f(X) = ratio f(Z)
        points.append(fy * (ratio - 1) / (x_step - ratio * z_step))
        points.append((_DELTA * ratio - fy) / x_step)  # Z on its straight piece
        points.append((_DELTA / ratio - fy) / z_step)  # X on its straight piece
    return points


def _cut(L: Tensor, cos: Tensor, sin: Tensor, limit: Tensor) -> _Segments:
    fy, x_step, z_step = (L.clamp(0, 100) + 16) / 116, cos / 500, -sin / 200
    points = torch.stack([torch.zeros_like(limit), limit, *_turning_points(fy, x_step, z_step)])
    points = torch.minimum(points.nan_to_num_(0.0).clamp_min_(0), limit).sort(dim=0).values
    linear = _linear_along(fy, x_step, z_step, points).sub_(0.5)
    start, end = linear[:-1], linear[1:]
    sign = torch.where(end > start, 1.0, -1.0).to(linear)
    end_excess = sign * end
    start_low = (sign * start).amax(1) <= _SOLVE_HALF_WIDTH
    end_low = end_excess.amax(1) <= _SOLVE_HALF_WIDTH
    end_high = end_excess.amin(1) >= -_SOLVE_HALF_WIDTH
    return _Segments(fy, x_step, z_step, points, sign, start_low, end_low, end_high)


def _cubics(segments: _Segments, index: Tensor) -> list[Tensor]:
    """Coefficients (3, P) of each excess in the chosen segments, the constant first."""
    start = segments.chroma.gather(0, index[None])[0]
    middle = (start + segments.chroma.gather(0, index[None] + 1)[0]) / 2
    sign = segments.sign.gather(0, index[None, None].expand(1, 3, -1))[0]
    x = _cubic_piece(segments.fy, segments.x_step, middle)
    z = _cubic_piece(segments.fy, segments.z_step, middle)
    x_weight, y_weight, z_weight = sign.new_tensor(_T_TO_SRGB).unsqueeze(-1).unbind(1)
    cubics = [x_weight * p + z_weight * q for p, q in zip(x, z, strict=True)]
    cubics[0] += y_weight * _f_inverse(segments.fy) - 0.5
    return [sign * p for p in cubics]


def _cubic_piece(f: Tensor, step: Tensor, inside: Tensor) -> tuple[Tensor, ...]:
    """Coefficients in c of Lab's inverse at f + step c, on the piece that holds c = inside."""
    cubic = f + step * inside > _DELTA
    constant = torch.where(cubic, f**3, (f - 4 / 29) * _SLOPE)
    slope = torch.where(cubic, 3 * f * f, _SLOPE) * step
    return constant, slope, torch.where(cubic, 3 * f * step**2, 0), torch.where(cubic, step**3, 0)


def _upper_end(segments: _Segments, index: Tensor) -> tuple[Tensor, Tensor]:
    """Largest chroma of the segment with no excess above its upper bound; is it inside?"""
    c0, c1, c2, c3 = _cubics(segments, index)
    low = segments.chroma.gather(0, index[None])[0]
    high = segments.chroma.gather(0, index[None] + 1)[0]
    low = torch.where(segments.end_low.gather(0, index[None])[0], high, low)
    for _ in range(_BISECTIONS):
        middle = torch.add(low, high).mul_(0.5)
        excess = (c3 * middle).add_(c2).mul_(middle).add_(c1).mul_(middle).add_(c0)
        ok = excess.amax(0) <= _SOLVE_HALF_WIDTH
        low, high = torch.where(ok, middle, low), torch.where(ok, high, middle)
    excess = ((c3 * low + c2) * low + c1) * low + c0
    return low, excess.amin(0) >= -_SOLVE_HALF_WIDTH


def _last_exit(L: Tensor, cos: Tensor, sin: Tensor, limit: Tensor) -> Tensor:
    """Largest chroma up to the limit that is inside; (P,) each."""
    segments = _cut(L, cos, sin, limit)
    possible = segments.start_low & segments.end_high & (L > 0) & (L < 100)
    order = torch.arange(1, len(possible) + 1, device=L.device)[:, None]
    rays = torch.arange(len(L), device=L.device)  # those without an answer yet
    result = torch.zeros_like(limit)
    while True:
        open_ = possible.any(0)
        if not open_.all():
            rays, possible = rays[open_], possible[:, open_]
            segments = _Segments(*(field[..., open_] for field in segments))
        if not len(rays):
            return result
        index = (possible * order).argmax(0)
        chroma, inside = _upper_end(segments, index)
        result[rays[inside]] = chroma[inside]
        possible = possible.scatter(0, index[None], False) & ~inside


def _first_exit(L: Tensor, cos: Tensor, sin: Tensor, limit: Tensor) -> Tensor:
    """Smallest chroma at which something is violated; (P,) each."""
    segments = _cut(L, cos, sin, limit)
    order = torch.arange(len(segments.end_low), 0, -1, device=L.device)[:, None]
    index = (~segments.end_low * order).argmax(0)  # gray is inside, so the first is the exit
    chroma, _ = _upper_end(segments, index)
    return torch.where((L > 0) & (L < 100), chroma, 0)


def _solve_in_blocks(solve: Callable[..., Tensor], *rays: Tensor) -> Tensor:
    """Run a solver on (P,) tensors, a cache-sized block at a time on the CPU."""
    block = _BLOCK // 4 if rays[0].device.type == "cpu" else 64 * _BLOCK
    parts = [solve(*part) for part in zip(*(r.split(block) for r in rays), strict=True)]
    return torch.cat(parts) if parts else rays[0]


# The formulas, plain: for autograd, torch.compile and accelerators -----------------------------


def _power(t: Tensor, exponent: float) -> Tensor:
    """t ** exponent for t > 0: on CPUs about three times as fast as `torch.pow`."""
    return torch.exp2(torch.log2(t) * exponent)


def _linearize(srgb: Tensor) -> Tensor:
    power = _power((srgb.clamp_min(_GAMMA_CUT) + 0.055) / 1.055, 2.4)
    return torch.where(srgb > _GAMMA_CUT, power, srgb / 12.92)


def _delinearize(linear: Tensor) -> Tensor:
    power = 1.055 * _power(linear.clamp_min(_LINEAR_CUT), 1 / 2.4) - 0.055
    return torch.where(linear > _LINEAR_CUT, power, linear * 12.92)


def _f(t: Tensor) -> Tensor:
    """Lab's f: the cube root, and below (6/29)^3 its tangent."""
    root = _power(t.clamp_min(_DELTA**3), 1 / 3)  # clamped, so that no gradient is infinite at 0
    return torch.where(t > _DELTA**3, root, t / _SLOPE + 4 / 29)


def _f_inverse(f: Tensor) -> Tensor:
    return torch.where(f > _DELTA, f * f * f, (f - 4 / 29) * _SLOPE)


def _linear_light(rgb: Tensor) -> Tensor:
    """Linear light of a picture, bytes by the table where it is at hand."""
    if rgb.dtype != torch.uint8:
        return _linearize(rgb)
    if rgb.device.type == "cpu":
        return _GAMMA_TABLE[rgb.int()]
    return _linearize(_as_unit_float(rgb))


def _rgb_to_lab(rgb: Tensor) -> Tensor:
    red, green, blue = _linear_light(rgb).unbind(1)
    x, y, z = (_f(m[0] * red + m[1] * green + m[2] * blue) for m in _SRGB_TO_T)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def _lab_to_linear(lab: Tensor) -> Tensor:
    L, a, b = lab.unbind(1)
    fy = (L + 16) / 116
    x, y, z = (_f_inverse(f) for f in (fy + a / 500, fy, fy - b / 200))
    return torch.stack([m[0] * x + m[1] * y + m[2] * z for m in _T_TO_SRGB], dim=1)


# The same formulas in place, on blocks that stay in the cache ----------------------------------
#
# Large temporaries cost more than the arithmetic. Two devices save the rest: a table of 256
# entries for the gamma of bytes, and "the curve at max(t, cut) plus the line at min(t - cut, 0)",
# which needs no mask because the pieces meet at the cut.


def _in_blocks(kernel: Callable[[Tensor, Tensor], None], source: Tensor) -> Tensor:
    """Apply a kernel to (3, P) blocks of (N, 3, H, W); the result is float32, same shape."""
    out = torch.empty(source.shape, dtype=torch.float32, device=source.device)
    with torch.no_grad():
        for picture, target in zip(source.detach(), out, strict=True):
            flat, flat_out = picture.reshape(3, -1), target.view(3, -1)
            for start in range(0, flat.shape[1], _BLOCK):
                stop = start + _BLOCK
                kernel(flat[:, start:stop], flat_out[:, start:stop])
    return out


def _power_(t: Tensor, exponent: float) -> Tensor:
    """t ** exponent for t > 0, in place."""
    return t.log2_().mul_(exponent).exp2_()


def _encode_block(rgb: Tensor, out: Tensor) -> None:
    t = _ENCODE @ _linear_block(rgb)
    line = torch.sub(t, _DELTA**3).clamp_max_(0)
    f = _power_(t.clamp_min_(_DELTA**3), 1 / 3).add_(line, alpha=1 / _SLOPE)
    torch.addmm(_LAB_OFFSET, _LAB_FROM_F, f, out=out)


def _linear_block(rgb: Tensor) -> Tensor:
    if rgb.dtype == torch.uint8:
        # NumPy gathers by bytes as they are; torch would widen them to int32 first
        return torch.from_numpy(_GAMMA_TABLE.numpy().take(rgb.numpy(), mode="clip"))
    rgb = rgb.float()
    line = torch.sub(rgb, _GAMMA_CUT).clamp_max_(0)
    base = rgb.clamp_min(_GAMMA_CUT).add_(0.055).div_(1.055)
    return _power_(base, 2.4).add_(line, alpha=1 / 12.92)


def _decode_linear_block(lab: Tensor, out: Tensor) -> None:
    f = torch.empty(lab.shape, dtype=torch.float32, device=lab.device)
    torch.add(lab[0], 16, out=f[1]).div_(116)
    torch.add(f[1], lab[1], alpha=1 / 500, out=f[0])
    torch.sub(f[1], lab[2], alpha=1 / 200, out=f[2])
    line = torch.sub(f, _DELTA).clamp_max_(0)
    f.clamp_min_(_DELTA)
    cube = torch.mul(f, f).mul_(f).add_(line, alpha=_SLOPE)
    torch.mm(_DECODE, cube, out=out)


def _decode_block(lab: Tensor, out: Tensor) -> None:
    linear = torch.empty(lab.shape, dtype=torch.float32, device=lab.device)
    _decode_linear_block(lab.float(), linear)
    line = torch.sub(linear, _LINEAR_CUT).clamp_max_(0)
    power = _power_(linear.clamp_min_(_LINEAR_CUT), 1 / 2.4)
    torch.mul(power, 1.055, out=out).sub_(0.055).add_(line, alpha=12.92)


def _decode_clipped_block(lab: Tensor, out: Tensor) -> None:
    _decode_block(lab, out)
    out.clamp_(0, 1)


# Constants of the module rather than cached functions: torch.compile takes them as inputs.
_GAMMA_TABLE = _linearize(torch.arange(256, dtype=torch.float64, device="cpu") / 255).float()
_ENCODE = torch.tensor(_SRGB_TO_T, dtype=torch.float32, device="cpu")
_DECODE = torch.tensor(_T_TO_SRGB, dtype=torch.float32, device="cpu")
_LAB_FROM_F = torch.tensor([[0.0, 116, 0], [500, -500, 0], [0, 200, -200]], device="cpu")
_LAB_OFFSET = torch.tensor([[-16.0], [0], [0]], device="cpu")


def _wants_plain_formula(x: Tensor) -> bool:
    """Blocks are for plain CPU work: autograd, compilers and accelerators take the formula."""
    if torch.compiler.is_compiling() or x.device.type != "cpu":
        return True
    return x.requires_grad and torch.is_grad_enabled()


# Checks and dtypes ----------------------------------------------------------------------------


def _as_unit_float(rgb: Tensor) -> Tensor:
    return rgb.float() / 255 if rgb.dtype == torch.uint8 else rgb.float()


def _as_float64(x: Tensor) -> Tensor:
    """The tensor in float64, on the CPU if its device has no float64."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def _kept_dtype(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _as_float_tensors(L: Tensor | float, hue: Tensor | float) -> tuple[Tensor, Tensor]:
    device = next((x.device for x in (L, hue) if isinstance(x, Tensor)), torch.device("cpu"))
    pair = (
        x if isinstance(x, Tensor) else torch.tensor(x, dtype=torch.float32, device=device)
        for x in (L, hue)
    )
    L, hue = (x if x.is_floating_point() else x.float() for x in pair)
    return L, hue


def _check_shape(x: Tensor, channels: int, what: str) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{what} must be a torch tensor, got {type(x).__name__}: convert it with "
            "torch.from_numpy(x).permute(2, 0, 1)[None] if it is (H, W, channels)"
        )
    if x.ndim == 4 and x.shape[1] == channels:
        return
    advice = f"the shape must be (N, {channels}, H, W)"
    if x.ndim == 3:
        advice += ": add the batch with x[None]"
    if x.ndim in (3, 4) and x.shape[-1] == channels:
        advice += ", and move the channels with x.movedim(-1, -3)"
    raise ValueError(f"{what} has shape {tuple(x.shape)}; {advice}")


def _check_float(x: Tensor, what: str) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{what} must be a torch tensor, got {type(x).__name__}")
    if not x.is_floating_point():
        raise TypeError(
            f"{what} must be a floating tensor, got {x.dtype}: convert it with .float()"
        )


def _value_range(x: Tensor, what: str) -> tuple[float, float] | None:
    """Smallest and largest value, after refusing NaN and infinity; None if there is none."""
    if torch.compiler.is_compiling() or x.numel() == 0:
        return None
    low, high = (v.item() for v in torch.aminmax(x.detach()))
    if math.isnan(low) or math.isnan(high):
        raise ValueError(f"{what} holds NaN: look for a division by 0 or a diverged network")
    if math.isinf(low) or math.isinf(high):
        raise ValueError(f"{what} holds {low if math.isinf(low) else high}: it must be finite")
    return low, high


def _check_finite(x: Tensor, what: str) -> None:
    _value_range(x, what)


def _check_picture_values(rgb: Tensor) -> None:
    if not isinstance(rgb, Tensor):
        raise TypeError(f"sRGB values must be a torch tensor, got {type(rgb).__name__}")
    if rgb.dtype == torch.uint8:
        return
    if not rgb.is_floating_point():
        raise TypeError(f"an RGB picture must be uint8 or float, got {rgb.dtype}")
    values = _value_range(rgb, "the RGB picture")
    if values and not (values[0] >= -PICTURE_TOLERANCE and values[1] <= 1 + PICTURE_TOLERANCE):
        raise ValueError(
            f"a float RGB picture must be in [0, 1], this one spans {values[0]:.6g} to "
            f"{values[1]:.6g}: " + _range_advice(*values)
        )


def _range_advice(low: float, high: float) -> str:
    if low < -0.1 and high < 1.1:
        return "if it is normalised to [-1, 1], undo that with (x + 1) / 2"
    return "divide by 255" if high > 1.5 else "clamp it with x.clamp(0, 1)"


def _check_lightness(L: Tensor) -> None:
    values = _value_range(L, "L")
    if values and not (values[0] >= -L_TOLERANCE and values[1] <= 100 + L_TOLERANCE):
        raise ValueError(
            f"L must be in [0, 100], this one spans {values[0]:.6g} to {values[1]:.6g}: undo its "
            "normalisation, or clamp it with L.clamp(0, 100)"
        )


def _check_lab(lab: Tensor) -> None:
    _check_shape(lab, 3, "Lab")
    _check_float(lab, "Lab")
    _check_lightness(lab[:, :1])
    _check_finite(lab[:, 1:], "ab")


def _check_pair(L: Tensor, ab: Tensor) -> None:
    _check_shape(L, 1, "L")
    _check_shape(ab, 2, "ab")
    _check_float(L, "L")
    _check_float(ab, "ab")
    if L.shape[0] != ab.shape[0] or L.shape[2:] != ab.shape[2:]:
        raise ValueError(
            f"L {tuple(L.shape)} and ab {tuple(ab.shape)} must agree in N, H and W: resize one"
        )


def _check_two_labs(lab1: Tensor, lab2: Tensor) -> tuple[Tensor, Tensor]:
    for lab in (lab1, lab2):
        _check_shape(lab, 3, "Lab")
        _check_float(lab, "Lab")
        _check_finite(lab, "Lab")
    if lab1.shape != lab2.shape:
        raise ValueError(f"shapes differ: {tuple(lab1.shape)} and {tuple(lab2.shape)}")
    dtype = torch.float64 if torch.float64 in (lab1.dtype, lab2.dtype) else torch.float32
    return lab1.to(dtype), lab2.to(dtype)

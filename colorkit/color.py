"""sRGB and CIE Lab on tensors: conversion, colour differences, and the edge of the gamut.

Shapes are those of the whole library: RGB ``(N, 3, H, W)``, uint8 in 0..255 or float in [0, 1];
L ``(N, 1, H, W)`` in [0, 100]; ab ``(N, 2, H, W)`` in Lab units; Lab ``(N, 3, H, W)``. Anything
else raises a TypeError or a ValueError. Values (range, NaN) are not checked while
``torch.compile`` traces, since a compiled graph cannot raise on them.

sRGB is that of IEC 61966-2-1:1999. Lab is CIE 1976 L*a*b* (CIE 15:2004, with the exact cut
(6/29)^3) for the white D65 and the 2 degree observer, with matrix and white point of
scikit-image (``skimage.color.colorconv``), so that numbers agree with it.
"""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

GAMUT_TOLERANCE = 1e-4
"""How far linear light may leave [0, 1] and still count as inside: white itself is 1.00008."""

_MATRIX = [  # from linear sRGB to XYZ
    [0.412453, 0.357580, 0.180423],
    [0.212671, 0.715160, 0.072169],
    [0.019334, 0.119193, 0.950227],
]
_WHITE = torch.tensor([[0.95047], [1.0], [1.08883]], dtype=torch.float64)
_FROM_RGB = torch.tensor(_MATRIX, dtype=torch.float64) / _WHITE
_TO_RGB = torch.linalg.inv(_FROM_RGB)
_LAB_FROM_F = torch.tensor([[0, 116, 0], [500, -500, 0], [0, 200, -200]])
_LAB_OFFSET = torch.tensor([[-16], [0], [0]])
_DELTA = 6 / 29  # where the cube root of Lab gives way to its tangent
_SLOPE = 3 * _DELTA**2
_AT_ONCE = 2**16  # pixels: a few planes of float32 that stay in a CPU's cache


def linearize(srgb: Tensor) -> Tensor:
    """Undo the sRGB gamma: any shape, uint8 or float in [0, 1], to linear light in float32."""
    check_tensor(srgb, "RGB")
    if srgb.dtype == torch.uint8:
        linear = _LINEAR_OF_BYTE.to(srgb.device).index_select(0, srgb.flatten().int())
        return linear.view(srgb.shape)
    return _two_pieces(srgb.float(), 0.04045, lambda x: _power((x + 0.055) / 1.055, 2.4), 1 / 12.92)


def delinearize(linear: Tensor) -> Tensor:
    """Apply the sRGB gamma to linear light, float of any shape: float32.

    Values outside [0, 1] are continued: below 0 along the straight piece, above 1 along the power.
    """
    check_tensor(linear, "linear light")
    linear = linear.float()
    return _two_pieces(linear, 0.0031308, lambda x: 1.055 * _power(x, 1 / 2.4) - 0.055, 12.92)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert sRGB (N, 3, H, W) to Lab (N, 3, H, W), float32. Differentiable for floats."""
    check_tensor(rgb, "RGB", 3)
    return _in_parts(_rgb_to_lab, rgb)


def lab_to_rgb(lab: Tensor, *, clip: bool = True) -> Tensor:
    """Convert Lab (N, 3, H, W) to sRGB (N, 3, H, W), float32. Differentiable.

    Clipping to [0, 1] changes L of a colour outside sRGB: use `fit_gamut` first to keep it.
    """
    check_tensor(lab, "Lab", 3)
    check_tensor(lab[:, :1], "L")
    low, high = (0, 1) if clip else (-math.inf, math.inf)

    def formula(lab: Tensor) -> Tensor:
        return delinearize(_lab_to_linear(*lab.unbind(1))).movedim(0, 1).clamp(low, high)

    return _in_parts(formula, lab.float()).contiguous()


def split_lab(lab: Tensor) -> tuple[Tensor, Tensor]:
    """Split Lab (N, 3, H, W) into L (N, 1, H, W) and ab (N, 2, H, W), both views."""
    check_tensor(lab, "Lab", 3)
    return lab[:, :1], lab[:, 1:]


def join_lab(L: Tensor, ab: Tensor) -> Tensor:
    """Join L (N, 1, H, W) and ab (N, 2, H, W) to Lab (N, 3, H, W)."""
    _checked(L, ab)
    return torch.cat([L, ab], dim=1)


def _rgb_to_lab(rgb: Tensor) -> Tensor:
    linear = linearize(rgb).flatten(2)
    t = _FROM_RGB.to(linear) @ linear
    f = _two_pieces(t, _DELTA**3, lambda t: _power(t, 1 / 3), 1 / _SLOPE)
    matrix = _LAB_FROM_F.to(f).expand(len(f), 3, 3)
    return torch.baddbmm(_LAB_OFFSET.to(f), matrix, f).view(rgb.shape)


def _lab_to_linear(L: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Tensors of one shape to linear sRGB (3, ...)."""
    fy = (L + 16) / 116
    f = torch.stack([torch.add(fy, a, alpha=1 / 500), fy, torch.sub(fy, b, alpha=1 / 200)])
    t = _two_pieces(f, _DELTA, lambda f: f * f * f, _SLOPE)
    return (_TO_RGB.to(t) @ t.view(3, -1)).view(t.shape)


def _two_pieces(x: Tensor, cut: float, curve: Callable[[Tensor], Tensor], slope: float) -> Tensor:
    """A curve above the cut and below it a line that meets it there: no mask, no gradient lost."""
    above = x.clamp_min(cut)
    return torch.sub(curve(above), above - x, alpha=slope)


def _power(t: Tensor, exponent: float) -> Tensor:
    """t ** exponent for t > 0: on CPUs about three times as fast as `torch.pow`."""
    return t.log2().mul_(exponent).exp2_()


_LINEAR_OF_BYTE = torch.tensor(
    [x / 255 / 12.92 if x < 11 else ((x / 255 + 0.055) / 1.055) ** 2.4 for x in range(256)],
    dtype=torch.float32,
)


def _in_parts(formula: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """A formula of a few pictures at a time, as large temporaries cost more than arithmetic.

    Autograd, compilers and accelerators get the whole batch. Autocast would round the matrices.
    """
    (n, _, height, width), device = tensors[0].shape, tensors[0].device
    count = max(1, _AT_ONCE // max(1, height * width))
    whole = n <= count or device.type != "cpu" or torch.compiler.is_compiling()
    with torch.autocast(device.type, enabled=False):
        if whole or (torch.is_grad_enabled() and any(x.requires_grad for x in tensors)):
            return formula(*tensors)
        out = None
        for start in range(0, n, count):
            result = formula(*(x[start : start + count] for x in tensors))
            out = result.new_empty(n, *result.shape[1:]) if out is None else out
            out[start : start + count] = result
    return out


def ciede2000(lab1: Tensor, lab2: Tensor) -> Tensor:
    """CIEDE2000, the difference as the eye sees it (kL = kC = kH = 1): (N, 1, H, W).

    About 1 for a just visible difference; float64 if one of the two is, else float32.
    Differentiable; the gradient at a match is 0. The numbers below are those of the equations in G.
    Sharma, W. Wu, E. N. Dalal, "The CIEDE2000 color-difference formula",
    Color Research & Application 30 (2005).
    """
    lab1, lab2 = _checked(lab1, lab2, what=("Lab", "Lab"))
    (L1, a1, b1), (L2, a2, b2) = lab1.split(1, dim=1), lab2.split(1, dim=1)
    # chroma and hue, after a is stretched near gray (2 to 7)
    mean = (_safe_sqrt(a1**2 + b1**2) + _safe_sqrt(a2**2 + b2**2)) / 2
    stretch = 1.5 - 0.5 * _chroma_step(mean)
    a1, a2 = a1 * stretch, a2 * stretch
    chroma1, chroma2 = _safe_sqrt(a1**2 + b1**2), _safe_sqrt(a2**2 + b2**2)
    hue1, hue2 = _hue(a1, b1, chroma1), _hue(a2, b2, chroma2)
    # the difference of hues (10, 11); it is 0 where one colour is gray
    product = chroma1 * chroma2
    turn = hue2 - hue1
    turn = torch.where(turn.abs() > math.pi, turn - 2 * math.pi * turn.sign(), turn)
    turn = torch.where(product > 0, turn, 0)
    d_hue = 2 * _safe_sqrt(product) * torch.sin(turn / 2)
    # means (12 to 14): of hues the short way round, and their sum where one colour is gray
    mean_L, mean_chroma, total = (L1 + L2) / 2, (chroma1 + chroma2) / 2, hue1 + hue2
    wrapped = torch.where(total < 2 * math.pi, total + 2 * math.pi, total - 2 * math.pi)
    hue = torch.where((hue1 - hue2).abs() > math.pi, wrapped, total) / 2
    hue = torch.where(product > 0, hue, total)
    # weights (15, 18 to 20), and how chroma and hue interact in the blues (16, 17, 21)
    hue_weight = 1 - 0.17 * torch.cos(hue - math.radians(30)) + 0.24 * torch.cos(2 * hue)
    hue_weight = hue_weight + 0.32 * torch.cos(3 * hue + math.radians(6))
    hue_weight = hue_weight - 0.20 * torch.cos(4 * hue - math.radians(63))
    away = (hue - math.radians(275)) / math.radians(25)
    angle = math.radians(60) * torch.exp(-(away**2))
    rotation = -torch.sin(angle) * 2 * _chroma_step(mean_chroma)
    off = (mean_L - 50) ** 2
    d_L = (L2 - L1) / (1 + 0.015 * off / torch.sqrt(20 + off))
    d_chroma = (chroma2 - chroma1) / (1 + 0.045 * mean_chroma)
    d_hue = d_hue / (1 + 0.015 * mean_chroma * hue_weight)
    return _safe_sqrt(d_L**2 + d_chroma**2 + d_hue**2 + rotation * d_chroma * d_hue)


def _hue(a: Tensor, b: Tensor, chroma: Tensor) -> Tensor:
    """Hue angle in [0, 2 pi); 0 for gray, where atan2 has no gradient."""
    angle = torch.atan2(torch.where(chroma > 0, b, 0), torch.where(chroma > 0, a, 1))
    return torch.where(angle < 0, angle + 2 * math.pi, angle)


def _chroma_step(chroma: Tensor) -> Tensor:
    """sqrt(C^7 / (C^7 + 25^7)), which rises from 0 to 1 about a chroma of 25."""
    scaled = (chroma / 25) ** 7  # scaled first: C^7 itself leaves half of float32's range behind
    return _safe_sqrt(scaled / (scaled + 1))


def _safe_sqrt(x: Tensor) -> Tensor:
    """Square root whose gradient at 0 is 0, not infinite."""
    return torch.where(x > 0, torch.sqrt(torch.where(x > 0, x, 1)), 0)


def out_of_gamut(L: Tensor, ab: Tensor) -> Tensor:
    """Mark colours outside sRGB: bool (N, 1, H, W).

    True where a channel of linear light leaves [0, 1] by more than 1e-4 (`GAMUT_TOLERANCE`).
    """
    return _in_parts(_outside, *(x.detach() for x in _checked(L, ab)))


def fit_gamut(L: Tensor, ab: Tensor) -> Tensor:
    """Bring ab (N, 2, H, W) into sRGB, as `out_of_gamut` sees it, and keep L and the hue angle.

    Inside sRGB ab comes back bit for bit. Outside, the chroma is cut to at most 0.5 below the
    largest that is inside and below the given one. A table tells that chroma; where a look at
    linear light shows the table to be too coarse, bisection does. float64 if `ab` is, else
    float32. Gradients flow to the hue, to the chroma where it is not cut, and not to L.
    """
    L, ab = _checked(L, ab)
    return _in_parts(_fit, L.detach(), ab)


def max_chroma(L: Tensor, hue: Tensor) -> Tensor:
    """Chroma at which a ray of constant L and hue (radians) first leaves sRGB; shapes broadcast.

    0 at L = 0 and L = 100. Every share of it in [0, 1] is a chroma that sRGB can show: unlike
    `fit_gamut`, it leaves out what lies beyond a first exit.
    """
    check_tensor(L, "L")
    check_tensor(hue, "a hue")
    dtype = torch.promote_types(L.dtype, hue.dtype)
    L, hue = torch.broadcast_tensors(L.detach().double(), hue.detach().double())
    cos, sin, fy = hue.cos(), hue.sin(), (L + 16) / 116
    # Where a channel of linear light may turn or change its formula: it is monotone in between.
    x, z = cos / 500, -sin / 200  # how f(X) and f(Z) grow with chroma
    points = [torch.zeros_like(L), torch.full_like(L, 200), (_DELTA - fy) / x, (_DELTA - fy) / z]
    for x_weight, _, z_weight in _TO_RGB.tolist():
        ratio = torch.sqrt(z / x * (-z_weight / x_weight))  # f(X) : f(Z) where it turns
        points += [fy * (ratio - 1) / (x - ratio * z)]
        points += [(_DELTA * ratio - fy) / x, (_DELTA / ratio - fy) / z]  # on a straight piece
    points = torch.stack(points).nan_to_num_(0.0).clamp_(0, 200).sort(dim=0).values
    inside = _inside(L.expand_as(points), points * cos, points * sin)
    end = inside.int().argmin(0, keepdim=True).clamp_min_(1)  # the first that is outside
    low, high = (points.gather(0, place)[0] for place in (end - 1, end))
    chroma = _bisect(L, cos, sin, low, high, halvings=30)
    return torch.where((L > 0) & (L < 100), chroma, 0).to(dtype)


def _outside(L: Tensor, ab: Tensor) -> Tensor:
    return ~_inside(L, *ab.split(1, dim=1), tolerance=GAMUT_TOLERANCE)


def _fit(L: Tensor, ab: Tensor) -> Tensor:
    outside = _outside(L, ab)
    if not outside.any():
        return ab.clone()
    a, b = (torch.where(outside, x, 1) for x in ab.split(1, dim=1))
    chroma = torch.hypot(a, b)
    with torch.no_grad():
        cos, sin = a / chroma, b / chroma
        place = torch.cat([torch.atan2(b, a) / math.pi, L / 50 - 1], dim=1).movedim(1, -1)
        table = _gamut_table().to(place).expand(len(place), 1, -1, -1)
        cut = F.grid_sample(table, place, align_corners=True)  # bilinear
        cut = torch.minimum((cut - 0.05).clamp_min_(0), chroma)
        more = cut + 0.4
        right = _inside(L, cut * cos, cut * sin) & ~_inside(L, more * cos, more * sin)
        enters_again = (L > 91) & (b > -3 * a) & (b < -8 * a)
        rest = outside & (~right | enters_again)
        cut[rest] = _largest_chroma(L[rest], cos[rest], sin[rest], chroma[rest])
    return ab * torch.where(outside, cut / chroma, 1)


@cache
def _gamut_table() -> Tensor:
    """The largest chroma: float32 (1, 1, 401, 721), L from 0 to 100 by hue from -pi to pi."""
    L, hue = torch.arange(401).float() / 4, torch.arange(-360, 361).float() * (math.pi / 360)
    L, hue = torch.meshgrid(L, hue, indexing="ij")
    largest = _largest_chroma(L, hue.cos(), hue.sin(), torch.full_like(L, 200))
    return torch.where((L > 0) & (L < 100), largest, 0)[None, None]


def _largest_chroma(L: Tensor, cos: Tensor, sin: Tensor, limit: Tensor) -> Tensor:
    """The largest chroma inside sRGB and below a limit that is outside.

    Near yellow (L 92 to 98.5, hue 97 to 107 degrees) a ray leaves sRGB and enters it again. Only
    R <= 1 does that. All other bounds hold in one interval, which is found first; if R > 1 at its
    end, what is left is the interval before the first exit.
    """
    gray = torch.zeros_like(L)
    outer = _bisect(L, cos, sin, gray, limit.clamp_max(200), any_red=True)
    low = torch.where(_inside(L, outer * cos, outer * sin), outer, gray)
    return _bisect(L, cos, sin, low, outer)


def _bisect(L, cos, sin, low: Tensor, high: Tensor, halvings=24, any_red=False) -> Tensor:
    for _ in range(halvings):
        middle = (low + high) / 2
        ok = _inside(L, middle * cos, middle * sin, any_red)
        low, high = torch.where(ok, middle, low), torch.where(ok, high, middle)
    return low


@torch.no_grad()
def _inside(L: Tensor, a: Tensor, b: Tensor, any_red=False, tolerance=GAMUT_TOLERANCE - 5e-6):
    """Whether linear light is in [0, 1]; by default with room for the rounding of float32."""
    red, green, blue = _lab_to_linear(L, a, b).sub_(0.5)
    others = torch.maximum(green.abs_(), blue.abs_())
    return torch.maximum(others, red.neg_() if any_red else red.abs_()) <= 0.5 + tolerance


_RANGES = {  # least and most, with room for rounding
    "RGB": (-1e-4, 1 + 1e-4, "in [0, 1] (divide bytes by 255, or undo a normalisation)"),
    "L": (-0.01, 100.01, "in [0, 100] (undo a normalisation, or clamp it)"),
    "": (-1e300, 1e300, "finite (look for a division by 0, or a diverged network)"),
}


def check_tensor(x: Tensor, what: str, channels: int | None = None) -> None:
    """Refuse what is no tensor, has another shape or dtype, or holds values that cannot be."""
    kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
    of_bytes = what == "RGB" and kind == torch.uint8
    if not of_bytes and not (isinstance(x, Tensor) and x.is_floating_point()):
        raise TypeError(f"{what} must be a torch tensor of floats (RGB also uint8), not {kind}")
    if channels and (x.ndim != 4 or x.shape[1] != channels):
        raise ValueError(
            f"{what} must be (N, {channels}, H, W), got {tuple(x.shape)}: add the batch with "
            "x[None], move channels from the end with x.movedim(-1, -3)"
        )
    if of_bytes or torch.compiler.is_compiling() or x.numel() == 0:
        return
    low, high, wanted = _RANGES.get(what, _RANGES[""])
    try:
        least, most = (value.item() for value in torch.aminmax(x.detach()))
    except RuntimeError:  # torch.func.vmap cannot look at values
        return
    if not (low <= least and most <= high):  # so NaN is refused too
        raise ValueError(f"{what} must be {wanted}, but it spans {least:.6g} to {most:.6g}")


def _checked(one: Tensor, two: Tensor, what=("L", "ab")) -> tuple[Tensor, Tensor]:
    """Two tensors that agree in N, H and W, in float64 if one of them is, else in float32."""
    for x, name in zip((one, two), what, strict=True):
        check_tensor(x, name, {"L": 1, "ab": 2, "Lab": 3}[name])
    if one.shape[0] != two.shape[0] or one.shape[2:] != two.shape[2:]:
        raise ValueError(f"{what} must agree in N, H, W, got {[*one.shape]} and {[*two.shape]}")
    dtype = torch.promote_types(torch.promote_types(one.dtype, two.dtype), torch.float32)
    return one.to(dtype), two.to(dtype)

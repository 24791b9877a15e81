"""sRGB and Lab on tensors, distances between colours, and what sRGB can show.

Pictures are (N, 3, H, W): uint8 in 0..255 or floating in [0, 1]. L is (N, 1, H, W) in [0, 100] and
ab is (N, 2, H, W), in the units of CIE 1976 Lab, white D65, 2 degree observer. Everything runs on
any device and is differentiable where the input is floating.

The matrix and the white point are those of scikit-image (ITU-R BT.709 primaries), so that results
agree with it.
"""

import math

import torch

RGB_TO_XYZ = torch.tensor(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ],
    dtype=torch.float64,
)
XYZ_TO_RGB = torch.linalg.inv(RGB_TO_XYZ)
WHITE = torch.tensor([0.95047, 1.0, 1.08883], dtype=torch.float64)

GAMUT_TOLERANCE = 1e-4  # in linear light; sRGB white itself is at 1.00008 with this matrix
F_CUT = (6 / 29) ** 3  # where Lab's f turns from a line into a cube root
F_SLOPE = 1 / (3 * (6 / 29) ** 2)
CHUNK = 16_384  # pixels that are converted at a time: their temporaries fit a core's cache

_TO_XYZ = RGB_TO_XYZ / WHITE[:, None]  # linear RGB to XYZ relative to white
_FROM_XYZ = XYZ_TO_RGB * WHITE
_SRGB_CUT, _LINEAR_CUT = 0.04045, 0.0031308


# --- checking what comes in -----------------------------------------------------------------------


def _check_shape(tensor: torch.Tensor, name: str, channels: int) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name} must be a torch tensor, not {type(tensor).__name__}")
    if tensor.ndim != 4 or tensor.shape[1] != channels:
        raise ValueError(
            f"{name} must have the shape (N, {channels}, H, W), not {tuple(tensor.shape)}; "
            "a single picture needs [None], channels-last needs permute(2, 0, 1)"
        )


def _as_float(tensor: torch.Tensor, name: str) -> torch.Tensor:
    if not tensor.is_floating_point():
        raise TypeError(f"{name} must be floating, not {tensor.dtype}")
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _check_unit_range(rgb: torch.Tensor) -> None:
    """Raise for a floating picture outside [0, 1], or with NaN; skipped under torch.compile."""
    if torch.compiler.is_compiling() or rgb.numel() == 0:
        return
    low, high = (v.item() for v in torch.aminmax(rgb.detach()))
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # also true for NaN
        hint = "divide by 255" if high > 2 else "scale or clip it first"
        raise ValueError(
            f"a floating RGB picture must be in [0, 1]; this one is in [{low:.4g}, {high:.4g}]: "
            f"{hint}"
        )


def _check_lightness(L: torch.Tensor) -> None:
    if torch.compiler.is_compiling() or L.numel() == 0:
        return
    low, high = (v.item() for v in torch.aminmax(L.detach()))
    if not (low >= -0.01 and high <= 100.01):
        raise ValueError(f"L must be in [0, 100]; this one is in [{low:.4g}, {high:.4g}]")


# --- sRGB and linear light ------------------------------------------------------------------------


def linearize(srgb: torch.Tensor) -> torch.Tensor:
    """sRGB values in [0, 1] to linear light in [0, 1] (IEC 61966-2-1), any shape.

    Examples
    --------
    >>> linearize(torch.tensor([0.0, 0.5, 1.0]))
    tensor([0.0000, 0.2140, 1.0000])
    """
    bright = ((srgb.clamp(min=_SRGB_CUT) + 0.055) / 1.055) ** 2.4
    return torch.where(srgb <= _SRGB_CUT, srgb / 12.92, bright)


def delinearize(linear: torch.Tensor) -> torch.Tensor:
    """Linear light to sRGB values, the inverse of :func:`linearize`; negative light stays linear.

    Examples
    --------
    >>> delinearize(torch.tensor([0.0, 0.2140, 1.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    bright = 1.055 * linear.clamp(min=_LINEAR_CUT) ** (1 / 2.4) - 0.055
    return torch.where(linear <= _LINEAR_CUT, 12.92 * linear, bright)


def _lab_f(t: torch.Tensor) -> torch.Tensor:
    return torch.where(t > F_CUT, t.clamp(min=F_CUT) ** (1 / 3), F_SLOPE * t + 4 / 29)


def _inverse_lab_f(f: torch.Tensor) -> torch.Tensor:
    return torch.where(f > 6 / 29, f * f * f, (f - 4 / 29) / F_SLOPE)


# --- sRGB and Lab ---------------------------------------------------------------------------------


def rgb_to_lab(rgb: torch.Tensor) -> torch.Tensor:
    """sRGB to Lab.

    Parameters
    ----------
    rgb : Tensor
        (N, 3, H, W), uint8 in 0..255 or floating in [0, 1].

    Returns
    -------
    Tensor
        (N, 3, H, W) float32: L in [0, 100], a and b in Lab units.

    Raises
    ------
    ValueError, TypeError
        For another shape or dtype, or a floating picture outside [0, 1].

    Examples
    --------
    >>> white = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    >>> rgb_to_lab(white).flatten().round(decimals=1).abs().tolist()
    [100.0, 0.0, 0.0]
    """
    _check_shape(rgb, "rgb", 3)
    if rgb.dtype == torch.uint8:
        return _bytes_to_lab(rgb)
    rgb = _as_float(rgb, "rgb")
    _check_unit_range(rgb)
    return _linear_to_lab(linearize(rgb)).float()


def _linear_to_lab(linear: torch.Tensor) -> torch.Tensor:
    r, g, b = linear.unbind(1)
    fx, fy, fz = (_lab_f(x * r + y * g + z * b) for x, y, z in _TO_XYZ.tolist())
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], dim=1)


def _gamma_table(device: torch.device) -> torch.Tensor:
    return linearize(torch.arange(256, device=device, dtype=torch.float32) / 255)


def _bytes_to_lab(rgb: torch.Tensor) -> torch.Tensor:
    """Bytes to Lab: gamma by table, and on a CPU in chunks, because large temporaries are slow."""
    table = _gamma_table(rgb.device)
    if torch.compiler.is_compiling() or rgb.device.type != "cpu":
        return _linear_to_lab(table[rgb.int()])
    n, _, h, w = rgb.shape
    lab = torch.empty(n, 3, h, w)
    flat, out = rgb.reshape(n, 3, -1), lab.view(n, 3, -1)
    matrix = _TO_XYZ.float()
    for i in range(n):
        for start in range(0, h * w, CHUNK):
            part = slice(start, start + CHUNK)
            xyz = matrix @ table[flat[i, :, part].int()]
            _xyz_to_lab(xyz, out[i, :, part])
    return lab


def _xyz_to_lab(xyz: torch.Tensor, out: torch.Tensor) -> None:
    """XYZ relative to white (3, P) to Lab, written into `out` (3, P); `xyz` is overwritten."""
    dark = torch.add(4 / 29, xyz, alpha=F_SLOPE) if bool((xyz <= F_CUT).any()) else None
    root = xyz.pow(1 / 3)
    f = root if dark is None else torch.where(xyz > F_CUT, root, dark)
    torch.mul(f[1], 116, out=out[0]).sub_(16)
    torch.sub(f[0], f[1], out=out[1]).mul_(500)
    torch.sub(f[1], f[2], out=out[2]).mul_(200)


def _lab_to_linear(lab: torch.Tensor) -> torch.Tensor:
    """Lab to linear RGB, outside [0, 1] where sRGB ends."""
    L, a, b = lab.unbind(1)
    fy = (L + 16) / 116
    x, y, z = (_inverse_lab_f(f) for f in (fy + a / 500, fy, fy - b / 200))
    return torch.stack([p * x + q * y + r * z for p, q, r in _FROM_XYZ.tolist()], dim=1)


def lab_to_rgb(lab: torch.Tensor, clip: bool = True) -> torch.Tensor:
    """Lab to sRGB.

    Parameters
    ----------
    lab : Tensor
        (N, 3, H, W) floating.
    clip : bool
        Clip to [0, 1]. Clipping a colour outside sRGB moves its L and its hue: pass ab through
        :func:`fit_gamut` first.

    Returns
    -------
    Tensor
        (N, 3, H, W) float32 in [0, 1] (beyond it with ``clip=False``).

    Examples
    --------
    >>> rgb = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1)
    >>> lab_to_rgb(rgb_to_lab(rgb)).flatten()
    tensor([0.2000, 0.4000, 0.6000])
    """
    _check_shape(lab, "lab", 3)
    rgb = delinearize(_lab_to_linear(_as_float(lab, "lab"))).float()
    return rgb.clamp(0, 1) if clip else rgb


def split_lab(lab: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Lab (N, 3, H, W) as L (N, 1, H, W) and ab (N, 2, H, W); views, not copies."""
    _check_shape(lab, "lab", 3)
    return lab[:, :1], lab[:, 1:]


def join_lab(L: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
    """L (N, 1, H, W) and ab (N, 2, H, W) as Lab (N, 3, H, W)."""
    _check_shape(L, "L", 1)
    _check_shape(ab, "ab", 2)
    return torch.cat([L, ab], dim=1)


# --- distances ------------------------------------------------------------------------------------


def _norm(*parts: torch.Tensor) -> torch.Tensor:
    """The root of a sum of squares, with gradient 0 (not NaN) where all are 0."""
    total = sum(part * part for part in parts)
    positive = total > 0
    return torch.where(positive, torch.where(positive, total, 1.0).sqrt(), 0.0)


def delta_e76(lab1: torch.Tensor, lab2: torch.Tensor) -> torch.Tensor:
    """The CIE 1976 colour difference: the Euclidean distance in Lab.

    Parameters
    ----------
    lab1, lab2 : Tensor
        (N, 3, H, W) floating; they broadcast.

    Returns
    -------
    Tensor
        (N, 1, H, W); float64 where an input is float64, else float32. Its gradient at equal colours
        is 0.

    Examples
    --------
    >>> black, white = torch.zeros(1, 3, 1, 1), torch.tensor([100.0, 0, 0]).view(1, 3, 1, 1)
    >>> delta_e76(black, white).item()
    100.0
    """
    lab1, lab2 = _two_labs(lab1, lab2)
    return _norm(*(lab1 - lab2).unbind(1)).unsqueeze(1)


def _two_labs(lab1: torch.Tensor, lab2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    _check_shape(lab1, "lab1", 3)
    _check_shape(lab2, "lab2", 3)
    return _as_float(lab1, "lab1"), _as_float(lab2, "lab2")


def ciede2000(lab1: torch.Tensor, lab2: torch.Tensor) -> torch.Tensor:
    """The CIEDE2000 colour difference with unit weights.

    Parameters and returns as :func:`delta_e76`. About 1 is a difference that one just sees.

    References
    ----------
    G. Sharma, W. Wu, E. N. Dalal (2005), The CIEDE2000 color-difference formula: implementation
    notes, supplementary test data, and mathematical observations. Color Res. Appl. 30, 21-30.
    Equation numbers below are theirs.
    """
    lab1, lab2 = _two_labs(lab1, lab2)
    (L1, a1, b1), (L2, a2, b2) = lab1.unbind(1), lab2.unbind(1)
    a1, a2 = _stretch_a(a1, b1, a2, b2)
    C1, C2 = _norm(a1, b1), _norm(a2, b2)
    h1, h2 = _hue(a1, b1), _hue(a2, b2)
    gray = (C1 * C2) == 0
    dh = _hue_difference(h1, h2, gray)
    dL, dC = L2 - L1, C2 - C1
    dH = 2 * (_root(C1 * C2)) * torch.sin(dh / 2)  # 11
    L, C, h = (L1 + L2) / 2, (C1 + C2) / 2, _mean_hue(h1, h2, gray)
    SL = 1 + 0.015 * (L - 50) ** 2 / (20 + (L - 50) ** 2).sqrt()
    SC, SH = 1 + 0.045 * C, 1 + 0.015 * C * _hue_weight(h)
    RT = _rotation(C, h)
    x, y, z = dL / SL, dC / SC, dH / SH
    total = x * x + y * y + z * z + RT * y * z  # 22
    return _root(total.clamp(min=0)).unsqueeze(1)


def _root(x: torch.Tensor) -> torch.Tensor:
    """The square root with gradient 0 (not infinite) at 0."""
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, 1.0).sqrt(), 0.0)


def _stretch_a(a1, b1, a2, b2) -> tuple[torch.Tensor, torch.Tensor]:
    C7 = ((_norm(a1, b1) + _norm(a2, b2)) / 2) ** 7
    G = 0.5 * (1 - _root(C7 / (C7 + 25.0**7)))  # 4
    return (1 + G) * a1, (1 + G) * a2


def _hue(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The hue angle in [0, 2 pi), 0 for gray (equation 7)."""
    gray = (a == 0) & (b == 0)
    return torch.atan2(b, torch.where(gray, 1.0, a)).remainder(2 * math.pi)


def _hue_difference(h1, h2, gray) -> torch.Tensor:
    d = h2 - h1
    d = torch.where(d > math.pi, d - 2 * math.pi, d)
    d = torch.where(d < -math.pi, d + 2 * math.pi, d)
    return torch.where(gray, 0.0, d)  # 10


def _mean_hue(h1, h2, gray) -> torch.Tensor:
    total = h1 + h2
    far = (h1 - h2).abs() > math.pi
    wrapped = torch.where(total < 2 * math.pi, total + 2 * math.pi, total - 2 * math.pi)
    return torch.where(gray, total, torch.where(far, wrapped, total) / 2)  # 14


def _hue_weight(h: torch.Tensor) -> torch.Tensor:
    deg = math.pi / 180
    return (
        1
        - 0.17 * torch.cos(h - 30 * deg)
        + 0.24 * torch.cos(2 * h)
        + 0.32 * torch.cos(3 * h + 6 * deg)
        - 0.20 * torch.cos(4 * h - 63 * deg)
    )  # 15


def _rotation(C: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    theta = math.pi / 6 * torch.exp(-(((h * 180 / math.pi - 275) / 25) ** 2))  # 16, in radians
    C7 = C**7
    return -2 * _root(C7 / (C7 + 25.0**7)) * torch.sin(2 * theta)  # 17, 21


# --- the gamut ------------------------------------------------------------------------------------


def out_of_gamut(L: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
    """Where sRGB cannot show a colour.

    Parameters
    ----------
    L, ab : Tensor
        (N, 1, H, W) in [0, 100] and (N, 2, H, W).

    Returns
    -------
    Tensor
        bool (N, 1, H, W): True where a linear R, G or B is beyond [0, 1] by more than 1e-4.
    """
    linear = _lab_to_linear(_as_float(join_lab(L, ab), "ab"))
    outside = (linear < -GAMUT_TOLERANCE) | (linear > 1 + GAMUT_TOLERANCE)
    return outside.any(dim=1, keepdim=True)


def fit_gamut(L: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
    """The nearest chroma that sRGB can show, at the same L and the same hue.

    A colour inside sRGB is returned as it is, to the last bit. Another one gets the largest chroma
    below its own, at its hue angle in Lab, that is inside (tolerance 1e-4 in linear light). Near
    light yellow a ray of constant hue leaves the gamut and enters it again; the far part counts
    too. See :func:`max_chroma` for the first exit.

    Parameters
    ----------
    L, ab : Tensor
        (N, 1, H, W) in [0, 100] and (N, 2, H, W), floating.

    Returns
    -------
    Tensor
        ab, (N, 2, H, W), in the dtype of `ab`. Its gradient is that of the scaling by a constant.

    Raises
    ------
    ValueError
        For L outside [0, 100].

    Examples
    --------
    >>> L, ab = torch.full((1, 1, 1, 1), 50.0), torch.tensor([200.0, 0.0]).view(1, 2, 1, 1)
    >>> fit_gamut(L, ab).flatten().round()
    tensor([79.,  0.])
    """
    _check_shape(L, "L", 1)
    _check_shape(ab, "ab", 2)
    _check_lightness(L)
    outside = out_of_gamut(L, ab).squeeze(1)
    if not torch.compiler.is_compiling() and not bool(outside.any()):
        return ab
    L = L.expand(-1, -1, *ab.shape[-2:])
    a, b = ab.detach().movedim(1, -1)[outside].double().unbind(-1)
    chroma = torch.hypot(a, b)
    largest = _largest_chroma(L.detach().squeeze(1)[outside].double(), torch.atan2(b, a), chroma)
    scale = torch.ones_like(outside, dtype=ab.dtype)
    scale[outside] = (largest / chroma).to(ab.dtype)
    return torch.where(outside.unsqueeze(1), ab * scale.unsqueeze(1), ab)


def max_chroma(L: torch.Tensor, hue: torch.Tensor) -> torch.Tensor:
    """The chroma at which a ray of constant hue first leaves sRGB: every smaller one is inside.

    Parameters
    ----------
    L, hue : Tensor
        L in [0, 100] and the hue angle atan2(b, a) in radians, of any shapes that broadcast.

    Returns
    -------
    Tensor
        The chroma, in the broadcast shape and the dtype of the inputs.

    Examples
    --------
    >>> max_chroma(torch.tensor([50.0, 100.0]), torch.tensor(0.0)).round()
    tensor([79.,  0.])
    """
    _check_lightness(L)
    dtype = torch.promote_types(L.dtype, hue.dtype)
    L, hue = torch.broadcast_tensors(L, hue)
    flat = [_first_exit(*part) for part in _parts(L.double().flatten(), hue.double().flatten())]
    return torch.cat(flat).view(L.shape).to(dtype) if flat else L.to(dtype)


# Along a ray of constant L and hue, Y is constant, f of X and Z are linear in the chroma c, and so
# linear R, G and B are cubics in c (where f is a root) or lines (where it is one): four cases for X
# and Z. A border of the gamut is a root of such a polynomial minus 0 or 1. So we solve them all and
# try every root with the true function. That needs no guess of which case holds where, and it finds
# the far part of a gamut that a ray enters twice.

_RAY_CHUNK = 8_192


def _parts(*tensors: torch.Tensor):
    return zip(*(tensor.split(_RAY_CHUNK) for tensor in tensors), strict=True)


def _largest_chroma(L: torch.Tensor, hue: torch.Tensor, chroma: torch.Tensor) -> torch.Tensor:
    """The largest chroma below the given one that is inside; all (P,) float64."""
    best = []
    for part_L, part_hue, limit in _parts(L, hue, chroma):
        borders = _border_candidates(part_L, part_hue)
        good = (
            (borders > 0) & (borders <= limit) & _ray_inside(part_L, part_hue, borders, slack=1e-9)
        )
        best.append(torch.where(good, borders, 0.0).amax(dim=0))
    return torch.cat(best)


def _first_exit(L: torch.Tensor, hue: torch.Tensor) -> torch.Tensor:
    borders = _border_candidates(L, hue)
    leaves = (borders > 0) & ~_ray_inside(L, hue, borders + 1e-4, slack=0)
    exit_ = torch.where(leaves, borders, math.inf).amin(dim=0)
    return torch.where(exit_.isinf(), 0.0, exit_)  # L = 0 and L = 100: nothing but gray


def _ray_inside(L, hue, chroma, slack: float) -> torch.Tensor:
    fy = (L + 16) / 116
    x = _inverse_lab_f(fy + chroma * hue.cos() / 500)
    z = _inverse_lab_f(fy - chroma * hue.sin() / 200)
    y = _inverse_lab_f(fy)
    edge = _SOLVED_TOLERANCE + slack
    inside = torch.ones_like(x, dtype=torch.bool)
    for p, q, r in _FROM_XYZ.tolist():
        linear = p * x + q * y + r * z
        inside &= (linear >= -edge) & (linear <= 1 + edge)
    return inside


# A hair inside the tolerance, so that rounding to float32 does not carry a fitted colour out of it.
_SOLVED_TOLERANCE = 0.99 * GAMUT_TOLERANCE


def _border_candidates(L: torch.Tensor, hue: torch.Tensor) -> torch.Tensor:
    """Every chroma at which R, G or B may pass 0 or 1: (72, P), NaN where there is none."""
    fy = (L + 16) / 116
    y = _inverse_lab_f(fy)
    of_x = _branches(fy, hue.cos() / 500)
    of_z = _branches(fy, -hue.sin() / 200)
    found = []
    for p, q, r in _FROM_XYZ.tolist():
        for x in of_x:
            for z in of_z:
                cubic = [p * u + r * v for u, v in zip(x, z, strict=True)]
                for level in (-_SOLVED_TOLERANCE, 1 + _SOLVED_TOLERANCE):
                    constant = cubic[0] + q * y - level
                    found.extend(_cubic_roots(cubic[3], cubic[2], cubic[1], constant))
    return torch.stack(found)


def _branches(start: torch.Tensor, slope: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], ...]:
    """The coefficients of 1, c, c^2, c^3 in the inverse of f at start + slope c, cube and line."""
    cube = (start**3, 3 * start**2 * slope, 3 * start * slope**2, slope**3)
    zero = torch.zeros_like(start)
    line = ((start - 4 / 29) / F_SLOPE, slope / F_SLOPE, zero, zero)
    return cube, line


def _cubic_roots(a, b, c, d) -> list[torch.Tensor]:
    """The real roots of a x^3 + b x^2 + c x + d, (P,) each; NaN where there are fewer than three.

    With x = 100 t the coefficients are of similar size; a leading one below 1e-9 of the largest
    counts as zero.
    """
    a, b, c = a * 1e6, b * 1e4, c * 1e2
    size = torch.stack([a.abs(), b.abs(), c.abs(), d.abs()]).amax(dim=0)
    is_cubic = a.abs() > 1e-9 * size
    safe = torch.where(is_cubic, a, 1.0)
    cubic = _depressed_roots(b / safe, c / safe, d / safe)
    lower = [*_quadratic_roots(b, c, d, size), torch.full_like(a, math.nan)]
    roots = [torch.where(is_cubic, x, y) for x, y in zip(cubic, lower, strict=True)]
    return [100 * _polish(root, a, b, c, d) for root in roots]


def _depressed_roots(b, c, d) -> list[torch.Tensor]:
    """The real roots of x^3 + b x^2 + c x + d by Viete's cosines and Cardano's formula."""
    p, q = c - b * b / 3, 2 * b**3 / 27 - b * c / 3 + d
    disc = (q / 2) ** 2 + (p / 3) ** 3
    root = disc.clamp(min=0).sqrt()
    u, v = -q / 2 + root, -q / 2 - root
    single = u.sign() * u.abs() ** (1 / 3) + v.sign() * v.abs() ** (1 / 3) - b / 3
    radius = 2 * (-p / 3).clamp(min=0).sqrt()
    cosine = (3 * q / (p * radius)).nan_to_num(0).clamp(-1, 1)
    angle = torch.acos(cosine) / 3
    triple = [radius * torch.cos(angle - 2 * math.pi * k / 3) - b / 3 for k in range(3)]
    nan = torch.full_like(single, math.nan)
    only = [single, nan, nan]
    return [torch.where(disc > 0, x, y) for x, y in zip(only, triple, strict=True)]


def _quadratic_roots(a, b, c, size) -> list[torch.Tensor]:
    """The real roots of a x^2 + b x + c without cancellation; of the line where a is nil."""
    s = -(b + torch.where(b < 0, -1.0, 1.0) * (b * b - 4 * a * c).sqrt()) / 2
    first = torch.where(a.abs() > 1e-9 * size, s / a, math.nan)
    return [first, torch.where(s != 0, c / s, math.nan)]


def _polish(x, a, b, c, d) -> torch.Tensor:
    """Two Newton steps, which take back what the closed form lost to rounding."""
    for _ in range(2):
        slope = (3 * a * x + 2 * b) * x + c
        step = (((a * x + b) * x + c) * x + d) / torch.where(slope == 0, math.inf, slope)
        x = x - step.clamp(-0.1, 0.1)
    return x

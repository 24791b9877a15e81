"""Exercises of lesson 1, Lab colour."""

import torch
import torch.nn.functional as F

from colorcourse.exercises import Answer, Case, Exercise, register
from colorkit import color

LESSON = "01_lab"
RGB_TO_XYZ = torch.tensor(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
WHITE = torch.tensor([0.95047, 1.0, 1.08883]).view(1, 3, 1, 1)


def _picture(seed: int, size: int = 8, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(2, 3, size, size, generator=generator)


def _gray_ramp(steps: int = 16, high: float = 1.0) -> torch.Tensor:
    return torch.linspace(0, high, steps).view(1, 1, 1, steps).expand(1, 3, 1, steps).clone()


# --- linearise ------------------------------------------------------------------------------------


def _linearize_with_cut(cut: float):
    return lambda x: torch.where(x <= cut, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _linearize_by_index(srgb):
    out = ((srgb + 0.055) / 1.055) ** 2.4
    out[srgb <= 0.04045] = srgb[srgb <= 0.04045] / 12.92
    return out


register(Exercise(
    name="lab.linearize", lesson=LESSON, minutes=6,
    reference=color.linearize,
    cases=(
        Case("dark values", lambda: (_gray_ramp(high=0.06),)),
        Case("a gray ramp", lambda: (_gray_ramp(),)),
        Case("a picture", lambda: (_picture(1),)),
    ),
    atol=1e-5, rtol=1e-4,
    wrong=(
        Answer("power 2.2", lambda x: x**2.2,
               "This is the rule of thumb x ** 2.2. The standard's exponent is 2.4 with an offset, and its dark end is a straight line."),
        Answer("power law everywhere", lambda x: ((x + 0.055) / 1.055) ** 2.4,
               "Bright values are right. Dark ones, up to 0.04045, lie on a straight line instead."),
        Answer("divided by 255", lambda x: color.linearize(x / 255),
               "The values are too small by far. The argument is in [0, 1] already: do not divide by 255."),
        Answer("the inverse formula", lambda x: color.delinearize(x),
               "This goes the other way: it makes values brighter. From sRGB to light, middle gray becomes darker (0.5 turns into 0.214)."),
        Answer("straight line everywhere", lambda x: x / 12.92,
               "The dark end is right. Values above 0.04045 follow the power law."),
    ),
    right=(
        Answer("cut at 0.03928", _linearize_with_cut(0.03928)),
        Answer("cut at 0.04045", _linearize_with_cut(0.04045)),
        Answer("by index", _linearize_by_index),
    ),
))  # fmt: skip


# --- f(t) -----------------------------------------------------------------------------------------

CUT = (6 / 29) ** 3


def lab_f(t: torch.Tensor) -> torch.Tensor:
    """The compression of Lab: the cube root, and a straight line near black (CIE 15)."""
    return torch.where(t > CUT, t.clamp(min=CUT) ** (1 / 3), t / (3 * (6 / 29) ** 2) + 4 / 29)


def _rounded_f(t):
    return torch.where(t > 0.008856, t.clamp(min=1e-6) ** (1 / 3), 7.787 * t + 16 / 116)


def _f_by_index(t):
    out = t / (3 * (6 / 29) ** 2) + 4 / 29
    out[t > CUT] = t[t > CUT] ** (1 / 3)
    return out


register(Exercise(
    name="lab.f", lesson=LESSON, minutes=6,
    reference=lab_f,
    cases=(
        Case("near black", lambda: (torch.linspace(0, 0.02, 21),)),
        Case("a ramp from 0 to 1", lambda: (torch.linspace(0, 1, 30),)),
        Case("a picture", lambda: (_picture(2),)),
    ),
    atol=2e-5, rtol=1e-4,
    wrong=(
        Answer("cube root everywhere", lambda t: t ** (1 / 3),
               "Right for bright values. Near black, below (6/29)³, f is a straight line, because the cube root is infinitely steep at 0."),
        Answer("cut at 6/29",
               lambda t: torch.where(t > 6 / 29, t ** (1 / 3), t / (3 * (6 / 29) ** 2) + 4 / 29),
               "The cut is in the wrong place. f(t) is 6/29 there, so t itself is 6/29 cubed."),
        Answer("4/29 left out",
               lambda t: torch.where(t > CUT, t ** (1 / 3), t / (3 * (6 / 29) ** 2)),
               "There is a jump at the cut. The straight line has a constant term too."),
        Answer("square root",
               lambda t: torch.where(t > CUT, t**0.5, t / (3 * (6 / 29) ** 2) + 4 / 29),
               "The straight line is right. Above the cut it is the cube root, not the square root."),
    ),
    right=(Answer("7.787 t + 16/116", _rounded_f), Answer("by index", _f_by_index)),
))  # fmt: skip


# --- the whole conversion -------------------------------------------------------------------------


def srgb_to_lab(
    srgb,
    linearize=color.linearize,
    matrix=RGB_TO_XYZ,
    white=WHITE,
    f=lab_f,
    offset=16.0,
    assemble=lambda L, a, b: torch.cat([L, a, b], dim=1),
):
    xyz = torch.einsum("ij,njhw->nihw", matrix, linearize(srgb))
    fx, fy, fz = f(xyz / white).split(1, dim=1)
    return assemble(116 * fy - offset, 500 * (fx - fy), 200 * (fy - fz))


def _to_lab_by_convolution(srgb):
    xyz = F.conv2d(color.linearize(srgb), RGB_TO_XYZ.view(3, 3, 1, 1)) / WHITE
    f = _rounded_f(xyz)
    x, y, z = f[:, 0], f[:, 1], f[:, 2]
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def _to_lab_by_matmul(srgb):
    n, _, h, w = srgb.shape
    xyz = (RGB_TO_XYZ @ color.linearize(srgb).reshape(n, 3, h * w)).reshape(n, 3, h, w) / WHITE
    x, y, z = lab_f(xyz).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


register(Exercise(
    name="lab.rgb_to_lab", lesson=LESSON, minutes=10,
    reference=srgb_to_lab, own=(color.rgb_to_lab,),
    cases=(Case("a gray ramp", lambda: (_gray_ramp(),)), Case("a picture", lambda: (_picture(3),))),
    atol=0.02, rtol=1e-3,
    wrong=(
        Answer("no white point", lambda x: srgb_to_lab(x, white=torch.ones(1, 3, 1, 1)),
               "Gray pixels get a colour: the white point is missing. Divide XYZ by it before f."),
        Answer("no linearisation", lambda x: srgb_to_lab(x, linearize=lambda v: v),
               "Everything is too bright: the matrix needs linear light. Call linearize first."),
        Answer("matrix transposed", lambda x: srgb_to_lab(x, matrix=RGB_TO_XYZ.T),
               "The matrix is applied the wrong way round: each row of it makes one of X, Y, Z out of R, G and B."),
        Answer("f left out", lambda x: srgb_to_lab(x, f=lambda t: t),
               "f is missing: it comes after the division by the white point."),
        Answer("16 left out", lambda x: srgb_to_lab(x, offset=0.0),
               "Black has an L of 16. L = 116 f(Y) - 16."),
        Answer("a and b swapped",
               lambda x: srgb_to_lab(x, assemble=lambda L, a, b: torch.cat([L, b, a], dim=1)),
               "L is right, but a and b have changed places. a = 500 (f(X) - f(Y)) comes first."),
        Answer("signs turned",
               lambda x: srgb_to_lab(x, assemble=lambda L, a, b: torch.cat([L, -a, -b], dim=1)),
               "L is right, but a and b have the wrong sign: red must have a positive a, yellow a positive b."),
    ),
    right=(
        Answer("a 1 x 1 convolution", _to_lab_by_convolution),
        Answer("matmul", _to_lab_by_matmul),
    ),
))  # fmt: skip


# --- colour made coarse, and measured -------------------------------------------------------------


def coarse_colour(
    lab: torch.Tensor,
    factor: int,
    shrink=F.avg_pool2d,
    mode="bilinear",
    channels=slice(1, 3),
    distance=color.ciede2000,
    total=torch.mean,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lab (N, 3, H, W) with ab averaged over blocks of `factor` and enlarged; mean CIEDE2000."""
    out = lab.clone()
    out[:, channels] = F.interpolate(shrink(lab[:, channels], factor), lab.shape[-2:], mode=mode)
    return out, total(distance(lab, out))


def _smooth_lab(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 3, 8, 8, generator=generator)
    return color.rgb_to_lab(F.interpolate(noise, (32, 32), mode="bicubic").clamp(0, 1))


def _by_reshape(lab, factor):
    n, _, h, w = lab.shape
    blocks = lab[:, 1:].reshape(n, 2, h // factor, factor, w // factor, factor).mean((3, 5))
    ab = F.interpolate(blocks, scale_factor=factor, mode="bilinear", align_corners=False)
    out = torch.cat([lab[:, :1], ab], 1)
    return out, color.ciede2000(lab, out).mean().item()


register(Exercise(
    name="lab.coarse", lesson=LESSON, minutes=8,
    reference=coarse_colour,
    cases=(
        Case("factor 2", lambda: (_smooth_lab(4), 2)),
        Case("factor 4", lambda: (_smooth_lab(5), 4)),
    ),
    atol=1e-3,
    wrong=(
        Answer("L reduced too", lambda lab, k: coarse_colour(lab, k, channels=slice(0, 3)),
               "L became coarse as well. Keep channel 0 as it is; only a and b are reduced."),
        Answer("only L reduced", lambda lab, k: coarse_colour(lab, k, channels=slice(0, 1)),
               "You reduced L. a and b are channels 1 and 2."),
        Answer("every k-th pixel",
               lambda lab, k: coarse_colour(lab, k, shrink=lambda x, f: x[..., ::f, ::f]),
               "You took every factor-th pixel. Average over each block instead, or single pixels stand for their whole neighbourhood."),
        Answer("nearest neighbour", lambda lab, k: coarse_colour(lab, k, mode="nearest"),
               'The enlarged colours are blocks: interpolate\'s default is "nearest". Ask for mode="bilinear".'),
        Answer("Delta E 1976", lambda lab, k: coarse_colour(lab, k, distance=color.delta_e76),
               "The picture is right, but the distance is the plain Euclidean one of 1976. Use ciede2000."),
        Answer("the sum", lambda lab, k: coarse_colour(lab, k, total=torch.sum),
               "The picture is right. The distance should be averaged over the pixels, not summed."),
        Answer("not averaged", lambda lab, k: coarse_colour(lab, k, total=lambda error: error),
               "The picture is right. The second value should be one number: the mean over all pixels."),
    ),
    right=(
        Answer("reshape and mean, a float", _by_reshape),
        Answer("area interpolation",
               lambda lab, k: coarse_colour(
                   lab, k, shrink=lambda x, f: F.interpolate(x, scale_factor=1 / f, mode="area"))),
    ),
))  # fmt: skip


# --- gamut-safe decoding --------------------------------------------------------------------------


def decode(L: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
    """RGB (N, 3, H, W) with exactly the given L: chroma gives way where sRGB ends."""
    return color.lab_to_rgb(color.join_lab(L, color.fit_gamut(L, ab)))


def _vivid(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random colours, a good half outside sRGB; light yellows are left out (see `fit_gamut`)."""
    generator = torch.Generator().manual_seed(seed)
    L = 10 + 75 * torch.rand(1, 1, 16, 16, generator=generator)
    return L, 90 * torch.randn(1, 2, 16, 16, generator=generator).clamp(-1.2, 1.2)


def _scaled_to_gamut(L, ab, steps: int, whole_picture: bool = False):
    low, high = torch.zeros_like(L), torch.ones_like(L)
    for _ in range(steps):
        middle = (low + high) / 2
        outside = color.out_of_gamut(L, middle * ab)
        low, high = torch.where(outside, low, middle), torch.where(outside, middle, high)
    scale = torch.where(color.out_of_gamut(L, ab), low, torch.ones_like(low))
    if whole_picture:
        scale = scale.amin(dim=(1, 2, 3), keepdim=True)
    return color.lab_to_rgb(color.join_lab(L, scale * ab))


def _by_table(L, ab):
    scale = torch.zeros_like(L)
    for s in torch.linspace(0, 1, 801):
        scale = torch.where(color.out_of_gamut(L, s * ab), scale, s.expand_as(scale))
    return color.lab_to_rgb(color.join_lab(L, scale * ab))


def _clamp_a_and_b(L, ab):
    ab = ab.clone()
    for _ in range(60):  # shrink the larger of |a| and |b| until the colour fits
        larger = ab.abs() == ab.abs().amax(dim=1, keepdim=True)
        ab = torch.where(color.out_of_gamut(L, ab) & larger, 0.93 * ab, ab)
    return color.lab_to_rgb(color.join_lab(L, ab))


def _rescale_rgb(L, ab):
    rgb = color.lab_to_rgb(color.join_lab(L, ab), clip=False)
    low, high = rgb.amin(1, keepdim=True).clamp(max=0), rgb.amax(1, keepdim=True).clamp(min=1)
    return (rgb - low) / (high - low)


def judge_decode(answer) -> str | None:
    """Measure a decoder: range, L, colours that need no change, hue, and chroma given away."""
    L, ab = _vivid(6)
    rgb = answer(L.clone(), ab.clone())
    if not isinstance(rgb, torch.Tensor) or rgb.shape != (1, 3, 16, 16):
        got = tuple(rgb.shape) if isinstance(rgb, torch.Tensor) else type(rgb).__name__
        return f"An RGB tensor of shape (1, 3, 16, 16) was asked for; yours gave {got}."
    if rgb.isnan().any():
        return "Some values are NaN (not a number). Is a root taken of something negative?"
    if rgb.min() < -1e-3 or rgb.max() > 1 + 1e-3:
        low, high = rgb.min().item(), rgb.max().item()
        return (
            f"RGB leaves [0, 1]: yours goes from {low:.2f} to {high:.2f}. The colour is not safe."
        )
    for mistake in WRONG_DECODERS:
        if torch.allclose(rgb, mistake.answer(L, ab), atol=2e-3):
            return mistake.hint
    got_L, got_ab = color.split_lab(color.rgb_to_lab(rgb.float().clamp(0, 1)))
    if (moved := (got_L - L).abs().max().item()) > 0.25:
        return f"L moved, by up to {moved:.1f}. Only the chroma may give way."
    inside = ~color.out_of_gamut(L, ab)
    if ((got_ab - ab).abs().amax(1, keepdim=True)[inside]).max() > 0.25:
        return "Colours inside sRGB have changed. They must stay exactly as they are."
    turned = (ab[:, :1] * got_ab[:, 1:] - ab[:, 1:] * got_ab[:, :1]).abs() / ab.norm(dim=1)
    if turned.max() > 0.5:
        return "The hue turned: a and b must shrink by the same factor."
    edge = color.max_chroma(L, torch.atan2(ab[:, 1:], ab[:, :1]))  # exact: fit_gamut stays inside
    best = torch.minimum(ab.norm(dim=1, keepdim=True), edge)
    short = (best - got_ab.norm(dim=1, keepdim=True)).max().item()
    if short > 0.6:  # half a unit, and a tenth for the way through RGB and back
        return f"Safe, but up to {short:.1f} units of chroma are given away. Go closer to the edge."
    return None


WRONG_DECODERS = (
    Answer("clip RGB", lambda L, ab: color.lab_to_rgb(color.join_lab(L, ab)),
           "This clips RGB: L moved with it. The photograph's own brightness is lost where the colour is vivid."),
    Answer("rescale RGB", _rescale_rgb,
           "RGB is squeezed into [0, 1]: L moved, because white and black changed places in the scale. Shrink a and b instead."),
    Answer("a and b apart", _clamp_a_and_b,
           "a and b shrink by different factors, so the hue turned. One factor for both keeps it."),
    Answer("one factor for the picture",
           lambda L, ab: _scaled_to_gamut(L, ab, 20, whole_picture=True),
           "One factor for the whole picture makes every pixel pale, because one is too vivid. Find a factor for each pixel."),
    Answer("gray where it does not fit",
           lambda L, ab: color.lab_to_rgb(color.join_lab(L, ab * ~color.out_of_gamut(L, ab))),
           "Colours that do not fit became gray. Keep as much chroma as sRGB can show."),
    Answer("bisection of three steps", lambda L, ab: _scaled_to_gamut(L, ab, 3),
           "Safe, but three halvings stop far from the edge. About ten bring you within a tenth of a unit."),
)  # fmt: skip

register(Exercise(
    name="lab.decode", lesson=LESSON, minutes=12,
    reference=decode, own=(color.fit_gamut, color.max_chroma), judge=judge_decode,
    wrong=WRONG_DECODERS,
    right=(
        Answer("bisection", lambda L, ab: _scaled_to_gamut(L, ab, 12)),
        Answer("a table of factors", _by_table),
    ),
))  # fmt: skip


# --- extras ---------------------------------------------------------------------------------------


def _inverse_f(y: torch.Tensor) -> torch.Tensor:
    return torch.where(y > 6 / 29, y**3, 3 * (6 / 29) ** 2 * (y - 4 / 29))


def lab_to_srgb(lab, white=WHITE, inverse_f=_inverse_f, gamma=color.delinearize, sign=1.0):
    """The inverse of the exercise `lab.rgb_to_lab`: Lab to sRGB, not clipped."""
    L, a, b = lab.split(1, dim=1)
    fy = (L + 16) / 116
    f = torch.cat([fy + sign * a / 500, fy, fy - sign * b / 200], dim=1)
    xyz = inverse_f(f) * white
    return gamma(torch.einsum("ij,njhw->nihw", torch.linalg.inv(RGB_TO_XYZ), xyz))


register(Exercise(
    name="lab.inverse", lesson=LESSON, minutes=12, core=False,
    reference=lab_to_srgb, own=(color.lab_to_rgb,),
    cases=(
        Case("a gray ramp", lambda: (color.rgb_to_lab(_gray_ramp()),)),
        Case("a picture", lambda: (color.rgb_to_lab(_picture(7, low=0.02, high=0.98)),)),
    ),
    atol=2e-3,
    wrong=(
        Answer("no white point", lambda lab: lab_to_srgb(lab, white=torch.ones(1, 3, 1, 1)),
               "Grays are tinted: multiply by the white point after undoing f."),
        Answer("cubed everywhere", lambda lab: lab_to_srgb(lab, inverse_f=lambda y: y**3),
               "Right except near black, where f was a straight line. Undo the line below 6/29."),
        Answer("linear light", lambda lab: lab_to_srgb(lab, gamma=lambda x: x),
               "This is linear light. sRGB's gamma is still to be applied."),
        Answer("signs turned", lambda lab: lab_to_srgb(lab, sign=-1.0),
               "Red and green have changed places: f(X) is f(Y) + a / 500, and f(Z) is f(Y) - b / 200."),
    ),
    right=(
        Answer("matmul",
               lambda lab: torch.movedim(lab_to_srgb(lab), 1, -1).movedim(-1, 1).contiguous()),
    ),
))  # fmt: skip

register(Exercise(
    name="lab.delta_e", lesson=LESSON, minutes=4, core=False,
    reference=color.delta_e76,
    cases=(
        Case("two pictures",
             lambda: (color.rgb_to_lab(_picture(8)), color.rgb_to_lab(_picture(9)))),
    ),
    atol=1e-3,
    wrong=(
        Answer("squared", lambda x, y: (x - y).square().sum(1, keepdim=True),
               "This is the squared distance. Take the root."),
        Answer("city block", lambda x, y: (x - y).abs().sum(1, keepdim=True),
               "This adds up absolute differences. Delta E of 1976 is the Euclidean distance."),
        Answer("colour alone", lambda x, y: (x - y)[:, 1:].norm(dim=1, keepdim=True),
               "L is left out. Delta E of 1976 is over L, a and b."),
        Answer("no channel dimension", lambda x, y: (x - y).norm(dim=1),
               "The numbers are right, but the channel dimension is gone. keepdim=True keeps it."),
    ),
    right=(Answer("by hand", lambda x, y: ((x - y) ** 2).sum(1, keepdim=True) ** 0.5),),
))  # fmt: skip


def normalize(L: torch.Tensor, ab: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """L from [0, 100] to [-1, 1]; ab divided by 110."""
    return L / 50 - 1, ab / 110


register(Exercise(
    name="lab.normalize", lesson=LESSON, minutes=3, core=False,
    reference=normalize,
    cases=(Case("a picture", lambda: color.split_lab(color.rgb_to_lab(_picture(10)))),),
    wrong=(
        Answer("L to [0, 1]", lambda L, ab: (L / 100, ab / 110),
               "L ends in [0, 1]. Its middle, 50, should become 0."),
        Answer("ab shifted", lambda L, ab: (L / 50 - 1, (ab + 110) / 220),
               "ab is shifted. Gray is 0 already: a division by 110 is enough."),
        Answer("ab not scaled", lambda L, ab: (L / 50 - 1, ab),
               "L is right, but ab still has values of the order of 100."),
    ),
    right=(Answer("(L - 50) / 50", lambda L, ab: ((L - 50) / 50, ab / 110.0)),),
))  # fmt: skip

"""Exercises of lesson 1, Lab colour."""

import torch
import torch.nn.functional as F

from colorcourse.exercises import Answer, Case, Exercise, register
from colorkit import color

LESSON = "01_lab"
RGB_TO_XYZ = torch.tensor(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
WHITE = torch.tensor([0.95047, 1.0, 1.08883]).view(1, 3, 1, 1)


def _picture(seed: int, size: int = 8, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(2, 3, size, size, generator=generator)


def _gray_ramp(steps: int = 16, high: float = 1.0) -> torch.Tensor:
    return torch.linspace(0, high, steps).view(1, 1, 1, steps).expand(1, 3, 1, steps).clone()


def _linearize_with_cut(cut: float):
    return lambda x: torch.where(x <= cut, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


register(Exercise(
    name="lab.linearize", lesson=LESSON, minutes=8,
    reference=color.linearize,
    cases=(
        Case("dark values", lambda: (_gray_ramp(high=0.06),)),
        Case("a gray ramp", lambda: (_gray_ramp(),)),
        Case("a picture", lambda: (_picture(1),)),
    ),
    atol=1e-5, rtol=1e-4, fresh=lambda seed: (_picture(seed),),
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
        Answer("branches swapped",
               lambda x: torch.where(x > 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4),
               "The two branches have changed places: the straight line holds up to 0.04045. torch.where takes the value for True first."),
        Answer("cut of the inverse", _linearize_with_cut(0.0031308),
               "The line ends too early: 0.0031308 is where the opposite conversion changes over. Here the cut is at 0.04045."),
        Answer("multiplied by 12.92",
               lambda x: torch.where(x <= 0.04045, x * 12.92, ((x + 0.055) / 1.055) ** 2.4),
               "Bright values are right. In the dark, the value is divided by 12.92, not multiplied."),
        Answer("root",
               lambda x: torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** (1 / 2.4)),
               "The exponent is 2.4. Its inverse, 1 / 2.4, belongs to the opposite conversion."),
        Answer("only the offset divided",
               lambda x: torch.where(x <= 0.04045, x / 12.92, (x + 0.055 / 1.055) ** 2.4),
               "Only the offset 0.055 was divided by 1.055. Put brackets around v + 0.055, so that the sum is divided."),
        Answer("if", lambda x: x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4,
               "An if cannot choose for each value of a tensor. torch.where takes the condition and both branches."),
        Answer("1.055 to the power 2.4",
               lambda x: torch.where(x <= 0.04045, x / 12.92, (x + 0.055) / 1.055**2.4),
               "Python takes the power before the division. Put brackets around (v + 0.055) / 1.055."),
    ),
    right=(Answer("cut at 0.03928", _linearize_with_cut(0.03928)),),
))  # fmt: skip


CUT = (6 / 29) ** 3


def lab_f(t: torch.Tensor) -> torch.Tensor:
    """The compression of Lab: the cube root, and a straight line near black (CIE 15)."""
    return torch.where(t > CUT, t.clamp(min=CUT) ** (1 / 3), t / (3 * (6 / 29) ** 2) + 4 / 29)


def _rounded_f(t):
    return torch.where(t > 0.008856, t.clamp(min=1e-6) ** (1 / 3), 7.787 * t + 16 / 116)


def srgb_to_lab(
    x, linearize=color.linearize, matrix=RGB_TO_XYZ, white=WHITE, f=lab_f, c=(16, 500, 200)
):
    fx, fy, fz = f(torch.einsum("ij,njhw->nihw", matrix, linearize(x)) / white).split(1, dim=1)
    return torch.cat([116 * fy - c[0], c[1] * (fx - fy), c[2] * (fy - fz)], dim=1)


def _joined(x, join, L=lambda fx, fy: 116 * fy - 16, split=True):
    """Lab of sRGB by another way to put the channels together, or with another L."""
    xyz = torch.einsum("ij,njhw->nihw", RGB_TO_XYZ, color.linearize(x)) / WHITE
    fx, fy, fz = lab_f(xyz).split(1, dim=1) if split else lab_f(xyz).unbind(dim=1)
    return join([L(fx, fy), 500 * (fx - fy), 200 * (fy - fz)])


register(Exercise(
    name="lab.rgb_to_lab", lesson=LESSON, minutes=12,
    reference=srgb_to_lab, own=(color.rgb_to_lab,),
    cases=(Case("a gray ramp", lambda: (_gray_ramp(),)), Case("a picture", lambda: (_picture(3),))),
    atol=0.02, rtol=1e-3, fresh=lambda seed: (_picture(seed),),
    wrong=(
        Answer("no white point", lambda x: srgb_to_lab(x, white=1),
               "Gray pixels get a colour: the white point is missing. Divide XYZ by it before f."),
        Answer("no linearisation", lambda x: srgb_to_lab(x, linearize=lambda v: v),
               "Everything is too bright: the matrix needs linear light. Call linearize first."),
        Answer("matrix transposed", lambda x: srgb_to_lab(x, matrix=RGB_TO_XYZ.T),
               "The matrix is applied the wrong way round: each row of it makes one of X, Y, Z out of R, G and B."),
        Answer("f left out", lambda x: srgb_to_lab(x, f=lambda t: t),
               "f is missing: it comes after the division by the white point."),
        Answer("16 left out", lambda x: srgb_to_lab(x, c=(0, 500, 200)),
               "Black has an L of 16. L = 116 f(Y) - 16."),
        Answer("a and b swapped", lambda x: srgb_to_lab(x)[:, [0, 2, 1]],
               "L is right, but a and b have changed places. a = 500 (f(X) - f(Y)) comes first."),
        Answer("both signs turned", lambda x: srgb_to_lab(x, c=(16, -500, -200)),
               "L is right, but a and b have the wrong sign: red must have a positive a, yellow a positive b."),
        Answer("sign of b", lambda x: srgb_to_lab(x, c=(16, 500, -200)),
               "L and a are right, but b has the wrong sign: b = 200 (f(Y) - f(Z)), so that yellow has a positive b."),
        Answer("sign of a", lambda x: srgb_to_lab(x, c=(16, -500, 200)),
               "L and b are right, but a has the wrong sign: a = 500 (f(X) - f(Y)), so that red has a positive a."),
        Answer("500 and 200 swapped", lambda x: srgb_to_lab(x, c=(16, 200, 500)),
               "The factors 500 and 200 have changed places: 500 belongs to a, and 200 to b."),
        Answer("white point after f",
               lambda x: srgb_to_lab(x, white=1, f=lambda t: lab_f(t) / WHITE),
               "The white point comes too late: divide X, Y and Z by it first, then apply f."),
        Answer("white point multiplied", lambda x: srgb_to_lab(x, white=1 / WHITE),
               "Gray pixels get a strong tint: XYZ was multiplied by the white point. Divide by it."),
        Answer("linearised twice",
               lambda x: srgb_to_lab(x, linearize=lambda v: color.linearize(color.linearize(v))),
               "Everything is too dark: linearize was applied twice. Once makes linear light of sRGB."),
        Answer("L from 0 to 1", lambda x: srgb_to_lab(x) / 100,
               "The values are a hundredth of what they should be. L goes from 0 to 100: do not divide by 100."),
        Answer("channels last", lambda x: srgb_to_lab(x).movedim(1, -1),
               "L, a and b are along the last axis. Channels are the axis 1 of (N, 3, H, W): use dim=1."),
        Answer("bytes", lambda x: srgb_to_lab(255 * x),
               "The values are far too large. The argument is in [0, 1] already: do not multiply by 255."),
        Answer("divided by 255", lambda x: srgb_to_lab(x / 255),
               "Everything is nearly black. The argument is in [0, 1] already: do not divide by 255."),
        Answer("L of X", lambda x: _joined(x, lambda c: torch.cat(c, 1), L=lambda fx, fy: 116 * fx - 16),
               "a and b are right, but L was made of f(X). Lightness comes from Y."),
        Answer("f before the matrix",
               lambda x: srgb_to_lab(x, linearize=lambda v: lab_f(color.linearize(v)), f=lambda t: t),
               "f comes too early: first the matrix, then the division by the white point, then f."),
        Answer("@ on pictures", lambda x: RGB_TO_XYZ @ color.linearize(x),
               "@ multiplies rows and columns of the picture. The matrix belongs to the channels: use einsum as shown."),
        Answer("stacked along axis 0", lambda x: _joined(x, torch.stack, split=False),
               "L, a and b are along the first axis. Channels are the axis 1 of (N, 3, H, W): torch.stack needs dim=1."),
        Answer("joined along axis 0", lambda x: _joined(x, torch.cat),
               "L, a and b follow each other as pictures of one batch. Channels are the axis 1: torch.cat needs dim=1."),
    ),
    right=(
        Answer("a 1 x 1 convolution", lambda x: srgb_to_lab(
            F.conv2d(color.linearize(x), RGB_TO_XYZ.view(3, 3, 1, 1)),
            linearize=lambda v: v, matrix=torch.eye(3), f=_rounded_f)),
        Answer("matmul", lambda x: srgb_to_lab(
            (RGB_TO_XYZ @ color.linearize(x).flatten(2)).view_as(x),
            linearize=lambda v: v, matrix=torch.eye(3))),
        Answer("unbind and stack", lambda x: _joined(x, lambda c: torch.stack(c, 1), split=False)),
    ),
))  # fmt: skip


def byte_as_L(gray, L=lambda x: 100 * x, best=torch.argmax, measure=color.ciede2000):
    """How different gray sRGB (N, 1, H, W) looks with 100 gray for L, and the worst gray value."""
    right = color.rgb_to_lab(gray.expand(-1, 3, -1, -1))
    difference = measure(right, torch.cat([L(gray), 0 * right[:, 1:]], dim=1))
    return difference, gray.flatten()[best(difference)]


register(Exercise(
    name="lab.byte", lesson=LESSON, minutes=8,
    reference=byte_as_L, atol=0.01, fresh=lambda seed: (_picture(seed)[:, :1],),
    cases=(
        Case("a gray ramp", lambda: (_gray_ramp()[:, :1],)),
        Case("random grays", lambda: (_picture(8)[:, :1],)),
    ),
    wrong=(
        Answer("the position", lambda gray: (byte_as_L(gray)[0], byte_as_L(gray)[0].argmax()),
               "argmax gives the position of the largest difference. Take the gray value at that position."),
        Answer("the largest difference", lambda gray: (byte_as_L(gray)[0], byte_as_L(gray)[0].max()),
               "The second value is the largest difference. Give the gray value at which it is found."),
        Answer("as a byte", lambda gray: (byte_as_L(gray)[0], 255 * byte_as_L(gray)[1]),
               "The second value was multiplied by 255. Give the gray value in [0, 1]."),
        Answer("only the differences", lambda gray: byte_as_L(gray)[0],
               "Return two values: the differences, and the gray value at which they are largest."),
        Answer("the smallest", lambda gray: byte_as_L(gray, best=torch.argmin),
               "This is the gray with the smallest difference. Look for the largest."),
        Answer("distance in Lab", lambda gray: byte_as_L(gray, measure=lambda x, y: (x - y)[:, :1].abs()),
               "This is the distance in Lab. ciede2000 measures how large the difference looks."),
        Answer("gray as L", lambda gray: byte_as_L(gray, L=lambda x: x),
               "The differences are far too large: L goes from 0 to 100, and gray from 0 to 1."),
        Answer("255 gray as L", lambda gray: color.join_lab(255 * gray, 0 * gray.expand(-1, 2, -1, -1)),
               "gray is in [0, 1] and L goes from 0 to 100: multiply by 100, not by 255."),
        Answer("gray / 255", lambda gray: byte_as_L(gray, L=lambda x: 100 * x / 255),
               "The shortcut is too dark by far. gray is in [0, 1] already: its L is 100 * gray."),
        Answer("not expanded", lambda gray: color.rgb_to_lab(gray),
               "Gray has one channel: gray.expand(-1, 3, -1, -1) makes three equal ones."),
        Answer("one zero", lambda gray: color.join_lab(100 * gray, 0 * gray),
               "ab has two channels. torch.zeros_like of the right ab makes zeros of its shape."),
        Answer("L alone", lambda gray: color.ciede2000(gray, gray),
               "ciede2000 compares Lab with Lab: join L with an ab of 0 first."),
        Answer("three times L", lambda gray: byte_as_L(
            gray, measure=lambda x, y: color.ciede2000(x, 100 * gray.expand(-1, 3, -1, -1))),
               "a and b of the shortcut are 0, not 100 * gray."),
    ),
    right=(Answer("divided differently", lambda gray: byte_as_L(gray, L=lambda x: x / 0.01)),),
))  # fmt: skip


def decode(L: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
    """RGB (N, 3, H, W) with exactly the given L: chroma gives way where sRGB ends."""
    return color.lab_to_rgb(color.join_lab(L, color.fit_gamut(L, ab)))


def _vivid(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random colours, a good half outside sRGB; light yellows are left out (see `fit_gamut`)."""
    generator = torch.Generator().manual_seed(seed)
    L = 10 + 75 * torch.rand(1, 1, 16, 16, generator=generator)
    return L, 90 * torch.randn(1, 2, 16, 16, generator=generator).clamp(-1.2, 1.2)


def _scaled_to_gamut(L, ab, steps=12, whole_picture=False, inside=1.0, swapped=False):
    low, high = torch.zeros_like(L), torch.ones_like(L)
    for _ in range(steps):
        middle = (low + high) / 2
        outside = color.out_of_gamut(L, middle * ab) ^ swapped
        low, high = torch.where(outside, low, middle), torch.where(outside, middle, high)
    scale = torch.where(color.out_of_gamut(L, ab), low, inside)
    if whole_picture:
        scale = scale.amin(dim=(1, 2, 3), keepdim=True)
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


def judge_decode(answer, seed: int = 6) -> str | None:
    """Measure a decoder: range, L, colours that need no change, hue, and chroma given away."""
    L, ab = _vivid(seed)
    args = L.clone(), ab.clone()
    rgb = answer(*args)
    if not isinstance(rgb, torch.Tensor) or rgb.shape != (1, 3, 16, 16):
        got = tuple(rgb.shape) if isinstance(rgb, torch.Tensor) else type(rgb).__name__
        return f"An RGB tensor of shape (1, 3, 16, 16) was asked for; yours gave {got}."
    if rgb.isnan().any():
        return "Some values are NaN (not a number). Is a root taken of something negative?"
    if rgb.max() > 5:
        return "This looks like Lab. Convert it with lab_to_rgb at the end."
    if rgb.min() < -1e-3 or rgb.max() > 1 + 1e-3:
        low, high = rgb.min().item(), rgb.max().item()
        return f"RGB leaves [0, 1]: it goes from {low:.2f} to {high:.2f}. The colour is not safe."
    outside = color.out_of_gamut(L, ab)
    for mistake in WRONG_DECODERS:
        if (outside * (rgb - mistake.answer(L, ab))).abs().max() < 2e-3:
            return mistake.hint
    got_L, got_ab = color.split_lab(color.rgb_to_lab(rgb.float().clamp(0, 1)))
    moved = (got_L - L).abs()
    if (most := moved.max().item()) > 0.25:
        clipped = (rgb.amin(1, True) <= 0) | (rgb.amax(1, True) >= 1)
        if clipped[moved > 0.25].all():
            return f"Some colours still do not fit, so lab_to_rgb clipped them and L moved, by up to {most:.1f}. The factor depends on the pixel: find it by bisection."
        return f"L moved, by up to {most:.1f}. Only the chroma may give way."
    by = (~outside * (rgb - color.lab_to_rgb(color.join_lab(L, ab)))).abs().max()
    if by > 1e-5:
        much = "" if by > 2e-3 else " a little"
        return f"Colours that fit have changed{much}. Give them the factor 1."
    turned = (ab[:, :1] * got_ab[:, 1:] - ab[:, 1:] * got_ab[:, :1]).abs() / ab.norm(dim=1)
    if turned.max() > 0.5:
        return "The hue turned: a and b must shrink by the same factor."
    edge = color.max_chroma(L, torch.atan2(ab[:, 1:], ab[:, :1]))  # exact: fit_gamut stays inside
    best = torch.minimum(ab.norm(dim=1, keepdim=True), edge)
    short = (best - got_ab.norm(dim=1, keepdim=True)).max().item()
    if short > 0.6:  # half a unit, and a tenth for the way through RGB and back
        return f"Safe, but up to {short:.1f} units of chroma are given away. Go closer to the edge."
    if not (torch.equal(args[0], L) and torch.equal(args[1], ab)):
        return (
            "The result is right, but L or ab was changed in place: write ab = factor * ab instead."
        )
    return None


WRONG_DECODERS = (
    Answer("clip RGB", lambda L, ab: color.lab_to_rgb(color.join_lab(L, ab)),
           "This clips RGB: L moved with it. The photograph's own brightness is lost where the colour is vivid."),
    Answer("rescale RGB", _rescale_rgb,
           "RGB was squeezed into [0, 1], and with the whole colour its lightness: L moved. Shrink a and b instead."),
    Answer("a and b apart", _clamp_a_and_b,
           "a and b shrink by different factors, so the hue turned. One factor for both keeps it."),
    Answer("one factor for the picture",
           lambda L, ab: _scaled_to_gamut(L, ab, 20, whole_picture=True),
           "One factor for the whole picture makes every pixel pale, because one is too vivid. Find a factor for each pixel."),
    Answer("gray where it does not fit", lambda L, ab: decode(L, ab * ~color.out_of_gamut(L, ab)),
           "Colours that do not fit became gray. Keep as much chroma as sRGB can show."),
    Answer("search the wrong way", lambda L, ab: _scaled_to_gamut(L, ab, swapped=True),
           "Your search goes the wrong way. Where the middle does not fit, it must replace the factor that does not fit."),
    Answer("Lab", lambda L, ab: color.join_lab(L, color.fit_gamut(L, ab)),
           "This looks like Lab. Convert it with lab_to_rgb at the end."),
    Answer("bisection of three steps", lambda L, ab: _scaled_to_gamut(L, ab, 3),
           "Safe, but three halvings stop far from the edge. Twelve bring you within a tenth of a unit."),
)  # fmt: skip

register(Exercise(
    name="lab.decode", lesson=LESSON, minutes=22,
    reference=decode, own=(color.fit_gamut, color.max_chroma), judge=judge_decode,
    wrong=(
        *WRONG_DECODERS,
        Answer("half the chroma", lambda L, ab: color.lab_to_rgb(color.join_lab(L, 0.5 * ab)),
               "Some colours still do not fit, so lab_to_rgb clipped them and L moved, by up to"),
        Answer("L shrinks too", lambda L, ab: decode(0.9 * L, ab), "Only the chroma may give way."),
        Answer("in place", lambda L, ab: decode(L, ab.copy_(color.fit_gamut(L, ab))),
               "The result is right, but L or ab was changed in place"),
        Answer("all by bisection", lambda L, ab: _scaled_to_gamut(L, ab, inside=4095 / 4096),
               "Colours that fit have changed a little. Give them the factor 1."),
        Answer("colours that fit become gray", lambda L, ab: _scaled_to_gamut(L, ab, inside=0.0),
               "Colours that fit have changed. Give them the factor 1."),
    ),
    right=(Answer("bisection", lambda L, ab: _scaled_to_gamut(L, ab)),),
))  # fmt: skip


def _gray_to_L(gray: torch.Tensor) -> torch.Tensor:
    return srgb_to_lab(gray.expand(-1, 3, -1, -1))[:, :1]


def recolour(gray, ab, to_L=_gray_to_L, finish=decode, **enlarging):
    """RGB (N, 3, H, W) from gray sRGB (N, 1, H, W) in [0, 1] and coarse ab (N, 2, h, w)."""
    enlarging = {"size": gray.shape[-2:], "mode": "bilinear"} | enlarging
    return finish(to_L(gray), F.interpolate(ab, **enlarging))


def _gray_and_ab(seed: int, factor: int, vivid: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Gray of several tones (1, 1, 16, 24), and ab coarser by the factor, up to so vivid."""
    generator = torch.Generator().manual_seed(seed)
    gray = 0.25 + 0.5 * torch.rand(1, 1, 16, 24, generator=generator)
    ab = torch.rand(1, 2, 16 // factor, 24 // factor, generator=generator)
    return gray, vivid * (2 * ab - 1)


def _as_lab(rgb, args):
    """Lab of an answer, so that all decoders within half a unit of chroma count as equal."""
    usable = isinstance(rgb, torch.Tensor) and rgb.shape == (1, 3, 16, 24) and rgb.isfinite().all()
    if usable and not 0 <= rgb.min() <= rgb.max() <= 1:  # Lab, say, must not pass for its own RGB
        raise ValueError(f"RGB lies in 0 to 1, but this lies in {rgb.min():.3g} to {rgb.max():.3g}")
    return color.rgb_to_lab(rgb.float()) if usable else rgb


register(Exercise(
    name="lab.recolour", lesson=LESSON, minutes=12,
    reference=recolour, form=_as_lab, atol=0.8, rtol=0, fresh=lambda seed: _gray_and_ab(seed, 2, 60.0),
    cases=(
        Case("ab at a quarter of the side length", lambda: _gray_and_ab(4, 4, 25.0)),
        Case("vivid ab at half the side length", lambda: _gray_and_ab(5, 2, 90.0)),
    ),
    wrong=(
        Answer("the byte as L", lambda gray, ab: recolour(gray, ab, to_L=lambda x: 100 * x),
               "100 times the gray value was taken for L. Convert the gray photograph as you convert a colour photograph, and take the first channel."),
        Answer("gray as L", lambda gray, ab: recolour(gray, ab, to_L=lambda x: x),
               "The picture is nearly black: gray values go from 0 to 1, but L goes from 0 to 100, and not in proportion. Use srgb_to_lab."),
        Answer("light as L",
               lambda gray, ab: recolour(gray, ab, to_L=lambda x: 100 * color.linearize(x)),
               "This L is the amount of light, Y. Lightness is 116 f(Y) - 16; srgb_to_lab does both steps."),
        Answer("nearest neighbour", lambda gray, ab: recolour(gray, ab, mode="nearest"),
               'The colours are blocks: the default of F.interpolate is "nearest". Ask for mode="bilinear".'),
        Answer("bicubic", lambda gray, ab: recolour(gray, ab, mode="bicubic"),
               'The colours were enlarged with mode="bicubic", but "bilinear" was asked for.'),
        Answer("align_corners", lambda gray, ab: recolour(gray, ab, align_corners=True),
               "align_corners=True moves the colours towards the borders. Leave it at its default."),
        Answer("always four times", lambda gray, ab: recolour(gray, ab, size=None, scale_factor=4),
               "ab may be coarser by any factor: enlarge it to the height and width of the gray photograph."),
        Answer("clipped",
               lambda gray, ab: recolour(
                   gray, ab, finish=lambda L, ab: color.lab_to_rgb(color.join_lab(L, ab))),
               "Colours outside the gamut were clipped, so L has moved. Make the RGB picture with decode, once exercise 4 is right."),
        Answer("still gray", lambda gray, ab: recolour(gray, 0 * ab),
               "The picture is still gray: ab was left out."),
        Answer("all of Lab as L",
               lambda gray, ab: decode(color.rgb_to_lab(gray.expand(-1, 3, -1, -1)), ab),
               "srgb_to_lab returns L, a and b. Keep the first channel: [:, :1]."),
        Answer("not enlarged", lambda gray, ab: decode(_gray_to_L(gray), ab),
               "ab is still coarse. Enlarge it to gray.shape[-2:] first."),
        Answer("Lab returned",
               lambda gray, ab: recolour(gray, ab, finish=lambda L, ab: torch.cat([L, ab], 1)),
               "This is Lab. Let decode, from exercise 4, turn L and ab into an RGB picture."),
        Answer("Lab of the right picture", lambda gray, ab: color.rgb_to_lab(recolour(gray, ab)),
               "This is Lab. Return the RGB picture that decode makes."),
    ),
    right=(
        Answer("bisection, repeat and scale_factor", lambda gray, ab: _scaled_to_gamut(
            color.rgb_to_lab(gray.repeat(1, 3, 1, 1))[:, :1], steps=12, ab=F.interpolate(
                ab, scale_factor=gray.shape[-1] / ab.shape[-1], mode="bilinear"))),
        Answer("L from the curve alone",
               lambda gray, ab: recolour(
                   gray, ab, to_L=lambda x: 116 * lab_f(color.linearize(x)) - 16)),
    ),
))  # fmt: skip


def _inverse_f(y: torch.Tensor) -> torch.Tensor:
    return torch.where(y > 6 / 29, y**3, 3 * (6 / 29) ** 2 * (y - 4 / 29))


def lab_to_srgb(
    lab, white=WHITE, inverse_f=_inverse_f, gamma=color.delinearize, a=500, b=200, M=RGB_TO_XYZ
):
    """The inverse of the exercise `lab.rgb_to_lab`: Lab to sRGB, not clipped."""
    fy = (lab[:, :1] + 16) / 116
    f = torch.cat([fy + lab[:, 1:2] / a, fy, fy - lab[:, 2:] / b], dim=1)
    return gamma(torch.einsum("ij,njhw->nihw", torch.linalg.inv(M), inverse_f(f) * white))


register(Exercise(
    name="lab.inverse", lesson=LESSON, minutes=12, core=False,
    reference=lab_to_srgb, own=(color.lab_to_rgb,),
    cases=(
        Case("a gray ramp", lambda: (color.rgb_to_lab(_gray_ramp()),)),
        Case("a picture", lambda: (color.rgb_to_lab(_picture(7, low=0.02, high=0.98)),)),
        Case("a colour outside sRGB", lambda: (torch.tensor([60.0, 100, 80]).view(1, 3, 1, 1),)),
    ),
    atol=2e-3, fresh=lambda seed: (color.rgb_to_lab(_picture(seed, low=0.02, high=0.98)),),
    wrong=(
        Answer("no white point", lambda lab: lab_to_srgb(lab, white=1),
               "Grays are tinted: multiply by the white point after undoing f."),
        Answer("cubed everywhere", lambda lab: lab_to_srgb(lab, inverse_f=lambda y: y**3),
               "Right except near black, where f was a straight line. Undo the line below 6/29."),
        Answer("linear light", lambda lab: lab_to_srgb(lab, gamma=lambda x: x),
               "This is linear light. sRGB's gamma is still to be applied."),
        Answer("signs turned", lambda lab: lab_to_srgb(lab, a=-500, b=-200),
               "Red and green have changed places: f(X) is f(Y) + a / 500, and f(Z) is f(Y) - b / 200."),
        Answer("sign of b", lambda lab: lab_to_srgb(lab, b=-200),
               "Blue and yellow have changed places: f(Z) is f(Y) - b / 200."),
        Answer("16 left out", lambda lab: lab_to_srgb(lab - torch.tensor([16.0, 0, 0]).view(1, 3, 1, 1)),
               "Everything is too dark: f(Y) is (L + 16) / 116."),
        Answer("matrix transposed", lambda lab: lab_to_srgb(lab, M=RGB_TO_XYZ.T),
               "The inverse is applied the wrong way round: each row of it makes one of R, G, B out of X, Y and Z."),
        Answer("matrix not inverted", lambda lab: lab_to_srgb(lab, M=torch.linalg.inv(RGB_TO_XYZ)),
               "The matrix still turns RGB into XYZ. Apply its inverse, torch.linalg.inv."),
        Answer("clipped", lambda lab: lab_to_srgb(lab).clamp(0, 1),
               "You clipped. This Lab is outside sRGB, and its RGB must leave [0, 1] to show it."),
    ),
))  # fmt: skip

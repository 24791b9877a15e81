"""Lesson 6: join, a draw, hints, orthochromatic film, a whole photograph; extra: power."""

import math
from collections.abc import Callable
from typing import Any

import torch
from scipy.stats import binom, norm
from torch import Tensor, nn
from torch.nn import functional as F

from colorcourse.exercises import Answer, Case, Exercise, register
from colorkit import bins as library
from colorkit.color import delinearize, fit_gamut, join_lab, lab_to_rgb, linearize, rgb_to_lab
from colorkit.models import Classifier, Colorizer

LESSON = "06_photographs"
SIDE = Colorizer.side  # pixels of the longer side, as `colorkit.colorize` shows it to a network


def _noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _rgb(L: Tensor, ab: Tensor) -> Tensor:
    return lab_to_rgb(join_lab(L, ab))


def _join(before=lambda L, ab: ab, after=fit_gamut, result=_rgb, **how) -> Callable:
    """Colours enlarged, brought into the gamut, and joined with L; or with one mistake put in."""
    how = how or {"mode": "bilinear"}

    def answer(L: Tensor, ab: Tensor) -> Tensor:
        return result(L, after(L, F.interpolate(before(L, ab), L.shape[2:], **how)))

    return answer


def _small(L: Tensor, ab: Tensor, mode="bilinear", antialias=True) -> Tensor:
    return F.interpolate(L, ab.shape[2:], mode=mode, antialias=antialias)


def _all_small(L: Tensor, ab: Tensor, *how: Any) -> Tensor:
    small = _small(L, ab, *how)
    return F.interpolate(_rgb(small, fit_gamut(small, ab)), L.shape[2:], mode="bilinear")


SMALL = {"smoothed": ("bilinear", True), "bilinear": ("bilinear", False), "area": ("area", False), "nearest": ("nearest", False)}  # fmt: skip


def _keep(L: Tensor, ab: Tensor) -> Tensor:
    return ab


def _vivid(height: int, width: int, seed: int) -> tuple[Tensor, Tensor]:
    """L with fine detail from 2 to 98, and strong colours at about a quarter of the side."""
    ab = 150 * _noise(1, 2, height // 4, width // 4, seed=seed + 1) - 75
    return 2 + 96 * _noise(1, 1, height, width, seed=seed), ab


register(Exercise(
    name="photographs.join", lesson=LESSON, minutes=7, reference=_join(), fresh=lambda seed: _vivid(20, 28, seed),
    cases=(Case("a picture with vivid colours", lambda: _vivid(24, 32, 1)),
           Case("sides that are no multiples", lambda: _vivid(26, 19, 3))),
    atol=2e-3,
    wrong=(
        Answer("nearest", _join(mode="nearest"), "Colours were enlarged with nearest neighbours: they end in squares. Enlarge bilinearly."),
        Answer("no gamut", _join(after=_keep), "The colours are not brought inside sRGB, so clipping moves L. Use fit_gamut(L, ab)."),
        *(Answer(f"gamut small, {name}", _join(lambda L, ab, how=how: fit_gamut(_small(L, ab, *how), ab), _keep), f"You fitted the gamut at the small size (L made small: {name}). Which colours fit depends on the L of each pixel: enlarge first.") for name, how in SMALL.items()),
        *(Answer(f"all small, {name}", lambda L, ab, how=how: _all_small(L, ab, *how), f"L was made small too ({name}), and the detail is gone. Only ab is small; take L as it is.") for name, how in SMALL.items()),
        Answer("bicubic", _join(mode="bicubic"), "Colours were enlarged bicubically, which overshoots at edges. Enlarge bilinearly."),
        Answer("times 255", lambda *args: 255 * _join()(*args), "These are floats up to 255. Return floats in [0, 1]."),
        Answer("corners", _join(mode="bilinear", align_corners=True), "align_corners=True shifts colours towards the border. Leave it at its default."),
        Answer("not enlarged", lambda L, ab: _rgb(_small(L, ab), fit_gamut(_small(L, ab), ab)), "The result has the small size: enlarge ab to L.shape[2:], and leave L as it is."),
        Answer("Lab", _join(result=join_lab), "This is Lab. Return RGB in [0, 1]: lab_to_rgb is the last step."),
        Answer("bytes", lambda *args: (_join()(*args) * 255).round().byte(), "These are bytes. Return floats in [0, 1]."),
        Answer("a and b swapped", _join(lambda L, ab: ab.flip(1)), "a and b have changed places."),
        Answer("channels clamped", _join(after=lambda L, ab: ab.clamp(-30, 30)), "a and b were clamped to fixed bounds. The gamut depends on L and on the hue: fit_gamut(L, ab)."),
    ),
    right=(Answer("by scale", lambda L, ab: _join()(L, F.interpolate(ab, size=tuple(L.shape[2:]), mode="bilinear"))),),
))  # fmt: skip


def _draw(passed=lambda c, u: c <= u, dim=1, shift=0, clamp=True) -> Callable:
    """The first number whose cumulative probability exceeds u; or with one mistake put in."""

    def answer(p: Tensor, u: Tensor) -> Tensor:
        index = passed(p.cumsum(dim), u).sum(1) + shift
        return index.clamp_max(p.shape[1] - 1) if clamp else index

    return answer


def _draw_by_search(p: Tensor, u: Tensor) -> Tensor:
    cumulative = p.cumsum(1).movedim(1, -1).contiguous()
    u = u.expand(-1, 1, *p.shape[2:]).movedim(1, -1).contiguous()
    return torch.searchsorted(cumulative, u, right=True)[..., 0].clamp_max(p.shape[1] - 1)


def _chances(seed: int, *places: int) -> tuple[Tensor, Tensor]:
    p = _noise(2, 5, 3, 4, seed=seed) ** 3
    return p / p.sum(1, keepdim=True), _noise(2, 1, *places, seed=seed + 9)


def _few(p: tuple, u: tuple) -> tuple[Tensor, Tensor]:
    """One distribution for a row of pixels, each with its u."""
    p, u = torch.tensor(p).view(1, -1, 1, 1), torch.tensor(u).view(1, 1, 1, -1)
    return p.expand(1, -1, 1, u.shape[3]).contiguous(), u


def _whole(value: Any, args: tuple) -> Any:
    return value.long() if isinstance(value, Tensor) and not value.is_floating_point() else value


register(Exercise(
    name="photographs.draw", lesson=LESSON, minutes=8, reference=_draw(), own=(library.sample,), form=_whole,
    fresh=lambda seed: _chances(seed, 3, 4),
    cases=(Case("one u for each picture", lambda: _chances(1, 1, 1)), Case("one u for each pixel", lambda: _chances(2, 3, 4)),
           Case("u = 0, and numbers of probability 0", lambda: _few((0.0, 0.25, 0.0, 0.75, 0.0), (0.0, 0.25, 0.5, 0.99))),
           Case("p that adds up to 0.9999, and a larger u", lambda: _few((0.5, 0.25, 0.2499), (0.99995,)))),
    wrong=(
        Answer("mode", lambda p, u: p.argmax(1), "This is the most probable number whatever u is: nothing is drawn."),
        Answer("probability against u", lambda p, u: (p > u).int().argmax(1), "u was compared with the probabilities themselves. Add them up first: cumsum."),
        Answer("one too early", lambda p, u: (_draw(clamp=False)(p, u) - 1).clamp_min(0), "One too early: if k sums do not exceed u, the number that does is k."),
        Answer("one too late", _draw(shift=1), "One too late: if k sums do not exceed u, the number that does is k."),
        Answer("below u", _draw(lambda c, u: c < u), "Where a sum equals u, a number of probability 0 can be drawn. The sum has to exceed u."),
        Answer("those that exceed u", _draw(lambda c, u: c > u), "You count the sums that exceed u. The number is how many do not."),
        Answer("along rows", _draw(dim=2), "The sums run along the wrong dimension: the numbers are dimension 1."),
        Answer("along columns", _draw(dim=3), "The sums run along the last dimension, which is a row of pixels: the numbers are dimension 1."),
        Answer("from the end", lambda p, u: p.shape[1] - 1 - _draw()(p.flip(1), u), "The sums begin at the last number. Begin at the first."),
        Answer("all alike", lambda p, u: (u * p.shape[1]).long().expand(-1, 1, *p.shape[2:])[:, 0], "Each number is equally likely here: p is not used."),
        Answer("mean number", lambda p, u: (p * torch.arange(p.shape[1]).view(1, -1, 1, 1)).sum(1).round().long(), "This is the mean of the numbers, which need not be a probable one."),
        Answer("beyond the last", _draw(clamp=False), "Rounding can leave the last sum below u: the result is then Q, a number that does not exist. Keep it at Q - 1."),
        Answer("floats", lambda p, u: _draw()(p, u).float(), "These are numbers of bins: return integers."),
        Answer("argmax of what exceeds", lambda p, u: (p.cumsum(1) > u).int().argmax(1), "If no sum exceeds u, argmax gives 0. Then the last bin, Q - 1, is asked for."),
        Answer("over pictures", _draw(dim=0), "The sums run over the pictures: the numbers are dimension 1."),
        Answer("own u", lambda p, u: _draw()(p, torch.rand_like(p[:, :1])), "You drew a u of your own. The argument u decides."),
        Answer("multinomial", lambda p, u: torch.multinomial(p.movedim(1, -1).flatten(0, -2), 1).view(len(p), *p.shape[2:]), "torch.multinomial draws by itself: u is not used."),
        Answer("one u for all", lambda p, u: _draw()(p, u[:1, :, :1, :1]), "All pixels of all pictures got the first u. Each picture, or each pixel, has its own."),
        Answer("first pixel's u", lambda p, u: _draw()(p, u[:, :, :1, :1]), "Each pixel got the u of its picture's first pixel. u may be one a pixel."),
        Answer("the dimension kept", lambda p, u: _draw()(p, u)[:, None], "The result keeps a dimension of length 1: (N, H, W) was asked for."),
    ),
    right=(Answer("searchsorted", _draw_by_search),),
))  # fmt: skip


def _mean(patch: Tensor) -> Tensor:
    return patch.mean((1, 2), keepdim=True)


def _hints(colour=_mean, rows=slice, value=1.0, everywhere=False, order=lambda p: p) -> Callable:
    """Mean ab and a mask in each patch; or with one mistake put in."""

    def answer(ab: Tensor, patches: list) -> Tensor:
        hints = ab.new_zeros(len(ab), 3, *ab.shape[2:])
        for n, row, column, side in order(patches):
            at = rows(row, row + side), rows(column, column + side)
            n = slice(None) if everywhere else slice(n, n + 1)
            hints[n, :2, *at] = torch.stack([colour(picture[:, *at]) for picture in ab[n]])
            hints[n, 2, *at] = value
        return hints

    return answer


def _then(change: Callable) -> Callable:
    """The right hints, changed afterwards: change(hints, ab)."""
    return lambda ab, patches: change(_hints()(ab, patches), ab)


register(Exercise(
    name="photographs.hints", lesson=LESSON, minutes=7, reference=_hints(),
    fresh=lambda seed: (80 * _noise(2, 2, 12, 12, seed=seed) - 40, [(seed % 2, seed % 7, 3, 4), (0, 4, seed % 5, 5)]),
    cases=(
        Case("three patches in two pictures", lambda: (80 * _noise(2, 2, 12, 12, seed=1) - 40, [(0, 1, 2, 3), (1, 8, 4, 4), (0, 7, 6, 1)])),
        Case("patches that overlap", lambda: (80 * _noise(1, 2, 10, 10, seed=2) - 40, [(0, 1, 1, 5), (0, 3, 4, 4)])),
        Case("a patch of gray", lambda: (torch.zeros(1, 2, 8, 8), [(0, 2, 3, 2)])),
        Case("no patch", lambda: (40 * _noise(2, 2, 6, 6, seed=3), [])),
    ),
    wrong=(
        Answer("true pixels", _hints(lambda patch: patch), "Each pixel got its own true colour. A user gives one colour for a patch: the mean."),
        Answer("middle pixel", _hints(lambda patch: patch[:, patch.shape[1] // 2, patch.shape[2] // 2][:, None, None]), "The colour of a patch is that of its middle pixel. Take the mean of the patch."),
        Answer("mean of columns", _hints(lambda patch: patch.mean(1, keepdim=True)), "Each column of a patch got its own mean. Take the mean over rows and columns."),
        Answer("first pixel", _hints(lambda patch: patch[:, :1, :1]), "The colour of a patch is that of its first pixel. Take the mean of the patch."),
        Answer("mean of a and b", _hints(lambda patch: patch.mean().expand(2, 1, 1)), "a and b were averaged together. Take the mean over rows and columns only."),
        Answer("no mask", _then(lambda h, ab: torch.cat([h[:, :2], 0 * h[:, 2:]], 1)), "The mask is 0 everywhere: the network could not tell a gray hint from none."),
        Answer("mask of ones", _then(lambda h, ab: torch.cat([h[:, :2], 0 * h[:, 2:] + 1], 1)), "The mask is 1 everywhere: it says where a colour was given."),
        Answer("mask where ab is not 0", _then(lambda h, ab: torch.cat([h[:, :2], (h[:, :2] != 0).any(1, True).float()], 1)), "A gray hint is lost: the mask was made from ab that is not 0."),
        Answer("mask inverted", _then(lambda h, ab: torch.cat([h[:, :2], 1 - h[:, 2:]], 1)), "The mask is upside down: 1 where a colour was given, 0 elsewhere."),
        Answer("true pixels everywhere", _then(lambda h, ab: torch.cat([ab, h[:, 2:]], 1)), "ab is the true one everywhere: the answer is given away. Patches have one colour, and all else is 0."),
        Answer("ab everywhere", _then(lambda h, ab: torch.where(h[:, 2:] > 0, h, F.pad(ab, (0, 0, 0, 0, 0, 1)))), "ab outside the patches is the true one: the answer is given away. It has to be 0 there."),
        Answer("mask first", _then(lambda h, ab: h[:, [2, 0, 1]]), "The mask is the third channel, after a and b."),
        Answer("all pictures", _hints(everywhere=True), "Patches were put into all pictures. The first number of a patch says into which."),
        Answer("first picture", _hints(order=lambda p: [(0, *at) for _, *at in p]), "All patches were put into the first picture. The first number of a patch says which picture it belongs to."),
        Answer("one pixel too many", _hints(rows=lambda a, b: slice(a, b + 1)), "A patch is one pixel too large: row + side is the first that no longer belongs to it."),
        Answer("side to both sides", _hints(rows=lambda a, b: slice(max(0, 2 * a - b), b)), "A patch is twice as large as its side: it begins at its row and column."),
        Answer("middles", _hints(rows=lambda a, b: slice(a - (b - a) // 2, b - (b - a) // 2)), "You took row and column for the middle of a patch. They are where it begins."),
        Answer("rows and columns swapped", _hints(order=lambda p: [(n, column, row, side) for n, row, column, side in p]), "Rows and columns have changed places: a patch is (picture, row, column, side)."),
        Answer("backwards", _hints(order=lambda p: p[::-1]), "Where patches overlap, the later one has to cover the earlier one."),
        Answer("scaled", _then(lambda h, ab: torch.cat([h[:, :2] / 110, h[:, 2:]], 1)), "The colours were divided by 110. Leave them in ab units: the network scales them."),
        Answer("mask of 255", _hints(value=255.0), "The mask is 0 or 1."),
    ),
    right=(Answer("mean of a flat patch", _hints(lambda patch: patch.flatten(1).mean(1)[:, None, None])),),
))  # fmt: skip


def _lightness(gray: Tensor) -> Tensor:
    """The L of a gray, sRGB (N, 1, H, W)."""
    return rgb_to_lab(gray.expand(-1, 3, -1, -1))[:, :1]


def _film(
    weights=(0.0, 0.6, 0.4), light=linearize, result=lambda Y: _lightness(delinearize(Y))
) -> Callable:
    """L of what film sees that is blind to red; or with one mistake put in."""

    def answer(rgb: Tensor) -> Tensor:
        return result((light(rgb) * torch.tensor(weights).view(1, 3, 1, 1)).sum(1, keepdim=True))

    return answer


orthochromatic = _film()


def _bytes(rgb: Tensor) -> Tensor:
    return rgb.float() / 255 if rgb.dtype == torch.uint8 else rgb


def _bright_and_dark(seed: int) -> Tensor:
    rgb = torch.cat([_noise(2, 3, 5, 6, seed=seed), 0.08 * _noise(2, 3, 5, 6, seed=seed + 1)], 3)
    return (255 * rgb).byte()


register(Exercise(
    name="photographs.orthochromatic", lesson=LESSON, minutes=8, reference=orthochromatic, fresh=lambda seed: (_bright_and_dark(seed),),
    cases=(Case("bytes, bright and nearly black", lambda: (_bright_and_dark(1),)),
           Case("floats", lambda: (_noise(1, 3, 7, 7, seed=4),)),
           Case("red, green, blue and white", lambda: (torch.cat([torch.eye(3), torch.ones(1, 3)]).T.reshape(1, 3, 2, 2).contiguous(),))),
    atol=0.02, rtol=0,
    wrong=(
        Answer("no linear light", lambda rgb: _lightness(_film(light=_bytes, result=lambda Y: Y)(rgb)), "sRGB values were added. Light adds up in linear light: linearize first."),
        Answer("linearize forgotten", _film(light=_bytes), "delinearize is there, but linearize is missing: it comes before the sum."),
        Answer("floats divided", lambda rgb: orthochromatic(rgb / 255), "Floats in [0, 1] were divided by 255. linearize takes bytes and floats as they are."),
        Answer("green alone", _film((0, 1, 0)), "This is green alone. Blue has a weight, too: 0.4."),
        Answer("no way back", _film(result=_lightness), "Linear light was taken for sRGB: the picture is far too dark. Go back with delinearize before rgb_to_lab."),
        Answer("red as usual", _film((0.2126, 0.7152, 0.0722)), "This is ordinary luminance, which sees red. Orthochromatic film does not."),
        Answer("red set to 0", lambda rgb: rgb_to_lab(_bytes(rgb) * torch.tensor([0.0, 1, 1]).view(1, 3, 1, 1))[:, :1], "Red was set to 0, but green and blue kept the eye's weights. The film's are 0.6 and 0.4."),
        Answer("equal weights", _film((0, 0.5, 0.5)), "The weights are 0.6 for green and 0.4 for blue, not equal."),
        Answer("weights swapped", _film((0, 0.4, 0.6)), "The weights have changed places: green has 0.6, blue 0.4."),
        Answer("blind to blue", _film((0.6, 0.4, 0)), "You weighted red and green. Green and blue are channels 1 and 2; red, which is 0, is left out."),
        Answer("Y times 100", _film(result=lambda Y: 100 * Y), "This is 100 times linear light. L follows the cube root, as in lesson 1: rgb_to_lab of the gray."),
        Answer("gray in [0, 1]", _film(result=delinearize), "This is a gray in [0, 1]. L is in [0, 100]: rgb_to_lab of the gray."),
        Answer("gray times 100", _film(result=lambda Y: 100 * delinearize(Y)), "An sRGB value times 100 is not L. Take rgb_to_lab of the gray."),
        Answer("cube root everywhere", _film(result=lambda Y: 116 * Y ** (1 / 3) - 16), "The cube root does not hold near black, where Lab has a straight piece."),
        Answer("all of Lab", lambda rgb: rgb_to_lab(delinearize(_film(result=lambda Y: Y)(rgb)).expand(-1, 3, -1, -1)), "This is all of Lab. Return the first channel alone, (N, 1, H, W)."),
        Answer("the gray picture", _film(result=lambda Y: delinearize(Y).expand(-1, 3, -1, -1)), "This is the gray picture in RGB. Return its L, (N, 1, H, W)."),
    ),
    right=(Answer("by formula", _film(result=lambda Y: 116 * torch.where(Y > (6 / 29) ** 3, Y ** (1 / 3), Y * 841 / 108 + 4 / 29) - 16)),),
))  # fmt: skip


def small_view(L: Tensor) -> Tensor:
    """L (1, 1, H, W) at most SIDE pixels a side."""
    scale = min(1.0, SIDE / max(L.shape[2:]))
    size = [max(1, round(side * scale)) for side in L.shape[2:]]
    return F.interpolate(L, size, mode="bilinear", antialias=True)


def by_hue(bins: Tensor) -> Tensor:
    """The numbers of bins (Q, 2) in the order of their hue angles, from -180 to 180 degrees."""
    return torch.atan2(bins[:, 1], bins[:, 0]).argsort()


def _annealed(logits: Tensor, temperature: float) -> Tensor:
    return (logits / temperature).softmax(1)


def _colour(
    view=small_view, order=by_hue, look=by_hue, soft=_annealed, draw=lambda p, u: _draw()(p, u)
) -> Callable:
    """A photograph in one drawn colouring; or with one mistake put in."""

    def answer(rgb: Tensor, net: Any, u: Tensor, temperature: float = 0.5) -> Tensor:
        L = rgb_to_lab(rgb)[:, :1]
        p = soft(net.logits(view(L)), temperature)[:, order(net.bins)]
        return _join()(L, net.bins[look(net.bins)][draw(p, u)].movedim(-1, 1))

    return answer


def _decoded(decode: Callable, view=lambda L: L) -> Callable:
    """Small colours of decode(net, L, u, T), joined with a view of L."""

    def answer(rgb: Tensor, net: Any, u: Tensor, temperature: float = 0.5) -> Tensor:
        L = rgb_to_lab(rgb)[:, :1]
        return _join()(view(L), decode(net, small_view(L), u, temperature))

    return answer


def _sample(net: Any, L: Tensor, u: Tensor, T: float) -> Tensor:
    return library.sample(net.logits(L) / T, net.bins, u)


def _by_distribution(rgb: Tensor, net: Classifier, u: Tensor, temperature: float = 0.5) -> Tensor:
    L, order = rgb_to_lab(rgb)[:, :1], by_hue(net.eval().bins)
    p = F.normalize(net.distribution(small_view(L)) ** (1 / temperature), 1, 1)[:, order]
    return _join()(L, net.bins[order][_draw()(p, u)].movedim(-1, 1))


class _Known(Classifier):
    """A classifier whose logits depend on the size that it is shown, on L, and on the side."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        bins = [[30.0, 30], [-30, 20], [10, -30], [40, -5], [-10, -20], [0, 40]]
        self.scale, self.bins = 4, torch.tensor(bins)

    def forward(self, L: Tensor) -> Tensor:
        height, width = (-(-side // 4) for side in L.shape[2:])
        ramp = torch.linspace(-2, 2, width).expand(1, 1, height, width)
        right = max(L.shape[2:]) == SIDE and L.max() > 1
        slopes = torch.tensor([2.0, 1, -1, -2, 0, 0.5]).view(1, 6, 1, 1)
        return ramp * (slopes if right else slopes.flip(1))


def _photo(height: int, width: int, u: float, *temperature: float) -> tuple:
    rgb = (60 + 140 * _noise(1, 3, height // 8, width // 8, seed=height)).byte()
    photo = F.interpolate(rgb, (height, width))
    return photo, _Known(), torch.full((1, 1, 1, 1), u), *temperature


register(Exercise(
    name="photographs.colour", lesson=LESSON, minutes=12, reference=_colour(), own=(library.sample,),
    fresh=lambda seed: _photo(208, 304 + 16 * (seed % 4), 0.05 + seed % 18 / 20, 0.3 + seed % 7 / 10),
    cases=(Case("a wide photograph, u = 0.2", lambda: _photo(208, 320, 0.2)),
           Case("a high photograph, u = 0.7, temperature 1", lambda: _photo(400, 304, 0.7, 1.0)),
           Case("the same with u = 0.4, temperature 0.2", lambda: _photo(400, 304, 0.4, 0.2))),
    atol=2e-3,
    wrong=(
        Answer("full size", _colour(view=lambda L: L), "The network saw L at full size, which it never did in its training. Give it small_view(L)."),
        Answer("L / 100", _colour(view=lambda L: small_view(L) / 100), "The network takes L in [0, 100]: it scales it itself."),
        Answer("not in the order of hues", _colour(order=lambda bins: ..., look=lambda bins: ...), "Nothing is in the order of the hues, so one u can mean red here and blue there. Sort p and bins with by_hue."),
        Answer("bins not sorted", _colour(look=lambda bins: ...), "p was sorted by hue, but the drawn number was looked up in the unsorted bins: net.bins[order][number]."),
        Answer("bins sorted, p not", _colour(order=lambda bins: ...), "The bins were sorted by hue, but p was not: p[:, order]."),
        Answer("logits drawn", _colour(soft=lambda z, T: z / T), "You drew from logits. Softmax makes probabilities of them."),
        Answer("no temperature", _colour(soft=lambda z, T: z.softmax(1)), "`temperature` is not used."),
        Answer("times T", _colour(soft=lambda z, T: (z * T).softmax(1)), "Logits are divided by the temperature, not multiplied."),
        Answer("T after softmax", _colour(soft=lambda z, T: z.softmax(1) / T), "Divide the logits by the temperature before softmax: after it the sum is no longer 1."),
        Answer("always 0.5", _colour(draw=lambda p, u: _draw()(p, 0 * u + 0.5)), "u is not used: 0.5 stands in its place."),
        Answer("one u a pixel", _colour(draw=lambda p, u: _draw()(p, torch.rand_like(p[:, :1]))), "Each pixel drew a u of its own. One u holds for the whole picture."),
        Answer("most probable bin", _colour(draw=lambda p, u: p.argmax(1)), "This is the most probable bin of each place: u is not used, nothing is drawn."),
        Answer("order inverted", _colour(*[small_view] + 2 * [lambda bins: by_hue(bins).argsort()]), "by_hue gives the order itself. Its argsort is the inverse, which tells where each bin went."),
        *(Answer(f"softmax {d}", _colour(soft=lambda z, T, d=d: (z / T).softmax(d)), f"Softmax runs along dimension {d}: the bins are dimension 1.") for d in (0, 2, 3)),
        Answer("powers", _colour(soft=lambda z, T: z.softmax(1) ** (1 / T)), "After the power 1 / T the probabilities have to be normalised again."),
        Answer("all enlarged", lambda *args: F.interpolate(_decoded(_sample, small_view)(*args), args[0].shape[2:], mode="bilinear"), "The small picture was enlarged. Only its colours are: join them with the whole L."),
        Answer("the mean", _decoded(lambda net, L, u, T: library.annealed_mean(net.logits(L), net.bins, T)), "This is the annealed mean: u is not used, nothing is drawn."),
        Answer("colorize", _decoded(lambda net, L, u, T: net.colorize(L)), "net.colorize gives one colouring whatever u is. Take net.logits and your draw."),
        Answer("small L", _decoded(_sample, small_view), "The result has the small size. Join the colours with the L of the whole photograph."),
        Answer("bytes", lambda *args: (_colour()(*args) * 255).round().byte(), "These are bytes. Return floats in [0, 1], as your join does."),
        Answer("the picture's own colours", lambda rgb, net, u, T=0.5: rgb / 255, "This is the photograph that was put in. Only its L may be used."),
    ),
    right=(Answer("by the library's draw", _decoded(_sample)),
           Answer("by the distribution", _by_distribution)),
))  # fmt: skip


def _tail(k: int, n: int, p: float) -> float:
    """The probability of k or more successes in n trials."""
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


def _power(tail=_tail, rare=lambda share, level: (0.5, level)) -> Callable:
    """The chance that a test by n trials finds what is there; or with one mistake put in."""

    def answer(n: int, share: float, level: float = 0.05) -> float:
        chance, most = rare(share, level)
        return tail(next(k for k in range(n + 2) if _tail(k, n, chance) <= most), n, share)

    return answer


def _power_normal(n: int, share: float, level: float = 0.05) -> float:
    bound = 0.5 + norm.isf(level) * 0.5 / n**0.5
    return float(norm.sf((bound - share) / (share * (1 - share) / n) ** 0.5))


register(Exercise(
    name="photographs.power", lesson=LESSON, minutes=7, core=False, reference=_power(),
    fresh=lambda seed: (10 + seed % 60, 0.55 + seed % 8 / 20, (0.01, 0.05, 0.1)[seed % 3]),
    cases=(Case("20 pairs, share 0.75", lambda: (20, 0.75)), Case("100 pairs, share 0.6, level 0.01", lambda: (100, 0.6, 0.01)),
           Case("4 pairs, of which not even 4 prove anything", lambda: (4, 0.9)), Case("50 pairs, share 0.5", lambda: (50, 0.5)),
           Case("4 pairs, level 1/16, which 4 right answers reach exactly", lambda: (4, 0.6, 1 / 16))),
    atol=1e-6,
    wrong=(
        Answer("two-sided", _power(rare=lambda share, level: (0.5, level / 2)), "This is the two-sided test. Only too many right answers count here."),
        Answer("below the level", _power(rare=lambda share, level: (0.5, level - 1e-9)), "A probability of exactly `level` is rare enough: at most, <=."),
        Answer("one too early", _power(lambda k, n, p: _tail(k - 1, n, p)), "k is one too small: take the first whose tail is at most `level`, not the last above it."),
        Answer("n left out", lambda n, p, level=0.05: next((_tail(k, n, p) - p**n for k in range(n + 1) if _tail(k, n, 0.5) - 0.5**n <= level), 0.0), "The sums leave n right answers out: range(k, n + 1)."),
        Answer("no k", lambda n, p, level=0.05: next(_tail(k, n, p) for k in range(n + 1) if _tail(k, n, 0.5) <= level), "If no k is rare enough, the power is 0: the search has to end without an error."),
        Answer("one too late", _power(lambda k, n, p: _tail(k + 1, n, p)), "The smallest k that is rare enough counts too: k or more."),
        Answer("exactly k", _power(lambda k, n, p: math.comb(n, k) * p**k * (1 - p) ** (n - k)), "This is the probability of exactly k. Add up k, k + 1, ..., n."),
        Answer("below k", _power(lambda k, n, p: 1 - _tail(k, n, p)), "This is the probability of missing the difference: power is 1 minus it."),
        Answer("half", lambda n, p, level=0.05: _tail(n // 2 + 1, n, p), "More than half is not rare for a guess. Find k first: at share 1/2, k or more has at most the probability `level`."),
        Answer("k from the share", _power(rare=lambda share, level: (share, level)), "k was computed with `share`. It comes from a judge that guesses: 1/2."),
        Answer("always 0.05", _power(rare=lambda share, level: (0.5, 0.05)), "`level` is not used: 0.05 stands in its place."),
        Answer("false alarms", lambda n, p, level=0.05: _power()(n, 0.5, level), "`share` is not used: this is the probability of a false alarm."),
        Answer("normal", _power_normal, "This is the normal approximation. Add up the binomial's probabilities: math.comb."),
    ),
    right=(Answer("by SciPy", lambda n, share, level=0.05: float(binom.sf(binom.isf(level, n, 0.5), n, share))),),
))  # fmt: skip

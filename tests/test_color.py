"""Colour against scikit-image, the published CIEDE2000 pairs, and scans of the gamut."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from skimage import color as sk
from skimage import data
from skimage.color import colorconv

from colorkit import bins, color
from tests.conftest import ROOT


@pytest.fixture
def picture() -> torch.Tensor:
    """A photograph, (1, 3, 200, 300) uint8."""
    return torch.from_numpy(data.chelsea()[50:250, 100:400].copy()).permute(2, 0, 1)[None]


def linear_light(lab: np.ndarray) -> np.ndarray:
    """Linear sRGB (..., 3) by scikit-image's own functions, unclipped."""
    return colorconv._lab2xyz(lab, "D65", "2")[0] @ colorconv.rgb_from_xyz.T


def beyond(L: np.ndarray, hue: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """How far linear light leaves [0, 1], by scikit-image."""
    ab = chroma * np.cos(hue), chroma * np.sin(hue)
    linear = linear_light(np.stack(np.broadcast_arrays(L, *ab), -1))
    return np.maximum(-linear, linear - 1).max(-1)


# Conversion -----------------------------------------------------------------------------------


def test_8_bit_colours_agree_with_scikit_image_come_back_and_are_inside():
    levels = torch.arange(0, 256, 5, dtype=torch.uint8)
    colours = torch.cartesian_prod(levels, levels, torch.arange(256, dtype=torch.uint8))
    colours = colours.T.reshape(1, 3, 52 * 52, 256)
    lab = color.rgb_to_lab(colours)
    expected = sk.rgb2lab(colours[0].permute(1, 2, 0).numpy())
    np.testing.assert_allclose(lab[0].permute(1, 2, 0).numpy(), expected, atol=2e-3)
    assert torch.equal((color.lab_to_rgb(lab) * 255).round().to(torch.uint8), colours)
    L, ab = color.split_lab(lab)
    assert (L.shape[1], ab.shape[1]) == (1, 2)
    assert torch.equal(color.join_lab(L, ab), lab)
    assert not color.out_of_gamut(L, ab).any()
    assert torch.equal(color.fit_gamut(L, ab), ab)


def test_dtypes_layouts_and_batches_give_the_same(picture):
    expected = color.rgb_to_lab(picture)
    doubled = color.rgb_to_lab(picture.double() / 255)
    torch.testing.assert_close(doubled, expected, atol=1e-3, rtol=0)
    batch = picture.contiguous(memory_format=torch.channels_last)
    assert color.rgb_to_lab(batch).is_contiguous()
    many = color.rgb_to_lab(picture.expand(5, -1, -1, -1))  # more than fit into a part
    torch.testing.assert_close(many, expected.expand(5, -1, -1, -1))
    torch.testing.assert_close(color.lab_to_rgb(many)[3:4], color.lab_to_rgb(expected))
    torch.testing.assert_close(
        color.rgb_to_lab(picture[..., 3:-2:2]), expected[..., 3:-2:2], atol=1e-4, rtol=0
    )
    assert color.rgb_to_lab(picture[:0]).shape == (0, 3, 200, 300)
    assert color.lab_to_rgb(expected[..., :0]).shape == (1, 3, 200, 0)


def test_decoding_agrees_with_scikit_image_and_clips():
    lab = torch.rand(1, 100, 100, 3) * torch.tensor([100.0, 120, 120])
    lab = lab - torch.tensor([0, 60.0, 60])
    linear = linear_light(lab.double().numpy())
    valid = torch.from_numpy((linear >= 0).all(-1) & (linear <= 1).all(-1))
    expected = torch.from_numpy(sk.lab2rgb(lab.numpy()))
    ours = color.lab_to_rgb(lab.movedim(-1, 1))
    torch.testing.assert_close(ours.movedim(1, -1)[valid], expected[valid], atol=1e-4, rtol=0)
    free = color.lab_to_rgb(lab.movedim(-1, 1), clip=False)
    assert free.min() < -0.01
    torch.testing.assert_close(free.clamp(0, 1), ours)


def test_gamma_both_ways():
    bytes_ = torch.arange(256, dtype=torch.uint8)
    encoded = bytes_.double().numpy() / 255
    expected = np.where(encoded > 0.04045, ((encoded + 0.055) / 1.055) ** 2.4, encoded / 12.92)
    for given in (bytes_, torch.from_numpy(encoded)):
        np.testing.assert_allclose(color.linearize(given).numpy(), expected, atol=1e-6)
    back = color.delinearize(torch.from_numpy(expected))
    np.testing.assert_allclose(back.numpy(), encoded, atol=1e-6)


# Gradients ------------------------------------------------------------------------------------


def test_gradients_are_the_derivatives_of_scikit_images_functions():
    rgb = torch.rand(1, 8, 8, 3) * 0.9 + 0.05
    rgb[:, :2] = 0.002 + 0.03 * rgb[:, :2]  # the straight pieces too
    lab = torch.from_numpy(sk.rgb2lab(rgb.double().numpy())).float()
    cases = (color.rgb_to_lab, sk.rgb2lab, rgb, 1e-6), (color.lab_to_rgb, sk.lab2rgb, lab, 1e-4)
    for ours, theirs, x, step in cases:
        weights, way = (torch.rand(1, 8, 8, 3) for _ in range(2))
        given = x.clone().requires_grad_()
        (ours(given.movedim(-1, 1)).movedim(1, -1) * weights).sum().backward()
        ahead, behind = (theirs((x.double() + s * step * way).numpy()) for s in (1, -1))
        expected = ((ahead - behind) / (2 * step) * weights.numpy()).sum(-1)
        np.testing.assert_allclose((given.grad * way).sum(-1).numpy(), expected, rtol=5e-3)


@pytest.mark.parametrize("value", [0.0, 0.04045, 1.0, 0.0031308])
def test_gradients_are_finite_at_black_white_and_the_joints(value):
    rgb = torch.full((1, 3, 1, 1), value, requires_grad=True)
    lab = color.rgb_to_lab(rgb)
    lab.sum().backward()
    assert rgb.grad.isfinite().all()
    assert (rgb.grad != 0).any()
    lab = lab.detach().clamp_min(0).requires_grad_()
    color.lab_to_rgb(lab, clip=False).sum().backward()
    assert lab.grad.isfinite().all()
    assert (lab.grad != 0).any()


def test_where_two_pieces_meet_the_gradient_is_that_of_one():
    at = torch.tensor([8 - 1e-3, 8.0, 8 + 1e-3]).view(1, 1, 1, 3).requires_grad_()  # L of f's joint
    color.lab_to_rgb(torch.cat([at, torch.zeros(1, 2, 1, 3)], 1), clip=False).sum().backward()
    torch.testing.assert_close(at.grad, at.grad[..., :1].expand_as(at), rtol=1e-3, atol=0)


@pytest.mark.parametrize("where", ["match", "gray match", "gray and colour", "black"])
def test_gradients_of_differences_are_finite(where):
    one = torch.tensor([0.0 if where == "black" else 50.0, 0, 0]).view(1, 3, 1, 1)
    one = one + (where == "match") * torch.tensor([0.0, 20, -30]).view(1, 3, 1, 1)
    other = one + (where == "gray and colour") * torch.tensor([1.0, 2, 3]).view(1, 3, 1, 1)
    one.requires_grad_()
    other = other.detach().requires_grad_()
    color.ciede2000(one, other).sum().backward()
    assert one.grad.isfinite().all()
    assert other.grad.isfinite().all()
    if "match" in where:
        assert (one.grad == 0).all()


def test_gradients_of_differences_are_the_derivative():
    one, other = (torch.rand(2, 2, 3, 2, 2).double() * 60 + 5).unbind(0)
    assert torch.autograd.gradcheck(color.ciede2000, (one.requires_grad_(), other.requires_grad_()))


# Colour differences ---------------------------------------------------------------------------


def test_ciede2000_gives_the_published_34_pairs():
    rows = torch.from_numpy(np.loadtxt(ROOT / "tests" / "ciede2000.txt"))
    ours = color.ciede2000(rows[:, :3, None, None], rows[:, 3:6, None, None])
    assert ours.shape == (34, 1, 1, 1)
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours.flatten(), rows[:, 6], atol=1e-4, rtol=0)


def test_differences_are_symmetric_and_scikit_images():
    one, other = torch.rand(2, 3, 3, 20, 30, dtype=torch.float64).unbind(0)
    scale = torch.tensor([100.0, 200, 200], dtype=torch.float64).view(3, 1, 1)
    shift = torch.tensor([0.0, 100, 100], dtype=torch.float64).view(3, 1, 1)
    one, other = one * scale - shift, other * scale - shift
    found = color.ciede2000(one, other)
    torch.testing.assert_close(found, color.ciede2000(other, one), atol=1e-12, rtol=0)
    expected = sk.deltaE_ciede2000(one.movedim(1, -1).numpy(), other.movedim(1, -1).numpy())
    # scikit-image adds 360 degrees to the mean hue where the paper subtracts them: 6e-6 apart
    np.testing.assert_allclose(found[:, 0].numpy(), expected, atol=2e-5)
    single = color.ciede2000(one.float(), other.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), found, atol=2e-3, rtol=0)


# The gamut ------------------------------------------------------------------------------------


def test_a_million_colours_are_fitted():
    L = torch.rand(4, 1, 500, 500) * 100
    ab = torch.rand(4, 2, 500, 500) * 300 - 150
    before = L.clone(), ab.clone()
    fitted = color.fit_gamut(L, ab)
    assert torch.equal(L, before[0])
    assert torch.equal(ab, before[1])
    assert fitted.dtype == torch.float32
    outside = color.out_of_gamut(L, ab)
    assert 0.5 < outside.float().mean() < 0.99
    assert not color.out_of_gamut(L, fitted).any()
    assert torch.equal(fitted[~outside.expand_as(ab)], ab[~outside.expand_as(ab)])
    cross = fitted[:, 0] * ab[:, 1] - fitted[:, 1] * ab[:, 0]
    assert (cross.abs() <= 1e-5 * torch.hypot(*ab.unbind(1)).square()).all()
    assert torch.equal(color.fit_gamut(L, fitted), fitted)

    light, a, b, new_a, new_b = (x.double().numpy() for x in (
        L[:, 0], *ab.unbind(1), *fitted.unbind(1)
    ))  # fmt: skip
    off = beyond(light, np.arctan2(b, a), np.hypot(a, b))
    clear = np.abs(off - 1e-4) > 1e-6
    assert (outside[:, 0].numpy() == (off > 1e-4))[clear].all()
    off = beyond(light, np.arctan2(new_b, new_a), np.hypot(new_a, new_b))
    assert off.max() < 1e-4 + 1e-6
    further = np.hypot(new_a, new_b) + 0.5  # outside, where the colour itself is not reached first
    off = beyond(light, np.arctan2(b, a), further)
    assert (off > 1e-4 - 1e-6)[further < np.hypot(a, b)].all()


KINDS = {  # L, hue in degrees, and chroma, from and to
    "anywhere": ((0.5, 0, 0), (99.5, 360, 200)),
    "yellow": ((92.5, 97, 60), (98.5, 106, 150)),
    "blue": ((20, 270, 20), (45, 320, 180)),
    "dark": ((0.01, 0, 0), (9, 360, 60)),
    "light": ((98, 0, 0), (99.99, 360, 60)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_scans_of_rays_find_the_same_edges(kind):
    """The largest chroma up to the given one, and the first exit, in steps of 1/4000."""
    low, high = (torch.tensor(x, dtype=torch.float64)[:, None] for x in KINDS[kind])
    unit = torch.rand(3, 200, dtype=torch.float64)
    L, hue, chroma = low + unit * (high - low)
    hue = torch.deg2rad(hue)
    ab = torch.stack([chroma * hue.cos(), chroma * hue.sin()]).view(1, 2, 1, -1)
    fitted = torch.hypot(*color.fit_gamut(L.view(1, 1, 1, -1), ab)[0, :, 0]).numpy()
    first = color.max_chroma(L, hue).numpy()
    L, hue, share = L.numpy()[:, None], hue.numpy()[:, None], np.linspace(0, 1, 4001)
    steps = share * chroma.numpy()[:, None]
    off = beyond(L, hue, steps)
    least = np.where(off <= 0.9e-4, steps, 0).max(1)
    most = np.where(off <= 1.01e-4, steps, 0).max(1) + chroma.numpy() / 4000
    assert (fitted >= least - 0.5).all()
    assert (fitted <= most + 1e-5).all()
    steps = 140 * share
    off = beyond(L, hue, steps)
    least, most = (steps[(off > bound).argmax(1)] for bound in (0.9e-4, 1.01e-4))
    assert (first >= least - 0.036).all()
    assert (first <= most + 1e-5).all()


def test_fitted_colours_keep_their_lightness_once_stored_in_8_bits():
    L = torch.rand(1, 1, 100, 100) * 100
    ab = torch.rand(1, 2, 100, 100) * 200 - 100
    rgb = color.lab_to_rgb(color.join_lab(L, color.fit_gamut(L, ab)))
    assert (color.rgb_to_lab(rgb)[:, :1] - L).abs().max() < 0.1
    stored = (rgb * 255).round().to(torch.uint8)
    assert (color.rgb_to_lab(stored)[:, :1] - L).abs().max() < 0.25
    clipped = color.rgb_to_lab(color.lab_to_rgb(color.join_lab(L, ab)))[:, :1]
    assert (clipped - L).abs().max() > 5  # what fitting is for


def test_gradients_flow_to_the_hue_and_where_nothing_is_cut_to_the_chroma():
    L = torch.full((1, 1, 1, 3), 50.0)
    chroma = torch.tensor([20.0, 120, 0], requires_grad=True)
    hue = torch.full((3,), 0.4, requires_grad=True)
    ab = torch.stack([chroma * hue.cos(), chroma * hue.sin()]).view(1, 2, 1, 3)
    fitted = color.fit_gamut(L, ab)[0, :, 0]
    across = torch.stack([-hue.sin(), hue.cos()]).detach()
    along = torch.stack([hue.cos(), hue.sin()]).detach()
    (longer,) = torch.autograd.grad((fitted * along).sum(), chroma, retain_graph=True)
    torch.testing.assert_close(longer, torch.tensor([1.0, 0, 1]), atol=1e-4, rtol=0)
    (turn,) = torch.autograd.grad((fitted * across).sum(), hue)
    torch.testing.assert_close(turn, fitted.detach().norm(dim=0), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("L", [0.0, 100.0])
def test_black_and_white_have_no_chroma(L):
    lightness, ab = torch.full((1, 1, 1, 2), L), torch.tensor([[[[30.0, -5]], [[4, 90]]]])
    assert (color.fit_gamut(lightness, ab) == 0).all()
    assert torch.equal(color.max_chroma(torch.tensor([[L]]), torch.arange(3.0)), torch.zeros(1, 3))


def test_rays_along_the_axes_and_huge_chromas():
    L = torch.full((1, 1, 1, 5), 60.0)
    ab = torch.tensor([[120.0, -120, 0, 0, 1e30], [0, 0, 150, -150, 1e30]]).view(1, 2, 1, 5)
    fitted = color.fit_gamut(L, ab)
    assert not color.out_of_gamut(L, fitted).any()
    hue = torch.tensor([0, math.pi, math.pi / 2, -math.pi / 2, math.pi / 4])
    short = color.max_chroma(L.flatten(), hue) - torch.hypot(*fitted.unbind(1)).flatten()
    assert (short.abs() < 0.5).all()


# Refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda _: color.rgb_to_lab(np.zeros((2, 2, 3))), TypeError, "torch tensor.*ndarray"),
        (lambda lab: color.rgb_to_lab(lab[0]), ValueError, r"\(3, 2, 2\).*x\[None\]"),
        (lambda _: color.rgb_to_lab(torch.zeros(1, 4, 4, 3)), ValueError, "movedim"),
        (lambda lab: color.rgb_to_lab(lab.long()), TypeError, "int64"),
        (lambda lab: color.rgb_to_lab(lab + 205), ValueError, "divide bytes by 255.*255"),
        (lambda lab: color.rgb_to_lab(lab - 51), ValueError, "normalisation.*-1"),
        (lambda lab: color.rgb_to_lab(lab * math.nan), ValueError, "nan"),
        (lambda lab: color.rgb_to_lab(lab * math.inf), ValueError, "inf"),
        (lambda lab: color.lab_to_rgb(lab.byte()), TypeError, "uint8"),
        (lambda lab: color.lab_to_rgb(lab * 3), ValueError, r"\[0, 100\].*150"),
        (lambda lab: color.lab_to_rgb(lab * math.nan), ValueError, "nan"),
        (lambda lab: color.ciede2000(lab, lab[..., :1]), ValueError, "agree"),
        (lambda lab: color.ciede2000(lab, lab * math.nan), ValueError, "finite"),
        (lambda lab: color.delinearize(lab * math.inf), ValueError, "finite"),
        (lambda lab: color.fit_gamut(lab[:, :1] - 51, lab[:, 1:]), ValueError, r"\[0, 100\].*-1"),
        (lambda lab: color.fit_gamut(lab[:, :1], lab[:, 1:] * math.nan), ValueError, "finite"),
        (lambda lab: color.fit_gamut(lab[:, 1:], lab[:, 1:]), ValueError, r"\(1, 2, 2, 2\)"),
        (lambda lab: color.out_of_gamut(lab[:, :1], lab[:, 1:, :1]), ValueError, "agree"),
        (lambda lab: color.max_chroma(lab + 70, lab), ValueError, r"\[0, 100\].*120"),
        (lambda lab: color.max_chroma(lab, lab * math.nan), ValueError, "finite"),
    ],
)
def test_what_is_no_colour_is_refused(call, error, says):
    with pytest.raises(error, match=says):
        call(torch.full((1, 3, 2, 2), 50.0))


def test_rounding_beyond_the_range_is_accepted():
    rgb = torch.tensor([[-5e-5, 0.5, 1.00005], [1.00005] * 3]).view(2, 3, 1, 1)
    torch.testing.assert_close(color.lab_to_rgb(color.rgb_to_lab(rgb)), rgb, atol=1e-4, rtol=0)


# Compilers ------------------------------------------------------------------------------------


def test_one_graph_under_torch_compile(picture):
    to_lab = torch.compile(color.rgb_to_lab, backend="eager", fullgraph=True)
    back = torch.compile(color.lab_to_rgb, backend="eager", fullgraph=True)
    lab = to_lab(picture)
    torch.testing.assert_close(lab, color.rgb_to_lab(picture), atol=1e-3, rtol=0)
    torch.testing.assert_close(back(lab), picture.float() / 255, atol=1e-4, rtol=0)


def in_another_default(dtype: torch.dtype, call):
    torch.set_default_dtype(dtype)
    try:
        return call()
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("size", [20, 300])  # in one piece, and in parts
@pytest.mark.parametrize(
    "name", ["rgb_to_lab", "lab_to_rgb", "fit_gamut", "out_of_gamut", "ciede2000"]
)
def test_however_it_is_called_the_result_is_the_same(name, size):
    lab = color.rgb_to_lab(rgb := torch.rand(3, 3, size, size))
    known = {"rgb_to_lab": (rgb,), "lab_to_rgb": (lab,), "ciede2000": (lab, lab.flip(0))}
    args = known.get(name, (lab[:, :1], lab[:, 1:] * 1.5))
    function = getattr(color, name)
    expected = function(*args)

    def same(found: torch.Tensor) -> bool:
        close = torch.allclose(found.double(), expected.double(), atol=1e-4)
        return close and found.dtype == expected.dtype

    with torch.autocast("cpu", torch.bfloat16):
        assert same(function(*args))
    for dtype in (torch.float64, torch.bfloat16):
        assert same(in_another_default(dtype, lambda: function(*args)))
    assert same(function(*(x.contiguous(memory_format=torch.channels_last) for x in args)))
    assert same(function(*(x.mT.contiguous().mT for x in args)))
    over_batches = torch.func.vmap(function)
    if name == "fit_gamut":  # whether any colour is outside decides what it does
        with pytest.raises(RuntimeError, match=r"vmap.*data-dependent"):
            over_batches(*(x[None] for x in args))
    else:
        assert same(over_batches(*(x[None] for x in args))[0])


def test_constants_are_exact_in_a_process_of_another_default_dtype():
    code = (
        "import torch; torch.set_default_dtype(torch.bfloat16); from colorkit import bins, color\n"
        "lab = color.rgb_to_lab(torch.tensor([[[[255]], [[0]], [[0]]]], dtype=torch.uint8))\n"
        "weights = bins.SoftEncoder()(lab[:, 1:]).weights\n"
        "print(*lab.flatten().tolist(), *weights.flatten().sort().values.tolist()[-2:])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lab = color.rgb_to_lab(torch.tensor([[[[255]], [[0]], [[0]]]], dtype=torch.uint8))
    weights = bins.SoftEncoder()(lab[:, 1:]).weights.ravel().sort().values[-2:]
    found = [float(x) for x in ran.stdout.split()]
    assert found == pytest.approx([*lab.ravel().tolist(), *weights.tolist()], abs=1e-4)

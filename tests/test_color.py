"""Colour against scikit-image, the published CIEDE2000 pairs, and dense scans of the gamut."""

import math

import numpy as np
import pytest
import torch
from skimage import color as sk
from skimage import data
from skimage.color import colorconv

from colorkit import color

# Sharma, Wu, Dalal (2005), table 1: L1 a1 b1 L2 a2 b2 dE00
SHARMA = """
50.0000 2.6772 -79.7751 50.0000 0.0000 -82.7485 2.0425
50.0000 3.1571 -77.2803 50.0000 0.0000 -82.7485 2.8615
50.0000 2.8361 -74.0200 50.0000 0.0000 -82.7485 3.4412
50.0000 -1.3802 -84.2814 50.0000 0.0000 -82.7485 1.0000
50.0000 -1.1848 -84.8006 50.0000 0.0000 -82.7485 1.0000
50.0000 -0.9009 -85.5211 50.0000 0.0000 -82.7485 1.0000
50.0000 0.0000 0.0000 50.0000 -1.0000 2.0000 2.3669
50.0000 -1.0000 2.0000 50.0000 0.0000 0.0000 2.3669
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0009 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0010 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0011 7.2195
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0012 7.2195
50.0000 -0.0010 2.4900 50.0000 0.0009 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0010 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0011 -2.4900 4.7461
50.0000 2.5000 0.0000 50.0000 0.0000 -2.5000 4.3065
50.0000 2.5000 0.0000 73.0000 25.0000 -18.0000 27.1492
50.0000 2.5000 0.0000 61.0000 -5.0000 29.0000 22.8977
50.0000 2.5000 0.0000 56.0000 -27.0000 -3.0000 31.9030
50.0000 2.5000 0.0000 58.0000 24.0000 15.0000 19.4535
50.0000 2.5000 0.0000 50.0000 3.1736 0.5854 1.0000
50.0000 2.5000 0.0000 50.0000 3.2972 0.0000 1.0000
50.0000 2.5000 0.0000 50.0000 1.8634 0.5757 1.0000
50.0000 2.5000 0.0000 50.0000 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


@pytest.fixture
def picture() -> torch.Tensor:
    """A photograph, (1, 3, 200, 300) uint8."""
    return torch.from_numpy(data.chelsea()[50:250, 100:400].copy()).permute(2, 0, 1)[None]


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def sharma_pairs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The pairs as a batch of 34 pictures of one pixel, float64, and their differences."""
    rows = torch.tensor(np.array([row.split() for row in SHARMA.strip().split("\n")], dtype=float))
    assert len(rows) == 34
    return rows[:, :3, None, None], rows[:, 3:6, None, None], rows[:, 6]


def as_lab(L: torch.Tensor, ab: torch.Tensor) -> np.ndarray:
    """(P, 3) float64 for scikit-image."""
    return torch.cat([L, ab], 1).double().movedim(1, -1).reshape(-1, 3).numpy()


def linear_light(lab: np.ndarray) -> np.ndarray:
    """Linear sRGB by scikit-image's own functions, unclipped."""
    return colorconv._lab2xyz(lab, "D65", "2")[0] @ colorconv.rgb_from_xyz.T


def rays(L: torch.Tensor, hue: torch.Tensor, chroma: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Rays (P,) as pictures of P pixels, float64: L (1, 1, 1, P) and ab (1, 2, 1, P)."""
    ab = torch.stack([chroma * hue.cos(), chroma * hue.sin()])
    return L.view(1, 1, 1, -1), ab.view(1, 2, 1, -1)


def scanned(L: float, hue: float, limit: float, tolerance: float) -> tuple[float, float]:
    """First exit and last inside chroma of a ray, by a scan in steps of limit / 20,000."""
    chroma = np.linspace(0, limit, 20_001)
    lab = np.stack([np.full_like(chroma, L), chroma * np.cos(hue), chroma * np.sin(hue)], -1)
    linear = linear_light(lab)
    inside = ((linear >= -tolerance) & (linear <= 1 + tolerance)).all(-1)
    first = chroma[np.argmin(inside)] if not inside.all() else limit
    return first, chroma[inside].max()


# Conversion -----------------------------------------------------------------------------------


def test_every_8_bit_colour_agrees_with_scikit_image_and_comes_back():
    green, blue = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    rgb = np.stack([np.zeros_like(green), green, blue], -1).astype(np.uint8)
    worst, changed = 0.0, 0
    for red in range(256):
        rgb[..., 0] = red
        ours = torch.from_numpy(rgb).permute(2, 0, 1)[None]
        lab = color.rgb_to_lab(ours)
        difference = lab[0].permute(1, 2, 0).numpy() - sk.rgb2lab(rgb)
        worst = max(worst, float(np.abs(difference).max()))
        back = (color.lab_to_rgb(lab) * 255).round().to(torch.uint8)
        changed += int((back != ours).sum())
    assert worst < 2e-3
    assert changed == 0


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_float_pictures_give_what_bytes_give(picture, kind):
    lab = color.rgb_to_lab(picture.to(kind) / 255)
    assert lab.dtype == torch.float32
    torch.testing.assert_close(lab, color.rgb_to_lab(picture), atol=1e-3, rtol=0)


def test_layouts_and_batches_give_the_same(picture):
    expected = color.rgb_to_lab(picture)
    batch = torch.cat([picture, picture.flip(-1)]).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(color.rgb_to_lab(batch), torch.cat([expected, expected.flip(-1)]))
    torch.testing.assert_close(
        color.rgb_to_lab(picture[..., 3:-2:2]), expected[..., 3:-2:2], atol=1e-4, rtol=0
    )
    assert color.rgb_to_lab(picture[:0]).shape == (0, 3, 200, 300)
    assert color.lab_to_rgb(expected[..., :0]).shape == (1, 3, 200, 0)


def test_gradients_do_not_change_the_values(picture):
    rgb = (picture.float() / 255).requires_grad_()
    lab = color.rgb_to_lab(rgb)
    torch.testing.assert_close(lab.detach(), color.rgb_to_lab(picture), atol=1e-3, rtol=0)
    back = color.lab_to_rgb(lab)
    torch.testing.assert_close(back, rgb, atol=1e-5, rtol=0)


def test_decoding_agrees_with_scikit_image_and_clips(generator):
    lab = torch.rand(1, 3, 100, 100, generator=generator)
    lab = lab * torch.tensor([100.0, 120, 120]).view(3, 1, 1) - torch.tensor([0, 60, 60.0]).view(
        3, 1, 1
    )
    theirs = linear_light(lab[0].permute(1, 2, 0).double().numpy())
    valid = torch.from_numpy((theirs >= 0).all(-1) & (theirs <= 1).all(-1))
    expected = torch.from_numpy(sk.lab2rgb(lab[0].permute(1, 2, 0).numpy())).movedim(-1, 0)
    ours = color.lab_to_rgb(lab)
    torch.testing.assert_close(ours[0][:, valid], expected[:, valid].float(), atol=1e-4, rtol=0)
    free = color.lab_to_rgb(lab, clip=False)
    assert free.min() < -0.01
    torch.testing.assert_close(free.clamp(0, 1), ours)
    tracked = color.lab_to_rgb(lab.clone().requires_grad_(), clip=False)
    torch.testing.assert_close(tracked.detach(), free, atol=2e-5, rtol=0)


def test_gamma_both_ways():
    bytes_ = torch.arange(256, dtype=torch.uint8)
    encoded = bytes_.double().numpy() / 255
    expected = np.where(encoded > 0.04045, ((encoded + 0.055) / 1.055) ** 2.4, encoded / 12.92)
    np.testing.assert_allclose(color.linearize(bytes_).numpy(), expected, atol=1e-6)
    back = color.delinearize(torch.from_numpy(expected))
    np.testing.assert_allclose(back.numpy(), encoded, atol=1e-6)


def test_split_and_join_are_inverse(picture):
    lab = color.rgb_to_lab(picture)
    L, ab = color.split_lab(lab)
    assert (L.shape, ab.shape) == ((1, 1, 200, 300), (1, 2, 200, 300))
    assert torch.equal(color.join_lab(L, ab), lab)


# Gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize("formula", [color._rgb_to_lab, color._linearize, color._delinearize])
def test_gradients_are_the_derivative_in_rgb(formula, generator):
    rgb = torch.rand(1, 3, 4, 4, generator=generator, dtype=torch.float64)
    rgb[..., :2] *= 0.01  # the straight pieces too
    assert torch.autograd.gradcheck(formula, rgb.requires_grad_())


def test_gradients_are_the_derivative_in_lab(generator):
    lab = torch.rand(1, 3, 4, 4, generator=generator, dtype=torch.float64) * 60 + 5
    assert torch.autograd.gradcheck(color._lab_to_linear, lab.requires_grad_())


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


@pytest.mark.parametrize("t", [216 / 24389, 8.0])
def test_gradients_at_the_joint_of_f(t):
    L = torch.tensor([t if t > 1 else 8.0, 0.0, 0.0]).view(1, 3, 1, 1).requires_grad_()
    color.lab_to_rgb(L).sum().backward()
    assert L.grad.isfinite().all()
    x = torch.tensor([t], dtype=torch.float64, requires_grad=True)
    color._f(x).backward()
    assert x.grad.item() == pytest.approx(t ** (-2 / 3) / 3, rel=1e-6)


@pytest.mark.parametrize("difference", [color.delta_e76, color.ciede2000])
@pytest.mark.parametrize("where", ["match", "gray match", "gray and colour", "black"])
def test_gradients_of_differences_are_finite(difference, where):
    one = torch.tensor([0.0 if where == "black" else 50.0, 0, 0]).view(1, 3, 1, 1)
    one = one + (where == "match") * torch.tensor([0.0, 20, -30]).view(1, 3, 1, 1)
    other = one + (where == "gray and colour") * torch.tensor([1.0, 2, 3]).view(1, 3, 1, 1)
    one.requires_grad_()
    other = other.detach().requires_grad_()
    difference(one, other).sum().backward()
    assert one.grad.isfinite().all()
    assert other.grad.isfinite().all()
    if "match" in where:
        assert (one.grad == 0).all()


@pytest.mark.parametrize("difference", [color.delta_e76, color.ciede2000])
def test_gradients_of_differences_are_the_derivative(difference, generator):
    one, other = (torch.rand(2, 2, 3, 2, 2, generator=generator).double() * 60 + 5).unbind(0)
    assert torch.autograd.gradcheck(difference, (one.requires_grad_(), other.requires_grad_()))


# Colour differences ---------------------------------------------------------------------------


def test_ciede2000_gives_the_published_34_pairs():
    one, other, expected = sharma_pairs()
    ours = color.ciede2000(one, other)
    assert ours.shape == (34, 1, 1, 1)
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours.flatten(), expected, atol=1e-4, rtol=0)


def test_ciede2000_is_symmetric_and_takes_a_batch(generator):
    one, other = torch.rand(2, 3, 3, 20, 30, generator=generator, dtype=torch.float64).unbind(0)
    scale = torch.tensor([100.0, 200, 200], dtype=torch.float64).view(3, 1, 1)
    shift = torch.tensor([0.0, 100, 100], dtype=torch.float64).view(3, 1, 1)
    one, other = one * scale - shift, other * scale - shift
    ours = color.ciede2000(one, other)
    torch.testing.assert_close(ours, color.ciede2000(other, one), atol=1e-12, rtol=0)
    theirs = sk.deltaE_ciede2000(one.movedim(1, -1).numpy(), other.movedim(1, -1).numpy())
    # scikit-image adds 360 degrees to the mean hue where the paper subtracts them: 6e-6 apart
    np.testing.assert_allclose(ours[:, 0].numpy(), theirs, atol=2e-5)
    single = color.ciede2000(one.float(), other.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), ours, atol=2e-3, rtol=0)


def test_delta_e76_is_the_distance(generator):
    one, other = (torch.rand(2, 2, 3, 5, 7, generator=generator).double() * 80).unbind(0)
    theirs = sk.deltaE_cie76(one.movedim(1, -1).numpy(), other.movedim(1, -1).numpy())
    np.testing.assert_allclose(color.delta_e76(one, other)[:, 0].numpy(), theirs, atol=1e-12)
    assert color.delta_e76(one.float(), other.float()).dtype == torch.float32


# The gamut ------------------------------------------------------------------------------------


def test_every_8_bit_colour_is_inside_and_stays_bit_for_bit():
    levels = torch.cat([torch.arange(0, 256, 5), torch.tensor([1, 2, 254])]).to(torch.uint8)
    rgb = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 1, -1)
    L, ab = color.split_lab(color.rgb_to_lab(rgb))
    assert not color.out_of_gamut(L, ab).any()
    assert torch.equal(color.fit_gamut(L, ab), ab)


def test_out_of_gamut_agrees_with_scikit_image(generator):
    L = torch.rand(2, 1, 60, 70, generator=generator) * 100
    ab = torch.rand(2, 2, 60, 70, generator=generator) * 200 - 100
    linear = linear_light(as_lab(L, ab)).reshape(2, 60, 70, 3)
    beyond = np.maximum(-linear, linear - 1).max(-1)
    clear = np.abs(beyond - color.GAMUT_TOLERANCE) > 1e-5
    ours = color.out_of_gamut(L, ab)[:, 0].numpy()
    assert (ours == (beyond > color.GAMUT_TOLERANCE))[clear].all()


def ray_sets(kind: str, generator: torch.Generator, count: int = 200) -> torch.Tensor:
    """L, hue, chroma (3, P) float64: all over Lab, or near yellow, blue, black or white."""
    unit = torch.rand(3, count, generator=generator, dtype=torch.float64)
    low, high = {
        "anywhere": ((0.5, 0, 0), (99.5, 360, 200)),
        "yellow": ((92.5, 97, 60), (98.5, 106, 150)),
        "blue": ((20, 270, 20), (45, 320, 180)),
        "dark": ((0.01, 0, 0), (9, 360, 60)),
        "light": ((98, 0, 0), (99.99, 360, 60)),
    }[kind]
    low, high = (torch.tensor(x, dtype=torch.float64)[:, None] for x in (low, high))
    L, hue, chroma = low + unit * (high - low)
    return torch.stack([L, torch.deg2rad(hue), chroma])


@pytest.mark.parametrize("kind", ["anywhere", "yellow", "blue", "dark", "light"])
def test_fit_gamut_takes_the_largest_chroma_inside(kind, generator):
    L, hue, chroma = ray_sets(kind, generator)
    fitted = color.fit_gamut(*rays(L, hue, chroma))[0, :, 0]
    ours = torch.hypot(*fitted)
    L, hue, chroma = L.tolist(), hue.tolist(), chroma.tolist()
    for i in range(len(L)):
        step = chroma[i] / 20_000
        least = scanned(L[i], hue[i], chroma[i], 0.9e-4)[1]
        most = scanned(L[i], hue[i], chroma[i], 1.01e-4)[1]
        assert least - step - 1e-5 <= ours[i] <= most + step + 1e-5, (L[i], hue[i], chroma[i])


@pytest.mark.parametrize("kind", ["anywhere", "yellow", "blue", "dark", "light"])
def test_max_chroma_is_the_first_exit(kind, generator):
    L, hue, _ = ray_sets(kind, generator)
    ours = color.max_chroma(L, hue)
    assert ours.dtype == torch.float64
    L, hue = L.tolist(), hue.tolist()
    for i in range(len(L)):
        least = scanned(L[i], hue[i], 140.0, 0.9e-4)[0]
        most = scanned(L[i], hue[i], 140.0, 1.01e-4)[0]
        assert least - 0.0071 <= ours[i] <= most + 0.0071, (L[i], hue[i])


def test_near_yellow_both_parts_of_a_ray_are_found():
    L, hue = torch.meshgrid(
        torch.arange(93, 98, 0.1).double(),
        torch.deg2rad(torch.arange(98, 105, 0.1).double()),
        indexing="ij",
    )
    L, hue = L.flatten(), hue.flatten()
    limit = torch.full_like(L, 140.0)
    outer = torch.hypot(*color.fit_gamut(*rays(L, hue, limit))[0, :, 0])
    inner = color.max_chroma(L, hue)
    twice = outer > inner + 1
    assert twice.sum() > 20  # rays that leave and enter again
    L, hue, inner, outer = L[twice], hue[twice], inner[twice], outer[twice]
    # just below the outer end: inside, so nothing changes
    L_, ab = rays(L, hue, outer - 1e-3)
    assert torch.equal(color.fit_gamut(L_, ab), ab)
    # just outside the inner end: back to the inner end, not to the outer
    fitted = torch.hypot(*color.fit_gamut(*rays(L, hue, inner + 0.02))[0, :, 0])
    assert (fitted <= inner + 0.021).all()
    assert (fitted >= inner - 1e-6).all()


def test_fit_gamut_keeps_hue_and_lands_inside(generator):
    L = torch.rand(2, 1, 100, 100, generator=generator) * 100
    ab = torch.rand(2, 2, 100, 100, generator=generator) * 300 - 150
    L_before, ab_before = L.clone(), ab.clone()
    fitted = color.fit_gamut(L, ab)
    assert torch.equal(L, L_before)
    assert torch.equal(ab, ab_before)
    assert fitted.dtype == torch.float32
    outside = color.out_of_gamut(L, ab)
    assert 0.5 < outside.float().mean() < 1
    assert not color.out_of_gamut(L, fitted).any()
    assert torch.equal(fitted[~outside.expand_as(ab)], ab[~outside.expand_as(ab)])
    assert (torch.hypot(*fitted.unbind(1)) <= torch.hypot(*ab.unbind(1))).all()
    cross = fitted[:, 0] * ab[:, 1] - fitted[:, 1] * ab[:, 0]
    assert (cross.abs() <= 1e-5 * torch.hypot(*ab.unbind(1)).square()).all()
    assert torch.equal(color.fit_gamut(L, fitted), fitted)


def test_fitted_colours_keep_their_lightness_once_stored_in_8_bits(generator):
    L = torch.rand(1, 1, 100, 100, generator=generator) * 100
    ab = torch.rand(1, 2, 100, 100, generator=generator) * 200 - 100
    rgb = color.lab_to_rgb(color.join_lab(L, color.fit_gamut(L, ab)))
    assert (color.rgb_to_lab(rgb)[:, :1] - L).abs().max() < 0.1
    stored = (rgb * 255).round().to(torch.uint8)
    assert (color.rgb_to_lab(stored)[:, :1] - L).abs().max() < 0.25
    clipped = color.rgb_to_lab(color.lab_to_rgb(color.join_lab(L, ab)))[:, :1]
    assert (clipped - L).abs().max() > 5  # what fitting is for


@pytest.mark.parametrize("L", [0.0, 100.0])
def test_black_and_white_have_no_chroma(L):
    lightness, ab = torch.full((1, 1, 1, 2), L), torch.tensor([[[[30.0, -5]], [[4, 90]]]])
    assert (color.fit_gamut(lightness, ab) == 0).all()
    assert color.max_chroma(L, 1.0) == 0


def test_rays_along_the_axes_and_huge_chromas():
    L = torch.full((1, 1, 1, 5), 60.0)
    ab = torch.tensor([[120.0, -120, 0, 0, 1e30], [0, 0, 150, -150, 1e30]]).view(1, 2, 1, 5)
    fitted = color.fit_gamut(L, ab)
    assert not color.out_of_gamut(L, fitted).any()
    hue = torch.tensor([0, math.pi, math.pi / 2, -math.pi / 2, math.pi / 4])
    torch.testing.assert_close(
        torch.hypot(*fitted.unbind(1)).flatten(), color.max_chroma(60.0, hue), atol=1e-3, rtol=0
    )


def test_shares_of_max_chroma_are_inside(generator):
    L = torch.rand(50, 1, generator=generator) * 100
    hue = torch.rand(1, 60, generator=generator) * 20 - 10
    chroma = color.max_chroma(L, hue)
    assert chroma.shape == (50, 60)
    assert chroma.dtype == torch.float32
    for share in (0.0, 0.3, 0.9, 1.0):
        ab = torch.stack([share * chroma * hue.cos(), share * chroma * hue.sin()])[None]
        assert not color.out_of_gamut(L.expand(50, 60)[None, None], ab).any()


# Refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rgb", "error", "says"),
    [
        (np.zeros((2, 2, 3)), TypeError, "torch tensor"),
        (torch.zeros(3, 4, 4), ValueError, r"\(3, 4, 4\).*x\[None\]"),
        (torch.zeros(1, 4, 4, 3), ValueError, "movedim"),
        (torch.zeros(1, 1, 4, 4), ValueError, r"\(1, 1, 4, 4\)"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.int64), TypeError, "int64"),
        (torch.full((1, 3, 4, 4), 255.0), ValueError, "255.*divide by 255"),
        (torch.full((1, 3, 4, 4), -1.0), ValueError, "-1.*normalised"),
        (torch.full((1, 3, 4, 4), 1.01), ValueError, "1.01.*clamp"),
        (torch.full((1, 3, 4, 4), float("nan")), ValueError, "NaN"),
        (torch.full((1, 3, 4, 4), float("inf")), ValueError, "finite"),
    ],
)
def test_pictures_that_are_refused(rgb, error, says):
    with pytest.raises(error, match=says):
        color.rgb_to_lab(rgb)


def test_rounding_beyond_the_range_is_accepted():
    rgb = torch.tensor([-5e-5, 0.5, 1.00005]).view(1, 3, 1, 1)
    torch.testing.assert_close(color.lab_to_rgb(color.rgb_to_lab(rgb)), rgb, atol=1e-4, rtol=0)
    white = torch.full((1, 3, 1, 1), 1.00005)
    color.lab_to_rgb(color.rgb_to_lab(white))


def test_lab_that_is_refused():
    lab = torch.full((1, 3, 2, 2), 50.0)
    with pytest.raises(TypeError, match="uint8"):
        color.lab_to_rgb(lab.to(torch.uint8))
    with pytest.raises(ValueError, match=r"\[0, 100\].*150"):
        color.lab_to_rgb(lab * 3)
    with pytest.raises(ValueError, match="NaN"):
        color.lab_to_rgb(torch.full_like(lab, math.nan))
    with pytest.raises(ValueError, match="differ"):
        color.delta_e76(lab, lab[..., :1])
    with pytest.raises(ValueError, match="agree"):
        color.join_lab(lab[:, :1], lab[..., :1][:, 1:])
    with pytest.raises(ValueError, match="NaN"):
        color.ciede2000(lab, lab * math.nan)
    with pytest.raises(ValueError, match="NaN"):
        color.delinearize(torch.tensor([math.nan]))


@pytest.mark.parametrize("function", [color.fit_gamut, color.out_of_gamut])
def test_gamut_arguments_that_are_refused(function):
    L, ab = torch.full((1, 1, 2, 2), 50.0), torch.zeros(1, 2, 2, 2)
    with pytest.raises(ValueError, match=r"\[0, 100\].*-1"):
        function(L * 0 - 1, ab)
    with pytest.raises(ValueError, match=r"\[0, 100\].*101"):
        function(L * 0 + 101, ab)
    with pytest.raises(ValueError, match="NaN"):
        function(L, ab * math.nan)
    with pytest.raises(ValueError, match="NaN"):
        function(L * math.nan, ab)
    with pytest.raises(ValueError, match="agree"):
        function(L, ab[..., :1])
    with pytest.raises(ValueError, match=r"\(1, 2, 2, 2\)"):
        function(ab, ab)


def test_max_chroma_refuses_other_lightness():
    with pytest.raises(ValueError, match=r"\[0, 100\].*120"):
        color.max_chroma(120.0, 0.0)
    with pytest.raises(ValueError, match="NaN"):
        color.max_chroma(50.0, math.nan)


# Photographs and compilers --------------------------------------------------------------------


def test_photographs_come_back(photos):
    from PIL import Image

    path = next(iter(sorted((photos / "nature").rglob("*.jpg"))), None)
    if path is None:
        pytest.skip(f"no nature photograph in {photos}")
    with Image.open(path) as image:
        rgb = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None]
    lab = color.rgb_to_lab(rgb)
    L, ab = color.split_lab(lab)
    assert torch.equal(color.fit_gamut(L, ab), ab)
    assert torch.equal((color.lab_to_rgb(lab) * 255).round().to(torch.uint8), rgb)


def test_one_graph_under_torch_compile(picture):
    to_lab = torch.compile(color.rgb_to_lab, backend="eager", fullgraph=True)
    back = torch.compile(color.lab_to_rgb, backend="eager", fullgraph=True)
    lab = to_lab(picture)
    torch.testing.assert_close(lab, color.rgb_to_lab(picture), atol=1e-3, rtol=0)
    torch.testing.assert_close(back(lab), picture.float() / 255, atol=1e-4, rtol=0)

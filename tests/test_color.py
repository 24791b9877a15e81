"""Colour against independent sources: scikit-image, the published table, a dense scan."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import color as skimage_color

from colorkit import color

SHARMA = np.loadtxt(Path(__file__).parent / "data" / "ciede2000.txt")


def every_color(red: range) -> torch.Tensor:
    """All 8-bit colours with the given reds, uint8 (len(red), 3, 256, 256)."""
    green, blue = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    planes = [torch.stack([torch.full_like(green, r), green, blue]) for r in red]
    return torch.stack(planes).byte()


def from_skimage(rgb: torch.Tensor) -> torch.Tensor:
    # float32 keeps scikit-image's pass over all colours short; its own error is below 1e-4
    array = rgb.permute(0, 2, 3, 1).numpy().astype(np.float32) / 255
    return torch.from_numpy(skimage_color.rgb2lab(array)).permute(0, 3, 1, 2)


def random_lab(n: int, seed: int, dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Random L and ab, (1, 1, 1, n) and (1, 2, 1, n): most of them outside sRGB."""
    generator = torch.Generator().manual_seed(seed)
    L = 100 * torch.rand(1, 1, 1, n, generator=generator, dtype=dtype)
    return L, 240 * torch.rand(1, 2, 1, n, generator=generator, dtype=dtype) - 120


@pytest.mark.parametrize("start", range(0, 256, 32))
def test_all_eight_bit_colors_agree_with_scikit_image_and_come_back(start):
    rgb = every_color(range(start, start + 32))
    lab = color.rgb_to_lab(rgb)
    assert (lab - from_skimage(rgb)).abs().max() < 2e-3
    assert torch.equal((255 * color.lab_to_rgb(lab)).round().byte(), rgb)


def test_bytes_and_floats_give_the_same_lab():
    rgb = every_color(range(100, 101))
    torch.testing.assert_close(
        color.rgb_to_lab(rgb), color.rgb_to_lab(rgb / 255), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.bfloat16])
def test_lab_is_float32_whatever_comes_in(dtype):
    rgb = torch.zeros(2, 3, 5, 7, dtype=dtype)
    lab = color.rgb_to_lab(rgb)
    assert lab.dtype == torch.float32
    assert lab.shape == (2, 3, 5, 7)
    assert color.lab_to_rgb(lab.to(torch.float64)).dtype == torch.float32


def test_views_that_are_not_contiguous_are_converted_alike():
    rgb = every_color(range(7, 9))
    turned = rgb.transpose(2, 3)
    torch.testing.assert_close(color.rgb_to_lab(turned), color.rgb_to_lab(rgb).transpose(2, 3))


@pytest.mark.parametrize(
    ("rgb", "error", "words"),
    [
        (torch.zeros(3, 4, 4), ValueError, "(3, 4, 4)"),
        (torch.zeros(1, 4, 4, 3), ValueError, "permute"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.int64), TypeError, "int64"),
        (torch.full((1, 3, 4, 4), 200.0), ValueError, "divide by 255"),
        (torch.full((1, 3, 4, 4), -0.5), ValueError, "-0.5"),
        (torch.full((1, 3, 4, 4), math.nan), ValueError, "nan"),
        (np.zeros((1, 3, 4, 4)), TypeError, "ndarray"),
    ],
)
def test_other_pictures_are_refused_by_name_and_value(rgb, error, words):
    with pytest.raises(error) as raised:
        color.rgb_to_lab(rgb)
    assert words in str(raised.value)


def test_conversion_has_the_right_gradient():
    # in float64, inside the public function's float32 result: the difference quotient needs it
    generator = torch.Generator().manual_seed(0)
    rgb = torch.rand(1, 3, 2, 3, generator=generator, dtype=torch.float64) * 0.9 + 0.05
    rgb.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: color._linear_to_lab(color.linearize(x)), rgb)
    lab = color._linear_to_lab(color.linearize(rgb.detach())).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: color.delinearize(color._lab_to_linear(x)), lab)


@pytest.mark.parametrize("value", [0.0, 0.04045, 1.0])
def test_gradients_are_finite_at_black_white_and_the_joint(value):
    rgb = torch.full((1, 3, 2, 2), value, requires_grad=True)
    color.lab_to_rgb(color.rgb_to_lab(rgb), clip=False).sum().backward()
    assert rgb.grad.isfinite().all()


def test_compiled_conversion_agrees():
    rgb = every_color(range(50, 51))[:, :, :64, :64].contiguous()
    compiled = torch.compile(color.rgb_to_lab, backend="aot_eager")
    torch.testing.assert_close(compiled(rgb), color.rgb_to_lab(rgb), atol=1e-4, rtol=0)


def test_split_and_join_are_inverse():
    lab = color.rgb_to_lab(every_color(range(3, 4)))
    L, ab = color.split_lab(lab)
    assert (L.shape[1], ab.shape[1]) == (1, 2)
    assert torch.equal(color.join_lab(L, ab), lab)


# --- distances ------------------------------------------------------------------------------------


def sharma_pairs():
    pairs = torch.from_numpy(SHARMA[:, :6]).view(34, 2, 3, 1, 1)
    return pairs[:, 0], pairs[:, 1], torch.from_numpy(SHARMA[:, 6]).view(34, 1, 1, 1)


def test_ciede2000_equals_the_published_pairs():
    lab1, lab2, expected = sharma_pairs()
    assert (color.ciede2000(lab1, lab2) - expected).abs().max() < 1e-4
    assert color.ciede2000(lab1, lab2).dtype == torch.float64


def test_ciede2000_is_symmetric():
    lab1, lab2, _ = sharma_pairs()
    torch.testing.assert_close(color.ciede2000(lab1, lab2), color.ciede2000(lab2, lab1))


def test_distances_agree_with_scikit_image():
    lab1, lab2 = (color.join_lab(*random_lab(5000, seed, torch.float64)) for seed in (1, 2))
    for ours, theirs in (
        (color.ciede2000, skimage_color.deltaE_ciede2000),
        (color.delta_e76, skimage_color.deltaE_cie76),
    ):
        expected = theirs(lab1.numpy(), lab2.numpy(), channel_axis=1)
        np.testing.assert_allclose(ours(lab1, lab2)[:, 0].numpy(), expected, atol=1e-8)


@pytest.mark.parametrize("distance", [color.delta_e76, color.ciede2000])
def test_gradients_are_finite_at_equal_and_gray_colors(distance):
    lab1 = torch.tensor([[50.0, 10, 20], [50, 0, 0], [0, 0, 0]]).view(3, 3, 1, 1).requires_grad_()
    lab2 = lab1.detach().clone()
    distance(lab1, lab2).sum().backward()
    assert lab1.grad.isfinite().all()


# --- the gamut ------------------------------------------------------------------------------------


def inside_along_ray(L, ab, shares):
    """Whether share * ab is inside, independently of the solver: (shares, n) bool."""
    n = L.shape[-1]
    scaled = shares.view(-1, 1, 1, 1) * ab
    return ~color.out_of_gamut(L.expand(len(shares), 1, 1, n), scaled).view(len(shares), n)


def test_out_of_gamut_agrees_with_clipping():
    L, ab = random_lab(20_000, 3, torch.float64)
    free = color.lab_to_rgb(color.join_lab(L, ab), clip=False)
    beyond = (free < -0.01) | (free > 1.01)
    outside = color.out_of_gamut(L, ab)
    assert outside[beyond.any(1, keepdim=True)].all()
    assert not outside[((free > 0.01) & (free < 0.99)).all(1, keepdim=True)].any()


def test_every_eight_bit_color_is_inside():
    lab = color.rgb_to_lab(every_color(range(0, 256, 51)))
    assert not color.out_of_gamut(*color.split_lab(lab)).any()


def test_fitting_is_the_identity_inside_to_the_last_bit():
    L, ab = random_lab(20_000, 4)
    inside = ~color.out_of_gamut(L, ab)
    fitted = color.fit_gamut(L, ab)
    assert inside.any()
    assert torch.equal(fitted[inside.expand_as(ab)], ab[inside.expand_as(ab)])


def test_fitting_keeps_the_hue_and_brings_everything_inside():
    L, ab = random_lab(20_000, 5)
    fitted = color.fit_gamut(L, ab)
    assert not color.out_of_gamut(L, fitted).any()
    cross = ab[:, 0] * fitted[:, 1] - ab[:, 1] * fitted[:, 0]
    assert (cross.abs() / ab.norm(dim=1)).max() < 1e-4
    assert (fitted.norm(dim=1) <= ab.norm(dim=1) + 1e-4).all()


def yellow(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Light yellows, where a ray of constant hue leaves sRGB and enters it again."""
    generator = torch.Generator().manual_seed(seed)
    L = 93 + 5 * torch.rand(1, 1, 1, n, generator=generator)
    hue = torch.deg2rad(98 + 7 * torch.rand(1, 1, 1, n, generator=generator))
    chroma = 60 + 60 * torch.rand(1, 1, 1, n, generator=generator)
    return L, torch.cat([chroma * hue.cos(), chroma * hue.sin()], dim=1)


@pytest.mark.parametrize("colors", [random_lab(1500, 6), yellow(1500, 7)], ids=["any", "yellow"])
def test_fitting_finds_the_largest_chroma_of_a_dense_scan(colors):
    L, ab = colors
    outside = color.out_of_gamut(L, ab).flatten()
    shares = torch.linspace(0, 1, 4001)
    scan = torch.where(inside_along_ray(L, ab, shares), shares.view(-1, 1), 0).amax(0)
    chroma = ab.norm(dim=1).flatten()
    found = color.fit_gamut(L, ab).norm(dim=1).flatten()
    short = (scan * chroma - found)[outside]
    assert outside.sum() > 500
    assert short.max() < 0.02  # never less than the scan, which uses the whole tolerance
    assert short.min() > -1.1 * chroma.max() / 4000  # nor more than one step of it


def test_some_yellows_are_fitted_to_the_far_part_of_the_gamut():
    L, ab = yellow(1500, 7)
    outside = color.out_of_gamut(L, ab)
    first = color.max_chroma(L, torch.atan2(ab[:, 1:], ab[:, :1]))
    found = color.fit_gamut(L, ab).norm(dim=1, keepdim=True)
    assert ((found > first + 1) & outside).float().mean() > 0.01


def test_every_chroma_below_the_first_exit_is_inside():
    L, ab = random_lab(1500, 8)
    hue = torch.atan2(ab[:, 1:], ab[:, :1])
    largest = color.max_chroma(L, hue)
    edge = torch.cat([largest * hue.cos(), largest * hue.sin()], dim=1)
    assert inside_along_ray(L, edge, torch.linspace(0, 0.9999, 300)).all()
    assert not inside_along_ray(L, edge + 1e-2 * edge / largest, torch.ones(1)).any()


def test_black_and_white_have_no_chroma_to_speak_of():
    largest = color.max_chroma(torch.tensor([0.0, 100.0]), torch.tensor(0.3))
    assert (largest < 1).all()


def test_l_is_kept_exactly_and_within_a_quarter_in_eight_bits():
    L, ab = random_lab(20_000, 9)
    rgb = color.lab_to_rgb(color.join_lab(L, color.fit_gamut(L, ab)))
    assert (color.rgb_to_lab(rgb)[:, :1] - L).abs().max() < 0.15  # the tolerance, near black
    stored = color.rgb_to_lab((255 * rgb).round().byte())[:, :1]
    assert (stored - L).abs().max() < 0.25


def test_clipping_instead_moves_l():
    L, ab = random_lab(5000, 10)
    outside = color.out_of_gamut(L, ab)
    moved = color.rgb_to_lab(color.lab_to_rgb(color.join_lab(L, ab)))[:, :1] - L
    assert moved[outside].abs().mean() > 1


def test_fitting_passes_gradients_and_refuses_impossible_lightness():
    L, ab = random_lab(100, 11)
    ab.requires_grad_()
    color.fit_gamut(L, ab).sum().backward()
    assert ab.grad.isfinite().all()
    with pytest.raises(ValueError, match=r"L must be in \[0, 100\]"):
        color.fit_gamut(L + 50, ab)

"""Any image file becomes an upright 8-bit sRGB picture, or an error that names it."""

import os

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageFile
from skimage.color import xyz2rgb

from colorkit.data.images import ImageError, open_image
from colorkit.data.images import decode as decode_opened
from colorkit.data.pictures import photograph


def decode(path) -> np.ndarray:
    return photograph(path)[0].permute(1, 2, 0).numpy()


def decode_square(path, size) -> np.ndarray:
    with open_image(path) as image:
        return np.asarray(decode_opened(image, size))


@pytest.fixture
def colours() -> np.ndarray:
    """A picture (24, 40, 3) whose four corners differ."""
    y, x = np.mgrid[0:24, 0:40]
    return np.stack([x * 6, y * 10, 255 - x * 6], axis=2).astype(np.uint8)


def saved(image: Image.Image, path, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_by_exif(tmp_path, colours, orientation):
    # What a camera stores is the upright picture, turned the other way round.
    stored = {
        1: colours,
        2: colours[:, ::-1],
        3: colours[::-1, ::-1],
        4: colours[::-1],
        5: colours.swapaxes(0, 1),
        6: colours.swapaxes(0, 1)[::-1],
        7: colours.swapaxes(0, 1)[::-1, ::-1],
        8: colours.swapaxes(0, 1)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored))
    path = saved(image, tmp_path / "ä picture.png", exif=exif)
    assert photograph(path).dtype == torch.uint8
    assert np.array_equal(decode(path), colours)
    assert np.array_equal(decode_square(path, 24), colours[:, 8:32])


def test_sixteen_bit_gray_is_scaled_not_clipped(tmp_path):
    deep = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    path = saved(Image.fromarray(deep), tmp_path / "deep.png")
    assert np.array_equal(decode(path)[..., 0].ravel(), np.arange(256))


@pytest.mark.parametrize(("top", "scale"), [(1.0, 255.0), (255.0, 1.0), (1000.0, 0.255)])
def test_float_gray_is_scaled_by_its_range(tmp_path, top, scale):
    values = np.linspace(0, top, 64, dtype=np.float32).reshape(8, 8)
    path = saved(Image.fromarray(values), tmp_path / "float.tif")
    assert np.abs(decode(path)[..., 0] - values * scale).max() <= 0.51


def test_transparency_is_laid_on_white(tmp_path, colours):
    alpha = np.zeros((24, 40), np.uint8)
    alpha[:, 20:] = 255
    cut = Image.fromarray(np.dstack([colours, alpha]))
    rgb = decode(saved(cut, tmp_path / "cut.png"))
    assert (rgb[:, :20] == 255).all()
    assert np.array_equal(rgb[:, 20:], colours[:, 20:])


def test_gray_with_alpha_and_palette_with_transparency(tmp_path):
    gray = Image.fromarray(np.dstack([np.full((8, 8), 90, np.uint8), np.eye(8, dtype="u1") * 255]))
    rgb = decode(saved(gray, tmp_path / "la.png"))
    assert (rgb[np.eye(8, dtype=bool)] == 90).all()
    assert (rgb[~np.eye(8, dtype=bool)] == 255).all()
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.paste(0, (0, 0, 4, 8))
    rgb = decode(saved(palette, tmp_path / "p.png", transparency=0))
    assert (rgb[:, :4] == 255).all()
    assert (rgb[:, 4:] == [200, 100, 50]).all()


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    path = saved(frames[0], tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert (decode(path) == [255, 0, 0]).all()


@pytest.mark.parametrize(
    ("mode", "pixel", "name"),
    [
        ("CMYK", (0, 255, 255, 0), "ink.jpg"),
        ("LAB", (137, 128 + 80, 128 + 69), "lab.tif"),  # sRGB red in D50 Lab: 54, 80, 69
    ],
)
def test_red_of_another_space_becomes_that_of_srgb(tmp_path, mode, pixel, name):
    path = saved(Image.new(mode, (16, 16), pixel), tmp_path / name, quality=95)
    assert np.abs(decode(path).astype(int) - [255, 0, 0]).max() <= 8


def test_a_profile_is_applied_by_what_it_does_not_by_its_name(tmp_path):
    image = Image.new("RGB", (8, 8), (128, 128, 128))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    curve = srgb[srgb.index(b"para") :][:12]
    linear = srgb.replace(curve, b"curv" + bytes(8))  # no point, no gamma; it is still called sRGB
    # IEC 61966-2-1: linear 128/255 is sRGB 188.
    for name, profile, gray in [("srgb", srgb, 128), ("linear", linear, 188), ("bad", b"no", 128)]:
        path = saved(image, tmp_path / f"{name}.png", icc_profile=profile)
        assert np.abs(decode(path).astype(int) - gray).max() <= (name == "linear"), name


def test_adobe_rgb_is_told_by_exif_alone(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}  # DCF 2.0: the interoperability index
    image = Image.new("RGB", (16, 16), (100, 150, 200))
    path = saved(image, tmp_path / "a.jpg", exif=exif, quality=100)
    # Adobe RGB (1998), 4.3: gamma 563/256, and to XYZ of D65 the matrix of its annex.
    linear = (np.array([100, 150, 200]) / 255) ** (563 / 256)
    matrix = [[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]]
    expected = xyz2rgb((np.array(matrix) @ linear)[None, None])[0, 0] * 255
    assert expected[0] < 90  # far from what the bytes say
    assert np.abs(decode(path)[0, 0] - expected).max() <= 2.5
    assert np.abs(decode_square(path, 8)[0, 0] - expected).max() <= 2.5


def test_switches_of_pillow_change_nothing_and_stay_as_they_were(tmp_path, colours, monkeypatch):
    path = saved(Image.fromarray(np.tile(colours, (9, 9, 1))), tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes()[:-900])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ImageError, match="cut off"):
        decode(path)
    assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS) == (True, 10)


@pytest.mark.parametrize("size", [16, 64])
def test_square_is_the_centre_of_what_was_decoded(tmp_path, size):
    y, x = np.mgrid[0:600, 0:900]
    smooth = np.stack([x / 900, y / 600, 0.5 + 0 * x], axis=2)
    image = Image.fromarray((smooth * 255).astype(np.uint8))
    small = decode_square(saved(image, tmp_path / "large.jpg", quality=95), size)
    expected = image.crop((150, 0, 750, 600)).resize((size, size), Image.Resampling.BOX)
    assert small.shape == (size, size, 3)
    assert np.abs(small.astype(int) - np.asarray(expected, int)).max() <= 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_cut_files_raise_and_name_themselves(tmp_path, kind, share):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = saved(Image.fromarray(noise), tmp_path / f"cut.{kind.lower()}")
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(ImageError, match="cut") as caught:
        decode(path)
    assert caught.value.verdict in ("truncated", "unreadable")
    if kind in ("JPEG", "PNG"):
        assert caught.value.verdict == "truncated"


def test_what_is_no_picture_says_what_to_do(tmp_path):
    for name, content, hint in [
        ("empty.jpg", b"", "empty"),
        ("page.png", b"<!DOCTYPE html><p>404", "web page"),
        ("text.jpg", b"not a picture", "JPEG or PNG"),
        ("film.jpg", b"\0\0\0\x18ftypisom" + bytes(64), "film"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=hint) as caught:
            photograph(tmp_path / name)
        assert name in str(caught.value)
        assert caught.value.verdict == "unreadable"
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        photograph(tmp_path / "nowhere.jpg")


def test_bomb_is_refused_before_it_is_decoded(tmp_path):
    path = saved(Image.new("1", (20_000, 6_100)), tmp_path / "bomb.png")
    with pytest.raises(ImageError, match="megapixels") as caught:
        photograph(path)
    assert caught.value.verdict == "bomb"

"""``colorkit colorize`` and ``colorkit.colorize``: photographs of any kind get colours, L stays."""

import io
import json
import re
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageCms
from torch.nn import functional as F

import colorkit as package
from colorkit import photo
from colorkit.cli import colorkit
from colorkit.color import fit_gamut, join_lab, lab_to_rgb, rgb_to_lab
from colorkit.models import Classifier, Colorizer, UNet
from tests.conftest import colourful, python


class Vivid(Colorizer):
    """Red on the left, green on the right, far outside sRGB: as no network should, and any may."""

    def predict(self, L, **options):
        a = torch.linspace(110, -90, L.shape[3]).expand(len(L), 1, *L.shape[2:])
        return torch.cat([a, 60 * torch.ones_like(a)], dim=1)


class Hinted(Vivid):
    """Gray but for the hints themselves."""

    def predict(self, L, hints=None):
        return hints[:, :2]


def lightness(image: Image.Image) -> np.ndarray:
    """L (H, W) of an upright picture, from all of its 16 bits if it has as many."""
    values = np.asarray(image)
    values = values / 65535 if values.dtype == np.uint16 else np.asarray(image.convert("RGB")) / 255
    rgb = torch.from_numpy(values).float().view(*values.shape[:2], -1).expand(-1, -1, 3)
    return rgb_to_lab(rgb.permute(2, 0, 1)[None])[0, 0].numpy()


def colorize(*arguments):
    return CliRunner().invoke(colorkit, ["colorize", *map(str, arguments)])


@pytest.fixture
def vivid(monkeypatch):
    monkeypatch.setattr(photo, "load_colorizer", lambda name: Vivid())


@pytest.fixture
def gray() -> Image.Image:
    """A gray picture, 60 wide and 44 high: dark above on the left, light below on the right."""
    y, x = np.mgrid[0:44, 0:60]
    return Image.fromarray((x * 2 + y * 3).astype(np.uint8))


@pytest.fixture
def odd(tmp_path, gray):
    """A folder of odd pictures, as people have them."""
    folder = tmp_path / "scans"
    (folder / "inner").mkdir(parents=True)
    gray.save(folder / "gray.jpg", quality=95)
    deep = (np.asarray(gray).astype(np.uint16) * 257 + 100).clip(0, 65535).astype(np.uint16)
    Image.fromarray(deep).save(folder / "deep.png")
    gray.convert("CMYK").save(folder / "inner" / "ink.TIF")
    alpha = gray.convert("LA")
    alpha.putalpha(gray.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    alpha.save(folder / "alpha.webp", lossless=True)
    gray.convert("P").save(folder / "palette.gif")
    turned = Image.Exif()
    turned[0x0112] = 6  # stored lying, to be turned to the right
    gray.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.png", exif=turned)
    Image.new("L", (1, 1), 90).save(folder / "one.png")
    gray.resize((2400, 1600)).save(folder / "large.png")
    (folder / "cut.jpg").write_bytes((folder / "gray.jpg").read_bytes()[:-200])
    colourful(1).save(folder / "coloured.png")
    Image.new("RGB", (1, 1), "red").save(folder / "red.png")
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_a_folder_of_odd_pictures(odd, tmp_path, monkeypatch, vivid):
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in odd.rglob("*.*")}
    done = colorize("scans")
    assert done.exit_code == 3, done.output
    out, uncoloured = tmp_path / "coloured", {"coloured.png", "red.png", "cut.jpg", "notes.txt"}
    names = {path.relative_to(odd).as_posix() for path in before} - uncoloured
    results = {re.sub("gif|jpg", "png", name) for name in names}
    found = {path.relative_to(out).as_posix() for path in out.rglob("*.*")}
    assert found == results
    assert done.stdout.count("has colours already") == 2
    assert "cut.jpg: the file is cut off before its end" in done.stderr
    assert "notes" not in done.output
    for name in sorted(names):
        with Image.open(odd / name) as source:
            source.load()
            wanted = lightness(source if name != "turned.png" else source.rotate(-90, expand=True))
            alpha = source.getchannel("A") if "A" in source.getbands() else None
        with Image.open(out / re.sub("gif|jpg", "png", name)) as image:
            image.load()
        assert image.mode == ("RGB" if alpha is None else "RGBA"), name
        assert alpha is None or image.getchannel("A").tobytes() == alpha.tobytes()
        error = np.abs(lightness(image) - wanted)
        assert error.max() <= 0.25, name
        profile = ImageCms.getOpenProfile(io.BytesIO(image.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
        if name != "one.png":  # red on the left, green on the right of what stands upright
            left, *_, right = np.array_split(np.asarray(image).astype(int), 4, axis=1)
            assert (left[..., 0] - left[..., 1]).mean() > 20
            assert (right[..., 1] - right[..., 0]).mean() > 20
    again = colorize("scans")
    assert again.exit_code == 3
    assert again.stdout.count("there already") == len(names)
    assert {path: path.read_bytes() for path in before} == before
    inside = [colorize(".", "--out", "coloured", *extra).stdout for extra in ([], ["--force"])]
    assert not any("coloured/gray" in line.split(":")[0] for line in "".join(inside).splitlines())
    assert (out / "scans" / "inner" / "ink.TIF").exists()


def test_heic_becomes_png(tmp_path, gray, vivid):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(gray.convert("RGB")).save(tmp_path / "phone.heic", quality=100)
    done = colorize(tmp_path / "phone.heic", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "out" / "phone.png") as image:
        assert image.size == gray.size


def test_no_picture_that_was_given_is_written_over(tmp_path, gray, vivid):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        gray.save(tmp_path / folder / "x.png")
    before = (tmp_path / "b" / "x.png").read_bytes()
    files = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"]
    done = colorize(*files, "--out", tmp_path / "b", "--force")
    assert done.exit_code == 3
    assert done.stderr.count("one of the pictures that you gave") == 2
    assert colorize(tmp_path / "b", "--out", tmp_path / "b", "--force").exit_code == 3
    assert (tmp_path / "b" / "x.png").read_bytes() == before
    done = colorize(*files, "--out", tmp_path / "c")  # nor one result over another
    assert (done.exit_code, done.stderr.count("or its result")) == (3, 1)
    assert colorize(tmp_path / "missing.png", "--out", tmp_path / "c").exit_code == 3


def test_force_colours_what_has_colours_and_writes_anew(tmp_path, vivid):
    colourful(1).save(tmp_path / "x.png")
    options = [tmp_path / "x.png", "--out", tmp_path / "out"]
    assert "has colours already" in colorize(*options).output
    for _ in range(2):
        assert colorize(*options, "--force").stdout.endswith(f"{tmp_path / 'out' / 'x.png'}\n")
    with Image.open(tmp_path / "out" / "x.png") as image:
        assert np.abs(lightness(image) - lightness(colourful(1))).max() <= 0.25


def test_strips_are_the_whole_picture_joined_with_its_lightness(monkeypatch):
    """Against the formula on the whole picture; sizes at which no border falls on a pixel's."""
    rgb, ab = torch.rand(2, 3, 53, 31), 240 * torch.rand(2, 2, 7, 5) - 120
    monkeypatch.setattr(photo, "_AT_ONCE", 5 * 31)
    L = rgb_to_lab(rgb)[:, :1]
    enlarged = F.interpolate(ab, (53, 31), mode="bilinear")
    expected = lab_to_rgb(join_lab(L, fit_gamut(L, enlarged)))
    torch.testing.assert_close(photo.at_full_size(rgb, ab), expected, atol=1e-4, rtol=0)
    for deep in (rgb[:, :1], (rgb * 255).byte()):
        found = photo.at_full_size(deep, ab)
        L = rgb_to_lab(deep.expand(-1, 3, -1, -1).contiguous())[:, :1]
        assert found.dtype == torch.uint8
        assert (rgb_to_lab(found)[:, :1] - L).abs().max() <= 0.25


@pytest.mark.parametrize("shape", [(3, 40, 300), (2, 3, 400, 30)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_a_tensor_gives_a_tensor_of_its_shape_and_dtype(shape, dtype):
    rgb = torch.randint(0, 256, shape, dtype=torch.uint8)
    rgb = rgb if dtype == torch.uint8 else rgb.to(dtype) / 255
    found = package.colorize(rgb, Vivid())
    assert (found.shape, found.dtype) == (rgb.shape, dtype)
    L, kept = (rgb_to_lab(x.view(-1, *shape[-3:]))[:, 0] for x in (rgb, found))
    assert (L - kept).abs().max() <= (0.25 if dtype == torch.uint8 else 0.1)
    assert (found != rgb).any()


def test_a_picture_in_memory_is_treated_as_its_file_and_left_alone(odd):
    with Image.open(odd / "turned.png") as image:
        found = package.colorize(image, Vivid())
        assert image.getexif()[0x0112] == 6
        assert found.size == image.size[::-1]
    assert found.tobytes() == package.colorize(odd / "turned.png", Vivid()).tobytes()


@pytest.fixture(scope="module")
def checkpoint(small_store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    options = ["--loss", "classes", "--width", "2", "--steps", "1", "--batch", "4"]
    done = CliRunner().invoke(
        colorkit, ["train", str(small_store.path), *options, "--folder", str(folder)]
    )
    assert done.exit_code == 0, done.output
    return folder / "last.pt"


def test_a_checkpoint_colours_and_draws_samples(tmp_path, gray, checkpoint):
    gray.save(tmp_path / "x.jpg")
    options = ["--model", checkpoint, "--out", tmp_path / "out"]
    for extra in ([], ["--samples", 3]):
        done = colorize(tmp_path / "x.jpg", *options, *extra)
        assert done.exit_code == 0, done.exception
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["x-1.png", "x-2.png", "x-3.png", "x.png"]
    drawn = package.colorize(tmp_path / "x.jpg", checkpoint, samples=3)
    assert len({image.tobytes() for image in drawn}) == 3
    warm, cold = (package.colorize(gray, checkpoint, temperature=t) for t in (1.0, 0.05))
    assert warm.tobytes() != cold.tobytes()


@pytest.mark.parametrize(
    ("net", "options", "message"),
    [
        (UNet(2), {"samples": 2}, "a UNet has one answer and no samples"),
        (UNet(2), {"temperature": 0.4}, "a temperature is for the one answer of a Classifier"),
        (Classifier(UNet(2)), {"temperature": 0.4, "samples": 2}, "a temperature is for the one"),
        (Classifier(UNet(2)), {"hints": []}, "a Classifier takes no hints"),
    ],
)
def test_what_a_model_cannot_do_is_refused(gray, net, options, message):
    with pytest.raises(ValueError, match=message):
        package.colorize(gray, net, **options)


def test_hints_are_where_they_were_given(tmp_path, monkeypatch):
    """On 512 x 300 pixels, of which the model sees at most 192 x 113."""
    monkeypatch.setattr(photo, "load_colorizer", lambda name: Hinted())
    Image.new("L", (512, 300), 128).save(tmp_path / "x.png")
    hints = [
        {"x": 100, "y": 50, "rgb": [200, 40, 50], "radius": 20},
        {"x": 511, "y": 299, "ab": [-30, 20]},
    ]
    (tmp_path / "hints.json").write_text(json.dumps(hints))
    options = ["--hints", tmp_path / "hints.json", "--out", tmp_path / "out"]
    assert colorize(tmp_path / "x.png", *options).exit_code == 0
    with Image.open(tmp_path / "out" / "x.png") as image:
        lab = rgb_to_lab(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None])[0]
    red = rgb_to_lab(torch.tensor([200, 40, 50]).byte().view(1, 3, 1, 1))[0, 1:, 0, 0]
    for x, y, colour in [(100, 50, red), (100, 67, red), (83, 50, red), (511, 299, [-30, 20])]:
        assert (lab[1:, y, x] - torch.as_tensor(colour)).abs().max() < 1
    for x, y in [(100, 75), (125, 50), (500, 299), (300, 150)]:
        assert lab[1:, y, x].abs().max() < 1
    assert colorize(tmp_path, *options).exit_code == 2
    (tmp_path / "hints.json").write_text("[")
    assert "hints.json is no JSON" in str(colorize(tmp_path / "x.png", *options).exception)


@pytest.mark.parametrize(
    "wrong",
    [
        {"x": 60, "y": 1, "ab": [1, 2]}, {"x": 1, "y": -1, "ab": [1, 2]}, {"x": 1, "ab": [1, 2]},
        {"x": 1, "y": 1}, {"x": 1, "y": 1, "rgb": [1, 2]}, {"x": 1, "y": 1, "rgb": [0, 0, 300]},
        {"x": 1, "y": 1, "ab": ["red", 2]}, {"x": "1", "y": 1, "ab": [1, 2]}, "red",
        {"x": 1, "y": 1, "ab": [1, float("nan")]}, {"x": 1, "y": 1, "ab": [1, 2], "radius": -1},
    ],
)  # fmt: skip
def test_a_hint_that_is_none_is_shown(gray, wrong):
    good = {"x": 1, "y": 1, "ab": [1, 2]}
    with pytest.raises(ValueError, match="is no hint here") as error:
        package.colorize(gray, Hinted(), hints=[good, wrong])
    assert str(error.value).startswith(repr(wrong))


@pytest.mark.skipif(sys.platform == "win32", reason="asks the system for the peak of memory")
def test_a_large_picture_needs_little_memory_beyond_itself():
    """Twelve megapixels in floats, L, ab and RGB, would be 288 MB and as much for each step."""
    code = """
import resource, sys
from PIL import Image
from colorkit.models import Gray
from colorkit.photo import colorize
unit = 1 if sys.platform == "darwin" else 1024
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
colorize(Image.new("L", (400, 300), 90), Gray())
before = peak()
colorize(Image.new("L", (4000, 3000), 90), Gray())
print(peak() - before)
"""
    done = python("-c", code)
    assert float(done.stdout) < 250, done.stderr


def test_importing_colorkit_imports_no_torch():
    code = "import sys, colorkit; assert 'torch' not in sys.modules; colorkit.colorize; colorkit.x"
    done = python("-c", code)
    assert "module 'colorkit' has no attribute 'x'" in done.stderr

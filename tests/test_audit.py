"""Every useless picture is found and named, and hardly any useful one."""

import io
import json
import os
import signal
from dataclasses import dataclass, replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw
from skimage.color import rgb2lab

from colorkit.data.audit import audit
from colorkit.data.commands import data
from colorkit.data.sources import FileItem, open_source
from colorkit.data.verdicts import duplicates, fingerprints, judge
from tests.conftest import colourful

DIRTY = {  # by what its README and a look at the pictures say
    "README.md": "not a picture",
    "syn space and ünïcode näme.jpg": "ok",
    "syn_1x1.png": "too small",
    "syn_animated.gif": "ok",
    "syn_bitflips.jpg": "unreadable",
    "syn_bomb_20000x10000_1bit.png": "bomb",
    "syn_cmyk_colour.jpg": "ok",
    "syn_exif_orient8.jpg": "duplicate",  # the same cabbages, turned
    "syn_gray16.png": "gray",
    "syn_html_renamed.png": "unreadable",
    "syn_la.png": "gray",
    "syn_palette_transparency.png": "duplicate",  # the same cut-out, in fewer pixels
    "syn_rgb16.png": "duplicate",
    "syn_rgba_cutout.png": "ok",  # the same cabbages, cut out
    "syn_text_renamed.jpg": "unreadable",
    "syn_truncated_60pct.jpg": "truncated",
    "syn_truncated_header.jpg": "truncated",
    "syn_zero_byte.jpg": "unreadable",
    "wild_cmyk_1.jpg": "single tint",
    "wild_gray_L.jpg": "gray",
    "wild_gray_as_rgb.jpg": "gray",
    "wild_sepia_rgb.jpg": "single tint",
}


def test_each_dirty_file_has_its_verdict(photos, tmp_path):
    files = tmp_path / "dirty.json", tmp_path / "dirty.png"
    arguments = ["audit", str(photos / "dirty"), "--json", str(files[0]), "--sheet", str(files[1])]
    ran = CliRunner().invoke(data, arguments)
    assert ran.exit_code == 0, ran.output
    records = json.loads(files[0].read_text())
    assert {r["file"]: r["verdict"] for r in records} == DIRTY
    assert all(bool(r["reason"]) == (r["verdict"] != "ok") for r in records)
    assert Image.open(files[1]).width > 500


@pytest.mark.parametrize("name", ["fruits", "groceries", "misc", "nature", "portraits"])
def test_at_most_one_in_a_hundred_clean_pictures_is_left_out(photos, name):
    report = audit(photos / name, workers=1)
    left_out = [r for r in report.records() if r["verdict"] != "ok"]
    assert len(left_out) <= len(report.verdicts) / 100, left_out


def thumbs_of(*images: Image.Image) -> np.ndarray:
    return np.stack([np.asarray(i.resize((32, 32), Image.Resampling.BOX)) for i in images])


def judged(*images: Image.Image) -> list[str]:
    thumbs = thumbs_of(*images)
    lab = np.moveaxis(rgb2lab(thumbs), 3, 1)
    return [verdict for verdict, _ in judge(thumbs, lab)]


def saved_as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def tinted(seed: int, dark, light, border: int = 0) -> Image.Image:
    """A picture whose grays run from one colour to another, as in a print."""
    gray = np.asarray(colourful(seed, (128, 128)).convert("L"), float)[..., None] / 255
    pixels = (1 - gray) * np.array(dark) + gray * np.array(light)
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    for k in range(border):
        ImageDraw.Draw(image).rectangle((k, k, 127 - k, 127 - k), outline=(245, 232, 200))
    return saved_as_jpeg(image, 85)


@pytest.mark.parametrize(
    ("dark", "light", "border"),
    [
        ((40, 26, 13), (255, 240, 200), 0),  # sepia
        ((40, 26, 13), (255, 240, 200), 14),  # on cream paper
        ((0, 30, 70), (225, 240, 255), 0),  # cyanotype
        ((60, 20, 10), (255, 210, 160), 0),  # red chalk
        ((90, 75, 60), (220, 205, 180), 0),  # faded
    ],
)
def test_single_tints_are_found_whatever_the_hue(dark, light, border):
    found = judged(*(tinted(seed, dark, light, border) for seed in range(20)))
    assert set(found) <= {"single tint", "gray"}


def test_gray_on_cream_paper_is_gray_and_one_red_ball_on_a_gray_street_stays():
    paper, street = (tinted(3, (0, 0, 0), (255, 255, 255), border) for border in (14, 0))
    ImageDraw.Draw(street).ellipse((50, 60, 80, 90), fill=(200, 30, 30))
    assert judged(paper, street) == ["gray", "ok"]


def test_duplicates_survive_scaling_and_recompression_and_the_first_stays():
    originals = [colourful(seed, (200, 160)) for seed in range(200)]
    again = [saved_as_jpeg(image.resize((120, 96)), 60) for image in originals[:50]]
    found = duplicates(fingerprints(thumbs_of(*originals, *again)))
    assert found.tolist() == [-1] * 200 + list(range(50))


def test_same_shapes_in_other_colours_are_no_duplicates():
    image = colourful(5)
    red, green, blue = image.split()
    gray = np.asarray(image.convert("L"), float)
    other = np.asarray(Image.merge("RGB", (blue, red, green)), float)
    other += (gray - other @ [0.299, 0.587, 0.114])[..., None]  # the same brightness
    other = Image.fromarray(other.clip(0, 255).astype(np.uint8))
    assert (duplicates(fingerprints(thumbs_of(image, other))) == -1).all()


def test_audit_through_the_command_line(made_photographs, tmp_path):
    arguments = ["audit", str(made_photographs), "--size", "64", "--workers", "1"]
    ran = CliRunner().invoke(data, [*arguments, "--json", str(tmp_path / "a.json")])
    assert ran.exit_code == 0, ran.output
    records = json.loads((tmp_path / "a.json").read_text())
    assert sum(r["verdict"] != "ok" for r in records) == 4  # which: tests/test_prepare.py
    assert len(records) == 604
    assert "mean chroma" in ran.output


def test_no_folder_and_an_empty_folder_are_said_plainly(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        audit(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="is empty"):
        audit(tmp_path)


@dataclass(frozen=True)
class Deadly(FileItem):
    """A file that kills the process that opens it, as one that crashes a decoder might."""

    def open(self) -> Image.Image:
        os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)


def test_a_file_that_kills_its_process_is_found_and_the_others_are_kept(tmp_path):
    for i in range(140):
        colourful(i).save(tmp_path / f"{i:03d}.png")
    source = open_source(tmp_path)
    items = [Deadly(item.path) if i in (5, 130) else item for i, item in enumerate(source.items)]
    report = audit(replace(source, items=items), 32, workers=2)
    assert [i for i, (verdict, _) in enumerate(report.verdicts) if verdict != "ok"] == [5, 130]
    assert report.verdicts[5] == report.verdicts[130]
    assert "crashes the decoder" in report.verdicts[5][1]

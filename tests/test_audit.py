"""Every useless picture is found and named, and hardly any useful one."""

import io
import json
import subprocess
import sys

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw

from colorkit.data import pool
from colorkit.data.audit import Task, audit, look, lost
from colorkit.data.commands import data
from colorkit.data.sources import FileItem
from colorkit.data.verdicts import duplicates, fingerprints, judge
from tests.conftest import colourful

DIRTY = {  # by what its README and a look at the pictures say
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
    "syn_palette_transparency.png": "ok",  # the same cabbages, cut out
    "syn_rgb16.png": "duplicate",
    "syn_rgba_cutout.png": "duplicate",  # the same cut-out, in more colours
    "syn_text_renamed.jpg": "unreadable",
    "syn_truncated_60pct.jpg": "truncated",
    "syn_truncated_header.jpg": "truncated",
    "syn_zero_byte.jpg": "unreadable",
    "wild_cmyk_1.jpg": "single tint",
    "wild_gray_L.jpg": "gray",
    "wild_gray_as_rgb.jpg": "gray",
    "wild_sepia_rgb.jpg": "single tint",
}


@pytest.fixture(scope="module")
def dirty_records(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("audit")
    code = (
        "import sys, threading, psutil; from click.testing import CliRunner\n"
        "from colorkit.data.commands import data\n"
        "me, peak = psutil.Process(), 0\n"
        "done = threading.Event()\n"
        "def watch():\n"
        "    global peak\n"
        "    while not done.wait(0.002): peak = max(peak, me.memory_info().rss)\n"
        "watcher = threading.Thread(target=watch); watcher.start()\n"
        "data(sys.argv[1:], standalone_mode=False); done.set(); watcher.join()\n"
        "print('peak', peak)\n"
    )
    arguments = ["audit", str(photos / "dirty"), "--json", "d.json", "--sheet", "d.png"]
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=out, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    records = json.loads((out / "d.json").read_text())
    assert Image.open(out / "d.png").width > 500
    return {r["file"]: r for r in records}, int(ran.stdout.split()[-1])


@pytest.mark.parametrize(("name", "verdict"), DIRTY.items())
def test_each_dirty_file_has_its_verdict(dirty_records, name, verdict):
    record = dirty_records[0][name]
    assert record["verdict"] == verdict, record
    assert bool(record["reason"]) == (verdict != "ok")


def test_dirty_folder_is_told_completely_and_in_little_memory(dirty_records, photos):
    records, peak = dirty_records
    assert set(records) == {path.name for path in (photos / "dirty").iterdir()}
    assert records["README.md"]["verdict"] == "not a picture"
    assert peak < 1e9


@pytest.mark.parametrize("name", ["fruits", "groceries", "misc", "nature", "portraits"])
def test_at_most_one_in_a_hundred_clean_pictures_is_left_out(photos, name):
    report = audit(photos / name, workers=1, progress=False)
    left_out = [r for r in report.records() if r["verdict"] != "ok"]
    assert len(left_out) <= len(report.names) / 100, left_out


def tinted(seed: int, dark, light, border: int = 0) -> Image.Image:
    """A picture whose grays run from one colour to another, as in a print."""
    gray = np.asarray(colourful(seed, (128, 128)).convert("L"), float)[..., None] / 255
    pixels = (1 - gray) * np.array(dark) + gray * np.array(light)
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    for k in range(border):
        ImageDraw.Draw(image).rectangle((k, k, 127 - k, 127 - k), outline=(245, 232, 200))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return Image.open(buffer)


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
    pictures = [tinted(seed, dark, light, border) for seed in range(20)]
    thumbs = np.stack([np.asarray(p.resize((32, 32), Image.Resampling.BOX)) for p in pictures])
    assert {verdict for verdict, _ in judge(thumbs)} <= {"single tint", "gray"}


def test_gray_on_cream_paper_is_gray():
    thumb = tinted(1, (0, 0, 0), (255, 255, 255), 14).resize((32, 32), Image.Resampling.BOX)
    assert judge(np.asarray(thumb)[None])[0][0] == "gray"


def test_one_red_ball_on_a_gray_street_stays():
    street = tinted(3, (0, 0, 0), (255, 255, 255))
    ImageDraw.Draw(street).ellipse((50, 60, 80, 90), fill=(200, 30, 30))
    assert judge(np.asarray(street.resize((32, 32), Image.Resampling.BOX))[None]) == [("ok", "")]


def thumbs_of(images) -> np.ndarray:
    return np.stack([np.asarray(i.resize((32, 32), Image.Resampling.BOX)) for i in images])


def test_duplicates_survive_scaling_and_recompression_and_the_first_stays():
    originals = [colourful(seed, (200, 160)) for seed in range(200)]
    again = []
    for image in originals[:50]:
        buffer = io.BytesIO()
        image.resize((120, 96)).save(buffer, "JPEG", quality=60)
        again.append(Image.open(buffer).convert("RGB"))
    found = duplicates(*fingerprints(thumbs_of(originals + again)))
    assert (found[:200] == -1).all()
    assert found[200:].tolist() == list(range(50))


def test_same_shapes_in_other_colours_are_no_duplicates():
    image = colourful(5)
    red, green, blue = image.split()
    gray = np.asarray(image.convert("L"), float)
    other = np.asarray(Image.merge("RGB", (blue, red, green)), float)
    other += (gray - other @ [0.299, 0.587, 0.114])[..., None]  # the same brightness
    other = Image.fromarray(other.clip(0, 255).astype(np.uint8))
    assert (duplicates(*fingerprints(thumbs_of([image, other]))) == -1).all()


def test_near_pairs_match_a_search_over_all_pairs():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 400, dtype=np.uint64)
    flips = rng.integers(0, 64, (100, 3))
    near = hashes[:100].copy()
    for column in flips.T:
        near ^= np.uint64(1) << column.astype(np.uint64)
    every, colours = np.concatenate([hashes, near]), np.zeros((500, 48), np.uint8)
    assert duplicates(every, colours)[400:].tolist() == list(range(100))


def test_audit_through_the_command_line(made_photographs, tmp_path):
    arguments = ["audit", str(made_photographs), "--size", "64", "--workers", "1"]
    ran = CliRunner().invoke(data, [*arguments, "--json", str(tmp_path / "a.json")])
    assert ran.exit_code == 0, ran.output
    records = json.loads((tmp_path / "a.json").read_text())
    bad = {r["file"]: r["verdict"] for r in records if r["verdict"] != "ok"}
    assert bad == {
        "class0/0000.jpg": "duplicate",  # "0000-again.png" comes first by name
        "class1/gray.jpg": "gray",
        "class2/cut.jpg": "truncated",
        "notes.txt": "not a picture",
    }
    assert "mean chroma" in ran.output
    assert len(records) == 604


def test_no_folder_and_an_empty_folder_are_said_plainly(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        audit(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="is empty"):
        audit(tmp_path)


def crash_on_marked(task: Task):
    """As `look`, but one file kills the process, as a broken decoder might."""
    if any("deadly" in name for name in task.names):
        psutil.Process().kill()
    return look(task)


def test_a_file_that_kills_its_process_is_found_and_the_others_are_kept(tmp_path):
    names = [f"{i}.png" for i in range(5)] + ["deadly.png"]
    for i, name in enumerate(names):
        colourful(i).save(tmp_path / name)
    items = tuple(FileItem(str(tmp_path / name)) for name in names)
    tasks = [
        Task(0, tuple(names[:3]), items[:3], 32, 1),
        Task(1, tuple(names[3:]), items[3:], 32, 1),
    ]
    seen = {task.number: result for task, result in pool.work(crash_on_marked, tasks, 2, lost)}
    verdicts = seen[0].verdicts + seen[1].verdicts
    assert [verdict for verdict, _ in verdicts] == ["ok"] * 5 + ["unreadable"]
    assert "crashes" in verdicts[5][1]

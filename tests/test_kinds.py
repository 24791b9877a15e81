"""A folder as they are in life: every kind of file has its verdict, and nothing goes silently."""

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import ImageCms, PngImagePlugin, TiffImagePlugin

from colorkit.data import images
from colorkit.data.audit import audit
from colorkit.data.commands import data
from colorkit.data.sources import open_source
from tests.conftest import colourful


def encoded(seed: int, kind: str = "PNG", size=(80, 64), **options) -> bytes:
    buffer = io.BytesIO()
    colourful(seed, size).save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(seed: int, tag: int, value: object) -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[tag] = value
    return encoded(seed, "TIFF", tiffinfo=tags)


def with_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG with a further chunk behind its header (8 bytes of signature, 25 of IHDR)."""
    chunk = struct.pack(">I", len(body)) + kind + body
    return png[:33] + chunk + struct.pack(">I", zlib.crc32(chunk[4:])) + png[33:]


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TEXT = PngImagePlugin.PngInfo()
TEXT.add_itxt("XML:com.adobe.xmp", "<x/>" * 500_000, zip=True)
COPY = encoded(1, "JPEG", (160, 128), quality=95)
HLG = b"\0\0\0\x18ftypavif\0\0\0\0avifmif1" + b"\0\0\0\x13colrnclx\0\x09\0\x12\0\x09\x80"

KINDS = {  # name: content, verdict
    "airplane/1.png": (encoded(1, size=(40, 32)), "duplicate"),  # of a larger one, later by name
    "airplane/2.png": (encoded(2), "ok"),
    "airplane/.ipynb_checkpoints/2-checkpoint.png": (encoded(2), "passed over"),
    "airplane/.DS_Store": (b"\0\0\0\1Bud1", "passed over"),
    "airplane/._2.png": (b"\0\5\x16\7", "passed over"),
    "__MACOSX/airplane/2.png": (b"\0\5\x16\7", "passed over"),
    "bus/@eaDir/3.png/THUMB.jpg": (encoded(3, "JPEG"), "passed over"),
    "bus/Thumbs.db": (b"\xd0\xcf\x11\xe0", "passed over"),
    "bus/1 (copy).jpg": (COPY, "ok"),
    "bus/3.png": (encoded(3, pnginfo=TEXT), "ok"),  # two megabytes of metadata
    "bus/4.png": (encoded(4, icc_profile=SRGB + bytes(2_000_000)), "ok"),
    "bus/5.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "unsupported"),
    "bus/6.jxl": (b"\xff\x0a" + bytes(60), "unsupported"),
    "bus/7.mov": (b"\0\0\0\x14ftypqt  " + bytes(60), "not a picture"),
    "train/8.dng": (tiff(8, 50706, b"\1\4\0\0"), "unsupported"),
    "train/9.NEF": (encoded(9, "TIFF"), "unsupported"),
    "train/10.tif": (tiff(10, 254, 1), "unsupported"),  # a raw file under another name
    "train/11.cr2": (b"II*\0\x10\0\0\0CR\2\0" + bytes(60), "unsupported"),
    "train/12.hdr": (b"#?RADIANCE\n" + bytes(60), "unsupported"),
    "train/13.exr": (b"v/1\x01" + bytes(60), "unsupported"),
    "train/14.png": (with_chunk(encoded(14), b"cICP", bytes([9, 16, 0, 1])), "unsupported"),
    "train/15.avif": (HLG, "unsupported"),
    "train/16.nef": (encoded(16, "JPEG"), "ok"),  # a plain JPEG, whatever it is called
    "train/17.tif": (encoded(17, "TIFF"), "ok"),
    "closed/": (b"", "no access"),
    "train/gone.png": (None, "no access"),  # a link that leads nowhere
    "train/pipe.jpg": (None, "passed over"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    for name, (content, _) in KINDS.items():
        path = tmp_path / "p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        elif content is not None:
            path.write_bytes(content)
    (tmp_path / "p/train/gone.png").symlink_to("nowhere.png")
    os.mkfifo(tmp_path / "p/train/pipe.jpg")
    really = os.scandir

    def scandir(path):  # root may open everything, so the refusal is played
        if "closed" in str(path):
            raise PermissionError(13, "Permission denied")
        return really(path)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(images, "HEIC", "HEIC: install pillow-heif")
    return tmp_path / "p"


@pytest.mark.skipif(sys.platform == "win32", reason="has no pipes, and links only for some")
def test_every_kind_of_file_has_its_verdict_and_what_was_left_out_is_said(folder, tmp_path):
    file = tmp_path / "audit.json"
    ran = CliRunner().invoke(data, ["audit", str(folder), "--size", "32", "--json", str(file)])
    found = {r["file"]: r["verdict"] for r in json.loads(file.read_text())}
    assert found == {name: verdict for name, (_, verdict) in KINDS.items()}
    assert ran.exit_code == 3
    verdicts = [verdict for _, verdict in KINDS.values()]
    for verdict in set(verdicts):
        row = next(line for line in ran.output.splitlines() if line.startswith(verdict))
        assert int(row[len(verdict) :].split()[0]) == verdicts.count(verdict)
    assert "closed/: cannot be opened: Permission denied" in ran.output
    assert "install pillow-heif" in ran.output
    source = open_source(folder)
    assert source.classes == ["airplane", "bus", "train"]
    assert not any(source.splits)
    ran = CliRunner().invoke(data, ["prepare", str(folder), "--out", str(tmp_path / "s")])
    assert ran.exit_code == 3
    assert "closed/" in (tmp_path / "s/audit.csv").read_text()


def test_heic_is_read_where_its_library_is(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(colourful(1, (160, 128))).save(tmp_path / "a.heic")
    assert audit(tmp_path, 32).verdicts == [("ok", "")]


def test_folders_are_splits_only_where_all_are(tmp_path):
    for name in ("train/cat/1.png", "Val/cat/2.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(encoded(1))
    (tmp_path / "notes.txt").write_text("no folder")
    source = open_source(tmp_path)
    assert sorted(zip(source.names, source.splits, strict=True)) == [
        ("Val/cat/2.png", "val"), ("notes.txt", ""), ("train/cat/1.png", "train"),
    ]  # fmt: skip
    assert source.classes == ["cat"]


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "p").mkdir()
    (tmp_path / "p/1.png").write_bytes(encoded(1))
    arguments = ["prepare", "~/p", "--out", "~/s", "--size", "32", "--split", "1/0/0"]
    ran = CliRunner().invoke(data, arguments)
    assert ran.exit_code == 0, ran.output
    assert (tmp_path / "s/manifest.json").exists()


def test_a_script_without_a_main_guard_runs_once_and_condemns_no_picture(tmp_path):
    (tmp_path / "p").mkdir()
    for i in range(6):
        (tmp_path / f"p/{i}.png").write_bytes(encoded(i))
    script = tmp_path / "script.py"
    script.write_text(
        "from colorkit.data.audit import audit\n"
        f"print('begun', audit({str(tmp_path / 'p')!r}, 32, workers=2).counts())\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["begun {'ok': 6}"]
    assert "Error" not in ran.stderr


def test_where_no_process_can_start_this_one_does_the_work(tmp_path, monkeypatch, capsys):
    for i in range(6):
        (tmp_path / f"{i}.png").write_bytes(encoded(i))
    monkeypatch.setattr("colorkit.data.audit._end_with_parent", os._exit)  # wants an argument
    assert audit(tmp_path, 32, workers=2).counts() == {"ok": 6}
    assert "this one does the work" in capsys.readouterr().out


def test_a_pipe_in_a_poor_code_page_loses_no_table(tmp_path):
    (tmp_path / "ü.png").write_bytes(encoded(1))
    command = [sys.executable, "-m", "colorkit", "data", "audit", str(tmp_path)]
    poor = os.environ | {
        "PYTHONIOENCODING": "iso8859-5",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    ran = subprocess.run(command, env=poor, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "hues in Lab of the others: 0? " in ran.stdout

"""Preparing gives the same store whatever interrupts it, and never a broken one."""

import contextlib
import csv
import errno
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from colorkit.data.images import decode, open_image
from colorkit.data.prepare import assign_splits, prepare, shares_of
from colorkit.data.sources import open_source
from colorkit.data.store import Store
from colorkit.files import locked
from tests.conftest import colourful


def test_store_holds_the_pictures_in_the_order_of_their_names(store, made_photographs):
    names = store.names()
    assert names == sorted(names)
    assert len(store) == len(names) == 600
    splits = [store.rows(split) for split in ("train", "val", "test")]
    assert [len(rows) for rows in splits] == [480, 60, 60]
    assert np.array_equal(np.sort(np.concatenate(splits)), store.rows("all"))
    for row in (0, 7, 321, 599):
        with open_image(made_photographs / names[row]) as image:
            expected = np.asarray(decode(image, 32))
        assert np.array_equal(store.pictures(np.array([row]))[0].transpose(1, 2, 0), expected)
        assert store.classes[store.labels[row]] == names[row].split("/")[0]


def test_store_says_what_is_wrong_with_it(store, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no store.*colorkit data prepare"):
        Store(tmp_path)
    copy = shutil.copytree(store.path, tmp_path / "copy")
    content = (copy / "pictures.npy").read_bytes()
    (copy / "pictures.npy").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"pictures\.npy is missing or damaged"):
        Store(copy)
    for manifest, message in (("{", "damaged"), ('{"version": 1}', "prepare it again, into a new")):
        (copy / "manifest.json").write_text(manifest)
        with pytest.raises(ValueError, match=message):
            Store(copy)


def test_nothing_is_left_out_silently(store, made_photographs):
    with open(store.path / "audit.csv", encoding="utf-8", newline="") as file:
        rows = {row["file"]: row["verdict"] for row in csv.DictReader(file)}
    assert rows == {
        "class0/0000.jpg": "duplicate",
        "class1/gray.jpg": "gray",
        "class2/cut.jpg": "truncated",
        "notes.txt": "not a picture",
    }
    every = {p.relative_to(made_photographs).as_posix() for p in made_photographs.rglob("*.*")}
    assert every == set(rows) | set(store.names())
    assert sum(store.manifest["audit"].values()) == len(every)


def test_pictures_of_one_identity_share_a_split():
    rng = np.random.default_rng(0)
    groups = [f"person{i}" for i in rng.integers(0, 300, 3000)]
    splits = assign_splits(groups, "80/10/10", 1)
    pairs = set(zip(groups, splits.tolist(), strict=True))
    assert len(pairs) == len(set(groups))
    shares = np.bincount(splits) / 3000
    assert np.abs(shares - [0.8, 0.1, 0.1]).max() < 0.02
    assert not np.array_equal(splits, assign_splits(groups, "80/10/10", 2))
    shuffled = rng.permutation(3000)
    again = assign_splits([groups[i] for i in shuffled], "80/10/10", 1)
    assert np.array_equal(again, splits[shuffled])


def test_a_source_s_own_splits_can_be_kept(tmp_path):
    for i, split in enumerate(["train"] * 4 + ["val"] * 2 + ["test"]):
        path = tmp_path / "set" / split / "kind" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        colourful(i).save(path)
    made, _ = prepare(tmp_path / "set", tmp_path / "out", 32, split="keep")
    assert made.manifest["splits"] == {"train": 4, "val": 2, "test": 1}
    assert made.classes == ["kind"]


@pytest.mark.parametrize("split", ["80/10", "a/b/c", "0/0/0", "-1/1/1", "inf/1/1"])
def test_senseless_shares_are_refused(split):
    with pytest.raises(ValueError, match="three shares"):
        shares_of(split)


def same(one: Store, other: Store) -> bool:
    """Whether two stores hold the same, and nothing else lies in their folders."""
    files = [sorted(p.name for p in s.path.iterdir()) for s in (one, other)]
    sums = [s.manifest["checksum"] for s in (one, other)]
    pictures = [s.pictures(s.rows("all")) for s in (one, other)]
    return files[0] == files[1] and sums[0] == sums[1] and np.array_equal(*pictures)


def test_killed_twice_the_command_makes_the_same_store(store, made_photographs, tmp_path):
    out = tmp_path / "out"
    log = out / "log.jsonl"
    command = [sys.executable, "-m", "colorkit", "data", "prepare", str(made_photographs)]
    command += ["--out", str(out), "--size", "32", "--workers", "2"]
    for lines in (1, 3):
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while run.poll() is None and (not log.exists() or log.read_bytes().count(b"\n") < lines):
            time.sleep(0.005)
        run.kill()
        run.wait()
        if (out / "manifest.json").exists():
            break
        with pytest.raises(FileNotFoundError, match="prepare"):
            Store(out)  # never a store before it is whole
    ran = subprocess.run(command, check=True, capture_output=True)
    assert b"480 train, 60 val, 60 test" in ran.stdout
    assert same(Store(out), store)


def ending(monkeypatch, calls: int, error: BaseException) -> None:
    """Let writing to disk fail after so many calls of fsync."""
    fsync, left = os.fsync, iter(range(calls))

    def failing(file):
        if next(left, None) is None:
            raise error
        fsync(file)

    monkeypatch.setattr(os, "fsync", failing)


def test_killed_at_any_write_the_store_is_the_same(store, made_photographs, tmp_path, monkeypatch):
    """The first run ends before anything reaches the disk, the next after one write, ..."""
    out = tmp_path / "out"
    for attempt in range(30):
        with monkeypatch.context() as patch:
            ending(patch, attempt, KeyboardInterrupt())
            try:
                prepare(made_photographs, out, 32, workers=1)
                break
            except KeyboardInterrupt:
                with open(out / "log.jsonl", "ab") as log:
                    log.write(b'\n[128, "half a li')  # what a machine that loses power leaves
    assert attempt > 4
    assert same(Store(out), store)


def test_a_finished_store_is_left_alone_and_other_settings_are_refused(store, made_photographs):
    before = (store.path / "manifest.json").stat().st_mtime_ns
    again, report = prepare(made_photographs, store.path, size=32)
    assert report is None
    assert same(again, store)
    with pytest.raises(ValueError, match="other settings"):
        prepare(made_photographs, store.path, size=48)
    assert (store.path / "manifest.json").stat().st_mtime_ns == before


def test_a_source_that_changed_between_two_runs_is_seen(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    for i in range(140):
        colourful(i).save(tmp_path / "set" / f"{i:03d}.png")
    ending(monkeypatch, 4, KeyboardInterrupt())  # when both chunks are in the log
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path / "set", tmp_path / "out", 32, workers=1)
    monkeypatch.undo()
    colourful(1000).save(tmp_path / "set" / "005.png")
    again, _ = prepare(tmp_path / "set", tmp_path / "out", 32, workers=1)
    fresh, _ = prepare(tmp_path / "set", tmp_path / "fresh", 32, workers=1)
    assert same(again, fresh)


def test_a_second_run_on_a_folder_stops_at_once_and_a_killed_one_holds_nothing(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from colorkit.files import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    run.stdout.readline()
    with pytest.raises(RuntimeError, match="in use by another process"), locked(tmp_path):
        pass
    run.kill()
    run.communicate()
    with locked(tmp_path):
        pass


def test_full_disk_is_said_with_what_to_do(made_photographs, tmp_path, monkeypatch):
    ending(monkeypatch, 3, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="is full") as caught:
        prepare(made_photographs, tmp_path / "out", 32, workers=1)
    assert "same command" in str(caught.value)
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert not list((tmp_path / "out").rglob("*.tmp"))


def test_too_little_room_is_said_before_the_work(made_photographs, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OSError, match="is full"):
        prepare(made_photographs, tmp_path / "out", 32, workers=1)


def test_no_picture_left_names_the_reasons(tmp_path):
    (tmp_path / "set").mkdir()
    Image.new("RGB", (64, 64), "teal").save(tmp_path / "set" / "even.png")
    with pytest.raises(ValueError, match="1 flat"):
        prepare(tmp_path / "set", tmp_path / "out", 32)
    assert "even.png,flat" in (tmp_path / "out" / "audit.csv").read_text()


def test_a_folder_with_other_files_is_refused(made_photographs, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"thesis\.tex"):
        prepare(made_photographs, tmp_path, 32)
    with pytest.raises(FileExistsError, match=r"thesis\.tex"):
        prepare(made_photographs, tmp_path / "thesis.tex", 32)


def test_names_that_are_awkward_are_kept(tmp_path):
    names = ["ünï cöde.png", "line,comma.png", "日本.png"]
    if sys.platform != "win32":
        names += ['quote".png', "new\nline.png", os.fsdecode(b"latin-\xe9.png")]
    (tmp_path / "set").mkdir()
    for i, name in enumerate(names):
        with contextlib.suppress(OSError):  # a file system that takes no such name
            colourful(i).save(tmp_path / "set" / name)
    Image.new("RGB", (64, 64)).save(tmp_path / "set" / "ünï black.png")
    made, report = prepare(tmp_path / "set", tmp_path / "out", 32, workers=1)
    assert set(made.names()) | {"ünï black.png"} == set(os.listdir(tmp_path / "set"))
    report.save_sheet(tmp_path / "sheet.png")


# --- what is taken in -----------------------------------------------------------------------------


@pytest.mark.parametrize("opencv", [True, False])
def test_arrays_of_l_and_ab_are_taken_in(tmp_path, opencv):
    from skimage.color import rgb2lab

    rgb = np.stack([np.asarray(colourful(i, (32, 32))) for i in range(6)])
    lab = rgb2lab(rgb)
    if opencv:  # bytes: L scaled to 255, ab shifted by 128
        lab = np.round(lab * [2.55, 1, 1] + [0, 128, 128]).astype(np.uint8)
    (tmp_path / "l").mkdir()
    (tmp_path / "ab" / "ab").mkdir(parents=True)
    np.save(tmp_path / "l" / "gray_scale.npy", lab[..., 0])
    np.save(tmp_path / "ab" / "ab" / "ab1.npy", lab[:4, ..., 1:])
    np.save(tmp_path / "ab" / "ab" / "ab2.npy", lab[4:, ..., 1:])
    made, _ = prepare(tmp_path, tmp_path / "out", 32, workers=1)
    difference = np.abs(made.pictures(np.arange(6)).transpose(0, 2, 3, 1) - rgb.astype(int))
    assert difference.mean() < (1.5 if opencv else 0.1)


def test_arrays_that_do_not_fit_are_refused(tmp_path):
    np.save(tmp_path / "gray_scale.npy", np.zeros((3, 8, 8), np.uint8))
    np.save(tmp_path / "ab1.npy", np.zeros((3, 9, 8, 2), np.uint8))
    with pytest.raises(ValueError, match=r"ab1\.npy has the shape"):
        open_source(tmp_path)


def test_links_in_a_circle_end(tmp_path):
    colourful(0).save(tmp_path / "a.png")
    try:
        (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("no symbolic links here")
    assert open_source(tmp_path).names == ["a.png"]

"""Downloads are announced and checked, and archives cannot leave their folder."""

import hashlib
import io
import shutil
import tarfile
import threading
import time
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from colorkit.data import download
from colorkit.data.cards import find_card
from colorkit.data.download import fetch, unpack


def tar_of(members: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(content), kind, "/etc/passwd"
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = tar_of({"faces/a.txt": b"a" * 1000, "faces/deep/b.txt": b"b" * 5000})


class Server(BaseHTTPRequestHandler):
    """Answers by what the path says: whole, cut, stall, gone."""

    asked: list = []  # noqa: RUF012 - shared between requests on purpose

    def do_GET(self):
        self.asked.append(self.path)
        if "gone" in self.path:
            self.send_error(404)
            return
        body = ARCHIVE
        if "once" in self.path and self.asked.count(self.path) == 1:
            body = body[:100]
        self.send_response(200)
        self.send_header("Content-Length", str(len(ARCHIVE)))
        self.end_headers()
        if "cut" in self.path or "stall" in self.path:
            body = body[: len(body) // 2]
        try:
            self.wfile.write(body)
            self.wfile.flush()
            if "stall" in self.path:
                self.server.done.wait(20)
        except OSError:  # the client has had enough
            pass

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.done = threading.Event()
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.done.set()
    server.shutdown()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", (2.0, 0.5))
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between two tries


def card_of(url: str, checksum: str = ""):
    file = {"url": url, "checksum": checksum, "unpack": ".", "marker": "faces"}
    return replace(find_card("imdbwiki"), name="toy", size_mb=0.5, unpacked_mb=1, files=(file,))


def test_a_whole_file_is_announced_unpacked_recorded_and_not_fetched_twice(address, tmp_path):
    said = []
    card = card_of(f"{address}/whole.tar.gz", f"md5:{hashlib.md5(ARCHIVE).hexdigest()}")
    fetch(card, tmp_path, said.append)
    assert (tmp_path / "faces/deep/b.txt").read_bytes() == b"b" * 5000
    assert "free disk" in said[0]
    assert card.licence in said[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "faces", "fetched.json"]
    asked = len(Server.asked)
    fetch(card, tmp_path, said.append)
    assert len(Server.asked) == asked
    assert len(said) == 1


def test_without_a_published_checksum_it_is_recorded_and_compared_later(address, tmp_path):
    said, card = [], card_of(f"{address}/whole2.tar.gz")
    fetch(card, tmp_path, said.append)
    assert "recorded" in said[1]
    checksum, record = hashlib.sha256(ARCHIVE).hexdigest(), (tmp_path / "fetched.json").read_text()
    assert checksum in record
    shutil.rmtree(tmp_path / "faces")
    (tmp_path / "fetched.json").write_text(record.replace(checksum, "0" * 64))
    with pytest.raises(RuntimeError, match="hash of downloaded file"):
        fetch(card, tmp_path, said.append)


@pytest.mark.parametrize(
    ("path", "checksum", "what"),
    [
        ("cut", "", "Connection broken"),
        ("stall", "", "timed out"),
        ("gone", "", "404"),
        ("other", "md5:" + "0" * 32, "hash of downloaded file"),
        ("http://127.0.0.1:9/away", "", "refused.*is there a network"),
        ("https://HERE/whole", "", "certificate is not trusted: set REQUESTS_CA_BUNDLE"),
        ("http://proxied.invalid/whole", "", "the proxy that .* does not answer"),
    ],
)
def test_what_fails_is_said_in_one_sentence_and_leaves_nothing(
    address, tmp_path, monkeypatch, path, checksum, what
):
    if "proxied" in path:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    path = path.replace("HERE", address.rpartition("/")[2])
    url = (path if "http" in path else f"{address}/{path}") + ".tar.gz"
    with pytest.raises(RuntimeError, match=what) as caught:
        fetch(card_of(url, checksum), tmp_path, lambda _: None)
    assert url in str(caught.value)
    assert "colorkit data show orchard" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_download_that_breaks_once_is_tried_again(address, tmp_path):
    fetch(card_of(f"{address}/once.tar.gz"), tmp_path, lambda _: None)
    assert (tmp_path / "faces").is_dir()


def test_too_little_room_is_said_before_the_download(address, tmp_path):
    card = replace(card_of(f"{address}/room.tar.gz"), unpacked_mb=1e12)
    with pytest.raises(OSError, match="COLORKIT_DATA"):
        fetch(card, tmp_path, lambda _: None)
    assert "/room.tar.gz" not in Server.asked


@pytest.mark.parametrize(
    "content",
    [
        tar_of({"a/../../out.txt": b""}),
        tar_of({"link": b""}, tarfile.SYMTYPE),
        tar_of({"hard link": b""}, tarfile.LNKTYPE),
        tar_of({"device": b""}, tarfile.CHRTYPE),
        b"no archive",
        ARCHIVE[:100],
    ],
    ids=["parent", "link", "hard link", "device", "other", "cut off"],
)
def test_evil_and_damaged_archives_are_refused_and_leave_nothing(tmp_path, content):
    (tmp_path / "x.tar.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.tar\.gz is damaged or unsafe"):
        unpack(tmp_path / "x.tar.gz", tmp_path / "in", 10**6)
    assert not list((tmp_path / "in").iterdir())
    assert {p.name for p in tmp_path.iterdir()} == {"x.tar.gz", "in"}


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "link"])
def test_what_a_zip_archive_wants_outside_lands_inside(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        info = zipfile.ZipInfo(name)
        if name == "link":
            info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    unpack(tmp_path / "evil.zip", tmp_path / "in", 10**6)
    (found,) = (tmp_path / "in").iterdir()
    assert found.is_file()
    assert not found.is_symlink()
    assert {p.name for p in tmp_path.iterdir()} == {"evil.zip", "in"}


def test_an_archive_that_swells_is_stopped(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(5_000_000))
    (tmp_path / "bomb.tar").write_bytes(tar_of({"zeros": bytes(5_000_000)}))
    for bomb in ("bomb.zip", "bomb.tar"):
        assert (tmp_path / bomb).stat().st_size < 10_000
        with pytest.raises(ValueError, match="unpacks to 5 MB, more than 1"):
            unpack(tmp_path / bomb, tmp_path / "in", 1_000_000)
        assert not list((tmp_path / "in").iterdir())

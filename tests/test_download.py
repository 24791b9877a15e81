"""Downloads are announced and checked, and archives cannot leave their folder."""

import hashlib
import io
import shutil
import tarfile
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from colorkit.data import download
from colorkit.data.cards import Remote, find_card
from colorkit.data.download import DownloadError, UnsafeArchiveError, fetch, unpack


def tar_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = tar_of({"faces/a.txt": b"a" * 1000, "faces/deep/b.txt": b"b" * 5000})


class Server(BaseHTTPRequestHandler):
    """Answers by what the path says: whole, cut, stall, lies, gone, flood."""

    asked: list = []  # noqa: RUF012 - shared between requests on purpose

    def do_HEAD(self):
        self.send_response(404 if "gone" in self.path else 200)
        self.send_header("Content-Length", str(len(ARCHIVE)))
        self.end_headers()

    def do_GET(self):
        self.asked.append(self.path)
        if "gone" in self.path:
            self.send_error(404)
            return
        body = ARCHIVE
        if "once" in self.path and self.asked.count(self.path) == 1:
            body = body[:100]
        self.send_response(200)
        if "flood" not in self.path:
            more = 10**9 if "lies" in self.path else 0
            self.send_header("Content-Length", str(len(ARCHIVE) + more))
        self.end_headers()
        if "cut" in self.path or "stall" in self.path:
            body = body[: len(body) // 2]
        try:
            for _ in range(100_000 if "flood" in self.path else 1):
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
    monkeypatch.setattr(download, "TRIES", 2)


def card_of(url: str, checksum: str = ""):
    file = Remote(url, checksum=checksum, unpack=".", marker="faces")
    return replace(find_card("imdbwiki"), name="toy", size_mb=0.5, unpacked_mb=1, files=(file,))


def test_a_whole_file_is_announced_unpacked_recorded_and_not_fetched_twice(address, tmp_path):
    said = []
    card = card_of(f"{address}/whole.tar.gz", f"md5:{hashlib.md5(ARCHIVE).hexdigest()}")
    fetch(card, tmp_path, said.append)
    assert (tmp_path / "faces/deep/b.txt").read_bytes() == b"b" * 5000
    assert "free disk" in said[0]
    assert card.licence in said[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["faces", "fetched.json"]
    asked = len(Server.asked)
    fetch(card, tmp_path, said.append)
    assert len(Server.asked) == asked
    assert len(said) == 1


def test_without_a_published_checksum_it_is_recorded_and_compared_later(address, tmp_path):
    said, card = [], card_of(f"{address}/whole2.tar.gz")
    fetch(card, tmp_path, said.append)
    assert "recorded" in said[1]
    assert hashlib.sha256(ARCHIVE).hexdigest() in (tmp_path / "fetched.json").read_text()
    shutil.rmtree(tmp_path / "faces")
    text = (tmp_path / "fetched.json").read_text()
    (tmp_path / "fetched.json").write_text(
        text.replace(hashlib.sha256(ARCHIVE).hexdigest(), "0" * 64)
    )
    with pytest.raises(DownloadError, match="checksum"):
        fetch(card, tmp_path, said.append)


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("cut", "broke off"),
        ("stall", "sent nothing|cannot be reached"),
        ("lies", "sends more than"),
        ("flood", "sends more than"),
        ("gone", "answered 404"),
    ],
)
def test_what_a_bad_server_sends_is_refused_in_one_sentence(address, tmp_path, path, what):
    card = card_of(f"{address}/{path}.tar.gz")
    with pytest.raises(DownloadError, match=what) as caught:
        fetch(card, tmp_path, lambda _: None)
    assert f"/{path}.tar.gz" in str(caught.value)
    assert "colorkit data show orchard" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_wrong_checksum_leaves_nothing(address, tmp_path):
    card = card_of(f"{address}/whole3.tar.gz", "md5:" + "0" * 32)
    with pytest.raises(DownloadError, match="checksum"):
        fetch(card, tmp_path, lambda _: None)
    assert not list(tmp_path.iterdir())


def test_a_download_that_breaks_once_is_tried_again(address, tmp_path):
    fetch(card_of(f"{address}/once.tar.gz"), tmp_path, lambda _: None)
    assert (tmp_path / "faces").is_dir()


def test_no_network_says_what_was_tried_and_what_works_without(tmp_path):
    card = card_of("http://127.0.0.1:9/set.tar.gz")
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9/set\.tar\.gz cannot be reached"):
        fetch(card, tmp_path, lambda _: None)


def test_too_little_room_is_said_before_the_download(address, tmp_path):
    card = replace(card_of(f"{address}/room.tar.gz"), unpacked_mb=1e12)
    with pytest.raises(OSError, match="COLORKIT_DATA"):
        fetch(card, tmp_path, lambda _: None)
    assert "/room.tar.gz" not in Server.asked


def evil_tar(change) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("harmless")
        change(info)
        archive.addfile(info, io.BytesIO(b"x" * info.size))
    return buffer.getvalue()


def as_link(kind):
    def change(info):
        info.type, info.linkname = kind, "/etc/passwd"

    return change


def named(name):
    def change(info):
        info.name = name

    return change


EVIL = {
    "parent": evil_tar(named("../out.txt")),
    "deep parent": evil_tar(named("a/../../out.txt")),
    "absolute": evil_tar(named("/tmp/out.txt")),
    "backslashes": evil_tar(named("..\\out.txt")),
    "drive": evil_tar(named("C:/out.txt")),
    "symbolic link": evil_tar(as_link(tarfile.SYMTYPE)),
    "hard link": evil_tar(as_link(tarfile.LNKTYPE)),
    "device": evil_tar(as_link(tarfile.CHRTYPE)),
}


@pytest.mark.parametrize("kind", EVIL)
def test_evil_tar_archives_are_refused(tmp_path, kind):
    (tmp_path / "evil.tar").write_bytes(EVIL[kind])
    with pytest.raises(UnsafeArchiveError):
        unpack(tmp_path / "evil.tar", tmp_path / "in", 10**6)
    assert not list((tmp_path / "in").iterdir())
    assert {p.name for p in tmp_path.iterdir()} == {"evil.tar", "in"}


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "link"])
def test_evil_zip_archives_are_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        info = zipfile.ZipInfo(name)
        if name == "link":
            info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UnsafeArchiveError):
        unpack(tmp_path / "evil.zip", tmp_path / "in", 10**6)
    assert not list((tmp_path / "in").iterdir())


def test_an_archive_that_swells_is_stopped(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(5_000_000))
    assert (tmp_path / "bomb.zip").stat().st_size < 10_000
    with pytest.raises(UnsafeArchiveError, match="unpacks to more than"):
        unpack(tmp_path / "bomb.zip", tmp_path / "in", 1_000_000)
    assert not list((tmp_path / "in").iterdir())


@pytest.mark.parametrize(
    "content", [b"", b"no archive", ARCHIVE[:100]], ids=["empty", "other", "cut off"]
)
def test_a_damaged_archive_is_said_to_be_damaged(tmp_path, content):
    (tmp_path / "x.tar.gz").write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        unpack(tmp_path / "x.tar.gz", tmp_path / "in", 10**6)


def test_leading_folders_can_be_left_out(tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(ARCHIVE)
    unpack(tmp_path / "x.tar.gz", tmp_path / "in", 10**6, strip=1)
    assert (tmp_path / "in/deep/b.txt").exists()

"""Fetch a dataset: announced, checked, unpacked so that nothing lands outside its folder."""

import json
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import requests
from tqdm.auto import tqdm

from colorkit.data.audit import write_whole
from colorkit.data.cards import Card, Remote, size_text
from colorkit.data.lock import Lock

TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two pieces of data
TRIES = 3
FETCHED = "fetched.json"
MAX_FILES = 10_000_000


class DownloadError(RuntimeError):
    """A download that did not work; the message says what was tried and what to do instead."""


def fetch(card: Card, root: Path | None = None, say: Callable[[str], None] = print) -> Path:
    """Fetch a dataset unless it is there; return its folder.

    Says size, free disk and licence before anything is downloaded.

    Raises
    ------
    DownloadError
        Without network, or if what arrives is cut off, larger than announced, or has another
        checksum than the card's.
    FileNotFoundError
        For a dataset to be fetched by hand: the message says how.
    OSError
        If the disk has too little room.
    """
    root = card.root() if root is None else Path(root)
    if card.kind == "made":
        raise ValueError(f"{card.name} is drawn by code: there is nothing to fetch")
    if card.by_hand:
        if not (root / card.marker).exists():
            raise FileNotFoundError(f"{card.name} is fetched by hand. {card.instructions()}")
        return root
    root.mkdir(parents=True, exist_ok=True)
    with Lock(root / "lock"):
        missing = [file for file in card.files if not _is_there(file, root)]
        if missing:
            _announce(card, missing, root, say)
        for file in missing:
            _fetch_file(card, file, root, say)
    return root


def _is_there(file: Remote, root: Path) -> bool:
    place = root / (file.marker or f"{file.to}/{file.name}")
    return file.url in _fetched(root) and place.exists()


def _fetched(root: Path) -> dict[str, str]:
    """SHA-256 of what was fetched, by address."""
    try:
        return json.loads((root / FETCHED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _announce(card: Card, missing: list[Remote], root: Path, say: Callable) -> None:
    announced = [_announced_size(file.url) for file in missing]
    known = all(announced)
    size = sum(announced) / 1e6 if known else card.size_mb
    free = shutil.disk_usage(root).free / 1e6
    say(
        f"{card.title}\n  download {size_text(size)}{'' if known else ' (as the card says)'}, "
        f"unpacked about {size_text(card.unpacked_mb or size)}, free disk {size_text(free)}\n"
        f"  licence: {card.licence}\n  allows: {card.allows}\n  to {root}"
    )
    if free < size + card.unpacked_mb:
        raise OSError(
            f"{root} has {size_text(free)} free, {card.name} needs "
            f"{size_text(size + card.unpacked_mb)}: make room, or set COLORKIT_DATA to a folder "
            "on a larger disk"
        )


def _announced_size(url: str) -> int:
    """Bytes that the server announces, 0 if it does not say or cannot be reached."""
    try:
        reply = requests.head(url, timeout=TIMEOUT, allow_redirects=True)
        return int(reply.headers.get("Content-Length", 0)) if reply.ok else 0
    except (requests.RequestException, ValueError):
        return 0


def _fetch_file(card: Card, file: Remote, root: Path, say: Callable) -> None:
    import pooch

    recorded = _fetched(root).get(file.url)
    known = file.checksum or (f"sha256:{recorded}" if recorded else None)
    # pooch writes beside, compares the checksum and renames.
    pooch.get_logger().setLevel("WARNING")
    downloader = _Downloader(_limit(card))
    for left in reversed(range(TRIES)):
        try:
            path = pooch.retrieve(
                file.url, known, file.name, path=root / file.to, downloader=downloader
            )
            break
        except (requests.RequestException, DownloadError, ValueError) as error:
            if left == 0 or not _may_pass(error):
                raise DownloadError(_sorry(card, file, error)) from error
    if not file.checksum and not recorded:
        say(f"no checksum is published for {file.name}: recorded what arrived")
    if file.unpack:
        limit = card.unpacked_mb * 2e6 or 20 * os.path.getsize(path)
        unpack(Path(path), root / file.unpack, int(limit), file.strip)
    done = _fetched(root) | {file.url: pooch.file_hash(path)}
    write_whole(root / FETCHED, json.dumps(done, indent=1).encode())
    if file.unpack:
        os.remove(path)


def _limit(card: Card) -> int:
    return int(max(card.size_mb * 2e6, 1e6))


def _may_pass(error: Exception) -> bool:
    """Whether another try may help: not where the server says no, or the content is another."""
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code >= 500
    return isinstance(error, requests.RequestException)


def _sorry(card: Card, file: Remote, error: Exception) -> str:
    if isinstance(error, DownloadError):
        what = str(error)
    elif isinstance(error, requests.Timeout):
        what = f"sent nothing for {TIMEOUT[1]:.0f} s"
    elif isinstance(error, requests.HTTPError):
        what = f"answered {error.response.status_code}"
    elif isinstance(error, requests.exceptions.ChunkedEncodingError):
        what = "broke off before the announced end"
    elif isinstance(error, requests.RequestException):
        what = "cannot be reached (no network?)"
    else:
        what = "sent a file whose checksum is not the card's; it was deleted"
    return (
        f"{card.name} could not be fetched, {file.url} {what}; without it, use a made world "
        "(colorkit data show orchard) or a folder of your own (colorkit data prepare FOLDER)"
    )


@dataclass
class _Downloader:
    """What pooch calls to download; refuses more than `limit` bytes, or fewer than announced."""

    limit: int

    def __call__(self, url: str, output_file: str | IO, _: object) -> None:
        with requests.get(url, stream=True, timeout=TIMEOUT) as reply:
            reply.raise_for_status()
            announced = int(reply.headers.get("Content-Length", 0) or 0)
            self._check(announced)
            bar = tqdm(total=announced or None, unit="B", unit_scale=True, desc=url.split("/")[-1])
            with bar, _writing(output_file) as file:
                received = 0
                for part in reply.iter_content(1 << 18):
                    received += len(part)
                    self._check(received)
                    file.write(part)
                    bar.update(len(part))
        if announced and "Content-Encoding" not in reply.headers and received != announced:
            raise requests.exceptions.ChunkedEncodingError("fewer bytes than announced")

    def _check(self, size: int) -> None:
        if size > self.limit:
            raise DownloadError(
                f"sends more than {size_text(self.limit / 1e6)}, twice what the card says"
            )


@contextmanager
def _writing(output: str | IO) -> Iterator[IO]:
    if hasattr(output, "write"):
        yield output
    else:
        with open(output, "wb") as file:
            yield file


# --- unpacking ------------------------------------------------------------------------------------


class UnsafeArchiveError(ValueError):
    """An archive that wants to write outside its folder, or to fill the disk."""


def unpack(archive: Path, folder: Path, limit: int, strip: int = 0) -> None:
    """Unpack a tar or zip archive into a folder, whole or not at all.

    Parameters
    ----------
    limit : int
        Bytes that the content may have; what an archive says of itself is not believed.
    strip : int
        Leading folders of the names to leave out.

    Raises
    ------
    UnsafeArchiveError
        For a name that leads outside, a link, a device, or more content than the limit.
    ValueError
        If it is no archive, or is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=folder) as temporary:
        try:
            _unpack(archive, Path(temporary), limit, strip)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise ValueError(
                f"{archive} is damaged ({error}): delete it and fetch it again"
            ) from error
        for path in list(Path(temporary).iterdir()):
            _move(path, folder / path.name)


def _unpack(archive: Path, folder: Path, limit: int, strip: int) -> None:
    left = limit
    for count, (name, open_member) in enumerate(_members(archive)):
        if count > MAX_FILES:
            raise UnsafeArchiveError(f"{archive} holds more than {MAX_FILES:,} files")
        parts = _safe_parts(archive, name)[strip:]
        if not parts:
            continue
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_member() as content, open(target, "wb") as file:
            while data := content.read(1 << 20):
                left -= len(data)
                if left < 0:
                    raise UnsafeArchiveError(
                        f"{archive} unpacks to more than {limit / 1e6:,.0f} MB: stopped"
                    )
                file.write(data)


def _members(archive: Path) -> Iterator[tuple[str, Callable[[], IO]]]:
    """Name and opener of each file in an archive; folders are made as needed."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise UnsafeArchiveError(f"{archive}: {info.filename} is a link")
                if not info.is_dir():
                    yield info.filename, lambda info=info: file.open(info)
        return
    with tarfile.open(archive) as file:
        for member in file:
            if member.isdir():
                _safe_parts(archive, member.name)
            elif member.isreg():
                yield member.name, lambda member=member: file.extractfile(member)
            else:
                raise UnsafeArchiveError(f"{archive}: {member.name} is a link or a device")


def _safe_parts(archive: Path, name: str) -> list[str]:
    """The parts of a name in an archive that stays inside its folder."""
    clean = name.replace("\\", "/")
    parts = [part for part in PurePosixPath(clean).parts if part != "."]
    if clean.startswith("/") or ".." in parts or any(":" in part or "\0" in part for part in parts):
        raise UnsafeArchiveError(f"{archive}: the name {name!r} leads outside its folder")
    return parts


def _move(path: Path, target: Path) -> None:
    """Move a file or folder, into a folder that may be there."""
    if path.is_dir() and target.is_dir():
        for child in list(path.iterdir()):
            _move(child, target / child.name)
    else:
        os.replace(path, target)

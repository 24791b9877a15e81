"""Fetch a dataset: announced, checked, unpacked so that nothing lands outside its folder."""

import json
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pooch
import requests

from colorkit.data.cards import Card, data_root, size_text
from colorkit.files import locked, write_whole

TIMEOUT = 10.0, 30.0  # seconds to connect, and between two pieces of data
# What to do where the network is there but something between fails; a kind before its base.
REMEDIES = {
    requests.exceptions.SSLError: "its certificate is not trusted: set REQUESTS_CA_BUNDLE to the "
    "file of your organisation's, or correct this machine's clock",
    requests.exceptions.ProxyError: "the proxy that HTTPS_PROXY or HTTP_PROXY names does not "
    "answer: correct or unset them",
    requests.exceptions.ConnectionError: "is there a network?",
}


def fetch(card: Card, root: Path | None = None, say: Callable[[str], None] = print) -> Path:
    """Fetch a dataset unless it is there; return its folder.

    Says size, free disk and licence before anything is downloaded. A RuntimeError if that does not
    work, or what arrives has another checksum than the card's; an OSError where the disk is too
    small; a FileNotFoundError that says what to do, if a set is to be fetched by hand.
    """
    root = root or data_root() / card.name
    if card.kind == "made":
        raise ValueError(f"{card.name} is drawn by code: there is nothing to fetch")
    if card.by_hand:
        if not (root / card.marker).exists():
            raise FileNotFoundError(f"{card.name} is fetched by hand. {card.instructions()}")
        return root
    root.mkdir(parents=True, exist_ok=True)
    with locked(root):
        record = root / "fetched.json"  # SHA-256 of what was fetched, by address
        sums = json.loads(record.read_bytes()) if record.exists() else {}
        missing = []
        for file in card.files:
            name = file["url"].rpartition("/")[2]
            place = root / file.get("marker", f"{file.get('to', '.')}/{name}")
            if file["url"] not in sums or not place.exists():
                missing.append(file)
        if missing:
            needed, free = card.size_mb + card.unpacked_mb, shutil.disk_usage(root).free / 1e6
            say(
                f"{card.title}\n  download {size_text(card.size_mb)}, unpacked about "
                f"{size_text(card.unpacked_mb or card.size_mb)}, free disk {size_text(free)}\n"
                f"  licence: {card.licence}\n  allows: {card.allows}\n  to {root}"
            )
            if free < needed:
                raise OSError(
                    f"{root} has {size_text(free)} free, {card.name} needs {size_text(needed)}: "
                    "make room, or set COLORKIT_DATA to a folder on a larger disk"
                )
        for file in missing:
            url = file["url"]
            known = file["checksum"] or (f"sha256:{sums[url]}" if url in sums else None)
            archive = download(card.name, url, root / file.get("to", "."), known)
            if known is None:
                say(f"no checksum is published for {archive.name}: recorded what arrived")
            sums[url] = pooch.file_hash(archive)
            if "unpack" in file:
                limit = card.unpacked_mb * 2e6 or 20 * archive.stat().st_size
                unpack(archive, root / file["unpack"], limit)
                archive.unlink()
            write_whole(record, json.dumps(sums, indent=1))
    return root


def download(dataset: str, url: str, folder: Path, checksum: str | None) -> Path:
    """Fetch a file, with a progress bar, and a second and third try; return its path.

    pooch writes beside, compares the checksum ("md5:..." or "sha256:..."), and renames.
    """
    name = url.rpartition("/")[2]
    pooch.get_logger().setLevel("WARNING")
    fetcher = pooch.create(
        folder, "", registry={name: checksum}, urls={name: url}, retry_if_failed=2
    )
    transfer = pooch.HTTPDownloader(progressbar=True, chunk_size=1 << 18, timeout=TIMEOUT)
    try:
        return Path(fetcher.fetch(name, downloader=transfer))
    except (requests.RequestException, ValueError) as error:
        found = [text for kind, text in REMEDIES.items() if isinstance(error, kind)]
        remedy = f"; {found[0]}" if found else ""
        raise RuntimeError(
            f"{dataset} could not be fetched from {url} ({error}){remedy}; without it, use a made "
            "world (colorkit data show orchard) or a folder of your own"
        ) from error


def unpack(archive: Path, folder: Path, limit: float) -> None:
    """Unpack a tar or zip archive into a folder, whole or not at all.

    A ValueError if it is no archive, is damaged, holds more bytes than the limit, or wants to write
    outside its folder.
    """
    if not hasattr(tarfile, "data_filter"):
        raise RuntimeError("unpacking archives safely needs Python 3.11.4 or later")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=folder) as temporary:
        try:
            is_zip = zipfile.is_zipfile(archive)
            with zipfile.ZipFile(archive) if is_zip else tarfile.open(archive) as content:
                members = content.infolist() if is_zip else content.getmembers()
                size = sum(m.file_size if is_zip else m.size for m in members)
                if size > limit:
                    raise ValueError(
                        f"{archive} unpacks to {size / 1e6:,.0f} MB, more than {limit / 1e6:,.0f}"
                    )
                # zipfile cuts names that lead outside, and makes no links.
                content.extractall(temporary, **({} if is_zip else {"filter": "data"}))
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            if getattr(error, "errno", None) is not None:
                raise
            raise ValueError(
                f"{archive} is damaged or unsafe ({error}): delete it and fetch it again"
            ) from error
        shutil.copytree(temporary, folder, copy_function=os.replace, dirs_exist_ok=True)

"""Image files of any kind, decoded into upright 8-bit sRGB.

Without torch, so that the processes that prepare a large folder start quickly.
"""

import io
import os
import re
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageFile, ImageOps, PngImagePlugin, UnidentifiedImageError

try:
    from pillow_heif import register_heif_opener
except ImportError:  # HEIC is then named, with this remedy
    HEIC = "HEIC, as telephones make it: python -m pip install pillow-heif, or save it as JPEG"
else:
    register_heif_opener()
    HEIC = ""

MAX_PIXELS = 120_000_000  # above the 108 megapixels of a telephone; 360 MB as RGB
GAP = 2.0  # how much larger than asked for a JPEG is decoded before it is resampled

RAW = "a camera's raw file, of which only a thumbnail could be read: develop it into a JPEG or PNG"
HDR = "high dynamic range, whose brightness is not that of a screen: save it as a plain JPEG or PNG"
_RAW_NAMES = re.compile(
    r"\.(3fr|arw|cr2|cr3|dng|erf|iiq|kdc|mef|mos|mrw|nef|nrw|orf|pef|raf|rw2|rwl|sr2|srf|srw|x3f)$",
    re.IGNORECASE,
)

# How a complete file of the format begins, and what stands near its end.
_ENDINGS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG\r\n\x1a\n": b"IEND", b"GIF8": b";"}


class ImageError(ValueError):
    """A file that is no usable picture: its name, a verdict of the audit, and what to do."""

    def __init__(self, path: str | Path, verdict: str, reason: str) -> None:
        super().__init__(path, verdict, reason)
        self.verdict, self.reason = verdict, reason

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.reason}"


def decode(image: Image.Image, size: int | None = None) -> Image.Image:
    """An opened picture as upright RGB in sRGB; with a size, its centre square of that side.

    Rotation follows EXIF; transparent parts are laid on white; of an animation the first frame is
    taken; 16 bits are scaled to 8; CMYK, Lab and any embedded colour profile become sRGB. A square
    is cropped and resampled in one pass over a JPEG that is decoded no larger than needed, which
    takes a fraction of the time where a photograph is large.
    """
    adobe = _is_adobe_rgb(image)
    if size is None:
        return _to_srgb(_plain(_turned(image)), adobe)
    image.draft(None, tuple(round(side * GAP * size / min(image.size)) for side in image.size))
    pixels = _plain(_turned(image))
    side = min(pixels.size)
    left, top = (pixels.width - side) / 2, (pixels.height - side) / 2
    box = (left, top, left + side, top + side)
    small = pixels.resize((size, size), Image.Resampling.LANCZOS, box, reducing_gap=GAP)
    small.info = pixels.info
    return _to_srgb(small, adobe)


def decode_layers(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """An opened picture whole, as `decode` reads it, but with its alpha kept apart, and its depth.

    Colours are uint8 (H, W, 3), or float32 (H, W, 1) in [0, 1] where gray has more than 8 bits;
    alpha is uint8 (H, W), or None where every pixel is opaque by its format.
    """
    adobe, turned = _is_adobe_rgb(image), _turned(image)
    if _is_deep(turned.mode):
        return _gray_values(turned)[..., None], None
    plain = _plain(turned)
    alpha = np.array(plain.getchannel("A")) if plain.mode == "RGBA" else None
    colours = plain.convert("RGB") if plain.mode == "RGBA" else plain
    return np.array(_to_srgb(colours, adobe)), alpha


def open_image(path: str | Path) -> Image.Image:
    """Open a file without decoding it; format and size are checked. To be used in `explained`."""
    with open(path, "rb") as file:
        start = file.read(2**16)
    if reason := _not_read_here(str(path), start):
        raise ImageError(path, "unsupported", reason)
    image = Image.open(path)
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise Image.DecompressionBombError(f"{image.width} x {image.height}")
    # A raw file under the name of a TIFF: 50706 is its version of DNG, 254 says "thumbnail".
    if image.format == "TIFF" and (50706 in image.tag_v2 or image.tag_v2.get(254) == 1):
        image.close()
        raise ImageError(path, "unsupported", RAW)
    return image


def _not_read_here(name: str, start: bytes) -> str:
    """Why a sound picture is not read, by its name and first bytes; empty where Pillow may try."""
    plain = start.startswith(tuple(_ENDINGS))
    if (_RAW_NAMES.search(name) and not plain) or start[8:10] == b"CR":
        return RAW
    if start.startswith((b"#?R", b"v/1\x01")):  # Radiance, OpenEXR
        return HDR
    if start.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "JPEG XL, which Pillow does not read: save it as JPEG or PNG"
    brands = start[8 : int.from_bytes(start[:4])] if start[4:8] == b"ftyp" else b""
    if re.search(b"hei[cxms]|hev[cx]", brands) and HEIC:
        return HEIC
    # Code points of ITU-T H.273: the second is the transfer function, 16 is PQ and 18 is HLG.
    curve = b"cICP.(.)" if start.startswith(b"\x89PNG") else b"colrnclx..\0(.)" if brands else b"$^"
    found = re.search(curve, start, re.DOTALL)
    return HDR if found and found[1][0] in (16, 18) else ""


@contextmanager
def explained(path: str | Path) -> Iterator[None]:
    """Turn whatever a decoder raises in the block into one ImageError that names the file.

    Within it Pillow's switches, which hold for the whole process, are as they have to be here:
    what a program has set elsewhere changes no verdict, and its own pictures are read as before.
    """
    switches = [
        (ImageFile, "LOAD_TRUNCATED_IMAGES", False),
        (Image, "MAX_IMAGE_PIXELS", None),  # open_image looks at the size
        (PngImagePlugin, "MAX_TEXT_CHUNK", 2**26),  # profiles and metadata may be megabytes
        (PngImagePlugin, "MAX_TEXT_MEMORY", 2**28),
    ]
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = [getattr(module, name) for module, name, _ in switches]
        try:
            for module, name, value in switches:
                setattr(module, name, value)
            yield
        except ImageError:
            raise
        except Exception as error:
            raise ImageError(path, *_diagnose(path, error)) from error
        finally:
            for (module, name, _), value in zip(switches, before, strict=True):
                setattr(module, name, value)


_ONE_AT_A_TIME = threading.RLock()


def _diagnose(path: str | Path, error: Exception) -> tuple[str, str]:
    """Verdict and reason for an exception raised while a picture was decoded."""
    if isinstance(error, OSError) and error.errno is not None:
        return "no access", f"cannot be read: {error.strerror}"
    if isinstance(error, Image.DecompressionBombError):
        most = f"more than {MAX_PIXELS // 10**6} megapixels once decoded"
        return "bomb", f"{most}: scale it down with an image editor if you trust it"
    if isinstance(error, MemoryError):
        return "unreadable", "too large for the memory of this machine: scale it down"
    what = f"its data is damaged ({error}): copy or download it again"
    if not os.path.isfile(path):
        return "unreadable", what
    with open(path, "rb") as file:
        start = file.read(512)
        file.seek(max(0, file.seek(0, io.SEEK_END) - 512))
        end = file.read()
    cut = any(start.startswith(magic) and mark not in end for magic, mark in _ENDINGS.items())
    if cut or (start and "truncated" in str(error).lower()):
        return "truncated", "the file is cut off before its end: copy or download it again"
    if not start:
        what = "the file is empty (0 bytes): copy or download it again"
    elif isinstance(error, UnidentifiedImageError):
        what = "no picture in a format that Pillow knows: save it as JPEG or PNG, or remove it"
        if start.lstrip()[:1] == b"<":
            what = "this is a web page, not a picture: a download that failed? Fetch it again"
        elif start[4:8] == b"ftyp":
            what = "a film, or a format that Pillow cannot decode: save it as JPEG or PNG"
    return "unreadable", what


def _turned(image: Image.Image) -> Image.Image:
    """Load a picture and turn it as EXIF says, in place."""
    image.load()
    with suppress(Exception):  # a broken tag: viewers show such a picture as it is
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _is_deep(mode: str) -> bool:
    return mode.startswith("I") or mode == "F"


def _gray_values(image: Image.Image) -> np.ndarray:
    """A gray picture of 16 or 32 bits: float32 (H, W) in [0, 1].

    16 bits are divided by 65535; floating numbers may be in [0, 1] or [0, 255].
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)
    top = float(values.max(initial=0))
    full = 65535 if image.mode != "F" else 1 if top <= 1 else 255
    return (values / max(full, top)).clip(0, 1)


def _plain(image: Image.Image) -> Image.Image:
    """Palettes, 1, 16 and 32 bits a channel become L, RGB or RGBA; other modes stay."""
    mode = image.mode
    if _is_deep(mode):
        return Image.fromarray((_gray_values(image) * 255 + 0.5).astype("u1"))
    if image.has_transparency_data:
        plain = "RGBA"
    else:
        plain = {"1": "L", "P": "RGB", "HSV": "RGB", "YCbCr": "RGB", "RGBX": "RGB"}.get(mode, mode)
    if plain == mode:
        return image
    converted = image.convert(plain)
    converted.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return converted


def _is_adobe_rgb(image: Image.Image) -> bool:
    """Whether EXIF alone says so, as cameras do that embed no profile (DCF 2.0: R03)."""
    with suppress(Exception):  # a broken tag
        return image.getexif().get_ifd(0xA005).get(1) == "R03"
    return False


@cache
def _adobe_rgb() -> bytes:
    """The profile of Adobe RGB (1998): that of sRGB with other primaries, for D50, and gamma."""
    primaries = {
        b"rXYZ": (0.60974, 0.31111, 0.01947),
        b"gXYZ": (0.20528, 0.62567, 0.06087),
        b"bXYZ": (0.14919, 0.06322, 0.74457),
    }
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for entry in range(132, 132 + 12 * int.from_bytes(profile[128:132]), 12):
        name, place = struct.unpack_from(">4sI", profile, entry)
        if name in primaries:
            numbers = (round(x * 65536) for x in primaries[name])
            struct.pack_into(">3i", profile, place + 8, *numbers)
        elif name.endswith(b"TRC"):
            struct.pack_into(">4sIIH", profile, place, b"curv", 0, 1, 563)  # of 256
    return bytes(profile)


def _to_srgb(image: Image.Image, adobe: bool) -> Image.Image:
    """A picture of a plain mode as RGB in sRGB, transparent parts on white."""
    profile = image.info.get("icc_profile") or (b"LAB" if image.mode == "LAB" else None)
    if not profile and adobe and image.mode in ("RGB", "RGBA"):
        profile = _adobe_rgb()
    if profile and image.mode in ("RGB", "RGBA", "CMYK", "LAB", "L"):
        transform = _transform(profile, image.mode)
        image = image if transform is None else ImageCms.applyTransform(image, transform)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; None: it is sRGB, or broken and ignored, as viewers do.

    Whether a profile is sRGB is seen in what it does to a grid of colours: its name may lie.
    """
    try:
        if profile == b"LAB":
            source = ImageCms.createProfile("LAB")
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb, to = ImageCms.createProfile("sRGB"), "RGBA" if mode == "RGBA" else "RGB"
        transform = ImageCms.buildTransform(source, srgb, mode, to)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if mode in ("CMYK", "LAB"):
        return transform
    grid = np.indices((9, 9, 9), np.uint8).reshape(1, 3, -1).transpose(0, 2, 1) * 31
    colours = Image.fromarray(np.ascontiguousarray(grid)).convert(mode)
    pair = colours, ImageCms.applyTransform(colours, transform)
    before, after = (np.asarray(x.convert("RGB"), int) for x in pair)
    return transform if np.abs(after - before).max() > 2 else None

"""Image files of any kind, decoded into upright 8-bit sRGB.

Without torch, so that the processes that prepare a large folder start quickly.
"""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

MAX_PIXELS = 120_000_000  # above the 108 megapixels of a telephone; 360 MB as RGB
GAP = 2.0  # how much larger than asked for a JPEG is decoded before it is resampled

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
    if size is None:
        return _to_srgb(_upright(image))
    image.draft(None, tuple(round(side * GAP * size / min(image.size)) for side in image.size))
    pixels = _upright(image)
    side = min(pixels.size)
    left, top = (pixels.width - side) / 2, (pixels.height - side) / 2
    box = (left, top, left + side, top + side)
    small = pixels.resize((size, size), Image.Resampling.LANCZOS, box, reducing_gap=GAP)
    small.info = pixels.info
    return _to_srgb(small)


def open_image(path: str | Path) -> Image.Image:
    """Open a file without decoding it; the size is checked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own limit warns at 89 megapixels
        image = Image.open(path)
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise Image.DecompressionBombError(f"{image.width} x {image.height}")
    return image


@contextmanager
def explained(path: str | Path) -> Iterator[None]:
    """Turn whatever a decoder raises in the block into one ImageError that names the file."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(path, *_diagnose(path, error)) from error


def _diagnose(path: str | Path, error: Exception) -> tuple[str, str]:
    """Verdict and reason for an exception raised while a picture was decoded."""
    if isinstance(error, OSError) and error.errno is not None:
        return "unreadable", f"cannot be read: {error.strerror}"
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
            what = "a format that Pillow cannot decode here (HEIC?): save it as JPEG or PNG"
    return "unreadable", what


def _upright(image: Image.Image) -> Image.Image:
    """Load and turn a picture; palettes, 1, 16 and 32 bits a channel become L, RGB or RGBA."""
    image.load()
    with suppress(Exception):  # a broken tag: viewers show such a picture as it is
        ImageOps.exif_transpose(image, in_place=True)
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        # 16 bits are divided by 257; numbers may be in [0, 1] or [0, 255].
        values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)
        top = float(values.max(initial=0))
        full = 65535 if mode != "F" else 1 if top <= 1 else 255
        return Image.fromarray((values * (255 / max(full, top)) + 0.5).clip(0, 255).astype("u1"))
    if image.has_transparency_data:
        plain = "RGBA"
    else:
        plain = {"1": "L", "P": "RGB", "HSV": "RGB", "YCbCr": "RGB", "RGBX": "RGB"}.get(mode, mode)
    if plain == mode:
        return image
    converted = image.convert(plain)
    converted.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return converted


def _to_srgb(image: Image.Image) -> Image.Image:
    """A picture of a plain mode as RGB in sRGB, transparent parts on white."""
    profile = image.info.get("icc_profile") or (b"LAB" if image.mode == "LAB" else None)
    if profile and image.mode in ("RGB", "RGBA", "CMYK", "LAB", "L"):
        transform = _transform(profile, image.mode)
        image = image if transform is None else ImageCms.applyTransform(image, transform)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; None: nothing to do, or broken: ignored, as viewers do."""
    try:
        if profile == b"LAB":
            source = ImageCms.createProfile("LAB")
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" in (source.profile.profile_description or "").lower():
                return None
        srgb, to = ImageCms.createProfile("sRGB"), "RGBA" if mode == "RGBA" else "RGB"
        return ImageCms.buildTransform(source, srgb, mode, to)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None

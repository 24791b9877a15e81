"""Image files of any kind, decoded into upright 8-bit sRGB.

torch is imported only where a tensor is made: the processes that prepare a large folder decode
without it and so start quickly.
"""

from __future__ import annotations

import io
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

if TYPE_CHECKING:
    import torch

MAX_PIXELS = 120_000_000  # above the 108 megapixels of a telephone; 360 MB as RGB
GAP = 2.0  # how much larger than asked for a JPEG is decoded before it is resampled

_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# How a complete file of the format begins, and what stands near its end.
_ENDINGS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG\r\n\x1a\n": b"IEND", b"GIF8": b";"}


class ImageError(ValueError):
    """A file that is no usable picture.

    Attributes
    ----------
    verdict : str
        ``"unreadable"``, ``"truncated"`` or ``"bomb"``.
    reason : str
        What is wrong, without the file's name.
    """

    def __init__(self, path: str | Path, verdict: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.verdict, self.reason = path, verdict, reason

    def __reduce__(self) -> tuple:
        return ImageError, (self.path, self.verdict, self.reason)


def read_rgb(path: str | Path) -> torch.Tensor:
    """An image file as an RGB picture.

    See :func:`decode` for what is done about rotation, transparency, depth and colour profiles.

    Returns
    -------
    Tensor
        (1, 3, H, W), uint8 in 0..255.

    Raises
    ------
    ImageError
        If the file is no picture, is cut off, or is absurdly large; a ValueError.
    OSError
        If there is no such file, or it may not be read.
    """
    import torch

    pixels = np.array(decode(path))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


def decode(path: str | Path) -> Image.Image:
    """An image file as an upright Pillow picture of mode RGB in sRGB.

    Rotation follows EXIF; transparent parts are laid on white; of an animation the first frame is
    taken; 16 bits are scaled to 8; CMYK, Lab and any embedded colour profile become sRGB.

    Raises
    ------
    ImageError, OSError
        As :func:`read_rgb`.
    """
    with naming(path), open_image(path) as image:
        return upright(to_srgb(plain_mode(image)), image)


def decode_square(path: str | Path, size: int) -> tuple[Image.Image, tuple[int, int]]:
    """The centre square of an image file, `size` x `size`, and the file's own (width, height).

    Cropping and resampling are one pass over a JPEG that is decoded no larger than needed, so that
    this takes a fraction of the time of :func:`decode` on a large photograph.

    Raises
    ------
    ImageError, OSError
        As :func:`read_rgb`.
    """
    with naming(path), open_image(path) as image:
        return square(image, size), image_size(image)


def square(image: Image.Image, size: int) -> Image.Image:
    """The centre square of an opened picture, upright, in sRGB, `size` x `size`."""
    full = image_size(image)
    image.draft(None, tuple(round(side * GAP * size / min(full)) for side in full))
    pixels = plain_mode(image)
    width, height = pixels.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    small = pixels.resize((size, size), Image.Resampling.LANCZOS, box, reducing_gap=GAP)
    small.info = image.info
    return upright(to_srgb(small), image)


def image_size(image: Image.Image) -> tuple[int, int]:
    """Width and height in the file, also after the picture was opened at a reduced scale."""
    return getattr(image, "full_size", image.size)


def open_image(path: str | Path) -> Image.Image:
    """Open a file without decoding it; the size is checked.

    Raises
    ------
    ImageError
        If it is no picture that Pillow knows, or has more than 120 megapixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own limit warns at 89 megapixels
        image = Image.open(path)
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise Image.DecompressionBombError(f"{image.width} x {image.height}")
    image.full_size = image.size
    return image


# --- what goes wrong ------------------------------------------------------------------------------


class naming:
    """Turn whatever a decoder raises into one ImageError that names the file."""

    def __init__(self, path: str | Path, is_file: bool = True) -> None:
        self.path, self.is_file = path, is_file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        if error is None or isinstance(error, ImageError) or not isinstance(error, Exception):
            return
        if isinstance(error, OSError) and error.errno is not None:
            raise error  # the system names the file: no such file, no permission
        if not self.is_file:
            raise ImageError(self.path, "unreadable", f"its data is damaged ({error})") from error
        raise ImageError(self.path, *_diagnose(self.path, error)) from error


def _diagnose(path: str | Path, error: Exception) -> tuple[str, str]:
    """Verdict and reason for an exception raised while a file was decoded."""
    if isinstance(error, Image.DecompressionBombError):
        return "bomb", (
            f"more than {MAX_PIXELS // 10**6} megapixels once decoded: scale it down "
            "with an image editor if you trust it"
        )
    if isinstance(error, MemoryError):
        return "unreadable", "too large for the memory of this machine: scale it down"
    start, end = _ends(path)
    if not start:
        return "unreadable", "the file is empty (0 bytes): copy or download it again"
    endings = [mark for magic, mark in _ENDINGS.items() if start.startswith(magic)]
    if "truncated" in str(error).lower() or (endings and endings[0] not in end):
        return "truncated", "the file is cut off before its end: copy or download it again"
    if isinstance(error, UnidentifiedImageError):
        return "unreadable", _no_picture(start)
    return "unreadable", f"its data is damaged ({error}): copy or download it again"


def _ends(path: str | Path, length: int = 512) -> tuple[bytes, bytes]:
    with open(path, "rb") as file:
        start = file.read(length)
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - length))
        return start, file.read()


def _no_picture(start: bytes) -> str:
    if start.lstrip()[:1] == b"<":
        return "this is a web page, not a picture: a download that failed? Fetch it again"
    if start[4:8] == b"ftyp":
        return "a format that Pillow cannot decode here (HEIC?): save it as JPEG or PNG"
    return "no picture in a format that Pillow knows: save it as JPEG or PNG, or remove it"


# --- modes, colours and rotation ------------------------------------------------------------------


def plain_mode(image: Image.Image) -> Image.Image:
    """Load a picture; palettes, 1, 16 and 32 bits a channel become L, RGB or RGBA of 8 bits."""
    image.load()
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return _to_8_bits(image)
    if mode in ("P", "PA") or (mode in ("1", "L", "RGB") and "transparency" in image.info):
        return _keep(image, image.convert("RGBA" if image.has_transparency_data else "RGB"))
    if mode in ("1", "HSV", "YCbCr", "RGBX"):
        return _keep(image, image.convert("L" if mode == "1" else "RGB"))
    if mode in ("LA", "La", "RGBa"):
        return _keep(image, image.convert("RGBA"))
    return image


def _keep(image: Image.Image, converted: Image.Image) -> Image.Image:
    converted.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return converted


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Deep gray to 8 bits: 16 bits divided by 257; a float picture may be in [0, 1] or [0, 255]."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)
    top = float(values.max(initial=0))
    if image.mode == "F":
        scale = 255 if top <= 1 else 1 if top <= 255 else 255 / top
    else:
        scale = 1 / 257 if top <= 65535 else 255 / top
    return Image.fromarray((values * scale + 0.5).clip(0, 255).astype(np.uint8))


def to_srgb(image: Image.Image) -> Image.Image:
    """A picture of a plain mode as RGB in sRGB, transparent parts on white."""
    image = _apply_profile(image)
    if image.mode == "RGBA":
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _apply_profile(image: Image.Image) -> Image.Image:
    """Convert by the embedded profile; a broken profile is ignored, as viewers do."""
    profile = image.info.get("icc_profile") or (b"LAB" if image.mode == "LAB" else None)
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK", "LAB", "L"):
        return image
    to = "RGBA" if image.mode == "RGBA" else "RGB"
    transform = _transform(profile, image.mode, to)
    return image if transform is None else ImageCms.applyTransform(image, transform)


@lru_cache(maxsize=64)
def _transform(
    profile: bytes, mode: str, to: str
) -> ImageCms.ImageCmsTransform | None:  # None: nothing to do, or no usable profile
    srgb = ImageCms.createProfile("sRGB")
    try:
        if profile == b"LAB":
            source = ImageCms.createProfile("LAB")
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" in (source.profile.profile_description or "").lower():
                return None
        return ImageCms.buildTransform(source, srgb, mode, to)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def upright(image: Image.Image, opened: Image.Image) -> Image.Image:
    """Turn a picture as the EXIF tag of the `opened` file says; a broken tag is ignored."""
    try:
        orientation = opened.getexif().get(_ORIENTATION)
    except Exception:  # any parser error: viewers show such a picture as it is
        return image
    return image.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else image

"""Photographs of any size: colour is predicted small, enlarged, and joined with L as it was.

The eye resolves colour coarsely, and a network knows things at about the size at which it has seen
them. L carries the detail: it stays at full size, and is not touched.
"""

import inspect
import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageCms
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2.functional import resize
from tqdm.auto import tqdm

from colorkit.color import check_tensor, fit_gamut, join_lab, lab_to_rgb, rgb_to_lab
from colorkit.data.images import ImageError, decode_layers, explained, open_image
from colorkit.data.sources import FileItem, open_source
from colorkit.data.verdicts import NEAR_GRAY, OK, THUMB, judge
from colorkit.files import write_whole
from colorkit.models import Colorizer, load_colorizer

FORMATS = {  # without loss, for JPEG moves L by up to 4 at quality 95
    "PNG": {},
    "TIFF": {"compression": "tiff_deflate"},
    "WEBP": {"lossless": True},
}
_AT_ONCE = 2**18  # pixels of a strip
Picture = str | os.PathLike | Image.Image | Tensor


def colorize(picture: Picture, model: str | os.PathLike | Colorizer = "photographs", **options):
    """Give a photograph colours, whatever colours it has.

    Parameters
    ----------
    picture : path, PIL image, or Tensor
        Of any size, mode and depth; a tensor is RGB (3, H, W) or (N, 3, H, W).
    model : str, path or Colorizer
        What `colorkit.models.load_colorizer` takes, or what it gives.
    temperature : float, optional
        Of a classifier: near 0 the most likely colours, at 1 the mean of all.
    samples : int, optional
        The result is a list of so many possible colourings, drawn from a classifier or a flow.
    hints : list of dict, optional
        Colours that are known, as in `hint_planes`, for a model that takes hints.

    Returns
    -------
    PIL image or Tensor
        A tensor for a tensor, of its shape and dtype; else an upright image in 8-bit sRGB, with the
        picture's alpha. L is off by at most 0.25, the rounding to bytes; by 0.1 in floats.
    """
    net = load_colorizer(model) if isinstance(model, str | os.PathLike) else model
    check_options(net, **options)
    if isinstance(picture, Tensor):
        rgb, alpha = picture if picture.ndim == 4 else picture[None], None
        check_tensor(rgb, "RGB", 3)
        found = [x.view(picture.shape) for x in paintings(net, rgb, alpha, **options)]
    else:
        rgb, alpha = read(picture)
        found = [as_image(x, alpha) for x in paintings(net, rgb, alpha, **options)]
    return found if options.get("samples") else found[0]


def check_options(net: Colorizer, temperature=None, samples=None, hints=None) -> None:
    """A ValueError where the model cannot do what is asked for."""
    known = inspect.signature(getattr(net, "predict", net.colorize)).parameters
    name = type(net).__name__
    if hints is not None and "hints" not in known:
        raise ValueError(f"a {name} takes no hints: take a model that was trained with them")
    if samples and not hasattr(net, "samples"):
        raise ValueError(f"a {name} has one answer and no samples: take photographs or flow")
    if temperature is not None and (samples or "temperature" not in known):
        raise ValueError(f"a temperature is for the one answer of a Classifier, not for a {name}")


def read(picture: str | os.PathLike | Image.Image) -> tuple[Tensor, Tensor | None]:
    """RGB in bytes (1, 3, H, W), or deep gray in floats (1, 1, H, W); alpha (1, 1, H, W) if any."""
    if isinstance(picture, Image.Image):
        colours, alpha = decode_layers(picture.copy())
    else:
        with explained(picture), open_image(picture) as image:
            colours, alpha = decode_layers(image)
    alpha = None if alpha is None else torch.from_numpy(alpha)[None, None]
    return torch.from_numpy(colours).permute(2, 0, 1)[None], alpha  # a view: channels last


def as_image(rgb: Tensor, alpha: Tensor | None) -> Image.Image:
    """Bytes (1, 3, H, W), and alpha, as an image that says that it is sRGB."""
    image = Image.fromarray(rgb[0].permute(1, 2, 0).numpy())
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha[0, 0].numpy()))
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return image


def small_view(rgb: Tensor, alpha: Tensor | None = None, side: int = Colorizer.side) -> Tensor:
    """What the model sees: Lab (N, 3, h, w) of at most `side` pixels, alpha laid on white."""
    scale = min(1, side / max(rgb.shape[2:]))
    size = [max(1, round(side * scale)) for side in rgb.shape[2:]]
    planes = [resize(x, size, antialias=True) for x in (rgb, alpha) if x is not None]
    seen, *cover = (x / 255 if x.dtype == torch.uint8 else x.clamp(0, 1) for x in planes)
    for share in cover:
        seen = 1 - share * (1 - seen)
    return rgb_to_lab(seen.expand(-1, 3, -1, -1))


def has_colours(rgb: Tensor, alpha: Tensor | None = None) -> bool:
    """Whether one picture has colours, by the rules of `colorkit data audit`."""
    lab = resize(small_view(rgb, alpha), [THUMB, THUMB], antialias=True)
    thumbs = (lab_to_rgb(lab) * 255).round().byte().movedim(1, 3)
    [(verdict, _)] = judge(thumbs.numpy(), lab.numpy())
    return verdict == OK or (verdict == "flat" and bool(lab[:, 1:].norm(dim=1).mean() > NEAR_GRAY))


def paintings(
    net: Colorizer, rgb: Tensor, alpha: Tensor | None, temperature=None, samples=None, hints=None
) -> Iterator[Tensor]:
    """The picture in the model's colours; in N samples one after the other, for they are large."""
    L, options = small_view(rgb, alpha, net.side)[:, :1], {}
    if temperature is not None:
        options["temperature"] = temperature
    if hints is not None:
        options["hints"] = hint_planes(hints, rgb.shape[2:], L.shape[2:])
    for ab in net.samples(L, samples) if samples else [net.colorize(L, **options)]:
        yield at_full_size(rgb, ab)


def at_full_size(rgb: Tensor, ab: Tensor) -> Tensor:
    """The L of RGB (N, 3, H, W), or of gray (N, 1, H, W), in small colours ab (N, 2, h, w).

    They are enlarged bilinearly, and what sRGB cannot show at the L of a pixel goes through
    `fit_gamut`. All is done in strips, so that memory holds no second picture in floats. RGB in
    floats gives floats, anything else bytes.
    """
    (height, width), h = rgb.shape[2:], ab.shape[2]
    dtype = rgb.dtype if rgb.shape[1] == 3 else torch.uint8
    out = rgb.new_empty(len(rgb), height, width, 3, dtype=dtype).movedim(3, 1)
    wide = F.interpolate(ab.to(rgb.device), (h, width), mode="bilinear")
    for rows in torch.arange(height, device=rgb.device).split(max(1, _AT_ONCE // width)):
        at = ((rows + 0.5) * (h / height) - 0.5).clamp(0, h - 1)
        above, below = wide[:, :, at.floor().long()], wide[:, :, at.ceil().long()]
        L = rgb_to_lab(rgb[:, :, rows].expand(-1, 3, -1, -1))[:, :1]
        colours = fit_gamut(L, torch.lerp(above, below, at.frac()[:, None]))
        strip = lab_to_rgb(join_lab(L, colours))
        out[:, :, rows] = (strip if dtype.is_floating_point else (strip * 255).round()).to(dtype)
    return out


def hint_planes(hints: Sequence[dict], size: Sequence[int], small: Sequence[int]) -> Tensor:
    """Hints on a picture of `size` (H, W) as ab and mask (1, 3, h, w) on its small view.

    A hint is {"x": 410, "y": 260, "rgb": [200, 40, 50]}, in pixels of the upright picture from its
    upper left corner, or has "ab": [50, 30] for "rgb". It reaches as far as its "radius" in pixels,
    by default 1.5 pixels of the small view. Later hints cover earlier ones.
    """
    planes = torch.zeros(1, 3, *small)
    step_y, step_x = (many / few for many, few in zip(size, small, strict=True))
    y, x = ((torch.arange(n) + 0.5) * s - 0.5 for n, s in zip(small, (step_y, step_x), strict=True))
    for hint in hints:
        try:
            px, py, radius = hint["x"], hint["y"], hint.get("radius", 1.5 * max(step_x, step_y))
            ab = torch.tensor(hint["ab"] if "ab" in hint else hint["rgb"], dtype=torch.float32)
            if "ab" not in hint:
                ab = rgb_to_lab(ab.view(1, 3, 1, 1) / 255)[0, 1:].flatten()
            if not (0 <= px < size[1] and 0 <= py < size[0] and radius >= 0 and ab.norm() < 150):
                raise ValueError(f"outside the {size[1]} x {size[0]} pixels, or no colour")
            reached = (x - px) ** 2 + (y[:, None] - py) ** 2 <= radius**2
            reached[int(py / step_y), int(px / step_x)] = True
            planes[0, :2, reached], planes[0, 2, reached] = ab.view(2, 1), 1
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
            form = '{"x": 10, "y": 20, "rgb": [200, 40, 50]}, or with "ab": [50, 30]'
            raise ValueError(f"{hint!r} is no hint here ({error!r}): give {form}") from error
    return planes


def colorize_files(
    pictures: Sequence[Path], out: Path, model: str, force: bool = False, **options
) -> int:
    """Colour files and folders into the folder `out`, and say of each what became of it.

    The options are those of `colorize`. Unless `force` is set, what has colours and what is in
    `out` already is passed over. Returns how many could not be read.
    """
    net, lost, todo = load_colorizer(model), [], []
    check_options(net, **options)
    for path in pictures:
        if not path.is_dir():
            todo.append((path, Path(path.name)))
            continue
        source = open_source(path)
        closed = [record for record in source.aside if record[1] == "no access"]
        lost += [f"{path / name}: {reason}" for name, _, reason in closed]
        has_results = path.resolve() in out.resolve().parents  # of an earlier run, perhaps
        for file in (Path(item.path) for item in source.items if isinstance(item, FileItem)):
            if not (has_results and out.resolve() in file.resolve().parents):
                todo.append((file, file.relative_to(path)))
    for text in lost:
        tqdm.write(text, sys.stderr)
    taken = {path.resolve() for path, _ in todo}
    for path, name in tqdm(todo, unit=" pictures", disable=None if len(todo) > 1 else True):
        try:
            tqdm.write(f"{path}: {colorize_file(net, path, out / name, taken, force, **options)}")
        except ImageError as error:
            claims = path in pictures or path.suffix.lower() in Image.registered_extensions()
            if claims or error.verdict != "unreadable":  # else a file of another kind, in a folder
                tqdm.write(str(error), sys.stderr)
                lost.append(str(error))
    return len(lost)


def colorize_file(net, path: Path, target: Path, taken: set[Path], force: bool, **options) -> str:
    """Colour one file, unless it has colours or was done; what to say of it."""
    rgb, alpha = read(path)
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in FORMATS:
        kind, target = "PNG", target.with_suffix(".png")
    files = [target]
    if n := options.get("samples"):
        files = [target.with_stem(f"{target.stem}-{k}") for k in range(1, n + 1)]
    for file in files:
        if file.resolve() in taken:
            why = f"{file} is one of the pictures that you gave, or its result: take another --out"
            raise ImageError(path, "no access", why)
        if file.exists() and not force:
            return f"{file} is there already (--force writes it anew)"
    if not force and has_colours(rgb, alpha):
        return "has colours already (--force gives it others)"
    for file, painted in zip(files, paintings(net, rgb, alpha, **options), strict=True):
        image, buffer = as_image(painted, alpha), io.BytesIO()
        image.save(buffer, kind, icc_profile=image.info["icc_profile"], **FORMATS[kind])
        write_whole(file, buffer.getvalue())
        taken.add(file.resolve())
    return ", ".join(map(str, files))

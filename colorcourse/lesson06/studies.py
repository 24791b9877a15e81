"""What lesson 6 measures: on the photographs that come along, and recorded on many more."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torchvision.models import ResNet18_Weights
from torchvision.transforms import v2

from colorcourse import record
from colorcourse.lesson06.exercises import by_hue, small_view  # noqa: F401 - for the lesson
from colorkit.color import fit_gamut, rgb_to_lab, split_lab
from colorkit.data.pictures import PHOTOGRAPHS, Pair, photograph
from colorkit.evaluate import compare, paired_difference, score_models, table
from colorkit.metrics import ab_error
from colorkit.models import Classifier, Colorizer, EfficientNetLite0
from colorkit.models.lite0 import MEAN, STD
from colorkit.objects import object_colors
from colorkit.plots import fitted_rgb
from colorkit.worlds import World

RECORDED = Path(__file__).parents[1] / "recorded"
HELD_OUT = ("astronaut", "chelsea", "coffee", "picosdeeuropa")
TRAIN = tuple(name for name in PHOTOGRAPHS if name not in HELD_OUT)
PANELS = {name: f"{name}: share within 10" for name in ("L2", "classes", "rebalanced")}


def squares(names: Sequence[str], size: int) -> Tensor:
    """The middles of photographs, RGB uint8 (N, 3, size, size)."""
    return torch.cat([photograph(name, size) for name in names])


def planes(names: Sequence[str], size: int) -> Pair:
    """L (N, 1, size, size) and ab (N, 2, size, size) of the middles of photographs."""
    return split_lab(rgb_to_lab(squares(names, size)))


def crops(names: Sequence[str], count: int, size: int, seed: int) -> Pair:
    """L and ab of random squares of photographs, of a tenth to all of their area."""
    torch.manual_seed(seed)
    crop, whole = v2.RandomResizedCrop(size, (0.1, 1.0), (1.0, 1.0)), map(photograph, names)
    found = [crop(rgb) for rgb in whole for _ in range(count // len(names))]
    return split_lab(rgb_to_lab(torch.cat(found)))


def recorded(study: str) -> pd.DataFrame:
    """A study of `scripts/photographs.py`; ``.attrs["about"]`` says how it was made."""
    path = RECORDED / f"photographs_{study}.csv"
    frame = pd.read_csv(path, comment="#")
    frame.attrs["about"] = path.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")
    return frame


def score_photographs(nets: Mapping[str, Colorizer], pair: Pair) -> pd.DataFrame:
    """A row a network, one of them "gray"; ``.attrs["less gray"]`` has the differences in pairs."""
    scores = score_models(nets, [pair], ["mse", "within_10", "colorfulness_ratio"])
    frame = table(scores)
    frame.attrs["less gray"] = {name: compare(scores, name, "gray") for name in scores}
    off = frame.mse / frame.mse["gray"]
    for name in off.index.difference(["gray", "scratch"]):
        record(f"{name}_over_gray", off[name], "of gray's MSE")
    if "scratch" in off:
        record("borrowed_lead", off["scratch"] - off["borrowed"], "of gray's MSE")
    return frame


def what_differs(sets: Mapping[str, Pair]) -> pd.DataFrame:
    """How vivid the colours of two sets are, each L (N, 1, H, W) and ab (N, 2, H, W)."""
    chroma = {name: ab.norm(dim=1) for name, (_, ab) in sets.items()}
    mean = {name: x.mean().item() for name, x in chroma.items()}
    dull = {name: (x < 10).float().mean().item() for name, x in chroma.items()}
    made, real = dull.values()
    record("dull_photographs", real / made, "photographs over orchard")
    return pd.DataFrame({"mean chroma": mean, "chroma below 10": dull})


def named(names: Sequence[str]) -> pd.DataFrame:
    """What EfficientNet-Lite0 sees in gray photographs: the three most probable classes of each.

    Where its package is not installed the frame is empty, and the reason is printed.
    """
    words, rows = ResNet18_Weights.IMAGENET1K_V1.meta["categories"], {}
    try:
        net = EfficientNetLite0(1, 1000, pretrained=True).eval()
    except ModuleNotFoundError as error:
        print(error)
        return pd.DataFrame()
    for name in names:
        gray = gray_of(photograph(name, 224))[:, :1] / 255
        with torch.no_grad():
            chances = net.classify((gray - MEAN) / STD).softmax(1)[0].topk(3)
        pairs = zip(chances.indices.tolist(), chances.values.tolist(), strict=True)
        rows[name] = [f"{words[k]} ({p:.0%})" for k, p in pairs]
        record(f"named_{name}", chances.values[0], "probability of the first class")
    return pd.DataFrame(rows, index=["first", "second", "third"]).T


def portraits_needed(study: pd.DataFrame) -> str:
    """With how many portraits from scratch is as good as borrowed eyes with 100."""
    mean = study.groupby(["model", "count"]).mse.mean()
    for name, model, count in (
        *(("eyes_25", "borrowed", 25), ("eyes_all", "borrowed", 820)),
        ("scratch_all", "from scratch", 820),
    ):
        record(name, mean[model][count] / mean["borrowed"][100], "of the MSE of borrowed with 100")
    enough = [n for n, off in mean["from scratch"].items() if off <= mean["borrowed"][100]]
    return f"{enough[0]}" if enough else "not with all 820"


def record_lightness(L: Tensor, pictures: Mapping[str, Tensor]) -> None:
    """Record how far the L of pictures, rounded to bytes, is from L (1, 1, H, W)."""
    for name, rgb in pictures.items():
        off = rgb_to_lab((255 * rgb).round().byte())[:, :1] - L
        record(f"L_of_{name.split()[-1]}", off.abs().max(), "units of L, at most")


def drawn(net: Classifier, draw: Callable, L: Tensor, T: float, us: Sequence) -> list[Tensor]:
    """For each u the colours that `draw` takes from bins in the order of hues: small ab."""
    order, p = by_hue(net.bins), (net.logits(L) / T).softmax(1)
    return [net.bins[order][draw(p[:, order], u)].movedim(-1, 1) for u in us]


def ways_to_draw(net: Classifier, draw: Callable, pair: Pair, T: float, seed: int) -> pd.DataFrame:
    """A draw for each pixel, one for each picture, and the annealed mean: mean ab distances.

    Of neighbouring pixels, of two draws, of one draw and the truth, and of the best of 8.
    """
    L, ab = pair
    generator, rows = torch.Generator().manual_seed(seed), {}
    pixels = (size // net.scale for size in L.shape[2:])
    for name, places in (("one u a pixel", (*pixels,)), ("one u a picture", (1, 1))):
        us = torch.rand(8, len(L), 1, *places, generator=generator)
        found = [fit_gamut(L, net.enlarge(x, L)) for x in drawn(net, draw, L, T, us)]
        rows[name] = distances(torch.stack(found), ab)
    rows |= {
        "annealed mean": distances(net.colorize(L)[None], ab),
        "truth": distances(ab[None], ab),
    }
    frame = pd.DataFrame(rows).T
    pixel, picture, *_ = frame["neighbours"]
    one, mean = frame.loc["one u a picture"], frame["error"]["annealed mean"]
    record("pixel_noise", pixel / picture, "of the neighbours' distance with one u a picture")
    record("draw_costs", one["error"] / mean, "of the annealed mean's error")
    record("best_of_8", one["best of 8"] / mean, "of the annealed mean's error")
    return frame


def distances(found: Tensor, truth: Tensor) -> dict[str, float]:
    """Of colourings (D, N, 2, H, W), mean ab distances."""
    off = torch.stack([ab_error(ab, truth).mean((1, 2)) for ab in found])
    return {
        "neighbours": found.diff(dim=4).norm(dim=2).mean().item(),
        "two draws": (found[0] - found[-1]).norm(dim=1).mean().item(),
        "error": off.mean().item(),
        "best of 8": off.min(0).values.mean().item(),
    }


def random_patches(
    ab: Tensor, generator: torch.Generator | None = None, count: int | None = None
) -> list[tuple[int, int, int, int]]:
    """Patches (picture, row, column, side) of 1 to 9 pixels a side, anywhere in ab (N, 2, H, W).

    `count` a picture, or a number of the geometric distribution 0, 1, 2, ... of mean 7.
    """
    patches = []
    for n in range(len(ab)):
        drawn = int(torch.empty(1).geometric_(1 / 8, generator=generator)) - 1
        for share in torch.rand(drawn if count is None else count, 3, generator=generator).tolist():
            side = 1 + int(9 * share[0])
            free = (size - side + 1 for size in ab.shape[2:])
            patches.append((n, *(int(s * f) for s, f in zip(share[1:], free, strict=True)), side))
    return patches


def settle(net: Colorizer, hint_planes: Callable, world: World) -> pd.Series:
    """Of objects with several possible colours, the share within 10 of the true one."""
    objects, rows = object_colors(world, {}), []
    for at, where, true in zip(
        objects.table.picture, objects.visible, objects.ab["truth"], strict=True
    ):
        L, ab = world.L[at : at + 1], world.ab[at : at + 1]
        hints = [hint_planes(ab, patches) for patches in ([], [(0, *middle(where), 3)])]
        found = net.colorize(L.expand(2, -1, -1, -1), hints=torch.cat(hints))[:, :, where[0]].mean(
            2
        )
        rows.append(((found - true).norm(dim=1) <= 10).float())
    without, click = torch.stack(rows).mean(0).tolist()
    record("settled_without", without, "of the objects, within 10")
    record("settled_by_one", click, "of the objects, within 10")
    return pd.Series({"no click": without, "one click": click}).round(3)


def middle(where: Tensor) -> tuple[int, int]:
    """Row and column of a patch of 3 x 3 in the middle of an object's pixels (1, H, W)."""
    places = where[0].nonzero().float()
    place = places[(places - places.mean(0)).norm(dim=1).argmin()]
    return tuple(int(x) for x in (place - 1).clamp(min=0, max=where.shape[1] - 3))


def hint_curve(
    net: Colorizer, hint_planes: Callable, clicks: Sequence[int], seed: int
) -> pd.DataFrame:
    """ab errors of photographs by clicks, with 95% intervals; ``.attrs["label"]`` for the axis."""
    (L, ab), errors = planes(PHOTOGRAPHS, 64), {}
    for count in clicks:
        patches = random_patches(ab, torch.Generator().manual_seed(seed), count)
        errors[count] = ab_error(net.colorize(L, hints=hint_planes(ab, patches)), ab).mean((1, 2))
    frame = pd.DataFrame({n: paired_difference(x, 0 * x)._asdict() for n, x in errors.items()}).T
    saved = paired_difference(errors[0], errors[clicks[-1]])
    record("clicks_save", saved.low, "ab units by all clicks, the interval's lower end")
    gain = "all clicks save {:.1f}, in pairs {:.1f} to {:.1f}".format(*saved)
    frame.attrs["label"] = f"mean ab error of fifteen photographs ({gain})"
    return frame.rename(lambda n: f"{n} click{'s' * (n != 1)}")


def gray_of(rgb: Tensor) -> Tensor:
    """The gray photograph of RGB, bytes (N, 3, H, W)."""
    L = rgb_to_lab(rgb)[:, :1]
    return (255 * fitted_rgb(L, L.new_zeros(len(L), 2, *L.shape[2:]))).round().byte()


def as_jpeg(picture: Tensor) -> Tensor:
    """A picture, bytes (3, H, W), as JPEG of quality 8 stores it."""
    file = io.BytesIO()
    v2.functional.to_pil_image(picture).save(file, "JPEG", quality=8)
    return v2.functional.pil_to_tensor(Image.open(file))


def damages(film: Callable, rgb: Tensor, seed: int) -> dict[str, Tensor]:
    """What age and film do to RGB uint8 (N, 3, H, W): L (N, 1, H, W) by name."""
    L, blur = rgb_to_lab(rgb)[:, :1], v2.functional.gaussian_blur
    noise = torch.randn(L.shape, generator=torch.Generator().manual_seed(seed))
    jpeg = torch.stack([as_jpeg(picture) for picture in gray_of(rgb)])
    return {
        "as it is": L,
        "orthochromatic": film(rgb),
        "faded": 30 + 0.45 * L,
        "grain": (L + 16 * blur(noise, [3, 3], [0.7, 0.7])).clamp(0, 100),
        "soft focus": blur(L, [9, 9], [2.0, 2.0]),
        "JPEG, quality 8": rgb_to_lab(jpeg)[:, :1],
    }


def damage_table(net: Colorizer, film: Callable, rgb: Tensor, seed: int) -> pd.DataFrame:
    """The squared error of the colours after each damage, and how far they move, in ab units."""
    found = {name: net.colorize(L) for name, L in damages(film, rgb, seed).items()}
    found["gray"], whole, ab = 0 * found["as it is"], found["as it is"], rgb_to_lab(rgb)[:, 1:]
    mse = {name: (x - ab).square().mean().item() for name, x in found.items()}
    moved = {name: (x - whole).norm(dim=1).mean().item() for name, x in found.items()}
    frame = pd.DataFrame({"MSE": mse, "moved": moved})
    record("moved_by_film", moved["orthochromatic"], "ab units that colours move")
    second = frame.moved.drop(["soft focus", "gray"]).max()
    record("moved_by_soft_focus", moved["soft focus"] / second, "of the next damage's")
    return frame


def augmentation_table(study: pd.DataFrame) -> pd.DataFrame:
    """Squared errors on portraits as they are and on orthochromatic film: means of the seeds."""
    frame = study.pivot_table("mse", "model", "seen", sort=False)
    film, whole = frame["orthochromatic"], frame["as it is"]
    record("film_costs", film["plain"] / whole["plain"], "of the MSE on pictures as they are")
    record("film_after", film["augmented"] / film["plain"], "of the plain network's MSE")
    record("whole_after", whole["augmented"] / whole["plain"], "of the plain network's MSE")
    return frame.round(1)


def recogniser_table(study: pd.DataFrame) -> pd.DataFrame:
    """Accuracy on fruit in each colouring, and the share of the way from gray to the truth."""
    frame = study.set_index("colours")
    gray = frame.accuracy["gray"]
    frame["way"] = (frame.accuracy - gray) / (frame.accuracy["true"] - gray)
    for name in ("random", "ours"):
        record(f"recogniser_{name}", frame.way[name], "of the way from gray to true colours")
    return frame.round(2)


def by_group(study: pd.DataFrame) -> pd.DataFrame:
    """The share of pixels within 10: a row a group and seed, a column a loss."""
    frame = study.pivot_table("within_10", ["group", "seed"], "model", sort=False)
    mean = frame.groupby("group").mean()
    for group in ("near-gray", "red"):
        for model in ("classes", "rebalanced"):
            name = f"{group.split('-')[-1]}_{model}"
            record(name, mean[model][group], "within 10, mean of the seeds")
    gap = (mean.loc["bright"] - mean.loc["dark"]).min()
    record("face_gap", gap, "bright less dark faces, the least of the losses")
    return frame.reset_index().rename(columns={"group": "model"})

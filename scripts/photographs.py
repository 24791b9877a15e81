"""Run the studies of lesson 6 on a store of portraits, and write their CSVs.

    colorkit data prepare portraits --size 64 --split 60/20/20 --out stores/portraits
    colorkit data prepare fruits --size 128 --split 60/20/20 --out stores/fruits
    python scripts/photographs.py stores/portraits stores/fruits [OUT]

No picture is kept, only numbers; the first line of a file says how it was made. What is in the
files already is not run again, so the same command goes on after a stop. Other stores will do, too:
the audit takes the middle of each picture for a face, and the recogniser needs classes.
"""

import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch
from torch import Tensor, nn

from colorcourse.lesson06.exercises import orthochromatic
from colorcourse.lesson06.studies import RECORDED
from colorkit.batches import Batches
from colorkit.bins import estimate_prior, rebalancing_weights
from colorkit.color import rgb_to_lab, split_lab
from colorkit.data.store import Store
from colorkit.device import pick_device, seed_everything
from colorkit.evaluate import score_models, table
from colorkit.files import write_whole
from colorkit.fit import fit
from colorkit.losses import Classification, l2, regression
from colorkit.models import (
    Classifier,
    Colorizer,
    EfficientNetLite0,
    FeatureMemory,
    Gray,
    Lite0Colorizer,
    RandomPicture,
    UNet,
    load_colorizer,
)
from colorkit.models.lite0 import MEAN, STD
from colorkit.plots import fitted_rgb

BATCH, STEPS, WIDTH, LR = 8, 120, 8, 3e-3
MEASURES = ("mse", "auc", "within_10", "colorfulness_ratio")
SPLITS = ("train", "test")
MEMORY = FeatureMemory()
Planes = dict[str, tuple[Tensor, ...]]  # by split


def borrowed() -> Lite0Colorizer:
    """A decoder on the frozen encoder that has seen ImageNet."""
    return Lite0Colorizer(pretrained=True, frozen=True, width=WIDTH, memory=MEMORY)


def from_scratch() -> UNet:
    """The network of lesson 3."""
    return UNet(WIDTH, 4)


def three_losses(train: tuple[Tensor, Tensor]) -> dict[str, tuple[Callable, Callable]]:
    """What builds the network for each loss, and the loss: squared error, classes, rebalanced."""
    prior = estimate_prior(Batches(train, BATCH, in_order=True))
    weighted = Classification(weights=rebalancing_weights(prior.p, 0.5))
    return {
        "L2": (borrowed, regression(l2)),
        "classes": (lambda: Classifier(borrowed(), hidden=64), Classification()),
        "rebalanced": (lambda: Classifier(borrowed(), hidden=64), weighted),
    }


def trained(
    build: Callable,
    objective: Callable,
    planes: tuple[Tensor, ...],
    seed: int,
    steps: int = STEPS,
    **options: Any,
) -> nn.Module:
    """A network after all steps; every run of a study has the same number of them."""
    seed_everything(seed)
    net, data, options = build(), Batches(planes, BATCH, seed=seed), {"seed": seed, **options}
    fit(net, objective, data, steps, lr=LR, schedule="one-cycle", callbacks=(), **options)
    return net


def scored(net: Colorizer, L: Tensor, ab: Tensor) -> dict:
    scores = score_models({"it": net}, zip(L.split(64), ab.split(64), strict=True), MEASURES)
    return table(scores).loc["it"].to_dict()


def pictures_rows(planes: Planes, seed: int, done: set) -> Iterator[dict]:
    """Error over the number of real pictures: borrowed eyes and from scratch."""
    L, _, ab = planes["train"]
    if ("gray", 0, 0) not in done:
        yield {"model": "gray", "seed": 0, "count": 0, **scored(Gray(), *planes["test"][::2])}
    chosen = torch.randperm(len(L), generator=torch.Generator().manual_seed(seed))
    for count in (25, 100, len(L)):
        some = tuple(plane[chosen[:count]] for plane in (L, ab))
        for model, build in (("borrowed", borrowed), ("from scratch", from_scratch)):
            if (model, seed, count) not in done:
                net = trained(build, regression(l2), some, seed)
                row = scored(net, *planes["test"][::2])
                yield {"model": model, "seed": seed, "count": count, **row}


def on_old(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Squared error; every other picture is seen as orthochromatic film would show it."""
    L, old, ab = batch
    half = torch.arange(len(L), device=L.device).view(-1, 1, 1, 1) % 2 == 0
    return l2(net(torch.where(half, old, L)), ab)


def old_rows(planes: Planes, seed: int, done: set) -> Iterator[dict]:
    """Trained on L as it is, and on orthochromatic L too; tested on both."""
    L, old, ab = planes["test"]
    for model in ("plain", "augmented"):
        if (model, seed) not in done:
            data, objective = planes["train"], on_old
            if model == "plain":
                data, objective = data[::2], regression(l2)
            net = trained(borrowed, objective, data, seed)
            for seen, gray in (("as it is", L), ("orthochromatic", old)):
                yield {"model": model, "seed": seed, "seen": seen, **scored(net, gray, ab)}


def face(plane: Tensor) -> Tensor:
    """The middle quarter of each side, where a portrait has its face."""
    height, width = plane.shape[-2:]
    return plane[..., height * 3 // 8 : height * 5 // 8, width * 3 // 8 : width * 5 // 8]


def colour_groups(ab: Tensor) -> dict[str, Tensor]:
    """Where the true colour is near-gray, skin-like, blue or red: bool (N, 1, H, W)."""
    a, b = ab.split(1, dim=1)
    chroma, hue = torch.hypot(a, b), torch.rad2deg(torch.atan2(b, a))
    return {
        "near-gray": chroma <= 8,
        "skin-like": (chroma > 12) & (chroma < 45) & (hue > 25) & (hue < 80),
        "blue": (chroma > 15) & (hue > -120) & (hue < -50),
        "red": (chroma > 30) & (hue > -20) & (hue < 40),
    }


def faces_rows(planes: Planes, seed: int, done: set) -> Iterator[dict]:
    """Share within 10 by the brightness of the face and by the true colour, for three losses."""
    train, (L, ab) = planes["train"][::2], planes["test"][::2]
    bright = face(L).mean((1, 2, 3)).argsort()
    for model, (build, objective) in three_losses(train).items():
        if (model, seed) in done:
            continue
        net = trained(build, objective, train, seed)
        found = torch.cat([net.colorize(part) for part in L.split(64)])
        within = (found - ab).norm(dim=1, keepdim=True) <= 10
        thirds = zip(("dark", "middle", "bright"), bright.tensor_split(3), strict=True)
        pixels = {group: face(within)[chosen] for group, chosen in thirds}
        pixels |= {group: within[mask] for group, mask in colour_groups(ab).items()}
        for group, hits in pixels.items():
            share, count = hits.float().mean().item(), hits.numel()
            yield {
                "model": model,
                "seed": seed,
                "group": group,
                "within_10": share,
                "pixels": count,
            }


def recogniser(store: Store) -> Callable[[Tensor], Tensor]:
    """From colours ab of a store's held-out pictures to which are named right: (N,), 0 or 1.

    It is a linear layer on the features of EfficientNet-Lite0, trained on the true pictures.
    """
    rgb, labels = {}, {}
    for part in SPLITS:
        rows = store.rows(part)
        rgb[part] = torch.from_numpy(store.pictures(rows)).float() / 255
        labels[part] = torch.from_numpy(store.labels[rows]).long()
    net = EfficientNetLite0(3, 1000, pretrained=True).eval()

    @torch.no_grad()
    def features(pictures: Tensor) -> Tensor:
        parts = ((x - MEAN) / STD for x in pictures.split(50))
        return torch.cat([net.top(net(x)[-1]).mean((2, 3)) for x in parts])

    seed_everything(0)
    layer, seen = nn.Linear(1280, len(store.classes)), features(rgb["train"])
    optimizer = torch.optim.AdamW(layer.parameters(), 1e-2, weight_decay=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.cross_entropy(layer(seen), labels["train"]).backward()
        optimizer.step()
    L = split_lab(rgb_to_lab(rgb["test"]))[0]
    return lambda ab: (layer(features(fitted_rgb(L, ab))).argmax(1) == labels["test"]).double()


def recogniser_rows(store: Store) -> Iterator[dict]:
    """How often true fruit is named right in each colouring.

    The colorizer that comes along was trained on the same split, so that it has not seen these
    pictures either.
    """
    rgb = (torch.from_numpy(store.pictures(store.rows(part))).float() / 255 for part in SPLITS)
    train, test = (split_lab(rgb_to_lab(pictures)) for pictures in rgb)
    colorizers = {"gray": Gray(), "random": RandomPicture([train]), "ours": load_colorizer()}
    found = {"true": test[1]}
    for name, colorizer in colorizers.items():
        found[name] = torch.cat([colorizer.colorize(x) for x in test[0].split(50)])
    right = recogniser(store)
    for name, ab in found.items():
        yield {"colours": name, "accuracy": right(ab).mean().item(), "pictures": len(ab)}


def write(path: Path, about: str, rows: list[dict]) -> None:
    """Say at once what is known: a study may be stopped."""
    click.echo(str(rows[-1]))
    text = pd.DataFrame(rows).round(4).to_csv(index=False, lineterminator="\n")
    write_whole(path, about + text)


@click.command()
@click.argument("portraits", type=click.Path(exists=True, path_type=Path))
@click.argument("fruits", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path), default=RECORDED)
def main(portraits: Path, fruits: Path, out: Path) -> None:
    """Run the studies on the store PORTRAITS, and the recogniser on the store FRUITS, into OUT.

    Of the studies only what OUT does not hold yet is run, seed after seed.
    """
    opened, planes = Store(portraits), {}
    for part in SPLITS:
        rgb = torch.from_numpy(opened.pictures(opened.rows(part)))
        L, ab = split_lab(rgb_to_lab(rgb))
        planes[part] = L, orthochromatic(rgb), ab
    studies = {
        "pictures": (pictures_rows, 3, ("model", "seed", "count")),
        "old": (old_rows, 3, ("model", "seed")),
        "faces": (faces_rows, 5, ("model", "seed")),
    }
    made = (
        f"device {pick_device().type}, torch {str(torch.__version__).split('+')[0]}, "
        f"Python {platform.python_version()}\n"
    )
    about = (
        f"# scripts/photographs.py: {len(planes['train'][0])} portraits in training, "
        f"{len(planes['test'][0])} held out, {opened.size} x {opened.size} pixels, {STEPS} steps "
        f"of {BATCH}; {made}"
    )
    out.mkdir(parents=True, exist_ok=True)
    for seed in range(5):
        for name, (rows_of, seeds, keys) in studies.items():
            path = out / f"photographs_{name}.csv"
            rows = pd.read_csv(path, comment="#").to_dict("records") if path.exists() else []
            done = {tuple(row[key] for key in keys) for row in rows}
            for row in rows_of(planes, seed, done) if seed < seeds else ():
                rows.append(row)
                write(path, about, rows)
    rows, about = (
        [],
        f"# scripts/photographs.py: held-out fruit of {len(Store(fruits).classes)} classes; {made}",
    )
    for row in recogniser_rows(Store(fruits)):
        rows.append(row)
        write(out / "photographs_recogniser.csv", about, rows)


if __name__ == "__main__":
    main()

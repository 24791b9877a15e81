"""L2, classes and rebalanced classes on held-out photographs, three seeds of each.

    python -m scripts.losses FOLDER... --work W

Each FOLDER is one set of photographs; it is prepared into a store below W and split by file as
`scripts/pretrain_colorizer.py` does. One network a loss and seed, that of lesson 6, is trained on
the training parts of all sets together: the same encoder, pictures, order, steps and rate for each.
Only numbers are kept, in photographs_losses.csv; docs/colorizer.md shows them.
The networks stay below W, so that the same command goes on after a stop.
"""

import platform
from pathlib import Path

import click
import pandas as pd
import torch

from colorcourse.lesson06.studies import RECORDED
from colorkit.batches import Batches
from colorkit.color import rgb_to_lab, split_lab
from colorkit.data.prepare import prepare
from colorkit.data.store import Store
from colorkit.evaluate import Difference, paired_difference, score_models
from colorkit.files import write_whole
from colorkit.metrics import Score
from colorkit.models import Colorizer, Gray, RandomPicture, load_colorizer
from scripts.photographs import BATCH, recogniser, three_losses, trained
from scripts.pretrain_colorizer import MEASURES, pictures

SIZE, STEPS, SEEDS = 64, 1000, range(3)
CSV = RECORDED / "photographs_losses.csv"
PATH = click.Path(exists=True, file_okay=False, path_type=Path)


def pooled(scores: list[Score]) -> Score:
    """The mean of what several networks score on each picture."""
    parts, weights = zip(*(score.joined() for score in scores), strict=True)
    mean = Score()
    mean.update(torch.stack(parts).mean(0), weights[0])
    return mean


def rows(name: str, store: Store, nets: dict[str, list[Colorizer]]) -> list[dict]:
    """Of each model and measure on a store's held-out pictures: its seeds, and what is gained.

    The intervals are over pictures, of the mean over the seeds.
    """
    train = Batches(store, BATCH, in_order=True)
    models = {"gray": [Gray()], "random": [RandomPicture(train(), seed) for seed in SEEDS], **nets}
    models["shipped"] = [load_colorizer()]
    flat = {f"{model} {i}": x for model, own in models.items() for i, x in enumerate(own)}
    batches = [*Batches(store, 32, split="test", in_order=True)()]
    scores, measures = score_models(flat, batches, MEASURES), [*MEASURES]
    if len(store.classes) > 1:
        measures.append("recognised")
        right, flat["true 0"], scores["true 0"] = recogniser(store), None, {}
        for model, x in flat.items():
            colours = torch.cat([x.colorize(L) if x else ab for L, ab in batches])
            scores[model]["recognised"] = Score()
            scores[model]["recognised"].update(right(colours))
        models["true"] = [None]
    found = []
    for measure in measures:
        of = {m: [scores[f"{m} {i}"].get(measure) for i in range(len(models[m]))] for m in models}
        means = {model: pooled(own) for model, own in of.items() if own[0] is not None}
        for model, mean in means.items():
            row = {"set": name, "model": model, "measure": measure, "pictures": len(mean)}
            values = dict(enumerate(score.value() for score in of[model]))
            row |= {f"seed {seed}": values.get(seed) for seed in SEEDS} | {"mean": mean.value()}
            for other in ("gray", "L2"):
                gain = paired_difference(mean, means[other])
                row |= {f"{key} to {other}": x for key, x in gain._asdict().items()}
            found.append(row)
    return found


def tables(frame: pd.DataFrame) -> str:
    """The rows of the tables of docs/colorizer.md: scores, gains on L2, how often fruit is named.

    Brackets are 95% intervals over pictures; ± is half the range over seeds, "to" the range.
    """
    frame = frame.set_index(["set", "model", "measure"])
    runs = frame.filter(like="seed ").ffill(axis=1)  # gray and shipped have one

    def score(key: tuple) -> str:
        half = (runs.loc[key].max() - runs.loc[key].min()) / 2
        return f"{frame['mean'][key]:.3f}" + (f" ± {half:.3f}" if half else "")

    def gain(key: tuple, other: str) -> str:
        parts = (frame[f"{part} to {other}"][key] for part in Difference._fields)
        return "{:+.3f} [{:.3f}, {:.3f}]".format(*parts)

    scores, gains, named = {}, {}, {}
    for name, model, measure in frame.index:
        key = name, model, measure
        if measure == "recognised":
            gray, true = (runs.loc[name, x, measure] for x in ("gray", "true"))
            way = (runs.loc[key] - gray) / (true - gray)
            share = f"{way.mean():.2f}" + (
                f", {way.min():.2f} to {way.max():.2f}" if way.any() else ""
            )
            named[model,] = [score(key), gain(key, "gray"), share, gain(key, "L2")]
            continue
        plain = measure == "colorfulness_ratio" or model == "gray"
        text = score(key) + ("" if plain else f" ({gain(key, 'gray')})")
        scores.setdefault((name, model), []).append(text)
        if model in ("classes", "rebalanced", "shipped"):
            more = runs.loc[key] - runs.loc[name, "L2", measure]
            text = f"{gain(key, 'L2')}, {more.min():+.3f} to {more.max():+.3f}"
            gains.setdefault((name, model), []).append(text)
    parts = (
        "\n".join(f"| {' | '.join([*key, *cells])} |" for key, cells in table.items())
        for table in (scores, gains, named)
    )
    return "\n\n".join(parts).replace("-", "−")


@click.command()
@click.argument("folders", nargs=-1, required=True, type=PATH)
@click.option("--work", required=True, type=click.Path(file_okay=False, path_type=Path))
def main(folders: tuple[Path, ...], work: Path) -> None:
    """Train on the photographs in FOLDERS, judge on what is held out of each, and write the CSV."""
    stores = {x.name: prepare(x, work / x.name, SIZE, "60/20/20", workers=1)[0] for x in folders}
    train = split_lab(rgb_to_lab(pictures([*stores.values()], "train")))
    nets = {
        model: [
            trained(*how, train, seed, STEPS, folder=work / f"{model} {seed}", resume=True)
            for seed in SEEDS
        ]
        for model, how in three_losses(train).items()
    }
    found = pd.DataFrame([row for x, store in stores.items() for row in rows(x, store, nets)])
    counts = ", ".join(f"{len(x.rows('train'))} {name}" for name, x in stores.items())
    about = (
        f"# scripts/losses.py: {counts} in training, {SIZE} x {SIZE} pixels, {STEPS} steps of "
        f"{BATCH}; torch {str(torch.__version__).split('+')[0]}, Python {platform.python_version()}"
    )
    text = found.round(4).to_csv(index=False, lineterminator="\n")
    write_whole(CSV, f"{about}\n{text}")
    click.echo(tables(found.round(4)))


if __name__ == "__main__":
    main()

"""What lesson 3 measures: which pictures tell something, errors, recorded runs, its numbers."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import mse_loss

from colorcourse.lesson03.clinic import data_clinic
from colorcourse.lesson03.photographs import left_out, oracle_of  # noqa: F401 - for the lesson
from colorcourse.recording import record
from colorkit.data.pictures import Pair, Pictures
from colorkit.evaluate import skill_score
from colorkit.models import Network
from colorkit.objects import ObjectColors, object_colors
from colorkit.worlds import World, orchard

RECORDED = Path(__file__).parents[1] / "recorded" / "generalisation.csv"
SPREAD = RECORDED.with_name("spread.csv")  # of whole runs of the lesson, by `scripts/spread.py`
LEADS = ("gray", "skips", "dense", "seed")  # the rows of the lesson's table of differences
# MSE of ab on the study's 400 test pictures in ab²; a test measures them again.
LEVELS = {"gray": 572.6, "oracle": 202.5}


def telling(pictures: Pictures, kinds: Sequence[str]) -> Pair:
    """L and ab of validation pictures: for each kind one in which it is large, and another colour
    if it is named again; of photographs the first."""
    chosen: list[int] = []
    if "val" in pictures.worlds:
        table = object_colors(pictures.worlds["val"], {}).table
        table, shown = table.sort_values("pixels", ascending=False), {kind: [] for kind in kinds}
        for kind in kinds:
            found = table[(table.kind == kind) & ~table.picture.isin(chosen)]
            found = pd.concat([found[~found.drawn.isin(shown[kind])], found])[:1]
            chosen += found.picture.tolist()
            shown[kind] += found.drawn.tolist()
    chosen = chosen or list(range(min(len(kinds), len(pictures.val[0]))))
    return tuple(plane[chosen] for plane in pictures.val)


def apple() -> tuple[Tensor, Tensor]:
    """Colours (3, 2) of an apple, and probabilities near the orchard's that have one median."""
    things = object_colors(orchard(40, 32, 3), {})
    row = things.table.kind.eq("apple").idxmax()
    return things.possible[row], torch.tensor([0.45, 0.33, 0.22])


@torch.no_grad()
def mean_error(net: Network, pair: Pair) -> float:
    """MSE of ab over the first 100 pictures of (L, ab), in evaluation mode, not fitted to sRGB."""
    return mse_loss(net.predict(pair[0][:100]).cpu(), pair[1][:100]).item()


def oracle_error(pictures: Pictures, part: str, count: int) -> float:
    """The oracle's MSE of ab over a part's first pictures in ab²; nan of photographs."""
    if part not in pictures.worlds:
        return float("nan")
    world = pictures.worlds[part]
    first = range(min(count, len(world)))
    errors = [mse_loss(world.oracle_mean(i), world.ab[i : i + 1]) for i in first]
    return torch.stack(errors).mean().item()


def print_oracle_error(pictures: Pictures) -> None:
    """Print the oracle's MSE on the validation pictures that `mean_error` is of."""
    if not pictures.worlds:
        return left_out()
    print(f"oracle: validation MSE {oracle_error(pictures, 'val', 100):.0f} ab²")


def print_irreducible_shares(world: World | None) -> None:
    """Print which shares of the oracle's squared error lie on fruit, on cloth and on sky."""
    if world is None:
        return
    mean = torch.cat([world.oracle_mean(i) for i in range(len(world))])
    error = (world.ab - mean).square().sum(1, keepdim=True)
    kinds = [kind.name for kind in world.palette.kinds]
    parts = {"fruit": world.kind_map < len(world.things)}
    parts |= {kind: world.kind_map == kinds.index(kind) for kind in ("cloth", "sky")}
    shares = {name: (error[part].sum() / error.sum()).item() for name, part in parts.items()}
    record("error_on_fruit", shares["fruit"], unit="share of the irreducible error")
    print("Of the oracle's error,", ", ".join(f"{v:.0%} lies on {k}" for k, v in shares.items()))


def fruit(world: World | None, net: Network) -> ObjectColors | None:
    """The fruits of a made world, and what a network, "network", gives them."""
    return None if world is None else object_colors(world, {"network": net})


def apple_colour(objects: ObjectColors | None, name: str) -> tuple[str | None, str]:
    """To which of four answers a model's apples are nearest, the distances, how they vary."""
    if objects is None:
        return None, ""
    rows = objects.table.index[objects.table.kind == "apple"].tolist()
    red = torch.stack([objects.possible[row][0] for row in rows])
    own = objects.ab[name][rows]
    away = {
        "red, the most probable": (own - red).norm(dim=1),
        "one of the three, at random": objects.nearest(name)[1][rows],
        "a mixture of the three": (own - objects.ab["oracle"][rows]).norm(dim=1),
        "gray": own.norm(dim=1),
    }
    median = {answer: float(values.median()) for answer, values in away.items()}
    model, truth = (objects.ab[k][rows].std(0).norm() for k in (name, "truth"))
    text = (
        "Its median distance is {2:.0f} from the mixture, {1:.0f} from the nearest possible "
        "colour, {0:.0f} from red, {3:.0f} from gray.".format(*median.values())
        + f" Its apples deviate by {model:.0f} from their mean, the true ones by {truth:.0f}."
    )
    few = " Nothing is near: too few steps to tell." if min(median.values()) > 13 else ""
    return min(median, key=median.get), text + few


def recorded() -> pd.DataFrame:
    """The runs of `scripts/generalisation.py`, at several steps; ``attrs["about"]`` says how."""
    frame = pd.read_csv(RECORDED, comment="#", keep_default_na=False)
    frame = frame.rename(columns={"test": "unseen"})
    with RECORDED.open(encoding="utf-8") as file:
        frame.attrs["about"] = file.readline().lstrip("# ").strip()
    return frame


def remedies(runs: pd.DataFrame) -> pd.DataFrame:
    """Errors (ab²) after training on 100 pictures or more, at the end and at the best step."""
    rows, keys = {}, ["pictures", "batch_norm", "augmentation"]
    for names, group in runs[runs.pictures.isin((100, 2000))].groupby(keys):
        best = group.loc[group.groupby("seed").validation.idxmin()]
        last = group[group.step == group.step.max()]
        row = {"seen, end": f"{last.seen.mean():.0f}"}
        for label, part in (("unseen, end", last), ("unseen, best step", best)):
            low, high = part.unseen.min(), part.unseen.max()
            row[label] = f"{part.unseen.mean():.0f} ({low:.0f} to {high:.0f})"
        row["best step"] = f"{best.step.min()} to {best.step.max()}"
        name = "{} pictures, {} batch norm, {}".format(*names)
        rows[name.replace(", none", ", not augmented")] = row
    return pd.DataFrame(rows).T


def beside_earlier(leads: pd.DataFrame, world: World | None) -> pd.DataFrame:
    """The leads of this run, and the least and the largest of each in recorded runs at laptop.

    Those were of the orchard, so that photographs stand alone.
    """
    if world is None:
        return leads
    table = pd.read_csv(SPREAD, comment="#", index_col=["lesson", "profile", "number"])
    earlier = table.loc["03_networks", "laptop"].loc[[f"lead_{name}" for name in LEADS]]
    columns = [f"{x} of {earlier.runs.iloc[0]} runs" for x in ("least", "largest")]
    return leads.assign(**dict(zip(columns, earlier[["lowest", "highest"]].values.T, strict=True)))


def clinic(seed: int, steps: int) -> tuple[Figure, pd.DataFrame]:
    """The curves, batches and readings of the six runs."""
    logs = data_clinic.logs(seed, steps)
    return data_clinic.figure(logs), data_clinic.readings(logs).round(1)


def record_all(scores: pd.DataFrame, leads: pd.DataFrame, objects: ObjectColors | None) -> None:
    """Record what the lesson's sentences lean on."""
    record("auc_gray", scores.auc["gray"])
    for name, row in zip(LEADS, leads.itertuples(), strict=True):
        record(f"lead_{name}", row.difference, unit="difference of AuC")
    if objects is not None:
        record("way_to_oracle", skill_score(scores)["U-Net"], unit="from gray to oracle")
        distance = objects.distance("network", "oracle").median()
        record("distance_to_oracle", distance, unit="ab units, median over objects")

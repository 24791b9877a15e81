"""What lesson 4 measures: losses, temperatures, probabilities, and groups of colours and people."""

import timeit
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import torch
from torch import Tensor, nn

from colorcourse.lesson03.photographs import left_out, oracle_of
from colorcourse.lesson04 import probabilities
from colorcourse.recording import record
from colorkit import models
from colorkit.bins import SoftEncoder, Targets, soft_cross_entropy
from colorkit.data.pictures import Pair, Pictures
from colorkit.evaluate import compare, score_models, table
from colorkit.losses import Classification, middle_pixels
from colorkit.metrics import ab_error, nearest_bin
from colorkit.models import Classifier, Colorizer
from colorkit.objects import ObjectColors, object_colors
from colorkit.worlds import World
from colorkit.worlds.portrait_scenes import HAIR, TONES

RECORDED = Path(__file__).parents[1] / "recorded" / "rebalancing.csv"
POSSIBLE = 0.01  # a colour of a head counts as possible from this probability on
WITHIN = 10.0  # ab units: an object that lies nearer to one of its colours has that one


def beside_the_library(
    class_loss: Callable, net: Classifier, pair: Pair, bins: Tensor, weights: Tensor
) -> pd.DataFrame:
    """Value and milliseconds (forward, backward, no network) of two losses on 8 pictures."""
    batch = tuple(plane[:8] for plane in pair)
    logits, fast = net.logits(batch[0]), Classification(bins, weights)
    losses = {
        "yours": lambda net: class_loss(net, *batch, bins, weights),
        "colorkit's": lambda net: fast(net, batch),
    }

    def step(loss: Callable) -> float:
        x = logits.clone().requires_grad_()
        value = loss(lambda _: x * 1)
        value.backward()
        return value.item()

    rows = {}
    for name, loss in losses.items():
        spent = 1000 * min(timeit.repeat(lambda loss=loss: step(loss), number=1, repeat=4))
        rows[name] = {"loss in nats": step(loss), "milliseconds": spent}
    frame = pd.DataFrame(rows).T
    plain = class_loss(lambda _: logits, *batch, bins, torch.ones_like(weights))
    record("untrained_loss", plain, unit="nats without weights; ln 313 = 5.75")
    record("losses_apart", abs(frame["loss in nats"].diff().iloc[1]), unit="nats")
    record("speedup", frame.milliseconds["yours"] / frame.milliseconds["colorkit's"])
    return frame


def reshaped_weights(targets: Targets, weights: Tensor) -> Tensor:
    """Weights of pixels (N, 1, H, W), with a mistake of public code.

    Dense targets (N, Q, H, W) are reshaped to rows of Q numbers: one bin at Q pixels.
    """
    count, _, *size = targets.indices.shape
    dense = targets.weights.new_zeros(count, len(weights), *size)
    rows = dense.scatter_(1, targets.indices, targets.weights).reshape(-1, len(weights))
    return weights.to(rows)[rows.argmax(1)].view(count, 1, *size)


def riddle(yours: Callable, bins: Tensor, weights: Tensor) -> dict[str, Callable]:
    """Two losses for `fit`, A and B: yours, and one with the mistake of `reshaped_weights`."""
    encoder = SoftEncoder(bins)

    def reshaped(net: nn.Module, batch: Pair) -> Tensor:
        L, ab = batch
        logits = net(L)
        targets = encoder(middle_pixels(ab, logits.shape[2:]))
        return soft_cross_entropy(logits, targets, reshaped_weights(targets, weights))

    return {"A": reshaped, "B": yours}


def a_and_b(*args) -> pd.DataFrame:
    """`rare_and_common` of the networks A and B."""
    frame = rare_and_common(*args)
    record("rare_a", frame.rare["A"], unit="of the pixels of rare colours within 10")
    record("rare_gain", frame.rare["B"] - frame.rare["A"], unit="B's share less A's")
    return frame


def rare_and_common(
    colorizers: Mapping[str, Colorizer], pair: Pair, prior: Tensor, bins: Tensor, share: float = 0.1
) -> pd.DataFrame:
    """The share of pixels within 10 ab units of the truth, among rare and among common colours.

    The rarest bins that together hold `share` of the prior p (Q,) are rare. A row a model.
    """
    L, ab = pair
    p, order = prior.cpu().sort()
    rare = torch.zeros(len(bins), dtype=torch.bool)
    rare[order] = p.cumsum(0) <= share
    seldom, rows = rare[nearest_bin(ab, bins.cpu())], {}
    for name, model in colorizers.items():
        guess = torch.cat([model.colorize(part).to(ab) for part in L.split(50)])
        near = (ab_error(guess, ab) <= 10).double()
        rows[name] = {"rare": near[seldom].mean().item(), "common": near[~seldom].mean().item()}
    return pd.DataFrame(rows).T


def kept(faces: World, colorizers: Mapping[str, Colorizer]) -> pd.DataFrame:
    """The share of heads that keep their colour: a row a group, a column a model.

    Hair or skin keeps it if, of all that is possible at its brightness, it is nearest the mean ab.
    Black and gray differ by less than a bin: "black or gray hair" may have either.
    """
    looks, rows = object_colors(faces, colorizers), {}
    impossible = [p < POSSIBLE for p in looks.probs]
    groups = {f"{name} hair": ("hair", [number]) for number, name in enumerate(HAIR)}
    groups["black or gray hair"] = ("hair", [list(HAIR).index(x) for x in ("black", "gray")])
    groups |= {name: ("skin", [number]) for number, name in enumerate(TONES)}
    for group, (kind, numbers) in groups.items():
        drawn = looks.table.kind.eq(kind) & looks.table.drawn.isin(numbers)
        for model in colorizers if drawn.any() else ():
            found = [
                (looks.possible[i] - looks.ab[model][i]).norm(dim=1)
                .masked_fill(impossible[i], torch.inf).argmin().item() in numbers
                for i in drawn.to_numpy().nonzero()[0]
            ]  # fmt: skip
            rows.setdefault(group, {})[model] = sum(found) / len(found)
    return pd.DataFrame(rows).T


def kept_by_two(faces: World, colorizers: Mapping[str, Colorizer]) -> tuple[pd.DataFrame, str]:
    """`kept` of networks "not rebalanced" and "rebalanced", and how black hair fares."""
    frame = kept(faces, colorizers)
    black = frame.loc["black hair"]
    change = black["rebalanced"] - black["not rebalanced"]
    record("black_kept_change", change, unit="of the heads with black hair")
    record("black_kept_rebalanced", black["rebalanced"], unit="of the heads with black hair")
    neutral = frame.loc["black or gray hair", "rebalanced"]
    record("neutral_kept_rebalanced", neutral, unit="of the heads with black or gray hair")
    few = "about as many" if abs(change) < 0.1 else "fewer"
    return frame, few if change < 0.1 else "more"


def heads(faces: World, *names: str, count: int) -> list[int]:
    """The first pictures with each of these colours of hair or tones of skin."""
    looks = object_colors(faces, {}).table
    kinds = {"hair": list(HAIR), "skin": list(TONES)}
    found = []
    for name in names:
        kind = "hair" if name in HAIR else "skin"
        drawn = looks.kind.eq(kind) & looks.drawn.eq(kinds[kind].index(name))
        found += looks.picture[drawn].tolist()[:count]
    return found


def over_temperature(
    net: Classifier, pictures: Pictures, decode: Callable, temperatures: Iterable[float]
) -> pd.DataFrame:
    """Scores on the test pictures: a row a temperature."""

    def at(T: float) -> SimpleNamespace:
        bins = net.bins.cpu()
        return SimpleNamespace(colorize=lambda L: net.enlarge(decode(net.logits(L), bins, T), L))

    columns = ["auc", "within_10", "colorfulness_ratio"]
    rivals = {T: at(T) for T in temperatures}
    frame = table(score_models(rivals, pictures.batches(), columns)).rename_axis("T")
    record("auc_range", frame.auc.max() - frame.auc.min(), unit="over all T")
    record("colorfulness_cold", frame.colorfulness_ratio[0.1], unit="over the truth's, at T = 0.1")
    return frame


def scored(
    pictures: Pictures, nets: Mapping[str, Colorizer], seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All models on the test pictures, and the differences that matter with their intervals."""
    rivals = {"truth": models.GroundTruth(*pictures.test)} | oracle_of(pictures.worlds.get("test"))
    random = models.RandomPicture(pictures.batches("train"), seed=seed)
    rivals |= {"gray": models.Gray(), "random": random} | nets
    columns = ["auc", "auc_rebalanced", "within_10", "colorfulness_ratio"]
    scores = score_models(rivals, pictures.batches(), columns)
    frame, leads = table(scores), {}
    for a, b in (("classes", "L2"), ("rebalanced", "classes")):
        for metric in ("within_10", "auc_rebalanced", "auc"):
            leads[f"{a} − {b}: {metric}"] = compare(scores, a, b).loc[metric]
    leads = pd.DataFrame(leads).T
    vivid = frame.colorfulness_ratio
    if "oracle" in vivid:
        record("colorfulness_l2", vivid["L2"] - vivid["oracle"], unit="ratio, less the oracle's")
    record("lead_rebalanced", leads.low.iloc[4], unit=f"lower end of {leads.index[4]}")
    record("auc_rebalanced_less_classes", leads.difference.iloc[5], unit=leads.index[5])
    return frame, leads


def calibration(
    world: World | None, nets: Mapping[str, Colorizer], p: Tensor, weights: Tensor
) -> tuple[str, pd.DataFrame, ObjectColors, dict[str, tuple[Tensor, ...]]] | tuple[None, ...]:
    """Which of three is nearest, mean total variation by kind, the objects, what nets predict.

    "prior" predicts p everywhere; "L2" puts everything on the possible colour nearest to its own;
    "r w" is what the rebalanced network should predict, from the world's probabilities r.
    """
    if world is None:
        left_out()
        return (None,) * 4
    fruits, net = object_colors(world, nets), nets["rebalanced"]
    everywhere = p.view(1, -1, 1, 1).expand(-1, -1, *(-(-x // 2) for x in world.L.shape[2:]))
    constant = SimpleNamespace(scale=2, bins=net.bins, distribution=lambda L: everywhere)
    said = {"L2": probabilities.of_one_colour(fruits, "L2")}
    said |= {k: probabilities.predicted(world, fruits, nets[k]) for k in ("classes", "rebalanced")}
    rivals = {"prior": probabilities.predicted(world, fruits, constant)} | said
    off = pd.DataFrame({k: probabilities.total_variation(fruits, q) for k, q in rivals.items()})
    said["r w"] = probabilities.rebalanced(world, fruits, net, weights)
    wrong_by = probabilities.total_variation(fruits, said["rebalanced"], said["r w"])
    off["rebalanced, from r w"] = wrong_by
    frame = off.groupby(fruits.table.kind).mean()
    frame.loc["all objects"] = off.mean()
    for key, name in zip(("prior", "l2", "classes", "pw"), off.columns[[0, 1, 2, 4]], strict=True):
        record(f"total_variation_{key}", off[name].mean(), unit="mean over objects")
    record("nearer_r_w", (off["rebalanced"] - wrong_by).mean(), unit="total variation saved by r w")
    nearest = off[["prior", "L2", "classes"]].mean().idxmin()
    return nearest, frame.round(2), fruits, said


def with_apples(pictures: Pictures, count: int) -> list[int]:
    """The test pictures with the largest apples; of photographs the first."""
    if not pictures.worlds:
        return list(range(min(count, len(pictures.test[0]))))
    looks = object_colors(pictures.worlds["test"], {}).table
    apples = looks[looks.kind == "apple"].sort_values("pixels", ascending=False)
    return apples.picture.unique()[:count].tolist()


def frequencies(
    world: World | None,
    colourings: Mapping[str, Iterable[Tensor]],
    said: Mapping[str, Sequence[Tensor]] | None,
) -> pd.DataFrame | None:
    """How often apples have each of their colours: a row a way of colouring.

    A way is some colourings ab (N, 2, H, W) of all pictures. "none of these": the apple's mean is
    farther than 10 ab units from all that it can have. The row "predicted" is the mean of what
    "classes" is said to predict, (K + 1,) for each object.
    """
    if world is None:
        return left_out()
    looks = object_colors(world, {})
    modes = world.palette.kinds[world.palette.number("apple")].modes
    chosen = looks.table.kind.eq("apple").to_numpy().nonzero()[0].tolist()
    rows = {"the world": [*looks.probs[chosen[0]].tolist(), 0.0]}
    rows["predicted"] = torch.stack([said["classes"][i] for i in chosen]).nanmean(0).tolist()
    for name, drawings in colourings.items():
        counts = torch.zeros(len(modes) + 1)
        for ab in drawings:
            for i in chosen:
                mean = ab[looks.table.picture[i]][:, looks.visible[i, 0]].mean(1)
                distance, number = (looks.possible[i] - mean).norm(dim=1).min(0)
                counts[number if distance <= WITHIN else -1] += 1
        rows[name] = (counts / counts.sum()).tolist()
    columns = [*(mode.name for mode in modes), "none of these"]
    for name in colourings:
        record(f"none_{name.replace(' ', '_')}", rows[name][-1], unit="of the apples")
    record("red_drawn", rows["one draw per picture"][0], unit=f"of the apples are {columns[0]}")
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).round(2)


def recorded() -> pd.DataFrame:
    """The study of `scripts/rebalancing.py`; ``.attrs["about"]`` says how it was made."""
    frame = pd.read_csv(RECORDED, comment="#")
    about = RECORDED.read_text(encoding="utf-8").split("\n", 1)[0]
    frame.attrs["about"] = about.lstrip("# ")
    return frame

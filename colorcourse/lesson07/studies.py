"""What lesson 7 measures: a flow of numbers, drawn colours beside known ones, steps, guidance.

Draws of a world's pictures are ab (D, N, 2, H, W): D colourings of each of its N pictures.
"""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from colorcourse.lesson05.comparisons import colour_names, toy_numbers  # noqa: F401 - for the lesson
from colorcourse.lesson06.studies import middle
from colorcourse.recording import record
from colorkit.device import seed_everything
from colorkit.flow import SCALE, FlowColorizer, Velocity, enlarge, noise_like, shrink
from colorkit.metrics import colorfulness
from colorkit.models import Colorizer
from colorkit.models.colorizer import evaluating
from colorkit.objects import ObjectColors, object_colors
from colorkit.plots import fitted_rgb
from colorkit.run import Run
from colorkit.worlds import World, orchard

RECORDED = Path(__file__).parents[1] / "recorded" / "flow_models.csv"
RARE = 0.151  # a colour that its kind has with at most 15%
WITHIN = 15.0  # ab units about a colour that an object can have
Count = Callable[..., Tensor]  # the exercise "flow.dice"

# --- numbers --------------------------------------------------------------------------------------


def learn_numbers(loss: Callable, steps: int, seed: int) -> Velocity:
    """The velocity of the two hills of lesson 5, learnt by a student's loss."""
    seed_everything(seed)
    net = nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(net.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def model(x: Tensor, t: Tensor, given: None = None) -> Tensor:
        return net(torch.cat([x, t.view(-1, 1)], 1))

    def draw(data: Tensor) -> tuple[Tensor, Tensor]:
        return torch.randn_like(data), torch.rand(len(data))

    for _ in range(steps):
        optimizer.zero_grad()
        loss(model, toy_numbers(512), None, draw).backward()
        optimizer.step()
        schedule.step()
    return torch.no_grad()(model)


def drawn_numbers(
    velocity: Velocity, sampler: Callable, steps: Sequence[int], seed: int
) -> pd.DataFrame:
    """Where 5,000 numbers end, by the sampler's steps: a row each, and one of true numbers."""
    seed_everything(seed)
    noise, found = torch.randn(5000, 1), {"true": toy_numbers(5000)}
    found |= {f"{n} steps": sampler(velocity, noise, n) for n in steps}
    rows = {
        name: {
            "mean": x.mean().item(),
            "deviation": x.std().item(),
            "right hill": (x > 0).float().mean().item(),
            "within 0.7 of 0": (x.abs() < 0.7).float().mean().item(),
        }
        for name, x in found.items()
    }
    frame = pd.DataFrame(rows).T
    one, many = frame.loc[f"{steps[0]} steps"], frame.loc[f"{steps[-1]} steps"]
    record("toy_spread_of_one_step", one.deviation, "deviation; of true numbers 1.9")
    record("toy_right_hill", many["right hill"], "of the numbers; true 0.3")
    record("toy_between", many["within 0.7 of 0"], "of the numbers; true 0.006")
    return frame


def where_one_step_ends(ends: pd.DataFrame) -> str:
    """In the words of the lesson's question."""
    one = ends.loc["1 steps"]
    if one.deviation < 0.6:
        return "all near the mean of the data"
    few = one["right hill"] < 0.05
    return "all in the larger hill" if few else "in both hills, about 70% to 30%"


# --- drawn colours --------------------------------------------------------------------------------


def draws(net: FlowColorizer, world: World, count: int, seed: int) -> Tensor:
    """`count` colourings of all pictures of a world, with noise of its own for each picture."""
    parts = world.L.split(50)
    return torch.cat([net.samples(L, count, 1000 * seed + i) for i, L in enumerate(parts)], 1)


def first(world: World, count: int) -> World:
    """The first pictures of the orchard `world`."""
    return orchard(count, world.size, world.seed)


def known_draws(world: World, count: int, seed: int) -> Tensor:
    """`count` colourings of all pictures from the known distribution, as a perfect model draws."""
    generator, found = torch.Generator().manual_seed(seed), []
    for i in range(len(world)):
        ab = world.ab[i].expand(count, -1, -1, -1)
        for posterior in world.posterior(i):
            modes = torch.multinomial(posterior.probs, count, True, generator=generator)
            ab = torch.where(posterior.visible, posterior.ab[modes], ab)
        found.append(ab)
    return torch.stack(found, 1)


def drawn_in(steps: int, net: FlowColorizer, world: World, count: int, seed: int) -> Tensor:
    """`draws` with another number of steps."""
    other = copy.copy(net)  # with the same weights; net stays as it is
    other.steps = steps
    return draws(other, world, count, seed)


def answers(model: Colorizer, world: World) -> Tensor:
    """The one answer of a model, as draws (1, N, 2, H, W)."""
    return torch.cat([model.colorize(L) for L in world.L.split(50)])[None].cpu()


def colours_of(objects: ObjectColors, drawn: Tensor) -> Tensor:
    """The mean colour of each of M objects in each of D draws: (M, D, 2)."""
    pairs = zip(objects.table.picture, objects.visible[:, 0], strict=True)
    return torch.stack([drawn[:, i][:, :, where].mean(2) for i, where in pairs])


def shares(objects: ObjectColors, drawn: Tensor, count: Count) -> list[Tensor]:
    """Of each object (K + 1,): how often it gets each of its colours, and none of them."""
    pairs = zip(colours_of(objects, drawn), objects.possible, strict=True)
    return [count(colours, possible, WITHIN) for colours, possible in pairs]


def by_kind(world: World, ways: Mapping[str, Tensor], count: Count) -> pd.DataFrame:
    """How often each kind gets each of its colours: a row a kind and colour, a column a way.

    The column "true" is the known distribution; the last row of a kind is "none of them".
    """
    objects = object_colors(world, {})
    columns = {"true": [torch.cat([p, p.new_zeros(1)]) for p in objects.probs]}
    columns |= {name: shares(objects, drawn, count) for name, drawn in ways.items()}
    rows = [
        {"kind": kind, "colour": number, name: float(share)}
        for name, values in columns.items()
        for kind, own in zip(objects.table.kind, values, strict=True)
        for number, share in enumerate(own)
    ]
    return pd.DataFrame(rows).groupby(["kind", "colour"])[list(columns)].mean()


def total_variation(often: pd.DataFrame) -> pd.DataFrame:
    """Half of the summed differences to the column "true": a row a kind and their mean."""
    off = often.drop(columns="true").sub(often.true, axis=0).abs()
    frame = off.groupby("kind").sum() / 2
    frame.loc["mean"] = frame.mean()
    return frame


def how_often_red(often: pd.DataFrame) -> str:
    """How often apples are red, in the words of the lesson's question."""
    red = often.loc[("apple", 0)].flow
    record("apples_red", red, "of the draws; true 0.5")
    record("off_by_kind", total_variation(often).flow["mean"], "total variation, mean over kinds")
    if red < 0.2:
        return "in hardly any, as with the GAN"
    return "in about half" if red < 0.8 else "in nearly all: the most frequent colour wins"


def rarer(frame: pd.DataFrame) -> str:
    """What guidance does to rare colours, in the words of the lesson's question."""
    before, after = frame.rare.iloc[[0, -1]]
    record("rare_at_most_guidance", after, f"mean share of rare colours; with w = 1 {before:.3f}")
    record("alike_by_guidance", frame.same.iloc[-1] - frame.same.iloc[0], "more equal pairs")
    if after < 0.9 * before:
        return "they become rarer"
    return "nothing" if after <= 1.1 * before else "they become more frequent"


def variation_of_objects(objects: ObjectColors, drawn: Tensor, count: Count) -> Tensor:
    """The total variation of each object by itself, (M,): does it have all its colours?"""
    pairs = zip(shares(objects, drawn, count), objects.probs, strict=True)
    return torch.stack([(q - torch.cat([p, p.new_zeros(1)])).abs().sum() / 2 for q, p in pairs])


def coherence(world: World, drawn: Tensor) -> pd.Series:
    """Has an object one colour, and two of a kind in one picture colours of their own?

    Means over draws and objects, or pairs of objects. ``within``: share of an object's pixels
    within 15 units of one of its colours, the same for the whole object; ``same``: how often both
    of a pair are nearest to the same colour. Objects are coloured independently of each other.
    """
    objects, rows = object_colors(world, {}), []
    for picture, table in objects.table.groupby("picture"):
        posterior = world.posterior(picture)
        for where in objects.visible[list(table.index)]:
            possible = next(p.ab for p in posterior if torch.equal(p.visible[0], where))
            off = (drawn[:, picture, None] - possible)[..., where[0]].norm(dim=2)  # (D, K, n)
            best = off.mean(2).argmin(1)
            rows.append((off[torch.arange(len(off)), best] <= WITHIN).float().mean())
    colours = zip(colours_of(objects, drawn), objects.possible, strict=True)
    numbers = [torch.cdist(x, possible).argmin(1) for x, possible in colours]
    pairs = [
        (numbers[i] == numbers[j]).float().mean()
        for _, alike in objects.table.groupby(["picture", "kind"])
        for i, j in combinations(alike.index, 2)
    ]
    same = torch.stack(pairs).mean().item() if pairs else float("nan")
    return pd.Series({"within": torch.stack(rows).mean().item(), "same": same})


def beside_true(world: World, drawn: Tensor, seed: int) -> pd.DataFrame:
    """The `coherence` of a flow's draws, and of as many from the known distribution."""
    ways = {"flow": drawn, "true draws": known_draws(world, len(drawn), seed)}
    frame = pd.DataFrame({name: coherence(world, x) for name, x in ways.items()}).T
    record("within", frame.within["flow"], "of an object's pixels, of one of its colours")
    off = abs(frame.same["flow"] - frame.same["true draws"])
    record("same_off", off, "off the true share of equal pairs")
    return frame


def of_many(world: World, drawn: Tensor, counts: Sequence[int]) -> pd.DataFrame:
    """What many draws are good for: a row a number K of draws.

    Medians over the objects, in ab units: the distance of the draws' mean to the oracle's, which
    is L2's best answer, and of the best draw to the truth.
    """
    objects, rows = object_colors(world, {}), {}
    colours = colours_of(objects, drawn)
    truth, oracle = objects.ab["truth"], objects.ab["oracle"]
    for k in counts:
        part = colours[:, :k]
        rows[k] = {
            "mean to oracle": (part.mean(1) - oracle).norm(dim=1).median().item(),
            "best to truth": (part - truth[:, None]).norm(dim=2).amin(1).median().item(),
        }
    frame = pd.DataFrame(rows).T.rename_axis("draws")
    record("mean_to_oracle", frame["mean to oracle"].iloc[-1], "ab units; of the most draws")
    return frame


def over(
    name: str,
    values: Sequence,
    net: FlowColorizer,
    world: World,
    count: Count,
    draws_each: int,
    seed: int,
) -> pd.DataFrame:
    """Quality over the values of the network's attribute `name`, such as "steps": a row a value."""
    other, rows = copy.copy(net), {}  # with the same weights; net stays as it is
    true = colorfulness(fitted_rgb(world.L, world.ab)).mean().item()
    for value in values:
        setattr(other, name, value)
        begun = time.perf_counter()
        drawn = draws(other, world, draws_each, seed)
        spent = time.perf_counter() - begun
        often = by_kind(world, {"drawn": drawn}, count)
        off = total_variation(often).drawn["mean"]
        seldom = often.drawn[often.true.between(0.01, RARE)].mean()
        vivid = colorfulness(fitted_rgb(world.L, drawn[0])).mean().item() / true
        rows[value] = {"total variation": off, "rare": seldom, **coherence(world, drawn)}
        rows[value]["colorfulness"] = vivid
        rows[value]["ms a picture"] = 1000 * spent / (draws_each * len(world))
    return pd.DataFrame(rows).T.rename_axis(name)


def back(x: Tensor, now: float, then: float) -> Tensor:
    """x (N, 2, h, w) at time `now` taken back to the time `then`: less of it, and new noise."""
    share = then / now
    rest = (1 - then) ** 2 - (share * (1 - now)) ** 2  # of the noise's variance
    return share * x + rest**0.5 * noise_like(x)


def apples_under_hints(
    net: FlowColorizer, world: World, with_hint: Callable, count: Count, apples: int, seed: int
) -> pd.DataFrame:
    """How often the largest apples get each colour, in 8 draws each.

    A row a hint, 8 x 8 pixels in the middle, and a number of times that each step is taken; what
    counts is the mean colour of the other pixels.
    """
    seed_everything(seed)
    objects, device, rows = object_colors(world, {}), next(net.parameters()).device, {}
    of = objects.table[objects.table.kind == "apple"].nlargest(apples, "pixels").index
    names = [mode.name for mode in world.palette.kinds[world.palette.number("apple")].modes]
    for times, (number, name) in product((1, 4), enumerate(["no hint", *names])):
        found = []
        for i in of:
            L = world.L[objects.table.picture[i]].expand(8, -1, -1, -1).to(device)
            row, column = (x // 2 for x in middle(objects.visible[i]))
            x = noise_like(shrink(L.expand(-1, 2, -1, -1)))
            mask = torch.zeros_like(x[:, :1], dtype=torch.bool)
            mask[..., row - 1 : row + 3, column - 1 : column + 3] = number > 0
            known = objects.possible[i][number - 1].view(1, 2, 1, 1).to(device) / SCALE
            with torch.no_grad(), evaluating(net):
                x = with_hint(net.field(L), x, known, mask, 8, times)
            hinted = mask[0, 0].repeat_interleave(2, 0).repeat_interleave(2, 1).cpu()
            rest = objects.visible[i, 0] & ~hinted[: L.shape[2], : L.shape[3]]
            colours = enlarge(x, L).cpu()[:, :, rest].mean(2)
            found.append(count(colours, objects.possible[i], WITHIN))
        rows[times, name] = torch.stack(found).mean(0).tolist()
    followed = sum(rows[4, name][k] for k, name in enumerate(names)) / len(names)
    record("hints_followed", followed, "of the draws, each step taken four times")
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=[*names, "none of them"])
    frame.index = pd.MultiIndex.from_tuples(rows, names=["times", "hint"])
    return frame


def learned(run: Run) -> pd.DataFrame:
    """The loss at the beginning and at the end of a training, means of a tenth of it each."""
    losses = pd.DataFrame(run.history).loss
    tenth = max(1, len(losses) // 10)
    return pd.DataFrame(
        {"first tenth": [losses[:tenth].mean()], "last tenth": [losses[-tenth:].mean()]}
    )


# --- the recorded study ---------------------------------------------------------------------------


def recorded() -> pd.DataFrame:
    """The study of `scripts/flow.py`; ``.attrs["about"]`` says how it was made."""
    frame = pd.read_csv(RECORDED, comment="#")
    frame.attrs["about"] = RECORDED.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")
    return frame


def study_table(study: pd.DataFrame) -> pd.DataFrame:
    """Means over the seeds, a row a model; recorded is what holds for every seed."""
    by_model = dict(iter(study.groupby("model")))
    flow, one = by_model["flow"], study[study.model.isin(["classes", "rebalanced", "GAN"])]
    drawn = by_model["classes, drawn"]
    true = by_model["true draws"].same.mean()
    record("flow_off_by_kind", flow.kinds.max(), "total variation, the largest of the seeds")
    record("flow_lead", one.low.min(), "total variation by object, least end of all intervals")
    record("flow_within", flow.within.min(), "of an object's pixels, the least of the seeds")
    record("flow_same", (flow.same - true).abs().max(), "off the true share of equal pairs")
    record("classes_lead", -drawn.high.max(), "the same, drawn classes over the flow")
    record("classes_same", drawn.same.min(), "share of equal pairs")
    means = study.groupby("model", sort=False)[["kinds", "objects", "within", "same"]].mean()
    return means.round(2)

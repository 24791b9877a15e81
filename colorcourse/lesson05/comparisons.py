"""What lesson 5 measures: a toy game, the instruments of a game, and which colours are chosen."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from colorcourse import record
from colorcourse.lesson03.photographs import left_out, oracle_of  # noqa: F401 - for the lesson
from colorcourse.lesson05 import bears, clinic  # noqa: F401 - the lesson takes bears from here
from colorkit.data.pictures import Pair, Pictures
from colorkit.device import seed_everything
from colorkit.evaluate import paired_difference, score_models, table
from colorkit.losses import accuracy, generator_loss, l1
from colorkit.models import Colorizer
from colorkit.models.colorizer import evaluating
from colorkit.objects import ObjectColors, object_colors

RECORDED = Path(__file__).parents[1] / "recorded"
POSSIBLE = 10.0  # ab units around a possible colour
TOY_GRID = torch.linspace(-4.5, 4.5, 91)
PROBES = 16  # pictures on which the instruments are read


# --- a game of numbers ----------------------------------------------------------------------------


def toy_numbers(n: int) -> Tensor:
    """(n, 1) numbers: 70% around -2 and 30% around 2, both with a standard deviation of 0.5."""
    return torch.where(torch.rand(n, 1) < 0.7, -2.0, 2.0) + 0.5 * torch.randn(n, 1)


class ToySnapshot(NamedTuple):
    """What both networks do at one moment."""

    made: Tensor  # (2000,) numbers
    believes: Tensor  # D, from 0 to 1, at TOY_GRID
    losses: tuple[float, float]  # the discriminator's, the generator's


def play_toy(loss_D: Callable, loss_G: Callable, steps: int, seed: int) -> dict[int, ToySnapshot]:
    """Train a GAN of one dimension by both losses of the lesson; about 20 snapshots by step."""
    seed_everything(seed)
    G, D = (
        nn.Sequential(
            *(nn.Linear(1, 48), nn.LeakyReLU(0.2), nn.Linear(48, 48), nn.LeakyReLU(0.2)),
            nn.Linear(48, 1),
        )
        for _ in range(2)
    )
    of_G, of_D = (torch.optim.Adam(n.parameters(), 1e-3, betas=(0.5, 0.999)) for n in (G, D))
    kept = {}
    for step in range(steps + 1):
        true, made = toy_numbers(256), G(torch.randn(256, 1))
        of_D.zero_grad()
        of_true = loss_D(D(true), D(made.detach()))
        of_true.backward()
        of_D.step()
        of_G.zero_grad()
        of_made = loss_G(D(made), made, made, 0.0)
        if step % max(1, steps // 20) == 0:
            with torch.no_grad():
                numbers, believes = G(torch.randn(2000, 1))[:, 0], D(TOY_GRID[:, None])[:, 0]
            losses = of_true.item(), of_made.item()
            kept[step] = ToySnapshot(numbers, believes.sigmoid(), losses)
        of_made.backward()
        of_G.step()
    made = kept[max(kept)].made
    record("toy_right_hill", (made > 0).float().mean(), "of the numbers; true 0.3")
    record("toy_between", (made.abs() < 0.7).float().mean(), "of the numbers; true 0.006")
    return kept


# --- instruments ----------------------------------------------------------------------------------


def gradient_share(made: Tensor, adversarial: Tensor, pixel: Tensor, lam: float) -> float:
    """The adversarial part of the gradient at the generator's output, by norms: from 0 to 1."""
    (pull,) = torch.autograd.grad(adversarial, made, retain_graph=True)
    (hold,) = torch.autograd.grad(lam * pixel, made, retain_graph=True)
    return (pull.norm() / (pull.norm() + hold.norm()).clamp_min(1e-30)).item()


def instruments(G: nn.Module, D: nn.Module, pair: Pair, lam: float) -> dict[str, float]:
    """Three readings of a game, on the first pictures of (L, ab): it changes neither player.

    ``right`` and ``gray`` are the balanced accuracy of the discriminator, over patches, on true
    against generated and on true against gray pictures; ``adversarial`` is the mean of -log D and
    ``pixel`` L1, of generated ones; ``share`` is `gradient_share`.
    """
    device = next(D.parameters()).device
    L, ab = (plane[:PROBES].to(device) for plane in pair)
    with evaluating(G), evaluating(D):
        made = G(L).detach().requires_grad_()
        answer = D(L, made)
        adversarial, pixel = generator_loss(answer), l1(made, ab)
        share = gradient_share(made, adversarial, pixel, lam)
        with torch.no_grad():
            true, gray = D(L, ab), D(L, torch.zeros_like(ab))
    right, know = (accuracy(true, other.detach()).item() for other in (answer, gray))
    losses = {"adversarial": adversarial.item(), "pixel": pixel.item()}
    return {"right": right, "gray": know, "share": share} | losses


def state_of(log: Sequence[dict[str, float]], lam: float) -> tuple[str, str]:
    """Record a game's late instruments; the clinic's name for it, and its rule.

    What G minimised beside lam times L1 is taken from its own loss, so that swapped labels show.
    """
    late = pd.DataFrame(log[2 * len(log) // 3 :]).mean()
    for name in ("right", "gray", "share", "loss_D"):
        record(f"game_{name}", late[name], "mean of the last third")
    rows = [
        {"discriminator_loss": row["loss_D"], "gray": row["gray"], "share": row["share"]}
        | {"adversarial": row["loss_G"] - lam * row["pixel"]}
        for row in log
    ]
    return clinic.diagnosis(clinic.Log(rows)), clinic.RULE


# --- colours --------------------------------------------------------------------------------------


def possible(objects: ObjectColors, name: str) -> Tensor:
    """Whether a model gives each object a colour it could have: float32 (M,) of 0 and 1."""
    return (objects.nearest(name)[1] <= POSSIBLE).float()


def chosen(objects: ObjectColors, names: Sequence[str]) -> pd.DataFrame:
    """How often each kind gets each of its colours, by a model, beside the true distribution.

    A row for each kind and number of a colour (the last: none of them), the column ``true`` and one
    for each name.
    """
    columns = {"true": objects.probs}
    for name in names:
        numbers, distances = objects.nearest(name)
        columns[name] = [
            torch.eye(len(p) + 1)[int(n) if d <= POSSIBLE else -1]
            for p, n, d in zip(objects.probs, numbers, distances, strict=True)
        ]
    kinds = objects.table.kind
    rows = [
        {"kind": kind, "colour": number, name: float(share)}
        for name, values in columns.items()
        for kind, p in zip(kinds, values, strict=True)
        for number, share in enumerate(p)
    ]
    return pd.DataFrame(rows).groupby(["kind", "colour"])[list(columns)].mean().fillna(0.0)


def judged(nets: Mapping[str, Colorizer], pictures: Pictures) -> pd.DataFrame:
    """A row a model, on the test pictures.

    Beside the columns of `colorkit.evaluate`: ``l1`` in ab units; in a made world ``possible``, the
    share of objects with a possible colour, and of apples that are ``red``, ``green``, ``yellow``.
    """
    frame = table(
        score_models(nets, pictures.batches(), ["auc", "within_10", "colorfulness_ratio"])
    )
    L, ab = pictures.test
    frame["l1"] = [l1(net.colorize(L), ab).item() for net in nets.values()]
    if not pictures.worlds:
        return frame
    objects = object_colors(pictures.worlds["test"], nets)
    frame["possible"] = [possible(objects, name).mean().item() for name in nets]
    often = chosen(objects, list(nets))
    for number, name in enumerate(("red", "green", "yellow")):
        frame[name] = often.loc[("apple", number)]
    return frame


def lead_table(
    nets: Mapping[str, Colorizer], pictures: Pictures, name: str
) -> tuple[str, pd.DataFrame] | tuple[None, None]:
    """In possible colours, with 95% intervals: one network's lead over the start and the control
    (the first two others), and the control's own over the start; before it `part_left` of it."""
    if not pictures.worlds:
        left_out()
        return None, None
    objects = object_colors(pictures.worlds["test"], nets)
    could = {net: possible(objects, net) for net in nets}
    start, control = [net for net in nets if net != name][:2]
    pairs = ((name, start), (name, control), (control, start))
    rows = {f"{a} - {b}": paired_difference(could[a], could[b])._asdict() for a, b in pairs}
    frame = pd.DataFrame(rows).T
    over_l2, _, of_control = frame.difference
    record("lead_over_l2", over_l2, "of the objects, in possible colours")
    record("lead_of_control", of_control, "of the objects: the control's own, over L2")
    return part_left(frame), frame.round(3)


def part_left(leads: pd.DataFrame) -> str:
    """How much of the first lead the second one is, in the words of the lesson's question."""
    _, left, of_control = leads.low
    if left <= 0:
        return "nothing that can be told from chance"
    return "a part of it" if of_control > 0 else "practically all of it"


def with_apples(pictures: Pictures, count: int) -> Pair:
    """L and ab of the first test pictures with an apple; of photographs those of the first."""
    chosen = list(range(len(pictures.test[0])))
    if world := pictures.worlds.get("test"):
        chosen = [i for i in chosen if "apple" in {thing.kind for thing in world.objects(i)}]
    return tuple(plane[chosen[:count]] for plane in pictures.test)


def chosen_by(nets: Mapping[str, Colorizer], pictures: Pictures) -> pd.DataFrame:
    """`chosen` on the test pictures."""
    return chosen(object_colors(pictures.worlds["test"], nets), list(nets))


def by_kind(nets: Mapping[str, Colorizer], pictures: Pictures) -> pd.DataFrame | None:
    """The share of each kind with a possible colour: a row a kind, a column a network."""
    if pictures.worlds:
        often = chosen_by(nets, pictures)
        return (1 - often.drop(columns="true").groupby("kind").last()).round(2)


def colours_of(kind: str, nets: Mapping[str, Colorizer], pictures: Pictures) -> tuple[dict, dict]:
    """Means over all objects of a kind: name to (probability, ab) of its possible colours, and
    network to the ab that it gives; the oracle gives the mean of the former."""
    objects, names = object_colors(pictures.worlds["test"], nets), colour_names(pictures)
    of = [i for i, own in enumerate(objects.table.kind) if own == kind]
    possible = torch.stack([objects.possible[i] for i in of]).mean(0)
    probs = torch.stack([objects.probs[i] for i in of]).mean(0)
    pairs = zip(probs.tolist(), possible, strict=True)
    given = {name: objects.ab[name][of].mean(0) for name in ("oracle", *nets)}
    return {names[kind, k]: pair for k, pair in enumerate(pairs)}, given


def colour_names(pictures: Pictures) -> dict[tuple[str, int], str]:
    """(kind, number of a colour) to its name."""
    kinds = pictures.worlds["test"].palette.kinds
    return {(kind.name, k): mode.name for kind in kinds for k, mode in enumerate(kind.modes)}


# --- recorded studies -----------------------------------------------------------------------------


def recorded(name: str, models: Sequence[str] = ()) -> pd.DataFrame:
    """A study of `scripts/adversarial.py`, of these models in their order, or of all.

    ``.attrs["about"]`` says how it was made.
    """
    path = RECORDED / f"adversarial_{name}.csv"
    frame = pd.read_csv(path, comment="#")
    if models:
        frame = pd.concat([frame[frame.model == model] for model in models])
    frame.attrs["about"] = path.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")
    return frame


def mean_table(study: pd.DataFrame) -> pd.DataFrame:
    """The means over the seeds, a row a model; recorded is what holds for every seed."""
    could, vivid, auc = (
        study.pivot(index="seed", columns="model", values=column)
        for column in ("possible", "colorfulness_ratio", "auc")
    )
    over = could["GAN"] - could["control"]
    record("seeds_lead_over_l2", (could["GAN"] - could["L2"]).min(), "the least of five seeds")
    record("seeds_lead_over_control", over.min(), "the least of five seeds")
    record("seeds_lead_at_most", over.max(), "over the control, the largest of five seeds")
    record("seeds_lead_over_l1", (could["GAN"] - could["L1"]).mean(), "mean of five seeds")
    record("seeds_vivid", vivid["GAN"].min(), "colorfulness, the least of five seeds")
    record("seeds_auc_cost", (auc["control"] - auc["GAN"]).min(), "the least of five seeds")
    columns = ["l1", "auc", "within_10", "colorfulness_ratio", "possible"]
    return study.groupby("model", sort=False)[columns].mean().round(3)


def painted_brown() -> pd.DataFrame:
    """The study of bears: a row a seed, brightness and ground, a column a shape."""
    study = recorded("bears")
    study["model"] = study.brightness + ", " + study.ground
    frame = study.pivot(index=["seed", "model"], columns="shape", values="brown").reset_index()
    return frame[::-1]  # dark ones first


def favourite(often: pd.DataFrame) -> str:
    """The colour that the GAN gives most apples, in the words of the lesson's question."""
    words = ["red, the most frequent one", "green", "yellow, the one in between"]
    return words[int(often.loc["apple"].GAN.iloc[:3].argmax())]

"""Run the studies of lesson 5 and write their CSVs, several runs at a time.

    python scripts/adversarial.py [folder]

The first line of a file says how it was made. About two minutes on a GPU, an hour on two cores.
`game` is the loop of the lesson's cells, around the exercise `play`.
"""

import copy
import multiprocessing
import os
import platform
import sys
import time
from itertools import chain, count, islice
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from colorcourse.lesson05 import bears
from colorcourse.lesson05.comparisons import RECORDED, instruments, judged
from colorcourse.lesson05.exercises import play
from colorcourse.profiles import settings
from colorkit import models
from colorkit.batches import Batches
from colorkit.bins import ab_bins, estimate_prior, rebalancing_weights
from colorkit.data.pictures import Pair, Pictures, lesson_pictures
from colorkit.device import pick_device, seed_everything
from colorkit.files import write_whole
from colorkit.fit import fit, rate_share
from colorkit.losses import Classification, l1, l2, regression
from colorkit.models.colorizer import Colorizer
from colorkit.worlds import bears as draw_bears

PROFILE = os.environ.get("STUDY_PROFILE", "laptop")


def untrained(cfg, seed: int) -> models.UNet:
    seed_everything(seed)
    return models.UNet(cfg.width, 3)


def trained(net: nn.Module, objective, pair: Pair, steps: int, cfg, seed: int) -> nn.Module:
    """Train by a written loss at the lesson's rate; the network."""
    data = Batches(pair, cfg.batch, seed=seed)
    fit(net, objective, data, steps, lr=cfg.lr, seed=seed, callbacks=())
    return net


def game(start: nn.Module, pair: Pair, cfg, seed: int, **how) -> tuple[nn.Module, nn.Module, dict]:
    """A copy of the generator after a game, the average of its weights, and the last instruments.

    `how` may give lam, lr of the generator, steps, a discriminator, and whether it counts.
    """
    how = {"lam": cfg.lam, "lr": cfg.gan_lr, "steps": cfg.steps, "discriminator": None} | how
    adversarial = how.get("adversarial", True)
    device = pick_device()
    G = copy.deepcopy(start).to(device).train()
    seed_everything(seed)
    D = how["discriminator"] or models.PatchDiscriminator(cfg.discriminator_width, 16)
    D.to(device)
    rates = {"G": how["lr"], "D": cfg.discriminator_lr}
    of_G, of_D = (
        torch.optim.Adam(net.parameters(), rates[name], betas=(0.5, 0.999))
        for name, net in (("G", G), ("D", D))
    )
    average = AveragedModel(G, multi_avg_fn=get_ema_multi_avg_fn(cfg.keep), use_buffers=True)
    data = Batches(pair, cfg.batch, seed=seed, device=device)
    stream = chain.from_iterable(data(epoch, 0) for epoch in count())
    rounds = how["steps"] // cfg.round
    for k in range(rounds):
        of_G.param_groups[0]["lr"] = rates["G"] * rate_share("cosine", k, rounds)
        of_D.param_groups[0]["lr"] = rates["D"] * rate_share("cosine", k, rounds)
        play(G, D, of_G, of_D, islice(stream, cfg.round), how["lam"], adversarial)
        average.update_parameters(G)
    readings = instruments(G, D, pair, how["lam"])
    return G.eval(), average.module.eval(), readings


class Drawn(Colorizer):
    """One draw a picture from a classifier's distributions, in place of their annealed mean."""

    def __init__(self, classifier: models.Classifier) -> None:
        self.classifier = classifier

    def predict(self, L):
        return self.classifier.samples(L, 1)[0]


def pictures_of(cfg) -> Pictures:
    return lesson_pictures("orchard", cfg.pictures, cfg.held_out, cfg.size, 0)


def compare_losses(cfg, seed: int) -> pd.DataFrame:
    """A row a way to train, all for the same steps: written losses, the game, classes."""
    pictures = pictures_of(cfg)
    every, pair = cfg.before + cfg.steps, pictures.train
    start = trained(untrained(cfg, seed), regression(l2), pair, cfg.before, cfg, seed)
    bins = ab_bins()
    weights = rebalancing_weights(estimate_prior(pictures.batches("train"), bins).p)
    nets = {
        "L2 first": start,
        "gray": models.Gray(),
        "oracle": models.Oracle(pictures.worlds["test"]),
    }
    for name, loss in (("L2", l2), ("L1", l1)):
        nets[name] = trained(untrained(cfg, seed), regression(loss), pair, every, cfg, seed)
    for name, w in (("classes", None), ("rebalanced", weights)):
        net = models.Classifier(untrained(cfg, seed), bins, scale=2)
        nets[name] = trained(net, Classification(bins, w), pair, every, cfg, seed)
    nets["classes, drawn"] = Drawn(nets["classes"])
    nets["control"], *_ = game(start, pair, cfg, seed, adversarial=False)
    blind = models.PatchDiscriminator(cfg.discriminator_width, 16, sees="ab")
    nets["GAN, blind to L"], *_ = game(start, pair, cfg, seed, discriminator=blind)
    nets["GAN"], nets["GAN, averaged"], readings = game(start, pair, cfg, seed)
    frame = judged(nets, pictures)
    for name, value in readings.items():
        frame.loc["GAN", name] = value
    return frame


def sweep_lambda(cfg, seed: int) -> pd.DataFrame:
    """A row a lambda: games from the same start."""
    pictures = pictures_of(cfg)
    start = trained(untrained(cfg, seed), regression(l2), pictures.train, cfg.before, cfg, seed)
    nets, readings = {}, {}
    for lam in cfg.lambdas:
        nets[f"{lam:g}"], _, readings[f"{lam:g}"] = game(start, pictures.train, cfg, seed, lam=lam)
    return judged(nets, pictures).join(pd.DataFrame(readings).T)


def compare_starts(cfg, seed: int) -> pd.DataFrame:
    """A row a start and a learning rate of the generator: from scratch, or after L2."""
    pictures, nets = pictures_of(cfg), {}
    start = trained(untrained(cfg, seed), regression(l2), pictures.train, cfg.before, cfg, seed)
    for lr in (cfg.gan_lr, cfg.lr):
        nets[f"L2 first, {lr:g}"], *_ = game(start, pictures.train, cfg, seed, lr=lr)
        nets[f"from scratch, {lr:g}"], *_ = game(
            untrained(cfg, seed), pictures.train, cfg, seed, lr=lr, steps=cfg.before + cfg.steps
        )
    return judged(nets, pictures)


def paint_bears(cfg, seed: int) -> pd.DataFrame:
    """How a game that saw brown bears alone paints other objects: a row a combination."""
    zoo = draw_bears(cfg.bears, cfg.size, 1, kind="brown")
    start = untrained(cfg, seed)
    trained(start, regression(l2), (zoo.L, zoo.ab), cfg.bear_before, cfg, seed)
    net, *_ = game(start, (zoo.L, zoo.ab), cfg, seed, steps=cfg.bear_steps)
    rows = {}
    for levels, world in bears.crossed(cfg.bears_each, cfg.size, 7).items():
        said = bears.verdicts(world, net.colorize(world.L))
        rows[levels] = {name: said.count(name) / len(said) for name in bears.VERDICTS}
    return pd.DataFrame(rows).T.rename_axis(["shape", "brightness", "ground"])


STUDIES = {  # name: the function, how many seeds
    "losses": (compare_losses, 5),
    "starts": (compare_starts, 3),
    "lambdas": (sweep_lambda, 3),
    "bears": (paint_bears, 5),
}


def run(task: tuple[str, int]) -> tuple[str, pd.DataFrame]:
    """One seed of one study; its rows, the seed in the first column."""
    name, seed = task
    torch.set_num_threads(1)
    begun = time.monotonic()
    frame = STUDIES[name][0](settings("05_adversarial", PROFILE), seed).reset_index()
    frame.insert(0, "seed", seed)
    print(f"{name}, seed {seed}: {time.monotonic() - begun:.0f} s", flush=True)
    return name, frame


def main(folder: Path, workers: int) -> None:
    tasks = [(name, seed) for name, (_, seeds) in STUDIES.items() for seed in range(seeds)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        found = pool.map(run, tasks, chunksize=1)
    cfg = settings("05_adversarial", PROFILE)
    about = (
        f"# U-Net({cfg.width}, 3), {cfg.size} x {cfg.size} pixels, {cfg.before} + {cfg.steps} "
        f"steps of {cfg.batch}; device {pick_device().type}, "
        f"torch {torch.__version__.split('+')[0]}, Python {platform.python_version()}\n"
    )
    for name in STUDIES:
        frame = pd.concat([rows for own, rows in found if own == name]).sort_values("seed")
        text = frame.round(4).to_csv(index=False, lineterminator="\n")
        write_whole(folder / f"adversarial_{name}.csv", about + text)


if __name__ == "__main__":
    many = pick_device().type == "cuda"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else RECORDED, 6 if many else 2)

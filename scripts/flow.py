"""Run the study of lesson 7 and write its CSV: drawn and known frequencies, model by model.

    python scripts/flow.py [seeds]

Networks are those of lessons 4, 5 and 7 at profile laptop, on the same pictures; lesson 4's are
trained on as many batches as the flow, the GAN as in lesson 5. The first line of the file says how
it was made. About three quarters of an hour a seed on one core.
"""

import copy
import platform
import sys
import time

import pandas as pd
import torch

from colorcourse.lesson07 import studies
from colorcourse.lesson07.exercises import count_colours
from colorcourse.profiles import settings
from colorkit import models
from colorkit.batches import Batches
from colorkit.bins import ab_bins, estimate_prior, rebalancing_weights
from colorkit.data.pictures import Pictures, lesson_pictures
from colorkit.device import pick_device, seed_everything
from colorkit.evaluate import paired_difference
from colorkit.files import write_whole
from colorkit.fit import fit
from colorkit.flow import FlowColorizer, euler, flow_matching
from colorkit.losses import Classification, l2, regression
from colorkit.objects import object_colors
from scripts.adversarial import game


def eyes() -> models.ResNetColorizer:
    return models.ResNetColorizer(18, "worlds", frozen=True)


def flow(pictures: Pictures, cfg, seed: int, **options) -> FlowColorizer:
    """The network of lesson 7."""
    seed_everything(seed)
    net = FlowColorizer(eyes(), width=cfg.width, sampler=euler, steps=cfg.steps, **options)
    data = Batches(pictures.train, cfg.batch, seed=seed)
    how = {"lr": cfg.lr, "schedule": "one-cycle", "seed": seed, "callbacks": ()}
    fit(net, flow_matching, data, cfg.train_steps, **how)
    return net


def classes(pictures: Pictures, cfg, weights: torch.Tensor | None, seed: int) -> models.Classifier:
    """A large network of lesson 4, trained for as long as the flow."""
    own, memory = settings("04_classes", "laptop"), models.FeatureMemory()
    seed_everything(seed)
    trunk = models.ResNetColorizer(18, "worlds", width=own.width, frozen=True, memory=memory)
    net = models.Classifier(trunk, ab_bins(), scale=2, hidden=own.hidden)
    data = Batches(pictures.train, cfg.batch, seed=seed)
    how = {"lr": own.large_lr, "betas": (0.9, own.large_beta2), "schedule": "one-cycle"}
    how |= {"seed": seed, "callbacks": ()}
    fit(net, Classification(net.bins.clone(), weights), data, cfg.train_steps, **how)
    return net


def gan(pictures: Pictures, seed: int) -> models.UNet:
    """The generator of lesson 5 after its game."""
    cfg = settings("05_adversarial", "laptop")
    seed_everything(seed)
    net, data = models.UNet(cfg.width, 3), Batches(pictures.train, cfg.batch, seed=seed)
    fit(net, regression(l2), data, cfg.before, lr=cfg.lr, seed=seed, callbacks=())
    return game(copy.deepcopy(net), pictures.train, cfg, seed)[0]


def study(cfg, seed: int) -> pd.DataFrame:
    """A row a model; low to high: how much more total variation it has than the flow, by object."""
    pictures = lesson_pictures("orchard", cfg.pictures, cfg.held_out, cfg.size, 0)
    world = pictures.worlds["test"]
    prior = estimate_prior(pictures.batches("train"), ab_bins()).p
    nets = {"classes": classes(pictures, cfg, None, seed)}
    nets["rebalanced"] = classes(pictures, cfg, rebalancing_weights(prior), seed)
    nets["GAN"] = gan(pictures, seed)
    ways = {name: studies.answers(net, world) for name, net in nets.items()}
    ways["classes, drawn"] = nets["classes"].samples(world.L, cfg.draws, seed)
    plain = flow(pictures, cfg, seed, attend=lambda q, k, v: v)
    ways["flow without attention"] = studies.draws(plain, world, cfg.draws, seed)
    ways["flow"] = studies.draws(flow(pictures, cfg, seed), world, cfg.draws, seed)
    ways["true draws"] = studies.known_draws(world, cfg.draws, seed)
    off = studies.total_variation(studies.by_kind(world, ways, count_colours)).T
    objects, rows = object_colors(world, {}), {}
    alone = {k: studies.variation_of_objects(objects, x, count_colours) for k, x in ways.items()}
    for name, drawn in ways.items():
        behind = paired_difference(alone[name], alone["flow"])
        rows[name] = {"kinds": off["mean"][name], "objects": alone[name].mean().item()}
        rows[name] |= {**studies.coherence(world, drawn), "low": behind.low, "high": behind.high}
    return pd.DataFrame(rows).T.join(off.drop(columns="mean")).rename_axis("model")


def main(seeds: int = 3) -> None:
    cfg, frames, begun = settings("07_flow", "laptop"), [], time.monotonic()
    for seed in range(seeds):
        frames.append(study(cfg, seed).reset_index())
        frames[-1].insert(0, "seed", seed)
        print(f"seed {seed}: {time.monotonic() - begun:.0f} s\n{frames[-1].round(3)}", flush=True)
    about = (
        f"# orchard, {cfg.pictures} + {cfg.held_out} pictures of {cfg.size} x {cfg.size}, seeds 0 "
        f"to {seeds - 1}; flow and classes: {cfg.train_steps} steps of {cfg.batch}; flow: width "
        f"{cfg.width}, {cfg.draws} draws in {cfg.steps} steps of Euler; "
        f"device {pick_device().type}, torch {torch.__version__.split('+')[0]}, "
        f"Python {platform.python_version()}\n"
    )
    text = pd.concat(frames).round(4).to_csv(index=False, lineterminator="\n")
    write_whole(studies.RECORDED, about + text)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

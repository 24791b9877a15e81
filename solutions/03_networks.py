# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 3. Networks for pictures that they have never seen
#
# In lesson 2 a network learned one photograph by heart, and was useless for any other. Today networks
# must colour pictures they have *never* seen. You build two, train them and others, and find out what
# the best possible network would do: paint an apple brown, and be right.
#
# **After this lesson you can**
#
# - say how good a blind guess is, in four metrics, before you train anything;
# - write an encoder-decoder and a U-Net, and show what skip connections do;
# - say which colour a network gives to an apple that may be red, green or yellow, for three losses;
# - tell memorising from learning, and find five faults that no error message reports.
#
# **It takes** about an hour: five exercises, some minutes of computing. **It needs** lesson 2
# (convolutions, the training loop) and what a mean and a median are.

# %% tags=["bootstrap"]
# install colorkit where it is missing

# %% tags=["parameters"]
profile = None  # "ci", "laptop" or "gpu"; None asks $COLORKIT_PROFILE, else "laptop"
source = "orchard"  # a made world, or the folder of a store made by `colorkit data prepare`
size = None  # side of photographs in pixels; None: the profile's

# %%
from itertools import pairwise

import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import display
from torch import nn

from colorcourse import check, exercise, predict, record, reveal, settings, show_records
from colorcourse.lesson03.clinic import data_clinic
from colorcourse.lesson03.failures import boundary_mask, failures
from colorcourse.lesson03.figures import history_curves, study_curves, swatches
from colorcourse.lesson03.studies import mean_error, memorising, recorded
from colorkit import models
from colorkit.batches import Batches
from colorkit.data.pictures import lesson_pictures
from colorkit.device import pick_device, seed_everything
from colorkit.evaluate import compare, error_curves, score_models, skill_score, table
from colorkit.fit import fit
from colorkit.losses import l1, l2, regression, ssim_loss
from colorkit.objects import object_colors
from colorkit.plots import colorings, error_figure, show
from colorkit.progress import LivePlot

cfg, device = settings("03_networks", profile), pick_device()
print(f"profile {cfg.profile}, {device}: {cfg.pictures} pictures of {size or cfg.size} pixels")

# %% [markdown]
# ## The pictures
#
# We need many pictures, and we need to *know* their colours. So we draw them: an **orchard** of fruits
# on grass, wood, cloth and stone. Lightness is drawn first. Then each thing rolls dice for its colour:
# an apple is red, green or yellow with probabilities 0.5, 0.3 and 0.2. Nothing in the gray picture
# tells which. Real photographs are like that too; only, there nobody knows the dice.
#
# Three sets share no picture: one to train on, one to look at while training (*validation*), and one
# that we keep for the verdict (*test*). Below are test pictures, gray and true.

# %%
pictures = lesson_pictures(source, cfg.pictures, cfg.held_out, size or cfg.size, cfg.seed)
world = pictures.worlds.get("test")  # None for photographs: nobody knows their dice
L, ab = (plane[:6] for plane in pictures.test)
show(
    colorings(L, {"true": ab}),
    alt="Six made pictures, above in gray, below in colour: fruits on grounds such as grass, wood "
    "and cloth. Which of its colours a fruit has cannot be seen in gray.",
)
print({part: tuple(getattr(pictures, part)[0].shape) for part in ("train", "val", "test")})

# %% [markdown]
# ## What needs no network
#
# Five guesses that learn next to nothing: **gray**; the **mean colour** of all training pixels; the mean
# colour of pixels **of the same L**; the colours of a **random** training picture; those of its
# **nearest neighbour**, the training picture of most similar L. A network has to beat all of them.
#
# Papers report the **AuC**: the share of pixels whose colour is within *t* of the truth (Euclidean
# distance over *a* and *b*), averaged over *t* = 0, 1, ..., 150. Higher is better, 1 is perfect.
#
# **Exercise 1** (6 minutes). Write it, over all pixels of all pictures together. Before that, a bet.

# %%
predict(
    "networks.blind",
    "Which guess has the highest AuC?",
    ["gray", "mean colour", "mean of that L", "random picture", "nearest neighbour"],
)


# %%
@exercise("networks.auc")
def auc(prediction, truth):
    """Both (N, 2, H, W) in ab units -> share in [0, 1], a number: the AuC over all pixels."""
    ### BEGIN SOLUTION
    error = (prediction - truth).square().sum(dim=1).sqrt()
    return sum((error <= t).float().mean() for t in range(151)) / 151
    ### END SOLUTION


# %%
check("networks.auc")

# %%
blind = {
    "gray": models.Gray(),
    "mean colour": models.MeanColor(pictures.batches("train")),
    "mean of that L": models.MeanColorByLightness(pictures.batches("train")),
    "random picture": models.RandomPicture(pictures.batches("train"), seed=cfg.seed),
    "nearest neighbour": models.NearestNeighbor(pictures.batches("train")),
}
best = {"oracle": models.Oracle(world)} if world else {}
columns = ["mse", "within_10", "auc", "ssim", "colorfulness_ratio"]
blind_scores = score_models(blind | best, pictures.batches(), columns)
L, ab = pictures.test
own = {name: float(auc(guess.colorize(L), ab)) for name, guess in blind.items()}
blind_table = table(blind_scores)
display(blind_table.assign(your_auc=own).round(3))
show(
    error_figure(error_curves(blind_scores)),
    alt="Cumulative error of five blind guesses and the oracle: the share of pixels within a threshold, "
    "over the threshold. Gray has few pixels within 10, but also few with very large errors.",
)
record("auc_gray", blind_table.auc["gray"])
guesses = blind_table.auc.drop("oracle", errors="ignore")
reveal("networks.blind", guesses.idxmax(), f"{guesses.max():.3f}; gray has {guesses['gray']:.3f}.")

# %% [markdown]
# Why does gray, which knows nothing, have an AuC of about 0.8? Averaging over thresholds makes AuC a
# distance in disguise: about 1 - mean error / 151, on a scale so long that an error of 30 still scores
# 0.8. And gray lies in the middle of all colours: it is never *very* wrong. A bold guess is right now
# and then, and may be twice as wrong otherwise. So look at the share within 10 as well, and never at
# one number alone.
#
# The **oracle** is not a network either. It knows the dice, but not how they fell: it gives each pixel
# the *mean* of its possible colours. No model can have a lower expected squared error. So we know where
# the road ends, and measure how far along it a model gets: 0 is gray, 1 is the oracle.
#
# ## The way down, and the way up
#
# To know that this disc is an apple, a pixel must see all of it. Lesson 2 grew the receptive field by
# dilation, at full size. It is cheaper to make the picture small: at an eighth of the size, a 3 x 3
# kernel spans 24 pixels, and there is room for many channels.
#
# **Exercise 2** (6 minutes). The step down: half the height and width, a convolution with learnt
# weights, a normalisation, a ReLU. Any way is right that turns (N, `channels_in`, 32, 32) into
# (N, `channels_out`, 16, 16).


# %%
@exercise("networks.strided_block")
def strided_block(channels_in, channels_out):
    """Module: half the height and width (32 -> 16), convolution, normalisation, ReLU."""
    ### BEGIN SOLUTION
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )
    ### END SOLUTION


# %%
check("networks.strided_block")

# %% [markdown]
# On the way up the features grow again to full size. But *where* exactly the apple ended, to the pixel,
# was lost on the way down. The way down still had it: at each size, its features know the edges of that
# size. A **skip connection** carries them over (Ronneberger and others 2015). `deep` knows *what*,
# `skip` knows *where*: put both into one stack of channels, and let the next convolution choose.
#
# **Exercise 3** (5 minutes). Enlarge `deep` to the size of `skip`, and join them.


# %%
@exercise("networks.skip")
def join_skip(deep, skip):
    """deep (N, C1, h, w) enlarged to skip's size, joined with skip (N, C2, H, W): C1 + C2 channels."""
    ### BEGIN SOLUTION
    deep = F.interpolate(deep, skip.shape[-2:], mode="bilinear", align_corners=False)
    return torch.cat([deep, skip], dim=1)
    ### END SOLUTION


# %%
check("networks.skip")

# %% [markdown]
# Your two parts make two networks: an **encoder-decoder**, and with `skips=True` a small **U-Net**.
# `Network` of colorkit brings what every network here shares: it normalises *L*, pads any picture to a
# multiple of `stride` and crops the result, and its `colorize` brings colours into the gamut.
#
# `fit` is the loop that you wrote, grown up: a learning rate that rises and falls, validation, and a run
# that could be stopped and resumed. `train` seeds it, so that two networks see the same pictures in the
# same order. First the **ablation**, small, at 32 x 32: the same network with and without skips. We look
# at all pixels, and at those next to an edge between two things.


# %%
class Net(models.Network):
    """Raw L to raw ab, with or without skip connections."""

    def __init__(self, width=16, depth=3, skips=False):
        super().__init__()
        self.stride, self.skips = 2**depth, skips
        steps = list(pairwise([1] + [width * 2**k for k in range(depth)]))
        self.downs = nn.ModuleList(strided_block(a, b) for a, b in steps)
        self.ups = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(b + a * skips, max(a, width), 3, padding=1, bias=False),
                nn.BatchNorm2d(max(a, width)),
                nn.ReLU(),
            )
            for a, b in reversed(steps)
        )
        self.head = nn.Conv2d(width, 2, 1)

    def compute(self, x):
        sizes = [x]
        for down in self.downs:
            sizes.append(down(sizes[-1]))
        deep = sizes.pop()
        for up, side in zip(self.ups, reversed(sizes), strict=True):
            larger = F.interpolate(deep, side.shape[-2:], mode="bilinear", align_corners=False)
            deep = up(join_skip(deep, side) if self.skips else larger)
        return 50 * self.head(deep)


# %%
predict(
    "networks.skips",
    "Where do skip connections lower the error more?",
    ["next to edges", "far from edges", "equally"],
)


# %%
def train(build, pair, steps, loss=None, seed=cfg.seed, **options):
    """Seed, build a network, train it on the pair (L, ab); return it and its run."""
    seed_everything(seed)
    net = build().to(device)
    data = Batches(pair, min(cfg.batch, len(pair[0])), seed=seed)
    options = {"lr": cfg.lr, "schedule": "one-cycle", "callbacks": ()} | options
    return net, fit(net, loss or regression(l2), data, steps, seed=seed, **options)


small = lesson_pictures("orchard", cfg.small_pictures, cfg.small_held_out, 32, cfg.seed)
small_world = small.worlds["test"]
kinds = torch.cat([batch.kinds for batch in small_world.batches()])
L, ab = small.test
edges = boundary_mask(kinds).expand_as(ab)
nets = {}
for name, skips in (("without skips", False), ("with skips", True)):
    nets[name], run = train(lambda s=skips: Net(16, 3, skips=s), small.train, cfg.small_steps)
errors = {name: (net.colorize(L) - ab).square() for name, net in nets.items()}
ratios = {"next to edges": edges, "far from edges": ~edges}
for place, where in ratios.items():
    plain, skipped = (error[where].mean().item() for error in errors.values())
    print(f"{place}: ab MSE {plain:.0f} without skips, {skipped:.0f} with")
    ratios[place] = skipped / plain

# %%
show(
    colorings(L[:6], {"true": ab[:6]} | {n: net.colorize(L[:6]) for n, net in nets.items()}),
    alt="Six small pictures: gray, true, without and with skips. Without skips colours form soft "
    "clouds; with skips they follow the outlines of things more closely.",
)
record("skips_at_edges", ratios["next to edges"], unit="times the error without")
near, far = ratios.values()
answer = "equally" if abs(near - far) < 0.03 else min(ratios, key=ratios.get)
reveal("networks.skips", answer, f"Errors shrink to {near:.2f} at edges, {far:.2f} elsewhere.")

# %% [markdown]
# ## Full length
#
# Now in earnest, on all training pictures and at equal pictures seen: your encoder-decoder; one **with
# dense layers** behind it, which a report on synthetic faces found helpful (they know *where* in the
# picture they are, and fix its size); your U-Net; and the U-Net of the paper, with two convolutions at
# each size, full size included. This is the longest cell of the lesson. It ends with a live plot.

# %%
nets, samples = {}, tuple(plane[:5] for plane in pictures.val)
held_out = Batches(pictures.val, 50, in_order=True)
watching = {"validation": held_out, "callbacks": [LivePlot(samples, seconds=6)]}
nets["encoder-decoder"], _ = train(lambda: Net(16, 4), pictures.train, cfg.steps)
side = pictures.train[0].shape[-1]
dense = lambda: models.EncoderDecoder(16, 3, hidden=cfg.hidden, size=side)  # noqa: E731
nets["with dense layers"], _ = train(dense, pictures.train, cfg.steps)
nets["your U-Net"], _ = train(lambda: Net(16, 4, skips=True), pictures.train, cfg.steps)
nets["U-Net"], run = train(
    lambda: models.UNet(cfg.width, cfg.depth), pictures.train, cfg.steps, **watching
)

# %% [markdown]
# Is the difference between two rows *real*, or luck with these test pictures? Two separate error bars
# do not tell: pictures differ, and that part is the same for both models. So resample *pictures*, and
# look at the **difference** of two models on the same ones. If its 95% interval excludes 0, as it does
# below for every network against gray and random colours, another draw of pictures would hardly have
# turned it round.

# %%
rivals = {"gray": models.Gray(), "random": blind["random picture"]}
scores = score_models(rivals | nets | best, pictures.batches(), columns)
results = table(scores)
way = {"way to the oracle": skill_score(results)} if world else {}
display(results.assign(**way).round(3))
rows = {}
for name, other in [(name, other) for name in nets for other in rivals]:
    differences = compare(scores, name, other).loc[["auc", "within_10"]]
    rows[f"{name} - {other}"] = differences.stack()
leads = pd.DataFrame(rows).T
display(leads.round(3))
L, ab = (plane[:6] for plane in pictures.test)
show(
    colorings(L, {"true": ab} | {name: net.colorize(L) for name, net in nets.items()}, 1.3),
    alt="Six pictures: gray, true, and by four networks. Fruit that may have several colours tends "
    "to come out as their mean, often brownish.",
)
lowest = leads.xs("low", axis=1, level=1).min().min()
record("lead_lowest", lowest, unit="lowest end of all intervals above")

# %% [markdown]
# ## Why brown?
#
# Look at the fruits above that may have several colours, such as peppers. The networks tend to paint
# them brownish, and hardly a true one is. Whatever they learned, it was not the colour of fruit, it
# seems. Or was it?
#
# Forget networks for a moment. An apple comes up; you must say *one* colour; you pay for the distance
# to what it turns out to be. What do you say, if it is red, green or yellow with probabilities 0.5, 0.3
# and 0.2?
#
# - **L2** (squared distance): minimise the sum of p (c - x)². Set the derivative to 0: the best c is the
#   **mean**.
# - **L1** (absolute distance in *a* plus that in *b*): moving c to the right costs what lies left of it
#   and wins what lies right. It balances at half the probability: the **median**, of *a* and *b* each.
# - **0-1** (pay 1 unless you hit it exactly): say the most probable one, the **mode**.
#
# **Exercise 4** (8 minutes). Not on paper only: for any colours and probabilities.


# %%
@exercise("networks.best_constant")
def best_constant(colours, probabilities, loss):
    """colours (K, 2), probabilities (K,) summing to 1, loss "l2", "l1" or "0-1" -> (2,)."""
    ### BEGIN SOLUTION
    if loss == "l2":
        return (probabilities[:, None] * colours).sum(dim=0)
    if loss == "0-1":
        return colours[probabilities.argmax()]
    medians = []
    for channel in colours.unbind(dim=1):
        values, order = channel.sort()
        half = (probabilities[order].cumsum(dim=0) >= 0.5).nonzero()[0, 0]
        medians.append(values[half])
    return torch.stack(medians)
    ### END SOLUTION


# %%
check("networks.best_constant")

# %%
things = object_colors(small_world, {})
apple = things.table.kind.eq("apple").idxmax()
apples, dice = things.possible[apple], things.probs[apple]  # red, green, yellow
answers = {k: best_constant(apples, dice, k)[None] for k in ("l2", "l1", "0-1")}
show(
    swatches({"possible": apples} | {k: v.expand(3, 2) for k, v in answers.items()}),
    alt="Three apple colours: red, green, yellow. Below them the best constants: a brown that no "
    "apple has for L2, a yellow or orange for L1, red for 0-1.",
)
for name, answer in answers.items():
    away = (apples - answer).norm(dim=1)
    a, b = answer[0].tolist()
    print(f"{name:4} says a = {a:.0f}, b = {b:.0f}: the nearest apple is {away.min():.0f} away")

# %% [markdown]
# Brown is no failure of learning: **brown is the best answer to the question that L2 asks**, and a
# network that gave red instead would have a higher loss. (For L1 and an apple the answer is not even
# unique: red has exactly half of the probability, so any *a* between yellow's and red's costs the same.)
#
# That is a theory. Is it what the network does? For each object of the test pictures that can have
# several colours, compare the network's mean colour with the oracle's, one by one.

# %%
if world:
    objects = object_colors(world, {"network": nets["U-Net"]})
    some = [i for k in cfg.kinds for i in objects.table.index[objects.table.kind == k][:7]]
    patches = {name: objects.ab[name][some] for name in ("truth", "network", "oracle")}
    show(
        swatches(patches, objects.table.kind[some].tolist()),
        alt="Colour patches of apples, peppers, plums and grapes. The true ones are red, green, yellow, "
        "purple; the network's and the oracle's are mostly alike, and duller.",
    )
    distance = objects.distance("network", "oracle").median()
    record("distance_to_oracle", distance, unit="ab units, median over objects")
    record("way_to_oracle", skill_score(results)["U-Net"], unit="of the way from gray to oracle")
    print(
        f"ab MSE that no model can avoid: {results.mse['oracle']:.0f}, U-Net {results.mse['U-Net']:.0f}"
    )

# %% [markdown]
# This is the picture of the lesson. Truth varies; network and oracle hardly do, and they nearly agree.
# The network was never told the possible colours or their probabilities, and has found their mean. What
# is left of its error is mostly *unavoidable*: dice that no network can see.
#
# So do not ask for a better network, ask another question. Lesson 4 asks for the probabilities
# themselves. Here we first try other losses.
#
# ## Losses side by side
#
# The same small network with **L2**, with **L1**, and as a report on portraits did it: L1 first, then
# **SSIM**, a likeness of local structure, of the *ab* planes. "Possible" is the share of objects whose
# colour is within 10 of one of the colours they can have.

# %%
predict(
    "networks.losses",
    "Which loss gives the most objects a colour that they can really have?",
    ["L2", "L1", "L1, then SSIM", "no difference"],
)

# %%
epoch = len(Batches(small.train, cfg.batch))
half = epoch * (cfg.loss_steps // epoch // 2)
losses = {
    "L2": regression(l2),
    "L1": regression(l1),
    "L1, then SSIM": {0: regression(l1), half: regression(ssim_loss)},
}
by_loss = {
    name: train(lambda: models.UNet(16, 3), small.train, cfg.loss_steps, loss)[0]
    for name, loss in losses.items()
}
by_loss_and_best = by_loss | {"oracle": models.Oracle(small_world)}
by_scores = score_models(by_loss_and_best, small.batches(), columns)
things = object_colors(small_world, by_loss)
possible = {name: (things.nearest(name)[1] <= 10).float().mean().item() for name in things.ab}
display(table(by_scores).assign(possible=possible).round(3))
L, ab = (plane[:6] for plane in small.test)
show(
    colorings(L, {"true": ab} | {name: net.colorize(L) for name, net in by_loss.items()}, 1.3),
    alt="Six pictures, true and by three losses. L2 seldom gives a fruit a colour that it can have.",
)
record("possible_l2", possible["L2"])
most = max(by_loss, key=possible.get)
spread = possible[most] - min(possible[name] for name in by_loss)
reveal(
    "networks.losses",
    "no difference" if spread < 0.03 else most,
    f"{possible[most]:.2f} of the objects",
)

# %% [markdown]
# ## Is batch normalisation a cure for overfitting?
#
# The portraits report found that batch norm cured its overfitting. One run with, one without, on one
# data set: it may have been so. Here it is a question for an experiment: a U-Net with and without, on
# few pictures, three seeds each, all else equal. What would convince you? A smaller **gap** between
# seen and unseen pictures is not enough: a network that learns less has a smaller gap too. Cured
# means a **lower error on pictures it has not seen**.

# %%
predict(
    "networks.batch_norm",
    "With batch norm, the error on unseen pictures is, in three seeds,",
    ["always lower", "always higher", "now lower, now higher"],
)

# %%
few = tuple(plane[: cfg.few] for plane in small.train)
runs, gaps = {"with": [], "without": []}, {"with": [], "without": []}
for name in runs:
    for seed in range(3):
        net, run = train(
            lambda n=name: models.UNet(16, 3, batch_norm=n == "with"), few, cfg.norm_steps,
            seed=seed, lr=cfg.norm_lr, validation=Batches(small.val, 100, in_order=True),
        )  # fmt: skip
        runs[name].append(run)
        gaps[name].append((mean_error(net, few), mean_error(net, small.test)))
for name, pairs in gaps.items():
    print(f"{name:8}", "  ".join(f"seen {a:.0f}, unseen {b:.0f}" for a, b in pairs))
show(
    history_curves({f"{name} batch norm": group for name, group in runs.items()}),
    alt="Training and held-out errors over the steps, three seeds with and three without batch norm. "
    "The training curves with batch norm fall much lower than those without.",
)
with_norm, without = (torch.tensor(gaps[name]) for name in ("with", "without"))
ratio = with_norm[:, 1] / without[:, 1]
wins = int((ratio < 1).sum())
record("batch_norm_seen", (with_norm[:, 0] / without[:, 0]).mean(), unit="times the error without")
verdict = {3: "always lower", 0: "always higher"}.get(wins, "now lower, now higher")
reveal(
    "networks.batch_norm",
    verdict,
    f"Lower in {wins} of 3 seeds: {ratio.round(decimals=2).tolist()}.",
)

# %% [markdown]
# Read it in two steps. With batch norm the network fits the pictures it has **seen** much faster; that
# alone widens the gap. Is the **unseen** error lower? The last line says by how much, and in how many of
# three seeds. If it is, the network may only have come further in the same number of steps; where each
# ends, only longer runs can tell. "Faster" was measured here; "a cure" was not.
#
# ## Memorising against learning
#
# A report on photographs of one bridge trained on 10, 20 and 40 pictures and saw memorising; with more,
# a relation between picture and colour appeared. Here is that study with a measured axis: the same
# network, the same number of steps, and 1, 10, 100 or more *different* pictures. Below it stands the
# same with three seeds and up to 2,000 pictures, a recorded run (`scripts/study.py`).

# %%
predict(
    "networks.memorising",
    "From 10 pictures to ten times as many: the error on the pictures that it has *seen*",
    ["falls", "rises", "stays"],
)

# %%
study = memorising(small, cfg.counts, (cfg.seed,), cfg.study_steps)
ends = {"gray": models.Gray(), "oracle": models.Oracle(small_world)}
level = table(score_models(ends, small.batches(), ["mse"])).mse
show(
    study_curves(study, level.to_dict()),
    alt="Two curves over the number of training pictures. The error on seen pictures starts below the "
    "oracle's level and rises; the error on others starts far above it and falls.",
)
full = recorded()
print(study.round(1).to_string(index=False), full.attrs["about"], sep="\n")
show(
    study_curves(full, level.to_dict()),
    alt="A recorded study, seven sizes and three seeds: the error on seen pictures rises from near "
    "zero, that on others falls; from some hundred on both are near the oracle's.",
)
seen = study.set_index("pictures").train_mse
fewest, more = cfg.counts[1], cfg.counts[2]
record("seen_few", seen[fewest], unit="ab²")
record("seen_many", seen[cfg.counts[-1]], unit="ab²")
record("unseen_many", study.test_mse.iloc[-1], unit="ab²")
change = seen[more] / seen[fewest]
answer = "rises" if change > 1.1 else "falls" if change < 0.9 else "stays"
reveal(
    "networks.memorising",
    answer,
    f"{seen[fewest]:.0f} with {fewest}, {seen[more]:.0f} with {more}.",
)

# %% [markdown]
# With few pictures the error on *seen* ones falls far **below the oracle's**. That is impossible by
# knowing colours, only by remembering pictures: the network has learned how the dice fell. With more
# pictures it cannot remember them all: its error on seen ones *rises*. That on others falls, to well
# below gray's. A training error alone never tells you whether a network remembers or knows.

# %% [markdown]
# ## Transfer
#
# Faces, fruits, bears: what a shape looks like need not be learned again for each task. A ResNet-18
# (narrow, 16 channels) has learned to *name* what is in made pictures of three worlds, from L alone; it
# has never been shown a colour as an answer (`scripts/pretrain.py` made it). We take it as the way down, put
# a new way up behind it, and train on few and on many pictures: all from **nothing**; the way down
# **frozen**; or **fine-tuned**. It has seen other orchards, so it is at home here. On photographs expect
# less of it, and more of weights from photographs (`weights="imagenet"`, a download).

# %%
ways = {
    "from nothing": {"encoder_width": 16},
    "frozen": {"weights": "worlds", "frozen": True},
    "fine-tuned": {"weights": "worlds"},
}
rows = {}
for count in cfg.transfer_counts:
    part = tuple(plane[:count] for plane in pictures.train)
    for name, options in ways.items():
        net, run = train(
            lambda o=options: models.ResNetColorizer(18, width=4, **o), part, cfg.transfer_steps
        )
        rows.setdefault(f"{count} pictures", {})[name] = mean_error(net, pictures.test)
transfer = pd.DataFrame(rows)
display(transfer.round(1))

# %% [markdown]
# ## Five ways to fail
#
# Reports name the same failures again and again. Because we know the truth of each object, we can
# measure each failure, and show its worst case. The last three are measured against the oracle, so that
# nobody is blamed for dice.
#
# - **Bias**: the colour most such things have, instead of this one's. The honest mean does that.
# - **Desaturation**: the right hue, but dull: a mean of many.
# - **Inconsistency**: one thing in several colours.
# - **Bleeding**: a thing's colour reaches its surroundings.
# - **Edges**: the rim of a thing has another colour than its middle.

# %%
if world:
    worst = failures(world, objects, "network", nets["U-Net"]).idxmax()
    at = torch.tensor([int(objects.table.picture[row]) for row in worst])
    L, ab = (plane[at] for plane in pictures.test)
    outlines, guess = objects.visible[worst.tolist()], nets["U-Net"].colorize(L)
    show(
        colorings(L, {"true": ab, "U-Net": guess}, titles=list(worst.index), outlines=outlines),
        alt="Five pictures, true above and predicted below, each with one object outlined: a thing in "
        "the usual colour instead of its own, a dull one, a patchy one, one whose colour runs out, "
        "and one with a rim.",
    )

# %% [markdown]
# ## The clinic: is it as good as it says?
#
# Six runs of one small program, A to F. One is healthy; in each of the others somebody made *one*
# mistake with the data or with the judging. No error, no warning. We have instruments: the loss; a
# batch as the network gets it, above the same pictures as they are in the store (some batches are
# flipped, that is wanted); errors on validation pictures and on *test* pictures that somebody else
# kept; how far, in ab units, the colours of a picture move when it is judged alone instead of with 31
# others; and how many kinds of main thing a batch has.

# %%
logs = data_clinic.logs(cfg.seed, cfg.clinic_steps)
show(
    data_clinic.figure(logs),
    alt="For runs A to F: the loss over the steps, four pictures of a batch, and the same pictures "
    "in the store. One loss has teeth, one batch has strange hues, one has colours beside things.",
)
display(data_clinic.readings(logs).round(1))

# %% [markdown]
# **Exercise 5** (8 minutes). Name each run: `"healthy"`, or one of
#
# - `"leaked validation set"`: its pictures are among the training pictures,
# - `"batch norm in training mode"`: `net.eval()` was forgotten before judging,
# - `"colour jitter"`: an augmentation from classification, where hue does not matter,
# - `"L flipped, ab not"`, `"sorted, not shuffled"`: as the folders were, kind by kind.


# %%
@exercise("networks.clinic")
def diagnosis():
    """{run: name} for "A" to "F"."""
    ### BEGIN SOLUTION
    return {
        "A": "batch norm in training mode",
        "B": "sorted, not shuffled",
        "C": "healthy",
        "D": "L flipped, ab not",
        "E": "leaked validation set",
        "F": "colour jitter",
    }
    ### END SOLUTION


# %%
check("networks.clinic")

# %% [markdown] tags=["extra"]
# ## Extra: three short exercises
#
# - **Mean over a mask** (4 minutes). Errors of objects need means over *some* pixels of each picture. A
#   picture without such pixels counts 0, and must not become NaN.
# - **SSIM as a loss** (6 minutes). SSIM is a likeness of two pictures, 1 at best, and depends on the
#   range of the data: bring *ab* to (ab + 128) / 255, data range 1. A loss should be small where pictures
#   are alike. Use `structural_similarity_index_measure` of `torchmetrics.functional.image`.
# - **Reading curves** (4 minutes). A verdict on a run: `"memorising"` if the last validation error is
#   more than 1.1 times the lowest; else `"too short"` if it is below 0.95 times the one before; else
#   `"settled"`. And the index of the moment whose weights you would keep.


# %% tags=["extra"]
@exercise("networks.masked_mean")
def masked_mean(values, mask):
    """values, mask (N, 1, H, W), mask bool -> (N,): mean where the mask is set, 0 where it is empty."""
    ### BEGIN SOLUTION
    pixels = mask.sum(dim=(1, 2, 3)).clamp(min=1)
    return (values * mask).sum(dim=(1, 2, 3)) / pixels
    ### END SOLUTION


# %% tags=["extra"]
check("networks.masked_mean")


# %% tags=["extra"]
@exercise("networks.ssim_loss")
def ssim_loss(prediction, truth):
    """Both (N, 2, H, W) in ab units -> scalar, small where they are alike."""
    ### BEGIN SOLUTION
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    return 1 - ssim((prediction + 128) / 255, (truth + 128) / 255, data_range=1.0)
    ### END SOLUTION


# %% tags=["extra"]
check("networks.ssim_loss")


# %% tags=["extra"]
@exercise("networks.curves")
def read_curves(training, validation):
    """Two lists of errors -> (verdict, index of the best moment)."""
    ### BEGIN SOLUTION
    lowest = min(validation)
    if validation[-1] > 1.1 * lowest:
        verdict = "memorising"
    else:
        verdict = "too short" if validation[-1] < 0.95 * validation[-2] else "settled"
    return verdict, validation.index(lowest)
    ### END SOLUTION


# %% tags=["extra"]
check("networks.curves")

# %% [markdown]
# ## Recap
#
# - Know what blind guesses score, in several metrics, before you train. Gray is never very wrong.
# - Compare models by intervals of the *difference* on the same pictures.
# - Down to see what a thing is, up to paint it, skip connections to paint it in its place.
# - L2 asks for the mean, L1 for a median, 0-1 for the mode. Brown is the right answer to L2.
# - Part of an error is unavoidable: here we know how much, and the network comes close to it.
# - Below the unavoidable error there is only memory. Judge by pictures that were never seen.
# - A claim such as "batch norm cures overfitting" is an experiment with several seeds.
#
# **Questions without answers here**
#
# - For photographs nobody knows the unavoidable error. How could one estimate it?
# - Would a larger network be less brown? A larger data set?
# - The oracle has the lowest expected error. Is it the best *picture*?
# - Which of the five failures can a loss repair, and which only another kind of answer?
#
# Next, in lesson 4: not one colour, but a probability for each. The numbers of this notebook, and the
# range in which they are expected:

# %%
show_records("03_networks", cfg.profile)

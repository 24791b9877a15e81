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
# # Lesson 5. A loss that is learnt
#
# Every loss so far was written by somebody: L2 wants the mean, cross-entropy wants the odds. Neither says
# "this looks true". Today a second network learns to say it. It is shown true colours and those of your
# network, and tries to tell them apart; your network tries to make that impossible.
#
# It is a game, not a descent: two losses, and neither shows how well it goes. So you will learn to read
# other instruments, and to ask what the game wins and what it costs.
#
# **After this lesson you can**
#
# - write both losses of a GAN, and say which numbers to expect before training;
# - build a discriminator of patches, and say what it cannot see;
# - weigh a learnt loss against a written one by their gradients, not by their sizes;
# - diagnose a game that has gone wrong, and say in numbers what a healthy one is good for.
#
# **It takes** a good hour: five exercises, some minutes of computing. **It needs** lessons 3 and 4.

# %% tags=["bootstrap"]
# install colorkit where it is missing

# %% tags=["parameters"]
profile = None  # "ci", "laptop" or "gpu"; None asks $COLORKIT_PROFILE, else "laptop"
source = "orchard"  # a made world, or the folder of a store made by `colorkit data prepare`
scenes = "orchard"  # the same, for the experiment with 250 pictures
size = None  # side of photographs in pixels; None: the profile's

# %%
import copy
import time

import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import display
from torch import nn

from colorcourse import check, exercise, predict, record, reveal, settings
from colorcourse.lesson04.recogniser import recognised_right, train_recogniser
from colorcourse.lesson05 import bears, comparisons, figures
from colorcourse.lesson05.clinic import gan_clinic
from colorcourse.lesson05.quiz import Quiz, quiz_pairs, show_quiz
from colorcourse.recording import show_records
from colorkit import models, objects
from colorkit.batches import Batches
from colorkit.bins import ab_bins, estimate_prior, rebalancing_weights
from colorkit.color import join_lab, lab_to_rgb
from colorkit.data.pictures import lesson_pictures
from colorkit.device import pick_device, seed_everything
from colorkit.evaluate import compare, paired_difference, score_models, table

# %%
from colorkit.fit import fit
from colorkit.losses import Classification, l1, l2, regression
from colorkit.metrics import colorfulness, ssim
from colorkit.plots import colorings, intervals, show
from colorkit.worlds import bears as draw_bears

cfg, device = settings("05_adversarial", profile), pick_device()
print(f"profile {cfg.profile}, {device}: {cfg.pictures} pictures of {size or cfg.size} pixels")

# %% [markdown]
# ## The game
#
# Player one, the **generator** G, makes colours. Player two, the **discriminator** D, looks at a picture and
# says how probable it is that it is true: D(x), from 0 to 1. (In code the network returns the logit; D(x) is
# its sigmoid, and a logit above 0 means "true".) The discriminator minimises its cross-entropy, half of
# -log D(true) and half of -log(1 - D(made)).
#
# The generator wants the opposite. Written just so, as log(1 - D), its gradient dies when the discriminator is
# sure. So it minimises -log D(made) instead: the **non-saturating** loss.
#
# A discriminator that knows nothing says 1/2, and both losses are ln 2 = 0.69. If G ever makes the true
# distribution, the best discriminator can only say 1/2 again. So **both losses at ln 2: the best possible game,
# or a dead one.**
#
# **Exercise 1** (6 minutes). The discriminator's loss. **Label smoothing** tells the discriminator that true
# pictures are true with probability 1 - smooth only, lest it becomes too sure; made ones keep their 0. Logits
# go in: use a loss that takes logits.


# %%
@exercise("adversarial.discriminator_loss")
def discriminator_loss(true, generated, smooth=0.1):
    """Logits of true and of generated pictures, any shape -> scalar: the mean of the two halves.

    The label of true pictures is 1 - smooth, that of generated ones 0.
    """
    ### BEGIN SOLUTION
    on_true = F.binary_cross_entropy_with_logits(true, torch.full_like(true, 1 - smooth))
    on_generated = F.binary_cross_entropy_with_logits(generated, torch.zeros_like(generated))
    return (on_true + on_generated) / 2
    ### END SOLUTION


# %%
check("adversarial.discriminator_loss")

# %% [markdown]
# **Exercise 2** (5 minutes). The generator's loss: -log D of what it made, plus **lambda** times a written
# loss, the mean absolute error of *ab*, that keeps it near the truth. A unit hangs on lambda: here it is
# "per ab unit". The paper *pix2pix* has 100, but on *ab* divided by 110, which is 100 / 110 = 0.9 here.


# %%
@exercise("adversarial.generator_loss")
def generator_loss(logits, prediction, truth, lam=0.9):
    """Mean of -log D, plus lam times the mean absolute error over all of ab -> scalar.

    logits (N, 1, h, w) are the discriminator's, of the generated pictures; prediction and truth
    are (N, 2, H, W).
    """
    ### BEGIN SOLUTION
    fooled = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
    return fooled + lam * (prediction - truth).abs().mean()
    ### END SOLUTION


# %%
check("adversarial.generator_loss")

# %% [markdown]
# Watch a game that is small enough to see all of it: numbers instead of pictures. 70% of the true ones
# lie around -2, 30% around 2. The generator turns noise into numbers. L2 would say -0.8 for each.


# %%
def play_toy(steps, rate, keep, seed=cfg.seed):
    """Train a GAN of one dimension; return snapshots of it by step."""
    seed_everything(seed)

    def net():
        return nn.Sequential(
            *(nn.Linear(1, 48), nn.LeakyReLU(0.2), nn.Linear(48, 48), nn.LeakyReLU(0.2)),
            nn.Linear(48, 1),
        )

    G, D, kept = net(), net(), {}
    of_G, of_D = (torch.optim.Adam(n.parameters(), rate, betas=(0.5, 0.999)) for n in (G, D))
    for step in range(steps + 1):
        true, made = comparisons.toy_numbers(256), G(torch.randn(256, 1))
        loss_D = discriminator_loss(D(true), D(made.detach()), 0.0)  # D learns, G does not
        of_D.zero_grad(), loss_D.backward(), of_D.step()
        loss_G = generator_loss(D(made), made, made, 0.0)  # G learns
        if step in keep:
            kept[step] = comparisons.toy_snapshot(G, D, (loss_D, loss_G))
        of_G.zero_grad(), loss_G.backward(), of_G.step()
    return kept


# %%
toy = play_toy(cfg.toy_steps, 1e-3, set(range(0, cfg.toy_steps + 1, max(1, cfg.toy_steps // 20))))
figures.toy_slider(toy, comparisons.toy_numbers(5000))
last = toy[max(toy)]
right, between = (last.made > 0).float().mean(), (last.made.abs() < 0.7).float().mean()
record("toy_right_mode", right, unit="of the numbers made; true 0.3")
record("toy_between", between, unit="of the numbers made; true 0.006")

# %% [markdown]
# Move the slider. The discriminator's curve rises where true numbers are more frequent than made ones; made
# numbers run up that slope until it is flat. Nobody wrote down what is true, and few numbers lie between
# the hills, where L2 would put all of them. Watch the losses too: do they tell you any of this?
#
# ## The conditional game
#
# A colorizer does not make colours from noise but from L. So the discriminator judges **pairs**: do these
# colours belong to this L? We start from a generator that L2 has trained already. Then the discriminator meets
# good colours from the beginning, not noise. This is DeOldify's way, called **NoGAN**: generator alone,
# discriminator alone on what that one makes, then both, briefly.

# %%
pictures = lesson_pictures(source, cfg.pictures, cfg.held_out, size or cfg.size, cfg.seed)
small = tuple(plane[: cfg.small_pictures] for plane in pictures.train)
world = pictures.worlds.get("test")  # None for photographs: nobody knows their dice
L, ab = pictures.test


def train(net, loss, pair, steps):
    """Train on the pair (L, ab) by a written loss; return the network."""
    data = Batches(pair, min(cfg.batch, len(pair[0])), seed=cfg.seed)
    fit(net, loss, data, steps, lr=cfg.lr, seed=cfg.seed, callbacks=())
    return net


def start(width=cfg.width, seed=cfg.seed):
    """A U-Net of lesson 3, untrained."""
    seed_everything(seed)
    return models.UNet(width, 3)


small_start = train(start(cfg.small_width), regression(l2), small, cfg.small_before)
made = small_start.colorize(L)
seed_everything(cfg.seed)
discriminator = models.PatchDiscriminator(cfg.small_width, field=16)
with torch.no_grad():
    first = discriminator_loss(discriminator(L, ab), discriminator(L, made), 0.0).item()
record("first_loss", first, unit="nats, the discriminator's before training; ln 2 = 0.693")

# %% [markdown]
# ## A discriminator of patches
#
# One answer for a whole picture is much to learn and little to hear. A **PatchGAN** discriminator answers for
# each *patch*: a convolutional network that ends in a map of logits, each with a small receptive field. It has
# few weights, judges local colour and texture, and leaves the rest to the written loss.
#
# **Exercise 3** (8 minutes). Build one with a receptive field of exactly 16 x 16. L and *ab* come as three
# channels, already scaled; logits go out, so no sigmoid. Count from the last layer back to the first: start
# with r = 1 at a logit; a layer makes (r - 1) * stride + kernel of it. Any layers will do; pix2pix has 4 x 4
# kernels. No normalisation that ties all patches of a picture together: then each would see everything.


# %%
@exercise("adversarial.patch")
def patch_discriminator(width=16):
    """A module: L and ab (N, 3, H, W) -> logits (N, 1, h, w), each of just 16 x 16 pixels."""
    ### BEGIN SOLUTION
    return nn.Sequential(
        nn.Conv2d(3, width, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 1, 4, padding=1),
    )
    ### END SOLUTION


# %%
check("adversarial.patch")

# %% [markdown]
# From here on colorkit's `PatchDiscriminator` plays: such layers, with L and *ab* scaled inside.
#
# ## Must the discriminator see L?
#
# The faces report tried a discriminator that sees only *ab*, and liked it less. What can such a discriminator
# not know? First without any game: two discriminators learn to tell a picture's own true colours from the
# **true colours of another picture**. One sees L and *ab*, the other *ab* alone.


# %%
def new_discriminator(width=cfg.small_width, **options):
    """A discriminator of patches of 16 x 16."""
    seed_everything(cfg.seed)
    return models.PatchDiscriminator(width, field=16, **options)


predict(
    "adversarial.sees",
    "A discriminator of ab alone, shown true colours of this and of another picture, is right in",
    ["half of the cases", "about three quarters", "nearly all"],
)

# %%
told = {}
for sees in ("Lab", "ab"):
    pupil = new_discriminator(2 * cfg.small_width, sees=sees)
    comparisons.learn_pairs(
        pupil, pictures.train, discriminator_loss, cfg.discriminator_steps, cfg.batch
    )
    told[sees] = comparisons.tells(pupil, (L, ab), {"another": ab.roll(1, 0)})["another"]
    record(f"tells_others_{sees.lower()}", told[sees], unit="of the answers right")
half = abs(told["ab"] - 0.5) < 0.05
reveal(
    "adversarial.sees",
    "half of the cases" if half else "about three quarters" if told["ab"] < 0.88 else "nearly all",
    f"Alone {told['ab']:.0%}, with L {told['Lab']:.0%}.",
)

# %% [markdown]
# Somebody else's true colours are true: without L nothing is wrong with them. Over all pictures it gets the
# same *ab* twice, once called true and once not: half is all it can have. With L it is right clearly more
# often. Now both kinds in short runs of the conditional kind, all else equal, from the same generator.


# %%
rules = {
    "lr": cfg.gan_lr, "discriminator_lr": cfg.discriminator_lr, "schedule": "cosine", "pixel": l1,
    "lam": cfg.lam, "seed": cfg.seed,
}  # fmt: skip


def short_gan(discriminator, generator=small_start, pair=small, steps=cfg.short_steps, **options):
    """A few steps of adversarial training, from a copy of the generator; the run."""
    data = Batches(pair, min(cfg.batch, len(pair[0])), seed=cfg.seed)
    options = rules | {"log_every": max(1, steps // 20)} | options
    return comparisons.train_gan(copy.deepcopy(generator), discriminator, data, steps, **options)


others = {"L2's colours": made, "gray": torch.zeros_like(ab)}
seeing = {sees: short_gan(new_discriminator(sees=sees)) for sees in ("Lab", "ab")}
judges = {
    f"sees {k}": comparisons.tells(run.parts["discriminator"], (L, ab), others)
    for k, run in seeing.items()
}
display(pd.DataFrame(judges).T.round(2))
if world:
    things = objects.object_colors(world, {k: run.model for k, run in seeing.items()})
    could = {sees: comparisons.possible(things, sees) for sees in seeing}
    display(comparisons.leads(could, [("Lab", "ab")]).round(3))

# %% [markdown]
# Both can learn which colours *exist*, and so tell gray and brown from true. Whether a colour belongs *here*
# only a discriminator can know that sees L. Lambda hides some of that: the written loss knows the truth too,
# and keeps the generator of the blind discriminator from giving any thing any colour. The difference, with
# its interval, is of the share of objects that got a colour they could have. It is of one run each: the proof
# is the experiment before it.
#
# ## Lambda: who is heard?
#
# The faces report added L2 to its cross-entropy and found: where L2 was above 50, the learnt loss, below 1,
# was not heard. It compared losses. But nobody walks along a loss; one walks along a *gradient*.
#
# **Exercise 4** (7 minutes). The learnt part's share of the gradient, where both arrive: at the generator's
# output. Norms are roots of sums of squares. It is a measurement in the middle of training: leave no
# `.grad` behind, and keep the graph (`retain_graph=True`).


# %%
@exercise("adversarial.lambda_share")
def adversarial_share(made, adversarial, pixel, lam):
    """made (N, 2, H, W), the generator's output; both losses as scalars -> a number from 0 to 1.

    Norm of the gradient of `adversarial` by `made`, divided by itself plus that of lam * pixel.
    """
    ### BEGIN SOLUTION
    (pull,) = torch.autograd.grad(adversarial, made, retain_graph=True)
    (hold,) = torch.autograd.grad(lam * pixel, made, retain_graph=True)
    return pull.norm() / (pull.norm() + hold.norm())
    ### END SOLUTION


# %%
check("adversarial.lambda_share")

# %%
judge, batch = seeing["Lab"].parts["discriminator"], (L[: cfg.batch], ab[: cfg.batch])
cases = {
    "L2, discriminator trained": (judge, l2),
    "L1, discriminator trained": (judge, l1),
    "L1, discriminator untrained": (new_discriminator(), l1),
}
frames = {
    name: comparisons.shares(
        small_start, player, batch, (lambda x: F.softplus(-x).mean(), pixel),
        cfg.lambdas, adversarial_share,
    )
    for name, (player, pixel) in cases.items()
}  # fmt: skip
show(
    figures.share_figure(frames),
    alt="Adversarial share of loss and of gradient over lambda, three panels, falling as lambda rises. "
    "With an untrained discriminator the gradient's share is below the loss's.",
)
of_report = frames["L2, discriminator trained"].loc[0.1]
print("the report's 0.1 times L2:", of_report.round(3).to_dict())
record("share_of_gradient", of_report["of the gradient"], unit="at 0.1 L2, as in the report")
fresh = frames["L1, discriminator untrained"].loc[0.1]
record("fresh_of_loss", fresh["of the loss"], unit="at 0.1 L1, discriminator untrained")
record("fresh_of_gradient", fresh["of the gradient"], unit="at 0.1 L1, discriminator untrained")
predict(
    "adversarial.lambda",
    "As lambda rises, the share of objects with a possible colour ...",
    ["falls", "rises", "is highest in between"],
)

# %% [markdown]
# The report was right about its own case: with 0.1 times L2, less than a sixth of the gradient is left for the
# discriminator. But loss and gradient are not the same thing. A discriminator that knows nothing has a *loss*
# of ln 2, a large share, and only a small share of the gradient: it is hardly heard, and the losses do not
# show it. Lock your prediction; then train at several lambdas of L1.

# %%
swept = {lam: short_gan(new_discriminator(), lam=lam) for lam in cfg.swept_lambdas}
rows = {}
for lam, run in swept.items():
    row = {"share of gradient": comparisons.late(run, "share").mean()}
    row["discriminator right"] = comparisons.late(run, "accuracy").mean()
    guess = run.model.colorize(L)
    row["ab L1"] = l1(guess, ab).item()
    row["colorfulness"] = colorfulness(lab_to_rgb(join_lab(L, guess))).mean().item()
    if world:
        things = objects.object_colors(world, {"made": run.model})
        row["possible"] = comparisons.possible(things, "made").mean().item()
    rows[lam] = row
by_lambda = pd.DataFrame(rows).T.rename_axis("lambda")
display(by_lambda.round(3))
for lam, run in swept.items():
    print(f"lambda {lam}:", *(run.warnings.values() or ["no warning"]))
record("share_at_least_lambda", by_lambda["share of gradient"].iloc[0], unit="of the gradient")
record("share_at_most_lambda", by_lambda["share of gradient"].iloc[-1], unit="of the gradient")
if world:
    at = by_lambda.possible.argmax()
    where = {0: "falls", len(by_lambda) - 1: "rises"}.get(int(at), "is highest in between")
    reveal("adversarial.lambda", where, str(by_lambda.possible.round(3).to_dict()))

# %% [markdown]
# As lambda falls, the discriminator is heard more: at the largest it has less than a third of the gradient, at
# the smallest at least half. The table shows what that does to the colours. From here on lambda is 0.2 per ab
# unit, where both are heard.
#
# ## The game, played well
#
# Now in full length: L2 first, then the discriminator alone for an epoch (once through all training pictures),
# then both. The rates of both fall to 0 in the end, so that the game comes to rest. Read three instruments,
# none of which is "the loss":
#
# - **discriminator right**, true against made: 55% to 95% is healthy, as here. Near 100% it has won, and what
#   it tells the generator is of little use. Near 50% it is beaten, or dead: which?
# - **discriminator right, true against gray**, a probe: a discriminator that works knows gray, as this one
#   mostly does. So it tells these two apart.
# - **adversarial share** of the gradient: does the generator hear the discriminator at all?

# %%
begun = time.perf_counter()
before = train(start(), regression(l2), pictures.train, cfg.before)
seconds_before = time.perf_counter() - begun
data = Batches(pictures.train, cfg.batch, seed=cfg.seed)
begun = time.perf_counter()
recommended = comparisons.train_gan(
    copy.deepcopy(before), new_discriminator(cfg.discriminator_width), data, cfg.steps, **rules,
    first=("D",), log_every=max(1, cfg.steps // 40),
)  # fmt: skip
seconds_gan = time.perf_counter() - begun
show(
    figures.gan_curves(recommended.history),
    alt="Over the steps: how often the discriminator is right on generated and on gray pictures; both "
    "losses; the adversarial share of the gradient.",
)
keys = {"accuracy": "discriminator_right", "gray": "discriminator_on_gray", "share": "share"}
for column, key in keys.items():
    record(key, comparisons.late(recommended, column).mean(), unit="mean of the last third")
print(*(recommended.warnings.values() or ["no warning"]))

# %% [markdown]
# A loss that does not fall does not say that nothing moves: each answers the other. A loss here is a
# *distance between two players*, not a distance to a goal.
#
# ## Schedules
#
# Who moves when? The reports differ: both on the same batch (pix2pix); by turns, an epoch each (faces); the
# discriminator only every second epoch; the discriminator first, then both. And a game **from nothing**,
# without L2 before: its generator has as many steps in all.

# %%
predict(
    "adversarial.schedules",
    "At equal steps in all, the share of possible colours of a game from nothing is",
    ["clearly lower", "about as high", "clearly higher"],
)

# %%
long = cfg.small_before + cfg.short_steps
schedules = {
    "from nothing": {"generator": start(cfg.small_width), "steps": long},
    "both": {},
    "by turns": {"turns": ("D", "G")},
    "discriminator every 2nd epoch": {"turns": ("GD", "G")},
    "the discriminator first": {"first": ("D",)},
}
runs = {name: short_gan(new_discriminator(), **how) for name, how in schedules.items()}
judged = {"L2 before": small_start} | {name: run.model for name, run in runs.items()}
results = table(score_models(judged, pictures.batches(), ["auc", "within_10"]))
for name, run in runs.items():
    right = comparisons.late(run, "accuracy")
    results.loc[name, ["discriminator right", "its spread"]] = right.mean(), right.std()
if world:
    things = objects.object_colors(world, judged)
    could = {name: comparisons.possible(things, name) for name in judged}
    results["possible"] = [could[name].mean().item() for name in results.index]
display(results.round(3))
for name, run in runs.items():
    print(f"{name}:", *(run.warnings.values() or ["no warning"]))
if world:
    lead = comparisons.leads(could, [("from nothing", "both"), ("by turns", "both")])
    display(lead.round(3))
    low, high = lead.low.iloc[0], lead.high.iloc[0]
    answer = "clearly lower" if high < 0 else "clearly higher" if low > 0 else "about as high"
    reveal("adversarial.schedules", answer, f"The interval: {low:.3f} to {high:.3f}.")

# %% [markdown]
# A step is a batch, whoever trains on it: by turns, the generator moves in half of them at most. Believe only
# what the intervals say (last table), and remember that each row is one run: another may reorder them. The
# written loss steadies all of them. What the pretrained start gives you for certain is a *choice*: you have a
# network that works before the game begins, and may stop the game where you like.
#
# ## The clinic
#
# Five short runs, A to E, each from the same generator. Four are sick, and no error message says so. Falling
# losses prove nothing: a loss can fall because the *other* network got worse. Ask in this order. Does the
# discriminator know gray? Does it know the generated? Is it heard (the share)? And do both losses fit together:
# can the generator be content while the discriminator is not fooled?

# %%
logs = gan_clinic.logs(cfg.seed, cfg.clinic_steps)
show(
    gan_clinic.figure(logs),
    alt="For runs A to E, over the steps: how often the discriminator is right on generated and on gray "
    "pictures, both losses, the adversarial share of the gradient; below them four generated pictures "
    "and the true ones.",
)
display(gan_clinic.readings(logs).round(3))

# %% [markdown]
# **Exercise 5** (8 minutes). Name each run: `"healthy"`, or one of
#
# - `"discriminator has won"`: it is far stronger, and the generator hardly moves,
# - `"discriminator is never updated"`: its optimizer does nothing,
# - `"lam masks the discriminator"`: the pixel loss is all that is heard,
# - `"labels swapped for the generator"`: it is rewarded where the discriminator says *generated*.


# %%
@exercise("adversarial.clinic")
def diagnosis():
    """{run: name} for "A" to "E"."""
    ### BEGIN SOLUTION
    return {
        "A": "lam masks the discriminator",
        "B": "labels swapped for the generator",
        "C": "discriminator is never updated",
        "D": "healthy",
        "E": "discriminator has won",
    }
    ### END SOLUTION


# %%
check("adversarial.clinic")

# %% [markdown]
# ## All models side by side
#
# Four answers to one question, from the same kind of network, at equal pictures seen: L2, classes,
# classes rebalanced, and the game. The same held-out pictures, the same measures.

# %%
bins = ab_bins()
weights = rebalancing_weights(estimate_prior(pictures.batches("train"), bins).p)
steps = cfg.before + cfg.steps
nets, seconds = {}, {}
for name, net, objective in (
    ("L2", start(), regression(l2)),
    ("classes", models.Classifier(start(), bins, scale=2), Classification(bins)),
    ("rebalanced", models.Classifier(start(), bins, scale=2), Classification(bins, weights)),
):
    begun = time.perf_counter()
    nets[name] = train(net, objective, pictures.train, steps)
    seconds[name] = time.perf_counter() - begun
nets["GAN"], seconds["GAN"] = recommended.model, seconds_before + seconds_gan
rivals = {
    "truth": models.GroundTruth(L, ab),
    "gray": models.Gray(),
    "random": models.RandomPicture(pictures.batches("train"), seed=cfg.seed),
}
rivals |= {"oracle": models.Oracle(world)} if world else {}
columns = ["auc", "within_10", "ssim", "colorfulness_ratio"]
scores = score_models(rivals | nets, pictures.batches(), columns)
results = table(scores)
if world:
    recogniser = train_recogniser(pictures.worlds["train"], cfg.recogniser_steps, cfg.seed)
    planes = {name: model.colorize(L) for name, model in (rivals | nets).items()}
    every = objects.object_colors(world, {}, several=False)
    named = recognised_right(recogniser, world, every, planes)
    results["named"] = [named[name].mean().item() for name in results.index]
results["ms a step"] = pd.Series({name: 1000 * s / steps for name, s in seconds.items()})
display(results.round(3))

# %%
show(
    colorings(L[:8], {"true": ab[:8]} | {k: net.colorize(L[:8]) for k, net in nets.items()}, 1.1),
    alt="Eight pictures: gray, true, by L2, classes, rebalanced and GAN. "
    "The GAN's are about as vivid as the true ones.",
)
pairs = [("GAN", "L2"), ("GAN", "classes"), ("GAN", "rebalanced")]
auc_leads = pd.DataFrame({f"{a} - {b}": compare(scores, a, b).loc["auc"] for a, b in pairs}).T
display(auc_leads.round(4))
record("colorfulness_gan", results.colorfulness_ratio["GAN"], unit="of the truth's")
record("auc_lead", auc_leads.difference.iloc[0], unit="GAN less L2")

# %% [markdown]
# AuC hardly tells the GAN from L2. Read the other columns too: does the recogniser, which never met the
# discriminator, prefer the GAN? But L2's mean is the colour of nothing. So ask the question that only a made
# world answers.
#
# ## Vivid but wrong, or dull but safe?
#
# An object may have several colours; the network's is **possible** if it lies within 10 of one of them.
# Colorfulness rewards vivid nonsense, this does not. And then: does the game choose each colour as *often*
# as the dice do? Who always paints apples red is always possible, and never a good witness.

# %%
predict(
    "adversarial.frequency",
    "Whose choices are nearest to the dice, in frequency?",
    ["L2", "classes", "rebalanced", "GAN"],
)

# %%
if world:
    things = objects.object_colors(world, nets)
    could = {name: comparisons.possible(things, name) for name in nets}
    lead = comparisons.leads(could, [("GAN", "L2"), *pairs[1:]])
    show(
        intervals(lead, "objects with a possible colour: difference, 95% interval"),
        alt="Three differences in the share of possible colours with their intervals: the GAN leads L2.",
    )
    chosen = comparisons.chosen(things, list(nets))
    show(
        figures.frequency_figure(chosen, comparisons.mode_colours(things)),
        alt="For each kind of fruit stacked bars: the dice, and how often each model chooses which "
        "colour. Hatched: none of them.",
    )
    off = comparisons.frequency_error(chosen)
    print("possible:", {name: round(share.mean().item(), 3) for name, share in could.items()})
    print("chosen frequencies, total variation to the dice:", off.round(2).to_dict())
    record("possible_rebalanced", could["rebalanced"].mean(), unit="of the objects")
    record("possible_lead", lead.low.iloc[0], unit="lower end, GAN less L2")
    reveal("adversarial.frequency", off.idxmin(), f"Total variation {off.min():.2f}.")

# %% [markdown]
# The GAN leads L2: a discriminator that sees pairs (L, *ab*) punishes colours that do not exist, so G leaves
# the brown between red and green. But read the last interval too: rebalanced classes, with no discriminator at
# all, give more than a third of the objects a possible colour.
#
# Could G learn how *often*? An ideal discriminator would punish favourites: if all made apples are red, red is
# more frequent among the made than among the true. In the toy, G did find the 30%, more or less. But that G
# had noise, its dice. This G has none: for one L it gives one colour, whatever the dice say.
# (pix2pix keeps dropout on at test time for this; it helped little there too.) A classifier knows the odds, and
# *you* choose from them.
#
# ## 250 pictures
#
# One report trained a conditional GAN on 250 scenes, and gave SSIM 0.58 and 0.47 for two pictures. Is that
# little? Two pictures were chosen, and its network **redrew L** as well as the colours. Here: 250 pictures,
# all held-out ones, L untouched. And the line that must stand beside it: gray's own SSIM.

# %%
few = lesson_pictures(scenes, cfg.scenes, cfg.held_out, size or cfg.size, cfg.seed + 1)
scene_start = train(start(), regression(l2), few.train, cfg.scene_before)
scene_gan = short_gan(new_discriminator(), scene_start, few.train, cfg.scene_steps)
L_few, ab_few = few.test
rgb = lab_to_rgb(join_lab(L_few, ab_few))
blurred = F.avg_pool2d(F.pad(L_few, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
redone = {
    "gray": lab_to_rgb(join_lab(L_few, torch.zeros_like(ab_few))),
    "L2": lab_to_rgb(join_lab(L_few, scene_start.colorize(L_few))),
    "GAN": lab_to_rgb(join_lab(L_few, scene_gan.model.colorize(L_few))),
    "true colours, L blurred over 3 pixels": lab_to_rgb(join_lab(blurred, ab_few)),
}
similar = {name: ssim(x.clamp(0, 1), rgb) for name, x in redone.items()}
few_lead = {
    name: paired_difference(similar[name], similar["gray"])._asdict() for name in ("L2", "GAN")
}
display(pd.Series({name: values.mean().item() for name, values in similar.items()}).round(3))
display(pd.DataFrame(few_lead).T.rename_axis("SSIM, less gray's").round(4))
record("ssim_250_gray", similar["gray"].mean(), unit="nothing but gray")
record("ssim_blurred", similar["true colours, L blurred over 3 pixels"].mean(), unit="true colours")

# %% [markdown]
# SSIM looks at structure, and structure is L. Keep L, and you start near the top with no colour at all; redraw
# it, a little too soft, and you fall below gray, with every colour right. So 0.58 says nothing about colours.
# Beside an SSIM write gray's; and average over all pictures, not over two.
#
# ## Structure or brightness?
#
# The same report trained on brown bears and showed its network polar bears: they came out brown, and once
# the water did. Did it follow the *animal*, or its brightness? It suspected itself that the network paints
# "a large thing in the middle". In its pictures all of these go together. In a made world we can cross them:
# shape, brightness, ground, size and place, each varied by itself.

# %%
zoo = draw_bears(cfg.scenes, size or cfg.size, cfg.seed, kind="brown")
bear_start = train(start(), regression(l2), (zoo.L, zoo.ab), cfg.scene_before)
bear_net = short_gan(new_discriminator(), bear_start, (zoo.L, zoo.ab), cfg.scene_steps).model
crossed = {"brown, as trained": {"kind": "brown"}, "polar, on snow": {"kind": "polar"}}
crossed |= {
    f"{shape}, {ground}, {tone}": {"kind": kind, "ground": ground, "brightness": tone}
    for shape, kind in (("polar", "polar"), ("boulder", "patch"))
    for ground in ("woods", "snow")
    for tone in ("dark", "bright")
}
crossed["no bear"] = {"kind": "none", "ground": "woods"}
drawn = [draw_bears(1, size or cfg.size, cfg.seed + 3, **options) for options in crossed.values()]
L_bears = torch.cat([one.L for one in drawn])
truth = torch.cat([one.ab for one in drawn])
show(
    colorings(
        L_bears, {"true": truth, "network": bear_net.colorize(L_bears)}, 1.0,
        titles=[name.replace(", ", "\n") for name in crossed],
    ),
    alt="A brown bear, a polar bear on snow, odd combinations, boulders, and woods without a bear: gray, "
    "true, and by a network that has seen brown bears only.",
)  # fmt: skip
predict(
    "adversarial.bears",
    "What decides most how brown the network paints a thing?",
    ["shape", "brightness", "ground", "size", "place"],
)

# %%
frame = bears.factorial(bear_net, cfg.bears_each, size or cfg.size, cfg.seed + 4)
display(
    frame.groupby(["shape", "brightness", "ground"], sort=False)
    .brown.mean()
    .unstack([1, 2])
    .round(2)
)
effects = bears.effects(frame)
show(
    intervals(effects, "change of brownness (1 is a brown bear), 95% interval"),
    alt="Changes of brownness, a row a factor's level, with intervals, beside the line of zero.",
)
display(effects.round(2))
main = effects[~effects.index.str.startswith("shape: nothing")]
by_factor = main.difference.abs().groupby(main.index.str.split(":").str[0]).max()
record("brown_by_shape", by_factor["shape"], unit="largest change, absolute")
reveal("adversarial.bears", by_factor.idxmax(), str(by_factor.round(2).to_dict()))

# %% [markdown]
# Read the verdict off the intervals: what changes little was not what the network looked at. A polar bear and a
# boulder come out about as brown as a brown bear. Of ground and brightness say less: the same program, on a
# processor that only rounds differently, gave effects twice as large or none at all, and an interval over
# pictures of *one* network cannot show that. And the report's own suspect, the large thing in the middle? See
# the rows of size and place. *Nothing* is no shape, and does not count in the verdict (on bright snow a little
# colour counts as much). A data set in which things always go together teaches a network all of them, or
# whichever is easiest. Which one, you learn only from pictures in which they part. And a network that only ever
# saw brown bears was never paid for telling them from polar ones.
#
# ## What it cost
#
# A step of the game is a step of two networks. What does a minute of it buy, against a minute more of L2?

# %%
if world:
    things = objects.object_colors(world, nets | {"L2 before": before})
    value = {
        name: comparisons.possible(things, name).mean().item() for name in (*nets, "L2 before")
    }
    minutes = {"L2": (seconds["L2"] - seconds_before) / 60, "GAN": seconds_gan / 60}
    cost = pd.DataFrame(
        {
            "possible before": value["L2 before"],
            "possible after": pd.Series({name: value[name] for name in minutes}),
            "more minutes": pd.Series(minutes),
        }
    )
    cost["gain a minute"] = (cost["possible after"] - cost["possible before"]) / cost[
        "more minutes"
    ]
    display(cost.round(3))

# %% [markdown] tags=["extra"]
# ### Extra: another discriminator's loss
#
# The **hinge** loss has no labels but a margin: the discriminator wants true logits above 1 and made ones below
# -1, and nothing more; the generator wants high logits. (5 minutes)


# %% tags=["extra"]
@exercise("adversarial.hinge")
def hinge(true, generated):
    """Logits -> (the discriminator's loss, mean of its halves, margin 1; the generator's)."""
    ### BEGIN SOLUTION
    halves = F.relu(1 - true).mean() + F.relu(1 + generated).mean()
    return halves / 2, -generated.mean()
    ### END SOLUTION


# %% tags=["extra"]
check("adversarial.hinge")

# %% [markdown] tags=["extra"]
# ### Extra: predicted or original?
#
# The portraits report asked people. Now you: twenty pairs of the same held-out picture, one with its own
# colours, one with the game's. Which one is predicted? A score without its interval is no score. (And a
# program that always points at the more colourful one gets the score printed below.)

# %% tags=["extra"]
quiz_from = slice(20, 20 + cfg.quiz)
guess = nets["GAN"].colorize(L[quiz_from])
quiz = Quiz(quiz_pairs(L[quiz_from], ab[quiz_from], guess), seed=cfg.seed)
show_quiz(quiz)
robot = Quiz(quiz.pairs, quiz.seed)
while not robot.done:
    left, right = (colorfulness(picture) for picture in robot.shown())
    robot.answer("left" if left > right else "right")
print("the program:", robot.verdict())

# %% [markdown]
# ## Recap
#
# - A GAN is a game: two losses, each the other's. Both at ln 2 is the best game, or a dead one.
# - Read accuracy on generated *and* on gray, and the share of the gradient. Falling losses prove nothing.
# - Without L a discriminator cannot know what belongs where. A discriminator of patches judges locally, and is
#   cheap.
# - Lambda has a unit. Compare gradients, not losses.
# - L2 first, then the discriminator, then both: a network works before the game begins, and you may stop it
#   anywhere.
# - The GAN leaves the impossible mean more often than L2; rebalanced classes leave it too, with less ado.
#   Without noise it cannot learn how *often* each colour is right.
# - A step of it trains two networks: measure what a minute of it buys. A learnt loss may pay where nobody can
#   write down what is wrong with a picture: texture, sharpness, a whole face.
# - SSIM measures L. Factors that go together cannot be told apart by looking at more of the same.
#
# **Questions without answers here**
#
# - The discriminator saw only patches. Would a larger field have noticed half-red apples?
# - What would you have to give G, and what to D, to make it throw the dice?
# - Who would you let judge a colorizer: a discriminator, a recogniser, people, or a
#   number? For which purpose?
#
# You gave gray pictures their colours in five ways. Take your own photographs: `colorkit data prepare`,
# and `source` among the parameters of lessons 3 to 5. The numbers of this notebook, and their ranges:

# %%
show_records("05_adversarial", cfg.profile)

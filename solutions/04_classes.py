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
# # Lesson 4. Not one colour: a probability for each
#
# In lesson 3 networks painted apples brown, and were right: brown is the best answer to the question
# that squared error asks. Today you ask another question. The same network, with another loss, says how
# probable *each* colour is. Then apples turn red or green, and because our world is made, you can check
# whether the probabilities are true. Then you make rare colours count more, and see what that wins and
# what it costs.
#
# **After this lesson you can**
#
# - turn colours into classes, with soft targets, and train a network on them;
# - choose one colour from a distribution, anywhere between its mean and its mode;
# - weigh rare classes, and say what that wins, what it costs, and when not to do it;
# - tell whether predicted probabilities can be believed, and whether a rare *group* is served badly.
#
# **It takes** about an hour: five exercises, some minutes of computing. **It needs** lesson 3,
# softmax and cross-entropy. These two first, in two minutes.

# %% tags=["bootstrap"]
# install colorkit where it is missing

# %% tags=["parameters"]
profile = None  # "ci", "laptop" or "gpu"; None asks $COLORKIT_PROFILE, else "laptop"
source = "orchard"  # a made world, or the folder of a store made by `colorkit data prepare`
size = None  # side of photographs in pixels; None: the profile's

# %%
import math

import pandas as pd
import torch
from IPython.display import display

from colorcourse import check, exercise, predict, record, reveal, settings
from colorcourse.lesson04 import comparisons, figures, probabilities
from colorcourse.lesson04.recogniser import recognised_right, train_recogniser
from colorcourse.recording import show_records
from colorkit import bins as ab_classes
from colorkit import models, objects
from colorkit.batches import Batches
from colorkit.color import fit_gamut, join_lab, lab_to_rgb, rgb_to_lab, split_lab
from colorkit.data.pictures import BUNDLED, lesson_pictures, photograph
from colorkit.device import pick_device, seed_everything
from colorkit.evaluate import compare, error_curves, paired_difference, score_models, table
from colorkit.fit import fit
from colorkit.losses import Classification, l2, middle_pixels, regression
from colorkit.metrics import auc, colorfulness, share_within
from colorkit.plots import colorings, error_figure, intervals, show
from colorkit.worlds.portrait_scenes import HAIR, TONES, portraits

cfg, device = settings("04_classes", profile), pick_device()
print(f"profile {cfg.profile}, {device}: {cfg.pictures} pictures of {size or cfg.size} pixels")

# %% [markdown]
# ## Softmax and cross-entropy, in two minutes
#
# A classifier gives each class a number, a **logit**. **Softmax** makes probabilities of them: take the
# exponential, divide by the sum. Only differences of logits count.
#
# **Cross-entropy** is the price of the truth: -log of the probability that the true class got. Sure and
# right costs 0. Sure and wrong costs a lot. Where the target itself is a distribution *z*, it is the mean
# price, - sum z log p, and it is lowest where p = z. That is why a classifier learns *probabilities*: if
# half of all such apples are red, to say 0.5 is cheapest in the long run.
#
# So before training you know the loss to expect: with Q classes and no idea, ln Q. (With the natural
# logarithm the unit is called the **nat**.)

# %%
logits = torch.tensor([2.0, 1.0, -1.0])
p = logits.softmax(0)
print("logits", logits.tolist(), "-> probabilities", p.round(decimals=2).tolist())
print("price if the first was true", round(-p[0].log().item(), 2))
print("price if the last was true ", round(-p[2].log().item(), 2))
print("no idea among 313 classes: ln 313 =", round(math.log(313), 2))

# %% [markdown]
# ## Where colours are
#
# Which classes? A colour is a point (*a*, *b*). Look first where these points are: below, in log scale,
# how often each colour occurs in our orchard and in four photographs. The red dots are a grid of step 10:
# all its points within reach of sRGB's colours, as Zhang, Isola and Efros chose them in 2016. There are
# 313, and each will be a class, a **bin**.

# %%
pictures = lesson_pictures(source, cfg.pictures, cfg.held_out, size or cfg.size, cfg.seed)
world = pictures.worlds.get("test")  # None for photographs: nobody knows their dice
photographs = [split_lab(rgb_to_lab(photograph(name, cfg.photo_size))) for name in BUNDLED]
bins = ab_classes.ab_bins(step=10)
prior = ab_classes.estimate_prior(pictures.batches("train"), bins)
show(
    figures.histograms_with_bins(
        {"training pictures": prior.histogram, "photographs": ab_classes.ab_histogram(photographs)},
        bins,
    ),
    alt="Two maps of the ab plane in log scale. The made pictures form some forty rays from gray in "
    "all directions; the photographs a cloud of browns and oranges, with an arm to violet. Dots of a "
    "grid cover both and reach farther.",
)
reachable = int(ab_classes.reachable_bins(bins).sum())
print(
    f"{len(bins)} bins, {reachable} of them nearest to some 8-bit colour, {prior.support} seen here"
)

# %% [markdown]
# Two things to see. **Dull colours rule**: near the middle a colour is a hundred times as frequent as
# out there. And our things have their colours on **rays**: red is one, green another, dark near gray
# and vivid farther out. Such a set is not convex: the mean of red and green lies between the rays. L2
# answers with that mean, a colour that hardly any apple has. Let us count.

# %%
if world:
    fruits = objects.object_colors(world, {})
    apples = torch.tensor(fruits.table.kind.eq("apple"))
    truth = fruits.ab["truth"][apples]
    at_mean = ((truth - truth.mean(0)).norm(dim=1) <= 10).float().mean().item()
    print(f"{len(truth)} apples; the mean of their colours is {truth.mean(0).round().tolist()}")
    record("apples_at_mean", at_mean, unit="of the apples within 10 of their mean colour")

# %% [markdown]
# ## Soft targets
#
# A **hard** target puts a pixel's colour into the nearest bin. But bins have neighbours: a colour between
# two bins is nearly both, and a network that says the other one is nearly right. Hard targets punish it
# as if it had said blue. A **soft** target shares the pixel among its nearest bins: the weight of a bin
# at distance *d* is proportional to exp(-d² / 2 sigma²), with sigma = 5, and the weights add up to 1.
#
# **Exercise 1** (9 minutes). Encode colours softly. *d* is the Euclidean distance in the ab plane. Bins
# that are not among the `neighbours` nearest get exactly 0. (The paper says 5 neighbours, its code 10.)


# %%
@exercise("classes.soft_encoding")
def soft_encode(ab, bins, neighbours=10, sigma=5.0):
    """ab (M, 2), bins (Q, 2) -> weights (M, Q), each row adding up to 1."""
    ### BEGIN SOLUTION
    distance, nearest = torch.cdist(ab, bins).topk(neighbours, dim=1, largest=False)
    weights = torch.exp(-(distance**2) / (2 * sigma**2))
    weights = weights / weights.sum(dim=1, keepdim=True)
    return torch.zeros(len(ab), len(bins)).scatter(1, nearest, weights)
    ### END SOLUTION


# %%
check("classes.soft_encoding")

# %%
colour = torch.tensor([[43.0, 26.0]])
soft = comparisons.dense_targets(
    soft_encode(colour, bins), bins
)  # a pair (indices, weights) will do too
hard = comparisons.dense_targets(soft_encode(colour, bins, neighbours=1), bins)
show(
    figures.on_bins({"hard": hard[0], "soft": soft[0]}, bins, log=False, around=colour[0]),
    alt="The bins around one colour, as squares. Hard: one square has all the weight. Soft: ten "
    "squares share it, the nearest has most.",
)
print("soft weights:", soft[0].topk(5).values.round(decimals=3).tolist(), "sum", soft.sum().item())
print(
    "back to a colour:",
    (soft @ bins)[0].round(decimals=1).tolist(),
    "hard:",
    (hard @ bins)[0].tolist(),
)

# %% [markdown]
# Soft targets also keep more of the colour: their mean is closer to it than the bin's centre.
#
# ## How frequent is each colour?
#
# Count the bins over all training pixels, and you have the **prior** p. Many bins are empty, though, for
# no other reason than that we did not look long enough. So p is **smoothed**: each bin hands its mass on
# to all bins, in proportion to exp(-d² / 2 sigma²) of the distance *in the ab plane*. Careful at the edge:
# what a bin hands on is divided by *its own* sum over the bins, so that no mass is lost to places where
# there is no bin.
#
# **Exercise 2** (7 minutes). Smooth the counts. Public code has smoothed along the *number* of the bins.
# Their numbers run along *b*: bins 100 and 101 lie one step of *b* apart, but the neighbours one step of *a*
# away stand many numbers before and after.


# %%
@exercise("classes.prior")
def smooth_prior(counts, bins, sigma=5.0):
    """counts (Q,) of pixels, bins (Q, 2) -> smoothed probabilities (Q,), adding up to 1."""
    ### BEGIN SOLUTION
    kernel = torch.exp(-(torch.cdist(bins, bins) ** 2) / (2 * sigma**2))
    kernel = kernel / kernel.sum(dim=0)  # column j: what bin j hands on
    return kernel @ (counts / counts.sum())
    ### END SOLUTION


# %%
check("classes.prior")

# %% [markdown]
# Gray pixels are so many that a network may ignore the rest. **Rebalancing** lets a pixel of a rare colour
# count more: its loss is multiplied by a weight w of its bin, proportional to 1 / ((1 - lambda) p +
# lambda / Q). The second term keeps it finite: lambda mixes in a uniform distribution, and at lambda = 1
# all weights are alike. The scale: the sum of p w is 1. (Smoothing made p richer in rare colours than the
# pixels are. So the mean weight of a *pixel* comes out somewhat below 1.)
#
# **Exercise 3** (5 minutes). The weights.


# %%
@exercise("classes.weights")
def rebalance(p, lam=0.5):
    """p (Q,) adding up to 1, lam in (0, 1] -> weights (Q,) with sum of p w = 1."""
    ### BEGIN SOLUTION
    weights = 1 / ((1 - lam) * p + lam / len(p))
    return weights / (p * weights).sum()
    ### END SOLUTION


# %%
check("classes.weights")

# %%
counts = prior.counts.float()
p = smooth_prior(counts, bins)
w = rebalance(p, lam=cfg.lam)
show(
    figures.on_bins({"counted": counts / counts.sum(), "smoothed: p": p, "weights: w": w}, bins),
    alt="Three maps of the bins. Counted: about a hundred bins around gray, the others empty. "
    "Smoothed: all bins have something, less farther out. Weights: the reverse, low where colours "
    "are frequent, and equally high outside.",
)
print(f"weights from {w.min():.2f} to {w.max():.1f}; gray has {w[bins.norm(dim=1).argmin()]:.2f}")

# %% [markdown]
# ## The loss
#
# For each pixel: cross-entropy with its soft target, times the weight of its most probable bin, and the
# mean over the *pixels*. The target has ten weights that are not 0, so keep it **sparse**: ten numbers of
# bins, ten weights z. A dense one of 313 numbers a pixel would be 303 zeros.
#
# **Exercise 4** (9 minutes). Use `log_softmax`: where a probability is rounded to 0, the logarithm of a
# softmax is minus infinity, and its gradient not a number. Divide by the number of pixels, not by the sum
# of the weights.


# %%
@exercise("classes.cross_entropy")
def soft_cross_entropy(logits, indices, z, weights):
    """logits (N, Q, h, w), indices and z (N, K, h, w), weights (Q,) of the bins -> a scalar."""
    ### BEGIN SOLUTION
    log_p = logits.log_softmax(dim=1).gather(1, indices)
    cost = -(z * log_p).sum(dim=1)  # (N, h, w)
    top = indices.gather(1, z.argmax(dim=1, keepdim=True))[:, 0]
    return (weights[top] * cost).mean()
    ### END SOLUTION


# %%
check("classes.cross_entropy")

# %% [markdown]
# Is it the loss that we shall train with? `Classification` of colorkit computes the same, with a gradient
# written by hand, and faster. It gets a network with a **head over the bins**: 313 channels
# instead of 2, at half of the height and width: the eye sees colour coarsely. (The paper takes a
# quarter, of larger pictures.) Few channels come out of the trunk, so a hidden layer stands in between.


# %%
frozen = bool(world) and cfg.frozen  # photographs are news to it: there it goes on learning
memory = models.FeatureMemory() if frozen else None  # it says the same of a picture each time


def start(seed=cfg.seed):
    """Lesson 3's encoder, which has learned to name things in made worlds, with a new way up."""
    seed_everything(seed)
    return models.ResNetColorizer(18, "worlds", width=cfg.width, frozen=frozen, memory=memory)


def classifier(seed=cfg.seed):
    """The same encoder, with a head over the bins."""
    return models.Classifier(start(seed), bins, scale=2, hidden=cfg.hidden)


untrained = classifier()
L, ab = (plane[:8] for plane in pictures.train)
logits = untrained.logits(L)
indices, z = ab_classes.soft_encode(middle_pixels(ab, logits.shape[2:]), bins)
yours = soft_cross_entropy(logits, indices, z, w).item()
with torch.no_grad():
    fast = Classification(bins, w)(untrained.eval(), (L, ab)).item()
plain = soft_cross_entropy(logits, indices, z, torch.ones_like(w)).item()
print(f"logits {tuple(logits.shape)}: yours {yours:.4f}, colorkit's {fast:.4f}")
record("untrained_loss", plain, unit="nats without weights; ln 313 = 5.75")

# %% [markdown]
# ## One colour, please
#
# A picture has one colour a pixel, the network gives 313 probabilities. The **mean** is brown again. The
# **mode**, the most probable bin, leaps from bin to bin between neighbours. In between lies the **annealed
# mean**: divide the logits by a **temperature** T, then softmax, then the mean of the bins' centres. T = 1
# is the mean; T towards 0 is the mode; the paper takes 0.38.
#
# **Exercise 5** (6 minutes). Write it, for all pixels at once.


# %%
@exercise("classes.annealed_mean")
def annealed_mean(logits, bins, temperature=0.38):
    """logits (N, Q, h, w), bins (Q, 2) -> ab (N, 2, h, w)."""
    ### BEGIN SOLUTION
    p = (logits / temperature).softmax(dim=1)
    return torch.einsum("nqhw,qc->nchw", p, bins)
    ### END SOLUTION


# %%
check("classes.annealed_mean")

# %% [markdown]
# ## Three of a kind
#
# Now train: **regression** with L2, **classes**, and **classes rebalanced**. The same encoder, the same
# pictures in the same order, as many of them. Only the question differs, and with it the last layers: L2
# has one block more, up to full size, the other two have their hidden layer and the bins. A frozen
# encoder says the same of a picture each time: so it is asked once, and its answer is remembered, for the
# other networks too.


# %%
def train(net, loss, pair, steps, seed=cfg.seed, batch=cfg.batch, **options):
    """Train on the pair (L, ab), quietly; return the network."""
    data = Batches(pair, min(batch, len(pair[0])), seed=seed)
    options = {"lr": cfg.lr, "schedule": "one-cycle", "callbacks": ()} | options
    fit(net, loss, data, steps, seed=seed, **options)
    return net


three = {
    "L2": (start(), regression(l2)),
    "classes": (classifier(), Classification(bins)),
    "rebalanced": (classifier(), Classification(bins, w)),
}
large = {"batch": cfg.large_batch, "lr": cfg.large_lr}
large["betas"] = (0.9, cfg.large_beta2)  # AdamW forgets faster, for a short run
nets = {
    name: train(net, loss, pictures.train, cfg.steps, **large)
    for name, (net, loss) in three.items()
}
if memory:
    memory.clear()  # half a gigabyte

# %% [markdown]
# Move the slider. At T = 1 you see the mean again. On the way down things make up their minds. What
# happens at 0.02, at the borders of things?

# %%
figures.temperature_slider(nets["classes"], pictures.test[0][:6], annealed_mean)
L, ab = pictures.test
logits = nets["classes"].logits(L)
true_colorfulness = colorfulness(lab_to_rgb(join_lab(L, ab))).mean()
rows = []
for T in cfg.temperatures:
    small = torch.cat([annealed_mean(part, bins, T) for part in logits.split(50)])  # saves memory
    guess = fit_gamut(L, nets["classes"].enlarge(small, L))
    row = {"T": T, "AuC": auc(guess, ab).mean(), "within 10": share_within(guess, ab).mean()}
    row["colorfulness"] = colorfulness(lab_to_rgb(join_lab(L, guess))).mean() / true_colorfulness
    if world:
        row["chroma of things"] = probabilities.chroma_ratio(fruits, guess, ab)
    rows.append(row)
by_T = pd.DataFrame(rows).set_index("T").astype(float)
show(
    figures.panels(by_T, {name: [name] for name in by_T}),
    alt="Curves over the temperature: AuC, the share within 10, the colorfulness and the chroma of "
    "things. At T = 0.1 colorfulness is about that of the true pictures.",
)
record("colorfulness_cold", by_T.colorfulness[0.1], unit="of the truth's, at T = 0.1")
if world:
    vivid = {
        "oracle": probabilities.chroma_ratio(fruits, models.Oracle(world).colorize(L), ab),
        "L2": probabilities.chroma_ratio(fruits, nets["L2"].colorize(L), ab),
        "classes, T = 1": by_T["chroma of things"][1.0],
        "classes, T = 0.1": by_T["chroma of things"][0.1],
    }
    print({name: round(float(ratio), 2) for name, ratio in vivid.items()})
    record("chroma_l2", vivid["L2"] - vivid["oracle"], unit="L2's ratio less the oracle's")

# %% [markdown]
# The mean mixes colours that exclude each other, the mode leaps: at which T is it right most often? The
# other two count in shares of the truth's. At T = 0.1 pictures are about as colourful as true ones; vivid
# nonsense would be too. No number will choose T for you: it is a choice between safe and vivid.
#
# The ratios printed last compare with the **oracle** of lesson 3, who knows all dice and answers with the
# mean. L2 is about as dull as that: it is not a bad network, it answers the question it was asked.
#
# ## The table
#
# One report compared classes with regression on photographs of fruit, and added a judge: a network that
# **names** things, trained on true colours, looks at the recoloured pictures. If it takes a plum for a
# grape, the colour misled it. Ours is small, learned on true pictures of our world, and names each object.
# **Rebalanced AuC** is AuC where each bin of true colours counts alike, however few its pixels. Classes
# decode at T = 0.38.

# %%
rivals = {
    "truth": models.GroundTruth(*pictures.test),
    "gray": models.Gray(),
    "random": models.RandomPicture(pictures.batches("train"), seed=cfg.seed),
}
columns = ["auc", "auc_rebalanced", "within_10", "colorfulness_ratio"]
scores = score_models(rivals | nets, pictures.batches(), columns)
results = table(scores)
if world:
    recogniser = train_recogniser(pictures.worlds["train"], cfg.recogniser_steps, cfg.seed)
    parts = pictures.test[0].split(50)
    planes = {
        name: torch.cat([model.colorize(part) for part in parts])
        for name, model in (rivals | nets).items()
    }
    things = objects.object_colors(world, {}, several=False)
    named = recognised_right(recogniser, world, things, planes)
    results = results.assign(named=[named[name].mean().item() for name in results.index])
display(results.round(3))
show(
    error_figure(error_curves(scores)),
    alt="Cumulative error of pixels, a curve for each model: classes have more pixels within 10 "
    "than L2.",
)
show(
    error_figure(error_curves(scores, of="pictures")),
    alt="Cumulative mean error of pictures, a curve for each model.",
)

# %%
pairs = [("classes", "L2"), ("rebalanced", "L2"), ("rebalanced", "classes"), ("L2", "gray")]
leads = {}
for a, b in pairs:
    for metric in ("within_10", "auc_rebalanced"):
        leads[f"{a} - {b}: {metric}"] = compare(scores, a, b).loc[metric]
    if world:
        difference = paired_difference(named[a], named[b])
        leads[f"{a} - {b}: named right"] = pd.Series(difference._asdict())
leads = pd.DataFrame(leads).T
show(
    intervals(leads, "difference, with its 95% interval"),
    alt="Differences of pairs of models with their intervals, a row each, beside the line of zero. "
    "Classes lead L2 in the share within 10; rebalanced leads classes in rebalanced AuC.",
)
record("lead_classes", leads.low["classes - L2: within_10"], unit="lower end, share within 10")
record("lead_rebalanced", leads.low["rebalanced - classes: auc_rebalanced"], unit="lower end")

# %% [markdown]
# A network that decides is right more often. How far off is it when it is wrong? See whether the curves
# cross. Over pictures good and bad pixels average out: which curve you show may decide who wins.
#
# ## Are the probabilities true?
#
# This is the question that only a made world can answer. For each object we know the dice: an apple is
# red, green or yellow with 0.5, 0.3, 0.2. The network was never told. Add up what it predicts within 25 units
# of each possible colour (the rest is "other"), and compare. A network whose probabilities agree with
# what happens is **calibrated**. The measure is **total variation**: half the summed difference of two
# distributions, 0 if they agree, 1 if they share nothing. It says how much probability lies in the wrong
# place.

# %%
predict(
    "classes.calibration",
    "Which network's probabilities are closest to the dice? (L2 bets all on its one colour.)",
    ["L2", "classes", "rebalanced"],
)

# %%
if world:
    fruits = objects.object_colors(world, nets)
    predicted = {"L2": probabilities.of_one_colour(fruits, "L2")}
    for name in ("classes", "rebalanced"):
        predicted[name] = probabilities.predicted(world, fruits, nets[name])
    wrong = pd.DataFrame(
        {name: probabilities.total_variation(fruits, q) for name, q in predicted.items()}
    )
    by_kind = wrong.groupby(fruits.table.kind).mean()
    display(by_kind.round(2))
    pooled = {name: probabilities.variation_by_kind(fruits, q) for name, q in predicted.items()}
    display(pd.DataFrame(pooled).round(2))
    best = fruits.table[fruits.table.kind == "apple"].pixels.idxmax()
    at, known = int(fruits.table.picture[best]), fruits.probs[best]
    L, ab = (plane[at : at + 1] for plane in pictures.test)
    show(
        figures.object_by_models(
            L, {"truth": ab} | {name: net.colorize(L) for name, net in nets.items()},
            fruits.visible[best : best + 1], fruits.possible[best],
            {name: q[best] for name, q in predicted.items()}, known,
        ),
        alt="One apple in truth and by three models, below each its distribution, with frames for "
        "the true probabilities. L2 has no distribution but one bar.",
    )  # fmt: skip
    record("total_variation_l2", wrong["L2"].mean(), unit="mean over objects")
    record("total_variation_classes", wrong["classes"].mean(), unit="mean over objects")
    reveal("classes.calibration", wrong.mean().idxmin(), f"{wrong.mean().min():.2f} is the least.")

# %% [markdown]
# This is the picture of the lesson. Nobody told the network that half of all apples are red. It paid for
# its mistakes, and the cheapest way to pay is to know: on average less than a quarter of what classes
# predict lies in the wrong place, and more than half of what L2 bets. (First table: object by object, then
# the mean. Second: what is predicted for a kind on average, where errors to either side cancel. Which kind
# is known least, and what in its pictures could be the reason?)
#
# And rebalanced? It answers *another* question: what is the colour, if rare colours counted w times? Then
# an apple should get q, in proportion to p w. Does it? And if we divide what it predicts by w, and
# normalise, do the true probabilities come back? In a run as short as this much is not learned yet: expect
# steps in the right direction at best. Each dot below is one possible colour of one object; red dashes are
# means.

# %%
if world:
    net, wanted = nets["rebalanced"], {}
    wanted["p w"] = probabilities.rebalanced(world, fruits, net, w)
    undone = probabilities.predicted(world, fruits, net, weights=w)
    p_true = [torch.cat([p, p.new_zeros(1)]) for p in fruits.probs]
    flat = {k: torch.cat(list(v)) for k, v in predicted.items()}
    true, target = torch.cat(p_true), torch.cat(wanted["p w"])
    show(
        figures.probabilities_figure(
            {
                "classes against p": (true, flat["classes"]),
                "rebalanced against p": (true, flat["rebalanced"]),
                "rebalanced against p w": (target, flat["rebalanced"]),
                "rebalanced / w against p": (true, torch.cat(undone)),
            },
            "known probability",
        ),
        alt="Predicted over known probabilities, four panels. On average classes lie near the "
        "diagonal against p, and rebalanced against p times w.",
    )
    against_q = probabilities.total_variation(fruits, predicted["rebalanced"], wanted["p w"]).mean()
    record("total_variation_pw", against_q, unit="rebalanced, against p w")

# %% [markdown] tags=["extra"]
# ### Extra: without knowing the dice
#
# For photographs nobody knows p. But you can check a forecaster without knowing the weather's dice: of all
# days with "rain 30%", did it rain on 30%? A **reliability plot** sorts predictions into intervals by
# their probability and compares the mean prediction with how often it happened. Calibrated is what lies
# on the diagonal. (Calibrated is not sharp: who always says 20%, in a place where it rains on 20% of all
# days, lies on it too.)
#
# - **Reliability** (6 minutes).
# - **Undo the rebalancing** (4 minutes): from q, in proportion to p w, back to p.


# %% tags=["extra"]
@exercise("classes.calibration")
def reliability(predicted, happened, edges):
    """predicted (M,) probabilities, happened (M,) bool, edges (B + 1,) -> two tensors (B,).

    Of each interval of predictions: their mean, and the share of them that happened; NaN where it
    is empty. An interval holds its lower edge, the last one its upper edge too.
    """
    ### BEGIN SOLUTION
    number = torch.bucketize(predicted, edges[1:-1], right=True)
    means = [predicted[number == k].mean() for k in range(len(edges) - 1)]
    shares = [happened[number == k].float().mean() for k in range(len(edges) - 1)]
    return torch.stack(means), torch.stack(shares)
    ### END SOLUTION


# %% tags=["extra"]
check("classes.calibration")


# %% tags=["extra"]
@exercise("classes.divide_out")
def undo_rebalancing(q, w):
    """q (M, Q) in proportion to p w, w (Q,) -> p (M, Q), each row adding up to 1."""
    ### BEGIN SOLUTION
    p = q / w
    return p / p.sum(dim=1, keepdim=True)
    ### END SOLUTION


# %% tags=["extra"]
check("classes.divide_out")

# %% tags=["extra"]
if world:
    happened = torch.cat(
        [
            torch.arange(len(p) + 1) == k
            for p, k in zip(fruits.probs, fruits.table.drawn, strict=True)
        ]
    )
    edges = torch.linspace(0, 1, 6)
    curves = {k: reliability(torch.cat(list(v)), happened, edges) for k, v in predicted.items()}
    curves["rebalanced / w"] = reliability(torch.cat(list(undone)), happened, edges)
    show(
        figures.reliability_figure(curves),
        alt="Share that happened over the predicted probability, with the diagonal. L2, which always "
        "bets all or nothing, lies far off where it bets all.",
    )

# %% [markdown]
# ## How much rebalancing?
#
# lambda near 0 weighs most, 1 not at all. Below, a small U-Net at 32 x 32 for some values of it.
# "Rare" are pixels in the rarest bins that together hold a tenth of p (of the pixels, fewer: p is smoothed),
# "common" all others; these two columns are shares within 10 of the truth. And two more runs, **A** and **B**,
# at lambda = 0.5. One is right. In the other, the weights are wrong in one line, which stood in public code
# for years. No error, no warning.

# %%
small = lesson_pictures("orchard", cfg.small_pictures, cfg.small_held_out, 32, cfg.seed)
small_prior = smooth_prior(
    ab_classes.estimate_prior(small.batches("train"), bins).counts.float(), bins
)
rules = {f"lambda {lam}": (lam, ab_classes.pixel_weights) for lam in cfg.lambdas}
rules |= {"A": (0.5, comparisons.reshaped_weights), "B": (0.5, ab_classes.pixel_weights)}


def small_classifier(seed=cfg.seed):
    """A U-Net that starts from nothing and needs a third of the time."""
    seed_everything(seed)
    return models.Classifier(models.UNet(8, 3), bins, scale=2)


unweighted, swept = Classification(bins), {}
for name, (lam, rule) in rules.items():
    seed = cfg.seed + (name == "B")  # another start than the row of lambda 0.5
    objective = comparisons.weighted(unweighted, rebalance(small_prior, lam), rule)
    net = small_classifier(seed)
    swept[name] = train(net, objective, small.train, cfg.small_steps, seed)
sweep = comparisons.rare_and_common(swept, small.test, small_prior, bins)
display(sweep.round(3))
predict("classes.broken", "Whose weights are wrong?", ["A", "B"])

# %%
L, ab = (plane[:6] for plane in pictures.test)
targets = ab_classes.soft_encode(ab, bins)
maps = {"A": comparisons.reshaped_weights(targets, w), "B": ab_classes.pixel_weights(targets, w)}
show(
    figures.weight_maps(L, ab, maps),
    alt="Six pictures; below them the weights that A and B give their pixels. B's follow the things: "
    "rare colours are bright. A's are the same high weight nearly everywhere, with stray dots.",
)
gain = {name: sweep.rare[name] - sweep.rare[f"lambda {cfg.lambdas[-1]}"] for name in "AB"}
print({name: f"mean weight {weights.mean():.2f}" for name, weights in maps.items()})
record("rare_gain_right", gain["B"], unit="share within 10, rare colours, over lambda 1")
record("rare_gain_broken", gain["A"], unit="share within 10, rare colours, over lambda 1")
record(
    "common_cost", sweep.common.iloc[0] - sweep.common[f"lambda {cfg.lambdas[-1]}"], unit="share"
)
reveal(
    "classes.broken", min(gain, key=gain.get), "Its rare colours gain least, and see its weights."
)

# %% [markdown]
# A's line is `z.reshape(-1, 313)` with z of shape (N, 313, h, w). It reshapes, it does not *permute*: a row
# then holds one bin at 313 pixels, not 313 bins at one pixel. Most rows are all zeros, the largest of which
# is the first: bin 0, at the far edge. Shapes fit, the loss falls, and nothing is rebalanced: nearly all
# pixels get the weight of a bin that never occurs. So look at weights **as a picture**, once, and at their
# mean over the pixels: somewhat below 1, not near the largest.
#
# And lambda? Weights bring rare colours back, and in so short a run common ones pay for it. The large
# networks above trained far longer: did they pay too? And before you believe in an order of the lambdas:
# B *is* lambda 0.5, from another start. Compare it with its row.
#
# **When not to rebalance**: where the probabilities themselves are what you need; where mistakes on common
# things cost most; and where "rare" is mostly noise: a JPEG's stray pixels are rare as well.
#
# ## When to stop
#
# A network on few pictures learns them by heart, and its cross-entropy on *unseen* pictures rises. The
# report that compared classes and regression saw it from epoch 30 on (an epoch is once through all training
# pictures), while its pictures went on getting
# better. Let us watch both. What should stop the training?

# %%
predict(
    "classes.stopping",
    "When the cross-entropy of unseen pictures is lowest, their share within 10 ...",
    ["is at its best too", "gets better afterwards", "was better before"],
)

# %%
few = tuple(plane[: cfg.few] for plane in small.train)
watch = comparisons.Watch(unweighted, few, small.val, every=max(1, cfg.watch_steps // 12))
net = small_classifier()
train(net, unweighted, few, cfg.watch_steps, callbacks=[watch])
watched = watch.frame()
show(
    figures.panels(
        watched,
        {
            "cross-entropy (nats)": ["seen", "unseen"],
            "unseen: within 10": ["within_10"],
            "unseen: colorfulness, of the truth's": ["colorfulness_ratio"],
        },
    ),
    alt="Three panels over the steps. Cross-entropy on seen pictures falls, on unseen ones it falls and "
    "then rises. The share within 10 hardly falls with it.",
)
lowest = watched.unseen.idxmin()
at_lowest, at_best = watched.within_10[lowest], watched.within_10.max()
best_step = watched.within_10.idxmax()
record(
    "entropy_rise", watched.unseen.iloc[-1] - watched.unseen.min(), unit="nats, from lowest to last"
)
record("within_10_after", watched.within_10.iloc[-1] - at_lowest, unit="share, from there to last")
answers = {True: "gets better afterwards", False: "was better before"}
same = at_best - at_lowest < 0.005
answer = "is at its best too" if same else answers[bool(best_step > lowest)]
reveal("classes.stopping", answer, f"Lowest at step {lowest}, best share at step {best_step}.")

# %% [markdown]
# From its lowest point cross-entropy rises again, the share within 10 hardly falls. Cross-entropy asks
# for true *probabilities*, the picture for a good *choice*. A network that learns by heart becomes too sure
# of itself: where it is wrong it pays ever more, though it is wrong hardly more often. (The report saw its
# pictures go on improving. In a run as short as this both may be at their best together.) Where they part:
# stop by cross-entropy if you need the probabilities, by what you look at if you need the picture, and if
# both, keep both sets of weights.
#
# ## Bias: rare people
#
# Rebalancing helps rare *colours*. Does it help a rare *group*? Our portraits have faces of two tones of
# skin, and brightness does not always tell which. Two training sets: 90% of one and 10% of the other, and
# 50/50. Each trained with and without rebalancing, and judged on the same new faces, half of each.

# %%
predict(
    "classes.bias",
    "Trained on 90/10: does rebalancing colours bring the rare group's error down to 50/50's?",
    ["yes", "partly", "no"],
)

# %%
faces, shares = {}, {"90/10": (0.9, 0.1), "50/50": (0.5, 0.5)}
judged = portraits(
    cfg.faces_held_out,
    32,
    cfg.seed + 7,
    dict(zip(cfg.tones, shares["50/50"], strict=True)),
    spread=cfg.spread,
)
for mix, share in shares.items():
    seen = portraits(
        cfg.faces, 32, cfg.seed + 8, dict(zip(cfg.tones, share, strict=True)), spread=cfg.spread
    )
    face_prior = ab_classes.estimate_prior([(seen.L, seen.ab)], bins)
    for kind, lam in (("plain", 1.0), ("rebalanced", cfg.lam)):
        objective = Classification(bins, rebalance(face_prior.p, lam))
        net = small_classifier()
        faces[f"{mix}, {kind}"] = train(net, objective, (seen.L, seen.ab), cfg.face_steps)
looks = objects.object_colors(judged, faces)
tone = judged.labels[looks.table.picture.tolist()]
skin = torch.tensor(looks.table.kind == "skin")

# %%
hair = looks.table.kind.eq("hair") & looks.table.drawn.eq(list(HAIR).index("gray"))
grayed, rare = torch.tensor(hair), tone == list(TONES).index(cfg.tones[1])
errors = {name: looks.distance(name, "truth") for name in faces}
rows = {
    name: {
        "common tone": error[skin & ~rare].mean().item(),
        "rare tone": error[skin & rare].mean().item(),
        "gray hair gone blond": (looks.nearest(name)[0][grayed] == list(HAIR).index("blond"))
        .float()
        .mean()
        .item(),
    }
    for name, error in errors.items()
}
by_tone = pd.DataFrame(rows).T
display(by_tone.round(2))
L, ab = judged.L[:8], judged.ab[:8]
show(
    colorings(L, {"true": ab} | {name: net.colorize(L) for name, net in faces.items()}, 1.1),
    alt="Eight drawn portraits: gray, true, and by the four networks.",
)

# %%
questions = {
    "50/50 instead of 90/10": ("50/50, plain", "90/10, plain"),
    "rebalanced colours, 90/10": ("90/10, rebalanced", "90/10, plain"),
}
change = {}
for question, (a, b) in questions.items():
    for group, who in (("rare tone", skin & rare), ("common tone", skin & ~rare)):
        difference = paired_difference(errors[a][who], errors[b][who])
        change[f"{group}: {question}"] = pd.Series(difference._asdict())
change = pd.DataFrame(change).T
show(
    intervals(change, "change of the skin's ab error, with its 95% interval"),
    alt="Four changes with intervals, a row each: of both tones, by 50/50 and by rebalanced colours. "
    "50/50 lowers the error of the rare tone.",
)
record("bias_gap", by_tone["rare tone"].iloc[0] - by_tone["common tone"].iloc[0], unit="ab units")
record("bias_balanced_data", change.difference.iloc[0], unit="ab units, rare tone")
helped = change.difference.iloc[2] / change.difference.iloc[0]
answer = "yes" if helped > 0.8 else "partly" if helped > 0.2 else "no"
reveal("classes.bias", answer, f"It goes {helped:.0%} of the way that 50/50 goes.")

# %% [markdown]
# A network trained on 90/10 tends to the common tone where brightness leaves it open. Its probabilities may
# be right for *its* data; its choice is unfair to the tenth. Better data mend part of it. Not all: brightness
# cannot tell the tones apart, and what favours one costs the other. Rebalancing counts *colours* and
# knows nothing of groups: it can help only as far as the rare group's colours are rare themselves, and
# not a group whose colours the others share. And did gray hair go blond, as in the report on portraits? Both
# are about equally bright, and blond is more frequent. Only somebody who *counts by group* will see
# either: the mean error hides both.
#
# ## Recap
#
# - A classifier over bins of the ab plane predicts a *distribution*. The first loss to expect is ln 313.
# - Soft targets know that bins have neighbours; a smoothed prior knows it too.
# - From a distribution to a colour: T = 1 is the mean, T near 0 the mode. A choice, not a truth.
# - Cross-entropy is cheapest at the true probabilities: here they can be checked, kind by kind.
# - Rebalancing answers another question: p w instead of p. What it predicts lies near that.
# - Look at weights as a picture; count by group; stop by what you need.
#
# **Questions without answers here**
#
# - Neighbouring pixels choose their colours apart: half an apple may be red. How would you let them agree?
# - Which judge would you trust more, the recogniser or your eye? For what?
# - For photographs, nobody knows the dice. What would convince you that a colorizer is calibrated?
# - Would it be right to rebalance by group? Who says what the groups are?
#
# Next, in lesson 5: a second network that learns to tell what is real. The numbers of this notebook, and
# the range in which they are expected:

# %%
show_records("04_classes", cfg.profile)

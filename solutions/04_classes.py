# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["slide"]
# # Lesson 4. A probability for each colour
#
# In lesson 3 the networks painted apples brown, because squared error asks for the mean of red,
# green and yellow. Here you predict how probable *each* colour is, and check the probabilities.
#
# **After this lesson you can**
#
# - turn colours into classes with soft targets, and write the loss for them;
# - decode a predicted distribution to its mean, its mode, or a random draw;
# - read how far predicted probabilities are from the true ones;
# - give rare classes more weight, and read who gains and who pays.
#
# **It takes** 60 to 90 minutes, 42 of them for five exercises and about six for computing (profile
# "laptop", described here). **It needs** lesson 3.

# %% tags=["bootstrap"]
# install colorkit where it is missing

# %% tags=["parameters"]
profile = None  # "ci", "laptop" or "gpu"; None asks $COLORKIT_PROFILE, else "laptop"
source = "orchard"  # or a public set such as "official-portraits", or a store's folder
size = None  # side of a public set's photographs in pixels; None: the profile's

# %% tags=["imports"]
import math

import torch
from IPython.display import display

from colorcourse import check, exercise, predict, quiz, reveal, settings, show_records
from colorcourse.lesson04 import comparisons, figures
from colorkit import losses, models
from colorkit.batches import Batches
from colorkit.bins import ab_bins, estimate_prior
from colorkit.data.pictures import lesson_pictures
from colorkit.device import seed_everything
from colorkit.fit import fit
from colorkit.plots import colorings, intervals, show
from colorkit.worlds.portrait_scenes import portraits

# %% tags=["slide"]
cfg = settings("04_classes", profile)
pictures = lesson_pictures(source, cfg.pictures, cfg.held_out, size or cfg.size, cfg.seed)
world = pictures.worlds.get("test")  # None for photographs, whose possible colours are not known
alt = "One apple, five times: gray, red, green, yellow, and in the mean of these, a reddish brown."
show(figures.one_apple(world), alt)

# %% [markdown] tags=["slide"]
# The lightness of this apple does not tell its colour: our world draws red with probability 0.5,
# green with 0.3 and yellow with 0.2.
#
# ## Softmax and cross-entropy
#
# A classifier gives each class a number, its **logit**. **Softmax** turns logits into probabilities
# q: exponentials, divided by their sum. **Cross-entropy** is −log q of the true class. For a
# distribution z as target it is
#
# $$-\sum_i z_i\log q_i = -\sum_i z_i\log z_i + \sum_i z_i\log(z_i/q_i).$$
#
# The last sum, the KL divergence, is least, 0, at q = z. Pixels that look alike get one q, and
# their mean loss is the cross-entropy with their mean target. So a classifier learns
# *probabilities*: if half of all apples that look alike are red, 0.5 gives the lowest loss.
#
# An untrained network gives each of Q classes about the same probability, so its loss is about ln Q
# **nats**.

# %%
logits = torch.tensor([2.0, 1.0, -1.0])
q = logits.softmax(0)
print("probabilities:", [f"{x:.2f}" for x in q])
print(f"loss if the first class is true {-q[0].log():.2f}, if the last is true {-q[2].log():.2f}")
print(f"equal probabilities for 313 classes: ln 313 = {math.log(313):.2f}")

# %% [markdown]
# ## Colours as classes
#
# A colour is a point (*a*, *b*), but a classifier needs a finite number of classes. [Zhang, Isola
# and Efros (2016)](https://arxiv.org/abs/1603.08511) laid a grid of step 10 over the *ab* plane and
# kept the 313 points within reach of sRGB's colours. Each point is a **bin**, a class. The maps
# show how often each colour occurs; red dots are bins.

# %% tags=["slide"]
bins = ab_bins()
prior = estimate_prior(pictures.batches("train"), bins)
show(
    figures.histograms_with_bins(prior.histogram, bins, cfg.photo_size),
    "Two maps of the ab plane with a grid of dots. Training pictures form rays from gray, the "
    "photographs a cloud of browns and oranges with an arm to violet.",
)
frequent = (prior.counts / prior.counts.sum()).topk(10).values.sum()
print(f"the ten most frequent bins hold {frequent:.0%} of the training pixels")

# %% [markdown] tags=["slide"]
# Look at the rays on the left: an object has one hue, more or less vivid. The mean of a red and a
# green is a brown: wood has it, but no apple.
#
# ### From a distribution to one colour
#
# A pixel shows one colour, so a predicted distribution must be **decoded**. Its mean is brown
# again, and its **mode**, the most probable bin, may change from pixel to pixel. The paper takes
# the **annealed mean**: divide the logits by a **temperature** T, apply softmax, and take the mean
# of the bins' centres. T = 1 gives the mean, T near 0 the mode; the paper takes 0.38.
#
# **Exercise 1** (6 minutes). Write the annealed mean for all pixels at once. In all exercises
# return dense torch tensors; real numbers are float32.


# %%
@exercise("classes.annealed_mean")
def annealed_mean(logits, bins, temperature=0.38):
    """logits (N, Q, h, w), bins (Q, 2) -> ab (N, 2, h, w)."""
    ### BEGIN SOLUTION
    q = (logits / temperature).softmax(dim=1)
    return torch.einsum("nqhw,qc->nchw", q, bins)
    ### END SOLUTION


# %%
check("classes.annealed_mean")

# %% tags=["slide"]
apple = torch.full((1, len(bins), 1, 1), -30.0)  # logits of one pixel: probability about 0
for colour, share in (([50.0, 30.0], 0.5), ([-40.0, 40.0], 0.3), ([0.0, 60.0], 0.2)):
    apple[0, (bins - torch.tensor(colour)).norm(dim=1).argmin()] = math.log(share)
swatches = torch.cat([annealed_mean(apple, bins, T) for T in cfg.temperatures])
L, titles = torch.full_like(swatches[:, :1], 60.0), [f"T = {T:g}" for T in cfg.temperatures]
alt = "Seven swatches decoded at falling T: from brown through orange to red. Above, their gray."
show(colorings(L, {"decoded": swatches}, 0.9, titles=titles), alt)

# %% [markdown]
# The swatches go from the mean to the most probable colour.
#
# ## Soft targets
#
# A **hard** target puts a pixel into the nearest bin. A **soft** target shares the pixel among its
# K nearest bins. Their weights z are proportional to $\exp(-d^2/(2\sigma^2))$ and add up to 1,
# where d is the distance in the *ab* plane and sigma = 5.
#
# **Exercise 2** (9 minutes). Nearly all 313 weights are 0, so return only the other K, as two
# tensors: the numbers of the bins (int64) and their weights. Choose the neighbours before you
# normalise. The order of the K bins and the choice among equally near ones are free.


# %%
@exercise("classes.soft_encoding")
def soft_encode(ab, bins, neighbours=10, sigma=5.0):
    """ab (M, 2), bins (Q, 2) -> indices (M, K) and z (M, K), each row of z adding up to 1."""
    ### BEGIN SOLUTION
    distance, indices = torch.cdist(ab, bins).topk(neighbours, dim=1, largest=False)
    z = torch.exp(-(distance**2) / (2 * sigma**2))
    return indices, z / z.sum(dim=1, keepdim=True)
    ### END SOLUTION


# %% tags=["slide"]
check("classes.soft_encoding")
colour = torch.tensor([[43.0, 26.0]])
targets = {"hard": soft_encode(colour, bins, 1), "soft": soft_encode(colour, bins)}
dense = {name: torch.zeros(len(bins)).scatter(0, i[0], z[0]) for name, (i, z) in targets.items()}
show(
    figures.on_bins(dense, bins, log=False, around=colour[0]),
    "The bins around one colour. Hard: one square has all the weight. Soft: ten squares share it.",
)
print({name: [round(x) for x in (z @ bins).tolist()] for name, z in dense.items()})

# %% [markdown] tags=["slide"]
# The red cross marks the colour. Only the mean of the soft target, rounded, gives it back.
#
# ## Weights for rare colours
#
# A few bins hold most pixels, so a network can reach a low loss while neglecting other colours. Let
# p be the **prior**, the distribution of the training pixels over the bins, smoothed by a Gaussian.
# The paper weights a pixel's loss by the w of its most probable bin,
#
# $$w\propto\frac{1}{(1-\lambda)\,p+\lambda/Q},\qquad\sum_i p_i w_i=1.$$
#
# The second term keeps the weights of empty bins finite. At lambda = 1 all weights are equal.
#
# **Exercise 3** (5 minutes). Compute the weights of the bins.


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

# %% tags=["slide"]
p, w = prior.p, rebalance(prior.p, lam=cfg.lam)
maps = {"counted": prior.counts / prior.counts.sum(), "smoothed: p": p, "weights: w": w}
show(
    figures.on_bins(maps, bins),
    "Three maps. Counted: about a hundred bins around gray, the others empty. Smoothed: all have "
    "something. Weights: low in a few bins around gray, and equally high far from it.",
)
for number in p.topk(3).indices:
    print(f"bin {bins[number].tolist()}: p {p[number]:.3f}, weight {w[number]:.2f}")
print(f"bins without pixels: weight up to {w.max():.2f}")

# %% [markdown]
# The weights are smallest for the blue of skies, the green of grass, and gray.
#
# ## The loss
#
# The loss of a pixel is the cross-entropy with its soft target, times the weight of the bin with
# the largest z. A batch's loss is the sum over its pixels, divided by their number.
#
# **Exercise 4** (10 minutes). Write it for K bins in any order. Use `log_softmax`: the logarithm of
# a softmax that is rounded to 0 is infinite, and its gradient is NaN.


# %%
@exercise("classes.cross_entropy")
def soft_cross_entropy(logits, indices, z, weights):
    """logits (N, Q, h, w), indices and z (N, K, h, w), weights (Q,) of the bins -> a scalar."""
    ### BEGIN SOLUTION
    log_q = logits.log_softmax(dim=1).gather(1, indices)
    cost = -(z * log_q).sum(dim=1)  # (N, h, w)
    top = indices.gather(1, z.argmax(dim=1, keepdim=True))[:, 0]
    return (weights[top] * cost).mean()
    ### END SOLUTION


# %%
check("classes.cross_entropy")

# %% [markdown]
# **Exercise 5** (12 minutes). Assemble the loss of a batch. The logits have half the height and
# width of the picture, because the eye resolves colour coarsely. Take the lower right pixel of each
# 2 × 2 cell: a mean would mix the colours that meet at an edge. Call your `soft_encode` and your
# `soft_cross_entropy`.


# %%
@exercise("classes.objective")
def class_loss(net, L, ab, bins, weights):
    """net: L (N, 1, H, W) -> logits (N, Q, H/2, W/2); ab (N, 2, H, W), weights (Q,) -> a scalar."""
    ### BEGIN SOLUTION
    logits = net(L).float()  # the network may compute in bf16
    small = ab[:, :, 1::2, 1::2]
    N, _, h, w = small.shape
    rows = small.movedim(1, -1).reshape(-1, 2)
    indices, z = (x.view(N, h, w, -1).movedim(-1, 1) for x in soft_encode(rows, bins))
    return soft_cross_entropy(logits, indices, z, weights)
    ### END SOLUTION


# %%
check("classes.objective")


# %%
def small_net():
    """A U-Net with a head over the bins: 313 channels at half the side length."""
    seed_everything(cfg.seed)
    return models.Classifier(models.UNet(8, 3), bins, scale=2)


comparisons.beside_the_library(class_loss, small_net(), pictures.train, bins, w).round(4)

# %% [markdown]
# Your loss and colorkit's `Classification` agree up to rounding; it is faster, because it looks
# soft targets up. Without weights, the loss of this untrained network is about ln 313. With them it
# is lower: as a part of p lies in empty bins, pixels' weights average less than 1.
#
# ## Train with your loss, and find a bug
#
# Your loss trains a small U-Net. A second one trains with a bug from a student project: for dense
# targets z, (N, 313, h, w), `z.reshape(-1, 313)` is to give a row for each pixel. (Does it?)
# Nothing fails. The table shows the share of pixels within 10 units of the truth. "Rare" are the
# rarest bins that together hold a tenth of p; the others are "common".


# %%
def objective(weights):
    """Your loss, as `fit` calls it: with a network and a batch (L, ab)."""

    def loss(net, batch):
        return class_loss(net, *batch, bins.to(batch[0]), weights.to(batch[0]))

    return loss


def train(net, loss, pair, steps, batch=cfg.batch, **options):
    """Train on the pair (L, ab), print one line at the end, and return the network."""
    options = {"lr": cfg.lr, "schedule": "one-cycle", "callbacks": ()} | options
    fit(net, loss, Batches(pair, batch, seed=cfg.seed), steps, seed=cfg.seed, **options)
    print(f"trained: {steps} steps")
    return net


# %%
small = {}
for name, loss in comparisons.riddle(objective(w), bins, w).items():
    small[name] = train(small_net(), loss, pictures.train, cfg.small_steps)
display(comparisons.a_and_b(small, pictures.test, p, bins).round(3))
predict("classes.broken", "Whose weights are wrong?", ["A", "B"])

# %% tags=["slide"]
L, ab = (plane[:6] for plane in pictures.test)
show(
    figures.weight_maps(L, ab, bins, w),
    "Six pictures; below them the weights that A and B give their pixels. B's follow the objects: "
    "vivid ones are bright. A's are the same high weight nearly everywhere, with stray dots.",
)
reveal(
    "classes.broken",
    "A",
    "It has fewer rare colours right, like networks without rebalancing, and its weights ignore "
    "the objects.",
)

# %%
painted = {"true": ab} | {name: net.colorize(L) for name, net in small.items()}
alt = "Six pictures: gray, true, and by A and B. A has blue skies, green grass and pale fruit. B's "
alt += (
    "fruit are vivid, often in a wrong colour such as an orange pepper, and its skies are grayish."
)
show(colorings(L, painted, 1.5), alt)

# %% [markdown]
# A row of A holds 313 pixels of one bin or two, not one pixel's 313 bins. Most rows are all 0;
# their maximum is reported at bin 0, so nearly every pixel gets the high weight of this empty bin.
# Equal weights only scale the loss, and AdamW's steps hardly depend on that: A has hardly any rare
# pixel right. B's skies and grass pay for its fruit.
#
# A recorded study trained such networks longer, with five seeds.


# %% tags=["slide"]
study = comparisons.recorded()
dots = figures.over_seeds(study, ["rare", "common"], "share of pixels within 10 ab units")
alt = "Rare and common colours in two rows, five dots for each of three lambdas, a line for each seed."
show(dots, alt)
print(study.attrs["about"])

# %% [markdown]
# With lambda = 0.5 every network has far more rare pixels right than any without rebalancing, and
# fewer common ones. Going on to 0.1 gains 0.05 of the rare and costs 0.09 of the common pixels on
# average.
#
# ## Three larger networks
#
# Compare **regression** with L2, **classes**, and **classes rebalanced**. All start from one
# **pretrained** encoder, which has learned to name objects in gray pictures and is **frozen**: it
# keeps its weights while a new decoder learns. Colorkit's faster loss replaces yours.


# %%
memory = models.FeatureMemory() if cfg.frozen else None  # a frozen encoder runs once a picture


def start():
    """The pretrained encoder, with a new decoder to ab."""
    seed_everything(cfg.seed)
    how = {"width": cfg.width, "frozen": cfg.frozen, "memory": memory}
    return models.ResNetColorizer(18, "worlds", **how) if world else models.pretrained(**how)


def classifier():
    """The same encoder, with a decoder to half the side length and a head over the bins."""
    return models.Classifier(start(), bins, scale=2, hidden=cfg.hidden)


# %%
nets = {"L2": start(), "classes": classifier(), "rebalanced": classifier()}
objectives = {
    "L2": losses.regression(losses.l2),
    "classes": losses.Classification(bins),
    "rebalanced": losses.Classification(bins, w),
}
options = {"batch": cfg.large_batch, "lr": cfg.large_lr, "betas": (0.9, cfg.large_beta2)}
for name, net in nets.items():
    train(net, objectives[name], pictures.train, cfg.steps, **options)
if memory:
    memory.clear()

# %% [markdown]
# Move the slider to decode six test pictures. In the table, `colorfulness_ratio` compares
# *colorfulness* with that of the truth: it grows with the spread of colours and with their distance
# from gray.

# %%
figures.temperature_slider(nets["classes"], pictures.test[0][:6], annealed_mean)
comparisons.over_temperature(nets["classes"], pictures, annealed_mean, cfg.temperatures).round(3)

# %% [markdown]
# AuC hardly depends on T (about as little as on the network, below). Colorfulness rises as T falls,
# to that of the true pictures near T = 0.1. Neither sees the blotches above.


# %%
scores, leads = comparisons.scored(pictures, nets, cfg.seed)
scores.round(3)

# %% tags=["slide"]
show(
    intervals(leads, "difference, with its 95% interval over pictures"),
    f"Six differences beside the line of zero. Classes − L2 is {leads.difference.iloc[0]:+.3f} in "
    "within_10. Rebalanced leads classes in rebalanced AuC, differs "
    f"by {leads.difference.iloc[3]:+.3f} in within_10, and falls behind in AuC.",
)

# %% [markdown]
# In **rebalanced AuC** each bin of true colours counts alike. Classes (T = 0.38) score slightly
# differently here, where colours are brought into sRGB. In the stored solution classes lead L2
# throughout. L2 is a little duller than the oracle of lesson 3. Rebalanced leads classes in
# rebalanced AuC and loses a little AuC. The intervals are over pictures, not trainings: in
# within_10, which mixes rare gains with common losses, another training may end otherwise.
#
# ## Are the probabilities true?
#
# A predictor is **calibrated** if, of the pixels to which it gives red the probability 0.3, 30% are
# red. Here we ask for more: that each object with several possible colours get its known
# distribution. Average the predictions over an object's pixels, and count each bin for the nearest
# of the object's possible colours within 25 units, else for "other". The **total variation**, half
# of the summed absolute differences to the known probabilities, is the amount of probability in the
# wrong place.


# %% tags=["slide"]
predict(
    "classes.calibration",
    "Whose probabilities are closest? (L2 is sure of its one colour; the prior predicts p always.)",
    ["prior", "L2", "classes"],
)

# %%
nearest, off, fruits, said = comparisons.calibration(world, nets, p, w)
why = "See the last line. No network was told that half of the apples are red. L2 does well on "
why += "bananas only: 85% of them are yellow. Its mean for grapes often lies near neither of their "
why += "colours, and is then wrong by 1."
reveal("classes.calibration", nearest, why)
off

# %% tags=["slide"]
show(
    figures.largest_apple(world, fruits, nets, said),
    "The apple in truth and by three networks, above bars for red, green, yellow and other. Frames "
    "show the known probabilities, dotted frames what rebalanced should predict. L2 has a single "
    "brown bar, at yellow. The bars of classes come near their frames; rebalanced gives more to red.",
)

# %% [markdown]
# In the table, on average less than a sixth of the probability of `classes` is in the wrong place,
# and more than half of L2's and of the prior's. L2 puts everything on one colour: an apple's brown
# counts as yellow, and is wrong by 0.8.
#
# Solid frames show the true probabilities r. Among pixels that look alike, a colour comes with
# probability r and its loss counts w times, so the mean loss is −Σ r w log q. Up to a factor, that
# is a cross-entropy with target r w, scaled to add up to 1. By the first formula it is smallest
# there (soft targets blur this a little): the dotted frames. By the last two columns, rebalanced
# predictions lie on average somewhat nearer r w than r: a part of their error is intended.
#
# ## One draw for each picture
#
# The apple of `classes` is mostly brown, with patches. So **draw** a colour. Sort the bins by hue,
# add up the probabilities, and take the bin at which the sum passes a random number u, uniform
# between 0 and 1. All pixels of a picture share one u. Neighbours in hue look alike, so pixels
# whose sums differ a little take mostly similar colours; in random order they could take any.


# %%
def draw(logits, bins, u):
    """logits (N, Q, h, w), u (N, 1, 1, 1) or (N, 1, h, w) in [0, 1] -> ab (N, 2, h, w)."""
    by_hue = torch.atan2(bins[:, 1], bins[:, 0]).argsort()
    cumulative = logits.softmax(dim=1)[:, by_hue].cumsum(dim=1)
    number = (cumulative < u).sum(dim=1).clamp_max(len(bins) - 1)
    return bins[by_hue[number]].movedim(-1, 1)


def colour_by_draws(net, L, size=(1, 1)):
    """One colouring of all pictures; `size` (h, w) draws for each picture."""
    parts = [(part, net.logits(part)) for part in L.split(50)]
    u = [torch.rand(len(part), 1, *size) for part, _ in parts]
    drawn = [net.enlarge(draw(x, bins, v), part) for (part, x), v in zip(parts, u, strict=True)]
    return torch.cat(drawn)


# %%
net, (L, ab) = nets["classes"], pictures.test
seed_everything(cfg.seed)
planes = {"T = 0.38": torch.cat([net.colorize(part) for part in L.split(50)])}
planes |= {f"draw {k}": colour_by_draws(net, L) for k in (1, 2, 3)}
planes["one draw per pixel"] = colour_by_draws(net, L, (L.shape[2] // 2, L.shape[3] // 2))

# %% tags=["slide"]
chosen = comparisons.with_apples(pictures, 8)
rows = {name: plane[chosen] for name, plane in ({"true": ab} | planes).items()}
alt = "Eight apples: gray, true, blotched at T = 0.38, then three draws. Many have one colour, "
alt += "others are blotched; some skies and cloths have patches. One draw for each pixel is noise."
show(colorings(L[chosen], rows, 1.2), alt)

# %%
ways = {"annealed mean": ["T = 0.38"], "one draw per picture": ["draw 1", "draw 2", "draw 3"]}
ways["one draw per pixel"] = ["one draw per pixel"]
ways = {name: [planes[row] for row in rows] for name, rows in ways.items()}
comparisons.frequencies(world, ways, said)

# %% [markdown]
# An apple is red in one draw and green in another. Some apples, skies and cloths are mixed, where
# sums differ more.
#
# Row "predicted" averages probabilities ("none": beyond 25 units); the rows below count apples by
# their mean over pixels ("none": beyond 10 units). At T = 0.38 nearly all apples are "none". Of the
# apples drawn with one u for each picture, fewer than half are; with one u for each pixel, nearly
# all are again: pixels have possible colours, but their mean is brown. Red is drawn less often than
# in the world, in part because it is predicted less.
#
# ## Who pays? Hair and skin
#
# Does rebalancing *colours* help rare *groups* of people? Our drawn faces have six tones of skin, 1
# the lightest. In the next training set nine of ten faces have tone 2, one has tone 5; many of both
# look alike in gray. Two small networks, with your weights and with equal ones, are judged on new
# faces, half of each tone. Hair or skin *keeps its colour* if, of all colours possible at that
# brightness, the true one is nearest to the mean painted.


# %%
common, rare = cfg.tones
looks = {"size": cfg.size, "spread": cfg.spread}
seen = portraits(cfg.faces, seed=cfg.seed + 8, tones={common: 0.9, rare: 0.1}, **looks)
judged = portraits(cfg.faces_held_out, seed=cfg.seed + 7, tones={common: 0.5, rare: 0.5}, **looks)
L, ab = (x[comparisons.heads(judged, common, rare, count=3)] for x in (judged.L, judged.ab))
alt = f"Three drawn heads with {common} of skin, a dull brown, and three with {rare}, a redder, "
alt += "mostly darker one."
show(colorings(L, {"true": ab}, 1.4, titles=[common] * 3 + [rare] * 3), alt)
predict(
    "classes.groups",
    "With rebalancing, do more or fewer heads with black hair keep its colour?",
    ["more", "about as many", "fewer"],
)

# %%
p_faces, faces = estimate_prior([(seen.L, seen.ab)], bins).p, {"no colour": models.Gray()}
for name, lam in (("not rebalanced", 1.0), ("rebalanced", cfg.lam)):
    w_faces = rebalance(p_faces, lam)
    loss = losses.Classification(bins, w_faces)
    faces[name] = train(small_net(), loss, (seen.L, seen.ab), cfg.face_steps, batch=cfg.face_batch)

# %% tags=["slide"]
kept, answer = comparisons.kept_by_two(judged, faces)
L, ab = (x[comparisons.heads(judged, "black", "gray", count=3)] for x in (judged.L, judged.ab))
painted = {name: faces[name].colorize(L) for name in ("not rebalanced", "rebalanced")}
alt = "Three portraits with black hair, three with gray: gray picture, true, and by both networks. "
alt += "Rebalanced, all hair is brown or golden."
show(colorings(L, {"true": ab} | painted, 1.6), alt)
why = "See the row of black hair. Black and gray differ by less than the step between bins, so "
why += "another row counts them as one colour. Gray's bin has the smallest weight, a likely reason."
reveal("classes.groups", answer, why)
least = bins[w_faces.argmin()].tolist()
print(f"smallest weight: bin {least}, {w_faces.min():.2f}; largest: {w_faces.max():.2f}")
kept.round(2)

# %% tags=["slide"]
groups = ["brown hair", "blond hair", "red hair", "black hair", "gray hair", common, rare]
dots = figures.over_seeds(study, groups, "share that keeps its colour", kept["no colour"])
alt = "Seven groups, trained on 90/10 and on 50/50 of two tones: five dots for each lambda, a line for "
alt += "each seed, a gray bar for pictures without colour: it is high for black and gray hair and for tone 2."
show(dots, alt)

# %% [markdown]
# Gray bars mark what a picture without colour "keeps": tone 2's 1.00 proves nothing. In 90/10, on
# average 0.42 of brown hair keeps its colour without rebalancing and 0.95 with it. Black hair pays:
# about half of it stays black without rebalancing; with rebalancing none does, in any of ten
# networks, and by the table it is not gray either. Our world draws black most often (0.32). Its two
# rarest gain nothing by weights: red (0.08) stays near 0, gray (0.12) falls to 0.
#
# In 90/10 weights hardly help the rare tone 5 (0.03 instead of 0.00). So in this world, at lambda =
# 0.5, the answer is no. More pictures help: with 50/50 and no weights, 0.91 of tone 2 and 0.52 of
# tone 5 keep their colour. There neither tone is rare, and weights trade one for the other: 0.16
# and 0.95.
#
# ## Photographs
#
# L2, classes and rebalanced have learned from drawn fruit only: the more vivid a network is below,
# the more vivid are its mistakes. To train on downloaded photographs, choose
# `source="official-portraits"` above.

# %% tags=["slide"]
figures.on_photographs(nets, pictures)

# %% [markdown] tags=["slide"]
# ## Recap
#
# - A classifier over bins predicts a *distribution*. Its mean is dull, its annealed mean may be
#   blotched; one draw for each picture often keeps an object in one colour.
# - Where the truth is known, probabilities can be checked: those of `classes` came near.
# - Rebalancing moves predictions from r towards r w. Weights follow colours, not people.
#
# **Open questions**
#
# - How would you draw apple and sky independently, each in one piece? (Lesson 7 tries.)
# - How would you test calibration on photographs, whose true probabilities are unknown?
#
# **Further reading**: [Guo and others (2017)](https://arxiv.org/abs/1706.04599) on calibration;
# [Kumar and others (2021)](https://arxiv.org/abs/2102.04432) on drawing pixel after pixel;
# [Buolamwini and Gebru (2018)](https://proceedings.mlr.press/v81/buolamwini18a.html) on accuracy by
# group.

# %% tags=["quiz", "extra"]
quiz("04")

# %%
show_records("04_classes", cfg.profile, source)

# %% [markdown] tags=["written", "extra"]
# ## Written questions
#
# A person reads your answers. Each is worth four points; five or six sentences are enough.
#
# **Question 1.** An archive wants to print "red with a probability of 70%" below the picture of a
# dress. The number comes from a classifier that was trained with rebalanced weights. Explain why it
# must not be printed as it is, and what you would do instead.

# %% [markdown] tags=["answer", "extra"]
# **A possible answer.** Weights move predictions from the true probabilities r towards r w. The
# lesson's rebalanced network gave the apple more red than it has. Whether 70% is too high or too
# low depends on the weights of the dress's other possible colours: q of red is above r only if
# red's weight is above the mean weight, Σ r w. In either case it is not r. I would train without
# weights, or divide the predicted probabilities by w and scale them to add up to 1. Even then they
# may not be true: on photographs r is unknown for one dress, so I would test calibration over many
# pixels of held-out pictures that resemble the archive's, and print a range, or several colours,
# rather than one number.

# %% [markdown] tags=["written", "extra"]
# **Question 2.** Compare the annealed mean with one draw for each picture: for a children's book,
# and for a table that compares two networks by their errors. Which would you take for each, and
# what does it cost?

# %% [markdown] tags=["answer", "extra"]
# **A possible answer.** For the table I would take the annealed mean: it needs no random numbers,
# so the table comes out the same each time, and a colour between the possible ones has a small
# *squared* error. By the share within 10 units it may lose: at T = 0.38 hardly any apple has one of
# its colours, and a draw is sometimes right. So I would name the measure. It costs vividness, and
# it leaves blotches where distributions differ a little. For the book I would take draws, look at
# several, and choose: one u for all pixels often gives an object one possible colour. It costs
# squared error, since a draw is often far from the true colour, and one u ties objects together
# that have nothing to do with each other.

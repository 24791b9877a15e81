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
# # Lesson 3. Networks for pictures they have never seen
#
# Build a colorizer, and find out how much of its error no training can remove.
#
# **After this lesson you can**
#
# - compare a colorizer with simple baselines and with the best possible one;
# - predict, for three losses, the colour of an apple that may be red, green or yellow;
# - write batch normalisation and a U-Net, and train it with a learning-rate schedule;
# - recognise underfitting and overfitting, and read a study of remedies.
#
# **It takes** 60 to 90 minutes. **It needs** lesson 2, means and medians. Outcomes are from profile
# `laptop`.

# %% tags=["bootstrap"]
# install colorkit where it is missing

# %% tags=["parameters"]
profile = None  # "ci", "laptop" or "gpu"; None asks $COLORKIT_PROFILE, else "laptop"
source = "orchard"  # or a public set such as "official-portraits", or a store's folder
size = None  # side of a public set's photographs in pixels; None: the profile's

# %% tags=["imports"]
from itertools import pairwise

import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import display
from torch import nn

from colorcourse import check, exercise, predict, quiz, reveal, settings, show_records
from colorcourse.lesson03 import figures, studies
from colorkit import models
from colorkit.batches import Batches
from colorkit.data.pictures import lesson_pictures
from colorkit.device import pick_device, pick_precision, seed_everything
from colorkit.evaluate import score_models, table
from colorkit.plots import colorings, show

cfg, device = settings("03_networks", profile), pick_device()

# %% tags=["slide"]
pictures = lesson_pictures(source, cfg.pictures, cfg.held_out, size or cfg.size, cfg.seed)
world = pictures.worlds.get("test")  # None for photographs, whose possible colours nobody knows
L, ab = studies.telling(pictures, cfg.kinds)
show(
    colorings(L, {"true": ab}, 1.6),
    alt="Six made pictures, in gray above and in colour below: two with apples and two with grapes "
    "of different colours, others with peppers and plums. Gray does not tell which colour a fruit has.",
)
predict(
    "networks.apple",
    "Half of the apples are red, the others green or yellow. A network learns from such pictures with the "
    "squared error. What colour will it give a new apple?",
    ["red, the most probable", "one of the three, at random", "a mixture of the three", "gray"],
)

# %% [markdown]
# Your network will colour the upper row.
#
# ## Pictures whose colours are known
#
# A program draws this *made world*, an **orchard**: first the lightness, then a colour for each fruit, the
# ground, sky and wall from a known distribution. An apple is red, green or yellow with probabilities 0.5,
# 0.3 and 0.2, a cloth has one of twelve colours, grass is brown one time in ten, and nothing in the gray
# picture tells which.
#
# Three sets share no picture: the network learns from 2,000 **training** pictures; 200 **validation**
# pictures are for decisions on the way, such as when to stop; 200 **test** pictures are for final
# comparisons, because a set that influenced a decision gives too good a score.
#
# ## Baselines and a metric
#
# Five baselines need no network: **gray**; the **mean colour** of all training pixels; that of pixels
# **with the same L**; the colours of a **random** training picture; those of the **nearest neighbour**,
# with the most similar *L*.
#
# Papers since [Zhang et al. 2016](https://arxiv.org/abs/1603.08511) report the **AuC**, the mean over *t*
# = 0, 1, ..., 150 of the share of pixels whose colour lies within *t* of the truth, by the Euclidean
# distance over *a* and *b*. Tables also show `within_10`, the share at *t* = 10, and `mse`, the squared
# error averaged over pixels, *a* and *b*, in ab².
#
# **Exercise 1** (6 minutes). Write the AuC over the pixels of all pictures together. An error of exactly
# *t* is within *t*.

# %% tags=["slide"]
predict(
    "networks.blind",
    "Which baseline has the highest AuC?",
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
baselines = {
    "gray": models.Gray(),
    "mean colour": models.MeanColor(pictures.batches("train")),
    "mean of that L": models.MeanColorByLightness(pictures.batches("train")),
    "random picture": models.RandomPicture(pictures.batches("train"), seed=cfg.seed),
    "nearest neighbour": models.NearestNeighbor(pictures.batches("train")),
}
metrics = ["mse", "within_10", "auc"]
scores = score_models(baselines, pictures.batches(), metrics)
L_test, ab_test = pictures.test
yours = {name: float(auc(model.colorize(L_test), ab_test)) for name, model in baselines.items()}
display(table(scores).assign(your_auc=yours).round(3))

# %% tags=["slide"]
show(
    figures.error_curves(scores),
    alt="The share of test pixels within a threshold, for five baselines. The nearest neighbour leads "
    "at small thresholds; gray is low there, and overtakes it and the random picture later on.",
)
ranked = table(scores).auc
reveal("networks.blind", ranked.idxmax(), f"{ranked.max():.3f}; gray has {ranked['gray']:.3f}.")

# %% [markdown] tags=["slide"]
# Look at gray, the dotted line: its AuC is about 0.8. The AuC is nearly 1 - (mean error) / 151, and gray
# lies in the middle of all colours, where errors are never very large. `within_10` ranks the baselines
# differently, so no single metric is enough.
#
# ## The best possible answer
#
# A network names *one* colour for an apple, not knowing which was drawn. The best answer depends on the
# loss:
#
# - **L2**, the squared distance (twice the `mse`). The expected loss is the sum of p (c - x)² over the
#   colours c. Its derivative in your answer x is zero at the **mean**.
# - **L1**, the absolute distance in *a* plus that in *b*. If x moves up a little, each colour below costs
#   more and each above as much less. This balances where half of the probability lies on each side: at the
#   **median**, for *a* and *b* separately.
# - **0-1** charges 1 unless the answer is exactly right. Best is the most probable colour, the **mode**.
#
# With 0.5, 0.3 and 0.2, L1 has many best answers, so the figure below uses 0.45, 0.33 and 0.22.
#
# **Exercise 2** (8 minutes). Write the best answer. For a median, take the first sorted value (`sort`
# also gives the order) at which the cumulative probability reaches 0.5; any median is accepted.


# %%
@exercise("networks.best_constant")
def best_constant(colours, probabilities, loss):
    """colours (K, 2), probabilities (K,) summing to 1, loss "l2", "l1" or "0-1" -> tensor (2,)."""
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

# %% tags=["slide"]
names = {"l2": "best by L2 (mean)", "l1": "best by L1 (median)", "0-1": "best by 0-1 (mode)"}
colours, probabilities = studies.apple()
answers = {name: best_constant(colours, probabilities, loss) for loss, name in names.items()}
rows = {"possible": colours} | {name: answer.expand(3, 2) for name, answer in answers.items()}
show(
    figures.swatches(rows, ["red, 0.45", "green, 0.33", "yellow, 0.22"]),
    alt="Upper row: the three colours an apple can have, red, green and yellow. Below, a wide patch for "
    "each best answer: by L2 a light brown that no apple has, by L1 a dull yellow, by the 0-1 loss red.",
)
for name, answer in answers.items():
    print(f"{name}: the nearest possible colour is {(colours - answer).norm(dim=1).min():.0f} away")

# %% [markdown]
# L2 answers with a brown that no apple has, L1 with yellow's *a* and green's *b*, and 0-1 with red.
#
# In the orchard an **oracle** can give L2's answer: it is told which object each pixel shows and the
# probabilities of its colours, but not the draw. No model that sees only *L* has a lower expected squared
# error. A model that recognises every object from *L* would reach it: then the oracle is
# **Bayes-optimal**, and its expected error the **irreducible error**, measured below.

# %%
ceiling = studies.oracle_of(world)
bounds = table(score_models({"gray": models.Gray()} | ceiling, pictures.batches(), metrics))
display(bounds.round(3))
studies.print_irreducible_shares(world)

# %% [markdown]
# About a fifth of it lies on fruit and more than half on cloth. The oracle bounds only `mse`: other answers
# can have a higher AuC.
#
# ## Batch normalisation
#
# The six pictures pass through eight untrained layers, with the standard deviation after each.

# %%
for normalised in (False, True):
    seed_everything(cfg.seed)
    x, deviations = (L - 50) / 25, []
    for _ in range(8):
        x = nn.Conv2d(x.shape[1], 16, 3, padding=1, bias=False)(x)
        x = F.relu(F.batch_norm(x, None, None, training=True) if normalised else x)
        deviations.append(f"{x.std().item():.4f}")
    print("with batch norm   " if normalised else "without batch norm", *deviations)

# %% [markdown]
# Without normalisation, PyTorch's initial weights shrink the features in each layer. The output then
# barely depends on *L*, gradients shrink likewise, and learning can start slowly. **Batch normalisation**
# ([Ioffe and Szegedy 2015](https://arxiv.org/abs/1502.03167)) keeps the scale, also while the weights
# change. For each channel it takes the mean μ and the variance σ² over all pictures and pixels of the
# batch, and returns
#
# γ (x - μ) / √(σ² + ε) + β, with ε = 10⁻⁵.
#
# Each channel learns its weight γ and bias β.
#
# A trained network's colours must not depend on the batch, so the layer keeps two **running averages**. In
# **training mode** it normalises by the batch's statistics and moves each running average to 0.9 old + 0.1
# new. In **evaluation mode**, after `net.eval()`, it normalises by the running averages and leaves them
# unchanged.
#
# **Exercise 3** (12 minutes). Write `forward`; `self.training` tells the mode. Let the gradient flow
# through the batch's mean and variance, but compute the running averages inside `with torch.no_grad():`.
# A variance divided by n or by n - 1 will do.


# %% tags=["slide"]
@exercise("networks.batch_norm")
class BatchNorm(nn.Module):
    """Batch normalisation of features (N, C, H, W)."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))  # γ
        self.bias = nn.Parameter(torch.zeros(channels))  # β
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        """(N, C, H, W) -> (N, C, H, W); in training mode it moves the running averages."""
        ### BEGIN SOLUTION
        mean, var = self.running_mean, self.running_var
        if self.training:
            var, mean = torch.var_mean(x, dim=(0, 2, 3))
            with torch.no_grad():
                self.running_mean = 0.9 * self.running_mean + 0.1 * mean
                self.running_var = 0.9 * self.running_var + 0.1 * var
        factor = self.weight / (var + 1e-5).sqrt()
        shift = self.bias - factor * mean
        return factor[:, None, None] * x + shift[:, None, None]
        ### END SOLUTION


# %%
check("networks.batch_norm")

# %%
layer, features = BatchNorm(16), 3 * torch.randn(8, 16, 32, 32) + 1
for training in (True, False):
    layer.train(training)
    change = (layer(features[:1]) - layer(features)[:1]).abs().max()
    print(f"training mode {training}: alone and among eight differ by {change:.2g}")

# %% [markdown]
# Only in evaluation mode does the batch not matter.
#
# ## The U-Net
#
# To recognise an apple, a network must see all of it. At an eighth of the side a 3 x 3 kernel spans 24 of
# the picture's pixels. So an **encoder** halves the side several times, with more channels each time, and
# a **decoder** enlarges the features. But on the way down it loses *where* the apple ends. The **U-Net**
# ([Ronneberger et al. 2015](https://arxiv.org/abs/1505.04597)) hands the encoder's features to the decoder
# at each size, by **skip connections**.

# %% tags=["slide"]
show(
    figures.unet_diagram(cfg.width, cfg.depth, L.shape[-1]),
    alt="A U of boxes: the encoder halves the side and doubles the channels at each level, the decoder goes "
    "back. A dot before each of its blocks joins 2n channels from below and n from the left; the block gives n.",
)

# %% [markdown]
# **Exercise 4** (4 minutes). Enlarge `deep` to `skip`'s height and width by
# `F.interpolate(deep, size, mode="bilinear")` and concatenate the two along the channels, in either order.


# %%
@exercise("networks.skip")
def join_skip(deep, skip):
    """deep (N, C1, h, w) enlarged to skip's size, joined with skip (N, C2, H, W): C1 + C2 channels."""
    ### BEGIN SOLUTION
    deep = F.interpolate(deep, skip.shape[-2:], mode="bilinear")
    return torch.cat([deep, skip], dim=1)
    ### END SOLUTION


# %%
check("networks.skip")

# %% [markdown]
# In the class below, `self.join` is your `join_skip`, or `enlarge` in a network without skips, for an
# **ablation**. The base class normalises *L* before `compute` and adds `colorize`.
#
# **Exercise 5** (15 minutes). Write `compute`:
#
# - apply `self.first` and keep the result;
# - for each of `self.downs`, halve with `F.max_pool2d(x, 2)`, apply it, and keep the result;
# - take out the deepest features; for each of `self.ups`, join them with those kept last and not yet used,
#   by `self.join(deep, skip)`, and apply it;
# - apply `self.head` and multiply by 50, the size of typical *ab*.


# %%
def double_conv(a, b):
    """Twice: convolution, batch norm, ReLU; from a to b channels."""
    layers = []
    for before in (a, b):
        layers += [nn.Conv2d(before, b, 3, padding=1, bias=False), BatchNorm(b), nn.ReLU()]
    return nn.Sequential(*layers)


def enlarge(deep, skip):
    """deep at the size of skip, without skip's features."""
    return F.interpolate(deep, skip.shape[-2:], mode="bilinear")


# %%
@exercise("networks.unet")
class UNet(models.Network):
    """Raw L to raw ab, with skips or without."""

    def __init__(self, width=16, depth=3, skips=True):
        super().__init__()
        self.stride, self.join = 2**depth, join_skip if skips else enlarge
        pairs = list(pairwise([width * 2**level for level in range(depth + 1)]))
        self.first = double_conv(1, width)
        self.downs = nn.ModuleList(double_conv(a, b) for a, b in pairs)
        self.ups = nn.ModuleList(double_conv(b + a * skips, a) for a, b in reversed(pairs))
        self.head = nn.Conv2d(width, 2, 1)

    def compute(self, x):
        """Normalised L (N, 1, H, W) -> ab (N, 2, H, W) in Lab units."""
        ### BEGIN SOLUTION
        kept = [self.first(x)]
        for down in self.downs:
            kept.append(down(F.max_pool2d(kept[-1], 2)))
        deep = kept.pop()
        for up in self.ups:
            deep = up(self.join(deep, kept.pop()))
        return 50 * self.head(deep)
        ### END SOLUTION


# %%
check("networks.unet")

# %% [markdown]
# ## Training
#
# The loop is that of lesson 2, with batches of 16 pictures. The number of *epochs*, passes over the
# training pictures, is fixed, so validation pictures decide nothing here; the error on the first 100 is
# printed. New is the **learning-rate schedule**. One cycle ([Smith and Topin
# 2017](https://arxiv.org/abs/1708.07120)) starts with a small rate while the weights are random, rises to
# a large one, and ends near zero. A large rate moves fast; the small one at the end should let the weights
# settle.


# %% tags=["slide"]
def train(name, net, epochs, seed):
    """Train with L2, print the errors by the name; give the loss and the learning rate of each step."""
    data, precision = Batches(pictures.train, cfg.batch, seed=seed), pick_precision(device)
    net.to(device, memory_format=precision.layout)  # the order of values that is fastest here
    optimizer = torch.optim.AdamW(net.parameters())  # Adam; also pulls weights towards 0
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, cfg.lr, epochs * len(data))
    losses, rates = [], []
    for epoch in range(epochs):
        net.train()
        for batch in data(epoch):  # in a new order, half of them flipped
            L, ab = precision.place(batch)  # to the device
            with precision.autocast():  # in bf16 where the device is fast in it
                loss = F.mse_loss(net(L), ab)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            rates.append(schedule.get_last_lr()[0])
            schedule.step()
        error = studies.mean_error(net, pictures.val)
        print(f"{name}, epoch {epoch + 1}: validation MSE {error:.0f} ab²")
    return losses, rates


# %%
nets, losses = {}, {}
for name, skips in {"U-Net": True, "without skips": False}.items():
    seed_everything(cfg.seed)
    nets[name] = UNet(cfg.width, cfg.depth, skips)
    losses[name], rates = train(name, nets[name], cfg.epochs, cfg.seed)

# %% tags=["slide"]
show(
    figures.training(losses, rates, studies.oracle_error(pictures, "train", cfg.pictures)),
    alt="Above, the training losses with and without skips fall steeply, then slowly, and end above the "
    "oracle's dotted line. Below, the learning rate rises for a third of the steps and falls to zero.",
)

# %% [markdown]
# The losses end above the oracle's error on training pictures: both networks **underfit**. The oracle's
# error depends on the draws: 215 on training, 214 on test, but 182 on the 100 validation pictures, where
# our U-Net has 214. So compare on the same pictures.
#
# Three more join: a smaller **encoder-decoder**, one convolution a level; the same from **another seed**;
# and with two **dense layers** at its end, from 8,192 values to 256 and back.


# %%
def add_rival(name, seed, **options):
    seed_everything(seed)
    nets[name] = models.EncoderDecoder(16, 3, **options)
    train(name, nets[name], cfg.epochs, seed)


add_rival("encoder-decoder", cfg.seed)
add_rival("another seed", cfg.seed + 1)
add_rival("with dense layers", cfg.seed, hidden=cfg.hidden, size=L.shape[-1])
studies.print_oracle_error(pictures)

# %%
scores = score_models({"gray": models.Gray()} | nets | ceiling, pictures.batches(), metrics)
results = table(scores)
weights = {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}
display(results.assign(parameters=pd.Series(weights)).round(3))

# %% [markdown]
# ## Is a difference real?
#
# A hard picture is hard for all models, so compare picture by picture. The **paired bootstrap** draws the
# test pictures again with replacement, 2,000 times, and takes the mean difference, here of your AuC. If 0
# lies outside the middle 95% of these means, another test set would hardly reverse these two networks'
# order.


# %%
def paired_bootstrap(a, b, sets=2000):
    """a, b (N,): scores of the same pictures -> mean difference and its 95% interval."""
    difference = a - b
    drawn = torch.randint(len(a), (sets, len(a)))
    means = difference[drawn].mean(dim=1)
    low, high = means.quantile(torch.tensor([0.025, 0.975])).tolist()
    return difference.mean().item(), low, high


def auc_of_each(model):
    pairs = zip(model.colorize(L_test).split(1), ab_test.split(1), strict=True)
    return torch.tensor([float(auc(prediction, truth)) for prediction, truth in pairs])


# %% tags=["slide"]
each = {name: auc_of_each(net) for name, net in {"gray": models.Gray(), **nets}.items()}
first = ["U-Net", "U-Net", "with dense layers", "another seed"]
second = ["gray", "without skips", "encoder-decoder", "encoder-decoder"]
pairs = zip(first, second, strict=True)
rows = {f"{a} - {b}": paired_bootstrap(each[a], each[b]) for a, b in pairs}
leads = pd.DataFrame(rows, index=["difference", "low", "high"]).T
display(studies.beside_earlier(leads, world).round(4))
show(
    colorings(L, {"true": ab} | {name: nets[name].colorize(L) for name in list(nets)[:2]}, 1.6),
    alt="Gray, true, by the U-Net, and without skips. The U-Net's strawberry is red, its lemon yellow, its "
    "plums magenta; apples and peppers are yellowish brown, grapes gray. Without skips the strawberry is "
    "ochre, the lemon pale orange, the plums gray. In both, the blue and the violet cloth turn grayish "
    "beige, and the brown grass turns green.",
)

# %% [markdown]
# Read the last row first: one network, two seeds. In our run its interval excludes 0, yet in seven earlier
# runs the sign went either way: an interval over pictures says nothing about another training. The seven
# share three seeds, which draw the pictures too, and otherwise differ in number format, threads or PyTorch
# version, so they are not independent. In all seven, skips gained at least 0.0051 and dense layers lost at
# least 0.0096, and ours agree in sign, while two seeds of the encoder-decoder differed by at most 0.0034:
# that is the evidence. But our dense layers lost 0.0078: the seven do not show the whole spread.
#
# Sixty times the weights alone do not help, perhaps because all pixels pass through 256 numbers and places
# share no weights.
#
# In our run the U-Net's strawberry and lemon, with one possible colour, are red and yellow, without skips
# ochre and pale orange. Cloth comes out beige, since the mean of twelve colours is nearly gray, and brown
# grass green, near its mean: neither is a failure of training.
#
# ## Brown apples
#
# The apples come out brownish. Compare the U-Net's mean colour of each fruit with the oracle's.

# %% tags=["slide"]
objects = studies.fruit(world, nets["U-Net"])
show(
    figures.colours_of_fruit(objects, cfg.kinds),
    alt="Colour patches of apples, grapes, peppers and plums. The true ones are vivid and differ. The "
    "oracle's are dull and alike within a kind; the network's are near them and vary a little.",
)
reveal("networks.apple", *studies.apple_colour(objects, "network"))

# %% [markdown]
# The network's apples vary far less than the true ones and lie near the oracle's, within 10 units in the
# median. So the network has come near their **conditional mean**, the mean given the gray picture. Most
# of the error that is left is irreducible: in our run the U-Net has 247 on test pictures, the oracle 214.
#
# ## Seen and unseen pictures
#
# `scripts/generalisation.py` recorded longer runs, on 1 to 2,000 pictures of 32 pixels a side. On 400
# **unseen** test pictures the oracle has 202, gray 573.

# %% tags=["slide"]
predict(
    "networks.memorising",
    "With 100 instead of 10 training pictures, the error on the pictures it has seen",
    ["falls", "rises", "stays"],
)

# %% tags=["slide"]
runs = studies.recorded()
print(runs.attrs["about"])
end = runs.query("step == 2000 and batch_norm == 'with' and augmentation == 'none'")
show(
    figures.seen_and_unseen(end, studies.LEVELS),
    alt="Over the number of training pictures, the error on unseen pictures falls from about 710, above "
    "gray's level, to 292; that on seen pictures rises from 0 to 128, below the oracle's level, 202.",
)
mean = end.groupby("pictures").seen.mean()
reveal("networks.memorising", "rises", f"From {mean[10]:.1f} to {mean[100]:.1f} ab².")

# %% [markdown]
# Follow the seen error from the left: it stays below the oracle's line, even with 2,000 pictures (128 on
# 400 of them, where the oracle has 204). The network has memorised which colours were drawn: it
# **overfits**. With more pictures it memorises less, and the unseen error falls.
#
# Photographs have no oracle. There, a network overfits if its seen error is far below the unseen one, or
# the unseen error rises while the seen one falls; it underfits if both are high and near each other, and
# longer training or more weights lower both. A gap does not tell how much of the unseen error is
# irreducible.
#
# Your U-Net underfitted on as many pictures, in 4 passes at 64 pixels, with flips and rates up to 0.004.
# This one made 16 at 32 pixels, without flips, with rates up to 0.001; after 4 it was still above the line
# (258 to 305). Which difference matters most is untested: underfitting and overfitting belong to a network
# *with* its data and training.
#
# ## Remedies against overfitting
#
# **Regularisation** is whatever makes memorising harder so that the unseen error falls; the seen error
# usually rises. Three kinds are tried on 100 pictures: **augmentation** by random flips, or flips and
# crops; **early stopping**, which keeps the weights of the *best step*, by validation error; and batch
# norm, which its authors call a regulariser.

# %% tags=["slide"]
predict(
    "networks.overfitting",
    "100 pictures with flips, 2,000 steps. With batch norm, the error on seen and on unseen pictures is",
    ["lower on both", "lower on seen only", "lower on unseen only", "higher on both"],
)

# %% tags=["slide"]
few = runs[(runs.pictures == 100) & (runs.augmentation == "flips")]
groups = {f"{name} batch norm": part for name, part in few.groupby("batch_norm")}
show(
    figures.over_steps(groups, studies.LEVELS["oracle"]),
    alt="Errors over 2,000 steps. With batch norm the unseen error falls, with jumps, to about 340. Without "
    "it the unseen error is lowest near step 600 and rises again. The seen errors fall to below 50.",
)
early_and_late = few[few.step.isin((100, 2000))].groupby(["step", "batch_norm"])
display(early_and_late[["seen", "unseen"]].mean().round())
reveal("networks.overfitting", "lower on both", "In each of three seeds.")

# %%
display(studies.remedies(runs))

# %% [markdown]
# In the curves, only without batch norm does the unseen error clearly rise. Unseen at step 100, batch norm
# is worse (547, without it 464), at the end better (341, 394): first steps can mislead.
#
# Flips lower the unseen error; crops add nothing. Early stopping matters most without batch norm. At the
# best step the ranges with and without batch norm overlap: that it regularises is not shown, and it
# lowers the seen error too, as faster learning does. More pictures help most: 2,000 give 292.
#
# ## Photographs
#
# These two networks have seen drawn fruit only. In our run faces come out greenish or gray and the flags
# lose their red. A good score on unseen pictures of the *same kind* promises nothing for another.

# %% tags=["slide"]
figures.on_photographs(
    {name: nets[name] for name in ("U-Net", "without skips")},
    pictures,
    "In both, the faces are greenish or gray; the red of the flags and the orange of the suit are lost.",
)

# %% [markdown] tags=["slide"]
# ## Recap
#
# - Judge a model beside baselines and the oracle, on pictures that influenced no decision.
# - L2 is minimised by the mean, L1 by a median, 0-1 by the mode.
# - Compare models by intervals of the paired difference, and by several seeds.
# - A training error clearly below the oracle's on the same pictures is memory. Without an oracle, watch
#   the gap between seen and unseen.
#
# **Open question**: how could one estimate the irreducible error of photographs?
#
# **Further reading**: Goodfellow et al., [*Deep Learning*](https://www.deeplearningbook.org), chapters 5
# and 7; Santurkar et al. 2018, [*How Does Batch Normalization Help
# Optimization?*](https://arxiv.org/abs/1805.11604).

# %% tags=["quiz", "extra"]
quiz("03")

# %%
studies.record_all(results, leads, objects)
show_records("03_networks", cfg.profile, source)

# %% [markdown] tags=["written", "extra"]
# ## Written questions
#
# A person reads your answers. Each is worth four points; five or six sentences are enough.
#
# **Question 1.** A made fruit is blue with probability 0.6 and yellow with probability 0.4, and L does
# not tell which. Which colour does it get from networks trained well with L2, with L1, and with the 0-1
# loss? Which of the answers would you show to a person, and what would you report in a table, beside
# which other rows?

# %% [markdown] tags=["answer", "extra"]
# **A possible answer.** L2 gives the mean, 0.6 blue + 0.4 yellow, a dull colour that the fruit never has.
# L1 gives a median of *a* and one of *b*: more than half of the probability lies on blue, so both are
# blue's. The 0-1 loss gives the mode, blue. I would show a possible colour, so blue, and say that it is
# wrong in four of ten cases. In the table I would report at least two measures beside gray and the oracle,
# since each of the three answers is best by its own loss, and none of the losses says which picture looks
# right.
#
# One point each: the mean, and why it is dull; blue for L1, with the reason, and for 0-1; a choice for a
# person, with what is lost; more than one measure in the table, or rows such as gray and the oracle.

# %% [markdown] tags=["written", "extra"]
# **Question 2.** A report says: "Without batch normalisation our network has an error of 150 ab² on its
# training pictures and 250 on test pictures; with it, 140 and 240. The oracle has 200 on both sets. Each
# was trained once. So batch normalisation prevents overfitting." What do these numbers show, what do they
# not show, and what would you ask for?

# %% [markdown] tags=["answer", "extra"]
# **A possible answer.** In both runs the training error lies below the oracle's, so both networks have
# memorised colours that happened to be drawn: batch normalisation has not prevented overfitting. The gap
# between the two errors is 100 in both. That the test error is 10 lower may be due to chance, since each
# was trained once. I would ask for several seeds, for the difference picture by picture with its interval,
# for the curves over the steps with the best step chosen on a validation set, and for a run with more
# training pictures.
#
# One point each: both overfit, by the oracle; the gap is equal; one training each; what to ask for.

# %% [markdown] tags=["extra"]
# ## Extra: the clinic of data and judging
#
# The next cell makes six runs, A to F, of one small program. One run is healthy. Each of the others has
# *one* mistake in its data or in the way it is judged, and none raises an error. You see the loss; a batch
# as the network gets it, above the same pictures as they are stored (flips are intended); and these
# readings: the errors on validation pictures and on test pictures that were kept apart; how far, in ab
# units, the colours of a picture move when it is judged alone instead of with 31 others; and how many kinds
# of fruit a batch has.

# %% tags=["extra"]
figure, readings = studies.clinic(cfg.seed, cfg.clinic_steps)
show(
    figure,
    alt="For runs A to F: the loss over the steps, four pictures of a batch, and the same pictures "
    "in the store. One loss stays high; one batch has strange hues, one has colours beside the fruit.",
)
display(readings)

# %% [markdown] tags=["extra"]
# **Exercise** (8 minutes). At profile `laptop`, name each run: `"healthy"`, or one of
#
# - `"leaked validation set"`: its pictures are among the training pictures,
# - `"batch norm in training mode"`: `net.eval()` was forgotten before judging,
# - `"colour jitter"`: an augmentation from classification, where hue does not matter,
# - `"L flipped, ab not"`, and `"sorted, not shuffled"`, which is kind by kind, as in folders.
#
# A low error does not show that a run is sound: with 32 training pictures it varies by chance, and a
# mistake can even lower it. Look at the data and at how it was judged.


# %% tags=["extra"]
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


# %% tags=["extra"]
check("networks.clinic")

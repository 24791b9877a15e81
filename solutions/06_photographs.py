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
# # Lesson 6. Photographs
#
# Now you colour real photographs, your own among them, and learn how far to trust the result.
#
# **After this lesson you can**
#
# - train a decoder on a frozen encoder that has seen a million photographs;
# - colour a photograph of any size without touching its lightness;
# - draw several colourings from one network, and correct one with a click;
# - measure what age and film do to a colorizer, and for which pictures it is wrong;
# - write a model card whose claims are measured.
#
# **It takes** about an hour, with five exercises. **It needs** lessons 3 and 4; lesson 5 helps.

# %% tags=["bootstrap"]
# install colorkit where it is missing

# %% tags=["parameters"]
profile = None  # "ci", "laptop" or "gpu"; None asks $COLORKIT_PROFILE, else "laptop"

# %% tags=["imports"]
import math

import torch
import torch.nn.functional as F
from IPython.display import Markdown

from colorcourse import check, exercise, predict, quiz, reveal, settings, show_records
from colorcourse.lesson06 import figures, studies
from colorkit import color, colorize, losses, models, plots
from colorkit.batches import Batches
from colorkit.data.pictures import lesson_pictures, photograph
from colorkit.device import seed_everything
from colorkit.fit import fit
from colorkit.plots import show

# %% tags=["slide"]
cfg = settings("06_photographs", profile)
hopper = photograph("grace_hopper")
gray = color.rgb_to_lab(hopper)[:, :1]
show(
    figures.rows_of({"": {"gray": gray, "coloured": colorize(hopper), "true": hopper}}, 2.8),
    alt="Grace Hopper in uniform before a flag, three times: gray; coloured, with a backdrop in blotches of blue "
    "and ochre, natural skin and some red in the stripes; in true colours, with a blue backdrop.",
)

# %% [markdown]
# The middle picture was coloured by a network that comes with the course, trained on official portraits, fruit and
# groceries. No gray tone says that the backdrop is blue.
#
# ## 1. Leaving the orchard
#
# We train a small U-Net of lesson 3 on the orchard, and show it the course's photographs (authors and licences:
# `datasets/photographs`).

# %% tags=["slide"]
pictures = lesson_pictures("orchard", cfg.pictures, cfg.held_out, cfg.size, cfg.seed)
seed_everything(cfg.seed)
orchard = models.UNet(cfg.width, 3)
fruit = Batches(pictures.train, cfg.batch, seed=cfg.seed)
quiet = {"seed": cfg.seed, "callbacks": ()}
fit(orchard, losses.regression(losses.l2), fruit, cfg.orchard_steps, lr=0.004, **quiet)
ours = models.load_colorizer("photographs")
nets = {"orchard": orchard, "ours": ours}
photos = studies.planes(studies.PHOTOGRAPHS, cfg.photo_size)
L, ab = studies.planes(cfg.shown, cfg.photo_size)
rows = {name: net.colorize(L) for name, net in nets.items()}
show(
    plots.colorings(L, rows | {"true": ab}, 1.5),
    alt="An officer, a cat, a coffee and a meadow in four rows: L; by the orchard's network, with green stars and "
    "a blue cup; by ours, with a bluish backdrop, but a greenish cat and red and blue patches on the saucer; true.",
)
table = studies.score_photographs({"gray": models.Gray()} | nets, photos)
table.round(3)

# %% [markdown]
# The first column is the squared error over fifteen photographs. Ours is better than gray, but far from 0; the
# orchard's network is little better than no colour at all, or worse. One difference can be measured:

# %%
studies.what_differs({"orchard": pictures.train, "photographs": photos}).round(3)

# %% [markdown]
# Dull colours are more frequent in photographs, so vivid guesses may cost more. Nor has the network seen such objects.
#
# ## 2. Borrowed eyes
#
# To know that a sky is blue, a network must recognise a sky. **EfficientNet-Lite0**, a small relative of EfficientNet
# ([Tan and Le, 2019](https://arxiv.org/abs/1905.11946)), has learnt 1,000 classes from the 1.3 million photographs of
# ImageNet. What does it see in ours, in gray?

# %% tags=["slide"]
studies.named(["coffee", "chelsea", "rocket"])

# %% [markdown]
# It names the coffee and the cat; for the rocket it has no sure answer. So we keep its convolutions as an **encoder**
# and train only a **decoder**: **transfer learning** with a **frozen** encoder.
#
# The encoder gives features at 1/2 to 1/32 of the size. The decoder starts from the smallest; each of five steps
# enlarges by two, joins the encoder's features of that size, as the U-Net's skips do (the last joins the input), and
# convolves. *Frozen* means that the encoder's weights get no gradient (`requires_grad_(False)`), and that its batch
# norm keeps ImageNet's statistics (`eval()`), also in training.
#
# The control is the same network, trained from scratch. Both learn from crops of eleven photographs.


# %%
def network(borrowed):
    seed_everything(cfg.seed)
    if borrowed:
        return models.pretrained(frozen=True, width=cfg.decoder_width)
    return models.Lite0Colorizer(pretrained=False, width=cfg.decoder_width)


crops = studies.crops(studies.TRAIN, cfg.crops, cfg.crop, cfg.seed)
train = Batches(crops, cfg.batch, seed=cfg.seed)
eyes = {"borrowed": network(True), "scratch": network(False)}
for net in eyes.values():
    fit(
        net, losses.regression(losses.l2), train, cfg.steps, lr=0.003, schedule="one-cycle", **quiet
    )
unseen = studies.planes(studies.HELD_OUT, cfg.photo_size)
studies.score_photographs({"gray": models.Gray()} | eyes, unseen).round(3)

# %% [markdown]
# Both are better than gray on four others, borrowed eyes by more. But this is one run, and the astronaut before a flag
# and the mountains resemble pictures in training. (Do not compare with section 1: other training, loss and test
# pictures.) A recorded study on official portraits has three seeds. There "from scratch" is the U-Net of lesson 3, so
# its gap is due to pretraining and architecture together.

# %% tags=["slide"]
predict(
    "photographs.eyes",
    "With how many portraits does the network from scratch reach what borrowed eyes reach with 100?",
    ["25", "100", "820", "not with all 820"],
)

# %% tags=["slide"]
many = studies.recorded("pictures")
print(many.attrs["about"])
show(
    figures.seed_curves(
        many[many.model != "gray"], "count", "mse",
        {"gray": many[many.model == "gray"].mse.iloc[0]}, xlabel="portraits", ylabel="MSE (ab²)",
    ),
    alt="Squared error on unseen portraits over the number of portraits, for two networks, below a dotted line for "
    "gray. Both fall; the line of borrowed eyes is lower everywhere.",
)  # fmt: skip
reveal(
    "photographs.eyes",
    studies.portraits_needed(many),
    "Go right from the dot at 100: the other line does not come down to it.",
)

# %% [markdown]
# The line of borrowed eyes falls too. With each seed the U-Net with 820 portraits stays above borrowed eyes with 100,
# by 2 to 14 ab². But in 120 steps of 8 each of 820 portraits is seen about once: more steps may lower both lines, and
# change the gap.
#
# ## 3. Any size
#
# A network knows objects at about the size that it has seen, here 128 pixels, and photographs are larger. But the eye
# resolves colour coarsely (lesson 1), so colour is predicted *small* and enlarged, and L stays as it is.
#
# **Exercise 1** (7 minutes). Enlarge *ab* bilinearly to the size of L (`F.interpolate`, with its defaults otherwise),
# bring it inside sRGB with `color.fit_gamut(L, ab)`, and return RGB in [0, 1] (`color.join_lab`, `color.lab_to_rgb`).
# Mind the order: which colours fit depends on the L of each pixel.


# %%
@exercise("photographs.join")
def join(L, ab):
    """L (1, 1, H, W) at full size, ab (1, 2, h, w) small -> RGB (1, 3, H, W), float32."""
    ### BEGIN SOLUTION
    large = F.interpolate(ab, L.shape[2:], mode="bilinear")
    return color.lab_to_rgb(color.join_lab(L, color.fit_gamut(L, large)))
    ### END SOLUTION


# %% tags=["slide"]
check("photographs.join")
L = color.rgb_to_lab(photograph("friends"))[:, :1]
small = studies.small_view(L)
ab = ours.colorize(small)
whole = F.interpolate(join(small, ab), L.shape[2:], mode="bilinear")
pair = {"all enlarged": whole, "your join": join(L, ab)}
show(
    figures.rows_of({"": {name: rgb[..., 200:480, 200:480] for name, rgb in pair.items()}}, 2.8),
    alt="The head of a dog at a window, twice: blurred where all was enlarged, each curl sharp after the join.",
)
studies.record_lightness(L, pair)

# %% [markdown]
# The network got at most 192 pixels (128 in section 1), the best of five sizes on our photographs. Both pictures have
# the same small colours, but only the right one has detail. Its L is off by at most 0.25, the rounding to bytes; that
# of the left one somewhere by more than 20.
#
# ## 4. Throw the dice once
#
# Our colorizer gives a probability to each of 313 bins. So far we took lesson 4's annealed mean; a draw shows what else
# is possible. The **inverse of the cumulative distribution** makes one from a number u, uniform in [0, 1): add up the
# probabilities, and take the first bin whose sum exceeds u.
#
# **Exercise 2** (8 minutes). Return the number of the drawn bin. u is one a picture or one a pixel. If rounding
# leaves all sums below u, take the last bin, Q - 1.


# %%
@exercise("photographs.draw")
def draw(p, u):
    """p (N, Q, H, W), u (N, 1, 1, 1) or (N, 1, H, W) -> the drawn numbers, int64 (N, H, W)."""
    ### BEGIN SOLUTION
    passed = p.cumsum(dim=1) <= u
    return passed.sum(dim=1).clamp_max(p.shape[1] - 1)
    ### END SOLUTION


# %%
check("photographs.draw")

# %% [markdown]
# Which u? One for each pixel makes neighbours independent. **One u for the whole picture** gives similar
# distributions similar colours, if similar bins are neighbours. So `studies.drawn` sorts them by hue before it calls
# your draw. As in lesson 4, the logits are divided by a temperature: 0.5 here, while the annealed mean keeps its
# 0.38. A lower one gives more probable and less varied draws.

# %% tags=["slide"]
cat = studies.planes(["chelsea"], cfg.photo_size)[0]
side = cfg.photo_size // ours.scale
noise = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))
us = {"one u a pixel": noise} | {
    f"u = {u}": torch.full((1, 1, 1, 1), u) for u in (0.1, 0.4, 0.6, 0.9)
}
found = dict(zip(us, studies.drawn(ours, draw, cat, cfg.temperature, us.values()), strict=True))
found["annealed mean"] = ours.colorize(cat)
show(
    figures.rows_of({"": {name: join(cat, ab) for name, ab in found.items()}}, 1.6),
    alt="A cat, six times: speckled with one u a pixel; with one u, from reddish with some violet (0.1) to green "
    "(0.9), in larger patches; then in the mean, between them.",
)

# %% tags=["slide"]
predict(
    "photographs.draw",
    "Which is nearer to the true colours, on average over the photographs?",
    ["annealed mean", "one u a picture"],
)

# %% tags=["slide"]
ways = studies.ways_to_draw(ours, draw, photos, cfg.temperature, cfg.seed)
nearer = ways["error"][["annealed mean", "one u a picture"]].idxmin()
reveal("photographs.draw", nearer, "See error: a draw has a larger error than the annealed mean.")
ways.round(1)

# %% [markdown]
# With one u the cat has far fewer speckles. But where the distribution changes, at the eye and in the fur, the same u
# falls on another hue.
#
# Of the mean distances in *ab*, *neighbours* is a rough sign of **consistency**: above the truth there is noise (one
# u a pixel), far below it too little detail (the mean). It does not say whether an object has one colour. *two draws*
# shows **diversity**, and *error* its price. *best of 8* takes for each photograph the draw nearest to the truth, as
# a person who knows it would: a little less error than the mean; on fifteen photographs we claim no more.
#
# ## 5. You and the network
#
# [Zhang et al. (2017)](https://arxiv.org/abs/1705.02999) give the network **hints** beside L: *ab* where it is known,
# and a mask that says where. For training, clicks are **simulated** from the true colours.
#
# **Exercise 3** (7 minutes). Write the hints. Each patch (picture, row, column, side) gives the mean *ab* of its
# pixels, and a mask of 1. All else is 0; a later patch covers an earlier one.


# %%
@exercise("photographs.hints")
def hint_planes(ab, patches):
    """ab (N, 2, H, W), a list of (picture, row, column, side) -> hints (N, 3, H, W): a, b, mask."""
    ### BEGIN SOLUTION
    hints = ab.new_zeros(len(ab), 3, *ab.shape[2:])
    for n, row, column, side in patches:
        rows, columns = slice(row, row + side), slice(column, column + side)
        hints[n, :2, rows, columns] = ab[n, :, rows, columns].mean((1, 2), keepdim=True)
        hints[n, 2, rows, columns] = 1
    return hints
    ### END SOLUTION


# %%
check("photographs.hints")

# %% [markdown]
# The course has a U-Net with hints, trained on our colorizer's photographs. With your function we train a copy on the
# orchard, whose possible colours we know.


# %% tags=["slide"]
def with_hints(model, batch):
    L, ab = batch
    return losses.l1(model(L, hint_planes(ab, studies.random_patches(ab))), ab)


clicked = models.HintUNet.trained().train()
fit(clicked, with_hints, fruit, cfg.hint_steps, lr=0.004, seed=cfg.seed, callbacks=())
show(
    figures.settled(clicked, hint_planes, pictures.worlds["test"]),
    alt="One apple, five times: gray; brownish without a hint; reddish after a red click, greenish after a green "
    "one, ochre after a yellow one. The cloth changes too.",
)
studies.settle(clicked, hint_planes, pictures.worlds["test"])

# %% [markdown]
# Without a hint the network has to guess. A red or green click changes the apple, and some of the cloth too: the
# network does not know exactly where the apple ends. In our run the yellow click changes little. Of all objects with
# several possible colours, more come within 10 of the true one with a click in their middle.
#
# The original network gets random clicks on our photographs:

# %% tags=["slide"]
curve = studies.hint_curve(models.HintUNet.trained(), hint_planes, cfg.clicks, cfg.seed)
show(
    plots.intervals(curve, curve.attrs["label"]),
    alt="A row for each number of clicks from 0 to 20, with a dot and a wide bar: the dots move to smaller errors.",
)

# %% [markdown]
# The error falls with the number of clicks. The 95% intervals overlap because photographs differ much; in pairs the
# gain is clear. A click is up to 9 of 64 pixels wide; 20 cover a seventh of the picture. Even if they removed all
# error beneath them, that would be about 3 of the 10 units gained: most of the gain lies outside.
#
# The mark below starts on the black collar, where sRGB has hardly any colours. Click on the suit, then choose an
# orange: does the helmet change, or the backdrop?

# %%
figures.hint_painter(photograph("astronaut"), models.HintUNet.trained())

# %% [markdown]
# ## 6. Old photographs
#
# Fading, grain, a soft lens and JPEG change L, so they can be simulated. Before about 1920 most film was blind to red
# (**orthochromatic** film sees green and blue): red flags come out nearly black.
#
# **Exercise 4** (8 minutes). Write its L. Light adds up in linear light (`color.linearize`): Y = 0.6 G + 0.4 B (our
# choice; real films differ). Go back to sRGB (`color.delinearize`), and return the L of that gray (`color.rgb_to_lab`
# takes three channels).


# %%
@exercise("photographs.orthochromatic")
def orthochromatic(rgb):
    """RGB (N, 3, H, W), uint8 or in [0, 1] -> L (N, 1, H, W) as film shows it that is blind to red."""
    ### BEGIN SOLUTION
    _, green, blue = color.linearize(rgb).split(1, dim=1)
    gray = color.delinearize(0.6 * green + 0.4 * blue)
    return color.rgb_to_lab(gray.expand(-1, 3, -1, -1))[:, :1]
    ### END SOLUTION


# %% tags=["slide"]
check("photographs.orthochromatic")
show(
    figures.damaged(ours, orthochromatic, photograph("grace_hopper", cfg.photo_size), cfg.seed),
    alt="Six versions of one portrait, gray above and coloured below: as it is, on orthochromatic film, faded, "
    "where the suit turns red, with grain, in soft focus, as JPEG.",
)
rgb = studies.squares(studies.PHOTOGRAPHS, cfg.photo_size)
studies.damage_table(ours, orthochromatic, rgb, cfg.seed).round(1)

# %% [markdown]
# *moved* is the *ab* distance from the colours of the undamaged picture. The strengths are our choice: fading keeps 45%
# of the contrast, grain has a standard deviation of 16 units of L before smoothing, blur one of 2 pixels. So compare
# each only with the first row and the last. All raise the error; four of the five move the colours by 12 to 15 units,
# film by 5 to 6. Fading keeps every edge, and yet the suit turns red: edges alone do not settle the colours. JPEG here
# has no smaller error than gray: colouring gains nothing. Grain, blur and JPEG destroy detail and are unlike the
# training pictures; the table does not tell these causes apart.
#
# The remedy is **augmentation**: damage half of each training batch, and keep its true colours as the target: `L =
# torch.where(half, orthochromatic(rgb), L)`. A recorded study on portraits (means of three seeds):

# %% tags=["slide"]
old = studies.recorded("old")
studies.augmentation_table(old)

# %% [markdown]
# Along the first row, film raises the error of the plain network; below, augmentation takes back about half of that.
# On ordinary pictures it costs little.
#
# ## 7. Harm
#
# A mean hides whom a model serves badly: an **audit** splits it by group. The portraits have no labels of people, and
# we guess none. In a recorded study with five seeds, the first three rows split 273 held-out portraits into thirds by
# the mean L of the face (the middle quarter of each side; only its pixels count). The others split all pixels by true
# colour: *near-gray* has chroma at most 8, *skin-like* an orange hue of middling chroma.

# %% tags=["slide"]
show(
    figures.groups_figure(studies.by_group(studies.recorded("faces")), studies.PANELS),
    alt="Three panels with one axis from 0 to 1, five seeds a row: when rebalanced near-gray falls from 0.8 to 0.5, red "
    "rises from about 0.1 to 0.3. Dark is left of bright in each.",
)

# %% [markdown]
# Rebalanced classes find a third of the red pixels, which plain classes nearly all lose. Near-gray pixels pay for it.
# And with each loss dark faces got worse colours than bright ones, by 0.06 to 0.17 (means of the seeds). The dots show
# other trainings, not other portraits: with 91 faces a third, 0.06 may be chance. Skin, light or exposure: the data
# cannot tell.
#
# A **model card** ([Mitchell et al., 2019](https://arxiv.org/abs/1810.03993)) says what a model is for, what it was
# trained on, how it was measured, and for whom it is wrong. Write the last row of ours below. Our colorizer was trained
# with rebalanced classes, like the third panel's networks. But those are small, and saw only portraits, for 120 steps:
# write what the panels show as an expectation, and what you measured on our colorizer (sections 1 and 6; faces:
# `docs/colorizer.md`; return after 8) as a result.

# %%
mse, within, vivid = table.loc["ours"]
none, less = table.loc["gray"], table.attrs["less gray"]["ours"]
low, high = less.low, less.high
Markdown(f"""
| Model card | |
|---|---|
| what it is | classes over 313 bins, rebalanced; decoder on a frozen EfficientNet-Lite0 |
| trained on | official portraits, fruit and groceries; no photograph of this lesson |
| meant for | trying colours on a photograph, beside other answers |
| not meant for | evidence of what colour an object or a person had |
| MSE, fifteen photographs | {mse:.0f} ab² (gray {none.mse:.0f}; difference {low.mse:.0f} to {high.mse:.0f}) |
| pixels within 10 | {within:.0%} (gray {none.within_10:.0%}; difference {low.within_10:+.0%} to {high.within_10:+.0%}) |
| vividness | {vivid:.2f} ({low.colorfulness_ratio:.2f} to {high.colorfulness_ratio:.2f}; gray 0, true 1) |
| intervals | 95%, over the photographs, in pairs; one set of weights |
| wrong for | see the cell below |
""")

# %% [markdown] tags=["answer", "extra"]
# **A possible row.** Measured on it, with fifteen photographs: vivid objects (brushes, red bowl, orange suit) come out
# dull or in patches; film, fading, grain and blur raise the error from 292 to between 379 and 412 ab², JPEG of quality
# 8 to 513, no better than gray (487). Expected from small networks with this loss: half of the near-gray and two thirds
# of the red pixels are not within 10, and dark faces fare worse than bright ones (0.53 against 0.71 within 10;
# `docs/colorizer.md` has ours: 0.69 and 0.82).

# %% [markdown]
# In squared error ours beats gray beyond chance (in vividness any colouring does); in the share within 10 the
# difference may be anything from -12 to +20 points. "Better than gray" holds for one measure only.
#
# ## 8. Your own photographs
#
# **Exercise 5** (12 minutes). Put the parts together: a photograph of any size in one drawn colouring. Let the
# network (`net.logits`) see `studies.small_view(L)`, draw one of `net.bins` for each place, at the temperature and in
# the order of hues (`studies.by_hue(net.bins)`), and keep the detail of the whole L.


# %%
@exercise("photographs.colour")
def colour(rgb, net, u, temperature=0.5):
    """RGB (1, 3, H, W), a classifier, u (1, 1, 1, 1) in [0, 1) -> RGB (1, 3, H, W), float32."""
    ### BEGIN SOLUTION
    L = color.rgb_to_lab(rgb)[:, :1]
    order = studies.by_hue(net.bins)
    p = (net.logits(studies.small_view(L)) / temperature).softmax(dim=1)[:, order]
    ab = net.bins[order][draw(p, u)].movedim(-1, 1)
    return join(L, ab)
    ### END SOLUTION


# %%
check("photographs.colour")
mine = [photograph(name) for name in cfg.mine]  # or photograph("path/of/your.jpg")
columns = {f"u = {u}": torch.full((1, 1, 1, 1), u) for u in (0.2, 0.5, 0.8)}
rows = {
    name: {title: colour(rgb, ours, u, cfg.temperature) for title, u in columns.items()}
    | {"true": rgb}
    for name, rgb in zip(cfg.mine, mine, strict=True)
}
show(
    figures.rows_of(rows),
    alt="An astronaut and a room with a drum, in three drawn colourings each, and in their true colours.",
)

# %% [markdown] tags=["slide"]
# The flag and the face are alike in all; the orange suit is blue in places at u = 0.2: one u does not make a network
# sure of an object. Nor is agreement proof: the white drum is yellow in all.
#
# Before you show your own (the first extra is a project), show the worst:

# %% tags=["slide"]
show(
    figures.worst(ours, studies.PHOTOGRAPHS, cfg.photo_size, cfg.failures),
    alt="Five photographs in three rows, gray, coloured and true: bright brushes, a red bowl and other vivid objects "
    "come out dull.",
)

# %% [markdown]
# Vivid objects come out dull or in patches. But mind how the five were chosen: where the answer is dull, the error is
# about the true chroma, so a ranking by error finds vivid pictures first. Rank a second time by the error *minus that
# of gray*: at the top are pictures better left gray.

# %% [markdown] tags=["extra"]
# ## Extra: the project
#
# Choose at least thirty photographs of your own, and take responsibility for what you show:
#
# 1. Prepare them: `colorkit data prepare FOLDER --out STORE`. Its audit leaves out gray and damaged files.
# 2. Choose a model and a temperature on one half; measure on the other half, beside gray. Take our colorizer, or
#    train a decoder of your own with three seeds (`colorkit train STORE`).
# 3. Show the ten worst pictures, not the ten best, by the error and by the error minus that of gray.
# 4. Write the card. Each claim needs a number, each number an interval or its seeds.
#
# `python scripts/photographs.py PORTRAITS FRUITS OUT` runs the recorded studies on your stores, one of portraits,
# whose middle is taken for a face, and one of pictures in classes. `colorkit colorize FOLDER --out COLOURED` colours
# a folder.
#
# ## Extra: who judges?
#
# The error counts a green apple as wrong where a red one was, however plausible. Another judge is a **recogniser**: a
# linear layer on EfficientNet-Lite0, trained to name 19 kinds of fruit in true colours. It sees 250 pictures that
# neither it nor the colorizer was trained on. But they come from the same shops, and a shelf may have been
# photographed for both parts: for other shops expect less. *random* are the colours of another picture; *way* is the
# share of the way from gray to true.

# %% tags=["extra"]
studies.recogniser_table(studies.recorded("recogniser"))

# %% [markdown] tags=["extra"]
# With 250 pictures an accuracy is known to about 6 points. A random picture's colours do not help; ours raise it from
# 54% to 78%, far more than chance allows. That is about 0.6 of the way to true colours, a ratio known less exactly
# than the accuracies. Mind that judge and colorizer share an encoder and have seen the same shops.
#
# ## Extra: how many pairs?
#
# A third judge is a person who sees the true and the coloured picture in random order, and says which is real: a
# **blind two-alternative choice**. Suppose that judges recognise the coloured picture in 60% of all pairs. Guessing
# gives 50%. A test counts the right answers among n, and calls the difference significant if a guesser would get so
# many, or more, with a probability of at most 5%. The **power** is the probability that the test finds what is there.
#
# **Exercise 6** (7 minutes). Write it with the binomial distribution: find the smallest k whose tail, the probability
# of k or more right answers, is at most `level` at a share of 1/2; return the tail of that k at `share`. If there is
# no such k, the power is 0.


# %% tags=["extra"]
@exercise("photographs.power")
def power(n, share, level=0.05):
    """Pairs, the true share of right answers, level of the test -> probability, a number."""

    ### BEGIN SOLUTION
    def tail(k, p):
        return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))

    k = next(k for k in range(n + 2) if tail(k, 0.5) <= level)
    return tail(k, share)
    ### END SOLUTION


# %% tags=["extra"]
check("photographs.power")
{n: round(power(n, 0.6), 2) for n in (20, 50, 100, 200, 400)}

# %% [markdown] tags=["extra"]
# A quiz with 20 pairs finds such a difference in about one of eight cases, so that finding nothing says very little.
# The usual aim, a power of 0.8, needs between 100 and 200 pairs. The count assumes independent answers. In a class
# give each student other pairs, and add up the right answers. If all judge the same pairs, their answers are not
# independent, for an easy pair is easy for all: average over the students for each pair, and resample pairs for an
# interval. More students then do not replace more pairs.
#
# ## Extra: the field
#
# Papers compare colorizers by **FID** ([Heusel et al., 2017](https://arxiv.org/abs/1706.08500)), the Fréchet distance
# between two normal distributions, fitted to a recogniser's features of generated and of true pictures. It asks whether
# a *set* of pictures looks like a set of photographs, not whether a picture has its true colours. Its covariances have
# millions of entries, so it needs thousands of pictures, and falls with their number. Numbers compare only at the same
# pictures and size, and the papers' protocols differ; so the table has ideas, not a ranking. Attention and diffusion
# are explained in lesson 7. What we do not try is *fine-tuning*: training the encoder as well, at a small rate, which
# can pay where there are many pictures.
#
# | model | idea |
# |---|---|
# | [CT2](https://doi.org/10.1007/978-3-031-20071-7_1) (2022) | transformer, colours as tokens |
# | [L-CAD](https://arxiv.org/abs/2305.15217) (2023) | diffusion, guided by a sentence |
# | [DDColor](https://arxiv.org/abs/2212.11613) (2023) | 100 colour queries |
# | [Palette](https://arxiv.org/abs/2111.05826) (2021) | diffusion, many answers |
# | [iColoriT](https://arxiv.org/abs/2207.06831) (2022) | hints travel by attention |
#
# **Colour queries** can be seen in our own network: each of its 313 classes has a learned vector, and its product
# with the features of a place gives that class's logit.

# %% tags=["extra"]
p = ours.distribution(studies.small_view(gray))[0]
top = p.mean((1, 2)).topk(5).indices
maps = {
    f"a, b = {a:.0f}, {b:.0f}": 100 * p[k][None] / p[k].max()
    for k, (a, b) in zip(top, ours.bins[top].tolist(), strict=True)
}
show(
    figures.rows_of({"": maps}, 1.9),
    alt="Grace Hopper as five maps, one for each of the five most probable bins: the uniform is bright in four, the "
    "flag's field in the map of a, b = 10, -20; the face is nearly black in all.",
)

# %% [markdown] tags=["extra"]
# Each map shows where one query answers. It is divided by its own maximum, so compare places in one map, not maps:
# the flag's field answers *a*, *b* = 10, -20, and the face answers none of the five. Our queries are the same for all
# pictures. In DDColor 100 queries first look at the picture, by attention, and then decide which colour each stands
# for.

# %% [markdown] tags=["slide"]
# ## Recap
#
# - A network knows the colours of what it has seen. Decoders on an encoder that names objects reached a lower error
#   with the same photographs.
# - Predict colour small, keep L at full size, and fit the gamut after enlarging.
# - With one u a picture neighbours agree more than with one u a pixel; but the colour may change inside one object. A
#   hint adds what L leaves open.
# - Simulate what age does to L, augment, and measure before and after.
# - No single judge suffices. Audit by group and colour, and say what the model is not for.
#
# **Open questions**
#
# - When does film blind to red make L say more about the colour?
# - Your card says 36% within 10, gray has 32%. What would you have to measure before you claim a difference?
#
# **Further reading**
#
# - [Yosinski et al., 2014](https://arxiv.org/abs/1411.1792), on which features transfer.
# - [Gebru et al., 2018](https://arxiv.org/abs/1803.09010), datasheets for data sets.

# %% tags=["quiz", "extra"]
quiz("06")

# %%
show_records("06_photographs", cfg.profile)

# %% [markdown] tags=["written", "extra"]
# ## Written questions
#
# A person reads your answers. Each is worth four points; four to six sentences are enough.
#
# **Question 1.** A museum wants to show coloured portraits of 1910 beside the originals. Write four
# sentences for the sign on the wall. Each must rest on something that the lesson measured, or say
# that it was not measured.

# %% [markdown] tags=["answer", "extra"]
# **A possible answer.** The colours were made up by a program that has learnt from modern photographs, so they show
# what is plausible, not what was there. For one gray picture the program has many answers, and those that it draws
# differ from each other. Film of that time was blind to red, and on photographs changed by a simple model of such
# film the program errs more than on the same photographs unchanged. In a test of smaller networks of its kind, faces
# that are dark in the picture, be it by skin or by light, got worse colours than bright ones; on portraits of 1910
# themselves nothing has been measured.

# %% [markdown] tags=["written", "extra"]
# **Question 2.** One u for a whole picture makes a draw smoother than one u a pixel, but it ties objects together
# that have nothing to do with each other. Propose another way to draw, say what can go wrong with it, and how you
# would measure whether it is better.

# %% [markdown] tags=["answer", "extra"]
# **A possible answer.** Divide the picture into regions that belong together, for example by the similarity of the
# predicted distributions or by a network that finds objects, and draw one u for each region. If the regions are
# wrong, two halves of a dress get two colours, or a face and its background share one u. I would measure diversity
# between two draws, as the lesson does, consistency inside known objects, and the share of objects with a possible
# colour in a made world. On photographs I would ask people in a blind choice, with enough pairs.

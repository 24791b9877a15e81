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
# # Lesson 5. A learned loss
#
# L2 makes apples orange-brown, a colour that no apple has, because the mean of red, green and yellow is the best guess
# under squared error. A second network learns to tell true colours from generated ones, and its verdict becomes part
# of the loss.
#
# **After this lesson you can**
#
# - write both losses of a **generative adversarial network** (GAN), and say which values to expect;
# - build a discriminator that judges patches;
# - write the training step of a conditional GAN;
# - tell from a few measurements whether a game is healthy;
# - run the control that isolates the discriminator's contribution.
#
# **It takes** about an hour. **It needs** lessons 3 and 4.

# %% tags=["bootstrap"]
# install colorkit where it is missing

# %% tags=["parameters"]
profile = None  # "ci", "laptop" or "gpu"; None asks $COLORKIT_PROFILE, else "laptop"
source = "orchard"  # or a public set such as "official-portraits", or a store's folder
size = None  # side of a public set's photographs in pixels; None: the profile's

# %% tags=["imports"]
import copy
from itertools import chain, count, islice

import torch
import torch.nn.functional as F
from torch import nn

from colorcourse import check, exercise, predict, quiz, reveal, settings, show_records
from colorcourse.lesson05 import comparisons, figures
from colorkit import models
from colorkit.batches import Batches
from colorkit.data.pictures import lesson_pictures
from colorkit.device import pick_device, seed_everything
from colorkit.fit import fit, rate_share
from colorkit.losses import l1, l2, regression
from colorkit.plots import colorings, show

# %% tags=["slide"]
cfg, device = settings("05_adversarial", profile), pick_device()
pictures = lesson_pictures(source, cfg.pictures, cfg.held_out, size or cfg.size, cfg.seed)
oracle = comparisons.oracle_of(pictures.worlds.get("test"))
L, ab = comparisons.with_apples(pictures, 6)
show(
    colorings(L, {name: best.colorize(L) for name, best in oracle.items()} | {"true": ab}, 1.5),
    alt="Six pictures of fruit with apples in three rows: gray; in the best colours under squared "
    "error, where all apples are the same orange-brown and grapes are grayish; in their true "
    "colours, where apples are red, green or yellow.",
)

# %% [markdown] tags=["slide"]
# The middle row is the **Bayes-optimal** prediction under L2, the *oracle* of lesson 3: the mean of each fruit's
# possible colours. More data or training does not help, because the loss itself asks for it.
#
# ## Two players, two losses
#
# The **generator** G is a colorizer: it takes L and makes *ab*. The **discriminator** D takes L and *ab*, and says how
# probable it is that these are the true colours. The two are trained against each other ([Goodfellow et al.,
# 2014](https://arxiv.org/abs/1406.2661)), here *conditionally*: both see L, as in pix2pix ([Isola et al.,
# 2017](https://arxiv.org/abs/1611.07004)). D minimises its cross-entropy:
#
# $$\mathcal{L}_D = -\tfrac12\, \mathrm{E}[\log D(L, ab)] - \tfrac12\, \mathrm{E}[\log(1 - D(L, G(L)))]$$
#
# In the code, `D(L, ab)` returns a **logit** z; the D of the formulas is its sigmoid, 1 / (1 + exp(-z)).
#
# **Exercise 1** (4 minutes). Write D's loss. Each E is a mean over its own logits, of which there may be
# different numbers.


# %%
@exercise("adversarial.discriminator_loss")
def discriminator_loss(true, generated):
    """Logits of true and of generated pictures, any shapes -> scalar, L_D."""
    ### BEGIN SOLUTION
    on_true = F.binary_cross_entropy_with_logits(true, torch.ones_like(true))
    on_generated = F.binary_cross_entropy_with_logits(generated, torch.zeros_like(generated))
    return (on_true + on_generated) / 2
    ### END SOLUTION


# %%
check("adversarial.discriminator_loss")

# %% [markdown]
# A discriminator that has learned nothing says 1/2 everywhere, and its loss is ln 2 = 0.69. How far the best possible D
# gets *below* ln 2 is the **Jensen-Shannon divergence** between true and generated pictures.
#
# G could minimise log(1 - D), the term that D makes large. But compare the slopes over the logit z:
#
# $$\frac{d}{dz} \log(1 - D) = -D \qquad \frac{d}{dz}(-\log D) = D - 1$$
#
# Where D is sure of a generated picture, D and the first slope are near 0; the second is -1. Therefore G
# minimises -log D, the **non-saturating** loss. It is ln 2 where D says 1/2, and larger while D is ahead. G also keeps
# a written loss, L1, which ties its colours to the true ones:
#
# $$\mathcal{L}_G = -\mathrm{E}[\log D(L, G(L))] + \lambda\, \mathrm{E}\,|G(L) - ab|$$
#
# **Exercise 2** (5 minutes). Write G's loss; the second E is a mean over all values of *ab*. **Lambda** is per *ab*
# unit: pix2pix uses 100 for *ab* divided by 110, which is 0.9 here.


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
# ## A game of numbers
#
# First a small game without L1. Of the true numbers 70% lie around -2 and 30% around 2; G turns random
# noise into numbers.

# %% tags=["slide"]
toy = comparisons.play_toy(discriminator_loss, generator_loss, cfg.toy_steps, cfg.seed)
figures.toy_slider(toy, comparisons.toy_numbers(5000))

# %% [markdown]
# The slider moves the middle panel. Where there are numbers, D(x) is high if true ones are more frequent than generated
# ones; elsewhere it means nothing. G moves its numbers up the slope, until D is nearly flat where most of them are. In
# the end few numbers lie between the hills, where L2 would put all of them, and G has found the share of the right hill
# approximately. Each loss is measured against an opponent that learns too, so **a falling loss
# proves no progress, and a constant one no standstill**.
#
# ## A discriminator of patches
#
# A **PatchGAN** discriminator is a convolutional network that returns a map of logits, one for each patch. It judges
# local colour and texture; the rest is left to L1.
#
# **Exercise 3** (8 minutes). Build one whose logits each see exactly 16 x 16 pixels. L and *ab* arrive as three
# channels, already scaled. Compute the receptive field from the last layer back: start with r = 1, and each layer turns
# r into (r - 1) * stride + kernel. Two 4 x 4 layers, the first with stride 2, give 4, then 3 * 2 + 4 = 10. Any
# convolutions will do, with an activation between them; `width` is the number of channels after the first. Nothing
# follows the last one, since the loss takes logits. Use no instance, group or layer norm: they tie a picture's patches
# together (batch norm does so only in training).


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


class Discriminator(nn.Module):
    """Scales L and ab, and hands them to your patch discriminator."""

    def __init__(self, width):
        super().__init__()
        self.layers = patch_discriminator(width)

    def forward(self, L, ab):
        return self.layers(torch.cat([(L - 50) / 25, ab / 50], dim=1))


seed_everything(cfg.seed)
print(Discriminator(cfg.discriminator_width)(*pictures.test).shape)

# %% [markdown] tags=["slide"]
# ## How to read a game
#
# Beside the losses, we measure three quantities on training pictures:
#
# - **true or generated**: the share of patches that D judges correctly, half of them true. Near 50%, D is fooled, or it
#   has learned nothing. Near 100%, G cannot follow or does not try.
# - **true or gray**: the same for true and *gray* pictures. D never sees gray in training, but mostly comes to know it,
#   though not to 100%: some true patches are almost gray, and true ones that D rejects count here. This tells a
#   fooled D, as in the game of numbers, from an ignorant one: both have a loss near ln 2.
# - **adversarial share**: at G's output, the norm of the gradient of -log D, as a share of the sum of this norm and
#   that of lambda times L1. Near 0, G does not hear D. Near 1 is no sign of health: where D is sure, -log D is
#   steepest.
#
# Of these five short games four are faulty, yet none raised an error.

# %% tags=["slide"]
logs = figures.gan_clinic.logs(cfg.seed, cfg.clinic_steps)
show(
    figures.gan_clinic.figure(logs),
    alt="Five columns, games A to E, and three rows over the steps: how often the discriminator is "
    "right about generated and about gray pictures; both adversarial losses, in log scale, with "
    "ln 2 dotted; the adversarial share of the gradient. The table below has the late values.",
)
figures.gan_clinic.readings(logs).round(2)

# %% [markdown]
# The table holds means of the last third. G's loss and the share are of what G minimises in that game. Ask in this
# order: does D know gray pictures, and generated ones? Does G hear it? Last, is G's loss small although D still tells
# its pictures apart?
#
# **Exercise 4** (8 minutes). Name each game: `"healthy"`, or one of
#
# - `"discriminator has won"`: it is a larger network that judges whole pictures, and G's learning rate is a hundredth
#   of the others';
# - `"discriminator is never updated"`: its optimizer does nothing;
# - `"lam masks the discriminator"`: lambda is so large that only L1 counts;
# - `"labels swapped for the generator"`: G is rewarded where D says *generated*.


# %%
@exercise("adversarial.clinic")
def diagnosis():
    """{game: name} for "A" to "E"."""
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
# ## Your game
#
# A step on a batch (L, *ab*) has two halves:
#
# 1. G colours L. D sees the true and the generated colours, and takes a step on its loss. G's output is **detached**:
#    no gradient of D's loss enters G. D's optimizer would not move G, but this backward pass would leave gradients
#    there and free G's graph, which the second half needs (*Trying to backward through the graph a second time*).
# 2. The *new* D judges the generated colours once more, and G takes a step on its loss. This backward pass also leaves
#    gradients in D, which must not reach D's next step.
#
# **Exercise 5** (18 minutes). Write this step and repeat it for all batches, with your two losses. With
# `adversarial=False`, the same function plays a **control**: D learns too, but G's loss is lambda times L1 alone.


# %% tags=["slide"]
@exercise("adversarial.play")
def play(G, D, of_G, of_D, batches, lam, adversarial=True):
    """Play on each batch (L, ab) in turn -> a list of pairs of floats: D's loss, G's loss.

    G(L) gives ab, D(L, ab) gives logits; of_G and of_D are their optimizers.
    """
    ### BEGIN SOLUTION
    losses = []
    for L, ab in batches:
        made = G(L)

        loss_D = discriminator_loss(D(L, ab), D(L, made.detach()))
        of_D.zero_grad()
        loss_D.backward()
        of_D.step()

        loss_G = lam * l1(made, ab)
        if adversarial:
            loss_G = generator_loss(D(L, made), made, ab, lam)
        of_G.zero_grad()
        loss_G.backward()
        of_G.step()
        losses.append((loss_D.item(), loss_G.item()))
    return losses
    ### END SOLUTION


# %%
check("adversarial.play")

# %% [markdown]
# First a U-Net is trained by L2, so that D meets sensible colours.

# %%
seed_everything(cfg.seed)
before = models.UNet(cfg.width, 3)
data = Batches(pictures.train, cfg.batch, seed=cfg.seed, device=device)
fit(before, regression(l2), data, cfg.before, lr=cfg.lr, seed=cfg.seed, callbacks=())
print(f"L1 on the test pictures: {l1(before.colorize(pictures.test[0]), pictures.test[1]):.2f}")

# %% [markdown]
# The game takes two known choices: Adam with less *momentum*, a shorter average of gradients (0.5, not 0.9, [Radford et
# al., 2015](https://arxiv.org/abs/1511.06434)), and **two learning rates** ([Heusel et al.,
# 2017](https://arxiv.org/abs/1706.08500)), here a larger one for D. Both fall to 0. Lambda is 0.2, less than pix2pix's
# 0.9, so that G hears D.


# %%
def run_game(G, D, lam, **how):
    """Train G against D for cfg.steps steps; return what the instruments showed every cfg.round."""
    of_G = torch.optim.Adam(G.parameters(), cfg.gan_lr, betas=(0.5, 0.999))
    of_D = torch.optim.Adam(D.parameters(), cfg.discriminator_lr, betas=(0.5, 0.999))
    batches = chain.from_iterable(data(epoch, 0) for epoch in count())  # epoch after epoch
    rounds, log = cfg.steps // cfg.round, []
    for k in range(rounds):
        for optimizer, rate in ((of_G, cfg.gan_lr), (of_D, cfg.discriminator_lr)):
            optimizer.param_groups[0]["lr"] = rate * rate_share("cosine", k, rounds)
        losses = play(G, D, of_G, of_D, islice(batches, cfg.round), lam, **how)
        loss_D, loss_G = (float(sum(own)) / cfg.round for own in zip(*losses, strict=True))
        readings = comparisons.instruments(G, D, pictures.train, lam)
        readings |= {"loss_D": loss_D, "loss_G": loss_G, "step": (k + 1) * cfg.round}
        log.append(readings)
    return log


# %% tags=["slide"]
G = copy.deepcopy(before).train()  # batch norm in training mode
D = Discriminator(cfg.discriminator_width).to(device)
log = run_game(G, D, cfg.lam)
print(f"lambda {cfg.lam}; learning rates: G {cfg.gan_lr}, D {cfg.discriminator_lr}")
show(
    figures.game_curves(log, cfg.lam),
    alt="Three panels over the steps. Losses: D's, -log D and lambda times L1. How often the "
    "discriminator is right about generated and about gray pictures, on 16 training pictures. "
    "The adversarial share of the gradient, which rises slowly. Left, ln 2 is dotted.",
)
predict("adversarial.health", "What would you call this game?", list(figures.gan_clinic.symptoms))

# %%
reveal("adversarial.health", *comparisons.state_of(log, cfg.lam))

# %% [markdown]
# D is right about only a little more than half of the patches, but it knows gray pictures better: it is close to being
# beaten, yet not blind, and more than a quarter of the pull on G comes from it. On the left, the discriminator's loss
# stays a little below ln 2 (thin, dotted), since D is slightly ahead. The rule's limits are rough: they were chosen on
# the clinic's games.
#
# ## What did the discriminator add?
#
# G has trained longer than the network it started from, and with L1 in its loss. Either could explain an improvement.
# So we play the control: from the same start, with the same batches, optimizers and learning rates, G minimises
# **lambda times L1 alone**, while D only watches.
#
# We measure how many fruits with several colours received a **possible colour**: one within 10 *ab* units of a colour
# that the fruit can have.

# %%
control = copy.deepcopy(before).train()
watching = Discriminator(cfg.discriminator_width).to(device)
run_game(control, watching, cfg.lam, adversarial=False)
predict(
    "adversarial.control",
    "The GAN leads the L2 network in possible colours. How much of that lead remains over the control?",
    ["nothing that can be told from chance", "a part of it", "practically all of it"],
)

# %%
nets = {"L2 first": before, "control": control.eval(), "GAN": G.eval()}
results = comparisons.judged({"gray": models.Gray()} | nets | oracle, pictures)
results.filter(["l1", "auc", "within_10", "colorfulness_ratio", "possible"]).round(3)

# %% tags=["slide"]
part, leads = comparisons.lead_table(nets, pictures, "GAN")
reveal("adversarial.control", part, "The intervals are in the table.")
leads

# %% [markdown]
# In the first table, `l1` is in *ab* units; the next three are lesson 4's. The second has leads in possible colours,
# with 95% intervals over the fruits. The lead over L2 is large, but much of it needs no discriminator: longer training,
# with L1, wins it too (third row). The second row is D's own part *for these two trained networks*.
#
# ## Which colour is chosen?
#
# A possible colour is not yet a fair choice: half of the apples are red, 30% green, 20% yellow.

# %% tags=["slide"]
predict(
    "adversarial.choice",
    "Which colour does the GAN give most apples?",
    ["red, the most frequent one", "green", "yellow, the one in between"],
)

# %% tags=["slide"]
favourite, panels, alt = figures.choices(nets, pictures)
reveal("adversarial.choice", favourite, "See the first panel.")
show(panels, alt)
comparisons.by_kind(nets | oracle, pictures)

# %% [markdown]
# Compare the true distribution, left, with the networks; hatched parts are impossible colours. Most of the GAN's apples
# are yellow, and with every network most peppers are hatched. The table gives the share with a possible colour by kind:
# in this training D's help is uneven. The oracle's mean can fall near a possible colour or near none.
#
# For one L, G has one colour: it can never say that *this* apple is red *or* green. Over many pictures it could still
# give the right shares, by letting irrelevant details of L decide. But L1 punishes that. In the game of numbers G could
# match 70% and 30%: it had noise as an input, and no L1 to punish its use. For a fair choice, predict a distribution
# and draw from it, as in lessons 4 and 7.

# %% tags=["slide"]
show(
    colorings(L, {name: net.colorize(L) for name, net in nets.items()} | {"true": ab}, 1.5),
    alt="Six pictures in five rows: gray, by L2, by the control, by the GAN, true. The GAN's colours are the "
    "most vivid, its strawberry is the reddest; around some fruit are stains; apples are yellow to orange.",
)

# %% [markdown]
# In the stored solution the GAN's strawberry is redder than the control's, most of its plums are purple, and it adds
# blue and green stains around fruit (third and last picture).
#
# ## Five trainings
#
# An interval over fruits says nothing about training again. So the comparison was repeated with five seeds, and
# recorded. *L2*, *L1*, and lesson 4's *classes* and *rebalanced* classes are trained from scratch for as many steps as
# L2 first and the game together, at rate 0.004; *control* and *GAN* are as above:

# %% tags=["slide"]
ways = ["gray", "L2", "L1", "control", "GAN", "classes", "rebalanced", "oracle"]
study = comparisons.recorded("losses", ways)
print(study.attrs["about"])
columns = {
    "possible": "possible colours",
    "colorfulness_ratio": "colorfulness",
    "l1": "L1 (ab units)",
}
show(
    figures.seeds_figure(study[study.model != "gray"], columns | {"auc": "AuC"}),
    alt="Four panels with a row for each way of training and a dot for each of five seeds, joined by "
    "lines. Possible colours: L2 near 0.3, classes near 0.4, control near 0.5, L1, GAN and rebalanced "
    "near 0.55. Colorfulness: GAN and rebalanced near 1, L1 and control below 0.9, L2 below 0.8. "
    "L1 error: lowest for the oracle; about 10 for L1 and control, 10.5 for L2, GAN and rebalanced. "
    "AuC: control 0.890, rebalanced 0.887, GAN 0.885.",
)
comparisons.mean_table(study)

# %% [markdown]
# Each dot is one training, a line joins those of a seed, and a red line is a mean. For every seed:
#
# - The GAN leads L2 by at least 0.2 in possible colours, but its control by only 0.01 to 0.11. The stored run's second
#   row, 0.18, and its interval lie above all five. It shares seed 0 (0.11) and its batches, not device or D's first
#   weights. D's part is 0.01 to about 0.2; in the five, below the control's over the start.
# - What D adds is **vividness**: the GAN is nearly as colourful as the true pictures, the control less so.
# - It costs some accuracy: for each seed the GAN's AuC is below its control's by 0.003 to 0.005, and its
#   L1 larger by 0.3 to 0.5 *ab* units.
#
# Rebalanced classes are more vivid than the GAN for every seed, with slightly higher AuC; on average they and L1 give
# as many possible colours as the GAN. But both had eight times the GAN's rate, at which games lead these classes in AuC
# and possible colours (third Extra).

# %% [markdown] tags=["extra"]
# ## Extra: why yellow?
#
# The five extras are optional and take about five minutes each.

# %% tags=["extra"]
show(
    figures.plane_figure("apple", nets, pictures),
    alt="The ab plane with discs for green, yellow and red, and symbols for the mean colours given by "
    "the oracle, L2, the control and the GAN; the oracle's lies between yellow and red.",
)

# %% [markdown] tags=["extra"]
# Each disc holds what counts as that colour, with its share; the symbols are mean colours over all apples. The oracle's
# is the mean that L2 asks for. Yellow lies between red and green, and of the three it is nearest to that mean. L1 asks
# for a median of *a* and one of *b*. Since half of the apples are red, every *a* from yellow's to red's is a median: L1
# does not forbid orange-brown. Nor is it the whole reason, since the networks trained by L2 alone already give some
# apples yellow and none red or green, in each of the five trainings. The figure shows where the networks went, not why.

# %% [markdown] tags=["extra"]
# ## Extra: how much to listen to D
#
# Lambda decides between two aims. Here are games with three lambdas and three seeds each, recorded as before.

# %% tags=["extra"]
show(
    figures.seeds_figure(
        comparisons.recorded("lambdas"),
        columns | {"share": "share", "right": "D: generated", "gray": "D: gray"},
        "lambda",
    ),
    alt="Six panels, three lambdas, three seeds joined by lines: from lambda 2 to 0.02 colorfulness "
    "rises above 1, L1 from 10.1 to 11.6, the share from 0.1 to 0.65; D is right less often.",
)

# %% [markdown] tags=["extra"]
# With the smallest lambda most of the pull on G comes from D. What does G gain? Hardly more possible colours than with
# lambda 0.2, and a colorfulness of 1.07 to 1.09, more vivid than the true pictures. The price is accuracy: L1 rises
# from 10.5 to 11.6 *ab* units. D then tells true from generated in only 49% to 53% of the patches, but true from gray
# still in more than 60%: it works, and is beaten. With the largest lambda G hardly hears D: its share is below 0.1, and
# for each seed fewer fruits have a possible colour than with 0.2.
#
# So the rule above does not take such a game for one whose D was never updated, although D's loss is near ln 2: a D
# that has learned nothing is right about gray in no more than about half of the patches.
#
# ## Extra: L2 first, or from scratch?
#
# DeOldify's **NoGAN** ([Antic, 2019](https://github.com/jantic/DeOldify)) trains the generator alone, then the
# discriminator alone, and then both for a short time. Its first stage uses a *perceptual* loss, a distance between the
# features of a pretrained network; ours uses L2. Does a game profit from such a start? Our start by L2 uses the rate
# 0.004, the game after it 0.0005. So the figure has each start with two rates of G in the game, 0.0005 and 0.004; D's
# stays at 0.001. Only in the lower pair does G have one rate (0.004) in all steps of both rows.
#
# Starts by L2 differ. Of the five trainings, seed 0 has the start with the fewest possible colours, 0.17 (the others:
# 0.27 to 0.31), and the largest lead over its control. The stored run has this seed, too.

# %% tags=["extra"]
show(
    figures.seeds_figure(comparisons.recorded("starts"), columns | {"auc": "AuC"}),
    alt="Four panels, four rows: L2 first and from scratch at two learning rates, three seeds each. "
    "Possible colours overlap; in colorfulness from scratch is near 1, L2 first near 0.97.",
)

# %% [markdown] tags=["extra"]
# All rows have the same number of steps. At the same rate of the game, neither start leads in possible colours for all
# three seeds. From scratch is more colourful with each seed, and at the lower rate has the higher AuC, too. The higher
# rate gives the game after L2 more possible colours with each seed. At 0.004 it is G that has the larger rate, unlike
# above, and none of the six games at this rate broke: such choices are a place to start from. Both games at this rate
# also lead L1 and the rebalanced classes of the five trainings in possible colours, for each of these three seeds
# (means over the three: the games 0.59, L1 0.55, rebalanced 0.53). But there is no control at that rate, so how much of
# this lead is D's is open. What the start does give you is a working network before the game begins.
#
# ## Extra: calmer games
#
# Much work has gone into keeping D and G in balance. **Spectral norm** ([Miyato et al.,
# 2018](https://arxiv.org/abs/1802.05957)) limits how steep D can be, **R1** ([Mescheder et al.,
# 2018](https://arxiv.org/abs/1801.04406)) penalises D's gradient on true pictures, and an **average of G's weights**
# over the last steps smooths out the game's random swings ([Yazici et al., 2018](https://arxiv.org/abs/1806.04498)).
# The last one is easily tried, since it changes nothing in the training:
#
# ```python
# from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
#
# average = AveragedModel(G, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
# ...
# average.update_parameters(G)  # after each round of 10 steps
# ```

# %% tags=["extra"]
calm = comparisons.recorded("losses", ["GAN", "GAN, averaged", "GAN, blind to L"])
show(
    figures.seeds_figure(calm, columns | {"auc": "AuC"}),
    alt="Four panels, three rows, a dot for each of five seeds: the averaged weights have a slightly "
    "higher AuC, lower L1 and lower colorfulness than those of the last step; possible colours "
    "overlap in all three rows.",
)

# %% [markdown] tags=["extra"]
# For each seed the averaged network has a slightly higher AuC and a lower L1 than the network at the last step; the
# price is that it is a little less colourful. In possible colours it leads for some seeds only. The third row is a
# surprise: a D that does not see L serves about as well here. Such a D sees the outlines of coloured areas, but neither
# lightness nor shading, so it should judge less well which colour belongs to which fruit. Perhaps it need not, because
# L1 already teaches that to G.
#
# ## Extra: brown bears
#
# Suppose that a conditional GAN is trained on pictures of brown bears alone, that it is then shown polar bears, and
# that they come out brown. Did it follow the animal's shape, its darkness, or the woods around it? In a made world
# each can be varied by itself. First we need a measure of "painted brown": the mean colour of the animal or boulder
# must be within 10 *ab* units of a brown bear's, and no further from it than from the colours that the object itself
# can have. We try the measure on known cases before we use it:

# %% tags=["extra"]
comparisons.bears.ruler_table(8, 64, 9)

# %% [markdown] tags=["extra"]
# The table shows the share that is called brown. True polar bears and boulders are not, brown paint is, moss green and
# gray are not: the measure passes. Now five games, each with 250 dark brown bears in woods and a seed of its own, paint
# bears and boulders, twelve pictures for each dot:

# %% tags=["extra"]
show(
    figures.seeds_figure(
        comparisons.painted_brown(),
        {name: f"{name}: share brown" for name in ("brown bear", "polar bear", "boulder")},
    ),
    alt="A panel a shape, a line for each of five games: dark ones in woods are all painted brown. In "
    "most other rows the games lie far apart; one game paints most bright ones on snow brown.",
)

# %% [markdown] tags=["extra"]
# Dark objects in woods are painted brown in all five games: polar bears and boulders no less than brown bears. So there
# the shape made no difference. *Bright* objects in woods are less often brown in every game, but the games disagree on
# how often: bears from never to 11 of 12, boulders at most 2 of 12, so for them the shape may matter. With snow in
# place of woods, three games painted clearly fewer dark objects brown, the fourth more bright ones, the fifth fewer
# bright bears. In woods, darkness mattered in every game; shape, if at all, for bright objects. The ground mattered
# too, but not in the same way in each game. A network learns whatever its training pictures reward, and dark brown
# bears in woods never asked it to look at shapes.

# %% [markdown]
# ## Photographs
#
# These networks know drawn fruit only: the GAN's colours are vivid here, and wrong. Lesson 6 does better. To train on
# photographs, online, choose `source="official-portraits"` above.

# %% tags=["slide"]
figures.on_photographs(nets, pictures)

# %% [markdown] tags=["slide"]
# ## Recap
#
# - A GAN trains a generator against a discriminator. D minimises a cross-entropy, on detached colours; then G minimises
#   -log D plus a written loss, through the new D.
# - Losses alone do not show how a game goes. Measure how often D is right, and D's share of G's gradient.
# - Compare a GAN with the same training without -log D. In five trainings most of the lead over L2 was the control's; D
#   added vividness, at a small cost in accuracy. Rebalanced classes were as vivid without D.
# - A deterministic generator cannot draw from a distribution.
#
# **Open questions**
#
# - Would D add more at 256 x 256 pixels, with more texture?
# - Which inputs of G and D, and which change of L1, would give apples the right shares of colours?
#
# **Further reading**
#
# - [Blau and Michaeli, 2018](https://arxiv.org/abs/1711.06077), on why an image cannot be both as accurate and as
#   natural as possible.

# %% tags=["quiz", "extra"]
quiz("05")

# %%
show_records("05_adversarial", cfg.profile, source)

# %% [markdown] tags=["written", "extra"]
# ## Written questions
#
# A person reads your answers. Each is worth four points; five or six sentences are enough.
#
# **Question 1.** A paper compares a network trained by L2 for 10,000 steps with the same network
# after another 10,000 steps as a GAN with L1. The GAN's colours are more vivid, and the paper
# credits the discriminator. Which control is missing? Say what stays the same in it, what you would
# measure, and which result would convince you.

# %% [markdown] tags=["answer", "extra"]
# **A possible answer.** The control that starts from the same network and goes on for the same 10,000
# steps with the same batches, optimizers and learning rates, while the generator's loss is lambda
# times L1 alone. The discriminator goes on learning, but is not heard. I would measure colorfulness,
# the share of possible colours and an error such as L1 or AuC, for five or more seeds, with each
# control beside its GAN. I would be convinced if the GAN were more colourful than its control for
# every seed, by more than the seeds differ among themselves, and I would report what this costs in
# accuracy.

# %% [markdown] tags=["written", "extra"]
# **Question 2.** Three games have these late readings. Game 1: D is right in 52% on true or generated
# patches, in 50% on true or gray ones, and its loss is 0.69. Game 2: 53%, 72%, 0.67, and the
# adversarial share of the gradient is 0.3. Game 3: 64%, 74%, 0.62, and the share is 0.01. Name the
# state of each game. What would you do next in each?

# %% [markdown] tags=["answer", "extra"]
# **A possible answer.** In game 1 the discriminator has learned nothing: it does not even know gray
# pictures, and its loss is ln 2. I would look whether its optimizer holds D's parameters and takes
# steps, and whether its learning rate is far too small. In game 2 it is nearly beaten, but it knows
# gray pictures, and almost a third of the pull on the generator comes from it: a healthy game. I
# would leave it running and look at the pictures and at the control; a falling or constant loss would
# not tell me whether it makes progress. In game 3 the discriminator works as well, but the generator
# does not hear it: L1 masks it. I would lower lambda until the share is well above 0.

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
# # Lesson 7. Many answers
#
# A gray apple may have been red, green or yellow. The classifier of lesson 4 gives each pixel its own probabilities, so
# that one half of a drawn apple may come out red and the other green; the GAN of lesson 5 gives one answer only, and has
# favourites. In this lesson you train a network that draws *whole colourings*, and check whether it draws each as often
# as it occurs.
#
# **After this lesson you can**
#
# - train a network on straight lines from noise to data, which is called **flow matching**;
# - explain why one step of its sampler gives the mean, and many steps give samples;
# - write Euler's method and attention;
# - compare the frequencies of drawn colours with known ones;
# - say what more steps and stronger guidance cost.
#
# **It takes** about 75 minutes, with five exercises. **It needs** lessons 3 and 4; lesson 5 helps.

# %% tags=["bootstrap"]
# install colorkit where it is missing

# %% tags=["parameters"]
profile = None  # "ci", "laptop" or "gpu"; None asks $COLORKIT_PROFILE, else "laptop"

# %% tags=["imports"]
import torch

from colorcourse import check, exercise, predict, reveal, settings, show_records
from colorcourse.lesson07 import figures, studies
from colorkit import flow, models
from colorkit.batches import Batches
from colorkit.data.pictures import lesson_pictures
from colorkit.device import seed_everything
from colorkit.fit import fit
from colorkit.plots import colorings, show

# %%
cfg = settings("07_flow", profile)
pictures = lesson_pictures("orchard", cfg.pictures, cfg.held_out, cfg.size, cfg.seed)
world = pictures.worlds["test"]
show(
    figures.possible_colourings(studies.first(world, 6), 4, cfg.seed),
    alt="Six gray pictures of fruit, and below each four colourings that it could have: the same apple is red in one "
    "and green in another, but always of one colour; cloth, wood and sky change too.",
)

# %% [markdown]
# Each row is a colouring that the orchard could have produced for these gray pictures, drawn anew from its known
# distribution. Read a column from top to bottom: the fruit change their colours, but each fruit has one colour at a
# time. A network that draws like this would answer the open question of lesson 4.
#
# ## 1. From noise to data
#
# Random numbers from a normal distribution are easy to draw. Suppose that we could *move* each of them, so that
# afterwards they are distributed like data. **Flow matching** ([Lipman et al.,
# 2023](https://arxiv.org/abs/2210.02747); [Liu et al., 2023](https://arxiv.org/abs/2209.03003)) learns such a motion
# from the simplest one: join a random noise $x_0$ and a random example $x_1$ by a straight line, on which time t runs
# from 0 to 1,
#
# $$x_t = (1 - t)\, x_0 + t\, x_1, \qquad \frac{dx_t}{dt} = x_1 - x_0.$$
#
# **Exercise 1** (5 minutes). Return the point $x_t$ and its velocity. Noise and data have any number of dimensions, and
# each example has its own time.


# %%
@exercise("flow.interpolate")
def interpolate(noise, data, t):
    """noise and data (N, ...), t (N,) in [0, 1] -> the points and their velocities, (N, ...) each."""
    ### BEGIN SOLUTION
    t = t.view(-1, *[1] * (data.ndim - 1))
    return (1 - t) * noise + t * data, data - noise
    ### END SOLUTION


# %%
check("flow.interpolate")
show(
    figures.lines(interpolate, cfg.seed),
    alt="Sixty straight lines from numbers around 0 at t = 0 to two hills at t = 1, most of them to the lower hill at "
    "-2, some to the upper one at 2. The lines cross each other.",
)

# %% [markdown]
# The data here are the numbers of lesson 5: 70% lie around -2 and 30% around 2. Lines that end in the upper hill are
# red. Their ends were paired at random, so lines cross: from one point some go up and others go down.
#
# ## 2. The mean velocity
#
# To draw a new number we have to start at noise and move without knowing the end. A network $v(x, t)$ therefore learns
# the velocity of the lines at x and t by squared error. Where lines cross, the best it can do is their *mean* velocity.
# In lesson 3 the mean was the problem: it painted apples brown. **Here the mean is right.** Think of cars on a wide
# road. How many cars are in which place a moment later depends only on how many pass each place, that is, on their mean
# velocity there. If all cars at a place drove at that mean, the number of cars in every place would develop in just
# the same way. So points that follow the mean velocity have the same distribution at every time as the points on the
# lines; at t = 1, that of the data.
#
# **Exercise 2** (9 minutes). Write the loss of a training step. Draw noise with `draw(data)` and one uniform t in [0, 1)
# for each example, take the point and its velocity from your `interpolate`, ask the network with `net(x, t, given)`, and
# return the mean squared error of its answer. For numbers `draw` is `torch.randn_like`, and `given` is nothing; for
# pictures `given` is the lightness. Convert the answer with `.float()`, since networks may compute in bf16.


# %%
@exercise("flow.loss")
def velocity_loss(net, data, given, draw):
    """net(x, t, given) gives velocities like x, draw(data) noise like data (N, ...) -> a scalar."""
    ### BEGIN SOLUTION
    noise, t = draw(data), torch.rand(len(data), device=data.device)
    x, velocity = interpolate(noise, data, t)
    return (net(x, t, given).float() - velocity).square().mean()
    ### END SOLUTION


# %%
check("flow.loss")

# %% [markdown]
# A network that knows velocities is a differential equation, and to draw means to solve it: start at noise, and follow
# the velocity until t = 1. The simplest solver is **Euler's method**. It divides the time into n steps, and in each step
# moves along the velocity at the step's beginning, for a time of 1/n.
#
# **Exercise 3** (7 minutes). Write it. The network takes one time for each example, a tensor (N,).


# %%
@exercise("flow.euler")
def euler(velocity, x, steps):
    """velocity(x, t) of x (N, ...) and t (N,); x is noise at t = 0 -> the points at t = 1."""
    ### BEGIN SOLUTION
    for k in range(steps):
        t = torch.full((len(x),), k / steps, device=x.device)
        x = x + velocity(x, t) / steps
    return x
    ### END SOLUTION


# %%
check("flow.euler")

# %% [markdown]
# Your loss now trains a small network on the numbers.

# %%
predict(
    "flow.one_step",
    "Where do numbers end that take a single Euler step from t = 0 to t = 1?",
    ["in both hills, about 70% to 30%", "all in the larger hill", "all near the mean of the data"],
)

# %%
velocity = studies.learn_numbers(velocity_loss, cfg.toy_steps, cfg.seed)
show(
    figures.paths(velocity, euler, (1, 2, 4, 50), cfg.seed),
    alt="Four panels with the paths of numbers from t = 0 to 1, in 1, 2, 4 and 50 steps, and histograms beside them. "
    "With one step all end near -0.8; with 50 steps curved paths part into both hills and match the gray bars.",
)
ends = studies.drawn_numbers(velocity, euler, (1, 2, 4, 50), cfg.seed)
reveal("flow.one_step", studies.where_one_step_ends(ends), "See the row of 1 step.")
ends.round(3)

# %% [markdown]
# Read the panels from left to right. At t = 0, x is pure noise and tells nothing about its data, so the mean velocity
# points from x to the mean of *all* data. One step follows it to the end, and arrives at L2's answer between the hills.
# With 50 steps the paths bend: as soon as x contains a little of the data, the network knows better which hill is
# likelier. The paths part, no two of them cross, and about 30% of the numbers end in the upper hill. The
# network was never told this share. A GAN's losses hardly tell how its game goes; here, training is a plain regression.
#
# ## 3. A network for colourings
#
# For pictures, x is a small noisy colouring, with both channels at half of the side length, and v depends on the gray
# picture, too: $v(x, t, L)$. The network is a U-Net, as in lesson 3, with three inputs:
#
# - **x** enters in patches of 2 x 2 pixels, whose numbers become channels;
# - **L** enters through the frozen encoder of lesson 4, which knows what is to be seen;
# - **t** enters as sines and cosines of many frequencies, from which two layers compute a scale and a shift for the
#   channels of each block. The same point needs another velocity early on, when nearly all is noise, than late.
#
# One part is new. A convolution sees only what is near. But whether an apple becomes red is decided by the noise, and
# all of its pixels have to agree on the decision. **Attention** ([Vaswani et al.,
# 2017](https://arxiv.org/abs/1706.03762)) lets every place ask every other place. Each of P places gives three vectors
# of C channels: a **query** (what do I look for?), a **key** (what can be found here?) and a **value** (what do I say?).
# The product of a query and a key is a score; softmax over all keys makes weights of a query's scores, and the answer is
# the mean of the values with these weights:
#
# $$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{C}}\right) V.$$
#
# The root keeps the scores at unit variance; otherwise softmax would see only one place. Several **heads** do this side
# by side, each with its own channels. A mean over all places does not know which of them are neighbours, so sines and
# cosines of its row and column are added to each place first.
#
# **Exercise 4** (8 minutes). Write attention for all pictures and heads at once. `@` multiplies the last two dimensions.


# %%
@exercise("flow.attention")
def attention(q, k, v):
    """q, k, v (N, heads, P, C) -> for each place the mean of the values, (N, heads, P, C)."""
    ### BEGIN SOLUTION
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    return scores.softmax(dim=-1) @ v
    ### END SOLUTION


# %%
check("flow.attention")

# %% [markdown]
# Your attention stands in the network at an eighth and a sixteenth of the side length, where there are few places.

# %%
seed_everything(cfg.seed)
eyes = models.ResNetColorizer(18, "worlds", frozen=True)
net = flow.FlowColorizer(eyes, width=cfg.width, attend=attention, sampler=euler, steps=cfg.steps)
L, ab = (plane[:4] for plane in pictures.train)
x, t = flow.shrink(ab), torch.rand(4)
print("L", tuple(L.shape), "x", tuple(x.shape), "velocity", tuple(net(x, t, L).shape))
weights = sum(p.numel() for p in net.parameters() if p.requires_grad)
print(f"{weights / 1e6:.2f} million weights to train")

# %% [markdown]
# ## 4. Train
#
# `flow.shrink` gives the small true colours, divided by 50, so that they spread about as far as the noise. A flow may
# begin at any noise. If each pixel had its own, the pixels of an apple would outvote it very early: their mean tells
# the apple's colour at small t already, and there the choice would have to be learnt. `flow.noise_like` lets blocks of
# 2 x 2 pixels share most of their noise, so that more of the way is left to choose. Everything else is your loss. A tenth
# of the pictures lose their L in training; section 8 tells why.


# %%
def loss(net, batch):
    L, ab = batch
    return velocity_loss(net, flow.shrink(ab), L, flow.noise_like)


data = Batches(pictures.train, cfg.batch, seed=cfg.seed)
run = fit(net, loss, data, cfg.train_steps, lr=cfg.lr, schedule="one-cycle", seed=cfg.seed)
studies.learned(run)

# %% [markdown]
# The loss cannot fall to 0: as long as several colours are possible, the velocity of a single line cannot be known. So
# it says little about the colours. We have to look, and to count.

# %%
seen = world.L[:6]
samples = net.samples(seen, 4, seed=cfg.seed)
rows = {f"draw {k}": ab for k, ab in enumerate(samples, 1)} | {"true": world.ab[:6]}
show(
    colorings(seen, rows, 1.3),
    alt="The six pictures of the beginning, in four drawn colourings and in their true colours: most fruit have one "
    "colour, which differs from row to row; cloths and walls change as well.",
)

# %% [markdown]
# Compare with the first figure. Each row began with another noise; nothing else differs. Here and there a fruit has
# taken two colours, or a colour between two.
#
# ## 5. Are the frequencies true?
#
# Half of the world's apples are red, 30% are green and 20% are yellow. We draw many colourings of the test pictures, take
# the mean colour of each fruit in each of them, and count.

# %%
predict(
    "flow.frequencies",
    "In how many draws is an apple red?",
    [
        "in hardly any, as with the GAN",
        "in about half",
        "in nearly all: the most frequent colour wins",
    ],
)

# %% [markdown]
# **Exercise 5** (7 minutes). Count. A draw counts for the possible colour to which it is nearest, if that is at most
# `within` units away (Euclidean distance), else for "none of them", which comes last.


# %%
@exercise("flow.dice")
def count_colours(drawn, possible, within=15.0):
    """drawn (D, 2) and possible (K, 2) colours -> the shares of the draws, float32 (K + 1,)."""
    ### BEGIN SOLUTION
    distance, nearest = torch.cdist(drawn, possible).min(dim=1)
    nearest[distance > within] = len(possible)
    return torch.bincount(nearest, minlength=len(possible) + 1) / len(drawn)
    ### END SOLUTION


# %%
check("flow.dice")

# %%
drawn = studies.draws(net, world, cfg.draws, cfg.seed)
ways = {"one step": studies.drawn_in(1, net, world, cfg.draws, cfg.seed), "flow": drawn}
often = studies.by_kind(world, ways, count_colours)
names = studies.colour_names(pictures)
reveal("flow.frequencies", studies.how_often_red(often), "See the first panel.")
show(
    figures.frequency_figure(often.loc[cfg.kinds], names),
    alt="A panel a kind, with stacked bars: the known shares of its colours, those of one step, of which nearly all are "
    "hatched, and those of the flow, which resemble the known ones.",
)

# %%
studies.total_variation(often).round(2)

# %% [markdown]
# In each panel the left bar is the known distribution; hatched parts are none of the possible colours. One step paints
# the mean, which no apple can have. With all steps, the flow draws each colour about as often as it occurs. The table
# measures it by the **total variation** of lesson 4, the amount of probability in the wrong place.
#
# The same was done three times, with networks of all lessons. *Classes* and *rebalanced* are those of lesson 4 with
# their annealed mean, the *GAN* is that of lesson 5. *Classes, drawn* takes one random number for each picture.

# %%
study = studies.recorded()
print(study.attrs["about"])
columns = {"kinds": "total variation by kind", "objects": "by object", "within": "in one colour"}
show(
    figures.seeds_figure(study, columns),
    alt="Three panels, a row for each model, a dot for each seed. Total variation by kind and by object is lowest for "
    "the flow; the share of pixels within 15 units of one possible colour is highest for it.",
)

# %%
studies.study_table(study)

# %% [markdown]
# Each dot is one training. *By kind* pools all apples; *by object* asks whether each single apple is drawn in all of its
# colours, as often as it should be. A network with one answer cannot do the latter, however good it is. The flow is
# ahead of all others in both for every seed.
#
# ## 6. One colour for each object
#
# Frequencies alone do not make a good colouring: independent draws for each pixel have the right frequencies, and look
# like noise. The third panel shows the share of an object's pixels that are within 15 units of *one* of its possible
# colours, the same for all of them. *Flow without attention* is the same network, trained as long, in which places hear
# only of what is near. Compare its dots with those of the flow: the difference is what attention adds.

# %% [markdown]
# ## 7. What many draws are good for
#
# If the draws follow the distribution, then their *mean* is the mean of the distribution, which is L2's best answer.
# And the *best* of K draws is what a user would get who may choose.

# %%
few = studies.draws(net, studies.first(world, cfg.few), max(cfg.counts), cfg.seed)
studies.of_many(studies.first(world, cfg.few), few, cfg.counts).round(1)

# %% [markdown]
# Read the first column downwards: the mean of more and more draws comes nearer to the oracle's colour, the brown that
# L2 would have given. The second column falls as well: with more draws to choose from, one is nearer to the truth. One
# model holds both answers, but the mean is the only one that a regression can give.
#
# ## 8. Steps and guidance
#
# Each step costs one evaluation of the network. How many are needed?

# %%
studies.over("steps", cfg.many_steps, net, world, count_colours, cfg.some, cfg.seed).round(3)

# %% [markdown]
# Read the first and the last column together: the time grows in proportion to the steps, while the total variation
# falls fast at first and then hardly at all.
#
# **Guidance** ([Ho and Salimans, 2022](https://arxiv.org/abs/2207.12598)) makes draws agree better with L. In training a
# tenth of the pictures had no L, so the network also knows the velocity $v_0$ of colours in general. The sampler goes
# further in the direction in which L changes it, by a factor w:
#
# $$v = v_0 + w\,(v_L - v_0).$$
#
# With w = 1 this is the velocity as it was learnt.

# %%
predict(
    "flow.guidance",
    "What does w = 3 do to colours that are rare?",
    ["they become rarer", "nothing", "they become more frequent"],
)

# %%
guided = studies.over("guidance", cfg.guidances, net, world, count_colours, cfg.some, cfg.seed)
reveal("flow.guidance", studies.rarer(guided), "See the column rare.")
guided.round(3)

# %% [markdown]
# Read the table downwards: with w the colours become more vivid, and rare ones rarer, so that the frequencies move away
# from the true ones. Guidance draws what is typical of this L. To get one beautiful picture, that may be welcome; to
# know what is possible, leave w at 1.

# %% [markdown] tags=["extra"]
# ## Extra: a hint without another training
#
# In lesson 6 a network was trained to take hints. A flow takes them as it is. Where the colour is known, we do not ask
# the network: such a place goes straight to its colour, with the velocity (known - x) / (1 - t). All other places see it
# in x, and fit in with it ([Lugmayr et al., 2022](https://arxiv.org/abs/2201.09865), fill holes in pictures in a
# similar way).


# %% tags=["extra"]
def with_hint(velocity, known, mask):
    """The velocity where places in the mask (bool) go straight to their known colours."""

    def hinted(x, t):
        straight = (known - x) / (1 - t.view(-1, 1, 1, 1))
        return torch.where(mask, straight, velocity(x, t))

    return hinted


studies.apples_under_hints(net, world, with_hint, count_colours, cfg.apples, cfg.seed).round(2)

# %% [markdown] tags=["extra"]
# A row is a hint of 4 x 4 pixels in the middle of an apple, a column the share of draws in which the whole apple got
# that colour.
#
# ## Extra: where this idea stands
#
# Flow matching is one of a family. **Diffusion** models ([Ho et al., 2020](https://arxiv.org/abs/2006.11239)) add noise
# in many small steps and learn to take it away; **score** models ([Song et al.,
# 2021](https://arxiv.org/abs/2011.13456)) show that this, too, is a differential equation, with curved paths. Straight
# lines need fewer steps. [Palette](https://arxiv.org/abs/2111.05826) (2021) colours photographs by diffusion, drawing
# all of RGB; [L-CAD](https://arxiv.org/abs/2305.15217) (2023) is guided by a sentence. Large models draw not pixels but
# the features of an autoencoder ([Rombach et al., 2022](https://arxiv.org/abs/2112.10752)), as we draw small colours and
# enlarge them. **Mean flows** ([Geng et al., 2025](https://arxiv.org/abs/2505.13447)) learn the mean velocity over a
# stretch of *time*, and draw in one step.

# %% [markdown]
# ## Recap
#
# - Flow matching joins noise and data by straight lines, and learns their mean velocity by squared error.
# - Points that follow the mean velocity are distributed like the data. One Euler step gives the mean; more steps
#   give samples.
# - Attention lets all pixels of an object agree on one colour.
# - Where the distribution is known, frequencies can be counted. They came near, for kinds and for single objects.
# - The mean of many draws is L2's answer; guidance buys vividness with frequencies.
#
# **Open questions**
#
# - For photographs the frequencies are unknown. What could you still test?
# - The lines pair noise and data at random. What would change if each noise were paired with a near example?
#
# **Further reading**
#
# - [Lipman et al., 2024](https://arxiv.org/abs/2412.06264), a guide to flow matching, with code.
# - [Blau and Michaeli, 2018](https://arxiv.org/abs/1711.06077), on why draws must have a larger error than the mean.

# %%
show_records("07_flow", cfg.profile)

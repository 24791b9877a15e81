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
# # Lesson 7. Many answers
#
# A gray apple may have been red, green or yellow. Lesson 4's classifier gives each pixel its own probabilities: drawn
# pixel by pixel, an apple comes out speckled, and with one random number for the picture, all apples get the same
# colour. The GAN of lesson 5 has only one answer. Here you train a network that draws *whole colourings*, and check
# whether it draws each colour as often as it occurs.
#
# **After this lesson you can**
#
# - train a network by **flow matching**, which moves noise to data along straight lines;
# - explain why one step of its sampler gives the mean, and many steps give samples;
# - write Euler's method and attention;
# - compare the frequencies of drawn colours with the known ones;
# - measure what more steps and stronger guidance gain and cost.
#
# **It takes** about an hour, with five exercises. **It needs** lessons 3 and 4; lesson 5 helps.

# %% tags=["bootstrap"]
# install colorkit where it is missing

# %% tags=["parameters"]
profile = None  # "ci", "laptop" or "gpu"; None asks $COLORKIT_PROFILE, else "laptop"

# %% tags=["imports"]
import torch

from colorcourse import check, exercise, predict, quiz, reveal, settings, show_records
from colorcourse.lesson07 import figures, studies
from colorkit import flow, models
from colorkit.batches import Batches
from colorkit.data.pictures import lesson_pictures, photograph
from colorkit.device import seed_everything
from colorkit.fit import fit
from colorkit.photo import colorize
from colorkit.plots import colorings, picture_grid, show

# %% tags=["slide"]
cfg = settings("07_flow", profile)
pictures = lesson_pictures("orchard", cfg.pictures, cfg.held_out, cfg.size, cfg.seed)
world = pictures.worlds["test"]
show(
    figures.possible_colourings(studies.first(world, 8), 4, cfg.seed),
    alt="Eight gray pictures of fruit, and below each four colourings that it could have: the same pepper is red, green or "
    "violet, but always of one colour; plums, pears, walls, cloths and sky change as well.",
)

# %% [markdown] tags=["slide"]
# Each row below the gray pictures is a colouring drawn from the orchard's known distribution. Peppers change from row
# to row, but each has one colour.
#
# ## 1. From noise to data
#
# Normal random numbers are easy to draw. Suppose we could *move* them until they are distributed like data. **Flow
# matching** ([Lipman et al., 2023](https://arxiv.org/abs/2210.02747); [Liu et al.,
# 2023](https://arxiv.org/abs/2209.03003)) learns such a motion from a very simple one. It joins random noise $x_0$ and
# a random example $x_1$ by a straight line, along which the time t runs from 0 to 1:
#
# $$x_t = (1 - t)\, x_0 + t\, x_1, \qquad \frac{dx_t}{dt} = x_1 - x_0.$$
#
# The derivative, the **velocity**, is the same all along a line.
#
# **Exercise 1** (5 minutes). Return the point $x_t$ and its velocity, for noise and data of any number of dimensions.


# %%
@exercise("flow.interpolate")
def interpolate(noise, data, t):
    """noise and data (N, ...), t (N,) in [0, 1] -> the points and their velocities, (N, ...) each."""
    ### BEGIN SOLUTION
    t = t.view(-1, *[1] * (data.ndim - 1))
    return (1 - t) * noise + t * data, data - noise
    ### END SOLUTION


# %% tags=["slide"]
check("flow.interpolate")
show(
    figures.lines(interpolate, cfg.seed),
    alt="Sixty straight lines from numbers around 0 at t = 0 to two hills at t = 1, most of them to the lower hill at "
    "-2, some to the upper one at 2. The lines cross each other.",
)

# %% [markdown] tags=["slide"]
# The data are the numbers of lesson 5: 70% lie around -2 and 30% around 2 (red lines). Noise and data were paired at
# random, so lines cross: through one point, some go up and others down.
#
# ## 2. The mean velocity
#
# To draw a new number, we start at noise and move without knowing where the line ends. So a network $v(x, t)$ learns
# the velocity of the lines from x and t, by squared error. Where lines cross, its best answer is their *mean* velocity.
# In lesson 3 the mean was the final answer, and painted apples brown. Here it is only a direction, asked for again at
# every moment, and **as a direction the mean is right**.
#
# Think of cars on a road. How many cars a stretch gains or loses in a moment depends on how many cross its ends, that
# is, on how many are there and on their mean velocity. If every car drove at the mean velocity of its place, their
# number in every place would develop in just the same way. Likewise, points that follow the mean velocity from noise
# have, at each time, the distribution of the points on the lines; at t = 1, that of the data.
#
# **Exercise 2** (7 minutes). Write the loss of a training step. `draw(data)` gives noise and a time for each example.
# Take the point and its velocity from your `interpolate`, ask the network with `net(x, t, given)`, and return the mean
# squared error of its answer, converted by `.float()` since networks may compute in bf16. For numbers, `given` is None;
# for pictures, it is the lightness.


# %%
@exercise("flow.loss")
def velocity_loss(net, data, given, draw):
    """net(x, t, given) gives velocities like x, draw(data) noise like it and t (N,) -> a scalar."""
    ### BEGIN SOLUTION
    noise, t = draw(data)
    x, velocity = interpolate(noise, data, t)
    return (net(x, t, given).float() - velocity).square().mean()
    ### END SOLUTION


# %%
check("flow.loss")

# %% [markdown]
# To draw is now to solve a differential equation: start at noise, and follow the velocity until t = 1. **Euler's
# method** is the simplest solver. It divides the time into n steps, and in each moves for a time of 1/n along the
# velocity at the step's beginning.
#
# **Exercise 3** (7 minutes). Write it. `velocity` takes t as (N,).


# %% tags=["slide"]
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
# Your loss now trains a small network.

# %%
predict(
    "flow.one_step",
    "Where do numbers end that take a single Euler step from t = 0 to t = 1?",
    ["in both hills, about 70% to 30%", "all in the larger hill", "all near the mean of the data"],
)

# %% tags=["slide"]
velocity = studies.learn_numbers(velocity_loss, cfg.toy_steps, cfg.seed)
show(
    figures.paths(velocity, euler, (1, 2, 4, 50), cfg.seed),
    alt="Four panels with the paths of numbers from t = 0 to 1, in 1, 2, 4 and 50 steps, and histograms beside them. "
    "With one step all end near -0.8; with 50 steps curved paths part into both hills and match the gray bars.",
)
ends = studies.drawn_numbers(velocity, euler, (1, 2, 4, 50), cfg.seed)
reveal("flow.one_step", studies.where_one_step_ends(ends), "See the row of 1 step.")
ends.round(3)

# %% [markdown] tags=["slide"]
# Gray bars are true numbers, red outlines drawn ones. At t = 0, x is pure noise and says nothing about its data, so the
# mean velocity points from x to the mean of *all* data. One step follows it to the end, and arrives at L2's answer
# between the hills. With 50 steps the paths bend: as soon as x contains a little of the data, the network can tell
# which hill is likelier. The paths part, and about 30% of the numbers end in the upper hill (`right hill` in the
# table).
#
# ## 3. A network for colourings
#
# For pictures, x is a small noisy colouring, both channels at half of L's side length, and the velocity depends on the
# gray picture as well: $v(x, t, L)$. The network is a U-Net, as in lesson 3, with three inputs:
#
# - **x** enters in patches of 2 x 2 pixels, whose numbers become channels;
# - **L** enters twice: as features of lesson 4's frozen encoder, and as it is, since features lose detail;
# - **t** enters as sines and cosines of many frequencies. From these each block computes a scale and a shift for its
#   channels, since the same point needs another velocity early than late.
#
# All pixels of an apple have to agree on the colour that the noise decides, but one convolution combines neighbours
# only; a U-Net sees far by halving. **Attention** ([Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)) lets every
# place ask every other place in a single layer. From its features, each of P places computes three vectors of C
# channels: a **query** (what do I look for?), a **key** (what can be found here?) and a **value** (what do I say?). The
# product of a query and a key is a score. Softmax over all keys makes weights of a query's scores, and the answer is
# the mean of the values with these weights:
#
# $$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{C}}\right) V.$$
#
# The rows of Q, K and V are places. The root keeps the scores at about unit variance; without it, softmax would mostly
# pick a single place. Several **heads** do this side by side, each with its own channels. Attention does not know which
# places are neighbours, so sines and cosines of row and column are first added.
#
# **Exercise 4** (8 minutes). Write attention for all pictures and heads at once. `@` multiplies the last two
# dimensions.


# %% tags=["slide"]
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
# The network uses it where there are few places: at an eighth and a sixteenth of L's side length.

# %%
seed_everything(cfg.seed)
eyes = models.ResNetColorizer(18, "worlds", frozen=True)
net = flow.FlowColorizer(eyes, width=cfg.width, attend=attention, sampler=euler, steps=cfg.steps)
L, ab = (plane[:4] for plane in pictures.train)
x, t = flow.shrink(ab), torch.rand(4)
print("L", tuple(L.shape), "x", tuple(x.shape), "velocity", tuple(net(x, t, L).shape))
weights = sum(p.numel() for p in net.parameters() if p.requires_grad)
print(f"{weights / 1e6:.2f} million weights to train")

# %% [markdown] tags=["slide"]
# ## 4. Train
#
# `flow.shrink` gives the true colours at half of the side length, divided by 50, to spread about as far as the noise.
#
# A flow may begin at any noise. But over an apple of 100 pixels the mean of independent noise shrinks to a tenth, and x
# would tell the apple's colour at a small t already. So `flow.begin` draws smooth noise, which neighbours share. It
# draws times from the middle of the way most often, where most is decided ([Esser et al.,
# 2024](https://arxiv.org/abs/2403.03206)).


# %% tags=["slide"]
def loss(net, batch):
    L, ab = batch
    return velocity_loss(net, flow.shrink(ab), L, flow.begin)


data = Batches(pictures.train, cfg.batch, seed=cfg.seed)
run = fit(net, loss, data, cfg.train_steps, lr=cfg.lr, schedule="one-cycle", seed=cfg.seed)
studies.learned(run)

# %% [markdown]
# The table shows mean losses of the first and last tenth of the steps. The loss cannot fall to 0, because x and L do
# not determine the velocity of a line while several colours are possible. So we look, and count.

# %% tags=["slide"]
seen = world.L[:8]
samples = net.samples(seen, 4, seed=cfg.seed)
rows = {f"draw {k}": ab for k, ab in enumerate(samples, 1)} | {"true": world.ab[:8]}
show(
    colorings(seen, rows, 1.2),
    alt="The eight pictures of the beginning, in four drawn colourings and in their true colours: most fruit have one "
    "colour, which differs from row to row; cloths and walls change as well.",
)

# %% [markdown] tags=["slide"]
# The rows differ in their noise alone. Here and there a fruit has two colours, or one between two.
#
# ## 5. Are the frequencies true?
#
# Half of the orchard's apples are red, 30% green and 20% yellow. We take the mean colour of each fruit in many draws.

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
# **Exercise 5** (7 minutes). Count the draws of one fruit. Each counts for the possible colour that is nearest to it
# (Euclidean distance), if that is at most `within` units away. Otherwise it counts for "none of them", which comes
# last.


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

# %% tags=["slide"]
drawn = studies.draws(net, world, cfg.draws, cfg.seed)
ways = {"one step": studies.drawn_in(1, net, world, cfg.draws, cfg.seed), "flow": drawn}
often = studies.by_kind(world, ways, count_colours)
names = studies.colour_names(pictures)
reveal("flow.frequencies", studies.how_often_red(often), "See the first panel.")
show(
    figures.frequency_figure(often.loc[cfg.kinds], names),
    alt="A panel for each kind, with three stacked bars: the known shares of its colours, those of one step, mostly "
    "hatched, and those of the flow, which resemble the known ones but have a hatched part.",
)

# %% tags=["slide"]
studies.total_variation(often).round(2)

# %% [markdown]
# In each panel the left bar is the known distribution; hatched draws match no possible colour. One step paints the
# mean, which matches at best one possible colour (yellow, for apples). With all steps, shares come much nearer, but
# most remain too low. The table gives lesson 4's **total variation**, here of painted colours and within 15 units, so
# the numbers do not compare.
#
# The same was recorded with three seeds, in 16 draws. *Classes* and *rebalanced* are lesson 4's networks, with their
# annealed mean, here trained on as many pictures as the flow; *GAN* is lesson 5's, which saw an eighth as many, and had
# no pretrained encoder. *Classes, drawn* takes one random number for each picture; *true draws* are from the known
# distribution.

# %% tags=["slide"]
study = studies.recorded()
print(study.attrs["about"])
columns = {"kinds": "by kind", "objects": "by object", "within": "one colour", "same": "alike"}
show(
    figures.seeds_figure(study, columns),
    alt="Four panels, a row for each model, a dot for each seed. By kind and by object, drawn classes are nearest "
    "to the true draws, then the flows; in one colour, none is near; in the last panel only the flows are.",
)

# %% tags=["slide"]
studies.study_table(study)

# %% [markdown] tags=["slide"]
# Each dot is one training; the first two panels show total variation. *By kind* pools all apples. *By object* asks
# whether each single apple is drawn in all of its colours as often as it should be, which no network with one answer
# can do; by chance, even 16 true draws are 0.12 off. In both, the flow is nearer to the truth than every one-answer
# network, for every seed. *Classes, drawn* are nearer still. Was a flow needed?
#
# ## 6. One colour for each object
#
# True frequencies at each pixel do not make a good colouring: independent draws have them, too. The third panel shows
# the share of an object's pixels within 15 units of *one* of its possible colours. *Classes, drawn* beat the flow, a
# third of whose pixels are off: one random number decides the whole picture. But then all apples of a picture get the
# same colour. The last panel shows how often two fruit of a kind in one picture agree: true draws in less than half of
# the cases, *classes, drawn* in nearly all. They cannot know where an apple ends. The flow was not told either, yet its
# fruit agree about as often as true ones.
#
# Without attention, little is lost here; the U-Net's smallest features may span whole fruit already.
#
# Your flow, beside as many true draws:

# %% tags=["slide"]
studies.beside_true(world, drawn, cfg.seed).round(2)

# %% [markdown] tags=["slide"]
# ## 7. What many draws are good for
#
# If the draws follow the distribution, their *mean* estimates the distribution's mean, L2's best answer. The *best* of
# K draws is what a user gets who may choose.

# %% tags=["slide"]
few = studies.draws(net, studies.first(world, cfg.few), max(cfg.counts), cfg.seed)
studies.of_many(studies.first(world, cfg.few), few, cfg.counts).round(1)

# %% [markdown] tags=["slide"]
# Both columns are medians over the objects, in *ab* units. The mean of more draws comes nearer to the oracle's colour,
# for apples L2's brown. It levels off at the flow's own error. The second column can only fall.
#
# ## 8. Steps and guidance
#
# Each step costs one evaluation of the network. How many are needed?

# %%
studies.over("steps", cfg.many_steps, net, world, count_colours, cfg.some, cfg.seed).round(3)

# %% [markdown]
# Time grows with the steps (guidance asks twice in each), while total variation falls fast, then levels off. `within`
# is section 6's share of pixels, and `rare` the mean share of colours that occur in at most 15%.
#
# **Classifier-free guidance** ([Ho and Salimans, 2022](https://arxiv.org/abs/2207.12598), whose w is ours minus 1)
# makes draws agree better with L. A tenth of the training pictures had no L, so the network also knows the velocity
# $v_0$ of colours in general. The sampler goes further in the direction in which L changes it, by a factor w:
#
# $$v = v_0 + w\,(v_L - v_0).$$
#
# A w above 1 favours colours that are more probable for this L than in general.

# %%
predict(
    "flow.guidance",
    "What does w = 3 do to colours that are rare?",
    ["they become rarer", "nothing", "they become more frequent"],
)

# %% tags=["slide"]
guided = studies.over("guidance", cfg.guidances, net, world, count_colours, cfg.some, cfg.seed)
reveal("flow.guidance", studies.rarer(guided), "See the column rare.")
guided.round(3)

# %% [markdown]
# With w = 2 total variation falls: fewer draws lie between the colours (`within` rises). With w = 3 it rises again:
# some colours gain at the expense of others. So it may fall while rare colours (truly 0.08) are lost and fruit become
# more alike (`same`). With w above 1, draws no longer follow the learned distribution. For one vivid picture, that may
# be welcome. For what is possible, leave w at 1.

# %% [markdown] tags=["extra"]
# ## Extra: a hint without another training
#
# In lesson 6 a network was trained to take hints. A flow can take them without any further training. Where the colour
# is known, we do not ask the network: such a place goes straight to its colour, with the velocity `(known - x) / (1 -
# t)`. All other places see it in x, and can fit in with it. But they begin to choose while there is little to see. So
# we go back after each step, with new noise, and take it again, as [Lugmayr et al.,
# 2022](https://arxiv.org/abs/2201.09865), do to fill holes in pictures.


# %% tags=["extra"]
def with_hint(velocity, x, known, mask, steps, times):
    """Euler's steps, each taken several times; places in the mask (bool) go straight to known."""
    for k in range(steps):
        t = k / steps
        for turn in range(times):
            if turn > 0:
                x = studies.back(x, t + 1 / steps, t)
            v = velocity(x, torch.full((len(x),), t, device=x.device))
            x = x + torch.where(mask, (known - x) / (1 - t), v) / steps
    return x


studies.apples_under_hints(net, world, with_hint, count_colours, cfg.apples, cfg.seed).round(2)

# %% [markdown] tags=["extra"]
# Each row is a hint of 8 x 8 pixels in the middle of an apple, and each column the share of draws in which the mean
# colour of the rest was that colour. With every step taken once, the rest follows in part only, and many apples end
# between two colours. With every step taken four times, it follows better, yellow least: see the diagonal.
#
# ## Extra: photographs
#
# The library's flow was trained in this way on photographs of fruit, groceries and portraits, at 64 x 64 pixels and
# with the encoder of lesson 6. It has not seen these three.

# %% tags=["extra"]
many, rows = models.load_colorizer("flow"), []
for name in ("grace_hopper", "coffee", "astronaut"):
    rgb = photograph(name, 160)
    draws = [x[0] for x in colorize(rgb, many, samples=8)]
    rows.append(dict(enumerate(draws, 1)) | {"true": rgb[0]})
show(
    picture_grid(rows, 1.3),
    alt="A portrait, a cup of coffee and an astronaut, a row each, in eight draws and in their true colours. Hopper's "
    "face is natural in nearly all, the astronaut's often grayish; backdrop, cup and suit change from draw to draw, and "
    "the red saucer is never red.",
)

# %% [markdown] tags=["extra"]
# Faces hardly change, while the backdrop, the cup and the suit do: the flow has seen many faces, and few cups. Draws of
# one column begin at the same noise; the third is greenish in every row. Here the true frequencies are unknown.
#
# ## Extra: where this idea stands
#
# Flow matching is one of a family. **Diffusion** models ([Ho et al., 2020](https://arxiv.org/abs/2006.11239)) add noise
# in many small steps and learn to take it away. **Score** models ([Song et al.,
# 2021](https://arxiv.org/abs/2011.13456)) show that this, too, can be written as a differential equation, with curved
# paths. Straight lines are an attempt to need fewer steps. [Palette](https://arxiv.org/abs/2111.05826) (2021) colours
# photographs by diffusion, drawing all of RGB; [L-CAD](https://arxiv.org/abs/2305.15217) (2023) is guided by a
# sentence. Large models draw not pixels but the features of an autoencoder ([Rombach et al.,
# 2022](https://arxiv.org/abs/2112.10752)), as we draw small colours and enlarge them; their networks are mostly
# **transformers**, stacks of attention layers, each followed by a small dense network for every place. **Mean flows**
# ([Geng et al., 2025](https://arxiv.org/abs/2505.13447)) learn the mean velocity over an interval of *time*, and draw
# in one step. The library's own sampler is **Heun's method**: it asks the network twice in each step, and its error
# falls with the square of the number of steps. Try `net.sampler = flow.heun`.

# %% [markdown] tags=["slide"]
# ## Recap
#
# - Flow matching learns the mean velocity of straight lines from noise to data, by squared error.
# - Points that follow it end up distributed like the data. One Euler step gives the mean; many steps give samples.
# - Attention lets every place ask every other one.
# - Where the distribution is known, one can check how often each colour is drawn, and whether objects differ.
# - The mean of many draws estimates L2's answer. With guidance, draws follow another distribution than the learned one.
#
# **Open questions**
#
# - For photographs the true frequencies are unknown. What could you still test?
# - What if each noise were paired with a near example, not a random one?
#
# **Further reading**
#
# - [Lipman et al., 2024](https://arxiv.org/abs/2412.06264), a guide to flow matching, with code.

# %% tags=["quiz", "extra"]
quiz("07")

# %%
show_records("07_flow", cfg.profile)

# %% [markdown] tags=["written", "extra"]
# ## Written questions
#
# A person reads your answers. Each is worth four points; five or six sentences are enough.
#
# **Question 1.** One network learns *ab* from L by squared error, another learns the velocity from x, t and L by
# squared error. Explain why the first paints apples brown, while draws from the second are red, green or yellow. What
# would the second paint in a single Euler step, and why?

# %% [markdown] tags=["answer", "extra"]
# **A possible answer.** Under squared error both networks learn a mean. The first learns the mean of the colours that
# are possible for L, and this is what it paints: a brown between red, green and yellow. The second learns the mean
# velocity at a point x and a time t. It is only a direction, and it is asked for again after each step. As x comes to
# contain a little of a colour, other colours become less probable, so the mean velocity turns towards this one. Points
# that follow it have the same distribution at every time as those on the straight lines, and at t = 1 that of the data.
# At t = 0, however, x is pure noise and says nothing about the colour. The velocity there points from x to the mean of
# all colours that are possible for L, and a single step goes there: brown.

# %% [markdown] tags=["written", "extra"]
# **Question 2.** An archive draws 100 colourings of a gray photograph of a dress from a flow, with guidance w = 3. In
# 70 of them the dress is red, and in each it has one colour and looks convincing. The archive wants to print "red with
# a probability of 70%". What do these draws show, and what do they not show? What would you measure before anything is
# printed?

# %% [markdown] tags=["answer", "extra"]
# **A possible answer.** The draws show that this sampler makes the dress red in roughly 60% to 80% of all cases, since
# 100 draws leave an error of about nine percentage points. That each dress has one colour and looks convincing says
# nothing about frequencies. With w = 3 the draws do not follow the distribution that the network has learned, so I
# would draw again with w = 1, and with more and more steps until the share no longer changes. Even that share is
# learned from the training photographs, whose dresses may be other than those of the archive. So I would test it on
# held-out photographs like the archive's whose colours are known: of all dresses that are red in about 70% of the
# draws, about 70% should be red. For this one dress the true frequency stays unknown. I would print several draws and
# say that a program made them up.

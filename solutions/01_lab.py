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
# # Lesson 1. Lab colour
#
# A gray photograph has thrown two numbers out of three away at every pixel. This course teaches
# networks to put them back. Before any network, we need to say what "colour" is, in numbers that
# mean something to an eye.
#
# **After this lesson you can**
#
# - turn an sRGB picture into Lab and say what each step is for;
# - explain why a network should predict *ab* from *L*, and why a quarter of the size is enough;
# - decode Lab to RGB without damaging the photograph's own brightness;
# - measure the distance between two colours as an eye would see it.
#
# **It takes** about an hour: five exercises, a minute of computing. **It needs** Python with
# functions and tensors (the self-test below tells), no deep learning.
#
# *How it works:* you write code where you see dots, run it, and run the check below it. Until you do,
# colorkit's own answer stands in, so every later cell runs; figures made that way are stamped
# "reference".

# %% tags=["bootstrap"]
# install colorkit where it is missing

# %% tags=["parameters"]
profile = None  # "ci", "laptop" or "gpu"; None asks $COLORKIT_PROFILE, else "laptop"
photo = None  # the path of a photograph of your own, for instance "~/holiday.jpg"

# %%
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from colorcourse import check, exercise, predict, record, reveal, settings, show_records
from colorcourse.lesson01.figures import channel_mixer, gamut_explorer
from colorkit.color import (
    ciede2000,
    delinearize,
    fit_gamut,
    join_lab,
    lab_to_rgb,
    out_of_gamut,
    rgb_to_lab,
    split_lab,
)
from colorkit.data.pictures import photograph
from colorkit.device import seed_everything
from colorkit.plots import picture_grid, show

cfg = settings("01_lab", profile)
generator = seed_everything(cfg.seed)
print(f"profile {cfg.profile}: photographs of {cfg.size} x {cfg.size} pixels")

# %% [markdown]
# ## Are you ready? A five-minute self-test
#
# Pick an answer to each, then run the next cell. Nothing is counted.

# %%
predict(
    "lab.shapes",
    "x has shape (8, 3, 64, 64). What is the shape of x.mean(dim=(2, 3))?",
    ["(8, 3)", "(64, 64)", "(8, 3, 1, 1)"],
)
predict(
    "lab.broadcast",
    "x has shape (8, 3, 64, 64). Which w multiplies each channel by its own number in x * w?",
    ["w of shape (3,)", "w of shape (3, 1, 1)", "w of shape (8, 3)"],
)
predict(
    "lab.autograd",
    "w = torch.tensor(3.0, requires_grad=True); (w**2).backward(). What is w.grad?",
    ["9", "6", "None"],
)

# %%
x, w = torch.zeros(8, 3, 64, 64), torch.tensor(3.0, requires_grad=True)
(w**2).backward()
scaled = torch.ones_like(x) * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)
print(tuple(x.mean(dim=(2, 3)).shape), scaled.mean(dim=(0, 2, 3)), w.grad)
reveal("lab.shapes", "(8, 3)", "The two dimensions named are averaged away.")
reveal("lab.broadcast", "w of shape (3, 1, 1)", "Shapes are lined up from the right.")
reveal("lab.autograd", "6", "The derivative of w² is 2 w.")

# %% [markdown]
# Two or three right: go on. Fewer: half an hour with PyTorch's
# [tensor tutorial](https://docs.pytorch.org/tutorials/beginner/blitz/tensor_tutorial.html), NumPy's
# page on [broadcasting](https://numpy.org/doc/stable/user/basics.broadcasting.html) and the
# [autograd tutorial](https://docs.pytorch.org/tutorials/beginner/blitz/autograd_tutorial.html) will
# save you several hours later.
#
# ## The photographs
#
# Four come with scikit-image. Set `photo` in the cell of parameters and run again to see your own.
# Every picture in this course is a tensor of shape (N, 3, H, W).

# %%
names = [photo or "astronaut", "chelsea", "coffee", "rocket"]
titles = ["yours" if photo else "astronaut", *names[1:]]
rgb = torch.cat([photograph(name, cfg.size) for name in names])
print(tuple(rgb.shape), rgb.dtype)
show(
    picture_grid([{title: rgb[i] for i, title in enumerate(titles)}]),
    alt="The four photographs: an astronaut in orange, a ginger cat, a cup of coffee, a rocket.",
)

# %% [markdown]
# ## Why a gray photograph is a colour problem
#
# *How many of the 16.7 million colours of your screen look equally light?* Take those whose lightness
# L, a number from 0 for black to 100 for white, rounds to 50. We count them in a random sample.

# %%
sample = torch.randint(0, 256, (1, 3, 1000, cfg.sample // 1000), dtype=torch.uint8)
L_sample = rgb_to_lab(sample)[:, :1]
equally_light = L_sample.round() == 50
record("colours_at_L50", 16.777 * equally_light.float().mean().item(), unit="million colours")
patches = sample[:, :, equally_light[0, 0]][:, :, :64].reshape(1, 3, 4, 16)
show(
    picture_grid([{"64 colours": patches, "their L": rgb_to_lab(patches)[:, :1]}], height=1.2),
    alt="Left 64 patches of very different colours; right the same patches' lightness, all one gray.",
)

# %% [markdown]
# A gray pixel is compatible with a few hundred thousand colours. No formula can choose among them.
# Something must *know* that cats are not green: that knowledge is what a network learns.
#
# ## From bytes to light
#
# A byte in a picture file is not an amount of light. Screens and files spend more of the 256 steps on
# dark tones, where the eye sees small differences. That curve is called *gamma*.

# %%
predict(
    "lab.checkerboard",
    "Seen from afar, a fine checkerboard of black (0) and white (255) looks like a gray. Which byte?",
    ["64", "128", "188", "224"],
)

# %% [markdown]
# ### Exercise 1. From sRGB to linear light (6 minutes)
#
# The sRGB standard (IEC 61966-2-1) says, for a value $v$ in [0, 1]:
#
# $$\text{light}(v) = \begin{cases} v / 12.92 & v \le 0.04045 \\
# \left(\frac{v + 0.055}{1.055}\right)^{2.4} & \text{otherwise} \end{cases}$$
#
# Write it for a whole tensor. `torch.where(condition, x, y)` chooses value by value.


# %%
@exercise("lab.linearize")
def linearize(srgb):
    """Undo the sRGB gamma: (N, 3, H, W) in [0, 1] to linear light, same shape."""
    ### BEGIN SOLUTION
    bright = ((srgb + 0.055) / 1.055) ** 2.4
    return torch.where(srgb <= 0.04045, srgb / 12.92, bright)
    ### END SOLUTION


# %%
check("lab.linearize")

# %% [markdown]
# Half of the checkerboard's light is white's, so it sends out 0.5 of white's light. Which byte sends
# out as much?

# %%
ramp = torch.arange(256.0).div(255).view(1, 1, 1, 256).expand(1, 3, 1, 256)
light = linearize(ramp)[0, 0, 0]
byte = (light - 0.5).abs().argmin().item()
nearest = min(["64", "128", "188", "224"], key=lambda option: abs(int(option) - byte))
reveal("lab.checkerboard", nearest, f"Byte 128 sends out only {light[128]:.2f} of white's light.")

board = (torch.arange(64).view(-1, 1) + torch.arange(64)).remainder(2).float() * 255
grays = {str(v): torch.full((3, 64, 64), float(v)) for v in (128, byte)}
fig = picture_grid(
    [{"checkerboard": board.expand(3, 64, 64) / 255} | {k: g / 255 for k, g in grays.items()}]
)
show(fig, alt="A fine checkerboard beside the grays 128 and 188: from afar it looks like 188.")

# %% [markdown]
# Step back from the screen, or squint: the board melts into the *right* gray. (If your browser scales
# the picture, it may average bytes, and then the board looks like 128: the very mistake that this
# section is about.)
#
# ## From light to L, a and b
#
# Three steps lead from light to Lab (CIE 1976; formulas as in Schanda, *Colorimetry*, 2007):
#
# 1. a matrix turns R, G, B of the screen into X, Y, Z of the eye; Y is the amount of light;
# 2. X, Y, Z are divided by those of white, so that white is (1, 1, 1), whatever the lamp;
# 3. a cube root, because the eye answers to light about like that:
#
# $$L = 116\, f(Y) - 16 \qquad a = 500\,(f(X) - f(Y)) \qquad b = 200\,(f(Y) - f(Z))$$
#
# So **L** is lightness, **a** runs from green to red, **b** from blue to yellow, and a gray pixel has
# a = b = 0.
#
# ### Exercise 2. The curve f (6 minutes)
#
# Near black a cube root is infinitely steep. So f is a straight line there:
#
# $$f(t) = \begin{cases} \sqrt[3]{t} & t > (6/29)^3 \\
# \frac{t}{3\,(6/29)^2} + \frac{4}{29} & \text{otherwise} \end{cases}$$


# %%
@exercise("lab.f")
def lab_f(t):
    """The curve of Lab, value by value: a tensor of any shape, values in [0, 1], same shape."""
    ### BEGIN SOLUTION
    line = t / (3 * (6 / 29) ** 2) + 4 / 29
    return torch.where(t > (6 / 29) ** 3, t ** (1 / 3), line)
    ### END SOLUTION


# %%
check("lab.f")

# %%
t = torch.linspace(0, 0.05, 200)
fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
ax.plot(t, t ** (1 / 3), "--", color="gray", label="cube root")
ax.plot(t, lab_f(t), label="f")
ax.axvline((6 / 29) ** 3, color="black", lw=0.6)
ax.set(xlabel="t (light, white is 1)", ylabel="f(t)", title="Where the line meets the root")
ax.legend()
show(fig, alt="f follows the cube root above t = 0.009 and is a straight line from 0.14 below it.")

# %% [markdown]
# The two branches must meet without a step. If yours has one, the figure shows it at the black line.
#
# ### Exercise 3. The whole way (10 minutes)
#
# Put it together: linear light, the matrix, the white point, f, and L, a, b. `torch.einsum` can apply
# a matrix to the channels: `torch.einsum("ij,njhw->nihw", M, x)`.

# %%
RGB_TO_XYZ = torch.tensor(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
WHITE = torch.tensor([0.95047, 1.0, 1.08883]).view(1, 3, 1, 1)  # daylight, D65
print("X, Y, Z of white:", (RGB_TO_XYZ @ torch.ones(3)).tolist())


# %%
@exercise("lab.rgb_to_lab")
def srgb_to_lab(srgb):
    """sRGB (N, 3, H, W) in [0, 1] to Lab of the same shape: channels L, a, b."""
    ### BEGIN SOLUTION
    xyz = torch.einsum("ij,njhw->nihw", RGB_TO_XYZ, linearize(srgb))
    fx, fy, fz = lab_f(xyz / WHITE).split(1, dim=1)
    return torch.cat([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], dim=1)
    ### END SOLUTION


# %%
check("lab.rgb_to_lab")

# %%
mine = srgb_to_lab(rgb / 255)
lab = rgb_to_lab(rgb)  # colorkit's own: used from here on
print(f"largest difference between yours and colorkit's: {(mine - lab).abs().max():.4f}")
L, ab = split_lab(mine)
gray = torch.full_like(L, 60)
rows = [
    {
        "photograph": rgb[i],
        "L": L[i : i + 1],
        "a and b, at L = 60": lab_to_rgb(join_lab(gray, fit_gamut(gray, ab))[i : i + 1]),
    }
    for i in (0, 2)
]
show(
    picture_grid(rows),
    alt="Two photographs, their L, which holds all detail, and their ab alone, which looks blurred.",
)

# %% [markdown]
# Look at the middle column. L *is* the black-and-white photograph, and nearly all detail is in it.
# That is why we predict ab from L and not RGB from gray: L is known exactly, so two numbers a pixel are
# left to find instead of three, and no error in them can blur an edge of the photograph.
#
# ## What "perceptually even" means, measured
#
# Lab was made so that equal distances look equally different. Is that so? We take random colours and
# go a step of fixed length in a random direction, once in sRGB, once in Lab. CIEDE2000 (Sharma, Wu and
# Dalal 2005), fitted to what people see, tells how long each step looks. Evenness would mean: always
# the same.

# %%
n = cfg.steps_sampled
start = 0.1 + 0.8 * torch.rand(1, 3, 1, n)
way = F.normalize(torch.randn(1, 3, 1, n), dim=1)
lab_start = rgb_to_lab(start)
seen = {
    "sRGB": ciede2000(lab_start, rgb_to_lab((start + 0.02 * way).clamp(0, 1))).flatten(),
    "Lab": ciede2000(lab_start, lab_start + 2 * way).flatten(),
}
for space, steps in seen.items():
    record(f"unevenness_{space.lower()}", (steps.std() / steps.mean()).item(), unit="std / mean")
fig, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
for space, steps in seen.items():
    ax.hist(steps / steps.mean(), bins=60, range=(0, 3), histtype="step", lw=2, label=space)
ax.set(xlabel="seen length of a step (mean = 1)", ylabel="steps", title="How even is each space?")
ax.legend()
show(
    fig,
    alt="Histograms of seen step lengths: those of Lab gather more closely around 1 than sRGB's.",
)

# %% [markdown]
# Lab is more even than sRGB, but not quite even. Vivid colours look closer together than Lab says;
# that is why we *train* on distances in ab, which are simple, and *judge* by CIEDE2000 where it
# matters.
#
# ## What a screen can show
#
# Move L. Only a part of the ab plane can be shown at each lightness: that part is called the *gamut*.
# Find the lightness at which the most vivid blue lives, then the most vivid yellow.

# %%
gamut_explorer()

# %% [markdown]
# Now take colour away, exaggerate it, turn it, or dress one photograph in another's colours. The middle
# picture never changes. What does that tell you about where your impression of a "good photograph"
# comes from?

# %%
channel_mixer(rgb[:1], rgb[2:3])

# %% [markdown]
# ## What clipping does, and how to avoid it
#
# A network may predict an ab that no screen can show. The usual remedy is to clip RGB into [0, 1]. We
# make colours twice as vivid, clip, convert back, and look at L.

# %%
L, ab = split_lab(lab)
vivid = 2 * ab
outside = out_of_gamut(L, vivid)
clipped = lab_to_rgb(join_lab(L, vivid))
moved = (rgb_to_lab(clipped)[:, :1] - L).abs()
print(f"{100 * outside.float().mean():.0f}% of the pixels are outside sRGB")
record("clipping_moves_L", moved[outside].mean().item(), unit="L, mean among pixels outside")

# %% [markdown]
# ### Exercise 4. Decode without touching L (12 minutes)
#
# Shrink a and b *by the same factor*, pixel by pixel, until the colour just fits: lightness and hue
# stay, only the chroma gives way. `out_of_gamut(L, ab)` tells where a colour does not fit, as a mask
# (N, 1, H, W). One good way: keep, for each pixel, a factor that fits and one that does not, and halve
# the distance between them a dozen times. Colours that fit must stay as they are.
#
# `fit_gamut` is colorkit's own answer; write yours without it.


# %%
@exercise("lab.decode")
def decode(L, ab):
    """RGB (N, 3, H, W) in [0, 1] whose lightness is L (N, 1, H, W); ab (N, 2, H, W) may shrink."""
    ### BEGIN SOLUTION
    outside = out_of_gamut(L, ab)
    fits, too_much = torch.zeros_like(L), torch.ones_like(L)
    for _ in range(12):
        middle = (fits + too_much) / 2
        bad = out_of_gamut(L, middle * ab)
        fits, too_much = torch.where(bad, fits, middle), torch.where(bad, middle, too_much)
    factor = torch.where(outside, fits, torch.ones_like(L))
    return lab_to_rgb(join_lab(L, factor * ab))
    ### END SOLUTION


# %%
check("lab.decode")

# %%
safe = decode(L, vivid)
show(
    picture_grid(
        [
            {"photograph": rgb[i], "twice as vivid, clipped": clipped[i], "gamut-safe": safe[i]}
            for i in (0, 2)
        ]
    ),
    alt="Astronaut and coffee: clipping flattens the orange suit and the cup; the safe one keeps shape.",
)

# %% [markdown]
# Look at the folds of the suit. Clipping has ironed them flat: it moves L by more than a unit on
# average, and several different lightnesses end in the same corner of the gamut.
#
# ## The eye resolves colour coarsely
#
# One fact decides how all later networks are built. We make ab coarse: average over blocks, then
# enlarge smoothly. As a control, we do the same to L.

# %%
predict(
    "lab.coarse",
    "Averaged over blocks of 4 x 4 pixels: what hurts more, as CIEDE2000 sees it?",
    ["ab made coarse", "both about the same", "L made coarse"],
)

# %% [markdown]
# ### Exercise 5. Coarse colour, measured (8 minutes)
#
# `F.avg_pool2d(x, factor)` averages over blocks; `F.interpolate(x, size, mode="bilinear")` enlarges.


# %%
@exercise("lab.coarse")
def coarse_colour(lab, factor):
    """Lab (N, 3, H, W) with ab averaged over factor x factor blocks and enlarged bilinearly again.

    Returns that Lab tensor, with L as it was, and one number: the mean of ciede2000 between the two.
    """
    ### BEGIN SOLUTION
    L, ab = split_lab(lab)
    small = F.avg_pool2d(ab, factor)
    coarse = join_lab(L, F.interpolate(small, L.shape[-2:], mode="bilinear"))
    return coarse, ciede2000(lab, coarse).mean()
    ### END SOLUTION


# %%
check("lab.coarse")

# %%
factors = (2, 4, 8, 16)


def coarse_lightness(lab, factor):
    """The control: L made coarse in the same way, ab kept."""
    L, ab = split_lab(lab)
    blurred = F.interpolate(F.avg_pool2d(L, factor), L.shape[-2:], mode="bilinear")
    return join_lab(blurred, ab), ciede2000(lab, join_lab(blurred, ab)).mean()


table = {k: (float(coarse_colour(lab, k)[1]), float(coarse_lightness(lab, k)[1])) for k in factors}
print("factor   ab coarse    L coarse   (mean CIEDE2000)")
for k, (of_ab, of_L) in table.items():
    print(f"{k:6d} {of_ab:11.2f} {of_L:11.2f}")
of_ab, of_L = table[4]
worse = "L made coarse" if of_L > 1.2 * of_ab else "both about the same"
reveal("lab.coarse", worse, f"Mean CIEDE2000 is {of_ab:.2f} for ab and {of_L:.2f} for L.")
record("ciede_ab_coarse_4", of_ab, unit="CIEDE2000")

# %%
rows = [
    {f"ab / {k}": lab_to_rgb(coarse_colour(lab[1:2], k)[0]) for k in factors},
    {f"L / {k}": lab_to_rgb(coarse_lightness(lab[1:2], k)[0]) for k in factors},
]
show(
    picture_grid(rows),
    alt="The cat with coarser and coarser ab, its edges intact, above the cat with L soon blurred.",
)

# %% [markdown]
# With a quarter of the size in each direction, ab has a *sixteenth* of the numbers, and the picture
# looks much the same; L made as coarse is blurred. Your eye probably sees a larger difference than
# the two numbers say: CIEDE2000 compares pixel by pixel, and knows nothing of edges.
#
# So networks later in this course predict ab at a quarter of the size: a training step gets much
# faster, and the eye pays little. But *little* is not *nothing*: lesson 2 measures what the difference
# costs in squared error.
#
# ## A gray photograph's L is not its gray byte
#
# An old photograph comes as one byte a pixel. It is tempting to use byte / 255 · 100 as L. A gray
# photograph is sRGB as well, so it needs the same conversion.

# %%
ramp_L = rgb_to_lab(ramp)[0, 0, 0]
error = 100 * torch.arange(256.0) / 255 - ramp_L
fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
ax.plot(error)
ax.axhline(0, color="gray", lw=0.6)
ax.set(xlabel="gray byte", ylabel="error in L", title="Taking the byte for L")
show(
    fig,
    alt="The error of using byte / 255 x 100 as L: too light in the darkest tones, too dark elsewhere.",
)

# %% [markdown]
# You might not notice such an error, but a network trained on true L and fed with bytes sees a
# slightly wrong photograph at nearly every pixel. It is among the commonest mistakes in public code.

# %% [markdown] tags=["extra"]
# ## Extra: three more exercises
#
# None of this is needed later; all of it makes Lab your own.
#
# ### Normalising for a network (3 minutes)
#
# Networks like inputs around 0 and of the order of 1. Map L from [0, 100] to [-1, 1], and divide ab by
# 110. Where does gray end up?

# %%
print(f"L: mean {L.mean():.1f}, std {L.std():.1f}. ab: mean {ab.mean():.1f}, std {ab.std():.1f}")


@exercise("lab.normalize")
def normalize(L, ab):
    """L from [0, 100] to [-1, 1], and ab divided by 110: a pair of tensors, shapes as given."""
    ### BEGIN SOLUTION
    return L / 50 - 1, ab / 110
    ### END SOLUTION


# %%
check("lab.normalize")

# %% [markdown]
# In colorkit this scaling lives *inside* each model: a model takes raw L and gives raw ab. Most bugs
# that we found in public colorization code are a scale applied twice, or not at all.
#
# ### Delta E of 1976 (4 minutes)
#
# The plain Euclidean distance in Lab, pixel by pixel, with the channel dimension kept.


# %%
@exercise("lab.delta_e")
def delta_e(lab1, lab2):
    """The Euclidean distance of two Lab pictures (N, 3, H, W), as (N, 1, H, W)."""
    ### BEGIN SOLUTION
    return (lab1 - lab2).square().sum(dim=1, keepdim=True).sqrt()
    ### END SOLUTION


# %%
check("lab.delta_e")

# %% [markdown]
# This root has no derivative where two colours are equal: its gradient is "not a number" there. Keep
# that in mind for the day when you use it as a loss.
#
# ### The way back (12 minutes)
#
# From Lab to sRGB, every step of exercise 3 undone in turn. `delinearize` undoes your `linearize`, and
# `torch.linalg.inv` inverts a matrix. Do not clip.


# %%
@exercise("lab.inverse")
def lab_to_srgb(lab):
    """Lab (N, 3, H, W) to sRGB of the same shape, not clipped."""
    ### BEGIN SOLUTION
    L, a, b = lab.split(1, dim=1)
    fy = (L + 16) / 116
    f = torch.cat([fy + a / 500, fy, fy - b / 200], dim=1)
    xyz = torch.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * WHITE
    light = torch.einsum("ij,njhw->nihw", torch.linalg.inv(RGB_TO_XYZ), xyz)
    return delinearize(light)
    ### END SOLUTION


# %%
check("lab.inverse")

# %% [markdown]
# ## What you have seen
#
# - A file holds bytes; light is linear; Lab is what the eye makes of it.
# - L is the black-and-white photograph. ab is the colour, and it may be coarse.
# - Outside the gamut only the chroma may give way, never L.
#
# ## Questions without answers
#
# - A photographer says that a gray rendering of a red rose should be *darker* than L says, as red feels
#   heavy. What would change in this course if L were replaced by a rendering of your own choice?
# - CIEDE2000 was fitted to patches of uniform colour, seen side by side. What does it miss in a
#   photograph?
# - If ab at a quarter of the size is enough for the eye, is it enough for a machine that must tell
#   ripe from unripe fruit?
#
# **Next:** a network that learns a single photograph by heart, and what it takes to make it do so.
#
# The numbers that this notebook measured, beside the range in which they are expected:

# %%
show_records("01_lab", cfg.profile)

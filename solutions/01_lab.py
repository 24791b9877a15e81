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
# A colour photograph holds three numbers per pixel, and a gray photograph only one. This course teaches
# networks to restore the other two. First we need numbers for colour that agree with what an eye sees.
# CIELAB, written L\*a\*b\* and here **Lab**, provides them: one channel for lightness, *L*, and two for
# colour, *a* and *b*.
#
# **After this lesson you can**
#
# - convert an sRGB picture to Lab and explain what each step is for;
# - explain why a network should predict *ab* from *L*, and why a quarter of the side length
#   is a good compromise;
# - convert Lab back to RGB without changing the lightness of the photograph;
# - measure how different two colours look.

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
from colorcourse.lesson01 import figures
from colorkit.color import ciede2000, join_lab, lab_to_rgb, out_of_gamut, rgb_to_lab, split_lab
from colorkit.data.pictures import photograph
from colorkit.device import seed_everything
from colorkit.plots import picture_grid, show

# %%
cfg = settings("01_lab", profile)
seed_everything(cfg.seed)
names = [photo or "astronaut", "chelsea", "coffee", "rocket"]  # these come with scikit-image
rgb = torch.cat([photograph(name, cfg.size) for name in names])  # uint8, (4, 3, H, W)
lab = rgb_to_lab(rgb)
fig = figures.taken_apart(rgb[:1], lab[:1])
show(
    fig, alt="A photograph; its L, black and white; its a, pink and gray; its b, ochre; all joined."
)

# %% [markdown]
# This is a colour photograph taken apart into L, a and b, and joined again. *a* runs from green to red
# and *b* from blue to yellow; each is drawn at L = 65, with the other at 0. L shows most of the detail
# that you *see*. *a* and *b* have edges too, but your eye hardly misses them, as we shall test. At the
# end, your own code does all of this.
#
# The core takes about 85 minutes: an hour for five exercises, the rest for reading and predictions. You
# need Python functions and PyTorch tensors, but no deep learning.
#
# ## Are you ready?
#
# Choose your answers, then run the next cell.

# %%
predict(
    "lab.shapes",
    "x has shape (8, 3, 64, 64). What is the shape of x.mean(dim=(2, 3))?",
    ["(8, 3)", "(64, 64)", "(8, 3, 1, 1)"],
)
predict(
    "lab.broadcast",
    "x has shape (8, 3, 64, 64), and w has (3, 1, 1). What is the shape of x * w?",
    ["(8, 3, 1, 1)", "(8, 3, 64, 64)", "an error"],
)
predict(
    "lab.einsum",
    "M has shape (2, 3). What is the shape of torch.einsum('ij,njhw->nihw', M, x)?",
    ["(8, 3, 64, 64)", "(8, 2, 64, 64)", "(2, 64, 64)"],
)

# %%
x, w, M = torch.zeros(8, 3, 64, 64), torch.zeros(3, 1, 1), torch.zeros(2, 3)
applied = torch.einsum("ij,njhw->nihw", M, x)
reveal("lab.shapes", str(tuple(x.mean(dim=(2, 3)).shape)), "Named dimensions are averaged.")
reveal("lab.broadcast", str(tuple((x * w).shape)), "Each channel gets its own number of w.")
reveal("lab.einsum", str(tuple(applied.shape)), "At each pixel, M turns 3 numbers into 2.")

# %% [markdown]
# If you missed one, read about it first: PyTorch on
# [tensors](https://docs.pytorch.org/tutorials/beginner/blitz/tensor_tutorial.html), NumPy on
# [broadcasting](https://numpy.org/doc/stable/user/basics.broadcasting.html), PyTorch on
# [einsum](https://docs.pytorch.org/docs/stable/generated/torch.einsum.html).
#
# ## What a gray pixel does not tell you
#
# How many of the 16.7 million colours of a screen share one lightness? **Lightness**, L, goes from 0
# for black to 100 for white. We draw colours at random and count those whose L rounds to 50.

# %%
sample = torch.randint(0, 256, (1, 3, 1000, cfg.sample // 1000), dtype=torch.uint8)
equally_light = rgb_to_lab(sample)[:, :1].round() == 50
patches = sample[:, :, equally_light[0, 0]][:, :, :64].reshape(1, 3, 4, 16)
show(
    picture_grid([{"64 colours": patches, "their L": rgb_to_lab(patches)[:, :1]}], height=1.2),
    alt="Left 64 patches: reds, greens, blues, purples; right the lightness of each, all one gray.",
)
record("colours_at_L50", 16.777 * equally_light.float().mean().item(), unit="million colours")

# %% [markdown]
# On the left are 64 of these colours, on the right their lightness: one gray for all. About 300,000
# colours share L = 50 to the nearest unit. A gray byte fixes L more finely, to about ±0.2, and still
# leaves some 100,000. No formula can choose among them. A network can, as far as it recognises what the
# picture shows: grass is seldom red.
#
# ## From bytes to light
#
# A byte in a picture file is not proportional to an amount of light. The standard **sRGB**
# ([IEC 61966-2-1](https://webstore.iec.ch/en/publication/6169)) spends more of the 256 values on dark
# tones, where the eye distinguishes small differences. The curve from light to stored value is called
# **gamma**; undoing it gives **linear light**.

# %%
predict(
    "lab.checkerboard",
    "Seen from afar, a fine checkerboard of black (0) and white (255) looks like a gray. Which byte value does it match?",
    ["64", "128", "188", "224"],
)

# %% [markdown]
# **How exercises work.** You write code where you see dots, run the cell, and run the check below it.
# Until then colorkit's own answer stands in, and figures are stamped "reference". Pictures are tensors of
# shape (N, 3, H, W). Return torch tensors in float32, and do not change the arguments.
#
# ### Exercise 1. From sRGB to linear light (8 minutes)
#
# For a stored value $v$ in [0, 1] the standard defines
#
# $$\text{light}(v) = \begin{cases} v / 12.92 & v \le 0.04045 \\
# \left(\frac{v + 0.055}{1.055}\right)^{2.4} & \text{otherwise.} \end{cases}$$
#
# `torch.where(condition, x, y)` takes x where the condition is true, and y elsewhere.


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

# %%
ramp = torch.arange(256.0).div(255).expand(1, 3, 1, 256)  # every gray of a screen
light = linearize(ramp)[0, 0, 0]
byte = (light - 0.5).abs().argmin().item()
nearest = min(["64", "128", "188", "224"], key=lambda option: abs(int(option) - byte))
reveal("lab.checkerboard", nearest, f"Byte 128 sends out only {light[128]:.2f} of white's light.")
board = (torch.arange(110).view(-1, 1) + torch.arange(110)).remainder(2).float()
gray = {v: torch.full((3, 110, 110), v / 255) for v in (128, byte)}
areas = {"byte 128": gray[128], "checkerboard": board.expand(3, -1, -1), f"byte {byte}": gray[byte]}
fig = figures.side_by_side(areas)
show(fig, alt=f"A fine checkerboard of black and white, between the grays of bytes 128 and {byte}.")
for name, area in areas.items():
    print(f"light of {name}, white being 1: {linearize(area[None]).mean():.2f}")

# %% [markdown]
# Half of the squares are white, so the board sends out half of the light of a white area, as the printed
# numbers confirm. Step back from the screen, or squint: the board melts into the gray on its right, not
# into the one on its left. (If your browser scales the figure, trust the numbers.)
#
# ## From light to L, a and b
#
# Lab was defined by the international commission on illumination, CIE, in 1976
# ([ISO/CIE 11664-4](https://www.iso.org/standard/74166.html)). From linear light it takes three steps:
#
# 1. A matrix turns R, G and B into **XYZ**, coordinates of light as a standard observer sees it. It
#    follows from the colours of the three lamps in an sRGB screen. Y is the amount of light, in which
#    green counts most, as in the eye.
# 2. X, Y and Z are divided by those of the **white point**, here the daylight D65, so that white
#    becomes (1, 1, 1).
# 3. A curve *f*, mostly a cube root, is applied, because lightness grows more slowly than light.
#
# $$L = 116\, f(Y) - 16 \qquad a = 500\,(f(X) - f(Y)) \qquad b = 200\,(f(Y) - f(Z))$$
#
# 116 and 16 put white at L = 100 and black at 0. The differences compare responses as the nerves of the
# eye do, red with green and blue with yellow; 500 and 200 bring them to similar scales. Gray has X = Y = Z
# after step 2, so a = b = 0. The distance from gray, $\sqrt{a^2 + b^2}$, is the **chroma** of a colour,
# and the angle of (*a*, *b*) is its **hue**.
#
# ### Exercise 2. The curve f (6 minutes)
#
# A cube root is infinitely steep at 0. Near black, f is therefore a straight line:
#
# $$f(t) = \begin{cases} \sqrt[3]{t} & t > (6/29)^3 \\
# \frac{t}{3\,(6/29)^2} + \frac{4}{29} & \text{otherwise.} \end{cases}$$


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
fig, ax = plt.subplots(figsize=(7.2, 2.8), layout="constrained")
ax.plot(t, t ** (1 / 3), "--", color="gray", label="cube root")
ax.plot(t, lab_f(t), label="f")
ax.axvline((6 / 29) ** 3, color="black", lw=0.8, label="(6/29)³")
ax.set(xlabel="t (white is 1)", ylabel="f(t)", title="Near black, f is a straight line")
ax.legend()
show(fig, alt="f follows the cube root above t = 0.009; below, it is a line that starts at 0.14.")

# %% [markdown]
# The two pieces meet at the black line, with the same value and slope. A step or kink means that one is wrong.
#
# ### Exercise 3. From sRGB to Lab (12 minutes)
#
# Assemble the conversion. `torch.einsum("ij,njhw->nihw", M, x)` applies a matrix to the channels.

# %%
RGB_TO_XYZ = torch.tensor(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
WHITE = torch.tensor([0.95047, 1.0, 1.08883]).view(1, 3, 1, 1)  # daylight, D65
print(
    "Each row sums to the white point:",
    [round(x, 4) for x in (RGB_TO_XYZ @ torch.ones(3)).tolist()],
)


# %%
@exercise("lab.rgb_to_lab")
def srgb_to_lab(srgb):
    """sRGB (N, 3, H, W) in [0, 1] to Lab of the same shape: channels L, a, b."""
    ### BEGIN SOLUTION
    x, y, z = lab_f(torch.einsum("ij,njhw->nihw", RGB_TO_XYZ, linearize(srgb)) / WHITE).split(1, 1)
    return torch.cat([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)
    ### END SOLUTION


# %%
check("lab.rgb_to_lab")

# %%
mine = srgb_to_lab(rgb / 255)
print(f"largest difference between your Lab and colorkit's: {(mine - lab).abs().max():.4f}")
fig = figures.taken_apart(rgb[1:3], mine[1:3])
show(fig, alt="A cat and a red cup, each with L, a, b and all joined; L is sharp, a and b softer.")

# %% [markdown]
# Compare the second column with the third and fourth: L is a black-and-white photograph, with most of
# the detail that we see. That is why networks in this course predict *ab* from *L*, and not RGB from
# gray. L is kept as given, so only two numbers per pixel are left to find. As long as L is kept when we
# convert back (exercise 4), no error in them can blur the photograph.
#
# ## Is Lab perceptually uniform?
#
# Lab was designed to be **perceptually uniform**: equal distances should look equally different. To test
# that, we go from random RGB colours a step of 0.02 in RGB or of 2 in Lab in a random direction, and
# measure how long it looks. The ruler is **CIEDE2000**, a correction of distances in Lab that was fitted
# to the judgements of observers ([Luo, Cui and Rigg 2001](https://doi.org/10.1002/col.1049)); being built
# on Lab, it judges Lab mildly. By convention, 1 is about the smallest difference visible side by side.
# (`tests/test_color.py` compares colorkit's version with the 34 pairs of
# [Sharma, Wu and Dalal 2005](https://doi.org/10.1002/col.20070).)

# %%
chroma, seen = figures.seen_steps(cfg.steps_sampled)
fig = figures.step_histogram(seen)
show(
    fig, alt="Two histograms around a line at 1. Lab's is narrow, sRGB's is wide with a long tail."
)

# %% [markdown]
# In a uniform space all steps would lie on the black line. Lab's gather around it, while those of sRGB
# scatter nearly twice as much (printed are standard deviations over means). So Lab is more uniform than
# sRGB, but not uniform. We *train* on distances in ab, which are simple, and *judge* by CIEDE2000.

# %% [markdown] tags=["extra"]
# ### Extra: where is Lab not uniform?
#
# Near gray, a step of 2 looks 1.9 long on average, but direction matters: 2.8 along *a*, 1.9 along *b*,
# and only 1.2 along L from a light gray. Among vivid colours it looks little more than half as long as
# it is. The next cell sorts the steps by the chroma of their start, and then goes along single axes.

# %%
for low, high in ((0, 10), (10, 50), (50, 150)):
    lengths = seen["Lab"][(chroma >= low) & (chroma < high)]
    print(f"chroma {low:2} to {high:3}: a Lab step of 2 looks {lengths.mean():.2f} long")
for L0, axis in ((50, 1), (50, 2), (90, 0)):
    gray = torch.tensor([L0, 0, 0]).view(1, 3, 1, 1).float()
    length = ciede2000(gray, gray + 2 * torch.eye(3)[axis].view(1, 3, 1, 1)).item()
    record(f"step_along_{'Lab'[axis]}", length, unit=f"CIEDE2000, from gray of L = {L0}")
record("step_near_gray", seen["Lab"][chroma < 10].mean(), unit="CIEDE2000")
record("step_vivid", seen["Lab"][chroma >= 50].mean(), unit="CIEDE2000")

# %% [markdown]
# ## What a screen can show
#
# The set of colours that a device can show is its **gamut**. The figure below shows which part of the
# ab plane is in the gamut of sRGB at each L. Guess first, then move the slider of L and look for both.

# %%
predict(
    "lab.vivid",
    "At which L is the most vivid blue of a screen, and at which the most vivid yellow?",
    ["blue dark, yellow light", "blue light, yellow dark", "both in the middle"],
)
figures.gamut_explorer()

# %%
# The two colours are the bytes (0, 0, 255) and (255, 255, 0).
corners = torch.tensor([[0, 0, 255], [255, 255, 0]], dtype=torch.uint8).T.reshape(1, 3, 1, 2)
blue, yellow = rgb_to_lab(corners)[0, :, 0].T.tolist()
why = f"L is {blue[0]:.0f} for blue (b = {blue[2]:.0f}), {yellow[0]:.0f} for yellow (b = {yellow[2]:.0f})."
answer = {(True, False): "blue dark, yellow light", (False, True): "blue light, yellow dark"}
reveal("lab.vivid", answer.get((blue[0] < 40, yellow[0] < 40), "both in the middle"), why)
fig, axes = plt.subplots(1, 3, figsize=(9.3, 3.2), layout="constrained")
for ax, level in zip(axes, (blue[0], 60, yellow[0]), strict=True):
    figures.draw_plane(ax, level)
show(
    fig,
    alt="What sRGB can show on the ab plane at three values of L: at that of blue, one corner reaches "
    "far into blue; at 60 it is a broad patch around gray; at that of yellow, a thin far sliver.",
)

# %% [markdown]
# Blue can be very vivid when it is dark, and yellow only when it is light. So the same *ab* may fit at
# one L and not at another.

# %% [markdown] tags=["extra"]
# ### Extra: how wrong may colours be?
#
# Scale *a* and *b*, turn the hue, or take the colours of another photograph. L never changes. The hue
# starts turned by 40°. Find the smallest turn in each direction at which the skin looks wrong to you, and
# compare it with what your neighbours found.

# %%
figures.channel_mixer(rgb[:1], rgb[2:3])

# %% [markdown]
# ## What clipping does, and how to avoid it
#
# A network may predict an *ab* outside the gamut. The usual remedy is **clipping**: RGB values below 0
# become 0, and those above 1 become 1. To make its effect visible we exaggerate: we make the colours
# twice as vivid, clip, and look at L.

# %%
L, ab = split_lab(lab)
vivid = 2 * ab
outside = out_of_gamut(L, vivid)
clipped = lab_to_rgb(join_lab(L, vivid))
change = rgb_to_lab(clipped)[:, :1] - L
moved = change.abs()[outside]
far = moved.quantile(0.95)
print(f"outside sRGB: {100 * outside.float().mean():.0f}% of the pixels. L moves there by")
print(f"{moved.mean():.1f} on average, {far:.1f} at the 95th percentile, at most {moved.max():.1f}")
record("clipping_moves_L", moved.mean(), unit="L, mean among pixels outside")
record("clipping_moves_L_far", far, unit="L, 95th percentile of the same")

# %% [markdown]
# Clipping has moved the lightness of these pixels by more than two units on average, and of one in
# twenty by more than nine, so the photograph itself is damaged. The alternative is to give up chroma
# only; the [CSS standard](https://www.w3.org/TR/css-color-4/#gamut-mapping) does nearly that, in another
# space.
#
# ### Exercise 4. Decode without changing L (22 minutes)
#
# Multiply a and b *by the same factor*, pixel by pixel, so that the colour just fits. L and the hue angle
# then stay, and the picture keeps as much chroma as the gamut allows. (A vivid blue may look more purple,
# a known defect of Lab.) `out_of_gamut(L, ab)` gives a mask (N, 1, H, W) of the colours that do not fit.
# **Bisection** finds the factors: keep for each pixel one that fits (0) and one that does not (1), try
# the middle and let it replace one of them, twelve times. Colours that fit get the factor 1.


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
columns = {"photograph": rgb, "vivid, clipped": clipped, "vivid, decoded": safe}
columns["clipping moves L by (white: 10)"] = 10 * change.abs()
pure_red = (clipped == torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)).all(dim=1, keepdim=True)
record("astronaut_pure_red", pure_red[0][outside[0]].float().mean(), unit="of its pixels outside")
record("coffee_lighter", (change > 0)[2][outside[2]].float().mean(), unit="of its pixels outside")
show(
    picture_grid([{title: x[i] for title, x in columns.items()} for i in (0, 2)], height=2.3),
    alt="Astronaut and coffee. Clipped, the folds of the orange suit vanish in red and the saucer is "
    "glaring; decoded, both keep their tones. L moves most on the saucer and the stripes of the flag.",
)

# %% [markdown]
# Compare the second column with the third. A fifth of the astronaut's pixels outside the gamut, mostly on
# the suit, end at one pure red, so folds vanish. The coffee becomes lighter in nearly nine of ten such
# pixels, because negative green and blue were raised to 0. The last column shows where L moved.
#
# ## The eye resolves colour coarsely
#
# How precisely must colour be located? We average *ab* over blocks of pixels, then enlarge it smoothly.
# As a control, we do the same to L.

# %%
predict(
    "lab.coarse",
    "Averaged over blocks of 4 x 4 pixels: which costs more, measured by CIEDE2000?",
    ["ab made coarse", "both about the same", "L made coarse"],
)


# %%
def coarse(x, factor):
    """Average (N, C, H, W) over factor x factor blocks, then enlarge it to its size again."""
    return F.interpolate(F.avg_pool2d(x, factor), x.shape[-2:], mode="bilinear")


# %%
import pandas as pd

factors = (2, 4, 8, 16)
coarse_ab = {k: join_lab(L, coarse(ab, k)) for k in factors}
coarse_L = {k: join_lab(coarse(L, k), ab) for k in factors}
seen_error = pd.DataFrame(
    {
        "ab made coarse": {k: ciede2000(lab, x).mean().item() for k, x in coarse_ab.items()},
        "L made coarse": {k: ciede2000(lab, x).mean().item() for k, x in coarse_L.items()},
    }
)
worse, above = seen_error.loc[4].idxmax(), (ciede2000(lab, coarse_ab[4]) > 1).float().mean()
reveal("lab.coarse", worse, f"With coarse ab, {100 * above:.0f}% of the pixels are above 1.")
seen_error.rename_axis(f"mean CIEDE2000 at {cfg.size} pixels, blocks of").round(2)

# %%
rows = {"ab": coarse_ab, "L": coarse_L}.items()
show(
    picture_grid([{f"{n} in blocks of {k}": lab_to_rgb(x[k][1:2]) for k in x} for n, x in rows]),
    alt="Above, the cat with coarser and coarser ab: all four look sharp, but at 16 nose and eyes "
    "are grayer. Below, with coarser and coarser L: softer at 4, a blur at 8.",
)
of_ab, of_L = seen_error.loc[4]
record("ciede_ab_coarse_4", of_ab, unit="CIEDE2000")
record("ciede_L_over_ab", of_L / of_ab, unit="blocks of 4")
record("ciede_ab_above_1", above, unit="of the pixels, ab in blocks of 4")

# %% [markdown]
# Go along each row to the right. Above, the cat stays sharp, but at 16 the red of its nose and the green
# of its eyes have faded, as small coloured areas do. Below, it is softer at 4 and a blur at 8, more than the table
# tells, because CIEDE2000 compares pixel by pixel and knows nothing of edges. The eye resolves colour
# more coarsely than lightness ([Mullen 1985](https://doi.org/10.1113/jphysiol.1985.sp015591)), and
# television and JPEG make use of it.
#
# Later networks predict *ab* at a quarter of the side length, a sixteenth of the numbers,
# to train much faster. By the ruler the change is just visible: 1.3 on average, and more than a third of
# the pixels above 1. We accept it: edges stay sharp, the same blocks cost over 1.5 times as much in L, and
# a network's own errors in *ab* will be far larger. Four is a compromise, not a constant of vision: a
# block covers more of a smaller picture, and at 128 pixels instead of 256 it costs 1.75.
#
# ## The byte of a gray photograph is not its L
#
# It is tempting to take 100 · byte / 255 for the L of a gray photograph. But it is sRGB too, and
# needs the same conversion. How large is the error?

# %%
exact = rgb_to_lab(ramp)
naive = torch.cat([100 * ramp[:, :1], 0 * ramp[:, :2]], dim=1)
visible = ciede2000(exact, naive).flatten()
fig, ax = plt.subplots(figsize=(7.2, 2.8), layout="constrained")
ax.plot((naive - exact)[0, 0, 0], label="error in L")
ax.plot(visible, "--", label="CIEDE2000")
ax.axhline(0, color="gray", lw=0.6)
ax.set(xlabel="gray byte", ylabel="error", title="Taking 100 · byte / 255 for L")
ax.legend()
show(
    fig,
    alt="The error in L rises to 1.6 at byte 17, passes 0 at 35 and falls to -3.4 at 128; CIEDE2000 "
    "is about 1 at byte 17 and 3.4 at 128.",
)
record("byte_as_L", visible.mean(), unit="CIEDE2000, mean over all bytes")

# %% [markdown]
# The darkest tones become too light and all others too dark, by up to 3.4 units of L in middle gray. The
# mean difference over all bytes is clearly above 1, so it is visible.
#
# ### Exercise 5. Finish a photograph (12 minutes)
#
# Put the pieces together: convert gray sRGB to L, enlarge *ab* bilinearly with `F.interpolate` to the size
# of the photograph (it may be coarser by any factor), and decode. Use your `srgb_to_lab` and `decode`;
# `gray.expand(-1, 3, -1, -1)` has three equal channels.
#
# The cell after the check uses the photographs' true *ab* in place of a network's, and makes gray from
# their L. A real gray photograph was made by another rule, so its L differs from the scene's by a few
# units; whatever it is, we keep it.


# %%
@exercise("lab.recolour")
def recolour(gray, ab):
    """RGB (N, 3, H, W) from gray sRGB (N, 1, H, W) in [0, 1] and coarse ab (N, 2, h, w)."""
    ### BEGIN SOLUTION
    L = srgb_to_lab(gray.expand(-1, 3, -1, -1))[:, :1]
    return decode(L, F.interpolate(ab, L.shape[-2:], mode="bilinear"))
    ### END SOLUTION


# %%
check("lab.recolour")

# %%
gray = lab_to_rgb(join_lab(L, 0 * ab))[:, :1]
finished = recolour(gray, F.avg_pool2d(ab, 4))
print(f"mean CIEDE2000 to the photographs: {ciede2000(lab, rgb_to_lab(finished)).mean():.2f}")
columns = {"gray": gray.expand(-1, 3, -1, -1), "gray and coarse ab": finished, "original": rgb}
show(
    picture_grid([{title: x[i] for title, x in columns.items()} for i in (1, 3)], height=2.8),
    alt="A cat and a rocket at dusk: gray, finished from gray and coarse ab, and the original. The "
    "last two look alike.",
)

# %% [markdown]
# The second and the third column look alike, although the colours of the second are made of a sixteenth
# of the numbers. In the next lessons only the source of *ab* changes.

# %% [markdown] tags=["extra"]
# ## Extra: the way back (12 minutes)
#
# So far `lab_to_rgb` came from colorkit. Write it yourself, from Lab to sRGB: every step of exercise 3
# undone, in the opposite order. `delinearize` undoes your `linearize`, and `torch.linalg.inv` inverts a
# matrix. Do not clip: to find out whether a colour fits, one has to see by how much RGB leaves [0, 1].

# %%
from colorkit.color import delinearize


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
# ## Recap
#
# - A file holds bytes, a screen sends out **linear light**, and Lab is close to what an eye sees.
# - L comes with the gray photograph and is kept. *ab* is the colour, and it may be rather coarse.
# - Lab is more uniform than sRGB but not uniform. We judge by **CIEDE2000**.
# - Outside the **gamut** only the **chroma** may give way, never L.
#
# What this notebook measured, beside the ranges in which it is expected:

# %%
show_records("01_lab", cfg.profile)

# %% [markdown]
# ## Open questions
#
# - A photographer wants a red rose to be *darker* than its L. What would change in this course if L were
#   replaced by a rendering of your choice?
# - CIEDE2000 was fitted to uniform patches, seen side by side. What does it miss in a photograph?
#
# ## Further reading
#
# - C. Poynton, [Gamma FAQ](https://poynton.ca/GammaFAQ.html): why files do not store light.
# - B. Ottosson, [A perceptual color space for image processing](https://bottosson.github.io/posts/oklab/),
#   2020: Oklab, a newer space.
# - R. Zhang, P. Isola and A. Efros, [Colorful image colorization](https://arxiv.org/abs/1603.08511), 2016:
#   predicts *ab* from L at a quarter of the side length, as lesson 4 does.
#
# **Next:** a network learns a single photograph by heart.

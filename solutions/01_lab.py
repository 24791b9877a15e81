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
# # Lesson 1. Lab colour
#
# A colour photograph holds three numbers per pixel, and a gray photograph only one. This course teaches
# networks to restore the other two. First we need numbers for colour that agree with the eye. CIELAB, here
# **Lab**, provides them: one channel for lightness, *L*, and two for colour, *a* and *b*.
#
# **After this lesson you can**
#
# - convert an sRGB picture to Lab and explain what each step is for;
# - measure how different two colours look;
# - explain why a network should predict *ab* from *L*, and why *ab* may be coarse;
# - bring Lab colours into the range of a screen without changing L.

# %% tags=["bootstrap"]
# install colorkit where it is missing

# %% tags=["parameters"]
profile = None  # "ci", "laptop" or "gpu"; None asks $COLORKIT_PROFILE, else "laptop"
photo = None  # the path of a photograph of your own, for instance "~/holiday.jpg"

# %% tags=["imports"]
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from colorcourse import check, exercise, predict, quiz, record, reveal, settings, show_records
from colorcourse.lesson01 import figures
from colorkit.color import ciede2000, join_lab, lab_to_rgb, out_of_gamut, rgb_to_lab, split_lab
from colorkit.data.pictures import photograph
from colorkit.device import seed_everything
from colorkit.plots import picture_grid, show

# %% tags=["slide"]
cfg = settings("01_lab", profile)
seed_everything(cfg.seed)
names = [photo or "astronaut", "chelsea", "coffee", "rocket"]  # these come with scikit-image
rgb = torch.cat([photograph(name, cfg.size) for name in names])  # uint8, (4, 3, H, W)
lab = rgb_to_lab(rgb)  # takes bytes or floats in [0, 1]; your own will take floats
show(
    figures.taken_apart(rgb[:1], lab[:1]),
    alt="A photograph; its L in black and white; its a and b as flat tints of pink, ochre and blue "
    "on gray; all joined.",
)

# %% [markdown]
# This is a photograph taken apart into L, *a* and *b*, and joined again. *a* runs from green to red and *b*
# from blue to yellow; each is drawn at L = 65, with the other at 0. By the end, your code takes photographs
# apart and puts colour back into gray ones.
#
# The core takes about 75 minutes, 62 of them exercises. With discussion plan 90 to 120, and a break after
# exercise 3. You need Python and PyTorch tensors, but no deep learning.
#
# ## Are you ready?

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
# If you missed one, read first:
# [tensors](https://docs.pytorch.org/tutorials/beginner/blitz/tensor_tutorial.html),
# [broadcasting](https://numpy.org/doc/stable/user/basics.broadcasting.html),
# [einsum](https://docs.pytorch.org/docs/stable/generated/torch.einsum.html).
#
# ## What a gray pixel does not tell you
#
# How many of the 16.7 million colours of a screen share one **lightness**? L goes from 0 for black to 100
# for white. We draw colours at random and count those whose L rounds to 50.

# %% tags=["slide"]
sample = torch.randint(0, 256, (1, 3, 1000, cfg.sample // 1000), dtype=torch.uint8)
lightness = rgb_to_lab(sample)[:, :1]
equally_light = lightness.round() == 50
like_byte_119 = (lightness - rgb_to_lab(torch.full((1, 3, 1, 1), 119 / 255))[:, :1]).abs() < 0.2
patches = sample[:, :, equally_light[0, 0]][:, :, :64].reshape(1, 3, 4, 16)
show(
    picture_grid([{"64 colours": patches, "their L": rgb_to_lab(patches)[:, :1]}], height=1.2),
    alt="Left 64 patches: reds, greens, blues, purples; right the lightness of each, all one gray.",
)
print(f"within 0.2 of byte 119's L: {16777 * like_byte_119.float().mean():.0f} thousand colours")
record("colours_at_L50", 16.777 * equally_light.float().mean().item(), unit="million colours")

# %% [markdown]
# Left are 64 of these colours, right their lightness: one gray. About 300,000 colours share L = 50 to the
# nearest unit. Byte 119, whose L is 50.0, fixes L to ±0.2, yet leaves over 100,000. The average byte
# leaves 65,536 (16.7 million over 256); near black and white there are far fewer. Content can help (grass
# is seldom red); a network has to learn that.
#
# ## From bytes to light
#
# A byte is not proportional to an amount of light. The standard **sRGB** ([IEC
# 61966-2-1](https://webstore.iec.ch/en/publication/6169)) spends more of the 256 values on dark tones,
# where the eye distinguishes small differences. The curve from light to stored value is **gamma**;
# undoing it gives **linear light**.

# %% tags=["slide"]
predict(
    "lab.checkerboard",
    "Seen from afar, a fine checkerboard of black (0) and white (255) looks like a gray. Which byte value does it match?",
    ["64", "128", "188", "224"],
)

# %% [markdown]
# **How exercises work.** Replace the dots, run the cell and the check below it. Until then colorkit's
# answer stands in, and figures are stamped "reference". Pictures are tensors of shape (N, 3, H, W). Return
# float32 tensors, and do not change the arguments.
#
# ### Exercise 1. From sRGB to linear light (8 minutes)
#
# For a stored value $v$ in [0, 1] the standard defines
#
# $$\text{light}(v) = \begin{cases} v/12.92 & v\le0.04045 \\
# \left(\frac{v+0.055}{1.055}\right)^{2.4} & \text{otherwise.} \end{cases}$$
#
# Use `torch.where(condition, x, y)`.


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

# %% tags=["slide"]
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

# %% [markdown] tags=["slide"]
# Half of the squares are white, so the board sends out half of white's light, and so does byte 188. Step
# back or squint, and the board melts into the gray on its right. (If not, zoom to 100%: a scaled figure
# averages bytes, not light.)
#
# ## From light to L, a and b
#
# Lab was defined in 1976 ([ISO/CIE 11664-4](https://www.iso.org/standard/74166.html)). From linear light
# it takes three steps:
#
# 1. A matrix, which follows from the white of an sRGB screen and its primaries (the colours of its red,
#    green and blue light), turns R, G and B into **XYZ**, coordinates of light as a standard observer sees
#    it. Y is the amount of light; green counts most in it.
# 2. X, Y and Z are divided by those of the **white point**, here the daylight D65, so that white
#    becomes (1, 1, 1).
# 3. A curve *f* is applied to each, because lightness grows more slowly than light: a cube root, and near
#    black, where that is infinitely steep, a straight line,
#    $f(t)=\sqrt[3]{t}$ for $t>(6/29)^3$, else $\frac{t}{3\,(6/29)^2}+\frac{4}{29}$.
#
# With the divided X, Y and Z:
#
# $$L=116\,f(Y)-16 \qquad a=500\,(f(X)-f(Y)) \qquad b=200\,(f(Y)-f(Z))$$
#
# *a* and *b* are modelled on opponent colours: nothing looks both reddish and greenish, or bluish and
# yellowish. Gray has X = Y = Z by then, so a = b = 0. The distance from gray,
# $\sqrt{a^2+b^2}$, is a colour's **chroma**, or how *vivid* it is, and the angle of (*a*, *b*) its **hue**.

# %%
RGB_TO_XYZ = torch.tensor(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
WHITE = torch.tensor([0.95047, 1.0, 1.08883]).view(1, 3, 1, 1)  # daylight, D65
print("The row sums are the white point:", RGB_TO_XYZ.sum(dim=1))


# %%
def lab_f(t):
    """The curve of Lab, value by value: a tensor of any shape, values in [0, 1], same shape."""
    return torch.where(t > (6 / 29) ** 3, t ** (1 / 3), t / (3 * (6 / 29) ** 2) + 4 / 29)


t = torch.linspace(0, 0.05, 200)
fig, ax = plt.subplots(figsize=(7.2, 2.8), layout="constrained")
ax.plot(t, t ** (1 / 3), "--", color="gray", label="cube root")
ax.plot(t, lab_f(t), label="f")
ax.axvline((6 / 29) ** 3, color="black", lw=0.8, label="(6/29)³")
ax.set(xlabel="t (white is 1)", ylabel="f(t)", title="Near black, f is a straight line")
ax.legend()
show(fig, alt="f follows the cube root above t = 0.009; below, it is a line that starts at 0.14.")

# %% [markdown]
# Line and cube root meet with the same value and slope. Black has L = 0, since 116 · 4/29 = 16.
#
# ### Exercise 2. From sRGB to Lab (12 minutes)
#
# Assemble the conversion. `torch.einsum("ij,njhw->nihw", M, x)` applies a matrix to the channels.


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

# %% tags=["slide"]
mine = srgb_to_lab(rgb / 255)
print(f"largest difference between your Lab and colorkit's: {(mine - lab).abs().max():.4f}")
fig = figures.taken_apart(rgb[1:3], mine[1:3])
show(fig, alt="A cat and a cup; their L in black and white, a and b as flat tints; all joined.")


# %% [markdown]
# L, in the second column, looks sharp, *a* and *b* soft. One reason is the photograph, whose fine detail,
# such as fur, is mostly in L. The second is the eye, which sees little detail in colour alone ([Mullen
# 1985](https://doi.org/10.1113/jphysiol.1985.sp015591)). The third is JPEG, which usually stores colour
# coarsely: the cat's came in blocks of two pixels (so coarse *ab*, below, costs the cat too little). So
# networks in this course predict *ab* from *L*, not RGB from gray: only two numbers per pixel are left to
# find. Since we keep the photograph's L, no error in *ab* can blur an edge that L shows. An edge between
# two colours of one L, as in the 64 patches, can be lost.
#
# ## Is Lab perceptually uniform?
#
# Lab was designed to be **perceptually uniform**: equal distances should look equally different. To test
# that, we take steps of 0.02 in RGB and of 2 in Lab, in random directions from random colours (RGB from
# 0.1 to 0.9), and measure how large the differences look. The ruler, **CIEDE2000**, corrects distances in
# Lab: chroma and hue count less among vivid colours, lightness less near black and white, and near gray
# *a* counts up to one half more. It was fitted to the judgements of observers ([Luo et al.
# 2001](https://doi.org/10.1002/col.1049)); being built on Lab, it favours Lab. We take 1 as roughly the
# smallest difference visible side by side; that depends on viewer and patches.

# %% tags=["slide"]
start = 0.1 + 0.8 * torch.rand(1, 3, 1, cfg.steps_sampled)
way = F.normalize(torch.randn(1, 3, 1, cfg.steps_sampled), dim=1)
here = rgb_to_lab(start)
ends = {"sRGB": rgb_to_lab(start + 0.02 * way), "Lab": here + 2 * way}  # Lab's may leave sRGB
seen = {space: ciede2000(here, end).flatten() for space, end in ends.items()}
for space, lengths in seen.items():
    record(f"variation_{space.lower()}", lengths.std() / lengths.mean(), unit="std / mean")
show(
    figures.step_histogram(seen),
    alt="Two histograms around a line at 1. Lab's is narrow, sRGB's is wide with a long tail.",
)

# %% [markdown]
# In a uniform space all steps would lie on the black line. Both means are 1 by construction; what counts is
# the spread, printed as standard deviation over mean. Steps in sRGB scatter nearly twice as much, so Lab is
# more uniform, but not uniform. Later lessons train on plain distances in *ab* and judge by them, as papers
# do.

# %% [markdown] tags=["extra"]
# ### Extra: where is Lab not uniform?
#
# Near gray, a step of 2 looks 1.9 long on average, but direction matters: from a middle gray it looks 2.8
# along *a*, 1.9 along *b* and 2.0 along L. Lightness matters too: from a light gray, the step along L
# shrinks to 1.2. Among vivid colours a step looks little more than half as long as it is. The next cell
# sorts the steps by the chroma of their start, and then goes along single axes.

# %%
chroma = here[:, 1:].norm(dim=1).flatten()
for low, high in ((0, 10), (10, 50), (50, 150)):
    lengths = seen["Lab"][(chroma >= low) & (chroma < high)]
    print(f"chroma {low:2} to {high:3}: a Lab step of 2 looks {lengths.mean():.2f} long")
along = {}
for L0 in (50, 90):
    gray = torch.tensor([L0, 0, 0]).view(1, 3, 1, 1).float().expand(3, 3, 1, 1)
    steps = ciede2000(gray, gray + 2 * torch.eye(3).view(3, 3, 1, 1)).flatten().tolist()
    along[L0] = dict(zip("Lab", steps, strict=True))
    print(f"from a gray of L = {L0}:", {axis: round(x, 2) for axis, x in along[L0].items()})
record("step_along_a", along[50]["a"], unit="CIEDE2000, from gray of L = 50")
record("step_along_b", along[50]["b"], unit="CIEDE2000, from gray of L = 50")
record("step_along_L", along[90]["L"], unit="CIEDE2000, from gray of L = 90")
record("step_near_gray", seen["Lab"][chroma < 10].mean(), unit="CIEDE2000")
record("step_vivid", seen["Lab"][chroma >= 50].mean(), unit="CIEDE2000")

# %% [markdown]
# ## The byte of a gray photograph is not its L
#
# It is tempting to take 100 · byte / 255 for the L of a gray photograph. But it is sRGB too, and needs the
# same conversion: `gray.expand(-1, 3, -1, -1)` has three equal channels.
#
# ### Exercise 3. Measure a mistake (8 minutes)
#
# Compare the right Lab of gray pixels with that of the shortcut, whose L is 100 · gray and whose *ab* is
# 0. `join_lab(L, ab)` puts channels together, and `ciede2000(lab, other)` measures each pixel. Return
# these differences, and the gray value in [0, 1] at which they are largest.


# %%
@exercise("lab.byte")
def byte_as_L(gray):
    """Gray sRGB (N, 1, H, W) to two results: CIEDE2000, same shape; the gray where it is largest."""
    ### BEGIN SOLUTION
    right = srgb_to_lab(gray.expand(-1, 3, -1, -1))
    difference = ciede2000(right, join_lab(100 * gray, torch.zeros_like(right[:, 1:])))
    return difference, gray.flatten()[difference.argmax()]
    ### END SOLUTION


# %%
check("lab.byte")

# %% tags=["slide"]
visible, worst = byte_as_L(ramp[:, :1])
first, *_, last = (visible.flatten() > 1).nonzero().flatten().tolist()
print(f"CIEDE2000: {visible.max():.1f} at byte {255 * worst:.0f}; above 1 from {first} to {last}")
fig, ax = plt.subplots(figsize=(7.2, 2.8), layout="constrained")
ax.plot(100 * ramp[0, 0, 0] - srgb_to_lab(ramp)[0, 0, 0], label="error in L")
ax.plot(visible.flatten(), "--", label="CIEDE2000")
ax.axhline(0, color="gray", lw=0.6)
ax.set(xlabel="gray byte", ylabel="error", title="Taking 100 · byte / 255 for L")
ax.legend()
show(
    fig,
    alt="The error in L rises to 1.6 at byte 17, passes 0 at 35 and falls to -3.4 at 128; CIEDE2000 "
    "is about 1 at byte 17 and 3.4 at 124.",
)
record("byte_as_L", visible.mean(), unit="CIEDE2000, mean over all bytes")

# %% [markdown]
# The darkest tones become too light and all others too dark. From byte 54 to 218 CIEDE2000 is above 1,
# our rough limit of what is visible side by side. The mean is 1.7.
#
# ## What a screen can show
#
# The set of colours that a device can show is its **gamut**. Guess first, then move the slider of L. The
# coloured area is what sRGB can show at this L, with gray in the middle; the patch is the colour under
# the ring. Is it still inside at L = 90?

# %% tags=["slide"]
predict(
    "lab.vivid",
    "At which L is the most vivid blue of a screen, and at which the most vivid yellow?",
    ["blue dark, yellow light", "blue light, yellow dark", "both in the middle"],
)

# %%
figures.gamut_explorer()

# %% tags=["slide"]
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
    alt="What sRGB can show on the ab plane: at the L of blue, one corner reaches far into blue; at 60, "
    "a broad patch around gray; at the L of yellow, a thin sliver from near gray to vivid yellow.",
)

# %% [markdown]
# Blue can be very vivid when dark, yellow only when light: the same *ab* may fit at one L and not at
# another.
#
# ## Clipping, and how to avoid it
#
# A network may predict an *ab* outside the gamut. The usual remedy is **clipping**: RGB below 0 becomes 0,
# above 1 it becomes 1. We make colours more vivid, clip, and look at L.

# %%
L, ab = split_lab(lab)
for times in (1.25, 1.5, 2):
    vivid = times * ab
    outside = out_of_gamut(L, vivid)
    clipped = lab_to_rgb(join_lab(L, vivid))
    change = rgb_to_lab(clipped)[:, :1] - L
    moved = change.abs()[outside]
    far = moved.quantile(0.95)
    print(f"{times:4} x ab: {outside.float().mean():.0%} of the pixels are outside the gamut.")
    print(f"   L moves there by {moved.mean():.1f} on average, {far:.1f} at the 95th percentile")
record("clipping_moves_L", moved.mean(), unit="L, mean among pixels outside, 2 x ab")
record("clipping_moves_L_far", far, unit="L, 95th percentile of the same")

# %% [markdown]
# At twice the chroma, clipping moves the lightness of pixels outside the gamut by more than two units on
# average, and of one in twenty by more than nine. But L is the one channel that we *know*; *ab* is only a
# guess. So the guess gives way: we reduce chroma only, nearly as the [CSS
# standard](https://www.w3.org/TR/css-color-4/#gamut-mapping) does in OKLCh, a relative of Lab.
#
# ### Exercise 4. Decode without changing L (22 minutes)
#
# Multiply *a* and *b* *by the same factor*, so that the colour just fits. L and the hue angle stay, and
# nearly always as much chroma as the gamut allows. `out_of_gamut(L, ab)` gives a mask (N, 1, H, W) of the
# colours that do not fit; `lab_to_rgb(lab)` converts and clips.
#
# For colours that do not fit, find the factor by **bisection**: keep one factor that fits, at first 0
# (gray always fits), and one that does not, at first 1. Try the middle and let it replace one, twelve
# times. If 0.5 fits, try 0.75, else 0.25. Every pixel has its own two bounds. Colours that fit keep the
# factor 1.
#
# Bisection assumes that where a factor fits, all smaller ones do. Very light yellows (L 92 to 98) are
# exceptions: at L = 97, above, the way from gray leaves the gamut and enters it again, and bisection may
# stop at the first exit, too pale.


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

# %% tags=["slide"]
wanted, safe = join_lab(L, vivid), decode(L, vivid)
for name, x in {"clipping": clipped, "decode": safe}.items():
    got = rgb_to_lab(x)
    kept, asked = (x[:, 1:].norm(dim=1, keepdim=True)[outside].mean() for x in (got, wanted))
    print(f"{name} moves L by at most {(got - wanted)[:, :1].abs().max():.2f}; pixels outside keep")
    off = ciede2000(wanted, got)[outside].mean()
    print(f"   {kept / asked:.0%} of the chroma, {off:.1f} in CIEDE2000 from what was wanted")
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
# Compare the second column with the third. A fifth of the astronaut's pixels outside the gamut end at one
# pure red, so folds of the suit vanish. In the coffee picture L rises in nearly nine of ten pixels
# outside, because negative green and blue were raised to 0. `decode` moves L by less than 0.1, which
# `out_of_gamut` tolerates. The price is chroma: about 70% is kept, with clipping over 80%. In CIEDE2000,
# both end over five units from what was wanted.
#
# ## The eye resolves colour coarsely
#
# We average *ab* over blocks (as numbers to store, not as light) and enlarge it smoothly; L too, as a
# control.

# %% tags=["slide"]
predict(
    "lab.coarse",
    "Averaged over blocks of 4 x 4 pixels: which costs more, measured by CIEDE2000?",
    ["ab made coarse", "both about the same", "L made coarse"],
)

# %%
import pandas as pd


def coarse(x, factor):
    """Average (N, C, H, W) over factor x factor blocks, then enlarge it to its size again."""
    return F.interpolate(F.avg_pool2d(x, factor), x.shape[-2:], mode="bilinear")


coarse_ab = {k: join_lab(L, coarse(ab, k)) for k in (2, 4, 8, 16)}
coarse_L = {k: join_lab(coarse(L, k), ab) for k in coarse_ab}
both = {"ab made coarse": coarse_ab, "L made coarse": coarse_L}
columns = {(n, k): ciede2000(lab, x[k]).mean(dim=(1, 2, 3)) for n, x in both.items() for k in x}
seen_error = pd.DataFrame(columns, index=names, dtype=float)
seen_error.loc["mean"] = seen_error.mean()
seen_error.columns.names = ["CIEDE2000", "blocks of"]
of_ab, of_L = seen_error.loc["mean", (slice(None), 4)]
above = (ciede2000(lab, coarse_ab[4]) > 1).float().mean()
worse = "ab made coarse" if of_ab > of_L else "L made coarse"
reveal("lab.coarse", worse, f"With coarse ab, {100 * above:.0f}% of the pixels are above 1.")
half = rgb_to_lab(torch.cat([photograph(name, cfg.size // 2) for name in names]))
blurred = join_lab(half[:, :1], coarse(half[:, 1:], 4))
print(f"mean, ab in blocks of 4 at {cfg.size // 2} pixels: {ciede2000(half, blurred).mean():.2f}")
seen_error.round(2)

# %% tags=["slide"]
columns = {"original": rgb}
for n, x in both.items():
    columns |= {f"{n[:2].strip()} in blocks of {k}": lab_to_rgb(x[k]) for k in (4, 16)}
show(
    picture_grid([{title: x[i] for title, x in columns.items()} for i in (1, 3)], height=2.1),
    alt="A cat and a rocket. With coarse ab both look sharp, but at 16 nose, eyes, rocket and lamps "
    "are grayer. With coarse L both are softer at 4 and a blur at 16.",
)
large = rgb_to_lab(F.interpolate(patches, scale_factor=8))
pairs = {"ab": join_lab(large[:, :1], coarse(large[:, 1:], 4))}
pairs["L"] = join_lab(coarse(large[:, :1], 4), large[:, 1:])
titles = {f"{n} in blocks of 4": lab_to_rgb(x) for n, x in pairs.items()}
show(
    picture_grid([{"64 colours": patches} | titles], height=0.9),
    alt="The 64 patches: with coarse ab they run into each other, with coarse L nothing changes.",
)
record("ciede_ab_coarse_4", of_ab, unit="CIEDE2000")
record("ciede_L_over_ab", of_L / of_ab, unit="blocks of 4")
record("ciede_ab_above_1", above, unit="of the pixels, ab in blocks of 4")

# %% [markdown]
# Go along the rows: with coarse *ab* photographs stay sharp, but at 16 the cat's nose and eyes and the
# rocket and its lamps have faded. With coarse L they are softer at 4 and a blur at 16. On average blocks
# of 4 cost over 1.5 times as much in L. But CIEDE2000 compares single pixels: the rocket's picture costs
# *less* with coarse L, yet looks blurred (written question 2 asks why). The patches, all of one L, are the
# extreme: coarse L changes nothing; coarse *ab* mixes them visibly, for no edge of L hides the blur.
#
# Lesson 6's colorizer predicts *ab* at a quarter of the side length, a sixteenth of the numbers. At profile
# laptop this costs 1.3 on average, and more than a third of the pixels are above 1: visible if they were
# large patches, hardly so in the figure. Four is a compromise: blocks of 2 cost 0.8 but need four times the
# numbers; blocks of 8 cost about 2. At 128 pixels a block covers more of the scene and costs more, as
# printed.
#
# ### Exercise 5. Finish a photograph (12 minutes)
#
# Make an RGB picture from a gray photograph and an *ab* coarser by any factor. Its L is that of the gray
# photograph, *ab* is enlarged bilinearly (`F.interpolate`, as in `coarse`), and where a colour does not
# fit, only chroma gives way. Before you run it, say which must come first, enlarging or fitting, and why.
# We then try it with the true *ab*.


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
predict(
    "lab.worst",
    "Where will finished photographs differ most from the originals?",
    ["in dark areas", "in light areas", "where colour changes"],
)

# %% tags=["slide"]
gray = lab_to_rgb(join_lab(L, 0 * ab))[:, :1]
finished = recolour(gray, F.avg_pool2d(ab, 4))
error = ciede2000(lab, rgb_to_lab(finished))
print(f"mean CIEDE2000 to the photographs: {error.mean():.2f}")
fit, unfitted = out_of_gamut(*split_lab(coarse_ab[4])), ciede2000(lab, coarse_ab[4])
print(f"where colours were fitted: {error[fit].mean():.1f}, without it {unfitted[fit].mean():.1f}")
range_of_ab = F.max_pool2d(ab, 5, 1, padding=2) + F.max_pool2d(-ab, 5, 1, padding=2)
areas = {"in dark areas": L < 30, "in light areas": L > 70}
areas["where colour changes"] = range_of_ab.norm(dim=1, keepdim=True) > 20  # within 5 x 5 pixels
means = {name: error[area].mean().item() for name, area in areas.items()}
why = ", ".join(f"{x:.1f} {name}" for name, x in means.items())
reveal("lab.worst", max(means, key=means.get), f"Mean CIEDE2000: {why}.")
columns = {"gray": gray.expand(-1, 3, -1, -1), "gray and coarse ab": finished, "original": rgb}
columns["CIEDE2000 (white: 10)"] = 10 * error
show(
    picture_grid([{title: x[i] for title, x in columns.items()} for i in (1, 3)], height=2.4),
    alt="A cat and a rocket at dusk: gray, finished, and the original, which look alike; the "
    "difference is largest around the cat's eyes and nose, and at rocket, towers and lamps.",
)

# %% [markdown]
# Columns two and three look alike, though one has a sixteenth of the *ab* (this WebP figure stores a
# quarter). They differ most where colour changes within a few pixels, since a block mixes both sides. At
# profile laptop the mean, 1.24, is below the table's 1.32, because fitting brings blurred colours closer to
# the original, as printed. Enlarging must come first: how far a colour fits depends on its own pixel's L.
#
# In the next lessons only the source of *ab* changes.

# %% [markdown] tags=["extra"]
# ## Extra: another gray
#
# We made gray from L. Many programs take 0.299 R + 0.587 G + 0.114 B of the *stored* values instead. As
# printed below, its L is off by up to about two units on average in these photographs, and by over 20 for
# pure red, green or blue. `recolour` keeps whatever L the gray has.
#
# ## Extra: how wrong may colours be?
#
# Scale *a* and *b*, turn the hue, or take the colours of another photograph. L never changes. The hue
# starts turned by 40°. Find the smallest turn in each direction at which the skin looks wrong to you, and
# compare it with what your neighbours found.

# %%
for name, x in {"photographs": rgb / 255, "primaries": torch.eye(3)[..., None, None]}.items():
    luma = torch.einsum("c,nchw->nhw", torch.tensor([0.299, 0.587, 0.114]), x)[:, None].clamp(0, 1)
    off = (rgb_to_lab(luma.expand(-1, 3, -1, -1)) - rgb_to_lab(x))[:, 0].abs().mean(dim=(1, 2))
    print(f"{name}: L is off by", [round(one, 1) for one in off.tolist()])
figures.channel_mixer(rgb[:1], rgb[2:3])

# %% [markdown] tags=["extra"]
# ## Extra: the way back (12 minutes)
#
# So far `lab_to_rgb` came from colorkit. Write it yourself, from Lab to sRGB: every step of exercise 2
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
    return delinearize(torch.einsum("ij,njhw->nihw", torch.linalg.inv(RGB_TO_XYZ), xyz))
    ### END SOLUTION


# %%
check("lab.inverse")

# %% [markdown] tags=["slide"]
# ## Recap
#
# - Bytes are not proportional to light: undo the **gamma** before you average light or compute Lab.
# - L comes with the gray photograph and stays. *ab* may be coarse.
# - Judged by **CIEDE2000**, Lab is more uniform than sRGB, but not uniform.
# - Outside the **gamut** reduce **chroma** and keep L.
#
# Quiz; then the numbers that `record` noted, beside the range expected at your profile (set at the top):

# %% tags=["quiz", "extra"]
quiz("01")

# %%
show_records("01_lab", cfg.profile)

# %% [markdown] tags=["written", "extra"]
# ## Written questions
#
# A person reads your answers. Each is worth four points; five or six sentences are enough.
#
# **Question 1.** A friend colours gray scans like this: she takes 100 · byte / 255 as L, adds the *ab*
# that a network predicts, and clips RGB to [0, 1]. Name two faults of her program. For each, say what can
# be seen in the result and how to mend it, and name one gray value or one colour that it leaves alone.

# %% [markdown] tags=["answer", "extra"]
# **A possible answer.** A byte is stored with a gamma, so 100 · byte / 255 is not its L: the darkest tones
# come out slightly too light and most others visibly too dark. She should convert the gray picture from
# sRGB to Lab. Bytes 0 and 255 get the right L, and so does byte 35, where the curves cross. Clipping moves
# L wherever the predicted colour lies outside the gamut: folds of vivid cloth vanish in one red, and other
# areas become lighter. She should multiply *a* and *b* of such a pixel by one factor that makes the colour
# just fit, which keeps L and the hue. Any colour inside the gamut, such as a skin tone, is not clipped.

# %% [markdown] tags=["written", "extra"]
# **Question 2.** At profile laptop, the table gives the rocket's picture 0.92 with coarse L and 1.10 with
# coarse *ab*, in blocks of 4. Yet coarse L looks worse. Explain both; it helps to draw the two `ciede2000`.
# Then describe, in one or two sentences, a change to the measurement that should rank the two as your eye
# does, and a picture on which the changed measurement and plain CIEDE2000 still agree.

# %% [markdown] tags=["answer", "extra"]
# **A possible answer.** The rocket itself costs more with coarse L. But the towers differ from the sky
# more in colour than in L, and so does one pixel of the sky from the next; and CIEDE2000 compares pixel by
# pixel: it counts each pixel of mixed colour as if it were a large patch. The eye, however, sees fine
# detail in L, but hardly in colour alone. So blur both pictures first as the eye does, *ab* much more than
# L, and only then take CIEDE2000: most of what coarse *ab* changed disappears, and most of what coarse L
# changed stays. On large uniform areas the two agree.

# %% [markdown] tags=["extra"]
# ## Open questions
#
# - A photographer prints a red rose *darker* in gray than its L. Which colours can a network still give it?
# - CIEDE2000 was fitted to uniform patches. What does it miss in a photograph?
#
# ## Further reading
#
# - C. Poynton, [Gamma FAQ](https://poynton.ca/GammaFAQ.html): why files do not store light.
# - B. Ottosson, [A perceptual color space](https://bottosson.github.io/posts/oklab/), 2020: Oklab, and why blue
#   may turn purple in Lab.
# - R. Zhang et al., [Colorful image colorization](https://arxiv.org/abs/1603.08511), 2016:
#   *ab* from L, as in lesson 4.
#
# **Next:** a network learns a single photograph by heart.

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
# # Lesson 2. Overfit one photograph
#
# Before you train a network on a million photographs, train it on one. Forty thousand weights
# should learn the colours of a single picture by heart; if they cannot, look for a bug before you
# look for more data. The test is one-sided: some bugs pass it.
#
# **After this lesson you can**
#
# - compute a convolution by hand, and the size, parameters and receptive field of a stack;
# - write a convolutional network and its training loop;
# - judge an error against baselines, and choose a learning rate from loss curves;
# - recognise seven common bugs by their symptoms.
#
# You need lesson 1 (Lab), Python classes and the idea of a gradient. The core takes about 85
# minutes, 72 of them exercises. A class, with quiz and written questions, needs over two hours,
# the extras another 30 minutes.

# %% tags=["bootstrap"]
# install colorkit where it is missing

# %% tags=["parameters"]
profile = None  # "ci", "laptop" or "gpu"; None asks $COLORKIT_PROFILE, else "laptop"
photo = None  # the path of a photograph of your own, in place of chelsea

# %% tags=["imports"]
import torch
import torch.nn.functional as F
from torch import nn

from colorcourse import check, exercise, predict, quiz, reveal, settings, show_records
from colorcourse.lesson02 import clinic, overfit
from colorkit.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab
from colorkit.data.pictures import photograph
from colorkit.device import pick_device, seed_everything
from colorkit.plots import colour_alone, picture_grid, show

# %% tags=["slide"]
cfg, device = settings("02_overfit", profile), pick_device()
generator = seed_everything(cfg.seed)
names = {"chelsea": photo or "chelsea", "astronaut": "astronaut"}
labs = {k: rgb_to_lab(photograph(v, cfg.size).to(device)) for k, v in names.items()}
L, ab = split_lab(labs["astronaut"])
parts = {"L, the input": L, "ab alone, the output": colour_alone(L, ab)}
show(
    picture_grid([parts | {"both together": lab_to_rgb(labs["astronaut"])}], height=3.2),
    alt="An astronaut three times: in gray; her colours alone, flat and almost without detail; and "
    "both together, the photograph.",
)

# %% [markdown] tags=["slide"]
# This is the task: from the left picture, find the middle one, *a* and *b* for each pixel.
#
# ## An error needs baselines
#
# Our error is the **mean squared error (MSE) of ab**: the squared difference from the truth,
# averaged over all pixels and both channels, in ab². An MSE of 100 means a typical error of 10
# units in each channel. Three predictions need no network:
#
# - **Gray**: ab = 0 everywhere.
# - **Mean colour**: the mean ab of the photograph, everywhere.
# - **Coarse colour**: the true ab at a quarter of the side length, enlarged again. Made from the
#   answer, it is a yardstick: with this error a picture can still look right, since the eye hardly
#   notices blurred colour.


# %%
def baselines(ab):
    """ab of gray, of the mean colour, and of coarse colour."""
    small = F.interpolate(ab, scale_factor=0.25, mode="area")
    return {
        "gray": torch.zeros_like(ab),
        "mean colour": ab.mean(dim=(2, 3), keepdim=True).expand_as(ab),
        "coarse colour": F.interpolate(small, ab.shape[-2:], mode="bilinear"),
    }


blind, rows = {}, []
for name, lab in labs.items():
    L, ab = split_lab(lab)
    blind[name], row = {}, {f"{name}, the truth": lab_to_rgb(lab)}
    for kind, guess in baselines(ab).items():
        blind[name][kind] = F.mse_loss(guess, ab).item()
        row[f"{kind}: MSE {blind[name][kind]:.0f}"] = lab_to_rgb(join_lab(L, guess))
    rows.append(row)

# %% tags=["slide"]
show(
    picture_grid(rows),
    alt="The cat and the astronaut beside gray, their mean colour and coarse colour, each with its "
    "MSE. The mean colour suits the cat and tints the astronaut pink; coarse colour looks true.",
)

# %% [markdown]
# One brown nearly suffices for a ginger cat, with an MSE of 41; on the astronaut, whose suit and
# flag differ, one colour leaves 309, and 41 would be a success. Report an error beside its
# baselines.
#
# ## What the numbers look like
#
# Each row spoils the astronaut's true colours in one way, until the MSE is 400, 100, 40 or 10.

# %% tags=["slide"]
show(
    overfit.spoiled(labs["astronaut"], (400, 100, 40, 10), generator),
    alt="Three rows of five astronauts: the truth, then faded, hues turned or noisy, with an MSE of "
    "400, 100, 40 and 10. At 400 she is nearly gray, green, or speckled; at 10 nearly the truth.",
)

# %% [markdown] tags=["slide"]
# The pictures are plainly wrong at 400; at 10 you need the truth beside them to find the mistake.
# Down the column of 400, the *same* MSE looks very different: nearly gray, green, speckled. MSE
# measures how large errors are, not how they look.
#
# ## A convolution by hand
#
# Every layer of our network is a **convolution**. A small square of weights, the **kernel**, lies
# on the picture; the sum of its weights times the pixels under it is one pixel of the output. Then
# the kernel slides on by one pixel, with the same weights.
#
# ```
# picture      kernel      output
# 0  1  2      0  1        19  ?       19 = 0·0 + 1·1 + 3·2 + 4·3
# 3  4  5      2  3         ?  ?
# 6  7  8
# ```
#
# Work out the other three; a cell below prints them.
#
# $$\text{out}[y, x] = \sum_{i=0}^{k-1} \sum_{j=0}^{k-1} K[i, j] \cdot X[y + i,\, x + j]$$
#
# Mathematics calls this a *cross-correlation*; its convolution mirrors the kernel first.
#
# **Exercise 1** (10 minutes). Write it for a picture (H, W) and a kernel (k, k), without torch's
# convolution. The kernel stays inside the picture, so it has H - k + 1 by W - k + 1 positions.
# Return a float32 tensor.


# %%
@exercise("overfit.convolve")
def convolve(picture, kernel):
    """A picture (H, W) and a kernel (k, k) to the response (H - k + 1, W - k + 1)."""
    ### BEGIN SOLUTION
    k = len(kernel)
    response = torch.zeros(picture.shape[0] - k + 1, picture.shape[1] - k + 1)
    for y in range(response.shape[0]):
        for x in range(response.shape[1]):
            response[y, x] = (picture[y : y + k, x : x + k] * kernel).sum()
    return response
    ### END SOLUTION


# %%
check("overfit.convolve")
convolve(torch.arange(9.0).view(3, 3), torch.arange(4.0).view(2, 2))

# %% tags=["slide"]
square = F.pad(torch.ones(3, 3), (2, 2, 2, 2))
edge = torch.tensor([[-1.0, 0.0, 1.0]] * 3)
response = convolve(square, edge)
show(
    overfit.by_hand(square, edge, response),
    alt="Four grids of numbers: a picture of 7 x 7 with a square of ones; a kernel with columns of "
    "-1, 0 and 1; its response, up to 3 at the square's left edge and down to -3 at its right one; "
    "and the response after ReLU, where the negative numbers are 0.",
)

# %% [markdown] tags=["slide"]
# This kernel subtracts the pixels on its left from those on its right. Its response is positive at
# the square's left edge, negative at its right, and 0 where both are equal. The last grid shows
# what the **ReLU**, max(0, x), keeps of it. Without a ReLU between them, convolutions in a row are
# only one larger convolution, since a weighted sum of weighted sums is again one.
#
# ## The arithmetic of convolutions
#
# Each output channel of a layer is a sum: every input channel is convolved with a kernel of its
# own; the responses and one number, the **bias**, are added. With 3 channels in and 8 out there are
# 24 kernels and 8 biases. The layer's shape follows from six integers: channels in, channels out,
# kernel *k*, stride *s* (by how many pixels the kernel moves), padding *p* (rows of zeros added on
# each side) and dilation *d* (a kernel's weights lie *d* pixels apart).
#
# - **Size.** Count the kernel's positions in the padded picture.
# - **Parameters.** The weights of all kernels, shared by all pixels, and the biases.
# - **Receptive field.** The width, in input pixels, of the square that one output pixel looks at;
#   pixels that a dilated kernel skips are counted. It starts at 1. After a layer of stride 2,
#   neighbouring pixels lie 2 input pixels apart.
#
# ```
# 8 pixels, k = 3, p = 1, d = 2    the kernel spans 5 pixels, the padded picture has 10
#                         s = 1    10 - 5 + 1 = 6 positions
#                         s = 2    every other one: 3
# receptive field                  grows from 1 to 5; a further 3 x 3 layer (d = 1) adds 2
#                                  if s was 1, and 4 if s was 2: earlier strides multiply
# ```
#
# **Exercise 2** (12 minutes). The integers are `conv.channels_in`, `channels_out`, `kernel`,
# `stride`, `padding`, `dilation`.


# %%
@exercise("overfit.arithmetic")
def arithmetic(size, layers):
    """(size, a list of Conv) to (output size, parameters, receptive field) of the whole stack."""
    ### BEGIN SOLUTION
    parameters, field, distance = 0, 1, 1
    for conv in layers:
        span = conv.dilation * (conv.kernel - 1) + 1
        size = (size + 2 * conv.padding - span) // conv.stride + 1
        parameters += conv.channels_out * (conv.channels_in * conv.kernel**2 + 1)
        field += (span - 1) * distance
        distance *= conv.stride
    return size, parameters, field
    ### END SOLUTION


# %%
check("overfit.arithmetic")

# %% [markdown]
# Each layer is to keep the size; each output pixel should see 33 × 33 pixels, as wide as the cat's
# eye. A plain 3 × 3 layer widens the field by 2; doubling the dilation doubles this growth with no
# more weights ([Yu and Koltun 2016](https://arxiv.org/abs/1511.07122)). The last 3 × 3 layer has
# dilation 1 again, against the grid pattern that dilation can leave ([Yu et al.
# 2017](https://arxiv.org/abs/1705.09914)).

# %%
channels = cfg.channels
plan = [overfit.Conv(1, channels)]
plan += [overfit.Conv(channels, channels, padding=d, dilation=d) for d in (2, 4, 8, 1)]
plan += [overfit.Conv(channels, 2, kernel=1, padding=0)]
for depth in range(1, 7):
    size, parameters, field = arithmetic(cfg.size, plan[:depth])
    print(f"{depth} layers: {size} x {size}, {parameters:6d} parameters, sees {field} x {field}")
print("stride 2 first:", arithmetic(cfg.size, [plan[0]._replace(stride=2), *plan[1:]]))

# %% [markdown]
# With stride 2 first, the field nearly doubles, but the output is half as wide.
#
# ## The network
#
# **Exercise 3** (14 minutes). Write the network of that plan.
#
# - Five blocks in a Sequential called `self.groups`, each itself a Sequential: an `nn.Conv2d` of
#   3 × 3 with `channels` output channels and dilation 1, 2, 4, 8 or 1 that keeps the size; then
#   `nn.InstanceNorm2d(channels, affine=True)`; then a ReLU. **Instance normalisation** brings
#   each channel of each picture to mean 0 and unit variance, so that all layers have values of
#   similar scale. Then comes a learned scale and shift ([Ulyanov et al.
#   2016](https://arxiv.org/abs/1607.08022)), which the plan did not count: 10 × `channels`
#   numbers. Each output now depends on the whole picture, through mean and variance; but all
#   pixels share these, so only its 33 × 33 tells a pixel from another.
# - An `nn.Conv2d` of 1 × 1 to two channels. Should a ReLU follow?
# - Scaling **inside**: the network takes raw *L*, 0 to 100, and begins with (L - 50) / 25. The last
#   layer works with about -1 to 1, so multiply by 50 to give raw *ab*.


# %%
@exercise("overfit.net")
class Net(nn.Module):
    """Raw L (N, 1, H, W) to raw ab (N, 2, H, W)."""

    def __init__(self, channels=32):
        """Make the layers."""
        ### BEGIN SOLUTION
        super().__init__()
        blocks, before = [], 1
        for d in (1, 2, 4, 8, 1):
            conv = nn.Conv2d(before, channels, 3, padding=d, dilation=d)
            norm = nn.InstanceNorm2d(channels, affine=True)
            blocks.append(nn.Sequential(conv, norm, nn.ReLU()))
            before = channels
        self.groups = nn.Sequential(*blocks)
        self.last = nn.Conv2d(channels, 2, 1)
        ### END SOLUTION

    def forward(self, L):
        """Scale L, apply the layers, and bring the result to Lab units."""
        ### BEGIN SOLUTION
        return 50 * self.last(self.groups((L - 50) / 25))
        ### END SOLUTION


# %%
check("overfit.net")

# %% [markdown]
# ## Before training: weights, gradient, step
#
# **Initialisation.** Weights start as random numbers: channels with equal weights before and
# behind them would receive equal gradients and remain copies. PyTorch draws them between ±1/√n,
# where n is the number of products summed into one output pixel: channels in × k². By itself this
# makes values shrink over the 3 × 3 layers ([He et al. 2015](https://arxiv.org/abs/1502.01852)
# use variance 2/n before a ReLU, six times that of this range). Below, each row is a convolution
# (the shape of its weights): with normalisation, its output's standard deviation keeps its size.
# The first loss should be of gray's order, often larger, as random output adds variance; a
# million is a bug.

# %%
torch.manual_seed(cfg.seed)
fresh = Net(cfg.channels).to(device)
L, ab = split_lab(labs["chelsea"])
overfit.scales(fresh, L)

# %% [markdown]
# **The gradient** *g* says for each weight how fast the loss changes with it; its **norm** ‖g‖ is
# its length as one long vector. A step of -lr · g, where lr is the **learning rate**, promises
#
# loss(w - lr · g) ≈ loss(w) - lr · ‖g‖²,
#
# which would be exact if the loss were linear. Check the table's first row (its last digit may
# differ): a norm of 4,000 would promise a loss lower by 10⁻⁷ · 4,000² = 1.6.

# %%
loss = F.mse_loss(fresh(L), ab)
loss.backward()
norm = torch.cat([p.grad.flatten() for p in fresh.parameters()]).norm()
print(f"loss {loss:.1f}, that of gray {blind['chelsea']['gray']:.1f}; norm {norm:.1f}")
overfit.downhill(fresh, L, ab, rates=(1e-7, 1e-6, 1e-5, 1e-4, 1e-3)).round(1)

# %% [markdown]
# The smallest step keeps its promise; the largest overshoots, and the loss rises: a slope holds
# only nearby. Which rates are small enough depends on the scale of the loss.
#
# **Adam** ([Kingma and Ba 2015](https://arxiv.org/abs/1412.6980)) removes this dependence: it
# divides a running average of each weight's gradient by the root of a running average of its
# square. In the first step both hold one gradient, so the quotient is g/√g² = ±1 and nearly every
# weight moves by lr: one rate suits many networks. The table shows it, at a rate too high for
# gradient descent.

# %%
overfit.step_sizes(fresh, cfg.lr)

# %% [markdown] tags=["slide"]
# ## The training loop
#
# **Exercise 4** (14 minutes). One step predicts, measures the mean squared error, and keeps it as a
# float, `loss.item()`. It also needs these five calls. Find an order that works; which call could
# stand elsewhere?
#
# - `after(step)`, with the number of steps done: 1, 2, ...
# - `L, ab = batch()`, anew in each step.
# - `loss.backward()`, which *adds* the derivative of the loss for every weight to its
#   `weight.grad`.
# - `optimizer.step()`, which moves the weights.
# - `optimizer.zero_grad()`, which empties `weight.grad`.
#
# The optimizer is `torch.optim.Adam(net.parameters(), lr=lr)`; it remembers past gradients, so it
# is made once. Return the list of losses. Then we train a network for each photograph, with the
# whole picture as batch.


# %% tags=["slide"]
@exercise("overfit.loop")
def fit(net, batch, steps, lr=2e-3, after=lambda step: None):
    """Train net for so many steps; return the list of losses."""
    ### BEGIN SOLUTION
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    losses = []
    for step in range(1, steps + 1):
        L, ab = batch()
        loss = F.mse_loss(net(L), ab)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        after(step)
    return losses
    ### END SOLUTION


# %%
check("overfit.loop")

# %%
predict(
    "overfit.beat",
    "For how many steps will your network be no better than chelsea's mean colour?",
    ["fewer than 10", "10 to 50", "more than 50"],
)


# %%
def train(lab):
    """A network trained on one photograph, its losses, and its ab at the marked steps."""
    L, ab = split_lab(lab)
    torch.manual_seed(cfg.seed)
    net, kept = Net(cfg.channels).to(device), {}

    def keep(step):
        if step in cfg.marks:
            with torch.no_grad():
                kept[step] = net(L)

    losses = fit(net, lambda: (L, ab), cfg.steps, cfg.lr, keep)
    return net, [float(loss) for loss in losses], kept


trained = {name: train(lab) for name, lab in labs.items()}

# %% tags=["slide"]
curves = {name: losses for name, (net, losses, kept) in trained.items()}
show(
    overfit.learning_figure(curves, blind),
    alt="Two loss curves on logarithmic axes; in the same colours, dotted, the errors of each "
    "photograph's mean colour and coarse colour. Both curves end below their own lines.",
)
above = sum(loss >= blind["chelsea"]["mean colour"] for loss in curves["chelsea"])
answer = "fewer than 10" if above < 10 else "10 to 50" if above <= 50 else "more than 50"
reveal("overfit.beat", answer, f"Your network was no better than one colour for {above} steps.")

# %% [markdown]
# (In exercise 4, `zero_grad()` can stand anywhere but between `backward()` and `step()`; the rest
# is fixed.) Compare each curve with the dotted lines of its own colour: the network of the
# astronaut, whose curve ends below coarse colour, has learned more than blurred colours. Below, the
# colours also stand **alone**, because *L* makes almost any colouring look sharp.

# %% tags=["slide"]
L, ab = split_lab(labs["astronaut"])
net, losses, kept = trained["astronaut"]
show(
    overfit.truth_beside(L, ab, {f"{step} steps": kept[step] for step in cfg.shown}),
    alt="The astronaut's L, truth, and predictions after a few steps and after all. Below, the same "
    "without lightness: the early colours are patchy and blurred, the last look like the truth.",
)
overfit.snapshot_scrubber(labs["astronaut"], kept)
guesses = baselines(ab) | {f"{step} steps": kept[step] for step in cfg.report}
last = f"{cfg.report[-1]} steps"
overfit.error_table(guesses, ab, coarse_astronaut="coarse colour", mse_astronaut=last)

# %% [markdown]
# In the lower row, the first colours stray over their edges; the last are hard to tell from the
# truth.
#
# ## The learning rate
#
# We train small networks on a small astronaut, at six rates, each ten times the one before. The
# table gives the step at which each curve beats gray, its highest value over its first (a *leap*:
# over 1.2), the mean of its last 20 losses, and whether that is over 5% below the 20 before.


# %% tags=["slide"]
predict(
    "overfit.rate",
    "Which is the largest rate whose loss never leaps above its first value?",
    ["lr 2e-05", "lr 0.0002", "lr 0.002", "lr 0.02", "lr 0.2", "lr 2"],
)


# %%
def sweep(lr):
    torch.manual_seed(cfg.seed)
    return fit(Net(cfg.sweep_channels).to(device), lambda: tiny, cfg.sweep_steps, lr)


tiny = split_lab(rgb_to_lab(photograph("astronaut", cfg.crop).to(device)))
rates = {f"lr {lr:g}": sweep(lr) for lr in (2e-5, 2e-4, 2e-3, 2e-2, 2e-1, 2)}

# %% tags=["slide"]
show(
    overfit.rates_figure(rates, tiny[1]),
    alt="Six loss curves on a logarithmic scale, with the errors of gray and of the mean colour "
    "dotted. Some fall smoothly; some leap up first. The table below gives their readings.",
)
table = overfit.rates_table(rates, tiny[1])
leaps = table["highest / first"].iloc[:-1]
reveal("overfit.rate", leaps[leaps < 1.2].index[-1], "See 'highest / first' in the table.")
table

# %% [markdown]
# The smallest and the largest rate both end high. *Too small*: the loss never rises above its
# first value, but needs about ten times as many steps to beat gray as the next rate. *Too large*:
# the loss leaps above its first value at once. At 0.2 it then stays near the error of the mean
# colour for about a hundred steps. At 2 it ends exactly there, with one colour for every pixel:
# after such steps nothing of *L* reaches the output, as when every ReLU of a block gives 0, and
# only constants still learn.
#
# So try factors of 10, drop those that leap, and keep what ends lowest: 0.002, though 0.02 beats
# gray first. Where a curve is *still falling*, a longer run may favour a smaller rate.
#
# ## The clinic
#
# These seven programs were meant to do, at 32 × 32 pixels, what yours does. One line of each is
# broken; none stops with an error.

# %% tags=["slide"]
picture = photograph("astronaut", 32).permute(0, 2, 3, 1).contiguous()  # NHWC, as files give it
logs = {"healthy": clinic.run("healthy", picture)} | clinic.training_clinic.logs(picture)
show(
    clinic.figure(logs),
    alt="Loss, gradient norm, batch and prediction of a healthy program and of runs A to G. D's "
    "batch has a green badge, F's is stripes, B's prediction is nearly gray. Readings are below.",
)
clinic.training_clinic.readings(logs).map("{:.3g}".format)

# %% [markdown]
# The thick pale line behind each run is the healthy program; the dotted line is the error of
# predicting ab = 0 on its own target. *Last ten* and *first ten* are steps. Compare, in this order:
# is the **batch** what you meant? Do the **weights** change? Is the first **loss** sensible, and
# what does it do then? Does the **gradient norm** shrink as the loss does? What range does the
# **prediction** have? The faults, in no order:
#
# - `"ReLU on the output"`, `"a and b swapped"`, `"learning rate too high"`,
#   `"zero_grad not called"`,
# - `"optimizer of another model"`: it holds the weights of a network made earlier,
# - `"target scaled, prediction not"`, `"NHWC read as NCHW"`: channels last taken for channels
#   first.
#
# **Exercise 5** (22 minutes). Name each fault *from its log*, and the first reading, in that order,
# that tells it: `"batch"`, `"weights"`, `"loss"`, `"gradient norm"` or `"prediction"`. Given the
# right name, the next cell prints the program; write its broken line as it should be. `DilatedCNN`
# is exercise 3's network; `look(...)` writes the log and is never at fault.

# %%
clinic.print_program("A", named="the fault that you see in its log")  # then "B", "C", ... "G"


# %%
@exercise("overfit.clinic")
def diagnosis():
    """{run: (fault, reading, number of the broken line, the line as it should be)}, "A" to "G"."""
    ### BEGIN SOLUTION
    cure = "optimizer = Adam(net.parameters(), lr=5e-3)"
    return {
        "A": ("zero_grad not called", "gradient norm", 8, "optimizer.zero_grad()"),
        "B": ("target scaled, prediction not", "loss", 7, "loss = mse_loss(prediction, ab)"),
        "C": ("optimizer of another model", "weights", 4, cure),
        "D": ("a and b swapped", "batch", 2, "L, ab = lab[:, :1], lab[:, 1:]"),
        "E": ("learning rate too high", "loss", 4, cure),
        "F": ("NHWC read as NCHW", "batch", 1, "lab = rgb_to_lab(picture.permute(0, 3, 1, 2))"),
        "G": ("ReLU on the output", "prediction", 6, "prediction = net(L)"),
    }
    ### END SOLUTION


# %%
check("overfit.clinic")
print(clinic.WHY if clinic.solved else "When the check is green, this cell also says why.")

# %% [markdown] tags=["slide"]
# ## Recap
#
# - A convolution slides one set of weights over the picture; six integers fix its size, weights and
#   receptive field.
# - A training step is: batch, prediction, loss, empty the gradients, backward, step.
# - Far too high a learning rate makes the loss leap; too low is slow.
# - **Overfit one picture first.** A network that cannot is too small, had too few steps, has a
#   bad learning rate or a bug, or its input does not determine the answer. One that can may still
#   be wrong, as run D was: look at all readings.
#
# **Open questions**
#
# - Two pixels have equal surroundings of 33 × 33 but different colours. What will the network give
#   them?
# - Which numbers of your network could you change without changing its output? Begin with the 25.
#
# **Further reading**: [A recipe for training neural
# networks](https://karpathy.github.io/2019/04/25/recipe/) (Karpathy); [A guide to convolution
# arithmetic](https://arxiv.org/abs/1603.07285) (Dumoulin and Visin); [Deep image
# prior](https://arxiv.org/abs/1711.10925) (Ulyanov et al.).

# %% tags=["quiz", "extra"]
quiz("02")

# %% [markdown] tags=["written", "extra"]
# ## Written questions
#
# A person reads your answers. Each is worth four points; five or six sentences are enough.
#
# **Question 1.** The loss of a network on one photograph falls from 700 to 92 and stays there. The
# mean colour of this photograph scores 95, coarse colour 12. What has the network probably learned?
# Name three readings that you would look at next, in order, and what each would tell you.

# %% [markdown] tags=["answer", "extra"]
# **A possible answer.** Hardly more than the mean colour: it gives nearly every pixel one colour,
# whatever *L* says. (The weights did move, or the loss would not have fallen.) First the
# prediction, drawn and with its range: if it is one colour everywhere, the network no longer uses
# *L*. Then the loss of the first steps: a leap speaks for too high a learning rate, which can end
# exactly at the mean colour, as the rate 2 did. Then the batch, drawn as *L* and as colours: if *L*
# is blank, the mean colour is about all that can be learned. *One point for the mean colour, and
# one for each reading with what it would tell.*

# %% [markdown] tags=["written", "extra"]
# **Question 2.** "Our network has learned one photograph by heart. So the program is right, and the
# network will do well on other photographs." Discuss both halves of the conclusion: the first with
# an example from the lesson, the second with an experiment that would decide it.

# %% [markdown] tags=["answer", "extra"]
# **A possible answer.** The first half says too much. The test excludes faults that keep a network
# from learning at all, but the program with *a* and *b* exchanged learned its wrong target just as
# well, and only its batch gave it away. The second half does not follow: a network with forty
# thousand weights can store one picture. To decide it, show the network photographs that it never
# saw, and compare its errors with those of gray and of one colour; an extra below does so with the
# astronaut. *One point for each half, one for the example, one for the experiment with its
# baselines.*

# %% [markdown] tags=["extra"]
# ## Extra: the size of the batch
#
# One photograph is one example, so the batch size can only be 1. But we can cut **random crops**
# out of it, and compare sizes at equal steps, where the larger batch has seen more crops, or at
# equal crops, where it has taken fewer steps. The error is measured on the whole training
# photograph, cut into tiles as large as the crops. We begin without normalisation, at a learning
# rate of 0.002 for every size.

# %% tags=["extra"]
predict(
    "overfit.batch",
    "Batches of 1, 4 and 16 crops, each trained until it has seen equally many. Which error is lowest?",
    ["1 crop", "4 crops", "16 crops"],
)


# %% tags=["extra"]
def bare():
    """A small network of yours without its normalisation."""
    return overfit.replace_norms(Net(cfg.sweep_channels), nn.Identity).to(device)


runs = overfit.batch_runs(fit, bare, labs["astronaut"], cfg.crop, cfg.batch_steps, cfg.seed)

# %% tags=["extra"]
show(
    overfit.batch_figure(runs, cfg.batch_steps),
    alt="Errors for 1, 4 and 16 crops a batch, left against steps, right against crops seen. The "
    "curve of 1 crop jumps most; the table below says where each ends.",
)
table = overfit.batch_table(runs)
reveal("overfit.batch", overfit.batch_answer(table), "The same runs, read at equal crops.")
table.round(0)

# %% [markdown] tags=["extra"]
# Left, at equal steps, 16 crops are ahead of 1, because their gradient is less noisy. Right, at
# equal crops, they are behind, because they have taken a sixteenth of the steps. Equal steps matter
# to a machine that works on a batch in parallel, equal crops to one that pays for each crop
# ([Shallue et al. 2019](https://arxiv.org/abs/1811.03600)), so say which you mean. With a rate
# tuned for each size, the gaps may shrink. To steady them, each number in the table is the mean of
# three measurements up to that point (for 1 crop, every fourth drawn). For 1 crop at equal steps
# and 16 at equal crops they reach back four times as far: too high while a curve falls.
#
# The next table repeats this with five seeds and the laptop's settings (`scripts/crops.py`; means,
# and ranges in brackets):
# without normalisation, with **batch normalisation**, whose statistics are those of the whole batch
# (lesson 3), and with your network's instance normalisation.

# %% tags=["extra"]
overfit.recorded_batches()

# %% [markdown] tags=["extra"]
# With these settings, one mean colour scores 309. In the last row, with instance normalisation, no
# size is better than 229, against 80 to 150 for 16 crops in the other rows. It brings *each crop*
# to mean 0 and unit variance, so that a dark crop and a bright one look alike. That probably hurts
# because brightness tells the suit from the helmet. On the whole photograph this does no harm. With
# batch normalisation a single crop has the same problem, and another: it is judged with averages
# from the whole training (lesson 3). At equal crops, 4 crops are best with it on average, and 1
# crop without any, but the ranges of the two best sizes overlap.
#
# ## Extra: a different photograph
#
# Chelsea's network has seen nothing but chelsea. What does it make of the astronaut? Compare it
# with the last picture, in which everything has the cat's mean colour.

# %% tags=["extra"]
L, ab = split_lab(labs["astronaut"])
with torch.no_grad():
    strange = trained["chelsea"][0](L)
brown = labs["chelsea"][:, 1:].mean(dim=(2, 3), keepdim=True).expand_as(ab)
show(
    overfit.truth_beside(L, ab, {"chelsea's network": strange, "chelsea's mean colour": brown}),
    alt="The astronaut, her true colours, those that the cat's network gives her, which have little "
    "to do with suit or flag, and one brown everywhere.",
)
guesses = {"gray": 0 * ab, "one brown": brown, "chelsea's network": strange}
names = {"mse_other_photograph": "chelsea's network", "mse_other_one_brown": "one brown"}
overfit.error_table(guesses, ab, **names)

# %% [markdown] tags=["extra"]
# The one brown beats gray, because both photographs are warm, so beating gray proves nothing here.
# The network's error is about that of the one brown: it has learned one photograph, as we asked it
# to, and on this one that helps about as much as the cat's average colour. Colours that hold for
# *other* photographs are the subject of the lessons to come.
#
# ## Extra: what the layers see
#
# Each block turns the picture into new pictures, its **activations**. Below is the channel of
# largest variance of each block, for two networks looking at chelsea. One is trained; the other has
# random weights of another seed, a control that [Adebayo et al.
# 2018](https://arxiv.org/abs/1810.03292) used for saliency maps. The first blocks hardly differ;
# look at the deep ones. Which kernels, random or trained, would leave them speckled?

# %% tags=["extra"]
cat = labs["chelsea"][:, :1]
torch.manual_seed(cfg.seed + 1)
pair = {"network 1": Net(cfg.channels).to(device), "network 2": trained["chelsea"][0]}
show(
    overfit.activation_grid(pair, cat),
    alt="One channel of each of five blocks, for two networks. In the first blocks of both the cat's "
    "eyes and nose are plain; in the deeper ones network 1 is speckled and network 2 smooth.",
)
predict("overfit.untrained", "Which network is trained?", ["network 1", "network 2"])

# %% tags=["extra"]
errors = [F.mse_loss(net(cat), labs["chelsea"][:, 1:]).item() for net in pair.values()]
print("errors on chelsea: {:.0f} and {:.1f}".format(*errors))
lesson = "Edges come from the picture: an untrained network shows them too."
reveal("overfit.untrained", "network 2", lesson)

# %% [markdown]
# ## Your numbers
#
# *Expected* is where other seeds and machines put each number. Where yours is *missed*, look at the
# exercise before it.

# %%
overfit.record_all()
show_records("02_overfit", cfg.profile)

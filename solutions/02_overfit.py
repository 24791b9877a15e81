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
# # Lesson 2. Overfit one photograph
#
# Before you train on a million photographs, train on one. A network with forty thousand weights must
# be able to learn the colours of a single picture by heart. If it cannot, it has a bug. This is the
# cheapest test in deep learning, and today you build all that it needs.
#
# **After this lesson you can**
#
# - say which error is good, because you know what no network at all scores;
# - compute the size, the number of weights and the receptive field of a stack of convolutions;
# - write a convolutional network and its training loop, line by line;
# - read a loss curve, and tell seven common bugs apart by their symptoms.
#
# **It takes** about 70 minutes: five exercises, a few minutes of computing. **It needs** lesson 1
# (Lab, *L* and *ab*), Python classes, and what a gradient is.

# %% tags=["bootstrap"]
# install colorkit where it is missing

# %% tags=["parameters"]
profile = None  # "ci", "laptop" or "gpu"; None asks $COLORKIT_PROFILE, else "laptop"
photo = None  # the path of a photograph of your own, in place of chelsea

# %%
import torch
import torch.nn.functional as F
from IPython.display import display
from torch import nn

from colorcourse import check, exercise, predict, record, reveal, settings, show_records
from colorcourse.lesson02.clinic import mended_logs, print_program, training_clinic
from colorcourse.lesson02.figures import activation_grid, snapshot_scrubber, truth_beside
from colorcourse.lesson02.overfit import Conv, activations, perturb, random_crops
from colorkit.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab
from colorkit.data.pictures import photograph
from colorkit.device import pick_device, seed_everything
from colorkit.plots import loss_curves, picture_grid, show

cfg, device = settings("02_overfit", profile), pick_device()
generator = seed_everything(cfg.seed)
print(f"profile {cfg.profile}, {device}: {cfg.size} x {cfg.size} pixels, {cfg.steps} steps")

# %% [markdown]
# ## Two photographs, and what needs no network
#
# Our error is the **MSE of ab**: the mean, over all pixels and both channels, of the squared
# difference to the truth. Its unit is ab², so an MSE of 100 means: typically wrong by 10 units.
#
# An error alone says nothing. So first: what scores somebody who never looks at the picture? Three
# answers, each a little less blind.
#
# - **gray**: ab = 0 everywhere;
# - **the mean colour** of the photograph, everywhere;
# - **colour at a quarter of the size**: the true ab, made small and large again. In lesson 1 it looked
#   nearly perfect. It knows the answer, so it is no fair rival: it shows how small an error can be
#   that nobody sees.


# %%
def baselines(ab):
    """ab of gray, of the mean colour, and of colour at a quarter of the size."""
    small = F.interpolate(ab, scale_factor=0.25, mode="area")
    return {
        "gray": torch.zeros_like(ab),
        "mean colour": ab.mean(dim=(2, 3), keepdim=True).expand_as(ab),
        "a quarter of the size": F.interpolate(small, ab.shape[-2:], mode="bilinear"),
    }


names = {"chelsea": photo or "chelsea", "astronaut": "astronaut"}
labs = {k: rgb_to_lab(photograph(v, cfg.size).to(device)) for k, v in names.items()}
blind, rows = {}, []
for name, lab in labs.items():
    L, ab = split_lab(lab)
    answers = baselines(ab)
    blind[name] = {k: F.mse_loss(guess, ab).item() for k, guess in answers.items()}
    looks = {k: lab_to_rgb(join_lab(L, guess)) for k, guess in answers.items()}
    rows.append({name: lab_to_rgb(lab)} | {f"{k}: {blind[name][k]:.0f}": looks[k] for k in looks})

# %%
show(
    picture_grid(rows),
    alt="Two photographs, a ginger cat and an astronaut, beside gray, one mean colour, and colour at "
    "a quarter of the size, each with its ab MSE. The last looks almost like the truth.",
)
record("quarter_astronaut", blind["astronaut"]["a quarter of the size"], unit="ab²")

# %% [markdown]
# Compare gray with the mean colour: one brown goes far on a brown cat, no single colour does on the
# astronaut. So the *same* error can be a triumph on one photograph and nothing on another: never
# report it without these numbers beside it. A network that is not below *gray* has learned less than
# nothing.
#
# ## What 400, 100, 40 and 10 look like
#
# These pictures are made, not predicted. Each row spoils the astronaut's true colours in one way, by
# just so much that the MSE is 400, 100, 40 or 10: **faded** towards gray, every **hue turned** by the
# same angle, or **noise** added at each pixel.


# %%
L, ab = split_lab(labs["astronaut"])
rows = [{}, {}, {}]
for mse in (400, 100, 40, 10):
    for row, (kind, wrong) in zip(rows, perturb(ab, mse, generator).items(), strict=True):
        row[f"{kind}, {F.mse_loss(wrong, ab):.0f}"] = lab_to_rgb(join_lab(L, wrong))
show(
    picture_grid(rows, height=1.6),
    alt="The astronaut with ab errors of 400, 100, 40 and 10: faded, with turned hues, and with "
    "noise. At 400 she is nearly gray, green, or covered in speckles; at 10 all look right.",
)

# %% [markdown]
# At 400 the picture is wrong, at 10 you must search for the mistake. But look down one column: three
# pictures with the *same* error, of which your eye likes one and hates another. **A loss that falls is
# not a picture that is right.** We shall always look at both.
#
# ## The arithmetic of convolutions
#
# A convolution slides a small square of weights, the *kernel*, over the picture. Everything about it
# follows from six integers: channels in, channels out, kernel *k*, stride *s*, padding *p*, dilation
# *d*. A dilated kernel has gaps: its *k* weights lie *d* pixels apart.
#
# - **Size.** The kernel must fit into the padded picture. Count its positions.
# - **Parameters.** One kernel for each pair of channels, used at all pixels; one bias for each output
#   channel.
# - **Receptive field.** How many pixels of the input, along a side, one output pixel depends on. It
#   starts at 1 and grows with each layer. Behind a layer of stride 2, neighbours lie 2 input pixels
#   apart.
#
# **Exercise 1** (9 minutes). `conv.kernel`, `conv.stride` and so on are the six integers, named
# `channels_in, channels_out, kernel, stride, padding, dilation`.


# %%
@exercise("overfit.arithmetic")
def arithmetic(size, layers):
    """(size, a list of Conv) to (output size, parameters, receptive field) of the whole stack."""
    ### BEGIN SOLUTION
    parameters, field, step = 0, 1, 1
    for conv in layers:
        span = conv.dilation * (conv.kernel - 1) + 1
        size = (size + 2 * conv.padding - span) // conv.stride + 1
        parameters += conv.channels_out * (conv.channels_in * conv.kernel**2 + 1)
        field += (span - 1) * step
        step *= conv.stride
    return size, parameters, field
    ### END SOLUTION


# %%
check("overfit.arithmetic")

# %% [markdown]
# Now design with it. We want every layer to keep the size, and each output pixel to see enough of its
# surroundings to tell an ear from a chair. Plain 3 x 3 layers grow the field by 2 each: slow. Doubling
# the dilation doubles the growth at the same price (Yu and Koltun 2016).

# %%
dilations = (1, 2, 4, 8, 1)
widths = [1] + [cfg.kernels] * 5
plan = [
    Conv(a, b, padding=d, dilation=d)
    for a, b, d in zip(widths, widths[1:], dilations, strict=False)
]
plan.append(Conv(cfg.kernels, 2, kernel=1, padding=0))
for depth in range(1, 7):
    size, parameters, field = arithmetic(cfg.size, plan[:depth])
    print(f"{depth} layers: {size} x {size}, {parameters:6d} parameters, sees {field} x {field}")

# %% [markdown]
# ## The network
#
# **Exercise 2** (12 minutes). Write the network of that plan.
#
# - Five groups: a 3 x 3 convolution with `kernels` output channels and dilation 1, 2, 4, 8, 1 that
#   keeps the size; `nn.InstanceNorm2d(kernels, affine=True)`, which brings each channel of each picture
#   to mean 0 and spread 1 (Ulyanov and others 2016), so that no layer starts out of scale; a ReLU.
# - A 1 x 1 convolution to two channels. No activation after it: *a* and *b* can be negative.
# - Normalisation lives **inside**: the network takes raw *L*, 0 to 100, and brings it to about -2 to 2
#   by (L - 50) / 25. It gives raw *ab*: the last layer works with about -1 to 1, so multiply by 50.
#
# Call the Sequential of groups `self.groups`, so that we can look inside later.


# %%
@exercise("overfit.net")
class Net(nn.Module):
    """Raw L (N, 1, H, W) to raw ab (N, 2, H, W)."""

    def __init__(self, kernels=32):
        """Make the layers."""
        ### BEGIN SOLUTION
        super().__init__()
        groups, before = [], 1
        for d in (1, 2, 4, 8, 1):
            conv = nn.Conv2d(before, kernels, 3, padding=d, dilation=d)
            norm = nn.InstanceNorm2d(kernels, affine=True)
            groups.append(nn.Sequential(conv, norm, nn.ReLU()))
            before = kernels
        self.groups = nn.Sequential(*groups)
        self.head = nn.Conv2d(kernels, 2, 1)
        ### END SOLUTION

    def forward(self, L):
        """From L to ab."""
        ### BEGIN SOLUTION
        return 50 * self.head(self.groups((L - 50) / 25))
        ### END SOLUTION


# %%
check("overfit.net")

# %% [markdown]
# Ask a fresh network for colours. It has learned nothing, so its first loss should be of the size of
# *gray*, a few times that at most. A first loss of a million is a bug, found before any training.

# %%
torch.manual_seed(cfg.seed)
fresh = Net(cfg.kernels).to(device)
L, ab = split_lab(labs["chelsea"])
with torch.no_grad():
    first = fresh(L)
print(tuple(first.shape), "parameters:", sum(p.numel() for p in fresh.parameters()))
print(f"first loss {F.mse_loss(first, ab):.0f}, gray {blind['chelsea']['gray']:.0f}")

# %% [markdown]
# A few more parameters than in the plan: two a channel, scale and shift, for each normalisation.
#
# ## The training loop
#
# **Exercise 3** (10 minutes). Every training in this course is this loop. One step is:
#
# 1. get a batch `L, ab` from `batch()`, anew at each step;
# 2. predict, and measure the mean squared error;
# 3. empty the gradients, then `backward()` fills them, then the optimizer takes its step;
# 4. keep the loss, and call `after(step)` with the number of steps done: 1, 2, ...
#
# The optimizer is `torch.optim.Adam(net.parameters(), lr=lr)`; it remembers past gradients, so it is
# made once. Return the list of losses.

# %%
predict(
    "overfit.beat",
    "How many steps will it take to beat gray on chelsea?",
    ["fewer than 20", "20 to 100", "more than 100"],
)


# %%
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

# %% [markdown]
# Now the real thing: one network for each photograph. The batch is always the whole picture. At a few
# marked steps we keep the network's colours. This is the longest cell of the lesson: a minute or two.


# %%
def overfit(lab):
    """A network trained on one photograph, its losses, and its ab at the marked steps."""
    L, ab = split_lab(lab)
    torch.manual_seed(cfg.seed)
    net, kept = Net(cfg.kernels).to(device), {}

    def after(step):
        if step in cfg.marks:
            with torch.no_grad():
                kept[step] = net(L)

    losses = fit(net, lambda: (L, ab), cfg.steps, cfg.lr, after)
    return net, [float(loss) for loss in losses], kept


trained = {name: overfit(lab) for name, lab in labs.items()}

# %%
errors = {
    name: {step: F.mse_loss(kept[step], split_lab(labs[name])[1]).item() for step in cfg.report}
    for name, (net, losses, kept) in trained.items()
}
for name in labs:
    print(name, {step: round(error, 1) for step, error in errors[name].items()})
record(f"mse_{cfg.report[-1]}_astronaut", errors["astronaut"][cfg.report[-1]], unit="ab²")
curves = {name: losses for name, (net, losses, kept) in trained.items()}
levels = {k: v for k, v in blind["astronaut"].items() if k != "mean colour"}
show(
    loss_curves(curves, {f"astronaut, {k}": v for k, v in levels.items()}),
    alt="Two falling loss curves on a logarithmic scale. "
    "The astronaut's ends below colour at a quarter of the size.",
)

# %% [markdown]
# The report behind this lesson trained a network on one photograph of a bridge and wrote down 40, 31
# and 24 after 100, 200 and 400 passes. Its network predicted colour at a quarter of the size, and that
# alone costs the astronaut more than our network's last error. Ours works at full size.
#
# Numbers are half of it. That report showed its results as below: the truth beside the prediction, and
# both once more **with L averaged out**. The gray photograph carries all the edges, so almost anything
# on top of it looks sharp. Take L away and only what the network did is left. Then move the slider
# below: at which step would *you* have said that it works?

# %%
L, ab = split_lab(labs["astronaut"])
kept = trained["astronaut"][2]
show(
    truth_beside(L, ab, {f"{step} steps": kept[step] for step in cfg.report}),
    alt="The astronaut: L, the truth, and the prediction at three moments of the training. Below, "
    "the same without lightness.",
)
snapshot_scrubber(labs["astronaut"], kept, curves["astronaut"])

# %% [markdown]
# ## Reading a curve
#
# **Exercise 4** (7 minutes). One loss is noisy, and a curve on a screen is soon misread. Make three
# readings of it:
#
# - the index of the first loss below a baseline, -1 if there is none;
# - where it ends: the mean of the last 20 losses;
# - whether it still falls: is that mean below 0.95 times the mean of the 20 losses before?


# %%
@exercise("overfit.curve")
def read_curve(losses, baseline):
    """(losses, baseline) to (index of the first loss below it, mean of the last 20, still falls)."""
    ### BEGIN SOLUTION
    below = [i for i, loss in enumerate(losses) if loss < baseline]
    last, before = sum(losses[-20:]) / 20, sum(losses[-40:-20]) / 20
    return (below[0] if below else -1), last, last < 0.95 * before
    ### END SOLUTION


# %%
check("overfit.curve")

# %%
for name, losses in curves.items():
    print(name, read_curve(losses, blind[name]["gray"]))
beaten, end, falling = read_curve(curves["chelsea"], blind["chelsea"]["gray"])
answer = "fewer than 20" if 0 <= beaten < 20 else "20 to 100" if beaten <= 100 else "more than 100"
reveal("overfit.beat", answer, f"Loss number {beaten} is the first below gray.")

# %% [markdown]
# With this tool we can compare settings. To be quick, we do it small: the astronaut at a few pixels a
# side, a narrower network.
#
# ## The learning rate
#
# Five rates, each ten times the one before. Before you look: which curve will end lowest, and what will
# the first and the last one look like?


# %%
def sweep(lab, kernels, lr):
    """The losses of a new, small network on one picture."""
    L, ab = split_lab(lab)
    torch.manual_seed(cfg.seed)
    return fit(Net(kernels).to(device), lambda: (L, ab), cfg.sweep_steps, lr)


tiny = rgb_to_lab(photograph("astronaut", cfg.crop).to(device))
gray = split_lab(tiny)[1].square().mean().item()
rates = {f"{lr:g}": sweep(tiny, cfg.sweep_kernels, lr) for lr in (2e-5, 2e-4, 2e-3, 2e-2, 2e-1)}
show(
    loss_curves({f"lr {k}": v for k, v in rates.items()}, {"gray": gray}),
    alt="Loss curves of five learning rates, beside gray. The table below says where each ends.",
)
for lr, losses in rates.items():
    beaten, end, falling = read_curve(losses, gray)
    print(f"lr {lr:>7}: below gray at {beaten:3d}, ends at {end:7.1f}, still falling: {falling}")

# %% [markdown]
# Read table and curves together. A curve that ends high after a slow, steady fall needs a larger rate
# or more steps. One that ends high after a jump, or flat, needs a smaller rate. Search in factors of
# 10 first; finer is rarely worth it.
#
# ## The number of kernels

# %%
kernels = {f"{k} kernels": sweep(tiny, k, 1e-3) for k in cfg.widths}
for k in cfg.widths:
    end = read_curve(kernels[f"{k} kernels"], gray)[1]
    print(
        f"{k} kernels: {sum(p.numel() for p in Net(k).parameters()):7d} weights, ends at {end:.2g}"
    )
show(
    loss_curves(kernels, {"gray": gray}),
    alt="Loss curves for three numbers of kernels, beside gray.",
)

# %% [markdown]
# Twice the kernels are four times the weights and four times the work in all but the first and the
# last layer. Which network learns fastest by step is one question, by minute another. Now put 5e-3 in
# place of 1e-3 in that cell, and see who wins then: settings depend on each other.
#
# ## The size of the batch
#
# One photograph has no batch size: there is one example. But we can cut many out of it, **random
# crops**, and then a batch has a size. To compare sizes fairly, say *what is equal*. With equal steps
# the larger batch has seen more pixels. With equal pixels it has taken fewer steps.

# %%
predict(
    "overfit.batch",
    "Batches of 1, 4 and 16 crops, trained until each has seen the same number of crops. Which wins?",
    ["1 crop", "4 crops", "16 crops", "no difference"],
)


# %%
def crops_run(lab, count, steps, every):
    """The error over all of the picture, in tiles as large as a crop, each so many steps."""
    tiles = torch.cat([t for r in lab.split(cfg.crop, 2) for t in r.split(cfg.crop, 3)])
    draw = torch.Generator().manual_seed(cfg.seed)
    torch.manual_seed(cfg.seed)
    net, errors = Net(cfg.sweep_kernels).to(device), []

    def after(step):
        if step % every == 0:
            with torch.no_grad():
                errors.append(F.mse_loss(net(tiles[:, :1]), tiles[:, 1:]).item())

    fit(net, lambda: split_lab(random_crops(lab, count, cfg.crop, draw)), steps, cfg.lr, after)
    return errors


side = cfg.size // cfg.crop * cfg.crop  # so that whole tiles cover it
lab = labs["astronaut"][:, :, :side, :side]
n = cfg.batch_steps
runs = {1: crops_run(lab, 1, 4 * n, 8), 4: crops_run(lab, 4, n, 2), 16: crops_run(lab, 16, n, 2)}

# %%
named = {f"batch of {k}": errors for k, errors in runs.items()}
width = dict(zip(named, (8, 2, 2), strict=True))  # steps between two measurements
show(
    loss_curves(named, every=width),
    alt="Errors for 1, 4 and 16 crops a batch against steps: batches of 16 end below batches of 1.",
)
pixels = {label: k * width[label] for label, k in zip(named, runs, strict=True)}
show(
    loss_curves(named, every=pixels, xlabel="crops seen"),
    alt="The same errors against crops seen: now batches of 1 are ahead of batches of 16.",
)

# %%
steps_equal = {1: runs[1][n // 8 - 1], 4: runs[4][-1], 16: runs[16][-1]}
seen_equal = {1: runs[1][-1], 4: runs[4][-1], 16: runs[16][n // 8 - 1]}
print(f"after {n} steps: ", {k: round(v, 1) for k, v in steps_equal.items()})
print(f"after {4 * n} crops:", {k: round(v, 1) for k, v in seen_equal.items()})
record("batch_16_equal_steps", steps_equal[16] / steps_equal[1], unit="times the error of 1")
record("batch_16_equal_pixels", seen_equal[16] / seen_equal[1], unit="times the error of 1")
winner = min(seen_equal, key=seen_equal.get)
reveal(
    "overfit.batch",
    "1 crop" if winner == 1 else f"{winner} crops",
    "The same three runs, read at equal pixels; at equal steps the order is another.",
)

# %% [markdown]
# Whoever compares batch sizes must say at equal *what*. And why are all these errors so much higher than
# before? A crop has lost its surroundings, and the normalisation brings every crop to the same scale: a
# dark one and a light one look alike to the network.
#
# ## What the layers see
#
# Each group turns the picture into new pictures, its *activations*. Below are the four liveliest
# channels, those of largest variance, of each group, for two networks looking at chelsea. One is
# trained. The other has never seen a photograph: its weights are random.

# %%
cat = labs["chelsea"][:, :1]
pair = {"network 1": activations(fresh, cat), "network 2": activations(trained["chelsea"][0], cat)}
show(
    activation_grid(pair),
    alt="Activations of five groups in two networks, four channels each. In the first groups of both "
    "the cat's eyes and nose are plain to see; deeper, the two look different.",
)
predict(
    "overfit.untrained",
    "Which network is trained?",
    ["network 1", "network 2"],
)

# %%
after_1, after_2 = (
    F.mse_loss(net(cat), labs["chelsea"][:, 1:]) for net in (fresh, trained["chelsea"][0])
)
print(f"ab MSE of network 1: {after_1:.0f}, of network 2: {after_2:.1f}")
reveal(
    "overfit.untrained",
    "network 2",
    "Random kernels find edges too: the cat shows through any of them.",
)

# %% [markdown]
# In the first groups it is hard to tell: the cat is as plain in a network that knows nothing. Deeper
# down the two look different, but would you have known which is which? Activations that look
# meaningful prove nothing, unless those of an untrained network stand beside them.
#
# ## A different photograph
#
# Chelsea's network has seen nothing but chelsea. What does it make of the astronaut?

# %%
predict(
    "overfit.other",
    "The network trained on chelsea colours the astronaut. Its error, against gray?",
    ["lower than gray", "about as gray (within 10%)", "higher than gray"],
)

# %%
L, ab = split_lab(labs["astronaut"])
with torch.no_grad():
    stranger = trained["chelsea"][0](L)
other, gray_error = F.mse_loss(stranger, ab).item(), blind["astronaut"]["gray"]
record("mse_other_photograph", other, unit="ab²")
show(
    truth_beside(L, ab, {"by chelsea's network": stranger}),
    alt="The astronaut, her true colours, and those that the cat's network gives her. "
    "They have little to do with suit or flag.",
)
options = ("lower than gray", "about as gray (within 10%)", "higher than gray")
answer = options[1 if abs(other / gray_error - 1) < 0.1 else 0 if other < gray_error else 2]
reveal("overfit.other", answer, f"{other:.0f} against {gray_error:.0f} for gray.")
brown = labs["chelsea"][:, 1:].mean(dim=(2, 3), keepdim=True).expand_as(ab)
record("mse_other_one_brown", F.mse_loss(brown, ab), unit="ab²")

# %% [markdown]
# Is it below gray? Then look at the second number before you celebrate: the cat's *mean colour*, one
# brown everywhere. Both photographs are warm, so even this brown beats gray here. The network's error
# is in the hundreds: it has learned one photograph, not what suits and flags look like. Nothing is
# wrong with it: this is what we asked for. Colours that hold for *other* photographs are the subject
# of the lessons to come.
#
# ## The clinic
#
# **A network that cannot overfit one picture has a bug.** Here are seven programs that were all meant
# to be the same: a small copy of what you wrote today, on the astronaut at 32 x 32 pixels. In each, one
# line is broken. None of them stops with an error. We run each, A to G, under instruments.

# %%
picture = photograph("astronaut", 32).permute(0, 2, 3, 1).contiguous()  # NHWC, as files give it
logs = {"healthy": training_clinic.run("healthy", picture)} | training_clinic.logs(picture)
show(
    training_clinic.figure(logs),
    alt="For a healthy program and runs A to G: loss and gradient norm over the steps, the batch "
    "as a picture, and the last prediction. Each run differs from the healthy one somewhere.",
)
display(training_clinic.readings(logs).map("{:.3g}".format))

# %% [markdown]
# The dotted line in the first row is gray. Go through it in this order: is the *batch* what you meant?
# Do the *weights* change? Is the *first loss* sensible, and what does it do then? Does the *gradient
# norm* shrink as the loss does? What *range* do the predictions have? The faults, in no order:
#
# - `"ReLU on the output"`, `"a and b swapped"`, `"learning rate too high"`, `"zero_grad forgotten"`,
# - `"optimizer of another model"`: it holds the weights of a network made earlier,
# - `"target scaled, prediction not"`, `"NHWC read as NCHW"`: channels last taken for channels first.
#
# **Exercise 5** (14 minutes). Name the fault of each run *from its log*. Only then read its
# program, and write the broken line as it should be. The check runs your mended program.

# %%
print_program("A")  # then "B", "C", ... "G"


# %%
@exercise("overfit.clinic")
def diagnosis():
    """{run: (fault, number of the broken line, the line as it should be)} for "A" to "G"."""
    ### BEGIN SOLUTION
    return {
        "A": ("zero_grad forgotten", 8, "optimizer.zero_grad()"),
        "B": ("target scaled, prediction not", 7, "loss = mse_loss(prediction, ab)"),
        "C": ("optimizer of another model", 4, "optimizer = Adam(net.parameters(), lr=5e-3)"),
        "D": ("a and b swapped", 2, "L, ab = lab[:, :1], lab[:, 1:]"),
        "E": ("learning rate too high", 4, "optimizer = Adam(net.parameters(), lr=5e-3)"),
        "F": ("NHWC read as NCHW", 1, "lab = rgb_to_lab(picture.permute(0, 3, 1, 2))"),
        "G": ("ReLU on the output", 6, "prediction = net(L)"),
    }
    ### END SOLUTION


# %%
check("overfit.clinic")

# %%
mended = mended_logs(picture, diagnosis())
show(
    training_clinic.figure(mended),
    alt="The logs of the mended programs, drawn as before: all look like that of the healthy one.",
)

# %% [markdown]
# Two remarks. Run B has a *low* loss and a nearly gray picture: losses in different units cannot be
# compared. And on chelsea run G might have got away with it: a ginger cat has hardly a negative *a*
# or *b*. Test with pictures that have all colours.

# %% [markdown] tags=["extra"]
# ## Extra: is the normalisation needed?
#
# Let every InstanceNorm do nothing, leave all else as it is, and train small.

# %% tags=["extra"]
L, ab = split_lab(tiny)
torch.manual_seed(cfg.seed)
bare = Net(cfg.sweep_kernels).to(device)
for layer in bare.modules():
    if isinstance(layer, nn.InstanceNorm2d):
        layer.forward = lambda x: x
without, within = fit(bare, lambda: (L, ab), cfg.sweep_steps, cfg.lr), rates[f"{cfg.lr:g}"]
worse = read_curve(without, gray)[1] / read_curve(within, gray)[1]
print(f"without normalisation the last losses are {worse:.1f} times those with it")
show(
    loss_curves({"with": within, "without": without}, {"gray": gray}),
    alt="Two loss curves, with and without normalisation, beside gray.",
)

# %% [markdown]
# ## Recap
#
# - An error means something only beside what gray, the mean colour and a coarse copy score.
# - Size, weights and receptive field of a stack of convolutions follow from six integers a layer.
# - A training step: batch, prediction, loss, empty the gradients, backward, step.
# - Read a curve against a baseline, by means, by ratios; then look at the picture, and take L away.
# - Equal steps and equal pixels are different questions.
# - What looks meaningful inside must be compared with an untrained network.
# - Overfit one picture first. If that fails: batch, weights, first loss, gradient norm, range.
#
# The numbers that this notebook measured, beside the range in which they are expected:

# %%
show_records("02_overfit", cfg.profile)

# %% [markdown]
# **Questions without answers here**
#
# - Two pixels with the same surroundings of 33 x 33 but different colours: what will the network give
#   them? Is there any such pair in a photograph?
# - The normalisation sees the whole picture. Does a pixel of the output then depend on 33 x 33 pixels?
# - How few kernels are enough to learn a photograph by heart? How many numbers does the photograph
#   itself have?
# - Could you tell, from the loss on one photograph alone, whether a network will be good at others?
#
# Next, in lesson 3: a network that sees the whole picture and still keeps every edge.

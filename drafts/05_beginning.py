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
# # Lesson 5. A loss that is learnt
#
# Every loss so far was written by somebody: L2 wants the mean, cross-entropy wants the odds. Neither says
# "this looks like a photograph". Today a second network learns to say it. It is shown true colours and
# those of your network, and tries to tell them apart; your network tries to make that impossible.
#
# It is a game, not a descent: two losses, neither of which shows how well it goes. So you will learn to
# read other instruments, and to ask what the game wins and what it costs.
#
# **After this lesson you can**
#
# - write both losses of a GAN, and say which numbers to expect before training;
# - build a critic of patches, and say what it cannot see;
# - weigh a learnt loss against a written one by their gradients, not by their sizes;
# - diagnose a game that has gone wrong, and say in numbers what a healthy one is good for.
#
# **It takes** about 80 minutes: five exercises, ten minutes of computing. **It needs** lessons 3 and 4.

# %% tags=["bootstrap"]
# install colorkit where it is missing

# %% tags=["parameters"]
profile = None  # "ci", "laptop" or "gpu"; None asks $COLORKIT_PROFILE, else "laptop"
source = "orchard"  # a made world, or the folder of a store made by `colorkit data prepare`
size = None  # side of photographs in pixels; None: the profile's

# %% [markdown]
# ## The game
#
# Player one, the **generator** G, makes colours. Player two, the **critic** D, gets a picture and answers
# with a logit: above 0 means "true". The critic minimises its cross-entropy,
#
# - mean of -log D(true) and -log(1 - D(made)), half each,
#
# and the generator wants the opposite. Written so, its gradient dies when the critic is sure. So it
# minimises -log D(made) instead, the **non-saturating** loss. Who knows nothing says 1/2: both losses
# start at ln 2 = 0.69. If the generator ever makes the true distribution, the best critic can only say
# 1/2 again, and both end where they began. **Both losses at ln 2: the best possible game, or a dead one.**

# %%
import pandas as pd
import torch
from IPython.display import display
from torch import nn
from torch.nn import functional as F

from colorkit import game_plots, models, objects
from colorkit.course import check, exercise, games, predict, record, reveal, settings
from colorkit.course.pictures import lesson_pictures
from colorkit.course.recording import show_records
from colorkit.device import pick_device, seed_everything
from colorkit.evaluate import paired_difference, score_models, table
from colorkit.losses import l1, l2
from colorkit.plots import colorings, show
from colorkit.training.adversarial import Rules, fit_adversarial
from colorkit.training.batches import TensorBatches
from colorkit.training.fit import fit
from colorkit.training.objectives import Regression
from colorkit.training.options import Options

cfg, device = settings("05_adversarial", profile), pick_device()
print(f"profile {cfg.profile}, {device}: {cfg.pictures} pictures of {size or cfg.size} pixels")

# %% [markdown]
# **Exercise 1** (6 minutes). The critic's loss. Label smoothing tells it that true pictures are true with
# probability 1 - smooth only, so that it does not become too sure; generated ones keep their 0.


# %%
@exercise("adversarial.critic_loss")
def critic_loss(true, generated, smooth=0.0):
    """Logits of true and of generated pictures, any shape -> scalar, the mean of the two halves."""
    ### BEGIN SOLUTION
    labels = torch.full_like(true, 1 - smooth)
    of_true = F.binary_cross_entropy_with_logits(true, labels)
    of_made = F.binary_cross_entropy_with_logits(generated, torch.zeros_like(generated))
    return (of_true + of_made) / 2
    ### END SOLUTION


# %%
check("adversarial.critic_loss")

# %% [markdown]
# Look at a game small enough to see all of it: numbers instead of pictures. True ones lie around -2 with
# probability 0.7 and around 2 with 0.3. The generator turns noise into numbers.

# %%
def play_toy(steps, rate, seed=cfg.seed):
    """Play in one dimension; return snapshots (step, made numbers, critic)."""
    seed_everything(seed)
    make = lambda: nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
    G, D, snapshots = make(), make(), []
    of_G, of_D = (torch.optim.Adam(net.parameters(), rate, betas=(0.5, 0.999)) for net in (G, D))
    for step in range(steps + 1):
        true, noise = games.toy_numbers(256), torch.randn(256, 1)
        loss_D = critic_loss(D(true), D(G(noise).detach()))
        ...

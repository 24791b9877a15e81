# %%
@exercise("adversarial.critic_loss")
def critic_loss(true, generated, smooth=0.1):
    """Logits (N, 1, h, w) of true and of generated pictures -> scalar: the mean of the two halves.

    The label of true pictures is 1 - smooth, that of generated ones 0.
    """
    ### BEGIN SOLUTION
    on_true = F.binary_cross_entropy_with_logits(true, torch.full_like(true, 1 - smooth))
    on_generated = F.binary_cross_entropy_with_logits(generated, torch.zeros_like(generated))
    return (on_true + on_generated) / 2
    ### END SOLUTION


# %%
check("adversarial.critic_loss")


# %%
@exercise("adversarial.generator_loss")
def generator_loss(logits, prediction, truth, lam=0.9):
    """Mean of -log D over the patches, plus lam times the mean absolute error over all of ab.

    logits (N, 1, h, w) are the critic's of the generated pictures; prediction and truth (N, 2, H, W).
    """
    ### BEGIN SOLUTION
    fooled = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
    return fooled + lam * (prediction - truth).abs().mean()
    ### END SOLUTION


# %%
check("adversarial.generator_loss")


# %% [markdown]
# The text has to say: convolutions of 4 x 4 as in pix2pix are one way, any layers whose field is 16 are
# right; the input is L and ab together, 3 channels, already scaled; logits, so no sigmoid; from the last
# layer back to the first a field r becomes (r - 1) * stride + kernel. Batch norm is accepted (it is judged
# in eval mode), a norm that ties patches also in eval mode (instance norm) is not.


# %%
@exercise("adversarial.patch")
def patch_critic(width=16):
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


# %% [markdown]
# The text has to say: norms are roots of sums of squares; the training goes on after the measurement, so
# change nothing: no .grad, and the graph stays (retain_graph=True).


# %%
@exercise("adversarial.lambda_share")
def adversarial_share(made, adversarial, pixel, lam):
    """made (N, 2, H, W), the generator's output; both losses as scalars -> a number from 0 to 1.

    Norm of the gradient of `adversarial` by `made`, divided by itself plus that of lam * pixel.
    """
    ### BEGIN SOLUTION
    (pull,) = torch.autograd.grad(adversarial, made, retain_graph=True)
    (hold,) = torch.autograd.grad(lam * pixel, made, retain_graph=True)
    return pull.norm() / (pull.norm() + hold.norm())
    ### END SOLUTION


# %%
check("adversarial.lambda_share")


# %%
# from colorkit.course.games import clinic, plot_charts, readings
charts = clinic(cfg.seed)
show(
    plot_charts(charts),
    alt="For games A to E, over the steps: how often the critic is right on generated and on gray "
    "pictures, both losses, the adversarial share of the gradient; below them four generated pictures "
    "and the true ones.",
)
display(readings(charts).round(3))


# %% [markdown]
# **Exercise 5** (8 minutes). Name each game: `"healthy"`, or one of
#
# - `"critic has won"`: it is far stronger, and the generator hardly moves,
# - `"critic is never updated"`: its optimizer does nothing,
# - `"lam masks the critic"`: the pixel loss is all that is heard,
# - `"labels swapped for the generator"`: it is rewarded where the critic says *generated*.


# %%
@exercise("adversarial.clinic")
def diagnosis():
    """{game: name} for "A" to "E"."""
    ### BEGIN SOLUTION
    return {
        "A": "lam masks the critic",
        "B": "labels swapped for the generator",
        "C": "critic is never updated",
        "D": "healthy",
        "E": "critic has won",
    }
    ### END SOLUTION


# %%
check("adversarial.clinic")


# %% tags=["extra"]
@exercise("adversarial.hinge")
def hinge(true, generated):
    """Logits -> (the critic's loss, the mean of its halves, with a margin of 1; the generator's)."""
    ### BEGIN SOLUTION
    critic = (F.relu(1 - true).mean() + F.relu(1 + generated).mean()) / 2
    return critic, -generated.mean()
    ### END SOLUTION


# %% tags=["extra"]
check("adversarial.hinge")

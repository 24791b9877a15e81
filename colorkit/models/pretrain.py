"""Weights to transfer without any download: a ResNet-18 of width 16 that names what worlds show.

It learns from made pictures, gray ones, which kind of thing each cell of 4 x 4 pixels shows: apple,
grass, hair, snow. It never sees a colour, and its pictures have seeds that no lesson uses. The
scores of four levels are added up as in "Fully convolutional networks" (J. Long et al., CVPR 2015),
so that every stage of the encoder learns.
"""

import io
import platform
from pathlib import Path

import click
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.batches import Batches
from colorkit.files import write_whole
from colorkit.models.resnet import Encoder, encoder_input, pack, saved_weights, unpack
from colorkit.worlds import WORLDS

WIDTH, SIZE, CELL = 16, 64, 4
SHARES = {"orchard": 0.5, "portraits": 0.25, "bears": 0.25}
SEED = 90_000  # and the one after it, for held-out pictures
HELD_OUT = 512
KINDS = tuple(sorted({kind for name in SHARES for kind in WORLDS[name](1).kinds}))


class KindClassifier(Encoder):
    """A ResNet-18 that scores the kinds of each cell: raw L (N, 1, H, W) to (N, K, H/4, W/4).

    H and W are multiples of 32. Its state dict is the encoder's, with the classifier as `fc`.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__(18, width)
        self.fc = nn.ModuleList(nn.Conv2d(count, len(KINDS), 1) for count in self.channels[1:])

    def forward(self, L: Tensor) -> Tensor:
        score = None
        for layer, feature in zip(
            reversed(self.fc), reversed(super().forward(encoder_input(L))[1:]), strict=True
        ):
            own = layer(feature)
            score = own if score is None else own + F.interpolate(score, scale_factor=2)
        return score


def draw(count: int, seed: int, size: int = SIZE) -> tuple[Tensor, Tensor]:
    """Pictures of all worlds: L (N, 1, H, W), and the commonest kind of each cell (N, H/4, W/4).

    The kinds are numbers in `KINDS`, uint8.

    Examples
    --------
    >>> L, cells = draw(8, SEED)
    >>> L.shape, cells.shape, KINDS[cells[0, -1, -1]]
    (torch.Size([8, 1, 64, 64]), torch.Size([8, 16, 16]), 'cloth')
    """
    planes, labels = [], []
    for name, share in SHARES.items():
        world = WORLDS[name](round(count * share), size, seed)
        number = torch.tensor([KINDS.index(kind) for kind in world.kinds], dtype=torch.uint8)
        for batch in world.batches():
            patches = number[batch.kinds[:, 0]].unfold(1, CELL, CELL).unfold(2, CELL, CELL)
            labels.append(patches.flatten(3).mode(-1).values)
            planes.append(batch.L)
    return torch.cat(planes), torch.cat(labels)


def kind_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Cross-entropy of the cells' kinds."""
    L, cells = batch
    return F.cross_entropy(model(L), cells.long())


@torch.no_grad()
def measure(model: KindClassifier, L: Tensor, cells: Tensor) -> dict[str, float]:
    """How well a classifier does, as shares in 0 to 1.

    Returns
    -------
    dict
        "accuracy" of cells; "mean_recall", the mean over the kinds that occur; and "majority", the
        accuracy of always saying the commonest kind.
    """
    model = model.eval()
    said = torch.cat([model(part.to(model.conv1.weight.device)).argmax(1) for part in L.split(64)])
    right, cells = (said.cpu() == cells).flatten().double(), cells.flatten().long()
    counts = torch.bincount(cells, minlength=len(KINDS))
    hits = torch.bincount(cells, right, minlength=len(KINDS))
    return {
        "accuracy": right.mean().item(),
        "mean_recall": (hits / counts)[counts > 0].mean().item(),
        "majority": (counts.max() / counts.sum()).item(),
    }


def pretrain(
    out: str | Path,
    steps: int = 3000,
    pictures: int = 8000,
    batch: int = 32,
    seed: int = SEED,
    device: str | None = None,
) -> dict:
    """Train a `KindClassifier`, write its weights in 8 bits, and return what is known of them.

    Parameters
    ----------
    out : path
        The file of weights, to be given to ``ResNetColorizer(18, weights=out)``.
    steps, pictures, batch, seed : int
        Held-out pictures have the seed after this one.
    device : str, optional
        None: the fastest.

    Raises
    ------
    RuntimeError
        If it was stopped by Ctrl-C: weights of half a run are not written.
    """
    from colorkit.training.fit import fit
    from colorkit.training.options import Options

    torch.manual_seed(seed)
    model = KindClassifier()
    data = Batches(draw(pictures, seed), batch, seed=seed)
    options = Options(steps=steps, lr=3e-3, warmup=steps // 20, seed=seed)
    run = fit(model, kind_loss, data, options, device=device)
    if run.stopped != "finished":
        raise RuntimeError(f"stopped at step {run.step} of {steps}: {out} was not written")
    packed = pack(model.cpu().state_dict())
    model.load_state_dict(unpack(packed))  # what is measured is what the file holds
    made = {
        "command": f"colorkit pretrain OUT --steps {steps} --pictures {pictures} --seed {seed}",
        "batch": batch,
        "kinds": list(KINDS),
        "held_out": HELD_OUT,
        **measure(model, *draw(HELD_OUT, seed + 1)),
        "seconds": round(run.seconds, 1),
        "device": str(run.device),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }
    file = io.BytesIO()
    torch.save({**packed, "made": made}, file)
    write_whole(out, file.getvalue())
    return made


def load_classifier(path: str | Path) -> tuple[KindClassifier, dict]:
    """The classifier of a file that `pretrain` wrote, and what is known of it."""
    state = saved_weights(path)
    model = KindClassifier(len(state["model"]["conv1.weight"]))
    model.load_state_dict(state["model"])
    return model.eval(), state["made"]


@click.command("pretrain")
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--steps", type=click.IntRange(min=20), default=3000, show_default=True)
@click.option("--pictures", type=click.IntRange(min=64), default=8000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=SEED, show_default=True)
@click.option("--device", help="cpu, cuda or mps (default: the fastest).")
def command(out: Path, steps: int, pictures: int, seed: int, device: str | None) -> None:
    """Train a small ResNet-18 on the labels of the made worlds, and write its weights to OUT."""
    made = pretrain(out, steps, pictures, seed=seed, device=device)
    click.echo(
        f"{out}: {made['accuracy']:.1%} of held-out cells right, mean recall of "
        f"{len(KINDS)} kinds {made['mean_recall']:.1%}, commonest kind {made['majority']:.1%}"
    )

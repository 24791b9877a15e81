"""Weights to transfer without any download: a ResNet-18 of width 16 that names what worlds show.

    python scripts/pretrain.py colorkit/models/weights/resnet18_width16.pt --device cpu

A maintainer runs it when a world gets other kinds or looks. The network learns from made pictures,
gray ones, which kind of thing each cell of 4 x 4 pixels shows: apple, grass, hair, snow. It never
sees a colour, and its pictures have seeds that no lesson uses. The scores of four levels are added
up as in J. Long et al., "Fully convolutional networks" (CVPR 2015), so that every stage learns.
"""

import io
import platform
from pathlib import Path

import click
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorkit.batches import Batches
from colorkit.device import pick_device
from colorkit.files import write_whole
from colorkit.fit import fit
from colorkit.models.colorizer import evaluating
from colorkit.models.resnet import Encoder, ResNetColorizer, unpack
from colorkit.worlds import WORLDS

WIDTH, SIZE, CELL = 16, 64, 4
SHARES = {"orchard": 0.5, "portraits": 0.25, "bears": 0.25}
SEED = 90_000  # and the one after it, for held-out pictures
HELD_OUT = 512
KINDS = tuple(sorted({kind for name in SHARES for kind in WORLDS[name](1).kinds}))


class KindClassifier(Encoder):
    """Scores the kinds of each cell: raw L (N, 1, H, W), multiples of 32, to (N, K, H/4, W/4).

    Its state dict is the encoder's, with the classifier as `fc`.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__(18, width)
        self.fc = nn.ModuleList(nn.Conv2d(count, len(KINDS), 1) for count in self.channels[1:])

    def forward(self, L: Tensor) -> Tensor:
        features = super().forward(ResNetColorizer.encoder_input(L))[1:]
        *finer, last = [layer(x) for layer, x in zip(self.fc, features, strict=True)]
        for score in reversed(finer):
            last = score + F.interpolate(last, scale_factor=2)
        return last


def draw(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pictures of all worlds: L (N, 1, 64, 64), and of each cell the commonest kind (N, 16, 16).

    The kinds are numbers in `KINDS`, uint8.
    """
    planes, labels = [], []
    for name, share in SHARES.items():
        world = WORLDS[name](round(count * share), SIZE, seed)
        number = torch.tensor([KINDS.index(kind) for kind in world.kinds], dtype=torch.uint8)
        for batch in world.batches():
            patches = number[batch.kinds[:, 0].long()].unfold(1, CELL, CELL).unfold(2, CELL, CELL)
            labels.append(patches.flatten(3).mode(-1).values)
            planes.append(batch.L)
    return torch.cat(planes), torch.cat(labels)


def kind_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Cross-entropy of the cells' kinds."""
    L, cells = batch
    return F.cross_entropy(model(L), cells.long())


@torch.no_grad()
def measure(model: KindClassifier, L: Tensor, cells: Tensor) -> dict[str, float]:
    """The share of cells that are right, the mean over kinds, and that of the commonest kind."""
    with evaluating(model):
        said = torch.cat([model(part).argmax(1) for part in L.split(64)])
    right, cells = (said == cells).flatten().double(), cells.flatten().long()
    counts = torch.bincount(cells, minlength=len(KINDS))
    hits = torch.bincount(cells, right, minlength=len(KINDS))
    return {
        "accuracy": right.mean().item(),
        "mean_recall": (hits / counts)[counts > 0].mean().item(),
        "majority": (counts.max() / counts.sum()).item(),
    }


def pack(state: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """A quarter of the size: convolutions in 8 bits, with a scale for each output channel."""
    kernels = {name: value for name, value in state.items() if value.ndim == 4}
    scales = {k: v.abs().amax((1, 2, 3), keepdim=True) / 127 + 1e-12 for k, v in kernels.items()}
    rounded = {k: (v / scales[k]).round().to(torch.int8) for k, v in kernels.items()}
    return {"model": {**state, **rounded}, "scales": scales}


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--steps", type=click.IntRange(min=20), default=3000, show_default=True)
@click.option("--pictures", type=click.IntRange(min=64), default=8000, show_default=True)
@click.option("--device", help="cpu, cuda or mps (default: the fastest).")
def main(out: Path, steps: int, pictures: int, device: str | None) -> None:
    """Train a small ResNet-18 on the labels of the made worlds, and write its weights to OUT."""
    torch.manual_seed(SEED)
    model = KindClassifier()
    data = Batches(draw(pictures, SEED), 32, seed=SEED)
    options = {"lr": 3e-3, "schedule": "one-cycle", "seed": SEED, "device": device}
    run = fit(model, kind_loss, data, steps, **options)
    if run.stopped != "finished":
        raise click.ClickException(f"stopped at step {run.step} of {steps}: {out} was not written")
    packed = pack(model.cpu().state_dict())
    model.load_state_dict(unpack(packed))  # what is measured is what the file holds
    made = {
        "command": f"python scripts/pretrain.py OUT --steps {steps} --pictures {pictures}",
        "kinds": list(KINDS),
        **measure(model, *draw(HELD_OUT, SEED + 1)),
        "seconds": round(run.history[-1]["seconds"], 1),
        "device": str(pick_device(device)),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }
    file = io.BytesIO()
    torch.save({**packed, "made": made}, file)
    write_whole(out, file.getvalue())
    click.echo(
        f"{out}: {made['accuracy']:.1%} of held-out cells right, mean recall of "
        f"{len(KINDS)} kinds {made['mean_recall']:.1%}, commonest kind {made['majority']:.1%}"
    )


if __name__ == "__main__":
    main()

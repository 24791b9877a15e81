"""The colorizer for photographs that comes along: a decoder on a frozen EfficientNet-Lite0.

    python scripts/pretrain_colorizer.py colorkit/models/weights/photographs.pt FOLDER... --work W

A maintainer runs it when there are more photographs whose weights may be given away. Each FOLDER is
one set; it is prepared into a store below W and split by file, 60/20/20, and the run's checkpoints
are below W too, so that the same command goes on after a stop. Classes over the 313 bins at a
quarter of the size, cross-entropy rebalanced; zoomed, shifted and flipped pictures of 128 pixels.
"""

import io
import json
import platform
from collections.abc import Iterator
from pathlib import Path

import click
import torch
from torch import Tensor
from torch.nn import functional as F

from colorkit.batches import Batches
from colorkit.bins import estimate_prior, rebalancing_weights
from colorkit.data.prepare import prepare
from colorkit.data.store import Store
from colorkit.device import pick_device, seed_everything
from colorkit.evaluate import paired_difference, score_models, table
from colorkit.files import write_whole
from colorkit.fit import fit
from colorkit.losses import Classification
from colorkit.models import Colorizer, Gray, RandomPicture
from colorkit.models.loading import build
from colorkit.run import Run

SIZE, WIDTH, HIDDEN, LAM, BATCH, LR = 128, 16, 128, 0.75, 32, 3e-3
FOLDER = click.Path(file_okay=False, path_type=Path)
MEASURES = ("auc", "auc_rebalanced", "within_10", "colorfulness_ratio")


class Crops:
    """Batches of which each picture shows a random square of 1/2 to all of its side, enlarged."""

    def __init__(self, data: Batches) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __call__(self, epoch: int = 0, start_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        for step, (L, ab) in enumerate(self.data(epoch, start_step), start_step):
            generator = torch.Generator().manual_seed(epoch * len(self) + step)
            share = 1 - torch.rand(len(L), generator=generator) / 2
            theta = torch.zeros(len(L), 2, 3)
            theta[:, [0, 1], [0, 1]] = share[:, None]
            shift = 2 * torch.rand(len(L), 2, generator=generator) - 1
            theta[:, :, 2] = (1 - share)[:, None] * shift
            lab = torch.cat([L, ab], 1)
            grid = F.affine_grid(theta, list(lab.shape), align_corners=False)
            lab = F.grid_sample(lab, grid, padding_mode="border", align_corners=False)
            yield lab[:, :1], lab[:, 1:]


def pictures(stores: list[Store], split: str) -> Tensor:
    """RGB uint8 (N, 3, SIZE, SIZE) of a split of all stores."""
    return torch.cat([torch.from_numpy(x.pictures(x.rows(split))) for x in stores])


def measure(ours: Colorizer, store: Store) -> dict:
    """Scores on the held-out pictures, and what ours has more than each, with its interval."""
    train = Batches(store, BATCH, in_order=True)
    models = {"ours": ours, "gray": Gray(), "random": RandomPicture(train())}
    scores = score_models(models, Batches(store, 32, split="test", in_order=True)(), MEASURES)
    found = {"pictures": len(store.rows("test")), **table(scores).round(4).to_dict("index")}
    for other in ("gray", "random"):
        pairs = {x: paired_difference(scores["ours"][x], scores[other][x]) for x in MEASURES}
        found[f"ours - {other}"] = {k: [round(x, 4) for x in v] for k, v in pairs.items()}
    return found


def half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Kernels in half precision, and all else, a hundredth of the size, as it is."""
    return {k: v.half() if v.ndim == 4 else v for k, v in state.items()}


def write_weights(
    out: Path, run: Run, stores: dict[str, Store], seed: int, held_out: dict, content: dict
) -> None:
    """The content of a file of weights, and how it was made: to `out`, and the latter to print."""
    made = {
        "pictures": {name: store.manifest["splits"] for name, store in stores.items()},
        "seed": seed,
        "steps": run.step,
        "minutes": round(run.history[-1]["seconds"] / 60, 1),
        "device": str(pick_device()),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "held_out": held_out,
    }
    file = io.BytesIO()
    torch.save({**content, "made": made}, file)
    write_whole(out, file.getvalue())
    click.echo(json.dumps(made, indent=1))


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.argument(
    "folders",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--work", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--steps", type=click.IntRange(min=20), default=3200, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(out: Path, folders: tuple[Path, ...], work: Path, steps: int, seed: int) -> None:
    """Train a colorizer on the photographs in FOLDERS, and write its weights to OUT."""
    names = [folder.name for folder in folders]
    stores = [prepare(x, work / x.name, SIZE, "60/20/20", workers=1)[0] for x in folders]
    seed_everything(seed)
    arguments = {"model": "lite0", "width": WIDTH, "loss": "classes", "hidden": HIDDEN}
    model = build(**arguments, frozen=True, dropout=0.2)
    train = pictures(stores, "train")
    prior = estimate_prior(Batches(train, BATCH, in_order=True))
    data = Crops(Batches(train, BATCH, seed=seed))
    run = fit(
        model,
        Classification(weights=rebalancing_weights(prior.p, LAM)),
        data,
        steps,
        lr=LR,
        schedule="one-cycle",
        seed=seed,
        validation=Batches(pictures(stores, "val"), BATCH, in_order=True),
        metric=Classification(),
        folder=work / "run",
        resume=True,
        config={**arguments, "lam": LAM, "data": [x.manifest["checksum"] for x in stores]},
    )
    if run.stopped != "finished":
        raise click.ClickException(f"stopped at step {run.step} of {steps}: {out} was not written")
    packed = half(model.cpu().state_dict())
    model.float().load_state_dict(packed)  # what is measured is what the file holds
    named = dict(zip(names, stores, strict=True))
    held_out = {name: measure(model, store) for name, store in named.items()}
    content = {"arguments": arguments, "model": packed}
    write_weights(out, run, named, seed, held_out, content)


if __name__ == "__main__":
    main()

"""The hint network that comes along, and how its error falls with the number of clicks.

    colorkit data prepare fruits --size 64 --out stores/fruits    (so also groceries, portraits)
    python scripts/pretrain_hints.py colorkit/models/weights/hints.pt stores/* --device cpu

A maintainer runs it on photographs whose weights may be passed on: fruits and groceries of the
Grocery Store Dataset (MIT) and official portraits (works of the US government). It trains on the
stores' splits "train" and measures on "test"; colorcourse/recorded/hints.csv gets the curve.
"""

import io
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pandas as pd
import torch
from torch import Tensor

import colorcourse
from colorkit.batches import Batches
from colorkit.color import rgb_to_lab, split_lab
from colorkit.data.store import Store
from colorkit.device import pick_device, seed_everything
from colorkit.evaluate import paired_difference
from colorkit.files import write_whole
from colorkit.fit import fit
from colorkit.losses import l1
from colorkit.metrics import auc, share_within
from colorkit.models import Gray
from colorkit.models.hints import HintUNet

CONFIG = {"width": 11, "depth": 4}  # below 2 MB in half precision
CLICKS = (0, 1, 2, 5, 10, 20)
METRICS = {"auc": auc, "within_10": share_within}
BATCH, SEED = 16, 0
STOP = 1 / 8  # the chance that a simulated user stops before the next hint
LARGEST = 9  # pixels, the side of the largest simulated patch
RECORDED = Path(colorcourse.__file__).parent / "recorded" / "hints.csv"


def pictures(stores: Sequence[Path], split: str) -> Tensor:
    """All pictures of a split, RGB (N, 3, H, W) uint8."""
    opened = [Store(path) for path in stores]
    return torch.cat([torch.from_numpy(s.pictures(s.rows(split))) for s in opened])


def simulate_hints(
    ab: Tensor, count: int | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Hints (N, 3, H, W) that a user could give who knows the true ab (N, 2, H, W).

    As in the paper: each picture has `count` of them, or a number from the geometric distribution
    0, 1, 2, ... that stops with probability 1/8 before each, 7 on average. A hint is a square of 1
    to 9 pixels a side, with the mean of its ab; squares lie around the middle of the picture, with
    a standard deviation of a quarter of its sides, and never outside. Later ones cover earlier
    ones. The generator is one of the CPU, by default torch's own.
    """
    hints = ab.new_zeros(len(ab), 3, *ab.shape[2:])
    counts = torch.empty(len(ab)).geometric_(STOP, generator=generator).int() - 1
    room = torch.tensor(ab.shape[2:])
    for colors, hint, drawn in zip(ab, hints, counts.tolist(), strict=True):
        number = drawn if count is None else count
        sides = torch.randint(1, min(LARGEST, *room.tolist()) + 1, (number, 1), generator=generator)
        free = room - sides
        corners = free / 2 + torch.randn(number, 2, generator=generator) * free / 4
        corners = torch.minimum(corners.round().int().clamp_min(0), free)
        for (side,), (top, left) in zip(sides.tolist(), corners.tolist(), strict=True):
            rows, columns = slice(top, top + side), slice(left, left + side)
            hint[:2, rows, columns] = colors[:, rows, columns].mean((1, 2), keepdim=True)
            hint[2, rows, columns] = 1
    return hints


def curve(net: HintUNet, stores: Sequence[Path]) -> Iterator[dict]:
    """AuC and share within 10 of held-out pictures over the number of simulated clicks.

    Rows for each store and all together, with a 95% interval over the pictures; gray comes first.
    """
    for name, folders in {"all": stores, **{path.name: [path] for path in stores}}.items():
        L, ab = split_lab(rgb_to_lab(pictures(folders, "test")))
        planes = {("gray", 0): Gray().colorize(L)}
        for clicks in CLICKS:
            hints = simulate_hints(ab, clicks, torch.Generator().manual_seed(SEED))
            parts = zip(L.split(64), hints.split(64), strict=True)
            found = torch.cat([net.colorize(part, hints=given) for part, given in parts])
            planes["HintUNet", clicks] = found
        for (model, clicks), found in planes.items():
            for metric, measure in METRICS.items():
                values = measure(found, ab)
                value = paired_difference(values, torch.zeros_like(values))
                row = dict(zip(("value", "low", "high"), value, strict=True))
                where = {"pictures": name, "count": len(L), "model": model, "clicks": clicks}
                yield {**where, "metric": metric, **row}


def objective(net: HintUNet, batch: tuple[Tensor, Tensor]) -> Tensor:
    """L1 of a batch with simulated hints."""
    L, ab = batch
    return l1(net(L, simulate_hints(ab)), ab)


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("stores", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--steps", type=click.IntRange(min=10), default=9000, show_default=True)
@click.option("--device", help="cpu, cuda or mps (default: the fastest).")
@click.option("--table", type=click.Path(path_type=Path), default=RECORDED, help="The curve's CSV.")
def main(out: Path, stores: tuple[Path, ...], steps: int, device: str | None, table: Path) -> None:
    """Train a HintUNet on STORES, write its weights to OUT and its curve to a CSV."""
    seed_everything(SEED)
    net, device = HintUNet(**CONFIG), pick_device(device)
    data = Batches(pictures(stores, "train"), BATCH, seed=SEED)
    options = {"lr": 3e-3, "schedule": "one-cycle", "seed": SEED, "device": device}
    run = fit(net, objective, data, steps, **options)
    if run.stopped != "finished":
        raise click.ClickException(f"stopped at step {run.step} of {steps}: {out} was not written")
    state = {k: v.half() if v.is_floating_point() else v for k, v in net.cpu().state_dict().items()}
    net.load_state_dict(state)  # what is measured is what the file holds
    made = {
        "command": f"python scripts/pretrain_hints.py OUT STORES --steps {steps}",
        "stores": {path.name: Store(path).manifest["splits"] for path in stores},
        "minutes": round(run.history[-1]["seconds"] / 60, 1),
        "device": device.type,
        "python": platform.python_version(),
        "torch": str(torch.__version__).split("+")[0],
    }
    file = io.BytesIO()
    torch.save({"config": CONFIG, "model": state, "made": made}, file)
    write_whole(out, file.getvalue())
    frame = pd.DataFrame(curve(net, stores)).round(4)
    about = (
        f"# {made['command']}: {len(data.planes[0])} pictures of {data.planes[0].shape[-1]} pixels "
        f"a side, seed {SEED}; device {device.type}, torch {made['torch']}\n"
    )
    write_whole(table, about + frame.to_csv(index=False, lineterminator="\n"))
    click.echo(f"wrote {out} ({len(file.getvalue()) / 1e6:.2f} MB) and {table}")
    click.echo(frame[frame.pictures == "all"].to_string(index=False))


if __name__ == "__main__":
    main()

"""The flow for photographs that comes along: many colourings of one gray picture.

    python scripts/pretrain_flow.py colorkit/models/weights/flow.pt FOLDER... --work W

A maintainer runs it on the photographs of scripts/pretrain_colorizer.py, whose frozen encoder it
uses: only what it adds to that encoder is written. Each FOLDER is prepared and split as there, and
the same command goes on after a stop.
"""

from pathlib import Path

import click
import torch

from colorkit.batches import Batches
from colorkit.data.prepare import prepare
from colorkit.data.store import Store
from colorkit.device import seed_everything
from colorkit.evaluate import paired_difference
from colorkit.fit import fit
from colorkit.flow import FlowColorizer, flow_matching
from colorkit.metrics import colorfulness, share_within
from colorkit.models import load_colorizer
from colorkit.plots import fitted_rgb
from scripts.pretrain_colorizer import FOLDER, Crops, half, pictures, write_weights

SIZE, CONFIG, BATCH, LR, DRAWS = 64, {"width": 48}, 32, 5e-3, 8


def measure(net: FlowColorizer, store: Store) -> dict:
    """On held-out pictures: what DRAWS draws are worth against the colorizer's one answer.

    Share within 10 of a single draw, of the best of the draws (chosen by the truth) and of their
    mean; how far two draws are apart, in ab units; colourfulness of a draw. The colorizer is asked
    at this size too, half of its own, where it scores less: docs/colorizer.md.
    """
    L, ab = next(Batches(store, len(store.rows("test")), split="test", in_order=True)())
    parts = L.split(32)
    drawn = torch.cat([net.samples(part, DRAWS, seed) for seed, part in enumerate(parts)], 1)
    colorizer = load_colorizer()
    one = share_within(torch.cat([colorizer.colorize(part) for part in parts]), ab)
    ours = torch.stack([share_within(x, ab) for x in drawn])
    vivid = [colorfulness(fitted_rgb(L, x)).mean() for x in (drawn[0], ab)]
    best = paired_difference(ours.amax(0), one)
    return {
        "pictures": len(L),
        "within_10": {
            "a draw": round(ours.mean().item(), 4),
            f"best of {DRAWS}": round(ours.amax(0).mean().item(), 4),
            f"mean of {DRAWS}": round(share_within(drawn.mean(0), ab).mean().item(), 4),
            "photographs": round(one.mean().item(), 4),
            f"best of {DRAWS} - photographs": [round(x, 4) for x in best],
        },
        "two draws apart": round((drawn[0] - drawn[1]).norm(dim=1).mean().item(), 2),
        "colorfulness": round((vivid[0] / vivid[1]).item(), 4),
    }


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("folders", nargs=-1, required=True, type=FOLDER)
@click.option("--work", required=True, type=FOLDER)
@click.option("--steps", type=click.IntRange(min=20), default=12_000, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(out: Path, folders: tuple[Path, ...], work: Path, steps: int, seed: int) -> None:
    """Train a flow on the photographs in FOLDERS, and write what it adds to its encoder to OUT."""
    stores = [prepare(x, work / x.name, SIZE, "60/20/20", workers=1)[0] for x in folders]
    seed_everything(seed)
    net = FlowColorizer(load_colorizer().trunk, **CONFIG)
    data = Crops(Batches(pictures(stores, "train"), BATCH, seed=seed))
    how = {"lr": LR, "schedule": "one-cycle", "seed": seed, "folder": work / "run", "resume": True}
    config = {**CONFIG, "data": [x.manifest["checksum"] for x in stores]}
    run = fit(net, flow_matching, data, steps, config=config, **how)
    if run.stopped != "finished":
        raise click.ClickException(f"stopped at step {run.step} of {steps}: {out} was not written")
    state = {k: v for k, v in net.cpu().state_dict().items() if not k.startswith("trunk.")}
    state = half(state)
    net.load_state_dict(net.state_dict() | state)  # what is measured is what the file holds
    named = dict(zip((x.name for x in folders), stores, strict=True))
    held_out = {name: measure(net, store) for name, store in named.items()}
    write_weights(out, run, named, seed, held_out, {"config": CONFIG, "model": state})


if __name__ == "__main__":
    main()

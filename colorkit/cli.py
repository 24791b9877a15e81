"""The command line: ``colorkit ...``.

``train`` and ``colorize`` are here. Further commands are entry points of the group
``colorkit.commands`` in pyproject.toml: the course adds its own where it is installed, and the
library need not know it.
"""

import json
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click

OUR_ERRORS = (OSError, ValueError, RuntimeError)
MODELS = ("cnn", "encoder-decoder", "unet", "zhang", "lite0", "resnet18", "resnet50")


class UserPath(click.Path):
    """A path in which ~ is the home folder, also where the shell left it, as in --out=~/x."""

    def convert(self, value, param, ctx):
        return super().convert(os.path.expanduser(value), param, ctx)


PATH = UserPath(path_type=Path)
LEFT_OUT = 3  # exit status where something could not be read that may be a sound picture


class Commands(click.Group):
    """A group with further commands that are entry points, loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *entry_points(group="colorkit.commands").names})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        found = entry_points(group="colorkit.commands", name=name)
        return self.commands.get(name) or (next(iter(found)).load() if found else None)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="colorkit")
def colorkit() -> None:
    """Learn deep learning by giving gray photographs their colours back."""


@colorkit.command(context_settings={"show_default": True})
@click.argument("store", type=UserPath(exists=True, file_okay=False, path_type=Path))
@click.option("--folder", type=PATH, help="Where the run goes.")
@click.option("--model", type=click.Choice(MODELS), default="unet")
@click.option("--width", type=click.IntRange(1), help="Channels of the model, if not its default.")
@click.option("--weights", help="Where a ResNet starts: worlds, imagenet or a file.")
@click.option("--from", "start", type=PATH, help="Run to take weights from.")
@click.option("--loss", type=click.Choice(["l2", "l1", "classes"]), default="l2")
@click.option("--lam", type=click.FloatRange(0, 1), default=1.0, help="Rebalances classes below 1.")
@click.option("--epochs", type=click.IntRange(1), help="How long.  [default: 20]")
@click.option("--steps", type=click.IntRange(1), help="How long, in batches instead of epochs.")
@click.option("--batch", type=click.IntRange(1), default=32, help="Of all processes together.")
@click.option("--lr", type=float, default=1e-3)
@click.option("--schedule", default="cosine", help="cosine, one-cycle or constant.")
@click.option("--patience", type=click.IntRange(1), help="Stop after so many worse validations.")
@click.option("--seed", type=int, default=0)
@click.option("--resume", is_flag=True, help="Go on from the folder's last checkpoint, if any.")
@click.option("--device", help="cpu, cuda or mps; the fastest, if not given.")
@click.option("--precision", default="auto", help="auto, float32, bf16 or float64.")
@click.pass_context
def train(context, store, folder, epochs, resume, device, **options) -> None:
    """Train a model on a prepared STORE; Ctrl-C stops it and keeps what was learned.

    Ten times in a run the loss on the split "val" is measured: best.pt holds the best weights.

    With --resume, options that are not given are those of the run, which may go on with another
    --steps, --epochs, --lr, --schedule, --patience or --precision. --from begins a new run from
    the weights of an old one.

    Several processes: torchrun --nproc-per-node 2 -m colorkit train STORE
    """
    from colorkit import bins, distributed, losses
    from colorkit.batches import Batches
    from colorkit.data.store import Store
    from colorkit.device import pick_device, seed_everything
    from colorkit.fit import fit
    from colorkit.models.loading import build
    from colorkit.progress import closing
    from colorkit.run import MAY_CHANGE, read_checkpoint

    folder = folder or Path("runs", f"{options['model']}-{options['loss']}-{store.name}")
    given = {x for x in options if context.get_parameter_source(x).name == "COMMANDLINE"}
    was = {}
    if resume and (folder / "last.pt").exists():
        was = read_checkpoint(folder / "last.pt")["arguments"]
    options |= {x: was[x] for x in options if x in was and x not in given}
    names = ("model", "width", "weights", "start", "loss", "lam", "batch")
    model, width, weights, start, loss, lam, batch = choice = [options.pop(x) for x in names]
    if weights and (start or not model.startswith("resnet")):
        raise click.UsageError("--weights is for a ResNet, and not beside --from")
    if epochs and "steps" in given:
        raise click.UsageError("--steps and --epochs both say how long: give one of them")
    if lam < 1 and loss != "classes":
        raise click.UsageError("--lam is for --loss classes")
    if loss == "classes" and model in ("cnn", "encoder-decoder"):
        raise click.UsageError(f"--loss classes is for unet, zhang, lite0 and ResNets, not {model}")
    pictures = Store(store)  # told by its content, for a folder may move
    if options["patience"] and not len(pictures.rows("val")):
        raise click.UsageError(f"--patience needs validation: {store} has no split val")
    config = {**dict(zip(names, choice, strict=True)), "store": pictures.manifest["checksum"]}
    with distributed.process_group(pick_device(device)):
        seed_everything(options["seed"])
        beginning = {"weights": weights} if model.startswith("resnet") else {}
        net = build(model, width, loss, **beginning)
        data = Batches(pictures, batch, seed=options["seed"], device=device)
        validation = None
        if len(pictures.rows("val")):
            validation = Batches(pictures, batch, split="val", in_order=True, device=device)
        if loss == "classes":
            objective = losses.Classification()
        else:
            objective = losses.regression(getattr(losses, loss))
        metric = objective  # without the weights, so that runs can be compared
        if lam < 1:
            prior = bins.estimate_prior(Batches(pictures, batch, in_order=True, device=device))
            objective = losses.Classification(weights=bins.rebalancing_weights(prior.p, lam))
        if start and not was:
            file = next(filter(Path.exists, (start / "best.pt", start / "last.pt")), start)
            net.load_state_dict(read_checkpoint(file)["model"])
        if epochs or not options["steps"]:
            options["steps"] = (epochs or 20) * len(data)
        options |= {"resume": resume and (MAY_CHANGE & {*given, epochs and "steps"} or True)}
        options |= {"metric": metric, "folder": folder, "config": config, "device": device}
        run = fit(net, objective, data, validation=validation, **options)
        if distributed.is_main():
            click.echo(f"{folder}: {closing(run)}")


@colorkit.command(context_settings={"show_default": True})
@click.argument("pictures", metavar="PICTURE...", nargs=-1, required=True, type=PATH)
@click.option("--out", type=PATH, default="coloured", help="Folder for the results.")
@click.option("--model", default="photographs", help="Or hints, flow, or a run of train.")
@click.option("--temperature", type=float, help="Near 0 the likeliest colours, at 1 the mean.")
@click.option("--samples", type=click.IntRange(1), help="Write so many colourings of each.")
@click.option("--hints", type=PATH, help="JSON with colours that you know, of one PICTURE.")
@click.option("--force", is_flag=True, help="Also what has colours, and over earlier results.")
def colorize(pictures, hints, **options) -> None:
    """Give photographs colours: files, and all that folders hold.

    Each goes under its own name to the folder --out; a folder's own folders are kept. PNG, TIFF
    and WebP stay what they are, anything else becomes PNG, for JPEG would move the lightness. Size,
    lightness and transparency stay; the result is upright, in 8-bit sRGB. What has colours, and
    what is there already, is passed over. None of the pictures is written over.

    --hints: [{"x": 410, "y": 260, "rgb": [200, 40, 50], "radius": 9}, ...] in pixels of the upright
    picture from its upper left corner, for a model that takes them; "ab" may stand for "rgb".

    The exit status is 3 where a picture could not be read; the others are coloured all the same.
    """
    from colorkit.photo import colorize_files

    if hints and (len(pictures) > 1 or pictures[0].is_dir()):
        raise click.UsageError("--hints are places in one picture: give that one alone")
    if hints:
        try:
            options["hints"] = json.loads(hints.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{hints} is no JSON: {error}") from error
    if colorize_files(pictures, **options):
        sys.exit(LEFT_OUT)


def main() -> None:
    """Run the command line; an error of ours is one line, with COLORKIT_DEBUG=1 the traceback."""
    for stream in (sys.stdout, sys.stderr):  # a pipe may be in a code page that lacks a character
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        colorkit(prog_name="colorkit")
    except OUR_ERRORS as error:
        _fail(str(error) or type(error).__name__)
    except ModuleNotFoundError as error:
        if (error.name or "colorkit").split(".")[0] == "colorkit":
            raise
        _fail(f"{error.name} is not installed: python -m pip install 'colorkit[lab]'")


def _fail(text: str) -> None:
    if os.environ.get("COLORKIT_DEBUG", "0") not in ("", "0"):
        raise
    click.echo(f"Error: {text}", err=True)
    sys.exit(1)

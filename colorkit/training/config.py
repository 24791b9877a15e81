"""A run described in a TOML file, and the command that trains it: ``colorkit train CONFIG.toml``.

Each section names a callable as ``package.module:name``. ``factory`` is called with the other keys
of its section; ``function`` is taken as it is, with the other keys as further arguments::

    folder = "runs/unet-orchard"

    [model]
    factory = "colorkit.models:UNet"
    width = 32

    [loss]
    factory = "colorkit.training.objectives:Regression"
    criterion = { function = "colorkit.losses:l2" }

    [data]
    factory = "colorkit.batches:Batches"
    pictures = "stores/fruits"
    batch = 32

    [validation]
    factory = "colorkit.batches:Batches"
    pictures = "stores/fruits"
    split = "val"
    in_order = true

    [training]
    epochs = 20
    lr = 1e-3

Paths are taken from the folder where the command runs. ``[metric]`` and ``[validation]`` may be
left out; ``[training]`` holds the fields of `Options`, or ``epochs`` in place of ``steps``.
"""

import functools
import importlib
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import click

from colorkit.training.options import Options

SECTIONS = ("folder", "model", "loss", "data", "validation", "metric", "training")


class ConfigError(ValueError):
    """A configuration that cannot be trained."""


def read(path: str | Path) -> dict:
    """The configuration in a TOML file, its sections checked."""
    try:
        config = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    unknown = sorted(set(config) - set(SECTIONS))
    if unknown:
        raise ConfigError(f"{path}: there is no section {unknown[0]!r}: {', '.join(SECTIONS)}")
    for name in ("folder", "model", "loss", "data"):
        if name not in config:
            raise ConfigError(f"{path}: {name!r} is missing")
    return config


def build(section: Mapping, name: str) -> object:
    """What a section describes: the result of its factory, or its function."""
    kinds = [kind for kind in ("factory", "function") if kind in section]
    if len(kinds) != 1:
        raise ConfigError(f"[{name}] needs either a factory or a function")
    target = _find(section[kinds[0]], name)
    arguments = {
        key: build(value, f"{name}.{key}") if _is_section(value) else value
        for key, value in section.items()
        if key != kinds[0]
    }
    if kinds[0] == "function":
        return functools.partial(target, **arguments) if arguments else target
    try:
        return target(**arguments)
    except TypeError as error:
        raise ConfigError(f"[{name}] {section['factory']}: {error}") from error


def options_of(config: Mapping, data: object) -> Options:
    """The options of ``[training]``; ``epochs`` is turned into steps."""
    given = dict(config.get("training", {}))
    unknown = sorted(set(given) - {field.name for field in fields(Options)} - {"epochs"})
    if unknown:
        raise ConfigError(f"[training] has no setting {unknown[0]!r}")
    epochs = given.pop("epochs", None)
    if epochs is not None:
        if "steps" in given:
            raise ConfigError("[training] takes epochs or steps, not both")
        given["steps"] = epochs * len(data)
    return Options(**given)


def train_config(config: Mapping, *, resume: bool = False, device: str | None = None):
    """Train what a configuration describes, with the processes that torchrun started, if any."""
    from colorkit.device import pick_device, seed_everything
    from colorkit.training import distributed
    from colorkit.training.fit import fit

    wanted = str(pick_device(device))
    with distributed.process_group(wanted):
        seed_everything(config.get("training", {}).get("seed", 0))  # the model's first weights
        model, data = build(config["model"], "model"), build(config["data"], "data")
        loss = build(config["loss"], "loss")
        others = {
            name: build(config[name], name) for name in ("validation", "metric") if name in config
        }
        return fit(
            model,
            loss,
            data,
            options_of(config, data),
            folder=config["folder"],
            resume=resume,
            device=wanted,
            config=_binding(config),
            **others,
        )


def _binding(config: Mapping) -> dict:
    """What a resumed run has to share; the options are compared on their own."""
    return {name: value for name, value in config.items() if name not in ("folder", "training")}


def _is_section(value: object) -> bool:
    return isinstance(value, dict) and bool({"factory", "function"} & set(value))


def _find(target: str, name: str) -> object:
    module, _, attribute = str(target).partition(":")
    if not attribute:
        raise ConfigError(f"[{name}] {target!r} is not of the form package.module:name")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"[{name}] cannot find {target}: {error}") from error


@click.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--resume", is_flag=True, help="Go on from the folder's last checkpoint, if any.")
@click.option("--folder", help="Another folder than the configuration's.")
@click.option("--device", help="cpu, cuda or mps (default: the fastest).")
def train(config: Path, resume: bool, folder: str | None, device: str | None) -> None:
    """Train the model that CONFIG describes; Ctrl-C stops and keeps what was learnt.

    Several processes: torchrun --nproc-per-node 2 -m colorkit train CONFIG.toml
    """
    described = read(config)
    if folder is not None:
        described["folder"] = folder
    train_config(described, resume=resume, device=device)

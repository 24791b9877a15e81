"""The command line: ``colorkit ...``.

A command is an entry point of the group ``colorkit.commands`` in pyproject.toml, so that the course
adds its own where it is installed, and the library need not know it.
"""

import os
import sys
from importlib.metadata import entry_points

import click

OUR_ERRORS = (OSError, ValueError, RuntimeError)


class Commands(click.Group):
    """A group whose commands are entry points, loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(entry_points(group="colorkit.commands").names)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        found = entry_points(group="colorkit.commands", name=name)
        return next(iter(found)).load() if found else None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="colorkit")
def colorkit() -> None:
    """Learn deep learning by giving gray photographs their colours back."""


def main() -> None:
    """Run the command line; an error of ours is one line, with COLORKIT_DEBUG=1 the traceback."""
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

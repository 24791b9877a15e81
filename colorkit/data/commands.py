"""``colorkit data ...``: list, show and get datasets, audit a folder, prepare a store."""

import os
from json import dumps
from pathlib import Path

import click

from colorkit.cli import LEFT_OUT, UserPath
from colorkit.data.cards import cards, find_card, size_text, source_of
from colorkit.data.sources import Source, open_source
from colorkit.files import write_whole

FILE = UserPath(dir_okay=False, path_type=Path)


@click.group()
def data() -> None:
    """Fetch, audit and prepare photographs."""


@data.command("list")
def list_() -> None:
    """List the datasets, with sizes and what their licences allow."""
    rows = [("name", "pictures", "download", "profile", "allows")]
    for card in cards().values():
        count = f"{card.pictures:,}" if isinstance(card.pictures, int) else "see card"
        size = "by hand" if card.by_hand else size_text(card.size_mb) if card.files else "drawn"
        rows.append((card.name, count, size, card.profile.split(" (")[0], card.allows))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    click.echo("\nMore on one: colorkit data show NAME")


@data.command()
@click.argument("name")
@click.option("--sheet", type=FILE, help="PNG to write.")
@click.option("--size", default=64, show_default=True, help="Side of a picture on the sheet.")
@click.option("--number", default=48, show_default=True, help="Pictures on the sheet.")
@click.option("--seed", default=0, show_default=True, help="Of a made world.")
def show(name: str, sheet: Path | None, size: int, number: int, seed: int) -> None:
    """Show the card of a dataset, and a sheet of its pictures."""
    from PIL import Image

    from colorkit.data import audit
    from colorkit.worlds import WORLDS

    card = find_card(name)
    click.echo(card.describe())
    if sheet is None:
        return
    if card.kind == "made":
        world = WORLDS[card.name](number, size, seed)
        pictures = [Image.fromarray(rgb.permute(1, 2, 0).numpy()) for rgb in world.rgb]
    else:
        source = source_of(card)
        rows = range(0, len(source), max(1, len(source) // number))[:number]
        pictures = [audit.example(source, i, size) for i in rows]
    audit.save_sheet(sheet, pictures, columns=round((1.5 * number) ** 0.5))
    click.echo(f"\n{sheet}")


@data.command()
@click.argument("name")
def get(name: str) -> None:
    """Download a dataset, after saying its size, the free disk and its licence."""
    from colorkit.data.download import fetch

    click.echo(f"ready in {fetch(find_card(name), say=click.echo)}")


SOURCE = click.argument("source")
SIZE = click.option("--size", default=128, show_default=True, help="Side of the squares, pixels.")
MIN_SIDE = click.option("--min-side", type=int, help="Smallest shorter side [default: size / 2].")
WORKERS = click.option("--workers", type=click.IntRange(1), help="Processes [default: the cores].")


@data.command()
@SOURCE
@SIZE
@MIN_SIDE
@WORKERS
@click.option("--json", type=FILE, help="To write.")
@click.option("--sheet", type=FILE, help="PNG to write.")
def audit(source: str, json: Path | None, sheet: Path | None, **options) -> None:
    """Say of each file of SOURCE, a folder or a dataset's name, whether and why it is no use.

    The exit status is 3 where something could not be read that may be a sound picture.
    """
    from colorkit.data.audit import audit

    report = audit(_source(source), **options)
    click.echo(report.table())
    if json is not None:
        write_whole(json, dumps(report.records(), indent=1) + "\n")
        click.echo(f"\n{json}")
    if sheet is not None:
        report.save_sheet(sheet)
        click.echo(f"\n{sheet}")
    _say_unread(report)


@data.command()
@SOURCE
@click.option("--out", required=True, type=UserPath(file_okay=False, path_type=Path))
@SIZE
@MIN_SIDE
@WORKERS
@click.option(
    "--identity", help="'folder' if each is one person, or a pattern, its group the identity."
)
@click.option("--split", default="80/10/10", show_default=True, help="Shares, or 'keep'.")
@click.option("--seed", default=0, show_default=True, help="Of the split.")
def prepare(source: str, out: Path, identity: str | None, **options) -> None:
    """Audit, crop, resize and split SOURCE, a folder or a dataset's name, into a store.

    Interrupted, the same command goes on where it was. The exit status is as of audit.
    """
    from colorkit.data.prepare import prepare

    store, report = prepare(_source(source, identity), out, **options)
    if report is None:
        click.echo(f"{out} was finished before")
    else:
        click.echo(f"{report.table()}\n\nleft out, each with its reason: {out / 'audit.csv'}")
    click.echo(f"{store}, checksum {store.manifest['checksum'][:16]}")
    if report is not None:
        _say_unread(report)


def _say_unread(report) -> None:
    if text := report.unread():
        click.echo(f"\n{text}", err=True)
        raise SystemExit(LEFT_OUT)


def _source(source: str, identity: str | None = None) -> Source:
    """A folder, or else a dataset that is fetched if need be."""
    from colorkit.data.download import fetch

    card = cards().get(source.lower())
    if os.path.exists(os.path.expanduser(source)) or card is None:
        return open_source(source, identity)
    return source_of(card, fetch(card, say=click.echo))

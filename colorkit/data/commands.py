"""``colorkit data ...``: list, show and get datasets, audit a folder, prepare a store."""

from pathlib import Path

import click


@click.group()
def data() -> None:
    """Fetch, audit and prepare photographs."""


@data.command("list")
def list_() -> None:
    """List the datasets, with sizes and what their licences allow."""
    from colorkit.data.cards import find_card, names, size_text

    rows = [("name", "pictures", "download", "profile", "allows")]
    for name in names():
        card = find_card(name)
        count = f"{card.pictures:,}" if isinstance(card.pictures, int) else "see card"
        how = "by hand" if card.by_hand else size_text(card.size_mb)
        how = "drawn" if card.kind == "made" else how
        count = "any" if card.kind == "made" else count
        rows.append((name, count, how, card.profile.split(" (")[0], card.allows))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)]
        click.echo("  ".join([*cells, row[4]]))
    click.echo("\nMore on one: colorkit data show NAME")


@data.command()
@click.argument("name")
@click.option("--sheet", type=click.Path(dir_okay=False, path_type=Path), help="PNG to write.")
@click.option("--size", default=64, show_default=True, help="Side of a picture on the sheet.")
@click.option("--number", default=48, show_default=True, help="Pictures on the sheet.")
@click.option("--seed", default=0, show_default=True, help="Of a made world.")
def show(name: str, sheet: Path | None, size: int, number: int, seed: int) -> None:
    """Show the card of a dataset, and a sheet of its pictures."""
    from colorkit.data.cards import find_card

    card = find_card(name)
    click.echo(card.describe())
    if sheet is None:
        return
    picture = _world_sheet(card, number, size, seed) if card.kind == "made" else None
    if picture is None:
        picture = _photograph_sheet(card, number, size)
    sheet.parent.mkdir(parents=True, exist_ok=True)
    picture.save(sheet)
    click.echo(f"\n{sheet}")


def _world_sheet(card, number: int, size: int, seed: int):
    """The first pictures of a world, about three columns for two rows."""
    from torchvision.transforms.functional import to_pil_image
    from torchvision.utils import make_grid

    from colorkit.worlds import WORLDS

    rgb = WORLDS[card.name](number, size=size, seed=seed).rgb
    columns = round((1.5 * number) ** 0.5)
    return to_pil_image(make_grid(rgb, columns, padding=0, pad_value=255))


def _photograph_sheet(card, number: int, size: int):
    """The first pictures of a dataset that was fetched, twelve in a row."""
    from PIL import Image

    from colorkit.data.audit import example
    from colorkit.data.cards import source_of

    source = source_of(card)
    step = max(1, len(source) // number)
    rows = range(0, len(source), step)[:number]
    picture = Image.new("RGB", (12 * size, max(1, -(-len(rows) // 12)) * size), "white")
    for k, i in enumerate(rows):
        place = (k % 12 * size, k // 12 * size)
        picture.paste(example(source.names[i], source.items[i], size), place)
    return picture


@data.command()
@click.argument("name")
def get(name: str) -> None:
    """Download a dataset, after saying its size, the free disk and its licence."""
    from colorkit.data.cards import find_card
    from colorkit.data.download import fetch

    click.echo(f"ready in {fetch(find_card(name), say=click.echo)}")


SOURCE = click.argument("source")
SIZE = click.option("--size", default=128, show_default=True, help="Side of the squares, pixels.")
MIN_SIDE = click.option("--min-side", type=int, help="Smallest shorter side [default: size / 2].")
WORKERS = click.option("--workers", type=click.IntRange(1), help="Processes [default: the cores].")
IDENTITY = click.option(
    "--identity",
    help="'folder' if a folder is one person, or a pattern whose group is the identity.",
)


@data.command()
@SOURCE
@SIZE
@MIN_SIDE
@WORKERS
@click.option("--json", "json_", type=click.Path(dir_okay=False, path_type=Path), help="To write.")
@click.option("--sheet", type=click.Path(dir_okay=False, path_type=Path), help="PNG to write.")
def audit(
    source: str,
    size: int,
    min_side: int | None,
    workers: int | None,
    json_: Path | None,
    sheet: Path | None,
) -> None:
    """Say of each file of SOURCE, a folder or a dataset's name, whether and why it is no use."""
    from colorkit.data.audit import audit as look

    report = look(_source(source, None), size, min_side, workers)
    click.echo(report.table())
    if json_ is not None:
        report.save_json(json_)
        click.echo(f"\n{json_}")
    if sheet is not None:
        report.save_sheet(sheet)
        click.echo(f"\n{sheet}")


@data.command()
@SOURCE
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@SIZE
@MIN_SIDE
@WORKERS
@IDENTITY
@click.option("--split", default="80/10/10", show_default=True, help="Shares, or 'keep'.")
@click.option("--seed", default=0, show_default=True, help="Of the split.")
def prepare(
    source: str,
    out: Path,
    size: int,
    min_side: int | None,
    workers: int | None,
    identity: str | None,
    split: str,
    seed: int,
) -> None:
    """Audit, crop, resize and split SOURCE, a folder or a dataset's name, into a store.

    Interrupted, the same command goes on where it was.
    """
    from colorkit.data.prepare import prepare as make

    chosen = _source(source, identity)
    store, report = make(chosen, out, size, split, seed, min_side, workers)
    if report is None:
        click.echo(f"{out} was finished before")
    else:
        click.echo(report.table())
        click.echo(f"\nleft out, each with its reason: {out / 'audit.csv'}")
    counts = ", ".join(f"{n:,} {name}" for name, n in store.manifest["splits"].items())
    click.echo(f"{out}: {counts}, {store.size} x {store.size}, checksum {store.checksum[:16]}")


def _source(source: str, identity: str | None):
    """A folder, or else a dataset that is fetched if need be."""
    from colorkit.data.cards import find_card, names, source_of
    from colorkit.data.download import fetch
    from colorkit.data.sources import open_source

    if not Path(source).exists() and source.lower() in names():
        card = find_card(source)
        return source_of(card, fetch(card, say=click.echo))
    return open_source(source, identity)

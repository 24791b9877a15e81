"""Cards of datasets: where each comes from, what its licence allows, and how it is read.

A card is a TOML file in ``datasets/``, which is also shipped inside the package. Its ``[[files]]``
have a url, the checksum that was published ("md5:..." or "sha256:...") or an empty one, and below
the dataset's folder the place `to` put them, to `unpack` them, and a `marker`: what is there then.
What `identity`, `labels` and `only` mean is said in `open_source`; lessons `split` as it says.
"""

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from colorkit.data.sources import ArrayItem, FileItem, Source, open_source

_INSIDE = Path(__file__).parent / "datasets"  # in a wheel; else in the checkout
FOLDER = _INSIDE if _INSIDE.is_dir() else Path(__file__).parents[2] / "datasets"


@dataclass(frozen=True)
class Card:
    """What a card says; see the files in ``datasets/``."""

    name: str
    title: str
    kind: str
    source: str
    licence: str
    allows: str
    citation: str
    pictures: int | str
    size_mb: float
    classes: str
    splits: str
    bias: str
    profile: str
    unpacked_mb: float = 0
    files: tuple[dict[str, str], ...] = ()
    torchvision: dict = field(default_factory=dict)
    folder: str = "."
    identity: str | None = None
    labels: str = "folder"
    only: str = ""
    split: str = "80/10/10"
    one_of_each: bool = False
    marker: str = ""
    by_hand: str = ""

    def instructions(self) -> str:
        """What a person has to fetch, and where to put it."""
        return self.by_hand.strip().format(root=data_root() / self.name)

    def describe(self) -> str:
        """The card as text."""
        keys = ("source", "licence", "allows", "citation", "pictures", "classes", "splits", "bias")
        lines = [f"{self.name}: {self.title}"]
        lines += [f"{key + ':':<12}{getattr(self, key)}" for key in (*keys, "profile")]
        lines.append(f"{'download:':<12}{size_text(self.size_mb)}")
        for file in self.files:
            lines.append(f"{'checksum:':<12}{file['checksum'] or 'recorded at first download'}")
        return "\n".join(lines + (["", self.instructions()] if self.by_hand else []))


def size_text(megabytes: float) -> str:
    """A size for people: 326 MB, 2.5 GB."""
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"


def data_root() -> Path:
    """Where datasets are kept: $COLORKIT_DATA, else the user's cache folder."""
    import pooch

    return Path(os.environ.get("COLORKIT_DATA") or pooch.os_cache("colorkit")).expanduser()


def cards() -> dict[str, Card]:
    """All cards by name, the made worlds first; a ValueError names a card and what it lacks."""
    found = []
    for path in FOLDER.glob("*.toml"):
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
            found.append(Card(name=path.stem, **content))
        except (ValueError, TypeError) as error:  # TOMLDecodeError is a ValueError
            raise ValueError(f"the card {path}: {error}") from error
    return {card.name: card for card in sorted(found, key=lambda c: (c.kind != "made", c.name))}


def find_card(name: str) -> Card:
    """The card of a name, whatever its capitals; a ValueError lists the names."""
    known = cards()
    if name.lower() not in known:
        raise ValueError(f"no dataset is called {name!r}; there are {', '.join(known)}")
    return known[name.lower()]


def source_of(card: Card, root: Path | None = None) -> Source:
    """The pictures of a dataset that was fetched."""
    root = root or data_root() / card.name
    if card.torchvision:
        return _torchvision_source(card, root)
    source = open_source(root / card.folder, card.identity, card.labels, card.only)
    if not card.one_of_each:
        return source
    first = {group: i for i, group in reversed(list(enumerate(source.groups)))}
    return source.select(sorted(first.values()))


def _torchvision_source(card: Card, root: Path) -> Source:
    """All splits of a torchvision dataset, through its own loader.

    The card says which attributes hold files and labels ("paths": one or two), or labels alone of
    pictures in memory ("labels"), and identities.
    """
    from torchvision import datasets

    spec, rows, classes = card.torchvision, [], []
    for split, options in spec["splits"].items():
        try:
            dataset = getattr(datasets, spec["loader"])(str(root), download=False, **options)
        except (RuntimeError, OSError) as error:
            raise FileNotFoundError(
                f"{card.name} is not complete in {root} ({error}): fetch it with "
                f"colorkit data get {card.name}"
            ) from error
        columns = [getattr(dataset, name) for name in spec.get("paths", [spec.get("labels")])]
        if "paths" not in spec:
            planar = dataset.data.shape[1] == 3
            pictures = dataset.data.transpose(0, 2, 3, 1) if planar else dataset.data
            names = [f"{split}/{i:07d}" for i in range(len(dataset))]
            items, labels = [ArrayItem(picture) for picture in pictures], columns[0]
        else:
            pairs = zip(*columns, strict=True) if len(columns) == 2 else columns[0]
            pairs = [pair if isinstance(pair, tuple) else (pair, -1) for pair in pairs]
            paths = [root / spec.get("folder", ".") / path for path, _ in pairs]
            names = [f"{split}/{Path(os.path.relpath(path, root)).as_posix()}" for path in paths]
            items, labels = [FileItem(str(path)) for path in paths], [label for _, label in pairs]
        groups = names
        if "identities" in spec:
            groups = [str(int(i)) for i in getattr(dataset, spec["identities"]).flatten()]
        rows += zip(names, items, map(int, labels), groups, [split] * len(names), strict=True)
        classes = getattr(dataset, "classes", None) or []
    columns = map(list, zip(*sorted(rows, key=lambda row: row[0]), strict=True))
    return Source(*columns, [" or ".join(c) if isinstance(c, tuple) else str(c) for c in classes])

"""Cards of datasets: where each comes from, what its licence allows, and how it is read.

A card is a TOML file in ``datasets/``, which is also shipped inside the package.
"""

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from colorkit.data.sources import DatasetItem, FileItem, Source, open_source

KINDS = ("made", "torchvision", "download", "manual")


@dataclass(frozen=True)
class Remote:
    """A file to be fetched into the folder `to`, an archive to be unpacked in the folder `unpack`.

    Both lie below the dataset's; `marker` is what is there afterwards. The checksum is "md5:..." or
    "sha256:..." as published; without one it is recorded at the first download.
    """

    url: str
    to: str = "."
    checksum: str = ""
    unpack: str = ""
    marker: str = ""

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


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
    files: tuple[Remote, ...] = ()
    torchvision: dict = field(default_factory=dict)
    folder: str = "."
    identity: str | None = None
    labels: str = "folder"
    one_of_each: bool = False
    marker: str = ""
    by_hand: str = ""

    def root(self) -> Path:
        """The folder of this dataset."""
        return data_root() / self.name

    def instructions(self) -> str:
        """What a person has to fetch, and where to put it."""
        return self.by_hand.strip().format(root=self.root())

    def describe(self) -> str:
        """The card as text."""
        keys = ("source", "licence", "allows", "citation", "pictures", "classes", "splits", "bias")
        lines = [f"{self.name}: {self.title}"]
        lines += [f"{key + ':':<12}{getattr(self, key)}" for key in (*keys, "profile")]
        if self.kind != "made":
            lines.append(f"{'download:':<12}{size_text(self.size_mb)}")
        for file in self.files:
            lines.append(f"{'checksum:':<12}{file.checksum or 'recorded at first download'}")
        return "\n".join(lines + (["", self.instructions()] if self.by_hand else []))


def size_text(megabytes: float) -> str:
    """A size for people: 326 MB, 2.5 GB."""
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"


def data_root() -> Path:
    """Where datasets are kept: $COLORKIT_DATA, else the user's cache folder."""
    import pooch

    return Path(os.environ.get("COLORKIT_DATA") or pooch.os_cache("colorkit")).expanduser()


def cards() -> dict[str, Card]:
    """All cards by name, the made worlds first."""
    inside = Path(__file__).parent / "datasets"  # in a wheel; else in the checkout
    folder = inside if inside.is_dir() else Path(__file__).parents[2] / "datasets"
    found = [read_card(path) for path in folder.glob("*.toml")]
    return {card.name: card for card in sorted(found, key=lambda c: (c.kind != "made", c.name))}


def find_card(name: str) -> Card:
    """The card of a name, whatever its capitals; a ValueError lists the names."""
    known = cards()
    if name.lower() not in known:
        raise ValueError(f"no dataset is called {name!r}; there are {', '.join(known)}")
    return known[name.lower()]


def read_card(path: Path) -> Card:
    """A card; a ValueError names the file and what is missing, unknown or wrong."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        files = tuple(Remote(**file) for file in content.pop("files", ()))
        card = Card(name=path.stem, files=files, **content)
        if card.kind not in KINDS:
            raise ValueError(f"has the kind {card.kind!r}: take one of {', '.join(KINDS)}")
    except (ValueError, TypeError) as error:  # TOMLDecodeError is a ValueError
        raise ValueError(f"the card {path}: {error}") from error
    return card


def source_of(card: Card, root: Path | None = None) -> Source:
    """The pictures of a dataset that was fetched."""
    root = card.root() if root is None else Path(root)
    if card.kind == "made":
        raise ValueError(f"{card.name} is drawn by code: use colorkit.worlds.{card.name}")
    if card.torchvision:
        return _torchvision_source(card, root)
    source = open_source(root / card.folder, card.identity, card.labels)
    if not card.one_of_each:
        return source
    first = {group: i for i, group in reversed(list(enumerate(source.groups)))}
    return source.select(sorted(first.values()))


def _torchvision_source(card: Card, root: Path) -> Source:
    """All splits of a torchvision dataset, through its own loader.

    The card says which of its attributes hold files and labels ("paths": one or two), or labels
    alone where it keeps its pictures in arrays ("labels"), and identities.
    """
    from torchvision import datasets

    spec = card.torchvision
    folder, whole = root / spec.get("folder", "."), Source([], [], [], [], [])
    for split, options in spec["splits"].items():
        try:
            dataset = getattr(datasets, spec["loader"])(str(root), download=False, **options)
        except (RuntimeError, OSError) as error:
            raise FileNotFoundError(
                f"{card.name} is not complete in {root} ({error}): fetch it with "
                f"colorkit data get {card.name}"
            ) from error
        found = [getattr(dataset, name) for name in spec.get("paths", [])]
        if not found:
            labels = getattr(dataset, spec["labels"])
            fixed = tuple(sorted(options.items()))
            items = [DatasetItem(spec["loader"], str(root), fixed, i) for i in range(len(dataset))]
            names = [f"{split}/{i:07d}" for i in range(len(dataset))]
        else:
            if len(found) == 1:
                pairs = isinstance(found[0][0], tuple)
                found = zip(*found[0], strict=True) if pairs else (found[0], [-1] * len(found[0]))
            paths, labels = found
            paths = [folder / path for path in paths]
            items = [FileItem(str(path)) for path in paths]
            names = [f"{split}/{os.path.relpath(p, root).replace(os.sep, '/')}" for p in paths]
        identities = getattr(dataset, spec["identities"]) if "identities" in spec else None
        whole.names += names
        whole.items += items
        whole.labels += [int(label) for label in labels]
        whole.groups += names if identities is None else [str(int(i)) for i in identities.flatten()]
        whole.splits += [split] * len(names)
        whole.classes = [
            " or ".join(c) if isinstance(c, tuple) else str(c)
            for c in getattr(dataset, "classes", None) or []
        ]
    return whole.select(sorted(range(len(whole)), key=whole.names.__getitem__))

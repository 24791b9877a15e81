"""Cards of datasets: where each comes from, what its licence allows, and how it is read.

A card is a TOML file in ``datasets/``, which is also shipped inside the package.
"""

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from colorkit.data.sources import DatasetItem, FileItem, Source, open_source

KINDS = ("made", "torchvision", "download", "manual")
REQUIRED = (
    "title", "kind", "source", "licence", "allows", "citation",
    "pictures", "size_mb", "classes", "splits", "bias", "profile",
)  # fmt: skip


@dataclass(frozen=True)
class Remote:
    """A file to be fetched.

    Attributes
    ----------
    url : str
    to : str
        Folder for it, below the dataset's.
    checksum : str
        ``"md5:..."`` or ``"sha256:..."`` as published; empty if none is: then it is recorded.
    unpack : str
        Folder, below the dataset's, in which an archive is unpacked; empty for none.
    marker : str
        What is there afterwards.
    strip : int
        Leading folders of the archive's names to leave out.
    """

    url: str
    to: str = "."
    checksum: str = ""
    unpack: str = ""
    marker: str = ""
    strip: int = 0

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
        rows = {
            "source": self.source,
            "licence": self.licence,
            "allows": self.allows,
            "cite": self.citation,
            "pictures": self.pictures,
            "download": size_text(self.size_mb),
            "classes": self.classes,
            "splits": self.splits,
            "known bias": self.bias,
            "profile": self.profile,
            "checksums": ", ".join(f.checksum or "recorded at first download" for f in self.files),
        }
        lines = [f"{key + ':':<12}{value}" for key, value in rows.items() if value not in ("", 0)]
        text = "\n".join([f"{self.name}: {self.title}", *lines])
        return f"{text}\n\n{self.instructions()}" if self.by_hand else text


def size_text(megabytes: float) -> str:
    """A size for people.

    Examples
    --------
    >>> size_text(326), size_text(2520), size_text(0)
    ('326 MB', '2.5 GB', 'nothing to download')
    """
    if megabytes == 0:
        return "nothing to download"
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"


def data_root() -> Path:
    """Where datasets are kept: $COLORKIT_DATA, else the user's cache folder."""
    if os.environ.get("COLORKIT_DATA"):
        return Path(os.environ["COLORKIT_DATA"]).expanduser()
    import pooch

    return Path(pooch.os_cache("colorkit"))


def card_folder() -> Path:
    """The folder of the cards: in the package, or in the checkout that is installed editable."""
    inside = Path(__file__).parent / "datasets"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "datasets"


def names() -> list[str]:
    """Names of all cards, the made worlds first."""
    cards = [read_card(path) for path in card_folder().glob("*.toml")]
    return [card.name for card in sorted(cards, key=lambda c: (c.kind != "made", c.name))]


def find_card(name: str) -> Card:
    """The card of a name, whatever its capitals.

    Raises
    ------
    ValueError
        If there is none: the message lists the names.
    """
    for path in card_folder().glob("*.toml"):
        if path.stem.lower() == name.lower():
            return read_card(path)
    raise ValueError(f"no dataset is called {name!r}; there are {', '.join(names())}")


def read_card(path: Path) -> Card:
    """Read and check a card.

    Raises
    ------
    ValueError
        Naming the file and what is missing or unknown.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in REQUIRED if key not in content]
        if missing or content["kind"] not in KINDS:
            what = f"lacks {', '.join(missing)}" if missing else f"has the kind {content['kind']!r}"
            raise ValueError(what)
        files = tuple(Remote(**file) for file in content.pop("files", ()))
        return Card(name=path.stem, files=files, **content)
    except (ValueError, TypeError) as error:  # TOMLDecodeError is a ValueError
        raise ValueError(f"the card {path}: {error}") from error


# --- reading a fetched dataset --------------------------------------------------------------------


def source_of(card: Card, root: Path | None = None) -> Source:
    """The pictures of a dataset that was fetched."""
    root = card.root() if root is None else Path(root)
    if card.kind == "made":
        raise ValueError(f"{card.name} is drawn by code: use colorkit.worlds.{card.name}")
    if card.torchvision:
        return _torchvision_source(card, root)
    source = open_source(root / card.folder, card.identity, card.labels)
    return _one_of_each(source) if card.one_of_each else source


def _one_of_each(source: Source) -> Source:
    """The first picture of each identity, in the order of the names."""
    first: dict[str, int] = {}
    for i, group in enumerate(source.groups):
        first.setdefault(group, i)
    return source.select(sorted(first.values()))


def _torchvision_source(card: Card, root: Path) -> Source:
    """All splits of a torchvision dataset, through its own loader."""
    spec, parts = card.torchvision, []
    for split, options in spec["splits"].items():
        dataset = _load(card, root, options)
        paths, labels = _paths_and_labels(dataset, spec, root)
        n = len(dataset)
        names = [f"{split}/{i:07d}" for i in range(n)]
        if paths is None:
            fixed = tuple(sorted(options.items()))
            items: list = [DatasetItem(spec["loader"], str(root), fixed, i) for i in range(n)]
        else:
            items = [FileItem(str(path)) for path in paths]
            names = [f"{split}/{_relative(path, root)}" for path in paths]
        groups = names
        if "identities" in spec:
            groups = [str(int(i)) for i in getattr(dataset, spec["identities"]).flatten()]
        parts.append(Source(names, items, labels, _classes(dataset), groups, [split] * n))
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.joined(part)
    return joined.select(sorted(range(len(joined)), key=joined.names.__getitem__))


def _load(card: Card, root: Path, options: dict):
    import torchvision

    try:
        loader = getattr(torchvision.datasets, card.torchvision["loader"])
        return loader(str(root), download=False, **options)
    except (RuntimeError, OSError) as error:
        raise FileNotFoundError(
            f"{card.name} is not complete in {root} ({error}): fetch it with "
            f"colorkit data get {card.name}"
        ) from error


def _paths_and_labels(dataset: object, spec: dict, root: Path) -> tuple[list | None, list[int]]:
    """Files and labels of a dataset; no files if it keeps its pictures in arrays."""
    if "paths" not in spec:
        labels = np.asarray(getattr(dataset, spec["labels"])).tolist()
        return None, [int(label) for label in labels]
    found = [getattr(dataset, name) for name in spec["paths"]]
    if len(found) == 2:
        paths, labels = found[0], list(found[1])
    elif isinstance(found[0][0], tuple):
        paths, labels = zip(*found[0], strict=True)
    else:
        paths, labels = found[0], [-1] * len(found[0])
    folder = root / spec.get("folder", ".")
    return [folder / path for path in paths], [int(label) for label in labels]


def _relative(path: Path, root: Path) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")


def _classes(dataset: object) -> list[str]:
    classes = getattr(dataset, "classes", None)
    if classes is None:
        return []
    return [" or ".join(c) if isinstance(c, tuple) else str(c) for c in classes]

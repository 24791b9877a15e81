"""What a run has seen: rows of numbers, kept as CSV."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

from colorkit.training.checkpoint import write_beside

COLUMNS = ("step", "epoch", "lr", "loss", "validation", "seconds")


@dataclass
class History:
    """Rows in the order of steps, each a mapping of its columns, by default `COLUMNS`, to numbers.

    ``loss`` is the mean since the row before, ``validation`` is there where it was measured.
    ``pandas.DataFrame(history.rows)`` makes a table of it.

    Examples
    --------
    >>> history = History()
    >>> history.add(step=10, epoch=0, lr=1e-3, loss=4.0, seconds=0.5)
    >>> history.add(step=20, epoch=0, lr=1e-3, loss=2.0, validation=3.0, seconds=1.0)
    >>> history.curve("validation")
    ([20], [3.0])
    """

    rows: list[dict] = field(default_factory=list)
    columns: tuple[str, ...] = COLUMNS

    def add(self, **row: float) -> None:
        """Append a row; a column that does not exist raises."""
        unknown = sorted(set(row) - set(self.columns))
        if unknown:
            raise ValueError(f"a history has no column {unknown[0]!r}: {', '.join(self.columns)}")
        self.rows.append({name: row[name] for name in self.columns if name in row})

    def curve(self, column: str) -> tuple[list[int], list[float]]:
        """Steps and values of a column, where it has values."""
        rows = [row for row in self.rows if row.get(column) is not None]
        return [row["step"] for row in rows], [row[column] for row in rows]

    def write_csv(self, path: str | Path) -> None:
        """Write all rows, beside the file first, so that a reader never sees half of it."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_beside(Path(path), lambda file: file.write(text.getvalue().encode()))

    @classmethod
    def read_csv(cls, path: str | Path) -> "History":
        """Read what `write_csv` wrote."""
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), tuple(reader.fieldnames or COLUMNS)
        kinds = {"step": int, "epoch": int}
        numbers = [{k: kinds.get(k, float)(v) for k, v in row.items() if v} for row in rows]
        return cls(numbers, columns)

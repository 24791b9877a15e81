"""Record the numbers that a lesson measures, and say between which bounds they are expected."""

import html
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colorkit.device import pick_device
from colorkit.notebook import in_notebook

MIME = "application/vnd.colorkit.record+json"
DEVICES = ("cpu", "cuda", "mps")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_taken: dict[str, dict[str, Any]] = {}  # what this process recorded, the last of a key


def record(key: str, value: Any, unit: str = "") -> None:
    """Record one number of the lesson and show it as a line.

    Parameters
    ----------
    key : str
        Its name in ``expected.toml``: letters, digits, ``_`` and ``-``, a letter first.
    value : float, int or tensor of one element
    unit : str
        As in ``"ab²"``; empty for a count or a ratio.

    Raises
    ------
    ValueError
        If the key is no name, or the value is not one number.

    Examples
    --------
    >>> record("steps_a_second", 41.5, unit="1/s")
    steps_a_second = 41.5 1/s
    """
    if not isinstance(key, str) or not _KEY.fullmatch(key) or key == "seconds":
        raise ValueError(f"{key!r} cannot name a number: use letters, digits and _ (not 'seconds')")
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
        text = f"record({key!r}) takes one number, not {type(value).__name__}{shape}: {value!r:.80}"
        raise ValueError(text) from error
    _taken[key] = {"value": number, "unit": unit}
    line = f"{key} = {number:.4g} {unit}".rstrip()
    if not in_notebook():
        print(line)
        return
    from IPython.display import display

    page = f"<div><code>{html.escape(key)}</code> = <b>{number:.4g}</b> {html.escape(unit)}</div>"
    finite = number if math.isfinite(number) else None  # JSON has no NaN
    data = {"key": key, "value": finite, "unit": unit, "text": f"{number}"}
    display({MIME: data, "text/html": page, "text/plain": line}, raw=True)


def show_records(lesson: str, profile: str) -> None:
    """Show the numbers recorded so far beside the ranges in which they are expected, as a table."""
    bounds = Expected.load().bounds(lesson, profile, pick_device().type)
    judged = judge_numbers(_taken, {k: v for k, v in bounds.items() if k in _taken}, strict=False)
    rows = [(key, _shown(n["value"]), n["unit"], _range(n)) for key, n in judged.items()]
    if not in_notebook():
        print(*("  ".join(row) for row in rows), sep="\n")
        return
    from IPython.display import display

    head = "".join(f"<th>{h}</th>" for h in ("number", "measured", "unit", "expected"))
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    text = "\n".join("  ".join(row) for row in rows)
    display({"text/html": table, "text/plain": text}, raw=True)


def _shown(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _range(number: Mapping[str, Any]) -> str:
    if number["low"] is None:
        return ""
    note = "" if number["ok"] else " (yours is outside)"
    return f"{number['low']:g} to {number['high']:g}{note}"


def recorded(notebook: Any) -> dict[str, dict[str, Any]]:
    """``{key: {"value", "unit"}}`` of all records in an executed notebook; the last of a key wins.

    A value that was not finite comes back as NaN or infinity.
    """
    numbers = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {}).get(MIME)
            if data is not None:
                value = float(data["text"]) if data["value"] is None else float(data["value"])
                numbers[data["key"]] = {"value": value, "unit": data["unit"]}
    return numbers


@dataclass(frozen=True)
class Expected:
    """The bounds of ``expected.toml``: lesson, profile, device, then key or ``seconds``."""

    tables: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path | None = None) -> "Expected":
        """Read the file (default: colorkit's own).

        Raises
        ------
        ValueError
            If a table or a bound is not of the described form; the message names it.
        """
        path = Path(path or Path(__file__).with_name("expected.toml"))
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        tables.pop("doctor", None)  # no lesson: the machine on which the seconds were measured
        for lesson, profiles in tables.items():
            for profile, devices in profiles.items():
                for device, bounds in devices.items():
                    _check_bounds(f"{path.name} [{lesson}.{profile}.{device}]", device, bounds)
        return cls(tables)

    def _tables(self, lesson: str, profile: str, device: str) -> dict[str, Any]:
        devices = self.tables.get(lesson, {}).get(profile, {})
        return {**devices.get("cpu", {}), **devices.get(device, {})}

    def seconds(self, lesson: str, profile: str, device: str = "cpu") -> float | None:
        """What the lesson is expected to take, or None."""
        return self._tables(lesson, profile, device).get("seconds")

    def bounds(self, lesson: str, profile: str, device: str) -> dict[str, tuple[float, float]]:
        """(low, high) of every expected number."""
        table = self._tables(lesson, profile, device)
        return {key: tuple(bound) for key, bound in table.items() if key != "seconds"}


def _check_bounds(where: str, device: str, bounds: Any) -> None:
    if device not in DEVICES or not isinstance(bounds, dict):
        raise ValueError(f"{where}: a device is one of {', '.join(DEVICES)}, with a table")
    for key, bound in bounds.items():
        if key == "seconds" and isinstance(bound, int | float) and bound > 0:
            continue
        pair = isinstance(bound, list) and len(bound) == 2
        finite = pair and all(isinstance(b, int | float) and math.isfinite(b) for b in bound)
        if not finite or bound[0] > bound[1]:
            raise ValueError(f"{where}: {key} = {bound!r} is not [low, high]")


def judge_numbers(
    numbers: Mapping[str, Mapping[str, Any]],
    bounds: Mapping[str, tuple[float, float]],
    strict: bool,
) -> dict[str, dict[str, Any]]:
    """Each number beside its bounds, and whether it is as expected.

    A number that is not finite, or that was expected but not recorded, is never ok. One without
    bounds is ok unless `strict`.

    Examples
    --------
    >>> judge_numbers({"mse": {"value": 5.0, "unit": "ab²"}}, {"mse": (0.0, 4.0)}, strict=False)
    {'mse': {'value': 5.0, 'unit': 'ab²', 'low': 0.0, 'high': 4.0, 'ok': False}}
    """
    judged = {}
    for key in dict.fromkeys([*numbers, *bounds]):
        number = numbers.get(key, {"value": None, "unit": ""})
        low, high = bounds.get(key, (None, None))
        value = number["value"]
        if value is None or not math.isfinite(value):
            value, ok = None, False
        else:
            ok = not strict if low is None else low <= value <= high
        judged[key] = {"value": value, "unit": number["unit"], "low": low, "high": high, "ok": ok}
    return judged

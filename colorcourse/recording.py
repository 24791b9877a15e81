"""Record the numbers that a lesson measures, and say between which bounds they are expected."""

import html
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from colorkit.device import pick_device
from colorkit.notebook import in_notebook

EXPECTED = Path(__file__).with_name("expected.toml")
MIME = "application/vnd.colorkit.record+json"
_taken: dict[str, dict[str, Any]] = {}  # what this process recorded, the last of a key


def record(key: str, value: Any, unit: str = "") -> None:
    """Record one number of the lesson under its name in ``expected.toml``, and show it as a line.

    `value` is a number or a tensor of one element; `unit` is as in ``"ab²"``, empty for a count or
    a ratio. ValueError if the key is no name, or the value not one number.
    """
    named = isinstance(key, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", key)
    if not named or key == "seconds":
        raise ValueError(f"{key!r} cannot name a number: use letters, digits and _ (not 'seconds')")
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
        text = f"record({key!r}) takes one number, not {type(value).__name__}{shape}: {value!r:.80}"
        raise ValueError(text) from error
    _taken[key] = {"value": number, "unit": unit}
    line = f"{key} = {number:.4g} {unit}".rstrip()
    page = f"<div><code>{html.escape(key)}</code> = <b>{number:.4g}</b> {html.escape(unit)}</div>"
    finite = number if math.isfinite(number) else None  # JSON has no NaN: "text" has
    _show(line, page, {MIME: {"key": key, "value": finite, "unit": unit, "text": f"{number}"}})


def show_records(lesson: str, profile: str, source: str | Path = "orchard") -> None:
    """Show the numbers recorded so far beside the ranges in which they are expected, as a table.

    Ranges hold for the orchard: numbers of other pictures have none.
    """
    known = str(source).lower() == "orchard"
    bounds = expected_bounds(lesson, profile, pick_device().type) if known else {}
    judged = judge_numbers(_taken, {k: v for k, v in bounds.items() if k in _taken}, strict=False)
    rows = {key: number_texts(number) for key, number in judged.items()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["measured", "expected"])
    _show(table.to_string(), table.to_html(border=0), {})


def _show(text: str, page: str, data: dict[str, Any]) -> None:
    if not in_notebook():
        print(text)
        return
    from IPython.display import display

    display(data | {"text/html": page, "text/plain": text}, raw=True)


def recorded(notebook: Any) -> dict[str, dict[str, Any]]:
    """``{key: {"value", "unit"}}`` of an executed notebook; of a key the last record wins."""
    numbers = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {}).get(MIME)
            if data is not None:
                numbers[data["key"]] = {"value": float(data["text"]), "unit": data["unit"]}
    return numbers


def read_expected() -> dict[str, Any]:
    """The tables of ``expected.toml``: lesson, profile, device, then ``seconds`` and bounds."""
    tables = tomllib.loads(EXPECTED.read_text(encoding="utf-8"))
    tables.pop("doctor", None)  # no lesson: the machine on which the seconds were measured
    return tables


def expected_bounds(lesson: str, profile: str, device: str) -> dict[str, tuple[float, float]]:
    """(low, high) of every number expected of a lesson: the device's own, else the CPU's."""
    devices = read_expected().get(lesson, {}).get(profile, {})
    table = devices.get("cpu", {}) | devices.get(device, {})
    return {key: tuple(bound) for key, bound in table.items() if key != "seconds"}


def judge_numbers(
    numbers: Mapping[str, Mapping[str, Any]],
    bounds: Mapping[str, tuple[float, float]],
    strict: bool,
) -> dict[str, dict[str, Any]]:
    """Each number beside its bounds, and whether it is as expected.

    A number that is not finite, or that was expected but not recorded, is never ok. One without
    bounds is ok unless `strict`.
    """
    judged = {}
    for key in dict.fromkeys([*numbers, *bounds]):
        number = numbers.get(key, {"value": math.nan, "unit": ""})
        low, high = bounds.get(key, (None, None))
        ok = not strict if low is None else low <= number["value"] <= high
        judged[key] = {**number, "low": low, "high": high, "ok": ok}
        if not math.isfinite(number["value"]):
            judged[key] |= {"value": None, "ok": False}
    return judged


def number_texts(number: Mapping[str, Any]) -> tuple[str, str]:
    """A judged number and its bounds in words, as in ``("5 ab²", "0 to 4 (missed)")``."""
    value, low, high = number["value"], number["low"], number["high"]
    found = f"{value:.4g} {number['unit']}".rstrip() if value is not None else "none, or not finite"
    bounds = "no bounds" if low is None else f"{low:g} to {high:g}"
    return found, bounds if number["ok"] else f"{bounds} (missed)"

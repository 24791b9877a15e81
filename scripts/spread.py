"""How far the recorded numbers of the lessons spread: over precision, threads and seeds.

    python scripts/spread.py --profile ci                   # all lessons, 18 runs each
    python scripts/spread.py --lessons 3,5 --runs 6         # at laptop
    python scripts/spread.py --write                        # expected.toml from what was run

Each run is `colorkit course run` in a process of its own, and stays below build/spread/ with the
hash of the lesson's code: the same command goes on where it was, and runs of older code are not
looked at. Runs of another version of torch are added by running this with it, those of another
machine by copying its build/spread/ here. After each run all goes to recorded/spread.csv.
"""

import json
import math
import os
import re
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path

import click
import pandas as pd

from colorcourse.build import build_lesson, code_hash
from colorcourse.checkout import find_root, lesson_ids, select_lessons
from colorcourse.recording import EXPECTED
from colorkit.files import write_whole

TABLE = EXPECTED.parent / "recorded" / "spread.csv"
KEYS = ["lesson", "profile", "number"]
FEWEST = {"ci": 12, "laptop": 6}  # runs before a spread is one
# Threads, seed, precision: three rounds, each with all seeds in both precisions, and over the three
# rounds each of these with each number of threads.
PAIRS = list(product((0, 1, 2), ("bf16", "float32")))
RUNS = [((2, 1, 4)[(i + turn) % 3], *pair) for turn in range(3) for i, pair in enumerate(PAIRS)]


@click.command(help=__doc__.split("\n")[0])
@click.option("--lessons", help="Numbers or names, with commas between (default: all).")
@click.option("--profile", type=click.Choice(["ci", "laptop"]), default="laptop")
@click.option("--runs", type=click.IntRange(1, len(RUNS)), default=len(RUNS), show_default=True)
@click.option("--write", is_flag=True, help="Run nothing: write expected.toml from the table.")
def main(lessons: str | None, profile: str, runs: int, write: bool) -> None:
    root = find_root()
    if write:
        write_whole(EXPECTED, expected(EXPECTED.read_text(encoding="utf-8"), root))
        return
    names = select_lessons(lesson_ids(root), lessons)
    for (threads, seed, precision), name in product(RUNS[:runs], names):
        out = folder(root, name) / f"{precision}-{threads}-{seed}-torch{torch_version()}"
        if (out / profile / "results.json").exists():
            continue
        variables = {"OMP_NUM_THREADS": str(threads), "COLORKIT_SEED": str(seed)}
        variables |= {"COLORKIT_PRECISION": precision}
        command = [sys.executable, "-m", "colorkit", "course", "run", "--profile", profile]
        command += ["--lessons", name, "--out", str(out)]
        done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True)
        click.echo(f"{name} {precision}, {threads} threads, seed {seed}: exit {done.returncode}")
        entry = json.loads((out / profile / "results.json").read_text())["lessons"][name]
        if entry.get("error", {}).get("cell") is not None:
            raise SystemExit(f"{out}: cell {entry['error']['cell']}: {entry['error']['message']}")
        write_whole(TABLE, table(root))


def torch_version() -> str:
    import torch

    return torch.__version__.split("+")[0]


def folder(root: Path, name: str) -> Path:
    """Where the runs of a lesson's present code are."""
    return root / "build" / "spread" / f"{name}-{code_hash(build_lesson(root, name).solution)[:8]}"


def table(root: Path) -> str:
    """The least and the largest of each number over all runs that are there, as CSV.

    The first line says on what: devices and versions. Lessons without a run keep their rows, and
    those with fewer runs than `FEWEST` say nothing yet.
    """
    rows, machines = [], set()
    for name in lesson_ids(root):
        for path in sorted(folder(root, name).glob("*/*/results.json")):
            results = json.loads(path.read_text())
            versions = results["versions"]
            system = versions["platform"].split("-")[0]
            machines.add(f"{results['device']}, {system}, torch {versions['torch']}")
            numbers = results["lessons"][name]["numbers"].items()
            rows += [(name, results["profile"], key, n["value"]) for key, n in numbers]
    frame = pd.DataFrame(rows, columns=[*KEYS, "value"]).dropna()
    frame = frame.groupby(KEYS, sort=False).value.agg(["min", "max", "count"]).reset_index()
    frame.columns = [*KEYS, "lowest", "highest", "runs"]
    frame = frame[frame.runs >= frame.profile.map(FEWEST)]
    if TABLE.exists():
        kept, done = read_table(), set(zip(frame.lesson, frame.profile, strict=True))
        stays = [pair not in done for pair in zip(kept.lesson, kept.profile, strict=True)]
        frame = pd.concat([kept[stays], frame]).sort_values(["lesson", "profile"], kind="stable")
        first = TABLE.read_text().split("\n")[0].removeprefix("# ")
        machines |= set(first.split("; ") if any(stays) else [])
    text = frame.to_csv(index=False, float_format="%.5g")
    return f"# {'; '.join(sorted(machines))}\n{text}"


def read_table() -> pd.DataFrame:
    """The table that the course ships: lesson, profile, number, lowest, highest, runs."""
    return pd.read_csv(TABLE, comment="#")


def expected(text: str, root: Path) -> str:
    """expected.toml with the ranges of the table; comments, seconds and profile gpu stay.

    A range reaches beyond what was seen by nine tenths of its spread (half of it did not hold on
    the next machine), or by 2% of the number if that is more, to each side, but not beyond what a
    sentence of the lesson asks (tests/outcomes/). One with a reason in its line is set by hand, and
    stays.
    """
    seen = dict(iter(read_table().groupby(["lesson", "profile"])))
    sections = []
    for section in re.split(r"^(?=\[)", text, flags=re.MULTILINE):
        key = tuple(section.partition("]")[0].strip("[").split(".")[:2])
        if key in seen:
            asked = claims(root, key[0]) if key[1] == "laptop" else {}
            by_hand = re.findall(r"^(\w+) = \[.*\] *#", section, re.MULTILINE)
            lines = [
                f"{row.number} = [{low:g}, {high:g}]\n"
                for row in seen[key].itertuples()
                if row.number not in by_hand
                for low, high in [bounds(row.lowest, row.highest, *asked.get(row.number, ()))]
            ]
            section = re.sub(r"^\w+ = \[.*\]\n", "", section, flags=re.MULTILINE)
            head, line, rest = re.split(r"^(seconds = .*\n)", section, flags=re.MULTILINE)
            section = "".join([head, line, *lines, rest])
        sections.append(section)
    return "".join(sections)


def claims(root: Path, lesson: str) -> dict[str, tuple[float, float]]:
    """What the sentences of a lesson ask of its numbers: the narrowest (low, high) of each."""
    found: dict[str, tuple[float, float]] = {}
    path = root / "tests" / "outcomes" / f"{lesson}.toml"
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["outcome"]:
        low, high = found.get(entry["number"], (-math.inf, math.inf))
        pair = entry.get("low", -math.inf), entry.get("high", math.inf)
        found[entry["number"]] = max(low, pair[0]), min(high, pair[1])
    return found


def bounds(
    lowest: float, highest: float, least: float = -math.inf, most: float = math.inf
) -> tuple[float, float]:
    """A range around what was seen, rounded to two digits of its margin, within a claim."""
    margin = max(0.9 * (highest - lowest), 0.02 * max(abs(lowest), abs(highest)), 1e-6)
    digits = 1 - math.floor(math.log10(margin))
    return max(round(lowest - margin, digits), least), min(round(highest + margin, digits), most)


if __name__ == "__main__":
    main()

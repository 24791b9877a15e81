"""Fair timing on a busy machine: interleaved rounds, medians, ratios within a round."""

import gc
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import torch


@dataclass(frozen=True)
class Timing:
    """Median seconds of one way, and how many times faster than the baseline it is."""

    seconds: float
    ratio: float


def interleaved(
    ways: Mapping[str, Callable[[], object]], baseline: str, rounds: int = 7
) -> dict[str, Timing]:
    """Time each way once a round, in turn, after one call to warm up.

    A ratio is the median over rounds of (baseline's time / the way's time in the same round), so
    that a machine that slows down for a while slows both.
    """
    for way in ways.values():
        way()
    seconds = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            gc.collect()
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    base = seconds[baseline]
    return {
        name: Timing(median(took), median(b / t for b, t in zip(base, took, strict=True)))
        for name, took in seconds.items()
    }


@contextmanager
def one_thread():
    """Let torch use one thread inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def table(title: str, columns: list[str], rows: list[list[str]]) -> str:
    """A plain-text table, first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]

    def line(cells: list[str]) -> str:
        first, *others = [
            c.ljust(w) if i == 0 else c.rjust(w)
            for i, (c, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join([first, *others]).rstrip()

    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    return "\n".join([title, rule, line(columns), rule, *map(line, rows), rule])

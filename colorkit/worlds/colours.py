"""Colour modes: a hue and a share of the largest chroma that sRGB allows at a pixel's lightness.

A mode gives a colour to every lightness, so a highlight pales and a shadow darkens as they do in
sRGB, nothing is ever clipped, and L decides nothing about which mode was drawn.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from colorkit.color import max_chroma

STEPS = 1000  # of lightness in the tables, 0.1 each


@dataclass(frozen=True)
class Mode:
    """One colour that a thing can have: hue in degrees of the ab plane, share of max chroma."""

    name: str
    hue: float
    share: float


@dataclass(frozen=True)
class Kind:
    """A kind of thing, the colours it can have, and how probable each is."""

    name: str
    modes: tuple[Mode, ...]
    probs: tuple[float, ...] = (1.0,)

    def __post_init__(self):
        if len(self.modes) != len(self.probs) or abs(sum(self.probs) - 1) > 1e-9:
            raise ValueError(
                f"kind {self.name!r}: {len(self.modes)} modes need as many probabilities with "
                f"sum 1, got {self.probs}"
            )


@cache
def _line(hue: float, share: float) -> np.ndarray:
    """ab as a + bi at each step of lightness: complex64 (STEPS + 2,)."""
    lightness = torch.linspace(0, 100, STEPS + 1, dtype=torch.float64)
    angle = torch.tensor(np.deg2rad(hue), dtype=torch.float64)
    chroma = share * max_chroma(lightness, angle.expand_as(lightness)).double().numpy()
    line = chroma * np.exp(1j * np.deg2rad(hue))
    return np.append(line, line[-1]).astype(np.complex64)


class Palette:
    """The modes of all kinds of a world in one table, to colour whole chunks at once.

    Mode k of kind j is number `first[j] + k`.
    """

    def __init__(self, kinds: tuple[Kind, ...]):
        self.kinds = kinds
        self.names = tuple(kind.name for kind in kinds)
        counts = [len(kind.modes) for kind in kinds]
        self.first = np.cumsum([0, *counts[:-1]])
        self.most = max(counts)
        self.modes = tuple(mode for kind in kinds for mode in kind.modes)
        self.probs = np.zeros((len(kinds), self.most))
        for row, kind in zip(self.probs, kinds, strict=True):
            row[: len(kind.probs)] = kind.probs
        table = np.stack([_line(mode.hue, mode.share) for mode in self.modes])
        self._table = table.ravel()
        self._rise = np.append(np.diff(self._table), np.complex64(0))

    def number(self, name: str) -> int:
        """The number of the kind called `name`."""
        return self.names.index(name)

    def ab(self, lightness: np.ndarray, mode: np.ndarray) -> np.ndarray:
        """Colours a + bi of modes at lightnesses of the same shape: complex64."""
        steps = lightness * np.float32(STEPS / 100)
        below = np.clip(steps, 0, STEPS).astype(np.int32)
        spot = mode * np.int32(STEPS + 2) + below
        return self._table.take(spot) + self._rise.take(spot) * (steps - below.astype(np.float32))

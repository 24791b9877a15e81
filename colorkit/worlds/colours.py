"""Colour modes: a hue and a share of the largest chroma that sRGB allows at a pixel's lightness.

A mode gives a colour to every lightness, so a highlight pales and a shadow darkens as they do in
sRGB, nothing is ever clipped, and L decides nothing about which mode was drawn.
"""

from dataclasses import dataclass
from functools import cached_property

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

    def number(self, name: str) -> int:
        """The number of the kind called `name`."""
        return self.names.index(name)

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        """ab as a + bi of each mode at each step of lightness, and how it rises to the next.

        complex64 (modes * (STEPS + 2),), the last step of a mode twice.
        """
        lightness = torch.linspace(0, 100, STEPS + 1, dtype=torch.float64)
        hues = np.deg2rad([mode.hue for mode in self.modes])[:, None]
        shares = np.array([mode.share for mode in self.modes])[:, None]
        lines = shares * max_chroma(lightness, torch.from_numpy(hues)).numpy() * np.exp(1j * hues)
        table = np.append(lines, lines[:, -1:], axis=1).astype(np.complex64).ravel()
        return table, np.append(np.diff(table), np.complex64(0))

    def ab(self, lightness: np.ndarray, mode: np.ndarray) -> np.ndarray:
        """Colours a + bi of modes at lightnesses of the same shape: complex64."""
        steps = lightness * np.float32(STEPS / 100)
        below = np.clip(steps, 0, STEPS).astype(np.int32)
        spot = mode * np.int32(STEPS + 2) + below
        table, rise = self._table
        return table.take(spot) + rise.take(spot) * (steps - below.astype(np.float32))

"""A chunk of drawn pictures: lightness, owners, and what colours their owners can have."""

from dataclasses import dataclass

import numpy as np

from .colours import Palette
from .drawing import Canvas
from .draws import Draws

MIN_PIXELS = 60  # of a visible object, at 64 x 64, that scores count


@dataclass
class Scene:
    """What was drawn before any colour was: n pictures with P slots, each the place of a thing."""

    lightness: np.ndarray  # L before 8 bits: float32 (n, H, W)
    owner: np.ndarray  # slot of the thing that covers at least half of a pixel: uint8 (n, H, W)
    soft: np.ndarray  # where an edge between things is blended: bool (n, H, W)
    kind: np.ndarray  # the palette's number of the kind in each slot, -1 for none: int (n, P)
    probs: np.ndarray  # of the kind's modes: float64 (n, P, K)
    twin: np.ndarray  # the slot whose drawn colour a slot shares, as brows the hair's: int (P,)
    facts: dict[str, np.ndarray]  # what else was drawn, such as a bear's ground: (n,) each

    @classmethod
    def finish(cls, canvas: Canvas, palette: Palette, kind, probs=None, twin=None, facts=None):
        """Take a finished canvas; the probabilities are the palette's unless given."""
        if probs is None:
            probs = np.where(kind[..., None] >= 0, palette.probs[kind], 0)
        twin = np.arange(kind.shape[1]) if twin is None else twin
        lightness = np.clip(canvas.lightness, 1, 99)
        return cls(lightness, canvas.owner, canvas.soft, kind, probs, twin, facts or {})

    def draw_modes(self, seed: int, index: np.ndarray) -> np.ndarray:
        """The mode of each slot, from a stream of its own: int (n, P)."""
        unit = Draws(seed, "colour", index).uniform(0, 1, self.kind.shape[1])[:, self.twin]
        steps = np.cumsum(self.probs, -1)[..., :-1]
        return (unit[..., None] >= steps + 1e-12).sum(-1)

    def of_owner(self, values: np.ndarray) -> np.ndarray:
        """Values of slots (n, P), looked up for the owner of each pixel: (n, H, W)."""
        n, slots = values.shape
        spot = self.owner + (np.arange(n, dtype=np.int32) * slots)[:, None, None]
        return values.ravel().take(spot)

    def pixels(self) -> np.ndarray:
        """How many pixels each slot owns: int (n, P)."""
        n, slots = self.kind.shape
        spot = self.owner.reshape(n, -1) + (np.arange(n) * slots)[:, None]
        return np.bincount(spot.ravel(), minlength=n * slots).reshape(n, slots)

    @property
    def least(self) -> float:
        """How many pixels of a thing must be seen for scores to count it."""
        return MIN_PIXELS * self.owner.shape[-1] ** 2 / 64**2

    def scored(self) -> np.ndarray:
        """Pixels that scores count: owners large enough to be told, soft edges left out."""
        return self.of_owner(self.pixels() >= self.least) & ~self.soft

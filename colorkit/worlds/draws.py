"""Random numbers that belong to a picture: they depend on (seed, stream, picture), on nothing else.

A generator that is counted, not advanced, lets a whole chunk of pictures be drawn at once and
still gives picture 7 the same numbers in any chunk. The mixing function is SplitMix64's
(Steele, Lea, Flood 2014): integers only, so every platform draws the same.
"""

import zlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(z: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser on uint64 arrays."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Draws:
    """Independent uniform numbers for each of n pictures, in the order in which they are asked.

    `index` (n,) are the pictures' numbers in their world; `stream` says what the numbers are for
    ("scene", "colour"): streams are independent of each other.

    Examples
    --------
    >>> a = Draws(0, "scene", np.arange(3)).uniform(0, 1, 2)
    >>> b = Draws(0, "scene", np.array([2])).uniform(0, 1, 2)
    >>> bool((a[2] == b[0]).all())
    True
    """

    def __init__(self, seed: int, stream: str, index: np.ndarray):
        start = np.array([seed], np.uint64) * _GOLDEN + np.uint64(zlib.crc32(stream.encode()))
        self._key = _mix(_mix(start) + (np.asarray(index, np.uint64) + np.uint64(1)) * _GOLDEN)
        self._used = 0

    def uniform(self, low: float = 0.0, high: float = 1.0, *shape: int) -> np.ndarray:
        """Numbers in [low, high): float64 ``(n, *shape)``."""
        count = int(np.prod(shape, dtype=np.int64))
        step = np.arange(self._used + 1, self._used + count + 1, dtype=np.uint64) * _GOLDEN
        self._used += count
        bits = _mix(self._key[:, None] + step) >> np.uint64(11)
        unit = (bits.astype(np.float64) * 2.0**-53).reshape(-1, *shape)
        return low + unit * (high - low)

    def choice(self, probs, *shape: int) -> np.ndarray:
        """Numbers 0..K-1 with probabilities `probs` (K,): int64 ``(n, *shape)``."""
        steps = np.cumsum(probs)[:-1]
        return (self.uniform(0.0, 1.0, *shape)[..., None] >= steps).sum(-1)

    def sign(self, *shape: int) -> np.ndarray:
        """-1.0 or 1.0, equally often: ``(n, *shape)``."""
        return np.where(self.uniform(0.0, 1.0, *shape) < 0.5, -1.0, 1.0)

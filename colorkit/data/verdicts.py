"""What a picture is worth for learning colours: gray, single tint, flat, or a near-duplicate.

Everything is judged on small centre squares, ``thumbs``: uint8 (N, 32, 32, 3). Thresholds were
chosen on some seven thousand colour photographs, of which they leave out fewer than 1 in 100, and
on the same photographs turned gray, sepia, duotone, faded, or pasted on cream paper.
"""

from itertools import combinations

import numpy as np

THUMB = 32
OK, DUPLICATE = "ok", "duplicate"
VERDICTS = (
    OK, "no access", "unsupported", "unreadable", "truncated", "bomb", "not a picture", "too small",
    "flat", "gray", "single tint", DUPLICATE, "passed over",
)  # fmt: skip
NEAR_GRAY = 5.0  # chroma, in Lab units, below which a pixel hardly shows a colour
_BORDER = THUMB // 8  # what a paper border may take on each side

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as in JPEG


def judge(thumbs: np.ndarray, lab: np.ndarray) -> list[tuple[str, str]]:
    """Verdict and reason of each picture: ``("ok", "")``, or flat, gray or single tint.

    ``lab`` holds the same pictures in Lab, (N, 3, 32, 32).
    """
    if len(thumbs) == 0:
        return []
    pixels = thumbs.reshape(len(thumbs), -1, 3)
    spread = np.ptp(np.quantile(pixels, [0.02, 0.98], axis=1), axis=0).max(-1)
    inside = lab[..., _BORDER:-_BORDER, _BORDER:-_BORDER]
    chroma, inner = (
        np.quantile(np.hypot(x[:, 1], x[:, 2]).reshape(len(x), -1), 0.98, axis=1)
        for x in (lab, inside)
    )
    edge = np.ones((THUMB, THUMB), bool)
    edge[2:-2, 2:-2] = False
    frame = lab[:, :, edge]  # paper, where it is light and of one colour
    even = np.ptp(np.quantile(frame, [0.1, 0.9], axis=2), axis=0).max(1) < 8
    paper = even & (frame[:, 0].mean(1) > 70)
    tint = single_tint(thumbs, lab)
    hue = np.degrees(np.arctan2(lab[:, 2].mean((1, 2)), lab[:, 1].mean((1, 2)))) % 360
    found = []
    for i in range(len(thumbs)):
        if spread[i] < 8:
            verdict = "flat", f"one even colour: levels spread by {spread[i]:.0f}"
        elif chroma[i] < NEAR_GRAY + 1:
            verdict = "gray", f"no colour: chroma at most {chroma[i]:.1f} nearly everywhere"
        elif paper[i] and inner[i] < NEAR_GRAY + 1:
            verdict = "gray", f"no colour inside a tinted border: chroma at most {inner[i]:.1f}"
        elif tint[i]:
            verdict = "single tint", f"one tint (hue {hue[i]:.0f} degrees), as in sepia"
        else:
            verdict = OK, ""
        found.append(verdict)
    return found


def single_tint(thumbs: np.ndarray, lab: np.ndarray) -> np.ndarray:
    """Whether all colours of a picture are one tint of its brightness (N,) bool.

    In a sepia print, a duotone or a faded photograph, chroma may be large, but a pixel's colour
    follows from its brightness. So a smooth curve from brightness to colour is fitted, robustly,
    and what it leaves over is small; and the hues agree. A photograph of a lawn has hues that
    agree too, but no such curve. Inside a border of paper the inner part decides.
    """
    n, half = len(thumbs), THUMB // 2
    coarse = thumbs.reshape(n, half, 2, half, 2, 3).mean((2, 4), dtype=np.float32)
    cut = _BORDER // 2
    most = np.quantile(_residual(coarse), 0.8, axis=1)
    inner = _residual(coarse[:, cut:-cut, cut:-cut])
    ab = lab[:, 1:].reshape(n, 2, -1).astype(np.float64)
    chroma = np.hypot(ab[:, 0], ab[:, 1]).mean(1)
    agreement = np.hypot(*ab.mean(2).T) / np.maximum(chroma, 1e-9)  # 1 where all hues are one
    centred = ab - ab.mean(2, keepdims=True)
    variance = np.linalg.eigvalsh(centred @ centred.swapaxes(1, 2) / ab.shape[2])
    minor = np.sqrt(variance[:, 0].clip(0))  # spread of ab across its main axis
    strict = (most <= 1.75) & (agreement >= 0.9)
    loose = (most <= 2.1) & (agreement >= 0.98) & (minor <= 1.5) & (most <= 0.15 * chroma)
    no_spot = np.quantile(inner, 0.95, axis=1) <= 8  # a red ball on a gray street has one
    return (strict | loose) & no_spot


def _residual(rgb: np.ndarray, degree: int = 4) -> np.ndarray:
    """Distance (N, pixels), in levels of Cb and Cr, from a robust curve Y -> (Cb, Cr)."""
    rgb = rgb.reshape(len(rgb), -1, 3).astype(np.float64)
    luma = rgb @ _LUMA
    colour = np.stack([rgb[..., 2] - luma, rgb[..., 0] - luma], 2) * (0.564, 0.713)
    powers = (luma / 127.5 - 1)[..., None] ** np.arange(degree + 1)
    weight = np.ones_like(luma)
    for _ in range(3):
        weighted = (powers * weight[..., None]).swapaxes(1, 2)
        gram = weighted @ powers + 1e-2 * np.eye(degree + 1)
        left = colour - powers @ np.linalg.solve(gram, weighted @ colour)
        distance = np.hypot(left[..., 0], left[..., 1])
        scale = 1.5 * np.median(distance, axis=1, keepdims=True) + 0.5
        weight = 1 / (1 + (distance / scale) ** 2)
    return distance


FINGERPRINT = np.dtype([("hash", np.uint64), ("colours", np.uint8, 48)])
MAX_BITS, MAX_LEVELS = 4, 6.0  # how far the hashes and the coarse colours of duplicates may differ
_BANDS = (13, 13, 13, 13, 12)
_CROWD = 32  # in a crowd of equal keys, each picture is compared with so many before it


def fingerprints(thumbs: np.ndarray) -> np.ndarray:
    """Perceptual hash and mean colours of a 4 x 4 grid of each picture: `FINGERPRINT` (N,).

    The hash holds the signs of the 64 lowest cosine coefficients of brightness against their
    median, as in pHash (Zauner 2010): it survives scaling, recompression and changes of contrast.
    """
    n = len(thumbs)
    luma = thumbs.astype(np.float32) @ _LUMA
    k, x = np.arange(9)[:, None], np.arange(THUMB)[None]
    cosines = np.cos(np.pi * k * (2 * x + 1) / (2 * THUMB)).astype(np.float32)
    low = (cosines @ luma @ cosines.T).reshape(n, 81)[:, 1:65]
    bits = low > np.median(low, axis=1, keepdims=True)
    step = THUMB // 4
    colours = thumbs.reshape(n, 4, step, 4, step, 3).mean((2, 4))
    prints = np.empty(n, FINGERPRINT)
    prints["hash"] = np.packbits(bits, axis=1).view(np.uint64).ravel()
    prints["colours"] = np.round(colours).reshape(n, 48)
    return prints


def duplicates(prints: np.ndarray) -> np.ndarray:
    """For each picture the index of an earlier one that it repeats, else -1: int64 (N,).

    Pictures are compared only where two of five bands of the hash agree, which holds for every
    pair that differs in at most three bits, and for most that differ in four; so the time grows as
    N log N. Order matters: the first of its kind stays.
    """
    hashes = np.ascontiguousarray(prints["hash"])
    shifts = np.cumsum((0, *_BANDS))
    bands = [
        (hashes >> np.uint64(s)) & np.uint64(2**w - 1)
        for s, w in zip(shifts[:-1], _BANDS, strict=True)
    ]
    found = [np.empty((2, 0), np.int64)]
    for a, b in combinations(range(5), 2):
        key = bands[a] << np.uint64(13) | bands[b]
        order = np.argsort(key, kind="stable")
        ranked = key[order]
        for gap in range(1, _CROWD + 1):
            here = np.flatnonzero(ranked[gap:] == ranked[:-gap])
            if here.size == 0:
                break
            pairs = np.stack([order[here], order[here + gap]])  # stable: earlier comes first
            pairs = pairs[:, np.bitwise_count(hashes[pairs[0]] ^ hashes[pairs[1]]) <= MAX_BITS]
            colours = prints["colours"][pairs].astype(np.int16)
            found.append(pairs[:, np.abs(colours[0] - colours[1]).mean(1) <= MAX_LEVELS])
    earlier, later = np.concatenate(found, axis=1)
    original = np.full(len(prints), -1, np.int64)
    order = np.lexsort((earlier, later))
    for i, j in zip(earlier[order].tolist(), later[order].tolist(), strict=True):
        if original[i] < 0 and original[j] < 0:
            original[j] = i
    return original

"""Batches of a prepared store on the device, each made while the last one is used."""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch

from colorkit.color import rgb_to_lab, split_lab
from colorkit.data.store import Store
from colorkit.device import pick_device

MAKERS = 2  # threads that make batches
AHEAD = 3  # batches that are made or wait


def batches(
    store: Store | str | Path,
    split: str = "train",
    size: int = 32,
    device: torch.device | str | None = None,
    augment: bool = True,
    seed: int = 0,
    start_step: int = 0,
    *,
    crop: int | None = None,
    epochs: int | None = 1,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (L, ab) of a split's pictures.

    The batch at a given step depends on the seed and the step alone, so training that was
    interrupted resumes with ``start_step`` at the batches it would have seen.

    Parameters
    ----------
    store : Store or path
    split : str
        ``"train"``, ``"val"``, ``"test"`` or ``"all"``.
    size : int
        Pictures a batch.
    device : device, optional
        By default the fastest (:func:`colorkit.device.pick_device`).
    augment : bool
        Shuffle in each epoch, flip left and right at random, and crop at random places; a last
        batch that is not full is left out, so that all have one shape. Without it: in the order of
        the store, cropped in the middle, all pictures.
    seed : int
        Of shuffling, flipping and cropping.
    start_step : int
        Batches to pass over, counted through all epochs.
    crop : int, optional
        Side of the pictures yielded; by default the store's.
    epochs : int, optional
        How often each picture is shown; None: without end.

    Yields
    ------
    L : Tensor
        (size, 1, crop, crop) float32 in [0, 100], on the device.
    ab : Tensor
        (size, 2, crop, crop) float32, in Lab units.

    Raises
    ------
    ValueError
        If the split is empty, or `crop`, `size` or `start_step` is out of range.

    Examples
    --------
    >>> for L, ab in batches("stores/fruits", size=16, epochs=10):  # doctest: +SKIP
    ...     loss = criterion(model(L), ab)
    """
    store = store if isinstance(store, Store) else Store(store)
    plan = _Plan(store, split, size, augment, seed, crop)
    if start_step < 0 or (epochs is not None and start_step > epochs * plan.steps):
        raise ValueError(f"start_step {start_step}: {epochs} epochs have {plan.steps} steps each")
    device = pick_device() if device is None else torch.device(device)
    end = None if epochs is None else epochs * plan.steps
    return _prefetched(plan, start_step, end, device)


def steps_per_epoch(
    store: Store | str | Path, split: str = "train", size: int = 32, augment: bool = True
) -> int:
    """Batches that :func:`batches` yields in an epoch."""
    store = store if isinstance(store, Store) else Store(store)
    return _Plan(store, split, size, augment, 0, None).steps


class _Plan:
    """Which pictures are in the batch at a step, and how they are cut and turned."""

    def __init__(
        self, store: Store, split: str, size: int, augment: bool, seed: int, crop: int | None
    ) -> None:
        self.store, self.size, self.augment, self.seed = store, size, augment, seed
        self.crop = store.size if crop is None else crop
        if size < 1 or not 1 <= self.crop <= store.size:
            raise ValueError(
                f"size {size} must be at least 1, crop {self.crop} at most the store's {store.size}"
            )
        self.rows = store.rows(split)
        if not len(self.rows):
            raise ValueError(f"split {split!r} of {store!r} is empty")
        full, rest = divmod(len(self.rows), size)
        self.steps = full if augment and full else full + bool(rest)
        self.order = lru_cache(maxsize=2)(self._order)  # two threads may be in two epochs

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self.seed, epoch)).permutation(self.rows)

    def batch(self, step: int) -> np.ndarray:
        """The pictures of a step, uint8 (n, 3, crop, crop)."""
        epoch, place = divmod(step, self.steps)
        part = slice(place * self.size, (place + 1) * self.size)
        if not self.augment:
            rows = self.rows[part]
            margin = (self.store.size - self.crop) // 2
            return self.store.pictures(rows, np.full((len(rows), 2), margin), self.crop)
        rows, rng = self.order(epoch)[part], np.random.default_rng((self.seed, epoch, place))
        corners = rng.integers(0, self.store.size - self.crop + 1, (len(rows), 2))
        pictures = self.store.pictures(rows, corners, self.crop)
        flip = rng.random(len(rows)) < 0.5
        pictures[flip] = pictures[flip, :, :, ::-1]
        return pictures


def _prefetched(
    plan: _Plan, start: int, end: int | None, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    threads = (torch.get_num_threads(),)
    pool = ThreadPoolExecutor(MAKERS, "batches", initializer=_use_one_thread, initargs=threads)
    steps = iter(count(start) if end is None else range(start, end))
    ready = deque(pool.submit(_made, plan, step, device) for step in islice(steps, AHEAD))
    try:
        while ready:
            made = ready.popleft().result()
            ready.extend(pool.submit(_made, plan, step, device) for step in islice(steps, 1))
            yield made if device.type == "cpu" else _to_lab(made, device)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _use_one_thread(others: int) -> None:
    """Let torch use one thread in this Python thread, so that training keeps its own `others`.

    Two pools of threads on the same cores make small operations up to 80 times slower. The
    setting holds for this thread, but torch hands the last one made to threads that begin later:
    so another thread sets it back for those. What to set back comes from the caller: asked for
    here, it might be the 1 of a maker that is just beginning.
    """
    torch.set_num_threads(1)
    back = threading.Thread(target=torch.set_num_threads, args=(others,))
    back.start()
    back.join()


def _made(plan: _Plan, step: int, device: torch.device) -> object:
    """A batch as (L, ab) on the CPU; for another device as pinned bytes, converted there."""
    pictures = torch.from_numpy(plan.batch(step))
    if device.type == "cpu":
        return _to_lab(pictures, device)
    return pictures.pin_memory() if device.type == "cuda" else pictures


def _to_lab(pictures: torch.Tensor, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    L, ab = split_lab(rgb_to_lab(pictures.to(device, non_blocking=True)))
    return L, ab

"""Batches to train and validate on, from tensors, a made world or a prepared store."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from colorkit import distributed
from colorkit.color import rgb_to_lab, split_lab
from colorkit.data.store import Store
from colorkit.device import pick_device
from colorkit.worlds import World


class Batches:
    """A data source for `fit`: ``data(epoch, start_step)`` yields an epoch's batches from a step.

    Order and flips depend on (seed, epoch, step) alone, so that a resumed run sees what it would
    have seen. Where several processes train together, each gets its share of every batch.

    Parameters
    ----------
    pictures : Tensor, tuple of Tensor, World, Store or path of a store
        RGB (N, 3, H, W) uint8, as in a store, becomes (L, ab) a batch at a time. A world gives its
        exact L and ab. Tensors of a tuple, each (N, ..., W), are given as they are: L and ab, or L
        and a label for each pixel.
    batch : int
        Pictures a step, over all processes.
    split : str
        Which part of a store: ``"train"``, ``"val"``, ``"test"`` or ``"all"``.
    in_order : bool
        All pictures as they are and always in the same order, the last batch perhaps smaller: for
        validation. Otherwise each epoch has another order, half of the pictures are flipped left
        to right, and a last, incomplete batch is left out, so that every step weighs the same.
    device : torch.device or str, optional
        Where Lab is computed; None: where the pictures are, for a store the fastest device.

    Raises
    ------
    ValueError
        If there are no pictures, fewer than a batch, or tensors of another kind; while iterating,
        if the processes cannot share a batch evenly.

    Examples
    --------
    >>> data = Batches(torch.zeros(10, 3, 8, 8, dtype=torch.uint8), batch=4)
    >>> len(data), [tuple(ab.shape) for L, ab in data(epoch=0, start_step=1)]
    (2, [(4, 2, 8, 8)])
    """

    def __init__(
        self,
        pictures: Tensor | tuple[Tensor, ...] | World | Store | str | Path,
        batch: int,
        *,
        split: str = "train",
        in_order: bool = False,
        seed: int = 0,
        device: torch.device | str | None = None,
    ) -> None:
        self.batch, self.in_order, self.seed, self.device = batch, in_order, seed, device
        if isinstance(pictures, Store | str | Path):
            self.planes = (_Split(pictures, split),)
            self.device = pick_device() if device is None else device
        elif isinstance(pictures, World):
            self.planes = (pictures.L, pictures.ab)
        elif isinstance(pictures, Tensor):
            if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[1] != 3:
                raise ValueError(
                    "pictures are RGB (N, 3, H, W) uint8 or a tuple such as (L, ab), "
                    f"not {tuple(pictures.shape)} {pictures.dtype}"
                )
            self.planes = (pictures,)
        else:
            self.planes = tuple(pictures)
        self.count = len(self.planes[0])
        if any(len(plane) != self.count for plane in self.planes):
            shapes = " and ".join(str(tuple(plane.shape)) for plane in self.planes)
            raise ValueError(f"tensors of a tuple hold equally many pictures, not {shapes}")
        if batch < 1 or self.count < (1 if in_order else batch):
            raise ValueError(
                f"a batch of {batch} from {self.count} pictures: choose 1 to {self.count}"
            )

    def __len__(self) -> int:
        """Steps an epoch."""
        return -(-self.count // self.batch) if self.in_order else self.count // self.batch

    def __call__(self, epoch: int = 0, start_step: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """Yield an epoch's batches from a step on, nothing where the epoch is over."""
        rank, processes = distributed.rank(), distributed.world_size()
        if self.batch % processes and not self.in_order:  # their means would differ in weight
            raise ValueError(
                f"a batch of {self.batch} cannot be shared by {processes} processes: "
                f"choose a multiple of {processes}"
            )
        order = torch.arange(self.count)
        if not self.in_order:
            order = torch.randperm(self.count, generator=_generator(self.seed, epoch, 0))
        for step in range(start_step, len(self)):
            chosen = order[step * self.batch : (step + 1) * self.batch]
            planes = [plane[chosen[rank::processes]] for plane in self.planes]
            if not self.in_order:  # drawn for all processes, so that their number changes nothing
                draw = torch.rand(self.batch, generator=_generator(self.seed, epoch, step + 1))
                flips = draw[rank::processes] < 0.5
                for plane in planes:  # a copy, for indexing made it
                    plane[flips] = plane[flips].flip(-1)
            planes = [plane.to(self.device, non_blocking=True) for plane in planes]
            yield tuple(planes) if len(planes) > 1 else split_lab(rgb_to_lab(planes[0]))


class _Split:
    """The pictures of a store's split, indexed like a tensor."""

    def __init__(self, store: Store | str | Path, split: str) -> None:
        self.store = store if isinstance(store, Store) else Store(store)
        self.rows = self.store.rows(split)
        if not len(self.rows):
            raise ValueError(f"split {split!r} of {self.store!r} is empty")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: Tensor) -> Tensor:
        """RGB (n, 3, H, W) uint8 of the pictures with these numbers."""
        return torch.from_numpy(self.store.pictures(self.rows[chosen.numpy()]))


def _generator(seed: int, epoch: int, step: int) -> torch.Generator:
    """A generator of its own for each step of a run.

    Runs of neighbouring seeds draw the same epochs in another order: seed 1 in epoch 0 as seed 0
    in epoch 1, and so on.
    """
    mixed = seed & 0xFFFFFFFF
    for number in (epoch, step):
        mixed = (mixed ^ number) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        mixed ^= mixed >> 31
    return torch.Generator().manual_seed(mixed & 0x7FFFFFFFFFFFFFFF)

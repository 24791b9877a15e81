"""Batches of (L, ab) from pictures in memory: shuffled, flipped, cropped, resumable at a step."""

from collections.abc import Iterator

import torch
from torch import Tensor

from colorkit import distributed
from colorkit.color import rgb_to_lab, split_lab


class TensorBatches:
    """A data source for `fit` over pictures in memory.

    ``data(epoch, start_step)`` yields the epoch's batches from that step on. Order, flips and crops
    depend on (seed, epoch, step) alone, so that a resumed run sees what it would have seen.
    Pictures stay 8-bit and are converted to Lab on the device, a batch at a time.

    Parameters
    ----------
    pictures : Tensor or tuple of Tensor
        RGB (N, 3, H, W) uint8; or the pair L (N, 1, H, W) in [0, 100] and ab (N, 2, H, W), for
        made worlds, whose L is no 8-bit number.
    batch : int
        Pictures a step, over all processes; each process gets its share.
    seed : int
    shuffle, flip : bool
        A new order each epoch; left and right swapped for half of the pictures.
    crop : int, optional
        Side of a random square of each picture; None: the whole picture.
    drop_last : bool
        Leave out the last, incomplete batch, so that every step weighs the same.
    device : torch.device or str, optional
        Where Lab is computed; None: where the pictures are.

    Examples
    --------
    >>> data = TensorBatches(torch.zeros(10, 3, 8, 8, dtype=torch.uint8), batch=4)
    >>> len(data), [tuple(ab.shape) for L, ab in data(epoch=0, start_step=1)]
    (2, [(4, 2, 8, 8)])
    """

    def __init__(
        self,
        pictures: Tensor | tuple[Tensor, Tensor],
        batch: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        flip: bool = True,
        crop: int | None = None,
        drop_last: bool = True,
        device: torch.device | str | None = None,
    ) -> None:
        self.planes = _check_pictures(pictures)
        self.count = len(self.planes[0])
        self.batch, self.seed, self.shuffle, self.flip = batch, seed, shuffle, flip
        self.crop, self.drop_last, self.device = crop, drop_last, device
        self._check_sizes()

    def __len__(self) -> int:
        """Batches an epoch."""
        return self.count // self.batch if self.drop_last else -(-self.count // self.batch)

    def __call__(self, epoch: int = 0, start_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (L, ab) of an epoch from a step on, nothing where the epoch is over."""
        order = torch.arange(self.count)
        if self.shuffle:
            order = torch.randperm(self.count, generator=_generator(self.seed, epoch, 0))
        for step in range(start_step, len(self)):
            chosen = order[step * self.batch : (step + 1) * self.batch]
            yield self._load(chosen, _generator(self.seed, epoch, step + 1))

    def _load(self, chosen: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        # Drawn for the whole batch, so that the pictures do not depend on the number of processes.
        flips = torch.rand(len(chosen), generator=generator) < 0.5
        corners = self._corners(len(chosen), generator)
        if self.drop_last:
            mine = distributed.share(torch.arange(len(chosen)))
        else:  # validation: sums and weights are added over the processes, so shares may differ
            mine = torch.arange(len(chosen))[distributed.rank() :: distributed.world_size()]
        planes = [plane[chosen[mine]] for plane in self.planes]
        if self.crop is not None:
            planes = [_crop(plane, corners[mine], self.crop) for plane in planes]
        if self.flip:
            planes = [_flip(plane, flips[mine]) for plane in planes]
        planes = [plane.to(self.device, non_blocking=True) for plane in planes]
        return tuple(planes) if len(planes) == 2 else split_lab(rgb_to_lab(planes[0]))

    def _corners(self, count: int, generator: torch.Generator) -> Tensor:
        side = torch.tensor(self.planes[0].shape[-2:])
        room = side - (self.crop if self.crop is not None else side) + 1
        return (torch.rand(count, 2, generator=generator) * room).long()

    def _check_sizes(self) -> None:
        if self.batch < 1 or (self.drop_last and self.batch > self.count):
            raise ValueError(
                f"a batch of {self.batch} from {self.count} pictures: choose 1 to {self.count}"
            )
        sides = tuple(self.planes[0].shape[-2:])
        if self.crop is not None and not 1 <= self.crop <= min(sides):
            raise ValueError(f"crop is {self.crop}, but the pictures are {sides[0]} x {sides[1]}")


def _check_pictures(pictures: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    if isinstance(pictures, Tensor):
        if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[1] != 3:
            raise ValueError(
                "pictures are RGB (N, 3, H, W) uint8 or a pair (L, ab), "
                f"not {tuple(pictures.shape)} {pictures.dtype}"
            )
        return (pictures,)
    L, ab = pictures
    whole = L.ndim == ab.ndim == 4 and L.is_floating_point() and ab.is_floating_point()
    fits = whole and (L.shape[1], ab.shape[1]) == (1, 2)
    if not fits or (len(L), L.shape[2:]) != (len(ab), ab.shape[2:]):
        raise ValueError(
            "the pair is L (N, 1, H, W) and ab (N, 2, H, W), both float, "
            f"not {tuple(L.shape)} {L.dtype} and {tuple(ab.shape)} {ab.dtype}"
        )
    return L, ab


def _generator(seed: int, epoch: int, step: int) -> torch.Generator:
    """A generator of its own for each step: hashed, so that neighbours share nothing."""
    mixed = seed & 0xFFFFFFFF
    for number in (epoch, step):
        mixed = (mixed ^ number) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        mixed ^= mixed >> 31
    return torch.Generator().manual_seed(mixed & 0x7FFFFFFFFFFFFFFF)


def _crop(plane: Tensor, corners: Tensor, side: int) -> Tensor:
    return torch.stack(
        [
            picture[:, top : top + side, left : left + side]
            for picture, (top, left) in zip(plane, corners.tolist(), strict=True)
        ]
    )


def _flip(plane: Tensor, flips: Tensor) -> Tensor:
    return torch.where(flips.reshape(-1, 1, 1, 1).to(plane.device), plane.flip(-1), plane)


def in_order(
    pictures: Tensor | tuple[Tensor, Tensor],
    batch: int,
    device: torch.device | str | None = None,
) -> TensorBatches:
    """The pictures as they are, all of them, always the same: for validation."""
    return TensorBatches(pictures, batch, shuffle=False, flip=False, drop_last=False, device=device)


class StoreBatches:
    """A data source for `fit` over a split of a prepared store (`colorkit.data.batches`).

    Parameters
    ----------
    store : Store or path
    split : str
        ``"train"``, ``"val"``, ``"test"`` or ``"all"``.
    batch : int
        Pictures a step, over all processes.
    augment : bool
        Shuffle, flip and crop at random; without it, all pictures in order, for validation.
    seed, crop, device
        As in `colorkit.data.batches.batches`.
    """

    def __init__(
        self,
        store: object,
        split: str = "train",
        batch: int = 32,
        *,
        augment: bool = True,
        seed: int = 0,
        crop: int | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        from colorkit.data.batches import steps_per_epoch

        self.store, self.split, self.batch, self.augment = store, split, batch, augment
        self.seed, self.crop, self.device = seed, crop, device
        self.steps = steps_per_epoch(store, split, batch, augment)

    def __len__(self) -> int:
        """Batches an epoch."""
        return self.steps

    def __call__(self, epoch: int = 0, start_step: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (L, ab) of an epoch from a step on, nothing where the epoch is over."""
        from colorkit.data.batches import batches

        made = batches(
            self.store,
            self.split,
            self.batch,
            self.device,
            self.augment,
            self.seed,
            epoch * self.steps + start_step,
            crop=self.crop,
            epochs=epoch + 1,
        )
        for planes in made:
            if self.augment:
                yield tuple(distributed.share(plane) for plane in planes)
            else:
                mine = slice(distributed.rank(), None, distributed.world_size())
                yield tuple(plane[mine] for plane in planes)


def world_batches(
    world: str, n: int, size: int = 64, seed: int = 0, batch: int = 32, augment: bool = True
) -> TensorBatches:
    """A data source over a made world, drawn once: its exact L and ab, not those of 8-bit RGB.

    Parameters
    ----------
    world : {"orchard", "portraits", "bears"}
    n, size, seed : int
        Pictures, their side, and which ones; validation takes another seed than training.
    batch : int
    augment : bool
        Shuffle and flip; without it, all pictures in order, for validation.

    Examples
    --------
    >>> data = world_batches("orchard", n=8, size=32, batch=4)
    >>> [tuple(ab.shape) for L, ab in data(epoch=0, start_step=0)]
    [(4, 2, 32, 32), (4, 2, 32, 32)]
    """
    from colorkit.worlds import WORLDS

    if world not in WORLDS:
        raise ValueError(f"there is no world {world!r}: take one of {', '.join(WORLDS)}")
    drawn = WORLDS[world](n, size, seed)
    planes = (drawn.L, drawn.ab)
    return TensorBatches(planes, batch, seed=seed) if augment else in_order(planes, batch)

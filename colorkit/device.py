"""The one place where a device is chosen, random numbers are seeded and precision is decided."""

import random

import numpy as np
import torch


def pick_device(prefer: str | None = None) -> torch.device:
    """The fastest device here: CUDA, else Apple's MPS, else the CPU.

    Parameters
    ----------
    prefer : str, optional
        A device that is taken as it is, for instance ``"cpu"``.

    Examples
    --------
    >>> pick_device("cpu")
    device(type='cpu')
    """
    if prefer is not None:
        return torch.device(prefer)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and torch (all devices); return a CPU generator with the same seed.

    Examples
    --------
    >>> generator = seed_everything(0)
    >>> bool((torch.rand(3) == torch.rand(3, generator=generator)).all())
    True
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - some libraries still draw from the global state
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)

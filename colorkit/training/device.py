"""The one place where a device is chosen, random numbers are seeded and precision is decided."""

import os
import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

PRECISIONS = ("auto", "float32", "bf16")


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


@dataclass(frozen=True)
class Precision:
    """How the forward pass computes: the dtype of autocast (None: off) and the memory format."""

    autocast_dtype: torch.dtype | None = None
    channels_last: bool = False

    def autocast(self, device: torch.device) -> torch.autocast:
        """A context in which the forward pass runs; it does nothing where autocast is off."""
        enabled = self.autocast_dtype is not None
        return torch.autocast(device.type, dtype=self.autocast_dtype, enabled=enabled)

    def arrange(self, value: Tensor | nn.Module) -> Tensor | nn.Module:
        """A tensor (N, C, H, W) or a module in this memory format; other tensors as they are."""
        if not self.channels_last:
            return value
        if isinstance(value, nn.Module):
            return value.to(memory_format=torch.channels_last)
        return value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value


def pick_precision(
    device: torch.device, precision: str = "auto", channels_last: bool | None = None
) -> Precision:
    """bf16 autocast and channels_last where this hardware gains from them.

    bf16 on CUDA with bf16 units and on CPUs with AMX or AVX512-BF16; elsewhere it is emulated and
    slower. channels_last there too, and in float32 on CPUs whose convolutions are oneDNN's, where
    a U-Net trains about 1.2 times as fast with it (`python -m benchmarks training`).

    Parameters
    ----------
    device : torch.device
    precision : {"auto", "float32", "bf16"}
        "auto": what the environment variable COLORKIT_PRECISION says, else what the hardware gains
        from.
    channels_last : bool, optional
        None: where it pays.

    Examples
    --------
    >>> pick_precision(torch.device("cpu"), "float32", channels_last=False)
    Precision(autocast_dtype=None, channels_last=False)
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is one of {PRECISIONS}, not {precision!r}")
    if precision == "auto":
        precision = os.environ.get("COLORKIT_PRECISION", "auto")
        if precision not in PRECISIONS:
            raise ValueError(f"COLORKIT_PRECISION is one of {PRECISIONS}, not {precision!r}")
    fast = has_fast_bf16(device)
    bf16 = fast if precision == "auto" else precision == "bf16"
    if channels_last is None:
        channels_last = fast or _has_onednn(device)
    return Precision(torch.bfloat16 if bf16 else None, channels_last)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    # The names are private in some versions of torch: a missing one means no.
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)


def _has_onednn(device: torch.device) -> bool:
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return torch.backends.cpu.get_cpu_capability().startswith("AVX")

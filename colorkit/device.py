"""The one place where a device is chosen, random numbers are seeded and precision is decided."""

import os
import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

PRECISIONS = ("auto", "float32", "bf16", "float64")


def pick_device(prefer: str | torch.device | None = None) -> torch.device:
    """The device that is asked for, else the fastest one here: CUDA, Apple's MPS, the CPU."""
    if prefer is not None:
        return torch.device(prefer)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and torch (all devices); return a CPU generator with the same seed."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - some libraries still draw from the global state
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def reseed(device: torch.device, seed: int) -> None:
    """Seed torch here and on the device; torch.manual_seed, on all there might be, takes 1 ms."""
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        getattr(torch, device.type).manual_seed(seed)


@dataclass(frozen=True)
class Precision:
    """How a network computes on its device: dtype, bf16 in the forward pass or not, layout."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    bf16: bool = False
    layout: torch.memory_format = torch.contiguous_format

    def autocast(self) -> torch.autocast:
        """A context for the forward pass, which does nothing where bf16 is off."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def place(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The tensors on the device, in dtype and layout; whole numbers stay such."""
        moved = (
            x.to(self.device, self.dtype if x.is_floating_point() else None, non_blocking=True)
            for x in batch
        )
        return tuple(x.contiguous(memory_format=self.layout) if x.ndim == 4 else x for x in moved)


def pick_precision(device: torch.device, precision: str = "auto") -> Precision:
    """The precision of that name: auto, float32, bf16 or float64.

    "auto" is what the environment variable COLORKIT_PRECISION says, else bf16 where the device
    multiplies it. The layout is channels_last there too, and on CPUs with AVX, whose convolutions
    are oneDNN's: a U-Net trains about 1.2 times as fast with it (`python -m benchmarks training`).
    """
    if precision == "auto":
        precision = os.environ.get("COLORKIT_PRECISION", "auto")
    if precision not in PRECISIONS:
        names = ", ".join(PRECISIONS)
        raise ValueError(f"precision (or COLORKIT_PRECISION) is one of {names}, not {precision!r}")
    fast = has_fast_bf16(device)
    onednn = device.type == "cpu" and torch.backends.mkldnn.is_available()
    onednn = onednn and torch.backends.cpu.get_cpu_capability().startswith("AVX")
    return Precision(
        device,
        torch.float64 if precision == "float64" else torch.float32,
        fast if precision == "auto" else precision == "bf16",
        torch.channels_last if fast or onednn else torch.contiguous_format,
    )


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 itself: CUDA with bf16 units, CPUs with AMX or AVX512."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # The names are private in some versions of torch: a missing one means no.
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, x, lambda: False)() for x in probes)

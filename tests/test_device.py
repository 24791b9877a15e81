"""Precision: where bf16 and channels_last are switched on."""

import pytest
import torch

from colorkit import device as module
from colorkit.device import Precision, has_fast_bf16, pick_precision

CPU = torch.device("cpu")
PROBES = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")


@pytest.fixture(autouse=True)
def no_wish(monkeypatch):
    """As on a user's machine: nothing in the environment asks for a precision."""
    monkeypatch.delenv("COLORKIT_PRECISION", raising=False)


@pytest.mark.parametrize("probe", PROBES)
def test_bf16_and_channels_last_are_on_where_the_cpu_has_it(monkeypatch, probe):
    for name in PROBES:
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == probe, raising=False)
    assert pick_precision(CPU) == Precision(CPU, bf16=True, layout=torch.channels_last)
    assert not pick_precision(CPU, "float32").bf16


def test_bf16_is_off_where_it_is_emulated_or_unknown(monkeypatch):
    for name in PROBES:
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not has_fast_bf16(torch.device("mps"))
    assert not pick_precision(CPU).bf16
    assert pick_precision(CPU, "bf16").bf16


def test_cuda_is_asked_for_real_bf16(monkeypatch):
    asked = []

    def supported(including_emulation=True):
        asked.append(including_emulation)
        return False

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert pick_precision(torch.device("cuda")) == Precision(torch.device("cuda"))
    assert asked == [False]


def test_channels_last_follows_onednn(monkeypatch):
    monkeypatch.setattr(module, "has_fast_bf16", lambda device: False)
    for capability, layout in (("AVX2", torch.channels_last), ("DEFAULT", torch.contiguous_format)):
        monkeypatch.setattr(
            torch.backends.cpu, "get_cpu_capability", lambda capability=capability: capability
        )
        assert pick_precision(CPU).layout is layout


def test_place_changes_dtype_and_order_in_memory_and_leaves_labels():
    ab, labels = torch.rand(2, 2, 4, 4), torch.arange(3)
    precision = Precision(CPU, torch.float64, layout=torch.channels_last)
    placed, same = precision.place((ab, labels))
    assert placed.is_contiguous(memory_format=torch.channels_last)
    assert placed.dtype == torch.float64
    assert torch.equal(placed.float(), ab)
    assert same is labels
    assert Precision(CPU).place((ab,))[0] is ab


def test_the_environment_decides_what_auto_means_and_nothing_else(monkeypatch):
    monkeypatch.setenv("COLORKIT_PRECISION", "bf16")
    assert pick_precision(CPU).bf16
    assert not pick_precision(CPU, "float32").bf16
    monkeypatch.setenv("COLORKIT_PRECISION", "float16")
    with pytest.raises(ValueError, match=r"COLORKIT_PRECISION\) is one of .* not 'float16'"):
        pick_precision(CPU)

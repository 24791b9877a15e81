"""Precision: where bf16 and channels_last are switched on."""

import pytest
import torch
from torch import nn

from colorkit import device as module
from colorkit.device import Precision, has_fast_bf16, pick_precision

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def no_wish(monkeypatch):
    """As on a user's machine: nothing in the environment asks for a precision."""
    monkeypatch.delenv("COLORKIT_PRECISION", raising=False)


@pytest.mark.parametrize("probe", ["_is_amx_tile_supported", "_is_avx512_bf16_supported"])
def test_bf16_is_on_where_the_cpu_has_it(monkeypatch, probe):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == probe, raising=False)
    assert pick_precision(CPU) == Precision(torch.bfloat16, channels_last=True)
    assert pick_precision(CPU, "float32", False) == Precision(None, channels_last=False)


def test_bf16_is_off_where_it_is_emulated_or_unknown(monkeypatch):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not has_fast_bf16(CPU)
    assert not has_fast_bf16(torch.device("mps"))
    assert pick_precision(CPU).autocast_dtype is None
    assert pick_precision(CPU, "bf16").autocast_dtype is torch.bfloat16


def test_cuda_is_asked_for_real_bf16(monkeypatch):
    asked = []

    def supported(including_emulation=True):
        asked.append(including_emulation)
        return False

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert pick_precision(torch.device("cuda")) == Precision(None, channels_last=False)
    assert asked == [False]


def test_channels_last_follows_onednn(monkeypatch):
    monkeypatch.setattr(module, "has_fast_bf16", lambda device: False)
    for there in (True, False):
        monkeypatch.setattr(module, "_has_onednn", lambda device, there=there: there)
        assert pick_precision(CPU).channels_last is there


def test_autocast_computes_in_bf16_only_when_it_is_on():
    layer, L = nn.Conv2d(1, 2, 3), torch.zeros(1, 1, 8, 8)
    for dtype, expected in ((None, torch.float32), (torch.bfloat16, torch.bfloat16)):
        with Precision(dtype).autocast(CPU):
            assert layer(L).dtype is expected


def test_arrange_changes_the_order_in_memory_and_nothing_else():
    ab, batch_of_labels = torch.rand(2, 2, 4, 4), torch.arange(3)
    arranged = Precision(channels_last=True).arrange(ab)
    assert arranged.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(arranged, ab)
    assert Precision(channels_last=True).arrange(batch_of_labels) is batch_of_labels
    assert Precision().arrange(ab) is ab


def test_the_environment_decides_what_auto_means_and_nothing_else(monkeypatch):
    monkeypatch.setenv("COLORKIT_PRECISION", "bf16")
    assert pick_precision(CPU).autocast_dtype is torch.bfloat16
    assert pick_precision(CPU, "float32").autocast_dtype is None


def test_an_unknown_precision_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="not 'fp16'"):
        pick_precision(CPU, "fp16")
    monkeypatch.setenv("COLORKIT_PRECISION", "float16")
    with pytest.raises(ValueError, match=r"COLORKIT_PRECISION is one of .* not 'float16'"):
        pick_precision(CPU)

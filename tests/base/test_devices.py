"""What the hardware has, and what it is told to leave alone."""

import pytest
import torch

from rrahelpers.base import devices
from rrahelpers.base.devices import bfloat16_pays, bfloat16_units


@pytest.mark.parametrize("most, used", [
    (None, True), ("ALL", True), ("AVX512_CORE_BF16", True), ("avx512_core_amx", True), ("AVX10_1_512", True),
    ("AVX2", False), ("AVX512_CORE", False), ("AVX512_CORE_VNNI", False), ("SSE41", False), ("avx2_vnni", False),
])
def test_bfloat16_units_are_used_where_onednn_may(monkeypatch, most, used):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if most:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", most)
    assert bfloat16_units("cpu") == (used and torch.backends.mkldnn.is_available())


@pytest.mark.parametrize("rate, pays", [(2.0, True), (1.2, True), (1.1, False), (0.5, False)])
def test_bfloat16_is_used_where_it_was_measured_to_be_faster(monkeypatch, rate, pays):
    monkeypatch.setattr(devices, "bfloat16_units", lambda device: True)
    monkeypatch.setattr(devices, "_gain", lambda threads: rate)
    assert bfloat16_pays("cpu") == pays


def test_without_units_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(devices, "bfloat16_units", lambda device: False)
    monkeypatch.setattr(devices, "_gain", lambda threads: pytest.fail("measured"))
    assert not bfloat16_pays("cpu")


def test_the_gain_is_the_time_of_float32_over_that_of_bfloat16(monkeypatch):
    ticks = iter([0.0, 9, 0, 9] + [0.0, 3, 0, 2] * 2)  # a slow first round, then 3 s against 2
    monkeypatch.setattr(devices.time, "perf_counter", lambda: next(ticks))
    assert devices._gain.__wrapped__(1, side=2, rounds=2) == 1.5

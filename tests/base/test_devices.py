"""What the hardware has, and what it is told to leave alone."""

import pytest
import torch

from rrahelpers.base.devices import bfloat16_units


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

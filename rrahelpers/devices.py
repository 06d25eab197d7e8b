"""What the hardware at hand has and does fast."""

import os

import torch


def default_device():
    """Where networks run unless told otherwise: "cuda" where there is one, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def cores_each(jobs):
    """Processor cores for each of so many processes. Raises ``ValueError`` for fewer than one job."""
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    return max(1, (os.cpu_count() or 1) // jobs)


def bfloat16_units(device):
    """Whether bfloat16 products are faster than float32's: on CUDA, and on CPUs with AVX-512 bfloat16 or AMX units."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and (
        getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)() or torch.cpu._is_amx_tile_supported())

"""What the hardware at hand has and does fast."""

import os
import time
from functools import cache

import torch
from torch import nn

GAIN = 1.2  # how many times as fast as float32 bfloat16 must be to be used: less isn't told from noise


def default_device() -> str:
    """Where networks run unless told otherwise: "cuda" where there is one, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def cores_each(jobs: int) -> int:
    """Processor cores for each of so many processes. Raises ``ValueError`` for fewer than one job."""
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    return max(1, (os.cpu_count() or 1) // jobs)


def bfloat16_pays(device: str | torch.device) -> bool:
    """Whether bfloat16 products are the faster ones: on CUDA where it has the units, on a CPU where it has them and
    they were measured to be, once a process, in some tenths of a second.

    Having the units isn't enough: on two cores of Zen 4 they do twice what float32 does, on some Xeons with AVX-512
    bfloat16 and without AMX half of it.
    """
    device = torch.device(device)
    return bfloat16_units(device) and (device.type != "cpu" or _gain(torch.get_num_threads()) >= GAIN)


def bfloat16_units(device: str | torch.device) -> bool:
    """Whether a device has units for bfloat16: CUDA's, or AVX-512 bfloat16 or AMX on a CPU.

    Where oneDNN is told by ``ONEDNN_MAX_CPU_ISA`` to leave such units alone, it hasn't.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    most = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()
    allowed = not most.startswith(("SSE", "AVX")) or any(name in most for name in ("BF16", "FP16", "AMX", "AVX10"))
    return device.type == "cpu" and allowed and torch.backends.mkldnn.is_available() and (
        getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)() or torch.cpu._is_amx_tile_supported())


@cache
@torch.no_grad()
def _gain(threads, side=1024, rounds=5):
    """How many times as fast a product of square matrices is in bfloat16 as in float32, by the best of some rounds in
    turn; with so many ``threads``, of which another number is measured anew."""
    exact = torch.ones(side, side)
    operands = {dtype: exact.to(dtype) for dtype in (torch.float32, torch.bfloat16)}
    best = dict.fromkeys(operands, float("inf"))
    for _ in range(rounds + 1):  # the first, which sets up, counts too: it is never the best
        for dtype, x in operands.items():
            start = time.perf_counter()
            x @ x
            best[dtype] = min(best[dtype], time.perf_counter() - start)
    return best[torch.float32] / best[torch.bfloat16]


def memory_format(model: nn.Module) -> torch.memory_format:
    """The memory format in which ``model`` is run: channels-last, or contiguous where that isn't safe.

    Channels-last trains twice as fast on CPUs. But there oneDNN (3.12, that of torch 2.13) writes out of bounds in the
    backward pass of a 1x1 convolution with a stride whose input channels don't fill a vector register: fewer than 8 on
    AVX2, fewer than 16 on AVX-512 (https://github.com/uxlfoundation/oneDNN/issues/6035). The process dies, or the
    gradients are silently wrong. So a network with such a layer stays contiguous, on every processor: a run is computed
    in the same way wherever it is trained.
    """
    narrow = any(isinstance(layer, nn.Conv2d) and max(layer.kernel_size) == 1 and max(layer.stride) > 1
                 and layer.in_channels < 16
                 for layer in model.modules())
    return torch.contiguous_format if narrow else torch.channels_last

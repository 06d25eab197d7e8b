"""What the hardware at hand has and does fast."""

import os

import torch
from torch import nn


def default_device():
    """Where networks run unless told otherwise: "cuda" where there is one, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def cores_each(jobs):
    """Processor cores for each of so many processes. Raises ``ValueError`` for fewer than one job."""
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    return max(1, (os.cpu_count() or 1) // jobs)


def bfloat16_units(device):
    """Whether bfloat16 products are faster than float32's: on CUDA, and on CPUs with AVX-512 bfloat16 or AMX units.

    Where oneDNN is told by ``ONEDNN_MAX_CPU_ISA`` to leave such units alone, they aren't.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    most = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()
    allowed = not most.startswith(("SSE", "AVX")) or any(name in most for name in ("BF16", "FP16", "AMX", "AVX10"))
    return device.type == "cpu" and allowed and torch.backends.mkldnn.is_available() and (
        getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)() or torch.cpu._is_amx_tile_supported())


def memory_format(model):
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

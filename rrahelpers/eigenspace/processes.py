"""Covariances of several processes as one: data-parallel training with ``torch.distributed``."""

from __future__ import annotations

from typing import TypeAlias

import torch
import torch.distributed as dist

from rrahelpers.eigenspace.covariance import Covariance

Splits: TypeAlias = dict[str, dict[str, Covariance]]


def check_processes() -> None:
    """``RuntimeError`` where ``torch.distributed`` isn't set up."""
    if not (dist.is_available() and dist.is_initialized()):
        raise RuntimeError("distributed=True expects torch.distributed to be set up: call "
                           "torch.distributed.init_process_group before")


def over_processes(found: Splits) -> Splits:
    """{split: {layer: :class:`Covariance`}} of all processes together, in each of them: what one process would have
    that saw all data.

    Every process has to call this; one that has seen nothing of a layer adds nothing to it. A layer at a time takes 8
    D² bytes more. Raises ``ValueError`` where a layer has other numbers of features in other processes.
    """
    own = {(split, layer): (covariance.dim, _reference(covariance))
           for split, layers in found.items() for layer, covariance in layers.items()}
    everywhere: list = [None] * dist.get_world_size()
    dist.all_gather_object(everywhere, own)
    about: dict[tuple[str, str], list[tuple[int, torch.Tensor | None]]] = {}
    for process in everywhere:
        for key, value in process.items():
            about.setdefault(key, []).append(value)
    together: Splits = {split: {} for split in found}
    for (split, layer), seen in about.items():
        if len(dims := {dim for dim, _ in seen}) > 1:
            raise ValueError(f"layer {layer!r}: expected one number of features in all processes, got {sorted(dims)}")
        dim = dims.pop()
        covariance = found[split].get(layer, Covariance(dim))
        reference = next((mean for _, mean in seen if mean is not None), torch.zeros(dim))
        together[split][layer] = covariance.over_processes(reference.to(_device(covariance)))
    return together


def _reference(covariance):
    """The mean on the CPU, about which sums lose no digits; None where there is none, or no finite one."""
    try:
        return covariance.mean.cpu()
    except ValueError:
        return None


def _device(covariance):
    """Where a covariance lives; before any observation, where the processes exchange their numbers."""
    return covariance.place or torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")

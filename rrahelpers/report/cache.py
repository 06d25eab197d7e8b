"""Features on the disk: where all that a report needs is more than the memory, one pass serves many layers, and the
next report of the same network and images none.

An entry holds what was kept of one layer. It goes by the digest of weights, images, layer and what is kept; before it
is used, its first image is compared with what the network answers now, since a network may change without its weights.
Entries that were not used for longest go where a limit would be passed.
"""

import json
import math
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch

from rrahelpers.base.files import digest, write_json

LASTING = 20 * 2**30  # bytes that stay when a report is made
DAY = 86400  # seconds; what a killed process left behind is older


def cache_folder() -> Path:
    """``$RRA_CACHE``, or ``rrahelpers/features`` in the user's folder for caches."""
    if own := os.environ.get("RRA_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rrahelpers" / "features"


def entries(folder: Path | None = None) -> list[tuple[Path, int, float]]:
    """(path, bytes, time of last use) of each entry, the one not used for longest first; what is half written too."""
    folder = folder or cache_folder()
    found = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return sorted(((path, _size(path), path.stat().st_mtime) for path in found), key=lambda entry: entry[2])


def empty(folder: Path | None = None) -> tuple[int, int]:
    """Remove every entry; returns their number and bytes."""
    found = entries(folder)
    for path, _, _ in found:
        shutil.rmtree(path, ignore_errors=True)
    return len(found), sum(size for _, size, _ in found)


class FeatureCache:
    """Entries of at most ``limit`` bytes together, and at most half of what the disk has free."""

    def __init__(self, limit: float, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.limit = min(limit, shutil.disk_usage(self.folder).free / 2 + sum(size for _, size, _ in entries(folder)))

    def make_room(self, needed: float) -> None:
        """Remove entries until ``needed`` more bytes are within the limit."""
        found = entries(self.folder)
        held = sum(size for _, size, _ in found)
        for path, size, used in found:
            half_written = path.suffix == ".tmp"
            if half_written and time.time() - used < DAY:
                continue  # another process'
            if held + needed > self.limit or half_written:
                shutil.rmtree(path, ignore_errors=True)
                held -= size

    def shrink(self) -> None:
        """Remove entries until no more than ``LASTING`` bytes are left."""
        self.make_room(max(0.0, self.limit - LASTING))

    def read(self, key: str,
             examples: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, float]] | None:
        """({name: tensor mapped from its file}, {name of a number: number}) of an entry, or None where there is none.

        ``examples``: {name: [1, ...]}, what the network answers to the first image now. An entry with another answer
        is removed.
        """
        path = self.folder / key
        try:
            about = json.loads((path / "entry.json").read_text(encoding="utf-8"))
            found = {name: _mapped(path / f"{name}.bin", **about["tensors"][name]) for name in examples}
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError):
            return None
        if not all(x[0].shape == examples[name][0].shape and torch.allclose(
                x[0].float(), examples[name][0].float().cpu(), rtol=1e-3, atol=1e-5, equal_nan=True)
                for name, x in found.items()):
            shutil.rmtree(path, ignore_errors=True)
            return None
        os.utime(path)
        return found, about["numbers"]

    def key(self, weights: str, data: str, layer: str, kept: object) -> str:
        return digest([weights, data, layer, kept], 32)


class OnDisk:
    """Where a pass puts what it keeps: new entries of a cache. ``keys``: {layer: key}."""

    def __init__(self, cache: FeatureCache, keys: Mapping[str, str]) -> None:
        self.cache, self.keys = cache, keys
        self.shapes: dict[str, dict[str, dict[str, Any]]] = {}
        self.paths = {layer: cache.folder / f"{key}.{secrets.token_hex(4)}.tmp" for layer, key in keys.items()}

    def put(self, layer: str, name: str, x: torch.Tensor, _place: int) -> None:
        x = x.cpu().contiguous()
        if layer not in self.shapes:
            self.paths[layer].mkdir(parents=True)
        rows = self.shapes.setdefault(layer, {}).get(name, {"shape": [0]})["shape"][0]
        self.shapes[layer][name] = {"shape": [rows + len(x), *x.shape[1:]],
                                    "dtype": str(x.dtype).removeprefix("torch.")}
        with open(self.paths[layer] / f"{name}.bin", "ab") as file:
            file.write(x.view(torch.uint8).numpy().data if x.ndim else b"")

    def take(self, layer: str) -> dict[str, torch.Tensor]:
        """{name: tensor mapped from its file} of a layer that is finished."""
        return {name: _mapped(self.cache.folder / self.keys[layer] / f"{name}.bin", **about)
                for name, about in self.shapes.get(layer, {}).items()}

    def finish(self, layer: str, numbers: Mapping[str, float]) -> None:
        """Make an entry of a layer, with numbers that only the pass itself could tell."""
        if layer in self.shapes:
            write_json(self.paths[layer] / "entry.json", {"tensors": self.shapes[layer], "numbers": numbers})
            target = self.cache.folder / self.keys[layer]
            shutil.rmtree(target, ignore_errors=True)
            os.replace(self.paths[layer], target)

    def close(self) -> None:
        """Remove what did not become an entry."""
        for path in self.paths.values():
            shutil.rmtree(path, ignore_errors=True)


class InMemory:
    """Where a pass puts what it keeps: tensors of ``count`` rows on the CPU."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.found: dict[str, dict[str, torch.Tensor]] = {}

    def put(self, layer: str, name: str, x: torch.Tensor, place: int) -> None:
        kept = self.found.setdefault(layer, {})
        if name not in kept:
            kept[name] = torch.empty((self.count, *x.shape[1:]), dtype=x.dtype)
        kept[name][place:place + len(x)] = x

    def take(self, layer: str) -> dict[str, torch.Tensor]:
        return self.found.pop(layer, {})

    def finish(self, layer: str, numbers: Mapping[str, float]) -> None:
        """Nothing outlives the analysis."""

    def close(self) -> None:
        """Nothing to remove."""


Sink: TypeAlias = OnDisk | InMemory


def _mapped(path, shape, dtype):
    kind = getattr(torch, dtype)
    if path.stat().st_size != math.prod(shape) * torch.empty((), dtype=kind).element_size():
        raise OSError(f"{path} is cut off")
    return torch.from_file(str(path), False, math.prod(shape), dtype=kind).view(shape)


def _size(path):
    return sum(file.stat().st_size for file in path.iterdir() if file.is_file())

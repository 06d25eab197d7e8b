"""Import torchvision, also beside a CPU-only torch.

torchvision's wheel on the package index is built against CUDA. Beside a CPU-only torch its compiled
operators don't load, and ``import torchvision`` stops with "operator torchvision::nms does not exist",
because it registers shape functions for two operators that were never declared. Declaring their schemas
first is enough for models, data sets and transforms; calling the operators themselves still raises.

Modules of this package write ``from rrahelpers.base.torchvision import torchvision``. Where torchvision's own
operators load (CUDA, conda, macOS), this module does nothing but import it.
"""

import importlib.util
from pathlib import Path

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def _operators_load(folder: Path) -> bool:
    """Try torchvision's compiled operators without importing the package, which would fail half-way."""
    for library in folder.glob("_C*.*"):
        if library.suffix in {".so", ".pyd", ".dylib"}:
            try:
                torch.ops.load_library(str(library))
                return True
            except OSError:
                continue
    return False


_found = importlib.util.find_spec("torchvision")
if _found is None or _found.origin is None:
    raise ModuleNotFoundError("torchvision is missing: expected torchvision >= 0.21 beside torch; pip install "
                              "torchvision")

if not _operators_load(Path(_found.origin).parent):
    _library = torch.library.Library("torchvision", "DEF")  # must stay alive: the schemas go with it
    for _schema in SCHEMAS:
        _library.define(_schema)

import torchvision  # noqa: E402

__all__ = ["torchvision"]

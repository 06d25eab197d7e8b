"""Layer-wise analysis of convolutional networks: the helper package behind the numbered notebooks.

The modules are imported on first use, so ``import rrahelpers`` needs torch, numpy and pandas alone::

    import rrahelpers as rra
    images = rra.data.load("digits", "test")
"""

import importlib
from typing import Any

import numpy  # noqa: F401
import pandas  # noqa: F401
import torch  # noqa: F401

__version__ = "0.1.0"

MODULES = (
    "advisor", "attention", "base", "class_similarity", "complexity", "data", "eigenspace", "features",
    "intrinsic_dimension", "models", "neighbors", "plots", "probes", "receptive_field", "report",
    "representational_response", "separation", "similarity", "study", "tails", "topology", "training", "widgets",
)
CALLS = {"analyse": "report"}  # what is reached from the package itself


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in CALLS:
        return getattr(importlib.import_module(f"{__name__}.{CALLS[name]}"), name)
    raise AttributeError(f"rrahelpers has no module {name!r}; expected one of {', '.join(MODULES)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *MODULES, *CALLS])

"""What measures take and give, by shape, for readers and the type checker.

Modules import this where ``TYPE_CHECKING`` holds: at run time nothing is checked, and jaxtyping isn't needed.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Float64, Int, Int64, Real, UInt8
from torch import Tensor

Features: TypeAlias = Real[Tensor, "n *features"] | Real[np.ndarray, "n *features"]
Maps: TypeAlias = Real[Tensor, "n channels height width"] | Real[np.ndarray, "n channels height width"]
Pixels: TypeAlias = UInt8[Tensor, "n channels height width"]  # images as bytes
ImageTensor: TypeAlias = Real[Tensor, "n channels height width"]  # bytes, or numbers that a network takes
Places: TypeAlias = Float[Tensor, "n 2"]  # on a canvas, from the top and from the left, in [0, 1)
ImageStep: TypeAlias = int | dict[str, int]
ImageSize: TypeAlias = ImageStep | list[ImageStep] | tuple[ImageStep, ...]  # see rrahelpers.data.load
Images: TypeAlias = Maps | Iterable[object]  # or batches of them: see rrahelpers.features.batches
Labels: TypeAlias = Int[Tensor, " n"] | Int[np.ndarray, " n"] | Sequence[int] | pd.Series
Targets: TypeAlias = Labels | Real[Tensor, "n *targets"] | Real[np.ndarray, "n *targets"] | Sequence[float]
Integers: TypeAlias = Int64[Tensor, " n"]  # labels as check_labels answers, or places of samples
Neighbours: TypeAlias = Int64[Tensor, "n k"]
Distances: TypeAlias = Float32[Tensor, "n k"]
Values: TypeAlias = Float64[Tensor, " n"]
Scales: TypeAlias = Sequence[int | str]  # sides of pooling windows, or "global"
Grid: TypeAlias = Sequence[int] | dict[str, Sequence[int]]  # (height, width) of tokens, or (length,); or by layer

"""What measures take and give, by shape, for readers and the type checker.

Modules import this where ``TYPE_CHECKING`` holds: at run time nothing is checked, and jaxtyping isn't needed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, Protocol, TypeAlias, TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Float64, Int, Int64, Real, UInt8
from torch import Tensor, nn
from torch.utils.data import Dataset

Network = TypeVar("Network", bound=nn.Module)  # of the same kind in and out


class ImageBatches(Protocol):
    """What :class:`rrahelpers.features.batches.Batches` are, as far as rooms below it know."""

    def __len__(self) -> int: ...

    def split(self, batch_size: int | None = None) -> Iterator[Tensor]: ...


Array: TypeAlias = Real[Tensor, "..."] | Real[np.ndarray, "..."]
Numbers: TypeAlias = Real[Tensor, "..."]
Features: TypeAlias = Real[Tensor, "n *features"] | Real[np.ndarray, "n *features"]
Maps: TypeAlias = Real[Tensor, "n channels height width"] | Real[np.ndarray, "n channels height width"]
Image: TypeAlias = Real[Tensor, "channels height width"]
Pixels: TypeAlias = UInt8[Tensor, "n channels height width"]  # images as bytes
MapTensor: TypeAlias = Real[Tensor, "n channels height width"]
ImageTensor: TypeAlias = MapTensor  # bytes, or numbers that a network takes
Places: TypeAlias = Float[Tensor, "n 2"]  # on a canvas, from the top and from the left, in [0, 1)
ImageStep: TypeAlias = int | dict[str, int]
ImageSize: TypeAlias = ImageStep | list[ImageStep] | tuple[ImageStep, ...]  # see rrahelpers.data.load
InputSize: TypeAlias = int | Sequence[int]  # side of a square image, (H, W) or (C, H, W)
Window: TypeAlias = int | Literal["global"]  # the side of a pooling window
Windows: TypeAlias = Window | list[Window] | tuple[Window, ...]  # one for all stages, or one for each
Images: TypeAlias = Maps | Iterable[object] | Dataset | ImageBatches  # see rrahelpers.features.batches
Labels: TypeAlias = Int[Tensor, " n"] | Int[np.ndarray, " n"] | Sequence[int] | pd.Series
Targets: TypeAlias = Labels | Real[Tensor, "n *targets"] | Real[np.ndarray, "n *targets"] | Sequence[float]
Integers: TypeAlias = Int64[Tensor, " n"]  # labels as check_labels answers, or places of samples
Answers: TypeAlias = Real[Tensor, "n *map"]  # of a layer: without places, or maps
Neighbours: TypeAlias = Int64[Tensor, "n k"]
Each: TypeAlias = Callable[..., Iterable]  # a "map" over pieces of work
Square: TypeAlias = Float64[Tensor, "d d"]  # a covariance
Bounds: TypeAlias = tuple[Float64[Tensor, "n width"], Int64[Tensor, "n width"]]  # of distances, and of whom
Settled: TypeAlias = tuple[Int64[Tensor, "n k"], Float64[Tensor, "n k"]]  # neighbours, squared distances
Distances: TypeAlias = Float32[Tensor, "n k"]
Values: TypeAlias = Float64[Tensor, " n"]
Eigenvalues: TypeAlias = Real[Tensor, " d"] | Real[np.ndarray, " d"] | Sequence[float]
Scales: TypeAlias = Sequence[int | str]  # sides of pooling windows, or "global"
FeatureAxes: TypeAlias = dict[str, int]  # {layer: axis of its features, 1 or -1}
Grid: TypeAlias = Sequence[int] | dict[str, Sequence[int]]  # (height, width) of tokens, or (length,); or by layer

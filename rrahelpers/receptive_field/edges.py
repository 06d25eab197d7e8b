"""What a rule is asked and what it answers: the words in which operations say how far they see."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

from torch.utils._pytree import tree_leaves

from rrahelpers.receptive_field.layout import Dim


class Step(NamedTuple):
    """Along one axis: places of the input's grid that an output sees beyond its first, and how far outputs lie apart.

    At least ``low`` and at most ``high``, which differ where it depends on the place. ``stride`` 0: all see the same.
    """

    low: int
    high: int
    stride: Fraction | int


class Edge(NamedTuple):
    """What a node sees of its ``parent``: for height and width the steps in their order. ``gate``: only as a factor."""

    parent: int
    steps: tuple[tuple[Step, ...], tuple[Step, ...]] = ((), ())
    gate: bool = False


class Traced:
    """A tensor that depends on the image: its node, its dimensions (:class:`layout.Dim`), whether it is a gate."""

    def __init__(self, node: int, dims: tuple[Dim, ...], gate: bool = False) -> None:
        self.node, self.dims, self.gate = node, dims, gate


class Result(NamedTuple):
    """The output's dimensions and edges, whether it is a gate, and the (kernel, stride, dilation) of a window."""

    dims: tuple[Dim, ...]
    edges: list[Edge]
    gate: bool = False
    window: tuple | None = None


class Call:
    """An operation: ``args`` by name (what depends on the image as :class:`Traced`), the ``shapes`` of its outputs.

    ``descends(later, earlier)`` tells whether one node sees another.
    """

    def __init__(self, args: dict[str, Any], shapes: Sequence[Sequence[int]],
                 descends: Callable[[int, int], bool]) -> None:
        self.args, self.shapes, self.shape, self.descends = args, shapes, shapes[0], descends
        self.traced = [value for value in tree_leaves(list(args.values())) if isinstance(value, Traced)]
        self.x = self.traced[0]


Rule: TypeAlias = Callable[[Call], Result | list[Result]]

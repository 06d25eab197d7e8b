"""What a rule is asked and what it answers: the words in which operations say how far they see."""

from fractions import Fraction
from typing import NamedTuple

from torch.utils._pytree import tree_leaves


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
    steps: tuple = ((), ())
    gate: bool = False


class Traced:
    """A tensor that depends on the image: its node, its dimensions (:class:`layout.Dim`), whether it is a gate."""

    def __init__(self, node, dims, gate=False):
        self.node, self.dims, self.gate = node, dims, gate


class Result(NamedTuple):
    """The output's dimensions and edges, whether it is a gate, and the (kernel, stride, dilation) of a window."""

    dims: tuple
    edges: list
    gate: bool = False
    window: tuple | None = None


class Call:
    """An operation: ``args`` by name (what depends on the image as :class:`Traced`), the ``shapes`` of its outputs.

    ``descends(later, earlier)`` tells whether one node sees another.
    """

    def __init__(self, args, shapes, descends):
        self.args, self.shapes, self.shape, self.descends = args, shapes, shapes[0], descends
        self.traced = [value for value in tree_leaves(list(args.values())) if isinstance(value, Traced)]
        self.x = self.traced[0]

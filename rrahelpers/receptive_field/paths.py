"""Paths through the recorded graph: how far they see, which are shortcuts, and what reaches the output at all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import reduce
from operator import and_
from typing import NamedTuple, TypeAlias

from rrahelpers.receptive_field.edges import Edge, Step
from rrahelpers.receptive_field.trace import Graph, Node

Jump: TypeAlias = tuple[int, Fraction]  # grid, ratio: see :func:`reaches`


class Reach(NamedTuple):
    """The smallest and largest receptive field of some paths; ``border``: ``low``, with raised :func:`shortcuts`;
    ``exact``: whether each path's is the same at all places, else they are bounds."""

    low: int
    high: int
    border: int
    exact: bool = True

    def joined(self, other: Reach) -> Reach:
        return Reach(min(self.low, other.low), max(self.high, other.high), min(self.border, other.border),
                     self.exact and other.exact)


Reaches: TypeAlias = tuple[dict[Jump, Reach], dict[Jump, Reach]]  # of height and width


def reaches(nodes: Sequence[Node], gates: bool,
            raised: dict[tuple[int, int], tuple[int, ...]]) -> list[Reaches]:
    """For each node and axis the paths that end there, together where their jump is the same: {(grid, ratio): Reach}.

    Neighbouring places lie ``grid * ratio`` pixels apart. The ratio is below 1 after up-sampling, where only every
    ``1 / ratio``-th place sees something else. ``gates`` and ``raised``: see :func:`counted` and :func:`shortcuts`.
    """
    image: dict[Jump, Reach] = {(1, Fraction(1)): Reach(1, 1, 1)}
    found: list[Reaches] = [(image, image)]
    for place, node in enumerate(nodes[1:], start=1):
        here: Reaches = ({}, {})
        for number, edge in counted(node, gates):
            for axis in (0, 1):
                extra = raised.get((place, number), (0, 0))[axis]
                for jump, reach in found[edge.parent][axis].items():
                    jump, reach = follow(edge.steps[axis], extra, jump, reach)
                    here[axis][jump] = reach.joined(here[axis].get(jump, reach))
        found.append(here)
    return found


def follow(steps: Sequence[Step], extra: int, jump: Jump, reach: Reach) -> tuple[Jump, Reach]:
    """Jump and reach of paths behind an edge's ``steps`` along one axis; ``extra``: raised for the border."""
    grid, ratio = jump
    low, high, border, exact = reach
    border += grid * math.floor(extra * ratio)
    for step in steps:
        least = grid * math.floor(step.low * ratio)
        most = grid * math.ceil(step.high * ratio)
        low, high, border, exact = low + least, high + most, border + least, exact and least == most
        ratio *= step.stride
        if ratio.denominator == 1:
            grid, ratio = grid * int(ratio), Fraction(1)
    return (grid, ratio), Reach(low, high, border, exact)


def counted(node: Node, gates: bool) -> list[tuple[int, Edge]]:
    """The numbered edges of a node; those that act as a gate only where ``gates`` count."""
    return [(number, edge) for number, edge in enumerate(node.edges) if gates or not edge.gate]


def reached(graph: Graph, gates: bool) -> set[int]:
    """Nodes from which something goes on to the output."""
    found, waiting = set(), list(graph.outputs)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [edge.parent for _, edge in counted(graph.nodes[node], gates)]
    return found


def ancestry(nodes: Sequence[Node], gates: bool) -> list[int]:
    """What each node sees, itself included, as bits: node i is bit i."""
    found: list[int] = []
    for place, node in enumerate(nodes):
        found.append(reduce(int.__or__, (found[edge.parent] for _, edge in counted(node, gates)), 1 << place))
    return found


def passages(graph: Graph, gates: bool) -> set[int]:
    """Nodes that every path from the image to the output passes."""
    found = [1]  # for each node those that every path to it passes, itself included, as bits
    for place, node in enumerate(graph.nodes[1:], start=1):
        parents = [found[edge.parent] for _, edge in counted(node, gates)]
        found.append(reduce(and_, parents) | 1 << place if parents else 1 << place)
    last = reduce(and_, (found[node] for node in graph.outputs))
    return {place for place in range(len(found)) if last >> place & 1}


def shortcuts(nodes: Sequence[Node], places: Iterable[int],
              gates: bool) -> tuple[set[int], dict[tuple[int, int], tuple[int, ...]]]:
    """Nodes on the shortcut branches of the additions at ``places``, and {(node, edge): (h, w)} for down-sampling ones.

    A branch is what one summand has for itself. It is a shortcut where no window is larger than its stride, beside
    another summand that has a larger one. (h, w) is what its strided edge sees less than the one beside it.
    """
    edges, ancestors = [counted(node, gates) for node in nodes], ancestry(nodes, gates)
    found: set[int] = set()
    raised: dict[tuple[int, int], tuple[int, ...]] = {}
    for place in places:
        if nodes[place].name != "add" or len(edges[place]) < 2:
            continue
        masks = [ancestors[edge.parent] for _, edge in edges[place]]
        shared = reduce(and_, masks)
        branches = [[(i, number, edge) for i in range(place) if (mask & ~shared) >> i & 1 for number, edge in edges[i]]
                    for mask in masks]
        wide = [branch for branch in branches if not all(_narrow(edge) for *_, edge in branch)]
        for branch in [branch for branch in branches if branch not in wide and wide]:
            found.update(i for i, *_ in branch)
            for other in wide:
                for (i, number, mine), (*_, beside) in zip(_strided(branch), _strided(other)):
                    less = [max(0, b - a) for a, b in zip(_low(mine), _low(beside))]
                    raised[i, number] = tuple(map(max, raised.get((i, number), (0, 0)), less))
    return found, raised


def _narrow(edge):
    return all(step.high < step.stride for steps in edge.steps for step in steps)


def _strided(branch):
    return [entry for entry in branch if any(step.stride > 1 for steps in entry[2].steps for step in steps)]


def _low(edge):
    return [sum(step.low for step in steps) for steps in edge.steps]

"""Where the two axes of an image lie in the dimensions of a tensor, followed through reshapes and permutations.

A dimension is a product of atoms, outermost first: [N, C, H, W] flattened to tokens [N, H * W, C] has both axes in
its second dimension; one cut into windows [N, H / 7, 7, W / 7, 7, C] has each axis in two.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Atom(NamedTuple):
    """A factor of a dimension: ``size`` places of an image axis (0 height, 1 width, None neither), ``step`` apart."""

    axis: int | None
    size: int
    step: int = 1


class Dim(NamedTuple):
    """A dimension of ``size``: the product of its atoms, unless it was cut or joined (a class token before tokens)."""

    size: int
    atoms: tuple[Atom, ...] = ()

    @property
    def whole(self) -> bool:
        return math.prod(atom.size for atom in self.atoms) == self.size

    @property
    def spatial(self) -> list[Atom]:
        return [atom for atom in self.atoms if atom.axis is not None]


class UnknownLayout(ValueError):
    """The axes of the image can't be followed."""


def plain(size: int) -> Dim:
    """A dimension that holds no axis of the image."""
    return along(None, size)


def along(axis: int | None, size: int, step: int = 1) -> Dim:
    """A dimension that holds one axis; a single place has no extent, so no atom."""
    return Dim(size, (Atom(axis, size, step),) if size > 1 else ())


def atoms(dims: Iterable[Dim], axis: int | None) -> list[Atom]:
    """All atoms of an axis in some dimensions."""
    return [atom for dim in dims for atom in dim.atoms if atom.axis == axis]


def resize(dim: Dim, size: int) -> Dim:
    """``dim`` cut, padded or joined to another size; what holds several atoms can't be taken apart any more."""
    if dim.size == size or dim.spatial and len(dim.atoms) > 1:
        return Dim(size, dim.atoms)
    return along(dim.atoms[0].axis, size, dim.atoms[0].step) if dim.spatial else plain(size)


def resized(dims: Sequence[Dim], shape: Sequence[int]) -> tuple[Dim, ...]:
    """:func:`resize` for all. Of [N, C, H, W], a single place that becomes several is height or width again."""
    return tuple(along(place - 2, size) if len(shape) == 4 and place > 1 and dim.size == 1 else resize(dim, size)
                 for place, (dim, size) in enumerate(zip(dims, shape)))


def regroup(dims: Sequence[Dim], shape: Sequence[int]) -> tuple[Dim, ...]:
    """The dimensions after a reshape to ``shape``; raises :class:`UnknownLayout` where it cuts across atoms."""
    pieces: list[tuple[int, tuple[Atom, ...]]] = []
    for dim in dims:
        pieces += [(atom.size, (atom,)) for atom in dim.atoms] if dim.whole else [(dim.size, dim.atoms)]
    grouped = []
    for size in shape:
        rest, taken = size, []
        while rest > 1 and pieces:
            inner, group = pieces.pop(0)
            if inner % rest == 0 and inner > rest and len(group) == 1:
                inner //= rest
                pieces.insert(0, (inner, (group[0]._replace(size=inner),)))
                taken.append(group[0]._replace(size=rest, step=group[0].step * inner))
                rest = 1
            else:
                taken += group
                rest = rest // inner if rest % inner == 0 else 0
        if rest != 1:
            raise UnknownLayout(f"reshapes {[dim.size for dim in dims]} to {list(shape)} across an axis of the image")
        grouped.append(Dim(size, _joined(taken)))
    return tuple(grouped)


def broadcast(layouts: Sequence[Sequence[Dim]], shape: Sequence[int]) -> tuple[Dim, ...]:
    """The dimensions of an elementwise operation on several tensors, aligned at the last dimension."""
    result = []
    for place, size in enumerate(shape, start=-len(shape)):
        found = {dims[place] for dims in layouts if -place <= len(dims) and dims[place].spatial}
        if len(found) > 1:
            raise UnknownLayout(f"combines tensors whose dimension {place} holds different axes of the image")
        result.append(found.pop() if found else plain(size))
    return tuple(result)


def _joined(parts):
    """Neighbouring atoms that continue each other as one, so that what was cut and put together is as it was."""
    result = []
    for atom in parts:
        last = result[-1] if result else None
        if last and last.axis == atom.axis and (atom.axis is None or last.step == atom.size * atom.step):
            result[-1] = atom._replace(size=last.size * atom.size)
        else:
            result.append(atom)
    return tuple(result)

"""Drawings of how receptive fields grow: the dissertation's figures 35 to 37 (section 4.4)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from rrahelpers.plots.style import OTHER, SAME

IDLE, PATH = "0.85", "#029e73"


def expansion(layers: Sequence[tuple[int, int]], ax: Axes, *, places: int = 13) -> list[int]:
    """One-dimensional maps of a sequence of convolutions, and what one place of the last sees in each (figures 35, 36).

    Parameters
    ----------
    layers: (kernel, stride) of each, from the input on; there is no padding.
    places: of the input's map.

    Each map's places lie over the middle of what they see in the input. What the middle place of the last map sees is
    coloured. Returns how many places of each map that is, from the input on: the first is the receptive field.
    """
    maps = [(places, 0.0, 1)]  # places, position of the first, distance between two
    for kernel, stride in layers:
        count, first, apart = maps[-1]
        if count < kernel:
            raise ValueError(f"a kernel of {kernel} doesn't fit {count} places; give more than {places} places")
        maps.append(((count - kernel) // stride + 1, first + (kernel - 1) / 2 * apart, apart * stride))
    seen = [range((maps[-1][0] - 1) // 2, (maps[-1][0] - 1) // 2 + 1)]
    for kernel, stride in reversed(layers):
        seen.insert(0, range(seen[0].start * stride, (seen[0].stop - 1) * stride + kernel))
    for level, ((count, first, apart), inside) in enumerate(zip(maps, seen)):
        where = [first + apart * place for place in range(count)]
        colours = [(SAME if level == 0 else OTHER) if place in inside else IDLE for place in range(count)]
        ax.scatter(where, [level] * count, s=110, marker="s", c=colours, zorder=2)
        if level:
            _, below, step = maps[level - 1]
            kernel, stride = layers[level - 1]
            edges = [[(where[place], level), (below + step * (place * stride + offset), level - 1)]
                     for place in range(count) for offset in range(kernel)]
            shades = [colour for colour in colours for _ in range(kernel)]
            ax.add_collection(LineCollection(edges, colors=shades, lw=0.8, zorder=1))
    ax.set(xlim=(-1, places), ylim=(-0.4, len(layers) + 0.4), xticks=[], yticks=range(len(maps)))
    ax.set_yticklabels(["input", *(f"layer {n}: kernel {k}, stride {s}" for n, (k, s) in enumerate(layers, start=1))])
    ax.grid(False)
    ax.spines[:].set_visible(False)
    return [len(inside) for inside in seen]


def paths(stages: Sequence[Sequence[Sequence[int]]], chosen: Sequence[int], ax: Axes) -> None:
    """A network of several paths as boxes, from the input (below) on, one path through it in colour (figure 37).

    Parameters
    ----------
    stages: for each a list of branches, which are added; a branch is a list of kernel sizes, one at least.
    chosen: for each stage the branch that the path takes.
    """
    before, height = [(0, 0, True)], 0  # where the last stage's branches end, and whether the path does
    _box(ax, 0, 0, "image", PATH)
    for number, (branches, taken) in enumerate(zip(stages, chosen), start=1):
        ends: list[tuple[float, float, bool]] = []
        for place, kernels in enumerate(branches):
            x, on, sources = 1.3 * (place - (len(branches) - 1) / 2), place == taken, before
            for level, kernel in enumerate(kernels, start=1):
                for source_x, source_y, came in sources:
                    colour = PATH if on and came else IDLE
                    ax.plot([source_x, x], [source_y, height + level], color=colour, lw=2, zorder=1 + (on and came))
                last = number == len(stages) and level == len(kernels)
                _box(ax, x, height + level, f"{kernel}x{kernel}", SAME if last else PATH if on else IDLE)
                sources = [(x, height + level, on)]
            ends += sources
        before, height = ends, height + max(map(len, branches))
    ax.set(xlim=(-2.2, 2.2), ylim=(-0.5, height + 0.5))
    ax.axis("off")


def _box(ax, x, y, text, colour):
    ax.text(x, y, text, ha="center", va="center", fontsize=9, color="0.3" if colour == IDLE else "white", zorder=3,
            bbox={"boxstyle": "round,pad=0.35", "fc": colour, "ec": "white"})

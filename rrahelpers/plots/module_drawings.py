"""Drawings of boxes and arrows: the STAC module and its places in a residual block (STAC paper, figures 5 and 6)."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

GREY, BLUE, GREEN, ORANGE = "0.93", "#cfe3f3", "#d5efe3", "#f9dfc6"
STEPS = (  # centre, width, text, colour, shape of what comes out of it
    (0.7, 0.9, "input\nY", GREY, "C x H x W"), (2.4, 1.2, "average\npooling P", BLUE, "C x H/P x W/P"),
    (4.1, 0.8, "conv\n3 x 3", GREEN, "C x H/P x W/P"), (5.35, 0.7, "ReLU", GREEN, ""),
    (6.6, 0.8, "conv\n3 x 3", GREEN, "C x H/P x W/P"), (7.9, 0.85, "sigmoid", GREEN, ""),
    (9.7, 1.5, "nearest\nup-sampling P", BLUE, "C x H x W"), (11.2, 0.4, "×", ORANGE, ""),
    (12.3, 0.9, "output\nY × T", GREY, "C x H x W"),
)
PLACEMENTS = {
    "base": ("conv-BN-ReLU", "conv-BN", "+", "ReLU"),
    "standard": ("conv-BN-ReLU", "conv-BN", "STAC", "+", "ReLU"),
    "post": ("conv-BN-ReLU", "conv-BN", "+", "ReLU", "STAC"),
}


def stac_module() -> tuple[Figure, pd.DataFrame]:
    """Figure 5: the steps of the module, what comes out of each, and their three parts. Returns the figure and the
    steps as a table."""
    figure, ax = _canvas(9, 1.9, 13, 2.5)
    for (x, width, text, colour, shape), following in zip(STEPS, (*STEPS[1:], None)):
        _box(ax, x, 1.3, text, colour, width, height=0.4 if text == "×" else 0.75)
        ax.text(x, 0.55, shape, ha="center", fontsize=7, color="0.35")
        if following:
            _arrow(ax, (x + width / 2, 1.3), (following[0] - following[1] / 2, 1.3))
    _arrow(ax, (0.7, 1.68), (0.7, 2.3), (11.2, 2.3), (11.2, 1.5))
    for left, right, text in ((1.8, 3.0, "condense"), (3.6, 8.4, "attend"), (8.9, 10.5, "expand")):
        ax.annotate("", (left, 0.35), (right, 0.35), arrowprops={"arrowstyle": "-", "color": "0.5"})
        ax.text((left + right) / 2, 0.02, text, ha="center", fontsize=9, style="italic")
    for x, text in ((3.35, "Q"), (8.62, "K"), (10.72, "T")):
        ax.text(x, 1.5, text, ha="center", fontsize=9)
    return figure, pd.DataFrame(STEPS, columns=["x", "width", "step", "colour", "shape"])


def stac_placements() -> tuple[Figure, pd.DataFrame]:
    """Figure 6: a residual block without the module, and with it in either place. Returns the figure and the orders
    as a table."""
    figure, ax = _canvas(6.5, 3.6, 9, 7)
    for column, (name, blocks) in enumerate(PLACEMENTS.items()):
        x, top, step = 1.7 + 3 * column, 5.4, 1.12
        ax.text(x, 6.75, name, ha="center", fontsize=10, weight="bold")
        _arrow(ax, (x, 6.55), (x, top + 0.31))
        for number, block in enumerate(blocks):
            y = top - step * number
            _box(ax, x, y, block, ORANGE if block in ("STAC", "+") else GREEN, 0.5 if block == "+" else 1.5)
            _arrow(ax, (x, y - 0.31), (x, y - step + 0.31))
            if block == "+":  # the shortcut joins here
                _arrow(ax, (x, 6.15), (x - 1.2, 6.15), (x - 1.2, y), (x - 0.25, y))
    return figure, pd.DataFrame([{"placement": name, "order": ", ".join(blocks)} for name, blocks in
                                 PLACEMENTS.items()])


def _canvas(width, height, right, top):
    """Axes without decoration, from (0, 0) to (right, top)."""
    figure, ax = plt.subplots(figsize=(width, height))
    ax.set(xlim=(0, right), ylim=(0, top))
    ax.axis("off")
    return figure, ax


def _box(ax, x, y, text, colour, width, height=0.62):
    """A labelled box centred at (x, y)."""
    corner, style = (x - width / 2, y - height / 2), "round,pad=0,rounding_size=0.08"
    ax.add_patch(FancyBboxPatch(corner, width, height, style, fc=colour, ec="0.3", lw=1.2))
    ax.text(x, y, text, ha="center", va="center_baseline" if "\n" not in text else "center", fontsize=8)


def _arrow(ax, *points):
    """An arrow along some points."""
    ax.plot(*np.array(points).T[:, :-1], color="0.3", lw=1.2)
    style = {"arrowstyle": "-|>", "color": "0.3", "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", points[-1], points[-2], arrowprops=style)

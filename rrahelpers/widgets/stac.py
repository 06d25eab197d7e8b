"""The explorer of STAC's windows: costs and reach of the attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from rrahelpers import plots
from rrahelpers.complexity import Complexity
from rrahelpers.study import comparison, grids
from rrahelpers.widgets.sliders import Explorer

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Window
    from rrahelpers.training.runs import Run

STAGES = {"resnet20": 3, "resnet34": 4}  # of the STAC paper's networks; each halves the map of the one before


def stac_costs(windows: Sequence[Window | None], kernels: Sequence[int] = (3, 3), placement: str = "standard", *,
               model: str = "resnet20", image_size: int = 32, num_classes: int = 10) -> tuple[Complexity, pd.DataFrame]:
    """What STAC modules cost in one of our ResNets (a :class:`Complexity`), and how far their attention sees (a table).

    Parameters
    ----------
    windows: one for each stage: an integer up to the stage's map, "global", or None for a stage without STAC. Raises
        ``ValueError`` for another number of them.
    kernels, placement: as for ``models.build``; in a global window (3, 3) stands for its default, (1, 1).
    model, image_size, num_classes: one of :data:`STAGES`, and the colour images that it takes.

    The table has a row for each stage: ``stage``, ``side`` of its map in places, ``stride`` of a place in pixels of the
    image, ``window``, ``condensed`` (the pooled map's side) and the receptive field of one place of the attention map,
    as a side in places (``places``) and in pixels of the image (``pixels``): window (k1 + k2 - 1) places, at most the
    map. So far the attention branch looks in the map that it is given; what the map's own places see is not in it.
    """
    if len(windows) != _stages(model):
        raise ValueError(f"expected {_stages(model)} windows, one for each stage of {model}, got {windows!r}")
    counted = comparison.count(model, grids.stac_options(windows, kernels, placement), image_size, num_classes)
    rows = []
    for stage, window in enumerate(windows, start=1):
        stride = 2 ** (stage - 1)
        side = -(-image_size // stride)
        row = {"stage": stage, "side": side, "stride": stride, "window": window, "condensed": 0, "places": 0}
        if window is not None:
            pool = side if window == "global" else window
            row |= {"condensed": -(-side // pool), "places": min(side, pool * (sum(kernels) - 1))}
        rows.append(row | {"pixels": min(image_size, row["places"] * stride)})
    return counted, pd.DataFrame(rows)


def stac_figure(windows: Sequence[Window | None], kernels: Sequence[int] = (3, 3), placement: str = "standard", *,
                runs: Sequence[Run] = (), **network: Any) -> Figure:
    """The costs of STAC modules beside the base network's, and the reach of their attention in the image.

    Parameters as for :func:`stac_costs`, and ``runs``: trained networks, whose accuracy is told where one is meant.
    Raises ``ValueError`` for runs on several data sets.
    """
    if len(names := {run.config.data for run in runs}) > 1:
        raise ValueError(f"expected runs on one data set, got {', '.join(sorted(names))}")
    counted, table = stac_costs(windows, kernels, placement, **network)
    base, _ = stac_costs([None] * len(windows), **network)
    options = grids.stac_options(windows, kernels, placement)
    model = network.get("model", "resnet20")
    top1 = comparison.measured([run for run in runs if (run.config.model, run.config.options) == (model, options)])
    fig, axes = plt.subplots(1, 1 + len(windows), figsize=(3.2 + 1.5 * len(windows), 2.4),
                             width_ratios=[1.9] + [1] * len(windows))
    values = [100 * counted.flops / base.flops, 100 * counted.params / base.params]
    names = [f"FLOPs\n{counted.flops / 1e6:.1f}M\n{values[0]:.1f} %",
             f"parameters\n{counted.params / 1e3:.0f}K\n{values[1]:.1f} %"]
    axes[0].barh(names, values, color=plots.SAME, height=0.5)
    axes[0].axvline(100, color="0.3", lw=1, ls=":")
    axes[0].invert_yaxis()
    told = f"kernels {kernels[0]}, {kernels[1]}; {placement} placement"
    axes[0].set(xlabel=f"% of the base network\n{told}", xlim=(0, max(*values, 110) * 1.02))
    if runs:
        told = f"{top1.mean:.1f} % ({top1.n} seed{'s' * (top1.n > 1)})" if top1.n else "not trained"
        axes[0].set_title(f"top-1: {told}", fontsize=9)
    for ax, row in zip(axes[1:], table.itertuples()):
        _reach(ax, row, table.side[0] * table.stride[0])
    return fig


def stac_explorer(model: str = "resnet20", image_size: int = 32, num_classes: int = 10,
                  runs: Sequence[Run] = ()) -> Explorer:
    """Choose STAC's window in each stage ("none": no STAC there), kernels and placement; see costs and reach."""
    stages = _stages(model)
    sides = [-(-image_size // 2**i) for i in range(stages)]
    controls = {f"stage_{number}": ipywidgets.SelectionSlider(
        options=[("none", None), *((str(2**i), 2**i) for i in range(side.bit_length())), ("global", "global")],
        value=min(8, 2 ** (side.bit_length() - 1)), description=f"stage {number}")
                for number, side in enumerate(sides, start=1)}
    kernels = [(f"{a}, {b}", (a, b)) for a in (1, 3, 5) for b in (1, 3, 5)]
    controls["kernels"] = ipywidgets.SelectionSlider(options=kernels, value=(3, 3))
    controls["placement"] = ipywidgets.ToggleButtons(options=["standard", "post"])

    def draw(kernels, placement, **windows):
        chosen = [windows[f"stage_{number}"] for number in range(1, stages + 1)]
        return [stac_figure(chosen, kernels, placement, runs=runs, model=model, image_size=image_size,
                            num_classes=num_classes)]

    return Explorer(draw, controls)


def _stages(model):
    if model not in STAGES:
        raise ValueError(f"expected one of the STAC paper's networks, {' or '.join(STAGES)}, got {model!r}")
    return STAGES[model]


def _reach(ax, row, image_size):
    """The image as a square, and in it the receptive field of the attention in the middle of a stage's map."""
    ax.add_patch(plt.Rectangle((0, 0), image_size, image_size, fc="0.93", ec="0.3"))
    if row.pixels:
        start = (image_size - row.pixels) / 2
        ax.add_patch(plt.Rectangle((start, start), row.pixels, row.pixels, fc=plots.SAME, alpha=0.6, lw=0))
    told = f"window {row.window}\nreach {row.pixels} px" if row.pixels else "without STAC\n "
    ax.set_title(f"stage {row.stage}: {row.side} x {row.side}\n{told}", fontsize=8)
    ax.set(xlim=(-1, image_size + 1), ylim=(-1, image_size + 1), aspect="equal")
    ax.axis("off")

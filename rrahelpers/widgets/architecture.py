"""The explorers of receptive fields and of the advice that follows from them."""

from functools import cache

import ipywidgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from rrahelpers.advisor import advise, propose
from rrahelpers.features import layer_names
from rrahelpers.plots import architecture as architecture_plots
from rrahelpers.study import grids
from rrahelpers.widgets.sliders import Explorer


@cache
def _network(label):
    return grids.untrained(label)


def receptive_field_figure(label: str, input_size: int) -> Figure:
    """The receptive fields of one of ``grids.NETWORKS`` along its convolutions, with its border layers, as a figure.

    ``input_size``: side of the image in pixels. The title tells what lies from b_min on.
    """
    advice = advise(_network(label), input_size)
    border = advice.loc[advice["border"].str.contains("b_min"), "index"].min()  # NaN without one
    idle = advice["index"] >= border
    shares = [advice.loc[idle, column].sum() / advice[column].sum() for column in ("params", "flops")]
    rows = advice[advice["conv"].notna()].reset_index(drop=True)
    told = "no border layer b_min" if not idle.any() else (
        f"b_min is convolution {rows.loc[rows['index'] >= border, 'conv'].min()} of {len(rows)}; from there on "
        "{:.0%} of the parameters, {:.0%} of the FLOPs".format(*shares))
    fig, ax = plt.subplots(figsize=(9, 3.4))
    architecture_plots.receptive_field_curve(rows, ax, input_size=input_size)
    ax.set_title(f"{label}, {input_size}x{input_size} pixels: {told}")
    return fig


def receptive_field_explorer(label: str = "ResNet18", input_size: int = 32, largest: int = 448) -> Explorer:
    """Choose a network and the side of its images, and see where its border layers come to lie."""
    return Explorer(lambda **values: [receptive_field_figure(**values)], {
        "label": ipywidgets.SelectionSlider(options=list(grids.NETWORKS), value=label, description="network"),
        "input_size": ipywidgets.IntSlider(input_size, 32, largest, description="pixels"),
    })


def proposal_figure(label: str, input_size: int, saturation: float = 0) -> Figure:
    """What the advisor would change in one of ``grids.NETWORKS``, and the costs, as a figure.

    ``saturation``: the average of all layers, a fraction; 0: not measured.
    """
    model = _network(label)
    proposals = propose(model, input_size, {layer_names(model)[1]: saturation} if saturation else None)
    fig = architecture_plots.proposal_costs(proposals)
    average = f", average saturation {saturation:.0%}" if saturation else ""
    fig.suptitle(f"{label}, {input_size}x{input_size} pixels{average}")
    return fig


def proposal_explorer(label: str = "ResNet18", input_size: int = 32, largest: int = 448) -> Explorer:
    """Choose a network, the side of its images and its average saturation, and see what could be changed."""
    shares = [("not measured", 0), *((f"{share} %", share / 100) for share in range(5, 85, 5))]
    return Explorer(lambda **values: [proposal_figure(**values)], {
        "label": ipywidgets.SelectionSlider(options=list(grids.NETWORKS), value=label, description="network"),
        "input_size": ipywidgets.IntSlider(input_size, 32, largest, description="pixels"),
        "saturation": ipywidgets.SelectionSlider(options=shares),
    })

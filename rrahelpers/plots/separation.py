"""Plots of the separation index: what it says of networks for new data, and of predictions that can be trusted."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rrahelpers.plots.style import OTHER, SAME


def ranking_points(table: pd.DataFrame, ax: Axes) -> Axes:
    """Accuracy against SI of the best features, a point with its rank for each network, trained or not.

    ``table``: columns model, rank, value, accuracy; a ``model`` that says "untrained" has another colour.
    """
    untrained = table.model.str.contains("untrained")
    for part, colour, label in ((table[~untrained], SAME, "trained"), (table[untrained], OTHER, "untrained")):
        ax.scatter(part.value, part.accuracy, s=22, color=colour, label=label)
        for point in part.itertuples():
            ax.annotate(point.rank, (point.value, point.accuracy), xytext=(4, 2), textcoords="offset points",
                        fontsize=7)
    ax.set(xlabel="SI of the best features; numbers are ranks", ylabel="accuracy of a logistic regression")
    ax.legend()
    return ax


def guarantee_panels(table: pd.DataFrame) -> Figure:
    """The share of test images with a radius above γ, and how many of these are predicted rightly: a panel for each
    network.

    ``table``: columns network, "SI of the training images", gamma, share, right. Returns the figure.
    """
    networks = table.groupby("network", sort=False)
    figure, axes = plt.subplots(1, len(networks), figsize=(4.6 * len(networks), 3.2), squeeze=False)
    for ax, (name, part) in zip(axes[0], networks):
        ax.plot(part.gamma, part.share, color=SAME, label="test images with a radius above γ")
        ax.plot(part.gamma, part.right, color=OTHER, label="of these, predicted rightly")
        ax.set(title=f"{name}: SI = {part['SI of the training images'].iloc[0]:.3f}",
               xlabel="error of the features, γ", ylabel="share", ylim=(0, 1.03))
    axes[0][0].legend()
    return figure

"""Plots of the separation index: what it says of networks for new data, and of predictions that can be trusted."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rrahelpers.plots.style import OTHER, SAME


def ranking_points(table: pd.DataFrame, ax: Axes, accuracy: str = "accuracy",
                   label: str = "accuracy of a logistic regression") -> Axes:
    """Accuracy against SI of the best features, a point with its rank for each network, trained or not.

    ``table``: columns model, rank, value, and ``accuracy``, which ``label`` describes; a ``model`` that says
    "untrained" has another colour.
    """
    untrained = table.model.str.contains("untrained")
    for part, colour, kind in ((table[~untrained], SAME, "trained"), (table[untrained], OTHER, "untrained")):
        ax.scatter(part["value"], part[accuracy], s=22, color=colour, label=kind)
        for rank, value, height in zip(part["rank"], part["value"], part[accuracy]):
            ax.annotate(str(rank), (value, height), xytext=(4, 2), textcoords="offset points", fontsize=7)
    ax.set(xlabel="SI of the best features; numbers are ranks", ylabel=label)
    ax.legend()
    return ax


def transfer_panels(table: pd.DataFrame) -> Figure:
    """:func:`ranking_points` of what two kinds of transfer reach: columns ``accuracy`` and ``fine_tuned``. Returns the
    figure; titles tell the rank correlation with SI."""
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 3.4))
    for ax, column, label in zip(axes, ("accuracy", "fine_tuned"), ("accuracy of a logistic regression",
                                                                    "accuracy after fine-tuning")):
        ranking_points(table, ax, column, label)
        ax.set_title(f"rank correlation {table['value'].corr(table[column], 'spearman'):.2f}")
    return figure


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


def attack_curve(table: pd.DataFrame, ax: Axes) -> Axes:
    """The share of predictions that an attack flips, against its reach in units of the guaranteed γ.

    ``table``: columns factor, flipped, samples, SI, as of :func:`rrahelpers.study.attacks.attacked_guarantees`.
    """
    ax.plot(table.factor, table.flipped, "o-", ms=3, color=OTHER)
    ax.axvline(1, color=SAME, lw=1, ls=":", label="the guarantee")
    ax.set(xlabel="perturbation / γ", ylabel="labels flipped", ylim=(-0.02, 1.02),
           title=f"{table.samples.iloc[0]} samples, SI = {table.SI.iloc[0]:g}")
    ax.legend()
    return ax


def order_panels(gammas: pd.DataFrame, bounds: pd.DataFrame) -> Figure:
    """γ against the order up to which SI is 1 (left), the error bound against that up to which SmI is .99 (right).

    ``gammas``, ``bounds``: rows of order and of gamma or bound, as of
    :func:`rrahelpers.study.orders.gamma_against_order` and :func:`rrahelpers.study.orders.bound_against_order`. Returns
    the figure.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    left.plot(gammas.order, gammas.gamma, "o", ms=3, color=SAME)
    left.set(xlabel="highest order r with SI$^r$ = 1", ylabel="γ, mean over new samples")
    right.plot(bounds.order, bounds.bound, "o", ms=3, color=SAME, label="bound")
    right.plot(bounds.order, bounds.error, "o", ms=3, color=OTHER, label="error made")
    right.set(xlabel="highest order r with SmI$^r$ ≥ 0.99", ylabel="error of the nearest neighbour")
    right.legend()
    return figure


def gamma_curve(table: pd.DataFrame, ax: Axes) -> Axes:
    """What errors of the input predictions withstand, against the order up to which their neighbours agree.

    ``table``: as of :func:`rrahelpers.separation.gamma_by_order`, of one network or, with the column network, several.
    """
    for name, part in table.groupby("network", sort=False) if "network" in table else [("γ", table)]:
        ax.plot(part.order, part.gamma, "o-", ms=3, label=name)
    ax.set(xlabel="order r: the first r neighbours have one label", ylabel="γ, mean")
    ax.legend()
    return ax

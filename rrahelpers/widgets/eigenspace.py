"""The explorers of eigenspaces: networks that are restricted to them, and saturation at any threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from torch import nn

from rrahelpers import data
from rrahelpers.eigenspace import DELTA, Covariance, covariances, eigenvalues, project, projected_accuracies, saturation
from rrahelpers.plots import OTHER, SAME, eigenspace as plots
from rrahelpers.study.results import pictures_of
from rrahelpers.widgets.sliders import Explorer

if TYPE_CHECKING:
    from jaxtyping import Float64

    from rrahelpers.base.shapes import ImageTensor
    from rrahelpers.training.runs import Run

DELTAS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1.0)


@dataclass(frozen=True, eq=False)
class ProjectionView:
    """A classifier with the covariances of its layers, an autoencoder's pictures at some δ, and what the explorer shows
    of them."""

    model: nn.Module
    covariances: dict[str, Covariance]  # by layer
    images: torch.Tensor  # float [N, C, H, W], as the model takes them
    labels: torch.Tensor  # int64 [N]
    pictures: torch.Tensor  # float [n, C, H, W] in [0, 1]
    answers: dict[float, tuple[torch.Tensor, float]]  # δ: (what the autoencoder makes of them, its loss)
    known: dict[float, tuple[Any, Any, pd.DataFrame]] = field(default_factory=dict)  # δ: what :meth:`projected` answers

    def projected(self, delta: float) -> tuple[Any, Any, pd.DataFrame]:
        """The classifier's accuracy in its eigenspaces and in random subspaces, and the dimensions of each layer."""
        if delta not in self.known:
            rows = projected_accuracies(self.model, self.images, self.labels, self.covariances, [delta], progress=False)
            with project(self.model, delta, self.covariances) as projections:
                self.known[delta] = *rows.itertuples(), projections.table()
        return self.known[delta]

    def draw(self, delta: float) -> tuple[Figure, Figure]:
        """Two figures: the dimensions that the classifier's layers keep, and pictures with their reconstruction."""
        own, random, layers = self.projected(delta)
        bars, ax = plt.subplots(figsize=(8, 2.8))
        ax.bar(layers["index"], layers.features, color="0.85", label="features")
        ax.bar(layers["index"], layers.dimensions, color=SAME, label="dimensions kept")
        ax.set_xticks(layers["index"], layers.layer, rotation=90, fontsize=7)
        ax.set(ylabel="dimensions", title=(
            f"δ = {delta:g}: {own.dimensions} of {layers.features.sum()} dimensions; accuracy {own.accuracy:.1%}, "
            f"in random subspaces {random.accuracy:.1%}, unprojected {own.accuracy + own.difference:.1%}"))
        ax.legend()
        answers, loss = self.answers[delta]
        return bars, plots.reconstructions({"picture": self.pictures, f"δ = {delta:g}\nMSE {loss:.4f}": answers})


def projection_view(run: Run, table: pd.DataFrame, rows: Mapping[str, ImageTensor],
                    samples: int = 1000) -> ProjectionView:
    """Compute the covariances on a run's first ``samples`` training images; accuracy is that of as many test images.

    ``table``, ``rows``: an autoencoder's losses and pictures at some δ, of
    :func:`rrahelpers.study.eigenspaces.autoencoder.table_3`.
    """
    model, (train, test) = run.model(), (pictures_of(run, split, samples) for split in data.SPLITS)
    found = covariances(model, run.preprocess(train.images))
    pictures, *answers = rows.values()
    by_delta = dict(zip(table["delta"], zip(answers, table["loss"])))
    return ProjectionView(model, found, run.preprocess(test.images), test.labels, pictures, by_delta)


def projection_explorer(run: Run, table: pd.DataFrame, rows: Mapping[str, ImageTensor],
                        samples: int = 1000) -> Explorer:
    """A slider for the explained variance over a classifier's accuracy and dimensions and an autoencoder's pictures.
    Parameters as for :func:`projection_view`."""
    view = projection_view(run, table, rows, samples)
    deltas = sorted(view.answers)
    return Explorer(view.draw, {"delta": ipywidgets.SelectionSlider(
        options=deltas, value=min(deltas, key=lambda delta: abs(delta - DELTA)), description="δ")},
        note=f"accuracy of the classifier on {len(view.labels)} test images")


@dataclass(frozen=True, eq=False)
class SaturationView:
    """Networks by name, and the eigenvalues of their layers on the first test images: what the explorer shows of
    them."""

    runs: Mapping[str, Run]  # by name
    samples: int
    known: dict[str, dict[str, Float64[np.ndarray, " d"]]] = field(
        default_factory=dict)  # name: {layer: largest first}, of those asked for

    def spectra(self, network: str) -> dict[str, Float64[np.ndarray, " d"]]:
        """The eigenvalues of each layer's covariance, computed when they are first asked for."""
        if network not in self.known:
            run = self.runs[network]
            found = covariances(run.model(), run.preprocess(pictures_of(run, "test", self.samples).images))
            self.known[network] = {layer: eigenvalues(covariance.matrix()).clip(min=0)
                                   for layer, covariance in found.items()}
        return self.known[network]

    def draw(self, network: str, delta: float) -> list[Figure]:
        """Saturation of each layer at a threshold, and the variance that each layer's first directions explain."""
        spectra = self.spectra(network)
        shares = [saturation(values, delta) for values in spectra.values()]
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), width_ratios=[3, 2])
        left.bar(range(len(shares)), shares, color=SAME)
        left.set_xticks(range(len(shares)), spectra, rotation=90, fontsize=7)
        left.set(ylim=(0, 1), ylabel="saturation",
                 title=f"{network}, δ = {delta:g}: average saturation {sum(shares) / len(shares):.3f}")
        for colour, values in zip(sns.color_palette("viridis", len(spectra)), spectra.values()):
            explained = np.append(0, values.cumsum()) / (values.sum() or 1)
            right.plot(np.linspace(0, 1, len(explained)), explained, color=colour, lw=1)
        right.axhline(delta, color=OTHER, ls=":", label=f"δ = {delta:g}")
        right.set(xlabel="share of the dimensions", ylabel="explained variance", ylim=(0, 1.03),
                  title="first layer dark, last layer light")
        right.legend(loc="lower right")
        return [figure]


def saturation_explorer(runs: Mapping[str, Run], samples: int = 1000) -> Explorer:
    """Controls for network and explained variance over the saturation of the networks of ``runs``, {name: run}."""
    view = SaturationView(runs, samples)
    return Explorer(view.draw, {
        "network": ipywidgets.Dropdown(options=list(runs)),
        "delta": ipywidgets.SelectionSlider(options=DELTAS, value=DELTA, description="δ"),
    }, note="the first figure of a network takes seconds")

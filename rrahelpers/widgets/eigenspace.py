"""The explorers of eigenspaces: networks that are restricted to them, and saturation at any threshold."""

from dataclasses import dataclass

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from torch import nn

from rrahelpers import data
from rrahelpers.eigenspace import DELTA, covariances, eigenvalues, project, projected_accuracies, saturation
from rrahelpers.plots import OTHER, SAME, eigenspace as plots
from rrahelpers.widgets.sliders import explorer

DELTAS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1.0)


@dataclass(frozen=True)
class ProjectionView:
    """A classifier and an autoencoder with the covariances of their layers, and what the explorer shows of them."""

    model: nn.Module
    covariances: dict  # layer: Covariance
    images: torch.Tensor  # float [N, C, H, W], as the model takes them
    labels: torch.Tensor  # int64 [N]
    autoencoder: nn.Module
    codes: dict  # layer: Covariance, of the autoencoder
    pictures: torch.Tensor  # float [n, C, H, W] in [0, 1]

    def draw(self, delta):
        """Two figures: the dimensions that the classifier's layers keep, and pictures with their reconstruction."""
        rows = projected_accuracies(self.model, self.images, self.labels, self.covariances, [delta], progress=False)
        own, random = rows.itertuples()
        with project(self.model, delta, self.covariances) as projections:
            layers = projections.table()
        bars, ax = plt.subplots(figsize=(8, 2.8))
        ax.bar(layers["index"], layers.features, color="0.85", label="features")
        ax.bar(layers["index"], layers.dimensions, color=SAME, label="dimensions kept")
        ax.set_xticks(layers["index"], layers.layer, rotation=90, fontsize=7)
        ax.set(ylabel="dimensions", title=(
            f"δ = {delta:g}: {own.dimensions} of {layers.features.sum()} dimensions; accuracy {own.accuracy:.1%}, "
            f"in random subspaces {random.accuracy:.1%}, unprojected {own.accuracy + own.difference:.1%}"))
        ax.legend()
        with project(self.autoencoder, delta, self.codes), torch.no_grad():
            answers = self.autoencoder(self.pictures)
        loss = nn.functional.mse_loss(answers, self.pictures)
        return bars, plots.reconstructions({"picture": self.pictures, f"δ = {delta:g}\nMSE {loss:.4f}": answers})


def projection_view(run, autoencoder, codes, pictures, samples=1000):
    """Compute the covariances on a run's first ``samples`` training images; accuracy is that of as many test images."""
    model, (train, test) = run.model(), (run.images(split, samples) for split in data.SPLITS)
    found = covariances(model, run.preprocess(train.images))
    return ProjectionView(model, found, run.preprocess(test.images), test.labels, autoencoder, codes, pictures)


def projection_explorer(run, autoencoder, codes, pictures, samples=1000):
    """A slider for the explained variance over a classifier's accuracy and dimensions and an autoencoder's pictures."""
    view = projection_view(run, autoencoder, codes, pictures, samples)
    return explorer(view.draw, {"delta": ipywidgets.SelectionSlider(options=DELTAS, value=DELTA)})


@dataclass(frozen=True)
class SaturationView:
    """The eigenvalues of every layer of some networks, and what the explorer shows of them."""

    spectra: dict  # network's name: {layer: float64 [D], largest first}

    def draw(self, network, delta):
        """Saturation of each layer at a threshold, and the variance that each layer's first directions explain."""
        spectra = self.spectra[network]
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


def saturation_view(runs, samples=1000):
    """Compute the spectra of the networks of ``runs``, {name: run}, on their first ``samples`` test images."""
    spectra = {}
    for name, run in runs.items():
        test = run.images("test", samples)
        found = covariances(run.model(), run.preprocess(test.images))
        spectra[name] = {layer: eigenvalues(covariance.matrix()).clip(min=0) for layer, covariance in found.items()}
    return SaturationView(spectra)


def saturation_explorer(runs, samples=1000):
    """Controls for network and explained variance over the saturation of the networks of ``runs``, {name: run}."""
    view = saturation_view(runs, samples)
    return explorer(view.draw, {
        "network": ipywidgets.Dropdown(options=list(view.spectra)),
        "delta": ipywidgets.SelectionSlider(options=DELTAS, value=DELTA),
    })

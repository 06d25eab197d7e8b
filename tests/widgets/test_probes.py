"""The explorers of probes and of tail patterns, and the plots that they share with their notebooks."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch

from rrahelpers import data, models, widgets
from rrahelpers.features import extract, layer_names
from rrahelpers.features.pooled import pool
from rrahelpers.plots import probes as probe_plots
from rrahelpers.probes import fit_probe
from rrahelpers.receptive_field import border_layer, receptive_fields
from rrahelpers.training import runs
from rrahelpers.training.config import RunConfig

OPTIONS = {"width": 0.0625}


def shown(ax):
    """The line with the most points: its values."""
    return max((line.get_ydata() for line in ax.lines), key=len)


# --- plots ----------------------------------------------------------------------------------------------------------


def test_probe_curve_is_the_mean_over_seeds_and_names_the_layers():
    table = pd.DataFrame([{"layer": f"layer {i}", "index": i, "seed": seed, "value": i / 100 + seed / 10}
                          for i in range(70) for seed in (0, 1)])
    fig, ax = plt.subplots()
    probe_plots.probe_curve(table, ax, accuracy=0.9)
    assert shown(ax).tolist() == pytest.approx([i / 100 + 0.05 for i in range(70)])
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names[:2] == ["layer 0", "layer 3"] and len(names) <= 30
    assert ax.lines[-1].get_ydata()[0] == 0.9


def test_pooling_curves_draw_a_line_for_each_size_and_the_networks_accuracy_once():
    table = pd.DataFrame([{"layer": str(i), "index": i, "size": size, "value": 1 / (i + size)}
                          for i in range(4) for size in (4, 1, 2)])
    fig, ax = plt.subplots()
    probe_plots.pooling_curves(table, ax, accuracy=0.5)
    assert ax.get_legend_handles_labels()[1] == ["1x1", "2x2", "4x4", "network"]
    assert ax.lines[0].get_ydata().tolist() == [1, 1 / 2, 1 / 3, 1 / 4]


def test_fits_draw_a_line_for_each_way_and_the_networks_accuracy_once():
    tables = {way: pd.DataFrame({"layer": list("abc"), "index": range(3), "value": [start, 0.2, 0.3]})
              for way, start in (("one", 0.1), ("other", 0.4))}
    fig, ax = plt.subplots()
    probe_plots.fits(tables, ax, accuracy=0.5)
    assert [text.get_text() for text in ax.get_legend().texts] == ["one", "other", "network"]
    assert [line.get_ydata()[0] for line in ax.lines[:2]] == [0.1, 0.4]


def test_confusion_shows_the_shares_of_each_true_class():
    fig, ax = plt.subplots()
    probe_plots.confusion([0, 0, 0, 1], [0, 1, 1, 1], ["a", "b", "none"], ax)
    expected = [1 / 3, 2 / 3, 0, 0, 1, 0, 0, 0, 0]  # a class without samples has no shares
    assert ax.collections[0].get_array().ravel().tolist() == pytest.approx(expected)


# --- probes ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def run():
    """A network with random weights where an explorer expects a run."""
    torch.manual_seed(0)
    model = models.build("vgg11", in_channels=1, **OPTIONS).eval()
    return SimpleNamespace(model=lambda: model, preprocess=lambda images: runs.normalise(images, [0.3], [0.4]),
                           images=lambda split, limit=None, **_: data.load("digits", split, limit=limit, image_size=32))


def test_the_probe_view_draws_what_fit_probe_finds(run):
    view = widgets.probe_view(run, samples=60, sizes=(1, 2))
    (x, y), (x_test, y_test) = ((run.preprocess(s.images), s.labels) for s in (
        data.load("digits", split, limit=60, image_size=32) for split in ("train", "test")))
    maps = (extract(run.model(), images, ["features.4"])["features.4"] for images in (x, x_test))
    features, test_features = (pool(m, 2, "nearest") for m in maps)
    expected = fit_probe(features, y, test_features, y_test)

    fig, = view.draw("features.4", 2, "nearest")
    left, right = fig.axes
    assert f"{expected.accuracy:.1%}" in left.get_title() and "features.4" in left.get_title()
    curve = shown(left)
    assert len(curve) == len(layer_names(run.model())) and curve[2] == expected.accuracy
    shares = right.collections[0].get_array().reshape(10, 10)
    counts = y_test.bincount(minlength=10)
    assert (shares.diagonal() * counts.numpy()).sum() == pytest.approx(60 * expected.accuracy)


# --- tails ----------------------------------------------------------------------------------------------------------


def stored(side, saturations, accuracy):
    """A run of a narrow VGG11 at an image size, with what would be stored of it."""
    model = models.build("vgg11", **OPTIONS)
    layers = layer_names(model)
    tables = {"saturation": pd.DataFrame({"layer": layers[1:], "saturation": saturations})}

    def result(measure, parameters, compute):
        if measure == "probes":
            return pd.DataFrame({"layer": [parameters["layer"]], "value": [layers.index(parameters["layer"]) / 20]})
        return tables[measure]

    return SimpleNamespace(config=RunConfig("vgg11", "cifar10", options=OPTIONS, image_size=side), accuracy=accuracy,
                           untrained=lambda: model, result=result)


def test_the_border_layer_follows_the_size_and_the_tail_the_nearest_size_trained():
    late, early = [0.6] * 6 + [0.1] * 4, [0.1] * 3 + [0.6] * 7  # eight convolutions, two linear layers
    sides = {32: [stored(32, late, 0.5), stored(32, late, 0.7)], 128: [stored(128, early, 0.8)]}
    view = widgets.TailView({"VGG11": sides}, None)
    table = receptive_fields(models.build("vgg11", **OPTIONS), 32)
    at_the_output, at_the_input = ("features.22 to classifier.6", 0.6), ("features.0 to features.8", 0.8)
    for pixels, trained, (tail, accuracy) in ((32, 32, at_the_output), (60, 32, at_the_output),
                                              (80, 128, at_the_input), (1000, 128, at_the_input)):
        fig, = view.draw("VGG11", pixels)
        title = fig.axes[0].get_title()
        border = border_layer(table, pixels)
        assert f"border layer b_min: {border or 'none'}\n" in title
        assert f"measured at {trained} px, tail: {tail}" in title
        assert accuracy in [line.get_ydata()[0] for line in fig.axes[0].lines]
        assert shown(fig.axes[0])[0] == (late if trained == 32 else early)[0]

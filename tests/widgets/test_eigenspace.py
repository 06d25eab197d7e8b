"""The drawing functions of the explorers of eigenspaces."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pandas as pd
import pytest
import torch

from rrahelpers import data, models, widgets
from rrahelpers.eigenspace import covariances, project
from rrahelpers.training import runs


@pytest.fixture
def run():
    """A network with random weights where an explorer expects a run."""
    torch.manual_seed(0)
    model = models.build("vgg11", in_channels=1, width=0.0625).eval()
    return SimpleNamespace(model=lambda: model, preprocess=lambda images: runs.normalise(images, [0.3], [0.4]),
                           images=lambda split, limit=None, **_: data.load("digits", split, limit=limit, image_size=32))


def test_dimensions_accuracy_and_reconstruction_at_a_threshold(run):
    pictures, answers = torch.rand(2, 3, 1, 8, 8)
    table = pd.DataFrame({"delta": [1, 0.8], "loss": [0, 0.0123]})
    view = widgets.projection_view(run, table, {"picture": pictures, "δ = 100 %": pictures, "δ = 80 %": answers},
                                   samples=50)
    bars, gallery = view.draw(0.8)

    images = run.preprocess(data.load("digits", "test", limit=50, image_size=32).images)
    labels = data.load("digits", "test", limit=50).labels
    with torch.no_grad(), project(run.model(), 0.8, view.covariances) as projections:
        accuracy = (run.model()(images).argmax(1) == labels).double().mean().item()
        kept = projections.table().dimensions.tolist()
    heights = [bar.get_height() for bar in bars.axes[0].patches]
    assert heights[len(kept):] == kept and heights[:2] == [4, 8]
    assert f"{sum(kept)} of" in bars.axes[0].get_title() and f"accuracy {accuracy:.1%}," in bars.axes[0].get_title()
    shown = [ax.images[0].get_array() for ax in gallery.axes]
    assert len(shown) == 6
    assert all((a == picture[0].numpy()).all() for a, picture in zip(shown, [*pictures, *answers]))
    assert "MSE 0.0123" in gallery.axes[3].get_ylabel()
    assert not any(module._forward_hooks for module in run.model().modules())


def test_saturation_at_any_threshold():
    view = widgets.SaturationView({}, 0, {"a": {"first": np.array([8.0, 1, 1, 0]), "dead": np.zeros(2)}})
    for delta, expected in ((0.8, [1 / 4, 0]), (0.85, [2 / 4, 0]), (1.0, [3 / 4, 0])):
        figure, = view.draw("a", delta)
        assert [bar.get_height() for bar in figure.axes[0].patches] == expected
        assert f"average saturation {sum(expected) / 2:.3f}" in figure.axes[0].get_title()
    assert figure.axes[1].lines[0].get_ydata().tolist() == pytest.approx([0, 0.8, 0.9, 1, 1])


def test_the_spectra_are_those_of_the_test_images(run):
    view = widgets.SaturationView({"network": run}, samples=30)
    found = covariances(run.model(), run.preprocess(data.load("digits", "test", limit=30, image_size=32).images))
    assert list(view.spectra("network")) == list(found)
    for layer, values in view.spectra("network").items():
        assert values.sum() == pytest.approx(found[layer].matrix().trace().item())

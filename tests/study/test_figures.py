"""Figures: what is written beside them, and what is refused."""

import json
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from rrahelpers import data, plots
from rrahelpers.study import figures, notebooks
from rrahelpers.study.recipes import recipe


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A project root of its own with one notebook."""
    (tmp_path / "notebooks").mkdir()
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]},
            "source": ["profile = 'quick'  # folder\n", "k = 10"]}
    (tmp_path / "notebooks" / "05_test.ipynb").write_text(json.dumps({"cells": [cell]}), encoding="utf-8")
    monkeypatch.setattr(figures, "project_root", lambda: tmp_path)
    monkeypatch.setattr(notebooks, "project_root", lambda: tmp_path)
    figures._context.clear()
    yield tmp_path
    figures._context.clear()
    plt.close("all")


def plot():
    fig, ax = plt.subplots()
    ax.plot([1, 2])
    return fig


def test_four_files_with_what_was_plotted_and_where_it_came_from(checkout):
    figures.begin("05_test", {"profile": "quick", "k": 7, "unrelated": 1})
    table = pd.DataFrame({"x": [1, 2], "y": [0.5, 0.25]})
    path = figures.save_figure(plot(), "curve", data=table, source="synthetic data, 3 draws")
    assert path == checkout / "figures" / "quick" / "curve.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    pd.testing.assert_frame_equal(pd.read_csv(path.with_suffix(".csv")), table)
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert about["parameters"] == {"profile": "quick", "k": 7}
    assert about["notebook"] == "05_test"
    assert about["caption"] == "profile quick · synthetic data, 3 draws"
    assert about["libraries"]["torch"]
    assert {"commit", "dirty", "environment", "seeds", "data", "runs", "written"} <= set(about)
    assert "profile quick" in path.with_suffix(".svg").read_text(encoding="utf-8")
    path = figures.save_figure(plot(), "curve", data=table, source="pixels", data_sets=["digits"])
    note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert note["data"] == {"digits": data.checksum("digits")}


def test_the_same_figure_gives_the_same_svg(checkout):
    figures.begin("05_test", {"profile": "quick", "k": 7})
    texts = []
    for _ in range(2):
        path = figures.save_figure(plot(), "curve", data=pd.DataFrame(), source="synthetic data")
        texts.append(path.with_suffix(".svg").read_text(encoding="utf-8"))
    assert texts[0] == texts[1]


def test_captions_count_the_seeds_of_each_network_and_name_bands(checkout):
    figures.begin("05_test", {"profile": "study", "k": 7})
    configs = [recipe("STAC paper, section 5", "digits", "resnet20", options=options, epochs=3, seed=seed,
                      data_checksum="0123456789ab")
               for options, seeds in (({}, 3), ({"width": 2}, 1)) for seed in range(seeds)]
    runs = [SimpleNamespace(config=config, name=config.name) for config in configs]
    by = "STAC paper, section 5 (3 of 100 epochs)"
    assert figures.caption(runs) == "profile study · digits: ResNet20, 1 to 3 seeds, " + by
    assert figures.caption(runs[:3]) == "profile study · digits: ResNet20, 3 seeds, " + by
    assert figures.caption(runs[3:]) == "profile study · digits: ResNet20, 1 seed, " + by
    captions = []
    for seeds in (1, 2):
        fig, ax = plt.subplots()
        curves = pd.DataFrame({"index": [0, 1] * seeds, "value": np.arange(2 * seeds)})
        plots.mean_curve(curves.groupby("index").value, ax)
        note = figures.save_figure(fig, "curve", data=curves, runs=runs).with_suffix(".json")
        captions.append(json.loads(note.read_text(encoding="utf-8"))["caption"])
    added = [caption.removeprefix(figures.caption(runs)) for caption in captions]
    assert added == ["", " · bands: one standard deviation"]


def test_refusals(checkout):
    with pytest.raises(RuntimeError, match="begin"):
        figures.save_figure(plot(), "curve", data=pd.DataFrame(), source="synthetic data")
    figures.begin("05_test", {"profile": "quick", "k": 7})
    with pytest.raises(ValueError, match="runs .* or their source"):
        figures.save_figure(plot(), "curve", data=pd.DataFrame())
    with pytest.raises(ValueError, match="unknown notebook '06_none'; expected one of 05_test"):
        figures.begin("06_none", {})


def test_a_folder_that_cannot_be_written_raises_and_leaves_nothing(checkout):
    figures.begin("05_test", {"profile": "quick", "k": 7})
    (checkout / "figures").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(OSError):
        figures.save_figure(plot(), "curve", data=pd.DataFrame(), source="synthetic data")


def test_undeclared_parameters_are_refused(checkout):
    assert notebooks.parameters("05_test") == {"profile": "quick", "k": 10}
    with pytest.raises(ValueError, match="no parameter q; it declares profile, k"):
        notebooks.check_parameters("05_test", {"q": 1})


def test_networks_are_called_by_their_options():
    assert [figures.network_title(*network) for network in (
        ("vgg16", {"width": 0.0625}), ("resnet18", {"stem": "cifar"}), ("resnet20", {"width": 2}))] == [
        "VGG16, width 1/16", "ResNet18, stem cifar", "ResNet20, width 2"]

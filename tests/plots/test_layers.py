"""Figures of a report: they show the table's numbers, and nothing where it has none."""

import matplotlib
import pandas as pd
import pytest

matplotlib.use("Agg")

from rrahelpers.plots import layers as figures

TABLE = pd.DataFrame({"layer": ["input", "a", "b", "c"], "index": range(4), "saturation": [None, .9, .2, .1],
                      "in_tail": pd.array([None, False, True, True], dtype="boolean"),
                      "border": ["", "", "b_max, b_min", ""], "probe": [.1, .2, .3, None], "probe_train": [None] * 4})


def lines(fig):
    return {line.get_label(): line.get_xydata().tolist() for line in fig.axes[0].lines}


def test_columns_over_layers():
    fig = figures.columns_figure(TABLE, {"probe": "other", "probe_train": "own", "nowhere": "none"}, "share", (0, 1))
    assert lines(fig) == {"other": [[0, .1], [1, .2], [2, .3]]} and fig.axes[0].get_ylim() == (0, 1)
    assert figures.columns_figure(TABLE, {"probe_train": "own"}, "share") is None


def test_saturation_with_tail_and_borders():
    drawn = lines(figures.saturation_figure(TABLE))
    assert drawn["saturation"] == [[1, .9], [2, .2], [3, .1]] and drawn["in a tail"] == [[2, .2], [3, .1]]
    assert drawn["border layer, b_min"][0][0] == drawn["border layer, b_max"][0][0] == 2
    plain = figures.saturation_figure(TABLE.assign(in_tail=pd.array([False] * 4, dtype="boolean"), border=""))
    assert list(lines(plain)) == ["saturation"] and plain.axes[0].get_legend() is None
    assert figures.saturation_figure(TABLE.assign(saturation=None)) is None


def test_similarity_and_pairs():
    scales = pd.DataFrame({"layer": ["a", "b"] * 2, "index": [0, 1] * 2, "scale": ["1", "1", "global", "global"],
                           "value": [.1, .2, .3, .4]})
    assert lines(figures.similarity_figure(scales)) == {"identity": [[0, .1], [1, .2]], "global": [[0, .3], [1, .4]]}
    assert figures.similarity_figure(scales[:0]) is None
    pairs = pd.DataFrame([(i, j, 1 - abs(i - j) / 30) for i in range(30) for j in range(30)],
                         columns=["i", "j", "value"])
    ax = figures.pairs_figure(pairs).axes[0]
    assert ax.images[0].get_array()[0, 29] == pytest.approx(1 / 30)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == [str(n) for n in range(0, 30, 3)]
    assert figures.pairs_figure(pairs[:0]) is None

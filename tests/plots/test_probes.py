"""Times of probes are drawn at their means."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from rrahelpers.plots import probes as probe_plots


def test_seconds_over_sizes():
    figure, ax = plt.subplots()
    table = pd.DataFrame({"size": [1, 1, 4], "seconds": [1.0, 3.0, 16.0]})
    probe_plots.seconds_over_sizes(table, ax)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[1, 2], [4, 16]])
    plt.close(figure)

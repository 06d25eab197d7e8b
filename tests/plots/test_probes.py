"""Times of probes are drawn at their means."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from rrahelpers.plots import probes as probe_plots


def test_seconds_over_sizes():
    figure, ax = plt.subplots()
    table = pd.DataFrame({"index": [0, 1, 0], "size": [1, 1, 4], "seconds": [1.0, 3.0, 16.0]})
    probe_plots.seconds_over_sizes(table, ax)
    first, _, mean = (line.get_xydata() for line in ax.lines)
    np.testing.assert_allclose(first, [[1, 1], [4, 16]])
    np.testing.assert_allclose(mean, [[1, 2], [4, 16]])
    plt.close(figure)

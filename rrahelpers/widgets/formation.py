"""The explorer of a training: the measures of all layers after each of its epochs."""

import ipywidgets
import pandas as pd

from rrahelpers.plots import formation
from rrahelpers.widgets.sliders import Explorer


def formation_explorer(table: pd.DataFrame) -> Explorer:
    """A slider for the epoch. ``table``: of :func:`rrahelpers.study.results.formation_table`, of one run."""
    def draw(epoch):
        return [formation.epoch_figure(table, epoch)]

    return Explorer(draw, {"epoch": ipywidgets.SelectionSlider(options=sorted(table["epoch"].unique().tolist()))})

"""Chapters 9 and 10 of the dissertation: networks along their layers, with what their stored runs measured."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import cache

import pandas as pd

from rrahelpers.receptive_field import border_layer
from rrahelpers.study import grids
from rrahelpers.study.architecture.borders import fields
from rrahelpers.study.architecture.probing import accuracy
from rrahelpers.study.results import measured_advice
from rrahelpers.tails import find_tails
from rrahelpers.training.runs import Run

Panel = tuple[pd.DataFrame, float | None]  # advice on a network's main path, and its accuracy
WHOLE = "whole"  # networks of the source's own width and length, measured on all images


class ChapterNetworks:
    """The networks of :data:`rrahelpers.study.grids.NETWORKS` with their runs.

    Parameters
    ----------
    tables: {chapter: table with the index label and the columns options and runs}; a chapter is whose recipe the
        networks were trained by: 9, 10, "elsewhere" (another data set) or "whole".
    input_size: of the images in pixels.
    samples: images of probes and saturation; None for all.
    """

    def __init__(self, tables: dict[int | str, pd.DataFrame], input_size: int, samples: int | None) -> None:
        self.tables, self.input_size, self.samples = tables, input_size, samples
        self.panel = cache(self._panel)

    def runs(self, labels: Iterable[str], where: int | str = 9) -> list[Run]:
        return [run for label in labels for run in self.tables[where].runs[label]]

    def overview(self) -> pd.DataFrame:
        """Which networks are trained, and how accurate they are."""
        return pd.DataFrame([
            {"network": row.Index, "chapter": where, "width": row.options.get("width", 1),
             "networks in the profile": len(row.configs), "trained": len(row.runs),
             "top-1 accuracy": accuracy(row.runs)} for where, table in self.tables.items()
            for row in table.itertuples()])

    def panels(self, labels: Iterable[str], bound: str | None = None, where: int | str = 9) -> dict[str, Panel]:
        """{title: panel} of some networks; ``bound``: "min" or "max", with that receptive field alone."""
        found = {}
        for label in labels:
            advice, own = self.panel(label, where)
            shown = advice if bound is None else only(advice, bound)
            told = label not in grids.NARROW and own is not None
            width = self.tables[where].options[label].get("width", 1) if told else 1
            found[label + (f", width {Fraction(width)}" if width != 1 else "") + f": {at(shown)}"] = shown, own
        return found

    def path_panel(self, label: str, bound: str) -> Panel:
        """A network's layers along one path, "min" or "max", with that path's receptive fields and border layer."""
        path = grids.untrained(label).paths[bound]  # type: ignore[index]  # of a network of several paths
        advice, own = self.panel(label, 10)
        table = fields(label, self.input_size)
        border = border_layer(table[table.layer.isin(path)], self.input_size, bound)
        rows = only(advice[advice.layer.isin(path)], bound)
        numbers = rows.conv.notna().cumsum().where(rows.conv.notna()).astype("Int64")
        return rows.assign(conv=numbers, border=[f"b_{bound}" if layer == border else "" for layer in rows.layer]
                           ), own

    def around_borders(self) -> pd.DataFrame:
        """Probes and saturations before and behind each border layer, a row for each trained network that has one."""
        return pd.DataFrame([row for where, table in self.tables.items() if where != "elsewhere"
                             for label in table.index if table.runs[label] for bound in ("max", "min")
                             if (row := around(self.panel(label, where), bound, network=label, chapter=where))])

    def accuracies(self, printed: pd.DataFrame) -> pd.DataFrame:
        """Accuracy of chapter 9's networks beside ``printed``: columns network, quantity, printed, where."""
        table = self.tables[9]
        return pd.DataFrame([
            {"network": row.network, "published (%)": float(row.printed), "where": row.where,
             "width": table.options[row.network].get("width", 1),
             "measured (%)": None if (found := accuracy(table.runs[row.network])) is None else 100 * found,
             "networks": len(table.runs[row.network])}
            for row in printed[printed.quantity == "accuracy"].itertuples()])

    def _panel(self, label, where=9):
        runs, samples = self.tables[where].runs[label], None if where == WHOLE else self.samples
        return measured_advice(*grids.NETWORKS[label], self.input_size, runs, samples), accuracy(runs)


def only(advice: pd.DataFrame, bound: str) -> pd.DataFrame:
    """The table with the receptive fields and the border layer of one bound alone."""
    size = advice[f"r_{bound}"]
    return advice.assign(r_min=size, r_max=size,
                         border=[f"b_{bound}" if f"b_{bound}" in name else "" for name in advice.border])


def at(advice: pd.DataFrame) -> str:
    """Where the border layers are, for a title."""
    found = [f"{row.border} at {row.conv}" for row in advice[advice.border != ""].itertuples()]
    return ", ".join(found) or "no border layer"


def around(panel: Panel, bound: str, **about: object) -> dict[str, object] | None:
    """Probes and saturations before and behind a border layer as a row, or None where it isn't there or is the first.

    ``about``: further columns, first in the row.
    """
    advice, own = panel
    rows = advice[advice.conv.notna()].reset_index(drop=True)
    marked = rows.index[rows.border.str.contains(f"b_{bound}")]
    if not len(marked) or marked[0] == 0:
        return None
    before, behind = rows.iloc[:marked[0]], rows.iloc[marked[0]:]
    tails = find_tails(advice.set_index("layer").saturation.dropna())
    name = {layer: str(conv) if pd.notna(conv) else layer for layer, conv in zip(advice.layer, advice.conv)}
    return {**about, "bound": f"b_{bound}", "layer": rows.conv[marked[0]],
            "probe gain before": before.probe.max() - before.probe.iloc[0],
            "probe gain behind": behind.probe.max() - before.probe.max(),
            "saturation before": before.saturation.mean(), "saturation behind": behind.saturation.mean(),
            "tails": "; ".join(f"{name[t.first]} to {name[t.last]}" for t in tails.itertuples()) or "none",
            "top-1 accuracy": own, "best probe": rows.probe.max()}

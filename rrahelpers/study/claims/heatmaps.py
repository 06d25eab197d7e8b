"""Readings of heatmaps (figures 54 and 86 to 88): a probe for each place of a layer's map."""

import pandas as pd

from rrahelpers.study.claims.readings import Numbers, Reading, correlation, each
from rrahelpers.study.claims.tables import Missing

FIGURE_86, FIGURE_87, FIGURE_88 = (f"receptive-field-figure-{number}" for number in (86, 87, 88))


def layer(table: pd.DataFrame, which: int | str) -> pd.DataFrame:
    """A layer's rows: by its name, or its number among the layers, from 1."""
    names = table["layer"].drop_duplicates().tolist()
    if isinstance(which, int) and which > len(names):
        raise Missing(f"there is no map of layer {which}, but of {len(names)} layers")
    rows = table[table["layer"] == (names[which - 1] if isinstance(which, int) else which)]
    if rows.empty:
        raise Missing(f"there is no map of {which}")
    return rows


def place(which: int | str, part: str, figure: str = FIGURE_86) -> Numbers:
    """Mean probe of the middle of a map ("centre"), of its margin without corners ("edge"), or of its corners."""
    def of(table):
        rows = layer(table, which)
        side = rows["row"].max()
        ends = rows[["row", "column"]].isin([0, side])
        middle = rows[["row", "column"]].isin([side // 2, (side + 1) // 2])
        chosen = {"corner": ends.all(axis=1), "edge": ends.any(axis=1) & ~ends.all(axis=1),
                  "centre": middle.all(axis=1)}[part]
        return rows[chosen]["value"].mean()
    return each(figure, of)


def complete(table: pd.DataFrame) -> bool:
    """Whether every layer has as many probes as its map, of which the last place is told, has places."""
    return all(len(rows) == (rows["row"].max() + 1) * (rows["column"].max() + 1) for _, rows in table.groupby("layer"))


def deviation(which: int | str, figure: str = FIGURE_86) -> Numbers:
    """The deviation of a layer's probes over its places."""
    return each(figure, lambda table: layer(table, which)["value"].std())


def relative(figure: str, which: int | str, statistic: str) -> Numbers:
    """The best, the worst or the mean probe of a layer's places ("max", "min", "mean"), as a share of the network's
    accuracy."""
    def of(tables):
        found = each(figure, lambda table: layer(table, which)["value"].agg(statistic))(tables)
        accuracy = {tables.config(run).seed: tables.record(run)["history"][-1]["test_accuracy"]
                    for run in tables.provenance(figure).get("runs", ()) if tables.config(run)}
        if missing := set(found.index) - set(accuracy):
            raise Missing(f"the store has no run of {figure} with seed {sorted(missing)}")
        return found / pd.Series(accuracy)[found.index]
    return Numbers(of)


def with_saturation() -> Reading:
    """Correlation over VGG16's convolutions of the deviation over places and saturation (figures 86 and 52)."""
    def deviations(tables):
        table = tables.read(FIGURE_86)
        return table.groupby(["layer", "seed"], sort=False)["value"].std().groupby("layer", sort=False).mean()

    def saturations(tables):
        rows = tables.read("receptive-field-figures-52-53", panel="VGG16~: *").groupby("layer").saturation.mean()
        return rows[deviations(tables).index]
    return correlation(deviations, saturations, networks=1)

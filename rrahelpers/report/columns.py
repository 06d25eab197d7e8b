"""What was measured of each layer, side by side in one table, and of all pairs of layers."""

from collections.abc import Sequence

import pandas as pd

from rrahelpers.report.measures import Measured
from rrahelpers.tails import in_tail
from rrahelpers.topology import nnts, nnts_matrix

NUMBERS = ("class_similarity", "separation_index", "intrinsic_dimension", "saturation", "probe", "probe_train",
           "nnts_input", "nnts_before", "nnts_output")
TEXTS = ("best_scale", "finest")


def columns(table: pd.DataFrame, measured: Measured, similarities: pd.DataFrame) -> pd.DataFrame:
    """All columns of a layer side by side."""
    rows = pd.DataFrame.from_dict(measured.rows, orient="index")
    rows = rows.reindex(columns=[*TEXTS, *NUMBERS]).astype(dict.fromkeys(NUMBERS, float))
    rows[list(TEXTS)] = rows[list(TEXTS)].astype(object).where(rows[list(TEXTS)].notna(), "").astype(str)
    finest = {layer: graphs[rows.loc[layer, "finest"]] for layer, graphs in measured.graphs.items()}
    names = list(finest)
    for place, layer in enumerate(names):
        rows.loc[layer, "nnts_output"] = nnts(finest[layer], finest[names[-1]])
        if "input" in finest:
            rows.loc[layer, "nnts_input"] = nnts(finest[layer], finest["input"])
        if place:
            rows.loc[layer, "nnts_before"] = nnts(finest[layer], finest[names[place - 1]])
    known = rows["saturation"].dropna()
    rows["in_tail"] = (in_tail(known) if len(known) else known).reindex(rows.index).astype("boolean")
    wide = similarities.pivot(index="layer", columns="scale", values="value")
    wide = wide[sorted(wide.columns, key=lambda scale: (scale == "global", scale.rjust(9)))]
    result = table.set_index("layer").join(rows).join(wide.add_prefix("class_similarity_"))
    return result.rename_axis("layer").reset_index().rename_axis(columns=None).assign(index=range(len(result)))[
        ["layer", "index", *result.columns]]


def pairs(measured: Measured, names: Sequence[str]) -> pd.DataFrame:
    """NNTS between all layers, at the finest scale of each: i, j (places in the table), value."""
    graphs = {layer: own[str(measured.rows[layer]["finest"])] for layer, own in measured.graphs.items()}
    if not graphs:
        return pd.DataFrame(columns=["i", "j", "value"])
    places = [names.index(layer) for layer in graphs]
    table = nnts_matrix(graphs.values())
    return table.assign(i=[places[i] for i in table.i], j=[places[j] for j in table.j])

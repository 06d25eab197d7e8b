"""When a layer has become what it is at the end of the training."""

import math

import pandas as pd


def covered(table: pd.DataFrame) -> pd.DataFrame:
    """The share of its way that each layer's measure has covered after each epoch.

    ``table``: of :func:`rrahelpers.study.results.formation_table`, of one run. Returns it with ``value`` replaced: 0
    before the training, 1 at its end; NaN where the two differ by less than .01.
    """
    wide = table.pivot(index="epoch", columns=["measure", "index", "layer"], values="value")
    way = wide.iloc[-1] - wide.iloc[0]
    shares = (wide - wide.iloc[0]) / way.where(way.abs() >= 0.01)
    return shares.melt(ignore_index=False).reset_index()[["epoch", "layer", "index", "measure", "value"]]


def formed(table: pd.DataFrame, share: float = 0.5) -> pd.DataFrame:
    """The epoch from which on a layer's measure has covered a share of its way and doesn't fall back.

    ``table``: as above. Returns a row for each layer and measure: ``layer``, ``index``, ``measure``, ``epoch``; layers
    that end where they began are left out.
    """
    rows = []
    for (measure, index, layer), part in covered(table).dropna().groupby(["measure", "index", "layer"]):
        part = part.sort_values("epoch")
        short = part["epoch"][part["value"] < share]
        rows.append({"layer": layer, "index": index, "measure": measure,
                     "epoch": part["epoch"][part["epoch"] > short.max()].min() if len(short) else part["epoch"].min()})
    return pd.DataFrame(rows, columns=["layer", "index", "measure", "epoch"])


def order(table: pd.DataFrame) -> pd.DataFrame:
    """Whether layers form bottom-up: for each measure Spearman's rank correlation of the layers' numbers and epochs, 1
    where each forms later than those before it, NaN where all form at once.

    ``table``: of :func:`formed`. Returns ``measure``, ``layers`` (how many), ``correlation``.
    """
    rows = [{"measure": measure, "layers": len(part), "correlation": part["index"].rank().corr(part["epoch"].rank())
             if part["epoch"].nunique() > 1 else math.nan} for measure, part in table.groupby("measure", sort=False)]
    return pd.DataFrame(rows, columns=["measure", "layers", "correlation"])

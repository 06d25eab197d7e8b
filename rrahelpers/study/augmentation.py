"""What augmentation does to the neighbours: the measures that notebook 10 compares between two kinds of networks."""

from __future__ import annotations

import pandas as pd

BLOCKS = {"blocks (2 to 10)": (2, 10), "pooling, logits": (11, 12)}  # layers of ResNet20


def panels(layers: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """{title: rows of ``index``, ``value``}, at identity scale, of the tables of several networks' responses."""
    layers, pairs = layers[layers.scale == "1"], pairs[pairs.scale == "1"]
    later = pairs.rename(columns={"j": "index"})
    return {
        "class similarity": layers[layers.measure == "class similarity"],
        "NNTS with the layer before": later[(later.measure == "NNTS") & (later["index"] == later.i + 1)],
        "NNTP from the stem": later[(later.measure == "NNTP") & (later.i == 1)],
        "intrinsic dimension": layers[layers.measure == "intrinsic dimension"],
    }


def by_training(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Mean, lowest and highest value of each panel over the blocks and over what follows, by the kind of ``training``.

    ``tables``: of :func:`panels`, with the columns ``training`` and ``run``.
    """
    return pd.DataFrame([
        {"measure": title, "layers": label, "training": training, "mean": part.value.mean(),
         "lowest": part.value.min(), "highest": part.value.max(), "networks": part.run.nunique()}
        for title, rows in tables.items() for label, (low, high) in BLOCKS.items()
        for training, part in rows[rows["index"].between(low, high)].groupby("training")])

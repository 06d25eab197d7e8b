"""How far the settings of a neighbour model move what is read from it: notebook 10's study of hyperparameters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import pandas as pd
import torch

from rrahelpers.class_similarity import class_similarity
from rrahelpers.features import each_layer, layer_names
from rrahelpers.neighbors import KNNGraph, knn_graph
from rrahelpers.topology import nntp, nnts
from rrahelpers.training.runs import Run

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Answers, Labels


def settings_table(run: Run, samples: int, ks: Sequence[int], k: int) -> pd.DataFrame:
    """The measures of one network under every setting, one setting changed at a time.

    ``samples``: first test images; ``ks``: numbers of neighbours to compare; ``k``: of the other settings. Returns rows
    of study, setting, index, measure, value; what the store lacks is computed and stored.
    """
    def measure():
        (images, labels), chains = run.inputs("test", samples), {}
        model = run.model()
        for _, features in each_layer(model, images, layer_names(model)):
            for setting, graph in graphs(features, ks, k).items():
                chains.setdefault(setting, []).append(graph)
        return pd.DataFrame([{"study": study, "setting": setting, **row} for (study, setting), chain in chains.items()
                             for row in measures(chain, labels[:len(chain[0])])])

    return run.result("response-settings", {"samples": samples, "ks": list(ks), "k": k}, measure)


def graphs(features: Answers, ks: Sequence[int], k: int) -> dict[tuple[str, str], KNNGraph]:
    """One layer's graphs: {(study, setting): graph}, of features [N, ...] as they are (identity scale)."""
    x = features.flatten(1)
    n = len(x)
    most = min(max(ks), n - 1)
    exact, deviation = knn_graph(x, most), x.std(0)
    scaled = (x - x.mean(0)) / torch.where(deviation > 0, deviation, 1)
    return {
        **{("k", f"k = {min(one, most)}"): exact.first(min(one, most)) for one in ks},
        **{("samples", f"{n // share} samples"): knn_graph(x[:n // share], k) for share in (4, 2, 1)},
        ("distances", "Euclidean"): exact.first(k), ("distances", "cosine"): knn_graph(x, k, metric="cosine"),
        ("distances", "unit deviation"): knn_graph(scaled, k),
        ("search", "exact"): exact.first(k), ("search", "pynndescent"): knn_graph(x, k, method="pynndescent"),
    }


def measures(chain: Sequence[KNNGraph], labels: Labels) -> list[dict[str, object]]:
    """What is read of the graphs of all layers: rows of index, measure, value."""
    persistent = nntp(chain[1:])
    return [
        *[{"index": i, "measure": "class similarity", "value": class_similarity(graph, labels)}
          for i, graph in enumerate(chain)],
        *[{"index": i, "measure": "NNTS with the layer before", "value": nnts(a, b)}
          for i, (a, b) in enumerate(pairwise(chain), 1)],
        *[{"index": 1 + row.j, "measure": "NNTP from the stem", "value": row.value}
          for row in persistent[persistent.i == 0].itertuples()],
    ]


def spreads(table: pd.DataFrame) -> pd.DataFrame:
    """How far each study moves each measure: highest less lowest setting, the mean over layers."""
    wide = table.pivot_table(index=["study", "measure", "index"], columns="setting", values="value", sort=False)
    spread = (wide.max(axis=1) - wide.min(axis=1)).groupby(level=["study", "measure"], sort=False).mean()
    return spread.unstack("measure", sort=False).rename_axis(None, axis=1).rename_axis("setting").reset_index()

"""Sections 4.3 and 8.3 of the dissertation: probes of stored networks, and what pooling does to them.

A network is a group [model, data set, options, [image size]], as in :mod:`rrahelpers.study.grids.probes`. Tables of
probes are those of :func:`rrahelpers.probes.probe_layers` with the column ``seed``; accuracies are fractions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import torch

from rrahelpers import data
from rrahelpers.features import layer_names
from rrahelpers.probes import probe_layers
from rrahelpers.study.figures import data_title, network_title
from rrahelpers.study.results import probe_table
from rrahelpers.training.runs import Run

SUMMARY = ["network", "pooling", "size", "accuracy", "lost", "lost early", "lost late", "rank correlation", "falls"]

# ways to fit a probe: options of study.results.probe_table
FITS: dict[str, dict[str, Any]] = {"optimum, C = 1": {},
                                   "optimum, C by held-out images": {"C": (1e-4, 1e-3, 1e-2, 0.1, 1.0)},
                                   "SAGA, 100 passes": {"classifier": "saga"}}


def title(group: Sequence) -> str:
    """Model, data and image size in words."""
    model, data_set, options, (size,) = group
    return (f"{network_title(model, options)}, {data_title(data_set)} at "
            f"{f'{size} px' if size else 'its own size'}")


def accuracy(runs: Sequence[Run]) -> float | None:
    """Mean test accuracy of some runs; None without runs."""
    return sum(run.accuracy for run in runs) / len(runs) if runs else None


def probes(runs: Sequence[Run], samples: int | None, **options: Any) -> pd.DataFrame:
    """Probe tables of some runs, one below the other; ``options``: of :func:`rrahelpers.study.results.probe_table`."""
    empty = pd.DataFrame(columns=["layer", "index", "value"])
    return pd.concat([probe_table(run, samples, **options) for run in runs], ignore_index=True) if runs else empty


def mean_curve(table: pd.DataFrame) -> pd.Series:
    """Accuracy of each layer's probe, in order, the mean over seeds."""
    return table.groupby("index").value.mean()


def rise(table: pd.DataFrame, accuracy: float) -> pd.DataFrame:
    """Figure 33 in numbers: whether probes rise from layer to layer; ``accuracy``: the network's own."""
    curve = mean_curve(table)
    steps = curve.diff().dropna()
    return pd.DataFrame([
        ("steps from layer to layer", "all upwards", f"{(steps > 0).sum()} of {len(steps)} upwards"),
        ("largest fall", "", f"{max(0, -100 * steps.min()):.1f} points"),
        ("first layer within 1 point of the best probe", "the last ones",
         f"{(curve >= curve.max() - 0.01).argmax()} of {len(curve) - 1}"),
        ("best probe less network", "", f"{100 * (curve.max() - accuracy):+.1f} points"),
    ], columns=["statement", "published", "measured"])


def around_shortcut(run: Run, every: int) -> list[str]:
    """The layers of a perceptron with a shortcut (figure 34), of those passed by each ``every``-th."""
    return [layer for layer in layer_names(run.untrained())
            if not layer.startswith("skipped.") or int(layer.split(".")[1]) % every == every - 1]


def untrained_probes(run: Run, layers: Sequence[str], samples: int | None) -> pd.DataFrame:
    """Probes on the network that a run began with: the recipe draws the weights after setting the seed."""
    def measure():
        torch.manual_seed(run.config.seed)
        model = run.untrained()
        sets = [tensor for split in data.SPLITS for tensor in run.inputs(split, samples)]
        return probe_layers(model, *sets, layers, progress=False)

    found = run.result("probes-before-training", {"samples": samples, "layers": layers}, measure)
    return pd.DataFrame(found).assign(seed=run.config.seed)


def shortcut(before: pd.DataFrame, after: pd.DataFrame, accuracy: float, guessing: float) -> pd.DataFrame:
    """Figure 34 in numbers: probes before and after training at the layers that the text names.

    ``accuracy``: the network's own; ``guessing``: one over the number of classes.
    """
    names = after.drop_duplicates("index").set_index("index").layer.sort_index()
    passed = names.index[names.str.startswith("skipped.")].max()
    places = {"layer 1": (1, ""),
              "layers passed by: the last": (passed, f"guessing ({guessing:.2f})"),
              "first layer after the sum": (passed + 1, "recovered at once"),
              "last of the eight layers": (len(names) - 2, "no better than the first"),
              "logits": (len(names) - 1, "")}
    rows = [(where, told, mean_curve(before)[place], mean_curve(after)[place])
            for where, (place, told) in places.items()]
    return pd.DataFrame([*rows, ("the network", "", None, accuracy)],
                        columns=["where", "published", "before training", "measured"])


def pooling_summary(ablation: dict[tuple[str, str], pd.DataFrame], sizes: Sequence[int]) -> pd.DataFrame:
    """What pooling costs (8.3.2), a row for each network, pooling and size.

    ``ablation``: {(pooling, network's title): probes at all ``sizes``}. Columns: the mean ``accuracy`` of the probes;
    what is ``lost`` against the largest size in points, over the first half of the layers ("lost early") and over the
    second ("lost late"); Spearman's ``rank correlation`` of the layers with the largest size; the sum of the ``falls``
    from layer to layer in points.
    """
    rows = []
    for (pooling, network), table in ablation.items():
        curves = {size: mean_curve(table[table["size"] == size]) for size in sizes}
        reference = curves[max(sizes)]
        maps = reference.index[:-1]  # the logits aren't pooled
        half = len(maps) // 2
        for size, curve in curves.items():
            lost = 100 * (reference - curve)[maps]
            rows.append((network, pooling, size, curve[maps].mean(), lost.mean(), lost.iloc[:half].mean(),
                         lost.iloc[half:].mean(), curve[maps].corr(reference[maps], method="spearman"),
                         -100 * curve[maps].diff().clip(upper=0).sum()))
    return pd.DataFrame(rows, columns=SUMMARY)


def pooling_statements(summary: pd.DataFrame, sizes: Sequence[int]) -> pd.DataFrame:
    """The conclusions of 8.3.2 and 8.3.3 beside the numbers of :func:`pooling_summary`, for all trained networks."""
    least, second, chosen = min(sizes), sorted(sizes)[1], min(sizes, key=lambda size: abs(size - 4))
    told: list[tuple[str, str, list[tuple[str, str, int]]]] = [  # published, measured, its numbers
        ("a single pixel loses strongly in all layers", "{:.1f} points", [("lost", "nearest", least)]),
        ("a single pixel breaks the pattern; from 2x2 on it is similar", "rank correlation {:.2f}, then {:.2f}",
         [("rank correlation", "nearest", size) for size in (least, second)]),
        ("the average of all places keeps the pattern", "rank correlation {:.2f}",
         [("rank correlation", "average", least)]),
        ("early layers lose most (average, fewest places)", "{:.1f} points early, {:.1f} late",
         [("lost early", "average", least), ("lost late", "average", least)]),
        ("gains diminish (average)", "lost at " + ", ".join(f"{size}x{size}: {{:.1f}}" for size in sizes),
         [("lost", "average", size) for size in sizes]),
        ("large images lose no more than small ones (average, fewest places)", "{:.1f} points",
         [("lost", "average", least)]),
        ("4x4 averages are close to larger sizes (8.3.3)", f"{chosen}x{chosen} loses {{:.1f}} points",
         [("lost", "average", chosen)]),
    ]
    return pd.DataFrame([{"published": published, "measured": "; ".join(_told(summary, text, cells))}
                         for published, text, cells in told])


def fit_summary(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row for each way of fitting, of ``tables`` {its name: probes}.

    ``fit``; ``accuracy`` on test images and on the ``training`` images, means over layers; its ``largest lead`` over
    the first way at a layer, and ``largest lag``, in points; ``seconds`` of all fits, as they were measured.
    """
    first, rows = mean_curve(next(iter(tables.values()))), []
    for way, table in tables.items():
        apart = 100 * (mean_curve(table) - first)
        rows.append({"fit": way, "accuracy": table["value"].mean(), "training": table["train"].mean(),
                     "largest lead": apart.max(), "largest lag": -apart.min(), "seconds": table["seconds"].sum()})
    return pd.DataFrame(rows)


def seed_spread(ablation: dict[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    """The mean over layers of the standard deviation over seeds, in points; empty without a second seed."""
    return pd.DataFrame([
        {"network": network, "pooling": pooling, "size": size,
         "deviation over seeds (points)": 100 * part.groupby("index").value.std().mean()}
        for (pooling, network), table in ablation.items() if table.seed.nunique() > 1
        for size, part in table.groupby("size", sort=False)])


def _told(summary: pd.DataFrame, text: str, cells: Sequence[tuple[str, str, int]]) -> Iterator[str]:
    """The text for each network, with its numbers: (column, pooling, size)."""
    for _, rows in summary.groupby("network", sort=False):
        found = rows.set_index(["pooling", "size"])
        yield text.format(*(found.loc[(pooling, size), column] for column, pooling, size in cells))

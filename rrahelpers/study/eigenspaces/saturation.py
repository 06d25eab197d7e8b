"""Sections 8.2 and 8.4 of the dissertation: saturation over trainings, widths and data sets, printed beside measured.

Tables of saturations are those of :func:`saturations`: a row for each layer of each training.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from rrahelpers.study import grids
from rrahelpers.study.figures import network_title
from rrahelpers.study.results import saturation_table
from rrahelpers.training.runs import Run

# of 50 networks each (8.2.2): standard deviation of saturation, of accuracy, without a unit
DEVIATIONS = {"vgg16": ("0.281", "0.511"), "resnet18": ("0.353", "0.523")}
DIFFICULTY = {"MNIST": "lowest", "CIFAR-10": "between",  # figure 48
              "Tiny-ImageNet-50": "TinyImageNet: higher; ImageNet: highest"}


def saturations(runs: Iterable[Run], samples: int | None, delta: float) -> pd.DataFrame:
    """Saturation of every layer of some runs on ``samples`` test images, with network, model, data and accuracy."""
    return pd.concat([saturation_table(run, samples, delta=delta).assign(
        network=network_title(run.config.model, run.config.options), model=run.config.model,
        data=run.config.data, accuracy=run.accuracy)
        for run in runs], ignore_index=True)


def deviations(network: tuple[str, dict], table: pd.DataFrame) -> dict[str, object]:
    """Standard deviations over the trainings of one network in percentage points: a row of text.

    Of average saturation, of single layers' saturations, and of accuracy; ``network``: model and options.
    """
    title = network_title(*network)
    table = table[table.network == title]
    trainings = table.groupby("seed")
    printed = dict(zip(("published: saturation", "published: accuracy"), DEVIATIONS.get(network[0], ("", ""))))
    row = {"network": title, "trainings": len(trainings), **printed}
    columns = "average saturation", "saturation of a layer (mean)", "accuracy"
    if len(trainings) < 2:
        return row | dict.fromkeys(columns, "one training alone" if len(trainings) else "not trained yet")
    measured = (trainings.saturation.mean().std(), table.groupby("layer").saturation.std().mean(),
                trainings.accuracy.first().std())
    return row | {column: f"{100 * value:.2f}" for column, value in zip(columns, measured)}


def averages(table: pd.DataFrame) -> pd.DataFrame:
    """Average saturation and accuracy of each network, the mean over its trainings (figure 47)."""
    trainings = table.groupby(["model", "network", "seed"], sort=False).agg(
        saturation=("saturation", "mean"), accuracy=("accuracy", "first")).reset_index()
    return trainings.groupby(["model", "network"], sort=False)[["saturation", "accuracy"]].mean().reset_index()


def width_statements(table: pd.DataFrame, depths: Sequence[str], widths: Sequence[float]) -> pd.DataFrame:
    """What section 8.4 says of width, accuracy and average saturation, beside the same of :func:`averages`' table."""
    r = np.corrcoef(np.log(table.saturation), table.accuracy)[0, 1] if table.saturation.nunique() > 2 else np.nan
    by_width = [table[table.network.isin([network_title(*network) for network in grids.family(depths, [width])])]
                for width in sorted(widths, reverse=True)]
    return pd.DataFrame([
        ("accuracy over average saturation", "falls, logarithmically (20 networks)",
         f"correlation with ln s: {r:.2f} ({len(table)} networks)"),
        ("average saturation, widest to narrowest", "rises",
         " → ".join(f"{part.saturation.mean():.3f}" for part in by_width)),
    ], columns=["statement", "published", "measured"])


def difficulty_statements(levels: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    """Figure 48 in numbers, a row for each data set in the given order.

    ``levels``: saturation of every layer, with the data set in the column ``split``, and the accuracy.
    """
    wide = levels.pivot_table(index="index", columns="split", values="saturation")
    return pd.DataFrame([{
        "data": name, "published": DIFFICULTY.get(name, ""), "average saturation": wide[name].mean(),
        "accuracy": levels[levels.split == name].accuracy.iloc[0],
        "correlation over layers with the data set above": wide[name].corr(wide[above]) if above else np.nan,
    } for above, name in zip([None, *order], order)])

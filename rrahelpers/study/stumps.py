"""Two ways to get rid of a tail (dissertation, 9.5.2): train the cut network again, or fit a classifier on what is
left."""

from __future__ import annotations

import pandas as pd

from rrahelpers.advisor import fitted_stump
from rrahelpers.base.devices import default_device
from rrahelpers.data import SPLITS
from rrahelpers.training.runs import Run


def stump_table(run: Run, at: str, samples: int | None, *, compute: bool = True) -> pd.DataFrame | None:
    """A run's network cut before ``at``, its classifier fitted on the first training images: accuracy, train_accuracy
    and seed, in one row.

    ``samples``: images of each split, None for all. What the store lacks is computed and stored; without ``compute``
    the answer is None.
    """
    def measure():
        device = default_device()
        sets = [tensor.to(device) for split in SPLITS for tensor in run.inputs(split, samples)]
        _, probe = fitted_stump(run.model(device), at, *sets)
        return pd.DataFrame([{"accuracy": probe.accuracy, "train_accuracy": probe.train_accuracy}])

    table = run.result("stump", {"at": at, "samples": samples}, measure if compute else None)
    return None if table is None else table.assign(seed=run.config.seed)


def stumps(cells: pd.DataFrame, samples: int | None, *, compute: bool = True) -> pd.DataFrame:
    """Figure 64's networks three ways: rows of network, way ("whole", "fitted", "retrained"), seed and accuracy.

    ``cells``: of :func:`rrahelpers.study.grids.architecture.truncation_cells`, with their ``runs`` (finished ones).
    """
    rows = []
    for label, pair in cells.groupby("label", sort=False):
        at = pair["at"].max()
        whole, cut = (pair.loc[pair["at"] == place, "runs"].iloc[0] for place in ("", at))
        rows += [(label, way, run.config.seed, run.accuracy) for way, runs in (("whole", whole), ("retrained", cut))
                 for run in runs]
        fitted = [stump_table(run, at, samples, compute=compute) for run in whole]
        rows += [(label, "fitted", table["seed"][0], table["accuracy"][0]) for table in fitted if table is not None]
    return pd.DataFrame(rows, columns=["network", "way", "seed", "accuracy"])

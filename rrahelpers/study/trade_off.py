"""Figure 1 of the STAC paper: what networks cost and how accurate they are, as printed and as measured."""

from __future__ import annotations

import pandas as pd

from rrahelpers.plots.stac import SHORT
from rrahelpers.study import comparison, published

COLUMNS = {"Img64": "ImageNet64x64", "CIFAR10": "CIFAR-10", "Img64-50": "Img64-50"}  # of table 1


def trade_off_table(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows of panel, label, top1 with its std (percent), flops, params: of the networks that figure 1 shows.

    ``tables``: {data set's title: rows of table 1 with runs, of :func:`rrahelpers.study.grids.with_runs`}. The first
    panel is the paper's, ResNet34 on ImageNet64x64; then come the columns beside which we measure, and ours.
    """
    rows = []
    for column in dict.fromkeys(["Img64", *(table["data"].iloc[0] for table in tables.values())]):
        for row in published.table(1).query("data == @column").itertuples():
            rows.append({"panel": f"published: {_family(row.model)}, {COLUMNS[column]}", "label": row.label,
                         "top1": row.accuracy, "std": row.accuracy_std, "flops": published.number(row.flops),
                         "params": published.number(row.params)})
    for name, table in tables.items():
        for row in table[table.label.isin(SHORT)].itertuples():
            mean, std, _ = comparison.measured(row.runs)
            counted = comparison.count(row.model, row.options, row.image_size, row.num_classes)
            rows.append({"panel": f"measured: {_family(row.model)}, {name}", "label": row.label, "top1": mean,
                         "std": std, **counted._asdict()})
    found = pd.DataFrame(rows)
    return found[found.label.isin(SHORT)]


def _family(model):
    return model.replace("resnet", "ResNet")

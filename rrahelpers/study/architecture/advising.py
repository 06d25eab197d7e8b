"""Chapter 11 of the dissertation: width by saturation, the tail cut off, the stem taken out; printed beside measured.

Tables of networks are those of :mod:`rrahelpers.study.grids.architecture` with the column ``runs``; costs are
multiply-accumulates and parameters of an untrained network on a colour image.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import torch

from rrahelpers import complexity, models
from rrahelpers.advisor import propose
from rrahelpers.complexity import Complexity
from rrahelpers.study import comparison, grids, published, significance
from rrahelpers.study.architecture.probing import accuracy
from rrahelpers.study.results import measured_advice
from rrahelpers.tails import find_tails
from rrahelpers.training.runs import Run

Panels = dict[str, tuple[pd.DataFrame, float | None]]  # {title: (advice, the network's accuracy)}


def costs(model: str, options: dict, size: int) -> Complexity:
    """Parameters and multiply-accumulates of a network on an image of ``size`` pixels."""
    with torch.device("meta"):
        return complexity.count(models.build(model, **options), (3, size, size), "macs")


def at_full_width(options: dict) -> dict:
    return {name: value for name, value in options.items() if name != "width"}


def widths(table: pd.DataFrame, side: int, samples: int | None) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Figure 61: saturation of one network at several widths.

    Returns {title: advice} of the trained widths, and a row for each: factor, accuracy (%), average saturation,
    params, flops, and how many networks.
    """
    tables, points = {}, []
    for row in table.itertuples():
        if not row.runs:
            continue
        layers = measured_advice(row.model, {"width": row.factor}, side, row.runs, samples, probes=False)
        top1, average = comparison.measured(row.runs).mean, layers.saturation.mean()
        tables[f"width {Fraction(row.factor)}: top-1 {top1:.1f} %, average {100 * average:.0f} %"] = layers
        points.append({"factor": row.factor, "accuracy": top1, "saturation": average, "params": layers.params.sum(),
                       "flops": layers.flops.sum(), "networks": len(row.runs)})
    return tables, pd.DataFrame(points)


def width_costs() -> pd.DataFrame:
    """What ResNet18 costs at the widths of figure 61, and what is printed of half the width."""
    full, rows = costs("resnet18", {}, 224), []
    for factor, printed in ((1, ""), (1 / 2, "half the memory and FLOPs"), (1 / 8, "")):
        count = costs("resnet18", {"width": factor}, 224)
        rows.append({"ResNet18, width": Fraction(factor), "published": printed, "parameters": count.params,
                     "of full width": count.params / full.params, "GFLOPs at 224 pixels": count.flops / 1e9,
                     "of full width ": count.flops / full.flops})
    return pd.DataFrame(rows)


def widths_and_tails(table: pd.DataFrame, side: int, samples: int | None) -> tuple[Panels, pd.DataFrame]:
    """Figure 62: one network at several widths, and where its tail begins. Returns the panels and a row for each."""
    panels, rows = {}, []
    for row in table.itertuples():
        layers = measured_advice(row.model, {"width": row.factor}, side, row.runs, samples)
        told = f": average saturation {100 * layers.saturation.mean():.0f} %" if row.runs else ""
        panels[f"{row.label}, width {Fraction(row.factor)}{told}"] = layers, accuracy(row.runs)
        if row.runs:
            starts = find_tails(layers.set_index("layer").saturation).start
            rows.append({"width": Fraction(row.factor), "average saturation": layers.saturation.mean(),
                         "top-1 accuracy": accuracy(row.runs),
                         "b_min": layers.loc[layers.border.str.contains("b_min"), "conv"].max(),
                         "tail begins at convolution": ", ".join(str(layers.conv[start]) for start in starts) or "none",
                         "networks": len(row.runs)})
    return panels, pd.DataFrame(rows)


def truncated(pairs: pd.DataFrame, input_size: int) -> pd.DataFrame:
    """Figure 64: costs at the source's width and measured accuracy (%), a row for each network, whole and cut."""
    rows = []
    for row in pairs.itertuples():
        count = costs(row.model, at_full_width(row.options), input_size)
        rows.append({"network": row.label, "truncated": bool(row.at), "cut before": row.at, "params": count.params,
                     "flops": count.flops, "trained width": row.options.get("width", 1),
                     **comparison.measured(row.runs)._asdict()})
    return pd.DataFrame(rows).rename(columns={"mean": "top1", "std": "top1_std", "n": "seeds"})


def changes(cut: pd.DataFrame) -> pd.DataFrame:
    """What cutting the tail off saves and changes, a row for each network; ``cut``: of :func:`truncated`."""
    rows = []
    for label, pair in cut.groupby("network", sort=False):
        whole, short = (pair[pair.truncated == is_cut].iloc[0] for is_cut in (False, True))
        before, after = (significance.Sample(row.top1, row.top1_std, row.seeds) for row in (whole, short))
        difference = significance.welch(after, before)
        told = "not trained yet" if not (before.n and after.n) else f"{difference.value:+.2f}" + (
            "" if np.isnan(difference.low) else f" [{difference.low:+.2f}, {difference.high:+.2f}]")
        rows.append({"network": label, "cut before": short["cut before"],
                     "parameters saved": 1 - short.params / whole.params, "FLOPs saved": 1 - short.flops / whole.flops,
                     "published change of top-1": "better", "measured (points) [95 %]": told,
                     "networks": f"{before.n} and {after.n}"})
    return pd.DataFrame(rows)


def whole_and_truncated(pairs: pd.DataFrame, input_size: int, samples: int | None) -> tuple[Panels, list[Run]]:
    """Figure 65: VGG19, or the first network of which both are trained, whole and truncated. Returns panels, runs."""
    names = ["VGG19", *dict.fromkeys(pairs.label)]
    ready = [name for name in names if all(pairs.loc[pairs.label == name, "runs"].map(len))]
    shown, panels = pairs[pairs.label == (ready or names)[0]], {}
    for row in shown.itertuples():
        layers = measured_advice(row.model, at_full_width(row.options), input_size, row.runs, samples)
        tails = len(find_tails(layers.set_index("layer").saturation)) if row.runs else 0
        told = (f": {tails} tail{'s' * (tails != 1)}, average saturation {100 * layers.saturation.mean():.0f} %"
                if row.runs else "")
        panels[f"{row.label} {'truncated' if row.at else 'whole'}{told}"] = layers, accuracy(row.runs)
    return panels, [run for runs in shown.runs for run in runs]


def stems(pairs: pd.DataFrame, stemless: pd.DataFrame) -> pd.DataFrame:
    """Section 11.4: ResNets with their stem and without its down-sampling, printed beside counted and measured."""
    printed = published.dissertation("receptive_fields").pivot(index="network", columns="quantity", values="printed")
    whole = pairs[pairs["at"] == ""]
    runs = dict(zip(whole.label, whole.runs)) | dict(zip(stemless.label, stemless.runs))
    rows = []
    for label in ("ResNet18", "ResNet18, CIFAR stem", "ResNet34", "ResNet34, CIFAR stem"):
        sample = comparison.measured(runs[label])
        counted = complexity.count(grids.untrained(label), (3, 32, 32), "macs")
        rows.append({"network": label, "GFLOPs, published": printed.GFLOPs[label],
                     "GFLOPs, counted": counted.flops / 1e9,
                     "top-1, published (%)": printed.accuracy[label], "top-1, measured (%)": sample.mean,
                     "networks": sample.n})
    return pd.DataFrame(rows)


def proposals(table: pd.DataFrame, side: int, samples: int | None, *, probes: bool) -> pd.DataFrame:
    """What the advisor proposes for the trained widths of a network, with their saturations."""
    rows = []
    for row in table[table.runs.map(len) > 0].itertuples():
        layers = measured_advice(row.model, row.options, side, row.runs, samples, probes=probes)
        with torch.device("meta"):
            network = models.build(row.model, **row.options)
        found = propose(network, side, layers.set_index("layer").saturation.dropna())
        found.insert(0, "network", f"{row.label}, width {Fraction(row.factor)}")
        rows.append(found[found.proposal != "as it is"])
    columns = ["network", "proposal", "change", "reason", "params_saved", "flops_saved"]
    return pd.concat(rows)[columns] if rows else pd.DataFrame(columns=columns)

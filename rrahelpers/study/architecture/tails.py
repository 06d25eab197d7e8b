"""Sections 8.5, 9.1 and 9.2 of the dissertation and its appendices C to E: tails of stored networks, by image size.

A group of networks is [model, data set, options, image sizes], as in :mod:`rrahelpers.study.grids.probes`. ``advice``
is a table of :func:`rrahelpers.study.results.measured_advice`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pandas as pd

from rrahelpers.data.image_set import size_steps, size_text
from rrahelpers.study import published, results
from rrahelpers.study.architecture.probing import accuracy
from rrahelpers.study.figures import data_title, network_title
from rrahelpers.study.results import measured_advice
from rrahelpers.tails import find_tails
from rrahelpers.training.runs import Run

Panels = dict[str, tuple[pd.DataFrame, float | None]]  # {title: (advice, the network's accuracy)}


@cache
def own_side(data_set: str) -> int:
    """The side of a data set's images in pixels."""
    return results.pictures(data_set, count=8).images.shape[-1]


def side(data_set: str, size: int | list | None) -> int:
    """The side of what is to be seen, in pixels: that of the images before they are put on a canvas."""
    resized = [step for step in ([] if size is None else size_steps(size)) if isinstance(step, int)]
    return resized[-1] if resized else own_side(data_set)


def in_words(data_set: str, size: int | list | None) -> str:
    """An image size as text: "32 px on 64 px"."""
    return size_text(own_side(data_set) if size is None else size)


def panels(group: Sequence, runs: dict[str, list[Run]], samples: int | None) -> Panels:
    """A group's networks as :func:`rrahelpers.plots.architecture.network_panels` takes them.

    ``runs``: {image size in words: runs}, in the order of the group's sizes.
    """
    model, data_set, options, sizes = group
    network = f"{network_title(model, options)}, {data_title(data_set)}"
    return {f"{network}: {name}": (measured_advice(model, options, side(data_set, size), chosen, samples),
                                   accuracy(chosen))
            for size, (name, chosen) in zip(sizes, runs.items())}


def numbers(title: str, advice: pd.DataFrame, accuracy: float | None) -> dict[str, object]:
    """A network's tails, border layers and where its probes stop to gain, as a row of a table."""
    row: dict[str, object] = {"network": title, "accuracy": accuracy}
    for name in ("b_max", "b_min"):
        found = advice[advice.border.str.contains(name)]
        row[name] = str(found.conv.iloc[0]) if len(found) else "none"
    if accuracy is None:
        return row | {"tails": "not trained yet"}
    conv = advice.set_index("layer").conv
    numbered = {layer: layer if pd.isna(number) else str(number) for layer, number in conv.items()}
    saturation = advice.set_index("layer").saturation.dropna()
    tails = [f"{numbered[tail.first]} to {numbered[tail.last]} ({tail.lower:.0%} lower)"
             for tail in find_tails(saturation).itertuples()]
    probe = advice.set_index("layer").probe.dropna()
    best = probe.index[(probe >= probe.max() - 0.01).argmax()]
    return row | {"tails": "; ".join(tails) or "none", "probes within 1 point of the best from": numbered[best],
                  "average saturation": saturation.mean(), "probe halfway": probe.iloc[len(probe) // 2] / probe.max()}


def likeness(group: Sequence, shown: Panels) -> list[dict[str, object]]:
    """How alike the network on the canvas is to the other two, over the layers: a row for saturation, one for probes.

    ``shown``: :func:`panels` of the image alone, on a canvas, and enlarged.
    """
    model, data_set, options, _ = group
    alone, canvas, enlarged = (advice for advice, _ in shown.values())
    rows = []
    for measure in ("saturation", "probe"):
        both = [other[measure].corr(canvas[measure]) if canvas[measure].notna().any() else None
                for other in (alone, enlarged)]
        rows.append({"network": f"{network_title(model, options)}, {data_title(data_set)}", "measure": measure,
                     "correlation with the image alone": both[0], "correlation with the image enlarged": both[1],
                     "published": "more like the image alone"})
    return rows


def behind_border(kind: str, group: Sequence, advice: pd.DataFrame, own: float | None) -> dict[str, object]:
    """What probes do behind b_min (figure 69), as a row; ``kind``: of tail, as published, ``own``: accuracy."""
    row: dict[str, object] = {"published": kind, "network": network_title(group[0], group[2]), "the network": own,
                              "layers behind b_min": "not trained yet"}
    behind = advice[~advice.productive & advice.conv.notna()]
    if own is None or len(behind) <= 2:
        return row
    probe = behind.probe.dropna()
    steps = probe.diff().dropna()
    turns = (steps.to_numpy()[1:] * steps.to_numpy()[:-1] < 0).sum()
    return row | {"layers behind b_min": len(behind), "probe at the first of them": probe.iloc[0],
                  "lowest probe": probe.min(), "last probe": probe.iloc[-1],
                  "average step (points)": 100 * steps.abs().mean(),
                  "net change (points)": 100 * (probe.iloc[-1] - probe.iloc[0]),
                  "turns": f"{turns} of {len(steps) - 1}"}


def detail_table(measured: Sequence[tuple[Sequence, dict[str, list[Run]]]]) -> pd.DataFrame:
    """Table 10, printed beside measured: accuracies with less detail (B) and enlarged again (C) in percent of A's.

    ``measured``: groups of three image sizes, each with its runs by size.
    """
    rows = []
    for (model, data_set, _, sizes), runs in measured:
        names = dict(zip("ABC", (in_words(data_set, size) for size in sizes)))
        row = {"model": model, "data": data_title(data_set), "who": "measured", **names}
        found = {name: value for name, chosen in zip("ABC", runs.values()) if (value := accuracy(chosen)) is not None}
        if base := found.get("A"):
            row |= {"accuracy of A": base, **{f"{name} / A (%)": 100 * found[name] / base
                                              for name in "BC" if name in found}}
        rows.append(row)
    printed = published.dissertation("resolution").rename(columns={"less_detail": "B / A (%)", "enlarged": "C / A (%)"})
    printed = printed.assign(who="published", A="224 px", B="32 px", C="32 px to 224 px")
    columns = ["model", "data", "who", "A", "B", "C", "accuracy of A", "B / A (%)", "C / A (%)"]
    return (pd.concat([pd.DataFrame(rows), printed], ignore_index=True).reindex(columns=columns)
            .sort_values(["model", "who"], ignore_index=True))

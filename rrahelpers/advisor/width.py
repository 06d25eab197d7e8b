"""The width that a network's saturation speaks for (dissertation, 11.3), once its depth is put right."""

from __future__ import annotations

import math

import pandas as pd
import torch
from torch import nn

from rrahelpers import complexity
from rrahelpers.advisor.tail import Tail
from rrahelpers.base.modules import named_layers, own_parameters
from rrahelpers.tails import find_tails

BEST_SATURATION = (0.2, 0.3)  # averages at which networks did best (section 11.3)
NARROW = "more channels are likely to be more accurate (11.3)"
WIDE = "fewer channels are likely to be as accurate for less (11.3)"
SINGLE = ("Single layers are not scaled: their saturation is disturbed by 1x1 convolutions, down-sampling and "
          "shortcuts, and a tail could be hidden (11.3).")


def width_row(model: nn.Module, table: pd.DataFrame, shape: tuple[int, int, int], saturations: pd.Series,
              tail: Tail | None, convention: str) -> list[dict[str, object]]:
    """The proposal "scale the width", towards an average saturation of 25 %, or none.

    Depth comes first: the average is that of the layers before the ``tail``. The source gives no formula: here the
    number of principal components is taken to stay as it is, so that saturation is inverse to width. FLOPs, parameters
    and memory are those of the layers at that width, without rounding to whole channels.

    ``model`` on the device "meta". The reason warns where the premises of 11.3 fail: that the network is a pyramid
    (fewer places, no fewer channels, from stage to stage), and that its saturation is distributed evenly.
    """
    kept = saturations
    if tail:
        order = list(dict.fromkeys(table["layer"]))
        kept = saturations[[order.index(layer) < order.index(tail.layer) for layer in saturations.index]]
    average, (low, high) = kept.mean(), BEST_SATURATION
    if not average > 0 or low <= average <= high:
        return []
    factor = average / (sum(BEST_SATURATION) / 2)
    with torch.device("meta"):
        costs = complexity.per_layer(model, shape, convention)
    what = f"{len(kept)} layers before {tail.layer}" if tail else f"{len(kept)} layers"
    reason = [f"Average saturation of {what} {average:.0%}, {'above' if average > high else 'below'} {low:.0%} to "
              f"{high:.0%}: {NARROW if average > high else WIDE}.", SINGLE, *_failed_premises(table, costs, kept)]
    return [{"proposal": "scale the width", "change": f"by {factor:.2g}", "border": None, "reason": " ".join(reason),
             "input_size": f"{shape[1]}x{shape[2]}", **_scaled(model, costs, factor)}]


def _failed_premises(table, costs, saturations):
    rows = table[table["conv"].notna() & ~table["layer"].str.endswith("()")]
    channels = rows["layer"].map(costs.drop_duplicates("layer").set_index("layer")["output_shape"]).str[0]
    places = rows["sides"].map(lambda sides: math.prod(map(int, sides.split("x"))) if sides else 1)
    stages = channels.groupby(places).max().sort_index(ascending=False)  # from the largest maps on
    if not (places.is_monotonic_decreasing and stages.is_monotonic_increasing):
        yield "Caution: the network is no pyramid, for which this rule was found (11.3)."
    if len(found := find_tails(saturations)):
        tail = found.iloc[0]
        yield (f"Caution: saturation is uneven, {tail['value']:.0%} from {tail['first']} to {tail['last']} and "
               f"{tail['rest']:.0%} elsewhere, and the rule was found where it is even (11.3).")


def _scaled(model, table, factor):
    """Matrices cost the square of the factor; the factor itself where one side is fixed or channels are apart."""
    matrices = {name: [p for p in own_parameters(layer) if p.ndim > 1 and min(p.shape[:2]) > 1]
                for name, layer in named_layers(model).items()}
    weighted = [name for name in table["layer"][table["output_shape"].notna()] if matrices[name]]
    grown = {name: found for name, found in matrices.items() if name not in (*weighted[:1], *weighted[-1:])}
    squared = {id(p) for found in grown.values() for p in found}
    flops = table["flops"] * [factor**2 if grown.get(name) else factor for name in table["layer"]]
    params = sum(p.numel() * (factor**2 if id(p) in squared else factor) for p in model.parameters())
    return {"params": round(params), "flops": round(flops.sum()), "memory": round(factor * table["memory"].sum())}

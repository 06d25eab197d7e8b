"""The idle layers at a network's output, predicted or measured, and those at its input, which are measured alone."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from rrahelpers.receptive_field import beyond_border
from rrahelpers.tails import find_tails


class Tail(NamedTuple):
    """``layer``: the convolution at which it begins; ``reason``: what tells; ``sides`` (h, w) in pixels: an object of
    this size would let receptive fields predict it."""

    layer: str
    reason: str
    sides: tuple[int, int]


def tail_of(table: pd.DataFrame, sides: tuple[int, int], saturations: pd.Series) -> Tail | None:
    """The tail from b_min on, for objects of ``sides``, or that in the saturations where it begins earlier.

    A measured tail counts where it reaches the last convolution that was measured. The dissertation's 9.2 explains one
    that isn't predicted by objects smaller than the image: so small that the layer before it sees them whole.
    """
    beyond = beyond_border(table, sides)
    predicted = None
    if beyond.any():
        predicted = Tail(table["layer"][beyond.idxmax()], f"{beyond.sum()} of {len(beyond)} convolutions get more than "
                         f"{sides[0]}x{sides[1]} pixels already: they are predicted to be idle (9.3, 10.2).", sides)
    rows, found = _measured(table, saturations)
    if found.empty or found["last"].iloc[-1] != rows["layer"].iloc[-1]:
        return predicted
    tail = found.iloc[-1]
    told = (f"From {tail['first']} on, {tail['length']} convolutions have an average saturation of "
            f"{tail['value']:.0%}, the others {tail['rest']:.0%}: a tail (8.5.2).")
    start = rows.index[rows["layer"] == tail["first"]][0]
    if predicted and beyond.idxmax() <= start:
        return predicted._replace(reason=f"{predicted.reason} {told}")
    at = table.loc[start]
    return Tail(tail["first"], f"{told} It can be cut off and the network trained again, or only the new classifier on "
                "the trained stump, which is a probe (9.5.2).",
                (min(sides[0], int(at["r_border_in_h"]) - 1), min(sides[1], int(at["r_border_in_w"]) - 1)))


def front_tail(saturations: pd.Series, table: pd.DataFrame) -> str:
    """What the saturations tell of a tail at the input, or ""."""
    rows, found = _measured(table, saturations)
    if found.empty or found["first"].iloc[0] != rows["layer"].iloc[0]:
        return ""
    tail = found.iloc[0]
    return (f"The first {tail['length']} convolutions, up to {tail['last']}, have an average saturation of "
            f"{tail['value']:.0%}, the others {tail['rest']:.0%}: a tail at the input, as of images that are too large "
            "(figures 50c and 70 to 74).")


def _measured(table, saturations):
    """The measured convolutions of the main path, and the tails among them."""
    rows = table[table["conv"].notna() & table["layer"].isin(saturations.index)]
    rows = rows.drop_duplicates("layer")
    if rows.empty:
        return rows, pd.DataFrame()
    return rows, find_tails(saturations[rows["layer"]])

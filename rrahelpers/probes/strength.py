"""Whether a probe overfits, and the strength of the penalty with which it doesn't."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rrahelpers.base.arrays import check_labels, place_in_class

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Features, Labels

HELD_OUT = 10  # every tenth training sample of each class tells between penalties
CLEARLY = 2  # standard errors of a difference


def choose(fit: Callable, x: Features, y: Labels, strengths: Iterable[float]) -> float:
    """The strength among some with which a probe scores best on every tenth training sample of each class, fitted
    without these. (Of each class: data sets come in orders, and every tenth of all may be of one class.)

    Parameters
    ----------
    fit: ``fit(x, y, x_test, y_test, C=…)``, as :func:`rrahelpers.probes.fit_probe`.
    x, y: features [N, …] and labels [N] of the training samples; test samples have no say.
    strengths: values of C. Of those that score alike the smallest is taken, the strongest penalty.

    Raises ``ValueError`` where fewer than two classes have as many samples as leave one for either part.
    """
    known = check_labels(y, len(y))
    held = (place_in_class(known) % HELD_OUT == HELD_OUT - 1).cpu().numpy()
    if len(known[held].unique()) < 2:
        counts = sorted(known.unique(return_counts=True)[1].tolist(), reverse=True)
        raise ValueError(f"choosing C needs at least {HELD_OUT} training samples in each of two classes, of which "
                         f"every {HELD_OUT}th is held out; got {counts[:2]} in the two largest. Give one C")
    scores = {C: fit(x[~held], known[~held], x[held], known[held], C=C).accuracy for C in sorted(strengths)}
    return max(scores, key=lambda C: scores[C])


def overfitted(table: pd.DataFrame, tested: int) -> pd.Series:
    """Whether a probe scores clearly worse than one of the same layer that knows less: a flag for each row.

    A probe on fewer places or features, or with a smaller C, can't know more. Where it scores higher on test samples by
    more than two standard errors of the difference, the other is overfitted, and says less of the layer than of itself.

    Parameters
    ----------
    table: of :func:`rrahelpers.probes.each_probe`, or several of them, one below the other: ``layer``, ``features``,
        ``value``, and ``C`` where several were tried.
    tested: test samples behind each ``value``.

    Returns a boolean Series by the table's index.
    """
    strength = table["C"] if "C" in table else np.ones(len(table))
    table = table.assign(C=strength, variance=table["value"] * (1 - table["value"]) / tested)

    def flag(row):
        others = table[(table["layer"] == row["layer"]) & (table["features"] <= row["features"])
                       & (table["C"] <= row["C"])]
        gain = others["value"] - row["value"]
        return bool((gain > CLEARLY * (others["variance"] + row["variance"]) ** 0.5).any())

    return table.apply(flag, axis=1, result_type="reduce").astype(bool)

"""Classifiers in the eigenspaces of their layers: chapter 7 of the dissertation, figure 43 and what its text says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import nn

from rrahelpers.study.figures import network_title
from rrahelpers.study.results import projected_accuracy_table, projected_layers
from rrahelpers.training.runs import Run

COLUMNS = ["network", "run", "delta", "subspace", "draw", "dimensions", "accuracy", "difference", "relative", "seed"]
STATEMENTS = (  # of section 7.3: subspace, δ (None: the smallest with half of the accuracy), what is printed
    ("random", 0.96, "guessing"), ("random", 0.99, "rapid decay, above 99 % already"),
    ("eigenspace", 0.9, "some networks still above guessing"), ("eigenspace", 0.99, "slow decay over the whole range"),
    ("eigenspace", None, ""), ("random", None, ""),
)
NAMES = {"eigenspace": "eigenspaces", "random": "random subspaces"}


def dimensions(network: nn.Module) -> int:
    """Dimensions of all projected layers together."""
    return sum(len(network.get_parameter(f"{name}.weight")) for name in projected_layers(network))


def accuracies(runs: Sequence[Run], samples: int | None, deltas: Sequence[float],
               test_samples: int | None) -> pd.DataFrame:
    """Accuracy of some runs' networks at every threshold, in eigenspaces and in random subspaces.

    Rows of :func:`rrahelpers.study.results.projected_accuracy_table` with ``network`` (its title) and ``run``.
    """
    tables = []
    for run in runs:
        table = projected_accuracy_table(run, samples, deltas, test_samples=test_samples)
        tables.append(table.assign(network=network_title(run.config.model, run.config.options), run=run.name))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def statements(table: pd.DataFrame, deltas: Sequence[float], chance: float | None) -> pd.DataFrame:
    """What section 7.3 says in words, beside the relative accuracies measured.

    ``table``: of :func:`accuracies`, of the networks of figure 43; ``deltas``: of the profile; ``chance``: relative
    accuracy of guessing, None where no network is trained.
    """
    rows = []
    for subspace, delta, printed in STATEMENTS:
        part = table[table.subspace == subspace]
        if delta is None:
            rows.append((f"smallest δ with half of the accuracy, {NAMES[subspace]}", printed, _half_way(part)))
        else:
            rows.append((f"{NAMES[subspace]} at δ = {delta:.0%}".replace("%", " %"), printed,
                         _level(part, delta, deltas, chance)))
    return pd.DataFrame(rows, columns=["statement", "published", "measured, relative accuracy"])


def _level(part, delta, deltas, chance):
    """Mean relative accuracy at a threshold, with that of the lowest and of the highest network."""
    chosen = part[np.isclose(part.delta.astype(float), delta)]
    if chosen.empty:
        return "not trained yet" if delta in deltas else "not in this profile"
    values = chosen.groupby("network").relative.mean()
    return f"{values.mean():.2f} ({values.min():.2f} to {values.max():.2f}; guessing: {chance:.2f})"


def _half_way(part):
    """The smallest threshold whose mean is above half of the unprojected accuracy."""
    if part.empty:
        return "not trained yet"
    curve = part.groupby("delta").relative.mean()
    return f"{curve[curve > 0.5].index.min():g}" if (curve > 0.5).any() else "none of them"

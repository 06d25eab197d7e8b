"""The advisor's table of a network with what its stored runs measured: figures 52 to 65 of the dissertation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import torch

from rrahelpers import models
from rrahelpers.advisor import advise
from rrahelpers.features import layer_names
from rrahelpers.study.results.eigenspaces import saturation_table
from rrahelpers.study.results.probes import probe_table
from rrahelpers.training.runs import Run

if TYPE_CHECKING:
    from rrahelpers.base.shapes import InputSize


def measured_advice(model: str, options: dict, input_size: InputSize, runs: Sequence[Run], samples: int | None, *,
                    probes: bool = True) -> pd.DataFrame:
    """:func:`rrahelpers.advisor.advise` of a network's main path, with the saturations and probes of its stored runs.

    Parameters
    ----------
    model, options: of ``models.build``; receptive fields and costs are of this network.
    input_size: as for ``advise``.
    runs: runs (:class:`rrahelpers.training.runs.Run`) of networks with the same layers, of any width; measurements are
        the mean over them. None at all: the table has receptive fields and costs alone.
    samples: the first training images, and test images at most, that probes see (None: all); saturation is of that
        many test images.
    probes: whether to fit probes too, which takes longest.

    Returns ``advise``'s columns for the layers of :func:`rrahelpers.features.layer_names`: without shortcuts'
    projections and attention. What the store lacks is computed and stored.
    """
    with torch.device("meta"):
        network = models.build(model, **options)
    layers = layer_names(network)
    saturations = [saturation_table(run, samples).rename(columns={"saturation": "value"}) for run in runs]
    accuracies = [probe_table(run, samples) for run in runs] if probes else []
    advice = advise(network, input_size, *(_of(layers, tables) for tables in (saturations, accuracies)))
    return advice[advice["layer"].isin(layers)].reset_index(drop=True)


def _of(layers, tables):
    """The rows of some layers in several tables, or None without tables."""
    table = pd.concat(tables) if tables else None
    return None if table is None else table[table["layer"].isin(layers)]

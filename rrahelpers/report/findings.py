"""A report as those see it who tell or draw it: :class:`rrahelpers.report.Report` itself calls them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch

from rrahelpers.neighbors import KNNGraph


@dataclass(eq=False, repr=False)
class Findings:
    """What a :class:`rrahelpers.report.Report` holds, which says what each is."""

    layers: pd.DataFrame
    scales: pd.DataFrame
    pairs: pd.DataFrame
    advice: pd.DataFrame
    notes: list[str]
    about: dict[str, Any]
    graphs: dict[str, dict[str, KNNGraph]] = field(default_factory=dict)
    grams: dict[str, torch.Tensor] = field(default_factory=dict)
    pictures: torch.Tensor | None = None
    labels: torch.Tensor | None = None
    dimensions: pd.DataFrame | None = None
    ablations: pd.DataFrame | None = None

    def finest(self, layer: str) -> KNNGraph:
        """The neighbour graph of a layer at the finest scale that was searched."""
        return self.graphs[layer][self.layers.set_index("layer").loc[layer, "finest"]]

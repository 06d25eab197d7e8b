"""A report as those see it who tell or draw it: :class:`rrahelpers.report.Report` itself calls them."""

from typing import Any, Protocol

import pandas as pd
import torch

from rrahelpers.neighbors import KNNGraph


class Findings(Protocol):
    """What a :class:`rrahelpers.report.Report` holds, which says what each is."""

    layers: pd.DataFrame
    scales: pd.DataFrame
    pairs: pd.DataFrame
    advice: pd.DataFrame
    notes: list[str]
    about: dict[str, Any]
    graphs: dict[str, dict[str, KNNGraph]]
    grams: dict[str, torch.Tensor]
    pictures: torch.Tensor | None
    labels: torch.Tensor | None
    ablations: pd.DataFrame | None

    def finest(self, layer: str) -> KNNGraph: ...

"""What the attention of a trained STAC network lets through: the gates of the last block of each stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from rrahelpers.features import extract
from rrahelpers.training.runs import Run

if TYPE_CHECKING:
    from rrahelpers.base.shapes import MapTensor, Pixels


def last_gates(run: Run, images: Pixels) -> dict[int, MapTensor]:
    """{stage, from 1: gates [N, C, H, W] in (0, 1)} of some images, in a network of standard placement."""
    model = run.model()
    layers = [f"stages.{i}.{len(list(stage.children())) - 1}.standard.expand"
              for i, stage in enumerate(model.get_submodule("stages").children())]
    return dict(enumerate(extract(model, run.preprocess(images), layers).values(), start=1))


def spreads(gates: dict[int, MapTensor]) -> pd.DataFrame:
    """How far gates differ: the deviation over channels (of the means), over images, and over places; a row a stage."""
    return pd.DataFrame([{"stage": stage, "mean gate": gate.mean().item(),
                          "spread over channels": gate.mean((0, 2, 3)).std().item(),
                          "spread over images": gate.mean((2, 3)).std(0).mean().item(),
                          "spread over places": gate.std((2, 3), correction=0).mean().item()}
                         for stage, gate in gates.items()])

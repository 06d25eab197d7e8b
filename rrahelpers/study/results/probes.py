"""Probes of stored runs: each layer's table is stored by itself."""

from collections.abc import Sequence
from typing import overload

import pandas as pd
import torch

from rrahelpers.base.devices import default_device
from rrahelpers.data import SPLITS
from rrahelpers.features import each_layer, layer_names
from rrahelpers.probes import each_probe, probe_positions
from rrahelpers.training.runs import Run


@overload
def probe_table(run: Run, samples: int | None, *, layers: Sequence[str] | None = ..., sizes: Sequence[int] = ...,
                pooling: str = ..., C: float | Sequence[float] = ..., classifier: str = ...) -> pd.DataFrame: ...


@overload
def probe_table(run: Run, samples: int | None, *, layers: Sequence[str] | None = ..., sizes: Sequence[int] = ...,
                pooling: str = ..., C: float | Sequence[float] = ..., classifier: str = ...,
                compute: bool) -> pd.DataFrame | None: ...


def probe_table(run: Run, samples: int | None, *, layers: Sequence[str] | None = None, sizes: Sequence[int] = (4,),
                pooling: str = "average", C: float | Sequence[float] = 1.0, classifier: str = "logistic",
                compute: bool = True) -> pd.DataFrame | None:
    """Probes on the layers of a run's network, fitted on its first training images and scored on the first test images.

    Parameters
    ----------
    run: a :class:`rrahelpers.training.runs.Run`.
    samples: images of each split, at most; None for all.
    layers: names; default :func:`rrahelpers.features.layer_names`.
    sizes, pooling, C, classifier: as for :func:`rrahelpers.probes.each_probe`.

    Returns the columns of :func:`rrahelpers.probes.each_probe` and ``seed``. Every layer is stored as soon as it is
    fitted. Where the store lacks one it is fitted, or, without ``compute``, None is returned.
    """
    if layers is None:
        with torch.device("meta"):  # the names need no weights
            layers = layer_names(run.untrained())

    def stored(layer, compute=None):
        parameters = {"layer": layer, "samples": samples, "sizes": list(sizes), "pooling": pooling,
                      "C": list(C) if isinstance(C, tuple) else C}
        if classifier != "logistic":  # what is stored keeps its name
            parameters["classifier"] = classifier
        return run.result("probes", parameters, compute)

    tables = {layer: stored(layer) for layer in layers}
    missing = [layer for layer in layers if tables[layer] is None]
    if missing:
        if not compute:
            return None
        (x, y), (x_test, y_test) = (run.inputs(split, samples) for split in SPLITS)
        for table in each_probe(run.model(default_device()), x, y, x_test, y_test, missing, sizes=sizes,
                                pooling=pooling, C=C, classifier=classifier):
            tables[table.layer[0]] = stored(table.layer[0], lambda: table)
    numbered = [table.assign(index=index) for index, table in enumerate(tables.values())]
    return pd.concat(numbered, ignore_index=True).assign(seed=run.config.seed)


def position_table(run: Run, layer: str, samples: int | None, *, C: float = 1.0,
                   compute: bool = True) -> pd.DataFrame | None:
    """A probe for each place of one layer's map: :func:`rrahelpers.probes.probe_positions` with ``layer`` and ``seed``.

    ``samples``, ``compute``: as for :func:`probe_table`.
    """
    def measure():
        (x, y), (x_test, y_test) = (run.inputs(split, samples) for split in SPLITS)
        model = run.model(default_device())
        maps, test_maps = (next(each_layer(model, images, [layer]))[1] for images in (x, x_test))
        return probe_positions(maps, y, test_maps, y_test, C=C)

    table = run.result("probe-positions", {"layer": layer, "samples": samples, "C": C}, measure if compute else None)
    return None if table is None else table.assign(layer=layer, seed=run.config.seed)

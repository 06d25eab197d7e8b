"""What an analysis answers: one table of all layers, and all that is shown of them; kept in a folder without pickle."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import nn

from rrahelpers.base.files import atomic, write_json
from rrahelpers.neighbors import KNNGraph
from rrahelpers.report.findings import Findings

if TYPE_CHECKING:
    from rrahelpers.report.comparison import Comparison
    from rrahelpers.report.source import Source

FORMAT = 1  # raised when a folder is written in another form
TABLES = ("layers", "scales", "pairs", "advice", "dimensions", "ablations")


class ReportError(Exception):
    """A stored report that is missing, damaged or of another version; the message says what to do."""


@dataclass(eq=False, repr=False)
class Report(Findings):
    """What each layer of a network contributes, as :func:`rrahelpers.report.analyse` measured it.

    ``layers``: one row for each layer. ``layer``, ``index``; ``type``, ``shape`` and ``activation`` (bytes) of its
    answer to one image, ``params``, ``flops``; ``path``, ``r_min``, ``r_max``, ``border``, ``productive`` as
    :func:`rrahelpers.advisor.advise` has them; ``class_similarity_1``, ``…_2`` to ``…_global`` at each scale,
    ``class_similarity`` at the ``best_scale``; at the ``finest`` scale that was searched ``separation_index``,
    ``intrinsic_dimension`` and NNTS to the images, to the layer before and to the last one (``nnts_input``,
    ``nnts_before``, ``nnts_output``); ``saturation``, ``in_tail``; ``probe`` and ``probe_train``, accuracies of a
    linear probe on other images and on its own. Missing where ``notes`` say why.

    ``scales``: class similarity of each layer and scale (layer, index, scale, value). ``pairs``: NNTS of all pairs of
    layers (i, j, value). ``dimensions``: intrinsic dimension of each layer over distances, at its ``finest`` scale
    (layer, index, and as :func:`rrahelpers.intrinsic_dimension.gride`), or None. ``advice``: the proposals of
    :func:`rrahelpers.advisor.propose` with their costs. ``notes``: what is missing, and why. ``about``: model, data and
    where the numbers come from. ``graphs``: {layer: {scale: KNNGraph}}, of a loaded report without distances (NaN).
    ``grams``: {layer: Gram matrix of the first 256 images}. ``pictures``: small ones of all images, uint8
    [N, C, h, w], or None. ``labels``: int64 [N], or None. ``ablations``: None until :meth:`ablation` was called.
    """

    source: Source | None = None
    model: nn.Module | None = None

    def __repr__(self) -> str:
        return (f"Report of {self.about['model']}: {len(self.layers)} layers, {self.about['images']} images of "
                f"{self.about['data']}\n{self.summary()}")

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.summary())}</p>{self.layers.to_html(index=False, na_rep='', max_rows=60)}"

    def summary(self) -> str:
        """Five sentences on this network, each with its number."""
        from rrahelpers.report.summary import sentences

        return "\n".join(sentences(self))

    def ablation(self, layers: list[str] | None = None, *, labels: str | None = None, samples: int | None = None,
                 progress: bool = True) -> pd.DataFrame:
        """The accuracy that is lost without a layer: see :func:`rrahelpers.report.ablation.ablate`. It is kept in
        ``ablations``, and as the column ``lost`` of ``layers`` where a layer was replaced by its mean.

        ``labels="own"``: for a network whose outputs aren't the classes of the data; what is lost is then the share of
        its answers that change. Raises ``ValueError`` for a report without labels, for one that was loaded (it has no
        network), and where the network's outputs aren't the classes of the data.
        """
        from rrahelpers.report.ablation import ablate

        if self.model is None or self.source is None:
            raise ValueError("a stored report has neither network nor images: call analyse again, and ablation on that")
        table = ablate(self.model, self.source.images, self.labels if labels is None else labels,
                       layers or list(self.layers["layer"]),
                       samples=samples, outputs=self.source.outputs, progress=progress)
        self.ablations = table
        means = table[table["how"] == "mean"].set_index("layer")["lost"]
        self.layers["lost"] = self.layers["layer"].map(means).astype(float)
        return table

    def compare(self, other: Report) -> Comparison:
        """Two networks, or two states of one, layer by layer: see :func:`rrahelpers.report.comparison.compare`."""
        from rrahelpers.report.comparison import compare

        return compare(self, other)

    def explore(self) -> Any:
        """The explorer of layers, scales and neighbours, to be shown in a notebook: a click on a point selects it.

        Raises ``ValueError`` for a report without pictures (images of other than one or three channels) or without
        neighbours.
        """
        from IPython.display import HTML

        from rrahelpers.report.explorer import frame

        if self.pictures is None or not self.graphs:
            raise ValueError("this report has no pictures, or no neighbours: there is nothing to explore")
        return HTML(frame(self))

    def to_html(self, path: str | Path) -> Path:
        """Write everything as one page that needs no other file and no network: see
        :func:`rrahelpers.report.page.page`. Returns its path."""
        from rrahelpers.report.page import page

        with atomic(path) as temporary:
            temporary.write_text(page(self), encoding="utf-8")
        return Path(path)

    def save(self, folder: str | Path) -> Path:
        """Write the report into a folder (made if it isn't there): tables as Parquet, the layers as CSV too, the rest
        as JSON and safetensors. Small pictures and who is whose neighbour are kept; the model, the images and the
        neighbours' distances aren't. Returns the folder."""
        from safetensors.torch import save_file

        folder = Path(folder)
        for name in TABLES:
            table = getattr(self, name)
            if table is not None:
                with atomic(folder / f"{name}.parquet") as temporary:
                    table.to_parquet(temporary)
        with atomic(folder / "layers.csv") as temporary:
            self.layers.to_csv(temporary, index=False)
        with atomic(folder / "graphs.safetensors") as temporary:
            save_file(self._tensors(), temporary)
        write_json(folder / "report.json", {
            "format": FORMAT, "tables": [name for name in TABLES if getattr(self, name) is not None],
            "notes": list(self.notes), "about": self.about,
            "scales": {layer: list(graphs) for layer, graphs in self.graphs.items()}})
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Report:
        """A report that :meth:`save` wrote. Raises :class:`ReportError` for a folder that holds none, or a damaged
        one."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        folder = Path(folder)
        try:
            stored = json.loads((folder / "report.json").read_text(encoding="utf-8"))
            if stored.get("format") != FORMAT:
                raise ReportError(f"{folder}: expected a report of format {FORMAT}, got {stored.get('format')!r}; "
                                  "analyse the network again")
            tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in stored["tables"]}
            tensors = load_file(folder / "graphs.safetensors")
            graphs = {layer: {scale: _graph(tensors[f"indices/{layer}/{scale}"]) for scale in scales}
                      for layer, scales in stored["scales"].items()}
            grams = {layer: tensors[f"gram/{layer}"] for layer in graphs if f"gram/{layer}" in tensors}
            return cls(**tables, notes=stored["notes"], about=stored["about"], graphs=graphs, grams=grams,
                       pictures=tensors.get("pictures"), labels=tensors.get("labels"))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ReportError(f"{folder} holds no report that can be read ({error}); expected a folder that "
                              "Report.save wrote") from error

    def _tensors(self):
        found = {"indices": torch.empty(0)}  # a file needs one
        found |= {f"gram/{layer}": gram.contiguous() for layer, gram in self.grams.items()}
        for layer, graphs in self.graphs.items():
            for scale, graph in graphs.items():
                small = torch.int16 if len(graph) <= 2**15 else torch.int32
                found[f"indices/{layer}/{scale}"] = graph.indices.to(small)
        given = {"pictures": self.pictures, "labels": self.labels}
        return found | {name: value.contiguous() for name, value in given.items() if value is not None}


def _graph(indices):
    """A stored graph, whose distances are not known any more."""
    return KNNGraph(indices.long(), torch.full(indices.shape, torch.nan))

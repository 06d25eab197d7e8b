"""Saturation while a network trains (dissertation 6.1 and 8.1)."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import pandas as pd
from torch import nn

from rrahelpers.base.arrays import is_whole
from rrahelpers.base.files import atomic
from rrahelpers.base.modules import layer_list
from rrahelpers.eigenspace.covariance import Covariance
from rrahelpers.eigenspace.layers import attach, recomputing, weighted_layers
from rrahelpers.eigenspace.spectrum import DELTA, check_delta, describe

if TYPE_CHECKING:
    from rrahelpers.base.shapes import FeatureAxes

COLUMNS = ("epoch", "split", "layer", "index", "features", "observations", "intrinsic_dimension", "saturation", "trace")
EXTENDED = ("diagonal_trace", "log_determinant")


class Writer(Protocol):
    """What a tracker writes to: TensorBoard's ``SummaryWriter``, or anything with that one method."""

    def add_scalar(self, tag: str, value: float, step: int) -> object: ...


class SaturationTracker:
    """Follows the covariance of every weighted layer's output through a training loop, which gets two more lines::

        with SaturationTracker(model) as tracker:
            for epoch in range(epochs):
                ...                   # train, then evaluate, as ever
                tracker.end_epoch()
        tracker.table

    What runs while ``model.training`` is set counts as training, the rest as validation. The hooks are gone after the
    ``with``, also when the loop raises, and nothing is written onto the model. What has run since the last
    ``end_epoch`` becomes an epoch of its own at the end: a single evaluation inside the ``with`` needs no other line.

    Parameters
    ----------
    model: any ``nn.Module`` on any device; where it is wrapped for several of them, the wrapped module itself.
    layers: names; default all convolutional, linear and recurrent layers.
    delta: share of the variance that defines saturation.
    extended: whether to compute what needs all eigenvalues as well, see :func:`describe`.
    every, batches: take every n-th batch, and at most so many in an epoch's split; default all. A batch is one call of
        ``model``.
    side: take at most so many places along each side of a feature map, evenly spread; default all.
    csv: path of a file that holds the table after each epoch; a warning where it can't be written.
    writer: any object with TensorBoard's ``add_scalar(tag, value, step)``.
    plot: whether to draw saturation in a notebook after each epoch (needs matplotlib and IPython).
    axis: {layer: axis of its features, 1 or -1}, where it isn't known.

    ``covariances`` is {split: {layer: :class:`Covariance`}} of the running epoch. Memory: 8 D² bytes for a layer with D
    features, in each split.

    A layer with NaN or infinite outputs gets a warning and has no saturation (NaN) in that epoch. A layer that changes
    its number of features raises ``ValueError``, one without a tensor to look at ``TypeError``. What else raises is
    told in :func:`rrahelpers.base.modules.check_model`; what ``torch.compile`` gives is followed from its first call.
    """

    def __init__(self, model: nn.Module, layers: Iterable[str] | None = None, *, delta: float = DELTA,
                 extended: bool = False, every: int = 1, batches: int | None = None, side: int | None = None,
                 csv: str | Path | None = None, writer: Writer | None = None, plot: bool = False,
                 axis: FeatureAxes | None = None) -> None:
        for name, value in {"every": every, "batches": batches, "side": side}.items():
            if value is not None and not is_whole(value):
                raise ValueError(f"expected {name} to be a positive whole number, got {value!r}")
        if writer is not None and not callable(getattr(writer, "add_scalar", None)):
            raise TypeError(f"expected a writer with add_scalar(tag, value, step), got {type(writer).__name__}")
        if plot:
            import IPython.display  # noqa: F401
            import matplotlib.pyplot  # noqa: F401  # missing: now rather than after an epoch
        self.model, self.delta, self.extended = model, check_delta(delta), extended
        self.layers = weighted_layers(model) if layers is None else layer_list(layers)
        self.every, self.batches, self.side, self.axis = every, batches, side, axis
        self.csv, self.writer, self.plot = csv, writer, plot
        self.epoch, self._display, self._lock = 0, None, threading.Lock()
        self._rows: list[dict[str, object]] = []
        self._order: dict[str, int] = {}
        self._hooks: contextlib.ExitStack | None = None
        self._begin()

    @property
    def table(self) -> pd.DataFrame:
        """A row for each epoch (from 1), split ("train", "validation") and layer.

        Columns: ``epoch``, ``split``, ``layer``, ``index`` (in the order of the first forward pass), and those of
        :func:`describe`.
        """
        return pd.DataFrame(self._rows, columns=[*COLUMNS, *EXTENDED] if self.extended else COLUMNS)

    def __enter__(self) -> Self:
        if self._hooks is not None:
            raise RuntimeError("this tracker is at work already")
        self._begin()  # an epoch that an error broke off is no part of the next
        self._hooks = attach(self.model, self.layers, self._record, self.axis)
        self._hooks.callback(self.model.register_forward_pre_hook(self._count).remove)
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        hooks, self._hooks = self._hooks, None
        if hooks is not None:
            hooks.close()
        if error is None and (any(self.covariances.values()) or self.epoch == 0):
            self.end_epoch()

    def end_epoch(self) -> pd.DataFrame:
        """Close the epoch: compute its rows, write and draw what was asked for, begin the next. Returns the rows."""
        self.epoch += 1
        rows = [self._row(split, name, covariances[name]) for split, covariances in self.covariances.items()
                for name in sorted(covariances, key=self._order.__getitem__)]
        if not rows:
            warnings.warn(f"no tracked layer ran in epoch {self.epoch}; is this the model that the loop calls? (After "
                          "torch.compile, its first call must come within the tracker's with.)", stacklevel=2)
        elif self.epoch == 1 and (idle := [name for name in self.layers if name not in self._order]):
            warnings.warn(f"not called as modules, so without saturation: {', '.join(idle)}", stacklevel=2)
        self._rows += rows
        self._begin()
        self._publish(rows)
        return self.table[self.table.epoch == self.epoch].reset_index(drop=True)

    def _begin(self):
        self.covariances = {"train": {}, "validation": {}}
        self._calls, self._due = dict.fromkeys(self.covariances, 0), True

    def _split(self):
        return "train" if self.model.training else "validation"

    def _count(self, *_):
        if recomputing():
            return
        call = self._calls[self._split()]
        self._calls[self._split()] += 1
        self._due = call % self.every == 0 and (self.batches is None or call // self.every < self.batches)

    def _record(self, name, x, axis):
        if not self._due or recomputing():
            return
        if self.side is not None:
            places = [slice(None, None, -(-size // self.side)) for size in x.shape[axis % x.ndim + 1:]]
            x = x[(..., *places)]
        with self._lock:  # replicas of a model run in threads
            self._order.setdefault(name, len(self._order))
            self.covariances[self._split()].setdefault(name, Covariance(x.shape[axis])).update(x, axis)

    def _row(self, split, name, covariance):
        row = {"epoch": self.epoch, "split": split, "layer": name, "index": self._order[name]}
        try:
            return row | describe(covariance, self.delta, self.extended)
        except ValueError as error:
            warnings.warn(f"layer {name!r}, epoch {self.epoch}, {split}: {error}; no saturation there", stacklevel=3)
            return row | {"features": covariance.dim, "observations": covariance.observations}

    def _publish(self, rows):
        if self.csv is not None:
            try:
                with atomic(self.csv) as temporary:
                    self.table.to_csv(temporary, index=False)
            except OSError as error:  # a full disk is no reason to end the user's training
                warnings.warn(f"cannot write {self.csv} ({error}); the table has the rows all the same", stacklevel=3)
        if self.writer is not None:
            for row in rows:
                value = row.get("saturation", float("nan"))
                self.writer.add_scalar(f"saturation/{row['split']}/{row['layer']}", value, self.epoch)
        if self.plot and rows:
            self._draw()

    def _draw(self):
        import matplotlib.pyplot as plt
        from IPython.display import display

        from rrahelpers.plots.eigenspace import training_figure

        figure = training_figure(self.table)
        if self._display is None:
            self._display = display(figure, display_id=True)
        else:
            self._display.update(figure)
        plt.close(figure)

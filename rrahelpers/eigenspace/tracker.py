"""Saturation while a network trains (dissertation 6.1 and 8.1)."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import pandas as pd
import torch
from torch import nn

from rrahelpers.base.modules import layer_list
from rrahelpers.eigenspace.covariance import Covariance
from rrahelpers.eigenspace.epoch import COLUMNS, EXTENDED, Epoch, check_metrics, described, rows_of
from rrahelpers.eigenspace.layers import attach, recomputing, weighted_layers
from rrahelpers.eigenspace.processes import Splits, check_processes, over_processes
from rrahelpers.eigenspace.sampling import check_sampling, shrunk, steps_of
from rrahelpers.eigenspace.spectrum import DELTA, check_delta
from rrahelpers.eigenspace.writers import Writer, as_writers, write_all
from rrahelpers.tails import lasting_tails, tails_by_epoch

if TYPE_CHECKING:
    from rrahelpers.base.shapes import FeatureAxes, Numbers

Item = TypeVar("Item")


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
    side, interpolation: make feature maps smaller first, see :func:`rrahelpers.eigenspace.sampling.shrunk`.
    steps: of recurrent layers' sequences, see :func:`rrahelpers.eigenspace.sampling.steps_of`.
    device: where covariances are computed; default the model's.
    writers: one or several of :mod:`rrahelpers.eigenspace.writers`, or anything with such a ``write(epoch)``; each gets
        every epoch. A warning where a file can't be written.
    distributed: whether to take the processes of ``torch.distributed`` together at the end of each epoch. Each of them
        needs a tracker then, all have the whole table, and the first alone writes. Covariances have to lie where the
        processes can exchange them: with NCCL, leave them on the model's device.
    axis: {layer: axis of its features, 1 or -1}, where it isn't known.
    background: whether eigenvalues are computed in a thread beside the next epoch: an epoch's rows come, and go to the
        writers, when that ends or a table is asked for. It takes the memory of two epochs' covariances.

    ``covariances`` is {split: {layer: :class:`Covariance`}} of the running epoch. Memory: 8 D² bytes for a layer with D
    features, in each split.

    A tail (:func:`rrahelpers.tails.find_tails`) that lasts for two epochs gets a warning, once in a tracker's life:
    early enough to stop and to change the network. ``tails`` has those of all epochs.

    A layer with NaN or infinite outputs gets a warning and has no saturation (NaN) in that epoch. A layer that changes
    its number of features raises ``ValueError``, one without a tensor to look at ``TypeError``. What else raises is
    told in :func:`rrahelpers.base.modules.check_model`; what ``torch.compile`` gives is followed from its first call.
    """

    def __init__(self, model: nn.Module, layers: Iterable[str] | None = None, *, delta: float = DELTA,
                 extended: bool = False, every: int = 1, batches: int | None = None, side: int | None = None,
                 interpolation: str = "stride", steps: str = "all", device: str | torch.device | None = None,
                 writers: Writer | Iterable[Writer] = (), distributed: bool = False,
                 axis: FeatureAxes | None = None, background: bool = False) -> None:
        check_sampling(every, batches, side, interpolation, steps)
        if distributed:
            check_processes()
        self.model, self.delta, self.extended = model, check_delta(delta), extended
        self.layers = weighted_layers(model) if layers is None else layer_list(layers)
        self.every, self.batches, self.side, self.axis = every, batches, side, axis
        self.interpolation, self.steps, self.device = interpolation, steps, device
        self.writers, self.distributed = as_writers(writers), distributed
        self.background, self.epoch = background, 0
        self._kept = max((getattr(writer, "observations", 0) for writer in self.writers), default=0)
        self._columns = [*COLUMNS, *EXTENDED] if extended else [*COLUMNS]
        self._rows: list[dict[str, object]] = []
        self._metrics: dict[int, dict[str, float]] = {}
        self._order: dict[str, int] = {}
        self.covariances: Splits
        self.samples: dict[str, dict[str, Numbers]]
        self._since: float  # a reading of the clock
        self._told, self._lock = False, threading.Lock()
        self._hooks: contextlib.ExitStack | None = None
        self._waiting: tuple[Future, tuple] | None = None  # what is known of an epoch without its eigenvalues
        self._begin()

    @property
    def table(self) -> pd.DataFrame:
        """A row for each epoch (from 1), split ("train", "validation") and layer.

        Columns: ``epoch``, ``split``, ``layer``, ``index`` (in the order of the first forward pass), and those of
        :func:`rrahelpers.eigenspace.describe`.
        """
        self._finish()
        return pd.DataFrame(self._rows, columns=self._columns)

    @property
    def metrics(self) -> pd.DataFrame:
        """A row for each epoch: ``epoch``, ``seconds`` (since the one before) and what ``end_epoch`` was given."""
        self._finish()
        return pd.DataFrame([{"epoch": epoch, **metrics} for epoch, metrics in self._metrics.items()],
                            columns=None if self._metrics else ["epoch", "seconds"])

    @property
    def logged(self) -> pd.DataFrame:
        """``table`` with the metrics of each row's epoch: what writers get."""
        return self.table.merge(self.metrics, on="epoch", how="left")

    @property
    def tails(self) -> pd.DataFrame:
        """The tails of each epoch and split: :func:`rrahelpers.tails.tails_by_epoch`."""
        return tails_by_epoch(self.table)

    def resume(self, table: pd.DataFrame | str | Path, epoch: int | None = None) -> Self:
        """Go on behind an earlier tracker's ``table``, or the CSV of its writer. Returns the tracker.

        ``epoch``: that after which training goes on, from a checkpoint say; later rows are left out. Default the last.
        Raises ``ValueError`` where columns are missing, ``OSError`` for a file that can't be read.
        """
        table = pd.read_csv(table, dtype={"layer": str}) if isinstance(table, (str, Path)) else table
        if missing := [name for name in self._columns if name not in table.columns]:
            raise ValueError(f"expected the table of a SaturationTracker, it lacks the columns {missing}")
        table = table if epoch is None else table[table.epoch <= epoch]
        self._rows = table[self._columns].to_dict("records")
        metrics = table.drop(columns=[*COLUMNS, *EXTENDED], errors="ignore").assign(epoch=table.epoch)
        self._metrics = {int(row.pop("epoch")): row for row in metrics.drop_duplicates("epoch").to_dict("records")}
        self._order = dict(zip(table.layer, table["index"]))
        self.epoch = int(table.epoch.max() if epoch is None and len(table) else epoch or 0)
        return self

    def epochs(self, items: Iterable[Item]) -> Iterator[Item]:
        """Go through ``items`` with an epoch for each: a loop that needs no ``with`` and no ``end_epoch``::

            for epoch in tracker.epochs(range(30)):
                ...                   # train, then evaluate, as ever
        """
        with self:
            for item in items:
                yield item
                self.end_epoch()

    def __enter__(self) -> Self:
        if self._hooks is not None:
            raise RuntimeError("this tracker is at work already")
        self._begin()  # an epoch that an error broke off is no part of the next
        self._hooks = attach(self.model, self.layers, self._record, self.axis, partial(steps_of, steps=self.steps))
        self._hooks.callback(self.model.register_forward_pre_hook(self._count).remove)
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        hooks, self._hooks = self._hooks, None
        if hooks is not None:
            hooks.close()
        if error is None and (any(self.covariances.values()) or self.epoch == 0):
            self.end_epoch()
        self._finish()

    def end_epoch(self, metrics: Mapping[str, float] | None = None) -> pd.DataFrame:
        """Close the epoch: compute its rows (in the background: those of the one before), give them to the writers,
        begin the next. Returns the rows.

        ``metrics``: {name: number} to be logged beside them, an accuracy or a loss say. Raises ``TypeError`` for what
        are no numbers, ``ValueError`` for a name that a column of ``table`` has.
        """
        metrics = {"seconds": time.perf_counter() - self._since, **check_metrics(metrics or {})}
        if self.distributed:
            self.covariances = over_processes(self.covariances)
        self.epoch += 1
        closed = self.epoch, metrics, self.covariances, self.samples
        work = partial(described, self.covariances, self.delta, self.extended)
        if self.background:
            rows, thread = self._finish(), ThreadPoolExecutor(1)
            self._waiting = thread.submit(work), closed
            thread.shutdown(wait=False)
        else:
            rows = self._close(work(), *closed)
        self._begin()
        return rows

    def _finish(self):
        """Wait for the eigenvalues of an epoch that is in the background; answers with its rows, none without one."""
        if self._waiting is None:
            return pd.DataFrame(columns=self._columns)
        (found, closed), self._waiting = self._waiting, None
        return self._close(found.result(), *closed)

    def _close(self, found, number, metrics, covariances, samples):
        rows = rows_of(number, covariances, found, self._order)
        if not rows:
            warnings.warn(f"no tracked layer ran in epoch {number}; is this the model that the loop calls? (After "
                          "torch.compile, its first call must come within the tracker's with.)", stacklevel=3)
        elif number == 1 and (idle := [name for name in self.layers if name not in self._order]):
            warnings.warn(f"not called as modules, so without saturation: {', '.join(idle)}", stacklevel=3)
        self._rows += rows
        self._metrics[number] = metrics
        own = self.table[self.table.epoch == number].reset_index(drop=True)
        if rows and not (self.distributed and torch.distributed.get_rank()):
            write_all(self.writers, Epoch(number, own, metrics, self.logged, covariances, samples))
            if not self._told and (tail := lasting_tails(self.tails, number)):
                self._told = True
                warnings.warn(f"epoch {number}: {tail}. Layers of a tail add little to what the network knows, says "
                              "the dissertation: rrahelpers.advisor proposes what to change", stacklevel=3)
        return own

    def _begin(self):
        self.covariances = {"train": {}, "validation": {}}
        self.samples = {"train": {}, "validation": {}}
        self._calls, self._due, self._since = dict.fromkeys(self.covariances, 0), True, time.perf_counter()

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
            x = shrunk(x.detach(), axis, self.side, self.interpolation)
        with self._lock:  # replicas of a model run in threads
            self._order.setdefault(name, len(self._order))
            own = self.covariances[self._split()]
            own.setdefault(name, Covariance(x.shape[axis], self.device)).update(x, axis)
            if self._kept:
                rows = x.detach().movedim(axis, -1).flatten(0, -2)
                self.samples[self._split()][name] = rows[::-(-len(rows) // self._kept) or 1].clone()

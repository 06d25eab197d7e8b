"""What a tracker writes after each epoch, and where to (dissertation 6.1.5): as many writers at once as are wanted.

A writer is anything with ``write(epoch)``, where ``epoch`` is an :class:`rrahelpers.eigenspace.epoch.Epoch`. Where it
raises ``OSError`` (a full disk), the tracker warns and goes on.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rrahelpers.base.arrays import is_whole
from rrahelpers.base.files import atomic
from rrahelpers.eigenspace.epoch import NAMES, Epoch
from rrahelpers.eigenspace.spectrum import embed

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Numbers

class Writer(Protocol):
    """What a tracker writes to."""

    def write(self, epoch: Epoch) -> None: ...


def as_writers(writers: Writer | Iterable[Writer]) -> list[Writer]:
    """One writer or several, as a list. Raises ``TypeError`` for what can't write."""
    found: list[Any] = [writers] if isinstance(writers, (str, Path)) or hasattr(writers, "write") else list(writers)
    if bad := [type(writer).__name__ for writer in found if not callable(getattr(writer, "write", None))]:
        raise TypeError(f"expected writers with write(epoch), as of rrahelpers.eigenspace.writers, got {bad}")
    return found


def write_all(writers: Iterable[Writer], epoch: Epoch) -> None:
    """Give an epoch to each writer, with a warning where one can't write it."""
    for writer in writers:
        try:
            writer.write(epoch)
        except OSError as error:  # a full disk is no reason to end the user's training
            warnings.warn(f"{type(writer).__name__} cannot write epoch {epoch.number} ({error}); the table has the "
                          "rows all the same", stacklevel=5)


class CSVWriter:
    """Keeps one file up to date: ``epoch.table``, a row for each epoch, split and layer."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def write(self, epoch: Epoch) -> None:
        with atomic(self.path) as temporary:
            epoch.table.to_csv(temporary, index=False)


class TensorBoardWriter:
    """Scalars "column/split/layer" for all columns, and the metrics by their names.

    ``writer``: TensorBoard's ``SummaryWriter``, or anything with its ``add_scalar(tag, value, step)``.
    """

    def __init__(self, writer: Any) -> None:
        if not callable(getattr(writer, "add_scalar", None)):
            raise TypeError(f"expected a writer with add_scalar(tag, value, step), got {type(writer).__name__}")
        self.writer = writer

    def write(self, epoch: Epoch) -> None:
        for row in epoch.rows.to_dict("records"):
            for column in epoch.rows.columns.difference(NAMES, sort=False):
                self.writer.add_scalar(f"{column}/{row['split']}/{row['layer']}", row[column], epoch.number)
        for name, value in epoch.metrics.items():
            self.writer.add_scalar(name, value, epoch.number)


class ConsoleWriter:
    """Prints the metrics and the rows of each epoch."""

    def write(self, epoch: Epoch) -> None:
        print(f"epoch {epoch.number}", *(f"{name} {value:.4g}" for name, value in epoch.metrics.items()), sep="  ")
        print(epoch.rows.drop(columns="epoch").to_string(index=False))


class PictureWriter:
    """Draws each epoch's saturation over the layers, and its mean over the epochs, to ``folder/epoch-0001.png`` and so
    on (figure 40)."""

    def __init__(self, folder: str | Path) -> None:
        import matplotlib.pyplot  # noqa: F401  # missing: now rather than after an epoch

        self.folder = Path(folder)

    def write(self, epoch: Epoch) -> None:
        import matplotlib.pyplot as plt

        from rrahelpers.plots.eigenspace import training_figure

        figure = training_figure(epoch.table)
        try:
            with atomic(self.folder / f"epoch-{epoch.number:04}.png") as temporary:
                figure.savefig(temporary, format="png")
        finally:
            plt.close(figure)


class NotebookWriter:
    """Shows the figure of :class:`PictureWriter` in a notebook, in one place that is renewed after each epoch."""

    def __init__(self) -> None:
        import IPython.display  # noqa: F401
        import matplotlib.pyplot  # noqa: F401

        self._display: Any = None

    def write(self, epoch: Epoch) -> None:
        import matplotlib.pyplot as plt
        from IPython.display import display

        from rrahelpers.plots.eigenspace import training_figure

        figure = training_figure(epoch.table)
        if self._display is None:
            self._display = display(figure, display_id=True)
        else:
            self._display.update(figure)
        plt.close(figure)


class ArrayWriter:
    """Keeps what is no single number: ``folder/epoch-0001.npz`` and so on (6.1.4).

    The arrays are named "split/layer/what": ``covariance`` float64 [D, D], ``mean`` [D] and, with ``observations``,
    ``embedding`` [n, 2], so many observations of the last batch projected on the first two eigenvectors.
    """

    def __init__(self, folder: str | Path, observations: int = 0) -> None:
        if not is_whole(observations, 0):
            raise ValueError(f"expected observations to be a whole number from 0 on, got {observations!r}")
        self.folder, self.observations = Path(folder), observations

    def write(self, epoch: Epoch) -> None:
        arrays: dict[str, Numbers] = {}
        for row in epoch.rows[epoch.rows.saturation.notna()].itertuples():  # NaN: observations that aren't finite
            covariance, name = epoch.covariances[row.split][row.layer], f"{row.split}/{row.layer}"
            arrays |= {f"{name}/covariance": covariance.matrix(), f"{name}/mean": covariance.mean}
            if (sample := epoch.samples[row.split].get(row.layer)) is not None:
                some = sample[:self.observations].to(covariance.mean.device)
                arrays[f"{name}/embedding"] = embed(covariance, some, axis=-1)
        with atomic(self.folder / f"epoch-{epoch.number:04}.npz") as temporary, open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **{name: array.cpu().numpy() for name, array in arrays.items()})

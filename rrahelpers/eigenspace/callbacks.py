"""The tracker as a callback of Lightning, which calls it at the right moments."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Self

import pandas as pd
from torch import nn

from rrahelpers.eigenspace.epoch import COLUMNS, EXTENDED
from rrahelpers.eigenspace.tracker import SaturationTracker

LIGHTNING = ("lightning.pytorch", "pytorch_lightning")


class LightningCallback:
    """Follows saturation in a Lightning training: ``Trainer(callbacks=[LightningCallback(writers=[…])])``.

    An epoch ends with Lightning's training epoch, its validation included; the sanity check before the training is not
    followed. The numbers that the module logs (``trainer.callback_metrics``) go to the writers. What has been measured
    lies in Lightning's checkpoints and goes on after a resumption.

    ``options``: of :class:`SaturationTracker`. ``tracker``: the tracker, from the start of the training on. Lightning
    isn't imported here; where the user's program has done so (under either of its names), this is a ``Callback`` of
    its. Without it, hooks of which nothing is wanted do nothing.
    """

    state_key = _legacy_state_key = "rrahelpers.SaturationTracker"

    def __new__(cls, **options: Any) -> Self:
        bases = [sys.modules[name].Callback for name in LIGHTNING if name in sys.modules]
        known = cls if all(issubclass(cls, base) for base in bases) else type(cls.__name__, (cls, *bases), {})
        return object.__new__(known)

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.tracker: SaturationTracker | None = None
        self._state: dict[str, list] | None = None

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("on_") or name in ("setup", "teardown"):
            return lambda *_, **__: None
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    def on_train_start(self, trainer: Any, module: nn.Module) -> None:
        self.tracker = SaturationTracker(module, **self.options)
        if self._state:
            self.tracker.resume(pd.DataFrame(self._state), trainer.current_epoch)
        self.tracker.__enter__()

    def on_train_epoch_end(self, trainer: Any, module: nn.Module) -> None:
        if self.tracker is not None:
            self.tracker.end_epoch({name: float(value) for name, value in trainer.callback_metrics.items()
                                    if name not in (*COLUMNS, *EXTENDED)})

    def on_train_end(self, trainer: Any, module: nn.Module) -> None:
        if self.tracker is not None:
            self.tracker.__exit__(None)

    def on_exception(self, trainer: Any, module: nn.Module, exception: BaseException) -> None:
        if self.tracker is not None:
            self.tracker.__exit__(type(exception))

    def state_dict(self) -> dict[str, Any]:
        return {} if self.tracker is None else {"table": self.tracker.logged.to_dict("list")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._state = state.get("table")

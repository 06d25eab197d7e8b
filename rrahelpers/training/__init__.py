"""Training networks and keeping what came of it: configurations, the loop, the run store."""

from rrahelpers.training.config import RunConfig
from rrahelpers.training.kept import at_epoch
from rrahelpers.training.loop import Interrupted, resolve, train, train_all
from rrahelpers.training.rungs import train_until
from rrahelpers.training.runs import Run, RunError

__all__ = ["Interrupted", "Run", "RunConfig", "RunError", "at_epoch", "resolve", "train", "train_all", "train_until"]

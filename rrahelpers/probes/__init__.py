"""Linear readability: what a logistic regression can tell from a layer's features; beside it the dissertation's own
solver, and the slides' classifier, which isn't linear."""

from rrahelpers.probes.dense import DenseResult, fit_dense
from rrahelpers.probes.fitting import ProbeResult, fit_probe, probe_positions
from rrahelpers.probes.layerwise import each_probe, probe_layers
from rrahelpers.probes.saga import SagaResult, fit_saga
from rrahelpers.probes.strength import overfitted

__all__ = ["DenseResult", "ProbeResult", "SagaResult", "each_probe", "fit_dense", "fit_probe", "fit_saga", "overfitted",
           "probe_layers", "probe_positions"]

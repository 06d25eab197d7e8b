"""Linear readability: what a logistic regression can tell from a layer's features."""

from rrahelpers.probes.fitting import ProbeResult, each_probe, fit_probe, probe_layers, probe_positions
from rrahelpers.probes.strength import overfitted

__all__ = ["ProbeResult", "each_probe", "fit_probe", "overfitted", "probe_layers", "probe_positions"]

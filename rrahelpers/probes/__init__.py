"""Linear readability: what a logistic regression can tell from a layer's features."""

from rrahelpers.probes.fitting import ProbeResult, each_probe, fit_probe, probe_layers, probe_positions

__all__ = ["ProbeResult", "each_probe", "fit_probe", "probe_layers", "probe_positions"]

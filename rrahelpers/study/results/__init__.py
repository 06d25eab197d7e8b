"""Measures of stored runs, computed once: each table lies beside its run, keyed by the measure and its parameters."""

from rrahelpers.study.results.advice import measured_advice
from rrahelpers.study.results.eigenspaces import projected_accuracy_table, projected_layers, saturation_table
from rrahelpers.study.results.formation import formation_table
from rrahelpers.study.results.pictures import pictures, pictures_of
from rrahelpers.study.results.probes import position_table, probe_table
from rrahelpers.study.results.responses import (
    class_similarity_gain,
    class_similarity_table,
    operation_table,
    response,
    separation_table,
)

__all__ = [
    "class_similarity_gain", "class_similarity_table", "formation_table", "measured_advice", "operation_table",
    "pictures", "pictures_of", "position_table", "probe_table", "projected_accuracy_table", "projected_layers",
    "response", "saturation_table", "separation_table",
]

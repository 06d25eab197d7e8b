"""The names that notebooks and users rely on are where they are looked for, and the package is in its rooms."""

import importlib

import pytest

import rrahelpers

NAMES = {
    "data": "load ImageSet DataError checksum",
    "models": "resnet20 resnet18 resnet34 resnet50 vgg11 vgg13 vgg16 vgg19 mpnet18 mpnet36 densenet18 densenet65 build "
              "names attach",
    "attention": "STAC SqueezeExcitation BAM SpatialAttention CBAM",
    "complexity": "count Complexity memory per_layer",
    "training": "RunConfig train train_all train_until Run at_epoch",
    "features": "layer_names extract",
    "neighbors": "knn_graph KNNGraph pyramid_graphs",
    "class_similarity": "class_similarity chance_similarity classrepsim",
    "topology": "nnts nntp births_and_deaths",
    "similarity": "linear_cka linear_cka_matrix LinearCKA debiased_cka gram",
    "separation": "separation_index center_separation_index smoothness_index confidence guarantee rank_models",
    "intrinsic_dimension": "two_nn gride",
    "eigenspace": "Covariance n_components saturation PCAProjection project SaturationTracker covariances",
    "probes": "fit_probe ProbeResult probe_layers probe_positions",
    "receptive_field": "receptive_fields border_layer field_path field_place field_sizes input_resolution_range",
    "tails": "find_tails",
    "advisor": "advise fitted_stump propose search truncate",
    "report": "analyse Report ReportError",
    "study.figures": "save_figure",
    "widgets": "class_similarity_explorer neighbour_change_explorer prediction_explorer probe_explorer "
               "projection_explorer proposal_explorer receptive_field_explorer saturation_explorer "
               "separation_explorer stac_explorer tail_explorer",
    "__main__": "main",
}


@pytest.mark.parametrize("module", NAMES)
def test_public_names(module):
    there = importlib.import_module(f"rrahelpers.{module}")
    assert [name for name in NAMES[module].split() if not hasattr(there, name)] == []


def test_every_room_is_reached_from_the_package():
    assert all(getattr(rrahelpers, name).__name__ == f"rrahelpers.{name}" for name in rrahelpers.MODULES)
    assert rrahelpers.data.load.__module__ == "rrahelpers.data.sets"

"""The advisor's table with what a stored run measured."""

import pandas as pd
import pytest

from rrahelpers.advisor import advise
from rrahelpers.study import grids
from rrahelpers.study.results import measured_advice, probe_table, saturation_table
from rrahelpers.training import runs, train
from rrahelpers.training.config import RunConfig


@pytest.fixture
def trained():
    options = {"width": 0.0625, "attention": "spatial"}
    return [train(RunConfig("resnet18", "digits", options=options, image_size=32, epochs=1, limit=64, seed=seed))
            for seed in (0, 1)]


def test_measurements_of_narrow_networks_beside_the_receptive_fields_and_costs_of_the_wide(trained, monkeypatch):
    table = measured_advice("resnet18", {"attention": "spatial"}, 32, trained, 20)
    model = grids.untrained("ResNet18, spatial")
    assert table.layer.tolist() == model.layer_names[1:]  # neither projections nor attention
    advice = advise(model, 32).set_index("layer").loc[table.layer]
    assert table.flops.tolist() == advice.flops.tolist() and table.border.tolist() == advice.border.tolist()
    for column, measured, source in (("saturation", saturation_table, "saturation"), ("probe", probe_table, "value")):
        both = [measured(run, 20).set_index("layer")[source] for run in trained]
        assert table[column].tolist() == pytest.approx(((both[0] + both[1]) / 2)[table.layer].tolist())
    assert table.probe_gain.notna().all()  # the first layer's is over the input

    for run in trained:  # once stored, neither weights nor data are needed
        for path in runs.weight_paths(run.folder):
            path.unlink(missing_ok=True)
    monkeypatch.setattr("rrahelpers.data.load", lambda *_, **__: pytest.fail("data were read"))
    again = measured_advice("resnet18", {"attention": "spatial"}, 32, [runs.Run(run.folder) for run in trained], 20)
    pd.testing.assert_frame_equal(again, table)


def test_without_runs_there_are_no_measurements_and_without_probes_no_probes(trained):
    plain = measured_advice("resnet18", {}, 32, [], None)
    assert plain[["saturation", "probe"]].isna().all(axis=None) and plain.r_max.notna().all()
    table = measured_advice("resnet18", {}, 32, trained[:1], 20, probes=False)
    assert table.probe.isna().all() and table.saturation.notna().all()
    assert not list(trained[0].folder.glob("results/probes-*"))

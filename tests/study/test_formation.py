"""When layers form: the tables of a training's epochs, and half the way by hand."""

import math

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from rrahelpers.__main__ import main
from rrahelpers.class_similarity import scale_graphs
from rrahelpers.plots import formation as plots
from rrahelpers.study import formation, grids, results
from rrahelpers.topology import nnts
from rrahelpers.training import at_epoch, train
from rrahelpers.widgets import formation_explorer

pytestmark = pytest.mark.usefixtures("one_thread")
CONFIG = grids.recipe("digits", epochs=2, limit=64, options={"width": 0.25, "depth": 0.34})


def curves(**values):
    """One measure of some layers after each epoch, as formation_table has it."""
    return pd.DataFrame([{"epoch": epoch, "layer": layer, "index": index, "measure": "probe", "value": value}
                         for index, (layer, line) in enumerate(values.items()) for epoch, value in enumerate(line)])


def test_half_the_way_by_hand():
    table = curves(early=[0.2, 0.8, 0.9, 1.0], late=[0.2, 0.2, 0.3, 1.0], back=[0.2, 0.7, 0.4, 1.0],
                   falling=[0.9, 0.5, 0.4, 0.1], still=[0.5, 0.9, 0.1, 0.505])
    shares = formation.covered(table).set_index(["layer", "epoch"]).value
    assert shares["early"].tolist() == pytest.approx([0, 0.75, 0.875, 1])
    assert shares["falling"].tolist() == pytest.approx([0, 0.5, 0.625, 1]) and shares["still"].isna().all()
    found = formation.formed(table)
    assert dict(zip(found["layer"], found["epoch"])) == {"early": 1, "late": 3, "back": 3, "falling": 1}
    assert found["index"].tolist() == [0, 1, 2, 3]
    # ranks of epochs: 1.5, 3.5, 3.5, 1.5; of layers: 1, 2, 3, 4
    assert formation.order(found).correlation.tolist() == pytest.approx([0])
    assert formation.order(found.iloc[:2]).correlation.tolist() == pytest.approx([1])
    assert math.isnan(formation.order(found.iloc[[0, 3]]).correlation.item())
    assert formation.formed(table, 0.8).set_index("layer").epoch["early"] == 2


def test_every_measure_after_every_epoch_and_drawn_without_weights():
    run = train(CONFIG, keep_every=1)
    assert results.formation_table(run, 40, 3, 1, compute=False) is None
    table = results.formation_table(run, 40, 3, 1)
    values = table.set_index(["measure", "epoch", "layer"]).value.sort_index()
    layers = table[table["measure"] == "probe"].layer.unique().tolist()
    assert set(table["epoch"]) == {0, 1, 2} and list(dict.fromkeys(table["measure"])) == [
        "class similarity", "probe", "saturation", "NNTS to the end"]
    assert table.groupby("measure").layer.unique().map(set)["saturation"] == set(layers) - {"input"}
    assert table.groupby("layer")["index"].nunique().eq(1).all()
    assert (values["NNTS to the end", 2] == 1).all() and (values["NNTS to the end"].loc[:, "input"] == 1).all()
    images = run.preprocess(run.images("test", 40).images)
    then, end = (list(scale_graphs(one.model(), images, scales=[1], k=3, progress=False))
                 for one in (at_epoch(run, 1), run))
    assert values["NNTS to the end", 1, layers[1]] == pytest.approx(nnts(then[1].graph, end[1].graph), rel=1e-7)
    assert (values["NNTS to the end", 0].drop("input") < 1).any()
    similar = results.class_similarity_table(at_epoch(run, 1), 40, 3, compute=False)
    assert values["class similarity", 1, layers[2]] == similar[similar.layer == layers[2]].value.max()
    for file in [*run.folder.glob("epoch-*"), run.folder / "weights.safetensors"]:
        file.unlink()
    assert results.formation_table(run, 40, 3, 1, compute=False).equals(table)
    assert len(plots.formation_panels(table).axes) == 8 and len(plots.epoch_figure(table, 1).axes) == 4
    assert len(plots.formed_figure(formation.formed(table)).axes) == 1
    explorer = formation_explorer(table)
    explorer.controls["epoch"].value = 1
    plt.close("all")


def test_a_grid_is_trained_with_its_epochs_kept(monkeypatch, capsys):
    monkeypatch.setattr(grids, "grid", lambda name, profile: [CONFIG])
    assert main(["train", "--grid", "formation", "--profile", "smoke"]) == 0
    (run,) = grids.trained([CONFIG])
    assert sorted(path.name for path in run.folder.glob("epoch-*")) == ["epoch-0.safetensors", "epoch-1.safetensors"]
    assert math.isnan(at_epoch(run, 0).accuracy) and "1 of 1 runs are finished" in capsys.readouterr().out

"""Experiments of one's own: a file whose lists are the dimensions of a grid."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from rrahelpers import complexity, models
from rrahelpers.__main__ import main
from rrahelpers.eigenspace import covariances, saturation
from rrahelpers.study import experiments
from rrahelpers.training import train

SMALL = """
model: resnet20
data: digits
options: {width: 0.25, depth: 0.34}
epochs: 1
limit: 64
samples: 60
"""


def read(tmp_path, text):
    path = tmp_path / "experiment.yaml"
    path.write_text(text, encoding="utf-8")
    return experiments.read(path)


def test_every_list_is_a_dimension(tmp_path):
    found = read(tmp_path, """
model: [vgg11, vgg16]
data: cifar10
recipe: dissertation, table 7
options: {width: [0.25, 0.5], dilation: 1}
image_size: [null, 64]
augmentation: [[crop, flip], []]
seed: [0, 1, 2]
""")
    assert len(found.cells) == 2 * 2 * 2 * 2 * 3
    chosen, config = found.cells[-1]
    assert chosen == {"recipe": "dissertation, table 7", "model": "vgg16", "data": "cifar10", "image_size": 64,
                      "augmentation": [], "seed": 2, "width": 0.5, "dilation": 1}
    assert (config.model, config.options, config.image_size, config.augmentation, config.seed, config.optimiser) == (
        "vgg16", {"width": 0.5, "dilation": 1}, 64, (), 2, "adam")
    assert len({json.dumps(c.as_dict(), sort_keys=True) for _, c in found.cells}) == len(found.cells)


@pytest.mark.parametrize("text, words", [
    ("model: vgg16", "at least 'model: …' and 'data: …'"),
    ("- 1", "at least 'model: …'"),
    ("model: [", "is no YAML"),
    (SMALL + "colour: red", "unknown colour; expected some of: recipe, options, samples, probes, augment_first"),
    (SMALL + "seed: []", "at least one value for seed"),
    (SMALL + "probes: some", "probes: true or false"),
    (SMALL + "recipe: table 3", "unknown recipe 'table 3'"),
    (SMALL + "learning_rate: [0.1, -1]", "expected positive values"),
])
def test_what_is_no_experiment_is_refused_before_anything_is_trained(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        read(tmp_path, text)


def test_finished_runs_are_measured_into_one_table(tmp_path):
    found = read(tmp_path, SMALL + "seed: [0, 1]")
    experiments.store_resolved(found, tmp_path)
    resolved = json.loads((tmp_path / "experiment.json").read_text(encoding="utf-8"))
    assert [network["config"] for network in resolved["networks"]] == [c.as_dict() for _, c in found.cells]

    run = train(found.cells[0][1])
    table = experiments.measure(found, [run, None], tmp_path)
    assert set(table["run"]) == {run.name} and set(table["seed"]) == {0} and table["probe"].notna().all()
    images = run.preprocess(run.images("test", 60).images)
    spectrum = np.linalg.eigvalsh(covariances(run.model(), images, ["stem.0"])["stem.0"].matrix())
    expected = saturation(spectrum)
    assert table.set_index("layer").saturation["stem.0"] == pytest.approx(expected)
    with torch.device("meta"):
        costs = complexity.count(models.build("resnet20", **run.record["build"]), (1, 8, 8), "macs")
    (network,) = pd.read_csv(tmp_path / "networks.csv").to_dict("records")
    assert (network["params"], network["macs"]) == (costs.params, costs.flops)
    assert network["test_accuracy"] == pytest.approx(run.accuracy)
    assert len(pd.read_csv(tmp_path / "layers.csv")) == len(table)


def test_the_command_line_trains_and_measures(tmp_path, capsys):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL + "probes: false\nseed: [0, 1]", encoding="utf-8")
    assert main(["experiment", str(path)]) == 0
    said = capsys.readouterr().out
    assert f"2 networks; what is asked for, and then the tables: {tmp_path / 'small'}" in said
    assert "2 of 2 runs are finished" in said
    networks = pd.read_csv(tmp_path / "small" / "networks.csv")
    assert networks["seed"].tolist() == [0, 1] and networks["test_accuracy"].notna().all()
    assert pd.read_csv(tmp_path / "small" / "layers.csv")["probe"].isna().all()


def test_a_model_of_ones_own_is_trained_and_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("RRA_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_experiment_networks.py").write_text("""
from torch import nn

def small(num_classes, in_channels, width=4):
    return nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(width, num_classes))
""", encoding="utf-8")
    (tmp_path / "mine.yaml").write_text("""
model: my_experiment_networks:small
data: digits
options: {width: [2, 3]}
epochs: 1
limit: 64
samples: 60
probes: false
""", encoding="utf-8")
    assert main(["experiment", "mine.yaml"]) == 0
    networks = pd.read_csv(tmp_path / "mine" / "networks.csv")
    assert networks.params.tolist() == [2 * 9 + 2 + 20 + 10, 3 * 9 + 3 + 30 + 10]
    assert networks.run.str.startswith("my_experiment_networks-small-digits-").all()
    layers = pd.read_csv(tmp_path / "mine" / "layers.csv")
    assert layers["layer"].astype(str).tolist() == ["0", "4"] * 2 and layers.saturation.notna().all()

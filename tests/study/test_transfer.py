"""Networks for new data and predictions to be trusted, on features that can be checked by hand."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from torch import nn

from rrahelpers import data
from rrahelpers.probes import fit_probe
from rrahelpers.study import transfer
from rrahelpers.training import RunConfig
from rrahelpers.training.runs import Run
from tests import stored


class Positions(nn.Module):
    """A network whose last features are the pixels of its images."""

    def __init__(self):
        super().__init__()
        self.pool = nn.Flatten()

    def forward(self, x):
        return self.pool(x)


def on_a_line(places, labels):
    return torch.tensor(places).view(-1, 1, 1, 1), torch.tensor(labels)


def test_guarantees():
    """Training images at 0, 1 (a) and 10, 11 (b). A test image at 2 is 1 from a and 8 from b: its radius is 3.5. One at
    6, 4 from b and 5 from a, has 0.5, and is an a."""
    sets = {"train": on_a_line([0.0, 1.0, 10.0, 11.0], [0, 0, 1, 1]), "test": on_a_line([2.0, 6.0], [0, 0])}
    run = SimpleNamespace(model=Positions, inputs=lambda split, samples: sets[split],
                          config=RunConfig("vgg16", "cifar10", options={"width": 0.25}),
                          result=lambda measure, parameters, compute: compute())
    table = transfer.guarantees([run], 4, steps=2)
    assert set(table.network) == {"VGG16, width 1/4 on CIFAR-10"} and set(table["SI of the training images"]) == {1}
    assert table.gamma.tolist() == pytest.approx([0, 0.5 + 0.99 * 3])
    assert table.share.tolist() == [1, 0.5] and table.right.tolist() == [0.5, 1]
    assert table.guaranteed.tolist() == [1, 0.5]


def test_margins_of_layers_without_training_data():
    """At 0, 1 (a) and 10, 12 (b): dw_max is 2, db_min 9."""
    part = on_a_line([0.0, 1.0, 10.0, 12.0], [0, 0, 1, 1])
    run = SimpleNamespace(model=Positions, inputs=lambda split, samples: part)
    table = transfer.margins_of_layers(run, 4, ["pool"])
    assert table.set_index("measure").value.to_dict() == {"SI": 1, "within": 2, "between": 9, "gamma": 3.5}
    mixed = SimpleNamespace(model=Positions,
                            inputs=lambda split, samples: on_a_line([0.0, 1.0, 10.0, 12.0], [0, 1, 1, 1]))
    assert transfer.margins_of_layers(mixed, 4, ["pool"]).set_index("measure").value["gamma"] == 0


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("RRA_RUNS", str(tmp_path))
    return Run(stored.store(replace(stored.CONFIG, data_checksum=data.checksum("digits"))))


def test_ranking_holds_trained_and_untrained_networks_by_their_own_features(run):
    ranking = transfer.ranking([run, run], "digits", 60, limit=2).set_index("model")
    assert set(ranking.index) == {"ResNet20, width 1/4 on digits, augmented, learning rate 0.1, seed 0",
                                  "ResNet20, width 1/4, untrained"}  # each once
    x = {split: transfer.last_features(run.model(), transfer.images_for(run, "digits", split, 60)[0])
         for split in data.SPLITS}
    labels = {split: data.load("digits", split, limit=60).labels for split in data.SPLITS}
    expected = fit_probe(x["train"], labels["train"], x["test"], labels["test"]).accuracy
    assert ranking.accuracy.iloc[[name.endswith("seed 0") for name in ranking.index]].item() == expected
    torch.manual_seed(0)
    blank = transfer.last_features(run.untrained().eval(), transfer.images_for(run, "digits", "test", 60)[0])
    assert ranking.loc["ResNet20, width 1/4, untrained", "of"] == blank.shape[1]


def test_what_was_measured_is_read_without_the_data(run, monkeypatch):
    first = [transfer.ranking([run], "digits", 60, limit=2), transfer.guarantees([run], 60)]

    def gone(*args, **kwargs):
        raise data.DataError("no data here")

    monkeypatch.setattr(data, "load", gone)
    for before, after in zip(first, [transfer.ranking([run], "digits", 60, limit=2), transfer.guarantees([run], 60)]):
        pd.testing.assert_frame_equal(before, after)
    with pytest.raises(data.DataError):
        transfer.guarantees([run], 61)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_get_the_size_and_channels_of_the_network(channels):
    run = SimpleNamespace(config=RunConfig("vgg16", "digits", image_size=16), record={"mean": [0.5] * channels},
                          preprocess=lambda images: images)
    images, labels = transfer.images_for(run, "digits", "test", 5)
    assert images.shape == (5, channels, 16, 16) and images.min() >= 0 and images.max() <= 1 and len(labels) == 5

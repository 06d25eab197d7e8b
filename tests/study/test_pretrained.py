"""Public pretrained networks on new data: what is ranked and tuned, stored once."""

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from rrahelpers import data
from rrahelpers.probes import fit_probe
from rrahelpers.study import pretrained


class Pixels(nn.Module):
    """A network whose features are the mean of its pixels through a 1x1 convolution, as SqueezeNet's are of maps."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(1, 12, 8, 8)
        self.classifier = nn.Sequential(nn.Conv2d(12, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x):
        return self.classifier(self.features(x))


@pytest.fixture
def networks(tmp_path, monkeypatch):
    torch.manual_seed(1)
    save_file(Pixels().state_dict(), tmp_path / "pixels.safetensors")
    monkeypatch.setattr(pretrained, "HOW", pretrained.Preprocessing(mean=(0.5,), std=(0.25,)))
    pixels = pretrained.Public(f"{__name__}:Pixels", "pixels.safetensors", "classifier", 8)
    return {"Pixels, trained on nothing": pixels}


def test_a_network_is_ranked_beside_its_untrained_twin_and_stored(networks, tmp_path, monkeypatch):
    monkeypatch.setattr("rrahelpers.report.networks.build_own", lambda name: Pixels())
    table = pretrained.ranking("digits", 200, tmp_path, networks=networks, limit=3, epochs=2)
    assert set(table.model) == {"Pixels, trained on nothing", "Pixels, untrained"} and list(table) == pretrained.COLUMNS
    sets = [data.load("digits", split, limit=200, image_size=8) for split in data.SPLITS]
    torch.manual_seed(1)
    network = Pixels()
    with torch.no_grad():
        features = [network.features(pretrained.HOW.normalise(part.images)).mean((2, 3)) for part in sets]
    expected = fit_probe(features[0], sets[0].labels, features[1], sets[1].labels).accuracy
    row = table.set_index("model").loc["Pixels, trained on nothing"]
    assert row.accuracy == expected and row["of"] == 12
    assert table.fine_tuned.min() > 0 and table.fine_tuned.max() < 1  # of two epochs on 200 digits
    pd.testing.assert_frame_equal(pretrained.ranking("digits", 200, networks=networks, limit=3, epochs=2), table)


def test_without_weights_only_what_is_stored_is_read(networks):
    assert pretrained.ranking("digits", 100, networks=networks).empty


def test_fine_tuning_changes_all_layers_and_lowers_the_loss():
    torch.manual_seed(0)
    model = nn.Sequential(Pixels(), nn.Linear(10, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.randn(64, 1, 8, 8)
    labels = (x.mean((1, 2, 3)) > 0).long()
    loss = nn.functional.cross_entropy(model(x), labels).item()
    tuned = pretrained.fine_tune(model, x, labels, epochs=10)
    assert not tuned.training and nn.functional.cross_entropy(tuned(x), labels).item() < loss
    assert not any(torch.equal(value, before[name]) for name, value in tuned.state_dict().items())

"""Networks of timm and transformers, built from their configurations with random weights (nothing is downloaded)."""

import warnings

import pytest
import torch

from rrahelpers.advisor import advise, propose, truncate
from rrahelpers.base.torchvision import torchvision  # noqa: F401  # timm and transformers import it
from rrahelpers.class_similarity import classrepsim
from rrahelpers.complexity import count
from rrahelpers.eigenspace import covariances
from rrahelpers.features import extract, layer_names
from rrahelpers.receptive_field import receptive_fields


def timm_model(name, **options):
    timm = pytest.importorskip("timm")
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whatever their maker says of versions
        return timm.create_model(name, num_classes=5, **options)


@pytest.mark.parametrize("name, size", [("hrnet_w18_small", 32), ("efficientnet_b0", 64)])
def test_timms_networks_can_be_cut(name, size):
    model = timm_model(name)
    border = propose(model, size).set_index("proposal").change.get("truncate")
    at = border.removeprefix("end before ") if border else next(
        layer for layer in reversed(receptive_fields(model,
                                                     size).query("path == 'main' and kernel == '3x3'").layer.tolist()))
    stump = truncate(model, at)
    new = next(child for child, _ in reversed(list(stump.named_children())))
    assert new.startswith("head") and stump.get_submodule(new)[2].out_features == 5
    table = receptive_fields(stump, size, layers=[new])
    assert table.r_max_in.item() == receptive_fields(model, size).set_index("layer").loc[at, "r_max_in"]


@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_atto"])
def test_timms_layers_have_one_name_in_every_measure(name):
    model = timm_model(name)
    table = advise(model, 64)
    assert table.params.sum() == sum(p.numel() for p in model.parameters())
    assert set(layer_names(model)[1:]) <= set(table.layer[table["index"].notna()])


@pytest.mark.parametrize("name, options", [
    ("ResNetConfig", {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}),
    ("ConvNextConfig", {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "patch_size": 2}),
])
def test_transformers_convolutional_networks(name, options):
    transformers = pytest.importorskip("transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = getattr(transformers, name)(num_labels=2, **options)
        model = transformers.AutoModelForImageClassification.from_config(config).eval()
    images, labels, names = torch.randn(8, 3, 32, 32), torch.arange(8) % 2, layer_names(model)
    assert list(extract(model, images, names)) == names and set(covariances(model, images)) == set(names[1:])
    assert classrepsim(model, images, labels, k=2, progress=False).layer.unique().tolist() == names
    assert set(names[1:]) <= set(receptive_fields(model, 32).layer)
    assert count(model, (3, 32, 32)).params == sum(p.numel() for p in model.parameters())

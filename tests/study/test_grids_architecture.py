"""The networks of chapters 9 to 11: how they are called, built, cut, and trained."""

import copy
import inspect
import pickle

import pytest
import torch

from rrahelpers import models, training
from rrahelpers.complexity import count
from rrahelpers.features import extract, layer_names
from rrahelpers.models.surgery import truncate
from rrahelpers.receptive_field import beyond_border, border_layer, receptive_fields
from rrahelpers.study import grids, published
from rrahelpers.study.grids.architecture import TRUNCATED, tail_begin
from rrahelpers.training import runs
from rrahelpers.training.config import RunConfig

STUDY = {"plan": grids.Plan(epochs=15), "data_set": "cifar10", "image_size": None, "seeds": 2,
         "widths": {"vgg": 0.25, "resnet": 0.25, "mpnet": 0.125, "densenet": 0.5}, "networks": None}
FIELDS = {**STUDY, "other_data_set": "tiny-imagenet-50", "other_image_size": 32}
ADVICE = {**STUDY, "input_size": 32, "wide_data_set": "tiny-imagenet-50", "wide_image_size": None,
          "wide_factors": [1, 0.5], "tail_data_set": "tiny-imagenet-50", "tail_image_size": 32,
          "tail_factors": [0.5, 0.0625]}
QUANTITIES = {"b_max", "b_min", "last receptive field", "layers", "layers in depth", "GFLOPs", "accuracy"}


@pytest.mark.parametrize("label", grids.NETWORKS)
def test_every_network_builds_at_the_widths_of_the_study(label):
    (row,) = grids.architecture_cells(lambda *a, **k: None, [label], 1, STUDY["widths"]).itertuples()
    with torch.device("meta"):
        narrow = models.build(row.model, **row.options)
    family = row.model.rstrip("0123456789")
    expected = 0.125 if label in grids.NARROW else STUDY["widths"][family]
    first = next(m for m in grids.untrained(label).modules() if isinstance(m, torch.nn.Conv2d))
    outputs = 64 if label not in grids.NARROW else 8
    assert first.out_channels == outputs and row.options["width"] == expected
    assert next(m for m in narrow.modules() if isinstance(m, torch.nn.Conv2d)).out_channels == 64 * expected


def test_the_published_numbers_are_of_networks_that_there_are():
    table = published.dissertation("receptive_fields")
    assert set(table.network) <= set(grids.NETWORKS)
    assert set(table.quantity) == QUANTITIES
    assert not table.duplicated(["network", "quantity"]).any()


def test_the_grid_has_every_network_seed_by_seed_and_figure_83_elsewhere():
    configs = grids.receptive_field(**FIELDS)
    both = len(set(grids.CHAPTER_9) & set(grids.CHAPTER_10))  # by either chapter's recipe
    assert len(configs) == 2 * (len(grids.NETWORKS) + both + 2) and both == 3
    assert [config.seed for config in configs] == [0] * (len(configs) // 2) + [1] * (len(configs) // 2)
    assert configs[0].model == "vgg16" and configs[0].options == {"width": 0.25}
    elsewhere = [c for c in configs if c.data == "tiny-imagenet-50"]
    assert [(c.model, c.image_size) for c in elsewhere] == [("vgg11", 32), ("vgg16", 32)] * 2


def test_whole_networks_are_shared_by_the_two_notebooks():
    configs = grids.advice(**ADVICE)
    fields = {runs._key(config) for config in grids.receptive_field(**FIELDS)}
    whole = {runs._key(c) for c in configs if c.data == "cifar10" and "truncate_at" not in c.options}
    assert len(whole & fields) == 2 * (4 + 2)  # ResNets and MPNets by table 12, ResNets without stem by table 11
    assert len({runs._key(c) for c in configs} - fields) == 2 * (8 + 4 + 2 + 2)  # cut, VGG by table 12, of other widths


def test_each_chapter_has_its_own_recipe():
    cells = grids.chapter_cells(*(FIELDS[name] for name in inspect.signature(grids.chapter_cells).parameters))
    found = {(where, config.optimiser, config.batch_size) for where, table in cells.items()
             for row in table.configs for config in row}
    assert found == {(9, "sgd", 64), (10, "adam", 128), ("elsewhere", "sgd", 64)}
    assert set(cells[9].label) | set(cells[10].label) == set(grids.NETWORKS)


def test_a_network_may_have_a_width_of_its_own():
    cells = grids.architecture_cells(STUDY["plan"].of(grids.STAC, "cifar10"), ["ResNet18", "ResNet18, CIFAR stem"], 1,
                                     {"resnet": 0.5, "ResNet18, CIFAR stem": 0.25})
    assert [options["width"] for options in cells.options] == [0.5, 0.25]


def test_only_what_is_wanted_is_trained():
    cells = grids.truncation_cells(grids.Plan(epochs=1).of(grids.STAC, "cifar10"), 32, 1, {}, ["VGG19"])
    assert cells[cells.configs.map(len) > 0].label.tolist() == ["VGG19", "VGG19"]
    assert [c.options for configs in cells.configs for c in configs] == [{}, {"truncate_at": "features.23"}]


@pytest.mark.parametrize("change, message", [
    ({"networks": ["VGG17"]}, "unknown networks .'VGG17'.; expected some of: VGG16; "),
    ({"widths": {"vgg16": 1}}, "widths for unknown families or networks .'vgg16'.; expected some of densenet, mpnet"),
])
def test_unknown_networks_and_families_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        grids.receptive_field(**FIELDS | change)


@pytest.mark.parametrize("label", TRUNCATED)
def test_what_is_cut_off_is_the_tail(label):
    model = grids.untrained(label)
    at, table = tail_begin(model, 32), receptive_fields(model, 32)
    stump = receptive_fields(truncate(model, at), 32)
    assert border_layer(stump[~stump.layer.str.contains("large")], 32) is None  # in an MPNet along the path of 3x3
    beyond = beyond_border(table, 32)
    lost = set(table.layer[beyond.index[~beyond]]) - set(stump.layer)
    block = at.rpartition(".small")[0]  # of an MPNet, which begins on both paths; nothing else is lost
    assert all(block and layer.startswith(f"{block}.") for layer in lost) and bool(lost) == (label == "MPNet18")


def test_a_network_without_a_tail_is_not_cut():
    assert tail_begin(grids.untrained("VGG11"), 224) is None
    recipe_of = grids.Plan(epochs=1).of(grids.STAC, "cifar10")
    left = grids.truncation_cells(recipe_of, 200, 1, {})
    assert "VGG11" not in set(left.label) and "VGG19" in set(left.label)
    with pytest.raises(ValueError, match="no network has a tail at 2000x2000 pixels"):
        grids.truncation_cells(recipe_of, 2000, 1, {})


# truncated networks by name -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, options, at", [
    ("vgg11", {"width": 0.125}, "features.15"),
    ("resnet18", {"width": 0.125, "attention": "spatial"}, "layer3.0.conv2"),
    ("resnet20", {"width": 0.5}, "stages.1.1.main.0"), ("torchvision/squeezenet1_0", {}, "features.7.squeeze"),
])
def test_build_truncates(name, options, at):
    with torch.device("meta"):
        built = models.build(name, num_classes=7, truncate_at=at, **options)
        cut = truncate(models.build(name, num_classes=7, **options), at)
    assert {k: v.shape for k, v in built.state_dict().items()} == {k: v.shape for k, v in cut.state_dict().items()}
    assert count(built, (3, 64, 64)) == count(cut, (3, 64, 64)) and built.head[2].out_features == 7
    assert built.training


def test_a_truncated_network_names_its_own_layers():
    for options in ({}, {"attention": "se"}):
        whole = models.build("resnet18", width=0.25, **options)
        cut = truncate(whole, "layer3.0.conv2")
        assert layer_names(cut) == [*whole.layer_names[:11], "head.2"]  # without projections and attention
        found = extract(cut, torch.randn(2, 3, 32, 32), layer_names(cut))
        assert found["layer3.0.conv1"].shape == (2, 64, 2, 2) and found["head.2"].shape == (2, 10)
    blocks = truncate(models.build("resnet20", width=0.5), "stages.1.1.main.0")  # whose blocks are taken apart
    assert layer_names(blocks)[:3] == ["input", "stem.0", "stages.0.0.main.0"] and layer_names(blocks)[-1] == "head.2"


def test_a_truncated_network_can_be_copied_and_pickled():
    cut = truncate(models.build("resnet18", width=1 / 8), "layer3.0.conv2").eval()
    images = torch.randn(2, 3, 32, 32)
    for copied in (copy.deepcopy(cut), copy.deepcopy(copy.deepcopy(cut)), pickle.loads(pickle.dumps(cut))):
        assert layer_names(copied) == layer_names(cut) and layer_names(cut)[-1] == "head.2"
        assert torch.equal(copied(images), cut(images))


def test_a_truncated_network_is_trained_stored_and_found_again():
    options = {"width": 0.125, "truncate_at": "features.15"}
    config = RunConfig("vgg11", "digits", options=options, image_size=32, epochs=1, limit=128)
    run = training.train(config)
    assert run.config.options["truncate_at"] == "features.15"
    x = run.preprocess(torch.zeros(2, 1, 32, 32, dtype=torch.uint8))
    assert run.model()(x).shape == (2, 10) and not run.model().training
    assert runs.find(config).name == run.name != training.resolve(RunConfig("vgg11", "digits")).name
    with pytest.raises(ValueError, match="expected the name of a Conv2d, got 'features.16'"):
        models.build("vgg11", truncate_at="features.16")

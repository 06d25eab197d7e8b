"""The recipes, against what the sources' tables print."""

from dataclasses import replace

import pytest

from rrahelpers.study import recipes
from rrahelpers.study.recipes import RECIPES, caption, follows, recipe
from rrahelpers.training import optimisation

PRINTED = {  # optimiser, rate, epochs, batch; the epochs at which the rate falls to a tenth
    "STAC paper, section 5": ("sgd", 0.1, 100, 128, None),
    "STAC paper, section 3.1": ("sgd", 0.01, 100, 128, None),
    "dissertation 7.1": ("adam", 1e-3, 30, 64, None),
    "dissertation, table 6": ("sgd", 0.1, 90, 64, 30),
    "dissertation, table 7": ("adam", 1e-4, 30, 128, None),
    "dissertation, table 8": ("adam", 1e-4, 30, 64, None),
    "dissertation, table 9": ("sgd", 0.1, 60, 64, 20),
    "dissertation, table 11": ("sgd", 0.1, 60, 64, 20),
    "dissertation, table 12": ("adam", 1e-4, 60, 128, None),
}


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_is_the_printed_table(name):
    config = recipe(name, "cifar10", "vgg16")
    optimiser, rate, epochs, batch, steps = PRINTED[name]
    assert (config.optimiser, config.learning_rate, config.epochs, config.batch_size) == (optimiser, rate, epochs,
                                                                                          batch)
    assert config.momentum == 0.9
    if name.startswith("dissertation"):
        assert config.weight_decay == 0
        rates = [optimisation.learning_rate(config, epoch, 1) for epoch in range(epochs)]
        expected = [rate * 0.1 ** (epoch // steps if steps else 0) for epoch in range(epochs)]
        assert rates == pytest.approx(expected)


def test_a_shortened_recipe_falls_in_proportion():
    assert recipe("dissertation, table 11", "cifar10", "vgg16", epochs=30).step_epochs == 10
    assert recipe("dissertation, table 6", "cifar10", "vgg16", epochs=10).step_epochs == 3


def test_the_dissertation_crops_before_it_resizes():
    assert recipe("dissertation, table 8", "cifar10", "resnet18", image_size=160).augment_first
    assert not recipe("dissertation, table 8", "cifar10", "resnet18").augment_first  # nothing is resized: one name
    assert not recipe("STAC paper, section 5", "cifar10", "resnet20", image_size=64).augment_first


def test_grey_images_have_their_own_normalisation():
    assert recipe("dissertation, table 8", "mnist", "resnet18").normalisation is None
    assert recipe("dissertation, table 8", "cifar10", "resnet18").normalisation == recipes.KRIZHEVSKY


def test_characters_are_not_mirrored_by_the_stac_recipe_alone():
    assert recipe("STAC paper, section 5", "mnist", "resnet20").augmentation == ("crop", "rotation")
    assert recipe("dissertation, table 8", "mnist", "resnet18").augmentation == ("crop", "flip")


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("fields", [{}, {"epochs": 20, "seed": 3, "options": {"width": 0.5}}, {"image_size": [16, 64]}])
@pytest.mark.parametrize("data", ["cifar10", "mnist"])
def test_a_configuration_follows_its_recipe_and_no_other(name, fields, data):
    config = recipe(name, data, "resnet18", **fields)
    assert follows(config, name)
    assert not follows(replace(config, learning_rate=0.3),
                       name) and not follows(replace(config, augmentation=("blur",)), name)
    alike = {"dissertation, table 7": "dissertation, table 12", "dissertation, table 6": "dissertation, table 11"}
    others = {other for other in RECIPES if follows(config, other)} - {name}
    assert others <= {alike.get(name), {v: k for k, v in alike.items()}.get(name)}  # they differ in their length alone


def test_captions():
    by = "dissertation, table 11"
    assert caption(recipe(by, "cifar10", "vgg16", epochs=30), (by,)) == "dissertation, table 11 (30 of 60 epochs)"
    assert caption(recipe(by, "cifar10", "vgg16"), (by,)) == "dissertation, table 11 (60 epochs)"
    alike = recipe("dissertation, table 7", "cifar10", "vgg16")
    assert caption(alike, ("dissertation, table 12",)) == "dissertation, table 12 (30 of 60 epochs)"
    assert caption(alike) == "dissertation, table 7 (30 epochs)"


def test_captions_tell_what_departs_from_a_recipe():
    plain = recipe("STAC paper, section 5", "cifar10", "resnet20", epochs=15, augmentation=())
    assert caption(plain) == "STAC paper, section 5 (15 of 100 epochs), but augmentation none"
    slow = recipe("STAC paper, section 5", "cifar10", "resnet20", learning_rate=0.01)
    assert caption(slow) == "STAC paper, section 3.1 (100 epochs)"
    by = "dissertation, table 11"
    other = recipe(by, "mnist", "vgg16", epochs=60, learning_rate=3.0, augmentation=("crop",))
    assert caption(other, (by,)) == f"{by} (60 epochs), but learning rate 3.0, augmentation crop"


def test_an_unknown_recipe_is_refused():
    with pytest.raises(ValueError,
                       match="unknown recipe 'table 3'; expected one of: STAC paper, section 5; "):
        recipe("table 3", "cifar10", "vgg16")

"""The grids of the notebooks on probes and tail patterns, and the published table that they are held against."""

import pytest

from rrahelpers.study import grids, published

PLAN = grids.Plan(epochs=3, train_limit=100)
FIELDS = {"plan": PLAN, "seeds": 2}
LOW = ["vgg16", "mnist", {}, [32]]
OBJECTS = ["vgg16", "cifar10", {}, [None, [32, {"canvas": 96}], 96]]
OTHER = ["resnet18", "cifar10", {}, [None, 64]]


def test_a_group_is_one_network_for_each_image_size():
    configs = grids.sizes_of(PLAN, grids.STAC, OBJECTS, seed=4)
    assert [config.image_size for config in configs] == [None, [32, {"canvas": 96}], 96]
    common = {(config.model, config.data, config.seed, config.epochs) for config in configs}
    assert common == {("vgg16", "cifar10", 4, 3)}


def test_probes_come_seed_by_seed():
    perceptron = ["skip_perceptron", "mnist", {}, [None]]
    configs = grids.probes(PLAN, ["vgg16", "cifar10", {}, [None]], perceptron, OTHER, LOW, 2)
    models = ["vgg16", "skip_perceptron", "resnet18", "resnet18", "vgg16"]
    assert [config.model for config in configs] == 2 * models
    assert [config.seed for config in configs] == 5 * [0] + 5 * [1]
    assert {(config.epochs, config.limit) for config in configs} == {(3, 100)}
    rates = ["steps", "cosine", "steps", "steps", "steps"]  # table 11, the STAC paper's, table 6
    assert [config.schedule for config in configs] == 2 * rates


def test_tails_leave_the_appendices_to_the_end_and_train_nothing_twice():
    same = OBJECTS[:3] + [[None]]  # figure 69a shows a network of figure 51
    detail, late = ["resnet50", "cifar10", {}, [64]], ["vgg19", "mnist", {}, [32]]
    configs = grids.tails(
        low=[LOW], objects=[OBJECTS, OTHER], resolutions=[OTHER, late], detail=[detail], pass_through=same,
        skipped=["densenet18", *same[1:]], zigzag=["resnet34", *same[1:]], **FIELDS)
    first = [(config.model, config.image_size) for config in configs if config.seed == 0]
    assert first == [("vgg16", 32), ("vgg16", None), ("vgg16", [32, {"canvas": 96}]), ("vgg16", 96), ("resnet18", None),
                     ("resnet18", 64), ("resnet50", 64), ("densenet18", None), ("resnet34", None), ("vgg19", 32)]
    assert [config.seed for config in configs] == [0] * len(first) + [1] * len(first)
    longer = grids.tails(low=[LOW], objects=[OBJECTS], resolutions=[OTHER], detail=[detail], pass_through=same,
                         skipped=same,
                         zigzag=same, detail_epochs=7, **FIELDS)
    assert {(config.model, config.epochs) for config in longer} == {("vgg16", 3), ("resnet18", 3), ("resnet50", 7)}
    by = {config.model: config for config in longer}
    assert by["resnet50"].optimiser == "sgd" and "resized_crop" in by["resnet50"].augmentation  # table 9
    assert by["vgg16"].optimiser == "adam"  # table 8
    assert [c.redraw_canvas for c in longer if c.model == "vgg16"][:3] == [False, False, True]  # section 9.2.1


def test_the_printed_table_of_resolution_and_detail():
    table = published.dissertation("resolution")
    assert table.groupby("data").size().to_dict() == {"ImageNet": 4, "iNaturalist": 4}
    assert (table.less_detail < table.enlarged).all()  # "a significant recovery … in all tested scenarios"
    assert (table.less_detail < 50).all()  # "less than half the predictive performance"


def test_a_plan_may_shorten_one_recipe_alone():
    plan = grids.Plan(epochs={"dissertation, table 6": 30}, data_checksums={"cifar10": "aaaa"})
    six, eleven = (plan.of(f"dissertation, table {number}", "cifar10")("vgg16") for number in (6, 11))
    assert (six.epochs, six.step_epochs, eleven.epochs) == (30, 10, 60)
    assert six.data_checksum == "aaaa" and plan.of(grids.STAC, "mnist")("vgg16").data_checksum is None
    one = grids.Plan(recipe=grids.STAC, epochs=3).of("dissertation, table 6", "cifar10")("vgg16")
    assert (one.epochs, one.schedule) == (3, "cosine")
    with pytest.raises(ValueError, match="epochs of unknown recipes .'table 6'.; expected some of: STAC paper, sec"):
        grids.Plan(epochs={"table 6": 30})

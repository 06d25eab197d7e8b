"""The grids: what is trained, in which order, and how windows are chosen from what is stored."""

import json
from dataclasses import replace
from functools import partial

import pandas as pd
import pytest
import torch

from rrahelpers import models
from rrahelpers.attention import stage_windows
from rrahelpers.base.files import digest, write_json
from rrahelpers.class_similarity import SCALES
from rrahelpers.data.downloads import DOWNLOADS
from rrahelpers.study import grids, published, strategies
from rrahelpers.training import runs
from rrahelpers.training.records import FORMAT
from rrahelpers.training.runs import RunError, store_root

STUDY = {"plan": grids.Plan(epochs=15), "data_sets": ["cifar10", "tiny-imagenet-50"], "image_sizes": [None, None],
         "learning_rates": [0.1, 0.1], "main_seeds": [3, 3], "seeds": [1, 1], "rows": None}
ABLATIONS = {**STUDY, "stage_windows": None, "samples": None, "k": 10}
BASE, STAC, SE, BAM = grids.MAIN


def key(config):
    return json.dumps(config.as_dict(), sort_keys=True)


def store(config, accuracy=0.5, checksum="aaaa", similarity=None, samples=None):
    """A finished run of ``config`` in the store, without weights, and its class similarity where given."""
    record = {**config.as_dict(), "data_checksum": checksum}
    folder = store_root() / f"{config.model}-{config.data}-{digest(record)}"
    write_json(folder / "record.json", {"format": FORMAT, "status": "complete", "config": record, "build": {},
                                        "mean": [], "std": [], "history": [{"epoch": 1, "test_accuracy": accuracy}]})
    if similarity is not None:
        parameters = {"split": "test", "samples": samples, "k": 10, "scales": [str(s) for s in SCALES]}
        path = folder / "results" / f"classrepsim-{digest(parameters)}.csv"
        write_json(path.with_suffix(".json"),
                   {"types": {name: str(dtype) for name, dtype in similarity.dtypes.items()}})
        similarity.to_csv(path, index=False)
    return folder


def curves(best):
    """Class similarity of a ResNet20 at 32 pixels whose best scale in each stage is given (text)."""
    rows = []
    for stage, side in enumerate((32, 16, 8)):
        for block in range(3):
            rows += [{"layer": f"stages.{stage}.{block}", "index": 2 + 3 * stage + block, "scale": str(scale),
                      "side": 1 if scale == "global" else max(1, side // scale),
                      "value": 0.9 if str(scale) == best[stage] else 0.4 + 0.01 * block} for scale in SCALES]
    outside = [{"layer": "fc", "index": 12, "scale": str(scale), "side": 1, "value": 1.0} for scale in SCALES]
    return pd.DataFrame(rows + outside)


def test_no_configuration_twice():
    for configs in (grids.stac(**STUDY), grids.stac_ablations(**ABLATIONS)):
        assert len({key(config) for config in configs}) == len(configs)


def test_base_networks_are_those_of_the_classrepsim_grid():
    base = grids.classrepsim(STUDY["plan"], ["cifar10", "tiny-imagenet-50"], [None, None], [3, 3], 0.1)
    assert {key(c) for c in base} <= {key(c) for c in grids.stac_ablations(**ABLATIONS)}
    assert {key(c) for c in base if c.data == "cifar10"} <= {key(c) for c in grids.stac(**STUDY)}


def test_the_study_profile_shares_its_base_networks_between_the_grids():
    """But for the copy of the data that each stands on."""
    def networks(configs):
        return {key(replace(config, data_checksum=None)) for config in configs}

    base = networks(grids.grid("classrepsim", "study"))
    assert base <= networks(grids.grid("stac-ablations", "study"))
    contrast = grids.grid("augmentation", "study")
    assert networks(config for config in contrast if config.augmentation) <= base
    order = [(config.seed, bool(config.augmentation)) for config in contrast]
    assert order == [(0, True), (0, False), (1, True), (1, False)]


def test_each_data_set_has_its_own_number_of_networks():
    configs = grids.classrepsim(STUDY["plan"], ["cifar10", "tiny-imagenet-50"], [None, None], [3, 2], 0.1)
    expected = [(name, seed) for seed in (0, 1) for name in STUDY["data_sets"]] + [("cifar10", 2)]
    assert [(c.data, c.seed) for c in configs] == expected
    main_alone = grids.stac_ablations(**ABLATIONS | {"main_seeds": [1, 2], "seeds": [1, 0]})
    order = [(c.options, c.seed) for c in main_alone if c.data == "tiny-imagenet-50"]
    assert order == [(BASE, 0), (STAC, 0), (BASE, 1), (STAC, 1)]
    whole = grids.stac_ablations(**ABLATIONS)
    assert sum(c.data == "cifar10" for c in main_alone) == sum(c.data == "cifar10" for c in whole) - 4
    table1 = grids.stac(**STUDY | {"main_seeds": [1, 0], "seeds": [0, 2]})
    assert [(c.data, c.seed) for c in table1[:4]] == [("cifar10", 0)] * 4
    assert [(c.data, c.seed) for c in table1[4:]] == [("tiny-imagenet-50", seed) for seed in (0, 1) for _ in range(5)]


@pytest.mark.parametrize("given", [3, [3], [3, 3, 3], None])
def test_a_parameter_without_a_value_for_each_data_set_is_refused_by_name(given):
    for grid, parameters in ((grids.stac, STUDY), (grids.stac_ablations, ABLATIONS)):
        for name in ("image_sizes", "learning_rates", "seeds", "main_seeds"):
            with pytest.raises(ValueError,
                               match=f"{name}: expected a list with one value for each .* cifar10, tiny-imagenet-50; "
                                     "got "):
                grid(**parameters | {name: given})
    with pytest.raises(ValueError, match="seeds: expected"):
        grids.classrepsim(STUDY["plan"], STUDY["data_sets"], [None, None], given, 0.1)


def test_parameters_for_all_notebooks_reach_the_grids():
    assert {config.epochs for config in grids.grid("stac", "paper")} == {100}
    assert {(config.epochs, config.limit) for config in grids.grid("stac-ablations", "smoke")} == {(1, 256)}


def test_no_data_set_of_characters_is_mirrored():
    characters = {"digits", "mnist", "kmnist", "svhn"}
    mirrored = {name for name in {"digits", *DOWNLOADS} if "flip" in grids.recipe(name).augmentation}
    assert mirrored == {"digits", *DOWNLOADS} - characters
    assert grids.recipe("svhn").augmentation == ("crop", "rotation", "colour", "greyscale", "blur")


@pytest.mark.parametrize("size, side", [(8, 8), ([8, 32], 32), ([16, {"canvas": 64}], 64)])
def test_the_stage_grid_takes_the_last_size_of_an_image(size, side):
    table = grids.stage_grid(partial(grids.recipe, "digits", image_size=size), 1)
    assert table[table.stage == 1].window.max() == side


def test_the_main_networks_come_first_seed_by_seed():
    configs = grids.stac(**STUDY)
    expected = [(options, seed) for seed in range(3) for options in grids.MAIN]
    assert [(c.options, c.seed) for c in configs[:12]] == expected
    assert {c.data for c in configs[:12]} == {"cifar10"}
    assert {c.seed for c in configs[12:17]} == {0}
    assert {(c.model, c.data) for c in configs} == {("resnet20", "cifar10"), ("resnet34", "tiny-imagenet-50")}
    assert {c.model for c in configs[-17:]} == {"resnet34"}


def test_ablations_follow_tables_4_3_2_5_then_the_stage_grid():
    configs = [c for c in grids.stac_ablations(**ABLATIONS) if c.data == "cifar10"]
    expected = [(options, seed) for seed in range(3) for options in (BASE, STAC)]
    assert [(c.options, c.seed) for c in configs[:6]] == expected
    rows = [options for number in (4, 3, 2, 5) for options in published.table(number).query("data == 'CIFAR10'").options
            if options not in grids.MAIN]
    assert [c.options for c in configs[6:6 + len(rows)]] == rows
    assert all(len(c.options["stages"]) == 1 for c in configs[6 + len(rows):])


def test_number_of_cifar10_cells():
    printed = {key(c) for c in grids.stac(**STUDY) if c.data == "cifar10" and c.seed == 0}
    assert len(printed) == 9
    ablations = {key(c) for c in grids.stac_ablations(**ABLATIONS) if c.data == "cifar10" and c.seed == 0}
    stage_grid = grids.stage_grid(STUDY["plan"].of(grids.STAC, "cifar10"), 1)
    windows = stage_grid.groupby("stage").window.apply(list).tolist()
    assert windows == [[1, 2, 4, 8, 16, 32], [1, 2, 4, 8, 16], [1, 2, 4, 8]]
    every = printed | ablations
    assert len(every - {key(row[0]) for row in stage_grid.configs}) == 21 - 3  # S1, S2, S3 are in table 3 too
    assert len(every) == 21 + 12


def test_every_network_builds():
    seen = {(c.model, json.dumps(c.options)) for c in grids.stac(**STUDY) + grids.stac_ablations(**ABLATIONS)}
    for model, options in seen:
        with torch.device("meta"):
            models.build(model, **json.loads(options), num_classes=10, in_channels=3)


def test_windows_fit_the_maps():
    for config in grids.stac_ablations(**ABLATIONS):
        side = {"cifar10": 32, "tiny-imagenet-50": 64}[config.data]
        windows = stage_windows(3, window=config.options.get("window", 8), stages=config.options.get("stages"))
        for stage, window in windows.items():
            assert window == "global" or window <= side // 2 ** (stage - 1)


def test_rows_choose_networks_by_any_of_their_labels():
    recipe = grids.Plan(epochs=12).of(grids.STAC, "digits", 32)
    table = grids.cells(4, recipe, 1, 2, ["STAC - Standard", "P 1"])
    assert dict(zip(table.label, table.configs.map(len))) == {"P 1": 1, "P 2": 0, "P 4": 0, "P 8": 2, "P GAP": 0}
    with pytest.raises(ValueError, match="no row of the STAC paper's tables is called P 3"):
        grids.cells(4, recipe, 1, 1, ["P 3"])
    with pytest.raises(ValueError, match="no column for 'mnist'; expected one of cifar10"):
        grids.cells(4, grids.Plan(epochs=12).of(grids.STAC, "mnist", 32), 1, 1)


@pytest.mark.parametrize("number", published.TABLES)
def test_options_of_windows_are_those_of_the_tables(number):
    for row in published.table(number).itertuples():
        if row.options.get("attention") == "stac" and row.model == "resnet20":
            window, stages = row.options.get("window", 8), row.options.get("stages", [1, 2, 3])
            each = window if isinstance(window, list) else [window] * 3
            windows = [w if stage in stages else None for stage, w in enumerate(each, start=1)]
            chosen = grids.stac_options(windows, row.options.get("kernels"), row.options.get("placement", "standard"))
            assert chosen == row.options
    assert grids.stac_options([None, None, None]) == {}


def test_maximum_class_similarity_by_hand():
    assert strategies.maximum_class_similarity(curves(["8", "4", "8"])) == (8, 4, 8)
    assert strategies.maximum_class_similarity(curves(["global", "1", "2"])) == (32, 1, 2)
    two = pd.concat([curves(["8", "4", "1"]), curves(["8", "4", "2"]), curves(["8", "4", "2"])])
    assert strategies.maximum_class_similarity(two) == (8, 4, 2)


def test_equal_values_go_to_the_larger_window():
    assert strategies.maximum_class_similarity(curves(["none", "none", "none"])) == (32, 16, 8)
    table = pd.DataFrame({"stage": [1, 1, 2], "window": [2, 4, 8], "accuracy": [0.5, 0.5, 0.1]})
    assert strategies.greedy(table) == (4, 8)


def test_class_similarity_without_blocks_or_identity_is_refused():
    table = curves(["8", "8", "8"])
    with pytest.raises(ValueError, match="got layers \\['fc'\\]"):
        strategies.maximum_class_similarity(table[table.layer == "fc"])
    with pytest.raises(ValueError, match="the scale '1' among them"):
        strategies.maximum_class_similarity(table[table.scale != "1"])


def test_greedy_averages_over_seeds():
    table = pd.DataFrame({"stage": [1] * 4, "window": [1, 1, 2, 2], "accuracy": [0.9, 0.1, 0.6, 0.6]})
    assert strategies.greedy(table) == (2,)


def small(**changes):
    return {**ABLATIONS, "data_sets": ["digits"], "image_sizes": [32], "learning_rates": [0.1], "main_seeds": [2],
            "seeds": [1],
            "stage_windows": [4, 8], **changes}


def test_own_windows_join_the_grid_when_what_they_rest_on_is_stored():
    def last():
        return grids.stac_ablations(**small())

    before = last()
    base = [c for c in before if c.options == BASE]
    store(base[0], similarity=curves(["4", "2", "1"]))
    assert last() == before  # one of two base networks
    store(base[1], similarity=curves(["4", "2", "1"]))
    own = [c for c in last() if c not in before]
    assert [c.options for c in own] == [{"attention": "stac", "window": [4, 2, 1]}]

    alone = [c for c in before if c.options.get("stages") in ([1], [2], [3])]
    assert len(alone) == 6
    for config in alone[:-1]:
        store(config, accuracy=0.9 if config.options.get("window") == 4 else 0.8)
    assert len(last()) == len(before) + 1  # one cell of the stage grid is missing
    store(alone[-1], accuracy=0.1)
    assert alone[-1].options == {"attention": "stac", "window": 4, "stages": [3]}
    assert len(last()) == len(before) + 2
    assert last()[-1].options == {"attention": "stac", "window": [4, 4, 8]}


def test_finished_runs_are_found_and_nothing_is_trained():
    configs = grids.stac_ablations(**small())[:3]
    folder = store(configs[1], accuracy=0.75)
    found = runs.finished(configs)
    assert [run and run.name for run in found] == [None, folder.name, None]
    table = grids.with_runs(pd.DataFrame({"configs": [configs[:1], configs[1:]]}))
    assert table.runs.map(len).tolist() == [0, 1]
    assert len(list(store_root().glob("*"))) == 1


def test_runs_that_diverged_are_left_out_but_from_tables_of_accuracies():
    config, other = grids.stac_ablations(**small())[:2]
    folder = store(config)
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    (folder / "record.json").write_text(json.dumps(record | {"status": "diverged"}), encoding="utf-8")
    with pytest.warns(UserWarning, match=f"{folder.name} diverged and is left out"):
        assert grids.trained([config, other]) == [None, None]
    table = pd.DataFrame({"configs": [[config, other]]})
    assert [len(row) for row in grids.with_runs(table, diverged=True).runs] == [1]
    with pytest.warns(UserWarning, match="diverged"):
        assert [len(row) for row in grids.with_runs(table).runs] == [0]


def test_runs_on_several_copies_of_the_data_do_not_mix(monkeypatch):
    configs = grids.stac_ablations(**small())[:2]
    store(configs[0], checksum="aaaa")
    store(configs[1], checksum="bbbb")
    monkeypatch.setattr("rrahelpers.data.checksum", lambda name: "bbbb")
    assert [run and run.config.data_checksum for run in runs.finished(configs)] == [None, "bbbb"]
    monkeypatch.setattr("rrahelpers.data.checksum", lambda name: "cccc")
    with pytest.raises(RunError, match="2 copies of digits"):
        runs.finished(configs)


@pytest.mark.parametrize("recipe, shared", [(grids.STAC, True), (None, False)])
def test_eigenspace_grids_share_their_networks_where_they_share_a_recipe_and_train_each_once(recipe, shared):
    common = {"plan": grids.Plan(recipe, epochs=15), "data_set": "cifar10", "image_size": None,
              "depths": ["vgg11", "vgg16"], "widths": [0.25, 1], "seeds": 2}
    several = [["resnet18", {}], ["vgg16", {"width": 0.25}]]
    projection = grids.projection(**common, tested=several, tested_seeds=3)
    harder = {"difficult": ["resnet18", {}], "difficulty": [["mnist", 32], ["cifar10", None]]}
    saturation = grids.saturation(**common, **harder, stable=several, stable_seeds=3)
    family = [("vgg11", {"width": 0.25}), ("vgg16", {"width": 0.25}), ("vgg11", {}), ("vgg16", {})]
    for configs in (projection, saturation):
        expected = [(*network, seed) for seed in (0, 1) for network in family]
        assert [(c.model, c.options, c.seed) for c in configs[:8]] == expected
        assert len({key(c) for c in configs}) == len(configs)
    assert [(c.model, c.seed) for c in projection[8:]] == [*(("resnet18", seed) for seed in range(3)), ("vgg16", 2)]
    assert [(c.model, c.data, c.image_size) for c in saturation[8:10]] == [
        ("resnet18", "mnist", 32), ("resnet18", "cifar10", None)]
    own = {key(c) for c in saturation} - {key(c) for c in projection}
    assert own == ({key(saturation[8])} if shared else {key(c) for c in saturation})
    assert {(c.optimiser, c.learning_rate) for c in projection} == {("sgd", 0.1) if shared else ("adam", 1e-3)}  # 7.1
    batches = [c.batch_size for c in saturation[7:11]]
    assert batches == ([128] * 4 if shared else [128, 64, 64, 128])  # table 7, table 8 for figure 48


def test_one_network_of_the_study_serves_two_notebooks():
    studied = {name: {key(c) for c in grids.grid(name, "study")} for name in ("projection", "saturation")}
    assert any("vgg16" in name for name in set.intersection(*studied.values()))  # one VGG16 serves both

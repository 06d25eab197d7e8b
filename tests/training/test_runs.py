"""The run store: names that never change, records that are refused when damaged, results that are computed once."""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch

from rrahelpers import data, models
from rrahelpers.__main__ import main
from rrahelpers.base import files
from rrahelpers.study import grids
from rrahelpers.training import runs
from rrahelpers.training.augmentation import AUGMENTATIONS
from rrahelpers.training.config import RunConfig
from rrahelpers.training.records import FORMAT
from rrahelpers.training.runs import Run, RunError
from tests.stored import BUILD, CONFIG, store

# --- names ----------------------------------------------------------------------------------------------------------


def test_names_of_stored_runs_never_change():
    """Pinned: with any other name, a stored run is lost and trained again."""
    assert RunConfig("resnet20", "digits", data_checksum="0123456789ab").name == "resnet20-digits-9a173ccd2706"
    study = grids.recipe("cifar10", epochs=15, learning_rate=0.1, data_checksum="8190572fbf27")
    assert study.name == "resnet20-cifar10-4ec51bbe1e77"


def test_every_committed_run_has_the_name_of_its_configuration():
    records = sorted(files.project_root().glob("data/runs/*/record.json"))
    assert records
    for record in records:
        assert RunConfig(**json.loads(record.read_text(encoding="utf-8"))["config"]).name == record.parent.name


def test_defaults_never_change():
    """Fields at their default don't enter a run's name, so another default would give old names to new recipes."""
    assert asdict(RunConfig("m", "d")) == {
        "model": "m", "data": "d", "options": {}, "image_size": None, "limit": None, "epochs": 100, "batch_size": 128,
        "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "warmup": 0.1, "final": 0.01,
        "optimiser": "sgd", "schedule": "cosine", "step_epochs": None, "normalisation": None, "initialisation": "model",
        "augment_first": False, "redraw_canvas": False,
        "augmentation": ("crop", "flip", "rotation", "colour", "greyscale", "blur"), "seed": 0, "data_checksum": None,
    }


def test_fields_at_their_default_stay_out_of_the_name():
    spelled = RunConfig("resnet20", "digits", options={}, epochs=100, seed=0, augmentation=AUGMENTATIONS)
    assert spelled.as_dict() == {"model": "resnet20", "data": "digits"}


def test_every_field_enters_the_name():
    other = {"model": "resnet34", "data": "mnist", "options": {"width": 2}, "image_size": 32, "limit": 10, "epochs": 3,
             "batch_size": 64, "learning_rate": 0.2, "momentum": 0.8, "weight_decay": 1e-3, "warmup": 0.2, "final": 0.1,
             "augmentation": ("crop",), "seed": 1, "data_checksum": "ffffffffffff", "optimiser": "adam",
             "schedule": "constant", "step_epochs": 5, "normalisation": [[0.5], [0.25]], "initialisation": "kaiming",
             "augment_first": True, "redraw_canvas": True}
    assert set(other) == set(asdict(CONFIG))
    base = RunConfig("resnet20", "digits", image_size={"canvas": 40}, data_checksum="0123456789ab")
    steps = replace(base, schedule="steps", step_epochs=4)
    names = {replace(steps if field == "step_epochs" else base, **{field: value}).name
             for field, value in other.items()}
    assert len(names | {base.name, steps.name}) == len(other) + 2


def test_one_name_for_one_configuration_however_it_is_spelled():
    first = replace(CONFIG, options={"attention": "stac", "window": (4, 2, 1)}, augmentation=("crop", "flip"))
    second = replace(CONFIG, options={"window": [4, 2, 1], "attention": "stac"}, augmentation=["flip", "crop"])
    assert first == second and first.name == second.name
    assert RunConfig(**first.as_dict()) == first  # and read back from a record
    assert replace(CONFIG, augmentation=()).name != CONFIG.name
    canvas = replace(CONFIG, image_size=(32, {"canvas": 64}))
    assert canvas.image_size == [32, {"canvas": 64}] and RunConfig(**canvas.as_dict()) == canvas
    assert replace(CONFIG, image_size=[32]).name == replace(CONFIG, image_size=32).name != canvas.name


def test_a_whole_number_has_one_spelling():
    spellings = [{"width": 1, "window": [8, 4], "of": {"depth": 2}},
                 {"width": 1.0, "window": [8.0, 4], "of": {"depth": 2.0}}]
    first, second = (replace(CONFIG, options=options) for options in spellings)
    assert first == second and first.name == second.name
    assert replace(CONFIG, options={"width": 1.5}).options == {"width": 1.5}
    assert replace(CONFIG, options={"skip": True}).options["skip"] is True


def test_committed_runs_are_found_by_their_names():
    records = list((files.project_root() / "data/runs").glob("*/record.json"))
    assert records and all(Run(path.parent).config.name == path.parent.name for path in records)


def test_a_name_is_one_folder_of_the_store():
    assert "/" not in replace(CONFIG, model="torchvision/resnet34").name


def test_no_name_without_the_datas_checksum():
    with pytest.raises(ValueError, match="needs the data's checksum"):
        RunConfig("resnet20", "digits").name


@pytest.mark.parametrize("fields, message", [
    ({"epochs": 0}, r"expected positive values, got \{'epochs': 0\}"),
    ({"batch_size": -1}, "'batch_size': -1"),
    ({"learning_rate": float("nan")}, "'learning_rate': nan"),
    ({"epochs": 0, "learning_rate": 0.0}, "'epochs': 0, 'learning_rate': 0.0"),
    ({"warmup": 1.0}, "expected warmup in"),
    ({"warmup": -0.1}, "expected warmup in"),
    ({"final": 1.5}, "final in"),
    ({"augmentation": ("crop", "mixup")}, r"unknown augmentation \['mixup'\]"),
    ({"image_size": "32"}, "a list of such steps, got '32'"),
    ({"optimiser": "lamb"}, "optimiser: expected one of sgd, adam, adamw, got 'lamb'"),
    ({"schedule": "linear"}, "schedule: expected one of cosine, steps, constant, got 'linear'"),
    ({"schedule": "steps"}, "step_epochs goes with the schedule 'steps'.*got 'steps' and None"),
    ({"step_epochs": 5}, "step_epochs goes with the schedule 'steps'.*got 'cosine' and 5"),
    ({"schedule": "steps", "step_epochs": 0}, "step_epochs to be a positive whole number, got 0"),
    ({"initialisation": "zeros"}, "initialisation: expected one of model, kaiming, got 'zeros'"),
    ({"augment_first": 1}, "augment_first: expected true or false, got 1"),
    ({"redraw_canvas": True, "image_size": 32}, "redraw_canvas needs an image_size with a canvas, got 32"),
    ({"normalisation": [[0.5], [0.2, 0.2]]}, r"expected \[mean, deviation\] with a number for each channel"),
    ({"normalisation": [[0.5], [0.0]]}, "deviations above 0"),
    ({"augmentation": "crop"}, "unknown augmentation"),  # a string is a sequence of letters
    ({"augmentation": None}, r"unknown augmentation None; expected some of .*, in a list"),
    ({"augmentation": [["crop"]]}, r"unknown augmentation \[\['crop'\]\]"),
    ({"epochs": None}, r"positive values, got \{'epochs': None\}"),
    ({"learning_rate": [1]}, r"positive values, got \{'learning_rate': \[1\]\}"),
    ({"momentum": float("nan")}, r"finite numbers, got \{'momentum': nan\}"),
    ({"momentum": 1}, r"momentum in \[0, 1\) and weight_decay from 0 on, got 1 and 0.0001"),
    ({"weight_decay": -1e-4}, "got 0.9 and -0.0001"),
    ({"weight_decay": None, "final": "x"}, "finite numbers, got {'weight_decay': None, 'final': 'x'}"),
    ({"warmup": True}, "finite numbers, got {'warmup': True}"),
    ({"options": None}, "options: expected {name: value} of the model, got None"),
    ({"options": {"width": float("nan")}}, "options: expected what JSON can hold, got {'width': nan}"),
    ({"options": {"width": object}}, "options: expected what JSON can hold"),
    ({"options": {"num_classes": 3, "in_channels": 3}}, "in_channels and num_classes can't be chosen"),
])
def test_impossible_configurations(fields, message):
    with pytest.raises(ValueError, match=message):
        RunConfig("resnet20", "digits", **fields)


@pytest.mark.parametrize("model, data, message", [(5, "digits", "model: expected a name, got 5"),
                                                  ("resnet20", None, "data: expected a name, got None")])
def test_names_that_are_none(model, data, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(model, data)


def test_the_options_are_a_copy():
    options = {"width": 1}
    config = replace(CONFIG, options=options)
    options["width"] = 2
    assert config.options == {"width": 1}


# --- records and weights --------------------------------------------------------------------------------------------


def test_a_stored_run_gives_back_what_was_stored():
    run = Run(store())
    assert run.config == CONFIG and run.name == CONFIG.name and run.accuracy == 0.6
    assert run.history.epoch.tolist() == [1, 2] and run.history.loss.tolist() == [2.0, 2.0]
    torch.manual_seed(0)
    expected = models.build("resnet20", **BUILD).state_dict()
    model = run.model()
    assert not model.training
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


def test_preprocessing_normalises_bytes_and_fractions_alike():
    run = Run(store())
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    expected = (torch.arange(256).view(1, 1, 16, 16) / 255 - 0.3) / 0.4
    torch.testing.assert_close(run.preprocess(images), expected)
    torch.testing.assert_close(run.preprocess(images / 255), expected)


def test_a_runs_images_are_those_that_it_was_trained_on():
    run = Run(store(replace(CONFIG, data_checksum=data.checksum("digits"), image_size=16)))
    assert torch.equal(run.images("test", 7).images, data.load("digits", "test", limit=7, image_size=16).images)
    with pytest.raises(data.DataError,
                       match="trained on digits with the checksum 0123456789ab, found here is .*Stored results can"):
        Run(store()).images("test")


def test_a_diverged_run_has_no_accuracy():
    assert np.isnan(Run(store(status="diverged")).accuracy)


@pytest.mark.parametrize("content", ["", '{"format": 1, "sta', "[]", "17", "{}", "\x00\x00"])
def test_a_damaged_record(content):
    folder = store()
    (folder / "record.json").write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match=r"record.json is damaged \(.*restore it with git checkout, or move"):
        Run(folder)


def test_a_record_that_is_not_text():
    folder = store()
    (folder / "record.json").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(RunError, match="record.json is damaged"):
        Run(folder)


@pytest.mark.parametrize("key", ["status", "config", "build", "mean", "std", "history"])
def test_a_record_that_lacks_something(key):
    folder = store()
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    del record[key]
    files.write_json(folder / "record.json", record)
    with pytest.raises(RunError, match=f"record.json is damaged .it has no {key}"):
        Run(folder)


@pytest.mark.parametrize("key, value", [("config", []), ("build", 3), ("mean", "a"), ("std", None), ("status", 1),
                                        ("history", {}), ("history", []), ("history", [{"epoch": 1}]), ("history", [1]),
                                        ("history", [{"test_accuracy": None}])])
def test_a_record_with_something_of_another_form(key, value, capsys):
    folder = store()
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    files.write_json(folder / "record.json", record | {key: value})
    with pytest.raises(RunError, match=f"record.json is damaged .not of the expected form: {key}.; restore"):
        Run(folder)
    assert main(["list"]) == 1 and "not of the expected form" in capsys.readouterr().err


def test_a_record_of_another_format():
    with pytest.raises(RunError, match=f"has format {FORMAT + 1}, this version reads {FORMAT}; move the folder"):
        Run(store(format=FORMAT + 1))


def test_a_record_of_a_newer_version_is_named():
    folder = store(config=CONFIG)
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    record["config"]["label_smoothing"] = 0.1
    files.write_json(folder / "record.json", record)
    with pytest.raises(RunError, match=f"{folder.name} was written by another version .*label_smoothing"):
        runs.finished([replace(CONFIG, seed=1)])


def test_a_folder_without_a_record(tmp_path):
    with pytest.raises(RunError, match="is no finished run: expected record.json in it"):
        Run(tmp_path)


def test_missing_weights():
    folder = store()
    (folder / "weights.safetensors").unlink()
    run = Run(folder)
    assert run.accuracy == 0.6  # the record serves without them
    with pytest.raises(RunError, match="has a record but no weights .*weights.safetensors, weights.large.safetensors"):
        run.model()
    assert isinstance(run.untrained(), torch.nn.Module)


@pytest.mark.parametrize("damage", [lambda b: b[:-10], lambda b: b"", lambda b: b"\xff" * 100])
def test_damaged_weights(damage):
    folder = store()
    path = folder / "weights.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match="weights.safetensors is damaged or belongs to another network .*git checkout"):
        Run(folder).model()


def test_weights_of_another_network():
    folder = store(build={**BUILD, "width": 0.5})
    with pytest.raises(RunError, match="belongs to another network"):
        Run(folder).model()


def test_only_large_weights_take_the_name_that_git_ignores(tmp_path):
    limit = runs.COMMITTED_WEIGHTS // 4
    runs.save_weights(tmp_path / "small", {"w": torch.zeros(limit)})
    runs.save_weights(tmp_path / "large", {"a": torch.zeros(limit), "b": torch.zeros(1)})
    assert [p.name for p in (tmp_path / "small").iterdir()] == ["weights.safetensors"]
    assert [p.name for p in (tmp_path / "large").iterdir()] == ["weights.large.safetensors"]


def test_git_ignores_large_weights_and_unfinished_work_alone():
    root = files.project_root()
    if subprocess.run(["git", "-C", root, "rev-parse"], capture_output=True).returncode:
        pytest.skip("not a git checkout")

    def ignored(name):
        path = f"data/runs/resnet20-cifar10-0/{name}"
        return subprocess.run(["git", "-C", root, "check-ignore", "-q", "--no-index", path]).returncode == 0

    names = ["weights.large.safetensors", "epoch-3.safetensors", "checkpoint.pt", ".lock", "record.json.17.tmp",
             "record.json", "weights.safetensors", "results/saturation-0.csv"]
    assert [ignored(name) for name in names] == [True] * 5 + [False] * 3


# --- finding runs ---------------------------------------------------------------------------------------------------


def test_find_by_name():
    assert runs.find(CONFIG) is None
    store()
    assert runs.find(CONFIG).config == CONFIG
    assert runs.find(replace(CONFIG, seed=1)) is None


def test_find_without_a_checksum():
    wanted = replace(CONFIG, data_checksum=None)
    assert runs.find(wanted) is None
    store(replace(CONFIG, seed=1))
    assert runs.find(wanted) is None
    store()
    assert runs.find(wanted).config == CONFIG
    store(replace(CONFIG, data_checksum="ba9876543210"))
    with pytest.raises(RunError, match="2 copies of .*give data_checksum to choose"):
        runs.find(wanted)
    assert runs.find(CONFIG).config == CONFIG
    other, absent = (replace(CONFIG, data_checksum=checksum) for checksum in ("ba9876543210", "000000000000"))
    assert [run and run.config for run in runs.finished([CONFIG, other, absent])] == [CONFIG, other, None]


def test_unfinished_runs_are_not_listed():
    store()
    unfinished = runs.store_root() / replace(CONFIG, seed=1).name
    unfinished.mkdir()
    (unfinished / "checkpoint.pt").write_bytes(b"")
    assert [run.name for run in runs.stored_runs()] == [CONFIG.name]


# --- results --------------------------------------------------------------------------------------------------------

TABLE = pd.DataFrame({"layer": ["stem", "fc"], "index": [1, 12], "scale": ["1", "global"], "value": [0.1 + 0.2, 1e-12],
                      "kept": [True, False]})


def test_a_result_is_computed_once_and_the_same_table_ever_after():
    run = Run(store())
    first = run.result("classrepsim", {"k": 10, "scales": (1, "global")}, TABLE.copy)
    again = run.result("classrepsim", {"scales": [1, "global"], "k": 10}, lambda: pytest.fail("computed again"))
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    pd.testing.assert_frame_equal(first, TABLE, rtol=1e-7)
    about, = (json.loads(path.read_text(encoding="utf-8")) for path in (run.folder / "results").glob("*.json"))
    assert about["measure"] == "classrepsim" and about["parameters"]["k"] == 10 and "torch" in about["environment"]


def test_a_column_of_digits_stays_text():
    run = Run(store())
    scales = pd.DataFrame({"scale": ["1", "2"], "value": [0.5, 1.0]})
    for _ in range(2):
        assert run.result("classrepsim", {}, scales.copy).scale.tolist() == ["1", "2"]


@pytest.mark.parametrize("damage", ["{", "{}", None, "[]", '{"types": {"value": "nonsense"}}'])
def test_a_damaged_result_is_named_and_not_computed_over(damage):
    run = Run(store())
    run.result("classrepsim", {}, TABLE.copy)
    about, = (run.folder / "results").glob("*.json")
    about.unlink() if damage is None else about.write_text(damage, encoding="utf-8")
    with pytest.raises(RunError, match="classrepsim-.*csv or its .*json is damaged .*computed again"):
        run.result("classrepsim", {}, TABLE.copy)


@pytest.mark.parametrize("damage", [lambda text: text[:-1], lambda text: "".join(text.splitlines(True)[:-1]),
                                    lambda text: "layer,value\n", lambda text: "\0\1", lambda text: ""])
def test_a_result_that_is_cut_off_is_not_drawn_as_the_whole(damage):
    run = Run(store())
    run.result("classrepsim", {}, TABLE.copy)
    path, = (run.folder / "results").glob("*.csv")
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(RunError, match="classrepsim-.*csv or its .*json is damaged .*computed again"):
        run.result("classrepsim", {}, TABLE.copy)


def test_a_result_without_the_number_of_its_rows_is_read():
    run = Run(store())
    stored = run.result("classrepsim", {}, TABLE.copy)
    about, = (run.folder / "results").glob("*.json")
    told = json.loads(about.read_text(encoding="utf-8"))
    del told["rows"]  # as before it was written
    files.write_json(about, told)
    pd.testing.assert_frame_equal(run.result("classrepsim", {}, None), stored)


def test_a_result_that_cannot_be_stored_is_not_lost():
    run = Run(store())
    (run.folder / "results").write_text("no folder", encoding="utf-8")
    with pytest.warns(UserWarning, match="cannot write .*computed again next time"):
        table = run.result("classrepsim", {}, TABLE.copy)
    pd.testing.assert_frame_equal(table, TABLE)


def test_results_are_kept_apart_by_measure_and_parameters():
    run = Run(store())
    for value, (measure, parameters) in enumerate([("a", {"k": 1}), ("a", {"k": 2}), ("b", {"k": 1})]):
        table = run.result(measure, parameters, lambda: pd.DataFrame({"value": [value]}))
        assert table.value.tolist() == [value]


def test_a_result_that_fails_leaves_nothing_and_is_computed_next_time():
    run = Run(store())
    with pytest.raises(ZeroDivisionError):
        run.result("a", {}, lambda: 1 / 0)
    assert not list(run.folder.rglob("results/*"))
    assert len(run.result("a", {}, TABLE.copy)) == 2


def test_a_result_always_has_its_origin_beside_it(monkeypatch):
    """However early the writing of a result is cut off, no table is left without the record of its parameters."""
    run = Run(store())
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", stop_after(1))
        with pytest.warns(UserWarning, match="disk"):
            run.result("a", {"k": 1}, TABLE.copy)
    tables = {path.stem for path in run.folder.glob("results/*.csv")}
    assert tables <= {path.stem for path in run.folder.glob("results/*.json")}
    run.result("a", {"k": 1}, TABLE.copy)
    assert sorted(path.suffix for path in run.folder.glob("results/*")) == [".csv", ".json"]


def stop_after(count):
    """An ``os.replace`` that works ``count`` times and then finds the disk full."""
    real, calls = os.replace, []

    def replace_file(*paths):
        calls.append(paths)
        if len(calls) > count:
            raise OSError(28, "no space left on the disk")
        return real(*paths)

    return replace_file


# --- atomic writes --------------------------------------------------------------------------------------------------


def test_an_atomic_write_replaces_the_whole_file_and_makes_its_folder(tmp_path):
    path = tmp_path / "new" / "file.txt"
    for content in ("the first, long content", "short"):
        with files.atomic(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == content
    assert list(path.parent.iterdir()) == [path]


def test_an_error_while_writing_leaves_the_old_content(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        with files.atomic(path) as temporary:
            temporary.write_text("ne", encoding="utf-8")
            raise KeyboardInterrupt
    assert path.read_text(encoding="utf-8") == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_content(tmp_path, monkeypatch, call):
    path = tmp_path / "record.json"
    files.write_json(path, {"old": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, call, full)
        with pytest.raises(OSError, match="No space left"):
            files.write_json(path, {"new": 2})
    assert json.loads(path.read_text(encoding="utf-8")) == {"old": 1} and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="asks Linux for the names of open files")
def test_the_content_is_on_the_disk_before_it_takes_the_old_ones_place_and_its_name_after(tmp_path, monkeypatch):
    calls, fsync, rename = [], os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync",
                        lambda file: (calls.append(os.readlink(f"/proc/self/fd/{file}")), fsync(file))[1])
    monkeypatch.setattr(files.os, "replace",
                        lambda *paths: (calls.append([str(path) for path in paths]), rename(*paths))[1])
    files.write_json(tmp_path / "record.json", {})
    content, (temporary, path), folder = calls
    assert content == temporary and path == str(tmp_path / "record.json") and folder == str(tmp_path)


def test_a_folder_that_cannot_be_flushed_costs_nothing(tmp_path, monkeypatch):
    def refuse(path, flags):
        raise PermissionError(13, "Permission denied")  # as Windows answers to a folder

    monkeypatch.setattr(files.os, "open", refuse)
    files.write_json(tmp_path / "record.json", {"new": 1})
    assert json.loads((tmp_path / "record.json").read_text(encoding="utf-8")) == {"new": 1}


def test_writers_of_one_file_share_no_temporary(tmp_path):
    """Two at once, as threads of one process, or processes of one number on two machines: each writes its own."""
    path = tmp_path / "file.txt"
    with files.atomic(path) as first, files.atomic(path) as second:
        assert first != second and {first.suffix, second.suffix} == {".tmp"} and {first.parent,
                                                                                  second.parent} == {tmp_path}
        first.write_text("of the first", encoding="utf-8")
        second.write_text("of the second", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "of the first"  # left last
    assert list(tmp_path.iterdir()) == [path]


def test_many_threads_write_one_file_and_leave_one_whole_content(tmp_path):
    path = tmp_path / "record.json"
    contents = [{"writer": i, "filling": "x" * 5000} for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: files.write_json(path, content), contents))
    assert json.loads(path.read_text(encoding="utf-8")) in contents and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_files_have_the_permissions_that_the_user_gives_to_new_ones(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    files.write_json(tmp_path / "record.json", {})
    assert (tmp_path / "record.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_records_hold_no_nan(tmp_path):
    path = tmp_path / "record.json"
    with pytest.raises(ValueError):
        files.write_json(path, {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


def test_one_spelling_for_numbers_and_whole_numbers_only():
    assert replace(CONFIG, learning_rate=1, warmup=0).name == replace(CONFIG, learning_rate=1.0, warmup=0.0).name
    with pytest.raises(ValueError, match="whole numbers, got {'epochs': 1.5}"):
        replace(CONFIG, epochs=1.5)
    with pytest.raises(ValueError, match="positive values, got {'learning_rate': inf}"):
        replace(CONFIG, learning_rate=float("inf"))


def test_a_table_of_no_run_is_stored_likewise(tmp_path):
    assert runs.stored_table(tmp_path, "a", {"k": 1}, None) is None
    first = runs.stored_table(tmp_path, "a", {"k": 1}, TABLE.copy)
    pd.testing.assert_frame_equal(runs.stored_table(tmp_path, "a", {"k": 1}, lambda: pytest.fail("computed again")),
                                  first)

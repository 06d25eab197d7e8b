"""The command line: times, unknown names, what a packed archive holds, what is listed."""

import argparse
import tarfile
from dataclasses import replace

import pytest
import torch

from rrahelpers.__main__ import main
from rrahelpers.base.arguments import duration
from rrahelpers.study import grids, notebooks
from rrahelpers.training import runs
from tests.stored import store

TINY = ["--data", "digits", "--set", "width=0.25", "--set", "depth=0.34", "--set", "limit=64", "--set", "epochs=1"]


def refused(capsys, *arguments):
    """What is said when the command line refuses ``arguments``."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert end.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("text, seconds", [("90", 90), ("90s", 90), ("9m", 540), ("1.5h", 5400), ("0", 0)])
def test_durations(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "9 m", "9min", "-9m", "1h30m", "1.h", "9d", "nan"])
def test_what_is_no_duration(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected a time such as 90s, 9m or 1.5h, got"):
        duration(text)


def test_a_store_that_cannot_be_written_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("RRA_RUNS", str(tmp_path / "runs"))
    (tmp_path / "runs").write_bytes(b"a file where the folder should be")
    assert main(["train", "resnet20", *TINY]) == 1
    assert "cannot write into" in capsys.readouterr().err
    monkeypatch.setenv("RRA_RUNS", str(tmp_path / "others"))
    assert main(["train", "resnet20", *TINY, "--pack", str(tmp_path / "runs" / "packed.tar")]) == 1
    assert str(tmp_path / "runs") in capsys.readouterr().err


@pytest.mark.parametrize("arguments, words", [
    (["train", "resnet21", "--data", "digits"], ["unknown model 'resnet21'", "resnet20", "vgg16"]),
    (["train", "resnet20", "--data", "digits", "--set", "colour=3"], ["no option colour", "attention", "width"]),
    (["train", "resnet20", "--data", "digits", "--set", "epochs"], ["--set expects NAME=VALUE, got 'epochs'"]),
    (["train", "resnet20", "--data", "digits", "--set", "epochs=0"], ["expected positive values", "'epochs': 0"]),
    (["train", "resnet20", "--data", "digits", "--set", 'augmentation=["mixup"]'], ["mixup", "greyscale"]),
    (["train", "resnet20", "--data", "a/b"], ["data set's name", "'a/b'"]),
    (["train", "resnet20", "--data", "digits", "--set", "epochs=true"], ["expected positive values", "'epochs': True"]),
    (["train", "resnet20", "--data", "digits", "--set", "width=abc"], ["width, a factor of all channels", "'abc'"]),
    (["train", "--grid", "nonsense"], ["unknown grid 'nonsense'", "classrepsim"]),
    (["train", "--grid", "classrepsim", "--profile", "huge"], ["unknown profile 'huge'", "quick", "smoke"]),
    (["train"], ["a model's name or --grid"]),
    (["train", "resnet20", "--grid", "classrepsim"], ["a model's name or --grid"]),
    (["train", "--grid", "classrepsim", "--set", "epochs=3"], ["--data, --recipe and --set go with a model's name"]),
    (["train", "--grid", "classrepsim", "--recipe", "dissertation 7.1"], ["--recipe and --set go with"]),
    (["train", "resnet20", "--recipe", "table 3"], ["unknown recipe 'table 3'", "dissertation, table 11"]),
    (["train", "--grid", "classrepsim", "--data", "digits"], ["--data, --recipe and --set go with a model's name"]),
    (["train", "resnet20", "--data", "digits", "--profile", "quick"], ["--profile goes with --grid"]),
    (["train", "resnet20", "--data", "digits", "--set", "seed=1.5"], ["expected whole numbers", "'seed': 1.5"]),
    (["train", "resnet20", "--data", "digits", "--set", "seed=abc"], ["expected whole numbers", "'seed': 'abc'"]),
    (["train", "resnet20", "--data", "digits", "--set", "seed=99999999999999"],
     ["seed must be from 0 to 4294967295, got 99999999999999"]),
    (["train", "resnet20", "--data", "digits", "--set", "seed=4294967296"],
     ["seed must be from 0 to 4294967295, got 4294967296"]),
    (["train", "resnet20", "--data", "digits", "--set", "seed=-1"], ["seed must be from 0 to 4294967295, got -1"]),
    (["train", "resnet20", "--data", "digits", "--set", "seed=-1e30"], ["expected whole numbers", "'seed': -1e+30"]),
    (["train", "resnet20", "--data", "digits", "--set", "limit=1.5"], ["expected whole numbers", "'limit': 1.5"]),
    (["train", "resnet20", "--data", "digits", "--set", "limit=0"], ["limit must be at least 1, got 0"]),
    (["train", "resnet20", "--data", "digits", "--set", "epochs=null"], ["expected positive values", "None"]),
    (["train", "resnet20", "--data", "digits", "--set", "num_classes=3"], ["num_classes", "the data decide"]),
    (["train", "resnet20", "--budget", "soon"], ["90s, 9m or 1.5h, got 'soon'"]),
    (["dance"], ["train", "list", "figures"]),
])
def test_what_does_not_exist_is_refused_with_what_does(capsys, arguments, words):
    said = refused(capsys, *arguments)
    assert all(word in said for word in words), said


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there(capsys):
    assert "finds no such device" in refused(capsys, "train", "resnet20", *TINY, "--device", "cuda")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "mps:7", "meta"])
def test_what_is_no_device(capsys, device):
    assert f"--device {device}: torch" in refused(capsys, "train", "resnet20", *TINY, "--device", device)


@pytest.mark.parametrize("arguments", [["figures"], ["train", "--grid", "classrepsim"]])
def test_without_a_clone_there_are_no_notebooks(capsys, monkeypatch, tmp_path, arguments):
    monkeypatch.setattr(notebooks, "project_root", lambda: tmp_path)
    assert "call this within a clone of it" in refused(capsys, *arguments)


def test_settings_go_to_the_recipe_or_to_the_model(capsys):
    assert main(["train", "resnet20", *TINY, "--set", "attention=se", "--set", "augmentation=[]"]) == 0
    run, = runs.stored_runs()
    assert run.config.options == {"width": 0.25, "depth": 0.34, "attention": "se"}
    assert (run.config.data, run.config.limit, run.config.epochs, run.config.augmentation) == ("digits", 64, 1, ())
    said = capsys.readouterr().out
    assert f"{run.accuracy:.2%} (complete)" in said and "1 of 1 runs are finished" in said


@pytest.mark.parametrize("budget", ["0", "0s"])
def test_a_budget_of_nothing_begins_nothing(capsys, budget):
    assert main(["train", "resnet20", *TINY, "--budget", budget]) == 0
    said = capsys.readouterr().out
    assert "time is up after 0 of 1 epochs" in said
    assert "0 of 1 runs are finished, 1 open: the same command goes on" in said
    assert not runs.stored_runs()
    assert main(["train", "resnet20", *TINY, "--budget", "9m"]) == 0
    assert len(runs.stored_runs()) == 1


def test_a_packed_run_is_all_there_and_usable_elsewhere(tmp_path, monkeypatch, capsys):
    archive = tmp_path / "packed" / "runs.tar"
    assert main(["train", "resnet20", *TINY]) == 0
    run, = runs.stored_runs()
    table = run.result("measure", {"k": 1}, lambda: run.history)
    (run.folder / "record.json.99.tmp").write_text("left by a process that was killed", encoding="utf-8")
    (run.folder / "checkpoint.pt").write_text("likewise", encoding="utf-8")
    assert main(["train", "resnet20", *TINY, "--pack", str(archive)]) == 0
    assert f"1 runs packed into {archive}" in capsys.readouterr().out

    with tarfile.open(archive) as packed:
        assert sorted(name.split("/", 1)[1].split("-")[0] for name in packed.getnames()) == [
            "record.json", "results/measure", "results/measure", "results/saturation", "results/saturation",
            "weights.safetensors"]
        packed.extractall(tmp_path / "elsewhere", filter="data")
    monkeypatch.setenv("RRA_RUNS", str(tmp_path / "elsewhere"))
    copy, = runs.stored_runs()
    assert copy.record == run.record and copy.name == run.name
    expected = run.model().state_dict()
    assert all((tensor == expected[name]).all() for name, tensor in copy.model().state_dict().items())
    assert copy.result("measure", {"k": 1}, lambda: pytest.fail("computed again")).equals(table)


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_one_data_set_lacks_does_not_keep_a_grid_from_the_others(jobs, tmp_path, monkeypatch, capsys):
    archive = tmp_path / "runs.tar"
    configs = [grids.recipe(data, epochs=1, limit=64, options={"width": 0.25, "depth": 0.34}, seed=seed)
               for seed in (0, 1) for data in ("nowhere", "digits")]
    monkeypatch.setattr(grids, "grid", lambda name, profile: configs)
    assert main(["train", "--grid", "classrepsim", "--jobs", str(jobs), "--pack", str(archive)]) == 1
    said = capsys.readouterr()
    assert said.err.count("no data set 'nowhere'") == 2
    assert "2 of 4 runs are finished, 2 failed" in said.out
    assert {(run.config.data, run.config.seed) for run in runs.stored_runs()} == {("digits", 0), ("digits", 1)}
    with tarfile.open(archive) as packed:
        assert len([name for name in packed.getnames() if name.endswith("record.json")]) == 2


def test_list(capsys):
    assert main(["list"]) == 0
    assert f"0 finished runs in {runs.store_root()}" in capsys.readouterr().out
    main(["train", "resnet20", *TINY])
    capsys.readouterr()
    assert main(["list"]) == 0
    run, = runs.stored_runs()
    said = capsys.readouterr().out
    assert "1 finished runs in" in said and run.name in said and f"{run.accuracy:.2%}" in said


def test_list_names_a_record_that_is_damaged_beside_the_others(capsys):
    folder = runs.store_root() / "resnet20-digits-0"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{", encoding="utf-8")
    sound = store().name
    assert main(["list"]) == 1
    said = capsys.readouterr()
    assert f"{folder / 'record.json'} is damaged" in said.err and f"{sound}  60.00%" in said.out


def test_a_grid_with_a_network_that_cannot_be_built_is_refused_before_any_is_trained(capsys, monkeypatch):
    good = grids.recipe("digits", epochs=1, limit=64, options={"width": 0.25, "depth": 0.34})
    monkeypatch.setattr(grids, "grid", lambda name, profile: [good, replace(good, options={"widht": 1})])
    assert "resnet20 has no option widht" in refused(capsys, "train", "--grid", "classrepsim")
    assert not runs.stored_runs()


@pytest.mark.parametrize("model, words", [
    ("vgg16", "vgg16 can't take the images of digits, 1x8x8"),
    ("torchvision/squeezenet1_1", "squeezenet1_1 can't take the images of digits, 1x8x8"),
])
def test_a_network_that_cannot_take_the_images(capsys, model, words):
    assert main(["train", model, "--data", "digits", "--set", "epochs=1"]) == 1
    said = capsys.readouterr().err
    assert words in said and "image_size" in said
    assert not runs.stored_runs()

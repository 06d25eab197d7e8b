"""What is measured of a grid's runs apart from drawing: what the notebooks then find."""

import inspect
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from rrahelpers.__main__ import main
from rrahelpers.study import grids, measures, notebooks
from rrahelpers.training import train

CONFIG = grids.recipe("digits", epochs=1, limit=64, options={"width": 0.25, "depth": 0.34})


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(grids, "grid", lambda name, profile: [CONFIG, CONFIG])
    monkeypatch.setattr(grids, "MAIN", (CONFIG.options,))
    return train(CONFIG)


def test_every_grid_is_measured_with_parameters_that_its_notebook_declares():
    assert set(measures.NEEDED) == set(grids.GRIDS)
    for grid, (_, notebook) in grids.GRIDS.items():
        for measure in measures.NEEDED[grid]:
            assert set(measure.parameters) <= set(notebooks.parameters(notebook))
            assert set(measure.parameters) <= set(inspect.signature(measure.table).parameters)


@pytest.mark.parametrize("grid", ["stac", "advice", "saturation", "projection"])
def test_what_is_measured_is_stored_once(run, grid):
    todo = measures.jobs(grid, "smoke")
    assert len(todo) == len(measures.NEEDED[grid])  # one run, however often the grid has it
    assert [measures.attempt(job) for job in todo] == [None] * len(todo)
    for job in todo:
        assert job.table(job.run, **job.parameters, compute=False) is not None


def test_networks_that_a_notebook_does_not_measure_are_left_out(run, monkeypatch):
    monkeypatch.setattr(grids, "MAIN", ({"attention": "stac"},))
    assert measures.jobs("stac", "smoke") == []


def test_what_cannot_be_measured_does_not_stop_the_rest(run, capsys):
    (run.folder / "weights.safetensors").unlink()
    assert main(["measure", "--grid", "advice", "--profile", "smoke"]) == 1
    said = capsys.readouterr().out
    assert said.count("has a record but no weights") == 2 and "0 of 2 tables are stored, 2 failed" in said


def test_other_processes_measure_too(run):
    todo = measures.jobs("saturation", "smoke")
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        assert list(executor.map(measures.attempt, todo)) == [None]
    assert todo[0].table(todo[0].run, **todo[0].parameters, compute=False) is not None

"""The batch runner, on notebooks of its own."""

import json
from types import SimpleNamespace

import pytest

from rrahelpers import batch, figures, grids, notebooks
from rrahelpers.__main__ import main

DRAW = """
import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from pathlib import Path
from rrahelpers import figures, notebooks
figures.project_root = notebooks.project_root = lambda: Path(root)
figures.begin("{name}", globals())
figures.save_figure(plt.figure(), "{name}-figure", data=pd.DataFrame({{"k": [k]}}), source="synthetic data")
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project root with three notebooks, of which the second fails, and two profiles."""
    profiles = tmp_path / "notebooks" / "profiles"
    profiles.mkdir(parents=True)

    def write(name, *sources):
        parameters = f"profile = 'quick'  # folder\nk = 1  # a number\nroot = {str(tmp_path)!r}  # of the project"
        cells = [{"cell_type": "code", "id": f"c{i}", "metadata": {"tags": ["parameters"]} if i == 0 else {},
                  "source": source, "outputs": [], "execution_count": None} for i, source in enumerate([parameters, *sources])]
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text(json.dumps(
            {"cells": cells, "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
             "nbformat": 4, "nbformat_minor": 5}))

    write("00_first", DRAW.format(name="00_first"))
    write("01_fails", "x = 1", "raise ValueError('this cell is wrong')")
    write("02_last", DRAW.format(name="02_last"))
    (profiles / "quick.yaml").write_text("all: {profile: quick}\n02_last: {k: 5}\n")
    (profiles / "wrong.yaml").write_text("02_last: {q: 5}\n")
    for module in (batch, figures, notebooks):
        monkeypatch.setattr(module, "project_root", lambda: tmp_path)
    monkeypatch.setattr(grids, "GRIDS", {})
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.setenv(variable, "2")  # the runner shares the cores out; the rest of the tests keep theirs
    return SimpleNamespace(folder=tmp_path, write=write)


def test_one_fails_the_others_run_and_the_status_is_1(project, capsys):
    assert main(["figures", "--profile", "quick", "--jobs", "2"]) == 1
    printed = capsys.readouterr().out
    assert "FAILED 01_fails, cell 3: ValueError: this cell is wrong" in printed
    assert "raise ValueError('this cell is wrong')" in printed
    table = printed.splitlines()[-3:]
    assert [line.split()[:2] for line in table] == [["00_first", "done"], ["01_fails", "failed"], ["02_last", "done"]]
    assert "02_last-figure" in table[2]
    assert (project.folder / "figures/quick/02_last-figure.csv").read_text().split() == ["k", "5"]  # the profile's, not the default
    assert (project.folder / "figures/quick/00_first-figure.csv").read_text().split() == ["k", "1"]


def test_what_is_unchanged_is_passed_over_until_something_changes(project):
    def status(**options):
        (outcome,) = batch.run_notebooks("quick", ["00"], **options)
        assert outcome.figures == ["00_first-figure"]
        return outcome.status

    assert status() == "done"
    assert status() == "unchanged"
    assert status(force=True) == "done"
    (project.folder / "figures/quick/00_first-figure.svg").unlink()
    assert status() == "done"
    project.write("00_first", DRAW.format(name="00_first"), "# another cell")
    assert status() == "done"
    assert status() == "unchanged"
    (project.folder / "notebooks/profiles/quick.yaml").write_text("all: {profile: quick}\n00_first: {k: 2}\n")
    assert status() == "done"


def test_refused_before_anything_runs(project, monkeypatch):
    monkeypatch.setattr(batch, "_run", lambda *_: pytest.fail("a notebook ran"))
    with pytest.raises(ValueError, match="notebook 02_last has no parameter q; it declares profile, k, root"):
        batch.run_notebooks("wrong")
    with pytest.raises(ValueError, match="unknown profile 'other'; expected one of quick, wrong"):
        batch.run_notebooks("other")
    with pytest.raises(ValueError, match="no notebook begins with 07; there are 00_first, 01_fails, 02_last"):
        batch.run_notebooks("quick", ["07"])
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        batch.run_notebooks("quick", jobs=0)

"""The batch runner, on notebooks of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from rrahelpers.__main__ import main
from rrahelpers.base import files
from rrahelpers.study import batch, figures, grids, notebooks, profiles
from rrahelpers.training import runs
from tests.stored import store

DRAW = """
import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from pathlib import Path
from rrahelpers.study import figures, notebooks
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
                  "source": source, "outputs": [], "execution_count": None}
                 for i, source in enumerate([parameters, *sources])]
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text(json.dumps(
            {"cells": cells,
             "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
             "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8")

    write("00_first", DRAW.format(name="00_first"))
    write("01_fails", "x = 1", "raise ValueError('this cell is wrong')")
    write("02_last", DRAW.format(name="02_last"))
    (profiles / "quick.yaml").write_text("02_last: {k: 5}\n", encoding="utf-8")
    (profiles / "wrong.yaml").write_text("02_last: {q: 5}\n", encoding="utf-8")
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
    # the profile's, not the default
    assert (project.folder / "figures/quick/02_last-figure.csv").read_text(encoding="utf-8").split() == ["k", "5"]
    assert (project.folder / "figures/quick/00_first-figure.csv").read_text(encoding="utf-8").split() == ["k", "1"]


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
    (project.folder / "notebooks/profiles/quick.yaml").write_text("00_first: {k: 2}\n", encoding="utf-8")
    assert status() == "done"


def test_a_failure_in_between_does_not_pass_for_the_source_before(project):
    """A, then B that draws and fails, then A again: the figures are B's, so A has to run."""
    source = DRAW.format(name="00_first")
    csv = project.folder / "figures/quick/00_first-figure.csv"
    ends = []
    for sources in ([source], [source.replace("[k]", "[77]"), "1 / 0"], [source]):
        project.write("00_first", *sources)
        (outcome,) = batch.run_notebooks("quick", ["00"])
        ends.append((outcome.status, csv.read_text(encoding="utf-8").split()[1]))
    assert ends == [("done", "1"), ("failed", "77"), ("done", "1")]


@pytest.mark.parametrize("last, status", [("", "done"), ("1 / 0", "failed")])
def test_what_is_edited_while_it_runs_runs_again(project, last, status):
    file = project.folder / "notebooks/00_first.ipynb"
    edit = (f"p = Path({str(file)!r}); p.write_text(p.read_text('utf-8').replace('synthetic', 'other'), "
            f"encoding='utf-8'); {last}")
    project.write("00_first", DRAW.format(name="00_first"), edit)
    (first,) = batch.run_notebooks("quick", ["00"])
    assert first.status == status and first.error.startswith("" if status == "done" else "FAILED 00_first, cell ")
    project.write("00_first", DRAW.format(name="00_first").replace("synthetic", "other"))
    (second,) = batch.run_notebooks("quick", ["00"])
    assert second.status == "done"


def test_figures_depend_on_the_runs_of_their_grids_and_of_the_candidates(project, monkeypatch):
    config = grids.recipe("digits", epochs=2, data_checksum="0123456789ab")
    monkeypatch.setattr(grids, "GRIDS", {"own": (None, "00_first"), "further": (None, "elsewhere")})
    monkeypatch.setattr(grids, "grid", lambda name, profile: [config] if name == "further" else [])
    assert batch._trained("00_first", "quick", {"candidates": ["further"]}) == set()
    store(config)
    assert batch._trained("00_first", "quick", {"candidates": ["further"]}) == {config.name}
    assert batch._trained("00_first", "quick", {}) == set()
    assert batch._trained("elsewhere", "quick", {}) == {config.name}


def test_figures_do_not_depend_on_the_code_of_the_ledger(monkeypatch):
    looked_at = []
    monkeypatch.setattr(batch.dependencies, "code_files", lambda sources, package: looked_at.extend(sources) or [])
    batch._source("05_saturation", {})
    assert any("figures.begin" in source for source in looked_at)
    assert not any("settled" in source for source in looked_at)


def test_a_damaged_run_fails_its_notebook_alone(project, monkeypatch, capsys):
    monkeypatch.setattr(grids, "GRIDS", {"own": (None, "00_first")})
    monkeypatch.setattr(grids, "grid", lambda name, profile: [grids.recipe("digits", data_checksum="0123456789ab")])
    record = runs.store_root() / "resnet20-digits-0" / "record.json"
    record.parent.mkdir(parents=True)
    record.write_text("{", encoding="utf-8")
    outcomes = batch.run_notebooks("quick", ["00", "02"])
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert f"{record} is damaged" in outcomes[0].error


def test_a_cell_that_hangs_fails_its_notebook_alone(project, capsys):
    project.write("01_fails", "import time; time.sleep(600)")
    project.write("02_last", "x = 1")
    assert main(["figures", "--profile", "quick", "--only", "01", "02", "--jobs", "1", "--cell-timeout", "6s"]) == 1
    printed = capsys.readouterr().out
    assert "FAILED 01_fails: A cell timed out while it was being executed, after 6 seconds" in printed
    assert "time.sleep(600)" in printed
    assert [line.split()[:2] for line in printed.splitlines()[-2:]] == [["01_fails", "failed"], ["02_last", "done"]]


NOISY = """
import json, os
import ipykernel
os.system("echo a child to stdout; echo a child to stderr >&2")
os.write(2, b"low level" + bytes([10]))
print("printed")
with open(os.path.join(root, "connection"), "w", encoding="utf-8") as file:
    with open(ipykernel.get_connection_file(), encoding="utf-8") as source:
        file.write(source.read())
"""


@pytest.mark.parametrize("deep", [False, True])
def test_kernels_keep_off_the_network_and_the_terminal(project, monkeypatch, capfd, deep):
    """Where the folder's name is too long for a socket's, TCP is what is left."""
    temporary = project.folder.joinpath(*["deep" * 20] * 2 * deep, "temporary")
    temporary.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(temporary) if deep else None)
    project.write("00_first", NOISY)
    (outcome,) = batch.run_notebooks("quick", ["00"])
    assert outcome.status == "done", outcome.error
    connection = json.loads((project.folder / "connection").read_text(encoding="utf-8"))
    assert connection["transport"] == ("tcp" if deep or os.name != "posix" else "ipc")
    assert not os.path.exists(os.path.dirname(connection["ip"])) and list(temporary.iterdir()) == []
    terminal = "".join(capfd.readouterr())
    assert "notebook" in terminal and not [word for word in ("child", "low level", "IPKernelApp", "TCP", "printed")
                                           if word in terminal]
    log = (project.folder / "figures/quick/executed/00_first.log").read_text(encoding="utf-8")
    assert "a child to stdout" in log and "a child to stderr" in log and "low level" in log


def test_a_kernel_that_dies_fails_its_notebook_with_what_it_wrote(project, capfd):
    project.write("00_first",
                  "import os; os.write(2, b'its last words'); import time; time.sleep(1); os.kill(os.getpid(), 9)")
    project.write("02_last", "x = 1")
    outcomes = batch.run_notebooks("quick", ["00", "02"])
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert "Kernel died" in outcomes[0].error and "its kernel wrote:\nits last words" in outcomes[0].error
    assert "Kernel died" not in capfd.readouterr().err.replace(outcomes[0].error, "")
    log = project.folder / "figures/quick/executed/02_last.log"
    said = log.read_text(encoding="utf-8") if log.exists() else ""  # at times a kernel tells of its own shutting down
    assert said.replace("[IPKernelApp] ERROR | KeyboardInterrupt caught in kernel.", "").strip() == ""


INTERRUPTED = """
import signal
import sys
from pathlib import Path
from rrahelpers.study import batch, notebooks
from rrahelpers.__main__ import main
batch.project_root = notebooks.project_root = lambda: Path(sys.argv[1])
signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells have their background jobs ignore
main(["figures", "--profile", "quick", "--only", "00", "--jobs", "1"])
"""


def test_an_interrupt_ends_the_batch_and_its_kernels(project):
    begun = project.folder / "begun"
    project.write("00_first",
                  f"import os, pathlib, time; pathlib.Path({str(begun)!r}).write_text(str(os.getpid()), "
                  "encoding='ascii'); time.sleep(600)")
    child = subprocess.Popen([sys.executable, "-c", INTERRUPTED, str(project.folder)], cwd=files.project_root())
    try:
        wait_until(lambda: begun.exists() and begun.read_text(encoding="utf-8"), 120)
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130
        wait_until(lambda: not alive(int(begun.read_text(encoding="utf-8"))), 60)
    finally:
        child.kill()


def alive(process):
    try:
        os.kill(process, 0)
        return True
    except ProcessLookupError:
        return False


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def test_a_profile_names_the_folder_of_its_figures(project):
    mine = project.folder / "notebooks/profiles/mine.yaml"
    mine.write_text("all: {k: 3}\n", encoding="utf-8")
    assert profiles.parameters("00_first", "mine") == {"k": 3, "profile": "mine"}
    mine.write_text("all: {profile: quick}\n", encoding="utf-8")
    with pytest.raises(ValueError,
                       match="profile mine gives 00_first the parameter profile: quick; .* expected mine, or nothing"):
        profiles.parameters("00_first", "mine")


@pytest.mark.parametrize("text", ["", "all:\n", "00_first:\n", "# a remark\n"])
def test_a_profile_may_change_nothing(project, text):
    (project.folder / "notebooks/profiles/mine.yaml").write_text(text, encoding="utf-8")
    assert profiles.parameters("00_first", "mine") == {"profile": "mine"}


@pytest.mark.parametrize("text, message", [
    ("all: {profil: quick, k: 7}", "profile mine has parameters for all that no notebook declares: profil$"),
    ("07_other: {k: 1}", "profile mine has sections for no notebook: 07_other"),
    ("all: {k: 1", "mine.yaml is no YAML"),
    ("- k", "mine.yaml: expected sections of parameters"),
    ("all: 7", "mine.yaml: expected sections of parameters"),
])
def test_mistakes_in_a_profile_are_refused(project, text, message):
    (project.folder / "notebooks/profiles/mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        profiles.parameters("00_first", "mine")


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

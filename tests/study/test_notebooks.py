"""The project's own notebooks: their form, and every cell of each in the smoke profile."""

import ast
import csv
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rrahelpers.base.files import project_root
from rrahelpers.study import batch, notebooks, profiles

NAMES = notebooks.names()


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Every notebook executed in the smoke profile, in order, as outcomes by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RRA_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.delenv("RRA_DATA", raising=False)
        for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
            patch.setenv(variable, "1")
        return {outcome.notebook: outcome for outcome in batch.run_notebooks("smoke", force=True, jobs=2)}


@pytest.mark.parametrize("name", NAMES)
def test_runs_in_the_smoke_profile_and_writes_its_figures(executed, name):
    outcome = executed[name]
    assert outcome.status == "done", outcome.error
    assert outcome.figures
    for figure in outcome.figures:
        for ending in ("png", "svg", "csv", "json"):
            assert (project_root() / "figures" / "smoke" / f"{figure}.{ending}").stat().st_size > 0


@pytest.mark.parametrize("name", NAMES)
def test_form(name):
    book = notebooks.read(name)
    cells = book["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells), "committed with outputs"
    assert cells[0]["cell_type"] == "markdown"
    assert "Question" in "".join(cells[0]["source"])
    (parameters,) = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    source = "".join(parameters["source"])
    for node in notebooks.parse(source).body:  # a value may need several lines; papermill reads the help of its last
        last = source.splitlines()[node.end_lineno - 1]
        assert isinstance(node, ast.Assign) and "  # " in last, f"expected 'name = literal  # help', got {last!r}"
    for cell in cells:
        if cell["cell_type"] == "code":
            wide = [line for line in "".join(cell["source"]).splitlines() if len(line) > 100]
            assert not wide, f"lines of more than 100 characters: {wide}"
    assert "profile" in notebooks.parameters(name)
    explorers = [cell for cell in cells if "skip-execution" in cell["metadata"].get("tags", [])]
    assert explorers == cells[-1:], "the interactive cell comes last"


@pytest.mark.parametrize("name", NAMES)
def test_the_first_screen_answers_the_question_and_cells_are_short(name):
    """Question, prediction and the study figure that answers it; what draws or computes more is in the package."""
    first, *cells = notebooks.read(name)["cells"]
    text = "".join(first["source"])
    (figure,) = re.findall(r"!\[.+\]\(\.\./(figures/study/[\w-]+)\.png\)", text)
    assert text.index("**Question") < text.index("**Prediction") < text.index(figure)
    assert (project_root() / f"{figure}.png").is_file()
    long = [lines[0] for cell in cells if cell["cell_type"] == "code"
            if "parameters" not in cell["metadata"].get("tags", [])
            if len(lines := "".join(cell["source"]).splitlines()) > 25]
    assert not long, f"cells of more than 25 lines; they begin with: {long}"


@pytest.mark.parametrize("profile", profiles.names())
def test_profiles_give_only_declared_parameters(profile):
    declared = {key for name in NAMES for key in notebooks.parameters(name)}
    assert set(profiles.read(profile).get("all", {})) <= declared
    for name in NAMES:
        profiles.parameters(name, profile)


def test_the_map_of_the_sources_names_existing_notebooks_and_figures():
    with open(notebooks.folder() / "figures.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        assert None not in row, f"a comma without quotes: {row}"
        if row["notebook"]:
            assert row["notebook"] in NAMES, row
            source = json.dumps(notebooks.read(row["notebook"]))
            assert row["file"].rstrip("abcdefgh") in source, row
            drawn = (project_root() / "figures" / "study" / f"{row['file']}.png").is_file()
            told = "so far" in row["why"] or "not trained yet" in row["why"]
            assert drawn or told, f"no study figure, and not a word of it: {row}"
            assert not drawn or "quick profile only" not in row["why"], f"there is a study figure: {row}"


def test_source_is_parsed_by_one_thread_at_a_time(monkeypatch):
    inside, most = [], []

    def slow(source):
        inside.append(source)
        most.append(len(inside))
        time.sleep(0.01)
        inside.remove(source)

    monkeypatch.setattr(notebooks.ast, "parse", slow)
    with ThreadPoolExecutor(4) as executor:
        list(executor.map(notebooks.parse, "abcd"))
    assert most == [1, 1, 1, 1]

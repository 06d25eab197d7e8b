"""Which files of the package a notebook depends on."""

import shutil

import pytest

from rrahelpers.study import batch, dependencies, notebooks


@pytest.fixture
def package(tmp_path):
    """A package of the project's name, of a few modules and one data file."""
    files = {
        "__init__.py": "def __getattr__(name): ...",
        "plain.py": "x = 1",
        "late.py": "def f():\n    from rrahelpers.room import inner\n    return inner",
        "turn.py": "from rrahelpers import back",
        "back.py": "from rrahelpers import turn",
        "room/__init__.py": "",
        "room/inner.py": "from . import other",
        "room/other.py": "import rrahelpers.plain as p",
        "room/numbers.csv": "1",
        "room/pictures/one.png": "1",
        "room/__pycache__/inner.pyc": "",
        "lazy/__init__.py": "def __getattr__(name): ...",
        "lazy/first.py": "from rrahelpers import plain",
        "lazy/second.py": "",
    }
    for name, source in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source, encoding="utf-8")
    return tmp_path


ROOM = {"room/__init__.py", "room/numbers.csv", "room/pictures/one.png"}


@pytest.mark.parametrize("source, expected", [
    ("import torch", None),
    ("from rrahelpers import plain", {"plain.py"}),
    ("from rrahelpers.plain import x", {"plain.py"}),
    ("from rrahelpers.late import f", {"late.py", "plain.py", "room/inner.py", "room/other.py"} | ROOM),
    ("from rrahelpers import room", ROOM),
    ("from rrahelpers.room import inner", {"plain.py", "room/inner.py", "room/other.py"} | ROOM),
    ("from rrahelpers import turn", {"turn.py", "back.py"}),
    ("from rrahelpers.lazy import second", {"lazy/__init__.py", "lazy/second.py"}),
    ("from rrahelpers.lazy import something", {"lazy/__init__.py", "lazy/first.py", "lazy/second.py", "plain.py"}),
    ("%matplotlib inline", None),
])
def test_by_hand(package, source, expected):
    found = dependencies.code_files(["x = 1", source], package)
    assert {str(path.relative_to(package)) for path in found} == (expected | {"__init__.py"} if expected is not None
                                                                  else set())


@pytest.mark.parametrize("source",
                         ["import rrahelpers as rra", "import rrahelpers.plain", "from rrahelpers import something"])
def test_who_can_reach_every_module_depends_on_all(package, source):
    everything = {path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert set(dependencies.code_files([source], package)) == everything


@pytest.mark.parametrize("edited, stale", [
    ("plots/diagrams.py", {"08"}),
    ("plots/probes.py", {"06", "07", "11"}),
    ("plots/response.py", {"10", "11", "12", "13"}),
    ("widgets/stac.py", {"02", "03"}),
    ("study/batch.py", set()),
])
def test_editing_one_file_makes_stale_only_the_notebooks_that_use_it(tmp_path, monkeypatch, edited, stale):
    copy = tmp_path / "rrahelpers"
    shutil.copytree(dependencies.FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(dependencies, "FOLDER", copy)
    before = {name: batch._source(name, {}) for name in notebooks.names()}
    with open(copy / edited, "a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    assert {name[:2] for name in before if batch._source(name, {}) != before[name]} == stale

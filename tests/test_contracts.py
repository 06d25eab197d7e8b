"""What may import what (the contracts are in pyproject.toml), and no module that imports itself on a detour."""

import graphlib
import subprocess
import sys
import tomllib

import pytest

import rrahelpers
from rrahelpers.base.files import project_root

grimp = pytest.importorskip("grimp",
                            reason="import-linter isn't installed; make test installs it, from requirements-test.lock")


def test_contracts_are_kept():
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    child = subprocess.run([sys.executable, "-c", code], cwd=project_root(), capture_output=True, encoding="utf-8")
    assert child.returncode == 0, child.stdout + child.stderr


def test_every_room_has_its_place():
    """A new module is named wherever the rooms are: else no contract would look at it."""
    package = project_root() / "rrahelpers"
    rooms = {path.stem for path in package.iterdir() if not path.name.startswith("__") and path.suffix in ("", ".py")}
    assert set(rrahelpers.MODULES) == rooms, "MODULES of rrahelpers/__init__.py and the package's folder differ"
    contracts = tomllib.loads((project_root() / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    measures, = (c["source_modules"] for c in contracts["contracts"] if c["name"].startswith("A measure neither draws"))
    apart = {"plots", "report", "representational_response", "study", "widgets"}
    assert {name.removeprefix("rrahelpers.") for name in measures} >= rooms - apart, \
        "pyproject.toml: the contract 'A measure neither draws nor shows' doesn't name every measure"


def test_no_import_cycle():
    graph = grimp.build_graph("rrahelpers", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()  # CycleError names the modules of a cycle

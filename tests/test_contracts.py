"""What may import what (the contracts are in pyproject.toml), and no module that imports itself on a detour."""

import graphlib
import subprocess
import sys

import pytest

from rrahelpers.base.files import project_root

grimp = pytest.importorskip("grimp",
                            reason="import-linter isn't installed; make test installs it, from requirements-test.lock")


def test_contracts_are_kept():
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    child = subprocess.run([sys.executable, "-c", code], cwd=project_root(), capture_output=True, encoding="utf-8")
    assert child.returncode == 0, child.stdout + child.stderr


def test_no_import_cycle():
    graph = grimp.build_graph("rrahelpers", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()  # CycleError names the modules of a cycle

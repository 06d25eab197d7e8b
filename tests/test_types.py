"""The type checker has nothing to say, and public functions of the modules that it reads have types."""

import ast
import subprocess
import sys
import tomllib

import pytest

from rrahelpers.base.files import project_root

FILES = tomllib.loads((project_root() / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["files"]


def test_mypy():
    pytest.importorskip("mypy", reason="mypy isn't installed; make test installs it, from requirements-test.lock")
    child = subprocess.run([sys.executable, "-m", "mypy", "--cache-dir", "/dev/null"], cwd=project_root(),
                           capture_output=True, encoding="utf-8")
    assert child.returncode == 0, child.stdout + child.stderr


@pytest.mark.parametrize("file", FILES)
def test_public_functions_are_typed(file):
    for node in ast.parse((project_root() / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.name != "scorer":
            arguments = [*node.args.args, *node.args.kwonlyargs]
            untyped = [argument.arg for argument in arguments if argument.annotation is None]
            assert not untyped and node.returns, f"{file}: {node.name} has no types for {untyped or 'what it returns'}"

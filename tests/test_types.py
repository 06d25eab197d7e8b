"""The type checker has nothing to say, and what is public in the modules that it reads has types."""

import ast
import subprocess
import sys
import tomllib

import pytest

import rrahelpers
from rrahelpers.base.files import project_root

TOOLS = tomllib.loads((project_root() / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
LISTED = TOOLS["mypy"]["files"]  # files, and folders for all that is in them
FILES = [str(file.relative_to(project_root())) for path in map(project_root().joinpath, LISTED)
         for file in ([path] if path.is_file() else sorted(path.rglob("*.py")))]


def public(body, owner=""):
    """(name, function) of the public functions among some statements, and of the methods of public classes."""
    for node in body:
        if isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or owner and node.name.endswith("__")):
            yield owner + node.name, node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node.body, f"{node.name}.")


def untyped(function):
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return [a.arg for a in every if a and a.annotation is None and a.arg not in ("self", "cls")]


def test_mypy():
    pytest.importorskip("mypy", reason="mypy isn't installed; make test installs it, from requirements-test.lock")
    child = subprocess.run([sys.executable, "-m", "mypy", "--cache-dir", "/dev/null"], cwd=project_root(),
                           capture_output=True, encoding="utf-8")
    assert child.returncode == 0, child.stdout + child.stderr


@pytest.mark.parametrize("file", FILES)
def test_public_functions_are_typed(file):
    for name, function in public(ast.parse((project_root() / file).read_text(encoding="utf-8")).body):
        missing = untyped(function) + ([] if function.returns else ["what it returns"])
        assert not missing, f"{file}: {name} has no types for {', '.join(missing)}"


def test_every_measure_is_on_the_list():
    """The package itself, its command line and all rooms but this collection; a new one comes onto the list."""
    rooms = {f"rrahelpers/{room}" for room in {*rrahelpers.MODULES, "__init__", "__main__"} - {"study"}}
    missing = {room for room in rooms if not {room, f"{room}.py"} & set(LISTED)}
    assert not missing, f"not on mypy's list in pyproject.toml: {', '.join(sorted(missing))}"


def test_a_function_without_types_is_found():
    tree = ast.parse("def f(a, *, b: int): ...\nclass C:\n    def __init__(self, x: int) -> None: ...\n"
                     "    def g(self, *a, **k) -> int: ...\n    def _h(self, x): ...\n"
                     "class _D:\n    def f(self, x): ...")
    assert {name: untyped(function) for name, function in public(tree.body)} == {
        "f": ["a"], "C.__init__": [], "C.g": ["a", "k"]}

"""The type checker has nothing to say, and what is public has types."""

import ast
import subprocess
import sys

import pytest

from rrahelpers.base.files import project_root

FILES = [str(file.relative_to(project_root())) for file in sorted((project_root() / "rrahelpers").rglob("*.py"))]


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


def test_a_function_without_types_is_found():
    tree = ast.parse("def f(a, *, b: int): ...\nclass C:\n    def __init__(self, x: int) -> None: ...\n"
                     "    def g(self, *a, **k) -> int: ...\n    def _h(self, x): ...\n"
                     "class _D:\n    def f(self, x): ...")
    assert {name: untyped(function) for name, function in public(tree.body)} == {
        "f": ["a"], "C.__init__": [], "C.g": ["a", "k"]}

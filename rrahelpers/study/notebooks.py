"""The numbered notebooks: where they are, and the parameters that each declares."""

import ast
import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rrahelpers.base.files import project_root

PARSING = threading.Lock()


def parse(source: str) -> ast.Module:
    """The syntax tree of Python source, built by one thread at a time: in Python 3.11 two at once miscount how deep
    they are and fail (https://github.com/python/cpython/issues/106905)."""
    with PARSING:
        return ast.parse(source)


def folder() -> Path:
    """Where the notebooks are. Raises ``FileNotFoundError`` where the package is installed without them."""
    path = project_root() / "notebooks"
    if not path.is_dir():
        raise FileNotFoundError(f"no folder {path}: the notebooks and their profiles are in the project's repository; "
                                "call this within a clone of it")
    return path


def names() -> list[str]:
    """Every notebook's name without its ending, in order of reading."""
    return sorted(path.stem for path in folder().glob("[0-9][0-9]_*.ipynb"))


def read(name: str) -> dict[str, Any]:
    """The notebook as JSON. Raises ``ValueError`` for an unknown name, with the known ones."""
    path = folder() / f"{name}.ipynb"
    if not path.is_file():
        raise ValueError(f"unknown notebook {name!r}; expected one of {', '.join(names())}")
    return json.loads(path.read_text(encoding="utf-8"))


def parameters(name: str) -> dict[str, Any]:
    """The defaults in the notebook's one cell tagged ``parameters``, whose lines are ``name = literal  # help``."""
    cells = [c for c in read(name)["cells"] if "parameters" in c["metadata"].get("tags", [])]
    if len(cells) != 1:
        raise ValueError(f"{name}: expected exactly one cell tagged 'parameters', got {len(cells)}")
    return {target.id: ast.literal_eval(node.value)  # type: ignore[attr-defined]  # by their form targets are names
            for node in parse("".join(cells[0]["source"])).body if isinstance(node, ast.Assign)
            for target in node.targets}


def check_parameters(name: str, given: Iterable[str]) -> None:
    """Raise ``ValueError`` for parameters that the notebook doesn't declare."""
    declared = parameters(name)
    if unknown := sorted(set(given) - set(declared)):
        raise ValueError(f"notebook {name} has no parameter {', '.join(unknown)}; it declares {', '.join(declared)}")

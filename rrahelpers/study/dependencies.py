"""The files of the package that code depends on: the modules that it imports, directly or not, and their packages'
data."""

import ast
import contextlib
from collections.abc import Iterable
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

from rrahelpers.study import notebooks

NAME = __name__.partition(".")[0]
FOLDER = Path(__file__).parent.parent


def code_files(sources: Iterable[str], folder: Path = FOLDER) -> list[Path]:
    """The sorted files of the package in ``folder`` that Python ``sources`` (a list of texts) depend on.

    Imports within functions count, and so does each package above a module, with its data files. A package that loads
    its modules on first use counts as a whole where it is imported itself. What is no Python (a notebook's magics, a
    cell that is yet to be mended) imports nothing.
    """
    packages = _packages(folder)
    found: set[Path] = set()
    seen: set[str] = set()
    waiting = {name for source in sources for name in _imports(source, NAME)}
    while waiting - seen:
        seen.add(name := (waiting - seen).pop())
        for file in _files(name, folder, packages) - found:
            found.add(file)
            if file.suffix == ".py":
                package = ".".join([NAME, *file.relative_to(folder).parent.parts])
                waiting |= _imports(file.read_text(encoding="utf-8"), package)
    return sorted(found)


@cache
def _imports(source, package):
    """The dotted names of this project's that ``source``, a module of ``package``, imports."""
    names = set()
    with contextlib.suppress(SyntaxError):
        for node in ast.walk(notebooks.parse(source)):
            if isinstance(node, ast.Import):
                names |= {part.name for part in node.names}
                # what "import a.b" binds
                names |= {part.name.partition(".")[0] for part in node.names if not part.asname}
            elif isinstance(node, ast.ImportFrom):
                origin = resolve_name("." * node.level + (node.module or ""), package)
                names |= {f"{origin}.{part.name}" for part in node.names}
    return frozenset(name for name in names if name.partition(".")[0] == NAME)


def _packages(folder):
    """{package's folder: its ``__init__.py`` and the data files that lie in it, outside of packages further down}."""
    packages = {path.parent: {path} for path in folder.rglob("__init__.py")}
    for path in folder.rglob("*"):
        if path.suffix != ".py" and path.is_file() and "__pycache__" not in path.parts:
            packages[next(above for above in path.parents if above in packages)].add(path)
    return packages


def _files(name, folder, packages):
    """The files behind a dotted name: its module's, whatever the name is of in there, and those of the packages
    above."""
    here, files = folder, set(packages[folder])
    for part in name.split(".")[1:]:
        if (module := here / f"{part}.py").is_file():
            return files | {module}
        if here / part not in packages:
            break
        here /= part
        files |= packages[here]
    if "def __getattr__" in (here / "__init__.py").read_text(encoding="utf-8"):
        files |= {*here.rglob("*.py")}.union(*(own for package, own in packages.items()
                                               if package.is_relative_to(here)))
    return files

"""Every test has its own run store and data folder: nothing of the checkout's ``data/`` is read or written."""

import os
import random
import sys

import numpy as np
import pytest
import torch

from rrahelpers.base.files import project_root
from rrahelpers.study import notebooks

# side by side with others (pytest -n) a worker has one core; alone, two are enough
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, os.cpu_count() or 1))
SLOW = ("study/test_notebooks.py", "training/test_training.py", "study/test_batch.py")  # files that are begun first


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: next((i for i, name in enumerate(SLOW) if str(item.path).endswith(name)), len(SLOW)))


@pytest.fixture(autouse=True)
def data_folder(tmp_path_factory, monkeypatch):
    """An empty stand-in for ``data/`` (decoded caches, downloads), ``$RRA_RUNS`` and ``$RRA_CACHE`` in it;
    ``$RRA_DATA`` is unset."""
    folder = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("RRA_RUNS", str(folder / "runs"))
    monkeypatch.setenv("RRA_CACHE", str(folder / "features"))
    monkeypatch.delenv("RRA_DATA", raising=False)
    monkeypatch.setattr("rrahelpers.data.sets.data_root", lambda: folder)
    return folder


@pytest.fixture(autouse=True)
def seeds():
    """A test that forgets to seed its random numbers still gives the same answer every time."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def close_figures():
    """No figure outlives its test."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def one_thread():
    """Small problems are quicker on one thread: on a busy machine threads would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def sources():
    """Every Python source as {name: text}: package, tests, benchmarks, site, and the notebooks' code without magic
    lines."""
    found = {}
    for folder in ("rrahelpers", "tests", "benchmarks", "site"):
        for path in sorted((project_root() / folder).rglob("*.py")):
            found[path.relative_to(project_root()).as_posix()] = path.read_text(encoding="utf-8")
    for name in notebooks.names():
        code = ["".join(cell["source"]) for cell in notebooks.read(name)["cells"] if cell["cell_type"] == "code"]
        found[name] = "\n".join(line for line in "\n".join(code).splitlines() if not line.startswith(("%", "!")))
    return found

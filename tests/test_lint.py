"""The linter has nothing to say (its rules are in pyproject.toml)."""

import subprocess
import sys

import pytest

from rrahelpers.base.files import project_root

pytest.importorskip("ruff", reason="ruff isn't installed; make test installs it, from requirements-test.lock")


def test_ruff():
    child = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache"], cwd=project_root(),
                           capture_output=True, encoding="utf-8")
    assert child.returncode == 0, child.stdout + child.stderr

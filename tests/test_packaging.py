"""pyproject.toml, environment.yml and requirements.lock say the same."""

import re
import tomllib

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rrahelpers.base.files import project_root

CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}


def declared():
    """Requirements of the package and of its tests, by name."""
    project = tomllib.loads((project_root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    both = map(Requirement, project["dependencies"] + project["optional-dependencies"]["test"])
    return {canonicalize_name(r.name): r.specifier for r in both}, project["requires-python"]


def test_the_lock_pins_every_requirement_within_its_range():
    lines = [line for line in (project_root() / "requirements.lock").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    pins = {}
    for line in lines:
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)==([0-9][0-9a-z.]*)", line)
        assert match, f"expected name==version without a local version suffix, got {line!r}"
        pins[canonicalize_name(match[1])] = match[2]
    for name, specifier in declared()[0].items():
        assert pins[name] in specifier, f"{name}: {pins[name]} is not {specifier}"


def test_conda_has_the_same_ranges():
    environment = yaml.safe_load((project_root() / "environment.yml").read_text(encoding="utf-8"))
    ranges, python = declared()
    found = {}
    for line in environment["dependencies"]:
        if isinstance(line, str) and line != "pip":
            requirement = Requirement(line)
            found[canonicalize_name(CONDA_NAMES.get(requirement.name, requirement.name))] = requirement.specifier
    assert environment["dependencies"][-1] == {"pip": ["--editable ."]}  # a line of a requirements file: no other option
    assert str(found.pop("python")) == python
    assert found == ranges

"""pyproject.toml, environment.yml and the two lock files say the same."""

import re
import tomllib

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rrahelpers.base.files import project_root

CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}


def read(name):
    return (project_root() / name).read_text(encoding="utf-8")


def declared(extra=None):
    """Requirements of the package, or of one of its extras, as {name: range}."""
    project = tomllib.loads(read("pyproject.toml"))["project"]
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}


def pins(name):
    found = {}
    for line in read(name).splitlines():
        if not line.startswith("#"):
            match = re.fullmatch(r"([A-Za-z0-9_.-]+)==([0-9][0-9a-z.]*)", line)
            assert match, f"{name}: expected name==version without a local version suffix, got {line!r}"
            found[canonicalize_name(match[1])] = match[2]
    return found


def test_the_lock_pins_every_requirement_within_its_range():
    lock = pins("requirements.lock")
    for name, specifier in declared().items():
        assert lock[name] in specifier, f"{name}: {lock[name]} is not {specifier}"


def test_the_lock_of_the_tests_pins_their_tools_and_figures_install_none_of_them():
    lock = pins("requirements-test.lock")
    for name, specifier in declared("test").items():
        assert lock[name] in specifier, f"{name}: {lock[name]} is not {specifier}"
    assert not set(lock) & set(pins("requirements.lock"))


def test_conda_has_the_same_ranges():
    environment = yaml.safe_load(read("environment.yml"))
    found = {}
    for line in environment["dependencies"]:
        if isinstance(line, str) and line != "pip":
            requirement = Requirement(line)
            found[canonicalize_name(CONDA_NAMES.get(requirement.name, requirement.name))] = requirement.specifier
    # a line of a requirements file: no other option
    assert environment["dependencies"][-1] == {"pip": ["--editable ."]}
    assert str(found.pop("python")) == tomllib.loads(read("pyproject.toml"))["project"]["requires-python"]
    assert found == declared()


def test_the_workflow_tests_the_oldest_python_there_is_a_promise_for():
    matrix = yaml.safe_load(read(".github/workflows/test.yml"))["jobs"]["test"]["strategy"]["matrix"]
    oldest = tomllib.loads(read("pyproject.toml"))["project"]["requires-python"].removeprefix(">=")
    assert matrix["python"][0] == oldest


def test_the_citation_has_the_version_of_the_package():
    import rrahelpers

    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == rrahelpers.__version__ == tomllib.loads(read("pyproject.toml"))["project"]["version"]
    assert rrahelpers.__version__ in read("CHANGELOG.md")


def test_the_lock_of_the_site_pins_its_tools():
    assert {"sphinx", "furo", "myst-nb", "sphinx-autoapi", "latex2mathml"} <= set(pins("requirements-site.lock"))

"""Profiles: the parameters under which the notebooks run, from ``notebooks/profiles/<name>.yaml``."""

import yaml

from rrahelpers import notebooks


def names():
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def read(name):
    """A profile: {"all": parameters of every notebook that has them, "<notebook>": its own}."""
    path = _folder() / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"unknown profile {name!r}; expected one of {', '.join(names())}")
    return yaml.safe_load(path.read_text())


def parameters(notebook, name):
    """A notebook's parameters under a profile: those for all that it declares, and its own, which it must declare."""
    sections = read(name)
    if unknown := set(sections) - {"all", *notebooks.names()}:
        raise ValueError(f"profile {name} has sections for no notebook: {', '.join(sorted(unknown))}")
    own = sections.get(notebook, {})
    notebooks.check_parameters(notebook, own)
    declared = notebooks.parameters(notebook)
    return {**{key: value for key, value in sections.get("all", {}).items() if key in declared}, **own}


def _folder():
    return notebooks.folder() / "profiles"

"""Profiles: the parameters under which the notebooks run, from ``notebooks/profiles/<name>.yaml``."""

from typing import Any

import yaml

from rrahelpers.study import notebooks


def names() -> list[str]:
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def read(name: str) -> dict[str, dict[str, Any]]:
    """A profile: {"all": parameters of every notebook that has them, "<notebook>": its own}.

    Raises ``ValueError`` for an unknown name, and for a file that says something else.
    """
    path = _folder() / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"unknown profile {name!r}; expected one of {', '.join(names())}")
    try:
        sections = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    if not isinstance(sections, dict) or not all(isinstance(section, dict | None) for section in sections.values()):
        raise ValueError(f"{path}: expected sections of parameters, 'all' or a notebook's name, each name: value; got "
                         f"{sections!r}")
    sections = {title: section or {} for title, section in sections.items()}
    if unknown := set(sections) - {"all", *notebooks.names()}:
        raise ValueError(f"profile {name} has sections for no notebook: {', '.join(sorted(unknown))}")
    return sections


def parameters(notebook: str, name: str) -> dict[str, Any]:
    """A notebook's parameters under a profile: those for all that it declares, and its own, which it must declare.

    ``profile`` is among them, the profile's name: it names the folder of the figures.
    """
    sections = read(name)
    declared = {each: notebooks.parameters(each) for each in notebooks.names()}
    if unknown := set(everyones := sections.get("all", {})) - set().union(*declared.values()):
        raise ValueError(f"profile {name} has parameters for all that no notebook declares: "
                         f"{', '.join(sorted(unknown))}")
    own = sections.get(notebook, {})
    notebooks.check_parameters(notebook, own)
    found = {key: value for key, value in everyones.items() if key in declared[notebook]} | own
    if found.setdefault("profile", name) != name:
        raise ValueError(f"profile {name} gives {notebook} the parameter profile: {found['profile']}; its figures "
                         f"would lie in that profile's folder, expected {name}, or nothing")
    return found


def _folder():
    return notebooks.folder() / "profiles"

"""What claims are read from: the numbers behind the figures, and the runs that they came from."""

import json
import re
from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd

from rrahelpers.base.files import project_root
from rrahelpers.study import recipes
from rrahelpers.training.config import RunConfig
from rrahelpers.training.runs import store_root

TITLES = {"cifar10": "CIFAR-10", "mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "digits": "digits",
          "tiny-imagenet-50": "Tiny-ImageNet-50", "imagenette": "Imagenette"}

Where = dict[str, Any]  # {column: what is wanted there}, see Tables.read


class Missing(Exception):
    """A figure, a column or rows that a claim needs aren't there; the message says which."""


class Origin(TypedDict):
    """What is behind some figures, as text."""

    data: str
    models: str
    recipe: str
    epochs: str


class Tables:
    """Tables of figures (``<name>.csv``, their provenance in ``<name>.json``) in a folder, each read once.

    ``folder``: by default that of the study profile. ``used``: names of those that were read since it was cleared.
    """

    def __init__(self, folder: Path | None = None, runs: Path | None = None) -> None:
        self.folder = project_root() / "figures" / "study" if folder is None else folder
        self.runs = store_root() if runs is None else runs
        self.used: set[str] = set()
        for name in ("_read", "provenance", "config", "record"):
            setattr(self, name, cache(getattr(self, name)))

    def read(self, name: str, **where: Any) -> pd.DataFrame:
        """The rows of a figure's table with ``where``'s values: {column: value, values, a pattern, or a function}.

        In a pattern ``*`` stands for any text and ``~`` for a width that may be named (", width 1/4"). Raises
        :class:`Missing` where the figure, a column or such rows are not there.
        """
        table = self._read(name)
        self.used.add(name)
        for column, wanted in where.items():
            if column not in table:
                raise Missing(f"{name}.csv has no column {column!r}")
            chosen = table[matching(table[column], wanted)]
            if chosen.empty:
                raise Missing(f"{name}.csv has no row with {column} {getattr(wanted, '__name__', wanted)}" +
                              (" among those chosen before" if len(where) > 1 else ""))
            table = chosen
        return table

    def numbers(self, name: str, column: str, **where: Any) -> pd.DataFrame:
        """A column of :meth:`read`'s rows without what is empty; :class:`Missing` where nothing is left."""
        table = self.read(name, **where)
        if column not in table:
            raise Missing(f"{name}.csv has no column {column!r}")
        if (filled := table[table[column].notna()]).empty:
            raise Missing(f"{name}.csv has no {column} yet" + (f" with {where}" if where else ""))
        return filled

    def _read(self, name):
        try:
            return pd.read_csv(self.folder / f"{name}.csv", dtype={"scale": str})
        except FileNotFoundError:
            raise Missing(f"no figure {name} in {self.folder.name} yet") from None
        except (ValueError, OSError) as error:
            raise Missing(f"{name}.csv can't be read: {error}") from None

    def provenance(self, name: str) -> dict[str, Any]:
        """What ``<name>.json`` says; empty where there is none or it can't be read."""
        try:
            return json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def config(self, run: str) -> RunConfig | None:
        """A stored run's :class:`RunConfig`, or None where the store lacks it or can't read it."""
        try:
            return RunConfig(**self.record(run)["config"])
        except (ValueError, KeyError, TypeError):
            return None

    def record(self, run: str) -> dict[str, Any]:
        """A stored run's record; empty where the store lacks it or can't read it."""
        try:
            return json.loads((self.runs / run / "record.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def configs(self, name: str) -> list[RunConfig]:
        """The configurations of a figure's runs that the store has."""
        return [config for run in self.provenance(name).get("runs", ()) if (config := self.config(run))]

    def origin(self, names: Iterable[str]) -> Origin:
        """``data``, ``models`` (with their widths), ``recipe`` and ``epochs`` behind some figures, as text."""
        data, models, recipe, epochs = dict[str, None](), dict[str, None](), dict[str, None](), dict[int, None]()
        for name in sorted(names):
            told = self.provenance(name)
            notes = told.get("parameters", {}).get("data_notes", {})
            data |= {TITLES.get(key, key) + (f" ({notes[value]})" if value in notes else ""): None
                     for key, value in told.get("data", {}).items()}
            for config in self.configs(name):
                width = config.options.get("width", 1)
                models |= {config.model + (f" (width {width:g})" if width != 1 else ""): None}
                recipe |= {recipe_of(config): None}
                epochs |= {config.epochs: None}
        return {"data": ", ".join(data), "models": ", ".join(models), "recipe": ", ".join(recipe),
                "epochs": "/".join(map(str, sorted(epochs)))}

    @cached_property
    def names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.csv"))


def labelled(pattern: str, name: str) -> Where:
    """{network: a test of labels} for :meth:`Tables.read`: those that a regular expression fits as a whole. ``name``:
    what they are called where there are none."""
    def chosen(label):
        return re.fullmatch(pattern, str(label)) is not None
    chosen.__name__ = name
    return {"network": chosen}


def matching(column: pd.Series, wanted: Any) -> pd.Series:
    """Which values of a column are ``wanted``: a value, several, a pattern (see :meth:`Tables.read`) or a function."""
    if callable(wanted):
        return column.map(wanted).astype(bool)
    if isinstance(wanted, (list, tuple, set, range)):
        return column.isin(list(wanted))
    if isinstance(wanted, str) and set("*~") & set(wanted):
        parts = {"*": ".*", "~": r"(, width [^,:]+)?"}
        pattern = "".join(parts.get(part, re.escape(part)) for part in re.split("([*~])", wanted))
        return column.astype(str).str.fullmatch(pattern)
    return column == wanted


def recipe_of(config: RunConfig) -> str:
    """The name of the recipe that a run follows, but for its epochs."""
    known = [name for name in recipes.RECIPES if recipes.follows(config, name)]
    return known[0] if known else "none of the sources'"

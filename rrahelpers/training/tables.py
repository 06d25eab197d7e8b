"""The tables that lie in a run's folder: what expensive measures gave, keyed by measure and parameters."""

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from rrahelpers.base.files import atomic, digest, write_json
from rrahelpers.base.provenance import environment


class RunError(Exception):
    """A run folder that cannot be used: damaged, of another format, or without the weights that were asked for."""


def stored_table(folder: str | Path, measure: str, parameters: dict,
                 compute: Callable[[], pd.DataFrame] | None) -> pd.DataFrame | None:
    """The tidy table of ``measure`` under ``parameters`` (JSON), from ``folder``, or from ``compute()`` and stored.

    Where the store lacks it and ``compute`` is None, the answer is None. A damaged file raises :class:`RunError`.
    """
    path = _result_path(folder, measure, parameters)
    about = path.with_suffix(".json")
    if not path.exists():
        if compute is None:
            return None
        table = compute()
        try:
            store_table(folder, measure, parameters, table)
        except OSError as error:  # a full disk, a read-only store: what was computed is good all the same
            warnings.warn(f"cannot write {path} ({error}); it will be computed again next time", stacklevel=3)
            return table
    try:
        return _read_table(path.read_text(encoding="utf-8"), json.loads(about.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} or its {about.name} is damaged or from another version ({error!r}); restore both with "
                       "git checkout, or delete them and they are computed again") from error


def _read_table(text, about):
    """The table that CSV ``text`` holds. Raises ``ValueError`` where it isn't whole."""
    table = pd.read_csv(io.StringIO(text), dtype=about["types"], keep_default_na=False, na_values=[""])
    if list(table) != list(about["types"]) or len(table) != about.get("rows", len(table)) or not text.endswith("\n"):
        raise ValueError(f"{len(table)} rows of {', '.join(map(str, table))} are not all that was written")
    return table


def store_table(folder: str | Path, measure: str, parameters: dict, table: pd.DataFrame) -> None:
    """Write what :func:`stored_table` reads. Raises ``OSError`` where the folder can't be written."""
    path = _result_path(folder, measure, parameters)
    types = {column: str(dtype) for column, dtype in table.dtypes.items()}
    # the table last: where it is, its origin is known
    write_json(path.with_suffix(".json"),
               {"measure": measure, "parameters": parameters, "types": types, "rows": len(table),
                "environment": environment()})
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.8g")


def _result_path(folder, measure, parameters):
    return Path(folder) / "results" / f"{measure}-{digest(parameters)}.csv"

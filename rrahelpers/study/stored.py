"""Tables that belong to a data set rather than to one run."""

from __future__ import annotations

from pathlib import Path

from rrahelpers import data
from rrahelpers.training.runs import store_root


def stored_for(data_set: str, kind: str) -> Path:
    """Where the tables of a kind lie that belong to a data set: to the copy found here, or to the only one stored."""
    try:
        checksum = data.checksum(data_set)
    except data.DataError:
        stored = sorted(store_root().glob(f"{kind}-{data_set}-*"))
        if len(stored) == 1:
            return stored[0]
        checksum = "none"
    return store_root() / f"{kind}-{data_set}-{checksum}"

"""Numbers printed in the sources, as data: tests, grids and notebooks hold theirs against these.

``stac_tables.csv`` has every row of tables 1 to 5 of the STAC paper (Hryniowski & Wong, "Systematic Architectural
Design of Scale Transformed Attention Condenser DNNs").
"""

import json
import re
from importlib.resources import files

import pandas as pd

TABLES = (1, 2, 3, 4, 5)
UNITS = {"K": 1e3, "M": 1e6, "B": 1e9}


def table(number):
    """One of the STAC paper's tables 1 to 5, in the printed order.

    Columns: ``table``; ``data`` and ``label`` as printed; ``model``, ``options`` (a dict) and ``num_classes`` for
    ``models.build``; ``image_size`` in pixels; ``accuracy`` and ``accuracy_std``, top-1 in percent over 8 seeds, NaN
    where training was unstable; ``flops`` and ``params`` as printed ("41.5M"), None where a table has no such column.
    Options at their default are left out, so the same network has the same options in every table.

    Raises ``ValueError`` for another number.
    """
    if number not in TABLES:
        raise ValueError(f"expected one of the STAC paper's tables {TABLES}, got {number!r}")
    text = files(__name__).joinpath("stac_tables.csv")
    with text.open(encoding="utf-8") as file:
        rows = pd.read_csv(file, converters={"options": json.loads}, dtype={"flops": object, "params": object})
    rows = rows[rows["table"] == number].reset_index(drop=True)
    return rows.assign(params=[value if isinstance(value, str) else None for value in rows["params"]])


def number(printed):
    """The number behind a printed count: ``number("41.5M")`` is 41.5e6."""
    digits, unit = _parts(printed)
    return float(digits) * UNITS[unit]


def as_printed(count, like):
    """``count`` rounded and written in the style of ``like``: ``as_printed(41_538_240, "85.7M")`` is "41.5M"."""
    digits, unit = _parts(like)
    return f"{count / UNITS[unit]:.{len(digits.partition('.')[2])}f}{unit}"


def _parts(printed):
    match = re.fullmatch(rf"(\d+(?:\.\d+)?)([{''.join(UNITS)}])", str(printed))
    if match is None:
        raise ValueError(f"expected a printed count such as '41.5M' or '272K', got {printed!r}")
    return match.groups()

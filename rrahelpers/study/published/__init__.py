"""Numbers printed in the sources, as data: tests, grids and notebooks hold theirs against these.

``stac_tables.csv`` has every row of tables 1 to 5 of the STAC paper (Hryniowski & Wong, "Systematic Architectural
Design of Scale Transformed Attention Condenser DNNs"). The other files are the dissertation's (Richter, "Towards
Efficient Convolutional Neural Architecture Design"); table 4, an extract of 15, is in none of them.
"""

import json
import re
from importlib.resources import files

import pandas as pd

TABLES = (1, 2, 3, 4, 5)
DISSERTATION = ("autoencoder", "projection_tests", "receptive_fields", "resolution")
UNITS = {"K": 1e3, "M": 1e6, "B": 1e9}


def table(number: int) -> pd.DataFrame:
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


def dissertation(name: str) -> pd.DataFrame:
    """One of the dissertation's tables, as printed, a row for each of its rows; NaN where a table has no such column.

    ``name``: "autoencoder" (table 3): ``delta``, ``dimensions`` of the code, ``loss``. "projection_tests" (tables 5 and
    14 to 16): ``table``, ``model``, ``networks`` (n), and the columns of
    :func:`rrahelpers.eigenspace.projection_tests`; ``saturation`` in percent. "receptive_fields": ``network`` (as in
    ``grids.NETWORKS``), ``quantity`` ("b_max" and "b_min": numbers of convolutions, "last receptive field" in pixels,
    "GFLOPs" of an image, all at 32x32 pixels; "layers" and "layers in depth"; "accuracy" on CIFAR-10 in percent),
    ``printed``, ``where``. "resolution" (table 10): ``model``, ``data``, top-1 accuracy in percent of that with 224
    pixels: ``less_detail`` (32 pixels), ``enlarged`` (those made 224 again). Raises ``ValueError`` for another name.
    """
    if name not in DISSERTATION:
        raise ValueError(f"expected one of the dissertation's tables {DISSERTATION}, got {name!r}")
    with files(__name__).joinpath(f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


def number(printed: str) -> float:
    """The number behind a printed count: ``number("41.5M")`` is 41.5e6."""
    digits, unit = _parts(printed)
    return float(digits) * UNITS[unit]


def as_printed(count: float, like: str) -> str:
    """``count`` rounded and written in the style of ``like``: ``as_printed(41_538_240, "85.7M")`` is "41.5M"."""
    digits, unit = _parts(like)
    return f"{count / UNITS[unit]:.{len(digits.partition('.')[2])}f}{unit}"


def _parts(printed):
    match = re.fullmatch(rf"(\d+(?:\.\d+)?)([{''.join(UNITS)}])", str(printed))
    if match is None:
        raise ValueError(f"expected a printed count such as '41.5M' or '272K', got {printed!r}")
    return match.groups()

"""Values as people write them on a command line."""

import argparse
import json
import re
from collections.abc import Iterable
from typing import Any

UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str | float) -> float:
    """Seconds from a number, or from "90", "90s", "9m" or "1.5h". Raises ``ValueError`` for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(text))
    if not match:
        raise ValueError(f"expected a time such as 90s, 9m or 1.5h, got {text!r}")
    return float(match[1]) * UNITS[match[2] or "s"]


def duration(text: str) -> float:
    """:func:`seconds` for an argument."""
    try:
        return seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def pairs(items: Iterable[str]) -> dict[str, Any]:
    """{name: value} of texts NAME=VALUE, each value JSON or a plain word. Raises ``ValueError`` for others."""
    found: dict[str, Any] = {}
    for item in items:
        name, sign, value = item.partition("=")
        if not sign:
            raise ValueError(f"--set expects NAME=VALUE, got {item!r}")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found

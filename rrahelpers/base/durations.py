"""Times as people write them."""

import re

UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(text):
    """Seconds from a number, or from "90", "90s", "9m" or "1.5h". Raises ``ValueError`` for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(text))
    if not match:
        raise ValueError(f"expected a time such as 90s, 9m or 1.5h, got {text!r}")
    return float(match[1]) * UNITS[match[2] or "s"]

"""What a finished run's ``record.json`` has to hold."""

import json
from pathlib import Path

from rrahelpers.training.tables import RunError

FORMAT = 1  # raise when a record's layout changes; older folders are then refused by name
FIELDS = {"status": str, "config": dict, "build": dict, "mean": list, "std": list, "history": list}  # of a record


def read_record(folder: str | Path) -> dict:
    path = Path(folder) / "record.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        version = record["format"]
    except FileNotFoundError:
        raise RunError(f"{folder} is no finished run: expected {path.name} in it") from None
    except OSError as error:
        raise RunError(f"cannot read {path} ({error}); expected a run store that can be read, "
                       "RRA_RUNS names it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}); restore it with git checkout, or move the folder away and train "
                       "again") from error
    if version != FORMAT:
        raise RunError(f"{path} has format {version}, this version reads {FORMAT}; move the folder away or use the "
                       "version that wrote it")
    if missing := set(FIELDS) - set(record):
        raise RunError(f"{path} is damaged (it has no {', '.join(sorted(missing))}); restore it with git checkout, "
                       "or move the folder away and train again")
    wrong = [name for name, form in FIELDS.items() if not isinstance(record[name], form)]
    if not wrong and record["status"] == "complete" and not _has_accuracy(record["history"]):
        wrong = ["history"]
    if wrong:
        raise RunError(f"{path} is damaged (not of the expected form: {', '.join(wrong)}); restore it with git "
                       "checkout, or move the folder away and train again")
    return record


def _has_accuracy(history):
    """Whether an accuracy stands in the last row; other programs than ours don't measure it after every epoch."""
    return (bool(history) and all(isinstance(row, dict) for row in history)
            and isinstance(history[-1].get("test_accuracy"), (int, float)))

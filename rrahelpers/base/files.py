"""Where the project's files live, and writing them so that a cut-off write leaves nothing half done."""

import contextlib
import hashlib
import json
import os
from pathlib import Path


def project_root():
    """The checkout that holds the package; the working directory where the package is installed without one."""
    checkout = Path(__file__).resolve().parent.parent.parent
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


def data_root():
    """The project's own data folder: downloads, decoded caches and the run store."""
    return project_root() / "data"


@contextlib.contextmanager
def atomic(path):
    """Yield a temporary path beside ``path``; on success it takes ``path``'s place, on failure it goes away.

    The file is flushed to the disk before the rename, so a reader finds the old content or the new, never a part.
    ``OSError`` (a full disk, no permission) passes through with ``path`` untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, content):
    """Write ``content`` as indented JSON, atomically. NaN is refused: a record must stay readable everywhere."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def digest(content, length=12):
    """The first ``length`` hexadecimal digits of the SHA-256 of ``content``'s canonical JSON."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:length]

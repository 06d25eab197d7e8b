"""Where the project's files live, and writing them so that a cut-off write leaves nothing half done."""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


def project_root() -> Path:
    """The checkout that holds the package; the working directory where the package is installed without one."""
    checkout = Path(__file__).resolve().parent.parent.parent
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


def data_root() -> Path:
    """The project's own data folder: downloads, decoded caches and the run store."""
    return project_root() / "data"


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes ``path``'s place, on failure it goes away.

    The file is flushed to the disk before the rename, and its folder after it, so a reader finds the old content or the
    new, never a part, and the new is there to stay. No two writers share a temporary, be they threads or on different
    machines: the last one wins. ``OSError`` (a full disk, no permission) passes through with ``path`` untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(folder):
    """Flush a folder's list of names to the disk, on platforms and file systems that can."""
    with contextlib.suppress(OSError):  # Windows opens no folders, some network file systems flush none
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_json(path: str | Path, content: object) -> None:
    """Write ``content`` as indented JSON, atomically. NaN is refused: a record must stay readable everywhere."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def digest(content: object, length: int = 12) -> str:
    """The first ``length`` hexadecimal digits of the SHA-256 of ``content``'s canonical JSON."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:length]

"""Memory that a loop of equal steps asks for again and again."""

import contextlib
import ctypes
import os
import platform
import threading
from collections.abc import Iterator
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # of glibc's mallopt
KEEP = {MMAP_MAX: 0, TRIM_THRESHOLD: -1}
USUAL = {MMAP_MAX: 65536, TRIM_THRESHOLD: 2**26, MMAP_THRESHOLD: 2**25}  # the thresholds: as far as glibc raises them

_lock, _open = threading.Lock(), 0


@contextlib.contextmanager
def kept_buffers() -> Iterator[None]:
    """While it is open, memory that the process sets free on a CPU stays with it for the next request; when the last
    one is closed, it goes back.

    By itself glibc returns buffers above 32 MB at once, and smaller ones often, and the system has to clear each page
    anew when it is asked for again: a quarter of the time of testing ResNet20 in batches of 500 images of 32 pixels,
    4 % of its training; on a virtual machine half of a pass through ResNet50 at 224 pixels. Nothing that is computed
    changes. Other C libraries, and a process whose environment tells glibc how to allocate (``MALLOC_...``,
    ``GLIBC_TUNABLES``), are left alone.
    """
    global _open
    with _lock:
        _open += 1
        if _open == 1:
            _set(KEEP)
    try:
        yield
    finally:
        with _lock:
            _open -= 1
            if not _open:
                _set(USUAL)


@cache
def _glibc():
    told = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" and not told else None


def _set(options):
    if (library := _glibc()) is None:
        return
    for name, value in options.items():
        library.mallopt(name, value)
    if options is USUAL:
        library.malloc_trim(0)

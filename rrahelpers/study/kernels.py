"""Kernels for notebooks that run headless: away from the network, and from the terminal.

Jupyter's kernels talk over TCP in the clear, where other users of the machine can listen, and write to the terminal
that started them, between the progress bars. Ours talk over sockets in a folder that this user alone may enter, where
the platform has such sockets, and write into a file; what a cell prints is in the executed notebook in any case.
"""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.manager import AsyncKernelManager
from traitlets import Unicode
from traitlets.config import Config

logging.getLogger("papermill").addHandler(logging.NullHandler())  # what it logs of a failure is raised too


class QuietKernel(AsyncKernelManager):
    """A kernel whose process writes into the file ``log`` what it would write to the terminal."""

    log_path = Unicode(config=True)

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]  # its parent's is asynchronous too
        with open(self.log_path, "wb") as log:
            await super().start_kernel(stdout=log, stderr=log, **options)


@contextlib.contextmanager
def quiet(log_path: Path) -> Iterator[dict[str, Any]]:
    """What :func:`papermill.execute_notebook` has to be given, as a dictionary, for a kernel as above; good within the
    context.

    Where the kernel wrote nothing, no file is left at ``log_path``.
    """
    with tempfile.TemporaryDirectory(prefix="rra-", ignore_cleanup_errors=True) as folder:
        try:
            yield {"kernel_manager_class": QuietKernel,
                   "config": Config(QuietKernel={"log_path": str(log_path), **transport(os.path.join(folder, "s"))})}
        finally:
            if log_path.is_file() and log_path.stat().st_size == 0:
                log_path.unlink()


def transport(path: str) -> dict[str, str]:
    """The kernel manager's settings for sockets at ``path``-1 and so on; for TCP (none) where such sockets, or names as
    long, can't be."""
    usable = os.name == "posix" and zmq.has("ipc") and len(os.fsencode(f"{path}-9")) <= zmq.IPC_PATH_MAX_LEN
    return {"transport": "ipc", "ip": path} if usable else {}

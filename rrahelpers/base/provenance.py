"""Where a number came from: versions, hardware, commit."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import torch

from rrahelpers.base.files import project_root

LIBRARIES = ("torch", "torchvision", "numpy", "pandas", "scikit-learn", "pynndescent", "matplotlib", "seaborn",
             "rrahelpers")


def environment() -> dict[str, str | int | None]:
    """Interpreter, torch and hardware."""
    cuda = torch.cuda.is_available()
    return {
        "python": platform.python_version(), "torch": torch.__version__, "platform": platform.system(),
        "processor": _processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if cuda else None,
    }


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def libraries() -> dict[str, str | None]:
    """The versions of the libraries that decide numbers and pictures; None for one that isn't installed."""
    def version(library):
        try:
            return importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            return None

    return {library: version(library) for library in LIBRARIES}


def commit() -> dict[str, str | bool | None]:
    """The checkout's commit and whether the tree differed from it; nulls outside a checkout."""
    def git(*arguments):
        answer = subprocess.run(["git", "-C", str(project_root()), *arguments], capture_output=True, encoding="utf-8")
        return answer.stdout.strip() if answer.returncode == 0 else None

    try:
        head, changes = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no", "--",
                                                      "rrahelpers", "notebooks")
    except FileNotFoundError:
        return {"commit": None, "dirty": None}
    return {"commit": head, "dirty": None if changes is None else bool(changes)}

"""The checkpoint of an unfinished run: network, optimiser and history after its last finished epoch."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from rrahelpers.base.files import atomic
from rrahelpers.training.runs import RunError


def save(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, history: list[dict[str, float]]) -> None:
    """Replace the checkpoint in ``folder``. Raises ``OSError`` with the old one untouched."""
    memory = io.BytesIO()  # torch reports a full disk as a fault of its own, without a path
    torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), "history": history}, memory)
    with atomic(_path(folder)) as temporary:
        temporary.write_bytes(memory.getbuffer())


def restore(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer,
            device: torch.device) -> list[dict[str, float]]:
    """Load the checkpoint if there is a sound one; return the history so far.

    A damaged one is reported and passed over. Raises ``RunError`` for one that is not of this network.
    """
    path = _path(folder)
    if not path.exists():
        return []
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        # torch's text misleads
        warnings.warn(f"{path} is damaged ({type(error).__name__}); training starts again", stacklevel=2)
        return []
    try:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        return state["history"]
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} belongs to another version of this network; delete it, and training starts again "
                       f"({error})") from error


def history(folder: Path) -> list[dict[str, float]]:
    """The history in the checkpoint in ``folder``, its network left on the disk; empty where there is no sound one."""
    try:
        return torch.load(_path(folder), map_location="cpu", mmap=True, weights_only=True)["history"]
    except Exception:  # none, or damaged: training will say so
        return []


def remove(folder: Path) -> None:
    _path(folder).unlink(missing_ok=True)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the ``OSError`` of what is written into ``folder`` into a ``RunError`` that says how to go on."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write into {folder} ({error}); the epochs before are kept. Make room, and "
                       "the same command goes on after them") from error


def _path(folder):
    return folder / "checkpoint.pt"

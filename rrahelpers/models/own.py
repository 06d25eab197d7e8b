"""Networks of one's own, named "module:function": imported from where the command is called, and built by calling it.

Training calls it with ``num_classes``, with ``in_channels`` where it takes that, and with the options of the
configuration. The code itself isn't part of a run's name: other code wants another name.
"""

import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

from torch import nn


def is_own(name: str) -> bool:
    """Whether a name is of the form module:function."""
    return ":" in name


def function_of(name: str) -> Callable[..., Any]:
    """What "module:function" names. Raises ``ValueError`` where it can't be imported, or isn't there."""
    module, _, function = name.partition(":")
    sys.path.insert(0, "")  # where the command is called
    try:
        made = getattr(importlib.import_module(module), function, None)
    except ImportError as error:
        raise ValueError(f"can't import {module!r} ({error}); expected module:function") from error
    finally:
        sys.path.remove("")
    if not callable(made):
        raise ValueError(f"{module!r} has no function {function!r}; expected module:function")
    return made


def takes(name: str, option: str) -> bool:
    """Whether what "module:function" names takes an option, by name or among any others."""
    parameters = inspect.signature(function_of(name)).parameters
    return option in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def build_own(name: str, **options: Any) -> nn.Module:
    """The network that "module:function" gives for ``options``. Raises ``ValueError`` as above and where it is none."""
    model = function_of(name)(**options)
    if not isinstance(model, nn.Module):
        raise ValueError(f"{name} answers with {type(model).__name__}; expected a torch.nn.Module")
    return model

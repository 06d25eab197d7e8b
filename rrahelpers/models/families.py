"""What the functions that build our networks share."""

import inspect
import math
from collections.abc import Callable
from typing import TypeVar

from torch import nn

Family = TypeVar("Family", bound=Callable[..., nn.Module])


def options_of(*classes: type[nn.Module]) -> Callable[[Family], Family]:
    """Give a function with ``**options`` the signature of what it builds: the keyword-only parameters of ``classes``.

    So ``help(vgg16)`` lists the options, and :func:`rrahelpers.models.build` knows them.
    """
    def decorate(function):
        options = {}
        for source in (function, *classes):  # the function's own come first, and decide their default
            for parameter in inspect.signature(source).parameters.values():
                if parameter.kind is parameter.KEYWORD_ONLY:
                    options.setdefault(parameter.name, parameter)
        function.__signature__ = inspect.Signature(options.values())
        return function

    return decorate


def scaled(factor: float, count: int, name: str = "width", of: str = "channels") -> int:
    """``count`` times the factor called ``name``, rounded down.

    Raises ``ValueError`` where none is left, or no finite number given.
    """
    if isinstance(factor, (bool, str)) or not math.isfinite(factor):
        raise ValueError(f"expected {name}, a factor of all {of}, as a number, got {factor!r}")
    if (scaled_count := int(factor * count)) < 1:
        raise ValueError(f"{name} {factor!r} leaves none of {count} {of}; expected at least {1 / count:.3g}")
    return scaled_count

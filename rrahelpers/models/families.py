"""What the functions that build our networks share."""

import inspect


def options_of(*classes):
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


def scaled(width, channels):
    """``channels`` times the factor ``width``, rounded down. Raises ``ValueError`` where none is left, or no number given."""
    if isinstance(width, (bool, str)):
        raise ValueError(f"expected width, a factor of all channels, as a number, got {width!r}")
    if (count := int(width * channels)) < 1:
        raise ValueError(f"width {width!r} leaves none of {channels} channels; expected at least {1 / channels:g}")
    return count

"""What the functions that build our networks share."""

import inspect


def options_of(*classes):
    """Give a function with ``**options`` the signature of what it builds: the keyword-only parameters of ``classes``.

    So ``help(vgg16)`` lists the options, and :func:`rrahelpers.models.build` knows them.
    """
    parameters = {}
    for cls in classes:
        for parameter in inspect.signature(cls).parameters.values():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                parameters.setdefault(parameter.name, parameter)

    def decorate(function):
        own = [p for p in inspect.signature(function).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
        function.__signature__ = inspect.Signature([*own, *(p for p in parameters.values() if p.name not in {o.name for o in own})])
        return function

    return decorate


def scaled(width, channels):
    """Channels times the width factor, rounded down (STAC paper, section 5.1). Raises ``ValueError`` where none is left."""
    if (count := int(width * channels)) < 1:
        raise ValueError(f"width {width!r} leaves none of {channels} channels; expected at least {1 / channels:g}")
    return count

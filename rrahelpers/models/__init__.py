"""Networks by name: one function for each family, as in torchvision, and ``build``, which looks it up."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from rrahelpers.models.attached import attach
from rrahelpers.models.he_resnet import HeResNet
from rrahelpers.models.multipath import MPNet, densenet18, densenet65, mpnet18, mpnet36
from rrahelpers.models.own import build_own, function_of, is_own, takes
from rrahelpers.models.perceptron import autoencoder, perceptron, skip_perceptron
from rrahelpers.models.resnet import ResNet, resnet18, resnet20, resnet34, resnet50
from rrahelpers.models.surgery import truncate, without_downsampling
from rrahelpers.models.vgg import VGG, vgg11, vgg13, vgg16, vgg19

FAMILIES: dict[str, Callable[..., nn.Module]] = {function.__name__: function for function in (
    resnet20, resnet18, resnet34, resnet50, vgg11, vgg13, vgg16, vgg19, mpnet18, mpnet36, densenet18, densenet65,
    skip_perceptron, perceptron, autoencoder,
)}

__all__ = ["attach", "build", "names", "options_for", "HeResNet", "MPNet", "ResNet", "VGG", *FAMILIES]


def names() -> list[str]:
    """Every name that ``build`` takes: our families first, then torchvision's classifiers."""
    return [*FAMILIES, *(f"torchvision/{name}" if name in FAMILIES else name for name in _torchvision_models())]


def build(name: str, *, truncate_at: str | None = None, keep_size_at: Iterable[str] = (), **options: Any) -> nn.Module:
    """Build an untrained network.

    Parameters
    ----------
    name: one of :func:`names`. A name that we share with torchvision gives our network; "torchvision/resnet34"
        asks for torchvision's. Or "module:function", which is called with the options.
    truncate_at: name of a convolution; the network ends before it, see :func:`rrahelpers.models.surgery.truncate`.
    keep_size_at: names of layers that shall not down-sample, see
        :func:`rrahelpers.models.surgery.without_downsampling`.
    options: ``num_classes``, ``in_channels``, ``width``, ``depth``, ``stem``, ``skip``, ``dilation``, ``attention``,
        ``placement``, ``window``, ``kernels``, ``stages`` … where the family has them (``help`` of its function lists
        them); for torchvision's networks, their own arguments.

    Raises ``ValueError`` for an unknown name and ``TypeError`` for an option that the family lacks, and what
    the two functions named raise.
    """
    model = _whole(name, options)
    if keep_size_at:
        model = without_downsampling(model, keep_size_at)
    return model if truncate_at is None else truncate(model, truncate_at)


def _whole(name, options):
    if name in FAMILIES:
        accepted = inspect.signature(FAMILIES[name]).parameters
        if unknown := set(options) - set(accepted):
            raise TypeError(f"{name} has no option {', '.join(sorted(unknown))}; "
                            f"it takes {', '.join(sorted(accepted))}")
        return FAMILIES[name](**options)
    if is_own(name):
        return build_own(name, **options)
    check(name)
    from rrahelpers.base.torchvision import torchvision

    return torchvision.models.get_model(name.removeprefix("torchvision/"), weights=None, **options)


def options_for(name: str, options: dict[str, Any], num_classes: int, in_channels: int) -> dict[str, Any]:
    """``options`` of :func:`build` for data of so many classes and, where the network takes them, channels."""
    whole = {**options, "num_classes": num_classes}
    taken = takes(name, "in_channels") if is_own(name) else name in FAMILIES
    return whole | {"in_channels": in_channels} if taken else whole


def check(name: str) -> None:
    """Raise ``ValueError`` for a name that :func:`build` doesn't know, with those that it does."""
    if is_own(name):
        function_of(name)
    elif name not in FAMILIES and name.removeprefix("torchvision/") not in _torchvision_models():
        raise ValueError(f"unknown model {name!r}; expected one of {', '.join(names())}, or module:function")


def _torchvision_models():
    from rrahelpers.base.torchvision import torchvision

    return torchvision.models.list_models(module=torchvision.models)

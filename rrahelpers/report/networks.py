"""A network by the name under which people know it, its weights, and how it wants its images."""

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rrahelpers import models
from rrahelpers.models.own import build_own, is_own
from rrahelpers.report.preprocessing import Preprocessing, of_model

LIBRARIES = ("timm", "transformers", "torchvision")
FORMS = ("a family's or torchvision's name (resnet20, vgg16, convnext_tiny, torchvision/resnet18), timm/NAME, "
         "transformers/NAME (of the hub, a folder, or a class such as ViTForImageClassification), or module:function")


def build_network(name: str, weights: str | Path | None = None,
                  options: dict[str, Any] | None = None) -> tuple[nn.Module, Preprocessing]:
    """(network in evaluation mode, its :class:`Preprocessing`).

    Parameters
    ----------
    name: a family's or torchvision's name, ``timm/NAME``, ``transformers/NAME`` or ``module:function``, which is
        called without arguments beside ``options`` and answers with a module.
    weights: a file (safetensors, or of ``torch.save``, read without running code), "pretrained" (the library's own,
        which it downloads), or "random". Needed unless it is ``module:function``, which may load its own. Where a file
        fits torchvision's network as it comes, images are prepared as its published weights want them; timm's and
        transformers' networks say themselves how.
    options: {name: value} for whatever builds the network, such as ``num_classes``.

    Raises ``ValueError`` for unknown names, for weights that don't fit, and where a library is missing or fetches
    nothing.
    """
    options, own = options or {}, weights == "pretrained"
    library, _, rest = name.partition("/")
    if weights is None and not is_own(name):
        raise ValueError(f"{name} has no weights yet; expected --weights with a file, 'pretrained' (the library's own, "
                         "which it downloads) or 'random'")
    if is_own(name):
        if own:
            raise ValueError(f"{name}: 'pretrained' weights are for names of {', '.join(LIBRARIES)}")
        model, how = build_own(name, **options), None
    elif library in LIBRARIES[:2] and rest:
        model, how = (_timm if library == "timm" else _transformers)(rest, own, options)
    elif own:
        model, how = _torchvision(name.removeprefix("torchvision/"), options)
    else:
        model = models.build(name, **options)
        theirs = weights != "random" and not options and type(model).__module__.startswith("torchvision.")
        how = _published(name.removeprefix("torchvision/"))[1] if theirs else None
    if weights not in (None, "random", "pretrained"):
        load_weights(model, weights)
    return model.eval(), how or of_model(model)


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Read weights from a file into a network. Raises ``ValueError`` for a file that is none, or doesn't fit."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"expected a file of weights, 'pretrained' or 'random', got {path}, which is no file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # safetensors' and torch's own errors, of many kinds
        raise ValueError(f"{path} holds no weights that can be read: {error}") from error
    for key in ("state_dict", "model"):  # as training scripts nest them
        state = state[key] if isinstance(state, dict) and isinstance(state.get(key), dict) else state
    try:
        model.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    except (RuntimeError, AttributeError) as error:
        raise ValueError(f"the weights in {path} don't fit {type(model).__name__}: {error}") from error


def _timm(name, own, options):
    timm = _library("timm")
    try:
        return timm.create_model(name, pretrained=own, **options), None
    except Exception as error:  # an unknown name, or whatever a failed download raises
        if own and timm.is_model(name):
            raise ValueError(f"timm knows {name!r}, but its weights couldn't be fetched ({_first(error)}); give a file "
                             "of weights, or 'random'") from error
        raise ValueError(f"timm gives no {name!r}: {error}") from error


def _transformers(name, own, options):
    transformers = _library("transformers")
    kind = getattr(transformers, name, None)
    try:
        if isinstance(kind, type) and not own:
            return kind(kind.config_class(**options)), None
        if own:
            model = transformers.AutoModelForImageClassification.from_pretrained(name, **options)
        else:
            config = transformers.AutoConfig.from_pretrained(name, **options)
            model = transformers.AutoModelForImageClassification.from_config(config)
        about = transformers.AutoImageProcessor.from_pretrained(name)
    except Exception as error:
        raise ValueError(f"transformers gives no {name!r} for the classification of images: {error}") from error
    size = about.size.get("height") or about.size.get("shortest_edge")
    return model, Preprocessing(size, tuple(about.image_mean), tuple(about.image_std))


def _torchvision(name, options):
    from rrahelpers.base.torchvision import torchvision

    try:
        weights, how = _published(name)
        return torchvision.models.get_model(name, weights=weights, **options), how
    except Exception as error:
        raise ValueError(f"torchvision gives no weights of {name!r}: {error}; our own families have none") from error


def _published(name):
    """torchvision's weights of a network, not yet fetched, and how images are prepared for them."""
    from rrahelpers.base.torchvision import torchvision

    chosen = torchvision.models.get_model_weights(name).DEFAULT
    how = chosen.transforms()
    size = how.crop_size[0]
    return chosen, Preprocessing(size, tuple(how.mean), tuple(how.std), size / how.resize_size[0],
                                 how.interpolation.value)


def _first(error):
    """The first line of what an error says."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def _library(name):
    from rrahelpers.base.torchvision import torchvision  # noqa: F401  # both import it

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"{name} isn't installed ({error}); pip install {name}") from error

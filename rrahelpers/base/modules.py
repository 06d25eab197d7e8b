"""The modules of a network as every measure sees them: which are layers, what they are called, what can't be seen."""

from collections.abc import Iterable
from typing import TypeGuard

import torch
from torch import fx, jit, nn
from torch._C import _functorch
from torch.nn.utils import parametrize

WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)
WHOLE = (*WEIGHTED, nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)  # layers, also with others inside
RECURRENT = (nn.RNNBase, nn.RNNCellBase)
QUANTISED = ("torch.ao.nn.quantized.", "torch.ao.nn.intrinsic.quantized.", "torch.ao.nn.sparse.quantized.")


def named_layers(model: nn.Module) -> dict[str, nn.Module]:
    """{name: module} of all modules, the model itself ("") included, but for those that only make others' weights.

    ``torch.nn.utils.parametrize`` (weight norm, spectral norm, …) keeps such modules inside the layer: no image ever
    passes them, and the layer goes by its own name.
    """
    inner = {id(part) for module in model.modules() if parametrize.is_parametrized(module)
             for part in module.get_submodule("parametrizations").modules()}
    return {name: module for name, module in model.named_modules() if id(module) not in inner}


def is_leaf(module: nn.Module) -> bool:
    """Whether a module is a layer by itself: without submodules (parametrizations aside), or of the kinds ``WHOLE``."""
    parts = sum(1 for _ in module.children()) - parametrize.is_parametrized(module)
    return parts == 0 or isinstance(module, WHOLE)


def kind(module: nn.Module) -> str:
    """The name of a module's class, which a parametrization changes ("ParametrizedConv2d")."""
    return parametrize.type_before_parametrizations(module).__name__


def untouched(model: nn.Module) -> bool:
    """Whether a network has batch norms, and none has seen an image: a sign that it isn't trained."""
    kept = [(module.running_mean, module.running_var) for module in model.modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    norms = [(mean, var) for mean, var in kept if mean is not None and var is not None]
    return bool(norms) and not any(bool(mean.any()) or bool((var - 1).any()) for mean, var in norms)


def own_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of a module beside its submodules, with those that its parametrizations make its weights from."""
    inner = module.get_submodule("parametrizations").parameters() if parametrize.is_parametrized(module) else ()
    return [*module.parameters(recurse=False), *inner]


def unwrapped(x: object) -> object:
    """The tensor itself of which ``torch.vmap`` shows its function a part at a time; anything else as it is."""
    while _is_wrapped(x):
        x = _functorch.get_unwrapped(x)
    return x


def whole(x: torch.Tensor) -> torch.Tensor:
    """What :func:`unwrapped` gives, the axes that ``torch.vmap`` goes along first, the outermost one's before
    others'."""
    if not _is_wrapped(x):
        return x
    inner = _functorch.get_unwrapped(x)
    return whole(inner.movedim(_functorch.maybe_get_bdim(x), 0) if _functorch.is_batchedtensor(x) else inner)


def _is_wrapped(x: object) -> TypeGuard[torch.Tensor]:
    return isinstance(x, torch.Tensor) and _functorch.is_functorch_wrapped_tensor(x)


def layer_list(layers: Iterable[str]) -> list[str]:
    """Names of layers, each once. Raises ``TypeError`` for a text: its letters would be taken for names."""
    if isinstance(layers, str):
        raise TypeError(f"expected several names of layers, such as [{layers!r}], got the text {layers!r}")
    try:
        return list(dict.fromkeys(layers))
    except TypeError as error:
        raise TypeError(f"expected several names of layers, got {layers!r:.60}") from error


def check_model(model: nn.Module, layers: Iterable[str] | None = None, *, in_a_loop: bool = False) -> None:
    """Raise ``TypeError`` for what is no module, ``ValueError`` for one whose layers run without their hooks being
    called.

    Those are TorchScript's (traced, scripted), exported, quantised and compiled ones: nothing of them would be seen,
    silently. Lazy modules without parameters are refused, too: a measure would leave them changed. ``layers``: names;
    modules of these kinds elsewhere in the model don't matter then. ``in_a_loop``: whether the model is only followed
    in a loop of its user's, where compiled and lazy ones will do.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a torch.nn.Module, got {type(model).__name__}")
    for name, module in model.named_modules():
        told = _unseen(module) or (None if in_a_loop else _not_yet(module))
        inside = layers is None or any(not name or f"{layer}.".startswith(f"{name}.") for layer in layers)
        if told and inside:
            raise ValueError(f"{f'module {name!r}' if name else 'the model'} ({type(module).__name__}) {told}")


def _unseen(module):
    """Why nothing is seen of what happens inside a module, and what to do; None where it can be seen."""
    if isinstance(module, jit.ScriptModule):
        return ("is TorchScript, which calls no hooks: its layers can't be looked at; "
                "give the module that was traced or scripted")
    if isinstance(module, fx.GraphModule) and "eval" in vars(module):
        return ("is an exported graph, whose layers are functions: there is nothing to look at; "
                "give the module that was exported")
    if type(module).__module__.startswith(QUANTISED) and not type(module).__module__.endswith(".functional_modules"):
        return ("is quantised: it has no parameters to count and is none of the layers known; "
                "give the model that was quantised")
    return None


def _not_yet(module):
    """The same for what can be followed from its first call on."""
    if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None:
        return ("is compiled, and passes over what is attached to its layers; give the model that was compiled (the "
                "compiled one's _orig_mod, with the same weights; after model.compile(), copy.deepcopy(model))")
    if any(nn.parameter.is_lazy(p) for p in module.parameters(recurse=False)):
        return "is lazy, and has no parameters yet; run the model once on a batch of images before"
    return None

"""How far each operation sees, by its ATen name.

A rule gets an :class:`edges.Call` and answers with an :class:`edges.Result` for its first output, or a list for all. To
teach the package another operation, add its rule to ``RULES``.
"""

import math
from fractions import Fraction

import torch

from rrahelpers.receptive_field.edges import Call, Edge, Result, Rule, Step, Traced
from rrahelpers.receptive_field.layout import UnknownLayout, atoms, broadcast, plain, regroup, resize, resized
from rrahelpers.receptive_field.windows import adaptive_pooling, convolution, pooling, resampling, unshuffling


def elementwise(call: Call) -> Result:
    dims = broadcast([t.dims for t in call.traced], call.shape)
    return Result(dims, [_spread(t, dims) for t in call.traced], gate=all(t.gate for t in call.traced))


def squash(call: Call) -> Result:
    return elementwise(call)._replace(gate=True)


def clamp(call: Call) -> Result:
    """Between two bounds it squashes, as in the hard sigmoid relu6(x + 3) / 6."""
    bounds = [call.args[name] for name in ("min", "max", "min_val", "max_val") if name in call.args]
    return elementwise(call) if None in bounds else squash(call)


def product(call: Call) -> Result:
    result, gates = elementwise(call), _gates(call, call.traced)
    return result._replace(edges=[edge._replace(gate=gate) for edge, gate in zip(result.edges, gates)])


def reduction(call: Call) -> Result:
    x, rank = call.x, len(call.x.dims)
    given = call.args.get("dim")
    given = range(rank) if given is None or given == [] else [given] if isinstance(given, int) else given
    places, kept = {place % rank for place in given}, call.args.get("keepdim", False)
    dims = tuple(plain(1) if place in places else dim
                 for place, dim in enumerate(x.dims) if kept or place not in places)
    return Result(dims, [_mixed(x, dims, places)])


def softmax(call: Call) -> Result:
    return Result(call.x.dims, [_mixed(call.x, call.x.dims, [call.args["dim"]])], gate=True)


def normalisation(call: Call) -> Result:
    """Values pass as they are; statistics over places of the image count as a gate does: a factor, no content."""
    x, rank = call.x, len(call.x.dims)
    places = range(2, rank) if "group" in call.args or call.args.get("training") else ()
    if "normalized_shape" in call.args:
        places = range(rank - len(call.args["normalized_shape"]), rank)
    edges = [Edge(x.node)]
    if any(x.dims[place].spatial for place in places):
        edges.append(_mixed(x, x.dims, places)._replace(gate=True))
    return Result(x.dims, edges)


def matmul(first: str, second: str) -> Rule:
    """Matrices multiplied over the last dimension of one argument and the last but one of the other."""
    def rule(call):
        a, b = call.args[first], call.args[second]
        both = [t for t in (a, b) if isinstance(t, Traced)]
        dims = (*broadcast([t.dims[:-2] for t in both], call.shape[:-2]),
                a.dims[-2] if a in both else plain(call.shape[-2]), b.dims[-1] if b in both else plain(call.shape[-1]))
        places = [place for t, place in ((a, -1), (b, -2)) if t in both]
        edges = [_mixed(t, dims, [place])._replace(gate=gate)
                 for t, place, gate in zip(both, places, _gates(call, both))]
        return Result(dims, edges + [_spread(t, dims) for t in call.traced if t not in both])  # a bias
    return rule


def linear(call: Call) -> Result:
    x = call.args["input"]
    if call.traced != [x]:
        raise UnknownLayout("multiplies by weights that depend on the image")
    dims = (*x.dims[:-1], plain(call.shape[-1]))
    return Result(dims, [_mixed(x, dims, [-1])])


def attention(call: Call) -> Result:
    """Every token sees the values of all; what weighs them, queries and keys, counts as a gate."""
    query, key, value = (call.args[name] for name in ("query", "key", "value"))
    if not all(isinstance(t, Traced) for t in (query, key, value)):
        raise UnknownLayout("attends with queries, keys or values that don't depend on the image")
    dims = (*query.dims[:-1], value.dims[-1])
    return Result(dims, [_mixed(value, dims, [-2]), _mixed(key, dims, [-2])._replace(gate=True),
                         Edge(query.node, gate=True)])


def same(call: Call) -> Result:
    return Result(call.x.dims, [Edge(call.x.node)], call.x.gate)


def copy(call: Call) -> Result:
    source = call.args["src"]
    if not isinstance(source, Traced):
        raise UnknownLayout("overwrites what depends on the image")
    dims = broadcast([source.dims], call.shape)
    return Result(dims, [_spread(source, dims)], source.gate)


def restride(call: Call) -> Result:
    if list(call.args["size"]) != [dim.size for dim in call.x.dims]:
        raise UnknownLayout("looks at memory in its own way")
    return same(call)  # another memory format


def reshape(call: Call) -> Result:
    return Result(regroup(call.x.dims, call.shape), [Edge(call.x.node)], call.x.gate)


def expand(call: Call) -> Result:
    old = (*(plain(1),) * (len(call.shape) - len(call.x.dims)), *call.x.dims)
    dims = tuple(dim if dim.size == size else plain(size) for dim, size in zip(old, call.shape))
    return Result(dims, [Edge(call.x.node)], call.x.gate)


def permute(call: Call) -> Result:
    order = list(range(len(call.x.dims)))
    if "dims" in call.args:
        order = call.args["dims"]
    elif len(order) > 1:
        i, j = (call.args["dim0"], call.args["dim1"]) if "dim0" in call.args else (0, 1)  # transpose, t
        order[i], order[j] = order[j], order[i]
    return Result(tuple(call.x.dims[place] for place in order), [Edge(call.x.node)], call.x.gate)


def select(call: Call) -> list[Result]:
    dims, place = list(call.x.dims), call.args["dim"]
    del dims[place]
    return [Result(tuple(dims), [Edge(call.x.node)], call.x.gate)] * len(call.shapes)


def cut(call: Call) -> list[Result]:
    """Slices, splits and padding. A slice with a step thins the grid out, and may begin at any offset."""
    stride = call.args.get("step", 1)
    steps: list[tuple[Step, ...]] = [(), ()]
    if stride > 1:
        for atom in call.x.dims[call.args["dim"]].spatial:
            steps[atom.axis] = (Step(0, stride - 1, stride),)
    edge = Edge(call.x.node, (steps[0], steps[1]))
    return [Result(resized(call.x.dims, shape), [edge], call.x.gate) for shape in call.shapes]


def join(call: Call) -> Result:
    """Concatenation; along an axis of the image only of a map and what is none, as a class token before the others."""
    place = call.args["dim"] % len(call.shape)
    along = [t.dims[place] for t in call.traced if t.dims[place].spatial]
    if len(along) > 1:
        raise UnknownLayout("joins maps along an axis of the image")
    middle = resize(along[0], call.shape[place]) if along else plain(call.shape[place])
    aside = broadcast([(*t.dims[:place], plain(1), *t.dims[place + 1:]) for t in call.traced],
                      [*call.shape[:place], 1, *call.shape[place + 1:]])
    dims = (*aside[:place], middle, *aside[place + 1:])
    return Result(dims, [_spread(t, dims) for t in call.traced])


def stack(call: Call) -> Result:
    place = call.args["dim"] % len(call.shape)
    aside = broadcast([t.dims for t in call.traced], (*call.shape[:place], *call.shape[place + 1:]))
    dims = (*aside[:place], plain(call.shape[place]), *aside[place:])
    return Result(dims, [_spread(t, dims) for t in call.traced])


def _gates(call, factors):
    """Which factors only weigh the others. Where all lie between bounds, as behind a ReLU6, those made from the
    first."""
    if all(t.gate for t in factors):
        first = min(t.node for t in factors)
        return [call.descends(t.node, first) for t in factors]
    return [t.gate for t in factors]


def _spread(t, dims):
    """The edge to ``t`` of an output with ``dims``: along an axis that ``t`` lacks, all places see the same of it."""
    return Edge(t.node, tuple((Step(0, 0, 0),) if atoms(dims, axis) and not atoms(t.dims, axis) else ()
                              for axis in (0, 1)))


def _mixed(t, dims, places):
    """The edge to ``t`` of an output with ``dims`` in which all of the dimensions ``places`` of ``t`` are combined."""
    steps = []
    for axis in (0, 1):
        mixed = atoms([t.dims[place] for place in places], axis)
        span, size = sum((atom.size - 1) * atom.step for atom in mixed), math.prod(atom.size for atom in mixed)
        if not mixed:
            steps.append(())
        elif len(mixed) == len(atoms(t.dims, axis)):
            steps.append((Step(span, span, 0),))
        elif span == size - 1 and set(mixed) & set(atoms(dims, axis)):  # a window, in which all places see the same
            steps.append((Step(span, span, size), Step(0, 0, Fraction(1, size))))
        else:
            steps.append((Step(span, span, 1),))
    return Edge(t.node, tuple(steps))


RULES: dict[str, Rule] = {
    "convolution": convolution, "linear": linear,
    **dict.fromkeys(["avg_pool1d", "avg_pool2d", "max_pool2d", "max_pool2d_with_indices"], pooling),
    **dict.fromkeys(["_adaptive_avg_pool2d", "adaptive_max_pool2d"], adaptive_pooling),
    **dict.fromkeys(["upsample_nearest2d", "_upsample_nearest_exact2d", "pixel_shuffle"], resampling(0)),
    "upsample_bilinear2d": resampling(1), "upsample_bicubic2d": resampling(3), "pixel_unshuffle": unshuffling,
    **dict.fromkeys(["mean", "sum", "amax", "amin", "max", "min", "var", "std", "var_mean", "logsumexp",
                     "linalg_vector_norm"], reduction),
    **dict.fromkeys(["_softmax", "_safe_softmax", "_log_softmax"], softmax),
    **dict.fromkeys(["native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
                     "_batch_norm_with_update", "_batch_norm_no_update", "cudnn_batch_norm", "miopen_batch_norm",
                     "native_layer_norm", "native_group_norm", "_fused_rms_norm"], normalisation),
    "mm": matmul("self", "mat2"), "bmm": matmul("self", "mat2"), "addmm": matmul("mat1", "mat2"),
    "baddbmm": matmul("batch1", "batch2"),
    **dict.fromkeys(["_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention",
                     "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
                     "_scaled_dot_product_fused_attention_overrideable"], attention),
    **dict.fromkeys(["mul", "mul_"], product),
    **dict.fromkeys(["sigmoid", "sigmoid_", "hardsigmoid", "hardsigmoid_"], squash),
    **dict.fromkeys(["hardtanh", "hardtanh_", "clamp", "clamp_"], clamp),
    **dict.fromkeys(["hardswish", "hardswish_", "_prelu_kernel", "native_dropout"], elementwise),  # no pointwise tag
    **dict.fromkeys(["alias", "detach", "_to_copy", "roll", "flip"], same),
    **dict.fromkeys(["view", "_unsafe_view", "_reshape_alias", "squeeze", "squeeze_", "unsqueeze", "unsqueeze_"],
                    reshape),
    **dict.fromkeys(["permute", "transpose", "transpose_", "t", "t_"], permute),
    **dict.fromkeys(["select", "unbind"], select),
    **dict.fromkeys(["slice", "split", "split_with_sizes", "constant_pad_nd", "reflection_pad2d",
                     "replication_pad2d"], cut),
    "copy_": copy, "as_strided_": restride, "expand": expand, "cat": join, "stack": stack,
}


def rule_of(func: torch._ops.OpOverload) -> Rule | None:
    """The rule of an ATen operation, or None."""
    return RULES.get(func.overloadpacket.__name__, elementwise if torch.Tag.pointwise in func.tags else None)

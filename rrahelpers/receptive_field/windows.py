"""The reach of what slides over a map: convolution, pooling, up- and down-sampling."""

from fractions import Fraction

from rrahelpers.receptive_field.edges import Call, Edge, Result, Rule, Step
from rrahelpers.receptive_field.layout import UnknownLayout, resized


def convolution(call: Call) -> Result:
    a, x = call.args, call.args["input"]
    if call.traced != [x]:
        raise UnknownLayout("convolves with weights that depend on the image")
    kernel = tuple(a["weight"].shape[2:])
    stride, dilation = _each(a["stride"], len(kernel)), _each(a["dilation"], len(kernel))
    if not a["transposed"]:
        return _slide(x, call.shape, kernel, stride, dilation)
    steps = [Step(max(k // s - 1, 0) if d == 1 else 0, (k - 1) * d // s, Fraction(1, s))  # how many of k fall on inputs
             for k, s, d in zip(kernel, stride, dilation)]
    return _windows(x, call.shape, steps, (kernel, tuple(Fraction(1, s) for s in stride), dilation))


def pooling(call: Call) -> Result:
    a, n = call.args, len(call.shape) - 2
    kernel = _each(a["kernel_size"], n)
    return _slide(call.x, call.shape, kernel, _each(a["stride"] or kernel, n), _each(a.get("dilation", 1), n))


def adaptive_pooling(call: Call) -> Result:
    steps = []
    for dim, out in zip(call.x.dims[-2:], call.shape[-2:]):
        sizes = [-(-(i + 1) * dim.size // out) - i * dim.size // out for i in range(out)]
        steps.append(Step(min(sizes) - 1, max(sizes) - 1, 0 if 1 in (dim.size, out) else Fraction(dim.size, out)))
    window = tuple(step.high + 1 for step in steps), tuple(step.stride for step in steps), (1, 1)
    return _windows(call.x, call.shape, steps, window)


def resampling(neighbours: int) -> Rule:
    """An output is made of one input and at most ``neighbours`` more along each axis."""
    def rule(call):
        steps = [Step(0, neighbours, 0 if dim.size == 1 else Fraction(dim.size, out))
                 for dim, out in zip(call.x.dims[-2:], call.shape[-2:])]
        return _windows(call.x, call.shape, steps)._replace(gate=call.x.gate)
    return rule


def unshuffling(call: Call) -> Result:
    factor = call.args["downscale_factor"]  # a channel holds one of the places, at any offset
    return _windows(call.x, call.shape, [Step(0, factor - 1, factor)] * 2)


def _slide(x, shape, kernel, stride, dilation):
    spans = [(k - 1) * d for k, d in zip(kernel, dilation)]
    return _windows(x, shape, [Step(span, span, s) for span, s in zip(spans, stride)], (kernel, stride, dilation))


def _windows(x, shape, steps, window=None):
    """A window over the last dimensions, with a step for each of them."""
    axes = [(), ()]
    for place, (dim, step) in enumerate(zip(x.dims[-len(steps):], steps)):
        if len(dim.atoms) > 1:
            raise UnknownLayout("slides a window over a dimension that holds several axes")
        if dim.atoms and dim.atoms[0].axis is None or not dim.atoms and len(steps) != 2:
            continue  # over channels
        axis, apart = (dim.atoms[0].axis, dim.atoms[0].step) if dim.atoms else (place, 1)
        axes[axis] = (Step(step.low * apart, step.high * apart, step.stride),)
    return Result(resized(x.dims, shape), [Edge(x.node, tuple(axes))], window=window)


def _each(value, n):
    value = (value,) if isinstance(value, int) else tuple(value)
    return value * n if len(value) == 1 else value

"""Every attention module: its gradient, its shapes, an independent formula in numpy, and what it refuses."""

import numpy as np
import pytest
import torch
import torch.fx
from torch import nn
from torch.func import functional_call

from rrahelpers import models
from rrahelpers.attention import (
    ATTENTION,
    BAM,
    CBAM,
    STAC,
    SpatialAttention,
    SqueezeExcitation,
    attention_module,
    stage_windows,
)
from rrahelpers.base.torchvision import torchvision  # noqa: F401  # first, for torchvision.ops beside a CPU-only torch

MODULES = {
    "stac": lambda channels: STAC(channels, window=2),
    "stac-1": lambda channels: STAC(channels, window=1, kernels=(1, 3)),
    "stac-3": lambda channels: STAC(channels, window=3, kernels=(5, 1)),
    "stac-global": lambda channels: STAC(channels, window="global"),
    "se": lambda channels: SqueezeExcitation(channels),
    "se-reduced": lambda channels: SqueezeExcitation(channels, reduction=2),
    "bam": lambda channels: BAM(channels),
    "bam-reduced": lambda channels: BAM(channels, reduction=2, dilation=2),
    "spatial": lambda channels: SpatialAttention(),
    "cbam": lambda channels: CBAM(channels, reduction=2),
}


def make(name, channels):
    torch.manual_seed(0)
    return MODULES[name](channels).double()


@pytest.fixture(params=MODULES)
def module(request):
    return make(request.param, channels=4).eval()


def check_gradients(module, x):
    """Of every input and every parameter, against finite differences."""
    names, parameters = zip(*module.named_parameters())
    function = lambda x, *values: functional_call(module, dict(zip(names, values)), (x,))
    inputs = (x.requires_grad_(), *(p.detach().clone().requires_grad_() for p in parameters))
    assert torch.autograd.gradcheck(function, inputs)


@pytest.mark.parametrize("name", MODULES)
def test_gradients(name):
    check_gradients(make(name, channels=2).eval(), torch.randn(1, 2, 4, 3, dtype=torch.float64))


def test_gradients_of_bam_through_its_batch_norm_in_training():
    check_gradients(make("bam", channels=2).train(), torch.randn(3, 2, 2, 3, dtype=torch.float64))


@pytest.mark.parametrize("size", [(3, 3), (3, 5), (7, 4), (9, 9), (5, 13), (8, 8)], ids=str)
def test_shapes_and_range_over_sizes(module, size):
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    y = module(x)
    assert y.shape == x.shape and y.dtype == x.dtype
    low, high = (1, 2) if isinstance(module, BAM) else (0, 1)  # BAM's gate is 1 + sigmoid
    gate = y / x
    assert (gate > low).all() and (gate < high).all()
    assert gate.std() > 0


# --- independent formulas


def weights(layer):
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def convolve(x, layer, dilation=1):
    """Stride 1 and the padding that keeps the size, one kernel tap at a time. x: [N, C, H, W]."""
    weight, bias = weights(layer)
    height, width, reach = *x.shape[-2:], dilation * (weight.shape[-1] // 2)
    padded = np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    y = np.zeros((len(x), len(weight), height, width)) + bias[:, None, None]
    for i in range(weight.shape[-2]):
        for j in range(weight.shape[-1]):
            window = padded[:, :, i * dilation:i * dilation + height, j * dilation:j * dilation + width]
            y += np.einsum("oc,nchw->nohw", weight[:, :, i, j], window)
    return y


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def batch(channels, height, width):
    torch.manual_seed(1)
    return torch.randn(3, channels, height, width, dtype=torch.float64)


def assert_same(module, x, expected):
    np.testing.assert_allclose(module(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("window, kernels", [(8, None), (4, (3, 3)), (2, (1, 3)), (2, (5, 1)), (1, (3, 3))])
def test_stac_is_its_formula_where_the_window_divides_the_map(window, kernels):
    module, x = STAC(4, window, kernels).double(), batch(4, 16, 24)
    pooled = x.numpy().reshape(3, 4, 16 // window, window, 24 // window, window).mean((3, 5))
    gate = sigmoid(convolve(relu(convolve(pooled, module.attend[0])), module.attend[2]))
    assert_same(module, x, x.numpy() * gate.repeat(window, 2).repeat(window, 3))


def test_stac_has_smaller_windows_at_the_border_where_the_window_does_not_divide_the_map():
    module = STAC(1, window=2, kernels=(1, 1)).double()
    for layer in (module.attend[0], module.attend[2]):
        nn.init.ones_(layer.weight), nn.init.zeros_(layer.bias)
    x = torch.arange(15, dtype=torch.float64).view(1, 1, 3, 5)
    means = np.array([  # 0 1 | 2 3 | 4      of the windows, worked by hand
        [3, 3, 5, 5, 6.5],  # 5 6 | 7 8 | 9
        [3, 3, 5, 5, 6.5],  # ------------
        [10.5, 10.5, 12.5, 12.5, 14],  # 10 11 | 12 13 | 14
    ])
    assert_same(module, x, x.numpy() * sigmoid(means))
    assert module.attention_map(x).shape == x.shape


def copy_weights(source, target):
    layers = [[m for m in module.modules() if isinstance(m, nn.Conv2d)] for module in (source, target)]
    for one, other in zip(*layers, strict=True):
        other.load_state_dict(one.state_dict())


def test_stac_with_a_global_window_is_squeeze_and_excitation():
    stac, se, x = STAC(6, "global").double(), SqueezeExcitation(6).double(), batch(6, 7, 5)
    assert not torch.allclose(stac(x), se(x))
    copy_weights(se, stac)
    torch.testing.assert_close(stac(x), se(x), rtol=0, atol=0)


@pytest.mark.parametrize("reduction", [1, 4])
def test_squeeze_and_excitation_is_torchvisions(reduction):
    from torchvision.ops.misc import SqueezeExcitation as Reference

    ours, theirs = SqueezeExcitation(8, reduction).double(), Reference(8, 8 // reduction).double()
    x = batch(8, 5, 7)
    copy_weights(theirs, ours)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("reduction, dilation", [(1, 4), (2, 1)])
@pytest.mark.parametrize("training", [False, True])
def test_bam_is_its_formula(reduction, dilation, training):
    module, x = BAM(4, reduction, dilation).double(), batch(4, 9, 6)
    norm = module.channel[3]
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        nn.init.uniform_(tensor, 0.5, 1.5)
    module.train(training)

    (w1, b1), (w2, b2), (scale, shift) = weights(module.channel[2]), weights(module.channel[5]), weights(norm)
    hidden = x.numpy().mean((2, 3)) @ w1.T + b1
    mean = hidden.mean(0) if training else norm.running_mean.numpy()
    variance = hidden.var(0) if training else norm.running_var.numpy()
    hidden = scale * (hidden - mean) / np.sqrt(variance + norm.eps) + shift
    channel = relu(hidden) @ w2.T + b2
    spatial = x.numpy()
    for layer, step in zip((0, 2, 4), (1, dilation, dilation)):
        spatial = relu(convolve(spatial, module.spatial[layer], step))
    spatial = convolve(spatial, module.spatial[6])
    assert spatial.shape == (3, 1, 9, 6)
    assert_same(module, x, x.numpy() * (1 + sigmoid(channel[:, :, None, None] * spatial)))


def spatial_formula(x, layer):
    summary = np.stack([x.mean(1), x.max(1)], 1)
    return x * sigmoid(convolve(summary, layer))


@pytest.mark.parametrize("kernel", [7, 3])
def test_spatial_attention_is_its_formula(kernel):
    module, x = SpatialAttention(kernel).double(), batch(5, 6, 9)
    assert_same(module, x, spatial_formula(x.numpy(), module.conv))


def test_cbam_is_its_formula():
    module, x = CBAM(8, reduction=4).double(), batch(8, 6, 9)
    assert module.shared[0].out_channels == 2

    def perceptron(v):
        return convolve(relu(convolve(v, module.shared[0])), module.shared[2])

    a = x.numpy()
    channel = sigmoid(perceptron(a.mean((2, 3), keepdims=True)) + perceptron(a.max((2, 3), keepdims=True)))
    assert_same(module, x, spatial_formula(a * channel, module.spatial.conv))


# --- what is refused


def test_stac_refuses_a_window_larger_than_the_map():
    with pytest.raises(ValueError, match="window 4 is larger than the 3x9 map; expected at most 3"):
        STAC(2, window=4)(torch.zeros(1, 2, 3, 9))
    STAC(2, window=3)(torch.zeros(1, 2, 3, 9))


@pytest.mark.parametrize("window", [0, -1, 2.0, True, "all", None, (8, 8)])
def test_stac_refuses_other_windows(window):
    with pytest.raises(ValueError, match="window must be a positive integer or 'global'"):
        STAC(4, window)


def test_windows_as_numpy_counts_them():
    stac = STAC(4, np.int64(2), (np.int64(3), 1))
    assert type(stac.window) is int and stac(torch.zeros(1, 4, 4, 4)).shape == (1, 4, 4, 4)


@pytest.mark.parametrize("name", ATTENTION)
def test_torch_fx_traces_every_module(name):
    torch.manual_seed(0)
    module = attention_module(name, 4).eval()
    traced = torch.fx.symbolic_trace(module)
    for side in (8, 13):
        x = torch.randn(2, 4, side, side)
        torch.testing.assert_close(traced(x), module(x), rtol=0, atol=0)
    if name == "stac":
        with pytest.raises(ValueError, match="window 8 is larger than the 4x4 map"):
            traced(torch.zeros(2, 4, 4, 4))


@pytest.mark.parametrize("name", ["stac", "spatial"])
def test_a_reduction_where_nothing_is_reduced_is_refused(name):
    with pytest.raises(ValueError, match=f"attention '{name}' has no hidden channels to reduce, got reduction 4"):
        attention_module(name, 8, reduction=4)


@pytest.mark.parametrize("kernels", [(2, 3), (3, 4), (0, 3), (-1, 3), (3.0, 3)])
def test_stac_refuses_even_kernels(kernels):
    with pytest.raises(ValueError, match="odd sides"):
        STAC(4, 8, kernels)


@pytest.mark.parametrize("module", [SqueezeExcitation, BAM])
@pytest.mark.parametrize("reduction", [0, -1, 9])
def test_reductions_that_leave_no_channel_are_refused(module, reduction):
    with pytest.raises(ValueError, match=f"{module.__name__}: reduction must lie in 1..8.*got {reduction}"):
        module(8, reduction)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "spatial"])  # which takes any number of channels
def test_a_map_with_other_channels_is_refused(name):
    with pytest.raises(RuntimeError):
        make(name, channels=4)(torch.zeros(2, 5, 6, 6, dtype=torch.float64))


def test_attention_module_by_name():
    kinds = {name: type(attention_module(name, 16)) for name in ATTENTION}
    assert kinds == {"stac": STAC, "se": SqueezeExcitation, "bam": BAM, "spatial": SpatialAttention, "cbam": CBAM}
    stac = attention_module("stac", 16, 4, (1, 3))
    assert stac.window == 4 and [stac.attend[i].kernel_size for i in (0, 2)] == [(1, 1), (3, 3)]
    assert attention_module(None, 16) is None
    with pytest.raises(ValueError, match="unknown attention 'senet'.*'se'"):
        attention_module("senet", 16)


def test_stage_windows():
    assert stage_windows(3) == {1: 8, 2: 8, 3: 8}
    assert stage_windows(3, window=[16, 8, "global"], stages=[3, 1]) == {1: 16, 3: "global"}
    assert stage_windows(2, stages=iter([2]), window=4) == {2: 4}
    assert stage_windows(2, stages=[]) == {}


@pytest.mark.parametrize("options, message", [
    ({"placement": "pre"}, "placement must be one of .*got 'pre'"),
    ({"stages": [0]}, "from 1 to 3, got"), ({"stages": [4]}, "from 1 to 3, got"), ({"stages": 2}, "from 1 to 3, got 2"),
    ({"stages": "all"}, "from 1 to 3, got 'all'"), ({"window": [8, 8]}, "one for each of 3 stages"),
    ({"window": []}, "one for each of 3 stages"),
])
def test_stage_windows_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        stage_windows(3, **options)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: STAC(4, kernels=3), "two odd sides.*got 3"),
    (lambda: STAC(4, kernels=(3, 2)), "two odd sides"),
    (lambda: SpatialAttention(kernel=4), "odd side.*got 4"),
    (lambda: CBAM(8, reduction=0), "at least 1, got 0"),
])
def test_kernels_and_reductions_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_softmax_gates_sum_to_one_over_channels_or_places():
    x = batch(8, 6, 9)
    for module, dim in ((SqueezeExcitation(8, gate="softmax"), 1), (SpatialAttention(gate="softmax"), (2, 3))):
        answers = module.double()(x)
        weights = answers / x
        torch.testing.assert_close(weights.mean(1 if dim != 1 else (2, 3)),  # one for each place, or each channel
                                   weights[:, 0] if dim != 1 else weights[:, :, 0, 0])
        total = weights[:, :, 0, 0].sum(1) if dim == 1 else weights[:, 0].sum((1, 2))
        torch.testing.assert_close(total, torch.ones(len(x), dtype=torch.float64))


@pytest.mark.parametrize("name, gate, words", [
    ("cbam", "softmax", "attention 'cbam' has no gate to choose, got gate 'softmax'; expected one of"),
    ("se", "tanh", "gate must be one of .'sigmoid', 'softmax'., got 'tanh'"),
])
def test_gates_that_are_none_are_refused(name, gate, words):
    with pytest.raises(ValueError, match=words):
        attention_module(name, 8, gate=gate)


@pytest.mark.parametrize("model", ["resnet20", "resnet18"])
def test_networks_take_gates_and_reductions(model):
    network = models.build(model, attention="se", gate="softmax", reduction=2, width=0.5)
    gates = [module for module in network.modules() if isinstance(module, SqueezeExcitation)]
    assert gates and all(isinstance(module.gate[-1], torch.nn.Softmax) for module in gates)
    assert all(module.gate[1].out_channels * 2 == module.gate[1].in_channels for module in gates)
    with pytest.raises(ValueError, match="without attention there is nothing for gate='softmax'"):
        models.build(model, gate="softmax")


def test_bam_with_the_printed_compression_has_fewer_parameters_than_printed():
    counts = [sum(p.numel() for p in models.build("resnet20", attention="bam", **options).parameters())
              for options in ({}, {"reduction": 4})]
    assert 613_500 <= counts[0] < 614_500 and counts[1] < 400_000  # table 1: 614K

"""The dissertation's networks: against torchvision, against printed numbers, against their definition by hand."""

import inspect

import pytest
import torch
from torch import nn

from rrahelpers import models
from rrahelpers.attention import CBAM, SpatialAttention, SqueezeExcitation
from rrahelpers.base.torchvision import torchvision
from rrahelpers.complexity import count
from rrahelpers.features import extract, layer_names

IMAGES = {"skip_perceptron": (1, 28)}  # channels and side; (3, 32) otherwise
CLASSIFIERS = [name for name in models.FAMILIES if name != "autoencoder"]


def build_on_meta(name, **options):
    with torch.device("meta"):
        return models.build(name, **options)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def images(name, n=2):
    channels, side = IMAGES.get(name, (3, 32))
    return torch.randn(n, channels, side, side)


def without_constant_norms(model):
    """Random statistics and affine parameters in every batch norm, so that none can be left out unnoticed."""
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            nn.init.uniform_(tensor, 0.5, 1.5)
    return model.eval()


def receptive_fields(model):
    """Equation 9 along a single path: {layer: r of its input}, and the r of the last layer."""
    r, stride, inputs = 1, 1, {}
    path = set(layer_names(model))
    for name, module in model.named_modules():
        if isinstance(module, nn.MaxPool2d) or (isinstance(module, nn.Conv2d) and name in path):
            if isinstance(module, nn.Conv2d):
                inputs[name] = r
            kernel, step, dilation = (torch.tensor(getattr(module, option)).max().item()
                                      for option in ("kernel_size", "stride", "dilation"))
            r += dilation * (kernel - 1) * stride
            stride *= step
    return inputs, r


# --- every family


@pytest.mark.parametrize("name", models.FAMILIES)
def test_every_family_is_traced_by_fx_and_the_trace_computes_the_same(name):
    narrow = {"width": 1 / 8} if "width" in inspect.signature(models.FAMILIES[name]).parameters else {}
    model, x = models.build(name, **narrow).eval(), images(name)
    with torch.no_grad():
        torch.testing.assert_close(torch.fx.symbolic_trace(model)(x), model(x))


@pytest.mark.parametrize("name", models.FAMILIES)
def test_every_layer_name_runs_once_in_the_listed_order(name):
    model, calls = build_on_meta(name).eval(), []
    names = layer_names(model)
    for layer in names[1:]:
        model.get_submodule(layer).register_forward_hook(lambda *_, layer=layer: calls.append(layer))
    model(images(name).to("meta"))
    assert names[0] == "input" and calls == names[1:] and len(set(names)) == len(names)


@pytest.mark.parametrize("name, side", [
    ("resnet18", 224), ("resnet50", 33), ("vgg11", 224), ("vgg19", 64), ("mpnet18", 28), ("densenet18", 64),
    ("perceptron", 20)])
def test_other_sizes_channels_and_classes(name, side):
    options = {"image_size": side} if name == "perceptron" else {}
    model = build_on_meta(name, in_channels=1, num_classes=7, **options).eval()
    assert model(torch.zeros(2, 1, side, side, device="meta")).shape == (2, 7)


@pytest.mark.parametrize("name", models.FAMILIES)
def test_help_lists_the_options_and_build_takes_these_alone(name):
    listed = inspect.signature(models.FAMILIES[name]).parameters
    defaults = {option: p.default for option, p in listed.items()}
    assert all(p.kind is p.KEYWORD_ONLY for p in listed.values()) and defaults["in_channels"] in (1, 3)
    with pytest.raises(TypeError, match=f"{name} has no option colour; it takes .*in_channels"):
        models.build(name, colour=1)
    if name == "resnet34":
        del defaults["skip"], defaults["reduction"]  # of He's alone
    build_on_meta(name, **defaults)


@pytest.mark.parametrize("name", ["vgg16", "resnet18", "resnet50", "mpnet18", "densenet18", "skip_perceptron"])
@pytest.mark.parametrize("width", [1 / 2, 1 / 4, 1 / 8, 1 / 16])
def test_width_is_a_factor_of_every_layer(name, width):
    def outputs(model):
        layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))][:-1]  # all but the logits
        return [m.weight.shape[0] for m in layers]
    full, narrow = outputs(build_on_meta(name)), outputs(build_on_meta(name, width=width))
    assert narrow == [int(width * channels) for channels in full]


@pytest.mark.parametrize("name", ["vgg16", "resnet18", "mpnet18", "densenet18", "skip_perceptron", "autoencoder"])
def test_a_width_that_leaves_no_channel(name):
    with pytest.raises(ValueError, match=r"width 0\.0\d+ leaves none of \d+ channels"):
        models.build(name, width=0.001 if name != "autoencoder" else 0.01)


# --- residual networks


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_resnets_with_the_imagenet_stem_are_torchvisions(name):
    reference = without_constant_norms(torchvision.models.get_model(name, num_classes=10))
    model = models.build(name, stem="imagenet").eval()
    model.load_state_dict(reference.state_dict())
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(x), reference(x))


@pytest.mark.parametrize("name, stem, printed", [
    ("resnet18", "imagenet", 0.04), ("resnet18", "cifar", 0.56), ("resnet34", "cifar", 1.16)])
def test_printed_gflops_at_32_pixels(name, stem, printed):  # section 11.4
    options = {"paper": "he"} if name == "resnet34" else {}
    assert round(count(build_on_meta(name, stem=stem, **options), (3, 32, 32), "macs").flops / 1e9, 2) == printed


def test_the_printed_gflops_of_resnet34_with_its_stem_are_ten_times_ours():
    flops = count(build_on_meta("resnet34", stem="imagenet"), (3, 32, 32), "macs").flops
    assert flops == pytest.approx(0.076e9, rel=0.02)  # printed: 0.76 GFLOPs


def test_the_cifar_stem_leaves_the_rest_as_it_is():
    cifar, imagenet = build_on_meta("resnet18", stem="cifar"), build_on_meta("resnet18")
    assert {k: v.shape for k, v in cifar.state_dict().items() if k != "conv1.weight"} \
        == {k: v.shape for k, v in imagenet.state_dict().items() if k != "conv1.weight"}
    found = {}
    cifar.layer1.register_forward_pre_hook(lambda _, x: found.update(shape=x[0].shape))
    cifar(torch.zeros(1, 3, 32, 32, device="meta"))
    assert cifar.conv1.weight.shape == (64, 3, 3, 3) and found["shape"] == (1, 64, 32, 32)


def test_resnet34_of_either_paper():
    stac, he = build_on_meta("resnet34"), build_on_meta("resnet34", paper="he", stem="cifar")
    assert isinstance(stac, models.ResNet) and isinstance(he, models.HeResNet)
    assert isinstance(build_on_meta("resnet34", stem="imagenet"), models.HeResNet)
    assert parameters(he) - parameters(stac) == 2 * (64 + 128 + 256 + 512)  # norms of the stem and of three shortcuts
    with pytest.raises(ValueError, match="stem 'cifar' alone, got 'imagenet'"):
        models.build("resnet34", stem="imagenet", paper="stac")
    with pytest.raises(TypeError, match="paper='stac' has no option skip; the other paper's has"):
        models.build("resnet34", skip=False)
    with pytest.raises(ValueError, match="'stac' or 'he', got 'hers'"):
        models.build("resnet34", paper="hers")
    with pytest.raises(ValueError, match="stem must be one of .*got 'tiny'"):
        models.build("resnet18", stem="tiny")


@pytest.mark.parametrize("name, projections", [("resnet18", 3), ("resnet50", 4)])
@pytest.mark.parametrize("attention", [None, "cbam"])
def test_without_skips_only_the_main_path_is_left(name, projections, attention):
    with_skips = build_on_meta(name, attention=attention)
    model = without_constant_norms(models.build(name, skip=False, attention=attention))
    dropped = [m for n, m in with_skips.named_modules() if n.endswith("downsample")]
    assert len(dropped) == projections
    assert parameters(model) == parameters(with_skips) - sum(map(parameters, dropped))
    assert layer_names(model) == layer_names(with_skips)
    x = expected = torch.randn(2, model.layer2[0].conv1.in_channels, 8, 8)
    with torch.no_grad():
        for block in model.layer2:
            for number in "123" if name == "resnet50" else "12":
                expected = block.get_submodule(f"bn{number}")(block.get_submodule(f"conv{number}")(expected)).relu()
        torch.testing.assert_close(model.layer2(x), expected)


@pytest.mark.parametrize("attention, kind", [("se", SqueezeExcitation), ("spatial", SpatialAttention), ("cbam", CBAM)])
@pytest.mark.parametrize("skip", [True, False])
def test_attention_ends_every_branch_and_stays_out_of_the_layers(attention, kind, skip):
    model = models.build("resnet18", attention=attention, skip=skip).eval()
    gates = [n for n, m in model.named_modules() if type(m) is kind]
    assert gates == [f"layer{i}.{j}.bn2.attention" for i in range(1, 5) for j in range(2)]
    assert layer_names(model) == layer_names(build_on_meta("resnet18"))
    if attention == "se":  # hidden channels by Hu et al.'s 16 (figure 24: the first convolution squeezes)
        assert [model.get_submodule(n).gate[1].out_channels for n in gates] == [4, 4, 8, 8, 16, 16, 32, 32]
    assert torch.fx.symbolic_trace(model)(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_layers_of_resnet18_are_those_of_the_dissertation():
    model = build_on_meta("resnet18")
    widths = [model.get_submodule(n).out_channels for n in layer_names(model)[1:-1]]
    assert len(widths) == 17 and sum(widths) == 3904  # table 5's sum of dimensions at 100 %


# --- receptive fields as printed (sections 9.3 and 9.4), at 32 pixels


@pytest.mark.parametrize("name, options, border", [
    ("vgg11", {}, 6), ("vgg13", {}, 7), ("vgg16", {}, 8), ("vgg19", {}, 8), ("vgg19", {"dilation": 3}, 5),
    ("resnet18", {"skip": False}, 5),
])
def test_printed_border_layers(name, options, border):
    inputs, _ = receptive_fields(build_on_meta(name, **options))
    assert next(number for number, r in enumerate(inputs.values(), start=1) if r > 32) == border


@pytest.mark.parametrize("name, options, last", [
    ("vgg19", {}, 252), ("resnet18", {"stem": "cifar"}, 109),
    ("resnet18", {}, 435),  # printed: 413, which equation 9 doesn't give
])
def test_printed_receptive_fields(name, options, last):
    model = build_on_meta(name, **options)
    inputs, _ = receptive_fields(model)
    final = model.get_submodule(list(inputs)[-1])
    stride = 16 if name == "vgg19" else 8 if options else 32
    assert list(inputs.values())[-1] + (final.kernel_size[0] - 1) * stride == last


# --- VGG


@pytest.mark.parametrize("name", ["vgg11", "vgg13", "vgg16", "vgg19"])
def test_the_features_of_vgg_are_torchvisions(name):
    with torch.device("meta"):
        reference = torchvision.models.get_model(f"{name}_bn")
    assert {k: v.shape for k, v in build_on_meta(name).features.state_dict().items()} \
        == {k: v.shape for k, v in reference.features.state_dict().items()}
    if name == "vgg11":
        model = without_constant_norms(torchvision.models.vgg11_bn()).features
        ours = models.build(name).eval().features
        ours.load_state_dict(model.state_dict())
        x = torch.randn(1, 3, 32, 32)
        with torch.no_grad():
            torch.testing.assert_close(ours(x), model(x))


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_dilation_keeps_the_maps(dilation):
    model, x = models.build("vgg11", dilation=dilation, width=1 / 16).eval(), torch.randn(1, 3, 32, 32)
    layers = layer_names(model)[1:-2]
    assert [f.shape[-1] for f in extract(model, x, layers).values()] == [32, 16, 8, 8, 4, 4, 2, 2]
    assert {model.get_submodule(n).dilation for n in layers} == {(dilation, dilation)}


def test_the_head_of_vgg():
    head = build_on_meta("vgg16", width=1 / 8).classifier
    assert [(m.in_features, m.out_features) for m in head if isinstance(m, nn.Linear)] == [(64, 32), (32, 10)]


# --- MPNet, DenseNet


def test_the_layers_of_mpnet18_are_as_many_as_printed():
    model = build_on_meta("mpnet18")
    low, high = model.paths["min"], model.paths["max"]
    assert len(low) == len(high) == 18 and len(layer_names(model)) - 1 == 34  # section 10.2.1
    assert set(low) & set(high) == {"stem.0", "fc"}
    assert {model.get_submodule(n).kernel_size for n in low[:-1]} == {(3, 3)}
    assert {model.get_submodule(n).kernel_size for n in high[1:-1]} == {(7, 7)}


def test_the_paths_of_mpnet36():
    model = build_on_meta("mpnet36")
    assert [len(stage) for stage in model.stages] == [4] * 4
    assert len(model.paths["min"]) == 1 + 16 + 1 and len(model.paths["max"]) == 1 + 32 + 1


def test_a_block_of_mpnet_adds_its_paths_and_the_first_layers_of_a_stage_halve_the_map():
    model = without_constant_norms(models.build("mpnet36", width=1 / 16))
    block, x = model.stages[1][0], torch.randn(2, 4, 16, 16)
    with torch.no_grad():
        small, large = block.small(x), block.large(x)
        torch.testing.assert_close(block(x), small + large)
        by_hand = x
        for conv, norm, _ in block.large:
            by_hand = norm(torch.conv2d(by_hand, conv.weight, None, conv.stride, 3)).relu()
        torch.testing.assert_close(large, by_hand)
    assert [conv.stride for conv, _, _ in block.large] == [(2, 2), (1, 1)] and block.small[0][0].stride == (2, 2)
    stages = extract(model, torch.randn(1, 3, 32, 32), [f"stages.{i}" for i in range(4)])
    assert [f.shape[1:] for f in stages.values()] == [(4, 16, 16), (8, 8, 8), (16, 4, 4), (32, 2, 2)]


def test_densenets():
    for name, layers in (("densenet18", [4, 4, 4, 4]), ("densenet65", [6, 8, 12, 6])):
        features = build_on_meta(name).features
        assert [len(features.get_submodule(f"denseblock{i}")) for i in range(1, 5)] == layers
    grey = models.build("densenet18", in_channels=1).eval()
    assert grey.features.conv0.weight.shape == (64, 1, 7, 7) and grey(torch.zeros(1, 1, 32, 32)).shape == (1, 10)


# --- perceptrons and the autoencoder


def test_the_skip_perceptron_joins_layers_1_and_129():
    model = models.build("skip_perceptron").eval()
    assert len(layer_names(model)) - 1 == 1 + 128 + 8 + 1  # section 4.3, figure 34a
    assert parameters(model) == 784 * 128 + 128 + 136 * (128 * 128 + 128) + 128 * 10 + 10
    x = images("skip_perceptron")
    with torch.no_grad():
        first = torch.relu(model.first[1](x.flatten(1)))
        skipped = first
        for linear, _ in model.skipped:
            skipped = torch.relu(linear(skipped))
        torch.testing.assert_close(model(x), model.fc(model.after(first + skipped)))
        plain = models.build("skip_perceptron", skip=False, depth=1 / 16).eval()
        assert len(plain.skipped) == 8
        torch.testing.assert_close(plain(x), plain.fc(plain.after(plain.skipped(plain.first(x)))))


@pytest.mark.parametrize("units", [8, 16, 32, 64, 128])
def test_the_perceptron_of_appendix_b(units):
    model = build_on_meta("perceptron", units=units)
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    assert [tuple(m.weight.shape) for m in linear] == [(256, 3072), (units, 256), (10, units)]
    with pytest.raises(ValueError, match="at least one unit, got 0"):
        models.build("perceptron", units=0)


def test_the_autoencoder_of_table_1():
    model = models.build("autoencoder").eval()
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] \
        == [(3, 16), (16, 8), (8, 8), (8, 8), (8, 8), (8, 16), (16, 3)]
    with torch.no_grad():
        code = model.encoder(torch.rand(1, 3, 224, 224))
        assert code.shape == (1, 8, 28, 28) and model.decoder(code).shape == (1, 3, 224, 224)
        assert model(torch.rand(1, 3, 32, 32)).min() >= 0
        assert model.encoder(torch.rand(1, 3, 256, 256)).numel() == 8192  # table 3's, at another size than table 1's

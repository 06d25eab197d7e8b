"""The paper's networks, where their attention sits, and attention attached to torchvision's networks."""

import math

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from rrahelpers import models
from rrahelpers.attention import BAM, CBAM, STAC, SpatialAttention, SqueezeExcitation
from rrahelpers.base.torchvision import torchvision
from rrahelpers.models.attached import attach
from rrahelpers.models.surgery import truncate, without_downsampling

KINDS = {"stac": STAC, "se": SqueezeExcitation, "bam": BAM, "spatial": SpatialAttention, "cbam": CBAM}


class MetaParameters(TorchFunctionMode):
    """Parameters without memory. ``torch.device("meta")`` is not enough: RegNets compute their widths with tensors."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **{**(kwargs or {}), **({"device": "meta"} if func is torch.empty else {})})


def build_on_meta(name, **options):
    with torch.device("meta"):
        return models.build(name, **options)


def gates(model):
    """The attention modules of a network by name; the spatial half of a CBAM is no module of its own."""
    found = {name: module for name, module in model.named_modules() if isinstance(module, tuple(KINDS.values()))}
    return {name: module for name, module in found.items() if name.rpartition(".")[0] not in found}


def set_constant_gate(stac, value):
    """Make a STAC multiply by ``value`` everywhere."""
    last = stac.attend[2]
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, math.log(value / (1 - value)) if value < 1 else 100)  # sigmoid(100) is 1 in float32


# --- every name


@pytest.mark.filterwarnings("ignore:The default weight initialization")
@pytest.mark.parametrize("name", [name for name in models.names() if name != "autoencoder"])  # which has no classes
def test_every_name_builds(name):
    with MetaParameters():
        model = models.build(name, num_classes=7)
    last = [module for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))][-1]
    assert last.weight.shape[0] == 7


def test_names_are_ours_first_and_torchvisions_under_their_own_name_where_we_share_it():
    names = models.names()
    assert len(set(names)) == len(names)
    assert {"resnet20", "resnet34", "torchvision/resnet34", "resnet18", "vgg16"} <= set(names)
    assert isinstance(build_on_meta("resnet34"), models.ResNet)
    assert isinstance(build_on_meta("torchvision/resnet34"), torchvision.models.ResNet)


# --- the paper's ResNets


def test_resnet20_has_the_papers_13_layers():
    model = models.build("resnet20").eval()
    blocks = [f"stages.{stage}.{block}" for stage in range(3) for block in range(3)]
    assert model.layer_names == ["input", "stem", *blocks, "pool", "fc"]
    calls = []
    for name in model.layer_names[1:]:
        layer = model.get_submodule(name)
        layer.register_forward_hook(lambda m, x, y, name=name: calls.append((name, tuple(y.shape[1:]))))
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    shapes = [(16, 32, 32)] * 4 + [(32, 16, 16)] * 3 + [(64, 8, 8)] * 3 + [(64,), (10,)]
    assert calls == list(zip(model.layer_names[1:], shapes))  # layers 1 to 12, in the order of the calls


def widths_and_depths(model):
    return [(stage[0].main[0].out_channels, len(stage)) for stage in model.stages]


@pytest.mark.parametrize("name, options, expected", [
    ("resnet20", {}, [(16, 3), (32, 3), (64, 3)]),
    ("resnet34", {}, [(64, 3), (128, 4), (256, 6), (512, 3)]),
    ("resnet20", {"width": 1.4}, [(22, 3), (44, 3), (89, 3)]),
    ("resnet34", {"width": 1.4}, [(89, 3), (179, 4), (358, 6), (716, 3)]),
    ("resnet20", {"depth": 2}, [(16, 6), (32, 6), (64, 6)]),
    ("resnet34", {"depth": 2}, [(64, 6), (128, 8), (256, 12), (512, 6)]),
])
def test_widths_and_depths(name, options, expected):
    model = build_on_meta(name, **options)
    assert widths_and_depths(model) == expected
    assert model(torch.zeros(2, 3, 32, 32, device="meta")).shape == (2, 10)


@pytest.mark.parametrize("options, message", [
    ({"depth": "2"}, "expected depth, a factor of all blocks, as a number, got '2'"),
    ({"depth": float("nan")}, "expected depth, a factor of all blocks, as a number, got nan"),
    ({"depth": 0.3}, "depth 0.3 leaves none of 3 blocks; expected at least 0.333"),
    ({"width": 0.05}, "leaves none of 16 channels"),
    ({"window": 4}, "without attention there is nothing for window=4; expected attention to be one of"),
    ({"kernels": [1, 1], "stages": [1]}, r"nothing for kernels=\[1, 1\] and stages=\[1\]"),
    ({"placement": "post"}, "placement='post'"),
])
def test_options_that_leave_nothing_or_would_be_ignored(options, message):
    with pytest.raises(ValueError, match=message):
        build_on_meta("resnet20", **options)
    if "width" not in options and "depth" not in options:
        with pytest.raises(ValueError, match=message):
            build_on_meta("resnet18", **options)


def test_a_reduction_needs_attention():
    with pytest.raises(ValueError, match="nothing for reduction=4"):
        build_on_meta("resnet18", reduction=4)


def test_channels_and_classes():
    model = build_on_meta("resnet20", in_channels=1, num_classes=50)
    assert model(torch.zeros(2, 1, 28, 28, device="meta")).shape == (2, 50)


def test_shortcuts_are_bare_projections_where_the_stage_changes_and_the_stems_norm_has_no_parameters():
    model = build_on_meta("resnet34")
    projections = {(i, j): block.shortcut for i, stage in enumerate(model.stages) for j, block in enumerate(stage)
                   if not isinstance(block.shortcut, nn.Identity)}
    assert list(projections) == [(1, 0), (2, 0), (3, 0)]
    assert all(isinstance(p, nn.Conv2d) and p.kernel_size == (1, 1) and p.bias is None for p in projections.values())
    norms = {name: module.affine for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert not norms.pop("stem.1") and len(norms) == 2 * 16 and all(norms.values())


# --- where attention sits


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("placement", ["standard", "post"])
def test_every_block_has_its_gate(attention, placement):
    found = gates(build_on_meta("resnet20", attention=attention, placement=placement))
    assert list(found) == [f"stages.{i}.{j}.{placement}" for i in range(3) for j in range(3)]
    assert {type(module) for module in found.values()} == {KINDS[attention]}


@pytest.mark.parametrize("block", ["stages.0.1", "stages.1.0"], ids=["identity", "projection"])
@pytest.mark.parametrize("value", [0.25, 1])
def test_standard_gates_the_branch_and_post_gates_the_block(block, value):
    torch.manual_seed(0)
    options = {"attention": "stac", "window": 4}
    standard = models.build("resnet20", **options).eval().get_submodule(block)
    post = models.build("resnet20", placement="post", **options).eval().get_submodule(block)
    x, seen = torch.randn(2, 16, 16, 16), []
    for gate in (standard.standard, post.post):
        set_constant_gate(gate, value)
        gate.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        torch.testing.assert_close(standard(x), torch.relu(value * standard.main(x) + standard.shortcut(x)))
        torch.testing.assert_close(post(x), value * torch.relu(post.main(x) + post.shortcut(x)))
        torch.testing.assert_close(seen[0], standard.main(x))
        torch.testing.assert_close(seen[1], torch.relu(post.main(x) + post.shortcut(x)))  # after the ReLU, not before


def test_a_window_and_kernels_for_each_stage():
    found = gates(build_on_meta("resnet20", attention="stac", window=[16, 8, "global"], kernels=(3, 1)))
    assert [gate.window for gate in found.values()] == [16] * 3 + [8] * 3 + ["global"] * 3
    assert {gate.attend[0].kernel_size + gate.attend[2].kernel_size for gate in found.values()} == {(3, 3, 1, 1)}
    uniform = gates(build_on_meta("resnet20", attention="stac", window="global"))
    assert [gate.window for gate in uniform.values()] == ["global"] * 9


def test_a_choice_of_stages():
    found = gates(build_on_meta("resnet34", attention="se", stages=[4, 2]))
    assert list(found) == [f"stages.1.{j}.standard" for j in range(4)] + [f"stages.3.{j}.standard" for j in range(3)]
    assert [gate.gate[1].in_channels for gate in found.values()] == [128] * 4 + [512] * 3
    assert not gates(build_on_meta("resnet20", attention="se", stages=[]))
    assert not gates(build_on_meta("resnet20"))


def test_a_window_larger_than_a_stages_map():
    model = models.build("resnet20", attention="stac", window=8)
    with pytest.raises(ValueError, match="window 8 is larger than the 4x4 map"):
        model(torch.zeros(1, 3, 16, 16))


# --- what is refused


@pytest.mark.parametrize("name", ["resnet19", "", "torchvision/resnet20", "fcn_resnet50", "retinanet"])
def test_unknown_model(name):
    with pytest.raises(ValueError, match="unknown model .*expected one of resnet20"):
        models.build(name)


@pytest.mark.parametrize("name, option", [("resnet20", "dilation"), ("resnet34", "blocks"), ("vgg16", "attention")])
def test_option_that_a_family_lacks(name, option):
    with pytest.raises(TypeError, match=option):
        models.build(name, **{option: 1})


@pytest.mark.parametrize("options, message", [
    ({"attention": "senet"}, "unknown attention 'senet'"),
    ({"attention": "se", "placement": "before"}, "placement must be one of .*got 'before'"),
    ({"attention": "se", "stages": [1, 4]}, r"from 1 to 3, got \[1, 4\]"),
    ({"attention": "se", "stages": 2}, "from 1 to 3, got 2"),
    ({"attention": "stac", "window": [8, 8]}, "one for each of 3 stages"),
    ({"attention": "stac", "window": "gap"}, "positive integer or 'global', got 'gap'"),
    ({"attention": "stac", "window": [8, 8, 0]}, "positive integer or 'global', got 0"),
    ({"attention": "stac", "kernels": (3, 2)}, "odd sides"),
    ({"attention": "se", "window": 4}, "'stac' alone, got window 4 .* for 'se'"),
    ({"attention": "bam", "kernels": (1, 1)}, r"'stac' alone, .*kernels \(1, 1\) for 'bam'"),
    ({"stem": "imagenet"}, "stem 'cifar' alone, got 'imagenet'"),
])
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        models.build("resnet20", **options)


# --- attention attached to torchvision's networks


def branch_and_shortcut(block, x):
    """The two summands of torchvision's residual blocks, from their own layers."""
    y = torch.relu(block.bn1(block.conv1(x)))
    y = block.bn2(block.conv2(y))
    if isinstance(block, torchvision.models.resnet.Bottleneck):
        y = block.bn3(block.conv3(torch.relu(y)))
    return y, block.downsample(x) if block.downsample is not None else x


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
@pytest.mark.parametrize("placement", ["standard", "post"])
@pytest.mark.parametrize("value", [0.25, 1])
def test_attached_standard_gates_the_branch_and_post_gates_the_block(name, placement, value):
    torch.manual_seed(0)
    model = torchvision.models.get_model(name).eval()
    block = model.layer2[0]
    for norm in (module for module in block.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight), nn.init.uniform_(norm.bias)  # else a gate before the norm would do the same
    x = torch.randn(2, block.conv1.in_channels, 10, 10)
    with torch.no_grad():
        branch, shortcut = branch_and_shortcut(block, x)
        assert attach(model, "stac", placement=placement, window=4, stages=[2]) is model
        for gate in gates(model).values():
            set_constant_gate(gate, value)
        expected = value * branch + shortcut if placement == "standard" else branch + shortcut
        expected = torch.relu(expected) * (value if placement == "post" else 1)
        torch.testing.assert_close(model.layer2[0](x), expected)


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("placement, place", [("standard", "bn3.attention"), ("post", "attention")])
def test_attached_to_every_block(attention, placement, place):
    window = {"window": 1} if attention == "stac" else {}  # its default is larger than the last map
    model = attach(build_on_meta("torchvision/resnet50"), attention, placement=placement, **window)
    found = gates(model)
    assert list(found) == [f"layer{i}.{j}.{place}" for i, depth in enumerate((3, 4, 6, 3), 1) for j in range(depth)]
    assert {type(module) for module in found.values()} == {KINDS[attention]}
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert model.eval()(torch.zeros(2, 3, 64, 64, device="meta")).shape == (2, 1000)


def test_attached_options_and_a_gate_of_one_change_nothing_else():
    torch.manual_seed(0)
    model, x = torchvision.models.resnet18(num_classes=5).double().eval(), torch.randn(2, 3, 64, 64).double()
    with torch.no_grad():
        expected = model(x)
        attach(model, "stac", window=[4, 8, "global", 2], kernels=(1, 3), stages=[1, 3, 4])
        assert [gate.window for gate in gates(model).values()] == [4, 4, "global", "global", 2, 2]
        assert [gate.attend[2].in_channels for gate in gates(model).values()] == [64, 64, 256, 256, 512, 512]
        assert model(x).dtype == torch.float64 and not torch.allclose(model(x), expected)
        for gate in gates(model).values():
            set_constant_gate(gate, 1)
        torch.testing.assert_close(model(x), expected)


def test_attached_gates_train_and_frozen_norms_stay_frozen():
    model = torchvision.models.resnet18().train()
    model.layer1[0].bn2.eval()
    model.layer3.eval()
    attach(model, "bam")
    frozen = {name for name, module in model.named_modules() if not module.training}
    assert "layer1.0.bn2.norm" in frozen and "layer3.1.bn2.attention.channel" in frozen
    assert not {"layer1.0.bn2", "layer1.0.bn2.attention", "layer1.0.bn2.attention.channel.3"} & frozen
    model.train()(torch.randn(2, 3, 64, 64)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_different_attention_in_different_stages():
    model = attach(attach(build_on_meta("torchvision/resnet18"), "se", stages=[1]), "stac", stages=[2],
                   placement="post")
    assert [type(gate) for gate in gates(model).values()] == [SqueezeExcitation] * 2 + [STAC] * 2


@pytest.mark.parametrize("first", ["standard", "post"])
@pytest.mark.parametrize("second", ["standard", "post"])
def test_attention_is_attached_once(first, second):
    model = attach(build_on_meta("torchvision/resnet18"), "se", placement=first, stages=[2])
    names = list(model.state_dict())
    with pytest.raises(ValueError, match="layer2 has attention already"):
        attach(model, "se", placement=second)
    assert list(model.state_dict()) == names  # layer1 too


@pytest.mark.parametrize("arguments, message", [
    ({"attention": None}, "unknown attention None"), ({"attention": "senet"}, "unknown attention 'senet'"),
    ({"attention": "se", "placement": "pre"}, "placement must be one of"),
    ({"attention": "se", "stages": [0]}, "from 1 to 4"), ({"attention": "stac", "window": [8] * 3}, "each of 4 stages"),
    ({"attention": "stac", "window": [8, 8, 8, -1]}, "got -1"), ({"attention": "stac", "kernels": (2, 2)}, "odd sides"),
    ({"attention": "cbam", "window": "global", "reduction": 4}, "'stac' alone, got window 'global'"),
])
def test_attach_refuses_options_and_leaves_the_model_unchanged(arguments, message):
    model = build_on_meta("torchvision/resnet18")
    names = list(model.state_dict())
    with pytest.raises(ValueError, match=message):
        attach(model, **arguments)
    assert list(model.state_dict()) == names


def test_attach_refuses_other_networks_and_blocks():
    with pytest.raises(TypeError, match="expected a torchvision ResNet, got rrahelpers.models.resnet.ResNet"):
        attach(build_on_meta("resnet20"), "se")
    model = build_on_meta("torchvision/resnet18")
    model.layer4[1] = nn.Identity()
    with pytest.raises(TypeError, match="expected BasicBlock or Bottleneck at layer4.1, got Identity"):
        attach(model, "se")
    assert not gates(model)


def test_an_attached_window_larger_than_a_stages_map():
    model = attach(torchvision.models.resnet18(), "stac", window=4, stages=[4])
    with pytest.raises(ValueError, match="window 4 is larger than the 2x2 map"):
        model(torch.zeros(1, 3, 64, 64))


def test_layers_that_keep_the_size_are_an_option_of_every_network():
    built = models.build("vgg11", width=0.125, keep_size_at=["features.3", "features.7"], truncate_at="features.11")
    whole = models.build("vgg11", width=0.125)
    expected = truncate(without_downsampling(whole, ["features.3", "features.7"]), "features.11")
    built.load_state_dict(expected.state_dict())
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(built.eval()(images), expected.eval()(images))
    with pytest.raises(ValueError, match="unknown layer 'features.99'"):
        models.build("vgg11", keep_size_at=["features.99"])

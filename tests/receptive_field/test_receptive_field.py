"""Receptive fields against the input's gradient, every path by itself, and the published border layers."""

import itertools

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rrahelpers import models
from rrahelpers.attention import SqueezeExcitation
from rrahelpers.base.torchvision import torchvision
from rrahelpers.receptive_field import beyond_border, border_layer, receptive_fields
from rrahelpers.receptive_field.trace import record

LENGTH = 448  # pixels; a strip this long and narrow costs little and holds most receptive fields
PIXELWISE = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.GELU, nn.LayerNorm, nn.BatchNorm2d, nn.Dropout,
             torchvision.ops.SqueezeExcitation)  # a gate held constant is a factor like another
CLASSIFIERS = [
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3",
    "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "regnet_x_400mf", "regnet_y_400mf",
    "resnet18", "resnet50", "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_0", "vgg11",
]


def build(name):
    """An untrained torchvision classifier without the time for drawing weights."""
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("cpu" if "regnet" in name else "meta"):
        return torchvision.models.get_model(name, weights=None, **options)


def positive(model):
    """``model`` as a positive linear map, whose gradient vanishes nowhere in the receptive field."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, PIXELWISE) or name == "classifier" and type(model).__name__ != "SqueezeNet":
                setattr(module, name, nn.Identity())
            elif isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode))
    model = model.to_empty(device="cpu").double().eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.fill_(1 / (parameter.shape[1] if parameter.ndim > 1 else 1))
    return model


def supports(model, layers, shape, axis=0, offsets=(0,)):
    """{layer: [(first, last), ...]}: pixels along ``axis`` on which the places around the middle of its map depend."""
    maps = {}
    for name in layers:
        model.get_submodule(name).register_forward_hook(lambda m, args, output, name=name: maps.update({name: output}))
    image = torch.ones(1, 3, *shape, dtype=torch.double, requires_grad=True)
    model(image)
    found = {}
    for name, output in maps.items():
        for offset in offsets:
            place = output.shape[2 + axis] // 2 + offset
            gradient, = torch.autograd.grad(output.select(2 + axis, place).sum(), image, retain_graph=True)
            seen = gradient.sum((0, 1, 3 - axis)).nonzero().flatten()
            found.setdefault(name, []).append((int(seen[0]), int(seen[-1])))
    return found


@pytest.mark.parametrize("name, axis", [*((name, 0) for name in CLASSIFIERS), ("inception_v3", 1)])
def test_r_max_is_the_support_of_the_gradient(name, axis, monkeypatch):
    narrow = {"inception_v3": 80, "alexnet": 64}.get(name, 32)
    shape = (LENGTH, narrow) if axis == 0 else (narrow, LENGTH)
    model = build(name)
    table = receptive_fields(model, shape)
    rows = table[table.conv.notna()]
    held = list(rows.layer[rows[f"r_max_{'hw'[axis]}"] + 2 * rows.jump <= LENGTH])
    sample = [*(held[third * (len(held) - 1) // 3] for third in (1, 2, 3)), rows.layer.iloc[-1]]
    monkeypatch.setattr(F, "max_pool2d", lambda x, kernel_size, stride=None, **_: F.avg_pool2d(x, kernel_size, stride))
    for layer, [(first, last)] in supports(positive(model), sample, shape, axis).items():
        size = rows.set_index("layer").loc[layer, f"r_max_{'hw'[axis]}"]
        assert last - first + 1 == size if layer in held else last - first + 1 <= size, layer


class Kinds(nn.Module):
    """What few classifiers have: dilation, transposed convolution, up-sampling, padding, uneven adaptive pooling."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2d(3, 2, (5, 3), stride=(3, 1), dilation=(2, 1))
        self.up = nn.ConvTranspose2d(2, 2, 4, stride=2)
        self.a = nn.Conv2d(2, 2, 3)
        self.b = nn.Conv2d(2, 2, 2, padding=1)
        self.c = nn.Conv2d(4, 2, 3)
        self.pool = nn.AdaptiveAvgPool2d((11, 7))
        self.d = nn.Conv2d(2, 2, 3)

    def forward(self, x):
        x = self.a(self.up(self.wide(x)))
        x = self.b(F.interpolate(F.pad(x, (2, 2, 2, 2)), scale_factor=2))
        x = F.pixel_shuffle(torch.cat([x, x, x, x], 1), 2)[:, :, ::2, ::2]
        x = F.interpolate(self.c(torch.cat([x, x.roll(1, 1)], 1)), scale_factor=1.5, mode="bilinear")
        return self.d(self.pool(x))


class Resampled(nn.Module):
    """Further ways up and down: dilated transposed convolution, cubic interpolation, channels made of places."""

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 2, 3, stride=2, dilation=3)
        self.a = nn.Conv2d(2, 2, 3)
        self.b = nn.Conv2d(18, 2, 3)
        self.c = nn.Conv2d(2, 2, 2)

    def forward(self, x):
        x = F.pixel_unshuffle(self.a(self.up(x))[:, :, :120, :90], 3)
        return self.c(F.interpolate(self.b(x), scale_factor=1.5, mode="bicubic"))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("build_it, shape, layers", [
    (Kinds, (110, 90), ["wide", "up", "a", "b", "c", "pool", "d"]), (Resampled, (80, 60), ["up", "a", "b", "c"]),
])
def test_uneven_steps_are_bounded_by_the_gradient_at_every_place(build_it, shape, layers, axis):
    model = build_it()
    table = receptive_fields(model, shape).set_index("layer")
    found = supports(positive(model), layers, shape, axis, offsets=range(-2, 3))
    for name in layers:
        low, high = table.loc[name, [f"r_min_{'hw'[axis]}", f"r_max_{'hw'[axis]}"]]
        inside = [last - first + 1 for first, last in found[name] if first > 0 and last < shape[axis] - 1]
        assert inside and low <= min(inside) and max(inside) <= high, (name, low, high, found[name])


@pytest.mark.parametrize("build_it", [
    lambda: torchvision.models.SwinTransformer([4, 4], 8, [2, 2], [1, 2], [4, 4], num_classes=2),
    lambda: torchvision.models.VisionTransformer(32, 8, 2, 2, 8, 8, num_classes=2),
], ids=["swin", "vit"])
def test_attention_is_bounded_by_the_gradient(build_it):
    torch.manual_seed(0)
    model = build_it().double().eval()
    layers = [name for name, module in model.named_modules() if name.endswith((".mlp.3", "reduction"))]
    table = receptive_fields(model, 32, layers=layers).set_index("layer")
    maps = {}
    for name in layers:
        model.get_submodule(name).register_forward_hook(lambda m, args, output, name=name: maps.update({name: output}))
    image = torch.rand(1, 3, 32, 32, dtype=torch.double, requires_grad=True)
    model(image)
    for name, output in maps.items():
        place = output[0, 1] if output.ndim == 3 else output[0, output.shape[1] // 2, output.shape[2] // 2]
        gradient, = torch.autograd.grad(place.sum(), image, retain_graph=True)
        rows = gradient[0].abs().sum((0, 2)).nonzero().flatten()
        assert int(rows[-1] - rows[0]) + 1 <= min(32, table.r_max[name])
    assert table.r_min.max() <= 8 and (build_it().__class__.__name__ != "VisionTransformer" or table.r_max.min() == 32)


# path by path --------------------------------------------------------------------------------------------------------

def equation_9(layers):
    """Receptive field after a sequence of (kernel, stride), the dissertation's equation 9 to the letter."""
    size, strides = 1, 1
    for kernel, stride in layers:
        size += (kernel - 1) * strides
        strides *= stride
    return size


def test_resnet18_against_every_path_one_by_one():
    table = receptive_fields(models.build("resnet18", stem="imagenet"), 32)
    rows = table[table.conv.notna()].set_index("layer")
    blocks = [(f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1)
              for stage in (1, 2, 3, 4) for block in (0, 1)]
    for number, (name, stride) in enumerate(blocks):
        for layer, own in (("conv1", [(3, stride)]), ("conv2", [(3, stride), (3, 1)])):
            sizes = [equation_9([(7, 2), (3, 2), *itertools.chain(*choice), *own])
                     for choice in itertools.product(*([[(3, s), (3, 1)], [(1, s)]] for _, s in blocks[:number]))]
            assert rows.loc[f"{name}.{layer}", ["r_min", "r_max"]].tolist() == [min(sizes), max(sizes)]


class Paths(nn.Module):
    """Branches of different reach and stride, joined by concatenation and addition; one layer runs twice."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.point, self.line = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 2, (1, 7), padding=(0, 3))
        self.dilated = nn.Conv2d(4, 4, 3, padding=4, dilation=4)
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d((4, 2))

    def forward(self, x):
        x = self.stem(x)  # 3 pixels, 2 apart
        x = torch.cat([self.point(x), self.line(x)], 1)  # 3 by 3 and 3 by 15
        x = x + self.dilated(F.avg_pool2d(x, 3, 1, 1))  # plus nothing, or 4 + 16
        if x.shape[2] > 4:
            x = self.twice(self.twice(x))  # plus 4 each time
        return self.pool(F.max_pool2d(x, 2))  # plus 2, now 4 apart; 4x4 to 4x2: nothing, and 4 more


def test_worked_by_hand():
    table = receptive_fields(Paths(), 16)
    found = {(row.layer, row.r_min_h, row.r_max_h, row.r_min_w, row.r_max_w) for row in table.itertuples()}
    assert found == {
        ("stem", 3, 3, 3, 3), ("point", 3, 3, 3, 3), ("line", 3, 3, 15, 15), ("avg_pool2d()", 7, 7, 7, 19),
        ("dilated", 23, 23, 23, 35), ("twice", 7, 27, 7, 39), ("twice", 11, 31, 11, 43),
        ("max_pool2d_with_indices()", 13, 33, 13, 45), ("pool", 13, 33, 17, 49),
    }
    stem, line = table.iloc[0], table[table.layer == "line"].iloc[0]
    assert [stem.kernel, stem.stride, stem.sides, stem.jump, stem.r_max_in] == ["3x3", "2x2", "8x8", 2, 1]
    assert (line.kernel, line.r_min, line.r_max) == ("1x7", 3, 15)  # the smaller and the larger of height and width
    assert table[table.layer == "twice"].r_max_in.tolist() == [35, 39]
    assert table.conv.dropna().tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("layer, sizes", [
    (nn.MaxPool2d(3, 2, dilation=2), [3, 7, 11]),  # plus 2 · 2, then plus 2 at 2 apart
    (nn.ConvTranspose2d(1, 1, 3, dilation=2), [3, 7, 9]),
    (nn.Upsample(scale_factor=2, mode="bicubic"), [3, 6, 7]),  # four of the inputs, then half a step at most
    (nn.AdaptiveAvgPool2d(4), [3, 5, 10]),  # 10 places to 4: windows of three, of which three span eight
    (nn.PixelUnshuffle(2), [3, 4, 8]),
])
def test_each_kind_between_two_convolutions_by_hand(layer, sizes):
    channels = 4 if isinstance(layer, nn.PixelUnshuffle) else 1
    table = receptive_fields(nn.Sequential(nn.Conv2d(1, 1, 3), layer, nn.Conv2d(channels, 1, 3)), 12)
    assert table.r_max.tolist() == sizes


def test_uneven_adaptive_pooling_has_windows_of_two_sizes():
    pool = receptive_fields(nn.Sequential(nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d(6)), 12).iloc[1]  # 10 places to 6
    assert (pool.r_min, pool.r_max) == (3 - 1 + 2, 3 - 1 + 3)


def test_paths_with_different_strides_are_followed_apart():
    class Uneven(nn.Module):
        def __init__(self):
            super().__init__()
            self.down, self.end = nn.Conv2d(1, 1, 2, stride=2), nn.Conv2d(1, 1, 3)

        def forward(self, x):
            return self.end(x[:, :, :4, :4] + self.down(x))  # 1 pixel, 1 apart; 2 pixels, 2 apart

    end = receptive_fields(Uneven(), 8).iloc[-1]
    assert (end.r_min_in, end.r_max_in, end.r_min, end.r_max, end.jump) == (1, 2, 3, 6, 2)


def test_global_pooling_sees_the_map_and_what_follows_no_more():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 3, padding=1),
                          nn.Flatten(), nn.Linear(4, 2))
    table = receptive_fields(model, (8, 12))
    assert table[["r_max_h", "r_max_w"]].values.tolist() == [[3, 3], *[[9, 13]] * 4]
    assert table.jump.tolist() == [2, 0, 0, 0, 0]


def test_a_linear_layer_on_the_flattened_map_sees_all_of_it():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 36, 5))
    assert receptive_fields(model, 8).r_min.tolist() == [3, 3, 8]


# attention -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("attention", ["stac", "se", "bam", "spatial", "cbam"])
def test_attention_does_not_count_unless_asked_for(attention):
    plain, gated, counted = (receptive_fields(models.build("resnet20", depth=1 / 3, attention=kind), 32, gates=gates)
                             for kind, gates in ((None, False), (attention, False), (attention, True)))
    main = [table.loc[table.conv.notna(), ["layer", "conv", "path", "r_min", "r_max", "r_border_in"]]
            for table in (plain, gated)]
    assert main[0].values.tolist() == main[1].values.tolist()
    assert set(gated.loc[~gated.layer.isin(plain.layer) & (gated.type == "Conv2d"), "path"]) == {"gate"}
    assert counted.set_index("layer").loc[main[0].layer.iloc[-1], "r_max"] > main[0].r_max.iloc[-1]


@pytest.mark.parametrize("gate", [F.hardsigmoid, lambda x: F.relu6(x + 3) / 6, lambda x: torch.clamp(x + 3, 0, 6) / 6,
                                  lambda x: (x + 3).clamp(min=0, max=6).div_(6)])
def test_a_hard_sigmoid_in_any_spelling_is_a_gate(gate):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.squeeze, self.b = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 1, 3)

        def forward(self, x):
            x = self.a(x)
            return self.b(x * gate(self.squeeze(x.mean((2, 3), keepdim=True))))

    table = receptive_fields(Network(), 32).set_index("layer")
    assert table.r_max["b"] == 5 and table.path["squeeze"] == "gate"


def test_a_gate_is_a_factor_not_a_layer_with_a_sigmoid():
    lenet = nn.Sequential(nn.Conv2d(1, 2, 5), nn.Sigmoid(), nn.AvgPool2d(2), nn.Conv2d(2, 2, 5), nn.Sigmoid())
    table = receptive_fields(lenet, 28)
    assert set(table.path) == {"main"} and table.r_max.tolist() == [5, 5, 6, 14, 14]


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Hardtanh])
def test_attention_behind_a_bounded_activation_stays_a_gate(activation):
    squeeze = nn.Sequential(nn.Conv2d(2, 2, 3), activation(), SqueezeExcitation(2), nn.Conv2d(2, 2, 3))
    table = receptive_fields(squeeze, 32).set_index("layer")
    assert table.loc["3", ["r_min", "r_max", "r_min_in", "r_max_in"]].tolist() == [5, 5, 3, 3]
    assert table.path["2.gate.1"] == "gate"


@pytest.mark.parametrize("layer, plain, counted", [  # behind a 3x3 convolution, on a map of 30x30 places
    (nn.LayerNorm((30, 30)), 3, 32), (nn.GroupNorm(1, 2), 3, 32), (nn.BatchNorm2d(2), 3, 3),
    (nn.Softmax(1), 3, 3), (nn.Softmax(-1), 32, 32),
])
def test_statistics_over_the_image_count_only_when_asked_for(layer, plain, counted):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), layer)
    assert [receptive_fields(model, 32, gates=gates).r_max.iloc[1] for gates in (False, True)] == [plain, counted]


def test_attention_by_a_softmax_over_places_is_a_gate():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.score, self.end = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 1, 5, padding=2), nn.Identity()

        def forward(self, x):
            x = self.a(x)
            return self.end(x * self.score(x).flatten(2).softmax(2).unflatten(2, x.shape[2:]))

    found = [receptive_fields(Network(), 32, gates=gates, layers=["score", "end"]) for gates in (False, True)]
    assert found[0].path.tolist() == ["gate", "main"]
    assert [table.r_max.tolist() for table in found] == [[7, 3], [7, 7 + 29]]


def test_of_two_gates_side_by_side_both_count_and_a_matrix_with_itself_too():
    class Network(nn.Module):
        def __init__(self, join):
            super().__init__()
            self.a, self.b, self.join = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 2, 5, padding=2), join

        def forward(self, x):
            return self.join(torch.sigmoid(self.a(x)), torch.sigmoid(self.b(x)))

    assert set(receptive_fields(Network(torch.mul), 8).path) == {"main"}
    bilinear = Network(lambda a, b: a.flatten(2) @ a.flatten(2).transpose(1, 2))
    assert receptive_fields(bilinear, 8).set_index("layer").path.to_dict() == {"a": "main", "b": "gate"}


# border layers -------------------------------------------------------------------------------------------------------

def borders(model, size=32):
    table = receptive_fields(model, size)
    numbers = table.dropna(subset="conv").set_index("layer").conv
    return tuple(numbers.get(border_layer(table, size, bound)) for bound in ("max", "min"))


@pytest.mark.parametrize("name, options, published", [  # b_max, b_min as printed below figures 52, 53, 55, 56 and 60
    ("vgg11", {}, (6, 6)), ("vgg13", {}, (7, 7)), ("vgg16", {}, (8, 8)), ("vgg19", {}, (8, 8)),
    ("resnet18", {"stem": "imagenet", "skip": False}, (5, 5)), ("vgg19", {"dilation": 3}, (5, 5)),
    ("resnet18", {"stem": "imagenet"}, (5, 11)), ("resnet34", {"stem": "imagenet"}, (5, 17)),
    ("resnet34", {"stem": "cifar"}, (13, None)),
    ("resnet18", {"stem": "cifar"}, (12, None)),  # printed: 13; but the input of the twelfth has 37 > 32 pixels
    ("torchvision/vgg16", {}, (8, 8)), ("torchvision/resnet18", {}, (5, 11)),
])
def test_published_border_layers(name, options, published):
    with torch.device("meta"):
        model = models.build(name, **options)
    found = borders(model)
    assert found[0] == published[0] and published[1] in (None, found[1])


@pytest.mark.parametrize("name, options, last", [
    ("vgg19", {}, 252), ("resnet18", {"stem": "cifar"}, 109), ("resnet34", {"stem": "imagenet"}, 899),  # "over 800"
    ("resnet18", {"stem": "imagenet"}, 435),  # printed: 413, which equation 9 doesn't give
])
def test_published_last_receptive_fields(name, options, last):
    table = receptive_fields(models.build(name, **options), 32)
    assert table[table.conv.notna()].r_max.iloc[-1] == last


def test_without_raised_shortcuts_the_last_convolution_is_left_at_most():
    table = receptive_fields(torchvision.models.resnet18(), 32)
    rows = table[table.conv.notna()]
    assert (rows[rows.layer.str.endswith(".0.conv1")].r_min_in == 11).all()  # the stem's, through every shortcut
    later = {f"r_border_in_{axis}": rows[f"r_min_in_{axis}"][::-1].cummin() for axis in "hw"}
    literal = table.assign(**later)
    assert border_layer(literal, 32) == rows.layer.iloc[-1]  # 75 pixels, inside the last block; 11 before it


def test_a_bottleneck_raises_its_shortcut_by_the_kernel_of_its_strided_convolution():
    table = receptive_fields(torchvision.models.resnet50(), 32).set_index("layer")
    projection = table.loc["layer2.0.downsample.0"]
    assert projection.path == "shortcut" and pd.isna(projection.conv)
    assert table.loc["layer2.1.conv1", ["r_min_in", "r_border_in"]].tolist() == [11, 11 + 2 * 4]


def test_branches_that_widen_are_no_shortcuts():
    """MPNet's 3x3 and 7x7 paths have stride 2 both, and b_min follows the 3x3."""
    model = models.build("mpnet18")
    table = receptive_fields(model, 32)
    assert set(table.path) == {"main"}
    rows = table[table.layer.isin(model.paths["min"])]
    assert rows.r_border_in.tolist() == rows.r_min_in.tolist()
    path = [(3, 1), *[(3, 2), (3, 1), (3, 1), (3, 1)] * 4]
    assert rows[rows.conv.notna()].r_min.tolist() == [equation_9(path[:n]) for n in range(1, 18)]


class Parallel(nn.Module):
    """Three convolutions of 7x7 beside three of 3x3, their sum, and one more; the branches in either order."""

    def __init__(self, order):
        super().__init__()
        self.stem, self.head = nn.Conv2d(1, 1, 9), nn.Conv2d(1, 1, 3)
        self.order = order
        self.small, self.large = (nn.Sequential(*(nn.Conv2d(1, 1, k, padding=k // 2) for _ in range(3)))
                                  for k in (3, 7))

    def forward(self, x):
        x = self.stem(x)
        return self.head(sum(getattr(self, name)(x) for name in self.order))


@pytest.mark.parametrize("order", [("small", "large"), ("large", "small")])
def test_what_is_behind_a_layer_is_what_sees_it_in_whichever_order_branches_are_called(order):
    """Inputs of 9, 11, 13 pixels in the one branch, 9, 15, 21 in the other, and 15 at least behind them."""
    table = receptive_fields(Parallel(order), 32).set_index("layer", drop=False)
    layers = ["stem", "small.1", "small.2", "large.1", "large.2", "head"]
    assert table.r_border_in[layers].tolist() == [1, 11, 13, 15, 15, 15]
    for size, idle in ((15, []), (14, ["head", "large.1", "large.2"]), (12, ["head", "large.1", "large.2", "small.2"]),
                       (8, ["head", *(f"{branch}.{i}" for branch in ("large", "small") for i in range(3))])):
        beyond = beyond_border(table, size)
        assert sorted(beyond.index[beyond]) == idle
        assert border_layer(table, size) == next((layer for layer in table.layer if layer in idle), None)


def test_a_convolution_behind_global_pooling_is_a_linear_layer():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(2, 5, 1))
    table = receptive_fields(model, 32)
    assert table.conv.dropna().to_dict() == {0: 1, 1: 2} and border_layer(table, 32) is None


def test_both_sides_have_to_be_larger_and_the_side_itself_is_not():
    model = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(4)))  # inputs of 1, 3, 5, 7 pixels
    table = receptive_fields(model, 8)
    assert [border_layer(table, size) for size in (1, 2, 3, 5, 7)] == ["1", "1", "2", "3", None]
    assert border_layer(table, (2, 4)) == border_layer(table, (4, 2)) == border_layer(table, (1, 4, 2)) == "2"
    wide = nn.Sequential(*(nn.Conv2d(1, 1, (1, 3), padding=(0, 1)) for _ in range(4)))
    assert border_layer(receptive_fields(wide, 8), 2) is None


# bad input, and the model as it was ----------------------------------------------------------------------------------

def test_the_model_is_left_as_it_was_and_meta_gives_the_same():
    model = models.build("resnet20", attention="bam").train()
    model.stages[1].eval()
    def state():
        return [(len(m._forward_hooks), len(m._forward_pre_hooks), m.training) for m in model.modules()]

    before, weights = state(), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    table = receptive_fields(model, 32)
    with pytest.raises(ValueError, match="refuses an image of .3, 2, 2."):
        receptive_fields(torchvision.models.squeezenet1_0(), 2)
    assert state() == before and all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    assert receptive_fields(model.to("meta"), 32).equals(table)


def test_containers_have_rows_where_asked_for():
    model = models.build("resnet20")
    table = receptive_fields(model, 32, layers=model.layer_names[1:])
    assert table.layer.tolist() == model.layer_names[1:]
    assert table.r_max.iloc[:4].tolist() == [3, 7, 11, 15]


class Odd(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.conv, self.idle, self.inner = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3), nn.Identity()
        self.inner.forward = forward

    def forward(self, x):
        return self.inner(self.conv(x))


def test_height_and_width_of_the_image_are_not_mixed_up():
    """Kernels of 5 x 3: layers see 1, 5, 9 ... places of the height and 1, 3, 5, 7, 9 ... of the width."""
    model = nn.Sequential(*(nn.Conv2d(1, 1, (5, 3), padding=(2, 1)) for _ in range(6)))
    assert border_layer(receptive_fields(model, (4, 8)), (4, 8)) == "4"  # 17 x 9
    assert border_layer(receptive_fields(model, (8, 4)), (8, 4)) == "2"  # 9 x 5


@pytest.mark.parametrize("forward, message", [
    (lambda x: torch.fft.fft2(x).abs(), "aten._fft.* in layer 'inner' .Identity. has no rule"),
    (lambda x: x * float(x.mean()), "'inner' .Identity. reads a value"),
    (lambda x: torch.cat([x, x], 2), "joins maps along an axis"),
    (lambda x: x.transpose(2, 3) + x, "different axes of the image"),
    (lambda x: x.flatten(2).view(1, 3, 4, 9), "across an axis of the image"),
    (lambda x: F.conv2d(x, x.transpose(0, 1).expand(3, 3, 6, 6)), "weights that depend on the image"),
])
def test_what_cannot_be_followed_is_refused_by_name(forward, message):
    with pytest.raises(NotImplementedError, match=message):
        receptive_fields(Odd(forward), 8)


@pytest.mark.parametrize("write", [
    lambda o, x: o.copy_(x), lambda o, x: [o[b].copy_(x[b]) for b in range(len(x))],
    lambda o, x: o.view(o.shape)[...].add_(x),
])
def test_what_was_written_through_a_view_is_seen(write):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 2)

        def forward(self, x):
            x = self.a(x)
            written = torch.zeros_like(x)
            write(written, x)
            return self.fc((x + self.b(written)).mean((2, 3)))

    table = receptive_fields(Network(), 8).set_index("layer")
    assert table.r_max.to_dict() == {"a": 3, "b": 5, "fc": 12} and table.r_min["fc"] == 10


def test_writing_into_a_rearranged_tensor_is_refused():
    def forward(x):
        y = torch.zeros_like(x)
        y.transpose(2, 3).copy_(x)
        return y + x

    with pytest.raises(NotImplementedError, match="writes into a rearranged tensor"):
        receptive_fields(Odd(forward), 8)


def test_writing_into_a_part_is_refused():
    def forward(x):
        y = x.mean((2, 3), keepdim=True).expand_as(x).clone()
        y[:, :1] += x[:, :1]
        return y

    with pytest.raises(NotImplementedError, match="writes into a part of a tensor"):
        receptive_fields(Odd(forward), 8)


@pytest.mark.parametrize("arguments, error, message", [
    (("resnet18", 32), TypeError, "expected a torch.nn.Module, got str"),
    ((nn.Linear(3, 2), 8), ValueError, r"give input_size as \(C, H, W\)"),
    ((nn.Conv2d(3, 2, 1), 0), ValueError, "input_size must be"),
    ((nn.Conv2d(3, 2, 1), (3, 8.0, 8)), ValueError, "input_size must be"),
    ((nn.Conv2d(3, 2, 1), True), ValueError, "input_size must be"),
    ((nn.Conv2d(3, 2, 1), (2, 8, 8)), ValueError, r"refuses an image of \[2, 8, 8\]"),
    ((Odd(torch.ones_like), 8), ValueError, "nothing in the output of Odd depends on the image"),
])
def test_bad_input_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        receptive_fields(*arguments)


def test_unknown_layers_bounds_and_tables_are_named():
    model = Odd(nn.Identity())
    with pytest.raises(ValueError, match=r"unknown layers \['conv2'\]; expected some of: conv, idle, inner"):
        receptive_fields(model, 8, layers=["conv", "conv2"])
    with pytest.raises(ValueError, match=r"unknown layers \[''\]; expected some of: conv, idle, inner"):
        receptive_fields(model, 8, layers=[""])
    with pytest.raises(ValueError, match=r"layers \['idle'\] answer with no tensor"):
        receptive_fields(model, 8, layers=["conv", "idle"])
    table = receptive_fields(model, 8)
    with pytest.raises(ValueError, match="bound must be 'min' or 'max', got 'mean'"):
        border_layer(table, 8, "mean")
    with pytest.raises(ValueError, match="without the columns .*r_border_in"):
        border_layer(table[["layer", "conv"]], 8)
    with pytest.raises(ValueError, match="no convolution of the main path"):
        border_layer(receptive_fields(model, 8, layers=["inner"]), 8)


@pytest.mark.parametrize("name, options", [("resnet18", {}), ("vgg11", {}), ("densenet18", {}), ("mpnet18", {})])
def test_a_passage_is_what_no_path_leads_around(name, options):
    """Without what a layer gets, nothing reaches the output: each node taken out of the graph in turn."""
    with torch.device("meta"):
        model = models.build(name, **options)
    graph = record(model, torch.zeros(1, 3, 32, 32, device="meta"))
    table = receptive_fields(model, 32)
    calls = [call for call in graph.calls if call.leaf]
    assert [call.layer for call in calls] == table.layer.tolist()

    def arrives(without):
        reached = {0} - {without}
        for place, node in enumerate(graph.nodes):
            if place != without and any(edge.parent in reached for edge in node.edges):
                reached.add(place)
        return bool(reached & set(graph.outputs))

    blocked = {place: not arrives(place) for place in range(len(graph.nodes))}
    assert table.passage.tolist() == [len(call.inputs) == 1 and blocked[call.inputs[0]] for call in calls]
    assert 1 < table.passage.sum() <= len(table)

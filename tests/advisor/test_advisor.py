"""Advice: its numbers against the networks that it proposes, and these against what they shall be."""

import copy

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rrahelpers import complexity, models
from rrahelpers.advisor import advise, propose, truncate, without_downsampling
from rrahelpers.base.torchvision import torchvision
from rrahelpers.eigenspace import SaturationTracker
from rrahelpers.plots import architecture as architecture_plots
from rrahelpers.receptive_field import border_layer, receptive_fields

CONVOLUTIONS = [f"layer{stage}.{block}.conv{i}" for stage in (1, 2, 3, 4) for block in (0, 1) for i in (1, 2)]
MEASURED = dict(zip(CONVOLUTIONS, [0.5] * 10 + [0.1] * 6)), dict(zip(CONVOLUTIONS, np.linspace(0.3, 0.6, 16)))


def meta(name, **options):
    """An untrained network without numbers."""
    with torch.device("meta"):
        return models.build(name, **options)


@pytest.fixture
def resnet18():
    return meta("resnet18", stem="imagenet")


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


@pytest.mark.parametrize("name, options, border, head", [  # pooling 256 channels of 8x8 and 2x2 places, linear to 10
    ("vgg19", {}, "features.23", 256 * 65 + 2560),
    ("resnet34", {"stem": "imagenet"}, "layer3.0.conv2", 256 * 5 + 2560),
])
def test_a_truncated_network_has_the_promised_costs_and_trains(name, options, border, head):
    model = models.build(name, **options)
    promised = propose(model, 32).set_index("proposal").loc["truncate"]
    advice = advise(model, 32)
    kept = advice[advice.productive.fillna(False)]
    assert (promised.flops, promised.params) == (kept.flops.sum() + head, kept.params.sum() + 2570)
    assert promised.flops_saved == pytest.approx(1 - promised.flops / advice.flops.sum())
    assert promised.change == f"end before {border}" and pd.isna(promised.border)
    stump = truncate(model, border)
    assert complexity.count(stump, (3, 32, 32)) == (promised.flops, promised.params)
    before = [p.detach().clone() for p in stump.parameters()]
    optimiser = torch.optim.SGD(stump.parameters(), 0.1)
    F.cross_entropy(stump(torch.randn(4, 3, 32, 32)), torch.arange(4)).backward()
    optimiser.step()
    assert all((old != new).any() for old, new in zip(before, stump.parameters()))


def test_a_truncated_network_computes_what_the_network_does_up_to_there():
    model = models.build("resnet20", attention="stac").eval()  # which torch.fx can trace around the attention alone
    seen = {}
    model.stages[1][1].main[0].register_forward_pre_hook(lambda module, args: seen.update(input=args[0]))
    image = torch.randn(2, 3, 32, 32)
    model(image)
    stump = truncate(model, "stages.1.1.main.0", num_classes=7)
    assert not stump.training and not any(module.training for module in stump.modules())
    torch.testing.assert_close(stump(image), stump.head[2](seen["input"].mean((2, 3))))
    assert stump(image).shape == (2, 7)
    kept = {name: tensor for name, tensor in stump.state_dict().items() if not name.startswith("head")}
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in kept.items())
    with torch.no_grad():
        stump.get_submodule("stem.0").weight.zero_()
    assert model.stem[0].weight.abs().sum() > 0  # weights of its own


@pytest.mark.parametrize("name, at", [
    ("googlenet", "inception4c.branch2.0.conv"), ("densenet121", "features.denseblock2.denselayer3.conv1"),
    ("efficientnet_b0", "features.4.0.block.0.0"), ("convnext_tiny", "features.3.1.block.0"),
])
def test_torchvision_networks_can_be_cut_and_keep_their_modes(name, at):
    model = meta(name, **({"init_weights": False} if name == "googlenet" else {})).train()
    model.get_submodule(at).eval()
    stump = truncate(model, at)
    modes = {name: module.training for name, module in model.named_modules()}
    assert all(module.training == modes.get(name, True) for name, module in stump.named_modules())
    assert stump.head[2].out_features == 1000
    promised = receptive_fields(model, 64).set_index("layer").loc[at, "r_max_in"]
    assert receptive_fields(stump, 64, layers=["head"]).r_max_in.item() == promised


class DropsByCall(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.inner = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3), nn.Sequential(nn.Conv2d(3, 3, 3))

    def forward(self, x):
        x = self.b(F.dropout(self.a(x), training=self.training))
        return self.inner(x) if x.shape[2] > 0 else x


class Needs(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.weight = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3), nn.Parameter(torch.zeros(5, 3))

    def forward(self, x, scale, mask=None):
        x = self.a(x * scale) if mask is None else self.a(x * mask)
        return F.linear(self.b(input=x).mean((2, 3)), self.weight)


@pytest.mark.parametrize("model, at, message", [
    (Needs(), "b", "no linear layer or convolution of Needs tells the number of classes; give num_classes"),
    (nn.Sequential(*[nn.Conv2d(3, 3, 3)] * 3), "0", "can't cut before '0': it is called 3 times"),
    (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), "1", "expected the name of a Conv2d, got '1'; there are: 0"),
    (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), "2", "expected the name of a Conv2d, got '2'"),
    (nn.Sequential(DropsByCall(), nn.Conv2d(3, 2, 1)), "0.inner.0", "can't cut before '0.inner.0'.*outside of it"),
    (DropsByCall(), "b", "can't trace the forward of DropsByCall itself"),
    (torchvision.models.DenseNet(4, (2, 2), 8, drop_rate=0.1), "features.transition1.conv", "another course before"),
])
def test_what_cannot_be_cut_is_named(model, at, message):
    with pytest.raises(ValueError, match=message):
        truncate(model, at)


def test_a_cut_says_what_it_needs_beside_the_images():
    with pytest.raises(ValueError, match="what comes before 'b' needs more than the images: scale"):
        truncate(Needs(), "b", num_classes=2)


@pytest.mark.parametrize("write", [lambda self, x, y: x.add_(y), lambda self, x, y: F.relu_(x),
                                   lambda self, x, y: F.hardtanh(x, inplace=True), lambda self, x, y: self.relu(x)])
def test_what_is_written_in_place_stays_before_a_cut(write):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = (nn.Conv2d(3, 3, 3, padding=1) for _ in "abc")
            self.relu, self.fc = nn.ReLU(inplace=True), nn.Linear(3, 2)

        def forward(self, x, mask=None):
            x = (x - torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1)) / 0.2
            x = self.a(x)
            beside = self.b(x)
            if mask is not None:
                x = x * mask
            write(self, x, beside)  # nothing takes the result
            self.relu(beside)
            return self.fc((self.c(x) + beside).mean((2, 3)))

    model, images, seen = Network(), torch.randn(2, 3, 8, 8), {}
    model.c.register_forward_pre_hook(lambda module, args: seen.update(input=args[0].clone()))
    model(images)
    stump = truncate(model, "c")
    torch.testing.assert_close(stump(images), stump.head[2](seen["input"].mean((2, 3))))
    assert stump.head[2].out_features == 2
    assert propose(model, 2).set_index("proposal").params["as it is"] == 3 * 84 + 8  # the constant is no parameter


def test_an_operator_writes_nowhere_whatever_its_name():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.fc = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3), nn.Linear(3, 2)

        def forward(self, x):
            x = self.a(x)
            positive = x > 0
            small = positive & (x < 0.1)  # operator.and_
            return self.fc(self.b(torch.where(positive, x, 0 * x) + small).mean((2, 3)))

    model, images, seen = Network(), torch.randn(2, 3, 8, 8), {}
    model.b.register_forward_pre_hook(lambda module, args: seen.update(input=args[0]))
    model(images)
    stump = truncate(model, "b")
    torch.testing.assert_close(stump(images), stump.head[2](seen["input"].mean((2, 3))))


def test_the_classes_are_those_of_a_head_that_stays_whole():
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(6, 5)

        def forward(self, x):
            return self.fc(x.mean((2, 3)) if x.dim() == 4 else x)

    assert truncate(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3), Head()), "1").head[2].out_features == 5


def test_advice_on_a_layer_that_is_called_again_and_again_is_for_its_calls():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.again, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 2)

        def forward(self, x):
            x = self.a(x)
            for _ in range(10):
                x = self.again(x)
            return self.fc(x.mean((2, 3)))

    table = advise(Network(), 11)
    assert table.border.tolist() == [""] * 6 + ["b_max, b_min"] + [""] * 5
    assert table.productive.tolist() == [True] * 6 + [False] * 6
    assert "is called 10 times" in propose(Network(), 11).set_index("proposal").reason["truncate"]


def test_dropping_the_stem_gives_the_cifar_network(resnet18):
    row = propose(resnet18, 32, convention="macs").set_index("proposal").loc["drop the stem"]
    assert (row.flops, row.params) == complexity.count(meta("resnet18", stem="cifar"), (3, 32, 32), "macs")
    assert round(row.flops / 1e9, 2) == 0.56  # as printed
    assert row.change == "no down-sampling in conv1, maxpool"
    copy = without_downsampling(resnet18, ["conv1", "maxpool"])
    assert receptive_fields(copy, 32).query("type == 'Conv2d'").r_max.max() == 109
    assert resnet18.conv1.stride == (2, 2)
    with pytest.raises(ValueError, match="at 'fc', got Linear"):
        without_downsampling(resnet18, ["fc"])
    with pytest.raises(ValueError,
                       match="unknown layer 'conv9'; convolutions and poolings: conv1, maxpool, layer1.0.conv1"):
        without_downsampling(resnet18, ["conv9"])


def test_of_five_poolings_the_first_two_are_the_stem():
    row = propose(meta("vgg16"), 32).set_index("proposal").loc["drop the stem"]
    assert row.change == "no down-sampling in features.6, features.13"


def test_weights_stay_where_only_the_stride_changes():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.AvgPool2d(2)).eval()
    copy = without_downsampling(model, ["0", "1"])
    assert torch.equal(copy[0].weight, model[0].weight) and copy[0].weight is not model[0].weight
    assert not copy[0].training
    assert copy(torch.zeros(1, 3, 8, 8)).shape == (1, 4, 8, 8)
    even = without_downsampling(nn.Sequential(nn.Conv2d(3, 4, 2, 2, padding_mode="reflect")), ["0"])
    assert even(torch.zeros(1, 3, 8, 8)).shape == (1, 4, 8, 8) and even[0].padding_mode == "reflect"


def test_images_are_enlarged_until_the_last_convolution_is_productive(resnet18):
    row = propose(resnet18, 32).set_index("proposal").loc["enlarge the images"]
    size = int(row.input_size.split("x")[0])
    table = receptive_fields(resnet18, 32)
    assert [border_layer(table, side) for side in (size, size - 1)] == [None, "layer4.1.conv2"] and pd.isna(row.border)
    assert row.flops == complexity.count(resnet18, (3, size, size)).flops and row.flops_saved < 0


def test_images_larger_than_the_last_receptive_field_are_shrunk_and_fitting_ones_left():
    model = meta("vgg11")
    rows = propose(model, 224).set_index("proposal")
    assert rows.input_size.to_dict() == {"as it is": "224x224", "shrink the images": "134x134",
                                           "add down-sampling": "224x224"}
    assert propose(model, 134).proposal.tolist() == ["as it is"]


@pytest.mark.parametrize("average, factor", [(0.1, 0.4), (0.5, 2), (0.2, None), (0.3, None), (0.0, None)])
def test_the_width_is_scaled_towards_a_quarter(average, factor):
    rows = propose(meta("vgg16"), 224, {"features.0": average, "features.3": average}).set_index("proposal")
    assert ("scale the width" in rows.index) == (factor is not None)
    if factor:
        row, true = rows.loc["scale the width"], complexity.count(meta("vgg16", width=factor), (3, 224, 224))
        assert row.change == f"by {factor:g}"
        assert (row.flops, row.params) == pytest.approx(true, rel=0.02)  # whole channels


@pytest.mark.filterwarnings("ignore:.*counte?d?s? as 0 FLOPs")
def test_the_width_of_a_transformer_is_scaled_with_its_attention():
    small, wide = (torchvision.models.VisionTransformer(32, 8, 2, 4, hidden, 2 * hidden, num_classes=10)
                   for hidden in (64, 128))
    row = propose(small, 32, {"conv_proj": 0.5}).set_index("proposal").loc["scale the width"]
    assert (row.flops, row.params) == pytest.approx(complexity.count(wide, (3, 32, 32)), rel=1e-3)


def test_layers_that_are_not_called_are_not_the_last():
    class WithAuxiliary(nn.Sequential):
        def forward(self, x):
            for layer in list(self)[:-1]:
                x = layer(x)
            return x

    layers = [nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    plain = propose(nn.Sequential(*layers), 8, {"0": 0.5}).set_index("proposal")
    with pytest.warns(UserWarning, match="not called as modules"):
        more = propose(WithAuxiliary(*layers, nn.Linear(8, 4)), 8, {"0": 0.5}).set_index("proposal")
    assert more.flops["scale the width"] == plain.flops["scale the width"]


def test_images_are_enlarged_for_the_smaller_side_of_a_receptive_field():
    wide = [nn.Conv2d(3, 3, (1, 33), padding=(0, 16)) for _ in range(3)]
    model = nn.Sequential(*wide, *(nn.Conv2d(3, 3, 3, padding=1) for _ in range(9)), nn.AdaptiveAvgPool2d(1))
    assert propose(model, 11).set_index("proposal").input_size["enlarge the images"] == "17x17"
    table = receptive_fields(model, 17)
    assert [border_layer(table, side) for side in (16, 17)] == ["11", None]


def test_a_proposal_that_cannot_be_made_says_why():
    model = nn.Sequential(*(nn.Conv2d(1, 1, 5, stride=2, padding=2) for _ in range(5)), nn.Flatten(), nn.Linear(1, 2))
    rows = propose(model, 32).set_index("proposal")
    assert rows.loc["enlarge the images", "reason"].startswith("can't be done: Sequential refuses an image")
    assert rows.loc["truncate", "params"] == 4 * 26 + 4 and pd.isna(rows.loc["enlarge the images", "flops_saved"])


def test_a_head_of_ones_own_before_the_cut_stays():
    class Network(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.add_module(name, nn.Conv2d(1, 2, 3))
            self.body, self.fc, self.name = nn.Conv2d(2, 3, 3), nn.Linear(3, 2), name

        def forward(self, x):
            return self.fc(self.body(getattr(self, self.name)(x)).mean((2, 3)))

    for name, new in (("stem", "head"), ("head", "head_1")):
        model, images = Network(name), torch.randn(2, 1, 8, 8)
        stump = truncate(model, "body", 5)
        torch.testing.assert_close(stump(images),
                                   stump.get_submodule(new)[2](getattr(model, name)(images).mean((2, 3))))
        assert [n for n, _ in stump.named_children()] == [name, new]


class Headed(nn.Module):
    """``head`` may be anything: nothing at all, a parameter, a buffer, a number, a method, a property, a layer behind
    the cut."""

    def __init__(self, uses=False):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 7, stride=2), nn.Conv2d(8, 8, 7, stride=2)
        self.c, self.d, self.fc, self.uses = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3,
                                                                                      padding=1), nn.Linear(8, 4), uses
        self.layer_names = ["input", "a", "b", "c", "d", "fc"]

    def forward(self, x):
        x = self.b(self.a(x)).relu()
        x = x * self.head if self.uses else x
        return self.fc(self.d(self.c(x)).mean((2, 3)))


class Method(Headed):
    def head(self, x):
        return x


class Property(Headed):
    @property
    def head(self):
        return 2.0


HEADS = {"None": None, "number": 3, "text": "linear", "parameter": nn.Parameter(torch.ones(1)), "tensor": torch.ones(1),
         "layer": nn.ReLU()}


@pytest.mark.parametrize("uses", [False, True])
@pytest.mark.parametrize("what", [*HEADS, "buffer", "method", "property"])
def test_whatever_is_called_head_a_network_can_be_cut(what, uses):
    if uses and what in ("None", "text", "layer", "method"):
        return  # nothing to multiply with
    model = {"method": Method, "property": Property}.get(what, Headed)(uses)
    if what in HEADS:
        model.head = HEADS[what]
    elif what == "buffer":
        model.register_buffer("head", torch.full((1,), 2.0))
    rows = propose(model, 24).set_index("proposal")
    assert rows.loc["truncate", "change"] == "end before d" and not rows.reason.str.startswith("can't be done").any()
    stump, seen, images = truncate(model, "d"), {}, torch.randn(2, 3, 24, 24)
    new = "head_1" if uses and what in ("parameter", "tensor", "buffer") else "head"
    assert stump.layer_names == ["input", "a", "b", "c", f"{new}.2"]
    model.d.register_forward_pre_hook(lambda module, args: seen.update(input=args[0]))
    model(images)
    torch.testing.assert_close(stump(images), stump.get_submodule(new)[2](seen["input"].mean((2, 3))))
    torch.testing.assert_close(copy.deepcopy(stump)(images), stump(images))
    assert complexity.count(stump, (3, 24, 24)) == (rows.flops["truncate"], rows.params["truncate"])


def test_a_network_for_one_size_alone_still_gets_its_other_proposals():
    class Fixed(nn.Sequential):
        def forward(self, x):
            assert x.shape[-1] == 32, f"expected 32 pixels, got {x.shape[-1]}"
            return super().forward(x)

    model = Fixed(*(nn.Conv2d(1, 1, 9, padding=4) for _ in range(6)), nn.Flatten(), nn.Linear(1024, 2))
    rows = propose(model, 32).set_index("proposal")
    assert "expected 32 pixels, got 41" in rows.reason["enlarge the images"]
    assert {"as it is", "truncate"} <= set(rows.index) and rows.params["as it is"] == 6 * 82 + 2050


def test_cutting_into_parallel_paths_is_said():
    row = propose(meta("mpnet18"), 32).set_index("proposal").loc["truncate"]
    assert row.change == "end before stages.1.1.small.1.0"
    assert row.reason.endswith(" 1 productive on paths beside it are cut off too.")
    # both paths down-sample: neither is a stem
    assert "drop the stem" not in propose(meta("mpnet18"), 32).proposal.values


def test_advice_adds_up_and_joins_measurements(resnet18):
    saturations, probes = MEASURED
    table = advise(resnet18, 32, saturations, {"fc": 0.9, "input": 0.2} | probes)
    assert (table.flops.sum(), table.params.sum()) == complexity.count(resnet18, (3, 32, 32))
    rows = table.drop_duplicates("layer").set_index("layer")
    assert rows.border[rows.border != ""].to_dict() == {"layer1.1.conv2": "b_max", "layer3.0.conv2": "b_min"}
    assert rows.productive["layer3.0.conv1"] and not rows.productive["layer3.0.conv2"] and not rows.productive["fc"]
    assert rows.in_tail.dropna().sum() == 6 and rows.in_tail["layer4.1.conv2"] and not rows.in_tail["layer1.0.conv1"]
    assert rows.probe_gain[["layer1.0.conv1", "layer1.0.conv2", "fc"]].tolist() == pytest.approx([0.1, 0.02, 0.3])
    assert rows.probe.count() == 17 and rows.saturation.count() == 16
    plain = advise(resnet18, 32)
    assert plain[["saturation", "in_tail", "probe", "probe_gain"]].isna().all(axis=None)


def test_the_saturation_of_the_image_counts_for_nothing(resnet18):
    saturations, _ = MEASURED
    with_input = {"input": 1.0} | saturations
    pd.testing.assert_frame_equal(advise(resnet18, 32, with_input), advise(resnet18, 32, saturations))
    proposals = [propose(resnet18, 32, given)[["proposal", "change", "reason"]] for given in (with_input, saturations)]
    pd.testing.assert_frame_equal(*proposals)


def test_parameters_beside_submodules_and_idle_layers_come_last():
    model = meta("convnext_tiny")
    table = advise(model, 64)
    assert table.params.sum() == sum(p.numel() for p in model.parameters())
    assert table["index"].dropna().tolist() == list(range(table["index"].count()))
    assert set(table.type[table["index"].isna()]) == {"CNBlock"}


class Auxiliary(nn.Module):
    """A classifier that runs in training alone."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(i, 3, 9, padding=4) for i in (3, 3, 3))
        self.aux, self.fc = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1)), nn.Linear(3, 2)

    def forward(self, x):
        x = self.b(self.a(x))
        if self.training:
            self.aux(x)
        return self.fc(self.c(x).mean((2, 3)))


def googlenet():
    return torchvision.models.GoogLeNet(4, aux_logits=True, init_weights=False)


@pytest.mark.parametrize("build, size, left_out",
                         [(Auxiliary, 8, "aux.0"), (googlenet, 32, "aux1.conv.conv, .*aux2.fc2")])
@pytest.mark.filterwarnings("ignore:not called as modules, so counted as 0 FLOPs")
def test_a_tracker_of_training_gives_what_advice_takes(build, size, left_out):
    """The flow that the README shows: follow a training, then propose with its last table."""
    model = build().train()
    with SaturationTracker(model, side=2) as tracker:
        model(torch.randn(4, 3, size, size))
        tracker.end_epoch()
    last = tracker.table.query("epoch == epoch.max() and split == 'train'")
    with pytest.warns(UserWarning,
                      match=f"saturations: left out, for images don't pass them in evaluation: {left_out}"):
        rows = propose(model, size, last)
    asked = set(receptive_fields(model, size).layer)
    kept = last[last.layer.isin(asked)]
    assert len(kept) < len(last)
    pd.testing.assert_frame_equal(propose(model, size, kept), rows)
    with pytest.warns(UserWarning, match="probes: left out"):
        table = advise(model, size, kept, dict.fromkeys(last.layer, 0.5))
    assert table.probe.notna().sum() == len(kept)


@pytest.mark.parametrize("measured, message", [
    ({"layer1.0": 0.5}, "unknown layers .'layer1.0'.; expected layers without submodules"),
    ({"conv1": 45.0}, "saturations: .*divide percent by 100"),
    ({"conv1": float("nan")}, r"NaN or infinite ones for the layers \['conv1'\]"),
])
def test_bad_measurements_are_named(resnet18, measured, message):
    for function in (advise, propose):
        with pytest.raises(ValueError, match=message):
            function(resnet18, 32, saturations=measured)


def test_plots_draw_the_table_and_its_borders(resnet18, ax):
    table = advise(resnet18, 32, *MEASURED)
    architecture_plots.saturation_and_probes(table, ax, accuracy=0.7, input_size=32)
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["probe accuracy"].get_ydata(), list(MEASURED[1].values()))
    assert len(ax.patches) == 6  # the tail
    right = {line.get_label(): line for line in ax.figure.axes[-1].lines}
    assert [right[f"border layer b_{bound}"].get_xdata()[0] for bound in ("max", "min")] == [3, 9]
    assert right["largest receptive field"].get_ydata()[-1] == 435
    assert [label.get_text() for label in ax.get_xticklabels()][:2] == ["2", "3"]


def test_plot_of_receptive_fields_and_of_variants(resnet18, ax):
    table = advise(resnet18, 32, probes={"conv1": 0.2, "fc": 0.4})
    architecture_plots.receptive_field_curve(table[table.conv.notna()], ax, input_size=32)
    shown = {line.get_label() for line in ax.lines}
    assert {"largest receptive field", "smallest receptive field", "image, 32 pixels"} < shown
    ax.clear()
    architecture_plots.variants({"a": table, "b": table}, ax, "probe")
    assert [line.get_ydata().tolist() for line in ax.lines if line.get_label() in "ab"] == [[0.2, 0.4]] * 2
    with pytest.raises(ValueError, match="no saturation for a"):
        architecture_plots.variants({"a": table}, ax, "saturation")
    with pytest.raises(ValueError, match="no layer of the table has a saturation or a probe"):
        architecture_plots.saturation_and_probes(advise(resnet18, 32), ax)


def test_an_unknown_convention_is_no_proposal_that_cannot_be_made(resnet18):
    with pytest.raises(ValueError, match="unknown convention 'flops'; expected one of 'published', 'macs'"):
        propose(resnet18, 32, convention="flops")


@pytest.mark.parametrize("classes", [0, -1, 2.0, "ten", True])
def test_a_head_needs_a_number_of_classes(resnet18, classes):
    with pytest.raises(ValueError, match="expected num_classes to be a positive whole number, got"):
        truncate(resnet18, "layer2.0.conv1", classes)

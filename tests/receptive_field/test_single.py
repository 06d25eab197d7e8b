"""One layer's receptive fields: every path one by one, figure 37's two, and places against boxes worked by hand."""

import itertools

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from rrahelpers import models
from rrahelpers.plots.receptive_field import overlay
from rrahelpers.receptive_field import (
    Box,
    border_layer,
    field_path,
    field_place,
    field_sizes,
    input_resolution_range,
    receptive_fields,
)


def meta(name, **options):
    with torch.device("meta"):
        return models.build(name, **options)


class Branches(nn.Module):
    """A 3x3 beside a 5x5 convolution, twice, as in figure 37."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2, 1)
        self.small, self.large = (nn.ModuleList(nn.Conv2d(4, 4, k, padding=k // 2) for _ in range(2)) for k in (3, 5))
        self.last = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        x = self.stem(x)
        for small, large in zip(self.small, self.large):
            x = small(x) + large(x)
        return self.last(x)


def test_every_size_and_its_paths_by_hand():
    """3 of the stem, then 2 * 2 or 4 * 2 pixels at each branch, and 2 * 2 of the last: 15, 19 twice, 23."""
    assert field_sizes(Branches(), 32, "last").to_dict() == {15: 1, 19: 2, 23: 1}


def test_every_size_of_resnet18_against_every_path_one_by_one():
    """Each block is passed along its convolutions or its shortcut, in which a projection has the stride."""
    model = meta("resnet18", stem="imagenet")
    blocks = [(2 if stage > 1 and block == 0 else 1) for stage in (1, 2, 3, 4) for block in (0, 1)]
    expected = {}
    for choice in itertools.product((True, False), repeat=len(blocks)):
        r, jump = 1 + 6 + 2 * 2, 4  # 7x7 at stride 2, pooling 3x3 at stride 2
        for through, stride in zip(choice, blocks):
            r += 2 * jump + 2 * jump * stride if through else 0
            jump *= stride
        expected[r] = expected.get(r, 0) + 1
    found = field_sizes(model, 64, "layer4.1.relu")
    assert field_sizes(model, 64, "layer4.1.relu", axis="w").equals(found)
    # the block's last ReLU is called twice, and the first call is inside of it: the avgpool gets the second
    table = receptive_fields(model, 64).set_index("layer")
    assert sum(expected.values()) == 256
    whole = field_sizes(_without_pooling(model), 64, "last")
    assert whole.to_dict() == dict(sorted(expected.items()))
    assert (min(expected), max(expected)) == (table.r_min_in["avgpool.0"], table.r_max_in["avgpool.0"])


def _without_pooling(model):
    """The network with a layer of its own behind the last block, in place of pooling."""
    model.avgpool, model.fc = nn.Identity(), nn.Identity()

    class Ended(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.last = model, nn.Conv2d(512, 1, 1, device="meta")

        def forward(self, x):
            inner = self.inner
            x = inner.maxpool(inner.relu(inner.bn1(inner.conv1(x))))
            return self.last(inner.layer4(inner.layer3(inner.layer2(inner.layer1(x)))))

    return Ended()


def test_the_paths_of_figure_37():
    model = Branches()
    small, large = field_path(model, 32, "last", "min"), field_path(model, 32, "last")
    assert list(large.itertuples(index=False, name=None)) == [
        ("stem", 3), ("large.0", 11), ("add()", 11), ("large.1", 19), ("add()", 19), ("last", 23)]
    assert small.layer.tolist() == ["stem", "small.0", "add()", "small.1", "add()", "last"]
    table = receptive_fields(model, 32).set_index("layer")
    assert (small.r.iloc[-1], large.r.iloc[-1]) == (table.r_min["last"], table.r_max["last"]) == (15, 23)
    with pytest.raises(ValueError, match="bound must be 'min' or 'max'"):
        field_path(model, 32, "last", "mean")


def test_paths_and_sizes_end_where_the_table_says():
    for name, layer in (("mpnet18", "stages.2.0.large.0.0"), ("densenet18", "features.denseblock2.denselayer2.conv2"),
                        ("resnet18", "layer3.0.conv2")):
        model = meta(name)
        row = receptive_fields(model, 64).set_index("layer").loc[layer]
        sizes = field_sizes(model, 64, layer)
        assert (sizes.index.min(), sizes.index.max()) == (row.r_min, row.r_max)
        assert [field_path(model, 64, layer, bound).r.iloc[-1] for bound in ("min", "max")] == [row.r_min, row.r_max]
        assert field_path(model, 64, layer).layer.iloc[-1] == layer


def test_the_place_in_the_image_by_hand():
    model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 1, 3, padding=1))
    assert field_place(model, 16, "0", (0, 0)) == Box(0, 0, 2, 2)  # from -1 to 2, cut off at the border
    assert field_place(model, 16, "0", (5, 8)) == Box(4, 7, 7, 10)
    assert field_place(model, 16, "2", (1, 2)) == Box(1, 3, 5, 7)  # pixels 2, 3 and 4, 5, and one more around them
    assert field_place(model, 16, "3", (3, 3)) == Box(3, 3, 11, 11)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    field_place(model, (16, 8), "3")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_in_the_middle_of_a_large_image_a_place_sees_r_max():
    model = meta("resnet18", width=1 / 16)
    table = receptive_fields(model, 256).set_index("layer")
    for layer in ("conv1", "layer1.1.conv2", "layer2.0.conv2"):
        box = field_place(model, 256, layer)
        assert (box.bottom - box.top, box.right - box.left) == (table.r_max[layer],) * 2


def test_places_and_layers_that_are_none_are_named():
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 36, 2))
    with pytest.raises(ValueError, match="a place on a map of 6x6, got"):
        field_place(model, 8, "0", (6, 0))
    with pytest.raises(ValueError, match=r"answers with a map \[N, C, H, W\], got '2'"):
        field_place(model, 8, "2")
    for call in (field_place, field_sizes, field_path):
        with pytest.raises(ValueError, match="unknown layer '9'"):
            call(model, 8, "9")


def test_overlay_draws_a_frame_for_each_layer():
    _, ax = plt.subplots()
    overlay(torch.zeros(3, 16, 16, dtype=torch.uint8), {"conv 1": Box(4, 7, 7, 10), "conv 2": Box(0, 0, 16, 16)}, ax)
    frame = ax.patches[0]
    assert (frame.get_x(), frame.get_y(), frame.get_width(), frame.get_height()) == (6.5, 3.5, 3, 3)
    assert [text.get_text() for text in ax.get_legend().texts] == ["conv 1: 3x3", "conv 2: 16x16"]


def test_sizes_that_depend_on_the_place_are_bounds():
    exact = receptive_fields(meta("resnet18"), 64)
    assert exact.exact.all()
    uneven = nn.Sequential(nn.Conv2d(3, 3, 3), nn.AdaptiveAvgPool2d(4), nn.Conv2d(3, 3, 3))  # of 7 places 2 or 3
    assert receptive_fields(uneven, 9).exact.tolist() == [True, False, False]
    even = nn.Sequential(nn.Conv2d(3, 3, 3), nn.AdaptiveAvgPool2d(3), nn.Conv2d(3, 3, 3))
    assert receptive_fields(even, 8).exact.tolist() == [True, True, True]


@pytest.mark.parametrize("name, options", [("vgg16", {}), ("resnet18", {}), ("mpnet18", {})])
def test_the_range_of_resolutions(name, options):
    """Below it a layer is idle, above it none sees the whole image; VGG16's by hand: 164 of the input, 196."""
    table = receptive_fields(meta(name, **options), 64)
    (height, width), largest = input_resolution_range(table)
    assert border_layer(table, (height, width)) is None and border_layer(table, height - 1)
    assert largest == (table[table.conv.notna()].r_max.max(),) * 2
    if name == "vgg16":
        assert ((height, width), largest) == ((164, 164), (196, 196))

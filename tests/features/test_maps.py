"""Layers read as maps: tokens as the grid that they come from, sequences along their length, features that come
last."""

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from rrahelpers.base.torchvision import torchvision
from rrahelpers.class_similarity import class_similarity, classrepsim, scale_graphs
from rrahelpers.eigenspace import SaturationTracker, covariances, project
from rrahelpers.features import analysed_layers, each_layer, extract
from rrahelpers.features.layers import readings
from rrahelpers.features.pooled import each_pooled_layer
from rrahelpers.neighbors import knn_graph
from rrahelpers.probes import fit_probe, probe_layers

pytestmark = pytest.mark.usefixtures("one_thread")


def image_set(n=24, size=32):
    images, labels = torch.randn(n, 3, size, size), torch.arange(n) % 3
    return images + torch.eye(3)[labels].view(n, 3, 1, 1) * 0.3, labels


def answer(model, layer, images):
    """What a hook sees, by hand."""
    kept = []
    hook = model.get_submodule(layer).register_forward_hook(lambda _module, _input, output: kept.append(output.clone()))
    with torch.no_grad():
        model.eval()(images)
    hook.remove()
    return kept[0]


class Tokens(nn.Module):
    """A transformer's frame: patches by a convolution or by unfolding, tokens in front, one block."""

    def __init__(self, patch, prefix=1, convolution=True):
        super().__init__()
        self.patch, dim = patch, 12 if convolution else 3 * patch[0] * patch[1]
        self.conv, self.front = nn.Conv2d(3, dim, patch,
                                          patch) if convolution else None, nn.Parameter(torch.randn(1, prefix, dim))
        self.embed, self.block = nn.Linear(dim, 12), nn.TransformerEncoderLayer(12, 1, 8, batch_first=True,
                                                                                norm_first=True)

    def forward(self, x):
        x = nn.functional.unfold(x, self.patch, stride=self.patch) if self.conv is None else self.conv(x).flatten(2)
        return self.block(self.embed(torch.cat([self.front.expand(len(x), -1, -1), x.transpose(1, 2)], 1)))[:, 0]


def test_scales_of_a_vision_transformer_are_those_of_its_grid():
    torch.manual_seed(0)
    (images, labels), layer = image_set(), "encoder.layers.encoder_layer_0"
    model = torchvision.models.VisionTransformer(32, 8, 2, 2, 24, 48)
    table = classrepsim(model, images, labels, layers=[layer], k=5, progress=False).set_index("scale")
    maps = answer(model, layer, images)[:, 1:].transpose(1, 2).reshape(24, 24, 4, 4)
    for scale, window in (("1", 1), ("2", 2), ("4", 4), ("global", 4)):
        expected = class_similarity(knn_graph(avg_pool2d(maps, window).flatten(1), 5), labels)
        assert table.value[scale] == pytest.approx(expected) and table.side[scale] == 4 // window
    assert torch.equal(dict(each_layer(model, images, [layer]))[layer], maps)
    (sizes, (pooled,)), = dict(each_pooled_layer(model, [images], [layer], [2]))[layer].items()
    torch.testing.assert_close(pooled, avg_pool2d(maps, 2))
    assert extract(model, images, [layer])[layer].shape == (24, 17, 24)  # what the layer answers, tokens and all


def test_probes_of_tokens_are_on_pooled_places():
    torch.manual_seed(0)
    (x, y), layer = image_set(60), "block"
    model = Tokens((4, 4))
    table = probe_layers(model, x, y, x, y, [layer], sizes=(1, 4), progress=False)
    maps = answer(model, layer, x)[:, 1:].transpose(1, 2).reshape(60, 12, 8, 8)
    assert table.features.tolist() == [12, 12 * 16]
    assert table.value[0] == fit_probe(maps.mean((2, 3)), y, maps.mean((2, 3)), y).accuracy


@pytest.mark.parametrize("convolution", [True, False])
@pytest.mark.parametrize("prefix", [0, 1, 2, 5])
@pytest.mark.parametrize("size, patch, grid",
                         [((32, 32), (8, 8), (4, 4)), ((32, 32), (16, 16), (2, 2)), ((24, 48), (8, 8), (3, 6)),
                          ((32, 16), (16, 16), (2, 1))])
def test_grids_are_found_behind_any_prefix(size, patch, grid, prefix, convolution):
    images = torch.randn(2, 3, *size)
    model = Tokens(patch, prefix, convolution)
    for layer in ("embed", "block"):
        found = readings(model, images, [layer])[layer]
        if convolution or prefix == 1 and grid != (2, 1):
            assert found.grid == grid
            assert torch.equal(found.map(answer(model, layer, images)),
                               answer(model, layer, images)[:, prefix:].transpose(1, 2).reshape(2, -1, *grid))
        assert readings(model, images, [layer], grid=grid)[layer].grid == grid
        assert readings(model, images, [layer], grid={layer: grid})[layer].grid == grid


def test_tokens_that_are_no_grid_are_refused_by_name_and_left_out_of_the_default():
    class Dropped(Tokens):
        def forward(self, x):
            return self.block(self.embed(self.conv(x).flatten(2).transpose(1, 2)[:, :40])).mean(1)

    model, images = Dropped((4, 4)), torch.randn(6, 3, 32, 32)
    with pytest.raises(ValueError,
                       match=r"embed answers \[N, 40, 12\], and 40 tokens don't end in a grid of maps of 32 x 32 or 8 "
                             r"x 8; "
                                         r"say it with grid=\{'embed': .height, width.\}, or .40,. for a sequence"):
        next(scale_graphs(model, images, layers=["embed"], k=2, progress=False))
    with (pytest.warns(UserWarning, match="can't be read as maps: embed answers"),
          pytest.warns(UserWarning, match="self_attn.out_proj")):
        assert "embed" not in analysed_layers(model, images)
    (graph,) = scale_graphs(model, images, layers=["embed"], scales=["global"], k=2, progress=False, grid=(40,))
    assert torch.equal(graph.graph.indices, knn_graph(answer(model, "embed", images).mean(1), 2).indices)
    with pytest.raises(ValueError, match=r"grid of \['nowhere'\]; expected layers among embed"):
        readings(model, images, ["embed"], grid={"nowhere": (4, 4)})
    with pytest.raises(ValueError, match=r"40 tokens don't end in a grid of \(8, 8\)"):
        readings(model, images, ["embed"], grid=(8, 8))


@pytest.mark.parametrize("grid", [(4, 8), (2, 16)])
def test_the_grid_of_tokens_is_not_that_of_the_maps_beside_them(grid):
    images, labels = image_set()
    model = Tokens((8, 4))  # 4 x 8 places
    options = {"layers": ["input", "conv", "embed"], "k": 3, "scales": (1, "global"), "progress": False}
    table = classrepsim(model, images, labels, grid=grid, **options)
    side = {"input": 32, "conv": 4, "embed": grid[0]}
    assert table[table.scale == "1"].set_index("layer").side.to_dict() == side
    pd.testing.assert_frame_equal(table[table.layer != "embed"],
                                  classrepsim(model, images, labels, **options).query("layer != 'embed'"))


@pytest.mark.parametrize("grid", [5, "44", (), (0, 4), (4.0, 8), (True, 32), (4, 4, 2), {"embed": "a"}])
def test_what_is_no_grid_is_refused(grid):
    with pytest.raises(ValueError, match=r"expected a grid \(height, width\) or \(length,\) of tokens, got"):
        readings(Tokens((8, 4)), image_set()[0], ["embed"], grid=grid)


def test_an_axis_for_all_layers_is_refused():
    with pytest.raises(TypeError, match="expected axis={layer: 1 or -1}, got 1"):
        readings(Tokens((8, 4)), image_set()[0], ["embed"], axis=1)


def test_merged_tokens_are_the_grid_that_is_left():
    class Merged(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.merge = nn.Conv2d(3, 4, 4, 4), nn.Linear(16, 8)

        def forward(self, x):
            x = self.conv(x).permute(0, 2, 3, 1)
            return self.merge(torch.cat([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], -1).flatten(1, 2)).mean(1)

    assert readings(Merged(), torch.randn(2, 3, 32, 64), ["merge"])["merge"].grid == (4, 8)


def test_a_sequence_is_read_in_one_dimension():
    class Wave(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.pool = nn.Conv1d(2, 8, 4, 4), nn.MaxPool1d(3)
            self.block = nn.TransformerEncoderLayer(8, 1, 8, batch_first=True)

        def forward(self, x):
            x = self.conv(x)
            self.pool(x)
            return self.block(torch.cat([x[..., :1], x], 2).mT)[:, 0]

    model, signals = Wave(), torch.randn(4, 2, 64)
    found = {name: reading.example.shape[1:]
             for name, reading in readings(model, signals, ["input", "conv", "pool", "block"]).items()}
    assert found == {"input": (2, 64), "conv": (8, 16), "pool": (8, 5), "block": (8, 16)}
    for layer in ("conv", "pool"):  # a block's and an activation's features, once taken to be last
        assert covariances(model, signals, [layer])[layer].dim == 8


def test_swin_and_convnext_are_told_apart_where_all_sides_are_equal():
    torch.manual_seed(0)
    swin = torchvision.models.SwinTransformer([4, 4], 8, [1, 1], [2, 2], [4, 4], num_classes=5)
    block = torchvision.models.convnext.CNBlockConfig
    convnext = torchvision.models.convnext.ConvNeXt([block(8, 16, 1), block(16, None, 1)], num_classes=5)
    images = torch.randn(4, 3, 32, 32)
    for model, layers in ((swin,
                           {"features.0": 3, "features.1.0": 3, "features.1": 3, "features.1.0.mlp.1": 3,
                            "features.0.0": 1}),
                          (convnext, {"features.1.0": 1, "features.1": 1, "features.1.0.block.1": 3,
                                      "features.1.0.block.4": 3})):
        found = extract(model, images, list(layers))
        seen = covariances(model, images, list(layers))
        with project(model, 0.9, seen):
            model.eval()(images)
        for layer, axis in layers.items():
            expected = answer(model, layer, images).movedim(axis, 1)
            assert expected.shape[2:] == (8, 8)
            torch.testing.assert_close(found[layer], expected)
            rows = expected.movedim(1, -1).flatten(0, 2).double()
            torch.testing.assert_close(seen[layer].matrix(), torch.cov(rows.T, correction=0), atol=1e-5, rtol=1e-4)


def test_blocks_are_followed_while_a_network_trains():
    model = torchvision.models.SwinTransformer([4, 4], 8, [1, 1], [2, 2], [4, 4], num_classes=5)
    with SaturationTracker(model, ["features.1", "features.3.0"]) as tracker:
        for _ in range(2):
            model(torch.randn(3, 3, 32, 32)).logsumexp(1).sum().backward()
    assert tracker.table.features.tolist() == [8,
                                               16] and tracker.table.observations.tolist() == [2 * 3 * 64, 2 * 3 * 16]


def test_layers_that_nothing_tells_of_need_a_word():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.act, self.fc = nn.Conv2d(3, 4, 1), nn.Identity(), nn.Linear(1, 2)

        def forward(self, x):
            return self.fc(self.act(torch.einsum("nchw->nhwc", self.conv(x)).sin()).mean((1, 2, 3))[:, None])

    model, images = Odd(), torch.randn(6, 3, 8, 8)
    with pytest.raises(ValueError,
                       match=r"act answers \[N, 8, 8, 4\], and nothing tells which axis .* axis=\{'act': 1\}, or -1 "
                             r"for the last"):
        list(each_layer(model, images, ["act"]))
    with pytest.raises(ValueError, match="'act'.*nothing tells"):
        covariances(model, images, ["act"])
    with pytest.raises(ValueError, match="'act'.*nothing tells"), SaturationTracker(model, ["act"]):
        model(images)
    assert covariances(model, images, ["act"], axis={"act": -1})["act"].dim == 4
    for measure in (covariances, readings):
        for axis in ({"fc": -1}, {"act": 2}):
            with pytest.raises(ValueError, match=r"expected axis=.layer: 1 or -1. of layers among act; got"):
                measure(model, images, ["act"], axis=axis)
    (graph,) = scale_graphs(model, images, layers=["act"], scales=["global"], k=2, progress=False, axis={"act": -1})
    assert torch.equal(graph.graph.indices, knn_graph(answer(model, "act", images).mean((1, 2)), 2).indices)
    assert not model._forward_hooks and not model._forward_pre_hooks


def test_windows_on_axes_of_their_own_are_no_map():
    class Windows(nn.Sequential):
        def forward(self, x):
            return super().forward(x.permute(0, 2, 3, 1).unflatten(2, (2, 4)).unflatten(1, (2, 4)).transpose(2, 3))

    with pytest.raises(ValueError, match=r"0 answers \[N, 2, 2, 4, 4, 5\]; expected one to three axes of places"):
        readings(Windows(nn.Linear(3, 5)), torch.randn(2, 3, 8, 8), ["0"])


def test_the_follower_leaves_with_an_error():
    class Fails(nn.Sequential):
        def forward(self, x):
            super().forward(x)
            raise ArithmeticError

    model = Fails(nn.Conv2d(3, 4, 1), nn.ReLU())
    with pytest.raises(ArithmeticError):
        covariances(model, torch.randn(2, 3, 4, 4), ["1"])
    assert not torch.overrides._get_current_function_mode_stack()

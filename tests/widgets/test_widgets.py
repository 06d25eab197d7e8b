"""The explorers' drawing functions, and that a slider's move draws anew."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")
import ipywidgets
import matplotlib.pyplot as plt
import pytest
import torch

from rrahelpers import complexity, data, models, separation, widgets
from rrahelpers.class_similarity import class_similarity, classrepsim
from rrahelpers.neighbors import KNNGraph
from rrahelpers.study import published
from rrahelpers.training import runs


@pytest.fixture
def run():
    """A network with random weights where an explorer expects a run."""
    torch.manual_seed(0)
    model = models.build("resnet20", in_channels=1, width=0.5).eval()
    return SimpleNamespace(model=lambda: model, preprocess=lambda images: runs.normalise(images, [0.3], [0.4]))


@pytest.fixture
def image_set():
    return data.load("digits", "test", limit=40, image_size=32)


def test_the_view_shows_what_classrepsim_measures(run, image_set):
    view = widgets.class_similarity_view(run, image_set, samples=30, k=8)
    table = classrepsim(run.model(), run.preprocess(image_set.images[:30]), image_set.labels[:30], k=5, progress=False)
    for scale in ("2", "global"):
        expected = table[table.scale == scale].value.tolist()
        curves = view.curves(5)
        assert curves[curves.scale == scale].value.tolist() == pytest.approx(expected)


def test_draw_marks_the_layer_and_shows_the_query_with_its_neighbours(run, image_set):
    view = widgets.class_similarity_view(run, image_set, samples=30, k=8)
    curve, gallery = view.draw("stages.1.0", "4", 3, query=7)
    g = view.graphs["stages.1.0", "4"].graph
    value = class_similarity(KNNGraph(g.indices[:, :3], g.distances[:, :3]), image_set.labels[:30])
    assert f"CS = {value:.3f}" in curve.axes[0].get_title()
    shown = [ax.images[0].get_array() for ax in gallery.axes if ax.images]
    expected = [image_set.images[i, 0].numpy() for i in [7, *g.indices[7, :3].tolist()]]
    assert len(shown) == 4
    assert all((a == b).all() for a, b in zip(shown, expected))


def test_a_click_on_a_point_chooses_its_layer_and_scale_and_draws_once(run, image_set, monkeypatch):
    explorer = widgets.class_similarity_explorer(run, image_set, samples=30, k=8)
    curve, _ = explorer.draw("stem", "2", 8, 0)
    places = explorer.points(curve, k=8)
    value = classrepsim(run.model(), run.preprocess(image_set.images[:30]), image_set.labels[:30], k=8, progress=False)
    axes = curve.axes[0].get_window_extent()
    for place, row in zip(places.itertuples(), value.itertuples()):
        assert (place.layer, place.scale) == (row.layer, row.scale)
        low, high = curve.axes[0].get_ylim()
        assert place.y * curve.bbox.height == pytest.approx(axes.y0 + axes.height * (row.value - low) / (high - low))
    drawn = []
    monkeypatch.setattr(explorer, "draw", lambda **values: drawn.append(values) or [])
    point = next(button for button in explorer.picture.buttons.values() if button.tooltip == "layer fc, scale global")
    point.click()
    assert drawn == [{"layer": "fc", "scale": "global", "k": 8, "query": 0}]
    assert explorer.controls["layer"].value == "fc"
    plt.close("all")


def test_a_scale_that_does_not_divide_a_layers_map_is_told():
    image_set = data.load("digits", "test", limit=12, image_size=28)
    torch.manual_seed(0)
    model = models.build("resnet20", in_channels=1, width=0.25, depth=0.34).eval()
    run = SimpleNamespace(model=lambda: model, preprocess=lambda images: runs.normalise(images, [0.3], [0.4]))
    with pytest.warns(UserWarning, match="left out pooling windows"):
        view = widgets.class_similarity_view(run, image_set, samples=12, k=3)
    layers, scales = (list(dict.fromkeys(key[i] for key in view.graphs)) for i in (0, 1))
    drawn = {}
    for place in ((layer, scale) for layer in layers for scale in scales):
        drawn[place] = len(view.draw(*place, 3, query=0))
        plt.close("all")
    assert drawn["input", "8"] == 1 and drawn["input", "4"] == 2  # 28 is 7 times 4
    assert {places for places, figures in drawn.items() if figures == 2} == set(view.graphs)
    curve, = view.draw("input", "8", 3, query=0)
    assert curve.axes[0].get_title() == "input: its map can't be pooled by 8"


def test_the_images_whose_neighbours_change_most(run, image_set):
    view = widgets.neighbour_change_view(run, image_set, samples=30, k=8)
    figure, = view.draw("stem", "fc", 4, "cosine", rows=2)
    sets = [[set(row) for row in view.graphs[layer, "cosine"].indices[:, :4].tolist()] for layer in ("stem", "fc")]
    kept = [len(a & b) for a, b in zip(*sets)]
    assert f"{sum(kept) / 120:.3f}" in figure.get_suptitle()
    queries = [figure.axes[9 * row].images[0].get_array() for row in (0, 1)]
    first = sorted(range(30), key=lambda i: (kept[i], i))[:2]
    assert all((shown == image_set.images[i, 0].numpy()).all() for shown, i in zip(queries, first))


def test_the_separation_of_a_layer_and_the_radii_of_its_test_images():
    torch.manual_seed(0)
    model = models.build("resnet20", in_channels=1, width=0.25, depth=0.34).eval()
    run = SimpleNamespace(model=lambda: model, preprocess=lambda images: runs.normalise(images, [0.3], [0.4]),
                          images=lambda split, limit=None, **_: data.load("digits", split, limit=limit))
    view = widgets.separation_view(run, samples=60, orders=3)
    figure, = view.draw("pool", 2, 0.5)
    graph = view.graphs["pool"]
    per_class = separation.separation_by_class(graph, view.labels, 2).value
    assert [bar.get_height() for bar in figure.axes[0].patches] == pytest.approx(per_class.tolist())
    known = view.margins["pool"]
    radius = (known.between - known.within) / 2
    assert f"{(radius > radius.max() / 2).double().mean().item():.0%} beyond γ" in figure.axes[1].get_title()


def test_moving_a_slider_draws_again():
    drawn = []

    def draw(n, q):
        drawn.append((n, q))
        return [plt.figure()]

    controls = {"n": ipywidgets.IntSlider(1, 0, 5), "q": ipywidgets.IntSlider(2, 0, 5)}
    explorer = widgets.Explorer(draw, controls)
    controls["n"].value = 4
    assert drawn == [(1, 2), (4, 2)]
    assert "explorer.draw(n=4, q=2)" in explorer.call.value and "<progress>" not in explorer.call.value
    eval("explorer.draw(n=4, q=2)")
    assert drawn[-1] == (4, 2)


def test_prediction_figure_shows_the_five_likeliest_classes(run, image_set):
    fig = widgets.prediction_figure(run.model(), run, image_set, 3)
    probabilities = run.model()(run.preprocess(image_set.images[3:4])).softmax(1)[0].detach()
    widths = [bar.get_width() for bar in fig.axes[1].patches]
    assert widths == pytest.approx(sorted(probabilities.tolist(), reverse=True)[:5])


def test_stac_costs_are_counted_and_the_reach_is_the_formulas():
    counted, table = widgets.stac_costs([8, 2, None], kernels=(3, 1))
    model = models.build("resnet20", attention="stac", window=[8, 2, 8], stages=[1, 2], kernels=(3, 1))
    assert counted == complexity.count(model, (3, 32, 32))
    assert table.condensed.tolist() == [4, 8, 0]
    assert table.places.tolist() == [24, 6, 0]  # window (3 + 1 - 1)
    assert table.pixels.tolist() == [24, 12, 0]  # strides 1, 2, 4
    _, whole = widgets.stac_costs(["global", 16, 8])
    assert whole.pixels.tolist() == [32, 32, 32]


def test_stac_costs_reproduce_the_printed_default():
    counted, _ = widgets.stac_costs([8, 8, 8])
    assert published.as_printed(counted.flops, "1.0M") == "42.3M"
    assert published.as_printed(counted.params, "1K") == "563K"


def test_stac_figure_tells_the_accuracy_of_the_network_that_is_meant():
    trained = [SimpleNamespace(config=SimpleNamespace(model="resnet20", options={"attention": "stac"}, data="digits"),
                               accuracy=a)
               for a in (0.8, 0.9)]
    assert widgets.stac_figure([8, 8, 8], runs=trained).axes[0].get_title() == "top-1: 85.0 % (2 seeds)"
    assert widgets.stac_figure([8, 8, 4], runs=trained).axes[0].get_title() == "top-1: not trained"
    assert "kernels 3, 1; post placement" in widgets.stac_figure([8, 8, 8], (3, 1), "post").axes[0].get_xlabel()
    other = widgets.stac_figure([8] * 4, runs=trained, model="resnet34", image_size=64)
    assert other.axes[0].get_title() == "top-1: not trained"
    elsewhere = SimpleNamespace(config=SimpleNamespace(model="resnet20", options={}, data="mnist"), accuracy=1)
    with pytest.raises(ValueError, match="one data set, got digits, mnist"):
        widgets.stac_figure([8, 8, 8], runs=[*trained, elsewhere])


@pytest.mark.parametrize("windows, model, message", [
    ([8, 8, 8], "resnet34", r"expected 4 windows, one for each stage of resnet34, got \[8, 8, 8\]"),
    ([8, 8, 8, 8], "resnet20", "expected 3 windows"),
    ([4, 4, 2, 1], "resnet18", "expected one of the STAC paper's networks, resnet20 or resnet34, got 'resnet18'"),
])
def test_stac_costs_refuses_what_its_geometry_is_not(windows, model, message):
    with pytest.raises(ValueError, match=message):
        widgets.stac_costs(windows, model=model)


def test_the_stac_explorer_offers_windows_that_fit():
    widgets.stac_explorer(image_size=28)  # whose last map has no window of 8
    explorer = widgets.stac_explorer()
    stages = [control for name, control in explorer.controls.items() if name.startswith("stage")]
    assert [[value for _, value in stage.options] for stage in stages] == [
        [None, 1, 2, 4, 8, 16, 32, "global"], [None, 1, 2, 4, 8, 16, "global"], [None, 1, 2, 4, 8, "global"]]

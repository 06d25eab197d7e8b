"""A report: every column equals the single call; what can't be told is missing, with a reason, and loses nothing
else."""

import math
import pickle
import warnings
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import rrahelpers
from rrahelpers import complexity
from rrahelpers.advisor import advise, propose
from rrahelpers.class_similarity import chance_similarity, classrepsim, scale_graphs
from rrahelpers.data.folders import evenly
from rrahelpers.eigenspace import covariances, describe
from rrahelpers.features import extract
from rrahelpers.intrinsic_dimension import gride, two_nn
from rrahelpers.probes import probe_layers
from rrahelpers.report import analyse, cache
from rrahelpers.separation import separation_index
from rrahelpers.tails import find_tails
from rrahelpers.topology import nnts
from tests.report.networks import broken, images, network, same

pytestmark = pytest.mark.usefixtures("one_thread")
LAYERS = ["input", "0", "3", "6", "10"]


@pytest.fixture(scope="module")
def found():
    model, (x, labels) = network(), images()
    return model, x, labels, analyse(model, x, labels, k=5, progress=False)


def column(report, name, layers=LAYERS):
    return report.layers.set_index("layer").loc[layers, name].tolist()


def test_it_is_reached_from_the_package():
    assert rrahelpers.analyse is analyse


def test_layers_types_shapes_and_costs(found):
    model, x, _, report = found
    assert report.notes == []
    assert report.layers["layer"].tolist() == LAYERS and report.layers["index"].tolist() == [0, 1, 2, 3, 4]
    assert column(report, "type") == ["", "Conv2d", "Conv2d", "Conv2d", "Linear"]
    answers = extract(model, x, LAYERS)
    assert column(report, "shape") == ["x".join(map(str, answers[layer].shape[1:])) for layer in LAYERS]
    assert column(report, "activation") == [answers[layer][0].nbytes for layer in LAYERS]
    costs = complexity.per_layer(model, (3, 16, 16)).set_index("layer")
    assert column(report, "params", LAYERS[1:]) == costs.loc[LAYERS[1:], "params"].tolist()
    assert column(report, "flops", LAYERS[1:]) == costs.loc[LAYERS[1:], "flops"].tolist()


def test_receptive_fields_and_borders(found):
    model, _, _, report = found
    expected = advise(model, (3, 16, 16)).set_index("layer").loc[LAYERS[1:]]
    for name in ("path", "r_min", "r_max", "border", "productive"):
        assert column(report, name, LAYERS[1:]) == expected[name].tolist()
    assert "b_min" in expected.loc["10", "border"] or expected["productive"].all() or expected["border"].any()


def test_class_similarity_at_each_scale_and_the_best(found):
    model, x, labels, report = found
    table = classrepsim(model, x, labels, k=5, progress=False)
    for row in table.itertuples():
        assert report.layers.set_index("layer").loc[row.layer, f"class_similarity_{row.scale}"] == row.value
    pd.testing.assert_frame_equal(report.scales, table[["layer", "index", "scale", "value"]], check_dtype=False)
    best = table.loc[table.groupby("layer", sort=False)["value"].idxmax()].set_index("layer")
    assert column(report, "class_similarity") == best.loc[LAYERS, "value"].tolist()
    assert column(report, "best_scale") == best.loc[LAYERS, "scale"].tolist()


def test_columns_of_the_neighbour_graphs(found):
    model, x, labels, report = found
    graphs = {g.layer: g.graph for g in scale_graphs(model, x, scales=[1], k=5, progress=False)}
    assert column(report, "finest") == ["1"] * 5
    assert column(report, "separation_index") == [separation_index(graphs[layer], labels) for layer in LAYERS]
    assert column(report, "intrinsic_dimension") == [two_nn(graphs[layer]).dimension for layer in LAYERS]
    for layer in LAYERS:
        own = report.dimensions[report.dimensions["layer"] == layer].drop(columns=["layer", "index"])
        pd.testing.assert_frame_equal(own.reset_index(drop=True), gride(graphs[layer]))
    assert report.dimensions["layer"].unique().tolist() == LAYERS and set(report.dimensions["n2"]) == {2, 4}
    assert column(report, "nnts_input") == [nnts(graphs[layer], graphs["input"]) for layer in LAYERS]
    assert column(report, "nnts_output") == [nnts(graphs[layer], graphs["10"]) for layer in LAYERS]
    assert column(report, "nnts_before")[1:] == [nnts(graphs[b], graphs[a]) for a, b in zip(LAYERS, LAYERS[1:])]
    assert math.isnan(column(report, "nnts_before")[0])
    pairs = report.pairs.set_index(["i", "j"]).value
    assert pairs[1, 3] == nnts(graphs["0"], graphs["6"]) and len(pairs) == 25


def test_chance_is_told_and_unbalanced_classes_are_noted(found):
    model, x, labels, report = found
    assert "32.2% by chance" in report.summary()  # 20 * 19 * 3 / (60 * 59)
    odd = labels.clone()
    odd[:30] = 0
    unbalanced = analyse(model, x, odd, k=5, layers=["0"], probes=False, progress=False)
    (note,) = [note for note in unbalanced.notes if "by chance" in note]
    assert f"classes have 10 to 40 images, and {chance_similarity(odd):.1%}" in note
    assert not any("by chance" in note for note in report.notes)


def test_saturation_and_tails(found):
    model, x, _, report = found
    expected = [describe(c)["saturation"] for c in covariances(model, x).values()]
    assert column(report, "saturation", LAYERS[1:]) == expected and math.isnan(column(report, "saturation")[0])
    assert find_tails(expected).empty == (not any(column(report, "in_tail", LAYERS[1:])))


def test_probes_on_two_halves(found):
    model, x, labels, report = found
    fit = torch.tensor([i for i in range(60) if (i // 3) % 2 == 0])  # labels in turn: every second image of each class
    score = torch.tensor([i for i in range(60) if (i // 3) % 2 == 1])
    table = probe_layers(model, x[fit], labels[fit], x[score], labels[score], layers=LAYERS, sizes=[4], progress=False)
    assert column(report, "probe") == pytest.approx(table["value"].tolist())
    assert column(report, "probe_train") == pytest.approx(table["train"].tolist())


def test_probes_on_a_test_set():
    model, (x, labels), (y, others) = network(), images(), images(30)
    report = analyse(model, x, labels, test=y, test_labels=others, k=5, progress=False)
    table = probe_layers(model, x, labels, y, others, layers=LAYERS, sizes=[4], progress=False)
    assert column(report, "probe") == pytest.approx(table["value"].tolist())
    assert report.about["test"] == {"data": "Tensor", "images": 30}


def test_the_networks_own_accuracy_and_the_advice(found):
    model, x, labels, report = found
    with torch.no_grad():
        assert report.about["accuracy"] == (model.eval()(x).argmax(1) == labels).double().mean().item()
    saturations = report.layers.dropna(subset="saturation").set_index("layer")["saturation"]
    pd.testing.assert_frame_equal(report.advice, propose(model, (3, 16, 16), saturations))


def test_the_model_stays_as_it_was_and_memory_does_not_matter(found):
    model, x, labels, report = found
    model.train()
    again = analyse(model, x, labels, k=5, memory=2**17, disk=0, progress=False)  # a pass for each layer
    assert model.training and not any(module._forward_hooks for module in model.modules())
    pd.testing.assert_frame_equal(again.layers, report.layers)


class Elsewhere:
    """An executor that runs each job at once, from bytes to bytes."""

    def __init__(self):
        self.jobs, self.answers = [], []

    def submit(self, *job):
        self.jobs.append(pickle.dumps(job))
        function, *given = pickle.loads(self.jobs[-1])
        self.answers.append(pickle.dumps(function(*given)))
        done = Future()
        done.set_result(pickle.loads(self.answers[-1]))
        return done


@pytest.mark.parametrize("options", [{}, {"memory": 2**17, "disk": 0}, {"memory": 2**17}, {"probes": False},
                                     {"test": images(30)[0], "test_labels": images(30)[1]}],
                         ids=["all", "a pass for each layer", "cache", "no probes", "test set"])
def test_layers_on_an_executor(options):
    model, (x, labels), executor = broken(), images(), Elsewhere()
    report = analyse(model, x, labels, k=5, progress=False, executor=executor, **options)
    cache.empty()
    alone = analyse(model, x, labels, k=5, progress=False, **options)
    assert len(executor.jobs) == 5 and any(note.startswith("neighbours, 6: ") for note in report.notes)
    assert not any(b"torch.storage" in sent for sent in executor.jobs + executor.answers)  # nor by shared memory
    same(report, alone)


def test_layers_on_threads_which_share_their_warnings():
    model, (x, labels), filters = broken(), images(), list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        report = analyse(model, x, labels, k=5, progress=False, executor=pool)
    assert warnings.filters == filters
    same(report, analyse(model, x, labels, k=5, progress=False))


def test_features_with_an_executor_stay_within_the_memory(found):
    """Jobs that wait are asked for before others are sent; those that are done are taken at once."""
    model, x, labels, report = found
    waiting, most = [], []

    class Lazy(Elsewhere):
        def submit(self, *job):
            future, done = Future(), super().submit(*job)
            future.result = lambda: (waiting.remove(future), done.result())[1]
            waiting.append(future)
            most.append(len(waiting))
            return future

    for memory, expected in ((2**30, [1, 2, 3, 4, 5]), (2**17, [1] * 5)):
        most.clear()
        again = analyse(model, x, labels, k=5, progress=False, executor=Lazy(), memory=memory, disk=0)
        assert most == expected and not waiting
        pd.testing.assert_frame_equal(again.layers, report.layers)


def test_half_precision_on_an_executor():
    model, (x, labels) = network().bfloat16(), images()
    report, alone = (analyse(model, x.bfloat16(), labels, k=3, progress=False, executor=one)
                     for one in (Elsewhere(), None))
    same(report, alone)


@pytest.mark.parametrize("wrap", [
    lambda x, y: DataLoader(TensorDataset(x, y), 16), lambda x, y: TensorDataset(x, y), lambda x, y: (x, y),
    lambda x, y: [(x[:40], y[:40]), {"pixel_values": x[40:], "labels": y[40:]}],
    lambda x, y: iter([(x[:40], y[:40]), (x[40:], y[40:])]), lambda x, y: {"images": x.numpy(), "labels": y.numpy()},
], ids=["loader", "dataset", "pair", "batches", "iterator", "dict"])
def test_data_in_other_forms(found, wrap):
    model, x, labels, report = found
    again = analyse(model, wrap(x, labels), k=5, progress=False)
    pd.testing.assert_frame_equal(again.layers, report.layers, rtol=1e-6)
    assert again.about["digest"] == report.about["digest"]


def test_some_of_the_images_evenly_spread(found):
    model, x, labels, _ = found
    some = evenly(60, 20)
    assert len(labels[some].unique()) == 3
    expected = analyse(model, x[some], labels[some], k=5, progress=False, probes=False)
    for data in ((x, labels), DataLoader(TensorDataset(x, labels), 16)):
        report = analyse(model, data, k=5, samples=20, progress=False, probes=False)
        pd.testing.assert_frame_equal(report.layers, expected.layers, rtol=1e-4)


def test_without_labels_stays_what_needs_none(found):
    model, x, _, report = found
    alone = analyse(model, x, k=5, progress=False)
    needs = [name for name in report.layers if name.startswith(("class_similarity", "separation", "probe"))]
    same = [name for name in report.layers if name not in (*needs, "best_scale")]
    pd.testing.assert_frame_equal(alone.layers[same], report.layers[same])
    assert alone.layers[[name for name in needs if name in alone.layers]].isna().all(axis=None)
    assert any("there are no labels" in note for note in alone.notes)


def test_one_class(found):
    model, x, _, _ = found
    report = analyse(model, x, torch.zeros(60, dtype=torch.int64), k=5, progress=False)
    assert column(report, "class_similarity") == column(report, "separation_index") == [1] * 5
    assert report.layers["probe"].isna().all()
    assert any("two classes or more" in note for note in report.notes)
    assert any("by definition" in note for note in report.notes)


def test_saturation_of_more_features_than_observations_is_no_advice():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 100), nn.ReLU(), nn.Linear(100, 3))
    x, labels = torch.randn(101, 3, 4, 4), torch.arange(101) % 3
    few, enough = (analyse(model, x[:n], labels[:n], probes=False, progress=False) for n in (31, 101))
    (told,) = [note for note in few.notes if note.startswith("saturation: 1 layers have no more observations")]
    assert "(1: 30.0% at most)" in told and few.layers.saturation.max() <= 1
    assert few.layers.set_index("layer").saturation["1"] <= 0.3
    assert not any(note.startswith("saturation:") for note in enough.notes)


@pytest.mark.parametrize("count, missing", [(3, False), (2, True), (1, True)])
def test_few_images(found, count, missing):
    model, x, labels, _ = found
    report = analyse(model, x[:count], labels[:count], progress=False)
    assert report.layers["intrinsic_dimension"].isna().all() == missing
    assert report.about["k"] == count - 1 and column(report, "saturation", LAYERS[1:])[0] >= 0
    assert any(f"of {count} images each has {count - 1}" in note for note in report.notes)
    assert len(report.summary().splitlines()) == 5


class Opaque(nn.Module):
    """Its course depends on the values of the images, which no trace can follow; it answers with a dict."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        if x.std() == 0:
            raise ZeroDivisionError("an image without contrast")
        return {"logits": self.fc(torch.fft.fft2(self.conv(x)).abs().mean((2, 3)))}


def test_what_can_not_be_traced_loses_nothing_else(found):
    _, x, labels, _ = found
    report = analyse(Opaque(), x, labels, k=5, progress=False)
    assert report.layers["r_max"].isna().all() and report.layers["flops"].isna().all()
    assert any(note.startswith("receptive fields: ") for note in report.notes)
    assert column(report, "params", ["conv", "fc"]) == [112, 15]
    assert report.layers["class_similarity"].notna().all() and report.about["accuracy"] is not None


def test_a_layer_that_is_not_finite_loses_its_own_numbers_alone(found):
    _, x, labels, _ = found
    model = network()
    with torch.no_grad():
        model[3].weight[0, 0, 0, 0] = math.nan
    report = analyse(model, x, labels, k=5, progress=False)
    assert report.layers.set_index("layer")["separation_index"].notna().tolist() == [True, True, False, False, False]
    assert any(note.startswith("neighbours, 3: ") for note in report.notes)


def test_maps_of_many_places_are_searched_from_a_coarser_scale_on():
    x, labels = images(12, size=64)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1))
    report = analyse(model, x, labels, k=3, progress=False, probes=False)
    assert column(report, "finest", ["input", "0", "2"]) == ["2", "2", "1"]
    table = classrepsim(model, x, labels, k=3, scales=[2, 4, 8, "global"], progress=False)
    for row in table[table["layer"] == "0"].itertuples():
        assert report.layers.set_index("layer").loc["0", f"class_similarity_{row.scale}"] == pytest.approx(row.value)
    asked = analyse(model, x, labels, k=3, scales=[1], progress=False, probes=False)
    assert column(asked, "finest", ["input", "0", "2"]) == ["1"] * 3
    assert any("no more are searched (input and 1 more)" in note for note in report.notes)


def test_scales_that_do_not_divide_one_another():
    (x, labels), model = images(20, size=12), nn.Sequential(nn.Conv2d(3, 4, 3, padding=1))
    report = analyse(model, x, labels, k=3, scales=[3, 2], progress=False, probes=False)
    table = classrepsim(model, x, labels, k=3, scales=[3, 2], progress=False)
    assert report.scales["value"].tolist() == table["value"].tolist()
    assert column(report, "finest", ["input", "0"]) == ["2", "2"]


@pytest.mark.parametrize("options, error, words", [
    ({"k": 0}, ValueError, "expected k"), ({"layers": ["nowhere"]}, ValueError, "unknown layers"),
    ({"scales": [3]}, ValueError, "don't divide"), ({"samples": 0}, ValueError, "at least one image"),
    ({"image_size": 32}, ValueError, "image_size goes with"), ({"mean": [0.5]}, ValueError, "mean and std"),
    ({"labels": [0, 1]}, ValueError, "one label for each of 60"),
])
def test_what_can_not_be_asked_for(found, options, error, words):
    model, x, labels, _ = found
    with pytest.raises(error, match=words):
        analyse(model, x, **{"labels": labels, "progress": False, **options})


def test_bytes_are_normalised_and_told_so():
    model, (x, labels) = network(), images(20)
    pixels = ((x - x.min()) / (x.max() - x.min()) * 255).to(torch.uint8)
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
    expected = analyse(model, (pixels / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1),
                       labels, k=3, progress=False)
    for data in (pixels, pixels.numpy()):
        report = analyse(model, data, labels, k=3, mean=mean, std=std, progress=False)
        pd.testing.assert_frame_equal(report.layers, expected.layers, rtol=1e-4)
    assert (report.pictures.float() - pixels).abs().max() <= 1
    with pytest.warns(UserWarning, match=r"in \[0, 1\]; say it with mean= and std="):
        analyse(model, pixels, labels, k=3, progress=False)


def test_a_data_sets_name():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        report = analyse(network(1, 10), "digits", samples=50, probes=False, progress=False)
    images = rrahelpers.data.load("digits", "test").images
    assert report.about["data"] == "digits, test images" and report.about["images"] == 50
    assert np.array_equal(report.pictures, images[evenly(len(images), 50)])


@pytest.mark.parametrize("model, shape", [
    (nn.Sequential(nn.Conv1d(2, 4, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)), (2, 30)),
    (nn.Sequential(nn.Conv3d(2, 4, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 3)), (2, 6, 6, 6)),
    (nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)), (12,)),
], ids=["signals", "volumes", "rows of a table"])
@pytest.mark.filterwarnings("ignore:left out pooling windows")
def test_what_is_no_image(model, shape, tmp_path):
    x, labels = torch.randn(20, *shape), torch.arange(20) % 2
    report = analyse(model, x, labels, k=3, progress=False)
    last = report.layers.iloc[-1]
    assert last["class_similarity"] >= 0 and last["probe"] >= 0 and last["saturation"] > 0
    assert report.pictures is None and len(report.summary().splitlines()) == 5
    assert report.to_html(tmp_path / "report.html").is_file() and report.save(tmp_path / "kept")


def test_half_precision():
    model, (x, labels) = network().bfloat16(), images()
    report = analyse(model, x.bfloat16(), labels, k=3, progress=False)
    assert report.layers[["class_similarity", "saturation", "probe"]].drop(index=0).notna().all(axis=None)
    assert report.layers["activation"].tolist() == [2 * size for size in (768, 2048, 768, 768, 3)]


def test_channels_that_come_last_are_told():
    x, labels = images(20)
    last = x.permute(0, 2, 3, 1)
    for data in (last, (last * 10).to(torch.uint8)):
        with pytest.raises(ValueError, match=r"expected images \[N, C, H, W\], got \[.*16, 16, 3\]: their channels"):
            analyse(network(), data, labels, k=3, progress=False)


def test_floats_that_look_like_bytes_are_told():
    x, labels = images(20)
    with pytest.warns(UserWarning, match="numbers up to 255 and none below 0: they look like bytes"):
        analyse(network(), x.clamp(0, 1) * 255, labels, k=3, probes=False, progress=False)


def test_a_network_that_has_seen_no_images_looks_untrained():
    model, (x, labels) = network(), images(20)
    torch.nn.init.zeros_(model[4].running_mean)
    report = analyse(model, x, labels, k=3, probes=False, progress=False)
    assert sum("it looks untrained" in note for note in report.notes) == 1

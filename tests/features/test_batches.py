"""Every measure takes images in every form, streamed, and answers as it does for one tensor."""

import copy
import weakref

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from rrahelpers.class_similarity import classrepsim
from rrahelpers.eigenspace import covariances, projected_accuracies
from rrahelpers.features import analysed_layers, each_layer, extract
from rrahelpers.features.batches import Batches
from rrahelpers.features.layers import readings
from rrahelpers.probes import probe_layers

pytestmark = pytest.mark.usefixtures("one_thread")

N = 22
IMAGES = torch.randn(N, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(N) % 3
PAIRS = TensorDataset(IMAGES, LABELS)


def named(images, labels):
    return lambda samples: {images: torch.stack([x for x, _ in samples]), labels: torch.stack([y for _, y in samples])}


FORMS = {  # with labels
    "loader of pairs": lambda: DataLoader(PAIRS, 5),
    "loader of transformers' dicts": lambda: DataLoader(PAIRS, 5, collate_fn=named("pixel_values", "labels")),
    "loader of dicts": lambda: DataLoader(PAIRS, 5, collate_fn=named("image", "label")),
    "data set": lambda: PAIRS,
    "pair": lambda: (IMAGES, LABELS),
    "one batch of a loader": lambda: next(iter(DataLoader(PAIRS, N))),
    "dict of everything": lambda: {"x": IMAGES, "y": LABELS},
    "pair with a list": lambda: (IMAGES.numpy(), LABELS.tolist()),
    "list of two pairs": lambda: [(IMAGES[:12], LABELS[:12]), (IMAGES[12:], LABELS[12:])],
    "two dicts": lambda: tuple({"images": x, "y": y} for x, y in zip(IMAGES.split(11), LABELS.split(11))),
    "list of triples": lambda: [(IMAGES[i:i + 6].numpy(), LABELS[i:i + 6].tolist(), "paths") for i in range(0, N, 6)],
}
BARE = {  # without
    "tensor": lambda: IMAGES,
    "double array": lambda: IMAGES.double().numpy(),
    "tuple of batches": lambda: IMAGES.split(7),
    "list of two batches": lambda: [IMAGES[:12].double(), IMAGES[12:].double()],
    "loader of images": lambda: DataLoader(IMAGES, 4),
    "pairs without": lambda: [(part, None) for part in IMAGES.split(7)],
    "pairs with text": lambda: [(part, "text") for part in IMAGES.split(7)],
}


LAYERS = ["input", "0", "1", "3"]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def measures(network, images, labels, again=lambda images: images):
    """Every measure of the images; ``again`` gives them anew for each."""
    seen = covariances(network, again(images), ["0", "1"])
    tables = [classrepsim(network, again(images), labels, layers=LAYERS, scales=(1, 2), k=3, progress=False),
              probe_layers(network, again(images), labels, again(images), labels, LAYERS, C=0.01,
                           progress=False)[["layer", "value", "train"]],
              projected_accuracies(network, again(images), labels, seen, [0.8, 0.99], progress=False)]
    features = [extract(network, again(images), LAYERS, batch_size=5),
                dict(each_layer(network, again(images), LAYERS, memory=2000))]
    return tables, features, {name: covariance.matrix() for name, covariance in seen.items()}


@pytest.fixture(scope="module")
def expected(network):
    return measures(network, IMAGES, LABELS)


@pytest.mark.parametrize("form", {**FORMS, **BARE}.values(), ids={**FORMS, **BARE})
def test_every_measure_takes_every_form(network, expected, form):
    labels = None if form in FORMS.values() else LABELS
    tables, features, matrices = measures(network, form, labels, again=lambda images: images())
    for ours, table in zip(tables, expected[0]):
        pd.testing.assert_frame_equal(ours, table)
    for ours, others in zip(features, expected[1]):
        for name, x in others.items():
            torch.testing.assert_close(ours[name].float(), x)
    for name, matrix in expected[2].items():
        torch.testing.assert_close(matrices[name], matrix)
    assert analysed_layers(network, form()) == ["input", "0", "3"]


def test_streams_are_not_held_whole():
    held = []

    class Counted:
        def __iter__(self):
            for i in range(0, N, 2):
                batch = IMAGES[i:i + 2].numpy().copy()
                held.append(weakref.ref(batch))  # a tensor made of it keeps it
                assert sum(reference() is not None for reference in held) <= 3
                yield batch

    covariances(nn.Conv2d(3, 4, 3), Counted())
    assert len(held) == N // 2


def test_labels_come_with_the_images_or_are_given_and_checked(network):
    with pytest.raises(ValueError, match="expected labels, or batches of images and labels, got images alone"):
        classrepsim(network, IMAGES, scales=(1,), k=2, progress=False)
    with pytest.raises(ValueError,
                       match="expected the labels that come with the images, got others: 2 for 1 at image 1"):
        classrepsim(network, DataLoader(PAIRS, 5), (LABELS * 2) % 3, scales=(1,), k=2, progress=False)
    with pytest.raises(ValueError, match="one label for each of 22"):
        classrepsim(network, DataLoader(PAIRS, 5), LABELS[:4], scales=(1,), k=2, progress=False)
    with pytest.raises(TypeError, match="labels must be integers, got 'text'"):
        classrepsim(network, BARE["pairs with text"](), scales=(1,), k=2, progress=False)
    with pytest.raises(TypeError, match="labels must be integers, got torch.float32"):
        classrepsim(network, (IMAGES, LABELS.float()), scales=(1,), k=2, progress=False)


def test_what_comes_with_the_images_but_is_no_label_doesnt_matter(network):
    for other in (["a path"] * N, torch.zeros(N, 3), torch.zeros(N)):
        found = classrepsim(network, [(IMAGES, other)], LABELS, scales=(1,), k=2, progress=False)
        pd.testing.assert_frame_equal(found, classrepsim(network, IMAGES, LABELS, scales=(1,), k=2, progress=False))


def test_a_generator_serves_one_pass_and_another_is_refused(network):
    def generator():
        return (batch for batch in IMAGES.split(7))

    torch.testing.assert_close(covariances(network, generator())["0"].matrix(),
                               covariances(network, IMAGES)["0"].matrix())
    for layer in ("0", "1"):  # a sample is looked at first where the layer's kind doesn't tell its features' axis
        torch.testing.assert_close(extract(network, generator(), [layer])[layer],
                                   extract(network, IMAGES, [layer])[layer])
    for call in (lambda: analysed_layers(network, generator()), lambda: readings(network, generator(), ["0"]),
                 lambda: classrepsim(network, generator(), LABELS, scales=(1,), k=2, progress=False),
                 lambda: list(each_layer(network, generator(), ["0"])),
                 lambda: probe_layers(network, generator(), LABELS, IMAGES, LABELS, progress=False)):
        with pytest.raises(ValueError,
                           match="gone through several times, got an iterator .* give a list of batches or a "
                                 "DataLoader"):
            call()


def test_a_loader_that_shuffles_serves_one_pass(network):
    loader = DataLoader(PAIRS, 5, shuffle=True, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(covariances(network, loader)["0"].matrix(), covariances(network, IMAGES)["0"].matrix())
    with pytest.raises(ValueError, match="expected the same images at each pass, got others first; .*shuffle=False"):
        classrepsim(network, loader, scales=(1,), k=2, progress=False)


def test_a_batch_that_is_none_is_named(network):
    with pytest.raises(TypeError, match=r"float \[N, C, H, W\]: expected a tensor or a numpy array, got str"):
        covariances(network, [("cat.jpg", 1)])
    with pytest.raises(TypeError, match="got bytes"):
        covariances(network, IMAGES.byte().numpy())
    for measure in (lambda images: extract(network, images, ["0"]), lambda images: covariances(network, images),
                    lambda images: classrepsim(network, images, LABELS[:0], k=1)):
        for nothing in ([], IMAGES[:0]):
            with pytest.raises(ValueError, match="at least one image"):
                measure(nothing)


def test_batches_stay_what_they_are():
    found = Batches(DataLoader(PAIRS, 5))
    assert len(found) == N and torch.equal(found.labels, LABELS) and torch.equal(found.sample,
                                                                                 IMAGES[:2]) and found.whole is None
    assert [len(batch) for batch in found.split(100)] == [5, 5, 5, 5, 2]
    assert torch.equal(Batches(np.asarray(IMAGES)).whole, IMAGES)


@pytest.mark.parametrize(("side", "sizes"), [(32, [100, 100, 50]), (224, [27] * 9 + [7]), (2048, [1] * 250)])
def test_large_images_come_in_smaller_batches(side, sizes):
    images = torch.zeros(()).expand(250, 3, side, side)
    assert [len(batch) for batch in Batches(images).split()] == sizes


@pytest.mark.parametrize("size", [0, -1, 2.5, "all", True])
def test_impossible_sizes_of_batches(network, size):
    with pytest.raises(ValueError, match="expected batch_size to be a positive whole number, got"):
        extract(network, IMAGES, ["0"], batch_size=size)


def test_images_of_two_sizes_are_refused_where_they_are_a_layer_too(network):
    with pytest.raises(ValueError, match=r"expected images of one shape, got \(.*\) and \(.*\)"):
        extract(network, [IMAGES, torch.cat([IMAGES, IMAGES], 3)], ["input"])


def test_a_network_without_numbers_is_refused_by_name(network):
    for measure in (lambda model: extract(model, IMAGES, ["0"]), lambda model: covariances(model, IMAGES),
                    lambda model: classrepsim(model, IMAGES, LABELS, k=2, progress=False)):
        with pytest.raises(ValueError, match='Sequential is on the device "meta", without numbers'):
            measure(copy.deepcopy(network).to("meta"))

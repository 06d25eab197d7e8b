"""Tables of saturation worked by hand, and the followed training loop on a few digits."""

import pandas as pd
import pytest
import torch

from rrahelpers import data, models
from rrahelpers.study.eigenspaces import following, saturation


def trainings(*values, network="VGG16", model="vgg16", accuracies=(0.5, 0.6)):
    """Two layers over trainings: (saturation of the first, of the second) of each seed."""
    return pd.DataFrame([{"network": network, "model": model, "seed": seed, "index": index, "layer": f"layer {index}",
                          "saturation": value, "accuracy": accuracies[seed]}
                         for seed, layers in enumerate(values) for index, value in enumerate(layers)])


def test_deviations_over_trainings():
    found = saturation.deviations(("vgg16", {}), trainings((0.2, 0.4), (0.4, 0.6)))
    assert found == {"network": "VGG16", "trainings": 2, "published: saturation": "0.281",
                     "published: accuracy": "0.511", "average saturation": "14.14",
                     "saturation of a layer (mean)": "14.14", "accuracy": "7.07"}
    alone = saturation.deviations(("vgg16", {}), trainings((0.2, 0.4)))
    assert alone["accuracy"] == "one training alone"
    assert saturation.deviations(("vgg11", {}), trainings((0.2, 0.4)))["average saturation"] == "not trained yet"


def test_averages_and_what_width_does():
    table = pd.concat([trainings((0.2, 0.4), (0.4, 0.6)),
                       trainings((0.6, 0.8), network="VGG16, width 1/4", accuracies=(0.3, 0))])
    averages = saturation.averages(table)
    assert averages.saturation.tolist() == pytest.approx([0.4, 0.7])
    assert averages.accuracy.tolist() == pytest.approx([0.55, 0.3])
    told = saturation.width_statements(averages, ["vgg16"], [0.25, 1]).set_index("statement").measured
    assert told["average saturation, widest to narrowest"] == "0.400 → 0.700"
    assert "nan (2 networks)" in told["accuracy over average saturation"]


def test_data_sets_of_rising_difficulty():
    rows = [{"split": name, "index": index, "saturation": value, "accuracy": accuracy}
            for name, accuracy, values in (("MNIST", 0.9, (0.1, 0.2, 0.3)), ("CIFAR-10", 0.7, (0.6, 0.4, 0.2)))
            for index, value in enumerate(values)]
    found = saturation.difficulty_statements(pd.DataFrame(rows), ["MNIST", "CIFAR-10"])
    assert found.published.tolist() == ["lowest", "between"] and found.accuracy.tolist() == [0.9, 0.7]
    assert found["average saturation"].tolist() == pytest.approx([0.2, 0.4])
    assert found.iloc[:, -1].tolist() == pytest.approx([float("nan"), -1], nan_ok=True)


def test_a_followed_training():
    digits = {split: data.load("digits", split, limit=64) for split in data.SPLITS}
    torch.manual_seed(0)
    model = models.build("perceptron", in_channels=1, num_classes=10, units=8, image_size=8)
    table = following.followed(model, *digits.values(), 2, learning_rate=0.01, delta=0.99)
    assert set(table.split) == {"train", "validation"} and set(table.epoch) == {1, 2}
    assert table.saturation.between(0, 1).all() and table.accuracy.between(0, 1).all()
    loss = table[table.split == "train"].groupby("epoch").loss.first()
    assert loss[2] < loss[1]


def test_variants_of_a_data_set():
    digits = data.load("digits", "test", limit=100)
    two, whole, noisy = following.variants(digits).values()
    assert set(two.labels.tolist()) == {0, 1} and len(two) == (digits.labels < 2).sum() and len(two.classes) == 2
    assert whole is digits and noisy.images.dtype == torch.uint8 and not torch.equal(noisy.images, digits.images)


def test_where_a_perceptron_overfits():
    rows = [{"units": 8, "index": index, "epoch": epoch, "split": split, "loss": loss, "saturation": share}
            for index in (0, 1) for split in ("train", "validation")
            for epoch, loss, share in ((1, 2.0, 0.25), (2, 1.0, 0.5), (3, 1.5, 0.75))]
    found = following.overfitting(pd.DataFrame(rows)).iloc[0].tolist()
    assert found == [8, 2, 1.0, 1.5, 0.25, 0.5, 0.75, 6]

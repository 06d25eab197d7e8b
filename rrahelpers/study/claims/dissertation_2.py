"""Dissertation, chapters 2 to 4: data, training, building blocks, probes and receptive fields."""

from collections.abc import Callable

import pandas as pd
import torch
from torch import nn

from rrahelpers import complexity
from rrahelpers.attention import CBAM, SpatialAttention, SqueezeExcitation
from rrahelpers.models import build
from rrahelpers.probes import fit_probe
from rrahelpers.study.claims.claim import entries
from rrahelpers.study.claims.layers import SAME, by_width, halving
from rrahelpers.study.claims.readings import computed, each
from rrahelpers.study.claims.tables import Tables
from rrahelpers.study.claims.verbs import (
    equals,
    every,
    falls,
    holds,
    not_measured,
    not_possible,
    rises,
    shows,
    stated,
    trained_as,
    within,
)
from rrahelpers.training.config import RunConfig
from rrahelpers.training.optimisation import learning_rate, optimiser

FIGURE_33, FIGURE_34 = "probes-figure-33", "probes-figure-34"
LINE = 0.005  # what a curve may fall and still be called rising: half a point, a line's width
claim = entries("Dissertation", "003")


def samples(data: str, split: str) -> Callable[[Tables], int]:
    """How many images the runs on a data set have."""
    def of(tables):
        return {tables.record(run)["samples"][split] for run in tables.provenance("saturation-figure-48").get("runs",
            ())
                if run.split("-")[1] == data}.pop()
    return lambda tables: of(tables)


def skipped(table: pd.DataFrame) -> pd.Series:
    return table[table.layer.str.startswith("skipped")]["value"]


def behind(table: pd.DataFrame) -> pd.Series:
    """The probes behind the place where the shortcut joins."""
    return table[table.layer.str.startswith("after")]["value"]


def _advised(tables):
    """Whether each layer that stays keeps more filters than any before it, and at most those that it has."""
    rows = tables.read("saturation-figure-32").sort_values("index")
    stays = rows[rows["remove"].astype(str) == "False"]["keep"]
    return bool(stays.is_monotonic_increasing and stays.is_unique and (rows["keep"] <= rows["filters"]).all())


def _cross_entropy():
    logits, target = torch.tensor([[1.0, 2.0, 0.5]]), torch.tensor([1])
    return torch.isclose(nn.functional.cross_entropy(logits, target), -torch.log(torch.softmax(logits, 1)[0, 1]))


def _descent():
    weight = nn.Parameter(torch.tensor([1.0]))
    step = optimiser(RunConfig("resnet20", "cifar10", momentum=0.0, weight_decay=0.0), [weight])
    (3 * weight).sum().backward()
    step.step()
    return torch.isclose(weight.data, torch.tensor([1 - 0.1 * 3.0])).item()


def _steps():
    config = RunConfig("resnet20", "cifar10", schedule="steps", step_epochs=30, epochs=90, warmup=0.0)
    rates = [learning_rate(config, epoch, 1) for epoch in (0, 29, 30, 60)]
    return all(abs(a - b) < 1e-9 for a, b in zip(rates, (0.1, 0.1, 0.01, 0.001)))


def _pyramid():
    """A 3x3 convolution of the second stage of ResNet18: twice the filters, a fourth of the places."""
    model = build("resnet18", stem="imagenet")
    widths = [model.get_submodule(f"layer{stage}.1.conv2").out_channels for stage in (1, 2, 3, 4)]
    cost = complexity.per_layer(nn.Conv2d(4, 4, 3, padding=1), (4, 8, 8)).flops.sum()
    return widths == [64, 128, 256, 512] and cost == 4 * complexity.per_layer(
        nn.Conv2d(4, 4, 3, padding=1), (4, 4, 4)).flops.sum()


def _factorised():
    pair = nn.Sequential(nn.Conv2d(16, 16, (3, 1), bias=False), nn.Conv2d(16, 16, (1, 3), bias=False))
    return sum(p.numel() for p in pair.parameters()) == 2 * 16 * 3 * 16


def _residual():
    """A block whose branch answers nothing gives its input, through the activation behind the sum."""
    block = build("resnet18", stem="imagenet").get_submodule("layer1.1").eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.randn(1, 64, 4, 4)
    return torch.allclose(block(x), torch.relu(x))


def _attention_costs():
    plain, gated = (complexity.count(build("resnet18", stem="imagenet", **options), (3, 64, 64), "macs").flops
                    for options in ({}, {"attention": "se"}))
    return gated / plain - 1


def _softmax_channels():
    return torch.isclose(SqueezeExcitation(8).gate(torch.randn(1, 8, 4, 4)).sum(), torch.tensor(1.0))


def _softmax_places():
    x = torch.rand(1, 3, 4, 4) + 1
    return torch.isclose((SpatialAttention()(x) / x)[0, 0].sum(), torch.tensor(1.0))


def _channels_then_places():
    """The first gate is one for all places of a channel, the second one for all channels of a place."""
    module, x = CBAM(4, reduction=2), torch.rand(1, 4, 6, 6) + 1
    gate = torch.sigmoid(module.shared(module.average(x)) + module.shared(module.maximum(x)))
    return torch.allclose(module(x), module.spatial(x * gate))


def _probe():
    """A line separates two classes; no line separates the corners of a square across."""
    corners = torch.tensor([[0.0, 0], [1, 1], [0, 1], [1, 0]]).repeat(5, 1)
    apart, across = torch.tensor([0, 1, 0, 1]).repeat(5), torch.tensor([0, 0, 1, 1]).repeat(5)
    fits = [fit_probe(corners, labels, corners, labels, C=100.0) for labels in (apart, across)]
    return fits[0].accuracy == 1 and fits[1].accuracy < 1


def _perceptron():
    model = build("skip_perceptron")
    return ((len(model.skipped), len(model.after)) == (128, 8) and
            all(m.out_features == 128 for m in model.skipped.modules() if isinstance(m, nn.Linear)))


CLAIMS = (
    claim("001a", "2.2.1", "MNIST has 50,000 training images", equals(samples("mnist", "train"), 50_000), kind="slip",
          note="the public set has 60,000, 10,000 more than a training set with some of them set aside"),
    claim("001b", "2.2.1", "MNIST has 10,000 validation images", equals(samples("mnist", "test"), 10_000)),
    claim("002", "2.2.2", "CIFAR-10 has 50,000 training images and 10,000 to validate",
          every(equals(samples("cifar10", "train"), 50_000), equals(samples("cifar10", "test"), 10_000))),
    claim("003", "2.2.3", "ImageNet has 1.28 million training and 50,000 validation images of 1,000 classes",
          not_possible("ImageNet is not at hand", "number")),
    claim("004", "2.3, figure 7", "In a ResNet50 trained on ImageNet texture counts for more than silhouette",
          not_possible("ImageNet and a network trained on it are not at hand", "direction")),
    claim("005", "2.4.1, equations 1 to 3", "Of one-hot targets cross-entropy is the negative logarithm of the "
          "class's probability", holds(_cross_entropy)),
    claim("006", "2.4.2, figure 8", "Trained on MNIST without augmentation, VGG13 changes its mind when a digit is "
          "turned",
          not_measured("one VGG13 on MNIST with augmentation=(), scored on turned test images", "direction")),
    claim("007", "2.4.3, equation 4", "A step subtracts the gradient times the learning rate from the weights",
          holds(_descent)),
    claim("008", "2.4.3", "The learning rate falls by a factor at given epochs", holds(_steps, kind="procedure")),
    claim("009", "2.4.4, equations 5 and 6", "Softmax gives positive numbers that sum to 1",
          holds(lambda: torch.isclose(torch.softmax(torch.randn(5), 0).sum(), torch.tensor(1.0)))),
    claim("010", "2.5, equations 7 and 8", "Accuracy is the share of right predictions, the error the rest",
          stated("agrees", "the share of right predictions is what every run records", "definition")),
    claim("011", "2.5", "Top-5 accuracy: the class is among the five best guesses",
          stated("agrees", "recorded of every run with more than five classes since it was added", "definition")),
    claim("012", "2.5, figures 11 and 13", "Within a family more parameters and FLOPs bring more accuracy, ever less "
          "of it",
          every(rises(halving("accuracy", 0)), falls(halving("accuracy", -1) - halving("accuracy", 0))),
          note="VGG of several widths, depths as replicates"),
    claim("013", "3.1.1, figure 12", "The number of parameters explains 90.2 % of the variance of accuracies on "
          "ImageNet",
          not_possible("the networks of the literature that it is taken from aren't listed", "number")),
    claim("014", "3.2.3", "A pyramid: half the side divides the arithmetic by four, stages double their filters, "
          "four of them", holds(_pyramid)),
    claim("015", "3.3.1", "A k x k convolution in two factors has 2 k in place of k² weights for each pair of filters",
          holds(_factorised)),
    claim("016", "3.3.4, figure 20", "A residual block adds its input before the last activation", holds(_residual)),
    claim("017", "3.3.5", "A bottleneck has a fourth of the channels",
          holds(lambda: build("resnet50").get_parameter("layer1.1.conv1.weight").shape[:2] == (64, 256))),
    claim("018", "3.3.6", "Attention costs more than 3 % in computation",
          rises(computed(_attention_costs), 0.03, kind="number"), note="squeeze and excitation in ResNet18"),
    claim("019", "3.3.6, figure 24", "Squeeze and excitation scales its weights by a softmax", holds(
        _softmax_channels, "a sigmoid, as in the module's own paper")),
    claim("020", "3.3.6, figure 25", "Spatial attention ends with a softmax over places", holds(
        _softmax_places, "a sigmoid, as in the module's own paper")),
    claim("021", "3.3.6, figure 26", "CBAM has channel attention, then spatial attention",
          holds(_channels_then_places)),
    claim("022", "3.3.6, figure 27", "With attention class activations are sharper",
          not_measured("class activation maps, and networks on images large enough for them", "direction")),
    claim("023", "4.2, figure 32", "Networks may be cut to the dimensions of 99.99 % of the variance, and layers in "
          "which these fall be taken out", every(
              equals(_advised, True, kind="procedure"),
              not_measured("a function that builds such a network, and its training", "procedure")),
          note="filters and layers are told, the smaller network isn't built"),
    claim("024", "4.3", "A probe is a logistic regression on a layer's output, with the task's labels", holds(_probe)),
    claim("025", "4.3, figure 33", "In VGG16 on CIFAR-10 probes rise from layer to layer",
          shows(FIGURE_33, lambda t: (t.sort_values("index")["value"].diff().dropna() > -LINE).all())),
    claim("025b", "4.3, figure 33", "Figure 33's network is VGG16 at its whole width", trained_as(FIGURE_33,
          model="vgg16", options={})),
    claim("026", "4.3, figure 34a", "The perceptron has 128 units in every layer, a shortcut past 128 of them, 8 "
          "behind",
          holds(_perceptron)),
    claim("027", "4.3, figure 34b", "Within the skipped layers probes fall to chance",
          within(each(FIGURE_34, lambda t: skipped(t).iloc[-1] - 0.1, training="after"), 2 * SAME),
          note="chance is about 0.1 on MNIST, 0.11 for its most frequent digit"),
    claim("028", "4.3, figure 34b", "Probes recover at once where the shortcut joins",
          rises(each(FIGURE_34, lambda t: behind(t).iloc[0] - skipped(t).iloc[-1], training="after"), 0.5)),
    claim("029", "4.3, figure 34b", "The layers behind the shortcut don't improve probes further",
          within(each(FIGURE_34, lambda t: behind(t).max() - behind(t).iloc[0], training="after"), SAME)),
    claim("258", "4.3", "Others probe globally pooled maps, or places drawn at random",
          stated("agrees", "averages of any size, the nearest place and places drawn at random can be chosen",
                 "procedure")),
    claim("255", "2.4.5", "Training images are shuffled for each epoch, and the network is scored on others after it",
          stated("agrees", "each epoch draws its own order, and test images are scored after it", "procedure")),
    claim("257a", "3.1.1", "More filters bring more accuracy",
          every(rises(halving("accuracy", 0)), rises(halving("accuracy", -1)))),
    claim("257b", "3.1.1", "More layers bring more accuracy: VGG19 over VGG11",
          rises(by_width("accuracy", "vgg19") - by_width("accuracy", "vgg11"))),
)

"""Dissertation, sections 4.4 and 6: receptive fields, and the programs for saturation, training and probes."""

import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import nn

from rrahelpers import probes, training
from rrahelpers.eigenspace import Covariance, PCAProjection, SaturationTracker
from rrahelpers.eigenspace.layers import weighted_layers
from rrahelpers.eigenspace.spectrum import describe, embed
from rrahelpers.receptive_field import receptive_fields
from rrahelpers.study import experiments
from rrahelpers.study.claims.claim import entries
from rrahelpers.study.claims.layers import borders
from rrahelpers.study.claims.readings import Effect, Reading, each, overhead
from rrahelpers.study.claims.tables import Tables
from rrahelpers.study.claims.verbs import (
    equals,
    every,
    falls,
    holds,
    number,
    rises,
    shows,
    stated,
    takes,
    trained_as,
)

FIGURES = "receptive-field-figures-35-36"
claim = entries("Dissertation", "003")


def sizes(figure: str) -> Callable[[Tables], tuple[int, ...]]:
    """The receptive fields from layer to layer, of one of figures 35 and 36."""
    return lambda tables: tuple(int(r) for r in tables.read(FIGURES, figure=f"{figure}*").sort_values(
        "layer").receptive_field)


def spread(network: str) -> Reading:
    """r_max less r_min of the last layer."""
    def of(tables):
        ends = [borders(network, f"last {name}")(tables).value for name in ("r_max", "r_min")]
        return Effect(ends[0] - ends[1], exact=True)
    return of


def _equation_9():
    """Kernels 5, 3 and 2 with strides 2, 3 and 1: 1 + 4 + 2 * 2 + 1 * 6 = 15."""
    convolutions = [nn.Conv2d(1, 1, k, s) for k, s in ((5, 2), (3, 3), (2, 1))]
    return receptive_fields(nn.Sequential(*convolutions), 40).r_max.tolist() == [5, 9, 15]


class _Paths(nn.Module):
    def __init__(self):
        super().__init__()
        self.narrow, self.wide, self.last = (nn.Conv2d(1, 1, k, padding=k // 2) for k in (3, 7, 3))

    def forward(self, x):
        return self.last(self.narrow(x) + self.wide(x))


def _both_ends():
    last = receptive_fields(_Paths(), 32).iloc[-1]
    return (last.r_min, last.r_max) == (5, 9)


def _covariance():
    """Batch by batch: the sum of products over n, less the product of the means; every place is an observation."""
    maps, covariance = torch.randn(6, 3, 4, 4), Covariance(3)
    for batch in maps.split(2):
        covariance.update(batch)
    flat = maps.permute(0, 2, 3, 1).reshape(-1, 3).double()
    direct = flat.T @ flat / len(flat) - torch.outer(flat.mean(0), flat.mean(0))
    return covariance.observations == 96 and np.allclose(covariance.matrix(), direct)


def _memory():
    few, many = (Covariance(4) for _ in range(2))
    few.update(torch.randn(4, 4))
    many.update(torch.randn(400, 4))
    return few.matrix().shape == many.matrix().shape == (4, 4)


def _recordable():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(4, 2))
    return weighted_layers(model) == ["0", "4"] and weighted_layers(nn.ModuleDict({"a": nn.LSTM(2, 2)})) == ["a"]


def _anew():
    """Each epoch, training and validation apart, begins without what came before."""
    model = nn.Sequential(nn.Linear(3, 3))
    with SaturationTracker(model) as tracker:
        for _ in range(2):
            model.train()(torch.randn(8, 3))
            model.eval()(torch.randn(4, 3))
            tracker.end_epoch()
    return tracker.table.groupby(["epoch", "split"]).observations.first().tolist() == [8, 4, 8, 4]


def _statistics():
    covariance = Covariance(3)
    covariance.update(torch.randn(50, 3))
    found = describe(covariance, extended=True)
    return {"saturation", "intrinsic_dimension", "trace", "diagonal_trace", "log_determinant"} <= set(found) and embed(
        covariance, torch.randn(5, 3)).shape == (5, 2)


def _uncentred():
    """In evaluation mode activations far from 0 in one direction keep nothing but that direction."""
    layer, x = PCAProjection(0.9), torch.randn(200, 3) * torch.tensor([0.1, 1.0, 0.2]) + torch.tensor([100.0, 0, 0])
    layer.train()(x)
    values, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0))
    first = vectors[:, -1:]
    return torch.allclose(layer.eval()(x), x @ first @ first.T, atol=0.1)


def _passes_in_training():
    layer, x = PCAProjection(0.5), torch.randn(50, 4)
    return torch.equal(layer.train()(x), x) and not torch.equal(layer.eval()(x), x)


def _same_seed():
    configs = [training.RunConfig("resnet20", "cifar10", seed=3) for _ in range(2)]
    return configs[0] == configs[1] and configs[0] != training.RunConfig("resnet20", "cifar10", seed=4)


def _every_combination():
    with tempfile.TemporaryDirectory() as folder:
        (file := Path(folder) / "experiment.yaml").write_text(
            "model: [vgg11, vgg16]\ndata: digits\noptions: {width: [0.25, 0.5]}\nseed: [0, 1, 2]\n", encoding="utf-8")
        configs = [config for _, config in experiments.read(file).cells]
    found = {(c.model, c.options["width"], c.seed) for c in configs}
    return len(configs) == 12 and found == set(product(("vgg11", "vgg16"), (0.25, 0.5), range(3)))


CLAIMS = (
    claim("030", "4.4, equation 9", "Each layer widens the receptive field by (kernel - 1) times the strides before it",
          holds(_equation_9)),
    claim("031a", "4.4, figure 35", "Three kernels of 3 see 3, 5 and 7 pixels", equals(sizes("figure 35"), (1, 3, 5,
          7))),
    claim("031b", "4.4, figure 36", "With stride 2 in the first they see 3, 7 and 11",
          equals(sizes("figure 36"), (1, 3, 7, 11))),
    claim("032", "4.4", "Where paths meet, the largest counts, and shortcuts are left aside", holds(_both_ends)),
    claim("033", "4.4, footnote 8", "All paths between two layers down-sample by the same factor",
          stated("agrees", "here paths with different factors are followed apart as well", "definition")),
    claim("034", "4.4.1", "r_min and r_max are the smallest and the largest receptive field over all paths",
          holds(_both_ends)),
    claim("035", "4.4.1", "In a sequential network both are the same",
          every(*(number(spread(n), "0") for n in ("VGG11", "VGG13", "VGG16", "VGG19")),
                kind="direction")),
    claim("036", "4.4.1", "With shortcuts r_max is larger",
          every(*(rises(spread(n)) for n in ("ResNet18", "ResNet34")))),
    claim("037", "4.4.1, figure 37", "In a network with several paths receptive fields fill an interval",
          every(equals(each("receptive-field-figure-37", lambda t: t[t.bound == "max"].receptive_field.max()
                            > t[t.bound == "min"].receptive_field.max()), True, kind="direction"),
                stated("partly", "the drawn network isn't described, this is one of our own", "direction")),
          note="the largest path sees more than the smallest"),
    claim("038", "6.1.2", "Convolutions, dense layers and LSTM cells are recorded, pooling and dropout aren't",
          holds(_recordable)),
    claim("039", "6.1.2", "Covariances begin anew after training and after validation of every epoch",
          holds(_anew, kind="procedure")),
    claim("040", "6.1.3, equations 10 and 11", "The covariance comes from running sums of products and means",
          holds(_covariance)),
    claim("041", "6.1.3", "The memory of a covariance doesn't grow with the number of samples", holds(_memory,
          kind="direction")),
    claim("042", "6.1.3", "Following saturation costs little: less than another forward pass, a third of a step",
          falls(overhead(), 1 / 3, kind="number"),
          note="from benchmarks/results/saturation.json, the larger of VGG16 and ResNet18"),
    claim("043", "6.1.3", "Every place of a feature map is an observation", holds(_covariance)),
    claim("044", "6.1.3", "Sums are kept in double precision whatever the model's",
          stated("partly", "in float64 on CPUs; on accelerators products are float32, summed in float64",
              "definition")),
    claim("045a", "6.1.3", "Following saturation may run in several threads",
          stated("agrees", "the tracker holds a lock, which is tested", "procedure")),
    claim("045b", "6.1.3", "Following saturation works where data or model are spread over devices",
          takes(SaturationTracker, "distributed")),
    claim("046", "6.1.3", "Where covariances are computed can be chosen", takes(SaturationTracker, "device")),
    claim("047", "6.1.3", "Maps can be made smaller before: by the nearest value, linearly or bilinearly",
          takes(SaturationTracker, "side", "interpolation")),
    claim("048", "6.1.3", "Only every n-th batch, or so many batches, can be taken",
          takes(SaturationTracker, "every", "batches")),
    claim("049", "6.1.4", "Statistics: saturation, intrinsic dimension, trace, trace of the diagonal, determinant, a "
          "picture in two dimensions", holds(_statistics), note="of the determinant the logarithm"),
    claim("050", "6.1.5", "Several writers at once, and other numbers logged beside saturation",
          takes(SaturationTracker, "writers", why="numbers of one's own go to end_epoch")),
    claim("051", "6.1.5, figure 40", "In VGG19 intrinsic dimension rises over the first layers and collapses in the "
          "last",
          shows("saturation-figure-40", lambda t: t.intrinsic_dimension.iloc[:16].idxmax() not in
                (t.index[0], t.index[15]) and t.intrinsic_dimension.iloc[15] < t.intrinsic_dimension.max() / 2),
          note="no numbers are printed"),
    claim("051b", "6.1.5, figure 40", "Figure 40's network is VGG19 at its whole width after 29 epochs, batches of "
          "512",
          trained_as("saturation-figure-40", model="vgg19", options={}, epochs=29, batch_size=512)),
    claim("052", "6.1.6, equation 12", "A projection is x PᵀP, without the mean", holds(
        _uncentred, "the mean is taken off first and put back: without, what is far from 0 would be lost")),
    claim("053", "6.1.6", "Projections pass activations on in training and project in evaluation",
          holds(_passes_in_training)),
    claim("054", "6.2.2", "Seeds decide all that is drawn", holds(_same_seed, kind="procedure")),
    claim("055", "6.2.3, listing 1", "One file describes an experiment, and lists in it give every combination",
          holds(_every_combination, kind="procedure")),
    claim("056", "6.2.4, figure 42", "Results lie in folders by model, data, resolution and run",
          stated("partly", "one folder for each configuration, named by model, data and a hash of it", "procedure")),
    claim("057", "6.2.5", "Probes: 100 epochs of SAGA without preprocessing, accuracies of both splits kept",
          takes(probes.fit_saga, "epochs"), note="offered beside probes at their optimum, which 100 epochs miss"),
    claim("058", "6.2.5", "Probes of several layers are fitted side by side", takes(probes.probe_layers, "jobs")),
    claim("059", "6.2.6", "A crash loses at most the running epoch; probes that are done are kept",
          stated("agrees", "checkpoints after each epoch, each layer's probe stored by itself; killed trainings are "
              "tested",
                 "procedure")),
    claim("060", "6.2.6", "A run's configuration makes the run again",
          stated("agrees", "record.json holds configuration, checksum of the data and seed", "procedure")),
    claim("251", "2.4.2; 8.3.1", "Images are normalised by (0.4914, 0.4822, 0.4465) and (0.2023, 0.1994, 0.2010)",
          stated("agrees", "recipes of the dissertation have these numbers; runs of the paper's recipe have those of "
              "the data at hand", "procedure")),
)

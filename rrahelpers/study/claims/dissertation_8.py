"""Dissertation, sections 8.1, 8.2, 8.4 and 8.5.1: saturation, its noise, and what it depends on; appendix B."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from rrahelpers.eigenspace import saturation
from rrahelpers.eigenspace.spectrum import DELTA
from rrahelpers.study.claims.claim import entries
from rrahelpers.study.claims.layers import by_width, halving, spread_ratio
from rrahelpers.study.claims.readings import Effect, Numbers, correlation, each, mean_of, value, values
from rrahelpers.study.claims.tables import Missing, Tables, Where
from rrahelpers.study.claims.verbs import (
    above,
    equals,
    every,
    falls,
    holds,
    not_measured,
    rises,
    shows,
    stated,
    trained_as,
)
from rrahelpers.tails import find_tails

STABLE, WIDTHS, DATA = "saturation-figure-44", "saturation-figure-47", "saturation-figure-48"
UNITS, LONGER, DEEP = "saturation-figure-66", "saturation-figure-67", "saturation-figure-68"
STRONG = 0.7  # correlation of curves that are called alike
VGG16, RESNET18 = {"network": "VGG16~"}, {"network": "ResNet18~"}
SETS = ("MNIST", "CIFAR-10", "Tiny-ImageNet-50")
claim = entries("Dissertation", "003")


def stable(network: Where) -> Numbers:
    """For each network, how its saturation over layers correlates with the mean of the others."""
    def of(tables):
        wide = tables.read(STABLE, **network).pivot(index="layer", columns="seed", values="saturation")
        if len(wide.columns) < 2:
            raise Missing(f"{STABLE}.csv has one training")
        return pd.Series({seed: wide[seed].corr(wide.drop(columns=seed).mean(axis=1)) for seed in wide})
    return Numbers(of)


def over_layers(split: str) -> Callable[[Tables], pd.Series]:
    return lambda tables: tables.read(DATA, split=split).groupby("index").saturation.mean()


def mean(split: str) -> Numbers:
    return value(DATA, "saturation", split=split)


def contrast(split: str) -> Numbers:
    """The deviation of saturation over layers."""
    return each(DATA, lambda t: t.saturation.std(), split=split)


def better_as_logarithm(tables: Tables) -> Effect:
    """How much closer accuracy goes with the logarithm of saturation than with saturation itself, by the jackknife."""
    x, y = by_width("saturation")(tables), by_width("accuracy")(tables)

    def gain(keep):
        return abs(np.corrcoef(np.log(x[keep]), y[keep])[0, 1]) - abs(np.corrcoef(x[keep], y[keep])[0, 1])
    count = len(x)
    everything = gain(np.full(count, True))
    found = mean_of([count * everything - (count - 1) * gain(np.arange(count) != i) for i in range(count)])
    return Effect(everything, found.low - found.value + everything, found.high - found.value + everything, count)


def last(table: pd.DataFrame) -> pd.Series:
    """Training saturation in the last epoch, by units."""
    rows = table[(table.epoch == table.epoch.max()) & (table.split == "train")]
    return rows.groupby("units").saturation.mean().sort_index()


def course(table: pd.DataFrame, column: str = "saturation", split: str = "train") -> pd.Series:
    """A column's mean over layers, epoch by epoch."""
    return table[table.split == split].groupby("epoch")[column].mean().sort_index()


def _shape(table):
    """Low at first, then rising, and flat at the end: by less in the second half than in the first."""
    curve = course(table)
    first, half, end = curve.iloc[[0, len(curve) // 2, -1]]
    return half > first and abs(end - half) < half - first


def _epochs(figure):
    return lambda tables: int(tables.read(figure).epoch.max())


def _flat_while_overfitting(table):
    """From the epoch of the least validation loss on: the loss rises, saturation changes by less than a tenth."""
    loss, curve = course(table, "loss", "validation"), course(table)
    best = loss.idxmin()
    return loss.iloc[-1] > 1.1 * loss[best] and abs(curve.iloc[-1] - curve[best]) < 0.1 * curve[best]


def _early(table):
    """The tail of the last epoch begins in epoch 3 where it does at the end, within two layers."""
    rows = table[table.split == "validation"]
    starts = [find_tails(rows[rows.epoch == epoch].sort_values("index").set_index("layer").saturation).start
              for epoch in (3, rows.epoch.max())]
    return len(starts[0]) > 0 and len(starts[1]) > 0 and abs(starts[0].iloc[0] - starts[1].iloc[0]) <= 2


CLAIMS = (
    claim("092", "8.1", "Saturation is the share of a layer's dimensions that its eigenspace has, from 0 to 1",
          holds(lambda: saturation([6.0, 3.0, 1.0, 0.0], 0.9) == 0.5)),
    claim("093", "8.1", "Delta is 99 % unless said otherwise", holds(lambda: DELTA == 0.99, kind="number")),
    claim("094", "symbols; 9.2.1, figure 44", "Saturation is that of the training images, in the last epoch",
          equals(each(STABLE, lambda t: t.observations.iloc[0] / 1024, **VGG16, index=0), 50_000, kind="definition"),
          note="by the images behind the first layer's observations"),
    claim("095", "8.2.1, figure 44", "50 trainings of VGG16 and of ResNet18", trained_as(STABLE, networks=50)),
    claim("096a", "8.2.2, figure 44", "VGG16's average saturation varies less between trainings than its accuracy",
          falls(spread_ratio(STABLE, **VGG16), 1, kind="ordering"), note="printed: 0.281 against 0.511"),
    claim("096b", "8.2.2, figure 44", "ResNet18's average saturation varies less between trainings than its accuracy",
          falls(spread_ratio(STABLE, **RESNET18), 1, kind="ordering"),
          note="printed: 0.353 against 0.523"),
    claim("274", "8.2, figure 44", "The noise of saturation is at most in proportion to that of accuracy",
          every(*(falls(spread_ratio(STABLE, **n), 1, kind="ordering") for n in (VGG16, RESNET18)))),
    claim("097", "8.2.2, figure 44", "Saturation's course over the layers is the same from training to training",
          every(rises(stable(VGG16), STRONG), rises(stable(RESNET18), STRONG))),
    claim("113", "8.4.1", "A network's average saturation is the mean over all layers with parameters",
          stated("agrees", "so it is computed; normalisation isn't counted as a layer of its own", "definition")),
    claim("114a", "8.4.1, table 7; figure 47", "20 VGG networks: four depths, widths from 1/16 to 1",
          equals(lambda t: t.read(WIDTHS).network.nunique(), 20, kind="procedure")),
    claim("114b", "8.4.1, table 7; figure 47", "Figure 47's networks: 30 epochs of Adam with 1e-4, batches of 128, "
          "three trainings of each",
          trained_as(WIDTHS, epochs=30, optimiser="adam", learning_rate=1e-4, batch_size=128, networks=3)),
    claim("115", "8.4.2, figure 47", "Accuracy falls as average saturation rises",
          falls(correlation(by_width("saturation"), by_width("accuracy")))),
    claim("116", "8.4.2, figure 47", "Accuracy goes with the logarithm of saturation, more than with saturation "
          "itself",
          rises(better_as_logarithm)),
    claim("117a", "8.4.2, figure 47", "Narrower networks are more saturated",
          every(falls(halving("saturation", 0), kind="ordering"), falls(halving("saturation", -1)))),
    claim("117b", "8.4.2, figure 47", "Average saturation falls when there are fewer dimensions",
          every(rises(halving("saturation", 0)), rises(halving("saturation", -1))), kind="slip",
          note="so one sentence; its figure and its summary have it the other way round"),
    claim("118", "8.4.2, figure 47", "The wider the network, the less another doubling lowers saturation",
          rises(halving("saturation", -1) - halving("saturation", 0))),
    claim("119", "8.5.1, table 8; figure 48", "ResNet18 at 224 pixels: 30 epochs of Adam with 1e-4, batches of 64",
          trained_as(DATA, image_size=224, epochs=30, optimiser="adam", learning_rate=1e-4, batch_size=64)),
    claim("120a", "8.5.2, figure 48", "Saturation rises with the difficulty of the data: MNIST, CIFAR-10, TinyImageNet",
          every(*(above(mean(b), mean(a)) for a, b in zip(SETS, SETS[1:])))),
    claim("120b", "8.5.2, figure 48", "Of ImageNet saturation is higher than of all others", not_measured(
        "ImageNet is not at hand; Imagenette could stand in, ResNet18 at 224 pixels", "ordering")),
    claim("121", "8.5.2, figure 48", "Of MNIST saturation is the lowest", every(*(above(mean(s), mean("MNIST"))
          for s in SETS[1:]))),
    claim("122", "8.5.2, figure 48", "Saturation's course over the layers keeps its shape from data set to data set",
          every(*(rises(correlation(over_layers(a), over_layers(b), networks=1), STRONG)
                  for a, b in (SETS[:2], SETS[1:], SETS[::2]))), note="intervals over layers, of one network each"),
    claim("123", "8.5.2, figure 48", "The more difficult the data, the more layers differ from one another",
          every(*(above(contrast(b), contrast(a)) for a, b in zip(SETS, SETS[1:])), kind="direction")),
    claim("204a", "11.3, figures 47 and 48", "Harder problems raise average saturation",
          every(*(above(mean(b), mean(a)) for a, b in zip(SETS, SETS[1:])), kind="direction")),
    claim("204b", "11.3, figure 47", "More width lowers average saturation",
          every(falls(halving("saturation", 0)), falls(halving("saturation", -1)))),
    claim("220a", "B.1, figures 66 and 67", "Perceptrons of 256 units and then 8, 16, 32, 64 or 128",
          every(*(equals(values(figure, "units"), [8, 16, 32, 64, 128], kind="procedure")
                  for figure in (UNITS, LONGER)))),
    claim("220b", "B.1, figures 66 and 67", "The perceptrons are followed for 8 epochs and for 20",
          every(*(equals(_epochs(figure), n, kind="procedure") for figure, n in ((UNITS, 8), (LONGER, 20)))),
          note="data and learning rate aren't printed"),
    claim("221", "B.2, figure 66", "The more units a perceptron has, the higher is its saturation",
          shows(UNITS, lambda t: last(t).is_monotonic_increasing, kind="ordering")),
    claim("222", "B.2, figure 66", "A perceptron's saturation is low at first, rises, and settles with the loss",
          every(*(shows(UNITS, _shape, units=u) for u in (8, 16, 32, 64, 128)))),
    claim("223", "B.2, figure 67", "Where overfitting begins a perceptron's saturation stays as it is, and doesn't "
          "follow the loss",
          every(*(shows(LONGER, _flat_while_overfitting, units=u) for u in (64, 128)))),
    claim("224", "B.2, figure 68", "VGG11 and VGG19, whole and of an eighth of the width, settle the same way",
          every(*(shows(DEEP, _shape, network=f"{n}~") for n in ("VGG11", "VGG19")),
                not_measured("both networks at their whole width", "direction")),
          note="\"converging\" in the source; taken as figure 66's rise and rest"),
    claim("225", "B.2, figure 68", "Saturations settle whatever the layer, the depth or the width",
          not_measured("both networks at their whole width, several trainings of each", "direction")),
    claim("226", "B.2, figure 68", "Tails are to be seen early in training: in the third epoch, where they are at last",
          every(*(shows(DEEP, _early, network=f"{n}~") for n in ("VGG11", "VGG19")))),
)

"""Dissertation, section 8.3: probes on smaller maps (figures 45 and 46)."""

from collections.abc import Callable

import pandas as pd

from rrahelpers.study.claims.claim import Check, entries
from rrahelpers.study.claims.layers import SAME
from rrahelpers.study.claims.readings import Numbers, each, last_epoch, unpaired, value, values
from rrahelpers.study.claims.verbs import equals, every, falls, number, rises, stated, trained_as, within

NEAREST, AVERAGE, PLACES = "probes-figure-45", "probes-figure-46", "probes-places"
NETWORKS = {"at 32 pixels": "*own size", "of large images": "* px"}  # with CIFAR's stem, with ImageNet's
SMALL, LARGE = NETWORKS.values()
ALIKE = 0.9  # rank correlation of two courses over layers
CROPS = ["crop", "flip"]
claim = entries("Dissertation", "003")


def by_size(table: pd.DataFrame) -> pd.DataFrame:
    """Probes of the layers that have all sizes: a row for each layer, a column for each size."""
    return table.pivot(index="index", columns="size", values="value").dropna().sort_index()


def loss(figure: str, size: int, network: str, part: slice | str = slice(None)) -> Numbers:
    """What maps of ``size`` cost against 7x7, on average over (a part of) the layers."""
    return each(figure, lambda t: (by_size(t)[7] - by_size(t)[size]).iloc[_part(t, part)].mean(), network=network)


def _part(table, part):
    half = len(by_size(table)) // 2
    return {"early": slice(half), "late": slice(half, None)}.get(part, slice(None)) if isinstance(part, str) else part


def likeness(figure: str, size: int, network: str) -> Numbers:
    """Rank correlation over layers with 7x7."""
    return each(figure, lambda t: by_size(t)[7].corr(by_size(t)[size], method="spearman"), network=network)


def both(check: Callable[[str], Check]) -> Check:
    """Of both networks."""
    return every(*(check(network) for network in NETWORKS.values()))


CLAIMS = (
    claim("098", "8.3.1, table 6; figures 45 and 46", "Networks of figures 45 and 46: 90 epochs of SGD from 0.1, a "
          "tenth every 30, batches of 64, no decay",
          trained_as(AVERAGE, epochs=90, optimiser="sgd", learning_rate=0.1, schedule="steps", step_epochs=30,
                     batch_size=64, weight_decay=0.0)),
    claim("099", "8.3.1, figures 45 and 46", "Both ResNet18 overfit CIFAR-10: training images score 5 points more",
          rises(last_epoch(AVERAGE, "train_accuracy") - last_epoch(AVERAGE, "test_accuracy"), 0.05),
          note="training images as they pass, augmented"),
    claim("100a", "8.3.1, figures 45 and 46", "Maps of 1x1 to 7x7, by average and by nearest place",
          every(*(equals(values(figure, "size"), list(range(1, 8)), kind="procedure")
                  for figure in (NEAREST, AVERAGE)))),
    claim("100b", "8.3.1, figures 45 and 46", "One ResNet18 with a stem for 32 pixels, one with that for 224",
          equals(lambda t: bool(t.read(AVERAGE, network=LARGE).network.str.contains("224 px").all()), True,
                 kind="procedure")),
    claim("253", "8.3.1, figures 45 and 46", "Crops of 4 pixels' padding and flips, then resizing",
          trained_as(AVERAGE, augmentation=CROPS, augment_first=True)),
    claim("252", "8.3.1; 10.1.1", "All networks are initialised by Kaiming's scheme",
          stated("partly", "convolutions are; VGG's dense layers are drawn as in its own paper unless a run asks for "
              "it",
                 "procedure")),
    claim("101", "8.3.2, figure 45", "Nearest places of 1x1 cost every layer much: more than 10 points on average",
          both(lambda n: rises(loss(NEAREST, 1, n), 0.1))),
    claim("102", "8.3.2, figure 45", "Nearest places of 1x1 destroy the course of probes over the layers",
          both(lambda n: falls(likeness(NEAREST, 1, n), ALIKE))),
    claim("103", "8.3.2, figure 45", "With nearest places the course of probes is much the same from 2x2 on",
          every(*(rises(likeness(NEAREST, size, n), ALIKE) for n in NETWORKS.values() for size in range(2, 7)))),
    claim("104", "8.3.2, figure 45", "With nearest places early layers lose more than late ones",
          both(lambda n: rises(loss(NEAREST, 1, n, "early") - loss(NEAREST, 1, n, "late"), kind="ordering"))),
    claim("105", "8.3.2, figure 45", "The larger the maps, the less is lost, by ever less",
          every(*(rises(loss(NEAREST, size, n) - loss(NEAREST, size + 1, n)) for n in NETWORKS.values()
                  for size in range(1, 6)))),
    claim("106", "8.3.2, figure 46", "Averages cost most at 1x1 and 2x2",
          every(*(rises(loss(AVERAGE, size, n) - loss(AVERAGE, 3, n)) for n in NETWORKS.values() for size in (1, 2)))),
    claim("107", "8.3.2, figure 46", "With averages early layers lose most",
          both(lambda n: rises(loss(AVERAGE, 1, n, "early") - loss(AVERAGE, 1, n, "late"), kind="ordering"))),
    claim("108", "8.3.2, figure 46", "With averages accuracy rises with the size towards a limit",
          every(*(rises(loss(AVERAGE, size, n) - loss(AVERAGE, size + 1, n)) for n in NETWORKS.values()
                  for size in (1, 2, 3)), both(lambda n: within(loss(AVERAGE, 6, n), SAME)))),
    claim("109", "8.3.2, figure 46", "With averages the course at 1x1 is nothing unusual",
          both(lambda n: rises(likeness(AVERAGE, 1, n), ALIKE))),
    claim("110", "8.3.2, figures 45 and 46", "Larger images lose no more",
          every(*(falls(unpaired(loss(f, 1, LARGE), loss(f, 1, SMALL)), SAME, kind="ordering")
                  for f in (NEAREST, AVERAGE)))),
    claim("111", "8.3.3, figure 46", "Averages of 4x4 come close to larger maps",
          both(lambda n: within(loss(AVERAGE, 4, n), SAME))),
    claim("112", "8.3.3, figure 46", "A probe on 4x4 maps costs 16 times as much as one on 1x1",
          number(value(AVERAGE, "features", size=4, index=1) / value(AVERAGE, "features", size=1, index=1), "16"),
          note="features of a probe, with which its arithmetic grows"),
    claim("112b", "8.3.3, figure 46", "A probe on 4x4 maps takes 16 times as long as one on 1x1",
          number(value(PLACES, "seconds", pooling="average", size=4) / value(PLACES, "seconds", pooling="average",
                                                                             size=1), "16"),
          note="the mean over layers of seconds for a fit to its optimum; the source stops after 100 passes"),
)

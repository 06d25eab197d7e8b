"""Dissertation, sections 7.1 to 7.3: networks projected into the eigenspaces of their layers."""

import torch

from rrahelpers.eigenspace import n_components
from rrahelpers.models import build
from rrahelpers.study import published
from rrahelpers.study.claims.claim import entries
from rrahelpers.study.claims.readings import Numbers, computed, value
from rrahelpers.study.claims.verbs import (
    equals,
    every,
    falls,
    holds,
    near,
    not_possible,
    number,
    rises,
    set_as,
    shows,
    stated,
    trained_as,
    within,
)
from rrahelpers.study.recipes import IMAGENET

FIGURE, TABLE_3 = "projection-figure-43", "projection-table-3"
DELTAS = [0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 0.992, 0.994, 0.996, 0.998, 0.999, 0.9992, 0.9994,
          0.9996, 0.9998, 0.9999]
claim = entries("Dissertation", "003")


def relative(subspace: str, delta: float) -> Numbers:
    """Accuracy in a subspace, as a share of the network's own: a number for each network."""
    return value(FIGURE, "relative", by="run", subspace=subspace, delta=delta)


def _code():
    return build("autoencoder").encoder(torch.zeros(1, 3, 224, 224)).numel()


def _channels():
    model = build("autoencoder")
    found = [m.out_channels for part in (model.encoder, model.decoder) for m in part.modules()
             if isinstance(m, torch.nn.Conv2d)]
    return found == [16, 8, 8, 8, 8, 16, 3]


def _delta_of(dimensions):
    """The threshold that table 3 prints beside so many dimensions."""
    return published.dissertation("autoencoder").set_index("dimensions").delta[dimensions]


CLAIMS = (
    claim("061", "7.1", "The k largest eigenvalues that reach delta of the variance decide a layer's dimensions, "
          "with one delta for the whole network", holds(lambda: n_components([6.0, 3.0, 1.0], 0.9) == 2)),
    claim("062", "7.1", "A projection stands behind every layer with weights",
          stated("partly", "in VGG behind every one; in ResNet18 behind the 17 main convolutions, which have the "
              "printed 3,904 dimensions", "procedure")),
    claim("063", "7.1, figure 43", "Projected networks are trained for 30 epochs of Adam, batches of 64, with crop "
          "and flip",
          trained_as(FIGURE, epochs=30, batch_size=64, optimiser="adam", augmentation=["crop", "flip"])),
    claim("271", "7.1, figure 43", "Images are normalised by ImageNet's mean and deviation",
          trained_as(FIGURE, normalisation=IMAGENET)),
    claim("064", "7.2, table 1", "An autoencoder of 16, 8 and 8 channels, and back by 8, 8 and 16",
          holds(_channels)),
    claim("065", "7.2, table 2", "The autoencoder's training: images of 224 pixels, 50 epochs, batches of 128, Adam "
          "with 1e-4",
          set_as(TABLE_3, picture_size=224, autoencoder_epochs=50, autoencoder_learning_rate=1e-4)),
    claim("066", "7.2.1, table 3", "The autoencoder learns Food101", not_possible("Food101 is not at hand",
          "procedure")),
    claim("067", "7.2.2, table 3", "With 95 % and more of the variance the autoencoder's pictures can still be "
          "recognised",
          stated("agrees", "by eye, in the figure of table 3", "direction")),
    claim("068", "7.2.2, table 3", "With 99.9 % of the variance the autoencoder's loss is almost doubled",
          near(value(TABLE_3, "ratio", delta=0.999),
          2, 0.1)),
    claim("069a", "7.2.2, table 3", "The fewer dimensions the code has, the larger is the autoencoder's loss",
          shows(TABLE_3, lambda t: t.sort_values("delta", ascending=False).loss.is_monotonic_increasing,
                kind="ordering")),
    claim("069b", "7.2.2, table 3", "The autoencoder's losses are 2.0, 2.7, 3.6, 6.5 and 7.1 times that of the whole",
          every(*(near(value(TABLE_3, "ratio", delta=d), r, 0.05 * r) for d, r in (
              (0.999, 1.97), (0.995, 2.70), (0.99, 3.64), (0.95, 6.55), (0.9, 7.09))))),
    claim("070", "7.2.2, table 3", "99.9 % of the variance take 53.34 % of the autoencoder's code",
          number(value(TABLE_3, "share", delta=0.999), "53.34%")),
    claim("071", "7.2.2, table 3", "99 % of the variance take 7.29 % of the autoencoder's code", number(value(TABLE_3,
          "share", delta=0.99), "7.29%")),
    claim("072", "7.2.2, table 3", "95 % of the variance take 0.21 % of the autoencoder's code (17 dimensions), 90 % "
          "take 0.01 % (one)",
          every(number(value(TABLE_3, "share", delta=0.95), "0.21%"), number(value(TABLE_3, "share", delta=0.9),
              "0.01%"))),
    claim("073", "7.2.2, table 3", "The autoencoder's code has 8,192 dimensions at 224 pixels", number(computed(_code),
          "8192"),
          kind="slip", note="8 channels of 28 x 28 are 6,272; 8,192 belong to 256 pixels"),
    claim("N7", "7.2.2, table 3", "597 dimensions go with 99.9 % of the variance",
          number(computed(lambda: _delta_of(597)), "0.999"), kind="slip",
          note="so the text, where \"this subspace\" may be read otherwise; in its own table they go with 99 %"),
    claim("074a", "7.3.1, figure 43", "Twenty architectures: VGG11 to 19 in five widths",
          equals(lambda t: t.read(FIGURE).network.nunique(), 20, kind="procedure")),
    claim("074b", "7.3.1, figure 43", "Three trainings of each projected architecture", trained_as(FIGURE, networks=3)),
    claim("074c", "7.3.1, figure 43", "Twenty thresholds make 41 evaluations with the whole network",
          number(computed(lambda: 2 * 19 + 1), "41"), kind="slip", note="the sets that are printed hold 19 thresholds"),
    claim("075", "7.3.2, figure 43", "Random subspaces guess from delta = 0.96 downwards",
          within(value(FIGURE, "accuracy", by="run", subspace="random", delta=[d for d in DELTAS if d <= 0.96])
                 - 0.1, 0.01)),
    claim("076", "7.3.2, figure 43", "In their eigenspaces some networks still beat guessing at 0.9",
          equals(lambda t: bool((t.read(FIGURE, subspace="eigenspace", delta=0.9).accuracy > 0.15).any()), True,
                 kind="direction"), note="above 15 % of ten classes"),
    claim("077a", "7.3.2, figure 43", "In random subspaces half of the accuracy is gone at 0.99 already",
          falls(relative("random", 0.99), 0.5)),
    claim("077b", "7.3.2, figure 43", "In eigenspaces more than half of the accuracy is left at 0.99",
          rises(relative("eigenspace", 0.99), 0.5)),
    claim("077c", "7.3.2, figure 43", "In eigenspaces accuracy goes on falling slowly to 0.9",
          every(*(rises(relative("eigenspace", a) - relative("eigenspace", b))
                  for a, b in zip((0.99, 0.98, 0.96, 0.94, 0.92), (0.98, 0.96, 0.94, 0.92, 0.9))))),
    claim("078", "7.3.2, figure 43", "At every threshold the eigenspace keeps more than a random subspace of its size",
          every(*(rises(relative("eigenspace", d) - relative("random", d), kind="ordering") for d in DELTAS))),
)

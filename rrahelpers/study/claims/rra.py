"""The abstract of the thesis on Representational Response Analysis."""

import math
from dataclasses import fields

import torch

from rrahelpers.features import extract
from rrahelpers.models import build
from rrahelpers.representational_response import Response
from rrahelpers.study.claims.claim import Check, entries
from rrahelpers.study.claims.counts import ratio
from rrahelpers.study.claims.readings import Reading, benchmark, computed, row, unpaired, value
from rrahelpers.study.claims.verbs import differs, every, falls, holds, near, not_measured, rises, shows

SETTINGS, AUGMENTATION = "response-settings", "response-augmentation"
SYMMETRIES, SYMMETRIC = "response-symmetries", 0.05  # of the neighbours
WITH, WITHOUT = "with augmentation", "without augmentation"
STAC, BASE, SE, BAM = "STAC - Standard", "Base", "SENet - Standard", "BAM - Standard"
claim = entries("RRA thesis (abstract)", "004")


def orders(name: str, layer: str) -> Reading:
    """Orders of magnitude by which a layer's features are more than the input's."""
    def of():
        image = torch.zeros(1, 3, 32, 32)
        return math.log10(extract(build(name), image, [layer])[layer].numel() / image.numel())
    return computed(of)


def moves(measure: str) -> Reading:
    """A measure of networks trained with augmentation, less that of networks trained without."""
    return unpaired(*(value(AUGMENTATION, measure=measure, training=training, index=range(1, 11))
                      for training in (WITH, WITHOUT)))


def effect_of_k(measure: str) -> Check:
    """Whether a measure goes one way as more neighbours are counted, on average over the layers."""
    def of(table):
        means = table.groupby("setting")["value"].mean()
        ordered = means[sorted(means.index, key=lambda name: int(name.split()[-1]))]
        return ordered.is_monotonic_increasing or ordered.is_monotonic_decreasing
    return shows(SETTINGS, of, study="k", measure=measure)


def top1(label: str, less: str) -> Reading:
    return row("stac-table-1", label, less, panel="CIFAR-10")


CLAIMS = (
    claim("001", "abstract", "What layers answer has one to three orders of magnitude more dimensions than the input",
          every(near(orders("resnet20", "stem"), 2, 1), near(orders("vgg16", "features.0"), 2, 1)),
          note="the largest layers of ResNet20 and VGG16"),
    claim("002", "abstract", "One model of nearest neighbours is behind three metrics that complement one another",
          holds(lambda: {"layers", "pairs", "flow"} <= {f.name for f in fields(Response)}, kind="procedure"),
          note="class similarity, NNTS and NNTP; the thesis isn't at hand: what the last two are is our reading"),
    claim("003", "abstract", "Several metrics cost little more than one: a tenth of the neighbours' time at most",
          falls(benchmark("representational_response", lambda told: told["seconds"]["all measures in one call"]
                          / told["seconds"]["graphs"]), 0.1)),
    claim("004", "abstract: effect of the hyperparameters", "What the settings do to the metrics can be told: the "
          "number of neighbours moves each of them one way", every(*(effect_of_k(m) for m in (
              "class similarity", "NNTS with the layer before", "NNTP from the stem")))),
    claim("005a", "abstract: with and without augmentation", "Augmentation changes class similarity",
          differs(moves("class similarity"))),
    claim("005b", "abstract: with and without augmentation", "Augmentation changes how many neighbours a layer keeps "
          "(NNTS)",
          differs(moves("NNTS"))),
    claim("005c", "abstract: with and without augmentation", "Augmentation changes how long neighbours persist (NNTP)",
          differs(moves("NNTP"))),
    claim("005d", "abstract: with and without augmentation", "What each augmentation does by itself can be told",
          not_measured("networks trained with each of the six alone, several seeds of each", "direction"),
          note="the abstract speaks of augmentation as a whole"),
    claim("006", "abstract: symmetries across pooled resolutions", "Layers have symmetries across pooled resolutions",
          every(*(falls(value(SYMMETRIES, "asymmetry", by="run", a=a, b=b), SYMMETRIC)
                  for a, b in ((1, "2"), (1, "global"), (2, "global")))),
          note="which ones isn't said; our reading: NNTS of two layers stays the same where they exchange scales"),
    claim("007a", "abstract", "STAC improves ResNet20 on CIFAR-10", rises(top1(STAC, BASE))),
    claim("007b", "abstract", "STAC improves ResNet20 on a second data set", rises(
        row("stac-table-3", "S1, S2, S3", "none", column="Img64-50")), note="Tiny-ImageNet-50"),
    claim("008a", "abstract", "STAC is better than BAM and costs less",
          every(rises(top1(STAC, BAM), kind="ordering"), falls(ratio("flops", STAC, BAM), 1))),
    claim("008b", "abstract", "STAC is better than squeeze and excitation, at FLOPs that are within 2 %",
          every(rises(top1(STAC, SE), kind="ordering"), falls(ratio("flops", STAC, SE), 1.02))),
)

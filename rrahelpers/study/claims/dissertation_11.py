"""Dissertation, sections 9.5, 11 and 12: what to do about it."""

import math
import re

import pandas as pd
import torch

from rrahelpers import advisor, complexity
from rrahelpers.advisor import propose
from rrahelpers.models import build
from rrahelpers.study import grids
from rrahelpers.study.claims.claim import entries
from rrahelpers.study.claims.dissertation_9 import TEXT
from rrahelpers.study.claims.layers import SAME, borders, by_width, tail, width
from rrahelpers.study.claims.readings import (
    Effect,
    Numbers,
    Reading,
    computed,
    correlation,
    difference,
    overhead,
    value,
)
from rrahelpers.study.claims.tables import Missing, Tables
from rrahelpers.study.claims.verbs import (
    equals,
    every,
    falls,
    holds,
    near,
    not_possible,
    number,
    rises,
    stated,
    takes,
    trained_as,
    within,
)
from rrahelpers.study.significance import Sample

WIDTHS, TAIL, CUT, VGG19 = (f"advice-figure-{number}" for number in (61, 62, 64, 65))
STUMPS = "advice-stumps"
BEST = (0.2, 0.3)  # average saturation
CUTTABLE = ("VGG11", "VGG13", "VGG16", "VGG19", "ResNet18", "ResNet34", "MPNet18", "MPNet36")
claim = entries("Dissertation", "003")


def fitted(way: str) -> Numbers:
    """How much better cut networks with a fitted classifier are than ``way``, network by network."""
    return value(STUMPS, "accuracy", by="network", way="fitted") - value(STUMPS, "accuracy", by="network", way=way)


def by_factor(tables: Tables) -> pd.DataFrame:
    """Figure 61: top-1 and average saturation of each width, by its factor."""
    rows = tables.numbers(WIDTHS, "saturation")
    found = {}
    for label, part in rows.groupby("network"):
        top1 = re.search(r"top-1 ([\d.]+)", label)
        found[width(label)] = (float(top1[1]) if top1 else math.nan, part.saturation.mean())
    return pd.DataFrame(found, index=["top1", "saturation"]).T


def wider(factor: float, other: float) -> Reading:
    """Points that one width has over another."""
    def of(tables):
        found = by_factor(tables).top1
        if missing := {factor, other} - set(found.index):
            raise Missing(f"{WIDTHS}.csv has no network of {', '.join(map(str, sorted(missing)))} of the width")
        return Effect(found[factor] - found[other], networks=1)
    return of


def best_saturation(tables: Tables) -> Effect:
    """Average saturation of the best width, where one lies in or below the interval that is recommended."""
    found = by_factor(tables)
    if found.saturation.min() > BEST[1]:
        raise Missing(f"all networks of {WIDTHS} are above {BEST[1]:.0%}: wider ones, or easier data, are needed")
    return Effect(found.saturation[found.top1.idxmax()], networks=1)


def below(tables: Tables) -> Effect:
    """Accuracy against saturation among networks below the interval."""
    mean = by_width("saturation")(tables)
    if (mean < BEST[0]).sum() < 3:
        raise Missing(f"fewer than three networks of figure 47 are below {BEST[0]:.0%}: widths of 1 and more are "
            "needed")
    return correlation(lambda t: mean[mean < BEST[0]], lambda t: by_width("accuracy")(t)[mean < BEST[0]])(tables)


def truncated(network: str) -> Reading:
    """Points that a network gains when its tail is cut off."""
    def of(tables):
        rows = tables.numbers(CUT, "top1", network=network).set_index("truncated")
        if len(rows) < 2:
            raise Missing(f"{network} is not trained whole and cut")
        cut, whole = (Sample(r.top1, r.top1_std, int(r.seeds)) for r in (rows.loc[True], rows.loc[False]))
        return difference(cut, whole)
    return of


def cost(network: str, what: str) -> Reading:
    """Parameters or FLOPs of the cut network over the whole one's."""
    def of(tables):
        rows = tables.numbers(CUT, what, network=network).set_index("truncated")[what]
        return Effect(rows[True] / rows[False], exact=True)
    return of


def macs(label: str) -> Reading:
    """Multiply-accumulates of an untrained network for an image of 32 pixels, in billions."""
    return computed(lambda: complexity.count(grids.untrained(label), (3, 32, 32), "macs").flops / 1e9)


def _half_width():
    whole, half = (complexity.count(build("resnet18", stem="imagenet", width=w), (3, 32, 32)).flops for w in (1, 0.5))
    return half / whole


def _places():
    """Of the first block's maps, with CIFAR's stem and with ImageNet's."""
    image = torch.zeros(1, 3, 32, 32)
    small, large = (build("resnet18", stem=stem) for stem in ("imagenet", "cifar"))
    sides = []
    for model in (small, large):
        handle = model.get_submodule("layer1").register_forward_hook(lambda m, x, y: sides.append(y[0, 0].numel()))
        model.eval()(image)
        handle.remove()
    return sides[1] / sides[0]


def _proposals():
    with torch.device("meta"):
        return set(propose(build("vgg16"), 32).proposal)


def _large_images():
    with torch.device("meta"):
        return set(propose(build("vgg11"), 512).proposal)


def _with_a_tail():
    """What is proposed for a VGG11 that sees 134 pixels of 134, with saturations of a tail in its last half."""
    with torch.device("meta"):
        model = build("vgg11")
        layers = [name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Conv2d)]
        return propose(model, 134, dict(zip(layers, [0.5] * 4 + [0.1] * 4))).set_index("proposal")


def _measured_tail():
    return "truncate" in _with_a_tail().index


def _depth_first():
    return _with_a_tail().change["scale the width"] == "by 2"  # of all layers: 1.2


def _tails(tables):
    """At how many different layers VGG16's tail begins, over the widths of figure 62."""
    panels = tables.read(TAIL).panel.unique()
    if len(panels) < 2:
        raise Missing(f"{TAIL}.csv has one width")
    return len({tail(TAIL, panel=panel)(tables).iloc[0] for panel in panels})


def _search(tables):
    if not hasattr(advisor, "search"):
        raise Missing("a search over architectures, which isn't built yet")
    return True


def _shrinks(network):
    """How many times smaller the last receptive field is with CIFAR's stem."""
    def of(tables):
        whole, small = (borders(name, "last r_max")(tables).value for name in (network, f"{network}, CIFAR stem"))
        return Effect(whole / small, exact=True)
    return of


CLAIMS = (
    claim("216", "9.5.1", "Before training, bring receptive field and image size together", holds(
        lambda: {"truncate", "enlarge the images"} <= _proposals(), kind="procedure")),
    claim("217", "9.5.2", "Where what is to be seen is smaller than the image, more layers may be idle",
          takes(propose, "object_size", why="the size of what is to be seen can't be told; the image's is taken")),
    claim("218", "9.5.2", "Where a tail is found, change the network and train it again", holds(
        _measured_tail, kind="procedure")),
    claim("219", "9.5.2", "Or put pooling and softmax on the trained layers before it, which is a probe",
          equals(lambda t: set(t.read(STUMPS).way) >= {"whole", "fitted"}, True, kind="procedure")),
    claim("219b", "9.5.2", "Trained layers before the tail, with a new classifier, do as well as the whole network",
          within(fitted("whole"), SAME), note="follows where a tail adds nothing"),
    claim("219c", "9.5.2", "A new classifier on the trained layers does as well as training the cut network again",
          within(fitted("retrained"), SAME), note="the source names both ways without a comparison"),
    claim("199", "11.2, table 13; figure 61", "Networks of chapter 11: CIFAR-10, ImageNette and ImageWoof; Adam with "
          "1e-4, 60 epochs, batches of 128",
          trained_as(WIDTHS, data="imagenette", optimiser="adam", learning_rate=1e-4, epochs=60, batch_size=128)),
    claim("200a", "11.3, figure 61", "ResNet18 of half the width is the best", rises(wider(0.5, 1.0), kind="ordering")),
    claim("200b", "11.3, figure 61", "ResNet18 of an eighth of the width is much worse than of half: by 5 points",
          rises(wider(0.5, 0.125), 5, kind="ordering")),
    claim("201", "11.3, figure 61", "Half of the width halves memory and FLOPs", near(computed(_half_width), 0.5, 0.05),
          kind="slip", note="it quarters both, but for the first layer"),
    claim("202", "11.3, figure 61", "Average saturations of 20 to 30 % are best",
          near(best_saturation, sum(BEST) / 2, 0.05)),
    claim("203a", "11.3, figures 47 and 61", "Above 20 to 30 % of average saturation accuracy suffers",
          falls(correlation(by_width("saturation"), by_width("accuracy")))),
    claim("203b", "11.3, figures 47 and 61", "Below 20 to 30 % of average saturation nothing is gained", falls(below)),
    claim("205", "11.3, figures 62 and 63", "The width doesn't move VGG16's tail", equals(
        _tails, 1, kind="direction")),
    claim("205b", "11.3, figures 62 and 63", "Figure 62's networks are VGG16 whole and of an eighth of the width, on "
          "ImageWoof", every(trained_as(TAIL, data="imagewoof"), equals(
              lambda t: sorted(width(panel) for panel in t.read(TAIL).panel.unique()), [0.125, 1.0]))),
    claim("206", "11.3", "First the depth is put right, then the width", holds(
        _depth_first, kind="procedure"), note="the width is judged by the layers before the tail"),
    claim("207", "11.3", "Single layers aren't scaled by their saturation", stated(
        "agrees", "the width of the whole network alone is proposed", "procedure")),
    *(claim(f"208{letter}", "11.4, figure 64", f"{name} is better when its tail is cut off", rises(truncated(name)))
      for letter, name in zip("abcdefgh", CUTTABLE)),
    claim("209", "11.4, figure 64", "Cutting saves parameters and FLOPs in all eight networks",
          every(*(falls(cost(name, what), 1, kind="number") for name in CUTTABLE for what in ("params", "flops")))),
    claim("210", "11.4, figure 64", "Ten trainings of each network, whole and cut", equals(
        lambda t: int(t.read(CUT).seeds.min()), 10, kind="procedure")),
    claim("211", "11.4, figure 65", "VGG19 without its tail has none", equals(tail(VGG19, panel="VGG19~ truncated*"), 0,
                                                                  kind="direction")),
    claim("212", "11.4, figures 64 and 65", "VGG19 without its tail is a little better", rises(truncated("VGG19"))),
    claim("213", f"11.4; {TEXT}", "Without the stem receptive fields grow to a fourth",
          every(*(near(_shrinks(n), 4, 0.05) for n in ("ResNet18", "ResNet34")))),
    claim("214", f"11.4; {TEXT}", "Without the stem ResNet18's GFLOPs rise from 0.04 to 0.56",
          every(number(macs("ResNet18"), "0.04"), number(macs("ResNet18, CIFAR stem"), "0.56"))),
    claim("215a", f"11.4; {TEXT}", "ResNet34 has 0.76 GFLOPs", number(macs("ResNet34"), "0.76"), kind="slip",
          note="from 0.076"),
    claim("215b", f"11.4; {TEXT}", "Without the stem ResNet34 has 1.16 GFLOPs", number(macs("ResNet34, CIFAR stem"),
          "1.16")),
    claim("270", "11.4", "Without the stem each map has 16 times the places", number(computed(_places), "16")),
    claim("268", "11.4", "Receptive fields are changed best by adding, removing or moving pooling",
          holds(lambda: {"drop the stem", "move down-sampling"} <= _proposals()
                and "add down-sampling" in _large_images(), kind="procedure")),
    claim("269", "11.4, figures 50 and 70 to 74", "Where images are larger than all receptive fields, layers at the "
          "input are idle", holds(lambda: "shrink the images" in _large_images(), kind="direction"),
          note="that the images be made smaller, or down-sampling added, is proposed"),
    claim("256", "3.1; 11.1", "Four things count: accuracy, parameters, computation, memory",
          holds(lambda: {"params", "flops", "memory"} <= set(propose(build("vgg11"), 32).columns))),
    claim("259", "5.1", "Analysis is quick, easy to read, tells what is inefficient and how to mend it",
          stated("partly", "speed is measured (benchmarks); whether it is easy to read isn't", "procedure")),
    claim("248", "5.1; 12", "Saturation follows training live, at little cost: a third of a step at most",
          falls(overhead(), 1 / 3)),
    claim("249", "12", "To come: a search that rules out architectures beforehand",
          equals(_search, True, kind="procedure")),
    claim("250", "12", "To come: detection and several tasks at once",
          not_possible("data and networks of such tasks are not at hand", "procedure")),
)

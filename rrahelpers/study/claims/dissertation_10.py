"""Dissertation, chapter 10: attention, several paths, shortcuts, and b_min."""

import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch

from rrahelpers.attention import CBAM, SpatialAttention, SqueezeExcitation
from rrahelpers.models import build
from rrahelpers.models.multipath import MPBlock
from rrahelpers.study.claims.claim import Check, entries
from rrahelpers.study.claims.dissertation_9 import RESNETS, SEQUENTIAL, TEXT, drops, panel
from rrahelpers.study.claims.layers import SAME, border, borders, compare, gain_behind, measured, tail
from rrahelpers.study.claims.readings import Effect, Numbers, each
from rrahelpers.study.claims.tables import Where, labelled
from rrahelpers.study.claims.verbs import (
    above,
    equals,
    every,
    holds,
    not_measured,
    number,
    rises,
    shows,
    stated,
    trained_as,
    within,
)

FIGURE, PATHS = "receptive-field-figure-57", "receptive-field-figure-59"
MODULES = ("SE", "spatial", "CBAM")
SATURATION = 0.05  # a twentieth of a layer's dimensions: "the same saturation"
BLOCK_6, BLOCK_8 = "layer3.1.conv2", "layer4.1.conv2"
claim = entries("Dissertation", "003")


def resnet18(module: str = "", shortcuts: bool = True) -> Where:
    """{network: a test of labels}: ResNet18 of whatever width, its accuracy behind."""
    pattern = ("ResNet18" + ("" if shortcuts else ", no shortcuts") + (f", {module}" if module else "")
               + r"(, width [^,]+)?, [01]\.\d+")
    return labelled(pattern, f"ResNet18 {module} {'with' if shortcuts else 'without'} shortcuts")


def moved(module: str, shortcuts: bool) -> Numbers:
    """By how many convolutions a module moves the begin of the tail."""
    return tail(FIGURE, **resnet18(module, shortcuts)) - tail(FIGURE, **resnet18("", shortcuts))


def not_longer(module: str, shortcuts: bool) -> Numbers:
    """Whether the tail begins where it does without the module, or later."""
    by = moved(module, shortcuts)
    return Numbers(lambda tables: by(tables) >= 0)


def changed(column: str, module: str, shortcuts: bool) -> Numbers:
    """Mean difference that a module makes to a column, over the layers, whatever its sign."""
    return compare(FIGURE, column, lambda ours, base: (ours - base).abs().mean(), resnet18(module, shortcuts),
                   resnet18("", shortcuts))


def skip(module: str, layer: str) -> Numbers:
    """By how much probes fall at a layer."""
    def fall(table):
        probes = measured(table, "probe").set_index("layer").probe
        return -probes.diff()[layer]
    return each(FIGURE, fall, **resnet18(module))


def all_modules(check: Callable[[str], Check]) -> Check:
    return every(*(check(module) for module in MODULES))


def apart(network: str) -> Numbers:
    """How far the probes of an MPNet's two paths are from one another, at most, at the same convolution."""
    return compare(PATHS, "probe", lambda small, large: (small - large).abs().max(),
                   *({"panel": f"{network}~, {path} path: *"} for path in ("smallest", "largest")), key="conv")


def tail_at_b_min(figure: str, **where: Any) -> Numbers:
    """How far behind the border layer a network's tail begins, in convolutions."""
    start = tail(figure, **where)
    return Numbers(lambda tables: start(tables) - float(border(tables.read(figure, **where))))


def near_b_min(figure: str, **where: Any) -> Numbers:
    """Whether a tail begins within two layers of the border layer."""
    behind = tail_at_b_min(figure, **where)
    return Numbers(lambda tables: abs(behind(tables)) <= 2)


def zigzags(table: pd.DataFrame) -> bool:
    """r_min falls from layer to layer, and by more the further down the network it is."""
    falls_ = table.sort_values("index").dropna(subset="conv").r_min.diff()
    depths = falls_[falls_ < 0].abs()
    return len(depths) > 2 and depths.iloc[-1] > depths.iloc[0]


def _zigzags(network):
    """Of receptive fields, which no training changes."""
    return lambda tables: bool(each(RESNETS, zigzags, **panel(network, "b_min*"))(tables).all())


def _in_every_block():
    model = build("resnet18", stem="imagenet", attention="se")
    kinds = (SqueezeExcitation, SpatialAttention, CBAM)
    blocks = [m for name, m in model.named_modules() if re.fullmatch(r"layer\d\.\d", name)]
    return len(blocks) == 8 and all(any(isinstance(m, kinds) for m in block.modules()) for block in blocks)


def _sums():
    """A block of an MPNet adds its paths, and keeps the side of the map."""
    with torch.device("meta"):
        block = next(m for m in build("mpnet18").modules() if isinstance(m, MPBlock))
        kinds = {type(m).__name__ for m in block.modules()}
    return {"Conv2d", "BatchNorm2d", "ReLU"} <= kinds and all(
        2 * m.padding[0] + 1 == m.kernel_size[0] for m in block.modules() if isinstance(m, torch.nn.Conv2d))


def _projections():
    names = [name for name, m in build("resnet18", stem="imagenet").named_modules() if name.endswith("downsample")
             and len(list(m.parameters()))]
    return names == ["layer2.0.downsample", "layer3.0.downsample", "layer4.0.downsample"]


def _depth(tables):
    """Convolutions on MPNet18's smallest path, and the classifier."""
    rows = tables.read(PATHS, panel="MPNet18~, smallest path: *")
    return Effect(float(rows.conv.max() + 1), exact=True)


def _layers(tables):
    return Effect(borders("MPNet18", "convolutions")(tables).value + 1, exact=True)


def _same_borders(network):
    return lambda tables: Effect(borders(network, "b_min")(tables).value - borders(network, "b_max")(tables).value,
                                 exact=True)


def _blocks(tables):
    """MPNet36's blocks in each stage, over MPNet18's."""
    blocks = tables.read("receptive-field-figure-58").groupby("network").block.max()
    return Effect(float(blocks["MPNet36"] / blocks["MPNet18"]), exact=True)


def stops(figure: str, rows: Where) -> Check:
    return within(gain_behind(figure, "b_min", **rows), SAME)


CLAIMS = (
    claim("178", "10.1.1, table 12; figure 57", "Networks of chapter 10.1: Adam with 1e-4, 60 epochs, batches of 128",
          trained_as(FIGURE, optimiser="adam", learning_rate=1e-4, epochs=60, batch_size=128)),
    claim("179", "10.1.1, figure 57", "Attention stands in every block, and isn't counted among the layers",
          holds(_in_every_block, kind="procedure")),
    claim("180", "10.1.2, figure 57", "Without shortcuts the tail begins at the same layer with all attention "
          "modules and without",
          all_modules(lambda m: equals(moved(m, False), 0, kind="direction"))),
    claim("181", "10.1.2, figure 57", "With shortcuts the tail begins at the same layer with all attention modules "
          "and without",
          all_modules(lambda m: equals(moved(m, True), 0, kind="direction"))),
    claim("182a", "figure 57", "With shortcuts attention leaves saturation as it is: a twentieth apart at most on "
          "average",
          all_modules(lambda m: within(changed("saturation", m, True), SATURATION))),
    claim("182b", "figure 57", "Without shortcuts attention leaves saturation as it is: a twentieth apart at most on "
          "average",
          all_modules(lambda m: within(changed("saturation", m, False), SATURATION))),
    claim("183", "figure 57", "Attention leaves probes as they are: a point apart on average", every(*(
        within(changed("probe", m, s), SAME) for m in MODULES for s in (True, False)))),
    claim("184a", "10.1.2, figure 57", "ResNet18 skips the second convolutions of blocks 6 and 8: probes fall there",
          every(rises(skip("", BLOCK_6)), rises(skip("", BLOCK_8)))),
    claim("184b", "10.1.2, figure 57", "With spatial attention and CBAM ResNet18 skips those convolutions less",
          every(*(above(skip("", layer), skip(module, layer)) for module in ("spatial", "CBAM")
                  for layer in (BLOCK_6, BLOCK_8)), kind="direction")),
    claim("185", "10.1, figure 57", "Attention doesn't make the tail longer", all_modules(lambda m: every(*(
        equals(not_longer(m, s), True, kind="direction") for s in (True, False))))),
    claim("265", "10.1.2, figure 57", "What attention gains and what is skipped less have nothing to do with each "
          "other",
          not_measured("each of the eight networks with several seeds: gains and skips vary from seed to seed",
                       "direction")),
    claim("186", "10.2", "b_min: from there on to the output every layer's input sees more than the image on all paths",
          stated("partly", "literally, over all paths, that never happens in a ResNet; the printed layers follow "
              "where a down-sampling shortcut counts like the convolution beside it", "definition")),
    claim("187", "10.2", "In sequential networks b_min is b_max", every(*(
        number(_same_borders(n), "0") for n in ("VGG11", "VGG13", "VGG16", "VGG19", "ResNet18, no shortcuts")),
                                                                       kind="direction")),
    claim("188a", f"10.2.1, figure 58; {TEXT}", "MPNet18 is 18 layers deep", number(_depth, "18")),
    claim("188b", f"10.2.1, figure 58; {TEXT}", "MPNet18 has 34 layers", number(_layers, "34")),
    claim("189a", "10.2.1, figure 58", "MPNet36 has twice the blocks in each stage", number(_blocks, "2")),
    claim("189b", "10.2.1, figure 58", "MPNet36's paths differ in depth",
          equals(each("receptive-field-figure-58", lambda t: (t[t.block > 0].groupby(["block"]).kernels.apply(
              lambda k: k.astype(str).str.split().str.len().nunique()) > 1).all(), network="MPNet36"), True,
                 kind="definition"), note="the layers of a block are those of the dissertation's program"),
    claim("190", "10.2.2, figure 59", "Probes of an MPNet's two paths behave alike: three points apart at most",
          within(apart("MPNet18"), 0.03)),
    claim("191", "10.2.2, figure 59", "In MPNet18 b_max has no influence: probes rise long after it",
          rises(gain_behind(PATHS, "b_max", panel="MPNet18~, largest path: *"), SAME)),
    claim("192", "10.2.2, figure 59", "In MPNet18 probes stop rising at b_min", stops(PATHS, {"panel": "MPNet18~, "
          "smallest path: *"})),
    claim("193", "10.2.2, figure 59", "In MPNet36 probes rise long after b_max and stop at b_min", every(
        rises(gain_behind(PATHS, "b_max", panel="MPNet36~, largest path: *"), SAME),
        stops(PATHS, {"panel": "MPNet36~, smallest path: *"}))),
    claim("266", "10.2.1", "MPNet adds its paths; padding keeps the side; normalisation and ReLU behind each "
          "convolution",
          holds(_sums)),
    claim("267", "10.3", "A shortcut has parameters only where its block down-samples", holds(_projections)),
    claim("194", f"10.3.2, figure 60; {TEXT}", "b_min of ResNet18 is 11, of ResNet34 17",
          every(number(borders("ResNet18", "b_min"), "11"), number(borders("ResNet34", "b_min"), "17"))),
    claim("195", "10.3.2, figure 60", "In ResNet18 and ResNet34 probes stop rising at b_min",
          every(*(stops(RESNETS, panel(n, "b_min*")) for n in ("ResNet18", "ResNet34")))),
    claim("196", "10.3.2, figure 60", "Probes fall at single layers behind the border layer alone",
          every(*(shows(RESNETS, lambda t: (drops(t).conv >= border(t)).all(), **panel(n, "b_min*"))
                  for n in ("ResNet18", "ResNet34")))),
    claim("197", "10.3.2, figure 60", "r_min zigzags, the more the further it was down-sampled", every(*(
        equals(_zigzags(n), True, kind="direction") for n in ("ResNet18", "ResNet34")))),
    claim("198", "10.4, figures 52 and 60", "No saturation and no probes are needed to find the tail: it begins at "
          "b_min, within two layers", every(*(
              equals(near_b_min(f, **w), True, kind="direction")
              for f, w in (*((SEQUENTIAL, panel(n)) for n in ("VGG11", "VGG13", "VGG16", "VGG19")),
                           (SEQUENTIAL, panel("ResNet18, no shortcuts")),
                           *((RESNETS, panel(n, "b_min*")) for n in ("ResNet18", "ResNet34")))))),
)

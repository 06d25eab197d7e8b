"""Dissertation, sections 9.3 and 9.4, appendix F: border layers, and what happens behind them."""

import pandas as pd
import torch
from torch import nn

from rrahelpers.models import build
from rrahelpers.receptive_field import border_layer, receptive_fields
from rrahelpers.study.claims.claim import Check, Claim, entries
from rrahelpers.study.claims.layers import (
    SAME,
    accuracy,
    borders,
    drop_behind,
    gain_behind,
    measured,
    tail,
)
from rrahelpers.study.claims.readings import Effect, computed
from rrahelpers.study.claims.tables import Where
from rrahelpers.study.claims.verbs import (
    above,
    equals,
    every,
    falls,
    holds,
    near,
    number,
    rises,
    shows,
    trained_as,
    within,
)

SEQUENTIAL, RESNETS = "receptive-field-figures-52-53", "receptive-field-figures-55-56-60"
NARROW, DENSE = "receptive-field-figures-82-83", "receptive-field-figures-84-85"
WHOLE = {"VGG16": "receptive-field-whole"}  # of the source's own recipe, width and length
TEXT = "Border layers, receptive fields and GFLOPs in the text (9.3 to 11.4)"
VGG = {"VGG11": 6, "VGG13": 7, "VGG16": 8, "VGG19": 8}  # with their border layers
LINE = 0.005  # what a curve may fall and still be called rising
claim = entries("Dissertation", "003")


def panel(network: str, bound: str = "*") -> Where:
    return {"panel": f"{network}~: {bound}"}


def stops(figure: str, network: str, bound: str = "b_min") -> Check:
    """From the border layer on probes gain nothing: a point at most."""
    return within(gain_behind(figure, bound, **panel(network, bound + "*" if figure == RESNETS else "*")), SAME)


def begins(figure: str, network: str, layer: int) -> Check:
    return equals(tail(figure, **panel(network)), layer)


def layers(id: str, place: str, network: str, figure: str = SEQUENTIAL, bound: str = "b_min") -> list[Claim]:
    """Two claims about a sequential network: probes, and saturation."""
    return [claim(id, place, f"{network}: probes stop rising at the border layer", stops(figure, network, bound)),
            claim(f"{id}-saturation", place, f"{network}: behind it saturation is lower",
                  falls(drop_behind(figure, bound, **panel(network))))]


def drops(table: pd.DataFrame, least: float = SAME) -> pd.DataFrame:
    """Convolutions at which probes fall by more than a point."""
    rows = measured(table, "probe").dropna(subset="conv")
    return rows[rows.probe.diff() < -least]


def _dilated():
    """The side of what a 3x3 kernel with dilation 3 covers."""
    return receptive_fields(nn.Sequential(nn.Conv2d(1, 1, 3, dilation=3)), 16).r_max.iloc[0]


def _first_beyond():
    """In VGG11 at 32 pixels: the first convolution whose input sees more than the image."""
    with torch.device("meta"):
        table = receptive_fields(build("vgg11"), 32)
    convolutions = table[table.conv.notna()]
    return border_layer(table, 32, "max") == convolutions[convolutions.r_max_in > 32].layer.iloc[0]


def _shrinks(tables):
    """How many times smaller ResNet18's last receptive field is with CIFAR's stem."""
    whole, small = (borders(name, "last r_max")(tables).value for name in ("ResNet18", "ResNet18, CIFAR stem"))
    return Effect(whole / small, exact=True)


CLAIMS = (
    claim("148", "9.3", "The border layer is the first whose input sees more than the whole image",
          holds(_first_beyond)),
    claim("149", f"9.3.1, figure 52; {TEXT}", "Border layers of VGG11, 13, 16 and 19: 6, 7, 8 and 8",
          every(*(number(borders(name, "b_max"), str(layer)) for name, layer in VGG.items()))),
    claim("150", f"9.3.1, figure 53a; {TEXT}", "Border layer of ResNet18 without shortcuts: 5",
          number(borders("ResNet18, no shortcuts", "b_max"), "5")),
    claim("151", f"9.3.1, figure 53b; {TEXT}", "Border layer of VGG19 with dilation 3: 5",
          number(borders("VGG19, dilation 3", "b_max"), "5")),
    claim("152", "9.3.1", "Dilation 3 makes kernels of 9x9 out of 3x3", number(computed(_dilated), "9"), kind="slip",
          note="they cover 7x7; with 9x9 the border layer would be 4, not the printed 5"),
    claim("153", "9.3.1, table 11; figures 52, 53 and 82", "Networks of chapter 9.3: 60 epochs of SGD from 0.1, a "
          "tenth every 20, batches of 64",
          trained_as(SEQUENTIAL, epochs=60, optimiser="sgd", learning_rate=0.1, schedule="steps", step_epochs=20,
                     batch_size=64, weight_decay=0.0)),
    *(part for letter, name in zip("abcd", VGG)
      for part in layers(f"154{letter}", "9.3.2, figure 52", name, WHOLE.get(name, SEQUENTIAL))),
    *(claim(f"155{letter}", "9.3.2, figure 52", f"{name}: its tail begins at the border layer, {layer}",
            begins(WHOLE.get(name, SEQUENTIAL), name, layer)) for letter, (name, layer) in zip("abcd", VGG.items())),
    *layers("156", "9.3.2, figure 53a", "ResNet18, no shortcuts"),
    *layers("157", "9.3.2, figure 53b", "VGG19, dilation 3"),
    claim("163", f"9.4.1, figure 55; {TEXT}", "b_max of ResNet18 and ResNet34 is 5",
          every(*(number(borders(name, "b_max"), "5") for name in ("ResNet18", "ResNet34")))),
    claim("164", "9.4.2, figure 55", "With shortcuts probes rise long after b_max",
          every(*(rises(gain_behind(RESNETS, "b_max", **panel(n, "b_max*")), SAME) for n in ("ResNet18", "ResNet34")))),
    claim("165a", "9.4.2, figures 53 and 55", "ResNet18 is better with its shortcuts",
          above(accuracy(RESNETS, **panel("ResNet18", "b_max*")), accuracy(SEQUENTIAL, **panel("ResNet18, no "
              "shortcuts")))),
    claim("165b", "9.4.2, figure 55", "ResNet18 with its shortcuts: 84.61 %",
          number(accuracy(RESNETS, **panel("ResNet18", "b_max*")), "84.61%")),
    claim("165c", "9.4.2, figure 53", "ResNet18 without its shortcuts: 79.05 %",
          number(accuracy(SEQUENTIAL, **panel("ResNet18, no shortcuts")), "79.05%")),
    claim("166", "9.4.2, figures 52 and 55", "At 32 pixels ResNets do worse than VGG",
          every(*(above(accuracy(SEQUENTIAL, **panel(v)), accuracy(RESNETS, **panel(r, "b_max*")))
                  for v in VGG for r in ("ResNet18", "ResNet34")))),
    claim("167", f"9.4.2; {TEXT}", "VGG19's last receptive field: 252 pixels", number(borders("VGG19", "last r_max"),
          "252")),
    claim("168", f"9.4.2; {TEXT}", "ResNet18's last receptive field: 413 pixels", number(borders("ResNet18", "last "
          "r_max"), "413"),
          kind="slip",
          note="by its own equation 9, and by the gradient, 435"),
    claim("169", f"9.4.2; {TEXT}", "ResNet34's last receptive field: more than 800 pixels",
          rises(borders("ResNet34", "last r_max"), 800, kind="number")),
    claim("170", f"9.4.2; {TEXT}", "ResNet18's last receptive field with CIFAR's stem: 109 pixels",
          number(borders("ResNet18, CIFAR stem", "last r_max"), "109")),
    claim("171", "9.4.1", "CIFAR's stem divides receptive fields by about 8", near(_shrinks, 8, 1), kind="slip",
          note="by 4, as figure 56 and section 11.4 say"),
    claim("172", f"9.4.2, figure 56; {TEXT}", "With CIFAR's stem the border layer is 13, in ResNet18 and in ResNet34",
          every(number(borders("ResNet18, CIFAR stem", "b_max"), "13"),
                number(borders("ResNet34, CIFAR stem", "b_max"), "13"))),
    claim("173a", "9.4.2, figure 56", "ResNet18 with CIFAR's stem has no tail",
          equals(tail(RESNETS, **panel("ResNet18, CIFAR stem")), 0, kind="direction")),
    claim("173b", "9.4.2, figure 56", "ResNet34 with CIFAR's stem has no tail",
          equals(tail(RESNETS, **panel("ResNet34, CIFAR stem")), 0, kind="direction")),
    claim("174", "9.4.2, figure 56", "With CIFAR's stem probes rise over the whole network",
          every(*(shows(RESNETS, lambda t: drops(t, LINE).empty, **panel(f"{n}, CIFAR stem"))
                  for n in ("ResNet18", "ResNet34")))),
    claim("175a", "9.4.2, figures 55 and 56", "CIFAR's stem makes ResNet18 better",
          above(accuracy(RESNETS, **panel("ResNet18, CIFAR stem")), accuracy(RESNETS, **panel("ResNet18", "b_max*")))),
    claim("175b", "9.4.2, figure 56", "ResNet18 with CIFAR's stem: 91.95 %", number(accuracy(RESNETS,
          **panel("ResNet18, CIFAR stem")), "91.95%")),
    claim("176a", "9.4.2, figures 55 and 56", "CIFAR's stem makes ResNet34 better",
          above(accuracy(RESNETS, **panel("ResNet34, CIFAR stem")), accuracy(RESNETS, **panel("ResNet34", "b_max*")))),
    claim("176b", "9.4.2, figures 55 and 56", "ResNet34: 82.76 % with ImageNet's stem, 92.21 % with CIFAR's",
          every(number(accuracy(RESNETS, **panel("ResNet34", "b_max*")), "82.76%"),
                number(accuracy(RESNETS, **panel("ResNet34, CIFAR stem")), "92.21%"))),
    claim("177", "9.4.2, figure 55", "Only layers of the tail are skipped, so that probes fall",
          every(*(shows(RESNETS, lambda t: (drops(t).in_tail.astype(str) == "True").all(), **panel(n, "b_max*"))
                  for n in ("ResNet18", "ResNet34")))),
    claim("264", "9.4, figures 53 and 55", "Shortcuts spread the inference over more layers: the tail begins later",
          rises(tail(RESNETS, **panel("ResNet18", "b_max*")) - tail(SEQUENTIAL, **panel("ResNet18, no shortcuts")))),
    *(claim(f"239{letter}", "F.1, figure 82", f"{name} of an eighth of the width: its tail begins where the wider "
            "one's does",
            equals(tail(NARROW, **panel(f"{name}, 1/8 width")) - tail(SEQUENTIAL, **panel(name)), 0, kind="direction"),
            note="restated after results were seen: a first form asked for a tail from the border layer on, which the "
            "source says of whole networks. The wider one is of the width of figure 52's here")
      for letter, name in zip("abcd", VGG)),
    claim("240", "F.1, figure 82", "Even at an eighth of the width probes hardly gain behind the border layer",
          every(*(stops(NARROW, f"{name}, 1/8 width") for name in VGG))),
    *(part for letter, name in zip("ab", ("VGG11", "VGG16"))
      for part in layers(f"241{letter}", "F, figure 83", f"Tiny-ImageNet-50, {name}", NARROW)),
    claim("242a", "F.4, figure 84", "In DenseNet18 probes go on rising behind b_max",
          rises(gain_behind(DENSE, "b_max", **panel("DenseNet18")), SAME)),
    claim("242b", "F.4, figure 84", "In DenseNet18 probes stop rising at b_min", stops(DENSE, "DenseNet18")),
    claim("243", "F.4, figure 85", "In DenseNet65 probes go on rising behind b_max and stop at b_min", every(
        rises(gain_behind(DENSE, "b_max", **panel("DenseNet65")), SAME), stops(DENSE, "DenseNet65"))),
)

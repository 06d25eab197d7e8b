"""STAC paper, sections 6.4 and 7: how to choose windows (table 5), and what is recommended; its own slips; its summary.
"""

import pandas as pd

from rrahelpers.attention import WINDOW
from rrahelpers.study import published, strategies
from rrahelpers.study.claims.claim import entries
from rrahelpers.study.claims.counts import apart, as_printed
from rrahelpers.study.claims.curves import CIFAR
from rrahelpers.study.claims.readings import Effect
from rrahelpers.study.claims.stac_ablations import levels, top1
from rrahelpers.study.claims.tables import Tables
from rrahelpers.study.claims.verbs import (
    equals,
    every,
    holds,
    not_measured,
    not_possible,
    number,
    rises,
    stated,
    within,
)

GRID = "STAC in one stage alone for every window on Tiny-ImageNet-50: 18 networks for each seed"
CHOICES = {"Greedy (16 8 1)": "90.8 ± 0.2", "Max CS (8 4 8)": "90.5 ± 0.2", "Max Uni. (8 8 8)": "90.6 ± 0.2"}
GREEDY, MAXIMUM, UNIFORM = CHOICES
claim = entries("STAC paper", "000")
summary = entries("STAC paper, summary", "001")


def greedy(tables: Tables) -> tuple[int, ...]:
    """Our own greedy windows on CIFAR-10, by stage."""
    grid = tables.numbers("stac-stage-grid", "window", data="CIFAR-10").rename(columns={"top1": "accuracy"})
    return strategies.greedy(grid)


def maximum(tables: Tables) -> tuple[int, ...]:
    """Our own windows of the highest class similarity on CIFAR-10, by stage: of figure 4a's networks."""
    return strategies.maximum_class_similarity(tables.read(CIFAR))


def img64_maximum(tables: Tables) -> tuple[int, ...]:
    label = tables.read("stac-table-5", column="Img64-50", label="Max CS, ours*").label.iloc[0]
    return tuple(int(window) for window in label.partition("(")[2].strip(")").split())


def _uniform():
    rows = published.table(5)
    options = rows[rows.label.str.startswith("Max Uni")].options
    return [chosen.get("window", WINDOW) for chosen in options] == [8, 16]


def _greedy_of_each_stage():
    """Two stages, two windows: each stage has the window of its own best network."""
    grid = pd.DataFrame([(1, 4, 0.8), (1, 8, 0.9), (2, 4, 0.85), (2, 8, 0.7)], columns=["stage", "window", "accuracy"])
    return strategies.greedy(grid) == (8, 4)


def _maximum_of_each_stage():
    """Maps of 8 and 4 places, two blocks each: the scale of the highest mean over a stage's blocks."""
    curves = [{"1": (0.2, 0.2), "2": (0.3, 0.5), "4": (0.6, 0.1)}, {"1": (0.4, 0.4), "2": (0.5, 0.5), "4": (0.6, 0.6)}]
    rows = [{"layer": f"stages.{stage}.{block}", "scale": scale, "side": 8 >> stage, "value": value}
            for stage, scales in enumerate(curves) for scale, values in scales.items()
            for block, value in enumerate(values)]
    return strategies.maximum_class_similarity(pd.DataFrame(rows)) == (2, 4)


def _recommended(stage):
    return lambda tables: 4 <= greedy(tables)[stage] <= 16


def _printed_twice(tables):
    """Table 4's and table 5's accuracy of window 16 everywhere on Img64-50, one less the other."""
    four, five = (published.table(n).query("data == 'Img64-50' and label == @label").accuracy.iloc[0]
                  for n, label in ((4, "P 16"), (5, "Max Uni. (16 16 16)")))
    return Effect(float(four - five), exact=True)


CLAIMS = (
    claim("005", "abstract; 6.4, table 5", "Windows chosen by class similarity rival those of an extensive search: "
          "within 0.3 points of the greedy ones on CIFAR-10", within(top1(5, MAXIMUM, GREEDY), 0.3, kind="ordering"),
          note="0.3 points is what the table prints"),
    claim("121", "6.4", "Greedy: try every window in one stage alone, and give each stage the best of its own",
          holds(_greedy_of_each_stage, kind="procedure")),
    claim("122", "6.4", "Maximum: give each stage the window of its highest class similarity",
          holds(_maximum_of_each_stage, kind="procedure"), note="here by the mean over a stage's blocks"),
    claim("123", "6.4", "Uniform: the side of the last stage's map everywhere", holds(_uniform, kind="procedure")),
    claim("124", "6.4, table 5", "Greedy windows on CIFAR-10: 16, 8 and 1", equals(greedy, (16, 8, 1))),
    claim("125", "6.4, table 5", "Greedy windows on Img64-50: 32, 4 and 2", not_measured(GRID, "number")),
    claim("126", "6.4, table 5", "Windows of the highest class similarity on CIFAR-10: 8, 4 and 8",
          equals(maximum, (8, 4, 8))),
    claim("127", "6.4, table 5", "Windows of the highest class similarity on Img64-50: 8, 8 and 16",
          equals(img64_maximum, (8, 8, 16)),
          note="of Tiny-ImageNet-50 here"),
    *levels("128", 5, CHOICES),
    claim("128d", "6.4, table 5", "On CIFAR-10 greedy is the best, then uniform, then class similarity",
          every(rises(top1(5, GREEDY, UNIFORM), kind="ordering"), rises(top1(5, UNIFORM, MAXIMUM)))),
    claim("129", "6.4, table 5", "On Img64-50 the three are alike: 73.5, 73.4 and 73.5 %",
          not_measured("the three choices on Tiny-ImageNet-50, several networks of each, 100 epochs", "ordering")),
    claim("130", "6.4, table 5", "FLOPs of the three choices", as_printed(5)),
    claim("132", "6.4, table 5", "On CIFAR-10 greedy needs 13M FLOPs more",
          number(apart("flops", (5, GREEDY), (5, MAXIMUM)), "13M"), note="than the choice by class similarity; 13.8M "
              "more than the uniform one"),
    claim("133", "6.4, table 5", "Greedy windows get smaller from stage to stage",
          equals(lambda t: greedy(t)[0] > greedy(t)[1] > greedy(t)[2], True, kind="direction")),
    claim("134a", "6.4, table 5", "Class similarity favours windows of much the same size: they differ by a factor "
          "of 2 at most", equals(lambda t: max(maximum(t)) <= 2 * min(maximum(t)), True, kind="direction")),
    claim("134b", "6.4, table 5", "In the last stage the window of the highest class similarity is the whole map",
          every(equals(lambda t: maximum(t)[2], 8, kind="direction"), equals(lambda t: img64_maximum(t)[2], 16))),
    claim("135", "7", "Windows of about 4 to 16 are to be recommended: the best of each stage alone lies there",
          every(*(equals(_recommended(stage), True) for stage in range(3)))),
    claim("136", "7; tables 2, 4 and 5", "Used in all stages, STAC hardly depends on its hyperparameters: within a "
          "point of the default", every(*(within(top1(n, label, default), 1.0) for n, default, labels in (
              (2, "C1 3, C2 3", ("C1 1, C2 3", "C1 3, C2 1")), (4, "P 8", ("P 2", "P 4")), (5, UNIFORM, (GREEDY,
                  MAXIMUM)))
              for label in labels)), note="a point is the size of the gain that is to be kept"),
    claim("131", "6.4, tables 4 and 5", "One network, window 16 in all stages on Img64-50, is printed with one "
          "accuracy",
          number(_printed_twice, "0.0"), kind="slip", note="73.6 in table 4, 73.5 in table 5"),
    summary("001", "summary", "The abstract's four numbers again",
            not_possible("two of the four are of ImageNet64x64, which is not at hand", "number"),
            note="the other two: claims 000-003 and 000-004"),
    summary("002", "quick summary", "STAC improves networks that have squeeze and excitation by up to 0.5 %", stated(
        "disagrees", "the paper has 0.5 points over such networks; nowhere is STAC added to them", "slip")),
)

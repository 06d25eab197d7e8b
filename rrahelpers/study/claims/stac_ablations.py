"""STAC paper, sections 6.1 to 6.3: kernels, stages and windows (tables 2 to 4)."""

from collections.abc import Mapping
from itertools import combinations

from rrahelpers.study.claims.claim import Check, Claim, entries
from rrahelpers.study.claims.counts import apart, as_printed, ratio
from rrahelpers.study.claims.readings import Reading, Row, row
from rrahelpers.study.claims.verbs import every, falls, not_measured, number, rises, trained_as, within

IMG64 = {"column": "Img64-50"}
ROWS = "this table's rows on Tiny-ImageNet-50, which stands in for Img64-50: several networks of each, 100 epochs"
KERNELS = {"C1 1, C2 1": "90.3 ± 0.2", "C1 1, C2 3": "90.4 ± 0.1", "C1 3, C2 1": "90.6 ± 0.3",
           "C1 3, C2 3": "90.6 ± 0.2"}
STAGES = {"none": "89.9 ± 0.2", "S1": "90.1 ± 0.2", "S2": "90.4 ± 0.3", "S3": "90.1 ± 0.2", "S1, S2, S3": "90.6 ± 0.2"}
WINDOWS = {"P 1": "90.7 ± 0.3", "P 2": "90.6 ± 0.2", "P 4": "90.5 ± 0.2", "P 8": "90.6 ± 0.2", "P GAP": "90.5 ± 0.2"}
NONE, FIRST, SECOND, THIRD, ALL = STAGES
SMALL, BEHIND, BEFORE, BOTH = KERNELS  # where the 3x3 kernel is
SE = "SENet - Standard"
claim = entries("STAC paper", "000")


def top1(number: int, label: str, less: str | Row | None = None, column: str = "CIFAR10") -> Reading:
    """Top-1 in percent of a row of tables 2 to 5, or points over another row."""
    return row(f"stac-table-{number}", label, less, column=column)


def better(number: int, label: str, *others: str, column: str = "CIFAR10") -> Check:
    """A row is above each of some others."""
    return every(*(rises(top1(number, label, other, column), kind="ordering") for other in others))


def levels(id: str, number_: int, printed: Mapping[str, str]) -> list[Claim]:
    """One claim for each row's printed accuracy on CIFAR-10."""
    return [claim(f"{id}{letter}", f"6, table {number_}", f"{label}: {text} % top-1 on CIFAR-10",
                  number(top1(number_, label), text, of=8)) for letter, (label, text) in zip("abcde", printed.items())]


CLAIMS = (
    claim("098", "6, table 2", "Unless said otherwise: ResNet20 with windows of 8, 8 networks of each",
          trained_as("stac-table-2", model="resnet20", networks=8)),
    claim("100", "6.1, table 2", "FLOPs and parameters for kernels of 1x1 and 3x3", as_printed(2)),
    *levels("101", 2, KERNELS),
    claim("101f", "6.1, table 2", "On CIFAR-10 two 3x3 kernels are better than two of 1x1", better(2, BOTH, SMALL)),
    claim("102", "6.1, table 2", "Kernels on Img64-50: 73.3, 73.4, 73.6 and 73.6 %", not_measured(ROWS, "number")),
    claim("103a", "6.1, tables 2 and 1", "Two 1x1 kernels need just more FLOPs than squeeze and excitation: less "
          "than 0.2 % more", every(rises(apart("flops", (2, SMALL), SE), kind="number"),
                              falls(ratio("flops", (2, SMALL), SE), 1.002))),
    claim("103b", "6.1, tables 2 and 1", "Two 1x1 kernels have the same parameters as squeeze and excitation",
          number(apart("params", (2, SMALL), SE), "0")),
    claim("104a", "6.1, tables 2 and 4", "Two 1x1 kernels score within 0.3 points of squeeze and excitation on "
          "CIFAR-10",
          within(top1(2, SMALL, ("stac-table-1", SE, {"panel": "CIFAR-10"})), 0.3)),
    claim("104b", "6.1, tables 2 and 4", "Two 1x1 kernels score within 0.3 points of squeeze and excitation on "
          "Img64-50", not_measured(ROWS, "number")),
    claim("105a", "6.1, table 2", "A 3x3 kernel first and a 1x1 behind it is a little better than the other way "
          "round, on CIFAR-10", better(2, BEFORE, BEHIND)),
    claim("105b", "6.1, table 2", "A 3x3 kernel first and a 1x1 behind it is a little better than the other way "
          "round, on Img64-50", better(2, BEFORE, BEHIND, column="Img64-50")),
    claim("106a", "6.1, table 2", "A 3x3 kernel before a 1x1 equals two 3x3 kernels: within 0.1 points",
          within(top1(2, BEFORE, BOTH), 0.1), note="0.1 points is the last printed digit"),
    claim("106b", "6.1, table 2", "A 3x3 kernel before a 1x1 has a higher deviation between networks than two 3x3 "
          "kernels",
          not_measured("two 3x3 kernels and this row with some ten networks each, which tell two deviations apart",
                       "direction")),
    claim("107", "6.2, table 3", "FLOPs and parameters with STAC in single stages", as_printed(3)),
    *levels("108", 3, STAGES),
    claim("109", "6.2, table 3", "On CIFAR-10 STAC helps in every stage alone",
          every(*(rises(top1(3, stage, NONE)) for stage in (FIRST, SECOND, THIRD)))),
    claim("109b", "6.2, table 3", "The second stage alone helps most", better(3, SECOND, FIRST, THIRD)),
    claim("110", "6.2, table 3", "STAC in the second stage alone falls 0.2 points short of all stages",
          number(top1(3, SECOND, ALL), "-0.2 ± 0.25", of=4)),
    claim("111a", "6.2, table 3", "On Img64-50 a deeper stage gains more",
          every(better(3, THIRD, SECOND, **IMG64), better(3, SECOND, FIRST, **IMG64))),
    claim("111b", "6.2, table 3", "On Img64-50 no stage alone comes near all of them: at least 0.6 points are missing",
          every(*(falls(top1(3, stage, ALL, "Img64-50"), -0.55, kind="ordering")
                  for stage in (FIRST, SECOND, THIRD)))),
    claim("112", "6.2, table 3", "On Img64-50 all stages gain 2.0 points over none",
          number(top1(3, ALL, NONE, "Img64-50"), "2.0 ± 0.5", of=4), note="of Tiny-ImageNet-50 here"),
    claim("113", "6.3, table 4", "FLOPs and parameters for windows of 1 to global", as_printed(4)),
    *levels("114", 4, WINDOWS),
    claim("115", "6.3, table 4", "On CIFAR-10 all windows are within 0.2 points of the best",
          every(*(within(top1(4, a, b), 0.2) for a, b in combinations(WINDOWS, 2)))),
    claim("116", "6.3, table 4", "A window of 1 is the best on CIFAR-10",
          better(4, "P 1", *(label for label in WINDOWS if label != "P 1"))),
    claim("117", "6.3, table 4", "A window of 1 needs more than twice the FLOPs of global pooling",
          rises(ratio("flops", (4, "P 1"), (4, "P GAP")), 2, kind="number")),
    claim("118", "6.3, table 4", "Windows on Img64-50: 73.1, 73.7, 73.6, 73.6, 73.6 and 73.0 %", not_measured(ROWS,
          "number")),
    claim("119", "6.3, table 4", "On Img64-50 the smallest and the largest window are at least 0.5 points below the "
          "others",
          every(*(falls(top1(4, label, "P 8", "Img64-50"), -0.45, kind="ordering") for label in ("P 1", "P GAP")))),
    claim("120a", "6.3, table 4", "Larger windows cost less",
          every(*(falls(apart("flops", (4, a), (4, b), "Img64-50"), kind="direction")
                  for a, b in (("P 2", "P 1"), ("P 4", "P 2"), ("P 8", "P 4"), ("P 16", "P 8"))))),
    claim("120b", "6.3, table 4", "On Img64-50 larger windows vary more from run to run", not_measured(
        "windows of 2 to 16 on Tiny-ImageNet-50 with some ten networks each, which tell deviations apart",
        "direction")),
)

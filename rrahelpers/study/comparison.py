"""Published beside measured: accuracies over seeds, and counts.

Tables come from :func:`rrahelpers.study.grids.cells` (published columns), their ``runs`` from
:func:`rrahelpers.study.grids.with_runs`. Accuracies are top-1 in percent, differences in percentage points.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import pandas as pd
import torch

from rrahelpers import complexity, models
from rrahelpers.complexity import Complexity
from rrahelpers.study import published
from rrahelpers.study.significance import Difference, Sample, sample, variation, welch
from rrahelpers.training.runs import Run

PUBLISHED_SEEDS = 8  # STAC paper, section 3.1: every printed number is the average of 8 networks


def measured(runs: Iterable[Run]) -> Sample:
    """Top-1 accuracies of some runs, in percent, as a :class:`Sample`."""
    return sample([100 * run.accuracy for run in runs])


def top1(table: pd.DataFrame, reference: dict) -> pd.DataFrame:
    """Published and measured accuracy of every row, tidy: for plots, and as the figure's data.

    ``reference``: the options of the network that others are compared with.

    Returns two rows for each row of ``table``: label, who ("published", "measured"), mean, std, seeds, diverged,
    status, and the difference to the reference with low and high. ``diverged``: networks that did, which are in no
    mean: where there are any there is no interval, as it would be one of the lucky. ``status``: "measured", "diverged"
    (all of them), "not trained yet" (it is in the grid) or "not in this profile"; of published rows "printed",
    "unstable" (no number is printed), or nothing for a row of ours. ``open``: why there is no interval, where there is
    a difference alone.
    """
    samples = [(row, Sample(row.accuracy, row.accuracy_std, PUBLISHED_SEEDS), measured(row.runs))
               for row in table.itertuples()]
    base = next(((row, p, m) for row, p, m in samples if row.options == reference), None)
    if base is None:
        raise ValueError(f"no row has the reference's options {reference}; labels: {', '.join(table.label)}")
    rows = []
    for row, printed, ours in samples:
        itself = row.options == reference
        for who, value, other, diverged, status in (
                ("published", printed, base[1], (0, 0), _printed_status(row, printed)),
                ("measured", ours, base[2], (_diverged(row), _diverged(base[0])), _measured_status(row, ours))):
            difference = Difference(0.0 if value.n else math.nan, math.nan, math.nan) if itself else welch(value, other)
            if any(diverged):
                difference = difference._replace(low=math.nan, high=math.nan)
            rows.append({"label": row.label, "who": who, **value._asdict(), "diverged": diverged[0], "status": status,
                         "reference": itself, "difference": difference.value, "low": difference.low,
                         "high": difference.high,
                         "open": "" if itself or math.isnan(difference.value)
                         else _open(value, other, diverged, difference)})
    return pd.DataFrame(rows).rename(columns={"n": "seeds"})


def top1_for_reading(table: pd.DataFrame, reference: dict) -> pd.DataFrame:
    """:func:`top1` as text, one row for each row of ``table``, differences with their 95 % intervals."""
    tidy = top1(table, reference)
    columns = {}
    for who in ("published", "measured"):
        rows = tidy[tidy.who == who]
        columns[f"{who} top-1 (%)"] = [_mean(row) for row in rows.itertuples()]
        columns[f"{who} difference [95 %]"] = [_difference(row) for row in rows.itertuples()]
    return pd.DataFrame({"": table.label.tolist(), **columns}).set_index("")


def rivals_for_reading(table: pd.DataFrame, own: dict) -> pd.DataFrame:
    """Differences of the row whose options are ``own`` to every other row, published and measured, as text."""
    tidy, label = top1(table, own), table.label[[options == own for options in table.options]].iloc[0]
    rows = []
    for other in table.label[[options != own for options in table.options]]:
        found = {row.who: row for row in tidy[tidy.label == other].itertuples()}
        rows.append({f"{label} less": other, **{who: _flipped(found[who]) for who in ("published", "measured")}})
    return pd.DataFrame(rows)


def single_networks(tables: Mapping[str, Sequence[pd.DataFrame]]) -> pd.DataFrame:
    """Top-1 accuracy of every network of some tables with ``stage`` and ``window``: {title: tables} as rows of data,
    stage, window, seed, top1."""
    rows = [[name, row.stage, row.window, run.config.seed, 100 * run.accuracy]
            for name, parts in tables.items() for table in parts for row in table.itertuples() for run in row.runs]
    return pd.DataFrame(rows, columns=["data", "stage", "window", "seed", "top1"])


def published_variation(table: pd.DataFrame) -> str:
    """Whether the printed rows of ``table`` differ by more than seeds do
    (:func:`rrahelpers.study.significance.variation`), as text."""
    return _tested(variation([Sample(row.accuracy, row.accuracy_std, PUBLISHED_SEEDS) for row in table.itertuples()
                              if not math.isnan(row.accuracy)]))


def measured_variation(table: pd.DataFrame, others: Iterable[pd.DataFrame] = ()) -> str:
    """The same of the measured rows: of any table with ``options`` and ``runs``.

    ``others``: tables of the same data set. Their networks that are in none of the rows tell, where they have several
    seeds, how far seeds lie apart. A network that is in several rows counts once.
    """
    if any(_diverged(row) for row in table.itertuples()):
        return "no conclusion: networks diverged"
    inside, outside = ({json.dumps(row.options, sort_keys=True): measured(row.runs) for rows in tables
                        for row in rows.itertuples()}
                       for tables in ([table], others))
    return _tested(variation(inside.values(), [found for network, found in outside.items() if network not in inside]))


def with_counts(table: pd.DataFrame) -> pd.DataFrame:
    """``table`` (rows of :func:`rrahelpers.study.published.table`) with ``counted_flops`` and ``counted_params``."""
    counts = [count(row.model, row.options, row.image_size, row.num_classes) for row in table.itertuples()]
    return table.assign(counted_flops=[c.flops for c in counts], counted_params=[c.params for c in counts])


def count(model: str, options: dict, image_size: int, num_classes: int) -> Complexity:
    """:func:`rrahelpers.complexity.count` of an untrained network for colour images of ``image_size`` pixels."""
    return _count(model, json.dumps(options, sort_keys=True), image_size, num_classes)


def with_other_columns(number: int, tables: Iterable[pd.DataFrame]) -> list[pd.DataFrame]:
    """Some columns of one of the paper's tables, with those that are in none of them behind."""
    tables, printed = list(tables), published.table(number)
    others = printed[~printed["data"].isin([table["data"].iloc[0] for table in tables])]
    return [*tables, *(part for _, part in others.groupby("data", sort=False))]


def counts_for_reading(table: pd.DataFrame) -> pd.DataFrame:
    """Published and counted FLOPs and parameters, as printed, with a mark where they differ."""
    columns = {}
    for what in ("flops", "params"):
        if table[what].notna().any():
            pairs = list(zip(table[what].where(table[what].notna(), None), table[f"counted_{what}"]))
            columns[f"published {what}"] = [printed or "" for printed, _ in pairs]
            columns[f"counted {what}"] = [_counted(printed, number) for printed, number in pairs]
    return pd.DataFrame({"": table.label.tolist(), **columns}).set_index("")


@cache
def _count(model, options, image_size, num_classes):
    # "meta" computes nothing, as large networks need; small ones are spared the compiler that its first use loads
    with torch.device("cpu" if model == "resnet20" else "meta"):
        network = models.build(model, **json.loads(options), num_classes=num_classes)
    return complexity.count(network, (3, image_size, image_size))


def _counted(printed, number):
    text = published.as_printed(number, printed or "1.0M")
    return text if printed in (None, text) else f"{text} (differs)"


def _printed_status(row, printed):
    return "printed" if not math.isnan(printed.mean) else "" if ", ours" in row.label else "unstable"


def _measured_status(row, ours):
    if ours.n:
        return "measured"
    return "diverged" if row.runs else "not trained yet" if row.configs else "not in this profile"


def _diverged(row):
    return sum(math.isnan(run.accuracy) for run in row.runs)


def _open(value, other, diverged, difference):
    """Why a difference has no interval; nothing where it has one."""
    if not math.isnan(difference.low):
        return ""
    if any(diverged):
        return "networks diverged"
    return "too few seeds" if min(value.n, other.n) < 2 else "no spread to judge by"


def _tested(found):
    if math.isnan(found.p):
        return "no conclusion: too few networks"
    return f"F({found.between}, {found.within}) = {found.f:.2f}, p = {found.p:.2g}"


def _mean(row):
    if row.status not in ("measured", "printed"):
        return row.status
    spread = "" if math.isnan(row.std) else f" ± {row.std:.1f}"
    diverged = f", {row.diverged} diverged" if row.diverged else ""
    seeds = "" if row.status == "printed" else f" ({row.seeds} seed{'s' * (row.seeds > 1)}{diverged})"
    return f"{row.mean:.1f}{spread}{seeds}"


def _flipped(row):
    """The difference the other way round."""
    if math.isnan(row.difference):
        return ""
    if row.open:
        return f"{-row.difference:+.1f} (no conclusion: {row.open})"
    return f"{-row.difference:+.1f} [{-row.high:+.2f}, {-row.low:+.2f}]"


def _difference(row):
    if row.reference:
        return "reference"
    if math.isnan(row.difference):
        return ""
    if row.open:
        return f"{row.difference:+.1f} (no conclusion: {row.open})"
    return f"{row.difference:+.1f} [{row.low:+.2f}, {row.high:+.2f}]"

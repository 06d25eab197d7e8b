"""What a notebook settles: the claims that end it, each with what differs where it doesn't agree."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict
from fractions import Fraction
from typing import TYPE_CHECKING

import pandas as pd

from rrahelpers.base.files import data_root
from rrahelpers.study import notebooks, recipes
from rrahelpers.study.claims import CLAIMS
from rrahelpers.study.claims.board import figure_rows, interval
from rrahelpers.study.claims.claim import Claim, Verdict
from rrahelpers.study.claims.tables import Tables, recipe_of
from rrahelpers.training.config import RunConfig

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

START = "00_start_here"  # what a source says of data, training and tools, and of no figure
SECTIONS = {  # by the beginning of a claim's place, the longest that fits
    "STAC paper": {"": "02_stac_design", "3": "01_classrepsim", "6": "03_stac_ablations", "7": "03_stac_ablations"},
    "STAC paper, summary": {"": "02_stac_design"},
    "Dissertation": {
        "": START, "4.2": "04_pca_projection", "4.3": "06_probes", "4.4": "08_receptive_field",
        "7": "04_pca_projection", "8": "05_saturation", "8.3": "06_probes", "8.5": "07_tail_patterns",
        "9": "08_receptive_field", "9.1": "07_tail_patterns", "9.2": "07_tail_patterns",
        "9.5": "09_architecture_advice", "10": "08_receptive_field", "11": "09_architecture_advice"},
    "Lecture slides": {"": "11_separation_index"},
    "RRA thesis (abstract)": {"": "10_representational_response"},
}
WRAPPED = {"text-align": "left", "vertical-align": "top", "white-space": "normal", "max-width": "22em",
           "font-size": "85%"}


def notebooks_of(claim: Claim) -> tuple[str, ...]:
    """The notebooks that settle a claim: those whose figures and tables it is about (``notebooks/figures.csv``), or,
    where it is about none, the one of its section."""
    drawn = [row["notebook"] for row in figure_rows() if row["source"] == claim.source and row["notebook"]
             and claim.about(row["item"])]
    if drawn:
        return tuple(dict.fromkeys(drawn))
    section = re.sub(r"[^\d.].*", "", claim.place).split(".")
    beginnings = [".".join(section[:length]) for length in range(len(section), 0, -1)]
    known = SECTIONS[claim.source]
    return (next((known[place] for place in beginnings if place in known), known[""]),)


def settled(notebook: str, tables: Tables | None = None) -> pd.DataFrame:
    """The claims that a notebook settles, a row each, by the committed tables and runs of the study profile.

    Columns: id, source (with the place), claim, published, measured, interval, networks, verdict, why, differs. Raises
    ``ValueError`` for a notebook that settles none.
    """
    tables = tables or Tables(runs=data_root() / "runs")  # the committed ones, wherever RRA_RUNS is
    found = [claim for claim in CLAIMS if notebook in notebooks_of(claim)]
    if not found:
        raise ValueError(f"notebook {notebook!r} settles no claim; expected one of {', '.join(notebooks.names())}")
    rows = []
    for claim in found:
        verdict = claim.decide(tables)
        rows.append({"id": claim.id, "source": f"{claim.source}, {claim.place}", "claim": claim.statement,
                     "published": verdict.published, "measured": verdict.value, "interval": interval(verdict),
                     "networks": verdict.networks or "", "verdict": verdict.verdict,
                     "why": verdict.why or claim.note, "differs": differs(claim, verdict, tables)})
    return pd.DataFrame(rows)


def shown(notebook: str) -> Styler:
    """:func:`settled` for reading: the last cell but one of a notebook."""
    table = settled(notebook).drop(columns="networks")
    counted = table.verdict.value_counts()
    told = ", ".join(f"{number} {verdict}" for verdict, number in counted.items())
    return (table.style.hide(axis="index").set_caption(f"{len(table)} claims: {told}")
            .set_table_styles([{"selector": "td, th", "props": [*WRAPPED.items()]}]))


def differs(claim: Claim, verdict: Verdict, tables: Tables) -> str:
    """What differs between the source's networks and those that a claim was measured on, where it doesn't agree whole.

    Data (with what is to be known of the copy), epochs, widths, seeds and recipe, from the configurations of the runs
    behind the figures; what the figure's caption says, where no run is behind it. "" for what no training enters.
    """
    if verdict.verdict not in ("partly", "disagrees") or not verdict.networks:
        return ""
    told = [tables.provenance(name) for name in verdict.figures]
    configs = [config for run in dict.fromkeys(run for one in told for run in one.get("runs", ()))
               if (config := tables.config(run))]
    if not configs:
        return "; ".join(one["caption"].split(" · ")[1] for one in told if " · " in one.get("caption", ""))
    printed = (recipes.STAC,) if claim.source.startswith("STAC paper") else tuple(
        name for one in told for name in recipes.OF_NOTEBOOK.get(one.get("notebook", ""), ()))
    return ", ".join(filter(None, [verdict.data, _epochs(configs, printed), _widths(configs), _seeds(configs),
                                   _recipe(configs, printed)]))


def _epochs(configs: Sequence[RunConfig], printed: Sequence[str]) -> str:
    """ "15 of 60 epochs"; empty where they are the source's. ``printed``: the source's recipes."""
    whole = {recipes.recipe(name, "cifar10", "resnet20").epochs for name in printed}
    ours = {config.epochs for config in configs}
    if ours <= whole:
        return ""
    return f"{_range(ours)} {f'of {_range(whole)} ' if whole else ''}epochs"


def _widths(configs: Sequence[RunConfig]) -> str:
    """ "width 1/4", "widths 1/16 to 1/4"; empty where no network is narrower than the source's."""
    widths = {Fraction(config.options.get("width", 1)) for config in configs}
    narrow = {width for width in widths if width < 1}
    return f"width{'s' * (len(narrow) > 1)} {_range(narrow)}" if narrow else ""


def _seeds(configs: Sequence[RunConfig]) -> str:
    """How many trainings of one network there are: "1 seed", "1 to 3 seeds"."""
    trained = set(Counter(json.dumps(asdict(config) | {"seed": None}, sort_keys=True) for config in configs).values())
    return f"{_range(trained)} seed{'s' * (max(trained) > 1)}"


def _recipe(configs: Sequence[RunConfig], printed: Sequence[str]) -> str:
    """By whose recipe the networks are trained, where it isn't the source's own."""
    names = dict.fromkeys(map(recipe_of, configs))
    return f"recipe: {'; '.join(names)}" if printed and not set(names) <= set(printed) else ""


def _range(values: Collection[int | Fraction]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"

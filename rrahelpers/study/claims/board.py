"""The board: how many claims of each source hold, one by one or together, and what that says of a figure."""

import csv
import re
from collections import Counter
from collections.abc import Mapping

import pandas as pd

from rrahelpers.base.files import project_root
from rrahelpers.study import notebooks
from rrahelpers.study.claims import CLAIMS, VERDICTS, Claim, Tables, Verdict

MARKED = re.compile(r"(<!-- (claims|figures): .*?-->\n).*?(\n<!-- /\2 -->)", re.DOTALL)
PAGES = ("README.md", "figures/README.md")  # that have such tables
Verdicts = Mapping[Claim, Verdict]


def counts(verdicts: Verdicts) -> pd.DataFrame:
    """{claim: verdict} as a table: a row for each source and one for their total, a column for each verdict."""
    found = Counter((claim.source, verdict.verdict) for claim, verdict in verdicts.items())
    sources = dict.fromkeys(claim.source for claim in verdicts)
    table = pd.DataFrame([[found[source, verdict] for verdict in VERDICTS] for source in sources],
                         index=list(sources), columns=VERDICTS)
    table.loc["total"] = table.sum()
    return table.assign(claims=table.sum(axis=1))


def chosen(source: str | None = None, figure: str | None = None) -> tuple[Claim, ...]:
    """The claims of a source (its name's beginning), about a figure or table ("57", "table 5").

    Raises ``ValueError`` for a source that there is none of, and for a figure that no claim is about.
    """
    names = dict.fromkeys(claim.source for claim in CLAIMS)
    if source and not any(name.lower().startswith(source.lower()) for name in names):
        raise ValueError(f"unknown source {source!r}; expected the beginning of one of: {'; '.join(names)}")
    if figure and not any(claim.about(figure) for claim in CLAIMS):
        raise ValueError(f"no claim is about {figure!r}; name a figure by its number, a table as 'table 5'")
    return tuple(claim for claim in CLAIMS if (not source or claim.source.lower().startswith(source.lower()))
                 and (not figure or claim.about(figure)))


def line(claim: Claim, verdict: Verdict) -> str:
    """One claim in up to four lines: verdict and statement, numbers, what they are of, why."""
    numbers = [f"{name} {text}" for name, text in (("measured", f"{verdict.value} {interval(verdict)}".strip()),
                                                   ("claimed", verdict.published)) if text]
    behind = [f"{name}{text}" for name, text in (("", verdict.data), ("", verdict.models), ("epochs: ", verdict.epochs),
                                                 (f"{_repeated(verdict)}: ", verdict.networks)) if text]
    return "\n    ".join(filter(None, [
        f"{claim.id}  {verdict.verdict}: {claim.statement} ({claim.source}, {claim.place})", "; ".join(numbers),
        "; ".join(behind), verdict.why]))


def why(claim: Claim, verdict: Verdict, tables: Tables) -> str:
    """All that is known of one claim, in lines."""
    books = dict.fromkeys(tables.provenance(name).get("notebook", "") for name in verdict.figures)
    lines = {"claim": claim.statement, "source": f"{claim.source}, {claim.place}", "kind": claim.kind,
             "verdict": verdict.verdict, "why": verdict.why, "measured": verdict.value, "interval": interval(verdict),
             "claimed": verdict.published, _repeated(verdict): verdict.networks or "", "data": verdict.data,
             "models": verdict.models, "recipe": verdict.recipe, "epochs": verdict.epochs,
             "read from": ", ".join(f"figures/study/{name}.csv" for name in verdict.figures),
             "runs": ", ".join(run for name in verdict.figures for run in tables.provenance(name).get("runs", ())),
             "notebook": ", ".join(filter(None, books)), "note": claim.note}
    return "\n".join([claim.id, *(f"  {name}: {value}" for name, value in lines.items() if value != "")])


def _repeated(verdict):
    """What an interval is over: networks, or, where no run is behind a table, what was drawn again and again."""
    return "networks" if verdict.models or not verdict.figures else "draws"


def interval(verdict: Verdict) -> str:
    return "" if verdict.low is None else f"[{verdict.low:.3g}, {verdict.high:.3g}]"


def status(verdicts: Verdicts, source: str, item: str) -> str:
    """What became of a figure or table of a source, by the claims about it; the source's own slips don't count.

    "reproduced": all agree; "differs": some disagree, none agrees, not even in part; "partial"; "not possible here" and
    "not measured", where nothing was decided. Raises ``ValueError`` where no claim is about it.
    """
    found = Counter(v.verdict for claim, v in verdicts.items()
                    if claim.source == source and claim.kind != "slip" and claim.about(item))
    if not found:
        raise ValueError(f"no claim is about {item} of {source}")
    decided = {name: found[name] for name in VERDICTS[:3] if found[name]}
    if not decided:
        return "not measured" if found["not measured"] else "not possible here"
    if set(decided) == {"agrees"} and not found["not measured"]:
        return "reproduced"
    return "differs" if set(decided) == {"disagrees"} else "partial"


def counts_markdown(verdicts: Verdicts) -> str:
    """:func:`counts` for the README."""
    rows = counts(verdicts)
    lines = ["| source | " + " | ".join(rows.columns) + " |", "| --- |" + " --- |" * len(rows.columns)]
    return "\n".join(lines + [f"| {name} | " + " | ".join(map(str, row)) + " |"
                              for name, row in zip(rows.index, rows.to_numpy())])


def figure_table(verdicts: Verdicts) -> str:
    """The map of every figure and table of the sources (``notebooks/figures.csv``), each with its :func:`status`, for
    ``figures/README.md``."""
    rows = [(row, status(verdicts, row["source"], row["item"])) for row in figure_rows()]
    found = ", ".join(f"{count} {name}" for name, count in Counter(own for _, own in rows).most_common())
    lines = [f"{len(rows)} figures and tables: {found}.", "", "| source | figure or table | notebook | status | why |",
             "| --- | --- | --- | --- | --- |"]
    for row, own in rows:
        drawn = f"study/{row['file']}.png"
        item = f"[{row['item']}]({drawn})" if (project_root() / "figures" / drawn).exists() else row["item"]
        lines.append(f"| {row['source']} | {item} | [{row['notebook']}](../notebooks/{row['notebook']}.ipynb) | "
                     f"{own} | {row['why']} |")
    return "\n".join(lines)


def figure_rows() -> list[dict[str, str]]:
    """The rows of ``notebooks/figures.csv``: source, item, notebook, file, why."""
    with open(notebooks.folder() / "figures.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def renewed(text: str, verdicts: Verdicts) -> str:
    """The text of one of :data:`PAGES` with the tables between its marks made anew."""
    made = {"claims": counts_markdown, "figures": figure_table}
    return MARKED.sub(lambda match: match[1] + made[match[2]](verdicts) + match[3], text)

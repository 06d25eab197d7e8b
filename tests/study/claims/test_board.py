"""The board: counts, the status of figures, the README, and that a changed table changes a verdict."""

import shutil

import pandas as pd
import pytest

from rrahelpers.__main__ import main
from rrahelpers.base.files import project_root
from rrahelpers.study import claims
from rrahelpers.study.claims import CLAIMS, KINDS, VERDICTS, Claim, Tables, Verdict, board
from rrahelpers.study.claims.claim import UNREADABLE, marks
from rrahelpers.study.claims.verbs import not_measured

RUNS = project_root() / "data" / "runs"  # the committed ones


@pytest.fixture(scope="module")
def verdicts():
    return claims.decided(Tables(runs=RUNS))


def by_id(id):
    return next(claim for claim in CLAIMS if claim.id == id)


def test_every_claim_is_decided_without_a_fault(verdicts):
    assert len(CLAIMS) == len({claim.id for claim in CLAIMS}) == len(verdicts) >= 400
    for claim, verdict in verdicts.items():
        assert claim.statement and claim.place and claim.kind in KINDS, claim.id
        assert not verdict.why.startswith(UNREADABLE), (claim.id, verdict.why)
        assert UNREADABLE not in verdict.why, (claim.id, verdict.why)
        if verdict.verdict.startswith("not "):
            assert verdict.why, f"{claim.id}: nothing says what it would take"


def test_what_needs_no_training_is_decided(verdicts):
    """Definitions, slips of the sources, counts of untrained networks and receptive fields."""
    for claim, verdict in verdicts.items():
        if claim.kind in ("definition", "slip") and verdict.verdict != "not possible here":
            assert not verdict.verdict.startswith("not "), (claim.id, verdict.why)


def test_counts_add_up(verdicts):
    counts = board.counts(verdicts)
    assert counts.loc["total", "claims"] == len(CLAIMS)
    assert (counts[list(VERDICTS)].sum(axis=1) == counts.claims).all()
    assert counts.drop(index="total").sum().equals(counts.loc["total"])


def test_the_readmes_are_the_board(verdicts):
    text, figures = ((project_root() / page).read_text(encoding="utf-8") for page in board.PAGES)
    assert board.counts_markdown(verdicts) in text, "run python -m rrahelpers claims --readme"
    assert board.figure_table(verdicts) in figures, "run python -m rrahelpers claims --readme"
    assert board.renewed(text, verdicts) == text and board.renewed(figures, verdicts) == figures


def test_a_stale_readme_is_made_anew(verdicts):
    marked = "a\n<!-- claims: x -->\nold\n<!-- /claims -->\nb\n<!-- figures: y -->\nold\n<!-- /figures -->\nc\n"
    text = board.renewed(marked, verdicts)
    assert "old" not in text and text.startswith("a\n<!-- claims: x -->\n| source |") and text.endswith("-->\nc\n")
    assert board.renewed(text, verdicts) == text


@pytest.fixture
def copied(tmp_path):
    """A function: the tables of some figures, copied, to be changed."""
    def copy(*names):
        for name in names:
            for file in (project_root() / "figures" / "study").glob(f"{name}.[cj]s*"):
                shutil.copy(file, tmp_path)
        return tmp_path
    return copy


@pytest.mark.parametrize("id, name, change, changed", [
    ("003-149", "receptive-field-borders", lambda t: t.assign(b_max=t.b_max + 1), "disagrees"),
    ("000-024", "classrepsim-figure-4a", lambda t: t.assign(value=1 - t.value), "disagrees"),
    ("000-074", "stac-table-1", lambda t: t.assign(counted_flops=1.01 * t.counted_flops), "partly"),
    ("003-075", "projection-figure-43", lambda t: t.assign(accuracy=t.accuracy + 0.2), "disagrees"),
    ("003-115", "saturation-figure-47", lambda t: t.assign(accuracy=1 - t.accuracy), "disagrees")])
def test_a_changed_table_changes_the_verdict(copied, id, name, change, changed):
    folder = copied(name)
    assert by_id(id).decide(Tables(folder, RUNS)).verdict == "agrees"
    change(pd.read_csv(folder / f"{name}.csv")).to_csv(folder / f"{name}.csv", index=False)
    assert by_id(id).decide(Tables(folder, RUNS)).verdict == changed


def test_without_tables_nothing_is_measured_and_nothing_breaks(tmp_path, verdicts):
    empty = Tables(tmp_path, tmp_path)
    for claim, before in verdicts.items():
        if before.figures:  # what is read from a table
            verdict = claim.decide(empty)
            assert verdict.verdict in ("not measured", "partly", "disagrees"), (claim.id, verdict)
            assert verdict.why, claim.id


def claim(id, place, source="Paper", kind="number"):
    return Claim(id, source, place, "a statement", not_measured("a GPU", kind))


def test_figures_of_a_place():
    assert marks("9.3.2, figures 54b and 86; table 5") == ("figure 54b", "figure 86", "table 5")
    assert marks("Figures 70 to 72") == ("figure 70", "figure 71", "figure 72")
    assert claim("1", "3.2; figure 4a").about("4a") and claim("1", "3.2; figure 4a").about("Figure 4")
    assert not claim("1", "3.2; figure 4a").about("4b") and claim("1", "3.2; figure 4").about("Figure 4b")
    assert claim("1", "D, figures 70 and 71").about("Figures 70 to 74")
    assert not claim("1", "table 7").about("7") and claim("1", "table 7").about("Table 7")
    assert not claim("1", "figure 45").about("4") and not claim("1", "figure 4").about("45")
    assert claim("1", "abstract: effect of the hyperparameters").about("effect of the hyperparameters")


@pytest.mark.parametrize("found, expected", [
    ("agrees agrees", "reproduced"), ("agrees disagrees", "partial"), ("partly", "partial"),
    ("disagrees disagrees", "differs"), ("partly disagrees", "partial"), ("not_measured", "not measured"),
    ("agrees not_measured", "partial"), ("not_possible_here", "not possible here"),
    ("agrees not_possible_here", "reproduced"), ("not_measured not_possible_here", "not measured")])
def test_the_status_of_a_figure(found, expected):
    verdicts = {claim(str(i), "figure 7"): Verdict(name.replace("_", " ")) for i, name in enumerate(found.split())}
    verdicts[claim("slip", "figure 7", kind="slip")] = Verdict("disagrees")
    verdicts[claim("elsewhere", "figure 7", source="Other")] = Verdict("disagrees")
    assert board.status(verdicts, "Paper", "Figure 7") == expected
    with pytest.raises(ValueError, match="no claim is about Figure 8"):
        board.status(verdicts, "Paper", "Figure 8")


def test_some_of_the_claims():
    assert {c.source for c in board.chosen(source="stac")} == {"STAC paper", "STAC paper, summary"}
    assert {"003-182a", "003-180"} <= {c.id for c in board.chosen(figure="57")}
    assert not board.chosen(source="stac", figure="57")
    for wrong in ({"source": "Nobody"}, {"figure": "999"}):
        with pytest.raises(ValueError, match="expected|no claim is about"):
            board.chosen(**wrong)


def test_one_claim_on_the_command_line(monkeypatch, capsys):
    monkeypatch.setenv("RRA_RUNS", str(RUNS))
    assert main(["claims", "--why", "003-115"]) == 0
    told = capsys.readouterr().out
    for part in ("verdict: ", "interval: [", "saturation-figure-47.csv", "notebook: 05_saturation", "recipe: "):
        assert part in told
    with pytest.raises(SystemExit):
        main(["claims", "--why", "003-9999"])
    assert "no claim '003-9999'" in capsys.readouterr().err


def test_the_command_line_lists_and_counts(monkeypatch, capsys, verdicts):
    monkeypatch.setattr(claims, "decided", lambda tables, some=CLAIMS: {claim: verdicts[claim] for claim in some})
    assert main(["claims"]) == 0
    assert str(len(CLAIMS)) in capsys.readouterr().out.splitlines()[-1]
    assert main(["claims", "--figure", "43", "--verdict", "agrees"]) == 0
    told = capsys.readouterr().out
    assert "003-078  agrees:" in told and "disagrees:" not in told
    assert "CIFAR-10" in told and "claimed" in told
    with pytest.raises(SystemExit):
        main(["claims", "--verdict", "maybe"])
    assert "expected one of: agrees, partly, disagrees" in capsys.readouterr().err


def test_the_command_line_writes_the_readme(monkeypatch, tmp_path, verdicts):
    marked = "<!-- claims: x -->\nold\n<!-- /claims -->\n"
    (tmp_path / "figures").mkdir()
    for page in board.PAGES:
        (tmp_path / page).write_text(marked, encoding="utf-8")
    monkeypatch.setattr(claims, "decided", lambda tables: verdicts)
    for module in ("rrahelpers.study.command", "rrahelpers.study.claims.board"):
        monkeypatch.setattr(f"{module}.project_root", lambda: tmp_path)
    assert main(["claims", "--readme"]) == 0
    for page in board.PAGES:
        assert board.counts_markdown(verdicts) in (tmp_path / page).read_text(encoding="utf-8")

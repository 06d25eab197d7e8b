"""What the site is made of is complete: gallery, board, notebook pages, pictures of explorers.

It needs none of the site's tools."""

import importlib
import json
import re

import pytest

import rrahelpers
from rrahelpers.base.files import project_root
from rrahelpers.study import claims, notebooks, profiles
from rrahelpers.study.claims import board

SITE = project_root() / "site"
VERDICTS = {claim: claims.Verdict("agrees", figures=("saturation-figure-44",)) for claim in claims.CLAIMS}
LARGEST = 60_000  # bytes of an explorer's picture


@pytest.fixture
def module(monkeypatch):
    """A module of the site, by name."""
    monkeypatch.syspath_prepend(SITE)
    return importlib.import_module


@pytest.fixture
def gallery(module):
    return module("entries").gallery(VERDICTS)


def test_the_gallery_has_every_figure_of_the_sources_with_words(gallery):
    assert {(row["source"], row["item"]) for row in board.figure_rows()} <= {(e["source"], e["item"]) for e in gallery}
    for entry in gallery:
        assert len(entry["alt"]) > (40 if entry["drawn"] else 0), entry
        assert entry["verdict"] in ("reproduced", "partial", "differs", "not measured", "not possible here", "no claim")
        assert not entry["drawn"] or entry["notebook"] in notebooks.names()


def test_every_stored_figure_is_in_the_gallery_and_beside_a_cell_of_its_notebook(module, gallery):
    entries = module("entries")
    assert {entry["file"] for entry in gallery if entry["drawn"]} == set(entries.stems())
    for figure, (name, number) in entries.places().items():
        cell = notebooks.read(name)["cells"][number]
        assert cell["cell_type"] == "code", figure
        assert entries.provenance(figure)["notebook"] == name
        assert all((entries.STUDY / f"{figure}.{ending}").is_file() for ending in ("csv", "json", "svg"))


def test_the_board_has_every_claim_once_and_figure_57_can_be_asked_for(module):
    entries = module("entries")
    found = entries.claims(VERDICTS)
    assert [entry["id"] for entry in found] == [claim.id for claim in claims.CLAIMS]
    assert len({entry["id"] for entry in found}) == len(found)
    assert all(entry["statement"] and entry["files"] for entry in found)
    assert "Figure 57" in entries.look_ups(found)["Dissertation"]
    of_57 = {entry["id"] for entry in found if "Dissertation: Figure 57" in entry["about"]}
    assert of_57 == {claim.id for claim in board.chosen("Dissertation", "57")} != set()


def test_what_is_asked_for_comes_in_the_order_of_its_numbers(module):
    asked = module("entries").look_ups([{"source": "STAC paper", "about": [f"STAC paper: {name}" for name in (
        "Table 2", "Figure 10", "Figure 4b", "Figure 4a", "Figures 3 to 5")]}])
    assert asked == {"STAC paper": ["Figures 3 to 5", "Figure 4a", "Figure 4b", "Figure 10", "Table 2"]}


def test_markdown_as_words(module):
    plain = module("entries").plain
    assert plain("# A *bold* **claim** with `code`, $k$\nand a [link](x.md)") == "A bold claim with code, k and a link"


@pytest.mark.parametrize("name", notebooks.names())
def test_a_notebook_has_a_page_with_all_its_cells_and_figures(name, module, gallery, tmp_path, monkeypatch):
    collect, entries = module("collect"), module("entries")
    monkeypatch.setattr(collect, "SOURCE", tmp_path)
    monkeypatch.setattr(collect, "explored", lambda name, report: "<p>explorer</p>")
    shown = collect.shown_in(name, gallery)
    collect.notebook_page(name, shown, report=None)
    page = json.loads((tmp_path / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [entries.text(cell) for cell in page if cell["cell_type"] == "code"]
    assert code == [entries.text(cell) for cell in notebooks.read(name)["cells"] if cell["cell_type"] == "code"]
    pictures = [picture for cell in page if cell["cell_type"] == "markdown"
                for picture in re.findall(r'<figure class="study" id="([^"]*)">', entries.text(cell))]
    (told,) = [entries.text(cell) for cell in page if "study profile, which sets" in entries.text(cell)]
    assert all(f"\n{key} = {value!r}\n" in told for key, value in profiles.parameters(name, "study").items()
               if key != "data_notes")
    assert sorted(pictures) == sorted(figure for figure, (book, _) in entries.places().items() if book == name) != []


def test_the_pages_are_drawn_from_their_templates(module, gallery):
    collect, entries = module("collect"), module("entries")
    common = collect.fragments(gallery, entries.claims(VERDICTS), board.counts(VERDICTS))
    assert common["gallery"].count('<article class="card"') == len(gallery)
    assert common["claims"].count('<details class="claim"') == len(claims.CLAIMS)
    assert common["trio"].count("<img") == 3
    assert "Figure 57" in common["home"]


def test_the_reference_says_what_each_module_is_for(module):
    collect = module("collect")
    page = collect.reference()
    for name in set(rrahelpers.MODULES) - set(collect.HIDDEN):
        assert f"[`{name}`](api/rrahelpers/{name}/index.rst)\n: " in page and f"\n{name} <api/" in page


@pytest.mark.parametrize("path", sorted((SITE / "explorers").glob("*.json")), ids=lambda path: path.stem)
def test_the_pictures_of_an_explorer_are_all_there(path):
    about = json.loads(path.read_text(encoding="utf-8"))
    count = 1
    for values in about["controls"].values():
        count *= len(values)
    assert path.stem in notebooks.names()
    assert len({picture["state"] for picture in about["pictures"]}) == len(about["pictures"]) == count
    for picture in about["pictures"]:
        assert picture["alt"]
        assert 0 < (SITE / "explorers" / path.stem / picture["file"]).stat().st_size <= LARGEST


def test_the_checker_finds_what_is_wrong(module, tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#here">good</a><a href="b.html#there">bad</a><a href="c.html">gone</a><img src="a.html">'
        '<a href="https://example.org">a link</a><img src="https://example.org/x.png" alt="x">', encoding="utf-8")
    (tmp_path / "b.html").write_text('<p id="here"></p>', encoding="utf-8")
    assert list(module("check").problems(tmp_path)) == [
        "a.html: no anchor b.html#there", "a.html: no file c.html",
        "a.html: fetches https://example.org/x.png from another host", "a.html: no alternative text for a.html"]


def test_badges_open_the_notebook_at_this_revision_where_the_address_is_known(module, monkeypatch):
    repository = module("repository")
    monkeypatch.setenv("GITHUB_SHA", "abc123")
    assert repository.badges("00_start_here", None) == ""
    text = repository.badges("00_start_here", "https://github.com/owner/name/")
    assert "/github/owner/name/blob/abc123/notebooks/00_start_here.ipynb" in text
    assert "/gh/owner/name/abc123?labpath=notebooks/00_start_here.ipynb" in text
    assert all((SITE / "static" / name).is_file() for name in re.findall(r"_static/(\S*\.svg)", text))
    assert repository.source_of("rrahelpers.topology", "https://x").endswith("/rrahelpers/topology.py")
    assert repository.source_of("rrahelpers.features", "https://x").endswith("/rrahelpers/features/__init__.py")

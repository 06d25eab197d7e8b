"""What ends a notebook: every claim in some notebook, and what differs where one doesn't agree."""

import json

import pytest

from rrahelpers.study import notebooks
from rrahelpers.study.claims import CLAIMS, Tables, Verdict, settled
from rrahelpers.study.recipes import recipe

STORY = [name for name in notebooks.names() if name[:2] < "12"]  # the later ones stand for no source


def by_id(id):
    return next(claim for claim in CLAIMS if claim.id == id)


@pytest.mark.parametrize("name", STORY)
def test_a_notebook_ends_with_its_claims(name):
    """Only the explorer comes after."""
    *_, section, table, _, explorer = notebooks.read(name)["cells"]
    assert "".join(section["source"]).startswith("## The sources' claims\n")
    assert table["metadata"]["tags"] == ["claims"] and "skip-execution" in explorer["metadata"]["tags"]
    assert f'settled.shown("{name}")' in "".join(table["source"])


def test_every_claim_is_settled_by_a_notebook_of_the_story():
    settling = {claim.id: settled.notebooks_of(claim) for claim in CLAIMS}
    assert {name for names in settling.values() for name in names} == set(STORY)
    assert all(settling.values())
    assert settling["003-115"] == ("05_saturation",)  # about figure 47
    assert settling["003-030"] == ("08_receptive_field",)  # section 4.4, no figure
    assert settling["003-054"] == ("00_start_here",)  # of its tools


def test_what_a_notebook_settles(tmp_path):
    table = settled.settled("05_saturation", Tables(tmp_path, tmp_path)).set_index("id")
    wanted = {claim.id for claim in CLAIMS if "05_saturation" in settled.notebooks_of(claim)}
    assert set(table.index) == wanted >= {"003-115", "003-226", "003-120a"} and "003-075" not in wanted
    assert table.loc["003-115", ["verdict", "why"]].tolist() == ["not measured", f"no figure saturation-figure-47 in "
                                                                                 f"{tmp_path.name} yet"]
    with pytest.raises(ValueError, match="'12_your_network' settles no claim; expected one of 00_start_here"):
        settled.settled("12_your_network")


def figure(folder, caption, configs, notebook):
    (folder / "figure.json").write_text(json.dumps({
        "notebook": notebook, "caption": caption, "runs": [f"run {n}" for n in range(len(configs))],
        "data": {"cifar10": "abc"}, "parameters": {"data_notes": {"abc": "JPEG copy"}}}), encoding="utf-8")
    for n, config in enumerate(configs):
        (folder / f"run {n}").mkdir()
        (folder / f"run {n}" / "record.json").write_text(json.dumps({"config": config.as_dict()}), encoding="utf-8")
    return Tables(folder, folder)


def narrow(seed, width=0.25, by="STAC paper, section 5", epochs=15):
    return recipe(by, "cifar10", "vgg16", options={"width": width}, epochs=epochs, seed=seed, data_checksum="abc")


@pytest.mark.parametrize("configs, expected", [
    ([narrow(0), narrow(1)], "15 of 30 epochs, width 1/4, 2 seeds, recipe: STAC paper, section 5"),
    ([narrow(0), narrow(1), narrow(0, 0.125)], "15 of 30 epochs, widths 1/8 to 1/4, 1 to 2 seeds, "
                                               "recipe: STAC paper, section 5"),
    ([narrow(0, 1, "dissertation, table 7", 30)], "1 seed")])
def test_what_differs_is_said(tmp_path, configs, expected):
    tables = figure(tmp_path, "", configs, "05_saturation")
    verdict = Verdict("partly", networks=2, figures=("figure",), data="CIFAR-10 (JPEG copy)")
    assert settled.differs(by_id("003-115"), verdict, tables) == f"CIFAR-10 (JPEG copy), {expected}"


def test_what_differs_is_the_captions_where_no_run_is_behind_it(tmp_path):
    tables = figure(tmp_path, "profile study · CIFAR-10, 20000 images · bands: one", [], "05_saturation")
    partly = Verdict("partly", networks=1, figures=("figure",))
    assert settled.differs(by_id("003-226"), partly, tables) == "CIFAR-10, 20000 images"
    for verdict in (Verdict("agrees", networks=1, figures=("figure",)), Verdict("disagrees", figures=("figure",))):
        assert settled.differs(by_id("003-226"), verdict, tables) == ""


def test_sources_that_print_no_recipe(tmp_path):
    tables = figure(tmp_path, "", [narrow(0)], "11_separation_index")
    verdict = Verdict("disagrees", networks=1, figures=("figure",))
    slides = next(claim for claim in CLAIMS if claim.source == "Lecture slides")
    assert settled.differs(slides, verdict, tables) == "15 epochs, width 1/4, 1 seed"


def test_the_table_is_for_reading():
    name = "10_representational_response"
    html = settled.shown(name).to_html()
    assert "white-space: normal" in html and f"{len(settled.settled(name))} claims: " in html

"""The explorer of a report: its data are the report's, and in a browser a click changes the pictures."""

import json
import re
import shutil
from html import unescape

import pytest
import torch
from torch import nn

from rrahelpers.report import analyse
from rrahelpers.report.explorer import PICTURES, SHOWN, fragment
from tests.report.networks import images, network

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def report():
    return analyse(network(), *images(), k=9, probes=False, progress=False)


def content(html):
    text, = re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    return json.loads(text)


def test_its_numbers_are_the_reports(report):
    found = content(fragment(report))
    assert found["layers"] == report.layers["layer"].tolist() and found["scales"] == ["1", "2", "4", "8", "global"]
    for row in report.scales.itertuples():
        assert found["curves"][row.scale][row.layer] == pytest.approx(row.value, abs=1e-4)
    chosen = sorted({sample for layer in report.graphs.values() for graph in layer.values()
                     for sample in graph.indices[:, :SHOWN].flatten().tolist()} | set(range(60)))
    assert chosen == list(range(60))  # all are shown somewhere, so that places are the images' own
    queries = [round(place * 59 / 23) for place in range(24)]
    assert found["queries"] == queries and found["classes"] == report.labels.tolist()
    for layer, graphs in report.graphs.items():
        for scale, graph in graphs.items():
            assert found["neighbours"][layer][scale] == graph.indices[queries, :SHOWN].tolist()


def test_it_stays_small_with_many_images_and_layers():
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(40)))
    own = analyse(model, torch.randn(1500, 3, 4, 4), k=8, scales=[1], samples=None, progress=False)
    html = fragment(own)
    assert len(html) < 3e6 and len(content(html)["queries"]) >= 1
    assert len(re.findall("data-sprite", html)) == 1 and PICTURES < 1500


def test_without_labels_or_pictures():
    x, labels = images(20)
    own = analyse(network(), x, k=3, progress=False)
    found = content(fragment(own))
    assert found["classes"] is None and found["label"] == "NNTS with the images"
    assert found["curves"]["1"]["input"] == 1
    none = analyse(nn.Sequential(nn.Conv2d(5, 4, 3)), torch.randn(9, 5, 8, 8), k=3, progress=False)
    assert fragment(none) == ""
    with pytest.raises(ValueError, match="there is nothing to explore"):
        none.explore()


def test_names_can_not_end_the_script(report):
    report.about["classes"] = ["</script><b>", "b", "c"]
    html = fragment(report)
    assert content(html)["names"][0] == "</script><b>" and "</script><b>" not in html


def test_in_a_notebook_it_is_a_frame_of_its_own(report):
    shown = report.explore().data
    assert shown.startswith("<div><iframe srcdoc=") and 'sandbox="allow-scripts"' in shown
    assert fragment(report) in unescape(shown)


@pytest.fixture
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
    if not (chromium := shutil.which("chromium")):
        pytest.skip("there is no chromium")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


def test_a_click_changes_the_pictures_in_a_browser(report, browser, tmp_path):
    path, said = report.to_html(tmp_path / "report.html"), []
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 390

    def shown():
        return page.eval_on_selector_all(".neighbours:first-child .picture", "all => all.map(e => +e.dataset.number)")

    assert shown() == [0, *report.graphs["3"]["1"].indices[0, :SHOWN].tolist()]
    page.locator('circle[data-layer="0"][data-scale="2"]').dispatch_event("click")
    assert shown() == [0, *report.graphs["0"]["2"].indices[0, :SHOWN].tolist()]
    page.locator(".queries button").nth(23).click()
    assert shown() == [59, *report.graphs["0"]["2"].indices[59, :SHOWN].tolist()]
    page.locator("table.sortable th button").nth(1).click()
    page.locator("table.sortable th button").nth(1).click()  # falling
    layers = page.eval_on_selector_all("table.sortable tbody th", "all => all.map(e => e.textContent)")
    assert layers == report.layers["layer"].tolist()[::-1] and said == []

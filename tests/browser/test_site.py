"""The site as its readers use it, on a screen and on a phone. ``make test-browser`` runs this."""

import re

import pytest

from rrahelpers.base.files import project_root

pytestmark = pytest.mark.browser
BUILT = project_root() / "site" / "_build" / "html"
PAGES = [path.relative_to(BUILT).as_posix() for path in sorted(BUILT.rglob("*.html")) if "_modules" not in path.parts]
NOTEBOOKS = [name for name in PAGES if name.startswith("notebooks/")]


def field(page, name):
    """A field of the page's filters."""
    return page.locator(f"form.filters [name={name}]")


def shown(page, selector):
    return page.locator(f"{selector}:not([hidden])").count()


@pytest.mark.parametrize("name", PAGES)
def test_every_page_loads_and_fits(page, site, name):
    page.goto(site + name)
    assert page.title()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    broken = page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth && i.loading !== 'lazy')"
                           ".map(i => i.src)")
    assert broken == []


def test_the_gallery_filters_by_source_notebook_verdict_and_words(page, site):
    page.goto(site + "gallery.html")
    total = shown(page, ".card")
    field(page, "source").select_option("STAC paper")
    of_source = shown(page, ".card")
    assert 0 < of_source < total
    field(page, "notebook").select_option("01_classrepsim")
    assert 0 < shown(page, ".card") < of_source
    field(page, "verdict").select_option("partial")
    assert set(page.locator(".card:not([hidden]) .chip").all_text_contents()) == {"partial"}
    field(page, "words").fill("tiny-imagenet-50")
    assert page.locator("output").text_content() == f"{shown(page, '.card')} of {total}"
    assert "source=STAC" in page.url
    page.reload()
    assert field(page, "verdict").input_value() == "partial"


def test_a_thumbnail_leads_to_its_place_in_the_notebook(page, site):
    page.goto(site + "gallery.html")
    page.locator(".card .picture").first.click()
    page.wait_for_url(re.compile("notebooks/.*#"))
    assert page.locator(f"[id='{page.url.partition('#')[2]}']").is_visible()


def test_figure_57_is_two_clicks_from_home(page, site):
    page.goto(site + "index.html")
    page.get_by_label("Does a figure hold?").select_option("Dissertation: Figure 57")
    page.get_by_role("button", name="Show its claims").click()
    page.wait_for_url(re.compile("claims.html"))
    claims = page.locator(".claim:not([hidden])")
    assert claims.count() > 3
    assert all("figure" in place.lower() for place in claims.locator("small").all_text_contents())
    assert page.locator(".picture-of:not([hidden]) img").get_attribute("src").endswith("figure-57.webp")


def test_a_claim_is_reached_by_its_anchor(page, site):
    page.goto(site + "claims.html#003-116")
    assert page.locator("[id='003-116']").evaluate("claim => claim.open")


def test_the_search_finds_saturation(page, site):
    page.goto(site + "search.html?q=saturation")
    page.wait_for_selector("#search-results li a")
    found = page.locator("#search-results li a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert any("05_saturation" in address for address in found)


def test_the_sample_report_sorts(page, site):
    page.goto(site + "your-network.html")
    page.locator("iframe.report").scroll_into_view_if_needed()
    frame = page.frame_locator("iframe.report")
    head = frame.locator("table.sortable thead th").filter(has_text=re.compile("^saturation$"))
    place = head.evaluate("head => head.cellIndex")

    def column():
        cells = frame.locator(f"table.sortable tbody tr > :nth-child({place + 1})")
        return [float(value) for value in cells.evaluate_all("cells => cells.map(c => c.dataset.value)") if value]
    head.locator("button").click()
    assert column() == sorted(column()) and len(column()) > 5
    head.locator("button").click()
    assert column() == sorted(column(), reverse=True)


def test_dark_and_light_can_be_chosen(page, site):
    page.goto(site + "index.html")

    def paper():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")
    before = paper()
    toggle = page.locator("button.theme-toggle:visible").first
    for _ in range(3):
        toggle.click()
        if paper() != before:
            return
    pytest.fail(f"the page stays {before}")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_each_state_of_an_explorer_has_its_picture(page, site, name):
    page.goto(site + name)
    if not (labels := page.locator(".states label").count()):
        pytest.skip(f"{name} has no pictures of an explorer")
    picture, seen = page.locator(".states > img"), set()
    for number in range(labels):
        page.locator(".states input").nth(number).check()
        page.wait_for_function("() => { const i = document.querySelector('.states > img');"
                               "return i.complete && i.naturalWidth > 0; }")
        seen.add(picture.get_attribute("src"))
        assert picture.get_attribute("alt")
    assert len(seen) > 1

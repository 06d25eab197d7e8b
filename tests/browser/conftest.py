"""The built site and a JupyterLab, opened in an installed Chromium."""

import functools
import http.server
import re
import shutil
import threading

import pytest

from rrahelpers.base.files import project_root

BUILT = project_root() / "site" / "_build" / "html"
FAILURES = BUILT.parent / "failures"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def site():
    """The site's address."""
    if not (BUILT / "index.html").is_file():
        pytest.skip("the site isn't built; make site builds it")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(BUILT)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright; make test-browser installs it")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip(f"no Chromium on the PATH; looked for {', '.join(CHROMIUM)}")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=path, args=["--no-sandbox"])  # in containers, too
        yield chromium
        chromium.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.failed = getattr(item, "failed", False) or report.failed
    return report


@pytest.fixture
def opened(request, browser):
    """A function that opens a page: its width and where it may fetch from. What goes wrong on it fails the test at its
    end: an error in the console, a request that isn't answered or that goes elsewhere. A page that failed is kept as a
    picture, in ``site/_build/failures``."""
    pages, wrong = [], []

    def open_page(width, address):
        page = browser.new_page(viewport={"width": width, "height": 844})
        page.set_default_timeout(60_000)
        page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("response", lambda answer: answer.status >= 400 and wrong.append(f"{answer.status}: {answer.url}"))
        page.on("request", lambda asked: asked.url.startswith((address, "data:", "about:", "blob:"))
                or wrong.append(f"from elsewhere: {asked.url}"))
        pages.append(page)
        return page
    yield open_page
    for number, page in enumerate(pages):
        if wrong or getattr(request.node, "failed", False):
            FAILURES.mkdir(parents=True, exist_ok=True)
            name = re.sub(r"[^\w-]+", "-", request.node.name)
            page.screenshot(path=FAILURES / f"{name}{number or ''}.png")
        page.close()
    assert wrong == []


@pytest.fixture(params=[1280, 390], ids=lambda width: f"{width}px")
def page(request, opened, site):
    """A page of the site, of the width of a screen or a phone."""
    return opened(request.param, site)

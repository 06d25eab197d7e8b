"""The built site, served to an installed Chromium."""

import functools
import http.server
import shutil
import threading

import pytest

from rrahelpers.base.files import project_root

BUILT = project_root() / "site" / "_build" / "html"
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


@pytest.fixture(params=[1280, 390], ids=lambda width: f"{width}px")
def page(request, browser, site):
    """A page of the width of a screen or a phone. What goes wrong on it fails the test at its end: an error in the
    console, a request that isn't answered or that goes to another host."""
    opened = browser.new_page(viewport={"width": request.param, "height": 844})
    opened.set_default_timeout(60_000)
    wrong = []
    opened.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("response", lambda answer: answer.status >= 400 and wrong.append(f"{answer.status}: {answer.url}"))
    opened.on("request", lambda asked: asked.url.startswith((site, "data:", "about:", "blob:"))
              or wrong.append(f"from elsewhere: {asked.url}"))
    yield opened
    opened.close()
    assert wrong == []

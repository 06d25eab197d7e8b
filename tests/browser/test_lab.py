"""Every notebook's explorer as a reader uses it: run all cells in JupyterLab, then move each control.

In the study profile, which trains nothing and needs no data. ``make test-browser`` runs this.
"""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest

from rrahelpers.base.files import project_root
from rrahelpers.study import notebooks, profiles

pytestmark = pytest.mark.browser
PROFILES = {"13_when_layers_form": "smoke"}  # in the study profile it trains a network
FIGURES = "smoke"  # the folder of the figures that the notebooks write: not over the committed ones
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight are on the page, too
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
RUN = 600_000  # milliseconds for all cells
DRAWN = 120_000  # and for a figure
PROMPTS = "[...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')]"
FAILED = """() => jupyterapp.shell.currentWidget.content.widgets.flatMap(cell => cell.model.type !== "code" ? [] :
  cell.model.sharedModel.toJSON().outputs.filter(one => one.output_type === "error")
    .map(one => one.traceback.join("\\n")))
"""  # tracebacks of the notebook's cells


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """The address of a JupyterLab with a copy of each notebook that has its profile's parameters."""
    folder = tmp_path_factory.mktemp("lab")
    with_parameters(folder / "notebooks")
    shutil.copytree(project_root() / "figures" / "study", folder / "figures" / "study",  # which the texts show
                    ignore=shutil.ignore_patterns("*.svg", "*.csv", "*.json", "executed"))
    store = folder / "runs"
    store.mkdir()
    for path in (project_root() / "data" / "runs").iterdir():
        (store / path.name).symlink_to(path)
    for name, content in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if key != "RRA_DATA"} | {
        "RRA_RUNS": str(store), "RRA_CACHE": str(folder / "features"), "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"), "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"), "IPYTHONDIR": str(folder / "ipython"),
        "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}  # no data set is downloaded
    with open(folder / "log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1",
             "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True",
             "--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={folder}"],
            env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}/"
    try:
        started(server, address, folder / "log")
        yield address
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(project_root() / "figures" / FIGURES, ignore_errors=True)


def with_parameters(folder):
    """Write the notebooks as papermill runs them."""
    import nbformat
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    folder.mkdir()
    for name in notebooks.names():
        given = profiles.parameters(name, PROFILES.get(name, "study")) | {"profile": FIGURES}
        book = load_notebook_node(str(notebooks.folder() / f"{name}.ipynb"))
        book = parameterize_notebook(book, given, kernel_name="python3", language="python")
        book.metadata.pop("papermill", None)
        nbformat.write(book, folder / f"{name}.ipynb")


def asked(address, path, method="GET"):
    """What JupyterLab's server answers."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        connection.request(method, f"/{path}")
        return connection.getresponse().read()
    finally:
        connection.close()


def started(server, address, log):
    for _ in range(600):
        try:
            asked(address, "api")
            return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.5)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text(encoding='utf-8')[-3000:]}")


@pytest.fixture
def kernels(lab):
    """At the end of a test, when its page is closed, its kernel stops."""
    yield
    for kernel in json.loads(asked(lab, "api/kernels")):
        asked(lab, f"api/kernels/{kernel['id']}", "DELETE")


@pytest.fixture
def notebook(kernels, opened, lab):
    """A function that opens a notebook, runs all its cells and returns the last one, with the explorer."""
    page = opened(1280, lab)

    def run(name):
        page.goto(f"{lab}lab/tree/notebooks/{name}.ipynb?reset")
        prompts = page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt")
        prompts.first.wait_for()
        page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()
        for _ in range(20):  # what is asked for before the kernel is ready is lost
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.locator(".lm-Menu-item", has_text="Run All Cells").first.click()
            page.wait_for_timeout(3000)
            if re.search(r"\[[\d*]+\]", prompts.first.text_content()):
                break
        page.wait_for_function(
            f"() => {PROMPTS}.every(one => /\\[\\d+\\]/.test(one.textContent)) || ({FAILED})().length",
            timeout=RUN)  # each cell has its number
        assert errors(page) == []
        cell = page.locator(".jp-Notebook .jp-CodeCell").last
        cell.scroll_into_view_if_needed()
        return cell
    return run


def errors(page):
    """Tracebacks in the notebook."""
    return page.evaluate(FAILED)


class State:
    """What an explorer shows: the call that draws it, as {control: its value as text}, and its pictures."""

    def __init__(self, cell):
        cell.locator("progress").first.wait_for(state="detached", timeout=DRAWN)
        self.call = cell.locator("code[title]").text_content()
        self.values = dict(re.findall(r"(\w+)=(\(.*?\)|'.*?'|[^,()]+)", self.call))
        self.pictures = cell.locator(".jp-OutputArea-output img").evaluate_all("all => all.map(one => one.src)")


def after(cell, before, action):
    """The state after an action, when it differs."""
    action()
    cell.page.wait_for_function(
        "([cell, call]) => !cell.querySelector('progress') && cell.querySelector('code[title]').textContent !== call",
        arg=[cell.element_handle(), before.call], timeout=DRAWN)
    cell.page.wait_for_timeout(300)  # the picture comes after its call
    return State(cell)


def moved(cell, control):
    """Move a control as far as its next value, with the keyboard where it is a slider."""
    if (handle := control.locator(".noUi-handle")).count():
        last = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
        handle.press("ArrowLeft" if last else "ArrowRight")
    elif (choice := control.locator("select")).count():
        choice.select_option(index=1)
    else:
        control.locator("button:not(.mod-active)").first.click()


UNCOVERED = """(all, call) => all.findIndex(one => {
  const {x, y, width, height} = one.getBoundingClientRect();
  return document.elementFromPoint(x + width / 2, y + height / 2) === one
    && !one.title.split(", ").every(part => call.replaceAll("'", "").includes(part));
})"""  # the first point that no other lies on, and that isn't chosen already
CLASSES = re.compile(r"control-(\w+)")
NAMES = [name for name in notebooks.names() if name != "12_your_network"]


@pytest.mark.parametrize("name", NAMES)
def test_each_control_of_an_explorer_changes_the_picture_and_what_is_told(name, notebook):
    cell = notebook(name)
    cell.locator("code[title]").wait_for(timeout=DRAWN)
    state = State(cell)
    assert state.pictures
    controls = cell.locator("[class*='control-']").all()
    assert {CLASSES.search(one.get_attribute("class"))[1] for one in controls} == set(state.values)
    for control in controls:
        chosen = CLASSES.search(control.get_attribute("class"))[1]
        then = after(cell, state, lambda: moved(cell, control))
        assert {key for key in state.values if then.values[key] != state.values[key]} == {chosen}
        assert then.pictures and set(then.pictures) != set(state.pictures), f"{chosen}: the picture stays as it was"
        state = then
    if (points := cell.locator("button.rra-point")).count():
        point = points.nth(points.evaluate_all(UNCOVERED, ", ".join(f"{k} {v}" for k, v in state.values.items())))
        then = after(cell, state, point.click)
        told = dict(part.split(" ") for part in point.get_attribute("title").split(", "))
        assert told == {key: then.values[key].strip("'") for key in told} and len(told) == 2
        assert set(then.pictures) != set(state.pictures)
    assert errors(cell.page) == []
    assert cell.locator(".widget-hbox").first.bounding_box()["height"] < 844, "not all of it is in sight"


def test_the_explorer_of_a_report(notebook):
    cell = notebook("12_your_network")
    frame = cell.frame_locator("iframe")

    def told():
        return frame.locator(".neighbours .name").first.text_content()
    before, row = told(), frame.locator(".neighbours").first
    pictures = row.inner_html()
    frame.locator("circle:not(.here)").first.press("Enter")
    assert told() != before and row.inner_html() != pictures
    scale = frame.locator(".controls button[aria-pressed=false]:not([disabled])").first
    name = scale.text_content()
    scale.click()
    assert told().endswith(f"scale {name}")
    pictures = row.inner_html()
    frame.locator(".queries button:not(.query)").first.click()
    assert row.inner_html() != pictures
    assert errors(cell.page) == []

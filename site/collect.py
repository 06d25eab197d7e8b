"""Write what Sphinx builds the site from: pages, notebooks with their study figures, gallery, board, sample report.

Run by ``make site``, with the package's own environment: ``python site/collect.py``. No notebook is executed.
"""

import ast
import json
import shutil
from pathlib import Path

import entries
import jinja2
import repository
from PIL import Image

import rrahelpers
from rrahelpers.base.files import project_root
from rrahelpers.report import Report, explorer
from rrahelpers.study import notebooks, profiles
from rrahelpers.study.claims import VERDICTS, board, decided

SITE = Path(__file__).resolve().parent
SOURCE, EXTRA = SITE / "_build" / "source", SITE / "_build" / "extra"
THUMBNAIL = (480, 330)
SAMPLE = "resnet20-cifar10"  # a report in data/reports
TRIO = {  # what the home page shows
    "classrepsim-figure-4a": "At which scale is a sample closest to its own class?",
    "receptive-field-figure-57": "Which layers can still see something new?",
    "saturation-figure-44": "What share of its dimensions does a layer use?",
}
HIDDEN = ("base", "study", "widgets")  # what who measures a network of their own needs not
DOCUMENTS = {"LIMITATIONS.md": "limitations.md", "SUPPORTED.md": "supported.md"}  # of the repository, as pages

TEMPLATES = jinja2.Environment(loader=jinja2.FileSystemLoader(SITE / "templates"), autoescape=True, trim_blocks=True,
                               lstrip_blocks=True, undefined=jinja2.StrictUndefined)
TEMPLATES.filters["slug"] = entries.slug


def render(name, /, **values):
    return TEMPLATES.get_template(name).render(**values)


def write(name, content):
    path = SOURCE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def raw(markup):
    """HTML as a block that MyST passes on."""
    return f"````{{raw}} html\n{markup.strip()}\n````"


def cell(name, source):
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source}


def notebook_page(name, shown, report):
    """A notebook as the site shows it: each figure after the cell that draws it, the explorer's pictures after its own.

    ``shown``: as :func:`shown_in` finds it.
    """
    book = notebooks.read(name)
    cells = []
    for number, one in enumerate(book["cells"]):
        one = one | {"metadata": dict(one["metadata"])}
        tags = one["metadata"].get("tags", [])
        if one["cell_type"] == "code" and (number in shown or "plt.show()" in entries.text(one)):
            one["metadata"]["tags"] = [*tags, "hide-input"]  # it draws
        if one["cell_type"] == "markdown":
            one["source"] = entries.text(one).replace("../figures/README.md", "../gallery.md")  # the same with pictures
        cells.append(one)
        if "parameters" in tags:
            cells.append(cell("study", study_parameters(name)))
        for figure, rows in shown.get(number, {}).items():
            cells.append(cell(figure[:64], raw(render("figure.html", name=figure, rows=rows))))
        if "skip-execution" in tags and (markup := explored(name, report)):
            cells.append(cell("states", raw(markup)))
    cells[0]["source"] = entries.text(cells[0]).replace("\n", f"\n\n{repository.badges(name)}\n", 1)
    write(f"notebooks/{name}.ipynb", json.dumps({**book, "cells": cells}))


def rooms():
    """The package's public modules, with what each says of itself: [(name, first paragraph of its docstring)]."""
    found = []
    for name in rrahelpers.MODULES:
        if name not in HIDDEN:
            said = ast.get_docstring(ast.parse(repository.file_of(f"rrahelpers.{name}").read_text(encoding="utf-8")))
            found.append((name, " ".join(said.split("\n\n")[0].split())))
    return found


def reference():
    """The front page of the reference."""
    listed = "\n".join(f"[`{name}`](api/rrahelpers/{name}/index.rst)\n: {said}\n" for name, said in rooms())
    tree = "\n".join(f"{name} <api/rrahelpers/{name}/index>" for name, _ in rooms())
    return ("# API\n\n`import rrahelpers as rra`, then `rra.class_similarity` and so on. A module is imported when it "
            f"is first used.\n\n{listed}\n```{{toctree}}\n:hidden:\n\n{tree}\n```\n")


def study_parameters(name):
    """What the study profile, whose figures a page shows, changes of a notebook's parameters."""
    given = {key: value for key, value in profiles.parameters(name, "study").items() if key != "data_notes"}
    lines = "\n".join(f"{key} = {value!r}" for key, value in given.items())
    return ("These are the defaults, of the quick profile. The figures on this page are drawn under the study profile, "
            f"which sets instead:\n\n```python\n{lines}\n```")


def shown_in(name, gallery):
    """{number of a cell of a notebook: {figure that it draws: its entries of the gallery}}."""
    found = {}
    for figure, (book, number) in entries.places().items():
        if book == name:
            found.setdefault(number, {})[figure] = [row for row in gallery if row["file"] == figure]
    return found


def explored(name, report):
    """The explorer of a notebook without a kernel: a report's own, or pictures of some of its states."""
    states = SITE / "explorers" / f"{name}.json"
    if name == "12_your_network":
        return explorer.frame(report)
    if not states.is_file():
        return ""
    return render("explorer.html", name=name, **json.loads(states.read_text(encoding="utf-8")))


def fragments(gallery, claims, counts):
    """The parts of pages that are made of numbers: {name: HTML}."""
    known = {"gallery": gallery, "claims": claims, "counts": counts, "verdicts": VERDICTS, "trio": TRIO,
             "look_ups": entries.look_ups(claims)}
    return {name: render(f"{name}.html", **known) for name in ("home", "trio", "gallery", "claims")}


def thumbnails(names):
    folder = EXTRA / "thumbnails"
    folder.mkdir(parents=True)
    for name in names:
        with Image.open(entries.STUDY / f"{name}.png") as picture:
            small = picture.convert("RGB")
            small.thumbnail(THUMBNAIL)
            small.save(folder / f"{name}.webp", quality=82)


def main():
    shutil.rmtree(SITE / "_build", ignore_errors=True)
    shutil.copytree(SITE / "pages", SOURCE)
    shutil.copytree(entries.STUDY, EXTRA / "figures" / "study")
    (SOURCE / "figures").symlink_to(EXTRA / "figures")  # notebooks show figures of theirs by relative paths
    shutil.copytree(SITE / "explorers", EXTRA / "explorers", ignore=shutil.ignore_patterns("*.json"))
    shutil.copytree(project_root() / "benchmarks" / "results", SOURCE / "results")
    thumbnails(entries.stems())
    write("reference.md", reference())
    for document, page in DOCUMENTS.items():
        content = (project_root() / document).read_text(encoding="utf-8")
        for other, its in DOCUMENTS.items():
            content = content.replace(f"]({other}", f"]({its}")
        write(page, f"---\nhide-toc: true\n---\n\n{content}\n{raw('<div class=wide-page></div>')}\n")

    verdicts = decided()
    gallery, claims = entries.gallery(verdicts), entries.claims(verdicts)
    report = Report.load(project_root() / "data" / "reports" / SAMPLE)
    report.to_html(EXTRA / "sample-report.html")
    for name, markup in fragments(gallery, claims, board.counts(verdicts)).items():
        write(f"fragments/{name}.html", markup)
    for name in notebooks.names():
        notebook_page(name, shown_in(name, gallery), report)


if __name__ == "__main__":
    main()

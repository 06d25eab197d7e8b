"""What the site's gallery, board and notebook pages are made of, read from committed files alone.

It imports the package, so it runs where the package is installed; Sphinx, which doesn't need it, comes afterwards.
"""

import ast
import html
import json
import re
from functools import cache

from rrahelpers.base.files import project_root
from rrahelpers.study import notebooks
from rrahelpers.study.claims import CLAIMS, board, marks

STUDY = project_root() / "figures" / "study"
OURS = "This collection"  # whose figures stand for none of a source
UNCLAIMED = "no claim"  # the verdict of those
LONGEST = 420  # letters of an alternative text


def stems():
    """Names of the study profile's figures."""
    return sorted(path.stem for path in STUDY.glob("*.png"))


def text(cell):
    return "".join(cell["source"])


def drawn_by(cell, known):
    """Which of the figures ``known`` a code cell names, in its order."""
    if cell["cell_type"] != "code":
        return []
    named = [node.value for node in ast.walk(notebooks.parse(text(cell)))
             if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [name for name in dict.fromkeys(named) if name in known]


def title(name):
    """A notebook's heading: "05 · Saturation: what share of its dimensions does a layer use?"."""
    return text(notebooks.read(name)["cells"][0]).splitlines()[0].removeprefix("# ")


@cache
def places():
    """{figure: (notebook, number of the cell that draws it)}; a figure that no cell names by itself comes after its
    notebook's last cell that saves one."""
    known, found, saving = set(stems()), {}, {}
    for name in notebooks.names():
        for number, cell in enumerate(notebooks.read(name)["cells"]):
            for figure in drawn_by(cell, known):
                found.setdefault(figure, (name, number))
            if cell["cell_type"] == "code" and "save_figure" in text(cell):
                saving[name] = number
    for figure in sorted(known - set(found)):
        name = json.loads((STUDY / f"{figure}.json").read_text(encoding="utf-8"))["notebook"]
        found[figure] = (name, saving[name])
    return found


def plain(markdown):
    """Markdown as words: without links, emphasis, code marks and formulas' dollars."""
    markdown = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"\s+", " ", re.sub(r"\*\*|`|\$|(?<!\w)\*|\*(?!\w)|^#+ ", "", markdown, flags=re.MULTILINE)).strip()


def alternative(figure, place):
    """A figure in words: the heading that it stands under, what the text there says of it, and its caption."""
    name, number = place
    said = [text(cell) for cell in notebooks.read(name)["cells"][:number] if cell["cell_type"] == "markdown"]
    blocks = [block for block in said[-1].split("\n\n") if not block.startswith(("!", "|", "-", "$$"))]
    start = max((i for i, block in enumerate(blocks) if block.startswith("#")), default=0)
    told = ". ".join(plain(block).rstrip(".:") for block in blocks[start:start + 2])
    if len(told) > LONGEST:
        told = told[:LONGEST].rsplit(" ", 1)[0] + " …"
    return f"{told}. ({provenance(figure)['caption']})"


def provenance(figure):
    return json.loads((STUDY / f"{figure}.json").read_text(encoding="utf-8"))


def gallery(verdicts):
    """An entry for every figure and table of the sources in ``notebooks/figures.csv``, and for our own figures."""
    where = places()
    rows = [row | {"verdict": board.status(verdicts, row["source"], row["item"])} for row in board.figure_rows()]
    missing = sorted(set(where) - {row["file"] for row in rows})
    rows += [{"source": OURS, "item": name.replace("-", " ").capitalize(), "notebook": where[name][0], "file": name,
              "why": "", "verdict": UNCLAIMED} for name in missing]
    return [row | {"alt": alternative(row["file"], where[row["file"]]) if row["file"] in where
                   else f"{row['item']}: not drawn yet",
                   "drawn": row["file"] in where,
                   "look_up": "" if row["source"] == OURS else f"{row['source']}: {row['item']}",
                   "covers": [f"{row['source']}: {name}"
                              for name in dict.fromkeys((row["item"], *map(str.capitalize, marks(row["item"]))))]}
            for row in rows]


def claims(verdicts):
    """The board: every claim with its verdict, what it was read from, and which entries of the gallery it is about."""
    where, entries = places(), board.figure_rows()
    found = []
    for claim, verdict in verdicts.items():
        about = [f"{row['source']}: {row['item']}" for row in entries
                 if row["source"] == claim.source and claim.about(row["item"])]
        names = [f"{claim.source}: {name.capitalize()}" for name in claim.figures]
        facts = {"measured": f"{verdict.value} {board.interval(verdict)}".strip(), "claimed": verdict.published,
                 "why": verdict.why, "data": verdict.data, "networks": verdict.networks or "", "models": verdict.models,
                 "recipe": verdict.recipe, "epochs": verdict.epochs, "note": claim.note}
        found.append({"id": claim.id, "source": claim.source, "place": claim.place, "statement": claim.statement,
                      "kind": claim.kind, "verdict": verdict.verdict, "facts": {k: v for k, v in facts.items() if v},
                      "about": list(dict.fromkeys([*about, *names])),
                      "files": [(name, where[name][0]) for name in verdict.figures if name in where]})
    return found


def look_ups(board_entries):
    """What the board can be asked for, by source, in the order of their numbers: {source: ["Figure 57", …]}."""
    found = {claim.source: set() for claim in CLAIMS}
    for entry in board_entries:
        for name in entry["about"]:
            found[entry["source"]].add(name.partition(": ")[2])

    def order(name):
        numbers = re.findall(r"\d+", name)
        return (name.split()[0].rstrip("s"), int(numbers[0]) if numbers else 0, name)
    return {source: sorted(names, key=order) for source, names in found.items() if names}


def slug(words):
    return re.sub(r"\W+", "-", words.lower()).strip("-")


def escaped(words):
    return html.escape(str(words), quote=True)
